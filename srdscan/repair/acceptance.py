"""How faithful a recaption must be: as ordinary captions are."""

import numpy as np
import numpy.typing as npt

from srdscan.measure.scores import Scores
from srdscan.policy.fidelity import COSINE_WEIGHT, FLUENCY_WEIGHT

ORDINARY = 0.10
"""A recaption is accepted if it is as faithful as this quantile of the samples that are not flagged."""
LEAST_FAITHFUL = 0.3
"""SFS below which no recaption is accepted, however unfaithful ordinary samples are."""


def sample_sfs(scores: Scores) -> npt.NDArray[np.float64]:
    """(N,) SFS of the captioner's output for every sample, from what pass 1 measured."""
    cosine = 1.0 - scores.numbers("signal.drift.output")
    fluency = np.exp(-scores.numbers("signal.fluency.output"))
    return np.asarray(COSINE_WEIGHT * cosine + FLUENCY_WEIGHT * np.minimum(fluency, 1.0))


def acceptance_bar(scores: Scores, flagged: npt.NDArray[np.bool_], calibration: Scores | None = None) -> float:
    """The SFS from which a recaption is accepted: as faithful as trusted samples, or as those that are not flagged."""
    if calibration is not None and calibration.has("signal.drift.output"):
        ordinary = sample_sfs(calibration)
    else:
        ordinary = sample_sfs(scores)[~flagged]
    return max(float(np.quantile(ordinary, ORDINARY)), LEAST_FAITHFUL) if len(ordinary) else LEAST_FAITHFUL
