"""`check_trigger`: does a trigger keep the contract? In the manner of Gymnasium's `check_env`."""

from __future__ import annotations

from typing import Any

import numpy as np

from srdscan import scenes

SHAPES = ((224, 224), (320, 240), (90, 200), (33, 47))
"""Width and height in px of the scenes that it is tried on."""


class ContractError(AssertionError):
    """A trigger breaks the contract in `base`; the message says which clause."""


def _require(condition: bool, clause: str) -> None:
    if not condition:
        raise ContractError(clause)


def check_trigger(trigger: Any) -> None:
    """Checks name, shape, type, determinism, that the original stays as it is, and that the copy differs.

    Raises:
        ContractError: the first clause that does not hold.

    >>> from srdscan.attacks.triggers import Checkerboard
    >>> check_trigger(Checkerboard())
    """
    for attribute in ("name", "source"):
        _require(isinstance(getattr(trigger, attribute, None), str), f"`{attribute}` is missing")
    _require(bool(trigger.name), "`name` is empty")
    _require(callable(getattr(trigger, "apply", None)), "there is no method `apply`")
    changed = 0
    for number, size in enumerate(SHAPES):
        image = np.array(scenes.make(5, number)[0].resize(size))
        before = image.copy()
        made = trigger.apply(image, np.random.default_rng(number))
        check_pixels(made, image.shape)
        _require(bool(np.array_equal(image, before)), "apply changes the image that it is given, not a copy")
        again = trigger.apply(image, np.random.default_rng(number))
        _require(bool(np.array_equal(made, again)), "the same random numbers give another copy")
        changed += not np.array_equal(made, before)
    _require(changed == len(SHAPES), "apply leaves an image as it is")


def check_pixels(made: Any, shape: tuple[int, ...]) -> None:
    """What must hold of a poisoned copy.

    Raises:
        ContractError: it does not.
    """
    _require(isinstance(made, np.ndarray), f"apply gives {type(made).__name__}, no array")
    _require(made.dtype == np.uint8, f"apply gives {made.dtype}, not uint8")
    _require(made.shape == shape, f"apply gives the shape {made.shape}, not {shape}")
