r"""The Lanczos process: an orthonormal basis of a Krylov space, and the operator on it.

For an operator A, self-adjoint in an inner product, and a vector b, the process makes an orthonormal basis
``v_1, ..., v_k`` of the space spanned by ``b, A b, ..., A^{k-1} b``, in which A is tridiagonal:

.. math:: A v_j = \beta_{j-1} v_{j-1} + \alpha_j v_j + \beta_j v_{j+1}.                                 \tag{1}

Each new vector is orthogonalised against all before it, twice, so that the basis stays orthonormal to rounding. The
process ends where the space is invariant.

Source: Golub & Van Loan, Matrix Computations (2013), section 10.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from typing import NamedTuple

from ..namespace import Array, array_namespace

__all__ = ["Krylov", "combined", "lanczos", "tridiagonal"]

BLOCK = 16  # vectors that are stored together


class Krylov(NamedTuple):
    """The first k steps of the process; the lists are those of the process, and grow with it."""

    basis: list[Array]
    """Vectors, (P,) each."""
    alpha: list[float]
    """The diagonal of the tridiagonal matrix."""
    beta: list[float]
    """What is beside the diagonal; k - 1 numbers."""
    length: float
    """``beta_k``, the length of what (1) leaves for the next vector; NaN if a product is not finite."""
    invariant: bool
    """Whether that is zero to rounding, or not finite: the process ends."""


def lanczos(
    operator: Callable[[Array], Array],
    inner: Callable[[Array, Array], Array],
    b: Array,
    mass: Array | float | None = None,
) -> Iterator[Krylov]:
    """Yield the process (1) after each product with the operator.

    Parameters
    ----------
    operator : callable
        Maps v, (P,), to A v.
    inner : callable
        Maps (u, v) to their inner product, 0-d, in which A is self-adjoint.
    b : array (P,)
        The first vector, not zero.
    mass : array (P,), float or None
        The diagonal of the inner product, if it has one and it is known: the products with all vectors are then one.
    """
    xp = array_namespace(b)
    eps = float(xp.finfo(b.dtype).eps)
    basis, alpha, beta = [b / float(inner(b, b)) ** 0.5], list[float](), list[float]()
    full: list[Array] = []  # the vectors, BLOCK to an array: none is copied a second time
    while True:
        u = operator(basis[-1])
        alpha.append(float(inner(basis[-1], u)))
        rest = basis[BLOCK * len(full) :]
        blocks = None if mass is None else [*full, xp.stack(rest)] if rest else full
        for _ in range(2):  # twice is enough
            if blocks is not None:
                for V in blocks:
                    u = u - (V @ (mass * u)) @ V
                continue
            for v in basis:
                u = u - inner(v, u) * v
        length, k = float(inner(u, u)) ** 0.5, len(basis)
        least = eps * k * max(map(abs, (*alpha, *beta)))
        invariant = k == b.shape[0] or not least < length < inf
        yield Krylov(basis, alpha, beta, length, invariant)
        if invariant:
            return
        beta.append(length)
        basis.append(u / length)
        if mass is not None and len(basis) == BLOCK * (len(full) + 1):
            full.append(xp.stack(basis[-BLOCK:]))
            basis[-BLOCK:] = [full[-1][i, :] for i in range(BLOCK)]  # views, where the library has them


def tridiagonal(space: Krylov) -> Array:
    """Return the matrix of the operator on a Krylov space, shape (k, k), symmetric, of the dtype of the basis.

    Parameters
    ----------
    space : Krylov
        The space.
    """
    xp, k = array_namespace(space.basis[0]), len(space.alpha)
    rows = [[0.0] * k for _ in range(k)]
    for i, x in enumerate(space.alpha):
        rows[i][i] = x
    for i, x in enumerate(space.beta):
        rows[i][i + 1] = rows[i + 1][i] = x
    return xp.asarray(rows, dtype=space.basis[0].dtype)


def combined(basis: list[Array], y: Array) -> Array:
    """Return the combination of the first vectors of a basis, (P,).

    Parameters
    ----------
    basis : list of array (P,)
        At least as many vectors as there are coefficients.
    y : array (k,)
        The coefficients.
    """
    d = y[0] * basis[0]
    for i in range(1, y.shape[0]):
        d = d + y[i] * basis[i]
    return d
