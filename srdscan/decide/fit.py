"""Do the models understand this data set at all? Each witness is asked before it is heard.

The reference captioner: how near a text is to the reference caption of its own image, and how often it is nearer to
that than to the reference caption of another. Captioners that describe what is there agree on the second even where
their styles differ much; one that never saw such images says things that fit no image better than another.

The matcher: how often a caption fits its own image better than another, by the data set's own pairs and what the
matcher knows of others (`stats.agreement`).

Where the reference does not understand, the signals that lean on it abstain; where neither does, there is no verdict.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import mannwhitneyu

from srdscan.measure.batch import Role
from srdscan.measure.scores import Scores, Stored
from srdscan.signals.agreement import CAPTION, agreement_of

Doubles = npt.NDArray[np.float64]

FEWEST = 20
"""Samples below which nothing is said."""
COMPARED = 50_000
"""Texts that are held against another image's reference caption: a share of comparisons is exact to 0.003."""
LEAST_AGREEMENT = 0.25
LEAST_DISCERNMENT = 0.75
"""A kind of text below both does not fit. Measured, median cosine and discernment: 0.39 and 0.90 of human captions of
photographs, 0.05 and 0.54 of what a model of drawn scenes says of them (benchmarks/README.md)."""


@dataclass(frozen=True)
class Fit:
    """How well the models fit the data, by one kind of text.

    Attributes:
        role: "caption" for the data set's captions, "output" for what the captioner says.
        agreement: Median cosine with the reference caption of the same image.
        discernment: Share of comparisons in which a text is nearer to its own image's reference caption than texts
            are to another image's; 0.5 is chance.
        matcher: Share of comparisons in which a caption fits its own image better than another, by the data set's own
            pairs; None of what a captioner says.
        reference: Whether the reference captioner understands: signals that lean on it are heard.
        fits: Whether one of the two does; else the audit says nothing.
    """

    role: Literal["caption", "output", "reference"]
    agreement: float
    discernment: float
    matcher: float | None
    reference: bool
    fits: bool


def measure_fit(scores: Scores, roles: tuple[Role, ...]) -> tuple[Fit, ...]:
    """How well the models fit the data, one record for each kind of audited text; none for a handful of samples."""
    if len(scores) < FEWEST:
        return ()
    return tuple(_of_role(scores, role) for role in roles)


def _of_role(scores: Scores, role: Role) -> Fit:
    own = 1.0 - scores.numbers(f"signal.drift.{role}")
    other = elsewhere(scores, role)
    agreement = float(np.median(own))
    discernment = float(mannwhitneyu(own, other).statistic / (len(own) * len(other))) if len(other) else 1.0
    understood = agreement >= LEAST_AGREEMENT or discernment >= LEAST_DISCERNMENT
    pairs = agreement_of(scores) if role == "caption" else None
    matcher = round(pairs.competence, 6) if pairs is not None else None
    fits = understood or (matcher is not None and matcher >= LEAST_DISCERNMENT)
    return Fit(role, agreement, discernment, matcher, understood, fits)


def elsewhere(scores: Scores, role: Role, seed: int = 0) -> Doubles:
    """(N,) cosine of each text with the reference caption of another image of the data set, drawn at random.

    Of more than `COMPARED` texts, of so many drawn at random. Empty where there is one image only, or the score files
    are of a time that did not keep the vectors.
    """
    column = CAPTION if role == "caption" else f"{role}_embedding"
    images = scores.image_of
    count = int(images[-1]) + 1
    if count < 2 or not scores.has(column):
        return np.zeros(0)
    order = np.random.default_rng(seed).permutation(count)
    other = np.empty(count, np.int64)
    other[order] = np.roll(order, 1)
    first = np.flatnonzero(np.diff(images, prepend=-1))
    rows = np.arange(len(images))
    if len(rows) > COMPARED:
        rows = np.sort(np.random.default_rng([seed, 1]).permutation(rows)[:COMPARED])
    of_sides = ((column, rows), ("reference_embedding", first[other[images[rows]]]))
    texts, references = (Stored(scores, name)[asked].astype(np.float64) for name, asked in of_sides)
    return np.asarray(np.einsum("nd,nd->n", texts, references))
