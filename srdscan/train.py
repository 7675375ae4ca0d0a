"""Learn a repair policy: audit, pick suspicious and ordinary images, let a DQN find what makes the captioner honest.

No label says which samples are poisoned; training sees what an audit sees.
"""

import importlib.util
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback

from srdscan.audit import Examined, examine
from srdscan.config import ConfigError, TrainConfig
from srdscan.fidelity import FidelityModel
from srdscan.models import Models, load_models
from srdscan.policy.actions import ActionSpace
from srdscan.policy.dqn import DoubleDQN, RepairPolicy
from srdscan.policy.env import RepairEnv
from srdscan.policy.episodes import STEPS, Case, Observer, Reward
from srdscan.policy.store import Policy, save_policy
from srdscan.progress import Progress, Quiet
from srdscan.sanitize import acceptance_bar
from srdscan.signals.head_norms import head_norms
from srdscan.state import replace_text

REPORT_EVERY = 512
STEPS_PER_UPDATE = 8
CHECKPOINT = "checkpoint.pt"
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
    progress.stage("loading models", None)
    models = load_models(config.audit)
    examined = examine(config.audit, models, progress)
    cases, suspicious, observer, bar = gather(config, models, examined, progress)
    env = RepairEnv(cases, observer, config.lanes, reward=_reward(config), seed=config.seed)
    model = learner(env, config)
    identity = {k: v for k, v in asdict(config).items() if k not in ("out", "resume", "steps", "device")}
    recorder = Recorder(config, bar, progress, _jsonable(identity))
    recorder.restore(model, config.resume)
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
    verdicts, scores = examined.verdicts, examined.scores
    flagged = np.flatnonzero(verdicts.flagged)
    if len(flagged) < FEWEST_SUSPICIOUS:
        raise ConfigError(
            f"only {len(flagged)} of {len(verdicts.flagged)} samples are suspicious: there is nothing to learn from. "
            "Plant known poison with `srdscan poison`, or use the embedded policy"
        )
    generator = np.random.default_rng(config.seed)
    half = config.cases // 2
    suspects = flagged[np.argsort(verdicts.p_values[flagged], kind="stable")][: max(half, 1)]
    calm = np.argsort(verdicts.p_values, kind="stable")[len(verdicts.p_values) // 2 :]
    calm = generator.permutation(calm[~verdicts.flagged[calm]])[: len(suspects)]
    rows = np.sort(np.concatenate([suspects, calm]))
    norms = head_norms(scores) if "attention_shape" in scores.meta else None
    fidelity = FidelityModel(models.sentence_encoder, models.language_model)
    observer = Observer(models.captioner, fidelity, norms)
    references = list(scores.strings("reference"))
    progress.stage("first looks", len(rows))
    cases: list[Case] = []
    for batch, images in examined.source.images(rows):
        cases += observer.cases([np.asarray(image) for image in images], [references[row] for row in batch])
        progress.advance(len(batch))
    return cases, len(suspects), observer, acceptance_bar(scores, verdicts.flagged)


def learner(
    env: RepairEnv, config: TrainConfig, network: Mapping[str, Any] | None = None, guided: bool = True
) -> DoubleDQN:
    """The DQN, with the hyperparameters that the embedded policy was trained with."""
    tensorboard = importlib.util.find_spec("tensorboard") is not None
    return DoubleDQN(
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


class Recorder(BaseCallback):
    """Keeps the history, shows progress, writes checkpoints.

    A row of the history covers the episodes that ended since the last: `steps`, `return` (mean), `gain` (mean SFS at
    the end less at the start), `repaired` (share of the episodes that began below the acceptance bar and reached it),
    `calm_stops` (share of those that began above it and were left as they were), `length` (mean), `steps_per_s`.
    """

    def __init__(self, config: TrainConfig, bar: float, progress: Progress, identity: Mapping[str, Any]) -> None:
        super().__init__()
        self.config, self.bar, self.progress, self.identity = config, bar, progress, dict(identity)
        self.history: list[dict[str, float]] = []
        self.episodes: list[Mapping[str, float]] = []
        self.started, self.reported = time.monotonic(), 0

    def _on_step(self) -> bool:
        self.progress.advance(self.training_env.num_envs)
        self.episodes += [info["episode"] for info in self.locals["infos"] if "episode" in info]
        if self.num_timesteps - self.reported >= REPORT_EVERY and self.episodes:
            self._report()
            self._save()
        return True

    def _report(self) -> None:
        low = [e for e in self.episodes if e["before"] < self.bar]
        high = [e for e in self.episodes if e["before"] >= self.bar]
        elapsed = time.monotonic() - self.started
        row = {
            "steps": float(self.num_timesteps),
            "return": float(np.mean([e["r"] for e in self.episodes])),
            "gain": float(np.mean([e["after"] - e["before"] for e in self.episodes])),
            "repaired": float(np.mean([e["best"] >= self.bar for e in low])) if low else float("nan"),
            "calm_stops": float(np.mean([e["l"] == 0 for e in high])) if high else float("nan"),
            "length": float(np.mean([e["l"] for e in self.episodes])),
            "steps_per_s": (self.num_timesteps - self.reported) / max(elapsed, 1e-9),
        }
        self.history.append({name: round(value, 4) for name, value in row.items()})
        self.progress.note(
            f"step {self.num_timesteps}: return {row['return']:+.3f}, SFS gain {row['gain']:+.3f}, "
            f"repaired {row['repaired']:.0%}, left alone {row['calm_stops']:.0%}, {row['steps_per_s']:.0f} steps/s"
        )
        for name in ("return", "gain", "repaired", "calm_stops"):
            self.logger.record(f"repair/{name}", row[name])
        self.episodes, self.started, self.reported = [], time.monotonic(), self.num_timesteps

    def _save(self) -> None:
        assert isinstance(self.model, DoubleDQN)
        state = {
            "steps": self.model.num_timesteps,
            "calls": self.model._n_calls,
            "updates": self.model._n_updates,
            "network": self.model.q_net.state_dict(),
            "target": self.model.q_net_target.state_dict(),
            "optimizer": self.model.policy.optimizer.state_dict(),
        }
        partial = self.config.out / (CHECKPOINT + ".partial")
        torch.save(state, partial)
        partial.replace(self.config.out / CHECKPOINT)
        self._document()

    def _document(self) -> None:
        document = {"config": self.identity, "acceptance_bar": round(self.bar, 4), "history": self.history}
        replace_text(self.config.out / "training.json", json.dumps(_without_nan(document), indent=1) + "\n")

    def restore(self, model: DoubleDQN, resume: bool) -> None:
        """Takes up the last checkpoint; the replay memory is filled anew.

        Raises:
            ConfigError: there is none, or it is of another training; or there is one and it was not asked for.
        """
        path, record = self.config.out / CHECKPOINT, self.config.out / "training.json"
        if not resume:
            if path.exists():
                raise ConfigError(f"--out {self.config.out}: holds a training. Continue it with --resume, or remove it")
            return
        if not path.exists() or not record.exists():
            raise ConfigError(f"--resume: no checkpoint in {self.config.out}; start without --resume")
        document = json.loads(record.read_text(encoding="utf-8"))
        if document["config"] != self.identity:
            changed = sorted(k for k, v in self.identity.items() if document["config"].get(k) != v)
            raise ConfigError(f"--resume: {self.config.out} was trained with another {', '.join(changed)}")
        state = torch.load(path, weights_only=True, map_location=model.device)
        model.q_net.load_state_dict(state["network"])
        model.q_net_target.load_state_dict(state["target"])
        model.policy.optimizer.load_state_dict(state["optimizer"])
        model.num_timesteps, model._n_calls, model._n_updates = state["steps"], state["calls"], state["updates"]
        model.learning_starts += model.num_timesteps
        self.history = document["history"]
        self.reported = model.num_timesteps

    def finish(self, model: DoubleDQN) -> None:
        """The last row and the last checkpoint."""
        self.model = model
        if self.episodes and model.num_timesteps > self.reported:
            self._report()
        self._save()


def draw_learning_curve(history: list[dict[str, float]], path: Path) -> None:
    """Return, gain and repaired share over the steps, as a PNG."""
    from matplotlib.figure import Figure

    steps = [row["steps"] for row in history]
    figure = Figure(figsize=(8, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(steps, [row["return"] for row in history], label="return")
    left.plot(steps, [row["gain"] for row in history], label="gain in SFS")
    right.plot(steps, [row["repaired"] for row in history], label="repaired, of those that lied")
    right.plot(steps, [row["calm_stops"] for row in history], label="left alone, of the others")
    right.set_ylim(0, 1.02)
    for axis in (left, right):
        axis.set_xlabel("environment steps")
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(path, metadata={"Software": None})


def _reward(config: TrainConfig) -> Reward:
    return "paper" if config.reward == "paper" else "sfs"


def _jsonable(values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return found


def _without_nan(value: Any) -> Any:
    """NaN, which JSON lacks, as null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and value != value else value
