"""Scoring within the device's memory: smaller batches where large ones do not fit, and no sample lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zoo
from PIL import Image

from srdscan import scenes
from srdscan.audit import open_models
from srdscan.config import AuditConfig
from srdscan.measure.batch import score_each
from srdscan.measure.scoring import Room, score_unit
from srdscan.models.fetch import ModelError
from srdscan.models.loaded import Models
from srdscan.signals import signals_for
from srdscan.sources.base import ReadOptions
from srdscan.sources.tar import TarSource

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
    return open_models(AuditConfig(("x",), captioner="captioner-backdoored"))


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return zoo.tar(tmp_path_factory.mktemp("shard") / "s.tar", zoo.pairs(COUNT))


def columns(models: Models, path: Path, room: Room | None = None) -> dict[str, list[Any]]:
    source = TarSource([str(path)])
    with source.open(source.units[0]) as unit:
        found = score_unit(unit, models, signals_for(model_audit=True), ReadOptions(), 16, room=room)
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


def test_every_caption_of_an_image_is_measured_and_the_image_described_once(models: Models, tmp_path: Path) -> None:
    captions = ["a red star", "a blue cup on grass", "nonsense zephyr banana"]
    entries = [("a.jpg", zoo.jpeg()), ("a.json", json.dumps({"captions": captions}).encode()), *zoo.pairs(1, first=7)]
    cramped = Cramped(models.reference, COUNT)
    found = columns(replace(models, reference=cramped), zoo.tar(tmp_path / "x.tar", entries))
    assert cramped.sizes == [2]
    assert found["caption"][:3] == captions
    assert (found["index"], found["caption_index"]) == ([0, 0, 0, 1], [0, 1, 2, 0])
    assert found["place"][:2] == ["a.json captions[0]", "a.json captions[1]"]
    assert len({*found["output"][:3]}) == 1
    alone = columns(models, zoo.tar(tmp_path / "y.tar", [entries[0], ("a.txt", captions[1].encode())]))
    for name in ("signal.drift.caption", "signal.grounding.caption", "signal.fluency.caption"):
        assert found[name][1] == pytest.approx(alone[name][0], abs=0.03), name


def test_an_encoding_that_cannot_be_taken_apart_gives_the_same_scores(models: Models) -> None:
    images = [scenes.make(4, index)[0] for index in range(3)]
    encoding = models.reference.encode(images)
    texts, places = ["a red star", "a dog", "a green cup", "two stars"], np.array([0, 0, 0, 2])
    one_by_one = [
        models.reference.score(models.reference.encode([images[n]]), [t])[0] for n, t in zip(places, texts, strict=True)
    ]
    for given in (
        score_each(models.reference, Whole(encoding), places, texts),
        score_each(models.reference, encoding, places, texts),
    ):
        for mine, theirs in zip(given, one_by_one, strict=True):
            assert np.allclose(mine, theirs, atol=0.05)


class Whole:
    """An encoding without `take`."""

    def __init__(self, encoding: Any) -> None:
        self.memory, self.features, self.extra, self.projected = encoding.memory, encoding.features, encoding.extra, {}

    def __len__(self) -> int:
        return len(self.features)
