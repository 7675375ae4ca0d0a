"""Scores as they would be had some samples been others: a few images are scored anew, the rest stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from srdscan.measure.batch import Measured
from srdscan.measure.revisit import ImageSource
from srdscan.measure.scores import Column, Scores, to_arrow, write_table
from srdscan.measure.scoring import measure_captions, measure_pairs
from srdscan.models.loaded import Models

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Edited:
    """An image of the data set as somebody else might have given it away.

    Attributes:
        image: the picture, changed or not.
        captions: all captions that stand beside it, in the order of the score files' rows.
    """

    image: Image.Image
    captions: Sequence[str]


def rescored(
    scores: Scores,
    edited: Mapping[int, Edited],
    models: Models,
    signals: Sequence[Measured],
    folder: Path,
    batch_size: int = 64,
) -> Scores:
    """The scores of all pairs with some images and their captions replaced.

    Args:
        scores: of all pairs (not `by_image`).
        edited: what stands in the place of images, by their number (`Scores.image_of`).
        signals: what is measured, as in pass 1.
        folder: where score files are written, of the units that change; others are read from where they are.
        batch_size: images in a batch.
    """
    images = sorted(edited)
    rows = _rows_of(scores.image_of, images)
    parts: list[Mapping[str, Column]] = []
    for start in range(0, len(images), batch_size):
        part = [edited[image] for image in images[start : start + batch_size]]
        captions = [caption for item in part for caption in item.captions]
        image_of = np.repeat(np.arange(len(part)), [len(item.captions) for item in part])
        columns, _ = measure_pairs(models, signals, [item.image for item in part], captions, image_of)
        parts.append(columns)
    return _with_columns(scores, rows, parts, folder)


def recaptioned(
    scores: Scores,
    captions: Mapping[int, str],
    images: ImageSource,
    models: Models,
    signals: Sequence[Measured],
    folder: Path,
    advance: Callable[[int], None] = lambda count: None,
) -> Scores:
    """The scores of all pairs with some captions replaced; what captioners say of the images stays.

    Args:
        scores: of all pairs (not `by_image`).
        captions: what stands in the place of captions, by row.
        images: the way back to the images, by number (`Scores.by_image`).
        signals: what is measured, as in pass 1.
        folder: where score files are written, of the units that change; others are read from where they are.
        advance: called with the number of images that were read.
    """
    rows = np.array(sorted(captions), dtype=np.int64)
    said = dict(zip(rows.tolist(), scores.chosen("reference", rows), strict=True))
    of_captions = [signal for signal in signals if not signal.needs_captioner]
    parts: list[Mapping[str, Column]] = []
    for numbers, pictures in images.images(np.unique(scores.image_of[rows])):
        here = rows[np.isin(scores.image_of[rows], numbers)]
        image_of = np.searchsorted(numbers, scores.image_of[here])
        known = [said[int(here[np.argmax(image_of == place)])] for place in range(len(numbers))]
        texts = [captions[row] for row in here.tolist()]
        parts.append(measure_captions(models, of_captions, pictures, texts, image_of, known))
        advance(len(numbers))
    return _with_columns(scores, rows, parts, folder)


def _with_columns(scores: Scores, rows: Indices, parts: Sequence[Mapping[str, Column]], folder: Path) -> Scores:
    """Scores with columns of some rows replaced.

    Args:
        rows: ascending.
        parts: columns of these rows, batch by batch.
    """
    if not parts:
        return scores
    fresh = pa.concat_tables(
        [pa.table({name: to_arrow(column) for name, column in columns.items()}) for columns in parts]
    )
    files = list(scores.files)
    for number, (first, end) in enumerate(zip(scores.starts, scores.starts[1:], strict=False)):
        here = np.flatnonzero((rows >= first) & (rows < end))
        if len(here):
            files[number] = folder / scores.files[number].name
            write_table(_with_rows(pq.read_table(scores.files[number]), rows[here] - first, fresh, here), files[number])
    return replace(scores, files=tuple(files), memo={})


def _rows_of(image_of: Indices, images: Sequence[int]) -> Indices:
    """The rows of some images, ascending."""
    return np.flatnonzero(np.isin(image_of, images))


def _with_rows(table: pa.Table, places: Indices, fresh: pa.Table, chosen: Indices) -> pa.Table:
    """A table with rows of another in some places; columns that the other lacks stay."""
    order = np.arange(table.num_rows)
    order[places] = table.num_rows + chosen
    changed = {}
    for name in table.column_names:
        column = table[name]
        if name in fresh.column_names:
            both = pa.chunked_array([*column.chunks, *fresh[name].cast(column.type).chunks], column.type)
            column = both.take(pa.array(order))
        changed[name] = column
    return pa.table(changed)
