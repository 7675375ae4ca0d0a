"""What the page shows as plots: histograms as numbers to draw, each with its words for who does not see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from srdscan.report.numbers import count_of, p_value
from srdscan.report.schema import Report

LEFT, WIDTH, BASE, HEIGHT = 10.0, 400.0, 158.0, 128.0
"""Of the drawing area: its left edge, its width, where bars stand, and how high the highest one is."""
SMALLEST: Final = -16
"""log10 of the smallest p-value that has a bin of its own."""

Doubles = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Bar:
    """A bin: where it stands, how high it is, how high the flagged ones among it are, and what it says."""

    x: float
    width: float
    height: float
    hot: float
    told: str


@dataclass(frozen=True)
class Plot:
    """A histogram.

    Attributes:
        title: its heading.
        above: what to look for.
        below: what the axes are.
        label: all of it in words.
        bars: from left to right.
        ticks: x and text below the axis.
        mark: x and text of a vertical line.
        level: y of a horizontal line.
        curve: points of a line, as SVG writes them.
        number: over the first bar.
    """

    title: str
    above: str
    below: str
    label: str
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str], ...]
    mark: tuple[float, str] | None = None
    level: float | None = None
    curve: str = ""
    number: str = ""


def plot_spread(p_values: Doubles, flagged: bool) -> Plot | None:
    """How combined p-values are spread over [0, 1], in 20 bins; None if there is none."""
    known = p_values[np.isfinite(p_values)]
    if not known.size:
        return None
    counts, edges = np.histogram(known, bins=20, range=(0.0, 1.0))
    even, top = known.size / 20, int(counts.max())
    hot = np.zeros_like(counts)
    hot[0] = counts[0] if flagged else 0
    bars = _bars(edges, counts, hot, lambda count: count / top, "{:.2f}", ("sample", "samples"))
    return Plot(
        "How the combined p-values are spread",
        "Clean samples spread evenly or lean to the right; poison piles up at the left.",
        f"Combined p-value, {count_of(known.size, 'sample', 'samples')}. The dashed line is an even spread "
        f"({even:.1f} a bin).",
        f"Histogram of {known.size:,} p-values in 20 bins: {counts[0]:,} of them are below 0.05, where {even:.1f} "
        "would be expected were they spread evenly",
        bars,
        tuple((_x(value, edges), f"{value:g}") for value in (0, 0.25, 0.5, 0.75, 1)),
        level=round(BASE - HEIGHT * even / top, 1),
        number=f"{counts[0]:,}",
    )


def plot_threshold(p_values: Doubles, flagged: Flags, threshold: float | None) -> Plot | None:
    """How small they are, a bin a power of ten, and up to where samples were flagged; None if there is none.

    Args:
        p_values: (N,) NaN where there is none.
        flagged: (N,)
        threshold: the largest that was flagged.
    """
    known = np.isfinite(p_values)
    if not known.any():
        return None
    logs = np.log10(np.clip(p_values[known], 10.0**SMALLEST, 1.0))
    edges = np.arange(min(int(np.floor(logs.min())), -4), 1, dtype=np.float64)
    counts, hot = (np.histogram(part, bins=edges)[0] for part in (logs, logs[flagged[known]]))
    scale = np.log1p(counts.max())
    mark = None
    said = "None was small enough to be flagged."
    if threshold is not None:
        mark = (_x(float(np.log10(max(threshold, 10.0**SMALLEST))), edges), f"flagged up to {p_value(threshold)}")
        said = f"{int(flagged[known].sum()):,} were flagged, up to p = {p_value(threshold)}."
    return Plot(
        "How small they are",
        "What the gate flags stands apart from the rest, or it is no more than the smallest of many.",
        "Combined p-value; each bin is a tenth of the one to its right. Heights are logarithms of counts.",
        f"Histogram of {known.sum():,} p-values by powers of ten. {said}",
        _bars(edges, counts, hot, lambda count: float(np.log1p(count) / scale), "10^{:.0f}"),
        tuple((_x(edge, edges), p_value(10.0**edge) if edge else "1") for edge in edges[:: -max(len(edges) // 4, 1)]),
        mark=mark,
    )


def plot_agreement(fits: Doubles, flagged: Flags) -> Plot | None:
    """How well captions fit their images, against what unrelated ones would; None if it was not measured.

    Args:
        fits: (N,) `stats.agreement.Agreement.scores`; of a caption of another image about N(0, 1).
    """
    known = np.isfinite(fits)
    if not known.any():
        return None
    low, high = min(float(fits[known].min()), -3.5), max(float(fits[known].max()), 4.0)
    edges = np.linspace(low, high, 25)
    counts, hot = (np.histogram(part, bins=edges)[0] for part in (fits[known], fits[known & flagged]))
    at = np.linspace(low, high, 49)
    unrelated = np.exp(-(at**2) / 2) / np.sqrt(2 * np.pi) * int(known.sum()) * float(edges[1] - edges[0])
    top = max(float(counts.max()), float(unrelated.max()))
    better = float(ndtr(fits[known]).mean())
    points = (f"{_x(x, edges)},{BASE - HEIGHT * y / top:.1f}" for x, y in zip(at, unrelated, strict=True))
    return Plot(
        "How well captions fit their images",
        "Captions of other images lie under the curve; those that fit their own lie to its right.",
        f"Standard deviations by which a caption fits its own image better than others, "
        f"{count_of(int(known.sum()), 'pair', 'pairs')}. The curve: as many unrelated pairs.",
        f"Histogram of {known.sum():,} pairs: captions fit their own images better than {better:.0%} of others; the "
        "curve of unrelated pairs is at 50 %",
        _bars(edges, counts, hot, lambda count: count / top, "{:.1f}"),
        tuple((_x(value, edges), f"{value:g}") for value in range(int(np.ceil(low)), int(high) + 1, 2)),
        curve=" ".join(points),
    )


def plot_attention(concentration: Doubles, flagged: Flags, note: str) -> Plot | None:
    """How concentrated the attention of the heads is that were chosen; None if none was.

    Args:
        concentration: (N,) standard deviations above the bulk.
        note: which heads they are.
    """
    known = np.isfinite(concentration)
    if not known.any():
        return None
    values = np.clip(concentration, -4.0, 16.0)
    edges = np.linspace(min(float(values[known].min()), -2.0), max(float(values[known].max()), 4.0), 25)
    counts, hot = (np.histogram(part, bins=edges)[0] for part in (values[known], values[known & flagged]))
    scale = np.log1p(counts.max())
    far = int((concentration[known] > 4).sum())
    return Plot(
        "Where the chosen heads look",
        f"A trigger draws the attention of some heads to one spot: {note}.",
        "Standard deviations by which attention is more concentrated than in the bulk. Heights are logarithms of "
        "counts.",
        f"Histogram of {known.sum():,} pairs by the concentration of the chosen heads: {far:,} are more than four "
        "standard deviations above the bulk",
        _bars(edges, counts, hot, lambda count: float(np.log1p(count) / scale), "{:.1f}"),
        tuple((_x(value, edges), f"{value:g}") for value in range(int(np.ceil(edges[0])), int(edges[-1]) + 1, 4)),
    )


def plots_of(report: Report, p_values: Doubles, flagged: Flags, values: dict[str, Doubles]) -> list[Plot]:
    """The plots that an audit has the numbers for.

    Args:
        p_values: (N,) combined p-values of all pairs; NaN where there is none.
        flagged: (N,)
        values: of signals, by name, (N,) each.
    """
    notes = {signal.name: signal.note for signal in report.signals if not signal.abstained}
    nothing = np.full(len(p_values), np.nan)
    found = [
        plot_spread(p_values, bool(report.counts.flagged)),
        plot_threshold(p_values, flagged, report.gate.threshold),
        plot_agreement(-values.get("agreement", nothing), flagged),
        plot_attention(values.get("attention", nothing), flagged, notes["attention"]) if "attention" in notes else None,
    ]
    return [plot for plot in found if plot is not None]


def _x(value: float, edges: Sequence[float] | Doubles) -> float:
    return round(LEFT + WIDTH * (value - float(edges[0])) / float(edges[-1] - edges[0]), 1)


def _bars(
    edges: Doubles,
    counts: npt.NDArray[np.int64],
    hot: npt.NDArray[np.int64],
    height: Callable[[int], float],
    form: str,
    noun: tuple[str, str] = ("pair", "pairs"),
) -> tuple[Bar, ...]:
    """Bars of the drawing; what each says names its edges by `form`, and what it counts by `noun`, one and many."""
    bars = []
    for number, count in enumerate(counts.tolist()):
        x, end = _x(edges[number], edges), _x(edges[number + 1], edges)
        told = f"{form.format(edges[number])} to {form.format(edges[number + 1])}: {count_of(count, *noun)}"
        flagged = int(hot[number])
        bars.append(
            Bar(x, round(end - x - 2, 1), round(HEIGHT * height(count), 1), round(HEIGHT * height(flagged), 1), told)
        )
    return tuple(bars)
