"""Operators built from a linearisation, and the damped solves with them."""

from .damped_step import SOLVERS, damped_step
from .minimising_movement import Increment, minimising_movement

__all__ = ["SOLVERS", "Increment", "damped_step", "minimising_movement"]
