"""DataComp's subset file: from the uids in shards to the array that its resharder reads."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reports import a_table
from typer.testing import CliRunner

from srdscan import scenes
from srdscan.audit import audit
from srdscan.cli.commands import app
from srdscan.config import AuditConfig, ConfigError
from srdscan.report.uids import write_uids
from srdscan.sources.base import ReadOptions, Sample
from srdscan.sources.find import find_source


def uid(number: int) -> str:
    return hashlib.md5(str(number).encode()).hexdigest()


def as_datacomp_writes_them(uids: list[str]) -> bytes:
    """https://github.com/mlfoundations/datacomp: baselines write their subsets in these three lines."""
    array = np.array([(int(uid[:16], 16), int(uid[16:32], 16)) for uid in uids], np.dtype("u8,u8"))
    array.sort()
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def samples_with(folder: Path, *uids: str | None) -> Path:
    """samples.parquet of five pairs; the third counts for the gate."""
    table = pq.read_table(a_table(folder / "without.parquet"))
    path = folder / "samples.parquet"
    pq.write_table(table.append_column("uid", pa.array(uids, pa.string())), path, row_group_size=2)
    return path


def test_the_uids_of_what_stays_are_written_as_datacomp_reads_them(tmp_path: Path) -> None:
    samples = samples_with(tmp_path, uid(0), uid(1), uid(1), uid(2), uid(3))
    write_uids(samples, tmp_path / "uids.npy")
    assert (tmp_path / "uids.npy").read_bytes() == as_datacomp_writes_them([uid(0), uid(2), uid(3)])
    assert not list(tmp_path.glob("*.partial"))


def test_a_uid_that_a_removed_sample_has_too_goes_with_it_and_others_are_named_once(tmp_path: Path) -> None:
    samples = samples_with(tmp_path, uid(0), uid(0), uid(1), uid(1), "F" * 16 + "0" * 16)
    write_uids(samples, tmp_path / "uids.npy")
    assert (tmp_path / "uids.npy").read_bytes() == as_datacomp_writes_them([uid(0), "f" * 16 + "0" * 16])


def test_samples_without_uids_are_an_error_that_names_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sample '0001' of b\.tar has none.*--report keep-list"):
        write_uids(samples_with(tmp_path, uid(0), uid(1), uid(1), uid(2), None), tmp_path / "uids.npy")
    with pytest.raises(ConfigError, match="no sample has one"):
        write_uids(tmp_path / "without.parquet", tmp_path / "uids.npy")
    assert not (tmp_path / "uids.npy").exists()


def jpeg(number: int) -> tuple[bytes, str]:
    image, scene = scenes.make(5, number)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=92)
    return stream.getvalue(), scene.caption


def shard(path: Path, uids: list[object]) -> Path:
    """As img2dataset writes it for DataComp: the caption in a .txt, the uid among what the .json says."""
    with tarfile.open(path, "w") as tar:
        for number, identity in enumerate(uids):
            data, caption = jpeg(number)
            described = {"caption": caption, "uid": identity, "status": "success"}
            files = {"jpg": data, "txt": caption.encode(), "json": json.dumps(described).encode()}
            for extension, content in files.items():
                info = tarfile.TarInfo(f"{number:012d}.{extension}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


def test_an_audit_of_datacomps_shards_writes_its_subset(tmp_path: Path) -> None:
    uids = [uid(number) for number in range(12)]
    out = tmp_path / "run"
    outcome = audit(
        AuditConfig(shards=(str(shard(tmp_path / "00000000.tar", list(uids))),), out=out, report=("datacomp",))
    )
    assert outcome.report.verdict == "pass"
    assert (out / "datacomp-uids.npy").read_bytes() == as_datacomp_writes_them(uids)
    assert pq.read_table(out / "samples.parquet")["uid"].to_pylist() == uids
    done = CliRunner().invoke(app, ["report", str(out), "--report", "all", "--out", str(tmp_path / "all")])
    assert done.exit_code == 0 and not (tmp_path / "all" / "datacomp-uids.npy").exists()


def test_uids_are_read_from_every_form_that_carries_them(tmp_path: Path) -> None:
    data, caption = jpeg(0)
    for form in ("tar", "folder", "parquet", "key"):
        (tmp_path / form).mkdir()
    shard(tmp_path / "tar" / "a.tar", [uid(0).upper(), "../../etc/passwd", 7, {"uid": uid(0)}])
    (tmp_path / "folder" / "x.jpg").write_bytes(data)
    (tmp_path / "folder" / "x.json").write_text(json.dumps({"caption": caption, "uid": uid(0)}))
    (tmp_path / "key" / f"{uid(0)}.jpg").write_bytes(data)
    (tmp_path / "key" / f"{uid(0)}.txt").write_text(caption)
    rows = pa.table({"image": [data], "caption": [caption], "uid": [uid(0)], "key": ["k"]})
    pq.write_table(rows, tmp_path / "parquet" / "a.parquet")
    wanted = {"tar": [uid(0), "", "", ""], "folder": [uid(0)], "parquet": [uid(0)], "key": [uid(0)]}
    for form, uids in wanted.items():
        source = find_source([str(tmp_path / form)])
        with source.open(source.units[0]) as unit:
            found = [item.uid for item in unit.read(ReadOptions()) if isinstance(item, Sample)]
        assert found == uids, form
