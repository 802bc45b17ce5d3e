"""What `solve`, `Restart` and `Relaxed` may ask of a scheme."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

from ..linear import Scalar
from ..namespace import Array
from ..problem import Problem
from ..relaxation import Blend

__all__ = ["AuxiliaryScheme", "EnergyTerms", "Scheme", "Slack"]

Slack: TypeAlias = Callable[[], Array]
"""The energy that relaxation may give back, 0-d; a function, because not every scheme needs it."""


class EnergyTerms(NamedTuple):
    """The right-hand side of a scheme's energy identity, in the units of the energy.

    For every step of an auxiliary scheme, for every dt > 0, to round-off::

        modified_energy(new) - modified_energy(old) = -dissipation - numerical
    """

    dissipation: Array
    """What the flow dissipates: |d|_M^2 / dt + (S d, d)_M + (L d, d)_M / 2 with d = theta_new - theta; 0-d, >= 0."""
    numerical: Array
    """What the discretisation of the auxiliary variable dissipates on top; 0-d, >= 0."""


@runtime_checkable
class Scheme(Protocol):
    """A time discretisation of theta' = -grad E(theta); implementations are frozen dataclasses."""

    def init(self, problem: Problem, theta: Array) -> Any:
        """Return the state to start from, a NamedTuple whose first field is theta."""

    def step(self, problem: Problem, state: Any, dt: Scalar) -> Any:
        """Return the state one step of size dt later. Pure: `state` stays as it was."""


@runtime_checkable
class AuxiliaryScheme(Scheme, Protocol):
    """A scheme with an auxiliary variable and a modified energy: what `Restart` and `Relaxed` wrap."""

    def auxiliary(self, problem: Problem, theta: Array) -> Array:
        """Return the auxiliary variable by its definition at theta."""

    def modified_energy(self, problem: Problem, state: Any) -> Array:
        """Return the energy that the scheme dissipates, 0-d; equal to E when the auxiliary is consistent."""

    def dissipation(self, problem: Problem, theta: Array, theta_new: Array, dt: Scalar) -> Array:
        """Return the guaranteed drop of the modified energy, 0-d."""

    def energy_terms(self, problem: Problem, state: Any, new: Any, dt: Scalar) -> EnergyTerms:
        """Return both terms of the energy identity of the step from `state` to `new`."""

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
        """Return the relaxed auxiliary; `aux` is the old variable."""
