"""What arguments of the models must be; each check raises a `ValueError` that says what was wanted and what came."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from ..description import found
from ..namespace import Array, array_namespace

__all__ = [
    "check_vector",
    "checked_indices",
    "checked_labels",
    "checked_targets",
    "checked_x",
    "found",
    "generator",
    "shape_error",
    "size",
]


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
