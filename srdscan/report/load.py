"""RUN/report.json read back into the document that it was written from."""

from __future__ import annotations

import json
import types
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from srdscan.errors import ConfigError
from srdscan.report.schema import SCHEMA, Report


def read_report(run: Path) -> Report:
    """The report of a finished audit; written again, it has the same bytes.

    Args:
        run: the `--out` folder.

    Raises:
        ConfigError: no finished audit there, or one of another version.
    """
    path = run / "report.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise ValueError(f"its schema is not {SCHEMA}")
        report: Report = _made(Report, document, "report")
    except (OSError, ValueError, TypeError, KeyError) as error:
        said = error.strerror if isinstance(error, OSError) else f"it is of another version of srdscan ({error})"
        raise ConfigError(
            f"{path}: cannot be read as the report of an audit: {said}. Pass the --out folder of a finished audit"
        ) from error
    return report


def _made(kind: Any, value: Any, where: str) -> Any:
    """A JSON value as the type that a field of the document has.

    Raises:
        TypeError: it is another one.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if kind is object or kind is Any:
        return value
    if origin in (Union, types.UnionType):
        return None if value is None else _made(next(one for one in inner if one is not type(None)), value, where)
    if origin is Literal:
        if value not in inner:
            raise TypeError(f"{where} is {value!r}")
        return value
    if origin is tuple:
        _check(value, list, where)
        each = [inner[0]] * len(value) if inner[-1] is ... else inner
        return tuple(_made(one, item, f"{where}[{n}]") for n, (one, item) in enumerate(zip(each, value, strict=True)))
    if origin is dict:
        _check(value, dict, where)
        return {key: _made(inner[1], item, f"{where}.{key}") for key, item in value.items()}
    if is_dataclass(kind):
        _check(value, dict, where)
        hints = get_type_hints(kind)
        there = [field for field in fields(kind) if field.name in value or _is_needed(field)]
        return kind(**{field.name: _made(hints[field.name], value[field.name], field.name) for field in there})  # type: ignore[operator]
    if kind is float:
        return float("nan") if value is None else float(value)
    _check(value, kind, where)
    return value


def _is_needed(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _check(value: object, kind: type, where: str) -> None:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{where} is {type(value).__name__}, not {kind.__name__}")
