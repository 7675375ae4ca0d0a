"""Walk a tar file member by member, trusting nothing.

`tarfile` parses the 512-byte header blocks here, but does not do the walking: its own iterator stops in
silence at a damaged header, accepts a file without its end, and reads extension headers of any claimed size
into memory. The walk also keeps the byte range of every member, which lets `write` preserve bytes.
"""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, Literal

from srdscan.sources.base import ShardError

__all__ = ["BLOCK", "PAX_TYPES", "Member", "ShardError", "parse_pax", "walk_members"]

BLOCK: Final = 512
MAX_EXTENSION_BYTES: Final = 1 << 20
"""Largest pax or GNU long-name header that is read; real ones hold a few hundred bytes."""

_ZEROS: Final = bytes(BLOCK)
PAX_TYPES: Final = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_LONG_TYPES: Final = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_RENAMING: Final = ("path", "size", "GNU.sparse")
_COMPRESSED: Final = (
    (b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\x00", "xz"), (b"\x28\xb5\x2f\xfd", "zstd")
)  # fmt: skip

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

MemberKind = Literal["file", "sparse", "directory", "global", "other"]


@dataclass(frozen=True, slots=True)
class Member:
    """One tar member and where its bytes lie.

    Attributes:
        name: full name; bytes that are not UTF-8 appear as `\\xff` escapes.
        kind: "file", "sparse", "directory", "global" (pax header for the whole archive) or "other" (links,
            devices, unknown types).
        safe: False for absolute names, `..`, control characters and names that are not UTF-8.
        offset: first byte, at the extension headers if there are any.
        header: first byte of the 512-byte header block itself.
        data: first byte of the content.
        size: bytes of content.
        end: first byte after the content and its padding.
    """

    name: str
    kind: MemberKind
    safe: bool
    offset: int
    header: int
    data: int
    size: int
    end: int


def walk_members(file: BinaryIO, path: str) -> Iterator[Member]:
    """Yield the members in order; a member whose content is cut off is yielded first and reported next.

    Every step seeks before it reads, so that the caller may read and seek `file` between members.

    Args:
        file: the shard, opened for reading in binary mode, seekable.
        path: what to call it in errors.

    Raises:
        ShardError: compressed, empty or no tar; damaged or oversized header; cut content; end-of-archive
            blocks missing; anything but zeros after them.
    """
    total = file.seek(0, os.SEEK_END)
    if total == 0:
        raise ShardError(path, "empty file")
    start = offset = 0
    long_name: bytes | None = None
    pax: dict[str, bytes] = {}
    while True:
        block = _read_at(file, offset, BLOCK)
        if block == _ZEROS:
            if start != offset:
                raise ShardError(path, "extension header without a member", start)
            _check_end(file, path, offset, total)
            return
        info = _parse_header(block, path, offset, total)
        data = offset + BLOCK
        if info.type in (*PAX_TYPES, *_LONG_TYPES, tarfile.XGLTYPE):
            if info.size > MAX_EXTENSION_BYTES:
                raise ShardError(path, f"extension header of {info.size:,} bytes", offset, "Do not trust it.")
            content = _read_at(file, data, info.size)
            end = data + _padded(info.size)
            if end > total:
                raise ShardError(path, "cut off in an extension header", total)
            if info.type == tarfile.XGLTYPE:
                if start != offset or any(key.startswith(_RENAMING) for key in _pax(content, path, offset)):
                    # it would rename or resize every member after it: no writer of data sets does that
                    raise ShardError(path, "global header that redefines members", offset, "Do not trust it.")
                yield Member("", "global", True, offset, offset, data, info.size, end)
                start = end
            elif info.type in PAX_TYPES:
                pax = {**_pax(content, path, offset), **pax}  # like tarfile, the outermost header wins
            elif info.type == tarfile.GNUTYPE_LONGNAME and long_name is None:
                long_name = content.partition(b"\0")[0]
            offset = end
            continue
        member = _member(block, info, start, offset, long_name, pax, file, path)
        yield member
        if member.data + member.size > total:
            raise ShardError(path, f"cut off in the middle of {member.name!r}", total)
        start = offset = member.end
        long_name, pax = None, {}


def parse_pax(content: bytes) -> list[tuple[str, bytes]]:
    """Split a pax header into its (keyword, value) records.

    Raises:
        ValueError: a record does not read "LENGTH KEYWORD=VALUE newline".
    """
    records = []
    position = 0
    while position < len(content) and content[position]:
        digits, _, _ = content[position : position + 20].partition(b" ")
        end = position + int(digits) if digits.isdigit() else 0
        keyword, equals, value = content[position + len(digits) + 1 : end].partition(b"=")
        if not keyword or not equals or not value.endswith(b"\n") or end > len(content):
            raise ValueError(f"malformed pax record at byte {position}")
        records.append((keyword.decode("utf-8", "surrogateescape"), value[:-1]))
        position = end
    return records


def _pax(content: bytes, path: str, offset: int) -> dict[str, bytes]:
    try:
        return dict(parse_pax(content))
    except ValueError as error:
        raise ShardError(path, "damaged pax header", offset) from error


def _read_at(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _parse_header(block: bytes, path: str, offset: int, total: int) -> tarfile.TarInfo:
    for magic, name in _COMPRESSED if offset == 0 else ():
        if block.startswith(magic):
            raise ShardError(path, f"compressed with {name}", remedy="Decompress it into a plain .tar.")
    if offset and len(block) < BLOCK:
        problem = "cut off in a header" if any(block) else "end-of-archive blocks missing"
        raise ShardError(path, problem, total)
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        if info.size < 0:
            raise ValueError("negative size")
    except (tarfile.HeaderError, ValueError) as error:
        if offset == 0:
            raise ShardError(path, "not a tar file", 0) from error
        raise ShardError(path, "damaged header", offset) from error
    return info


def _member(
    block: bytes,
    info: tarfile.TarInfo,
    start: int,
    header: int,
    long_name: bytes | None,
    pax: dict[str, bytes],
    file: BinaryIO,
    path: str,
) -> Member:
    """Combine a header block with the extension headers before it."""
    name = info.name
    if "path" in pax:
        name = pax["path"].decode("utf-8", "surrogateescape").rstrip("/")
    elif long_name is not None:
        name = long_name.decode("utf-8", "surrogateescape")
    size = info.size
    if "size" in pax:
        if not pax["size"].isdigit() or len(pax["size"]) > 20:
            raise ShardError(path, "damaged pax header", start)
        size = int(pax["size"])
    data = header + BLOCK
    kind: MemberKind = "other"
    if info.type == tarfile.GNUTYPE_SPARSE:
        kind = "sparse"
        more = block[482]
        while more:  # old GNU sparse files carry further map blocks between header and content
            extra = _read_at(file, data, BLOCK)
            if len(extra) < BLOCK:
                raise ShardError(path, "cut off in a sparse map", data)
            more, data = extra[504], data + BLOCK
    elif info.isreg():
        kind = "sparse" if any(key.startswith("GNU.sparse") for key in pax) else "file"
    elif info.isdir():
        kind = "directory"
    # like tarfile: links, devices and directories have no content, whatever size they claim
    has_content = info.isreg() or info.type not in tarfile.SUPPORTED_TYPES
    size = size if has_content else 0
    parts = name.replace("\\", "/").split("/")
    safe = not (_CONTROL.search(name) or ".." in parts or parts[0] == "" or re.match(r"[A-Za-z]:/", name))
    shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return Member(shown, kind, safe, start, header, data, size, data + _padded(size))


def _check_end(file: BinaryIO, path: str, offset: int, total: int) -> None:
    """Demand two zero blocks at `offset` and nothing but zeros up to the end of the file."""
    if total - offset < 2 * BLOCK:
        raise ShardError(path, "end-of-archive blocks missing", total)
    file.seek(offset)
    position = offset
    while chunk := file.read(1 << 20):
        if chunk.count(0) != len(chunk):
            bad = position + len(chunk) - len(chunk.lstrip(b"\0"))
            raise ShardError(path, "data after the end of the archive", bad)
        position += len(chunk)
