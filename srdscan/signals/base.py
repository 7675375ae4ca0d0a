"""What a signal is, and the registry.

A signal does two things. In pass 1 it *measures*: a batch in, named columns out, which land in the shard's score file.
When all shards are scored it *judges*: all score files in, one p-value a sample out, with reasons in words. A signal
that cannot tell on this data set abstains, which is an ordinary outcome. To add a signal, write a class like those in
this folder, decorate it with `register_signal`, and import it in `signals/__init__.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from srdscan.measure.batch import Batch, Role
from srdscan.measure.scores import Column, Scores

Doubles = npt.NDArray[np.float64]


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
        excused: (N,) bool; whatever the captioner does there is explained, and no signal that is measured on it counts.
    """

    p_values: Doubles
    values: Doubles
    note: str = ""
    abstained: bool = False
    weight: float = 1.0
    reason: Callable[[int], str] = lambda index: ""
    excused: npt.NDArray[np.bool_] | None = None


def abstain(count: int, note: str) -> Evidence:
    """The evidence of a signal that cannot tell on this data set."""
    nothing = np.broadcast_to(np.nan, count)  # takes no memory
    return Evidence(nothing, nothing, note, abstained=True)


class Signal(Protocol):
    """A registered signal.

    Attributes:
        name: `family.role`, as in report columns `signal.<name>`.
        description: one line for the report.
        needs_captioner: only in a model audit.
        leans_on_reference: it compares with what the reference captioner says, and is heard only where that understands
            the images.
        in_quick_look: it asks no captioner and no language model.
    """

    name: str
    description: str
    needs_captioner: bool
    leans_on_reference: bool
    in_quick_look: bool

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


def signals_for(model_audit: bool, quick: bool = False) -> list[Signal]:
    """The signals that apply, in the order of registration; in a quick look, those that can be measured there."""
    of_audit = [signal for signal in SIGNALS.values() if model_audit or not signal.needs_captioner]
    return [signal for signal in of_audit if signal.in_quick_look] if quick else of_audit
