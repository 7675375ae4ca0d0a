"""Agreement: does a caption belong to its image? Asked of the data set itself, and of what is known from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from srdscan.stats.canonical import (
    Floats,
    Gaussian,
    Moments,
    Side,
    blend,
    fit,
    information,
    paired_information,
)
from srdscan.stats.near_duplicates import near_duplicates
from srdscan.stats.similarity import Similarity

FOLDS = 5
FEWEST = 100
"""Images below which a data set teaches nothing, and what is known from elsewhere is asked alone."""
OTHERS = 1000
"""Images, drawn at random, that a caption is compared with: a rank is exact to 0.001."""
PRIOR_PAIRS = 500
"""Pairs that the prior counts as where it is mixed with the data set's own."""
TAUGHT_BY = 20_000
"""Pairs, drawn at random, from which the experts' weights are learned."""
BLOCK = 2048


class Model(Protocol):
    """A model of what image and caption have in common; two sides give the `information` of each pair."""

    def images(self, x: npt.NDArray[np.floating]) -> Side:
        """What it needs of N vectors of images."""
        ...

    def texts(self, t: npt.NDArray[np.floating]) -> Side:
        """What it needs of N vectors of texts."""
        ...


@dataclass(frozen=True)
class Expert:
    """A model for one fold, with its view of the images that a caption is compared with."""

    model: Model
    others: Side

    @classmethod
    def of(cls, model: Model, others: npt.NDArray[Any]) -> Expert:
        """Of (M, X) vectors of these images."""
        return cls(model, model.images(others))


class Agreement:
    """What a data set's pairs have in common, cross-fitted: no caption is judged by what it taught.

    Nor by what other captions of the same picture taught, in whatever samples it stands (`near_duplicates`): a picture
    under a dozen lies would make them true.

    Up to four experts look at each pair:

    own      the data set's own moments
    prior    those of other data, where the vectors are the ones that it is about
    mixed    the data set's own and the prior's together
    matcher  the cosine, where a matcher puts images and texts into one space (`stats.similarity`)

    Each says how much better a caption fits its image than it fits others, in standard deviations over the others. How
    much each counts is learned by logistic regression, which tells pairs from captions with an image drawn at random: a
    prior of other pictures is not heard, nor is a matcher that never saw such images, and too few pairs teach nothing.

    Args:
        images: (M, X) vectors of images.
        texts: (N, T) unit vectors of captions.
        image_of: (N,) the image of each caption.
        prior: of pairs [x, t]; None if the vectors are not those that it is about.
        prior_images: images that the prior was fitted on.
        one_space: whether images and texts are unit vectors in one space, of a matcher.
        looks: (M, L) vectors that tell near duplicates of pictures; `images` if None.
        family_of: (M,) the picture that each image is, where that is known already.

    Attributes:
        scores: (N,) how many standard deviations a caption fits its own image better than others; of a caption of
            another image about N(0, 1).
        family_of: (M,) the picture that each image is, from 0; near duplicates are one.
        ranks: (N,) share of other images that a caption fits worse; of a caption of another image uniform.
        pictures: (F,) the first image of each picture.
        weights: of the experts, their squares add up to 1; in the order of `names`.
    """

    def __init__(
        self,
        images: npt.NDArray[Any],
        texts: npt.NDArray[Any],
        image_of: npt.NDArray[np.int64],
        prior: Gaussian | None = None,
        prior_images: int = 0,
        seed: int = 0,
        one_space: bool = False,
        looks: npt.NDArray[Any] | None = None,
        family_of: npt.NDArray[np.int64] | None = None,
    ) -> None:
        self.images, self.image_of = images, image_of
        random = np.random.default_rng(seed)
        count = len(images)
        self.family_of = near_duplicates(images if looks is None else looks, seed) if family_of is None else family_of
        self.pictures = np.unique(self.family_of, return_index=True)[1]
        self.fold = random.integers(FOLDS, size=count)[self.pictures][self.family_of]
        self.among = np.sort(random.permutation(self.pictures)[:OTHERS])
        self.experts = self._experts(texts, prior, prior_images, one_space)
        self.names = list(self.experts)
        self.weights = self._learned_weights(texts, random)
        self.scores, self.ranks = self._judged(np.arange(len(texts)), texts)

    @property
    def competence(self) -> float:
        """How often a caption fits its own image better than another, from 0.5 (chance) to 1."""
        return float(self.ranks.mean()) if len(self.ranks) else 0.5

    def of(self, rows: npt.NDArray[np.int64], texts: npt.NDArray[Any]) -> Floats:
        """(K,) scores of other texts in the place of some captions.

        Args:
            rows: (K,) whose image each text is about.
            texts: (K, T) unit vectors.
        """
        return self._judged(rows, texts)[0]

    def _experts(
        self, texts: npt.NDArray[Any], prior: Gaussian | None, prior_images: int, one_space: bool
    ) -> dict[str, list[Expert]]:
        """Each model, for every fold."""
        sides = (self.images.shape[1], texts.shape[1])
        others = self.images[self.among]
        of_rows = self.fold[self.image_of]
        parts = [self._moments(texts, np.flatnonzero(of_rows == fold)) for fold in range(FOLDS)]
        whole = sum(parts[1:], start=parts[0])
        found: dict[str, list[Expert]] = {}
        if one_space:
            found["matcher"] = [Expert.of(Similarity(whole.mean[sides[0] :]), others)] * FOLDS
        if prior is not None:
            known = fit(Gaussian(whole.mean, prior.covariance), sides, _ridge(sum(sides), prior_images))
            found["prior"] = [Expert.of(known, others)] * FOLDS
        if found and len(self.images) < FEWEST:
            return found
        for fold, part in enumerate(parts):
            rest, kept = whole - part, int((self.fold != fold).sum())
            learned = {"own": fit(rest, sides, _ridge(sum(sides), kept))}
            if prior is not None:
                per_image = rest.count / max(kept, 1)
                both = blend(rest, prior, PRIOR_PAIRS * per_image)
                learned["mixed"] = fit(both, sides, _ridge(sum(sides), kept + PRIOR_PAIRS))
            for name, model in learned.items():
                found.setdefault(name, []).append(Expert.of(model, others))
        return found

    def _moments(self, texts: npt.NDArray[Any], rows: npt.NDArray[np.int64]) -> Moments:
        """Of some rows, added up block by block."""
        width = self.images.shape[1] + texts.shape[1]
        total = Moments(0.0, np.zeros(width), np.zeros((width, width)))
        for start in range(0, len(rows), BLOCK):
            part = rows[start : start + BLOCK]
            total = total + Moments.of(self.images[self.image_of[part]], texts[part])
        return total

    def _standing(self, name: str, rows: npt.NDArray[np.int64], texts: npt.NDArray[Any]) -> tuple[Floats, Floats]:
        """How much better texts fit their own image, (K,), and the other images, (K, M), in standard deviations."""
        own = np.empty(len(rows), np.float32)
        other = np.empty((len(rows), len(self.among)), np.float32)
        folds = self.fold[self.image_of[rows]]
        for fold in np.unique(folds):
            here = np.flatnonzero(folds == fold)
            expert = self.experts[name][fold]
            side = expert.model.texts(texts[here].astype(np.float64))
            images = expert.model.images(self.images[self.image_of[rows[here]]].astype(np.float64))
            own[here] = paired_information(side, images)
            other[here] = information(side, expert.others)
        centre, spread = other.mean(axis=1), other.std(axis=1) + 1e-6
        return (own - centre) / spread, (other - centre[:, None]) / spread[:, None]

    def _learned_weights(self, texts: npt.NDArray[Any], random: np.random.Generator) -> Floats:
        """What tells a pair from a caption with another image."""
        rows = np.sort(random.permutation(len(texts))[:TAUGHT_BY])
        drawn = random.integers(len(self.among), size=len(rows))
        pairs, swapped = np.empty((2, len(rows), len(self.names)), np.float32)
        for start in range(0, len(rows), BLOCK):
            part = slice(start, min(start + BLOCK, len(rows)))
            for place, name in enumerate(self.names):
                own, other = self._standing(name, rows[part], texts[rows[part]])
                pairs[part, place] = own
                swapped[part, place] = other[np.arange(len(own)), drawn[part]]
        truth = np.repeat([1, 0], len(rows))
        learned = LogisticRegression().fit(np.concatenate([pairs, swapped]), truth).coef_[0]
        weights = np.maximum(learned, 0.0)
        length = float(np.linalg.norm(weights))
        return np.asarray(weights / length if length else np.full(len(weights), len(weights) ** -0.5), np.float32)

    def _judged(self, rows: npt.NDArray[np.int64], texts: npt.NDArray[Any]) -> tuple[Floats, Floats]:
        """Scores and ranks, (K,) each."""
        scores, ranks = np.empty((2, len(rows)), np.float32)
        for start in range(0, len(rows), BLOCK):
            part = slice(start, start + BLOCK)
            own = np.zeros(len(rows[part]), np.float32)
            other = np.zeros((len(rows[part]), len(self.among)), np.float32)
            for weight, name in zip(self.weights, self.names, strict=True):
                if weight:
                    standing = self._standing(name, rows[part], texts[part])
                    own += weight * standing[0]
                    other += weight * standing[1]
            scores[part] = own / (other.std(axis=1) + 1e-6)
            ranks[part] = ((other < own[:, None]).mean(axis=1) + (other <= own[:, None]).mean(axis=1)) / 2
        return scores, ranks


def _ridge(width: int, pairs: int) -> float:
    """What the largest variance of noise exceeds 1 by, of `pairs` vectors in `width` dimensions.

    The upper edge of Marchenko and Pastur (1967): smaller differences between variances may be chance.
    """
    ratio = width / max(pairs, 1)
    return ratio + 2 * float(np.sqrt(ratio))
