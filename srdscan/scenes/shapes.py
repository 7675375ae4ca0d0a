"""The silhouettes of the things that drawn scenes hold, one a kind.

A shape is a tuple of parts, painted first to last. A part is a tone and a polygon in unit coordinates:
x to the right, y down, the whole shape inside [-1, 1] x [-1, 1].
"""

from __future__ import annotations

import math
from functools import cache
from typing import Literal

import numpy as np

from srdscan.scenes.polygons import Points, arc, band, bar, flip, poly, rect, smooth

Tone = Literal["body", "dark", "light", "ink"]
Shape = tuple[tuple[Tone, Points], ...]


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
    upper_wing = smooth((0.08, -0.1), (0.3, -0.72), (0.8, -0.92), (0.98, -0.55), (0.72, -0.05))
    lower_wing = smooth((0.06, 0.02), (0.6, 0.05), (0.84, 0.4), (0.6, 0.88), (0.22, 0.62))
    petals = [arc(0.45 * math.cos(a), -0.27 + 0.45 * math.sin(a), 0.3) for a in np.radians(np.arange(5) * 72 - 90)]
    moon = np.concatenate([arc(-0.05, 0, 0.97, None, 52, 308), arc(0.36, 0, 0.79, None, 283, 77)])
    fluke = poly((0.98, -0.02), (1.0, 0.5), (0.55, 0.3))
    kite_tail = [bar(0, 0.5, 0.12, 0.7, 0.07), bar(0.12, 0.7, -0.06, 0.98, 0.07)]
    bow = poly((-0.16, 0.56), (0.36, 0.86), (0.36, 0.56), (-0.16, 0.86))
    canopy = np.concatenate(
        [arc(0, 0, 1.0, 0.92, 180, 360)] + [arc(x, 0, 0.25, 0.14, 0, -180) for x in (0.75, 0.25, -0.25, -0.75)]
    )
    return {
        "star": (("body", star),),
        "heart": (("body", heart), ("light", arc(-0.42, -0.45, 0.15, 0.11))),
        "ball": (
            ("body", arc(0, 0, 0.95)),
            ("light", np.concatenate([arc(0, 0, 0.3, 0.95, -90, 90), arc(0, 0, 0.3, 0.95, 90, 270)])),
            ("dark", np.concatenate([arc(0, 0, 0.95, None, -90, 90), arc(0, 0, 0.7, 0.95, 90, -90)])),
            ("dark", np.concatenate([arc(0, 0, 0.95, None, 90, 270), arc(0, 0, 0.7, 0.95, 270, 90)])),
        ),
        "box": (
            ("body", rect(-0.95, -0.4, 0.45, 0.95)),
            ("light", poly((-0.95, -0.4), (-0.5, -0.9), (0.95, -0.9), (0.45, -0.4))),
            ("dark", poly((0.45, -0.4), (0.95, -0.9), (0.95, 0.45), (0.45, 0.95))),
        ),
        "ring": (("body", band(0, 0, 0.97, 0.55)),),
        "moon": (("body", moon),),
        "arrow": (("body", poly((-1, -0.28), (0.1, -0.28), (0.1, -0.8), (1, 0), (0.1, 0.8), (0.1, 0.28), (-1, 0.28))),),
        "cross": (("body", rect(-0.3, -0.95, 0.3, 0.95)), ("body", rect(-0.95, -0.3, 0.95, 0.3))),
        "tree": (
            ("dark", rect(-0.15, 0.6, 0.15, 1)),
            ("body", poly((0, -0.2), (0.85, 0.65), (-0.85, 0.65))),
            ("body", poly((0, -0.6), (0.68, 0.15), (-0.68, 0.15))),
            ("body", poly((0, -1), (0.5, -0.35), (-0.5, -0.35))),
        ),
        "house": (
            ("body", rect(-0.72, -0.15, 0.72, 0.95)),
            ("dark", rect(0.4, -0.95, 0.62, -0.3)),
            ("dark", poly((0, -1), (1, -0.1), (-1, -0.1))),
            ("ink", rect(-0.5, 0.3, -0.12, 0.95)),
            ("ink", rect(0.12, 0.15, 0.55, 0.55)),
            ("light", rect(0.18, 0.21, 0.49, 0.49)),
        ),
        "boat": (
            ("dark", rect(-0.06, -0.98, 0.06, 0.45)),
            ("body", poly((0.12, -0.9), (0.82, 0.3), (0.12, 0.3))),
            ("light", poly((-0.12, -0.65), (-0.12, 0.3), (-0.68, 0.3))),
            ("body", poly((-1, 0.42), (1, 0.42), (0.62, 0.95), (-0.62, 0.95))),
        ),
        "car": (
            ("body", poly((-0.62, 0.0), (-0.4, -0.5), (0.3, -0.5), (0.62, 0.0))),
            (
                "body",
                smooth(
                    (-0.98, 0.1), (-0.88, -0.04), (0.6, -0.04), (0.92, 0.06), (0.96, 0.4), (0.86, 0.46), (-0.9, 0.46)
                ),
            ),
            ("ink", poly((-0.46, -0.04), (-0.32, -0.38), (-0.07, -0.38), (-0.07, -0.04))),
            ("ink", poly((0.07, -0.04), (0.07, -0.38), (0.24, -0.38), (0.46, -0.04))),
            *(("ink", arc(x, 0.42, 0.28)) for x in (-0.52, 0.52)),
            *(("light", arc(x, 0.42, 0.12)) for x in (-0.52, 0.52)),
        ),
        "fish": (
            ("body", poly((0.4, 0), (1, -0.55), (0.85, 0), (1, 0.55))),
            ("dark", poly((-0.35, -0.35), (0.0, -0.75), (0.35, -0.3))),
            (
                "body",
                smooth((-1, 0.02), (-0.6, -0.42), (0, -0.5), (0.62, -0.05), (0.62, 0.05), (0, 0.52), (-0.6, 0.44)),
            ),
            ("ink", arc(-0.62, -0.1, 0.1)),
            ("dark", poly((-0.1, 0.02), (0.25, -0.12), (0.25, 0.26))),
        ),
        "flower": (
            ("dark", rect(-0.06, -0.2, 0.06, 1)),
            ("dark", smooth((0.03, 0.9), (0.2, 0.5), (0.62, 0.4), (0.45, 0.78))),
            ("dark", flip(smooth((0.03, 0.9), (0.2, 0.5), (0.62, 0.4), (0.45, 0.78)))),
            *(("body", petal) for petal in petals),
            ("ink", arc(0, -0.27, 0.22)),
            ("light", arc(0, -0.27, 0.17)),
        ),
        "mushroom": (
            ("light", smooth((-0.24, 0), (-0.22, 0.6), (-0.34, 0.92), (0.34, 0.92), (0.22, 0.6), (0.24, 0))),
            ("body", np.concatenate([arc(0, 0.08, 0.98, 1.0, 180, 360), arc(0, 0.08, 0.98, 0.16, 0, 180)])),
            ("light", arc(-0.45, -0.25, 0.17)),
            ("light", arc(0.1, -0.58, 0.18)),
            ("light", arc(0.52, -0.17, 0.15)),
        ),
        "umbrella": (
            ("dark", rect(-0.05, -1, 0.05, 0.78)),
            ("dark", band(0.2, 0.76, 0.25, 0.14, 0, 180)),
            ("body", canopy),
            ("dark", np.concatenate([arc(0, 0, 0.52, 0.92, 180, 270), arc(0, 0, 0.46, 0.92, 270, 180)])),
            ("dark", np.concatenate([arc(0, 0, 0.52, 0.92, 270, 360), arc(0, 0, 0.46, 0.92, 360, 270)])),
        ),
        "kite": (
            *(("dark", part) for part in kite_tail),
            ("body", bow),
            ("body", poly((0, -1), (0.72, -0.38), (0, 0.52), (-0.72, -0.38))),
            ("dark", poly((0, -0.38), (0.72, -0.38), (0, 0.52))),
            ("dark", poly((0, -0.38), (-0.72, -0.38), (0, -1))),
        ),
        "cup": (
            ("body", band(0.58, 0.05, 0.42, 0.22, -95, 95)),
            ("body", poly((-0.95, -0.65), (0.55, -0.65), (0.4, 0.8), (-0.8, 0.8))),
            ("body", arc(-0.2, 0.8, 0.6, 0.12)),
            ("dark", arc(-0.2, -0.65, 0.75, 0.2)),
            ("ink", arc(-0.2, -0.63, 0.6, 0.12)),
        ),
        "key": (
            ("body", band(-0.5, 0, 0.5, 0.24)),
            ("body", rect(-0.05, -0.11, 1, 0.11)),
            ("body", rect(0.78, 0, 1, 0.5)),
            ("body", rect(0.42, 0, 0.62, 0.4)),
        ),
        "bell": (
            ("body", arc(0, -0.82, 0.18)),
            ("dark", arc(0, 0.78, 0.2)),
            (
                "body",
                smooth(
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
            ("dark", rect(-0.72, 0.36, 0.72, 0.48)),
        ),
        "butterfly": (
            *(("body", wing) for wing in (upper_wing, flip(upper_wing))),
            *(("dark", wing) for wing in (lower_wing, flip(lower_wing))),
            *(("light", spot) for spot in (arc(0.65, -0.5, 0.16), arc(-0.65, -0.5, 0.16))),
            ("ink", arc(0, 0, 0.1, 0.62)),
            *(("ink", feeler) for feeler in (bar(0, -0.5, 0.22, -0.95, 0.05), bar(0, -0.5, -0.22, -0.95, 0.05))),
        ),
        "ladder": (
            *(("body", rect(-0.5, y - 0.1, 0.5, y + 0.1)) for y in (-0.6, 0, 0.6)),
            *(("body", rect(x - 0.14, -1, x + 0.14, 1)) for x in (-0.52, 0.52)),
        ),
        "crown": (
            (
                "body",
                poly((-0.95, -0.5), (-0.5, 0.05), (0, -0.75), (0.5, 0.05), (0.95, -0.5), (0.78, 0.75), (-0.78, 0.75)),
            ),
            *(("body", arc(x, y, 0.13)) for x, y in ((-0.88, -0.52), (0, -0.8), (0.88, -0.52))),
            ("dark", poly((-0.82, 0.45), (0.82, 0.45), (0.78, 0.75), (-0.78, 0.75))),
            *(("light", arc(x, 0.2, 0.1)) for x in (-0.4, 0, 0.4)),
        ),
        "hourglass": (
            ("body", poly((-0.58, -0.8), (0.58, -0.8), (0.08, 0), (0.58, 0.8), (-0.58, 0.8), (-0.08, 0))),
            ("light", poly((-0.4, -0.72), (0.4, -0.72), (0.3, -0.5), (-0.3, -0.5))),
            ("light", poly((0, 0.12), (0.3, 0.5), (-0.3, 0.5))),
            ("dark", rect(-0.75, -1, 0.75, -0.76)),
            ("dark", rect(-0.75, 0.76, 0.75, 1)),
        ),
        "leaf": (
            ("dark", bar(-0.95, 0.95, -0.3, 0.3, 0.13)),
            ("body", smooth((-0.62, 0.62), (-0.72, 0.0), (-0.2, -0.66), (0.95, -0.95), (0.66, 0.2), (0.0, 0.72))),
            ("dark", bar(-0.62, 0.62, 0.7, -0.7, 0.08)),
            *(("dark", bar(v, -v, v - 0.05, -v - 0.42, 0.06)) for v in (-0.25, 0.12)),
            *(("dark", bar(v, -v, v + 0.42, -v + 0.05, 0.06)) for v in (-0.25, 0.12)),
        ),
        "anchor": (
            ("body", band(0, -0.75, 0.24, 0.11)),
            ("body", rect(-0.1, -0.55, 0.1, 0.9)),
            ("body", rect(-0.5, -0.42, 0.5, -0.22)),
            ("body", band(0, 0.12, 0.86, 0.64, 8, 172)),
            *(("body", part) for part in (fluke, flip(fluke))),
        ),
    }
