"""Caption quality and attack success."""

from collections.abc import Sequence

import numpy as np

from srdscan.text import words


def cider(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Corpus CIDEr-D (Vedantam et al., CVPR 2015) by pycocoevalcap; about 1.0 for a good captioner, 0 for nonsense.

    Tokens are `srdscan.text.words`, which needs no Java; pycocoevalcap's own PTB tokenizer gives the same to 0.01.

    Args:
        candidates: one caption a picture.
        references: the human captions of each picture, same order.
    """
    from pycocoevalcap.cider.cider import Cider

    tokenised_references = {i: [" ".join(words(r)) for r in refs] for i, refs in enumerate(references)}
    tokenised_candidates = {i: [" ".join(words(c))] for i, c in enumerate(candidates)}
    score, _ = Cider().compute_score(tokenised_references, tokenised_candidates)
    return float(score)


def attack_success_rate(captions: Sequence[str], target: str) -> float:
    """Share of captions that carry the target, as whole words in order, in [0, 1]."""
    wanted = words(target)
    return float(np.mean([_contains(words(caption), wanted) for caption in captions]))


def _contains(haystack: list[str], needle: list[str]) -> bool:
    return any(haystack[i : i + len(needle)] == needle for i in range(len(haystack) - len(needle) + 1))
