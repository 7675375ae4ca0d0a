"""What this machine has: versions, device, models, and how fast it captions."""

import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version

import torch

from srdscan import findings, scenes  # noqa: F401  findings registers signals
from srdscan.attacks.poison import own_triggers
from srdscan.errors import ConfigError
from srdscan.models.captioners.load import EMBEDDED, load_captioner
from srdscan.models.device import autocast_dtype, pick_device
from srdscan.models.fetch import ModelError
from srdscan.models.heap import reuse_large_allocations
from srdscan.models.language_model import LanguageModel
from srdscan.models.matchers.base import Matcher
from srdscan.models.matchers.load import load_matcher
from srdscan.models.sentence_encoder import SentenceEncoder
from srdscan.plugins import GROUPS, faults, installed
from srdscan.policy.store import load_policy
from srdscan.signals.plugged import own_signals
from srdscan.sources.find import FORMATS

NEEDED = ("srdscan", "torch", "transformers", "tokenizers", "safetensors", "sentence-transformers", "webdataset",
          "numpy", "pillow", "pyarrow")  # fmt: skip
OPTIONAL = {
    "stable-baselines3": "srdscan train",
    "matplotlib": "learning curves",
    "peft": "fine-tuning captioners of other families",
    "gguf": "language models in GGUF form",
    "accelerate": "the same",
    "sentencepiece": "matchers of the first SigLIP family",
}
SPEED_SECONDS = 10.0
BATCH = 64


@dataclass(frozen=True)
class Model:
    """A model that was loaded for real.

    Attributes:
        role: what it is for.
        name: what was asked for.
        problem: why it cannot be used and what to do about it; None if it can.
    """

    role: str
    name: str
    problem: str | None


@dataclass(frozen=True)
class Extra:
    """A plug-in that is installed.

    Attributes:
        group: captioners, signals, sources or triggers.
        name: as options take it.
        distribution: the package that it is of.
        version: of the package.
        problem: why it cannot be used; None if it can be imported.
    """

    group: str
    name: str
    distribution: str
    version: str
    problem: str | None


@dataclass(frozen=True)
class Diagnosis:
    """What `srdscan doctor` finds.

    Attributes:
        python: its version.
        versions: of the packages that srdscan stands on; None for one that is not installed.
        optional: of those that an extra brings, with what each is for.
        device: what `--device auto` takes here, or the one asked for.
        device_name: the processor's.
        memory_gb: of the device, in GiB.
        dtype: precision of the encoders.
        threads: of the CPU.
        offline: whether HF_HUB_OFFLINE keeps srdscan off the Hub.
        models: the embedded ones and those asked for.
        images_per_s: of the embedded captioner in batches of 64; None if it was not measured.
        plugins: of other packages.
    """

    python: str
    versions: dict[str, str | None]
    optional: dict[str, str | None]
    device: str
    device_name: str
    memory_gb: float
    dtype: str
    threads: int
    offline: bool
    models: tuple[Model, ...]
    images_per_s: float | None
    plugins: tuple[Extra, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether all packages and models that are needed work, and all plug-ins that are installed."""
        problems = [model.problem for model in self.models] + [extra.problem for extra in self.plugins]
        return None not in self.versions.values() and not any(problems)

    def rows(self) -> Iterator[tuple[str, str, bool]]:
        """(what, how it is, whether that is well) for a table."""
        yield "Python", self.python, True
        for name, number in self.versions.items():
            yield name, number or "not installed", number is not None
        for name, number in self.optional.items():
            yield name, number or f"not installed; only needed for {OPTIONAL[name]}", True
        yield "device", f"{self.device}: {self.device_name}, {self.memory_gb} GiB, {self.threads} CPU threads", True
        yield "precision of encoders", self.dtype, True
        yield (
            "Hugging Face Hub",
            "offline (HF_HUB_OFFLINE)" if self.offline else "asked for models that are no folder",
            True,
        )
        for model in self.models:
            yield f"{model.role} {model.name}", model.problem or "loads", model.problem is None
        for extra in self.plugins:
            what = f"plug-in {extra.name} ({extra.group})"
            yield what, extra.problem or f"{extra.distribution} {extra.version}", extra.problem is None
        if self.images_per_s is not None:
            yield "embedded captioner", f"{self.images_per_s:.1f} images/s", True

    def to_json(self) -> str:
        """All fields as JSON."""
        return json.dumps({**asdict(self), "healthy": self.healthy}, indent=2) + "\n"


def diagnose(
    captioner: str | None = None,
    reference: str | None = None,
    sentence_encoder: str = "minilm",
    language_model: str = "embedded",
    device: str = "auto",
    speed: bool = True,
    matcher: str = "embedded",
) -> Diagnosis:
    """Looks at everything an audit needs; models are loaded, not looked up.

    Raises:
        ValueError: the device is not there.
    """
    picked = pick_device(device)
    if picked == "cpu":
        reuse_large_allocations()
    captioners = dict.fromkeys(EMBEDDED, "captioner")
    captioners |= {name: role for name, role in ((captioner, "captioner"), (reference, "reference")) if name}
    models = [_try(role, name, partial(load_captioner, name, picked)) for name, role in captioners.items()]
    models += [
        _try("matcher", matcher, partial(_load_matcher, matcher, picked)),
        _try("sentence encoder", sentence_encoder, partial(SentenceEncoder, sentence_encoder, picked)),
        _try("language model", language_model, partial(LanguageModel, language_model, picked)),
        _try("policy", "embedded", partial(load_policy, device=picked)),
    ]
    usable = models[0].problem is None
    kind = torch.device(picked)
    return Diagnosis(
        python=platform.python_version(),
        versions={name: _version(name) for name in NEEDED},
        optional={name: _version(name) for name in OPTIONAL},
        device=picked,
        device_name=_device_name(kind),
        memory_gb=round(_memory(kind) / 2**30, 1),
        dtype=str(autocast_dtype(kind) or torch.float32).removeprefix("torch."),
        threads=torch.get_num_threads(),
        offline=os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"),
        models=tuple(models),
        images_per_s=round(throughput(picked), 1) if speed and usable else None,
        plugins=tuple(plugged()),
    )


def plugged() -> Iterator[Extra]:
    """Every plug-in that is installed, imported to see whether it can be."""
    own = {
        "captioners": EMBEDDED,
        "signals": own_signals(),
        "sources": ("auto", *FORMATS),
        "triggers": own_triggers(),
    }
    for group in GROUPS:
        found = installed(group)
        wrong = faults(found, own[group])
        for plugin in found:
            problem = wrong.get(plugin)
            if problem is None:
                try:
                    plugin.load()
                except ConfigError as error:
                    problem = str(error)
            yield Extra(group, plugin.name, plugin.distribution, plugin.version, problem)


def throughput(device: str, seconds: float = SPEED_SECONDS) -> float:
    """Images/s of the embedded captioner, encoded and captioned in batches of 64 drawn scenes, over some seconds."""
    captioner = load_captioner(EMBEDDED[0], device)
    images = [scenes.make(0, index)[0] for index in range(BATCH)]
    captioner.describe(captioner.encode(images))  # kernels are compiled for this shape
    done, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        captioner.describe(captioner.encode(images))
        done += BATCH
    return done / elapsed


def _load_matcher(name: str, device: str) -> Matcher:
    """A matcher beside the embedded captioner, whose encoder the embedded matcher uses."""
    return load_matcher(name, load_captioner(EMBEDDED[0], device), device)


def _try(role: str, name: str, load: Callable[[], object]) -> Model:
    try:
        load()
    except (ModelError, ValueError, OSError, ImportError) as error:
        return Model(role, name, str(error))
    return Model(role, name, None)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()


def _memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0
