"""Pictures: which there are, how they are decoded, augmented and put into batches."""

from .dataset import Dataset, Picture
from .sources import load

__all__ = ["Dataset", "Picture", "load"]
