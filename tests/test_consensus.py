"""Consensus: of several captions of an image, the one that says what most of them say, if it may be said at all."""

import numpy as np
import pytest

from srdscan import scenes
from srdscan.captioners.base import Captioner
from srdscan.captioners.load import load_captioner
from srdscan.consensus import FILTERS, agree
from srdscan.fidelity import FidelityModel, SentenceEncoder
from srdscan.language_model import LanguageModel
from srdscan.policy.actions import Pixels

ODD = "a plate of food on a table"


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return load_captioner("captioner")


@pytest.fixture(scope="module")
def fidelity() -> FidelityModel:
    return FidelityModel(SentenceEncoder(), LanguageModel())


@pytest.fixture(scope="module")
def drawn() -> list[tuple[Pixels, str]]:
    return [(np.asarray(image), scene.caption) for image, scene in (scenes.make(12, index) for index in range(6))]


def test_an_odd_caption_gives_way_to_what_the_versions_of_the_image_say(
    captioner: Captioner, fidelity: FidelityModel, drawn: list[tuple[Pixels, str]]
) -> None:
    images, truth = [image for image, _ in drawn], [caption for _, caption in drawn]
    references = fidelity.references(truth)
    found = agree(images, [ODD] * 6, references, captioner, fidelity, lambda text: True, 0.5)
    assert ODD not in [caption for caption, _ in found]
    measured = fidelity.measure([caption for caption, _ in found], references)
    assert measured.cosine.mean() > 0.9
    assert [sfs for _, sfs in found] == pytest.approx(measured.sfs.tolist(), abs=1e-5)


def test_what_must_not_be_said_is_not_taken_and_has_no_vote(
    captioner: Captioner, fidelity: FidelityModel, drawn: list[tuple[Pixels, str]]
) -> None:
    images, references = [image for image, _ in drawn], fidelity.references([caption for _, caption in drawn])
    for allowed, bar in ((lambda text: text == ODD, 0.5), (lambda text: True, 1.01)):
        found = agree(images, [ODD] * 6, references, captioner, fidelity, allowed, bar)
        assert [caption for caption, _ in found] == [ODD] * 6


def test_filters_keep_the_size_and_most_of_the_picture(drawn: list[tuple[Pixels, str]]) -> None:
    image = drawn[0][0]
    for apply in FILTERS:
        filtered = apply(image)
        assert filtered.shape == image.shape and filtered.dtype == np.uint8
        assert 0 < np.abs(filtered.astype(int) - image).mean() < 12
