"""Operators built from a linearisation, and the damped solves with them."""

from .damped_step import SOLVERS, damped_step

__all__ = ["SOLVERS", "damped_step"]
