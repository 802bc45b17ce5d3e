"""A trial step, and what the quadratic model of the energy says of it."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from ..namespace import Array, array_namespace
from .model import Model

__all__ = ["Step", "measured"]


class Step(NamedTuple):
    """A trial step, and what the model says of it."""

    d: Array
    """The step, (P,)."""
    nu: Array
    """The multiplier of its subproblem, 0-d."""
    length: Array
    """``|d|_D``, 0-d."""
    slope: Array
    """``(g, d)_M``, 0-d."""
    bend: Array
    """``(d, G d)_M``, 0-d."""
    most: Array
    """Decrease of the model at its minimiser, 0-d; infinite if it has a negative eigenvalue."""
    boundary: bool
    """Whether a trust region ends the step."""
    negative: bool
    """Whether the eigenvalues that were computed include a negative one."""
    products: int
    """Products with G, or factorisations of a sparse matrix; 0 with a dense matrix."""
    residual: float = 0.0
    """Residual of the equation for d in a projected model, relative to g in the norm of ``D^{-1}``; 0 where none is computed.

    It exceeds the tolerance where a Krylov space reached its largest dimension, or the factorisations their largest number.
    """


def measured(
    model: Model,
    weights: Array | None,
    d: Array,
    *,
    nu: Array | float = 0.0,
    most: Array | float = inf,
    boundary: bool = False,
    negative: bool = False,
    products: int = 0,
    G_d: Array | None = None,
) -> Step:
    """Return a step and what the model says of it, by inner products.

    Parameters
    ----------
    model : Model
        The model.
    weights : array (P,) or None
        Diagonal of D, entries > 0; None for the identity.
    d : array (P,)
        The step.
    nu, most, boundary, negative, products : float or 0-d array, float or 0-d array, bool, bool, int
        As in `Step`.
    G_d : array (P,), optional
        G d; by default it is computed.
    """
    xp, inner = array_namespace(d), model.problem.inner
    square = inner(d, d if weights is None else weights * d)
    return Step(
        d=d,
        nu=0 * d[0] + nu,
        length=xp.sqrt(xp.maximum(square, 0 * square)),
        slope=inner(model.gradient, d),
        bend=inner(d, model.apply(d) if G_d is None else G_d),
        most=xp.asarray(most, dtype=d.dtype),
        boundary=boundary,
        negative=negative,
        products=products,
    )
