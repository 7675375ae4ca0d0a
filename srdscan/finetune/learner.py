"""What can be fine-tuned: the contract between `run` and a kind of captioner."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import torch
from PIL import Image

from srdscan.finetune.grid import Schedule

EpochDone = Callable[[int, float], None]
"""Called with an epoch's number, from 1, and its mean loss in nats per token."""
StepDone = Callable[[int], None]
"""Called with the number of pictures that a step learned from."""


class Learner(Protocol):
    """A captioner that learns captions over frozen image features.

    Attributes:
        learning_rate: a good peak for this kind of captioner.
    """

    learning_rate: float

    def encode(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """(B, ...) features in two bytes a number, of the same shape for every image; computed once."""
        ...

    def learn(
        self,
        features: torch.Tensor,
        captions: list[list[str]],
        schedule: Schedule,
        epoch_done: EpochDone,
        step_done: StepDone,
    ) -> None:
        """Learns N lists of captions over (N, ...) features."""
        ...

    def save(self, folder: Path) -> None:
        """Writes a model folder that `--captioner` takes."""
        ...
