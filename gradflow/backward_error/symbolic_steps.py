"""Running the step of a scheme on symbols: its settings as exact numbers, its states as nested values, its branch for small dt."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from inspect import signature
from typing import Any, TypeAlias

import numpy as np
import sympy as sp

from ..description import found
from ..energies.linear import as_linear_part
from ..symbolic.branches import followed

__all__ = [
    "DT",
    "HIGHEST",
    "Path",
    "counted",
    "equation_of",
    "exact_settings",
    "generic",
    "leaves",
    "replaced",
    "require_step",
]

DT = sp.Symbol("dt", positive=True)
"""The step size."""
HIGHEST = 8
"""The highest order of a modified field: the work grows about threefold with each."""
POINTS = 3  # at which the conditions of a step are looked at
DIGITS = 40
SMALL = sp.Float("1e-9", DIGITS)
Path: TypeAlias = tuple[int, ...]
"""Where a value stands in a state: the position in each of the nested tuples."""


def require_step(scheme: Any) -> None:
    """Raise ValueError unless something is an object with ``init`` and ``step``, one with ``equation``, or a function of three arguments.

    Parameters
    ----------
    scheme : object
        Whatever is said to be a scheme.
    """
    has = [name for name in ("init", "step") if callable(getattr(scheme, name, None))]
    has += ["equation"] if callable(equation_of(scheme)) else []
    if not isinstance(scheme, type):
        if "equation" in has or ("step" in has and "init" in has):
            return
        if callable(scheme):
            try:
                signature(scheme).bind(None, None, None)
                return
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"scheme must be a function (problem, theta, dt) -> theta; got {found(scheme)}: {error}"
                ) from error
    raise ValueError(
        f"scheme must be an object with the methods init and step, or a function (problem, theta, dt) -> theta; got {found(scheme)}"
    )


def equation_of(scheme: Any) -> Callable[..., Any] | None:
    """Return the ``equation`` of `gradflow.schemes.protocols.SchemeAbilities`, None for a step in closed form.

    Parameters
    ----------
    scheme : object
        A scheme or a function. This room imports no scheme, and reads this ability here alone.
    """
    declared: Callable[..., Any] | None = getattr(scheme, "equation", None)
    return declared


class _Count(sp.Symbol):  # type: ignore[misc]  # SymPy has no types
    """A number of steps, of which no remainder is taken: a step that asks for one is another step from one to the next."""

    def _periodic(self, other: Any) -> Any:
        raise TypeError(f"it counts steps by {self.name}, and differs from one to the next")

    __mod__ = __floordiv__ = __divmod__ = _periodic


def counted(name: str) -> sp.Symbol:
    """Return a symbol for a number of steps, which refuses ``%`` and ``//`` with TypeError.

    Parameters
    ----------
    name : str
        Its name.
    """
    return _Count(name, positive=True)


def leaves(state: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the values of nested tuples, with their places.

    Parameters
    ----------
    state : object
        A state, a tuple of values and tuples.
    path : tuple of int
        Where it stands.
    """
    if isinstance(state, tuple):
        for k, value in enumerate(state):
            yield from leaves(value, (*path, k))
    else:
        yield path, state


def replaced(state: Any, values: Mapping[Path, Any], path: Path = ()) -> Any:
    """Return nested tuples with other values at some places.

    Parameters
    ----------
    state : object
        As for `leaves`.
    values : mapping
        New values by place.
    path : tuple of int
        Where the state stands.
    """
    if path in values:
        return values[path]
    if not isinstance(state, tuple):
        return state
    new = [replaced(value, values, (*path, k)) for k, value in enumerate(state)]
    return type(state)(*new) if hasattr(state, "_fields") else tuple(new)


def exact_settings(scheme: Any, symbols: Mapping[str, Any]) -> Any:
    """Return a copy of a scheme whose floats are the decimal fractions that they print as, or symbols.

    Parameters
    ----------
    scheme : object
        A dataclass, perhaps with others in its fields; anything else is returned as it is.
    symbols : mapping
        Values by the name of a field.

    Raises
    ------
    ValueError
        If this is no mapping, a value is a text, None or no number, or no dataclass among them has a field of such a name.
    """
    if not isinstance(symbols, Mapping):
        raise ValueError(f"symbols must be a mapping from names of fields to values, got {found(symbols)}")
    for name, value in symbols.items():
        if value is None or isinstance(value, str) or sp.sympify(value, strict=False) is sp.nan:
            raise ValueError(f"symbols must give a number or a SymPy expression for {name}, got {found(value)}")
    used: set[str] = set()
    known: dict[str, None] = {}

    def exact(value: Any) -> Any:
        if isinstance(value, (float, np.floating)):
            return sp.Rational(repr(float(value))) if np.isfinite(value) else sp.sympify(float(value))
        if not is_dataclass(value) or isinstance(value, type):
            return value
        made = copy.copy(value)
        for one in fields(made):
            known[one.name] = None
            if one.name in symbols:
                used.add(one.name)
                new = symbols[one.name]
            else:
                given = getattr(value, one.name)
                # a scheme would make a float of a fraction in the place of S
                new = exact(as_linear_part(given, one.name) if one.name == "stabilization" else given)
            object.__setattr__(made, one.name, new)
        return made

    made = exact(scheme)
    unknown = sorted(set(symbols) - used, key=str)
    if unknown:
        raise ValueError(
            f"no part of {type(scheme).__name__} has a field called {', '.join(map(str, unknown))}; "
            + (f"there are {', '.join(known)}" if known else "there is none")
        )
    return made


def generic(function: Callable[[], Any], start: Mapping[sp.Symbol, Any] | None = None) -> Any:
    """Return what a function of symbols returns where dt is small, if its branch does not depend on the other symbols.

    Each condition is looked at with numbers of 40 digits at `POINTS` points.

    Parameters
    ----------
    function : callable
        Calls `gradflow.symbolic.where`.
    start : mapping, optional
        The values of some symbols, in others.

    Raises
    ------
    ValueError
        If a condition differs between the points, or cannot be told.
    """
    draws = [random.Random(seed) for seed in range(POINTS)]
    points: list[dict[sp.Symbol, sp.Float]] = [{} for _ in draws]

    def told(condition: sp.Basic) -> bool:
        asked = condition.subs(start) if start else condition
        answers = set()
        for draw, values in zip(draws, points, strict=True):
            for symbol in sorted(asked.free_symbols - set(values), key=str):
                number = SMALL if symbol == DT else sp.Float(sp.Rational(draw.randint(1, 1000), 500), DIGITS)
                values[symbol] = number if symbol.is_nonnegative else draw.choice((-1, 1)) * number
            answer = asked.xreplace(values)
            if answer not in (sp.true, sp.false):
                raise ValueError(f"a condition of the step could not be told for small dt: {condition}")
            answers.add(bool(answer))
        if len(answers) > 1:
            raise ValueError(f"the step has no Taylor polynomial in dt for all theta: it chooses by {condition}")
        return answers.pop()

    return followed(function, told)
