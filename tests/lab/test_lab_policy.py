"""Policies that do not see a part of their inputs: the network, its file, the option, the experiment."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from srdscan import scenes
from srdscan.config import ConfigError, TrainConfig, load_config
from srdscan.config.train import INPUTS as NAMES
from srdscan.lab.experiment import Experiment, Planned
from srdscan.lab.jobs import Places
from srdscan.lab.kinds import policy as kind
from srdscan.lab.victims import Attack
from srdscan.policy.actions import GRID, ActionSpace
from srdscan.policy.episodes import PICTURE, PLANES, STEPS
from srdscan.policy.qnet import INPUTS, QNetwork
from srdscan.policy.store import Policy, PolicyError, load_policy, save_policy

SPACE = ActionSpace()


def network(hidden: tuple[str, ...] = ()) -> QNetwork:
    torch.manual_seed(3)
    made = QNetwork(SPACE, hidden=hidden).eval()
    for layer in (made.maps, made.whole, made.value):
        torch.nn.init.normal_(layer.weight)
    return made


@pytest.mark.parametrize("hidden", [(), ("attention",), ("picture",), ("fidelity",), ("mask",), tuple(INPUTS)])
def test_a_network_sees_every_input_but_the_hidden_ones(hidden: tuple[str, ...]) -> None:
    made = network(hidden)
    draw = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, PICTURE, PICTURE, generator=draw) * 255
    planes = torch.rand(1, len(PLANES), GRID, GRID, generator=draw) * 255
    groups = {**INPUTS, "steps": ("steps left",)}
    assert {plane for group in groups.values() for plane in group} == {*PLANES}
    with torch.inference_mode():
        before = made(image, planes)
        for name, group in groups.items():
            other = planes.clone()
            other[:, [PLANES.index(plane) for plane in group]] = 7
            after = made(image / 2 if name == "picture" else image, other)
            assert torch.equal(before, after) == (name in hidden), name


def test_a_policy_file_says_what_is_hidden_and_the_first_ones_are_still_read(tmp_path: Path) -> None:
    path = save_policy(Policy(network(("mask", "picture")), SPACE, STEPS, "f" * 64, {}), tmp_path)
    assert load_policy(str(path)).network.hidden == ("picture", "mask")
    with safe_open(path, framework="pt") as file:
        document = json.loads(file.metadata()["srdscan.policy"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for said, hidden in (({"attention": True}, ()), ({"attention": False}, ("attention",))):
        document["network"] = {"width": 48, **said}
        save_file(tensors, path, {"srdscan.policy": json.dumps(document)})
        assert load_policy(str(path)).network.hidden == hidden
    for wrong in ({"width": 48}, {"width": 48, "hidden": ["taste"]}):
        save_file(tensors, path, {"srdscan.policy": json.dumps(document | {"network": wrong})})
        with pytest.raises(PolicyError, match="does not hold the network"):
            load_policy(str(path))
    assert load_policy().network.hidden == ()


def test_what_can_be_hidden_is_named_alike_and_nothing_else_is() -> None:
    assert set(NAMES) == {*INPUTS}
    with pytest.raises(ValueError, match="taste"):
        QNetwork(SPACE, hidden=("taste",))
    with pytest.raises(ConfigError, match="hide taste: must be of attention, picture"):
        load_config(TrainConfig, None, {"shards": ("x",), "captioner": "m", "hide": ("mask", "taste")})
    assert load_config(TrainConfig, None, {"shards": ("x",), "captioner": "m", "hide": "mask"}).hide == ("mask",)


@pytest.mark.slow
def test_policies_learn_from_the_same_photographs_and_meet_every_attack(tmp_path: Path) -> None:
    scenes.write_shards(tmp_path / "train", 120, 90, 81)
    scenes.write_shards(tmp_path / "dev", 8, 8, 82)
    places = Places(str(tmp_path / "train"), str(tmp_path / "dev"), tmp_path / "work")
    experiment = Experiment("p", "policy", (Planned(Attack("canary")),), victim_shards=1, steps=32, photos=6)
    jobs = kind.jobs(experiment, places)
    assert [job.row for job in jobs] == ["all inputs", *(f"without {name}" for name in NAMES)]
    (blind,) = (job for job in jobs if job.variant == "without picture")
    result = blind.run(kind.work)
    assert result["learned"]["steps"] >= 32
    (learned,) = places.work.glob("policy-without-picture-*/policy")
    assert load_policy(str(learned)).network.hidden == ("picture",)
    made = sorted(path for name in ("planted", "policy-audit", "prepared") for path in places.work.glob(f"{name}-*"))
    assert len(made) == 3
    before = [path.stat().st_mtime_ns for path in made]
    jobs[0].run(kind.work)
    assert [path.stat().st_mtime_ns for path in made] == before, "made once for all policies"
    (table,) = kind.tables({"without picture": result})
    assert [row[:2] for row in table.rows] == [["canary", "none"], ["canary", "without picture"]]
    none = dict(zip(table.head, table.rows[0], strict=True))
    assert float(none["ASR"]) > 0.8
    assert float(none["clean altered"]) == 0
    failed = {"learned": {}, "attacks": {"canary": {"asr": 0.5, "rows": []}}}
    assert kind.tables({"all inputs": failed})[0].rows[0][1] == "the attack did not take, ASR 0.500"
    done = replace(experiment, attacks=(*experiment.attacks, Planned(Attack("sig"))))
    assert kind.jobs(done, places)[0].identity() != jobs[0].identity()
