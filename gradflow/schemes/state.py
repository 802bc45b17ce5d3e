"""The states that schemes step: NamedTuples of arrays whose first field is theta.

A state is everything that the next step needs and nothing else. `step` returns a new one and never writes
into the old, so that a state may be kept, compared or stepped twice.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ..namespace import Array

__all__ = ["AuxState", "FlowState", "State"]


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
    """The auxiliary variable: 0-d (SAV, ExpSAV), (P,) (element-wise SAV) or (N,) (IEQ); None stands for
    'equal to its definition at theta', which is what a restart sets."""
