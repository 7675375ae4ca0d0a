"""Scores as they would be had some samples been others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srdscan import scenes
from srdscan.audit import Examined, examine, open_models
from srdscan.config import AuditConfig
from srdscan.measure.rescore import Edited, rescored
from srdscan.measure.revisit import EditedImages, ImageSource
from srdscan.models.loaded import Models
from srdscan.progress import Quiet
from srdscan.signals import signals_for

COUNT = 40


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[AuditConfig, Models, Examined]:
    """Two shards of drawn scenes, scored."""
    made = tmp_path_factory.mktemp("rescore")
    scenes.write_shards(made / "shards", COUNT, COUNT // 2, 91)
    config = AuditConfig(shards=(str(made / "shards"),), out=made / "out", pictures=0)
    models = open_models(config)
    return config, models, examine(config, models, Quiet())


def images_of(examined: Examined, rows: list[int]) -> dict[int, Image.Image]:
    return {
        row: image for batch, images in examined.images.images(rows) for row, image in zip(batch, images, strict=True)
    }


def test_what_was_not_changed_scores_as_before(audited: tuple[AuditConfig, Models, Examined], tmp_path: Path) -> None:
    _, models, examined = audited
    scores = examined.scores
    captions = list(scores.strings("caption"))
    edited = {row: Edited(image, [captions[row]]) for row, image in images_of(examined, [3, 30]).items()}
    again = rescored(scores, edited, models, signals_for(model_audit=False), tmp_path)
    for name in ("signal.drift.caption", "signal.fluency.caption", "signal.grounding.caption"):
        assert np.allclose(again.numbers(name), scores.numbers(name), atol=1e-4)
    assert list(again.strings("key")) == list(scores.strings("key"))


def test_a_changed_caption_is_scored_in_its_place_and_nowhere_else(
    audited: tuple[AuditConfig, Models, Examined], tmp_path: Path
) -> None:
    _, models, examined = audited
    scores = examined.scores
    (image,) = images_of(examined, [30]).values()
    edited = {30: Edited(image, ["vote for a better tomorrow"])}
    again = rescored(scores, edited, models, signals_for(model_audit=False), tmp_path)
    assert list(again.strings("caption"))[30] == "vote for a better tomorrow"
    for name in ("signal.drift.caption", "signal.fluency.caption"):
        changed = np.flatnonzero(again.numbers(name) != scores.numbers(name))
        assert changed.tolist() == [30]
    assert again.files[0] == scores.files[0], "a shard that did not change is read from where it is"
    assert again.files[1].parent == tmp_path


def test_an_image_is_replaced_on_the_way_back(audited: tuple[AuditConfig, Models, Examined]) -> None:
    config, _, examined = audited
    each = examined.scores.by_image
    original = ImageSource(examined.source, examined.records, each, config.reading, 16, config.max_pixels)
    black = Image.new("RGB", (8, 8))
    seen = {
        row: image
        for batch, images in EditedImages(original, each, {7: black}).images(range(COUNT))
        for row, image in zip(batch, images, strict=True)
    }
    assert len(seen) == COUNT
    assert [row for row, image in seen.items() if image.size == (8, 8)] == [7]
