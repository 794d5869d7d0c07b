"""People seen before, and the search for one of them."""

from .contract import Embedder, Hit, Stats
from .gallery import Gallery

__all__ = ["Embedder", "Gallery", "Hit", "Stats"]
