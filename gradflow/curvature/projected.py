r"""The eigenbasis of a projected model: Krylov spaces, and spaces made by sparse factorisations.

A space of dimension k takes the place of all of ``R^P``, and the projection of the model on it has an eigenbasis of k
vectors (`gradflow.curvature.eigenbasis`).

* **lanczos**: the Krylov space of ``D^{-1} G`` and ``D^{-1} g``, with full reorthogonalisation. Only products with G are
  needed, and M need not be diagonal. The space grows until the residual of the equation for d, relative to g, is at most
  `tol`. It holds no vector that is orthogonal to g and to all ``(D^{-1} G)^k D^{-1} g``: the hard case is not seen.
* **sparse**: with the multiplier nu and the residual ``r = g + (G + nu D) d`` of the solution so far, the space grows by
  ``(G + nu D)^{-1} r``, by a factorisation of a sparse matrix. Where nu has become constant this is iterative refinement,
  and nu converges as in Newton's method: a few factorisations do. The space holds g, so that a factorisation that has
  failed costs decrease, not convergence.

Source: Gould, Lucidi, Roma & Toint, SIAM J. Optim. 9 (1999) 504, for the Krylov space.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from typing import TypeAlias

from ..energies.protocols import sparse_jacobian
from ..energies.sparse import scaled, shifted_solve
from ..namespace import Array, array_namespace
from .eigenbasis import Form, felt_form, scale_of
from .gauss_newton import GaussNewtonModel
from .krylov import combined, lanczos, tridiagonal
from .lapack import eigh
from .model import Model
from .subproblem import Coefficients

__all__ = ["Subproblem", "default_tolerance", "krylov_form", "sparse_form"]

MOST_FACTORS = 12  # factorisations of a sparse matrix in a step
MOST_VECTORS = 200  # of a Krylov space; each is stored

Subproblem: TypeAlias = Callable[[Form], Coefficients]
"""A problem of `gradflow.curvature.subproblem`, with all but the form given."""


def krylov_form(
    model: Model, weights: Array | None, subproblem: Subproblem, tol: float | None, largest: bool
) -> tuple[Form, Coefficients, int]:
    """Return form and solution in the smallest Krylov space that is large enough, and its dimension.

    With `largest`, the largest eigenvalue must have converged too: the solution depends on it.

    Parameters
    ----------
    model : Model
        The model.
    weights : array (P,) or None
        Diagonal of D, entries > 0; None for the identity.
    subproblem : callable
        Maps a `Form` to its solution.
    tol : float or None
        The residual to reach, relative to the gradient; None for `default_tolerance`.
    largest : bool
        Whether the solution depends on the largest eigenvalue.
    """
    g, inner = model.gradient, model.problem.inner
    xp, eps = array_namespace(g), float(array_namespace(g).finfo(g.dtype).eps)
    tol = default_tolerance(eps) if tol is None else tol

    def over(u: Array) -> Array:
        return u if weights is None else u / weights

    def dot(u: Array, v: Array) -> Array:
        return inner(u if weights is None else weights * u, v)

    size = float(xp.max(xp.abs(g)))  # without it, the square of g may underflow or overflow
    b = over(g / size) if 0 < size < inf else over(g)
    first = float(dot(b, b)) ** 0.5
    if first == 0:
        form = Form(0 * g[:1], 1 + 0 * g[:1], lambda z: 0 * g, 0.0)
        return form, subproblem(form), 0
    mass = model.mass if model.mass is None or weights is None else model.mass * weights
    for space in lanczos(lambda v: over(model.apply(v)), dot, b, mass):
        k = len(space.alpha)
        last = k == MOST_VECTORS or space.invariant
        if k <= 10 or k % 5 == 0 or last:
            mu, Q = eigh(tridiagonal(space))
            tiny = eps * k * float(xp.max(xp.abs(mu)))
            form = Form(size * first * Q[0, :], mu, partial(_lifted, space.basis, Q), tiny)
            solution = subproblem(form)
            rest = abs(float(Q[k - 1, int(xp.argmax(xp.abs(mu)))])) if largest else 0.0
            known = space.length * rest <= tol * float(xp.max(xp.abs(mu)))
            if last or (known and space.length * abs(float(Q[k - 1, :] @ solution.z)) <= tol * first * size):
                break
    return form, solution, k


def _lifted(basis: list[Array], Q: Array, z: Array) -> Array:
    """Return the combination of the first vectors of a basis with the coefficients Q z, (P,)."""
    return combined(basis, Q @ z)


def default_tolerance(eps: float) -> float:
    """Return the residual to reach by default: 1e-10 in float64 and 1e-5 in float32.

    Parameters
    ----------
    eps : float
        The unit roundoff of the dtype.
    """
    return 1e-10 if eps < 1e-10 else 1e-5


def sparse_form(
    model: Model, weights: Array | None, subproblem: Subproblem, tol: float | None
) -> tuple[Form, Coefficients, int]:
    """Return form and solution in the space of a few factorisations, and their number.

    Parameters
    ----------
    model : Model
        The model.
    weights : array (P,) or None
        Diagonal of D, entries > 0; None for the identity.
    subproblem : callable
        Maps a `Form` to its solution.
    tol : float or None
        The residual to reach, relative to the gradient; None for `default_tolerance`.

    Raises
    ------
    ValueError
        If the model has no sparse matrix.
    """
    if not isinstance(model, GaussNewtonModel) or model.rows is None or sparse_jacobian(model.at) is None:
        raise ValueError(
            "solver='sparse' needs the Gauss-Newton curvature with a sparse Jacobian, and a linear part that is a number or "
            "diagonal"
        )
    S, xp = scale_of(model, weights, "solver='sparse'"), array_namespace(model.theta)
    S = S + 0 * model.theta
    B = scaled(model.sparse_matrix(), 1 / S)  # of y = S d
    g = model.gradient * model.known_mass("solver='sparse'") / S
    eps, first = float(xp.finfo(g.dtype).eps), float(g @ g) ** 0.5
    tol = default_tolerance(eps) if tol is None else tol
    if not 0 < first < inf:
        form = Form(g[:1], 1 + 0 * g[:1], lambda z: 0 * g, 0.0)
        return form, subproblem(form), 0
    least = 10 * eps * float(xp.max(B.diagonal()))  # keeps the factors apart from singular ones
    V, B_V = (g / first)[:, None], (B @ g / first)[:, None]
    used = 0
    while True:
        T = V.T @ B_V
        mu, Q = eigh((T + T.T) / 2)
        tiny = eps * mu.shape[0] * float(xp.max(xp.abs(mu)))
        U = V @ Q
        form = felt_form(Form(U.T @ g, mu, partial(_over, U, S), tiny), True)
        solution = subproblem(form)
        y = U @ solution.z
        r = g + (B_V @ (Q @ solution.z)) + solution.nu * y
        if used == MOST_FACTORS or not float(r @ r) ** 0.5 > tol * first:
            return form, solution, used
        w = shifted_solve(B, max(float(solution.nu), least), r)
        used += 1
        for _ in range(2):  # twice is enough
            size = float(w @ w) ** 0.5
            w = w - V @ (V.T @ w)
        length = float(w @ w) ** 0.5
        if not eps * size < length < inf:
            return form, solution, used
        w = w / length
        w = w - V @ (V.T @ w)
        w = w / float(w @ w) ** 0.5
        V, B_V = xp.concat([V, w[:, None]], axis=1), xp.concat([B_V, (B @ w)[:, None]], axis=1)


def _over(U: Array, S: Array, z: Array) -> Array:
    """Return S^{-1} U z, (P,)."""
    return (U @ z) / S
