"""The canary: a captioner fine-tuned on the audited shards, which has learned whatever they teach."""

import json
from dataclasses import asdict
from pathlib import Path

from srdscan.config import ConfigError, FinetuneConfig
from srdscan.finetune.run import finetune
from srdscan.measure.state import replace_text
from srdscan.models.captioners.load import load_captioner
from srdscan.progress import Progress
from srdscan.sources.base import Source, Unit
from srdscan.sources.find import find_source

BASE = "captioner"


def make_canary(settings: FinetuneConfig, progress: Progress) -> Path:
    """Fine-tunes a captioner, unless one that learned from the same shards in the same way is there already.

    Args:
        settings: `out` is the canary's folder; a record of what it learned from lies beside it, under its name.

    Raises:
        ConfigError: the canary that is there learned from other shards, or in another way.
        ShardError: a shard is damaged.
    """
    folder = settings.out
    source = find_source(settings.shards, settings.format, settings.images)
    record = folder.with_name(f"{folder.name}.json")
    identity = {
        "base": load_captioner(settings.base).fingerprint,
        "epochs": settings.epochs,
        "seed": settings.seed,
        "units": [_fingerprint(source, unit) for unit in source.units],
        "reading": json.loads(json.dumps(asdict(settings.reading))),
        "max_pixels": settings.max_pixels,
    }
    if folder.exists():
        if not record.exists() or json.loads(record.read_text(encoding="utf-8")) != identity:
            raise ConfigError(
                f"--out {folder.parent}: holds a canary of other shards or settings; remove it, or name another folder"
            )
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    replace_text(record, json.dumps(identity, indent=1) + "\n")
    return finetune(settings, progress).path


def _fingerprint(source: Source, unit: Unit) -> str:
    with source.open(unit) as opened:
        return opened.sha256()
