r"""Adagrad: the gradient divided by the root of the sum of all its squares, coordinate by coordinate.

With ``g`` the gradient of E at ``theta^n``, all operations element by element, started from v = 0:

.. math::
   v^{n+1} &= v^n + g^2,                                                                            \tag{1} \\
   \theta^{n+1} &= \theta^n - \Delta t\,\frac{g}{\sqrt{v^{n+1}} + \varepsilon}.                        \tag{2}

dt is the learning rate, in the units of theta. The first step is ``-dt sign(g)`` up to epsilon, and steps
shrink like ``1 / sqrt(n)``: time here is ``t = n dt^2``. For dt -> 0 at fixed t (and negligible epsilon) the
iterates follow to first order in dt

.. math:: \theta' = -\frac{g}{\sqrt{w}}, \qquad w' = g^2, \quad w(0) = 0,                              \tag{3}

which leaves theta(0) like ``-2 sqrt(t) sign(g)``.

Inner product. g is the gradient that the problem returns, with respect to its inner product. A diagonal one
cancels from the quotient in (2), except in the term epsilon. An energy part L is explicit and included in g.

=======  =====  ========================
symbol   code   shape
=======  =====  ========================
theta    theta  (P,)
v        v      (P,)
g        g      (P,)
dt       dt     0-d, > 0, units of theta
epsilon  eps    number > 0, units of g
=======  =====  ========================

Source: Duchi, Hazan & Singer, J. Mach. Learn. Res. 12 (2011) 2121, with the diagonal matrix and no
constraint; their delta is epsilon, outside the root. The default 1e-10 is PyTorch's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..energies.linear import Scalar
from ..energies.protocols import Problem
from ..namespace import Array, array_namespace
from ..refusals import plain_numbers, real_number
from .rmsprop import SquaresState

__all__ = ["Adagrad", "adagrad_update"]


def adagrad_update(theta: Array, v: Array, g: Array, *, dt: Scalar, eps: Scalar) -> tuple[Array, Array]:
    """Return theta_new (P,) and v_new (P,) of equations (1) and (2)."""
    xp = array_namespace(theta, g)
    v_new = v + g * g  # (1)
    return theta - dt * (g / (xp.sqrt(v_new) + eps)), v_new  # (2)


@dataclass(frozen=True, kw_only=True)
class Adagrad:
    """Adagrad with a diagonal matrix, equations (1) and (2); dt is the learning rate.

    Parameters
    ----------
    eps : float
        The constant epsilon of (2), > 0, in the units of the gradient.

    Raises
    ------
    ValueError
        If eps is not positive.
    """

    eps: float = 1e-10
    speed: ClassVar[None] = None  # its flow is that of a normalised gradient, in another time

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("eps", self.eps, 0, open_low=True)

    def init(self, problem: Problem, theta: Array) -> SquaresState:
        """Return the state with a zero sum."""
        return SquaresState(theta, array_namespace(theta).zeros_like(theta))

    def step(self, problem: Problem, state: SquaresState, dt: Scalar) -> SquaresState:
        """Return the state one step of learning rate dt later."""
        _, g = problem.energy_and_gradient(state.theta)
        return SquaresState(*adagrad_update(state.theta, state.v, g, dt=dt, eps=self.eps))
