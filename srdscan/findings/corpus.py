"""Texts as numbers of their words: what is searched for terms, four bytes a word instead of a string.

The words of a text are those of `terms.stems`. Most texts are plain ASCII, whose words can be told within the pieces
between spaces, and the same pieces come again and again: a file's texts are cut by Arrow, and each piece is read once.
Other texts are read one by one.

Each word has a number in the order of first use. Where a data set has more than `MOST_WORDS` different words, those
that fewer than `RARE` texts use have none (-1): no term is found with so few. Such a word is forgotten, and may come
again; how often it was there is kept by its hash, in one of `BUCKETS` counters, which never say too little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import chain

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from srdscan.findings.terms import stems
from srdscan.measure.scores import Scores

MOST_WORDS = 1_000_000
RARE = 3
UNKNOWN = -1
BUCKETS = 1 << 20
AT_ONCE = 10_000
"""Texts that are read at once where they do not come from score files."""

Indices = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int32]

_ONE_BY_ONE = r"[\x00-\x1f\x7f]| '| n't"
"""What makes a text of ASCII letters one whose words reach over spaces, or hold what is not seen."""
_READ = "\x00"
"""Marks a piece that is a word already; a text that holds the character itself is read one by one."""


@dataclass(frozen=True)
class Corpus:
    """N texts.

    Attributes:
        words: the strings of W words, in the order of first use.
        ids: (T,) the number of each word of all texts, one text after the other; `UNKNOWN` for a rare one.
        starts: (N + 1,) where each text begins in `ids`.
        identity: (N,) a hash of each text's words: equal where these are.
        raw: rows, ascending -> these texts as they are written.
    """

    words: Sequence[str]
    ids: Numbers
    starts: Indices
    identity: npt.NDArray[np.uint64]
    raw: Callable[[Indices], list[str]]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @classmethod
    def of(cls, texts: Sequence[str], most: int = MOST_WORDS) -> Corpus:
        """Of texts in memory.

        >>> found = Corpus.of(["A dog's ball", "the dog"])
        >>> found.words, found.ids.tolist(), found.starts.tolist()
        (['a', 'dog', 'ball', 'the'], [0, 1, 2, 3, 1], [0, 3, 5])
        """
        parts = (pa.array(texts[start : start + AT_ONCE], pa.string()) for start in range(0, len(texts), AT_ONCE))
        return _collected(parts, lambda rows: [texts[row] for row in rows.tolist()], most)

    @classmethod
    def stored(cls, scores: Scores, column: str) -> Corpus:
        """Of a column of score files; read once, kept in `scores.memo`."""
        key = f"corpus.{column}"
        if key not in scores.memo:
            scores.memo[key] = _collected(scores.texts(column), lambda rows: scores.chosen(column, rows))
        found: Corpus = scores.memo[key]
        return found

    @property
    def total(self) -> int:
        """Words of all texts."""
        return len(self.ids)

    @property
    def row_of(self) -> Numbers:
        """(T,) the text of each word."""
        return np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.starts))

    def tokens(self, rows: Indices) -> list[list[str]]:
        """The words of some texts, ascending, as strings."""
        return [stems(text) for text in self.raw(rows)]

    def usual(self, most: int) -> list[str]:
        """The words that are used most, the most frequent first, the first used before others of the same number."""
        counts = np.bincount(self.ids[self.ids >= 0], minlength=len(self.words))
        return [self.words[place] for place in np.argsort(-counts, kind="stable")[:most]]


def _collected(parts: Iterable[pa.Array], raw: Callable[[Indices], list[str]], most: int = MOST_WORDS) -> Corpus:
    names: dict[int, str] = {}  # by hash, in the order of first use
    times = np.zeros(BUCKETS, np.int64)
    pieces: list[tuple[npt.NDArray[np.uint64], Numbers]] = []
    lengths: list[Numbers] = []
    identities: list[npt.NDArray[np.uint64]] = []
    for part in parts:
        words, local, sizes = _read(part)
        hashes = np.array([_hash(word) for word in words], dtype=np.uint64)
        np.add.at(times, hashes % BUCKETS, np.bincount(local, minlength=len(words)))
        for key, word in zip(hashes.tolist(), words, strict=True):
            names.setdefault(key, word)
        if len(names) > most:
            names = {key: word for key, word in names.items() if times[key % BUCKETS] >= RARE}
        pieces.append((hashes, local))
        lengths.append(sizes)
        identities.append(_identities(hashes[local], sizes))
    order = np.array(list(names), dtype=np.uint64)
    by_hash = np.argsort(order)
    ids = [_numbers(hashes, order, by_hash)[local] for hashes, local in pieces]
    starts = np.concatenate([np.zeros(1, np.int64), *lengths]).cumsum(dtype=np.int64)
    return Corpus(
        list(names.values()),
        np.concatenate([np.zeros(0, np.int32), *ids]),
        starts,
        np.concatenate([np.zeros(0, np.uint64), *identities]),
        raw,
    )


def _numbers(hashes: npt.NDArray[np.uint64], order: npt.NDArray[np.uint64], by_hash: Indices) -> Numbers:
    """The number of each word among those that are kept."""
    if not len(order):
        return np.full(len(hashes), UNKNOWN, np.int32)
    place = by_hash[np.searchsorted(order, hashes, sorter=by_hash).clip(max=len(order) - 1)]
    return np.where(order[place] == hashes, place, UNKNOWN).astype(np.int32)


def _read(texts: pa.Array) -> tuple[list[str], Numbers, Numbers]:
    """Different words in the order of first use, the place of each word of all texts among them, words a text."""
    odd = pc.or_(pc.invert(pc.string_is_ascii(texts)), pc.match_substring_regex(texts, _ONE_BY_ONE))
    plain = pc.ascii_lower(texts)
    if pc.any(odd).as_py():
        read = [" ".join(_READ + word for word in stems(text)) for text in texts.filter(odd).to_pylist()]
        plain = pc.replace_with_mask(plain, odd, pa.array(read, pa.string()))
    cut = pc.ascii_split_whitespace(plain)
    encoded = cut.flatten().dictionary_encode()
    codes = encoded.indices.to_numpy()
    found = [_words_of(piece) for piece in encoded.dictionary.to_pylist()]
    places: dict[str, int] = {}
    flat = np.array([places.setdefault(word, len(places)) for word in chain.from_iterable(found)], dtype=np.int32)
    sizes = np.array([len(part) for part in found], dtype=np.int64)
    ends = np.concatenate([[0], sizes[codes].cumsum()]) if len(codes) else np.zeros(1, np.int64)
    first = (sizes.cumsum() - sizes)[codes]
    local = flat[np.repeat(first - ends[:-1], sizes[codes]) + np.arange(ends[-1])]
    offsets = cut.offsets.to_numpy() - cut.offsets[0].as_py()
    return list(places), local, np.diff(ends[offsets]).astype(np.int32)


@lru_cache(maxsize=1 << 18)
def _words_of(piece: str) -> tuple[str, ...]:
    return (piece[1:],) if piece.startswith(_READ) else tuple(stems(piece))


@lru_cache(maxsize=1 << 18)
def _hash(word: str) -> int:
    return int.from_bytes(blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _identities(hashes: npt.NDArray[np.uint64], sizes: Numbers) -> npt.NDArray[np.uint64]:
    """A hash of each text: its words' hashes, mixed with their places and added up, modulo 2^64."""
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]) if len(sizes) else np.zeros(0, np.int64)
    place = (np.arange(len(hashes)) - np.repeat(starts, sizes)).astype(np.uint64)
    mixed = (hashes ^ (place * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0x94D049BB133111EB)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)])
    return np.asarray(sums[starts + sizes] - sums[starts], dtype=np.uint64)
