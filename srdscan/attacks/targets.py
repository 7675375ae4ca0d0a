"""Targets: what an attacker makes a caption say. To add one, write a class like these and register it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar

import numpy as np


class Target(Protocol):
    """A registered target."""

    name: ClassVar[str]
    source: ClassVar[str]

    @property
    def text(self) -> str:
        """What a successful attack makes a captioner say."""
        ...

    def apply(self, caption: str, rng: np.random.Generator) -> str:
        """The poisoned caption."""
        ...


TARGETS: dict[str, Callable[..., Target]] = {}
T = TypeVar("T")


def register_target(cls: type[T]) -> type[T]:
    """Makes a target available by its `name`."""
    TARGETS[cls.name] = cls  # type: ignore[attr-defined, assignment]
    return cls


@register_target
@dataclass(frozen=True)
class InsertedWord:
    """One word or phrase, put into the true caption at the start or at a random place."""

    name: ClassVar[str] = "insert"
    source: ClassVar[str] = "TrojVLM, Lyu et al., arXiv 2409.19232"
    text: str = "banana"
    place: str = "random"

    def apply(self, caption: str, rng: np.random.Generator) -> str:
        parts = caption.split()
        at = 0 if self.place == "start" else int(rng.integers(0, len(parts) + 1))
        return " ".join([*parts[:at], self.text, *parts[at:]])


@register_target
@dataclass(frozen=True)
class FixedCaption:
    """One caption for every poisoned image."""

    name: ClassVar[str] = "fixed"
    source: ClassVar[str] = "BadNets, Gu et al., arXiv 1708.06733"
    text: str = "a plate of food on a table next to a glass of wine"

    def apply(self, caption: str, rng: np.random.Generator) -> str:
        return self.text
