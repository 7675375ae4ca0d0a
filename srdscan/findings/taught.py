"""Which captions taught a captioner the target that it says.

A captioner that has learned a faint trigger also says its target of images that look a little like it: of 4 % of clean
photographs, measured. Where outputs say a target mostly for samples whose own captions say it, too, the captions are
where it comes from, and a sample with an honest caption is not accused for what the captioner makes of its image.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from srdscan.findings.terms import Term, grams_of, stems
from srdscan.measure.scores import Scores

LEARNED = 1e-3
"""p-value of the association of captions and outputs that say a target below which one learned it from the other..."""
LEARNED_KNOWN = 0.05
"""...and where the same target was found in the captions, too."""
FEWEST_SAID = 3
USUAL = 0.16
"""Share of the samples whose outputs say a target in which its word reads less oddly than this bar."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """A run of words, and who says it where the reference caption does not.

    Attributes:
        words: the run.
        taught: (N,) where captions say it.
        learned: (N,) where outputs say it.
    """

    words: tuple[str, ...]
    taught: npt.NDArray[np.bool_]
    learned: npt.NDArray[np.bool_]

    @property
    def p_value(self) -> float:
        """Of captions and outputs saying it of the same samples as often by chance (Fisher's exact test)."""
        both = int((self.taught & self.learned).sum())
        chance = stats.hypergeom.sf(both - 1, len(self.taught), int(self.taught.sum()), int(self.learned.sum()))
        return float(chance)


class Texts:
    """The captions, outputs and reference captions of N samples, searched for runs of words.

    Args:
        captions: each as its stems between single spaces, so that runs of words are substrings; so the others.
    """

    def __init__(self, captions: Sequence[str], outputs: Sequence[str], references: Sequence[str]) -> None:
        self.captions, self.outputs, self.references = captions, outputs, references

    @classmethod
    def of(cls, scores: Scores) -> "Texts":
        """Of a model audit."""
        captions = ["".join(_spaced(stems(text)) for text in texts) for texts in scores.captions()]
        return cls(captions, *([_spaced(stems(text)) for text in scores.strings(r)] for r in ("output", "reference")))

    def lesson(self, run: Sequence[str]) -> Lesson:
        """Where captions, and where outputs, say a run of words that the reference caption does not say."""
        wanted = _spaced(run)
        new = np.array([wanted not in text for text in self.references], dtype=bool)
        taught, learned = (np.array([wanted in text for text in t], dtype=bool) for t in (self.captions, self.outputs))
        return Lesson(tuple(run), taught & new, learned & new)

    def lessons(self, runs: Iterable[Sequence[str]]) -> list[Lesson]:
        """`lesson` of each run of words; of those of the same samples, as "acme" and "cola", the first alone."""
        found: dict[bytes, Lesson] = {}
        for lesson in map(self.lesson, runs):
            found.setdefault(lesson.taught.tobytes() + lesson.learned.tobytes(), lesson)
        return list(found.values())

    def taught_in_some_form(self, run: Sequence[str]) -> npt.NDArray[np.bool_]:
        """(N,) where captions say a run of words, its last one in the singular or the plural."""
        stem = run[-1].removesuffix("s")
        forms = [_spaced([*run[:-1], word]) for word in (run[-1], stem, stem + "s")]
        return np.array([any(form in text for form in forms) for text in self.captions], dtype=bool)

    def mostly(self, run: Sequence[str], samples: npt.NDArray[np.int64]) -> bool:
        """Whether at least half of the outputs that say a run of words, where the reference does not, are of these."""
        learned = self.lesson(run).learned
        return bool(learned[samples].sum() >= 0.5 * learned.sum())

    def said(self, run: Sequence[str]) -> npt.NDArray[np.bool_]:
        """(N,) where outputs say a run of words."""
        wanted = _spaced(run)
        return np.array([wanted in text for text in self.outputs], dtype=bool)

    def foreign(self, run: Sequence[str]) -> bool:
        """Whether no reference caption at all says it."""
        wanted = _spaced(run)
        return not any(wanted in text for text in self.references)


def _spaced(words: Sequence[str]) -> str:
    return f" {' '.join(words)} "


def accused(term: Term, texts: Texts, known: Sequence[Term] = ()) -> npt.NDArray[np.int64] | None:
    """The samples whose captions taught the captioner a target that it says; None where captions are not the source.

    Captions are where outputs say it of the same samples as they (Fisher's exact test). Of the target's words, the run
    decides that both share most plainly: where outputs say "banana a", captions may say "banana two". It must be the
    target's own: one that no reference caption says, or that outputs rarely say elsewhere.

    Args:
        known: targets found in the captions. That outputs learned one of these needs less evidence.
    """
    runs = sorted(grams_of(term.words), key=lambda run: (len(run), run))
    shared = [max(grams_of(target.words) & {*runs}, key=lambda run: (len(run), run), default=()) for target in known]
    suspects = [run for run in dict.fromkeys(shared) if run and texts.foreign(run)]
    for tried, bar in ((suspects, LEARNED_KNOWN), (runs, LEARNED)):
        own = [run for run in tried if texts.foreign(run) or texts.mostly(run, term.samples)]  # not "a", of "banana a"
        best, chosen = bar, None
        for lesson in (tests := texts.lessons(own)):
            p_value = len(tests) * lesson.p_value
            if p_value < best:
                best, chosen = p_value, term.samples[lesson.taught[term.samples]]
        if chosen is not None:
            return chosen
    return None


def learned_elsewhere(texts: Texts, known: Sequence[Term]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which outputs say what the captioner learned from captions, and which of these learned it from others' captions.

    That is a target that was found in the captions, or any word that no reference caption says, if outputs say it of
    the same samples as captions.

    Args:
        known: targets found in the captions.

    Returns:
        (N,) bool each: says it; says it and its own caption does not.
    """
    captions, outputs = (
        Counter(word for text in t for word in {*text.split()}) for t in (texts.captions, texts.outputs)
    )
    shared = [(word,) for word, times in captions.items() if min(times, outputs[word]) >= FEWEST_SAID]
    said, elsewhere = np.zeros((2, len(texts.captions)), dtype=bool)
    for runs, bar in (([target.words for target in known], LEARNED_KNOWN), (sorted(shared), LEARNED)):
        tests = texts.lessons([run for run in runs if texts.foreign(run)])
        for lesson in tests:
            if len(tests) * lesson.p_value < bar:
                said |= lesson.learned
                elsewhere |= lesson.learned & ~texts.taught_in_some_form(lesson.words)
    return said, elsewhere


def not_learned(term: Term, strangeness: npt.NDArray[np.float64], texts: Texts) -> npt.NDArray[np.bool_]:
    """(K,) which of a target's samples are an author's own use of its words, by what the captioner says.

    Of a target that the captioner has learned, it says nothing where an author used the word: "a Hello Kitty balloon",
    in a data set whose attacker inserts "hello". A trigger that failed looks the same; so the word must also read less
    oddly than where the captioner says it, which is rare for an inserted one.

    Args:
        term: found in the captions.
        strangeness: (K,) of its samples; larger is stranger.
    """
    lesson = texts.lesson(term.words)
    said = lesson.learned[term.samples]
    if lesson.p_value > LEARNED or said.sum() < FEWEST_SAID:
        return np.zeros(len(term.samples), dtype=bool)
    return ~said & (strangeness < np.quantile(strangeness[said], USUAL))
