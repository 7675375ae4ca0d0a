"""The report in the forms of other tools: valid by their own schemas, and inert whatever a data set says."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import jsonschema
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reports import COUNTS, HOSTILE, a_table, hostile, report, result
from typer.testing import CliRunner

from srdscan.config.audit import REPORTS
from srdscan.decide.results import Location
from srdscan.report import schema
from srdscan.report.formats import FORMS, LISTS, write_reports
from srdscan.report.github import fenced, publish, to_annotations
from srdscan.report.gitlab import to_code_quality
from srdscan.report.junit import to_junit
from srdscan.report.markdown import to_markdown
from srdscan.report.sarif import MOST_RESULTS, to_sarif
from srdscan.report.unaudited import audit_results
from srdscan.rules import RULES

# of the sdist of sarif-om 1.0.4 (PyPI, Microsoft, MIT), which took it from oasis-tcs/sarif-spec
OFFICIAL = json.loads(Path(__file__).with_name("sarif-2.1.0-rtm.4.json").read_text(encoding="utf-8"))


def validated(text: str) -> Any:
    assert text.isascii() and text.endswith("}\n")
    document = json.loads(text)
    jsonschema.Draft4Validator(OFFICIAL, format_checker=jsonschema.FormatChecker()).validate(document)
    return document["runs"][0]


def test_the_forms_are_those_that_the_option_takes(tmp_path: Path) -> None:
    assert (*FORMS, *LISTS) == REPORTS
    samples, out = a_table(tmp_path / "samples.parquet"), tmp_path / "out"
    table = pq.read_table(samples)
    pq.write_table(table.append_column("uid", pa.array(["ab" * 16] * len(table))), samples)
    out.mkdir()
    write_reports(out, REPORTS, report(result()), samples)
    names = {path.name for path in out.iterdir()}
    assert names == {file for file, _ in (*FORMS.values(), *LISTS.values())}
    before = {name: (out / name).read_bytes() for name in names}
    write_reports(out, REPORTS, report(result()), samples)
    assert {name: (out / name).read_bytes() for name in names} == before
    write_reports(out, ["junit"], report(result()), samples)
    assert [path.name for path in out.iterdir()] == ["junit.xml"], "nothing of an earlier run is left"


def test_sarif_holds_a_result_a_finding() -> None:
    known = result(rule="SRD203", severity="warning", state="known", decides=False, reason="r", expires="2027-03-01")
    ignored = result(rule="SRD104", state="ignored", decides=False)
    baseline = schema.Known("b.yaml", "2026-11-28", 1, 1, 0)
    run = validated(to_sarif(report(known, result(), ignored, baseline=baseline)))
    assert [(r["ruleId"], r["level"], r["baselineState"]) for r in run["results"]] == [
        ("SRD101", "error", "new"),
        ("SRD203", "warning", "unchanged"),
    ]
    first, second = run["results"]
    assert first["partialFingerprints"] == {"srdscanFinding/v1": "ab" * 32}
    assert "suppressions" not in first
    assert second["suppressions"] == [{"kind": "external", "justification": "r"}]
    assert len(first["locations"]) == 14
    place = first["locations"][3]
    assert place["physicalLocation"]["artifactLocation"] == {"uri": "data/a-000000.tar", "uriBaseId": "%SRCROOT%"}
    assert place["logicalLocations"][0]["fullyQualifiedName"] == "a-000000.tar/0003"
    assert run["invocations"][0]["exitCode"] == 1
    override = run["invocations"][0]["ruleConfigurationOverrides"][0]
    assert override["descriptor"]["id"] == "SRD104" and override["configuration"] == {"enabled": False}
    assert run["tool"]["driver"]["rules"][override["descriptor"]["index"]]["id"] == "SRD104"


def test_sarif_carries_the_whole_text_of_every_rule() -> None:
    rules = validated(to_sarif(report()))["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(RULES)
    for rule in rules:
        assert rule["help"]["markdown"] == RULES[rule["id"]].page
        assert rule["helpUri"].startswith("https://")
        assert {"AML.T0020", "LLM04:2025"} <= set(rule["properties"]["tags"])
        assert len(rule["properties"]["tags"]) <= 10


def test_sarif_stays_within_what_github_takes() -> None:
    place = Location("a-000000.tar", "k")
    many = [result(fingerprint=f"{n:064x}", locations=(place,), decides=n == 25_999) for n in range(26_000)]
    run = validated_counts(to_sarif(report(*many)))
    assert len(run["results"]) == MOST_RESULTS == 5000
    assert run["properties"]["leftOut"] == 21_000
    assert run["results"][0]["partialFingerprints"]["srdscanFinding/v1"] == f"{25_999:064x}", "what fails comes first"


def validated_counts(text: str) -> Any:
    """Without the schema, which takes minutes for thousands of results."""
    return json.loads(text)["runs"][0]


def test_an_address_is_kept_and_a_path_is_escaped() -> None:
    for uri, expected in (
        ("s3://bucket/a b/x.tar", {"uri": "s3://bucket/a%20b/x.tar"}),
        ("a:b/ü [1].tar", {"uri": "a%3Ab/%C3%BC%20%5B1%5D.tar", "uriBaseId": "%SRCROOT%"}),
    ):
        shards = (schema.ShardSummary("a-000000.tar", "", 1, 0, 0, None, uri),)
        run = validated(to_sarif(report(result(), shards=shards)))
        assert run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"] == expected


def test_junit_has_a_test_case_a_rule() -> None:
    results = [
        result(),
        result(rule="SRD203", severity="warning", state="known", decides=False, reason="r", expires="2027-03-01"),
        result(rule="SRD104", state="ignored", decides=False),
        result(rule="SRD903", message="1 of 2 shards could not be read", samples=0, locations=()),
    ]
    suites = ElementTree.fromstring(to_junit(report(*results, verdict="incomplete")))
    cases = {case.attrib["name"].split()[0]: case for case in suites.iter("testcase")}
    assert list(cases) == list(RULES)
    assert cases["SRD101"].find("failure").attrib["message"].startswith("'banana'")  # type: ignore[union-attr]
    assert "a-000000.tar 0003 0003.txt" in (cases["SRD101"].findtext("failure") or "")
    assert "accepted until 2027-03-01: r" in (cases["SRD203"].findtext("system-out") or "")
    assert cases["SRD104"].find("skipped") is not None
    assert cases["SRD903"].find("error") is not None
    assert len(list(cases["SRD102"])) == 0
    suite = suites.find("testsuite")
    assert suite is not None
    numbers = {name: suite.attrib[name] for name in ("tests", "failures", "errors", "skipped")}
    assert numbers == {"tests": str(len(RULES)), "failures": "1", "errors": "1", "skipped": "1"}


def test_junit_fails_no_case_where_the_gate_passes() -> None:
    suites = ElementTree.fromstring(to_junit(report(result(), verdict="pass", exit_code=0)))
    assert suites.attrib["failures"] == "0"
    assert any("banana" in (case.findtext("system-out") or "") for case in suites.iter("testcase"))


def test_github_gets_an_annotation_a_finding() -> None:
    known = result(rule="SRD203", severity="warning", state="known", decides=False, reason="r", expires="2027-03-01")
    note = result(rule="SRD106", severity="note", decides=False, message="100% hidden")
    expired = result(rule="SRD201", severity="warning", state="expired", reason="logo", expires="2026-03-01")
    assert to_annotations(report(known, result(), note, expired)).splitlines() == [
        "::error title=SRD101 repeated-target-in-captions::'banana': in captions of 14 of 256 samples",
        "::warning title=SRD201 recurring-piece-of-picture::'banana': in captions of 14 of 256 samples "
        "(accepted until 2026-03-01, which is over: logo)",
        "::notice title=SRD203 captions-of-other-images::'banana': in captions of 14 of 256 samples "
        "(accepted until 2027-03-01: r)",
        "::notice title=SRD106 hidden-characters::100%25 hidden",
    ]
    assert len(to_annotations(report(*[result()] * 50)).splitlines()) == 10


def test_github_gets_nothing_elsewhere_and_the_summary_is_appended(tmp_path: Path) -> None:
    summary, step = tmp_path / "summary.md", tmp_path / "step.md"
    summary.write_text("## srdscan\n", encoding="utf-8")
    step.write_text("before\n", encoding="utf-8")
    printed: list[str] = []
    publish(report(result()), summary, {}, printed.append)
    assert printed == []
    publish(report(result()), summary, {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(step)}, printed.append)
    assert printed[0].startswith("::error title=SRD101")
    assert step.read_text(encoding="utf-8") == "before\n## srdscan\n\n"


def test_what_an_audit_prints_is_fenced_off_in_github(monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[str] = []
    with fenced(printed.append):
        printed.append("::set-output name=x::y\n")
    assert printed == ["::set-output name=x::y\n"]
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    printed.clear()
    with fenced(printed.append):
        printed.append("::set-output name=x::y\n")
    token = re.fullmatch(r"::stop-commands::([0-9a-f]{32})\n", printed[0])
    assert token and printed[1:] == ["::set-output name=x::y\n", f"::{token[1]}::\n"]


def test_gitlab_gets_an_issue_a_finding() -> None:
    known = result(rule="SRD203", severity="warning", state="known", decides=False, reason="r", expires="2027-03-01")
    ignored = result(rule="SRD104", state="ignored", decides=False)
    issues = json.loads(to_code_quality(report(result(), known, ignored)))
    assert [(i["check_name"], i["severity"]) for i in issues] == [("SRD101", "critical"), ("SRD203", "info")]
    assert issues[0]["location"] == {"path": "data/a-000000.tar", "lines": {"begin": 1}}
    assert issues[0]["fingerprint"] == "ab" * 32


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_inert_in_sarif(text: str) -> None:
    document = to_sarif(hostile(text))
    assert len(document) < 400_000
    run = validated(document)
    assert len(run["results"]) == 6
    for found in run["results"]:
        told = found["message"]["text"]
        assert told.isprintable() and len(told) < 2_500
        assert not re.search(r"(?<!\\)(?:\\\\)*\[[^\]]*\]\(", told), "no link"
        for place in found["locations"]:
            uri = place["physicalLocation"]["artifactLocation"]["uri"]
            assert re.fullmatch(r"[A-Za-z0-9._~/:%-]+", uri) and unquote(uri)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_inert_in_junit(text: str) -> None:
    document = to_junit(hostile(text))
    assert "<!DOCTYPE" not in document and len(document) < 100_000
    suites = ElementTree.fromstring(document.encode("utf-8"))
    assert len(list(suites.iter("testcase"))) == len(RULES), "no test case more"
    assert {element.tag for element in suites.iter()} <= {
        "testsuites", "testsuite", "properties", "property", "testcase", "failure", "error", "skipped", "system-out"
    }  # fmt: skip
    lines = "".join(element.text or "" for element in suites.iter()).split("\n")
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_inert_in_github(text: str) -> None:
    printed = to_annotations(hostile(text))
    lines = printed.split("\n")
    assert lines.pop() == "" and len(lines) == 6
    for line in lines:
        head = re.match(r"::(error|warning|notice) title=SRD\d{3} [a-z-]+::", line)
        assert head and line.isprintable() and len(line) < 4_000
        assert "##[" not in line and not re.search(r"%(?!25|0D|0A)", line[head.end() :])
    assert "%0A" not in printed and "%0D" not in printed


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_inert_in_gitlab(text: str) -> None:
    document = to_code_quality(hostile(text))
    assert document.isascii()
    for issue in json.loads(document):
        assert issue["description"].isprintable() and issue["location"]["path"].isprintable()
        assert len(issue["description"]) < 2_000


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_inert_in_the_summary(text: str) -> None:
    document = to_markdown(hostile(text), [])
    assert len(document.encode()) < 200_000
    assert all(line.isprintable() and not line.startswith("::") for line in document.split("\n"))
    assert not re.search(r"(?<!\\)<(?!/?code>)", document)


def test_the_summary_and_the_banner_say_what_is_known_and_what_has_expired() -> None:
    expired = result(rule="SRD201", severity="warning", state="expired", reason="logo", expires="2026-03-01")
    known = schema.Known("b.yaml", "2026-11-28", 1, 2, 1, (("SRD104", "lumora"),))
    made = report(result(), expired, baseline=known)
    assert "1 acceptance expired (SRD201 on 2026-03-01): look again" in made.headline
    summary = to_markdown(made, [])
    assert "1 new, 2 known, 1 expired, 1 resolved" in summary
    assert "SRD104 <code>lumora</code>" in summary and "Ignored rules: SRD104." in summary
    gate = dataclasses.replace(made.gate, counted=0)
    passed = report(verdict="pass", exit_code=0, gate=gate, baseline=known)
    assert passed.headline == "14 of 256 samples look poisoned: all known, by the baseline."


def test_what_the_audit_could_not_do_has_rules_of_its_own() -> None:
    made = report(
        verdict="incomplete",
        counts=dataclasses.replace(COUNTS, irregular=9, read=265, damaged_shards=1),
        shards=(schema.ShardSummary("a.tar", "", 1, 0, 0, "shard a.tar: damaged header. Re-download it."),),
        irregular={"duplicate_key": 4, "undecodable": 5},
        irregular_samples=(
            schema.Irregular("a.tar", "7", "duplicate_key", "twice"),
            schema.Irregular("a.tar", "8", "undecodable", "no image"),
        ),
        leftovers=(schema.Leftover("b.tar.zst", "compressed with zstd"), schema.Leftover("x.md", "a note", False)),
    )
    found = {item.rule: item for item in audit_results(made, 0.01)}
    assert list(found) == ["SRD901", "SRD903", "SRD904", "SRD905"]
    assert found["SRD901"].message.endswith("4 duplicate_key, 5 undecodable") and found["SRD901"].samples == 9
    assert "damaged header" in found["SRD903"].message and found["SRD903"].locations == (Location("a.tar"),)
    assert found["SRD904"].locations == (Location("b.tar.zst"),)
    assert found["SRD905"].locations == (Location("a.tar", "7"),) and not found["SRD905"].decides
    assert audit_results(report(result()), 0.01) == ()
    assert [item.rule for item in audit_results(report(verdict="inconclusive"), 0.01)] == ["SRD902"]
    nothing = dataclasses.replace(COUNTS, audited=0, flagged=0, read=0)
    assert [item.rule for item in audit_results(report(counts=nothing), 0.01)] == ["SRD907"]


def test_the_option_is_checked_before_anything_is_read() -> None:
    from srdscan.cli.commands import app

    run = CliRunner().invoke(app, ["audit", "nowhere", "--report", "sarf"])
    assert run.exit_code == 2
    assert io.StringIO(run.output).readline()
