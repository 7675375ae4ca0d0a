"""What a training leaves behind while it runs: its history, its checkpoints, its learning curve (extra `train`)."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback

from srdscan.config import TrainConfig
from srdscan.errors import ConfigError
from srdscan.measure.state import replace_text
from srdscan.policy.dqn import DoubleDQN
from srdscan.progress import Progress

REPORT_EVERY = 512
CHECKPOINT = "checkpoint.pt"
RECORD = "training.json"


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
        replace_text(self.config.out / RECORD, json.dumps(_without_nan(document), indent=1) + "\n")

    def restore(self, model: DoubleDQN) -> None:
        """Takes up the last checkpoint, which `check_resumable` has found; the replay memory is filled anew."""
        document = _document_of(self.config)
        state = torch.load(self.config.out / CHECKPOINT, weights_only=True, map_location=model.device)
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


def check_resumable(config: TrainConfig, identity: Mapping[str, Any]) -> None:
    """Refuses a folder that a training cannot use, before anything is computed for it.

    Raises:
        ConfigError: there is no checkpoint to resume, or it is of another training; or there is one and it was not
            asked for.
    """
    path = config.out / CHECKPOINT
    if not config.resume:
        if path.exists():
            raise ConfigError(f"--out {config.out}: holds a training. Continue it with --resume, or remove it")
        return
    if not path.exists() or not (config.out / RECORD).exists():
        raise ConfigError(f"--resume: no checkpoint in {config.out}; start without --resume")
    before = _document_of(config)["config"]
    if before != identity:
        changed = sorted(k for k, v in identity.items() if before.get(k) != v)
        raise ConfigError(f"--resume: {config.out} was trained with another {', '.join(changed)}")


def _document_of(config: TrainConfig) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((config.out / RECORD).read_text(encoding="utf-8"))
    return document


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


def _without_nan(value: Any) -> Any:
    """NaN, which JSON lacks, as null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and value != value else value
