"""Your own energy, from functions of theta."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..description import describe
from ..namespace import Array, array_namespace, copied
from ..refusals import evaluate, instance, mass_of, real_array, real_scalar
from .linear import LinearPart, as_linear_part
from .split import SplitEnergy, weighted_dot

__all__ = ["FunctionProblem"]


class FunctionProblem(SplitEnergy):
    """Your own energy, from functions of theta.

    The value of a function is checked and copied in every call, so that a function may reuse an array. The arguments
    are read-only: in NumPy they are views that cannot be written.

    Parameters
    ----------
    energy : callable
        Maps theta (P,) to F(theta), a number or 0-d. Without `linear`, F is the whole energy.
    gradient : callable
        Maps theta (P,) to the gradient of F with respect to `inner`, (P,).
    hvp : callable, optional
        Maps (theta, v) to the derivative of that gradient along v, (P,). Only schemes that need it require it.
    inner : callable, optional
        Maps (u, v) to (u, v)_M, a number or 0-d, > 0 for u = v != 0. By default the Euclidean dot product.
    third_derivative : callable, optional
        Maps (theta, u, v) to the derivative of ``hvp(theta, u)`` along v, (P,), symmetric in u and v.
    linear : LinearPart or float, optional
        The energy part L of equation (2), self-adjoint in `inner`.
    mass : float or array (P,), optional
        Instead of `inner`, a diagonal inner product ``sum(mass * u * v)``, entries > 0. Copied.

    Raises
    ------
    ValueError
        If an argument is not callable, `linear` is negative, `mass` is not positive, or both `inner` and `mass` are
        given; later, if a function writes into its arguments, or its value is not real or has a wrong shape or dtype.

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
        third_derivative: Callable[[Array, Array, Array], Array] | None = None,
        linear: LinearPart | float = 0.0,
        mass: float | Array | None = None,
    ) -> None:
        if inner is not None and mass is not None:
            raise ValueError("give inner or mass, not both")
        self._energy = instance("energy", energy, Callable, "a function of theta")
        self._gradient = instance("gradient", gradient, Callable, "a function of theta")
        self._hvp, self._inner, self._third = (
            instance(name, f, (Callable, type(None)), f"a function of {n} vectors or None")
            for name, f, n in (
                ("hvp", hvp, "two"),
                ("inner", inner, "two"),
                ("third_derivative", third_derivative, "three"),
            )
        )
        self.linear = as_linear_part(linear, "linear")
        self.mass: float | Array | None = None if inner is not None else mass_of(mass)

    def inner(self, u: Array, v: Array) -> Array:
        """Return (u, v)_M, a 0-d array.

        Raises
        ------
        ValueError
            If `inner` does not return a real number, or returns one that is not positive for u = v != 0.
        """
        if self._inner is None:
            return weighted_dot(self.mass, u, v)
        real_array("v", v, {"P": real_array("u", u, {"P": None}).shape[0]}, u.dtype, of="u")
        product = real_scalar("inner(u, v)", evaluate("inner", self._inner, u, v), u)
        if u is v and u.dtype != object and product <= 0:
            xp = array_namespace(u)
            size = xp.max(xp.abs(u))  # u of size 1 does not underflow
            if product == 0 and size > 0:
                product_of_1 = real_scalar("inner(u, v)", evaluate("inner", self._inner, u / size, u / size), u)
            else:
                product_of_1 = product
            if product_of_1 < 0 or (size > 0 and product_of_1 == 0):
                raise ValueError(f"inner(u, v) must be positive for u = v != 0, got {product}")
        return product

    @property
    def has_hvp(self) -> bool:
        """Whether `hvp` was given, or a derived class defines `nonlinear_hvp`."""
        return self._hvp is not None or type(self).nonlinear_hvp is not FunctionProblem.nonlinear_hvp

    @property
    def hvp_given(self) -> bool:
        """Whether `hvp` was given."""
        return self._hvp is not None

    @property
    def has_third_derivative(self) -> bool:
        """Whether `third_derivative` was given, or a derived class defines the method."""
        return self._third is not None or type(self).third_derivative is not FunctionProblem.third_derivative

    def nonlinear_energy(self, theta: Array) -> Array:
        """Return F(theta), a 0-d array of the dtype of theta.

        Raises
        ------
        ValueError
            If `energy` does not return a real number. Every method that calls `energy` raises this.
        """
        return self._energy_at(real_array("theta", theta, {"P": None}))

    def _energy_at(self, theta: Array) -> Array:
        return real_scalar("energy(theta)", evaluate("energy", self._energy, theta), theta)

    def nonlinear_energy_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """Return F (0-d) and its gradient, shape (P,).

        Raises
        ------
        ValueError
            If `gradient` does not return an array of the shape and the dtype of theta.
        """
        g = self._vector(
            "gradient(theta)", theta, evaluate("gradient", self._gradient, real_array("theta", theta, {"P": None}))
        )
        return self._energy_at(theta), g

    def nonlinear_hvp(self, theta: Array, v: Array) -> Array:
        """Return the derivative of the gradient of F along v, shape (P,).

        Raises
        ------
        ValueError
            If `hvp` was not given, or does not return an array of the shape and the dtype of theta.
        """
        if self._hvp is None:
            raise ValueError("this problem was given no hvp: pass FunctionProblem(..., hvp=...)")
        real_array("v", v, {"P": real_array("theta", theta, {"P": None}).shape[0]}, theta.dtype, of="theta")
        return self._vector("hvp(theta, v)", theta, evaluate("hvp", self._hvp, theta, v))

    def third_derivative(self, theta: Array, u: Array, v: Array) -> Array:
        """Return D^3 E[u, v], the derivative of ``hvp(theta, u)`` along v, shape (P,); the energy part has none.

        Parameters
        ----------
        theta : array (P,)
            Parameters.
        u, v : array (P,)
            Directions.

        Raises
        ------
        ValueError
            If `third_derivative` was not given, or does not return an array of the shape and the dtype of theta.
        """
        if self._third is None:
            raise ValueError(
                "this problem was given no third derivatives: pass FunctionProblem(..., third_derivative=...)"
            )
        P = real_array("theta", theta, {"P": None}).shape[0]
        for name, w in (("u", u), ("v", v)):
            real_array(name, w, {"P": P}, theta.dtype, of="theta")
        value = evaluate("third_derivative", self._third, theta, u, v)
        return self._vector("third_derivative(theta, u, v)", theta, value)

    def _vector(self, name: str, theta: Array, value: Any) -> Array:
        """Return a copy of the value of a function, (P,), since the function may reuse its array."""
        return copied(real_array(name, value, {"P": theta.shape[0]}, theta.dtype, of="theta"))

    def describe(self) -> dict[str, Any]:
        """Return what identifies this problem in a stored result."""
        return {
            "problem": "FunctionProblem",
            "energy": describe(self._energy),
            **({} if self._hvp is None else {"hvp": describe(self._hvp)}),
            **({} if self._third is None else {"third_derivative": describe(self._third)}),
            "inner": describe(self._inner),
            "mass": describe(self.mass),
            "linear": describe(self.linear),
        }
