r"""Relaxation: after every step, move the auxiliary variable towards its definition, as far as the energy law allows.

With ``r~`` the base scheme's variable after the step, ``r^ = r(theta^{n+1})`` its definition, and D the dissipation in
the base scheme's energy identity:

.. math::
   r^{n+1} &= \xi_0\,\tilde r + (1 - \xi_0)\,\hat r, \\
   \xi_0 &= \min\{\xi \in [0, 1] : \text{modified energy}(r^{n+1}) \le \text{modified energy}(\tilde r) + \eta D\}.  \tag{1}

The modified energy then still decays for every dt > 0, with this budget by at least ``(1 - eta) D`` plus the numerical
dissipation. Theta changes only through the next step. `gradflow.schemes.relaxation` solves (1).

Budgets. ``dissipation`` is (1). ``increment`` allows only ``eta |d|_M^2 / dt``, as Ma, Mao & Shen print it, or ``eta
D`` if that is smaller. A scheme with a step size of its own (`AdaptiveSAV`) uses that in place of dt. Without linear
parts, ``increment`` and ``dissipation`` are the same. ``numerical`` allows ``eta D + (r~ - r)^2``, which includes the
numerical dissipation, as in the code of Liu, Shen & Zhang. All budgets keep the decay. The forms of `ExpSAV` other than
the explicit one have a budget of their own, ``eta (r^n - r~)``, a share of the decrease of r; `Relaxed` accepts only
the name ``dissipation`` for them. In a step without an energy identity, nothing may be spent.

Orientation. ``literature`` is (1). ``swapped`` exchanges ``r~`` and ``r^`` throughout, as one document prints it.
Another document prints its weights without the constraint. See `gradflow.schemes.relaxation`.

Source: Jiang, Zhang & Zhao, J. Comput. Phys. 456 (2022) 110954; Ma, Mao & Shen, J. Comput. Phys. 505 (2024) 112911,
eqs. (21)-(24), Algorithm 4, eta = 0.99; Liu, Shen & Zhang, arXiv:2301.02942 for the budget ``numerical``.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, NamedTuple

from ..description import found
from ..energies.linear import Scalar
from ..energies.protocols import Problem
from ..namespace import Array, array_namespace
from ..refusals import one_of, plain_numbers, real_number
from .protocols import AuxiliaryScheme, EnergyTerms, scheme_ability
from .relaxation import BUDGETS, ORIENTATIONS, EnergyLaw, relax
from .restart import Restart

__all__ = ["Relaxed", "RelaxedState"]


class RelaxedState(NamedTuple):
    """State of `Relaxed`."""

    theta: Array
    """Parameters, (P,)."""
    aux: Array | None
    """The relaxed auxiliary variable; None means 'equal to its definition'."""
    xi0: Array
    """The last relaxation factor, 0-d, in [0, 1]; 0 at the start."""
    base: Any
    """The base scheme's own state, with its other fields; its ``aux`` is the intermediate variable."""


@dataclass(frozen=True)
class Relaxed:
    """The base scheme with its auxiliary variable relaxed after every step, equation (1).

    Parameters
    ----------
    base : AuxiliaryScheme
        A vanilla scheme with an auxiliary variable.
    eta : float
        Share of the dissipation that may be spent, in [0, 1], dimensionless.
    orientation : {"literature", "swapped"}
        Whether xi_0 is the weight of the intermediate variable or of the consistent one.
    budget : {"dissipation", "increment", "numerical"}
        What may be spent.

    Raises
    ------
    ValueError
        If the base has no auxiliary variable, or is restarted or relaxed; if eta is outside [0, 1] or a name is
        unknown; or if the base scheme has a budget of its own and another one is given. (The relaxed value of a
        restarted scheme would never be used, as ``Restart(Relaxed(...))`` shows.)
    """

    base: AuxiliaryScheme
    _: KW_ONLY
    eta: float = 0.99
    orientation: str = "literature"
    budget: str = "dissipation"

    def __post_init__(self) -> None:
        plain_numbers(self)
        if isinstance(self.base, type) or not isinstance(self.base, AuxiliaryScheme):
            raise ValueError(f"base must be a scheme with an auxiliary variable, got {found(self.base)}")
        if isinstance(self.base, (Restart, Relaxed)):
            raise ValueError(f"base must be a vanilla scheme, got {self.base!r}")
        real_number("eta", self.eta, 0, 1)
        one_of("orientation", self.orientation, ORIENTATIONS)
        one_of("budget", self.budget, BUDGETS)
        if self.budget not in scheme_ability(self.base, "budgets"):
            raise ValueError(f"{self.base!r} is relaxed within its own loss of r; budget must be 'dissipation'")

    records: ClassVar[tuple[str, ...]] = ("xi0",)

    @property
    def per_sample_auxiliary(self) -> bool:
        """Whether the auxiliary variable of the base scheme has one entry per residual."""
        return bool(scheme_ability(self.base, "per_sample_auxiliary"))

    @property
    def speed(self) -> float | None:
        """The c of the flow theta' = -c grad E that the base scheme claims to follow; None if it claims none."""
        declared: float | None = scheme_ability(self.base, "speed")
        return declared

    @property
    def order(self) -> int:
        """The order that the base scheme claims."""
        return int(scheme_ability(self.base, "order"))

    def init(self, problem: Problem, theta: Array) -> RelaxedState:
        """Return the state with a consistent auxiliary variable and xi_0 = 0."""
        base = self.base.init(problem, theta)
        return RelaxedState(theta, base.aux, problem.inner(theta, 0 * theta), base)

    def auxiliary(self, problem: Problem, theta: Array) -> Array:
        """Return the auxiliary variable by the base scheme's definition at theta."""
        return self.base.auxiliary(problem, theta)

    def undefined(self, problem: Problem, theta: Array) -> str:
        """Return why the base scheme is not defined at theta, "" if it is defined."""
        return str(scheme_ability(self.base, "undefined")(problem, theta))

    def unsolved(self, state: RelaxedState) -> str:
        """Return what the base scheme's last step left unsolved, "" if it was solved."""
        return str(scheme_ability(self.base, "unsolved")(state.base))

    def step(self, problem: Problem, state: RelaxedState, dt: Scalar) -> RelaxedState:
        """Return the state one step later."""
        old = self._before(problem, state)
        new = self.base.step(problem, old, dt)
        return self._relaxed(problem, old, new, dt, self.base.auxiliary(problem, new.theta))

    def step_evaluated(self, problem: Problem, state: RelaxedState, dt: Scalar, at: Any) -> tuple[RelaxedState, Any]:
        """Return ``step(problem, state, dt)`` and the evaluation at its theta, for the next step."""
        base: Any = self.base
        if not scheme_ability(base, "evaluates"):
            return self.step(problem, state, dt), None
        old = self._before(problem, state)
        new = base.step_at(problem, old, dt, base.evaluate(problem, state.theta) if at is None else at)
        at_new = base.evaluate(problem, new.theta)
        return self._relaxed(problem, old, new, dt, base.auxiliary_at(at_new)), at_new

    def _relaxed(self, problem: Problem, old: Any, new: Any, dt: Scalar, consistent: Array) -> RelaxedState:
        """Return the state after the base scheme's step from `old` to `new`, equation (1)."""
        law = self.base.law(problem, new)
        slack = lambda: self._slack(problem, old, new, dt)  # noqa: E731
        aux, xi0 = relax(law, old.aux, new.aux, consistent, slack, eta=self.eta, orientation=self.orientation)
        return RelaxedState(new.theta, aux, xi0, new)

    def _before(self, problem: Problem, state: RelaxedState) -> Any:
        aux = self.base.auxiliary(problem, state.theta) if state.aux is None else state.aux
        return state.base._replace(theta=state.theta, aux=aux)

    def _slack(self, problem: Problem, old: Any, new: Any, dt: Scalar) -> Array:
        """Return the energy that may be spent, 0-d: 0 in a step without an energy identity."""
        terms, xp = self.base.energy_terms(problem, old, new, dt), array_namespace(new.theta)
        if self.budget == "increment":
            increment = scheme_ability(self.base, "increment")(problem, old, new, dt)
            slack = self.eta * xp.minimum(increment, terms.dissipation)
        else:
            slack = self.eta * terms.dissipation
            if self.budget == "numerical":
                slack = slack + terms.numerical
        return xp.where(xp.isnan(slack), xp.zeros_like(slack), slack)

    def modified_energy(self, problem: Problem, state: RelaxedState) -> Array:
        """Return the base scheme's modified energy of the relaxed variable, 0-d."""
        return self.base.modified_energy(problem, state.base._replace(theta=state.theta, aux=state.aux))

    def law(self, problem: Problem, state: RelaxedState) -> EnergyLaw:
        """Return the base scheme's law."""
        return self.base.law(problem, state.base)

    def energy_terms(self, problem: Problem, state: RelaxedState, new: RelaxedState, dt: Scalar) -> EnergyTerms:
        """Return the terms of the base scheme's identity, the first less the amount that relaxation spent.

        Where more than the dissipation may be spent, with the budget ``numerical`` and with a budget of the law's own, the first
        term may be negative. The sum is not.
        """
        terms = self.base.energy_terms(problem, self._before(problem, state), new.base, dt)
        spent = self.modified_energy(problem, new) - self.base.modified_energy(problem, new.base)
        return EnergyTerms(terms.dissipation - spent, terms.numerical)
