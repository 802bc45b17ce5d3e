r"""The metric in which the length of a step is measured, and to which damping adds.

``|d|_D^2 = (D d, d)_M``. `Identity` is the problem's own inner product: damped Gauss-Newton is then restarted IEQ with
``1 / dt`` as the damping. The diagonal of the curvature makes a method invariant to a rescaling of single parameters:

.. math:: D_j = G_{jj} \quad\text{(Marquardt)}, \qquad
          D_j^{n} = \max(D_j^{n-1}, G_{jj}) \quad\text{(Moré)}.                                          \tag{1}

An entry of G is zero for a parameter that the energy does not feel, such as one of a dead ReLU unit. Entries are therefore
at least `floor` times the largest one.

Source: Levenberg, Q. Appl. Math. 2 (1944) 164; Marquardt, SIAM J. Appl. Math. 11 (1963) 431; Moré, Lecture Notes in
Mathematics 630 (1978) 105, section 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..namespace import Array, array_namespace
from ..refusals import instance, plain_numbers, real_number
from .model import Model

__all__ = ["CurvatureDiagonal", "Identity", "Metric"]


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
        largest = xp.max(diagonal)
        return xp.where(largest > 0, xp.maximum(diagonal, self.floor * largest), 1 + 0 * diagonal)
