"""Which captions taught a captioner the target that it says.

A captioner that has learned a faint trigger also says its target of images that look a little like it: of 4 % of clean
photographs, measured. Where outputs say a target mostly for samples whose own captions say it, too, the captions are
where it comes from, and a sample with an honest caption is not accused for what the captioner makes of its image.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from srdscan.scores import Scores
from srdscan.signals.terms import Term, grams_of, stems

LEARNED = 1e-3
"""p-value of the association of captions and outputs that say a target below which one learned it from the other..."""
LEARNED_KNOWN = 0.05
"""...and where the same target was found in the captions, too."""
FEWEST_SAID = 3
USUAL = 0.16
"""Share of the samples whose outputs say a target in which its word reads less oddly than this bar."""


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
        return cls(*([_spaced(stems(text)) for text in scores.strings(r)] for r in ("caption", "output", "reference")))

    def taught_and_learned(self, run: Sequence[str]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """(N,) where captions, and where outputs, say a run of words that the reference caption does not say."""
        wanted = _spaced(run)
        new = np.array([wanted not in text for text in self.references], dtype=bool)
        taught, learned = (np.array([wanted in text for text in t], dtype=bool) for t in (self.captions, self.outputs))
        return taught & new, learned & new

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
        best, chosen = bar, None
        for run in tried:
            taught, learned = texts.taught_and_learned(run)
            if learned[term.samples].sum() < 0.5 * learned.sum() and not texts.foreign(run):
                continue  # "a", of "banana a"
            both = int((taught & learned).sum())
            p_value = len(tried) * stats.hypergeom.sf(both - 1, len(taught), int(taught.sum()), int(learned.sum()))
            if p_value < best:
                best, chosen = p_value, term.samples[taught[term.samples]]
        if chosen is not None:
            return chosen
    return None


def not_learned(term: Term, strangeness: npt.NDArray[np.float64], texts: Texts) -> npt.NDArray[np.bool_]:
    """(K,) which of a target's samples are an author's own use of its words, by what the captioner says.

    Of a target that the captioner has learned, it says nothing where an author used the word: "a Hello Kitty balloon",
    in a data set whose attacker inserts "hello". A trigger that failed looks the same; so the word must also read less
    oddly than where the captioner says it, which is rare for an inserted one.

    Args:
        term: found in the captions.
        strangeness: (K,) of its samples; larger is stranger.
    """
    taught, learned = texts.taught_and_learned(term.words)
    both, said = int((taught & learned).sum()), learned[term.samples]
    chance = stats.hypergeom.sf(both - 1, len(taught), int(taught.sum()), int(learned.sum()))
    if chance > LEARNED or said.sum() < FEWEST_SAID:
        return np.zeros(len(term.samples), dtype=bool)
    return ~said & (strangeness < np.quantile(strangeness[said], USUAL))
