"""What a captioner says without cause is a finding about the captioner, and is held against no sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from srdscan.findings.finding import Finding, Found
from srdscan.findings.quirks import settle
from srdscan.measure.scores import Scores, write_table
from srdscan.signals.base import Evidence

COUNT = 300
SAID = np.arange(10, 22)


@pytest.fixture
def scores(tmp_path: Path) -> Scores:
    """One image a sample, one caption an image."""
    table = pa.table({"index": np.arange(COUNT), "image_index": np.zeros(COUNT, np.int32)})
    write_table(table, tmp_path / "scores.parquet")
    return Scores((tmp_path / "scores.parquet",), {})


def evidence(attention: np.ndarray, untaught: bool = True) -> dict[str, Evidence]:
    """A phrase that outputs repeat, beside what is odd about where the captioner looked."""
    finding = Finding("hello kitty", "output", len(SAID), 0, 9.0, "repeated")
    p_values = np.full(COUNT, np.nan)
    p_values[SAID] = 1e-9
    search = Found(
        p_values, -p_values, findings=(finding,), rows=(SAID,), untaught=((finding, SAID),) if untaught else ()
    )
    single = np.random.default_rng(0).random(COUNT)
    return {
        "targets.output": search,
        "fluency.output": Evidence(single.copy(), single),
        "fluency.caption": Evidence(single.copy(), single),
        "attention": Evidence(attention, attention),
    }


def test_what_nothing_made_the_captioner_say_accuses_the_captioner_alone(scores: Scores) -> None:
    before = evidence(np.random.default_rng(1).random(COUNT))
    after = settle(before, scores)
    (finding,) = after["targets.output"].findings
    assert not finding.accuses
    assert finding.rule == "SRD107"
    assert not len(after["targets.output"].rows[0])
    assert "12 of 300 images" in finding.explanation
    assert np.isnan(after["targets.output"].p_values[SAID]).all()
    assert np.isnan(after["fluency.output"].p_values[SAID]).all()
    others = np.setdiff1d(np.arange(COUNT), SAID)
    assert np.array_equal(after["fluency.output"].p_values[others], before["fluency.output"].p_values[others])
    for untouched in ("fluency.caption", "attention"):
        assert np.array_equal(after[untouched].p_values, before[untouched].p_values)


def test_images_that_draw_the_captioners_attention_are_accused_for_what_it_says(scores: Scores) -> None:
    attention = np.random.default_rng(1).random(COUNT)
    attention[SAID[2:]] /= 1e4  # two of the images hold no patch: the captioner says it now and then without
    before = evidence(attention)
    after = settle(before, scores)
    assert after["targets.output"].findings[0].accuses
    assert np.array_equal(after["targets.output"].p_values, before["targets.output"].p_values, equal_nan=True)


def test_what_captions_taught_is_held_against_their_samples_whatever_the_attention(scores: Scores) -> None:
    before = evidence(np.random.default_rng(1).random(COUNT), untaught=False)
    assert np.nanmax(settle(before, scores)["targets.output"].p_values[SAID]) == 1e-9


def test_what_is_said_of_most_images_has_no_others_to_be_held_against(scores: Scores) -> None:
    before = evidence(np.random.default_rng(1).random(COUNT))
    finding = before["targets.output"].findings[0]
    before["targets.output"].untaught = ((finding, np.arange(COUNT - 10)),)
    assert settle(before, scores)["targets.output"].findings[0].accuses


def test_a_captioner_that_shows_no_attention_cannot_be_told_from_one_with_quirks(scores: Scores) -> None:
    before = evidence(np.full(COUNT, np.nan))
    assert not settle(before, scores)["targets.output"].findings[0].accuses
