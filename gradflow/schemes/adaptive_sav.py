r"""Adaptive SAV (A-SAV): scalar auxiliary variable with Adam's averages for the direction and the step size.

With ``g`` the gradient of F at ``theta^n`` and exponential averages of g and of its square,

.. math::
   m &\leftarrow \beta_1 m + (1 - \beta_1)\, g, & \hat m &= m / (1 - \beta_1^{n}),                        \tag{1} \\
   v &\leftarrow \beta_2 v + (1 - \beta_2)\, |g|^2, & \hat v &= v / (1 - \beta_2^{n}),                    \tag{2}

the scheme is `SAV` with the direction ``m^`` in place of the gradient and the step size

.. math:: \hat\tau = \frac{\Delta t}{\sqrt{\hat v} + \varepsilon}.                                       \tag{3}

With ``R = sqrt(F + C)`` at ``theta^n`` and ``A = I + tau^ S``:

.. math::
   r^{n+1} = \frac{r^n}{1 + (\hat m, \hat\tau A^{-1}\hat m)_M / (2(F + C))}, \qquad
   \theta^{n+1} = \theta^n - \frac{r^{n+1}}{R}\,\hat\tau A^{-1}\hat m.                                  \tag{4}

Equation (2) has two readings. As printed, ``|g|^2`` is the squared norm, here in the problem's inner product, and v and
tau^ are numbers. Element by element, as in Adam, v and tau^ have shape (P,). Then tau^ in (4) is a diagonal matrix,
which is self-adjoint only in a diagonal inner product. In both cases, with ``d`` the increment,

.. math::
   (r^{n+1})^2 - (r^n)^2 = -(\hat\tau^{-1} d, d)_M - (Sd, d)_M - (r^{n+1} - r^n)^2,                       \tag{5}

so r decays. In one step r departs from ``sqrt(F + C)`` by ``(m^ - g, d)_M / (2R) + O(dt^2)``. To first order, it
therefore stays consistent only if the averages follow the gradient, as they do for fixed rates along a smooth path. An
energy part L of the problem is included in F and g.

========  =====  ========================
symbol    code   shape
========  =====  ========================
theta     theta  (P,)
r         r      0-d; None for R
m^        m_hat  (P,)
tau^      tau    0-d or (P,)
F         F      0-d, F + C > 0
C         C      0-d, units of the energy
(u, v)_M  inner  map to 0-d
A^{-1}    solve  map (P,)
========  =====  ========================

Source: Ma, Mao & Shen, J. Comput. Phys. 505 (2024) 112911, Algorithm 5 and eqs. (3)-(4); epsilon is outside the root
there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from ..energies.linear import LinearPart, Scalar, as_linear_part
from ..energies.protocols import Problem, problem_ability
from ..namespace import Array, array_namespace, no_infinity
from ..refusals import one_of, plain_numbers, real_number
from .protocols import EnergyTerms
from .relaxation import Quadratic
from .sav import NO_ROOT, require_admissible

__all__ = ["AdaptiveSAV", "AdaptiveState", "adaptive_sav_update"]


class AdaptiveState(NamedTuple):
    """State of `AdaptiveSAV`."""

    theta: Array
    """Parameters, (P,)."""
    aux: Array | None
    """r, 0-d; None means sqrt(F + C)."""
    m: Array
    """Average of the gradient, (P,)."""
    v: Array
    """Average of the square of the gradient, 0-d or (P,)."""
    tau: Array
    """The size of the last step, equation (3), 0-d or (P,)."""
    n: int
    """Steps taken."""


def adaptive_sav_update(
    theta: Array,
    r: Array | None,
    m_hat: Array,
    F: Array,
    *,
    tau: Array,
    C: Scalar,
    inner: Callable[[Array, Array], Array],
    solve: Callable[[Array], Array],
) -> tuple[Array, Array]:
    """Return theta_new (P,) and r_new (0-d) of equation (4)."""
    xp = array_namespace(theta, m_hat)
    R = xp.sqrt(F + C)
    p = tau * solve(m_hat)
    r_new = (R if r is None else r) / no_infinity(1 + inner(m_hat, p) / (2 * (F + C)))  # (4)
    return theta - (r_new / R) * p, r_new  # (4)


@dataclass(frozen=True, kw_only=True)
class AdaptiveSAV:
    """SAV with Adam's averages, equations (1) to (4). Vanilla: `Restart` and `Relaxed` wrap it.

    Parameters
    ----------
    C : float
        Constant, in the units of the energy; ``E + C > 0`` is required.
    stabilization : float or LinearPart
        S, 1 / time, diagonal.
    reading : {"norm", "elementwise"}
        The reading of (2).
    beta1, beta2 : float
        Rates of the averages, in [0, 1), dimensionless.
    eps : float
        The constant epsilon of (3), > 0, in the units of the gradient.

    Raises
    ------
    ValueError
        If a number is out of range or the reading is unknown; at `init`, if E + C <= 0, or if the reading is
        element-wise and the problem's inner product is not diagonal.
    """

    C: float = 1.0
    stabilization: float | LinearPart = 0.0
    reading: str = "norm"
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    speed: ClassVar[None] = None  # its flow is that of a normalised gradient

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("C", self.C)
        as_linear_part(self.stabilization, "stabilization")
        one_of("reading", self.reading, ("norm", "elementwise"))
        real_number("beta1", self.beta1, 0, 1, open_high=True)
        real_number("beta2", self.beta2, 0, 1, open_high=True)
        real_number("eps", self.eps, 0, open_low=True)

    def init(self, problem: Problem, theta: Array) -> AdaptiveState:
        """Return the state with consistent r and zero averages."""
        require_admissible(problem.energy(theta), self.C)
        if self.reading == "elementwise" and problem_ability(problem, "mass") is None:
            raise ValueError(
                "the element-wise reading needs a diagonal inner product: a problem with `mass`, not `inner`"
            )
        m = 0 * theta
        v = m if self.reading == "elementwise" else problem.inner(m, m)
        return AdaptiveState(theta, self.auxiliary(problem, theta), m, v, v, 0)

    def auxiliary(self, problem: Problem, theta: Array) -> Array:
        """Return sqrt(E(theta) + C), 0-d."""
        return array_namespace(theta).sqrt(problem.energy(theta) + self.C)

    def undefined(self, problem: Problem, theta: Array) -> str:
        """Return why the auxiliary variable is not defined at theta, "" if it is defined."""
        return "" if bool(problem.energy(theta) + self.C > 0) else NO_ROOT

    def step(self, problem: Problem, state: AdaptiveState, dt: Scalar) -> AdaptiveState:
        """Return the state one step later; dt is the learning rate of (3)."""
        theta, n = state.theta, state.n + 1
        xp = array_namespace(theta)
        E, g = problem.energy_and_gradient(theta)
        size = g * g if self.reading == "elementwise" else problem.inner(g, g)
        m = self.beta1 * state.m + (1 - self.beta1) * g  # (1)
        v = self.beta2 * state.v + (1 - self.beta2) * size  # (2)
        tau = dt / (xp.sqrt(v / (1 - self.beta2**n)) + self.eps)  # (3)
        S = as_linear_part(self.stabilization, "stabilization")
        theta_new, r = adaptive_sav_update(
            theta,
            state.aux,
            m / (1 - self.beta1**n),
            E,
            tau=tau,
            C=self.C,
            inner=problem.inner,
            solve=lambda u: S.solve_shifted(u, tau),
        )
        return AdaptiveState(theta_new, r, m, v, tau, n)

    def modified_energy(self, problem: Problem, state: AdaptiveState) -> Array:
        """Return r^2 - C, 0-d."""
        return problem.energy(state.theta) if state.aux is None else state.aux**2 - self.C

    def dissipation(self, problem: Problem, theta: Array, theta_new: Array, dt: Scalar) -> Array:
        """Return the first two terms of (5), 0-d; `dt` is the step size tau^ of the step (`state.tau`)."""
        d = theta_new - theta
        S = as_linear_part(self.stabilization, "stabilization")
        return problem.inner(d, d / dt) + problem.inner(S.apply(d), d)

    def law(self, problem: Problem, state: AdaptiveState) -> Quadratic:
        """Return the law of the auxiliary variable: the modified energy contains ``r^2``."""
        return Quadratic(1.0)

    def energy_terms(self, problem: Problem, state: AdaptiveState, new: AdaptiveState, dt: Scalar) -> EnergyTerms:
        """Return both terms of the identity (5); `dt` is not used, since the new state stores tau^."""
        del dt
        r = self.auxiliary(problem, state.theta) if state.aux is None else state.aux
        return EnergyTerms(self.dissipation(problem, state.theta, new.theta, new.tau), (new.aux - r) ** 2)

    def increment(self, problem: Problem, state: AdaptiveState, new: AdaptiveState, dt: Scalar) -> Array:
        """Return ``(tau^{-1} d, d)_M``, 0-d, with the step size tau^ in place of dt."""
        del dt
        d = new.theta - state.theta
        return problem.inner(d, d / new.tau)
