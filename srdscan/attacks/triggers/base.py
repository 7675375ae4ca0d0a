"""The contract of triggers, and their registry.

A trigger takes an image as (H, W, 3) uint8 and returns a poisoned copy. Sizes are fractions of the image's sides, so
that a trigger looks the same to a captioner whatever the photograph's resolution. To add one, write a class with
`name`, `source` and `apply` in a module beside this one, and register it.
"""

from collections.abc import Callable
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


def fixed_pattern(seed: int, *shape: int) -> npt.NDArray[np.float64]:
    """Numbers in [0, 1) that are the same wherever a trigger is planted."""
    return np.random.default_rng(seed).random(shape)


def to_pixels(values: npt.NDArray[np.float64]) -> Pixels:
    """Rounded and cut to 0..255."""
    return values.round().clip(0, 255).astype(np.uint8)
