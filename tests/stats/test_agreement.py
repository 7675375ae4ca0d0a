"""Agreement on pairs whose truth is known: what belongs together is told from what does not, and noise teaches
nothing."""

from __future__ import annotations

import numpy as np
import pytest

from srdscan.stats import agreement
from srdscan.stats.agreement import Agreement
from srdscan.stats.canonical import Gaussian, Moments

COUNT, X, T = 600, 24, 16


def made(count: int, seed: int, world: int = 0, captions: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, captions and the image of each caption, which share ten hidden variables."""
    mixing = np.random.default_rng([9, world])
    left, right = mixing.normal(size=(10, X)), mixing.normal(size=(10, T))
    random = np.random.default_rng(seed)
    hidden = random.normal(size=(count, 10))
    image_of = np.repeat(np.arange(count), captions)
    images = hidden @ left + random.normal(size=(count, X))
    texts = hidden[image_of] @ right + random.normal(size=(count * captions, T))
    return images.astype(np.float16), texts.astype(np.float16), image_of


def test_swapped_captions_score_like_those_of_other_images() -> None:
    images, texts, image_of = made(COUNT, 1)
    texts[:60] = np.roll(texts[:60], 1, axis=0)
    found = Agreement(images, texts, image_of)
    assert found.scores[:60].mean() == pytest.approx(0.0, abs=0.4)
    assert found.scores[:60].std() == pytest.approx(1.0, abs=0.4)
    assert np.median(found.scores[60:]) > 2
    assert found.ranks[:60].mean() == pytest.approx(0.5, abs=0.12)
    assert found.competence > 0.9


def test_unrelated_data_teach_nothing_though_there_are_few() -> None:
    """A model that had seen the pairs that it judges would find much in these."""
    random = np.random.default_rng(2)
    images, texts = random.normal(size=(150, X)), random.normal(size=(150, T))
    found = Agreement(images.astype(np.float16), texts.astype(np.float16), np.arange(150))
    assert found.competence == pytest.approx(0.5, abs=0.07)


def test_a_prior_of_the_same_world_helps_few_pairs_and_one_of_another_is_not_heard() -> None:
    images, texts, image_of = made(120, 3)
    alone = Agreement(images, texts, image_of).competence
    same, other = (Moments.of(*made(4000, 4, world)[:2]) for world in (0, 1))
    helped = Agreement(images, texts, image_of, Gaussian(same.mean, same.covariance), 4000)
    assert helped.competence > alone
    misled = Agreement(images, texts, image_of, Gaussian(other.mean, other.covariance), 4000)
    assert misled.competence > alone - 0.03
    assert misled.weights[misled.names.index("own")] > misled.weights[misled.names.index("prior")]


def test_below_a_hundred_images_the_prior_is_asked_alone() -> None:
    images, texts, image_of = made(60, 5)
    prior = Moments.of(*made(4000, 6)[:2])
    found = Agreement(images, texts, image_of, Gaussian(prior.mean, prior.covariance), 4000)
    assert found.names == ["prior"]
    assert found.competence > 0.9


def one_space(count: int, seed: int, captions: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors of a matcher: images and texts lie far apart, and half of what varies is shared by a pair."""
    random = np.random.default_rng(seed)
    image_of = np.repeat(np.arange(count), captions)
    shared, sides = random.normal(size=(count, 64)), np.random.default_rng(10).normal(size=(2, 64))
    images = 3 * sides[0] + shared + random.normal(size=(count, 64))
    texts = 3 * sides[1] + shared[image_of] + random.normal(size=(count * captions, 64))
    images, texts = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (images, texts))
    return images.astype(np.float16), texts.astype(np.float16), image_of


@pytest.mark.parametrize(("count", "names"), [(60, ["matcher"]), (400, ["matcher", "own"])])
def test_a_matcher_tells_pairs_from_swapped_ones_by_its_cosine(count: int, names: list[str]) -> None:
    images, texts, image_of = one_space(count, 11)
    texts[:20] = np.roll(texts[:20], 1, axis=0)
    found = Agreement(images, texts, image_of, one_space=True)
    assert found.names == names
    assert found.weights[0] > 0.5
    assert found.scores[:20].mean() == pytest.approx(0.0, abs=0.6)
    assert found.scores[:20].std() == pytest.approx(1.0, abs=0.5)
    assert np.median(found.scores[20:]) > 2
    rows = np.arange(20, 40)
    assert found.of(rows, texts[rows]) == pytest.approx(found.scores[rows], abs=1e-3)
    assert found.of(rows, np.roll(texts[rows], 1, axis=0)).mean() == pytest.approx(0.0, abs=0.6)


def test_a_few_pairs_of_a_matcher_are_judged_by_hand() -> None:
    images, texts, image_of = one_space(30, 12)
    found = Agreement(images, texts, image_of, one_space=True)
    cosines = texts.astype(np.float64) @ images.T.astype(np.float64)
    nearer = cosines - cosines.mean(axis=0)  # an image that is near to all texts is near to none
    wanted = (np.diag(nearer) - nearer.mean(axis=1)) / nearer.std(axis=1)
    assert found.scores == pytest.approx(wanted, abs=1e-3)


def test_an_image_that_is_near_to_every_text_does_not_make_its_own_caption_true() -> None:
    images, texts, image_of = one_space(80, 13)
    near = images[0].astype(np.float64) + texts.mean(axis=0, dtype=np.float64)
    images[0], texts[0] = near / np.linalg.norm(near), texts[1]
    assert (texts[2:].astype(float) @ images[0] > texts[2:].astype(float) @ images[3]).mean() > 0.9
    found = Agreement(images, texts, image_of, one_space=True)
    assert found.scores[0] < 1.5 < np.median(found.scores)


def test_a_matcher_that_says_the_opposite_is_not_heard() -> None:
    images, texts, image_of = one_space(400, 14)
    found = Agreement(images, -texts, image_of, one_space=True)
    assert dict(zip(found.names, found.weights, strict=True))["matcher"] == 0
    assert found.competence > 0.9  # the data set's own pairs say which way round it is


def test_what_pictures_look_like_is_told_by_vectors_of_its_own() -> None:
    images, texts, image_of = one_space(200, 15)
    looks = np.random.default_rng(16).normal(size=(200, 32)).astype(np.float16)
    looks[:12] = looks[0]
    found = Agreement(images, texts, image_of, one_space=True, looks=looks)
    assert len(found.pictures) == 189
    assert len(np.unique(found.fold[:12])) == 1
    assert len(Agreement(images, texts, image_of, one_space=True).pictures) == 200


def test_captions_of_one_image_are_judged_by_models_that_have_seen_none_of_them() -> None:
    images, texts, image_of = made(200, 7, captions=3)
    found = Agreement(images, texts, image_of)
    assert len(found.scores) == 600
    copies = np.tile(np.random.default_rng(8).normal(size=T).astype(np.float16), (3, 1))
    texts[300:303] = copies  # three captions of image 100 that are alike, and about nothing
    again = Agreement(images, texts, image_of)
    assert again.scores[300:303].mean() < found.scores[300:303].mean() - 1


def test_scores_do_not_depend_on_the_size_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    images, texts, image_of = made(300, 9)
    whole = Agreement(images, texts, image_of)
    monkeypatch.setattr(agreement, "BLOCK", 37)
    parts = Agreement(images, texts, image_of)
    assert parts.scores == pytest.approx(whole.scores, abs=1e-3)
    rows = np.array([5, 6, 250])
    assert parts.of(rows, texts[rows]) == pytest.approx(whole.scores[rows], abs=1e-3)


def test_a_picture_that_stands_in_many_samples_does_not_make_its_captions_true() -> None:
    images, texts, image_of = made(COUNT, 7)
    images[:12] = images[0]
    texts[1:12] = made(1, 8)[1] + np.random.default_rng(9).normal(size=(11, T)) / 4  # one lie in other words
    found = Agreement(images, texts, image_of)
    assert len(np.unique(found.fold[:12])) == 1
    assert found.scores[1:12].mean() < 1.5 < np.median(found.scores[12:])
