"""Attention concentration, per layer and head."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from srdscan.captioners.base import Floats
from srdscan.scores import Column, Scores
from srdscan.signals.base import Batch, Evidence, abstain, register_signal

MEASURES = ("entropy", "gini", "top_mass", "peak_ratio", "compactness")
TOP_SHARE = 0.02
WINDOW = 3


def concentration(maps: npt.NDArray[Any]) -> Floats:
    """The five measures of how concentrated attention maps are, each larger when more concentrated.

    Args:
        maps: (..., R, C) non-negative, each summing to 1.

    Returns:
        (..., 5) float32: negated normalised entropy `sum p ln p / ln T` in [-1, 0]; Gini coefficient in [0, 1);
        mass of the top ceil(0.02 T) patches; ln(peak / median); mass of the heaviest 3 x 3 window.
    """
    *lead, rows, columns = maps.shape
    patches = rows * columns
    p = maps.reshape(-1, patches).astype(np.float64)
    p = p / p.sum(axis=1, keepdims=True).clip(1e-12)
    ordered = np.sort(p, axis=1)
    entropy = (p * np.log(p.clip(1e-12))).sum(axis=1) / np.log(patches)
    rank = np.arange(1, patches + 1)
    gini = 2.0 * (ordered * rank).sum(axis=1) / patches - (patches + 1.0) / patches
    top = ordered[:, -int(np.ceil(TOP_SHARE * patches)) :].sum(axis=1)
    median = np.median(ordered, axis=1)
    ratio = np.log(ordered[:, -1].clip(1e-12) / median.clip(1e-12))
    compact = window_mass(p.reshape(-1, rows, columns)).reshape(len(p), -1).max(axis=1)
    return np.stack([entropy, gini, top, ratio, compact], axis=1).reshape(*lead, len(MEASURES)).astype(np.float32)


def window_mass(maps: npt.NDArray[np.float64], window: int = WINDOW) -> npt.NDArray[np.float64]:
    """(M, R, C) to (M, R - w + 1, C - w + 1): the mass of every w x w window, by summed areas."""
    window = min(window, *maps.shape[1:])
    area = np.zeros((len(maps), maps.shape[1] + 1, maps.shape[2] + 1))
    area[:, 1:, 1:] = maps.cumsum(axis=1).cumsum(axis=2)
    w = window
    return area[:, w:, w:] - area[:, :-w, w:] - area[:, w:, :-w] + area[:, :-w, :-w]


@register_signal
class Attention:
    """A minority of samples on which several heads concentrate as they never do otherwise."""

    name = "attention"
    description = "attention of single heads concentrates abnormally, in a minority of samples that also drift"
    needs_captioner = True

    def measure(self, batch: Batch) -> Mapping[str, Column]:
        """`attention.measures`: (B, 2 x L x H x 5), first token then mean; `attention.peak`: (B, 2 x L x H) cells."""
        if batch.output is None or batch.output.attention is None:
            return {}
        maps = np.stack([batch.output.attention.first, batch.output.attention.mean], axis=1)
        count = len(maps)
        peaks = maps.reshape(*maps.shape[:4], -1).argmax(axis=-1).astype(np.uint16)
        return {
            "attention.measures": concentration(maps).reshape(count, -1),
            "attention.peak": peaks.reshape(count, -1),
        }

    def judge(self, scores: Scores, calibration: Scores | None) -> Evidence:
        """See `head_selection`."""
        return abstain(len(scores), "not yet")
