r"""Element-wise SAV, known as AEGD (adaptive gradient descent with energy): one auxiliary variable per coordinate.

All coordinates start from ``r_i = sqrt(E + C)``. With ``g`` the gradient, ``R = sqrt(E + C)`` at ``theta^n``, ``m_i``
the diagonal of the inner product and ``A = I + dt S``, S a diagonal stabilization:

.. math::
   r_i^{n+1} &= \frac{r_i^n}{1 + \Delta t\, m_i\, g_i (A^{-1}g)_i / (2(E + C))},                          \tag{1} \\
   \theta_i^{n+1} &= \theta_i^n - \Delta t\,\frac{r_i^{n+1}}{R}\,(A^{-1}g)_i.                           \tag{2}

This is vanilla `SAV` applied in each coordinate, with a common R. For m = 1, S = 0, ``v = g / (2R)`` and ``dt = eta``
it is the AEGD iteration ``r / (1 + 2 eta v^2)``, ``theta - 2 eta r v``. Energy identity, for every dt > 0, with ``d``
the increment:

.. math::
   \tfrac1P \sum_i \bigl[(r_i^{n+1})^2 - (r_i^n)^2\bigr] =
   -\tfrac1P\Bigl(\frac{|d|_M^2}{\Delta t} + (Sd, d)_M\Bigr) - \tfrac1P\sum_i (r_i^{n+1} - r_i^n)^2.       \tag{3}

An energy part L is included in E and g.

======  =====  ========================
symbol  code   shape
======  =====  ========================
theta   theta  (P,)
r_i     r      (P,); None for R
g       g      (P,)
E       E      0-d, E + C > 0
dt      dt     0-d, > 0
C       C      0-d, units of the energy
m_i     mass   number or (P,)
A^{-1}  solve  map (P,)
======  =====  ========================

Source: Liu & Tian, AEGD: adaptive gradient descent with energy, Numer. Algebra Control Optim. (2023), Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from ..energies.linear import LinearPart, Scalar, Zero, as_linear_part, dissipation
from ..energies.protocols import Problem, problem_ability
from ..namespace import Array, array_namespace, no_infinity
from ..refusals import plain_numbers, real_number
from .protocols import EnergyTerms
from .relaxation import Quadratic
from .sav import NO_ROOT, require_admissible
from .state import AuxState

__all__ = ["ElementwiseSAV", "elementwise_sav_update"]


def elementwise_sav_update(
    theta: Array,
    r: Array | None,
    g: Array,
    E: Array,
    *,
    dt: Scalar,
    C: Scalar,
    mass: Array | float,
    solve: Callable[[Array], Array],
) -> tuple[Array, Array]:
    """Return theta_new (P,) and r_new (P,) of equations (1) and (2)."""
    xp = array_namespace(theta, g)
    R = xp.sqrt(E + C)
    r = R if r is None else r
    A_g = solve(g)
    r_new = r / no_infinity(1 + (dt * mass / (2 * (E + C))) * (g * A_g))  # (1)
    return theta - (dt / R) * (r_new * A_g), r_new  # (2)


@dataclass(frozen=True, kw_only=True)
class ElementwiseSAV:
    """Element-wise SAV (AEGD), equations (1) and (2). Vanilla: `Restart` and `Relaxed` wrap it.

    Parameters
    ----------
    C : float
        Constant, in the units of the energy; ``E + C > 0`` is required.
    stabilization : float or LinearPart
        S, 1 / time, diagonal; a number means that multiple of the identity.

    Raises
    ------
    ValueError
        If C is not finite or the stabilization is negative; at `init`, if E + C <= 0 or the problem's inner product is
        not diagonal.
    """

    C: float = 1.0
    stabilization: float | LinearPart = 0.0
    speed: ClassVar[None] = None  # each coordinate falls behind by its own r_i; restarted, it is the gradient flow

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("C", self.C)
        as_linear_part(self.stabilization, "stabilization")

    def init(self, problem: Problem, theta: Array) -> AuxState:
        """Return the state (theta, r) with every r_i = sqrt(E + C)."""
        if problem_ability(problem, "mass") is None:
            raise ValueError(
                "ElementwiseSAV needs a diagonal inner product: a problem with `mass`, got one with `inner`"
            )
        require_admissible(problem.energy(theta), self.C)
        return AuxState(theta, self.auxiliary(problem, theta))

    def auxiliary(self, problem: Problem, theta: Array) -> Array:
        """Return sqrt(E(theta) + C) in every coordinate, (P,)."""
        xp = array_namespace(theta)
        return xp.zeros_like(theta) + xp.sqrt(problem.energy(theta) + self.C)

    def undefined(self, problem: Problem, theta: Array) -> str:
        """Return why the auxiliary variable is not defined at theta, "" if it is defined."""
        return "" if bool(problem.energy(theta) + self.C > 0) else NO_ROOT

    def step(self, problem: Problem, state: AuxState, dt: Scalar) -> AuxState:
        """Return the state one step of size dt later."""
        E, g = problem.energy_and_gradient(state.theta)
        S = as_linear_part(self.stabilization, "stabilization")
        mass = problem_ability(problem, "mass")
        solve = lambda u: S.solve_shifted(u, dt)  # noqa: E731
        return AuxState(*elementwise_sav_update(state.theta, state.aux, g, E, dt=dt, C=self.C, mass=mass, solve=solve))

    def modified_energy(self, problem: Problem, state: AuxState) -> Array:
        """Return the mean of r_i^2 less C, 0-d: equal to E if r is consistent."""
        if state.aux is None:
            return problem.energy(state.theta)
        return state.aux @ state.aux / state.aux.shape[0] - self.C

    def dissipation(self, problem: Problem, theta: Array, theta_new: Array, dt: Scalar) -> Array:
        """Return the first term on the right of (3), negated, 0-d."""
        S = as_linear_part(self.stabilization, "stabilization")
        return dissipation(problem.inner, Zero(), S, theta_new - theta, dt) / theta.shape[0]

    def law(self, problem: Problem, state: AuxState) -> Quadratic:
        """Return the law of the auxiliary variable: it is ``|r|^2 / P``, with one xi_0 for all coordinates."""
        return Quadratic(1 / state.theta.shape[0])

    def energy_terms(self, problem: Problem, state: AuxState, new: AuxState, dt: Scalar) -> EnergyTerms:
        """Return both terms of the identity (3)."""
        change = new.aux - (self.auxiliary(problem, state.theta) if state.aux is None else state.aux)
        numerical = change @ change / change.shape[0]
        return EnergyTerms(self.dissipation(problem, state.theta, new.theta, dt), numerical)
