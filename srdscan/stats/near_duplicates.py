"""Near duplicates: one picture, saved again, cut a little or turned around, by vectors of whole pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import MiniBatchKMeans

SAME = 0.9
"""Cosine of centred vectors from which two pictures are one: compression at quality 75 leaves 0.92 to 0.99, a mirror
0.89 to 0.98; of 180,000 pairs of photographs none reaches 0.8 (`EmbeddedMatcher.vectors`)."""
MOST_SHARE = 0.1
"""Share of the pictures up to which a group is one picture; what is more frequent is how the data set looks."""
CELL = 2000
"""Vectors that are compared at once, each with all; of more, those in the same of so many cells, or the next one."""
TAUGHT_BY = 100
"""Vectors a cell that tell where the cells are."""

Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


def near_duplicates(vectors: npt.NDArray[Any], seed: int = 0) -> Indices:
    """(N,) the group of each vector, from 0 in the order of their first members: chains of near duplicates.

    Args:
        vectors: (N, D) of pictures.
        seed: of the cells.
    """
    count = len(vectors)
    unit = vectors.astype(np.float32)
    if count:
        unit -= unit.mean(axis=0)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-9)
    links = [np.zeros((0, 2), np.int64)]
    for members in _cells(unit, seed):
        near = sparse.coo_matrix(unit[members] @ unit[members].T >= SAME)
        _, group = connected_components(near, directed=False)
        _, first = np.unique(group, return_index=True)
        links.append(np.stack([members[first[group]], members], axis=1))
    joined = np.concatenate(links)
    graph = sparse.coo_matrix((np.ones(len(joined), np.int8), joined.T), (count, count))
    _, group = connected_components(graph, directed=False)
    sizes = np.bincount(group, minlength=1)
    usual = sizes[group] > max(MOST_SHARE * count, 1)
    group[usual] = group.max(initial=0) + 1 + np.arange(int(usual.sum()))
    _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def _cells(unit: Floats, seed: int) -> list[Indices]:
    """Overlapping parts of the vectors in which near duplicates are."""
    count = len(unit)
    if count <= CELL:
        return [np.arange(count)]
    number = int(np.ceil(count / CELL))
    drawn = np.random.default_rng(seed).permutation(count)[: TAUGHT_BY * number]
    cells = MiniBatchKMeans(number, n_init=1, random_state=seed).fit(unit[drawn])
    nearest = np.empty((count, 2), np.int64)
    for start in range(0, count, 16 * CELL):
        part = unit[start : start + 16 * CELL]
        distance = np.square(cells.cluster_centers_).sum(axis=1) - 2 * part @ cells.cluster_centers_.T
        nearest[start : start + len(part)] = np.argpartition(distance, 1, axis=1)[:, :2]
    return [np.flatnonzero((nearest == cell).any(axis=1)) for cell in range(number)]
