"""Exact numbers: fractions, and expressions of SymPy as elements of one field, in which zero is recognised."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from numbers import Rational
from typing import Any, TypeAlias

from ..description import found

__all__ = ["Coefficient"]

Coefficient: TypeAlias = Any
"""A `fractions.Fraction`, or a SymPy expression."""

INFINITE = {"nan", "zoo", "oo", "-oo"}  # how SymPy writes what is no number


def exact(name: str, value: Any) -> Coefficient:
    """Return a number as a Fraction or a SymPy expression, or raise ValueError."""
    if isinstance(value, Fraction):
        return value
    if isinstance(value, Rational) and not isinstance(value, bool):  # those of NumPy and SymPy are so, too
        return Fraction(int(value.numerator), int(value.denominator))
    if not (hasattr(value, "atoms") and hasattr(value, "cancel") and value.is_commutative):
        raise ValueError(f"{name} must be an int, a Fraction or a SymPy expression, got {found(value)}")
    if any(getattr(atom, "is_Float", False) or str(atom) in INFINITE for atom in value.atoms()):
        raise ValueError(f"{name} must be an exact number, got {value}")
    return value.expand().cancel()


def canonical(value: Coefficient) -> Coefficient:
    """Return an expression in the form that its field gives it; numbers of SymPy become Fractions."""
    numbers, lowered = in_a_field([{0: value}])
    return lowered(numbers[0][0])


def in_a_field(
    groups: Sequence[Mapping[Any, Coefficient]],
) -> tuple[Sequence[Mapping[Any, Any]], Callable[[Any], Coefficient]]:
    """Return numbers as elements of one field, in which sums and quotients are in lowest terms, and the way back.

    Expressions of SymPy become elements of the smallest field that it finds for all of them, such as the rational
    functions of beta: their arithmetic is faster than that of expressions by two orders of magnitude, and zero is
    recognised. Where it finds none, they are simplified as quotients of polynomials only.
    """
    if all(isinstance(value, Fraction) for group in groups for value in group.values()):
        return groups, Fraction
    import sympy as sp
    from sympy.polys.constructor import construct_domain

    field, elements = construct_domain(
        [sp.sympify(value) for group in groups for value in group.values()], field=True, extension=True
    )
    in_turn = iter(elements)
    lifted = [{key: next(in_turn) for key in group} for group in groups]

    def lowered(element: Any) -> Coefficient:
        expression = field.to_sympy(field.convert(element))
        return Fraction(int(expression.p), int(expression.q)) if expression.is_Rational else expression

    return lifted, lowered


def vanishes(value: Coefficient) -> bool:
    """Decide whether a number in canonical form is zero."""
    if isinstance(value, Fraction):
        return value == 0
    from ..symbolic import is_zero

    return is_zero(value)
