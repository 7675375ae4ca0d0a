"""From what a user writes after --matcher to a matcher."""

from typing import Final

from srdscan.models.captioners.base import Captioner
from srdscan.models.captioners.load import model_type
from srdscan.models.fetch import LOADING_ERRORS, ModelError, explain
from srdscan.models.matchers.base import Matcher
from srdscan.models.matchers.embedded import EmbeddedMatcher

EMBEDDED: Final = "embedded"
HALVES: Final = ("_text_model", "_vision_model")
"""How the model types of one half of a matcher end."""


def load_matcher(spec: str, reference: Captioner, device: str = "cpu") -> Matcher:
    """Loads a matcher.

    Args:
        spec: `embedded`, a folder or a Hub id of a CLIP, a SigLIP or one of their kin.
        reference: the reference captioner, whose encoder the embedded one uses.
        device: a torch device.

    Raises:
        ModelError: nothing of that name, a family srdscan does not know, or weights that cannot be read.
    """
    if spec == EMBEDDED:
        return EmbeddedMatcher(reference, device)
    from srdscan.models.matchers.huggingface import FAMILIES, HuggingFaceMatcher

    try:
        kind = model_type(spec)
    except ModelError as error:
        raise ModelError(f"--matcher {error}") from error
    if kind not in FAMILIES:
        raise ModelError(f"--matcher {spec}: {_unknown(kind, sorted(FAMILIES))}")
    try:
        return HuggingFaceMatcher(spec, FAMILIES[kind], device)
    except LOADING_ERRORS as error:
        raise ModelError(f"--matcher {explain(spec, error, images=True)}") from error


def _unknown(kind: str, known: list[str]) -> str:
    """Why a model of this type is no matcher, and what to pass."""
    whole = next((kind.removesuffix(half) for half in HALVES if kind.endswith(half)), None)
    if whole in known:
        side, other = ("texts", "images") if kind.endswith(HALVES[0]) else ("images", "texts")
        return f"model type {kind!r} is half a matcher: it reads {side}, not {other}. Pass the whole {whole} model."
    return (
        f"model type {kind!r} does not put images and texts into one space, or is not one srdscan knows to do so "
        f"({', '.join(known)}). Pass one of these, or leave --matcher out for the embedded one."
    )
