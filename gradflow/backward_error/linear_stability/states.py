"""The state of a scheme as a list of numbers, and the state at rest at a minimum."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...description import found
from .quadratics import Quadratic

LATE = 2**40
"""Where a counter of steps is set."""


def variables_of(state: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the variables of a state, entry by entry, with their names; counters, flags and None are left out."""
    if isinstance(state, tuple):
        names = getattr(state, "_fields", range(len(state)))
        for key, value in zip(names, state, strict=True):
            yield from variables_of(value, f"{name}.{key}" if name else str(key))
    elif isinstance(state, np.ndarray) and state.dtype.kind in "fO":
        for i, value in enumerate(state.ravel()):
            yield (f"{name}[{i}]" if state.size > 1 else name), value
    elif isinstance(state, (float, np.floating)) or hasattr(state, "free_symbols"):
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
    return next(values) if hasattr(state, "free_symbols") else state


def values_of(state: Any) -> list[Any]:
    """Return the variables of a state, entry by entry."""
    return [value for _, value in variables_of(state)]


def _late(before: Any, after: Any, late: Any) -> Any:
    """Return `after` with the whole numbers that are one more than in `before` set to `late`."""
    if isinstance(after, tuple) and isinstance(before, tuple) and len(after) == len(before):
        parts = [_late(a, b, late) for a, b in zip(before, after, strict=True)]
        return type(after)(*parts) if hasattr(after, "_fields") else tuple(parts)
    whole = all(isinstance(x, (int, np.integer)) and not isinstance(x, bool) for x in (before, after))
    return late if whole and after == before + 1 else after


def at_rest(scheme: Any, problem: Quadratic, dt: Any, late: Any = LATE, near: Any = None) -> Any:
    """Return the state at rest at the minimum, or None if the scheme does not stay there; `near` is one for another dt.

    Raises
    ------
    ValueError
        If a step returns parameters of another shape, for example because an operator of the scheme has another size.
    """
    if near is not None and values_of(scheme.step(problem, near, dt)) == values_of(near):
        return near
    state = scheme.init(problem, 0 * problem.curvature)
    for n in range(12):  # a multi-step scheme fills its past
        new = scheme.step(problem, state, dt)
        if new.theta.shape != problem.curvature.shape:
            raise ValueError(
                f"a step must return theta of shape {problem.curvature.shape}, got {new.theta.shape}: give as many eigenvalues"
            )
        if any(value != 0 for value in new.theta):
            return None
        same = [a == b for a, b in zip(values_of(state), values_of(new), strict=False)]
        state = _late(state, new, late) if n == 1 else new
        if n > 1 and len(values_of(state)) == len(same) and all(same):
            return state
    return None


def require_scheme(scheme: Any) -> None:
    """Raise ValueError unless this is an object with ``init`` and ``step``."""
    if isinstance(scheme, type) or not all(callable(getattr(scheme, name, None)) for name in ("init", "step")):
        raise ValueError(f"scheme must be an object with the methods init and step, got {found(scheme)}")
