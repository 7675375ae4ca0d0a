"""Small pieces of a picture that can be told again: corners and blobs a few pixels wide, described by what is in them.

A patch of 32 pixels holds a dozen of them, wherever it was put. The window is 13 pixels wide, so that the pieces within
a patch hold nothing of the picture around it; features that see more (ORB: 31 pixels) do not tell a small patch again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float32]

MOST = 600
"""Pieces kept of a picture, the strongest."""
LARGEST = 640
"""Pixels of the longer side up to which a picture is read as it is; of a larger one, every second, third... pixel's
mean."""
WINDOW = 6
"""Pixels around the centre that a description reads."""
SCALES = (1.5, 2.4)
"""Pixels; the difference of pictures smoothed by these has extrema at the pieces (Lowe 2004, section 3)."""
CONTRAST = 2.0
"""Grey levels of that difference below which there is nothing but noise of compression."""
EDGE = 10.0
"""Ratio of curvatures above which a piece is an edge, and slides along it (Lowe 2004, section 4.1)."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_GRID = np.arange(-5, 6, 2)
_CORNERS = np.array([-3, 3])
WIDTH = len(_GRID) ** 2 + 2 * len(_CORNERS) ** 2
"""Numbers of a description: grey at 6 x 6 places, and two colour differences at 2 x 2."""


@dataclass(frozen=True)
class Keypoints:
    """K pieces of a picture.

    Attributes:
        places: (K, 2) row and column of the centres, in pixels of the picture as it was read.
        descriptions: (K, WIDTH) grey levels and colour differences.
        area: pixels of the picture as it was read.
        factor: pixels of the picture, along a side, for one that was read.
    """

    places: npt.NDArray[np.int16]
    descriptions: Floats
    area: int
    factor: int = 1


def find_keypoints(picture: npt.NDArray[np.uint8]) -> Keypoints:
    """The pieces of a picture, (H, W, 3)."""
    factor = -(-max(picture.shape[:2]) // LARGEST)
    pixels = _reduced(picture, factor)
    grey = pixels @ _LUMA
    if min(grey.shape) < 2 * WINDOW + 3:
        return Keypoints(np.zeros((0, 2), np.int16), np.zeros((0, WIDTH), np.float32), grey.size, factor)
    fine, coarse = (ndimage.gaussian_filter(grey, scale) for scale in SCALES)
    rows, columns = _extrema(fine - coarse)
    values = np.concatenate(
        [
            _sampled(ndimage.gaussian_filter(grey, 1.0), rows, columns, _GRID),
            _sampled(ndimage.uniform_filter(pixels[..., 2] - grey, 5), rows, columns, _CORNERS),
            _sampled(ndimage.uniform_filter(pixels[..., 0] - grey, 5), rows, columns, _CORNERS),
        ],
        axis=1,
    )
    return Keypoints(np.stack([rows, columns], axis=1).astype(np.int16), values.astype(np.float32), grey.size, factor)


def _reduced(picture: npt.NDArray[np.uint8], factor: int) -> Floats:
    height, width = (side // factor * factor for side in picture.shape[:2])
    blocks = picture[:height, :width].reshape(height // factor, factor, width // factor, factor, 3)
    return np.asarray(blocks.mean(axis=(1, 3)), np.float32)


def _extrema(response: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows and columns of the strongest extrema that are no edges."""
    strength = np.abs(response)
    good = (strength == ndimage.maximum_filter(strength, 5)) & (strength > CONTRAST)
    yy, xx = (np.diff(response, 2, axis=axis) for axis in (0, 1))
    yx = (response[2:, 2:] + response[:-2, :-2] - response[2:, :-2] - response[:-2, 2:]) / 4
    trace, determinant = yy[:, 1:-1] + xx[1:-1], yy[:, 1:-1] * xx[1:-1] - yx**2
    good[1:-1, 1:-1] &= (determinant > 0) & (trace**2 * EDGE < (EDGE + 1) ** 2 * determinant)
    inner = np.zeros_like(good)
    inner[WINDOW:-WINDOW, WINDOW:-WINDOW] = True
    rows, columns = np.nonzero(good & inner)
    kept = np.sort(np.argsort(-strength[rows, columns], kind="stable")[:MOST])
    return rows[kept], columns[kept]


def _sampled(
    values: Floats, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], steps: npt.NDArray[np.int64]
) -> Floats:
    """(K, len(steps) ** 2) values around each place."""
    found = values[rows[:, None, None] + steps[:, None], columns[:, None, None] + steps]
    return np.asarray(found.reshape(len(rows), len(steps) ** 2), np.float32)
