r"""The smoothed particle method: the energy at parameters that are displaced at random, by new draws in each step.

A network of m neurons is a measure of m particles. Smoothed with a Gaussian kernel of width h it is
:math:`\tilde\pi = \frac1m \sum_k \varphi_h(\theta - \theta_k)`, and the energy that the method lowers is

.. math::
   F_h(\theta) = \mathbb{E}\, F(\theta + h \xi), \qquad \xi \sim N(0, I_P),                                     \tag{1}

with F the energy of the wrapped problem without its weight decay. Step n replaces the expectation by J draws of all
parameters, new in each step:

.. math::
   F_n(\theta) = \frac1J \sum_{j=1}^J F(\theta + h \xi_j), \qquad
   \nabla_M F_n(\theta) = \frac1J \sum_{j=1}^J \nabla_M F(\theta + h \xi_j),                                    \tag{2}

.. math::
   E_n(\theta) = \tfrac12 (\theta, L\theta)_M + F_n(\theta).                                                    \tag{3}

So :math:`\mathbb{E}\, F_n = F_h` and :math:`\mathbb{E}\, \nabla_M F_n = \nabla_M F_h`. The weight decay L acts on theta
itself; (1) would only add a constant to it.

=======  ============================  =======
symbol   code                          shape
=======  ============================  =======
theta    theta                         (P,)
h        h                             number
J        draws                         int
n        step                          int
xi_j     xi                            (P,)
F        wrapped.nonlinear_energy      0-d
F_n      nonlinear_energy              0-d
=======  ============================  =======

What is known. For an F with four continuous derivatives that grow no faster than a polynomial, by Taylor's formula and
because the odd moments of xi vanish,

.. math::
   \mathbb{E}\, F_n(\theta) = F(\theta) + \frac{h^2}{2} \operatorname{tr} \partial^2 F(\theta) + O(h^4),          \tag{4}

with the trace of the plain second partial derivatives, no inner product in it. For ReLU, F has kinks and (4) says
nothing on them; for h > 0, :math:`F_h` is nevertheless smooth (a convolution with a Gaussian), each :math:`F_n` is not.
For a loss that is convex in the outputs, (1) is at least the loss of the smoothed network :math:`\mathbb{E} f_{\theta +
h\xi}`, by Jensen's inequality: it is the displaced networks whose loss is averaged, not their outputs.

Source: Z. Ma, Z. Mao, J. Shen, "Efficient and stable SAV-based methods for gradient flows arising from deep learning",
J. Comput. Phys. 505 (2024) 112911, Algorithm 1 (J = 10; h = 1e-4, or 1e-6 in Example 3). That the draws are
a function of (seed, n) alone is this library's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from ..description import describe, found
from ..energies.protocols import batches, linear_part, problem_ability
from ..energies.split import SplitEnergy
from ..namespace import Array, array_namespace
from ..refusals import real_array, real_number, whole_number

__all__ = ["KEPT_BYTES", "SmoothedParticles"]

KEPT_BYTES = 2**26
"""Size up to which the draws of a step are kept for its further evaluations; larger draws are repeated."""
_PURPOSE = 0x53504D
"""Third word of the seed. NumPy takes [seed, 0] for seed, which also seeds the initial parameters, and the order of the
batches of an epoch has [seed, epoch]: without it the draws would repeat their numbers."""
_METHODS = ("inner", "nonlinear_energy", "nonlinear_energy_and_gradient", "nonlinear_hvp", "batch", "describe")


class SmoothedParticles(SplitEnergy):
    """A network problem with the energy (3) of one step, the mean over J random displacements of the parameters.

    `solve` asks for the problem of each step by `at_step`. What it records of "the full problem" is this one: all
    samples and the draws of step 0, throughout. For the energy without displacements, record ``("F", lambda state:
    problem.wrapped.energy(state.theta))``.

    There is no `linearize`, and so no IEQ: the residual whose half square is (2) has J N entries, J times those of the
    wrapped problem, and those of step n are no later step's, so that a stored residual would mean nothing.

    Parameters
    ----------
    problem : Regression or Classification
        The problem to smooth.
    h : float
        Width of the kernel, >= 0, in the units of theta. 0 gives the wrapped problem.
    draws : int
        J, >= 1. An evaluation costs J of the wrapped problem.
    seed : int
        Seed of the draws, >= 0.

    Raises
    ------
    ValueError
        If an argument is outside what is said above.

    Examples
    --------
    >>> import numpy as np
    >>> from gradflow.models import Regression, SmoothedParticles, TwoLayerNet
    >>> x = np.linspace(-1, 1, 20)[:, None]
    >>> net = TwoLayerNet(1, 50)
    >>> problem = SmoothedParticles(Regression(net, x, np.sin(x)), h=1e-2)
    >>> theta = net.init(0)
    >>> bool(problem.at_step(3).energy(theta) == problem.at_step(4).energy(theta))
    False
    """

    wrapped: Any
    """The problem that is smoothed, of this batch."""
    h: float
    """Width of the kernel."""
    draws: int
    """J of equation (2)."""
    seed: int
    """Seed of the draws."""
    step: int
    """n of equation (2): whose draws these are."""

    def __init__(self, problem: Any, *, h: float = 1e-4, draws: int = 10, seed: int = 0) -> None:
        if isinstance(problem, (type, SmoothedParticles)) or not all(
            callable(getattr(problem, method, None)) for method in _METHODS
        ):
            raise ValueError(
                f"problem must be a Regression or a Classification, or have their methods; got {found(problem)}"
            )
        self.wrapped, self.linear = problem, linear_part(problem)
        self.h, self.draws = real_number("h", h, 0), whole_number("draws", draws, 1)
        self.seed, self.step = whole_number("seed", seed), 0
        self._kept: list[Array] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy in another process needs; it makes the draws itself."""
        return {**self.__dict__, "_kept": None}

    @property
    def n_samples(self) -> int:
        """N, of this batch."""
        n: int = self.wrapped.n_samples
        return n

    @property
    def mass(self) -> Array | float | None:
        """The diagonal of the inner product: a number or an array (P,)."""
        return problem_ability(self.wrapped, "mass")

    def inner(self, u: Array, v: Array) -> Array:
        """Return (u, v)_M of the wrapped problem, a 0-d array."""
        return self.wrapped.inner(u, v)

    def at_step(self, n: int) -> Self:
        """Return the same problem with the draws of step n, a whole number >= 0.

        Raises
        ------
        ValueError
            If n is no whole number >= 0.
        """
        if whole_number("n", n) == self.step:
            return self
        return self._with(step=int(n), _kept=None)

    def batch(self, indices: Array | slice) -> Self:
        """Return the same problem, with the same draws, on some of its samples."""
        return self._with(wrapped=self.wrapped.batch(indices))

    def batches(self, order: Array, size: int) -> Iterator[Self]:
        """Yield `batch` of each run of `size` samples in an order, which the wrapped problem checks once if it can."""
        return (self._with(wrapped=part) for part in batches(self.wrapped, order, size))

    def nonlinear_energy(self, theta: Array) -> Array:
        """Return F_n(theta), equation (2), a 0-d array.

        Raises
        ------
        ValueError
            If theta does not have shape (P,) and the dtype of the data, as in every method here.
        """
        F: Array = 0.0
        for at in self._displaced(theta):
            F = F + self.wrapped.nonlinear_energy(at)
        return F / self.draws

    def nonlinear_energy_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """Return F_n (0-d) and its gradient with respect to `inner`, shape (P,)."""
        F: Array = 0.0
        g: Array = 0.0
        for at in self._displaced(theta):
            F_j, g_j = self.wrapped.nonlinear_energy_and_gradient(at)
            F, g = F + F_j, g + g_j
        return F / self.draws, g / self.draws

    def nonlinear_hvp(self, theta: Array, v: Array) -> Array:
        """Return the derivative of the gradient of F_n along v, shape (P,)."""
        H_v: Array = 0.0
        for at in self._displaced(theta):
            H_v = H_v + self.wrapped.nonlinear_hvp(at, v)
        return H_v / self.draws

    def describe(self) -> dict[str, Any]:
        """Return what identifies this problem in a stored result, as plain values for JSON."""
        return {
            "problem": type(self).__name__,
            "h": self.h,
            "draws": self.draws,
            "seed": self.seed,
            "step": self.step,
            "wrapped": describe(self.wrapped),
        }

    def _displaced(self, theta: Array) -> Iterator[Array]:
        """Yield theta + h xi_j, (P,), for the draws of this step."""
        real_array("theta", theta, {"P": None})  # its length and its dtype are checked by the wrapped problem
        return (theta + self.h * xi for xi in self._xi(theta))

    def _xi(self, theta: Array) -> Iterator[Array] | list[Array]:
        """Return the draws xi_j, (P,), in the library and the dtype of theta."""
        kept = self._kept
        if kept is not None and kept[0].shape == theta.shape and kept[0].dtype == theta.dtype:
            return kept
        if 8 * self.draws * theta.shape[0] > KEPT_BYTES:
            return self._drawn(theta)
        self._kept = list(self._drawn(theta))
        return self._kept

    def _drawn(self, theta: Array) -> Iterator[Array]:
        """Yield the draws one by one. They are made in float64, so that a float32 run sees the same ones, rounded."""
        xp, rng = array_namespace(theta), np.random.default_rng([self.seed, self.step, _PURPOSE])
        for _ in range(self.draws):
            yield xp.asarray(rng.standard_normal(theta.shape[0]), dtype=theta.dtype)
