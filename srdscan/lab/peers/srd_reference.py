"""SRD as its authors run it: the loop of arXiv 2506.04743 and github.com/Ciconey/SRD, on srdscan's models.

A 10 x 10 grid, five sizes of square, red; the mask is always painted on the original image, so steps do not add up;
stable-baselines3's DQN with `CnnPolicy` on the 224 x 224 image; episodes of 150 steps; the stepped reward. To clean an
image, five actions are drawn from the policy, and the best positive reward is kept, at once where it is 3; with none
positive the last masked image stays. Every image is altered, and captioned alone: one image, one caption, one reward at
a time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from PIL import Image
from stable_baselines3 import DQN

from srdscan.models.captioners.base import Captioner
from srdscan.policy.actions import RED, Pixels
from srdscan.policy.episodes import View, paper_reward
from srdscan.policy.fidelity import FidelityModel, References

GRID = 10
SIZES = (20, 40, 60, 80, 200)
SIDE = 224
EPISODE = 150
DRAWS = 5
BEST_REWARD = 3.0
TRAINING_STEPS = 10_000


def masked(image: Pixels, action: int) -> Pixels:
    """The original image, 224 x 224, with one red square at a grid point; squares are cut at the edge.

    Args:
        action: (row, column, size) of 10 x 10 x 5, row by row.
    """
    cell, size = divmod(action, len(SIZES))
    row, column = divmod(cell, GRID)
    y, x = row * SIDE // GRID, column * SIDE // GRID
    out = image.copy()
    out[y : y + SIZES[size], x : x + SIZES[size]] = RED
    return out


def square(image: Pixels) -> Pixels:
    """224 x 224."""
    if image.shape[:2] == (SIDE, SIDE):
        return image
    return np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


@dataclass(frozen=True)
class Subject:
    """An image with its reference and what the captioner says of it untouched."""

    image: Pixels
    reference: References
    view: View


class Judge:
    """Captions and rewards one image at a time."""

    def __init__(self, captioner: Captioner, fidelity: FidelityModel) -> None:
        self.captioner, self.fidelity = captioner, fidelity

    def subject(self, image: Pixels, reference: str) -> Subject:
        """An image, before anything is done to it."""
        references = self.fidelity.references([reference])
        pixels = square(image)
        return Subject(pixels, references, self.view(pixels, references))

    def view(self, image: Pixels, references: References) -> View:
        """One captioner call, one sentence-encoder call, one language-model call, for one image."""
        caption = self.captioner.describe(self.captioner.encode([Image.fromarray(image)])).captions[0]
        measured = self.fidelity.measure([caption], references)
        nothing = np.zeros((0, 0, 0), dtype=np.float32)
        return View(caption, nothing, 0.0, float(measured.cosine[0]), float(measured.fluency[0]))


class MaskingEnv(gymnasium.Env[Any, Any]):
    """The reference code's environment; each episode stays with one image.

    Args:
        subjects: called with a number, gives the image of that number.
        count: how many there are.
    """

    def __init__(self, subjects: Callable[[int], Subject], count: int, judge: Judge) -> None:
        self.subjects, self.count, self.judge = subjects, count, judge
        self.observation_space = spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)
        self.action_space = spaces.Discrete(GRID * GRID * len(SIZES))
        self.number, self.left = -1, 0
        self.subject: Subject | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Pixels, dict[str, Any]]:
        """The next image."""
        super().reset(seed=seed)
        self.number = (self.number + 1) % self.count
        self.subject, self.left = self.subjects(self.number), EPISODE
        return self.subject.image, {}

    def step(self, action: Any) -> tuple[Pixels, float, bool, bool, dict[str, Any]]:
        """Masks the original image once."""
        assert self.subject is not None
        image = masked(self.subject.image, int(action))
        reward = paper_reward(self.subject.view, self.judge.view(image, self.subject.reference))
        self.left -= 1
        return image, reward, False, self.left == 0, {}


def learn(
    subjects: Callable[[int], Subject], count: int, judge: Judge, steps: int = TRAINING_STEPS, seed: int = 0
) -> DQN:
    """The policy of the reference code: DQN("CnnPolicy") with stable-baselines3's defaults."""
    model = DQN("CnnPolicy", MaskingEnv(subjects, count, judge), buffer_size=min(steps, 5_000), seed=seed, device="cpu")
    return model.learn(steps)


@torch.inference_mode()
def clean(subject: Subject, model: DQN | None, judge: Judge, generator: np.random.Generator) -> View:
    """What the captioner says of the image that the loop leaves; without a model the actions are drawn uniformly.

    DQN's policy is made stochastic as `predict(deterministic=False)` makes it: by its exploration rate.
    """
    best: tuple[float, View] | None = None
    last = subject.view
    for _ in range(DRAWS):
        if model is None:
            action = int(generator.integers(GRID * GRID * len(SIZES)))
        else:
            action = int(np.asarray(model.predict(subject.image, deterministic=False)[0]).item())
        last = judge.view(masked(subject.image, action), subject.reference)
        reward = paper_reward(subject.view, last)
        if reward > 0 and (best is None or reward > best[0]):
            best = (reward, last)
        if reward == BEST_REWARD:
            break
    return best[1] if best else last


def clean_all(
    images: Sequence[Pixels], references: Sequence[str], model: DQN | None, judge: Judge, seed: int = 0
) -> list[View]:
    """One image after the other."""
    generator = np.random.default_rng(seed)
    return [
        clean(judge.subject(image, reference), model, judge, generator)
        for image, reference in zip(images, references, strict=True)
    ]
