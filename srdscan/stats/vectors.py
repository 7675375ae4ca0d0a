"""Vectors that need not be in memory: an array, or anything that is read part by part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]

BLOCK = 8192
"""Rows of an array in a part."""


class Parts(Protocol):
    """(N, K) numbers that are read part by part: `measure.scores.Stored`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """N and K."""
        ...

    def parts(self) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """The first row of each part, and the part, in order."""
        ...

    def __getitem__(self, rows: Indices, /) -> npt.NDArray[Any]:
        """Some rows, in any order; ascending ones are read once each."""
        ...


Vectors: TypeAlias = npt.NDArray[Any] | Parts


def parts(vectors: Vectors) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """The first row of each part, and the part, in order."""
    if not isinstance(vectors, np.ndarray):
        yield from vectors.parts()
        return
    for start in range(0, len(vectors), BLOCK):
        yield start, vectors[start : start + BLOCK]
