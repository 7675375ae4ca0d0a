"""What was found, as the gate counts it: a result a finding, with its rule, its fingerprint and whether it is known."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from srdscan.decide import fingerprints
from srdscan.decide.accusations import Accusation, Elsewhere, accusations
from srdscan.decide.baseline import Accepted, Baseline, State
from srdscan.decide.verdicts import Verdicts, decide
from srdscan.measure.scores import Scores
from srdscan.rules import RULES, Severity, severities

MOST_LOCATIONS = 100
PIECE = "SRD201"
OF_IMAGES = (PIECE, "SRD202")
"""Rules whose findings are pictures: the words that a picture's captions share, and its number, may change."""

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Location:
    """Where a sample stands.

    Attributes:
        shard: name of its unit; empty where all are meant.
        key: the sample's key; empty where the unit as a whole is meant.
        place: where the caption stands.
    """

    shard: str
    key: str = ""
    place: str = ""


@dataclass(frozen=True)
class Result:
    """A finding as the gate counts it.

    Attributes:
        rule: code of its rule.
        severity: of this audit.
        state: "new"; "known" if the baseline accepts it; "expired" if it did so up to a day that is over; "ignored"
            if its rule is.
        fingerprint: what it is, the same wherever it stands; hex sha256.
        message: what was found, in one sentence. It may quote captions.
        samples: samples that it accuses.
        decides: whether it can fail the gate: it accuses samples, a piece of picture such as nothing else does, and is
            neither known nor ignored nor a note.
        term: the word or phrase that it is about, if it is about one.
        locations: some or all of the samples.
        reason: why it was accepted.
        expires: the last day on which it is accepted, as 2027-03-01.
        images: sketch of the images that it is about (`fingerprints.sketch`); empty if it is about none.
    """

    rule: str
    severity: Severity
    state: State
    fingerprint: str
    message: str
    samples: int
    decides: bool
    term: str = ""
    locations: tuple[Location, ...] = ()
    reason: str = ""
    expires: str = ""
    images: tuple[str, ...] = ()


@dataclass(frozen=True)
class Results:
    """All results of an audit's data.

    Attributes:
        results: in the order in which they were found, ignored ones last.
        counted: samples that count for the gate: flagged, and accused by a result that decides.
        rules: codes that accuse a flagged pair, by row.
        resolved: accepted findings that are not there any more.
        counting: rows of the pairs that count: what decides accuses them.
    """

    results: tuple[Result, ...] = ()
    counted: int = 0
    rules: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    resolved: tuple[Accepted, ...] = ()
    counting: frozenset[int] = frozenset()


def find_results(
    verdicts: Verdicts,
    scores: Scores,
    units: Sequence[str],
    fdr: float,
    elsewhere: Elsewhere,
    ignored: Collection[str] = (),
    levels: Mapping[str, Severity] | None = None,
    baseline: Baseline | None = None,
) -> Results:
    """The results of an audit, and how many samples of the gate they are.

    Args:
        verdicts: the decision, in which what `ignored` names was not heard.
        scores: of all pairs.
        units: names of the units that have scores, in the order of `scores.files`.
        fdr: false-discovery rate, to say what would have been flagged if everything had been heard.
        elsewhere: what no signal holds.
        ignored: codes of rules.
        levels: severity of each rule; None takes their own.
        baseline: what was accepted; None accepts nothing.
    """
    baseline, levels = baseline or Baseline(), levels or severities({})
    heard = [a for a in accusations(verdicts, scores, elsewhere, ignored) if a.finding.rule not in ignored]
    unheard: list[Accusation] = []
    if ignored:
        everything = decide({**verdicts.evidence, **verdicts.ignored}, verdicts.sample_of, fdr)
        unheard = [a for a in accusations(everything, scores, elsewhere) if a.finding.rule in ignored]
    look_up = _LookUp(scores, units, [*heard, *unheard])
    results: list[Result] = []
    found: set[tuple[str, str]] = set()
    counting: set[int] = set()
    rules: dict[int, list[str]] = {}
    by_others = [accusation.rows for accusation in heard if accusation.finding.rule != PIECE]
    otherwise = np.concatenate([np.zeros(0, np.int64), *by_others])
    for accusation in heard:
        code = accusation.finding.rule
        for row in accusation.rows.tolist():
            rules.setdefault(row, []).append(code)
        for state, fingerprint, entry, rows in _states(accusation, look_up, baseline, found):
            # a piece of picture accuses on the strength of what else is found: of those it adds nothing but its own
            own = np.setdiff1d(rows, otherwise) if code == PIECE else rows
            decides = state in ("new", "expired") and levels[code] != "note" and len(own) > 0
            if decides:
                counting.update(own.tolist())
            results.append(_result(accusation, rows, state, fingerprint, decides, levels[code], look_up, entry))
    for accusation in unheard:
        fingerprint = look_up.fingerprint(accusation)
        level = levels[accusation.finding.rule]
        results.append(_result(accusation, accusation.rows, "ignored", fingerprint, False, level, look_up, None))
    resolved = tuple(entry for entry in baseline.resolved(found) if entry.code not in ignored)
    codes = {row: tuple(dict.fromkeys(accused)) for row, accused in rules.items()}
    counted = len(np.unique(verdicts.sample_of[sorted(counting)])) if counting else 0
    return Results(tuple(results), counted, codes, resolved, frozenset(counting))


class _LookUp:
    """What the results need of the score files: of the rows alone that some finding is about."""

    def __init__(self, scores: Scores, units: Sequence[str], accused: Iterable[Accusation]) -> None:
        self.sample_of, self.starts, self.units = scores.sample_of, scores.starts, units
        rows = np.unique(
            np.concatenate([np.zeros(0, np.int64), *(part for a in accused for part in (a.rows, a.about))])
        )
        self.columns = {
            name: dict(zip(rows.tolist(), scores.chosen(name, rows), strict=True))
            for name in ("key", "place", "caption", "image_sha256")
        }

    def fingerprint(self, accusation: Accusation, state: State = "new") -> str:
        finding = accusation.finding
        if RULES[finding.rule].by_sample:
            return fingerprints.of_rule(finding.rule, state)
        if finding.rule in OF_IMAGES:
            return fingerprints.of_images(finding.rule, self.hashes(accusation))
        return fingerprints.of_term(finding.rule, finding.term, finding.instead)

    def hashes(self, accusation: Accusation) -> list[str]:
        """Of the images that a finding is about; none of a finding about words."""
        if accusation.finding.rule not in OF_IMAGES:
            return []
        return [self.columns["image_sha256"][row] for row in accusation.about.tolist()]

    def of_sample(self, code: str, row: int) -> str:
        return fingerprints.of_sample(code, self.columns["image_sha256"][row], self.columns["caption"][row])

    def locations(self, rows: Indices) -> tuple[Location, ...]:
        """Of the first samples of some rows."""
        first = rows[np.unique(self.sample_of[rows], return_index=True)[1]][:MOST_LOCATIONS]
        unit = np.searchsorted(self.starts, first, side="right") - 1
        return tuple(
            Location(self.units[number], self.columns["key"][row], self.columns["place"][row])
            for number, row in zip(unit.tolist(), first.tolist(), strict=True)
        )


def _states(
    accusation: Accusation, look_up: _LookUp, baseline: Baseline, found: set[tuple[str, str]]
) -> Iterable[tuple[State, str, Accepted | None, Indices]]:
    """State, fingerprint and acceptance of a finding, with its rows; in parts where it is accepted sample by sample.

    Args:
        found: gets the code and fingerprint of everything that can be accepted.
    """
    code = accusation.finding.rule
    if not RULES[code].by_sample:
        fingerprint = look_up.fingerprint(accusation)
        entry = baseline.entry(code, fingerprint, fingerprints.sketch(look_up.hashes(accusation)))
        if entry is not None:
            fingerprint = entry.fingerprint
        elif (code, fingerprint) in found:  # two pieces of picture in the same images
            fingerprint = fingerprints.of_term(code, fingerprint, accusation.finding.explanation)
        found.add((code, fingerprint))
        yield baseline.state(entry), fingerprint, entry, accusation.rows
        return
    parts: dict[State, list[int]] = {}
    entries: dict[State, Accepted] = {}
    for row in accusation.rows.tolist():
        fingerprint = look_up.of_sample(code, row)
        found.add((code, fingerprint))
        entry = baseline.entry(code, fingerprint)
        state = baseline.state(entry)
        parts.setdefault(state, []).append(row)
        if entry is not None:
            entries[state] = min(entry, entries.get(state, entry), key=lambda e: e.expires)
    for state, rows in sorted(parts.items()):
        yield state, look_up.fingerprint(accusation, state), entries.get(state), np.array(rows, np.int64)


def _result(
    accusation: Accusation,
    rows: Indices,
    state: State,
    fingerprint: str,
    decides: bool,
    severity: Severity,
    look_up: _LookUp,
    entry: Accepted | None,
) -> Result:
    finding = accusation.finding
    named = finding.term if finding.rule not in OF_IMAGES else ""
    quoted = f"'{named}'" if finding.rule != "SRD106" else named
    samples = len(np.unique(look_up.sample_of[rows])) if len(rows) else finding.samples
    message = f"{quoted}: {finding.explanation}" if named else finding.explanation
    if RULES[finding.rule].by_sample and len(rows) < len(accusation.rows):
        message = f"{samples} of these samples: {message}"
    elif entry is not None and 0 < entry.samples < samples:
        message = f"{message}; {samples} samples, {entry.samples} when it was accepted"
    return Result(
        rule=finding.rule,
        severity=severity,
        state=state,
        fingerprint=fingerprint,
        message=message,
        samples=samples,
        decides=decides,
        term=named,
        locations=look_up.locations(rows if len(rows) else accusation.about),
        reason=entry.reason if entry else "",
        expires=entry.expires.isoformat() if entry else "",
        images=fingerprints.sketch(look_up.hashes(accusation)),
    )
