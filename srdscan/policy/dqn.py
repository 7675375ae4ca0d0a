"""Double DQN with the repair network, on stable-baselines3 (extra `train`)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import DQN
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.dqn.policies import DQNPolicy
from stable_baselines3.dqn.policies import QNetwork as BaselineQNetwork

from srdscan.policy.actions import ActionSpace
from srdscan.policy.episodes import HEADS
from srdscan.policy.qnet import QNetwork

TOWARDS_PEAKS, TOWARDS_WHOLE = 0.5, 0.25
"""Shares of exploring actions that are squares on attention peaks, and whole-image actions or stop."""


class Untouched(BaseFeaturesExtractor):
    """No features of stable-baselines3's own: the network reads the observation itself."""

    def __init__(self, observation_space: spaces.Space[Any]) -> None:
        super().__init__(observation_space, features_dim=1)


class RepairQNetwork(BaselineQNetwork):
    """`srdscan.policy.qnet.QNetwork` where stable-baselines3 expects a Q-network."""

    def __init__(self, *args: Any, network: Mapping[str, Any], **options: Any) -> None:
        super().__init__(*args, **options)
        self.q_net = QNetwork(ActionSpace(), **network)  # type: ignore[assignment]

    def forward(self, obs: Any) -> torch.Tensor:
        """Q values of an observation of `episodes.observe`."""
        values: torch.Tensor = self.q_net(obs["image"], obs["planes"])
        return values


class RepairPolicy(DQNPolicy):
    """DQN policy over `RepairQNetwork`.

    Args:
        network: options of `QNetwork`.
    """

    def __init__(self, *args: Any, network: Mapping[str, Any] | None = None, **options: Any) -> None:
        self.network = dict(network or {})
        super().__init__(
            *args, **{**options, "features_extractor_class": Untouched, "normalize_images": False, "net_arch": []}
        )

    def make_q_net(self) -> BaselineQNetwork:
        """One network; called for the online and for the target network."""
        options = self._update_features_extractor(self.net_args, features_extractor=None)
        return RepairQNetwork(**options, network=self.network).to(self.device)


class DoubleDQN(DQN):
    """DQN whose target lets the online network choose the next action and the target network value it.

    Source: van Hasselt et al., Deep reinforcement learning with double Q-learning, AAAI 2016. Exploring actions are
    half squares on one of the attention maps' peaks, a quarter whole-image actions or stop, a quarter uniform over all
    actions: uniform ones alone are local in 2,352 of 2,361 cases, and miss the trigger in most.

    Args:
        guided: False explores uniformly.
    """

    def __init__(self, *args: Any, guided: bool = True, **options: Any) -> None:
        self.guided = guided
        super().__init__(*args, **options)
        self.generator = np.random.default_rng(self.seed)

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]:
        """Greedy, but for the share of lanes that explores."""
        actions, state = self.policy.predict(observation, state, episode_start, deterministic=True)
        if not deterministic:
            exploring = self.generator.random(len(actions)) < self.exploration_rate
            for lane in np.flatnonzero(exploring):
                actions[lane] = self._explore(observation, int(lane))
        return actions, state

    def _sample_action(self, learning_starts: int, action_noise: Any = None, n_envs: int = 1) -> Any:
        if self.num_timesteps >= learning_starts:
            return super()._sample_action(learning_starts, action_noise, n_envs)
        actions = np.array([self._explore(self._last_obs, lane) for lane in range(n_envs)])
        return actions, actions

    def _explore(self, observation: Any, lane: int) -> int:
        space, draw = ActionSpace(), self.generator
        share = float(draw.random())
        if self.guided and share < TOWARDS_PEAKS:
            weights = observation["planes"][lane, draw.integers(HEADS)].astype(np.float64) ** 4
            if weights.sum() > 0:
                cell = draw.choice(weights.size, p=(weights / weights.sum()).ravel())
                return int(draw.integers(space.maps) * weights.size + cell)
        if self.guided and share < TOWARDS_PEAKS + TOWARDS_WHOLE:
            return space.stop - int(draw.integers(len(space.whole) + 1))
        return int(draw.integers(len(space)))

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """As in `DQN`, with the double target."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        losses = []
        for _ in range(gradient_steps):
            assert self.replay_buffer is not None
            data = self.replay_buffer.sample(batch_size, env=self._vec_normalize_env)
            with torch.no_grad():
                best = self.q_net(data.next_observations).argmax(dim=1, keepdim=True)
                following = self.q_net_target(data.next_observations).gather(1, best)
                target = data.rewards + (1 - data.dones) * self.gamma * following
            current = self.q_net(data.observations).gather(1, data.actions.long())
            loss = torch.nn.functional.smooth_l1_loss(current, target, beta=0.1)
            losses.append(loss.item())
            self.policy.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
            self.policy.optimizer.step()
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/loss", float(np.mean(losses)))
