r"""Adam: averages of the gradient and of its square, coordinate by coordinate.

With ``g`` the gradient of E at ``theta^{n-1}``, all operations element by element, started from m = v = 0:

.. math::
   m^n &= \beta_1 m^{n-1} + (1 - \beta_1)\,g, & \hat m &= m^n / (1 - \beta_1^n),                    \tag{1} \\
   v^n &= \beta_2 v^{n-1} + (1 - \beta_2)\,g^2, & \hat v &= v^n / (1 - \beta_2^n),                     \tag{2}

.. math:: \theta^n = \theta^{n-1} - \Delta t\,\frac{\hat m}{\sqrt{\hat v} + \varepsilon}.              \tag{3}

dt is the learning rate, in the units of theta: it is the length of a step, not a time. The first step is
``-dt sign(g)`` up to epsilon. For fixed beta1, beta2 and dt -> 0, n dt = t, the averages forget faster than
theta moves, and the iterates follow

.. math:: \theta' = -\frac{g}{|g| + \varepsilon}                                                       \tag{4}

to first order as long as no component of g changes sign: the flow of the signs, not the gradient flow.

Inner product. g is the gradient that the problem returns, with respect to *its* inner product. In a diagonal
one, ``(u, v)_M = sum(m_i u_i v_i)``, that is the partial derivative divided by ``m_i``, which cancels from
the quotient in (3) but for epsilon: Adam is nearly, not exactly, invariant to the scale of the inner product
(epsilon acts on the partial derivatives as ``m_i epsilon``). An energy part L is explicit here, counted in g:
a weight decay passes through the averages, as in the original and unlike AdamW.

========  ======  =======
symbol    code    shape
========  ======  =======
theta     theta   (P,)
m         m       (P,)
v         v       (P,)
g         g       (P,)
n         n       int
========  ======  =======

Source: Kingma & Ba, ICLR (2015), arXiv:1412.6980, Algorithm 1; epsilon stands outside the root.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ..doors import plain_numbers, require_in, require_positive
from ..linear import Scalar
from ..namespace import Array, array_namespace
from ..problem import Problem

__all__ = ["Adam", "AdamState", "adam_update"]


class AdamState(NamedTuple):
    """State of `Adam`."""

    theta: Array
    """Parameters, (P,)."""
    m: Array
    """Average of the gradient, (P,)."""
    v: Array
    """Average of its square, (P,)."""
    n: int
    """Steps taken."""


def adam_update(
    theta: Array, m: Array, v: Array, g: Array, n: int, *, dt: Scalar, beta1: float, beta2: float, eps: float
) -> tuple[Array, Array, Array]:
    """Return theta_new, m_new, v_new, each (P,), of equations (1) to (3).

    Parameters
    ----------
    theta : array (P,)
        Parameters at the old time.
    m : array (P,)
        Average of the gradients.
    v : array (P,)
        Average of their squares.
    g : array (P,)
        Gradient of E at theta.
    n : int
        Number of this step, >= 1.
    dt : float or 0-d array
        Learning rate, > 0.
    beta1, beta2 : float
        Rates of the averages, in [0, 1).
    eps : float
        The constant epsilon, > 0, in the units of the gradient.
    """
    xp = array_namespace(theta, g)
    m_new = beta1 * m + (1 - beta1) * g  # (1)
    v_new = beta2 * v + (1 - beta2) * (g * g)  # (2)
    m_hat = m_new / (1 - beta1**n)  # (1)
    v_hat = v_new / (1 - beta2**n)  # (2)
    return theta - dt * (m_hat / (xp.sqrt(v_hat) + eps)), m_new, v_new  # (3)


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Adam, equations (1) to (3); dt is the learning rate.

    Parameters
    ----------
    beta1, beta2 : float
        Rates of the averages, in [0, 1), dimensionless.
    eps : float
        The constant epsilon of (3), > 0, in the units of the gradient.

    Raises
    ------
    ValueError
        If a rate is outside [0, 1) or eps is not positive.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        plain_numbers(self)
        require_in("beta1", self.beta1, 0.0, 1.0, open_end=True)
        require_in("beta2", self.beta2, 0.0, 1.0, open_end=True)
        require_positive("eps", self.eps)

    def init(self, problem: Problem, theta: Array) -> AdamState:
        """Return the state with empty averages."""
        zero = array_namespace(theta).zeros_like(theta)
        return AdamState(theta, zero, zero, 0)

    def step(self, problem: Problem, state: AdamState, dt: Scalar) -> AdamState:
        """Return the state one step of learning rate dt later."""
        n = state.n + 1
        _, g = problem.energy_and_gradient(state.theta)
        theta, m, v = adam_update(
            state.theta, state.m, state.v, g, n, dt=dt, beta1=self.beta1, beta2=self.beta2, eps=self.eps
        )
        return AdamState(theta, m, v, n)
