r"""Burgers' equation as a least-squares problem in the parameters of a two-layer network.

.. math::
   u_t + u u_x = \nu u_{xx}, \quad (t, x) \in (0, 1] \times (-1, 1), \qquad u(0, x) = u_0(x), \qquad u(t, \pm 1) = 0.
   \tag{1}

A network f(t, x) is trained on the mean squares of what it leaves of each of the three,

.. math::
   E = \omega_1\, \overline{(f_t + f f_x - \nu f_{xx})^2} + \omega_2\, \overline{(f(0, \cdot) - u_0)^2}
       + \omega_3\, \overline{f(\cdot, \pm 1)^2} = \tfrac12 |q|^2,                                                \tag{2}

the means being over points inside, at t = 0 and at the two walls; an entry of q is ``sqrt(2 omega_j / N_j)`` times the
mismatch at one of the N_j points. `gradflow.models.burgers_fields` has the residual and its derivatives, by hand; with
them

.. math::
   J^* u = \mu^{-1} \kappa\, [a \circ Q;\; p], \quad \delta_j = c\, u\, e_j, \qquad
   \nabla_M E = J^* q,                                                                                   \tag{3}

and the derivative of (3) along a direction is exact, too. A mini-batch is taken of the points inside; those at t = 0
and at the walls belong to every batch, all of them.

=========================  ==========  =========
symbol                     code        shape
=========================  ==========  =========
q                          residual    (N,)
c                          c           (N,)
omega_1, omega_2, omega_3  weights     numbers
mu                         mass        number
nu                         nu          number
=========================  ==========  =========

Source of the formulation: M. Raissi, P. Perdikaris, G. E. Karniadakis, "Physics-informed neural networks", J. Comput.
Phys. 378 (2019) 686; there, and in Ma, Mao & Shen, J. Comput. Phys. 505 (2024) 112911, Fig. 12, the network is deep.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, pi, sqrt
from typing import Any, Self

from ..description import found
from ..energies.split import SplitEnergy, weighted_dot
from ..kernels import select
from ..namespace import Array, array_namespace, fingerprint
from ..refusals import one_of, real_array, real_number, rows_of
from .activations import activation
from .burgers_fields import fields, mismatch, powers, tanh_derivatives
from .burgers_linearization import BurgersLinearization
from .burgers_points import all_points, conditions
from .network_problem import TIME_SCALES, runs, take
from .two_layer import TwoLayerNet, with_bias

__all__ = ["Burgers"]


class Burgers(SplitEnergy):
    """Burgers' equation for a network, equation (2): a `LeastSquares` problem without an energy part.

    Parameters
    ----------
    net : TwoLayerNet
        With the inputs t and x, one output, the activation "tanh".
    interior : array (N_1, 2)
        Points (t, x) of the equation, N_1 >= 1, float32 or float64, finite. Copied.
    initial : array (N_2, 2)
        Points x at t = 0 and the values u_0(x). Copied.
    walls : array (N_3,)
        Times at which f = 0 is imposed, at x = -1 and at x = 1. Copied.
    nu : float
        Viscosity, >= 0, in units of x^2 / t.
    weights : tuple of three floats
        The omega_1, omega_2, omega_3 >= 0, dimensionless.
    time_scale : {"mean_field", "autograd"}
        The inner product (u, v)_M = u . v / m, or u . v.

    Raises
    ------
    ValueError
        If an argument is outside what is said above.

    Examples
    --------
    >>> import numpy as np
    >>> from gradflow.models import Burgers, TwoLayerNet
    >>> net = TwoLayerNet(2, 30, activation="tanh", scaling="standard")
    >>> x = np.linspace(-1, 1, 9)
    >>> t, s = (a.ravel() for a in np.meshgrid(x / 2 + 0.5, x))
    >>> problem = Burgers(net, np.stack([t, s], 1), np.stack([x, -np.sin(np.pi * x)], 1), x / 2 + 0.5)
    >>> problem.linearize(net.init(0)).residual.shape
    (108,)
    """

    n_samples: int
    """N_1, the points inside, of this batch."""
    mass: float
    """mu of equation (3)."""
    _rows: tuple[int, Array | slice] | None = None
    """Of a batch: N_1 of the problem it was taken from, and which points."""

    def __init__(
        self,
        net: TwoLayerNet,
        interior: Array,
        initial: Array,
        walls: Array,
        *,
        nu: float = 0.01 / pi,
        weights: tuple[float, float, float] = (1.0, 1.0, 1.0),
        time_scale: str = "autograd",
    ) -> None:
        if not isinstance(net, TwoLayerNet) or (net.n_inputs, net.n_outputs, net.activation) != (2, 1, "tanh"):
            raise ValueError(
                f"net must be a TwoLayerNet with n_inputs = 2, n_outputs = 1, activation = 'tanh'; got {net!r}"
            )
        self.net, self.time_scale = net, one_of("time_scale", time_scale, TIME_SCALES)
        real_array("interior", interior, {"N": None, "2": 2}, low=-inf)
        if not isinstance(weights, (tuple, list)) or len(weights) != 3:
            raise ValueError(f"weights must be three finite numbers >= 0, got {found(weights)}")
        self.nu = real_number("nu", nu, 0)
        w1, w2, w3 = (real_number("each of weights", w, 0) for w in weights)
        self.weights = (w1, w2, w3)
        self.mass = 1 / net.width if time_scale == "mean_field" else 1.0
        self._dtype = interior.dtype
        self._conditions = conditions(initial, walls, interior, self.weights)
        self._take_points(with_bias(interior))

    def _take_points(self, inside: Array) -> None:
        """Take these interior points, (N_1, 3), in addition to those of the conditions."""
        self._inside, self.n_samples = inside, inside.shape[0]
        self._points = all_points(inside, self._conditions, self.weights[0], self.nu)

    def inner(self, u: Array, v: Array) -> Array:
        """Return (u, v)_M = mass * sum(u * v), a 0-d array."""
        return weighted_dot(self.mass, u, v, self.net.n_parameters, self._dtype)

    def linearize(self, theta: Array) -> BurgersLinearization:
        """Return residual (N,), products with J and J^*, and the Gram matrix at theta.

        Raises
        ------
        ValueError
            If theta does not have shape (P,) and the dtype of the points, as in every method here.
        """
        return self._linearization(theta, 3)

    def _linearization(self, theta: Array, order: int) -> BurgersLinearization:
        W, a = self._unpack(theta)
        return BurgersLinearization(self._points, W, a, self.net.scale, self.mass, order)

    def _unpack(self, theta: Array) -> tuple[Array, Array]:
        real_array("theta", theta, {"P": self.net.n_parameters}, self._dtype)
        W, a = self.net.unpack(theta)
        return W, a[:, 0]

    def nonlinear_energy(self, theta: Array) -> Array:
        """Return E(theta), equation (2), a 0-d array."""
        W, a = self._unpack(theta)
        S = tanh_derivatives(*activation("tanh").value_and_first(self._points.X @ W), 2)
        q = self._points.c * mismatch(fields(S, powers(W), a, self.net.scale), self._points)
        return q @ q / 2

    def nonlinear_energy_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """Return E (0-d) and its gradient with respect to `inner`, equation (3), shape (P,)."""
        at = self.linearize(theta)
        return at.residual @ at.residual / 2, at.vjp(at.residual)

    def nonlinear_hvp(self, theta: Array, v: Array) -> Array:
        """Return the derivative of the gradient of E along v, shape (P,): exact, with the fourth derivative of tanh."""
        return self._linearization(theta, 4).second(v)

    def batch(self, indices: Array | slice) -> Self:
        """Return the same problem on some of its points inside, and on all points of the conditions."""
        return self._of(rows_of(indices, self.n_samples, self._inside))

    def batches(self, order: Array, size: int) -> Iterator[Self]:
        """Yield `batch` of each run of `size` points in an order, which is checked once."""
        return map(self._of, runs(order, size, self.n_samples, self._inside))

    def _of(self, rows: Array | slice) -> Self:
        """Return the problem of checked rows."""
        part = self._with(_rows=(self.n_samples, rows))
        part._take_points(take(self._inside, rows))
        return part

    def gather(self, q_full: Array) -> Array:
        """Return this batch's residuals (N,) from `q_full` (N_full,), in the scale of the batch."""
        n_full, rows = self._checked_origin(q_full)
        if self._rows is None:
            return q_full
        xp = array_namespace(q_full)
        inside = take(q_full[:n_full], rows)
        return xp.concat([sqrt(n_full / self.n_samples) * inside, q_full[n_full:]])

    def scatter(self, q_full: Array, q_batch: Array) -> Array:
        """Return a copy of `q_full` (N_full,), in its scale, with this batch's residuals from `q_batch` (N,)."""
        n_full, rows = self._checked_origin(q_full)
        real_array("q_batch", q_batch, {"N": self._points.y.shape[0]}, self._dtype)
        if self._rows is None:
            return q_batch
        xp, B = array_namespace(q_full), self.n_samples
        rows = xp.arange(n_full)[rows] if isinstance(rows, slice) else rows
        inside = sqrt(B / n_full) * q_batch[:B]
        K = select(self.net.kernels, q_full)
        inside = K.scatter_rows(q_full[:n_full, None], rows, inside[:, None])[:, 0]
        return xp.concat([inside, q_batch[B:]])

    def _checked_origin(self, q_full: Array) -> tuple[int, Array | slice]:
        """Return N_1 of the problem this batch was taken from, and which points; q_full, (N_full,), must fit."""
        n_full, rows = (self.n_samples, slice(None)) if self._rows is None else self._rows
        real_array("q_full", q_full, {"N": n_full + self._conditions.y.shape[0]}, self._dtype)
        return n_full, rows

    def describe(self) -> dict[str, Any]:
        """Return what identifies this problem in a stored result, as plain values for JSON."""
        return {
            "problem": "Burgers",
            "nu": self.nu,
            "weights": list(self.weights),
            "time_scale": self.time_scale,
            "mass": self.mass,
            "n_samples": self.n_samples,
            "data": fingerprint(*self._points[:4]),
            "dtype": "float32" if "32" in str(self._dtype) else "float64",
            **self.net.describe(),
        }
