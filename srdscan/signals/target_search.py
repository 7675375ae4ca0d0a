"""The search for targets among all words and phrases of a data set's texts; what is a target, `targets` says."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from srdscan.scores import Scores
from srdscan.signals.base import Doubles, Role
from srdscan.signals.strangeness import LEAST_SPREAD, Likeness, apart, centre_and_scale, strangeness_z
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
OWN_USE = 0.15
"""Share of the way from what ordinary words' gains reach to a target's median gain up to which a text's use of it is
its author's own. Measured on ten words before captions: inserted ones from 0.22 (outputs: 0.50), a person's own
umbrellas up to -0.17, a captioner's 0.01."""
LEAST_SPREAD_OF_FLUENCY = 0.25
"""Nats a token; two ways to say one thing differ by as much."""


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
            found = [gain_of(tokens[i], gram, gains[i]) for i in novel]
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
        for (gram, novel, effect), z in zip(group, z_values, strict=True):
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
                bar = usual + OWN_USE * max(effect - usual, 0.0)
                odd = novel[[_odd(tokens[i], gram, gains[i], bar) for i in novel]]
            elif total:
                odd = novel[measure[novel] > usual]
                if role == "caption":
                    odd = _with_copies(odd, novel, tokens)
            terms.append(Term(gram, odd, total, p_value, log_odds(len(grams[gram]), total, count), alike, float(z)))
    # "on a unicycle" is in too few samples to tell that its images are alike; "unicycle" told.
    terms = [term for term in terms if not any(holds(term.words, gram) for gram in natural)]
    strongest = {term.words: term for term in sorted(terms, key=lambda term: term.strangeness)}
    return without_echoes(list(strongest.values()))


def _with_copies(
    odd: npt.NDArray[np.int64], samples: npt.NDArray[np.int64], tokens: Sequence[Sequence[str]]
) -> npt.NDArray[np.int64]:
    """The odd samples, and those that say the same as one of them word for word: whose image happens to fit it."""
    said = {tuple(tokens[row]) for row in odd}
    return samples[[tuple(tokens[row]) in said for row in samples]]


def gain_of(text: Sequence[str], gram: tuple[str, ...], gains: npt.NDArray[np.float32]) -> float | None:
    """The largest gain of a term's words in a text; None beyond the words that were scored."""
    for start in range(len(text) - len(gram) + 1):
        if tuple(text[start : start + len(gram)]) == gram:
            scored = gains[start : start + len(gram)]
            return float(scored.max()) if len(scored) else None
    return None


def _odd(text: Sequence[str], gram: tuple[str, ...], gains: npt.NDArray[np.float32], bar: float) -> bool:
    """Whether a text reads better without a term by more than a bar; True if that is unknown."""
    gain = gain_of(text, gram, gains)
    return gain is None or gain > bar
