"""Limits of detection on drawn scenes: what the search plants, counts and leaves alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from srdscan import scenes
from srdscan.audit import Examined, examine, measure_limits, open_models
from srdscan.config import AuditConfig
from srdscan.limits import DetectionLimits
from srdscan.limits.patches import find_patches
from srdscan.limits.search import _sizes, measured_at_most
from srdscan.models.loaded import Models
from srdscan.progress import Quiet

pytestmark = pytest.mark.slow

COUNT = 100


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[AuditConfig, Models, Examined]:
    """The fewest samples of which limits are measured, in two shards."""
    made = tmp_path_factory.mktemp("limits")
    scenes.write_shards(made / "shards", COUNT, COUNT // 2, 17)
    config = AuditConfig(shards=(str(made / "shards"),), out=made / "out", pictures=0)
    models = open_models(config)
    return config, models, examine(config, models, Quiet())


@pytest.fixture(scope="module")
def limits(audited: tuple[AuditConfig, Models, Examined]) -> DetectionLimits:
    config, models, examined = audited
    return measure_limits(config, models, examined, Quiet())


def test_plain_attacks_on_scenes_are_found_from_a_few_samples_on(limits: DetectionLimits) -> None:
    found = {item.attack: item for item in limits.limits}
    assert all(3 <= (found[name].limit or 99) <= 6 for name in ("inserted word", "repeated sentence", "link"))
    assert found["patch"].limit == 6
    assert all(trial.samples <= 0.15 * COUNT for item in limits.limits for trial in item.trials)


def test_planting_leaves_the_scores_and_the_verdict_as_they_were(
    audited: tuple[AuditConfig, Models, Examined], limits: DetectionLimits
) -> None:
    config, models, examined = audited
    before = [path.read_bytes() for path in examined.scores.files]
    captions, p_values = list(examined.scores.strings("caption")), examined.verdicts.p_values.copy()
    again = measure_limits(config, models, examined, Quiet())
    assert again == limits, "the same seed gives the same limits"
    assert [path.read_bytes() for path in examined.scores.files] == before
    assert list(examined.scores.strings("caption")) == captions
    assert np.array_equal(examined.verdicts.p_values, p_values, equal_nan=True)
    assert not examined.verdicts.flagged.any()


def test_a_patch_that_nobody_could_see_has_no_limit(
    audited: tuple[AuditConfig, Models, Examined], monkeypatch: pytest.MonkeyPatch
) -> None:
    from srdscan.limits import patches

    monkeypatch.setattr(patches, "SIDE", 2)
    _, _, examined = audited
    (found,) = find_patches(examined.searched, examined.by_image, COUNT, 0)
    assert found.limit is None
    assert [trial.found for trial in found.trials] == [0] * len(found.trials)


def test_few_samples_are_said_to_be_too_few(audited: tuple[AuditConfig, Models, Examined], tmp_path: Path) -> None:
    config, models, _ = audited
    few = AuditConfig(shards=config.shards, out=tmp_path, pictures=0, limit=30)
    found = measure_limits(few, models, examine(few, models, Quiet()), Quiet())
    assert found.limits == ()
    assert found.told.startswith("30 samples are too few")


def test_attacks_grow_to_what_is_required_and_to_a_part_of_the_data() -> None:
    assert list(_sizes(100, 0)) == [3, 6, 12]
    assert list(_sizes(600, 25)) == [3, 6, 12, 25, 50]
    assert list(_sizes(100_000, 1000))[-1] == 800
    assert list(_sizes(10, 0)) == [3]
    assert [measured_at_most(samples) for samples in (100, 1_000, 100_000)] == [50, 200, 4_000]
