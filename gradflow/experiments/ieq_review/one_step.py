r"""Two steps of restarted IEQ after which the true loss is larger than before, in rational numbers and in floating point.

One residual, q, with derivatives J; a step is

.. math:: q^{n+1} = \frac{q}{1 + \Delta t\,|J|^2}, \qquad \theta^{n+1} = \theta - \Delta t\,J^T q^{n+1},              \tag{1}

so rational data stay rational. With y = 1 and dt = 100: ``f = theta^2`` from 1/10, and one ReLU neuron without input
weight, ``f = a relu(b)`` from a = b = 1/10. See `gradflow.experiments.ieq_review.energy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from ...energies.dense import DenseLeastSquares
from ...energies.protocols import Problem
from ...models import Regression, TwoLayerNet
from ...namespace import Array

__all__ = ["LARGE", "OneStep", "one_steps", "rational_step"]

LARGE, TENTH = 100, Fraction(1, 10)
"""The step size, and where every parameter starts."""


class OneStep(NamedTuple):
    """A printed counterexample: a problem, a start, and the step in rational numbers."""

    problem: Problem
    """In floating point."""
    theta0: Array
    """Initial parameters, (P,)."""
    theta: tuple[Fraction, ...]
    """After one step of restarted IEQ, exactly; parameters that do not move left out."""
    losses: tuple[Fraction, Fraction, Fraction]
    """True before, modified after, true after, exactly."""


def rational_step(
    theta: Sequence[Fraction], q: Fraction, J: Sequence[Fraction], dt: Fraction
) -> tuple[tuple[Fraction, ...], Fraction]:
    """Return theta and q after a step of IEQ for one residual, in rational numbers: ``q / (1 + dt |J|^2)`` along J.

    Parameters
    ----------
    theta : sequence of Fraction
        Parameters.
    q : Fraction
        The residual.
    J : sequence of Fraction
        Its derivatives.
    dt : Fraction
        Step size > 0.
    """
    q_new = q / (1 + dt * sum(j * j for j in J))
    return tuple(t - dt * j * q_new for t, j in zip(theta, J, strict=True)), q_new


def _square(theta: Array) -> Array:
    return theta**2 - 1


def _square_slope(theta: Array) -> Array:
    return 2 * theta[None, :]


def one_steps() -> dict[str, OneStep]:
    """Return both counterexamples by their formula."""
    dt = Fraction(LARGE)
    q = TENTH**2 - 1  # of both
    (t,), q_square = rational_step((TENTH,), q, (2 * TENTH,), dt)
    (a, b), q_neuron = rational_step((TENTH, TENTH), q, (TENTH, TENTH), dt)
    net = TwoLayerNet(1, 1, scaling="standard")
    neuron = Regression(net, np.zeros((1, 1)), np.ones((1, 1)), loss="half_sum", time_scale="autograd")
    # at the input 0 the weight does not act: theta = (weight, b, a), and J = (0, a, b) for b > 0
    return {
        "f = theta^2": OneStep(
            DenseLeastSquares(_square, _square_slope), np.array([0.1]), (t,), (q**2 / 2, q_square**2 / 2, (t**2 - 1) ** 2 / 2)
        ),
        "f = a relu(b)": OneStep(
            neuron, np.array([0.0, 0.1, 0.1]), (b, a), (q**2 / 2, q_neuron**2 / 2, (a * max(b, Fraction(0)) - 1) ** 2 / 2)
        ),
    }  # fmt: skip
