r"""Inner products in which published SAV codes update r, beside the one their gradient belongs to.

In mean-field time a network of m neurons moves by ``v = -m`` times the partial derivatives of E, the gradient with respect to

.. math:: (u, v)_M = \tfrac1m\, u \cdot v, \qquad \frac{dE}{dt} = -(g, g)_M, \quad g = m\,\partial E.            \tag{1}

The update of r needs dE/dt, so this product and no other. A code that takes the norm of what automatic differentiation returns,
or the plain norm of its velocity, has instead

.. math::
   (u, v) = \tfrac1{m^2}\, u \cdot v: \quad (g, g) = |\partial E|^2, \qquad\qquad
   (u, v) = u \cdot v: \quad (g, g) = m^2 |\partial E|^2.                                                     \tag{2}

In the first of (2) what r loses in a step is m times too small: where that is next to nothing, SAV without stabilization is explicit
Euler by another name. In the second it is m times too large, and r is soon lost unless the steps are very short. With the time of automatic differentiation, ``v = -`` the partial
derivatives, all three are one.
"""

from __future__ import annotations

from typing import Any

from ...models import Regression
from ...namespace import Array

__all__ = ["PRODUCTS", "InconsistentProduct"]

PRODUCTS = ("consistent", "partial_derivatives", "velocity")
"""The product of equation (1), and those of (2)."""


class InconsistentProduct(Regression):
    """A regression whose inner product is one of (2): not the one its gradient belongs to.

    Parameters
    ----------
    problem : Regression
        What to copy.
    product : {"partial_derivatives", "velocity"}
        The first or the second of (2).

    Raises
    ------
    ValueError
        If the product has another name.
    """

    def __init__(self, problem: Regression, product: str) -> None:
        if product not in PRODUCTS[1:]:
            raise ValueError(f"product must be one of {', '.join(PRODUCTS[1:])}; got {product!r}")
        super().__init__(problem.net, problem.x, problem.y, loss=problem.loss, time_scale=problem.time_scale)
        self.product = product
        self.weight = float(self.mass) ** 2 if product == "partial_derivatives" else 1.0

    def inner(self, u: Array, v: Array) -> Array:
        """Return (u, v) of equation (2), 0-d."""
        return (u @ v) * self.weight

    def describe(self) -> dict[str, Any]:
        """Return what identifies this problem in a stored result."""
        return {**super().describe(), "inner": f"of the {self.product}, inconsistent with the gradient"}
