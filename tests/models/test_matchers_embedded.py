"""The embedded matcher: the same vectors whatever the reference, and a prior for its own sentence encoder alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image

from srdscan import scenes
from srdscan.models.captioners.load import load_captioner
from srdscan.models.fetch import ModelError, models_folder
from srdscan.models.matchers.embedded import EmbeddedMatcher, load_prior
from srdscan.models.sentence_encoder import SentenceEncoder


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    return [scenes.make(5, index)[0] for index in range(6)]


def test_vectors_are_the_same_beside_another_reference(images: list[Image.Image], tmp_path: Path) -> None:
    embedded, other = load_captioner("captioner"), load_captioner(str(tiny.FAMILIES["blip"](tmp_path / "blip")))
    shared, own = EmbeddedMatcher(embedded), EmbeddedMatcher(other)
    assert shared.encoder is None  # one encoder pass serves both
    assert own.encoder is not None
    first = shared.vectors(images, embedded.encode(images))
    assert first.shape == (6, shared.width)
    assert own.vectors(images, other.encode(images)) == pytest.approx(first, abs=1e-4)
    assert shared.vectors(images[:2], embedded.encode(images[:2])) == pytest.approx(first[:2], abs=1e-3)
    assert np.linalg.norm(first[0] - first[1]) > 1


def test_the_prior_is_about_one_sentence_encoder() -> None:
    prior = load_prior(SentenceEncoder().fingerprint)
    assert prior is not None
    width = EmbeddedMatcher(load_captioner("captioner")).width + 384
    assert prior.distribution.covariance.shape == (width, width)
    assert np.linalg.eigvalsh(prior.distribution.covariance).min() > -1e-3
    assert load_prior("0" * 64) is None


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    folder = shutil.copytree(models_folder() / "agreement", tmp_path / "agreement")
    whole = (folder / "agreement.safetensors").read_bytes()
    (folder / "agreement.safetensors").write_bytes(whole[:1000])
    with pytest.raises(ModelError, match=r"agreement\.safetensors: cannot be loaded"):
        load_prior("0" * 64, folder)
