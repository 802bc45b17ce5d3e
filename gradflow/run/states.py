"""Operations of the loop on a state as a whole: tests of finiteness, form and change, and read-only copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isfinite
from typing import Any

import numpy as np

from ..description import found
from ..namespace import Array, array_namespace, copied, is_array, read_only
from ..schemes.protocols import Scheme, scheme_ability
from ..schemes.state import reset

__all__ = ["check_state", "is_finite", "leaves", "own_state", "read_only_state", "same_state", "same_vector"]


def leaves(value: Any) -> Iterator[Any]:
    """Yield the arrays and numbers of a state, each object once.

    Parameters
    ----------
    value : NamedTuple
        A state.
    """
    seen: set[int] = set()
    stack = [value]
    while stack:
        value = stack.pop()
        if isinstance(value, tuple):
            stack.extend(value)
        elif value is not None and id(value) not in seen:
            seen.add(id(value))
            yield value


def is_finite(value: Any) -> bool:
    """Return whether a number or all entries of a floating array are finite; one pass at BLAS speed in the usual case.

    Parameters
    ----------
    value : object
        A leaf of a state: an array of any shape, a number or a text.
    """
    if isinstance(value, float):
        return isfinite(value)
    if not hasattr(value, "dtype"):
        return True
    if value.ndim == 1 and isfinite(float(value @ value)):
        return True
    xp = array_namespace(value)
    return not xp.isdtype(value.dtype, ("real floating", "complex floating")) or bool(xp.all(xp.isfinite(value)))


def _mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """Return a state with a function applied to its arrays."""
    if isinstance(value, tuple):
        parts = [_mapped(function, part) for part in value]
        return type(value)._make(parts) if hasattr(value, "_make") else tuple(parts)
    return function(value) if hasattr(value, "dtype") and hasattr(value, "shape") else value


def read_only_state(state: Any) -> Any:
    """Return a state with read-only arrays, each of which owns its data or views read-only data.

    Parameters
    ----------
    state : NamedTuple
        A state. The arrays of one of this library's kinds, made by a step, are taken over; those of another kind may be kept by
        the scheme, to be written into again, and are copied.
    """
    ours = type(state).__module__.startswith("gradflow.")

    def frozen(a: Any) -> Any:
        if not isinstance(a, np.ndarray):
            return read_only(a)
        if not a.flags.writeable and type(a.base) is np.ndarray and not a.base.flags.writeable:
            return a
        owner = a if ours and type(a) is np.ndarray and a.flags.owndata else np.array(a)
        owner.setflags(write=False)
        return read_only(owner)

    return _mapped(frozen, state)


def own_state(state: Any) -> Any:
    """Return a copy of a state; an array that occurs twice is copied once.

    Parameters
    ----------
    state : NamedTuple
        A state.
    """
    copies: dict[int, Any] = {}

    def copy(a: Any) -> Any:
        if id(a) not in copies:
            copies[id(a)] = a if isinstance(a, np.generic) else copied(a)
        return copies[id(a)]

    return _mapped(copy, state)


def check_state(theta0: Array, before: Any, after: Any) -> None:
    """Raise ValueError unless a state has theta first, of the shape and dtype of theta0, and its other parts as before.

    Its arrays must be arrays that compute by the usual rules: no masked array, no matrix, no sparse array.

    Parameters
    ----------
    theta0 : array (P,)
        Initial parameters.
    before, after : NamedTuple
        States before and after a step; `before` is None for the initial state.
    """
    theta: Any = getattr(after, "theta", None)
    if not isinstance(after, tuple) or not hasattr(after, "_fields") or after._fields[0] != "theta":
        raise ValueError(f"a scheme must return a NamedTuple whose first field is theta, got {found(after)}")
    if getattr(theta, "dtype", None) != theta0.dtype or getattr(theta, "shape", None) != theta0.shape:
        got = f"{theta.shape} and {theta.dtype}" if hasattr(theta, "dtype") else found(theta)
        raise ValueError(
            f"a step must keep theta's shape {theta0.shape} and dtype {theta0.dtype}, got {got}: "
            "a function of the problem (inner, hvp) or the scheme returns another one"
        )
    for leaf in leaves(after):
        wrong = type(leaf) is not np.ndarray and hasattr(leaf, "dtype") and hasattr(leaf, "shape")
        if wrong and not isinstance(leaf, np.generic) and not is_array(leaf):
            raise ValueError(
                f"a scheme must return a state of plain arrays, got {found(leaf)} in a {type(after).__name__}"
            )
    if before is not None:
        _check_parts_of_state(type(after).__name__, before, after)


def _check_parts_of_state(name: str, before: Any, after: Any) -> None:
    if isinstance(before, tuple) and isinstance(after, tuple):
        fields = getattr(after, "_fields", range(len(after)))
        for label, old, new in zip(fields, before, after, strict=False):
            if old is not new:
                _check_parts_of_state(f"{name}.{label}", old, new)
        return
    arrays = hasattr(before, "dtype") and hasattr(after, "dtype")
    if arrays and (before.dtype != after.dtype or before.ndim != after.ndim):
        raise ValueError(
            f"a step must keep the state's dtypes, got {name} of {after.ndim} axes and {after.dtype} "
            f"after {before.ndim} and {before.dtype}"
        )


def same_vector(old: Array, new: Array) -> bool:
    """Return whether two vectors are equal in every bit; the first entries decide in nearly every case.

    Parameters
    ----------
    old, new : array (P,)
        Vectors.
    """
    if old is new:
        return True
    xp, few = array_namespace(new), min(16, new.shape[0])
    return bool(xp.all(old[:few] == new[:few])) and bool(xp.all(old == new))


def same_state(scheme: Scheme, old: Any, new: Any) -> bool:
    """Return whether two states are equal in all that the next step depends on, except for counters of steps.

    Parameters
    ----------
    scheme : Scheme
        The scheme.
    old, new : NamedTuple
        States.
    """
    if not scheme_ability(scheme, "carries_auxiliary"):
        old, new = reset(old), reset(new)
    return _equal(old, new)


def _equal(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_equal, a, b))
    if hasattr(a, "dtype") and hasattr(b, "dtype"):
        return a.shape == b.shape and bool(array_namespace(a).all(a == b))
    return isinstance(a, int) or a == b
