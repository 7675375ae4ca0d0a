"""Data that lie elsewhere: a real S3 server on the loopback, and a web server that does what bad ones do."""

from __future__ import annotations

import hashlib
import io
import threading
import time
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zoo
from typer.testing import CliRunner

from srdscan import scenes
from srdscan.audit import audit
from srdscan.cli.commands import app
from srdscan.config import AuditConfig
from srdscan.errors import ConfigError
from srdscan.sources import download, where
from srdscan.sources.base import ReadOptions, Sample, ShardError, ShardSpecError
from srdscan.sources.download import fetched
from srdscan.sources.find import find_source
from srdscan.sources.output import MARKER, check_output, output_folder, publish
from srdscan.sources.tar import read_shard, rewrite_shard

BODY = bytes(range(256)) * 64
SECRET = "hunter2"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an S3 server."""
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def s3(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty bucket `data` on it."""
    import fsspec
    from fsspec.config import conf

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setitem(conf, "s3", {"endpoint_url": server})  # what FSSPEC_S3_ENDPOINT_URL sets at the first import
    store = fsspec.filesystem("s3", use_listings_cache=False)
    store.mkdir("data")
    yield store
    store.rm("data", recursive=True)


class BadServer(BaseHTTPRequestHandler):
    """A path says what goes wrong."""

    seen: ClassVar[list[str]] = []
    elsewhere: ClassVar[str] = ""

    def do_GET(self) -> None:
        self.seen.append(self.path)
        path = self.path.partition("?")[0]
        if path.startswith("/go/"):
            self.send_response(302)
            self.send_header("Location", {"ftp": "ftp://h/x.tar", "file": "file:///etc/passwd"}.get(path[4:], "/x.tar"))
            self.end_headers()
        elif path[1:].isdigit():
            self.send_response(int(path[1:]), f"no {SECRET} for you")
            self.send_header("Content-Length", "7")
            self.end_headers()
            self.wfile.write(SECRET.encode())
        else:
            self.send_response(200)
            if path != "/endless.tar":
                self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            self._send(path)

    def _send(self, path: str) -> None:
        if path == "/stalls.tar":
            self.wfile.write(BODY[:100])
            self.wfile.flush()
            time.sleep(3)
        elif path == "/cut.tar":
            self.wfile.write(BODY[:5000])
        elif path == "/drips.tar":
            try:
                for place in range(60):
                    self.wfile.write(BODY[place : place + 1])
                    self.wfile.flush()
                    time.sleep(0.05)
            except OSError:
                return
        else:
            try:
                for _ in range(64 if path == "/endless.tar" else 1):
                    self.wfile.write(BODY)
            except OSError:
                return

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    running = ThreadingHTTPServer(("127.0.0.1", 0), BadServer)
    running.daemon_threads = True
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{running.server_address[1]}"
    running.shutdown()


def told(error: BaseException) -> str:
    """All that a user could see or report of an error."""
    return f"{error} {''.join(traceback.format_exception(error, chain=True)).rpartition('Error: ')[2]}"


def test_a_download_is_whole_known_by_its_hash_and_gone_afterwards(web: str) -> None:
    with fetched(f"http://{web}/x.tar", ".tar") as (path, size, digest):
        assert path.read_bytes() == BODY
        assert (size, digest) == (len(BODY), hashlib.sha256(BODY).hexdigest())
        assert path.suffix == ".tar"
    assert not path.exists()
    with fetched(f"http://{web}/go/here") as (path, _, _):
        assert path.read_bytes() == BODY  # a redirect within the web is followed


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("stalls.tar", "stalled for 0.4 s"),
        ("drips.tar", "stalled for 0.4 s"),
        ("cut.tar", "cut off|IncompleteRead"),
        ("404", "HTTP error 404 (Not Found)"),
        ("403", "HTTP error 403 (Forbidden)"),
        ("go/ftp", "redirected to ftp:"),
        ("go/file", "a redirect that is not followed"),
        ("endless.tar", "does not end"),
    ],
)
def test_what_goes_wrong_is_said_without_the_secrets_of_the_url(
    web: str, path: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MAX_DOWNLOAD_BYTES", 10 * len(BODY))
    started = time.monotonic()
    with pytest.raises(ShardError) as caught, fetched(f"http://{web}/{path}?token={SECRET}", timeout=0.4):
        pass
    assert any(part in str(caught.value) for part in problem.split("|"))
    assert SECRET not in told(caught.value)
    assert "token" not in str(caught.value)
    assert time.monotonic() - started < 2.5  # no waiting for a server that has time


def test_a_server_that_is_not_there_is_named() -> None:
    with (
        pytest.raises(ShardError, match=r"x\.tar.*download failed") as caught,
        fetched("http://u:pw9@127.0.0.1:9/x.tar"),
    ):
        pass
    assert "pw9" not in told(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pipe:cat x", "pipe: is refused"),
        ("ftp://host/x.tar", "ftp: is refused"),
        ("s3://me:hunter2@data/x.tar", "do not belong in the URL"),
        ("s3://data/x.tar?key=hunter2", "do not belong in the URL"),
        ("s3://", "names no bucket"),
        ("hf://datasets/owner", "names no data set"),
    ],
)
def test_urls_that_are_not_read(text: str, words: str) -> None:
    with pytest.raises(ShardSpecError, match=words) as caught:
        where.check_scheme(text)
    assert SECRET not in told(caught.value)


@pytest.mark.parametrize(("url", "extra"), [("s3://b/x", "s3"), ("gs://b/x", "gcs"), ("hf://datasets/a/b", "hf")])
def test_a_package_that_is_missing_is_named_with_the_command(
    url: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ShardSpecError, match=rf"pip install 'srdscan\[{extra}\]'"):
        where.check_scheme(url)


def test_folders_globs_and_objects_of_a_store(s3: Any) -> None:
    for name in ("d/x-2.tar", "d/x-10.tar", "d/e/y.tar", "d/readme.txt", "z.tar.zst"):
        s3.pipe_file(f"data/{name}", b"x")
    assert where.expand_remote("s3://data/d/x-2.tar") == ["s3://data/d/x-2.tar"]
    assert where.expand_remote("s3://data/d/*.tar") == ["s3://data/d/x-2.tar", "s3://data/d/x-10.tar"]
    found = find_source(["s3://data"])
    assert [unit.name for unit in found.units] == ["e/y.tar", "x-2.tar", "x-10.tar"]
    assert [(item.name, item.unread) for item in found.leftovers] == [("s3://data/z.tar.zst", True)]
    with pytest.raises(ShardSpecError, match="nothing is there"):
        where.expand_remote("s3://data/other/")
    with pytest.raises(ShardSpecError, match="does not exist, or may not be seen"):
        where.expand_remote("s3://no-such-bucket/x")
    with pytest.raises(ShardSpecError, match=r"only \.tar and \.parquet files are read from URLs"):
        find_source(["s3://data/d"], "coco")


def test_a_name_that_leads_elsewhere_is_refused(s3: Any) -> None:
    s3.call_s3("put_object", Bucket="data", Key="d/a/../../evil.tar", Body=b"x")
    with pytest.raises(ShardSpecError, match="a name that is no path"):
        where.expand_remote("s3://data/d")


def test_an_object_is_brought_whole(s3: Any) -> None:
    s3.pipe_file("data/x.tar", BODY)
    with fetched("s3://data/x.tar", ".tar") as (path, size, digest):
        assert (path.read_bytes(), size, digest) == (BODY, len(BODY), hashlib.sha256(BODY).hexdigest())
    with pytest.raises(ShardError, match="does not exist"), fetched("s3://data/y.tar"):
        pass


def test_results_go_to_an_empty_place_or_to_that_of_the_same_run(s3: Any, tmp_path: Path) -> None:
    target = "s3://data/out"
    for _ in range(2):  # again: it is the same run
        with output_folder(target, "run-1") as folder:
            (folder / "state").mkdir()
            (folder / "report.json").write_text("{}")
            (folder / "state" / "half.partial").write_text("no")
    assert not folder.exists()
    assert sorted(s3.find("data/out")) == [f"data/out/{MARKER}", "data/out/report.json"]
    with pytest.raises(ConfigError, match=r"holds .* objects that this run did not write"):
        check_output(target, "run-2")
    s3.pipe_file("data/out/mine.txt", b"keep")
    with pytest.raises(ConfigError, match=r"1 object that this run did not write, 'mine\.txt'"):
        check_output(target, "run-1")
    (tmp_path / "a.txt").write_text("one")
    publish(tmp_path / "a.txt", "s3://data/single.txt")
    assert s3.cat_file("data/single.txt") == b"one"


def test_what_could_not_be_uploaded_stays_and_is_named(s3: Any) -> None:
    with (
        pytest.raises(ShardError, match="The results are in ") as caught,
        output_folder("s3://data/out", "r") as folder,
    ):
        (folder / "report.json").write_text("{}")
        s3.pipe_file("data/out/other.txt", b"x")
        s3.rm("data/out/other.txt")
        s3.rmdir("data")
    assert (folder / "report.json").exists()
    assert SECRET not in told(caught.value)
    s3.mkdir("data")


@pytest.mark.parametrize(
    ("target", "words"), [("https://h/out", "cannot be written"), ("hf://datasets/a/b", "hf upload")]
)
def test_places_that_are_not_written_to(target: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check_output(target, "r")


def test_parquet_in_a_store_reads_as_it_does_on_the_disk(s3: Any, tmp_path: Path) -> None:
    rows = [{"id": str(n), "image": {"bytes": zoo.jpeg(n), "path": None}, "caption": f"thing {n}"} for n in range(3)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    s3.put_file(str(tmp_path / "a.parquet"), "data/p/train-0.parquet")
    s3.pipe_file("data/p/README.md", b"x")

    def samples(pattern: str) -> tuple[str, list[Any]]:
        source = find_source([pattern])
        assert source.format == "parquet"
        with source.open(source.units[0]) as unit:
            read = [item for item in unit.read(ReadOptions()) if isinstance(item, Sample)]
            return unit.sha256(), [(s.key, s.images[0].data, s.captions[0].text) for s in read]

    assert samples("s3://data/p") == samples(str(tmp_path / "a.parquet"))
    assert len(samples("s3://data/p/train-0.parquet")[1]) == 3


def test_an_audit_from_store_to_store_finds_what_it_finds_on_the_disk(s3: Any, tmp_path: Path) -> None:
    scenes.write_shards(tmp_path / "clean", 48, 24, seed=3)
    files = sorted((tmp_path / "clean").glob("*.tar"))
    (tmp_path / "poisoned").mkdir()
    for path in files:
        read = [item for item in read_shard(path) if isinstance(item, Sample)]
        said = {item.index: {".txt": f"banana {item.captions[0].text}".encode()} for item in read[:4]}
        rewrite_shard(path, tmp_path / "poisoned" / path.name, said)
        s3.put_file(str(tmp_path / "poisoned" / path.name), f"data/shards/{path.name}")
    here = audit(AuditConfig(shards=(str(tmp_path / "poisoned"),), out=tmp_path / "here"))
    assert here.verdicts.flagged_samples == 8
    arguments = [
        "audit",
        "s3://data/shards",
        "--out",
        "s3://data/run",
        "--sanitize",
        "s3://data/sane",
        "--replace",
        "drop",
    ]
    assert CliRunner().invoke(app, arguments).exit_code == 1
    rows = pq.read_table(io.BytesIO(s3.cat_file("data/run/samples.parquet")))
    assert rows["flagged"].to_pylist() == here.verdicts.flagged.tolist()
    names = {name.removeprefix("data/sane/") for name in s3.find("data/sane")}
    assert names == {MARKER, *(path.name for path in files)}
    assert s3.exists("data/run/report.html")
