r"""Noisy gradient descent: explicit Euler with isotropic noise in every gradient.

With a random vector zeta of constant length, uniformly distributed on a sphere,

.. math:: \zeta^n = \sigma\,\frac{z}{|z|_M}, \qquad \mathbb{E}\,\zeta^n = 0, \quad |\zeta^n|_M = \sigma, \quad
          \mathbb{E}\,(\zeta^n, u)_M^2 = \frac{\sigma^2}{P}\,|u|_M^2,                                   \tag{1}

where ``M^{1/2} z`` is normal, the step is

.. math:: \theta^{n+1} = \theta^n - \Delta t\,(g + \zeta^n).                                            \tag{2}

Its mean is the step of gradient descent, and its mean square distance from it is ``dt^2 sigma^2``. If g has the Lipschitz
constant K, E changes by at most

.. math:: E^{n+1} - E^n \le -\Delta t\,\bigl(1 - \tfrac12 K\Delta t\bigr)\,|g|_M^2
              - \Delta t\,(1 - K\Delta t)\,(g, \zeta^n)_M + \tfrac12 K\Delta t^2\sigma^2,               \tag{3}

and the middle term has the mean 0. E falls in the mean where ``|g|_M^2 > K dt sigma^2 / (2 - K dt)``.

Along an eigenvector v of a constant Hessian, with the eigenvalue lambda and the stationary point 0, (2) is a scalar recursion:
``y = (theta, v)_M`` has the mean ``(1 - dt lambda)^n y^0`` and the variance

.. math:: \operatorname{Var} y^n = \frac{\Delta t^2\sigma^2}{P}\,\frac{q^{2n} - 1}{q^2 - 1}, \qquad q = 1 - \Delta t\lambda. \tag{4}

For ``lambda < 0`` it grows without bound: noise in a gradient leaves a saddle, after about
``log(2 P |lambda| / (dt sigma^2)) / (2 dt |lambda|)`` steps to a distance of 1. For ``0 < lambda < 2 / dt`` it tends to
``dt sigma^2 / (P lambda (2 - dt lambda))``: noise never ends at a minimum, and only a smaller dt brings it closer.

`PerturbedGradientDescent` displaces the iterate, and only where the gradient is small. Here, no gradient is tested and
there is no threshold to choose; the price is the noise at the minimum. On a mini-batch, zeta comes on top of the noise of
the batch, which need not have a component along v.

The random numbers of step n are those of the generator of (seed, n). A run that is resumed, or repeated in another
precision, has the same ones. In an inner product that is not known to be diagonal, the direction has a density and the mean
0, but is not uniform.

==========  ===========  ================
symbol      code         shape
==========  ===========  ================
theta       theta        (P,)
g           g            (P,)
zeta        zeta         (P,)
dt          dt           0-d, > 0
==========  ===========  ================

Source: Ge, Huang, Jin & Yuan, COLT 2015, PMLR 40, 797, Algorithm 1; Jin, Netrapalli, Ge, Kakade & Jordan, J. ACM 68 (2021)
no. 2, 11, Algorithm 2 (PSGD), where zeta is normal with ``E |zeta|^2 = sigma^2``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from ..energies.linear import Scalar
from ..energies.protocols import Problem, norm
from ..energies.random_vectors import normal_vector
from ..namespace import Array
from ..refusals import plain_numbers, real_number, whole_number
from .perturbed_gradient_descent import perturbation

__all__ = ["NoisyGradientDescent", "NoisyState", "noisy_gradient_descent_update"]


class NoisyState(NamedTuple):
    """State of `NoisyGradientDescent`."""

    theta: Array
    """Parameters, (P,)."""
    n: int
    """Steps taken; with the seed, it determines the noise of the next one."""


def noisy_gradient_descent_update(theta: Array, g: Array, zeta: Array, *, dt: Scalar) -> Array:
    """Return theta_new, (P,), of equation (2)."""
    return theta - dt * (g + zeta)  # (2)


@dataclass(frozen=True, kw_only=True)
class NoisyGradientDescent:
    """Noisy gradient descent, equation (2).

    Parameters
    ----------
    sigma : float
        The length ``|zeta|_M`` of the noise, > 0, in the units of a gradient.
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
    >>> methods = gf.GradientDescent(), gf.NoisyGradientDescent(sigma=1e-3)
    >>> ends = [gf.solve(well, method, np.array([1.0, 0.0]), dt=0.1, steps=400).theta for method in methods]
    >>> np.round(np.abs(ends), 2).tolist()
    [[0.0, 0.0], [0.0, 1.0]]
    """

    sigma: float = 1e-3
    seed: int = 0
    speed: ClassVar[None] = None  # the noise is not that of a flow

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("sigma", self.sigma, 0, open_low=True)
        whole_number("seed", self.seed)

    def init(self, problem: Problem, theta: Array) -> NoisyState:
        """Return the state (theta, 0)."""
        return NoisyState(theta, 0)

    def draw(self, problem: Problem, theta: Array, n: int) -> Array:
        """Return the noise (1) of step n, (P,).

        Parameters
        ----------
        problem : Problem
            It determines the inner product.
        theta : array (P,)
            It determines the array library and the dtype.
        n : int
            Number of the step.
        """
        z, _ = normal_vector(problem, theta, self.seed, n)
        return perturbation(z, norm(problem.inner, z), 1.0, radius=self.sigma)  # (1)

    def step(self, problem: Problem, state: NoisyState, dt: Scalar) -> NoisyState:
        """Return the state one step of size dt later."""
        theta = state.theta
        _, g = problem.energy_and_gradient(theta)
        zeta = self.draw(problem, theta, state.n)
        return NoisyState(noisy_gradient_descent_update(theta, g, zeta, dt=dt), state.n + 1)
