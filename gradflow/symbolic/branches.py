"""Every way through a function whose `where` asks what symbols do not tell.

    for branch in branches(lambda: update(...)):
        branch.conditions  # what was assumed, as relations between symbols
        branch.value       # what the function returns under them

The function is run once for each way. Together the conditions of all branches cover every value of the symbols, so that
a law shown in each branch, from that branch's conditions, holds always. No values may take some of the ways:
`gradflow.proofs.reached` leaves these out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
from sympy.logic.boolalg import Boolean

__all__ = ["MOST_BRANCHES", "Branch", "branches", "followed", "where"]

MOST_BRANCHES = 1000
"""A function with more ways than that is refused."""


class Branch(NamedTuple):
    """One way through a function."""

    conditions: tuple[sp.Basic, ...]
    """What was assumed, in the order in which it was asked."""
    value: Any
    """What the function returned."""


class _Way:
    """The answers given so far, and those to give."""

    def __init__(self, script: list[bool], expected: list[sp.Basic]) -> None:
        self.script, self.expected = script, expected
        self.asked: list[sp.Basic] = []
        self.answers: list[bool] = []
        self.known: dict[sp.Basic, bool] = {}

    def answer(self, condition: sp.Basic) -> bool:
        question, negated = _question(condition)
        if question in self.known:
            return self.known[question] != negated
        n = len(self.answers)
        if n < len(self.script) and str(condition) != str(self.expected[n]):  # each run may make symbols of its own
            raise ValueError(
                f"the function must ask the same questions in every run, got {condition} after {self.expected[n]}"
            )
        self.asked.append(condition)
        self.answers.append(self.script[n] if n < len(self.script) else True)
        self.known[question] = self.answers[-1] != negated
        return self.answers[-1]

    @property
    def conditions(self) -> tuple[sp.Basic, ...]:
        return tuple(c if yes else sp.Not(c) for c, yes in zip(self.asked, self.answers, strict=True))


def _question(condition: Any) -> tuple[sp.Basic, bool]:
    """Return a form that a condition, written in another way, and its negation share, and whether it is the negation.

    Numbers are not NaN: a > b, b < a and not a <= b are one question.
    """
    if isinstance(condition, sp.Not):
        question, negated = _question(condition.args[0])
        return question, not negated
    if isinstance(condition, (sp.Ge, sp.Gt)):
        condition = condition.reversed
    if isinstance(condition, sp.Le):
        return sp.Lt(condition.rhs, condition.lhs, evaluate=False), True
    if isinstance(condition, (sp.Eq, sp.Ne)):
        return sp.Eq(*sorted(condition.args, key=sp.default_sort_key), evaluate=False), isinstance(condition, sp.Ne)
    if isinstance(condition, (sp.And, sp.Or)):
        # by De Morgan's law an Or is the negation of an And
        parts = [_question(part) for part in condition.args]
        negated = isinstance(condition, sp.Or)
        return sp.And(*(sp.Not(q) if n != negated else q for q, n in parts), evaluate=False), negated
    return condition, False


_way: ContextVar[_Way | _Answers | None] = ContextVar("way", default=None)


def branches(function: Callable[[], Any]) -> Iterator[Branch]:
    """Yield every branch of a call of a function.

    An error in the function is raised with a note of the conditions under which it occurs.

    Parameters
    ----------
    function : callable
        Takes no arguments, has no side effects, and asks the same questions whenever it gets the same answers.

    Raises
    ------
    ValueError
        If the function asks other questions in another run, has more than `MOST_BRANCHES` ways, or calls `branches`
        itself: the conditions of an inner branch would not know those of the outer one.
    """
    script: list[bool] = []
    expected: list[sp.Basic] = []
    for _ in range(MOST_BRANCHES):
        if _way.get() is not None:
            raise ValueError("branches must not be called by a function whose branches are followed")
        way = _Way(script, expected)
        token = _way.set(way)
        try:
            value = function()
        except Exception as error:
            error.add_note(f"in the branch {', '.join(map(str, way.conditions)) or 'without conditions'}")
            raise
        finally:
            _way.reset(token)
        if len(way.answers) < len(script):
            raise ValueError(f"the function must ask the same questions in every run, got none for {expected[-1]}")
        yield Branch(way.conditions, value)
        script, expected = way.answers, way.asked
        while script and not script[-1]:
            script.pop()
        expected = expected[: len(script)]
        if not script:
            return
        script[-1] = False
    raise ValueError(f"a function must have at most {MOST_BRANCHES} branches")


class _Answers:
    """The answers of a function."""

    def __init__(self, answer: Callable[[sp.Basic], bool]) -> None:
        self.answer = answer


def followed(function: Callable[[], Any], answer: Callable[[sp.Basic], bool]) -> Any:
    """Return what a function returns on the way on which its conditions have given answers.

    Parameters
    ----------
    function : callable
        Takes no arguments.
    answer : callable
        Takes a condition and returns its truth value.

    Raises
    ------
    ValueError
        If the function follows branches itself.
    """
    if _way.get() is not None:
        raise ValueError("a way must not be followed by a function whose branches are followed")
    token = _way.set(_Answers(answer))
    try:
        return function()
    finally:
        _way.reset(token)


def where(condition: Any, yes: Any, no: Any) -> Any:
    """Return `yes` where the condition holds and `no` elsewhere, entry by entry for object arrays.

    Parameters
    ----------
    condition : SymPy relation, bool, or object array of these
        What is asked.
    yes, no : SymPy expression, object array or Vector
        What is answered.

    Raises
    ------
    TypeError
        If a condition is no truth value and no relation.
    """
    if any(isinstance(a, np.ndarray) for a in (condition, yes, no)):
        return np.frompyfunc(_where, 3, 1)(condition, yes, no)
    return _where(condition, yes, no)


def _where(condition: Any, yes: Any, no: Any) -> Any:
    if condition in (True, sp.true):
        return yes
    if condition in (False, sp.false):
        return no
    if not isinstance(condition, Boolean) or isinstance(condition, sp.Expr):
        raise TypeError(f"where takes relations and truth values, got {condition!r}")
    way = _way.get()
    if way is None:
        return sp.Piecewise((yes, condition), (no, True))
    return yes if way.answer(condition) else no
