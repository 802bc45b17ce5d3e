r"""The definition of every kernel, in the Python array API standard.

The two-layer network of `gradflow.models.two_layer` for a block of N samples:

===============  ====================================  =======================  ===========================
symbol           meaning                               code                     shape
===============  ====================================  =======================  ===========================
X                inputs, last column 1                 X                        (N, D+1)
W, a             parameters                            W, a                     (D+1, m), (m, k)
s                activation function                   activation               an `Activation`
Z = X W          pre-activations                       Z                        (N, m)
S = s(Z), s'(Z)  hidden values, slopes                 S, slope                 (N, m)
marks            what the kernel set knows s'(Z) from  marks                    (N, m)
delta            derivative of E by the outputs        delta                    (N, k)
G                sensitivity of the hidden layer       G                        (N, m)
V, b             a direction: change of W, of a        V, a_dot                 (D+1, m), (m, k)
along (V, b)     change of S, of G, of delta           S_dot, G_dot, delta_dot  (N, m), (N, m), (N, k)
s''(Z) * (X V)   change of the slopes                  slope_dot                (N, m); None if it vanishes
along u and v    second changes of slope, of delta     slope_uv, delta_uv       (N, m); (N, k)
c, c^2           factor of (5), of (6)                 factor                   number
===============  ====================================  =======================  ===========================

.. math::
   G &= (\delta a^T) \circ s'(Z)                                                             \tag{1} \\
   g &= [\operatorname{vec}(X^T G);\ \operatorname{vec}(S^T \delta)]                         \tag{2} \\
   \dot S &= s'(Z) \circ (X V)                                                               \tag{3} \\
   \dot G &= (\dot\delta a^T + \delta b^T) \circ s'(Z) + (\delta a^T) \circ s''(Z) \circ (X V) \tag{4} \\
   J_{(i,o)} &= c\,[\operatorname{vec}(x_i A_{(i,o)}^T);\ \operatorname{vec}(s(z_i) e_o^T)],
      \qquad A_{(i,o)} = s'(z_i) \circ a_o                                                   \tag{5} \\
   (J J^T)_{(i,o),(j,p)} &= c^2 \bigl[(X X^T)_{ij} (A A^T)_{(i,o),(j,p)}
      + \delta_{op} (S S^T)_{ij}\bigr]                                                       \tag{6} \\
   \dot g &= [\operatorname{vec}(X^T \dot G);\ \operatorname{vec}(\dot S^T \delta + S^T \dot\delta)]        \tag{7} \\
   G_{uv} &= (\delta_{uv} a^T + \delta_u a_v^T + \delta_v a_u^T) \circ s'(Z) + (\delta_u a^T + \delta a_u^T) \circ s'(Z)_v
      + (\delta_v a^T + \delta a_v^T) \circ s'(Z)_u + (\delta a^T) \circ s'(Z)_{uv}                      \tag{8}

An index u or v is the derivative along that direction; a itself is linear.

Outputs have the dtype of the inputs. No function assigns to a part of an array, and augmented assignment appears only
on whole arrays that the same function made: the kernels run where arrays are immutable (JAX) or read-only.
"""

from __future__ import annotations

from ..namespace import Array, array_namespace
from .activation import Activation

__all__ = [
    "BLOCK_BYTES",
    "BLOCK_ROWS",
    "backward",
    "gradient",
    "gram",
    "hidden",
    "hidden_and_marks",
    "jacobian",
    "scatter_rows",
    "second_tangent_sensitivity",
    "slope_of",
    "slope_times",
    "tangent",
    "tangent_gradient",
    "tangent_sensitivity",
    "unpack",
]

BLOCK_BYTES = 1 << 20
"""Bytes of hidden values in one block of samples. Sums over samples go block by block, so that elementwise passes
find their operands in cache and memory does not grow with N: 1.7 to 2 times faster than one block at N = 8000,
m = 1000, and flat between half and four times this size."""
BLOCK_ROWS = 64
"""Fewest samples in a block: the products with W read all of W for each block. A gradient at m = 16000 and D = 40 takes
0.67 to 0.86 of the time with 16 samples."""


def unpack(theta: Array, n: int, m: int, k: int) -> tuple[Array, Array]:
    """Return W (n, m) and a (m, k), the two parts of theta ((n + k) m,); views where the library has views.

    Parameters
    ----------
    theta : array ((n + k) m,)
        Parameters.
    n : int
        Rows of W, D + 1.
    m : int
        Width.
    k : int
        Outputs.
    """
    reshape = array_namespace(theta).reshape
    return reshape(theta[: n * m], (n, m)), reshape(theta[n * m :], (m, k))


def hidden(X: Array, W: Array, activation: Activation) -> Array:
    """Return S = s(X W), shape (N, m)."""
    return activation.value(X @ W)


def hidden_and_marks(X: Array, W: Array, activation: Activation) -> tuple[Array, Array]:
    """Return S and the marks from which `backward` and `slope_of` know s'(Z), both (N, m).

    Here the marks are s'(Z). Another kernel set may use anything of that shape, such as S itself where the slope is
    known from its sign.
    """
    return activation.value_and_first(X @ W)


def slope_of(marks: Array, activation: Activation) -> Array:
    """Return s'(Z), shape (N, m)."""
    return marks


def slope_times(delta: Array, a: Array, slope: Array) -> Array:
    """Return G of (1), shape (N, m)."""
    G = _outer(delta, a)
    G *= slope  # (1)
    return G


def gradient(X: Array, G: Array, S: Array, delta: Array) -> Array:
    """Return (2), the two products packed in one vector, shape ((D+1) m + m k,)."""
    xp = array_namespace(X)
    return xp.concat([xp.reshape(X.T @ G, (-1,)), xp.reshape(S.T @ delta, (-1,))])  # (2)


def backward(X: Array, S: Array, marks: Array, delta: Array, a: Array, activation: Activation) -> Array:
    """Return (2) with G of (1), shape ((D+1) m + m k,).

    Another kernel set may write into S and marks: nobody may need them afterwards.
    """
    return gradient(X, slope_times(delta, a, slope_of(marks, activation)), S, delta)  # (1), (2)


def tangent(X: Array, V: Array, slope: Array) -> Array:
    """Return (3), the change of S along V, shape (N, m)."""
    S_dot = X @ V
    S_dot *= slope  # (3)
    return S_dot


def tangent_sensitivity(
    delta: Array, delta_dot: Array, a: Array, a_dot: Array, slope: Array, slope_dot: Array | None
) -> Array:
    """Return (4), the change of G, shape (N, m)."""
    G_dot = _outer(delta_dot, a) + _outer(delta, a_dot)
    G_dot *= slope
    if slope_dot is not None:
        G_dot += _outer(delta, a) * slope_dot  # (4)
    return G_dot


def second_tangent_sensitivity(
    delta: tuple[Array, Array, Array, Array],
    a: tuple[Array, Array, Array],
    slope: tuple[Array, Array | None, Array | None, Array | None],
) -> Array:
    """Return (8), the second change of G along u and v, shape (N, m).

    Parameters
    ----------
    delta : tuple of array (N, k)
        The slopes delta, their changes along u and along v, and their second change.
    a : tuple of array (m, k)
        The weights a, and their changes along u and along v.
    slope : tuple of array (N, m)
        The slopes s'(Z), their changes along u and along v, and their second change; None for each change if all vanish.
    """
    (d, d_u, d_v, d_uv), (a, a_u, a_v), (s, s_u, s_v, s_uv) = delta, a, slope
    G = _outer(d_uv, a) + _outer(d_u, a_v) + _outer(d_v, a_u)
    G *= s
    if s_uv is not None:
        G += (_outer(d_u, a) + _outer(d, a_u)) * s_v
        G += (_outer(d_v, a) + _outer(d, a_v)) * s_u
        G += _outer(d, a) * s_uv  # (8)
    return G


def tangent_gradient(X: Array, G_dot: Array, S: Array, S_dot: Array, delta: Array, delta_dot: Array) -> Array:
    """Return (7), the change of the gradient packed in one vector, shape ((D+1) m + m k,)."""
    xp = array_namespace(X)
    return xp.concat([xp.reshape(X.T @ G_dot, (-1,)), xp.reshape(S_dot.T @ delta + S.T @ delta_dot, (-1,))])  # (7)


def jacobian(X: Array, S: Array, slope: Array, a: Array, factor: float) -> Array:
    """Return (5) with c = factor, shape (N k, (D+1) m + m k); rows are sample-major."""
    xp = array_namespace(X)
    N, k = X.shape[0], a.shape[1]
    A = factor * slope[:, None, :] * a.T[None, :, :]  # (N, k, m)
    J_W = X[:, None, :, None] * A[:, :, None, :]  # (N, k, D+1, m)
    J_a = (factor * S)[:, None, :, None] * xp.eye(k, dtype=X.dtype)[None, :, None, :]  # (N, k, m, k)
    return xp.concat([xp.reshape(J_W, (N * k, -1)), xp.reshape(J_a, (N * k, -1))], axis=1)  # (5)


def gram(X: Array, S: Array, slope: Array, a: Array, factor: float) -> Array:
    """Return (6) with c^2 = factor, shape (N k, N k).

    Symmetric to the last bit where the product of a matrix and its own transpose is, as in NumPy (``syrk``).
    """
    xp = array_namespace(X)
    N, k = X.shape[0], a.shape[1]
    if k == 1:
        A = slope * a.T
        K = A @ A.T
        K *= X @ X.T
        K += S @ S.T  # (6)
    else:
        A = xp.reshape(slope[:, None, :] * a.T[None, :, :], (N * k, -1))
        K = xp.reshape(A @ A.T, (N, k, N, k))
        K *= (X @ X.T)[:, None, :, None]
        K += (S @ S.T)[:, None, :, None] * xp.eye(k, dtype=X.dtype)[None, :, None, :]  # (6)
        K = xp.reshape(K, (N * k, N * k))
    if factor != 1.0:
        K *= factor
    return K


def scatter_rows(full: Array, indices: Array, rows: Array) -> Array:
    """Return a copy of `full` (N, k) with `rows` (B, k) at `indices` (B,); of repeated indices the last counts.

    Parameters
    ----------
    full : array (N, k)
        What is copied.
    indices : int array (B,)
        Rows in [0, N).
    rows : array (B, k)
        What they become.
    """
    # The standard has no assignment to an integer array. A stable sort keeps equal indices in their order, so the entry
    # to the left of the insertion point of n is the last one that names row n, if any does.
    xp = array_namespace(full)
    order = xp.argsort(indices, stable=True)
    named = xp.take(indices, order)
    n = xp.astype(xp.arange(full.shape[0]), indices.dtype)
    last = xp.searchsorted(named, n, side="right") - 1
    last = xp.where(last < 0, 0 * last, last)
    return xp.where((xp.take(named, last) == n)[:, None], xp.take(rows, xp.take(order, last), axis=0), full)


def _outer(delta: Array, a: Array) -> Array:
    """Return delta a^T, a new array (N, m); for k = 1 BLAS takes five times as long as broadcasting."""
    return delta * a.T if a.shape[1] == 1 else delta @ a.T
