r"""Adaptive IEQ: the matrix of IEQ replaced by one number, so that there is no linear system to solve.

With ``g`` the gradient and E the energy at ``theta^n``,

.. math::
   \theta^{n+1} = \theta^n - \Delta t\,\alpha\, g, \qquad \rho^{n+1} = \alpha \rho^n,                      \tag{1}

where rho is an approximation of ``|q|``. There are two forms of alpha:

.. math::
   \text{invariant:}\quad \alpha &= \frac{1}{1 + \Delta t\,|g|_M^2 / (2E + \varepsilon)},                \tag{2} \\
   \text{printed:}\quad   \alpha &= \frac{1}{1 + \Delta t\,|g|_M^2 / (\rho^2 + \varepsilon)}.              \tag{3}

For ``E = |q|^2 / 2`` and ``rho = |q|`` the two agree, and ``|g|^2 / |q|^2`` is the Rayleigh quotient of the Gram matrix
``G = J J^*`` at q. Then (1) is full `IEQ` if q is an eigenvector, and otherwise approximates it by a multiple of q.
Form (2) depends on the energy only, and therefore has the same meaning for a sum, a mean or a cross-entropy. For an
energy without a linear part it *is* ``Restart(SAV(C=eps / 2))``; here a linear part is included in E and g. Form (3)
uses the stored rho, in the units of the unscaled residual ``f - y``. With a mean loss over N samples its damping is N /
2 times too weak, and once rho has become smaller than the true residual its step is too short. Neither form lowers the
true energy for every dt, not even for linear f: with the Gram matrix diag(1, 100), q = (1, 0.05) and dt = 10, E rises
from 0.501 to 6.74.

Identity, with ``d`` the increment and ``w = 2E`` in (2), ``w = (rho^n)^2`` in (3):

.. math::
   \tfrac12(\rho^{n+1})^2 - \tfrac12(\rho^n)^2 = -\frac{(\rho^n)^2}{w + \varepsilon}\,\frac{|d|_M^2}{\Delta t}
   - \tfrac12(\rho^{n+1} - \rho^n)^2.                                                                    \tag{4}

Modified equation (`gradflow.backward_error`). With H the Hessian, form (2) has

.. math:: \theta' = -\Bigl(1 - \frac{\Delta t\,|g|_M^2}{2E + \varepsilon}\Bigr)\,g - \tfrac{\Delta t}{2} H g + O(\Delta t^2),  \tag{5}

the orbits of ``E + (dt / 4) |g|_M^2`` with another clock.

========  =====  =============================
symbol    code   shape
========  =====  =============================
theta     theta  (P,)
rho       rho    0-d
g         g      (P,)
w         w      0-d
dt        dt     0-d, > 0
epsilon   eps    0-d, > 0, units of the energy
(u, v)_M  inner  map to 0-d
========  =====  =============================

Source: "Empirical evaluation of energy-stable gradient-flow methods in deep learning", section 2.2.5 B, for (3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..energies.linear import Scalar
from ..energies.protocols import Problem, problem_ability
from ..namespace import Array, array_namespace, no_infinity
from ..refusals import one_of, plain_numbers, real_number
from .protocols import EnergyTerms
from .relaxation import Quadratic
from .state import AuxState

__all__ = ["AdaptiveIEQ", "adaptive_ieq_update"]


def adaptive_ieq_update(
    theta: Array,
    rho: Array,
    g: Array,
    w: Array,
    *,
    dt: Scalar,
    eps: Scalar,
    inner: Callable[[Array, Array], Array],
) -> tuple[Array, Array]:
    """Return theta_new (P,) and rho_new (0-d) of equation (1)."""
    alpha = 1 / no_infinity(1 + dt * inner(g, g) / (w + eps))  # (2), (3)
    return theta - (dt * alpha) * g, alpha * rho  # (1)


@dataclass(frozen=True, kw_only=True)
class AdaptiveIEQ:
    """Adaptive IEQ, equations (1) to (3).

    Parameters
    ----------
    eps : float
        The constant epsilon, > 0, in the units of the energy.
    form : {"invariant", "printed"}
        Equation (2) or (3).

    Raises
    ------
    ValueError
        If eps is not positive, the form is unknown, or (at `init`) the energy is negative.
    """

    eps: float = 1e-8
    form: str = "invariant"

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("eps", self.eps, 0, open_low=True)
        one_of("form", self.form, ("invariant", "printed"))

    def _units(self, problem: Problem) -> float:
        """Return |f - y|^2 / (2 E), which is 1 except for the printed form with a scaled residual."""
        scale: float = problem_ability(problem, "residual_scale")
        return 1 if self.form == "invariant" else 1 / scale**2

    def init(self, problem: Problem, theta: Array) -> AuxState:
        """Return the state (theta, rho)."""
        if not bool(problem.energy(theta) >= 0):
            raise ValueError(f"AdaptiveIEQ needs an energy >= 0, got {float(problem.energy(theta)):.6g}")
        return AuxState(theta, self.auxiliary(problem, theta))

    def auxiliary(self, problem: Problem, theta: Array) -> Array:
        """Return rho = sqrt(2 E), in the units of f - y for the printed form, 0-d."""
        return array_namespace(theta).sqrt(2 * problem.energy(theta) * self._units(problem))

    def undefined(self, problem: Problem, theta: Array) -> str:
        """Return why rho is not defined at theta, "" where it is."""
        return "" if bool(problem.energy(theta) >= 0) else "the energy is negative, so rho = sqrt(2 E) is not defined"

    def step(self, problem: Problem, state: AuxState, dt: Scalar) -> AuxState:
        """Return the state one step of size dt later."""
        E, g = problem.energy_and_gradient(state.theta)
        consistent = array_namespace(g).sqrt(2 * E * self._units(problem))  # NaN for a negative energy, in both forms
        rho = consistent if state.aux is None else state.aux
        w = consistent**2 if self.form == "invariant" else rho**2 + 0 * consistent
        theta, rho = adaptive_ieq_update(state.theta, rho, g, w, dt=dt, eps=self.eps, inner=problem.inner)
        return AuxState(theta, rho)

    def modified_energy(self, problem: Problem, state: AuxState) -> Array:
        """Return rho^2 / 2, 0-d (in the units of f - y for the printed form)."""
        rho = self.auxiliary(problem, state.theta) if state.aux is None else state.aux
        return rho**2 / 2

    def dissipation(self, problem: Problem, theta: Array, theta_new: Array, dt: Scalar) -> Array:
        """Return ``|d|_M^2 / dt``, 0-d: the guaranteed drop of (4) when rho is consistent and eps negligible."""
        d = theta_new - theta
        return problem.inner(d, d) / dt

    def law(self, problem: Problem, state: AuxState) -> Quadratic:
        """Return the law of the auxiliary variable: the modified energy holds ``rho^2 / 2``."""
        return Quadratic(0.5)

    def energy_terms(self, problem: Problem, state: AuxState, new: AuxState, dt: Scalar) -> EnergyTerms:
        """Return both terms of the identity (4)."""
        consistent = self.auxiliary(problem, state.theta)
        rho = consistent if state.aux is None else state.aux
        w = consistent**2 if self.form == "invariant" else rho**2
        drop = self.dissipation(problem, state.theta, new.theta, dt)
        return EnergyTerms((rho**2 / (w + self.eps)) * drop, (new.aux - rho) ** 2 / 2)
