"""The library FAISS, which is optional, and whose distributions overwrite one another."""

from importlib import metadata
from typing import Any

from ..errors import DamagedError, MissingExtra, UsageError
from .checks import Stored

_DISTRIBUTIONS = ("faiss-cpu", "faiss-gpu", "faiss-gpu-cu11", "faiss-gpu-cu12", "faiss-gpu-cuvs")


def faiss() -> Any:
    """The module; `MissingExtra`."""
    try:
        import faiss
    except ImportError as error:
        raise MissingExtra("faiss", "cpu") from error
    return faiss


def check_faiss() -> None:
    """`MissingExtra` when there is no FAISS, `UsageError` when there are two builds of it."""
    faiss()
    installed = [name for name in _DISTRIBUTIONS if _is_installed(name)]
    if len(installed) > 1:
        raise UsageError(
            f"{' and '.join(installed)} are installed over one another: "
            f"pip uninstall {' '.join(installed)}, then install one of them"
        )


def deserialised(data: Stored) -> Any:
    """FAISS's index of bytes that are as they were written."""
    try:
        return faiss().deserialize_index(data[:])
    except (MemoryError, RuntimeError) as error:
        raise DamagedError("a stored index cannot be read by this FAISS: build it again") from error


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
