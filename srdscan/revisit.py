"""Pass 2: back to the images of chosen samples, for peak ablation and for the report's pictures."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from srdscan.report.pictures import overlay, thumbnail
from srdscan.scores import Scores
from srdscan.scoring import Models, ahead, decoded_batches
from srdscan.shards import Irregular, ReadOptions, Sample, ShardError, open_shard, read_shard
from srdscan.signals import ablation
from srdscan.signals.attention import anomalous_heads


@dataclass(frozen=True)
class Located:
    """Chosen rows of the score files that lie in one shard.

    Attributes:
        location: the shard.
        start: the row of its first sample.
        rows: the chosen rows, ascending.
    """

    location: str
    start: int
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Pictures:
    """JPEG bytes of a sample's thumbnail and of its attention overlay."""

    thumbnail: bytes | None = None
    overlay: bytes | None = None


def revisit(
    located: Sequence[Located], scores: Scores, options: ReadOptions, batch_size: int, max_pixels: int
) -> Iterator[tuple[list[int], list[Image.Image]]]:
    """Rows and images of the chosen samples, in batches; only shards that hold some are opened."""
    indices = scores.numbers("index").astype(np.int64)
    for place in located:
        row_of = {int(indices[row]): row for row in place.rows}
        with open_shard(place.location) as shard:
            wanted = _only(read_shard(shard, options), set(row_of))
            for group in ahead(decoded_batches(wanted, batch_size, None, [], max_pixels)):
                yield [row_of[sample.index] for sample, _ in group], [image for _, image in group]


def _only(items: Iterator[Sample | Irregular], indices: set[int]) -> Iterator[Sample]:
    """The samples at these places; damage further on was reported in pass 1 and does not matter here."""
    left = len(indices)
    try:
        for item in items:
            if isinstance(item, Sample) and item.index in indices:
                yield item
                left -= 1
                if not left:
                    return
    except ShardError:
        return


def ablate(
    located: Sequence[Located],
    scores: Scores,
    models: Models,
    options: ReadOptions,
    batch_size: int,
    max_pixels: int,
    advance: Callable[[int], None],
) -> tuple[npt.NDArray[np.float64], list[str]]:
    """Peak ablation of the chosen samples: gains in fidelity and the new captions, in order of rows."""
    assert models.captioner is not None
    _, peaks, _ = anomalous_heads(scores)
    outputs, references = list(scores.strings("output")), list(scores.strings("reference"))
    grid = scores.meta["attention_shape"][2:]
    gains: list[npt.NDArray[np.float64]] = []
    captions: list[str] = []
    for rows, images in revisit(located, scores, options, batch_size, max_pixels):
        gain, said = ablation.measure(
            images,
            [int(peaks[row]) for row in rows],
            [outputs[row] for row in rows],
            [references[row] for row in rows],
            grid,
            models.captioner,
            models.sentence_encoder,
        )
        gains.append(gain)
        captions += said
        advance(len(rows))
    return np.concatenate(gains) if gains else np.zeros(0), captions


def illustrate(
    located: Sequence[Located],
    scores: Scores,
    models: Models,
    options: ReadOptions,
    batch_size: int,
    max_pixels: int,
    advance: Callable[[int], None],
) -> dict[int, Pictures]:
    """Thumbnails of the chosen samples, and overlays of their most abnormal head's attention in a model audit."""
    pictures = {row: Pictures() for place in located for row in place.rows}
    with_attention = models.captioner is not None and "attention_shape" in scores.meta and bool(pictures)
    heads = anomalous_heads(scores)[0] if with_attention else None
    for rows, images in revisit(located, scores, options, batch_size, max_pixels):
        overlays: list[bytes | None] = [None] * len(rows)
        if heads is not None:
            assert models.captioner is not None
            described = models.captioner.describe(models.captioner.encode(images), attention=True)
            assert described.attention is not None
            first = described.attention.first
            maps = first.reshape(len(rows), -1, *first.shape[3:])
            overlays = [
                overlay(image, maps[i, heads[row]]) for i, (row, image) in enumerate(zip(rows, images, strict=True))
            ]
        for row, image, heat in zip(rows, images, overlays, strict=True):
            pictures[row] = Pictures(thumbnail(image), heat)
        advance(len(rows))
    return pictures
