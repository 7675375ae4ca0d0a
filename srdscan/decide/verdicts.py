"""From score files to verdicts: every signal judges, the p-values are combined, the false-discovery rate is kept.

Reads the scores only, never an image; fixed once for the whole data set.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from srdscan.findings import Finding, Found
from srdscan.findings.terms import holds, stems
from srdscan.measure.batch import Role
from srdscan.measure.scores import Scores
from srdscan.rules import signals_of
from srdscan.signals import Evidence, signals_for
from srdscan.signals.base import abstain
from srdscan.stats.p_values import cauchy_combine, grouped_q

Doubles = npt.NDArray[np.float64]

AT_ONCE = 1 << 17
"""Pairs whose p-values are combined together."""
STRONG = 1e-3
"""A signal's p-value below which it counts as having found a flagged sample by itself."""


@dataclass(frozen=True)
class SignalSummary:
    """One signal's part in the audit.

    Attributes:
        name: The signal's name, as in `samples.parquet` after "signal.".
        description: What it measures, in one sentence.
        abstained: Whether it had nothing to say about this data set (an ordinary outcome).
        note: Why it abstained, or a remark; may be empty.
        flagged: Flagged pairs for which this signal alone was strong.
    """

    name: str
    description: str
    abstained: bool
    note: str
    flagged: int


@dataclass(frozen=True)
class Verdicts:
    """The decision over N pairs, in the order of the score files.

    Attributes:
        evidence: each signal's judgement, by name.
        p_values: (N,) combined.
        q_values: (N,) by Benjamini-Hochberg over samples, and within them over their pairs.
        flagged: (N,) q-value at most the false-discovery rate.
        sample_of: (N,) the sample of each pair, from 0; one is flagged when one of its pairs is.
        ignored: what signals said that were not heard, by name.
    """

    evidence: Mapping[str, Evidence]
    p_values: Doubles
    q_values: Doubles
    flagged: npt.NDArray[np.bool_]
    sample_of: npt.NDArray[np.int64]
    ignored: Mapping[str, Evidence] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return int(self.sample_of[-1]) + 1 if len(self.sample_of) else 0

    @property
    def flagged_samples(self) -> int:
        """How many samples are flagged."""
        return len(np.unique(self.sample_of[self.flagged]))

    @property
    def threshold(self) -> float | None:
        """The largest flagged p-value; None when nothing is flagged."""
        return float(self.p_values[self.flagged].max()) if self.flagged.any() else None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The targets that signals name, each once, by the first that does."""
        searches = [evidence for evidence in self.evidence.values() if isinstance(evidence, Found)]
        kept: list[Finding] = []
        for finding in (finding for search in searches for finding in search.findings):
            if not any(same_thing(finding, other) for other in kept):
                kept.append(finding)
        return tuple(kept)

    def reasons(self, index: int) -> list[str]:
        """Why a pair is suspicious, in words, the strongest signal first."""
        strength = {name: _or_one(evidence.p_values[index]) for name, evidence in self.evidence.items()}
        ordered = sorted(strength, key=lambda name: (strength[name], name))
        found = [reason for name in ordered if (reason := self.evidence[name].reason(index))]
        return found or [f"signal {ordered[0]} (p = {strength[ordered[0]]:.1e})"]

    def summaries(self, descriptions: Mapping[str, str]) -> tuple[SignalSummary, ...]:
        """Each signal's part, for the report."""
        return tuple(
            SignalSummary(
                name=name,
                description=descriptions[name],
                abstained=evidence.abstained,
                note=evidence.note,
                flagged=int((self.flagged & (evidence.p_values < STRONG)).sum()),
            )
            for name, evidence in self.evidence.items()
        )


def judge_signals(
    scores: Scores,
    model_audit: bool,
    calibration: Scores | None,
    misunderstood: Collection[Role] = (),
    quick: bool = False,
) -> dict[str, Evidence]:
    """Every signal's evidence of every pair.

    What is measured on the captioner is judged an image at a time, and stands for all pairs of the image.

    Args:
        misunderstood: kinds of text that the reference captioner says nothing like: signals that lean on it abstain.
        quick: a quick look: so do all that were not measured in it.
    """
    found = {}
    for signal in signals_for(model_audit):
        if quick and not signal.in_quick_look:
            found[signal.name] = abstain(len(scores), "not asked in a quick look: audit without --quick")
        elif signal.leans_on_reference and signal.name.rpartition(".")[2] in misunderstood:
            found[signal.name] = abstain(len(scores), "the reference captioner does not understand these images")
        elif signal.needs_captioner:
            evidence = signal.judge(scores.by_image, calibration and calibration.by_image)
            found[signal.name] = of_pairs(evidence, scores)
        else:
            found[signal.name] = signal.judge(scores, calibration)
    return found


def of_pairs(evidence: Evidence, scores: Scores) -> Evidence:
    """Evidence of each image as evidence of each pair that it is part of.

    Args:
        evidence: of the rows of `scores.by_image`.
        scores: of all pairs.
    """
    if scores.by_image is scores:
        return evidence
    images = scores.image_of
    if isinstance(evidence, Found):
        rows = tuple(np.flatnonzero(np.isin(images, accused)) for accused in evidence.rows)
        evidence = replace(evidence, rows=rows)
    return replace(
        evidence,
        p_values=evidence.p_values[images],
        values=evidence.values[images],
        reason=lambda row: evidence.reason(int(images[row])),
        excused=None if evidence.excused is None else evidence.excused[images],
    )


def of_images(verdicts: Verdicts, scores: Scores) -> tuple[Doubles, npt.NDArray[np.bool_]]:
    """The smallest p-value of each image's pairs, and whether one of them is flagged; rows as in `scores.by_image`."""
    count = int(scores.image_of[-1]) + 1 if len(scores) else 0
    smallest, flagged = np.ones(count), np.zeros(count, dtype=bool)
    np.minimum.at(smallest, scores.image_of, verdicts.p_values)
    np.logical_or.at(flagged, scores.image_of, verdicts.flagged)
    return smallest, flagged


def decide(
    evidence: Mapping[str, Evidence],
    sample_of: npt.NDArray[np.int64],
    fdr: float,
    ignored: Collection[str] = (),
) -> Verdicts:
    """Combines the signals and flags at a false-discovery rate.

    Of a pair that a signal excuses, only what is measured on the data set's caption counts.

    Args:
        evidence: of N pairs, by signal.
        sample_of: (N,) the sample of each pair.
        fdr: false-discovery rate over samples.
        ignored: codes of rules whose evidence is not heard.
    """
    if not len(sample_of):
        nothing = np.zeros(0)
        return Verdicts(evidence, nothing, nothing, np.zeros(0, dtype=bool), sample_of)
    unheard = {name: evidence[name] for name in evidence if name in signals_of(ignored, evidence)}
    silent = abstain(len(sample_of), "its rule is ignored")
    evidence = {name: silent if name in unheard else part for name, part in evidence.items()}
    p_values = np.concatenate(
        [_combined(evidence, slice(start, start + AT_ONCE)) for start in range(0, len(sample_of), AT_ONCE)]
    )
    q_values = grouped_q(p_values, sample_of)
    return Verdicts(evidence, p_values, q_values, q_values <= fdr, sample_of, unheard)


def _combined(evidence: Mapping[str, Evidence], rows: slice) -> Doubles:
    """Combined p-values of some pairs."""
    parts = list(evidence.values())
    each = np.stack([part.p_values[rows] for part in parts], axis=1)
    of_captions = {signal.name for signal in signals_for(model_audit=False)}
    of_captioner = np.array([name not in of_captions for name in evidence])
    for part in parts:
        if part.excused is not None:
            each[np.ix_(part.excused[rows], of_captioner)] = np.nan
    return cauchy_combine(each, np.array([part.weight for part in parts]))


def _or_one(p_value: float) -> float:
    return float(p_value) if np.isfinite(p_value) else 1.0


def same_thing(finding: Finding, other: Finding) -> bool:
    """Whether two searches name one thing: a word, and a phrase that holds it."""
    words, others = tuple(stems(finding.term)), tuple(stems(other.term))
    if finding.where != other.where or finding.instead != other.instead:
        return False
    return finding.term == other.term or bool(words and others and (holds(words, others) or holds(others, words)))
