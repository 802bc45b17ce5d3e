r"""Newton's method by capped conjugate gradients, with steps along negative curvature.

A step moves along a direction d, by a share of it that a line search finds:

.. math:: \theta^{n+1} = \theta^n + \alpha d, \qquad
          E^{n+1} < E^n - \frac{\eta}{6}\,\alpha^3 |d|_M^3,                                             \tag{1}

with the first of ``alpha = dt, dt / 2, dt / 4, ...`` that fulfils it. The direction is

* d of ``(H + 2 eps_H I) d = -g``, from `gradflow.curvature.capped_cg`, or
* if a direction v with ``(v, H v)_M < -eps_H |v|_M^2`` is found instead,

  .. math:: d = \mp\,\frac{|(v, H v)_M|}{|v|_M^3}\, v, \qquad (g, d)_M \le 0, \qquad
            (d, H d)_M = -|d|_M^3, \quad |d|_M > \varepsilon_H.                                          \tag{2}

Where ``|g|_M <= eps_g``, such a v is looked for by the Lanczos process first: there, a solution of the linear system says nothing
about the curvature.

Let the Hessian have the Lipschitz constant rho. Along (2), every ``alpha < 3 / (rho + eta)`` fulfils (1); along a solution d,
every ``alpha <= 1`` with ``alpha^2 (rho + eta) |d|_M < 6 eps_H``. The search ends, rounding aside, and every
step lowers E by an amount that is known in advance. With ``eps_H = eps_g^{1/2}`` a point that is stationary to second order is
reached in ``O(eps_g^{-3/2})`` steps, the fewest that are known for a method of second derivatives, and
``O(eps_g^{-7/4})`` products up to logarithms.

If no alpha fulfils (1), theta stays. That is so at a minimum to rounding. For dt = 1, the default, and close to a minimum with
``H > 0`` the method converges linearly with a factor of about ``2 eps_H / (lambda_min + 2 eps_H)``.

============  ======  ======
symbol        code    shape
============  ======  ======
theta         theta   (P,)
d             d       (P,)
v             v       (P,)
(g, v)_M      slope   0-d
(v, H v)_M    bend    0-d
\|v\|, \|d\|  length  0-d
alpha         alpha   number
eta           eta     number
============  ======  ======

Source: Royer, O'Neill & Wright, Math. Program. 180 (2020) 451, Algorithm 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite, sqrt
from typing import ClassVar, NamedTuple

from ..curvature.capped_cg import capped_cg
from ..curvature.eigenvalues import extreme_eigenvalues
from ..curvature.hessian import Hessian
from ..curvature.model import Model
from ..energies.linear import Scalar
from ..energies.protocols import Problem, norm
from ..namespace import Array, array_namespace
from ..refusals import plain_numbers, real_number, whole_number

__all__ = ["NewtonCG", "NewtonCGState", "direction_update", "newton_cg_update"]

HALVINGS = 60  # of dt, before a search is given up


class NewtonCGState(NamedTuple):
    """State of `NewtonCG`. Numbers of the last step are 0 before the first; flags are 0 or 1."""

    theta: Array
    """Parameters, (P,)."""
    n: int
    """Steps taken."""
    share: Array
    """alpha of the last step, 0-d; 0 if none was accepted."""
    promised: Array
    """The decrease that (1) asks for, 0-d; 0 if no step was accepted."""
    negative_curvature: Array
    """Whether the direction was one of negative curvature, 0-d."""
    accepted: Array
    """Whether a step was accepted, 0-d."""
    products: Array
    """Products with the Hessian for the last step, 0-d."""


def direction_update(v: Array, slope: Array, bend: Array, length: Array) -> Array:
    """Return d, (P,), of equation (2)."""
    xp = array_namespace(v)
    size = -bend / length**3  # (2)
    return xp.where(slope > 0, -size, size) * v  # (2)


def newton_cg_update(theta: Array, d: Array, length: Array, *, alpha: Scalar, eta: Scalar) -> tuple[Array, Array]:
    """Return the trial theta, (P,), of equation (1) and the decrease that it asks for, 0-d.

    Parameters
    ----------
    length : 0-d array
        ``|d|_M``.
    """
    return theta + alpha * d, eta / 6 * (alpha * length) ** 3  # (1)


@dataclass(frozen=True, kw_only=True)
class NewtonCG:
    """Newton's method by capped conjugate gradients, equations (1) and (2).

    Parameters
    ----------
    gradient_tol : float
        The bound eps_g of the gradient, > 0, below which negative curvature is looked for.
    curvature_tol : float, optional
        The number eps_H, > 0, 1 / time; by default the square root of `gradient_tol`.
    eta : float
        The constant of (1), in (0, 1], in the units of the Lipschitz constant of the Hessian.
    most : int
        The largest number of products with the Hessian for a direction, >= 1.
    seed : int
        Of the start of the Lanczos process, >= 0; another start in each step.

    Raises
    ------
    ValueError
        If a number is out of its range; at `init`, if the energy is not finite or the problem has no ``hvp``.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> well = gf.FunctionProblem(
    ...     lambda t: t[0] ** 2 / 2 + t[1] ** 4 / 4 - t[1] ** 2 / 2,
    ...     lambda t: np.array([t[0], t[1] ** 3 - t[1]]),
    ...     hvp=lambda t, v: np.array([v[0], (3 * t[1] ** 2 - 1) * v[1]]),
    ... )
    >>> ends = [gf.solve(well, gf.NewtonCG(), np.array(start), steps=30).theta for start in ([1.0, 0.3], [0.0, 0.0])]
    >>> np.round(np.abs(ends), 6).tolist()
    [[0.0, 1.0], [0.0, 1.0]]
    """

    gradient_tol: float = 1e-5
    curvature_tol: float | None = None
    eta: float = 0.1
    most: int = 300
    seed: int = 0

    records: ClassVar[tuple[str, ...]] = ("share", "promised", "negative_curvature", "accepted", "products")
    usual_dt: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("gradient_tol", self.gradient_tol, 0, open_low=True)
        if self.curvature_tol is not None:
            real_number("curvature_tol", self.curvature_tol, 0, open_low=True)
        real_number("eta", self.eta, 0, 1, open_low=True)
        whole_number("most", self.most, 1)
        whole_number("seed", self.seed)

    def init(self, problem: Problem, theta: Array) -> NewtonCGState:
        """Return the state before the first step."""
        if not isfinite(float(problem.energy(theta))):
            raise ValueError(f"the energy at theta0 must be finite, got {float(problem.energy(theta))}")
        Hessian().at(problem, theta)  # refuses a problem without second derivatives
        zero = 0 * theta[0]
        return NewtonCGState(theta, 0, zero, zero, zero, zero, zero)

    def rejected(self, state: NewtonCGState) -> bool:
        """Return whether no step was accepted: theta was left as it was."""
        return not bool(state.accepted)

    def shortened(self, state: NewtonCGState) -> bool:
        """Return whether the step was along negative curvature or not accepted: its length says nothing of convergence."""
        return bool(state.negative_curvature) or not bool(state.accepted)

    def _direction(self, model: Model, n: int) -> tuple[Array, float, bool, int]:
        """Return d, its length, whether it is (2), and the products with the Hessian."""
        g, inner = model.gradient, model.problem.inner
        zero, size, asked = 0 * g[0], norm(inner, g), 0
        eps = sqrt(self.gradient_tol) if self.curvature_tol is None else self.curvature_tol
        if size <= self.gradient_tol:
            found = extreme_eigenvalues(model, "smallest", most=self.most, seed=self.seed + n)
            (bend, v, _), asked = found.smallest, found.products
            if bend < -eps:
                d = direction_update(v, zero + inner(g, v), zero + bend, zero + 1)
                return d, -bend, True, asked
        if not size > 0:
            return 0 * g, 0.0, False, asked
        cg = capped_cg(model, eps, most=self.most)
        if cg.kind != "negative curvature":
            return cg.d, cg.length, False, asked + cg.products
        d = direction_update(cg.d, zero + inner(g, cg.d), zero + cg.bend, zero + cg.length)
        return d, norm(inner, d), True, asked + cg.products

    def step(self, problem: Problem, state: NewtonCGState, dt: Scalar) -> NewtonCGState:
        """Return the state after one line search; dt is the longest share of d that is tried."""
        theta, zero = state.theta, 0 * state.theta[0]
        model = Hessian().at(problem, theta)
        d, length, negative, products = self._direction(model, state.n)
        seen, used = zero + float(negative), zero + products
        alpha = dt
        for _ in range(HALVINGS if length > 0 else 0):
            trial, promised = newton_cg_update(theta, d, zero + length, alpha=alpha, eta=self.eta)
            if inf > float(model.energy) - float(problem.energy(trial)) > float(promised):
                return NewtonCGState(trial, state.n + 1, zero + alpha, promised, seen, zero + 1, used)
            alpha = alpha / 2
        return NewtonCGState(theta, state.n + 1, zero, zero, seen, zero, used)
