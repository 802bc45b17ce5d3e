r"""The metric in which the length of a step is measured, and to which damping adds.

``|d|_D^2 = (D d, d)_M``. `Identity` is the problem's own inner product: damped Gauss-Newton is then restarted IEQ with
``1 / dt`` as the damping. The diagonal of the curvature makes a method invariant to a rescaling of single parameters:

.. math:: D_j = G_{jj} \quad\text{(Marquardt)}, \qquad
          D_j^{n} = \max(D_j^{n-1}, G_{jj}) \quad\text{(Moré)}.                                          \tag{1}

The gradient has a shape too, in powers of its entries or of their averages, a diagonal of ``sum_k g_k g_k^T``:

.. math:: D_j = |g_j|^\alpha, \qquad
          D_j^{n} = (v_j^n)^p, \quad v_j^n = \beta v_j^{n-1} + (1 - \beta)\,(g_j^2 + \varepsilon^2)
          \quad\text{or}\quad v_j^n = v_j^{n-1} + g_j^2 + \varepsilon^2.                              \tag{2}

With G = 0, the damping 1 and p = 1/2, the step of (2) is that of `gradflow.RMSProp` and of `gradflow.Adagrad`, up to
epsilon. Without epsilon these shapes do not bound a step where a ``g_j`` vanishes.

An entry of G is zero for a parameter that the energy does not feel, such as one of a dead ReLU unit. Entries are therefore
at least `floor` times the largest one.

Source: Levenberg, Q. Appl. Math. 2 (1944) 164; Marquardt, SIAM J. Appl. Math. 11 (1963) 431; Moré, Lecture Notes in
Mathematics 630 (1978) 105, section 6; Adolphs, Kohler & Lucchi, arXiv:1905.09201 (2019), section 4, for (2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..namespace import Array, array_namespace
from ..refusals import instance, plain_numbers, real_number
from .model import Model

__all__ = ["CurvatureDiagonal", "GradientPower", "GradientSquares", "Identity", "Metric"]


class Metric(Protocol):
    """A choice of D; implementations are frozen dataclasses."""

    def start(self, theta: Array) -> Array:
        """Return the diagonal before the first step: zeros, (P,), or 1, 0-d, for the identity.

        Parameters
        ----------
        theta : array (P,)
            Initial parameters.
        """

    def weights(self, model: Model, before: Array) -> Array:
        """Return the diagonal of D, (P,), entries > 0; 1, 0-d, for the identity.

        Parameters
        ----------
        model : Model
            The model of this step.
        before : array (P,) or 0-d
            The diagonal of the step before; from `start` at the start.
        """


@dataclass(frozen=True)
class Identity:
    """The problem's inner product."""

    def start(self, theta: Array) -> Array:
        """Return 1, 0-d."""
        return 1 + 0 * theta[0]

    def weights(self, model: Model, before: Array) -> Array:
        """Return 1, 0-d."""
        return before


@dataclass(frozen=True)
class CurvatureDiagonal:
    """The diagonal of the curvature, equation (1).

    Parameters
    ----------
    running : bool
        Whether entries never decrease (Moré). Without, damping may vanish in a direction that it is needed in: MGH17 of
        the NIST problems, from its first start, ends on a plateau.
    floor : float
        The smallest entry, relative to the largest, in (0, 1].

    Raises
    ------
    ValueError
        If `floor` is outside (0, 1].
    """

    running: bool = True
    floor: float = 1e-12

    def __post_init__(self) -> None:
        plain_numbers(self)
        instance("running", self.running, bool, "True or False")
        real_number("floor", self.floor, 0, 1, open_low=True)

    def start(self, theta: Array) -> Array:
        """Return zeros, (P,)."""
        return 0 * theta

    def weights(self, model: Model, before: Array) -> Array:
        """Return (1), (P,), with absolute values for an indefinite curvature, and ones if all are zero."""
        xp = array_namespace(model.theta)
        diagonal = xp.abs(model.diagonal())
        if self.running:
            diagonal = xp.maximum(diagonal, before)
        return _at_least(diagonal, self.floor)


@dataclass(frozen=True)
class GradientPower:
    """Powers of the entries of the gradient, the first of (2).

    Parameters
    ----------
    power : float
        The power alpha > 0.
    floor : float
        The smallest entry, relative to the largest, in (0, 1].

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    power: float = 1.0
    floor: float = 1e-6

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("power", self.power, 0, open_low=True)
        real_number("floor", self.floor, 0, 1, open_low=True)

    def start(self, theta: Array) -> Array:
        """Return zeros, (P,)."""
        return 0 * theta

    def weights(self, model: Model, before: Array) -> Array:
        """Return ``|g|^alpha``, (P,), and ones if g is zero."""
        return _at_least(array_namespace(model.theta).abs(model.gradient) ** self.power, self.floor)


@dataclass(frozen=True)
class GradientSquares:
    """Powers of an average or a sum of squared gradients over the accepted steps, the second of (2).

    Parameters
    ----------
    decay : float
        The decay beta of the average, in [0, 1); 1 for the sum.
    power : float
        The power p, in (0, 1]: 1/2 as in adaptive gradient methods, 1 for the diagonal of ``sum g g^T``.
    eps : float
        The constant epsilon > 0, in the units of the gradient.

    Raises
    ------
    ValueError
        If a number is out of its range.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> rosenbrock = gf.DenseLeastSquares(lambda t: np.stack([10 * (t[1] - t[0] ** 2), 1 - t[0]]))
    >>> method = gf.TrustRegion(curvature=gf.curvature.GaussNewton(), metric=gf.curvature.GradientSquares())
    >>> run = gf.solve(rosenbrock, method, np.array([-1.2, 1.0]), steps=60)
    >>> bool(abs(run.theta - 1).max() < 1e-8)
    True
    """

    decay: float = 0.9
    power: float = 0.5
    eps: float = 1e-8

    def __post_init__(self) -> None:
        plain_numbers(self)
        real_number("decay", self.decay, 0, 1)
        real_number("power", self.power, 0, 1, open_low=True)
        real_number("eps", self.eps, 0, open_low=True)

    def start(self, theta: Array) -> Array:
        """Return zeros, (P,)."""
        return 0 * theta

    def weights(self, model: Model, before: Array) -> Array:
        """Return ``v^p``, (P,), where `before`, (P,), is that of the step before."""
        new = 1 - self.decay if self.decay < 1 else 1.0
        v = self.decay * before ** (1 / self.power) + new * (model.gradient**2 + self.eps**2)
        return v**self.power


def _at_least(diagonal: Array, floor: float) -> Array:
    """Return a diagonal, (P,), with entries of at least `floor` times the largest; ones if all are zero."""
    xp = array_namespace(diagonal)
    largest = xp.max(diagonal)
    return xp.where(largest > 0, xp.maximum(diagonal, floor * largest), 1 + 0 * diagonal)
