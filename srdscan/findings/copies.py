"""Copies: pieces of picture that stand in several images, and the families of images that do not count as several.

Pieces of two images are the same when they differ no more than one picture does from itself after it was compressed
again. Three such pairs with one displacement, not in a line, are a copy: of 180,000 pairs of photographs, none had one.
Images that hold copies of the same pieces form a spot.

Images that are alike as wholes and share a copy, or share one that reaches over much of them, are of one family: a
series taken in one room, crops of one map. Copies within a family do not count, and a spot must be in images of
`LEAST_IMAGES` families.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from srdscan.measure.keypoints import WINDOW, Keypoints, find_keypoints
from srdscan.stats.close_pairs import close_pairs, whitening

LEAST_IMAGES = 5
"""Families of images that a spot must be in: a publisher's logo, or a detail of one map in other maps, is in three or
four images of honest data sets (of five that were looked at)."""
LEAST_PIECES = 3
"""Pairs of pieces with one displacement that are a copy."""
MOST_TRIED = 16
"""Displacements of two images that are tried, the most frequent."""
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
MOST_WHITENED = 500
"""Pictures whose pieces tell how descriptions vary."""

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Spot:
    """A piece of picture that several images share.

    Attributes:
        images: (K,) rows of `Scores.by_image`.
        boxes: (K, 4) left, top, right, bottom of it in each image, in pixels.
        whole: whether it is a pattern over the whole image.
    """

    images: Indices
    boxes: npt.NDArray[np.int64]
    whole: bool = False


@dataclass(frozen=True)
class Alike:
    """Whether two images are more alike as wholes than most pairs of a data set's images.

    Attributes:
        mean: (D,) of the images' vectors.
        bar: cosine of centred vectors above which two are.
    """

    mean: Floats
    bar: float

    @classmethod
    def of(cls, vectors: Floats, seed: int = 0) -> Alike:
        """Of a data set's (N, D) vectors."""
        mean = vectors.mean(axis=0)
        first, second = np.random.default_rng(seed).integers(len(vectors), size=(2, 20_000))
        unit = _unit(vectors - mean)
        cosines = np.einsum("nd,nd->n", unit[first], unit[second])[first != second]
        return cls(mean, float(np.quantile(cosines, ALIKE)))

    def __call__(self, a: Floats, b: Floats) -> bool:
        """Of the (D,) vectors of two images."""
        one, other = _unit(np.stack([a, b]) - self.mean)
        return float(one @ other) > self.bar


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9), np.float32)


@dataclass(frozen=True)
class Usual:
    """What is usual among a data set's pictures, against which copies are told.

    Attributes:
        mean, basis: (WIDTH,) and (WIDTH, DIRECTIONS), which whiten descriptions of pieces.
        radius: distance up to which whitened pieces are the same.
        alike: of images as wholes.
    """

    mean: Floats
    basis: Floats
    radius: float
    alike: Alike

    @classmethod
    def of(cls, raw: Sequence[Keypoints], changes: Floats, vectors: Floats, seed: int = 0) -> Usual | None:
        """Of N pictures; None if they hold too few pieces to tell.

        Args:
            raw: pieces of each, as `find_keypoints` describes them.
            changes: (K, WIDTH) how descriptions change when pictures are compressed again (`changed`).
            vectors: (N, D) of the pictures as wholes.
            seed: of the pairs that tell what is alike.
        """
        described = [item.descriptions for item in raw]
        if not len(changes) or sum(map(len, described)) < 2 * DIRECTIONS:
            return None
        mean, basis = whitening(np.concatenate(described[:: max(len(described) // MOST_WHITENED, 1)]), DIRECTIONS)
        radius = float(np.quantile(np.linalg.norm(changes @ basis, axis=1), SAME))
        return cls(mean, basis, radius, Alike.of(vectors, seed))


def spots_among(raw: Sequence[Keypoints], vectors: Floats, usual: Usual, seed: int = 0) -> list[Spot]:
    """The spots among N pictures, those in most images first; their images are numbered as the pictures.

    Args:
        raw: pieces of each, as `find_keypoints` describes them.
        vectors: (N, D) of the pictures as wholes.
        usual: of these pictures, or of the data set that they are a part of.
        seed: of the hashes.
    """
    white = [replace(item, descriptions=np.asarray((item.descriptions - usual.mean) @ usual.basis)) for item in raw]
    return find_spots(white, vectors, usual.radius, usual.alike, seed)


def find_spots(
    pictures: Sequence[Keypoints], vectors: Floats, radius: float, alike: Alike, seed: int = 0
) -> list[Spot]:
    """The spots among N pictures, those in most images first; their images are numbered as the pictures.

    Args:
        pictures: pieces of each, with whitened descriptions.
        vectors: (N, D) of the pictures as wholes.
        radius: distance up to which pieces are the same.
        alike: whether images are alike as wholes.
    """
    owner = np.repeat(np.arange(len(pictures)), [len(item.places) for item in pictures])
    if not len(owner):
        return []
    places = np.concatenate([item.places for item in pictures]).astype(np.int64)
    pairs = close_pairs(np.concatenate([item.descriptions for item in pictures]), owner, radius, seed)
    copies = list(_copies(pairs, owner, places))
    family = _families(copies, owner, places, [item.area for item in pictures], vectors, alike)
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
    copies: Sequence[Indices], owner: Indices, places: Indices, areas: Sequence[int], vectors: Floats, alike: Alike
) -> npt.NDArray[np.int32]:
    """(N,) the family of each image: images that share much, or a copy while they are alike as wholes."""
    related = [np.zeros((0, 2), np.int64)]
    for copy in copies:
        ends = owner[copy[0]]
        reach = [int(np.prod(np.ptp(places[pieces], axis=0) + 2 * WINDOW + 1)) for pieces in copy.T]
        wide = any(part > LARGEST_SHARE * areas[end] for part, end in zip(reach, ends, strict=True))
        if wide or alike(vectors[ends[0]], vectors[ends[1]]):
            related.append(ends[None])
    return _components(np.concatenate(related), len(areas))


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
        _, place, times = np.unique(moved @ [1 << 16, 1], return_index=True, return_counts=True)
        usual = moved[place[np.argsort(-times, kind="stable")[:MOST_TRIED]]]
        near = np.abs(moved[:, None] - usual).max(axis=2) <= 1  # a pixel: extrema move a little
        chosen = near[:, near.sum(axis=0).argmax()]
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
