r"""The energy of a two-layer network on data, in the time scale of its gradient flow.

.. math::
   E(\theta) = \tfrac12 \lambda\, (\theta, \theta)_M + F(\theta), \qquad F(\theta) = \operatorname{loss}(f_\theta(x), y),
   \qquad (u, v)_M = \mu \, u \cdot v                                                                  \tag{1}

with ``lambda`` the weight decay and ``mu = 1/m`` for the time scale "mean_field", in which the flow of one neuron stays
of order one as the width m grows (Ma, Mao & Shen, J. Comput. Phys. 505 (2024) 112911, eq. (9)), or ``mu = 1`` for
"autograd", the plain partial derivatives that automatic differentiation returns:

.. math::
   \nabla_M F = \frac1\mu \frac{\partial F}{\partial \theta}.                                           \tag{2}

Sums over samples go block by block (`gradflow.kernels.reference.BLOCK_BYTES`), so memory does not grow with N; only
`linearize` keeps the hidden layer of all samples. All quantities are dimensionless.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf
from typing import Any, Self

from ..description import describe
from ..energies.linear import Diagonal, LinearPart, as_linear_part
from ..energies.split import SplitEnergy, weighted_dot
from ..kernels import kernel_name, select
from ..namespace import Array, array_namespace, fingerprint
from ..refusals import instance, one_of, real_array, rows_of, whole_number
from .activations import activation
from .linearization import NetworkLinearization, NetworkOutputs
from .losses import Loss, ScaledResidual
from .two_layer import (
    TwoLayerNet,
    block_rows,
    blocks_of,
    forward,
    outputs,
    second_derivative,
    third_derivative,
    with_bias,
)

__all__ = ["NetworkLeastSquares", "NetworkProblem"]

TIME_SCALES = ("mean_field", "autograd")
PARTITIONS = ("layer", "neuron")


class NetworkProblem(SplitEnergy):
    """What `Regression` and `Classification` share; they supply the targets and the loss.

    Parameters
    ----------
    net : TwoLayerNet
        The network.
    x : array (N, D)
        Inputs, float32 or float64, finite. Copied.
    time_scale : {"mean_field", "autograd"}
        The inner product, equation (2).
    weight_decay : float or LinearPart
        The energy part L; a number means that multiple of the identity.

    Raises
    ------
    ValueError
        If an argument is outside what is said above.
    """

    _kind: str
    net: TwoLayerNet
    loss: str
    """Name of the loss."""
    time_scale: str
    """Name of the inner product, equation (2)."""
    mass: float
    """mu of equation (1)."""
    n_samples: int
    """N, of this batch."""
    _loss: Loss
    has_third_derivative = True
    _origin: tuple[int, Array | slice, Loss] | None = None
    """Of a batch: N of the problem it was taken from, which rows, and that problem's loss."""

    def __init__(self, net: TwoLayerNet, x: Array, time_scale: str, weight_decay: float | LinearPart) -> None:
        self.net = instance("net", net, TwoLayerNet, "a TwoLayerNet")
        self.time_scale = one_of("time_scale", time_scale, TIME_SCALES)
        real_array("x", x, {"N": None, "D": net.n_inputs}, low=-inf)
        self.mass = 1 / net.width if time_scale == "mean_field" else 1.0
        self.linear = as_linear_part(weight_decay, "weight_decay")
        self._X, self._dtype, self.n_samples = with_bias(x), x.dtype, x.shape[0]
        if isinstance(self.linear, Diagonal):
            real_array("weight_decay", self.linear.diagonal, {"P": net.n_parameters}, x.dtype)
        self._P, self._scale, self._sizes = net.n_parameters, net.scale, (net.n_inputs + 1, net.width, net.n_outputs)
        self._select()

    def _select(self) -> None:
        self._s, self._K = activation(self.net.activation), select(self.net.kernels, self._X)
        self._block = block_rows(self._K, self.net.width, self._dtype)

    def _set_targets(self, y: Array) -> None:
        """Take targets (N, k) and the loss that goes with them."""
        self._y, self._loss = y, self._loss_of(y)

    def _loss_of(self, y: Array) -> Loss:
        raise TypeError("a network problem must define its loss")

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy in another process needs: modules and functions do not travel."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_K", "_s", "_block")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._select()

    @property
    def n_outputs(self) -> int:
        """The number of outputs, k."""
        return self.net.n_outputs

    @property
    def x(self) -> Array:
        """The inputs, shape (N, D)."""
        return self._X[:, :-1]

    def inner(self, u: Array, v: Array) -> Array:
        """Return (u, v)_M = mass * sum(u * v), a 0-d array."""
        return weighted_dot(self.mass, u, v, self._P, self._dtype)

    def _parts(self) -> Iterable[tuple[Array, Loss]]:
        """Return inputs and loss, block by block."""
        if self.n_samples <= self._block:
            return ((self._X, self._loss),)
        blocks = blocks_of(self.n_samples, self._block)
        return ((self._X[rows, :], self._loss.rows(rows)) for rows in blocks)

    def nonlinear_energy(self, theta: Array) -> Array:
        """Return F(theta), a 0-d array.

        Raises
        ------
        ValueError
            If theta does not have shape (P,) and the dtype of the data, as in every method here.
        """
        real_array("theta", theta, {"P": self._P}, self._dtype)
        W, a = self._K.unpack(theta, *self._sizes)
        F: Array = 0.0
        for X, loss in self._parts():
            F = F + loss.energy(outputs(self._K.hidden(X, W, self._s), a, self._scale))
        return F

    def nonlinear_energy_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """Return F (0-d) and its gradient with respect to `inner`, shape (P,)."""
        real_array("theta", theta, {"P": self._P}, self._dtype)
        W, a = self._K.unpack(theta, *self._sizes)
        factor = self._scale / self.mass
        F, g = None, None
        for X, loss in self._parts():
            at = forward(self._K, self._s, X, W, a, self._scale)
            F_part, delta = loss.energy_and_slope(at.f)
            if factor != 1.0:
                delta = factor * delta  # (2)
            g_part = self._K.backward(X, at.S, at.marks, delta, a, self._s)  # uses up `at`
            if g is None:
                F, g = F_part, g_part
            else:
                F = F + F_part
                g += g_part
        return F, g

    def nonlinear_hvp(self, theta: Array, v: Array) -> Array:
        """Return the derivative of the gradient of F along v, shape (P,): exact, with the second derivative of s."""
        real_array("theta", theta, {"P": self._P}, self._dtype)
        real_array("v", v, {"P": self._P}, self._dtype)
        (W, a), (V, b) = self._K.unpack(theta, *self._sizes), self._K.unpack(v, *self._sizes)
        factor, H_v = self._scale / self.mass, None
        for X, loss in self._parts():
            part = second_derivative(self._K, self._s, X, W, a, V, b, loss, self._scale, factor)
            if H_v is None:
                H_v = part
            else:
                H_v += part
        return H_v

    def third_derivative(self, theta: Array, u: Array, v: Array) -> Array:
        """Return D^3 E[u, v], shape (P,): the derivative of `hvp` along both, exact, with the third derivative of s.

        The energy part has none. Of a batch it is that of the samples of the batch. Of relu and leaky_relu it is the value
        away from the kinks, as that of `hvp`.

        The cost, for one direction u = v, is 2.5 to 2.8 gradients for one output (64 or 1000 samples, width 1000 or 100), and 2
        for ten outputs and 784 inputs, where the products with W count; 0.2 to 0.8 gradients more for two directions. `hvp` costs
        1.8 and 1.6 there: best of 31 calls by turns on one core, by ``time.perf_counter``, all after a first call.

        Parameters
        ----------
        theta : array (P,)
            Parameters.
        u, v : array (P,)
            Directions; if they are one array, a product less is formed.
        """
        real_array("theta", theta, {"P": self._P}, self._dtype)
        for name, w in (("u", u), ("v", v)):
            real_array(name, w, {"P": self._P}, self._dtype)
        at, along_u = self._K.unpack(theta, *self._sizes), self._K.unpack(u, *self._sizes)
        along_v = along_u if v is u else self._K.unpack(v, *self._sizes)
        factor, total = self._scale / self.mass, None
        for X, loss in self._parts():
            part = third_derivative(self._K, self._s, X, at, along_u, along_v, loss, self._scale, factor)
            if total is None:
                total = part
            else:
                total += part
        return total

    @property
    def output_loss(self) -> Loss:
        """The loss as a function of the outputs."""
        return self._loss

    def output_blocks(self, theta: Array, rows: int | None = None) -> Iterator[tuple[NetworkOutputs, Loss]]:
        """Return an iterator over blocks of samples: their outputs with the derivative, and their part of the loss.

        Parameters
        ----------
        theta : array (P,)
            Parameters.
        rows : int, optional
            The largest number of samples in a block.

        Raises
        ------
        ValueError
            If theta does not have shape (P,) and the dtype of the data.
        """
        real_array("theta", theta, {"P": self._P}, self._dtype)
        W, a = self._K.unpack(theta, *self._sizes)
        most = self._block if rows is None else max(1, min(rows, self._block))

        def outputs_of(part: slice) -> NetworkOutputs:
            X = self._X[part, :]
            at = forward(self._K, self._s, X, W, a, self._scale)
            f = array_namespace(at.f).reshape(at.f, (-1,))
            return NetworkOutputs(self._K, self._s, X, a, at, f, self._scale, self.mass)

        return ((outputs_of(part), self._loss.rows(part)) for part in blocks_of(self.n_samples, most))

    def parameter_blocks(self, kind: str) -> list[Array]:
        """Return a partition of the parameters: int arrays of shape (b, s), each b blocks of s indices.

        Parameters
        ----------
        kind : {"layer", "neuron"}
            W and a; or, for each hidden unit, its column of W and its row of a.

        Raises
        ------
        ValueError
            If the kind is unknown.
        """
        n, m, k = self._sizes
        xp = array_namespace(self._X)
        indices = xp.arange(self._P)
        if one_of("blocks", kind, PARTITIONS) == "layer":
            return [indices[None, : n * m], indices[None, n * m :]]
        W, a = xp.reshape(indices[: n * m], (n, m)), xp.reshape(indices[n * m :], (m, k))
        return [xp.concat([W.T, a], axis=1)]

    def batch(self, indices: Array | slice) -> Self:
        """Return the same problem on some of its samples.

        A slice shares memory with this problem, an array copies rows. The method raises ValueError also for the loss
        "relative" if the targets of the batch vanish.
        """
        return self._of(rows_of(indices, self.n_samples, self._X))

    def batches(self, order: Array, size: int) -> Iterator[Self]:
        """Yield `batch` of each run of `size` samples in an order, which is checked once."""
        return map(self._of, runs(order, size, self.n_samples, self._X))

    def _of(self, rows: Array | slice) -> Self:
        """Return the problem of checked rows."""
        X = take(self._X, rows)
        part = self._with(_X=X, n_samples=X.shape[0], _origin=(self.n_samples, rows, self._loss))
        part._set_targets(take(self._y, rows))
        return part

    def describe(self) -> dict[str, Any]:
        """Return what identifies this problem in a stored result, as plain values for JSON."""
        scalar = self.linear.scalar
        return {
            "problem": self._kind,
            "loss": self.loss,
            "time_scale": self.time_scale,
            "mass": self.mass,
            "weight_decay": scalar if scalar is not None else describe(self.linear),
            "n_samples": self.n_samples,
            "data": fingerprint(self._X, self._y),
            "dtype": "float32" if "32" in str(self._dtype) else "float64",
            "kernels": kernel_name(self._K),
            **self.net.describe(),
        }


class NetworkLeastSquares(NetworkProblem):
    """A network problem whose loss is half a square: it can be linearised, and its residuals kept per sample."""

    _loss: ScaledResidual
    _origin: tuple[int, Array | slice, ScaledResidual] | None = None

    @property
    def residual_scale(self) -> float:
        """The factor c of the residual ``q = c (f - y)`` of this batch."""
        return self._loss.c

    def linearize(self, theta: Array) -> NetworkLinearization:
        """Return residual, products with J and J^*, and the Gram matrix at theta: one forward pass.

        Raises
        ------
        ValueError
            If theta does not have shape (P,) and the dtype of the data.
        """
        real_array("theta", theta, {"P": self._P}, self._dtype)
        W, a = self._K.unpack(theta, *self._sizes)
        at = forward(self._K, self._s, self._X, W, a, self._scale)
        q, factor = self._loss.residual(at.f), self._loss.c * self._scale
        return NetworkLinearization(self._K, self._s, self._X, a, at, q, factor, self.mass)

    def gather(self, q_full: Array) -> Array:
        """Return this batch's rows (N k,) of `q_full` (N_full k,), sample-major, in the scale of the batch."""
        if self._origin is None:
            real_array("q_full", q_full, {"N k": self.n_samples * self.n_outputs}, self._dtype)
            return q_full
        n_full, rows, full_loss = self._origin
        real_array("q_full", q_full, {"N k": n_full * self.n_outputs}, self._dtype)
        reshape = array_namespace(q_full).reshape
        q = reshape(take(reshape(q_full, (n_full, -1)), rows), (-1,))
        return (self._loss.c / full_loss.c) * q

    def scatter(self, q_full: Array, q_batch: Array) -> Array:
        """Return a copy of `q_full` (N_full k,), in its scale, with this batch's rows from `q_batch` (N k,)."""
        k = self.n_outputs
        real_array("q_batch", q_batch, {"N k": self.n_samples * k}, self._dtype)
        if self._origin is None:
            real_array("q_full", q_full, {"N k": self.n_samples * k}, self._dtype)
            return q_batch
        n_full, rows, full_loss = self._origin
        real_array("q_full", q_full, {"N k": n_full * k}, self._dtype)
        xp = array_namespace(q_full)
        full, new = xp.reshape(q_full, (n_full, k)), xp.reshape((full_loss.c / self._loss.c) * q_batch, (-1, k))
        rows = xp.arange(n_full)[rows] if isinstance(rows, slice) else rows
        return xp.reshape(self._K.scatter_rows(full, rows, new), (-1,))


def runs(order: Array, size: int, N: int, like: Array) -> Iterator[Array]:
    """Yield the rows of each batch of `size` samples of an order (B,), which is checked once; `like` is the data."""
    rows: Any = rows_of(order, N, like)
    rows = array_namespace(like).arange(N)[rows] if isinstance(rows, slice) else rows
    size = whole_number("size", size, 1)
    return (rows[i : i + size] for i in range(0, rows.shape[0] - size + 1, size))


def take(a: Array, rows: Array | slice) -> Array:
    """Return the rows of an array (N, ...)."""
    return a[rows, ...] if isinstance(rows, slice) else array_namespace(a).take(a, rows, axis=0)
