r"""RMSProp: the gradient divided by a running root mean square of itself, coordinate by coordinate.

With ``g`` the gradient of E at ``theta^n``, all operations element by element, started from v = 0:

.. math::
   v^{n+1} &= \alpha v^n + (1 - \alpha)\,g^2,                                                       \tag{1} \\
   \theta^{n+1} &= \theta^n - \Delta t\,\frac{g}{\sqrt{v^{n+1}} + \varepsilon}.                        \tag{2}

dt is the learning rate, in the units of theta. The start from v = 0 is not corrected. The first step is therefore
``1 / sqrt(1 - alpha)`` times too long, ``-dt sign(g) / sqrt(1 - alpha)`` up to epsilon; `Adam` with beta1 = 0 corrects
this. For fixed alpha and dt -> 0 the iterates follow ``theta' = -g / (|g| + epsilon)``, as
those of `Adam` do.

The decay alpha is 0.9 in the lecture and by default here, and 0.99 in PyTorch. The lecture has no epsilon. PyTorch has
the epsilon of (2), 1e-8, outside the root.

Inner product. g is the gradient that the problem returns, with respect to its inner product. A diagonal one
cancels from the quotient in (2), except in the term epsilon. An energy part L is explicit and included in g.

=======  =====  ========================
symbol   code   shape
=======  =====  ========================
theta    theta  (P,)
v        v      (P,)
g        g      (P,)
dt       dt     0-d, > 0, units of theta
alpha    decay  number in [0, 1)
epsilon  eps    number > 0, units of g
=======  =====  ========================

Source: Tieleman & Hinton, Lecture 6.5, Neural Networks for Machine Learning, COURSERA (2012).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from ..energies.linear import Scalar
from ..energies.protocols import Problem
from ..namespace import Array, array_namespace
from ..refusals import plain_numbers, real_number

__all__ = ["RMSProp", "SquaresState", "rmsprop_update"]


class SquaresState(NamedTuple):
    """State of `RMSProp` and `Adagrad`."""

    theta: Array
    """Parameters, (P,)."""
    v: Array
    """Average (RMSProp) or sum (Adagrad) of the squared gradients, (P,)."""


def rmsprop_update(theta: Array, v: Array, g: Array, *, dt: Scalar, decay: Scalar, eps: Scalar) -> tuple[Array, Array]:
    """Return theta_new (P,) and v_new (P,) of equations (1) and (2)."""
    xp = array_namespace(theta, g)
    v_new = decay * v + (1 - decay) * (g * g)  # (1)
    return theta - dt * (g / (xp.sqrt(v_new) + eps)), v_new  # (2)


@dataclass(frozen=True, kw_only=True)
class RMSProp:
    """RMSProp, equations (1) and (2); dt is the learning rate.

    Parameters
    ----------
    decay : float
        The decay alpha, in [0, 1), dimensionless; 0.9 is the lecture's, 0.99 PyTorch's.
    eps : float
        The constant epsilon of (2), > 0, in the units of the gradient.

    Raises
    ------
    ValueError
        If the decay is outside [0, 1) or eps is not positive.
    """

    decay: float = 0.9
    eps: float = 1e-8
    speed: ClassVar[None] = None  # its flow is that of a normalised gradient

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("decay", self.decay, 0, 1, open_high=True)
        real_number("eps", self.eps, 0, open_low=True)

    def init(self, problem: Problem, theta: Array) -> SquaresState:
        """Return the state with a zero average."""
        return SquaresState(theta, array_namespace(theta).zeros_like(theta))

    def step(self, problem: Problem, state: SquaresState, dt: Scalar) -> SquaresState:
        """Return the state one step of learning rate dt later."""
        _, g = problem.energy_and_gradient(state.theta)
        return SquaresState(*rmsprop_update(state.theta, state.v, g, dt=dt, decay=self.decay, eps=self.eps))
