"""Inequalities: an explicit sum of squares, or a decision procedure for real arithmetic."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

import sympy as sp

from ..symbolic import Undecided, is_zero

__all__ = ["follows", "is_sum_of_squares"]

Z3_EFFORT = 50_000_000  # in the units of z3 itself, so that a busy machine decides as much as an idle one


def is_sum_of_squares(expression: Any, terms: Iterable[tuple[Any, Any]]) -> bool:
    """Return True if expression = sum of c x^2 over the pairs (c, x), every c being known to SymPy as nonnegative.

    Parameters
    ----------
    expression : SymPy expression
        The left side.
    terms : iterable of pairs
        The pairs (c, x) of the right side.

    Raises
    ------
    ValueError
        If an x is not known to be real.
    """
    terms = [(sp.sympify(c), sp.sympify(x)) for c, x in terms]
    for _, x in terms:
        if not x.is_extended_real:
            raise ValueError(f"the square of {x} is not known to be one of a real number")
    if not all(c.is_nonnegative for c, _ in terms):
        return False
    return is_zero(expression - sp.Add(*(c * x**2 for c, x in terms)))


def follows(conclusion: Any, assumptions: Iterable[Any] = ()) -> bool:
    """Decide whether a relation holds for all real values of its symbols that satisfy the assumptions, by z3.

    Positive and nonnegative symbols bring their sign as an assumption. Square roots become nonnegative unknowns, so
    that the answer is about the values for which they are real; a reciprocal of zero may be any number, another for
    each denominator. Assumptions that contradict each other imply everything: that is how a branch is shown to be
    impossible.

    Parameters
    ----------
    conclusion : SymPy relation
        What is to hold.
    assumptions : iterable of SymPy relations
        What may be used.

    Returns
    -------
    bool
        True is a proof, False a refutation.

    Raises
    ------
    Undecided
        If z3 gives up, or there is a function that it does not know.
    """
    z3: Any = import_module("z3")  # loaded on use, and without types
    solver = z3.Solver()
    solver.set("rlimit", Z3_EFFORT)
    names: dict[Any, Any] = {}
    for assumption in assumptions:
        solver.add(_translated(_exact(assumption), names, solver))
    solver.add(z3.Not(_translated(_exact(conclusion), names, solver)))
    answer = solver.check()
    if answer == z3.unknown:
        raise Undecided(f"z3 did not decide: {conclusion}")
    return bool(answer == z3.unsat)


def _exact(relation: Any) -> Any:
    """Return the relation with every Python float as the rational number that it stores."""
    e = sp.sympify(relation)
    return e.xreplace({x: sp.Rational(x) for x in e.atoms(sp.Float)})


def _translated(e: Any, names: dict[Any, Any], solver: Any) -> Any:
    """Return the expression for z3, and add to the solver what its symbols and roots are known to satisfy."""
    z3: Any = import_module("z3")

    def of(x: Any) -> Any:
        return _translated(x, names, solver)

    def reciprocal(x: Any) -> Any:
        key = ("1/", x)
        if key not in names:
            names[key] = z3.Real(f"reciprocal#{len(names)}")
            solver.add(z3.Implies(of(x) != 0, names[key] * of(x) == 1))
        return names[key]

    if e in (sp.true, sp.false):
        return z3.BoolVal(bool(e))
    if e.is_Symbol:
        if e not in names:
            names[e] = z3.Real(f"{e}#{len(names)}")
            if e.is_positive:
                solver.add(names[e] > 0)
            elif e.is_nonnegative:
                solver.add(names[e] >= 0)
        return names[e]
    if e.is_Integer:
        return z3.RealVal(int(e))
    if e.is_Rational:
        return z3.RealVal(f"{e.p}/{e.q}")
    if e.is_Add:
        return z3.Sum([of(x) for x in e.args])
    if e.is_Mul:
        return z3.Product([of(x) for x in e.args])
    if e.is_Pow and e.exp.is_Integer:
        n = int(e.exp)
        return z3.Product([of(e.base) if n > 0 else reciprocal(e.base)] * abs(n))
    if e.is_Pow and e.exp.is_Rational and e.exp.q == 2:
        root_of = sp.sqrt(e.base)
        if root_of not in names:
            names[root_of] = z3.Real(f"root#{len(names)}")
            solver.add(names[root_of] >= 0, names[root_of] * names[root_of] == of(e.base))
        n = int(2 * e.exp)
        return z3.Product([names[root_of] if n > 0 else reciprocal(root_of)] * abs(n))
    if isinstance(e, sp.Abs):
        x = of(e.args[0])
        return z3.If(x >= 0, x, -x)
    relations = {
        sp.Eq: lambda a, b: a == b,
        sp.Ne: lambda a, b: a != b,
        sp.Lt: lambda a, b: a < b,
        sp.Le: lambda a, b: a <= b,
        sp.Gt: lambda a, b: a > b,
        sp.Ge: lambda a, b: a >= b,
    }
    if type(e) in relations:
        return relations[type(e)](*(of(x) for x in e.args))
    connectives = {sp.And: z3.And, sp.Or: z3.Or, sp.Not: z3.Not}
    if type(e) in connectives:
        return connectives[type(e)](*(of(x) for x in e.args))
    raise Undecided(f"z3 is given polynomials, quotients, square roots and absolute values, got {e}")
