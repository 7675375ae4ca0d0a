"""Drift: a caption that does not mean what the trusted captioner says of the same image."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from srdscan.measure.batch import Batch, Role
from srdscan.measure.scores import Column, Scores
from srdscan.signals.base import Evidence, register_signal
from srdscan.signals.per_sample import judge_column


@register_signal
class Drift:
    """1 - cos(e(text), e(reference)) with the sentence encoder's embeddings e; in [0, 2]."""

    roles: ClassVar[tuple[Role, ...]] = ("caption", "output")
    leans_on_reference = True
    in_quick_look = False

    def __init__(self, role: Role) -> None:
        self.role: Role = role
        self.name = f"drift.{role}"
        self.needs_captioner = role == "output"
        whose = "the data set's caption" if role == "caption" else "the captioner's output"
        self.description = f"distance in meaning between {whose} and the reference caption"

    def measure(self, batch: Batch) -> Mapping[str, Column]:
        """`signal.drift.<role>`."""
        images, reference = batch.images(self.role), batch.embeddings["reference"]
        cosine = (batch.embeddings[self.role] * reference[images]).sum(axis=1)
        return {f"signal.{self.name}": np.round(1.0 - cosine, 6)}  # equal texts are as far apart whatever their batch

    def judge(self, scores: Scores, calibration: Scores | None) -> Evidence:
        """Against trusted data or the bulk."""
        return judge_column(
            f"signal.{self.name}",
            scores,
            calibration,
            lambda value: f"the {self.role} is far from the reference caption in meaning (cosine {1 - value:.2f})",
            least_scale=0.1,
        )
