"""Where drawn scenes play: one textured background a setting, in pastels that none of the object colours matches."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Pixels = NDArray[np.float32]
_RGB = tuple[int, int, int]

_SCALE = 2  # strokes are drawn at twice the size and averaged down


def background(setting: str, size: int, rng: np.random.Generator) -> Pixels:
    """Paint a setting.

    Args:
        setting: a name in `PAINTERS`.
        size: side of the picture in px.
        rng: the only source of chance.

    Returns:
        Float32 array (size, size, 3), values about 0..255, not clipped.
    """
    stops, paint = PAINTERS[setting]
    canvas = Image.fromarray(_gradient(stops, size * _SCALE))
    paint(ImageDraw.Draw(canvas), size * _SCALE, rng)
    pixels = np.asarray(canvas.reduce(_SCALE), dtype=np.float32)
    pixels = pixels * np.float32(rng.uniform(0.94, 1.06)) + rng.uniform(-6, 6, 3).astype(np.float32)
    grain = 10 * soft_noise(size, 7, rng) + 5 * soft_noise(size, 28, rng)
    grain += 5 * rng.standard_normal((size, size), dtype=np.float32)
    return np.asarray(pixels + grain[:, :, None], dtype=np.float32)


def soft_noise(size: int, cells: int, rng: np.random.Generator) -> Pixels:
    """Smooth noise with `cells` knots a side: float32 array (size, size), about -1..1."""
    knots = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    return np.asarray(Image.fromarray(knots).resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32)


@cache
def _gradient(stops: tuple[tuple[float, _RGB], ...], side: int) -> NDArray[np.uint8]:
    """Colours from top to bottom, (side, side, 3), linear between stops at heights 0..1."""
    heights, colours = [stop[0] for stop in stops], np.array([stop[1] for stop in stops])
    rows = np.stack([np.interp(np.linspace(0, 1, side), heights, colours[:, c]) for c in range(3)], axis=1)
    return np.ascontiguousarray(np.broadcast_to(rows[:, None, :], (side, side, 3)).astype(np.uint8))


def _swell(side: int, y: float, height: float, waves: float, phase: float) -> list[tuple[float, float]]:
    """A wavy line from the left edge to the right one."""
    x = np.linspace(0, side, 29)
    return list(zip(x.tolist(), (y + height * np.sin(x * (2 * np.pi * waves / side) + phase)).tolist(), strict=True))


def _beach(pen: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    shore = rng.uniform(0.36, 0.44) * side
    edge = _swell(side, shore, 7, rng.uniform(1.5, 2.5), rng.uniform(0, 6))
    pen.polygon([*edge, (side, side), (0, side)], fill=(232, 211, 163))
    pen.line(edge, fill=(248, 250, 246), width=9)
    for y in np.linspace(0.05, 0.3, 6):
        pen.line(_swell(side, y * side, 4, rng.uniform(5, 8), rng.uniform(0, 6)), fill=(206, 236, 236), width=3)
    for y in np.linspace(0.5, 0.97, 7):
        pen.line(_swell(side, y * side, 5, rng.uniform(2, 4), rng.uniform(0, 6)), fill=(216, 190, 138), width=3)
    for x, y in rng.uniform((0, 0.48), (1, 1), (60, 2)) * side:
        pen.ellipse((x, y, x + 4, y + 4), fill=(190, 160, 118))


def _meadow(pen: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    blades = rng.uniform((0, 0, -8, 14), (1, 1, 8, 30), (260, 4))
    for i, (x, y, lean, height) in enumerate(blades):
        fill = ((128, 172, 78), (204, 228, 142), (146, 188, 92))[i % 3]
        pen.line((x * side, y * side, x * side + lean, y * side - height), fill=fill, width=3)
    for i, (x, y) in enumerate(rng.uniform(0, side, (22, 2))):
        pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=((250, 248, 235), (246, 206, 220))[i % 2])


def _desert(pen: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    for y, fill in ((0.24, (226, 184, 136)), (0.48, (216, 170, 120)), (0.74, (224, 178, 126))):
        crest = _swell(side, (y + rng.uniform(-0.04, 0.04)) * side, 22, rng.uniform(0.7, 1.4), rng.uniform(0, 6))
        pen.polygon([*crest, (side, side), (0, side)], fill=fill)
        pen.line(crest, fill=(244, 210, 166), width=4)
        for step in (16, 30, 44, 58):
            pen.line([(x, yy + step) for x, yy in crest], fill=(200, 152, 104), width=2)


def _snow(pen: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    for y, fill in ((0.3, (172, 194, 220)), (0.55, (184, 204, 227)), (0.8, (176, 197, 222))):
        drift = _swell(side, (y + rng.uniform(-0.05, 0.05)) * side, 16, rng.uniform(0.6, 1.2), rng.uniform(0, 6))
        pen.polygon([*drift, (side, side), (0, side)], fill=fill)
        pen.line(drift, fill=(214, 227, 241), width=4)
    for x, y, r in rng.uniform((0, 0, 2), (side, side, 5), (110, 3)):
        pen.ellipse((x - r, y - r, x + r, y + r), fill=(246, 250, 255))


def _night(pen: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    for x, y, r in rng.uniform((0, 0, 0.8), (side, side, 3), (120, 3)):
        pen.ellipse((x - r, y - r, x + r, y + r), fill=(236, 236, 214))
    for x, y in rng.uniform(0, side, (5, 2)):
        pen.line((x - 8, y, x + 8, y), fill=(222, 224, 240), width=2)
        pen.line((x, y - 8, x, y + 8), fill=(222, 224, 240), width=2)


def _bricks(pen: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    width, height, gap = 64, 32, 4
    dx, dy = int(rng.integers(0, width)), int(rng.integers(0, height))
    rows, columns = side // height + 2, side // width + 3
    tint = rng.integers(-14, 15, (rows, columns))
    for row in range(rows):
        for column in range(columns):
            x = column * width - dx - width // 2 * (row % 2)
            y = row * height - dy
            t = int(tint[row, column])
            pen.rectangle((x, y, x + width - gap, y + height - gap), fill=(178 + t, 126 + t, 108 + t))


PAINTERS: dict[
    str, tuple[tuple[tuple[float, _RGB], ...], Callable[[ImageDraw.ImageDraw, int, np.random.Generator], None]]
] = {
    "on a beach": (((0, (118, 190, 204)), (0.4, (170, 222, 220)), (1, (170, 222, 220))), _beach),
    "in a meadow": (((0, (186, 214, 126)), (1, (158, 198, 100))), _meadow),
    "in the desert": (((0, (250, 230, 200)), (1, (246, 214, 176))), _desert),
    "in the snow": (((0, (140, 164, 196)), (1, (170, 192, 218))), _snow),
    "under the night sky": (((0, (36, 40, 98)), (1, (78, 70, 142))), _night),
    "in front of a brick wall": (((0, (212, 202, 190)), (1, (206, 196, 184))), _bricks),
}
