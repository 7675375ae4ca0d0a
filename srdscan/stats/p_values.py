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


def family_p(p_values: Doubles, families: npt.NDArray[np.int64]) -> Doubles:
    """Each p-value adjusted for the size of its family, by Benjamini-Hochberg within it.

    The smallest of a family is Simes' p-value of the hypothesis that none of its members is odd. A family of one keeps
    its p-value. Source: Benjamini and Bogomolov, Selective inference on multiple families of hypotheses, JRSS B 2014.

    Args:
        p_values: (N,).
        families: (N,) ascending.
    """
    if not len(p_values):
        return p_values
    order = np.lexsort((p_values, families))
    sorted_p, of = p_values[order], families[order]
    first = np.flatnonzero(np.diff(of, prepend=of[0] - 1))
    sizes = np.diff(np.append(first, len(of)))
    rank = np.arange(len(of)) - np.repeat(first, sizes) + 1
    scaled = sorted_p * np.repeat(sizes, sizes) / rank
    # The minimum over all larger ones of the same family: from behind, with families kept apart.
    for start, size in zip(first[sizes > 1], sizes[sizes > 1], strict=True):
        scaled[start : start + size] = np.minimum.accumulate(scaled[start : start + size][::-1])[::-1]
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(scaled, 1.0)
    return adjusted


def grouped_q(p_values: Doubles, families: npt.NDArray[np.int64]) -> Doubles:
    """q-values of members: flagging q <= a keeps the false-discovery rate over families at most a, and within them.

    Families are held by Benjamini-Hochberg on Simes' p-values; in one that is found, members are held by
    Benjamini-Hochberg at the level that is left. Families of one get `benjamini_hochberg`'s q-values.

    Args:
        p_values: (N,).
        families: (N,) ascending; a family is found when one of its members is.
    """
    if not len(p_values):
        return p_values
    adjusted = family_p(p_values, families)
    first = np.flatnonzero(np.diff(families, prepend=families[0] - 1))
    smallest = np.minimum.reduceat(adjusted, first)
    q_of_families = benjamini_hochberg(smallest)
    order = np.argsort(smallest, kind="stable")
    # A member goes with the first family whose p-value reaches its own; beyond the last one all families are tried.
    place = np.searchsorted(smallest[order], adjusted, side="left")
    known = place < len(order)
    q = np.minimum(adjusted, 1.0)
    q[known] = q_of_families[order[place[known]]]
    return q
