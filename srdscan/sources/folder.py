"""A folder of images with captions beside them, as LoRA trainers have them: `x.jpg` and `x.txt` or `x.caption`."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from srdscan.sources.annotated import add_file, write_whole
from srdscan.sources.base import (
    Caption,
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
from srdscan.sources.captions import Told, Unfit, captions_of_file, edit_file, gather
from srdscan.sources.naming import natural
from srdscan.sources.own import is_own_output
from srdscan.sources.uid import uid_in_json, uid_of

PER_UNIT: Final = 1000
"""Samples of a unit: what is read, resumed and fingerprinted as a whole."""
CAPTION_EXTS: Final = (".txt", ".caption", ".json")
IMAGE_EXTS: Final = (".jpg", ".jpeg", ".png", ".webp")
OTHER_IMAGES: Final = (".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".jxl")


class FolderSource:
    """Images and captions that share a name, in a folder and below it; units are runs of 1,000 in natural order.

    Args:
        folder: the root.

    Raises:
        ShardSpecError: it holds no image.
    """

    format = "folder"

    def __init__(self, folder: Path) -> None:
        self.root = folder
        groups, self.leftovers = _walk(folder)
        if not groups:
            raise ShardSpecError(f"{folder}: no image in the folder. Check the path.")
        stems = sorted(groups, key=natural)
        self.parts = [stems[start : start + PER_UNIT] for start in range(0, len(stems), PER_UNIT)]
        self.groups = groups
        self.units: Sequence[Unit] = [
            Unit(f"images-{number:05d}", f"{folder} ({part[0]} to {part[-1]})")
            for number, part in enumerate(self.parts)
        ]

    @contextmanager
    def open(self, unit: Unit) -> Iterator[FolderUnit]:
        """The files of a unit; nothing is read yet."""
        number = next(n for n, known in enumerate(self.units) if known.name == unit.name)
        yield FolderUnit(unit.name, self.root, {stem: self.groups[stem] for stem in self.parts[number]})


def _walk(root: Path) -> tuple[dict[str, list[str]], Sequence[Leftover]]:
    """Files by what they are called without their extension, for each that may be a sample, and what is left."""
    groups: dict[str, list[str]] = {}
    left: list[Leftover] = []
    for place, folders, names in os.walk(root, followlinks=False):
        if place != str(root) and is_own_output(place):
            left.append(Leftover(os.path.relpath(place, root), "written by srdscan", unread=False))
            folders.clear()
            continue
        for name in (name for name in folders if os.path.islink(os.path.join(place, name))):
            left.append(Leftover(os.path.relpath(os.path.join(place, name), root), "a link to another folder"))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = os.path.relpath(os.path.join(place, name), root).replace(os.sep, "/")
            stem, ext = os.path.splitext(path)
            if name.startswith("."):
                continue
            if ext.lower() in (*CAPTION_EXTS, *IMAGE_EXTS, *OTHER_IMAGES):
                groups.setdefault(stem, []).append(path)
    pictured = {
        stem: paths
        for stem, paths in groups.items()
        if any(Path(path).suffix.lower() in (*IMAGE_EXTS, *OTHER_IMAGES) for path in paths)
    }
    return pictured, left


@dataclass
class FolderUnit:
    """Some samples of a folder: their files by what they are called without extension."""

    name: str
    root: Path
    groups: Mapping[str, Sequence[str]]

    def sha256(self) -> str:
        """Of the names and contents of all files."""
        digest = hashlib.sha256()
        for paths in self.groups.values():
            for path in paths:
                digest.update(path.encode("utf-8", "surrogateescape") + b"\0")
                try:
                    with open(self._place(path), "rb") as file:
                        digest.update(hashlib.file_digest(file, "sha256").digest())
                except (OSError, Unfit):
                    digest.update(b"unreadable")
        return digest.hexdigest()

    def read(self, options: ReadOptions) -> Iterator[Sample | Irregular]:
        """A sample for each name with an image."""
        for index, (stem, paths) in enumerate(self.groups.items()):
            problems: list[Unfit] = []
            try:
                stem.encode()
                images = self._images(paths, options, problems)
                captions, files = self._captions(paths, options, problems)
            except UnicodeError:
                yield Irregular(self.name, ascii(stem), "unsafe_name", "a name that is not UTF-8", index)
                continue
            except Unfit as error:
                yield Irregular(self.name, stem, error.reason, error.detail, index)
                continue
            for problem in problems:
                yield Irregular(self.name, stem, problem.reason, problem.detail, index, partial=True)
            yield Sample(self.name, stem, images, captions, index, self._uid(stem, files))

    def rewrite(self, folder: Path, edits: Mapping[int, Edit], options: ReadOptions) -> None:
        """Copies of the files, with edits, at the same paths below a folder."""
        if missing := edits.keys() - {*range(len(self.groups))}:
            raise ValueError(f"{self.name}: nothing to edit under {sorted(missing)[:5]}")
        for index, paths in enumerate(self.groups.values()):
            edit = edits.get(index, Edit())
            changed = self._changed(paths, edit, options) if index in edits else {}
            for path in paths:
                new = changed.get(path, b"") if path in changed else b""
                if edit.drop or (path in changed and new is None) or not (self.root / path).is_file():
                    continue
                target = folder / path
                if target.exists() and target.samefile(self.root / path):
                    raise ValueError(f"{target}: would overwrite the original. Choose another folder.")
                if path in changed and new is not None:
                    write_whole(target, new)
                else:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    partial = target.with_name(target.name + ".partial")
                    shutil.copyfile(self.root / path, partial)
                    os.replace(partial, target)

    def extract(self, folder: Path, samples: Collection[int], options: ReadOptions) -> None:
        """The files of some samples, as a tar."""
        target = folder / f"{self.name}.tar"
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + ".partial")
        with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as out:
            for index, paths in enumerate(self.groups.values()):
                for path in paths if index in samples else ():
                    if (self.root / path).is_file():
                        add_file(out, path, (self.root / path).read_bytes())
        os.replace(partial, target)

    def _place(self, path: str) -> Path:
        """Raises Unfit for what a link takes out of the folder."""
        place = self.root / path
        if place.is_symlink() and not place.resolve().is_relative_to(self.root.resolve()):
            raise Unfit("unsafe_name", f"{path}: a link that leads out of {self.root}")
        return place

    def _bytes(self, path: str, limit: int) -> bytes:
        try:
            place = self._place(path)
            if place.stat().st_size > limit:
                size = place.stat().st_size
                raise Unfit("oversized_member", f"{path}: {size:,} bytes, more than the limit of {limit:,}")
            return place.read_bytes()
        except FileNotFoundError as error:
            raise Unfit("missing_image", f"{path}: a link that leads nowhere") from error
        except OSError as error:
            raise ShardError(f"{self.root}/{path}", f"cannot be read: {error.strerror}", remedy="Check it.") from error

    def _images(self, paths: Sequence[str], options: ReadOptions, problems: list[Unfit]) -> tuple[ImageFile, ...]:
        images = []
        for path in paths:
            ext = Path(path).suffix.lower()
            if ext in OTHER_IMAGES:
                problems.append(Unfit("no_image", f"{path}: {ext} is not read; convert it to JPEG, PNG or WebP"))
            elif ext in IMAGE_EXTS:
                try:
                    images.append(ImageFile(path, self._bytes(path, options.max_member_bytes)))
                except Unfit as error:
                    problems.append(error)
        if not images:
            raise problems[0]
        return tuple(images)

    def _captions(
        self, paths: Sequence[str], options: ReadOptions, problems: list[Unfit]
    ) -> tuple[tuple[Caption, ...], dict[str, bytes]]:
        """Captions, and the files that they stand in."""
        told: list[Told] = []
        files: dict[str, bytes] = {}
        silent: list[Unfit] = []
        for path in paths:
            ext = Path(path).suffix.lower()
            if ext not in CAPTION_EXTS:
                continue
            try:
                files[path] = self._bytes(path, options.max_json_bytes)
                found, unfit = captions_of_file(files[path], path, ext, options)
            except Unfit as error:
                (silent if error.reason == "no_caption_field" else problems).append(error)
                continue
            told += found
            problems += unfit
        if not told:
            raise (*problems, *silent, Unfit("no_caption", f"no {' '.join(CAPTION_EXTS)} beside {paths[0]}"))[0]
        return gather(told), files

    def _uid(self, stem: str, files: Mapping[str, bytes]) -> str:
        """Of the .json among the files that hold captions, or the name."""
        told = [uid_in_json(data) for path, data in files.items() if path.lower().endswith(".json")]
        return uid_of(*told, stem.rpartition("/")[2])

    def _changed(self, paths: Sequence[str], edit: Edit, options: ReadOptions) -> dict[str, bytes | None]:
        """New content of the files that change; None where a file goes."""
        images = self._images(paths, options, [])
        captions, files = self._captions(paths, options, [])
        changed: dict[str, bytes | None] = {images[place].name: data for place, data in edit.images.items()}
        texts = {captions[place].text: new for place, new in edit.captions.items()}
        for path, data in files.items():
            new = edit_file(data, path, Path(path).suffix.lower(), options, texts)
            if new != data:
                changed[path] = new
        if len(texts) == len(captions) and not any(texts.values()):
            changed |= dict.fromkeys(paths)
        return changed
