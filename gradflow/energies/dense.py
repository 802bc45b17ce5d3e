"""Your own residual with an explicit Jacobian, and its linearisation in a diagonal inner product."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from ..description import describe
from ..namespace import Array, array_namespace, copied
from ..refusals import evaluate, instance, mass_of, real_array
from .derivatives import complex_step, derivative_of, differences, jacobian_by
from .linear import LinearPart, as_linear_part
from .protocols import Work
from .split import SplitEnergy, weighted_dot

__all__ = ["DenseLeastSquares", "DenseLinearization"]


class DenseLinearization:
    """A `Linearization` from an explicit Jacobian and a diagonal inner product.

    Parameters
    ----------
    residual : array (N,)
        The residual q.
    J : array (N, P) or callable
        Partial derivatives of q, or a function without arguments that returns them. It is called once, when they are
        needed.
    mass : float or array (P,)
        Diagonal of the inner product.
    """

    def __init__(self, residual: Array, J: Array | Callable[[], Array], mass: Array | float = 1.0) -> None:
        self.residual, self._given, self._mass = residual, J, mass

    @cached_property
    def _J(self) -> Array:
        return self._given() if callable(self._given) else self._given

    def jvp(self, d: Array) -> Array:
        """Return J d, shape (N,)."""
        return self._J @ real_array("d", d, {"P": self._J.shape[1]}, self._J.dtype)

    def vjp(self, u: Array) -> Array:
        """Return J^* u = M^{-1} J^T u, shape (P,)."""
        return (self._J.T @ real_array("u", u, {"N": self._J.shape[0]}, self._J.dtype)) / self._mass

    def gram(self) -> Array:
        """Return J M^{-1} J^T, shape (N, N); symmetric to the last bit."""
        if isinstance(self._mass, (int, float)):
            return self._J @ self._J.T / self._mass
        xp = array_namespace(self._J)
        B = self._J / xp.sqrt(self._mass)
        return B @ B.T

    @property
    def work(self) -> Work:
        """The cost of the products and of `gram`; an entry of J is read twice, which costs 12 multiply-adds."""
        N, P = self._J.shape
        return Work(12 * N * P, N**2 * P / 2)

    def gram_trace(self) -> Array:
        """Return the trace of J M^{-1} J^T, 0-d: the sum of squares of J, weighted."""
        xp = array_namespace(self._J)
        if isinstance(self._mass, (int, float)):
            entries = xp.reshape(self._J, (-1,))
            return entries @ entries / self._mass
        return xp.sum(xp.sum(self._J * self._J, axis=0) / self._mass)

    def jacobian(self) -> Array:
        """Return J, shape (N, P)."""
        return self._J


class DenseLeastSquares(SplitEnergy):
    """Your own residual: ``F(theta) = |residual(theta)|^2 / 2``.

    The value of a function is checked and copied in every call, so that a function may reuse an array. The argument is
    read-only: in NumPy it is a view that cannot be written.

    Parameters
    ----------
    residual : callable
        Maps theta (P,) to q, shape (N,), N >= 1.
    jacobian : callable, optional
        Maps theta (P,) to J, shape (N, P), the partial derivatives, without the inner product. Without it, J is found by
        the complex step if the residual takes complex arguments and is analytic, and by central differences otherwise;
        `derivative` says which.
    linear : LinearPart or float, optional
        The energy part L of equation (2), self-adjoint in the inner product.
    mass : float or array (P,), optional
        Diagonal of the inner product, entries > 0; 1 by default. Copied.

    Raises
    ------
    ValueError
        If an argument is not callable, `linear` is negative, or `mass` is not positive; later, if a function writes
        into its argument, or its value is not real or has a wrong shape or dtype.
    """

    def __init__(
        self,
        residual: Callable[[Array], Array],
        jacobian: Callable[[Array], Array] | None = None,
        *,
        linear: LinearPart | float = 0.0,
        mass: float | Array | None = None,
    ) -> None:
        self._residual = instance("residual", residual, Callable, "a function of theta")
        self._jacobian = None
        if jacobian is not None:
            self._jacobian = instance("jacobian", jacobian, Callable, "a function of theta")
        self.linear = as_linear_part(linear, "linear")
        self.mass: float | Array = mass_of(mass)
        self.derivative = "differences" if self._jacobian is None else "given"
        """Where J comes from: given, complex step or differences; known after the first J."""
        self.calls = {"residual": 0, "jacobian": 0}
        """Calls of the functions so far; those for a J by differences or the complex step count as of the residual."""
        self._lengths: dict[int, int] = {}
        self._asked = False

    def inner(self, u: Array, v: Array) -> Array:
        """Return (u, v)_M, a 0-d array."""
        return weighted_dot(self.mass, u, v)

    def _residual_at(self, theta: Array) -> Array:
        """Return a copy of q, (N,): `jacobian` may call `residual`, which may reuse its array."""
        self.calls["residual"] += 1
        q = evaluate("residual", self._residual, real_array("theta", theta, {"P": None}))
        N = self._lengths.get(theta.shape[0])  # that of the first call
        q = copied(real_array("residual(theta)", q, {"N": N}, theta.dtype, of="theta"))
        self._lengths[theta.shape[0]] = q.shape[0]
        return q

    def _jacobian_at(self, theta: Array, q: Array) -> Array:
        if self._jacobian is None:
            return self._found_jacobian(theta)
        self.calls["jacobian"] += 1
        J, shape = evaluate("jacobian", self._jacobian, theta), {"N": q.shape[0], "P": theta.shape[0]}
        return real_array("jacobian(theta)", J, shape, theta.dtype, of="theta")

    def _found_jacobian(self, theta: Array) -> Array:
        """Return J, (N, P), from values of the residual."""
        if not self._asked:
            self.derivative, self._asked = derivative_of(self._counted, theta), True
        if self.derivative == "complex step":
            return jacobian_by(complex_step, self._counted, theta)
        return jacobian_by(differences, self._residual_at, theta)

    def _counted(self, theta: Array) -> Array:
        """Return the residual for real or complex theta, (N,), unchecked."""
        self.calls["residual"] += 1
        return self._residual(theta)

    def linearize(self, theta: Array) -> DenseLinearization:
        """Return the residual (N,) and the Jacobian (N, P) at theta.

        Raises
        ------
        ValueError
            If the value of a function has a wrong shape or dtype.
        """
        at = self.linearize_later(theta)
        at.jacobian()
        return at

    def linearize_later(self, theta: Array) -> DenseLinearization:
        """Return the residual (N,) at theta, and the Jacobian (N, P), which is evaluated when it is first needed.

        Raises
        ------
        ValueError
            As `linearize`; of the Jacobian, when it is needed.
        """
        q = self._residual_at(theta)
        return DenseLinearization(q, lambda: copied(self._jacobian_at(theta, q)), self.mass)

    def nonlinear_energy(self, theta: Array) -> Array:
        """Return F(theta), a 0-d array.

        Raises
        ------
        ValueError
            If the residual does not have the shape (N,) and the dtype of theta.
        """
        q = self._residual_at(theta)
        return q @ q / 2

    def nonlinear_energy_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """Return F (0-d) and its gradient J^* q, shape (P,).

        Raises
        ------
        ValueError
            As `linearize`.
        """
        q = self._residual_at(theta)
        return q @ q / 2, DenseLinearization(q, self._jacobian_at(theta, q), self.mass).vjp(q)

    def nonlinear_hvp(self, theta: Array, v: Array) -> Array:
        """Raise ValueError, since the second derivatives of the residual are not known.

        Raises
        ------
        ValueError
            Always.
        """
        raise ValueError("DenseLeastSquares knows no second derivatives: use a scheme that needs no hvp")

    def describe(self) -> dict[str, Any]:
        """Return what identifies this problem in a stored result."""
        return {
            "problem": "DenseLeastSquares",
            "residual": describe(self._residual),
            "mass": describe(self.mass),
            "linear": describe(self.linear),
        }
