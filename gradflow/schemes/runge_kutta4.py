r"""The classical Runge-Kutta method of order four, for reference solutions of the gradient flow.

For ``theta' = -grad E(theta)``, E the whole energy and the gradient with respect to the problem's inner
product:

.. math::
   k_1 &= -\nabla E(\theta^n),  & k_2 &= -\nabla E(\theta^n + \tfrac{\Delta t}{2}k_1), \tag{1} \\
   k_3 &= -\nabla E(\theta^n + \tfrac{\Delta t}{2}k_2),  & k_4 &= -\nabla E(\theta^n + \Delta t\,k_3),  \tag{2}

.. math:: \theta^{n+1} = \theta^n + \frac{\Delta t}{6}\,(k_1 + 2k_2 + 2k_3 + k_4).                     \tag{3}

The error at a fixed time is ``O(dt^4)`` if E is five times differentiable. On a quadratic with
eigenvalue k a step multiplies by ``1 - z + z^2/2 - z^3/6 + z^4/24``, ``z = dt k``, which is stable for
``z <= 2.7853``. The energy need not fall, and an energy part L is explicit. The method gives reference solutions
over short times; it is not a scheme for training. A step costs four gradients.

Modified equation (`gradflow.backward_error`). ``theta' = -g + O(dt^4)``: there is no regularization ``|g|^2`` of first order.
The term of ``dt^4`` is no gradient.

======  ==============  ========
symbol  code            shape
======  ==============  ========
theta   theta           (P,)
k_i     k1, k2, k3, k4  (P,)
dt      dt              0-d, > 0
-grad   velocity        map (P,)
======  ==============  ========

Source: Kutta, Z. Math. Phys. 46 (1901) 435; Hairer, Norsett & Wanner, Solving Ordinary Differential Equations
I, section II.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from ..energies.linear import Scalar
from ..energies.protocols import Problem
from ..namespace import Array
from .state import FlowState

__all__ = ["RungeKutta4", "runge_kutta4_update"]


def runge_kutta4_update(theta: Array, *, dt: Scalar, velocity: Callable[[Array], Array]) -> Array:
    """Return theta_new (P,) of equation (3)."""
    k1 = velocity(theta)  # (1)
    k2 = velocity(theta + (dt / 2) * k1)  # (1)
    k3 = velocity(theta + (dt / 2) * k2)  # (2)
    k4 = velocity(theta + dt * k3)  # (2)
    return theta + (dt / 6) * (k1 + 2 * k2 + 2 * k3 + k4)  # (3)


@dataclass(frozen=True, kw_only=True)
class RungeKutta4:
    """The classical Runge-Kutta method, equations (1) to (3)."""

    order: ClassVar[int] = 4

    def init(self, problem: Problem, theta: Array) -> FlowState:
        """Return the state (theta,)."""
        return FlowState(theta)

    def step(self, problem: Problem, state: FlowState, dt: Scalar) -> FlowState:
        """Return the state one step of size dt later."""
        return FlowState(
            runge_kutta4_update(state.theta, dt=dt, velocity=lambda theta: -problem.energy_and_gradient(theta)[1])
        )
