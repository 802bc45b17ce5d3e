r"""Scalar auxiliary variable (SAV), first order, linearly implicit.

The energy is ``E = (theta, L theta)_M / 2 + F`` and the auxiliary variable

.. math:: r = \sqrt{F(\theta) + C}.                                                                     \tag{1}

With ``g`` the gradient of F at ``theta^n`` and ``R = sqrt(F(theta^n) + C)``, the scheme adds a stabilization S
implicitly and subtracts it explicitly:

.. math::
   \frac{\theta^{n+1} - \theta^n}{\Delta t} &= -L\theta^{n+1} - S(\theta^{n+1} - \theta^n)
       - \frac{r^{n+1}}{R}\, g,                                                                         \tag{2} \\
   r^{n+1} - r^n &= \frac{1}{2R}\,(g, \theta^{n+1} - \theta^n)_M.                                       \tag{3}

Solving (2) with ``A = I + dt (L + S)`` and inserting it in (3) leaves one scalar equation,

.. math::
   r^{n+1} = \frac{r^n - \frac{\Delta t}{2R}(g, A^{-1}L\theta^n)_M}
                  {1 + \frac{\Delta t}{2 (F + C)}(g, A^{-1}g)_M}, \qquad
   \theta^{n+1} = \theta^n - \Delta t\,A^{-1}\Bigl(L\theta^n + \frac{r^{n+1}}{R}\,g\Bigr).              \tag{4}

Energy identity, for every dt > 0, r and theta, with ``d = theta^{n+1} - theta^n``:

.. math::
   \Bigl[r^2 + \tfrac12(\theta, L\theta)_M\Bigr]_n^{n+1} = -\frac{|d|_M^2}{\Delta t} - (Sd, d)_M - \tfrac12(Ld, d)_M
   - (r^{n+1} - r^n)^2.                                                                                 \tag{5}

The *modified* energy decays. The true energy need not: for ``E = theta^2 / 2``, theta = 1, C = 100, dt = 10 it rises
from 0.5 to 36.3 in the first step. Restarted, it falls for every dt if ``S >= K / 2``, K a Lipschitz constant of g in
the inner product: (3) of `gradflow.schemes.restart`. With L = 0, r stays positive and never increases. Once r has collapsed, the
iteration no longer moves, although it is not at a minimum. `Restart` cures this, and `Relaxed` delays it.

Modified equation (`gradflow.backward_error`). For L = S = 0, with H the Hessian, ``sigma = r / R`` and ``s = |g|_M^2 / (2 (F + C))``,

.. math::
   \theta' = -\sigma\bigl(1 - \tfrac{\Delta t}{2}(1 + \sigma)\,s\bigr)\,g - \tfrac{\Delta t}{2}\sigma^2 H g + O(\Delta t^2),
   \qquad r' = -s\,r + O(\Delta t).                                                                    \tag{6}

Restarted, sigma is 1: the orbits are those of ``E + (dt / 4) |g|_M^2``, as for gradient descent, and only the clock differs.

========  =======  ========================
symbol    code     shape
========  =======  ========================
theta     theta    (P,)
r, R      r, R     0-d; None for r = R
g         g        (P,)
F         F        0-d, F + C > 0
L theta   L_theta  (P,); None for L = 0
dt        dt       0-d, > 0
C         C        0-d, units of the energy
(u, v)_M  inner    map to 0-d
A^{-1}    solve    map (P,)
========  =======  ========================

Source: Shen, Xu & Yang, J. Comput. Phys. 353 (2018) 407; for training, Ma, Mao & Shen, J. Comput. Phys. 505 (2024)
112911, eqs. (14)-(20), Algorithm 2, where L = 0 and S = lambda I. The paper does not specify the inner product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from ..energies.linear import LinearPart, Scalar, add, as_linear_part, dissipation
from ..energies.protocols import Problem, linear_part, nonlinear_energy, nonlinear_energy_and_gradient
from ..namespace import Array, array_namespace, no_infinity
from ..refusals import plain_numbers, real_number
from .protocols import EnergyTerms
from .relaxation import Quadratic
from .state import AuxState

__all__ = ["SAV", "sav_update"]

NO_ROOT = "E + C is not positive, so the auxiliary variable is not defined"


def sav_update(
    theta: Array,
    r: Array | None,
    g: Array,
    F: Array,
    L_theta: Array | None = None,
    *,
    dt: Scalar,
    C: Scalar,
    inner: Callable[[Array, Array], Array],
    solve: Callable[[Array], Array],
) -> tuple[Array, Array]:
    """Return theta_new (P,) and r_new (0-d) of equation (4)."""
    xp = array_namespace(theta, g)
    R = xp.sqrt(F + C)  # (1)
    r = R if r is None else r
    A_g = solve(g)
    denominator = no_infinity(1 + dt * inner(g, A_g) / (2 * (F + C)))
    if L_theta is None:
        r_new = r / denominator  # (4)
        return theta - (dt * r_new / R) * A_g, r_new  # (4)
    A_L = solve(L_theta)
    r_new = (r - dt * inner(g, A_L) / (2 * R)) / denominator  # (4)
    return theta - dt * (A_L + (r_new / R) * A_g), r_new  # (4)


@dataclass(frozen=True, kw_only=True)
class SAV:
    """Scalar auxiliary variable, equation (4). Vanilla: `Restart` and `Relaxed` wrap it.

    Parameters
    ----------
    C : float
        Constant of (1), in the units of the energy. ``F + C > 0`` is checked at the start; a run that violates it later
        ends ``INADMISSIBLE``.
    stabilization : float or LinearPart
        S of equation (2), 1 / time; a number means that multiple of the identity. With S at least half a Lipschitz
        constant of the gradient of F, ``Restart(SAV(stabilization=S))`` decreases the true energy for every dt.

    Raises
    ------
    ValueError
        If C is not finite, the stabilization is negative, or (at `init`) F + C <= 0.
    """

    C: float = 1.0
    stabilization: float | LinearPart = 0.0
    evaluates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("C", self.C)
        as_linear_part(self.stabilization, "stabilization")

    def init(self, problem: Problem, theta: Array) -> AuxState:
        """Return the state (theta, sqrt(F + C))."""
        F = nonlinear_energy(problem, theta)
        require_admissible(F, self.C)
        return AuxState(theta, array_namespace(theta).sqrt(F + self.C))

    def auxiliary(self, problem: Problem, theta: Array) -> Array:
        """Return sqrt(F(theta) + C), 0-d."""
        return array_namespace(theta).sqrt(nonlinear_energy(problem, theta) + self.C)

    def undefined(self, problem: Problem, theta: Array) -> str:
        """Return why the auxiliary variable is not defined at theta, "" if it is defined."""
        return "" if bool(nonlinear_energy(problem, theta) + self.C > 0) else NO_ROOT

    def evaluate(self, problem: Problem, theta: Array) -> tuple[Array, Array]:
        """Return F (0-d) and its gradient (P,) at theta."""
        return nonlinear_energy_and_gradient(problem, theta)

    def auxiliary_at(self, at: tuple[Array, Array]) -> Array:
        """Return sqrt(F + C), 0-d, from `evaluate`."""
        return array_namespace(at[1]).sqrt(at[0] + self.C)

    def step(self, problem: Problem, state: AuxState, dt: Scalar) -> AuxState:
        """Return the state one step of size dt later."""
        return self.step_at(problem, state, dt, self.evaluate(problem, state.theta))

    def step_at(self, problem: Problem, state: AuxState, dt: Scalar, at: tuple[Array, Array]) -> AuxState:
        """Return the state one step of size dt later, from F (0-d) and its gradient (P,) at the state's theta."""
        (F, g), L = at, linear_part(problem)
        A = add(L, as_linear_part(self.stabilization, "stabilization"))
        theta, r = sav_update(
            state.theta,
            state.aux,
            g,
            F,
            None if L.scalar == 0 else L.apply(state.theta),
            dt=dt,
            C=self.C,
            inner=problem.inner,
            solve=lambda u: A.solve_shifted(u, dt),
        )
        return AuxState(theta, r)

    def modified_energy(self, problem: Problem, state: AuxState) -> Array:
        """Return r^2 - C + (theta, L theta)_M / 2, 0-d: equal to E if r is consistent."""
        return quadratic_modified_energy(problem, state, self.C)

    def dissipation(self, problem: Problem, theta: Array, theta_new: Array, dt: Scalar) -> Array:
        """Return the guaranteed drop of the modified energy: the first three terms of (5), 0-d."""
        S = as_linear_part(self.stabilization, "stabilization")
        return dissipation(problem.inner, linear_part(problem), S, theta_new - theta, dt)

    def law(self, problem: Problem, state: AuxState) -> Quadratic:
        """Return the law of the auxiliary variable: the modified energy contains ``r^2``."""
        return Quadratic(1.0)

    def energy_terms(self, problem: Problem, state: AuxState, new: AuxState, dt: Scalar) -> EnergyTerms:
        """Return both terms of the identity (5)."""
        r = self.auxiliary(problem, state.theta) if state.aux is None else state.aux
        return EnergyTerms(self.dissipation(problem, state.theta, new.theta, dt), (new.aux - r) ** 2)


def require_admissible(F: Array, C: float) -> None:
    """Raise ValueError unless F + C > 0."""
    if not bool(F + C > 0):
        if F != F:
            raise ValueError(f"the energy at theta0 must be finite, got {float(F)}")
        raise ValueError(f"C must satisfy F(theta) + C > 0, got F = {float(F):.6g} and C = {C:.6g}")


def quadratic_modified_energy(problem: Problem, state: AuxState, C: float) -> Array:
    """Return r^2 - C + (theta, L theta)_M / 2, 0-d; the true energy if ``aux`` is None."""
    if state.aux is None:
        return problem.energy(state.theta)
    energy = state.aux**2 - C
    L = linear_part(problem)
    return energy if L.scalar == 0 else energy + problem.inner(state.theta, L.apply(state.theta)) / 2
