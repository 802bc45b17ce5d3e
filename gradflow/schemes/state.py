"""The states that schemes step: NamedTuples of arrays whose first field is theta.

A state holds everything that the next step needs, and nothing else. `step` returns a new state and never writes into
the old one, so that a state may be kept, compared or stepped twice. The loop and the wrappers read three fields:
``theta``; ``aux``, the auxiliary variable; and ``past``, the earlier steps of a multi-step scheme.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from ..namespace import Array

__all__ = ["AuxState", "FlowState", "MultiStepState", "Past", "State", "reset"]


class State(Protocol):
    """Any state: the first field is theta."""

    @property
    def theta(self) -> Array:
        """The parameters, shape (P,)."""


class FlowState(NamedTuple):
    """State of a one-step scheme without memory."""

    theta: Array
    """Parameters, shape (P,)."""


class AuxState(NamedTuple):
    """State of an auxiliary-variable scheme."""

    theta: Array
    """Parameters, shape (P,)."""
    aux: Array | None
    """The auxiliary variable: 0-d (SAV, ExpSAV), (P,) (element-wise SAV) or (N,) (IEQ).
    None means 'equal to its definition at theta'; a restart sets it."""


class Past(NamedTuple):
    """One earlier step, as a multi-step scheme keeps it."""

    theta: Array
    """Parameters at that time, (P,)."""
    aux: Array
    """The auxiliary variable at that time."""
    dt: Any
    """Size of the step from there to the next state, a number or 0-d."""


class MultiStepState(NamedTuple):
    """State of a multi-step scheme with an auxiliary variable."""

    theta: Array
    """Parameters, shape (P,)."""
    aux: Array | None
    """The auxiliary variable; None means 'equal to its definition at theta'."""
    past: tuple[Past, ...] = ()
    """The earlier steps that the next step needs, newest first; fewer at the start and after a reset."""


def reset(state: Any) -> Any:
    """Return the state with its auxiliary variable equal to its definition, and without a past.

    The state has a field ``aux`` and perhaps ``past``. A state in the field ``base``, of the scheme that a wrapper wraps, is
    reset with it.
    """
    changed: dict[str, Any] = {"aux": None}
    if "past" in state._fields:
        changed["past"] = ()
    if "base" in state._fields and "aux" in getattr(state.base, "_fields", ()):
        changed["base"] = reset(state.base)
    return state._replace(**changed)
