"""WebDataset shards as a source."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from srdscan.sources.base import Edit, Irregular, Leftover, ReadOptions, Sample, Unit
from srdscan.sources.captions import edit_file
from srdscan.sources.tar.files import ShardFile, find_shards, open_shard
from srdscan.sources.tar.members import place_members
from srdscan.sources.tar.read import read_shard
from srdscan.sources.tar.walk import walk_members
from srdscan.sources.tar.write import DROP, MemberEdits, extract_samples, rewrite_shard

Members = Mapping[str, bytes | None]


class TarSource:
    """WebDataset shards: `.tar`, `.tar.gz` and `.tgz` files, in folders and below them, or behind URLs.

    Args:
        patterns: folders, globs, brace ranges, paths and URLs.

    Raises:
        ShardSpecError: a pattern matches nothing, or names what cannot be read.
    """

    format = "webdataset"

    def __init__(self, patterns: Sequence[str]) -> None:
        found = find_shards(patterns)
        self.units: Sequence[Unit] = found.units
        self.leftovers: Sequence[Leftover] = found.leftovers

    @contextmanager
    def open(self, unit: Unit) -> Iterator[TarUnit]:
        """Downloads and decompresses where that is needed.

        Raises:
            ShardError: it is missing, or cannot be read or downloaded.
        """
        with open_shard(unit.location, name=unit.name) as shard:
            yield TarUnit(shard)


class TarUnit:
    """An open shard."""

    def __init__(self, shard: ShardFile) -> None:
        self.shard = shard

    def sha256(self) -> str:
        """Of the shard's bytes as they are stored."""
        return self.shard.sha256()

    def read(self, options: ReadOptions) -> Iterator[Sample | Irregular]:
        """See `read_shard`."""
        return read_shard(self.shard, options)

    def rewrite(self, folder: Path, edits: Mapping[int, Edit], options: ReadOptions) -> None:
        """The shard with edited members; compressed as it was."""
        rewrite_shard(self.shard, folder / self.shard.name, self._member_edits(edits, options))

    def extract(self, folder: Path, samples: Collection[int], options: ReadOptions) -> None:
        """All members of some samples."""
        extract_samples(self.shard, folder / plain_name(self.shard.name), samples)

    def _member_edits(self, edits: Mapping[int, Edit], options: ReadOptions) -> dict[str | int, MemberEdits]:
        """What the edits mean for members, by sample and extension."""
        found: dict[str | int, MemberEdits] = {index: DROP for index, edit in edits.items() if edit.drop}
        kept = {index: edit for index, edit in edits.items() if not edit.drop}
        files = self._caption_files(kept, options) if kept else {}
        for item in self.read(options) if kept else ():
            if isinstance(item, Sample) and item.index in kept:
                found[item.index] = _members(item, kept[item.index], files[item.index], options)
        if missing := edits.keys() - found.keys():
            raise ValueError(f"shard {self.shard.name}: nothing to edit under {sorted(missing)[:5]}")
        return found

    def _caption_files(self, wanted: Collection[int], options: ReadOptions) -> dict[int, dict[str, tuple[str, bytes]]]:
        """Name and content of the caption members of some samples, by extension."""
        found: dict[int, dict[str, tuple[str, bytes]]] = defaultdict(dict)
        with open(self.shard.path, "rb") as file:
            for placed in place_members(walk_members(file, self.shard.location)):
                member = placed.member
                if placed.index in wanted and placed.ext in options.caption_exts and member.kind == "file":
                    if member.size > options.max_json_bytes:
                        continue  # it was not read, either
                    file.seek(member.data)
                    found[placed.index][placed.ext] = (member.name, file.read(member.size))  # type: ignore[index]
        return found


def _members(sample: Sample, edit: Edit, files: Mapping[str, tuple[str, bytes]], options: ReadOptions) -> MemberEdits:
    """New content of a sample's members that change."""
    if {place for place, new in edit.captions.items() if new is None} == {*range(len(sample.captions))}:
        return DROP
    changed: dict[str, bytes | None] = {}
    texts = {sample.captions[place].text: new for place, new in edit.captions.items()}
    for ext, (name, data) in files.items():
        new = edit_file(data, name, ext, options, texts)
        if new != data:
            changed[ext] = new
    for place, content in edit.images.items():
        name = sample.images[place].name
        ext = next(ext for ext in options.image_exts if name.lower().endswith(ext))
        changed[ext] = content
    return changed


def plain_name(name: str) -> str:
    """The name of an uncompressed tar in the place of a compressed one."""
    for ending in (".tar.gz", ".tgz", ".tar"):
        if name.lower().endswith(ending):
            return name[: -len(ending)] + ".tar"
    return name
