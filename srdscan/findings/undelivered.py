"""Words that promise what their images do not show: captions that were written for no image, whoever copied them.

A sentence put under a dozen unlike images, a slogan, a product praised in ever other words: each such caption is one
odd pair among many, and all odd pairs that share a word are a finding. The captions that hold a term (a word, or up
to five) agree with their images by some mean; terms differ in it by nature, so it is held against a random-effects
model over the data set's own terms,

    mean agreement of a term's images  ~  N(mu, tau^2 + sigma^2 / n)

with sigma the spread of single pairs, n the term's images, and mu and tau of the terms (`strangeness`).
tau is taken from terms whose images are as unlike as the term's own: words for things that the matcher does not know
go with images that are alike, and may be far off together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from srdscan.findings.finding import Finding, held_against, nothing_found
from srdscan.findings.strangeness import ENOUGH_TERMS, GOES_WITH, Likeness, centre_and_scale, strangeness_z
from srdscan.findings.terms import Term, distinct, frequent_grams, stems, without_overlaps
from srdscan.measure.batch import Batch
from srdscan.measure.scores import Column, Scores
from srdscan.signals.agreement import COMPETENT as ALONE
from srdscan.signals.agreement import agreement_of
from srdscan.signals.base import Evidence, register_signal
from srdscan.stats.agreement import FEWEST, Agreement
from srdscan.stats.canonical import Floats

Doubles = npt.NDArray[np.float64]

SIGNIFICANT = 0.01
"""A term is a finding when its p-value, times the number of terms tried, is below this."""
LEAST_SAMPLES = 3
COMPETENT = 0.75
"""Agreement must tell a pair from a swapped one three times in four: a dozen captions say together what one cannot.
Where the prior alone speaks, nine times in ten."""


@dataclass(frozen=True)
class Lie:
    """A term that its images do not bear out.

    Attributes:
        term: the words, the rows that are held against their samples, p-value and strangeness.
        agreement: mean agreement of the images of all captions that hold it.
        expected: mean agreement of the data set's terms.
    """

    term: Term
    agreement: float
    expected: float


def find_undelivered(
    tokens: Sequence[Sequence[str]],
    agreement: Floats,
    image_of: npt.NDArray[np.int64],
    likeness: Likeness,
    least: int = LEAST_SAMPLES,
) -> list[Lie]:
    """The terms whose captions agree with their images far less than those of other terms.

    Args:
        tokens: N captions as words.
        agreement: (N,) of captions with their images, in standard deviations; about N(0, 1) where there is none.
        image_of: (N,) the image of each caption.
        likeness: of groups of images.
        least: images that a term must be found with.
    """
    grams = frequent_grams(tokens, least)
    rows = [(gram, np.array(places, dtype=np.int64), 0.0) for gram, places in grams.items()]
    candidates = [c for c in distinct(rows) if len(np.unique(image_of[c[1]])) >= least]
    if len(candidates) < ENOUGH_TERMS:
        return []
    _, spread = centre_and_scale(agreement)
    sizes = np.array([len(np.unique(image_of[places])) for _, places, _ in candidates])
    means = np.array([_mean_of_images(agreement, image_of, places) for _, places, _ in candidates])
    alike = np.array([likeness(np.unique(image_of[places])) for _, places, _ in candidates])
    z_values, centre = np.zeros(len(candidates)), float(np.median(means))
    for stratum in (alike < GOES_WITH, alike >= GOES_WITH):
        z_values[stratum] = strangeness_z(-means[stratum], sizes[stratum], -agreement, least_between=0.0)
    p_values = stats.norm.sf(z_values)
    found: list[Term] = []
    for place in np.flatnonzero(p_values * len(candidates) <= SIGNIFICANT):
        gram, places, _ = candidates[place]
        guilty = places[unrelated(agreement[places], centre, spread)]
        if len(np.unique(image_of[guilty])) >= least:
            z = float(z_values[place])
            found.append(Term(gram, guilty, 0, float(p_values[place]), z, float(alike[place]), z))
    kept = without_overlaps(found)
    return [Lie(term, _mean_of_images(agreement, image_of, term.samples), centre) for term in kept]


def _mean_of_images(agreement: Floats, image_of: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> float:
    """Mean over images of the mean over their captions: five captions of one image are one observation."""
    _, inverse, counts = np.unique(image_of[rows], return_inverse=True, return_counts=True)
    return float((np.bincount(inverse, weights=agreement[rows]) / counts).mean())


def unrelated(agreement: Floats, centre: float, spread: float) -> npt.NDArray[np.bool_]:
    """Which of some captions fit as captions of other images do, rather than as the data set's own.

    The share of those is what makes the mean what it is.
    """
    one = 1.0 / (len(agreement) + 1)  # neither kind is ruled out: one more caption might be of it
    share = float(np.clip(1.0 - agreement.mean() / max(centre, 1e-6), one, 1.0 - one))
    foreign = share * stats.norm.pdf(agreement)
    own = (1 - share) * stats.norm.pdf(agreement, centre, spread)
    return np.asarray(foreign > own)


def competent_agreement(scores: Scores) -> Agreement | str:
    """The agreement of a data set's pairs, where it can accuse groups of captions; else why it cannot."""
    agreement = agreement_of(scores)
    if agreement is None:
        return "the score files do not hold what it compares"
    images = len(agreement.pictures)
    # what the prior does not know, such as a background of drawings, it takes for a lie
    if agreement.competence >= (COMPETENT if images >= FEWEST else ALONE):
        return agreement
    told = f"captions fit their own images better than others {agreement.competence:.0%} of the time"
    return f"{told}: not well enough for {images} images"


@register_signal
class Undelivered:
    """The strongest term in each caption whose images do not show what its captions say."""

    name = "undelivered"
    description = "words and sentences under images that have nothing to do with what the captions say"
    needs_captioner = False
    leans_on_reference = False
    in_quick_look = True

    def measure(self, batch: Batch) -> Mapping[str, Column]:
        """Nothing: it reads what `agreement` keeps."""
        return {}

    def judge(self, scores: Scores, calibration: Scores | None) -> Evidence:
        """A term must be significant among all that were tried; its captions do not pay for that once more."""
        count = len(scores)
        agreement = competent_agreement(scores)
        if isinstance(agreement, str):
            return nothing_found(count, agreement)
        vectors, picture_of = agreement.images[agreement.pictures], agreement.family_of[scores.image_of]
        tokens = [stems(text) for text in scores.strings("caption")]
        likeness = Likeness(vectors.astype(np.float32))
        lies = find_undelivered(tokens, agreement.scores, picture_of, likeness, _least(len(vectors)))
        if not lies:
            return nothing_found(count, "no word or sentence is repeated under images that do not show it")
        terms = [(lie.term, _finding(lie, said_by(lie, tokens), scores)) for lie in lies]
        return held_against(count, terms, lambda said: f"the caption says '{said}', whose images show something else")


def _least(images: int) -> int:
    """Images that a term must be found with: 3, and one in a thousand."""
    return max(LEAST_SAMPLES, int(np.ceil(0.001 * images)))


def said_by(lie: Lie, tokens: Sequence[Sequence[str]]) -> str:
    """What the accused captions have in common, in words: the caption that most of them are, or the term."""
    text, times = Counter(" ".join(tokens[row]) for row in lie.term.samples).most_common(1)[0]
    return text if 2 * times > len(lie.term.samples) else lie.term.text


def _finding(lie: Lie, said: str, scores: Scores) -> Finding:
    samples, of_all = len(np.unique(scores.sample_of[lie.term.samples])), int(scores.sample_of[-1]) + 1
    explanation = (
        f"in captions of {samples} of {of_all} samples, whose images have nothing to do with what they say: they fit "
        f"them by {lie.agreement:.1f} standard deviations, where {lie.expected:.1f} is usual and 0 any other image"
    )
    z, references = round(lie.term.strangeness, 2), lie.term.reference_samples
    return Finding(said, "caption", samples, references, z, explanation, rule="SRD103")
