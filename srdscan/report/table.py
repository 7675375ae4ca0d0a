"""`samples.parquet`: a row a pair of an image and one of its captions, written unit by unit."""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from srdscan.decide.verdicts import Verdicts
from srdscan.measure.scores import Scores
from srdscan.measure.state import UnitRecord
from srdscan.repair import Repair

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
        + [("rules", pa.list_(TEXT)), ("counts", pa.bool_()), ("image_sha256", TEXT)]
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
                for n in (*PLACES, "caption", "output", "reference", "image_sha256")
                if n in pq.read_schema(file).names
            ]
            text = pq.read_table(file, columns=wanted).to_pydict()
            rows = range(start, start + record.rows)
            text.setdefault("output", [None] * record.rows)
            text.setdefault("image_sha256", [None] * record.rows)
            columns: dict[str, Any] = {"shard": [record.name] * record.rows, **text}
            columns["flagged"] = verdicts.flagged[start : rows.stop]
            columns["p_value"] = verdicts.p_values[start : rows.stop]
            columns["q_value"] = verdicts.q_values[start : rows.stop]
            columns["reasons"] = [verdicts.reasons(row) if verdicts.flagged[row] else [] for row in rows]
            columns["rules"] = [list((rules or {}).get(row, ())) for row in rows]
            columns["counts"] = [row in counting for row in rows]
            repaired = [repairs.get(row) if repairs else None for row in rows]
            columns["fate"] = [item.fate if item else "kept" for item in repaired]
            columns["sanitized_caption"] = [item.caption if item else None for item in repaired]
            columns["actions"] = [list(item.actions) if item else [] for item in repaired]
            for name in signals:
                columns[f"signal.{name}"] = verdicts.evidence[name].values[start : rows.stop]
                columns[f"p.{name}"] = verdicts.evidence[name].p_values[start : rows.stop]
            writer.write_table(pa.table({field.name: pa.array(columns[field.name], field.type) for field in schema}))
            start = rows.stop
    os.replace(partial, path)
