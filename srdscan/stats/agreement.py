"""Agreement: does a caption belong to its image? Asked of the data set itself, and of what is known from elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from srdscan.stats.canonical import Floats, Gaussian, Moments, blend, fit
from srdscan.stats.jury import Jury, Model
from srdscan.stats.near_duplicates import near_duplicates
from srdscan.stats.similarity import Similarity
from srdscan.stats.vectors import Indices, Vectors, parts

FOLDS = 5
FEWEST = 100
"""Images below which a data set teaches nothing, and what is known from elsewhere is asked alone."""
OTHERS = 1000
"""Images, drawn at random, that a caption is compared with: a rank is exact to 0.001."""
PRIOR_PAIRS = 500
"""Pairs that the prior counts as where it is mixed with the data set's own."""
TAUGHT_BY = 20_000
"""Pairs, drawn at random, from which the experts' weights are learned."""
RANKED = 100_000
"""Captions whose ranks are told; of more, those of so many drawn at random: their mean is exact to 0.001."""
BLOCK = 2048


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
        ranks: share of other images that a caption fits worse; of a caption of another image uniform. (N,) up to
            `RANKED` captions.
        pictures: (F,) the first image of each picture.
        weights: of the experts, their squares add up to 1; in the order of `names`.
    """

    def __init__(
        self,
        images: Vectors,
        texts: Vectors,
        image_of: Indices,
        prior: Gaussian | None = None,
        prior_images: int = 0,
        seed: int = 0,
        one_space: bool = False,
        looks: Vectors | None = None,
        family_of: Indices | None = None,
    ) -> None:
        self.images, self.image_of = images, image_of
        random = np.random.default_rng(seed)
        count, self.captions = images.shape[0], texts.shape[0]
        self.family_of = near_duplicates(images if looks is None else looks, seed) if family_of is None else family_of
        self.pictures = np.unique(self.family_of, return_index=True)[1]
        self.fold = random.integers(FOLDS, size=count)[self.pictures][self.family_of]
        self.among = np.sort(random.permutation(self.pictures)[:OTHERS])
        experts = self._experts(texts, prior, prior_images, one_space)
        self.names = list(experts)
        others = self.images[self.among]
        self.juries = [Jury([models[fold] for models in experts.values()], others) for fold in range(FOLDS)]
        self.weights = self._learned_weights(texts, random)
        heard = [name for name, weight in zip(self.names, self.weights, strict=True) if weight]
        self.juries = [Jury([experts[name][fold] for name in heard], others) for fold in range(FOLDS)]
        self._say = self.weights[self.weights > 0]
        ranked = np.ones(self.captions, dtype=bool)
        if self.captions > RANKED:
            ranked[random.permutation(self.captions)[RANKED:]] = False
        judged = [self._judged(np.arange(start, start + len(part)), part, ranked) for start, part in parts(texts)]
        self.scores = np.concatenate([scores for scores, _ in judged])
        self.ranks = np.concatenate([ranks for _, ranks in judged])

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
        return self._judged(rows, texts, np.zeros(self.captions, dtype=bool))[0]

    def _experts(
        self, texts: Vectors, prior: Gaussian | None, prior_images: int, one_space: bool
    ) -> dict[str, list[Model]]:
        """Each model, for every fold."""
        sides = (self.images.shape[1], texts.shape[1])
        moments = self._moments(texts)
        whole = sum(moments[1:], start=moments[0])
        found: dict[str, list[Model]] = {}
        if one_space:
            found["matcher"] = [Similarity(whole.mean[sides[0] :])] * FOLDS
        if prior is not None:
            known = fit(Gaussian(whole.mean, prior.covariance), sides, _ridge(sum(sides), prior_images))
            found["prior"] = [known] * FOLDS
        if found and self.images.shape[0] < FEWEST:
            return found
        for fold, part in enumerate(moments):
            rest, kept = whole - part, int((self.fold != fold).sum())
            learned = {"own": fit(rest, sides, _ridge(sum(sides), kept))}
            if prior is not None:
                per_image = rest.count / max(kept, 1)
                both = blend(rest, prior, PRIOR_PAIRS * per_image)
                learned["mixed"] = fit(both, sides, _ridge(sum(sides), kept + PRIOR_PAIRS))
            for name, model in learned.items():
                found.setdefault(name, []).append(model)
        return found

    def _moments(self, texts: Vectors) -> list[Moments]:
        """Of each fold, added up part by part."""
        width = self.images.shape[1] + texts.shape[1]
        total = [Moments(0.0, np.zeros(width), np.zeros((width, width)))] * FOLDS
        for start, part in parts(texts):
            image_of = self.image_of[start : start + len(part)]
            seen, folds = self.images[image_of], self.fold[image_of]
            for fold in range(FOLDS):
                here = folds == fold
                total[fold] = total[fold] + Moments.of(seen[here], part[here])
        return total

    def _learned_weights(self, texts: Vectors, random: np.random.Generator) -> Floats:
        """What tells a pair from a caption with another image."""
        from sklearn.linear_model import LogisticRegression

        rows = np.sort(random.permutation(self.captions)[:TAUGHT_BY])
        drawn = random.integers(len(self.among), size=len(rows))
        pairs, swapped = np.empty((2, len(rows), len(self.names)), np.float32)
        for start in range(0, len(rows), BLOCK):
            images = self.image_of[rows[start : start + BLOCK]]
            said, seen = texts[rows[start : start + BLOCK]], self.images[images]
            for fold in np.unique(self.fold[images]).tolist():
                here = np.flatnonzero(self.fold[images] == fold)
                heard = self.juries[fold].hear(said[here], seen[here])
                pairs[start + here], swapped[start + here] = heard.own, heard.of(drawn[start + here])
        truth = np.repeat([1, 0], len(rows))
        learned = LogisticRegression().fit(np.concatenate([pairs, swapped]), truth).coef_[0]
        weights = np.maximum(learned, 0.0)
        length = float(np.linalg.norm(weights))
        return np.asarray(weights / length if length else np.full(len(weights), len(weights) ** -0.5), np.float32)

    def _judged(self, rows: Indices, texts: npt.NDArray[Any], ranked: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """Scores of K captions, and ranks of those that are ranked.

        Args:
            ranked: (N,) bool.
        """
        scores, ranks = np.empty((2, len(rows)), np.float32)
        for start in range(0, len(rows), BLOCK):
            part = rows[start : start + BLOCK]
            images = self.image_of[part]
            said, seen = texts[start : start + BLOCK], self.images[images]
            for fold in np.unique(self.fold[images]).tolist():
                here = np.flatnonzero(self.fold[images] == fold)
                heard = self.juries[fold].hear(said[here], seen[here])
                scores[start + here] = heard.scores(self._say)
                if ranked[part[here]].any():
                    ranks[start + here] = heard.ranks(self._say)
        return scores, ranks[ranked[rows]]


def _ridge(width: int, pairs: int) -> float:
    """What the largest variance of noise exceeds 1 by, of `pairs` vectors in `width` dimensions.

    The upper edge of Marchenko and Pastur (1967): smaller differences between variances may be chance.
    """
    ratio = width / max(pairs, 1)
    return ratio + 2 * float(np.sqrt(ratio))
