r"""The solution of a subproblem in the eigenbasis of a model.

A model has the curvature G and steps are measured by D (`gradflow.curvature.model`). `minimise` brings both forms to the
diagonal form of `gradflow.curvature.subproblem` and solves there. The eigenbasis is that of a dense matrix
(`gradflow.curvature.eigenbasis`: own, svd, gram, eigh) or of a projection (`gradflow.curvature.projected`: lanczos, sparse).

An eigenbasis serves every multiplier nu at one theta. A damped step, whose nu is given, needs one linear system only:
`gradflow.curvature.direct`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from ..energies.protocols import sparse_jacobian
from ..energies.sparse import normal_entries
from ..namespace import Array, array_namespace, quiet
from ..refusals import one_of, plain_numbers, real_number
from .eigenbasis import Form, dense_form
from .gauss_newton import GaussNewtonModel
from .model import Model
from .projected import Subproblem, krylov_form, sparse_form

__all__ = ["SOLVERS", "SPECTRA", "Floor", "Step", "choose_form", "measured", "minimise"]

SOLVERS = ("auto", "own", "svd", "gram", "eigh", "lanczos", "sparse")
"""How the eigenbasis is made, and ``auto``, which chooses."""
SPECTRA = ("exact", "absolute")
"""The eigenvalues that a subproblem is given."""
DENSE_LIMIT = 3000  # side of the largest matrix that `auto` decomposes
ROOT_LIMIT = 2 * 10**7  # entries of the largest root that `auto` stores
SVD_LIMIT = 10**9  # N P min(N, P) up to which `auto` takes the singular values, some seconds
SPARSE_LIMIT = 10**8  # the same for a sparse Jacobian, which is made dense for it
SPARSE_ENTRIES = 50  # products that J^T J is summed from, over N + P, up to which `auto` factorises it


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
        form, solution, products = krylov_form(model, weights, subproblem, tol, isinstance(spectrum, Floor))
    elif solver == "sparse":
        form, solution, products = sparse_form(model, weights, subproblem, tol)
    else:
        form = dense_form(solver, model, weights)
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
