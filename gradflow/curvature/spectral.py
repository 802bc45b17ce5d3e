r"""The eigenbasis of a model, in which every subproblem is one for a number.

A model has the curvature G and steps are measured by D (`gradflow.curvature.model`). `minimise` brings both forms to the
diagonal form of `gradflow.curvature.subproblem` and solves there. In coordinates, with the diagonal
``S = (M D)^{1/2}``:

* **svd**: of a root, ``R S^{-1} = U diag(sigma) V^T``. Then ``mu = sigma^2`` and ``gamma = sigma U^T r``. The condition
  number of R is not squared.
* **gram**: for D = I and L = 0, from the (N, N) matrix ``J J^* = U diag(mu) U^T``, which may have a closed form. Then
  ``gamma = mu^{1/2} U^T q`` and ``d = J^* U mu^{-1/2} z``. No Jacobian is stored.
* **eigh**: of ``S^{-1} B S^{-1} = V diag(mu) V^T``, with ``gamma = V^T S^{-1} M g``.
* **lanczos**: of the projection on the Krylov space of ``D^{-1} G`` and ``D^{-1} g``, with full reorthogonalisation. Only
  products with G are needed, and M need not be diagonal. The space grows until the residual of the equation for d,
  relative to g, is at most `tol`. It holds no vector that is orthogonal to g and to all ``(D^{-1} G)^k D^{-1} g``: the
  hard case is not seen.

* **sparse**: of the projection on a space that is made by factorisations of a sparse matrix. With the multiplier nu and the
  residual ``r = g + (G + nu D) d`` of the solution so far, the space grows by ``(G + nu D)^{-1} r``. Where nu has become constant
  this is iterative refinement, and nu converges as in Newton's method: a few factorisations do. The space holds g, so
  that a factorisation that has failed costs decrease, not convergence.

In each, ``d = S^{-1} V z`` or its counterpart, computed by `Form.lift`.

Source: Gould, Lucidi, Roma & Toint, SIAM J. Optim. 9 (1999) 504, for the Krylov space; Björck, Numerical Methods for Least
Squares Problems (1996), section 2.6.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from typing import NamedTuple, TypeAlias

from ..energies.protocols import sparse_jacobian
from ..energies.sparse import normal_entries, scaled, shifted_solve
from ..namespace import Array, array_namespace
from ..refusals import one_of
from .gauss_newton import GaussNewtonModel
from .model import Model
from .subproblem import Coefficients

__all__ = ["SOLVERS", "SPECTRA", "Form", "Step", "Subproblem", "choose_form", "minimise"]

SOLVERS = ("auto", "svd", "gram", "eigh", "lanczos", "sparse")
"""How the eigenbasis is made, and ``auto``, which chooses."""
SPECTRA = ("exact", "absolute")
"""The eigenvalues that a subproblem is given."""
DENSE_LIMIT = 3000  # side of the largest matrix that `auto` decomposes
ROOT_LIMIT = 2 * 10**7  # entries of the largest root that `auto` stores
SVD_LIMIT = 10**9  # N P min(N, P) up to which `auto` takes the singular values, some seconds
SPARSE_LIMIT = 10**8  # the same for a sparse Jacobian, which is made dense for it
SPARSE_ENTRIES = 50  # products that J^T J is summed from, over N + P, up to which `auto` factorises it
MOST_FACTORS = 12  # factorisations of a sparse matrix in a step
MOST_VECTORS = 200  # of a Krylov space; each is stored

Subproblem: TypeAlias = Callable[["Form"], Coefficients]
"""A problem of `gradflow.curvature.subproblem`, with all but the form given."""


class Form(NamedTuple):
    """A model in an eigenbasis."""

    gamma: Array
    """Coefficients of the gradient, (K,)."""
    mu: Array
    """Eigenvalues of the curvature, (K,)."""
    lift: Callable[[Array], Array]
    """Maps z, (K,), to d, (P,)."""
    tiny: float
    """Size of an eigenvalue that is zero to rounding."""


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


def choose_form(model: Model, weights: Array | None) -> str:
    """Return the solver that ``auto`` takes.

    Parameters
    ----------
    model : Model
        The model.
    weights : array (P,) or None
        The metric.
    """
    P = model.shape[0]
    if model.mass is None:
        return "lanczos"
    if isinstance(model, GaussNewtonModel):
        N = model.residual.shape[0]
        J = sparse_jacobian(model.at)
        if J is not None and N * P * min(N, P) > SPARSE_LIMIT:
            return "sparse" if model.has_root and normal_entries(J) <= SPARSE_ENTRIES * (N + P) else "lanczos"
        if N * P <= ROOT_LIMIT and N * P * min(N, P) <= SVD_LIMIT and model.has_root:
            return "svd"
        if weights is None and model.linear.scalar == 0 and N <= DENSE_LIMIT:
            return "gram"
    return "eigh" if P <= DENSE_LIMIT else "lanczos"


def minimise(
    model: Model,
    weights: Array | None,
    subproblem: Subproblem,
    solver: str = "auto",
    *,
    tol: float | None = None,
    spectrum: str = "exact",
) -> Step:
    """Return the solution of a subproblem of a model.

    Parameters
    ----------
    model : Model
        The model.
    weights : array (P,) or None
        Diagonal of D, entries > 0; None for the identity.
    subproblem : callable
        Maps a `Form` to its solution.
    solver : {"auto", "svd", "gram", "eigh", "lanczos", "sparse"}
        How the eigenbasis is made.
    tol : float, optional
        For lanczos and sparse, the residual to reach, relative to the gradient; by default 1e-10 in float64 and 1e-5 in float32.
    spectrum : {"exact", "absolute"}
        Whether the subproblem has the eigenvalues or their absolute values.

    Raises
    ------
    ValueError
        If the solver is unknown, or the model lacks what it needs.
    """
    solver = choose_form(model, weights) if one_of("solver", solver, SOLVERS) == "auto" else solver
    if one_of("spectrum", spectrum, SPECTRA) == "absolute":
        of_exact = subproblem
        subproblem = lambda form: of_exact(form._replace(mu=array_namespace(form.mu).abs(form.mu)))  # noqa: E731
    products = 0
    if solver in ("lanczos", "sparse"):
        project = _lanczos if solver == "lanczos" else _sparse
        form, solution, products = project(model, weights, subproblem, tol)
    else:
        kept = model.forms.get(solver)
        if kept is None or kept[0] is not weights:
            made = {"svd": _svd, "gram": _gram, "eigh": _eigh}[solver](model, weights)
            kept = model.forms[solver] = weights, _felt(made) if model.definite else made
        form = kept[1]
        solution = subproblem(form)
    z, xp = solution.z, array_namespace(form.mu)
    negative = not model.definite and bool(xp.any(form.mu < -form.tiny))
    return Step(
        d=form.lift(z),
        nu=solution.nu,
        length=xp.sqrt(z @ z),
        slope=form.gamma @ z,
        bend=z @ (form.mu * z),
        most=_most(form) if not negative else xp.asarray(float("inf"), dtype=form.mu.dtype),
        boundary=solution.boundary,
        negative=negative,
        products=products,
    )


def _most(form: Form) -> Array:
    """Return the decrease of a semi-definite model at its minimiser, 0-d."""
    xp = array_namespace(form.mu)
    felt = form.mu > form.tiny
    return xp.sum(xp.where(felt, form.gamma**2 / xp.where(felt, form.mu, 1 + 0 * form.mu), 0 * form.gamma)) / 2


def _felt(form: Form) -> Form:
    """Return a semi-definite form without the components that are zero to rounding: g has none, as it is in the range of G."""
    xp = array_namespace(form.mu)
    felt = form.mu > form.tiny
    return form._replace(gamma=xp.where(felt, form.gamma, 0 * form.gamma), mu=xp.where(felt, form.mu, 0 * form.mu))


def _scale(model: Model, weights: Array | None, what: str) -> Array | float:
    """Return the diagonal S = (M D)^{1/2}, a number or (P,)."""
    mass = model.known_mass(what)
    if weights is not None:
        return array_namespace(weights).sqrt(mass * weights)
    return mass**0.5


def _svd(model: Model, weights: Array | None) -> Form:
    root = model.root()
    if root is None:
        raise ValueError("solver='svd' needs a curvature with a root, and a linear part that is a number or diagonal")
    xp, S = array_namespace(root.R), _scale(model, weights, "solver='svd'")
    U, sigma, Vt = xp.linalg.svd(root.R / S, full_matrices=False)
    tiny = (float(xp.finfo(sigma.dtype).eps) * max(root.R.shape) * float(xp.max(sigma))) ** 2
    return Form(sigma * (U.T @ root.r), sigma * sigma, lambda z: (Vt.T @ z) / S, tiny)


def _gram(model: Model, weights: Array | None) -> Form:
    if not isinstance(model, GaussNewtonModel) or weights is not None or model.linear.scalar != 0:
        raise ValueError("solver='gram' needs the Gauss-Newton curvature, the identity metric and no linear part")
    K, q = model.at.gram(), model.residual
    xp = array_namespace(K)
    mu, U = xp.linalg.eigh(K)
    tiny = float(xp.finfo(mu.dtype).eps) * K.shape[0] * float(xp.max(xp.abs(mu)))
    mu = xp.where(mu > tiny, mu, 0 * mu)
    root = xp.sqrt(mu)
    inverse = xp.where(root > 0, 1 / xp.where(root > 0, root, 1 + root), root)
    return Form(root * (U.T @ q), mu, lambda z: model.at.vjp(U @ (inverse * z)), tiny)


def _eigh(model: Model, weights: Array | None) -> Form:
    S = _scale(model, weights, "solver='eigh'")
    B, xp = model.matrix(), array_namespace(model.theta)
    B = B / S / S if isinstance(S, (int, float)) else B / S / S[:, None]
    mu, V = xp.linalg.eigh(B)
    tiny = float(xp.finfo(mu.dtype).eps) * B.shape[0] * float(xp.max(xp.abs(mu)))
    return Form(V.T @ (model.gradient * model.known_mass("solver='eigh'") / S), mu, lambda z: (V @ z) / S, tiny)


def _lanczos(
    model: Model, weights: Array | None, subproblem: Subproblem, tol: float | None
) -> tuple[Form, Coefficients, int]:
    """Return form and solution in the smallest Krylov space that is large enough, and its dimension."""
    g, inner = model.gradient, model.problem.inner
    xp, eps = array_namespace(g), float(array_namespace(g).finfo(g.dtype).eps)
    tol = _tolerance(eps) if tol is None else tol

    def over(u: Array) -> Array:
        return u if weights is None else u / weights

    def dot(u: Array, v: Array) -> Array:
        return inner(u if weights is None else weights * u, v)

    v = over(g)
    first = float(dot(v, v)) ** 0.5
    if first == 0:
        form = Form(0 * g[:1], 1 + 0 * g[:1], lambda z: 0 * g, 0.0)
        return form, subproblem(form), 0
    basis, diagonal, beside = [v / first], list[float](), list[float]()
    while True:
        v = basis[-1]
        u = over(model.apply(v))
        diagonal.append(float(dot(v, u)))
        for _ in range(2):  # twice is enough
            for w in basis:
                u = u - dot(w, u) * w
        length = float(dot(u, u)) ** 0.5
        k = len(basis)
        last = k == min(g.shape[0], MOST_VECTORS) or length <= eps * k * max(
            map(abs, (*diagonal, *beside)), default=0.0
        )
        if k <= 10 or k % 5 == 0 or last:
            T = _tridiagonal(xp, g, diagonal, beside)
            mu, Q = xp.linalg.eigh(T)
            tiny = eps * k * float(xp.max(xp.abs(mu)))
            form = Form(first * Q[0, :], mu, partial(_combined, basis, Q), tiny)
            solution = subproblem(form)
            if last or length * abs(float(Q[k - 1, :] @ solution.z)) <= tol * first:
                return form, solution, k
        beside.append(length)
        basis.append(u / length)


def _tridiagonal(xp: Array, like: Array, diagonal: list[float], beside: list[float]) -> Array:
    """Return the symmetric tridiagonal matrix, (k, k), of the dtype of `like`."""
    k = len(diagonal)
    rows = [[0.0] * k for _ in range(k)]
    for i, x in enumerate(diagonal):
        rows[i][i] = x
    for i, x in enumerate(beside):
        rows[i][i + 1] = rows[i + 1][i] = x
    return xp.asarray(rows, dtype=like.dtype)


def _combined(basis: list[Array], Q: Array, z: Array) -> Array:
    """Return the combination of the first vectors of a basis with the coefficients Q z, (P,)."""
    y = Q @ z
    d = y[0] * basis[0]
    for i in range(1, y.shape[0]):
        d = d + y[i] * basis[i]
    return d


def _tolerance(eps: float) -> float:
    """Return the residual to reach by default."""
    return 1e-10 if eps < 1e-10 else 1e-5


def _sparse(
    model: Model, weights: Array | None, subproblem: Subproblem, tol: float | None
) -> tuple[Form, Coefficients, int]:
    """Return form and solution in the space of a few factorisations, and their number."""
    if not isinstance(model, GaussNewtonModel) or not model.has_root or sparse_jacobian(model.at) is None:
        raise ValueError(
            "solver='sparse' needs the Gauss-Newton curvature with a sparse Jacobian, and a linear part that is a number or "
            "diagonal"
        )
    S, xp = _scale(model, weights, "solver='sparse'"), array_namespace(model.theta)
    S = S + 0 * model.theta
    B = scaled(model.sparse_matrix(), 1 / S)  # of y = S d
    g = model.gradient * model.known_mass("solver='sparse'") / S
    eps, first = float(xp.finfo(g.dtype).eps), float(g @ g) ** 0.5
    tol = _tolerance(eps) if tol is None else tol
    if not 0 < first < inf:
        form = Form(g[:1], 1 + 0 * g[:1], lambda z: 0 * g, 0.0)
        return form, subproblem(form), 0
    least = 10 * eps * float(xp.max(B.diagonal()))  # keeps the factors apart from singular ones
    V, B_V = (g / first)[:, None], (B @ g / first)[:, None]
    used = 0
    while True:
        T = V.T @ B_V
        mu, Q = xp.linalg.eigh((T + T.T) / 2)
        tiny = eps * mu.shape[0] * float(xp.max(xp.abs(mu)))
        U = V @ Q
        form = _felt(Form(U.T @ g, mu, partial(_over, U, S), tiny))
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
