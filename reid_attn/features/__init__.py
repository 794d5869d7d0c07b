"""Features: extraction, the features file, and the embedder."""

from .embedder import Embedder
from .extract import extract, extract_set
from .file import Features, FeatureSet

__all__ = ["Embedder", "FeatureSet", "Features", "extract", "extract_set"]
