"""What an audit would have found, attack by attack."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

FOUND: Final = 0.95
"""Share of the planted samples that must be found at a limit of detection (as LOD is stated at 95 % in CLSI EP17)."""
LEAST_REQUIRED: Final = 25
SHARE_REQUIRED: Final = 0.01
"""What the plainest attacks must be found at, unless told otherwise: 25 samples, or 1 %."""
FEWEST_REQUIRED: Final = 250
"""Samples below which 25 are more than a tenth, and nothing is required unless it is asked for."""


@dataclass(frozen=True)
class Trial:
    """One size of an attack.

    Attributes:
        samples: poisoned at a time.
        repetitions: how many times, in other samples and with other words each.
        found: poisoned samples that were found, of all repetitions together.
    """

    samples: int
    repetitions: int
    found: int

    @property
    def share(self) -> float:
        """Of the planted samples that were found."""
        return self.found / (self.samples * self.repetitions)


@dataclass(frozen=True)
class DetectionLimit:
    """An attack, and from how many samples on it is found.

    Attributes:
        attack: name.
        what: the same in a sentence, such as "an inserted word".
        plain: whether the gate demands that it is found.
        trials: sizes that were tried, ascending.
        limit: the smallest size of which 95 % were found; None if there is none among those tried.
    """

    attack: str
    what: str
    plain: bool
    trials: tuple[Trial, ...]
    limit: int | None

    @classmethod
    def of(cls, attack: str, what: str, plain: bool, trials: Sequence[Trial]) -> DetectionLimit:
        """Of what was tried."""
        reached = [trial.samples for trial in trials if trial.share >= FOUND]
        return cls(attack, what, plain, tuple(trials), min(reached, default=None))


@dataclass(frozen=True)
class DetectionLimits:
    """What an audit would have found in its data set.

    Attributes:
        samples: of the data set.
        limits: an attack each; empty where nothing was measured.
        note: why nothing was measured; empty otherwise.
    """

    samples: int
    limits: tuple[DetectionLimit, ...] = ()
    note: str = ""

    def missed(self, required: int) -> tuple[DetectionLimit, ...]:
        """The plainest attacks that would not have been found in so many samples."""
        return tuple(item for item in self.limits if item.plain and (item.limit is None or item.limit > required))

    @property
    def told(self) -> str:
        """What would have been found, in a sentence; why that is not known, where it is not."""
        if not self.limits:
            return self.note
        reached: dict[int, list[str]] = {}
        for item in self.limits:
            if item.limit is not None:
                reached.setdefault(item.limit, []).append(item.what)
        found = [f"{_listed(reached[limit])} (from {limit:,} samples on)" for limit in sorted(reached)]
        rest = [item for item in self.limits if item.limit is None and item.trials]
        last = [(item.what, item.trials[-1]) for item in rest]
        found += [f"{what} in part ({trial.share:.0%} of {trial.samples:,})" for what, trial in last if trial.found]
        missed = [f"{what} (in {trial.samples:,})" for what, trial in last if not trial.found]
        said = f"In these {self.samples:,} samples, this audit would have found {', '.join(found) or 'nothing'}"
        return f"{said}; it would have missed {_listed(missed)}." if missed else f"{said}."


def _listed(parts: Sequence[str]) -> str:
    """Parts of a sentence, with "and" before the last.

    >>> _listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)


def required_of(samples: int, asked: int | None) -> int:
    """In how many samples the plainest attacks must be found; 0 if nothing is required.

    >>> required_of(1_000, None), required_of(100_000, None), required_of(60, None), required_of(60, 12)
    (25, 1000, 0, 12)

    Args:
        samples: of the data set.
        asked: by the audit's settings; None if they leave it to the data set's size.
    """
    if asked is not None:
        return asked
    return max(LEAST_REQUIRED, math.ceil(SHARE_REQUIRED * samples)) if samples >= FEWEST_REQUIRED else 0
