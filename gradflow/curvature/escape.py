r"""A step along negative curvature from a point of zero gradient.

Where g = 0, the step of every damped model is d = 0, with the absolute eigenvalues too: at a saddle itself, the
gradient gives no direction. Let v be the Ritz vector of the smallest eigenvalue of G
(`gradflow.curvature.eigenvalues`),

.. math:: |v|_M = 1, \qquad \lambda = (v, G v)_M < 0, \qquad (g, v)_M \le 0,                            \tag{1}

with the sign of v chosen so. The step of length s in the metric D,

.. math:: d = \frac{s}{|v|_D}\,v, \qquad -(g, d)_M - \tfrac12 (d, G d)_M \ge \frac{s^2 |\lambda|}{2 |v|_D^2} > 0,   \tag{2}

decreases the model. It takes the place of a step d_0 with

.. math:: |d_0|_D \le \epsilon^{1/2} s \quad\text{or}\quad |p_0| \le 64\,\epsilon\,|E|,                        \tag{3}

with the rounding unit epsilon and the predicted decrease ``p_0`` of ``d_0``, if lambda is negative beyond the accuracy
of the process, ``-lambda > tol max |theta_i|`` over the Ritz values, and if (2) exceeds ``p_0`` and the rounding errors
of the energy. The model does not say how far it holds along v, and the user chooses s. A small s suffices: once
``g != 0``, a method that is repelled by the saddle multiplies its distance in every step.

Source: Moré & Sorensen, Math. Program. 16 (1979) 1, for the use of a direction (1) where the gradient vanishes.
"""

from __future__ import annotations

from math import sqrt

from ..namespace import Array, array_namespace
from .eigenvalues import extreme_eigenvalues
from .model import Model
from .spectral import Step

__all__ = ["escape_step"]


def escape_step(model: Model, weights: Array | None, step: Step, length: float, noise: float) -> Step:
    """Return the step (2), or the step of the model where that is to be taken.

    Parameters
    ----------
    model : Model
        The model.
    weights : array (P,) or None
        Diagonal of D, entries > 0; None for the identity.
    step : Step
        The step ``d_0``.
    length : float
        The length s in the metric, > 0.
    noise : float
        The size of the rounding errors of the energy, >= 0.
    """
    xp, inner = array_namespace(model.theta), model.problem.inner
    eps, predicted = float(xp.finfo(model.dtype).eps), float(-step.slope - step.bend / 2)
    small = float(step.length) <= sqrt(eps) * length or abs(predicted) <= noise  # (3)
    if model.definite or not small:
        return step
    found = extreme_eigenvalues(model, "smallest")
    (value, v, _), largest = found.smallest, found.largest.value
    if not -value > (1e-6 if eps < 1e-10 else 1e-3) * max(-value, largest):  # a NaN too
        return step
    zero, slope = 0 * model.theta[0], inner(model.gradient, v)
    size = length / (inner(v, v) if weights is None else inner(v, weights * v)) ** 0.5  # (2)
    size = xp.where(slope > 0, -size, size)  # (1)
    slope, bend = size * slope, size * (size * value)
    if not float(-slope - bend / 2) > max(noise, predicted):
        return step
    return Step(
        d=size * v,
        nu=zero,
        length=zero + length,
        slope=zero + slope,
        bend=zero + bend,
        most=zero + float("inf"),
        boundary=False,
        negative=True,
        products=step.products + found.products,
    )
