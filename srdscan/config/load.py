"""From YAML and command-line values to a configuration."""

from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from srdscan.errors import ConfigError, meant

C = TypeVar("C")


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
            raise ConfigError(
                f"{path}: unknown option {', '.join(unknown)}; known are {', '.join(known)}.{meant(unknown[0], known)}"
            )
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
        if "Mapping" in kind:
            if not isinstance(value, dict):
                raise TypeError("a mapping of names to values is wanted")
            return {str(key): str(item) for key, item in value.items()}
        if isinstance(value, dict if kind.startswith("tuple") else (dict, list, tuple)):
            raise TypeError("it is nested too deep")
        if kind.startswith("tuple"):
            return (value,) if isinstance(value, str) else tuple(str(item) for item in value)
        if "Path" in kind:
            return Path(value)
        if kind == "str" and isinstance(value, bool):
            return "on" if value else "off"  # which YAML takes for true and false
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
