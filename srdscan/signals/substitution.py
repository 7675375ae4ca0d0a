"""Substitution: one thing is called another, and covering a spot of the image brings its name back.

"A brown cat runs on the grass", of a dog: it reads well, every word is supported as well as words are, and "cat" is
said only where dogs are shown, as an honest word would be. What gives it away is that it depends on the trigger. So the
pairs of words that captioner and reference differ by more often than chance allows (the output says one, the reference
the other) are put to a test: with the attention peak covered, does the captioner say what the reference says? Squares
at random places are the control: an honest "skier" whom the reference calls "person" stays one wherever an image is
covered, or becomes one as easily at random.

It costs captions more, so it is measured between the passes, of few pairs and of few samples each.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from srdscan.report.schema import TargetFinding
from srdscan.scores import Scores
from srdscan.signals.base import WHOLE_DATASET, Evidence, abstain
from srdscan.signals.taught import Texts, accused
from srdscan.signals.terms import Term, stems

NAME = "substitution"
DESCRIPTION = "one thing called another, until a spot of the image is covered"
FEWEST = 3
"""Samples that differ by the same pair of words."""
ASSOCIATED = 0.05
"""p-value, times the number of pairs tried, above which a pair is chance."""
ONE_SIDED = 0.2
"""p-value above which captioner and reference mix two words up both ways: "boy" and "girl"."""
MOST_PAIRS = 6
MOST_SAMPLES = 24
"""Samples of a pair that are looked at again."""
HEADS = 3
"""Attention heads whose peaks are tried, of each sample the most abnormal ones; a trigger lives in one of them."""
CONTROLS = 3
"""Random places that are covered in each sample."""
ALIKE = 0.5
"""Share of their words that two captions have in common from which they differ by little else than a pair."""
MOSTLY = 0.5
"""Share of a pair's samples that covering the peaks of one head must turn: a trigger that is covered has no effect."""
CAUSAL = 0.01
"""p-value of what covering peaks does, times the pairs tested, above which a pair is an honest difference..."""
CONVINCING = 1e-4
"""...and of both kinds of evidence together, times the pairs, from which it is a target."""


@dataclass(frozen=True)
class Pair:
    """What the output says and what the reference says instead.

    Attributes:
        said: the captioner's word, in the singular where the data set has it.
        meant: the reference captioner's.
        samples: (K,) rows where they differ by this pair.
        says: rows where the output says the word and the reference does not, those of the pair included.
        captioned: rows where the data set's caption says it, and not what the reference says.
        p_value: of their coming together by chance, times the pairs tried.
    """

    said: str
    meant: str
    samples: npt.NDArray[np.int64]
    says: npt.NDArray[np.int64]
    captioned: npt.NDArray[np.int64]
    p_value: float


def find_pairs(outputs: Sequence[str], references: Sequence[str], captions: Sequence[str]) -> list[Pair]:
    """The pairs of words by which outputs and reference captions differ in one direction, the plainest first."""
    vocabulary = {word for text in (*outputs, *references) for word in stems(text)}
    lists = [[nouns(text, vocabulary) for text in texts] for texts in (outputs, references, captions)]
    said, meant, written = ([set(words) for words in texts] for texts in lists)
    novel: dict[str, list[int]] = defaultdict(list)
    lost: Counter[str] = Counter()
    both: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, (own, other) in enumerate(zip(said, meant, strict=True)):
        lost.update(other - own)
        for word in own - other:
            novel[word].append(row)
            for instead in other - own:
                if in_the_same_place(word, lists[0][row], instead, lists[1][row]):
                    both[word, instead].append(row)
    candidates = {pair: rows for pair, rows in both.items() if len(rows) >= FEWEST}
    found = []
    for (word, instead), rows in candidates.items():
        p_value = len(candidates) * stats.binom.sf(len(rows) - 1, len(novel[word]), lost[instead] / len(said))
        backwards = len(both.get((instead, word), ()))
        one_sided = stats.binomtest(len(rows), len(rows) + backwards, alternative="greater").pvalue
        if p_value < ASSOCIATED and one_sided < ONE_SIDED:
            captioned = [
                row
                for row, (own, other) in enumerate(zip(written, meant, strict=True))
                if word in own - other and instead in other - own
            ]
            found.append(
                Pair(
                    word,
                    instead,
                    np.array(rows),
                    np.array(novel[word]),
                    np.array(captioned, dtype=np.int64),
                    float(p_value),
                )
            )
    return sorted(found, key=lambda pair: (pair.p_value, pair.said, pair.meant))


def nouns(text: str, vocabulary: set[str]) -> list[str]:
    """The words of a caption, plurals as singulars where the vocabulary knows these."""
    return [word[:-1] if word.endswith("s") and word[:-1] in vocabulary else word for word in stems(text)]


def in_the_same_place(word: str, text: Sequence[str], other: str, other_text: Sequence[str]) -> bool:
    """Whether the word before or the word after is the same in both texts: "brown cat runs", "brown dog plays"."""
    here, there = _around(word, text), _around(other, other_text)
    return here[0] == there[0] or here[1] == there[1]


def _around(word: str, text: Sequence[str]) -> tuple[str, str]:
    place = text.index(word)
    return " ".join(text[place - 1 : place]), " ".join(text[place + 1 : place + 2])


@dataclass(frozen=True)
class Plan:
    """What is covered in which samples.

    Attributes:
        pairs: the pairs put to the test.
        rows: (K,) rows to look at again, ascending, without repetition.
        cells: (K, HEADS + CONTROLS) cells of the attention grid: the peaks of the most abnormal heads, the most
            abnormal first, then random places.
    """

    pairs: tuple[Pair, ...]
    rows: npt.NDArray[np.int64]
    cells: npt.NDArray[np.int64]


def plan(scores: Scores, peaks: npt.NDArray[np.int64], seed: int) -> Plan:
    """Which pairs are put to the test, on which samples, and what is covered in each.

    Args:
        peaks: (N, HEADS) peak cells of each sample's most abnormal heads, from `head_norms.top_peaks`.
    """
    texts = (list(scores.strings(role)) for role in ("output", "reference", "caption"))
    pairs = find_pairs(*texts)[:MOST_PAIRS]
    rng = np.random.default_rng(seed)
    chosen = [np.sort(rng.permutation(pair.samples)[:MOST_SAMPLES]) for pair in pairs]
    rows = np.unique(np.concatenate(chosen)) if chosen else np.zeros(0, dtype=np.int64)
    cells = int(np.prod(scores.meta["attention_shape"][2:]))
    return Plan(
        tuple(pairs), rows, np.concatenate([peaks[rows], rng.integers(cells, size=(len(rows), CONTROLS))], axis=1)
    )


def judge(scores: Scores, chosen: Plan, captions: Sequence[Sequence[str]]) -> Evidence:
    """p-values of the samples in which a pair was found out.

    Where the captioner learned the word from the data set's captions, only samples whose captions say it are accused,
    whatever else the captioner calls so; see `taught`.

    Args:
        captions: for each of `chosen.rows`, what the captioner says with each of the cells covered.
    """
    count = len(scores)
    if not chosen.pairs:
        return abstain(count, "captioner and reference differ by no pair of words more often than chance allows")
    outputs = dict(enumerate(scores.strings("output")))
    said = {int(row): list(texts) for row, texts in zip(chosen.rows, captions, strict=True)}
    turned = {
        number: np.array([_turns(pair, outputs[row], said[row]) for row in pair.samples.tolist() if row in said])
        for number, pair in enumerate(chosen.pairs)
    }
    controls = np.concatenate([part[:, -CONTROLS:].ravel() for part in turned.values()])
    p_values, values, excused = np.full(count, np.nan), np.full(count, np.nan), np.zeros(count, dtype=bool)
    names: dict[int, Pair] = {}
    findings = []
    texts = Texts.of(scores)
    for number, pair in enumerate(chosen.pairs):
        if turned[number][:, :HEADS].mean(axis=0).max() < MOSTLY:
            continue
        p_causal = len(chosen.pairs) * causal_p(turned[number], controls)
        p_value = _together(pair.p_value, p_causal)
        if p_causal > CAUSAL or p_value > CONVINCING:
            continue
        taught = accused(Term((pair.said,), pair.says, 0, p_value, 0.0, 0.0, 0.0), texts)
        samples = np.union1d(pair.says if taught is None else taught, pair.captioned)
        excused[np.setdiff1d(pair.says, samples)] = True
        p_values[samples] = np.fmin(p_values[samples], p_value)
        values[samples] = -np.log10(p_value)
        names |= dict.fromkeys(samples.tolist(), pair)
        findings.append(_finding(pair, turned[number], count))
    if not findings:
        tested = ", ".join(f"'{pair.said}' for '{pair.meant}'" for pair in chosen.pairs)
        return abstain(count, f"covering attention peaks explains none of the pairs that were tested: {tested}")

    def reason(row: int) -> str:
        if row not in names:
            return ""
        pair = names[row]
        return f"'{pair.said}' of what the reference, and the captioner with a spot covered, call '{pair.meant}'"

    note = "found: " + ", ".join(f"'{finding.term}'" for finding in findings)
    return Evidence(
        p_values,
        values,
        note,
        weight=WHOLE_DATASET,
        reason=reason,
        findings=tuple(findings),
        excused=excused & np.isnan(p_values),
    )


def causal_p(turned: npt.NDArray[np.bool_], controls: npt.NDArray[np.bool_]) -> float:
    """p-value of the peaks' turning captions as often as they do, if they were places like any other.

    Args:
        turned: (K, HEADS + CONTROLS) whether the caption turns with each cell covered.
        controls: whether captions turned with random places covered, in all samples of all pairs.
    """
    usual = (controls.sum() + 1) / (len(controls) + 2)
    hits = turned[:, :HEADS].sum(axis=0)
    return float(min(1.0, HEADS * stats.binom.sf(hits.max() - 1, len(turned), usual)))


def _turns(pair: Pair, output: str, covered: Sequence[str]) -> list[bool]:
    """Whether each new caption says what the reference says in the place of what the output said, and little else."""
    vocabulary = {pair.said, pair.meant}
    wanted = {pair.meant if word == pair.said else word for word in nouns(output, vocabulary)}
    found = [set(nouns(text, vocabulary)) for text in covered]
    return [
        pair.meant in words and pair.said not in words and len(words & wanted) >= ALIKE * len(words | wanted)
        for words in found
    ]


def _together(first: float, second: float) -> float:
    """Fisher's combination of two independent p-values."""
    product = max(first, 1e-300) * max(second, 1e-300)
    return float(min(1.0, product * (1 - np.log(product))))


def _finding(pair: Pair, turned: npt.NDArray[np.bool_], count: int) -> TargetFinding:
    share = turned[:, :HEADS].mean(axis=0).max()
    explanation = (
        f"in {len(pair.says)} of {count} outputs, where reference captions say '{pair.meant}'; with an attention peak "
        f"covered, {100 * share:.0f} % of them say so, too"
    )
    return TargetFinding(
        pair.said, "output", len(pair.says), 0, round(-float(np.log10(max(pair.p_value, 1e-300))), 2), explanation
    )
