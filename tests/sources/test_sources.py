"""Every form of data set: the contract is kept, the same samples come out of each, and edits go where they belong."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zoo

from srdscan.sources.base import Edit, Irregular, ReadOptions, Sample, ShardError, ShardSpecError, Source
from srdscan.sources.check import check_source
from srdscan.sources.find import find_source

COUNT = 5
IMAGES = [zoo.jpeg(index) for index in range(COUNT)]
CAPTIONS = [(f"a picture of thing {index}", f"thing {index}, “seen”\tagain") for index in range(COUNT)]
OPTIONS = ReadOptions()


def images(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index, data in enumerate(IMAGES):
        (folder / f"{index}.jpg").write_bytes(data)


def tars(folder: Path) -> Path:
    entries = [
        member
        for index, texts in enumerate(CAPTIONS)
        for member in ((f"{index}.jpg", IMAGES[index]), (f"{index}.json", json.dumps({"captions": texts}).encode()))
    ]
    zoo.tar(folder / "x.tar", entries)
    return folder


def parquet(folder: Path) -> Path:
    table = pa.table(
        {
            "id": pa.array(range(COUNT)),
            "image": pa.array([{"bytes": data, "path": f"{n}.jpg"} for n, data in enumerate(IMAGES)]),
            "caption": pa.array([texts[0] for texts in CAPTIONS]),
            "text": pa.array([[texts[1], texts[0]] for texts in CAPTIONS]),
            "score": pa.array([0.1 * n for n in range(COUNT)]),
        },
        metadata={"huggingface": '{"info": 1}'},
    )
    pq.write_table(table, folder / "train.parquet", row_group_size=2, compression="zstd")
    return folder


def beside(folder: Path) -> Path:
    images(folder / "a b")
    for index, texts in enumerate(CAPTIONS):
        (folder / "a b" / f"{index}.txt").write_bytes("\r\n".join(texts).encode() + b"\n")
    return folder


def metadata(folder: Path) -> Path:
    images(folder)
    rows = [{"file_name": f"{n}.jpg", "caption": a, "text": [b]} for n, (a, b) in enumerate(CAPTIONS)]
    text = "\n".join(json.dumps(row, ensure_ascii=n % 2 == 0) for n, row in enumerate(rows)) + "\n"
    (folder / "metadata.jsonl").write_text(text, encoding="utf-8")
    return folder


def coco(folder: Path) -> Path:
    images(folder / "val")
    document = {
        "info": {"year": 2014},
        "images": [{"id": 100 + n, "file_name": f"{n}.jpg"} for n in range(COUNT)],
        "annotations": [
            {"image_id": 100 + n, "id": 10 * n + k, "caption": CAPTIONS[n][k]} for k in range(2) for n in range(COUNT)
        ],
    }
    (folder / "captions_val.json").write_text(json.dumps(document, indent=1))
    return folder / "captions_val.json"


def table(folder: Path) -> Path:
    images(folder)
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(["image", "caption"])
    for texts in CAPTIONS:
        for text in texts:
            writer.writerow([f"{CAPTIONS.index(texts)}.jpg", text])
    (folder / "captions.csv").write_bytes(buffer.getvalue().encode("utf-8-sig"))
    return folder / "captions.csv"


def conversations(folder: Path) -> Path:
    images(folder)
    records = [
        {
            "id": f"q{n}",
            "image": f"{n}.jpg",
            "conversations": [
                {"from": "human", "value": "<image>\nWhat is it?"},
                {"from": "gpt", "value": first},
                {"from": "human", "value": "And again?"},
                {"from": "gpt", "value": second},
            ],
        }
        for n, (first, second) in enumerate(CAPTIONS)
    ]
    (folder / "chat.json").write_text(json.dumps(records, indent=2))
    return folder / "chat.json"


FORMS: dict[str, Callable[[Path], Path]] = {
    "webdataset": tars,
    "parquet": parquet,
    "folder": beside,
    "metadata": metadata,
    "coco": coco,
    "table": table,
    "conversations": conversations,
}


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def source(form: str, tmp_path: Path) -> Source:
    (tmp_path / "in").mkdir()
    return find_source([str(FORMS[form](tmp_path / "in"))])


def samples(source: Source, options: ReadOptions = OPTIONS) -> list[Sample]:
    items = []
    for unit in source.units:
        with source.open(unit) as opened:
            items += list(opened.read(options))
    assert all(isinstance(item, Sample) for item in items), items
    return items


def texts(source: Source) -> list[tuple[str, ...]]:
    return [tuple(sorted(caption.text for caption in sample.captions)) for sample in samples(source)]


def irregular(source: Source) -> list[tuple[str, str]]:
    found = []
    for unit in source.units:
        with source.open(unit) as opened:
            found += [(i.key, i.reason) for i in opened.read(OPTIONS) if isinstance(i, Irregular)]
    return found


def test_every_form_is_recognised_and_keeps_the_contract(source: Source, form: str) -> None:
    assert source.format == form
    check_source(source)


def test_every_form_gives_the_same_samples(source: Source) -> None:
    assert [sample.images[0].data for sample in samples(source)] == IMAGES
    assert texts(source) == [tuple(sorted(pair)) for pair in CAPTIONS]


def rewritten(source: Source, tmp_path: Path, edits: dict[int, Edit], out: str) -> Source:
    (unit,) = source.units
    with source.open(unit) as opened:
        opened.rewrite(tmp_path / out, edits, OPTIONS)
    written = tmp_path / out if source.format in ("folder", "webdataset") else tmp_path / out / unit.name
    return find_source([str(written)], source.format)


def test_an_edited_caption_is_the_only_difference(source: Source, tmp_path: Path) -> None:
    place = [caption.text for caption in samples(source)[2].captions].index(CAPTIONS[2][1])
    again = rewritten(source, tmp_path, {2: Edit({place: 'new, "quoted"'})}, "out")
    expected = [tuple(sorted(pair)) for pair in CAPTIONS]
    expected[2] = tuple(sorted((CAPTIONS[2][0], 'new, "quoted"')))
    assert texts(again) == expected
    assert [sample.images[0].data for sample in samples(again)] == IMAGES


def test_a_caption_goes_alone_and_with_its_last_one_the_sample(source: Source, tmp_path: Path) -> None:
    place = [caption.text for caption in samples(source)[1].captions].index(CAPTIONS[1][0])
    edits = {1: Edit({place: None}), 3: Edit({0: None, 1: None}), 4: Edit(drop=True)}
    again = rewritten(source, tmp_path, edits, "out")
    expected = [tuple(sorted(pair)) for pair in CAPTIONS[:3]]
    expected[1] = (CAPTIONS[1][1],)
    assert texts(again) == expected


def test_an_image_is_replaced(source: Source, tmp_path: Path) -> None:
    again = rewritten(source, tmp_path, {0: Edit(images={0: zoo.jpeg(77)})}, "out")
    assert [sample.images[0].data for sample in samples(again)] == [zoo.jpeg(77), *IMAGES[1:]]


def test_the_quarantine_holds_the_original_image(source: Source, tmp_path: Path) -> None:
    (unit,) = source.units
    with source.open(unit) as opened:
        opened.extract(tmp_path / "q", {3}, OPTIONS)
    (path,) = (tmp_path / "q").rglob("*.tar")
    assert IMAGES[3] in zoo.contents(path).values()


def test_a_change_of_an_image_changes_the_fingerprint(source: Source, tmp_path: Path, form: str) -> None:
    with source.open(source.units[0]) as opened:
        before = opened.sha256()
    if form in ("webdataset", "parquet"):  # the image lies in the unit itself
        source = rewritten(source, tmp_path, {0: Edit(images={0: zoo.jpeg(99)})}, "out")
    else:
        next(path for path in sorted((tmp_path / "in").rglob("*.jpg"))).write_bytes(zoo.jpeg(99))
    with source.open(source.units[0]) as opened:
        assert opened.sha256() != before


# ---------------------------------------------------------------- bytes that stay


def test_other_columns_and_the_schema_of_a_parquet_file_stay(tmp_path: Path) -> None:
    source = find_source([str(parquet(tmp_path))])
    rewritten(source, tmp_path, {3: Edit({0: "new"})}, "out")
    before, after = pq.read_table(tmp_path / "train.parquet"), pq.read_table(tmp_path / "out" / "train.parquet")
    assert before.schema.equals(after.schema, check_metadata=True)
    for name in ("id", "image", "score"):
        assert before[name].equals(after[name])
    assert after["caption"].to_pylist()[3] == "new" and after["text"].to_pylist()[3] == [CAPTIONS[3][1], "new"]
    assert pq.ParquetFile(tmp_path / "out" / "train.parquet").num_row_groups == 3


@pytest.mark.parametrize("name", ["table", "metadata", "coco", "conversations"])
def test_every_other_byte_of_an_annotation_file_stays(name: str, tmp_path: Path) -> None:
    source = find_source([str(FORMS[name](tmp_path / "in" if (tmp_path / "in").mkdir() is None else tmp_path))])
    rewritten(source, tmp_path, {2: Edit({0: "NEW"})}, "out")
    before = Path(source.units[0].location).read_bytes()
    after = (tmp_path / "out" / source.units[0].name).read_bytes()
    assert after == before.replace(CAPTIONS[2][0].encode(), b"NEW")


def test_questions_stand_beside_answers_and_go_with_them(tmp_path: Path) -> None:
    source = find_source([str(conversations(tmp_path))])
    assert [caption.question for caption in samples(source)[0].captions] == ["What is it?", "And again?"]
    again = rewritten(source, tmp_path, {0: Edit({0: None})}, "out")
    document = json.loads((tmp_path / "out" / "chat.json").read_text())
    assert document[0]["conversations"] == [
        {"from": "human", "value": "<image>\nAnd again?"},
        {"from": "gpt", "value": CAPTIONS[0][1]},
    ]
    assert len(samples(again)) == COUNT


def test_sharegpt_messages_in_lines_are_conversations(tmp_path: Path) -> None:
    images(tmp_path)
    turns = [{"role": "user", "content": "<image>"}, {"role": "assistant", "content": "a cat"}]
    lines = [json.dumps({"messages": turns, "images": [f"{n}.jpg", f"{n + 1}.jpg"]}) for n in range(3)]
    (tmp_path / "x.jsonl").write_text("\n".join([*lines, "{broken", ""]))
    source = find_source([str(tmp_path / "x.jsonl")])
    with source.open(source.units[0]) as opened:
        *found, broken = opened.read(OPTIONS)
    names = [[image.name for image in item.images] for item in found]
    assert names == [["0.jpg", "1.jpg"], ["1.jpg", "2.jpg"], ["2.jpg", "3.jpg"]]
    assert (broken.reason, broken.index) == ("bad_json", 3)


# ---------------------------------------------------------------- hostile and odd input


OUTSIDE = [
    "/etc/passwd",
    "../secret.jpg",
    "a/../../secret.jpg",
    "C:\\x.jpg",
    "out/secret.jpg",
    "x\n.jpg",
    "https://h/x.jpg",
]


@pytest.mark.parametrize("path", OUTSIDE)
def test_no_path_in_a_file_leaves_the_root(path: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    images(root)
    (tmp_path / "secret.jpg").write_bytes(IMAGES[0])
    (root / "out").symlink_to(tmp_path)
    rows = [{"file_name": "0.jpg", "text": "good"}, {"file_name": path, "text": "bad"}]
    (root / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    source = find_source([str(root)])
    assert irregular(source) == [(path, "unsafe_name")]
    with source.open(source.units[0]) as opened:
        opened.rewrite(tmp_path / "w", {}, OPTIONS)
    assert [p.name for p in sorted((tmp_path / "w").rglob("*.jpg"))] == ["0.jpg"]


def test_what_cannot_be_used_is_told_with_its_reason(tmp_path: Path) -> None:
    images(tmp_path)
    rows: list[Any] = [
        {"file_name": "0.jpg", "text": "good"},
        {"file_name": "gone.jpg", "text": "no image"},
        {"file_name": "1.jpg", "text": " "},
        {"file_name": "0.jpg", "text": "again"},
        {"file_name": "2.jpg"},
        {"text": "no image named"},
        {"file_name": "3.jpg", "text": "x" * 10_001},
        {"file_name": "4.jpg", "text": "lone \ud800"},
        ["no object"],
    ]
    lines = [json.dumps(row) for row in rows]
    (tmp_path / "metadata.jsonl").write_text("\n".join([*lines, "[" * 100_000, '{"file_name"']))
    found = [reason for _, reason in irregular(find_source([str(tmp_path)]))]
    assert found == [
        "missing_image", "empty_caption", "duplicate_key", "no_caption", "no_image", "oversized_member", "not_utf8",
        "no_caption", "bad_json", "bad_json",
    ]  # fmt: skip


def test_a_link_out_of_a_folder_of_images_is_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    beside(root)
    (tmp_path / "secret.txt").write_text("secret")
    (root / "x.jpg").write_bytes(IMAGES[0])
    (root / "x.txt").symlink_to(tmp_path / "secret.txt")
    (root / "y.jpg").write_bytes(IMAGES[0])
    (root / "z.gif").write_bytes(b"GIF89a")
    assert irregular(find_source([str(root)])) == [("x", "unsafe_name"), ("y", "no_caption"), ("z", "no_image")]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("x.json", b"{", "no JSON"),
        ("x.json", b"[" * 100_000, "no JSON"),
        ("x.json", b'{"images": 3}', "lacks the lists"),
        ("x.csv", b"a,b\n1,2\n", "no column of images among a, b"),
        ("x.csv", b"image,b\n1,2\n", "no column of captions among image, b"),
        ("x.csv", b"\xff\xfe", "not UTF-8"),
        ("x.parquet", b"PAR1" + bytes(64) + b"PAR1", "no sound Parquet file"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(name: str, content: bytes, complaint: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    source = find_source([str(tmp_path / name)], {"x.json": "coco"}.get(name, "auto"))
    with pytest.raises(ShardError, match=complaint), source.open(source.units[0]) as opened:
        list(opened.read(OPTIONS))


def test_columns_of_other_names_are_taken_when_asked_for(tmp_path: Path) -> None:
    names = pa.table({"picture": IMAGES, "said": [a for a, _ in CAPTIONS], "also": [b for _, b in CAPTIONS]})
    pq.write_table(names, tmp_path / "x.parquet")
    source = find_source([str(tmp_path / "x.parquet")])
    with pytest.raises(ShardError, match=r"images among picture, said, also.*--image-column"):
        samples(source)
    found = samples(source, ReadOptions(caption_fields=("said", "also"), image_field="picture"))
    assert [tuple(c.text for c in sample.captions) for sample in found] == CAPTIONS


def test_a_table_without_images_is_no_data_set(tmp_path: Path) -> None:
    tars(tmp_path)
    pq.write_table(pa.table({"url": ["x"], "caption": ["y"]}), tmp_path / "x.parquet")
    assert find_source([str(tmp_path)]).format == "webdataset"


def test_an_unknown_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShardSpecError, match="must be one of auto, webdataset, parquet"):
        find_source([str(tmp_path)], "excel")
    with pytest.raises(ShardSpecError, match="nothing of this form"):
        find_source([str(tmp_path)], "parquet")


# ---------------------------------------------------------------- tars in folders


def test_compressed_shards_subfolders_and_upper_case_are_read(tmp_path: Path) -> None:
    data = zoo.tar(tmp_path / "a.tar", zoo.pairs(2)).read_bytes()
    for name in ("b.tar.gz", "c.tgz"):
        (tmp_path / name).write_bytes(gzip.compress(data, mtime=0))
    for name in ("D.TAR", "part1/00000.tar", "part2/00000.tar"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "more.zip").write_bytes(b"PK")
    source = find_source([str(tmp_path)])
    assert sorted(unit.name for unit in source.units) == [
        "D.TAR", "a.tar", "b.tar.gz", "c.tgz", "part1/00000.tar", "part2/00000.tar",
    ]  # fmt: skip
    assert [(item.name, item.unread) for item in source.leftovers] == [("more.zip", True)]
    assert len(samples(source)) == 12
    check_source(source)


def test_an_edited_compressed_shard_is_compressed_again(tmp_path: Path) -> None:
    data = zoo.tar(tmp_path / "a.tar", zoo.pairs(2)).read_bytes()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.tar.gz").write_bytes(gzip.compress(data, mtime=5))
    source = find_source([str(tmp_path / "in")])
    again = rewritten(source, tmp_path, {1: Edit({0: "new"})}, "out")
    assert texts(again)[1] == ("new",)
    with tarfile.open(tmp_path / "out" / "a.tar.gz", "r:gz") as file:
        assert len(file.getmembers()) == 4


def test_damaged_compression_is_damage(tmp_path: Path) -> None:
    packed = gzip.compress(zoo.tar(tmp_path / "x.tar", zoo.pairs(20)).read_bytes(), mtime=0)
    (tmp_path / "y.tar.gz").write_bytes(packed[: len(packed) // 2])
    source = find_source([str(tmp_path / "y.tar.gz")])
    with pytest.raises(ShardError, match="damaged gzip"), source.open(source.units[0]):
        pass


def test_a_shard_behind_a_dangling_link_is_a_shard_that_cannot_be_read(tmp_path: Path) -> None:
    zoo.tar(tmp_path / "a.tar", zoo.pairs(2))
    (tmp_path / "b.tar").symlink_to(tmp_path / "pruned")
    for pattern in (str(tmp_path), str(tmp_path / "*.tar"), str(tmp_path / "{a,b}.tar")):
        source = find_source([pattern])
        assert [unit.name for unit in source.units] == ["a.tar", "b.tar"]
        with pytest.raises(ShardError, match=r"b\.tar: cannot be read"), source.open(source.units[1]):
            pass
