r"""The eigenbasis of a model, in which every subproblem is one for a number.

A model has the curvature G and steps are measured by D (`gradflow.curvature.model`). `minimise` brings both forms to the
diagonal form of `gradflow.curvature.subproblem` and solves there. In coordinates, with the diagonal
``S = (M D)^{1/2}``:

* **own**: that which the structure of the model gives, such as one for each block.
* **svd**: of a root, ``R S^{-1} = U diag(sigma) V^T``. Then ``mu = sigma^2`` and ``gamma = sigma U^T r``. The condition
  number of R is not squared. Without a residual r, ``gamma = V^T S^{-1} M g``.
* **gram**: for D = I and L = 0, from the (K, K) matrix ``R R^* = U diag(mu) U^T``, which may have a closed form. Then
  ``gamma = mu^{1/2} U^T r``, or ``mu^{-1/2} U^T R g``, and ``d = R^* U mu^{-1/2} z``. R is not stored.
* **eigh**: of ``S^{-1} B S^{-1} = V diag(mu) V^T``, with ``gamma = V^T S^{-1} M g``.
* **lanczos**: of the projection on the Krylov space of ``D^{-1} G`` and ``D^{-1} g``, with full reorthogonalisation. Only
  products with G are needed, and M need not be diagonal. The space grows until the residual of the equation for d,
  relative to g, is at most `tol`. It holds no vector that is orthogonal to g and to all ``(D^{-1} G)^k D^{-1} g``: the
  hard case is not seen.

* **sparse**: of the projection on a space that is made by factorisations of a sparse matrix. With the multiplier nu and the
  residual ``r = g + (G + nu D) d`` of the solution so far, the space grows by ``(G + nu D)^{-1} r``. Where nu has become constant
  this is iterative refinement, and nu converges as in Newton's method: a few factorisations do. The space holds g, so
  that a factorisation that has failed costs decrease, not convergence.

In svd and gram, the part of g that is orthogonal to the rows of R is one more vector of the basis, with the eigenvalue 0:
g need not be in the range of G, as for the Fisher matrix of drawn labels. In each, ``d = S^{-1} V z`` or its counterpart, computed by `Form.lift`.

Source: Gould, Lucidi, Roma & Toint, SIAM J. Optim. 9 (1999) 504, for the Krylov space; Björck, Numerical Methods for Least
Squares Problems (1996), section 2.6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import NamedTuple, TypeAlias

from ..energies.protocols import sparse_jacobian
from ..energies.sparse import normal_entries, scaled, shifted_solve
from ..namespace import Array, array_namespace, quiet
from ..refusals import one_of, plain_numbers, real_number
from .gauss_newton import GaussNewtonModel
from .krylov import combined, lanczos, tridiagonal
from .model import Model
from .subproblem import Coefficients

__all__ = ["SOLVERS", "SPECTRA", "Floor", "Form", "Step", "Subproblem", "beside", "choose_form", "minimise"]

SOLVERS = ("auto", "own", "svd", "gram", "eigh", "lanczos", "sparse")
"""How the eigenbasis is made, and ``auto``, which chooses."""
SPECTRA = ("exact", "absolute")
"""The eigenvalues that a subproblem is given."""
DENSE_LIMIT = 3000  # side of the largest matrix that `auto` decomposes
ROOT_LIMIT = 2 * 10**7  # entries of the largest root that `auto` stores
SVD_LIMIT = 10**9  # N P min(N, P) up to which `auto` takes the singular values, some seconds
ROUNDING = 64.0  # multiple of eps up to which a share of the gradient is a rounding error
SPARSE_LIMIT = 10**8  # the same for a sparse Jacobian, which is made dense for it
SPARSE_ENTRIES = 50  # products that J^T J is summed from, over N + P, up to which `auto` factorises it
MOST_FACTORS = 12  # factorisations of a sparse matrix in a step
MOST_VECTORS = 200  # of a Krylov space; each is stored

Subproblem: TypeAlias = Callable[["Form"], Coefficients]
"""A problem of `gradflow.curvature.subproblem`, with all but the form given."""


@dataclass(frozen=True)
class Floor:
    """Eigenvalues that are bounded below: ``max(mu_i, relative max_j |mu_j|)``.

    With 0 it is the positive part of the model; with c > 0 the condition number is at most 1 / c.

    Parameters
    ----------
    relative : float
        The bound, relative to the largest absolute value, in [0, 1].

    Raises
    ------
    ValueError
        If `relative` is outside [0, 1].

    Examples
    --------
    Newton's method leaves the saddle of ``x^2 / 2 - y^2 / 2`` if negative eigenvalues count as positive ones:

    >>> import numpy as np, gradflow as gf
    >>> saddle = gf.FunctionProblem(
    ...     lambda t: (t[0] ** 2 - t[1] ** 2) / 2, lambda t: np.array([t[0], -t[1]]), hvp=lambda t, v: np.array([v[0], -v[1]])
    ... )
    >>> newton = gf.SecondOrder(
    ...     curvature=gf.curvature.Hessian(),
    ...     globalization=gf.curvature.FixedDamping(),
    ...     spectrum=gf.curvature.Floor(0.5),
    ... )
    >>> gf.solve(saddle, newton, np.array([1.0, 0.1]), steps=1).theta.tolist()
    [0.0, 0.30000000000000004]
    """

    relative: float = 0.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("relative", self.relative, 0, 1)

    def __call__(self, mu: Array) -> Array:
        """Return the bounded eigenvalues, (K,).

        Parameters
        ----------
        mu : array (K,)
            Eigenvalues.
        """
        xp = array_namespace(mu)
        return xp.maximum(mu, self.relative * xp.max(xp.abs(mu)))


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
    blocks: Array | None = None
    """The number of the block of parameters that each vector of the basis belongs to, ascending, (K,); None if there are no blocks."""


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


def _absolute(mu: Array) -> Array:
    return array_namespace(mu).abs(mu)


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
    if model.has_own_form(weights):
        return "own"
    N = model.rows
    J = sparse_jacobian(model.at) if isinstance(model, GaussNewtonModel) else None
    if J is not None and J.shape[0] * P * min(J.shape) > SPARSE_LIMIT:
        return "sparse" if N is not None and normal_entries(J) <= SPARSE_ENTRIES * sum(J.shape) else "lanczos"
    if N is not None and N * P <= ROOT_LIMIT and N * P * min(N, P) <= SVD_LIMIT:
        return "svd"
    if model.has_gram and weights is None and N is not None and N <= DENSE_LIMIT:
        return "gram"
    return "eigh" if P <= DENSE_LIMIT else "lanczos"


def minimise(
    model: Model,
    weights: Array | None,
    subproblem: Subproblem,
    solver: str = "auto",
    *,
    tol: float | None = None,
    spectrum: str | Floor = "exact",
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
    solver : {"auto", "own", "svd", "gram", "eigh", "lanczos", "sparse"}
        How the eigenbasis is made.
    tol : float, optional
        For lanczos and sparse, the residual to reach, relative to the gradient; by default 1e-10 in float64 and 1e-5 in
        float32.
    spectrum : {"exact", "absolute"} or Floor
        Whether the subproblem has the eigenvalues, their absolute values, or bounded ones.

    Raises
    ------
    ValueError
        If the solver is unknown, or the model lacks what it needs.
    """
    solver = choose_form(model, weights) if one_of("solver", solver, SOLVERS) == "auto" else solver
    if solver != "own":
        model.unconfined(f"solver={solver!r}")
    if isinstance(spectrum, Floor) or one_of("spectrum", spectrum, SPECTRA) == "absolute":
        of_exact = subproblem
        changed: Callable[[Array], Array] = spectrum if isinstance(spectrum, Floor) else _absolute
        subproblem = lambda form: of_exact(form._replace(mu=changed(form.mu)))  # noqa: E731
    products = 0
    if solver == "lanczos":
        form, solution, products = _lanczos(model, weights, subproblem, tol, isinstance(spectrum, Floor))
    elif solver == "sparse":
        form, solution, products = _sparse(model, weights, subproblem, tol)
    else:
        kept = model.forms.get(solver)
        if kept is None or kept[0] is not weights:
            make = {"own": _own, "svd": _svd, "gram": _gram, "eigh": _eigh}[solver]
            made = _made(make, model, weights)
            kept = model.forms[solver] = weights, _felt(made, model.in_range) if model.definite else made
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
    """Return the decrease of a semi-definite model at its minimiser, 0-d; infinite if g has a component where G is zero."""
    xp = array_namespace(form.mu)
    felt = form.mu > form.tiny
    rest = xp.where(felt, 0 * form.gamma, form.gamma)
    if float(rest @ rest) > float(xp.finfo(rest.dtype).eps) * float(form.gamma @ form.gamma):
        return xp.asarray(float("inf"), dtype=form.mu.dtype)
    with quiet():  # a large square over a small eigenvalue may be infinite too
        return (
            xp.sum(xp.where(felt, form.gamma * (form.gamma / xp.where(felt, form.mu, 1 + 0 * form.mu)), 0 * form.gamma))
            / 2
        )


def _made(make: Callable[[Model, Array | None], Form], model: Model, weights: Array | None) -> Form:
    """Return a form; one of NaN if the model is not finite, so that the step is not finite and `solve` reports it."""
    try:
        form = make(model, weights)
        xp = array_namespace(form.mu)
        if bool(xp.all(xp.isfinite(form.mu)) & xp.all(xp.isfinite(form.gamma))):
            return form
    except Exception as error:  # every library has its own LinAlgError
        if "LinAlgError" not in type(error).__name__:
            raise
    return _nothing(model)


def _nothing(model: Model) -> Form:
    """Return a form of NaN."""
    nan = float("nan") * model.theta[:1]
    return Form(nan, nan, lambda z: z[0] + 0 * model.theta, 0.0)


def _felt(form: Form, in_range: bool) -> Form:
    """Return a semi-definite form whose eigenvalues that are zero to rounding are zero, and g with them where it is so too.

    A component of g that is a rounding error would be as long as a trust region where nothing bends. If g is in the
    range of G, every such component is one.
    """
    xp = array_namespace(form.mu)
    felt = form.mu > form.tiny
    noise = ROUNDING * float(xp.finfo(form.mu.dtype).eps) * float(form.gamma @ form.gamma) ** 0.5
    kept = felt if in_range else felt | (xp.abs(form.gamma) > noise)
    return form._replace(gamma=xp.where(kept, form.gamma, 0 * form.gamma), mu=xp.where(felt, form.mu, 0 * form.mu))


def _scale(model: Model, weights: Array | None, what: str) -> Array | float:
    """Return the diagonal S = (M D)^{1/2}, a number or (P,)."""
    mass = model.known_mass(what)
    if weights is not None:
        return array_namespace(weights).sqrt(mass * weights)
    return mass**0.5


def _own(model: Model, weights: Array | None) -> Form:
    if not model.has_own_form(weights):
        raise ValueError(
            "solver='own' needs a curvature of blocks, of low rank or of a sketch; one of Kronecker factors, and one of low "
            "rank with an energy part, also need metric=Identity()"
        )
    form: Form = model.own_form(weights)
    return form


def _svd(model: Model, weights: Array | None) -> Form:
    root = model.root()
    if root is None:
        raise ValueError("solver='svd' needs a curvature with a root, and a linear part that is a number or diagonal")
    xp, S = array_namespace(root.R), _scale(model, weights, "solver='svd'")
    U, sigma, Vt = xp.linalg.svd(root.R / S, full_matrices=False)
    largest = float(xp.max(sigma))
    tiny = float(xp.finfo(sigma.dtype).eps) * max(root.R.shape) * largest
    if root.r is not None:
        return Form(sigma * (U.T @ root.r), sigma * sigma, lambda z: (Vt.T @ z) / S, tiny * tiny)
    tiny = tiny * largest  # gamma has no more digits
    g = model.gradient * model.known_mass("solver='svd'") / S
    gamma = Vt @ g
    rest, length = beside(g, lambda u: u - Vt.T @ (Vt @ u), lambda u: u @ u)
    if length == 0:
        return Form(gamma, sigma * sigma, lambda z: (Vt.T @ z) / S, tiny)
    return Form(
        xp.concat([gamma, xp.ones_like(gamma[:1]) * length]),
        xp.concat([sigma * sigma, xp.zeros_like(sigma[:1])]),
        lambda z: (Vt.T @ z[:-1] + z[-1] * rest) / S,
        tiny,
    )


def beside(g: Array, without: Callable[[Array], Array], square: Callable[[Array], Array]) -> tuple[Array, float]:
    """Return the unit vector, (P,), and the length of what a projection leaves of g; the length is 0 for a rounding error.

    Parameters
    ----------
    g : array (P,)
        The gradient.
    without : callable
        Maps u, (P,), to what the projection leaves of it.
    square : callable
        Maps u, (P,), to the square of its length, 0-d.
    """
    eps = float(array_namespace(g).finfo(g.dtype).eps)
    rest = without(without(g))  # twice is enough
    length = float(square(rest)) ** 0.5
    if not length > ROUNDING * eps * float(square(g)) ** 0.5:
        return rest, 0.0
    return rest / length, length


def _gram(model: Model, weights: Array | None) -> Form:
    if not model.has_gram or weights is not None:
        raise ValueError("solver='gram' needs a curvature with a Gram matrix, the identity metric and no linear part")
    K = model.gram()
    xp = array_namespace(K)
    mu, U = xp.linalg.eigh(K)
    tiny = float(xp.finfo(mu.dtype).eps) * K.shape[0] * float(xp.max(xp.abs(mu)))
    mu = xp.where(mu > tiny, mu, 0 * mu)
    root = xp.sqrt(mu)
    inverse = xp.where(root > 0, 1 / xp.where(root > 0, root, 1 + root), root)

    def lift(z: Array) -> Array:
        return model.from_rows(U @ (inverse * z))

    if model.residual is not None:
        return Form(root * (U.T @ model.residual), mu, lift, tiny)
    g = model.gradient
    gamma = inverse * (U.T @ model.along_rows(g))

    def without(u: Array) -> Array:
        return u - lift(inverse * (U.T @ model.along_rows(u)))

    rest, length = beside(g, without, lambda u: model.problem.inner(u, u))
    if length == 0:
        return Form(gamma, mu, lift, tiny)
    return Form(
        xp.concat([gamma, xp.ones_like(gamma[:1]) * length]),
        xp.concat([mu, xp.zeros_like(mu[:1])]),
        lambda z: lift(z[:-1]) + z[-1] * rest,
        tiny,
    )


def _eigh(model: Model, weights: Array | None) -> Form:
    S = _scale(model, weights, "solver='eigh'")
    B, xp = model.matrix(), array_namespace(model.theta)
    B = B / S / S if isinstance(S, (int, float)) else B / S / S[:, None]
    mu, V = xp.linalg.eigh(B)
    tiny = float(xp.finfo(mu.dtype).eps) * B.shape[0] * float(xp.max(xp.abs(mu)))
    return Form(V.T @ (model.gradient * model.known_mass("solver='eigh'") / S), mu, lambda z: (V @ z) / S, tiny)


def _lanczos(
    model: Model, weights: Array | None, subproblem: Subproblem, tol: float | None, largest: bool
) -> tuple[Form, Coefficients, int]:
    """Return form and solution in the smallest Krylov space that is large enough, and its dimension.

    With `largest`, the largest eigenvalue must have converged too: the solution depends on it.
    """
    g, inner = model.gradient, model.problem.inner
    xp, eps = array_namespace(g), float(array_namespace(g).finfo(g.dtype).eps)
    tol = _tolerance(eps) if tol is None else tol

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
            mu, Q = xp.linalg.eigh(tridiagonal(space))
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


def _tolerance(eps: float) -> float:
    """Return the residual to reach by default."""
    return 1e-10 if eps < 1e-10 else 1e-5


def _sparse(
    model: Model, weights: Array | None, subproblem: Subproblem, tol: float | None
) -> tuple[Form, Coefficients, int]:
    """Return form and solution in the space of a few factorisations, and their number."""
    if not isinstance(model, GaussNewtonModel) or model.rows is None or sparse_jacobian(model.at) is None:
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
        form = _felt(Form(U.T @ g, mu, partial(_over, U, S), tiny), True)
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
