"""Derivations: their checks, the ledger of claims, decisions of inequalities, and mutants of the updates."""

from .checks import METHODS, Check, check
from .inequalities import Contradiction, Reached, follows, impossible, is_sum_of_squares, reached
from .linear_kinds import PAIRS, STABILIZATIONS, LinearKind, linear_kinds

__all__ = [
    "METHODS",
    "PAIRS",
    "Check",
    "Contradiction",
    "LinearKind",
    "Reached",
    "check",
    "follows",
    "impossible",
    "is_sum_of_squares",
    "linear_kinds",
    "reached",
]
