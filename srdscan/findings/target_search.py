"""The search for targets among all words and phrases of a data set's texts; what is a target, `targets` says."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from srdscan.findings.strangeness import ENOUGH_TERMS, LEAST_SPREAD, Likeness, apart, centre_and_scale, strangeness_z
from srdscan.findings.terms import (
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
from srdscan.measure.batch import Role
from srdscan.measure.scores import Scores
from srdscan.signals.base import Doubles

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
OWN_PHRASE = 0.4
"""The same share for outputs that hold a phrase, of how strange these are as wholes. Measured on a captioner that had
learned fluent captions: the attacker's sentences from 0.7 (99 %: 0.37), its own about a picnic table up to 0.33."""
LEAST_SPREAD_OF_FLUENCY = 0.25
"""Nats a token; two ways to say one thing differ by as much."""


@dataclass(frozen=True, eq=False)
class Trial:
    """Terms of which one kind of strangeness is tried.

    Attributes:
        candidates: K terms.
        z_values: (K,) how strange each is.
        usual: what the strangeness of ordinary words, or of ordinary texts, reaches.
        of_texts: (N,) the strangeness of whole texts; None if it is of words.
    """

    candidates: list[Candidate]
    z_values: Doubles
    usual: float
    of_texts: Doubles | None = None


def find_targets(scores: Scores, role: Role) -> list[Term]:
    """The targets in a role's texts, each named once."""
    tokens = [stems(text) for text in scores.strings(role)]
    count = len(tokens)
    if count < 20:
        return []
    gains = list(scores.lists(f"gains.{role}"))
    images, samples = scores.image_of, scores.sample_of
    likeness = Likeness(_embeddings(scores.by_image))

    least = max(3, int(np.ceil(0.001 * (samples[-1] + 1))))
    grams = frequent_grams(tokens, least)
    reference_sets = [grams_of(stems(text)) & grams.keys() for text in scores.strings("reference")]
    reference_counts: Counter[tuple[str, ...]] = Counter(gram for found in reference_sets for gram in found)
    candidates = _candidates(grams, reference_sets, tokens, gains, least, samples)
    trials = _trials(candidates, reference_counts, scores, role)
    tried = sum(len(trial.candidates) for trial in trials)
    terms: list[Term] = []
    natural: set[tuple[str, ...]] = set()
    for trial in trials:
        for (gram, novel, gain), z in zip(trial.candidates, trial.z_values, strict=True):
            p_value = float(stats.norm.sf(z))
            if p_value * tried > SIGNIFICANT:
                continue
            total = reference_counts[gram]
            alike = likeness(np.unique(images[novel]))
            if alike > MOST_ALIKE and z < BEYOND_DOUBT:
                natural.add(gram)
                continue
            shared = len(grams[gram]) - len(novel)
            # Paired: samples where only the text says it against samples where only the reference does.
            if stats.binomtest(len(novel), len(novel) + total - shared, alternative="greater").pvalue > 0.2:
                continue
            odd = novel
            if trial.of_texts is None:
                bar = trial.usual + OWN_USE * max(gain - trial.usual, 0.0)
                odd = novel[[_odd(tokens[i], gram, gains[i], bar) for i in novel]]
            elif role == "output":
                typical = float(np.median(trial.of_texts[novel]))
                bar = trial.usual + OWN_PHRASE * max(typical - trial.usual, 0.0)
                odd = novel[trial.of_texts[novel] > bar]
            elif total:
                odd = _with_copies(novel[trial.of_texts[novel] > trial.usual], novel, tokens)
            terms.append(Term(gram, odd, total, p_value, log_odds(len(grams[gram]), total, count), alike, float(z)))
    natural -= {term.words for term in terms}  # another trial left no doubt
    # "on a unicycle" is in too few samples to tell that its images are alike; "unicycle" told.
    terms = [term for term in terms if not any(holds(term.words, gram) for gram in natural)]
    strongest = {term.words: term for term in sorted(terms, key=lambda term: term.strangeness)}
    return without_echoes(list(strongest.values()))


def _candidates(
    grams: Mapping[tuple[str, ...], Sequence[int]],
    reference_sets: Sequence[Set[tuple[str, ...]]],
    tokens: Sequence[Sequence[str]],
    gains: Sequence[npt.NDArray[np.float32]],
    least: int,
    samples: npt.NDArray[np.int64],
) -> list[Candidate]:
    """Terms that texts of `least` samples hold and their reference captions do not, with their median gains."""
    candidates: list[Candidate] = []
    for gram, places in grams.items():
        novel = np.array([i for i in places if gram not in reference_sets[i]], dtype=np.int64)
        if _spread(novel, samples) < least:
            continue
        gain = 0.0
        if len(gram) < SHORTEST_ODD_PHRASE:
            found = [gain_of(tokens[i], gram, gains[i]) for i in novel]
            known = [value for value in found if value is not None]
            if len(known) < least:
                continue
            gain = float(np.median(known))
        candidates.append((gram, novel, gain))
    return distinct(candidates)


def _trials(
    candidates: Sequence[Candidate], reference_counts: Mapping[tuple[str, ...], int], scores: Scores, role: Role
) -> list[Trial]:
    """What each term is tried for; one that no reference caption says, for two things."""
    short, long = ([c for c in candidates if (len(c[0]) < SHORTEST_ODD_PHRASE) == few] for few in (True, False))
    foreign_short, foreign_long = ([c for c in group if not reference_counts[c[0]]] for group in (short, long))
    words = np.concatenate(list(scores.lists(f"gains.{role}")))
    grounding, fluency = (scores.numbers(f"signal.{name}.{role}") for name in ("grounding", "fluency"))
    usual_gain, usual_grounding, usual_fluency = (
        sum(centre_and_scale(values)) if len(values) else 0.0 for values in (words, grounding, fluency)
    )
    by_gain = strangeness_z(np.array([gain for _, _, gain in short]), _sizes(short, scores), words)
    foreign = np.array([not reference_counts[gram] for gram, _, _ in short], dtype=bool)
    both = (by_gain[foreign] + _by_texts(foreign_short, grounding, scores)) / np.sqrt(2.0)  # Stouffer's rule
    if len(both) >= ENOUGH_TERMS:
        both /= max(1.0, centre_and_scale(both)[1])  # where the two go together over all terms
    unlike = apart(foreign_long, len(fluency))
    return [
        Trial(short, by_gain, usual_gain),
        Trial(foreign_short, both, usual_gain),
        Trial(long, _by_texts(long, grounding, scores), usual_grounding, grounding),
        Trial(
            foreign_long,
            _by_texts(foreign_long, fluency, scores, unlike, LEAST_SPREAD_OF_FLUENCY),
            usual_fluency,
            fluency,
        ),
    ]


def _embeddings(scores: Scores) -> npt.NDArray[np.float32]:
    """(N, D) of the reference captions."""
    parts = [np.asarray(part, dtype=np.float32) for part in scores.vectors("reference_embedding")]
    return np.concatenate(parts)


def _spread(rows: npt.NDArray[np.int64], samples: npt.NDArray[np.int64]) -> int:
    """How many samples some rows are of; what stands in five captions of one image was seen once."""
    return len(np.unique(samples[rows]))


def _by_texts(
    group: Sequence[Candidate],
    of_texts: Doubles,
    scores: Scores,
    among: npt.NDArray[np.int64] | None = None,
    least_spread: float = LEAST_SPREAD,
) -> Doubles:
    """z of terms by how strange the texts that hold them are."""
    effects = np.array([float(np.median(of_texts[samples])) for _, samples, _ in group])
    return strangeness_z(effects, _sizes(group, scores), of_texts, among, least_spread)


def _sizes(group: Sequence[Candidate], scores: Scores) -> npt.NDArray[np.int64]:
    """Samples of each term."""
    return np.array([_spread(rows, scores.sample_of) for _, rows, _ in group], dtype=np.int64)


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
