"""Columns that stay in their score files are read as an array would be, however rows are cut into files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from srdscan.measure.scores import Scores, Stored, join_columns, write_table
from srdscan.stats.agreement import Agreement
from srdscan.stats.near_duplicates import CELL, SAME, near_duplicates
from srdscan.stats.vectors import parts

COUNT, WIDTH = 900, 24


def written(folder: Path, columns: dict[str, np.ndarray | list[str]], cuts: list[int]) -> Scores:
    files = []
    count = len(next(iter(columns.values())))
    for start, end in zip([0, *cuts], [*cuts, count], strict=True):
        files.append(folder / f"{len(cuts)}-{start}.parquet")
        write_table(join_columns([{name: column[start:end] for name, column in columns.items()}]), files[-1])
    return Scores(tuple(files), {})


@pytest.fixture(scope="module")
def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Images and captions with something in common."""
    random = np.random.default_rng(0)
    shared = random.normal(size=(COUNT, 6)) @ random.normal(size=(6, 2 * WIDTH))
    both = (shared + random.normal(size=(COUNT, 2 * WIDTH))).astype(np.float16)
    return both[:, :WIDTH], both[:, WIDTH:]


@pytest.mark.parametrize("cuts", [[], [1, 400, 401]])
def test_stored_vectors_are_read_as_an_array_is(
    tmp_path: Path, pairs: tuple[np.ndarray, np.ndarray], cuts: list[int]
) -> None:
    images, _ = pairs
    scores = written(tmp_path, {"x": images, "text": [f"text {row}" for row in range(COUNT)]}, cuts)
    some = np.arange(0, COUNT, 3)
    for stored, wanted in ((Stored(scores, "x"), images), (Stored(scores, "x", some), images[some])):
        assert stored.shape == wanted.shape
        assert np.array_equal(np.concatenate([part for _, part in parts(stored)]), wanted)
        assert next(start for start, _ in parts(stored)) == 0
        rows = np.random.default_rng(1).permutation(len(wanted))[:50]
        assert np.array_equal(stored[rows], wanted[rows])
        assert stored[rows[:0]].shape == (0, WIDTH)
    assert scores.chosen("text", some[[0, 5, 299]]) == ["text 0", "text 15", "text 897"]


def test_agreement_does_not_depend_on_how_files_are_cut(tmp_path: Path, pairs: tuple[np.ndarray, np.ndarray]) -> None:
    image_of = np.arange(COUNT)
    whole = Agreement(*pairs, image_of)
    scores = written(tmp_path, dict(zip("xt", pairs, strict=True)), [7, 450, 451])
    parted = Agreement(Stored(scores, "x"), Stored(scores, "t"), image_of)
    assert parted.scores == pytest.approx(whole.scores, abs=1e-3)
    assert parted.competence == pytest.approx(whole.competence, abs=1e-4)
    assert np.array_equal(parted.family_of, whole.family_of)


def test_no_near_duplicate_of_a_cell_is_lost_to_the_first_look() -> None:
    """Vectors that lie in a few directions, and some that are near to one another: just those that are."""
    random = np.random.default_rng(2)
    directions = random.normal(size=(30, 64)) / 2
    vectors = random.normal(size=(CELL, 30)) @ directions + random.normal(size=(CELL, 64)) / 3
    vectors[1000:1200] = vectors[:200] + random.normal(size=(200, 64)) * np.linspace(0.1, 2.5, 200)[:, None]
    unit = vectors - vectors.mean(axis=0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    near = unit @ unit.T >= SAME
    groups = near_duplicates(vectors.astype(np.float32))
    one, two = np.nonzero(np.triu(near, 1))
    assert len(one) > 50
    assert np.array_equal(groups[one], groups[two])
    alone = near.sum(axis=1) == 1
    assert np.unique(groups[alone]).size == alone.sum()
