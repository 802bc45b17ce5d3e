r"""Negative-curvature descent: explicit Euler, and a step along the most negative curvature where the gradient is small.

Let the Hessian have the Lipschitz constant rho, and let v be a direction of negative curvature,

.. math:: |v|_M = 1, \qquad \lambda = (v, H v)_M < 0, \qquad (g, v)_M \le 0,                            \tag{1}

with the sign of v chosen so. By Taylor's theorem, E falls along it in the step

.. math:: \theta^{n+1} = \theta^n + \frac{2|\lambda|}{\rho}\, v                                         \tag{2}

by at least

.. math:: E^n - E^{n+1} \ge \frac{2|\lambda|^3}{3\rho^2} + \frac{2|\lambda|}{\rho}\,|(g, v)_M|.         \tag{3}

The length of (2) maximises the bound among all steps along v if ``(g, v)_M = 0``. A vector v that is no eigenvector will do: (1)
is what (3) needs.

The Hessian may be one of differences of gradients (`gradflow.curvature.GradientDifferences`), with an error of at most e in
``(v, H v)_M``. Then lambda is the value that was found plus e, so that (3) holds as it stands.

With a bound eps of the gradient, (2) is taken where ``|g|_M <= eps`` and ``lambda < -sqrt(rho eps)``, with the Ritz vector of
the Lanczos process (`gradflow.curvature.eigenvalues`). Otherwise the step is

.. math:: \theta^{n+1} = \theta^n - \Delta t\, g, \qquad E^n - E^{n+1} \ge
              \Delta t\,\bigl(1 - \tfrac12 K\Delta t\bigr)\,|g|_M^2                                     \tag{4}

if g has the Lipschitz constant K. With ``dt = 1 / K`` a run meets at most ``2 K (E^0 - min E) / eps^2`` gradients that are not
small and makes at most ``3 (E^0 - min E) (rho / eps^3)^{1/2} / 2`` steps (2). From where neither is left to do, the point is
stationary to second order, `gradflow.stationarity`, up to the probability with which the Lanczos process fails; (4) goes on. With
differences of gradients, less is known: ``(v, H v)_M >= -sqrt(rho eps) - 2 e`` for the vector that was found, and
``-sqrt(rho eps) - 2 (1 + (2 k)^{1/2}) e`` for all unit vectors in its Krylov space of k products, by (3) of
`gradflow.curvature.gradient_differences`. A radius with ``e`` well below ``sqrt(rho eps)`` makes the difference small.

The alternating method asks for an eigenvalue at every theta, whatever the gradient. A step is (2), if
``lambda < -sqrt(rho eps)``, and from there (4), with the gradient of the point that (2) has reached:

.. math:: \hat\theta = \theta^n + \frac{2|\lambda|}{\rho}\,v \ \text{ or }\ \hat\theta = \theta^n, \qquad
          \theta^{n+1} = \hat\theta - \Delta t\,g(\hat\theta).                                           \tag{5}

E falls by at least the sum of the bounds (3) and (4), the latter at ``theta-hat``. On a mini-batch E, g and H are those of
the batch: what is guaranteed is a decrease of the energy of the batch, and the sign of v is the one that its gradient
chooses. Of the energy of all samples nothing follows.

If rho is smaller than the true constant, (3) does not hold and E may rise. A network with ReLU has no such constant; rho then
is a parameter.

==========  ============  =======
symbol      code          shape
==========  ============  =======
theta       theta         (P,)
v           v             (P,)
lambda      curvature     0-d
(g, v)_M    slope         0-d
rho         rho           number
==========  ============  =======

Source: Carmon, Duchi, Hinder & Sidford, SIAM J. Optim. 28 (2018) 1751, section 3; Royer & Wright, SIAM J. Optim. 28 (2018)
1448, for the order of the two tests; Curtis & Robinson, Math. Program. 176 (2019) 69, section 2 (two-step method), for (5).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt
from typing import ClassVar, NamedTuple

from ..curvature.eigenvalues import extreme_eigenvalues
from ..curvature.gradient_differences import GradientDifferences
from ..curvature.hessian import Hessian
from ..energies.linear import Scalar
from ..energies.protocols import Problem, norm
from ..namespace import Array, array_namespace
from ..refusals import instance, plain_numbers, real_number, whole_number
from .gradient_descent import gradient_descent_update

__all__ = ["CurvatureState", "NegativeCurvatureDescent", "negative_curvature_update"]


class CurvatureState(NamedTuple):
    """State of `NegativeCurvatureDescent`. Numbers of the last step are 0 before the first."""

    theta: Array
    """Parameters, (P,)."""
    n: int
    """Steps taken."""
    smallest: Array
    """The estimate of the smallest eigenvalue before the last step, 0-d; 0 where it was not asked for."""
    promised: Array
    """The decrease (3) that the last step guarantees, 0-d; 0 without (2)."""
    products: int
    """Products with the Hessian for the last step."""


def negative_curvature_update(
    theta: Array, v: Array, curvature: Array, slope: Array, *, rho: Scalar
) -> tuple[Array, Array]:
    """Return theta_new, (P,), of equation (2) and the decrease, 0-d, of (3).

    Parameters
    ----------
    curvature : 0-d array
        The number lambda of (1), < 0.
    slope : 0-d array
        The number (g, v)_M, of either sign: the step goes against it.
    """
    xp = array_namespace(theta, v)
    length = -2 * curvature / rho  # (2)
    t = xp.where(slope > 0, -length, length)  # (1)
    return theta + t * v, length * curvature**2 / (3 * rho) - t * slope  # (2), (3)


@dataclass(frozen=True, kw_only=True)
class NegativeCurvatureDescent:
    """Negative-curvature descent, equations (1) to (4).

    Parameters
    ----------
    rho : float
        The Lipschitz constant of the Hessian, > 0.
    gradient_tol : float
        The bound eps, > 0: where the gradient is larger, no eigenvalue is sought.
    most : int
        The largest number of products with the Hessian in a step, >= 1.
    seed : int
        Of the start of the Lanczos process, >= 0; another start in each step.
    alternating : bool
        Whether an eigenvalue is sought in every step, and (2) and (4) are taken one after the other, (5).
    curvature : Hessian or GradientDifferences
        The Hessian, of a problem with ``hvp``; or `gradflow.curvature.GradientDifferences`, of one with gradients only. Its
        products then are gradients, and one more product checks what was found.

    Raises
    ------
    ValueError
        If a number is out of its range, `alternating` is not True or False, or the curvature is another one; at `init`, if the
        problem has no ``hvp`` and the curvature needs it.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> well = gf.FunctionProblem(
    ...     lambda t: t[0] ** 2 / 2 + t[1] ** 4 / 4 - t[1] ** 2 / 2,
    ...     lambda t: np.array([t[0], t[1] ** 3 - t[1]]),
    ...     hvp=lambda t, v: np.array([v[0], (3 * t[1] ** 2 - 1) * v[1]]),
    ... )
    >>> method = gf.NegativeCurvatureDescent(rho=6.0)
    >>> solution = gf.solve(well, method, np.array([1.0, 0.0]), dt=0.5, steps=60, record=["energy", "promised"])
    >>> round(float(solution.history["energy"][-1]), 9), int(np.sum(solution.history["promised"] > 0))
    (-0.25, 1)
    """

    rho: float = 1.0
    gradient_tol: float = 1e-3
    most: int = 300
    seed: int = 0
    alternating: bool = False
    curvature: Hessian | GradientDifferences = Hessian()

    records: ClassVar[tuple[str, ...]] = ("smallest", "promised", "products")

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("rho", self.rho, 0, open_low=True)
        real_number("gradient_tol", self.gradient_tol, 0, open_low=True)
        whole_number("most", self.most, 1)
        whole_number("seed", self.seed)
        instance("alternating", self.alternating, bool, "True or False")
        instance(
            "curvature",
            self.curvature,
            (Hessian, GradientDifferences),
            "a Hessian or GradientDifferences of gf.curvature",
        )

    def init(self, problem: Problem, theta: Array) -> CurvatureState:
        """Return the state before the first step."""
        self.curvature.at(problem, theta)  # refuses a problem without second derivatives
        return CurvatureState(theta, 0, 0 * theta[0], 0 * theta[0], 0)

    def step(self, problem: Problem, state: CurvatureState, dt: Scalar) -> CurvatureState:
        """Return the state one step later: of size dt along the gradient, (2), or both, (5)."""
        theta, zero = state.theta, 0 * state.theta[0]
        _, g = problem.energy_and_gradient(theta)
        smallest, promised, products, moved = zero, zero, 0, False
        if self.alternating or norm(problem.inner, g) <= self.gradient_tol:
            model = self.curvature.at(problem, theta)
            found = extreme_eigenvalues(model, "smallest", most=self.most, seed=self.seed + state.n)
            (value, v, _), products, error = found.smallest, found.products, model.error(self.rho)
            if error > 0:
                value, products = float(problem.inner(v, model.apply(v))) + error, products + 1
            smallest = zero + value if isfinite(value) else zero
            if value < -sqrt(self.rho * self.gradient_tol):
                slope, moved = zero + problem.inner(g, v), True
                theta, promised = negative_curvature_update(theta, v, smallest, slope, rho=self.rho)
        if moved and self.alternating:
            _, g = problem.energy_and_gradient(theta)  # (5)
        if self.alternating or not moved:
            theta = gradient_descent_update(theta, g, dt=dt, solve=lambda u: u)
        return CurvatureState(theta, state.n + 1, smallest, promised, products)
