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

Weights are relative: q and J are the weighted ones, and without a robust loss a common factor of all weights changes ``s^2``, not
theta and not the covariance. With one, it does change both: the loss is that of the weighted residual, and a factor c of the
weights is another loss, unless the scale is multiplied by ``c^{1/2}``. N counts the rows that are used; those of weight 0 are
not.

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

A dense A is factorised by the singular values of its root, with columns scaled to length 1, so that its condition number is not
squared. With the root R of the Gauss-Newton curvature, scaled columns ``R S^{-1} = U Sigma V^T``, and ``b = psi' / t^2``, which
is 1 for the rows of L,

.. math:: A^{-1} = W\,\bigl(U^T \operatorname{diag}(b)\, U\bigr)^{-1}\, W^T, \qquad W = S^{-1} V \Sigma^{-1}.      \tag{3}

A large sparse J is not made dense: `gradflow.run.sparse_fit`.

Where (1) is exact, that is for errors of one normal distribution, an affine q and L = 0, ``(theta_j - true) / error_j`` has
Student's distribution of N - P degrees of freedom, and so has every linear function of theta. The confidence interval of a
parameter, and the band of a curve ``f(theta)`` with the Jacobian X, at the level beta, are

.. math:: \theta_j \pm t\,\bigl(\operatorname{Cov}_{jj}\bigr)^{1/2}, \qquad
          f_k \pm t\,\bigl(X \operatorname{Cov} X^T\bigr)_{kk}^{1/2}, \qquad t = t_{N-P,\,(1+\beta)/2}.            \tag{4}

The band holds point by point. With ``(P F_{P, N-P, beta})^{1/2}`` in place of t it holds for all points together (Scheffé). For
other q, these are the intervals of the linearised model.

Source: White, Econometrica 48 (1980) 817, for the sandwich; Seber & Wild, Nonlinear Regression (1989), section 2.1, and
section 5.1 for (4); Huber, Ann. Statist. 1 (1973) 799, for (2) and k; Hampel, Ronchetti, Rousseeuw & Stahel, Robust
Statistics (1986), section 6.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from ..curvature.choice import SPARSE_LIMIT
from ..curvature.gauss_newton import GaussNewton, GaussNewtonModel
from ..curvature.lapack import eigh, svd
from ..energies.dense import DenseLeastSquares
from ..energies.derivatives import found_jacobian
from ..energies.protocols import Problem, robust_scaling, sparse_jacobian
from ..energies.robust import Scaling
from ..energies.sparse import DENSE_ENTRIES, normal_entries, normal_matrix, rows_times
from ..namespace import Array, array_namespace, quiet
from ..refusals import evaluate, one_of, real_array, real_number
from .sparse_fit import SparseSpread

__all__ = [
    "KINDS",
    "Band",
    "Covariance",
    "DenseSpread",
    "Spread",
    "covariance",
    "covariance_of",
    "is_large",
    "names_of",
]

KINDS = ("gauss-newton", "sandwich")
"""The covariances (1)."""
NORMAL_ENTRIES = 10**8  # products that J^T J is summed from, up to which it is made
SPARSE_SHARE = 0.05  # of the entries of J^T J that are not zero, up to which it counts as sparse
DENSE_WORK = 10**12  # N P min(N, P) up to which a sparse Jacobian is made dense, some minutes
KERNEL_SHARE = 1e-6  # of a unit vector of the kernel, from which on a parameter counts as not determined


class Spread(Protocol):
    """A covariance in a factorised form."""

    @property
    def method(self) -> str:
        """How it was factorised, in words."""

    def errors(self, X: Array | None) -> Array:
        """Return the standard errors of X theta, (K,); those of theta for None.

        Parameters
        ----------
        X : array (K, P) or None
            Its rows are linear functions.
        """

    def matrix(self) -> Array:
        """Return the covariance, (P, P)."""


class DenseSpread(NamedTuple):
    """The covariance ``H H^T`` by a dense factor."""

    half: Array
    """H, (P, N)."""
    method: str = "singular values of the Jacobian"
    """How it was factorised."""

    def errors(self, X: Array | None) -> Array:
        """Return the standard errors of X theta, (K,)."""
        return _lengths((self.half if X is None else X @ self.half).T)

    def matrix(self) -> Array:
        """Return the covariance, (P, P)."""
        with quiet():  # a variance may be out of range where its root is not
            matrix = self.half @ self.half.T
        return (matrix + matrix.T) / 2


class Band(NamedTuple):
    """A curve with its confidence band."""

    value: Array
    """The curve at the fit, (K,)."""
    standard_errors: Array
    """Of the values, (K,)."""
    lower: Array
    """The lower end, (K,)."""
    upper: Array
    """The upper end, (K,)."""


@dataclass(frozen=True, eq=False, repr=False)
class Covariance:
    """The covariance of fitted parameters. P counts all parameters; what belongs to a fixed one is zero."""

    theta: Array
    """The fit, (P,)."""
    dispersion: float
    """``s^2`` of (1) or (2), in the units of the energy; without a loss, the reduced chi-square of the weighted residual."""
    degrees_of_freedom: int
    """N - P, with the N residuals that are used and the P parameters that are not fixed."""
    kind: str
    """gauss-newton or sandwich."""
    names: tuple[str, ...]
    """The names of the parameters; ``[0]``, ``[1]``, ... where the problem has none."""
    spread: Spread
    """The covariance of the parameters that are not fixed, factorised."""
    free: Array | None = field(default=None)
    """The indices of the parameters that are not fixed, (F,); None for all."""

    @property
    def method(self) -> str:
        """How the covariance was computed, in words."""
        return self.spread.method

    @cached_property
    def standard_errors(self) -> Array:
        """Square roots of the diagonal, (P,)."""
        return self._widened(self.spread.errors(None))

    @cached_property
    def matrix(self) -> Array:
        """(P, P), symmetric positive semi-definite; dense, and made when it is first asked for.

        Raises
        ------
        ValueError
            If it is that of a sparse Jacobian, and too large.
        """
        return self._widened(self.spread.matrix())

    @property
    def correlation(self) -> Array:
        """``Cov_ij / (error_i error_j)``, (P, P); 1 on the diagonal, except for a fixed parameter, which has zeros.

        Raises
        ------
        ValueError
            As `matrix`.
        """
        xp, diagonal = array_namespace(self.theta), array_namespace(self.theta).linalg.diagonal(self.matrix)
        errors = xp.sqrt(xp.where(diagonal > 0, diagonal, 1 + 0 * diagonal))
        return self.matrix / errors[:, None] / errors[None, :]

    def errors_of(self, X: Array) -> Array:
        """Return the standard errors of linear functions ``X theta``, ``(X Cov X^T)_kk^{1/2}``, shape (K,).

        Parameters
        ----------
        X : array (K, P)
            One function in each row. For a few of many parameters, rows of the identity.

        Raises
        ------
        ValueError
            If X is not a matrix with P columns and the dtype of theta.
        """
        real_array("X", X, {"K": None, "P": self.theta.shape[0]}, self.theta.dtype, of="theta", low=-float("inf"))
        return self.spread.errors(X if self.free is None else array_namespace(X).take(X, self.free, axis=1))

    def interval(self, level: float = 0.95) -> Array:
        """Return the confidence intervals (4) of the parameters, lower and upper ends, shape (P, 2).

        Parameters
        ----------
        level : float
            The probability, in (0, 1), that an interval holds its parameter.

        Raises
        ------
        ValueError
            If the level is outside (0, 1).
        """
        half = self._quantile(level) * self.standard_errors
        return array_namespace(half).stack([self.theta - half, self.theta + half], axis=1)

    def band(self, curve: Callable[[Array], Array], level: float = 0.95, *, simultaneous: bool = False) -> Band:
        """Return a curve at the fit with its confidence band (4), by the delta method.

        The band is that of the curve, not of new data: a new observation, of the variance ``s^2``, lies within
        ``t (errors^2 + s^2)^{1/2}``.

        Parameters
        ----------
        curve : callable
            Maps theta (P,) to the values of the curve, (K,). Its Jacobian is found as that of a residual without one.
        level : float
            The probability, in (0, 1), that the band holds the value at a point; at all of them if `simultaneous`.
        simultaneous : bool
            Whether the band is Scheffé's.

        Raises
        ------
        ValueError
            If the level is outside (0, 1), or the curve does not return a vector of the dtype of theta.
        """
        theta, t = self.theta, self._quantile(level, simultaneous)

        def values(at: Array) -> Array:
            return real_array("curve(theta)", evaluate("curve", curve, at), {"K": None}, theta.dtype, of="theta")

        J, _ = found_jacobian(values, lambda at: np.asarray(curve(at)), theta)
        value, errors = array_namespace(theta).asarray(values(theta), copy=True), self.errors_of(J)
        return Band(value, errors, value - t * errors, value + t * errors)

    def _quantile(self, level: float, simultaneous: bool = False) -> float:
        """Return t of (4), or its multiple for all linear functions together."""
        from scipy.special import fdtri, stdtrit

        level = real_number("level", level, 0, 1, open_low=True, open_high=True)
        P = self.theta.shape[0] if self.free is None else self.free.shape[0]
        if simultaneous:
            return float((P * fdtri(P, self.degrees_of_freedom, level)) ** 0.5)
        return float(stdtrit(self.degrees_of_freedom, (1 + level) / 2))

    def _widened(self, a: Array) -> Array:
        """Return an array of the free parameters, (F,) or (F, F), with zeros for the fixed ones."""
        if self.free is None:
            return a
        xp, F = array_namespace(a), self.free.shape[0]
        places = xp.searchsorted(self.free, xp.arange(self.theta.shape[0]))
        held = xp.take(xp.concat([self.free, self.free[:1]]), places) != xp.arange(self.theta.shape[0])
        places = xp.where(held, F + 0 * places, places)
        for axis in range(len(a.shape)):  # the last entry is that of a fixed parameter
            none = xp.zeros_like(xp.take(a, places[:1] * 0, axis=axis))
            a = xp.take(xp.concat([a, none], axis=axis), places, axis=axis)
        return a

    def __repr__(self) -> str:
        return (
            f"<Covariance: {self.kind} of {self.theta.shape[0]} parameters, dispersion {self.dispersion:.6g}, "
            f"{self.degrees_of_freedom} degrees of freedom, by {self.method}>"
        )


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
    return covariance_of(GaussNewton().at(problem, theta), kind, fixed)


def covariance_of(model: GaussNewtonModel, kind: str, fixed: Array | None = None) -> Covariance:
    """Return the covariance at the point of a model.

    Parameters
    ----------
    model : GaussNewtonModel
        The model.
    kind, fixed : str, bool array (P,) or None
        As in `covariance`.

    Raises
    ------
    ValueError
        As `covariance`.
    """
    xp, free = array_namespace(model.theta), None
    if fixed is not None and bool(xp.any(fixed)):
        if bool(xp.all(fixed)):
            raise ValueError("every parameter is at a bound, and none is left to have a covariance")
        free = xp.nonzero(~fixed)[0]
    N, P = model.residual.shape[0], model.shape[0] if free is None else free.shape[0]
    if N <= P:
        raise ValueError(f"a covariance needs more residuals than parameters, got {N} and {P}")
    q, scaling = model.residual, robust_scaling(model.at)
    if not bool(xp.all(xp.isfinite(q))):
        raise ValueError("a covariance needs a finite residual and Jacobian")
    m, s = (1.0, float(_lengths(q[:, None])[0]) / (N - P) ** 0.5) if scaling is None else _robust(scaling, q, P)
    names = names_of(model.problem, model.shape[0])
    by = _sparse_spread if is_large(model) else _dense_spread
    spread = by(model, kind, free, m, s, [names[int(j)] for j in (range(P) if free is None else free)])
    return Covariance(model.theta, s * s, N - P, kind, names, spread, free)


def names_of(problem: Problem, P: int) -> tuple[str, ...]:
    """Return the names of the parameters; ``[0]``, ``[1]``, ... where the problem has none.

    Parameters
    ----------
    problem : Problem
        The energy.
    P : int
        The number of parameters.
    """
    named = problem.names if isinstance(problem, DenseLeastSquares) else None
    return tuple(f"[{j}]" for j in range(P)) if named is None else named


def is_large(model: GaussNewtonModel) -> bool:
    """Return whether the Jacobian is sparse and so large that J^T J is factorised: it must be sparse too.

    A run makes many factorisations, and takes them for fewer entries than a covariance, which makes one.

    Parameters
    ----------
    model : GaussNewtonModel
        The model.

    Raises
    ------
    ValueError
        If J is sparse, J^T J is not, and J is too large to be made dense.
    """
    J = sparse_jacobian(model.at)
    if J is None or J.shape[0] * J.shape[1] * min(J.shape) <= SPARSE_LIMIT:
        return False
    P = J.shape[1]
    if normal_entries(J) <= NORMAL_ENTRIES and model.sparse_matrix().nnz <= SPARSE_SHARE * P * P:
        return True
    if J.shape[0] * J.shape[1] > DENSE_ENTRIES or J.shape[0] * J.shape[1] * min(J.shape) > DENSE_WORK:
        raise ValueError(
            f"a covariance of {J.shape[1]} parameters from {J.shape[0]} residuals is too large: rows with many entries make "
            "J^T J dense, and the Jacobian is too large to be decomposed as a dense matrix; fix some of the parameters"
        )
    return False


def _sparse_spread(
    model: GaussNewtonModel, kind: str, free: Array | None, m: float, s: float, names: list[str]
) -> SparseSpread:
    """Return the covariance by (1) of `gradflow.run.sparse_fit`."""
    if model.rows is None:
        raise ValueError("a covariance needs a linear part that is a number or diagonal")
    R, q, scaling = model.jacobian, model.residual, robust_scaling(model.at)
    N, P = R.shape
    linear = np.broadcast_to(model.linear.apply(1 + 0 * model.theta) * model.known_mass("a covariance"), (P,))
    if free is not None:
        R, linear = R[:, free], linear[free]
    if not np.all(np.isfinite(R.data)):
        raise ValueError("a covariance needs a finite residual and Jacobian")
    if kind == "gauss-newton":
        J = R if scaling is None else rows_times(R, 1 / scaling.t)
        return SparseSpread(normal_matrix(m**0.5 * J, linear), m * s * J, model.dtype, names)
    psi = rows_times(R, (N / (N - R.shape[1])) ** 0.5 * q)
    if scaling is None:
        return SparseSpread(normal_matrix(R, linear), psi, model.dtype, names)
    bend = rows_times(R, scaling.bend / scaling.t**2)
    return SparseSpread((R.T @ bend + normal_matrix(0 * R, linear)).tocsc(), psi, model.dtype, names)


def _dense_spread(
    model: GaussNewtonModel, kind: str, free: Array | None, m: float, s: float, names: list[str]
) -> DenseSpread:
    """Return the covariance by (3)."""
    root, xp = model.root(), array_namespace(model.theta)
    if root is None:
        raise ValueError("a covariance needs a linear part that is a number or diagonal")
    R, q, scaling = root.R if free is None else xp.take(root.R, free, axis=1), model.residual, robust_scaling(model.at)
    N, P = q.shape[0], R.shape[1]
    if scaling is not None and kind == "gauss-newton":
        R = xp.concat([m**0.5 * R[:N, :] / scaling.t[:, None], R[N:, :]])
    if not bool(xp.all(xp.isfinite(R))):
        raise ValueError("a covariance needs a finite residual and Jacobian")
    lengths = _lengths(R)
    lengths = xp.where(lengths > 0, lengths, 1 + 0 * lengths)
    U, sigma, Vt = svd(R / lengths)
    rank = int(xp.sum(xp.astype(sigma > N * float(xp.finfo(sigma.dtype).eps) * float(sigma[0]), xp.int64)))
    if rank < P:
        part = xp.max(xp.abs(Vt[rank:, :]), axis=0)
        free_of = [name for j, name in enumerate(names) if float(part[j]) > KERNEL_SHARE]
        raise ValueError(
            f"the residuals do not determine all parameters: the Jacobian has rank {rank}, P = {P}; "
            f"not determined: {', '.join(free_of[:10])}{', ...' if len(free_of) > 10 else ''}"
        )
    W = (Vt.T / sigma) / lengths[:, None]
    half = R[:N, :] @ W  # B = W^{-T} half^T half W^{-1}
    if kind == "gauss-newton":
        half = m**0.5 * s * half  # R has m^{1/2} J
    else:
        half = (N / (N - P)) ** 0.5 * q[:, None] * half
        if scaling is not None:
            half = half @ _inverse(U, scaling.bend / scaling.t**2)
    return DenseSpread(W @ half.T)


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
    mu, V = eigh(U[:N, :].T @ (b[:, None] * U[:N, :]) + U[N:, :].T @ U[N:, :])
    if not float(mu[0]) > P * float(xp.finfo(mu.dtype).eps) * float(xp.max(xp.abs(mu))):
        raise ValueError("theta is no minimum of positive curvature: a covariance with this loss does not exist here")
    return (V / mu) @ V.T
