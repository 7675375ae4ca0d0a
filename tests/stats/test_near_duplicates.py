"""Near duplicates: which vectors are of one picture."""

from __future__ import annotations

import numpy as np
import pytest

from srdscan.stats.near_duplicates import CELL, near_duplicates


def copied(random: np.random.Generator, count: int, copies: list[int], noise: float) -> np.ndarray:
    """Vectors of unlike pictures, some of which are the first one again."""
    vectors = random.normal(size=(count, 64))
    vectors[copies] = vectors[0] + noise * random.normal(size=(len(copies), 64))
    return vectors.astype(np.float16)


@pytest.mark.parametrize("count", [100, 3 * CELL])
def test_a_picture_that_was_saved_again_is_one_with_the_first(count: int) -> None:
    groups = near_duplicates(copied(np.random.default_rng(0), count, [7, 50, 99], 0.1))
    assert groups[[7, 50, 99]].tolist() == [0, 0, 0]
    assert len(np.unique(groups)) == count - 3
    assert groups[:7].tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_pictures_that_are_merely_alike_are_not_one() -> None:
    groups = near_duplicates(copied(np.random.default_rng(0), 100, [7, 50], 0.7))
    assert groups.tolist() == list(range(100))


def test_what_many_pictures_look_like_is_no_picture() -> None:
    groups = near_duplicates(copied(np.random.default_rng(0), 100, list(range(40, 60)), 0.1))
    assert len(np.unique(groups)) == 100


@pytest.mark.parametrize("count", [0, 1, 2])
def test_of_a_handful_each_is_its_own(count: int) -> None:
    assert near_duplicates(np.arange(count * 4, dtype=np.float16).reshape(count, 4) ** 2).tolist() == list(range(count))
