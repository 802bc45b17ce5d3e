"""Tests of what a user hands over as an inner product or an operator, on two fixed vectors.

They find a wrong sign, factor or shape. They prove nothing: two vectors do not decide symmetry.
"""

from __future__ import annotations

from collections.abc import Callable
from math import nan, sqrt

from ..description import found
from ..namespace import Array, array_namespace
from .linear import LinearPart, Matrix, Shift, Zero

__all__ = ["check_inner", "check_operator", "probe_vectors"]


def probe_vectors(theta: Array) -> tuple[Array, Array]:
    """Return two fixed vectors without symmetry, of the array library, shape and dtype of theta (P,)."""
    xp = array_namespace(theta)
    n = xp.cumulative_sum(xp.ones_like(theta))
    return xp.sin(1 + 2.4 * n), xp.cos(3 + 1.7 * n)


def check_inner(inner: Callable[[Array, Array], Array], theta: Array) -> None:
    """Raise ValueError unless an inner product is real, symmetric and positive on two vectors.

    Parameters
    ----------
    inner : callable
        Maps (u, v) to (u, v)_M, 0-d.
    theta : array (P,)
        It determines the array library, shape and dtype.
    """
    u, v = probe_vectors(theta)
    values = [inner(u, u), inner(u, v), inner(v, u)]
    for value in values:
        if getattr(value, "shape", ()) != () or "complex" in str(getattr(value, "dtype", type(value).__name__)):
            raise ValueError(f"inner must return a real number or a 0-d array, got {found(value)}")
    uu, uv, vu = map(float, values)
    if not uu > 0:
        raise ValueError(f"inner must be positive, got (u, u) = {uu:.6g} for a vector u != 0")
    xp = array_namespace(theta)
    if abs(uv - vu) > float(xp.finfo(theta.dtype).eps) ** 0.5 * (abs(uv) + abs(vu)):
        raise ValueError(f"inner must be symmetric, got (u, v) = {uv:.6g} and (v, u) = {vu:.6g}")


def check_operator(
    name: str, part: LinearPart, inner: Callable[[Array, Array], Array], theta: Array, dt: float
) -> None:
    """Raise ValueError unless a linear part has the properties that a scheme needs, tested on two fixed vectors.

    Parameters
    ----------
    name : str
        The name in the error message.
    part : LinearPart
        The operator.
    inner : callable
        The problem's inner product, of two vectors (P,); returns 0-d.
    theta : array (P,)
        It determines the array library, shape and dtype.
    dt : float
        A step size, > 0.
    """
    if isinstance(part, (Zero, Shift)):
        return
    xp = array_namespace(theta)
    u, v = probe_vectors(theta)
    if isinstance(part, Matrix) and (part.A.shape[0] != theta.shape[0] or str(part.A.dtype) != str(theta.dtype)):
        P = theta.shape[0]
        raise ValueError(
            f"{name} must have the shape {(P, P)} and dtype {theta.dtype} of theta, got {part.A.shape} and {part.A.dtype}"
        )
    L_u, L_v, x = part.apply(u), part.apply(v), part.solve_shifted(u, dt)
    for method, value in (("apply", L_u), ("solve_shifted", x)):
        if getattr(value, "shape", None) != theta.shape or value.dtype != theta.dtype:
            got = f"{value.shape} and {value.dtype}" if hasattr(value, "dtype") else found(value)
            raise ValueError(f"{name}.{method} must keep the shape {theta.shape} and dtype {theta.dtype}, got {got}")
    eps = float(xp.finfo(theta.dtype).eps)

    def length(w: Array) -> float:
        square = float(inner(w, w))
        return sqrt(square) if square >= 0 else nan

    tol, size = eps**0.5, length(L_u) * length(v) + length(L_v) * length(u)
    left, right, quadratic = float(inner(L_u, v)), float(inner(u, L_v)), float(inner(L_u, u))
    if not abs(left - right) <= tol * size:
        raise ValueError(
            f"{name} must be self-adjoint in the inner product, got (L u, v) = {left:.6g}, (u, L v) = {right:.6g}"
        )
    if not quadratic >= -tol * size:
        raise ValueError(f"{name} must be positive semi-definite, got (L u, u) = {quadratic:.6g}")
    dt_L_x = dt * part.apply(x)
    rest = length(x + dt_L_x - u)
    # x is rounded in all directions, and L may stretch each of these as much as u and v
    rounding = 1e3 * eps * dt * length(x) * size / (length(u) * length(v))
    if not rest <= tol * (length(u) + length(x) + length(dt_L_x)) + rounding < float("inf"):
        raise ValueError(f"{name}.solve_shifted must invert I + dt L, got a residual of {rest:.3g}")
