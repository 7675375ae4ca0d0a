"""What a signal is, and the registry.

A signal does two things. In pass 1 it *measures*: a batch in, named columns out, which land in the shard's score file.
When all shards are scored it *judges*: all score files in, one p-value a sample out, with reasons in words. A signal
that cannot tell on this data set abstains, which is an ordinary outcome. To add a signal, write a class like those in
this folder, decorate it with `register_signal`, and import it in `signals/__init__.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from srdscan.captioners.base import Captioner, Description, Floats
from srdscan.fidelity import SentenceEncoder
from srdscan.language_model import LanguageModel
from srdscan.report.schema import TargetFinding
from srdscan.scores import Column, Scores
from srdscan.text import plain_caption

Role = Literal["caption", "output", "reference"]
Doubles = npt.NDArray[np.float64]


@dataclass
class Batch:
    """What pass 1 knows of B samples. Each derived value is computed once, on first use, for all signals.

    Attributes:
        captions: the data set's captions.
        reference: what the reference captioner says.
        output: what the captioner under audit says, with attention; None in a pair audit.
    """

    captions: list[str]
    reference: Description
    output: Description | None
    reference_encoding: Any
    reference_captioner: Captioner
    sentence_encoder: SentenceEncoder
    language_model: LanguageModel

    def texts(self, role: Role) -> list[str]:
        """B texts: the data set's captions, the captioner's output or the reference captions."""
        if role == "caption":
            return self.captions
        described = self.reference if role == "reference" else self.output
        assert described is not None
        return described.captions

    @cached_property
    def roles(self) -> tuple[Role, ...]:
        """Which texts there are."""
        return ("caption", "reference") if self.output is None else ("caption", "output", "reference")

    @cached_property
    def embeddings(self) -> dict[Role, Floats]:
        """(B, D) unit vectors of each role's texts, from one call of the sentence encoder."""
        texts = [text for role in self.roles for text in self.texts(role)]
        parts = np.split(self.sentence_encoder.embed(texts), len(self.roles))
        return dict(zip(self.roles, parts, strict=True))

    @cached_property
    def log_probs(self) -> dict[Role, list[Floats]]:
        """Language-model ln p of the tokens of each role's texts, from one call."""
        texts = [text for role in self.roles for text in self.texts(role)]
        values = self.language_model.log_probs(texts)
        size = len(self.captions)
        return {role: values[i * size : (i + 1) * size] for i, role in enumerate(self.roles)}

    def support(self, role: Role) -> list[Floats]:
        """The reference captioner's ln p of each token of a role's texts, given the image."""
        if role == "reference":
            return self.reference.log_probs
        return self.reference_captioner.score(self.reference_encoding, [plain_caption(t) for t in self.texts(role)])


WHOLE_DATASET = 3.0


@dataclass
class Evidence:
    """A signal's judgement of N samples.

    Attributes:
        p_values: (N,) in (0, 1]; NaN where the signal says nothing of a sample.
        values: (N,) the number behind it, larger is more suspicious; NaN where there is none.
        note: one sentence for the report: what was found, or why the signal abstains.
        abstained: the signal says nothing of any sample.
        weight: in the combination; `WHOLE_DATASET` for a signal that speaks only once a pattern over the whole data set
            is significant.
        reason: sample -> why it is suspicious, in words; "" if it is not.
        findings: targets found, for the report.
        excused: (N,) bool; whatever the captioner does there is explained, and no signal that is measured on it counts.
    """

    p_values: Doubles
    values: Doubles
    note: str = ""
    abstained: bool = False
    weight: float = 1.0
    reason: Callable[[int], str] = lambda index: ""
    findings: Sequence[TargetFinding] = field(default_factory=tuple)
    excused: npt.NDArray[np.bool_] | None = None


def abstain(count: int, note: str) -> Evidence:
    """The evidence of a signal that cannot tell on this data set."""
    nothing = np.full(count, np.nan)
    return Evidence(nothing, nothing, note, abstained=True)


class Signal(Protocol):
    """A registered signal.

    Attributes:
        name: `family.role`, as in report columns `signal.<name>`.
        description: one line for the report.
        needs_captioner: only in a model audit.
    """

    name: str
    description: str
    needs_captioner: bool

    def measure(self, batch: Batch) -> Mapping[str, Column]:
        """Columns of B rows for the score file; may be empty."""
        ...

    def judge(self, scores: Scores, calibration: Scores | None) -> Evidence:
        """One p-value a sample; `calibration` holds scores of trusted clean data."""
        ...


SIGNALS: dict[str, Signal] = {}
S = TypeVar("S")


class _OfRole(Protocol):
    roles: ClassVar[tuple[Role, ...]]


def register_signal(cls: type[S]) -> type[S]:
    """Registers a signal class; one with `roles` is registered once for each role's texts."""
    roles = getattr(cls, "roles", None)
    signals: list[Any] = [cls(role) for role in roles] if roles else [cls()]  # type: ignore[call-arg]
    for signal in signals:
        SIGNALS[signal.name] = signal
    return cls


def signals_for(model_audit: bool) -> list[Signal]:
    """The signals that apply, in the order of registration."""
    return [signal for signal in SIGNALS.values() if model_audit or not signal.needs_captioner]
