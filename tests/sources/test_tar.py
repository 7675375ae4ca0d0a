"""Shards: what is read, what is accounted for as irregular, which damage is noticed, which bytes are kept."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import tarfile
import threading
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from random import Random

import pytest
import zoo

from srdscan.sources import download
from srdscan.sources.base import Caption, ImageFile, Irregular, ReadOptions, Sample, ShardError, ShardSpecError
from srdscan.sources.tar import expand_shards, fingerprint, open_shard, read_shard
from srdscan.sources.tar.write import DROP, extract_samples, rewrite_shard

DEFAULT = ReadOptions()


def reasons(path: Path, options: ReadOptions = DEFAULT) -> list[tuple[str, str]]:
    """(key, reason) of every sample in order; the reason of a regular sample is "ok"."""
    return [(i.key, i.reason if isinstance(i, Irregular) else "ok") for i in read_shard(path, options)]


def until_damage(path: Path) -> tuple[list[tuple[str, str]], ShardError]:
    """What a shard yields before its ShardError, and that error."""
    seen = []
    with pytest.raises(ShardError) as caught:
        for item in read_shard(path):
            seen.append((item.key, item.reason if isinstance(item, Irregular) else "ok"))
    return seen, caught.value


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    return zoo.tar(tmp_path / "clean-000003.tar", zoo.pairs(4))


# ---------------------------------------------------------------- reading


def test_a_sample_carries_everything_the_audit_needs(clean: Path) -> None:
    samples = list(read_shard(clean))
    assert samples[2] == Sample(
        shard="clean-000003.tar", key="000002", images=(ImageFile("000002.jpg", zoo.jpeg(2)),),
        captions=(Caption("a picture of thing 2", ("000002.txt",)),), index=2,
    )  # fmt: skip
    assert len(samples) == 4


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_samples_are_those_that_webdataset_yields(tmp_path: Path, format: int) -> None:
    webdataset = pytest.importorskip("webdataset")
    entries = [
        *zoo.pairs(2),
        ("__meta__/info.json", b"{}"), ("__index__", b"{}"), ("README", b"no dot"), (".hidden.txt", b"x"),
        zoo.special("deep", tarfile.DIRTYPE),
        ("deep/a.b/x.JPG", zoo.jpeg(7)), ("deep/a.b/x.Txt", b"upper case"),
        ("./dot.slash.png", b"another extension"), ("./dot.jpg", zoo.jpeg(8)), ("./dot.txt", b"dotted"),
        ("deep/.jpg", zoo.jpeg(9)), ("deep/.txt", "hidden from the eye, not from the loader: é".encode()),
        ("long/" * 15 + "n" * 60 + ".jpg", zoo.jpeg(5)), ("long/" * 15 + "n" * 60 + ".txt", b"long name"),
    ]  # fmt: skip
    path = zoo.tar(tmp_path / "x.tar", entries, format)
    theirs = [
        (sample["__key__"], sample.get("jpg"), sample["txt"].decode().strip())
        for sample in webdataset.WebDataset(str(path), shardshuffle=False, empty_check=False)
    ]
    ours = [item for item in read_shard(path) if isinstance(item, Sample)]
    assert [(sample.key, sample.images[0].data, sample.captions[0].text) for sample in ours] == theirs
    assert len(theirs) == 6
    assert [sample.index for sample in ours] == [0, 1, 2, 3, 4, 5]


def test_every_image_and_every_caption_of_a_sample_is_read(tmp_path: Path) -> None:
    document = b'{"captions": ["first", "second ", "first"], "text": "third", "other": "no caption"}'
    captions = [("a.json", document), ("a.txt", b"fourth\r\n\n second\n")]
    path = zoo.tar(tmp_path / "x.tar", [*captions, ("a.png", b"P"), ("a.jpg", b"J"), ("a.cls", b"1")])
    (sample,) = read_shard(path)
    assert sample.images == (ImageFile("a.png", b"P"), ImageFile("a.jpg", b"J"))
    assert sample.captions == (
        Caption("first", ("a.json captions[0]", "a.json captions[2]")),
        Caption("second", ("a.json captions[1]", "a.txt line 2")),
        Caption("third", ("a.json text",)),
        Caption("fourth", ("a.txt line 1",)),
    )
    (sample,) = read_shard(path, ReadOptions(caption_exts=(".txt",), image_exts=(".png",), txt="whole"))
    assert (sample.images[0].data, [c.text for c in sample.captions]) == (b"P", ["fourth\r\n\n second"])


def test_what_of_a_sample_cannot_be_read_is_told_beside_it(tmp_path: Path) -> None:
    long = b"x" * 10_001
    entries = [("a.jpg", b"J"), ("a.txt", b"a dog\n" + long), ("a.json", b'{"caption": '), ("a.png", bytes(500))]
    items = list(read_shard(zoo.tar(tmp_path / "x.tar", entries), ReadOptions(max_member_bytes=400)))
    assert [(i.reason, i.partial, i.index) for i in items[:-1]] == [
        ("oversized_member", True, 0),
        ("oversized_member", True, 0),
        ("bad_json", True, 0),
    ]
    assert isinstance(items[-1], Sample)
    assert [c.text for c in items[-1].captions] == ["a dog"]


def test_a_json_about_something_else_is_no_irregularity(tmp_path: Path) -> None:
    entries = [("a.jpg", b"J"), ("a.txt", b"a dog"), ("a.json", b'{"width": 5}')]
    (sample,) = read_shard(zoo.tar(tmp_path / "x.tar", entries))
    assert isinstance(sample, Sample)


def test_photographs_whose_dotted_names_collapse_into_one_key_are_counted(tmp_path: Path) -> None:
    entries = [(f"trip v1.{n} x.{ext}", b"J") for n in range(3) for ext in ("jpg", "txt")]
    (item,) = read_shard(zoo.tar(tmp_path / "x.tar", entries))
    assert (item.reason, item.samples, item.key) == ("collapsed_keys", 3, "trip v1")
    assert "first dot" in item.detail


def test_files_without_a_dot_are_told_and_hidden_ones_are_not(tmp_path: Path) -> None:
    entries = [("README", b"x"), *zoo.pairs(1), (".DS_Store", b"x"), ("__meta__/a.json", b"{}")]
    assert reasons(zoo.tar(tmp_path / "x.tar", entries)) == [("README", "no_sample"), ("000000", "ok")]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (b'{"text": "t", "caption": "c"}', "c"),
        (b'{"captions": ["first", "second"]}', "first"),
        (b'{"captions": [null, 3, "second"]}', "second"),
        (b'{"caption": null, "text": " t "}', "t"),
        (b'\xef\xbb\xbf{"caption": "after a BOM"}', "after a BOM"),
        (b'{"caption": 7}', "no_caption_field"),
        (b'{"title": "t"}', "no_caption_field"),
        (b'["c"]', "no_caption_field"),
        (b'{"captions": []}', "no_caption_field"),
        (b'{"caption": " \\n"}', "empty_caption"),
        (b'{"caption": ', "bad_json"),
        (b"[" * 100_000, "bad_json"),
        (b'{"caption": %s}' % (b"9" * 5000), "bad_json"),
        (b'{"caption": "\xff"}', "not_utf8"),
        (b'{"caption": "\\ud800"}', "not_utf8"),
        (b'{"caption": "%s"}' % (b"x" * 10_001), "oversized_member"),
        (b" " * (2**20 + 1), "oversized_member"),
    ],
)
def test_json_captions(tmp_path: Path, document: bytes, expected: str) -> None:
    (item,) = read_shard(zoo.tar(tmp_path / "x.tar", [("a.jpg", b"J"), ("a.json", document)]))
    assert (item.captions[0].text if isinstance(item, Sample) else item.reason) == expected


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([("a.jpg", b"J")], "no_caption"),
        ([("a.txt", b"t")], "no_image"),
        ([("a.cls", b"1")], "no_image"),
        ([("a.jpg", b"J"), ("a.txt", b" \n")], "empty_caption"),
        ([("a.jpg", b"J"), ("a.txt", b"\xff\xfe")], "not_utf8"),
        ([("a.jpg", b"J"), ("a.txt", b"x" * 10_001)], "oversized_member"),
        ([("a.jpg", b"J"), ("a.txt", "é".encode() * 600_000)], "oversized_member"),
        ([("a.jpg", b"J"), ("a.txt", b"t"), ("a.JPG", b"J")], "duplicate_member"),
        ([("../a.jpg", b"J"), ("../a.txt", b"t")], "unsafe_name"),
        ([("/etc/a.jpg", b"J"), ("/etc/a.txt", b"t")], "unsafe_name"),
        ([("a\x1b[2J.jpg", b"J"), ("a\x1b[2J.txt", b"t")], "unsafe_name"),
        ([("x\\..\\a.jpg", b"J"), ("x\\..\\a.txt", b"t")], "unsafe_name"),
        ([("a.jpg", b"J"), zoo.special("a.txt", tarfile.SYMTYPE, "/etc/passwd")], "not_regular_file"),
        ([("a.jpg", b"J"), zoo.special("a.txt", tarfile.LNKTYPE, "a.jpg")], "not_regular_file"),
        ([zoo.special("a.jpg", tarfile.CHRTYPE)], "not_regular_file"),
        ([zoo.special("a", tarfile.FIFOTYPE)], "not_regular_file"),
        ([("/README", b"no sample, but no ordinary name")], "unsafe_name"),
    ],
)
def test_an_irregular_sample_is_reported_with_its_reason(tmp_path: Path, entries: list, reason: str) -> None:
    path = zoo.tar(tmp_path / "x.tar", [*zoo.pairs(1), *entries, *zoo.pairs(1, first=1)], tarfile.PAX_FORMAT)
    before, irregular, after = read_shard(path)
    assert isinstance(before, Sample) and isinstance(after, Sample)
    assert isinstance(irregular, Irregular)
    assert irregular.reason == reason and irregular.detail
    assert (before.index, irregular.index, after.index) == (0, 1, 2)


def test_a_caption_of_the_longest_size_passes(tmp_path: Path) -> None:
    text = "😀" * 10_000  # four bytes each
    (sample,) = read_shard(zoo.tar(tmp_path / "x.tar", [("a.jpg", b"J"), ("a.txt", text.encode())]))
    assert sample.captions[0].text == text


def test_a_name_that_is_not_utf8_is_unsafe_and_printable(tmp_path: Path) -> None:
    raw = zoo.raw_file("\udcff.jpg", b"J") + zoo.raw_file("\udcff.txt", b"t") + zoo.END
    (tmp_path / "x.tar").write_bytes(raw)
    (item,) = read_shard(tmp_path / "x.tar")
    assert (item.key, item.reason) == ("\\xff", "unsafe_name")


def test_a_key_that_comes_back_is_a_duplicate_each_time(tmp_path: Path) -> None:
    path = zoo.tar(tmp_path / "x.tar", [*zoo.pairs(2), *zoo.pairs(1), *zoo.pairs(1, first=1), *zoo.pairs(1)])
    assert [reason for _, reason in reasons(path)] == ["ok", "ok"] + ["duplicate_key"] * 3


def test_a_key_whose_first_sample_was_irregular_is_still_taken(tmp_path: Path) -> None:
    path = zoo.tar(tmp_path / "x.tar", [("000000.jpg", b"J"), *zoo.pairs(1, first=1), *zoo.pairs(1)])
    assert [reason for _, reason in reasons(path)] == ["no_caption", "ok", "duplicate_key"]


def test_a_link_between_two_members_of_a_sample_does_not_tear_it_apart(tmp_path: Path) -> None:
    image, caption = zoo.pairs(1)
    path = zoo.tar(tmp_path / "x.tar", [image, zoo.special("other.jpg", tarfile.SYMTYPE, "/x"), caption])
    assert reasons(path) == [("000000", "ok"), ("other", "not_regular_file")]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
def test_a_link_or_directory_has_no_content_whatever_size_it_claims(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "x.tar"
    body = zoo.header("d", 600, kind) + zoo.raw_file("a.jpg", b"J") + zoo.raw_file("a.txt", b"t")
    path.write_bytes(body + zoo.END)
    assert reasons(path)[-1] == ("a", "ok")


def test_an_image_over_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with path.open("wb") as out:  # a sparse file on disk: 1 GiB of image that takes no space
        out.write(zoo.header("a.jpg", 2**30))
        out.seek(2**30, io.SEEK_CUR)
        out.write(zoo.raw_file("a.txt", b"t"))
        out.write(zoo.raw_file("b.jpg", b"J") + zoo.raw_file("b.txt", b"t") + zoo.END)
    tracemalloc.start()
    assert reasons(path) == [("a", "oversized_member"), ("b", "ok")]
    assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    tracemalloc.stop()


def test_members_that_are_neither_image_nor_caption_may_have_any_size(tmp_path: Path) -> None:
    path = zoo.tar(tmp_path / "x.tar", [*zoo.pairs(1), ("000000.npy", bytes(5000))])
    assert reasons(path, ReadOptions(max_member_bytes=4000)) == [("000000", "ok")]


def test_an_archive_without_members_is_sound_and_empty(tmp_path: Path) -> None:
    assert reasons(zoo.tar(tmp_path / "x.tar", [])) == []


def test_a_harmless_global_header_is_read_past(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    comment = zoo.pax(zoo.pax_record("comment", "made by git"), kind=tarfile.XGLTYPE)
    path.write_bytes(comment + zoo.raw_file("a.jpg", b"J") + zoo.raw_file("a.txt", b"t") + zoo.END)
    assert reasons(path) == [("a", "ok")]


def test_a_size_in_a_pax_header_counts(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    image = zoo.pax(zoo.pax_record("size", "700")) + zoo.header("a.jpg", 0) + zoo.padded(b"J" * 700)
    path.write_bytes(image + zoo.raw_file("a.txt", b"t") + zoo.END)
    (sample,) = read_shard(path)
    assert sample.images[0].data == b"J" * 700


# ---------------------------------------------------------------- damage


def test_a_damaged_header_ends_the_shard_loudly(clean: Path) -> None:
    offset = zoo.header_offsets(clean)[4]  # 000002.jpg
    seen, error = until_damage(zoo.patched(clean, "photos-000003.tar", offset + 10, b"\xff"))
    assert seen == [("000000", "ok"), ("000001", "damaged_shard")]
    assert (error.offset, error.samples_read) == (offset, 1)
    assert str(error) == (f"shard photos-000003.tar: damaged header at byte {offset} (1 sample read). Re-download it.")


def test_an_overwritten_header_that_looks_like_the_end_is_noticed(clean: Path) -> None:
    offset = zoo.header_offsets(clean)[4]
    seen, error = until_damage(zoo.patched(clean, "x.tar", offset, bytes(1024)))
    assert seen == [("000000", "ok"), ("000001", "damaged_shard")]
    assert error.problem == "data after the end of the archive" and error.offset > offset


def test_every_truncation_is_noticed_and_costs_no_complete_sample(clean: Path) -> None:
    offsets = zoo.header_offsets(clean)
    end = offsets[-1] + 1024
    for size in range(1, end + 1024, 256):
        seen, error = until_damage(zoo.truncated(clean, "x.tar", size))
        # a sample is complete once the next sample's header is there
        complete = sum(size >= offset + 512 for offset in offsets[2::2])
        assert [key for key, reason in seen if reason == "ok"] == [f"{i:06d}" for i in range(complete)], size
        assert [reason for _, reason in seen[complete:]] == ["damaged_shard"] * (size >= 512)
        assert error.samples_read == complete
    assert reasons(zoo.truncated(clean, "x.tar", end + 1024))[-1] == ("000003", "ok")


def test_a_cut_in_the_content_says_where_and_in_what(clean: Path) -> None:
    _, error = until_damage(zoo.truncated(clean, "x.tar", 700))
    assert (error.problem, error.offset) == ("cut off in the middle of '000000.jpg'", 700)


def test_zero_padding_of_any_length_is_fine_and_anything_else_is_not(clean: Path) -> None:
    clean.write_bytes(clean.read_bytes() + bytes(777))
    assert len(reasons(clean)) == 4
    clean.write_bytes(clean.read_bytes() + b"x")
    _, error = until_damage(clean)
    assert error.offset == clean.stat().st_size - 1


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty file"),
        (b"<html>502 Bad Gateway</html>", "not a tar file"),
        (b"x" * 2048, "not a tar file"),
        (gzip.compress(bytes(10_240), mtime=0), "compressed with gzip"),
        (bytes(512), "end-of-archive blocks missing"),
        (zoo.header("a.jpg", 2**50), "cut off in the middle of 'a.jpg'"),
        (zoo.header("x", 10 << 30, tarfile.XHDTYPE) + zoo.END, "extension header of 10,737,418,240 bytes"),
        (zoo.header("g", 10 << 30, tarfile.XGLTYPE) + zoo.END, "extension header of 10,737,418,240 bytes"),
        (zoo.header("L", 2 << 20, tarfile.GNUTYPE_LONGNAME) + zoo.END, "extension header of 2,097,152 bytes"),
        (zoo.header("K", 2 << 20, tarfile.GNUTYPE_LONGLINK) + zoo.END, "extension header of 2,097,152 bytes"),
        (zoo.header("pax", 600, tarfile.XHDTYPE) + b"x" * 9, "cut off in an extension header"),
        (zoo.pax(b"nonsense") + zoo.raw_file("a.jpg", b"J") + zoo.END, "damaged pax header"),
        (zoo.pax(b"99 path=a\n") + zoo.raw_file("a.jpg", b"J") + zoo.END, "damaged pax header"),
        (zoo.pax(zoo.pax_record("size", "-1")) + zoo.raw_file("a.jpg", b"J") + zoo.END, "damaged pax header"),
        (zoo.pax(zoo.pax_record("path", "a.jpg")) + zoo.END, "extension header without a member"),
        (
            zoo.pax(zoo.pax_record("path", "a"), kind=tarfile.XGLTYPE) + zoo.raw_file("b.jpg", b"J") + zoo.END,
            "global header that redefines members",
        ),
    ],
)
def test_what_is_no_sound_tar_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(content)
    _, error = until_damage(path)
    assert error.problem == problem
    assert str(error).startswith(f"shard x.tar: {problem}")


def test_a_long_chain_of_extension_headers_is_no_recursion(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    chain = zoo.pax(zoo.pax_record("path", "first.jpg")) + zoo.pax(zoo.pax_record("path", "later.jpg")) * 3000
    path.write_bytes(chain + zoo.raw_file("a.jpg", b"J") + zoo.raw_file("first.txt", b"t") + zoo.END)
    assert reasons(path) == [("first", "ok")]  # the outermost header wins, as in tarfile


def test_a_missing_shard_says_so(tmp_path: Path) -> None:
    _, error = until_damage(tmp_path / "gone.tar")
    assert str(error) == ("shard gone.tar: cannot be read: No such file or directory (0 samples read). Check the path.")


def test_a_shard_error_survives_pickling_with_its_count() -> None:
    error = ShardError("a/x.tar", "damaged header", 512)
    error.samples_read = 1204
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.path, copy.offset) == ("a/x.tar", 512)
    assert str(copy) == "shard x.tar: damaged header at byte 512 (1,204 samples read). Re-download it."


# ---------------------------------------------------------------- naming shards


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in [
        "d/x-10.tar",
        "d/x-9.tar",
        "d/x-1.tar",
        "d/notes.txt",
        "e/y-1.tar",
        "e/x-1.tar",
        "e/w[1].tar",
    ]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "d" / "folder.tar").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["d"], ["d/x-1.tar", "d/x-9.tar", "d/x-10.tar"]),
        (["d/"], ["d/x-1.tar", "d/x-9.tar", "d/x-10.tar"]),
        (["d/x-?.tar"], ["d/x-1.tar", "d/x-9.tar"]),
        (["d/x-{9..10}.tar"], ["d/x-9.tar", "d/x-10.tar"]),
        (["d/x-{10,9}.tar"], ["d/x-10.tar", "d/x-9.tar"]),
        (["{e/y,d/x-1}*.tar"], ["e/y-1.tar", "d/x-1.tar", "d/x-10.tar"]),
        (["e/w[1].tar"], ["e/w[1].tar"]),
        (["d/x-9.tar", "d", "./d/x-10.tar"], ["d/x-9.tar", "d/x-1.tar", "d/x-10.tar"]),
        (
            ["https://h/a-{08..10}.tar?sig=*", "d/x-1.tar"],
            [*(f"https://h/a-{n}.tar?sig=*" for n in ("08", "09", "10")), "d/x-1.tar"],
        ),
    ],
)
def test_patterns_expand(folder: Path, patterns: list[str], expected: list[str]) -> None:
    assert expand_shards(patterns) == expected


@pytest.mark.parametrize(
    ("patterns", "complaint"),
    [
        (["d/z-*.tar"], r"d/z-\*.tar: nothing matches"),
        (["gone.tar"], "gone.tar: does not exist"),
        (["d/x-{8..11}.tar"], r"d/x-\{8..11\}.tar: 2 of 4 shards do not exist, d/x-8.tar first"),
        (["d/x-{0..1000000}.tar"], "more than 1,000,000 shards"),
        (["d/x-{0..999}{0..999}{0..9}.tar"], "more than 1,000,000 shards"),
        ([], "no shards given"),
        (["pipe:cat d/x-1.tar"], "pipe: is refused, only paths and http"),
        (["{pipe:id,d/x-1.tar}"], "pipe: is refused"),
        (["sftp://bucket/x.tar"], "sftp: is refused"),
        (["file:d/x-1.tar"], "file: is refused"),
    ],
)
def test_what_names_no_shards_is_refused(folder: Path, patterns: list[str], complaint: str) -> None:
    with pytest.raises(ShardSpecError, match=complaint):
        expand_shards(patterns)


def test_pipe_is_refused_even_where_a_file_has_that_name(folder: Path) -> None:
    (folder / "pipe:x.tar").touch()
    with pytest.raises(ShardSpecError):
        expand_shards(["pipe:x.tar"])
    with pytest.raises(ShardSpecError):
        list(read_shard("pipe:x.tar"))


def test_an_empty_folder_is_refused(folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(ShardSpecError, match=r"empty: no .tar file in the folder"):
        expand_shards(["empty"])


# ---------------------------------------------------------------- http


@pytest.fixture
def serve(clean: Path) -> Iterator[str]:
    """The address of a server that hands out the clean shard in several ways."""
    body = clean.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            if path.startswith("/to/"):
                self.send_response(302)
                targets = {"good": "/good/x.tar", "ftp": "ftp://h/x.tar", "file": "file:///x.tar"}
                self.send_header("Location", targets[path.split("/")[2]])
                self.end_headers()
            elif path.startswith("/missing/"):
                self.send_error(404)
            else:
                self.send_response(200)
                if path.startswith(("/good/", "/short/")):
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[:5000] if path.startswith("/short/") else body)

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("route", ["good", "lengthless", "to/good"])
def test_a_url_reads_like_the_file_and_leaves_nothing_behind(serve: str, clean: Path, route: str) -> None:
    with open_shard(f"{serve}/{route}/clean-000003.tar?token=secret") as shard:
        assert (shard.name, shard.size) == ("clean-000003.tar", clean.stat().st_size)
        assert shard.sha256() == hashlib.sha256(clean.read_bytes()).hexdigest()
        assert list(read_shard(shard)) == list(read_shard(clean))
    assert not shard.path.exists()


@pytest.mark.parametrize(
    ("route", "complaint"),
    [
        ("missing", r"HTTP error 404 \(Not Found\) \(0 samples read\). Check the URL."),
        ("short", r"download of [\d,]+ bytes cut off at byte 5000"),
        ("to/ftp", r"download failed \(redirected to ftp:\)"),
        ("to/file", "HTTP error 302"),
    ],
)
def test_a_failed_download_says_why_without_the_token(serve: str, route: str, complaint: str) -> None:
    url = f"{serve}/{route}/x.tar?token=secret"
    with pytest.raises(ShardError, match=complaint) as caught, open_shard(url):
        pass
    assert str(caught.value).startswith("shard x.tar: ")
    assert "secret" not in str(caught.value) + caught.value.path


def test_an_unreachable_server_is_a_shard_error() -> None:
    with pytest.raises(ShardError, match="download failed") as caught:
        list(read_shard("http://user:secret@127.0.0.1:1/x.tar"))
    assert "secret" not in str(caught.value) + caught.value.path


def test_a_download_that_does_not_end_is_given_up(serve: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "MAX_DOWNLOAD_BYTES", 3000)
    with pytest.raises(ShardError, match="download does not end"):
        fingerprint(f"{serve}/lengthless/x.tar")


def test_the_fingerprint_is_the_sha256_of_the_bytes(clean: Path) -> None:
    assert fingerprint(clean) == hashlib.sha256(clean.read_bytes()).hexdigest()


# ---------------------------------------------------------------- writing


def odd_shard(path: Path) -> Path:
    """A sound shard with everything a rewriter could get wrong."""
    long = "long/" * 40 + "n" * 120
    body = zoo.pax(zoo.pax_record("comment", "global"), kind=tarfile.XGLTYPE)
    body += zoo.raw_file("README", b"not a sample")
    records = {"path": long + ".jpg", "size": "5", "mtime": "1.5"}
    body += zoo.pax(*(zoo.pax_record(*record) for record in records.items()))
    body += zoo.header("short", 0) + zoo.padded(b"12345")
    body += zoo.pax(zoo.pax_record("path", long + ".txt")) + zoo.raw_file("short", b"long caption")
    body += zoo.header("L", 5, tarfile.GNUTYPE_LONGNAME) + zoo.padded(b"b.jpg") + zoo.raw_file("short", b"JJ")
    body += zoo.raw_file("b.txt", b"b's caption")[:-500] + b"\x07" * 500  # padding need not be zeros
    path.write_bytes(body + zoo.END + bytes(333))
    return path


def test_flipped_bytes_are_read_or_refused_and_survive_rewriting(tmp_path: Path) -> None:
    sound = odd_shard(tmp_path / "sound.tar").read_bytes()
    flipped, copy = tmp_path / "flipped.tar", tmp_path / "copy.tar"
    random = Random(0)
    refused = 0
    for _ in range(300):
        content = bytearray(sound)
        for _ in range(random.choice([1, 4])):
            content[random.randrange(len(content))] = random.randrange(256)
        flipped.write_bytes(content)
        try:
            items = list(read_shard(flipped))
        except ShardError:
            refused += 1
            continue
        rewrite_shard(flipped, copy, {item.index: {} for item in items if item.index >= 0})
        assert copy.read_bytes() == content
    assert 50 < refused < 250  # both ways were walked


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_shard_without_edits_is_copied_byte_for_byte(tmp_path: Path, format: int) -> None:
    source = zoo.tar(tmp_path / "x.tar", [*zoo.pairs(3), ("é" * 30 + "/" + "é" * 40 + ".jpg", b"J")], format)
    rewrite_shard(source, tmp_path / "new" / "x.tar", {})
    assert (tmp_path / "new" / "x.tar").read_bytes() == source.read_bytes()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["x.tar"]


def test_odd_bytes_are_copied_too(tmp_path: Path) -> None:
    source = odd_shard(tmp_path / "x.tar")
    assert [reason for _, reason in reasons(source)] == ["no_sample", "ok", "ok"]
    rewrite_shard(source, tmp_path / "y.tar", {})
    assert (tmp_path / "y.tar").read_bytes() == source.read_bytes()


def test_edits_change_their_members_and_no_other_byte(clean: Path, tmp_path: Path) -> None:
    caption = b"something else entirely, " * 40
    edits = {"000001": {".txt": caption, ".jpg": zoo.jpeg(50)}, "000002": DROP}
    rewrite_shard(clean, tmp_path / "new.tar", edits)
    expected = zoo.pairs(4)
    expected[2:6] = [("000001.jpg", zoo.jpeg(50)), ("000001.txt", caption)]
    reference = zoo.tar(tmp_path / "reference.tar", expected).read_bytes()
    end = len(reference.rstrip(b"\0"))
    assert (tmp_path / "new.tar").read_bytes()[:end] == reference[:end]
    keys = [(s.key, s.captions[0].text) for s in read_shard(tmp_path / "new.tar")]
    assert keys == [
        ("000000", "a picture of thing 0"),
        ("000001", caption.decode().strip()),
        ("000003", "a picture of thing 3"),
    ]


@pytest.mark.parametrize("image", [b"", b"7 bytes", b"x" * 12_345])
def test_edits_correct_sizes_in_pax_headers(tmp_path: Path, image: bytes) -> None:
    source = odd_shard(tmp_path / "x.tar")
    _, first, second = read_shard(source)
    edits = {first.key: {".jpg": image}, second.key: {".jpg": image, ".txt": b"new"}}
    rewrite_shard(source, tmp_path / "y.tar", edits)
    _, one, two = read_shard(tmp_path / "y.tar")
    assert (one.key, one.images[0].data, one.captions[0].text) == (first.key, image, "long caption")
    assert (two.key, two.images[0].data, two.captions[0].text) == ("b", image, "new")
    with tarfile.open(tmp_path / "y.tar", "r:") as file:  # the rest of the header is as it was
        info = file.getmember(first.images[0].name)
        assert (info.mtime, info.size, info.pax_headers["comment"]) == (1.5, len(image), "global")


def test_writing_the_old_content_again_changes_nothing(tmp_path: Path, clean: Path) -> None:
    edits = {s.key: {".jpg": s.images[0].data} for s in read_shard(clean)}
    rewrite_shard(clean, tmp_path / "y.tar", edits)
    assert (tmp_path / "y.tar").read_bytes() == clean.read_bytes()


def test_a_new_content_of_the_old_size_leaves_the_header_as_it_was(tmp_path: Path) -> None:
    source = zoo.tar(tmp_path / "x.tar", [("a.jpg", b"J"), ("a.txt", b"t")])
    checksum = source.read_bytes()[148:154]
    source = zoo.patched(source, "y.tar", 148, b" " + checksum + b"\0")  # as some old tars write it
    rewrite_shard(source, tmp_path / "z.tar", {"a": {".jpg": b"K"}})
    expected = bytearray(source.read_bytes())
    expected[512:513] = b"K"
    assert (tmp_path / "z.tar").read_bytes() == expected


def test_one_member_can_be_dropped(tmp_path: Path, clean: Path) -> None:
    rewrite_shard(clean, tmp_path / "y.tar", {"000001": {".txt": None}})
    assert reasons(tmp_path / "y.tar")[1] == ("000001", "no_caption")


def test_a_key_means_all_its_samples_and_an_index_just_one(tmp_path: Path) -> None:
    source = zoo.tar(tmp_path / "x.tar", [*zoo.pairs(2), *zoo.pairs(1)])
    rewrite_shard(source, tmp_path / "y.tar", {"000000": DROP})
    assert reasons(tmp_path / "y.tar") == [("000001", "ok")]
    rewrite_shard(source, tmp_path / "y.tar", {2: DROP})
    assert reasons(tmp_path / "y.tar") == [("000000", "ok"), ("000001", "ok")]


def test_every_irregular_sample_can_be_dropped_by_its_index(tmp_path: Path) -> None:
    entries = [
        zoo.special("link", tarfile.SYMTYPE, "/x"), *zoo.pairs(1), ("../e.jpg", b"J"), ("lonely.jpg", b"J"),
        *zoo.pairs(2), zoo.special("000001.png", tarfile.LNKTYPE, "x"), *zoo.pairs(1, first=2),
    ]  # fmt: skip
    source = zoo.tar(tmp_path / "x.tar", entries)
    irregular = {item.index: DROP for item in read_shard(source) if isinstance(item, Irregular)}
    assert len(irregular) == 5
    rewrite_shard(source, tmp_path / "y.tar", irregular)
    assert reasons(tmp_path / "y.tar") == [("000000", "ok"), ("000002", "ok")]


@pytest.mark.parametrize("edits", [{"nope": DROP}, {99: DROP}, {"000001": {".png": b"P"}}])
def test_an_edit_without_a_target_is_an_error(tmp_path: Path, clean: Path, edits: dict) -> None:
    with pytest.raises(ValueError, match=r"clean-000003.tar: nothing to edit under"):
        rewrite_shard(clean, tmp_path / "new" / "y.tar", edits)
    assert list((tmp_path / "new").iterdir()) == []


def test_a_damaged_source_leaves_no_file_and_an_old_file_alone(tmp_path: Path, clean: Path) -> None:
    damaged = zoo.truncated(clean, "x.tar", 3000)
    old = tmp_path / "new" / "x.tar"
    old.parent.mkdir()
    old.write_bytes(b"old")
    for write in (lambda: rewrite_shard(damaged, old, {}), lambda: extract_samples(damaged, old, ["000000"])):
        with pytest.raises(ShardError):
            write()
        assert [(path.name, path.read_bytes()) for path in old.parent.iterdir()] == [("x.tar", b"old")]


def test_the_original_is_never_overwritten(tmp_path: Path, clean: Path) -> None:
    (tmp_path / "link.tar").symlink_to(clean)
    before = clean.read_bytes()
    for target in (clean, tmp_path / "link.tar"):
        with pytest.raises(ValueError, match="would overwrite the original"):
            rewrite_shard(clean, target, {"000001": DROP})
    assert clean.read_bytes() == before


def test_extracted_samples_keep_their_original_bytes(tmp_path: Path) -> None:
    source = odd_shard(tmp_path / "x.tar")
    _, first, second = read_shard(source)
    assert extract_samples(source, tmp_path / "q" / "x.tar", [first.key]) == 1
    (kept,) = read_shard(tmp_path / "q" / "x.tar")
    assert (kept.key, kept.images[0].data, kept.captions[0].text) == (
        first.key,
        first.images[0].data,
        first.captions[0].text,
    )
    written = (tmp_path / "q" / "x.tar").read_bytes()
    assert len(written) % 10_240 == 0
    assert written.rstrip(b"\0") in source.read_bytes()
    assert extract_samples(source, tmp_path / "both.tar", [0, second.index]) == 2
    assert [s.key for s in read_shard(tmp_path / "both.tar")] == [first.key, "b"]


def test_extracting_takes_every_sample_of_a_key_and_misses_none(tmp_path: Path) -> None:
    source = zoo.tar(tmp_path / "x.tar", [*zoo.pairs(2), *zoo.pairs(1)])
    assert extract_samples(source, tmp_path / "q.tar", {"000000"}) == 2
    with pytest.raises(ValueError, match=r"no such samples: .'nope'"):
        extract_samples(source, tmp_path / "r.tar", ["000000", "nope"])
    assert not (tmp_path / "r.tar").exists()


def test_quarantine_and_rest_together_are_the_whole_shard(tmp_path: Path, clean: Path) -> None:
    flagged = ["000001", "000003"]
    rewrite_shard(clean, tmp_path / "rest.tar", dict.fromkeys(flagged, DROP))
    extract_samples(clean, tmp_path / "quarantine.tar", flagged)
    both = [s for name in ("rest.tar", "quarantine.tar") for s in read_shard(tmp_path / name)]
    original = {s.key: (s.images[0].data, s.captions[0].text) for s in read_shard(clean)}
    assert {s.key: (s.images[0].data, s.captions[0].text) for s in both} == original
    assert len(both) == 4
