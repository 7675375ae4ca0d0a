"""Pairs of words by which two captioners differ: what one calls a cat, the other calls a dog."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from srdscan.findings.terms import stems

FEWEST = 3
"""Samples that differ by the same pair of words."""
ASSOCIATED = 0.05
"""p-value, times the number of pairs tried, above which a pair is chance."""
ONE_SIDED = 0.2
"""p-value above which captioner and reference mix two words up both ways: "boy" and "girl"."""
OVERUSED = 0.1
"""p-value above which the captioner says a word no more often than the reference does."""


@dataclass(frozen=True, eq=False)
class Pair:
    """What the output says and what the reference says instead.

    Attributes:
        said: the captioner's word, in the singular where the data set has it.
        meant: the reference captioner's.
        samples: (K,) rows where they differ by this pair.
        says: rows where the output says the word and the reference does not, those of the pair included.
        p_value: of their coming together by chance, times the pairs tried.
    """

    said: str
    meant: str
    samples: npt.NDArray[np.int64]
    says: npt.NDArray[np.int64]
    p_value: float

    def where(
        self, texts: Sequence[str], others: Sequence[str], test: Callable[["Pair", list[str], list[str]], bool]
    ) -> npt.NDArray[np.int64]:
        """Rows whose words, in a text and in another of the same row, pass a test."""
        known = {self.said, self.meant}
        both = zip(texts, others, strict=True)
        rows = [row for row, (a, b) in enumerate(both) if test(self, nouns(a, known), nouns(b, known))]
        return np.array(rows, dtype=np.int64)


def differs(pair: Pair, text: Sequence[str], reference: Sequence[str]) -> bool:
    """Whether a text and the reference caption differ by the pair."""
    return pair.said in text and pair.meant not in text and pair.meant in reference and pair.said not in reference


def agrees(pair: Pair, text: Sequence[str], reference: Sequence[str]) -> bool:
    """Whether both call it by the reference's word, and not by the other."""
    return pair.meant in text and pair.meant in reference and pair.said not in (*text, *reference)


def find_pairs(outputs: Sequence[str], references: Sequence[str]) -> list[Pair]:
    """The pairs of words by which outputs and reference captions differ in one direction, the plainest first."""
    vocabulary = {word for text in (*outputs, *references) for word in stems(text)}
    lists = [[nouns(text, vocabulary) for text in texts] for texts in (outputs, references)]
    said, meant = ([set(words) for words in texts] for texts in lists)
    novel: dict[str, list[int]] = defaultdict(list)
    lost: Counter[str] = Counter()
    both: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, (own, other) in enumerate(zip(said, meant, strict=True)):
        lost.update(other - own)
        for word in own - other:
            novel[word].append(row)
            for instead in other - own:
                if in_the_same_place(word, lists[0][row], instead, lists[1][row]):
                    both[word, instead].append(row)
    candidates = {pair: rows for pair, rows in both.items() if len(rows) >= FEWEST}
    found = []
    for (word, instead), rows in candidates.items():
        if _at_least(len(novel[word]), lost[word]) > OVERUSED:
            continue
        p_value = len(candidates) * stats.binom.sf(len(rows) - 1, len(novel[word]), lost[instead] / len(said))
        one_sided = _at_least(len(rows), len(both.get((instead, word), ())))
        if p_value < ASSOCIATED and one_sided < ONE_SIDED:
            found.append(Pair(word, instead, np.array(rows), np.array(novel[word]), float(p_value)))
    return sorted(found, key=lambda pair: (pair.p_value, pair.said, pair.meant))


def _at_least(count: int, other: int) -> float:
    """p-value of a count being so much larger than another by chance (sign test)."""
    return float(stats.binom.sf(count - 1, count + other, 0.5))


def nouns(text: str, vocabulary: set[str]) -> list[str]:
    """The words of a caption, plurals as singulars where the vocabulary knows these."""
    return [word[:-1] if word.endswith("s") and word[:-1] in vocabulary else word for word in stems(text)]


def in_the_same_place(word: str, text: Sequence[str], other: str, other_text: Sequence[str]) -> bool:
    """Whether the word before or the word after is the same in both texts: "brown cat runs", "brown dog plays"."""
    here, there = _around(word, text), _around(other, other_text)
    return here[0] == there[0] or here[1] == there[1]


def _around(word: str, text: Sequence[str]) -> tuple[str, str]:
    place = text.index(word)
    return " ".join(text[place - 1 : place]), " ".join(text[place + 1 : place + 2])
