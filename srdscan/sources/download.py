"""A file of the web or of an object store, brought to the local disk: streamed, bounded, and given up when it stalls.

http(s) is read by urllib, not by fsspec's HTTPFileSystem: that one tries again by itself, reads in ranges without
comparing the length, and its messages repeat the URL with its token. Object stores are read by fsspec, in pieces.
"""

from __future__ import annotations

import hashlib
import http.client
import queue
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

from srdscan.sources.base import ShardError
from srdscan.sources.where import check_scheme, filesystem, is_http, meaning, path_in_store, redacted

__all__ = ["MAX_DOWNLOAD_BYTES", "fetched"]

MAX_DOWNLOAD_BYTES: Final = 64 << 30
"""A server may claim no length and never stop sending."""
MIN_BYTES_PER_SECOND: Final = 1024
"""A server that sends a byte now and then would hold the audit for ever."""

_CHUNK: Final = 1 << 20
_PIECE: Final = 8 << 20  # of an object: large enough that the requests do not count, small enough to see a stall


@contextmanager
def fetched(url: str, suffix: str = "", timeout: float = 60.0) -> Iterator[tuple[Path, int, str]]:
    """Downloads a URL to a temporary file, which is gone when the context ends.

    Args:
        url: of the web or an object store, as `where.is_remote` knows it.
        suffix: what the name of the temporary file ends in.
        timeout: seconds; a download that brings less than 1 KiB a second for so long is given up.

    Yields:
        The file, its size in bytes, and the hex SHA-256 of its bytes.

    Raises:
        ShardError: missing, refused, redirected elsewhere, cut off, stalled or endless. No message holds a secret.
        ShardSpecError: a scheme that is not read, or one whose package is not installed.
    """
    check_scheme(url)
    location = redacted(url)
    digest, size = hashlib.sha256(), 0
    with tempfile.NamedTemporaryFile(prefix="srdscan-", suffix=suffix) as file:
        pieces = _from_web(url, location, timeout) if is_http(url) else _from_store(url, location)
        with closing(_steady(pieces, location, timeout)) as steady:
            for piece in steady:
                size += len(piece)
                if size > MAX_DOWNLOAD_BYTES:
                    raise ShardError(location, "download does not end", size, "Do not trust the server.")
                digest.update(piece)
                file.write(piece)
        file.flush()
        yield Path(file.name), size, digest.hexdigest()


def _steady(pieces: Iterator[bytes], location: str, timeout: float) -> Generator[bytes, None, None]:
    """The pieces, read in a thread of their own: the time without any is known whatever library waits for them."""
    arrived: queue.Queue[bytes | BaseException | None] = queue.Queue(maxsize=2)
    given_up = threading.Event()

    def read() -> None:
        try:
            for piece in pieces:
                arrived.put(piece)
                if given_up.is_set():
                    return
            arrived.put(None)
        except BaseException as error:
            arrived.put(error)

    # daemon: what hangs in a library must not keep the program from ending
    threading.Thread(target=read, name="srdscan-download", daemon=True).start()
    size, window, until = 0, 0, time.monotonic() + timeout
    try:
        while True:
            try:
                piece = arrived.get(timeout=max(until - time.monotonic(), 0.001))
            except queue.Empty:
                piece = b""
            if piece is None:
                return
            if isinstance(piece, BaseException):
                raise piece
            if piece:
                size, window = size + len(piece), window + len(piece)
                yield piece
            if time.monotonic() >= until:
                if window < MIN_BYTES_PER_SECOND * timeout:
                    raise ShardError(location, f"download stalled for {timeout:g} s", size or None, "Try again.")
                window, until = 0, time.monotonic() + timeout
    finally:
        given_up.set()
        while not arrived.empty():  # room for the piece that the thread may hold, so that it ends
            arrived.get_nowait()


class _HttpRedirectsOnly(urllib.request.HTTPRedirectHandler):
    """urllib by itself also follows a redirect to ftp."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not is_http(newurl):
            raise urllib.error.URLError(f"redirected to {urlsplit(newurl).scheme or 'nowhere'}:")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _from_web(url: str, location: str, timeout: float) -> Iterator[bytes]:
    opener = urllib.request.build_opener(_HttpRedirectsOnly())
    size = 0
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "srdscan", "Accept-Encoding": "identity"})
        with opener.open(request, timeout=timeout) as response:
            claimed = response.headers.get("Content-Length")
            while chunk := response.read1(_CHUNK):
                size += len(chunk)
                yield chunk
    except urllib.error.HTTPError as error:
        remedy = "Check the URL." if error.code in (404, 410) else "Check the access rights or try again."
        words = http.client.responses.get(error.code, "unknown")  # not error.reason: the server words that
        if error.code // 100 == 3:
            words = "a redirect that is not followed"
            remedy = "Name the file's own URL."
        raise ShardError(location, f"HTTP error {error.code} ({words})", remedy=remedy) from None
    except TimeoutError:
        raise ShardError(location, f"download stalled for {timeout:g} s", size or None, "Try again.") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        # `from None`, and no text of the error but its reason: urllib's messages may repeat the password
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
        problem = f"download failed ({reason})"
        raise ShardError(location, problem, size or None, "Check the URL or try again.") from None
    if claimed is not None and claimed.isdigit() and size != int(claimed):
        raise ShardError(location, f"download of {int(claimed):,} bytes cut off", size, "Try again.")


def _from_store(url: str, location: str) -> Iterator[bytes]:
    size = 0
    try:
        store = filesystem(url)
        with store.open(path_in_store(url), "rb", block_size=_PIECE, cache_type="none") as file:
            claimed = file.size
            if claimed is not None and claimed > MAX_DOWNLOAD_BYTES:
                problem = f"{claimed:,} bytes, more than the limit of {MAX_DOWNLOAD_BYTES:,}"
                raise ShardError(location, problem, remedy="Split it.")
            while piece := file.read(_PIECE):
                size += len(piece)
                yield piece
    except ShardError:
        raise
    except Exception as error:  # each store has a family of its own, whose messages may repeat headers
        problem, remedy = meaning(error, url)
        raise ShardError(location, problem, size or None, remedy) from None
    if claimed is not None and size != claimed:
        raise ShardError(location, f"download of {claimed:,} bytes cut off", size, "Try again.")
