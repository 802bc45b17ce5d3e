r"""One restarted step of IEQ for all step sizes, beside the formula with singular values.

.. math:: d(\Delta t) = -\sum_i \frac{\sigma_i}{\sigma_i^2 + 1/\Delta t}\,(u_i \cdot q)\,v_i                      \tag{1}

for ``J = U diag(sigma) V^T``. The library's systems are of condition ``1 + dt sigma_1^2``, so that its step may be off
by that times eps. See `gradflow.experiments.ieq_review.limits`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...curvature.damped_step import choose_solver
from ...schemes import IEQ, Restart
from .shared import ReviewTask

__all__ = ["SWEEP", "Sweep", "orders", "sweep"]

SWEEP = np.logspace(-9, 9, 73)
"""The step sizes."""


class Sweep(NamedTuple):
    """One step from one theta for all dt of the sweep; arrays of shape (number of dt,)."""

    shape: tuple[int, int]
    """N and P."""
    rank: int
    """Singular values of J above rounding."""
    extremes: tuple[float, float]
    """The largest and the smallest of their squares."""
    length: np.ndarray[Any, Any]
    """``|d|`` over that of the Gauss-Newton step of smallest norm."""
    angles: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
    """Of d to the negative gradient and to that Gauss-Newton step, in degrees."""
    distances: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
    """``|d / dt + g| / |g|``, and ``|d - d_GN| / |d_GN|``."""
    difference: np.ndarray[Any, Any]
    """Of the library's step and equation (1), relative, beyond the rounding of theta + d."""


def sweep(task: ReviewTask) -> Sweep:
    """Return the steps of restarted IEQ from the initial parameters beside equation (1).

    Parameters
    ----------
    task : ReviewTask
        Problem and parameters.
    """
    problem, theta = task
    at = problem.linearize(theta)
    J, g = at.jacobian(), at.vjp(at.residual)
    scheme = Restart(IEQ(solver=choose_solver(*J.shape, closed_form=True)))  # a matrix for every dt: exact to rounding
    start = scheme.init(problem, theta)
    U, sigma, Vt = np.linalg.svd(J, full_matrices=False)
    rank = int(np.sum(sigma > sigma[0] * max(J.shape) * np.finfo(np.float64).eps))
    U, sigma, Vt = U[:, :rank], sigma[:rank], Vt[:rank]
    along = U.T @ at.residual
    newton = -Vt.T @ (along / sigma)
    rows = []
    blur = np.finfo(np.float64).eps * np.linalg.norm(theta)
    for dt in SWEEP:
        exact = -Vt.T @ (along * sigma / (sigma**2 + 1 / dt))  # (1)
        d = scheme.step(problem, start, dt).theta - theta
        # theta + d loses the digits of a tiny d: what is drawn is (1), once it is known to be the library's step
        rows.append(
            (
                np.linalg.norm(exact) / np.linalg.norm(newton),
                _degrees(exact, -g),
                _degrees(exact, newton),
                np.linalg.norm(exact / dt + g) / np.linalg.norm(g),
                np.linalg.norm(exact - newton) / np.linalg.norm(newton),
                max(0.0, np.linalg.norm(d - exact) - blur) / np.linalg.norm(exact),
            )
        )
    length, to_g, to_newton, from_g, from_newton, difference = np.array(rows).T
    extremes = (float(sigma[0] ** 2), float(sigma[-1] ** 2))
    return Sweep(J.shape, rank, extremes, length, (to_g, to_newton), (from_g, from_newton), difference)


def _degrees(u: Any, v: Any) -> float:
    u, v = u / np.linalg.norm(u), v / np.linalg.norm(v)
    return float(np.degrees(2 * np.arctan2(np.linalg.norm(u - v), np.linalg.norm(u + v))))  # good for small angles, too


def orders(s: Sweep) -> tuple[float, float]:
    """Return the orders of both distances, in dt and in 1 / dt: slopes fitted where its bound is 1e-5 to 1e-2; NaN if not swept.

    Parameters
    ----------
    s : Sweep
        The sweep; the bounds are dt times the largest squared singular value, and 1 / dt over the smallest.
    """
    slopes = []
    for distance, x, sign in zip(
        s.distances, (SWEEP * s.extremes[0], 1 / (SWEEP * s.extremes[1])), (1, -1), strict=True
    ):
        near = (x > 1e-5) & (x < 1e-2)
        if near.sum() < 3:
            slopes.append(float("nan"))
            continue
        slopes.append(sign * float(np.polyfit(np.log(SWEEP[near]), np.log(distance[near]), 1)[0]))
    return slopes[0], slopes[1]
