"""`check_source`: does a source keep the contract? In the manner of Gymnasium's `check_env`."""

import tempfile
from pathlib import Path

from srdscan.sources.base import Edit, Irregular, ReadOptions, Sample, Source, Unit

NEW = "a caption that was not there before"


class ContractError(AssertionError):
    """A source breaks the contract in `base`; the message says which clause."""


def _require(condition: bool, clause: str) -> None:
    if not condition:
        raise ContractError(clause)


def check_source(source: Source, options: ReadOptions = ReadOptions()) -> None:  # noqa: B008  it is frozen
    """Checks names, order, what a sample is, fingerprints, and that rewriting changes what was asked for alone.

    Args:
        source: a small data set: every unit is read several times, and written to a temporary folder.
        options: as for `read`.

    Raises:
        ContractError: the first clause that does not hold.
    """
    names = [unit.name for unit in source.units]
    _require(bool(names) and len({*names}) == len(names), f"units have no names, or the same ones: {names[:5]}")
    for name in names:
        parts = name.split("/")
        _require(bool(name) and ".." not in parts and parts[0] != "", f"{name!r} leads out of a folder")
    for unit in source.units:
        samples = _check_reading(source, unit, options)
        with tempfile.TemporaryDirectory() as folder:
            _check_writing(source, unit, options, samples, Path(folder))


def _items(source: Source, unit: Unit, options: ReadOptions) -> list[Sample | Irregular]:
    with source.open(unit) as opened:
        return list(opened.read(options))


def _check_reading(source: Source, unit: Unit, options: ReadOptions) -> list[Sample]:
    items = _items(source, unit, options)
    _require(items == _items(source, unit, options), f"{unit.name}: the second reading differs from the first")
    with source.open(unit) as once, source.open(unit) as again:
        _require(once.sha256() == again.sha256(), f"{unit.name}: the fingerprint changes from one time to another")
        _require(len(once.sha256()) == 64, f"{unit.name}: the fingerprint is no SHA-256 in hex")
    counted = [item.index for item in items if item.index >= 0 and not (isinstance(item, Irregular) and item.partial)]
    _require(counted == sorted(counted), f"{unit.name}: indices do not ascend")
    _require(counted == list(range(len(counted))), f"{unit.name}: indices are not 0, 1, 2, ...")
    for item in items:
        _require(item.shard == unit.name, f"{unit.name}: a sample says that it is of {item.shard}")
        if isinstance(item, Irregular):
            _require(bool(item.reason and item.detail), f"{unit.name} {item.key}: irregular without reason or detail")
            continue
        texts = [caption.text for caption in item.captions]
        _require(bool(item.images) and bool(texts), f"{unit.name} {item.key}: a sample without image or caption")
        _require(len({*texts}) == len(texts), f"{unit.name} {item.key}: the same caption twice")
        _require(all(t == t.strip() and t for t in texts), f"{unit.name} {item.key}: a caption that is not stripped")
        _require(all(c.places for c in item.captions), f"{unit.name} {item.key}: a caption without a place")
    return [item for item in items if isinstance(item, Sample)]


def _check_writing(source: Source, unit: Unit, options: ReadOptions, samples: list[Sample], folder: Path) -> None:
    with source.open(unit) as opened:
        opened.rewrite(folder / "same", {}, options)
        written = folder / "same" / unit.name
        original = Path(unit.location)
        if written.is_file() and original.is_file():
            same = written.read_bytes() == original.read_bytes()
            _require(same, f"{unit.name}: without edits, other bytes are written")
        if not samples:
            return
        first = samples[0]
        opened.rewrite(folder / "edited", {first.index: Edit({0: NEW})}, options)
        opened.rewrite(folder / "dropped", {first.index: Edit(drop=True)}, options)
        opened.extract(folder / "kept", {first.index}, options)
        _require(any((folder / "kept").rglob("*.tar")), f"{unit.name}: extract wrote no tar")
        try:
            opened.rewrite(folder / "none", {10**9: Edit(drop=True)}, options)
        except ValueError:
            pass
        else:
            raise ContractError(f"{unit.name}: an edit of a sample that is not there is no ValueError")
    _require(not any(folder.rglob("*.partial")), f"{unit.name}: a .partial file is left")
