"""An energy from its parts: a linear one and the rest."""

from __future__ import annotations

from typing import Any, Self

from ..namespace import Array, shape_of
from ..refusals import real_array
from .linear import LinearPart, Zero, as_linear_part

__all__ = ["SplitEnergy", "weighted_dot"]


class SplitEnergy:
    """A `Problem` from its two parts, equation (2). A derived class defines `inner` and the ``nonlinear_*`` methods.

    `energy`, `energy_and_gradient` and `hvp` add the energy part. Schemes without second derivatives need no
    `nonlinear_hvp`.

    Raises
    ------
    TypeError
        If the class does not define what is called: at `inner`, at `nonlinear_energy`,
        at `nonlinear_energy_and_gradient`, at `nonlinear_hvp`.
    """

    linear: LinearPart = Zero()
    """The energy part L, self-adjoint in `inner`. A class or an instance may replace it."""

    @property
    def has_hvp(self) -> bool:
        """Whether a derived class defines `nonlinear_hvp`."""
        return type(self).nonlinear_hvp is not SplitEnergy.nonlinear_hvp

    def inner(self, u: Array, v: Array) -> Array:
        """Return (u, v)_M, a 0-d array."""
        raise TypeError("a problem must define its inner product")

    def nonlinear_energy(self, theta: Array) -> Array:
        """Return F(theta), 0-d and of the dtype of theta (P,)."""
        raise TypeError("a problem must define nonlinear_energy")

    def nonlinear_energy_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """Return F (0-d) and its gradient with respect to `inner`, shape (P,), at theta (P,).

        The gradient g has ``(g, v)_M`` for the derivative of F along v. Both have the dtype of theta.
        """
        raise TypeError("a problem must define nonlinear_energy_and_gradient")

    def nonlinear_hvp(self, theta: Array, v: Array) -> Array:
        """Return the derivative of the gradient of F along v, shape (P,) and of the dtype of theta.

        Parameters
        ----------
        theta : array (P,)
            Parameters.
        v : array (P,)
            Direction.
        """
        raise TypeError("a problem must define nonlinear_hvp")

    def _with(self, **changes: Any) -> Self:
        """Return a copy with some attributes changed; all others are shared, whatever pickling would leave out."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, **changes)
        return other

    def energy(self, theta: Array) -> Array:
        """Return E(theta), a 0-d array."""
        F, L = self.nonlinear_energy(theta), as_linear_part(self.linear, "linear")
        return F if L.scalar == 0 else F + self.inner(theta, L.apply(theta)) / 2

    def energy_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """Return E (0-d) and its gradient with respect to `inner`, shape (P,)."""
        (F, g), L = self.nonlinear_energy_and_gradient(theta), as_linear_part(self.linear, "linear")
        if L.scalar == 0:
            return F, g
        L_theta = L.apply(theta)
        return F + self.inner(theta, L_theta) / 2, g + L_theta

    def hvp(self, theta: Array, v: Array) -> Array:
        """Return the derivative of the gradient of E along v, shape (P,)."""
        H_v, L = self.nonlinear_hvp(theta, v), as_linear_part(self.linear, "linear")
        return H_v if L.scalar == 0 else H_v + L.apply(v)


def weighted_dot(mass: Any, u: Array, v: Array, P: int | None = None, dtype: Any = None) -> Array:
    """Return sum(mass * u * v), a 0-d array; BLAS does it when `mass` is a number.

    Parameters
    ----------
    mass : float, array (P,) or None
        Diagonal of the inner product; None for 1.
    u, v : array (P,)
        Vectors.
    P : int, optional
        Their length, if `mass` is a number.
    dtype : dtype, optional
        Their dtype, if `mass` is a number.
    """
    if not shape_of(mass):
        real_array("v", v, {"P": real_array("u", u, {"P": P}, dtype).shape[0]}, u.dtype, of="u")
        dot = u @ v
        return dot if mass is None or mass == 1 else mass * dot
    for name, w in (("u", u), ("v", v)):
        real_array(name, w, {"P": mass.shape[0]}, mass.dtype, of="mass")
    return (mass * u) @ v
