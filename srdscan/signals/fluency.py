"""Fluency: captions that read oddly, and the word that makes them so."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from srdscan.measure.batch import Batch, Role
from srdscan.measure.scores import Column, Scores
from srdscan.signals.base import Evidence, register_signal
from srdscan.signals.per_sample import judge_column


@register_signal
class Fluency:
    """ln PPL(text) - ln PPL(reference caption) under the language model."""

    roles: ClassVar[tuple[Role, ...]] = ("caption", "output")
    leans_on_reference = True
    in_quick_look = False

    def __init__(self, role: Role) -> None:
        self.role: Role = role
        self.name = f"fluency.{role}"
        self.needs_captioner = role == "output"
        self.description = f"how much worse the {role} reads than the reference caption"

    def measure(self, batch: Batch) -> Mapping[str, Column]:
        """`signal.fluency.<role>`."""
        mine, reference = (
            np.array([-values.mean() for values in batch.log_probs[role]], dtype=np.float32)
            for role in (self.role, "reference")
        )
        return {f"signal.{self.name}": mine - reference[batch.images(self.role)]}

    def judge(self, scores: Scores, calibration: Scores | None) -> Evidence:
        """Against trusted data or the bulk."""
        return judge_column(
            f"signal.{self.name}",
            scores,
            calibration,
            lambda value: f"the {self.role} reads {np.exp(value):.0f} times worse than the reference caption",
            least_scale=0.2,
        )


@register_signal
class Onion:
    """max over words of ln PPL(text) - ln PPL(text without the word): a word that does not belong.

    Source: Qi et al., ONION, EMNLP 2021. The gains of all words are kept for the `targets` signal.
    """

    roles: ClassVar[tuple[Role, ...]] = ("caption", "output")
    leans_on_reference = False
    in_quick_look = False

    def __init__(self, role: Role) -> None:
        self.role: Role = role
        self.name = f"onion.{role}"
        self.needs_captioner = role == "output"
        self.description = f"how much better the {role} would read without its oddest word"

    def measure(self, batch: Batch) -> Mapping[str, Column]:
        """`signal.onion.<role>`, and `gains.<role>`: one number a word."""
        gains = batch.language_model.word_gains(batch.texts(self.role))
        worst = np.array([values.max() if len(values) else 0.0 for values in gains], dtype=np.float32)
        return {f"signal.{self.name}": worst, f"gains.{self.role}": gains}

    def judge(self, scores: Scores, calibration: Scores | None) -> Evidence:
        """Against trusted data or the bulk."""
        return judge_column(
            f"signal.{self.name}",
            scores,
            calibration,
            lambda value: f"the {self.role} reads {np.exp(value):.1f} times better without one of its words",
            least_scale=0.2,
        )
