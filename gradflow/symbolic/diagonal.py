r"""An abstract diagonal: entries of which nothing is known but that they multiply, on vectors of any dimension.

Multiplication by entries ``a_i >= 0`` is self-adjoint in every diagonal inner product and positive semi-definite. An
`Entries` stands for ``c + a + b + ...``, a number and operators of which only this is used; the operators need not
commute. What is shown for it therefore holds for every diagonal. `gradflow.energies.linear.Diagonal` runs on it.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import sympy as sp

from .vectors import SelfAdjoint, Space, Vector

__all__ = ["Entries"]


class Entries(Vector):
    """The entries ``number + sum of c X`` of a diagonal operator, over self-adjoint operators X.

    Parameters
    ----------
    space : Space
        Where the diagonal acts.
    number : SymPy expression
        The multiple of the identity.
    parts : dict
        The coefficient c of each operator X.

    Examples
    --------
    >>> import sympy as sp
    >>> from gradflow.symbolic import Entries, Space, is_zero
    >>> V, dt = Space(), sp.Symbol("dt", positive=True)
    >>> a, u = Entries.called("a", V), V.vector("u")
    >>> v = u / (1 + dt * a)
    >>> is_zero(v + dt * (a * v) - u)
    True
    """

    dtype = np.dtype(object)

    def __init__(self, space: Space, number: Any, parts: dict[SelfAdjoint, Any]) -> None:
        super().__init__(space, {})
        self.number, self.parts = sp.sympify(number), parts

    @classmethod
    def called(cls, name: str, space: Space) -> Entries:
        """Return new entries >= 0.

        Parameters
        ----------
        name : str
            How they are written.
        space : Space
            Where they act.
        """
        return cls(space, 0, {space.operator(name): sp.Integer(1)})

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        """Return `gradflow.symbolic`: the entries are an array for the checks of `gradflow.refusals`."""
        return sys.modules[__package__]

    @property
    def flat(self) -> list[Entries]:
        """The entries as one symbolic object."""
        return [self]

    @property
    def free_symbols(self) -> set[Any]:
        """The symbols of the coefficients."""
        return set().union(*(sp.sympify(c).free_symbols for c in (self.number, *self.parts.values())))

    def __add__(self, other: Any) -> Entries:
        if not isinstance(other, Entries):
            if isinstance(other, Vector):
                raise TypeError("abstract diagonals are added to numbers and diagonals")
            return Entries(self.space, self.number + other, self.parts)
        parts = dict(self.parts)
        for operator, c in other.parts.items():
            parts[operator] = parts.get(operator, 0) + c
        return Entries(self.space, self.number + other.number, parts)

    __radd__ = __add__

    def __mul__(self, other: Any) -> Any:
        """Return the image of a vector, or the multiple by a number."""
        if isinstance(other, Entries):
            raise TypeError("abstract diagonals have no product")
        if not isinstance(other, Vector):
            return Entries(self.space, self.number * other, {X: c * other for X, c in self.parts.items()})
        image = other * self.number
        for operator, c in self.parts.items():
            image = image + operator.apply(other) * c
        return image

    __rmul__ = __mul__

    def __rtruediv__(self, u: Vector) -> Vector:
        """Return the quotient of a vector by the entries: the solution of a shifted system.

        Raises
        ------
        TypeError
            If u is not a vector, or the operators have several coefficients.
        """
        factors = {sp.sympify(c) for c in self.parts.values()}
        if not isinstance(u, Vector) or len(factors) != 1:
            raise TypeError("a quotient is known for a vector and c + t (a + b + ...)")
        first, *others = sorted(self.parts, key=lambda X: X.serial)
        for operator in others:
            first = first + operator
        return first.solve_shifted(u / self.number, factors.pop() / self.number)

    def __repr__(self) -> str:
        return " + ".join([str(self.number), *(f"({c}) {X}" for X, c in self.parts.items())])
