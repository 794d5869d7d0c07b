"""A gallery in a folder of its own: one SQLite database, and caches made from it."""

from .store import LocalStore

__all__ = ["LocalStore"]
