"""`srdscan diff`: two finished audits side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from srdscan.decide.accept import findings_of
from srdscan.decide.baseline import Accepted, Baseline
from srdscan.diff.looks import ALIKE, likeness
from srdscan.diff.pairing import CAPTION, IMAGE, WHERE, Paired, pair_up
from srdscan.errors import ConfigError

SCHEMA: Final = "srdscan-diff/1"
FAIL_ON: Final = ("never", "new", "changed", "any")
MOST_SHOWN: Final = 1000
"""Samples and findings that the document lists of each kind; the table of `--out` has all."""

Kind = Literal["added", "gone", "image", "caption", "image+caption"]
KINDS: Final[tuple[Kind, ...]] = ("added", "gone", "image", "caption", "image+caption")
CHANGES: Final[tuple[Kind, ...]] = ("image", "caption", "image+caption")


@dataclass(frozen=True)
class Change:
    """A pair of an image and a caption that the runs do not have in common.

    Attributes:
        kind: "added", "gone", or what is another than it was: "image", "caption" or "image+caption".
        shard: where it stands now; where it stood, of what is gone.
        key: the sample's key there.
        caption: what it says now; what it said, of what is gone.
        before: what it said, where the caption is another.
        likeness: cosine of what the embedded matcher sees of the image now and before (`diff.looks`); None where the
            image is the same or the runs cannot be compared.
    """

    kind: Kind
    shard: str
    key: str
    caption: str
    before: str | None = None
    likeness: float | None = None


@dataclass(frozen=True)
class Difference:
    """How two runs differ.

    Attributes:
        old: folder of the first run.
        new: folder of the second.
        verdicts: of the two audits.
        same: pairs that both have.
        counts: pairs of each kind.
        samples: samples that these pairs belong to.
        replaced: pairs whose image is another picture now, not the same one saved again; None where the runs cannot
            be compared.
        changes: the first of each kind.
        found: findings of the new run that the old one does not have.
        kept: findings of both.
        lost: findings of the old run that the new one does not have.
        schema: name and version of this document.
    """

    old: str
    new: str
    verdicts: tuple[str, str]
    same: int
    counts: dict[str, int]
    samples: dict[str, int]
    replaced: int | None
    changes: tuple[Change, ...]
    found: tuple[Accepted, ...]
    kept: tuple[Accepted, ...]
    lost: tuple[Accepted, ...]
    schema: str = SCHEMA

    @property
    def complete(self) -> bool:
        """Whether both audits saw all of their data, with models that fit them."""
        return set(self.verdicts) <= {"pass", "fail"}

    def exit_code(self, fail_on: str) -> int:
        """0; 1 if there is what must not be; 3 if that cannot be said because an audit was not complete.

        Args:
            fail_on: one of `FAIL_ON`.
        """
        changed = any(self.counts[kind] for kind in CHANGES)
        differs = changed or any(self.counts.values()) or bool(self.found or self.lost)
        if {"never": False, "new": bool(self.found), "changed": changed, "any": differs}[fail_on]:
            return 1
        return 0 if self.complete or fail_on == "never" else 3

    def to_json(self) -> str:
        """The document: sorted keys, ASCII; at most `MOST_SHOWN` findings of each kind."""
        document: dict[str, Any] = asdict(self)
        for name in ("found", "kept", "lost"):
            entries: Sequence[Accepted] = getattr(self, name)
            document[name] = {"count": len(entries), "findings": [_shown(entry) for entry in entries[:MOST_SHOWN]]}
        return json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + "\n"


def compare(old: Path, new: Path, out: Path | None = None) -> Difference:
    """Compares two runs.

    Args:
        old: `--out` folder of a finished audit.
        new: the same of another.
        out: Parquet file that gets a row for every pair that the runs do not have in common; None writes none.

    Raises:
        ConfigError: a folder holds no finished audit of this version, or the file cannot be written.
    """
    tables = _table(old), _table(new)
    found = [tuple(findings_of(run)) for run in (old, new)]
    paired = pair_up(*tables)
    rows = _differences(paired, *tables)
    alike = likeness(old, new, rows)
    unknown = np.full(rows.num_rows, np.nan) if alike is None else alike
    rows = rows.append_column("likeness", pa.array(unknown, pa.float64(), from_pandas=True))
    if out is not None:
        _write(out, rows)
    kinds = rows["kind"]
    before, after = (Baseline(entries) for entries in found)
    return Difference(
        old=str(old),
        new=str(new),
        verdicts=(_verdict(old), _verdict(new)),
        same=len(paired.same),
        counts={kind: rows.filter(pc.equal(kinds, kind)).num_rows for kind in KINDS},
        samples={kind: _samples(rows.filter(pc.equal(kinds, kind))) for kind in KINDS},
        replaced=None if alike is None else int((alike[np.isfinite(alike)] < ALIKE).sum()),
        changes=tuple(_changes(rows)),
        found=tuple(entry for entry in after.accepted if not _has(before, entry)),
        kept=tuple(entry for entry in after.accepted if _has(before, entry)),
        lost=tuple(entry for entry in before.accepted if not _has(after, entry)),
    )


def _table(run: Path) -> pa.Table:
    path = run / "samples.parquet"
    try:
        table = pq.read_table(path, columns=[*WHERE, IMAGE, CAPTION])
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(
            f"{path}: cannot be read as the samples of an audit: {' '.join(str(error).split())}. Pass the --out "
            "folders of two finished audits"
        ) from error
    if table[IMAGE].null_count:
        raise ConfigError(f"{path}: holds no image_sha256: audit again with this version of srdscan")
    return table


def _differences(paired: Paired, old: pa.Table, new: pa.Table) -> pa.Table:
    """A row a pair that the runs do not have in common: what is added, gone, changed, in this order."""
    before, after = old.take(paired.changed[:, 0]), new.take(paired.changed[:, 1])
    image, caption = (
        pc.not_equal(before[name], after[name]).combine_chunks().to_numpy(zero_copy_only=False)
        for name in (IMAGE, CAPTION)
    )
    changed = np.where(image & caption, "image+caption", np.where(image, "image", "caption"))
    kinds = ["added"] * len(paired.added) + ["gone"] * len(paired.gone) + changed.tolist()
    none = np.full(len(paired.added), -1), np.full(len(paired.gone), -1)
    rows = (
        np.concatenate([none[0], paired.gone, paired.changed[:, 0]]),
        np.concatenate([paired.added, none[1], paired.changed[:, 1]]),
    )
    columns: dict[str, Any] = {"kind": pa.array(kinds, pa.string())}
    for side, table, numbers in (("old", old, rows[0]), ("new", new, rows[1])):
        index = pa.array(numbers, mask=numbers < 0)
        columns[f"{side}_row"] = index
        columns |= {f"{side}_{name}": table[name].take(index) for name in (*WHERE, CAPTION, IMAGE)}
    return pa.table(columns)


def _write(out: Path, rows: pa.Table) -> None:
    partial = out.with_name(out.name + ".partial")
    try:
        pq.write_table(rows, partial, compression="zstd")
        partial.replace(out)
    except OSError as error:
        raise ConfigError(f"--out {out}: cannot be written: {error.strerror or error}") from error


def _samples(rows: pa.Table) -> int:
    """Samples that some pairs belong to: where they stand now, or stood."""
    where = pa.table({name: pc.coalesce(rows[f"new_{name}"], rows[f"old_{name}"]) for name in WHERE[:2]})
    return int(where.group_by(list(WHERE[:2])).aggregate([]).num_rows)


def _changes(rows: pa.Table) -> Iterator[Change]:
    for kind in KINDS:
        for row in rows.filter(pc.equal(rows["kind"], kind)).slice(0, MOST_SHOWN).to_pylist():
            side = "old" if kind == "gone" else "new"
            before = row["old_caption"] if "caption" in kind else None
            yield Change(
                kind, row[f"{side}_shard"], row[f"{side}_key"], row[f"{side}_caption"], before, row["likeness"]
            )


def _has(run: Baseline, entry: Accepted) -> bool:
    return run.entry(entry.code, entry.fingerprint, entry.images) is not None


def _verdict(run: Path) -> str:
    return str(json.loads((run / "report.json").read_text(encoding="utf-8"))["verdict"])


def _shown(entry: Accepted) -> dict[str, object]:
    return {
        "rule": entry.code,
        "fingerprint": entry.fingerprint,
        "about": entry.about,
        "samples": entry.samples,
    }
