"""Every block under one recipe: what to train, in which order, and what came of it."""

from .plan import Plan, Request, make_plan, read_options
from .run import ablate, announce

__all__ = ["Plan", "Request", "ablate", "announce", "make_plan", "read_options"]
