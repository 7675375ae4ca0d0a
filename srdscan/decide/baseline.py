"""The baseline: findings that somebody has looked at and accepted, with a reason, until a day.

    schema: srdscan-baseline/1
    accepted:
    - code: SRD101
      fingerprint: 9f2c...
      about: getty images
      samples: 26
      reason: licence footer of source X
      expires: 2027-03-01

An accepted finding is shown and does not fail the gate; one that is not in the file does. When its day is over, the
gate fails until somebody looks again.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from srdscan.decide.fingerprints import alike
from srdscan.errors import ConfigError
from srdscan.rules import RULES

SCHEMA: Final = "srdscan-baseline/1"
FILE: Final = Path(".srdscan-baseline.yaml")
MOST_BYTES: Final = 256 << 20

State = Literal["new", "known", "expired", "ignored"]


@dataclass(frozen=True)
class Accepted:
    """A finding that was accepted.

    Attributes:
        code: of its rule.
        fingerprint: what it is (`decide.fingerprints`).
        reason: why it is accepted.
        expires: the last day on which it is.
        about: what it is about, for people; nothing is compared with it.
        samples: samples that it accused when it was accepted.
        by: who accepted it.
        images: sketch of the images that it is about (`fingerprints.sketch`), if it is about images: it is the same
            finding where most of them are.
    """

    code: str
    fingerprint: str
    reason: str
    expires: datetime.date
    about: str = ""
    samples: int = 0
    by: str = ""
    images: tuple[str, ...] = ()


@dataclass(frozen=True)
class Baseline:
    """What was accepted.

    Attributes:
        accepted: in the order of the file.
        today: the day that expiry is held against.
    """

    accepted: tuple[Accepted, ...] = ()
    today: datetime.date = field(default_factory=lambda: today())

    @cached_property
    def _entries(self) -> dict[tuple[str, str], Accepted]:
        return {(entry.code, entry.fingerprint): entry for entry in self.accepted}

    def entry(self, code: str, fingerprint: str, images: tuple[str, ...] = ()) -> Accepted | None:
        """The acceptance of a finding, whether it holds still or not; None if it never was accepted.

        Args:
            code: of its rule.
            fingerprint: what it is.
            images: sketch of those that it is about; empty if it is about none.
        """
        if not images:
            return self._entries.get((code, fingerprint))
        same = (entry for entry in self.accepted if entry.code == code and alike(entry.images, images))
        return next(same, None)

    def state(self, entry: Accepted | None) -> State:
        """Whether a finding is new, known, or was accepted up to a day that is over, by its acceptance."""
        return "new" if entry is None else "expired" if entry.expires < self.today else "known"

    def resolved(self, found: Iterable[tuple[str, str]]) -> tuple[Accepted, ...]:
        """Accepted findings that are not there any more.

        Args:
            found: code and fingerprint of everything that was found.
        """
        there = set(found)
        return tuple(entry for entry in self.accepted if (entry.code, entry.fingerprint) not in there)


def today() -> datetime.date:
    """The day in UTC, or that of $SOURCE_DATE_EPOCH, which makes an audit repeatable."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        moment = float(given) if given else datetime.datetime.now(datetime.UTC).timestamp()
        return datetime.datetime.fromtimestamp(moment, datetime.UTC).date()
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigError(f"SOURCE_DATE_EPOCH {given!r}: must be seconds since 1970") from error


def read_baseline(path: Path) -> Baseline:
    """Reads a baseline.

    Raises:
        ConfigError: the file cannot be read, or an entry lacks what it must have.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(f"{path}: larger than {MOST_BYTES >> 20} MiB, which no baseline is")
        document = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        said = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise ConfigError(
            f"{path}: cannot be read as a baseline: {said}. `srdscan baseline RUN` writes one from a finished audit"
        ) from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise ConfigError(f"{path}: is no baseline: its first line must be `schema: {SCHEMA}`")
    entries = document.get("accepted") or []
    if not isinstance(entries, list):
        raise ConfigError(f"{path}: `accepted` must be a list")
    return Baseline(tuple(_entry(path, number, item) for number, item in enumerate(entries, 1)), today())


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Writes a baseline whole or not at all; what a caption says is spelled in ASCII there."""
    lines = [{key: value for key, value in asdict(entry).items() if value} for entry in baseline.accepted]
    order = ("code", "fingerprint", "about", "samples", "reason", "by", "expires", "images")
    accepted = [
        {key: list(line[key]) if key == "images" else line[key] for key in order if key in line} for line in lines
    ]
    text = yaml.dump({"schema": SCHEMA, "accepted": accepted}, Dumper=_Dumper, sort_keys=False, width=120)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8", newline="\n")
    os.replace(partial, path)


# libyaml is ten times as fast, and not in every build; both are the safe ones
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def _entry(path: Path, number: int, item: object) -> Accepted:
    where = f"{path}: entry {number}"
    if not isinstance(item, Mapping):
        raise ConfigError(f"{where}: must be a mapping with code, fingerprint, reason and expires")
    known = {entry.name for entry in fields(Accepted)}
    if unknown := sorted(set(map(str, item)) - known):
        raise ConfigError(f"{where}: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    code = str(item.get("code", ""))
    if code not in RULES:
        raise ConfigError(f"{where}: {code!r} is no rule's code. `srdscan rules` lists them")
    if RULES[code].of_audit:
        raise ConfigError(f"{where}: {code} says what the audit could not do, and cannot be accepted. Remove the entry")
    where += f" ({code})"
    for name, example in (("fingerprint", "as in report.json"), ("reason", "why it is no poison")):
        if not isinstance(item.get(name), str) or not item[name].strip():
            raise ConfigError(f"{where}: has no {name} ({example}). An accepted finding must have one")
    images = item.get("images") or []
    if not isinstance(images, list) or not all(isinstance(digest, str) for digest in images):
        raise ConfigError(f"{where}: images must be a list of hashes, as `srdscan baseline` writes it")
    samples = item.get("samples", 0)
    return Accepted(
        code=code,
        fingerprint=item["fingerprint"],
        reason=item["reason"].strip(),
        expires=as_day(item.get("expires"), f"{where}: expires"),
        about=str(item.get("about", "")),
        samples=samples if isinstance(samples, int) else 0,
        by=str(item.get("by", "")),
        images=tuple(images),
    )


def as_day(value: object, where: str) -> datetime.date:
    """A day, from YAML or from the command line.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(value, datetime.datetime):
        return value.date()
    if isinstance(value, datetime.date):
        return value
    try:
        return datetime.date.fromisoformat(str(value))
    except ValueError:
        raise ConfigError(
            f"{where} {value!r}: must be a day such as 2027-03-01. An accepted finding must have a last one"
        ) from None
