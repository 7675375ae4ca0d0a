"""Pass 1 in this process, unit after unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from srdscan.engines.base import Watch
from srdscan.engines.task import ScoringTask
from srdscan.measure.state import UnitRecord
from srdscan.measure.units import Scorer


class Serial:
    """Scores with the models that are loaded already.

    Args:
        scorer: has the models.
        limit: samples to score in all; only here is it known which are the first.
    """

    name, workers = "local", 1

    def __init__(self, scorer: Scorer, limit: int | None = None) -> None:
        self._scorer, self._limit = scorer, limit

    def score(self, task: ScoringTask, numbers: Sequence[int], watch: Watch) -> Iterator[tuple[int, UnitRecord]]:
        """See `Engine`; ends early where the limit is reached."""
        left = self._limit
        for number in numbers:
            if left is not None and left <= 0:
                return
            record = self._scorer.score(number, partial(watch.advance, number), left)
            if left is not None:
                left -= record.scored
            yield number, record
