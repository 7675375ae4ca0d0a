"""Parquet files with images as bytes and columns of captions, as the Hugging Face Hub and img2dataset write them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from srdscan.sources.annotated import add_file
from srdscan.sources.base import (
    Edit,
    ImageFile,
    Irregular,
    Leftover,
    ReadOptions,
    Sample,
    ShardError,
    Unit,
)
from srdscan.sources.captions import Told, Unfit, checked, gather
from srdscan.sources.download import fetched
from srdscan.sources.naming import names_below_root
from srdscan.sources.uid import uid_of
from srdscan.sources.where import is_remote, redacted

IMAGE_COLUMNS: Final = ("image", "jpg", "jpeg", "png", "webp", "img", "image_bytes", "images", "pixel_values")
KEY_COLUMNS: Final = ("__key__", "key", "id", "uid", "image_id", "file_name")
AT_ONCE: Final = 64
"""Rows that are in memory together."""


class ParquetSource:
    """Parquet files; each is a unit, read a few rows at a time.

    Args:
        files: their paths or URLs.
        leftovers: files among the data that were not taken.
    """

    format = "parquet"

    def __init__(self, files: Sequence[str], leftovers: Sequence[Leftover] = ()) -> None:
        names = names_below_root(files)
        self.units: Sequence[Unit] = [Unit(name, place) for name, place in zip(names, files, strict=True)]
        self.leftovers = leftovers

    @contextmanager
    def open(self, unit: Unit) -> Iterator[ParquetUnit]:
        """Checks that the file is there, and downloads it where that is needed.

        Raises:
            ShardError: it cannot be read or downloaded.
        """
        if is_remote(unit.location):
            with fetched(unit.location, ".parquet") as (path, _, digest):
                yield ParquetUnit(unit.name, path, redacted(unit.location), digest)
            return
        try:
            with open(unit.location, "rb"):
                pass
        except OSError as error:
            raise ShardError(unit.location, f"cannot be read: {error.strerror}", remedy="Check the path.") from error
        yield ParquetUnit(unit.name, Path(unit.location), unit.location)


def holds_images(path: Path) -> bool:
    """Whether this is a Parquet file with a column of images; img2dataset's metadata beside its tars are none."""
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException):
        return False
    return image_column(schema, ReadOptions()) is not None


def image_column(schema: pa.Schema, options: ReadOptions) -> str | None:
    """The column of images: binary, a struct with `bytes`, or lists of these."""
    names = (options.image_field,) if options.image_field else IMAGE_COLUMNS
    return next((n for n in names if n in schema.names and _is_image(schema.field(n).type)), None)


def _is_image(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _is_image(kind.value_type)
    if pa.types.is_struct(kind):
        return any(kind.field(n).name in ("bytes", "path") for n in range(kind.num_fields))
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


@dataclass
class ParquetUnit:
    """A Parquet file on the local disk.

    Attributes:
        name: identifies it in every report.
        path: where its bytes are now.
        location: where it came from, for messages.
        digest: of its bytes, where that is known from the download.
    """

    name: str
    path: Path
    location: str
    digest: str = ""

    def sha256(self) -> str:
        """Of the file."""
        if self.digest:
            return self.digest
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def read(self, options: ReadOptions) -> Iterator[Sample | Irregular]:
        """A sample a row."""
        seen: set[str] = set()
        with self._file() as file:
            image, captions = self._columns(file.schema_arrow, options)
            keys = next((n for n in KEY_COLUMNS if n in file.schema_arrow.names), None)
            uids = "uid" if "uid" in file.schema_arrow.names else None
            wanted = list(dict.fromkeys([image, *captions, *(name for name in (keys, uids) if name)]))
            for index, row in enumerate(_rows(file, self.location, wanted)):
                key = str(row[keys]) if keys and row[keys] not in (None, "") else f"{index:09d}"
                key = key if key not in seen else f"{key} row {index}"
                seen.add(key)
                yield from self._judge(row, index, key, image, captions, options)

    def rewrite(self, folder: Path, edits: Mapping[int, Edit], options: ReadOptions) -> None:
        """The same schema, row groups, compression and other columns; without edits, the same file."""
        target = folder / self.name
        if target.exists() and target.samefile(self.path):
            raise ValueError(f"{target}: would overwrite the original. Choose another folder.")
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + ".partial")
        try:
            if edits:
                self._write(partial, edits, options)
            else:
                shutil.copyfile(self.path, partial)
            os.replace(partial, target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise

    def extract(self, folder: Path, samples: Collection[int], options: ReadOptions) -> None:
        """Images and other columns of some rows, as a tar."""
        target = folder / f"{self.name}.tar"
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + ".partial")
        with self._file() as file, tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as out:
            image, _ = self._columns(file.schema_arrow, options)
            for index, row in enumerate(_rows(file, self.location, file.schema_arrow.names)):
                if index not in samples:
                    continue
                for place, (data, name) in enumerate(_pictures(row[image])):
                    suffix = Path(name or "").suffix.lower() or ".jpg"
                    add_file(out, f"{index:06d}{f'.{place}' if place else ''}{suffix}", data or b"")
                rest = {column: value for column, value in row.items() if column != image}
                add_file(out, f"{index:06d}.json", json.dumps(rest, default=str).encode())
        os.replace(partial, target)

    @contextmanager
    def _file(self) -> Iterator[pq.ParquetFile]:
        try:
            file = pq.ParquetFile(self.path)
        except (OSError, pa.ArrowException) as error:
            raise ShardError(self.location, f"is no sound Parquet file: {str(error)[:200]}") from error
        with file:
            yield file

    def _columns(self, schema: pa.Schema, options: ReadOptions) -> tuple[str, list[str]]:
        image = image_column(schema, options)
        captions = [n for n in options.caption_fields if n in schema.names]
        if image is None or not captions:
            what = "images" if image is None else "captions"
            there = ", ".join(schema.names)[:200]
            remedy = f"Name it with --{'image' if image is None else 'caption'}-column."
            raise ShardError(self.location, f"no known column of {what} among {there}", remedy=remedy)
        return image, captions

    def _judge(
        self, row: Mapping[str, Any], index: int, key: str, image: str, captions: Sequence[str], options: ReadOptions
    ) -> Iterator[Sample | Irregular]:
        problems: list[Unfit] = []
        try:
            told, unfit = checked(_told(row, captions), options)
            images = self._images(row[image], image, options, problems)
        except Unfit as error:
            yield Irregular(self.name, key, error.reason, error.detail, index)
            return
        for problem in (*problems, *(error for error in unfit if error.reason != "empty_caption")):
            yield Irregular(self.name, key, problem.reason, problem.detail, index, partial=True)
        yield Sample(self.name, key, images, gather(told), index, uid_of(row.get("uid"), key))

    def _images(self, value: Any, column: str, options: ReadOptions, problems: list[Unfit]) -> tuple[ImageFile, ...]:
        images = []
        for data, path in _pictures(value):
            try:
                content = data if data is not None else self._outside(path)
                if len(content) > options.max_member_bytes:
                    raise Unfit("oversized_member", f"column {column}: {len(content):,} bytes")
                images.append(ImageFile(path or f"column {column}", content))
            except Unfit as error:
                problems.append(error)
        if not images:
            raise problems[0] if problems else Unfit("no_image", f"column {column} is empty")
        return tuple(images)

    def _outside(self, path: str | None) -> bytes:
        """An image that a row names and does not hold; it must lie below the file's folder."""
        if not path:
            raise Unfit("no_image", "neither bytes nor path")
        if self.digest:
            raise Unfit("missing_image", f"{path}: outside {self.name}, which was downloaded by itself")
        root = self.path.parent.resolve()
        place = (root / path).resolve() if not Path(path).is_absolute() else Path("/")
        if not place.is_relative_to(root):
            raise Unfit("unsafe_name", path)
        if not place.is_file():
            raise Unfit("missing_image", f"{path}: not in {root}")
        return place.read_bytes()

    def _write(self, partial: Path, edits: Mapping[int, Edit], options: ReadOptions) -> None:
        left = dict(edits)
        with self._file() as file:
            schema = file.schema_arrow
            image, captions = self._columns(schema, options)
            group = file.metadata.row_group(0) if file.num_row_groups else None
            compression = group.column(0).compression.lower() if group and group.num_columns else "snappy"
            compression = "none" if compression == "uncompressed" else compression
            start = 0
            with pq.ParquetWriter(partial, schema, compression=compression) as writer:
                for number in range(file.num_row_groups):
                    table = file.read_row_group(number)
                    here = {index: left.pop(index) for index in list(left) if start <= index < start + len(table)}
                    writer.write_table(_edited(table, start, here, image, captions, options) if here else table)
                    start += len(table)
        if left:
            raise ValueError(f"{self.name}: nothing to edit under {sorted(left)[:5]}")


def _rows(file: pq.ParquetFile, location: str, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    read = 0
    try:
        for batch in file.iter_batches(AT_ONCE, columns=list(columns)):
            for row in batch.to_pylist():
                yield row
                read += 1
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise ShardError(location, f"damaged: {str(error)[:200]}", samples_read=read) from error


def _pictures(value: Any) -> Iterator[tuple[bytes | None, str | None]]:
    """(bytes, path) of each image in a cell."""
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, bytes):
            yield item, None
        elif isinstance(item, dict):
            yield item.get("bytes"), item.get("path")


def _told(row: Mapping[str, Any], captions: Sequence[str]) -> list[Told]:
    found = []
    for column in captions:
        value = row[column]
        if isinstance(value, str):
            found.append(Told(value, f"column {column}", (column,)))
        elif isinstance(value, list):
            found += [
                Told(item, f"column {column}[{n}]", (column, n))
                for n, item in enumerate(value)
                if isinstance(item, str)
            ]
    return found


def _edited(
    table: pa.Table, start: int, edits: Mapping[int, Edit], image: str, captions: Sequence[str], options: ReadOptions
) -> pa.Table:
    """A row group with edits; columns that do not change keep their arrays."""
    gone: set[int] = set()
    columns: dict[str, list[Any]] = {}

    def column(name: str) -> list[Any]:
        return columns.setdefault(name, table[name].to_pylist())

    for index, edit in edits.items():
        place = index - start
        told, _ = checked(_told({name: table[name][place].as_py() for name in captions}, captions), options)
        found = gather(told)
        texts = {found[n].text: new for n, new in edit.captions.items()}
        if edit.drop or (len(texts) == len(found) and not any(texts.values())):
            gone.add(place)
            continue
        for name in captions:
            value = column(name)[place]
            if isinstance(value, str) and value.strip() in texts:
                column(name)[place] = texts[value.strip()]
            elif isinstance(value, list):
                new = [texts.get(item.strip(), item) if isinstance(item, str) else item for item in value]
                column(name)[place] = [
                    item for item, old in zip(new, value, strict=True) if item is not None or old is None
                ]
        for n, data in edit.images.items():
            column(image)[place] = _replaced(column(image)[place], n, data)
    for name, values in columns.items():
        number = table.schema.get_field_index(name)
        table = table.set_column(number, table.schema.field(number), pa.array(values, table.schema.field(number).type))
    kept = pa.array([n for n in range(len(table)) if n not in gone], pa.int64())
    return table.take(kept) if gone else table


def _replaced(value: Any, place: int, data: bytes) -> Any:
    if isinstance(value, list):
        return [_replaced(item, 0, data) if n == place else item for n, item in enumerate(value)]
    return {**value, "bytes": data} if isinstance(value, dict) else data
