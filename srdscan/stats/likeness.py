"""How alike the members of groups are, against groups drawn at random, from sums that are added up part by part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from srdscan.stats.vectors import Indices, Vectors, parts

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

AT_ONCE = 1 << 16
"""Vectors that are added to the groups' sums together."""


class Likeness:
    """How alike the images of a group are, against groups drawn at random: about N(0, 1) for a random one.

    With e the centred embeddings of n samples and s2 their mean squared length, T = |sum e|^2 / (n s2) has mean 1 over
    random groups and variance 2 sum(l^2) / (sum l)^2, with l the eigenvalues of the covariance.

    Vectors are read part by part, and all groups are asked for together: memory follows the groups.

    Args:
        vectors: (N, D) of what is looked at: images, captions, reference captions.
    """

    def __init__(self, vectors: Vectors) -> None:
        self.vectors = vectors
        self.count = vectors.shape[0]

    @cached_property
    def _moments(self) -> tuple[Floats, float, float]:
        """(D,) mean; mean squared length of centred vectors; standard deviation of T over random groups."""
        width = self.vectors.shape[1]
        sums, products = np.zeros(width), np.zeros((width, width))
        for _, part in parts(self.vectors):
            floats = part.astype(np.float32)
            sums += floats.sum(axis=0, dtype=np.float64)
            products += floats.T @ floats
        mean = sums / max(self.count, 1)
        covariance = products / max(self.count, 1) - np.outer(mean, mean)
        square = float(np.trace(covariance))
        if square <= 1e-9:
            return mean.astype(np.float32), 0.0, 1.0
        return mean.astype(np.float32), square, float(np.sqrt(2.0 * np.square(covariance).sum()) / square)

    @property
    def chance(self) -> float:
        """Standard deviation of sqrt(T) over groups drawn at random: half that of T, whose mean is 1."""
        return self._moments[2] / 2

    def __call__(self, group: Indices) -> float:
        """z of a group; large when its images show the same things."""
        return float(self.of_groups([group])[0])

    def of_groups(self, groups: Sequence[Indices]) -> Doubles:
        """(K,) z of each group."""
        return self.z_of(self.squared(groups), np.array([len(group) for group in groups], dtype=np.int64))

    def z_of(self, squared: Doubles, sizes: Indices) -> Doubles:
        """(K,) z of groups, from their T; a single member tells nothing, nor do vectors that are all the same."""
        _, square, spread = self._moments
        told = (sizes >= 2) & (square > 0)
        return np.where(told, (squared - 1.0) / spread, 0.0)

    def squared(self, groups: Sequence[Indices]) -> Doubles:
        """(K,) T of each group."""
        sizes = np.array([len(group) for group in groups], dtype=np.int64)
        return self._squared(self._sums(groups), sizes)

    def squared_of_others(self, others: Sequence[npt.NDArray[Any]], besides: Sequence[Indices]) -> Doubles:
        """(K,) T of groups of other vectors, each against the samples besides some; 1 where no samples are left.

        Args:
            others: K times (n, D) of the same kind.
            besides: for each, the rows that do not count: those that the others are made of.
        """
        mean, _, _ = self._moments
        left = np.array([self.count - len(rows) for rows in besides], dtype=np.int64)
        away = self._sums(besides) / np.maximum(left, 1)[:, None]
        sizes = np.array([len(part) for part in others], dtype=np.int64)
        sums = [(part - mean + moved).sum(axis=0) for part, moved in zip(others, away, strict=True)]
        total = np.array(sums, dtype=np.float32).reshape(len(sums), len(mean))
        return np.where(left > 0, self._squared(total, sizes), 1.0)

    def _squared(self, sums: Floats, sizes: Indices) -> Doubles:
        _, square, _ = self._moments
        lengths = np.einsum("kd,kd->k", sums, sums, dtype=np.float64)
        return np.asarray(lengths / np.maximum(sizes * square, 1e-12))

    def _sums(self, groups: Sequence[Indices]) -> Floats:
        """(K, D) sums of the groups' centred vectors."""
        mean, _, _ = self._moments
        total = np.zeros((len(groups), len(mean)), np.float32)
        if sum(map(len, groups)) <= AT_ONCE:
            rows = np.unique(np.concatenate([np.zeros(0, np.int64), *groups]))
            centred = self.vectors[rows].astype(np.float32) - mean
            for place, group in enumerate(groups):
                total[place] = centred[np.searchsorted(rows, group)].sum(axis=0)
            return total
        ends = np.concatenate([[0], np.cumsum([len(group) for group in groups])])
        members = np.concatenate([np.asarray(group, np.int32) for group in groups])
        shape = (len(groups), self.count)
        by_row = sparse.csr_matrix((np.ones(len(members), np.int8), members, ends), shape).tocsc()
        del members
        for start, part in _joined(self.vectors):
            here = by_row[:, start : start + len(part)]
            total += here.astype(np.float32) @ (part.astype(np.float32) - mean)
        return total


def _joined(vectors: Vectors) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Parts, several together where they are small."""
    waiting: list[npt.NDArray[Any]] = []
    first = 0
    for start, part in parts(vectors):
        if waiting and start + len(part) - first > AT_ONCE:
            yield first, np.concatenate(waiting)
            waiting, first = [], start
        waiting.append(part)
    if waiting:
        yield first, np.concatenate(waiting)
