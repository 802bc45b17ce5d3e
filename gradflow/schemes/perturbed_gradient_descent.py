r"""Perturbed gradient descent: explicit Euler that leaves saddles by a small random displacement.

Gradient descent stands still at a saddle, and needs long to leave its neighbourhood. Where the gradient is small, and the last
perturbation is at least `wait` steps ago, the *iterate* is displaced at random first:

.. math:: \tilde\theta = \theta^n + \xi, \qquad \xi = r\,u^{1/P}\,\frac{z}{|z|_M},                      \tag{1}

uniformly distributed in a ball of radius r: u is uniform in [0, 1), ``M^{1/2} z`` is normal. Otherwise ``xi = 0``. Then

.. math:: \theta^{n+1} = \tilde\theta - \Delta t\, g(\tilde\theta).                                     \tag{2}

If g has the Lipschitz constant K, E changes by

.. math:: E^{n+1} - E^n \le -\Delta t\,\bigl(1 - \tfrac12 K\Delta t\bigr)\,|g(\tilde\theta)|_M^2
              + |g(\theta^n)|_M\,|\xi|_M + \tfrac12 K |\xi|_M^2.                                        \tag{3}

A perturbation raises E by at most ``eps r + K r^2 / 2``, with eps the bound of the gradient below which it is made. The
theorem: if the Hessian too is Lipschitz, with the constant rho, and E bounded below, then for suitable numbers, dt of the
order of ``1 / K``, an ``(eps, sqrt(rho eps))``-stationary point of second order (`gradflow.stationarity`) is reached with
probability ``1 - delta`` in ``O(K (E^0 - min E) / eps^2)`` steps, up to a factor of ``log^4`` of P and ``1 / delta``. A
network with ReLU has neither constant; there is no such theorem for it.

The method has no end of its own. The algorithm of the source ends where E has not fallen by a certain amount `wait` steps after
a perturbation. A tolerance on the gradient would end a run at the saddle.

The random numbers of step n are those of the generator of (seed, n). A run that is resumed, or repeated in another
precision, has the same ones.

==========  ===========  ================
symbol      code         shape
==========  ===========  ================
theta       theta        (P,)
xi          xi           (P,)
g           g            (P,)
dt          dt           0-d, > 0
z           z            (P,)
u           u            number in [0, 1)
r           radius       number > 0
==========  ===========  ================

Source: Jin, Ge, Netrapalli, Kakade & Jordan, ICML 2017, PMLR 70, 1724, section 3 (PGD); Jin, Netrapalli, Ge, Kakade & Jordan,
J. ACM 68 (2021) no. 2, 11.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from ..energies.linear import Scalar
from ..energies.protocols import Problem, norm
from ..energies.random_vectors import normal_vector
from ..namespace import Array
from ..refusals import plain_numbers, real_number, whole_number

__all__ = ["PerturbedGradientDescent", "PerturbedState", "perturbation", "perturbed_gradient_descent_update"]


class PerturbedState(NamedTuple):
    """State of `PerturbedGradientDescent`."""

    theta: Array
    """Parameters, (P,)."""
    n: int
    """Steps taken."""
    since: Array
    """Steps since the last perturbation, 0-d, at most `wait`, with which a run starts. It is no counter: a run that waits for
    the next perturbation at a saddle does not stand still."""
    perturbed: Array
    """Perturbations made, 0-d."""


def perturbation(z: Array, length: Scalar, u: Scalar, *, radius: Scalar) -> Array:
    """Return xi of equation (1), (P,).

    Parameters
    ----------
    length : float or 0-d array
        ``|z|_M``, > 0.
    """
    return radius * u ** (1 / z.shape[0]) * (z / length)  # (1)


def perturbed_gradient_descent_update(theta: Array, xi: Array, g: Array, *, dt: Scalar) -> Array:
    """Return theta_new, (P,), of equation (2)."""
    return theta + xi - dt * g  # (2)


@dataclass(frozen=True, kw_only=True)
class PerturbedGradientDescent:
    """Perturbed gradient descent, equations (1) and (2).

    Parameters
    ----------
    gradient_tol : float
        A perturbation is made where ``|g|_M`` is at most this number, > 0.
    radius : float
        The radius r of the ball, > 0, in the units of theta.
    wait : int
        The smallest number of steps between two perturbations, >= 1.
    seed : int
        Of the random numbers, >= 0.

    Raises
    ------
    ValueError
        If a number is out of its range.

    Examples
    --------
    The double well ``x^2 / 2 + y^4 / 4 - y^2 / 2`` has a saddle at the origin. Gradient descent from (1, 0) goes there:

    >>> import numpy as np, gradflow as gf
    >>> well = gf.FunctionProblem(
    ...     lambda t: t[0] ** 2 / 2 + t[1] ** 4 / 4 - t[1] ** 2 / 2, lambda t: np.array([t[0], t[1] ** 3 - t[1]])
    ... )
    >>> methods = gf.GradientDescent(), gf.PerturbedGradientDescent(gradient_tol=1e-3, radius=1e-3)
    >>> ends = [gf.solve(well, method, np.array([1.0, 0.0]), dt=0.1, steps=400).theta for method in methods]
    >>> np.round(np.abs(ends), 2).tolist()
    [[0.0, 0.0], [0.0, 1.0]]
    """

    gradient_tol: float = 1e-3
    radius: float = 1e-3
    wait: int = 100
    seed: int = 0

    records: ClassVar[tuple[str, ...]] = ("since", "perturbed")

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("gradient_tol", self.gradient_tol, 0, open_low=True)
        real_number("radius", self.radius, 0, open_low=True)
        whole_number("wait", self.wait, 1)
        whole_number("seed", self.seed)

    def init(self, problem: Problem, theta: Array) -> PerturbedState:
        """Return the state in which a perturbation may be made."""
        zero = 0 * theta[0]
        return PerturbedState(theta, 0, zero + self.wait, zero)

    def draw(self, problem: Problem, theta: Array, n: int) -> Array:
        """Return the perturbation (1) of step n, (P,).

        In an inner product that is not known to be diagonal, the direction has a density, but is not uniform.

        Parameters
        ----------
        problem : Problem
            It determines the inner product.
        theta : array (P,)
            It determines the array library and the dtype.
        n : int
            Number of the step.
        """
        z, u = normal_vector(problem, theta, self.seed, n)
        return perturbation(z, norm(problem.inner, z), u, radius=self.radius)

    def step(self, problem: Problem, state: PerturbedState, dt: Scalar) -> PerturbedState:
        """Return the state one step of size dt later."""
        theta, zero = state.theta, 0 * state.theta[0]
        _, g = problem.energy_and_gradient(theta)
        xi, due = 0 * theta, float(state.since) >= self.wait and norm(problem.inner, g) <= self.gradient_tol
        if due:
            xi = self.draw(problem, theta, state.n)
            _, g = problem.energy_and_gradient(theta + xi)
        theta_new = perturbed_gradient_descent_update(theta, xi, g, dt=dt)
        since = zero + (1 if due else min(float(state.since) + 1, self.wait))
        return PerturbedState(theta_new, state.n + 1, since, state.perturbed + int(due))
