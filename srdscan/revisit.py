"""Pass 2: back to the images of chosen samples, for peak ablation, grafts and the report's pictures."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from srdscan.captioners.base import Captioner
from srdscan.config import AuditConfig
from srdscan.device import trim_heap
from srdscan.models import Models
from srdscan.report.pictures import overlay, thumbnail
from srdscan.scores import Scores
from srdscan.scoring import ahead, decoded_batches, read_options
from srdscan.shards import Irregular, Sample, ShardError, open_shard, read_shard
from srdscan.signals import ablation
from srdscan.signals.grafts import Graft, graft
from srdscan.state import ShardRecord

Rows = Sequence[int] | npt.NDArray[np.int64]


class ImageSource:
    """The way back from rows of the score files to the images, for pass 2.

    Args:
        config: how shards are read, and in what batches.
        locations: all shards of the audit, in order.
        records: what pass 1 found in them.
        scores: of all samples.
    """

    def __init__(
        self, config: AuditConfig, locations: Sequence[str], records: Sequence[ShardRecord], scores: Scores
    ) -> None:
        self.config = config
        self.locations = locations
        self.starts = np.cumsum([0, *(record.scored for record in records)])
        self.indices = scores.numbers("index").astype(np.int64)

    def images(self, rows: Rows) -> Iterator[tuple[list[int], list[Image.Image]]]:
        """Rows and images of the chosen samples, ascending, in batches; only shards that hold some are opened."""
        chosen = np.sort(np.asarray(rows, dtype=np.int64))
        for location, start, end in zip(self.locations, self.starts[:-1], self.starts[1:], strict=False):
            row_of = {int(self.indices[row]): int(row) for row in chosen[(chosen >= start) & (chosen < end)]}
            if not row_of:
                continue
            with open_shard(location) as shard:
                wanted = _only(read_shard(shard, read_options(self.config)), set(row_of))
                groups = decoded_batches(wanted, self.config.batch_size, None, [], self.config.max_pixels)
                for group in ahead(groups):
                    yield [row_of[sample.index] for sample, _ in group], [image for _, image in group]
                    trim_heap()


@dataclass(frozen=True)
class Pictures:
    """JPEG bytes of a sample's thumbnail and of its attention overlay."""

    thumbnail: bytes | None = None
    overlay: bytes | None = None


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
    for start in range(0, len(grafts), source.config.batch_size):
        part = grafts[start : start + source.config.batch_size]
        made = [graft(images[item.donor], images[item.host], item.cell, grid) for item in part]
        captions += captioner.describe(captioner.encode(made)).captions
        advance(len(part))
    return captions


def illustrate(
    rows: Rows,
    heads: npt.NDArray[np.int64] | None,
    source: ImageSource,
    captioner: Captioner | None,
    advance: Callable[[int], None],
) -> dict[int, Pictures]:
    """Thumbnails of the chosen samples, and overlays of the attention of one head each.

    Args:
        heads: (N,) each sample's head, from `anomalous_heads`; None leaves overlays out.
    """
    pictures = {int(row): Pictures() for row in rows}
    for batch, images in source.images(rows):
        overlays: list[bytes | None] = [None] * len(batch)
        if heads is not None and captioner is not None:
            described = captioner.describe(captioner.encode(images), attention=True)
            assert described.attention is not None
            first = described.attention.first
            maps = first.reshape(len(batch), -1, *first.shape[3:])
            overlays = [
                overlay(image, maps[i, heads[row]]) for i, (row, image) in enumerate(zip(batch, images, strict=True))
            ]
        for row, image, heat in zip(batch, images, overlays, strict=True):
            pictures[row] = Pictures(thumbnail(image), heat)
        advance(len(batch))
    return pictures
