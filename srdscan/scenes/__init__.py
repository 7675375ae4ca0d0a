"""Drawn scenes with captions: a data set that anyone can make again, pixel for pixel, from two integers.

A caption says exactly what the scene shows and nothing else, so a good captioner can get every word right, and
a wrong word is the captioner's (or the attacker's) doing. The examples, the embedded models and the tests use these.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from srdscan.scenes.settings import PAINTERS, background, soft_noise
from srdscan.scenes.shapes import shapes
from srdscan.scenes.sprites import RGB, sprite

SIZE = 224
"""Side of every image, in px."""

KINDS: tuple[str, ...] = tuple(shapes())
"""What can be in a scene, in the singular."""

COLORS: dict[str, RGB] = {
    "red": (214, 24, 36),
    "orange": (250, 122, 8),
    "yellow": (252, 216, 16),
    "green": (16, 128, 48),
    "blue": (24, 84, 226),
    "purple": (150, 42, 194),
    "white": (248, 248, 250),
    "black": (16, 16, 20),
}
"""What an object's body is painted with, before shading."""

SETTINGS: tuple[str, ...] = tuple(PAINTERS)
"""Where a scene can be, worded as it ends the caption."""

_NUMBERS = {2: "two", 3: "three", 4: "four"}
_PLURALS = {"fish": "fish", "leaf": "leaves"}

# How often each arrangement comes up, and the centres of its objects (px). Reading order.
_LAYOUTS: dict[str, tuple[float, tuple[tuple[float, float], ...]]] = {
    "one": (0.26, ((112, 112),)),
    "above": (0.15, ((112, 60), (112, 164))),
    "beside": (0.15, ((60, 112), (164, 112))),
    "between": (0.12, ((39, 112), (112, 112), (185, 112))),
    "two pairs": (0.10, ((60, 60), (164, 60), (60, 164), (164, 164))),
    "same, beside": (0.035, ((60, 112), (164, 112))),
    "same, above": (0.035, ((112, 60), (112, 164))),
    "same, row": (0.03, ((39, 112), (112, 112), (185, 112))),
    "same, peak": (0.03, ((112, 60), (60, 164), (164, 164))),
    "same, dip": (0.03, ((60, 60), (164, 60), (112, 164))),
    "same, square": (0.06, ((60, 60), (164, 60), (60, 164), (164, 164))),
}
# Largest shift (x, y) that keeps neighbours apart and relations plain, and the size before its +-10 %.
_SHIFTS = {"one": (44, 44), "above": (18, 5), "beside": (5, 18), "between": (2, 18), "same, row": (2, 18)}
_SIZES = {
    "one": 86.0,
    "above": 78.0,
    "beside": 78.0,
    "same, beside": 72.0,
    "same, above": 72.0,
    "between": 58.0,
    "same, row": 58.0,
}
_OTHER_SHIFT, _OTHER_SIZE = (8, 8), 62.0


@dataclass(frozen=True)
class SceneObject:
    """One thing in a scene.

    Attributes:
        kind: one of `KINDS`.
        color: one of `COLORS`.
        center: x and y of its middle, in px from the top left corner of the image.
        size: side of the box it fills before rotation, in px.
        angle: clockwise rotation in degrees.
    """

    kind: str
    color: str
    center: tuple[float, float]
    size: float
    angle: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no such kind of object: {self.kind!r}; choose one of {', '.join(KINDS)}")
        if self.color not in COLORS:
            raise ValueError(f"no such colour: {self.color!r}; choose one of {', '.join(COLORS)}")


@dataclass(frozen=True)
class Scene:
    """A setting with one to four objects in it.

    >>> boat = SceneObject("boat", "orange", center=(60, 110), size=70)
    >>> tree = SceneObject("tree", "green", center=(160, 118), size=70)
    >>> Scene("in the snow", (tree, boat)).caption
    'an orange boat to the left of a green tree in the snow'
    """

    setting: str
    objects: tuple[SceneObject, ...]

    def __post_init__(self) -> None:
        if self.setting not in SETTINGS:
            raise ValueError(f"no such setting: {self.setting!r}; choose one of {', '.join(SETTINGS)}")
        if not 1 <= len(self.objects) <= 4:
            raise ValueError(f"a scene holds one to four objects, not {len(self.objects)}")

    @property
    def caption(self) -> str:
        """What the scene shows, as far as it can be seen: the order of `objects` does not matter."""
        first, count = self.objects[0], len(self.objects)
        if count == 1:
            said = _name(first)
        elif all((o.kind, o.color) == (first.kind, first.color) for o in self.objects):
            said = f"{_NUMBERS[count]} {first.color} {plural(first.kind)}"
        elif count == 2:
            (ax, ay), (bx, by) = (o.center for o in self.objects)
            stacked = abs(ay - by) > abs(ax - bx)
            one, two = _along(self.objects, axis=1 if stacked else 0)
            said = f"{_name(one)} {'above' if stacked else 'to the left of'} {_name(two)}"
        elif count == 3:
            left, middle, right = _along(self.objects, axis=0)
            said = f"{_name(middle)} between {_name(left)} and {_name(right)}"
        else:
            by_height = _along(self.objects, axis=1)
            rows = [_along(tuple(row), axis=0) for row in (by_height[:2], by_height[2:])]
            said = " above ".join(f"{_name(left)} and {_name(right)}" for left, right in rows)
        return f"{said} {self.setting}"


def plural(kind: str) -> str:
    """The plural of a kind.

    >>> [plural(kind) for kind in ("star", "box", "butterfly", "key", "leaf", "fish")]
    ['stars', 'boxes', 'butterflies', 'keys', 'leaves', 'fish']
    """
    if kind in _PLURALS:
        return _PLURALS[kind]
    if kind.endswith(("s", "x", "sh", "ch")):
        return f"{kind}es"
    if kind.endswith("y") and kind[-2] not in "aeiou":
        return f"{kind[:-1]}ies"
    return f"{kind}s"


def _name(thing: SceneObject) -> str:
    return f"{'an' if thing.color[0] in 'aeiou' else 'a'} {thing.color} {thing.kind}"


def _along(objects: tuple[SceneObject, ...], axis: int) -> list[SceneObject]:
    """The objects from left to right (axis 0) or top to bottom (axis 1)."""
    return sorted(objects, key=lambda o: o.center[axis])


def compose(seed: int, index: int) -> Scene:
    """Choose what is in a scene. Any index can be asked for alone; both numbers are non-negative.

    >>> compose(seed=7, index=0) == compose(seed=7, index=0)
    True
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, index]))
    names = list(_LAYOUTS)
    layout = names[rng.choice(len(names), p=[share for share, _ in _LAYOUTS.values()])]
    centers = _LAYOUTS[layout][1]
    setting = SETTINGS[rng.integers(len(SETTINGS))]
    pairs = len(KINDS) * len(COLORS)
    if layout.startswith("same"):
        picks = [int(rng.integers(pairs))] * len(centers)
    else:
        picks = [int(pick) for pick in rng.choice(pairs, len(centers), replace=False)]
    reach_x, reach_y = _SHIFTS.get(layout, _OTHER_SHIFT)
    size = _SIZES.get(layout, _OTHER_SIZE)
    colors = list(COLORS)
    objects = []
    for pick, (x, y) in zip(picks, centers, strict=True):
        center = (round(x + rng.uniform(-reach_x, reach_x), 2), round(y + rng.uniform(-reach_y, reach_y), 2))
        objects.append(
            SceneObject(
                kind=KINDS[pick // len(COLORS)],
                color=colors[pick % len(COLORS)],
                center=center,
                size=round(size * rng.uniform(0.9, 1.1), 2),
                angle=round(rng.uniform(-12, 12), 2),
            )
        )
    return Scene(setting, tuple(objects))


def draw(scene: Scene, rng: np.random.Generator) -> Image.Image:
    """Paint a scene; `rng` decides texture, noise and lighting. Returns an RGB image of SIZE x SIZE px."""
    pixels = background(scene.setting, SIZE, rng)
    mottle = 7 * soft_noise(SIZE, 36, rng) + 4 * rng.standard_normal((SIZE, SIZE), dtype=np.float32)
    for thing in scene.objects:
        red, green, blue = (int(np.clip(c + rng.integers(-8, 9), 0, 255)) for c in COLORS[thing.color])
        patch, left, top = sprite(thing.kind, (red, green, blue), thing.center, thing.size, thing.angle)
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + patch.width, SIZE), min(top + patch.height, SIZE)
        paint = np.asarray(patch, dtype=np.float32)[y0 - top : y1 - top, x0 - left : x1 - left]
        alpha = paint[:, :, 3:] / 255
        # Light falls from the upper left: +-14 levels across the object.
        fall_x = np.arange(x0, x1, dtype=np.float32) - np.float32(thing.center[0])
        fall_y = np.arange(y0, y1, dtype=np.float32) - np.float32(thing.center[1])
        shade = mottle[y0:y1, x0:x1] - (fall_x[None, :] + fall_y[:, None]) * np.float32(14 / thing.size)
        under = pixels[y0:y1, x0:x1]
        pixels[y0:y1, x0:x1] = under + (paint[:, :, :3] + shade[:, :, None] - under) * alpha
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def make(seed: int, index: int) -> tuple[Image.Image, Scene]:
    """A scene and its picture; the same two numbers give the same pixels.

    >>> image, scene = make(seed=7, index=0)
    >>> image.size, image.mode
    ((224, 224), 'RGB')
    """
    scene = compose(seed, index)
    return draw(scene, np.random.default_rng(np.random.SeedSequence([seed, index, 1]))), scene


def encode_jpeg(image: Image.Image, quality: int = 92) -> bytes:
    """JPEG bytes of an image; `quality` is Pillow's, 1..95."""
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()


def write_shards(out: Path, count: int, per_shard: int, seed: int, prefix: str = "scenes") -> list[Path]:
    """Write scenes 0..count-1 as WebDataset shards; the same arguments write the same bytes.

    Each sample is a `.jpg`, a `.txt` (the caption) and a `.json` (captions, setting, objects).

    Args:
        out: folder, made if missing.
        count: scenes in all, at least 1.
        per_shard: scenes a shard, at least 1; the last shard may hold fewer.
        seed: non-negative; another seed gives other scenes.
        prefix: what shard names start with.

    Returns:
        The shards in order. A shard appears under its name only when it is complete.

    Raises:
        ValueError: `count` or `per_shard` is less than 1.
    """
    if count < 1 or per_shard < 1:
        raise ValueError(f"count and per_shard must be at least 1, not {count} and {per_shard}")
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, start in enumerate(range(0, count, per_shard)):
        path = out / f"{prefix}-{number:06d}.tar"
        partial = path.with_name(f"{path.name}.partial")
        with tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as tar:
            for index in range(start, min(start + per_shard, count)):
                for extension, data in _members(seed, index):
                    info = tarfile.TarInfo(f"{index:06d}.{extension}")
                    info.size, info.mode = len(data), 0o644  # TarInfo's other fields start at 0 and ""
                    tar.addfile(info, io.BytesIO(data))
        os.replace(partial, path)
        paths.append(path)
    return paths


def _members(seed: int, index: int) -> list[tuple[str, bytes]]:
    image, scene = make(seed, index)
    facts = {"captions": [scene.caption], "setting": scene.setting, "objects": [asdict(o) for o in scene.objects]}
    return [
        ("jpg", encode_jpeg(image)),
        ("txt", scene.caption.encode()),
        ("json", json.dumps(facts, sort_keys=True).encode()),
    ]
