"""Pass 1 described by plain data, so that a process elsewhere can make the same models and the same source of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import torch

from srdscan.config import AuditConfig
from srdscan.errors import ConfigError
from srdscan.measure.state import RunState
from srdscan.measure.units import Scorer
from srdscan.models.device import pick_device
from srdscan.models.loaded import Models, load_models, model_records
from srdscan.models.record import ModelRecord
from srdscan.plugins import Group, versions_of
from srdscan.signals import signals_for
from srdscan.signals.plugged import use_signals
from srdscan.sources.base import Source
from srdscan.sources.find import find_source


@dataclass(frozen=True)
class ScoringTask:
    """What is scored, with what, and into which folder.

    Attributes:
        config: of the audit.
        captioner: folder of the captioner under audit, where it is another than the configuration's.
        identity: what the scores depend on, as the process that asked for them sees it.
        folder: that relative paths start from.
        threads: that a worker computes with on a CPU; other numbers of threads round otherwise.
    """

    config: AuditConfig
    captioner: str | None
    identity: Mapping[str, Any]
    folder: str
    threads: int


def describe(config: AuditConfig, captioner: str | None, identity: Mapping[str, Any]) -> ScoringTask:
    """The task of this process's audit."""
    return ScoringTask(config, captioner, identity, os.getcwd(), torch.get_num_threads())


def prepare(task: ScoringTask) -> Scorer:
    """Models, source and state of a task, in the process that works on it.

    Raises:
        ConfigError: the folder is not there, or holds other data or models than the task names.
        ModelError: a model cannot be loaded.
    """
    try:
        os.chdir(task.folder)
    except OSError as error:
        raise ConfigError(
            f"{task.folder}: cannot be entered by a worker ({error.strerror}). Data, models and --out must lie in "
            "folders that all workers share"
        ) from error
    torch.set_num_threads(task.threads)
    config = task.config
    use_signals(config.signals)
    source = find_source(config.shards, config.format, config.images)
    models = open_models(config, task.captioner)
    found = identity(config, source, model_records(models))
    if found != task.identity:
        raise ConfigError(f"a worker in {task.folder} sees {differences(task.identity, found)} than the audit does")
    return scorer(config, source, models, RunState(config.out, found))


def scorer(config: AuditConfig, source: Source, models: Models, state: RunState) -> Scorer:
    """What scores the units of an audit."""
    return Scorer(
        source,
        models,
        signals_for(models.captioner is not None, models.quick),
        state,
        config.reading,
        config.batch_size,
        config.max_pixels,
        config.rehash,
    )


def open_models(config: AuditConfig, captioner: str | None = None) -> Models:
    """The models that an audit's configuration names.

    Args:
        captioner: the captioner under audit, where it is another than the configuration's.
    """
    return load_models(
        config.reference,
        captioner or config.captioner,
        config.sentence_encoder,
        config.language_model,
        config.device,
        config.num_beams,
        config.prompt,
        config.reference_prompt,
        config.matcher,
        config.quick,
    )


def identity(config: AuditConfig, source: Source, models: tuple[ModelRecord, ...]) -> dict[str, Any]:
    """What scores depend on; thresholds, gates, engines and workers may change between runs over the same scores."""
    return {
        "version": version("srdscan"),
        "format": source.format,
        "units": [unit.location for unit in source.units],
        "models": [asdict(model) for model in models],
        "batch_size": config.batch_size,
        "device": pick_device(config.device),
        "num_beams": config.num_beams,
        "prompt": config.prompt,
        "quick": config.quick,
        "reference_prompt": config.reference_prompt,
        "limit": config.limit,
        "reading": asdict(config.reading),
        "max_pixels": config.max_pixels,
        "signals": sorted(set(config.signals)),
        "plugins": plugins_of(config),
        "columns": 4,  # counts what pass 1 keeps: score files of another form are not continued
    }


def plugins_of(config: AuditConfig) -> dict[str, str]:
    """Versions of the packages whose plug-ins an audit names, by package."""
    captioners: list[tuple[Group, str | None]] = [("captioners", config.captioner), ("captioners", config.reference)]
    return versions_of([("sources", config.format), *captioners, *[("signals", name) for name in config.signals]])


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """In what two identities differ, in words: `other units, models`."""
    names = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    return f"other {', '.join(names)}"
