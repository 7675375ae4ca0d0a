"""decode_image: whatever the file, an upright RGB picture or an ImageError with its reason."""

from __future__ import annotations

import pickle
import tracemalloc
import warnings

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from zoo import encoded, picture, png_bomb, webp_bomb

from srdscan.sources.images import ImageError, decode_image


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(decode_image(data))


def refusal(data: bytes, **options: int) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode_image(data, **options)
    return caught.value


@pytest.mark.parametrize("options", [{"kind": "PNG"}, {"kind": "WEBP", "lossless": True}])
def test_a_lossless_picture_comes_back_exactly(options: dict) -> None:
    image = decode_image(encoded(picture(), **options))
    assert (image.mode, image.size, image.info) == ("RGB", (24, 16), {})
    assert np.array_equal(np.asarray(image), np.asarray(picture()))


def test_a_jpeg_comes_back_nearly_exactly() -> None:
    difference = pixels(encoded(picture(), "JPEG", quality=95)).astype(int) - np.asarray(picture())
    assert np.abs(difference).mean() < 4


def test_grey_becomes_three_equal_channels() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(pixels(encoded(Image.fromarray(grey))), np.repeat(grey[..., None], 3, axis=2))


def test_sixteen_bit_grey_is_divided_by_256_and_not_clipped() -> None:
    grey = np.array([[0, 255, 256, 32768, 65535]], dtype=np.uint16)
    assert pixels(encoded(Image.fromarray(grey)))[0, :, 1].tolist() == [0, 0, 1, 128, 255]


def test_one_bit_pictures_become_black_and_white() -> None:
    bits = Image.fromarray(np.array([[True, False]]))
    assert bits.mode == "1"
    assert pixels(encoded(bits)).tolist() == [[[255] * 3, [0] * 3]]


def test_a_palette_is_looked_up() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1])
    assert pixels(encoded(image)).tolist() == [[[10, 20, 30], [200, 100, 50]]]


def test_cmyk_is_converted() -> None:
    red = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert np.abs(pixels(encoded(red, "JPEG", quality=100)).astype(int) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("kind", ["RGBA", "LA", "P", "L", "RGB"])
def test_transparent_pixels_are_white(kind: str) -> None:
    if kind == "RGBA":
        data = encoded(Image.fromarray(np.array([[[0, 0, 0, 0], [0, 0, 0, 255]]], dtype=np.uint8)))
    elif kind == "LA":
        alpha = Image.fromarray(np.array([[0, 255]], np.uint8))
        data = encoded(Image.merge("LA", [Image.new("L", (2, 1)), alpha]))
    else:
        image = Image.new("P" if kind == "P" else "RGB", (2, 1))
        if kind == "P":
            image.putpalette([9, 9, 9, 0, 0, 0])
            image.putdata([0, 1])
            transparency: object = 0
        else:
            image.putpixel((0, 0), (9, 9, 9))
            transparency = 9 if kind == "L" else (9, 9, 9)
            image = image.convert(kind)
        data = encoded(image, transparency=transparency)
    assert pixels(data).tolist() == [[[255] * 3, [0] * 3]]


def test_half_transparent_red_is_pink() -> None:
    data = encoded(Image.new("RGBA", (1, 1), (255, 0, 0, 128)))
    assert pixels(data)[0, 0].tolist() == [255, 127, 127]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone_once(orientation: int) -> None:
    turned = {  # how a camera held in that way stores the upright picture
        1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a.transpose(1, 0, 2), 2), 8: lambda a: np.rot90(a, -1),
    }[orientation]  # fmt: skip
    upright = np.asarray(picture())
    stored = Image.fromarray(np.ascontiguousarray(turned(upright)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode_image(encoded(stored, "PNG", exif=exif))
    assert np.array_equal(np.asarray(image), upright)
    assert 0x0112 not in image.getexif()


def test_broken_exif_does_not_cost_the_picture() -> None:
    data = encoded(picture(), "PNG", exif=b"Exif\0\0" + b"\xff" * 40)
    assert np.array_equal(pixels(data), np.asarray(picture()))


def test_an_animation_shows_its_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    data = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert pixels(data)[0, 0].tolist() == [255, 0, 0]


def test_a_decompression_bomb_is_refused_from_its_header_in_silence() -> None:
    tracemalloc.start()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        error = refusal(png_bomb())
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    assert error.reason == "oversized"
    assert "50000 x 50000 = 2,500,000,000 pixels" in error.detail


@pytest.mark.parametrize("limit", [64_000_000, 10**12])
def test_a_webp_bomb_is_oversized_whatever_the_limit(limit: int) -> None:
    assert refusal(webp_bomb(), max_pixels=limit).reason == "oversized"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_limit_counts_pixels_and_is_inclusive(kind: str) -> None:
    data = encoded(picture(), kind)
    assert decode_image(data, max_pixels=24 * 16).size == (24, 16)
    assert refusal(data, max_pixels=24 * 16 - 1).reason == "oversized"


def test_a_size_that_pillow_would_warn_about_passes_in_silence_if_allowed() -> None:
    data = encoded(Image.new("1", (10_000, 9_000)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode_image(data, max_pixels=90_000_000).size == (10_000, 9_000)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_undecodable(kind: str, share: float) -> None:
    data = encoded(picture(size=(200, 200)), kind)
    assert refusal(data[: int(len(data) * share)]).reason == "undecodable"


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "PPM"])
def test_other_formats_are_refused(kind: str) -> None:
    error = refusal(encoded(picture(), kind))
    told = {"PPM": "not a JPEG, PNG or WebP file"}
    detail = told.get(kind, f"a {kind} file, which is not read: convert it to JPEG, PNG or WebP")
    assert (error.reason, error.detail) == ("undecodable", detail)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "empty file"),
        (b"<!DOCTYPE html><html>404", "HTML page"),
        (b"<svg>", "SVG"),
        (b"\0\0\0\x18ftypavif", "AVIF"),
    ],
)
def test_what_crawlers_save_under_a_picture_s_name_is_called_what_it_is(data: bytes, told: str) -> None:
    assert told in refusal(data).detail


def test_a_png_with_much_text_or_a_large_profile_is_decoded() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("workflow", "0, " * 600_000, zip=True)
    image = picture()
    data = encoded(image, "PNG", pnginfo=info, icc_profile=bytes(3 << 20))
    assert np.array_equal(np.asarray(decode_image(data)), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("data", [b"", b"hello", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP"])
def test_what_is_no_image_is_undecodable(data: bytes) -> None:
    assert refusal(data).reason == "undecodable"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_flipped_bytes_never_raise_anything_but_image_error(kind: str) -> None:
    rng = np.random.default_rng(1)
    sound = np.frombuffer(encoded(picture(size=(40, 40)), kind), np.uint8)
    for _ in range(150):
        data = sound.copy()
        data[rng.integers(0, len(data), 6)] = rng.integers(0, 256, 6)
        try:
            assert decode_image(data.tobytes(), max_pixels=1_000_000).mode == "RGB"
        except ImageError as error:
            assert error.reason in ("undecodable", "oversized")


def test_an_image_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(ImageError("oversized", "too many pixels")))
    assert (error.reason, error.detail, str(error)) == (
        "oversized", "too many pixels", "oversized image: too many pixels"
    )  # fmt: skip
