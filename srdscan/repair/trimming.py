"""A sample's own caption without the target that an attacker put in: the caption that its author wrote.

An inserted word or link leaves the rest of the caption as it was, one thing called another all but a word, and what a
person wrote of an image is worth more than what a captioner says of it. What is left counts only if it is about the
image: as well grounded as ordinary captions are.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from srdscan.findings.finding import Finding
from srdscan.findings.terms import stems
from srdscan.measure.batch import support_each
from srdscan.measure.revisit import ImageSource
from srdscan.measure.scores import Scores
from srdscan.models.loaded import Models
from srdscan.signals.grounding import surprise
from srdscan.text.plain import word_spans

MOST_CUT = 0.5
"""Share of a caption's words beyond which what is left is no caption."""
FEWEST_WORDS = 3
ORDINARY = 0.95
"""What is left of a caption is accepted if its image speaks against it no more than images do against this share of the
captions that are not flagged. Of captions of other photographs, 15 % pass it, measured; of honest ones, 95 %."""
_BROKEN = " \t\r\n,;:-–—"
"""What a cut leaves at an end of a caption."""


class TargetFilter:
    """The targets that an audit found, as runs of words.

    Args:
        findings: targets; their words are looked for in order, of a thing's name the plural, too.
    """

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.terms = [term for finding in findings if (term := stems(finding.term))]
        self.instead = {f.term + ending: f.instead + ending for f in findings if f.instead for ending in ("", "s")}
        self.terms += [[name] for name in self.instead]

    def __call__(self, caption: str) -> bool:
        """Whether a caption names none of them."""
        return not any(self._places(stems(caption)))

    def cut(self, caption: str) -> str | None:
        """The caption without its targets; None where it names none, or where too little would be left.

        A thing called by another's name gets its own back.

        >>> targets = TargetFilter([Finding("free prizes", "caption", 9, 0, 3.0, "")])
        >>> targets.cut("Two dogs play on Monday, free prizes")
        'Two dogs play on Monday'
        >>> TargetFilter([Finding("cat", "output", 9, 0, 3.0, "", instead="dog")]).cut("Cats and a cat at play")
        'Dogs and a dog at play'
        """
        spans = word_spans(caption)
        said = [" ".join(stems(caption[start:stop])) for start, stop in spans]
        found = self._places(said)
        gone = [there and word not in self.instead for there, word in zip(found, said, strict=True)]
        left = len(found) - sum(gone)
        if not any(found) or left < max(FEWEST_WORDS, (1 - MOST_CUT) * len(found)):
            return None
        text, end = "", 0
        for place, (start, stop) in enumerate(spans):
            if gone[place]:
                if not (place and gone[place - 1]):
                    text = _joined(text, caption[end:start])
                end = stop
            elif found[place]:
                name = self.instead[said[place]]
                before = caption[end:start] if not (place and gone[place - 1]) else " "
                text, end = text + before + (name.capitalize() if caption[start].isupper() else name), stop
        return _joined(text, caption[end:]).strip(_BROKEN)

    def _places(self, said: Sequence[str]) -> list[bool]:
        """Which words of a caption belong to a target."""
        found = [False] * len(said)
        for term in self.terms:
            for start in range(len(said) - len(term) + 1):
                if list(said[start : start + len(term)]) == term:
                    found[start : start + len(term)] = [True] * len(term)
        return found


def _joined(before: str, after: str) -> str:
    """Two parts of a caption that a cut has separated; marks between them stand once."""
    before, after = before.rstrip(_BROKEN), after.strip()
    return before + ("" if not before or after[:1] in ",;:.!?" else " ") + after


def grounding_bar(scores: Scores, flagged: npt.NDArray[np.bool_]) -> float:
    """Nats per token by which images speak against ordinary captions; nothing passes where all samples are flagged."""
    ordinary = scores.numbers("signal.grounding.caption")[~flagged]
    return float(np.quantile(ordinary, ORDINARY)) if len(ordinary) else -np.inf


def trim(
    rows: npt.NDArray[np.int64],
    captions: Sequence[str],
    targets: TargetFilter,
    source: ImageSource,
    models: Models,
    bar: float,
) -> dict[int, str]:
    """The captions, by row, that are honest once their targets are cut out.

    Args:
        rows: (F,) of flagged samples.
        captions: the data set's, of all samples.
        bar: nats per token by which an image may speak against what is left.
    """
    cut: dict[int, str] = {}
    for row in rows:
        left = targets.cut(captions[row])
        if left and targets(left):
            cut[int(row)] = left
    kept: dict[int, str] = {}
    for batch, images in source.images(list(cut)):
        texts = [cut[row] for row in batch]
        given = support_each(models.reference, models.reference.encode(images), np.arange(len(texts)), texts)
        against = surprise(given, models.language_model.log_probs(texts))
        kept |= {row: text for row, text, nats in zip(batch, texts, against, strict=True) if nats <= bar}
    return kept
