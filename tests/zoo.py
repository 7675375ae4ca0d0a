"""The zoo: builders of clean, damaged and hostile images and shards, small enough to build in every test."""

from __future__ import annotations

import io
import struct
import tarfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

BLOCK = 512
END = bytes(2 * BLOCK)

Entry = tuple[str, bytes] | tarfile.TarInfo


def picture(seed: int = 0, size: tuple[int, int] = (24, 16)) -> Image.Image:
    """A smooth RGB picture (width, height) whose corners differ, so that turning it shows."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (3, 4, 3), dtype=np.uint8))
    return small.resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def jpeg(seed: int = 0) -> bytes:
    return encoded(picture(seed), "JPEG", quality=80)


def png_bomb(width: int = 50_000, height: int = 50_000) -> bytes:
    """A PNG of a few dozen bytes whose header claims 7.5 GB of pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(64))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def webp_bomb() -> bytes:
    """A tiny lossy WebP whose frame header claims 16383 x 16383 pixels."""
    data = bytearray(encoded(Image.new("RGB", (8, 8)), "WEBP"))
    frame = data.index(b"VP8 ") + 8  # chunk name and size; the frame's width and height follow 6 bytes on
    data[frame + 6 : frame + 10] = struct.pack("<HH", 16383, 16383)
    return bytes(data)


def tar(path: Path, entries: Iterable[Entry], format: int = tarfile.USTAR_FORMAT) -> Path:
    """Write a sound tar of (name, content) files and ready-made TarInfos (links, devices, directories)."""
    with tarfile.open(path, "w", format=format) as out:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                out.addfile(entry)
            else:
                info = tarfile.TarInfo(entry[0])
                info.size = len(entry[1])
                out.addfile(info, io.BytesIO(entry[1]))
    return path


def pairs(count: int, first: int = 0) -> list[Entry]:
    """`count` ordinary samples: 000000.jpg, 000000.txt, 000001.jpg, ..."""
    entries: list[Entry] = []
    for i in range(first, first + count):
        entries += [(f"{i:06d}.jpg", jpeg(i)), (f"{i:06d}.txt", f"a picture of thing {i}\n".encode())]
    return entries


def special(name: str, kind: bytes, linkname: str = "") -> tarfile.TarInfo:
    """A member without content: directory, link, device."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, linkname
    return info


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """One 512-byte header block claiming any size at all."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def pax_record(keyword: str, value: str) -> bytes:
    body = f" {keyword}={value}\n".encode()
    length = len(body) + len(str(len(body)))
    return str(len(body) + len(str(length))).encode() + body


def pax(*records: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    """A pax extended header (or, with XGLTYPE, a global one) of raw records."""
    content = b"".join(records)
    return header("pax", len(content), kind) + padded(content)


def raw_file(name: str, data: bytes) -> bytes:
    return header(name, len(data)) + padded(data)


def header_offsets(path: Path) -> list[int]:
    """Where each member of a sound tar starts."""
    with tarfile.open(path, "r:") as file:
        return [info.offset for info in file]


def patched(source: Path, name: str, offset: int, data: bytes) -> Path:
    """A copy of a shard with some bytes overwritten."""
    content = bytearray(source.read_bytes())
    content[offset : offset + len(data)] = data
    target = source.with_name(name)
    target.write_bytes(content)
    return target


def truncated(source: Path, name: str, size: int) -> Path:
    target = source.with_name(name)
    target.write_bytes(source.read_bytes()[:size])
    return target


def contents(path: Path) -> dict[str, bytes]:
    """Name and content of each file in a tar."""
    with tarfile.open(path) as file:
        return {info.name: file.extractfile(info).read() for info in file if info.isfile()}
