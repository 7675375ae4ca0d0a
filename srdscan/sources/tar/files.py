"""From what the user typed to shards on the local disk: expansion of patterns, download, fingerprint."""

from __future__ import annotations

import glob
import gzip
import hashlib
import os
import re
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final
from urllib.parse import unquote, urlsplit

from srdscan.sources.base import Leftover, ShardError, ShardSpecError, Unit
from srdscan.sources.download import MAX_DOWNLOAD_BYTES, fetched
from srdscan.sources.naming import expand_braces, names_below_root, natural
from srdscan.sources.own import is_own_output, lies_in_own_output
from srdscan.sources.where import check_scheme, expand_remote, is_http, is_remote, redacted

__all__ = ["Found", "ShardFile", "expand_shards", "find_shards", "fingerprint", "open_shard", "shard_name"]

PACKED: Final = (".tar.gz", ".tgz")
"""Endings of shards that are decompressed."""
OTHER_ARCHIVES: Final = (".tar.zst", ".tar.xz", ".tar.bz2", ".tar.lz4", ".tbz2", ".txz", ".zip", ".7z", ".rar")
"""Endings of archives that may hold data and are not read."""

_CHUNK: Final = 1 << 20


@dataclass(frozen=True)
class ShardFile:
    """A shard that lies on the local disk for as long as `open_shard` holds it.

    Attributes:
        name: identifies the shard in every report: its path below the common root, or its file name.
        path: where its bytes are now, uncompressed; a temporary file for a URL or a compressed shard.
        size: bytes at `path`.
        location: the path or URL it came from, without credentials and query, for messages.
        original: where its bytes are as they are stored.
    """

    name: str
    path: Path
    size: int
    location: str
    original: Path
    _digest: list[str] = field(default_factory=list, repr=False, compare=False)

    @property
    def compressed(self) -> bool:
        """Whether it is stored compressed."""
        return self.original != self.path

    def sha256(self) -> str:
        """Hex digest of the bytes as they are stored; computed once, and already known after a download."""
        if not self._digest:
            with _readable(self.original, self.location) as file:
                digest = hashlib.sha256()
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
            self._digest.append(digest.hexdigest())
        return self._digest[0]


@dataclass(frozen=True)
class Found:
    """The shards that patterns name, and what lies beside them and was not taken."""

    units: list[Unit]
    leftovers: list[Leftover]


def find_shards(patterns: Sequence[str]) -> Found:
    """Turn folders, globs, brace expansions, paths and URLs into shards.

    Patterns keep their order; within a folder or a glob shards are in natural order (`x-2.tar` before `x-10.tar`).
    Folders are searched with everything below them, but for hidden folders and what srdscan itself wrote. A link that
    leads nowhere is a shard, too: one that cannot be read. A shard named twice is listed once.

    Args:
        patterns: what the user typed, one shard or many each.

    Raises:
        ShardSpecError: a pattern matches nothing; a brace expansion names shards that do not exist; a scheme that is
            not read, `pipe:` above all.

    >>> [unit.name for unit in find_shards(["https://example.org/x-{000000..000002}.tar"]).units][-1]
    'x-000002.tar'
    """
    found: dict[str, str] = {}  # identity -> as typed
    left: dict[str, Leftover] = {}
    for pattern in patterns:
        shards, others = _expand(pattern)
        for shard in shards:
            found.setdefault(shard if is_remote(shard) else os.path.abspath(shard), shard)
        left |= {other.name: other for other in others}
    if not found:
        raise ShardSpecError("no shards given. Name a folder, a glob, a brace range, a .tar file or a URL.")
    locations = list(found.values())
    names = names_below_root(locations)
    return Found([Unit(name, place) for name, place in zip(names, locations, strict=True)], list(left.values()))


def expand_shards(patterns: Sequence[str]) -> list[str]:
    """The paths and URLs of the shards that patterns name; see `find_shards`."""
    return [unit.location for unit in find_shards(patterns).units]


def shard_name(shard: str | os.PathLike[str]) -> str:
    """The base file name of a path or URL, without the URL's query."""
    text = os.fspath(shard)
    if is_http(text):
        text = unquote(urlsplit(text).path)
    return (text if is_remote(text) else os.path.normpath(text)).rpartition("/")[2]


@contextmanager
def open_shard(shard: str | os.PathLike[str], *, timeout: float = 60.0, name: str | None = None) -> Iterator[ShardFile]:
    """Bring a shard to the local disk: a path is used where it is, a URL is downloaded to a temporary file.

    Args:
        shard: path or http(s) URL; compressed with gzip or not.
        timeout: seconds without a byte before a download is given up.
        name: identifies the shard; its file name if None.

    Yields:
        The shard; a downloaded or unpacked file is gone when the context ends.

    Raises:
        ShardError: missing or unreadable file; failed, redirected elsewhere, cut off or endless download; damaged or
            endless compression.
        ShardSpecError: a scheme that is not read.
    """
    text = os.fspath(shard)
    name = name or shard_name(text)
    with ExitStack() as stack:
        digest: list[str] = []
        if is_remote(text):
            original, size, known = stack.enter_context(fetched(text, ".tar", timeout))
            location = redacted(text)
            digest.append(known)
        else:
            check_scheme(text)
            original, location = Path(text), text
            with _readable(original, text) as local:
                size = os.fstat(local.fileno()).st_size
        path = original
        if name.lower().endswith(PACKED):
            unpacked = stack.enter_context(tempfile.NamedTemporaryFile(prefix="srdscan-", suffix=".tar"))
            size, path = _unpack(original, location, unpacked), Path(unpacked.name)
        yield ShardFile(name, path, size, location, original, digest)


def _unpack(original: Path, location: str, file: IO[bytes]) -> int:
    """Decompress a shard into `file`; return its size."""
    size = 0
    try:
        with _readable(original, location) as packed, gzip.GzipFile(fileobj=packed) as plain:
            while chunk := plain.read(_CHUNK):
                size += len(chunk)
                if size > MAX_DOWNLOAD_BYTES:
                    raise ShardError(location, "does not end when it is decompressed", size, "Do not trust it.")
                file.write(chunk)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ShardError(location, f"damaged gzip compression ({error})", size) from error
    file.flush()
    return size


def fingerprint(shard: str | os.PathLike[str]) -> str:
    """SHA-256 of a shard's bytes, in hex. To read and fingerprint with one download use `open_shard`.

    Raises:
        ShardError: the shard cannot be read or downloaded.
    """
    with open_shard(shard) as file:
        return file.sha256()


def _expand(pattern: str) -> tuple[list[str], list[Leftover]]:
    """Shards, and what lies among them and was not taken."""
    if os.path.lexists(pattern) and not pattern.startswith("pipe:"):
        return _folder(pattern) if os.path.isdir(pattern) else ([pattern], [])
    items = expand_braces(pattern)
    shards: list[str] = []
    left: list[Leftover] = []
    missing: list[str] = []
    for item in items:
        if is_remote(item):
            remote = expand_remote(item)
            shards += [item] if remote == [item] else (u for u in remote if u.lower().endswith((".tar", *PACKED)))
            left += [_unread(u, redacted(u)) for u in remote if u.lower().endswith(OTHER_ARCHIVES)]
            continue
        check_scheme(item)
        if os.path.lexists(item) and not os.path.isdir(item):
            shards.append(item)
        elif glob.has_magic(item):
            shards.extend(_matching(item))
        else:
            missing.append(item)
    if missing:
        if len(items) == 1:
            raise ShardSpecError(f"{pattern}: does not exist. Check the path.")
        count = f"{len(missing):,} of {len(items):,} shards do not exist, {missing[0]} first"
        raise ShardSpecError(f"{pattern}: {count}. Check the folder and the range.")
    return shards, left


def _folder(folder: str) -> tuple[list[str], list[Leftover]]:
    """The shards in a folder and below it, in natural order, and the archives there that are none."""
    shards: list[str] = []
    left: list[Leftover] = []
    for place, folders, names in os.walk(folder, followlinks=True):
        if place != folder and is_own_output(place):
            left.append(Leftover(os.path.relpath(place, folder), "written by srdscan", unread=False))
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            path = os.path.join(place, name)
            if name.lower().endswith((".tar", *PACKED)) and not name.startswith("."):
                shards.append(path)
            elif name.lower().endswith(OTHER_ARCHIVES):
                left.append(_unread(name, os.path.relpath(path, folder)))
    if not shards:
        others = f" (there is {left[0].name}: {left[0].reason})" if left else ""
        raise ShardSpecError(f"{folder}: no .tar file in the folder{others}. Check the path.")
    return sorted(shards, key=natural), sorted(left, key=lambda item: item.name)


def _unread(path: str, name: str) -> Leftover:
    """An archive of a kind that is not read."""
    return Leftover(name, f"a .{path.rpartition('.')[2]} archive, which is not read: make a .tar or .tar.gz of it")


def _matching(pattern: str) -> list[str]:
    """What a glob matches, without folders and what srdscan itself wrote."""
    root = os.path.dirname(re.split(r"[*?\[]", pattern, maxsplit=1)[0])
    paths = (path for path in glob.iglob(pattern, recursive=True) if not os.path.isdir(path))
    shards = sorted((path for path in paths if not lies_in_own_output(path, root)), key=natural)
    if not shards:
        raise ShardSpecError(f"{pattern}: nothing matches. Check the path.")
    return shards


@contextmanager
def _readable(path: Path, location: str) -> Iterator[IO[bytes]]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise ShardError(location, f"cannot be read: {error.strerror}", remedy="Check the path.") from error
    with file:
        try:
            yield file
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
            raise ShardError(location, problem, remedy="Check the disk.") from error
