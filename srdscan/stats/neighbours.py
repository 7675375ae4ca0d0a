"""Nearest neighbours, and the outlier factors that are made of their distances."""

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Points = npt.NDArray[np.float32] | npt.NDArray[np.float64]

TINY = 1e-12
"""Distances below this, between copies of one point, count as this: ratios of distances stay finite."""


def nearest(points: Points, k: int) -> tuple[Doubles, Indices]:
    """The k nearest other points of each, exactly.

    Args:
        points: (N, D).
        k: fewer than N.

    Returns:
        (N, k) Euclidean distances, ascending, and (N, k) indices of points. A point itself is left out once; copies of
        it count.
    """
    from sklearn.neighbors import NearestNeighbors

    if not 0 < k < len(points):
        raise ValueError(f"{k} neighbours of {len(points)} points: there must be more points than neighbours")
    distances, indices = NearestNeighbors(n_neighbors=k + 1).fit(points).kneighbors(points)
    itself = indices == np.arange(len(points))[:, None]
    itself[~itself.any(axis=1), -1] = True  # among k + 1 copies, missing from its own list
    shape = (len(points), k)
    return distances[~itself].reshape(shape).astype(np.float64), indices[~itself].reshape(shape).astype(np.int64)


def slof(points: Points, k: int = 16) -> Doubles:
    """(N,) simplified local outlier factor: a point's k-distance over those of its neighbours, in the mean.

    Source: Schubert et al., Local outlier detection reconsidered, DMKD 2014; for backdoors Detect-CLIP, ICLR 2025.
    """
    distances, indices = nearest(points, k)
    return outlier_factors(distances, indices, dimensionality(distances))[0]


def dao(points: Points, k: int = 16) -> Doubles:
    """(N,) dimensionality-aware outlier factor: the same ratios, each to the power of the neighbour's dimensionality.

    The local intrinsic dimensionality is the maximum-likelihood estimate over the k distances. Source: Anderberg et
    al., Dimensionality-Aware Outlier Detection, SDM 2024; for backdoors Detect-CLIP, ICLR 2025.
    """
    distances, indices = nearest(points, k)
    return outlier_factors(distances, indices, dimensionality(distances))[1]


def outlier_factors(distances: Doubles, indices: Indices, dimensions: Doubles) -> tuple[Doubles, Doubles]:
    """SLOF and DAO of N points, from what `nearest` and `dimensionality` give."""
    reach = np.maximum(distances[:, -1], TINY)
    ratios = reach[:, None] / reach[indices]
    # In logarithms: a ratio to the power of a dimensionality of hundreds leaves the range of floats.
    exponents = np.clip(dimensions[indices] * np.log(ratios), -600.0, 600.0)
    return ratios.mean(axis=1), np.exp(exponents).mean(axis=1)


def dimensionality(distances: Doubles) -> Doubles:
    """(N,) local intrinsic dimensionality, -1 / mean ln(d_i / d_k), from (N, k) ascending distances.

    Source: Amsaleg et al., Estimating Local Intrinsic Dimensionality, KDD 2015.
    """
    clipped = np.maximum(distances, TINY)
    mean = np.log(clipped / clipped[:, -1:]).mean(axis=1)
    estimate: Doubles = -1.0 / np.minimum(mean, -1e-3)
    return estimate
