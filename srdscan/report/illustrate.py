"""Pictures of flagged samples for the report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from srdscan.measure.revisit import ImageSource, Rows
from srdscan.models.captioners.base import Captioner
from srdscan.report.pictures import cut_out, overlay, thumbnail


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


SHOWN_SPOTS, SHOWN_OF_EACH = 8, 3


def pieces(
    spots: Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]],
    source: ImageSource,
    image_of: npt.NDArray[np.int64],
) -> list[list[bytes]]:
    """JPEG bytes of the piece that some images share, of a few of them, for the first spots.

    Args:
        spots: numbers of images, (K,), and left, top, right, bottom of the piece in each, (K, 4).
        source: of all pairs.
        image_of: (N,) the image of each pair.
    """
    found: list[list[bytes]] = []
    for images, boxes in spots[:SHOWN_SPOTS]:
        rows = np.searchsorted(image_of, images[:SHOWN_OF_EACH])
        box_of = dict(zip(rows.tolist(), boxes.tolist(), strict=False))
        found.append(
            [
                cut_out(image, tuple(box_of[row]))
                for batch, pictures in source.images(rows)
                for row, image in zip(batch, pictures, strict=True)
            ]
        )
    return found
