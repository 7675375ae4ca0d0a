"""A quick look: fast because it asks no captioner, and honest about what that leaves unseen."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from srdscan.audit import Outcome, audit
from srdscan.config import AuditConfig
from srdscan.errors import ConfigError

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    out = tmp_path_factory.mktemp("quick")
    return audit(AuditConfig(shards=(str(EXAMPLES / "shards"),), quick=True, out=out))


def test_it_finds_captions_that_go_with_nothing_and_fails(poisoned: Outcome) -> None:
    report = poisoned.report
    assert (report.mode, report.verdict, report.exit_code) == ("quick", "fail", 1)
    planted = {p["key"] for p in json.loads((EXAMPLES / "truth.json").read_text())["poisoned"]}
    table = pq.read_table(poisoned.html.parent / "samples.parquet").to_pylist()
    flagged = {row["key"] for row in table if row["flagged"]}
    assert len(flagged & planted) >= 0.9 * len(planted)
    assert len(flagged - planted) <= 0.05 * len(flagged)
    assert {row["reference"] for row in table} == {""}


def test_what_it_did_not_ask_abstains_and_the_report_says_so(poisoned: Outcome) -> None:
    report = poisoned.report
    asked = {signal.name for signal in report.signals if "--quick" not in signal.note}
    assert asked == {"agreement", "undelivered", "repeats", "foreign", "spots"}
    assert all(signal.abstained for signal in report.signals if signal.name not in asked)
    assert [result.rule for result in report.results if result.rule.startswith("SRD9")] == ["SRD909"]
    assert "language-model" not in {model.role for model in report.models}
    assert report.fit == ()
    for name in ("report.html", "summary.md"):
        assert "A quick look asks no captioner" in (poisoned.html.parent / name).read_text(encoding="utf-8")


def test_finding_nothing_is_no_pass(tmp_path: Path) -> None:
    outcome = audit(AuditConfig(shards=(str(EXAMPLES / "clean"),), quick=True, out=tmp_path, limit=60))
    assert (outcome.report.verdict, outcome.report.exit_code) == ("inconclusive", 3)
    assert "by a quick look, which asks no captioner" in outcome.report.headline


@pytest.mark.parametrize(
    "options", [{"captioner": "captioner"}, {"canary": True}, {"sanitize": Path("clean")}, {"reference": "mine"}]
)
def test_it_goes_with_nothing_that_needs_a_captioner(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"quick and {next(iter(options))}: .*leave one of them out"):
        AuditConfig(shards=("x.tar",), quick=True, **options)  # type: ignore[arg-type]
