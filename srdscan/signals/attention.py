"""Attention concentration, per layer and head."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from srdscan.captioners.base import Floats
from srdscan.scores import Column, Scores
from srdscan.signals.base import WHOLE_DATASET, Batch, Evidence, abstain, register_signal
from srdscan.signals.mixture import Mixture, fit_mixtures

MEASURES = ("entropy", "gini", "top_mass", "peak_ratio", "compactness")
TOP_SHARE = 0.02
WINDOW = 3

LEAST_SEPARATION = 2.0
"""BSI from which a head counts as bimodal (BYE, NeurIPS 2025)."""
SMALLEST_SHARE, LARGEST_SHARE = 0.003, 0.25
"""How small and how large a minority may be."""
STRANGER = 1e-2
"""How unlikely it must be that a head's minority says odd things by chance, corrected for the heads tried."""
FEWEST, MOST = 50, 5000
"""Samples that head selection needs, and that it looks at."""
TAIL = 1.3
"""The majority's tail is taken to be this much wider than the normal fitted to it."""
NOT_NEARER = 0.05
"""Least p-value of a sample that is nearer to the majority than to the minority."""

Doubles = npt.NDArray[np.float64]


def concentration(maps: npt.NDArray[Any]) -> Floats:
    """The five measures of how concentrated attention maps are, each larger when more concentrated.

    Args:
        maps: (..., R, C) non-negative, each summing to 1.

    Returns:
        (..., 5) float32: negated normalised entropy `sum p ln p / ln T` in [-1, 0]; Gini coefficient in [0, 1);
        mass of the top ceil(0.02 T) patches; ln(peak / median); mass of the heaviest 3 x 3 window.
    """
    *lead, rows, columns = maps.shape
    patches = rows * columns
    p = maps.reshape(-1, patches).astype(np.float64)
    p = p / p.sum(axis=1, keepdims=True).clip(1e-12)
    ordered = np.sort(p, axis=1)
    entropy = (p * np.log(p.clip(1e-12))).sum(axis=1) / np.log(patches)
    rank = np.arange(1, patches + 1)
    gini = 2.0 * (ordered * rank).sum(axis=1) / patches - (patches + 1.0) / patches
    top = ordered[:, -int(np.ceil(TOP_SHARE * patches)) :].sum(axis=1)
    median = np.median(ordered, axis=1)
    ratio = np.log(ordered[:, -1].clip(1e-12) / median.clip(1e-12))
    compact = window_mass(p.reshape(-1, rows, columns)).reshape(len(p), -1).max(axis=1)
    return np.stack([entropy, gini, top, ratio, compact], axis=1).reshape(*lead, len(MEASURES)).astype(np.float32)


def straightened(measures: npt.NDArray[Any], kinds: npt.NDArray[np.int64] | None = None) -> Doubles:
    """Measures on a scale where an honest head's values are near normal: shares as log-odds, entropy as 1 + entropy.

    Raw shares crowd at one end, and a mixture then spends its second component on their skew: six triggered samples of
    600 were found by one head in raw form by none, as log-odds at BSI 7.

    Args:
        measures: (N, K); columns cycle through `MEASURES`, unless
        kinds: (K,) says which measure each column is.
    """
    kinds = np.arange(measures.shape[1]) % len(MEASURES) if kinds is None else kinds
    values = measures.astype(np.float64)
    values[:, kinds == MEASURES.index("entropy")] += 1.0
    share = kinds != MEASURES.index("peak_ratio")
    clipped = np.clip(values[:, share], 1e-6, 1 - 1e-6)
    values[:, share] = np.log(clipped / (1 - clipped))
    return values


def window_mass(maps: npt.NDArray[np.float64], window: int = WINDOW) -> npt.NDArray[np.float64]:
    """(M, R, C) to (M, R - w + 1, C - w + 1): the mass of every w x w window, by summed areas."""
    window = min(window, *maps.shape[1:])
    area = np.zeros((len(maps), maps.shape[1] + 1, maps.shape[2] + 1))
    area[:, 1:, 1:] = maps.cumsum(axis=1).cumsum(axis=2)
    w = window
    return area[:, w:, w:] - area[:, :-w, w:] - area[:, w:, :-w] + area[:, :-w, :-w]


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


@register_signal
class Attention:
    """A minority of samples on which several heads concentrate as they never do otherwise."""

    name = "attention"
    description = "attention of single heads concentrates abnormally, in a minority of samples that also say odd things"
    needs_captioner = True

    def measure(self, batch: Batch) -> Mapping[str, Column]:
        """`attention.measures`: (B, 2 x L x H x 5), first token then mean; `attention.peak`: (B, 2 x L x H) cells."""
        if batch.output is None or batch.output.attention is None:
            return {}
        maps = np.stack([batch.output.attention.first, batch.output.attention.mean], axis=1)
        count = len(maps)
        peaks = maps.reshape(*maps.shape[:4], -1).argmax(axis=-1).astype(np.uint16)
        return {
            "attention.measures": concentration(maps).reshape(count, -1),
            "attention.peak": peaks.reshape(count, -1),
        }

    def judge(self, scores: Scores, calibration: Scores | None) -> Evidence:
        """Selects heads on a sample of the data set, then scores every sample by them."""
        count = len(scores)
        if count < FEWEST or not scores.has("attention.measures"):
            return abstain(count, f"needs attention maps of at least {FEWEST} samples")
        rows = np.unique(np.linspace(0, count - 1, min(count, MOST)).round().astype(np.int64))
        strangeness = [scores.numbers(f"signal.{name}.output")[rows] for name in ("drift", "onion", "grounding")]
        selection = select_heads(straightened(_take(scores, rows=rows)).T, strangeness)
        if selection is None:
            return abstain(count, "no head singles out a minority that also says odd things")
        p_values, z = selection.p_values(
            straightened(_take(scores, columns=selection.columns), selection.columns % len(MEASURES)).T
        )
        compactness = self._compactness(scores)

        def reason(index: int) -> str:
            return compactness(index) if p_values[index] < 1e-3 else ""

        heads = sorted({_head_name(int(column), scores.meta["attention_shape"]) for column in selection.columns})
        note = f"{100 * selection.share:.1f} % of the samples stand out in {', '.join(heads[:6])}"
        return Evidence(p_values, z, note, weight=WHOLE_DATASET, reason=reason)

    @staticmethod
    def _compactness(scores: Scores) -> Callable[[int], str]:
        """Sample -> where its most abnormal head looks, in words."""
        _, peaks, masses = anomalous_heads(scores)
        columns = int(scores.meta["attention_shape"][3])

        def sentence(index: int) -> str:
            row, column = divmod(int(peaks[index]), columns)
            return f"attention peak at ({row},{column}) holds {100 * masses[index]:.0f} % of the mass"

        return sentence


@dataclass(frozen=True)
class HeadNorms:
    """How compact each head's first-token attention ordinarily is: (L x H,) medians and central spreads.

    A head that always concentrates does not stand out by concentrating.
    """

    centre: Doubles
    spread: Doubles

    def strangeness(self, compactness: Doubles) -> Doubles:
        """(N, L x H): how far each head's compactness lies above what is ordinary for it, in spreads."""
        return np.asarray((compactness - self.centre) / self.spread)


def head_norms(scores: Scores) -> HeadNorms:
    """Of the heads of the captioner under audit, over the data set."""
    low, centre, high = np.quantile(_first_token_compactness(scores), [0.16, 0.5, 0.84], axis=0)
    return HeadNorms(centre, np.maximum((high - low) / 2, 1e-6))


def anomalous_heads(
    scores: Scores,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Doubles]:
    """Each sample's most abnormally concentrated first-token map: (N,) head, peak cell, mass of its best window."""
    values = _first_token_compactness(scores)
    peaks = np.concatenate([part[:, : values.shape[1]] for part in scores.vectors("attention.peak")])
    head = head_norms(scores).strangeness(values).argmax(axis=1)
    every = np.arange(len(head))
    return head, peaks[every, head].astype(np.int64), values[every, head]


def _first_token_compactness(scores: Scores) -> Doubles:
    """(N, L x H)."""
    layers, heads = (int(n) for n in scores.meta["attention_shape"][:2])
    return _take(scores, columns=np.arange(layers * heads) * len(MEASURES) + MEASURES.index("compactness"))


def _take(
    scores: Scores, rows: npt.NDArray[np.int64] | None = None, columns: npt.NDArray[np.int64] | None = None
) -> Doubles:
    """Some rows or some columns of the measures, never all of both: (rows, columns)."""
    parts, start = [], 0
    for part in scores.vectors("attention.measures"):
        if rows is not None:
            inside = rows[(rows >= start) & (rows < start + len(part))] - start
            parts.append(part[inside])
        else:
            parts.append(part[:, columns])
        start += len(part)
    return np.concatenate(parts).astype(np.float64)


def _head_name(column: int, shape: Sequence[int]) -> str:
    """`layer 1 head 4` of a column of the measures."""
    layers, heads = int(shape[0]), int(shape[1])
    place = column // len(MEASURES) % (layers * heads)
    return f"layer {place // heads} head {place % heads}"
