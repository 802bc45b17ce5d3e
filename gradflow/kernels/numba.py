"""NumPy arrays: the kernels that fused loops make faster than the reference, with the measured ratios.

Products of matrices stay with BLAS. What is fused are the elementwise passes around them, which NumPy makes one at a
time through temporaries. Each loop compiles when it is first called (about half a second, then cached on disk), and
without ``fastmath``: NaN, infinities and the order of sums are those of the source. No loop runs in parallel: a block
is small, and starting threads would cost what they save. For read-only arguments numba would compile a loop anew, and
take a microsecond longer to recognise them in each call. Those that may be read-only (a, delta and their changes) are
small, and are copied if they are.

Time of the reference over the time here, N = 64, m = 1000, 41 rows of W, one core, float32 (float64 within 20 %):

==========================  =====  ======  ====================================================
kernel                      k = 1  k = 10  note
==========================  =====  ======  ====================================================
unpack                      4.1    4.1     2 microseconds in every evaluation
hidden                      1.3    1.3     relu, including X W; the pass alone: 10
hidden and backward         1.5    1.2     relu: a whole gradient except the loss
slope_times                 3.9    1.0
tangent_sensitivity         8.2    1.0
second_tangent_sensitivity  11.7   1.0
gradient                    1.1    1.1     products written into the result
tangent_gradient            1.05   1.05    the same
jacobian                    4.9    2.6
scatter_rows                11     7       one assignment; 25 and 15 for N = 8000
==========================  =====  ======  ====================================================
"""

# mypy: disable-error-code="no-redef"
# The star import brings every name of the reference; the definitions below replace some of them on purpose.

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ..namespace import Array
from . import reference
from .activation import Activation
from .reference import *

# glibc gives freed memory back to the system above a threshold that grows with the largest array freed so far. Free
# a large one, never touched: otherwise the temporaries of each block are paged in anew (hvp at N = 64: 4 times slower).
np.empty(16 * BLOCK_BYTES, dtype=np.uint8)


def unpack(theta: Array, n: int, m: int, k: int) -> tuple[Array, Array]:
    """Return W (n, m) and a (m, k), views of theta ((n + k) m,)."""
    return theta[: n * m].reshape(n, m), theta[n * m :].reshape(m, k)


def hidden(X: Array, W: Array, activation: Activation) -> Array:
    """Return S = s(X W), shape (N, m)."""
    S = X @ W
    if activation.leak is None:
        return activation.value(S)
    _rectify(S, S.dtype.type(activation.leak))
    return S


def hidden_and_marks(X: Array, W: Array, activation: Activation) -> tuple[Array, Array]:
    """Return S and the marks: S itself for relu and leaky_relu, where it has the sign of Z, else s'(Z)."""
    if activation.leak is None:
        return activation.value_and_first(X @ W)
    S = hidden(X, W, activation)
    return S, S


def slope_of(marks: Array, activation: Activation) -> Array:
    """Return s'(Z), shape (N, m)."""
    return marks if activation.leak is None else activation.first(marks)


def backward(X: Array, S: Array, marks: Array, delta: Array, a: Array, activation: Activation) -> Array:
    """Return the gradient, shape ((D+1) m + m k,); for k = 1, relu and leaky_relu leave G in the place of S."""
    if activation.leak is None:
        return gradient(X, slope_times(delta, a, marks), S, delta)
    (n, m), k = (X.shape[1], S.shape[1]), delta.shape[1]
    g, leak = np.empty(n * m + m * k, dtype=X.dtype), marks.dtype.type(activation.leak)
    np.matmul(S.T, delta, out=g[n * m :].reshape(m, k))
    if k == 1:
        G = marks
        _sensitivity(delta, _writeable(a), leak, G)
    else:
        G = delta @ a.T
        _damp(G, marks, leak)
    np.matmul(X.T, G, out=g[: n * m].reshape(n, m))
    return g


def slope_times(delta: Array, a: Array, slope: Array) -> Array:
    """Return G = (delta a^T) * slope, shape (N, m); for k > 1 the outer product is BLAS's."""
    if a.shape[1] != 1:
        return reference.slope_times(delta, a, slope)
    G = np.empty_like(slope)
    _slope_times(_writeable(delta), _writeable(a), slope, G)
    return G


def tangent_sensitivity(
    delta: Array, delta_dot: Array, a: Array, a_dot: Array, slope: Array, slope_dot: Array | None
) -> Array:
    """Return the change of G, shape (N, m); for k > 1 the outer products are BLAS's."""
    if a.shape[1] != 1:
        return reference.tangent_sensitivity(delta, delta_dot, a, a_dot, slope, slope_dot)
    G_dot = np.empty_like(slope)
    curved = slope_dot is not None
    a, a_dot = _writeable(a), _writeable(a_dot)
    _tangent_sensitivity(delta, delta_dot, a, a_dot, slope, slope_dot if curved else slope, curved, G_dot)
    return G_dot


def second_tangent_sensitivity(
    delta: tuple[Array, Array, Array, Array],
    a: tuple[Array, Array, Array],
    slope: tuple[Array, Array | None, Array | None, Array | None],
) -> Array:
    """Return the second change of G, shape (N, m); for k > 1 the outer products are BLAS's."""
    if a[0].shape[1] != 1:
        return reference.second_tangent_sensitivity(delta, a, slope)
    s, s_u, s_v, s_uv = slope
    G, curved = np.empty_like(s), s_uv is not None
    changes = (s_u, s_v, s_uv) if curved else (s, s, s)
    arguments: Any = (*map(_writeable, (*delta, *a)), s, *changes, curved, G)
    _second_tangent_sensitivity(*arguments)
    return G


def gradient(X: Array, G: Array, S: Array, delta: Array) -> Array:
    """Return [X^T G; S^T delta], shape ((D+1) m + m k,), without a copy."""
    (n, m), k = (X.shape[1], G.shape[1]), delta.shape[1]
    g = np.empty(n * m + m * k, dtype=X.dtype)
    np.matmul(X.T, G, out=g[: n * m].reshape(n, m))
    np.matmul(S.T, delta, out=g[n * m :].reshape(m, k))
    return g


def tangent_gradient(X: Array, G_dot: Array, S: Array, S_dot: Array, delta: Array, delta_dot: Array) -> Array:
    """Return [X^T G_dot; S_dot^T delta + S^T delta_dot], shape ((D+1) m + m k,), without a copy."""
    g = gradient(X, G_dot, S, delta_dot)
    g[X.shape[1] * S.shape[1] :] += (S_dot.T @ delta).reshape(-1)
    return g


def jacobian(X: Array, S: Array, slope: Array, a: Array, factor: float) -> Array:
    """Return the Jacobian, shape (N k, (D+1) m + m k), each entry written once."""
    (N, n), (m, k) = X.shape, a.shape
    J = np.empty((N * k, n * m + m * k), dtype=X.dtype)
    _jacobian(X, S, slope, _writeable(a), X.dtype.type(factor), J)
    return J


def scatter_rows(full: Array, indices: Array, rows: Array) -> Array:
    """Return a copy of `full` (N, k) with `rows` at `indices`; of repeated indices the last counts."""
    out = full.copy()
    out[indices] = rows
    return out


def _writeable(a: Array) -> Array:
    return a if a.flags.writeable else a.copy()


@njit(cache=True)
def _rectify(Z: Any, leak: Any) -> None:
    zero = Z.dtype.type(0)
    for i in range(Z.shape[0]):
        for h in range(Z.shape[1]):
            z = Z[i, h]
            if z <= zero:  # false for a NaN, which stays
                Z[i, h] = leak * z if leak != zero else zero  # 0 * (-inf) would be a NaN


@njit(cache=True)
def _sensitivity(delta: Any, a: Any, leak: Any, marks: Any) -> None:
    zero = marks.dtype.type(0)  # in place: half the memory traffic of a second array
    for i in range(marks.shape[0]):
        d = delta[i, 0]
        for h in range(marks.shape[1]):
            g = d * a[h, 0]
            marks[i, h] = g if marks[i, h] > zero else leak * g


@njit(cache=True)
def _damp(G: Any, marks: Any, leak: Any) -> None:
    zero = G.dtype.type(0)
    for i in range(G.shape[0]):
        for h in range(G.shape[1]):
            if not marks[i, h] > zero:
                G[i, h] = leak * G[i, h]


@njit(cache=True)
def _slope_times(delta: Any, a: Any, slope: Any, G: Any) -> None:
    for i in range(G.shape[0]):
        d = delta[i, 0]
        for h in range(G.shape[1]):
            G[i, h] = d * a[h, 0] * slope[i, h]


@njit(cache=True)
def _tangent_sensitivity(
    delta: Any, delta_dot: Any, a: Any, a_dot: Any, slope: Any, slope_dot: Any, curved: Any, G: Any
) -> None:
    for i in range(G.shape[0]):
        d, d_dot = delta[i, 0], delta_dot[i, 0]
        for h in range(G.shape[1]):
            g = (d_dot * a[h, 0] + d * a_dot[h, 0]) * slope[i, h]
            G[i, h] = g + d * a[h, 0] * slope_dot[i, h] if curved else g


@njit(cache=True)
def _second_tangent_sensitivity(
    delta: Any, delta_u: Any, delta_v: Any, delta_uv: Any, a: Any, a_u: Any, a_v: Any,
    slope: Any, slope_u: Any, slope_v: Any, slope_uv: Any, curved: Any, G: Any,
) -> None:  # fmt: skip
    for i in range(G.shape[0]):
        d, d_u, d_v, d_uv = delta[i, 0], delta_u[i, 0], delta_v[i, 0], delta_uv[i, 0]
        for h in range(G.shape[1]):
            b, b_u, b_v = a[h, 0], a_u[h, 0], a_v[h, 0]
            g = (d_uv * b + d_u * b_v + d_v * b_u) * slope[i, h]
            if curved:
                g += (d_u * b + d * b_u) * slope_v[i, h] + (d_v * b + d * b_v) * slope_u[i, h] + d * b * slope_uv[i, h]
            G[i, h] = g


@njit(cache=True)
def _jacobian(X: Any, S: Any, slope: Any, a: Any, factor: Any, J: Any) -> None:
    (N, n), (m, k) = X.shape, a.shape
    zero = J.dtype.type(0)
    for i in range(N):
        for o in range(k):
            row = J[i * k + o]
            for d in range(n):
                for h in range(m):
                    row[d * m + h] = X[i, d] * (factor * slope[i, h] * a[h, o])
            for h in range(m):
                for p in range(k):
                    row[n * m + h * k + p] = factor * S[i, h] if p == o else zero
