"""Derivations: their checks, the ledger of claims, decisions of inequalities, and mutants of the updates."""

from .checks import METHODS, Check, check
from .inequalities import Contradiction, Reached, follows, impossible, is_sum_of_squares, reached

__all__ = [
    "METHODS",
    "Check",
    "Contradiction",
    "Reached",
    "check",
    "follows",
    "impossible",
    "is_sum_of_squares",
    "reached",
]
