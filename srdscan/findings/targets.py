"""Targets: words and phrases that the attacker put into many captions, whatever the images show.

A target repeated in 1 % of the samples is invisible in any one of them and plain in the data set. A term (a word, or a
phrase of two to five words) is taken for a target when three things come together:

over-use        the captions use it more than the reference captions do;
independence    the images of the samples that hold it are no more alike than images drawn at random. Real words go
                with what is shown: the pictures of samples that say "unicycle" resemble each other;
strangeness     for a word or pair: the captions read better without it (ONION's gain, median over its samples), or, of
                one that no reference caption uses, both that and `grounding` (Stouffer's z, 1949); for a longer
                phrase: the images do not support the captions that hold it (the `grounding` signal, median), or, of
                one that no reference caption uses, these read worse than their references (`fluency`).
                Each is compared with that of the data set's other terms, see `strangeness`.

Of the samples that hold a target, those are spared where the word reads about as well as words do: a person may carry
an umbrella in a data set whose attacker inserts "umbrella" (gains of inserted words measured: 0.5 to 2; of the same
words in place: -0.5 to 0.3; of all words, the 84 % quantile: 0). Of a longer phrase those are spared where an output is
far less strange than most that hold it; and captions, if reference captions use it elsewhere, where the image supports
them as images do. A caption that repeats an accused one word for word is not spared.

Over-use alone would not do: any two sources of captions differ in style, and a person uses a thousand words that a
captioner never says. A word inserted in 5 % of 600 human captions scores z = 5.2; the strangest natural word, 2.6.

Of a phrase that is a part of what a captioner learned, only outputs that say what it learned are held against anyone.
What an output says is not always its sample's fault, and what outputs say tells an author's use of a word from the
attacker's, see `taught`.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from srdscan.findings.finding import Finding, Found, nothing_found
from srdscan.findings.target_search import SHORTEST_ODD_PHRASE, Spoken, find_targets
from srdscan.findings.taught import Texts, accused, learned_elsewhere, not_learned
from srdscan.findings.terms import Term
from srdscan.measure.batch import Batch, Role
from srdscan.measure.scores import Column, Scores
from srdscan.signals.base import WHOLE_DATASET, Doubles, Evidence, register_signal

RULES: Mapping[Role, str] = {"caption": "SRD101", "output": "SRD102"}
MOSTLY = 0.5
"""Share of a term's outputs that say something learned from which on it is a part of the attacker's sentences."""


@register_signal
class Targets:
    """The most significant target in each sample's text."""

    roles: ClassVar[tuple[Role, ...]] = ("caption", "output")
    leans_on_reference = True
    in_quick_look = False

    def __init__(self, role: Role) -> None:
        self.role: Role = role
        self.name = f"targets.{role}"
        self.needs_captioner = role == "output"
        self.description = f"words and phrases that the {role}s repeat whatever the images show"

    def measure(self, batch: Batch) -> Mapping[str, Column]:
        """Nothing: it reads the captions, the words' gains and the embeddings that others keep."""
        return {}

    def judge(self, scores: Scores, calibration: Scores | None) -> Evidence:
        """Finds the targets, then gives each sample the p-value of the strongest one it holds.

        A target must be significant among all terms of the data set; having passed that, its samples are not made to
        pay for the number of terms once more.
        """
        count = len(scores)
        terms = find_targets(scores, self.role)
        if not terms:
            return nothing_found(count, "no word or phrase is repeated without regard to the images")
        p_values, values = np.full(count, np.nan), np.full(count, np.nan)
        held: dict[int, Term] = {}
        rows: dict[tuple[str, ...], npt.NDArray[np.int64]] = {}
        texts = Texts.of(scores) if scores.has("output") else None
        known: list[Term] = []
        excused, taught, learned = np.zeros((3, count), dtype=bool)
        if texts and self.role == "output":
            known = find_targets(scores.pairs or scores, "caption")
            learned, excused = learned_elsewhere(texts, known)
        untaught: list[Term] = []
        for term in sorted(terms, key=lambda t: t.p_value, reverse=True):
            samples = term.samples
            if texts and self.role == "output":
                if learned[samples].sum() >= MOSTLY * len(samples):
                    samples = samples[learned[samples]]  # not an honest output that shares a part of a sentence
                guilty = accused(term, texts, known)
                if guilty is not None:
                    taught[guilty] = True
                    excused[np.setdiff1d(samples, guilty)] = True
                    samples = guilty
                else:
                    untaught.append(term)
            elif texts and len(term.words) < SHORTEST_ODD_PHRASE:
                samples = samples[~not_learned(term, _gains_of(term, scores), texts)]
            p_values[samples] = term.p_value
            values[samples] = term.strangeness
            held |= dict.fromkeys(samples.tolist(), term)
            rows[term.words] = samples
        excused &= ~taught  # of an output that others' captions taught, no other phrase is held against the sample
        p_values[excused] = values[excused] = np.nan

        def reason(index: int) -> str:
            term = held.get(index)
            if term is None or excused[index]:
                return ""
            where = "no reference caption says" if term.reference_samples == 0 else "its reference caption does not say"
            return f"the {self.role} says '{term.text}', which {where}"

        named = {term: _finding(term, self.role, scores) for term in sorted(terms, key=lambda t: t.p_value)}
        note = f"{len(terms)} found: " + ", ".join(f"'{f.term}'" for f in [*named.values()][:5])
        if excused.any():
            note += f"; also said of {excused.sum()} samples whose own captions do not say it, which are excused"
        return Found(
            p_values,
            values,
            note,
            weight=WHOLE_DATASET,
            reason=reason,
            excused=excused,
            findings=tuple(named.values()),
            rows=tuple(np.setdiff1d(rows[term.words], np.flatnonzero(excused)) for term in named),
            untaught=tuple((named[term], term.samples) for term in untaught),
        )


def _finding(term: Term, role: Role, scores: Scores) -> Finding:
    strange = "reads better without it" if len(term.words) < SHORTEST_ODD_PHRASE else "has little to do with the image"
    samples, of_all = len(np.unique(scores.sample_of[term.samples])), int(scores.sample_of[-1]) + 1
    several = f" ({len(term.samples)} {role}s)" if samples < len(term.samples) else ""
    explanation = (
        f"in {role}s of {samples} of {of_all} samples{several}, whose images have nothing in common; the {role} mostly "
        f"{strange}"
    )
    where: Literal["caption", "output"] = "caption" if role == "caption" else "output"
    rule, overuse = RULES[role], round(term.overuse, 2)
    return Finding(term.text, where, samples, term.reference_samples, overuse, explanation, rule=rule)


def _gains_of(term: Term, scores: Scores) -> Doubles:
    """(K,) how much better each caption that holds a term reads without it."""
    spoken = Spoken.of(scores, "caption")
    number = spoken.grams.words.index(term.words)
    gains = spoken.gain(number, np.isin(spoken.grams.rows(number), term.samples, assume_unique=True))
    return np.where(np.isnan(gains), np.inf, gains)
