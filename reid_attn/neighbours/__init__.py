"""Nearest neighbours among stored feature vectors."""

from .exact import ExactIndex
from .unit import unit_rows

__all__ = ["ExactIndex", "unit_rows"]
