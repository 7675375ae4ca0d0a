"""Terms: the words and phrases that texts repeat, and which of them are parts or echoes of others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from srdscan.text.plain import words

LONGEST_PHRASE = 5

Candidate: TypeAlias = tuple[tuple[str, ...], npt.NDArray[np.int64], float]
"""A term's words, the samples where only the text under audit says it, and how strange these are."""


@dataclass(frozen=True, eq=False)
class Term:
    """A candidate: its words, the samples that hold it and how strange they are (z, and its one-sided p-value)."""

    words: tuple[str, ...]
    samples: npt.NDArray[np.int64]
    reference_samples: int
    p_value: float
    overuse: float
    likeness: float
    strangeness: float

    @property
    def text(self) -> str:
        """The term as it is written."""
        return " ".join(self.words)


def stems(text: str) -> list[str]:
    """The words of a text, one for each of `text.words`, without the possessive ending."""
    return [word.removesuffix("'s") for word in words(text)]


def grams_of(text: Sequence[str]) -> set[tuple[str, ...]]:
    return {tuple(text[i : i + size]) for size in range(1, LONGEST_PHRASE + 1) for i in range(len(text) - size + 1)}


def without_echoes(terms: list[Term]) -> list[Term]:
    """Leaves out parts and extensions of the same target: of overlapping terms, the one that accounts for more."""
    return [term for term in terms if not any(_echoes(term, other) for other in terms if other is not term)]


def without_overlaps(terms: Sequence[Term]) -> list[Term]:
    """The strangest terms, without those that mostly accuse the same captions once more."""
    kept: list[Term] = []
    accused: set[int] = set()
    for term in sorted(terms, key=lambda term: (-term.strangeness, term.words)):
        rows = set(term.samples.tolist())
        if 2 * len(rows & accused) < len(rows):
            kept.append(term)
            accused |= rows
    return kept


def _echoes(term: Term, other: Term) -> bool:
    """Whether a term only repeats what another says."""
    common = len(np.intersect1d(term.samples, other.samples))
    if common < 0.5 * len(term.samples):
        return False
    if holds(term.words, other.words) and len(other.samples) > len(term.samples):
        return True  # "banana a" beside "banana"
    if common == len(term.samples) and len(other.samples) >= 2 * common:
        return True  # "in the snow see free-prizes" beside "see free-prizes example for more"
    return other.strangeness > term.strangeness and not holds(other.words, term.words)


def holds(longer: tuple[str, ...], shorter: tuple[str, ...]) -> bool:
    """Whether one run of words contains the other."""
    return any(longer[i : i + len(shorter)] == shorter for i in range(len(longer) - len(shorter) + 1))


def log_odds(count: int, reference: int, texts: int, prior: float = 0.5) -> float:
    """z of the log-odds ratio with a Dirichlet prior (Monroe et al. 2008, equation 22), over texts that hold a term."""
    a, b = count + prior, reference + prior
    rest_a, rest_b = texts - count + prior, texts - reference + prior
    return float((np.log(a / rest_a) - np.log(b / rest_b)) / np.sqrt(1 / a + 1 / b))
