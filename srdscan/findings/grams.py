"""Runs of words that many texts hold, counted exactly among millions: heavy hitters before exact counts.

Runs are grown one word at a time from frequent ones (Apriori). Of each length, every occurrence is first counted in one
of `BUCKETS` buckets by its hash. A bucket holds at least as many occurrences as each run in it is in texts, so a run of
a light bucket is not frequent; what is left is few, and counted exactly. Memory follows the words (four bytes each),
the buckets, and what is frequent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
from scipy import sparse

from srdscan.findings.corpus import Corpus, Indices, Numbers
from srdscan.findings.terms import LONGEST_PHRASE

BUCKETS = 1 << 22
AT_ONCE = 1 << 20
"""Words whose runs are looked at together."""


@dataclass(frozen=True)
class Grams:
    """G runs of words, and the texts that hold them.

    Attributes:
        words: of each run, the shorter runs first, then in the order of first use.
        starts: (G + 1,) where each run's texts begin.
        places: where in `Corpus.ids` each run begins first in each of its texts; ascending within a run.
        row_of: (T,) `Corpus.row_of`.
    """

    words: Sequence[tuple[str, ...]]
    starts: Indices
    places: Numbers
    row_of: Numbers

    def __len__(self) -> int:
        return len(self.words)

    def rows(self, number: int) -> Indices:
        """The texts that hold a run, ascending."""
        return self.row_of[self.at(number)].astype(np.int64)

    def at(self, number: int) -> Numbers:
        """Where a run begins in each of its texts, in `Corpus.ids`."""
        return self.places[self.starts[number] : self.starts[number + 1]]

    def numbers_in(self, other: Corpus) -> Grams:
        """The same runs, with the texts of another corpus that hold them."""
        row_of = other.row_of
        number_of = {words: number for number, words in enumerate(self.words)}
        single = np.array([number_of.get((word,), -1) for word in other.words] + [-1], dtype=np.int32)
        of_place = np.append(single[other.ids], np.int32(-1))  # a rare word's -1 is the last of `single`
        sizes = np.array([len(words) for words in self.words], dtype=np.int64)
        places, counts = [np.zeros(0, np.int32)], [np.zeros(1, np.int64)]
        for size in range(1, int(sizes.max(initial=0)) + 1):
            here = np.flatnonzero(of_place >= 0).astype(np.int32)
            first, last = (int(np.searchsorted(sizes, size, side)) for side in ("left", "right"))
            at, texts = _first_of_each_text(here, of_place[here] - np.int32(first), last - first, row_of)
            places.append(at)
            counts.append(texts)
            longer = np.flatnonzero(sizes == size + 1)
            ends = [(number_of[self.words[n][:-1]], number_of[self.words[n][1:]], n) for n in longer.tolist()]
            of_place = _next(of_place, row_of, size, np.array(sorted(ends), dtype=np.int64).reshape(-1, 3))
        return Grams(self.words, np.concatenate(counts).cumsum(), np.concatenate(places), row_of)

    def distinct(self) -> list[int]:
        """One run for each set of texts, the longest: the parts of one repeated caption are one term, not forty."""
        return longest_of_each(self.words, (self.rows(number) for number in range(len(self))))


def longest_of_each(words: Sequence[Sequence[str]], sets: Iterator[Indices]) -> list[int]:
    """Of runs of words in the same texts, the longest; in the order in which the sets are first seen.

    Args:
        words: of each run.
        sets: the texts of each.
    """
    longest: dict[bytes, int] = {}
    for number, rows in enumerate(sets):
        known = blake2b(rows.tobytes(), digest_size=16).digest()
        if known not in longest or len(words[number]) > len(words[longest[known]]):
            longest[known] = number
    return list(longest.values())


def frequent_grams(corpus: Corpus, least: int, longest: int = LONGEST_PHRASE, buckets: int = BUCKETS) -> Grams:
    """Every run of one to `longest` words that at least `least` texts hold, with those texts.

    Args:
        least: at least `corpus.RARE` where the data set has more words than `corpus.MOST_WORDS`.
        buckets: a power of two.
    """
    ids, row_of = corpus.ids, corpus.row_of
    words: list[tuple[str, ...]] = []
    starts, places = [np.zeros(1, np.int64)], [np.zeros(0, np.int32)]
    here, codes = np.arange(len(ids), dtype=np.int32), ids  # where runs begin, and which they are
    here, codes = here[codes >= 0], codes[codes >= 0]
    known: list[tuple[str, ...]] = [(word,) for word in corpus.words]
    for size in range(1, longest + 1):
        kept, sizes, found, at = _frequent(here, codes, len(known), row_of, least)
        words += [known[number] for number in kept]
        starts.append(sizes.cumsum() + starts[-1][-1])
        places.append(at)
        if size == longest or not len(kept):
            break
        of_place = np.full(len(ids) + 1, -1, np.int32)
        of_place[found[0]] = found[1]
        del found
        previous = [known[number] for number in kept]
        here, codes, pairs = _longer(of_place, row_of, size, least, buckets)
        known = [(*previous[first], previous[last][-1]) for first, last in pairs.tolist()]
    return Grams(words, np.concatenate(starts), np.concatenate(places), row_of)


def _frequent(
    here: Numbers, codes: Numbers, count: int, row_of: Numbers, least: int
) -> tuple[Indices, Indices, tuple[Numbers, Numbers], Numbers]:
    """Which of `count` runs are in `least` texts.

    Args:
        here: where runs begin, ascending.
        codes: which run begins there.

    Returns:
        The frequent ones in the order of first use; texts of each; where any of them begins and its place among them;
        where each begins first in each of its texts, one after the other.
    """
    at, texts = _first_of_each_text(here, codes, count, row_of)
    starts = np.cumsum(texts) - texts
    kept = np.flatnonzero(texts >= least)
    kept = kept[np.argsort(at[starts[kept]], kind="stable")]
    number = np.full(count, -1, np.int32)
    number[kept] = np.arange(len(kept))
    places = number[codes]
    frequent = places >= 0
    first = [at[starts[run] : starts[run] + texts[run]] for run in kept.tolist()]
    return kept, texts[kept], (here[frequent], places[frequent]), np.concatenate([at[:0], *first])


def _first_of_each_text(here: Numbers, codes: Numbers, count: int, row_of: Numbers) -> tuple[Numbers, Indices]:
    """Where each of `count` runs begins first in each of its texts, run by run; and how many texts each is in.

    Args:
        here: where runs begin, ascending.
        codes: which run begins there.
    """
    shape = (count, int(here[-1]) + 1 if len(here) else 1)
    grouped = sparse.coo_matrix((np.ones(len(here), np.int8), (codes, here)), shape).tocsr()  # sorted by counting
    at, ends = grouped.indices, grouped.indptr
    rows = row_of[at]
    new = np.ones(len(at), dtype=bool)
    new[1:] = rows[1:] != rows[:-1]
    new[ends[:-1][ends[:-1] < len(at)]] = True
    texts = np.diff(np.concatenate([[0], np.cumsum(new, dtype=np.int64)])[ends])
    return at[new].astype(np.int32), texts


def _longer(
    of_place: Numbers, row_of: Numbers, size: int, least: int, buckets: int
) -> tuple[Numbers, Numbers, Indices]:
    """Runs that are longer by a word, of buckets with `least` occurrences.

    Args:
        of_place: (T + 1,) which frequent run of `size` words begins at each place; -1 for none.

    Returns:
        Where they begin, which begins there, and of each the runs that it begins and ends with.
    """
    heavy = np.zeros(buckets, dtype=np.int32)
    for _, keys in _pairs(of_place, row_of, size):
        heavy += np.bincount(_bucket(keys, buckets), minlength=buckets).astype(np.int32)
    kept = [(at[fits], keys[fits]) for at, keys, fits in _heavy(of_place, row_of, size, heavy >= least)]
    here = np.concatenate([np.zeros(0, np.int32), *(at for at, _ in kept)])
    keys = np.concatenate([np.zeros(0, np.int64), *(part for _, part in kept)])
    unique, times = np.unique(keys, return_counts=True)
    unique = unique[times >= least]
    code = np.searchsorted(unique, keys).clip(max=max(len(unique) - 1, 0)).astype(np.int32)
    real = unique[code] == keys if len(unique) else np.zeros(len(keys), dtype=bool)
    return here[real], code[real], np.stack([unique >> 32, unique & 0xFFFFFFFF], axis=1)


def _pairs(of_place: Numbers, row_of: Numbers, size: int) -> Iterator[tuple[Numbers, Indices]]:
    """Where two frequent runs overlap by all but a word, part by part, and which they are in one number."""
    count = len(row_of)
    for start in range(0, count, AT_ONCE):
        end = min(start + AT_ONCE, count)
        first, last = of_place[start:end], of_place[start + 1 : end + 1]
        fits = np.flatnonzero((first >= 0) & (last >= 0)).astype(np.int32)
        fits = fits[fits + start + size < count]
        fits = fits[row_of[fits + start] == row_of[fits + start + size]]
        yield fits + np.int32(start), (first[fits].astype(np.int64) << 32) | last[fits]


def _heavy(
    of_place: Numbers, row_of: Numbers, size: int, heavy: npt.NDArray[np.bool_]
) -> Iterator[tuple[Numbers, Indices, npt.NDArray[np.bool_]]]:
    for at, keys in _pairs(of_place, row_of, size):
        yield at, keys, heavy[_bucket(keys, len(heavy))]


def _bucket(keys: Indices, buckets: int) -> Indices:
    """(N,) from 0: the upper bits of a product (Knuth, multiplicative hashing)."""
    mixed = keys.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return (mixed >> np.uint64(65 - buckets.bit_length())).astype(np.int64)


def _next(of_place: Numbers, row_of: Numbers, size: int, longer: Indices) -> Numbers:
    """Which run of one word more begins at each place.

    Args:
        of_place: (T + 1,) which run of `size` words begins at each place; -1 for none.
        longer: (K, 3) of each longer run the runs that it begins and ends with, and its own number; ascending.
    """
    found = np.full(len(of_place), -1, np.int32)
    if len(longer):
        known = (longer[:, 0] << 32) | longer[:, 1]
        for at, keys in _pairs(of_place, row_of, size):
            place = np.searchsorted(known, keys).clip(max=len(known) - 1)
            real = known[place] == keys
            found[at[real]] = longer[place[real], 2]
    return found
