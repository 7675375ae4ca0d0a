"""Attention concentration, per layer and head."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from srdscan.measure.batch import Batch
from srdscan.measure.scores import Column, Scores
from srdscan.signals.base import WHOLE_DATASET, Evidence, abstain, register_signal
from srdscan.signals.concentration import MEASURES, concentration, straightened
from srdscan.signals.head_norms import HeadNorms, anomalous_heads, head_norms, take_measures
from srdscan.signals.head_selection import select_heads

FEWEST, MOST = 50, 5000
"""Samples that head selection needs, and that it looks at."""


@register_signal
class Attention:
    """A minority of samples on which several heads concentrate as they never do otherwise."""

    name = "attention"
    description = "attention of single heads concentrates abnormally, in a minority of samples that also say odd things"
    needs_captioner = True
    leans_on_reference = False
    in_quick_look = False

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
        selection = select_heads(straightened(take_measures(scores, rows=rows)).T, strangeness)
        if selection is None:
            return abstain(count, "no head singles out a minority that also says odd things")
        p_values, z = selection.p_values(
            straightened(take_measures(scores, columns=selection.columns), selection.columns % len(MEASURES)).T
        )
        compactness = self._compactness(scores, head_norms(scores, calibration))

        def reason(index: int) -> str:
            return compactness(index) if p_values[index] < 1e-3 else ""

        heads = sorted({_head_name(int(column), scores.meta["attention_shape"]) for column in selection.columns})
        note = f"{100 * selection.share:.1f} % of the samples stand out in {', '.join(heads[:6])}"
        return Evidence(p_values, z, note, weight=WHOLE_DATASET, reason=reason)

    @staticmethod
    def _compactness(scores: Scores, norms: HeadNorms) -> Callable[[int], str]:
        """Sample -> where its most abnormal head looks, in words."""
        _, peaks, masses = anomalous_heads(scores, norms)
        columns = int(scores.meta["attention_shape"][3])

        def sentence(index: int) -> str:
            row, column = divmod(int(peaks[index]), columns)
            return f"attention peak at ({row},{column}) holds {100 * masses[index]:.0f} % of the mass"

        return sentence


def _head_name(column: int, shape: Sequence[int]) -> str:
    """`layer 1 head 4` of a column of the measures."""
    layers, heads = int(shape[0]), int(shape[1])
    place = column // len(MEASURES) % (layers * heads)
    return f"layer {place // heads} head {place % heads}"
