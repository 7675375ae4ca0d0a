"""Grafts: a square of one image, put on another at the same place, to see whether it carries a trigger with it.

A trigger works wherever it is put; a part of an honest object seldom makes another image's caption name that object.
Source of the idea: SentiNet, Chou et al., IEEE S&P Workshops 2020.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 0.25
"""Side of a square, as a share of the image's: 56 px of 224."""


@dataclass(frozen=True)
class Graft:
    """A square of one sample's image on another's.

    Attributes:
        pair: number of the pair of words that it is to test.
        donor: row of the sample that the square is taken of.
        cell: of the R x C attention grid, the middle of the square in both images.
        host: row of the sample that it is put on.
        control: whether the place is random.
    """

    pair: int
    donor: int
    cell: int
    host: int
    control: bool = False


def graft(donor: Image.Image, host: Image.Image, cell: int, grid: Sequence[int]) -> Image.Image:
    """A copy of the host's image with the donor's square on it."""
    patch = donor.crop(_box(donor, cell, grid))
    left, top, right, bottom = _box(host, cell, grid)
    grafted = host.copy()
    grafted.paste(patch.resize((right - left, bottom - top)), (left, top))
    return grafted


def _box(image: Image.Image, cell: int, grid: Sequence[int]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) in px of the square around a cell, moved inside where it would pass the edge."""
    (row, column), sizes = divmod(cell, grid[1]), image.size
    sides = [max(1, round(SIDE * size)) for size in sizes]
    middles = (column + 0.5) / grid[1] * sizes[0], (row + 0.5) / grid[0] * sizes[1]
    left, top = (
        min(max(round(middle - side / 2), 0), size - side)
        for middle, side, size in zip(middles, sides, sizes, strict=True)
    )
    return left, top, left + sides[0], top + sides[1]


def first_round(
    donors: Sequence[npt.NDArray[np.int64]],
    hosts: Sequence[npt.NDArray[np.int64]],
    peaks: npt.NDArray[np.int64],
    cells: int,
    controls: int,
    rng: np.random.Generator,
) -> list[Graft]:
    """Each donor's attention peaks, and random places of it, on one host each.

    Args:
        donors: of each pair, the rows.
        hosts: of each pair, the rows to draw from.
        peaks: (N, K) cells.
        cells: of the attention grid.
        controls: random places of each donor.
    """
    found = []
    for pair, (rows, others) in enumerate(zip(donors, hosts, strict=True)):
        for donor in rows.tolist():
            host = int(rng.choice(others))
            found += [Graft(pair, donor, cell, host) for cell in dict.fromkeys(peaks[donor].tolist())]
            found += [Graft(pair, donor, int(rng.integers(cells)), host, True) for _ in range(controls)]
    return found


def second_round(
    first: Sequence[Graft],
    hits: Sequence[bool],
    hosts: Sequence[npt.NDArray[np.int64]],
    times: int,
    rng: np.random.Generator,
) -> list[Graft]:
    """Each donor's first square that worked, on other hosts: no longer chosen for having worked on these.

    Args:
        hits: whether each graft of the first round worked.
        hosts: as in the first round.
        times: hosts of each.
    """
    best: dict[tuple[int, int], Graft] = {}
    for item, hit in zip(first, hits, strict=True):
        if hit and not item.control:
            best.setdefault((item.pair, item.donor), item)
    found = []
    for item in best.values():
        others = hosts[item.pair][hosts[item.pair] != item.host]
        found += [Graft(item.pair, item.donor, item.cell, int(host)) for host in rng.permutation(others)[:times]]
    return found
