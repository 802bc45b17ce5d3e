r"""Statistics of a least-squares fit: the covariance of the parameters at the end of a run.

At a minimum of ``E = |q|^2 / 2 + (theta, L theta)_M / 2``, with the Jacobian J in coordinates, N residuals and P parameters,

.. math::
   \operatorname{Cov}(\hat\theta) \approx A^{-1} B A^{-1}, \qquad A = J^T J + M L, \qquad
   B = \begin{cases} s^2 J^T J & \text{(gauss-newton)} \\
        \frac{N}{N - P}\, J^T \operatorname{diag}(q_i^2)\, J & \text{(sandwich)} \end{cases}, \qquad
   s^2 = \frac{|q|^2}{N - P}.                                                                            \tag{1}

The first B assumes errors of one variance, which the dispersion ``s^2`` estimates; for L = 0 it gives ``s^2 (J^T J)^{-1}``.
The second one is consistent for errors of different variances too. Residuals that were divided by known standard deviations
have a dispersion near 1. The mean loss of a `gradflow.Regression` scales q: ``s^2`` then is in units of that scale, and the
covariance is not affected.

Weights are relative: q and J are the weighted ones, and a common factor of all weights changes ``s^2``, not the covariance.
N counts the rows that are used; those of weight 0 are not.

A robust loss makes an M-estimator. With the weighted residual f, its Jacobian J, and psi and ``psi'`` of
`gradflow.energies.robust`, and with means over the N rows,

.. math::
   A = \begin{cases} m\, J^T J + M L \\ J^T \operatorname{diag}(\psi_i')\, J + M L \end{cases}, \quad
   B = \begin{cases} m^2 s^2 J^T J & \text{(gauss-newton)} \\
        \frac{N}{N - P}\, J^T \operatorname{diag}(\psi_i^2)\, J & \text{(sandwich)} \end{cases}, \quad
   s^2 = \frac{k^2 |\psi|^2}{(N - P)\, m^2}, \quad m = \operatorname{mean} \psi', \quad
   k = 1 + \frac{P}{N} \frac{\operatorname{var} \psi'}{m^2}.                                               \tag{2}

The first row assumes errors of one distribution, the second one does not. Both are (1) where ``psi = f``. The scale of the
loss is a given number: no account is taken of an estimation of it from the same data. Where A is not positive definite there
is no covariance: theta is no minimum, or too many residuals are beyond the scale.

A parameter at a bound, or one whose bounds are equal, is fixed: J has the columns of the other parameters only, P is their
number, and the rows and columns of the fixed ones are zero. That is the covariance of the others if the bounds that hold are
known in advance. Where an estimate is on a bound, or a few standard errors from one, no estimate is normally distributed,
and (1) is no more than a description of the residual near theta.

A is factorised by the singular values of its root, with columns scaled to length 1, so that its condition number is not
squared. With the root R of the Gauss-Newton curvature, scaled columns ``R S^{-1} = U Sigma V^T``, and ``b = psi' / t^2``, which
is 1 for the rows of L,

.. math:: A^{-1} = W\,\bigl(U^T \operatorname{diag}(b)\, U\bigr)^{-1}\, W^T, \qquad W = S^{-1} V \Sigma^{-1}.      \tag{3}

Source: White, Econometrica 48 (1980) 817, for the sandwich; Seber & Wild, Nonlinear Regression (1989), section 2.1; Huber,
Ann. Statist. 1 (1973) 799, for (2) and k; Hampel, Ronchetti, Rousseeuw & Stahel, Robust Statistics (1986), section 6.3.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..curvature.gauss_newton import GaussNewton, GaussNewtonModel
from ..curvature.spectral import SVD_LIMIT
from ..energies.protocols import Problem, robust_scaling
from ..energies.robust import Scaling
from ..namespace import Array, array_namespace
from ..refusals import one_of

__all__ = ["KINDS", "Covariance", "covariance"]

KINDS = ("gauss-newton", "sandwich")
"""The covariances (1)."""


class Covariance(NamedTuple):
    """The covariance of fitted parameters."""

    matrix: Array
    """(P, P), symmetric positive semi-definite."""
    standard_errors: Array
    """Square roots of the diagonal, (P,)."""
    dispersion: float
    """``s^2`` of (1) or (2), in the units of the energy."""
    degrees_of_freedom: int
    """N - P, with the N residuals that are used and the P parameters that are not fixed."""
    kind: str
    """gauss-newton or sandwich."""


def covariance(problem: Problem, theta: Array, kind: str = "gauss-newton", fixed: Array | None = None) -> Covariance:
    """Return the covariance (1), or (2), of parameters that minimise an energy of least squares.

    Parameters
    ----------
    problem : LeastSquares
        The energy; its linear part is a number or diagonal.
    theta : array (P,)
        The minimum.
    kind : {"gauss-newton", "sandwich"}
        See the module docstring.
    fixed : bool array (P,), optional
        Which parameters are fixed; none by default.

    Raises
    ------
    ValueError
        If the problem is not one of least squares, has no more residuals than parameters, or if the Jacobian has linearly
        dependent columns, so that the residuals do not determine all parameters. With a robust loss, also if A is not
        positive definite; or if all parameters are fixed.
    """
    one_of("kind", kind, KINDS)
    return _covariance(GaussNewton().at(problem, theta), kind, fixed)


def _covariance(model: GaussNewtonModel, kind: str, fixed: Array | None = None) -> Covariance:
    """Return the covariance at the point of a model."""
    xp = array_namespace(model.theta)
    if fixed is None or not bool(xp.any(fixed)):
        return _of_free(model, kind, None)
    if bool(xp.all(fixed)):
        raise ValueError("every parameter is at a bound, and none is left to have a covariance")
    found = _of_free(model, kind, xp.nonzero(~fixed)[0])
    places = xp.where(fixed, found.matrix.shape[0], xp.cumulative_sum(xp.astype(~fixed, xp.int64)) - 1)
    wide = found.matrix
    for axis in (0, 1):
        wide = _widened(wide, places, axis)
    return found._replace(matrix=wide, standard_errors=_widened(found.standard_errors, places, 0))


def _widened(A: Array, places: Array, axis: int) -> Array:
    """Return the entries of A along an axis in the places of the parameters, 0 where the place is beyond the last one."""
    xp = array_namespace(A)
    return xp.take(xp.concat([A, xp.zeros_like(xp.take(A, places[:1] * 0, axis=axis))], axis=axis), places, axis=axis)


def _of_free(model: GaussNewtonModel, kind: str, free: Array | None) -> Covariance:
    """Return the covariance of the parameters with the indices `free`, (F,); of all for None."""
    root, xp = model.root(), array_namespace(model.theta)
    if root is None:
        raise ValueError("a covariance needs a linear part that is a number or diagonal")
    R, q = root.R if free is None else xp.take(root.R, free, axis=1), model.residual
    N, P = q.shape[0], R.shape[1]
    if N <= P:
        raise ValueError(f"a covariance needs more residuals than parameters, got {N} and {P}")
    scaling, m, s = robust_scaling(model.at), 1.0, float(_lengths(q[:, None])[0]) / (N - P) ** 0.5
    if scaling is not None:
        m, s = _robust(scaling, q, P)
        if kind == "gauss-newton":
            R = xp.concat([m**0.5 * R[:N, :] / scaling.t[:, None], R[N:, :]])
    if not bool(xp.all(xp.isfinite(R)) & xp.all(xp.isfinite(q))):
        raise ValueError("a covariance needs a finite residual and Jacobian")
    lengths = _lengths(R)
    lengths = xp.where(lengths > 0, lengths, 1 + 0 * lengths)
    U, sigma, Vt = xp.linalg.svd(R / lengths, full_matrices=False)
    rank = int(xp.sum(xp.astype(sigma > N * float(xp.finfo(sigma.dtype).eps) * float(sigma[0]), xp.int64)))
    if rank < P:
        raise ValueError(f"the residuals do not determine all parameters: the Jacobian has rank {rank}, P = {P}")
    W = (Vt.T / sigma) / lengths[:, None]
    half = R[:N, :] @ W  # B = W^{-T} half^T half W^{-1}
    if kind == "gauss-newton":
        half = m**0.5 * s * half  # R has m^{1/2} J
    else:
        half = (N / (N - P)) ** 0.5 * q[:, None] * half
        if scaling is not None:
            half = half @ _inverse(U, scaling.bend / scaling.t**2)
    half = W @ half.T
    matrix = half @ half.T
    return Covariance((matrix + matrix.T) / 2, _lengths(half.T), s * s, N - P, kind)


def _lengths(A: Array) -> Array:
    """Return the lengths of the columns of a matrix, also where the square of an entry is out of range."""
    xp = array_namespace(A)
    largest = xp.max(xp.abs(A), axis=0)
    unit = xp.where(largest > 0, largest, 1 + 0 * largest)
    return unit * xp.sqrt(xp.sum((A / unit) ** 2, axis=0))


def _robust(scaling: Scaling, q: Array, P: int) -> tuple[float, float]:
    """Return m and s of (2), from the scaled residual, (N,)."""
    xp, N = array_namespace(q), q.shape[0]
    m = float(xp.mean(scaling.bend))
    if not m > 0:
        raise ValueError("the loss has no positive curvature here, on average: too many residuals are beyond its scale")
    k = 1 + P / N * float(xp.mean((scaling.bend - m) ** 2)) / m**2
    return m, k / m * float(_lengths((scaling.t * q)[:, None])[0]) / (N - P) ** 0.5


def _inverse(U: Array, b: Array) -> Array:
    """Return ``(U^T diag(b) U)^{-1}`` of (3), (P, P), with 1 for the rows of U, (K, P), beyond those of b, (N,)."""
    xp, (N, P) = array_namespace(U), (b.shape[0], U.shape[1])
    mu, V = xp.linalg.eigh(U[:N, :].T @ (b[:, None] * U[:N, :]) + U[N:, :].T @ U[N:, :])
    if not float(mu[0]) > P * float(xp.finfo(mu.dtype).eps) * float(xp.max(xp.abs(mu))):
        raise ValueError("theta is no minimum of positive curvature: a covariance with this loss does not exist here")
    return (V / mu) @ V.T


def table(problem: Any, theta: Array, most: int = 20, active: Array | None = None) -> list[str]:
    """Return the parameters with their standard errors as lines of text; without errors where there are none.

    Parameters
    ----------
    problem : Problem
        The energy.
    theta : array (P,)
        The end of a run.
    most : int
        How many parameters are shown.
    active : array (P,), optional
        -1 for a parameter at its lower bound, 1 at its upper one, else 0.
    """
    try:
        model = GaussNewton().at(problem, theta)
        N, P = model.residual.shape[0], theta.shape[0]
        if N * P * min(N, P) > SVD_LIMIT:
            return [f"errors   not computed, for {N} residuals and {P} parameters: call covariance()"]
        found = _covariance(model, "gauss-newton", None if active is None else active != 0)
    except ValueError as error:
        return [f"errors   none: {error}"]
    lines = [
        f"residual |q| = {float(model.residual @ model.residual) ** 0.5:.8g}, "
        f"dispersion {found.dispersion:.6g}, {found.degrees_of_freedom} degrees of freedom",
        f"{'':8} {'parameter':>16} {'standard error':>16}",
    ]
    for j in range(min(most, theta.shape[0])):
        lines.append(f"{f'[{j}]':8} {float(theta[j]):16.9g} {float(found.standard_errors[j]):16.4g}")
        if active is not None and float(active[j]) != 0:
            lines[-1] = (
                f"{f'[{j}]':8} {float(theta[j]):16.9g} {'fixed':>16}  at its {'upper' if active[j] > 0 else 'lower'} bound"
            )
    return [*lines, *([f"{'':8} and {theta.shape[0] - most} more"] if theta.shape[0] > most else [])]
