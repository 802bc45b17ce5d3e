"""Inequalities: an explicit sum of squares, or a decision procedure for real arithmetic.

A conclusion holds in every branch of a function if it follows from the conditions of each branch:

    for given, value, _ in reached(branches(lambda: update(...)), assumptions):
        assert follows(value <= bound, given)

Anything follows from assumptions that contradict each other. `follows` therefore refuses them, and `reached` leaves out
the branches that no values of the symbols take.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import sympy as sp

from ..description import found
from ..symbolic import Branch, Undecided, Undefined, Vector, is_zero
from ..symbolic.realization import is_entry
from .real_numbers import Formula, Requirement, holds_at

__all__ = ["Contradiction", "Reached", "follows", "impossible", "is_sum_of_squares", "reached"]

Z3_EFFORT = 50_000_000  # in the units of z3 itself, so that a busy machine decides as much as an idle one
SAMPLES = 24  # points that fix all symbols but two, where z3 does not decide


class Contradiction(ValueError):
    """Assumptions that no values of the symbols satisfy."""


class Reached(NamedTuple):
    """A way through a function that some values of the symbols take."""

    conditions: tuple[Any, ...]
    """The assumptions, and the conditions of the branch."""
    value: Any
    """What the function returned."""
    witness: dict[sp.Symbol, sp.Expr]
    """Values of the symbols that satisfy the conditions."""


def is_sum_of_squares(expression: Any, terms: Iterable[tuple[Any, Any]]) -> bool:
    """Return whether expression = sum of c x^2 over the pairs (c, x), with c >= 0 and x real or an abstract vector.

    Parameters
    ----------
    expression : SymPy expression
        The left side.
    terms : iterable of pairs
        The pairs (c, x) of the right side. The square of a vector x is (x, x) in the inner product of its space.

    Returns
    -------
    bool
        True is a proof. False is a refutation: a c is negative, or the two sides differ.

    Raises
    ------
    ValueError
        If an x is not known to be real, or an x or c not to be finite.
    TypeError
        If the terms are no pairs.
    Undecided
        If the sign of a c is not known.

    Examples
    --------
    >>> import sympy as sp
    >>> from gradflow.symbolic import Space
    >>> V, dt = Space(), sp.Symbol("dt", positive=True)
    >>> u, v = V.vectors("u v")
    >>> is_sum_of_squares(V.inner(u, u) / dt + V.inner(u + v, u + v), [(1 / dt, u), (1, u + v)])
    True
    """
    pairs = list(terms)
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(f"terms must be pairs (c, x) that stand for c x^2, got {found(pair)}")
    terms = [(sp.sympify(c), x if isinstance(x, Vector) else sp.sympify(x)) for c, x in pairs]
    for c, x in terms:
        if not isinstance(x, Vector) and (not x.is_extended_real or x.is_finite is False):
            raise ValueError(f"the square of {x} is not known to be one of a real number")
        if c is sp.nan or c.is_finite is False:
            raise ValueError(f"the coefficient of the square of {x} must be a real number, got {c}")
    unknown = [c for c, _ in terms if c.is_nonnegative is None]
    if any(c.is_nonnegative is False for c, _ in terms):
        return False
    if unknown:
        raise Undecided(f"the sign of {unknown[0]} is not known")
    return is_zero(
        expression - sp.Add(*(c * (x.space.inner(x, x) if isinstance(x, Vector) else x**2) for c, x in terms))
    )


def follows(conclusion: Any, assumptions: Iterable[Any] = ()) -> bool:
    """Decide whether a relation is defined and holds for all real values of its symbols that satisfy the assumptions.

    Every symbol stands for the real numbers that SymPy's assumptions leave to it; one without assumptions for all real
    numbers. Roots and quotients in the assumptions are assumed to be defined. Those of the conclusion must be defined
    wherever the assumptions hold, also in the parts of an ``Or`` that another part makes superfluous; the pieces of a
    `Piecewise` where they apply. Floats are the numbers that they store.

    Parameters
    ----------
    conclusion : SymPy relation
        What is to hold.
    assumptions : iterable of SymPy relations
        What may be used.

    Returns
    -------
    bool
        True is a proof, by z3. False is a refutation: at a point, evaluated exactly, the assumptions hold, everything
        is defined and the conclusion does not hold.

    Raises
    ------
    Contradiction
        If nothing satisfies the assumptions.
    Undecided
        If z3 gives up, there is a function that it is not given, or a root or a quotient of the conclusion is not
        defined somewhere; or if it does not hold for any numbers in the place of the inner products of abstract
        vectors: there may be no vectors that have them.
    ValueError
        If a symbol is known not to be real.
    TypeError
        If the conclusion or an assumption is no relation.

    Examples
    --------
    >>> import sympy as sp
    >>> x = sp.Symbol("x", real=True)
    >>> follows(x**2 > 1, [x > 1]), follows(x > 1, [x**2 > 1])
    (True, False)
    """
    _require_list(assumptions)
    claim, given = _exact(conclusion), tuple(map(_exact, assumptions))
    formula, premises = _assumed(given)
    before = len(formula.required)
    refuted = formula.z3.Not(formula.truth(claim))
    needs = formula.required[before:]
    constraints = [*premises, *_defined(needs), refuted]
    if _solution(formula, constraints, given, claim) is not None:
        entries = sorted((x for one in (claim, *given) for x in one.free_symbols if is_entry(x)), key=str)
        if entries:
            raise Undecided(
                f"the inner products {_listed(dict.fromkeys(entries))} are any numbers here, and vectors that have them may not "
                "exist: assume what is known of them, or use is_sum_of_squares"
            )
        return False
    if _witness(given) is None:
        raise Contradiction(f"nothing satisfies the assumptions {_listed(given)}")
    _assert_defined(formula, [*premises], needs, claim)
    return True


def _require_list(assumptions: Any) -> None:
    """Raise TypeError for a single relation, which is no list of them."""
    if isinstance(assumptions, sp.Basic | str | bool):
        raise TypeError(f"assumptions must be a list of relations, got {found(assumptions)}")


def impossible(assumptions: Iterable[Any]) -> bool:
    """Decide whether no real values of the symbols satisfy the assumptions, everything in them being defined.

    Parameters
    ----------
    assumptions : iterable of SymPy relations
        What is to be shown contradictory.

    Returns
    -------
    bool
        True is a proof, by z3. False comes from a point at which all of them hold, evaluated exactly.

    Raises
    ------
    Undecided
        If neither is found.
    TypeError
        If they are no list of relations.
    """
    _require_list(assumptions)
    return _witness(tuple(map(_exact, assumptions))) is None


def reached(
    ways: Iterable[Branch], assumptions: Iterable[Any] = (), rewrite: Callable[[Any], Any] | None = None
) -> Iterator[Reached]:
    """Yield the branches that some values of the symbols take, each with such values.

    A branch that is left out is impossible: z3 has shown that its conditions contradict each other or the assumptions.

    Parameters
    ----------
    ways : iterable of Branch
        What `gradflow.symbolic.branches` yields.
    assumptions : iterable of SymPy relations
        What is known of the symbols.
    rewrite : callable, optional
        A function of a condition that returns an equivalent one, in terms that z3 is given.

    Raises
    ------
    Contradiction
        After the last branch, if none was reached.
    Undecided
        If a branch is neither shown to be reached nor impossible, or a root or a quotient in a condition is not defined
        somewhere.
    """
    _require_list(assumptions)
    assumptions, found = tuple(assumptions), False
    given = tuple(map(_exact, assumptions))
    for conditions, value in ways:
        asked = conditions if rewrite is None else tuple(map(rewrite, conditions))
        known = given
        for condition in map(_exact, asked):
            formula, premises = _assumed(known)
            before = len(formula.required)
            formula.truth(condition)
            _assert_defined(formula, premises, formula.required[before:], condition)
            known = (*known, condition)
        witness = _witness(known)
        if witness is not None:
            found = True
            yield Reached((*assumptions, *asked), value, dict(witness))
    if not found:
        raise Contradiction(f"no branch is reached: nothing satisfies the assumptions {_listed(given)}")


def _exact(relation: Any) -> Any:
    """Return the relation with every Python float as the rational number that it stores; TypeError if it is none."""
    if isinstance(relation, str):  # it would be read with symbols of its own
        raise TypeError(f"a relation is wanted, got the text {relation!r}")
    e = sp.sympify(relation)
    if not isinstance(e, sp.Basic):
        raise TypeError(f"a relation is wanted, got {relation!r}")
    return e.xreplace({x: sp.Rational(x) for x in e.atoms(sp.Float)})


def _listed(relations: Iterable[Any]) -> str:
    return ", ".join(map(str, relations))[:300]


def _assumed(given: tuple[Any, ...]) -> tuple[Formula, list[Any]]:
    """Return a new formula that has the assumptions, and what these tell z3."""
    formula = Formula()
    premises = [formula.truth(one) for one in given]
    return formula, [*premises, *_defined(formula.required)]


def _defined(required: Iterable[Requirement]) -> list[Any]:
    return [part for one in required for part in (one.condition, one.definition)]


@lru_cache(maxsize=256)
def _witness(given: tuple[Any, ...]) -> dict[sp.Symbol, sp.Expr] | None:
    """Return values that satisfy the assumptions, or None if there are none."""
    formula, premises = _assumed(given)
    return _solution(formula, premises, given, sp.false)


def _assert_defined(formula: Formula, premises: list[Any], needs: Iterable[Requirement], claim: Any) -> None:
    """Raise Undecided unless every requirement follows from the premises and the requirements before it."""
    known = [*premises]
    for need in needs:
        answer = _check(formula, [*known, formula.z3.Not(need.condition)])[0]
        if answer != formula.z3.unsat:
            kind = Undefined if answer == formula.z3.sat else Undecided
            raise kind(f"it is not shown that {need.text}, as is needed in {_listed([claim])}")
        known += [need.condition, need.definition]


def _check(formula: Formula, constraints: Iterable[Any], effort: int = Z3_EFFORT) -> tuple[Any, Any]:
    """Return the answer of z3, and the solver."""
    solver = formula.z3.Solver()
    solver.set("rlimit", effort)
    solver.add(*formula.facts, *constraints)
    return solver.check(), solver


def _solution(
    formula: Formula, constraints: list[Any], given: tuple[Any, ...], claim: Any
) -> dict[sp.Symbol, sp.Expr] | None:
    """Return values, confirmed exactly, at which the assumptions hold and the claim does not; None if there are none."""
    answer, solver = _check(formula, constraints)
    if answer == formula.z3.unsat:
        return None
    told = "z3 did not decide"
    if answer == formula.z3.sat:
        found = _confirmed(formula, solver, given, claim)
        if found is not None:
            return found
        told = "the point that z3 found is not confirmed"
    rng = random.Random(0)
    for _ in range(SAMPLES):
        answer, solver = _check(formula, [*constraints, *_fixed(formula, rng)], Z3_EFFORT // 100)
        found = _confirmed(formula, solver, given, claim) if answer == formula.z3.sat else None
        if found is not None:
            return found
    if claim is sp.false:
        raise Undecided(f"{told}: whether there are values with {_listed(given)}")
    raise Undecided(f"{told}: whether {_listed([claim])} follows from {_listed(given) or 'no assumptions'}")


def _fixed(formula: Formula, rng: random.Random) -> list[Any]:
    """Return small rational values of all symbols but two, for z3."""
    symbols = list(formula.symbols)
    rng.shuffle(symbols)
    values = []
    for s in symbols[2:]:
        size = sp.Rational(rng.randint(1, 9), 1 if s.is_integer else rng.randint(1, 4))
        negative = s.is_nonpositive or (not s.is_nonnegative and rng.random() < 0.5)
        values.append(formula.symbols[s] == formula.value(-size if negative else size))
    return values


def _confirmed(formula: Formula, solver: Any, given: tuple[Any, ...], claim: Any) -> dict[sp.Symbol, sp.Expr] | None:
    """Return the point of the solver's model if the assumptions hold there and the claim is defined and does not."""
    point = formula.point(solver.model())
    try:
        if point is None or holds_at(claim, point) is not False:
            return None
        return point if all(holds_at(one, point) for one in given) else None
    except Undecided:
        return None
