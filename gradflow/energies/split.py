"""An energy from its parts: a linear one and the rest."""

from __future__ import annotations

from ..namespace import Array
from .linear import LinearPart, Zero

__all__ = ["SplitEnergy", "weighted_dot"]


class SplitEnergy:
    """A `Problem` from its parts, equation (2): derive from it, and define `inner` and the ``nonlinear_*`` methods.

    `energy`, `energy_and_gradient` and `hvp` add the energy part. Schemes without second derivatives need no `nonlinear_hvp`.
    """

    linear: LinearPart = Zero()
    """The energy part L, self-adjoint in `inner`; a class or an instance may set another one."""

    def inner(self, u: Array, v: Array) -> Array:
        """Return (u, v)_M, a 0-d array.

        Raises
        ------
        TypeError
            Unless the class defines it.
        """
        raise TypeError("a problem must define its inner product")

    def nonlinear_energy(self, theta: Array) -> Array:
        """Return F(theta), a 0-d array.

        Parameters
        ----------
        theta : array (P,)
            Parameters.

        Returns
        -------
        0-d array
            Of the dtype of theta.

        Raises
        ------
        TypeError
            Unless the class defines it.
        """
        raise TypeError("a problem must define nonlinear_energy")

    def nonlinear_energy_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """Return F (0-d) and its gradient with respect to `inner`, shape (P,).

        Parameters
        ----------
        theta : array (P,)
            Parameters.

        Returns
        -------
        tuple of arrays
            F, 0-d, and the gradient g, (P,), with (g, v)_M the derivative of F along v; of the dtype of theta.

        Raises
        ------
        TypeError
            Unless the class defines it.
        """
        raise TypeError("a problem must define nonlinear_energy_and_gradient")

    def nonlinear_hvp(self, theta: Array, v: Array) -> Array:
        """Return the derivative of the gradient of F along v, shape (P,).

        Parameters
        ----------
        theta : array (P,)
            Parameters.
        v : array (P,)
            Direction.

        Returns
        -------
        array (P,)
            Of the dtype of theta.

        Raises
        ------
        TypeError
            Unless the class defines it.
        """
        raise TypeError("a problem must define nonlinear_hvp")

    def energy(self, theta: Array) -> Array:
        """Return E(theta), a 0-d array."""
        F = self.nonlinear_energy(theta)
        if self.linear.scalar == 0:
            return F
        return F + self.inner(theta, self.linear.apply(theta)) / 2

    def energy_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """Return E (0-d) and its gradient with respect to `inner`, shape (P,)."""
        F, g = self.nonlinear_energy_and_gradient(theta)
        if self.linear.scalar == 0:
            return F, g
        L_theta = self.linear.apply(theta)
        return F + self.inner(theta, L_theta) / 2, g + L_theta

    def hvp(self, theta: Array, v: Array) -> Array:
        """Return the derivative of the gradient of E along v, shape (P,)."""
        H_v = self.nonlinear_hvp(theta, v)
        return H_v if self.linear.scalar == 0 else H_v + self.linear.apply(v)


def weighted_dot(mass: Array | float | None, u: Array, v: Array) -> Array:
    """Return sum(mass * u * v), a 0-d array; BLAS does it when `mass` is a number.

    Parameters
    ----------
    mass : float, array (P,) or None
        Diagonal of the inner product; None for 1.
    u, v : array (P,)
        Vectors.
    """
    if mass is None or isinstance(mass, (int, float)):
        dot = u @ v
        return dot if mass is None or mass == 1 else mass * dot
    return (mass * u) @ v
