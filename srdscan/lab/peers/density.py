"""Detect-CLIP's outlier factors (ICLR 2025), over image features and caption embeddings together."""

from typing import ClassVar

import numpy as np

from srdscan.lab.peers.base import Doubles, Judgement, Seen, register_peer
from srdscan.lab.peers.rules import far_out
from srdscan.stats.neighbours import dao, slof

K = 16


def joint(seen: Seen) -> Doubles:
    """(N, F + E) unit image features beside unit caption embeddings, each centred."""
    parts = []
    for part in (seen.image_features, seen.caption_embeddings):
        unit = part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12)
        centred = unit - unit.mean(axis=0)
        parts.append(centred / max(float(np.linalg.norm(centred, axis=1).mean()), 1e-12))
    return np.concatenate(parts, axis=1)


@register_peer
class Slof:
    """Simplified local outlier factor; the paper publishes no threshold, so three robust deviations are taken."""

    name: ClassVar[str] = "slof"
    source: ClassVar[str] = "Detect-CLIP, Huang et al., ICLR 2025"

    def judge(self, seen: Seen) -> Judgement:
        """By how much sparser a sample lies than its neighbours."""
        scores = slof(joint(seen), min(K, len(seen) - 1))
        return Judgement(scores, far_out(scores))


@register_peer
class Dao:
    """Dimensionality-aware outlier factor; flagged as `slof` does, on its logarithm."""

    name: ClassVar[str] = "dao"
    source: ClassVar[str] = "Detect-CLIP, Huang et al., ICLR 2025"

    def judge(self, seen: Seen) -> Judgement:
        """By how much sparser a sample lies than its neighbours, given how many dimensions there are."""
        scores = np.log(dao(joint(seen), min(K, len(seen) - 1)))
        return Judgement(scores, far_out(scores))
