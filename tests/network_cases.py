"""A second implementation of the two-layer network and its losses: plain, complex-valued, sharing no code."""

from itertools import product
from typing import NamedTuple

import numpy as np
import scipy.special

from gradflow.models import Classification, Regression, TwoLayerNet

ACTIVATION_NAMES = (
    "relu", "leaky_relu", "tanh", "sigmoid", "softplus", "gelu", "silu", "sin", "erf", "identity",
)  # fmt: skip
REGRESSION = ("half_sum", "mse", "relative")
CLASSIFICATION = ("cross_entropy", "squared_onehot")
SCALINGS = ("mean_field", "standard", "ntk")
TIME_SCALES = ("mean_field", "autograd")
LAWS = [
    (activation, k, loss)
    for activation, k, loss in product(ACTIVATION_NAMES, (1, 3, 10), REGRESSION + CLASSIFICATION)
    if k > 1 or loss in REGRESSION
]

COMPLEX = {
    "relu": lambda z: np.where(z.real > 0, z, 0),
    "leaky_relu": lambda z: np.where(z.real > 0, z, z / 100),
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "softplus": lambda z: np.log(1 + np.exp(z)),
    "gelu": lambda z: z * (1 + scipy.special.erf(z / np.sqrt(2))) / 2,
    "silu": lambda z: z / (1 + np.exp(-z)),
    "sin": np.sin,
    "erf": scipy.special.erf,
    "identity": lambda z: z,
}

COMPLEX_FIRST = {
    "relu": lambda z: np.where(z.real > 0, 1.0, 0.0),
    "leaky_relu": lambda z: np.where(z.real > 0, 1.0, 0.01),
    "tanh": lambda z: 1 - np.tanh(z) ** 2,
    "sigmoid": lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2,
    "softplus": COMPLEX["sigmoid"],
    "gelu": lambda z: (1 + scipy.special.erf(z / np.sqrt(2))) / 2 + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi),
    "silu": lambda z: (1 + np.exp(-z) * (1 + z)) / (1 + np.exp(-z)) ** 2,
    "sin": np.cos,
    "erf": lambda z: 2 * np.exp(-(z**2)) / np.sqrt(np.pi),
    "identity": np.ones_like,
}


class NetworkCase(NamedTuple):
    problem: Regression | Classification
    theta: np.ndarray
    x: np.ndarray
    y: np.ndarray
    """Targets (N, k), or labels (N,)."""

    def outputs(self, theta):
        """Return f (N, k), for real or complex theta."""
        net = self.problem.net
        D, m, k = net.n_inputs, net.width, net.n_outputs
        W, bias = theta[: D * m].reshape(D, m), theta[D * m : (D + 1) * m]
        a = theta[(D + 1) * m :].reshape(m, k)
        scale = {"mean_field": 1 / m, "standard": 1.0, "ntk": m**-0.5}[net.scaling]
        return scale * (COMPLEX[net.activation](self.x @ W + bias) @ a)

    def residual(self, theta):
        """Return the residual (N k,) whose half square is the loss."""
        f = self.outputs(theta)
        y = np.eye(f.shape[1])[self.y] if self.y.ndim == 1 else self.y
        square = {"half_sum": 1.0, "relative": 2 / np.sum(y**2)}.get(self.problem.loss, 2 / y.size)
        return (np.sqrt(square) * (f - y)).reshape(-1)

    def energy(self, theta):
        """Return the loss, analytic in theta: squares without absolute values."""
        if self.problem.loss != "cross_entropy":
            return np.sum(self.residual(theta) ** 2) / 2
        f = self.outputs(theta)
        return np.mean(np.log(np.sum(np.exp(f), axis=1)) - f[np.arange(len(f)), self.y])

    def gradient(self, theta):
        """Return the gradient in the problem's inner product, analytic in theta: the chain rule, sample by sample."""
        net = self.problem.net
        D, m, k = net.n_inputs, net.width, net.n_outputs
        W, a = theta[: (D + 1) * m].reshape(D + 1, m), theta[(D + 1) * m :].reshape(m, k)
        f, N = self.outputs(theta), len(self.x)
        factor = {"mean_field": 1 / m, "standard": 1.0, "ntk": m**-0.5}[net.scaling]
        factor *= m if self.problem.time_scale == "mean_field" else 1
        if self.problem.loss == "cross_entropy":
            slopes = (np.exp(f) / np.exp(f).sum(axis=1)[:, None] - np.eye(k)[self.y]) / N
        else:
            y = np.eye(k)[self.y] if self.y.ndim == 1 else self.y
            slopes = {"half_sum": 1.0, "relative": 2 / np.sum(y**2)}.get(self.problem.loss, 2 / y.size) * (f - y)
        g_W, g_a = np.zeros_like(W), np.zeros_like(a)
        for x, slope in zip(self.x, slopes, strict=True):
            z = np.append(x, 1.0) @ W
            g_a += factor * np.outer(COMPLEX[net.activation](z), slope)
            g_W += factor * np.outer(np.append(x, 1.0), COMPLEX_FIRST[net.activation](z) * (a @ slope))
        return np.concatenate([g_W.reshape(-1), g_a.reshape(-1)])


def complex_step(function, theta, direction):
    """Return the derivative of an analytic function along a direction, to round-off."""
    h = 1e-100
    return function(theta + 1j * h * direction).imag / h


def network_case(
    activation="tanh", k=1, loss="mse", scaling="mean_field", time_scale="mean_field", *,
    D=2, m=4, N=5, seed=0, dtype="float64", kernels="auto", weight_decay=0.0,
):  # fmt: skip
    rng = np.random.default_rng(seed)
    net = TwoLayerNet(D, m, k, activation=activation, scaling=scaling, kernels=kernels)
    x = rng.standard_normal((N, D)).astype(dtype)
    if loss in CLASSIFICATION:
        y = rng.integers(0, k, N)
        problem = Classification(net, x, y, loss, time_scale, weight_decay)
    else:
        y = rng.standard_normal((N, k)).astype(dtype)
        problem = Regression(net, x, y, loss, time_scale, weight_decay)
    return NetworkCase(problem, net.init(rng, dtype=dtype), x, y)


def scales(activation, k, loss, **kwargs):
    """Yield a case for every scaling and time scale."""
    for i, (scaling, time_scale) in enumerate(product(SCALINGS, TIME_SCALES)):
        yield network_case(activation, k, loss, scaling, time_scale, seed=i, **kwargs)
