"""From what the user typed to shards on the local disk: expansion of patterns, fingerprint."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Final
from urllib.parse import unquote, urlsplit

import braceexpand

from srdscan.sources.base import ShardError, ShardSpecError
from srdscan.sources.download import fetched
from srdscan.sources.where import check_scheme, expand_remote, is_http, is_remote, redacted

__all__ = ["ShardFile", "ShardSpecError", "expand_shards", "fingerprint", "open_shard", "shard_name"]

MAX_SHARDS: Final = 1_000_000
"""More than LAION-5B has; a range with a typo in it must not fill the memory."""

_CHUNK: Final = 1 << 20
_RANGE: Final = re.compile(r"\{(-?\d+)\.\.(-?\d+)(?:\.\.(-?\d+))?\}")


@dataclass(frozen=True)
class ShardFile:
    """A shard that lies on the local disk for as long as `open_shard` holds it.

    Attributes:
        name: base file name, which identifies the shard in every report.
        path: where its bytes are now; a temporary file for a URL.
        size: bytes.
        location: the path or URL it came from, without credentials and query, for messages.
    """

    name: str
    path: Path
    size: int
    location: str
    _digest: list[str] = field(default_factory=list, repr=False, compare=False)

    def sha256(self) -> str:
        """Hex digest of the bytes; computed once, and already known after a download."""
        if not self._digest:
            with _readable(self.path, self.location) as file:
                digest = hashlib.sha256()
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
            self._digest.append(digest.hexdigest())
        return self._digest[0]


def expand_shards(patterns: Sequence[str]) -> list[str]:
    """Turn folders, globs, brace expansions, paths and URLs into a list of shards.

    Patterns keep their order; within a folder or a glob shards are in natural order (`x-2.tar` before
    `x-10.tar`). A shard named twice is listed once.

    Args:
        patterns: what the user typed, one shard or many each.

    Returns:
        Paths and URLs, at least one.

    Raises:
        ShardSpecError: a pattern matches nothing; a brace expansion names shards that do not exist; a scheme
            that is not read, `pipe:` above all; two different shards with one file name.

    >>> expand_shards(["https://example.org/x-{000000..000002}.tar"])[-1]
    'https://example.org/x-000002.tar'
    """
    found: dict[str, str] = {}  # identity -> as typed
    for pattern in patterns:
        for shard in _expand(pattern):
            found.setdefault(shard if is_remote(shard) else os.path.abspath(shard), shard)
    if not found:
        raise ShardSpecError("no shards given. Name a folder, a glob, a brace range, a .tar file or a URL.")
    by_name: dict[str, str] = {}
    for shard in found.values():
        other = by_name.setdefault(shard_name(shard), shard)
        if other != shard:
            raise ShardSpecError(
                f"{other} and {shard} have the same file name, which identifies a shard in the report. "
                "Rename one or audit the two folders separately."
            )
    return list(found.values())


def shard_name(shard: str | os.PathLike[str]) -> str:
    """The base file name of a path or URL, without the URL's query."""
    text = os.fspath(shard)
    if is_http(text):
        text = unquote(urlsplit(text).path)
    return (text if is_remote(text) else os.path.normpath(text)).rpartition("/")[2]


@contextmanager
def open_shard(shard: str | os.PathLike[str], *, timeout: float = 60.0) -> Iterator[ShardFile]:
    """Bring a shard to the local disk: a path is used where it is, a URL is downloaded to a temporary file.

    Args:
        shard: path or URL.
        timeout: seconds that a download may stall.

    Yields:
        The shard; a downloaded file is gone when the context ends.

    Raises:
        ShardError: missing or unreadable file; failed, redirected elsewhere, cut off or endless download.
        ShardSpecError: a scheme that is not read.
    """
    text = os.fspath(shard)
    if is_remote(text):
        with fetched(text, ".tar", timeout) as (path, size, digest):
            yield ShardFile(shard_name(text), path, size, redacted(text), [digest])
        return
    check_scheme(text)
    with _readable(Path(text), text) as local:
        size = os.fstat(local.fileno()).st_size
    yield ShardFile(shard_name(text), Path(text), size, text)


def fingerprint(shard: str | os.PathLike[str]) -> str:
    """SHA-256 of a shard's bytes, in hex. To read and fingerprint with one download use `open_shard`.

    Raises:
        ShardError: the shard cannot be read or downloaded.
    """
    with open_shard(shard) as file:
        return file.sha256()


def _expand(pattern: str) -> Iterable[str]:
    if os.path.exists(pattern) and not pattern.startswith("pipe:"):
        if not os.path.isdir(pattern):
            return [pattern]
        inside = glob.iglob(os.path.join(glob.escape(pattern), "*.tar"))
        return _some(pattern, inside, "no .tar file in the folder")
    for first, last, step in _RANGE.findall(pattern):
        # asked first: braceexpand builds every range as a whole, whatever the islice below would take of it
        if abs(int(last) - int(first)) // max(abs(int(step or 1)), 1) >= MAX_SHARDS:
            raise ShardSpecError(f"{pattern}: more than {MAX_SHARDS:,} shards. Check the range.")
    try:
        items = list(islice(braceexpand.braceexpand(pattern, escape=False), MAX_SHARDS + 1))
    except ValueError as error:
        raise ShardSpecError(f"cannot expand {pattern!r}: {error}. Check its braces.") from error
    if len(items) > MAX_SHARDS:
        raise ShardSpecError(f"{pattern}: more than {MAX_SHARDS:,} shards. Check the range.")
    shards: list[str] = []
    missing: list[str] = []
    for item in items:
        if is_remote(item):
            remote = expand_remote(item)
            shards.extend([item] if remote == [item] else (url for url in remote if url.endswith(".tar")))
            continue
        check_scheme(item)
        if os.path.isfile(item):
            shards.append(item)
        elif glob.has_magic(item):
            shards.extend(_some(item, glob.iglob(item, recursive=True), "nothing matches"))
        else:
            missing.append(item)
    if missing:
        if len(items) == 1:
            raise ShardSpecError(f"{pattern}: does not exist. Check the path.")
        count = f"{len(missing):,} of {len(items):,} shards do not exist, {missing[0]} first"
        raise ShardSpecError(f"{pattern}: {count}. Check the folder and the range.")
    return shards


def _some(pattern: str, paths: Iterable[str], complaint: str) -> list[str]:
    shards = sorted(filter(os.path.isfile, paths), key=_natural)
    if not shards:
        raise ShardSpecError(f"{pattern}: {complaint}. Check the path.")
    return shards


def _natural(path: str) -> tuple[list[tuple[int, str]], str]:
    parts = re.split(r"([0-9]+)", path)  # text and digits alternate, so that positions always compare alike
    return [(int(part), "") if i % 2 else (0, part) for i, part in enumerate(parts)], path


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
