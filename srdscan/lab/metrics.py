"""Caption quality and attack success."""

from collections.abc import Callable, Sequence

import numpy as np

from srdscan.attacks.targets import says
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


def attack_success_rate(captions: Sequence[str], target: str | Callable[[str], bool]) -> float:
    """Share of captions that carry the target, in [0, 1].

    Args:
        target: a text that is looked for as whole words in order, or `Target.said`, which knows what success is.
    """
    said = target if callable(target) else lambda caption: says(caption, target)
    return float(np.mean([said(caption) for caption in captions]))
