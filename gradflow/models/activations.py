r"""Activation functions with three derivatives.

No function overflows, or loses relative accuracy, where its exact value is representable. With ``e = exp(-|z|) <= 1``,
all sigmoidal functions are products and quotients of positive numbers,

.. math::
   \sigma(z) &= \frac{e^{\min(z, 0)}}{1 + e}, \qquad \sigma'(z) = \frac{e}{(1+e)^2}, \qquad
   \sigma''(z) = -\tanh(z/2)\, \sigma'(z)                                                        \tag{1} \\
   \log(1 + e^z) &= \max(z, 0) + \log(1+e)                                                       \tag{2} \\
   \tanh'(z) &= 4 \sigma'(2z), \qquad \tanh''(z) = -2 \tanh(z) \tanh'(z)                        \tag{3} \\
   \sigma'''(z) &= \sigma'(z)\,(1 - 6 \sigma'(z)), \qquad \tanh'''(z) = \tanh'(z)\,(4 - 6 \tanh'(z))  \tag{4}

where ``1 - tanh^2`` would be noise for ``|z| > 9`` in float32. The Gaussian distribution function is
``Phi(z) = erfc(-z / sqrt 2) / 2``, which keeps its left tail, and phi is its density:

.. math::
   s = z \Phi, \qquad s' = \Phi + z \varphi, \qquad s'' = (2 - z^2) \varphi, \qquad
           s''' = (z^2 - 4) z \varphi \qquad (\text{gelu}).                                     \tag{5}

============  ============================  =====================================================
name          s(z)                          note
============  ============================  =====================================================
relu          max(z, 0)                     s'(0) = 0
leaky_relu    z for z > 0, else 0.01 z      s'(0) = 0.01
tanh          tanh z
sigmoid       1 / (1 + exp(-z))
softplus      log(1 + exp z)
gelu          z (1 + erf(z / sqrt 2)) / 2   exact; NumPy and CuPy only
silu          z sigmoid(z)
sin           sin z
erf           erf z                         NumPy and CuPy only
identity      z                             the network is linear in W for fixed a
============  ============================  =====================================================

All functions take a floating array of any shape and return an array of the same shape and dtype, which is a new one
except for `identity`. The second and third derivatives of the two functions with a kink are 0, at the kink as elsewhere.

Cost decides between equal formulas: NumPy's exp, tanh and abs are vectorised, while its ``where`` costs six exps and
its cube a hundred; scipy's erfc costs thirty, which makes gelu the slowest by far.
"""

from __future__ import annotations

from math import pi, sqrt

from ..kernels.activation import Activation
from ..kernels.special import erf, erfc
from ..namespace import Array, array_namespace
from ..refusals import one_of

__all__ = ["ACTIVATIONS", "LEAKY_SLOPE", "activation"]

LEAKY_SLOPE = 0.01
"""Slope of `leaky_relu` for z <= 0, dimensionless."""


def _zero(z: Array) -> Array:
    return array_namespace(z).zeros_like(z)


def _one(z: Array) -> Array:
    return array_namespace(z).ones_like(z)


def _relu(z: Array) -> Array:
    return array_namespace(z).maximum(z, 0.0)  # a NaN stays a NaN


def _relu_first(z: Array) -> Array:
    return array_namespace(z).astype(z > 0, z.dtype)


def _leaky_relu(z: Array) -> Array:
    return array_namespace(z).maximum(z, LEAKY_SLOPE * z)


def _leaky_relu_first(z: Array) -> Array:
    return LEAKY_SLOPE + (1 - LEAKY_SLOPE) * _relu_first(z)


def _decay(z: Array) -> Array:
    """Return e = exp(-|z|), in [0, 1]."""
    xp = array_namespace(z)
    t = xp.abs(z)
    t *= -1
    return xp.exp(t)


def _sigmoid_parts(z: Array) -> tuple[Array, Array]:
    """Return sigmoid and its derivative."""
    xp = array_namespace(z)
    e = _decay(z)
    r = 1 / (1 + e)
    e *= r
    e *= r
    r *= xp.exp(xp.minimum(z, 0.0))
    return r, e  # (1)


def _sigmoid(z: Array) -> Array:
    return _sigmoid_parts(z)[0]


def _sigmoid_first(z: Array) -> Array:
    e = _decay(z)
    d = 1 + e
    d *= d
    e /= d  # (1)
    return e


def _sigmoid_second(z: Array) -> Array:
    return -array_namespace(z).tanh(z / 2) * _sigmoid_first(z)  # (1)


def _sigmoid_third(z: Array) -> Array:
    d = _sigmoid_first(z)
    return d * (1 - 6 * d)  # (4)


def _softplus(z: Array) -> Array:
    return _relu(z) + array_namespace(z).log1p(_decay(z))  # (2)


def _tanh(z: Array) -> Array:
    return array_namespace(z).tanh(z)


def _tanh_first(z: Array) -> Array:
    d = _sigmoid_first(2 * z)
    d *= 4  # (3)
    return d


def _tanh_second(z: Array) -> Array:
    return -2 * _tanh(z) * _tanh_first(z)  # (3)


def _tanh_third(z: Array) -> Array:
    d = _tanh_first(z)
    return d * (4 - 6 * d)  # (4)


def _silu(z: Array) -> Array:
    return z * _sigmoid(z)


def _silu_first(z: Array) -> Array:
    return _silu_parts(z)[1]


def _silu_parts(z: Array) -> tuple[Array, Array]:
    sigmoid, first = _sigmoid_parts(z)
    return z * sigmoid, sigmoid + z * first


def _silu_second(z: Array) -> Array:
    return 2 * _sigmoid_first(z) + z * _sigmoid_second(z)


def _silu_third(z: Array) -> Array:
    return 3 * _sigmoid_second(z) + z * _sigmoid_third(z)


def _density(z: Array) -> Array:
    """Return phi(z)."""
    return array_namespace(z).exp(-z * z / 2) / sqrt(2 * pi)


def _distribution(z: Array) -> Array:
    """Return Phi(z)."""
    return erfc(z * -sqrt(0.5)) / 2


def _gelu(z: Array) -> Array:
    return z * _distribution(z)  # (5)


def _gelu_first(z: Array) -> Array:
    return _gelu_parts(z)[1]


def _gelu_parts(z: Array) -> tuple[Array, Array]:
    Phi = _distribution(z)
    return z * Phi, Phi + z * _density(z)  # (5)


def _gelu_second(z: Array) -> Array:
    return (2 - z * z) * _density(z)  # (5)


def _gelu_third(z: Array) -> Array:
    return (z * z - 4) * z * _density(z)  # (5)


def _sin(z: Array) -> Array:
    return array_namespace(z).sin(z)


def _cos(z: Array) -> Array:
    return array_namespace(z).cos(z)


def _minus_sin(z: Array) -> Array:
    return -array_namespace(z).sin(z)


def _minus_cos(z: Array) -> Array:
    return -array_namespace(z).cos(z)


def _erf_first(z: Array) -> Array:
    return (2 / sqrt(pi)) * array_namespace(z).exp(-z * z)


def _erf_second(z: Array) -> Array:
    return -2 * z * _erf_first(z)


def _erf_third(z: Array) -> Array:
    return (4 * z * z - 2) * _erf_first(z)


def _identity(z: Array) -> Array:
    return z


ACTIVATIONS: dict[str, Activation] = {
    s.name: s
    for s in (
        Activation("relu", _relu, _relu_first, _zero, _zero, piecewise_linear=True, leak=0.0),
        Activation("leaky_relu", _leaky_relu, _leaky_relu_first, _zero, _zero, piecewise_linear=True, leak=LEAKY_SLOPE),
        Activation("tanh", _tanh, _tanh_first, _tanh_second, _tanh_third),
        Activation("sigmoid", _sigmoid, _sigmoid_first, _sigmoid_second, _sigmoid_third, _sigmoid_parts),
        Activation("softplus", _softplus, _sigmoid, _sigmoid_first, _sigmoid_second),
        Activation("gelu", _gelu, _gelu_first, _gelu_second, _gelu_third, _gelu_parts),
        Activation("silu", _silu, _silu_first, _silu_second, _silu_third, _silu_parts),
        Activation("sin", _sin, _cos, _minus_sin, _minus_cos),
        Activation("erf", erf, _erf_first, _erf_second, _erf_third),
        Activation("identity", _identity, _one, _zero, _zero, piecewise_linear=True),
    )
}
"""All activations by name."""


def activation(name: str) -> Activation:
    """Return the activation called `name`, a key of `ACTIVATIONS`.

    Raises
    ------
    ValueError
        If the name is unknown; the message lists the known names.
    """
    return ACTIVATIONS[one_of("activation", name, ACTIVATIONS)]
