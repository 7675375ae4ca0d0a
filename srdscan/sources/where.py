"""Where data lie: local paths, the web (http, https), and object stores (s3, gs, hf) through fsspec.

An object store needs the package of its extra (`pip install 'srdscan[s3]'`) and takes credentials as that package does:
from the environment and the usual files, never from the URL. `fsspec`'s own settings hold too, such as
`FSSPEC_S3='{"anon": true}'` for public buckets and `FSSPEC_S3_ENDPOINT_URL` for other servers.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

from srdscan.sources.base import ShardSpecError
from srdscan.sources.naming import natural

__all__ = [
    "MAX_OBJECTS",
    "check_scheme",
    "expand_remote",
    "filesystem",
    "is_http",
    "is_remote",
    "meaning",
    "path_in_store",
    "redacted",
]

MAX_OBJECTS: Final = 1_000_000
"""More than LAION-5B has."""

STORES: Final = {"s3": "s3fs", "gs": "gcsfs", "hf": "huggingface_hub"}
"""Scheme of a store -> the module that reads it."""
EXTRAS: Final = {"s3": "s3", "gs": "gcs", "hf": "hf"}

_CREDENTIALS: Final = {
    "s3": "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; "
    """for a public bucket FSSPEC_S3='{"anon": true}'.""",
    "gs": "Run `gcloud auth application-default login` or set GOOGLE_APPLICATION_CREDENTIALS; "
    """for a public bucket FSSPEC_GS='{"token": "anon"}'.""",
    "hf": "Run `hf auth login` or set HF_TOKEN, and accept the terms of a gated data set.",
}
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_QUERY: Final = re.compile(r"\?[^/=]*=.*", re.DOTALL)  # in a store `?` alone is a wildcard, or part of a name
_MAGIC: Final = re.compile(r"[*?\[]")
_DENIED: Final = re.compile(r"Permission|Forbidden|AccessDenied|Gated|Unauthori[sz]ed")


def is_http(text: str) -> bool:
    """Whether a text is a URL of the web."""
    return text.lower().startswith(("http://", "https://"))


def is_remote(text: str) -> bool:
    """Whether a text is a URL that can be read: http, https, s3, gs or hf.

    >>> [is_remote(text) for text in ("s3://bucket/a.tar", "d/a.tar", "s3:a.tar", "ftp://h/a.tar")]
    [True, False, False, False]
    """
    return is_http(text) or text.lower().startswith(tuple(f"{scheme}://" for scheme in STORES))


def redacted(url: str) -> str:
    """The URL without user, password, query and fragment: they carry secrets, and messages get reported.

    >>> redacted("https://me:pw@example.org/x.tar?sig=abc#d")
    'https://example.org/x.tar'
    """
    if is_http(url):
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url.split("?")[0]
    bucket, slash, path = _QUERY.sub("", rest).partition("/")
    return f"{scheme}://{bucket.rpartition('@')[2]}{slash}{path}"


def check_scheme(text: str) -> None:
    """Lets local paths and readable URLs pass.

    Raises:
        ShardSpecError: `pipe:`, which webdataset would run in a shell; another scheme, which it would hand to whatever
            opener is installed; a store whose package is not installed; a store's URL with credentials in it.
    """
    match = _SCHEME.match(text)
    if not match:
        return
    scheme = match[1].lower()
    if not is_remote(text):
        if scheme == "pipe" or not os.path.exists(text):
            raise ShardSpecError(
                f"{redacted(text)}: {match[1]}: is refused, only paths and http(s), s3, gs and hf URLs are read. "
                "Download the data first."
            )
    elif scheme in STORES:
        _check_store(text, scheme)


def expand_remote(pattern: str) -> list[str]:
    """The URLs that a URL stands for.

    One of the web is itself; it has no listing. In a store a folder stands for all that lies below it, `*`, `?`, `[ab]`
    and `**` match as in a shell, and whatever is found is sorted naturally. Braces are not expanded here.

    Raises:
        ShardSpecError: nothing is there; it cannot be listed; a name in it leads out of its folder.
    """
    check_scheme(pattern)
    shown = redacted(pattern)
    if is_http(pattern):
        if urlsplit(pattern).path.endswith("/") or not urlsplit(pattern).path:
            raise ShardSpecError(f"{shown}: the web has no listing of a folder. Name files: x-{{000000..000099}}.tar.")
        return [pattern]
    scheme, path = pattern.partition("://")[0].lower(), path_in_store(pattern)
    try:
        store = filesystem(pattern)
        if _MAGIC.search(path):
            found = _files(store.glob(path, detail=True).items())
        elif not pattern.endswith("/") and store.info(path)["type"] == "file":
            return [pattern]
        else:
            found = _files(store.find(path, detail=True).items())
    except Exception as error:  # each store has a family of its own, whose messages may repeat headers
        problem, remedy = meaning(error, pattern)
        raise ShardSpecError(f"{shown}: {problem}. {remedy}") from None
    if not found:
        raise ShardSpecError(f"{shown}: nothing is there. Check the URL.")
    if len(found) > MAX_OBJECTS:
        raise ShardSpecError(f"{shown}: more than {MAX_OBJECTS:,} objects. Name them in parts.")
    for name in found:
        # names of objects become paths below the output's folder, and an object may be called anything
        if not {"", ".", ".."}.isdisjoint(name.split("/")) or "\\" in name or not name.isprintable():
            raise ShardSpecError(f"{shown}: the object {name!r} has a name that is no path. Rename it.")
    return [f"{scheme}://{name}" for name in sorted(found, key=natural)]


def filesystem(url: str) -> Any:
    """fsspec's file system of a store's URL. Its class is chosen by scheme: chained URLs (`a::b`) have no meaning."""
    import fsspec

    # listings are not kept: an object that was replaced would be read with the size of the old one
    return fsspec.filesystem(url.partition("://")[0].lower(), use_listings_cache=False)


def path_in_store(url: str) -> str:
    """What fsspec calls an object: `bucket/key`.

    >>> path_in_store("s3://bucket/d/")
    'bucket/d'
    """
    return url.partition("://")[2].strip("/")


def meaning(error: BaseException, url: str) -> tuple[str, str]:
    """(what is wrong, remedy) of an error of a store, without the error's own words: they may repeat secrets."""
    scheme = url.partition("://")[0].lower()
    name = type(error).__name__
    if isinstance(error, FileNotFoundError) or "NotFound" in name or "NoSuch" in name:
        return "does not exist, or may not be seen", "Check the URL."
    if "Credential" in name or name == "RefreshError":
        return f"no credentials ({name})", _CREDENTIALS[scheme]
    if isinstance(error, PermissionError) or _DENIED.search(name) or _status(error) in (401, 403):
        return f"access is denied ({name})", _CREDENTIALS[scheme]
    return f"cannot be read ({name})", "Check the connection and try again."


def _status(error: BaseException) -> int | None:
    found = getattr(getattr(error, "response", None), "status_code", None) or getattr(error, "code", None)
    return found if isinstance(found, int) else None


def _check_store(url: str, scheme: str) -> None:
    shown = redacted(url)
    host = url.partition("://")[2].partition("/")[0]
    if "@" in host or _QUERY.search(url):
        raise ShardSpecError(f"{shown}: credentials and settings do not belong in the URL. {_CREDENTIALS[scheme]}")
    if not host or _MAGIC.search(host):
        raise ShardSpecError(f"{shown}: names no bucket. Write {scheme}://bucket/folder.")
    if scheme == "hf" and not re.match(r"datasets/[^/*?\[]+/[^/*?\[]+", path_in_store(url)):
        raise ShardSpecError(f"{shown}: names no data set. Write hf://datasets/owner/name/folder.")
    module = STORES[scheme]
    if importlib.util.find_spec(module) is None:
        raise ShardSpecError(f"{shown}: needs {module}. Run: pip install 'srdscan[{EXTRAS[scheme]}]'")


def _files(entries: Iterable[tuple[str, Any]]) -> list[str]:
    """The names of what is a file; a key that ends in a slash is how some programs draw a folder."""
    return [name for name, facts in entries if facts["type"] == "file" and not name.endswith("/")]
