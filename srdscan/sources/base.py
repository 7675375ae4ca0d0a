"""What a source hands out: samples, and the reasons why some cannot be audited."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


class ShardError(Exception):
    """A shard that cannot be read, or not to its end.

    Attributes:
        path: where the shard is: its path, or its URL without credentials and query.
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


Reason = Literal[
    "no_caption",
    "no_image",
    "empty_caption",
    "undecodable",  # this and oversized_image are found by images.decode_image, later
    "oversized_image",
    "oversized_member",
    "duplicate_key",
    "duplicate_member",
    "not_utf8",
    "bad_json",
    "no_caption_field",
    "unsafe_name",
    "not_regular_file",
    "damaged_shard",
]
"""Why a sample cannot be audited."""


@dataclass(frozen=True, slots=True)
class Sample:
    """An image and its caption.

    Attributes:
        shard: base file name of the shard.
        key: webdataset's key, folder included.
        caption: the data set's caption, without surrounding white space; not empty.
        image: the bytes of the image file, not decoded.
        image_name: name of the member the image came from.
        caption_name: name of the member the caption came from.
        index: position in the shard, from 0, counting regular and irregular samples alike.
    """

    shard: str
    key: str
    caption: str
    image: bytes
    image_name: str
    caption_name: str
    index: int


@dataclass(frozen=True, slots=True)
class Irregular:
    """A sample that cannot be audited, and why.

    Attributes:
        shard: base file name of the shard.
        key: the sample's key; for a stray link or device without one, the member's name.
        reason: one word, for counting.
        detail: one line, for the report. It may quote hostile names: escape it like any caption.
        index: position in the shard, from 0, counting regular and irregular samples alike.
    """

    shard: str
    key: str
    reason: Reason
    detail: str
    index: int = -1


@dataclass(frozen=True)
class IrregularSample:
    """A sample that could not be audited.

    Attributes:
        shard: The shard's file name.
        key: The sample's key.
        reason: The kind of trouble; a key of `Report.irregular`.
        detail: What exactly, e.g. the decoder's message.
    """

    shard: str
    key: str
    reason: str
    detail: str


@dataclass(frozen=True)
class ReadOptions:
    """What to take for image and caption, and what is too large to be either.

    Attributes:
        caption_fields: fields of a .json member that may hold the caption; the first one present is taken.
        caption_exts: extensions of caption members, the preferred one first.
        image_exts: extensions of image members, the preferred one first.
        max_member_bytes: largest image member that is read.
        max_json_bytes: largest .json member that is read.
        max_caption_chars: longest caption, in characters.
    """

    caption_fields: tuple[str, ...] = ("caption", "captions", "text")
    caption_exts: tuple[str, ...] = (".txt", ".json")
    image_exts: tuple[str, ...] = (".jpg", ".jpeg", ".png", ".webp")
    max_member_bytes: int = 64 << 20
    max_json_bytes: int = 1 << 20
    max_caption_chars: int = 10_000
