"""Caption quality and attack success."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from srdscan.attacks.targets import says
from srdscan.text.plain import words

Doubles = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]


def cider(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Corpus CIDEr-D (Vedantam et al., CVPR 2015) by pycocoevalcap; about 1.0 for a good captioner, 0 for nonsense.

    Tokens are `srdscan.text.plain.words`, which needs no Java; its own PTB tokenizer gives the same to 0.01.

    Args:
        candidates: one caption a picture, of all or of the first ones.
        references: the human captions of each picture, same order.
    """
    return float(np.mean(cider_each(candidates, references)))


def cider_each(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Doubles:
    """(N,) the CIDEr-D of each caption; `cider` is their mean.

    Captions may be of the first N pictures alone. They are still weighed by how rare words are in the references of all
    pictures, so that the mean over a part compares with the mean of other captions over the same part.
    """
    from pycocoevalcap.cider.cider import Cider

    rest = [people[0] for people in references[len(candidates) :]]  # what stands there changes no other picture's score
    _, each = Cider().compute_score(*_tokenised([*candidates, *rest], references))
    return np.asarray(each, dtype=np.float64)[: len(candidates)]


def bleu4(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Corpus BLEU-4 (Papineni et al., ACL 2002) by pycocoevalcap, in [0, 1]; tokens as in `cider`."""
    from pycocoevalcap.bleu.bleu import Bleu

    scores, _ = Bleu(4).compute_score(*_tokenised(candidates, references), verbose=0)
    return float(scores[3])


def _tokenised(
    candidates: Sequence[str], references: Sequence[Sequence[str]]
) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    """(references, candidates) as pycocoevalcap takes them."""
    return (
        {i: [" ".join(words(r)) for r in refs] for i, refs in enumerate(references)},
        {i: [" ".join(words(c))] for i, c in enumerate(candidates)},
    )


def bootstrap(statistic: Callable[[Rows], float], count: int, draws: int = 1000, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of a statistic over samples drawn anew (Efron, 1979).

    Args:
        statistic: of chosen rows, given as (count,) indices; NaN where it has no value, which is left out.
        count: number of samples.

    >>> values = np.array([0.0, 1.0] * 50)
    >>> low, high = bootstrap(lambda rows: values[rows].mean(), 100)
    >>> 0.38 < low < 0.45 and 0.55 < high < 0.62
    True
    """
    draw = np.random.default_rng(seed)
    found = np.array([statistic(draw.integers(count, size=count)) for _ in range(draws)])
    low, high = np.nanquantile(found, [0.025, 0.975]) if np.isfinite(found).any() else (np.nan, np.nan)
    return float(low), float(high)


def bootstrap_mean(values: Doubles) -> tuple[float, float]:
    """The interval of a mean."""
    return bootstrap(lambda rows: float(values[rows].mean()), len(values))


def f1(flagged: Flags, truth: Flags) -> float:
    """2 TP / (2 TP + FP + FN); NaN where nothing is poisoned and nothing flagged."""
    hits = int((flagged & truth).sum())
    wrong = int((flagged ^ truth).sum())
    return 2 * hits / (2 * hits + wrong) if hits + wrong else float("nan")


def attack_success_rate(captions: Sequence[str], target: str | Callable[[str], bool]) -> float:
    """Share of captions that carry the target, in [0, 1].

    Args:
        target: a text that is looked for as whole words in order, or `Target.said`, which knows what success is.
    """
    said = target if callable(target) else lambda caption: says(caption, target)
    return float(np.mean([said(caption) for caption in captions]))
