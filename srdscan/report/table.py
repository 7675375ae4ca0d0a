"""`samples.parquet`: a row a pair of an image and one of its captions, written unit by unit."""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from srdscan.decide.verdicts import Verdicts
from srdscan.measure.scores import Scores
from srdscan.measure.state import UnitRecord
from srdscan.repair.fates import Repair

TEXT = pa.string()
PLACES = ("key", "image_index", "image", "caption_index", "place", "question")
"""Columns that say which pair a row is."""


def write_samples(
    path: Path,
    scores: Scores,
    records: Sequence[UnitRecord],
    verdicts: Verdicts,
    repairs: Mapping[int, Repair] | None = None,
    rules: Mapping[int, Sequence[str]] | None = None,
    counting: Collection[int] = (),
) -> None:
    """Writes the table.

    Args:
        records: the shards that have scores, in the order of `scores.files`.
        repairs: what became of flagged samples, by row.
        rules: codes of what accuses flagged pairs, by row.
        counting: rows that count for the gate.
    """
    signals = sorted(verdicts.evidence)
    schema = pa.schema(
        [("shard", TEXT), ("key", TEXT), ("image_index", pa.int32()), ("image", TEXT), ("caption_index", pa.int32())]
        + [(name, TEXT) for name in ("place", "question", "caption", "output", "reference")]
        + [("flagged", pa.bool_()), ("p_value", pa.float64()), ("q_value", pa.float64()), ("reasons", pa.list_(TEXT))]
        + [("rules", pa.list_(TEXT)), ("counts", pa.bool_()), ("image_sha256", TEXT), ("uid", TEXT)]
        + [("fate", TEXT), ("sanitized_caption", TEXT), ("actions", pa.list_(TEXT))]
        + [(f"signal.{name}", pa.float64()) for name in signals]
        + [(f"p.{name}", pa.float64()) for name in signals]
    )
    partial = path.with_name(path.name + ".partial")
    with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        start = 0
        for file, record in zip(scores.files, records, strict=True):
            wanted = [
                n
                for n in (*PLACES, "uid", "caption", "output", "reference", "image_sha256")
                if n in pq.read_schema(file).names
            ]
            text = pq.read_table(file, columns=wanted)
            rows = range(start, start + record.rows)
            here = slice(start, rows.stop)
            columns: dict[str, Any] = {name: text[name] for name in wanted}
            if "uid" in columns:
                columns["uid"] = pc.if_else(pc.equal(columns["uid"], ""), None, columns["uid"])
            columns["shard"] = pa.repeat(record.name, record.rows)
            columns["flagged"] = verdicts.flagged[here]
            columns["p_value"] = verdicts.p_values[here]
            columns["q_value"] = verdicts.q_values[here]
            suspects = {row: verdicts.reasons(row) for row in (np.flatnonzero(verdicts.flagged[here]) + start).tolist()}
            columns["reasons"] = _lists(rows, suspects)
            columns["rules"] = _lists(rows, rules or {})
            columns["counts"] = np.array([row in counting for row in rows], dtype=bool)
            repaired = {row: repairs[row] for row in rows if row in repairs} if repairs else {}
            columns["fate"] = _strings(rows, {row: item.fate for row, item in repaired.items()}, "kept")
            columns["sanitized_caption"] = _strings(rows, {row: item.caption for row, item in repaired.items()}, None)
            columns["actions"] = _lists(rows, {row: item.actions for row, item in repaired.items()})
            for name in signals:
                columns[f"signal.{name}"] = verdicts.evidence[name].values[here]
                columns[f"p.{name}"] = verdicts.evidence[name].p_values[here]
            writer.write_table(pa.table([_column(columns.get(f.name), f.type, len(rows)) for f in schema], schema))
            start = rows.stop
    os.replace(partial, path)


def _column(values: Any, kind: pa.DataType, count: int) -> pa.Array | pa.ChunkedArray:
    """A column of the table; nulls where there is none."""
    if values is None:
        return pa.nulls(count, kind)
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values.cast(kind)
    return pa.array(np.ascontiguousarray(values), kind)


def _lists(rows: range, of_row: Mapping[int, Sequence[str]]) -> pa.Array:
    """Lists of strings, of the rows that have any; empty ones of the others."""
    found = [(row - rows.start, list(of_row[row])) for row in sorted(row for row in of_row if row in rows)]
    sizes = np.zeros(len(rows) + 1, np.int32)
    sizes[[place + 1 for place, _ in found]] = [len(texts) for _, texts in found]
    return pa.ListArray.from_arrays(
        pa.array(sizes.cumsum(dtype=np.int32)), pa.array([text for _, texts in found for text in texts], TEXT)
    )


def _strings(rows: range, of_row: Mapping[int, str | None], otherwise: str | None) -> pa.Array:
    """The strings of some rows, and one of all others."""
    return pa.array([of_row.get(row, otherwise) for row in rows], TEXT)
