"""The captions that a text or JSON file of a sample holds, and the file with other captions in their place."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from srdscan.sources.base import Caption, ReadOptions, Reason
from srdscan.sources.json_text import JsonPath, replace_values

__all__ = ["Told", "Unfit", "captions_of_file", "checked", "checked_caption", "edit_file", "gather", "told_by_json"]

_LINE = re.compile(rb"[^\r\n]+")


class Unfit(Exception):
    """A sample, or a part of one, cannot be audited.

    Attributes:
        reason: one word.
        detail: one line.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason: Reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Told:
    """One standing of a caption.

    Attributes:
        text: without surrounding white space.
        place: where it stands, for people.
        address: where it stands in its file: the way to a string in JSON, or a line's number.
        question: what it answers, in a conversation.
    """

    text: str
    place: str
    address: JsonPath
    question: str = ""


def captions_of_file(data: bytes, name: str, ext: str, options: ReadOptions) -> tuple[list[Told], list[Unfit]]:
    """Every caption in a caption file, and what in it cannot be audited.

    Args:
        data: content of the file.
        name: of the file, for messages.
        ext: its lower-case extension with the dot; `.json` holds JSON, others text.
        options: fields and limits.

    Raises:
        Unfit: nothing of the file can be audited.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeError as error:
        raise Unfit("not_utf8", f"{name}: {error}") from error
    if ext == ".json":
        found = _json_captions(text, name, options)
    elif options.txt == "whole":
        found = [Told(text, name, ())]
    else:
        lines = list(_LINE.finditer(data))
        found = [Told(line.group().decode("utf-8-sig"), f"{name} line {n + 1}", (n,)) for n, line in enumerate(lines)]
        if len(found) == 1:
            found = [Told(found[0].text, name, (0,))]
    told: list[Told] = []
    unfit: list[Unfit] = []
    for item in found:
        try:
            told.append(Told(checked_caption(item.text, item.place, options), item.place, item.address))
        except Unfit as error:
            if error.reason != "empty_caption" or len(found) == 1:
                unfit.append(error)
    if not told:
        raise unfit[0] if unfit else Unfit("empty_caption", name)
    return told, unfit


def checked_caption(text: str, place: str, options: ReadOptions) -> str:
    """A caption without surrounding white space.

    Raises:
        Unfit: it is empty, too long, or no text that can be stored.
    """
    text = text.strip()
    try:
        text.encode()  # JSON can spell lone surrogates, which nothing downstream can store
    except UnicodeError as error:
        raise Unfit("not_utf8", f"{place}: {error}") from error
    if len(text) > options.max_caption_chars:
        raise Unfit("oversized_member", f"{place}: caption of {len(text):,} characters")
    if not text:
        raise Unfit("empty_caption", place)
    return text


def told_by_json(document: object, name: str, fields: Sequence[str]) -> list[Told]:
    """The texts in the given fields of a JSON object, and of the lists there."""
    if not isinstance(document, dict):
        return []
    found = []
    for field in fields:
        value = document.get(field)
        if isinstance(value, str):
            found.append(Told(value, f"{name} {field}", (field,)))
        elif isinstance(value, list):
            found += [
                Told(item, f"{name} {field}[{n}]", (field, n)) for n, item in enumerate(value) if isinstance(item, str)
            ]
    return found


def _json_captions(text: str, name: str, options: ReadOptions) -> list[Told]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unfit("bad_json", f"{name}: {str(error)[:200]}") from error
    found = told_by_json(document, name, options.caption_fields)
    if not found:
        there = ", ".join(map(str, list(document)[:8])) if isinstance(document, dict) else "no object"
        wanted = ", ".join(options.caption_fields)
        raise Unfit(
            "no_caption_field", f"{name}: no text in {wanted}; it holds {there}. Name the field: caption_fields"
        )
    return found


def checked(told: Sequence[Told], options: ReadOptions) -> tuple[list[Told], list[Unfit]]:
    """What can be audited of the captions that a sample tells, and what cannot.

    Raises:
        Unfit: nothing can.
    """
    fit: list[Told] = []
    unfit: list[Unfit] = []
    for item in told:
        try:
            fit.append(replace(item, text=checked_caption(item.text, item.place, options)))
        except Unfit as error:
            unfit.append(error)
    if not fit:
        raise unfit[0] if unfit else Unfit("no_caption", "none is there")
    return fit, unfit


def gather(told: Sequence[Told]) -> tuple[Caption, ...]:
    """Captions whose texts differ, in order of their first standing, from each standing."""
    standing: dict[str, list[Told]] = {}
    for item in told:
        standing.setdefault(item.text, []).append(item)
    return tuple(
        Caption(text, tuple(item.place for item in items), items[0].question) for text, items in standing.items()
    )


def edit_file(data: bytes, name: str, ext: str, options: ReadOptions, edits: Mapping[str, str | None]) -> bytes | None:
    """A caption file with captions replaced or taken out; every other byte stays. None if no caption is left.

    Args:
        edits: text of a caption, as `captions_of_file` gives it -> its new text; None takes it out.
    """
    try:
        told, unfit = captions_of_file(data, name, ext, options)
    except Unfit:
        return data
    chosen = {item.address: edits[item.text] for item in told if item.text in edits}
    if not chosen:
        return data
    if len(chosen) == len(told) and not unfit and all(new is None for new in chosen.values()):
        return None
    if ext == ".json":
        text = data.decode("utf-8-sig")
        mark = data[:3] if data.startswith(b"\xef\xbb\xbf") else b""
        return mark + replace_values(text, chosen).encode()
    if options.txt == "whole":
        new = chosen[()]
        return None if new is None else _around(data, new)
    out, at = [], 0
    for number, line in enumerate(_LINE.finditer(data)):
        if (number,) not in chosen:
            continue
        new = chosen[number,]
        end = line.end()
        out.append(data[at : line.start()])
        if new is None:  # the line goes with what ends it
            end += len(re.match(rb"\r\n|\r|\n|", data[end:]).group())  # type: ignore[union-attr]
        else:
            out.append(_around(line.group(), new))
        at = end
    return b"".join((*out, data[at:]))


def _around(data: bytes, new: str) -> bytes:
    """A new text between the white space, and behind the byte order mark, that surrounded the old one."""
    mark = b"\xef\xbb\xbf" if data.startswith(b"\xef\xbb\xbf") else b""
    text = data[len(mark) :].decode()
    start = len(text) - len(text.lstrip())
    end = len(text.rstrip())
    return mark + (text[:start] + new + text[end:]).encode()
