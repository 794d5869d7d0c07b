"""People seen before, and the search for one of them."""

from .contract import Embedder, Store
from .filters import Where, where
from .gallery import Gallery
from .record import Calibration
from .results import Answer, Hit, Stats
from .sightings import Sighting

__all__ = [
    "Answer",
    "Calibration",
    "Embedder",
    "Gallery",
    "Hit",
    "Sighting",
    "Stats",
    "Store",
    "Where",
    "where",
]
