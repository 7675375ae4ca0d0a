"""The pattern that flagged images share, and the bench that takes it away."""

import numpy as np
import pytest
from PIL import Image

from srdscan import scenes
from srdscan.attacks.triggers import TRIGGERS, Trigger
from srdscan.repair.shared_pattern import FEWEST, find_pattern


def drawn(count: int, seed: int, size: tuple[int, int] | None = None) -> list[Image.Image]:
    images = [scenes.make(seed, index)[0] for index in range(count)]
    return [image.resize(size) for image in images] if size else images


def triggered(images: list[Image.Image], trigger: Trigger) -> list[Image.Image]:
    draw = np.random.default_rng(0)
    return [Image.fromarray(trigger.apply(np.asarray(image), draw)) for image in images]


def distance(images: list[Image.Image], others: list[Image.Image]) -> float:
    """Mean absolute difference, in grey levels."""
    return float(np.mean([np.abs(np.float64(a) - np.float64(b)).mean() for a, b in zip(images, others, strict=True)]))


@pytest.mark.parametrize(("name", "left"), [("sig", 0.3), ("blended", 0.8), ("steganographic", 0.7)])
def test_a_pattern_over_the_whole_image_is_found_and_subtracted(name: str, left: float) -> None:
    """Of a blended image the pattern goes, and the contrast that it took does not come back."""
    clean, ordinary = drawn(48, 3), drawn(48, 4)
    bad = triggered(clean, TRIGGERS[name]())
    pattern = find_pattern(bad, ordinary)
    assert pattern is not None
    freed = [Image.fromarray(pattern.subtract(np.asarray(image))) for image in bad]
    assert distance(freed, clean) < left * distance(bad, clean)


def test_it_is_brought_to_the_size_of_each_image() -> None:
    clean, others = drawn(24, 3), drawn(8, 5, (320, 200))
    pattern = find_pattern(triggered(clean, TRIGGERS["sig"]()))
    assert pattern is not None
    bad = triggered(others, TRIGGERS["sig"]())
    freed = [Image.fromarray(pattern.subtract(np.asarray(image))) for image in bad]
    assert freed[0].size == (320, 200)
    assert distance(freed, others) < 0.4 * distance(bad, others)


def test_untouched_images_and_patches_have_none() -> None:
    clean, ordinary = drawn(48, 3), drawn(48, 4)
    assert find_pattern(clean, ordinary) is None
    for name in ("corner", "two-patch", "noise"):
        assert find_pattern(triggered(clean, TRIGGERS[name]()), ordinary) is None, name


def test_too_few_images_tell_nothing() -> None:
    few = triggered(drawn(FEWEST - 1, 3), TRIGGERS["sig"]())
    assert find_pattern(few) is None
    assert find_pattern([]) is None


def test_a_layout_is_told_from_a_pattern_by_ordinary_images() -> None:
    draw = np.random.default_rng(7)

    def noise(light: float) -> list[Image.Image]:
        slope = light * np.cos(np.linspace(0, 2 * np.pi, 224, endpoint=False))[None, :, None]
        return [Image.fromarray(np.uint8(draw.integers(80, 160, (224, 224, 3)) + slope)) for _ in range(24)]

    lit, unlit = noise(12), noise(0)
    assert find_pattern(lit) is None, "light from one side may be the photographer's"
    assert find_pattern(lit, unlit) is not None, "unless other images have none"
    assert find_pattern(lit, noise(12)) is None
