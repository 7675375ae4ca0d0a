"""Names of units: their paths below the root that they have in common."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Sequence

__all__ = ["names_below_root", "natural"]


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
