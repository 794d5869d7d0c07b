"""What training minimises."""

from .objective import Losses, Objective

__all__ = ["Losses", "Objective"]
