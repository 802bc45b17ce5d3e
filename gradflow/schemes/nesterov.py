r"""Nesterov's method with constant momentum: the gradient is evaluated ahead of the iterate.

With ``d^n = theta^n - theta^{n-1}`` and a momentum ``0 <= beta < 1``, started from rest,

.. math::
   y^n &= \theta^n + \beta d^n,                                                                     \tag{1} \\
   \theta^{n+1} &= y^n - \Delta t\,g, \qquad g = \nabla E(y^n).                                        \tag{2}

With ``theta^n`` subtracted, (2) is ``d^{n+1} = beta d^n - dt g``, that is `HeavyBall` with the gradient at y. It is
computed in this form.

Which variant. Nesterov (1983) lets ``beta_n = (a_n - 1) / a_{n+1}`` tend to 1, ``2 a_{n+1} = 1 + sqrt(1 + 4 a_n^2)``. A
constant beta is his scheme for strongly convex functions (2004, constant step scheme III): ``beta = (1 - sqrt(dt mu)) /
(1 + sqrt(dt mu))`` for convexity mu and dt = 1 / K, K the Lipschitz constant of the gradient. Sutskever et al. (2013)
use a constant beta in deep learning. Deep-learning libraries store the points y instead of theta, from the same start
``y^0 = theta^0``.

Time. As for `HeavyBall`: for fixed beta and dt -> 0, n dt = t, the iterates follow to first order

.. math:: \theta' = -\frac{1}{1 - \beta}\,\nabla E(\theta).                                            \tag{3}

Modified equation (`gradflow.backward_error`). On the slow manifold, with H the Hessian,

.. math:: \theta' = -\frac{1}{1 - \beta}\Bigl(g + \frac{\Delta t\,(1 - \beta + 2\beta^2)}{2(1 - \beta)^2}\,H g\Bigr)
          + O(\Delta t^2),                                                                            \tag{4}

the flow of ``E + dt (1 - beta + 2 beta^2) / (4 (1 - beta)^2) |g|_M^2``. The next term is a gradient for every energy only if
``beta = 1 / 7``.


On a quadratic with eigenvalues k the iteration converges exactly when
``0 < dt k < (2 + 2 beta) / (1 + 2 beta)``: for beta > 0 a smaller range than for `HeavyBall` or gradient descent.
The energy E need not fall. An energy part L is explicit and included in g, the gradient with respect to the problem's
inner product.

======  =====  ================
symbol  code   shape
======  =====  ================
theta   theta  (P,)
y       y      (P,)
d       d      (P,)
g       g      (P,)
dt      dt     0-d, > 0
beta    beta   number in [0, 1)
======  =====  ================

Source: Nesterov, Soviet Math. Dokl. 27 (1983) 372; Introductory Lectures on Convex Optimization (2004),
section 2.2.1; Sutskever, Martens, Dahl & Hinton, ICML (2013).
"""

from __future__ import annotations

from dataclasses import dataclass

from ..energies.linear import Scalar
from ..energies.protocols import Problem
from ..namespace import Array, array_namespace
from ..refusals import plain_numbers, real_number
from .heavy_ball import MomentumState

__all__ = ["Nesterov", "nesterov_point", "nesterov_update"]


def nesterov_point(theta: Array, d: Array, *, beta: Scalar) -> Array:
    """Return y (P,) of equation (1), where the gradient is wanted."""
    return theta + beta * d  # (1)


def nesterov_update(theta: Array, d: Array, g: Array, *, dt: Scalar, beta: Scalar) -> tuple[Array, Array]:
    """Return theta_new (P,) and d_new (P,) of equation (2)."""
    d_new = beta * d - dt * g  # (2) less theta
    return theta + d_new, d_new  # (2)


@dataclass(frozen=True, kw_only=True)
class Nesterov:
    """Nesterov's method with constant momentum, equations (1) and (2).

    Parameters
    ----------
    momentum : float
        The momentum beta, in [0, 1), dimensionless; time is scaled by ``1 / (1 - beta)``, equation (3).

    Raises
    ------
    ValueError
        If the momentum is outside [0, 1).
    """

    momentum: float = 0.9

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("momentum", self.momentum, 0, 1, open_high=True)

    @property
    def speed(self) -> float:
        """The c of the flow theta' = -c grad E that the scheme follows: 1 / (1 - beta)."""
        return 1 / (1 - self.momentum)

    def init(self, problem: Problem, theta: Array) -> MomentumState:
        """Return the state at rest."""
        return MomentumState(theta, array_namespace(theta).zeros_like(theta))

    def step(self, problem: Problem, state: MomentumState, dt: Scalar) -> MomentumState:
        """Return the state one step of size dt later."""
        y = nesterov_point(state.theta, state.d, beta=self.momentum)
        _, g = problem.energy_and_gradient(y)
        return MomentumState(*nesterov_update(state.theta, state.d, g, dt=dt, beta=self.momentum))
