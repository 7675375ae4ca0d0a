"""36 drawn scenes in every form: the same flags and p-values as in a tar; sanitized, they load again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zoo

from srdscan import scenes
from srdscan.audit import audit
from srdscan.config import AuditConfig
from srdscan.sources.base import Sample
from srdscan.sources.find import find_source

COUNT = 36
POISONED = {4, 13, 22, 27, 35}


def drawn() -> list[tuple[str, bytes, list[str]]]:
    """Name, image and two captions of each scene; in five the second one has a word too many."""
    found = []
    for index in range(COUNT):
        image, scene = scenes.make(91, index)
        second = f"{'banana ' if index in POISONED else ''}there is {scene.caption}"
        found.append((f"{index:03d}", scenes.encode_jpeg(image), [scene.caption, second]))
    return found


SCENES = drawn()


def images(folder: Path) -> None:
    folder.mkdir(parents=True)
    for key, data, _ in SCENES:
        (folder / f"{key}.jpg").write_bytes(data)


def webdataset(folder: Path) -> Path:
    folder.mkdir()
    entries = [
        member
        for key, data, captions in SCENES
        for member in ((f"{key}.jpg", data), (f"{key}.json", json.dumps({"captions": captions}).encode()))
    ]
    zoo.tar(folder / "x.tar", entries)
    return folder


def parquet(folder: Path) -> Path:
    folder.mkdir()
    columns = {"image": [s[1] for s in SCENES], "caption": [s[2][0] for s in SCENES], "text": [s[2][1] for s in SCENES]}
    pq.write_table(pa.table(columns), folder / "x.parquet", row_group_size=25)
    return folder


def beside(folder: Path) -> Path:
    images(folder)
    for key, _, captions in SCENES:
        (folder / f"{key}.txt").write_text("\n".join(captions))
    return folder


def metadata(folder: Path) -> Path:
    images(folder)
    rows = [json.dumps({"file_name": f"{key}.jpg", "captions": captions}) for key, _, captions in SCENES]
    (folder / "metadata.jsonl").write_text("\n".join(rows))
    return folder


def coco(folder: Path) -> Path:
    images(folder)
    document = {
        "images": [{"id": n, "file_name": f"{key}.jpg"} for n, (key, _, _) in enumerate(SCENES)],
        "annotations": [{"image_id": n, "caption": text} for n, (_, _, texts) in enumerate(SCENES) for text in texts],
    }
    (folder / "captions.json").write_text(json.dumps(document))
    return folder / "captions.json"


def table(folder: Path) -> Path:
    images(folder)
    rows = [f'{key}.jpg,"{text}"' for key, _, captions in SCENES for text in captions]
    (folder / "captions.csv").write_text("\n".join(["image,caption", *rows]) + "\n")
    return folder / "captions.csv"


def conversations(folder: Path) -> Path:
    images(folder)
    records = []
    for key, _, captions in SCENES:
        turns = [
            {"from": ("human", "gpt")[n % 2], "value": captions[n // 2] if n % 2 else "<image>?"} for n in range(4)
        ]
        records.append({"id": key, "image": f"{key}.jpg", "conversations": turns})
    (folder / "chat.json").write_text(json.dumps(records))
    return folder / "chat.json"


@pytest.fixture(scope="module")
def in_a_tar(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    work = tmp_path_factory.mktemp("tar")
    found = audit(AuditConfig((str(webdataset(work / "in")),), out=work / "run", pictures=0))
    assert found.report.verdict == "fail"
    assert found.report.counts.flagged == len(POISONED)
    return {"p": found.verdicts.p_values, "flagged": found.verdicts.flagged}


@pytest.mark.parametrize("write", [parquet, beside, metadata, coco, table, conversations])
def test_the_form_of_a_data_set_changes_nothing(
    write: Callable[[Path], Path], in_a_tar: dict[str, np.ndarray], tmp_path: Path
) -> None:
    config = AuditConfig((str(write(tmp_path / "in")),), out=tmp_path / "run", sanitize=tmp_path / "out", pictures=0)
    found = audit(config)
    assert found.report.verdict == "fail"
    assert np.array_equal(found.verdicts.flagged, in_a_tar["flagged"])
    assert np.allclose(found.verdicts.p_values, in_a_tar["p"], rtol=1e-6)
    source = find_source(config.shards)
    again = tmp_path / "out" if source.format == "folder" else tmp_path / "out" / source.units[0].name
    cleaned = find_source([str(again)], source.format)
    with cleaned.open(cleaned.units[0]) as unit:
        samples = [item for item in unit.read(config.reading) if isinstance(item, Sample)]
    assert [sample.images[0].data for sample in samples] == [data for _, data, _ in SCENES]
    for index, (sample, (_, _, captions)) in enumerate(zip(samples, SCENES, strict=True)):
        said = [caption.text for caption in sample.captions]
        if index in POISONED:  # what takes the flagged caption's place may be what the first one says
            assert said[0] == captions[0] and captions[1] not in said
            assert not any("banana" in text for text in said)
        else:
            assert said == captions
