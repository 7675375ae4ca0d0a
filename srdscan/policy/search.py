"""Looking ahead: where the policy's own episode brought no honest caption back, its best ideas are tried side by side.

Q values are estimates, and of a trigger that the policy never met they can be wrong; what a captioner says after an
action is a fact. So each step of a search takes several different actions on copies of the image, in one batched call,
and goes on from the copy whose caption is the most faithful. It costs some ten captions a step, and is for the few
images that need it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from srdscan.policy.actions import GRID, ActionSpace
from srdscan.policy.episodes import Lane, Observer, View, step
from srdscan.policy.store import Policy

PLACES = 4
"""Squares that are tried for their value, each in another part of the image..."""
APART = 3
"""...this many cells from the others, along one axis at least."""
FILTERS = 3
"""Whole-image actions that are tried for their value."""
PEAK_SIZE = 3
AT_ONCE = 64
"""Images that the captioner sees in one call, about."""


def look_ahead(
    lanes: Sequence[Lane],
    policy: Policy,
    observer: Observer,
    content: Callable[[View], bool],
    allowed: Callable[[str], bool],
) -> None:
    """Searches in every lane until its caption is good enough or its steps are used up.

    Args:
        lanes: at their start.
        content: whether a view is good enough to end the search.
        allowed: whether a caption names no target; captions that do are worse than any that do not.
    """
    while active := [lane for lane in lanes if not lane.done]:
        proposed = propose(active, policy)
        size = max(1, AT_ONCE // max(len(actions) for actions in proposed))
        for start in range(0, len(active), size):
            part, chosen = active[start : start + size], proposed[start : start + size]
            branches = [[_copy(lane) for _ in actions] for lane, actions in zip(part, chosen, strict=True)]
            flat = [branch for group in branches for branch in group]
            step(flat, [action for actions in chosen for action in actions], observer, policy.space)
            for lane, group in zip(part, branches, strict=True):
                best = max(group, key=lambda branch: merit(branch.view, allowed))
                lane.take_over(best)
                lane.done = lane.done or content(lane.view)


def cover_peaks(lanes: Sequence[Lane], observer: Observer, space: ActionSpace) -> None:
    """One step: the mean colour over what the most abnormal attention head looks at; nothing where there is no map."""
    looking = [lane for lane in lanes if lane.view.attention[0].any()]
    peaks = [divmod(int(lane.view.attention[0].argmax()), GRID) for lane in looking]
    step(looking, [space.index("occlude", PEAK_SIZE, *peak) for peak in peaks], observer, space)


def propose(lanes: Sequence[Lane], policy: Policy) -> list[list[int]]:
    """Different actions worth trying in each lane; from one call of the network."""
    values = policy.values(lanes)
    return [ideas(lane, row, policy.space) for lane, row in zip(lanes, values, strict=True)]


def ideas(lane: Lane, values: npt.NDArray[np.float32], space: ActionSpace) -> list[int]:
    """Squares on attention peaks, the best actions in different places, and the best whole-image actions.

    Args:
        values: (len(space),) of all actions.
    """
    peaks = dict.fromkeys(int(heat.argmax()) for heat in lane.view.attention if heat.any())
    found = [space.index("occlude", PEAK_SIZE, *divmod(cell, GRID)) for cell in peaks]
    cells = space.grid**2
    local = values[: space.maps * cells].reshape(space.maps, cells)
    best_of_cell = local.max(axis=0)
    taken: list[tuple[int, int]] = []
    for cell in np.argsort(-best_of_cell, kind="stable"):
        row, column = divmod(int(cell), space.grid)
        if all(max(abs(row - r), abs(column - c)) >= APART for r, c in taken):
            taken.append((row, column))
            found.append(int(local[:, cell].argmax()) * cells + int(cell))
            if len(taken) == PLACES:
                break
    whole = values[space.maps * cells : space.stop]
    found += [space.maps * cells + int(place) for place in np.argsort(-whole, kind="stable")[:FILTERS]]
    return [action for action in dict.fromkeys(found) if action not in lane.taken]


def merit(view: View, allowed: Callable[[str], bool]) -> tuple[bool, float, float]:
    """Honest before faithful before calm: as long as a target is said, less abnormal attention is progress."""
    return allowed(view.caption), view.sfs, -view.abnormality


def _copy(lane: Lane) -> Lane:
    """A lane that can go its own way; images and views are never changed in place."""
    other = replace(lane, mask=lane.mask.copy(), taken=list(lane.taken))
    other.trail = list(lane.trail)
    return other
