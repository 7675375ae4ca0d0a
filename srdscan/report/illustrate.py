"""Pictures of flagged samples for the report."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from srdscan.measure.revisit import ImageSource, Rows
from srdscan.models.captioners.base import Captioner
from srdscan.report.pictures import overlay, thumbnail


@dataclass(frozen=True)
class Pictures:
    """JPEG bytes of a sample's thumbnail and of its attention overlay."""

    thumbnail: bytes | None = None
    overlay: bytes | None = None


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
