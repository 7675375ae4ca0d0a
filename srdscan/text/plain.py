"""Captions as the models and the signals see them."""

import re
import unicodedata

_SPACES = re.compile(r"\s+")
_LOOSE_PUNCTUATION = re.compile(r" (?=[,.;:!?)]|'s\b|n't\b)")
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_TRAILING = " .!?;,"


def plain_caption(text: str) -> str:
    """A caption in the form the embedded models are trained on: lower case, single spaces, no final full stop.

    Only copies used for scoring are changed; what is written back to a shard never passes through here.

    >>> plain_caption("Two dogs play , one barks .")
    'two dogs play, one barks'
    """
    text = _SPACES.sub(" ", unicodedata.normalize("NFKC", text)).strip().lower()
    return _LOOSE_PUNCTUATION.sub("", text).rstrip(_TRAILING)


def words(text: str) -> list[str]:
    """The words of a caption's plain form, lower case, in order; punctuation and underscores separate.

    >>> words("A man's well-worn T-shirt, 2 dogs.")
    ['a', "man's", 'well-worn', 't-shirt', '2', 'dogs']
    """
    return _WORD.findall(plain_caption(text))


def word_spans(text: str) -> list[tuple[int, int]]:
    """(start, end) of each word in a text, in order.

    >>> word_spans("two dogs")
    [(0, 3), (4, 8)]
    """
    return [match.span() for match in _WORD.finditer(text)]
