"""From what the user typed to a source: its form is seen in what lies there, or said with `--format`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from srdscan.sources.base import ShardSpecError, Source
from srdscan.sources.tar.source import TarSource

FORMATS: dict[str, Callable[[Sequence[str], Path | None], Source]] = {
    "webdataset": lambda patterns, images: TarSource(patterns),
}
"""What `--format` takes -> what makes the source of the given places, and of the folder with their images."""


def find_source(patterns: Sequence[str], format: str = "auto", images: Path | None = None) -> Source:
    """The data set that the user named.

    Args:
        patterns: folders, globs, brace ranges, files, URLs.
        format: a key of `FORMATS`, or `auto`.
        images: folder of the images that annotation files name, where it is not theirs.

    Raises:
        ShardSpecError: nothing is there, or nothing that is known.
    """
    name = "webdataset" if format == "auto" else format
    if name not in FORMATS:
        raise ShardSpecError(f"--format {format}: must be auto or one of {', '.join(FORMATS)}")
    return FORMATS[name](patterns, images)
