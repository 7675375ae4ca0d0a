"""Attention: concentration by hand, mixtures that find small minorities, heads chosen where they tell of oddity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from srdscan.measure.scores import Scores, join_columns, write_table
from srdscan.signals.attention import Attention
from srdscan.signals.concentration import MEASURES, concentration, straightened, window_mass
from srdscan.signals.head_norms import anomalous_heads
from srdscan.signals.head_selection import Selection, select_heads
from srdscan.signals.mixture import Mixture


def measures(*maps: np.ndarray) -> dict[str, np.ndarray]:
    """Each measure's values over the maps, by name."""
    return dict(zip(MEASURES, concentration(np.stack(maps)).T, strict=True))


def filled(shape: tuple[int, int], cells: tuple[slice | int, slice | int]) -> np.ndarray:
    """A map with equal mass on some cells and none elsewhere."""
    out = np.zeros(shape)
    out[cells] = 1.0
    return out / out.sum()


def test_a_uniform_map_is_not_concentrated() -> None:
    found = measures(np.full((10, 20), 1 / 200))
    assert found["entropy"] == pytest.approx(-1)
    assert found["gini"] == pytest.approx(0, abs=1e-6)
    assert found["top_mass"] == pytest.approx(4 / 200)  # ceil(2 % of 200)
    assert found["peak_ratio"] == pytest.approx(0, abs=1e-6)
    assert found["compactness"] == pytest.approx(9 / 200)


def test_a_map_on_one_patch_is_as_concentrated_as_can_be() -> None:
    found = measures(filled((14, 14), (13, 0)))
    assert found["entropy"] == pytest.approx(0, abs=1e-6)
    assert found["gini"] == pytest.approx(195 / 196)
    assert found["top_mass"] == pytest.approx(1)
    assert found["peak_ratio"] == pytest.approx(np.log(1e12), rel=1e-6)  # the median is taken as 1e-12
    assert found["compactness"] == pytest.approx(1)


def test_a_block_of_three_by_three_patches_by_hand() -> None:
    found = measures(filled((14, 14), (slice(5, 8), slice(11, 14))))  # at the edge
    assert found["entropy"] == pytest.approx(-np.log(9) / np.log(196), rel=1e-5)
    assert found["gini"] == pytest.approx(187 / 196)
    assert found["top_mass"] == pytest.approx(4 / 9)
    assert found["compactness"] == pytest.approx(1)


def test_an_uneven_map_by_hand() -> None:
    found = measures(np.array([[0.1, 0.2], [0.3, 0.4]]))
    p = np.array([0.1, 0.2, 0.3, 0.4])
    assert found["entropy"] == pytest.approx((p * np.log(p)).sum() / np.log(4))
    assert found["gini"] == pytest.approx(np.abs(p[:, None] - p).sum() / (2 * 4 * p.sum()))  # mean absolute difference
    assert found["top_mass"] == pytest.approx(0.4)
    assert found["peak_ratio"] == pytest.approx(np.log(0.4 / 0.25))
    assert found["compactness"] == pytest.approx(1)  # the window is no larger than the map


def test_every_measure_grows_with_concentration_and_none_with_scale() -> None:
    smooth = np.random.default_rng(0).random((14, 14)) + 0.5
    ladder = concentration(np.stack([smooth**power for power in (1, 2, 4, 8)]))
    assert (np.diff(ladder, axis=0) > 0).all()
    assert concentration(7 * smooth[None, None])[0, 0] == pytest.approx(ladder[0], rel=1e-5)


def test_straightened_measures_are_log_odds_but_for_the_ratio() -> None:
    raw = np.array([[-0.2, 0.2, 0.5, 3.0, 0.9] * 2, [-1.0, 0.0, 1.0, 27.6, 0.01] * 2], dtype=np.float32)
    found = straightened(raw)
    assert found[0, :5] == pytest.approx([np.log(4), -np.log(4), 0, 3, np.log(9)], abs=1e-5)
    assert np.isfinite(found).all()
    some = np.array([9, 0, 3])
    assert straightened(raw[:, some], some % len(MEASURES)) == pytest.approx(found[:, some])


@pytest.mark.parametrize("window", [1, 3, 9])
def test_window_mass_is_the_sum_of_every_window(window: int) -> None:
    maps = np.random.default_rng(2).random((2, 6, 9))
    side = min(window, 6)
    by_hand = np.array(
        [[[m[r : r + side, c : c + side].sum() for c in range(10 - side)] for r in range(7 - side)] for m in maps]
    )
    assert window_mass(maps, window) == pytest.approx(by_hand)


# ---------------------------------------------------------------- select_heads

COUNT, TELLING = 800, {3: 6.0, 7: 7.0, 12: -6.0}
MEMBERS = np.arange(0, 24)


@pytest.fixture(scope="module")
def columns() -> np.ndarray:
    """(16, 800): a minority of 3 % shows in three columns; in another one, others are a minority."""
    rng = np.random.default_rng(5)
    values = rng.standard_normal((16, COUNT))
    for column, shift in TELLING.items():
        values[column, MEMBERS] += shift
    values[9, 400:430] += 6
    return values


def planted(rng: np.random.Generator, columns: int, count: int, members: np.ndarray, shift: float) -> np.ndarray:
    """(columns, count) normal values, the members' shifted by so many standard deviations."""
    values = rng.standard_normal((columns, count))
    values[:, members] += shift
    return values


def odd(seed: int, members: np.ndarray, shift: float) -> np.ndarray:
    return planted(np.random.default_rng(seed), 1, COUNT, members, shift)[0]


def test_the_heads_that_tell_of_a_strange_minority_are_selected(columns: np.ndarray) -> None:
    found = select_heads(columns, [odd(6, MEMBERS, 0.0), odd(7, MEMBERS, 2.0)])
    assert found is not None
    order = np.argsort(found.columns)
    assert found.columns[order].tolist() == list(TELLING)
    assert found.mixture.direction[order].tolist() == [1, 1, -1]
    assert found.weight.sum() == pytest.approx(1)
    assert found.share == pytest.approx(len(MEMBERS) / COUNT, abs=0.003)
    assert found.mixture.majority == pytest.approx(np.array([[0, 1]] * 3), abs=0.15)
    p_values, z = found.p_values(columns[found.columns])
    assert p_values[MEMBERS].max() < 1e-4
    assert (np.delete(p_values, MEMBERS) >= 0.05).all()
    assert z[MEMBERS].min() > np.delete(z, MEMBERS).max()


def test_a_minority_that_says_nothing_odd_is_not_selected(columns: np.ndarray) -> None:
    nothing = np.arange(0)
    assert select_heads(columns, [odd(6, nothing, 0), odd(7, nothing, 0)]) is None
    assert select_heads(columns, [odd(6, MEMBERS, -2.0)]) is None  # less strange than others
    assert select_heads(columns, [odd(6, np.arange(100, 160), 3.0)]) is None  # others are strange


def test_heads_that_single_out_others_than_the_best_do_not_join(columns: np.ndarray) -> None:
    found = select_heads(columns, [odd(6, MEMBERS, 2.5), odd(7, np.arange(400, 430), 1.5)])
    assert found is not None
    assert sorted(found.columns) == list(TELLING)


def test_far_from_the_majority_is_no_proof_when_the_minority_lies_farther() -> None:
    mixture = Mixture(np.array([[0.0, 1.0]]), np.array([[-12.0, 1.0]]), np.array([0.03]))
    selection = Selection(np.array([0]), mixture, np.ones(1), 0.03)
    p_values, z = selection.p_values(np.array([[0.0, -5.0, -12.0, 12.0]]))
    assert z == pytest.approx([0, 5, 12, -12])
    assert p_values[:2] == pytest.approx([0.5, 0.05])
    assert p_values[2] < 1e-9
    assert p_values[3] > 0.99  # the wrong side


def test_noise_selects_nothing() -> None:
    selected = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        says = [rng.standard_normal(600) for _ in range(3)]
        selected += select_heads(rng.standard_normal((20, 600)), says) is not None
    assert selected == 0


# ---------------------------------------------------------------- the signal

SHAPE = (1, 2, 6, 6)  # layers, heads, rows, columns


def score_file(path: Path, drift: np.ndarray, members: np.ndarray) -> Scores:
    """Two heads that wander; on the members, head 1 sits on cell (4, 2) when it produces the first token."""
    rng = np.random.default_rng(8)
    maps = rng.dirichlet(np.ones(36), (len(drift), 2, 1, 2)).reshape(-1, 2, *SHAPE)  # sample, token, layer, head
    sharp = 0.3 * maps[members, 0, 0, 1]
    sharp[:, 4, 2] += 0.7
    maps[members, 0, 0, 1] = sharp
    noise = {f"signal.{name}.output": rng.standard_normal(len(drift)) for name in ("onion", "grounding")}
    batch = {
        **noise,
        "signal.drift.output": drift,
        "attention.measures": concentration(maps).reshape(len(maps), -1),
        "attention.peak": maps.reshape(len(maps), 4, 36).argmax(axis=2).astype(np.uint16),
    }
    files = (path / "0.parquet", path / "1.parquet")
    for file, rows in zip(files, (slice(0, 250), slice(250, None)), strict=True):
        write_table(join_columns([{name: part[rows] for name, part in batch.items()}]), file)
    return Scores(files, {"attention_shape": SHAPE})


def test_the_signal_finds_the_samples_and_says_where_the_head_looks(tmp_path: Path) -> None:
    members = np.arange(240, 264)
    scores = score_file(tmp_path, planted(np.random.default_rng(9), 1, 600, members, 3.0)[0], members)
    evidence = Attention().judge(scores, None)
    assert not evidence.abstained
    assert np.flatnonzero(evidence.p_values < 1e-4).tolist() == members.tolist()
    assert "4.0 % of the samples" in evidence.note
    assert "layer 0 head 1" in evidence.note
    assert evidence.reason(250).startswith("attention peak at (4,2) holds 7")
    assert evidence.reason(0) == ""
    head, peak, mass = anomalous_heads(scores)
    assert (head[members] == 1).all()
    assert (peak[members] == 4 * 6 + 2).all()
    assert (mass[members] > 0.7).all()


def test_the_signal_abstains_where_the_minority_is_not_strange_or_the_data_are_few(tmp_path: Path) -> None:
    scores = score_file(tmp_path, np.random.default_rng(9).standard_normal(600), np.arange(240, 264))
    assert Attention().judge(scores, None).abstained
    few = score_file(tmp_path, np.random.default_rng(9).standard_normal(49), np.arange(5))
    assert Attention().judge(few, None).abstained
