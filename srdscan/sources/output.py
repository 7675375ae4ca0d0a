"""Results written to an object store: gathered in a local folder, uploaded when they are complete.

    with output_folder("s3://bucket/audit", run) as folder:
        ...                                            # write below folder, as ever

An object appears under its name only when all of it is there; the stores see to that. `.srdscan.json` at the top is
uploaded first and names the run and its files, so that the same run may write there again and no other does.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from srdscan.errors import ConfigError
from srdscan.sources.base import ShardError
from srdscan.sources.naming import natural
from srdscan.sources.where import check_scheme, filesystem, is_http, is_remote, meaning, path_in_store, redacted

__all__ = ["MARKER", "check_output", "output_folder", "publish"]

MARKER: Final = ".srdscan.json"
"""Lies at the top of what was uploaded: {"run": ..., "files": [...]}."""

_MAX_MARKER_BYTES: Final = 256 << 20


@contextmanager
def output_folder(target: str, run: str = "", staging: Path | None = None) -> Iterator[Path]:
    """A local folder for results: the target itself, or one that is uploaded to it when all went well.

    Args:
        target: a local path, or the URL of a folder in s3 or gs.
        run: names what is written, such as a hash of data and configuration; only the same run, not empty, may write
            where something lies already.
        staging: where to gather files for a URL; it stays, so that a run can be resumed from it. None takes a temporary
            folder, which goes at the end, but not when it could not be uploaded.

    Raises:
        ConfigError: the target cannot be written to, or holds what this run did not write.
        ShardSpecError: a scheme that is not known, or whose package is not installed.
        ShardError: the upload failed; the message says where the results are.
    """
    if not is_remote(target):
        check_scheme(target)
        yield Path(target)
        return
    check_output(target, run)
    folder = Path(tempfile.mkdtemp(prefix="srdscan-out-")) if staging is None else staging
    folder.mkdir(parents=True, exist_ok=True)
    uploading = False
    try:
        yield folder
        uploading = True
        publish(folder, target, run)
        uploading = False
    except ShardError as error:
        if uploading:
            error.remedy = f"{error.remedy} The results are in {folder}."
        raise
    finally:
        if staging is None and not uploading:
            shutil.rmtree(folder, ignore_errors=True)


def check_output(target: str, run: str = "") -> None:
    """Lets a local path pass, and a URL below which nothing lies but what the same run wrote.

    Raises:
        ConfigError, ShardSpecError: as `output_folder`.
        ShardError: the store cannot be reached.
    """
    check_scheme(target)
    if not is_remote(target):
        return
    shown = redacted(target)
    if is_http(target):
        raise ConfigError(f"{shown}: the web cannot be written to. Name a folder, or an s3:// or gs:// URL.")
    if target.lower().startswith("hf://"):
        # each file would be a commit of its own, and a reader between two of them would see half a data set
        raise ConfigError(f"{shown}: Hugging Face is not written to. Write to a folder and run `hf upload`.")
    try:
        names, ours = _present(filesystem(target), path_in_store(target), run)
    except Exception as error:  # each store has a family of its own, whose messages may repeat headers
        problem, remedy = meaning(error, target)
        raise ShardError(shown, problem, remedy=remedy) from None
    foreign = sorted(names - ours, key=natural)
    if foreign:
        count = f"{len(foreign):,} object{'' if len(foreign) == 1 else 's'}"
        raise ConfigError(f"{shown}: holds {count} that this run did not write, {foreign[0]!r} first. Name another.")


def publish(local: Path, url: str, run: str = "") -> None:
    """Uploads a finished file under a URL, or all finished files of a folder below it. `*.partial` is not finished.

    Raises:
        ConfigError, ShardSpecError: as `output_folder`; a folder only.
        ShardError: the upload failed.
    """
    check_scheme(url)
    shown = redacted(url)
    single = local.is_file()
    if single:
        files = {url.rstrip("/"): local}
    else:
        check_output(url, run)
        names = sorted((path.relative_to(local).as_posix() for path in _finished(local)), key=natural)
        files = {f"{url.rstrip('/')}/{name}": local / name for name in names}
    try:
        store = filesystem(url)
        if not single:
            marker = json.dumps({"run": run, "files": names}, indent=1).encode()
            store.pipe_file(f"{path_in_store(url)}/{MARKER}", marker)
        for address, path in files.items():
            store.put_file(str(path), path_in_store(address))
    except Exception as error:  # as above
        problem, remedy = meaning(error, url)
        raise ShardError(shown, f"upload failed: {problem}", remedy=remedy) from None


def _finished(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            if not name.endswith(".partial") and name != MARKER:
                yield Path(parent, name)


def _present(store: Any, path: str, run: str) -> tuple[set[str], set[str]]:
    """(names of all objects below a path, names of those that the run wrote)."""
    try:
        found = store.find(path, detail=True)
    except FileNotFoundError:
        store.info(
            path.partition("/")[0]
        )  # a folder that is not there is empty; a bucket that is not there is an error
        return set(), set()
    sizes = {name[len(path) + 1 :]: facts["size"] for name, facts in found.items() if name != path}
    if MARKER not in sizes or not run or sizes[MARKER] > _MAX_MARKER_BYTES:
        return set(sizes), set()
    try:
        marker = json.loads(store.cat_file(f"{path}/{MARKER}"))
        ours = {*marker["files"], MARKER} if marker["run"] == run else set()
    except (ValueError, KeyError, TypeError):  # somebody else's
        ours = set()
    return set(sizes), ours
