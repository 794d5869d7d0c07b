"""Attention for person re-identification: train, evaluate, search, report."""

__version__ = "0.1.0"
