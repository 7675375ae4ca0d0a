"""Density: pairs of image and caption that lie where few others do, or closer to a few than these to anything else."""

from collections.abc import Mapping
from functools import cache

import numpy as np
import numpy.typing as npt

from srdscan.measure.batch import Batch
from srdscan.measure.scores import Column, Scores
from srdscan.signals.base import Evidence, abstain, register_signal
from srdscan.stats.neighbours import dimensionality, nearest, outlier_factors
from srdscan.stats.p_values import cauchy_combine, empirical_p

VECTOR = "density.vector"
PROJECTED = 96
"""Numbers kept of the image's features and of the caption's embedding each: distances change by some 7 %."""
NEIGHBOURS = 16
EXACT = 100_000
"""Samples up to which neighbours are sought among all; of more, among this many drawn at random."""
FEWEST = 50
LEAST_SCALE = 0.02
"""Differences of an outlier factor's logarithm that mean nothing."""


@register_signal
class Density:
    """SLOF and DAO over image features and caption embeddings, k = 16 (Detect-CLIP, Huang et al., ICLR 2025)."""

    name = "density"
    description = "pairs of image and caption that are unlike their nearest neighbours"
    needs_captioner = False
    leans_on_reference = False
    in_quick_look = True

    def measure(self, batch: Batch) -> Mapping[str, Column]:
        """`density.vector`: (B, 192) random projections of both unit vectors, side by side (Johnson-Lindenstrauss)."""
        features = np.asarray(batch.reference_encoding.features, dtype=np.float32)
        parts = [_unit(features)[batch.image_of], batch.embeddings["caption"]]
        projected = [part @ _projection(part.shape[1], place) for place, part in enumerate(parts)]
        return {VECTOR: np.concatenate(projected, axis=1).astype(np.float16)}

    def judge(self, scores: Scores, calibration: Scores | None) -> Evidence:
        """Both factors against the bulk; neighbours are the audited samples, whatever is trusted."""
        count = len(scores)
        if not scores.has(VECTOR):
            return abstain(count, "the score files do not hold what it compares")
        if count < FEWEST:
            return abstain(count, f"needs {FEWEST} samples")
        points = _joint(np.concatenate(list(scores.vectors(VECTOR))).astype(np.float32))
        among = np.sort(np.random.default_rng(0).permutation(count)[:EXACT])
        distances, indices = nearest(points, NEIGHBOURS, among)
        factors = outlier_factors(distances, indices, dimensionality(distances))
        p_values = [empirical_p(np.log(factor), least_scale=LEAST_SCALE) for factor in factors]
        dao = np.log(factors[1])

        def reason(index: int) -> str:
            if not p_values[1][index] < 0.001:
                return ""
            return "image and caption together lie where no other samples do"

        note = "compared with the bulk of the audited data"
        return Evidence(cauchy_combine(np.stack(p_values, axis=1)), dao, note, reason=reason)


def _joint(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Images and captions, each centred and of mean length 1, so that neither decides alone."""
    parts = []
    for part in np.split(vectors, 2, axis=1):
        centred = part - part.mean(axis=0)
        parts.append(centred / max(float(np.linalg.norm(centred, axis=1).mean()), 1e-12))
    return np.concatenate(parts, axis=1)


def _unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Rows of length 1."""
    unit: npt.NDArray[np.float32] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit


@cache
def _projection(size: int, place: int) -> npt.NDArray[np.float32]:
    """(size, PROJECTED) normal numbers, the same in every run."""
    drawn = np.random.default_rng([size, place]).normal(0, PROJECTED**-0.5, (size, PROJECTED))
    return drawn.astype(np.float32)
