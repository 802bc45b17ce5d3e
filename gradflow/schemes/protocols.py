"""The interface between a scheme and `solve`, `Restart` and `Relaxed`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from ..curvature.bounds import Bounds
from ..energies.linear import LinearPart, Scalar
from ..energies.protocols import Problem
from ..namespace import Array
from .relaxation import BUDGETS, EnergyLaw
from .state import reset

__all__ = [
    "AuxiliaryScheme",
    "Chaining",
    "Dissipating",
    "EnergyTerms",
    "Evaluating",
    "Scheme",
    "SchemeAbilities",
    "scheme_ability",
]


class EnergyTerms(NamedTuple):
    """The right-hand side of a scheme's energy identity, in the units of the energy.

    For every step of an auxiliary scheme, for every dt > 0, to round-off::

        modified_energy(new) - modified_energy(old) = -dissipation - numerical
    """

    dissipation: Array
    """The dissipation of the flow: ``|d|_M^2 / dt + (S d, d)_M + (L d, d)_M / 2``, d = theta_new - theta; 0-d, >= 0. `Relaxed`
    subtracts what it spent."""
    numerical: Array
    """The additional dissipation by the discretisation of the auxiliary variable; 0-d, >= 0."""


@runtime_checkable
class Scheme(Protocol):
    """A time discretisation of theta' = -grad E(theta); implementations are frozen dataclasses.

    A scheme declares further abilities by the members of `SchemeAbilities`.
    """

    def init(self, problem: Problem, theta: Array) -> Any:
        """Return the initial state, a NamedTuple whose first field is theta.

        Parameters
        ----------
        problem : Problem
            The energy, with its inner product.
        theta : array (P,)
            Initial parameters, floating, finite.

        Returns
        -------
        NamedTuple
            Its first field is theta. An auxiliary scheme has a field ``aux``, a multi-step scheme a field ``past``; see
            `gradflow.schemes.state.State`.

        Raises
        ------
        ValueError
            If the scheme cannot run on this problem from this theta.
        """

    def step(self, problem: Problem, state: Any, dt: Scalar) -> Any:
        """Return the state one step of size dt later. The method is pure: `state` is not changed.

        Parameters
        ----------
        problem : Problem
            The energy; with mini-batches, that of the batch.
        state : NamedTuple
            From `init` or `step`.
        dt : float or 0-d array
            Step size, > 0, a time (the learning rate of first-order methods).

        Returns
        -------
        NamedTuple
            The new state, of the type, shapes and dtypes of the old one.
        """


class SchemeAbilities:
    """The optional members of a scheme, with their defaults.

    A scheme declares an ability by a member of the same name. It may derive from this class, but need not. `solve` and
    the wrappers read the members through `scheme_ability` only.
    """

    carries_auxiliary: ClassVar[bool] = True
    """Whether a step starts from the auxiliary variable of the state; False if each step resets it."""
    per_sample_auxiliary: ClassVar[bool] = False
    """Whether the auxiliary variable has one entry per residual; a mini-batch step then sees those of the batch."""
    patience: int = 1
    """Steps that a state which no longer changes has to be followed until no later step can change it."""
    evaluates: ClassVar[bool] = False
    """Whether the scheme has the methods of `Evaluating`."""
    budgets: ClassVar[tuple[str, ...]] = BUDGETS
    """The budgets that `Relaxed` accepts for it."""
    stabilization: float | LinearPart = 0.0
    """The operator S that the scheme adds implicitly and subtracts explicitly."""
    base: Any = None
    """The scheme that a wrapper wraps."""
    usual_dt: ClassVar[float | None] = None
    """The step size of a run that is given none; None if it must be given."""
    bounds: Bounds | None = None
    """The box that its states do not leave. The gradient is then reduced to what the box leaves of it, and a field ``active`` of
    the state, (P,), says which parameters are at a bound."""
    measured: Callable[[Any, Array], Array] | None = None
    """Maps a state and a vector v, (P,), to ``D^{1/2} v`` for the metric D in which the scheme measures steps; None without one."""
    equation: Callable[[Problem, Array, Array, Scalar], Array] | None = None
    """Maps problem, theta, theta_new and dt to the residual, (P,), that a step brings to 0 by iteration; None for a step in closed
    form. Its derivative by theta_new is the identity for dt = 0, so that the step has a series in dt."""
    records: ClassVar[tuple[str, ...]] = ()
    """Fields of the state, numbers or 0-d arrays, that ``solve(record=...)`` takes by name."""
    speed: float | None = 1.0
    """The c of the flow ``theta' = -c grad E`` that the scheme claims to follow as dt tends to 0, dimensionless; None if it
    claims none. `gradflow.certify` compares it with the steps."""
    order: ClassVar[int] = 1
    """The order with which theta, and the auxiliary variable, are claimed to follow that flow."""

    def begins(self, state: Any) -> Any:
        """Return the state from which the step after this state starts: another one where a restart is due.

        It is not asked of a scheme that resets its variable in each step. See `begun`.

        Parameters
        ----------
        state : NamedTuple
            A state.
        """
        return state

    def undefined(self, problem: Problem, theta: Array) -> str:
        """Return why the auxiliary variable is not defined at theta, "" if it is defined.

        `solve` calls this when a new state is not finite or the state no longer changes. A sentence that is not empty
        ends the run as ``INADMISSIBLE``.

        Parameters
        ----------
        problem : Problem
            The energy.
        theta : array (P,)
            Parameters.
        """
        return ""

    def unsolved(self, state: Any) -> str:
        """Return what the step to this state left unsolved, "" if it was solved.

        `solve` counts these steps and reports them in ``Solution.warnings``.
        """
        return ""

    def known_energy(self, at: Any) -> Array | None:
        """Return E at the theta of an evaluation that `Chaining` hands on, 0-d; None if it does not hold E.

        `solve` then records this number on the full batch, and evaluates the energy no second time.

        Parameters
        ----------
        at : object or None
            From ``step_evaluated``.
        """
        return None

    def rejected(self, state: Any) -> bool:
        """Return whether the last step was a trial that the scheme rejected, so that theta did not move.

        `solve` counts these steps in ``Solution.rejected``.

        Parameters
        ----------
        state : NamedTuple
            From `step`.
        """
        return False

    def shortened(self, state: Any) -> bool:
        """Return whether the scheme itself shortened or rejected the last step: its length says nothing of convergence.

        `solve` tests no tolerance on the step or the energy after such a step.

        Parameters
        ----------
        state : NamedTuple
            From `step`.
        """
        return False

    def increment(self, problem: Problem, state: Any, new: Any, dt: Scalar) -> Array:
        """Return ``|d|_M^2 / dt``, 0-d, with d the increment of theta; ``budget="increment"`` may spend it.

        Parameters
        ----------
        problem : Problem
            The problem that the step was taken on.
        state, new : NamedTuple
            States before and after the step.
        dt : float or 0-d array
            Its step size; a scheme with a step size of its own uses that one.
        """
        d = new.theta - state.theta
        return problem.inner(d, d / dt)


_NOTHING_DECLARED = SchemeAbilities()


def scheme_ability(scheme: Any, name: str) -> Any:
    """Return a member of `SchemeAbilities` as the scheme declares it.

    Parameters
    ----------
    scheme : Scheme
        The scheme.
    name : str
        A member of `SchemeAbilities`.
    """
    return getattr(scheme, name, getattr(_NOTHING_DECLARED, name))


def begun(scheme: Any, state: Any) -> Any:
    """Return the state from which a step starts: that of the last one, or its restart.

    Parameters
    ----------
    scheme : AuxiliaryScheme
        The scheme.
    state : NamedTuple
        A state.
    """
    return scheme_ability(scheme, "begins")(state) if scheme_ability(scheme, "carries_auxiliary") else reset(state)


@runtime_checkable
class AuxiliaryScheme(Scheme, Protocol):
    """A scheme with an auxiliary variable and a modified energy, which `Restart` and `Relaxed` can wrap."""

    def auxiliary(self, problem: Problem, theta: Array) -> Array:
        """Return the auxiliary variable by its definition at theta: 0-d, (P,) or (N,), as the scheme has it.

        Parameters
        ----------
        problem : Problem
            The energy.
        theta : array (P,)
            Parameters.
        """

    def modified_energy(self, problem: Problem, state: Any) -> Array:
        """Return the energy that the scheme dissipates, 0-d; it equals E if the auxiliary variable is consistent.

        Parameters
        ----------
        problem : Problem
            The energy.
        state : NamedTuple
            A state of this scheme; ``aux=None`` means the value by definition.
        """

    def law(self, problem: Problem, state: Any) -> EnergyLaw:
        """Return how the auxiliary variable enters the modified energy of a state; see `gradflow.schemes.relaxation`.

        Parameters
        ----------
        problem : Problem
            The problem that the step was taken on.
        state : NamedTuple
            A state of this scheme. Its ``aux`` is the free variable; theta, and the past of a multi-step scheme, are
            fixed.
        """

    def energy_terms(self, problem: Problem, state: Any, new: Any, dt: Scalar) -> EnergyTerms:
        """Return the terms of the energy identity of the step from `state` to `new`.

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
            The terms of ``modified_energy(new) - modified_energy(state) = -dissipation - numerical``. They are NaN for
            a step without an identity, such as a step of a two-step scheme after a change of dt; `Relaxed` then spends
            nothing.
        """


@runtime_checkable
class Dissipating(AuxiliaryScheme, Protocol):
    """An auxiliary scheme whose dissipation depends on theta only, before and after the step."""

    def dissipation(self, problem: Problem, theta: Array, theta_new: Array, dt: Scalar) -> Array:
        """Return the guaranteed drop of the modified energy in a step, 0-d.

        Parameters
        ----------
        problem : Problem
            The problem that the step was taken on.
        theta, theta_new : array (P,)
            Parameters before and after the step.
        dt : float or 0-d array
            Its step size; a scheme with a step size of its own takes that one.
        """


@runtime_checkable
class Evaluating(AuxiliaryScheme, Protocol):
    """An auxiliary scheme whose step and whose auxiliary variable need the same evaluation of the problem.

    On the full batch, `Relaxed` then evaluates the problem once per step: it passes the evaluation at the new theta to
    the next step.
    """

    def evaluate(self, problem: Problem, theta: Array) -> Any:
        """Return what a step from theta needs of the problem, such as F and its gradient.

        Parameters
        ----------
        problem : Problem
            The energy.
        theta : array (P,)
            Parameters.
        """

    def auxiliary_at(self, at: Any) -> Array:
        """Return the auxiliary variable by its definition, from an evaluation `at` of any shapes.

        The evaluation is from `evaluate`; the scheme defines the shapes of its arrays. The value is equal to
        ``auxiliary(problem, theta)`` in every bit: 0-d, (P,) or (N,).
        """

    def step_at(self, problem: Problem, state: Any, dt: Scalar, at: Any) -> Any:
        """Return ``step(problem, state, dt)``, from an evaluation at the state's theta.

        Parameters
        ----------
        problem : Problem
            The energy.
        state : NamedTuple
            From `init` or `step`.
        dt : float or 0-d array
            Step size, > 0.
        at : object
            From ``evaluate(problem, state.theta)``; the scheme defines the shapes of its arrays.
        """


@runtime_checkable
class Chaining(Scheme, Protocol):
    """A scheme whose step may start from an evaluation in the step before."""

    def step_evaluated(self, problem: Problem, state: Any, dt: Scalar, at: Any) -> tuple[Any, Any]:
        """Return ``step(problem, state, dt)`` and an evaluation at the new theta.

        Parameters
        ----------
        problem : Problem
            The energy; the same object as in the step that returned `at`.
        state : NamedTuple
            From `init` or `step`.
        dt : float or 0-d array
            Step size, > 0.
        at : object or None
            The evaluation at the state's theta that the step before returned, or None.
        """
