"""Decompositions that never raise, and LAPACK's Cholesky solve, kept out of the way of NumPy's BLAS threads.

The decompositions of NumPy raise an exception of their own for some matrices that are not finite, and return numbers for
others. `eigh` and `svd` return NaN for each of them, which reaches the state and becomes a `Status`.

The wheels of NumPy and SciPy bring one OpenBLAS each, with a pool of threads of its own. After a matrix product the
threads of NumPy's pool keep spinning for some 25 ms, and a threaded SciPy call made meanwhile competes with them for
the cores: on two cores a factorisation of order 256 then takes 18 ms instead of 0.4. SciPy's pool is therefore held at
one thread for the duration of the call, if it is a pool apart.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ..namespace import Array, array_namespace, blas_pools

__all__ = ["cholesky_factor", "cholesky_solve", "eigh", "plus_identity", "svd"]


def eigh(A: Array) -> tuple[Array, Array]:
    """Return the eigenvalues, (..., n), in ascending order, and the eigenvectors, (..., n, n); NaN if A is not finite.

    Parameters
    ----------
    A : array (..., n, n)
        Symmetric matrices. One that is not finite makes all results NaN.
    """
    xp = array_namespace(A)
    if bool(xp.all(xp.isfinite(A))):
        try:
            values, vectors = xp.linalg.eigh(A)
            return values, vectors
        except np.linalg.LinAlgError:  # no convergence
            pass
    nan = xp.full_like(A, float("nan"))
    return nan[..., 0], nan


def svd(A: Array) -> tuple[Array, Array, Array]:
    """Return U, (m, k), sigma, (k,), in descending order, and V^T, (k, n), with k = min(m, n); NaN if A is not finite.

    Parameters
    ----------
    A : array (m, n)
        A matrix.
    """
    xp, k = array_namespace(A), min(A.shape)
    if bool(xp.all(xp.isfinite(A))):
        try:
            U, sigma, Vt = xp.linalg.svd(A, full_matrices=False)
            return U, sigma, Vt
        except np.linalg.LinAlgError:  # no convergence
            pass
    nan = xp.full_like(A, float("nan"))
    return nan[:, :k], nan[0, :k] if k == A.shape[1] else nan[:k, 0], nan[:k, :]


def plus_identity(K: Array, shift: float = 1.0) -> Array:
    """Return K + shift I, a new C-ordered NumPy array (N, N), without forming the identity.

    Parameters
    ----------
    K : array (N, N)
        A matrix; not written to.
    shift : float
        The multiple of the identity.
    """
    M = K.copy(order="C")
    M.reshape(-1)[:: M.shape[0] + 1] += shift
    return M


def cholesky_solve(M: Array, b: Array) -> Array | None:
    """Return M^{-1} b, shape (N,), for NumPy arrays, or None if M is not numerically positive definite.

    Parameters
    ----------
    M : array (N, N)
        Symmetric, C-ordered, float32 or float64; overwritten.
    b : array (N,)
        Right-hand side, of the same dtype.
    """
    solve = cholesky_factor(M)
    return None if solve is None else solve(b)


def cholesky_factor(M: Array) -> Callable[[Array], Array] | None:
    """Return the function b -> M^{-1} b, (N,), for NumPy arrays, or None if M is not numerically positive definite.

    Parameters
    ----------
    M : array (N, N)
        Symmetric, C-ordered, float32 or float64; overwritten.
    """
    potrf, potrs = _routines(M.dtype.char)
    # a C-ordered symmetric matrix is its own transpose in Fortran order: no copy is made
    factor, info = _alone(potrf, M.T, lower=True, overwrite_a=True, clean=False)
    return None if info != 0 else lambda b: _alone(potrs, factor, b, lower=True)[0]


def _alone(routine: Any, *arguments: Any, **options: Any) -> Any:
    """Call a routine of SciPy's LAPACK on one thread, if its pool of threads is one apart."""
    pools = _separate_pools()
    threads = [pool.get_num_threads() for pool in pools]
    for pool in pools:
        pool.set_num_threads(1)
    try:
        return routine(*arguments, **options)
    finally:
        for pool, n in zip(pools, threads, strict=True):
            pool.set_num_threads(n)


@cache
def _routines(char: str) -> tuple[Any, Any]:
    """Return factorisation and solve for a dtype; looking them up takes as long as a small solve."""
    from scipy.linalg.lapack import get_lapack_funcs

    return tuple(get_lapack_funcs(("potrf", "potrs"), dtype=char))


@cache
def _separate_pools() -> tuple[Any, ...]:
    """Return the BLAS libraries that SciPy brought for itself, none where it shares NumPy's."""
    import scipy.linalg  # noqa: F401  so that its libraries are loaded

    libraries = blas_pools().lib_controllers
    if len(libraries) < 2:
        return ()
    return tuple(library for library in libraries if "scipy.libs" in str(library.filepath))
