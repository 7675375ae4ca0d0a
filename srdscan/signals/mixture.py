"""Two-component Gaussian mixtures, fitted to many columns at once, that find minorities down to a few samples."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

TAIL_SHARES = (0.005, 0.01, 0.03, 0.1)
"""Where expectation-maximisation starts: the outermost values as the minority, on either side. A start at one share
alone finds minorities near that share only."""


@dataclass(frozen=True)
class Mixture:
    """Two components for each of K columns.

    Attributes:
        majority: (K, 2) mean and standard deviation of the larger component.
        minority: (K, 2) the same of the smaller one.
        share: (K,) weight of the minority, at most 0.5.
    """

    majority: Doubles
    minority: Doubles
    share: Doubles

    @property
    def separation(self) -> Doubles:
        """(K,) BSI = |mu1 - mu2| / sqrt(s1^2 + s2^2) (BYE, NeurIPS 2025)."""
        spread = np.sqrt(self.majority[:, 1] ** 2 + self.minority[:, 1] ** 2)
        return np.asarray(np.abs(self.majority[:, 0] - self.minority[:, 0]) / np.maximum(spread, 1e-12))

    @property
    def direction(self) -> Doubles:
        """(K,) +1 where the minority lies above the majority, else -1."""
        return np.where(self.minority[:, 0] >= self.majority[:, 0], 1.0, -1.0)

    def posterior(self, values: Doubles) -> Doubles:
        """(K, N) probability of the minority for (K, N) values, on the minority's side of the majority only."""
        minor = _log_density(values, self.minority) + np.log(np.maximum(self.share, 1e-12))[:, None]
        major = _log_density(values, self.majority) + np.log1p(-self.share)[:, None]
        side = (values - self.majority[:, :1]) * self.direction[:, None] > 0
        return np.where(side, 1.0 / (1.0 + np.exp(np.clip(major - minor, -50, 50))), 0.0)


def fit_mixtures(values: Doubles, iterations: int = 40) -> list[Mixture]:
    """Fits by expectation-maximisation from eight starts: four shares, on either side.

    All fits are returned, not the likeliest alone: of a skewed column, splitting the bulk in two explains more than
    setting six samples of 600 apart, and yet those six may be what one is looking for.

    Args:
        values: (K, N), N at least 20.

    Returns:
        Eight mixtures of K columns. Standard deviations are at least a fifth of the column's own spread, so that a
        component cannot collapse onto a few equal values.
    """
    count = values.shape[1]
    ordered = np.sort(values, axis=1)
    spread = np.maximum((ordered[:, int(0.84 * count)] - ordered[:, int(0.16 * count)]) / 2, 1e-9)
    floor = 0.2 * spread
    fits = []
    for share in TAIL_SHARES:
        size = max(2, round(share * count))
        for tail, rest in ((ordered[:, -size:], ordered[:, :-size]), (ordered[:, :size], ordered[:, size:])):
            minor, major, weight = _climb(values, tail, rest, floor, iterations)
            swap = weight > 0.5
            fits.append(
                Mixture(
                    majority=np.where(swap[:, None], minor, major),
                    minority=np.where(swap[:, None], major, minor),
                    share=np.where(swap, 1 - weight, weight),
                )
            )
    return fits


def _climb(
    values: Doubles, tail: Doubles, rest: Doubles, floor: Doubles, iterations: int
) -> tuple[Doubles, Doubles, Doubles]:
    """(minority, majority, weight of the minority) of each column from one start."""
    count = values.shape[1]
    minor = np.stack([tail.mean(axis=1), np.maximum(tail.std(axis=1), floor)], axis=1)
    major = np.stack([rest.mean(axis=1), np.maximum(rest.std(axis=1), floor)], axis=1)
    weight = np.full(len(values), tail.shape[1] / count)
    for _ in range(iterations):
        a = _log_density(values, minor) + np.log(weight)[:, None]
        b = _log_density(values, major) + np.log1p(-weight)[:, None]
        top = np.maximum(a, b)
        total = top + np.log(np.exp(a - top) + np.exp(b - top))
        r = np.exp(a - total)
        mass = r.sum(axis=1)
        minor = _moments(values, r, mass, floor)
        major = _moments(values, 1 - r, count - mass, floor)
        weight = np.clip(mass / count, 1 / count, 1 - 1 / count)
    return minor, major, weight


def _moments(values: Doubles, r: Doubles, mass: Doubles, floor: Doubles) -> Doubles:
    mass = np.maximum(mass, 1e-9)
    mean = (r * values).sum(axis=1) / mass
    variance = (r * (values - mean[:, None]) ** 2).sum(axis=1) / mass
    return np.stack([mean, np.maximum(np.sqrt(variance), floor)], axis=1)


def _log_density(values: Doubles, component: Doubles) -> Doubles:
    mean, std = component[:, :1], component[:, 1:]
    return np.asarray(-0.5 * ((values - mean) / std) ** 2 - np.log(std) - 0.9189385332046727)
