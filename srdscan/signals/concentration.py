"""How concentrated an attention map is, in numbers."""

from typing import Any

import numpy as np
import numpy.typing as npt

from srdscan.models.captioners.base import Floats

MEASURES = ("entropy", "gini", "top_mass", "peak_ratio", "compactness")
TOP_SHARE = 0.02
WINDOW = 3

Doubles = npt.NDArray[np.float64]


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


def straightened(measures: npt.NDArray[Any], kinds: npt.NDArray[np.int64] | None = None) -> Doubles:
    """Measures on a scale where an honest head's values are near normal: shares as log-odds, entropy as 1 + entropy.

    Raw shares crowd at one end, and a mixture then spends its second component on their skew: six triggered samples of
    600 were found by one head in raw form by none, as log-odds at BSI 7.

    Args:
        measures: (N, K); columns cycle through `MEASURES`, unless
        kinds: (K,) says which measure each column is.
    """
    kinds = np.arange(measures.shape[1]) % len(MEASURES) if kinds is None else kinds
    values = measures.astype(np.float64)
    values[:, kinds == MEASURES.index("entropy")] += 1.0
    share = kinds != MEASURES.index("peak_ratio")
    clipped = np.clip(values[:, share], 1e-6, 1 - 1e-6)
    values[:, share] = np.log(clipped / (1 - clipped))
    return values


def window_mass(maps: npt.NDArray[np.float64], window: int = WINDOW) -> npt.NDArray[np.float64]:
    """(M, R, C) to (M, R - w + 1, C - w + 1): the mass of every w x w window, by summed areas."""
    window = min(window, *maps.shape[1:])
    area = np.zeros((len(maps), maps.shape[1] + 1, maps.shape[2] + 1))
    area[:, 1:, 1:] = maps.cumsum(axis=1).cumsum(axis=2)
    w = window
    return area[:, w:, w:] - area[:, :-w, w:] - area[:, w:, :-w] + area[:, :-w, :-w]
