"""The points at which Burgers' equation and its conditions are imposed, with the scale of each residual."""

from __future__ import annotations

from math import inf, sqrt
from typing import NamedTuple

from ..namespace import Array, array_namespace
from ..refusals import real_array
from .two_layer import with_bias

__all__ = ["Conditions", "Points", "all_points", "conditions"]


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
    real_array("initial", initial, {"N": None, "2": 2}, like.dtype, of="interior", least=0, low=-inf)
    real_array("walls", walls, {"N": None}, like.dtype, of="interior", least=0, low=-inf)
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
