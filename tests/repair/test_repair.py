"""The pattern that flagged images share, and the bench that takes it away."""

import numpy as np
import pytest
from PIL import Image

from srdscan import scenes
from srdscan.attacks.triggers import TRIGGERS, Trigger
from srdscan.attacks.triggers.whole import Sinusoid
from srdscan.findings.finding import Finding
from srdscan.models.captioners.base import Captioner
from srdscan.models.captioners.load import load_captioner
from srdscan.models.language_model import LanguageModel
from srdscan.models.sentence_encoder import SentenceEncoder
from srdscan.policy.actions import ActionSpace
from srdscan.policy.episodes import Observer
from srdscan.policy.fidelity import FidelityModel
from srdscan.policy.qnet import QNetwork
from srdscan.policy.store import Policy
from srdscan.repair.bench import SUBTRACT, Bench
from srdscan.repair.fates import Repair
from srdscan.repair.shared_pattern import FEWEST, SharedPattern, find_pattern
from srdscan.repair.trimming import TargetFilter


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


IGNORANT = Policy(QNetwork(ActionSpace()).eval(), ActionSpace(), 2, "", {})
"""A policy that has learned nothing, and has two steps."""


@pytest.fixture(scope="module")
def observer() -> Observer:
    return Observer(load_captioner("captioner"), FidelityModel(SentenceEncoder(), LanguageModel()), None)


def mended(
    observer: Observer,
    images: list[Image.Image],
    pattern: SharedPattern | None,
    findings: tuple[Finding, ...] = (),
) -> list[Repair]:
    """What a bench makes of images whose trusted captions are those of the captioner itself on clean ones."""
    captioner: Captioner = observer.captioner
    trusted = captioner.describe(captioner.encode(drawn(len(images), 3))).captions
    bench = Bench(observer, captioner, IGNORANT, TargetFilter(findings), 0.9, "quarantine", pattern)
    rows = list(range(len(images)))
    found = bench.repair(rows, [np.asarray(image) for image in images], trusted, [True] * len(images))
    return [found[row] for row in rows]


def test_captions_come_back_without_the_pattern(observer: Observer) -> None:
    clean = drawn(16, 3)
    waves = triggered(clean, Sinusoid(amplitude=70, periods=9))
    pattern = find_pattern(waves)
    assert pattern is not None
    with_it, without = mended(observer, waves, pattern), mended(observer, waves, None)
    freed = [item for item in with_it if SUBTRACT in item.actions]
    assert len(freed) >= 6
    assert all(item.image is not None for item in freed)
    honest = observer.captioner.describe(observer.captioner.encode(clean)).captions
    same = [sum(r.caption == text for r, text in zip(found, honest, strict=True)) for found in (with_it, without)]
    assert same[0] > same[1] + 4, "what is said of the untouched images is said again"
    assert not any(SUBTRACT in item.actions for item in without)


def test_no_caption_that_names_a_target_is_taken(observer: Observer) -> None:
    """Where whatever can be done to an image leaves a target in its caption, the fallback decides."""
    said = mended(observer, drawn(4, 3), None)
    assert all(item.fate == "repaired" and item.caption == item.said for item in said)
    words = {word for item in said for word in str(item.caption).split()}
    findings = tuple(Finding(word, "output", 9, 0, 3.0, "") for word in words)
    refused = mended(observer, drawn(4, 3), None, findings)
    assert all(item.fate == "quarantined" and item.caption is None for item in refused)
