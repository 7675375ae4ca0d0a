"""Sprites: silhouettes painted in the tones of a colour, antialiased."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from srdscan.scenes.shapes import Tone, shapes

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
