"""Strings inside a JSON text, and the text with other strings in their place: every other character stays."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Final, TypeAlias

__all__ = ["JsonPath", "replace_values", "value_span"]

JsonPath: TypeAlias = tuple[str | int, ...]
"""The way to a value: names of fields and places in lists."""

_BLANK: Final = " \t\n\r"
_DECODER: Final = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class _Child:
    """A field of an object or an item of a list: its name or place, where it begins, and (start, end) of its value."""

    name: str | int
    start: int
    value: int
    end: int


def value_span(text: str, path: JsonPath, start: int = 0) -> tuple[int, int] | None:
    """(start, end) of the value at a path; None if there is none. Of a field that stands twice, the last counts.

    Args:
        text: JSON that `json.loads` reads.
        start: where the outermost value begins, or white space before it.

    >>> value_span('{"a": ["x", "y"]}', ("a", 1))
    (12, 15)
    """
    at = _skip(text, start)
    if not path:
        return at, _DECODER.raw_decode(text, at)[1]
    found = [child for child in _children(text, at) if child.name == path[0]]
    return value_span(text, path[1:], found[-1].value) if found else None


def replace_values(text: str, values: Mapping[JsonPath, str | None]) -> str:
    """The text with other strings at some paths; a value of None takes an item out of its list, or a field out.

    New strings are written in ASCII where the text is.

    Args:
        text: JSON that `json.loads` reads.
        values: path -> new string, or None.

    Raises:
        KeyError: a path leads nowhere.

    >>> replace_values('{"a" : ["x",  "y", 3]}', {("a", 1): "z", ("a", 0): None})
    '{"a" : ["z", 3]}'
    """
    tree: _Tree = {}
    for path, value in values.items():
        branch = tree
        for name in path[:-1]:
            below = branch.setdefault(name, {})
            if not isinstance(below, dict):
                break  # what holds it is replaced or goes
            branch = below
        else:
            if path[-1:] and not (isinstance(branch.get(path[-1]), dict) and value is not None):
                branch[path[-1]] = value
    edits = list(_edits(text, _skip(text, 0), tree, ()))
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


_Tree: TypeAlias = dict[str | int, "str | _Tree | None"]


def _edits(text: str, at: int, tree: _Tree, path: JsonPath) -> Iterator[tuple[int, int, str]]:
    """(start, end, new text) of everything that changes in a value, in one pass over it."""
    children = list(_children(text, at))
    last = {child.name: child for child in children}  # of a field that stands twice, the last is read
    if missing := tree.keys() - last.keys():
        raise KeyError(f"no value at {(*path, *missing)}")
    gone = {name for name, new in tree.items() if new is None}
    yield from ((start, end, "") for start, end in _removal(children, gone))
    for name, new in tree.items():
        child = last[name]
        if isinstance(new, str):
            yield child.value, child.end, json.dumps(new, ensure_ascii=text.isascii())
        elif new is not None:
            yield from _edits(text, child.value, new, (*path, name))


def _removal(children: Sequence[_Child], gone: set[str | int]) -> list[tuple[int, int]]:
    """The spans to cut so that some children of a value go, each with one comma; spans do not overlap."""
    spans: list[tuple[int, int]] = []
    for place, child in enumerate(children):
        if child.name not in gone:
            continue
        following = children[place + 1 :]
        if any(later.name not in gone for later in following):
            spans.append((child.start, following[0].start))
        else:  # everything from here on goes, and the comma before it
            kept = [before for before in children[:place] if before.name not in gone]
            spans.append((kept[-1].end if kept else child.start, children[-1].end))
            break
    return spans


def _children(text: str, at: int) -> Iterator[_Child]:
    """The fields of an object, or the items of a list; none of another value."""
    closing = {"{": "}", "[": "]"}.get(text[at : at + 1])
    if closing is None:
        return
    at = _skip(text, at + 1)
    count = 0
    while text[at] != closing:
        start, name = at, count
        if closing == "}":
            name, at = scanstring(text, at + 1, False)
            at = _skip(text, _skip(text, at) + 1)
        end = _DECODER.raw_decode(text, at)[1]
        yield _Child(name, start, at, end)
        count += 1
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANK:
        at += 1
    return at
