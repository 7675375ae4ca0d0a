"""What is ordinary for each head of a captioner, and which heads are not as they ordinarily are."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from srdscan.measure.scores import Scores
from srdscan.signals.base import Doubles
from srdscan.signals.concentration import MEASURES

ENOUGH = 50
"""Samples that norms need."""


@dataclass(frozen=True)
class HeadNorms:
    """How compact each head's first-token attention ordinarily is: (L x H,) medians and central spreads.

    A head that always concentrates does not stand out by concentrating.
    """

    centre: Doubles
    spread: Doubles

    def strangeness(self, compactness: Doubles) -> Doubles:
        """(N, L x H): how far each head's compactness lies above what is ordinary for it, in spreads."""
        return np.asarray((compactness - self.centre) / self.spread)


def head_norms(
    scores: Scores, calibration: Scores | None = None, ordinary: npt.NDArray[np.bool_] | None = None
) -> HeadNorms:
    """Of the heads of the captioner under audit: over trusted data if there are any, else over the audited data.

    Args:
        calibration: scores of trusted data; they count if they are of a captioner with as many heads.
        ordinary: (N,) the samples of `scores` to take norms from, if these are enough; all if None.
    """
    shape = scores.meta["attention_shape"]
    if calibration is not None and calibration.meta.get("attention_shape") == shape and len(calibration) >= ENOUGH:
        values = _compactness(calibration, 0)
    else:
        values = _compactness(scores, 0)
        if ordinary is not None and ordinary.sum() >= ENOUGH:
            values = values[ordinary]
    return _norms_of(values)


def anomalous_heads(
    scores: Scores, norms: HeadNorms | None = None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Doubles]:
    """Each sample's most abnormally concentrated first-token map: (N,) head, peak cell, mass of its best window.

    Args:
        norms: what is ordinary; the norms of these samples themselves if None.
    """
    values = _compactness(scores, 0)
    peaks = np.concatenate([part[:, : values.shape[1]] for part in scores.vectors("attention.peak")])
    head = (norms or head_norms(scores)).strangeness(values).argmax(axis=1)
    every = np.arange(len(head))
    return head, peaks[every, head].astype(np.int64), values[every, head]


def top_peaks(scores: Scores, norms: HeadNorms, count: int) -> npt.NDArray[np.int64]:
    """(N, 2 count) peak cells of each sample: of the heads whose first-token map is most abnormally compact, then of
    those whose mean map is; the most abnormal first."""
    size = len(norms.centre)
    peaks = np.concatenate(list(scores.vectors("attention.peak"))).astype(np.int64)
    found = []
    for part, ordinary in ((0, norms), (1, None)):
        values = _compactness(scores, part)
        heads = np.argsort(-(ordinary or _norms_of(values)).strangeness(values), axis=1, kind="stable")[:, :count]
        found.append(np.take_along_axis(peaks[:, part * size : (part + 1) * size], heads, axis=1))
    return np.concatenate(found, axis=1)


def _norms_of(values: Doubles) -> HeadNorms:
    """Of compactness, (N, L x H)."""
    low, centre, high = np.quantile(values, [0.16, 0.5, 0.84], axis=0)
    return HeadNorms(centre, np.maximum((high - low) / 2, 1e-6))


def _compactness(scores: Scores, part: int) -> Doubles:
    """(N, L x H) of the first token's maps (part 0) or of the mean maps (part 1)."""
    layers, heads = (int(n) for n in scores.meta["attention_shape"][:2])
    columns = (part * layers * heads + np.arange(layers * heads)) * len(MEASURES) + MEASURES.index("compactness")
    return take_measures(scores, columns=columns)


def take_measures(
    scores: Scores, rows: npt.NDArray[np.int64] | None = None, columns: npt.NDArray[np.int64] | None = None
) -> Doubles:
    """Some rows or some columns of the measures, never all of both: (rows, columns)."""
    parts, start = [], 0
    for part in scores.vectors("attention.measures"):
        if rows is not None:
            inside = rows[(rows >= start) & (rows < start + len(part))] - start
            parts.append(part[inside])
        else:
            parts.append(part[:, columns])
        start += len(part)
    return np.concatenate(parts).astype(np.float64)
