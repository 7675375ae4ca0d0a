"""Filters of captions: similarity to a trusted caption, and ONION alone."""

from typing import ClassVar

import numpy as np

from srdscan.lab.peers.base import Judgement, Seen, register_peer
from srdscan.lab.peers.rules import far_out

FILTERED = 0.1


@register_peer
class CaptionSimilarity:
    """What data teams do: captions least like a trusted one go, a tenth of the data set whatever is in it."""

    name: ClassVar[str] = "similarity"
    source: ClassVar[str] = "CLIP-score filters as in DataComp, Gadre et al., arXiv 2304.14108"

    def judge(self, seen: Seen) -> Judgement:
        """By the distance of the data set's caption from the reference."""
        scores = 1 - (seen.caption_embeddings * seen.reference_embeddings).sum(axis=1)
        return Judgement(scores, scores > np.quantile(scores, 1 - FILTERED))


@register_peer
class Onion:
    """The word without which a caption would read much better, by a language model's perplexity."""

    name: ClassVar[str] = "onion"
    source: ClassVar[str] = "ONION, Qi et al., EMNLP 2021, arXiv 2011.10369"

    def judge(self, seen: Seen) -> Judgement:
        """By the largest fall of perplexity."""
        return Judgement(seen.onion, far_out(seen.onion))
