"""What a source is: a data set in one form, as units that are read, fingerprinted, resumed and rewritten as a whole.

    source = find_source(["shards/"])
    for unit in source.units:
        with source.open(unit) as opened:
            opened.sha256()
            for item in opened.read(options): ...          # Sample or Irregular, nothing is left out
            opened.rewrite(folder, {3: Edit({1: "a red bus"})}, options)

To add a form, write a class with these methods in a module of its own, test it with
`srdscan.sources.check.check_source`,
and name it in `srdscan.sources.find.FORMATS`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol


class ShardError(Exception):
    """A unit that cannot be read, or not to its end.

    Attributes:
        path: where the unit is: its path, or its URL without credentials and query.
        problem: what is wrong, without the position.
        offset: byte at which it went wrong, or None.
        samples_read: complete samples that were handed out before the damage.
        remedy: what the user can do about it.
    """

    def __init__(
        self,
        path: str,
        problem: str,
        offset: int | None = None,
        remedy: str = "Re-download it.",
        samples_read: int = 0,
    ) -> None:
        super().__init__(path, problem, offset, remedy, samples_read)
        self.path = path
        self.problem = problem
        self.offset = offset
        self.remedy = remedy
        self.samples_read = samples_read

    def __reduce__(self) -> tuple[type[ShardError], tuple[str, str, int | None, str, int]]:
        # samples_read is filled in late: pickling by the original args would lose it between workers
        return type(self), (self.path, self.problem, self.offset, self.remedy, self.samples_read)

    def __str__(self) -> str:
        where = "" if self.offset is None else f" at byte {self.offset}"
        name = self.path.rstrip("/").rpartition("/")[2]
        read = f"{self.samples_read:,} sample{'' if self.samples_read == 1 else 's'} read"
        return f"shard {name}: {self.problem}{where} ({read}). {self.remedy}"


class ShardSpecError(ValueError):
    """What the user typed does not name a data set."""


Reason = Literal[
    "no_caption",
    "no_image",
    "empty_caption",
    "undecodable",  # this and oversized_image are found by images.decode_image, later
    "oversized_image",
    "oversized_member",
    "duplicate_key",
    "duplicate_member",
    "collapsed_keys",
    "not_utf8",
    "bad_json",
    "no_caption_field",
    "unsafe_name",
    "missing_image",
    "not_regular_file",
    "no_sample",
    "damaged_shard",
]
"""Why a sample, or a part of one, cannot be audited."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image of a sample, not decoded.

    Attributes:
        name: of its member, its path below the data set's root, or its column.
        data: the bytes of the file.
    """

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Caption:
    """A caption of a sample; equal texts of one sample are one caption that stands in several places.

    Attributes:
        text: without surrounding white space; not empty.
        places: where it stands, in words for people: `a.txt line 2`, `a.json captions[1]`, `column caption`.
        question: what the image's caption answers, in a conversation; else empty.
    """

    text: str
    places: tuple[str, ...]
    question: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """All images and all captions that belong together; each image with each caption is a pair.

    Attributes:
        shard: name of the unit.
        key: names the sample within its unit.
        images: at least one.
        captions: at least one; their texts differ.
        index: position in the unit, from 0, counting regular and irregular samples alike.
        uid: 32 hexadecimal digits that name the sample wherever it is stored; empty if it has none.
    """

    shard: str
    key: str
    images: tuple[ImageFile, ...]
    captions: tuple[Caption, ...]
    index: int
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Irregular:
    """A sample that cannot be audited, or of which a part cannot, and why.

    Attributes:
        shard: name of the unit.
        key: the sample's key; for what has none, the member's name.
        reason: one word, for counting.
        detail: one line, for the report. It may quote hostile names: escape it like any caption.
        index: position in the unit, from 0, as a sample's; of a part, that of its sample.
        partial: the sample itself is handed out, without what this is about.
        samples: how many samples a trainer may see in it, where one key hides several.
    """

    shard: str
    key: str
    reason: Reason
    detail: str
    index: int = -1
    partial: bool = False
    samples: int = 1


@dataclass(frozen=True)
class Edit:
    """What to do with a sample; everything else about it keeps its bytes.

    Attributes:
        captions: by place in `Sample.captions`: the new text wherever the caption stands, or None to take only this
            caption out. A sample that loses all its captions goes as a whole.
        images: by place in `Sample.images`: the new content of the file.
        drop: the whole sample goes.
    """

    captions: Mapping[int, str | None] = field(default_factory=dict)
    images: Mapping[int, bytes] = field(default_factory=dict)
    drop: bool = False


@dataclass(frozen=True)
class ReadOptions:
    """What to take for images and captions, and what is too large to be either.

    Attributes:
        caption_fields: fields of JSON, columns of a table that hold captions: texts, or lists of texts. All are taken.
        image_field: column or field of the image; None looks for the usual names.
        txt: `lines` takes each line of a text file for a caption, `whole` the whole file.
        caption_exts: extensions of files with captions.
        image_exts: extensions of files with images.
        max_member_bytes: largest image file that is read.
        max_json_bytes: largest .json file of a sample that is read.
        max_caption_chars: longest caption, in characters.
    """

    caption_fields: tuple[str, ...] = ("caption", "captions", "text")
    image_field: str | None = None
    txt: Literal["lines", "whole"] = "lines"
    caption_exts: tuple[str, ...] = (".txt", ".caption", ".json")
    image_exts: tuple[str, ...] = (".jpg", ".jpeg", ".png", ".webp")
    max_member_bytes: int = 64 << 20
    max_json_bytes: int = 1 << 20
    max_caption_chars: int = 10_000


@dataclass(frozen=True, slots=True)
class Unit:
    """A part of a data set that is read and rewritten as a whole.

    Attributes:
        name: its path below the common root of all units, with forward slashes; names it in every report, and in what
            is written.
        location: path or URL, as it is opened.
    """

    name: str
    location: str


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file that lies among the data and was not taken, although it looks as if it belonged to them.

    Attributes:
        name: its path below the common root.
        reason: why, in words: `a dangling link`, `compressed with zstd`.
        unread: whether a trainer may read it, so that the audit is incomplete without it.
    """

    name: str
    reason: str
    unread: bool = True


class OpenUnit(Protocol):
    """A unit whose bytes are at hand for as long as `Source.open` holds it."""

    def sha256(self) -> str:
        """Hex digest over every byte that its samples are made of."""
        ...

    def read(self, options: ReadOptions) -> Iterator[Sample | Irregular]:
        """Every sample in order, those that cannot be audited as `Irregular`; again the same each time.

        A part of a sample that cannot be audited comes, `partial`, before the sample.

        Raises:
            ShardError: the unit is damaged, after every sample that was complete before the damage.
        """
        ...

    def rewrite(self, folder: Path, edits: Mapping[int, Edit], options: ReadOptions) -> None:
        """Writes the unit under its name into a folder, in kind, changing nothing but what was asked for.

        What is written is complete: with the files that it names. Without edits it is the same, byte for byte.

        Raises:
            ShardError: the unit is damaged; nothing is written then.
            ValueError: an edit names a sample that is not there; nothing is written then.
        """
        ...

    def extract(self, folder: Path, samples: Collection[int], options: ReadOptions) -> None:
        """Writes the original bytes of some samples into a tar under the unit's name, for the quarantine.

        Raises:
            ShardError: the unit is damaged; nothing is written then.
        """
        ...


class Source(Protocol):
    """A data set in one form; `check.check_source` tests an implementation.

    Attributes:
        format: its name, as `--format` takes it.
        units: in the order of reading.
        leftovers: files among the data that were not taken.
    """

    format: str
    units: Sequence[Unit]
    leftovers: Sequence[Leftover]

    def open(self, unit: Unit) -> AbstractContextManager[OpenUnit]:
        """Brings a unit to the local disk.

        Raises:
            ShardError: it is missing, or cannot be read or downloaded.
        """
        ...
