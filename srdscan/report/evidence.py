"""Each finding with what the page shows of it: its words or its piece of picture, and the samples under it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from srdscan.decide.results import Result
from srdscan.findings.finding import Finding
from srdscan.report.schema import Report
from srdscan.report.told import heard
from srdscan.rules import RULES, Rule

MOST_FINDINGS: Final = 100
"""Findings that the page shows; report.json has the rest."""


class Shown(Protocol):
    """A sample of the page."""

    @property
    def shard(self) -> str:
        """Name of its unit."""
        ...

    @property
    def key(self) -> str:
        """Its key."""
        ...

    @property
    def rules(self) -> tuple[str, ...]:
        """Codes of what accuses it."""
        ...


@dataclass(frozen=True)
class Evidence:
    """A finding on the page.

    Attributes:
        number: of it on the page, from 0.
        result: what was found.
        rule: its rule.
        members: numbers of the samples on the page that it is about, ascending.
        target: the word or phrase with its counts, if it is about one.
        cuts: JPEG bytes of the piece of picture in some images, if it is about one.
    """

    number: int
    result: Result
    rule: Rule
    members: tuple[int, ...]
    target: Finding | None
    cuts: Sequence[bytes]


def evidence(report: Report, samples: Sequence[Shown], pieces: Sequence[Sequence[bytes]]) -> list[Evidence]:
    """What fails the gate first, then by severity, in the order of the report; ignored findings last."""
    ignored = [result for result in report.results if result.state == "ignored"]
    results = [*heard(report), *ignored][:MOST_FINDINGS]
    return [
        Evidence(
            number,
            result,
            RULES[result.rule],
            _members(result, samples),
            _target(report, result),
            _cuts(report, result, pieces),
        )
        for number, result in enumerate(results)
    ]


def elsewhere(report: Report, found: Sequence[Evidence]) -> tuple[list[Finding], list[int]]:
    """Targets, and numbers of pieces of picture, that stand under no finding."""
    told = [item.target for item in found]
    spots = {_spot(report, item.result) for item in found}
    return [target for target in report.targets if target not in told], sorted(set(range(len(report.spots))) - spots)


def _members(result: Result, samples: Sequence[Shown]) -> tuple[int, ...]:
    """Samples that it is about: by their places, or by the rule's code where not all places are known."""
    places = {(location.shard, location.key) for location in result.locations}
    cut = result.samples > len(places)
    return tuple(
        number
        for number, sample in enumerate(samples)
        if (sample.shard, sample.key) in places or (cut and result.rule in sample.rules)
    )


def _target(report: Report, result: Result) -> Finding | None:
    same = (target for target in report.targets if result.term and target.term == result.term)
    return next((target for target in same if target.rule == result.rule), None)


def _spot(report: Report, result: Result) -> int | None:
    """Number of the piece of picture that it is about."""
    spots = enumerate(report.spots)
    return next(
        (n for n, spot in spots if spot.rule == result.rule and result.message.startswith(spot.explanation)), None
    )


def _cuts(report: Report, result: Result, pieces: Sequence[Sequence[bytes]]) -> Sequence[bytes]:
    spot = _spot(report, result)
    return pieces[spot] if spot is not None and spot < len(pieces) else ()
