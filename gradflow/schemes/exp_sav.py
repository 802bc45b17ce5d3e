r"""Exponential scalar auxiliary variable (ExpSAV), first order, in logarithms.

The auxiliary variable is ``r = C exp(E / kappa)``. It is kept as

.. math:: s = \log r = E(\theta)/\kappa + \log C,                                                       \tag{1}

because exp(E) overflows at E = 710 (float64) or 89 (float32). With ``g`` the gradient at ``theta^n``, ``A = I + dt S``,
S the stabilization, ``Sigma = (g, A^{-1} g)_M`` and ``rho = r^{n+1} / r^n``, four schemes go by this name:

.. math::
   \text{implicit:}\quad & \rho = \frac{1}{1 + \Delta t\,\Sigma/\kappa},
        & \theta^{n+1} &= \theta^n - \Delta t\,\rho\,A^{-1}g,                                           \tag{2} \\
   \text{explicit:}\quad & s^{n+1} = s^n - \xi^2\,\Delta t\,\Sigma/\kappa,\quad \xi = e^{s^n - E/\kappa - \log C},
        & \theta^{n+1} &= \theta^n - \Delta t\,\xi\,A^{-1}g,                                            \tag{3} \\
   \text{section\_2.2.4:}\quad & \rho = \frac{1}{1 + \Delta t\,\Sigma/(\kappa r^n)},
        & \theta^{n+1} &= \theta^n - \Delta t\,\rho\,A^{-1}g,                                           \tag{4} \\
   \text{theorem\_2.2:}\quad & \rho = \frac{1}{1 + \Delta t\,\Sigma/(\kappa r^n)},
        & \theta^{n+1} &= \theta^n - \frac{\Delta t}{r^n}\,\rho\,A^{-1}g.                               \tag{5}

Form (3) is the E-SAV scheme of Liu & Li. One document prints the other three as one scheme. Their properties:

* Form (2) is consistent, and r cancels from it. It is gradient descent with the step ``dt / (1 + dt Sigma / kappa)``, and its
  increment is never longer than ``sqrt(kappa dt) / 2``. Restart and relaxation cannot change its theta.
* Form (3) is consistent, and s enters theta through xi, which is 1 as long as s is consistent. An energy part L of the problem
  is implicit here, with ``A = I + dt (L + S)`` and F in place of E in (1): ``d = -dt A^{-1}(L theta^n + xi g)`` and
  ``s^{n+1} = s^n + xi (g, d)_M / kappa``, which is (3) for L = 0. The other forms include L in E and g, since an
  implicit L could make rho negative, and s would not be defined.
* Form (4) is a consistent step for theta, but its r follows ``r' = -|g|^2 / kappa``, not (1): it tracks E plus a constant.
* Form (5) solves ``theta' = -g / r``. With consistent s, the step is at most ``dt exp(-E / kappa) / C`` times the gradient, so
  that the iteration freezes if E / kappa is large.

Energy identities, every dt > 0, with ``D = |d|_M^2 / dt + (S d, d)_M`` (plus ``(L d, d)_M / 2`` in (3)), ``d`` the
increment, ``x = log rho``:

.. math::
   \text{(2):}&\quad \kappa\,(s^{n+1} - s^n) = -D - \kappa\,[\rho(\rho - 1) - x],                        \tag{6} \\
   \text{(3):}&\quad \bigl[\kappa s + \tfrac12(\theta, L\theta)_M\bigr]_n^{n+1} = -D,                    \tag{7} \\
   \text{(4):}&\quad \kappa\,(r^{n+1} - r^n) = -D - \kappa\,r^n(\rho - 1)^2,                             \tag{8} \\
   \text{(5):}&\quad -\kappa\,(1/r^{n+1} - 1/r^n) = -D - \kappa\,(\rho - 1)^2(1 + \rho)/(\rho r^n).       \tag{9}

Modified equation (`gradflow.backward_error`). For L = S = 0, with H the Hessian, form (2) and restarted form (4) have

.. math:: \theta' = -\Bigl(1 - \frac{\Delta t\,|g|_M^2}{\kappa c}\Bigr)\,g - \tfrac{\Delta t}{2} H g + O(\Delta t^2), \tag{10}

with c = 1 in (2) and ``c = r`` in (4): the orbits of ``E + (dt / 4) |g|_M^2``, with another clock. Restarted form (3) is gradient
descent.

========  =======  =============================
symbol    code     shape
========  =======  =============================
theta     theta    (P,)
s         s        0-d
g         g        (P,)
E         E        0-d
L theta   L_theta  (P,); None for L = 0
dt        dt       0-d, > 0
kappa     kappa    0-d, > 0, units of the energy
(u, v)_M  inner    map to 0-d
A^{-1}    solve    map (P,)
========  =======  =============================

Source: Liu & Li, SIAM J. Sci. Comput. 42 (2020) B630 (volume and page not checked) for the method (formula (3) derived
here, not read there);
"Empirical evaluation of energy-stable gradient-flow methods in deep learning": Theorem 2.3 for (2), section 2.2.4 for
(4), Theorem 2.2 for (5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log

from ..energies.linear import LinearPart, Scalar, Zero, add, as_linear_part, dissipation
from ..energies.protocols import Problem, linear_part, nonlinear_energy, nonlinear_energy_and_gradient
from ..namespace import Array, array_namespace
from ..refusals import one_of, plain_numbers, real_number
from .protocols import EnergyTerms
from .relaxation import BUDGETS, Logarithmic
from .state import AuxState

__all__ = ["EXP_SAV_FORMS", "ExpSAV", "exp_sav_explicit_update", "exp_sav_update"]

EXP_SAV_FORMS = ("implicit", "explicit", "section_2.2.4", "theorem_2.2")
"""The forms of `ExpSAV`: equations (2) to (5)."""


def exp_sav_update(
    theta: Array,
    s: Array,
    g: Array,
    *,
    dt: Scalar,
    kappa: Scalar,
    form: str,
    inner: Callable[[Array, Array], Array],
    solve: Callable[[Array], Array],
) -> tuple[Array, Array]:
    """Return theta_new (P,) and s_new (0-d) of equation (2), (4) or (5).

    Parameters
    ----------
    form : {"implicit", "section_2.2.4", "theorem_2.2"}
        Equation (2), (4) or (5).
    """
    xp = array_namespace(theta, g)
    A_g = solve(g)
    y = dt * inner(g, A_g) / kappa
    if form == "implicit":
        s_new = s - xp.log1p(y)  # (2)
        return theta - (dt / (1 + y)) * A_g, s_new  # (2)
    # y / r may overflow as a quotient but not as a logarithm; g = 0 means y = 0, and then nothing moves
    log_y = xp.log(xp.where(y > 0, y, 1 + 0 * y)) - s
    x = -xp.where(y > 0, xp.logaddexp(0 * y, log_y), 0 * y)  # log rho of (4), (5)
    factor = xp.exp(x) if form == "section_2.2.4" else xp.exp(x - s)
    return theta - (dt * factor) * A_g, s + x  # (4), (5)


def exp_sav_explicit_update(
    theta: Array,
    s: Array | None,
    g: Array,
    s_consistent: Array,
    L_theta: Array | None = None,
    *,
    dt: Scalar,
    kappa: Scalar,
    inner: Callable[[Array, Array], Array],
    solve: Callable[[Array], Array],
) -> tuple[Array, Array]:
    """Return theta_new (P,) and s_new (0-d) of equation (3); s = None means `s_consistent`.

    Parameters
    ----------
    s_consistent : 0-d array
        Its value by definition at theta, F / kappa + log C.
    """
    xp = array_namespace(theta, g)
    s = s_consistent if s is None else s
    xi = xp.exp(s - s_consistent)
    A_g = solve(g)
    if L_theta is None:
        return theta - (dt * xi) * A_g, s - xi**2 * (dt * inner(g, A_g) / kappa)  # (3)
    d = -dt * (solve(L_theta) + xi * A_g)
    return theta + d, s + xi * (inner(g, d) / kappa)  # (3) with the energy part L implicit


@dataclass(frozen=True, kw_only=True)
class ExpSAV:
    """Exponential SAV in one of four forms. Vanilla: `Restart` and `Relaxed` wrap it.

    Parameters
    ----------
    form : {"implicit", "explicit", "section_2.2.4", "theorem_2.2", "auto"}
        Equation (2), (3), (4) or (5). "auto" is (3) for an energy with a linear part that is an operator, and (2) otherwise.
        Only (3) treats a linear part implicitly: the others count it in E, and their true energy may rise where dt L is
        large. Only (2) has increments of at most ``sqrt(kappa dt) / 2``.
    scale : float
        The constant kappa, in the units of the energy. For large values the scheme approaches gradient descent.
    C : float
        Constant of (1), > 0, dimensionless; it affects theta in (4) and (5) only.
    stabilization : float or LinearPart
        S, 1 / time; a number means that multiple of the identity.

    Raises
    ------
    ValueError
        If the form is unknown, scale or C is not positive, or the stabilization is negative.
    """

    form: str = "auto"
    scale: float = 1.0
    C: float = 1.0
    stabilization: float | LinearPart = 0.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        one_of("form", self.form, (*EXP_SAV_FORMS, "auto"))
        real_number("scale", self.scale, 0, open_low=True)
        real_number("C", self.C, 0, open_low=True)
        as_linear_part(self.stabilization, "stabilization")

    def form_on(self, problem: Problem) -> str:
        """Return the name of the form that runs on this problem: `form`, or the choice of "auto"."""
        if self.form != "auto":
            return self.form
        return "implicit" if linear_part(problem).scalar is not None else "explicit"

    @property
    def budgets(self) -> tuple[str, ...]:
        """The budgets that `Relaxed` accepts: only ``dissipation`` for forms that relax within the decrease of r."""
        return BUDGETS if self.form == "explicit" else ("dissipation",)

    @property
    def speed(self) -> float | None:
        """The c of the flow theta' = -c grad E: 1, and None for form (5), whose c falls with the energy."""
        return None if self.form == "theorem_2.2" else 1.0

    def _energy_part(self, problem: Problem) -> LinearPart:
        return linear_part(problem) if self.form_on(problem) == "explicit" else Zero()

    def init(self, problem: Problem, theta: Array) -> AuxState:
        """Return the state (theta, log r)."""
        return AuxState(theta, self.auxiliary(problem, theta))

    def auxiliary(self, problem: Problem, theta: Array) -> Array:
        """Return s = E(theta) / kappa + log C, 0-d (F in place of E for the explicit form)."""
        E = nonlinear_energy(problem, theta) if self.form_on(problem) == "explicit" else problem.energy(theta)
        return E / self.scale + log(self.C)

    def step(self, problem: Problem, state: AuxState, dt: Scalar) -> AuxState:
        """Return the state one step of size dt later."""
        theta, kappa, inner, form = state.theta, self.scale, problem.inner, self.form_on(problem)
        L = self._energy_part(problem)
        A = add(L, as_linear_part(self.stabilization, "stabilization"))
        solve = lambda u: A.solve_shifted(u, dt)  # noqa: E731
        if form == "explicit":
            F, g = nonlinear_energy_and_gradient(problem, theta)
            s_hat = F / kappa + log(self.C)
            L_theta = None if L.scalar == 0 else L.apply(theta)
            return AuxState(
                *exp_sav_explicit_update(
                    theta, state.aux, g, s_hat, L_theta, dt=dt, kappa=kappa, inner=inner, solve=solve
                )
            )
        E, g = problem.energy_and_gradient(theta)
        s = E / kappa + log(self.C) if state.aux is None else state.aux
        return AuxState(*exp_sav_update(theta, s, g, dt=dt, kappa=kappa, form=form, inner=inner, solve=solve))

    def modified_energy(self, problem: Problem, state: AuxState) -> Array:
        """Return the energy on the left of (6) to (9), 0-d; equal to E for consistent s in forms (2) and (3)."""
        s = self.auxiliary(problem, state.theta) if state.aux is None else state.aux
        xp, form = array_namespace(state.theta), self.form_on(problem)
        if form == "section_2.2.4":
            return self.scale * xp.exp(s)  # (8)
        if form == "theorem_2.2":
            return -self.scale * xp.exp(-s)  # (9)
        energy = self.scale * (s - log(self.C))  # (6), (7)
        L = self._energy_part(problem)
        return energy if L.scalar == 0 else energy + problem.inner(state.theta, L.apply(state.theta)) / 2

    def dissipation(self, problem: Problem, theta: Array, theta_new: Array, dt: Scalar) -> Array:
        """Return D, 0-d: the guaranteed drop of the modified energy."""
        S = as_linear_part(self.stabilization, "stabilization")
        return dissipation(problem.inner, self._energy_part(problem), S, theta_new - theta, dt)

    def law(self, problem: Problem, state: AuxState) -> Logarithmic:
        """Return the law of the auxiliary variable; forms other than (3) relax within the decrease of r."""
        return Logarithmic(self.scale, own_loss=self.form_on(problem) != "explicit")

    def energy_terms(self, problem: Problem, state: AuxState, new: AuxState, dt: Scalar) -> EnergyTerms:
        """Return both terms of the identities (6) to (9)."""
        xp, form = array_namespace(new.theta), self.form_on(problem)
        s = self.auxiliary(problem, state.theta) if state.aux is None else state.aux
        x = new.aux - s
        D = self.dissipation(problem, state.theta, new.theta, dt)
        if form == "explicit":
            return EnergyTerms(D, 0 * D)
        rho, less = xp.exp(x), xp.expm1(x)
        if form == "implicit":
            return EnergyTerms(D, self.scale * (rho * less - x))
        if form == "section_2.2.4":
            return EnergyTerms(D, self.scale * xp.exp(s) * less**2)
        return EnergyTerms(D, self.scale * less**2 * (1 + rho) * xp.exp(-x - s))
