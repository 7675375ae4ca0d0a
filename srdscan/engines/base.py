"""What an engine is: it maps units of a data set to score files, here or elsewhere, and says what it found in each.

    for number, record in engine.score(task, [0, 1, 2], watch):
        ...                                    # the score file of unit `number` lies in the run's state by then

Units come in any order, each once. What pass 1 writes depends on nothing but the unit, the models and the options, so
that every engine leaves the same files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from srdscan.engines.task import ScoringTask
from srdscan.measure.state import UnitRecord


class Watch(Protocol):
    """What an engine tells while it works."""

    def advance(self, number: int, images: int) -> None:
        """More images of a unit are done; fewer than none where its worker died and it begins anew."""
        ...

    def event(self, kind: str, **facts: object) -> None:
        """Something worth a line in `events.jsonl`."""
        ...

    def note(self, text: str) -> None:
        """Something worth a line on the terminal."""
        ...


class Engine(Protocol):
    """Where pass 1 is computed.

    Attributes:
        name: as `--engine` takes it.
        workers: how many units are scored at once; 0 as long as a cluster has not said.
    """

    @property
    def name(self) -> str: ...

    @property
    def workers(self) -> int: ...

    def score(self, task: ScoringTask, numbers: Sequence[int], watch: Watch) -> Iterator[tuple[int, UnitRecord]]:
        """Scores units into the run's folder.

        Args:
            task: what to score, and with what.
            numbers: of the units, ascending.
            watch: is told how it goes.

        Yields:
            The number of a unit and what was found in it, in any order.

        Raises:
            ModelError: a model cannot be loaded, or workers die whatever they are given.
            ConfigError: a worker sees other data or models than the task names.
        """
        ...
