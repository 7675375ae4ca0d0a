"""The data set written anew: repaired captions in the place of flagged ones, every other byte as it was.

Samples that are not flagged keep their original bytes, and the originals of those that are go to the quarantine.
"""

import errno
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from srdscan.errors import ConfigError
from srdscan.measure.scores import Scores
from srdscan.measure.state import UnitRecord
from srdscan.policy.actions import Pixels
from srdscan.progress import Progress
from srdscan.repair.fates import Repair
from srdscan.sources.base import Edit, ReadOptions, Sample, ShardError, Source, Unit
from srdscan.sources.encode import encode_image


@dataclass(frozen=True)
class Sanitized:
    """What became of every sample: kept + changed + dropped = samples read from the shards that were written.

    Attributes:
        kept: Samples with their original bytes, irregular ones included.
        changed: Samples with a new caption.
        dropped: Samples that are in the quarantine only.
        fates: Of the flagged pairs, counted: trimmed, repaired, reference, dropped, quarantined.
        problems: Shards that were not written, and why.
    """

    kept: int
    changed: int
    dropped: int
    fates: dict[str, int]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sanitizer:
    """Writes the data set anew.

    Attributes:
        destination: folder of the sanitized units.
        quarantine: folder of the originals of flagged samples.
        reading: how units are read.
        source: the data set.
        records: what pass 1 found in its units.
        scores: of all pairs.
        repairs: what becomes of the flagged pairs, by row.
        images_too: whether repaired images take the place of the originals.
    """

    destination: Path
    quarantine: Path
    reading: ReadOptions
    source: Source
    records: Sequence[UnitRecord]
    scores: Scores
    repairs: Mapping[int, Repair]
    images_too: bool = False

    def write(self, progress: Progress) -> Sanitized:
        """One sanitized unit for each that was read to its end, and one quarantine for each with flagged samples.

        A damaged unit is not written: what it holds after the damage is unknown.
        """
        kept = changed = dropped = start = 0
        problems: list[str] = []
        places = {
            name: self.scores.numbers(name).astype(np.int64) for name in ("index", "image_index", "caption_index")
        }
        for unit, record in zip(self.source.units, self.records, strict=False):
            rows = [row for row in range(start, start + record.rows) if row in self.repairs]
            start += record.rows
            if record.problem is not None:
                problems.append(f"{record.name}: not written, it is damaged ({record.problem})")
                continue
            plans: dict[int, Plan] = defaultdict(Plan)
            for row in rows:
                index, image, caption = (int(places[name][row]) for name in ("index", "image_index", "caption_index"))
                plans[index].add(image, caption, self.repairs[row], self.images_too)
            try:
                gone = self._write_unit(unit, record, plans)
            except (ShardError, OSError) as error:
                if is_full(error):
                    raise
                problems.append(f"{record.name}: not written: {error}")
                continue
            dropped += gone
            changed += len(plans) - gone
            kept += _read(record) - len(plans)
            progress.advance(record.scored)
        fates = Counter(item.fate for item in self.repairs.values())
        return Sanitized(kept, changed, dropped, dict(sorted(fates.items())), tuple(problems))

    def _write_unit(self, unit: Unit, record: UnitRecord, plans: Mapping[int, "Plan"]) -> int:
        """Writes a unit, and its flagged samples to the quarantine; returns how many samples are gone."""
        with self.source.open(unit) as opened:
            if record.sha256 and opened.sha256() != record.sha256:
                raise ShardError(record.name, "it has changed since it was scored; audit it again")
            edits: dict[int, Edit] = {}
            if plans:
                opened.extract(self.quarantine, set(plans), self.reading)
                for sample in opened.read(self.reading):
                    if isinstance(sample, Sample) and sample.index in plans:
                        edits[sample.index] = plans[sample.index].edit(sample)
            opened.rewrite(self.destination, edits, self.reading)
        return sum(edit.drop for edit in edits.values())


@dataclass
class Plan:
    """What becomes of a sample, gathered from its flagged pairs.

    Attributes:
        drop: the sample goes.
        captions: new text of each flagged caption, or None where it goes, by its place.
        images: new pixels, by the image's place.
    """

    drop: bool = False
    captions: dict[int, str | None] = field(default_factory=dict)
    images: dict[int, Pixels] = field(default_factory=dict)

    def add(self, image: int, caption: int, item: Repair, images_too: bool) -> None:
        """Takes the repair of a pair into account; of a caption with several images, the first one's counts."""
        self.drop |= item.caption is None and not item.only_caption
        self.captions.setdefault(caption, item.caption)
        if images_too and item.image is not None:
            self.images.setdefault(image, item.image)

    def edit(self, sample: Sample) -> Edit:
        """The same, in the form that sources take."""
        gone = {place for place, text in self.captions.items() if text is None} == {*range(len(sample.captions))}
        if self.drop or gone:
            return Edit(drop=True)
        images = {
            place: encode_image(pixels, Path(sample.images[place].name).suffix.lower())
            for place, pixels in self.images.items()
        }
        return Edit(self.captions, images)


def _read(record: UnitRecord) -> int:
    """Samples of a unit, those that could not be audited included."""
    return record.scored + sum(not item.partial for item in record.irregular)


def is_full(error: Exception) -> bool:
    """Whether a disk is full, or a file too large for it: the run stops, and continues when there is room."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_destination(destination: Path, source: Source) -> None:
    """Refuses to write over the input.

    Raises:
        ConfigError: it would.
    """
    target = destination.resolve()
    for unit in source.units:
        if "://" not in unit.location and target in (
            Path(unit.location).resolve(),
            Path(unit.location).resolve().parent,
        ):
            raise ConfigError(f"--sanitize {destination}: holds {Path(unit.location).name}; choose another folder")
