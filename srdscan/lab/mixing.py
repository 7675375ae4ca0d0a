"""Data sets of any poison rate from two copies of one: untouched, and poisoned throughout.

What a captioner says of an image does not depend on the images beside it, so each copy is scored once, and the audit of
a mixture continues from score files put together of theirs: it decides, covers attention peaks and reports as ever.
"""

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from srdscan.attacks.truth import Truth
from srdscan.config import AuditConfig
from srdscan.measure.state import RunState, UnitRecord, load_scores
from srdscan.sources.base import Sample
from srdscan.sources.find import find_source
from srdscan.sources.own import claim
from srdscan.sources.tar import ShardFile, expand_shards, open_shard, read_shard, rewrite_shard, shard_name
from srdscan.sources.tar.members import place_members
from srdscan.sources.tar.walk import walk_members


def mix(clean: str, poisoned: Path, rate: float, seed: int, out: Path) -> Truth:
    """Writes shards in which a share of the samples is poisoned, and their truth.json.

    Args:
        clean: shards.
        poisoned: what `plant` made of them with rate 1.
        rate: share of all samples; where the target fits fewer, all of those.
    """
    whole = Truth.read(poisoned / "truth.json")
    count = sum(isinstance(item, Sample) for path in expand_shards([clean]) for item in read_shard(path))
    order = np.random.default_rng(seed).permutation(len(whole.poisoned))[: round(rate * count)]
    chosen = {whole.poisoned[number] for number in order}
    for path in expand_shards([clean]):
        with open_shard(str(poisoned / shard_name(path))) as shard:
            edits = _members(shard, {key for name, key in chosen if name == shard.name})
        rewrite_shard(path, out / shard_name(path), edits)
    kept = tuple(place for place in whole.poisoned if place in chosen)
    truth = replace(whole, rate=rate, seed=seed, poisoned=kept)
    truth.write(out / "truth.json")
    return truth


def _members(shard: ShardFile, keys: set[str]) -> dict[str, dict[str, bytes | None]]:
    """All members of some samples, by key and extension."""
    found: dict[str, dict[str, bytes | None]] = defaultdict(dict)
    with open(shard.path, "rb") as file:
        for placed in place_members(walk_members(file, shard.location)):
            if placed.key in keys:
                file.seek(placed.member.data)
                found[placed.key][placed.ext] = file.read(placed.member.size)
    return found


def continue_from(clean: Path, poisoned: Path, truth: Truth, config: AuditConfig) -> None:
    """Fills the state of an audit of a mixture, so that `audit` has nothing left to score.

    Args:
        clean: folder of the audit of the untouched copy, with the same models.
        poisoned: folder of the audit of the poisoned copy.
        truth: of the mixture.
        config: of its audit.
    """
    source = find_source(config.shards)
    identity = json.loads((clean / "state" / "run.json").read_text(encoding="utf-8"))
    claim(config.out, "--out", {"kind": "audit"})
    state = RunState(config.out, {**identity, "units": [unit.location for unit in source.units]})
    chosen, meta = set(truth.poisoned), load_scores(clean).meta
    for number, unit in enumerate(source.units):
        name = unit.name
        tables = [pq.read_table(run / "state" / "scores" / f"{number:06d}.parquet") for run in (clean, poisoned)]
        keys = tables[0]["key"].to_pylist()
        if keys != tables[1]["key"].to_pylist():
            raise ValueError(f"{name}: the two audits are of different samples")
        rows = [len(keys) * ((name, key) in chosen) + row for row, key in enumerate(keys)]
        table = pa.concat_tables(tables).take(rows)
        with source.open(unit) as opened:
            sha256 = opened.sha256()
        record = UnitRecord(name, unit.location, sha256, len(keys), len(keys), (), None, meta)
        state.complete(number, record, table)
