"""A trained run, or a network in an ONNX file, as one call: pictures in, unit features out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError, refuse_single
from ..models import fingerprint, load_trained
from ..models.hardware import choose_device
from ..neighbours import unit_rows
from .extract import Progress, extract, silent
from .onnx import OnnxNetwork


class Embedder:
    """`Embedder("runs/quickstart")(["a.jpg"])` -> (1, D) float32 of length 1.

    `Embedder("osnet.onnx")` needs the extra `export`, and runs on the CPU.

    Attributes:
        fingerprint: what a gallery remembers; features of another fingerprint are not comparable.
        dimension: D.
    """

    def __init__(self, run: Path | str, checkpoint: str = "last") -> None:
        place = Path(run)
        if place.suffix == ".onnx" and checkpoint != "last":
            raise UsageError(f"{place} holds one network and no checkpoint {checkpoint!r}")
        source = OnnxNetwork(place) if place.suffix == ".onnx" else _Run(place, checkpoint)
        self.fingerprint = source.fingerprint
        self.dimension = source.dimension
        self._extract = source.extract

    def __call__(
        self, pictures: Sequence[Path | str | bytes], progress: Progress = silent
    ) -> NDArray[np.float32]:
        """(N, D) float32, unit length, of files or of their contents.

        DataError for an unreadable picture or a zero feature; UsageError for no list.
        """
        refuse_single(pictures=pictures)
        sources = [p if isinstance(p, bytes) else Path(p) for p in pictures]
        if not sources:
            return np.empty((0, self.dimension), np.float32)
        features = self._extract(sources, progress)
        names = ["a picture" if isinstance(source, bytes) else source for source in sources]
        return unit_rows(features, names)


class _Run:
    """The network of a trained run."""

    def __init__(self, folder: Path, checkpoint: str) -> None:
        network, self._settings, _ = load_trained(folder, checkpoint)
        self.fingerprint = fingerprint(network, self._settings)
        self.dimension = network.dimension
        self._network = network.to(choose_device("auto"))

    def extract(self, sources: Sequence[Path | bytes], progress: Progress) -> NDArray[np.float32]:
        """(N, D) float32 as the network has them."""
        return extract(self._network, sources, self._settings, progress)
