r"""The heavy-ball method: gradient descent with momentum.

With ``g`` the gradient of E at ``theta^n`` and a momentum ``0 <= beta < 1``,

.. math:: \theta^{n+1} = \theta^n - \Delta t\,g + \beta\,(\theta^n - \theta^{n-1}),                    \tag{1}

started from rest, ``theta^{-1} = theta^0``. The state stores the increment ``d^n = theta^n - theta^{n-1}``,

.. math:: d^{n+1} = \beta d^n - \Delta t\,g, \qquad \theta^{n+1} = \theta^n + d^{n+1},                 \tag{2}

since the difference of two stored iterates would lack the digits of a small step.

Time. Summing (2), ``d^{n+1} = -dt (g^n + beta g^{n-1} + beta^2 g^{n-2} + ...)``: each gradient acts
``1 / (1 - beta)`` times in all. For fixed beta and dt -> 0, n dt = t, the iterates follow to first order

.. math:: \theta' = -\frac{1}{1 - \beta}\,\nabla E(\theta),                                            \tag{3}

the gradient flow ten times as fast for beta = 0.9; compare with gradient descent of step ``dt / (1 - beta)``.
There is inertia only if beta tends to 1 as dt tends to 0: for ``dt = h^2`` and ``beta = 1 - a h``, (1) is a
discretisation of ``theta'' + a theta' = -grad E`` with step h. On a quadratic with eigenvalues k the
iteration converges exactly when ``0 < dt k < 2 (1 + beta)``.

Modified equation (`gradflow.backward_error`). On the slow manifold, with H the Hessian,

.. math:: \theta' = -\frac{1}{1 - \beta}\Bigl(g + \frac{\Delta t\,(1 + \beta)}{2(1 - \beta)^2}\,H g\Bigr)
          + O(\Delta t^2),                                                                            \tag{4}

the flow of ``E + dt (1 + beta) / (4 (1 - beta)^2) |g|_M^2``.

For beta > 0 the energy E need not fall. An energy part L is explicit and included in g, the gradient with respect to
the problem's inner product.

======  =====  ================
symbol  code   shape
======  =====  ================
theta   theta  (P,)
d       d      (P,)
g       g      (P,)
dt      dt     0-d, > 0
beta    beta   number in [0, 1)
======  =====  ================

Source: Polyak, USSR Comput. Math. Math. Phys. 4 (1964) no. 5, 1. Deep-learning libraries keep ``-d / dt``
instead of d, which is the same method for constant dt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ..energies.linear import Scalar
from ..energies.protocols import Problem
from ..namespace import Array, array_namespace
from ..refusals import plain_numbers, real_number

__all__ = ["HeavyBall", "MomentumState", "heavy_ball_update"]


class MomentumState(NamedTuple):
    """State of `HeavyBall` and `Nesterov`."""

    theta: Array
    """Parameters, (P,)."""
    d: Array
    """The last increment theta^n - theta^{n-1}, (P,); 0 at the start."""


def heavy_ball_update(theta: Array, d: Array, g: Array, *, dt: Scalar, beta: Scalar) -> tuple[Array, Array]:
    """Return theta_new (P,) and d_new (P,) of equation (2)."""
    d_new = beta * d - dt * g  # (2)
    return theta + d_new, d_new  # (2)


@dataclass(frozen=True, kw_only=True)
class HeavyBall:
    """Polyak's heavy ball, equation (2).

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
        _, g = problem.energy_and_gradient(state.theta)
        return MomentumState(*heavy_ball_update(state.theta, state.d, g, dt=dt, beta=self.momentum))
