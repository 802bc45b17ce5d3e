r"""Explicit gradient regularization: an energy with a multiple of its squared gradient.

.. math::
   \tilde E(\theta) &= E(\theta) + \mu\, |\nabla_M E(\theta)|_M^2, \qquad
   \nabla_M \tilde E = g + 2 \mu\, H g,                                                                \tag{1} \\
   \tilde H v &= H v + 2 \mu\, \bigl(H H v + D^3 E[g, v]\bigr)                                         \tag{2}

with g the gradient, H the derivative of g and D^3 E the third derivative, all in the problem's inner product. To second order in the
step size, gradient descent with the step dt on E follows the gradient flow of ``E + (dt / 4) |g|^2``. With

.. math:: \mu = \frac{\Delta t' - \Delta t}{4}                                                         \tag{3}

small steps dt on (1) therefore follow the same flow as steps dt' on E, with an error of second order in dt'. For mu = 0 it is of first
order.

Mini-batches. A step on a batch sees (1) of the batch: the penalty is the squared gradient *of the batch*, whose mean over the
batches exceeds the squared gradient of E by the variance of the batch gradients. That is the regulariser of Smith et al.; that of
Barrett & Dherin needs the full batch.

=======  ============  =======
symbol   code          shape
=======  ============  =======
theta    theta         (P,)
g        g             (P,)
mu       mu            number
dt, dt'  dt, dt_large  number
=======  ============  =======

Source: Barrett & Dherin, "Implicit gradient regularization", ICLR (2021); Smith, Dherin, Barrett & De, "On the origin of implicit
regularization in stochastic gradient descent", ICLR (2021).
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, Self

from ..description import describe, found
from ..namespace import Array
from ..refusals import real_number
from .derivatives import third_derivative
from .linear import LinearPart
from .protocols import Problem, linear_part, nonlinear_energy_and_gradient, problem_ability
from .split import SplitEnergy

__all__ = ["GradientRegularized"]


class GradientRegularized(SplitEnergy):
    """The energy (1) of a problem. Its gradient costs a gradient and an `hvp` of the problem.

    The inner product and the energy part L are those of the problem; the penalty, that of the whole gradient, is part of F.

    Parameters
    ----------
    problem : Problem
        The energy E, with ``hvp``. With a third derivative, (1) has an ``hvp`` too.
    mu : float
        The factor of the squared gradient, a time. Negative values weaken the implicit regularization of a step.

    Raises
    ------
    ValueError
        If the problem has no second derivatives or mu is not a finite number.

    Examples
    --------
    Gradient descent with a step of 0.1, and ten times as many steps of 0.01:

    >>> import numpy as np, gradflow as gf
    >>> well = gf.FunctionProblem(lambda t: t @ t**3 / 4, lambda t: t**3, lambda t, v: 3 * t**2 * v)
    >>> theta, descent = np.array([1.0]), gf.GradientDescent()
    >>> large = gf.solve(well, descent, theta, dt=0.1, steps=10).theta
    >>> for problem in (well, gf.GradientRegularized.reproducing(well, 0.01, 0.1)):
    ...     print(np.round(gf.solve(problem, descent, theta, dt=0.01, steps=100).theta - large, 3))
    [0.015]
    [0.002]
    """

    def __init__(self, problem: Problem, mu: float) -> None:
        if isinstance(problem, type) or not callable(getattr(problem, "energy_and_gradient", None)):
            raise ValueError(f"problem must be a problem, with energy_and_gradient and inner; got {found(problem)}")
        if not problem_ability(problem, "has_hvp") or not callable(getattr(problem, "hvp", None)):
            raise ValueError(f"problem must have second derivatives, hvp; got {type(problem).__name__}")
        self.wrapped = problem
        """The problem."""
        self.mu = real_number("mu", mu, -inf)
        self.mass: Array | float | None = problem_ability(problem, "mass")
        self.linear: LinearPart = linear_part(problem)

    def __repr__(self) -> str:
        kind = type(self.wrapped)
        wrapped = kind.__name__ if kind.__repr__ is object.__repr__ else repr(self.wrapped)
        return f"GradientRegularized({wrapped}, mu={self.mu})"

    @classmethod
    def reproducing(cls, problem: Problem, dt: float, dt_large: float) -> Self:
        """Return the problem on which steps dt do to second order what steps dt_large do on `problem`, equation (3).

        Parameters
        ----------
        problem : Problem
            The energy E.
        dt : float
            The step size that is used, > 0.
        dt_large : float
            The step size that is reproduced, > 0.

        Raises
        ------
        ValueError
            If a step size is not positive, or as for the class.
        """
        small = real_number("dt", dt, 0, open_low=True)
        return cls(problem, (real_number("dt_large", dt_large, 0, open_low=True) - small) / 4)  # (3)

    @property
    def has_hvp(self) -> bool:
        """Whether the problem has third derivatives."""
        return bool(problem_ability(self.wrapped, "has_third_derivative"))

    @property
    def n_samples(self) -> int | None:
        """The number of samples of the problem, or None."""
        count: int | None = problem_ability(self.wrapped, "n_samples")
        return count

    @property
    def batch(self) -> Callable[[Any], Any] | None:
        """Of a problem with mini-batches, the method that maps indices, (B,) integers, to (1) of these samples; else None."""
        return self._wrapping("batch")

    @property
    def at_step(self) -> Callable[[int], Any] | None:
        """Of a problem that changes from step to step, the method that maps n = 0, 1, ... to (1) of step n; else None."""
        return self._wrapping("at_step")

    def _wrapping(self, name: str) -> Callable[[Any], Any] | None:
        part = problem_ability(self.wrapped, name)
        return None if part is None else lambda which: type(self)(part(which), self.mu)

    def inner(self, u: Array, v: Array) -> Array:
        """Return (u, v)_M of the problem, a 0-d array."""
        return self.wrapped.inner(u, v)

    def nonlinear_energy(self, theta: Array) -> Array:
        """Return F and the penalty, 0-d; a gradient is evaluated for it."""
        F, g = self._nonlinear(theta)
        return F + self.mu * self.inner(g, g)  # (1)

    def nonlinear_energy_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """Return F with the penalty, 0-d, and its gradient, (P,)."""
        F, g = self._nonlinear(theta)
        L_theta = 0 if self.linear.scalar == 0 else self.linear.apply(theta)
        return F + self.mu * self.inner(g, g), g - L_theta + 2 * self.mu * self.wrapped.hvp(theta, g)  # (1)

    def nonlinear_hvp(self, theta: Array, v: Array) -> Array:
        """Return the derivative of that gradient along v, (P,).

        Raises
        ------
        ValueError
            If the problem has no third derivatives.
        """
        _, g = self._nonlinear(theta)
        H_v = self.wrapped.hvp(theta, v)
        more = self.wrapped.hvp(theta, H_v) + third_derivative(self.wrapped, theta, g, v)
        return (H_v if self.linear.scalar == 0 else H_v - self.linear.apply(v)) + 2 * self.mu * more  # (2)

    def _nonlinear(self, theta: Array) -> tuple[Array, Array]:
        """Return F, 0-d, and the gradient of E, (P,), of the problem."""
        F, g = nonlinear_energy_and_gradient(self.wrapped, theta)
        return F, g if self.linear.scalar == 0 else g + self.linear.apply(theta)

    def describe(self) -> dict[str, Any]:
        """Return what identifies this problem in a stored result."""
        return {"problem": "GradientRegularized", "mu": self.mu, "wrapped": describe(self.wrapped)}
