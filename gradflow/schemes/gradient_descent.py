r"""Gradient descent: explicit Euler for F, implicit Euler for the energy part.

The energy is ``E = (theta, L theta)_M / 2 + F``. With ``g`` the gradient of F at ``theta^n`` and a
stabilization S that is added implicitly and subtracted explicitly,

.. math::
   \frac{\theta^{n+1} - \theta^n}{\Delta t} = -L\theta^{n+1} - S(\theta^{n+1} - \theta^n) - g,         \tag{1}

that is, with ``A = I + dt (L + S)``,

.. math:: \theta^{n+1} = \theta^n - \Delta t\,A^{-1}(L\theta^n + g).                                   \tag{2}

For L = S = 0 this is ``theta - dt g``; `SAV` is the same step with ``(r^{n+1} / R) g`` in place of g. Energy
balance, for every dt > 0, with ``d = theta^{n+1} - theta^n``:

.. math::
   E(\theta^{n+1}) - E(\theta^n) = -\frac{|d|_M^2}{\Delta t} - (Sd, d)_M - \tfrac12(Ld, d)_M
   + \bigl[F(\theta^n + d) - F(\theta^n) - (g, d)_M\bigr].                                             \tag{3}

If the gradient of F has the Lipschitz constant K (in the problem's inner product), the bracket is at most
``K |d|^2 / 2``. The energy then falls for ``dt <= 2 / K``, and for every dt > 0 if ``S >= K / 2``. Without a
K there is no guarantee; the other schemes of this library do not need one.

Modified equation (`gradflow.backward_error`). For L = 0 and S = lambda I, with H the Hessian,

.. math:: \theta' = -(1 - \Delta t\,\lambda)\,g - \tfrac{\Delta t}{2} H g + O(\Delta t^2),               \tag{4}

the flow of ``E + (dt / 4) |g|_M^2``, run ``1 - dt lambda`` times as fast. From the next term on there is no modified loss.

=======  =======  ====================
symbol   code     shape
=======  =======  ====================
theta    theta    (P,)
g        g        (P,)
L theta  L_theta  (P,); None for L = 0
dt       dt       0-d, > 0
A^{-1}   solve    map (P,)
=======  =======  ====================

Source: Cauchy, C. R. Acad. Sci. Paris 25 (1847) 536, for L = S = 0; for (3) with S, the linear stabilization
of Shen & Yang, Discrete Contin. Dyn. Syst. 28 (2010) 1669.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..energies.linear import LinearPart, Scalar, add, as_linear_part
from ..energies.protocols import Problem, linear_part, nonlinear_energy_and_gradient
from ..namespace import Array
from ..refusals import plain_numbers
from .state import FlowState

__all__ = ["GradientDescent", "gradient_descent_update"]


def gradient_descent_update(
    theta: Array, g: Array, L_theta: Array | None = None, *, dt: Scalar, solve: Callable[[Array], Array]
) -> Array:
    """Return theta_new (P,) of equation (2)."""
    f = g if L_theta is None else L_theta + g
    return theta - dt * solve(f)  # (2)


@dataclass(frozen=True, kw_only=True)
class GradientDescent:
    """Gradient descent with implicit linear parts, equation (2).

    Parameters
    ----------
    stabilization : float or LinearPart
        S of equation (1), 1 / time; a number means that multiple of the identity.

    Raises
    ------
    ValueError
        If the stabilization is negative, or (at `init`) if its sum with the problem's energy part is not known.
    """

    stabilization: float | LinearPart = 0.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        as_linear_part(self.stabilization, "stabilization")

    def _implicit_part(self, problem: Problem) -> LinearPart:
        return add(linear_part(problem), as_linear_part(self.stabilization, "stabilization"))

    def init(self, problem: Problem, theta: Array) -> FlowState:
        """Return the state (theta,)."""
        self._implicit_part(problem)
        return FlowState(theta)

    def step(self, problem: Problem, state: FlowState, dt: Scalar) -> FlowState:
        """Return the state one step of size dt later."""
        theta, L = state.theta, linear_part(problem)
        A = self._implicit_part(problem)
        _, g = nonlinear_energy_and_gradient(problem, theta)
        L_theta = None if L.scalar == 0 else L.apply(theta)
        return FlowState(gradient_descent_update(theta, g, L_theta, dt=dt, solve=lambda u: A.solve_shifted(u, dt)))
