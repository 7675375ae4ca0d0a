"""RUN/attestation.json: an in-toto statement that these bytes were audited, and what came out.

Statement v1 with the predicate `test-result` v0.1
(https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md). It is signed by others:
`cosign attest-blob`, or GitHub's `actions/attest` with `predicate-type` and the predicate.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final, Literal

from srdscan.report.digests import subjects
from srdscan.report.schema import Report, plain
from srdscan.report.told import one_line
from srdscan.rules import RULES

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://in-toto.io/attestation/test-result/v0.1"

Outcome = Literal["PASSED", "WARNED", "FAILED"]


def to_statement(report: Report) -> str:
    """The report as a statement about the units that were read; ASCII, sorted keys.

    A test is a rule. It fails if something that it found fails the gate, and warns if it found anything else, accepted
    findings among it; rules that were not heard are in no list. An audit that is incomplete or inconclusive has failed:
    the rule that says why does.
    """
    document = {
        "_type": STATEMENT,
        "subject": [
            {"name": one_line(unit.name), "digest": {unit.algorithm: unit.digest}} for unit in subjects(report)
        ],
        "predicateType": PREDICATE,
        "predicate": _predicate(report),
    }
    return json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _predicate(report: Report) -> dict[str, Any]:
    outcomes = {code: _outcome(report, code) for code in RULES if code not in report.gate.ignored}
    passed = report.verdict == "pass"
    result: Outcome = "FAILED" if not passed else "WARNED" if "WARNED" in outcomes.values() else "PASSED"
    names = {"passedTests": "PASSED", "warnedTests": "WARNED", "failedTests": "FAILED"}
    lists = {
        name: [f"{code} {RULES[code].name}" for code, outcome in outcomes.items() if outcome == wanted]
        for name, wanted in names.items()
    }
    return {"result": result, "configuration": _configuration(report), **lists}


def _outcome(report: Report, code: str) -> Outcome:
    found = [result for result in report.results if result.rule == code]
    # what decides and was within what the gate allows has not failed
    if report.verdict != "pass" and any(result.decides for result in found):
        return "FAILED"
    return "WARNED" if found else "PASSED"


def _configuration(report: Report) -> list[dict[str, Any]]:
    """What the result depends on: the program, its settings, its models."""
    settings = json.dumps(plain(report.config, "config"), sort_keys=True, allow_nan=False).encode("ascii")
    found: list[dict[str, Any]] = [
        {"name": "srdscan", "uri": f"pkg:pypi/srdscan@{report.versions.get('srdscan', '')}"},
        {"name": "settings", "mediaType": "application/json", "content": base64.b64encode(settings).decode("ascii")},
    ]
    found += [
        {"name": one_line(f"{model.role}: {model.name}"), "digest": {"sha256": model.fingerprint}}
        for model in report.models
    ]
    return found
