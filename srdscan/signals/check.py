"""`check_signal`: does a signal keep the contract? In the manner of Gymnasium's `check_env`."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from srdscan import scenes
from srdscan.measure.scores import Column, Scores, join_columns, to_arrow, write_table
from srdscan.signals.base import WHOLE_DATASET, Evidence

if TYPE_CHECKING:
    from srdscan.measure.batch import Batch
    from srdscan.models.loaded import Models

SAMPLES: Final = 24
_NAME: Final = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
FLAGS: Final = ("needs_captioner", "leans_on_reference", "in_quick_look")


class ContractError(AssertionError):
    """A signal breaks the contract in `base`; the message says which clause."""


def _require(condition: bool, clause: str) -> None:
    if not condition:
        raise ContractError(clause)


def check_signal(signal: Any, models: Models | None = None) -> None:
    """Checks attributes, columns, p-values, determinism and independence of the batch, on drawn scenes.

    Args:
        signal: what to check.
        models: of an audit; the embedded ones by default, with a captioner if the signal needs one.

    Raises:
        ContractError: the first clause that does not hold.

    >>> from srdscan.signals import SIGNALS
    >>> check_signal(SIGNALS["fluency.caption"])
    """
    check_attributes(signal)
    models = models or _embedded(signal.needs_captioner)
    batch, *parts_of_it = _batches(models)
    whole = _measured(signal, batch)
    _require(_same(whole, _measured(signal, batch), 0.0), "the same batch gives other columns the second time")
    half = SAMPLES // 2
    halves = [_measured(signal, part) for part in parts_of_it]
    for name, column in whole.items():
        parts = [part[name] for part in halves if name in part]
        _require(len(parts) == 2, f"column {name!r} is there in one batch and not in another")
        for number, part in enumerate(parts):
            here = slice(number * half, (number + 1) * half)
            _require(_same({name: column[here]}, {name: part}, 0.02), f"{name!r} depends on the rest of the batch")
    with tempfile.TemporaryDirectory() as folder:
        _check_judging(signal, whole, Path(folder))


def check_attributes(signal: Any) -> None:
    """Name, description, flags and methods.

    Raises:
        ContractError: the first clause that does not hold; so in the functions below.
    """
    name = getattr(signal, "name", None)
    _require(isinstance(name, str) and bool(_NAME.fullmatch(name)), f"`name` is {name!r}: no lower-case word")
    _require(isinstance(getattr(signal, "description", None), str), "`description` is missing")
    for flag in FLAGS:
        _require(isinstance(getattr(signal, flag, None), bool), f"`{flag}` is neither True nor False")
    for method in ("measure", "judge"):
        _require(callable(getattr(signal, method, None)), f"there is no method `{method}`")


def check_columns(name: str, columns: Mapping[str, Column], count: int) -> None:
    """What must hold of what a signal measures on a batch: names of its own, a row a pair, or an image."""
    for column, values in columns.items():
        own = column in (name, f"signal.{name}") or column.startswith((f"{name}.", f"signal.{name}."))
        _require(own, f"column {column!r} is not of the signal: it must begin with {name}. or signal.{name}")
        _require(len(values) == count, f"column {column!r} has {len(values)} rows, not {count}")
        try:
            to_arrow(values)
        except Exception as error:
            raise ContractError(f"column {column!r} cannot be stored: {error}") from error


def check_evidence(evidence: Any, count: int) -> None:
    """What must hold of a judgement of `count` pairs or images."""
    _require(isinstance(evidence, Evidence), f"judge gives {type(evidence).__name__}, no Evidence")
    for what in ("p_values", "values"):
        values = np.asarray(getattr(evidence, what))
        _require(values.shape == (count,), f"{what} have shape {values.shape}, not ({count},)")
    p_values = np.asarray(evidence.p_values, dtype=np.float64)
    known = p_values[~np.isnan(p_values)]
    _require(bool(((known > 0) & (known <= 1)).all()), "p-values lie above 0, up to 1, or are NaN")
    _require(not (evidence.abstained and known.size), "it abstains and has p-values")
    weight = evidence.weight
    _require(0 < weight <= WHOLE_DATASET, f"its weight is {weight}: it must lie above 0, up to {WHOLE_DATASET:g}")
    _require(isinstance(evidence.note, str), "its note is no text")


def _check_judging(signal: Any, columns: Mapping[str, Column], folder: Path) -> None:
    rows = np.arange(SAMPLES, dtype=np.int64)
    whose: dict[str, Column] = {
        "index": rows,
        "image_index": np.zeros(SAMPLES, np.int32),
        "caption_index": np.zeros(SAMPLES, np.int32),
        "caption": [scene.caption for _, scene in _scenes()],
    }
    write_table(join_columns([whose | dict(columns)]), folder / "scores.parquet")
    scores = Scores((folder / "scores.parquet",), {})
    first, second = signal.judge(scores, None), signal.judge(scores, None)
    check_evidence(first, SAMPLES)
    check_evidence(second, SAMPLES)
    same = np.array_equal(first.p_values, second.p_values, equal_nan=True)
    _require(bool(same), "the same scores give other p-values the second time")
    said = [first.reason(row) for row in range(SAMPLES)]
    _require(all(isinstance(text, str) for text in said), "a reason is no text")


@cache
def _scenes() -> Sequence[Any]:
    return [scenes.make(11, index) for index in range(SAMPLES)]


@lru_cache(maxsize=1)
def _batches(models: Models) -> tuple[Batch, Batch, Batch]:
    """All scenes, the first half of them, and the second; kept for the next signal."""
    from srdscan.measure.scoring import batch_of

    half = SAMPLES // 2
    drawn = [_scenes(), _scenes()[:half], _scenes()[half:]]
    whole, first, second = (
        batch_of(models, [image for image, _ in part], [scene.caption for _, scene in part], np.arange(len(part)))
        for part in drawn
    )
    return whole, first, second


def _measured(signal: Any, batch: Batch) -> dict[str, Any]:
    columns = dict(signal.measure(batch))
    check_columns(signal.name, columns, len(batch.captions))
    return columns


def _embedded(captioner: bool) -> Models:
    from srdscan.models.loaded import load_models

    return load_models("captioner", "captioner" if captioner else None, "minilm", "embedded", "cpu")


def _same(first: Mapping[str, Any], second: Mapping[str, Any], tolerance: float) -> bool:
    """Whether columns hold the same; numbers within a tolerance, and relative to their size."""
    return first.keys() == second.keys() and all(_alike(first[name], second[name], tolerance) for name in first)


def _alike(first: Any, second: Any, tolerance: float) -> bool:
    if len(first) != len(second):
        return False
    if not isinstance(first, np.ndarray) or first.dtype.kind not in "fiub":
        return all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))
    other = np.asarray(second)
    numbers = first.astype(np.float64), other.astype(np.float64)
    return first.shape == other.shape and bool(np.allclose(*numbers, rtol=tolerance, atol=tolerance, equal_nan=True))
