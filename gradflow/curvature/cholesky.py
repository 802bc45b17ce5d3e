r"""A Cholesky factorisation with a modification that ends.

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

from collections.abc import Callable
from math import ceil, inf, log2
from typing import NamedTuple

from ..namespace import Array, array_namespace, is_numpy
from .lapack import cholesky_factor, plus_identity

__all__ = ["Shifted", "factored", "modified_cholesky", "solved"]


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
        x = solved(A, tau, b)
        if x is not None:
            return Shifted(x, tau, n)
        tau = max(2 * tau, beta * norm)  # (1)
    return nothing._replace(factorisations=n)


def solved(A: Array, tau: float, b: Array) -> Array | None:
    """Return ``(A + tau I)^{-1} b``, (P,), or None if the matrix is not numerically positive definite.

    Parameters
    ----------
    A : array (P, P)
        A symmetric matrix.
    tau : float
        The shift.
    b : array (P,)
        Right-hand side.
    """
    solve = factored(A, tau)
    x = None if solve is None else solve(b)
    return x if x is not None and bool(array_namespace(x).all(array_namespace(x).isfinite(x))) else None


def factored(A: Array, tau: float) -> Callable[[Array], Array] | None:
    """Return the function b -> ``(A + tau I)^{-1} b``, (P,), or None if the matrix is not numerically positive definite.

    Parameters
    ----------
    A : array (P, P)
        A symmetric matrix.
    tau : float
        The shift.
    """
    if is_numpy(A):
        return cholesky_factor(plus_identity(A, tau))
    xp = array_namespace(A)
    try:
        L = xp.linalg.cholesky(A + tau * xp.eye(A.shape[0], dtype=A.dtype))
    except Exception:  # every library has its own LinAlgError
        return None
    if not bool(xp.all(xp.isfinite(L))):
        return None
    return lambda b: xp.linalg.solve(L.T, xp.linalg.solve(L, b[:, None]))[:, 0]
