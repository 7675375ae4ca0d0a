"""The configuration of each command: one frozen dataclass, from YAML and the command line."""

import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

C = TypeVar("C")


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
        language_model: `embedded`, a folder or a Hub id.
        calibration: folder of an earlier audit of trusted clean shards with the same models, for exact p-values.
        fdr: false-discovery rate that flagging is held to, in (0, 1).
        fail_on: `any`, `rate=0.01` (fail above this share of flagged samples) or `never`.
        batch_size: images per batch.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        num_beams: beam width; None takes each captioner's own.
        limit: audit at most this many samples.
        seed: of the random controls of peak ablation.
        caption_fields: fields of a .json member that may hold the caption, the first one present is taken.
        max_pixels: larger images are irregular, never decoded.
        pictures: how many flagged samples the HTML report shows.
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
    limit: int | None = None
    seed: int = 0
    caption_fields: tuple[str, ...] = field(default=("caption", "captions", "text"))
    max_pixels: int = 64_000_000
    pictures: int = 200

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
        allowed_share(self.fail_on)


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
