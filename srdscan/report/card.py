"""What a data set's own papers say of its audit: a paragraph for its card, and Croissant's RAI fields."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from srdscan.report.digests import subjects
from srdscan.report.escape import markdown_escape
from srdscan.report.schema import Report, Verdict
from srdscan.report.told import one_line
from srdscan.rules import RULES

CONFORMS: Final = ("http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0")
MEDIA: Final[Mapping[str, str]] = {
    ".tar": "application/x-tar",
    ".tar.gz": "application/gzip",
    ".tgz": "application/gzip",
    ".parquet": "application/vnd.apache.parquet",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
}
MEANT: Final[Mapping[Verdict, str]] = {
    "pass": "The gate passed",
    "fail": "The gate failed",
    "incomplete": "The audit is incomplete",
    "inconclusive": "The audit is inconclusive",
}
LIMITS: Final = (
    "An audit finds what its signals look for and what is frequent enough to be told from chance; finding nothing is "
    "no proof that there is nothing."
)


def to_card(report: Report) -> str:
    """A section for a dataset card, in Markdown; it quotes nothing of the data set."""
    lines = ["## Poison audit", "", markdown_escape(protocol(report)), "", markdown_escape(limitations(report)), ""]
    codes = dict.fromkeys(result.rule for result in report.results if result.state != "ignored")
    lines += [f"- {code} {RULES[code].name}: {RULES[code].summary}" for code in codes]
    return "\n".join(lines).rstrip("\n") + "\n"


def protocol(report: Report) -> str:
    """What was done, and what came out, in plain sentences."""
    counts, gate = report.counts, report.gate
    mode = {
        "pair": "its captions were held against what a trusted captioner and a matcher see in the images",
        "model": "its captions, and what a captioner says of the images, were held against a trusted captioner",
        "canary": "its captions, and what a captioner says that was fine-tuned on it, were held against a trusted one",
        "quick": "its captions and images were compared with one another alone, in a quick look",
    }[report.mode]
    said = (
        f"The data set was audited for backdoor poison with srdscan {report.versions.get('srdscan', '')}: {mode}. "
        f"{counts.audited:,} of {counts.read:,} samples ({counts.pairs:,} pairs of image and caption) were audited at "
        f"a false-discovery rate of {gate.fdr:g}; {counts.flagged:,} samples were flagged. "
        f"{MEANT[report.verdict]} (fail on: {gate.fail_on}): {report.headline}"
    )
    if report.sanitized is not None:
        done = report.sanitized
        said += f" Of the samples, {done.kept:,} were kept, {done.changed:,} changed and {done.dropped:,} taken out."
    if report.baseline is not None and report.baseline.known:
        said += f" {report.baseline.known:,} findings had been looked at and accepted, with a reason."
    return said


def limitations(report: Report) -> str:
    """What the audit cannot say."""
    said = " ".join(filter(None, (LIMITS, report.detection_limits.told)))
    if abstained := [signal.name for signal in report.signals if signal.abstained]:
        said += f" Signals that had nothing to say about these data: {', '.join(abstained)}."
    if report.gate.ignored:
        said += f" Rules that were not heard: {', '.join(report.gate.ignored)}."
    if report.counts.unaudited:
        said += f" {report.counts.unaudited:,} samples could not be audited, or not wholly."
    return said


def to_croissant(report: Report) -> str:
    """A fragment of Croissant's JSON-LD with RAI 1.0: to be merged into the data set's own; ASCII, sorted keys."""
    document = {
        "@context": {
            "@language": "en",
            "@vocab": "https://schema.org/",
            "sc": "https://schema.org/",
            "cr": "http://mlcommons.org/croissant/",
            "rai": "http://mlcommons.org/croissant/RAI/",
            "dct": "http://purl.org/dc/terms/",
            "conformsTo": "dct:conformsTo",
            "sha256": "cr:sha256",
        },
        "@type": "sc:Dataset",
        "conformsTo": list(CONFORMS),
        "rai:dataPreprocessingProtocol": [protocol(report)],
        "rai:dataLimitations": [limitations(report)],
        "distribution": [_file(unit.name, unit.digest) for unit in subjects(report) if unit.algorithm == "sha256"],
    }
    return json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _file(name: str, digest: str) -> dict[str, Any]:
    shown = one_line(name)
    kind = next((media for suffix, media in MEDIA.items() if name.lower().endswith(suffix)), "text/plain")
    return {
        "@type": "cr:FileObject",
        "@id": shown,
        "name": shown,
        "contentUrl": shown,
        "encodingFormat": kind,
        "sha256": digest,
    }
