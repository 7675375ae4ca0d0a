"""What every form of the report says of a result: one line that is safe to read wherever it lands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from srdscan.decide.results import Result
from srdscan.report.schema import Report
from srdscan.rules import RULES
from srdscan.text.hidden import shorten, visible

LONGEST: Final = 1000
"""Characters of a result's text; report.json has the rest."""


def one_line(text: str, length: int = LONGEST) -> str:
    """Text of a data set in one line, with nothing in it that does not show, and not too long.

    >>> one_line("a cat" + chr(10) + "::set-output name=x::y" + chr(27))
    'a cat␊::set-output name=x::y␛'
    """
    return shorten(visible(text[: length + 1]), length)


def told(result: Result) -> str:
    """What was found, and what was said of it when it was accepted."""
    message = one_line(result.message)
    if result.state == "expired":
        return f"{message} (accepted until {result.expires}, which is over: {one_line(result.reason, 200)})"
    if result.state == "known":
        return f"{message} (accepted until {result.expires}: {one_line(result.reason, 200)})"
    if result.state == "ignored":
        return f"{message} (ignored)"
    return message


def title(result: Result) -> str:
    """The rule's code and name.

    >>> title(Result("SRD101", "error", "new", "ab", "", 1, True))
    'SRD101 repeated-target-in-captions'
    """
    return f"{result.rule} {RULES[result.rule].name}"


def heard(report: Report) -> Sequence[Result]:
    """All results but those of ignored rules: what decides first, then by severity, in the order of the report."""
    order = {"error": 0, "warning": 1, "note": 2}
    results = [result for result in report.results if result.state != "ignored"]
    return sorted(results, key=lambda result: (not result.decides, order[result.severity]))


def uri_of(report: Report, shard: str) -> str:
    """Where a unit lies, as the report knows it; its name if it does not."""
    return next((summary.uri for summary in report.shards if summary.name == shard and summary.uri), shard)
