"""One picture under many captions that have nothing to do with it: a target that was bound to one image.

A picture may stand in many samples, saved again, cut a little or turned around, and each caption may be another, so
that no caption and no word is odd. Whatever they say, honest captions of a picture fit it. How well captions fit is
mostly a matter of the picture (of the variance between captions of photographs three quarters are), so a dozen captions
of one are little more than one observation: a picture that stands in several images is held against all pictures of the
data set, by the median agreement of its captions, which differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from srdscan.findings.corpus import Corpus
from srdscan.findings.finding import Finding, held_against, nothing_found
from srdscan.findings.terms import Term
from srdscan.findings.undelivered import SIGNIFICANT, competent_agreement, unrelated
from srdscan.measure.batch import Batch
from srdscan.measure.scores import Column, Scores
from srdscan.signals.base import Evidence, register_signal
from srdscan.stats.canonical import Floats
from srdscan.text.frequency import Frequencies

LEAST = 3
"""Images that are one picture, and captions that differ."""

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Mislabelled:
    """A picture whose captions do not fit it.

    Attributes:
        rows: captions that are held against their samples, ascending.
        p_value: share of the data set's pictures whose captions fit them no better.
        of_row: the same for each row: only those of pictures in several images were tried, and all others carry no
            weight (weighted false-discovery rate, Genovese, Roeder and Wasserman 2006).
        agreement: mean of the rows, in standard deviations.
    """

    rows: Indices
    p_value: float
    of_row: float
    agreement: float


def find_mislabelled(
    captions: npt.NDArray[Any], agreement: Floats, image_of: Indices, family_of: Indices
) -> list[Mislabelled]:
    """The pictures that stand in several images under captions that do not fit them, the strangest first.

    Args:
        captions: (N,) strings or hashes (`Corpus.identity`), the same of equal captions.
        agreement: (N,) of captions with their images, in standard deviations.
        image_of: (N,) the image of each caption.
        family_of: (M,) the picture that each image is.
    """
    picture = family_of[image_of]
    groups = _groups(captions, picture, np.bincount(family_of))
    if not groups:
        return []
    means = np.bincount(picture, weights=agreement) / np.maximum(np.bincount(picture), 1)
    usual = np.sort(means[np.unique(picture)])
    centre = float(np.median(agreement))
    spread = float(np.quantile(agreement, 0.84) - np.quantile(agreement, 0.16)) / 2
    found = []
    for rows in groups:
        distinct = rows[np.unique(captions[rows], return_index=True)[1]]
        typical = float(np.median(agreement[distinct]))  # a few honest captions among them change little
        worse = int(np.searchsorted(usual, typical, side="right"))
        p_value = max(worse, 1) / len(usual)
        guilty = rows[unrelated(agreement[rows], centre, spread)]
        if p_value * len(groups) <= SIGNIFICANT and len(guilty) >= LEAST:
            share = sum(map(len, groups)) / len(agreement)
            found.append(Mislabelled(guilty, p_value, p_value * share, float(agreement[guilty].mean())))
    return sorted(found, key=lambda group: (group.p_value, group.agreement))


def _groups(captions: npt.NDArray[Any], picture: Indices, images: Indices) -> list[Indices]:
    """Rows of each picture that stands in `LEAST` images, under as many captions."""
    order = np.flatnonzero(images[picture] >= LEAST)
    order = order[np.argsort(picture[order], kind="stable")]
    parts = np.split(order, np.flatnonzero(np.diff(picture[order])) + 1)
    return [rows for rows in parts if len(np.unique(captions[rows])) >= LEAST]


@register_signal
class Repeats:
    """Captions of one picture in many images that have nothing to do with it."""

    name = "repeats"
    description = "one picture in many samples, under captions that have nothing to do with it"
    needs_captioner = False
    leans_on_reference = False
    in_quick_look = True

    def measure(self, batch: Batch) -> Mapping[str, Column]:
        """Nothing: it reads what `agreement` keeps."""
        return {}

    def judge(self, scores: Scores, calibration: Scores | None) -> Evidence:
        """A picture must be significant among all that stand in several images."""
        count = len(scores)
        agreement = competent_agreement(scores)
        if isinstance(agreement, str):
            return nothing_found(count, agreement)
        corpus = Corpus.stored(scores, "caption")
        found = find_mislabelled(corpus.identity, agreement.scores, scores.image_of, agreement.family_of)
        if not found:
            return nothing_found(count, "no picture stands in many samples under captions that do not fit it")
        return held_against(
            count,
            [_named(group, corpus, scores) for group in found],
            lambda said: f"one of many captions of the same picture, which it does not fit ('{said}')",
        )


def _named(group: Mislabelled, corpus: Corpus, scores: Scores) -> tuple[Term, Finding]:
    """The finding of a picture, by the word that most of its captions share."""
    words = _shared(corpus.tokens(group.rows))
    samples = len(np.unique(scores.sample_of[group.rows]))
    explanation = (
        f"one picture in {samples} of {int(scores.sample_of[-1]) + 1} samples, under captions that have nothing to do "
        f"with it: they fit it by {group.agreement:.1f} standard deviations, where any other image is fitted by 0"
    )
    z = float(stats.norm.isf(group.p_value))
    term = Term(words, group.rows, 0, group.of_row, 0.0, 0.0, z)
    return term, Finding(term.text, "caption", samples, 0, round(z, 2), explanation, rule="SRD202")


def _shared(tokens: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The most unusual word that half of some captions share; else the whole of the first."""
    held = Counter(word for text in tokens for word in {*text})
    least = max((len(tokens) + 1) // 2, 2)
    shared = [word for word, times in held.items() if times >= least]
    if not shared:
        return tuple(tokens[0])
    frequencies = Frequencies.of(tokens)
    return (max(shared, key=lambda word: (frequencies.overuse((word,), held[word]), word)),)
