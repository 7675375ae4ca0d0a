"""How pass 1 is going, over all workers: images, what is still ahead, and the run's events."""

from __future__ import annotations

from collections.abc import Sequence

from srdscan.engines.events import Events
from srdscan.measure.state import UnitRecord
from srdscan.progress import Progress
from srdscan.sources.base import Unit
from srdscan.sources.stamp import weight


class Overseer:
    """Adds up what workers report.

    How many samples there are is known when the last one is read. Until then it is estimated from the units that are
    done and from the sizes of the others.

    Args:
        units: of the data set.
        progress: where it is shown.
        events: where it is written down.
        limit: samples at most, which are the total then.
    """

    def __init__(self, units: Sequence[Unit], progress: Progress, events: Events, limit: int | None) -> None:
        self._units, self._progress, self._events, self._limit = units, progress, events, limit
        sizes = [weight(unit) for unit in units]
        self._weights = sizes if all(sizes) else [1] * len(units)
        self._all = sum(self._weights)
        self._done = self._samples = 0

    def begin(self, finished: dict[int, UnitRecord]) -> None:
        """The stage begins, with what an earlier run left."""
        for number, record in finished.items():
            self._count(number, record)
        self._progress.stage("scoring", self._expected(), self._samples)

    def advance(self, number: int, images: int) -> None:
        """See `Watch`."""
        self._progress.advance(images)

    def finish(self, number: int, record: UnitRecord) -> None:
        """A unit is done."""
        self._count(number, record)
        expected = self._expected()
        if expected is not None:
            self._progress.expect(expected)
        damage = {"problem": record.problem} if record.problem else {}
        self._events.add("unit done", number=number, name=record.name, samples=record.scored, **damage)

    def event(self, kind: str, **facts: object) -> None:
        """See `Watch`."""
        self._events.add(kind, **facts)

    def note(self, text: str) -> None:
        """See `Watch`."""
        self._progress.note(text)

    def _count(self, number: int, record: UnitRecord) -> None:
        self._done += self._weights[number]
        self._samples += record.scored

    def _expected(self) -> int | None:
        if self._limit is not None:
            return self._limit
        return round(self._samples * self._all / self._done) if self._done else None
