"""Whether an image whose bytes are others shows the same picture, by what the embedded matcher sees of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from srdscan.signals.agreement import IMAGE

LOOKS = ("looks", "matcher")
"""Roles in report.json of the model whose vectors are compared: the first one, where there is another matcher."""

ALIKE = 0.8
"""Cosine from which two images show the same picture. Of 180,000 pairs of unlike photographs none reaches it
(`stats.near_duplicates`); saving a drawn scene again at quality 75 leaves 0.84, photographs 0.92 and more."""

Floats = npt.NDArray[np.float64]


def likeness(old: Path, new: Path, rows: pa.Table) -> Floats | None:
    """Cosine of centred image vectors, before and after, of the rows whose image is another than it was.

    From `ALIKE` on the picture looks the same: saved again in another quality or size, or changed in a part so small
    that the matcher hardly sees it. A patch is such a part (24 pixels of a drawn scene leave 0.99), so that this tells
    that a picture was swapped, and never that a copy is harmless.

    Args:
        old: folder of a run.
        new: folder of another.
        rows: with the columns `kind`, `old_row` and `new_row`.

    Returns:
        (N,) NaN where the image is the same or there is no other; None if a run has no vectors, or those of another
        model.
    """
    values = np.full(rows.num_rows, np.nan)
    if _model(old) is None or _model(old) != _model(new):
        return None
    kinds = rows["kind"].to_numpy(zero_copy_only=False)
    changed = np.flatnonzero(np.isin(kinds, ("image", "image+caption")))
    sides = []
    for run, name in ((old, "old_row"), (new, "new_row")):
        wanted = rows[name].combine_chunks().take(pa.array(changed)).to_numpy(zero_copy_only=False).astype(np.int64)
        found = _vectors(run, wanted)
        if found is None:
            return None
        sides.append(found)
    if len(changed):
        (before, total, count), (after, total_new, count_new) = sides
        mean = (total + total_new) / (count + count_new)
        first, second = before - mean, after - mean
        norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
        values[changed] = (first * second).sum(axis=1) / np.maximum(norms, 1e-9)
    return values


def _model(run: Path) -> str | None:
    models = json.loads((run / "report.json").read_text(encoding="utf-8")).get("models", ())
    fingerprints = {model["role"]: str(model["fingerprint"]) for model in models}
    return next((fingerprints[role] for role in LOOKS if role in fingerprints), None)


def _vectors(run: Path, rows: npt.NDArray[np.int64]) -> tuple[Floats, Floats, int] | None:
    """Vectors of some pairs, (K, D), and the sum and number of all; None if the run keeps none."""
    files = sorted((run / "state" / "scores").glob("*.parquet"))
    if not files or any(IMAGE not in pq.read_schema(path).names for path in files):
        return None
    order = np.argsort(rows, kind="stable")
    parts, start, total = [], 0, np.zeros(1)
    for path in files:
        column = pq.read_table(path, columns=[IMAGE])[IMAGE].combine_chunks()
        vectors = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
        inside = rows[order][(rows[order] >= start) & (rows[order] < start + len(vectors))]
        parts.append(vectors[inside - start].astype(np.float64))
        total = total + vectors.sum(axis=0, dtype=np.float64)
        start += len(vectors)
    found = np.empty((len(rows), len(total)))
    found[order] = np.concatenate(parts)
    return found, total, start
