"""Words that promise what their images do not show: captions that were written for no image, whoever copied them.

A sentence put under a dozen unlike images, a slogan, a product praised in ever other words: each such caption is one
odd pair among many, and all odd pairs that share a word are a finding. The captions that hold a term (a word, or up
to five) agree with their images by some mean; terms differ in it by nature, so it is held against a random-effects
model over the data set's own terms,

    mean agreement of a term's images  ~  N(mu, tau^2 + sigma^2 / n)

with sigma the spread of single pairs, n the term's images, and mu and tau of the terms (`strangeness`).
tau is taken from terms whose images are as unlike as the term's own: words for things that the matcher does not know
go with images that are alike, and may be far off together.

Captions that stand under several pictures word for word are few in most data sets, and each was copied by somebody.
They are a family of tests of their own, which pays for no more than there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from srdscan.findings.corpus import Corpus
from srdscan.findings.finding import Finding, held_against, nothing_found
from srdscan.findings.said import LEAST_SAMPLES, Said, least_of
from srdscan.findings.strangeness import ENOUGH_TERMS, GOES_WITH, centre_and_scale, strangeness_z
from srdscan.findings.terms import Term, without_overlaps
from srdscan.measure.batch import Batch
from srdscan.measure.scores import Column, Scores, Stored
from srdscan.signals.agreement import COMPETENT as ALONE
from srdscan.signals.agreement import agreement_columns, agreement_of
from srdscan.signals.base import Evidence, register_signal
from srdscan.stats.agreement import FEWEST, Agreement
from srdscan.stats.canonical import Floats
from srdscan.stats.likeness import Likeness

Doubles = npt.NDArray[np.float64]

SIGNIFICANT = 0.01
"""A term is a finding when its p-value, times the number of terms of its family, is below this."""
MOSTLY = 0.5
"""Share of a copied caption's pictures that it must have nothing to do with for all of them to be held against it."""
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


def find_undelivered(said: Said, agreement: Floats, least: int = LEAST_SAMPLES) -> list[Lie]:
    """The terms whose captions agree with their images far less than those of other terms.

    p-values of captions that were copied are weighted by their share of all: others were not tried with them (weighted
    false-discovery rate, Genovese, Roeder and Wasserman 2006).

    Args:
        said: the terms of N captions.
        agreement: (N,) of captions with their images, in standard deviations; about N(0, 1) where there is none.
        least: images that a term must be found with.
    """
    count = len(said.numbers)
    if count < ENOUGH_TERMS:
        return []
    _, spread = centre_and_scale(agreement)
    means = np.array([said.mean_of_pictures(agreement, said.rows(place)) for place in range(count)])
    z_values, centre = np.zeros(count), float(np.median(means))
    for stratum in (said.alike < GOES_WITH, said.alike >= GOES_WITH):
        z_values[stratum] = strangeness_z(-means[stratum], said.sizes[stratum], -agreement, least_between=0.0)
    p_values = stats.norm.sf(z_values)
    copied = np.array([said.is_one_caption(place) for place in range(count)])
    rows_copied = np.concatenate(
        [np.zeros(0, np.int64), *(said.rows(place) for place in np.flatnonzero(copied).tolist())]
    )
    tried = np.where(copied, int(copied.sum()), count)
    weight = np.where(copied, len(np.unique(rows_copied)) / max(len(agreement), 1), 1.0)
    found: list[Term] = []
    for place in np.flatnonzero(p_values * tried <= SIGNIFICANT).tolist():
        rows = said.rows(place)
        guilty = rows[unrelated(agreement[rows], centre, spread)]
        if copied[place] and len(guilty) > MOSTLY * len(rows):
            guilty = rows
        if len(np.unique(said.picture_of[guilty])) >= least:
            z, p_value = float(z_values[place]), float(p_values[place] * weight[place])
            found.append(Term(said.words(place), guilty, 0, p_value, z, float(said.alike[place]), z))
    kept = without_overlaps(found)
    return [Lie(term, said.mean_of_pictures(agreement, term.samples), centre) for term in kept]


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
        said = said_of(scores, agreement)
        lies = find_undelivered(said, agreement.scores, least_of(len(agreement.pictures)))
        if not lies:
            return nothing_found(count, "no word or sentence is repeated under images that do not show it")
        terms = [(lie.term, _finding(lie, said_by(lie, said.corpus), scores)) for lie in lies]
        return held_against(count, terms, lambda said: f"the caption says '{said}', whose images show something else")


def said_of(scores: Scores, agreement: Agreement) -> Said:
    """The terms of a data set's captions, with how alike their pictures are; found once."""
    if "said" not in scores.memo:
        corpus, picture_of = Corpus.stored(scores, "caption"), agreement.family_of[scores.image_of]
        likeness, least = likeness_of_pictures(scores, agreement), least_of(len(agreement.pictures))
        scores.memo["said"] = Said.of(corpus, picture_of, likeness, least)
    found: Said = scores.memo["said"]
    return found


def likeness_of_pictures(scores: Scores, agreement: Agreement) -> Likeness:
    """Of a data set's pictures, by what agreement compares."""
    first = np.flatnonzero(np.diff(scores.image_of, prepend=-1))[agreement.pictures]
    return Likeness(Stored(scores, agreement_columns(scores)[0], first))


def said_by(lie: Lie, corpus: Corpus) -> str:
    """What the accused captions have in common, in words: the caption that most of them are, or the term."""
    text, times = Counter(map(" ".join, corpus.tokens(lie.term.samples))).most_common(1)[0]
    return text if 2 * times > len(lie.term.samples) else lie.term.text


def _finding(lie: Lie, said: str, scores: Scores) -> Finding:
    samples, of_all = len(np.unique(scores.sample_of[lie.term.samples])), int(scores.sample_of[-1]) + 1
    explanation = (
        f"in captions of {samples} of {of_all} samples, whose images have nothing to do with what they say: they fit "
        f"them by {lie.agreement:.1f} standard deviations, where {lie.expected:.1f} is usual and 0 any other image"
    )
    z, references = round(lie.term.strangeness, 2), lie.term.reference_samples
    return Finding(said, "caption", samples, references, z, explanation, rule="SRD103")
