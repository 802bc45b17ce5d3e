r"""Restart: reset the auxiliary variable to its definition before every step.

.. math:: r^n := r(\theta^n), \quad\text{then one step of the base scheme.}                              \tag{1}

A multi-step base also loses its past: every step is then its starting step.

The energy identity of the base scheme holds within each step, from the true energy to the modified one. It no longer
telescopes, and the true energy may rise. In return, the auxiliary variable cannot drift or collapse. For L = 0 and S =
lambda I, restarted `SAV` is gradient descent with the step ``1 / (1/dt + lambda + |g|^2 / (2 (F + C)))``. Restarted
`IEQ` is Levenberg-Marquardt with damping 1 / dt, and `gradflow.ByGainRatio` adds its test of the true energy.

The true energy. With D and N the terms of the base's identity (`EnergyTerms`), of which ``D >= |d|_M^2 / dt + (S d,
d)_M``, a step of `SAV`, `MSAV`, `IEQ` or explicit `ExpSAV` satisfies, for every energy,

.. math:: E(\theta^{n+1}) - E(\theta^n) = -D - 2N + T, \qquad T = F(\theta^{n+1}) - F(\theta^n) - (g, d)_M.      \tag{2}

Only T needs an assumption. If the gradient of F is K-Lipschitz in the inner product of the problem, then ``T <= K |d|_M^2
/ 2``, and with a stabilization ``S >= K / 2`` the true energy falls for every dt,

.. math:: E(\theta^{n+1}) - E(\theta^n) \le -\frac{|d|_M^2}{\Delta t} - \bigl((S - \tfrac K2)d, d\bigr)_M - 2N.   \tag{3}

K / 2 is sharp: for ``F = K theta^2 / 2`` and S < K / 2, some dt and C raise E.

Source: Ma, Mao & Shen, J. Comput. Phys. 505 (2024) 112911, Algorithm 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..description import found
from ..energies.linear import Scalar
from ..energies.protocols import Problem
from ..namespace import Array
from .protocols import AuxiliaryScheme, EnergyTerms, scheme_ability
from .relaxation import EnergyLaw
from .state import reset

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
            raise ValueError(f"base must be a scheme with an auxiliary variable, got {found(self.base)}")

    @property
    def records(self) -> tuple[str, ...]:
        """Fields of the base scheme's state that may be recorded."""
        return tuple(scheme_ability(self.base, "records"))

    @property
    def speed(self) -> float | None:
        """The c of the flow theta' = -c grad E that the base scheme claims to follow; None if it claims none."""
        declared: float | None = scheme_ability(self.base, "speed")
        return declared

    @property
    def order(self) -> int:
        """The order that the base scheme claims."""
        return int(scheme_ability(self.base, "order"))

    def init(self, problem: Problem, theta: Array) -> Any:
        """Return the base scheme's state."""
        return self.base.init(problem, theta)

    def auxiliary(self, problem: Problem, theta: Array) -> Array:
        """Return the auxiliary variable by the base scheme's definition at theta."""
        return self.base.auxiliary(problem, theta)

    def undefined(self, problem: Problem, theta: Array) -> str:
        """Return why the base scheme is not defined at theta, "" if it is defined."""
        return str(scheme_ability(self.base, "undefined")(problem, theta))

    def unsolved(self, state: Any) -> str:
        """Return what the base scheme's last step left unsolved, "" if it was solved."""
        return str(scheme_ability(self.base, "unsolved")(state))

    def step(self, problem: Problem, state: Any, dt: Scalar) -> Any:
        """Return the state one step later; its ``aux`` is the intermediate variable, kept for diagnosis only."""
        return self.base.step(problem, reset(state), dt)  # (1)

    def modified_energy(self, problem: Problem, state: Any) -> Array:
        """Return the base scheme's modified energy, 0-d."""
        return self.base.modified_energy(problem, state)

    def law(self, problem: Problem, state: Any) -> EnergyLaw:
        """Return the base scheme's law."""
        return self.base.law(problem, state)

    def energy_terms(self, problem: Problem, state: Any, new: Any, dt: Scalar) -> EnergyTerms:
        """Return the terms of the one-step identity, which starts from the true energy."""
        return self.base.energy_terms(problem, reset(state), new, dt)
