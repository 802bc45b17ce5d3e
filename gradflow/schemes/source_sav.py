r"""SAV with a passive auxiliary variable, as printed in two of the source documents ("scheme B").

With ``g`` the gradient and E the energy at ``theta^n``, ``A = I + dt S`` and S the stabilization:

.. math::
   r^{n+1} &= \frac{r^n}{1 + \Delta t\,(g, A^{-1}g)_M / (2(E + C))},                                     \tag{1} \\
   \theta^{n+1} &= \theta^n - \Delta t\,\frac{r^{n+1}}{r^n}\,A^{-1} g.                                   \tag{2}

Equation (2) divides by ``r^n``, in place of ``sqrt(E + C)`` in `SAV`. Then r cancels from (2): **for L = 0, theta has
the iterates of restarted SAV for any r**. (`SAV` treats L implicitly.) The variable r is a diagnostic that never rises:
it may tend to 0 without any effect on theta, and carries no information about E. The identity that holds is

.. math::
   (r^{n+1})^2 - (r^n)^2 = -\frac{(r^n)^2}{E + C}\Bigl(\frac{|d|_M^2}{\Delta t} + (Sd, d)_M\Bigr) - (r^{n+1} - r^n)^2,
   \qquad d = \theta^{n+1} - \theta^n.                                                                   \tag{3}

An energy part L is included in E and g, since these documents print the scheme without one.

Modified equation (`gradflow.backward_error`). For L = S = 0 that of restarted `SAV`, for every r: with H the Hessian,

.. math:: \theta' = -\Bigl(1 - \frac{\Delta t\,|g|_M^2}{2(E + C)}\Bigr)\,g - \tfrac{\Delta t}{2} H g + O(\Delta t^2).  \tag{4}

========  =====  ========================
symbol    code   shape
========  =====  ========================
theta     theta  (P,)
r         r      0-d
g         g      (P,)
E         E      0-d
dt        dt     0-d, > 0
C         C      0-d, units of the energy
(u, v)_M  inner  map to 0-d
A^{-1}    solve  map (P,)
========  =====  ========================

Source: "Empirical evaluation of energy-stable gradient-flow methods in deep learning", section 2.2.3; "Efficient and
Stable Methods for Deep Learning in Gradient Flows", section 1. (Section 2.5.1 of the first derives `SAV` instead.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..energies.linear import LinearPart, Scalar, Zero, as_linear_part, dissipation
from ..energies.protocols import Problem
from ..namespace import Array, array_namespace, no_infinity
from ..refusals import plain_numbers, real_number
from .protocols import EnergyTerms
from .relaxation import Quadratic
from .sav import NO_ROOT, require_admissible
from .state import AuxState

__all__ = ["SourceSAV", "source_sav_update"]


def source_sav_update(
    theta: Array,
    r: Array,
    g: Array,
    E: Array,
    *,
    dt: Scalar,
    C: Scalar,
    inner: Callable[[Array, Array], Array],
    solve: Callable[[Array], Array],
) -> tuple[Array, Array]:
    """Return theta_new (P,) and r_new (0-d) of equations (1) and (2), NaN if E + C < 0."""
    xp = array_namespace(theta, g)
    A_g = solve(g)
    R = xp.sqrt(E + C)  # NaN where the scheme is not defined
    ratio = 1 / no_infinity(
        1 + dt * inner(g, A_g) / (2 * R**2)
    )  # (1); formed first, so that r -> 0 stays harmless in (2)
    return theta - (dt * ratio) * A_g, r * ratio  # (2), (1)


@dataclass(frozen=True, kw_only=True)
class SourceSAV:
    """SAV with a passive auxiliary variable, equations (1) and (2); `SAV` is the method of the literature.

    Parameters
    ----------
    C : float
        Constant, in the units of the energy; ``E + C > 0`` is required.
    stabilization : float or LinearPart
        S, 1 / time; a number means that multiple of the identity.

    Raises
    ------
    ValueError
        If C is not finite, the stabilization is negative, or (at `init`) E + C <= 0.
    """

    C: float = 1.0
    stabilization: float | LinearPart = 0.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("C", self.C)
        as_linear_part(self.stabilization, "stabilization")

    def init(self, problem: Problem, theta: Array) -> AuxState:
        """Return the state (theta, sqrt(E + C))."""
        E = problem.energy(theta)
        require_admissible(E, self.C)
        return AuxState(theta, array_namespace(theta).sqrt(E + self.C))

    def auxiliary(self, problem: Problem, theta: Array) -> Array:
        """Return sqrt(E(theta) + C), 0-d."""
        return array_namespace(theta).sqrt(problem.energy(theta) + self.C)

    def undefined(self, problem: Problem, theta: Array) -> str:
        """Return why the auxiliary variable is not defined at theta, "" if it is defined."""
        return "" if bool(problem.energy(theta) + self.C > 0) else NO_ROOT

    def step(self, problem: Problem, state: AuxState, dt: Scalar) -> AuxState:
        """Return the state one step of size dt later."""
        E, g = problem.energy_and_gradient(state.theta)
        r = array_namespace(g).sqrt(E + self.C) if state.aux is None else state.aux
        S = as_linear_part(self.stabilization, "stabilization")
        solve = lambda u: S.solve_shifted(u, dt)  # noqa: E731
        theta, r = source_sav_update(state.theta, r, g, E, dt=dt, C=self.C, inner=problem.inner, solve=solve)
        return AuxState(theta, r)

    def modified_energy(self, problem: Problem, state: AuxState) -> Array:
        """Return r^2 - C, 0-d."""
        return problem.energy(state.theta) if state.aux is None else state.aux**2 - self.C

    def dissipation(self, problem: Problem, theta: Array, theta_new: Array, dt: Scalar) -> Array:
        """Return the bracket of (3), 0-d: the guaranteed drop of r^2 if r is consistent."""
        S = as_linear_part(self.stabilization, "stabilization")
        return dissipation(problem.inner, Zero(), S, theta_new - theta, dt)

    def law(self, problem: Problem, state: AuxState) -> Quadratic:
        """Return the law of the auxiliary variable: the modified energy is ``r^2``, which does not affect theta."""
        return Quadratic(1.0)

    def energy_terms(self, problem: Problem, state: AuxState, new: AuxState, dt: Scalar) -> EnergyTerms:
        """Return both terms of the identity (3)."""
        R2 = problem.energy(state.theta) + self.C
        r = array_namespace(new.theta).sqrt(R2) if state.aux is None else state.aux
        bracket = self.dissipation(problem, state.theta, new.theta, dt)
        return EnergyTerms((r**2 / R2) * bracket, (new.aux - r) ** 2)
