"""Untrusted image bytes in, an upright RGB picture out.

Every caption and every pixel statistic in the audit comes from `decode_image`, so that the captioner, the
detectors and the report all look at the same pixels.
"""

from __future__ import annotations

import io
from typing import Final, Literal

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

__all__ = ["MAX_PIXELS", "ImageError", "decode_image"]

MAX_PIXELS: Final = 64_000_000
"""Default bound on width x height: an 8000 x 8000 photo passes, and its RGB copy takes 192 MB."""

_EXIF_ORIENTATION: Final = 0x0112
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


_PNG: Final = b"\x89PNG\r\n\x1a\n"
_OTHERS: Final = (
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"\xff\x0a", "a JPEG XL"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL"),
    (b"%PDF", "a PDF"),
    (b"version https://git-lfs", "a Git LFS pointer"),
)
"""First bytes of what crawlers save under a picture's name."""


class ImageError(Exception):
    """The bytes are not an image that the audit can look at.

    Attributes:
        reason: "undecodable" (not JPEG, PNG or WebP; damaged; truncated) or "oversized" (too many pixels).
        detail: what exactly is wrong, for the report.
    """

    def __init__(self, reason: Literal["undecodable", "oversized"], detail: str) -> None:
        super().__init__(reason, detail)  # both in args, so that the error survives pickling between workers
        self.reason: Literal["undecodable", "oversized"] = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason} image: {self.detail}"


def decode_image(data: bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode one JPEG, PNG or WebP file; of an animation, the first frame.

    Transparent pixels are composited on white, 16-bit greys are divided by 256, EXIF orientation is applied
    and the metadata is then dropped, so that nobody downstream rotates the picture a second time.

    Args:
        data: the whole file.
        max_pixels: the largest width x height to decode. Checked on the header, before any pixel is decoded.

    Returns:
        An image of mode "RGB" (uint8, H x W x 3) with an empty `info`.

    Raises:
        ImageError: "oversized" when the header claims more than `max_pixels`, otherwise "undecodable".
    """
    try:
        image = _open(data)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:  # the WebP plug-in's own check, on its way to the header
        raise ImageError("oversized", str(error)) from error
    except Exception as error:  # Pillow raises half a dozen types on hostile bytes; none may stop the audit
        raise ImageError("undecodable", _describe(error)) from error
    width, height = image.size
    if width * height > max_pixels:
        pixels = f"{width} x {height} = {width * height:,} pixels"
        raise ImageError("oversized", f"{pixels}, more than the limit of {max_pixels:,}")
    try:
        image.load()
        rgb = _to_rgb(image)
    except Exception as error:
        raise ImageError("undecodable", _describe(error)) from error
    turn = _UPRIGHT.get(_orientation(image))
    if turn is not None:
        rgb = rgb.transpose(turn)
    rgb.info = {}
    return rgb


def _open(data: bytes) -> ImageFile:
    """Read the header with the one plug-in the magic bytes name.

    `Image.open(formats=...)` is not used: its bomb check warns through the process-wide `warnings` state,
    which cannot be silenced safely from decoding threads, and it refuses at a limit of its own.
    """
    stream = io.BytesIO(data)
    if data.startswith(b"\xff\xd8\xff"):
        return JpegImageFile(stream)
    if data.startswith(_PNG):
        return PngImageFile(io.BytesIO(_without_metadata(data)))
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WebPImageFile(stream)
    raise ImageError("undecodable", _what_it_is(data))


def _without_metadata(data: bytes) -> bytes:
    """A PNG file without texts and colour profiles: Pillow refuses the whole picture where these are large."""
    kept, place = [data[:8]], 8
    while place + 12 <= len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        end = min(place + 12 + size, len(data))
        if data[place + 4 : place + 8] not in (b"tEXt", b"zTXt", b"iTXt", b"iCCP"):
            kept.append(data[place:end])
        place = end
    return b"".join((*kept, data[place:]))


def _what_it_is(data: bytes) -> str:
    """What bytes that are none of the three formats look like, and what to do."""
    if not data:
        return "empty file"
    head = data[:256].lstrip().lower()
    kind = next((name for mark, name in _OTHERS if data.startswith(mark)), None)
    if data[4:8] == b"ftyp":
        kind = {b"avif": "an AVIF", b"avis": "an AVIF"}.get(data[8:12], "a HEIC or another MP4-like")
    if head.startswith((b"<!doctype html", b"<html")):
        return "an HTML page, not an image: the download failed"
    if head.startswith((b"<svg", b"<?xml")):
        kind = "an SVG or XML"
    return (
        f"{kind} file, which is not read: convert it to JPEG, PNG or WebP" if kind else "not a JPEG, PNG or WebP file"
    )


def _to_rgb(image: Image.Image) -> Image.Image:
    """A new RGB image, never the file's own object."""
    if image.mode.startswith("I"):  # 16-bit greys; Pillow's own conversion clips at 255 instead of scaling
        grey = np.asarray(image).astype(np.int64) >> 8
        return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        flat = Image.new("RGB", rgba.size, "white")
        flat.paste(rgba, mask=rgba.getchannel("A"))
        return flat
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where the EXIF block is absent or unreadable."""
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # broken metadata on sound pixels: a training loader would show the picture as stored
        return 1


def _describe(error: Exception) -> str:
    return str(error) or type(error).__name__
