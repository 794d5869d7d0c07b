"""Nearest neighbours among stored feature vectors."""

from .exact import ExactIndex

__all__ = ["ExactIndex"]
