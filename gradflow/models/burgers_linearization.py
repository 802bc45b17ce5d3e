r"""The residual of Burgers' equation at one theta, and its derivatives as products.

With e, its slopes, Q and p of `gradflow.models.burgers_fields`, ``q = c e`` and the inner product
``(u, v)_M = mu u . v``:

.. math::
   J d &= c \circ (e_f \dot f + e_t \dot f_t + e_x \dot f_x + e_{xx} \dot f_{xx}), \qquad d = (V, b)                 \tag{1} \\
   J^* u &= \frac{\kappa}{\mu}\, \bigl[a \circ Q;\; p\bigr], \qquad \delta_j = c \circ u \circ e_j                      \tag{2} \\
   \frac{\mathrm{d}}{\mathrm{d}\epsilon} J^* q &= \frac{\kappa}{\mu}\, \bigl[a \circ \dot Q + b \circ Q;\; \dot p\bigr], \qquad
   \dot\delta_j = c^2 \circ (\dot e \circ e_j + e \circ \dot e_j)                                                     \tag{3}

=========  ============  =========
symbol     code          shape
=========  ============  =========
q          residual      (N,)
J d        jvp           (N,)
J^*        vjp           map to (P,)
V, b       V, b          (3, m), (m,)
Q, p       Q, p          (3, m), (m,)
mu         mass          number
=========  ============  =========
"""

from __future__ import annotations

from functools import cached_property

from ..kernels import reference
from ..namespace import Array, array_namespace
from ..refusals import real_array
from .activations import activation
from .burgers_fields import (
    Fields,
    brackets,
    fields,
    jacobian_rows,
    mismatch,
    powers,
    powers_along,
    slopes,
    slopes_along,
    tanh_derivatives,
)
from .burgers_points import Points

__all__ = ["BurgersLinearization"]


def times(factor: Array, F: Fields) -> Fields:
    """Return the four fields, each (N,), multiplied by a factor (N,)."""
    return factor * F[0], factor * F[1], factor * F[2], factor * F[3]


def total(*parts: Fields) -> Fields:
    """Return the sums, each (N,), of fields."""
    f, f_t, f_x, f_xx = (sum(column[1:], column[0]) for column in zip(*parts, strict=True))
    return f, f_t, f_x, f_xx


class BurgersLinearization:
    """A `gradflow.energies.protocols.Linearization` of `Burgers`; made by ``problem.linearize(theta)``.

    Every method raises ValueError if its argument does not have the dtype and the shape for it.

    Parameters
    ----------
    at : Points
        The points.
    W : array (3, m)
        Weights.
    a : array (m,)
        Output weights.
    scale : float
        The factor kappa of the network.
    mass : float
        The factor mu of the inner product.
    order : int
        The last derivative of tanh that is kept, 3, or 4 for `second`.
    """

    def __init__(self, at: Points, W: Array, a: Array, scale: float, mass: float, order: int = 3) -> None:
        self._at, self._W, self._a, self._scale, self._mass = at, W, a, scale, mass
        self._S = tanh_derivatives(*activation("tanh").value_and_first(at.X @ W), order)
        self._w = powers(W)
        self._F = fields(self._S, self._w, a, scale)
        self._e = mismatch(self._F, at)
        self.residual: Array = at.c * self._e
        """q(theta), shape (N,): inside, at t = 0, at x = -1, at x = 1."""

    @cached_property
    def _slopes(self) -> Fields:
        return slopes(self._F, self._at)

    def jvp(self, d: Array) -> Array:
        """Return J d, equation (1), shape (N,)."""
        return self._at.c * self._mismatch_along(self._along(*self._direction("d", d)))

    def vjp(self, u: Array) -> Array:
        """Return J^* u, equation (2), shape (P,): the adjoint of `jvp` in the problem's inner product."""
        real_array("u", u, {"N": self.residual.shape[0]}, self._a.dtype)
        Q, p = brackets(self._at.X, times(self._at.c * u, self._slopes), self._S, self._w)
        return self._joined(self._a * Q, p)  # (2)

    def jacobian(self) -> Array:
        """Return J, shape (N, P): the partial derivatives, with no inner product in them."""
        return self._jacobian

    def gram(self) -> Array:
        """Return J J^*, shape (N, N), symmetric positive semi-definite; by the explicit Jacobian."""
        return self._jacobian @ self._jacobian.T / self._mass

    def second(self, v: Array) -> Array:
        """Return the derivative along v (P,) of J^* q, equation (3), shape (P,); the linearisation must be of order 4.

        Raises
        ------
        ValueError
            If v does not have the shape (P,) and dtype of theta, or the order is 3.
        """
        if len(self._S) < 5:
            raise ValueError(f"second derivatives need order = 4, got {len(self._S) - 1}")
        V, b = self._direction("v", v)
        at, S, w = self._at, self._S, self._w
        S_dot = self._S_along(V)
        F_dot = self._along(V, b)
        weight = at.c * at.c
        delta = times(weight * self._e, self._slopes)
        delta_dot = total(
            times(weight * self._mismatch_along(F_dot), self._slopes), times(weight * self._e, slopes_along(F_dot, at))
        )
        parts = [(delta_dot, S, w), (delta, S_dot, w), (delta, S, powers_along(self._W, V))]
        Q, p = zip(*(brackets(at.X, *part) for part in parts), strict=True)
        of_a, _ = brackets(at.X, delta, S, w)
        return self._joined(self._a * (Q[0] + Q[1] + Q[2]) + b * of_a, p[0] + p[1] + p[2])

    @cached_property
    def _jacobian(self) -> Array:
        rows = jacobian_rows(self._at.X, self._slopes, self._S, self._w, self._a, self._scale)
        return self._at.c[:, None] * rows

    def _direction(self, name: str, d: Array) -> tuple[Array, Array]:
        """Return V (3, m) and b (m,)."""
        m = self._a.shape[0]
        real_array(name, d, {"P": 4 * m}, self._a.dtype)
        V, b = reference.unpack(d, 3, m, 1)
        return V, b[:, 0]

    def _S_along(self, V: Array) -> tuple[Array, ...]:
        Z_dot = self._at.X @ V
        return tuple(S_next * Z_dot for S_next in self._S[1:])

    def _along(self, V: Array, b: Array) -> Fields:
        """Return the change of the fields along (V, b), each (N,)."""
        S, w, a, kappa = self._S, self._w, self._a, self._scale
        by_S, by_w = fields(self._S_along(V), w, a, kappa), fields(S, powers_along(self._W, V), a, kappa)
        return total(by_S, by_w, fields(S, w, b, kappa))

    def _mismatch_along(self, F_dot: Fields) -> Array:
        """Return the change of e, (N,)."""
        e_f, e_t, e_x, e_xx = self._slopes
        return e_f * F_dot[0] + e_t * F_dot[1] + e_x * F_dot[2] + e_xx * F_dot[3]

    def _joined(self, by_W: Array, by_a: Array) -> Array:
        """Return (kappa / mu) times both as one vector (P,)."""
        xp = array_namespace(by_W, by_a)
        return (self._scale / self._mass) * xp.concat([xp.reshape(by_W, (-1,)), by_a])
