"""RUN/junit.xml: a test case a rule, for the dashboards of tests that every CI has."""

from __future__ import annotations

from collections import defaultdict
from typing import Final
from xml.etree import ElementTree

from srdscan.decide.results import Result
from srdscan.report.schema import Report
from srdscan.report.told import one_line, told
from srdscan.rules import RULES, Rule

MOST_SHOWN: Final = 50
"""Findings of a rule, and samples of a finding, that are written out."""


def to_junit(report: Report) -> str:
    """The report as JUnit XML.

    A rule fails if something that it found fails the gate; what does not is in its output. A rule about the audit is
    an error, an ignored one is skipped.
    """
    found: dict[str, list[Result]] = defaultdict(list)
    for result in report.results:
        found[result.rule].append(result)
    cases = [_case(report, rule, found[code]) for code, rule in RULES.items()]
    counts = {
        "tests": len(cases),
        "failures": sum(case.find("failure") is not None for case in cases),
        "errors": sum(case.find("error") is not None for case in cases),
        "skipped": sum(case.find("skipped") is not None for case in cases),
    }
    numbers = {name: str(number) for name, number in counts.items()}
    suites = ElementTree.Element("testsuites", {"name": "srdscan", **numbers, "time": "0"})
    suite = ElementTree.SubElement(
        suites, "testsuite", {"name": f"srdscan audit ({report.mode})", **numbers, "time": "0"}
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in (("verdict", report.verdict), ("headline", report.headline)):
        ElementTree.SubElement(properties, "property", {"name": name, "value": one_line(value)})
    suite.extend(cases)
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"


def _case(report: Report, rule: Rule, results: list[Result]) -> ElementTree.Element:
    case = ElementTree.Element("testcase", {"classname": "srdscan", "name": f"{rule.code} {rule.name}", "time": "0"})
    failing = [result for result in results if result.decides] if report.verdict != "pass" else []
    if rule.code in report.gate.ignored:
        ElementTree.SubElement(case, "skipped", {"message": "ignored by the configuration"})
    elif failing:
        attributes = {"message": told(failing[0]), "type": rule.code}
        element = ElementTree.SubElement(case, "error" if rule.of_audit else "failure", attributes)
        element.text = "\n".join(line for result in failing[:MOST_SHOWN] for line in _lines(result))
    rest = [result for result in results if result not in failing]
    if rest:
        element = ElementTree.SubElement(case, "system-out")
        element.text = "\n".join(line for result in rest[:MOST_SHOWN] for line in _lines(result))
    return case


def _lines(result: Result) -> list[str]:
    """A result, then its samples a line each."""
    places = [
        "  " + " ".join(one_line(part, 200) for part in (place.shard, place.key, place.place) if part)
        for place in result.locations[:MOST_SHOWN]
    ]
    left = result.samples - len(places)
    return [told(result), *places, *([f"  and {left:,} more samples"] if places and left > 0 else [])]
