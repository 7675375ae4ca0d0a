"""Captions of other images: their share is estimated, the surest are accused, and honest data are left alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny

from srdscan import scenes
from srdscan.audit import audit
from srdscan.config import AuditConfig, ConfigError
from srdscan.measure.state import load_scores
from srdscan.models.matchers.load import load_matcher
from srdscan.signals.agreement import CAPTION, IMAGE, MATCHER_CAPTION, MATCHER_IMAGE, agreement_of, find_unrelated
from srdscan.sources.base import Sample
from srdscan.sources.tar import read_shard, rewrite_shard

pytestmark = pytest.mark.slow


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
    """100 drawn scenes, 15 of which have the caption of the next."""
    folder = tmp_path_factory.mktemp("swapped")
    scenes.write_shards(folder / "clean", 100, 100, seed=31)
    (path,) = (folder / "clean").glob("*.tar")
    before = [item for item in read_shard(str(path)) if isinstance(item, Sample)]
    texts = [sample.captions[0].text for sample in before]
    said = {}
    for place in range(15):
        text = texts[(place + 1) % 15].encode()
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
    lowest = np.argsort(-values)[:15]
    assert sum(place < 15 for place in lowest) >= 10  # ranked by how badly they fit
    scores = load_scores(tmp_path / "clean")
    assert agreement_of(scores) is agreement_of(scores)  # fitted once for all who ask


@pytest.fixture(scope="module")
def scenes_swapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 drawn scenes of two captions each, of which 6 have the captions of the next."""
    folder = tmp_path_factory.mktemp("few")
    for number in range(40):
        image, scene = scenes.make(41, number)
        image.save(folder / f"{number:03}.png")
        said = scene if number >= 6 else scenes.compose(41, (number + 1) % 6)
        (folder / f"{number:03}.txt").write_text(f"{said.caption}\nhere is {said.caption}\n", encoding="utf-8")
    return folder


def test_an_audit_with_a_clip_judges_pairs_by_its_word(scenes_swapped: Path, tmp_path: Path) -> None:
    clip = tiny.clip_of_scenes(tmp_path / "clip")
    config = AuditConfig((str(scenes_swapped),), matcher=str(clip), out=tmp_path / "out", pictures=2)
    outcome = audit(config)
    scores = load_scores(tmp_path / "out")
    found = agreement_of(scores)
    assert found is not None
    assert found.names == ["matcher"]
    assert len(found.scores) == 80
    assert found.ranks[12:].mean() > 0.75
    assert found.scores[:12].mean() < 0.5 < np.median(found.scores[12:])
    named = {record.role: record for record in outcome.report.models}
    assert named["matcher"].name == str(clip)
    assert named["matcher"].fingerprint == load_matcher(str(clip), None).fingerprint
    assert named["looks"].name == "agreement"
    for file in ("report.html", "report.json"):
        assert str(clip) in (tmp_path / "out" / file).read_text(encoding="utf-8")
    before = (tmp_path / "out" / "samples.parquet").read_bytes()
    audit(config)
    assert (tmp_path / "out" / "samples.parquet").read_bytes() == before
    with pytest.raises(ConfigError, match="holds an audit of other shards, models or options"):
        audit(replace(config, matcher="embedded"))


def test_an_audit_with_a_siglip_keeps_what_others_read(scenes_swapped: Path, tmp_path: Path) -> None:
    siglip = tiny.siglip(tmp_path / "siglip")
    outcome = audit(AuditConfig((str(scenes_swapped),), matcher=str(siglip), out=tmp_path / "out", pictures=2))
    audit(AuditConfig((str(scenes_swapped),), out=tmp_path / "embedded", pictures=2))
    ours, theirs = load_scores(tmp_path / "out"), load_scores(tmp_path / "embedded")
    for column in (IMAGE, CAPTION):  # near duplicates, spots, foreign words and the fit
        assert all(np.array_equal(a, b) for a, b in zip(ours.vectors(column), theirs.vectors(column), strict=True))
    assert not theirs.has(MATCHER_IMAGE)
    assert np.concatenate(list(ours.vectors(MATCHER_IMAGE))).shape == (80, 32)
    lengths = np.linalg.norm(np.concatenate(list(ours.vectors(MATCHER_CAPTION))).astype(float), axis=1)
    assert lengths == pytest.approx(np.ones(80), abs=1e-3)
    (fit,) = outcome.report.fit
    assert fit.matcher == pytest.approx(0.5, abs=0.15)  # random weights tell nothing, and that is said
    assert outcome.verdicts.evidence["agreement"].abstained
