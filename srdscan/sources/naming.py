"""Names of units: their paths below the root that they have in common."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Sequence
from itertools import islice
from typing import Final

import braceexpand

from srdscan.sources.base import ShardSpecError

__all__ = ["MAX_UNITS", "expand_braces", "names_below_root", "natural"]

MAX_UNITS: Final = 1_000_000
"""More than LAION-5B has; a range with a typo in it must not fill the memory."""
_RANGE: Final = re.compile(r"\{(-?\d+)\.\.(-?\d+)(?:\.\.(-?\d+))?\}")


def expand_braces(pattern: str) -> list[str]:
    """The paths or URLs that a brace expansion stands for, as in a shell.

    Raises:
        ShardSpecError: its braces make no sense, or stand for more than a data set holds.

    >>> expand_braces("x-{08..10}.tar")
    ['x-08.tar', 'x-09.tar', 'x-10.tar']
    """
    for first, last, step in _RANGE.findall(pattern):
        # asked first: braceexpand builds every range as a whole, whatever the islice below would take of it
        if abs(int(last) - int(first)) // max(abs(int(step or 1)), 1) >= MAX_UNITS:
            raise ShardSpecError(f"{pattern}: more than {MAX_UNITS:,} shards. Check the range.")
    try:
        items = list(islice(braceexpand.braceexpand(pattern, escape=False), MAX_UNITS + 1))
    except ValueError as error:
        raise ShardSpecError(f"cannot expand {pattern!r}: {error}. Check its braces.") from error
    if len(items) > MAX_UNITS:
        raise ShardSpecError(f"{pattern}: more than {MAX_UNITS:,} shards. Check the range.")
    return items


def names_below_root(locations: Sequence[str]) -> list[str]:
    """A name for each path or URL: what follows the folder that all have in common; with forward slashes, never empty.

    One location alone is named by its file name. Links are not resolved: they are what the user sees.

    >>> names_below_root(["/d/part1/00000.tar", "/d/part2/00000.tar"])
    ['part1/00000.tar', 'part2/00000.tar']
    >>> names_below_root(["/d/part1/00000.tar", "/d/part1/00001.tar"])
    ['00000.tar', '00001.tar']
    """
    paths = [_posix(location) for location in locations]
    if len({posixpath.dirname(path) for path in paths}) <= 1:
        return [posixpath.basename(path) for path in paths]
    folders = [posixpath.dirname(path).split("/") for path in paths]
    common = 0
    for parts in zip(*folders, strict=False):
        if len({*parts}) > 1:
            break
        common += 1
    return ["/".join(path.split("/")[common:]) for path in paths]


def natural(path: str) -> tuple[list[tuple[int, str]], str]:
    """A key to sort by: `x-2.tar` comes before `x-10.tar`."""
    parts = re.split(r"([0-9]+)", path)  # text and digits alternate, so that positions always compare alike
    return [(int(part), "") if i % 2 else (0, part) for i, part in enumerate(parts)], path


def _posix(location: str) -> str:
    """An absolute path or a URL without its query, with forward slashes."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", location):
        return re.split(r"[?#]", location, maxsplit=1)[0]
    return os.path.abspath(location).replace(os.sep, "/")
