"""Rows of length 1, whose inner product is their cosine."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

Floats = NDArray[np.float32]


def unit_rows(vectors: Floats, names: Sequence[object] = ()) -> Floats:
    """Rows (N, D) float32 of length 1; lengths are summed in float64.

    Raises:
        DataError: a row is zero or not finite, and so has no direction; it is named.
    """
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))[:, None]
    bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if bad.size:
        raise DataError(
            f"{bad.size} of {len(vectors)} features are zero or not finite and can be compared "
            f"with nothing, the first is {names[bad[0]] if names else f'number {bad[0] + 1}'}: "
            "extract them again with a trained network"
        )
    unit = np.empty_like(vectors)
    np.divide(vectors, lengths, out=unit, casting="same_kind")
    return unit
