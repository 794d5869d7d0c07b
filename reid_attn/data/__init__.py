"""Pictures: which there are, how they are decoded, augmented and put into batches."""

from .dataset import SPLITS, Dataset, Picture
from .sources import TEST, load, load_settings

__all__ = ["SPLITS", "TEST", "Dataset", "Picture", "load", "load_settings"]
