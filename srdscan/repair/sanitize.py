"""The data set written anew: repaired captions in the place of flagged ones, every other byte as it was.

Samples that are not flagged keep their original bytes, and the originals of those that are go to the quarantine.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from srdscan.errors import ConfigError
from srdscan.measure.state import ShardRecord
from srdscan.progress import Progress
from srdscan.repair import Repair
from srdscan.sources.base import ReadOptions, Sample, ShardError
from srdscan.sources.tar import DROP, Edit, extract_samples, open_shard, read_shard, rewrite_shard
from srdscan.sources.tar.edit import caption_members, edit_caption, encode_image


@dataclass(frozen=True)
class Sanitized:
    """What became of every sample: kept + changed + dropped = samples read from the shards that were written.

    Attributes:
        kept: Samples with their original bytes, irregular ones included.
        changed: Samples with a new caption.
        dropped: Samples that are in the quarantine only.
        fates: Of the flagged samples, counted: trimmed, repaired, reference, dropped, quarantined.
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
        destination: folder of the sanitized shards.
        quarantine: folder of the originals of flagged samples.
        reading: how shards are read.
        locations: all shards, in order.
        records: what pass 1 found in them.
        indices: (N,) place of each scored sample in its shard.
        repairs: what becomes of the flagged samples, by row.
        images_too: whether repaired images take the place of the originals.
    """

    destination: Path
    quarantine: Path
    reading: ReadOptions
    locations: Sequence[str]
    records: Sequence[ShardRecord]
    indices: npt.NDArray[np.int64]
    repairs: Mapping[int, Repair]
    images_too: bool = False

    def write(self, progress: Progress) -> Sanitized:
        """One sanitized shard for each that was read to its end, and one quarantine for each with flagged samples.

        A damaged shard is not written: what it holds after the damage is unknown.
        """
        kept = changed = dropped = start = 0
        problems: list[str] = []
        for location, record in zip(self.locations, self.records, strict=False):
            rows = [row for row in range(start, start + record.scored) if row in self.repairs]
            start += record.scored
            if record.problem is not None:
                problems.append(f"{record.name}: not written, it is damaged ({record.problem})")
                continue
            repairs = {int(self.indices[row]): self.repairs[row] for row in rows}
            try:
                self._write_shard(location, record, repairs)
            except (ShardError, OSError) as error:
                problems.append(f"{record.name}: not written: {error}")
                continue
            gone = sum(item.caption is None for item in repairs.values())
            dropped += gone
            changed += len(repairs) - gone
            kept += record.scored + len(record.irregular) - len(repairs)
            progress.advance(record.scored)
        fates = Counter(item.fate for item in self.repairs.values())
        return Sanitized(kept, changed, dropped, dict(sorted(fates.items())), tuple(problems))

    def _write_shard(self, location: str, record: ShardRecord, repairs: Mapping[int, Repair]) -> None:
        options = self.reading
        with open_shard(location) as shard:
            if record.sha256 and shard.sha256() != record.sha256:
                raise ShardError(record.name, "it has changed since it was scored; audit it again")
            if repairs:
                extract_samples(shard, self.quarantine / record.name, set(repairs))
            edits: dict[str | int, Edit] = {i: DROP for i, item in repairs.items() if item.caption is None}
            changed = repairs.keys() - edits.keys()
            members = caption_members(shard, changed, options) if changed else {}
            for sample in read_shard(shard, options) if changed else ():
                if isinstance(sample, Sample) and sample.index in changed:
                    item = repairs[sample.index]
                    edits[sample.index] = self._edit(sample, item, members.get(sample.index, {}))
            rewrite_shard(shard, self.destination / record.name, edits)

    def _edit(self, sample: Sample, item: Repair, captions: Mapping[str, bytes]) -> dict[str, bytes | None]:
        caption = item.caption or ""
        edit: dict[str, bytes | None] = {}
        for extension, data in captions.items():
            new = edit_caption(data, extension, self.reading.caption_fields, lambda text: caption, once=True)
            if new is not None:
                edit[extension] = new
        if self.images_too and item.image is not None:
            extension = Path(sample.image_name).suffix.lower()
            edit[extension] = encode_image(item.image, extension)
        return edit


def check_destination(destination: Path, locations: Sequence[str]) -> None:
    """Refuses to write over the input.

    Raises:
        ConfigError: it would.
    """
    target = destination.resolve()
    for location in locations:
        if "://" not in location and Path(location).resolve().parent == target:
            raise ConfigError(f"--sanitize {destination}: holds {Path(location).name}; choose another folder")
