r"""Restart: reset the auxiliary variable to its definition before every step.

.. math:: r^n := r(\theta^n), \quad\text{then one step of the base scheme.}                              \tag{1}

The energy identity of the base scheme holds within each step, from the true energy to the modified one, and no longer
telescopes: the true energy may rise. What is gained is that nothing can drift or collapse. Restarted `SAV` is, for
L = 0 and S = lambda I, gradient descent with the step ``1 / (1/dt + lambda + |g|^2 / (2 (F + C)))``; restarted `IEQ` is Levenberg-Marquardt with damping 1 / dt.

Source: Ma, Mao & Shen, J. Comput. Phys. 505 (2024) 112911, Algorithm 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..energies.linear import Scalar
from ..energies.protocols import Problem
from ..namespace import Array
from .protocols import AuxiliaryScheme, EnergyTerms, Slack
from .relaxation import Blend

__all__ = ["Restart"]


@dataclass(frozen=True)
class Restart:
    """The base scheme, restarted before every step, equation (1).

    Parameters
    ----------
    base : AuxiliaryScheme
        A scheme with an auxiliary variable.

    Raises
    ------
    ValueError
        If the base has no auxiliary variable.
    """

    base: AuxiliaryScheme
    per_sample_auxiliary: ClassVar[bool] = False
    carries_auxiliary: ClassVar[bool] = False  # each step starts from the definition, in mini-batches the batch's

    def __post_init__(self) -> None:
        if isinstance(self.base, type) or not isinstance(self.base, AuxiliaryScheme):
            raise ValueError(f"Restart wraps a scheme with an auxiliary variable, got {self.base!r}")

    def init(self, problem: Problem, theta: Array) -> Any:
        """Return the base scheme's state."""
        return self.base.init(problem, theta)

    def auxiliary(self, problem: Problem, theta: Array) -> Array:
        """Return the auxiliary variable by its definition at theta, of the shape that the base scheme gives it."""
        return self.base.auxiliary(problem, theta)

    def admissible(self, problem: Problem, theta: Array) -> bool:
        """Return True where the base scheme is defined.

        Parameters
        ----------
        problem : Problem
            The energy.
        theta : array (P,)
            Where.

        Returns
        -------
        bool
            What the base scheme says; True of one that has no such method.
        """
        check = getattr(self.base, "admissible", None)
        return True if check is None else bool(check(problem, theta))

    def step(self, problem: Problem, state: Any, dt: Scalar) -> Any:
        """Return the state one step later; its auxiliary is the intermediate one, kept for diagnosis only."""
        return self.base.step(problem, state._replace(aux=None), dt)  # (1): None is 'equal to its definition'

    def modified_energy(self, problem: Problem, state: Any) -> Array:
        """Return the base scheme's modified energy, 0-d."""
        return self.base.modified_energy(problem, state)

    def dissipation(self, problem: Problem, theta: Array, theta_new: Array, dt: Scalar) -> Array:
        """Return the base scheme's guaranteed drop within one step, 0-d."""
        return self.base.dissipation(problem, theta, theta_new, dt)

    def energy_terms(self, problem: Problem, state: Any, new: Any, dt: Scalar) -> EnergyTerms:
        """Return the terms of the one-step identity, which starts from the true energy."""
        return self.base.energy_terms(problem, state._replace(aux=None), new, dt)

    def relax(
        self,
        aux: Array,
        intermediate: Array,
        consistent: Array,
        slack: Slack,
        *,
        eta: float,
        orientation: str,
    ) -> Blend:
        """Return the base scheme's relaxed variable (which the next restart discards)."""
        return self.base.relax(aux, intermediate, consistent, slack, eta=eta, orientation=orientation)
