"""What the page shows besides the document: flagged samples with their pictures, kept in RUN/state.

An audit keeps them there and draws the page from there, so that it can be drawn again without the data set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from srdscan.errors import ConfigError
from srdscan.measure.scores import write_table
from srdscan.repair.fates import Repair
from srdscan.report.html import FlaggedSample
from srdscan.report.illustrate import Pictures
from srdscan.report.pictures import thumbnail

PICTURES: Final = Path("state/pictures.parquet")
"""A row a flagged pair that is shown, in the order of the page: its row in samples.parquet, JPEG bytes."""
PIECES: Final = Path("state/pieces.parquet")
"""A row a cut-out: the number of its piece of picture, JPEG bytes."""
TEXTS: Final = ("shard", "key", "image_index", "image", "caption_index", "place", "question", "caption", "output")
PLOTTED: Final = ("agreement", "attention")
"""Signals of which every value is drawn."""
COLUMNS: Final = (*TEXTS, "reference", "p_value", "q_value", "reasons", "rules", "fate", "sanitized_caption", "actions")


def keep_pictures(
    run: Path,
    rows: npt.NDArray[np.int64],
    pictures: Mapping[int, Pictures],
    repairs: Mapping[int, Repair],
    pieces: Sequence[Sequence[bytes]],
) -> None:
    """Writes what the page shows in pictures.

    Args:
        run: the `--out` folder.
        rows: (K,) flagged pairs that are shown, in this order.
        pictures: of each.
        repairs: what became of some.
        pieces: cut-outs of each piece of picture that recurs.
    """
    numbers = rows.tolist()
    perturbed = [repairs[row].image if row in repairs else None for row in numbers]
    columns = {
        "row": pa.array(numbers, pa.int64()),
        "thumbnail": pa.array([pictures[row].thumbnail for row in numbers], pa.binary()),
        "overlay": pa.array([pictures[row].overlay for row in numbers], pa.binary()),
        "perturbed": pa.array(
            [thumbnail(Image.fromarray(image)) if image is not None else None for image in perturbed], pa.binary()
        ),
    }
    write_table(pa.table(columns), run / PICTURES)
    cuts = [(number, cut) for number, group in enumerate(pieces) for cut in group]
    spots = pa.array([number for number, _ in cuts], pa.int64())
    write_table(pa.table({"spot": spots, "jpeg": pa.array([cut for _, cut in cuts], pa.binary())}), run / PIECES)


def shown_samples(run: Path) -> list[FlaggedSample]:
    """The flagged samples of the page, most suspicious first.

    Raises:
        ConfigError: the run keeps none, or its files do not belong together.
    """
    kept = _read(run / PICTURES).to_pylist()
    texts = _rows(run / "samples.parquet", [item["row"] for item in kept])
    return [_sample(texts[item["row"]], item) for item in kept]


def shown_pieces(run: Path) -> list[list[bytes]]:
    """Cut-outs of each of the first pieces of picture that recur.

    Raises:
        ConfigError: the run keeps none.
    """
    found: list[list[bytes]] = []
    for item in _read(run / PIECES).to_pylist():
        found += [[] for _ in range(item["spot"] + 1 - len(found))]
        found[item["spot"]].append(item["jpeg"])
    return found


def plotted(run: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], dict[str, npt.NDArray[np.float64]]]:
    """What the plots are made of: (N,) combined p-values of all pairs, which are flagged, and signals' values by name.

    NaN stands where there is none.

    Raises:
        ConfigError: samples.parquet cannot be read.
    """
    table = _read(run / "samples.parquet", ["p_value", "flagged", *(f"signal.{name}" for name in PLOTTED)])
    there = [name for name in PLOTTED if f"signal.{name}" in table.column_names]
    values = {name: table[f"signal.{name}"].to_numpy().astype(np.float64) for name in there}
    return table["p_value"].to_numpy().astype(np.float64), table["flagged"].to_numpy(), values


def _read(path: Path, columns: list[str] | None = None) -> pa.Table:
    """A table, of some columns those that it has."""
    try:
        with pq.ParquetFile(path) as file:
            return file.read(columns)
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(
            f"{path}: cannot be read: {' '.join(str(error).split())}. Run the audit again with the same --out: its "
            "scores are kept, and the report is written anew"
        ) from error


def _rows(path: Path, wanted: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Some rows of the table, by their number; one row group in memory at a time."""
    found: dict[int, dict[str, Any]] = {}
    numbers = np.unique(np.array(wanted, np.int64))
    if not len(numbers):
        return found
    try:
        file = pq.ParquetFile(path)
        start = 0
        for group in range(file.num_row_groups):
            stop = start + file.metadata.row_group(group).num_rows
            inside = numbers[(numbers >= start) & (numbers < stop)]
            if len(inside):
                part = file.read_row_group(group, columns=list(COLUMNS)).take(pa.array(inside - start))
                found |= dict(zip(inside.tolist(), part.to_pylist(), strict=True))
            start = stop
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    if len(found) < len(numbers):
        raise ConfigError(f"{path}: holds fewer rows than {PICTURES} names: they are not of the same audit")
    return found


def _sample(text: Mapping[str, Any], pictures: Mapping[str, Any]) -> FlaggedSample:
    """A flagged sample for the page."""
    fate = None if text["fate"] == "kept" else text["fate"]
    return FlaggedSample(
        **{name: text[name] for name in (*TEXTS, "reference", "p_value", "q_value")},
        reasons=tuple(text["reasons"]),
        rules=tuple(text["rules"]),
        thumbnail=pictures["thumbnail"],
        overlay=pictures["overlay"],
        fate=fate,
        sanitized=text["sanitized_caption"],
        actions=tuple(text["actions"]),
        perturbed=pictures["perturbed"],
    )
