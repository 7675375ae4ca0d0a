"""Write shards from shards, changing nothing but what was asked for.

Members that are not edited keep their original bytes: extension headers, header block, content and padding.
A shard rewritten without edits is therefore the same file, byte for byte.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import IO, BinaryIO, Final, Literal, TypeAlias

from srdscan.sources.base import ShardError
from srdscan.sources.tar.files import ShardFile, open_shard
from srdscan.sources.tar.members import Placed, place_members
from srdscan.sources.tar.walk import BLOCK, PAX_TYPES, Member, parse_pax, walk_members

__all__ = ["DROP", "MemberEdits", "extract_samples", "rewrite_shard"]


class _Drop(Enum):
    DROP = "drop"


DROP: Final = _Drop.DROP
"""Edit that removes every member of a sample."""

MemberEdits: TypeAlias = Mapping[str, bytes | None] | Literal[_Drop.DROP]
"""Lower-case extension with its dot -> new content of that member, or None to remove the member; or `DROP`."""
Edits: TypeAlias = Mapping[str, MemberEdits] | Mapping[int, MemberEdits] | Mapping[str | int, MemberEdits]

_COPY_BYTES: Final = 1 << 20
_RECORD: Final = 20 * BLOCK  # tar pads archives to whole records of 20 blocks


def rewrite_shard(
    source: str | os.PathLike[str] | ShardFile, destination: str | os.PathLike[str], edits: Edits
) -> None:
    """Copy a shard and apply edits on the way; in constant memory, and never leaving half a file behind.

    A sample is named by its key (then every sample with that key is edited) or by its `index` as `read_shard`
    reports it (then exactly that one, which is how to address duplicate keys).

        rewrite_shard("in/a-000000.tar", "out/a-000000.tar", {"17": {".txt": b"a red bus"}, "18": DROP})

    A member with new content keeps its header but for size and checksum. The bytes are written to
    `destination` + ".partial" and moved into place at the end.

    Args:
        source: path, URL, or what `open_shard` yielded.
        destination: path of the new shard; its folder is created. Not the source itself.
        edits: what to do with which sample; all others are copied.

    Raises:
        ShardError: the source is damaged; nothing is written then.
        ValueError: an edit names a sample or a member that is not there, or a member that is not an ordinary
            file, or destination is source; nothing is written then.
    """
    wanted: dict[str | int, MemberEdits] = {**edits}  # type: ignore[dict-item]  # a union of mappings
    with _source(source) as (file, shard):
        if shard.compressed and not wanted:
            with shard.original.open("rb") as original, _partial(shard, destination) as out:
                shutil.copyfileobj(original, out, _COPY_BYTES)
        else:
            _rewrite(file, shard, destination, wanted)


def _rewrite(
    file: BinaryIO, shard: ShardFile, destination: str | os.PathLike[str], wanted: Mapping[str | int, MemberEdits]
) -> None:
    with _partial(shard, destination, packed=shard.compressed) as out:
        unused: set[str | int | tuple[str | int, str]] = set(wanted)
        unused |= {(name, ext) for name, edit in wanted.items() if edit is not DROP for ext in edit}
        copied = 0  # everything before this byte of the source is dealt with
        for placed in place_members(walk_members(file, shard.location)):
            name = _selector(placed, wanted)
            if name is None:
                continue
            unused.discard(name)
            edit = wanted[name]
            if edit is not DROP and placed.ext not in edit:
                continue
            unused.discard((name, placed.ext))
            content = None if edit is DROP else edit[placed.ext]
            _copy(file, out, copied, placed.member.offset)
            if content is not None:
                _write_edited(file, out, shard, placed.member, content)
            copied = placed.member.end
        if unused:
            raise ValueError(f"shard {shard.name}: nothing to edit under {sorted(map(str, unused))[:5]}")
        _copy(file, out, copied, shard.size)


def extract_samples(
    source: str | os.PathLike[str] | ShardFile,
    destination: str | os.PathLike[str],
    samples: Collection[str] | Collection[int] | Collection[str | int],
) -> int:
    """Write only the named samples, with their original bytes, into a new tar.

    Args:
        source: path, URL, or what `open_shard` yielded.
        destination: path of the new tar; its folder is created. Not the source itself.
        samples: keys or indices, as for `rewrite_shard`.

    Returns:
        How many samples were written; more than asked for where a key occurs twice.

    Raises:
        ShardError: the source is damaged; nothing is written then.
        ValueError: a sample is not there, or destination is source; nothing is written then.
    """
    wanted: dict[str | int, None] = dict.fromkeys(samples)
    written: set[int | None] = set()
    found: set[str | int] = set()
    with _source(source) as (file, shard), _partial(shard, destination) as out:
        for placed in place_members(walk_members(file, shard.location)):
            name = _selector(placed, wanted)
            if name is not None:
                found.add(name)
                written.add(placed.index)
                _copy(file, out, placed.member.offset, placed.member.end)
        if len(found) < len(wanted):
            missing = sorted(str(name) for name in wanted if name not in found)
            raise ValueError(f"shard {shard.name}: no such samples: {missing[:5]}")
        end = out.tell() + 2 * BLOCK
        out.write(bytes(-(-end // _RECORD) * _RECORD - out.tell()))
    return len(written)


def _selector(placed: Placed, wanted: Mapping[str | int, object]) -> str | int | None:
    """The name under which a member's sample is wanted; its index goes before its key."""
    if placed.index is None:
        return None
    if placed.index in wanted:
        return placed.index
    return placed.key if placed.key in wanted else None


@contextmanager
def _source(source: str | os.PathLike[str] | ShardFile) -> Iterator[tuple[BinaryIO, ShardFile]]:
    if isinstance(source, ShardFile):
        with open(source.path, "rb") as file:
            yield file, source
    else:
        with open_shard(source) as shard, open(shard.path, "rb") as file:
            yield file, shard


@contextmanager
def _partial(shard: ShardFile, destination: str | os.PathLike[str], packed: bool = False) -> Iterator[IO[bytes]]:
    """A file that takes the name `destination` only when everything went well; compressed on the way if asked for."""
    target = Path(destination)
    if target.exists() and target.samefile(shard.original):
        raise ValueError(f"{target}: would overwrite the original shard. Choose another folder.")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    plain = target.with_name(target.name + ".plain.partial") if packed else partial
    try:
        with plain.open("w+b") as out:
            yield out
        if packed:
            with (
                plain.open("rb") as whole,
                partial.open("wb") as file,
                gzip.GzipFile("", "wb", 6, file, mtime=0) as pack,
            ):
                shutil.copyfileobj(whole, pack, _COPY_BYTES)
            plain.unlink()
        os.replace(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        plain.unlink(missing_ok=True)
        raise


def _copy(file: BinaryIO, out: IO[bytes], start: int, end: int) -> None:
    """Copy the bytes [start, end). A source that ends early is noticed by the walk, not here."""
    file.seek(start)
    while start < end and (chunk := file.read(min(_COPY_BYTES, end - start))):
        out.write(chunk)
        start += len(chunk)


def _write_edited(file: BinaryIO, out: IO[bytes], shard: ShardFile, member: Member, content: bytes) -> None:
    """Write a member's original headers, corrected for the new size, and the new content."""
    if member.kind != "file":
        raise ValueError(f"shard {shard.name}: {member.name} is not an ordinary file and cannot be edited")
    offset = member.offset
    while offset < member.header:  # extension headers: only a pax record of the size has to change
        file.seek(offset)
        block = file.read(BLOCK)
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        extension = file.read(info.size)
        offset += BLOCK + info.size + -info.size % BLOCK
        if info.type in PAX_TYPES:
            changed = _with_size_record(extension, len(content))
            block = _with_size(block, len(changed)) if changed != extension else block
            extension = changed
        out.write(block + extension + bytes(-len(extension) % BLOCK))
    file.seek(member.header)
    header = file.read(BLOCK)
    if len(header) < BLOCK:
        raise ShardError(shard.location, "shrank while it was read", member.header)
    out.write(_with_size(header, len(content)))
    out.write(content)
    out.write(bytes(-len(content) % BLOCK))


def _with_size(header: bytes, size: int) -> bytes:
    """A header block with another size and, if that changes anything, another checksum."""
    field = b"%011o" % size + (b" " if header[135:136] == b" " else b"\0")
    if size >= 8**11:  # GNU's base-256 form, for what eleven octal digits cannot hold
        field = b"\x80" + size.to_bytes(11, "big")
    if field == header[124:136]:
        return header
    blank = header[:124] + field + header[136:148] + b" " * 8 + header[156:]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


def _with_size_record(pax: bytes, size: int) -> bytes:
    """A pax header whose `size` records, if it has any, say `size`."""
    records = parse_pax(pax)
    if not any(keyword == "size" for keyword, _ in records):
        return pax
    return b"".join(_record(keyword, b"%d" % size if keyword == "size" else value) for keyword, value in records)


def _record(keyword: str, value: bytes) -> bytes:
    """One pax record; its leading length counts its own digits."""
    body = b" " + keyword.encode("utf-8", "surrogateescape") + b"=" + value + b"\n"
    length = len(body)
    while len(b"%d" % length) + len(body) != length:
        length = len(b"%d" % length) + len(body)
    return b"%d" % length + body
