"""Targets: words and phrases that the attacker put into many captions, whatever the images show.

A target repeated in 1 % of the samples is invisible in any one of them and plain in the data set. A term (a word, or a
phrase of two to five words) is taken for a target when three things come together:

over-use        the captions use it more than the reference captions do;
independence    the images of the samples that hold it are no more alike than images drawn at random. Real words go
                with what is shown: the pictures of samples that say "unicycle" resemble each other;
strangeness     for a word: captions read better without it, in the mean over all its samples, far beyond what chance
                gives (ONION's gain); for a phrase of three words or more: the samples that hold it are on average
                much further from what the reference captioner says than others.

Over-use alone would not do: any two sources of captions differ in style, and a person uses a thousand words that a
captioner never says.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from scipy import stats

from srdscan.report.schema import TargetFinding
from srdscan.scores import Column, Scores
from srdscan.signals.base import Batch, Evidence, Role, abstain, register_signal
from srdscan.text import words

LONGEST_PHRASE = 5
SHORTEST_ODD_PHRASE = 3
SIGNIFICANT = 1e-3
"""A term is a target when its p-value, times the number of terms tried, is below this."""

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Term:
    """A candidate: its words, the samples that hold it and how strange they are."""

    words: tuple[str, ...]
    samples: npt.NDArray[np.int64]
    reference_samples: int
    p_value: float
    overuse: float
    likeness: float
    strangeness: float

    @property
    def text(self) -> str:
        """The term as it is written."""
        return " ".join(self.words)


@register_signal
class Targets:
    """The most significant target in each sample's text."""

    roles: ClassVar[tuple[Role, ...]] = ("caption", "output")

    def __init__(self, role: Role) -> None:
        self.role: Role = role
        self.name = f"targets.{role}"
        self.needs_captioner = role == "output"
        self.description = f"words and phrases that the {role}s repeat whatever the images show"

    def measure(self, batch: Batch) -> Mapping[str, Column]:
        """Nothing: it reads the captions, the words' gains and the embeddings that others keep."""
        return {}

    def judge(self, scores: Scores, calibration: Scores | None) -> Evidence:
        """Finds the targets, then gives each sample the p-value of the strongest one it holds."""
        count = len(scores)
        terms = find_targets(scores, self.role)
        if not terms:
            return abstain(count, "no word or phrase is repeated without regard to the images")
        p_values, values = np.full(count, np.nan), np.full(count, np.nan)
        held: dict[int, Term] = {}
        for term in sorted(terms, key=lambda t: t.p_value, reverse=True):
            p_values[term.samples] = term.p_value
            values[term.samples] = term.strangeness
            held |= dict.fromkeys(term.samples.tolist(), term)

        def reason(index: int) -> str:
            term = held.get(index)
            if term is None:
                return ""
            where = "no reference caption says" if term.reference_samples == 0 else "its reference caption does not say"
            return f"the {self.role} says '{term.text}', which {where}"

        findings = tuple(_finding(term, self.role, count) for term in sorted(terms, key=lambda t: t.p_value))
        note = f"{len(terms)} found: " + ", ".join(f"'{f.term}'" for f in findings[:5])
        return Evidence(p_values, values, note, reason=reason, findings=findings)


def _finding(term: Term, role: Role, count: int) -> TargetFinding:
    strange = "reads better without it" if len(term.words) < SHORTEST_ODD_PHRASE else "has little to do with the image"
    explanation = (
        f"in {len(term.samples)} of {count} {role}s, whose images have nothing in common; the {role} mostly {strange}"
    )
    where = "caption" if role == "caption" else "output"
    return TargetFinding(term.text, where, len(term.samples), term.reference_samples, round(term.overuse, 2), explanation)


def find_targets(scores: Scores, role: Role) -> list[Term]:
    """The targets in a role's texts, longest first where one contains the other."""
    tokens = [words(text) for text in scores.strings(role)]
    references = [words(text) for text in scores.strings("reference")]
    count = len(tokens)
    least = max(3, int(np.ceil(0.001 * count)))
    if count < 20:
        return []
    gains = list(scores.lists(f"gains.{role}"))
    embeddings = np.concatenate([np.asarray(part, dtype=np.float32) for part in scores.vectors("reference_embedding")])
    drift = scores.numbers(f"signal.drift.{role}")
    likeness = Likeness(embeddings)

    grams = frequent_grams(tokens, least)
    reference_sets = [_grams_of(reference) for reference in references]
    reference_counts: Counter[tuple[str, ...]] = Counter(gram for found in reference_sets for gram in found)
    gain_centre, gain_scale = _centre_and_scale(np.concatenate(gains) if gains else np.zeros(1))
    drift_centre, drift_scale = _centre_and_scale(drift)

    tried = 0
    terms: list[Term] = []
    for gram, places in grams.items():
        novel = np.array([i for i in places if gram not in reference_sets[i]], dtype=np.int64)
        if len(novel) < least:
            continue
        tried += 1
        total = reference_counts[gram]
        shared = len(places) - len(novel)
        overuse = log_odds(len(places), total, count)
        # Paired: samples where only the text says it against samples where only the reference does.
        p_overuse = stats.binomtest(len(novel), len(novel) + total - shared, alternative="greater").pvalue
        if p_overuse > 0.05 and total > 0:
            continue
        alike = likeness(novel)
        if len(gram) < SHORTEST_ODD_PHRASE:
            found = [_gain(tokens[i], gram, gains[i]) for i in novel]
            strange = np.array([value for value in found if value is not None])
            if len(strange) < least:
                continue
            z = (np.median(strange) - gain_centre) / gain_scale * np.sqrt(len(strange))
        else:
            z = (drift[novel].mean() - drift_centre) / drift_scale * np.sqrt(len(novel))
        p_value = float(stats.norm.sf(z))
        terms.append(Term(gram, novel, total, p_value, overuse, alike, float(z)))
    return terms


class Likeness:
    """How alike the images of a group are, against groups drawn at random: about N(0, 1) for a random one.

    With e the centred embeddings of n samples and s2 their mean squared length, T = |sum e|^2 / (n s2) has mean 1 over
    random groups and variance 2 sum(l^2) / (sum l)^2, with l the eigenvalues of the covariance.

    Args:
        embeddings: (N, D) of the reference captions.
    """

    def __init__(self, embeddings: npt.NDArray[np.float32]) -> None:
        self.centred = embeddings - embeddings.mean(axis=0)
        covariance = self.centred.T @ self.centred / len(embeddings)
        self.mean_square = float(np.trace(covariance))
        self.spread = float(np.sqrt(2.0 * np.square(covariance).sum()) / self.mean_square)

    def __call__(self, samples: npt.NDArray[np.int64]) -> float:
        """z of a group of samples; large when their images show the same things."""
        if len(samples) < 2 or self.mean_square == 0:
            return 0.0
        total = self.centred[samples].sum(axis=0)
        statistic = float(total @ total) / (len(samples) * self.mean_square)
        return (statistic - 1.0) / self.spread


def frequent_grams(
    tokens: Sequence[Sequence[str]], least: int, longest: int = LONGEST_PHRASE
) -> dict[tuple[str, ...], list[int]]:
    """Every run of one to `longest` words that at least `least` texts hold, with those texts.

    Runs are grown one word at a time from frequent ones (Apriori), so that memory follows what is frequent.
    """
    kept: dict[tuple[str, ...], list[int]] = {}
    previous: set[tuple[str, ...]] = set()
    for size in range(1, longest + 1):
        found: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for index, text in enumerate(tokens):
            for start in range(len(text) - size + 1):
                gram = tuple(text[start : start + size])
                if size > 1 and (gram[:-1] not in previous or gram[1:] not in previous):
                    continue
                places = found[gram]
                if not places or places[-1] != index:
                    places.append(index)
        frequent = {gram: places for gram, places in found.items() if len(places) >= least}
        if not frequent:
            break
        kept |= frequent
        previous = set(frequent)
    return kept


def log_odds(count: int, reference: int, texts: int, prior: float = 0.5) -> float:
    """z of the log-odds ratio with a Dirichlet prior (Monroe et al. 2008, equation 22), over texts that hold a term."""
    a, b = count + prior, reference + prior
    rest_a, rest_b = texts - count + prior, texts - reference + prior
    return float((np.log(a / rest_a) - np.log(b / rest_b)) / np.sqrt(1 / a + 1 / b))


def _grams_of(text: Sequence[str]) -> set[tuple[str, ...]]:
    return {
        tuple(text[i : i + size]) for size in range(1, LONGEST_PHRASE + 1) for i in range(len(text) - size + 1)
    }


def _gain(text: Sequence[str], gram: tuple[str, ...], gains: npt.NDArray[np.float32]) -> float | None:
    """The largest gain of a term's words in a text; None beyond the words that were scored."""
    for start in range(len(text) - len(gram) + 1):
        if tuple(text[start : start + len(gram)]) == gram:
            scored = gains[start : start + len(gram)]
            return float(scored.max()) if len(scored) else None
    return None


def _centre_and_scale(values: Doubles | npt.NDArray[np.float32]) -> tuple[float, float]:
    """Median, and half the distance between the quantiles that hold a normal's central 68 %."""
    low, centre, high = np.quantile(values, [0.16, 0.5, 0.84])
    return float(centre), max(float(high - low) / 2, 1e-9)
