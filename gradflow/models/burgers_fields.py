r"""Burgers' equation at a two-layer network: residual and derivatives, each a sum of products.

With X = [t, x, 1] at N points and the rows ``W_t``, ``W_x`` of the weights W, the network and those of its derivatives
that the equation needs are

.. math::
   Z = X W, \qquad S_j = \tanh^{(j)}(Z), \qquad (f, f_t, f_x, f_{xx}) = \kappa\, \bigl(S_0 a,\; S_1 (W_t \circ a),\; S_1
   (W_x \circ a),\; S_2 (W_x^2 \circ a)\bigr). \tag{1}

A point is one of the equation (chi = 1), or one at which the value y is wanted (chi = 0):

.. math:: e = \chi\, (f_t + f f_x - \nu f_{xx}) + (1 - \chi) f - y, \qquad q = c \circ e.                       \tag{2}

The slopes of e by the four fields (1) are

.. math:: e_f = \chi f_x + 1 - \chi, \qquad e_t = \chi, \qquad e_x = \chi f, \qquad e_{xx} = -\chi\nu,          \tag{3}

and for factors ``delta_j`` of a sum over the points, ``delta_f = u e_f`` and so on, the derivatives of ``sum u e`` are

.. math::
   \frac{\partial}{\partial W} &= \kappa\, a \circ Q, \qquad \frac{\partial}{\partial a} = \kappa\, p,              \tag{4} \\
   Q &= (X \delta_f)^T S_1 + W_t \circ (X \delta_t)^T S_2 + W_x \circ (X \delta_x)^T S_2
        + W_x^2 \circ (X \delta_{xx})^T S_3                                                                \\
     &\quad + \bigl[\delta_t^T S_1;\; \delta_x^T S_1 + 2 W_x \circ \delta_{xx}^T S_2;\; 0\bigr],                 \tag{5} \\
   p &= S_0^T \delta_f + W_t \circ S_1^T \delta_t + W_x \circ S_1^T \delta_x + W_x^2 \circ S_2^T \delta_{xx},       \tag{6}

where ``X delta`` has its rows multiplied by delta. Everything in (1), (5), (6) is linear in each of: the fields'
factors S, the powers ``w = (1, W_t, W_x, W_x^2, 2 W_x)``, and a or delta. So a derivative along a direction (V, b) is a
sum of the same functions with one of these replaced by its own derivative,

.. math:: \dot S_j = S_{j+1} \circ (X V), \qquad \dot w = (0, V_t, V_x, 2 W_x \circ V_x, 2 V_x), \qquad \dot a = b.       \tag{7}

===================================  =========  ============
symbol                               code       shape
===================================  =========  ============
X                                    X          (N, 3)
W, a                                 W, a       (3, m), (m,)
V, b                                 V, b       (3, m), (m,)
Z                                    Z          (N, m)
S_j                                  S[j]       (N, m)
f, f_t, f_x, f_xx                    F, F_dot   four (N,)
chi, y, c                            chi, y, c  (N,)
X, chi, y, c, nu                     at         `Points`
e                                    e          (N,)
e_f, e_t, e_x, e_xx                  slopes     four (N,)
delta_f, delta_t, delta_x, delta_xx  delta      four (N,)
w                                    w          five (m,)
Q, p                                 Q, p       (3, m), (m,)
kappa                                scale      number
nu                                   nu         number
===================================  =========  ============
"""

from __future__ import annotations

from typing import TypeAlias

from ..namespace import Array, array_namespace
from .burgers_points import Points

__all__ = [
    "Fields",
    "brackets",
    "fields",
    "jacobian_rows",
    "mismatch",
    "powers",
    "powers_along",
    "slopes",
    "slopes_along",
    "tanh_derivatives",
]

Fields: TypeAlias = tuple[Array, Array, Array, Array]
"""f, f_t, f_x, f_xx, or a factor for each, all of shape (N,)."""


def tanh_derivatives(S: Array, S_1: Array, order: int) -> tuple[Array, ...]:
    """Return S_0 to S_order, each (N, m), from tanh and its first derivative.

    Parameters
    ----------
    S : array (N, m)
        Values, tanh(Z).
    S_1 : array (N, m)
        Its derivative, 1 - S^2.
    order : int
        The last derivative, 2 to 4.
    """
    found = [S, S_1, -2 * S * S_1]
    if order > 2:
        found.append(S_1 * (4 * S * S - 2 * S_1))
    if order > 3:
        found.append(8 * S * S_1 * (2 * S_1 - S * S))
    return tuple(found)


def powers(W: Array) -> tuple[Array, ...]:
    """Return w = (1, W_t, W_x, W_x^2, 2 W_x), each (m,)."""
    W_t, W_x = W[0, :], W[1, :]
    return 0 * W_t + 1, W_t, W_x, W_x * W_x, 2 * W_x


def powers_along(W: Array, V: Array) -> tuple[Array, ...]:
    """Return the derivative of `powers` along V, equation (7), each (m,)."""
    V_t, V_x = V[0, :], V[1, :]
    return 0 * V_t, V_t, V_x, 2 * W[1, :] * V_x, 2 * V_x


def fields(S: tuple[Array, ...], w: tuple[Array, ...], a: Array, scale: float) -> Fields:
    """Return f, f_t, f_x, f_xx of equation (1), each (N,)."""
    one, t, x, xx, _ = w
    return (
        scale * (S[0] @ (one * a)),
        scale * (S[1] @ (t * a)),
        scale * (S[1] @ (x * a)),
        scale * (S[2] @ (xx * a)),
    )  # (1)


def mismatch(F: Fields, at: Points) -> Array:
    """Return e of equation (2), (N,)."""
    f, f_t, f_x, f_xx = F
    return at.chi * (f_t + f * f_x - at.nu * f_xx) + (1 - at.chi) * f - at.y  # (2)


def slopes(F: Fields, at: Points) -> Fields:
    """Return the derivatives of e by the fields, equation (3), each (N,)."""
    f, _, f_x, _ = F
    return at.chi * f_x + (1 - at.chi), at.chi, at.chi * f, -at.nu * at.chi  # (3)


def slopes_along(F_dot: Fields, at: Points) -> Fields:
    """Return the change of `slopes` where the fields change by F_dot, each (N,)."""
    f_dot, _, f_x_dot, _ = F_dot
    return at.chi * f_x_dot, 0 * at.chi, at.chi * f_dot, 0 * at.chi  # (3)


def brackets(X: Array, delta: Fields, S: tuple[Array, ...], w: tuple[Array, ...]) -> tuple[Array, Array]:
    """Return Q (3, m) and p (m,) of equations (5) and (6): sums over the points, no array (N, m) is made."""
    one, t, x, xx, xx_first = w
    d_f, d_t, d_x, d_xx = delta

    def moments(d: Array, S_j: Array) -> Array:
        return (X * d[:, None]).T @ S_j

    Q = one * moments(d_f, S[1]) + t * moments(d_t, S[2]) + x * moments(d_x, S[2]) + xx * moments(d_xx, S[3])
    first_t, first_x, second = d_t @ S[1], d_x @ S[1], d_xx @ S[2]
    by_t, by_x = Q[:1, :] + one * first_t, Q[1:2, :] + one * first_x + xx_first * second
    Q = array_namespace(X, Q).concat([by_t, by_x, Q[2:, :]])  # (5)
    return Q, one * (d_f @ S[0]) + t * first_t + x * first_x + xx * second  # (6)


def jacobian_rows(X: Array, e: Fields, S: tuple[Array, ...], w: tuple[Array, ...], a: Array, scale: float) -> Array:
    """Return the derivatives of e by W, row by row, and by a, shape (N, 4 m): equations (4) to (6) before the sums.

    Parameters
    ----------
    e : tuple of arrays (N,)
        From `slopes`.
    """
    one, t, x, xx, xx_first = w
    e_f, e_t, e_x, e_xx = (column[:, None] for column in e)
    first = e_t * t + e_x * x
    by_z = a * (e_f * S[1] + first * S[2] + e_xx * (xx * S[3]))
    by_t = X[:, :1] * by_z + one * a * e_t * S[1]
    by_x = X[:, 1:2] * by_z + a * (e_x * S[1] + e_xx * (xx_first * S[2]))
    by_a = e_f * S[0] + first * S[1] + e_xx * (xx * S[2])
    return scale * array_namespace(X, S[0]).concat([by_t, by_x, by_z, by_a], axis=1)
