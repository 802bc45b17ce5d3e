r"""The linear part: self-adjoint, positive semi-definite operators that schemes may treat implicitly.

A linear part has one of two roles:

* **energy part**, ``problem.linear``: the energy is ``E(theta) = (theta, L theta)_M / 2 + F(theta)``. It belongs to
  the flow and moves its equilibria (``weight_decay`` is ``Shift``).
* **stabilization**, a field of the *scheme*: ``S theta_new`` is added and ``S theta`` subtracted. It changes the
  discretisation, not the flow, and leaves the equilibria unchanged.

Every linearly implicit scheme then solves with one operator:

.. math:: A = I + \Delta t \, (L + S).                                                                 \tag{1}

An operator is a small object with ``apply`` and ``solve_shifted``. Both are self-adjoint in the problem's inner
product; a diagonal operator is self-adjoint in every diagonal inner product. A kind of operator defines its sums by
``__add__``. A multiple of the identity can be added to any operator:

.. math:: (I + \Delta t (L + c I))^{-1} = \frac{1}{1 + \Delta t\,c}\Bigl(I + \frac{\Delta t}{1 + \Delta t\,c} L\Bigr)^{-1}  \tag{2}

is a shifted solve of L with another step size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import frexp, inf, ldexp
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

from ..description import found
from ..namespace import Array, array_namespace, copied, is_array, is_number, shape_of
from ..refusals import as_float, real_array, real_number

__all__ = [
    "Diagonal",
    "LinearPart",
    "Matrix",
    "Operator",
    "Shift",
    "Shifted",
    "Zero",
    "add",
    "as_linear_part",
    "dissipation",
]

Scalar: TypeAlias = float | Array
"""A Python number or a 0-d array, such as the step size."""


@runtime_checkable
class LinearPart(Protocol):
    """A self-adjoint positive semi-definite operator on R^P.

    A kind of operator whose sum with another operator is known has a method ``__add__``, which returns NotImplemented
    for all others. It is not called with a multiple of the identity.
    """

    @property
    def scalar(self) -> float | None:
        """The number c if the operator is c times the identity, otherwise None."""

    def apply(self, u: Array) -> Array:
        """Return L u, for u of shape (P,) or (N, P): along the last axis."""

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
    """No linear part. `solve_shifted` returns its argument itself and costs nothing."""

    @property
    def scalar(self) -> float:
        """The operator as a multiple of the identity: 0."""
        return 0  # of every kind of numbers

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
        Finite, >= 0. A symbol that SymPy knows to be nonnegative is accepted, for the proofs.

    Raises
    ------
    ValueError
        If `shift` is negative or not finite.
    """

    shift: float

    def __post_init__(self) -> None:
        shift: Any = self.shift
        if not (getattr(shift, "free_symbols", None) and getattr(shift, "is_nonnegative", None)):
            object.__setattr__(self, "shift", real_number("shift", shift, 0))

    @property
    def scalar(self) -> float:
        """The operator as a multiple of the identity."""
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
        Entries >= 0, finite, of the dtype of theta. Copied.

    Raises
    ------
    ValueError
        If it is not a vector (P,) of finite entries >= 0. The dtype is checked by `solve`.
    """

    diagonal: Array
    scalar: ClassVar[None] = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "diagonal", copied(real_array("diagonal", self.diagonal, {"P": None}, low=0)))

    def apply(self, u: Array) -> Array:
        """Return diagonal * u, shape (P,) or (N, P) as u: along the last axis."""
        return self.diagonal * u

    def solve_shifted(self, u: Array, dt: Scalar) -> Array:
        """Return u / (1 + dt diagonal), shape (P,) or (N, P) as u: along the last axis."""
        return u / (1 + dt * self.diagonal)


@dataclass(frozen=True, eq=False)
class Matrix:
    """A dense operator: u -> A u for a symmetric positive semi-definite matrix A (1 / time).

    A is decomposed once, ``A = V diag(w) V^T``. A shifted solve is then two products with V, for every dt. Eigenvalues
    that are negative by rounding are set to 0.

    Parameters
    ----------
    A : array (P, P)
        Symmetric and positive semi-definite up to rounding, ``4 P eps max |A_ij|``; finite, of the dtype of theta. Copied.

    Raises
    ------
    ValueError
        If A does not have these properties. The dtype is checked by `solve`.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> L = gf.Matrix(np.array([[2.0, -1.0], [-1.0, 2.0]]))
    >>> u = L.solve_shifted(np.array([1.0, 0.0]), 0.5)
    >>> bool(np.allclose(u + 0.5 * L.apply(u), [1.0, 0.0]))
    True
    """

    A: Array
    _values: Array = field(init=False, repr=False)
    _vectors: Array = field(init=False, repr=False)
    _last: tuple[Any, Any] = field(init=False, repr=False)
    scalar: ClassVar[None] = None

    def __post_init__(self) -> None:
        shape = shape_of(self.A) if is_array(self.A) else ()
        if len(shape) != 2 or shape[0] != shape[1] or shape[0] == 0:
            have = "have" if is_array(self.A) else "be an array of"
            raise ValueError(f"A must {have} shape (P, P), P >= 1; got {found(self.A)}")
        A = copied(real_array("A", self.A, {"P": shape[0], "columns": shape[0]}, low=-inf))
        xp = array_namespace(A)
        largest = float(xp.max(xp.abs(A)))
        scale = (
            ldexp(1.0, frexp(largest)[1] - 1) if largest else 1.0
        )  # a power of 2: nothing is rounded, no sum overflows
        B = A / scale
        rounding = 4 * A.shape[0] * float(xp.finfo(A.dtype).eps) * (largest / scale)
        skew = float(xp.max(xp.abs(B - B.T)))
        if skew > rounding:
            raise ValueError(
                f"A must be symmetric, got an entry that differs by {skew * scale:.3g} from its mirror image"
            )
        values, vectors = xp.linalg.eigh((B + B.T) / 2)
        least, greatest = float(xp.min(values)), float(xp.max(values))
        if least < -rounding:
            raise ValueError(f"A must be positive semi-definite, got the eigenvalue {least * scale:.3g}")
        if not greatest <= float(xp.finfo(A.dtype).max) / scale:
            raise ValueError(f"A must have finite eigenvalues, got {greatest:.3g} times {scale:.3g}")
        decomposed = {"A": A, "_values": xp.where(values > 0, values, 0 * values) * scale, "_vectors": vectors}
        for name, value in {**decomposed, "_last": (None, None)}.items():
            object.__setattr__(self, name, value)

    def apply(self, u: Array) -> Array:
        """Return A u, shape (P,) or (N, P) as u: along the last axis."""
        return (
            (u @ self._vectors) * self._values
        ) @ self._vectors.T  # as `solve_shifted` has it, negative values included

    def solve_shifted(self, u: Array, dt: Scalar) -> Array:
        """Return (I + dt A)^{-1} u, shape (P,) or (N, P) as u: along the last axis."""
        return ((u @ self._vectors) / (1 + dt * self._values)) @ self._vectors.T

    def __add__(self, other: object) -> Matrix:
        """Return the sum with a matrix or a diagonal operator; the last sum is kept for the next step."""
        if not isinstance(other, (Matrix, Diagonal)):
            return NotImplemented
        last_other, total = self._last  # read once: another thread may exchange the pair
        if last_other is not other:
            if isinstance(other, Matrix):
                matrix = self.A + other.A
            else:
                xp = array_namespace(self.A)
                matrix = self.A + xp.eye(self.A.shape[0], dtype=self.A.dtype, device=self.A.device) * other.diagonal
            total = Matrix(matrix)
            object.__setattr__(self, "_last", (other, total))
        summed: Matrix = total
        return summed


@dataclass(frozen=True, eq=False)
class Operator:
    """An operator given by two functions.

    Parameters
    ----------
    apply : callable
        Maps u to L u, (P,) or (N, P): along the last axis. L is self-adjoint in the problem's inner product, positive
        semi-definite (1 / time).
    solve_shifted : callable
        Maps (u, dt) to (I + dt L)^{-1} u.

    Raises
    ------
    ValueError
        If `apply` or `solve_shifted` is not a function.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> k2 = np.fft.fftfreq(16, 1 / 16) ** 2  # the periodic Laplacian by its symbol
    >>> laplacian = gf.Operator(
    ...     apply=lambda u: np.fft.ifft(k2 * np.fft.fft(u)).real,
    ...     solve_shifted=lambda u, dt: np.fft.ifft(np.fft.fft(u) / (1 + dt * k2)).real,
    ... )
    >>> scheme = gf.SAV(stabilization=laplacian)
    """

    apply: Callable[[Array], Array]
    solve_shifted: Callable[[Array, Scalar], Array]
    scalar: ClassVar[None] = None

    def __post_init__(self) -> None:
        for name in ("apply", "solve_shifted"):
            if not callable(getattr(self, name)):
                raise ValueError(f"{name} must be a function, got {found(getattr(self, name))}")


class Adapted(Operator):
    """An object with ``apply`` and ``solve_shifted`` but without ``scalar``; its kind may know sums.

    Parameters
    ----------
    own : object
        The object.
    """

    def __init__(self, own: Any) -> None:
        super().__init__(own.apply, own.solve_shifted)
        object.__setattr__(self, "own", own)

    def __add__(self, other: object) -> Any:
        """Return the sum as the kind of the object knows it."""
        own_sum = getattr(type(self.own), "__add__", None)  # type: ignore[attr-defined]
        if own_sum is None:
            return NotImplemented
        return own_sum(self.own, other.own if isinstance(other, Adapted) else other)  # type: ignore[attr-defined]


@dataclass(frozen=True, eq=False)
class Shifted:
    """The sum ``L + c I`` of any operator and a multiple of the identity, by equation (2).

    Parameters
    ----------
    part : LinearPart
        The operator L.
    shift : float
        The number c >= 0.
    """

    part: LinearPart
    shift: float
    scalar: ClassVar[None] = None

    def apply(self, u: Array) -> Array:
        """Return L u + c u, shape (P,) or (N, P) as u."""
        return self.part.apply(u) + self.shift * u

    def solve_shifted(self, u: Array, dt: Scalar) -> Array:
        """Return (I + dt (L + c I))^{-1} u, shape (P,) or (N, P) as u."""
        factor = 1 / (1 + dt * self.shift)
        return self.part.solve_shifted(factor * u, dt * factor)  # (2)

    def __add__(self, other: LinearPart) -> Shifted:
        """Return the sum with an operator whose sum with L is known."""
        return Shifted(add(self.part, other), self.shift)


_ZERO = Zero()
_KINDS = (Zero, Shift, Diagonal, Matrix, Operator, Shifted)


def as_linear_part(value: Any, name: str) -> LinearPart:
    """Return `value` as a linear part: a number c means c times the identity.

    Parameters
    ----------
    value : float or LinearPart
        The given value. An object without ``scalar`` is not taken for a multiple of the identity.
    name : str
        The name in the error message.

    Raises
    ------
    ValueError
        If `value` is neither a finite number >= 0 nor a `LinearPart`. The message names a missing member.
    """
    part: Any = value
    if isinstance(part, _KINDS):
        return part
    if is_number(part):
        number = as_float(part)
        if number is not None and 0 <= number < inf:
            return _ZERO if number == 0 else Shift(number)
        raise ValueError(f"{name} must be a finite number >= 0 or a LinearPart, got {found(value)}")
    missing = [member for member in ("apply", "solve_shifted") if not callable(getattr(part, member, None))]
    if missing or isinstance(part, type):
        lacking = f", which has no {' and no '.join(missing)}" if len(missing) == 1 else ""
        kind = {1: "Diagonal", 2: "Matrix"}.get(len(part.shape)) if is_array(part) else None
        hint = f": wrap it in gradflow.{kind}" if kind else lacking
        raise ValueError(f"{name} must be a finite number >= 0 or a LinearPart, got {found(value)}{hint}")
    complete: LinearPart = part if hasattr(part, "scalar") else Adapted(part)
    return complete


def add(first: LinearPart, second: LinearPart) -> LinearPart:
    """Return the operator L + S of equation (1).

    Parameters
    ----------
    first, second : LinearPart
        The operators L and S.

    Raises
    ------
    ValueError
        If no shifted solve is known for the sum.
    """
    if first.scalar == 0:
        return second
    if second.scalar == 0:
        return first
    if first.scalar is not None and second.scalar is not None:
        return Shift(first.scalar + second.scalar)
    a, b = _diagonal(first), _diagonal(second)
    if a is not None and b is not None:
        return Diagonal(a + b)
    for one, other in ((first, second), (second, first)):
        if other.scalar is not None:
            return Shifted(one, other.scalar)  # (2)
    for one, other in ((first, second), (second, first)):
        own_sum = getattr(type(one), "__add__", None)  # an operator kind that knows its sums
        total = NotImplemented if own_sum is None else own_sum(one, other)
        if total is not NotImplemented:
            return as_linear_part(total, f"the sum of {found(first)} and {found(second)}")
    raise ValueError(
        f"no shifted solve is known for the sum of {found(first)} and {found(second)}: give one of the two kinds a method "
        "__add__, or hand over their sum as one gradflow.Operator"
    )


def _diagonal(part: LinearPart) -> Array | float | None:
    """Return the diagonal of a diagonal operator, as a number or (P,), otherwise None."""
    return part.diagonal if isinstance(part, Diagonal) else part.scalar


def dissipation(inner: Callable[[Array, Array], Array], L: LinearPart, S: LinearPart, d: Array, dt: Scalar) -> Array:
    r"""Return the dissipation of one step, the same in every linearly implicit scheme of the library.

    .. math:: \frac{|d|_M^2}{\Delta t} + (S d, d)_M + \tfrac12 (L d, d)_M, \qquad d = \theta^{n+1} - \theta^n.  \tag{3}

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
        >= 0, in the units of the energy.
    """
    if L.scalar is not None and S.scalar is not None:
        return inner(d, d) * (1 / dt + (2 * S.scalar + L.scalar) / 2)
    return inner(d, d) / dt + inner(S.apply(d), d) + inner(L.apply(d), d) / 2
