"""Likeness of groups, asked for together and part by part: the same as of each group alone."""

from __future__ import annotations

import numpy as np
import pytest

from srdscan.stats import likeness
from srdscan.stats.likeness import Likeness


@pytest.fixture
def vectors() -> np.ndarray:
    random = np.random.default_rng(0)
    return (random.normal(size=(2000, 12)) * np.arange(1, 13) + 5).astype(np.float32)


def of_one(vectors: np.ndarray, group: np.ndarray) -> float:
    """By the formula, in double precision."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    values = np.linalg.eigvalsh(centred.T @ centred / len(centred))
    total = centred[group].sum(axis=0)
    return float((total @ total / (len(group) * values.sum()) - 1) / (np.sqrt(2 * (values**2).sum()) / values.sum()))


@pytest.mark.parametrize("at_once", [likeness.AT_ONCE, 64])
def test_groups_are_told_by_the_formula(vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(likeness, "AT_ONCE", at_once)
    random = np.random.default_rng(1)
    groups = [np.sort(random.permutation(2000)[:size]) for size in (2, 7, 40, 1500)] + [np.arange(10), np.array([3])]
    found = Likeness(vectors).of_groups(groups)
    assert found[:-1] == pytest.approx([of_one(vectors, group) for group in groups[:-1]], rel=1e-3, abs=1e-3)
    assert found[-1] == 0
    assert Likeness(vectors)(groups[1]) == pytest.approx(found[1], abs=1e-4)


def test_others_are_held_against_what_is_left(vectors: np.ndarray) -> None:
    held, group = np.arange(300), np.arange(20)
    found = Likeness(vectors)
    left = vectors[300:].mean(axis=0)
    moved = vectors[group] - left + vectors.mean(axis=0)  # away from what is left, as from the mean of all
    wanted = of_one(np.concatenate([vectors, moved]), np.arange(2000, 2020))
    assert found.z_of(found.squared_of_others([vectors[group]], [held]), np.array([len(group)]))[0] == pytest.approx(
        wanted, abs=0.1
    )
    assert found.squared_of_others([vectors[group]], [np.arange(2000)])[0] == 1


def test_vectors_that_are_all_the_same_tell_nothing() -> None:
    assert Likeness(np.ones((50, 4), np.float32))(np.arange(9)) == 0
