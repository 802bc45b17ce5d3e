"""Derivations: their checks, the ledger of claims, decisions of inequalities, and mutants of the updates."""

from .checks import METHODS, Check, check
from .inequalities import follows, is_sum_of_squares

__all__ = ["METHODS", "Check", "check", "follows", "is_sum_of_squares"]
