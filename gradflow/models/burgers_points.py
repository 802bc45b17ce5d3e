"""The points at which Burgers' equation, its initial values and its walls are asked for, with the scale of each residual."""

from __future__ import annotations

from math import sqrt
from typing import Any, NamedTuple

from ..description import found
from ..namespace import Array, array_namespace
from .two_layer import with_bias

__all__ = ["Conditions", "Points", "all_points", "check_interior", "conditions"]


class Points(NamedTuple):
    """Where the residual is taken, and what is wanted there."""

    X: Array
    """t, x and 1, shape (N, 3)."""
    chi: Array
    """1 for a point of the equation, 0 for a value that is wanted, shape (N,)."""
    y: Array
    """What is wanted, shape (N,)."""
    c: Array
    """Scale of the residual, shape (N,)."""
    nu: float
    """Viscosity."""


class Conditions(NamedTuple):
    """The points of the initial values and of the walls."""

    X: Array
    """t, x and 1, shape (M, 3)."""
    y: Array
    """The values, shape (M,)."""
    c: Array
    """Scale of the residual, shape (M,)."""


def check_interior(interior: Array) -> None:
    """Raise ValueError unless the points inside are of shape (N_1, 2), N_1 >= 1, float32 or float64, finite.

    Parameters
    ----------
    interior : object
        What was given; accepted is an array (N_1, 2).
    """
    if getattr(interior, "ndim", None) != 2 or interior.shape[1] != 2 or interior.shape[0] < 1:
        raise ValueError(f"interior must have shape (N, 2), N >= 1; got {found(interior)}")
    xp = array_namespace(interior)
    if interior.dtype not in (xp.float32, xp.float64):
        raise ValueError(f"interior must be float32 or float64, got {interior.dtype}")
    _check("interior", interior, 2, interior)


def conditions(initial: Array, walls: Array, like: Array, weights: tuple[float, float, float]) -> Conditions:
    """Return the points at t = 0, then those at x = -1, then those at x = 1.

    Parameters
    ----------
    initial : array (N_2, 2)
        Places x and the values there.
    walls : array (N_3,)
        Times.
    like : array (N_1, 2)
        The points inside, whose library and dtype are wanted.
    weights : tuple of three floats
        The omega_1, omega_2, omega_3 of `Burgers`.

    Raises
    ------
    ValueError
        If an argument has another shape or dtype, or is not finite.
    """
    _check("initial", initial, 2, like)
    _check("walls", walls, 1, like)
    xp = array_namespace(like)
    x, t = initial[:, 0], xp.concat([walls, walls])
    wall = xp.concat([-xp.ones_like(walls), xp.ones_like(walls)])
    X = xp.concat([xp.stack([xp.zeros_like(x), x], axis=1), xp.stack([t, wall], axis=1)])
    scales = [sqrt(2 * w / max(1, n)) for w, n in zip(weights[1:], (x.shape[0], t.shape[0]), strict=True)]
    c = xp.concat([scales[0] * xp.ones_like(x), scales[1] * xp.ones_like(t)])
    return Conditions(with_bias(X), xp.concat([initial[:, 1], xp.zeros_like(t)]), c)


def all_points(inside: Array, others: Conditions, weight: float, nu: float) -> Points:
    """Return the points inside, then those of the conditions.

    Parameters
    ----------
    inside : array (N_1, 3)
        Points t, x and 1.
    others : Conditions
        From `conditions`.
    weight : float
        The omega_1 of `Burgers`.
    nu : float
        Viscosity.
    """
    xp, first = array_namespace(inside), inside[:, 2]  # ones
    return Points(
        xp.concat([inside, others.X]),
        xp.concat([first, xp.zeros_like(others.y)]),
        xp.concat([0 * first, others.y]),
        xp.concat([sqrt(2 * weight / inside.shape[0]) * first, others.c]),
        nu,
    )


def _check(name: str, value: Any, axes: int, like: Array) -> None:
    """Raise ValueError unless `value` is a finite array (N,) or (N, 2) of the dtype of `like`, (N_1, 2); N may be 0."""
    if getattr(value, "ndim", None) != axes or (axes == 2 and value.shape[1] != 2):
        raise ValueError(f"{name} must have shape {'(N, 2)' if axes == 2 else '(N,)'}, got {found(value)}")
    if value.dtype != like.dtype:
        raise ValueError(f"{name} must have the dtype of interior, {like.dtype}; got {value.dtype}")
    xp = array_namespace(value, like)
    if not bool(xp.all(xp.isfinite(value))):
        raise ValueError(f"{name} must be finite; it has NaN or infinite entries")
