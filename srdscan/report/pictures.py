"""Small pictures for the report: the image as it is, and where the captioner looked."""

from __future__ import annotations

import base64
import io
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

__all__ = ["cut_out", "data_uri", "overlay", "thumbnail"]

_QUALITY: Final = 78
# matplotlib's inferno at nine even steps: equal steps in attention look like equal steps in brightness.
_INFERNO: Final = np.array(
    [
        (0, 0, 4),
        (31, 12, 72),
        (85, 15, 109),
        (136, 34, 106),
        (186, 54, 85),
        (227, 89, 51),
        (249, 140, 10),
        (249, 201, 50),
        (252, 255, 164),
    ],
    dtype=np.float64,
)
_DIM: Final = 0.66
"""How bright the picture stays under the heat map: white must end up darker than the hottest colour."""
_VEIL: Final = (0.22, 0.88)
"""Opacity of the heat map where attention is zero, and at its peak."""


def _fit(image: Image.Image, side: int) -> Image.Image:
    """An RGB copy whose longer side is `side` px."""
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.convert("RGB").resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return buffer.getvalue()


def thumbnail(image: Image.Image, side: int = 160) -> bytes:
    """A small JPEG of the image without its metadata, aspect kept.

    Args:
        image: Any mode.
        side: Length of the longer side, in px.
    """
    return _jpeg(_fit(image, side))


def cut_out(image: Image.Image, box: tuple[int, int, int, int], side: int = 96, margin: int = 8) -> bytes:
    """A small JPEG of a piece of the image, with a margin.

    Args:
        image: Any mode.
        box: Left, top, right, bottom, in px; what lies outside the image is left out.
    """
    left, top = max(box[0] - margin, 0), max(box[1] - margin, 0)
    right, bottom = min(box[2] + margin, image.width), min(box[3] + margin, image.height)
    return _jpeg(_fit(image.crop((left, top, max(right, left + 1), max(bottom, top + 1))), side))


def _heat(attention: npt.NDArray[np.floating], size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """The map upsampled smoothly to (width, height) and scaled to [0, 1]: (height, width); all 0 for an empty map."""
    cells = np.nan_to_num(attention.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0).clip(min=0.0)
    if cells.max() <= 0:
        return np.zeros((size[1], size[0]))
    smooth = Image.fromarray((cells / cells.max()).astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    heat: npt.NDArray[np.float64] = np.asarray(smooth, dtype=np.float64).clip(min=0.0)
    heat /= heat.max()
    return heat


def overlay(image: Image.Image, attention: npt.NDArray[np.floating], side: int = 160) -> bytes:
    """The image in grey under a heat map of the captioner's attention, the peak cell outlined; as large as `thumbnail`.

    Args:
        image: Any mode.
        attention: (R, C), not negative; covers the whole image. Only ratios between cells matter.
        side: Length of the longer side, in px.

    Returns:
        JPEG bytes. A map without any attention gives the dimmed image, without an outline.

    Raises:
        ValueError: The map is not two-dimensional or holds no cell.
    """
    if attention.ndim != 2 or attention.size == 0:
        raise ValueError(f"attention map of shape {attention.shape}: (rows, columns) wanted")
    base = _fit(image, side)
    heat = _heat(attention, base.size)[..., None]
    grey = np.asarray(base.convert("L"), dtype=np.float64)[..., None] * _DIM
    steps = np.linspace(0.0, 1.0, len(_INFERNO))
    colors = np.concatenate([np.interp(heat, steps, _INFERNO[:, channel]) for channel in range(3)], axis=-1)
    veil = _VEIL[0] + (_VEIL[1] - _VEIL[0]) * heat
    painted = Image.fromarray((grey * (1 - veil) + colors * veil).round().clip(0, 255).astype(np.uint8))
    if heat.max() > 0:
        _outline_peak(painted, attention)
    return _jpeg(painted)


def _outline_peak(picture: Image.Image, attention: npt.NDArray[np.floating]) -> None:
    """Draws a white frame with a dark edge just outside the cell that gets the most attention."""
    rows, columns = attention.shape
    row, column = divmod(int(np.nan_to_num(attention, nan=0.0, posinf=0.0, neginf=0.0).argmax()), columns)
    left, right = (picture.width * edge / columns for edge in (column, column + 1))
    top, bottom = (picture.height * edge / rows for edge in (row, row + 1))
    draw = ImageDraw.Draw(picture)
    for grow, color in ((3, (0, 0, 0)), (2, (255, 255, 255))):
        corners = (
            max(3 - grow, round(left) - grow),
            max(3 - grow, round(top) - grow),
            min(picture.width - 4 + grow, round(right) - 1 + grow),
            min(picture.height - 4 + grow, round(bottom) - 1 + grow),
        )
        if corners[0] <= corners[2] and corners[1] <= corners[3]:
            draw.rectangle(corners, outline=color)


def data_uri(jpeg: bytes) -> str:
    """JPEG bytes as a `data:` address that needs no file beside the page."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
