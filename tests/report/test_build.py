"""The gate: which flagged samples count, and what fails whatever the rate."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import numpy as np
import pytest

from srdscan.decide.baseline import Accepted, Baseline
from srdscan.decide.results import Result, Results
from srdscan.decide.verdicts import decide
from srdscan.measure.state import UnitRecord
from srdscan.report.build import Settings, make_report
from srdscan.report.schema import Report
from srdscan.signals.base import Evidence

DAY = datetime.date(2027, 3, 1)
RESULT = Result("SRD101", "error", "new", "ab", "'banana': in captions", 4, True, "banana", expires="2027-02-01")


def reported(results: Results | None, fail_on: str = "any", problem: str | None = None, **changes: Any) -> Report:
    """Of 100 samples, of which 4 are flagged."""
    p_values = np.ones(100)
    p_values[:4] = 1e-12
    verdicts = decide({"drift.caption": Evidence(p_values, p_values)}, np.arange(100), 0.01)
    record = UnitRecord("a.tar", "data/a.tar", "ab", 100, 100, (), problem, {})
    settings = Settings("pair", fail_on, 0.01, 0.01, {})
    return make_report(dataclasses.replace(settings, **changes), [record], verdicts, (), judged=results)


def of(state: str, counted: int, decides: bool) -> Results:
    return Results((dataclasses.replace(RESULT, state=state, decides=decides),), counted)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("results", "fail_on", "verdict"),
    [
        (None, "any", "fail"),
        (of("new", 4, True), "any", "fail"),
        (of("new", 4, True), "rate=0.04", "pass"),
        (of("new", 4, True), "rate=0.03", "fail"),
        (of("known", 0, False), "any", "pass"),
        (of("known", 0, False), "rate=0.0", "pass"),
        (of("expired", 4, True), "rate=0.5", "fail"),
        (of("expired", 0, False), "any", "pass"),
        (of("expired", 4, True), "never", "pass"),
        (of("new", 4, True), "never", "pass"),
    ],
)
def test_what_counts_is_new_or_over_and_what_is_over_fails_at_any_rate(
    results: Results | None, fail_on: str, verdict: str
) -> None:
    report = reported(results, fail_on)
    assert (report.verdict, report.exit_code) == (verdict, 0 if verdict == "pass" else 1)
    assert report.counts.flagged == 4, "what does not count stays flagged"


def test_no_baseline_lets_a_truncated_scan_pass() -> None:
    report = reported(of("known", 0, False), problem="shard a.tar: cut short. Re-download it.")
    assert (report.verdict, report.exit_code) == ("incomplete", 3)
    assert [result.rule for result in report.results] == ["SRD101", "SRD903"]


def test_the_banner_says_why_flagged_samples_do_not_count() -> None:
    entry = Accepted("SRD104", "cd", "gone", DAY, "lumora")
    baseline = ("b.yaml", Baseline((entry,), DAY))
    known = reported(dataclasses.replace(of("known", 0, False), resolved=(entry,)), baseline=baseline)
    assert known.headline == "4 of 100 samples look poisoned: all known, by the baseline."
    assert known.baseline is not None
    assert dataclasses.astuple(known.baseline) == ("b.yaml", "2027-03-01", 0, 1, 0, (("SRD104", "lumora"),))
    notes = reported(of("new", 0, False))
    assert notes.headline == "4 of 100 samples look poisoned: all by notes, which fail no gate."
    some = Results((*of("known", 1, False).results, RESULT), 1)
    assert reported(some, baseline=baseline).headline.endswith(": 1 of them by what the baseline does not accept.")
    over = reported(of("expired", 4, True), baseline=baseline)
    assert over.headline.startswith("4 of 100 samples look poisoned; 1 acceptance expired (SRD101 on 2027-02-01)")
    assert reported(None).headline == "4 of 100 samples look poisoned."


def test_a_unit_is_named_as_the_reader_finds_it(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    places = {
        "data/a.tar": "data/a.tar",
        str(tmp_path / "data" / "a.tar"): "data/a.tar",
        "/elsewhere/a.tar": "a.tar",
        "https://me:secret@example.org/a.tar?sig=secret": "https://example.org/a.tar",
    }
    verdicts = decide({}, np.zeros(0, np.int64), 0.01)
    settings = Settings("pair", "any", 0.01, 0.01, {})
    records = [UnitRecord("a.tar", place, "", 0, 0, (), None, {}) for place in places]
    assert [shard.uri for shard in make_report(settings, records, verdicts, ()).shards] == list(places.values())
