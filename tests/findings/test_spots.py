"""The same piece of picture in images that have nothing in common: found in the images alone."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from srdscan.findings.copies import Alike, Spot, find_spots
from srdscan.findings.spots import judge, sample, spot_findings
from srdscan.measure.keypoints import Keypoints, find_keypoints
from srdscan.measure.scores import Scores, join_columns, write_table
from srdscan.stats.close_pairs import whitening

COUNT = 80
SIDE = 160
RADIUS = 0.5
Array = np.ndarray


def scene(random: np.random.Generator) -> Array:
    """Clouds of many sizes, as photographs have: no two pictures share a piece."""
    layers = [
        np.asarray(
            Image.fromarray(random.integers(0, 256, (size, size, 3), dtype=np.uint8)).resize((SIDE, SIDE), 3), float
        )
        for size in (4, 10, 25, 60, 120)
    ]
    return np.clip(np.mean(layers, axis=0) * 1.4 - 50, 0, 255).astype(np.uint8)


def compressed(picture: Array) -> Array:
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=90)
    return np.asarray(Image.open(buffer).convert("RGB"))


def checkerboard(size: int = 32) -> Array:
    colours = np.array([[200, 40, 90], [30, 180, 220]], np.uint8)
    return colours[(np.indices((size, size)) // 8).sum(axis=0) % 2]


def logo(size: int = 32) -> Array:
    picture = Image.new("RGB", (4 * size, 4 * size), (250, 220, 40))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((size // 4, size // 4, 15 * size // 4, 15 * size // 4), fill=(200, 30, 40))
    draw.polygon([(2 * size, size // 2), (3 * size, 3 * size), (size, 3 * size)], fill=(255, 255, 255))
    draw.rectangle((size * 7 // 4, size * 2, size * 9 // 4, size * 11 // 4), fill=(20, 30, 120))
    return np.asarray(picture.resize((size, size), 1))


@pytest.fixture(scope="module")
def pictures() -> list[Array]:
    random = np.random.default_rng(0)
    return [scene(random) for _ in range(COUNT)]


def found(pictures: list[Array], vectors: Array | None = None) -> list[Spot]:
    raw = [find_keypoints(compressed(picture)) for picture in pictures]
    mean, basis = whitening(np.concatenate([item.descriptions for item in raw]), 24)
    white = [Keypoints(item.places, (item.descriptions - mean) @ basis, item.area) for item in raw]
    if vectors is None:
        vectors = np.random.default_rng(1).normal(size=(len(pictures), 16)).astype(np.float32)
    return find_spots(white, vectors, RADIUS, Alike.of(vectors))


def with_patch(pictures: list[Array], patch: Array, rows: list[int]) -> tuple[list[Array], dict[int, tuple[int, int]]]:
    random, places = np.random.default_rng(2), {}
    changed = [picture.copy() for picture in pictures]
    for row in rows:
        top, left = random.integers(SIDE - len(patch), size=2).tolist()
        changed[row][top : top + len(patch), left : left + len(patch)] = patch
        places[row] = (top, left)
    return changed, places


def test_pictures_that_share_nothing_hold_no_spot(pictures: list[Array]) -> None:
    assert found(pictures) == []


@pytest.mark.parametrize("patch", [checkerboard(), logo()], ids=["checkerboard", "logo"])
def test_a_patch_at_random_places_is_found_with_its_images_and_where_it_is(pictures: list[Array], patch: Array) -> None:
    rows = list(range(3, 75, 6))
    changed, places = with_patch(pictures, patch, rows)
    (spot,) = found(changed)
    assert set(spot.images.tolist()) <= set(rows)
    assert len(spot.images) >= 0.8 * len(rows)
    for image, (left, top, right, bottom) in zip(spot.images.tolist(), spot.boxes.tolist(), strict=True):
        y, x = places[image]
        assert y - 8 <= top < bottom <= y + 40
        assert x - 8 <= left < right <= x + 40
    (finding,) = spot_findings([spot], COUNT)
    assert finding.samples == len(spot.images)
    assert f"{len(spot.images)} of {COUNT} images" in finding.explanation


def test_two_patches_are_two_spots(pictures: list[Array]) -> None:
    changed, _ = with_patch(pictures, checkerboard(), list(range(0, 40, 4)))
    changed, _ = with_patch(changed, logo(), list(range(41, 80, 4)))
    spots = found(changed)
    assert len(spots) == 2
    assert not set(spots[0].images) & set(spots[1].images)


def test_a_patch_in_four_images_is_too_few(pictures: list[Array]) -> None:
    changed, _ = with_patch(pictures, checkerboard(), [1, 20, 40, 60])
    assert found(changed) == []


def test_a_series_from_one_room_is_no_spot(pictures: list[Array]) -> None:
    changed = list(pictures)
    for row in range(10):  # a camera that stands still: only the middle changes
        changed[row] = pictures[0].copy()
        changed[row][40:120, 40:120] = pictures[row + 20][40:120, 40:120]
    assert found(changed) == []


def test_copies_in_images_that_are_alike_as_wholes_do_not_count(pictures: list[Array]) -> None:
    rows = list(range(10))
    changed, _ = with_patch(pictures, checkerboard(), rows)
    vectors = np.random.default_rng(1).normal(size=(COUNT, 16)).astype(np.float32)
    vectors[rows] = vectors[0] + 0.1 * vectors[rows]
    assert found(changed, vectors) == []


def test_straight_edges_are_not_the_same_piece_all_along(pictures: list[Array]) -> None:
    changed = [picture.copy() for picture in pictures]
    for row in range(0, 80, 4):
        changed[row][: 20 + row // 4], changed[row][140:] = 0, 255
    assert found(changed) == []


def test_large_pictures_are_read_smaller_and_tiny_ones_have_no_pieces() -> None:
    random = np.random.default_rng(0)
    large = np.asarray(Image.fromarray(scene(random)).resize((1400, 900)).filter(ImageFilter.SHARPEN))
    assert find_keypoints(large).factor == 3
    assert len(find_keypoints(large[:10, :10]).places) == 0
    assert len(find_keypoints(np.full((100, 100, 3), 128, np.uint8)).places) == 0


def scores_of(count: int, folder) -> Scores:
    table = join_columns([{"index": np.arange(count), "image_index": np.zeros(count, np.int64)}])
    write_table(table, folder / "0.parquet")
    return Scores((folder / "0.parquet",), {})


def test_a_spot_accuses_its_images_only_with_what_else_is_found(tmp_path) -> None:
    scores = scores_of(200, tmp_path)
    spot = Spot(np.arange(0, 100, 10), np.zeros((10, 4), np.int64))
    alone = judge([spot], scores, np.zeros(200, bool))
    assert alone.abstained
    assert np.isnan(alone.p_values).all()
    flagged = np.zeros(200, bool)
    flagged[[0, 10, 20, 30, 40, 50, 60, 150]] = True  # seven of ten
    together = judge([spot], scores, flagged)
    assert np.flatnonzero(np.isfinite(together.p_values)).tolist() == list(range(0, 100, 10))
    assert together.p_values[90] < 1e-6
    assert "piece of picture" in together.reason(90)
    assert judge([], scores, flagged).abstained


def test_of_a_large_data_set_a_few_shards_are_looked_through(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("srdscan.findings.spots.MOST_IMAGES", 30)
    monkeypatch.setattr("srdscan.findings.spots.MOST_UNITS", 3)
    paths = []
    for number in range(10):
        table = join_columns([{"index": np.arange(20), "image_index": np.zeros(20, np.int64)}])
        write_table(table, tmp_path / f"{number}.parquet")
        paths.append(tmp_path / f"{number}.parquet")
    chosen = sample(Scores(tuple(paths), {}), seed=0)
    assert len(chosen) == len(set(chosen.tolist())) == 30
    assert len(set((chosen // 20).tolist())) == 3
    assert sample(Scores(tuple(paths[:1]), {}), seed=0).tolist() == list(range(20))
