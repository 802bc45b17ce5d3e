r"""A damped step without an eigenbasis: which linear solver, and when.

The step ``(G + nu D) d = -g`` of a given multiplier nu is one linear system. Its solvers are

* **cholesky**: one factorisation, on the side of the parameters or of the residuals (`gradflow.curvature.normal_equations`);
* **qr**: an orthogonal factorisation, without the square of the condition number (`gradflow.curvature.augmented`);
* **pcg**: preconditioned conjugate gradients (`gradflow.curvature.pcg`).

Where G is not positive definite, cholesky and pcg take more damping, and say so: the step is one of descent.

``auto``. An eigenbasis serves every nu at one theta, but the rejected trials of a damped method are few:
`gradflow.curvature.choice` says where cholesky is preferred. The step is that of the eigenbasis up to a relative residual of
``eps^{1/2}``, or is not taken. An eigenvalue below ``eps max |mu_i|`` is lost in an eigenbasis, and the eigenbasis cannot be
scaled instead: in another metric than D, ``G + nu D`` is not diagonal.

One core, float64, D = 12 inputs, milliseconds of a step of `gradflow.curvature.FixedDamping` with the identity metric:

====  =====  ===========  ========
N     P      eigenbasis   cholesky
====  =====  ===========  ========
200   840    12           2
600   1400   150          12
1000  8400   160          90
====  =====  ===========  ========

(The ratios: ``python benchmarks/choices.py damped``.)
"""

from __future__ import annotations

from ..namespace import Array, array_namespace
from ..refusals import one_of
from .augmented import qr_step
from .choice import factorises
from .krylov import lanczos, tridiagonal
from .lapack import eigh
from .model import Model
from .normal_equations import cholesky_step, normal_equations
from .pcg import PCG
from .step import Step

__all__ = ["DIRECT_SOLVERS", "factorised", "factorises", "largest_eigenvalue", "solve_damped"]

DIRECT_SOLVERS = ("cholesky", "qr", "pcg")
"""The solvers of a system with a given multiplier."""
FEWEST_PRODUCTS, MOST_PRODUCTS = 8, 30  # for the size of a model


def factorised(model: Model, weights: Array | None, nu: Array | float) -> Step | None:
    """Return the damped step by a Cholesky factorisation where `factorises` says so and it is accurate, otherwise None.

    Parameters
    ----------
    model : Model
        The model.
    weights : array (P,) or None
        Diagonal of D, entries > 0; None for the identity.
    nu : float or 0-d array
        The multiplier, >= 0.
    """
    return normal_equations(model, weights).step(float(nu)) if factorises(model, weights) else None


def solve_damped(
    model: Model, weights: Array | None, nu: Array | float, solver: str | PCG, *, tol: float | None = None
) -> Step:
    """Return the damped step by a solver.

    Parameters
    ----------
    model : Model
        The model.
    weights : array (P,) or None
        Diagonal of D, entries > 0; None for the identity.
    nu : float or 0-d array
        The multiplier, >= 0.
    solver : {"cholesky", "qr", "pcg"} or PCG
        The solver.
    tol : float, optional
        For pcg, the residual to reach, relative to the gradient.

    Raises
    ------
    ValueError
        If the solver is unknown, or the model lacks what it needs.
    """
    if isinstance(solver, PCG):
        return solver.step(model, weights, nu, tol)
    if one_of("solver", solver, DIRECT_SOLVERS) == "pcg":
        return PCG().step(model, weights, nu, tol)
    return cholesky_step(model, weights, nu) if solver == "cholesky" else qr_step(model, weights, nu)


def largest_eigenvalue(model: Model, weights: Array | None) -> float:
    """Return the largest absolute eigenvalue of ``D^{-1} G``, roughly, from 8 to 30 products; 1 for zero.

    It is that of a Krylov space with g: a lower bound.

    Parameters
    ----------
    model : Model
        The model.
    weights : array (P,) or None
        Diagonal of D, entries > 0; None for the identity.
    """
    g, D = model.gradient, 1.0 if weights is None else weights
    xp, inner = array_namespace(g), model.problem.inner
    size = float(xp.max(xp.abs(g)))
    if not 0 < size < float("inf"):
        return 1.0
    mass = None if model.mass is None else model.mass * D
    for space in lanczos(lambda v: model.apply(v) / D, lambda u, v: inner(D * u, v), g / size / D, mass):
        mu, Q = eigh(tridiagonal(space))
        i = int(xp.argmax(xp.abs(mu)))
        largest = abs(float(mu[i]))
        k, rest = len(space.alpha), space.length * abs(float(Q[-1, i]))
        if space.invariant or k == MOST_PRODUCTS or (k >= FEWEST_PRODUCTS and not rest > 0.01 * largest):
            break
    return largest if 0 < largest < float("inf") else 1.0
