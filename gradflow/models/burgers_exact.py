r"""The solution of Burgers' equation with the sine as its initial value, by which a trained network is measured.

The equation is :math:`u_t + u u_x = \nu u_{xx}` on (0, 1] x (-1, 1), :math:`u(0, x) = -\sin \pi x`, u = 0 at both walls. On the whole
line the initial value is odd about -1, 0 and 1, and the Cole-Hopf transform gives

.. math::
   u(t, x) = -\frac{\int \sin(\pi (x - \eta))\, e^{G(\eta)}\, \mathrm{d}\eta}{\int e^{G(\eta)}\, \mathrm{d}\eta}, \qquad
   G(\eta) = -\frac{\cos(\pi (x - \eta))}{2 \pi \nu} - \frac{\eta^2}{4 \nu t}.                                      \tag{1}

Source: J. D. Cole, Quart. Appl. Math. 9 (1951) 225; C. Basdevant et al., Comput. Fluids 14 (1986) 23, for the steepest slope by which
(1) is tested.
"""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..refusals import real_number, whole_number

__all__ = ["burgers_solution"]

NODES = 128
"""Of the Gauss-Hermite rule: with twice as many, (1) at nu = 0.01 / pi, t <= 1 changes by rounding errors only."""


def burgers_solution(t: Any, x: Any, nu: float, nodes: int = NODES) -> NDArray[np.float64]:
    """Return u(t, x) of equation (1), of the shape that t and x broadcast to.

    Parameters
    ----------
    t, x : array or float
        Times >= 0, and places, in units of the equation.
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
    whole_number("nodes", nodes, 1)
    t, x = np.broadcast_arrays(np.asarray(t, dtype=np.float64), np.asarray(x, dtype=np.float64))
    if not bool(np.all(t >= 0)):
        raise ValueError(f"t must be >= 0, got {float(np.min(t))}")
    from scipy.special import roots_hermite  # here, so that who imports the models does not wait for SciPy

    xi, weight = roots_hermite(nodes)
    y = x[..., None] - 2 * np.sqrt(nu * t[..., None]) * xi
    with np.errstate(divide="ignore"):  # the outermost weights of many nodes underflow to 0
        exponent = np.log(weight) - np.cos(pi * y) / (2 * pi * nu)
    share = np.exp(exponent - exponent.max(axis=-1, keepdims=True))  # so that no viscosity overflows
    return np.asarray(-np.sum(share * np.sin(pi * y), axis=-1) / np.sum(share, axis=-1))  # (1)
