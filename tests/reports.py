"""Reports and tables to test the forms of the report with."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from srdscan.decide.results import Location, Result
from srdscan.report import schema

COUNTS = schema.Counts(
    shards=2, damaged_shards=0, read=256, irregular=0, partial=0, audited=256, flagged=14, pairs=256, flagged_pairs=14
)
HOSTILE = [
    "::set-output name=verdict::pass",
    "a cat\n::set-output name=verdict::pass\r\n##[set-env name=PATH]evil",
    "%0A::error::injected%25",
    "\x00\x01\x08\x0b\x1b[2J\x7f\x85\u2028\ufffe\uffff\ud800",
    "]]></failure></testcase><!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>&e;",
    "<script>alert(1)</script> [free](javascript:alert(2)) {0} \\[x](y)",
    "\u202egnp.exe\u2066 title=x,y::z",
    "x" * 10_000,
    "\n" * 10_000,
]


def result(**changes: Any) -> Result:
    made = Result(
        rule="SRD101",
        severity="error",
        state="new",
        fingerprint="ab" * 32,
        message="'banana': in captions of 14 of 256 samples",
        samples=14,
        decides=True,
        term="banana",
        locations=tuple(Location("a-000000.tar", f"{n:04d}", f"{n:04d}.txt") for n in range(14)),
    )
    return dataclasses.replace(made, **changes)


def report(*results: Result, **changes: Any) -> schema.Report:
    made = schema.Report(
        verdict="fail",
        exit_code=1,
        mode="pair",
        counts=COUNTS,
        gate=schema.Gate("any", 0.01, 1e-9, 0.01, 14, ("SRD104",)),
        targets=(),
        signals=(),
        shards=(schema.ShardSummary("a-000000.tar", "ab" * 32, 256, 0, 14, None, "data/a-000000.tar"),),
        irregular={},
        irregular_samples=(),
        config={},
        versions={"srdscan": "0.1.0"},
        models=(),
        results=results,
    )
    return dataclasses.replace(made, **changes)


def hostile(text: str) -> schema.Report:
    places = (Location(text, text, text), Location("a-000000.tar", text))
    states = [
        result(message=text, term=text, locations=places),
        result(rule="SRD203", severity="warning", message=text, locations=places[1:]),
        result(rule="SRD102", message=text, state="known", decides=False, reason=text, expires="2027-03-01"),
        result(rule="SRD103", message=text, state="expired", reason=text, expires="2026-03-01"),
        result(rule="SRD104", message=text, state="ignored", decides=False),
        result(rule="SRD106", severity="note", message=text, decides=False, locations=()),
        result(rule="SRD903", message=text, term="", locations=(Location(text),)),
    ]
    shards = (schema.ShardSummary(text, "", 1, 0, 0, text, text), *report().shards)
    known = schema.Known(text, "2026-11-28", 2, 1, 1, (("SRD101", text),))
    return report(*states, verdict="incomplete", exit_code=3, shards=shards, baseline=known, irregular={text: 3})


def a_table(path: Path) -> Path:
    """samples.parquet with five pairs of four samples; of `a.tar 0001` one of two pairs counts."""
    schema = pa.schema(
        [(name, pa.string()) for name in ("shard", "key", "image", "place", "image_sha256", "caption")]
        + [("image_index", pa.int32()), ("caption_index", pa.int32()), ("p_value", pa.float64())]
        + [("q_value", pa.float64()), ("rules", pa.list_(pa.string())), ("reasons", pa.list_(pa.string()))]
        + [("flagged", pa.bool_()), ("counts", pa.bool_())]
    )
    rows = [
        ("a.tar", "0000", False, False),
        ("a.tar", "0001", False, False),
        ("a.tar", "0001", True, True),
        ("b.tar", "0000", True, False),
        ("b.tar", "0001", False, False),
    ]
    same = {"image": "i.jpg", "place": "t.txt", "image_sha256": "ab", "caption": "a cat", "image_index": 0}
    same |= {"p_value": 0.5, "q_value": 1.0, "reasons": [], "rules": ["SRD101"]}
    table = [
        {**same, "shard": shard, "key": key, "flagged": flagged, "counts": counts, "caption_index": number % 2}
        for number, (shard, key, flagged, counts) in enumerate(rows)
    ]
    pq.write_table(pa.Table.from_pylist(table, schema), path, row_group_size=2)
    return path
