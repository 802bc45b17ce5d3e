"""Your own energy, from functions of theta."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..description import describe
from ..namespace import Array, array_namespace
from ..refusals import check_dtype, checked_mass
from .linear import LinearPart, as_linear_part
from .split import SplitEnergy, weighted_dot

__all__ = ["FunctionProblem"]


class FunctionProblem(SplitEnergy):
    """Your own energy, from functions of theta.

    Parameters
    ----------
    energy : callable
        Maps theta (P,) to F(theta), 0-d; the whole energy if `linear` is left out.
    gradient : callable
        Maps theta (P,) to the gradient of F with respect to `inner`, (P,).
    hvp : callable, optional
        Maps (theta, v) to the derivative of that gradient along v, (P,). Left out, only schemes that need it will refuse.
    inner : callable, optional
        Maps (u, v) to (u, v)_M, 0-d. The Euclidean dot product when left out.
    linear : LinearPart or float, optional
        The energy part L of equation (2), self-adjoint in `inner`.
    mass : float or array (P,), optional
        Instead of `inner`, a diagonal inner product ``sum(mass * u * v)``, entries > 0.

    Raises
    ------
    ValueError
        If an argument is not callable, `linear` is negative, `mass` is not positive, or both `inner` and `mass` are given; later,
        if what a function returns has the wrong shape or dtype.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> quartic = gf.FunctionProblem(lambda t: (t @ t) ** 2 / 4, lambda t: (t @ t) * t)
    >>> state = gf.SAV(C=1.0).init(quartic, np.array([1.0, 2.0]))
    >>> float(state.aux)  # sqrt(25/4 + 1)
    2.692582403567252
    """

    def __init__(
        self,
        energy: Callable[[Array], Array],
        gradient: Callable[[Array], Array],
        hvp: Callable[[Array, Array], Array] | None = None,
        inner: Callable[[Array, Array], Array] | None = None,
        *,
        linear: LinearPart | float = 0.0,
        mass: float | Array | None = None,
    ) -> None:
        for name, f in {"energy": energy, "gradient": gradient}.items():
            if not callable(f):
                raise ValueError(f"{name} must be a function of theta, got {f!r}")
        for name, g in {"hvp": hvp, "inner": inner}.items():
            if g is not None and not callable(g):
                raise ValueError(f"{name} must be a function of two vectors or None, got {g!r}")
        if inner is not None and mass is not None:
            raise ValueError("give inner or mass, not both")
        self._energy, self._gradient, self._hvp, self._inner = energy, gradient, hvp, inner
        self.linear = as_linear_part(linear, "linear")
        self.mass: float | Array | None = None if inner is not None else checked_mass(mass)

    def inner(self, u: Array, v: Array) -> Array:
        """Return (u, v)_M, a 0-d array."""
        return self._inner(u, v) if self._inner is not None else weighted_dot(self.mass, u, v)

    def nonlinear_energy(self, theta: Array) -> Array:
        """Return F(theta), a 0-d array of the dtype of theta.

        Raises
        ------
        ValueError
            If the energy is an array that is not 0-d.
        """
        F = self._energy(theta)
        if getattr(F, "shape", ()) != ():
            raise ValueError(f"energy must return a number or a 0-d array, got shape {F.shape}")
        if getattr(F, "dtype", None) == theta.dtype or theta.dtype == object:
            return F
        return array_namespace(theta).asarray(F, dtype=theta.dtype)  # a Python or wider number must not promote float32

    def nonlinear_energy_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """Return F (0-d) and its gradient, shape (P,).

        Raises
        ------
        ValueError
            If the gradient has another shape or dtype than theta, or the energy is an array that is not 0-d.
        """
        g = self._gradient(theta)
        if getattr(g, "shape", None) != theta.shape:
            raise ValueError(f"gradient must return shape {theta.shape}, got {getattr(g, 'shape', g)!r}")
        check_dtype("gradient", g, theta)
        return self.nonlinear_energy(theta), g

    def nonlinear_hvp(self, theta: Array, v: Array) -> Array:
        """Return the derivative of the gradient of F along v, shape (P,).

        Raises
        ------
        ValueError
            If no `hvp` was given.
        """
        if self._hvp is None:
            raise ValueError("this problem was given no hvp: pass FunctionProblem(..., hvp=...)")
        return self._hvp(theta, v)

    def describe(self) -> dict[str, Any]:
        """Return what identifies this problem in a stored result."""
        return {
            "problem": "FunctionProblem",
            "energy": describe(self._energy),
            "inner": describe(self._inner),
            "mass": describe(self.mass),
            "linear": describe(self.linear),
        }
