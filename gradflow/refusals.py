"""Every check of an argument, once: what was wanted and what came, as a `ValueError`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from math import isfinite
from numbers import Integral
from operator import index
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .description import found
from .namespace import Array, array_namespace, is_number

__all__ = [
    "Floats",
    "Seed",
    "check_dtype",
    "check_parts",
    "check_theta",
    "check_vector",
    "checked_count",
    "checked_indices",
    "checked_labels",
    "checked_mass",
    "checked_targets",
    "checked_x",
    "float_dtype",
    "generator",
    "plain_numbers",
    "require_at_least",
    "require_finite",
    "require_in",
    "require_one_of",
    "require_positive",
    "shape_error",
    "size",
    "spawn_generators",
    "total_steps",
    "whole_number",
]

Floats: TypeAlias = NDArray[np.floating[Any]]
"""A float32 or float64 array."""

Seed: TypeAlias = int | np.random.Generator
"""Where random numbers come from."""


def plain_numbers(scheme: Any) -> None:
    """Turn the NumPy numbers among the fields of a frozen dataclass into Python's, which never promote an array.

    Parameters
    ----------
    scheme : dataclass instance
        The scheme; changed in place.
    """
    for field in fields(scheme):
        value = getattr(scheme, field.name)
        if is_number(value) and type(value) not in (int, float):
            object.__setattr__(scheme, field.name, int(value) if isinstance(value, Integral) else float(value))


def require_finite(name: str, value: float) -> None:
    """Raise ValueError unless `value` is a finite number.

    Parameters
    ----------
    name : str
        What the message calls it.
    value : object
        What was given.
    """
    if not is_number(value) or not isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}")


def require_positive(name: str, value: float) -> None:
    """Raise ValueError unless `value` is a finite number > 0.

    Parameters
    ----------
    name : str
        What the message calls it.
    value : object
        What was given.
    """
    if not is_number(value) or not (isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a finite number > 0, got {value!r}")


def require_at_least(name: str, value: float, least: float) -> None:
    """Raise ValueError unless `value` is a finite number >= `least`.

    Parameters
    ----------
    name : str
        What the message calls it.
    value : object
        What was given.
    least : float
        The smallest value that is accepted.
    """
    if not is_number(value) or not (isfinite(value) and value >= least):
        kind = "" if isinstance(value, int) else "a finite number "
        raise ValueError(f"{name} must be {kind}>= {least:g}, got {value!r}")


def require_in(name: str, value: float, low: float, high: float, *, open_end: bool = False) -> None:
    """Raise ValueError unless low <= value <= high (or < high).

    Parameters
    ----------
    name : str
        What the message calls it.
    value : object
        What was given.
    low, high : float
        Ends of the interval.
    open_end : bool
        Whether `high` itself is refused.
    """
    ok = is_number(value) and low <= value and (value < high if open_end else value <= high)
    if not ok:
        raise ValueError(f"{name} must lie in [{low:g}, {high:g}{')' if open_end else ']'}, got {value!r}")


def require_one_of(name: str, value: object, known: Iterable[str]) -> None:
    """Raise ValueError unless `value` is among the known names.

    Parameters
    ----------
    name : str
        What the message calls it.
    value : object
        What was given.
    known : iterable of str
        What is accepted.
    """
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}; got {found(value)}")


def whole_number(name: str, value: Any, low: int) -> int:
    """Return `value` as an int, or raise ValueError unless it is a whole number >= low.

    Parameters
    ----------
    name : str
        What the message calls it.
    value : object
        What was given.
    low : int
        The lowest value accepted.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < low:
        raise ValueError(f"{name} must be a whole number >= {low}, got {value!r}")
    return int(value)


def check_theta(theta: Array) -> None:
    """Raise ValueError unless theta is a finite vector of a real floating dtype of 32 bits or more.

    Parameters
    ----------
    theta : object
        What was given; accepted is an array (P,), P >= 1.
    """
    if getattr(theta, "ndim", None) != 1 or theta.shape[0] == 0:
        raise ValueError(f"theta0 must have shape (P,), got {getattr(theta, 'shape', type(theta).__name__)!r}")
    xp = array_namespace(theta)
    if not xp.isdtype(theta.dtype, "real floating") or xp.finfo(theta.dtype).bits < 32:
        raise ValueError(f"theta0 must have a real floating dtype of 32 bits or more, got {theta.dtype}")
    if not bool(xp.all(xp.isfinite(theta))):
        raise ValueError("theta0 must be finite, got NaN or infinite entries")


def check_parts(problem: Any, scheme: Any, theta: Array) -> None:
    """Raise ValueError if problem or scheme is none, or holds arrays that do not go with theta.

    A mass, an energy part or a stabilization of another dtype would promote the state, one of another length be broadcast.

    Parameters
    ----------
    problem : object
        What was given as the problem.
    scheme : object
        What was given as the scheme.
    theta : array (P,)
        Initial parameters, checked.
    """
    for name, value, methods in (("problem", problem, ("energy", "inner")), ("scheme", scheme, ("init", "step"))):
        if isinstance(value, type) or not all(callable(getattr(value, m, None)) for m in methods):
            raise ValueError(f"{name} must be an instance with the methods {', '.join(methods)}, got {value!r}")
    found = {"mass": getattr(problem, "mass", None), "linear": getattr(problem, "linear", None)}
    while scheme is not None:
        found.setdefault("stabilization", getattr(scheme, "stabilization", None))
        scheme = getattr(scheme, "base", None)
        found["stabilization"] = found["stabilization"] or getattr(scheme, "stabilization", None)
    for name, value in found.items():
        array: Any = getattr(value, "diagonal", value)
        if not hasattr(array, "dtype") or getattr(array, "ndim", 0) == 0:
            continue
        if array.shape != theta.shape or array.dtype != theta.dtype:
            wanted = f"theta's shape {theta.shape} and dtype {theta.dtype}"
            raise ValueError(f"{name} must have {wanted}, got {array.shape} and {array.dtype}")


def total_steps(steps: int | None, epochs: int | None, batches: int) -> int:
    """Return the number of steps, from exactly one of the two ways to say it.

    Parameters
    ----------
    steps, epochs : int or None
        How far; one of the two is None.
    batches : int
        Steps in an epoch.

    Raises
    ------
    ValueError
        If both or none are given, or one is not a whole number >= 0.
    """
    if (steps is None) == (epochs is None):
        raise ValueError(f"give steps or epochs, exactly one of the two; got steps={steps!r}, epochs={epochs!r}")
    return whole_number("steps", steps, 0) if steps is not None else whole_number("epochs", epochs, 0) * batches


def shape_error(name: str, P: int, got: object, letter: str = "P") -> ValueError:
    """Return the error for an argument that should have had shape (P,).

    Parameters
    ----------
    name : str
        What the message calls it.
    P : int
        The length wanted.
    got : object
        What was given.
    letter : str
        How the message writes the length.
    """
    return ValueError(f"{name} must have shape ({letter},), {letter} = {P}; got {found(got)}")


def check_vector(name: str, v: Array, P: int, dtype: Any, letter: str = "P") -> None:
    """Raise unless `v` has shape (P,) and the dtype; this runs in every evaluation.

    Parameters
    ----------
    name : str
        What the message calls it.
    v : object
        What was given; accepted is an array (P,).
    P : int
        The length wanted.
    dtype : dtype
        The dtype wanted.
    letter : str
        How the message writes the length.
    """
    if getattr(v, "shape", None) != (P,):
        raise shape_error(name, P, v, letter)
    if v.dtype != dtype:
        raise ValueError(f"{name} must have the dtype of the data, {dtype}; got {v.dtype}")


def size(name: str, value: Any) -> int:
    """Return `value` as an int >= 1.

    Parameters
    ----------
    name : str
        What the message calls it.
    value : object
        What was given.

    Raises
    ------
    ValueError
        If it is no integer, or below 1.
    """
    try:
        number = index(value)
    except TypeError:
        number = 0
    if number < 1 or isinstance(value, bool):
        raise ValueError(f"{name} must be an integer >= 1, got {found(value)}")
    return number


def generator(seed: int | np.random.Generator) -> np.random.Generator:
    """Return a NumPy generator for an integer seed >= 0, or the generator given.

    Parameters
    ----------
    seed : int or numpy.random.Generator
        What was given.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if isinstance(seed, np.random.Generator):
        return seed
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"seed must be an integer >= 0 or a numpy.random.Generator, got {found(seed)}")
    return np.random.default_rng(seed)


def checked_x(x: Array, D: int) -> Array:
    """Return inputs of shape (N, D), N >= 1, float32 or float64, finite.

    Parameters
    ----------
    x : object
        What was given; accepted is an array (N, D).
    D : int
        Number of inputs.

    Raises
    ------
    ValueError
        If the shape or the dtype is another, or an entry is not finite.
    """
    if getattr(x, "ndim", None) != 2 or x.shape[1] != D or x.shape[0] < 1:
        raise ValueError(f"x must have shape (N, D), N >= 1 and D = {D}; got {found(x)}")
    xp = array_namespace(x)
    if x.dtype not in (xp.float32, xp.float64):
        raise ValueError(f"x must be float32 or float64, got {x.dtype}")
    _check_finite("x", x)
    return x


def checked_targets(y: Array, x: Array, k: int) -> Array:
    """Return a copy of targets as (N, k), finite, of the dtype of x; (N,) is taken for (N, 1).

    Parameters
    ----------
    y : object
        What was given; accepted is an array (N, k), or (N,) if k = 1.
    x : array (N, D)
        The inputs.
    k : int
        Number of outputs.

    Raises
    ------
    ValueError
        If the shape or the dtype is another, or an entry is not finite.
    """
    N, shape = x.shape[0], getattr(y, "shape", None)
    if shape != (N, k) and not (k == 1 and shape == (N,)):
        raise ValueError(f"y must have shape (N, k) = {(N, k)}{' or (N,)' if k == 1 else ''}; got {found(y)}")
    if y.dtype != x.dtype:
        raise ValueError(f"y must have the dtype of x, {x.dtype}; got {y.dtype}")
    _check_finite("y", y)
    xp = array_namespace(x, y)
    return xp.reshape(xp.asarray(y, copy=True), (N, k))


def checked_labels(labels: Array, x: Array, k: int) -> Array:
    """Return labels (N,) as int64 in [0, k).

    Parameters
    ----------
    labels : object
        What was given; accepted is an integer array (N,).
    x : array (N, D)
        The inputs.
    k : int
        Number of classes.

    Raises
    ------
    ValueError
        If the shape is another, the dtype no integer, or a label outside [0, k).
    """
    xp, N = array_namespace(x), x.shape[0]
    if getattr(labels, "shape", None) != (N,):
        raise ValueError(f"labels must have shape (N,), N = {N}; got {found(labels)}")
    labels = xp.asarray(labels)
    if not xp.isdtype(labels.dtype, "integral"):
        raise ValueError(f"labels must be integers, got {labels.dtype}")
    labels = xp.astype(labels, xp.int64)
    if bool(xp.any((labels < 0) | (labels >= k))):
        raise ValueError(f"labels must lie in [0, {k}); got {int(xp.min(labels))} to {int(xp.max(labels))}")
    return labels


def checked_indices(indices: Any, N: int, like: Array) -> Array | slice:
    """Return the rows of a batch: a slice that is not empty, or an integer array (B,), B >= 1, in [0, N).

    Parameters
    ----------
    indices : slice or array
        What was given.
    N : int
        Number of samples.
    like : array
        Of the library wanted, of any shape.

    Raises
    ------
    ValueError
        If they are no integers, none, or outside [0, N).
    """
    if isinstance(indices, slice):
        try:
            rows = range(*indices.indices(N))
        except TypeError as error:
            raise ValueError(f"a slice of samples must have integer ends, got {indices}") from error
        if len(rows) == 0:
            raise ValueError(f"a batch must have at least one sample; {indices} of {N} is empty")
        return slice(rows.start, rows.stop, rows.step) if rows.step > 0 else indices  # in the standard: ends within N
    xp = array_namespace(like)
    indices = xp.asarray(indices, copy=True)  # the caller may write into its own
    if indices.ndim != 1 or indices.shape[0] == 0 or not xp.isdtype(indices.dtype, "integral"):
        raise ValueError(
            f"indices must be a slice or an integer array of shape (B,), B >= 1; got shape {indices.shape}, {indices.dtype}"
        )
    low, high = int(xp.min(indices)), int(xp.max(indices))
    if low < 0 or high >= N:
        raise ValueError(f"indices must lie in [0, N), N = {N}; got {low} to {high}")
    return indices


def _check_finite(name: str, a: Array) -> None:
    xp = array_namespace(a)
    if not bool(xp.all(xp.isfinite(a))):
        raise ValueError(f"{name} must be finite; it has NaN or infinite entries")


def check_dtype(name: str, value: Array, theta: Array) -> None:
    """Refuse what would silently promote a float32 run to float64.

    Parameters
    ----------
    name : str
        What the message calls the function that returned it.
    value : array
        What was returned, of any shape.
    theta : array (P,)
        The parameters, whose dtype is wanted.

    Raises
    ------
    ValueError
        If the dtypes differ.
    """
    if value.dtype != theta.dtype:
        raise ValueError(f"{name} must return theta's dtype {theta.dtype}, got {value.dtype}")


def checked_mass(mass: Any) -> Array | float:
    """Return the diagonal of an inner product as a Python float or an array (P,).

    Parameters
    ----------
    mass : float, array (P,) or None
        What was given; None for 1.

    Raises
    ------
    ValueError
        If it is neither a finite number > 0 nor a vector of finite entries > 0.
    """
    if mass is None:
        return 1.0
    if is_number(mass):
        if not 0 < mass < float("inf"):
            raise ValueError(f"mass must be positive and finite, got {mass!r}")
        return float(mass)
    if not hasattr(mass, "ndim"):
        raise ValueError(f"mass must be a number or an array (P,), got {type(mass).__name__}")
    xp = array_namespace(mass)
    if mass.ndim != 1 or (mass.dtype != object and not bool(xp.all(xp.isfinite(mass)) & xp.all(mass > 0))):
        raise ValueError(f"mass must be a number or an array (P,) with entries > 0, got shape {mass.shape}")
    return mass


def float_dtype(dtype: DTypeLike) -> np.dtype[np.floating[Any]]:
    """Return `dtype` as a NumPy dtype, which must be float32 or float64.

    Parameters
    ----------
    dtype : dtype-like
        What was given.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if dtype is not None:  # NumPy reads None as float64; here it can only be a forgotten argument
        for known in (np.dtype(np.float32), np.dtype(np.float64)):
            try:
                if np.dtype(dtype) == known:
                    return known
            except TypeError:
                break
    raise ValueError(f"dtype must be float32 or float64, got {dtype!r}")


def checked_count(name: str, value: int, lowest: int, highest: int | None = None) -> int:
    """Return `value` as an int between `lowest` and `highest`, both included.

    Parameters
    ----------
    name : str
        What the message calls it.
    value : object
        What was given.
    lowest : int
        The lowest value accepted.
    highest : int, optional
        The highest.

    Raises
    ------
    ValueError
        If it is no integer, or outside.
    """
    wanted = f"at least {lowest}" if highest is None else f"between {lowest} and {highest}"
    try:
        count = index(value)
    except TypeError:
        raise ValueError(f"{name} must be an integer, {wanted}, got {value!r}") from None
    if count < lowest or (highest is not None and count > highest):
        raise ValueError(f"{name} must be {wanted}, got {count}")
    return count


def spawn_generators(seed: Seed, count: int) -> list[np.random.Generator]:
    """Return `count` independent generators derived from `seed`.

    One stream for each purpose, so that asking for more numbers of one kind never changes those of another.
    A Generator is only asked to spawn: its own stream does not move, but a second call gives other children.

    Parameters
    ----------
    seed : int or numpy.random.Generator
        Where the numbers come from.
    count : int
        How many generators.

    Raises
    ------
    ValueError
        If `seed` is neither a non-negative integer nor a Generator.
    """
    if isinstance(seed, np.random.Generator):
        return seed.spawn(count)
    try:
        number = index(seed)
    except TypeError:
        number = -1
    if number < 0:
        raise ValueError(f"seed must be a non-negative integer or a numpy.random.Generator, got {seed!r}")
    return np.random.default_rng(number).spawn(count)
