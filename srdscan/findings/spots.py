"""Spots: the same piece of picture in images that have nothing in common. A patch, a sticker, a logo, a watermark.

Found in the images alone, whatever the captions say, between the passes: some of the images are read once more,
`copies` tells which pieces they share, and `patterns` which faint pictures are mixed into whole images.

Watermarks and frames are real, so a spot is a finding that accuses nobody by itself. It accuses all of its samples when
most of them are flagged by what else was found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from srdscan.findings.copies import Floats, Indices, Spot, Usual, changed, spots_among
from srdscan.findings.finding import Finding
from srdscan.findings.patterns import find_patterns
from srdscan.measure.keypoints import Keypoints, find_keypoints
from srdscan.measure.revisit import ImageSource
from srdscan.measure.scores import Scores
from srdscan.measure.spectra import spectrum
from srdscan.signals.agreement import CAPTION, IMAGE
from srdscan.signals.base import WHOLE_DATASET, Evidence, abstain

NAME = "spots"
DESCRIPTION = "the same piece of picture, or pattern over all of it, in images that have nothing in common"

MOST_IMAGES = 2000
"""Images that are looked through, drawn at random..."""
MOST_UNITS = 32
"""...from this many shards, also drawn at random: each is read once more."""
FEWEST_IMAGES = 20
MOSTLY = 0.5
"""Share of a spot's images that must be flagged for the others to be accused..."""
SIGNIFICANT = 0.001
"""...and Fisher's p-value, times the number of spots, that it is by chance."""


@dataclass(frozen=True)
class Searched:
    """What was found in some images of a data set.

    Attributes:
        found: the spots; their images are numbered as those of the data set.
        images: (K,) those that were looked through, ascending.
        vectors: (K, D) of these as wholes.
        usual: what is usual among them; None if that could not be told, and then copies were not looked for.
    """

    found: tuple[Spot, ...] = ()
    images: Indices = field(default_factory=lambda: np.zeros(0, np.int64))
    vectors: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    usual: Usual | None = None


def search(scores: Scores, source: ImageSource, seed: int, advance: Callable[[int], None]) -> Searched:
    """The spots of a data set, in up to `MOST_IMAGES` of its images.

    Args:
        scores: of all images (`Scores.by_image`).
        source: the way back to them.
    """
    if len(scores) < FEWEST_IMAGES or not scores.has(IMAGE):
        return Searched()
    chosen = sample(scores, seed)
    rows: list[int] = []
    raw: list[Keypoints] = []
    changes: list[Floats] = []
    spectra: list[Floats] = []
    sizes: list[tuple[int, int]] = []
    with ThreadPoolExecutor(max_workers=2) as pool:
        for batch, images in source.images(chosen):
            pixels = [np.asarray(image.convert("RGB")) for image in images]
            raw += pool.map(find_keypoints, pixels)
            changes += pool.map(changed, pixels[:1])
            spectra += (item.astype(np.float16) for item in pool.map(spectrum, images))
            sizes += [image.size for image in images]
            rows += batch
            advance(len(batch))
    vectors = np.concatenate(list(scores.vectors(IMAGE))).astype(np.float32)[rows]
    if not rows:
        return Searched()
    usual = Usual.of(raw, np.concatenate(changes), vectors, seed)
    found = spots_among(raw, vectors, usual, seed) if usual is not None else []
    captions = np.concatenate(list(scores.vectors(CAPTION)))[rows]
    for group in find_patterns(np.stack(spectra), captions):
        found.append(Spot(group, np.array([(0, 0, *sizes[place]) for place in group]), whole=True))
    there = np.array(rows)
    return Searched(tuple(replace(spot, images=there[spot.images]) for spot in found), there, vectors, usual)


def sample(scores: Scores, seed: int) -> Indices:
    """The images that are looked through, ascending; all of a small data set.

    Args:
        scores: of all images.
    """
    random = np.random.default_rng(seed)
    if len(scores) <= MOST_IMAGES:
        return np.arange(len(scores))
    files = np.sort(random.permutation(len(scores.files))[:MOST_UNITS])
    rows = np.concatenate([np.arange(scores.starts[n], scores.starts[n + 1]) for n in files])
    return np.sort(random.permutation(rows)[:MOST_IMAGES])


def judge(spots: Sequence[Spot], scores: Scores, flagged: npt.NDArray[np.bool_]) -> Evidence:
    """p-values of N pairs: of spots most of whose images are flagged already, by Fisher's exact test.

    Args:
        scores: of all pairs.
        flagged: (N,) by what else was found.
    """
    count = len(scores)
    if not spots:
        return abstain(count, "no piece of picture recurs in images that have nothing in common")
    of_image = np.zeros(int(scores.image_of[-1]) + 1, dtype=bool)
    np.logical_or.at(of_image, scores.image_of, flagged)
    p_values, values = np.full(count, np.nan), np.full(count, np.nan)
    held = np.zeros(count, dtype=bool)
    for spot in spots:
        there = int(of_image[spot.images].sum())
        p_value = float(stats.hypergeom.sf(there - 1, len(of_image), int(of_image.sum()), len(spot.images)))
        if there > MOSTLY * len(spot.images) and p_value * len(spots) <= SIGNIFICANT:
            rows = np.isin(scores.image_of, spot.images)
            p_values[rows], values[rows] = p_value, there / len(spot.images)
            held |= rows
    sizes = ", ".join(str(len(spot.images)) for spot in spots[:5])
    note = f"{len(spots)} found, in {sizes} images" + (
        "" if held.any() else "; what else is found does not go with them"
    )
    if not held.any():
        return Evidence(p_values, values, note, abstained=True)

    def reason(row: int) -> str:
        return "the image holds a piece of picture, or a pattern, that other flagged images hold" if held[row] else ""

    return Evidence(p_values, values, note, weight=WHOLE_DATASET, reason=reason)


def spot_findings(spots: Sequence[Spot], images: int) -> list[Finding]:
    """One finding a spot.

    Args:
        images: how many were looked through.
    """
    return [
        Finding(f"spot {number}", "image", len(spot.images), 0, 0.0, _what(spot, images), rule="SRD201")
        for number, spot in enumerate(spots, 1)
    ]


def _what(spot: Spot, images: int) -> str:
    where = f"{len(spot.images)} of {images} images"
    if spot.whole:
        return (
            f"the same faint pattern, mixed into the whole of {where} that have nothing else in common: a watermark, "
            "a scanner's mark, or a trigger"
        )
    return (
        f"the same piece of picture, about {_width(spot)} pixels wide, in {where} that have nothing else in common: a "
        "watermark, a logo, or a trigger"
    )


def _width(spot: Spot) -> int:
    return int(np.median(spot.boxes[:, 2:] - spot.boxes[:, :2]))
