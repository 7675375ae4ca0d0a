"""Score files: what pass 1 leaves behind, one Parquet file a unit, read back column by column.

A data set's scores are never held in memory as a whole: a signal reads the columns it needs, one number a pair.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
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
    """The score files of a run, in the order of its units: a row a pair of an image and one of its captions.

    Attributes:
        files: one Parquet file a unit; a unit without samples has none.
        meta: what the columns mean beyond their names, such as the shape of the attention maps.
        rows: the rows of the files that are looked at, ascending; all if None.
        pairs: the scores with all rows, where these are a part of them.
        memo: what is derived from them once and used by several.
    """

    files: tuple[Path, ...]
    meta: Mapping[str, Any]
    rows: npt.NDArray[np.int64] | None = None
    pairs: "Scores | None" = None
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __len__(self) -> int:
        return int(self._ends[-1]) if self.rows is None else len(self.rows)

    @cached_property
    def _ends(self) -> npt.NDArray[np.int64]:
        """0, and the number of rows up to the end of each file."""
        return np.cumsum([0, *(pq.read_metadata(path).num_rows for path in self.files)])

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """(files + 1,) the first row of each file among those that are looked at, and their number."""
        return self._ends if self.rows is None else np.searchsorted(self.rows, self._ends)

    def has(self, name: str) -> bool:
        """Whether the column is there."""
        return bool(self.files) and name in pq.read_schema(self.files[0]).names

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        """(N,) float64."""
        parts = [pq.read_table(path, columns=[name])[name].to_numpy() for path in self.files]
        values = np.concatenate(parts).astype(np.float64) if parts else np.zeros(0)
        return values if self.rows is None else values[self.rows]

    def strings(self, name: str) -> Iterator[str]:
        """N strings, one unit in memory at a time."""
        for column in self._columns(name):
            yield from column.to_pylist()

    def chosen(self, name: str, rows: npt.NDArray[np.int64]) -> list[str]:
        """The strings of some rows, ascending."""
        found: list[str] = []
        for column, first, end in zip(self._columns(name), self.starts, self.starts[1:], strict=False):
            here = rows[(rows >= first) & (rows < end)] - first
            found += column.take(pa.array(here)).to_pylist()
        return found

    def lists(self, name: str) -> Iterator[npt.NDArray[np.float32]]:
        """N arrays of differing lengths, one unit in memory at a time."""
        for column in self._columns(name):
            for chunk in column.chunks:
                values = chunk.values.to_numpy(zero_copy_only=False)
                offsets = chunk.offsets.to_numpy()
                for start, end in zip(offsets[:-1], offsets[1:], strict=True):
                    yield values[start:end]

    def vectors(self, name: str) -> Iterator[npt.NDArray[Any]]:
        """(rows of a unit, K), unit by unit."""
        for column in self._columns(name):
            whole = column.combine_chunks()
            yield whole.flatten().to_numpy(zero_copy_only=False).reshape(len(whole), -1)

    def _columns(self, name: str) -> Iterator[pa.ChunkedArray]:
        """The rows of a column that are looked at, file by file."""
        for path, end, first, last in zip(self.files, self._ends, self.starts, self.starts[1:], strict=False):
            column = pq.read_table(path, columns=[name])[name]
            yield column if self.rows is None else column.take(pa.array(self.rows[first:last] - end))

    @cached_property
    def sample_of(self) -> npt.NDArray[np.int64]:
        """(N,) the sample of each row, from 0."""
        return self._runs("index")

    @cached_property
    def image_of(self) -> npt.NDArray[np.int64]:
        """(N,) the image of each row, from 0; images of different samples are different."""
        return self._runs("index", "image_index")

    def _runs(self, *names: str) -> npt.NDArray[np.int64]:
        """(N,) number of the run of rows of one file whose values are the same."""
        if not len(self):
            return np.zeros(0, dtype=np.int64)
        new = np.zeros(len(self), dtype=bool)
        new[self.starts[:-1][self.starts[:-1] < len(self)]] = True
        for name in names if all(self.has(name) for name in names) else ():
            values = self.numbers(name)
            new[1:] |= values[1:] != values[:-1]
        if not all(self.has(name) for name in names):
            new[:] = True  # of a time when a sample was one pair
        return np.cumsum(new) - 1

    @cached_property
    def by_image(self) -> "Scores":
        """The same with the first row of each image only: what captioners say of it stands in each of its rows."""
        first = np.flatnonzero(np.diff(self.image_of, prepend=-1))
        if len(first) == len(self):
            return self
        rows = first if self.rows is None else self.rows[first]
        return replace(self, rows=rows, pairs=self, memo={})

    def captions(self) -> Iterator[list[str]]:
        """N lists: the caption of each row; of `by_image`, all captions of each image."""
        if self.pairs is None:
            yield from ([caption] for caption in self.strings("caption"))
            return
        rows = zip(self.pairs.image_of, self.pairs.strings("caption"), strict=True)
        for _, group in groupby(rows, key=lambda row: row[0]):
            yield [caption for _, caption in group]
