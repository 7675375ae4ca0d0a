"""Pass 1 on a data set: the number of a unit in, its score file out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from srdscan.measure.batch import Measured
from srdscan.measure.scoring import Room, score_unit
from srdscan.measure.state import RunState, UnitRecord
from srdscan.models.loaded import Models
from srdscan.sources.base import ReadOptions, ShardError, Source, Unit
from srdscan.sources.images import MAX_PIXELS
from srdscan.sources.stamp import stamp


@dataclass
class Scorer:
    """Scores the units of a data set, one after the other in any order, each into a score file of its own.

    Attributes:
        source: the data set.
        models: what is asked about it.
        signals: what is measured.
        state: where each unit is completed.
        reading: how units are read.
        batch_size: images in a batch.
        max_pixels: of an image; a larger one is irregular.
        rehash: a unit that was completed is hashed again even where its file's times say that nobody touched it.
    """

    source: Source
    models: Models
    signals: Sequence[Measured]
    state: RunState
    reading: ReadOptions
    batch_size: int
    max_pixels: int = MAX_PIXELS
    rehash: bool = False
    room: Room = field(init=False)

    def __post_init__(self) -> None:
        self.room = Room(self.batch_size)

    def score(
        self, number: int, advance: Callable[[int], None] = lambda count: None, most: int | None = None
    ) -> UnitRecord:
        """Scores a unit, unless an earlier run completed it and its bytes are still the same.

        Args:
            number: of the unit, from 0.
            advance: called with the number of images done.
            most: samples to score; all if None.

        Returns:
            What was found in it; its score file is written. A damaged unit has a record, too.
        """
        unit = self.source.units[number]
        before = stamp(self.source.format, unit)
        finished = None if self.rehash else self.state.unchanged(number, before)
        if finished is not None:
            advance(finished.scored)
            return finished
        try:
            with self.source.open(unit) as opened:
                sha256 = opened.sha256()
                finished = self.state.done(number, sha256)
                if finished is not None:
                    advance(finished.scored)
                    return self._stamped(number, finished, unit, before)
                found = score_unit(
                    opened,
                    self.models,
                    self.signals,
                    self.reading,
                    self.batch_size,
                    most,
                    self.max_pixels,
                    advance,
                    self.room,
                )
        except ShardError as error:
            record = damaged(unit, str(error))
            self.state.complete(number, record, None)
            return record
        record = UnitRecord(
            name=unit.name,
            location=unit.location,
            sha256=sha256,
            scored=found.samples,
            rows=found.table.num_rows if found.table is not None else 0,
            irregular=tuple(found.irregular),
            problem=found.problem,
            meta=found.meta,
            stamp=before if before == stamp(self.source.format, unit) else "",
        )
        self.state.complete(number, record, found.table)
        return record

    def _stamped(self, number: int, record: UnitRecord, unit: Unit, before: str) -> UnitRecord:
        """The record of a unit whose bytes were hashed again, so that the next run need not."""
        if before in ("", record.stamp) or before != stamp(self.source.format, unit):
            return record
        record = replace(record, stamp=before)
        self.state.complete(number, record, None)
        return record


def finished_units(source: Source, state: RunState) -> dict[int, UnitRecord]:
    """The units that an earlier run completed and that nobody touched since, as far as their files' times tell."""
    found = ((number, state.unchanged(number, stamp(source.format, unit))) for number, unit in enumerate(source.units))
    return {number: record for number, record in found if record is not None}


def damaged(unit: Unit, problem: str) -> UnitRecord:
    """The record of a unit that has no scores."""
    return UnitRecord(unit.name, unit.location, "", 0, 0, (), problem, {})


def given_up(unit: Unit, problem: str) -> UnitRecord:
    """The record of a unit that workers could not score, with what a user can do."""
    return damaged(unit, f"shard {unit.name}: {problem}. Run the same command again, or leave the shard out.")
