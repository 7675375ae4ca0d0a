"""Learning: environment steps/s with many lanes against one, and learning curves of three networks at equal steps.

    python benchmarks/training.py SHARDS [--steps 6000] [--speed-steps 1024] [--lanes 32] [--out benchmarks/results]

SHARDS: poisoned shards, such as `srdscan poison PHOTOS --out SHARDS` writes; they are audited first, with
`captioner-backdoored`. Speed: the same double DQN on the same cases, with as many updates a step, in 32 lanes and in
one. Curves: srdscan's network; the same without the attention maps; stable-baselines3's `CnnPolicy`, which sees the
image alone. Writes training.md and training.json.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from srdscan.audit import examine, open_models
from srdscan.config import TrainConfig
from srdscan.policy.dqn import DoubleDQN
from srdscan.policy.env import RepairEnv
from srdscan.policy.recorder import Recorder
from srdscan.progress import Quiet
from srdscan.train import gather, learner


class ImageAlone(VecEnvWrapper):
    """What `CnnPolicy` is made for: one image, no planes."""

    def __init__(self, env: VecEnv) -> None:
        super().__init__(env, observation_space=env.observation_space["image"])  # type: ignore[index]

    def reset(self) -> np.ndarray:
        return self.venv.reset()["image"]  # type: ignore[call-overload, no-any-return]

    def step_wait(self) -> Any:
        seen, rewards, dones, infos = self.venv.step_wait()
        for info in infos:
            if "terminal_observation" in info:
                info["terminal_observation"] = info["terminal_observation"]["image"]
        return seen["image"], rewards, dones, infos  # type: ignore[call-overload]


def cnn_policy(env: RepairEnv, config: TrainConfig) -> DoubleDQN:
    """stable-baselines3's own network, with the same learning."""
    options = learner(env, config)
    return DoubleDQN(
        "CnnPolicy",
        ImageAlone(env),
        learning_rate=options.learning_rate,
        buffer_size=options.buffer_size,
        learning_starts=options.learning_starts,
        batch_size=options.batch_size,
        gamma=options.gamma,
        train_freq=1,
        gradient_steps=options.gradient_steps,
        target_update_interval=options.target_update_interval,
        exploration_fraction=options.exploration_fraction,
        exploration_final_eps=options.exploration_final_eps,
        seed=config.seed,
        device="cpu",
        guided=False,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--speed-steps", type=int, default=1024)
    parser.add_argument("--lanes", type=int, default=32)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig(
            shards=(args.shards,), captioner="captioner-backdoored", out=Path(folder), steps=args.steps,
            lanes=args.lanes, cases=400,
        )  # fmt: skip
        models = open_models(config.audit)
        cases, _, observer, bar = gather(config, models, examine(config.audit, models, Quiet()), Quiet())
        speed = {}
        for lanes in (args.lanes, 1):
            few = replace(config, lanes=lanes, steps=args.speed_steps if lanes > 1 else max(args.speed_steps // 8, 64))
            model = learner(RepairEnv(cases, observer, lanes, seed=0), few)
            model.learning_starts = 32
            model.learn(32)
            started = time.perf_counter()
            model.learn(few.steps, reset_num_timesteps=False)
            speed[lanes] = few.steps / (time.perf_counter() - started)
            print(f"{lanes} lanes: {speed[lanes]:.1f} steps/s", flush=True)
        networks: dict[str, Callable[[RepairEnv], DoubleDQN]] = {
            "srdscan": lambda env: learner(env, config),
            "srdscan without attention": lambda env: learner(env, config, {"hidden": ("attention",)}),
            "uniform exploration": lambda env: learner(env, config, guided=False),
            "CnnPolicy": lambda env: cnn_policy(env, config),
        }
        curves = {}
        for name, make in networks.items() if args.steps else ():
            recorder = Recorder(config, bar, Quiet(), {})
            make(RepairEnv(cases, observer, args.lanes, seed=0)).learn(args.steps, callback=recorder)
            curves[name] = recorder.history
            print(name, json.dumps(recorder.history[-1]), flush=True)
    lines = ["| lanes | environment steps/s | ratio |", "|---|---|---|"]
    lines += [f"| {lanes} | {value:.1f} | {value / speed[1]:.1f} |" for lanes, value in speed.items()]
    lines += ["", "| network | steps | return | SFS gain | repaired | left alone |", "|---|---|---|---|---|---|"]
    for name, history in curves.items():
        lines += [
            f"| {name} | {row['steps']:.0f} | {row['return']:+.3f} | {row['gain']:+.3f} | {row['repaired']:.2f} "
            f"| {row['calm_stops']:.2f} |"
            for row in (history[len(history) // 3], history[2 * len(history) // 3], history[-1])
        ]
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "training.md").write_text("\n".join(lines) + "\n")
    (args.out / "training.json").write_text(json.dumps({"steps_per_s": speed, "curves": curves}, indent=1) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
