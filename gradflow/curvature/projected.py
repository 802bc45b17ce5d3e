r"""The eigenbasis of a projected model: Krylov spaces, and spaces made by sparse factorisations.

A space of dimension k takes the place of all of ``R^P``, and the projection of the model on it has an eigenbasis of k
vectors (`gradflow.curvature.eigenbasis`).

* **lanczos**: the Krylov space of ``D^{-1} G`` and ``D^{-1} g``, with full reorthogonalisation. Only products with G are
  needed, and M need not be diagonal. The space grows until the residual of the equation for d, relative to g, is at most
  `tol`. It holds no vector that is orthogonal to g and to all ``(D^{-1} G)^k D^{-1} g``: the hard case is not seen.
* **sparse**: the space is made by a few factorisations of a sparse matrix (`gradflow.curvature.rational`). It holds g, so that a
  factorisation that has failed costs decrease, not convergence. Subproblems that are not a system with a multiplier, such as
  that of `gradflow.curvature.CurvatureRegion`, take lanczos.

Source: Gould, Lucidi, Roma & Toint, SIAM J. Optim. 9 (1999) 504, for the Krylov space.
"""

from __future__ import annotations

from functools import partial
from math import inf

from ..energies.protocols import sparse_jacobian
from ..energies.sparse import scaled, shifted_factor
from ..namespace import Array, array_namespace
from .eigenbasis import Form, scale_of
from .gauss_newton import GaussNewtonModel
from .krylov import Krylov, combined, lanczos, tridiagonal
from .lapack import eigh
from .model import Model
from .rational import ShiftedSpace, ShiftedSystem, Solved, Subproblem, default_tolerance

__all__ = ["krylov_form", "sparse_form"]

MOST_FACTORS = 12  # factorisations of a sparse matrix in a step
MOST_VECTORS = 200  # of a Krylov space; each is stored


def krylov_form(
    model: Model,
    weights: Array | None,
    subproblem: Subproblem,
    tol: float | None,
    largest: bool,
    most: int = MOST_VECTORS,
) -> Solved:
    """Return form and solution in the smallest Krylov space that is large enough, its dimension, and the residual.

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
    most : int
        The largest dimension.
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
        return Solved(form, subproblem(form), 0, 0.0)
    mass = model.mass if model.mass is None or weights is None else model.mass * weights
    kept = model.forms.get("krylov")  # the space of an earlier trial at this theta is large enough, or grows
    if kept is None or kept[0] is not weights:
        kept = model.forms["krylov"] = weights, lanczos(lambda v: over(model.apply(v)), dot, b, mass), list[Krylov]()
    _, more, spaces = kept
    products, grows = 0, not spaces
    while True:
        if grows:
            spaces[:], products = [next(more)], products + 1
        space, known_space = spaces[0], not grows
        k, grows = len(space.alpha), True
        last = k >= most or space.invariant
        if k <= 10 or k % 5 == 0 or last or known_space:
            mu, Q = eigh(tridiagonal(space))
            tiny = eps * k * float(xp.max(xp.abs(mu)))
            form = Form(size * first * Q[0, :], mu, partial(_lifted, space.basis, Q), tiny)
            solution = subproblem(form)
            rest = abs(float(Q[k - 1, int(xp.argmax(xp.abs(mu)))])) if largest else 0.0
            known = space.length * rest <= tol * float(xp.max(xp.abs(mu)))
            residual = 0.0 if space.invariant else space.length * abs(float(Q[k - 1, :] @ (solution.z / size))) / first
            if last or (known and residual <= tol):
                return Solved(form, solution, products, residual)


def _lifted(basis: list[Array], Q: Array, z: Array) -> Array:
    """Return the combination of the first vectors of a basis with the coefficients Q z, (P,)."""
    return combined(basis, Q @ z)


def sparse_form(model: Model, weights: Array | None, subproblem: Subproblem, tol: float | None) -> Solved:
    """Return form and solution in the space of a few factorisations, their number, and the residual.

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
    kept = model.forms.get("sparse space")
    if kept is None or kept[0] is not weights:
        S = scale_of(model, weights, "solver='sparse'") + 0 * model.theta
        B = scaled(model.sparse_matrix(), 1 / S)  # of y = S d
        b = model.gradient * model.known_mass("solver='sparse'") / S
        eps = float(array_namespace(b).finfo(b.dtype).eps)
        least = 10 * eps * float(array_namespace(b).max(B.diagonal()))  # keeps the factors apart from singular ones
        system = ShiftedSystem(
            b,
            lambda v: B @ v,
            partial(shifted_factor, B),
            lambda y: y / S,
            None,
            least,
            True,
        )
        kept = model.forms["sparse space"] = weights, ShiftedSpace(system)
    space: ShiftedSpace = kept[1]
    found = space.solve(subproblem, default_tolerance(space.eps) if tol is None else tol, MOST_FACTORS)
    return krylov_form(model, weights, subproblem, tol, False) if found is None else found
