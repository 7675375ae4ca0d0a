"""What is said of the limits of detection, and what the gate makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from srdscan.decide.fit import Fit
from srdscan.decide.verdicts import decide
from srdscan.limits.limit import DetectionLimit, DetectionLimits, Trial, required_of
from srdscan.measure.state import UnitRecord
from srdscan.report.build import Settings, make_report
from srdscan.report.schema import Report
from srdscan.signals.base import Evidence

WORD = ("inserted word", "an inserted word", True)
SENTENCE = ("repeated sentence", "a repeated sentence", True)
SWAPPED = ("swapped captions", "swapped captions", False)


def limits(word: int | None, sentence: int | None) -> DetectionLimits:
    """Of 600 samples; attacks that are found from so many samples on."""

    def of(attack: tuple[str, str, bool], limit: int | None) -> DetectionLimit:
        trials = [Trial(size, 2, 2 * size if limit is not None and size >= limit else 0) for size in (3, 6, 12, 25)]
        return DetectionLimit.of(*attack, trials)

    return DetectionLimits(600, (of(WORD, word), of(SENTENCE, sentence), of(SWAPPED, None)))


def reported(
    found: DetectionLimits | None, heard: bool = True, flagged: int = 0, required: int | None = None
) -> Report:
    """An audit of 600 samples."""
    p_values = np.ones(600)
    p_values[:flagged] = 1e-12
    verdicts = decide({"drift.caption": Evidence(p_values, p_values)}, np.arange(600), 0.01)
    record = UnitRecord("a.tar", "data/a.tar", "ab", 600, 600, (), None, {})
    settings = Settings("pair", "any", 0.01, 0.01, {}, require_detection=required)
    fit = (Fit("caption", 0.1, 0.6, 0.9, heard, True),)
    return make_report(settings, [record], verdicts, (), fit=fit, limits=found)


def test_a_limit_is_the_smallest_size_of_which_nearly_all_were_found() -> None:
    assert DetectionLimit.of(*WORD, [Trial(3, 3, 8), Trial(6, 3, 17), Trial(12, 3, 35)]).limit == 12
    assert DetectionLimit.of(*WORD, [Trial(20, 1, 19)]).limit == 20
    assert DetectionLimit.of(*WORD, [Trial(20, 1, 18)]).limit is None
    assert DetectionLimit.of(*WORD, []).limit is None


def test_the_sentence_says_what_would_have_been_found_what_in_part_and_what_not() -> None:
    partly = DetectionLimit.of(*SWAPPED, [Trial(25, 1, 2)])
    told = DetectionLimits(600, (*limits(3, 3).limits[:2], partly)).told
    assert told == (
        "In these 600 samples, this audit would have found an inserted word and a repeated sentence (from 3 samples "
        "on), swapped captions in part (8% of 25)."
    )
    assert limits(None, 12).told.endswith("it would have missed an inserted word (in 25) and swapped captions (in 25).")
    assert DetectionLimits(60, (), "too few").told == "too few"


@pytest.mark.parametrize(
    ("samples", "required"), [(60, 0), (249, 0), (250, 25), (2500, 25), (2501, 26), (10**6, 10**4)]
)
def test_what_is_required_goes_by_the_size_of_the_data_set(samples: int, required: int) -> None:
    assert required_of(samples, None) == required
    assert required_of(samples, 7) == 7
    assert required_of(samples, 0) == 0


def test_nothing_found_passes_only_where_the_plainest_attacks_would_have_been() -> None:
    assert reported(limits(3, 25)).verdict == "pass"
    missed = reported(limits(3, None))
    assert (missed.verdict, missed.exit_code) == ("inconclusive", 3)
    assert "would not have found a repeated sentence in 25 of them" in missed.headline
    assert [result.rule for result in missed.results] == ["SRD908"]
    assert reported(limits(3, 12), required=6).verdict == "inconclusive"
    assert reported(limits(None, None), required=0).verdict == "pass"


def test_where_the_reference_is_not_heard_the_limits_decide() -> None:
    assert reported(None, heard=False).verdict == "inconclusive"
    assert reported(limits(6, 6), heard=False).verdict == "pass"
    unheard = reported(limits(6, None), heard=False)
    assert unheard.verdict == "inconclusive"
    assert [result.rule for result in unheard.results] == ["SRD908"]


def test_what_is_found_counts_whatever_else_would_have_been() -> None:
    assert reported(limits(None, None), flagged=3).verdict == "fail"
    assert reported(limits(None, None), heard=False, flagged=3).verdict == "fail"
