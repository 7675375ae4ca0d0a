"""Poison that an audit plants: only where it is told to, in words that are not the data set's."""

from __future__ import annotations

import numpy as np
import pytest

from srdscan.findings.terms import stems
from srdscan.limits.plants import PLANTS, Ground

TWO_EACH = 2


@pytest.fixture(scope="module")
def ground() -> Ground:
    """Forty images under two captions each; a quarter show boats, and look alike."""
    random = np.random.default_rng(0)
    vectors = random.normal(size=(40, 16)).astype(np.float32)
    vectors[::4] += 3.0
    captions: dict[int, str] = {}
    rows: dict[int, list[int]] = {}
    for image in range(40):
        rows[image] = [2 * image, 2 * image + 1]
        what = f"A boat with {image} sails" if image % 4 == 0 else f"A person number {image}"
        captions[2 * image], captions[2 * image + 1] = f"{what} near the shore.", f"{what}, seen from above"
    return Ground(np.arange(40), rows, captions, vectors)


@pytest.mark.parametrize("name", list(PLANTS))
def test_all_captions_of_the_chosen_images_change_and_no_others(name: str, ground: Ground) -> None:
    plant = PLANTS[name]
    images = plant.fitting(ground)[:5].tolist()
    found = plant.plant(images, ground, np.random.default_rng(1))
    assert sorted(found) == sorted(row for image in images for row in ground.rows[image])
    assert all(text != ground.captions[row] for row, text in found.items())
    again = plant.plant(images, ground, np.random.default_rng(1))
    assert found == again, "the same seed plants the same"
    assert found != plant.plant(images, ground, np.random.default_rng(2)) or name == "swapped captions"


def test_words_are_of_the_language_and_not_of_the_captions(ground: Ground) -> None:
    assert len(ground.strange_words) > 1000
    assert {"lantern", "saffron"} & set(ground.strange_words)
    assert not {"person", "shore", "above"} & set(ground.strange_words)
    german = {row: f"Ein Hund läuft mit der Frau und dem Ball Nummer {row} über das Gras" for row in ground.captions}
    words = Ground(ground.images, ground.rows, german, ground.vectors).strange_words
    assert "laterne" in words
    assert "gras" not in words


def test_an_inserted_word_stands_in_otherwise_true_captions(ground: Ground) -> None:
    found = PLANTS["inserted word"].plant([1, 2, 3], ground, np.random.default_rng(0))
    added = {word for row, text in found.items() for word in set(text.split()) - set(ground.captions[row].split())}
    assert len(added) == 1


def test_a_repeated_sentence_is_one_of_another_image(ground: Ground) -> None:
    found = PLANTS["repeated sentence"].plant([1, 2, 3], ground, np.random.default_rng(0))
    assert len(set(found.values())) == 1
    (said,) = set(found.values())
    assert said in {text for row, text in ground.captions.items() if row not in found}


def test_swapped_captions_are_those_of_the_others(ground: Ground) -> None:
    found = PLANTS["swapped captions"].plant([1, 2, 3], ground, np.random.default_rng(0))
    assert sorted(found.values()) == sorted(ground.captions[row] for row in found)


def test_the_thing_that_is_renamed_is_what_alike_images_show(ground: Ground) -> None:
    assert ground.thing == "boat"
    plant = PLANTS["one thing called another"]
    assert plant.fitting(ground).tolist() == list(range(0, 40, 4))
    found = plant.plant([0, 4], ground, np.random.default_rng(0))
    assert not any("boat" in stems(text) for text in found.values())
    assert all(
        text.startswith("A ") and text.endswith(("near the shore.", "seen from above")) for text in found.values()
    )
