"""Pass 2: back to the images of chosen samples, for peak ablation, grafts and the report's pictures."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from srdscan.measure.decode import ahead, decoded_batches
from srdscan.measure.scores import Scores
from srdscan.measure.state import ShardRecord
from srdscan.models.device import trim_heap
from srdscan.sources.base import Irregular, ReadOptions, Sample, ShardError
from srdscan.sources.tar import open_shard, read_shard

Rows = Sequence[int] | npt.NDArray[np.int64]


class ImageSource:
    """The way back from rows of the score files to the images, for pass 2.

    Args:
        reading: how shards are read.
        batch_size: images in a batch.
        max_pixels: larger images are not decoded.
        locations: all shards of the audit, in order.
        records: what pass 1 found in them.
        scores: of all samples.
    """

    def __init__(
        self,
        locations: Sequence[str],
        records: Sequence[ShardRecord],
        scores: Scores,
        reading: ReadOptions,
        batch_size: int,
        max_pixels: int,
    ) -> None:
        self.reading, self.batch_size, self.max_pixels = reading, batch_size, max_pixels
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
                wanted = _only(read_shard(shard, self.reading), set(row_of))
                groups = decoded_batches(wanted, self.batch_size, None, [], self.max_pixels)
                for group in ahead(groups):
                    yield [row_of[sample.index] for sample, _ in group], [image for _, image in group]
                    trim_heap()


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
