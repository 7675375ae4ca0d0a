"""CSV and TSV tables with a column of image paths and columns of captions, metadata.csv among them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from srdscan.sources.annotated import Record
from srdscan.sources.base import ReadOptions
from srdscan.sources.captions import Told, Unfit
from srdscan.sources.json_text import JsonPath

IMAGE_COLUMNS: Final = ("file_name", "image", "image_path", "filepath", "path", "filename", "img", "image_file")
CAPTION_COLUMNS: Final = ("title",)
"""Taken beside the fields that options name."""

csv.field_size_limit(1 << 24)


@dataclass(frozen=True)
class Row:
    """A record of a table: its number, its cells, and (start, end) of its text, line end included."""

    number: int
    cells: list[str]
    start: int
    end: int


class Table:
    """A table whose first row names the columns. Rows of one image are one sample, as in Flickr8k's captions.txt."""

    format = "table"

    def records(self, text: str, name: str, options: ReadOptions) -> Iterator[Record]:
        """A record an image."""
        rows = rows_of(text)
        try:
            head = [cell.strip() for cell in next(rows).cells]
        except StopIteration:
            return
        wanted = (options.image_field,) if options.image_field else IMAGE_COLUMNS
        image = next((head.index(column) for column in wanted if column in head), None)
        captions = [n for n, column in enumerate(head) if column in (*options.caption_fields, *CAPTION_COLUMNS)]
        if image is None or not captions:
            raise Unfit(
                "no_caption_field",
                f"{name}: no column of {'images' if image is None else 'captions'} among {', '.join(head)[:200]}; "
                "name it with --image-column or --caption-column",
            )
        told: dict[str, list[Told]] = {}
        numbers: dict[str, list[JsonPath]] = {}
        shown: dict[str, list[dict[str, str]]] = {}
        for row in rows:
            if len(row.cells) <= image:
                path = f"row-{row.number + 1}"
                numbers.setdefault(path, []).append((row.number,))
                continue
            path = row.cells[image].strip()
            numbers.setdefault(path, []).append((row.number,))
            shown.setdefault(path, []).append(dict(zip(head, row.cells, strict=False)))
            for column in captions:
                if column < len(row.cells):
                    place = f"{name} row {row.number + 1} {head[column]}"
                    told.setdefault(path, []).append(Told(row.cells[column], place, (row.number, column)))
        for path, whole in numbers.items():
            images = (path,) if path in shown and path else ()
            yield Record(path, images, tuple(told.get(path, ())), tuple(whole), shown.get(path))

    def edit(self, text: str, changes: Mapping[JsonPath, str | None]) -> str:
        """Only records that change are written anew; one whose last caption goes, goes."""
        of_row: dict[int, dict[int, str | None]] = {}
        for path, new in changes.items():
            of_row.setdefault(int(path[0]), {})[int(path[1]) if len(path) > 1 else -1] = new
        out, at = [], 0
        delimiter = _delimiter(text)
        head: list[str] = []
        for row in rows_of(text):
            head = head or [cell.strip() for cell in row.cells]
            cells = of_row.get(row.number)
            if cells is None:
                continue
            out.append(text[at : row.start])
            at = row.end
            if -1 in cells or self._empties(head, row, cells):
                continue
            values = [cells.get(n, cell) or "" for n, cell in enumerate(row.cells)]
            end = text[row.start : row.end]
            out.append(_line(values, delimiter) + end[len(end.rstrip("\r\n")) :])
        return "".join((*out, text[at:]))

    @staticmethod
    def _empties(head: list[str], row: Row, cells: Mapping[int, str | None]) -> bool:
        """Whether no caption of a row is left: a row that only had this one goes."""
        known = (*ReadOptions().caption_fields, *CAPTION_COLUMNS)
        others = [n for n, column in enumerate(head) if column in known and n not in cells and n < len(row.cells)]
        return not any(cells.values()) and not any(row.cells[n].strip() for n in others)


def rows_of(text: str) -> Iterator[Row]:
    """The records of a table, with where each stands."""
    position = 0
    starts = [0]

    def lines() -> Iterator[str]:
        nonlocal position
        for line in io.StringIO(text, newline=""):
            position += len(line)
            yield line

    reader = csv.reader(lines(), delimiter=_delimiter(text))
    number = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise Unfit("bad_json", f"no table that can be read, at line {reader.line_num}: {error}") from error
        if cells:
            yield Row(number, cells, starts[0], position)
        starts[0] = position
        number += 1


def _delimiter(text: str) -> str:
    """Tab where the first line has more of them than commas."""
    first = text.split("\n", 1)[0]
    return "\t" if first.count("\t") > first.count(",") else ","


def _line(cells: list[str], delimiter: str) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter, lineterminator="").writerow(cells)
    return buffer.getvalue()
