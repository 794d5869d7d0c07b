import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from reid_attn.data import images
from reid_attn.data.images import (
    Pixels,
    decode,
    encode_jpeg,
    find,
    pictures_at,
    preprocessing,
    resize,
)
from reid_attn.errors import DataError
from reid_attn.settings import DataSettings


@pytest.fixture
def pixels() -> Pixels:
    """A smooth picture without symmetry, (64, 32, 3)."""
    coarse = np.random.default_rng(0).integers(0, 256, (8, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((32, 64), Image.Resampling.BICUBIC))


def save(picture: Image.Image, kind: str, **options: Any) -> bytes:
    target = io.BytesIO()
    picture.save(target, kind, **options)
    return target.getvalue()


def pillow(data: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_has_the_pixels_of_pillow(
    pixels: Pixels, subsampling: int, progressive: bool
) -> None:
    picture = Image.fromarray(pixels[:61, :31])
    data = save(picture, "JPEG", subsampling=subsampling, progressive=progressive)
    np.testing.assert_array_equal(decode(data), pillow(data))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_jpegs_become_rgb(pixels: Pixels, mode: str) -> None:
    data = save(Image.fromarray(pixels).convert(mode), "JPEG")
    np.testing.assert_array_equal(decode(data), pillow(data))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_pngs_become_rgb(pixels: Pixels, mode: str) -> None:
    picture = Image.fromarray(pixels).convert(mode)
    np.testing.assert_array_equal(decode(save(picture, "PNG")), np.asarray(picture.convert("RGB")))


def test_16_bit_grey_is_scaled_and_not_clipped() -> None:
    grey = np.array([[0, 255, 256, 32768, 65535]], dtype=np.uint16)
    decoded = decode(save(Image.fromarray(grey), "PNG"))
    assert decoded.tolist() == [[[v, v, v] for v in (0, 0, 1, 128, 255)]]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_shows_black(mode: str) -> None:
    picture = Image.new("RGBA", (3, 1), (200, 200, 200, 255))
    picture.putpixel((1, 0), (200, 200, 200, 0))
    decoded = decode(save(picture.convert(mode), "PNG"))
    assert decoded[0, :, 0].tolist() == [200, 0, 200]


def test_a_transparent_palette_colour_shows_black() -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.putpixel((1, 0), 1)
    decoded = decode(save(picture, "PNG", transparency=0))
    assert decoded.tolist() == [[[0, 0, 0], [40, 50, 60]]]


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(pixels: Pixels, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = save(Image.fromarray(pixels), kind, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(decode(data), np.asarray(upright))


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.full)], ids=["some", "all"])
@pytest.mark.parametrize("form", ["baseline", "progressive", "CMYK", "PNG"])
def test_every_prefix_is_refused(pixels: Pixels, form: str, every: int) -> None:
    picture = Image.fromarray(pixels).convert("CMYK" if form == "CMYK" else "RGB")
    kind = "PNG" if form == "PNG" else "JPEG"
    options = {"progressive": True} if form == "progressive" else {}
    data = save(picture, kind, **options)
    decode(data)
    accepted = []
    for length in [*range(0, len(data), every), len(data) - 1, len(data) - 2]:
        try:
            decode(data[:length])
            accepted.append(length)
        except DataError:
            pass
    assert accepted == []


def test_a_damaged_jpeg_is_refused(pixels: Pixels) -> None:
    data = bytearray(save(Image.fromarray(pixels), "JPEG"))
    scan = data.index(b"\xff\xda")
    data[scan + 60 : scan + 70] = b"\xff\xd9" * 5
    with pytest.raises(DataError, match="cannot be decoded"):
        decode(bytes(data))


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_other_formats_are_refused(pixels: Pixels, kind: str) -> None:
    with pytest.raises(DataError, match="the picture is neither JPEG nor PNG"):
        decode(save(Image.fromarray(pixels), kind))


def test_an_animation_is_refused(pixels: Pixels) -> None:
    first, second = Image.fromarray(pixels), Image.fromarray(255 - pixels)
    with pytest.raises(DataError, match="is an animation"):
        decode(save(first, "PNG", save_all=True, append_images=[second]))


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixels."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", b"")]
    body = b"".join(
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("side", [5001, 9000, 13_000, 60_000])
def test_a_bomb_is_refused_by_its_header(side: int) -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with pytest.raises(DataError, match="pixels"):
            decode(png_header(side, side))
    assert heard == []


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_a_jpeg_of_very_many_scans_is_refused(pixels: Pixels, mode: str) -> None:
    data = save(Image.fromarray(pixels).convert(mode), "JPEG", progressive=True)
    start = data.index(b"\xff\xda")
    scan = bytearray(data[start : data.index(b"\xff\xc4", start)])
    scan[7 + 2 * scan[4]] = 0  # says that it is exact, and so may come again and again
    most = data[:start] + bytes(scan) * images.MAX_SCANS
    assert decode(most + b"\xff\xd9").shape == pixels.shape
    with pytest.raises(DataError, match="has more than 100 scans"):
        decode(most + bytes(scan) + b"\xff\xd9")


def test_a_large_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.jpg"
    with path.open("wb") as file:
        file.truncate(images.MAX_BYTES + 1)
    monkeypatch.setattr(images, "read_bytes", None)
    with pytest.raises(DataError, match=r"large\.jpg is larger than 20 MB"):
        decode(path)
    with pytest.raises(DataError, match="larger than 20 MB"):
        decode(bytes(images.MAX_BYTES + 1))


def test_the_error_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(DataError, match=r"empty\.jpg is empty"):
        decode(tmp_path / "empty.jpg")
    with pytest.raises(DataError, match=r"text\.jpg is neither JPEG nor PNG"):
        decode(tmp_path / "text.jpg")
    with pytest.raises(DataError, match=r"none\.jpg cannot be read \(No such file"):
        decode(tmp_path / "none.jpg")
    with pytest.raises(DataError, match="is not a file"):
        decode(Path("/dev/zero"))
    with pytest.raises(DataError, match="cannot be read"):
        decode(Path("a\0b.jpg"))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_resizing_is_pillows_antialiased_one(pixels: Pixels, interpolation: str) -> None:
    data = save(Image.fromarray(pixels), "PNG")
    for height, width in ((16, 9), (100, 80), (64, 32)):
        resample = Image.Resampling[interpolation.upper()]
        expected = np.asarray(Image.fromarray(pixels).resize((width, height), resample))
        for found in (
            decode(data, (height, width), interpolation),
            resize(pixels, (height, width), interpolation),
        ):
            np.testing.assert_array_equal(found, expected)
    if interpolation == "bilinear":
        np.testing.assert_array_equal(resize(pixels, (16, 9)), decode(data, (16, 9), "bilinear"))


def test_the_preprocessing_of_old_models_reads_as_it_did() -> None:
    assert preprocessing(DataSettings()) == (
        "RGB 0-255, EXIF orientation applied, transparency on black, antialiased bilinear resize "
        "(Pillow), scaled to 0-1, mean (0.485, 0.456, 0.406), "
        "standard deviation (0.229, 0.224, 0.225)"
    )
    other = preprocessing(DataSettings(interpolation="bicubic", normalisation="half"))
    assert "antialiased bicubic resize" in other
    assert other.endswith("mean (0.5, 0.5, 0.5), standard deviation (0.5, 0.5, 0.5)")


def test_shrinking_averages() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.ptp(resize(stripes, (8, 8)).astype(int)) <= 16  # 255 without the antialiasing


def test_an_encoded_picture_comes_back(pixels: Pixels) -> None:
    for view in (pixels, pixels[:, ::-1]):
        decoded = decode(encode_jpeg(view)).astype(int)
        assert np.abs(decoded - view).mean() < 2
    assert len(encode_jpeg(pixels, quality=30)) < len(encode_jpeg(pixels))


def test_finding_pictures(tmp_path: Path) -> None:
    names = ["b.JPG", "a/z.png", "a/é\n.jpeg", "-rf.jpg", ".hidden.jpg", "a/x.txt", ".git/o.jpg"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a/loop").symlink_to(tmp_path)
    (tmp_path / "linked").symlink_to(tmp_path / "a")
    expected = ["-rf.jpg", "a/z.png", "a/é\n.jpeg", "b.JPG"]
    assert find(tmp_path) == [tmp_path / name for name in expected]


def test_a_place_is_a_picture_or_a_folder_of_them(tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    picture.touch()
    assert pictures_at(picture) == pictures_at(tmp_path) == [picture]
    with pytest.raises(DataError, match=r"there is no file or folder .*none: check the path"):
        pictures_at(tmp_path / "none")


def test_finding_needs_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder .*none: check the path"):
        find(tmp_path / "none")
