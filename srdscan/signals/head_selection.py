"""Which heads single out a minority of samples, found without labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from srdscan.signals.base import Doubles
from srdscan.signals.mixture import Mixture, fit_mixtures

LEAST_SEPARATION = 2.0
"""BSI from which a head counts as bimodal (BYE, NeurIPS 2025)."""
SMALLEST_SHARE, LARGEST_SHARE = 0.003, 0.25
"""How small and how large a minority may be."""
STRANGER = 1e-2
"""How unlikely it must be that a head's minority says odd things by chance, corrected for the heads tried."""
TAIL = 1.3
"""The majority's tail is taken to be this much wider than the normal fitted to it."""
NOT_NEARER = 0.05
"""Least p-value of a sample that is nearer to the majority than to the minority."""


@dataclass(frozen=True)
class Selection:
    """The columns (token, layer, head, measure) that single out a minority, and how.

    Attributes:
        columns: (K,) indices into `attention.measures`.
        mixture: majority and minority of each column.
        weight: (K,) sums to 1.
        share: of the samples in the minority, by the heaviest column.
    """

    columns: npt.NDArray[np.int64]
    mixture: Mixture
    weight: Doubles
    share: float

    def p_values(self, values: Doubles) -> tuple[Doubles, Doubles]:
        """(N,) p-values and z of (K, N) measures.

        A sample must be far out for the majority (a normal tail, widened) and nearer to the minority: tails of single
        heads are heavy, and 5 standard deviations out is no proof when the minority lies at 12. Samples that are not
        nearer to it get at least `NOT_NEARER`.
        """
        major = self.mixture.majority
        z = self.weight @ ((values - major[:, :1]) / major[:, 1:] * self.mixture.direction[:, None])
        posterior = self.weight @ self.mixture.posterior(values)
        return np.clip(stats.norm.sf(z / TAIL), np.where(posterior > 0.5, 1e-12, NOT_NEARER), 1.0), z


def select_heads(values: Doubles, strangeness: Sequence[Doubles]) -> Selection | None:
    """Chooses heads without labels.

    A column counts if a mixture finds a minority in it (0.3 to 25 % of the samples) at BSI >= 2, and if that minority
    is stranger in what it *says*: a natural minority (group photographs, say) attends differently too, but its captions
    are no further from the reference than others. Columns that single out other samples than the best one are dropped.

    Args:
        values: (M, N) measures of all columns.
        strangeness: (N,) numbers such as drift, larger is stranger; a minority must stand out in one of them.

    Returns:
        None if no column qualifies.
    """
    ranks = [stats.rankdata(numbers) for numbers in strangeness]
    found = [part for mixture in fit_mixtures(values) for part in _minorities(values, mixture, ranks)]
    tried = sum(part.tried for part in found)
    best: dict[int, _Minority] = {}
    for part in found:
        if part.chance * tried < STRANGER and (part.column not in best or part.evidence > best[part.column].evidence):
            best[part.column] = part
    if not best:
        return None
    leader = max(best.values(), key=lambda part: part.evidence)
    agreeing = [part for part in best.values() if part.overlap(leader) >= 0.5]
    weight = np.array([part.evidence for part in agreeing])
    return Selection(
        columns=np.array([part.column for part in agreeing]),
        mixture=Mixture(
            np.stack([part.majority for part in agreeing]),
            np.stack([part.minority for part in agreeing]),
            np.array([part.share for part in agreeing]),
        ),
        weight=weight / weight.sum(),
        share=float(leader.members.mean()),
    )


@dataclass(frozen=True)
class _Minority:
    """A bimodal column's minority; `chance` is the probability that it says such odd things by accident."""

    column: int
    members: npt.NDArray[np.bool_]
    majority: Doubles
    minority: Doubles
    share: float
    separation: float
    chance: float
    tried: int

    @property
    def evidence(self) -> float:
        return -float(np.log10(max(self.chance, 1e-30))) * self.separation

    def overlap(self, other: "_Minority") -> float:
        """Jaccard index of the members."""
        return float((self.members & other.members).sum() / max((self.members | other.members).sum(), 1))


def _minorities(values: Doubles, mixture: Mixture, ranks: Sequence[Doubles]) -> list[_Minority]:
    """The columns in which a mixture sets a small minority clearly apart."""
    count = values.shape[1]
    members = mixture.posterior(values) > 0.5
    sizes = members.sum(axis=1)
    bimodal = (
        (mixture.separation >= LEAST_SEPARATION)
        & (sizes >= max(3, SMALLEST_SHARE * count))
        & (sizes <= LARGEST_SHARE * count)
    )
    return [
        _Minority(
            column=int(column),
            members=members[column],
            majority=mixture.majority[column],
            minority=mixture.minority[column],
            share=float(mixture.share[column]),
            separation=float(mixture.separation[column]),
            chance=min(_rank_sum_p(rank, members[column]) for rank in ranks),
            tried=len(ranks),
        )
        for column in np.flatnonzero(bimodal)
    ]


def _rank_sum_p(ranks: Doubles, members: npt.NDArray[np.bool_]) -> float:
    """One-sided Mann-Whitney p-value that the members' ranks are larger (normal approximation)."""
    inside, outside = int(members.sum()), int((~members).sum())
    if not inside or not outside:
        return 1.0
    mean = inside * (inside + outside + 1) / 2
    deviation = np.sqrt(inside * outside * (inside + outside + 1) / 12)
    return float(stats.norm.sf((ranks[members].sum() - mean) / deviation))
