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


class Stored:
    """A column of vectors, (N, K), that stays in its score files (`stats.vectors.Parts`).

    Args:
        scores: the score files.
        name: of the column.
        rows: (N,) of its rows, ascending; all if None.
    """

    def __init__(self, scores: "Scores", name: str, rows: npt.NDArray[np.int64] | None = None) -> None:
        self.scores, self.name, self.rows = scores, name, rows
        self._last: tuple[int, npt.NDArray[Any]] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """N and K."""
        return (len(self.scores) if self.rows is None else len(self.rows), self.scores.width(self.name))

    def parts(self) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """The first row of each file's part, and the part, in order."""
        start = 0
        for number in range(len(self.scores.files)):
            part = self._file(number)
            if self.rows is not None:
                first, last = np.searchsorted(self.rows, self.scores.starts[number : number + 2])
                part = part[self.rows[first:last] - self.scores.starts[number]]
            if len(part):
                yield start, part
            start += len(part)

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Some rows, in any order; each file that holds one is read once."""
        wanted = rows if self.rows is None else self.rows[rows]
        order = np.argsort(wanted, kind="stable")
        found = [self._file(number)[here] for number, here in self.scores.by_file(wanted[order])]
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return np.concatenate(found)[back] if found else np.zeros((0, self.shape[1]), np.float16)

    def _file(self, number: int) -> npt.NDArray[Any]:
        """The vectors of a file; those that were read last are kept: neighbours are asked for one after the other."""
        if self._last is None or self._last[0] != number:
            self._last = (number, self.scores.read_vectors(number, self.name))
        return self._last[1]


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

    def texts(self, name: str) -> Iterator[pa.Array]:
        """The same as Arrow arrays, unit by unit."""
        for column in self._columns(name):
            whole = column.combine_chunks()
            yield whole if isinstance(whole, pa.Array) else pa.concat_arrays(whole.chunks)

    def chosen(self, name: str, rows: npt.NDArray[np.int64]) -> list[str]:
        """The strings of some rows, ascending; only units that hold one are read."""
        found: list[str] = []
        for number, here in self.by_file(rows):
            found += self._read(number, name).take(pa.array(here)).to_pylist()
        return found

    def ragged(self, name: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Arrays of differing lengths, one after the other, and (N + 1,) where each begins."""
        values, sizes = [np.zeros(0, np.float32)], [np.zeros(1, np.int64)]
        for column in self._columns(name):
            for chunk in column.chunks:
                offsets = chunk.offsets.to_numpy()
                values.append(chunk.values.to_numpy(zero_copy_only=False)[offsets[0] : offsets[-1]])
                sizes.append(np.diff(offsets).astype(np.int64))
        return np.concatenate(values), np.concatenate(sizes).cumsum()

    def vectors(self, name: str) -> Iterator[npt.NDArray[Any]]:
        """(rows of a unit, K), unit by unit."""
        for number in range(len(self.files)):
            yield self.read_vectors(number, name)

    def by_file(self, rows: npt.NDArray[np.int64]) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
        """The numbers of files that hold some rows, ascending, and these rows within each."""
        cuts = np.searchsorted(rows, self.starts)
        for number, (first, last) in enumerate(zip(cuts, cuts[1:], strict=False)):
            if last > first:
                yield number, rows[first:last] - self.starts[number]

    def _columns(self, name: str) -> Iterator[pa.ChunkedArray]:
        """The rows of a column that are looked at, file by file."""
        for number in range(len(self.files)):
            yield self._read(number, name)

    def _read(self, number: int, name: str) -> pa.ChunkedArray:
        """A column of a file, its rows that are looked at."""
        column = pq.read_table(self.files[number], columns=[name])[name]
        if self.rows is None:
            return column
        first, last = self.starts[number : number + 2]
        return column.take(pa.array(self.rows[first:last] - self._ends[number]))

    def read_vectors(self, number: int, name: str) -> npt.NDArray[Any]:
        """(rows of a file, K)."""
        whole = self._read(number, name).combine_chunks()
        return np.asarray(whole.flatten().to_numpy(zero_copy_only=False).reshape(len(whole), -1))

    def width(self, name: str) -> int:
        """K, of a column of vectors; 0 if there are no files."""
        return pq.read_schema(self.files[0]).field(name).type.list_size if self.files else 0

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
