"""Which samples to train on and which to leave out, as tables that other tools join with their own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

WHERE: Final = ("shard", "key", "image_index", "image", "caption_index", "place", "image_sha256")
KEPT: Final = (*WHERE, "p_value", "q_value")
REMOVED: Final = (*WHERE, "caption", "p_value", "q_value", "rules", "reasons")


def write_removal_list(samples: Path, out: Path) -> None:
    """Pairs that count for the gate: flagged, and accused by what is neither accepted nor a note.

    Args:
        samples: samples.parquet of an audit.
        out: Parquet file with the columns `REMOVED`, in the order of the data set.
    """
    _write(samples, out, REMOVED, lambda table: table.filter(table["counts"]))


def write_keep_list(samples: Path, out: Path) -> None:
    """Pairs of the samples of which no pair counts for the gate. What was not audited is in neither list.

    Args:
        samples: samples.parquet of an audit.
        out: Parquet file with the columns `KEPT`, in the order of the data set.
    """
    table = pq.read_table(samples, columns=["shard", "key", "counts"], filters=pc.field("counts"))
    removed = pc.unique(_names(table))
    _write(samples, out, KEPT, lambda part: part.filter(pc.invert(pc.is_in(_names(part), value_set=removed))))


def _names(table: pa.Table) -> pa.ChunkedArray:
    """Unit and key of each row in one string; a name holds no NUL."""
    return pc.binary_join_element_wise(table["shard"], table["key"], "\0")


def _write(samples: Path, out: Path, columns: tuple[str, ...], chosen: Callable[[pa.Table], pa.Table]) -> None:
    """Writes some rows and columns of a table, one row group in memory at a time."""
    file = pq.ParquetFile(samples)
    schema = pa.schema([file.schema_arrow.field(name) for name in columns])
    partial = out.with_name(out.name + ".partial")
    with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        for group in range(file.num_row_groups):
            part = chosen(file.read_row_group(group, columns=[*columns, "counts"])).select(columns)
            if part.num_rows:
                writer.write_table(part)
    os.replace(partial, out)
