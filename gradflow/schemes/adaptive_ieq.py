r"""Adaptive IEQ: the matrix of IEQ replaced by one number, so that no linear system is left.

With ``g`` the gradient and E the energy at ``theta^n``,

.. math::
   \theta^{n+1} = \theta^n - \Delta t\,\alpha\, g, \qquad \rho^{n+1} = \alpha \rho^n,                      \tag{1}

where rho stands for ``|q|``. Two forms of alpha:

.. math::
   \text{invariant:}\quad \alpha &= \frac{1}{1 + \Delta t\,|g|_M^2 / (2E + \varepsilon)},                \tag{2} \\
   \text{printed:}\quad   \alpha &= \frac{1}{1 + \Delta t\,|g|_M^2 / (\rho^2 + \varepsilon)}.              \tag{3}

For ``E = |q|^2 / 2`` and ``rho = |q|`` they agree, and ``|g|^2 / |q|^2`` is the Rayleigh quotient of the Gram matrix ``G = J J^*`` at
q: (1) is full `IEQ` when q is an eigenvector, and an approximation of it by a multiple of q otherwise. (2) depends on the
energy alone, so it means the same for a sum, a mean or a cross-entropy, and it *is* ``Restart(SAV(C=eps / 2))`` for an energy
without a linear part (which is counted in E and g here). (3) takes rho as stored and in the units of the unscaled residual
``f - y``: with a mean loss over N samples it damps N / 2 times too weakly, and once rho has shrunk past the true residual its
step is too short. Neither lowers the true energy for every dt, not even for linear f: Gram matrix diag(1, 100),
q = (1, 0.05), dt = 10 takes E from 0.501 to 6.74.

Identity, with ``d`` the increment and ``w = 2E`` in (2), ``w = (rho^n)^2`` in (3):

.. math::
   \tfrac12(\rho^{n+1})^2 - \tfrac12(\rho^n)^2 = -\frac{(\rho^n)^2}{w + \varepsilon}\,\frac{|d|_M^2}{\Delta t}
   - \tfrac12(\rho^{n+1} - \rho^n)^2.                                                                    \tag{4}

======  ======  =======
symbol  code    shape
======  ======  =======
theta   theta   (P,)
rho     rho     0-d
g       g       (P,)
w       w       0-d
======  ======  =======

Source: "Empirical evaluation of energy-stable gradient-flow methods in deep learning", section 2.2.5 B, for (3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..energies.linear import Scalar
from ..energies.protocols import Problem
from ..namespace import Array, array_namespace
from ..refusals import plain_numbers, require_one_of, require_positive
from .protocols import EnergyTerms, Slack
from .relaxation import Blend, relax_quadratic
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
    """Return theta_new (P,) and rho_new (0-d) of equation (1).

    Parameters
    ----------
    theta : array (P,)
        Parameters at the old time.
    rho : 0-d array
        Auxiliary variable.
    g : array (P,)
        Gradient of E at theta.
    w : 0-d array
        2 E for alpha of (2), rho^2 for that of (3).
    dt : float or 0-d array
        Step size, > 0.
    eps : float or 0-d array
        The constant epsilon, > 0, in the units of the energy.
    inner : callable
        Maps (u, v) to (u, v)_M, 0-d.
    """
    alpha = 1 / (1 + dt * inner(g, g) / (w + eps))  # (2), (3)
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
        require_positive("eps", self.eps)
        require_one_of("form", self.form, ("invariant", "printed"))

    def _units(self, problem: Problem) -> float:
        """Return |f - y|^2 / (2 E): 1 unless the printed form meets a scaled residual."""
        scale: float = getattr(problem, "residual_scale", 1.0)
        return 1.0 if self.form == "invariant" else 1 / scale**2

    def init(self, problem: Problem, theta: Array) -> AuxState:
        """Return the state (theta, rho)."""
        if not bool(problem.energy(theta) >= 0):
            raise ValueError(f"AdaptiveIEQ needs an energy >= 0, got {float(problem.energy(theta)):.6g}")
        return AuxState(theta, self.auxiliary(problem, theta))

    def auxiliary(self, problem: Problem, theta: Array) -> Array:
        """Return rho = sqrt(2 E), in the units of f - y for the printed form, 0-d."""
        return array_namespace(theta).sqrt(2 * problem.energy(theta) * self._units(problem))

    def admissible(self, problem: Problem, theta: Array) -> bool:
        """Return True where rho is defined.

        Parameters
        ----------
        problem : Problem
            The energy.
        theta : array (P,)
            Where.

        Returns
        -------
        bool
            Whether E >= 0.
        """
        return bool(problem.energy(theta) >= 0)

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

    def energy_terms(self, problem: Problem, state: AuxState, new: AuxState, dt: Scalar) -> EnergyTerms:
        """Return both terms of the identity (4)."""
        consistent = self.auxiliary(problem, state.theta)
        rho = consistent if state.aux is None else state.aux
        w = consistent**2 if self.form == "invariant" else rho**2
        drop = self.dissipation(problem, state.theta, new.theta, dt)
        return EnergyTerms((rho**2 / (w + self.eps)) * drop, (new.aux - rho) ** 2 / 2)

    def relax(
        self,
        aux: Array,
        intermediate: Array,
        consistent: Array,
        slack: Slack,
        *,
        eta: float,
        orientation: str,
    ) -> Blend:
        """Return the relaxed rho; the constraint is on rho^2, twice the energy."""
        del aux, eta
        return relax_quadratic(intermediate, consistent, 2 * slack(), orientation=orientation)
