"""Running the step of a scheme on symbols: its settings as exact numbers, its states as nested values, its branch for small dt."""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from inspect import signature
from typing import Any, TypeAlias

import numpy as np
import sympy as sp

from ..description import found
from ..energies.linear import as_linear_part
from ..symbolic.branches import followed
from ..symbolic.gram import is_known_nonnegative, is_known_positive
from ..symbolic.vectors import decimal_floats

__all__ = [
    "DT",
    "HIGHEST",
    "Count",
    "NotOnSymbols",
    "Path",
    "at_place",
    "decimal",
    "equation_of",
    "exact_settings",
    "generic",
    "is_mark",
    "is_number",
    "leaves",
    "name_of",
    "not_on_symbols",
    "noted_conditions",
    "replaced",
    "require_counting",
    "require_step",
    "settings_of",
    "settled",
]

DT = sp.Symbol("dt", positive=True)
"""The step size."""
HIGHEST = 8
"""The highest order of a modified field: the work grows about threefold with each."""
SETTLED = 5  # steps after which marks and whole numbers of a state have been the same three times
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


class Count:
    """A number of steps in a state, after many of them; what a step does with it must not tell one from the next.

    Sums with numbers and products with positive ones are again such numbers. ``c**n`` is 0 for ``|c| < 1``. A comparison with
    a number that has been passed is decided. Whatever else a step asks raises ValueError: a comparison with a number that may
    still come, a remainder, the use as a factor or as an index.

    Parameters
    ----------
    name : str
        Its name.
    least : int or float
        What it has reached.
    settings : set of Symbol
        Symbols that are constants; a power of them is taken to tend to 0.

    Examples
    --------
    >>> n = Count("n", 5) + 1
    >>> sp.Rational(9, 10) ** n, n > 1, n == 1
    (0, True, False)
    >>> n == 5000
    Traceback (most recent call last):
        ...
    ValueError: the step compares n of the state, which counts steps, with 5000: it may be another step from there on
    """

    __slots__ = ("least", "name", "settings")
    __array_ufunc__ = None  # an array leaves its operations to this class

    def __init__(self, name: str, least: Any, settings: Set[sp.Symbol] = frozenset()) -> None:
        self.name, self.least, self.settings = name, least, settings

    def __repr__(self) -> str:
        return f"{self.name}, which counts steps"

    def _refused(self, how: str) -> ValueError:
        return ValueError(
            f"the step {how} {self.name} of the state: it counts steps by {self.name}, and has no modified equation"
        )

    def _moved(self, least: Any) -> Count:
        return Count(self.name, least, self.settings)

    def __add__(self, other: Any) -> Count:
        if not is_number(other):
            raise self._refused("adds something to")
        return self._moved(self.least + other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Count:
        return self.__add__(-other)

    def __mul__(self, other: Any) -> Count:
        if not is_number(other) or not other > 0:
            raise self._refused("multiplies by")
        return self._moved(self.least * other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Count:
        if not is_number(other) or not other > 0:
            raise self._refused("divides")
        return self._moved(self.least / other)

    def __rpow__(self, base: Any) -> Any:
        c = sp.sympify(base)
        if c == 1 or (c.is_number and abs(c) < 1):
            return sp.Integer(int(c == 1))
        if not c.is_number and c.free_symbols <= self.settings:
            return sp.Integer(0)
        raise self._refused(f"raises {c} to the power")

    def _unknown(self, *other: Any) -> Any:
        raise self._refused("computes with")

    def _remainder(self, *other: Any) -> Any:
        raise ValueError(_changing(self.name))

    __neg__ = __abs__ = __rsub__ = __rtruediv__ = __pow__ = __index__ = __round__ = __floor__ = __ceil__ = _unknown
    __floordiv__ = __rfloordiv__ = __matmul__ = __rmatmul__ = _unknown
    __mod__ = __rmod__ = __divmod__ = __rdivmod__ = _remainder

    def __hash__(self) -> int:
        raise self._refused("looks something up by")

    def __len__(self) -> int:  # asked before a number is taken for an array
        raise self._refused("computes with")

    def _compared(self, other: Any, answer: bool) -> bool:
        if is_number(other) and self.least > other:
            return answer
        what = other if is_number(other) else "something"
        raise ValueError(
            f"the step compares {self.name} of the state, which counts steps, with {what}: it may be another step from there on"
        )

    def __eq__(self, other: object) -> bool:
        return (is_number(other) or isinstance(other, sp.Basic)) and self._compared(other, False)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: Any) -> bool:
        return self._compared(other, False)

    def __gt__(self, other: Any) -> bool:
        return self._compared(other, True)

    __le__, __ge__ = __lt__, __gt__

    def __bool__(self) -> bool:
        return self._compared(0, True)


def require_counting(counts: Mapping[Path, Any], after: Any) -> None:
    """Raise ValueError unless the numbers of steps in a state are such numbers after a step too.

    Parameters
    ----------
    counts : mapping
        Those before the step, each a `Count`, by their places; other values are not looked at.
    after : object
        The state after it.
    """
    for path, value in counts.items():
        if isinstance(value, Count):
            new = at_place(after, path)
            if not isinstance(new, Count) or not new.least > value.least:
                later = "does not grow" if isinstance(new, Count) else f"is {found(new)}"
                raise ValueError(
                    f"{value.name} of the state counts steps at first, and {later} later: a step that uses it has no modified equation"
                )


def is_number(value: Any) -> bool:
    """Return whether a value is a number, of Python, NumPy or SymPy, and no truth value.

    Parameters
    ----------
    value : object
        Anything.
    """
    if isinstance(value, sp.Basic):
        return bool(getattr(value, "is_number", False))
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def is_mark(value: Any) -> bool:
    """Return whether a value of a state can only be told from others: None, a truth value or a text.

    Parameters
    ----------
    value : object
        Anything.
    """
    return value is None or isinstance(value, (bool, np.bool_, str))


class NotOnSymbols(ValueError):
    """A step does not run on the symbols that it is given."""


def not_on_symbols(what: str, error: BaseException) -> NotOnSymbols:
    """Return the error of a step that does not run on symbols, with what it asked for.

    Parameters
    ----------
    what : str
        The subject and verb of its sentence, "the step does not run on symbols".
    error : exception
        What the step raised.
    """
    words = " ".join(str(error).split())
    asked = re.search(r"truth value of Relational: (.+)", words)
    if asked:
        words = f"it asks whether {asked[1]}, which symbols do not tell"
        if set(re.findall(r"[A-Za-z_]\w*", asked[1])) <= {"N", "P"}:
            words += ": abstract vectors have any numbers N of residuals and P of parameters"
    missing = re.search(r"module 'gradflow\.symbolic' has no attribute '(\w+)'", words)
    if missing:
        words = f"it calls {missing[1]}, which symbols do not have"
    return NotOnSymbols(f"{what}: {words}")


def settled(start: Any, step: Callable[[Any], Any]) -> tuple[Any, dict[Path, Any]]:
    """Return a state as steps keep it, and the numbers in it that count steps, by their places.

    Its form, its marks and its whole numbers are those after `SETTLED` steps; the rest is as in the start where that has it.

    Parameters
    ----------
    start : object
        The first state, a tuple of values and tuples.
    step : callable
        Maps a state to the next one.

    Raises
    ------
    ValueError
        If the form, a mark or a whole number that does not count steps still changes then.
    """
    seen = [start]
    for _ in range(SETTLED):
        seen.append(step(seen[-1]))
        if all(_kinds(s) == _kinds(start) and all(k == "value" for k in _kinds(s).values()) for s in seen[-2:]):
            return start, {}
    one, two, three = seen[-3:]
    if (
        not [path for path, _ in leaves(one)]
        == [path for path, _ in leaves(two)]
        == [path for path, _ in leaves(three)]
    ):
        raise ValueError("the form of the state changes with every step")
    counts: dict[Path, Any] = {}
    kept, last, begun = {}, _kinds(three), dict(leaves(start))
    for path, value in leaves(three):
        before, middle = at_place(one, path), at_place(two, path)
        if all(map(is_number, (before, middle, value))):
            if value - middle == middle - before and value > middle:
                counts[path] = value
            elif not value == middle == before and isinstance(value, (int, np.integer)):
                raise ValueError(_changing(name_of(three, path)))
            kept[path] = value
        elif not _kinds(one)[path] == _kinds(two)[path] == last[path]:
            raise ValueError(_changing(name_of(three, path)))
        elif last[path] != "value" or is_mark(begun.get(path)):
            kept[path] = value
        elif is_number(begun.get(path)):  # a number stays the one of the start, which tells its sign
            kept[path] = sp.sympify(begun[path]) if isinstance(value, sp.Basic) else value
    first = start if [path for path, _ in leaves(start)] == [path for path, _ in leaves(three)] else three
    return replaced(first, kept), counts


def _kinds(state: Any) -> dict[Path, Any]:
    """Return what the values of a state are, by their places: marks as they are, numbers and other values by a word."""
    return {
        path: ("mark", value) if is_mark(value) else "number" if is_number(value) else "value"
        for path, value in leaves(state)
    }


def _changing(name: str) -> str:
    return (
        f"{name} of the state still changes after {SETTLED} steps: such a step has no modified equation; if {name} comes back "
        "after k steps, the map of k steps of size dt / k has one: write a scheme whose step makes them"
    )


def at_place(state: Any, path: Path) -> Any:
    """Return the value of a state at a place.

    Parameters
    ----------
    state : object
        As for `leaves`.
    path : tuple of int
        The place.
    """
    for k in path:
        state = state[k]
    return state


def name_of(state: Any, path: Path) -> str:
    """Return the name of a place in a state: those of the fields on the way there.

    Parameters
    ----------
    state : object
        As for `leaves`.
    path : tuple of int
        The place.
    """
    names = []
    for k in path:
        names.append(state._fields[k] if hasattr(state, "_fields") else str(k))
        state = state[k]
    return "_".join(names)


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
        A dataclass or another object with ``step``, perhaps with others in its fields; anything else is returned as it is.
    symbols : mapping
        Values by the name of a field.

    Raises
    ------
    ValueError
        If this is no mapping, a value is a text, None or no number, or none of these objects has a field of such a name.
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
            return decimal(sp.Float(value)) if np.isfinite(value) else sp.sympify(float(value))
        named = is_dataclass(value) or (hasattr(value, "step") and hasattr(value, "__dict__"))
        if not named or isinstance(value, type):
            return value
        made = copy.copy(value)
        for name in [one.name for one in fields(value)] if is_dataclass(value) else list(vars(value)):
            known[name] = None
            if name in symbols:
                used.add(name)
                new = symbols[name]
            else:
                given = getattr(value, name)
                # a scheme would make a float of a fraction in the place of S
                new = exact(as_linear_part(given, name) if name == "stabilization" else given)
            object.__setattr__(made, name, new)
        return made

    made = exact(scheme)
    unknown = sorted(set(symbols) - used, key=str)
    if unknown:
        raise ValueError(
            f"no part of {type(scheme).__name__} has a field called {', '.join(map(str, unknown))}; "
            + (f"there are {', '.join(known)}" if known else "there is none")
        )
    return made


def decimal(e: Any) -> Any:
    """Return an expression whose floats are the decimal fractions that they print as: 1/10 for 0.1.

    Parameters
    ----------
    e : SymPy expression or number
        What a step has made, perhaps with numbers of its source.
    """
    e = sp.sympify(e)
    floats = e.atoms(sp.Float) if isinstance(e, sp.Basic) else ()
    return e.xreplace({x: sp.Rational(repr(float(x))) for x in floats if sp.Float(float(x)) == x}) if floats else e


def settings_of(symbols: Mapping[str, Any] | None) -> set[sp.Symbol]:
    """Return the symbols in the values that stand for settings of a scheme.

    Parameters
    ----------
    symbols : mapping or None
        As `exact_settings` takes it.
    """
    return set().union(*(sp.sympify(value).free_symbols for value in (symbols or {}).values()))


_conditions: ContextVar[list[str] | None] = ContextVar("conditions", default=None)


@contextmanager
def noted_conditions() -> Iterator[list[str]]:
    """Yield a list to which `generic` adds each condition that it has looked at for some values of the symbols only."""
    noted: list[str] = []
    token = _conditions.set(noted)
    try:
        yield noted
    finally:
        _conditions.reset(token)


def _shown(condition: Any) -> bool | None:
    """Return whether an inequality holds for all values of its symbols, or for none, by its signs; None if that is not shown."""
    if not isinstance(condition, (sp.Gt, sp.Ge, sp.Lt, sp.Le)):
        return None
    difference = sp.sympify(condition.gts - condition.lts)
    strict = isinstance(condition, (sp.Gt, sp.Lt))
    if (is_known_positive if strict else is_known_nonnegative)(difference):
        return True
    return False if (is_known_nonnegative if strict else is_known_positive)(-difference) else None


def generic(
    function: Callable[[], Any],
    start: Mapping[sp.Symbol, Any] | None = None,
    known: Callable[[sp.Symbol, Callable[[Any], Any]], Any] | None = None,
    unsure: Set[str] = frozenset(),
) -> Any:
    """Return what a function of symbols returns where dt is small, if its branch does not depend on the other symbols.

    Floats that multiply vectors are the decimal fractions that they print as. A condition that the signs of its symbols do
    not tell is looked at with numbers of 40 digits at `POINTS` points, where no symbol is larger than 2: it may be otherwise
    elsewhere. `noted_conditions` tells which these are.

    Parameters
    ----------
    function : callable
        Calls `gradflow.symbolic.where`.
    start : mapping, optional
        The values of some symbols, in others.
    known : callable, optional
        Takes a symbol, and a function that evaluates expressions at the same point; returns the number that follows for the
        symbol from the others, or None.
    unsure : set of str, optional
        Names of symbols that start positive and are not shown to stay so.

    Raises
    ------
    ValueError
        If a condition differs between the points, or cannot be told; or if it is on an unsure symbol that starts at a number,
        or on unsure symbols alone.
    """
    draws = [random.Random(seed) for seed in range(POINTS)]
    points: list[dict[sp.Symbol, sp.Float]] = [{} for _ in draws]

    def told(condition: sp.Basic) -> bool:
        asked = sorted((s for s in condition.free_symbols if s.name in unsure), key=str)
        alone = len(asked) == len(condition.free_symbols)
        if asked and (alone or any(sp.sympify((start or {}).get(s, s)).is_number for s in asked)):
            names = ", ".join(map(str, asked))
            raise ValueError(
                f"the step chooses by {condition}, and {names} of the state starts positive and is not shown to stay so"
            )
        shown = None if asked else _shown(condition)
        if shown is not None:
            return shown
        answers = set()
        for draw, values in zip(draws, points, strict=True):

            def at(e: Any, draw: random.Random = draw, values: dict[sp.Symbol, sp.Float] = values) -> Any:
                e = e.subs(start) if start else e
                for symbol in sorted(e.free_symbols - set(values), key=str):
                    follows = known(symbol, at) if known else None
                    if follows is None:
                        number = SMALL if symbol == DT else sp.Float(sp.Rational(draw.randint(1, 1000), 500), DIGITS)
                        follows = number if symbol.is_nonnegative else draw.choice((-1, 1)) * number
                    values[symbol] = follows
                return e.xreplace(values)

            answer = at(condition)
            if answer not in (sp.true, sp.false):
                raise ValueError(f"a condition of the step could not be told for small dt: {condition}")
            answers.add(bool(answer))
        if len(answers) > 1:
            raise ValueError(f"the step has no Taylor polynomial in dt for all theta: it chooses by {condition}")
        noted = _conditions.get()
        if noted is not None:
            noted.append(str(condition))
        return answers.pop()

    with decimal_floats():
        return followed(function, told)
