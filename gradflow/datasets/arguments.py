"""What every data set checks at the door: a dtype, a count, a seed."""

from __future__ import annotations

import operator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]
"""A float32 or float64 array."""

Seed: TypeAlias = int | np.random.Generator
"""Where random numbers come from."""

__all__ = ["Floats", "Seed", "checked_count", "float_dtype", "spawn_generators"]


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
        count = operator.index(value)
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
        number = operator.index(seed)
    except TypeError:
        number = -1
    if number < 0:
        raise ValueError(f"seed must be a non-negative integer or a numpy.random.Generator, got {seed!r}")
    return np.random.default_rng(number).spawn(count)
