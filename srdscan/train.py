"""Learn a repair policy: audit, pick suspicious and ordinary images, let a DQN find what makes the captioner honest.

No label says which samples are poisoned; training sees what an audit sees.
"""

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.logger import Logger

from srdscan.audit import Examined, examine, open_models
from srdscan.config import ConfigError, TrainConfig
from srdscan.decide.verdicts import of_images
from srdscan.models.loaded import Models
from srdscan.policy.actions import ActionSpace
from srdscan.policy.dqn import DoubleDQN, RepairPolicy
from srdscan.policy.env import RepairEnv
from srdscan.policy.episodes import STEPS, Case, Observer, Reward
from srdscan.policy.fidelity import FidelityModel
from srdscan.policy.recorder import Recorder, check_resumable, draw_learning_curve
from srdscan.policy.store import Policy, save_policy
from srdscan.progress import Progress, Quiet
from srdscan.repair.acceptance import acceptance_bar
from srdscan.signals.head_norms import head_norms

STEPS_PER_UPDATE = 8
FEWEST_SUSPICIOUS = 8


@dataclass(frozen=True)
class Trained:
    """What training leaves.

    Attributes:
        policy: the policy, as it was written.
        path: its file.
        history: a row every few hundred steps; see `Recorder`.
    """

    policy: Policy
    path: Path
    history: list[dict[str, float]]


def train(config: TrainConfig, progress: Progress | None = None) -> Trained:
    """Learns a policy and writes it, with `training.json` and `learning-curve.png`.

    Raises:
        ConfigError: an option is wrong, nothing is suspicious in the shards, or `out` holds another training.
        ShardSpecError: a shard pattern is wrong or matches nothing.
        ModelError: a model cannot be loaded.
    """
    progress = progress or Quiet()
    identity = {k: v for k, v in asdict(config).items() if k not in ("out", "resume", "steps", "device")}
    check_resumable(config, _jsonable(identity))
    progress.stage("loading models", None)
    models = open_models(config.audit)
    examined = examine(config.audit, models, progress)
    cases, suspicious, observer, bar = gather(config, models, examined, progress)
    env = RepairEnv(cases, observer, config.lanes, reward=_reward(config), seed=config.seed)
    model = learner(env, config, {"hidden": config.hide})
    recorder = Recorder(config, bar, progress, _jsonable(identity))
    if config.resume:
        recorder.restore(model)
    progress.stage("learning", config.steps)
    progress.advance(model.num_timesteps)
    if model.num_timesteps < config.steps:
        model.learn(config.steps - model.num_timesteps, callback=recorder, reset_num_timesteps=False)
    recorder.finish(model)
    summary = {
        "steps": int(model.num_timesteps),
        "cases": len(cases),
        "suspicious": suspicious,
        "reward": config.reward,
        "seed": config.seed,
        **(recorder.history[-1] if recorder.history else {}),
    }
    assert models.captioner is not None
    policy = Policy(model.q_net.q_net.eval(), ActionSpace(), STEPS, models.captioner.fingerprint, summary)  # type: ignore[arg-type]
    path = save_policy(policy, config.out)
    draw_learning_curve(recorder.history, config.out / "learning-curve.png")
    return Trained(policy, path, recorder.history)


def gather(
    config: TrainConfig, models: Models, examined: Examined, progress: Progress
) -> tuple[list[Case], int, Observer, float]:
    """The images to train on: what the audit flags, and as many ordinary ones.

    Returns:
        The cases, how many of them are suspicious, the observer, and the acceptance bar.
    """
    assert models.captioner is not None
    scores = examined.scores.by_image
    p_values, suspicious = of_images(examined.verdicts, examined.scores)
    flagged = np.flatnonzero(suspicious)
    if len(flagged) < FEWEST_SUSPICIOUS:
        raise ConfigError(
            f"only {len(flagged)} of {len(p_values)} images are suspicious: there is nothing to learn from. "
            "Plant known poison with `srdscan poison`, or use the embedded policy"
        )
    generator = np.random.default_rng(config.seed)
    half = config.cases // 2
    suspects = flagged[np.argsort(p_values[flagged], kind="stable")][: max(half, 1)]
    calm = np.argsort(p_values, kind="stable")[len(p_values) // 2 :]
    calm = generator.permutation(calm[~suspicious[calm]])[: len(suspects)]
    rows = np.sort(np.concatenate([suspects, calm]))
    norms = head_norms(scores) if "attention_shape" in scores.meta else None
    fidelity = FidelityModel(models.sentence_encoder, models.language_model)
    observer = Observer(models.captioner, fidelity, norms)
    references = list(scores.strings("reference"))
    progress.stage("first looks", len(rows))
    cases: list[Case] = []
    place = np.flatnonzero(np.diff(examined.scores.image_of, prepend=-1))
    image_of = examined.scores.image_of
    for batch, images in examined.images.images(place[rows]):
        trusted = [references[image_of[row]] for row in batch]
        cases += observer.cases([np.asarray(image) for image in images], trusted)
        progress.advance(len(batch))
    return cases, len(suspects), observer, acceptance_bar(scores, suspicious)


def learner(
    env: RepairEnv, config: TrainConfig, network: Mapping[str, Any] | None = None, guided: bool = True
) -> DoubleDQN:
    """The DQN, with the hyperparameters that the embedded policy was trained with."""
    tensorboard = importlib.util.find_spec("tensorboard") is not None
    model = DoubleDQN(
        RepairPolicy,
        env,
        learning_rate=lambda left: 5e-4 * max(left, 0.05),
        buffer_size=max(min(config.steps, 20_000), config.lanes),
        learning_starts=10 * config.lanes,
        batch_size=64,
        gamma=0.95,
        train_freq=max(1, STEPS_PER_UPDATE // config.lanes),
        gradient_steps=max(1, config.lanes // STEPS_PER_UPDATE),
        target_update_interval=640,
        exploration_fraction=0.6,
        exploration_final_eps=0.05,
        policy_kwargs={"network": dict(network or {})},
        tensorboard_log=str(config.out / "tensorboard") if tensorboard else None,
        seed=config.seed,
        device=env.observer.fidelity.sentence_encoder.device,
        guided=guided,
    )
    if not tensorboard:
        model.set_logger(Logger(None, []))  # else stable-baselines3 leaves a folder in /tmp for each training
    return model


def _reward(config: TrainConfig) -> Reward:
    return "paper" if config.reward == "paper" else "sfs"


def _jsonable(values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return found
