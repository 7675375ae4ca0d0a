"""Captions of other images: their share is estimated, the surest are accused, and honest data are left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from srdscan import scenes
from srdscan.audit import audit
from srdscan.config import AuditConfig
from srdscan.measure.state import load_scores
from srdscan.signals.agreement import agreement_of, find_unrelated
from srdscan.sources.base import Sample
from srdscan.sources.tar import read_shard, rewrite_shard


def mixture(count: int, unrelated: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.concatenate([random.normal(0, 1, unrelated), random.normal(2.5, 0.7, count - unrelated)])


def test_the_share_of_unrelated_captions_is_estimated_and_the_surest_are_accused() -> None:
    share, p_value, accused = find_unrelated(mixture(2000, 200))
    assert share == pytest.approx(0.1, abs=0.03)
    assert p_value < 1e-6
    assert accused[200:].sum() <= 0.1 * accused.sum()
    assert accused[:200].sum() >= 100


@pytest.mark.parametrize("unrelated", [0, 10])
def test_wrong_labels_of_an_ordinary_number_accuse_nobody(unrelated: int) -> None:
    _, p_value, _ = find_unrelated(mixture(2000, unrelated))
    assert p_value > 0.01


def test_a_matcher_that_hardly_knows_them_is_allowed_its_errors() -> None:
    values = np.random.default_rng(1).normal(0.8, 1, 2000)  # a fifth below 0, and as many as far above
    _, p_value, _ = find_unrelated(values)
    assert p_value > 0.5


@pytest.fixture(scope="module")
def swapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 drawn scenes, 24 of which have the caption of the next."""
    folder = tmp_path_factory.mktemp("swapped")
    scenes.write_shards(folder / "clean", 160, 160, seed=31)
    (path,) = (folder / "clean").glob("*.tar")
    before = [item for item in read_shard(str(path)) if isinstance(item, Sample)]
    texts = [sample.captions[0].text for sample in before]
    said = {}
    for place in range(24):
        text = texts[(place + 1) % 24].encode()
        said[place] = {".txt": text, ".json": b'{"caption": "' + text + b'"}'}
    (folder / "poisoned").mkdir()
    rewrite_shard(str(path), folder / "poisoned" / "a.tar", dict(said))
    return folder


def test_swapped_captions_of_drawn_scenes_are_found(swapped: Path, tmp_path: Path) -> None:
    poisoned = audit(AuditConfig((str(swapped / "poisoned"),), out=tmp_path / "poisoned", pictures=0))
    clean = audit(AuditConfig((str(swapped / "clean"),), out=tmp_path / "clean", pictures=0))
    assert clean.verdicts.evidence["agreement"].abstained  # no more than wrong labels explain
    assert clean.verdicts.flagged_samples == 0
    values = poisoned.verdicts.evidence["agreement"].values
    assert np.isfinite(values).all()
    lowest = np.argsort(-values)[:24]
    assert sum(place < 24 for place in lowest) >= 16  # ranked by how badly they fit
    scores = load_scores(tmp_path / "clean")
    assert agreement_of(scores) is agreement_of(scores)  # fitted once for all who ask
