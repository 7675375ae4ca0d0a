"""Peer detectors find what they were made for, always alike, and survive degenerate data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from srdscan.lab.metrics import f1
from srdscan.lab.peers import PEERS, Seen
from srdscan.stats.neighbours import dao, dimensionality, nearest, slof

COUNT, PLANTED = 300, 30


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def poisoned() -> np.ndarray:
    return np.arange(COUNT) < PLANTED


@pytest.fixture(scope="module")
def seen(poisoned: np.ndarray) -> Seen:
    """Samples of which the first tenth shows every weakness that a peer looks for."""
    draw = np.random.default_rng(0)
    references = unit(draw.normal(size=(COUNT, 24)))
    odd = poisoned[:, None]
    away = unit(draw.normal(size=(COUNT, 24)))
    entropy = draw.normal(0.8, 0.03, size=(COUNT, 2)) - 0.5 * odd * np.array([1, 0])
    return Seen(
        captions=[f"c{n}" for n in range(COUNT)],
        outputs=[f"o{n}" for n in range(COUNT)],
        references=[f"r{n}" for n in range(COUNT)],
        layer_entropy=entropy,
        image_features=draw.normal(size=(COUNT, 6)) * np.where(odd, 1.0, 0.15) + 3,
        hidden=draw.normal(size=(COUNT, 20)) + 9 * odd * np.eye(20)[3],
        caption_embeddings=np.where(odd, away, unit(references + 0.1 * draw.normal(size=references.shape))),
        output_embeddings=references,
        reference_embeddings=references,
        onion=draw.normal(0, 1, COUNT) + 9 * poisoned,
        constancy=draw.normal(0.4, 0.05, COUNT) + 0.5 * poisoned,
    )


LEAST_F1 = {"bye": 0.95, "bye-always": 0.95, "similarity": 0.9, "onion": 0.9, "strip": 0.85, "clustering": 0.95}
LEAST_AUROC = {"slof": 0.8, "dao": 0.8, "spectral": 0.95}


@pytest.mark.parametrize("name", sorted(PEERS))
def test_each_peer_finds_what_it_was_made_for(name: str, seen: Seen, poisoned: np.ndarray) -> None:
    first, again = PEERS[name]().judge(seen), PEERS[name]().judge(seen)
    assert np.array_equal(first.scores, again.scores)
    assert np.array_equal(first.flagged, again.flagged)
    assert first.flagged.dtype == bool
    if name in LEAST_F1:
        assert f1(first.flagged, poisoned) > LEAST_F1[name]
    else:
        assert roc_auc_score(poisoned, first.scores) > LEAST_AUROC[name]


@pytest.mark.parametrize("name", sorted(PEERS))
def test_copies_and_small_sets_do_no_harm(name: str, seen: Seen) -> None:
    few = {field: getattr(seen, field)[:30] for field in Seen.__dataclass_fields__}
    same = {
        field: value if isinstance(value, list) else np.repeat(value[:1], 30, axis=0) for field, value in few.items()
    }
    for case in (Seen(**few), Seen(**same)):
        found = PEERS[name]().judge(case)
        assert np.isfinite(found.scores).all()
        assert found.scores.shape == found.flagged.shape == (30,)


def test_bye_abstains_where_no_layer_is_bimodal_and_its_other_rule_does_not(seen: Seen) -> None:
    draw = np.random.default_rng(1)
    calm = replace(seen, layer_entropy=draw.normal(0.8, 0.03, size=(COUNT, 2)))
    assert not PEERS["bye"]().judge(calm).flagged.any()
    assert PEERS["bye-always"]().judge(calm).flagged.mean() > 0.1


def test_mixed_takes_the_chosen_rows_from_the_poisoned(seen: Seen) -> None:
    other = replace(seen, captions=["bad"] * COUNT, onion=seen.onion + 100, hidden=seen.hidden + 100)
    chosen = np.zeros(COUNT, dtype=bool)
    chosen[[2, 7]] = True
    mixed = Seen.mixed(seen, other, chosen)
    assert [n for n, caption in enumerate(mixed.captions) if caption == "bad"] == [2, 7]
    assert np.flatnonzero(mixed.onion != seen.onion).tolist() == [2, 7]
    assert np.flatnonzero((mixed.hidden != seen.hidden).any(axis=1)).tolist() == [2, 7]


def test_neighbours_and_factors_agree_with_brute_force() -> None:
    points = np.random.default_rng(2).normal(size=(40, 3))
    k = 5
    every = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(every, np.inf)
    order = np.argsort(every, axis=1)[:, :k]
    distances, indices = nearest(points, k)
    assert np.array_equal(indices, order)
    assert np.allclose(distances, np.take_along_axis(every, order, axis=1))
    reach = distances[:, -1]
    lid = np.array([-1 / np.mean(np.log(row / row[-1])) for row in distances])
    assert np.allclose(dimensionality(distances), lid)
    assert np.allclose(slof(points, k), [np.mean([reach[i] / reach[j] for j in order[i]]) for i in range(40)])
    assert np.allclose(
        dao(points, k), [np.mean([(reach[i] / reach[j]) ** lid[j] for j in order[i]]) for i in range(40)]
    )


def test_a_point_is_left_out_of_its_own_neighbours_once_even_among_copies() -> None:
    points = np.zeros((6, 2))
    points[5] = 1
    distances, indices = nearest(points, 3)
    assert all(row not in others for row, others in zip(range(5), indices[:5].tolist(), strict=True))
    assert distances[:5].max() == 0
    assert np.isfinite(slof(points, 3)).all()
    assert np.isfinite(dao(points, 3)).all()
    with pytest.raises(ValueError, match="more points than neighbours"):
        nearest(points, 6)
