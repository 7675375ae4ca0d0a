"""Scoring within the device's memory: smaller batches where large ones do not fit, and no sample lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zoo
from PIL import Image

from srdscan.config import AuditConfig
from srdscan.measure.scoring import Room, score_unit
from srdscan.models.fetch import ModelError
from srdscan.models.loaded import Models, load_models
from srdscan.sources.tar import ReadOptions, open_shard

COUNT = 21


class Cramped:
    """A captioner on a device that holds only so many images."""

    def __init__(self, captioner: Any, room: int) -> None:
        self.captioner, self.room, self.sizes = captioner, room, []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.captioner, name)

    def encode(self, images: Sequence[Image.Image]) -> Any:
        self.sizes.append(len(images))
        if len(images) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.captioner.encode(images)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return load_models(AuditConfig(("x",), captioner="captioner-backdoored"))


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return zoo.tar(tmp_path_factory.mktemp("shard") / "s.tar", zoo.pairs(COUNT))


def columns(models: Models, path: Path, room: Room | None = None) -> dict[str, list[Any]]:
    with open_shard(path) as shard:
        found = score_unit(shard, models, ReadOptions(), 16, room=room)
    assert found.table is not None
    return found.table.to_pydict()


def test_a_batch_that_does_not_fit_is_split_and_nothing_is_lost(models: Models, shard: Path) -> None:
    cramped = Cramped(models.reference, 5)
    room = Room(16)
    found = columns(replace(models, reference=cramped), shard, room)
    whole = columns(models, shard)
    assert cramped.sizes == [16, 8, 4, 4, 4, 4, 4, 1]
    assert room.images == 4
    for name in ("key", "index", "caption", "reference", "output"):
        assert found[name] == whole[name]
    assert np.allclose(found["signal.drift.output"], whole["signal.drift.output"], atol=1e-3)


def test_an_image_that_never_fits_is_an_error_with_a_remedy(models: Models, shard: Path) -> None:
    with pytest.raises(ModelError, match="--device cpu"):
        columns(replace(models, reference=Cramped(models.reference, 0)), shard)


def test_other_failures_of_a_model_are_not_taken_for_lack_of_memory(models: Models, shard: Path) -> None:
    broken = Cramped(models.reference, COUNT)
    broken.encode = lambda images: torch.zeros(2, 3) @ torch.zeros(2, 3)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        columns(replace(models, reference=broken), shard)
