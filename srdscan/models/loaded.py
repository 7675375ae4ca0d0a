"""The models of a run: which there are, how they are loaded, and which weights they are."""

from dataclasses import dataclass

from srdscan.models.captioners.base import Captioner
from srdscan.models.captioners.load import load_captioner
from srdscan.models.device import pick_device
from srdscan.models.heap import reuse_large_allocations
from srdscan.models.language_model import LanguageModel
from srdscan.models.matchers.base import Matcher
from srdscan.models.matchers.embedded import EmbeddedMatcher
from srdscan.models.matchers.load import EMBEDDED, load_matcher
from srdscan.models.record import ModelRecord
from srdscan.models.sentence_encoder import SentenceEncoder


@dataclass(frozen=True)
class Models:
    """The models of an audit.

    Attributes:
        matcher: tells whether caption and image belong together.
        looks: tells what pictures look like, for near duplicates and for pieces of pictures in unlike images: their
            bounds were measured on its vectors. Where it is the matcher, too, it is the same object.
        captioner: the one under audit; None in a pair audit.
        quick: a quick look: of the reference only the encoder is asked, and the language model not at all.
    """

    reference: Captioner
    sentence_encoder: SentenceEncoder
    language_model: LanguageModel
    matcher: Matcher
    looks: EmbeddedMatcher
    captioner: Captioner | None = None
    quick: bool = False


def load_models(
    reference: str,
    captioner: str | None,
    sentence_encoder: str,
    language_model: str,
    device: str = "auto",
    num_beams: int | None = None,
    prompt: str | None = None,
    reference_prompt: str | None = None,
    matcher: str = EMBEDDED,
    quick: bool = False,
) -> Models:
    """All models of an audit, on its device; each as `srdscan audit` takes it.

    Raises:
        ModelError: a model cannot be loaded.
    """
    device = pick_device(device)
    if device == "cpu":
        reuse_large_allocations()
    trusted = load_captioner(reference, device, num_beams, reference_prompt)
    same = (captioner, prompt) == (reference, reference_prompt)
    suspect = trusted if same else captioner and load_captioner(captioner, device, num_beams, prompt)
    looks = EmbeddedMatcher(trusted, device)
    own = None if matcher == EMBEDDED else load_matcher(matcher, trusted, device)
    return Models(
        reference=trusted,
        sentence_encoder=SentenceEncoder(sentence_encoder, device),
        language_model=LanguageModel(language_model, device),
        matcher=own or looks,
        looks=looks,
        captioner=suspect or None,
        quick=quick,
    )


def model_records(models: Models) -> tuple[ModelRecord, ...]:
    """Names and fingerprints of the models that take part."""
    records = [
        ModelRecord("reference", models.reference.name, models.reference.fingerprint),
        ModelRecord("matcher", models.matcher.name, models.matcher.fingerprint),
        ModelRecord("sentence-encoder", models.sentence_encoder.name, models.sentence_encoder.fingerprint),
    ]
    if not models.quick:
        records.append(ModelRecord("language-model", models.language_model.name, models.language_model.fingerprint))
    if models.matcher is not models.looks:
        records.insert(2, ModelRecord("looks", models.looks.name, models.looks.fingerprint))
    if models.captioner is not None:
        records.insert(0, ModelRecord("captioner", models.captioner.name, models.captioner.fingerprint))
    return tuple(records)
