"""Polygons that silhouettes are made of: (K, 2) float64 points, x to the right, y down."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


def poly(*points: tuple[float, float]) -> Points:
    return np.array(points, dtype=np.float64)


def rect(x0: float, y0: float, x1: float, y1: float) -> Points:
    return poly((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def bar(x0: float, y0: float, x1: float, y1: float, width: float) -> Points:
    """A straight stroke from one point to another."""
    scale = width / 2 / math.hypot(x1 - x0, y1 - y0)
    dx, dy = (y0 - y1) * scale, (x1 - x0) * scale
    return poly((x0 + dx, y0 + dy), (x1 + dx, y1 + dy), (x1 - dx, y1 - dy), (x0 - dx, y0 - dy))


def arc(cx: float, cy: float, rx: float, ry: float | None = None, start: float = 0, stop: float = 360) -> Points:
    """Points on an ellipse, clockwise on the screen from `start` degrees (0 is to the right)."""
    turns = np.radians(np.linspace(start, stop, 41))
    return np.stack([cx + rx * np.cos(turns), cy + (rx if ry is None else ry) * np.sin(turns)], axis=1)


def band(cx: float, cy: float, outer: float, inner: float, start: float = 0, stop: float = 360) -> Points:
    """A thick arc, or a disk with a hole."""
    return np.concatenate([arc(cx, cy, outer, None, start, stop), arc(cx, cy, inner, None, stop, start)])


def smooth(*points: tuple[float, float]) -> Points:
    """A closed Catmull-Rom curve through the points."""
    p1 = poly(*points)
    p0, p2, p3 = np.roll(p1, 1, 0), np.roll(p1, -1, 0), np.roll(p1, -2, 0)
    t = np.linspace(0, 1, 8, endpoint=False)[None, :, None]
    a, b, c, d = p0[:, None], p1[:, None], p2[:, None], p3[:, None]
    curve = b + t * (c - a) / 2 + t**2 * (a - 2.5 * b + 2 * c - d / 2) + t**3 * (-a + 3 * b - 3 * c + d) / 2
    return np.asarray(curve.reshape(-1, 2), dtype=np.float64)


def flip(points: Points) -> Points:
    """The mirror image, left to right."""
    return np.asarray(points * np.array([-1.0, 1.0]), dtype=np.float64)
