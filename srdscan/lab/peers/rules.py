"""Rules that turn a published score into flags, for peers that publish a score and no rule."""

import numpy as np

from srdscan.lab.peers.base import Doubles, Flags

NORMAL = 1.4826
"""Standard deviations in a median absolute deviation of normal numbers."""


def far_out(scores: Doubles, deviations: float = 3.0) -> Flags:
    """(N,) scores more than this many robust standard deviations above the median."""
    middle = np.median(scores)
    spread = NORMAL * np.median(np.abs(scores - middle))
    flags: Flags = scores > middle + deviations * spread
    return flags
