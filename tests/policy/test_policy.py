"""Actions, episodes, network, policy file and environment, with the embedded captioners."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from stable_baselines3.common.vec_env import VecCheckNan, VecMonitor

from srdscan import scenes
from srdscan.models.captioners.load import load_captioner
from srdscan.models.language_model import LanguageModel
from srdscan.models.sentence_encoder import SentenceEncoder
from srdscan.policy.actions import GRID, LOCAL, SIZES, WHOLE, ActionSpace, notch
from srdscan.policy.dqn import DoubleDQN, RepairPolicy
from srdscan.policy.env import RepairEnv
from srdscan.policy.episodes import (
    HEADS,
    PICTURE,
    PLANES,
    STEPS,
    Case,
    Observer,
    View,
    begin,
    observe,
    paper_reward,
    step,
)
from srdscan.policy.fidelity import Fidelity, FidelityModel
from srdscan.policy.follow import roll_out
from srdscan.policy.qnet import QNetwork
from srdscan.policy.store import FILE_NAME, Policy, PolicyError, load_policy, save_policy
from srdscan.signals.head_norms import HeadNorms

SPACE = ActionSpace()
CELL = 16


def scene(index: int) -> np.ndarray:
    return np.asarray(scenes.make(3, index)[0])


@pytest.fixture(scope="module")
def observer() -> Observer:
    captioner = load_captioner("captioner-backdoored", "cpu", 1)
    norms = HeadNorms(np.full(16, 0.2), np.full(16, 0.1))
    return Observer(captioner, FidelityModel(SentenceEncoder(), LanguageModel()), norms)


@pytest.fixture(scope="module")
def cases(observer: Observer) -> list[Case]:
    drawn = [scenes.make(3, index) for index in range(6)]
    return observer.cases([np.asarray(image) for image, _ in drawn], [made.caption for _, made in drawn])


# ---------------------------------------------------------------- actions


def test_every_action_is_named_once_and_found_by_its_name() -> None:
    assert len(SPACE) == len(LOCAL) * len(SIZES) * GRID * GRID + len(WHOLE) + 1
    assert len(set(SPACE.names)) == len(SPACE)
    index = SPACE.index("occlude", 2, 3, 5)
    assert SPACE[index].name == "occlude 2x2 at (3,5)"
    assert SPACE[index].cells == (2, 4, 4, 6)
    assert SPACE[SPACE.stop].form == "stop"
    assert SPACE[SPACE.stop - 1].form == "whole"
    with pytest.raises(IndexError):
        SPACE[len(SPACE)]


@pytest.mark.parametrize("kind", [kind.name for kind in LOCAL])
@pytest.mark.parametrize(("row", "column"), [(0, 0), (6, 7), (13, 13)])
def test_a_local_action_changes_its_square_and_nothing_else(kind: str, row: int, column: int) -> None:
    image = scene(0)
    before = image.copy()
    index = SPACE.index(kind, 3, row, column)
    after = SPACE.apply(image, index, seed=1)
    top, left, bottom, right = (CELL * cell for cell in SPACE[index].cells or ())
    inside = np.zeros(image.shape[:2], dtype=bool)
    inside[top:bottom, left:right] = True
    assert np.array_equal(after[~inside], image[~inside])
    assert not np.array_equal(after[inside], image[inside])
    assert np.array_equal(image, before), "the image itself was changed"
    assert np.array_equal(after, SPACE.apply(image, index, seed=1))


def test_local_actions_do_what_they_say() -> None:
    image = scene(1)
    square = np.s_[5 * CELL : 8 * CELL, 5 * CELL : 8 * CELL]
    mean = image.reshape(-1, 3).mean(axis=0).round()
    assert (SPACE.apply(image, SPACE.index("occlude", 3, 6, 6))[square] == mean).all()
    assert (SPACE.apply(image, SPACE.index("redden", 3, 6, 6))[square] == (255, 0, 0)).all()
    shuffled = SPACE.apply(image, SPACE.index("shuffle", 3, 6, 6), seed=2)[square]
    assert np.array_equal(np.sort(shuffled.reshape(-1, 3), axis=0), np.sort(image[square].reshape(-1, 3), axis=0))
    assert not np.array_equal(shuffled, SPACE.apply(image, SPACE.index("shuffle", 3, 6, 6), seed=3)[square])
    blurred = SPACE.apply(image, SPACE.index("blur", 3, 6, 6))[square]
    assert blurred.astype(float).std() < image[square].astype(float).std()


@pytest.mark.parametrize("index", range(SPACE.stop - len(WHOLE), SPACE.stop))
@pytest.mark.parametrize("shape", [(224, 224), (37, 61), (1, 1), (3, 400)])
def test_whole_image_actions_keep_the_size_and_most_of_the_picture(index: int, shape: tuple[int, int]) -> None:
    image = np.ascontiguousarray(np.resize(scene(2), (*shape, 3)))
    after = SPACE.apply(image, index)
    assert after.shape == image.shape
    assert after.dtype == np.uint8
    if shape == (224, 224):
        assert 0 < np.abs(after.astype(float) - image).mean() < 12 or SPACE[index].name == "notch filter"


@pytest.mark.parametrize("shape", [(1, 1), (5, 400), (13, 13)])
def test_local_actions_survive_images_smaller_than_the_grid(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 7, dtype=np.uint8)
    for kind in LOCAL:
        assert SPACE.apply(image, SPACE.index(kind.name, 2, 13, 13)).shape == image.shape


def test_the_notch_filter_takes_a_sinusoid_out_and_little_else() -> None:
    image = scene(4).astype(np.float64) * 0.7 + 40
    wave = 20 * np.sin(2 * np.pi * 12 * np.arange(224) / 224)[None, :, None]
    marked = (image + wave).round().clip(0, 255).astype(np.uint8)
    clean = image.round().astype(np.uint8)
    before = np.abs(marked.astype(float) - clean).mean()
    after = np.abs(notch(marked).astype(float) - notch(clean)).mean()
    assert after < 0.25 * before


def test_covering_counts_new_cells_only() -> None:
    mask = np.zeros((GRID, GRID), dtype=bool)
    mask, first = SPACE.cover(mask, SPACE.index("occlude", 3, 5, 5))
    again, second = SPACE.cover(mask, SPACE.index("redden", 3, 5, 5))
    assert first == pytest.approx(9 / GRID**2)
    assert second == 0
    assert np.array_equal(mask, again)
    assert SPACE.cover(mask, SPACE.stop)[1] == 0


# ---------------------------------------------------------------- fidelity and rewards


def test_sfs_is_the_documented_mean_and_fluency_is_cut_at_one() -> None:
    measured = Fidelity(np.array([1.0, 0.5, -1.0], np.float32), np.array([3.0, 0.5, 0.0], np.float32))
    assert measured.sfs == pytest.approx([1.0, 0.7 * 0.5 + 0.3 * 0.5, -0.7])


def view(cosine: float, fluency: float) -> View:
    return View("", np.zeros((HEADS, GRID, GRID), np.float32), 0.0, cosine, fluency)


@pytest.mark.parametrize(
    ("ds", "df", "reward"),
    [
        (0.2, 0.6, 3),
        (0.2, 0.3, 2),
        (0.2, 0.05, 1),
        (0.2, -0.3, -1),
        (0.2, -0.6, -2),
        (0.0, 0.6, 1),
        (-0.15, 0.6, 1),
        (-0.3, 0.6, -2),
        (-0.15, 0.2, -2),
        (0.05, 0.2, -1),
    ],
)
def test_the_papers_reward_table(ds: float, df: float, reward: float) -> None:
    assert paper_reward(view(0.5, 1.0), view(0.5 + ds, 1.0 + df)) == reward


# ---------------------------------------------------------------- episodes


def test_stop_ends_an_episode_without_looking(cases: list[Case]) -> None:
    lanes = [begin(case) for case in cases[:2]]
    rewards = step(lanes, [SPACE.stop, SPACE.stop], observer=None, space=SPACE)  # type: ignore[arg-type]
    assert rewards.tolist() == [0, 0]
    assert all(lane.done for lane in lanes)
    assert lanes[0].best() == 0


def test_perturbations_accumulate_and_the_reward_is_the_gain_less_the_cost(
    cases: list[Case], observer: Observer
) -> None:
    lane = begin(cases[0])
    total = 0.0
    for column in range(STEPS):
        (reward,) = step([lane], [SPACE.index("occlude", 3, 6, 2 * column + 2)], observer, SPACE)
        total += float(reward)
    assert lane.done
    assert lane.left == 0
    area = lane.mask.mean()
    assert total == pytest.approx(lane.view.sfs - lane.case.view.sfs - 0.5 * area - 0.005 * STEPS, abs=1e-4)
    mean = scene(0).reshape(-1, 3).mean(axis=0).round()
    assert (lane.image[6 * CELL, 2 * CELL] == mean).all(), "the first square is gone"
    assert len(lane.trail) == STEPS + 1
    assert np.array_equal(lane.trail[0][1], scene(0))


def test_lanes_do_not_depend_on_each_other(cases: list[Case], observer: Observer) -> None:
    index = SPACE.index("blur", 5, 7, 7)
    together = [begin(case) for case in cases[:3]]
    step(together, [index, SPACE.stop, index], observer, SPACE)
    alone = begin(cases[2])
    step([alone], [index], observer, SPACE)
    assert together[2].view.caption == alone.view.caption
    assert together[2].view.sfs == pytest.approx(alone.view.sfs, abs=0.02)


def test_an_observation_shows_attention_mask_and_steps(cases: list[Case], observer: Observer) -> None:
    lane = begin(cases[1])
    step([lane], [SPACE.index("occlude", 3, 4, 9)], observer, SPACE)
    seen = observe([lane])
    assert seen["image"].shape == (1, 3, PICTURE, PICTURE)
    planes = dict(zip(PLANES, seen["planes"][0], strict=True))
    assert np.array_equal(planes["perturbed"] > 0, lane.mask)
    assert (planes["steps left"] == round(255 * 4 / 5)).all()
    assert lane.view.attention.sum(axis=(1, 2)) == pytest.approx(np.ones(HEADS), abs=1e-4)
    assert planes["attention 1"].max() == round(255 * float(np.sqrt(lane.view.attention[0].max())))


# ---------------------------------------------------------------- network and file


def test_the_network_moves_with_what_it_sees() -> None:
    torch.manual_seed(0)
    network = QNetwork(SPACE).eval()
    torch.nn.init.normal_(network.maps.weight)
    image = torch.full((1, 3, PICTURE, PICTURE), 128.0)
    planes = torch.zeros(1, len(PLANES), GRID, GRID)
    planes[0, 0, 6, 5] = 255
    with torch.inference_mode():
        here = network(image, planes)[0, : GRID * GRID].view(GRID, GRID)
        there = network(image, planes.roll(1, dims=3))[0, : GRID * GRID].view(GRID, GRID)
    # The two middle columns alone are so far from every edge that no padding shows.
    assert torch.allclose(here[6:8, 6], there[6:8, 7], atol=1e-5)
    assert not torch.allclose(here[6:8, 6], here[6:8, 7], atol=1e-3)


def test_a_network_without_attention_does_not_see_it() -> None:
    network = QNetwork(SPACE, hidden=("attention",)).eval()
    for layer in (network.maps, network.whole, network.value):
        torch.nn.init.normal_(layer.weight)
    image, planes = torch.rand(1, 3, PICTURE, PICTURE) * 255, torch.rand(1, len(PLANES), GRID, GRID) * 255
    other = planes.clone()
    other[:, : HEADS + 1] = 0
    changed = planes.clone()
    changed[:, HEADS + 1] = 0
    with torch.inference_mode():
        assert torch.equal(network(image, planes), network(image, other))
        assert not torch.equal(network(image, planes), network(image, changed))


def fresh_policy() -> Policy:
    torch.manual_seed(4)
    network = QNetwork(SPACE).eval()
    torch.nn.init.normal_(network.maps.weight, std=0.1)
    return Policy(network, SPACE, STEPS, "f" * 64, {"steps": 1})


def test_stop_is_no_choice_where_the_caption_is_not_good_enough(cases: list[Case], observer: Observer) -> None:
    network = QNetwork(ActionSpace()).eval()
    with torch.no_grad():
        network.whole.bias[-1] = 1.0  # stop before anything else,
        network.whole.bias[0] = 0.5  # then the first whole-image action
    policy = Policy(network, ActionSpace(), 3, "", {})
    lanes = [begin(case, 0, 3) for case in cases[:2]]
    assert policy.act(lanes) == [policy.space.stop] * 2
    assert policy.act(lanes, [True, False]) == [policy.space.stop, policy.space.stop - len(policy.space.whole)]
    good = cases[0].view
    roll_out(lanes, policy, observer, lambda view: view is good)
    assert [len(lane.taken) for lane in lanes] == [0, 3]


def test_a_policy_comes_back_from_its_file(tmp_path: Path, cases: list[Case]) -> None:
    policy = fresh_policy()
    path = save_policy(policy, tmp_path)
    first = path.read_bytes()
    save_policy(policy, tmp_path)
    assert path.read_bytes() == first
    again = load_policy(str(tmp_path))
    assert (again.steps, again.captioner, again.training) == (STEPS, "f" * 64, {"steps": 1})
    lanes = [begin(case) for case in cases]
    policy.network.load_state_dict(again.network.state_dict())
    assert again.act(lanes) == policy.act(lanes)


def rewritten(path: Path, **changes: Any) -> None:
    with safe_open(path, framework="pt") as file:
        document = json.loads(file.metadata()["srdscan.policy"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, {"srdscan.policy": json.dumps(document | changes)})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"schema_version": 99}, "schema version 99"),
        ({"actions": ["stop"]}, "other actions"),
        ({"observation": {"picture": 1}}, "other observations"),
        ({"network": {"width": 32, "attention": True}}, "does not hold the network"),
    ],
)
def test_a_policy_for_something_else_is_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    path = save_policy(fresh_policy(), tmp_path)
    rewritten(path, **changes)
    with pytest.raises(PolicyError, match=says):
        load_policy(str(path))


@pytest.mark.parametrize("content", [None, b"", b"\x80\x04K\x01.", b"\xff" * 64])
def test_what_is_no_policy_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(PolicyError, match="policy"):
        load_policy(str(tmp_path))


def test_a_policy_without_description_is_refused(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / FILE_NAME)
    with pytest.raises(PolicyError, match="not a policy of srdscan"):
        load_policy(str(tmp_path))


# ---------------------------------------------------------------- environment and learning


def test_the_environment_keeps_stable_baselines_contract(cases: list[Case], observer: Observer) -> None:
    env = RepairEnv(cases, observer, lanes=4, seed=1)
    checked = VecCheckNan(VecMonitor(env), raise_exception=True)
    seen: Any = checked.reset()
    space: Any = env.observation_space
    generator = np.random.default_rng(0)
    ended = 0
    for number in range(STEPS + 1):
        assert space.contains({name: values[0] for name, values in seen.items()})
        actions = generator.integers(len(SPACE), size=4)
        actions[0] = SPACE.stop if number % 2 else actions[0]
        seen, rewards, dones, infos = checked.step(actions)
        assert rewards.shape == dones.shape == (4,)
        for done, info in zip(dones, infos, strict=True):
            assert ("terminal_observation" in info) == bool(done)
            ended += int(done)
            if done:
                assert space.contains(info["terminal_observation"])
                assert not info["TimeLimit.truncated"]
    assert ended >= 4
    assert env.get_attr("steps") == [STEPS] * 4


def test_the_environment_repeats_itself_under_a_seed(cases: list[Case], observer: Observer) -> None:
    runs = []
    for _ in range(2):
        env = RepairEnv(cases, observer, lanes=3, seed=9)
        first: Any = env.reset()
        env.step_async(np.array([SPACE.index("shuffle", 3, 5, 5)] * 3))
        seen, rewards, *_ = env.step_wait()
        runs.append((first["image"].tobytes(), rewards.tolist(), seen["planes"].tobytes()))  # type: ignore[call-overload]
    assert runs[0] == runs[1]


def test_double_dqn_learns_to_stop_where_perturbing_only_costs(cases: list[Case]) -> None:
    """A captioner that never changes its mind: every perturbation costs its area, so stop is best."""

    class Stubborn(Observer):
        def __init__(self) -> None:
            self.norms = None

        def views(self, images: Any, references: Any) -> list[View]:
            return [view(0.5, 1.0) for _ in images]

    constant = [Case(case.image, case.reference, view(0.5, 1.0)) for case in cases]
    env = RepairEnv(constant, Stubborn(), lanes=8, seed=0)
    model = DoubleDQN(
        RepairPolicy,
        env,
        learning_rate=1e-3,
        buffer_size=2000,
        learning_starts=64,
        batch_size=32,
        train_freq=1,
        gradient_steps=2,
        gamma=0.95,
        target_update_interval=80,
        exploration_fraction=0.7,
        seed=0,
        device="cpu",
    )
    model.learn(800)
    network: Any = model.q_net.q_net
    policy = Policy(network.eval(), SPACE, STEPS, "", {})
    assert policy.act([begin(case) for case in constant]) == [SPACE.stop] * len(constant)
    target: Any = model.q_net_target.q_net
    assert not torch.equal(network.maps.weight, target.maps.weight)
