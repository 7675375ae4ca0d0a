"""RUN/summary.md: the findings in the form that GitHub shows on a run's page ($GITHUB_STEP_SUMMARY)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from srdscan.findings.finding import Finding
from srdscan.report.escape import markdown_escape
from srdscan.report.html import FlaggedSample
from srdscan.report.schema import Report
from srdscan.report.told import heard, title, told
from srdscan.text.hidden import shorten, visible

__all__ = ["to_markdown"]

MOST_BYTES: Final = 200_000
"""GitHub drops a step summary over 1 MiB and a comment over 64 KiB of text; this leaves room for other steps."""
_MOST_ROWS: Final = 20
_BADGES: Final = {"pass": "✅ PASS", "fail": "❌ FAIL", "incomplete": "⚠️ INCOMPLETE", "inconclusive": "⚠️ INCONCLUSIVE"}


def _cell(text: str, length: int = 160) -> str:
    # Cut twice: a hostile caption can be huge, and spelling out what does not show makes it eight times longer.
    return markdown_escape(shorten(visible(text[: length + 1]), length)) or "–"


def _code(text: str) -> str:
    return f"<code>{_cell(text, 100)}</code>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines] + [""]


def _left_out(shown: int, total: int, where: str) -> list[str]:
    return [f"Showing {shown:,} of {total:,}; all are in {where}.", ""] if shown < total else []


def _findings(report: Report, most: int) -> list[str]:
    """Every result, ignored ones too: which rule, what it counts for, and what was found."""
    if not report.results:
        return []
    ignored = [result for result in report.results if result.state == "ignored"]
    results = [*heard(report), *ignored]
    rows = [
        (
            _cell(title(result)),
            result.severity,
            f"**{result.state}**" if result.decides else result.state,
            f"{result.samples:,}",
            _cell(told(result), 400),
        )
        for result in results[:most]
    ]
    head = ("rule", "severity", "", "samples", "what")
    lines = ["### Findings", "", *_table(head, rows), *_left_out(len(rows), len(results), "report.json")]
    if report.gate.ignored:
        lines += [f"Ignored rules: {', '.join(report.gate.ignored)}.", ""]
    return lines


def _baseline(report: Report, most: int) -> list[str]:
    known = report.baseline
    if known is None:
        return []
    counts = (("new", known.new), ("known", known.known), ("expired", known.expired), ("resolved", len(known.resolved)))
    lines = [
        f"Against the baseline {_code(known.file)} on {known.on}: "
        + ", ".join(f"{number:,} {name}" for name, number in counts)
        + ".",
        "",
    ]
    if known.resolved and most:
        gone = ", ".join(f"{code} {_code(about)}" if about else code for code, about in known.resolved[:most])
        lines += [f"Resolved, and can leave the baseline: {gone}.", ""]
    return lines


def _limits(report: Report) -> list[str]:
    """What would have been found, in a sentence and as a table."""
    found = report.detection_limits
    if not found.told:
        return []
    rows = [
        (
            _cell(item.what),
            f"**{item.limit:,}**" if item.limit else "–",
            ", ".join(f"{t.found:,} of {t.samples * t.repetitions:,} at {t.samples:,}" for t in item.trials),
        )
        for item in found.limits
        if item.trials
    ]
    table = _table(("attack", "found from", "planted samples that were found"), rows) if rows else []
    return [_cell(found.told, 1000), "", *table]


def _counts(report: Report) -> list[str]:
    counts = report.counts
    return _table(
        ("audited", "captions and images", "flagged", "flagged share", "not audited", "shards", "damaged shards"),
        [
            (
                f"{counts.audited:,}",
                f"{counts.pairs:,} pairs",
                f"**{counts.flagged:,}**",
                f"{counts.flagged_rate:.2%}",
                f"{counts.unaudited:,}",
                f"{counts.shards:,}",
                f"{counts.damaged_shards:,}",
            )
        ],
    )


def _damaged(report: Report, most: int) -> list[str]:
    damaged = [shard for shard in report.shards if shard.problem is not None]
    if not damaged:
        return []
    rows = [(_code(shard.name), _cell(shard.problem or "")) for shard in damaged[:most]]
    return [
        "### Damaged shards",
        "",
        *_table(("shard", "problem"), rows),
        *_left_out(len(rows), len(damaged), "report.json"),
    ]


def _where(target: Finding) -> str:
    if not target.accuses:
        return "captioner's output, without cause"
    return "captioner's output" if target.where == "output" else "data set's captions"


def _targets(report: Report, most: int) -> list[str]:
    if not report.targets:
        return []
    rows = [
        (
            _code(target.term),
            _where(target),
            f"{target.samples:,}",
            f"{target.reference_samples:,}",
            f"{target.z:.1f}",
        )
        for target in report.targets[:most]
    ]
    head = ("term", "repeated in the", "samples", "in references", "z")
    return ["### Targets found", "", *_table(head, rows), *_left_out(len(rows), len(report.targets), "report.json")]


def _flagged(report: Report, samples: Sequence[FlaggedSample], most: int) -> list[str]:
    if not report.counts.flagged:
        return []
    with_output = any(sample.output is not None for sample in samples)
    rows = [
        (
            _code(sample.shard),
            _code(sample.key),
            _cell(sample.place),
            _cell(sample.caption),
            *([_cell(sample.output or "")] if with_output else []),
            _cell(sample.reference),
            _cell(sample.reasons[0] if sample.reasons else ""),
        )
        for sample in samples[:most]
    ]
    head = ("shard", "key", "where", "caption", *(["output"] if with_output else []), "reference", "why")
    table = _table(head, rows) if rows else []
    return ["### Flagged samples", "", *table, *_left_out(len(rows), report.counts.flagged_pairs, "samples.parquet")]


def _sanitized(report: Report) -> list[str]:
    done = report.sanitized
    if done is None:
        return []
    row = (f"{done.kept:,}", f"{done.changed:,}", f"{done.dropped:,}", *(f"{n:,}" for n in done.fates.values()))
    lines = ["### Sanitized data set", "", *_table(("kept", "changed", "dropped", *done.fates), [row])]
    return lines + [f"- {_cell(problem)}" for problem in done.problems[:5]] + ([""] if done.problems else [])


def _irregular(report: Report, most: int) -> list[str]:
    if not report.irregular:
        return []
    reasons = sorted(report.irregular.items(), key=lambda item: (-item[1], item[0]))
    rows = [(_cell(reason), f"{number:,}") for reason, number in reasons[:most]]
    head = ["### Samples that could not be audited", ""]
    return [*head, *_table(("reason", "samples"), rows), *_left_out(len(rows), len(reasons), "report.json")]


def _hidden(report: Report, most: int) -> list[str]:
    if not report.hidden:
        return []
    rows = [(_code(item.term), f"{item.samples:,}") for item in report.hidden[:most]]
    head = ["### Hidden characters", "", "Left out of the search; they accuse no sample by themselves.", ""]
    return [*head, *_table(("character", "captions"), rows), *_left_out(len(rows), len(report.hidden), "report.json")]


def _spots(report: Report, most: int) -> list[str]:
    if not report.spots:
        return []
    rows = [(_cell(spot.term), f"{spot.samples:,}", _cell(spot.explanation)) for spot in report.spots[:most]]
    head = ["### Pieces of picture that recur", "", "They accuse no sample by themselves.", ""]
    return [*head, *_table(("", "images", "what"), rows), *_left_out(len(rows), len(report.spots), "report.json")]


def _leftovers(report: Report, most: int) -> list[str]:
    if not report.leftovers:
        return []
    rows = [(_code(item.name), _cell(item.reason)) for item in report.leftovers[:most]]
    head = ["### Files that were not taken", ""]
    return [*head, *_table(("file", "why"), rows), *_left_out(len(rows), len(report.leftovers), "report.json")]


def to_markdown(report: Report, samples: Sequence[FlaggedSample]) -> str:
    """The report in GitHub-flavoured Markdown, under `MOST_BYTES` bytes whatever the data set holds.

    Args:
        report: What the audit found.
        samples: Flagged samples, most suspicious first; the first 20 are shown.
    """
    text = ""
    for most in (_MOST_ROWS, _MOST_ROWS // 2, _MOST_ROWS // 4, 0):
        lines = [
            f"## srdscan: {_BADGES[report.verdict]}",
            "",
            f"**{_cell(report.headline, 600)}**",
            "",
            *([_cell(report.misfit, 600), ""] if report.misfit else []),
            *_limits(report),
            *_counts(report),
            *_damaged(report, most),
            *_baseline(report, most),
            *_findings(report, most),
            *_targets(report, most),
            *_flagged(report, samples, most),
            *_spots(report, most),
            *_hidden(report, most),
            *_sanitized(report),
            *_irregular(report, most),
            *_leftovers(report, most),
        ]
        text = "\n".join(lines).rstrip("\n") + "\n"
        if len(text.encode()) <= MOST_BYTES:
            break
    return text
