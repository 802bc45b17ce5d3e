r"""Statistics of a least-squares fit: the covariance of the parameters at the end of a run.

At a minimum of ``E = |q|^2 / 2 + (theta, L theta)_M / 2``, with the Jacobian J in coordinates, ``A = J^T J + M L``, N
residuals and P parameters,

.. math::
   \operatorname{Cov}(\hat\theta) \approx A^{-1} B A^{-1}, \qquad
   B = \begin{cases} s^2 J^T J & \text{(gauss-newton)} \\
        \frac{N}{N - P}\, J^T \operatorname{diag}(q_i^2)\, J & \text{(sandwich)} \end{cases}, \qquad
   s^2 = \frac{|q|^2}{N - P}.                                                                            \tag{1}

The first B assumes errors of one variance, which the dispersion ``s^2`` estimates; for L = 0 it gives ``s^2 (J^T J)^{-1}``.
The second one is consistent for errors of different variances too. Residuals that were divided by known standard deviations
have a dispersion near 1. The mean loss of a `gradflow.Regression` scales q: ``s^2`` then is in units of that scale, and the
covariance is not affected. A is factorised by the singular values of its root, with columns scaled to length 1, so that its
condition number is not squared.

Source: White, Econometrica 48 (1980) 817, for the sandwich; Seber & Wild, Nonlinear Regression (1989), section 2.1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..curvature.gauss_newton import GaussNewton
from ..energies.protocols import Problem
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
    """``s^2``, in the units of the energy."""
    degrees_of_freedom: int
    """N - P."""
    kind: str
    """gauss-newton or sandwich."""


def covariance(problem: Problem, theta: Array, kind: str = "gauss-newton") -> Covariance:
    """Return the covariance (1) of parameters that minimise an energy of least squares.

    Parameters
    ----------
    problem : LeastSquares
        The energy; its linear part is a number or diagonal.
    theta : array (P,)
        The minimum.
    kind : {"gauss-newton", "sandwich"}
        See the module docstring.

    Raises
    ------
    ValueError
        If the problem is not one of least squares, has no more residuals than parameters, or if the Jacobian has linearly
        dependent columns, so that the residuals do not determine all parameters.
    """
    one_of("kind", kind, KINDS)
    model = GaussNewton().at(problem, theta)
    root, xp = model.root(), array_namespace(theta)
    if root is None:
        raise ValueError("a covariance needs a linear part that is a number or diagonal")
    J, q = model.at.jacobian(), model.residual
    N, P = J.shape
    if N <= P:
        raise ValueError(f"a covariance needs more residuals than parameters, got {N} and {P}")
    lengths = xp.sqrt(xp.sum(root.R * root.R, axis=0))
    unfelt = xp.where(lengths > 0, lengths, 1 + 0 * lengths)
    _, sigma, Vt = xp.linalg.svd(root.R / unfelt, full_matrices=False)
    rank = int(xp.sum(xp.astype(sigma > N * float(xp.finfo(sigma.dtype).eps) * float(sigma[0]), xp.int64)))
    if rank < P:
        raise ValueError(f"the residuals do not determine all parameters: the Jacobian has rank {rank}, P = {P}")
    dispersion = float(q @ q) / (N - P)
    # A^{-1} = W W^T with W = S^{-1} V sigma^{-1}
    W = (Vt.T / sigma) / unfelt[:, None]
    half = (J @ W) * (dispersion**0.5 if kind == "gauss-newton" else (N / (N - P)) ** 0.5 * q[:, None])
    half = W @ half.T
    matrix = half @ half.T
    return Covariance((matrix + matrix.T) / 2, xp.sqrt(xp.linalg.diagonal(matrix)), dispersion, N - P, kind)


def table(problem: Any, theta: Array, most: int = 20) -> list[str]:
    """Return the parameters with their standard errors as lines of text; without errors where there are none.

    Parameters
    ----------
    problem : Problem
        The energy.
    theta : array (P,)
        The end of a run.
    most : int
        How many parameters are shown.
    """
    try:
        found = covariance(problem, theta)
    except ValueError as error:
        return [f"errors   none: {error}"]
    lines = [
        f"residual |q| = {(found.dispersion * found.degrees_of_freedom) ** 0.5:.8g}, "
        f"dispersion {found.dispersion:.6g}, {found.degrees_of_freedom} degrees of freedom",
        f"{'':8} {'parameter':>16} {'standard error':>16}",
    ]
    for j in range(min(most, theta.shape[0])):
        lines.append(f"{f'[{j}]':8} {float(theta[j]):16.9g} {float(found.standard_errors[j]):16.4g}")
    return [*lines, *([f"{'':8} and {theta.shape[0] - most} more"] if theta.shape[0] > most else [])]
