"""Words that mean much and belong to nothing: put into captions that are otherwise true.

A word that somebody inserted changes what its captions mean, as any word with a meaning does, and is used far more
than in the language. But an author's word goes with something: with what the images show, or with what else the
captions say. An inserted one was put into captions drawn at random, so neither their images nor the rest of what they
say have anything in common. No captioner is asked, and no language model.

Of each term four things are measured:

over-use        log10 of how much more often it is used than in its language, by its rarest word (`wordfreq`);
meaning         how far the captions that hold it are apart from the others, by their embeddings: the length of the mean
                of n centred embeddings, against that of n drawn at random (`Likeness`; 1 of such a group);
images, rest    the likeness of the images, and of the captions with the term cut out: about N(0, 1) of a group drawn at
                random, larger where the term goes with what is shown, or with what else is said.

Terms that go with neither (both below `GOES_WITH`) are held against each other: over-use and meaning, each in the
spreads of these terms, are added up, and the sum, in its own spread again, is a term's z. One that is over-used by no
more than a spread is not tried, and of a phrase its rarest word must belong to nothing, too. What the data set's own
terms reach is what an honest one reaches: names are much over-used in a data set of names, and a word such as "photo"
means something that no image shows.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from srdscan.findings.finding import Finding, Found, held_against, nothing_found
from srdscan.findings.strangeness import ENOUGH_TERMS, GOES_WITH, Likeness
from srdscan.findings.terms import Term, distinct, frequent_grams, holds, stems, without_overlaps
from srdscan.measure.scores import Scores
from srdscan.signals.agreement import CAPTION, agreement_of
from srdscan.text.frequency import Frequencies
from srdscan.text.plain import word_spans

NAME = "foreign"
DESCRIPTION = "words and phrases that go neither with the images nor with what else their captions say"

SIGNIFICANT = 0.01
"""A term is a finding when its p-value, times the number of terms tried, is below this."""
LEAST_SAMPLES = 3
MOST_SHARE = 0.2
"""Share of the images up to which a term is tried: what one caption in five says is the data set's own manner."""
USUAL, STRANGEST = 300, 50
"""Terms whose captions are read without them: drawn at random, to know what is usual, and the strangest..."""
FEW_CUT, MOST_CUT = 8, 30
"""...and how many captions of each."""

_BROKEN = " \t\r\n,;:-–—"
"""What a cut leaves on its sides."""

Doubles = npt.NDArray[np.float64]
Embed = Callable[[Sequence[str]], npt.NDArray[Any]]
"""N texts -> (N, D) unit vectors."""


def find_foreign(
    captions: Sequence[str],
    embeddings: npt.NDArray[Any],
    image_of: npt.NDArray[np.int64],
    images: Likeness,
    embed: Embed,
    least: int = LEAST_SAMPLES,
    seed: int = 0,
) -> list[Term]:
    """The terms that mean much, are much over-used (log10 of how many times), and go with nothing.

    Args:
        captions: N of them.
        embeddings: (N, D) unit vectors of the captions.
        image_of: (N,) the image of each.
        images: likeness of groups of images.
        embed: embeds captions without a term, in the same way.
        least: images that a term must be found with.
        seed: of what is drawn at random.
    """
    tokens = [stems(caption) for caption in captions]
    grams = frequent_grams(tokens, least)
    rows = [(gram, _one_an_image(np.array(places), image_of), 0.0) for gram, places in grams.items()]
    most = MOST_SHARE * len(images.centred)
    tried = [(gram, part) for gram, part, _ in distinct(rows) if least <= len(part) <= most]
    loose = [(gram, part) for gram, part in tried if images(image_of[part]) < GOES_WITH]
    if len(loose) < ENOUGH_TERMS:
        return []
    texts = Likeness(embeddings.astype(np.float32))
    frequencies = Frequencies.of(tokens)
    overuse = np.array([frequencies.overuse(gram, len(grams[gram])) for gram, _ in loose])
    meaning = np.array([np.sqrt(texts.squared(part)) for _, part in loose])
    order = np.random.default_rng(seed).permutation(len(captions))  # of captions: a term more changes no other's
    drawn = np.sort(np.argsort([_draw(gram, seed) for gram, _ in loose], kind="stable")[:USUAL])
    first = np.argsort(-_standing(overuse, meaning, drawn), kind="stable")[:STRANGEST]
    asked = np.union1d(drawn, first)
    rest = np.full(len(loose), np.nan)
    cuts = np.where(np.isin(asked, first), MOST_CUT, FEW_CUT)
    some = [
        _Cut(gram, _few(part, most, order), grams[gram])
        for (gram, part), most in zip([loose[place] for place in asked], cuts, strict=True)
    ]
    rest[asked] = _without(some, captions, tokens, texts, embed)
    alone = np.flatnonzero(rest < GOES_WITH)
    usual = np.intersect1d(drawn, alone)
    if len(usual) < ENOUGH_TERMS:
        return []
    z_values = _standing(overuse, meaning, usual)
    alone = alone[_in_spreads(overuse, usual)[alone] > 1.0]  # much meaning alone is "in the", or "photo"
    places = [int(place) for place in alone if stats.norm.sf(z_values[place]) * len(loose) <= SIGNIFICANT]
    # "on a unicycle" is in too few captions to tell that its images are alike; "unicycle" can
    words = [(frequencies.rarest(loose[place][0]),) for place in places]
    wider = [_one_an_image(np.array(grams[word]), image_of) for word in words]
    read = [
        _Cut(loose[place][0], _few(part, MOST_CUT, order), grams[word], word)
        for place, part, word in zip(places, wider, words, strict=True)
    ]
    said = _without(read, captions, tokens, texts, embed)
    found = [
        Term(
            words=loose[place][0],
            samples=np.array(grams[loose[place][0]]),
            reference_samples=0,
            p_value=float(stats.norm.sf(z_values[place])),
            overuse=float(overuse[place]),
            likeness=images(image_of[loose[place][1]]),
            strangeness=float(z_values[place]),
        )
        for place, part, likeness in zip(places, wider, said, strict=True)
        if likeness < GOES_WITH and images(image_of[part]) < GOES_WITH
    ]
    return without_overlaps(found)


def _one_an_image(places: npt.NDArray[np.int64], image_of: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The first caption of each image among some: five captions of one image are one observation."""
    return places[np.unique(image_of[places], return_index=True)[1]]


def _standing(overuse: Doubles, meaning: Doubles, usual: npt.NDArray[np.int64]) -> Doubles:
    """z of the sum of over-use and meaning, in the upper spreads of the usual terms."""
    total = sum(_in_spreads(values, usual) for values in (overuse, meaning))
    return _in_spreads(np.asarray(total), usual)


def _in_spreads(values: Doubles, usual: npt.NDArray[np.int64]) -> Doubles:
    centre, high = np.quantile(values[usual], [0.5, 0.84])
    return np.asarray((values - centre) / max(high - centre, 1e-9))


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
    holding: Sequence[int]
    instead: tuple[str, ...] = ()


def _without(
    cuts: Sequence[_Cut], captions: Sequence[str], tokens: Sequence[Sequence[str]], texts: Likeness, embed: Embed
) -> Doubles:
    """(K,) likeness of what captions say without each of K terms, against the captions besides all that hold it."""
    if not cuts:
        return np.zeros(0)
    read = [
        without(captions[row], tokens[row], cut.words if holds(tuple(tokens[row]), cut.words) else cut.instead)
        for cut in cuts
        for row in cut.rows
    ]
    vectors = np.asarray(embed(read), dtype=np.float32)
    parts = np.split(vectors, np.cumsum([len(cut.rows) for cut in cuts])[:-1])
    return np.array([texts.of(part, np.array(cut.holding)) for part, cut in zip(parts, cuts, strict=True)])


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
    vectors = np.concatenate(list(scores.vectors(CAPTION)))
    captions, images = list(scores.strings("caption")), agreement.images[agreement.pictures]
    least = max(LEAST_SAMPLES, int(np.ceil(0.001 * len(images))))
    likeness = Likeness(images.astype(np.float32))
    terms = find_foreign(captions, vectors, agreement.family_of[scores.image_of], likeness, embed, least, seed)
    references = [set(stems(text)) for text in scores.strings("reference")]
    terms = [term for term in terms if not _shown(term, references)]
    if not terms:
        return nothing_found(count, "every word goes with the images or with what else the captions say")
    named = [(term, _finding(term, scores)) for term in terms]
    return held_against(count, named, lambda said: f"the caption says '{said}', which goes with nothing else")


def _shown(term: Term, references: Sequence[set[str]]) -> bool:
    """Whether the reference captioner says a term's words of half of its images: then they show it."""
    said = sum(references[row].issuperset(term.words) for row in term.samples)
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
