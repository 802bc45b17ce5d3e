r"""The residual of a two-layer network and its derivative at one theta, without a Jacobian.

With X, Z, S, f, kappa as in `gradflow.models.two_layer`, the residual ``q = c (f - y)`` and the inner product
``(u, v)_M = mu u . v``:

.. math::
   J d &= c \kappa\, \bigl[(s'(Z) \circ (X V))\, a + S b\bigr], \qquad d = (V, b)                          \tag{1} \\
   J^* u &= \bigl[X^T G;\ S^T \delta\bigr], \qquad \delta = (c\kappa/\mu)\, u, \quad
   G = (\delta a^T) \circ s'(Z)                                                                        \tag{2} \\
   J J^* &= \frac{(c\kappa)^2}{\mu} \bigl[(X X^T)_{ij} (A A^T)_{(i,o),(j,p)} + \delta_{op} (S S^T)_{ij}\bigr],
   \quad A_{(i,o)} = s'(z_i) \circ a_o                                                                 \tag{3}

Equation (3) costs ``O(N^2 (D + k^2 m))`` for D inputs and stores no (N k, P) array. Residual entries are numbered
sample by sample, ``i k + o``. With ``c = 1, y = 0`` the residual is f itself, and (2) without its sum over the samples is,
layer by layer, ``x_i (x) (a delta_i) o s'(z_i)`` and ``s(z_i) (x) delta_i``.
"""

from __future__ import annotations

from functools import cached_property

from ..energies.protocols import Layer, Work
from ..kernels import Kernels
from ..kernels.activation import Activation
from ..namespace import Array, array_namespace
from ..refusals import real_array
from .two_layer import Forward

__all__ = ["NetworkLinearization", "NetworkOutputs"]


class NetworkLinearization:
    """A `gradflow.energies.protocols.Linearization` of a two-layer network; made by ``problem.linearize(theta)``.

    The forward pass has been done; the slopes s'(Z) are evaluated on first use. Every method returns an array
    of the dtype of theta, and raises ValueError if its argument has another dtype or shape. Memory: three arrays
    (N, m), of which two for the activation "relu".

    Parameters
    ----------
    K : module
        The kernel set.
    s : Activation
        The activation function.
    X : array (N, D+1)
        Inputs with a last column of ones.
    a : array (m, k)
        Output weights.
    at : Forward
        The forward pass at theta.
    residual : array (N k,)
        The residual q(theta), sample-major.
    factor : float
        The product c kappa.
    mass : float
        The factor mu of the inner product.
    """

    def __init__(
        self,
        K: Kernels,
        s: Activation,
        X: Array,
        a: Array,
        at: Forward,
        residual: Array,
        factor: float,
        mass: float,
    ) -> None:
        self._K, self._s, self._X, self._a, self._at = K, s, X, a, at
        self._factor, self._mass = factor, mass
        self.residual = residual
        """q(theta), shape (N k,), sample-major; the energy is ``residual @ residual / 2``."""

    @cached_property
    def _slope(self) -> Array:
        return self._K.slope_of(self._at.marks, self._s)

    def jvp(self, d: Array) -> Array:
        """Return J d, equation (1), shape (N k,)."""
        rows, (m, k) = self._X.shape[1], self._a.shape
        real_array("d", d, {"P": rows * m + m * k}, self._X.dtype)
        V, b = self._K.unpack(d, rows, m, k)
        f_dot = self._K.tangent(self._X, V, self._slope) @ self._a
        f_dot += self._at.S @ b
        if self._factor != 1.0:
            f_dot *= self._factor  # (1)
        return array_namespace(f_dot).reshape(f_dot, (-1,))

    def vjp(self, u: Array) -> Array:
        """Return J^* u, equation (2), shape (P,): the adjoint of `jvp` in the problem's inner product."""
        real_array("u", u, {"N k": self.residual.shape[0]}, self._X.dtype)
        delta = array_namespace(u).reshape(u, self._at.f.shape)
        if self._factor != self._mass:
            delta = (self._factor / self._mass) * delta
        G = self._K.slope_times(delta, self._a, self._slope)
        return self._K.gradient(self._X, G, self._at.S, delta)  # (2)

    def gram(self) -> Array:
        """Return J J^*, equation (3), shape (N k, N k), symmetric positive semi-definite to round-off."""
        return self._K.gram(self._X, self._at.S, self._slope, self._a, self._factor**2 / self._mass)  # (3)

    @property
    def work(self) -> Work:
        """The cost of the products and of `gram`, fitted to timings for m from 30 to 1000, D from 1 to 784, k = 1, 10.

        An elementwise pass over (N, m) counts as some ten multiply-adds an entry, those over (N k, N k) as 150 in all.
        """
        (N, n), (m, k) = self._X.shape, self._a.shape
        return Work(N * m * (2 * n + 4 * k + 30), N**2 * (k**2 * (m / 2 + 150) + (m + n) / 2))

    def gram_trace(self) -> Array:
        """Return the trace of (3), 0-d, from squares of X, S, the slopes and a."""
        xp = array_namespace(self._X)
        X, S, slope, a = self._X, self._at.S, self._slope, self._a
        of_W = xp.sum(X * X, axis=1) @ ((slope * slope) @ xp.sum(a * a, axis=1))
        return (self._factor**2 / self._mass) * (of_W + a.shape[1] * xp.sum(S * S))

    def normal_diagonal(self) -> Array:
        """Return the diagonal of J^T J, shape (P,), from squares of X, S, the slopes and a."""
        xp = array_namespace(self._X)
        X, S, slope, a = self._X, self._at.S, self._slope, self._a
        of_W = ((X * X).T @ (slope * slope)) * xp.sum(a * a, axis=1)
        of_a = xp.broadcast_to(xp.sum(S * S, axis=0)[:, None], a.shape)
        return self._factor**2 * xp.concat([xp.reshape(of_W, (-1,)), xp.reshape(of_a, (-1,))])

    def jacobian(self) -> Array:
        """Return J, shape (N k, P): the partial derivatives, with no inner product in them. For inspection."""
        return self._K.jacobian(self._X, self._at.S, self._slope, self._a, self._factor)


class NetworkOutputs(NetworkLinearization):
    """A `gradflow.energies.protocols.OutputLinearization` of a two-layer network; made by ``problem.output_blocks(theta)``.

    The residual is f, and c is 1.
    """

    @property
    def outputs(self) -> Array:
        """The outputs f, shape (N, k)."""
        return self._at.f

    def layers(self, u: Array) -> list[Layer]:
        """Return the factors of the gradients of ``u_ij . f_i`` by W and by a, for u of shape (N, j, k)."""
        u = self._factor * u if self._factor != 1.0 else u
        return [Layer(self._X, self._slope[:, None, :] * (u @ self._a.T)), Layer(self._at.S, u)]
