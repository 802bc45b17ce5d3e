r"""The Hessian from differences of gradients, for a problem without second derivatives.

With a radius r in the norm of the problem, the product with a vector v is the difference quotient

.. math:: A v = \frac{|v|_M}{r}\,\Bigl(g\bigl(\theta + r\,\tfrac{v}{|v|_M}\bigr) - g(\theta)\Bigr),      \tag{1}

one gradient for each product, and one for each theta. A is homogeneous but not linear. If the Hessian H has the Lipschitz
constant rho on the ball of radius r,

.. math:: |A v - H v|_M \le \tfrac12\rho\,r\,|v|_M,                                                     \tag{2}

up to a rounding error of the order ``eps (|g|_M + |H| |theta|_M) / r``. Without rho, (2) says nothing: on a kink within the
ball the quotient is that of two pieces.

What follows for eigenvalues. For ``|v|_M = 1``, the quotient ``(v, A v)_M`` is within ``rho r / 2`` of ``(v, H v)_M``:
a value below ``-rho r / 2`` proves a negative eigenvalue of H. The Lanczos process with A, k products, makes an
orthonormal basis V and a tridiagonal matrix T. The diagonal of T and the one below it have the entries of ``V^* A V``.
Hence, by (2),

.. math:: |T - V^* H V| \le \sqrt{k / 2}\;\rho\, r:                                                     \tag{3}

the eigenvalues that `gradflow.curvature.extreme_eigenvalues` returns are those of a projection of H, to within (3). Its
residuals and its lower bound are those of an exact process, with an error of the same size.

This is the product of NEON. Its iteration is `gradflow.curvature.shifted_power_iteration` with (1), that of Neon2 for
deterministic gradients is `gradflow.curvature.chebyshev_iteration`. The Lanczos process needs no Lipschitz constant of the
gradient, and its first Ritz value is the smallest quotient in the space in which their iterates are; it stores k vectors,
they store three.

No method uses this curvature unless it is asked for: `Hessian` refuses a problem without ``hvp``.

Source: Xu, Jin & Yang, NeurIPS 2018, section 3; Allen-Zhu & Li, NeurIPS 2018, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import inf, sqrt

from ..energies.protocols import Problem, norm
from ..namespace import Array, array_namespace, read_only
from ..refusals import plain_numbers, real_array, real_number
from .model import Model

__all__ = ["GradientDifferences", "GradientDifferencesModel"]


class GradientDifferencesModel(Model):
    """The model with the curvature (1).

    Parameters
    ----------
    problem : Problem
        The energy.
    theta : array (P,)
        Where the model is made.
    radius : float or None
        As in `GradientDifferences`.
    """

    def __init__(self, problem: Problem, theta: Array, radius: float | None) -> None:
        super().__init__(problem, theta)
        self._radius = radius

    @cached_property
    def radius(self) -> float:
        """The radius r."""
        if self._radius is not None:
            return self._radius
        eps = float(array_namespace(self.theta).finfo(self.dtype).eps)
        return sqrt(eps) * max(1.0, norm(self.problem.inner, self.theta))

    def error(self, rho: float) -> float:
        """Return the bound (2) for a vector of length 1.

        Parameters
        ----------
        rho : float
            The Lipschitz constant of the Hessian.
        """
        return rho * self.radius / 2  # (2)

    def apply(self, v: Array) -> Array:
        """Return A v, (P,), equation (1); zero for v = 0.

        Parameters
        ----------
        v : array (P,)
            A direction.
        """
        length = norm(self.problem.inner, v)
        if not 0 < length < inf:
            return 0 * v
        _, g = self.problem.energy_and_gradient(read_only(self.theta + self.radius * (v / length)))
        g = real_array("the gradient", g, {"P": self.shape[0]}, self.dtype, of="theta")
        return length * ((g - self.gradient) / self.radius)  # (1)


@dataclass(frozen=True)
class GradientDifferences:
    """The Hessian by differences of gradients, equation (1), of a problem that need not have ``hvp``.

    Parameters
    ----------
    radius : float, optional
        The radius r of a difference, > 0, in the norm of the problem. By default ``eps^{1/2} max(1, |theta|_M)`` with the
        rounding unit eps of the dtype, which balances (2) and rounding for an energy whose derivatives are of order 1.

    Raises
    ------
    ValueError
        If the radius is not positive.

    Examples
    --------
    A saddle is left with gradients only:

    >>> import numpy as np, gradflow as gf
    >>> well = gf.FunctionProblem(
    ...     lambda t: t[0] ** 2 / 2 + t[1] ** 4 / 4 - t[1] ** 2 / 2, lambda t: np.array([t[0], t[1] ** 3 - t[1]])
    ... )
    >>> method = gf.NegativeCurvatureDescent(rho=6.0, curvature=gf.curvature.GradientDifferences())
    >>> np.round(np.abs(gf.solve(well, method, np.array([1.0, 0.0]), dt=0.5, steps=60).theta), 6).tolist()
    [0.0, 1.0]
    """

    radius: float | None = None

    def __post_init__(self) -> None:
        plain_numbers(self)
        if self.radius is not None:
            real_number("radius", self.radius, 0, open_low=True)

    def at(self, problem: Problem, theta: Array) -> GradientDifferencesModel:
        """Return the model at theta."""
        return GradientDifferencesModel(problem, theta, self.radius)
