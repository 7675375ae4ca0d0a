"""The search for targets among all words and phrases of a data set's texts; what is a target, `targets` says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from srdscan.findings.corpus import Corpus
from srdscan.findings.grams import Grams, frequent_grams, longest_of_each
from srdscan.findings.said import least_of
from srdscan.findings.strangeness import ENOUGH_TERMS, LEAST_SPREAD, apart, centre_and_scale, strangeness_z
from srdscan.findings.terms import Candidate, Term, holds, log_odds, without_echoes
from srdscan.measure.batch import Role
from srdscan.measure.scores import Scores, Stored
from srdscan.signals.base import Doubles
from srdscan.stats.likeness import Likeness

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


@dataclass(frozen=True)
class Gains:
    """How much better N texts read without each of their words.

    Attributes:
        values: of all words, one text after the other.
        starts: (N + 1,) where each text's begin; a text may have fewer of them than words.
    """

    values: npt.NDArray[np.float32]
    starts: npt.NDArray[np.int64]

    def of(self, rows: npt.NDArray[np.int64], offsets: npt.NDArray[np.int64], size: int) -> Doubles:
        """(K,) the largest gain of a term's words in each of some texts; NaN beyond the words that were scored.

        Args:
            offsets: (K,) words before the term.
            size: words of the term.
        """
        found = np.full(len(rows), np.nan)
        for word in range(size):
            place = self.starts[rows] + offsets + word
            scored = np.flatnonzero(place < self.starts[rows + 1])
            found[scored] = np.fmax(found[scored], self.values[place[scored]])
        return found


@dataclass(frozen=True)
class Spoken:
    """A role's texts, the runs of words that many of them hold, and which reference captions hold these."""

    corpus: Corpus
    grams: Grams
    by_reference: Grams
    gains: Gains
    samples: npt.NDArray[np.int64]

    @classmethod
    def of(cls, scores: Scores, role: Role) -> "Spoken":
        """Of score files."""
        corpus = Corpus.stored(scores, role)
        grams = frequent_grams(corpus, least_of(int(scores.sample_of[-1]) + 1))
        by_reference = grams.numbers_in(Corpus.stored(scores, "reference"))
        return cls(corpus, grams, by_reference, Gains(*scores.ragged(f"gains.{role}")), scores.sample_of)

    def novel(self, number: int) -> npt.NDArray[np.bool_]:
        """Of the texts that hold a run, those whose reference captions do not."""
        return ~np.isin(self.grams.rows(number), self.by_reference.rows(number), assume_unique=True)

    def gain(self, number: int, held: npt.NDArray[np.bool_]) -> Doubles:
        """How much better some of the texts that hold a run read without it; NaN beyond the words that were scored."""
        at = self.grams.at(number)[held].astype(np.int64)
        rows = self.grams.rows(number)[held]
        return self.gains.of(rows, at - self.corpus.starts[rows], len(self.grams.words[number]))


def find_targets(scores: Scores, role: Role) -> list[Term]:
    """The targets in a role's texts, each named once."""
    count = len(scores)
    if count < 20:
        return []
    images, spoken = scores.image_of, Spoken.of(scores, role)
    number_of = {words: number for number, words in enumerate(spoken.grams.words)}
    likeness = Likeness(Stored(scores.by_image, "reference_embedding"))
    candidates = _candidates(spoken, least_of(int(scores.sample_of[-1]) + 1))
    trials = _trials(candidates, spoken, number_of, scores, role)
    tried = sum(len(trial.candidates) for trial in trials)
    terms: list[Term] = []
    natural: set[tuple[str, ...]] = set()
    for trial in trials:
        significant = [place for place, z in enumerate(trial.z_values) if stats.norm.sf(z) * tried <= SIGNIFICANT]
        groups = [np.unique(images[trial.candidates[place][1]]) for place in significant]
        for place, alike in zip(significant, likeness.of_groups(groups).tolist(), strict=True):
            (gram, novel, gain), z = trial.candidates[place], float(trial.z_values[place])
            if alike > MOST_ALIKE and z < BEYOND_DOUBT:
                natural.add(gram)
                continue
            number = number_of[gram]
            total, held = len(spoken.by_reference.at(number)), len(spoken.grams.at(number))
            # Paired: samples where only the text says it against samples where only the reference does.
            only_reference = total - (held - len(novel))
            if stats.binomtest(len(novel), len(novel) + only_reference, alternative="greater").pvalue > 0.2:
                continue
            odd = novel
            if trial.of_texts is None:
                bar = trial.usual + OWN_USE * max(gain - trial.usual, 0.0)
                gains = spoken.gain(number, spoken.novel(number))
                odd = novel[np.isnan(gains) | (gains > bar)]
            elif role == "output":
                typical = float(np.median(trial.of_texts[novel]))
                bar = trial.usual + OWN_PHRASE * max(typical - trial.usual, 0.0)
                odd = novel[trial.of_texts[novel] > bar]
            elif total:
                odd = _with_copies(novel[trial.of_texts[novel] > trial.usual], novel, spoken.corpus)
            terms.append(Term(gram, odd, total, float(stats.norm.sf(z)), log_odds(held, total, count), alike, z))
    natural -= {term.words for term in terms}  # another trial left no doubt
    # "on a unicycle" is in too few samples to tell that its images are alike; "unicycle" told.
    terms = [term for term in terms if not any(holds(term.words, gram) for gram in natural)]
    strongest = {term.words: term for term in sorted(terms, key=lambda term: term.strangeness)}
    return without_echoes(list(strongest.values()))


def _candidates(spoken: Spoken, least: int) -> list[Candidate]:
    """Terms that texts of `least` samples hold and their reference captions do not, with their median gains."""
    candidates: list[Candidate] = []
    for number, gram in enumerate(spoken.grams.words):
        held = spoken.novel(number)
        novel = spoken.grams.rows(number)[held]
        if _spread(novel, spoken.samples) < least:
            continue
        gain = 0.0
        if len(gram) < SHORTEST_ODD_PHRASE:
            found = spoken.gain(number, held)
            known = found[np.isfinite(found)]
            if len(known) < least:
                continue
            gain = float(np.median(known))
        candidates.append((gram, novel, gain))
    kept = longest_of_each([gram for gram, _, _ in candidates], (novel for _, novel, _ in candidates))
    return [candidates[place] for place in kept]


def _trials(
    candidates: Sequence[Candidate],
    spoken: Spoken,
    number_of: Mapping[tuple[str, ...], int],
    scores: Scores,
    role: Role,
) -> list[Trial]:
    """What each term is tried for; one that no reference caption says, for two things."""
    short, long = ([c for c in candidates if (len(c[0]) < SHORTEST_ODD_PHRASE) == few] for few in (True, False))
    said = {gram for gram, _, _ in candidates if len(spoken.by_reference.at(number_of[gram]))}
    foreign_short, foreign_long = ([c for c in group if c[0] not in said] for group in (short, long))
    words = spoken.gains.values
    grounding, fluency = (scores.numbers(f"signal.{name}.{role}") for name in ("grounding", "fluency"))
    usual_gain, usual_grounding, usual_fluency = (
        sum(centre_and_scale(values)) if len(values) else 0.0 for values in (words, grounding, fluency)
    )
    by_gain = strangeness_z(np.array([gain for _, _, gain in short]), _sizes(short, scores), words)
    foreign = np.array([gram not in said for gram, _, _ in short], dtype=bool)
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


def _spread(rows: npt.NDArray[np.int64], samples: npt.NDArray[np.int64]) -> int:
    """How many samples some rows are of; what stands in five captions of one image was seen once."""
    return int(np.count_nonzero(np.diff(samples[rows]))) + 1 if len(rows) else 0


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


def _with_copies(odd: npt.NDArray[np.int64], samples: npt.NDArray[np.int64], corpus: Corpus) -> npt.NDArray[np.int64]:
    """The odd samples, and those that say the same as one of them word for word: whose image happens to fit it."""
    return samples[np.isin(corpus.identity[samples], corpus.identity[odd])]
