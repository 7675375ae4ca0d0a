"""Whether the disk has room for the score files."""

from __future__ import annotations

import shutil
from itertools import islice

from srdscan.measure.state import RunState
from srdscan.sources.base import ReadOptions, Sample, ShardError, Source
from srdscan.sources.stamp import weight

A_PAIR = {False: 3_030, True: 4_910}
"""Bytes of a score file a pair, without and with a captioner under audit: measured on the examples, 128 to a shard."""
LOOKED_AT = 100
"""Samples that tell how large a sample of the data set is."""


def lack_of_room(source: Source, state: RunState, reading: ReadOptions, captioner: bool, done: int) -> str | None:
    """A warning, if score files may need more than the disk of the run has; None if they fit, or if nobody can tell.

    Args:
        captioner: whether one is under audit.
        done: units that have score files already.
    """
    sizes = [weight(unit) for unit in source.units]
    free = shutil.disk_usage(state.folder).free
    left = sum(sizes) * (len(sizes) - done) // max(len(sizes), 1)
    if free >= left or not all(sizes):  # images are larger than their scores
        return None
    pairs, read = _some(source, reading)
    needed = left * pairs * A_PAIR[captioner] // read if read else 0
    if needed <= free:
        return None
    return (
        f"Score files need some {_bytes(needed)}, and {_bytes(free)} are free at {state.out}. When the disk is "
        "full the audit stops; free space and run the same command again: it continues"
    )


def _some(source: Source, reading: ReadOptions) -> tuple[int, int]:
    """Pairs of the first samples, and the bytes of their images."""
    pairs = read = 0
    try:
        with source.open(source.units[0]) as opened:
            for sample in islice(opened.read(reading), LOOKED_AT):
                if isinstance(sample, Sample):
                    pairs += len(sample.images) * len(sample.captions)
                    read += sum(len(image.data) for image in sample.images)
    except ShardError:
        return pairs, read
    return pairs, read


def _bytes(count: int) -> str:
    """
    >>> _bytes(2_300_000_000)
    '2.3 GB'
    """
    return f"{count / 1e9:.1f} GB"
