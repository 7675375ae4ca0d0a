"""The episodes as a vectorised environment for stable-baselines3 (extra `train`)."""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from srdscan.policy.actions import GRID, ActionSpace
from srdscan.policy.episodes import PICTURE, PLANES, STEPS, Case, Lane, Observer, Reward, begin, observe, step


class RepairEnv(VecEnv):
    """N lanes, stepped together with one call of each model.

    A lane whose episode is over begins another at once, on a case drawn at random; its last observation is in
    `info["terminal_observation"]`. Of every episode's end, `info["episode"]` tells the return `r`, the length `l`, the
    gain in SFS, the SFS before and after, and how many steps were taken before stop.

    Args:
        cases: images to draw from, with replacement.
        observer: looks at them.
        lanes: N.
        space: actions.
        reward: `sfs` or `paper`.
        seed: of the order of the cases and of what is random in actions.
        steps: perturbations of an episode at most.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        observer: Observer,
        lanes: int = 32,
        space: ActionSpace | None = None,
        reward: Reward = "sfs",
        seed: int = 0,
        steps: int = STEPS,
    ) -> None:
        self.cases, self.observer, self.space = cases, observer, space or ActionSpace()
        self.reward, self.steps = reward, steps
        self.generator = np.random.default_rng(seed)
        self.order: list[int] = []
        self.render_mode = None
        observation = spaces.Dict(
            {
                "image": spaces.Box(0, 255, (3, PICTURE, PICTURE), np.uint8),
                "planes": spaces.Box(0, 255, (len(PLANES), GRID, GRID), np.uint8),
            }
        )
        super().__init__(lanes, observation, spaces.Discrete(len(self.space)))
        self.lanes = [self._begin() for _ in range(lanes)]
        self.returns = np.zeros(lanes)
        self.actions = np.zeros(lanes, dtype=np.int64)

    def _begin(self) -> Lane:
        if not self.order:
            self.order = self.generator.permutation(len(self.cases)).tolist()
        return begin(self.cases[self.order.pop()], int(self.generator.integers(2**31)), self.steps)

    def reset(self) -> VecEnvObs:
        """New episodes in all lanes."""
        if self._seeds[0] is not None:
            self.generator = np.random.default_rng(self._seeds[0])
            self.order = []
        self._reset_seeds()
        self._reset_options()
        self.lanes = [self._begin() for _ in range(self.num_envs)]
        self.returns[:] = 0
        return observe(self.lanes, self.steps)

    def step_async(self, actions: np.ndarray) -> None:
        """Notes the actions."""
        self.actions = np.asarray(actions).reshape(-1)

    def step_wait(self) -> VecEnvStepReturn:
        """Takes them, all lanes at once."""
        rewards = step(self.lanes, self.actions.tolist(), self.observer, self.space, self.reward)
        self.returns += rewards
        dones = np.array([lane.done for lane in self.lanes])
        infos: list[dict[str, Any]] = [{} for _ in self.lanes]
        seen = observe(self.lanes, self.steps)
        for number in np.flatnonzero(dones):
            lane = self.lanes[number]
            infos[number] = {
                "terminal_observation": {name: values[number] for name, values in seen.items()},
                "TimeLimit.truncated": False,  # the steps left are part of the observation
                "episode": {
                    "r": float(self.returns[number]),
                    "l": len(lane.taken),
                    "before": lane.case.view.sfs,
                    "after": lane.view.sfs,
                    "best": max(view.sfs for view, _ in lane.trail),
                },
            }
            self.lanes[number] = self._begin()
            self.returns[number] = 0
        if dones.any():
            fresh = observe([self.lanes[number] for number in np.flatnonzero(dones)], self.steps)
            for name, values in fresh.items():
                seen[name][dones] = values
        return seen, rewards, dones, infos

    def close(self) -> None:
        """Nothing is held."""

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """The same for every lane."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """For all lanes at once."""
        setattr(self, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Lanes have no methods of their own."""
        raise AttributeError(f"lanes have no method {method_name}")

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """No lane is."""
        return [False for _ in self._get_indices(indices)]
