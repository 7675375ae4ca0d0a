"""What the audit could not do, as results beside those of the data: the rules SRD901 to SRD909."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from srdscan.decide import fingerprints
from srdscan.decide.results import MOST_LOCATIONS, Location, Result
from srdscan.report.schema import QUICK, Report
from srdscan.rules import RULES

CLASHING = ("duplicate_key", "duplicate_member", "collapsed_keys")
"""Reasons of irregular samples whose keys are not their own."""


def audit_results(report: Report, max_unaudited: float) -> tuple[Result, ...]:
    """A result for each rule about the audit that applies; all of them say what to look at, not whom to blame.

    Args:
        report: complete but for these.
        max_unaudited: share of samples not audited up to which an audit is complete.
    """
    counts, found = report.counts, []
    if counts.unaudited > max_unaudited * counts.read:
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in list(report.irregular.items())[:8])
        message = f"{counts.unaudited:,} of {counts.read:,} samples could not be audited, or not wholly: {reasons}"
        places = [(item.shard, item.key) for item in report.irregular_samples]
        found.append(_result("SRD901", message, counts.unaudited, places))
    if report.mode == "quick":
        found.append(_result("SRD909", QUICK, counts.audited))
    elif report.verdict == "inconclusive" and report.undetectable:
        what = " and ".join(item.what for item in report.undetectable)
        told = report.detection_limits.told
        message = f"{what} in {report.gate.required:,} samples would not have been found. {told}"
        found.append(_result("SRD908", message, counts.audited))
    elif report.verdict == "inconclusive":
        found.append(_result("SRD902", report.misfit or "the models do not fit the data", counts.audited))
    if damaged := [shard for shard in report.shards if shard.problem is not None]:
        message = f"{len(damaged):,} of {counts.shards:,} shards could not be read to the end: {damaged[0].problem}"
        found.append(_result("SRD903", message, 0, [(shard.name, "") for shard in damaged]))
    if unread := [item for item in report.leftovers if item.unread]:
        message = f"{len(unread):,} files among the data were not taken: {unread[0].name}: {unread[0].reason}"
        found.append(_result("SRD904", message, 0, [(item.name, "") for item in unread]))
    if clashing := {reason: number for reason, number in report.irregular.items() if reason in CLASHING}:
        message = "keys are not unique: " + ", ".join(f"{number:,} {reason}" for reason, number in clashing.items())
        places = [(item.shard, item.key) for item in report.irregular_samples if item.reason in CLASHING]
        found.append(_result("SRD905", message, sum(clashing.values()), places))
    if report.sanitized is not None and report.sanitized.problems:
        found.append(_result("SRD906", report.sanitized.problems[0], 0))
    if counts.audited == 0:
        found.append(_result("SRD907", f"none of {counts.read:,} samples could be audited", 0))
    return tuple(found)


def _result(code: str, message: str, samples: int, places: Sequence[tuple[str, str]] = ()) -> Result:
    rule = RULES[code]
    return Result(
        rule=code,
        severity=rule.severity,
        state="new",
        fingerprint=fingerprints.of_rule(code, "new"),
        message=message,
        samples=samples,
        decides=rule.severity == "error",
        locations=tuple(_locations(places)),
    )


def _locations(places: Iterable[tuple[str, str]]) -> Iterable[Location]:
    for shard, key in list(dict.fromkeys(places))[:MOST_LOCATIONS]:
        yield Location(shard, key)
