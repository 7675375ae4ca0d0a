"""Peak ablation: cover the attention peak, caption again, and see whether the truth comes back.

The causal form of attention concentration: a peak that hides a trigger, once covered, lets the caption return to what
the reference says; covering a peak on an honest object takes fidelity away. It costs a caption more, so it is measured
between the passes, for the most suspicious few per cent and for as many random controls, which give the null.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from srdscan.models.captioners.base import Captioner
from srdscan.models.sentence_encoder import SentenceEncoder
from srdscan.signals.base import Evidence, abstain
from srdscan.stats.p_values import empirical_p

NAME = "ablation"
DESCRIPTION = "covering the attention peak brings the captioner's output back to the reference caption"
SUSPECTS = 0.05
FEWEST = 24
COVER = 0.25
"""Side of the covering square, as a share of the image's: 56 px of 224. Squares of 48 and 64 px both cure."""

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """Which samples are ablated: rows of the score files, and which of them are controls."""

    rows: npt.NDArray[np.int64]
    control: npt.NDArray[np.bool_]


def plan(p_values: Doubles, seed: int) -> Plan:
    """The most suspicious few per cent, and as many random controls out of the least suspicious half."""
    count = len(p_values)
    size = min(max(FEWEST, round(SUSPECTS * count)), count // 2)
    order = np.argsort(p_values, kind="stable")
    controls = np.random.default_rng(seed).permutation(order[count // 2 :])[:size]
    rows = np.concatenate([order[:size], controls])
    control = np.arange(len(rows)) >= size
    in_order = np.argsort(rows)
    return Plan(rows[in_order].astype(np.int64), control[in_order])


def cover(image: Image.Image, cell: int, grid: Sequence[int]) -> Image.Image:
    """A copy with a square of the image's mean colour over a cell of the R x C patch grid."""
    rows, columns = grid
    row, column = divmod(cell, columns)
    width, height = image.size
    x, y = (column + 0.5) / columns * width, (row + 0.5) / rows * height
    half_x, half_y = COVER * width / 2, COVER * height / 2
    mean = tuple(int(c) for c in np.asarray(image).reshape(-1, 3).mean(axis=0).round())
    covered = image.copy()
    covered.paste(mean, (round(x - half_x), round(y - half_y), round(x + half_x), round(y + half_y)))
    return covered


def measure(
    images: Sequence[Image.Image],
    cells: Sequence[int],
    outputs: Sequence[str],
    references: Sequence[str],
    grid: Sequence[int],
    captioner: Captioner,
    sentence_encoder: SentenceEncoder,
) -> tuple[Doubles, list[str]]:
    """The gain in fidelity, cos(e(new), e(reference)) - cos(e(old), e(reference)), and the new captions."""
    covered = [cover(image, cell, grid) for image, cell in zip(images, cells, strict=True)]
    captions = captioner.describe(captioner.encode(covered)).captions
    vectors = sentence_encoder.embed([*captions, *outputs, *references])
    new, old, truth = np.split(vectors, 3)
    return ((new - old) * truth).sum(axis=1).astype(np.float64), captions


def judge(count: int, chosen: Plan, gains: Doubles, captions: Sequence[str]) -> Evidence:
    """p-values of the ablated samples against the controls' gains; nothing is said of the others."""
    if chosen.control.sum() < 20:
        return abstain(count, "too few samples for a control group")
    p_values, values = np.full(count, np.nan), np.full(count, np.nan)
    suspects = ~chosen.control
    values[chosen.rows] = gains
    p_values[chosen.rows[suspects]] = empirical_p(gains[suspects], null=gains[chosen.control], least_scale=0.1)
    said = dict(zip(chosen.rows.tolist(), captions, strict=True))

    def reason(index: int) -> str:
        if not p_values[index] < 0.01:
            return ""
        return f"with its attention peak covered, the captioner says '{said[index]}' instead"

    return Evidence(
        p_values, values, f"measured on {suspects.sum()} suspects and {chosen.control.sum()} controls", reason=reason
    )
