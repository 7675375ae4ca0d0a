"""Data sets whose captions stand in a file that names the images: what the forms of such files have in common."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from srdscan.sources.base import (
    Edit,
    ImageFile,
    Irregular,
    Leftover,
    ReadOptions,
    Sample,
    ShardError,
    ShardSpecError,
    Unit,
)
from srdscan.sources.captions import Told, Unfit, checked, gather
from srdscan.sources.json_text import JsonPath
from srdscan.sources.naming import names_below_root

MAX_FILE_BYTES: Final = 4 << 30
"""Of an annotation file, which is held in memory as a whole."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class Record:
    """What an annotation file says of one sample.

    Attributes:
        key: names the sample.
        images: paths as they are written.
        told: the standings of its captions.
        whole: what goes where the sample goes.
        shown: the record as it is, for the quarantine; JSON.
        problem: why nothing can be made of it.
    """

    key: str
    images: tuple[str, ...]
    told: tuple[Told, ...]
    whole: tuple[JsonPath, ...]
    shown: Any = None
    problem: Unfit | None = None


class Form(Protocol):
    """A form of annotation file."""

    format: str

    def records(self, text: str, name: str, options: ReadOptions) -> Iterator[Record]:
        """Every record in order, the same each time.

        Raises:
            Unfit: the file as a whole is of another form.
        """
        ...

    def edit(self, text: str, changes: Mapping[JsonPath, str | None]) -> str:
        """The text with other strings at some addresses; None takes out what stands there."""
        ...


class AnnotatedSource:
    """Annotation files of one form with their images.

    Args:
        form: of the files.
        files: their paths.
        images: folder that the paths of images start from; that of each file if None.
        leftovers: files among the data that were not taken.
    """

    def __init__(
        self, form: Form, files: Sequence[Path], images: Path | None = None, leftovers: Sequence[Leftover] = ()
    ) -> None:
        if not files:
            raise ShardSpecError("no annotation file given")
        self.form, self.images, self.format = form, images, form.format
        names = names_below_root([str(path) for path in files])
        self.units: Sequence[Unit] = [Unit(name, str(path)) for name, path in zip(names, files, strict=True)]
        self.leftovers: Sequence[Leftover] = leftovers

    @contextmanager
    def open(self, unit: Unit) -> Iterator[AnnotatedUnit]:
        """Reads the annotation file.

        Raises:
            ShardError: it cannot be read, or is too large.
        """
        path = Path(unit.location)
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise ShardError(unit.location, f"more than {MAX_FILE_BYTES:,} bytes", remedy="Split it.")
            data = path.read_bytes()
        except OSError as error:
            raise ShardError(unit.location, f"cannot be read: {error.strerror}", remedy="Check the path.") from error
        yield AnnotatedUnit(unit, self.form, data, self.images or path.parent)


@dataclass
class AnnotatedUnit:
    """An annotation file at hand, and the folder of its images."""

    unit: Unit
    form: Form
    data: bytes
    root: Path
    _records: dict[ReadOptions, list[Record]] = field(default_factory=dict, repr=False)

    def sha256(self) -> str:
        """Of the annotation file, and of every image that it names under the usual fields."""
        digest = hashlib.sha256(self.data)
        try:
            named = {path for record in self.records(ReadOptions()) for path in record.images}
        except ShardError:
            named = set()
        for path in sorted(named):
            digest.update(path.encode("utf-8", "surrogatepass"))
            try:
                with self._image(path).open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
            except (Unfit, OSError):
                digest.update(b"missing")
        return digest.hexdigest()

    def records(self, options: ReadOptions) -> list[Record]:
        """What the file says.

        Raises:
            ShardError: it is of another form, or damaged.
        """
        if options not in self._records:
            try:
                text = self.data.decode("utf-8-sig")
                self._records[options] = list(self.form.records(text, self.unit.name, options))
            except UnicodeError as error:
                raise ShardError(self.unit.location, f"is not UTF-8: {error}", remedy="Save it as UTF-8.") from error
            except Unfit as error:
                raise ShardError(self.unit.location, error.detail, remedy="Check the file and --format.") from error
        return self._records[options]

    def read(self, options: ReadOptions) -> Iterator[Sample | Irregular]:
        """Every record with its images."""
        seen: set[str] = set()
        for index, record in enumerate(self.records(options)):
            problems: list[Unfit] = []
            try:
                if record.problem is not None:
                    raise record.problem
                if record.key in seen:
                    raise Unfit("duplicate_key", record.key)
                told, unfit = checked(record.told, options)
                images = self._images(record, options, problems)
            except Unfit as error:
                yield Irregular(self.unit.name, record.key, error.reason, error.detail, index)
                continue
            finally:
                seen.add(record.key)
            for problem in (*problems, *(error for error in unfit if error.reason != "empty_caption")):
                yield Irregular(self.unit.name, record.key, problem.reason, problem.detail, index, partial=True)
            yield Sample(self.unit.name, record.key, images, gather(told), index)

    def rewrite(self, folder: Path, edits: Mapping[int, Edit], options: ReadOptions) -> None:
        """The annotation file with edits, and the images that it names."""
        records = self.records(options)
        if missing := edits.keys() - {*range(len(records))}:
            raise ValueError(f"{self.unit.name}: nothing to edit under {sorted(missing)[:5]}")
        changes: dict[JsonPath, str | None] = {}
        pictures: dict[str, bytes] = {}
        gone: set[int] = set()
        for index, edit in edits.items():
            told, _ = checked(records[index].told, options)
            captions = gather(told)
            texts = {captions[place].text: new for place, new in edit.captions.items()}
            changed = {item.address: texts[item.text] for item in told if item.text in texts}
            if edit.drop or (len(changed) == len(records[index].told) and not any(changed.values())):
                gone.add(index)
                changed = dict.fromkeys(records[index].whole)
            changes |= changed
            pictures |= {records[index].images[place]: data for place, data in edit.images.items()}
        text = self.data.decode("utf-8-sig")
        mark = b"\xef\xbb\xbf" if self.data.startswith(b"\xef\xbb\xbf") else b""
        new = mark + self.form.edit(text, changes).encode("utf-8", "surrogatepass") if changes else self.data
        target = folder / self.unit.name
        kept = {path for index, record in enumerate(records) if index not in gone for path in record.images}
        for path in sorted(kept):
            self._copy(path, target.parent, pictures.get(path))
        write_whole(target, new)

    def extract(self, folder: Path, samples: Collection[int], options: ReadOptions) -> None:
        """Images and records of some samples, as a tar."""
        target = folder / f"{self.unit.name}.tar"
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + ".partial")
        with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as out:
            for index in sorted(samples):
                record = self.records(options)[index]
                for place, path in enumerate(record.images):
                    try:
                        data = self._image(path).read_bytes()
                    except (Unfit, OSError):
                        continue
                    extra = f".{place}" if place else ""
                    add_file(out, f"{index:06d}{extra}{Path(path).suffix.lower()}", data)
                shown = {"key": record.key, "images": record.images, "record": record.shown}
                add_file(out, f"{index:06d}.json", json.dumps(shown, default=str).encode())
        os.replace(partial, target)

    def _images(self, record: Record, options: ReadOptions, problems: list[Unfit]) -> tuple[ImageFile, ...]:
        if not record.images:
            raise Unfit("no_image", f"{record.key}: names no image")
        images = []
        for path in record.images:
            try:
                place = self._image(path)
                if place.stat().st_size > options.max_member_bytes:
                    raise Unfit("oversized_member", f"{path}: {place.stat().st_size:,} bytes")
                images.append(ImageFile(path, place.read_bytes()))
            except OSError as error:
                problems.append(Unfit("missing_image", f"{path}: {error.strerror}"))
            except Unfit as error:
                problems.append(error)
        if not images:
            raise problems[0]
        return tuple(images)

    def _image(self, path: str) -> Path:
        """Where an image lies.

        Raises:
            Unfit: outside the root, or nowhere.
        """
        parts = path.replace("\\", "/").split("/")
        if _CONTROL.search(path) or ".." in parts or parts[0] == "" or re.match(r"[A-Za-z]:|[a-z]+://", path):
            raise Unfit("unsafe_name", path)
        place = self.root.joinpath(*parts)
        root = self.root.resolve()
        if not place.resolve().is_relative_to(root):
            raise Unfit("unsafe_name", f"{path}: leads out of {self.root}")
        if not place.is_file():
            raise Unfit("missing_image", f"{path}: not in {self.root}")
        return place

    def _copy(self, path: str, folder: Path, new: bytes | None) -> None:
        try:
            original = self._image(path)
        except Unfit:
            return  # there was none
        target = folder.joinpath(*path.replace("\\", "/").split("/"))
        if target.exists() and target.samefile(original):
            raise ValueError(f"{target}: would overwrite the original. Choose another folder.")
        if new is not None:
            write_whole(target, new)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(original, target.with_name(target.name + ".partial"))
        os.replace(target.with_name(target.name + ".partial"), target)


def write_whole(target: Path, data: bytes) -> None:
    """Writes a file whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    partial.write_bytes(data)
    os.replace(partial, target)


def add_file(out: tarfile.TarFile, name: str, data: bytes) -> None:
    """A file in a tar, with the same header every time."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(data), 0o644, 0
    out.addfile(info, io.BytesIO(data))
