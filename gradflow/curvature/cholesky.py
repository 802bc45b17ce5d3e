r"""A direction of descent by a Cholesky factorisation, with a modification that ends.

For the matrix B of a curvature in coordinates and the metric ``S^2 = M D``, a shift is sought with which
``B + nu S^2 = L L^T`` exists. Tried are the given ``nu_0``, and if it fails

.. math:: \tau_0 = \begin{cases} \beta\,\|A\| & \min_i A_{ii} > 0,\\
                    \beta\,\|A\| - \min_i A_{ii} & \text{otherwise}, \end{cases}
          \qquad \tau_{k+1} = \max(2\tau_k, \beta\,\|A\|),                                              \tag{1}

for ``A = S^{-1} (B + nu_0 S^2) S^{-1}`` and its norm ``||A|| = max_i sum_j |A_ij|``. As no eigenvalue of A is below
``-||A||``, a factorisation exists in exact arithmetic as soon as ``tau_k > ||A||``: after at most ``log2(1 / beta) + 2``
trials. The doubling exceeds the smallest possible shift by a factor of two at most, or by ``beta ||A||``.

A loop that multiplies a shift by a constant until LAPACK succeeds does not end from the shift 0. LAPACK also reads one
triangle only and, in NumPy, returns a factor of NaN for a matrix with NaN. Here a matrix that is not symmetric is refused,
and one that is not finite, or zero, has no factor.

Source: Nocedal & Wright, Numerical Optimization (2006), Algorithm 3.3.
"""

from __future__ import annotations

from math import ceil, inf, log2
from typing import NamedTuple

from ..namespace import Array, array_namespace, is_numpy
from .lapack import cholesky_solve
from .model import Model
from .spectral import Step

__all__ = ["Shifted", "cholesky_step", "modified_cholesky"]


class Shifted(NamedTuple):
    """The solution of a system with a modified matrix."""

    x: Array
    """(A + tau I)^{-1} b, (P,); NaN if there is no factorisation."""
    tau: float
    """The shift; infinite if there is no factorisation."""
    factorisations: int
    """How many were tried."""


def modified_cholesky(A: Array, b: Array, *, beta: float = 1e-3) -> Shifted:
    """Return the solution of ``(A + tau I) x = b`` with the first shift of (1), 0 included, that makes A positive definite.

    Parameters
    ----------
    A : array (P, P)
        A symmetric matrix.
    b : array (P,)
        Right-hand side.
    beta : float
        First shift, relative to the norm of A, in (0, 1].

    Raises
    ------
    ValueError
        If A is finite and not symmetric to rounding.
    """
    xp = array_namespace(A, b)
    norm = float(xp.max(xp.sum(xp.abs(A), axis=1)))
    nothing = Shifted(b * float("nan"), inf, 0)
    if not 0 < norm < inf:
        return nothing
    if float(xp.max(xp.abs(A - A.T))) > 64 * float(xp.finfo(A.dtype).eps) * norm:
        raise ValueError("A must be symmetric")
    least = float(xp.min(xp.linalg.diagonal(A)))
    tau = 0.0 if least > 0 else beta * norm - least
    for n in range(1, ceil(log2(1 / beta)) + 5):
        x = _solved(A, tau, b)
        if x is not None:
            return Shifted(x, tau, n)
        tau = max(2 * tau, beta * norm)  # (1)
    return nothing._replace(factorisations=n)


def _solved(A: Array, tau: float, b: Array) -> Array | None:
    """Return ``(A + tau I)^{-1} b``, or None if the matrix is not numerically positive definite."""
    xp = array_namespace(A, b)
    shifted = A + tau * xp.eye(A.shape[0], dtype=A.dtype)
    if is_numpy(A):
        x = cholesky_solve(shifted, b)
    else:  # the standard has no triangular solve: positive pivots are what a factorisation finds
        mu = xp.linalg.eigvalsh(shifted)
        positive = float(xp.min(mu)) > float(xp.finfo(mu.dtype).eps) * mu.shape[0] * float(xp.max(xp.abs(mu)))
        x = xp.linalg.solve(shifted, b[:, None])[:, 0] if positive else None
    return x if x is not None and bool(xp.all(xp.isfinite(x))) else None


def cholesky_step(model: Model, weights: Array | None, nu: Array | float, *, beta: float = 1e-3) -> Step:
    """Return the damped step of a model, with more damping where its curvature is not positive definite.

    A direction of descent results, or NaN if the curvature is zero or not finite. `negative` of the step says that the
    curvature is not positive definite: a factorisation does not distinguish an eigenvalue 0 from a negative one.

    Parameters
    ----------
    model : Model
        The model.
    weights : array (P,) or None
        Diagonal of D, entries > 0; None for the identity.
    nu : float or 0-d array
        The least multiplier, >= 0.
    beta : float
        As in `modified_cholesky`.
    """
    model.unconfined("solver='cholesky'")
    mass = model.known_mass("solver='cholesky'")
    g, B, nu = model.gradient, model.matrix(), float(nu)
    xp = array_namespace(g)
    square = mass * (xp.ones_like(g) if weights is None else weights)
    S = xp.sqrt(square)
    A, b = B / S[:, None] / S, -(mass * g) / S
    y, tau, _ = modified_cholesky(A + nu * xp.eye(A.shape[0], dtype=A.dtype), b, beta=beta)
    plain = None if tau > 0 else y if nu == 0 else _solved(A, 0.0, b)  # the minimiser of the model
    d = y / S
    most = b @ plain / 2 if plain is not None else xp.asarray(inf, dtype=g.dtype)
    return Step(
        d=d,
        nu=0 * g[0] + (nu + tau if tau < inf else 0.0),
        length=xp.sqrt(y @ y),
        slope=-(b @ y),
        bend=d @ (B @ d),
        most=most,
        boundary=False,
        negative=tau > 0 and not model.definite,
        products=0,
    )
