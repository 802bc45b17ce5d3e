r"""Relaxation: after every step, pull the auxiliary variable back towards its definition, as far as the energy law allows.

With ``r~`` the base scheme's variable after the step, ``r^ = r(theta^{n+1})`` its definition, and D the dissipation in the base
scheme's energy identity:

.. math::
   r^{n+1} &= \xi_0\,\tilde r + (1 - \xi_0)\,\hat r, \\
   \xi_0 &= \min\{\xi \in [0, 1] : \text{modified energy}(r^{n+1}) \le \text{modified energy}(\tilde r) + \eta D\}.  \tag{1}

The modified energy then still decays, for every dt > 0: with this budget by at least ``(1 - eta) D`` and the numerical
dissipation. Theta is touched only through the next step. `gradflow.schemes.relaxation` solves (1).

Budgets. ``dissipation`` is (1). ``increment`` allows ``eta |d|_M^2 / dt`` only, as Ma, Mao & Shen print it, with the scheme's own
step in place of dt if it has one (`AdaptiveSAV`); the two are the same without linear parts (a scheme whose own D is smaller than
that gets ``eta D``). ``numerical`` allows ``eta D + (r~ - r)^2``, that
is, also the numerical dissipation, as the code of Liu, Shen & Zhang does. All keep the decay. The forms of `ExpSAV` but
the explicit one have one budget of their own, ``eta (r^n - r~)``, a share of what r lost; other names are refused there.

Orientation. ``literature`` is (1). ``swapped`` exchanges ``r~`` and ``r^`` throughout, as one document prints it (another prints
its weights and no constraint): see `gradflow.schemes.relaxation`.

Source: Jiang, Zhang & Zhao, J. Comput. Phys. 456 (2022) 110954; Ma, Mao & Shen, J. Comput. Phys. 505 (2024) 112911, eqs.
(21)-(24), Algorithm 4, eta = 0.99; Liu, Shen & Zhang, arXiv:2301.02942 for the budget ``numerical``.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple

from ..energies.linear import Scalar
from ..energies.protocols import Problem
from ..namespace import Array, array_namespace
from ..refusals import plain_numbers, require_in, require_one_of
from .protocols import AuxiliaryScheme, EnergyTerms, Slack
from .relaxation import ORIENTATIONS
from .restart import Restart

__all__ = ["BUDGETS", "Relaxed", "RelaxedState"]

BUDGETS = ("dissipation", "increment", "numerical")
"""What `Relaxed` may give back."""


class RelaxedState(NamedTuple):
    """State of `Relaxed`."""

    theta: Array
    """Parameters, (P,)."""
    aux: Array | None
    """The relaxed auxiliary variable; None stands for 'equal to its definition'."""
    xi0: Array
    """The last relaxation factor, 0-d, in [0, 1]; 0 at the start."""
    base: Any
    """The base scheme's own state, for what else it keeps; its aux is the intermediate variable."""


@dataclass(frozen=True)
class Relaxed:
    """The base scheme with its auxiliary variable relaxed after every step, equation (1).

    Parameters
    ----------
    base : AuxiliaryScheme
        A vanilla scheme with an auxiliary variable.
    eta : float
        Share of the dissipation that may be given back, in [0, 1], dimensionless.
    orientation : {"literature", "swapped"}
        Which of the two variables xi_0 weighs.
    budget : {"dissipation", "increment", "numerical"}
        What may be given back.

    Raises
    ------
    ValueError
        If the base has no auxiliary variable or is restarted (the relaxed value would never be used; write
        ``Restart(Relaxed(...))`` to see that), eta is outside [0, 1], or a name is unknown.
    """

    base: AuxiliaryScheme
    _: KW_ONLY
    eta: float = 0.99
    orientation: str = "literature"
    budget: str = "dissipation"

    def __post_init__(self) -> None:
        plain_numbers(self)
        if isinstance(self.base, type) or not isinstance(self.base, AuxiliaryScheme):
            raise ValueError(f"Relaxed wraps a scheme with an auxiliary variable, got {self.base!r}")
        if isinstance(self.base, (Restart, Relaxed)):
            raise ValueError(f"Relaxed wraps a vanilla scheme, got {self.base!r}")
        require_in("eta", self.eta, 0.0, 1.0)
        require_one_of("orientation", self.orientation, ORIENTATIONS)
        require_one_of("budget", self.budget, BUDGETS)
        if getattr(self.base, "relaxes_its_own_loss", False) and self.budget != "dissipation":
            raise ValueError(f"{self.base!r} is relaxed within its own loss of r; budget must be 'dissipation'")

    @property
    def per_sample_auxiliary(self) -> bool:
        """Whether the auxiliary variable has one entry a residual, as the base scheme's."""
        return bool(getattr(self.base, "per_sample_auxiliary", False))

    def init(self, problem: Problem, theta: Array) -> RelaxedState:
        """Return the state with the auxiliary consistent and xi_0 = 0."""
        base = self.base.init(problem, theta)
        return RelaxedState(theta, base.aux, problem.inner(theta, 0 * theta), base)

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

    def step(self, problem: Problem, state: RelaxedState, dt: Scalar) -> RelaxedState:
        """Return the state one step later."""
        old = self._before(problem, state)
        new = self.base.step(problem, old, dt)
        consistent = self.base.auxiliary(problem, new.theta)
        slack = lambda: self._slack(problem, old, new, dt)  # noqa: E731
        aux, xi0 = self.base.relax(old.aux, new.aux, consistent, slack, eta=self.eta, orientation=self.orientation)
        return RelaxedState(new.theta, aux, xi0, new)

    def _before(self, problem: Problem, state: RelaxedState) -> Any:
        aux = self.base.auxiliary(problem, state.theta) if state.aux is None else state.aux
        return state.base._replace(theta=state.theta, aux=aux)

    def _slack(self, problem: Problem, old: Any, new: Any, dt: Scalar) -> Array:
        """Return the energy that may be given back, 0-d."""
        terms = self.base.energy_terms(problem, old, new, dt)
        if self.budget == "increment":
            d = new.theta - old.theta
            xp = array_namespace(d)
            step = getattr(new, "tau", dt)  # AdaptiveSAV's own, a number or (P,)
            return self.eta * xp.minimum(problem.inner(d, d / step), terms.dissipation)
        slack = self.eta * terms.dissipation
        return slack + terms.numerical if self.budget == "numerical" else slack

    def modified_energy(self, problem: Problem, state: RelaxedState) -> Array:
        """Return the base scheme's modified energy of the relaxed variable, 0-d."""
        return self.base.modified_energy(problem, state.base._replace(theta=state.theta, aux=state.aux))

    def dissipation(self, problem: Problem, theta: Array, theta_new: Array, dt: Scalar) -> Array:
        """Return the base scheme's guaranteed drop, of which (1 - eta) is left, 0-d."""
        return self.base.dissipation(problem, theta, theta_new, dt)

    def energy_terms(self, problem: Problem, state: RelaxedState, new: RelaxedState, dt: Scalar) -> EnergyTerms:
        """Return the terms of the base scheme's identity less what relaxation gave back, so that it holds again."""
        terms = self.base.energy_terms(problem, self._before(problem, state), new.base, dt)
        given_back = self.modified_energy(problem, new) - self.base.modified_energy(problem, new.base)
        return EnergyTerms(terms.dissipation - given_back, terms.numerical)

    def relax(
        self,
        aux: Array,
        intermediate: Array,
        consistent: Array,
        slack: Slack,
        *,
        eta: float,
        orientation: str,
    ) -> Any:
        """Return the base scheme's relaxed variable."""
        return self.base.relax(aux, intermediate, consistent, slack, eta=eta, orientation=orientation)
