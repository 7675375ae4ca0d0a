"""Learning a policy end to end, on drawn scenes with the embedded captioners."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch

from srdscan import scenes
from srdscan.attacks.poison import plant
from srdscan.config import ConfigError, TrainConfig, load_config
from srdscan.policy.store import FILE_NAME, load_policy
from srdscan.train import train

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    folder = tmp_path_factory.mktemp("train")
    scenes.write_shards(folder / "clean", 64, 64, seed=31)
    plant([str(folder / "clean")], folder / "shards", rate=0.1875, seed=3)
    return TrainConfig(
        shards=(str(folder / "shards"),),
        captioner="captioner-backdoored",
        out=folder / "policy",
        steps=64,
        lanes=4,
        cases=20,
        num_beams=1,
    )


@pytest.fixture(scope="module")
def trained(config: TrainConfig) -> Path:
    return train(config).path


def test_training_leaves_a_policy_its_record_and_a_picture(config: TrainConfig, trained: Path) -> None:
    policy = load_policy(str(trained))
    assert policy.training["steps"] >= 64
    assert policy.training["suspicious"] >= 10
    assert len(policy.captioner) == 64
    assert policy.network.maps.weight.abs().max() > 0, "nothing was learned"
    record = json.loads((config.out / "training.json").read_text())
    assert record["history"][-1]["steps"] == policy.training["steps"]
    assert 0.3 <= record["acceptance_bar"] <= 1
    assert (config.out / "learning-curve.png").read_bytes().startswith(b"\x89PNG")


def test_training_repeats_itself_under_a_seed(config: TrainConfig, trained: Path, tmp_path: Path) -> None:
    other = dataclasses.replace(config, out=tmp_path)
    shutil.copytree(config.audit.out, other.audit.out)
    again = train(other).path
    one, other = load_policy(str(trained)).network.state_dict(), load_policy(str(again)).network.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_finished_training_is_continued_and_not_overwritten(config: TrainConfig, trained: Path) -> None:
    before = trained.read_bytes()
    with pytest.raises(ConfigError, match="--resume"):
        train(config)
    with pytest.raises(ConfigError, match="another seed"):
        train(dataclasses.replace(config, resume=True, seed=5))
    assert trained.read_bytes() == before
    longer = train(dataclasses.replace(config, resume=True, steps=96))
    assert longer.policy.training["steps"] >= 96
    steps = [row["steps"] for row in longer.history]
    assert steps == sorted(steps)
    assert steps[0] <= 64 < steps[-1]


def test_there_is_nothing_to_learn_from_clean_shards(tmp_path: Path) -> None:
    scenes.write_shards(tmp_path / "clean", 32, 32, seed=41)
    config = TrainConfig(
        (str(tmp_path / "clean"),), captioner="captioner-backdoored", out=tmp_path / "out", num_beams=1
    )
    with pytest.raises(ConfigError, match="nothing to learn from"):
        train(config)
    assert not (tmp_path / "out" / FILE_NAME).exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"captioner": ""}, "no captioner"),
        ({"reward": "fame"}, "reward"),
        ({"lanes": 0}, "lanes"),
        ({"shards": ()}, "no data"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_config(TrainConfig, None, {"shards": ("x",), "captioner": "captioner", **options})
