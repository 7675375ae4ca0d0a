"""The configuration of each command: one frozen dataclass, from YAML and the command line."""

import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

C = TypeVar("C")

REPLACE = ("caption", "image+caption", "drop")
FALLBACK = ("reference", "drop", "quarantine")


class ConfigError(ValueError):
    """The configuration is wrong; the message names the option and the remedy."""


@dataclass(frozen=True)
class AuditConfig:
    """`srdscan audit`.

    Attributes:
        shards: folders, globs, brace ranges, paths or http(s) URLs.
        out: folder for the report, the scores and the state of the run.
        captioner: the captioner under audit; None audits the data set's captions alone (pair audit).
        reference: the trusted captioner.
        sentence_encoder: `minilm`, a folder or a Hub id.
        language_model: `embedded`, a folder, a Hub id or a .gguf file.
        calibration: folder of an earlier audit of trusted clean shards with the same models, for exact p-values.
        fdr: false-discovery rate that flagging is held to, in (0, 1).
        fail_on: `any`, `rate=0.01` (fail above this share of flagged samples) or `never`.
        batch_size: images per batch.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        num_beams: beam width; None takes each captioner's own.
        prompt: what the captioner under audit is asked, or the words its captions go on from; None takes its family's.
        reference_prompt: the same for the reference.
        limit: audit at most this many samples.
        seed: of the random controls of peak ablation.
        caption_fields: fields of a .json member that may hold the caption, the first one present is taken.
        max_pixels: larger images are irregular, never decoded.
        pictures: how many flagged samples the HTML report shows.
        policy: `embedded`, a folder or a file that `srdscan train` wrote; what repairs flagged images.
        sanitize: folder for the sanitized shards; None writes none.
        replace: what of a flagged sample is replaced: `caption`, `image+caption`, or `drop` (the sample goes).
        canary: fine-tune a captioner on the shards first, and audit that one: it has learned whatever they teach.
        canary_epochs: passes over the samples for it.
        fallback: what happens where no honest caption is found: `reference` (the reference caption is taken), `drop`,
            or `quarantine` (gone as with drop, but reported as waiting for a person's decision).
    """

    shards: tuple[str, ...] = ()
    out: Path = Path("srdscan-report")
    captioner: str | None = None
    reference: str = "captioner"
    sentence_encoder: str = "minilm"
    language_model: str = "embedded"
    calibration: Path | None = None
    fdr: float = 0.05
    fail_on: str = "any"
    batch_size: int = 64
    device: str = "auto"
    num_beams: int | None = None
    prompt: str | None = None
    reference_prompt: str | None = None
    limit: int | None = None
    seed: int = 0
    caption_fields: tuple[str, ...] = field(default=("caption", "captions", "text"))
    max_pixels: int = 64_000_000
    pictures: int = 200
    policy: str = "embedded"
    sanitize: Path | None = None
    replace: str = "caption"
    fallback: str = "reference"
    canary: bool = False
    canary_epochs: int = 4

    def __post_init__(self) -> None:
        if not self.shards:
            raise ConfigError("no shards: name a folder, a glob, a brace range, a path or a URL")
        if not 0 < self.fdr < 1:
            raise ConfigError(f"fdr {self.fdr}: must lie between 0 and 1, for example 0.05")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size {self.batch_size}: must be at least 1")
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit {self.limit}: must be at least 1")
        if self.num_beams is not None and self.num_beams < 1:
            raise ConfigError(f"num_beams {self.num_beams}: must be at least 1")
        if self.seed < 0:
            raise ConfigError(f"seed {self.seed}: must not be negative")
        if self.max_pixels < 1:
            raise ConfigError(f"max_pixels {self.max_pixels}: must be at least 1")
        if self.pictures < 0:
            raise ConfigError(f"pictures {self.pictures}: must not be negative")
        if self.limit is not None and self.sanitize is not None:
            raise ConfigError(
                "limit and sanitize: samples beyond the limit would pass unaudited; leave one of them out"
            )
        for name, known in (("replace", REPLACE), ("fallback", FALLBACK)):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} {getattr(self, name)!r}: must be one of {', '.join(known)}")
        if self.canary and self.captioner is not None:
            raise ConfigError("canary and captioner: a canary is the captioner under audit; leave one of them out")
        if self.canary and self.limit is not None:
            raise ConfigError("canary and limit: a canary learns from all samples; leave one of them out")
        if self.canary_epochs < 1:
            raise ConfigError(f"canary_epochs {self.canary_epochs}: must be at least 1")
        allowed_share(self.fail_on)


@dataclass(frozen=True)
class TrainConfig:
    """`srdscan train`.

    Attributes:
        shards: folders, globs, brace ranges, paths or http(s) URLs.
        out: folder for the policy, the learning curve, checkpoints and the audit that training starts from.
        captioner: the captioner to be made honest.
        reference: the trusted captioner.
        sentence_encoder: `minilm`, a folder or a Hub id.
        language_model: `embedded`, a folder, a Hub id or a .gguf file.
        steps: environment steps; each is one perturbed and captioned image.
        lanes: images under repair at once.
        cases: images to train on at most, half of them suspicious where there are that many.
        reward: `sfs` (gain in semantic fidelity less an area cost) or `paper` (SRD's stepped reward).
        resume: continue from the last checkpoint in `out`.
        seed: of everything random.
        batch_size: images per batch while scoring.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        num_beams: beam width; None takes each captioner's own.
        prompt: what the captioner is asked, or the words its captions go on from; None takes its family's.
        reference_prompt: the same for the reference.
        limit: score at most this many samples.
        caption_fields: fields of a .json member that may hold the caption.
        max_pixels: larger images are left out.
    """

    shards: tuple[str, ...] = ()
    out: Path = Path("srdscan-policy")
    captioner: str = ""
    reference: str = "captioner"
    sentence_encoder: str = "minilm"
    language_model: str = "embedded"
    steps: int = 20_000
    lanes: int = 32
    cases: int = 1000
    reward: str = "sfs"
    resume: bool = False
    seed: int = 0
    batch_size: int = 64
    device: str = "auto"
    num_beams: int | None = None
    prompt: str | None = None
    reference_prompt: str | None = None
    limit: int | None = None
    caption_fields: tuple[str, ...] = field(default=("caption", "captions", "text"))
    max_pixels: int = 64_000_000

    def __post_init__(self) -> None:
        if not self.captioner:
            raise ConfigError("no captioner: name the one to be made honest with --captioner")
        if self.reward not in ("sfs", "paper"):
            raise ConfigError(f"reward {self.reward!r}: must be sfs or paper")
        for name in ("steps", "lanes", "cases"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)}: must be at least 1")
        self.audit  # noqa: B018  checks what is common

    @property
    def audit(self) -> AuditConfig:
        """The audit that finds the images to train on."""
        common = {f.name for f in fields(AuditConfig)} & {f.name for f in fields(self)} - {"out"}
        return AuditConfig(out=self.out / "audit", **{name: getattr(self, name) for name in common})


@dataclass(frozen=True)
class FinetuneConfig:
    """`srdscan finetune`.

    Attributes:
        shards: folders, globs, brace ranges, paths or http(s) URLs.
        base: the captioner to start from: `captioner` (embedded) or a folder.
        out: folder for the fine-tuned captioner.
        epochs: passes over the samples.
        learning_rate: peak of a cosine.
        seed: order of the samples, dropout.
        limit: learn from at most this many samples.
        caption_fields: fields of a .json member that may hold captions; every caption in the first one present is
            learned.
        max_pixels: larger images are left out.
    """

    shards: tuple[str, ...] = ()
    base: str = "captioner"
    out: Path = Path("srdscan-canary")
    epochs: int = 4
    learning_rate: float = 5e-4
    seed: int = 0
    limit: int | None = None
    caption_fields: tuple[str, ...] = field(default=("caption", "captions", "text"))
    max_pixels: int = 64_000_000

    def __post_init__(self) -> None:
        if not self.shards:
            raise ConfigError("no shards: name a folder, a glob, a brace range, a path or a URL")
        if self.epochs < 1:
            raise ConfigError(f"epochs {self.epochs}: must be at least 1")
        if not 0 < self.learning_rate < 1:
            raise ConfigError(f"learning_rate {self.learning_rate}: must lie between 0 and 1, for example 0.0005")
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit {self.limit}: must be at least 1")
        if self.seed < 0:
            raise ConfigError(f"seed {self.seed}: must not be negative")


def allowed_share(fail_on: str) -> float | None:
    """The share of flagged samples up to which the gate passes; None never fails.

    >>> allowed_share("any"), allowed_share("rate=0.01"), allowed_share("never")
    (0.0, 0.01, None)
    """
    if fail_on == "never":
        return None
    if fail_on == "any":
        return 0.0
    match = re.fullmatch(r"rate=(\d*\.?\d+(?:e-?\d+)?)", fail_on)
    if match and 0 <= float(match.group(1)) <= 1:
        return float(match.group(1))
    raise ConfigError(f"fail_on {fail_on!r}: must be any, never, or rate=SHARE with a share from 0 to 1 (rate=0.01)")


def load_config(cls: type[C], path: Path | None, overrides: dict[str, Any]) -> C:
    """A configuration from a YAML file, with command-line values on top; None overrides nothing.

    Raises:
        ConfigError: the file cannot be read, has an unknown key, or a value of the wrong kind.
    """
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    if path is not None:
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"{path}: cannot be read as YAML: {error}") from error
        if not isinstance(document, dict):
            raise ConfigError(f"{path}: must be a mapping of option names to values")
        unknown = sorted(set(map(str, document)) - set(known))
        if unknown:
            raise ConfigError(f"{path}: unknown option {', '.join(unknown)}; known are {', '.join(known)}")
        values = document
    values |= {name: value for name, value in overrides.items() if value is not None}
    return cls(**{name: _convert(name, str(known[name].type), value) for name, value in values.items()})


def _convert(name: str, kind: str, value: Any) -> Any:
    """A YAML or command-line value as the field's type."""
    optional = "None" in kind
    if value is None:
        if optional:
            return None
        raise ConfigError(f"{name}: must not be empty")
    try:
        if isinstance(value, dict if kind.startswith("tuple") else (dict, list, tuple)):
            raise TypeError("it is nested too deep")
        if kind.startswith("tuple"):
            return (value,) if isinstance(value, str) else tuple(str(item) for item in value)
        if "Path" in kind:
            return Path(value)
        for cls in (bool, int, float, str):
            if cls.__name__ in kind:
                if cls in (int, float) and isinstance(value, bool):
                    raise ValueError("a number is wanted")
                if cls is int and float(value) != int(value):
                    raise ValueError("a whole number is wanted")
                return cls(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(f"{name}: {value!r} is not a {kind.replace(' | None', '')} ({error})") from error
    return value
