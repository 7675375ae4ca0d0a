"""How often words are used in a language (`wordfreq`: Speer 2022, from subtitles, news, books, the web)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

UNSEEN = 1e-9
"""Frequency of words that the lists do not hold: a tenth of the least that they do."""
MOST_ASKED = 1000
"""Words by which the language is recognised, the most frequent of the captions."""
NEEDS_TOKENIZER = ("ja", "ko", "zh")
"""Languages whose words wordfreq cuts with packages of their own; here they are looked up as they are."""


@dataclass(frozen=True)
class Frequencies:
    """Of the language of some captions.

    Attributes:
        language: its code; the one in which the captions' words are most usual, English if none is.
        total: words of all captions.
    """

    language: str
    total: int

    @classmethod
    def of(cls, tokens: Sequence[Sequence[str]]) -> Frequencies:
        """Of N captions as words.

        >>> Frequencies.of([["ein", "hund", "läuft"], ["der", "mann", "und", "die", "frau"]]).language
        'de'
        """
        counts = Counter(word for text in tokens for word in text)
        return cls.by([word for word, _ in counts.most_common(MOST_ASKED)], sum(counts.values()))

    @classmethod
    def by(cls, usual: Sequence[str], total: int) -> Frequencies:
        """Of captions with so many words, by up to `MOST_ASKED` that they use most."""
        from wordfreq import available_languages

        languages = ["en", *sorted(available_languages("small"))]
        return cls(max(languages, key=lambda code: _usual(usual, code)), max(total, 1))

    def overuse(self, words: Sequence[str], captions: int) -> float:
        """log10 of how much more often a term's rarest word is used than in the language, at least.

        Args:
            captions: how many hold the term.
        """
        return float(np.log10(captions / self.total) - np.log10(self.frequency(self.rarest(words))))

    def rarest(self, words: Sequence[str]) -> str:
        """The word of a term that the language uses least."""
        return min(words, key=self.frequency)

    def frequency(self, word: str) -> float:
        """Share of the words of the language."""
        from wordfreq import get_frequency_dict, word_frequency

        if self.language in NEEDS_TOKENIZER:
            return max(get_frequency_dict(self.language).get(word, 0.0), UNSEEN)
        return max(float(word_frequency(word, self.language)), UNSEEN)


def _usual(words: Sequence[str], language: str) -> float:
    """Mean ln frequency of words in a language's short list."""
    from wordfreq import get_frequency_dict

    known = get_frequency_dict(language, wordlist="small")
    return float(np.mean([np.log(known.get(word, UNSEEN)) for word in words])) if words else 0.0
