"""Judging one number a sample: against trusted data if there is some, else against the bulk of the audited data."""

from collections.abc import Callable

from srdscan.measure.scores import Scores
from srdscan.signals.base import Evidence
from srdscan.stats.p_values import conformal_p, empirical_p


def judge_column(
    column: str, scores: Scores, calibration: Scores | None, sentence: Callable[[float], str], least_scale: float
) -> Evidence:
    """p-values of a column of numbers.

    Args:
        column: name in the score files; larger is more suspicious.
        sentence: value -> the reason shown for a suspicious sample.
        least_scale: differences of this size mean nothing, however rare they are in the data.
    """
    values = scores.numbers(column)
    if calibration is not None and calibration.has(column):
        p_values = conformal_p(values, calibration.numbers(column))
        note = "compared with the trusted shards"
    else:
        p_values = empirical_p(values, least_scale=least_scale)
        note = "compared with the bulk of the audited data"
    return Evidence(
        p_values, values, note, reason=lambda index: sentence(float(values[index])) if p_values[index] < 0.001 else ""
    )
