"""Which pair of one run is which pair of the other: by what it is first, by where it stands then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Indices = npt.NDArray[np.int64]

IMAGE, CAPTION = "image_sha256", "caption"
WHERE = ("shard", "key", "image_index", "caption_index")


@dataclass(frozen=True)
class Paired:
    """What became of the pairs of an image and a caption of two runs, as rows of their tables.

    Attributes:
        same: (S, 2) rows, in the old run and in the new one, whose image and caption are what they were.
        changed: (C, 2) rows in which the image or the caption is another than it was, or both.
        gone: (G,) rows of the old run that the new one has nothing for.
        added: (A,) rows of the new run that the old one has nothing for.
    """

    same: Indices
    changed: Indices
    gone: Indices
    added: Indices


def pair_up(old: pa.Table, new: pa.Table) -> Paired:
    """Finds each pair of one run in the other.

    Pairs whose image and caption are the same are the same, wherever they stand: shards may be cut anew, and keys
    renamed. A copy more or less is added or gone. What is left is the same sample, changed, if shard, key and the
    numbers of image and caption agree; in another shard, if the image or the caption agrees as well, since many data
    sets count keys anew in each shard; or if the image alone does.

    Args:
        old: a row a pair, with the columns `shard`, `key`, `image_index`, `caption_index`, `image_sha256`, `caption`.
        new: the same of the other run.
    """
    columns = {name: _codes(old[name], new[name]) for name in (*WHERE, IMAGE, CAPTION)}
    both = len(old)
    left_old, left_new = np.arange(len(old)), np.arange(len(new))
    found: list[list[Indices]] = [[], []]
    for changes, names in (
        (0, (*WHERE, IMAGE, CAPTION)),
        (0, (IMAGE, CAPTION)),
        (1, WHERE),
        (1, (*WHERE[1:], IMAGE)),
        (1, (*WHERE[1:], CAPTION)),
        (1, (IMAGE,)),
    ):
        codes = _combined([columns[name] for name in names])
        rows = _matches(codes[:both][left_old], codes[both:][left_new])
        found[changes].append(np.stack([left_old[rows[:, 0]], left_new[rows[:, 1]]], axis=1))
        left_old = np.delete(left_old, rows[:, 0])
        left_new = np.delete(left_new, rows[:, 1])
    same, changed = (np.concatenate(parts) for parts in found)
    order = np.argsort(changed[:, 1], kind="stable")
    return Paired(same[np.argsort(same[:, 1], kind="stable")], changed[order], left_old, left_new)


def _codes(old: pa.ChunkedArray, new: pa.ChunkedArray) -> Indices:
    """(old + new,) whole numbers that are equal where the values are, the old run's first."""
    both = pa.chunked_array([*old.chunks, *new.chunks], type=old.type).combine_chunks()
    codes: Indices = both.dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes


def _combined(columns: Sequence[Indices]) -> Indices:
    """Whole numbers from 0 that are equal where all columns are."""
    codes = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        _, column = np.unique(column, return_inverse=True)
        _, codes = np.unique(codes * (int(column.max(initial=0)) + 1) + column, return_inverse=True)
    return codes


def _matches(old: Indices, new: Indices) -> Indices:
    """(K, 2) places of equal codes: the first with the first, the second with the second, as many as both hold."""
    base = max(len(old), len(new), 1)
    one, other = (codes * base + _turns(codes) for codes in (old, new))
    _, first, second = np.intersect1d(one, other, assume_unique=True, return_indices=True)
    return np.stack([first, second], axis=1)


def _turns(codes: Indices) -> Indices:
    """How many equal codes stand before each.

    >>> _turns(np.array([7, 3, 7, 7])).tolist()
    [0, 0, 1, 2]
    """
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
    turns = np.empty(len(codes), np.int64)
    turns[order] = np.arange(len(codes)) - np.repeat(starts, np.diff(starts, append=len(codes)))
    return turns
