"""The only decoder: JPEG and PNG in, RGB arrays out, and nothing half read.

A file is judged by its size and its header before a pixel is decoded. One resize (`resize`) serves
training and search; `preprocessing` names it, and enters the fingerprint of every model.
"""

import io
import os
import warnings
from pathlib import Path
from stat import S_ISREG
from typing import NoReturn

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ..errors import DataError
from ..settings import DataSettings
from ..storage import read_bytes
from .dataset import need_folder

MEAN = (0.485, 0.456, 0.406)
"""Mean of ImageNet in RGB, on the scale 0 to 1."""
STD = (0.229, 0.224, 0.225)
"""Standard deviation of ImageNet in RGB, on the scale 0 to 1."""
NORMALISATIONS = {"imagenet": (MEAN, STD), "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))}
"""Mean and standard deviation by the names of `data.normalisation`."""
SUFFIXES = (".jpg", ".jpeg", ".png")
ADVICE = "replace it by a JPEG or PNG picture, or leave it out"
MAX_BYTES = 20_000_000
MAX_PIXELS = 25_000_000
MAX_SCANS = 100
"""Of a JPEG, those of its thumbnail too; encoders write about ten. Each passes over all pixels and
needs but a few bytes, so that without a limit one picture would take minutes."""

Pixels = NDArray[np.uint8]

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_ORIENTATION_TAG = 0x0112
_ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SCAN = b"\xff\xda"
_PNG_END = b"IEND\xaeB`\x82"


def decoding(interpolation: str) -> str:
    """What `decode` does, in one line."""
    return (
        "RGB 0-255, EXIF orientation applied, transparency on black, "
        f"antialiased {interpolation} resize (Pillow)"
    )


def preprocessing(data: DataSettings) -> str:
    """All that is done to a picture before a network sees it, in one line."""
    mean, deviation = NORMALISATIONS[data.normalisation]
    return (
        f"{decoding(data.interpolation)}, scaled to 0-1, "
        f"mean {mean}, standard deviation {deviation}"
    )


def decode(
    source: Path | bytes, size: tuple[int, int] | None = None, interpolation: str = "bilinear"
) -> Pixels:
    """The picture as (height, width, 3) uint8 RGB, brought to `size` = (height, width) if given.

    `DataError` names the file when it is not JPEG or PNG, is larger than `MAX_BYTES` or
    `MAX_PIXELS`, has more than `MAX_SCANS`, is cut short or damaged, or is an animation.
    """
    name = str(source) if isinstance(source, Path) else "the picture"
    data = read(source) if isinstance(source, Path) else source
    if reason := _fault_of_length(len(data)):
        _refuse(name, reason)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as picture:
                image = _upright(picture, data)
                return np.asarray(image if size is None else _resized(image, size, interpolation))
    except DataError as error:
        _refuse(name, str(error))
    except UnidentifiedImageError:
        _refuse(name, "is neither JPEG nor PNG, or is cut short")
    except Exception as error:  # a damaged file makes the decoders raise nearly anything
        _refuse(name, f"cannot be decoded ({error or type(error).__name__})")


def resize(pixels: Pixels, size: tuple[int, int], interpolation: str = "bilinear") -> Pixels:
    """`pixels` (H, W, 3) brought to `size` = (height, width), antialiased."""
    if pixels.shape[:2] == size:
        return pixels
    return np.asarray(_resized(Image.fromarray(pixels), size, interpolation))


def encode_jpeg(pixels: Pixels, quality: int = 90) -> bytes:
    """`pixels` (H, W, 3) uint8 RGB as a JPEG without chroma subsampling."""
    encoded = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, colorsubsampling="444")
    return bytes(encoded)


def is_picture(name: str) -> bool:
    """Whether a file of this name counts as a picture; hidden files and other types do not."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def read(path: Path) -> bytes:
    """The content of a file that may be a picture; `DataError` for one that cannot be.

    That is judged before anything is read: a device or a pipe need never end.
    """
    if reason := fault(path):
        _refuse(str(path), reason)
    return read_bytes(path)


def fault(path: Path) -> str:
    """Why a file cannot be a picture, judged from outside; an empty text when nothing is wrong."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        return f"cannot be read ({getattr(error, 'strerror', None) or error})"
    return _fault_of_length(status.st_size) if S_ISREG(status.st_mode) else "is not a file"


def pictures_at(place: Path) -> list[Path]:
    """The one file that `place` is, or all pictures below it; `DataError` where there is none."""
    if not place.exists():
        raise DataError(f"there is no file or folder {place}: check the path")
    return find(place) if place.is_dir() else [place]


def find(folder: Path) -> list[Path]:
    """All pictures below `folder`, sorted by path; links are followed, each folder once."""
    need_folder(folder)
    found, seen = [], set()
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=_unreadable):
        place = Path(parent).resolve()
        if place in seen:
            folders.clear()  # a link back to where we have been
            continue
        seen.add(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(parent, name) for name in names if is_picture(name)]
    return sorted(found)


def _fault_of_length(length: int) -> str:
    if length == 0:
        return "is empty"
    return f"is larger than {MAX_BYTES // 1_000_000} MB" if length > MAX_BYTES else ""


def _resized(image: Image.Image, size: tuple[int, int], interpolation: str) -> Image.Image:
    height, width = size
    if image.size == (width, height):
        return image
    return image.resize((width, height), _FILTERS[interpolation])


def _upright(picture: Image.Image, data: bytes) -> Image.Image:
    """Decode to RGB and turn the picture as its EXIF orientation says."""
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise DataError(f"has {width}×{height} pixels, more than {MAX_PIXELS // 1_000_000} million")
    turn = _ORIENTATIONS.get(picture.getexif().get(_ORIENTATION_TAG, 1))
    image = _png(picture, data) if picture.format == "PNG" else _jpeg(picture, data)
    return image if turn is None else image.transpose(turn)


def _jpeg(picture: Image.Image, data: bytes) -> Image.Image:
    """libjpeg-turbo in its strict mode: Pillow's pixels, faster, and every warning is an error."""
    if data.count(_SCAN) > MAX_SCANS:  # never among pixels, where a zero follows every 255
        raise DataError(f"has more than {MAX_SCANS} scans, which would take too long to decode")
    if picture.mode == "CMYK":  # which only Pillow turns into RGB
        return picture.convert("RGB")
    return Image.fromarray(simplejpeg.decode_jpeg(data, "RGB", fastdct=False, fastupsample=False))


def _png(picture: Image.Image, data: bytes) -> Image.Image:
    if getattr(picture, "is_animated", False):
        raise DataError("is an animation")
    if _PNG_END not in data:
        raise DataError("is cut short")  # Pillow is content once the pixels are there
    if picture.mode.startswith("I"):  # 16-bit grey, which Pillow would clip instead of scale
        high_bytes = np.asarray(picture, dtype=np.int32) >> 8
        return Image.fromarray(high_bytes.astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "black"), layer).convert("RGB")
    return picture.convert("RGB")


def _refuse(name: str, reason: str) -> NoReturn:
    raise DataError(f"{name} {reason}: {ADVICE}")


def _unreadable(error: OSError) -> NoReturn:
    raise DataError(f"could not read {error.filename} ({error.strerror}): check its permissions")
