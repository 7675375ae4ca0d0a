"""Score files: what pass 1 leaves behind, one Parquet file a shard, read back column by column.

A data set's scores are never held in memory as a whole: a signal reads the columns it needs, one number a sample.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

Column: TypeAlias = npt.NDArray[Any] | Sequence[str] | Sequence[npt.NDArray[Any]]
"""(B,) numbers, B strings, (B, K) numbers, or B arrays of differing lengths."""


def to_arrow(column: Column) -> pa.Array:
    """A column of a score file as Arrow: strings, floats, or lists of floats."""
    if isinstance(column, np.ndarray):
        if column.ndim == 1:
            return pa.array(column)
        flat = pa.array(np.ascontiguousarray(column).reshape(-1))
        return pa.FixedSizeListArray.from_arrays(flat, column.shape[1])
    if column and isinstance(column[0], np.ndarray):
        return pa.array([np.asarray(row, dtype=np.float32) for row in column], type=pa.list_(pa.float32()))
    return pa.array(list(column), type=pa.string())


def join_columns(batches: Sequence[Mapping[str, Column]]) -> pa.Table:
    """The batches of one shard, in order, as one table."""
    tables = [pa.table({name: to_arrow(column) for name, column in batch.items()}) for batch in batches]
    return pa.concat_tables(tables)


def write_table(table: pa.Table, path: Path) -> None:
    """Writes a Parquet file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    pq.write_table(table, partial, compression="zstd")
    os.replace(partial, path)


@dataclass(frozen=True)
class Scores:
    """The score files of a run, in the order of its shards.

    Attributes:
        files: one Parquet file a shard; a shard without samples has none.
        meta: what the columns mean beyond their names, such as the shape of the attention maps.
    """

    files: tuple[Path, ...]
    meta: Mapping[str, Any]

    def __len__(self) -> int:
        return sum(pq.read_metadata(path).num_rows for path in self.files)

    def has(self, name: str) -> bool:
        """Whether the column is there."""
        return bool(self.files) and name in pq.read_schema(self.files[0]).names

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        """(N,) float64."""
        parts = [pq.read_table(path, columns=[name])[name].to_numpy() for path in self.files]
        return np.concatenate(parts).astype(np.float64) if parts else np.zeros(0)

    def strings(self, name: str) -> Iterator[str]:
        """N strings, one shard in memory at a time."""
        for path in self.files:
            yield from pq.read_table(path, columns=[name])[name].to_pylist()

    def lists(self, name: str) -> Iterator[npt.NDArray[np.float32]]:
        """N arrays of differing lengths, one shard in memory at a time."""
        for path in self.files:
            for chunk in pq.read_table(path, columns=[name])[name].chunks:
                values = chunk.values.to_numpy(zero_copy_only=False)
                offsets = chunk.offsets.to_numpy()
                for start, end in zip(offsets[:-1], offsets[1:], strict=True):
                    yield values[start:end]

    def vectors(self, name: str) -> Iterator[npt.NDArray[Any]]:
        """(rows of a shard, K), shard by shard."""
        for path in self.files:
            column = pq.read_table(path, columns=[name])[name].combine_chunks()
            yield column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
