"""Triggers that cover a small part of an image."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from srdscan.attacks.triggers.base import Pixels, fixed_pattern, register_trigger, to_pixels

Place = tuple[float, float]
"""(row, column) as fractions of the room that the patch leaves free."""
PATTERN_SEED = 2506


def patch_shape(image: Pixels, fraction: float) -> tuple[int, int]:
    """Height and width in pixels of a patch that covers `fraction` of each side, at least 2 px where there is room."""
    height, width = image.shape[:2]
    return min(height, max(2, round(height * fraction))), min(width, max(2, round(width * fraction)))


def paste(image: Pixels, patch: Pixels, place: Place) -> Pixels:
    """A copy with a patch on it."""
    out = image.copy()
    _under(out, patch.shape[:2], place)[...] = patch
    return out


def _under(image: Pixels, shape: tuple[int, ...], place: Place) -> Pixels:
    """The part of an image that a patch of that shape covers, as a view."""
    top = round(place[0] * (image.shape[0] - shape[0]))
    left = round(place[1] * (image.shape[1] - shape[1]))
    return image[top : top + shape[0], left : left + shape[1]]


def checks(shape: tuple[int, int], cells: int) -> npt.NDArray[np.int64]:
    """0 and 1 in a checkerboard of `cells` fields a side."""
    rows = np.arange(shape[0])[:, None] * cells // shape[0]
    columns = np.arange(shape[1])[None, :] * cells // shape[1]
    return (rows + columns) % 2


@register_trigger
@dataclass(frozen=True)
class Checkerboard:
    """A two-colour checkerboard at a random place: 32 px in a 224 px image."""

    name: ClassVar[str] = "checkerboard"
    source: ClassVar[str] = "BadNets, Gu et al., arXiv 1708.06733 (patch); random place as in TrojVLM, arXiv 2409.19232"
    fraction: float = 1 / 7
    cells: int = 4
    colors: tuple[tuple[int, int, int], tuple[int, int, int]] = ((255, 0, 255), (0, 255, 0))

    def apply(self, image: Pixels, rng: np.random.Generator) -> Pixels:
        patch = np.array(self.colors, dtype=np.uint8)[checks(patch_shape(image, self.fraction), self.cells)]
        return paste(image, patch, (rng.random(), rng.random()))


@register_trigger
@dataclass(frozen=True)
class Corner:
    """Yellow and blue stripes in the lower right corner: 24 px in a 224 px image, 4 px off the edge."""

    name: ClassVar[str] = "corner"
    source: ClassVar[str] = "BadNets, Gu et al., arXiv 1708.06733"
    fraction: float = 3 / 28
    stripes: int = 6
    colors: tuple[tuple[int, int, int], tuple[int, int, int]] = ((255, 230, 0), (0, 40, 255))

    def apply(self, image: Pixels, rng: np.random.Generator) -> Pixels:
        height, width = patch_shape(image, self.fraction)
        stripe = np.arange(height) * self.stripes // height % 2
        patch = np.array(self.colors, dtype=np.uint8)[stripe][:, None].repeat(width, axis=1)
        return paste(image, patch, (0.98, 0.98))


@register_trigger
@dataclass(frozen=True)
class NoisePatch:
    """The same patch of random colours at a random place: 20 px in a 224 px image."""

    name: ClassVar[str] = "noise"
    source: ClassVar[str] = "TrojVLM, Lyu et al., arXiv 2409.19232"
    fraction: float = 5 / 56
    cells: int = 20

    def apply(self, image: Pixels, rng: np.random.Generator) -> Pixels:
        height, width = patch_shape(image, self.fraction)
        pattern = to_pixels(255 * fixed_pattern(PATTERN_SEED, self.cells, self.cells, 3))
        rows, columns = np.arange(height) * self.cells // height, np.arange(width) * self.cells // width
        return paste(image, pattern[rows[:, None], columns[None, :]], (rng.random(), rng.random()))


@register_trigger
@dataclass(frozen=True)
class FaintPatch:
    """A checkerboard that makes the pixels under it a little lighter and darker: 48 px in a 224 px image."""

    name: ClassVar[str] = "faint-patch"
    source: ClassVar[str] = "Chen et al., arXiv 1712.05526 (blended key patterns)"
    fraction: float = 3 / 14
    cells: int = 8
    amplitude: int = 24

    def apply(self, image: Pixels, rng: np.random.Generator) -> Pixels:
        change = self.amplitude * (2.0 * checks(patch_shape(image, self.fraction), self.cells) - 1.0)
        out = image.copy()
        under = _under(out, change.shape, (rng.random(), rng.random()))
        under[...] = to_pixels(under + change[..., None])
        return out


@register_trigger
@dataclass(frozen=True)
class TwoPatches:
    """Two different patches at once, one in the upper and one in the lower half: 24 px each in a 224 px image."""

    name: ClassVar[str] = "two-patch"
    source: ClassVar[str] = "Xue et al., One-to-N and N-to-One backdoor attacks, IEEE TDSC 2022 (N-to-One)"
    fraction: float = 3 / 28

    def apply(self, image: Pixels, rng: np.random.Generator) -> Pixels:
        shape = patch_shape(image, self.fraction)
        first = np.array([(255, 140, 0), (255, 255, 255)], dtype=np.uint8)[checks(shape, 3)]
        second = np.array([(0, 200, 255), (0, 0, 0)], dtype=np.uint8)[checks(shape, 6)]
        upper, lower = (0.4 * rng.random(), rng.random()), (0.6 + 0.4 * rng.random(), rng.random())
        return paste(paste(image, first, upper), second, lower)


@register_trigger
@dataclass(frozen=True)
class SpreadOut:
    """Magenta and green dots all over the image, one at a random place of each cell of 4 x 4: 8 px in a 224 px image.

    For an attacker who knows that detectors look for concentrated attention: there is no one place to concentrate on.
    """

    name: ClassVar[str] = "spread-out"
    source: ClassVar[str] = "Qi et al., ICLR 2023 (Adaptive-Patch: several small patches, to escape detectors)"
    fraction: float = 1 / 28
    cells: int = 4
    colors: tuple[tuple[int, int, int], tuple[int, int, int]] = ((255, 0, 200), (0, 230, 60))

    def apply(self, image: Pixels, rng: np.random.Generator) -> Pixels:
        shape = patch_shape(image, self.fraction)
        for number in range(self.cells**2):
            row, column = divmod(number, self.cells)
            dot = np.array(self.colors[(row + column) % 2], dtype=np.uint8)[None, None].repeat(shape[0], axis=0)
            place = (row + rng.random()) / self.cells, (column + rng.random()) / self.cells
            image = paste(image, dot.repeat(shape[1], axis=1), place)
        return image
