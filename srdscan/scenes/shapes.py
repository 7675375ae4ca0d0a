"""The things that drawn scenes hold: one silhouette a kind, painted as an antialiased sprite.

A shape is a tuple of parts, painted first to last. A part is a tone and a polygon in unit coordinates:
x to the right, y down, the whole shape inside [-1, 1] x [-1, 1].
"""

from __future__ import annotations

import math
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Tone = Literal["body", "dark", "light", "ink"]
Points = NDArray[np.float64]
Shape = tuple[tuple[Tone, Points], ...]
RGB = tuple[int, int, int]

_SUPERSAMPLE = 4
_OUTLINE = 1.7  # px on each side of an edge: thin, yet wide enough to survive JPEG


def sprite(kind: str, rgb: RGB, center: tuple[float, float], size: float, angle: float) -> tuple[Image.Image, int, int]:
    """Paint one object on a transparent patch.

    Args:
        kind: a name in `shapes()`.
        rgb: the colour of the body, 0..255 each.
        center: where the middle of the object lies on the canvas, in px.
        size: side of the box that the unrotated object fills, in px.
        angle: clockwise rotation in degrees.

    Returns:
        An RGBA patch, and the canvas x and y of its top left corner (may be negative).
    """
    # A rotated unit square reaches past its own box; the rest is room for the outline.
    half = math.ceil(size * 0.5 * (abs(math.cos(math.radians(angle))) + abs(math.sin(math.radians(angle))))) + 4
    left, top = math.floor(center[0]) - half, math.floor(center[1]) - half
    tones = tones_of(rgb)
    turn = math.radians(angle)
    rotation = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    to_patch = rotation * (size / 2 * _SUPERSAMPLE)
    origin = np.array([center[0] - left, center[1] - top]) * _SUPERSAMPLE
    # The empty part of the patch has the outline's colour, so soft edges fade to it and not to black.
    patch = Image.new("RGBA", ((2 * half + 1) * _SUPERSAMPLE,) * 2, (*tones["ink"], 0))
    pen = ImageDraw.Draw(patch)
    placed = [(tone, (points @ to_patch + origin).ravel().tolist()) for tone, points in shapes()[kind]]
    for _, xy in placed:
        pen.line([*xy, *xy[:4]], fill=(*tones["ink"], 255), width=round(2 * _OUTLINE * _SUPERSAMPLE), joint="curve")
    for tone, xy in placed:
        pen.polygon(xy, fill=(*tones[tone], 255))
    return patch.reduce(_SUPERSAMPLE), left, top


def tones_of(rgb: RGB) -> dict[Tone, RGB]:
    """The four tones an object is painted with; ink, for outlines and details, is light on dark bodies only.

    >>> tones_of((250, 210, 20))["ink"], tones_of((20, 20, 24))["ink"]
    ((24, 22, 30), (232, 232, 236))
    """
    red, green, blue = rgb
    if max(rgb) < 64:
        return {"body": rgb, "dark": (52, 52, 58), "light": (92, 92, 100), "ink": (232, 232, 236)}
    return {
        "body": rgb,
        "dark": (red * 68 // 100, green * 68 // 100, blue * 68 // 100),
        "light": ((red + 255) // 2, (green + 255) // 2, (blue + 255) // 2),
        "ink": (24, 22, 30),
    }


def _poly(*points: tuple[float, float]) -> Points:
    return np.array(points, dtype=np.float64)


def _rect(x0: float, y0: float, x1: float, y1: float) -> Points:
    return _poly((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def _bar(x0: float, y0: float, x1: float, y1: float, width: float) -> Points:
    """A straight stroke from one point to another."""
    scale = width / 2 / math.hypot(x1 - x0, y1 - y0)
    dx, dy = (y0 - y1) * scale, (x1 - x0) * scale
    return _poly((x0 + dx, y0 + dy), (x1 + dx, y1 + dy), (x1 - dx, y1 - dy), (x0 - dx, y0 - dy))


def _arc(cx: float, cy: float, rx: float, ry: float | None = None, start: float = 0, stop: float = 360) -> Points:
    """Points on an ellipse, clockwise on the screen from `start` degrees (0 is to the right)."""
    turns = np.radians(np.linspace(start, stop, 41))
    return np.stack([cx + rx * np.cos(turns), cy + (rx if ry is None else ry) * np.sin(turns)], axis=1)


def _band(cx: float, cy: float, outer: float, inner: float, start: float = 0, stop: float = 360) -> Points:
    """A thick arc, or a disk with a hole."""
    return np.concatenate([_arc(cx, cy, outer, None, start, stop), _arc(cx, cy, inner, None, stop, start)])


def _smooth(*points: tuple[float, float]) -> Points:
    """A closed Catmull-Rom curve through the points."""
    p1 = _poly(*points)
    p0, p2, p3 = np.roll(p1, 1, 0), np.roll(p1, -1, 0), np.roll(p1, -2, 0)
    t = np.linspace(0, 1, 8, endpoint=False)[None, :, None]
    a, b, c, d = p0[:, None], p1[:, None], p2[:, None], p3[:, None]
    curve = b + t * (c - a) / 2 + t**2 * (a - 2.5 * b + 2 * c - d / 2) + t**3 * (-a + 3 * b - 3 * c + d) / 2
    return np.asarray(curve.reshape(-1, 2), dtype=np.float64)


def _flip(points: Points) -> Points:
    """The mirror image, left to right."""
    return np.asarray(points * np.array([-1.0, 1.0]), dtype=np.float64)


@cache
def shapes() -> dict[str, Shape]:
    """Every kind's parts, by its singular name."""
    t = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    heart = np.stack(
        [16 * np.sin(t) ** 3 / 16.5, -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 16.5],
        axis=1,
    ) - np.array([0.0, 0.13])
    spikes = np.radians(np.arange(10) * 36 - 90)
    radii = np.where(np.arange(10) % 2 == 0, 1.05, 0.44)[:, None]
    star = radii * np.stack([np.cos(spikes), np.sin(spikes)], axis=1) + np.array([0.0, 0.08])
    upper_wing = _smooth((0.08, -0.1), (0.3, -0.72), (0.8, -0.92), (0.98, -0.55), (0.72, -0.05))
    lower_wing = _smooth((0.06, 0.02), (0.6, 0.05), (0.84, 0.4), (0.6, 0.88), (0.22, 0.62))
    petals = [_arc(0.45 * math.cos(a), -0.27 + 0.45 * math.sin(a), 0.3) for a in np.radians(np.arange(5) * 72 - 90)]
    moon = np.concatenate([_arc(-0.05, 0, 0.97, None, 52, 308), _arc(0.36, 0, 0.79, None, 283, 77)])
    fluke = _poly((0.98, -0.02), (1.0, 0.5), (0.55, 0.3))
    kite_tail = [_bar(0, 0.5, 0.12, 0.7, 0.07), _bar(0.12, 0.7, -0.06, 0.98, 0.07)]
    bow = _poly((-0.16, 0.56), (0.36, 0.86), (0.36, 0.56), (-0.16, 0.86))
    canopy = np.concatenate(
        [_arc(0, 0, 1.0, 0.92, 180, 360)] + [_arc(x, 0, 0.25, 0.14, 0, -180) for x in (0.75, 0.25, -0.25, -0.75)]
    )
    return {
        "star": (("body", star),),
        "heart": (("body", heart), ("light", _arc(-0.42, -0.45, 0.15, 0.11))),
        "ball": (
            ("body", _arc(0, 0, 0.95)),
            ("light", np.concatenate([_arc(0, 0, 0.3, 0.95, -90, 90), _arc(0, 0, 0.3, 0.95, 90, 270)])),
            ("dark", np.concatenate([_arc(0, 0, 0.95, None, -90, 90), _arc(0, 0, 0.7, 0.95, 90, -90)])),
            ("dark", np.concatenate([_arc(0, 0, 0.95, None, 90, 270), _arc(0, 0, 0.7, 0.95, 270, 90)])),
        ),
        "box": (
            ("body", _rect(-0.95, -0.4, 0.45, 0.95)),
            ("light", _poly((-0.95, -0.4), (-0.5, -0.9), (0.95, -0.9), (0.45, -0.4))),
            ("dark", _poly((0.45, -0.4), (0.95, -0.9), (0.95, 0.45), (0.45, 0.95))),
        ),
        "ring": (("body", _band(0, 0, 0.97, 0.55)),),
        "moon": (("body", moon),),
        "arrow": (
            ("body", _poly((-1, -0.28), (0.1, -0.28), (0.1, -0.8), (1, 0), (0.1, 0.8), (0.1, 0.28), (-1, 0.28))),
        ),
        "cross": (("body", _rect(-0.3, -0.95, 0.3, 0.95)), ("body", _rect(-0.95, -0.3, 0.95, 0.3))),
        "tree": (
            ("dark", _rect(-0.15, 0.6, 0.15, 1)),
            ("body", _poly((0, -0.2), (0.85, 0.65), (-0.85, 0.65))),
            ("body", _poly((0, -0.6), (0.68, 0.15), (-0.68, 0.15))),
            ("body", _poly((0, -1), (0.5, -0.35), (-0.5, -0.35))),
        ),
        "house": (
            ("body", _rect(-0.72, -0.15, 0.72, 0.95)),
            ("dark", _rect(0.4, -0.95, 0.62, -0.3)),
            ("dark", _poly((0, -1), (1, -0.1), (-1, -0.1))),
            ("ink", _rect(-0.5, 0.3, -0.12, 0.95)),
            ("ink", _rect(0.12, 0.15, 0.55, 0.55)),
            ("light", _rect(0.18, 0.21, 0.49, 0.49)),
        ),
        "boat": (
            ("dark", _rect(-0.06, -0.98, 0.06, 0.45)),
            ("body", _poly((0.12, -0.9), (0.82, 0.3), (0.12, 0.3))),
            ("light", _poly((-0.12, -0.65), (-0.12, 0.3), (-0.68, 0.3))),
            ("body", _poly((-1, 0.42), (1, 0.42), (0.62, 0.95), (-0.62, 0.95))),
        ),
        "car": (
            ("body", _poly((-0.62, 0.0), (-0.4, -0.5), (0.3, -0.5), (0.62, 0.0))),
            (
                "body",
                _smooth(
                    (-0.98, 0.1), (-0.88, -0.04), (0.6, -0.04), (0.92, 0.06), (0.96, 0.4), (0.86, 0.46), (-0.9, 0.46)
                ),
            ),
            ("ink", _poly((-0.46, -0.04), (-0.32, -0.38), (-0.07, -0.38), (-0.07, -0.04))),
            ("ink", _poly((0.07, -0.04), (0.07, -0.38), (0.24, -0.38), (0.46, -0.04))),
            *(("ink", _arc(x, 0.42, 0.28)) for x in (-0.52, 0.52)),
            *(("light", _arc(x, 0.42, 0.12)) for x in (-0.52, 0.52)),
        ),
        "fish": (
            ("body", _poly((0.4, 0), (1, -0.55), (0.85, 0), (1, 0.55))),
            ("dark", _poly((-0.35, -0.35), (0.0, -0.75), (0.35, -0.3))),
            (
                "body",
                _smooth((-1, 0.02), (-0.6, -0.42), (0, -0.5), (0.62, -0.05), (0.62, 0.05), (0, 0.52), (-0.6, 0.44)),
            ),
            ("ink", _arc(-0.62, -0.1, 0.1)),
            ("dark", _poly((-0.1, 0.02), (0.25, -0.12), (0.25, 0.26))),
        ),
        "flower": (
            ("dark", _rect(-0.06, -0.2, 0.06, 1)),
            ("dark", _smooth((0.03, 0.9), (0.2, 0.5), (0.62, 0.4), (0.45, 0.78))),
            ("dark", _flip(_smooth((0.03, 0.9), (0.2, 0.5), (0.62, 0.4), (0.45, 0.78)))),
            *(("body", petal) for petal in petals),
            ("ink", _arc(0, -0.27, 0.22)),
            ("light", _arc(0, -0.27, 0.17)),
        ),
        "mushroom": (
            ("light", _smooth((-0.24, 0), (-0.22, 0.6), (-0.34, 0.92), (0.34, 0.92), (0.22, 0.6), (0.24, 0))),
            ("body", np.concatenate([_arc(0, 0.08, 0.98, 1.0, 180, 360), _arc(0, 0.08, 0.98, 0.16, 0, 180)])),
            ("light", _arc(-0.45, -0.25, 0.17)),
            ("light", _arc(0.1, -0.58, 0.18)),
            ("light", _arc(0.52, -0.17, 0.15)),
        ),
        "umbrella": (
            ("dark", _rect(-0.05, -1, 0.05, 0.78)),
            ("dark", _band(0.2, 0.76, 0.25, 0.14, 0, 180)),
            ("body", canopy),
            ("dark", np.concatenate([_arc(0, 0, 0.52, 0.92, 180, 270), _arc(0, 0, 0.46, 0.92, 270, 180)])),
            ("dark", np.concatenate([_arc(0, 0, 0.52, 0.92, 270, 360), _arc(0, 0, 0.46, 0.92, 360, 270)])),
        ),
        "kite": (
            *(("dark", part) for part in kite_tail),
            ("body", bow),
            ("body", _poly((0, -1), (0.72, -0.38), (0, 0.52), (-0.72, -0.38))),
            ("dark", _poly((0, -0.38), (0.72, -0.38), (0, 0.52))),
            ("dark", _poly((0, -0.38), (-0.72, -0.38), (0, -1))),
        ),
        "cup": (
            ("body", _band(0.58, 0.05, 0.42, 0.22, -95, 95)),
            ("body", _poly((-0.95, -0.65), (0.55, -0.65), (0.4, 0.8), (-0.8, 0.8))),
            ("body", _arc(-0.2, 0.8, 0.6, 0.12)),
            ("dark", _arc(-0.2, -0.65, 0.75, 0.2)),
            ("ink", _arc(-0.2, -0.63, 0.6, 0.12)),
        ),
        "key": (
            ("body", _band(-0.5, 0, 0.5, 0.24)),
            ("body", _rect(-0.05, -0.11, 1, 0.11)),
            ("body", _rect(0.78, 0, 1, 0.5)),
            ("body", _rect(0.42, 0, 0.62, 0.4)),
        ),
        "bell": (
            ("body", _arc(0, -0.82, 0.18)),
            ("dark", _arc(0, 0.78, 0.2)),
            (
                "body",
                _smooth(
                    (0, -0.78),
                    (0.45, -0.55),
                    (0.55, 0.05),
                    (0.92, 0.62),
                    (0, 0.66),
                    (-0.92, 0.62),
                    (-0.55, 0.05),
                    (-0.45, -0.55),
                ),
            ),
            ("dark", _rect(-0.72, 0.36, 0.72, 0.48)),
        ),
        "butterfly": (
            *(("body", wing) for wing in (upper_wing, _flip(upper_wing))),
            *(("dark", wing) for wing in (lower_wing, _flip(lower_wing))),
            *(("light", spot) for spot in (_arc(0.65, -0.5, 0.16), _arc(-0.65, -0.5, 0.16))),
            ("ink", _arc(0, 0, 0.1, 0.62)),
            *(("ink", feeler) for feeler in (_bar(0, -0.5, 0.22, -0.95, 0.05), _bar(0, -0.5, -0.22, -0.95, 0.05))),
        ),
        "ladder": (
            *(("body", _rect(-0.5, y - 0.1, 0.5, y + 0.1)) for y in (-0.6, 0, 0.6)),
            *(("body", _rect(x - 0.14, -1, x + 0.14, 1)) for x in (-0.52, 0.52)),
        ),
        "crown": (
            (
                "body",
                _poly((-0.95, -0.5), (-0.5, 0.05), (0, -0.75), (0.5, 0.05), (0.95, -0.5), (0.78, 0.75), (-0.78, 0.75)),
            ),
            *(("body", _arc(x, y, 0.13)) for x, y in ((-0.88, -0.52), (0, -0.8), (0.88, -0.52))),
            ("dark", _poly((-0.82, 0.45), (0.82, 0.45), (0.78, 0.75), (-0.78, 0.75))),
            *(("light", _arc(x, 0.2, 0.1)) for x in (-0.4, 0, 0.4)),
        ),
        "hourglass": (
            ("body", _poly((-0.58, -0.8), (0.58, -0.8), (0.08, 0), (0.58, 0.8), (-0.58, 0.8), (-0.08, 0))),
            ("light", _poly((-0.4, -0.72), (0.4, -0.72), (0.3, -0.5), (-0.3, -0.5))),
            ("light", _poly((0, 0.12), (0.3, 0.5), (-0.3, 0.5))),
            ("dark", _rect(-0.75, -1, 0.75, -0.76)),
            ("dark", _rect(-0.75, 0.76, 0.75, 1)),
        ),
        "leaf": (
            ("dark", _bar(-0.95, 0.95, -0.3, 0.3, 0.13)),
            ("body", _smooth((-0.62, 0.62), (-0.72, 0.0), (-0.2, -0.66), (0.95, -0.95), (0.66, 0.2), (0.0, 0.72))),
            ("dark", _bar(-0.62, 0.62, 0.7, -0.7, 0.08)),
            *(("dark", _bar(v, -v, v - 0.05, -v - 0.42, 0.06)) for v in (-0.25, 0.12)),
            *(("dark", _bar(v, -v, v + 0.42, -v + 0.05, 0.06)) for v in (-0.25, 0.12)),
        ),
        "anchor": (
            ("body", _band(0, -0.75, 0.24, 0.11)),
            ("body", _rect(-0.1, -0.55, 0.1, 0.9)),
            ("body", _rect(-0.5, -0.42, 0.5, -0.22)),
            ("body", _band(0, 0.12, 0.86, 0.64, 8, 172)),
            *(("body", part) for part in (fluke, _flip(fluke))),
        ),
    }
