"""From score files to verdicts: every signal judges, the p-values are combined, the false-discovery rate is kept.

Reads the scores only, never an image; fixed once for the whole data set.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from srdscan.findings import Finding, Found
from srdscan.measure.scores import Scores
from srdscan.signals import Evidence, signals_for
from srdscan.stats.p_values import benjamini_hochberg, cauchy_combine

Doubles = npt.NDArray[np.float64]

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
        flagged: Flagged samples for which this signal alone was strong.
    """

    name: str
    description: str
    abstained: bool
    note: str
    flagged: int


@dataclass(frozen=True)
class Verdicts:
    """The decision over N samples, in the order of the score files.

    Attributes:
        evidence: each signal's judgement, by name.
        p_values: (N,) combined.
        q_values: (N,) by Benjamini-Hochberg.
        flagged: (N,) q-value at most the false-discovery rate.
    """

    evidence: Mapping[str, Evidence]
    p_values: Doubles
    q_values: Doubles
    flagged: npt.NDArray[np.bool_]

    @property
    def threshold(self) -> float | None:
        """The largest flagged p-value; None when nothing is flagged."""
        return float(self.p_values[self.flagged].max()) if self.flagged.any() else None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The targets that signals name."""
        searches = [evidence for evidence in self.evidence.values() if isinstance(evidence, Found)]
        return tuple(finding for search in searches for finding in search.findings)

    def reasons(self, index: int) -> list[str]:
        """Why a sample is suspicious, in words, the strongest signal first."""
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


def judge_signals(scores: Scores, model_audit: bool, calibration: Scores | None) -> dict[str, Evidence]:
    """Every signal's evidence."""
    return {signal.name: signal.judge(scores, calibration) for signal in signals_for(model_audit)}


def decide(evidence: Mapping[str, Evidence], count: int, fdr: float) -> Verdicts:
    """Combines the signals and flags at a false-discovery rate.

    Of a sample that a signal excuses, only what is measured on the data set's caption counts.
    """
    if count == 0:
        nothing = np.zeros(0)
        return Verdicts(evidence, nothing, nothing, np.zeros(0, dtype=bool))
    parts = list(evidence.values())
    each = np.stack([part.p_values for part in parts], axis=1)
    of_captions = {signal.name for signal in signals_for(model_audit=False)}
    of_captioner = np.array([name not in of_captions for name in evidence])
    for part in parts:
        if part.excused is not None:
            each[np.ix_(part.excused, of_captioner)] = np.nan
    p_values = cauchy_combine(each, np.array([part.weight for part in parts]))
    q_values = benjamini_hochberg(p_values)
    return Verdicts(evidence, p_values, q_values, q_values <= fdr)


def _or_one(p_value: float) -> float:
    return float(p_value) if np.isfinite(p_value) else 1.0
