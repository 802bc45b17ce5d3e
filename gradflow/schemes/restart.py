r"""Restart: reset the auxiliary variable to its definition before every step, or before every k-th.

.. math:: r^n := r(\theta^n) \text{ if } k \text{ divides } n, \quad\text{then one step of the base scheme.}         \tag{1}

The paper has k = 1. With k the number of batches of an epoch, the auxiliary variable is set anew in each epoch, as some
published codes do. Between two restarts the scheme is its base, with the identity of the base. What follows is for k = 1.

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
from typing import Any, NamedTuple

from ..description import found
from ..energies.linear import Scalar
from ..energies.protocols import Problem
from ..namespace import Array
from ..refusals import plain_numbers, whole_number
from .protocols import AuxiliaryScheme, EnergyTerms, begun, scheme_ability
from .relaxation import EnergyLaw
from .state import reset

__all__ = ["Restart", "RestartState"]


class RestartState(NamedTuple):
    """State of `Restart` between two restarts."""

    theta: Array
    """Parameters, (P,)."""
    aux: Array | None
    """The auxiliary variable; None means 'equal to its definition'."""
    n: int
    """Steps since the last restart, 0 to k - 1."""
    base: Any
    """The base scheme's own state, with its other fields."""


@dataclass(frozen=True)
class Restart:
    """The base scheme, restarted before every step or every k-th, equation (1).

    Parameters
    ----------
    base : AuxiliaryScheme
        A scheme with an auxiliary variable.
    every : int
        Steps from one restart to the next, at least 1; k in equation (1).

    Raises
    ------
    ValueError
        If the base has no auxiliary variable, or `every` is not a whole number of at least 1.

    Examples
    --------
    >>> import numpy as np
    >>> import gradflow as gf
    >>> problem = gf.FunctionProblem(lambda w: w @ w / 2, lambda w: w)
    >>> scheme = gf.Restart(gf.SAV(), every=10)
    >>> state = scheme.init(problem, np.array([1.0]))
    >>> for _ in range(10):
    ...     state = scheme.step(problem, state, 0.5)
    >>> state.n, float(state.aux) < float(scheme.auxiliary(problem, state.theta))
    (0, True)
    """

    base: AuxiliaryScheme
    every: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.base, type) or not isinstance(self.base, AuxiliaryScheme):
            raise ValueError(f"base must be a scheme with an auxiliary variable, got {found(self.base)}")
        whole_number("every", self.every, 1)
        plain_numbers(self)

    @property
    def carries_auxiliary(self) -> bool:
        """Whether a step may start from the last one's variable; else from its definition, in mini-batches the batch's."""
        return self.every > 1 and bool(scheme_ability(self.base, "carries_auxiliary"))

    @property
    def patience(self) -> int:
        """A variable that holds theta in place is set anew within k steps."""
        return self.every

    @property
    def per_sample_auxiliary(self) -> bool:
        """Whether the variable that is carried has an entry for each sample."""
        return self.carries_auxiliary and bool(scheme_ability(self.base, "per_sample_auxiliary"))

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
        """Return the base scheme's state; for k > 1 a `RestartState`."""
        start = self.base.init(problem, theta)
        return start if self.every == 1 else self._counted(0, start)

    def auxiliary(self, problem: Problem, theta: Array) -> Array:
        """Return the auxiliary variable by the base scheme's definition at theta."""
        return self.base.auxiliary(problem, theta)

    def undefined(self, problem: Problem, theta: Array) -> str:
        """Return why the base scheme is not defined at theta, "" if it is defined."""
        return str(scheme_ability(self.base, "undefined")(problem, theta))

    def unsolved(self, state: Any) -> str:
        """Return what the base scheme's last step left unsolved, "" if it was solved."""
        return str(scheme_ability(self.base, "unsolved")(self._of_base(state)))

    def step(self, problem: Problem, state: Any, dt: Scalar) -> Any:
        """Return the state one step later; with k = 1 its ``aux`` is the intermediate variable, kept for diagnosis only."""
        new = self.base.step(problem, self._of_base(self.begins(state)), dt)  # (1)
        return new if self.every == 1 else self._counted((state.n + 1) % self.every, new)

    def modified_energy(self, problem: Problem, state: Any) -> Array:
        """Return the base scheme's modified energy, 0-d."""
        return self.base.modified_energy(problem, self._of_base(state))

    def law(self, problem: Problem, state: Any) -> EnergyLaw:
        """Return the base scheme's law."""
        return self.base.law(problem, self._of_base(state))

    def energy_terms(self, problem: Problem, state: Any, new: Any, dt: Scalar) -> EnergyTerms:
        """Return the terms of the one-step identity, which starts from the true energy where a restart is due."""
        return self.base.energy_terms(problem, self._of_base(self.begins(state)), self._of_base(new), dt)

    def begins(self, state: Any) -> Any:
        """Return the state with its variable reset if a restart is due, of this scheme or of one that it wraps."""
        if self.every == 1 or state.n == 0:
            return reset(state)
        start = begun(self.base, self._of_base(state))
        return state._replace(aux=start.aux, base=start)

    def _of_base(self, state: Any) -> Any:
        return state if self.every == 1 else state.base._replace(theta=state.theta, aux=state.aux)

    def _counted(self, n: int, state: Any) -> RestartState:
        return RestartState(state.theta, state.aux, n, state)
