"""What the kernels know of an activation function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..namespace import Array

__all__ = ["Activation"]


@dataclass(frozen=True)
class Activation:
    """A scalar function s, applied entry by entry, and its derivatives."""

    name: str
    """What `activation` takes."""
    value: Callable[[Array], Array]
    """z -> s(z)."""
    first: Callable[[Array], Array]
    """z -> s'(z)."""
    second: Callable[[Array], Array]
    """z -> s''(z)."""
    third: Callable[[Array], Array]
    """z -> s'''(z)."""
    both: Callable[[Array], tuple[Array, Array]] | None = None
    """z -> s(z), s'(z), where the two share work."""
    piecewise_linear: bool = False
    """True where s'' = s''' = 0."""
    leak: float | None = None
    """The slope for z <= 0 of a function whose slope for z > 0 is 1, so that kernels may go by the sign; else None."""

    def value_and_first(self, z: Array) -> tuple[Array, Array]:
        """Return s(z) and s'(z) for z of any shape, both of that shape."""
        return self.both(z) if self.both is not None else (self.value(z), self.first(z))
