"""The terms that captions repeat, and the pictures that they are said of: what several searches begin with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from srdscan.findings.corpus import Corpus, Indices
from srdscan.findings.grams import Grams, frequent_grams
from srdscan.stats.likeness import Likeness

Doubles = npt.NDArray[np.float64]

LEAST_SAMPLES, MOST_NEEDED = 3, 100
"""Images, or samples, that a term must be found with: one in a thousand, and no fewer or more than these. Of a large
data set a smaller share is enough: 300 of three million poison it (Carlini and Terzis, ICLR 2022)."""


def least_of(count: int) -> int:
    """How many of a data set's images, or samples, a term must be found with.

    >>> least_of(200), least_of(20_000), least_of(2_000_000)
    (3, 20, 100)
    """
    return min(max(LEAST_SAMPLES, int(np.ceil(0.001 * count))), MOST_NEEDED)


@dataclass(frozen=True)
class Said:
    """What captions say of pictures.

    Attributes:
        corpus: N captions.
        grams: runs of words that many of them hold.
        picture_of: (N,) the picture of each caption.
        numbers: K of the runs: of those in the same captions the longest, if it is said of enough pictures.
        sizes: (K,) how many pictures.
        alike: (K,) how alike these are (`Likeness`).
    """

    corpus: Corpus
    grams: Grams
    picture_of: Indices
    numbers: Sequence[int]
    sizes: Indices
    alike: Doubles

    @classmethod
    def of(cls, corpus: Corpus, picture_of: Indices, likeness: Likeness, least: int = LEAST_SAMPLES) -> Said:
        """Of captions.

        Args:
            likeness: of the pictures.
            least: pictures that a term must be said of.
        """
        grams = frequent_grams(corpus, least)
        numbers, pictures = [], []
        for number in grams.distinct():
            unique = _unique(picture_of[grams.rows(number)])
            if len(unique) >= least:
                numbers.append(number)
                pictures.append(unique)
        sizes = np.array([len(part) for part in pictures], dtype=np.int64)
        return cls(corpus, grams, picture_of, numbers, sizes, likeness.of_groups(pictures))

    def rows(self, place: int) -> Indices:
        """The captions that hold a term, by its place among the K."""
        return self.grams.rows(self.numbers[place])

    def words(self, place: int) -> tuple[str, ...]:
        """Of a term."""
        return self.grams.words[self.numbers[place]]

    def is_one_caption(self, place: int) -> bool:
        """Whether all captions that hold a term are the same, word for word."""
        same = self.corpus.identity[self.rows(place)]
        return bool((same == same[0]).all())

    def one_a_picture(self, rows: Indices) -> Indices:
        """The first caption of each picture among some: five captions of one picture are one observation."""
        pictures = self.picture_of[rows]
        return rows if _ascends(pictures) else rows[np.unique(pictures, return_index=True)[1]]

    def mean_of_pictures(self, values: npt.NDArray[np.floating], rows: Indices) -> float:
        """Mean over pictures of the mean over their captions."""
        pictures = self.picture_of[rows]
        if _ascends(pictures):
            return float(values[rows].mean(dtype=np.float64))
        _, inverse, counts = np.unique(pictures, return_inverse=True, return_counts=True)
        return float((np.bincount(inverse, weights=values[rows]) / counts).mean())

    @cached_property
    def single(self) -> dict[str, int]:
        """The number of each single word among all runs."""
        return {words[0]: number for number, words in enumerate(self.grams.words) if len(words) == 1}


def _ascends(values: Indices) -> bool:
    return bool(np.all(values[1:] > values[:-1]))


def _unique(values: Indices) -> Indices:
    return values if _ascends(values) else np.unique(values)
