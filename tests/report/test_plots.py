"""Plots of the page: every value is counted once, in a picture and in words."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from reports import report

from srdscan.report import schema
from srdscan.report.plots import (
    BASE,
    HEIGHT,
    LEFT,
    WIDTH,
    Plot,
    plot_agreement,
    plot_attention,
    plot_spread,
    plot_threshold,
    plots_of,
)

RANDOM = np.random.default_rng(3)


def counted(plot: Plot | None) -> list[int]:
    assert plot is not None
    return [int(bar.told.rpartition(": ")[2].split()[0].replace(",", "")) for bar in plot.bars]


def test_the_threshold_stands_between_what_is_flagged_and_what_is_not() -> None:
    p_values = np.concatenate([np.full(9, 3e-9), RANDOM.uniform(0.01, 1, 991), [np.nan]])
    flagged = np.arange(1001) < 9
    plot = plot_threshold(p_values, flagged, 3e-9)
    assert plot is not None and plot.mark is not None
    assert sum(counted(plot)) == 1000 and len(plot.bars) == 9, "a bin a power of ten, from 1e-9 to 1"
    hot = [bar for bar in plot.bars if bar.hot]
    assert len(hot) == 1 and hot[0].hot == hot[0].height and hot[0].told == "10^-9 to 10^-8: 9 pairs"
    assert hot[0].x <= plot.mark[0] <= hot[0].x + hot[0].width
    assert plot.mark[1] == "flagged up to 3.0 × 10⁻⁹" and "9 were flagged, up to p = 3.0 × 10⁻⁹" in plot.label
    assert [text for _, text in plot.ticks][:2] == ["1", "0.01"]


def test_p_values_of_zero_have_a_bin_and_nothing_flagged_has_no_line() -> None:
    plot = plot_threshold(np.array([0.0, 1e-300, 0.5]), np.zeros(3, bool), None)
    assert plot is not None and plot.mark is None
    assert counted(plot)[0] == 2 and "None was small enough" in plot.label


def test_own_pairs_are_held_against_as_many_unrelated_ones() -> None:
    fits = RANDOM.normal(3, 0.5, 500)
    flagged = fits < 2
    plot = plot_agreement(fits, flagged)
    assert plot is not None and sum(counted(plot)) == 500
    points = np.array([[float(part) for part in point.split(",")] for point in plot.curve.split()])
    heights = BASE - points[:, 1]
    area = float((np.diff(points[:, 0]) * (heights[1:] + heights[:-1]) / 2).sum())
    bars = sum(bar.height * (bar.width + 2) for bar in plot.bars)
    assert area == pytest.approx(bars, rel=0.03), "the curve holds as many pairs as the bars"
    assert "better than 100% of others" in plot.label
    assert sum(bar.hot > 0 for bar in plot.bars) >= 1


def test_heads_that_stand_out_are_far_to_the_right() -> None:
    values = np.concatenate([RANDOM.normal(0, 1, 300), np.full(12, 40.0)])
    plot = plot_attention(values, values > 4, "4 % of the samples stand out in layer 0 head 1")
    assert plot is not None and counted(plot)[-1] == 12 and "12 are more than four" in plot.label
    assert plot.bars[-1].hot == plot.bars[-1].height and "layer 0 head 1" in plot.above


@pytest.mark.parametrize("count", [1, 2, 40])
def test_every_plot_stays_in_its_drawing_and_has_words(count: int) -> None:
    p_values = np.linspace(1e-30, 1, count)
    signal = schema.SignalSummary("attention", "", False, "layer 0 head 1", 1)
    made = dataclasses.replace(report(), signals=(signal,))
    values = {"agreement": -np.linspace(-9, 12, count), "attention": np.linspace(-30, 90, count)}
    plots = plots_of(made, p_values, p_values < 0.5, values)
    assert len(plots) == 4
    for plot in plots:
        assert sum(counted(plot)) == count
        assert all(bar.x >= LEFT and bar.x + bar.width <= LEFT + WIDTH for bar in plot.bars)
        assert all(0 <= bar.hot <= bar.height <= HEIGHT for bar in plot.bars)
        assert plot.title and plot.above and plot.below and plot.label


def test_what_was_not_measured_is_not_drawn() -> None:
    nothing = np.full(5, np.nan)
    assert plots_of(report(), nothing, np.zeros(5, bool), {"agreement": nothing}) == []
    assert plot_spread(np.zeros(0), False) is None
