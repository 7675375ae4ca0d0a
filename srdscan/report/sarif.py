"""RUN/results.sarif: SARIF 2.1.0, which GitHub code scanning and most dashboards read.

A result is a finding, never a sample: GitHub keeps 5,000 results of a run and shows 100 locations of each, and a data
set can hold more poisoned samples than that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from srdscan.decide.results import Location, Result
from srdscan.report.schema import Report
from srdscan.report.told import heard, one_line, told, uri_of
from srdscan.rules import RULES, Rule, Severity

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
FINGERPRINT: Final = "srdscanFinding/v1"
MOST_RESULTS: Final = 5000
ROOT: Final = "%SRCROOT%"
SECURITY: Final[Mapping[Severity, str]] = {"error": "8.0", "warning": "5.0", "note": "2.0"}
"""What GitHub calls high, medium and low."""

_LINK: Final = re.compile(r"[\\\[\]]")


def to_sarif(report: Report) -> str:
    """The report as SARIF: ASCII, sorted keys, one newline at the end."""
    results = heard(report)
    numbers = {code: number for number, code in enumerate(RULES)}
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": "srdscan",
                "version": report.versions.get("srdscan", ""),
                "rules": [_rule(rule) for rule in RULES.values()],
            }
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": report.verdict in ("pass", "fail"),
                "exitCode": report.exit_code,
                "exitCodeDescription": report.verdict,
                "ruleConfigurationOverrides": [
                    {"descriptor": {"id": code, "index": numbers[code]}, "configuration": {"enabled": False}}
                    for code in report.gate.ignored
                ],
            }
        ],
        "results": [_result(report, result, numbers[result.rule]) for result in results[:MOST_RESULTS]],
        "properties": {
            "verdict": report.verdict,
            "headline": report.headline,
            "leftOut": max(len(results) - MOST_RESULTS, 0),
        },
    }
    document = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _rule(rule: Rule) -> dict[str, Any]:
    page = rule.page
    return {
        "id": rule.code,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.summary},
        "help": {"text": page, "markdown": page},
        "helpUri": rule.help_uri,
        "defaultConfiguration": {"level": rule.severity},
        "properties": {
            "tags": ["security", "data-poisoning", *rule.tags],
            "precision": "high",
            "security-severity": SECURITY[rule.severity],
        },
    }


def _result(report: Report, result: Result, number: int) -> dict[str, Any]:
    first = Location(report.shards[0].name if report.shards else "data")
    found: dict[str, Any] = {
        "ruleId": result.rule,
        "ruleIndex": number,
        "level": result.severity,
        # in SARIF's plain text, [words](address) is a link
        "message": {"text": _LINK.sub(r"\\\g<0>", told(result))},
        "partialFingerprints": {FINGERPRINT: result.fingerprint},
        "locations": [_location(report, location) for location in result.locations or (first,)],
        "properties": {"samples": result.samples, "state": result.state, "decides": result.decides},
    }
    if report.baseline is not None:
        found["baselineState"] = "new" if result.state == "new" else "unchanged"
    if result.state == "known":
        found["suppressions"] = [{"kind": "external", "justification": one_line(result.reason)}]
    return found


def _location(report: Report, location: Location) -> dict[str, Any]:
    uri = uri_of(report, location.shard)
    found: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": _artifact(uri),
            "region": {"startLine": 1},  # a tar has no lines, and GitHub shows no result without one
        }
    }
    if location.key:
        logical = {"name": one_line(location.key, 200), "kind": "sample"}
        logical["fullyQualifiedName"] = f"{one_line(location.shard, 200)}/{one_line(location.key, 200)}"
        found["logicalLocations"] = [logical]
    return found


def _artifact(uri: str) -> dict[str, str]:
    # what UTF-8 cannot hold is spelled out; a colon in the first part of a path would make it a scheme
    raw = uri.encode("utf-8", "backslashreplace")
    scheme, mark, rest = uri.partition("://")
    if mark and scheme.isalnum():
        return {"uri": f"{scheme}://{quote(rest.encode('utf-8', 'backslashreplace'), safe='/:')}"}
    return {"uri": quote(raw, safe="/"), "uriBaseId": ROOT}
