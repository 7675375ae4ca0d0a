"""One picture in many samples: accused when its captions do not fit it, and only then."""

from __future__ import annotations

import numpy as np
import pytest

from srdscan.findings.repeats import Mislabelled, find_mislabelled

COUNT = 600


class World:
    """Pictures, the first of which stand in several images; captions fit by what the picture is, and a little more."""

    def __init__(self, repeated: dict[int, int], seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.family_of = np.arange(COUNT)
        start = COUNT // 2
        for picture, times in repeated.items():
            self.family_of[start : start + times] = picture
            start += times
        self.family_of = np.unique(self.family_of, return_inverse=True)[1]
        of_picture = random.normal(2.5, 0.6, COUNT)
        self.agreement = (of_picture[self.family_of] + random.normal(0, 0.3, COUNT)).astype(np.float32)
        self.captions = [f"caption {row}" for row in range(COUNT)]
        self.random = random

    def lie(self, picture: int) -> list[int]:
        rows = np.flatnonzero(self.family_of == picture)[1:]  # the first is the picture as it was
        self.agreement[rows] = self.random.normal(0, 0.5, len(rows))
        return rows.tolist()

    def found(self) -> list[Mislabelled]:
        return find_mislabelled(np.array(self.captions), self.agreement, np.arange(COUNT), self.family_of)


@pytest.mark.parametrize("seed", range(5))
def test_honest_pictures_in_many_samples_are_none(seed: int) -> None:
    assert World({3: 12, 4: 5, 5: 3}, seed).found() == []


@pytest.mark.parametrize("times", [4, 6, 12])
def test_captions_that_do_not_fit_their_picture_are_accused_and_the_one_that_fits_is_not(times: int) -> None:
    world = World({3: times, 4: 5})
    rows = world.lie(3)
    (group,) = world.found()
    assert group.rows.tolist() == rows
    assert group.p_value <= 0.005
    assert group.of_row < group.p_value * 20 / COUNT


def test_exact_copies_of_a_pair_are_one_observation() -> None:
    world = World({3: 12})
    for row in world.lie(3):
        world.captions[row] = "a chair"
    assert world.found() == []


def test_where_a_hundred_pictures_repeat_one_must_stand_out_among_them() -> None:
    world = World(dict.fromkeys(range(90), 3))
    world.lie(3)
    assert world.found() == []  # one of 420 pictures is no rarity among 90 that were tried
