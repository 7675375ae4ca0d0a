"""Captions of changed images: peaks covered, squares grafted."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from srdscan.findings import ablation
from srdscan.findings.grafts import Graft, graft
from srdscan.measure.revisit import ImageSource, Rows
from srdscan.measure.scores import Scores
from srdscan.models.captioners.base import Captioner
from srdscan.models.loaded import Models


def ablate(
    rows: Rows,
    peaks: npt.NDArray[np.int64],
    source: ImageSource,
    scores: Scores,
    models: Models,
    advance: Callable[[int], None],
) -> tuple[npt.NDArray[np.float64], list[str]]:
    """Peak ablation of the chosen samples: gains in fidelity and the new captions, in order of rows.

    Args:
        peaks: (N,) the cell to cover in each sample, from `anomalous_heads`.
    """
    assert models.captioner is not None
    outputs, references = list(scores.strings("output")), list(scores.strings("reference"))
    grid = scores.meta["attention_shape"][2:]
    gains: list[npt.NDArray[np.float64]] = []
    captions: list[str] = []
    for batch, images in source.images(rows):
        gain, said = ablation.measure(
            images,
            [int(peaks[row]) for row in batch],
            [outputs[row] for row in batch],
            [references[row] for row in batch],
            grid,
            models.captioner,
            models.sentence_encoder,
        )
        gains.append(gain)
        captions += said
        advance(len(batch))
    return np.concatenate(gains) if gains else np.zeros(0), captions


def recaption_grafts(
    grafts: Sequence[Graft], source: ImageSource, scores: Scores, captioner: Captioner, advance: Callable[[int], None]
) -> list[str]:
    """What the captioner says of each graft."""
    grid = scores.meta["attention_shape"][2:]
    rows = sorted({row for item in grafts for row in (item.donor, item.host)})
    images = {row: image for batch, found in source.images(rows) for row, image in zip(batch, found, strict=True)}
    captions: list[str] = []
    for start in range(0, len(grafts), source.batch_size):
        part = grafts[start : start + source.batch_size]
        made = [graft(images[item.donor], images[item.host], item.cell, grid) for item in part]
        captions += captioner.describe(captioner.encode(made)).captions
        advance(len(part))
    return captions
