"""Near duplicates: one picture, saved again, cut a little or turned around, by vectors of whole pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from srdscan.stats.vectors import Vectors, parts

SAME = 0.9
"""Cosine of centred vectors from which two pictures are one: compression at quality 75 leaves 0.92 to 0.99, a mirror
0.89 to 0.98; of 180,000 pairs of photographs none reaches 0.8 (`EmbeddedMatcher.vectors`)."""
MOST_SHARE = 0.1
"""Share of the pictures up to which a group is one picture; what is more frequent is how the data set looks."""
CELL = 2000
"""Vectors that are compared at once, each with all; of more, those in the same of so many cells, or the next one."""
TAUGHT_BY = 100
"""Vectors a cell that tell where the cells are."""
MAIN = 48
"""Directions by which vectors are compared first..."""
FEW = 0.02
"""...and the share of pairs up to which those that may be near are looked at one by one."""
HELD = 256 * 2**20
"""Bytes of vectors that are held at once, of as many cells as have room."""
ROUNDING = 1e-4

Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


def near_duplicates(vectors: Vectors, seed: int = 0) -> Indices:
    """(N,) the group of each vector, from 0 in the order of their first members: chains of near duplicates.

    Args:
        vectors: (N, D) of pictures.
        seed: of the cells.
    """
    count, width = vectors.shape
    sums = np.zeros(width)
    for _, part in parts(vectors):
        sums += part.sum(axis=0, dtype=np.float64)
    mean = (sums / max(count, 1)).astype(np.float32)
    drawn = np.random.default_rng(seed).permutation(count)[: TAUGHT_BY * max(-(-count // CELL), 2)]
    sample = _unit(vectors[drawn], mean)
    main = np.linalg.eigh(sample.T @ sample)[1][:, -MAIN:] if count else np.zeros((width, 0), np.float32)
    links = [np.zeros((0, 2), np.int64)]
    for together in _that_fit(_cells(vectors, mean, sample, seed), width):
        rows = np.unique(np.concatenate(together))
        held = vectors[rows]
        for members in together:
            unit = _unit(held[np.searchsorted(rows, members)], mean)
            links.append(members[_near(unit, np.asarray(main, np.float32))])
    joined = np.concatenate(links)
    graph = sparse.coo_matrix((np.ones(len(joined), np.int8), joined.T), (count, count))
    _, group = connected_components(graph, directed=False)
    sizes = np.bincount(group, minlength=1)
    usual = sizes[group] > max(MOST_SHARE * count, 1)
    group[usual] = group.max(initial=0) + 1 + np.arange(int(usual.sum()))
    _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def _unit(vectors: npt.NDArray[Any], mean: Floats) -> Floats:
    """Centred, and put to length 1."""
    centred = vectors.astype(np.float32) - mean
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9))


def _near(unit: Floats, main: Floats) -> Indices:
    """(P, 2) the pairs of vectors whose cosine is at least `SAME`, each once.

    What two vectors have in common beyond their main directions is at most the product of what is left of their
    lengths (Cauchy and Schwarz). So a product in a few directions more leaves out nothing that is near.

    Args:
        unit: (N, D) of length 1.
        main: (D, R) main directions, orthonormal.
    """
    short = unit @ main
    left = np.sqrt(np.maximum(1.0 - np.square(short).sum(axis=1), 0.0))
    bound = np.concatenate([short, left[:, None]], axis=1)
    found = [np.zeros((0, 2), np.int64)]
    for start in range(0, len(unit), 256):
        block, others = slice(start, start + 256), unit[start:]
        maybe = bound[block] @ bound[start:].T >= SAME - ROUNDING
        if np.count_nonzero(maybe) > FEW * maybe.size + len(maybe):
            one, two = np.nonzero(unit[block] @ others.T >= SAME)
        else:
            one, two = np.divmod(np.flatnonzero(maybe), maybe.shape[1])
            one, two = one[two > one], two[two > one]
            same = np.einsum("nd,nd->n", others[one], others[two]) >= SAME
            one, two = one[same], two[same]
        found.append(np.stack([one, two], axis=1)[two > one] + start)
    return np.concatenate(found)


def _that_fit(cells: Sequence[Indices], width: int) -> Iterator[list[Indices]]:
    """Cells whose vectors are held together."""
    held: list[Indices] = []
    for members in cells:
        if held and (sum(map(len, held)) + len(members)) * width * 2 > HELD:
            yield held
            held = []
        held.append(members)
    if held:
        yield held


def _cells(vectors: Vectors, mean: Floats, sample: Floats, seed: int) -> list[Indices]:
    """Overlapping parts of the vectors in which near duplicates are.

    Args:
        sample: vectors that tell where they are, of length 1.
    """
    from sklearn.cluster import MiniBatchKMeans

    count = vectors.shape[0]
    if count <= CELL:
        return [np.arange(count)]
    number = -(-count // CELL)
    centres = MiniBatchKMeans(number, n_init=1, random_state=seed).fit(sample).cluster_centers_
    nearest = np.empty((count, 2), np.int32)
    for start, part in parts(vectors):
        distance = np.square(centres).sum(axis=1) - 2 * _unit(part, mean) @ centres.T
        nearest[start : start + len(part)] = np.argpartition(distance, 1, axis=1)[:, :2]
    flat = nearest.ravel()
    order = np.argsort(flat, kind="stable")
    ends = np.bincount(flat, minlength=number).cumsum()
    return [np.sort(members) // 2 for members in np.split(order, ends[:-1]) if len(members)]
