r"""The solution of Burgers' equation that starts from a sine, by the Cole-Hopf transform.

For :math:`u_t + u u_x = \nu u_{xx}` with :math:`u(0, x) = -\sin \pi x` on the whole line (so that u is odd about x = -1, 0, 1, and
vanishes there) the transform :math:`u = -2\nu\, \partial_x \log\varphi` makes a heat equation of it, and

.. math::
   u(t, x) = -\frac{\int \sin(\pi (x - \eta))\, e^{G(\eta)}\, \mathrm{d}\eta}{\int e^{G(\eta)}\, \mathrm{d}\eta}, \qquad
   G(\eta) = -\frac{\cos(\pi (x - \eta))}{2 \pi \nu} - \frac{\eta^2}{4 \nu t}.                              \tag{1}

With :math:`\eta = 2 \sqrt{\nu t}\, \xi` both integrals have the weight :math:`e^{-\xi^2}`, and the Gauss-Hermite rule of n nodes
converges faster than any power of n. The exponents are shifted by their largest, so that no viscosity overflows.

Source: J. D. Cole, Quart. Appl. Math. 9 (1951) 225; C. Basdevant et al., Comput. Fluids 14 (1986) 23, who give the steepest slope
for nu = 0.01 / pi: 152.00516, at x = 0 and t = 1.6037 / pi.
"""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np

from ...refusals import real_number

__all__ = ["burgers_solution"]

NODES = 128
"""Of the rule: with twice as many, the solution at nu = 0.01 / pi, t <= 1 changes by rounding errors only."""


def burgers_solution(
    t: np.ndarray[Any, Any] | float, x: np.ndarray[Any, Any] | float, nu: float, nodes: int = NODES
) -> np.ndarray[Any, Any]:
    """Return u(t, x) of equation (1), float64, of the shape that t and x broadcast to.

    Parameters
    ----------
    t : array or float
        Times >= 0, of any shape.
    x : array or float
        Places, of a shape that fits.
    nu : float
        Viscosity > 0, in units of x^2 / t.
    nodes : int
        Of the Gauss-Hermite rule, >= 1.

    Raises
    ------
    ValueError
        If the viscosity or the number of nodes is not positive, or a time is negative.
    """
    real_number("nu", nu, 0, open_low=True)
    real_number("nodes", nodes, 0, open_low=True)
    t, x = np.broadcast_arrays(np.asarray(t, dtype=np.float64), np.asarray(x, dtype=np.float64))
    if not bool(np.all(t >= 0)):
        raise ValueError(f"t must be >= 0, got {float(np.min(t))}")
    from scipy.special import roots_hermite

    xi, weight = roots_hermite(nodes)
    y = x[..., None] - 2 * np.sqrt(nu * t[..., None]) * xi
    with np.errstate(divide="ignore"):  # the outermost weights of many nodes underflow to 0
        weight = np.log(weight)
    exponent = weight - np.cos(pi * y) / (2 * pi * nu)
    share = np.exp(exponent - exponent.max(axis=-1, keepdims=True))
    return np.asarray(-np.sum(share * np.sin(pi * y), axis=-1) / np.sum(share, axis=-1))  # (1)
