"""Pass 1 over a data set: unit after unit, each into a score file of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from srdscan.measure.batch import Measured
from srdscan.measure.scoring import Room, score_unit
from srdscan.measure.state import RunState, UnitRecord
from srdscan.models.loaded import Models
from srdscan.sources.base import ReadOptions, ShardError, Source, Unit
from srdscan.sources.images import MAX_PIXELS


@dataclass(frozen=True)
class Limits:
    """How much is taken at once, and in all.

    Attributes:
        batch_size: images in a batch.
        samples: samples to score; all if None.
        max_pixels: of an image; a larger one is irregular.
    """

    batch_size: int
    samples: int | None = None
    max_pixels: int = MAX_PIXELS


def score_source(
    source: Source,
    models: Models,
    signals: Sequence[Measured],
    state: RunState,
    reading: ReadOptions,
    limits: Limits,
    advance: Callable[[int], None] = lambda count: None,
) -> list[UnitRecord]:
    """Scores all units; those that an earlier run completed are not read again.

    Args:
        signals: what is measured.
        state: what the run has done so far; each unit is completed there.
        advance: called with the number of images done.

    Returns:
        What was found in each unit, damaged ones included.
    """
    records: list[UnitRecord] = []
    left = limits.samples
    room = Room(limits.batch_size)
    for number, unit in enumerate(source.units):
        if left is not None and left <= 0:
            break
        part = Limits(limits.batch_size, left, limits.max_pixels)
        records.append(_score_one(source, number, unit, models, signals, state, reading, part, advance, room))
        if left is not None:
            left -= records[-1].scored
    return records


def _score_one(
    source: Source,
    number: int,
    unit: Unit,
    models: Models,
    signals: Sequence[Measured],
    state: RunState,
    reading: ReadOptions,
    limits: Limits,
    advance: Callable[[int], None],
    room: Room,
) -> UnitRecord:
    try:
        with source.open(unit) as opened:
            sha256 = opened.sha256()
            finished = state.done(number, sha256)
            if finished is not None:
                advance(finished.scored)
                return finished
            size, most = limits.batch_size, limits.samples
            found = score_unit(opened, models, signals, reading, size, most, limits.max_pixels, advance, room)
    except ShardError as error:
        record = UnitRecord(unit.name, unit.location, "", 0, 0, (), str(error), {})
        state.complete(number, record, None)
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
    )
    state.complete(number, record, found.table)
    return record
