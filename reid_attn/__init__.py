"""Attention for person re-identification: train, evaluate, search, report.

    from reid_attn import Embedder, Gallery, attention, build_network, evaluate

Importing the package is fast: each of these names brings its room along when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import attention
    from .evaluation import evaluate
    from .features import Embedder
    from .gallery import Gallery
    from .models import build_network

__version__ = "0.1.0"
__all__ = ["Embedder", "Gallery", "attention", "build_network", "evaluate"]

_ROOMS = {
    "Embedder": "features",
    "Gallery": "gallery",
    "attention": "attention",
    "build_network": "models",
    "evaluate": "evaluation",
}


def __getattr__(name: str) -> object:
    """The public name, from its room (PEP 562)."""
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    room = import_module(f"{__name__}.{_ROOMS[name]}")
    return room if name == _ROOMS[name] else getattr(room, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
