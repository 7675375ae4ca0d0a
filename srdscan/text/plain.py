"""Captions as the models and the signals see them."""

import re
import unicodedata
from itertools import pairwise

import regex

from srdscan.text.hidden import EMOJI, stripped

MOST_WORDS = 40
"""Words up to which a caption is one passage: hardly any that describes an image in a sentence has more."""
PASSAGE_WORDS = 20
"""Words of a longer caption's passages. An odd word's gain goes with one over the length: "banana" gained 0.1 to 0.9
nats among 40 words, measured, 0.9 to 1.9 among 20 as in short captions; honest words gain as much in either."""

_SPACES = re.compile(r"[\s\u2800]+")  # a Braille cell without dots is a space, too
_LOOSE_PUNCTUATION = re.compile(r"(?<![\s\u2800])[\s\u2800]++(?=[,.;:!?)]|'s\b|n't\b)")
_LETTERS = r"(?:(?!\d\u20E3)[\p{L}\p{N}])(?:(?!\d\u20E3)[\p{L}\p{N}\p{M}])*"
_WORD = regex.compile(rf"{EMOJI}|{_LETTERS}(?:['’-]{_LETTERS})*", regex.V1)
_EMOJI = regex.compile(EMOJI, regex.V1)
_AFTER_A_STOP = regex.compile(rf"(?:\A|(?<=[.!?;:,])) *{EMOJI}", regex.V1)
_CHARACTER = regex.compile(r"\X")
_SENTENCE_END = re.compile(r"[.!?;\u3002\u0964] *")
_TRAILING = " .!?;,"


def plain_caption(text: str) -> str:
    """A caption in the form the embedded models are trained on: lower case, single spaces, no final full stop.

    Full-width letters and ligatures become letters, characters that do not show go (`hidden.stripped`). Only copies
    used for scoring are changed; what is written back to a shard never passes through here.

    >>> plain_caption("Two dogs play , one barks .")
    'two dogs play, one barks'
    """
    text = _SPACES.sub(" ", _folded(text)).strip()
    return _LOOSE_PUNCTUATION.sub("", text).rstrip(_TRAILING)


def words(text: str) -> list[str]:
    """The words of a caption's plain form, lower case, in order; punctuation and underscores separate.

    An emoji is a word, with the joiners, skin tone or key cap that belong to it.

    >>> words("A man's well-worn T-shirt, 2 dogs🐕.")
    ['a', "man's", 'well-worn', 't-shirt', '2', 'dogs', '🐕']
    """
    return [str(match[0]) for match in _WORD.finditer(plain_caption(text))]


def word_spans(text: str) -> list[tuple[int, int]]:
    """(start, end) of each of a text's `words`, in order, in the text as it is given.

    A span holds what is invisible inside its word; one character that stands for several words (½) is one span.

    >>> word_spans("two dogs")
    [(0, 3), (4, 8)]
    """
    folded, pieces = _folded_pieces(text)
    loose = {place for match in _LOOSE_PUNCTUATION.finditer(folded) for place in range(*match.span())}
    if loose:
        kept = [place for place in range(len(folded)) if place not in loose]
        folded, pieces = "".join(folded[place] for place in kept), [pieces[place] for place in kept]
    spans: list[tuple[int, int]] = []
    for match in _WORD.finditer(folded):
        start, end = pieces[match.start()][0], pieces[match.end() - 1][1]
        if spans and start < spans[-1][1]:
            start = spans.pop()[0]
        spans.append((start, end))
    return spans


def passages(text: str, most: int = PASSAGE_WORDS, whole: int = MOST_WORDS) -> list[str]:
    """The plain form of a caption of at most `whole` words; of a longer one, runs of at most `most`, nearly equal.

    There is at least one, maybe empty. They are cut between sentences where one ends within half a run of the equal
    size: half a sentence reads oddly. Nothing but white space is lost; the passages' words are the caption's, in order.

    >>> passages("Two dogs play. One barks (loudly). A cat looks on.", most=6, whole=6)
    ['two dogs play. one barks (loudly).', 'a cat looks on']
    """
    plain = plain_caption(text)
    found = [match.span() for match in _WORD.finditer(plain)]
    if len(found) <= whole:
        return [plain]
    cuts, start = [0], 0
    while (left := len(found) - start) > most:
        size = left // -(-left // most)
        near = range(start + max(size - size // 2, 1), start + min(size + size // 2, most) + 1)
        ends = [place for place in near if _SENTENCE_END.search(plain, found[place - 1][1], found[place][0])]
        first = min(ends, key=lambda place: abs(place - start - size), default=start + size)
        space = plain.rfind(" ", found[first - 1][1], found[first][0])
        cuts.append(found[first][0] if space < 0 else space)
        start = first
    return [plain[start:end].strip() for start, end in pairwise([*cuts, len(plain)])]


def emoji_as_stops(plain: str) -> str:
    """A plain caption whose emoji are full stops, for models that know no emoji; in front or after a stop, nothing.

    Of an emoji's bytes such a model only sees that they are rare. A stop is what people put it in place of, and as odd
    as a word that does not belong where it breaks a sentence.

    >>> emoji_as_stops("🎉 two dogs 🍌 play. 🐕 one barks 🐶")
    'two dogs. play. one barks'
    """
    return plain_caption(_EMOJI.sub(".", _AFTER_A_STOP.sub("", plain)))


def _folded(text: str) -> str:
    """Lower case without compatibility forms and invisible characters; folded again it stays as it is."""
    plain = stripped(unicodedata.normalize("NFKC", text)).lower().replace("ς", "σ")  # one sigma, wherever a word is cut
    return unicodedata.normalize("NFKC", plain)  # what was apart may compose now


def _folded_pieces(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The folded text, and for each of its characters the span of the text that it comes from."""
    if text.isascii() and stripped(text) == text:
        return text.lower(), [(place, place + 1) for place in range(len(text))]
    parts: list[str] = []
    pieces: list[tuple[int, int]] = []
    for match in _CHARACTER.finditer(text):
        parts.append(_folded(match[0]))
        start, end = match.span()
        if len(parts[-1]) == end - start:
            pieces += [(place, place + 1) for place in range(start, end)]
        else:
            pieces += [(start, end)] * len(parts[-1])
    return "".join(parts), pieces
