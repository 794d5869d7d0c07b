"""A trained run as one call: pictures in, unit-length features out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..models import fingerprint, load_trained
from ..models.hardware import choose_device
from ..neighbours import unit_rows
from .extract import Progress, extract, silent


class Embedder:
    """`Embedder("runs/quickstart")(["a.jpg"])` -> (1, D) float32 of length 1.

    Attributes:
        fingerprint: what a gallery remembers; features of another fingerprint are not comparable.
        dimension: D.
    """

    def __init__(self, run: Path | str, checkpoint: str = "last") -> None:
        network, self.settings, self.state = load_trained(Path(run), checkpoint)
        self.fingerprint = fingerprint(network, self.settings)
        self.dimension = network.dimension
        self.network = network.to(choose_device("auto"))

    def __call__(
        self, pictures: Sequence[Path | str | bytes], progress: Progress = silent
    ) -> NDArray[np.float32]:
        """(N, D) float32, unit length, of files or of their contents.

        DataError for an unreadable picture or a zero feature.
        """
        sources = [p if isinstance(p, bytes) else Path(p) for p in pictures]
        if not sources:
            return np.empty((0, self.dimension), np.float32)
        features = extract(self.network, sources, self.settings, progress)
        names = ["a picture" if isinstance(source, bytes) else source for source in sources]
        return unit_rows(features, names)
