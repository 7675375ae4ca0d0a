"""The Q-network: fully convolutional, so that one filter learns what to do about a peak wherever it lies."""

from collections.abc import Sequence

import torch
from torch import nn

from srdscan.policy.actions import GRID, ActionSpace
from srdscan.policy.episodes import HEADS, PICTURE, PLANES

PICTURE_INPUT = "picture"
INPUTS: dict[str, tuple[str, ...]] = {
    "attention": (*PLANES[:HEADS], "abnormality"),
    PICTURE_INPUT: (),
    "fidelity": ("cosine", "fluency"),
    "mask": ("perturbed", "whole-image actions"),
}
"""Groups of inputs that can be hidden, with their planes; `picture` is the image. The steps left are always seen."""


class Block(nn.Module):
    """A residual pair of 3 x 3 convolutions, the first dilated."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, width, GRID, GRID) to the same."""
        return torch.relu(x + self.mix(torch.relu(self.spread(x))))


class QNetwork(nn.Module):
    """Values of all actions of a space: a map a (kind, size), pooled heads for whole-image actions and stop.

    Q = the value of the state, from pooled features, plus each action's advantage.

    Args:
        space: the actions.
        width: channels.
        hidden: groups of `INPUTS` that the network does not see (an ablation).

    Raises:
        ValueError: the actions are on another grid, or there is no such group.
    """

    def __init__(self, space: ActionSpace, width: int = 48, hidden: Sequence[str] = ()) -> None:
        super().__init__()
        if space.grid != GRID:
            raise ValueError(f"actions on a grid of {space.grid}: the network sees {GRID} x {GRID} cells")
        if unknown := sorted({*hidden} - INPUTS.keys()):
            raise ValueError(f"inputs {', '.join(unknown)}: must be of {', '.join(INPUTS)}")
        self.width, self.hidden = width, tuple(name for name in INPUTS if name in hidden)
        self.picture = nn.Conv2d(3, 16, PICTURE // GRID + 2, stride=PICTURE // GRID, padding=1)
        self.enter = nn.Conv2d(16 + len(PLANES), width, 3, padding=1)
        self.blocks = nn.Sequential(Block(width, 1), Block(width, 2))
        self.maps = nn.Conv2d(width, space.maps, 1)
        self.pooled = nn.Sequential(nn.Linear(2 * width + len(PLANES), width), nn.ReLU())
        self.whole = nn.Linear(width, len(space.whole) + 1)
        self.value = nn.Linear(width, 1)
        for layer in (self.maps, self.whole, self.value):
            nn.init.zeros_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        self.visible: torch.Tensor
        blind = {plane for group in self.hidden for plane in INPUTS[group]}
        visible = torch.tensor([float(plane not in blind) for plane in PLANES])
        self.register_buffer("visible", visible[:, None, None], persistent=False)

    def forward(self, image: torch.Tensor, planes: torch.Tensor) -> torch.Tensor:
        """Q values.

        Args:
            image: (B, 3, PICTURE, PICTURE) in 0..255.
            planes: (B, len(PLANES), GRID, GRID) in 0..255.

        Returns:
            (B, len(space)) in the order of the space.
        """
        seen = planes.float() / 255.0 * self.visible
        picture = image.float() / 255.0 - 0.5
        if PICTURE_INPUT in self.hidden:
            picture = torch.zeros_like(picture)
        x = torch.relu(self.picture(picture))
        x = self.blocks(torch.relu(self.enter(torch.cat([x, seen], dim=1))))
        pooled = self.pooled(torch.cat([x.mean((2, 3)), x.amax((2, 3)), seen.amax((2, 3))], dim=1))
        advantage = torch.cat([self.maps(x).flatten(1), self.whole(pooled)], dim=1)
        value: torch.Tensor = self.value(pooled)
        return value + advantage
