"""The canary: a captioner fine-tuned on the audited shards, which has learned whatever they teach."""

import json
from pathlib import Path

from srdscan.captioners.load import load_captioner
from srdscan.config import AuditConfig, ConfigError, FinetuneConfig
from srdscan.finetune.run import finetune
from srdscan.progress import Progress
from srdscan.shards import expand_shards, fingerprint
from srdscan.state import replace_text

FOLDER = "canary"
BASE = "captioner"


def make_canary(config: AuditConfig, progress: Progress) -> Path:
    """Fine-tunes the embedded captioner on a configuration's shards, into `canary/` of its `out`.

    A canary that is there already is taken as it is, if it learned from the same shards in the same way.

    Raises:
        ConfigError: the canary that is there learned from other shards, or in another way.
        ShardError: a shard is damaged.
    """
    folder = config.out / FOLDER
    record = config.out / f"{FOLDER}.json"
    identity = {
        "base": load_captioner(BASE).fingerprint,
        "epochs": config.canary_epochs,
        "seed": config.seed,
        "shards": [fingerprint(path) for path in expand_shards(config.shards)],
        "caption_fields": list(config.caption_fields),
        "max_pixels": config.max_pixels,
    }
    if folder.exists():
        if not record.exists() or json.loads(record.read_text(encoding="utf-8")) != identity:
            raise ConfigError(
                f"--out {config.out}: holds a canary of other shards or settings; remove it, or name another folder"
            )
        return folder
    config.out.mkdir(parents=True, exist_ok=True)
    replace_text(record, json.dumps(identity, indent=1) + "\n")
    settings = FinetuneConfig(
        shards=config.shards,
        base=BASE,
        out=folder,
        epochs=config.canary_epochs,
        seed=config.seed,
        caption_fields=config.caption_fields,
        max_pixels=config.max_pixels,
    )
    return finetune(settings, progress).path
