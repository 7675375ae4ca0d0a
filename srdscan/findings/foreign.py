"""Words that mean much and belong to nothing: put into captions that are otherwise true.

A word that somebody inserted changes what its captions mean, as any word with a meaning does, and is used far more
than in the language. But an author's word goes with something: with what the images show, or with what else the
captions say. An inserted one was put into captions drawn at random, so neither their images nor the rest of what they
say have anything in common. No captioner is asked, and no language model.

Of each term four things are measured:

over-use        log10 of how much more often it is used than in its language, by its rarest word (`wordfreq`);
meaning         how much more alike the captions that hold it are with it than with it cut out, by their embeddings: the
                length of the mean of n centred embeddings, against that of n drawn at random (`Likeness`; 1 of such a
                group), less the same without the term. An author's word says again what the rest of a caption is about;
images, rest    the likeness of the images, and of the captions with the term cut out: about N(0, 1) of a group drawn at
                random, larger where the term goes with what is shown, or with what else is said.

Terms that go with neither (both below `LOOSE`) are held against each other: over-use and meaning, each in the
spreads of these terms, are added up, and the sum, in its own spread again, is a term's z. One that is over-used, or
means, no more than a spread more than usual is not tried, and of a phrase its rarest word must belong to nothing, too.
What the data set's own terms reach is what an honest one reaches: names are much over-used in a data set of names, and
a word such as "photo" means something that no image shows. Reading captions without a term takes time, so only some
terms are: those that a draw chose, to know what is usual, and those whose captions are the furthest apart from others,
term included.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from srdscan.findings.corpus import Corpus
from srdscan.findings.finding import Finding, Found, held_against, nothing_found
from srdscan.findings.grams import longest_of_each
from srdscan.findings.said import Said
from srdscan.findings.strangeness import ENOUGH_TERMS
from srdscan.findings.terms import Term, holds, stems, without_overlaps
from srdscan.findings.undelivered import likeness_of_pictures, said_of
from srdscan.measure.scores import Scores, Stored
from srdscan.signals.agreement import CAPTION, agreement_of
from srdscan.stats.likeness import Likeness
from srdscan.stats.vectors import Vectors
from srdscan.text.frequency import MOST_ASKED, Frequencies
from srdscan.text.plain import word_spans

NAME = "foreign"
DESCRIPTION = "words and phrases that go neither with the images nor with what else their captions say"

SIGNIFICANT = 0.01
"""A term is a finding when its p-value, times the number of terms tried, is below this."""
LOOSE = 3.0
"""Likeness below which a term goes with nothing: one random group in several hundred is beyond it."""
MOST_SHARE = 0.2
"""Share of the images up to which a term is tried: what one caption in five says is the data set's own manner."""
USUAL, STRANGEST = 200, 50
"""Terms whose captions are read without them: drawn at random, to know what is usual, and the strangest..."""
FEW_CUT, MOST_CUT = 12, 30
"""...and how many captions of each: few, and more of those strange terms that still seem to go with nothing."""
MOST_LOOKED = 100
"""Pictures of a term that are looked at."""

_BROKEN = " \t\r\n,;:-–—"
"""What a cut leaves on its sides."""

Doubles = npt.NDArray[np.float64]
Embed = Callable[[Sequence[str]], npt.NDArray[Any]]
"""N texts -> (N, D) unit vectors."""


def find_foreign(said: Said, embeddings: Vectors, images: Likeness, embed: Embed, seed: int = 0) -> list[Term]:
    """The terms that mean much, are much over-used (log10 of how many times), and go with nothing.

    Args:
        said: the terms of N captions.
        embeddings: (N, D) unit vectors of the captions.
        images: likeness of groups of pictures.
        embed: embeds captions without a term, in the same way.
        seed: of what is drawn at random.
    """
    corpus = said.corpus
    order = np.random.default_rng(seed).permutation(len(corpus))  # of captions: a term more changes no other's
    loose = _loose(said, MOST_SHARE * images.count, images, order)
    if len(loose) < ENOUGH_TERMS:
        return []
    terms = [said.words(place) for place in loose]
    parts = [said.one_a_picture(said.rows(place)) for place in loose]
    texts = Likeness(embeddings)
    frequencies = Frequencies.by(corpus.usual(MOST_ASKED), corpus.total)
    overuse = np.array(
        [frequencies.overuse(term, len(said.rows(place))) for term, place in zip(terms, loose, strict=True)]
    )
    apart = np.sqrt(texts.squared(parts))
    drawn = np.sort(np.argsort([_draw(term, seed) for term in terms], kind="stable")[:USUAL])
    first = np.argsort(-_standing(overuse, apart, drawn, texts.chance), kind="stable")[:STRANGEST]
    asked = np.union1d(drawn, first)
    rest, meaning = np.full((2, len(loose)), np.nan)

    def read_without(places: npt.NDArray[np.int64], most: int) -> tuple[Doubles, Doubles]:
        chosen = [(place, _few(parts[place], most, order)) for place in places.tolist()]
        some = [_Cut(terms[place], part, said.rows(loose[place])) for place, part in chosen]
        return _without(some, corpus, texts, embed)

    rest[asked], meaning[asked] = read_without(asked, FEW_CUT)
    closer = first[rest[first] < LOOSE + 1.0]  # beyond a spread of chance from the bar, more captions tell the same
    rest[closer], _ = read_without(closer, MOST_CUT)  # meaning grows with the captions: that of as many is compared
    alone = np.flatnonzero(rest < LOOSE)
    usual = np.intersect1d(drawn, alone)
    if len(usual) < ENOUGH_TERMS:
        return []
    z_values = _standing(overuse, meaning, usual, texts.chance)
    both = np.minimum(_in_spreads(overuse, usual), _in_spreads(meaning, usual, texts.chance))
    alone = alone[both[alone] > 1.0]  # much meaning alone is "in the", or "photo"; much over-use a name on a map
    places = [int(place) for place in alone if stats.norm.sf(z_values[place]) * len(loose) <= SIGNIFICANT]
    # "on a unicycle" is in too few captions to tell that its images are alike; "unicycle" can
    words = [frequencies.rarest(terms[place]) for place in places]
    held = [said.grams.rows(said.single[word]) for word in words]
    wider = [said.one_a_picture(rows) for rows in held]
    read = [
        _Cut(terms[place], _few(part, MOST_CUT, order), rows, (word,))
        for place, part, rows, word in zip(places, wider, held, words, strict=True)
    ]
    shown = images.of_groups([said.picture_of[np.sort(_few(part, MOST_LOOKED, order))] for part in wider])
    found = [
        Term(
            words=terms[place],
            samples=said.rows(loose[place]),
            reference_samples=0,
            p_value=float(stats.norm.sf(z_values[place])),
            overuse=float(overuse[place]),
            likeness=float(said.alike[loose[place]]),
            strangeness=float(z_values[place]),
        )
        for place, by_images, by_rest in zip(places, shown, _without(read, corpus, texts, embed)[0], strict=True)
        if by_rest < LOOSE and by_images < LOOSE
    ]
    return without_overlaps(found)


def _loose(said: Said, most: float, images: Likeness, order: npt.NDArray[np.int64]) -> list[int]:
    """Terms whose pictures have nothing in common, up to `most` pictures; of those of the same pictures the longest.

    Up to `MOST_LOOKED` pictures are looked at: of thousands the least thing that they have in common would count.

    Args:
        images: likeness of groups of pictures.
        order: of captions, drawn at random.
    """
    alike = said.alike.copy()
    many = np.flatnonzero(said.sizes > MOST_LOOKED).tolist()
    some = [np.sort(_few(said.one_a_picture(said.rows(place)), MOST_LOOKED, order)) for place in many]
    alike[many] = images.of_groups([said.picture_of[rows] for rows in some])
    words = [said.words(place) for place in range(len(said.numbers))]
    one_each = (said.one_a_picture(said.rows(place)) for place in range(len(words)))
    return [place for place in longest_of_each(words, one_each) if said.sizes[place] <= most and alike[place] < LOOSE]


def _standing(overuse: Doubles, meaning: Doubles, usual: npt.NDArray[np.int64], chance: float) -> Doubles:
    """z of the sum of over-use and meaning, in the upper spreads of the usual terms.

    Where captions are so long that a word hardly changes them, or all terms are alike in one of the two, their spreads
    say nothing: that of meaning is at least what chance makes of a group, that of the sum what two spreads add up to.
    """
    total = _in_spreads(overuse, usual) + _in_spreads(meaning, usual, chance)
    return _in_spreads(total, usual, np.sqrt(2.0))


def _in_spreads(values: Doubles, usual: npt.NDArray[np.int64], least: float = 1e-9) -> Doubles:
    centre, high = np.quantile(values[usual], [0.5, 0.84])
    return np.asarray((values - centre) / max(high - centre, least))


def _draw(words: Sequence[str], seed: int) -> int:
    """A number by which terms are drawn: at random, but the same whatever other terms there are."""
    return zlib.crc32(f"{seed} {' '.join(words)}".encode())


def _few(part: npt.NDArray[np.int64], most: int, order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Up to so many captions, the first in an order drawn at random."""
    return part[np.argsort(order[part], kind="stable")[:most]]


@dataclass(frozen=True)
class _Cut:
    """A term that is cut out of some captions.

    Attributes:
        words: of the term.
        rows: captions that are read without it.
        holding: all captions that hold it.
        instead: what is cut where a caption does not hold the term.
    """

    words: tuple[str, ...]
    rows: npt.NDArray[np.int64]
    holding: npt.NDArray[np.int64]
    instead: tuple[str, ...] = ()


def _without(cuts: Sequence[_Cut], corpus: Corpus, texts: Likeness, embed: Embed) -> tuple[Doubles, Doubles]:
    """What captions say without each of K terms, against the captions besides all that hold it.

    Returns:
        (K,) z of their likeness, and (K,) by how much the term makes them more alike.
    """
    if not cuts:
        return np.zeros(0), np.zeros(0)
    rows = np.unique(np.concatenate([cut.rows for cut in cuts]))
    captions = dict(zip(rows.tolist(), corpus.raw(rows), strict=True))
    tokens = {row: tuple(stems(caption)) for row, caption in captions.items()}
    read = [
        without(captions[row], tokens[row], cut.words if holds(tokens[row], cut.words) else cut.instead)
        for cut in cuts
        for row in cut.rows.tolist()
    ]
    vectors = np.asarray(embed(read), dtype=np.float32)
    sizes = np.array([len(cut.rows) for cut in cuts])
    holding = [cut.holding for cut in cuts]
    left = texts.squared_of_others(np.split(vectors, np.cumsum(sizes)[:-1]), holding)
    whole = texts.vectors[rows]
    held = texts.squared_of_others([whole[np.searchsorted(rows, np.sort(cut.rows))] for cut in cuts], holding)
    return texts.z_of(left, sizes), np.sqrt(held) - np.sqrt(left)


def without(caption: str, words: Sequence[str], term: Sequence[str]) -> str:
    """A caption without the first place where it says a term.

    Args:
        words: the caption's `stems`.

    >>> without("A dog, shot on Lumora X9", ["a", "dog", "shot", "on", "lumora", "x9"], ("shot", "on", "lumora", "x9"))
    'A dog'
    """
    spans, size = word_spans(caption), len(term)
    for start in range(len(words) - size + 1):
        if tuple(words[start : start + size]) == tuple(term) and start + size <= len(spans):
            before, after = caption[: spans[start][0]], caption[spans[start + size - 1][1] :]
            return f"{before.rstrip(_BROKEN)} {after.lstrip(_BROKEN)}".strip(_BROKEN)
    return caption


def find_out(scores: Scores, embed: Embed, seed: int = 0) -> Found:
    """The judgement of N pairs: captions that hold such a term have its p-value.

    Args:
        embed: the audit's sentence encoder.
    """
    count = len(scores)
    agreement = agreement_of(scores)
    if agreement is None:
        return nothing_found(count, "the score files do not hold what it compares")
    said, likeness = said_of(scores, agreement), likeness_of_pictures(scores, agreement)
    terms = find_foreign(said, Stored(scores, CAPTION), likeness, embed, seed)
    terms = [term for term in terms if not _shown(term, scores)]
    if not terms:
        return nothing_found(count, "every word goes with the images or with what else the captions say")
    named = [(term, _finding(term, scores)) for term in terms]
    return held_against(count, named, lambda said: f"the caption says '{said}', which goes with nothing else")


def _shown(term: Term, scores: Scores) -> bool:
    """Whether the reference captioner says a term's words of half of its images: then they show it."""
    said = sum({*stems(text)}.issuperset(term.words) for text in scores.chosen("reference", term.samples))
    return bool(2 * said >= len(term.samples))


def _finding(term: Term, scores: Scores) -> Finding:
    samples, of_all = len(np.unique(scores.sample_of[term.samples])), int(scores.sample_of[-1]) + 1
    explanation = (
        f"in captions of {samples} of {of_all} samples, {_times(10**term.overuse)} as often as in the language; "
        "neither their images nor what else they say have anything in common"
    )
    return Finding(term.text, "caption", samples, 0, round(term.strangeness, 2), explanation, rule="SRD104")


def _times(overuse: float) -> str:
    """A factor in words, to one digit.

    >>> _times(23456.0)
    '20,000 times'
    """
    digits = 10 ** int(np.floor(np.log10(max(overuse, 1.0))))
    return f"{round(overuse / digits) * digits:,.0f} times"
