"""From what the user typed to a source: its form is seen in what lies there, or said with `--format`."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from srdscan.errors import meant
from srdscan.plugins import Plugin, PluginError, find_plugins, one_line
from srdscan.sources.annotated import AnnotatedSource
from srdscan.sources.base import ShardSpecError, Source
from srdscan.sources.folder import IMAGE_EXTS, FolderSource
from srdscan.sources.json_files import Coco, Conversations, Metadata
from srdscan.sources.naming import expand_braces, natural
from srdscan.sources.own import is_own_output
from srdscan.sources.parquet import ParquetSource, holds_images
from srdscan.sources.table import Table
from srdscan.sources.tar.files import PACKED
from srdscan.sources.tar.source import TarSource
from srdscan.sources.where import expand_remote, redacted

TABLES: Final = (".csv", ".tsv")
HELP: Final = "`srdscan.sources.check.check_source` tells its authors what is missing"
HEAD: Final = 1 << 16
"""Bytes of a file that tell its form."""


def _tars(patterns: Sequence[str], images: Path | None) -> Source:
    return TarSource(patterns)


def _parquet(patterns: Sequence[str], images: Path | None) -> Source:
    found: dict[str, None] = {}
    for pattern in patterns:
        if "://" in pattern:
            urls = [url for item in expand_braces(pattern) for url in expand_remote(item)]
            chosen = urls if len(urls) == 1 else [url for url in urls if url.lower().endswith(".parquet")]
            if not chosen:
                raise ShardSpecError(f"{redacted(pattern)}: no .parquet file there. Check the URL and --format.")
        else:
            chosen = [str(path) for path in _files([pattern], lambda path: path.suffix.lower() == ".parquet")]
        found |= dict.fromkeys(chosen)
    return ParquetSource(list(found))


def _folder(patterns: Sequence[str], images: Path | None) -> Source:
    if len(patterns) != 1 or not Path(patterns[0]).is_dir():
        raise ShardSpecError(f"{' '.join(patterns)}: --format folder takes one folder")
    return FolderSource(Path(patterns[0]))


def _metadata(patterns: Sequence[str], images: Path | None) -> Source:
    found = _files(patterns, lambda path: path.name in ("metadata.jsonl", "metadata.csv"))
    form = Table() if found and found[0].suffix == ".csv" else Metadata()
    if len({path.suffix for path in found}) > 1:
        raise ShardSpecError(f"{patterns[0]}: holds metadata.jsonl and metadata.csv; name one of them")
    return AnnotatedSource(form, found, images)


def _coco(patterns: Sequence[str], images: Path | None) -> Source:
    files = _files(patterns, lambda path: path.suffix == ".json")
    return AnnotatedSource(Coco(), files, images or _beside(files))


def _table(patterns: Sequence[str], images: Path | None) -> Source:
    return AnnotatedSource(Table(), _files(patterns, lambda path: path.suffix.lower() in (*TABLES, ".txt")), images)


def _conversations(patterns: Sequence[str], images: Path | None) -> Source:
    return AnnotatedSource(Conversations(), _files(patterns, lambda p: p.suffix in (".json", ".jsonl")), images)


FORMATS: dict[str, Callable[[Sequence[str], Path | None], Source]] = {
    "webdataset": _tars,
    "parquet": _parquet,
    "folder": _folder,
    "metadata": _metadata,
    "coco": _coco,
    "table": _table,
    "conversations": _conversations,
}
"""What `--format` takes -> what makes the source of the given places, and of the folder with their images."""


def find_source(patterns: Sequence[str], format: str = "auto", images: Path | None = None) -> Source:
    """The data set that the user named.

    Args:
        patterns: folders, globs, brace ranges, files, URLs.
        format: a key of `FORMATS`, the name of a plug-in (which `auto` never takes), or `auto`.
        images: folder of the images that annotation files name, where it is not theirs.

    Raises:
        ShardSpecError: nothing is there, or nothing that is known.
    """
    name = seen_format(patterns) if format == "auto" else format
    if name in FORMATS:
        return FORMATS[name](patterns, images)
    plugins = find_plugins("sources", ("auto", *FORMATS))
    if name not in plugins:
        known = ("auto", *FORMATS, *plugins)
        raise ShardSpecError(f"--format {format}: must be one of {', '.join(known)}.{meant(format, known)}")
    return _plugged(plugins[name], patterns, images)


def _plugged(plugin: Plugin, patterns: Sequence[str], images: Path | None) -> Source:
    """The source that a plug-in makes.

    Raises:
        PluginError: it makes none.
    """
    make = plugin.load()
    try:
        source: Source = make(patterns, images)
    except (ShardSpecError, OSError):
        raise
    except Exception as error:
        raise PluginError(f"{plugin}: {one_line(error)}. Read the data set in another form, or update it") from error
    missing = [name for name in ("format", "units", "leftovers", "open") if not hasattr(source, name)]
    if missing:
        raise PluginError(f"{plugin}: its source lacks {', '.join(missing)}. {HELP}")
    return source


def seen_format(patterns: Sequence[str]) -> str:
    """The form of what lies there; `webdataset` where that is unknown, which then says what is missing."""
    if not patterns:
        return "webdataset"
    if "://" in patterns[0]:
        return _of_urls(patterns[0])
    first = Path(patterns[0])
    if not first.exists():
        return "parquet" if first.suffix.lower() == ".parquet" else "webdataset"
    if first.is_file():
        return _of_file(first) or "webdataset"
    names = _below(first)
    if any(path.name.lower().endswith((".tar", *PACKED)) for path in names):
        return "webdataset"
    if any(path.name in ("metadata.jsonl", "metadata.csv") for path in names):
        return "metadata"
    if any(path.suffix.lower() == ".parquet" and holds_images(path) for path in names):
        return "parquet"
    if any(path.suffix.lower() in IMAGE_EXTS for path in names):
        return "folder"
    return "webdataset"


def _of_urls(pattern: str) -> str:
    """The form of what a URL stands for. Only files that hold images and captions in one are read from elsewhere."""
    first = expand_braces(pattern)[0]
    names = [redacted(url).lower() for url in expand_remote(first)]
    if any(name.endswith((".tar", *PACKED)) for name in names):
        return "webdataset"
    return "parquet" if any(name.endswith(".parquet") for name in names) else "webdataset"


def _of_file(path: Path) -> str | None:
    """The form of one file, by its name and its first bytes."""
    suffix = path.suffix.lower()
    if path.name in ("metadata.jsonl", "metadata.csv"):
        return "metadata"
    if suffix == ".parquet":
        return "parquet"
    if suffix in TABLES:
        return "table"
    if suffix in (".json", ".jsonl"):
        with path.open("rb") as file:
            head = file.read(HEAD).decode("utf-8-sig", errors="replace")
        if '"conversations"' in head or '"messages"' in head:
            return "conversations"
        return "coco" if suffix == ".json" and not head.lstrip().startswith("[") else "metadata"
    if suffix == ".txt":
        with path.open("rb") as file:
            first = file.readline(HEAD)
        return "table" if b"," in first or b"\t" in first else None
    return None


def _below(folder: Path) -> list[Path]:
    """Files in a folder and below it, but for hidden ones and what srdscan wrote; in natural order."""
    found = []
    for place, folders, names in os.walk(folder):
        if place != str(folder) and is_own_output(place):
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place, name) for name in names if not name.startswith(".")]
    return sorted(found, key=lambda path: natural(str(path)))


def _files(patterns: Sequence[str], fits: Callable[[Path], bool]) -> list[Path]:
    """The files that patterns name, and those in folders that fit."""
    found: dict[str, Path] = {}
    for pattern in patterns:
        if "://" in pattern:
            raise ShardSpecError(
                f"{redacted(pattern)}: only .tar and .parquet files are read from URLs. Download the folder first."
            )
        path = Path(pattern)
        if path.is_dir():
            chosen = [inner for inner in _below(path) if fits(inner)]
        elif path.exists():
            chosen = [path]
        else:
            chosen = [Path(name) for name in sorted(glob.glob(pattern, recursive=True), key=natural)]
        if not chosen:
            raise ShardSpecError(f"{pattern}: nothing of this form there. Check the path and --format.")
        found |= {os.path.abspath(item): item for item in chosen}
    return list(found.values())


def _beside(files: Sequence[Path]) -> Path | None:
    """The folder of a COCO file's images where they are not beside it: images/, or one named like train2017."""
    for path in files:
        try:
            images = json.loads(path.read_text(encoding="utf-8-sig"))["images"]
            name = images[0]["file_name"]
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            continue
        split = path.stem.removeprefix("captions_")
        for folder in (path.parent, path.parent / "images", path.parent / split, path.parent.parent / split,
                       path.parent.parent / "images", path.parent.parent / "images" / split):  # fmt: skip
            if (folder / str(name)).is_file():
                return folder
    return None
