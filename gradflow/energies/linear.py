r"""The linear part: self-adjoint, positive semi-definite operators that schemes may treat implicitly.

A linear part plays one of two roles, which are never confused:

* **energy part**, ``problem.linear``: the energy is ``E(theta) = (theta, L theta)_M / 2 + F(theta)``. It belongs to
  the flow and moves its equilibria (``weight_decay`` is ``Shift``).
* **stabilization**, a field of the *scheme*: ``S theta_new`` is added and ``S theta`` subtracted. It changes the
  discretisation, not the flow; equilibria stay where they are.

Every linearly implicit scheme then solves with the one operator

.. math:: A = I + \Delta t \, (L + S).                                                                 \tag{1}

An operator here is a small object with ``apply`` and ``solve_shifted``; both are self-adjoint in the problem's
inner product (diagonal operators are so in every diagonal inner product).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from ..description import found
from ..namespace import Array, array_namespace, is_number

__all__ = ["Diagonal", "LinearPart", "Shift", "Zero", "add", "as_linear_part", "dissipation"]

Scalar: TypeAlias = float | Array
"""A Python number or a 0-d array: the step size may be either."""


@runtime_checkable
class LinearPart(Protocol):
    """A self-adjoint positive semi-definite operator on R^P."""

    @property
    def scalar(self) -> float | None:
        """The number c if the operator is c times the identity, else None."""

    def apply(self, u: Array) -> Array:
        """Return L u, for u of shape (P,) or (N, P): along the last axis.

        Parameters
        ----------
        u : array (P,) or (N, P)
            Vectors.
        """

    def solve_shifted(self, u: Array, dt: Scalar) -> Array:
        """Return (I + dt L)^{-1} u, for u of shape (P,) or (N, P): along the last axis.

        Parameters
        ----------
        u : array (P,) or (N, P)
            Right-hand sides.
        dt : float or 0-d array
            Step size, > 0.
        """


@dataclass(frozen=True)
class Zero:
    """No linear part. `solve_shifted` returns its argument itself, so that schemes pay nothing for it."""

    @property
    def scalar(self) -> float:
        """The multiple of the identity that this is: 0."""
        return 0.0

    def apply(self, u: Array) -> Array:
        """Return 0 * u, shape (P,) or (N, P) as u."""
        return 0.0 * u

    def solve_shifted(self, u: Array, dt: Scalar) -> Array:
        """Return u itself, shape (P,) or (N, P)."""
        return u


@dataclass(frozen=True)
class Shift:
    """The multiple of the identity ``L = shift * I``, ``shift >= 0`` (1 / time).

    Parameters
    ----------
    shift : float
        Finite, >= 0.

    Raises
    ------
    ValueError
        If it is not.
    """

    shift: float

    def __post_init__(self) -> None:
        if not (is_number(self.shift) and 0.0 <= self.shift < float("inf")):
            raise ValueError(f"shift must be a finite number >= 0, got {self.shift!r}")
        object.__setattr__(self, "shift", float(self.shift))  # a NumPy double would promote a float32 state

    @property
    def scalar(self) -> float:
        """The multiple of the identity that this is."""
        return self.shift

    def apply(self, u: Array) -> Array:
        """Return shift * u, shape (P,) or (N, P) as u."""
        return self.shift * u

    def solve_shifted(self, u: Array, dt: Scalar) -> Array:
        """Return u / (1 + dt shift), shape (P,) or (N, P) as u."""
        return u / (1 + dt * self.shift)


@dataclass(frozen=True, eq=False)
class Diagonal:
    """A diagonal operator, `diagonal` of shape (P,) with entries >= 0 (1 / time).

    Parameters
    ----------
    diagonal : array (P,)
        Entries >= 0, finite, of the dtype of theta.

    Raises
    ------
    ValueError
        If it is not a vector (P,) of finite entries >= 0. The dtype is checked by `solve`.
    """

    diagonal: Array

    def __post_init__(self) -> None:
        d = self.diagonal
        if getattr(d, "ndim", None) != 1:
            raise ValueError(f"diagonal must have shape (P,), got {getattr(d, 'shape', d)!r}")
        xp = array_namespace(d)
        if d.dtype != object and not bool(xp.all(xp.isfinite(d)) & xp.all(d >= 0)):
            raise ValueError("diagonal must have finite entries >= 0 (a positive semi-definite operator)")

    @property
    def scalar(self) -> None:
        """None: not a multiple of the identity."""
        return None

    def apply(self, u: Array) -> Array:
        """Return diagonal * u, shape (P,) or (N, P) as u: along the last axis."""
        return self.diagonal * u

    def solve_shifted(self, u: Array, dt: Scalar) -> Array:
        """Return u / (1 + dt diagonal), shape (P,) or (N, P) as u: along the last axis."""
        return u / (1 + dt * self.diagonal)


_ZERO = Zero()


def as_linear_part(value: float | LinearPart, name: str) -> LinearPart:
    """Return `value` as a linear part: a number c means c times the identity.

    Parameters
    ----------
    value : float or LinearPart
        What was given.
    name : str
        What the message calls it.

    Raises
    ------
    ValueError
        If it is neither a finite number >= 0 nor a `LinearPart`; the message calls it `name`.
    """
    number: Any = value
    if is_number(number) and 0.0 <= number < float("inf"):
        return _ZERO if number == 0 else Shift(float(number))
    # the check against a protocol takes 0.1 ms, as long as a gradient: schemes call this in every step
    if isinstance(value, (Zero, Shift, Diagonal)) or isinstance(value, LinearPart):  # noqa: SIM101
        return value
    raise ValueError(f"{name} must be a finite number >= 0 or a LinearPart, got {found(value)}")


def add(first: LinearPart, second: LinearPart) -> LinearPart:
    """Return the operator L + S of equation (1).

    Parameters
    ----------
    first, second : LinearPart
        The operators L and S.

    Raises
    ------
    ValueError
        If the two have no sum of a known kind (a shifted solve with it would need a matrix).
    """
    if first.scalar == 0:
        return second
    if second.scalar == 0:
        return first
    if first.scalar is not None and second.scalar is not None:
        return Shift(first.scalar + second.scalar)
    if type(first) is type(second) and hasattr(first, "__add__"):  # an operator kind that knows its sums
        total: LinearPart = first + second
        return total
    a, b = _diagonal(first), _diagonal(second)
    if a is None or b is None:
        raise ValueError(f"no shifted solve is known for the sum of {found(first)} and {found(second)}")
    return Diagonal(a + b)


def _diagonal(part: LinearPart) -> Array | float | None:
    """Return the diagonal of a diagonal operator, as a number or (P,), else None."""
    return part.diagonal if isinstance(part, Diagonal) else part.scalar


def dissipation(inner: Callable[[Array, Array], Array], L: LinearPart, S: LinearPart, d: Array, dt: Scalar) -> Array:
    r"""Return what one step dissipates in every linearly implicit scheme of the library.

    .. math:: \frac{|d|_M^2}{\Delta t} + (S d, d)_M + \tfrac12 (L d, d)_M, \qquad d = \theta^{n+1} - \theta^n.  \tag{2}

    Parameters
    ----------
    inner : callable
        The problem's inner product, of two vectors (P,); returns 0-d.
    L, S : LinearPart
        Energy part and stabilization.
    d : array (P,)
        The increment.
    dt : float or 0-d array
        Step size.

    Returns
    -------
    0-d array
        At least 0, in the units of the energy.
    """
    if L.scalar is not None and S.scalar is not None:
        return inner(d, d) * (1 / dt + (S.scalar + L.scalar / 2))
    return inner(d, d) / dt + inner(S.apply(d), d) + inner(L.apply(d), d) / 2
