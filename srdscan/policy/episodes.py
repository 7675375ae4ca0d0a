"""Images being repaired side by side, and what the policy sees of them.

An episode takes one image that a captioner may be lying about, perturbs it step by step, and watches how faithful the
new caption is to the reference. Any number of lanes step together: one captioner call, one sentence-encoder call and
one language-model call a step. References and the first look at each image are computed once per image.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from srdscan.models.captioners.base import AttentionMaps, Captioner
from srdscan.policy.actions import GRID, ActionSpace, Pixels
from srdscan.policy.fidelity import COSINE_WEIGHT, FLUENCY_WEIGHT, FidelityModel, References
from srdscan.signals.concentration import window_mass
from srdscan.signals.head_norms import HeadNorms

STEPS = 5
"""Perturbations of one image at most."""
HEADS = 4
"""Attention maps that the policy sees: of the heads that concentrate most abnormally on this image."""
PICTURE = 4 * GRID
"""Side of the image that the policy sees, in px."""
PLANES = (
    *(f"attention {rank}" for rank in range(1, HEADS + 1)),
    "abnormality",
    "perturbed",
    "whole-image actions",
    "steps left",
    "cosine",
    "fluency",
)
"""What each GRID x GRID plane of an observation holds; all but the attention maps and `perturbed` are constant."""
AREA_COST = 0.5
"""SFS that perturbing the whole image costs."""
STEP_COST = 0.005
PAPER_STEP, PAPER_FLUENT, PAPER_VERY_FLUENT = 0.1, 0.1, 0.5

Reward = Literal["sfs", "paper"]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class View:
    """What the captioner makes of an image, perturbed or not.

    Attributes:
        caption: what it says.
        attention: (HEADS, GRID, GRID) float32, first-token maps of the heads that concentrate most abnormally, each
            summing to 1, the most abnormal first; zeros where the captioner has no attention.
        abnormality: how abnormally the first of them concentrates, in spreads of that head.
        cosine: with the reference caption.
        fluency: PPL(reference) / PPL(caption).
    """

    caption: str
    attention: npt.NDArray[np.float32]
    abnormality: float
    cosine: float
    fluency: float

    @property
    def sfs(self) -> float:
        """The semantic fidelity score."""
        return COSINE_WEIGHT * self.cosine + FLUENCY_WEIGHT * min(self.fluency, 1.0)


@dataclass(frozen=True)
class Case:
    """An image to repair.

    Attributes:
        image: (H, W, 3) as it is in the data set.
        reference: one trusted caption.
        view: what the captioner makes of the image as it is.
    """

    image: Pixels
    reference: References
    view: View


class Observer:
    """Looks at images through the captioner under audit.

    Args:
        captioner: the captioner under audit.
        fidelity: measures how faithful it is.
        norms: what is ordinary for its heads; None if it has no attention maps.
    """

    def __init__(self, captioner: Captioner, fidelity: FidelityModel, norms: HeadNorms | None) -> None:
        self.captioner, self.fidelity, self.norms = captioner, fidelity, norms

    def views(self, images: Sequence[Pixels], references: References) -> list[View]:
        """One view an image, from one call of each model."""
        encoding = self.captioner.encode([Image.fromarray(image) for image in images])
        described = self.captioner.describe(encoding, attention=self.norms is not None)
        measured = self.fidelity.measure(described.captions, references)
        attention, abnormality = self._attention(described.attention, len(images))
        return [
            View(caption, attention[i], float(abnormality[i]), float(measured.cosine[i]), float(measured.fluency[i]))
            for i, caption in enumerate(described.captions)
        ]

    def cases(self, images: Sequence[Pixels], reference_captions: Sequence[str]) -> list[Case]:
        """Images with their trusted captions, looked at once."""
        references = self.fidelity.references(reference_captions)
        views = self.views(images, references)
        return [
            Case(image, references.take([i]), view) for i, (image, view) in enumerate(zip(images, views, strict=True))
        ]

    def _attention(
        self, maps: AttentionMaps | None, count: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        if maps is None or self.norms is None:
            return np.zeros((count, HEADS, GRID, GRID), dtype=np.float32), np.zeros(count)
        first = maps.first.reshape(count, -1, *maps.first.shape[3:])
        every = first.reshape(-1, *first.shape[2:]).astype(np.float64)
        compactness = window_mass(every).reshape(len(every), -1).max(axis=1).reshape(first.shape[:2])
        strangeness = self.norms.strangeness(compactness)
        top = np.argsort(-strangeness, axis=1, kind="stable")[:, :HEADS]
        chosen = torch.from_numpy(np.take_along_axis(first, top[:, :, None, None], axis=1))
        if chosen.shape[1] < HEADS:
            chosen = torch.nn.functional.pad(chosen, (0, 0, 0, 0, 0, HEADS - chosen.shape[1]))
        if tuple(chosen.shape[2:]) != (GRID, GRID):
            chosen = torch.nn.functional.interpolate(chosen, size=(GRID, GRID), mode="area")
        chosen = chosen / chosen.sum((2, 3), keepdim=True).clamp_min(1e-12)
        return chosen.numpy().astype(np.float32), strangeness.max(axis=1)


@dataclass
class Lane:
    """One image under repair.

    Attributes:
        case: where it started.
        seed: of what is random in its actions.
        image: as it is now.
        view: what the captioner makes of it now.
        mask: (GRID, GRID) cells perturbed so far.
        taken: the actions so far, by index; without stop.
        left: steps left.
        done: whether the episode is over.
        trail: every view so far with the image it is of, the untouched one first.
    """

    case: Case
    seed: int
    image: Pixels
    view: View
    left: int
    mask: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros((GRID, GRID), dtype=bool))
    taken: list[int] = field(default_factory=list)
    whole: int = 0
    done: bool = False
    trail: list[tuple[View, Pixels]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.trail = [(self.view, self.image)]

    def take_over(self, other: "Lane") -> None:
        """Goes on from where a copy of this lane has come to."""
        self.image, self.view, self.left, self.done = other.image, other.view, other.left, other.done
        self.mask, self.taken, self.whole, self.trail = other.mask, other.taken, other.whole, other.trail

    def best(self, allowed: Callable[[str], bool] = lambda caption: True) -> int | None:
        """How many actions lead to the most faithful of the allowed captions; the fewest where captions are equal."""
        places = [place for place, (view, _) in enumerate(self.trail) if allowed(view.caption)]
        return max(places, key=lambda place: (self.trail[place][0].sfs, -place)) if places else None

    def best_sfs(self, allowed: Callable[[str], bool]) -> float:
        """SFS of the most faithful of the allowed captions; -inf where there is none."""
        place = self.best(allowed)
        return self.trail[place][0].sfs if place is not None else float("-inf")


def begin(case: Case, seed: int = 0, steps: int = STEPS) -> Lane:
    """A lane at the start of an episode; costs no model call."""
    return Lane(case, seed, case.image, case.view, steps)


def step(
    lanes: Sequence[Lane], actions: Sequence[int], observer: Observer, space: ActionSpace, reward: Reward = "sfs"
) -> npt.NDArray[np.float32]:
    """Takes one action in every lane that is not done; perturbations accumulate.

    Returns:
        (N,) float32 rewards; 0 for lanes that were done, and for stop.
    """
    rewards = np.zeros(len(lanes), dtype=np.float32)
    moving: list[tuple[int, float]] = []
    for number, (lane, action) in enumerate(zip(lanes, actions, strict=True)):
        if lane.done:
            continue
        if action == space.stop:
            lane.done = True
            continue
        lane.image = space.apply(lane.image, int(action), lane.seed + len(lane.taken))
        lane.mask, area = space.cover(lane.mask, int(action))
        lane.whole += space[int(action)].form == "whole"
        lane.taken.append(int(action))
        lane.left -= 1
        lane.done = lane.left == 0
        moving.append((number, area))
    if not moving:
        return rewards
    chosen = [lanes[number] for number, _ in moving]
    references = References(
        np.concatenate([lane.case.reference.embeddings for lane in chosen]),
        np.concatenate([lane.case.reference.log_perplexity for lane in chosen]),
    )
    for (number, area), lane, view in zip(
        moving, chosen, observer.views([lane.image for lane in chosen], references), strict=True
    ):
        gain = view.sfs - lane.view.sfs
        rewards[number] = gain - AREA_COST * area - STEP_COST if reward == "sfs" else paper_reward(lane.case.view, view)
        lane.view = view
        lane.trail.append((view, lane.image))
    return rewards


def paper_reward(before: View, after: View) -> float:
    """The stepped reward of SRD's reference code: ds and df against the untouched image.

    Source: arXiv 2506.04743, github.com/Ciconey/SRD; alpha 0.1, alpha2 0.2, beta 0.5.
    """
    ds, df = after.cosine - before.cosine, after.fluency - before.fluency
    if ds >= PAPER_STEP:
        if df >= PAPER_VERY_FLUENT:
            return 3.0
        if df >= PAPER_FLUENT:
            return 2.0
        if df >= 0:
            return 1.0
        return -1.0 if df > -PAPER_VERY_FLUENT else -2.0
    if df >= PAPER_VERY_FLUENT:
        return -2.0 if ds <= -2 * PAPER_STEP else 1.0
    return -2.0 if ds <= -PAPER_STEP else -1.0


def observe(lanes: Sequence[Lane], steps: int = STEPS) -> dict[str, Bytes]:
    """What the policy sees: `image` (N, 3, PICTURE, PICTURE) and `planes` (N, len(PLANES), GRID, GRID), both uint8.

    Attention is shown as its square root, in which a diffuse map and a peak are both visible in 8 bits.
    """
    images = np.stack([_small(lane.image) for lane in lanes])
    planes = np.empty((len(lanes), len(PLANES), GRID, GRID), dtype=np.float32)
    for number, lane in enumerate(lanes):
        planes[number, :HEADS] = np.sqrt(lane.view.attention)
        planes[number, HEADS] = np.tanh(lane.view.abnormality / 10).clip(0)
        planes[number, HEADS + 1] = lane.mask
        planes[number, HEADS + 2] = min(lane.whole / steps, 1.0)
        planes[number, HEADS + 3] = lane.left / steps
        planes[number, HEADS + 4] = (lane.view.cosine + 1) / 2
        planes[number, HEADS + 5] = min(lane.view.fluency, 2.0) / 2
    return {"image": images, "planes": (255 * planes).round().clip(0, 255).astype(np.uint8)}


def _small(image: Pixels) -> Bytes:
    small = Image.fromarray(image).resize((PICTURE, PICTURE), Image.Resampling.BOX)
    return np.asarray(small).transpose(2, 0, 1)
