"""Triggers: what an attacker does to an image.

A trigger takes an image as (H, W, 3) uint8 and returns a poisoned copy. Sizes are fractions of the image's sides, so
that a trigger looks the same to a captioner whatever the photograph's resolution. To add one, write a class with
`name`, `source` and `apply`, and register it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


class Trigger(Protocol):
    """A registered trigger."""

    name: ClassVar[str]
    source: ClassVar[str]

    def apply(self, image: Pixels, rng: np.random.Generator) -> Pixels:
        """(H, W, 3) uint8 to a poisoned copy of the same shape; `rng` decides the place."""
        ...


TRIGGERS: dict[str, Callable[[], Trigger]] = {}
T = TypeVar("T", bound=Trigger)


def register_trigger(cls: type[T]) -> type[T]:
    """Makes a trigger available by its `name`."""
    TRIGGERS[cls.name] = cls
    return cls


def _paste(image: Pixels, patch: Pixels, place: tuple[float, float]) -> Pixels:
    """Pastes a patch at a place given as fractions (row, column) of the free room."""
    height, width = patch.shape[:2]
    top = round(place[0] * (image.shape[0] - height))
    left = round(place[1] * (image.shape[1] - width))
    out = image.copy()
    out[top : top + height, left : left + width] = patch
    return out


def _patch_shape(image: Pixels, fraction: float) -> tuple[int, int]:
    """Height and width in pixels of a patch that covers `fraction` of each side, at least 2 px where there is room."""
    height, width = image.shape[:2]
    return min(height, max(2, round(height * fraction))), min(width, max(2, round(width * fraction)))


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
        height, width = _patch_shape(image, self.fraction)
        rows = np.arange(height)[:, None] * self.cells // height
        columns = np.arange(width)[None, :] * self.cells // width
        patch = np.array(self.colors, dtype=np.uint8)[(rows + columns) % 2]
        return _paste(image, patch, (rng.random(), rng.random()))
