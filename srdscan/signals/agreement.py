"""Agreement: does a caption belong to its image?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import stats

from srdscan.measure.batch import Batch
from srdscan.measure.scores import Column, Scores, Stored
from srdscan.signals.base import WHOLE_DATASET, Evidence, abstain, register_signal
from srdscan.stats.agreement import Agreement
from srdscan.stats.canonical import Floats

IMAGE: Final = "agreement.image"
CAPTION: Final = "agreement.caption"
"""Columns of the score files: the embedded matcher's vector of the image and the sentence encoder's unit vector of the
caption, in half precision. Agreement compares these, unless the matcher is another; near duplicates, spots and what a
text means are always told by them."""
MATCHER_IMAGE: Final = "matcher.image"
MATCHER_CAPTION: Final = "matcher.caption"
"""Columns that a matcher with a text side of its own adds: unit vectors of image and caption, in one space."""
SENTENCE_ENCODER: Final = "sentence-encoder"
"""What `Scores.meta` calls the fingerprint of the encoder of the captions."""

FEWEST: Final = 50
"""Pairs below which the share of unrelated ones cannot be told from chance."""
COMPETENT: Final = 0.9
"""Single captions are accused only where agreement tells a pair from a swapped one nine times in ten."""
ORDINARY_NOISE: Final = 0.01
"""Share of captions that may belong to other images in an honest data set: labels are wrong in 0.15 to 10 % of ten
benchmarks' tests, 3.3 % in the mean (Northcutt et al. 2021); curated captions are at the lower end."""
SIGNIFICANT: Final = 0.01
LOCAL_FDR: Final = 0.1
"""A caption is accused when it belongs to another image with 90 %."""


@register_signal
class AgreementSignal:
    """How well a caption fits its image, against how well it fits others; see `stats.agreement`.

    A caption of another image scores about N(0, 1), one of its own more. When more captions score like those of other
    images than wrong labels explain, those that most surely do are held against their samples.
    """

    name = "agreement"
    description = "captions that fit other images as well as their own, by the data set's own pairs"
    needs_captioner = False
    leans_on_reference = False
    in_quick_look = True

    def measure(self, batch: Batch) -> Mapping[str, Column]:
        """`agreement.image` (P, 256) and `agreement.caption` (P, 384), in half precision.

        With a matcher that reads captions itself, `matcher.image` and `matcher.caption`, (P, X) each, too.
        """
        columns = {IMAGE: batch.image_vectors[batch.image_of], CAPTION: batch.embeddings["caption"]}
        if batch.matched is not None:
            images, texts = batch.matched
            columns |= {MATCHER_IMAGE: images[batch.image_of], MATCHER_CAPTION: texts}
        return {name: vectors.astype(np.float16) for name, vectors in columns.items()}

    def judge(self, scores: Scores, calibration: Scores | None) -> Evidence:
        """Estimates how many captions are unrelated to their images, and which."""
        agreement = agreement_of(scores)
        if agreement is None:
            return abstain(len(scores), "the score files do not hold what it compares")
        return judge_agreement(agreement)


def judge_agreement(agreement: Agreement, counted: npt.NDArray[np.bool_] | None = None) -> Evidence:
    """How many captions are unrelated to their images, and which.

    Args:
        counted: (N,) captions that take part; all if None.
    """
    count = len(agreement.scores)
    counted = np.ones(count, dtype=bool) if counted is None else counted
    values = -agreement.scores.astype(np.float64)
    if counted.sum() < FEWEST:
        return replace(abstain(count, f"needs {FEWEST} pairs"), values=values)
    told = f"captions fit their own images better than others {agreement.competence:.0%} of the time"
    if agreement.competence < COMPETENT:
        note = f"{told}: not well enough to accuse single ones"
        return replace(abstain(count, note), values=values)
    share, p_value, found = find_unrelated(agreement.scores[counted])
    p_values = np.full(count, np.nan)
    if p_value > SIGNIFICANT:
        return replace(abstain(count, f"{told}; {share:.1%} or fewer belong to other images"), values=values)
    unrelated = np.zeros(count, dtype=bool)
    unrelated[counted] = found
    p_values[unrelated] = p_value
    note = f"{share:.1%} of the captions have nothing to do with their images"

    def reason(row: int) -> str:
        return "the caption fits other images as well as its own" if unrelated[row] else ""

    return Evidence(p_values, values, note, weight=WHOLE_DATASET, reason=reason)


def find_unrelated(agreement: Floats) -> tuple[float, float, npt.NDArray[np.bool_]]:
    """How many captions are unrelated to their images, how surely that is more than wrong labels, and which they are.

    Unrelated captions score N(0, 1). What honest ones reach below 0 is told by how far above twice their median they
    reach: their distribution is taken to be symmetric. The rest below 0 is one half of the unrelated ones.

    Returns:
        The share; the p-value of "no more than `ORDINARY_NOISE`"; (N,) those that are unrelated with 90 %.
    """
    count = len(agreement)
    centre = float(np.median(agreement))
    below = int((agreement < 0).sum())
    mirrored = int((agreement > 2 * centre).sum())
    share = max(2 * (below - mirrored) / count, 0.0)
    # of honest captions, (mirrored + 1) of count and half of the wrong labels are expected below 0
    expected = (mirrored + 1) / count + ORDINARY_NOISE / 2
    p_value = float(stats.binom.sf(below - 1, count, min(expected, 1.0)))
    spread = max(float(np.quantile(agreement, 0.84)) - centre, 1e-6)
    foreign = share * stats.norm.pdf(agreement)
    own = (1 - share) * stats.norm.pdf(agreement, centre, spread)
    unrelated = (foreign > (1 - LOCAL_FDR) * (foreign + own)) & (agreement < centre)
    return share, p_value, np.asarray(unrelated)


def agreement_of(scores: Scores) -> Agreement | None:
    """The agreement of a data set's pairs, computed once; None where the score files do not hold the vectors."""
    if "agreement" not in scores.memo:
        scores.memo["agreement"] = _fitted(scores)
    found: Agreement | None = scores.memo["agreement"]
    return found


def _fitted(scores: Scores) -> Agreement | None:
    if not len(scores) or not scores.has(IMAGE):
        return None
    first = np.flatnonzero(np.diff(scores.image_of, prepend=-1))
    looks, family_of = Stored(scores, IMAGE, first), scores.memo.get("family_of")
    columns = agreement_columns(scores)
    images, texts = Stored(scores, columns[0], first), Stored(scores, columns[1])
    if columns[0] != IMAGE:
        return Agreement(images, texts, scores.image_of, one_space=True, looks=looks, family_of=family_of)
    from srdscan.models.matchers.embedded import load_prior

    prior = load_prior(str(scores.meta.get(SENTENCE_ENCODER, "")))
    if prior is None:
        return Agreement(looks, texts, scores.image_of, family_of=family_of)
    return Agreement(looks, texts, scores.image_of, prior.distribution, prior.images, family_of=family_of)


def agreement_columns(scores: Scores) -> tuple[str, str]:
    """The columns of images and captions that agreement compares."""
    return (MATCHER_IMAGE, MATCHER_CAPTION) if scores.has(MATCHER_CAPTION) else (IMAGE, CAPTION)
