"""Plots of results, for READMEs: ROC and precision-recall, F1 and CIDEr against what they trade with."""

from collections.abc import Callable, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from srdscan.lab.jobs import Result

Results = Mapping[str, Result]
WIDEST = 4
"""Plots side by side."""
GOAL_ASR, GOAL_CIDER = 0.036, 0.95
"""What a defence is to reach on triggered photographs: the paper's ASR (arXiv 2506.04743), nearly all of the CIDEr."""
COLOURS = (
    *("black", "tab:blue", "tab:orange", "tab:green", "tab:purple", "tab:brown", "tab:olive", "tab:cyan", "tab:gray"),
    *("gold", "navy", "violet", "teal", "peru"),
)
"""Of defences, none of them near the crimson of srdscan."""


def detection(results: Results, out: Path, name: str) -> list[Path]:
    """F1 against poison rate, and ROC and precision-recall curves at the smallest rate, srdscan beside all peers."""
    from matplotlib.figure import Figure
    from sklearn.metrics import precision_recall_curve, roc_curve

    shown = {attack: result for attack, result in results.items() if result["rows"]}
    if not shown:
        return []
    columns = min(WIDEST, len(shown))
    lines = -(-len(shown) // columns)
    figure = Figure(figsize=(3.0 * columns, 2.6 * lines + 0.6), layout="constrained")
    axes = np.asarray(figure.subplots(lines, columns, sharey=True, squeeze=False)).reshape(-1)
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
    for axis, (attack, result) in zip(axes, shown.items(), strict=False):
        for detector in dict.fromkeys(row["detector"] for row in result["rows"]):
            mine = [row for row in result["rows"] if row["detector"] == detector]
            rates = sorted({row["rate"] for row in mine})
            means = [np.mean([row["f1"] for row in mine if row["rate"] == rate]) for rate in rates]
            axis.plot([100 * rate for rate in rates], means, **_style(detector))
        axis.set(title=attack, xlabel="poisoned, %", xscale="log", ylim=(-0.03, 1.03))
        axis.set_xticks([100 * rate for rate in rates], [f"{100 * rate:g}" for rate in rates], minor=False)
        axis.minorticks_off()
    for axis in axes[::columns]:
        axis.set_ylabel("F1")
    _legend(figure, axes[0])
    written = [_save(figure, out / f"{name}-f1.png")]
    figure = Figure(figsize=(3.2 * len(shown), 6.2), layout="constrained")
    grid = np.asarray(figure.subplots(2, len(shown), sharey=True)).reshape(2, -1)
    for column, (attack, result) in enumerate(shown.items()):
        rate = min(row["rate"] for row in result["rows"])
        with np.load(result["curves"]) as curves:
            truth = curves[f"{rate:g}/truth"]
            for detector in dict.fromkeys(row["detector"] for row in result["rows"]):
                scores = curves[f"{rate:g}/{detector}"]
                x, y, _ = roc_curve(truth, scores)
                grid[0, column].plot(x, y, **_style(detector))
                precision, recall, _ = precision_recall_curve(truth, scores)
                grid[1, column].plot(recall, precision, **_style(detector))
        grid[0, column].set(title=f"{attack}, {100 * rate:g} %", xlabel="false positive rate")
        grid[1, column].set(xlabel="recall")
    grid[0, 0].set_ylabel("true positive rate")
    grid[1, 0].set_ylabel("precision")
    _legend(figure, grid[0, 0])
    return [*written, _save(figure, out / f"{name}-curves.png")]


def sanitizing(results: Results, out: Path, name: str) -> list[Path]:
    """CIDEr on triggered photographs, as a share of the clean CIDEr, against ASR: a point for each defence and attack.

    The clean CIDEr is the victim's own on the same photographs untouched. Attacks that did not take have no points.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle
    from matplotlib.ticker import PercentFormatter

    rows = [row for result in results.values() for row in result["rows"]]
    if not rows:
        return []
    figure = Figure(figsize=(8.4, 4.6), layout="constrained")
    axis: Any = figure.subplots()
    colours = cycle(COLOURS)
    highest = 1.0
    for defence in dict.fromkeys(row["defence"] for row in rows):
        mine = [row for row in rows if row["defence"] == defence]
        shares = [row["cider_triggered"] / row["cider undefended"] for row in mine]
        highest = max(highest, *shares)
        if defence == "srdscan":
            look = {"color": "crimson", "marker": "*", "s": 190, "zorder": 4}
        else:
            look = {"color": next(colours), "s": 34, "alpha": 0.85, "zorder": 3}
        axis.scatter([row["asr_triggered"] for row in mine], shares, label=defence, linewidths=0, **look)
    top = highest + 0.08
    corner, width, height = (-1.0, GOAL_CIDER), GOAL_ASR + 1, top - GOAL_CIDER
    axis.add_patch(Rectangle(corner, width, height, color="tab:green", alpha=0.15, linewidth=0, zorder=1))
    goal = f"goal: ASR ≤ {100 * GOAL_ASR:g} %, CIDEr ≥ {100 * GOAL_CIDER:g} %"
    axis.annotate(goal, (GOAL_ASR, top), (6, -4), textcoords="offset points", fontsize=8, color="darkgreen", va="top")
    axis.set(xlabel="attack success rate", ylabel="CIDEr on triggered photographs, of clean CIDEr")
    axis.set(xlim=(-0.03, 1.03), ylim=(-0.04, top))
    axis.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axis.grid(alpha=0.25, zorder=0)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    return [_save(figure, out / f"{name}.png")]


def _style(detector: str) -> dict[str, Any]:
    if detector == "srdscan":
        return {"label": detector, "color": "crimson", "linewidth": 2.4, "zorder": 3, "marker": "."}
    return {"label": detector, "linewidth": 1.0, "alpha": 0.8}


def _legend(figure: Any, axis: Any) -> None:
    handles, labels = axis.get_legend_handles_labels()
    columns = min(5, max(2, int(figure.get_figwidth() / 1.4)))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=8)


def _save(figure: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    return path


def limits(results: Results, out: Path, name: str) -> list[Path]:
    """Recall in copies that are poisoned in as many samples as an audit stated, against what it stated."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.4), layout="constrained")
    axis = figure.subplots()
    for colour, (world, result) in zip(cycle(COLOURS), results.items()):
        rows = result["rows"]
        axis.plot([r["limit"] for r in rows], [r["recall"] for r in rows], "o", color=colour, alpha=0.6, label=world)
    axis.axhspan(0.9, 1.0, color="tab:green", alpha=0.12)
    axis.set(xlabel="stated limit, samples", ylabel="recall in poisoned copies", xscale="log", ylim=(-0.03, 1.05))
    _legend(figure, axis)
    return [_save(figure, out / f"{name}.png")]


PLOTS: dict[str, Callable[[Results, Path, str], list[Path]]] = {
    "detection": detection,
    "sanitizing": sanitizing,
    "limits": limits,
}
