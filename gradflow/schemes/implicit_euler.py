r"""Implicit Euler, solved as the minimising movement that it is.

.. math:: \theta^{n+1} = \theta^n - \Delta t\,\nabla E(\theta^{n+1})                                   \tag{1}

says that ``theta^{n+1}`` is a stationary point of

.. math:: \varphi(\theta) = E(\theta) + \frac{|\theta - \theta^n|_M^2}{2\,\Delta t}.                   \tag{2}

`gradflow.curvature.minimising_movement` starts from ``theta^n`` and descends on phi, by an inexact Newton method. So
for every dt > 0 and every E, however far it came,

.. math:: E(\theta^{n+1}) + \frac{|d|_M^2}{2\,\Delta t} \le E(\theta^n), \qquad d = \theta^{n+1} - \theta^n,  \tag{3}

to the rounding of E. If E is convex, (1) has one solution, at a distance of at most ``dt |R|_M`` from any theta, R
being the gradient of phi there, and for it (3) holds without the factor 2. Otherwise, once dt exceeds one over the most
negative curvature, phi may have several stationary points: which one is returned is decided by the descent, not by (1).

A step whose iteration ended early satisfies (3), but solves (1) only up to the residual in its state.

Modified equation (`gradflow.backward_error`). With H the Hessian,

.. math:: \theta' = -g + \tfrac{\Delta t}{2} H g + O(\Delta t^2),                                          \tag{4}

the flow of ``E - (dt / 4) |g|_M^2``: the sign of gradient descent, reversed.

========  ======  ========
symbol    code    shape
========  ======  ========
theta^n   theta   (P,)
d         d       (P,)
========  ======  ========

Source: Rockafellar, SIAM J. Control Optim. 14 (1976) 877, and Ambrosio, Gigli & Savare, Gradient Flows (2008),
chapter 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from ..curvature import Increment, minimising_movement
from ..energies.linear import Scalar
from ..energies.protocols import Problem, linear_part
from ..namespace import Array, array_namespace, quiet
from ..refusals import plain_numbers, real_number, whole_number

__all__ = ["ImplicitEuler", "ImplicitEulerState", "implicit_euler_update"]


class ImplicitEulerState(NamedTuple):
    """State of `ImplicitEuler`: theta, and how well the step that led there was solved."""

    theta: Array
    """Parameters, (P,)."""
    residual: float
    """``|R|_M / |grad E(theta^n)|_M``, dimensionless; 0 at the start. NaN if the energy there was not finite."""
    newton: int
    """Newton iterations taken."""
    converged: bool
    """Whether (1) was solved, to the tolerance or to rounding."""


def implicit_euler_update(theta: Array, *, movement: Callable[[Array], Increment]) -> ImplicitEulerState:
    """Return theta_new (P,) of equation (1) and the account of its solution.

    Parameters
    ----------
    movement : callable
        Maps theta (P,) to an `Increment` whose d has (3).
    """
    found = movement(theta)
    return ImplicitEulerState(theta + found.d, found.residual, found.newton, found.converged)  # (1)


@dataclass(frozen=True, kw_only=True)
class ImplicitEuler:
    """Implicit Euler as a minimising movement, equations (1) to (3).

    Parameters
    ----------
    tol : float, optional
        Relative residual to reach, dimensionless; by default 1e-10 in float64 and 1e-5 in float32.
    max_newton : int
        Most Newton iterations in a step.
    max_cg : int
        Most conjugate gradient iterations (products with H) in a Newton iteration.

    Raises
    ------
    ValueError
        If tol is not positive, a limit is not a whole number >= 1, or (at `init`) the problem has no ``hvp``.
    """

    tol: float | None = None
    max_newton: int = 100
    max_cg: int = 200
    records: ClassVar[tuple[str, ...]] = ("residual", "newton", "converged")

    def __post_init__(self) -> None:
        plain_numbers(self)
        if self.tol is not None:
            real_number("tol", self.tol, 0, open_low=True)
        whole_number("max_newton", self.max_newton, 1)
        whole_number("max_cg", self.max_cg, 1)

    def init(self, problem: Problem, theta: Array) -> ImplicitEulerState:
        """Return the state to start from; one product with H is tried, so that its absence is known now."""
        try:
            with quiet():
                product = problem.hvp(theta, array_namespace(theta).ones_like(theta))
        except (AttributeError, ValueError) as error:
            raise ValueError(f"ImplicitEuler needs second derivatives, got a problem without: {error}") from error
        if getattr(product, "shape", None) != theta.shape:
            raise ValueError(f"hvp must return shape {theta.shape}, got {getattr(product, 'shape', product)!r}")
        return ImplicitEulerState(theta, 0.0, 0, True)

    def unsolved(self, state: ImplicitEulerState) -> str:
        """Return that (1) was not solved to the tolerance, "" if it was."""
        return "" if state.converged else "the nonlinear system was not solved to its tolerance"

    def equation(self, problem: Problem, theta: Array, theta_new: Array, dt: Scalar) -> Array:
        """Return the residual of (1), (P,): what a step brings to 0 up to its tolerance.

        Parameters
        ----------
        problem : Problem
            The energy.
        theta, theta_new : array (P,)
            Parameters before and after the step.
        dt : float or 0-d array
            Step size, > 0.
        """
        _, g = problem.energy_and_gradient(theta_new)
        return theta_new - theta + dt * g

    def step(self, problem: Problem, state: ImplicitEulerState, dt: Scalar) -> ImplicitEulerState:
        """Return the state one step of size dt later."""
        theta, dt = state.theta, float(dt)
        single = array_namespace(theta).finfo(theta.dtype).bits == 32
        with quiet():  # a trial point may overflow; it is then refused
            return implicit_euler_update(
                theta,
                movement=lambda at: minimising_movement(
                    at,
                    dt=dt,
                    energy_and_gradient=problem.energy_and_gradient,
                    hvp=problem.hvp,
                    inner=problem.inner,
                    precondition=lambda u: linear_part(problem).solve_shifted(u, dt),
                    tol=self.tol if self.tol is not None else (1e-5 if single else 1e-10),
                    max_newton=self.max_newton,
                    max_cg=self.max_cg,
                ),
            )
