"""Density: pairs that lie apart are found, copies do no harm, and a large set is compared with a part of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from srdscan import scenes
from srdscan.measure.batch import Batch
from srdscan.measure.scores import Scores, join_columns, write_table
from srdscan.models.language_model import LanguageModel
from srdscan.models.matchers.embedded import EmbeddedMatcher
from srdscan.models.sentence_encoder import SentenceEncoder
from srdscan.signals import density
from srdscan.signals.base import Evidence
from srdscan.stats.neighbours import dao, nearest, slof

COUNT = 400
APART = [3, 77, 250]


def judged(path: Path, vectors: np.ndarray) -> Evidence:
    write_table(join_columns([{density.VECTOR: vectors.astype(np.float16)}]), path)
    return density.Density().judge(Scores((path,), {}), None)


@pytest.fixture
def vectors() -> np.ndarray:
    """Pairs around a few themes, some of which are on their own in both halves."""
    rng = np.random.default_rng(2)
    themes = rng.normal(0, 1, (5, 192))
    made = themes[rng.integers(0, 5, COUNT)] + rng.normal(0, 0.3, (COUNT, 192))
    made[APART] += rng.normal(0, 0.6, (len(APART), 192))
    return made


def test_pairs_that_lie_apart_are_found(vectors: np.ndarray, tmp_path: Path) -> None:
    evidence = judged(tmp_path / "a.parquet", vectors)
    assert sorted(np.argsort(evidence.p_values)[:3].tolist()) == APART
    assert evidence.p_values[APART].max() < 1e-3
    assert "no other samples" in evidence.reason(APART[0])
    rest = np.delete(evidence.p_values, APART)
    assert rest.min() > 1e-3
    assert evidence.reason(int(np.argmax(evidence.p_values))) == ""


def test_a_part_of_a_large_set_tells_the_same(
    vectors: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(density, "EXACT", 150)
    evidence = judged(tmp_path / "a.parquet", vectors)
    assert sorted(np.argsort(evidence.p_values)[:3].tolist()) == APART


def test_copies_and_few_samples_do_no_harm(vectors: np.ndarray, tmp_path: Path) -> None:
    assert judged(tmp_path / "few.parquet", vectors[: density.FEWEST - 1]).abstained
    equal = judged(tmp_path / "equal.parquet", np.ones((80, 192)))
    assert np.isfinite(equal.p_values).all()
    assert equal.p_values.min() > 0.01


def test_neighbours_among_some_are_those_of_a_brute_force_search() -> None:
    points = np.random.default_rng(0).normal(0, 1, (60, 5))
    among = np.arange(0, 60, 3)
    distances, indices = nearest(points, 4, among)
    for index, point in enumerate(points):
        others = among[among != index]
        order = others[np.argsort(np.linalg.norm(points[others] - point, axis=1))][:4]
        assert indices[index].tolist() == order.tolist()
        assert distances[index] == pytest.approx(np.linalg.norm(points[order] - point, axis=1))


def test_projection_keeps_who_is_whose_neighbour(captioner: Any, pictures: list[Image.Image]) -> None:
    """Vectors of a batch are measured once, and tell scenes apart as features and embeddings themselves do."""
    encoding = captioner.encode(pictures)
    reference = captioner.describe(encoding)
    captions = [scenes.compose(11, index).caption for index in range(6)]
    each = np.arange(len(captions))
    looks = EmbeddedMatcher(captioner)
    models = captioner, SentenceEncoder(), LanguageModel(), looks, looks
    batch = Batch(captions, each, reference, None, encoding, *models, pictures)
    kept = density.Density().measure(batch)[density.VECTOR]
    assert isinstance(kept, np.ndarray)
    assert (kept.shape, kept.dtype) == ((6, 2 * density.PROJECTED), np.float16)
    assert np.array_equal(kept, density.Density().measure(batch)[density.VECTOR])
    unit = encoding.features / np.linalg.norm(encoding.features, axis=1, keepdims=True)
    full = np.concatenate([unit, batch.embeddings["caption"]], axis=1)
    upper = np.triu_indices(6, 1)
    wanted, got = (
        np.linalg.norm(points[:, None] - points[None], axis=2)[upper] for points in (full, kept.astype(np.float64))
    )
    assert got == pytest.approx(wanted, rel=0.3)
    assert np.corrcoef(wanted, got)[0, 1] > 0.9


def test_both_factors_know_the_outlier() -> None:
    points = np.random.default_rng(1).normal(0, 1, (100, 4))
    points[7] = 9.0
    assert np.argmax(slof(points)) == np.argmax(dao(points)) == 7
