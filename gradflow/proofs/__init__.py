"""Derivations: their checks, the ledger of claims, decisions of inequalities, and mutants of the updates."""

from .checks import METHODS, Check, check
from .inequalities import follows, is_sum_of_squares
from .linear_kinds import PAIRS, LinearKind, linear_kinds

__all__ = ["METHODS", "PAIRS", "Check", "LinearKind", "check", "follows", "is_sum_of_squares", "linear_kinds"]
