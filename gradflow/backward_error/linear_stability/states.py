"""The state of a scheme as a list of numbers, and the state at rest at a minimum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import lcm
from typing import Any

import numpy as np

from ...description import found
from .quadratics import Quadratic

LATE = 2**40
"""Where a counter of steps is set."""
LONGEST = 100
"""The longest period of a state that is looked for, in steps."""
FILLED = 12
"""The steps in which a multi-step scheme fills its past."""


def variables_of(state: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the variables of a state, entry by entry, with their names; counters, flags and None are left out."""
    if isinstance(state, tuple):
        names = getattr(state, "_fields", range(len(state)))
        for key, value in zip(names, state, strict=True):
            yield from variables_of(value, f"{name}.{key}" if name else str(key))
    elif isinstance(state, np.ndarray) and state.dtype.kind in "fO":
        for i, value in enumerate(state.ravel()):
            yield (f"{name}[{i}]" if state.size > 1 else name), value
    elif isinstance(state, (float, np.floating)) or _is_symbolic(state):
        yield name, state


def with_values(state: Any, values: Iterator[Any]) -> Any:
    """Return the state with its variables replaced, in the order of `variables_of`."""
    if isinstance(state, tuple):
        parts = [with_values(value, values) for value in state]
        return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)
    if isinstance(state, np.ndarray) and state.dtype.kind in "fO":
        return np.array([next(values) for _ in range(state.size)], dtype=state.dtype).reshape(state.shape)
    if isinstance(state, (float, np.floating)):
        value = next(values)
        return value if hasattr(value, "free_symbols") else type(state)(value)
    return next(values) if _is_symbolic(state) else state


def _is_symbolic(value: Any) -> bool:
    """Return whether a value is an expression, and not the infinity of a count."""
    return hasattr(value, "free_symbols") and not (value.is_Number and value.is_infinite)


def values_of(state: Any) -> list[Any]:
    """Return the variables of a state, entry by entry."""
    return [value for _, value in variables_of(state)]


def marks_of(state: Any) -> list[Any]:
    """Return the whole numbers and flags of a state, and its variables.

    Parameters
    ----------
    state : object
        A state, or a part of one.
    """
    if isinstance(state, tuple):
        return [mark for value in state for mark in marks_of(value)]
    if isinstance(state, np.ndarray) and state.dtype.kind in "iub":
        return list(state.ravel().tolist())
    is_mark = isinstance(state, (int, np.integer, np.bool_)) or hasattr(state, "free_symbols")
    return [state] if is_mark else values_of(state)


def _is_count(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _grows(values: Sequence[Any]) -> bool:
    """Return whether these are whole numbers that never fall, and rise."""
    return all(map(_is_count, values)) and values[0] < values[-1] and all(a <= b for a, b in pairwise(values))


def period_of(scheme: Any, problem: Quadratic, dt: Any, start: Any) -> int:
    """Return the number of steps after which a state comes back, apart from counts that grow; 0 if there is none up to `LONGEST`.

    At the minimum all numbers have to come back; elsewhere, and where they never do, whole numbers and flags.

    Parameters
    ----------
    scheme : Scheme
        The scheme.
    problem : Quadratic
        The energy.
    dt : float
        The step size.
    start : array (P,)
        Where the scheme starts.
    """
    state, seen = scheme.init(problem, start), []
    for n in range(FILLED + 2 * LONGEST):
        state = scheme.step(problem, state, dt)
        seen.append(marks_of(state))
        if n and seen[-1] == seen[-2] and not any(start):
            return 1  # and so are all further ones
    tail = seen[FILLED:]
    if len({len(marks) for marks in tail}) > 1:
        return 0
    k = 1
    for values in zip(*tail, strict=True):
        if not _grows(values):
            own = next((k for k in range(1, LONGEST + 1) if values[k:] == values[:-k]), 0)
            if own or isinstance(values[-1], (int, np.integer, np.bool_)):
                k = lcm(k, own)
    return k if k <= LONGEST else 0


def _late(before: Any, after: Any, late: Any) -> Any:
    """Return `after` with the whole numbers that are more than in `before` set to `late`."""
    if isinstance(after, tuple) and isinstance(before, tuple) and len(after) == len(before):
        parts = [_late(a, b, late) for a, b in zip(before, after, strict=True)]
        return type(after)(*parts) if hasattr(after, "_fields") else tuple(parts)
    if isinstance(after, np.ndarray) and after.dtype.kind in "iu" and np.all(after > before):
        return np.full(after.shape, late)
    return late if _is_count(before) and _is_count(after) and after > before else after


def counts_of(before: Any, after: Any) -> list[int]:
    """Return the whole numbers of a state, before, that are more after.

    Parameters
    ----------
    before, after : NamedTuple
        The states.
    """
    return [a for a, b in zip(marks_of(before), marks_of(after), strict=False) if _grows((a, b))]


def at_rest(
    scheme: Any, problem: Quadratic, dt: Any, late: Any = LATE, near: Any = None, *, period: int = 1
) -> list[Any] | None:
    """Return the states of a period at rest at the minimum and the first one again, or None if the scheme does not stay there.

    The list has ``period + 1`` states; the last one differs from the first in counts of steps only. Those that grow are set to
    `late`, if it is not None. `near` is the first state at rest for another dt.

    Raises
    ------
    ValueError
        If a step returns parameters of another shape, for example because an operator of the scheme has another size.
    """

    def followed(state: Any) -> list[Any] | None:
        states = [state]
        for _ in range(period):
            states.append(scheme.step(problem, states[-1], dt))
            if states[-1].theta.shape != problem.curvature.shape:
                raise ValueError(
                    f"a step must return theta of shape {problem.curvature.shape}, got {states[-1].theta.shape}: "
                    "give as many eigenvalues"
                )
            if any(value != 0 for value in states[-1].theta):
                return None
        return states

    states = None if near is None else followed(near)
    if states is not None and values_of(states[-1]) == values_of(near):
        return states
    state = scheme.init(problem, 0 * problem.curvature)
    for n in range(FILLED):  # a multi-step scheme fills its past
        states = followed(state)
        if states is None:
            return None
        old, new = values_of(state), values_of(states[-1])
        if n > 1 and old == new:
            return states
        state = _late(state, states[-1], late) if n == 1 and late is not None else states[-1]
    return None


def require_scheme(scheme: Any) -> None:
    """Raise ValueError unless this is an object with ``init`` and ``step``."""
    if isinstance(scheme, type) or not all(callable(getattr(scheme, name, None)) for name in ("init", "step")):
        raise ValueError(f"scheme must be an object with the methods init and step, got {found(scheme)}")
