"""False alarms: audits of photographs that nobody poisoned."""

from collections.abc import Mapping
from pathlib import Path

from srdscan.audit import audit
from srdscan.config import AuditConfig
from srdscan.lab.jobs import Job, Result, one_an_attack
from srdscan.lab.photos import ONE_CAPTION
from srdscan.lab.tables import Table

jobs = one_an_attack
CAPTIONERS = (None, "captioner", "captioner-backdoored")


def work(job: Job, folder: Path) -> Result:
    """A row an audit: of both sets, as pairs, with an honest captioner and with a backdoored one."""
    rows = []
    for name, shards in (("dev", job.places.dev), ("train", job.places.train)):
        for captioner in CAPTIONERS:
            out = folder / f"{name}-{captioner or 'pairs'}"
            done = audit(
                AuditConfig(
                    shards=(shards,), captioner=captioner, out=out, pictures=0, limits="off", caption_fields=ONE_CAPTION
                )
            )
            flagged = int(done.verdicts.flagged.sum())
            rows.append(
                {"set": name, "captioner": captioner, "samples": len(done.verdicts.flagged), "flagged": flagged}
            )
    return {"rows": rows}


def tables(results: Mapping[str, Result]) -> list[Table]:
    """An audit a row."""
    table = Table("clean", ["photographs", "audit", "samples", "flagged", "share"])
    for result in results.values():
        for row in result["rows"]:
            kind = f"model audit, {row['captioner']}" if row["captioner"] else "pair audit"
            table.add(row["set"], kind, row["samples"], row["flagged"], f"{row['flagged'] / row['samples']:.4f}")
    return [table]
