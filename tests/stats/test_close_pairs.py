"""Points that are nearly the same, among many."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from srdscan.stats.close_pairs import close_pairs, whitening


@pytest.mark.parametrize("seed", range(3))
def test_nearly_all_pairs_within_the_radius_are_found_and_no_other(seed: int) -> None:
    random = np.random.default_rng(seed)
    points = random.normal(size=(3000, 24)).astype(np.float32)
    points[1500:1800] = points[:300] + 0.08 * random.normal(size=(300, 24))
    owner = np.arange(3000) // 3
    found = close_pairs(points, owner, radius=0.5, seed=seed)
    near = {pair for pair in cKDTree(points).query_pairs(0.5) if owner[pair[0]] != owner[pair[1]]}
    assert {tuple(pair) for pair in found.tolist()} <= near
    assert len(found) >= 0.85 * len(near) > 200


def test_pairs_of_one_owner_are_left_out_and_no_points_have_none() -> None:
    points = np.zeros((4, 24), np.float32)
    assert close_pairs(points, np.array([0, 0, 1, 1]), 0.5).tolist() == [[0, 2], [0, 3], [1, 2], [1, 3]]
    assert len(close_pairs(points, np.zeros(4, np.int64), 0.5)) == 0
    assert len(close_pairs(points[:0], np.zeros(0, np.int64), 0.5)) == 0


def test_whitened_points_have_unit_variance() -> None:
    random = np.random.default_rng(0)
    points = (random.normal(size=(5000, 6)) @ random.normal(size=(6, 6)) + 3).astype(np.float32)
    mean, basis = whitening(points, 4)
    assert np.allclose(np.cov(((points - mean) @ basis).T), np.eye(4), atol=0.01)
