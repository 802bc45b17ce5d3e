r"""The solution of a subproblem in the eigenbasis of a model.

A model has the curvature G and steps are measured by D (`gradflow.curvature.model`). `minimise` brings both forms to the
diagonal form of `gradflow.curvature.subproblem` and solves there. The eigenbasis is that of a dense matrix
(`gradflow.curvature.eigenbasis`: own, svd, gram, eigh) or of a projection (`gradflow.curvature.projected`: lanczos, sparse).

An eigenbasis serves every multiplier nu at one theta. A damped step, whose nu is given, needs one linear system only:
`gradflow.curvature.direct`. A large trust region needs a few: ``auto`` takes `NormalEquations.minimise` of
`gradflow.curvature.normal_equations` where `gradflow.curvature.choice` says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..energies.protocols import norm
from ..namespace import Array, array_namespace, quiet
from ..refusals import one_of, plain_numbers, real_number
from .choice import choose_form, factorises, first_vectors
from .eigenbasis import Form, dense_form
from .model import Model
from .normal_equations import normal_equations
from .projected import krylov_form, sparse_form
from .rational import Solved, Subproblem, default_tolerance
from .step import Step, measured

__all__ = ["SOLVERS", "SPECTRA", "Floor", "Step", "choose_form", "measured", "minimise"]

SOLVERS = ("auto", "own", "svd", "gram", "eigh", "lanczos", "sparse")
"""How the eigenbasis is made, and ``auto``, which chooses."""
SPECTRA = ("exact", "absolute")
"""The eigenvalues that a subproblem is given."""


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


def _absolute(mu: Array) -> Array:
    return array_namespace(mu).abs(mu)


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
    if one_of("solver", solver, SOLVERS) == "auto":
        step = _by_factors(model, weights, subproblem, tol) if spectrum == "exact" else None
        if step is not None:
            return step
        solver = choose_form(model, weights)
    if solver != "own":
        model.unconfined(f"solver={solver!r}")
    if isinstance(spectrum, Floor) or one_of("spectrum", spectrum, SPECTRA) == "absolute":
        of_exact = subproblem
        changed: Callable[[Array], Array] = spectrum if isinstance(spectrum, Floor) else _absolute
        subproblem = lambda form: of_exact(form._replace(mu=changed(form.mu)))  # noqa: E731
    if solver == "lanczos":
        found = krylov_form(model, weights, subproblem, tol, isinstance(spectrum, Floor))
    elif solver == "sparse":
        found = sparse_form(model, weights, subproblem, tol)
    else:
        form = dense_form(solver, model, weights)
        found = Solved(form, subproblem(form), 0, 0.0)
    return _step_of(model, found)


def _by_factors(model: Model, weights: Array | None, subproblem: Subproblem, tol: float | None) -> Step | None:
    """Return the step by factorisations, or by a Krylov space that is cheaper; None where ``auto`` takes neither."""
    few = first_vectors(model, weights) if choose_form(model, weights) == "lanczos" else None
    if (
        few is not None and model.forms.get("many vectors", model) is not weights
    ):  # a larger space was needed at this theta
        found = krylov_form(model, weights, subproblem, tol, False, few)
        eps = float(array_namespace(model.theta).finfo(model.dtype).eps)
        if found.residual <= (default_tolerance(eps) if tol is None else tol):
            return _step_of(model, found)
        model.forms["many vectors"] = weights
    if few is None and not factorises(model, weights, several=True):
        return None
    return normal_equations(model, weights).minimise(subproblem, tol)


def _step_of(model: Model, found: Solved) -> Step:
    """Return the step of a solution in an eigenbasis."""
    form, solution, products, residual = found
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
        residual=residual,
    )


def _dot(u: Array, v: Array) -> Array:
    return u @ v


def _most(form: Form) -> Array:
    """Return the decrease of a semi-definite model at its minimiser, 0-d; infinite if g has a component where G is zero."""
    xp = array_namespace(form.mu)
    felt = form.mu > form.tiny
    rest = xp.where(felt, 0 * form.gamma, form.gamma)
    if norm(_dot, rest) > float(xp.finfo(rest.dtype).eps) ** 0.5 * norm(_dot, form.gamma):
        return xp.asarray(float("inf"), dtype=form.mu.dtype)
    with quiet():  # a large square over a small eigenvalue may be infinite too
        return (
            xp.sum(xp.where(felt, form.gamma * (form.gamma / xp.where(felt, form.mu, 1 + 0 * form.mu)), 0 * form.gamma))
            / 2
        )
