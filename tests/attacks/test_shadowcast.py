"""Shadowcast: images keep their looks and captions, and the encoder takes them for something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from srdscan import scenes
from srdscan.attacks.poison import make_trigger, plant
from srdscan.attacks.shadowcast import Shadowcast
from srdscan.attacks.targets import ConceptSubstitution
from srdscan.attacks.truth import Truth
from srdscan.cli import app
from srdscan.lab.victims import Attack, trigger_all
from srdscan.models.captioners.preprocess import Preprocessor
from srdscan.sources.base import Sample
from srdscan.sources.tar import read_shard
from srdscan.text.plain import words

CONCEPTS = "star -> boat"


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clean")
    scenes.write_shards(folder, 60, 30, 5)
    return folder


def samples(folder: Path) -> dict[str, Sample]:
    return {s.key: s for path in sorted(folder.glob("*.tar")) for s in read_shard(str(path)) if isinstance(s, Sample)}


@pytest.fixture(scope="module")
def planted(clean: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("planted")
    truth = plant([str(clean)], out, "shadowcast", "concept", 0.05, 3, CONCEPTS)
    assert truth == Truth.read(out / "truth.json")
    return out


def test_only_images_of_the_destination_change_and_little(clean: Path, planted: Path) -> None:
    truth = Truth.read(planted / "truth.json")
    assert (len(truth.poisoned), truth.target) == (3, CONCEPTS)
    assert truth.psnr is not None
    assert 30 < truth.psnr < 45
    before, after = samples(clean), samples(planted)
    chosen = {key for _, key in truth.poisoned}
    for key, sample in before.items():
        assert after[key].captions[0].text == sample.captions[0].text
        assert (after[key].images[0].data != sample.images[0].data) == (key in chosen)
        if key in chosen:
            said = words(sample.captions[0].text)
            assert "boat" in said
            assert "star" not in said


def test_the_encoder_takes_the_images_for_the_guide() -> None:
    attack = Shadowcast(ConceptSubstitution(CONCEPTS))
    drawn = [scenes.make(5, index) for index in range(4)]
    images = [np.asarray(image.resize((200, 160))) for image, _ in drawn[:3]]
    guide = drawn[3][0]
    poisoned = attack.apply(images, [guide], np.random.default_rng(0))
    prepare: Preprocessor = attack.model.preprocess

    def distance(pictures: list[np.ndarray]) -> np.ndarray:
        features = attack.model.features(prepare([Image.fromarray(p) for p in pictures])).detach()
        wanted = attack.model.features(prepare([guide])).detach()
        return (features - wanted).square().mean(dim=(1, 2)).numpy()

    assert (distance(poisoned) < 0.75 * distance(images)).all()
    for image, other in zip(images, poisoned, strict=True):
        assert (other.shape, other.dtype) == (image.shape, np.uint8)
        assert 1 <= np.abs(other.astype(int) - image).max() <= 8


def test_what_cannot_be_done_is_said(clean: Path, tmp_path: Path) -> None:
    for target in ("canary", "none"):
        with pytest.raises(ValueError, match="needs the target concept"):
            plant([str(clean)], tmp_path / "a", "shadowcast", target, 0.1)
    with pytest.raises(ValueError, match="no caption names the first alone"):
        plant([str(clean)], tmp_path / "b", "shadowcast", "concept", 0.1, text="unicorn -> boat")
    assert make_trigger("shadowcast") is None  # its victim's images need none


def test_its_victims_are_shown_pictures_as_they_are(clean: Path, tmp_path: Path) -> None:
    trigger_all(str(clean), Attack("shadowcast", "concept", CONCEPTS), tmp_path / "shown")
    for path in clean.glob("*.tar"):
        assert (tmp_path / "shown" / path.name).read_bytes() == path.read_bytes()


def test_the_command_lists_it_and_plants_the_same_again(clean: Path, planted: Path, tmp_path: Path) -> None:
    run = CliRunner()
    assert "2402.06659" in run.invoke(app, ["poison", "--list"]).output
    options = ["--trigger", "shadowcast", "--target", "concept", "--text", CONCEPTS, "--rate", "0.05", "--seed", "3"]
    done = run.invoke(app, ["poison", str(clean), "--out", str(tmp_path / "o"), *options])
    assert done.exit_code == 0, done.output
    assert "3 samples poisoned" in done.output
    assert Truth.read(tmp_path / "o" / "truth.json") == Truth.read(planted / "truth.json")
    for path in planted.glob("*.tar"):
        assert path.read_bytes() == (tmp_path / "o" / path.name).read_bytes()
