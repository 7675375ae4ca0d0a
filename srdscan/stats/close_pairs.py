"""Pairs of points that are nearly the same, among millions: locality-sensitive hashing (Datar et al. 2004)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

TABLES = 4
"""Independent hashes; points at the radius share a cell of one of them nine times in ten."""
DIRECTIONS = 10
"""Random directions that a hash cuts into cells."""
CELL = 1.0
"""Width of a cell; points are whitened, so that this is one standard deviation."""
MOST_SHARED = 128
"""Points of a cell that each point is compared with, those that follow it: a crowd still hangs together."""
AT_ONCE = 200_000


def close_pairs(points: Floats, owner: Indices, radius: float, seed: int = 0) -> Indices:
    """(P, 2) pairs of points of different owners within a radius, each once, ascending.

    Nearly all of those within the radius are found where few points share a cell, and a chain of them in a crowd; none
    farther apart is. Time grows with the points.

    Args:
        points: (N, D) whitened.
        owner: (N,) whose each point is; pairs of one owner are left out.
        radius: well below `CELL` times the square root of D over `DIRECTIONS`.
    """
    random = np.random.default_rng(seed)
    found = [np.zeros(0, np.int64)]
    for _ in range(TABLES):
        basis, _ = np.linalg.qr(random.normal(size=(points.shape[1], points.shape[1])))
        cells = np.floor(points @ basis[:, :DIRECTIONS].astype(np.float32) / CELL + random.random(DIRECTIONS))
        keys = (cells.astype(np.int64) * (random.integers(1, 2**61, size=DIRECTIONS) | 1)).sum(axis=1)
        order = np.argsort(keys, kind="stable")
        keys, sorted_points, sorted_owner = keys[order], points[order], owner[order]
        here = np.arange(len(keys))
        for step in range(1, MOST_SHARED + 1):
            here = here[here + step < len(keys)]
            here = here[keys[here + step] == keys[here]]
            if not len(here):
                break
            others = here[sorted_owner[here] != sorted_owner[here + step]]
            for start in range(0, len(others), AT_ONCE):
                part = others[start : start + AT_ONCE]
                distance = np.square(sorted_points[part] - sorted_points[part + step]).sum(axis=1)
                near = part[distance < radius**2]
                first, second = order[near], order[near + step]
                found.append(np.minimum(first, second) * len(points) + np.maximum(first, second))
    return np.stack(np.divmod(np.unique(np.concatenate(found)), max(len(points), 1)), axis=1)


def whitening(points: Floats, directions: int) -> tuple[Floats, Floats]:
    """(D,) mean and (D, directions) basis: (points - mean) @ basis has unit variance in its main directions."""
    mean = points.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(points.T.astype(np.float64)))
    order = np.argsort(-values)[:directions]
    basis = vectors[:, order] / np.sqrt(np.maximum(values[order], 1e-9))
    return mean, np.asarray(basis, np.float32)
