"""The colour histogram: the simplest re-identification there is, and what a network has to beat."""

import numpy as np
from numpy.typing import NDArray

_BINS = 8  # of each channel


def colour_histogram(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The joint RGB histogram (512,) of a picture (H, W, 3), 8 bins a channel.

    The square roots of the shares have unit length, so the cosine of two histograms is the
    Bhattacharyya coefficient Σ√(pᵢ·qᵢ), and their Euclidean distance is √2 times Hellinger's.
    """
    red, green, blue = np.moveaxis(pixels.astype(np.intp) * _BINS // 256, -1, 0)
    bins = (red * _BINS + green) * _BINS + blue
    counts = np.bincount(bins.ravel(), minlength=_BINS**3)
    return np.asarray(np.sqrt(counts / bins.size), np.float32)
