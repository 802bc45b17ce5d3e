r"""Multiple scalar auxiliary variables (MSAV), first order, linearly implicit: the schemes between SAV and IEQ.

The energy is ``E = (theta, L theta)_M / 2 + F`` with a sum ``F = F_1 + ... + F_m``, and each part has a variable

.. math:: r_i = \sqrt{F_i(\theta) + C}.                                                                 \tag{1}

The parts are sums of squares, F = ``|q|^2 / 2`` and part i half the sum of ``q_k^2`` over a block of residuals; or the
terms of a `gradflow.SumOfEnergies`, of any kind. With ``g_i`` the gradient of ``F_i`` at ``theta^n`` and ``R_i =
sqrt(F_i(theta^n) + C)``,

.. math::
   \frac{\theta^{n+1} - \theta^n}{\Delta t} &= -L\theta^{n+1} - S(\theta^{n+1} - \theta^n)
       - \sum_i \frac{r_i^{n+1}}{R_i}\, g_i,                                                            \tag{2} \\
   r_i^{n+1} - r_i^n &= \frac{1}{2R_i}\,(g_i, \theta^{n+1} - \theta^n)_M.                               \tag{3}

Solving (2) with ``A = I + dt (L + S)`` and inserting it in (3) leaves m equations,

.. math::
   r_i^{n+1} + \frac{\Delta t}{2}\sum_j \frac{(g_i, A^{-1}g_j)_M}{R_i R_j}\, r_j^{n+1}
       = r_i^n - \frac{\Delta t}{2R_i}(g_i, A^{-1}L\theta^n)_M.                                         \tag{4}

They are those of `IEQ` for the m residuals ``q = sqrt(2) r``, whose linearisation at ``theta^n`` has the value
``sqrt(2) R_i`` and the rows ``(g_i, .)_M / (sqrt(2) R_i)`` (`gradflow.energies.parts`). The update is therefore

.. math:: (\theta^{n+1}, \sqrt2\, r^{n+1}) = \text{update of IEQ from } (\theta^n, \sqrt2\, r^n),        \tag{5}

with the scaling tau that makes the identity exact for any error of the solver. For every dt > 0, r and theta, with ``d =
theta^{n+1} - theta^n``:

.. math::
   \Bigl[\sum_i r_i^2 + \tfrac12(\theta, L\theta)_M\Bigr]_n^{n+1} = -\frac{|d|_M^2}{\Delta t} - (Sd, d)_M
   - \tfrac12(Ld, d)_M - \sum_i (r_i^{n+1} - r_i^n)^2.                                                  \tag{6}

With one part it is `SAV`. With one residual in each part and C = 0, ``sqrt(2) r_i`` is ``|q_i|``, and a restarted step is one
of restarted `IEQ`. Without a restart the two agree until a residual changes its sign: the carried ``r_i`` is then negative,
and its definition is not. In between, (4) sees the curvature of m roots, ``J^* J`` of rank m at most.

==========  =========  ==================================
symbol      code       shape
==========  =========  ==================================
theta       theta      (P,)
r           r          (m,)
L theta     L_theta    (P,); None for L = 0
C           C          float, units of the energy
(u, v)_M    inner      map to 0-d
(d, Ad)/dt  damping    map (P,) to 0-d
d           direction  map of q and L theta to (P,), (m,)
==========  =========  ==================================

Source: Cheng & Shen, SIAM J. Sci. Comput. 40 (2018) A3982, for two variables; not checked here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from ..curvature import damped_step
from ..description import found
from ..energies.linear import LinearPart, Scalar, Zero, add, as_linear_part, dissipation
from ..energies.parts import PartsLinearization, TermsLinearization
from ..energies.protocols import LeastSquares, Problem, linear_part, problem_ability
from ..namespace import Array, array_namespace, quiet
from ..refusals import plain_numbers, real_number, whole_number
from .ieq import ieq_update
from .protocols import EnergyTerms
from .relaxation import Quadratic
from .state import AuxState

__all__ = ["MSAV", "msav_update"]

NO_ROOT = "F_i + C is not positive for a part, so the auxiliary variables are not defined"


def msav_update(
    theta: Array,
    r: Array,
    L_theta: Array | None = None,
    *,
    inner: Callable[[Array, Array], Array],
    damping: Callable[[Array], Array],
    direction: Callable[[Array, Array | None], tuple[Array, Array]],
) -> tuple[Array, Array]:
    """Return theta_new (P,) and r_new (m,) of equation (5)."""
    xp = array_namespace(theta, r)
    root = xp.sqrt(2 + xp.zeros_like(r))
    theta_new, q_new = ieq_update(theta, root * r, L_theta, inner=inner, damping=damping, direction=direction)
    return theta_new, q_new / root  # (5)


@dataclass(frozen=True, kw_only=True)
class MSAV:
    """Multiple scalar auxiliary variables, equation (5). Vanilla: `Restart` and `Relaxed` wrap it.

    Parameters
    ----------
    parts : int or sequence of int or "terms"
        The number m of consecutive blocks into which the residuals are divided, or the part of each of the N residuals,
        numbers from 0 to m - 1 that all occur; or the terms that the problem declares, as `gradflow.SumOfEnergies` does.
    C : float
        Constant of (1), the same for all parts, in the units of the energy. ``F_i + C > 0`` is checked at the start; a
        run that violates it later ends ``INADMISSIBLE``.
    stabilization : float or LinearPart
        S of equation (2), 1 / time; a number means that multiple of the identity.

    Raises
    ------
    ValueError
        If the parts are not such numbers, C is not finite or the stabilization is negative; at `init`, if the problem
        is not a least-squares problem (for ``"terms"``, not a sum), does not have so many residuals, or ``F_i + C <= 0`` for a
        part.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> J = np.array([[1.0, 0.0], [0.0, 30.0], [1.0, 1.0]])
    >>> problem = gf.DenseLeastSquares(lambda t: J @ t - 1, lambda t: J)
    >>> runs = [gf.solve(problem, gf.Restart(gf.MSAV(parts=m)), np.zeros(2), dt=1.0, steps=20) for m in (1, 3)]
    >>> [bool(run.history["energy"][-1] < run.history["energy"][0]) for run in runs]
    [True, True]
    """

    parts: int | tuple[int, ...] | str = 2
    C: float = 1.0
    stabilization: float | LinearPart = 0.0
    evaluates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        plain_numbers(self)
        object.__setattr__(self, "parts", _numbers(self.parts))
        real_number("C", self.C)
        as_linear_part(self.stabilization, "stabilization")

    def init(self, problem: Problem, theta: Array) -> AuxState:
        """Return the state (theta, sqrt(F_i + C))."""
        if self.parts == "terms" and not callable(problem_ability(problem, "term_energies_and_gradients")):
            raise ValueError(f"MSAV(parts='terms') needs a gradflow.SumOfEnergies, got {type(problem).__name__}")
        if self.parts != "terms" and not callable(problem_ability(problem, "linearize")):
            raise ValueError(f"MSAV needs a least-squares problem (with linearize), got {type(problem).__name__}")
        with quiet():  # of a root that is not defined
            at, xp = self.evaluate(problem, theta), array_namespace(theta)
        F = xp.min(at.energies)
        if not bool(F + self.C > 0):
            if F != F:
                raise ValueError(f"the energy at theta0 must be finite, got {float(F)}")
            raise ValueError(f"C must satisfy F_i + C > 0 for every part, got F_i = {float(F):.6g}, C = {self.C:.6g}")
        return AuxState(theta, self.auxiliary_at(at))

    def auxiliary(self, problem: Problem, theta: Array) -> Array:
        """Return sqrt(F_i(theta) + C), (m,)."""
        return self.auxiliary_at(self.evaluate(problem, theta))

    def undefined(self, problem: Problem, theta: Array) -> str:
        """Return why the auxiliary variables are not defined at theta, "" if they are defined."""
        terms = self.parts == "terms"
        F = problem_ability(problem, "term_energies")(theta) if terms else self.evaluate(problem, theta).energies
        return "" if bool(array_namespace(F).all(F + self.C > 0)) else NO_ROOT

    def evaluate(self, problem: Problem, theta: Array) -> PartsLinearization | TermsLinearization:
        """Return the linearisation of the roots at theta."""
        mass = problem_ability(problem, "mass")
        if isinstance(self.parts, str):
            F, g = problem_ability(problem, "term_energies_and_gradients")(theta)
            return TermsLinearization(F, g, self.C, problem.inner, mass)
        return PartsLinearization(cast(LeastSquares, problem).linearize(theta), self.parts, self.C, mass)

    def auxiliary_at(self, at: PartsLinearization | TermsLinearization) -> Array:
        """Return sqrt(F_i + C), (m,), from `evaluate`."""
        return array_namespace(at.energies).sqrt(at.energies + self.C)

    def step(self, problem: Problem, state: AuxState, dt: Scalar) -> AuxState:
        """Return the state one step of size dt later."""
        return self.step_at(problem, state, dt, self.evaluate(problem, state.theta))

    def step_at(
        self, problem: Problem, state: AuxState, dt: Scalar, at: PartsLinearization | TermsLinearization
    ) -> AuxState:
        """Return the state one step of size dt later, from the linearisation of the roots at the state's theta."""
        theta, L = state.theta, linear_part(problem)
        A = add(L, as_linear_part(self.stabilization, "stabilization"))
        mass, P = problem_ability(problem, "mass"), theta.shape[0]
        theta_new, r = msav_update(
            theta,
            self.auxiliary_at(at) if state.aux is None else state.aux,
            None if L.scalar == 0 else L.apply(theta),
            inner=problem.inner,
            damping=lambda d: dissipation(problem.inner, Zero(), A, d, dt),
            direction=lambda q, h: damped_step(at, q, h, A, dt, mass=mass, n_parameters=P),  # (4)
        )
        return AuxState(theta_new, r)

    def modified_energy(self, problem: Problem, state: AuxState) -> Array:
        """Return ``|r|^2 - m C + (theta, L theta)_M / 2``, 0-d: equal to E if r is consistent."""
        if state.aux is None:
            return problem.energy(state.theta)
        energy, L = state.aux @ state.aux - state.aux.shape[0] * self.C, linear_part(problem)
        return energy if L.scalar == 0 else energy + problem.inner(state.theta, L.apply(state.theta)) / 2

    def dissipation(self, problem: Problem, theta: Array, theta_new: Array, dt: Scalar) -> Array:
        """Return the guaranteed drop of the modified energy: the first three terms of (6), 0-d."""
        S = as_linear_part(self.stabilization, "stabilization")
        return dissipation(problem.inner, linear_part(problem), S, theta_new - theta, dt)

    def law(self, problem: Problem, state: AuxState) -> Quadratic:
        """Return the law of the auxiliary variables: the modified energy contains ``|r|^2``."""
        return Quadratic(1.0)

    def energy_terms(self, problem: Problem, state: AuxState, new: AuxState, dt: Scalar) -> EnergyTerms:
        """Return both terms of the identity (6)."""
        change = new.aux - (self.auxiliary(problem, state.theta) if state.aux is None else state.aux)
        return EnergyTerms(self.dissipation(problem, state.theta, new.theta, dt), change @ change)


def _numbers(parts: Any) -> int | tuple[int, ...] | str:
    """Return the number of parts, or the part of each residual as a tuple, or "terms"."""
    if isinstance(parts, str) and parts == "terms":
        return parts
    if getattr(parts, "ndim", 0) == 1 or isinstance(parts, (list, tuple)):
        each = tuple(whole_number("parts", k) for k in (parts.tolist() if hasattr(parts, "tolist") else parts))
        if not each or set(each) != set(range(max(each) + 1)):
            raise ValueError(f"parts must contain every number from 0 to the largest, got {found(parts)}")
        return each
    return whole_number("parts", parts, 1)
