"""From a finished audit to a baseline: what it found is accepted, with a reason and for a time."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from srdscan.decide import fingerprints
from srdscan.decide.baseline import Accepted, Baseline, read_baseline, today, write_baseline
from srdscan.decide.results import Result
from srdscan.errors import ConfigError
from srdscan.rules import RULES, ignored_codes
from srdscan.text.hidden import shorten, visible

LONGEST = 80
"""Characters of what an entry is about: for people, nothing is compared with it."""


@dataclass(frozen=True)
class Done:
    """What became of a baseline's entries.

    Attributes:
        added: findings that were not in it.
        renewed: findings that were, up to a day that is over.
        kept: entries that stay as they were.
        unseen: of those, what this audit did not find.
    """

    added: int
    renewed: int
    kept: int
    unseen: int


def accept(run: Path, reason: str, expires: datetime.date, out: Path, select: Sequence[str] = (), by: str = "") -> Done:
    """Adds the findings of an audit to a baseline.

    Args:
        run: folder of a finished audit.
        reason: why they are accepted.
        expires: the last day on which they are.
        out: the file; entries that it holds stay, but for those whose day is over and that are found again.
        select: codes or prefixes of the rules whose findings are accepted; all if empty.
        by: who accepts them.

    Raises:
        ConfigError: no reason, a day that is over, no finished audit there, or a baseline that cannot be read.
    """
    if not reason.strip():
        raise ConfigError("--reason: must say why these findings are no poison; it is shown in every report")
    if expires < today():
        raise ConfigError(f"--expires {expires}: is over already; name a day to come")
    skipped = ignored_codes(select)
    found = [entry for entry in _found(run, reason.strip(), expires, by.strip()) if entry.code not in skipped]
    if not found and select:
        raise ConfigError(f"{run}: has no finding of {', '.join(select)}; nothing to accept")
    old = read_baseline(out) if out.exists() else Baseline()
    entries = {(entry.code, entry.fingerprint): entry for entry in old.accepted}
    before, seen, renewed = len(entries), set(), set()
    for entry in found:
        accepted = old.entry(entry.code, entry.fingerprint, entry.images)
        key = (entry.code, (accepted or entry).fingerprint)
        seen.add(key)
        if old.state(accepted) == "expired":
            renewed.add(key)
        if old.state(accepted) != "known":
            entries[key] = entry
    write_baseline(out, Baseline(tuple(entries.values())))
    unseen = sum((entry.code, entry.fingerprint) not in seen for entry in old.accepted)
    return Done(len(entries) - before, len(renewed), before - len(renewed), unseen)


def findings_of(run: Path) -> Iterator[Accepted]:
    """What any finished audit found, complete or not, as entries that nobody has accepted yet.

    Raises:
        ConfigError: no finished audit there, or one of another version.
    """
    return _entries(run, _results(run), "", datetime.date.max, "")


def _found(run: Path, reason: str, expires: datetime.date, by: str) -> Iterator[Accepted]:
    """What a complete audit found, as entries."""
    return _entries(run, _complete(run), reason, expires, by)


def _entries(run: Path, results: Sequence[Result], reason: str, expires: datetime.date, by: str) -> Iterator[Accepted]:
    """Findings of the data as entries; of rules that accuse single samples, an entry a sample."""
    for result in results:
        rule = RULES[result.rule]
        if not (rule.of_audit or rule.by_sample or result.state == "ignored"):
            about = _about(result.term or result.message)
            yield Accepted(rule.code, result.fingerprint, reason, expires, about, result.samples, by, result.images)
    for code, image, caption in _samples(run / "samples.parquet"):
        fingerprint = fingerprints.of_sample(code, image, caption)
        yield Accepted(code, fingerprint, reason, expires, _about(caption), 1, by)


def _complete(run: Path) -> list[Result]:
    """The results of an audit that saw everything."""
    results = _results(run)
    path = run / "report.json"
    verdict = json.loads(path.read_text(encoding="utf-8"))["verdict"]
    if verdict not in ("pass", "fail"):
        raise ConfigError(
            f"{path}: the audit is {verdict}; only what a complete audit found can be accepted. `srdscan rules` says "
            "what SRD901 to SRD909 ask for"
        )
    return results


def _results(run: Path) -> list[Result]:
    """The results in the report of a finished audit."""
    path = run / "report.json"
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(report["verdict"], str):
            raise TypeError("no verdict")
        results = [Result(**{**item, "locations": (), "images": tuple(item["images"])}) for item in report["results"]]
        if unknown := {result.rule for result in results} - set(RULES):
            raise ValueError(f"unknown rules {unknown}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is of another version of srdscan"
        raise ConfigError(
            f"{path}: cannot be read as the report of an audit: {said}. Pass the --out folder of a finished audit"
        ) from error
    return results


def _samples(path: Path) -> Iterator[tuple[str, str, str]]:
    """Code, sha256 of the image and caption of each pair that is accused by itself."""
    if not path.is_file():
        raise ConfigError(f"{path}: is not there. Pass the --out folder of a finished audit")
    columns = ["flagged", "rules", "image_sha256", "caption"]
    file = pq.ParquetFile(path)
    for batch in file.iter_batches(columns=columns):
        for row in batch.filter(pc.field("flagged")).to_pylist():
            for code in row["rules"]:
                if code in RULES and RULES[code].by_sample and row["image_sha256"]:
                    yield code, row["image_sha256"], row["caption"]


def _about(text: str) -> str:
    return shorten(visible(text[: LONGEST + 1]), LONGEST)
