r"""Invariant energy quadratization (IEQ), first order, linearly implicit; when restarted, it is Levenberg-Marquardt.

For ``F = |q(theta)|^2 / 2`` the auxiliary variable is the residual itself, a vector. With J its Jacobian at
``theta^n``, ``J^*`` the adjoint in the problem's inner product, L the energy part and S the stabilization:

.. math::
   \frac{\theta^{n+1} - \theta^n}{\Delta t} &= -L\theta^{n+1} - S(\theta^{n+1} - \theta^n) - J^* q^{n+1},   \tag{1} \\
   q^{n+1} &= q^n + J(\theta^{n+1} - \theta^n).                                                         \tag{2}

Inserting (2) in (1), with ``A = I + dt (L + S)``, gives the increment d, and with it q:

.. math::
   \Bigl(\frac{A}{\Delta t} + J^* J\Bigr)\, d &= -(J^* q^n + L\theta^n),                                  \tag{3} \\
   \theta^{n+1} &= \theta^n + d, \qquad q^{n+1} = q^n + J d.                                              \tag{4}

`gradflow.curvature.damped_step` solves (3), or its push-through form in the space of residuals. In floating point, or
with an iterative solver, d is inexact; the increment is therefore scaled by tau, the exact minimiser over t of
``|q^n + t J d|^2 / 2 + (theta + t d, L(theta + t d))_M / 2 + t^2 ((d, d)_M / dt + (S d, d)_M) / 2``,

.. math::
   \tau = -\frac{(q^n, Jd) + (L\theta^n, d)_M}{|Jd|^2 + (d, Ad)_M/\Delta t}, \qquad
   \theta^{n+1} = \theta^n + \tau d, \quad q^{n+1} = q^n + \tau J d,                                     \tag{5}

which is 1 for the exact solution. With this tau the energy identity holds to round-off for any error of the solver:

.. math::
   \Bigl[\tfrac12|q|^2 + \tfrac12(\theta, L\theta)_M\Bigr]_n^{n+1} = -\frac{|\tau d|_M^2}{\Delta t} - \tau^2 (Sd, d)_M
   - \tfrac{\tau^2}{2}(Ld, d)_M - \tfrac12|q^{n+1} - q^n|^2.                                             \tag{6}

``Restart(IEQ())`` sets ``q^n = q(theta^n)``. Then (3) is one Levenberg-Marquardt step with damping 1 / dt, without the
test of the true energy, which may rise. With L = lambda I it is the step for the residual extended by ``sqrt(lambda)
theta``.

Mini-batches. Vanilla IEQ stores a residual for every sample. A step updates only those of the batch, while theta
changes for all samples. This is wrong by design, even for linear residuals: for N copies of ``q_i = theta``, theta = 1,
dt = 9 and batches of one, theta tends to ``1 - N`` while the stored energy tends to 0. `solve` runs it nevertheless,
because that is the method; use `Restart`.

Modified equation (`gradflow.backward_error`). Restarted and for L = S = 0, with ``G = J^* J`` and the Hessian ``G + R``,

.. math:: \theta' = -g - \tfrac{\Delta t}{2}(R - G)\,g + O(\Delta t^2).                                     \tag{7}

Where the curvature R of the residual vanishes, this is the flow of ``E - (dt / 4) |g|_M^2``, as for implicit Euler: the sign of
gradient descent, reversed. In general it is no gradient.

==========  =========  ==================================
symbol      code       shape
==========  =========  ==================================
theta       theta      (P,)
q           q          (N,)
L theta     L_theta    (P,); None for L = 0
(u, v)_M    inner      map to 0-d
(d, Ad)/dt  damping    map (P,) to 0-d
d, J d      direction  map of q and L theta to (P,), (N,)
==========  =========  ==================================

Source: Yang, J. Comput. Phys. 327 (2016) 294 for IEQ; for training, "Assessment of the research value of the IEQ
method", sections 1 and 2. For L = lambda I, that document does not specify the right-hand side of its system for q. If
it is q alone, as in its case lambda = 0, then q^{n+1} is not (2) and the fixed point depends on dt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, cast

from ..curvature import SOLVERS, damped_step
from ..curvature.damped_step import DampedStep, DampedSystem, InexactSolver
from ..energies.linear import LinearPart, Scalar, Zero, add, as_linear_part, dissipation
from ..energies.protocols import LeastSquares, Linearization, Problem, linear_part, problem_ability
from ..namespace import Array, array_namespace
from ..refusals import one_of, plain_numbers, real_number
from .protocols import EnergyTerms
from .relaxation import Quadratic
from .state import AuxState

__all__ = ["IEQ", "ieq_update"]


def ieq_update(
    theta: Array,
    q: Array,
    L_theta: Array | None = None,
    *,
    inner: Callable[[Array, Array], Array],
    damping: Callable[[Array], Array],
    direction: Callable[[Array, Array | None], tuple[Array, Array]],
) -> tuple[Array, Array]:
    """Return theta_new (P,) and q_new (N,) of equation (5)."""
    xp = array_namespace(theta, q)
    d, J_d = direction(q, L_theta)  # (3)
    descent = -(q @ J_d) if L_theta is None else -(q @ J_d) - inner(L_theta, d)
    curvature = J_d @ J_d + damping(d)
    moving = curvature > 0
    tau = xp.where(moving, descent / xp.where(moving, curvature, 1 + 0 * curvature), 1 + 0 * curvature)  # (5)
    return theta + tau * d, q + tau * J_d  # (5)


@dataclass(frozen=True, kw_only=True)
class IEQ:
    """Invariant energy quadratization, equations (3) and (5). Vanilla: `Restart` and `Relaxed` wrap it.

    Parameters
    ----------
    stabilization : float or LinearPart
        S, 1 / time; a number means that multiple of the identity.
    solver : {"auto", "gram", "parameter", "cg"} or InexactSolver
        How (3) is solved; `auto` takes the smaller side, and conjugate gradients when both are large. Or what stands for its
        solution: one sweep over blocks of parameters, `gradflow.curvature.BlockSweep`, or the solution of a sketched system,
        `gradflow.curvature.ColumnSketch`, `gradflow.curvature.RowSketch`.
    tol : float, optional
        Relative tolerance on the residual of (3) for conjugate gradients, dimensionless; by default 1e-12 in float64
        and 1e-6 in float32.

    Raises
    ------
    ValueError
        If the stabilization is negative, the solver unknown, or (at `init`) the problem is not a least-squares problem.
    """

    stabilization: float | LinearPart = 0.0
    solver: str | InexactSolver = "auto"
    tol: float | None = None
    per_sample_auxiliary: ClassVar[bool] = True
    evaluates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        plain_numbers(self)
        as_linear_part(self.stabilization, "stabilization")
        if isinstance(self.solver, (str, type)) or not isinstance(self.solver, InexactSolver):
            one_of("solver", self.solver, SOLVERS)
        if self.tol is not None:
            real_number("tol", self.tol, 0, open_low=True)

    def init(self, problem: Problem, theta: Array) -> AuxState:
        """Return the state (theta, q(theta))."""
        if not callable(problem_ability(problem, "linearize")):
            raise ValueError(f"IEQ needs a least-squares problem (with linearize), got {type(problem).__name__}")
        return AuxState(theta, self.auxiliary(problem, theta))

    def auxiliary(self, problem: Problem, theta: Array) -> Array:
        """Return the residual q(theta), (N,)."""
        return self.evaluate(problem, theta).residual

    def evaluate(self, problem: Problem, theta: Array) -> Linearization:
        """Return the linearisation at theta."""
        return cast(LeastSquares, problem).linearize(theta)

    def auxiliary_at(self, at: Linearization) -> Array:
        """Return the residual, (N,), from `evaluate`."""
        return at.residual

    def step(self, problem: Problem, state: AuxState, dt: Scalar) -> AuxState:
        """Return the state one step of size dt later."""
        return self.step_at(problem, state, dt, self.evaluate(problem, state.theta))

    def step_at(self, problem: Problem, state: AuxState, dt: Scalar, at: Linearization) -> AuxState:
        """Return the state one step of size dt later, from the linearisation at the state's theta."""
        theta, L = state.theta, linear_part(problem)
        A = add(L, as_linear_part(self.stabilization, "stabilization"))
        mass, P = problem_ability(problem, "mass"), theta.shape[0]

        def direction(q: Array, h: Array | None) -> DampedStep:
            if not isinstance(self.solver, str):
                return self.solver.direction(DampedSystem(problem, theta, at, q, h, A, dt, self.tol))
            return damped_step(at, q, h, A, dt, mass=mass, n_parameters=P, solver=self.solver, tol=self.tol)

        theta_new, q = ieq_update(
            theta,
            at.residual if state.aux is None else state.aux,
            None if L.scalar == 0 else L.apply(theta),
            inner=problem.inner,
            damping=lambda d: dissipation(problem.inner, Zero(), A, d, dt),
            direction=direction,
        )
        return AuxState(theta_new, q)

    def modified_energy(self, problem: Problem, state: AuxState) -> Array:
        """Return ``|q|^2 / 2 + (theta, L theta)_M / 2``, 0-d: equal to E if q is consistent."""
        if state.aux is None:
            return problem.energy(state.theta)
        energy, L = state.aux @ state.aux / 2, linear_part(problem)
        return energy if L.scalar == 0 else energy + problem.inner(state.theta, L.apply(state.theta)) / 2

    def dissipation(self, problem: Problem, theta: Array, theta_new: Array, dt: Scalar) -> Array:
        """Return the guaranteed drop of the modified energy: the first three terms of (6), 0-d."""
        S = as_linear_part(self.stabilization, "stabilization")
        return dissipation(problem.inner, linear_part(problem), S, theta_new - theta, dt)

    def law(self, problem: Problem, state: AuxState) -> Quadratic:
        """Return the law of the auxiliary variable: the modified energy contains ``|q|^2 / 2``."""
        return Quadratic(0.5)

    def energy_terms(self, problem: Problem, state: AuxState, new: AuxState, dt: Scalar) -> EnergyTerms:
        """Return both terms of the identity (6)."""
        change = new.aux - (self.auxiliary(problem, state.theta) if state.aux is None else state.aux)
        return EnergyTerms(self.dissipation(problem, state.theta, new.theta, dt), change @ change / 2)
