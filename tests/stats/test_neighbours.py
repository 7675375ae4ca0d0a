"""Outlier factors of the nearest neighbours, by which peers judge."""

from __future__ import annotations

import numpy as np
import pytest

from srdscan.stats.neighbours import dao, nearest, slof


def test_neighbours_are_those_of_a_brute_force_search() -> None:
    points = np.random.default_rng(0).normal(0, 1, (60, 5))
    distances, indices = nearest(points, 4)
    for index, point in enumerate(points):
        others = np.delete(np.arange(60), index)
        order = others[np.argsort(np.linalg.norm(points[others] - point, axis=1))][:4]
        assert indices[index].tolist() == order.tolist()
        assert distances[index] == pytest.approx(np.linalg.norm(points[order] - point, axis=1))


def test_copies_of_a_point_have_finite_factors() -> None:
    for factor in (slof, dao):
        assert np.isfinite(factor(np.ones((80, 6)))).all()


def test_both_factors_know_the_outlier() -> None:
    points = np.random.default_rng(1).normal(0, 1, (100, 4))
    points[7] = 9.0
    assert np.argmax(slof(points)) == np.argmax(dao(points)) == 7
