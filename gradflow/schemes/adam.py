r"""Adam: averages of the gradient and of its square, coordinate by coordinate or in norm.

With ``g`` the gradient of E at ``theta^{n-1}``, started from m = v = 0:

.. math::
   m^n &= \beta_1 m^{n-1} + (1 - \beta_1)\,g, & \hat m &= m^n / (1 - \beta_1^n),                    \tag{1} \\
   v^n &= \beta_2 v^{n-1} + (1 - \beta_2)\,g^2, & \hat v &= v^n / (1 - \beta_2^n),                     \tag{2}

.. math:: \theta^n = \theta^{n-1} - \Delta t\,\frac{\hat m}{\sqrt{\hat v} + \varepsilon}.              \tag{3}

dt is the learning rate, in the units of theta. It is the length of a step, not a time. The first step is
``-dt sign(g)`` up to epsilon. For fixed beta1, beta2 and dt -> 0, n dt = t, the averages forget faster than
theta moves, and the iterates follow

.. math:: \theta' = -\frac{g}{|g| + \varepsilon}                                                       \tag{4}

to first order as long as no component of g changes sign: the flow of the signs, not the gradient flow.

All operations are element by element, except in one reading of (2). Eq. (3) of Ma, Mao & Shen, as printed, has one
number for all coordinates, from the squared norm of the problem:

.. math:: v^n = \beta_2 v^{n-1} + (1 - \beta_2)\,|g|_M^2.                                               \tag{5}

Then the first step has the length ``|d|_M = dt`` up to epsilon, and (4) holds with ``|g|_M`` for ``|g|``: the path of
the gradient flow at unit speed. Without a stabilization, `AdaptiveSAV` in the same reading tends to this method as its
constant C grows.

Inner product. g is the gradient that the problem returns, with respect to *its* inner product. In a diagonal one, ``(u,
v)_M = sum(m_i u_i v_i)``, it is the partial derivative divided by ``m_i``. The factor ``m_i`` cancels from the quotient
in (3), except in the term epsilon, which acts on the partial derivatives as ``m_i epsilon``. Adam is therefore nearly,
but not exactly, invariant to the scale of the inner product. In (5) the scale matters: with all ``m_i = c`` the step is
``1 / sqrt(c)`` times as long as in the Euclidean product. An energy part L is explicit here and included in g. A weight
decay passes through the averages, as in the original method and unlike AdamW.

============  ============  ========================
symbol        code          shape
============  ============  ========================
theta         theta         (P,)
m             m             (P,)
v             v             (P,), in (5) 0-d
g             g             (P,)
n             n             int >= 1
dt            dt            0-d, > 0, units of theta
beta1, beta2  beta1, beta2  numbers in [0, 1)
epsilon       eps           number > 0, units of g
============  ============  ========================

Source: Kingma & Ba, ICLR (2015), arXiv:1412.6980, Algorithm 1; epsilon is outside the root. For (5): Ma, Mao &
Shen, J. Comput. Phys. 505 (2024) 112911, eqs. (3)-(4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from ..energies.linear import Scalar
from ..energies.protocols import Problem
from ..namespace import Array, array_namespace
from ..refusals import one_of, plain_numbers, real_number

__all__ = ["Adam", "AdamState", "adam_update"]


class AdamState(NamedTuple):
    """State of `Adam`."""

    theta: Array
    """Parameters, (P,)."""
    m: Array
    """Average of the gradient, (P,)."""
    v: Array
    """Average of its square, (P,), or of its squared norm, 0-d."""
    n: int
    """Steps taken."""


def adam_update(
    theta: Array,
    m: Array,
    v: Array,
    g: Array,
    n: int,
    *,
    dt: Scalar,
    beta1: float,
    beta2: float,
    eps: float,
    square: Array | None = None,
) -> tuple[Array, Array, Array]:
    """Return theta_new (P,), m_new (P,), v_new (as v) of equations (1) to (3).

    Parameters
    ----------
    square : array, (P,) or 0-d, or None
        The quantity that (2) averages: g^2 by default, ``|g|_M^2`` for (5).
    """
    xp = array_namespace(theta, g)
    m_new = beta1 * m + (1 - beta1) * g  # (1)
    v_new = beta2 * v + (1 - beta2) * (g * g if square is None else square)  # (2), (5)
    m_hat = m_new / (1 - beta1**n)  # (1)
    v_hat = v_new / (1 - beta2**n)  # (2)
    return theta - dt * (m_hat / (xp.sqrt(v_hat) + eps)), m_new, v_new  # (3)


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Adam, equations (1) to (3); dt is the learning rate.

    Parameters
    ----------
    reading : {"elementwise", "norm"}
        Equation (2), which is Adam, or (5).
    beta1, beta2 : float
        Rates of the averages, in [0, 1), dimensionless.
    eps : float
        The constant epsilon of (3), > 0, in the units of the gradient.

    Raises
    ------
    ValueError
        If the reading is unknown, a rate outside [0, 1) or eps not positive.
    """

    reading: str = "elementwise"
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    speed: ClassVar[None] = None  # its flow is that of a normalised gradient

    def __post_init__(self) -> None:
        plain_numbers(self)
        one_of("reading", self.reading, ("elementwise", "norm"))
        real_number("beta1", self.beta1, 0, 1, open_high=True)
        real_number("beta2", self.beta2, 0, 1, open_high=True)
        real_number("eps", self.eps, 0, open_low=True)

    def init(self, problem: Problem, theta: Array) -> AdamState:
        """Return the state with empty averages."""
        zero = array_namespace(theta).zeros_like(theta)
        return AdamState(theta, zero, zero if self.reading == "elementwise" else problem.inner(zero, zero), 0)

    def step(self, problem: Problem, state: AdamState, dt: Scalar) -> AdamState:
        """Return the state one step of learning rate dt later."""
        n = state.n + 1
        _, g = problem.energy_and_gradient(state.theta)
        theta, m, v = adam_update(
            state.theta,
            state.m,
            state.v,
            g,
            n,
            dt=dt,
            beta1=self.beta1,
            beta2=self.beta2,
            eps=self.eps,
            square=None if self.reading == "elementwise" else problem.inner(g, g),
        )
        return AdamState(theta, m, v, n)
