"""DataComp's subset file: the uids of the samples that stay, as its resharder reads them (mlfoundations/datacomp)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from srdscan.errors import ConfigError

UID: Final = np.dtype("u8,u8")
"""The first and the last 16 of a uid's 32 hexadecimal digits, as two numbers."""


def write_uids(samples: Path, out: Path) -> None:
    """The uids of the samples of which no pair counts for the gate, each once, in ascending order.

    A uid that a sample has which does count is left out, whichever other samples have it, too.

    Args:
        samples: samples.parquet of an audit.
        out: NumPy file with an array of the type `UID`.

    Raises:
        ConfigError: a sample has no uid.
    """
    file = pq.ParquetFile(samples)
    kept, removed = [np.zeros(0, UID)], [np.zeros(0, UID)]
    for group in range(file.num_row_groups if "uid" in file.schema_arrow.names else 0):
        table = file.read_row_group(group, columns=["shard", "key", "uid", "counts"])
        _check(table)
        counts = table["counts"].to_numpy(zero_copy_only=False)
        uids = _numbers(table["uid"])
        kept.append(np.unique(uids[~counts]))
        removed.append(np.unique(uids[counts]))
    if file.metadata.num_rows and len(kept) == 1:
        raise _missing("no sample has one")
    stay = np.setdiff1d(np.concatenate(kept), np.concatenate(removed))
    partial = out.with_name(out.name + ".partial")
    with partial.open("wb") as stream:
        np.save(stream, stay)
    os.replace(partial, out)


def _check(table: pa.Table) -> None:
    without = table.filter(pc.is_null(table["uid"]))
    if without.num_rows:
        first = without.slice(0, 1).to_pylist()[0]
        raise _missing(f"sample {first['key']!r} of {first['shard']} has none")


def _missing(found: str) -> ConfigError:
    return ConfigError(
        f"--report datacomp: needs the uids of all samples, 32 hexadecimal digits, and {found}. They are read from the "
        "field uid of a sample's .json, the column uid of Parquet files, or its key. All else was written; take "
        "--report keep-list, which names samples by shard and key"
    )


def _numbers(uids: pa.ChunkedArray) -> npt.NDArray[np.void]:
    digits = bytes.fromhex("".join(uids.to_pylist()))
    pairs = np.frombuffer(digits, ">u8").reshape(-1, 2).astype("u8")
    numbers: npt.NDArray[np.void] = np.ascontiguousarray(pairs).view(UID).reshape(-1)
    return numbers
