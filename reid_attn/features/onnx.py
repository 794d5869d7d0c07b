"""A network in an ONNX file, as a source of features beside our own runs.

(N, 3, H, W) float32 in, RGB with ImageNet's mean and deviation, as nearly all re-ID networks are
exported; (N, D) float32 out. H and W are the file's own.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import storage
from ..data.batches import evaluation_batches
from ..data.images import preprocessing
from ..errors import DataError, MissingExtra
from ..settings import DataSettings

BATCH = 32  # pictures, where the file does not say 1
_SMALLEST = 32  # pixels, as in `data.height`


class OnnxNetwork:
    """The network of an ONNX file, run by onnxruntime on the CPU.

    Attributes:
        fingerprint: SHA-256 over the file and what is done to a picture before.
        dimension: D.

    `MissingExtra` without onnxruntime; `DataError` for a file that is no such network.
    """

    def __init__(self, path: Path) -> None:
        content = storage.read_bytes(path)
        self._path = path
        self._session = _session(path, content)
        self._input, batch, size = _input(path, self._session)
        self._batch = 1 if batch == 1 else BATCH
        self._data = DataSettings(height=size[0], width=size[1])
        recipe = f"onnx {preprocessing(self._data)} {size[0]}x{size[1]}"
        self.fingerprint = hashlib.sha256(recipe.encode() + content).hexdigest()
        self.dimension = self._run(np.zeros((1, 3, *size), np.float32)).shape[1]

    def extract(
        self, sources: Sequence[Path | bytes], progress: Callable[[int], None]
    ) -> NDArray[np.float32]:
        """(N, D) float32 as the network has them, of files or of their contents."""
        found = [np.empty((0, self.dimension), np.float32)]
        for images in evaluation_batches(sources, self._data, self._batch):
            found.append(self._run(images.numpy()))
            progress(len(images))
        return np.concatenate(found)

    def _run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            output = self._session.run(None, {self._input: images})[0]
        except Exception as error:  # onnxruntime's own, whose classes are private
            raise _unusable(self._path, f"fails when it is run ({error})") from error
        if output.ndim != 2 or len(output) != len(images) or output.dtype.kind != "f":
            raise _unusable(self._path, f"returns {output.dtype} {output.shape}, not (N, D) floats")
        return np.asarray(output, np.float32)


def _session(path: Path, content: bytes) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra("onnxruntime", "export") from error
    try:
        return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise _unusable(path, f"cannot be read ({error})") from error


def _input(path: Path, session: Any) -> tuple[str, int | None, tuple[int, int]]:
    """The input's name, its batch if that is fixed, and (height, width)."""
    inputs = session.get_inputs()
    shape = inputs[0].shape if len(inputs) == 1 else []
    sides = [side for side in shape[2:] if isinstance(side, int) and side >= _SMALLEST]
    plain = len(shape) == 4 and shape[1] == 3 and len(sides) == 2
    batch = shape[0] if plain and isinstance(shape[0], int) else None
    if not plain or inputs[0].type != "tensor(float)" or batch not in (None, 1):
        found = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)
        raise _unusable(
            path,
            f"takes {found}, not one float (N, 3, H, W) with fixed H and W of at least {_SMALLEST}",
        )
    return str(inputs[0].name), batch, (shape[2], shape[3])


def _unusable(path: Path, reason: str) -> DataError:
    return DataError(f"the ONNX file {path} {reason}: export it with pictures in and features out")
