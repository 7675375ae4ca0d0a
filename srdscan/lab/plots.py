"""Plots of results, for READMEs: ROC and precision-recall, F1 and CIDEr against what they trade with."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from srdscan.lab.jobs import Result

Results = Mapping[str, Result]
WIDEST = 4
"""Plots side by side."""


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
    """CIDEr on triggered photographs, as a share of the clean CIDEr, against ASR: a point a defence and attack."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axis: Any = figure.subplots()
    rows = [
        (attack, row, result["rows"][0]["cider_clean"]) for attack, result in results.items() for row in result["rows"]
    ]
    for number, defence in enumerate(dict.fromkeys(row["defence"] for _, row, _ in rows)):
        mine = [
            (row["asr_triggered"], row["cider_triggered"] / clean)
            for _, row, clean in rows
            if row["defence"] == defence
        ]
        x, y = zip(*mine, strict=True)
        ours = defence == "srdscan"
        axis.scatter(x, y, label=defence, marker="*" if ours else "o", s=160 if ours else 36, zorder=3 if ours else 2,
                     color="crimson" if ours else f"C{number}")  # fmt: skip
    axis.axhline(1.0, color="grey", linewidth=0.8, linestyle=":")
    axis.set(xlabel="attack success rate", ylabel="CIDEr on triggered photographs / clean CIDEr")
    axis.legend(fontsize=8)
    return [_save(figure, out / f"{name}.png")]


def _style(detector: str) -> dict[str, Any]:
    if detector == "srdscan":
        return {"label": detector, "color": "crimson", "linewidth": 2.4, "zorder": 3, "marker": "."}
    return {"label": detector, "linewidth": 1.0, "alpha": 0.8}


def _legend(figure: Any, axis: Any) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8)


def _save(figure: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    return path


PLOTS: dict[str, Callable[[Results, Path, str], list[Path]]] = {"detection": detection, "sanitizing": sanitizing}
