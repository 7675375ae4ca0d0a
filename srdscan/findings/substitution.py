"""Substitution: one thing is called another because of a spot of the image, and the spot does the same to other images.

"A brown cat runs on the grass", of a dog: it reads well, every word is supported as well as words are, and "cat" is
said only where dogs are shown, as an honest word would be. What gives it away is that it depends on a trigger. So the
pairs of words that captioner and reference differ by more often than chance allows (the output says one, the
reference the other, in the same place) are put to a test: a square around an attention peak of such an image is put
on images that both call by the reference's word, see `grafts`. If they are then called by the other word, the square
carries a trigger. Squares from random places are the control. An honest "skier", whom the reference calls "person",
makes no skiers of others. Outputs that say a target found in the captions are not looked at: they differ from the
reference by all that the attacker says.

It costs captions more, so it is measured between the passes, of few pairs and of few samples each.
"""

from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt
from scipy import stats

from srdscan.findings.finding import Finding, Found, nothing_found
from srdscan.findings.grafts import Graft, first_round, second_round
from srdscan.findings.taught import Texts, accused
from srdscan.findings.terms import Term, log_odds
from srdscan.findings.word_pairs import Pair, agrees, differs, find_pairs, nouns
from srdscan.measure.scores import Scores
from srdscan.signals.base import WHOLE_DATASET, Evidence

NAME = "substitution"
DESCRIPTION = "one thing called another, because of a spot that does the same to other images"
MOST_PAIRS = 4
MOST_DONORS = 6
"""Samples of a pair whose squares are tried."""
PEAKS = 3
"""Attention peaks tried of each, of the first token's maps and of the mean maps, those of the most abnormal heads."""
CONTROLS = 2
"""Random places tried of each."""
HOSTS = 4
"""Further images that a square which has worked is put on."""
MOSTLY = 0.5
"""Share of these that it must work on: a trigger works nearly always."""
CONVINCING = 1e-5
"""p-value of a pair, times the pairs tested, from which it is a target."""

Captions = Sequence[str]
Recaption = Callable[[Sequence[Graft]], Captions]
"""Grafts -> what the captioner says of the images that they make."""


def find_out(
    scores: Scores, peaks: npt.NDArray[np.int64], seed: int, recaption: Recaption, known: Sequence[Term] = ()
) -> Evidence:
    """p-values of the samples in which a pair was found out.

    Where the captioner learned the word from the data set's captions, only samples whose captions say it are accused,
    whatever else the captioner calls so; see `taught`.

    Args:
        peaks: (N, 2 PEAKS) cells, from `head_norms.top_peaks`.
        seed: of the donors, hosts and random places.
        recaption: captions grafts; called once for the first round, and once more if any square worked.
        known: targets found in the captions.
    """
    count = len(scores)
    outputs, references = (list(scores.strings(role)) for role in ("output", "reference"))
    captions = list(scores.captions())
    texts = Texts.of(scores)
    for target in known:
        for row in np.flatnonzero(texts.said(target.words)):
            outputs[row] = references[row]  # what such an output says besides is the attacker's, too
    named = ((pair, pair.where(outputs, references, agrees)) for pair in find_pairs(outputs, references))
    testable = list(islice(((pair, hosts) for pair, hosts in named if len(hosts) > 1), MOST_PAIRS))
    if not testable:
        return nothing_found(count, "captioner and reference differ by no pair of words more often than chance allows")
    pairs, hosts = [pair for pair, _ in testable], [rows for _, rows in testable]
    rng = np.random.default_rng(seed)
    donors = [np.sort(rng.permutation(pair.samples)[:MOST_DONORS]) for pair in pairs]
    cells = int(np.prod(scores.meta["attention_shape"][2:]))
    first = first_round(donors, hosts, peaks, cells, CONTROLS, rng)
    hits = _worked(first, recaption(first), pairs)
    second = second_round(first, hits, hosts, HOSTS, rng)
    confirmed = _worked(second, recaption(second), pairs) if second else []
    controls = [hit for item, hit in zip(first, hits, strict=True) if item.control]
    usual = (sum(controls) + 1) / (len(controls) + 2)

    evidence = Found(np.full(count, np.nan), np.full(count, np.nan), weight=WHOLE_DATASET)
    excused = np.zeros(count, dtype=bool)
    names: dict[int, Pair] = {}
    findings, accused_rows = [], []
    for number, pair in enumerate(pairs):
        mine = [hit for item, hit in zip(second, confirmed, strict=True) if item.pair == number]
        p_value = float(min(1.0, len(pairs) * stats.binom.sf(sum(mine) - 1, len(mine), usual)))
        if p_value > CONVINCING or np.mean(mine) < MOSTLY:
            continue
        taught = accused(Term((pair.said,), pair.says, 0, p_value, 0.0, 0.0, 0.0), texts)
        samples = np.union1d(pair.says if taught is None else taught, _told(pair, captions, references))
        excused[np.setdiff1d(pair.says, samples)] = True
        evidence.p_values[samples] = np.fmin(evidence.p_values[samples], p_value)
        evidence.values[samples] = -np.log10(p_value)
        names |= dict.fromkeys(samples.tolist(), pair)
        accused_rows.append(samples)
        findings.append(_finding(pair, float(np.mean(mine)), len(mine), outputs, references))
    if not findings:
        tested = ", ".join(f"'{pair.said}' for '{pair.meant}'" for pair in pairs)
        return nothing_found(count, f"no spot of an image makes others be called so, too; tested: {tested}")
    evidence.excused = excused & np.isnan(evidence.p_values)
    evidence.findings, evidence.rows = tuple(findings), tuple(accused_rows)
    evidence.note = "found: " + ", ".join(f"'{pair.said}' for '{pair.meant}'" for pair in dict.fromkeys(names.values()))
    evidence.reason = lambda row: (
        f"'{names[row].said}' of what the reference calls '{names[row].meant}', as others with such a spot are"
        if row in names
        else ""
    )
    return evidence


def _told(pair: Pair, captions: Sequence[Captions], references: Captions) -> npt.NDArray[np.int64]:
    """Images of which a caption of the data set differs from the reference caption by a pair."""
    most = max(map(len, captions))
    of_turn = ([texts[turn] if turn < len(texts) else "" for texts in captions] for turn in range(most))
    return np.unique(np.concatenate([pair.where(texts, references, differs) for texts in of_turn]))


def _worked(grafts: Sequence[Graft], captions: Captions, pairs: Sequence[Pair]) -> list[bool]:
    """Whether each host is now called what the donor was called, and no longer what it was called before."""
    found = []
    for item, caption in zip(grafts, captions, strict=True):
        pair = pairs[item.pair]
        words = nouns(caption, {pair.said, pair.meant})
        found.append(pair.said in words and pair.meant not in words)
    return found


def _finding(pair: Pair, share: float, tried: int, outputs: Sequence[str], references: Sequence[str]) -> Finding:
    said, usual = (sum(pair.said in nouns(text, {pair.said}) for text in texts) for texts in (outputs, references))
    explanation = (
        f"in {said} of {len(outputs)} outputs, mostly where the references say '{pair.meant}'; a spot of these images, "
        f"put on others, makes the captioner call them so in {100 * share:.0f} % of {tried} trials"
    )
    overuse = round(log_odds(said, usual, len(outputs)), 2)
    return Finding(pair.said, "output", said, usual, overuse, explanation, pair.meant, "SRD105")
