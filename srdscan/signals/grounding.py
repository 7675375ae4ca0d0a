"""Grounding: what the image adds to a caption's likelihood, under the trusted captioner."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from srdscan.measure.batch import Batch, Role
from srdscan.measure.scores import Column, Scores
from srdscan.models.captioners.base import Floats
from srdscan.signals.base import Evidence, register_signal
from srdscan.signals.per_sample import judge_column


@register_signal
class Grounding:
    """(ln p_LM(text) - ln p_reference(text | image)) / tokens: positive where the image speaks against the text.

    The pointwise mutual information of caption and image, negated, with the language model for the prior. It uses the
    caption itself and not the one caption that the reference happened to generate, so it tells a caption of another
    image from a different way to say the same.
    """

    roles: ClassVar[tuple[Role, ...]] = ("caption", "output")
    leans_on_reference = True
    in_quick_look = False

    def __init__(self, role: Role) -> None:
        self.role: Role = role
        self.name = f"grounding.{role}"
        self.needs_captioner = role == "output"
        self.description = f"how little the image supports the {role}, by the reference captioner"

    def measure(self, batch: Batch) -> Mapping[str, Column]:
        """`signal.grounding.<role>`, in nats per token."""
        return {f"signal.{self.name}": surprise(batch.support(self.role), batch.log_probs[self.role])}

    def judge(self, scores: Scores, calibration: Scores | None) -> Evidence:
        """Against trusted data or the bulk."""
        return judge_column(
            f"signal.{self.name}",
            scores,
            calibration,
            lambda value: f"the image does not support the {self.role} ({value:+.1f} nats a token)",
            least_scale=0.2,
        )


def surprise(given: Sequence[Floats], prior: Sequence[Floats]) -> Floats:
    """(B,) nats per token by which images speak against texts.

    Args:
        given: ln p of each token of each text under a captioner that sees the image.
        prior: the same under a language model.
    """
    tokens = np.array([max(len(values), 1) for values in prior])
    sums = [np.array([values.sum() for values in part]) for part in (prior, given)]
    return np.asarray((sums[0] - sums[1]) / tokens, dtype=np.float32)
