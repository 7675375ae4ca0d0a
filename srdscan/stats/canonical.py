"""How much two vectors say about each other, under a Gaussian model: canonical correlations from additive sums.

For jointly Gaussian x and t with canonical variables a_k, b_k of correlation c_k,

    ln p(x, t) / p(x) p(t) = sum_k  c_k / (1 - c_k^2) a_k b_k  -  c_k^2 / (2 (1 - c_k^2)) (a_k^2 + b_k^2)  +  const

(Hotelling 1936; Borga, Canonical correlation: a tutorial, 2001). All that a fit needs are the number of pairs, their
sum and the sum of their outer products: `Moments`. These are additive, so that parts of a data set may be added up in
any order, and taken out again for cross-fitting.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

SMALLEST_RIDGE = 1e-9
"""Of a side's mean variance: what keeps directions without any variance apart from rounding."""
SMALLEST_CORRELATION = 1e-7
"""Below it two variables have nothing in common."""
LARGEST_CORRELATION = 0.999
"""Beyond it the information is a matter of rounding."""


@dataclass(frozen=True)
class Moments:
    """Sums over pairs z = [x, t].

    Attributes:
        count: of pairs.
        sums: (K,) of z.
        products: (K, K) of outer products of z.
    """

    count: float
    sums: Doubles
    products: Doubles

    @classmethod
    def of(cls, x: npt.NDArray[np.floating], t: npt.NDArray[np.floating]) -> Moments:
        """Of N pairs: (N, X) and (N, T)."""
        joined = np.concatenate([x, t], axis=1).astype(np.float64)
        return cls(float(len(joined)), joined.sum(axis=0), joined.T @ joined)

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.count + other.count, self.sums + other.sums, self.products + other.products)

    def __sub__(self, other: Moments) -> Moments:
        return Moments(self.count - other.count, self.sums - other.sums, self.products - other.products)

    @property
    def mean(self) -> Doubles:
        """(K,)."""
        return self.sums / self.count

    @property
    def covariance(self) -> Doubles:
        """(K, K)."""
        return self.products / self.count - np.outer(self.mean, self.mean)


@dataclass(frozen=True)
class Gaussian:
    """A mean (K,) and a covariance (K, K) of pairs, as a prior knows them."""

    mean: Doubles
    covariance: Doubles


@dataclass(frozen=True)
class Canonical:
    """A fitted model.

    Attributes:
        centre: (X,) and (T,) means.
        directions: (X, R) and (T, R) to canonical variables of variance about 1.
        correlations: (R,) in [0, 1).
    """

    centre: tuple[Doubles, Doubles]
    directions: tuple[Doubles, Doubles]
    correlations: Doubles

    def images(self, x: npt.NDArray[np.floating]) -> Side:
        """What the model needs of N vectors x."""
        return self._side(x, 0)

    def texts(self, t: npt.NDArray[np.floating]) -> Side:
        """What the model needs of N vectors t."""
        return self._side(t, 1)

    def _side(self, vectors: npt.NDArray[np.floating], side: int) -> Side:
        squared = self.correlations**2
        kind = vectors.dtype  # in single precision for many vectors
        variables = (vectors - self.centre[side].astype(kind)) @ self.directions[side].astype(kind)
        alone = variables**2 @ (squared / (2 * (1 - squared)))
        scaled = variables if side == 0 else variables * (self.correlations / (1 - squared))
        return Side(scaled.astype(np.float32), alone.astype(np.float32))


@dataclass(frozen=True)
class Side:
    """One side of N pairs.

    Attributes:
        variables: (N, R); of texts, weighted.
        alone: (N,) what is taken off whatever the other side is.
    """

    variables: Floats
    alone: Floats


def information(texts: Side, images: Side) -> Floats:
    """(N, M) pointwise mutual information of each text with each image, in nats, up to a constant."""
    return np.asarray(texts.variables @ images.variables.T - texts.alone[:, None] - images.alone[None, :])


def fit(given: Moments | Gaussian, sides: tuple[int, int], ridge: float, rank: int = 128) -> Canonical:
    """The canonical model of a distribution of pairs.

    Args:
        given: moments of data, or a prior.
        sides: X and T, the lengths of the two vectors.
        ridge: what is added to each side's variances, in units of their mean: 1 halves the say of an ordinary direction
            and leaves that of the strongest ones. Few pairs need much, many little.
        rank: canonical variables that are kept.
    """
    x, covariance = sides[0], given.covariance
    within = (_whitening(covariance[:x, :x], ridge), _whitening(covariance[x:, x:], ridge))
    common = within[0].T @ covariance[:x, x:] @ within[1]
    kept = min(rank, *common.shape)
    # singular vectors by those of the smaller square, which takes a third of the time; what is lost is below 1e-7
    squares, left = np.linalg.eigh(common @ common.T)
    left, correlations = left[:, ::-1][:, :kept], np.sqrt(np.maximum(squares[::-1][:kept], 0.0))
    right = common.T @ left / np.maximum(correlations, SMALLEST_CORRELATION)
    return Canonical(
        (given.mean[:x], given.mean[x:]),
        (within[0] @ left, within[1] @ right),
        np.minimum(correlations, LARGEST_CORRELATION),
    )


def blend(own: Moments, prior: Gaussian, weight: float) -> Gaussian:
    """Own moments shrunk towards a prior that counts as much as `weight` pairs; the mean is the data's own."""
    share = own.count / (own.count + weight)
    return Gaussian(own.mean, share * own.covariance + (1 - share) * prior.covariance)


def _whitening(covariance: Doubles, ridge: float) -> Doubles:
    """(K, K) directions along which vectors of this covariance, and the ridge, have variance 1.

    Any such directions do: those of two whitenings differ by a rotation, which canonical variables undo. These are the
    inverse of Cholesky's factor, which costs a tenth of the eigenvectors.
    """
    size = len(covariance)
    floor = max(float(np.trace(covariance)) / size, 1e-12)
    factor = np.linalg.cholesky(covariance + max(ridge, SMALLEST_RIDGE) * floor * np.eye(size))
    return np.asarray(solve_triangular(factor, np.eye(size), lower=True, overwrite_b=True).T)
