"""Problems of symbols, for the steps of schemes to run on: any energy, any residual, in any inner product."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import sympy as sp

from .decide import Undecided, is_zero
from .diagonal import Entries
from .vectors import Gram, Map, SelfAdjoint, Space, Vector

__all__ = ["AbstractEnergy", "AbstractLeastSquares", "AbstractResiduals", "AbstractRows", "configured", "entries"]


def configured(scheme: type, **values: Any) -> Any:
    """Return an instance of a frozen dataclass whose fields may be symbols, which its constructor would refuse.

    Parameters
    ----------
    scheme : type
        Class of a scheme.
    **values : object
        Its fields.

    Raises
    ------
    ValueError
        If it has no such field.
    """
    instance = scheme()
    names = [field.name for field in fields(scheme)]
    for name, value in values.items():
        if name not in names:
            raise ValueError(f"{scheme.__name__} has no field {name!r}")
        object.__setattr__(instance, name, value)
    return instance


def entries(v: Any) -> list[Any]:
    """Return the coefficients of an abstract vector v or the entries of an object array v, for `is_zero` and `subs`."""
    return list(v.terms.values()) if isinstance(v, Vector) else list(np.ravel(v))


class AbstractEnergy:
    """Any energy ``(theta, L theta) / 2 + F(theta)`` on an abstract space.

    There is a new symbol for F, and a new vector for its gradient, at every theta at which it is evaluated. F at the
    k-th theta has the same name in every problem. Values of two problems can therefore be compared only if both were
    evaluated at the same thetas in the same order.

    Vectors of `space` have no product ``u @ v`` from then on: `inner` is any inner product, and the dot product of two
    parameter vectors is another one.

    Parameters
    ----------
    space : Space
        The space of theta, with its inner product.
    linear : LinearPart, optional
        The energy part L.

    Raises
    ------
    Undecided
        By an evaluation at a theta that is neither shown to be one of an earlier evaluation nor shown to be another one.
    """

    residual_scale: Any = sp.Integer(1)  # exact, unlike the default of a problem

    def __init__(self, space: Space, linear: Any = None) -> None:
        self.space = space
        space.has_dot = False
        if linear is not None:
            self.linear = linear
        self._L = linear
        self._seen: list[Vector] = []

    def inner(self, u: Vector, v: Vector) -> Any:
        """Return (u, v)."""
        return self.space.inner(u, v)

    def _name(self, theta: Vector) -> str:
        undecided = None
        for k, seen in enumerate(self._seen):
            try:
                if is_zero(theta - seen):
                    return f"_{k}" if k else ""
            except Undecided as error:
                undecided = error
        if undecided is not None:  # F has one value at one theta
            raise Undecided(
                f"theta may be one at which the energy was evaluated before, {theta}: {undecided}"
            ) from undecided
        self._seen.append(theta)
        return f"_{len(self._seen) - 1}" if self._seen[1:] else ""

    def nonlinear_energy(self, theta: Vector) -> Any:
        """Return F(theta), a positive symbol (the constants of the schemes are what makes it so)."""
        return sp.Symbol(f"F{self._name(theta)}", positive=True)

    def nonlinear_energy_and_gradient(self, theta: Vector) -> tuple[Any, Vector]:
        """Return F(theta) and its gradient."""
        return self.nonlinear_energy(theta), self.space.vector(f"g{self._name(theta)}")

    def energy(self, theta: Vector) -> Any:
        """Return E(theta)."""
        F = self.nonlinear_energy(theta)
        return F if self._L is None else F + self.inner(theta, self._L.apply(theta)) / 2

    def energy_and_gradient(self, theta: Vector) -> tuple[Any, Vector]:
        """Return E(theta) and its gradient."""
        F, g = self.nonlinear_energy_and_gradient(theta)
        if self._L is None:
            return F, g
        L_theta = self._L.apply(theta)
        return F + self.inner(theta, L_theta) / 2, g + L_theta


def _parts(A: Any) -> list[Any]:
    """Return the numbers and self-adjoint operators of which a linear part on abstract vectors is the sum."""
    if isinstance(A, SelfAdjoint):
        return [A]
    if A.scalar is not None:
        return [A.scalar]
    diagonal = getattr(A, "diagonal", None)
    if isinstance(diagonal, Entries) and all(c == 1 for c in diagonal.parts.values()):
        return [diagonal.number, *diagonal.parts]
    if hasattr(A, "shift"):
        return [*_parts(A.part), A.shift]
    raise TypeError(f"a damped system is solved for sums of numbers and self-adjoint operators, got {A}")


class InAnyInnerProduct:
    """A linearization of a problem whose inner product is any, so that it has no diagonal."""

    def require_mass(self, mass: Any) -> None:
        """Raise ValueError unless the diagonal of the inner product is None."""
        if mass is not None:
            raise ValueError(
                f"mass must be that of the problem, None where the inner product is any; got {type(mass).__name__}"
            )


class AbstractLinearization(InAnyInnerProduct):
    """A residual and its derivative at one theta."""

    def __init__(self, residual: Vector, J: Map) -> None:
        self.residual, self.J = residual, J
        self._gram = Gram(J)

    def jvp(self, d: Vector) -> Vector:
        """Return J d."""
        return self.J(d)

    def vjp(self, u: Vector) -> Vector:
        """Return J^* u."""
        return self.J.adjoint(u)

    def solve_damped(self, q: Vector, h: Vector | None, A: Any, dt: Any) -> Vector:
        """Return d of ``(1/dt + A + J^* J) d = -(J^* q + h)``, known by this equation only: relation (2) of `vectors`.

        Parameters
        ----------
        q : Vector
            Of the space of residuals.
        h : Vector or None
            Of the space of parameters; None for zero.
        A : LinearPart
            An operator.
        dt : SymPy expression
            The step size.
        """
        image = self.vjp(q) if h is None else self.vjp(q) + h
        c: Any = 0
        total: SelfAdjoint = self._gram
        for part in _parts(A):
            if isinstance(part, SelfAdjoint):
                total = total + part
            else:
                c = c + part
        a = dt / (1 + c * dt)
        damped: Vector = -a * total.solve_shifted(image, a)
        return damped


class AbstractRows(InAnyInnerProduct):
    """A residual of n numbers and its derivative at one theta, known by the gradients of the numbers.

    Parameters
    ----------
    residual : object array (n,)
        The residual q.
    rows : list of Vector
        The gradient of each of its entries.
    """

    def __init__(self, residual: Any, rows: list[Vector]) -> None:
        self.residual, self.rows = residual, rows

    def jvp(self, d: Vector) -> Any:
        """Return J d, (n,)."""
        return np.array([d.space.inner(row, d) for row in self.rows], dtype=object)

    def vjp(self, u: Any) -> Vector:
        """Return J^* u, the sum of the rows times the entries of u, (n,)."""
        image = self.rows[0].space.zero
        for row, c in zip(self.rows, u, strict=True):
            image = image + row * c
        return image

    def gram(self) -> Any:
        """Return J J^*, (n, n)."""
        return np.array([self.jvp(row) for row in self.rows], dtype=object)


class AbstractResiduals(AbstractEnergy):
    """Any energy ``(theta, L theta) / 2 + |q(theta)|^2 / 2`` with n residuals: n new numbers, and their gradients, at every theta.

    Parameters
    ----------
    space : Space
        The space of theta, with its inner product.
    n : int
        The number of residuals.
    linear : LinearPart, optional
        The energy part L.
    """

    def __init__(self, space: Space, n: int, linear: Any = None) -> None:
        super().__init__(space, linear)
        self.n = n

    def linearize(self, theta: Vector) -> AbstractRows:
        """Return q and its gradients at theta."""
        name = self._name(theta)
        q = [sp.Symbol(f"q{name}_{k}", real=True) for k in range(self.n)]
        return AbstractRows(np.array(q, dtype=object), [self.space.vector(f"h{name}_{k}") for k in range(self.n)])

    def nonlinear_energy(self, theta: Vector) -> Any:
        """Return ``|q|^2 / 2`` at theta."""
        q = self.linearize(theta).residual
        return q @ q / 2

    def nonlinear_energy_and_gradient(self, theta: Vector) -> tuple[Any, Vector]:
        """Return ``|q|^2 / 2`` and ``J^* q`` at theta."""
        at = self.linearize(theta)
        return at.residual @ at.residual / 2, at.vjp(at.residual)


class AbstractLeastSquares(AbstractEnergy):
    """Any energy ``(theta, L theta) / 2 + |q(theta)|^2 / 2``: a new vector q and a new map J at every theta.

    Parameters
    ----------
    space : Space
        The space of theta, with its inner product.
    residuals : Space
        The space of q.
    linear : LinearPart, optional
        The energy part L.
    """

    def __init__(self, space: Space, residuals: Space, linear: Any = None) -> None:
        super().__init__(space, linear)
        self.residuals = residuals
        self._linearized: dict[str, AbstractLinearization] = {}

    def linearize(self, theta: Vector) -> AbstractLinearization:
        """Return q and J at theta."""
        name = self._name(theta)
        if name not in self._linearized:
            J = Map.between(f"J{name}", self.space, self.residuals)
            self._linearized[name] = AbstractLinearization(self.residuals.vector(f"q{name}"), J)
        return self._linearized[name]

    def nonlinear_energy(self, theta: Vector) -> Any:
        """Return ``|q|^2 / 2`` at theta."""
        q = self.linearize(theta).residual
        return q @ q / 2

    def nonlinear_energy_and_gradient(self, theta: Vector) -> tuple[Any, Vector]:
        """Return ``|q|^2 / 2`` and ``J^* q`` at theta."""
        at = self.linearize(theta)
        return at.residual @ at.residual / 2, at.vjp(at.residual)
