"""How a caption stands between its own image and others, by several models, without a look at each of the others.

Each model says v . u - a_v - a_u of a text and an image (`canonical.information`). Over the other images that is linear
in what they are, so its mean and its variance follow from theirs, and how much what two models say goes together, too:
a product of a few numbers a text instead of one with each other image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from srdscan.stats.canonical import Floats, Side

TINY = 1e-6


class Model(Protocol):
    """A model of what image and caption have in common; two sides give the `information` of each pair."""

    def images(self, x: npt.NDArray[np.floating]) -> Side:
        """What it needs of N vectors of images."""
        ...

    def texts(self, t: npt.NDArray[np.floating]) -> Side:
        """What it needs of N vectors of texts."""
        ...


class Jury:
    """Some models, with their view of the M images that captions are compared with.

    Args:
        models: E of them.
        others: (M, X) vectors of these images.
    """

    def __init__(self, models: Sequence[Model], others: npt.NDArray[Any]) -> None:
        self.models = models
        seen = [_widened(model.images(others.astype(np.float64))) for model in models]
        self.centres = [side.mean(axis=0) for side in seen]
        self.others = [side - centre for side, centre in zip(seen, self.centres, strict=True)]
        self.products = [[one.T @ two / len(others) for two in self.others] for one in self.others]

    def hear(self, texts: npt.NDArray[Any], images: npt.NDArray[Any]) -> Heard:
        """What each model says of K pairs.

        Args:
            texts: (K, T) unit vectors.
            images: (K, X) the vectors of their images.
        """
        told = [_of_text(model.texts(texts.astype(np.float32))) for model in self.models]
        each = range(len(told))
        together = np.empty((len(texts), len(told), len(told)), np.float32)
        for one in each:
            for two in range(one, len(told)):
                products = np.einsum("kr,kr->k", told[one] @ self.products[one][two], told[two])
                together[:, one, two] = together[:, two, one] = products
        spread = np.sqrt(np.maximum(together[:, each, each], np.float32(0))) + np.float32(TINY)
        seen = images.astype(np.float32)
        own = np.stack(
            [
                np.einsum("kr,kr->k", told[place], _widened(self.models[place].images(seen)) - self.centres[place])
                for place in each
            ],
            axis=1,
        )
        correlations = together / (spread[:, :, None] * spread[:, None, :])
        return Heard(self, told, np.asarray(spread), np.asarray(own / spread), np.asarray(correlations))


@dataclass(frozen=True)
class Heard:
    """What E models say of K pairs.

    Attributes:
        told: of each model, what it needs of the texts.
        spread: (K, E) standard deviation of what it says of a text with others.
        own: (K, E) what it says of the pair, in these from the mean over others.
        together: (K, E, E) correlations over the others.
    """

    jury: Jury
    told: Sequence[Floats]
    spread: Floats
    own: Floats
    together: Floats

    def of(self, others: npt.NDArray[np.int64]) -> Floats:
        """(K, E) what each model says of each text with one of the other images instead."""
        pairs = zip(self.told, self.jury.others, strict=True)
        said = np.stack([np.einsum("kr,kr->k", v, u[others]) for v, u in pairs], axis=1)
        return np.asarray(said / self.spread, np.float32)

    def scores(self, weights: Floats) -> Floats:
        """(K,) what they say together, in standard deviations over the others."""
        variance = np.einsum("kef,e,f->k", self.together, weights, weights)
        return np.asarray(self.own @ weights / (np.sqrt(np.maximum(variance, 0.0)) + TINY), np.float32)

    def ranks(self, weights: Floats) -> Floats:
        """(K,) share of the others that each text fits worse than its own image."""
        parts = [w / self.spread[:, place, None] * self.told[place] for place, w in enumerate(weights)]
        others = np.concatenate(parts, axis=1) @ np.concatenate(self.jury.others, axis=1).T
        own = (self.own @ weights)[:, None]
        return np.asarray(((others < own).mean(axis=1) + (others <= own).mean(axis=1)) / 2, np.float32)


def _widened(side: Side) -> Floats:
    """(N, R + 1) of images: their variables, and what is taken off."""
    return np.concatenate([side.variables, -side.alone[:, None]], axis=1)


def _of_text(side: Side) -> Floats:
    """(N, R + 1) of texts: what is taken off of a text is the same for all images, and left out."""
    return np.concatenate([side.variables, np.ones((len(side.variables), 1), np.float32)], axis=1)
