"""Pass 2: back to the images of chosen rows."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from srdscan.measure.decode import ahead, decoded_batches
from srdscan.measure.scores import Scores
from srdscan.measure.state import UnitRecord
from srdscan.models.heap import trim_heap
from srdscan.sources.base import Irregular, ReadOptions, Sample, ShardError, Source, Unit

Rows = Sequence[int] | npt.NDArray[np.int64]


class ImageSource:
    """The way back from rows of the score files to the images, for pass 2.

    Args:
        source: the data set.
        records: what pass 1 found in its units, in order.
        scores: of all pairs, or of all images.
        reading: how units are read.
        batch_size: images in a batch.
        max_pixels: larger images are not decoded.
    """

    def __init__(
        self,
        source: Source,
        records: Sequence[UnitRecord],
        scores: Scores,
        reading: ReadOptions,
        batch_size: int,
        max_pixels: int,
    ) -> None:
        self.source, self.scores = source, scores
        self.reading, self.batch_size, self.max_pixels = reading, batch_size, max_pixels
        self.units: list[Unit] = [unit for unit, record in zip(source.units, records, strict=False) if record.rows]
        places = scores.numbers("image_index") if scores.has("image_index") else np.zeros(len(scores))
        self.addresses = np.stack([scores.numbers("index"), places], axis=1).astype(np.int64)

    def images(self, rows: Rows) -> Iterator[tuple[list[int], list[Image.Image]]]:
        """Rows and their images, ascending, in batches; only units that hold some are opened."""
        chosen = np.sort(np.asarray(rows, dtype=np.int64))
        for unit, start, end in zip(self.units, self.scores.starts, self.scores.starts[1:], strict=False):
            rows_of: dict[tuple[int, int], list[int]] = {}
            for row in chosen[(chosen >= start) & (chosen < end)].tolist():
                rows_of.setdefault((int(self.addresses[row, 0]), int(self.addresses[row, 1])), []).append(row)
            if not rows_of:
                continue
            with self.source.open(unit) as opened:
                wanted = _only(opened.read(self.reading), {index for index, _ in rows_of})
                groups = decoded_batches(wanted, self.batch_size, None, [], self.max_pixels)
                for group in ahead(groups):
                    found = [
                        (row, picture.image)
                        for picture in group
                        for row in rows_of.get((picture.sample.index, picture.place), ())
                    ]
                    for first in range(0, len(found), self.batch_size):
                        part = found[first : first + self.batch_size]
                        yield [row for row, _ in part], [image for _, image in part]
                    trim_heap()


class EditedImages(ImageSource):
    """The way back to the images of a data set, some of which are replaced.

    Args:
        original: the data set as it is.
        scores: of all images.
        edited: what stands in the place of some images, by row of `scores`.
    """

    def __init__(self, original: ImageSource, scores: Scores, edited: Mapping[int, Image.Image]) -> None:
        super().__init__(original.source, [], scores, original.reading, original.batch_size, original.max_pixels)
        self.units, self.edited = original.units, edited

    def images(self, rows: Rows) -> Iterator[tuple[list[int], list[Image.Image]]]:
        """Rows and their images, as `ImageSource` gives them."""
        for batch, images in super().images(rows):
            yield batch, [self.edited.get(row, image) for row, image in zip(batch, images, strict=True)]


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
