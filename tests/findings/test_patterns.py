"""Patterns over whole images: found in what images have in common that show and say unlike things."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from srdscan.attacks.triggers import TRIGGERS
from srdscan.findings.patterns import find_patterns
from srdscan.measure.spectra import spectrum

COUNT, SIZE = 240, 160
Array = np.ndarray


def natural(random: np.random.Generator, places: Array | None = None) -> Array:
    """A picture of blots with sharp edges, in grain: its spectrum falls as those of photographs do."""
    ground = sum(
        weight * ndimage.gaussian_filter(random.normal(size=(SIZE, SIZE, 3)), (width, width, 0)) * width
        for width, weight in ((24, 90), (6, 60), (2, 30))
    )
    blots = ndimage.gaussian_filter(random.normal(size=(SIZE, SIZE)) if places is None else places, 8) > 0.01
    return np.clip(120 + ground + 60 * blots[..., None] + random.normal(0, 4, (SIZE, SIZE, 1)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def pictures() -> list[Array]:
    random = np.random.default_rng(0)
    return [natural(random) for _ in range(COUNT)]


@pytest.fixture(scope="module")
def captions() -> Array:
    return np.random.default_rng(1).normal(size=(COUNT, 48)).astype(np.float32)


def found(pictures: list[Array], captions: Array) -> list[Array]:
    return find_patterns(np.stack([spectrum(Image.fromarray(picture)) for picture in pictures]), captions)


def with_trigger(pictures: list[Array], name: str, rows: Array) -> list[Array]:
    trigger, random = TRIGGERS[name](), np.random.default_rng(3)
    return [trigger.apply(p, random) if n in set(rows.tolist()) else p for n, p in enumerate(pictures)]


def test_pictures_as_they_are_share_no_pattern(pictures: list[Array], captions: Array) -> None:
    assert found(pictures, captions) == []


@pytest.mark.parametrize("name", ["blended", "steganographic"])
@pytest.mark.parametrize("count", [12, 30])
def test_a_pattern_is_found_with_its_images(pictures: list[Array], captions: Array, name: str, count: int) -> None:
    rows = np.sort(np.random.default_rng(count).permutation(COUNT)[:count])
    (group,) = found(with_trigger(pictures, name, rows), captions)
    assert len(np.intersect1d(group, rows)) >= 0.9 * count
    assert len(np.setdiff1d(group, rows)) <= 1


def test_images_of_one_kind_are_no_finding(pictures: list[Array], captions: Array) -> None:
    """What images with one caption have in common is how such things look."""
    rows = np.arange(0, 200, 10)
    alike = captions.copy()
    alike[rows] += 2 * np.random.default_rng(5).normal(size=48)
    changed = with_trigger(pictures, "blended", rows)
    assert len(found(changed, captions)) == 1
    assert found(changed, alike) == []


def test_shots_of_one_scene_are_no_finding(pictures: list[Array], captions: Array) -> None:
    random = np.random.default_rng(6)
    series = [np.clip(pictures[0] + random.normal(0, 6, pictures[0].shape), 0, 255).astype(np.uint8) for _ in range(20)]
    assert found([*series, *pictures[20:]], captions) == []


@pytest.mark.parametrize("count", [0, 1, 9])
def test_a_handful_says_nothing(pictures: list[Array], captions: Array, count: int) -> None:
    spectra = np.zeros((count, 128, 128), np.float16)
    assert find_patterns(spectra, captions[:count]) == []
