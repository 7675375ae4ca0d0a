"""Mixtures find minorities from half a per cent up, on either side, and none of any size in a single bell."""

from __future__ import annotations

import numpy as np
import pytest

from srdscan.signals.mixture import fit_mixtures


def planted(rng: np.random.Generator, columns: int, count: int, members: np.ndarray, shift: float) -> np.ndarray:
    """(columns, count) normal values, the members' shifted by so many standard deviations."""
    values = rng.standard_normal((columns, count))
    values[:, members] += shift
    return values


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("share", [0.005, 0.01, 0.03, 0.1])
@pytest.mark.parametrize("count", [600, 2000])
def test_some_start_finds_a_planted_minority_of_any_size(count: int, share: float, side: int) -> None:
    size = round(share * count)
    values = 5 + 0.1 * planted(np.random.default_rng(count + size), 8, count, np.arange(size), 6 * side)
    fits = fit_mixtures(values)
    wrong = np.array([((fit.posterior(values) > 0.5) != (np.arange(count) < size)).sum(axis=1) for fit in fits])
    assert (wrong.min(axis=0) <= max(2, 0.1 * size)).all()
    best = [(fits[start], column) for column, start in enumerate(wrong.argmin(axis=0))]
    assert [fit.direction[column] for fit, column in best] == [side] * 8
    assert np.median([fit.share[column] for fit, column in best]) == pytest.approx(share, rel=0.2)
    assert np.median([fit.separation[column] for fit, column in best]) > 3  # of 6 / sqrt(2)
    assert np.stack([fit.majority[column] for fit, column in best]) == pytest.approx(np.array([[5, 0.1]] * 8), abs=0.02)


def test_a_minority_of_a_single_bell_is_a_handful_or_not_apart() -> None:
    values = np.random.default_rng(4).standard_normal((40, 800))
    for found in fit_mixtures(values):
        sizes = (found.posterior(values) > 0.5).sum(axis=1)
        apart = found.separation >= 2
        assert (sizes[apart] < 0.025 * 800).all()
        assert (found.share <= 0.5).all()


def test_equal_values_do_not_break_a_mixture() -> None:
    values = np.zeros((2, 100))
    values[1, :5] = 1.0
    for found in fit_mixtures(values):
        assert all(np.isfinite(part).all() for part in (found.majority, found.minority, found.share, found.separation))
    assert any((fit.posterior(values)[1] > 0.5).tolist() == [True] * 5 + [False] * 95 for fit in fit_mixtures(values))
