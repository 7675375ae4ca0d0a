"""Spots: the same piece of picture in images that have nothing in common. A patch, a sticker, a logo, a watermark.

Found in the images alone, whatever the captions say. Each image is taken apart into small pieces (`measure.keypoints`);
pieces of two images are the same when they differ no more than one picture does from itself after it was compressed
again. Three such pairs with one displacement, not in a line, are a copy: of 180,000 pairs of photographs, none had one.
Images that hold copies of the same pieces form a spot.

Images that are alike as wholes and share a copy, or share one that reaches over much of them, are of one family: a
series taken in one room, crops of one map. Copies within a family do not count, and a spot must be in images of
`LEAST_IMAGES` families.

Watermarks and frames are real, so a spot is a finding that accuses nobody by itself. It accuses all of its samples when
most of them are flagged by what else was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import sparse, stats
from scipy.sparse.csgraph import connected_components

from srdscan.findings.finding import Finding
from srdscan.measure.keypoints import WINDOW, Keypoints, find_keypoints
from srdscan.measure.revisit import ImageSource
from srdscan.measure.scores import Scores
from srdscan.signals.agreement import IMAGE
from srdscan.signals.base import WHOLE_DATASET, Evidence, abstain
from srdscan.stats.close_pairs import close_pairs, whitening

NAME = "spots"
DESCRIPTION = "the same piece of picture in images that have nothing in common"

MOST_IMAGES = 2000
"""Images that are looked through, drawn at random..."""
MOST_UNITS = 32
"""...from this many shards, also drawn at random: each is read once more."""
FEWEST_IMAGES = 20
LEAST_IMAGES = 5
"""Families of images that a spot must be in: a publisher's logo, or a detail of one map in other maps, is in three or
four images of honest data sets (of five that were looked at)."""
LEAST_PIECES = 3
"""Pairs of pieces with one displacement that are a copy."""
DIRECTIONS = 24
"""Directions of the pieces' descriptions that are compared; the rest is noise of compression."""
AGAIN = 75
"""Quality of JPEG at which pictures are compressed again, to know how much that changes (the default of libraries)."""
SAME = 0.95
"""Share of pieces that compression changes by less: pieces that differ by no more are the same."""
ALIKE = 0.95
"""Share of pairs of images that are less alike than two of a family."""
LARGEST_SHARE = 1 / 9
"""Of an image, that a copy may reach over."""
MOSTLY = 0.5
SIGNIFICANT = 0.001

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Spot:
    """A piece of picture that several images share.

    Attributes:
        images: (K,) rows of `Scores.by_image`.
        boxes: (K, 4) left, top, right, bottom of it in each image, in pixels.
    """

    images: Indices
    boxes: npt.NDArray[np.int64]


class _Alike:
    """Whether two images are more alike as wholes than most pairs of images."""

    def __init__(self, vectors: Floats, seed: int) -> None:
        centred = vectors - vectors.mean(axis=0)
        self.unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)
        first, second = np.random.default_rng(seed).integers(len(vectors), size=(2, 20_000))
        cosines = np.einsum("nd,nd->n", self.unit[first], self.unit[second])[first != second]
        self.bar = float(np.quantile(cosines, ALIKE))

    def __call__(self, a: int, b: int) -> bool:
        return float(self.unit[a] @ self.unit[b]) > self.bar


def find_spots(
    pictures: Sequence[Keypoints], sizes: Indices, vectors: Floats, radius: float, seed: int = 0
) -> list[Spot]:
    """The spots among N pictures, those in most images first; their images are numbered as the pictures.

    Args:
        pictures: pieces of each, with whitened descriptions.
        sizes: (N,) pixels of each picture, as it was read.
        vectors: (N, D) of the pictures as wholes.
        radius: distance up to which pieces are the same.
    """
    owner = np.repeat(np.arange(len(pictures)), [len(item.places) for item in pictures])
    if not len(owner):
        return []
    places = np.concatenate([item.places for item in pictures]).astype(np.int64)
    pairs = close_pairs(np.concatenate([item.descriptions for item in pictures]), owner, radius, seed)
    copies = list(_copies(pairs, owner, places))
    family = _families(copies, owner, places, sizes, _Alike(vectors, seed))
    apart = [copy for copy in copies if family[owner[copy[0, 0]]] != family[owner[copy[0, 1]]]]
    if not apart:
        return []
    # the same pieces of other images, and the pieces of one copy, belong together
    links = np.concatenate([link for copy in apart for link in (copy, np.stack([copy[:-1, 0], copy[1:, 0]], axis=1))])
    spot_of = _components(links, len(owner))
    used = np.unique(links)
    spots = []
    for spot in np.unique(spot_of[used]):
        pieces = used[spot_of[used] == spot]
        images = np.unique(owner[pieces])
        if len(np.unique(family[images])) >= LEAST_IMAGES:
            boxes = [_box(places[pieces[owner[pieces] == n]], pictures[n].factor) for n in images.tolist()]
            spots.append(Spot(images, np.array(boxes)))
    return sorted(spots, key=lambda spot: -len(spot.images))


def _families(
    copies: Sequence[Indices], owner: Indices, places: Indices, sizes: Indices, alike: _Alike
) -> npt.NDArray[np.int32]:
    """(N,) the family of each image: images that share much, or a copy while they are alike as wholes."""
    related = [np.zeros((0, 2), np.int64)]
    for copy in copies:
        ends = owner[copy[:1]]
        reach = [np.prod(np.ptp(places[copy[:, side]], axis=0) + 2 * WINDOW + 1) for side in (0, 1)]
        if (reach > LARGEST_SHARE * sizes[ends[0]]).any() or alike(*ends[0].tolist()):
            related.append(ends)
    return _components(np.concatenate(related), len(sizes))


def _components(links: Indices, count: int) -> npt.NDArray[np.int32]:
    """(count,) the component of each node."""
    graph = sparse.coo_matrix((np.ones(len(links), np.int8), links.T), (count, count))
    return np.asarray(connected_components(graph, directed=False)[1])


def _copies(pairs: Indices, owner: Indices, places: Indices) -> Iterator[Indices]:
    """(K, 2) pieces of one image and the same pieces of another, for each two images that share a copy."""
    if not len(pairs):
        return
    pairs = pairs[np.lexsort((owner[pairs[:, 1]], owner[pairs[:, 0]]))]
    images = owner[pairs]
    starts = np.flatnonzero(np.any(np.diff(images, axis=0, prepend=-1), axis=1))
    for start, end in zip(starts, [*starts[1:], len(pairs)], strict=True):
        if end - start < LEAST_PIECES:
            continue
        a, b = pairs[start:end].T
        moved = places[b] - places[a]
        usual, times = np.unique(moved, axis=0, return_counts=True)
        chosen = np.abs(moved - usual[times.argmax()]).max(axis=1) <= 1  # a pixel: extrema move a little
        a, b = a[chosen], b[chosen]
        if min(len(np.unique(a)), len(np.unique(b))) >= LEAST_PIECES and _spread(places[a]) and _spread(places[b]):
            yield np.stack([a, b], axis=1)


def _spread(places: Indices) -> bool:
    """Whether some places do not lie in a line: pieces of a straight edge are the same all along it."""
    return float(np.linalg.eigvalsh(np.cov(places.T))[0]) >= 1.0


def _box(places: Indices, factor: int) -> tuple[int, int, int, int]:
    (top, left), (bottom, right) = places.min(axis=0), places.max(axis=0)
    edges = left - WINDOW, top - WINDOW, right + WINDOW + 1, bottom + WINDOW + 1
    return tuple(int(edge * factor) for edge in edges)  # type: ignore[return-value]


def search(scores: Scores, source: ImageSource, seed: int, advance: Callable[[int], None]) -> list[Spot]:
    """The spots of a data set, in up to `MOST_IMAGES` of its images.

    Args:
        scores: of all images (`Scores.by_image`).
        source: the way back to them.
    """
    if len(scores) < FEWEST_IMAGES or not scores.has(IMAGE):
        return []
    chosen = sample(scores, seed)
    rows: list[int] = []
    raw: list[Keypoints] = []
    sizes: list[int] = []
    changes: list[Floats] = []
    with ThreadPoolExecutor(max_workers=2) as pool:
        for batch, images in source.images(chosen):
            pixels = [np.asarray(image.convert("RGB")) for image in images]
            raw += pool.map(find_keypoints, pixels)
            changes += pool.map(changed, pixels[:1])
            rows += batch
            sizes += [picture.shape[0] * picture.shape[1] for picture in pixels]
            advance(len(batch))
    described = [item.descriptions for item in raw]
    if sum(map(len, described)) < 2 * DIRECTIONS:
        return []
    mean, basis = whitening(np.concatenate(described[:: max(len(described) // 500, 1)]), DIRECTIONS)
    white = [Keypoints(item.places, np.asarray((item.descriptions - mean) @ basis), item.factor) for item in raw]
    moved = np.concatenate(changes) @ basis
    if not len(moved):
        return []
    radius = float(np.quantile(np.linalg.norm(moved, axis=1), SAME))
    vectors = np.concatenate(list(scores.vectors(IMAGE))).astype(np.float32)[rows]
    areas = np.array([size // item.factor**2 for size, item in zip(sizes, raw, strict=True)])
    found = find_spots(white, areas, vectors, radius, seed)
    return [Spot(np.array(rows)[spot.images], spot.boxes) for spot in found]


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


def changed(picture: npt.NDArray[np.uint8]) -> Floats:
    """(K, WIDTH) how descriptions change when a picture is compressed again, its blocks in another place."""
    before = find_keypoints(picture)
    buffer = BytesIO()
    Image.fromarray(picture[3:, 5:]).save(buffer, "JPEG", quality=AGAIN)
    after = find_keypoints(np.asarray(Image.open(buffer).convert("RGB")))
    if before.factor != 1 or after.factor != 1:
        return np.zeros((0, before.descriptions.shape[1]), np.float32)
    there = {(int(y) + 3, int(x) + 5): n for n, (y, x) in enumerate(after.places)}
    both = [(n, there[place]) for n, (y, x) in enumerate(before.places) if (place := (int(y), int(x))) in there]
    if not both:
        return np.zeros((0, before.descriptions.shape[1]), np.float32)
    old, new = np.array(both).T
    return np.asarray(after.descriptions[new] - before.descriptions[old])


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
        return "the image holds a piece of picture that other flagged images hold" if held[row] else ""

    return Evidence(p_values, values, note, weight=WHOLE_DATASET, reason=reason)


def spot_findings(spots: Sequence[Spot], images: int) -> list[Finding]:
    """One finding a spot.

    Args:
        images: how many were looked through.
    """
    return [
        Finding(
            f"spot {number}",
            "image",
            len(spot.images),
            0,
            0.0,
            f"the same piece of picture, about {_width(spot)} pixels wide, in {len(spot.images)} of {images} images "
            "that have nothing else in common: a watermark, a logo, or a trigger",
        )
        for number, spot in enumerate(spots, 1)
    ]


def _width(spot: Spot) -> int:
    return int(np.median(spot.boxes[:, 2:] - spot.boxes[:, :2]))
