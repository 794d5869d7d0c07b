"""The published weights that have a name: downloaded over https once, and checked."""

import urllib.error
import urllib.request
from pathlib import Path

import torch

from .. import storage
from ..errors import DamagedError, DataError

PUBLISHED = {
    # torchvision's name: (address, beginning of the file's SHA-256, which its name carries)
    "IMAGENET1K_V1": ("https://download.pytorch.org/models/resnet50-0676ba61.pth", "0676ba61"),
    "IMAGENET1K_V2": ("https://download.pytorch.org/models/resnet50-11ad3fa6.pth", "11ad3fa6"),
}


def published(name: str) -> Path:
    """The file of `PUBLISHED`, from the folder that torchvision caches in or from its address."""
    url, beginning = PUBLISHED[name]
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    data = path.read_bytes() if path.exists() else _fetch(url)
    if not storage.sha256(data).startswith(beginning):
        raise DamagedError(f"the SHA-256 of {name} at {path} is wrong: delete the file, try again")
    if not path.exists():
        storage.write_bytes(path, data)
    return path


def _fetch(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310 - https, in code
            content: bytes = response.read()
    except (urllib.error.URLError, OSError) as error:
        raise DataError(
            f"could not download {url} ({error}): fetch it elsewhere and set model.weights to "
            "the file's path"
        ) from error
    return content
