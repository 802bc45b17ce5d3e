"""The door of `solve`: what is refused, and the words it is refused with."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any

from .linear import Diagonal
from .namespace import Array, array_namespace, is_number

__all__ = ["check_parts", "check_theta", "step_size", "total_steps", "whole_number"]


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
        array: Any = value.diagonal if isinstance(value, Diagonal) else value
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


def step_size(dt: float | Callable[[int], float]) -> Callable[[int], float]:
    """Return the step size as a checked function of the step number.

    Parameters
    ----------
    dt : float or callable
        Step size, or a function of the step number.

    Raises
    ------
    ValueError
        If it is not a finite number > 0; of a function's values, when they are asked for.
    """

    def checked(value: Any) -> float:
        if not is_number(value) or not 0 < value < float("inf"):
            raise ValueError(f"dt must be a finite number > 0, got {value!r}")
        return float(value)  # a NumPy double would promote a float32 state

    if callable(dt):
        return lambda n: checked(dt(n))
    fixed = checked(dt)
    return lambda n: fixed
