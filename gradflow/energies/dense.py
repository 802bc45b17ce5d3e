"""Your own residual with an explicit Jacobian, and its linearisation in a diagonal inner product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..description import describe
from ..namespace import Array, array_namespace
from ..refusals import check_dtype, checked_mass
from .linear import LinearPart, as_linear_part
from .split import SplitEnergy, weighted_dot

__all__ = ["DenseLeastSquares", "DenseLinearization"]


class DenseLinearization:
    """A `Linearization` from an explicit Jacobian and a diagonal inner product.

    Parameters
    ----------
    residual : array (N,)
        The residual q.
    J : array (N, P)
        Partial derivatives of q.
    mass : float or array (P,)
        Diagonal of the inner product.
    """

    def __init__(self, residual: Array, J: Array, mass: Array | float = 1.0) -> None:
        self.residual, self._J, self._mass = residual, J, mass

    def jvp(self, d: Array) -> Array:
        """Return J d, shape (N,)."""
        return self._J @ d

    def vjp(self, u: Array) -> Array:
        """Return J^* u = M^{-1} J^T u, shape (P,)."""
        return (self._J.T @ u) / self._mass

    def gram(self) -> Array:
        """Return J M^{-1} J^T, shape (N, N); symmetric to the last bit."""
        if isinstance(self._mass, (int, float)):
            return self._J @ self._J.T / self._mass
        xp = array_namespace(self._J)
        B = self._J / xp.sqrt(self._mass)
        return B @ B.T

    def jacobian(self) -> Array:
        """Return J, shape (N, P)."""
        return self._J


class DenseLeastSquares(SplitEnergy):
    """Your own residual: ``F(theta) = |residual(theta)|^2 / 2``.

    Parameters
    ----------
    residual : callable
        Maps theta (P,) to q, shape (N,).
    jacobian : callable
        Maps theta (P,) to J, shape (N, P), the partial derivatives (no inner product in them).
    linear : LinearPart or float, optional
        The energy part L of equation (2), self-adjoint in the inner product.
    mass : float or array (P,), optional
        Diagonal of the inner product, entries > 0; 1 when left out.

    Raises
    ------
    ValueError
        If an argument is not callable, `linear` is negative, or `mass` is not positive; later, if the residual or the Jacobian
        has the wrong shape or dtype.
    """

    def __init__(
        self,
        residual: Callable[[Array], Array],
        jacobian: Callable[[Array], Array],
        *,
        linear: LinearPart | float = 0.0,
        mass: float | Array | None = None,
    ) -> None:
        for name, f in {"residual": residual, "jacobian": jacobian}.items():
            if not callable(f):
                raise ValueError(f"{name} must be a function of theta, got {f!r}")
        self._residual, self._jacobian = residual, jacobian
        self.linear = as_linear_part(linear, "linear")
        self.mass: float | Array = checked_mass(mass)

    def inner(self, u: Array, v: Array) -> Array:
        """Return (u, v)_M, a 0-d array."""
        return weighted_dot(self.mass, u, v)

    def _checked_residual(self, theta: Array) -> Array:
        q = self._residual(theta)
        if getattr(q, "ndim", None) != 1:
            raise ValueError(f"residual must return shape (N,), got {getattr(q, 'shape', q)!r}")
        check_dtype("residual", q, theta)
        return q

    def linearize(self, theta: Array) -> DenseLinearization:
        """Return residual (N,) and Jacobian (N, P) at theta.

        Raises
        ------
        ValueError
            If what the functions return has another shape or dtype.
        """
        q, J = self._checked_residual(theta), self._jacobian(theta)
        if getattr(J, "shape", None) != (q.shape[0], theta.shape[0]):
            wanted = (q.shape[0], theta.shape[0])
            raise ValueError(f"jacobian must return shape (N, P) = {wanted}, got {getattr(J, 'shape', J)!r}")
        check_dtype("jacobian", J, theta)
        return DenseLinearization(q, J, self.mass)

    def nonlinear_energy(self, theta: Array) -> Array:
        """Return F(theta), a 0-d array.

        Raises
        ------
        ValueError
            If the residual has another shape than (N,) or another dtype than theta.
        """
        q = self._checked_residual(theta)
        return q @ q / 2

    def nonlinear_energy_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """Return F (0-d) and its gradient J^* q, shape (P,).

        Raises
        ------
        ValueError
            As `linearize`.
        """
        at = self.linearize(theta)
        return at.residual @ at.residual / 2, at.vjp(at.residual)

    def nonlinear_hvp(self, theta: Array, v: Array) -> Array:
        """Refuse: second derivatives of the residual are not known here.

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
