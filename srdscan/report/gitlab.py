"""RUN/gl-code-quality-report.json: what GitLab shows in a merge request (`artifacts: reports: codequality`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from srdscan.report.schema import Report
from srdscan.report.told import heard, one_line, title, told, uri_of
from srdscan.rules import Severity

SEVERITY: Final[Mapping[Severity, str]] = {"error": "critical", "warning": "major", "note": "info"}


def to_code_quality(report: Report) -> str:
    """The report as a list of issues, one a finding, at the first of its samples; ASCII."""
    issues = []
    for result in heard(report):
        shard = result.locations[0].shard if result.locations else report.shards[0].name if report.shards else "data"
        issues.append(
            {
                "type": "issue",
                "check_name": result.rule,
                "categories": ["Security"],
                "description": f"{title(result)}: {told(result)}",
                "fingerprint": result.fingerprint,
                "severity": SEVERITY[result.severity] if result.state != "known" else "info",
                "location": {"path": one_line(uri_of(report, shard)), "lines": {"begin": 1}},
            }
        )
    return json.dumps(issues, indent=1, sort_keys=True) + "\n"
