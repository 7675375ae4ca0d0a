"""How a term's samples differ from those of a data set's other terms: in strangeness, and in what their images show."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from srdscan.findings.terms import Candidate
from srdscan.signals.base import Doubles

LEAST_BETWEEN = 0.4
"""Least difference between terms by nature, in spreads of single words; measured 0.5 to 0.8 on human captions."""
ENOUGH_TERMS = 20
GOES_WITH = 2.0
"""z of likeness below which a group may have been drawn at random: 97.7 % of random groups."""
LEAST_SPREAD = 0.05
"""Nats; where captions are all alike, smaller differences mean nothing."""


def apart(candidates: Sequence[Candidate], count: int) -> npt.NDArray[np.int64]:
    """Candidates that are mostly of different samples, the most frequent first.

    A phrase behind a tenth of the captions makes hundreds of phrases, one with each word that comes before it.
    """
    covered, chosen = np.zeros(count, dtype=bool), []
    for place in sorted(range(len(candidates)), key=lambda place: -len(candidates[place][1])):
        samples = candidates[place][1]
        if covered[samples].mean() < 0.5:
            covered[samples] = True
            chosen.append(place)
    return np.array(chosen, dtype=np.int64)


def strangeness_z(
    effects: Doubles,
    sizes: npt.NDArray[np.int64],
    singles: Doubles | npt.NDArray[np.float32],
    among: npt.NDArray[np.int64] | None = None,
    least_spread: float = LEAST_SPREAD,
    least_between: float = LEAST_BETWEEN,
) -> Doubles:
    """How far each term's strangeness is from what terms of this data set have, as z.

    Terms differ by nature: "up" can be left out more easily than "dog". So a term's mean is not held against chance
    alone, under which every frequent word that can be left out would be significant, but against the distribution of
    all terms' means: a random-effects model, d ~ N(mu, tau^2 + spread^2 / n), with mu and tau from their quantiles.

    Args:
        effects: (K,) median or mean strangeness of each term's samples.
        sizes: (K,) samples of each.
        singles: strangeness of all words, or all samples. Where captions and references differ in fewer than
            `ENOUGH_TERMS` terms, the terms' distribution is taken from these.
        among: the terms to take the distribution from; all if None.
        least_spread: differences of single words or samples that mean nothing.
        least_between: least difference between terms, in spreads of singles.
    """
    if not len(effects):
        return np.zeros(0)  # `singles` may be empty, too: captions need not have words
    centre, spread = centre_and_scale(singles)
    spread = max(spread, least_spread)
    chance = np.square(spread) / sizes
    among = np.arange(len(effects)) if among is None else among
    between = spread**2
    if len(among) >= ENOUGH_TERMS:
        centre, observed = centre_and_scale(effects[among])
        between = max(observed**2 - float(np.median(chance[among])), (least_between * spread) ** 2)
    return np.asarray((effects - centre) / np.sqrt(between + chance))


def centre_and_scale(values: Doubles | npt.NDArray[np.float32]) -> tuple[float, float]:
    """Median, and half the distance between the quantiles that hold a normal's central 68 %."""
    low, centre, high = np.quantile(values, [0.16, 0.5, 0.84])
    return float(centre), max(float(high - low) / 2, 1e-9)
