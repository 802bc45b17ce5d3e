r"""The two-layer network and its derivatives by hand.

.. math::
   f(x) = \kappa \, a^T s(W^T [x; 1]), \qquad
   Z = X W, \quad S = s(Z), \quad f = \kappa\, S a                                                     \tag{1}

for N samples, with the constant input in the last column of X, so that the last row of W is the bias. The factor is
``1/m`` ("mean_field"), ``1`` ("standard") or ``1/sqrt(m)`` ("ntk"). For an energy E(f) with slope
``delta = dE/df`` the partial derivatives are

.. math::
   \frac{\partial E}{\partial W} = \kappa X^T G, \qquad \frac{\partial E}{\partial a} = \kappa S^T \delta,
   \qquad G = (\delta a^T) \circ s'(Z)                                                                 \tag{2}

and along a direction (V, b) the outputs, and with them (2), change by

.. math::
   \dot S &= s'(Z) \circ (X V), \qquad \dot f = \kappa (\dot S a + S b), \qquad
   \dot\delta = (\partial^2 E/\partial f^2) \dot f                                                     \tag{3} \\
   \dot G &= (\dot\delta a^T + \delta b^T) \circ s'(Z) + (\delta a^T) \circ s''(Z) \circ (X V)           \tag{4} \\
   \frac{\mathrm{d}}{\mathrm{d}\epsilon}\frac{\partial E}{\partial W} &= \kappa X^T \dot G, \qquad
   \frac{\mathrm{d}}{\mathrm{d}\epsilon}\frac{\partial E}{\partial a} = \kappa (\dot S^T \delta + S^T \dot\delta)  \tag{5}

Along two directions u and v, with an index for the derivative along each,

.. math::
   S_{uv} &= s''(Z) \circ (X U) \circ (X V), \qquad
   f_{uv} = \kappa (S_{uv} a + S_u a_v + S_v a_u), \qquad
   \delta_{uv} = \frac{\partial^2 E}{\partial f^2} f_{uv} + \frac{\partial^3 E}{\partial f^3}[f_u, f_v]  \tag{6} \\
   \Bigl(\frac{\partial E}{\partial W}\Bigr)_{uv} &= \kappa X^T G_{uv}, \qquad
   \Bigl(\frac{\partial E}{\partial a}\Bigr)_{uv} = \kappa (S_{uv}^T \delta + S_u^T \delta_v + S_v^T \delta_u + S^T \delta_{uv})
                                                                                                     \tag{7}

with ``G_uv`` of `gradflow.kernels.reference` (8), which needs the third derivative of s.

=========  ============================  ==============
symbol     code                          shape
=========  ============================  ==============
X          X                             (N, D+1)
W, a       W, a                          (D+1, m), (m, k)
V, b       V, b                          (D+1, m), (m, k)
Z, S, G    Z, S, G                       (N, m)
f, delta   f, delta                      (N, k)
kappa      scale                         number
=========  ============================  ==============

The parameters travel as one vector theta, W row by row and then a row by row. The mean-field factor and its time
scale: Z. Ma, Z. Mao, J. Shen, "Efficient and stable SAV-based methods for gradient flows arising from deep learning",
J. Comput. Phys. 505 (2024) 112911, eq. (9).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from typing import Any, NamedTuple

import numpy as np

from ..kernels import KERNELS, Kernels, reference, select
from ..kernels.activation import Activation
from ..namespace import Array, array_namespace
from ..refusals import float_dtype, generator, one_of, real_array, whole_number
from .activations import activation
from .losses import Loss

__all__ = ["TwoLayerNet"]

SCALINGS = ("mean_field", "standard", "ntk")
DISTRIBUTIONS = ("normal", "he", "he_fan_out", "uniform")


class Forward(NamedTuple):
    """One evaluation of the network on a block of samples, equation (1), kept for its derivatives."""

    S: Array
    """Hidden values (N, m)."""
    marks: Array
    """What the kernels know s'(Z) from, (N, m)."""
    f: Array
    """Outputs (N, k)."""


def with_bias(x: Array) -> Array:
    """Return X, the inputs (N, D) with a last column of ones, shape (N, D+1)."""
    xp = array_namespace(x)
    return xp.concat([x, xp.ones_like(x[:, :1])], axis=1)


def outputs(S: Array, a: Array, scale: float) -> Array:
    """Return f = scale * S a, shape (N, k)."""
    f = S @ a
    if scale != 1.0:
        f *= scale  # (1)
    return f


def forward(K: Kernels, s: Activation, X: Array, W: Array, a: Array, scale: float) -> Forward:
    """Return S, the marks of the slopes, and f, equation (1)."""
    S, marks = K.hidden_and_marks(X, W, s)
    return Forward(S, marks, outputs(S, a, scale))


def second_derivative(
    K: Kernels, s: Activation, X: Array, W: Array, a: Array, V: Array, b: Array, loss: Loss, scale: float, factor: float
) -> Array:
    """Return (5) as one vector (P,), with `factor` (kappa over a constant mass) in the place of its outer kappa."""
    Z, Z_dot = X @ W, X @ V
    S, slope = s.value_and_first(Z)
    S_dot = slope * Z_dot
    f, f_dot = outputs(S, a, scale), scale * (S_dot @ a + S @ b)  # (1), (3)
    delta, delta_dot = loss.energy_and_slope(f)[1], loss.curvature(f, f_dot)  # (3)
    if factor != 1.0:
        delta, delta_dot = factor * delta, factor * delta_dot
    slope_dot = None if s.piecewise_linear else s.second(Z) * Z_dot
    G_dot = K.tangent_sensitivity(delta, delta_dot, a, b, slope, slope_dot)  # (4)
    return K.tangent_gradient(X, G_dot, S, S_dot, delta, delta_dot)  # (5)


def third_derivative(
    K: Kernels,
    s: Activation,
    X: Array,
    parameters: tuple[Array, Array],
    u: tuple[Array, Array],
    v: tuple[Array, Array],
    loss: Loss,
    scale: float,
    factor: float,
) -> Array:
    """Return (7) as one vector (P,), with `factor` (kappa over a constant mass) in the place of its outer kappa."""
    (W, a), (U, a_u), (V, a_v), xp = parameters, u, v, array_namespace(X)
    Z, Z_u = X @ W, X @ U
    S, slope = s.value_and_first(Z)
    S_u = slope * Z_u
    Z_v = Z_u if v is u else X @ V
    S_v = S_u if v is u else slope * Z_v
    slope_u = slope_v = slope_uv = None
    S_uv = xp.zeros_like(S)
    if not s.piecewise_linear:
        second = s.second(Z)
        slope_u, slope_v = second * Z_u, second * Z_v
        S_uv, slope_uv = slope_u * Z_v, s.third(Z) * Z_u * Z_v
    f, f_u, f_v = outputs(S, a, scale), scale * (S_u @ a + S @ a_u), scale * (S_v @ a + S @ a_v)
    f_uv = scale * (S_uv @ a + S_u @ a_v + S_v @ a_u)  # (6)
    d, d_u, d_v = loss.energy_and_slope(f)[1], loss.curvature(f, f_u), loss.curvature(f, f_v)
    d_uv = loss.curvature(f, f_uv) + loss.third_derivative(f, f_u, f_v)  # (6)
    if factor != 1.0:
        d, d_u, d_v, d_uv = factor * d, factor * d_u, factor * d_v, factor * d_uv
    G_uv = K.second_tangent_sensitivity((d, d_u, d_v, d_uv), (a, a_u, a_v), (slope, slope_u, slope_v, slope_uv))
    of_a = S_uv.T @ d + S_u.T @ d_v + S_v.T @ d_u + S.T @ d_uv
    return xp.concat([xp.reshape(X.T @ G_uv, (-1,)), xp.reshape(of_a, (-1,))])  # (7)


def block_rows(K: Kernels, width: int, dtype: Any) -> int:
    """Return how many samples a block of the sums over samples has: its hidden values fill ``K.BLOCK_BYTES``."""
    return max(int(K.BLOCK_ROWS), int(K.BLOCK_BYTES) // (width * (4 if "32" in str(dtype) else 8)))


def blocks_of(N: int, rows: int) -> Iterator[slice]:
    """Yield slices of at most `rows` samples that make up N."""
    return (slice(lo, min(lo + rows, N)) for lo in range(0, N, rows))


@dataclass(frozen=True)
class TwoLayerNet:
    """The network f(x) = scale * a^T s(W^T [x; 1]); holds no parameters.

    Parameters
    ----------
    n_inputs, width, n_outputs : int
        D, m and k, each >= 1.
    activation : str
        A name in `gradflow.models.activations`: relu, leaky_relu, tanh, sigmoid, softplus, gelu, silu, sin, erf,
        identity.
    scaling : {"mean_field", "standard", "ntk"}
        The factor 1/m, 1 or 1/sqrt(m).
    kernels : {"auto", "reference", "numba", "cupy"}
        Which implementation of the hot loops; see `gradflow.kernels`.

    Raises
    ------
    ValueError
        If a size is not a whole number >= 1 or a name is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> net = TwoLayerNet(2, 100, activation="tanh")
    >>> theta = net.init(0)
    >>> theta.shape, net(theta, np.zeros((5, 2))).shape
    ((400,), (5, 1))
    """

    n_inputs: int
    width: int
    n_outputs: int = 1
    activation: str = "relu"
    scaling: str = "mean_field"
    kernels: str = "auto"

    def __post_init__(self) -> None:
        for name in ("n_inputs", "width", "n_outputs"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), 1))
        activation(self.activation)
        one_of("scaling", self.scaling, SCALINGS)
        one_of("kernels", self.kernels, KERNELS)

    @property
    def n_parameters(self) -> int:
        """P = (D + 1) m + m k."""
        return (self.n_inputs + 1 + self.n_outputs) * self.width

    @property
    def scale(self) -> float:
        """The factor kappa of equation (1), dimensionless."""
        return {"mean_field": 1 / self.width, "standard": 1.0, "ntk": 1 / sqrt(self.width)}[self.scaling]

    def init(self, seed: int | np.random.Generator, *, dtype: str = "float64", distribution: str = "normal") -> Array:
        """Return random parameters, a NumPy array of shape (P,).

        Parameters
        ----------
        seed : int or numpy.random.Generator
            The same int gives the same parameters in both precisions: float32 ones are float64 draws, rounded.
        dtype : {"float64", "float32"}
            Data type of the result.
        distribution : {"normal", "he", "he_fan_out", "uniform"}
            All entries N(0, 1); or W ~ N(0, 2 / (D + 1)) with a ~ N(0, 2 / m) for the standard scaling and N(0, 1)
            for the others; or W ~ N(0, 2 / m) and a ~ N(0, 2 / k), which is what ``kaiming_normal_`` of PyTorch gives
            matrices of the shapes (D + 1, m) and (m, k), whose second length it takes for the number of inputs; or all
            entries uniform in [-1, 1).

        Raises
        ------
        ValueError
            If the seed is neither a whole number >= 0 nor a Generator, or a name is unknown.
        """
        rng, cast = generator(seed), float_dtype(dtype)
        if one_of("distribution", distribution, DISTRIBUTIONS) == "uniform":
            return rng.uniform(-1.0, 1.0, self.n_parameters).astype(cast)
        theta = rng.standard_normal(self.n_parameters)
        if distribution == "he":
            W, a = self.unpack(theta)  # views
            W *= sqrt(2 / (self.n_inputs + 1))
            if self.scaling == "standard":
                a *= sqrt(2 / self.width)
        elif distribution == "he_fan_out":
            W, a = self.unpack(theta)
            W *= sqrt(2 / self.width)
            a *= sqrt(2 / self.n_outputs)
        return theta.astype(cast)

    def unpack(self, theta: Array) -> tuple[Array, Array]:
        """Return W (D+1, m) and a (m, k), views of theta (P,) where the library has views.

        Raises
        ------
        ValueError
            If theta is not float32 or float64, or does not have shape (P,).
        """
        real_array("theta", theta, {"P": self.n_parameters})
        return reference.unpack(theta, self.n_inputs + 1, self.width, self.n_outputs)

    def __call__(self, theta: Array, x: Array) -> Array:
        """Return the outputs, shape (N, k), for inputs x of shape (N, D) and the dtype of theta (P,).

        Parameters
        ----------
        theta : array (P,)
            Parameters.
        x : array (N, D)
            Inputs.

        Raises
        ------
        ValueError
            If theta or x has the wrong shape, or their dtypes differ.
        """
        W, a = self.unpack(theta)
        real_array("x", x, {"N": None, "D": self.n_inputs}, theta.dtype, of="theta")
        K = select(self.kernels, x)
        X, s, rows = with_bias(x), activation(self.activation), block_rows(K, self.width, x.dtype)
        blocks = [outputs(K.hidden(X[part, :], W, s), a, self.scale) for part in blocks_of(X.shape[0], rows)]
        return blocks[0] if len(blocks) == 1 else array_namespace(x).concat(blocks)

    def describe(self) -> dict[str, Any]:
        """Return what defines this network, as plain values for JSON."""
        return {
            "n_inputs": self.n_inputs,
            "width": self.width,
            "n_outputs": self.n_outputs,
            "activation": self.activation,
            "scaling": self.scaling,
            "n_parameters": self.n_parameters,
        }
