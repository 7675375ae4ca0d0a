"""JSON and JSONL annotation files: metadata.jsonl, COCO captions, conversations."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from srdscan.sources.annotated import Record
from srdscan.sources.base import ReadOptions
from srdscan.sources.captions import Told, Unfit, told_by_json
from srdscan.sources.json_text import JsonPath, replace_values

IMAGE_FIELDS: Final = ("file_name", "image", "image_path", "filepath", "path", "filename", "images")
"""Where image paths usually stand."""


class Metadata:
    """`metadata.jsonl` beside images, as Hugging Face's ImageFolder takes it: `file_name` and captions, a line each."""

    format = "metadata"

    def records(self, text: str, name: str, options: ReadOptions) -> Iterator[Record]:
        """A record a line."""
        for number, line, document in lines(text):
            key = f"line-{number + 1:06d}"
            if isinstance(document, Unfit):
                yield Record(
                    key, (), (), ((number,),), problem=Unfit("bad_json", f"{name} line {number + 1}: {document}")
                )
                continue
            images = image_paths(document, options)
            place = f"{name} line {number + 1}"
            told = [
                Told(item.text, item.place, (number, *item.address))
                for item in told_by_json(document, place, options.caption_fields)
            ]
            yield Record(images[0] if images else key, images, tuple(told), ((number,),), line)

    def edit(self, text: str, changes: Mapping[JsonPath, str | None]) -> str:
        """Line by line."""
        return edit_lines(text, changes)


class Coco:
    """COCO captions: `images` with `id` and `file_name`, `annotations` with `image_id` and `caption`."""

    format = "coco"

    def records(self, text: str, name: str, options: ReadOptions) -> Iterator[Record]:
        """A record an image; its captions are its annotations."""
        document = parsed(text, name)
        if not isinstance(document, dict) or not all(
            isinstance(document.get(n), list) for n in ("images", "annotations")
        ):
            raise Unfit("bad_json", f"{name}: lacks the lists images and annotations of COCO captions")
        told: dict[str, list[Told]] = {}
        for number, item in enumerate(document["annotations"]):
            if isinstance(item, dict) and isinstance(item.get("caption"), str):
                place = f"{name} annotation {item.get('id', number)}"
                told.setdefault(repr(item.get("image_id")), []).append(
                    Told(item["caption"], place, ("annotations", number, "caption"))
                )
        known = set()
        for number, item in enumerate(document["images"]):
            image = item.get("file_name") if isinstance(item, dict) else None
            identity = repr(item.get("id")) if isinstance(item, dict) else ""
            known.add(identity)
            captions = tuple(told.get(identity, ()))
            whole = (("images", number), *(item.address[:2] for item in captions))
            images = (image,) if isinstance(image, str) else ()
            yield Record(str(image or f"image-{number}"), images, captions, whole, item)
        for identity in told.keys() - known:
            items = tuple(told[identity])
            detail = f"{items[0].place}: of image {identity}, which is not in images"
            yield Record(items[0].place, (), items, (), problem=Unfit("no_image", detail))

    def edit(self, text: str, changes: Mapping[JsonPath, str | None]) -> str:
        """A caption that goes takes its annotation along."""
        return replace_values(text, {path[:2] if new is None else path: new for path, new in changes.items()})


class Conversations:
    """Conversations about images: LLaVA's `conversations`, ShareGPT's `messages`.

    Each answer is a caption of the record's images; the question before it is kept beside it.
    """

    format = "conversations"

    def records(self, text: str, name: str, options: ReadOptions) -> Iterator[Record]:
        """A record a conversation."""
        if text.lstrip().startswith("["):
            document = parsed(text, name)
            items: Iterator[tuple[int, Any, Any]] = ((n, item, item) for n, item in enumerate(document))
        else:
            items = lines(text)
        for number, shown, item in items:
            if isinstance(item, Unfit):
                problem = Unfit("bad_json", f"{name} line {number + 1}: {item}")
                yield Record(f"record-{number:06d}", (), (), ((number,),), problem=problem)
                continue
            told = tuple(_answers(item, number, name)) if isinstance(item, dict) else ()
            images = image_paths(item, options) if isinstance(item, dict) else ()
            key = str(item.get("id") or (images[0] if images else "")) if isinstance(item, dict) else ""
            yield Record(key or f"record-{number:06d}", images, told, ((number,),), shown)

    def edit(self, text: str, changes: Mapping[JsonPath, str | None]) -> str:
        """An answer that goes takes its question along."""
        if not text.lstrip().startswith("["):
            wider: dict[JsonPath, str | None] = {}
            documents = {number: document for number, _, document in lines(text)}
            for path, new in changes.items():
                wider |= _widened(documents[int(path[0])], path, new, 1)
            return edit_lines(text, wider)
        document = json.loads(text)
        values: dict[JsonPath, str | None] = {}
        for path, new in changes.items():
            values |= _widened(document[int(path[0])], path, new, 1)
        return replace_values(text, values)


def _answers(item: Mapping[str, Any], number: int, name: str) -> Iterator[Told]:
    for field, who, what in (("conversations", "from", "value"), ("messages", "role", "content")):
        turns = item.get(field)
        question = ""
        for turn, said in enumerate(turns if isinstance(turns, list) else ()):
            if not isinstance(said, dict) or not isinstance(said.get(what), str):
                continue
            if said.get(who) in ("gpt", "assistant", "model"):
                place = f"{name} [{number}].{field}[{turn}].{what}"
                yield Told(said[what], place, (number, field, turn, what), question)
            elif said.get(who) in ("human", "user"):
                question = said[what].replace("<image>", "").strip()


def _widened(item: Mapping[str, Any], path: JsonPath, new: str | None, skip: int) -> dict[JsonPath, str | None]:
    """A change of an answer; where it goes, its question goes, and the image's mark moves to the next one."""
    if new is not None or len(path) <= skip:
        return {path: new}
    number, field, turn, what = path
    turns, place = item[str(field)], int(turn)
    gone: dict[JsonPath, str | None] = {(number, field, place): None}
    before = turns[place - 1] if place else None
    who = "from" if field == "conversations" else "role"
    if isinstance(before, dict) and before.get(who) in ("human", "user"):
        gone[number, field, place - 1] = None
        if "<image>" in str(before.get(what)):
            following = next((n for n in range(place + 1, len(turns)) if turns[n].get(who) in ("human", "user")), None)
            if following is not None and "<image>" not in str(turns[following].get(what)):
                gone[number, field, following, what] = "<image>\n" + str(turns[following].get(what))
    return gone


def image_paths(document: object, options: ReadOptions) -> tuple[str, ...]:
    """The image paths that a JSON object names; of the usual fields, or of the one that was asked for."""
    if not isinstance(document, dict):
        return ()
    for field in (options.image_field,) if options.image_field else IMAGE_FIELDS:
        value = document.get(field)
        if isinstance(value, str):
            return (value,)
        if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
            return tuple(dict.fromkeys(value))
    return ()


def parsed(text: str, name: str) -> Any:
    """A JSON document.

    Raises:
        Unfit: it is none.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unfit("bad_json", f"{name}: no JSON that can be read: {str(error)[:200]}") from error


def lines(text: str) -> Iterator[tuple[int, str, Any]]:
    """Number, text and JSON document of each line that is not blank; `Unfit` for one that cannot be read."""
    for number, line in enumerate(text.split("\n")):
        if line.strip():
            try:
                yield number, line, json.loads(line)
            except (ValueError, RecursionError) as error:
                yield number, line, Unfit("bad_json", str(error)[:200])


def edit_lines(text: str, changes: Mapping[JsonPath, str | None]) -> str:
    """JSONL with strings replaced, values taken out, and lines taken out whose own path is among the changes."""
    of_line: dict[int, dict[JsonPath, str | None]] = {}
    for path, new in changes.items():
        of_line.setdefault(int(path[0]), {})[path[1:]] = new
    kept = []
    for number, line in enumerate(text.split("\n")):
        values = of_line.get(number)
        if values is None:
            kept.append(line)
        elif () not in values:
            kept.append(replace_values(line, values))
    return "\n".join(kept)
