"""From signals to verdicts: p-values, their combination, and the false-discovery rate."""

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

SMALLEST = 1e-15
"""p-values are kept off 0, where the Cauchy combination would let one sample decide alone by rounding."""


TAIL_SHAPE = 0.2
"""Of the empirical null's tail: that of Student's t with 5 degrees of freedom. Fluency of honest captions needs it."""


def conformal_p(values: Doubles, null: Doubles) -> Doubles:
    """p = (1 + #{null >= x}) / (n + 1): exact whatever the null's shape (Vovk et al. 2005; Bates et al. 2023).

    Args:
        values: (N,) larger is more suspicious; NaN stays NaN.
        null: (n,) the same signal on trusted clean samples.
    """
    ordered = np.sort(null[np.isfinite(null)])
    at_least = len(ordered) - np.searchsorted(ordered, values, side="left")
    p = (1.0 + at_least) / (len(ordered) + 1.0)
    return np.where(np.isfinite(values), p, np.nan)


def empirical_p(values: Doubles, bulk: float = 0.85, null: Doubles | None = None, least_scale: float = 0.0) -> Doubles:
    """One-sided p-values against a null fitted to the data's own bulk.

    The null is centred at the median; above it lies a generalised Pareto tail whose scale fits the values between the
    median and the `bulk` quantile, so that up to 1 - `bulk` of poison does not shift it. Its shape is fixed at
    `TAIL_SHAPE`, heavier than exponential: the bulk says nothing of how far honest captions can stray, and a false
    alarm costs more than one signal's silence.

    Args:
        values: (N,) larger is more suspicious; NaN stays NaN.
        bulk: share of the values that is taken to be clean.
        null: values to fit the null to, if not `values` themselves.
        least_scale: the scale is at least this. Where two captioners agree to the word on most images, the bulk has no
            width, and without a floor the first honest disagreement would look like a miracle.
    """
    fitted = values if null is None else null
    finite = fitted[np.isfinite(fitted)]
    if len(finite) < 20:
        return np.where(np.isfinite(values), 1.0, np.nan)
    low, middle, high = np.quantile(finite, [1 - bulk, 0.5, bulk])
    reach = ((0.5 / (1 - bulk)) ** TAIL_SHAPE - 1) / TAIL_SHAPE
    scale = max((high - middle) / reach, (middle - low) / reach, least_scale)
    if scale <= 0:
        return np.where(np.isfinite(values), 1.0, np.nan)
    above = 0.5 * (1 + TAIL_SHAPE * np.maximum(values - middle, 0.0) / scale) ** (-1 / TAIL_SHAPE)
    below = 0.5 + 0.5 * np.clip((middle - values) / (middle - finite.min() + 1e-12), 0.0, 1.0)
    return np.where(np.isfinite(values), np.where(values >= middle, above, below), np.nan)


def cauchy_combine(p_values: Doubles, weights: Doubles | None = None) -> Doubles:
    """Combines dependent p-values: weighted mean of tan((1/2 - p) pi), referred to a Cauchy (Liu and Xie, JASA 2020).

    Args:
        p_values: (N, S); NaN entries are left out; a row of NaN alone gives 1.
        weights: (S,) positive, fixed before looking at the data; equal if None.

    Returns:
        (N,) combined p-values. p-values near 1 are capped at 0.99, so that one signal's lack of suspicion does not
        cancel another's alarm.
    """
    p = np.clip(p_values, SMALLEST, 0.99)
    present = np.isfinite(p)
    # tan((1/2 - p) pi) = 1 / tan(p pi), which keeps its precision for tiny p.
    terms = np.where(present, 1.0 / np.tan(np.pi * np.where(present, p, 0.5)), 0.0)
    weight = present * (np.ones(p.shape[1]) if weights is None else weights)
    total = weight.sum(axis=1)
    mean = (weight * terms).sum(axis=1) / np.where(total > 0, total, 1.0)
    # P(Cauchy > t) = arctan(1 / t) / pi for t > 0, again without cancellation.
    upper = np.arctan(1.0 / np.where(mean > 0, mean, 1.0)) / np.pi
    lower = 0.5 - np.arctan(np.minimum(mean, 0.0)) / np.pi
    combined = np.where(mean > 0, upper, lower)
    return np.where(total > 0, combined, 1.0)


def benjamini_hochberg(p_values: Doubles) -> Doubles:
    """q-values of Benjamini and Hochberg (1995): flagging q <= a keeps the false-discovery rate at most a.

    Args:
        p_values: (N,).

    Returns:
        (N,) q-values, in the same order, at most 1.
    """
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * count / np.arange(1, count + 1)
    q = np.empty(count)
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q
