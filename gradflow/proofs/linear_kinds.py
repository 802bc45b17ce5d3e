"""The kinds of energy part and stabilization that users hand over, on abstract vectors.

    for kind in linear_kinds():
        problem, scheme = AbstractEnergy(kind.space, kind.L), configured(SAV, stabilization=kind.S)

The operators are those that run: `gradflow.energies.linear.Zero`, `Shift` with a symbol, `Diagonal` with abstract entries,
`Shifted`, and any other operator as a `gradflow.symbolic.SelfAdjoint`. What an obligation shows for every kind holds for
``stabilization=4.0``, ``weight_decay=1e-3``, `Diagonal` and their sums, in every dimension and inner product.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import sympy as sp

from ..energies.linear import Diagonal, LinearPart, Shift, Shifted, Zero
from ..symbolic import Entries, Space, Vector

__all__ = ["PAIRS", "STABILIZATIONS", "LinearKind", "linear_kinds"]

PAIRS = (
    ("operator", "operator"),
    ("number", "number"),
    ("none", "operator"),
    ("none", "number"),
    ("diagonal", "diagonal"),
    ("operator", "none"),
    ("number", "none"),
    ("operator", "number"),
    ("number", "operator"),
    ("diagonal", "number"),
    ("number", "diagonal"),
    ("shifted", "operator"),
    ("operator", "shifted"),
    ("none", "diagonal"),
    ("diagonal", "none"),
    ("none", "none"),
)
"""The kinds of L and S: every branch of `gradflow.energies.linear.add`, in both orders."""
STABILIZATIONS = tuple(("none", kind) for kind in ("operator", "number", "diagonal", "shifted", "none"))
"""The kinds of S, for a scheme that counts the energy part in E and g."""


class LinearKind(NamedTuple):
    """A fresh space with a pair of operators."""

    names: tuple[str, str]
    """The kinds of L and S, as in `PAIRS`."""
    space: Space
    """Where the operators act."""
    L: Any
    """The energy part."""
    S: Any
    """The stabilization."""

    @property
    def energy_part(self) -> bool:
        """Whether L is not zero."""
        return self.names[0] != "none"

    @property
    def theta(self) -> Vector:
        """The vector theta. With a shifted L, the image L theta is a vector with a name of its own."""
        return self.space.vector("theta")


def linear_kinds(pairs: tuple[tuple[str, str], ...] = PAIRS) -> Iterator[LinearKind]:
    """Yield a fresh space with L and S for every pair; what kills most mutants comes first.

    Parameters
    ----------
    pairs : tuple of (str, str)
        The kinds of L and S: `PAIRS`, or those of a scheme that takes fewer.
    """
    for names in pairs:
        V = Space()
        L, S = (_operator(V, name, letter) for name, letter in zip(names, "LS", strict=True))
        if isinstance(L, Shifted):  # the one right-hand side L theta, instead of two: X theta and theta
            operator: Any = L.part
            theta = V.vector("theta")
            V.relate(operator.apply(theta), V.vector("L theta") - L.shift * theta)
        yield LinearKind(names, V, L, S)


def _operator(V: Space, kind: str, letter: str) -> LinearPart:
    number: Any = sp.Symbol(f"c_{letter}", nonnegative=True)
    entries: Any = Entries.called(letter, V)
    operator: Any = V.operator(letter)
    made: dict[str, LinearPart] = {
        "none": Zero(),
        "number": Shift(number),
        "diagonal": Diagonal(entries),
        "operator": operator,
        "shifted": Shifted(operator, number),
    }
    return made[kind]
