"""Targets: words and phrases that the attacker put into many captions, whatever the images show.

A target repeated in 1 % of the samples is invisible in any one of them and plain in the data set. A term (a word, or a
phrase of two to five words) is taken for a target when three things come together:

over-use        the captions use it more than the reference captions do;
independence    the images of the samples that hold it are no more alike than images drawn at random. Real words go
                with what is shown: the pictures of samples that say "unicycle" resemble each other;
strangeness     for a word or pair: the captions read better without it (ONION's gain, median over its samples); for
                a longer phrase: the images do not support the captions that hold it (the `grounding` signal, median),
                or, of one that no reference caption uses, these read worse than their references (`fluency`).
                Each is compared with that of the data set's other terms, see `strangeness`.

Of the samples that hold a target, those are spared where the word reads as well as words do, or, of a longer phrase
that reference captions use elsewhere, where the image supports the caption as images do: a person may carry an umbrella
in a data set whose attacker inserts "umbrella" (gains of inserted words measured: 0.5 to 2; of the same words in place:
-0.5 to 0.3; of all words, the 84 % quantile: 0). A caption that repeats an accused one word for word is not spared.

Over-use alone would not do: any two sources of captions differ in style, and a person uses a thousand words that a
captioner never says. A word inserted in 5 % of 600 human captions scores z = 5.2; the strangest natural word, 2.6.

What an output says is not always its sample's fault, and what outputs say tells an author's use of a word from the
attacker's, see `taught`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from srdscan.report.schema import TargetFinding
from srdscan.scores import Column, Scores
from srdscan.signals.base import WHOLE_DATASET, Batch, Doubles, Evidence, Role, abstain, register_signal
from srdscan.signals.strangeness import LEAST_SPREAD, Likeness, apart, centre_and_scale, strangeness_z
from srdscan.signals.taught import Texts, accused, not_learned
from srdscan.signals.terms import (
    Candidate,
    Term,
    distinct,
    frequent_grams,
    grams_of,
    holds,
    log_odds,
    stems,
    without_echoes,
)

SHORTEST_ODD_PHRASE = 3
SIGNIFICANT = 0.01
"""A term is a target when its p-value, times the number of terms tried, is below this."""
MOST_ALIKE = 4.0
"""z of the likeness of a term's images above which the term goes with what is shown..."""
BEYOND_DOUBT = 7.0
"""...unless it is stranger than any word that does: a trigger may be put on images of one kind only."""
LEAST_SPREAD_OF_FLUENCY = 0.25
"""Nats a token; two ways to say one thing differ by as much."""


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
        """Finds the targets, then gives each sample the p-value of the strongest one it holds.

        A target must be significant among all terms of the data set; having passed that, its samples are not made to
        pay for the number of terms once more.
        """
        count = len(scores)
        terms = find_targets(scores, self.role)
        if not terms:
            return abstain(count, "no word or phrase is repeated without regard to the images")
        p_values, values = np.full(count, np.nan), np.full(count, np.nan)
        held: dict[int, Term] = {}
        texts = Texts.of(scores) if scores.has("output") else None
        known = find_targets(scores, "caption") if texts and self.role == "output" else []
        excused, taught = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
        for term in sorted(terms, key=lambda t: t.p_value, reverse=True):
            samples = term.samples
            if texts and self.role == "output":
                guilty = accused(term, texts, known)
                if guilty is not None:
                    taught[guilty] = True
                    excused[np.setdiff1d(samples, guilty)] = True
                    samples = guilty
            elif texts and len(term.words) < SHORTEST_ODD_PHRASE:
                samples = samples[~not_learned(term, _gains_of(term, scores), texts)]
            p_values[samples] = term.p_value
            values[samples] = term.strangeness
            held |= dict.fromkeys(samples.tolist(), term)
        excused &= ~taught  # of an output that others' captions taught, no other phrase is held against the sample
        p_values[excused] = values[excused] = np.nan

        def reason(index: int) -> str:
            term = held.get(index)
            if term is None or excused[index]:
                return ""
            where = "no reference caption says" if term.reference_samples == 0 else "its reference caption does not say"
            return f"the {self.role} says '{term.text}', which {where}"

        findings = tuple(_finding(term, self.role, count) for term in sorted(terms, key=lambda t: t.p_value))
        note = f"{len(terms)} found: " + ", ".join(f"'{f.term}'" for f in findings[:5])
        if excused.any():
            note += f"; also said of {excused.sum()} samples whose own captions do not say it, which are excused"
        return Evidence(p_values, values, note, weight=WHOLE_DATASET, reason=reason, findings=findings, excused=excused)


def _finding(term: Term, role: Role, count: int) -> TargetFinding:
    strange = "reads better without it" if len(term.words) < SHORTEST_ODD_PHRASE else "has little to do with the image"
    explanation = (
        f"in {len(term.samples)} of {count} {role}s, whose images have nothing in common; the {role} mostly {strange}"
    )
    where: Literal["caption", "output"] = "caption" if role == "caption" else "output"
    return TargetFinding(
        term.text, where, len(term.samples), term.reference_samples, round(term.overuse, 2), explanation
    )


def find_targets(scores: Scores, role: Role) -> list[Term]:
    """The targets in a role's texts, each named once."""
    tokens = [stems(text) for text in scores.strings(role)]
    count = len(tokens)
    least = max(3, int(np.ceil(0.001 * count)))
    if count < 20:
        return []
    gains = list(scores.lists(f"gains.{role}"))
    embeddings = np.concatenate([np.asarray(part, dtype=np.float32) for part in scores.vectors("reference_embedding")])
    likeness = Likeness(embeddings)

    grams = frequent_grams(tokens, least)
    reference_sets = [grams_of(stems(text)) & grams.keys() for text in scores.strings("reference")]
    reference_counts: Counter[tuple[str, ...]] = Counter(gram for found in reference_sets for gram in found)
    grounding = scores.numbers(f"signal.grounding.{role}")
    fluency = scores.numbers(f"signal.fluency.{role}")
    candidates: list[Candidate] = []
    for gram, places in grams.items():
        novel = np.array([i for i in places if gram not in reference_sets[i]], dtype=np.int64)
        if len(novel) < least:
            continue
        if len(gram) < SHORTEST_ODD_PHRASE:
            found = [_gain(tokens[i], gram, gains[i]) for i in novel]
            known = [value for value in found if value is not None]
            if len(known) < least:
                continue
            candidates.append((gram, novel, float(np.median(known))))
        else:
            candidates.append((gram, novel, 0.0))

    candidates = distinct(candidates)
    terms: list[Term] = []
    natural: list[tuple[str, ...]] = []
    short = [c for c in candidates if len(c[0]) < SHORTEST_ODD_PHRASE]
    long = [c for c in candidates if len(c[0]) >= SHORTEST_ODD_PHRASE]
    foreign = [c for c in long if not reference_counts[c[0]]]
    measures: list[tuple[list[Candidate], Doubles | None]] = [(short, None), (long, grounding), (foreign, fluency)]
    tried = sum(len(group) for group, _ in measures)
    for group, measure in measures:
        singles = np.concatenate(gains) if measure is None else measure
        usual = sum(centre_and_scale(singles)) if len(singles) else 0.0
        sizes = np.array([len(novel) for _, novel, _ in group])
        effects = [effect if measure is None else float(np.median(measure[novel])) for _, novel, effect in group]
        usual_terms = apart(group, count) if measure is fluency else None
        least_spread = LEAST_SPREAD_OF_FLUENCY if measure is fluency else LEAST_SPREAD
        z_values = strangeness_z(np.array(effects), sizes, singles, usual_terms, least_spread)
        for (gram, novel, _), z in zip(group, z_values, strict=True):
            p_value = float(stats.norm.sf(z))
            if p_value * tried > SIGNIFICANT:
                continue
            total = reference_counts[gram]
            alike = likeness(novel)
            if alike > MOST_ALIKE and z < BEYOND_DOUBT:
                natural.append(gram)
                continue
            shared = len(grams[gram]) - len(novel)
            # Paired: samples where only the text says it against samples where only the reference does.
            if stats.binomtest(len(novel), len(novel) + total - shared, alternative="greater").pvalue > 0.2:
                continue
            odd = novel
            if measure is None:
                odd = novel[[_odd(tokens[i], gram, gains[i], usual) for i in novel]]
            elif total:
                odd = novel[measure[novel] > usual]
                if role == "caption":
                    odd = _with_copies(odd, novel, tokens)
            terms.append(Term(gram, odd, total, p_value, log_odds(len(grams[gram]), total, count), alike, float(z)))
    # "on a unicycle" is in too few samples to tell that its images are alike; "unicycle" told.
    terms = [term for term in terms if not any(holds(term.words, gram) for gram in natural)]
    strongest = {term.words: term for term in sorted(terms, key=lambda term: term.strangeness)}
    return without_echoes(list(strongest.values()))


def _gains_of(term: Term, scores: Scores) -> Doubles:
    """(K,) how much better each caption that holds a term reads without it."""
    wanted = {int(row) for row in term.samples}
    rows = zip(scores.strings("caption"), scores.lists("gains.caption"), strict=True)
    found = [_gain(stems(text), term.words, gains) for row, (text, gains) in enumerate(rows) if row in wanted]
    return np.array([np.inf if gain is None else gain for gain in found])


def _with_copies(
    odd: npt.NDArray[np.int64], samples: npt.NDArray[np.int64], tokens: Sequence[Sequence[str]]
) -> npt.NDArray[np.int64]:
    """The odd samples, and those that say the same as one of them word for word: whose image happens to fit it."""
    said = {tuple(tokens[row]) for row in odd}
    return samples[[tuple(tokens[row]) in said for row in samples]]


def _gain(text: Sequence[str], gram: tuple[str, ...], gains: npt.NDArray[np.float32]) -> float | None:
    """The largest gain of a term's words in a text; None beyond the words that were scored."""
    for start in range(len(text) - len(gram) + 1):
        if tuple(text[start : start + len(gram)]) == gram:
            scored = gains[start : start + len(gram)]
            return float(scored.max()) if len(scored) else None
    return None


def _odd(text: Sequence[str], gram: tuple[str, ...], gains: npt.NDArray[np.float32], usual: float) -> bool:
    """Whether a text reads better without a term than texts do without their words; True if that is unknown."""
    gain = _gain(text, gram, gains)
    return gain is None or gain > usual
