"""What `solve`, `Restart` and `Relaxed` may ask of a scheme."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

from ..energies.linear import Scalar
from ..energies.protocols import Problem
from ..namespace import Array
from .relaxation import Blend

__all__ = ["AuxiliaryScheme", "EnergyTerms", "Scheme", "Slack"]

Slack: TypeAlias = Callable[[], Array]
"""The energy that relaxation may give back, 0-d; a function, because not every scheme needs it."""


class EnergyTerms(NamedTuple):
    """The right-hand side of a scheme's energy identity, in the units of the energy.

    For every step of an auxiliary scheme, for every dt > 0, to round-off::

        modified_energy(new) - modified_energy(old) = -dissipation - numerical
    """

    dissipation: Array
    """What the flow dissipates: ``|d|_M^2 / dt + (S d, d)_M + (L d, d)_M / 2``, d = theta_new - theta; 0-d, >= 0."""
    numerical: Array
    """What the discretisation of the auxiliary variable dissipates on top; 0-d, >= 0."""


@runtime_checkable
class Scheme(Protocol):
    """A time discretisation of theta' = -grad E(theta); implementations are frozen dataclasses."""

    def init(self, problem: Problem, theta: Array) -> Any:
        """Return the state to start from, a NamedTuple whose first field is theta.

        Parameters
        ----------
        problem : Problem
            The energy, with its inner product.
        theta : array (P,)
            Initial parameters, floating, finite.

        Returns
        -------
        NamedTuple
            Its first field is theta; an auxiliary scheme's second is ``aux``.

        Raises
        ------
        ValueError
            If the scheme cannot run on this problem from here.
        """

    def step(self, problem: Problem, state: Any, dt: Scalar) -> Any:
        """Return the state one step of size dt later. Pure: `state` stays as it was.

        Parameters
        ----------
        problem : Problem
            The energy; in mini-batches that of the batch.
        state : NamedTuple
            From `init` or `step`.
        dt : float or 0-d array
            Step size, > 0, a time (the learning rate of first-order methods).

        Returns
        -------
        NamedTuple
            The new state, of the type, shapes and dtypes of the old one.
        """


@runtime_checkable
class AuxiliaryScheme(Scheme, Protocol):
    """A scheme with an auxiliary variable and a modified energy: what `Restart` and `Relaxed` wrap.

    A scheme whose variable is not defined everywhere may also have a method ``admissible(problem, theta)``, theta (P,), which
    returns whether it is defined at theta. `solve` asks it when a step has given a state that is not finite, or theta has
    stopped changing, and then ends ``INADMISSIBLE`` where the answer is False.
    """

    def auxiliary(self, problem: Problem, theta: Array) -> Array:
        """Return the auxiliary variable by its definition at theta.

        Parameters
        ----------
        problem : Problem
            The energy.
        theta : array (P,)
            Where.

        Returns
        -------
        array
            Of the shape that the scheme gives it: 0-d, (P,) or (N,).
        """

    def modified_energy(self, problem: Problem, state: Any) -> Array:
        """Return the energy that the scheme dissipates, 0-d; equal to E when the auxiliary is consistent.

        Parameters
        ----------
        problem : Problem
            The energy.
        state : NamedTuple
            A state of this scheme; an auxiliary variable None stands for its definition.

        Returns
        -------
        0-d array
            In the units of the energy.
        """

    def dissipation(self, problem: Problem, theta: Array, theta_new: Array, dt: Scalar) -> Array:
        """Return the guaranteed drop of the modified energy, 0-d.

        Parameters
        ----------
        problem : Problem
            The energy.
        theta, theta_new : array (P,)
            Parameters before and after the step.
        dt : float or 0-d array
            Its step size.

        Returns
        -------
        0-d array
            At least 0, in the units of the energy.
        """

    def energy_terms(self, problem: Problem, state: Any, new: Any, dt: Scalar) -> EnergyTerms:
        """Return both terms of the energy identity of the step from `state` to `new`.

        Parameters
        ----------
        problem : Problem
            The problem that the step was taken on.
        state, new : NamedTuple
            States before and after the step.
        dt : float or 0-d array
            Its step size.

        Returns
        -------
        EnergyTerms
            With the terms of ``modified_energy(new) - modified_energy(state) = -dissipation - numerical``.
        """

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
        """Return the relaxed auxiliary variable and its xi_0.

        Parameters
        ----------
        aux : array
            The variable before the step, of the shape that the scheme gives it.
        intermediate : array
            The variable after the step, of that shape.
        consistent : array
            Its definition at the new theta, of that shape.
        slack : callable
            Returns the energy that may be given back, 0-d.
        eta : float
            Share of the dissipation that may be given back, in [0, 1].
        orientation : {"literature", "swapped"}
            See `gradflow.schemes.relaxation`.

        Returns
        -------
        Blend
            The variable and its factor.
        """
