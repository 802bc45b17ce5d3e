"""One flow in two systems of coordinates: a scheme that uses the inner product of the problem takes the same steps.

With ``y = M^{1/2} theta`` the gradient flow of E in the inner product ``(u, v)_M = sum(m u v)`` becomes the flow of the same
energy in y with the dot product. For a diagonal M of powers of 4, all of ``M^{1/2}`` are powers of 2, and sums of products
have the same rounding errors in both systems. Another inner product in the place of ``problem.inner``, or a factor m
that is missing in an adjoint, breaks the agreement. The energy is a sum of squares with negative curvature about the
origin; it has an energy part L, which is diagonal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..energies.dense import DenseLeastSquares
from ..energies.function import FunctionProblem
from ..energies.linear import Diagonal

__all__ = ["MASS", "agree", "in_both"]

MASS = np.array([4.0, 0.25, 1.0])
"""The diagonal m of the inner product."""
ROOT = np.sqrt(MASS)
DECAY = np.array([0.5, 0.25, 0.125])
COUPLED = np.array([[0.5, -0.25, 0.75], [-0.5, 1.0, 0.25]])


def in_both(*, least_squares: bool = False) -> list[Any]:
    """Return the problem in theta, with the inner product of `MASS`, and in ``y = M^{1/2} theta`` with the dot product.

    Parameters
    ----------
    least_squares : bool
        Whether it is a sum of five squares, ``t^2 - 1`` for each of three parameters and two that couple them, or known by
        E, its gradient and its second derivatives only.
    """

    def residual(t: Any) -> Any:
        return np.concatenate([t * t - 1, COUPLED @ t + 0.125])

    def jacobian(t: Any) -> Any:
        return np.concatenate([np.diag(2 * t), COUPLED])

    def product(t: Any, v: Any) -> Any:
        return jacobian(t).T @ (jacobian(t) @ v) + 2 * residual(t)[:3] * v

    def problem(scale: Any, mass: Any) -> Any:  # theta = scale * x
        if least_squares:
            return DenseLeastSquares(
                lambda x: residual(scale * x),
                lambda x: jacobian(scale * x) * scale,
                linear=Diagonal(DECAY),
                mass=mass,
            )
        return FunctionProblem(
            lambda x: residual(scale * x) @ residual(scale * x) / 2,
            lambda x: scale * (jacobian(scale * x).T @ residual(scale * x)) / mass,
            hvp=lambda x, v: scale * product(scale * x, scale * v) / mass,
            linear=Diagonal(DECAY),
            mass=mass,
        )

    return [problem(np.ones(3), MASS), problem(1 / ROOT, np.ones(3))]


def agree(scheme: Any, problems: list[Any], *, dt: float = 0.25, steps: int = 3, starts: int = 6) -> None:
    """Assert that a scheme takes the same steps in both systems of coordinates, to rounding.

    Compared are theta, every number of the state, and, of a scheme with an auxiliary variable, the modified energy and
    both terms of its law.

    Parameters
    ----------
    scheme : Scheme
        What is run.
    problems : list of Problem
        As from `in_both`.
    dt : float
        Step size.
    steps : int
        Steps from each start.
    starts : int
        Points from which it runs.

    Raises
    ------
    AssertionError
        If they differ.
    """
    rng = np.random.default_rng(0)
    scales = np.ones(3), ROOT
    for _ in range(starts):
        theta = rng.uniform(-0.25, 0.25, 3)
        states = [scheme.init(p, scale * theta) for p, scale in zip(problems, scales, strict=True)]
        for _ in range(steps):
            new = [scheme.step(p, state, dt) for p, state in zip(problems, states, strict=True)]
            found = [_numbers(scheme, p, s, n, dt) for p, s, n in zip(problems, states, new, strict=True)]
            found = [[n.theta / scale, *f] for n, scale, f in zip(new, scales, found, strict=True)]
            for one, other in zip(*found, strict=True):
                assert np.allclose(one, other, rtol=1e-9, atol=1e-11), (one, other)
            states = new


def _numbers(scheme: Any, problem: Any, state: Any, new: Any, dt: float) -> list[Any]:
    numbers = [x for x in new if np.ndim(x) == 0 and isinstance(x, (int, float, np.generic, np.ndarray))]
    terms: Callable[..., Any] | None = getattr(scheme, "energy_terms", None)
    if terms is not None:
        numbers += [scheme.modified_energy(problem, new), *terms(problem, state, new, dt)]
    return numbers
