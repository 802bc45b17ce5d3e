"""Every way through a function whose `where` asks what symbols do not tell.

    for branch in branches(lambda: update(...)):
        branch.conditions  # what was assumed, as relations between symbols
        branch.value       # what the function returns under them

The function is run once for each way. Together the conditions of all branches cover every value of the symbols, so that
a law shown in each branch, from that branch's conditions, holds always.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np
import sympy as sp

__all__ = ["Branch", "branches", "where"]


class Branch(NamedTuple):
    """One way through a function."""

    conditions: tuple[sp.Basic, ...]
    """What was assumed, in the order in which it was asked."""
    value: Any
    """What the function returned."""


class _Way:
    """The answers given so far, and those to give."""

    def __init__(self, script: list[bool]) -> None:
        self.script = script
        self.asked: list[sp.Basic] = []
        self.answers: list[bool] = []

    def answer(self, condition: sp.Basic) -> bool:
        for known, answer in zip(self.asked, self.answers, strict=True):
            if condition == known:
                return answer
            if condition == sp.Not(known):
                return not answer
        n = len(self.answers)
        self.asked.append(condition)
        self.answers.append(self.script[n] if n < len(self.script) else True)
        return self.answers[-1]


_way: ContextVar[_Way | None] = ContextVar("way", default=None)


def branches(function: Callable[[], Any]) -> Iterator[Branch]:
    """Yield every branch of a call of `function`, which takes no arguments and has no side effects."""
    script: list[bool] = []
    while True:
        way = _Way(script)
        token = _way.set(way)
        try:
            value = function()
        finally:
            _way.reset(token)
        conditions = tuple(c if yes else sp.Not(c) for c, yes in zip(way.asked, way.answers, strict=True))
        yield Branch(conditions, value)
        script = way.answers
        while script and not script[-1]:
            script.pop()
        if not script:
            return
        script[-1] = False


def where(condition: Any, yes: Any, no: Any) -> Any:
    """Return `yes` where the condition holds and `no` elsewhere, entry by entry for object arrays.

    Parameters
    ----------
    condition : SymPy relation, bool, or object array of these
        What is asked.
    yes, no : SymPy expression, object array or Vector
        What is answered.
    """
    if any(isinstance(a, np.ndarray) for a in (condition, yes, no)):
        return np.frompyfunc(_where, 3, 1)(condition, yes, no)
    return _where(condition, yes, no)


def _where(condition: Any, yes: Any, no: Any) -> Any:
    if condition in (True, sp.true):
        return yes
    if condition in (False, sp.false):
        return no
    way = _way.get()
    if way is None:
        return sp.Piecewise((yes, condition), (no, True))
    return yes if way.answer(condition) else no
