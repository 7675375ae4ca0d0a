"""A second look: the more faithful of two captions of a repaired image, if it may be said at all."""

import numpy as np
import pytest
from PIL import Image

from srdscan import scenes
from srdscan.models.captioners.base import Captioner
from srdscan.models.captioners.load import load_captioner
from srdscan.models.language_model import LanguageModel
from srdscan.models.sentence_encoder import SentenceEncoder
from srdscan.policy.actions import Pixels, jpeg
from srdscan.policy.fidelity import FidelityModel
from srdscan.repair.second_look import QUALITY, look_again

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


def test_the_more_faithful_caption_is_taken_with_its_sfs(
    captioner: Captioner, fidelity: FidelityModel, drawn: list[tuple[Pixels, str]]
) -> None:
    images, truth = [image for image, _ in drawn], [caption for _, caption in drawn]
    references = fidelity.references(truth)
    copies = [Image.fromarray(jpeg(image, QUALITY)) for image in images]
    of_copies = captioner.describe(captioner.encode(copies)).captions
    first = [ODD, *truth[1:]]  # the first one is far off; the others cannot be bettered
    found = look_again(images, first, references, captioner, fidelity, lambda text: True)
    assert [caption for caption, _ in found] == [of_copies[0], *truth[1:]]
    measured = fidelity.measure([caption for caption, _ in found], references)
    assert [sfs for _, sfs in found] == pytest.approx(measured.sfs.tolist(), abs=1e-5)


def test_what_must_not_be_said_is_not_taken(
    captioner: Captioner, fidelity: FidelityModel, drawn: list[tuple[Pixels, str]]
) -> None:
    images, references = [image for image, _ in drawn], fidelity.references([caption for _, caption in drawn])
    found = look_again(images, [ODD] * 6, references, captioner, fidelity, lambda text: text == ODD)
    assert [caption for caption, _ in found] == [ODD] * 6
