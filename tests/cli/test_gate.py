"""A release engineer's day: the gate fails, what was looked at is accepted, what is new fails, what is over fails."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import tarfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest
from imported import MODELS, imported_by
from typer.testing import CliRunner

from srdscan.audit import Outcome, audit
from srdscan.cli.commands import app
from srdscan.config import AuditConfig
from srdscan.diff.runs import compare
from srdscan.report.schema import Report

EXAMPLES = Path(__file__).parents[2] / "examples"
ACCEPT = ["--reason", "a fruit seller's own shards", "--expires", "2026-12-31"]
BEFORE, AFTER = "1796000000", "1800000000"
"""30 November 2026 and 15 January 2027, in seconds."""

INPUTS = (".srdscan.json", "report.json", "samples.parquet")

pytestmark = pytest.mark.slow


def resharded(shards: list[Path], out: Path, count: int) -> Path:
    """The same samples in another order, in other shards, under other keys."""
    samples: list[list[tuple[str, bytes]]] = []
    for shard in shards:
        groups: dict[str, list[tuple[str, bytes]]] = {}
        with tarfile.open(shard) as tar:
            for member in tar:
                key, _, extension = member.name.partition(".")
                groups.setdefault(key, []).append((extension, tar.extractfile(member).read()))  # type: ignore[union-attr]
        samples += groups.values()
    random.Random(3).shuffle(samples)
    out.mkdir()
    for number in range(count):
        with tarfile.open(out / f"renamed-{number}.tar", "w") as tar:
            for place, members in enumerate(samples[number::count]):
                for extension, data in members:
                    info = tarfile.TarInfo(f"x{place:05d}.{extension}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    return out


def states(report: Report) -> list[tuple[str, str, bool]]:
    return [(result.rule, result.state, result.decides) for result in report.results]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[AuditConfig, Outcome, Path]:
    folder = tmp_path_factory.mktemp("gate")
    config = AuditConfig(shards=(str(EXAMPLES / "shards"),), out=folder / "run", report=("all",), limits="off")
    outcome = audit(config)
    baseline = folder / "baseline.yaml"
    done = CliRunner().invoke(app, ["baseline", str(config.out), "--out", str(baseline), *ACCEPT])
    assert done.exit_code == 0, done.output
    shutil.copytree(config.out, folder / "kept", ignore=shutil.ignore_patterns("scores"))
    return config, outcome, baseline


def again(first: tuple[AuditConfig, Outcome, Path], **changes: Any) -> Report:
    """The same audit with other options of the gate: its scores are there."""
    return audit(AuditConfig(shards=first[0].shards, out=first[0].out, limits="off", **changes)).report


def test_the_first_audit_fails_and_says_so_in_every_form(
    first: tuple[AuditConfig, Outcome, Path], tmp_path: Path
) -> None:
    config, outcome, _ = first
    report = outcome.report
    assert (report.verdict, report.gate.counted, report.counts.flagged) == ("fail", 26, 26)
    assert states(report) == [("SRD101", "new", True), ("SRD201", "new", False), ("SRD201", "new", False)]
    table = pq.read_table(config.out / "samples.parquet").to_pydict()
    assert sum("SRD101" in rules for rules in table["rules"]) == 26
    assert all(bool(rules) == flagged for rules, flagged in zip(table["rules"], table["flagged"], strict=True))
    assert json.loads((config.out / "report.json").read_bytes())["results"][0]["term"] == "banana"


def test_the_report_is_drawn_again_without_data_set_or_models(
    first: tuple[AuditConfig, Outcome, Path], tmp_path: Path
) -> None:
    kept = first[0].out.parent / "kept"
    drawn = [path.name for path in kept.iterdir() if path.is_file() and path.name not in INPUTS]
    assert len(drawn) == 12
    shutil.copytree(kept, tmp_path / "copy", ignore=shutil.ignore_patterns(*drawn))
    done = CliRunner().invoke(app, ["report", str(tmp_path / "copy")])
    assert done.exit_code == 0 and "FAIL  26 of 256" in done.output, done.output
    for name in drawn:
        assert (tmp_path / "copy" / name).read_bytes() == (kept / name).read_bytes(), name
    said = CliRunner().invoke(app, ["report", str(kept), "--json", "--out", str(tmp_path / "json")])
    assert said.output.encode() == (kept / "report.json").read_bytes()
    out = tmp_path / "elsewhere"
    assert CliRunner().invoke(app, ["report", str(kept), "--report", "sarif", "--out", str(out)]).exit_code == 0
    assert {path.name for path in out.iterdir()} == {"report.html", "summary.md", "results.sarif"}


def test_what_comes_after_an_audit_needs_no_models(first: tuple[AuditConfig, Outcome, Path], tmp_path: Path) -> None:
    kept = first[0].out.parent / "kept"
    for words in (
        ("report", kept, "--report", "all", "--out", tmp_path / "again"),
        ("diff", kept, kept),
        ("baseline", kept, "--out", tmp_path / "baseline.yaml", *ACCEPT),
    ):
        code, modules = imported_by(*words)
        assert code == 0 and not modules & MODELS, (words[0], modules)


def test_the_statement_names_every_shard_and_the_lists_every_sample(first: tuple[AuditConfig, Outcome, Path]) -> None:
    kept = first[0].out.parent / "kept"
    statement = json.loads((kept / "attestation.json").read_bytes())
    digests = {subject["digest"]["sha256"] for subject in statement["subject"]}
    shards = sorted((EXAMPLES / "shards").glob("*.tar"))
    assert digests == {hashlib.sha256(path.read_bytes()).hexdigest() for path in shards}
    assert statement["predicate"]["failedTests"] == ["SRD101 repeated-target-in-captions"]
    rows = [pq.read_table(kept / f"{name}-list.parquet").num_rows for name in ("keep", "removal")]
    assert rows == [230, 26]


def test_what_was_accepted_is_known_and_passes(first: tuple[AuditConfig, Outcome, Path], monkeypatch: Any) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", BEFORE)
    report = again(first, baseline=first[2], report=("all",))
    assert (report.verdict, report.exit_code, report.gate.counted, report.counts.flagged) == ("pass", 0, 0, 26)
    assert {state for _, state, _ in states(report)} == {"known"}
    assert report.baseline is not None and (report.baseline.known, report.baseline.new) == (3, 0)
    assert report.headline.startswith("26 of 256 samples look poisoned: all known, by the baseline")
    run = json.loads((first[0].out / "results.sarif").read_bytes())["runs"][0]
    assert {result["baselineState"] for result in run["results"]} == {"unchanged"}
    assert pq.read_table(first[0].out / "keep-list.parquet").num_rows == 256, "what is accepted stays"
    assert ElementTree.parse(first[0].out / "junit.xml").getroot().attrib["failures"] == "0"


def test_an_acceptance_that_is_over_fails(first: tuple[AuditConfig, Outcome, Path], monkeypatch: Any) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", AFTER)
    report = again(first, baseline=first[2])
    assert (report.verdict, report.exit_code) == ("fail", 1)
    assert "1 acceptance expired (SRD101 on 2026-12-31" in report.headline
    assert report.expired[0].reason == "a fruit seller's own shards"


def test_what_is_ignored_does_not_decide(first: tuple[AuditConfig, Outcome, Path]) -> None:
    report = again(first, select=("SRD2", "SRD105"))
    assert (report.verdict, report.counts.flagged, report.targets) == ("pass", 0, ())
    ignored = [result for result in report.results if result.state == "ignored"]
    assert ("SRD101", 26) in [(result.rule, result.samples) for result in ignored]
    assert "SRD101" in report.gate.ignored and "SRD201" not in report.gate.ignored
    assert "Ignored rules: SRD101" in (first[0].out / "summary.md").read_text(encoding="utf-8")


def test_the_same_samples_elsewhere_are_known_and_a_new_poisoned_shard_fails_alone(
    first: tuple[AuditConfig, Outcome, Path], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", BEFORE)
    data = resharded(sorted((EXAMPLES / "shards").glob("*.tar")), tmp_path / "data", 3)
    command = ["poison", str(EXAMPLES / "clean"), "--out", str(tmp_path / "new"), "--rate", "0.15"]
    poisoned = CliRunner().invoke(app, [*command, "--trigger", "none", "--target", "insert", "--text", "umbrella"])
    assert poisoned.exit_code == 0, poisoned.output
    (tmp_path / "new" / "clean-000000.tar").rename(data / "delivered-today.tar")
    report = audit(AuditConfig(shards=(str(data),), out=tmp_path / "run", baseline=first[2], limits="off")).report
    known = [result for result in report.results if result.state == "known"]
    assert {result.term for result in known} >= {"banana"}
    assert {result.fingerprint for result in known} <= {result.fingerprint for result in first[1].report.results}
    new = [result for result in report.results if result.decides]
    assert report.verdict == "fail" and [(result.rule, result.term) for result in new] == [("SRD101", "umbrella")]
    assert {location.shard for location in new[0].locations} == {"delivered-today.tar"}
    assert report.gate.counted == new[0].samples < report.counts.flagged
    found = compare(first[0].out.parent / "kept", tmp_path / "run")
    assert (found.same, found.counts["gone"], found.counts["image"]) == (256, 0, 0)
    assert found.counts["added"] == report.counts.audited - 256
    assert [entry.about for entry in found.found if entry.code == "SRD101"] == ["umbrella"]
    assert found.exit_code("new") == 1
