"""Derivations: their checks, the ledger of claims, decisions of inequalities, and mutants of the updates."""

from .checks import METHODS, Check, check
from .coordinates import agree, in_both
from .inequalities import Contradiction, Reached, follows, impossible, is_sum_of_squares, reached
from .linear_kinds import PAIRS, STABILIZATIONS, LinearKind, linear_kinds

__all__ = [
    "METHODS",
    "PAIRS",
    "STABILIZATIONS",
    "Check",
    "Contradiction",
    "LinearKind",
    "Reached",
    "agree",
    "check",
    "follows",
    "impossible",
    "in_both",
    "is_sum_of_squares",
    "linear_kinds",
    "reached",
]
