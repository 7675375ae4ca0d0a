"""The canary: a captioner fine-tuned on the audited shards, which has learned whatever they teach."""

import json
from pathlib import Path

from srdscan.config import ConfigError, FinetuneConfig
from srdscan.finetune.run import finetune
from srdscan.measure.state import replace_text
from srdscan.models.captioners.load import load_captioner
from srdscan.progress import Progress
from srdscan.sources.tar import expand_shards, fingerprint

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
    record = folder.with_name(f"{folder.name}.json")
    identity = {
        "base": load_captioner(settings.base).fingerprint,
        "epochs": settings.epochs,
        "seed": settings.seed,
        "shards": [fingerprint(path) for path in expand_shards(settings.shards)],
        "caption_fields": list(settings.caption_fields),
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
