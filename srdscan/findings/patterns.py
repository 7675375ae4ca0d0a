"""Patterns: the same faint picture mixed into whole images that have nothing in common.

A pattern that is added to an image adds the same numbers to its spectrum. One image hides them; thirty have them in
common. Each coefficient is measured in its own spread over the data set, each image in its own, so that neither the
strong waves of all pictures nor busy pictures decide, and images are compared by the cosine of what is left: of two
photographs about 0 with a spread of 0.01, of two that a random picture was mixed into (alpha 0.15) 0.04 to 0.2.

Groups are looked for along the strongest directions of these cosines (the spiked covariance of Johnstone 2001): each
image is held against the mean of the group without it, and belongs to it where it stands out among all images; the
group is formed anew until it stays. Images that are of one kind have fine structure in common, too: a paper's grain, a
chart's axes, one room. These also have their layout in common, in the coarse waves that a faint pattern leaves alone,
or what their captions say; a pattern was laid over images drawn at random.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import linalg, stats

from srdscan.findings.copies import LEAST_IMAGES
from srdscan.findings.strangeness import GOES_WITH
from srdscan.stats.likeness import Likeness

COARSE = 8
"""Half-waves, down and across together, up to which a coefficient is the layout and not the pattern."""
DIRECTIONS = 8
TURNS = 6
"""Times that a group is formed anew."""
SIGNIFICANT = 0.01
"""Images that stand out by chance, in all."""
FEW = 0.1
"""Images that stand out on the other side, for each of the group; if more do, images vary in that direction."""
LARGEST = 6.0
"""Spreads up to which a coefficient counts: edges are larger."""

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


def find_patterns(spectra: npt.NDArray[np.floating], captions: Floats) -> list[Indices]:
    """The groups of images that share a pattern, the largest first.

    Args:
        spectra: (N, S, S) of the images (`measure.spectra.spectrum`).
        captions: (N, D) vectors of what is said of them.
    """
    if len(spectra) < 2 * LEAST_IMAGES:
        return []
    waves = np.add.outer(np.arange(spectra.shape[1]), np.arange(spectra.shape[2]))
    layout = _unit(spectra[:, (waves > 0) & (waves < COARSE)].astype(np.float32))
    fine = _in_spreads(spectra[:, waves >= COARSE].astype(np.float32))
    cosines = fine @ fine.T
    np.fill_diagonal(cosines, 0.0)  # each is held against the others
    alike = [Likeness(captions.astype(np.float32)), Likeness(layout)]
    found: list[Indices] = []
    for group in sorted(_groups(cosines), key=lambda group: (-len(group), group.tolist())):
        known = any(len(np.intersect1d(group, other)) > 0.5 * len(group) for other in found)
        if not known and all(likeness(group) < GOES_WITH for likeness in alike):
            found.append(group)
    return found


def _in_spreads(fine: Floats) -> Floats:
    """Coefficients in the spread of each over all images, then of each image over its coefficients; unit vectors."""
    fine /= np.median(np.abs(fine), axis=0) + 0.02
    fine /= np.median(np.abs(fine), axis=1, keepdims=True) + 1e-6
    return _unit(np.clip(fine, -LARGEST, LARGEST, out=fine))


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6))


def _groups(cosines: Floats) -> Iterator[Indices]:
    """Images that stand out together, whatever they show."""
    count = len(cosines)
    bar = float(stats.norm.isf(SIGNIFICANT / count))
    first = max(count - DIRECTIONS, 0)
    _, directions = linalg.eigh(cosines, subset_by_index=[first, count - 1])
    for direction in np.concatenate([directions.T, -directions.T]):
        weight = np.maximum(direction, 0.0)
        inside = np.zeros(count, dtype=bool)
        standing = np.zeros(count)
        for _ in range(TURNS):
            standing = _standing(cosines @ weight)
            inside = standing > bar
            if inside.sum() < LEAST_IMAGES:
                break
            weight = inside / np.sqrt(inside.sum(), dtype=np.float32)
        if inside.sum() >= LEAST_IMAGES and (standing < -bar).sum() <= FEW * inside.sum():
            yield np.flatnonzero(inside)


def _standing(scores: Floats) -> npt.NDArray[np.float64]:
    """In robust spreads from the median: a group is a small part."""
    centre = np.median(scores)
    spread = 1.4826 * np.median(np.abs(scores - centre))
    return np.asarray((scores - centre) / max(float(spread), 1e-9), np.float64)
