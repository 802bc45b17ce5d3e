r"""The damped Gauss-Newton step of a linearisation, from whichever side is smaller.

The increment of IEQ, and of Levenberg-Marquardt, is the d with

.. math:: \Bigl(\frac{A}{\Delta t} + J^* J\Bigr)\, d = -(J^* q + h), \qquad A = I + \Delta t\,(L + S),          \tag{1}

with J the (N, P) Jacobian, ``J^*`` its adjoint in the inner product of diagonal M, and ``h = L theta``. Three ways:

* **parameter**: (1) itself, made symmetric and scaled. With the diagonal ``D = M A / dt`` and ``B = J D^{-1/2}``,

  .. math:: (I + B^T B)\, D^{1/2} d = -(B^T q + D^{-1/2} M h).                                           \tag{2}

* **gram**: push-through to the side of the residuals,

  .. math::
     (I + \Delta t\, J A^{-1} J^*)\,\tilde q = q - \Delta t\, J A^{-1} h, \qquad
     d = -\Delta t\, A^{-1}(J^*\tilde q + h).                                                           \tag{3}

  When A is a number, ``J J^*`` comes in closed form and no Jacobian is stored.
* **cg**: conjugate gradients on (3), from products with J and ``J^*`` only.

All eigenvalues of the matrices in (2) and (3) are at least 1. A Cholesky factorisation of one whose largest eigenvalue
exceeds 1 / eps may fail all the same, or return NaN. Then the symmetric eigenvalue decomposition is used, with negative
eigenvalues, which can only be rounding, set to zero. The result is never NaN for finite data whose products do not overflow.

``J d`` is wanted beside d. On the gram side it is ``-K q~`` for the matrix K in (3), at the price of a small matrix times a
vector, but with an error of eps times the largest eigenvalue of K; where that bound is not small, the product with J is done.
"""

from __future__ import annotations

from typing import NamedTuple

from ..energies.linear import Diagonal, LinearPart, Scalar
from ..energies.protocols import Linearization
from ..namespace import Array, Namespace, array_namespace, is_numpy
from ..refusals import require_one_of
from .lapack import cholesky_solve

__all__ = ["SOLVERS", "DampedStep", "choose_solver", "damped_step"]

SOLVERS = ("auto", "gram", "parameter", "cg")
"""The ways to solve (1), and ``auto``, which chooses."""
DENSE_LIMIT = 3000  # side of the largest matrix that `auto` factorises: 72 MB and about 1 s in float64 on two cores
JACOBIAN_LIMIT = 2 * 10**7  # entries of the largest Jacobian that `auto` stores: 160 MB in float64


PATIENCE = 200  # products of conjugate gradients without progress; its residual has plateaus
GRAM_PRODUCT_LIMIT = 100.0  # trace of K up to which J d = -K q~ keeps all but two digits


class DampedStep(NamedTuple):
    """The step and what it does to the linearised residual."""

    d: Array
    """Solution of equation (1), (P,)."""
    J_d: Array
    """J d, (N,)."""


def choose_solver(n_residuals: int, n_parameters: int, *, closed_form: bool, diagonal: bool = True) -> str:
    """Return the solver that `auto` stands for.

    Parameters
    ----------
    n_residuals, n_parameters : int
        N and P.
    closed_form : bool
        Whether the Gram matrix needs no Jacobian (A is a number).
    diagonal : bool
        Whether A is diagonal, as the parameter side wants it.
    """
    jacobian_fits = n_residuals * n_parameters <= JACOBIAN_LIMIT
    if diagonal and n_parameters < n_residuals and n_parameters <= DENSE_LIMIT and jacobian_fits:
        return "parameter"
    if n_residuals <= DENSE_LIMIT and (closed_form or (jacobian_fits and diagonal)):
        return "gram"
    return "cg"


def damped_step(
    at: Linearization,
    q: Array,
    h: Array | None,
    A: LinearPart,
    dt: Scalar,
    *,
    mass: Array | float | None,
    n_parameters: int,
    solver: str = "auto",
    tol: float | None = None,
) -> DampedStep:
    """Return d of equation (1) and J d.

    Parameters
    ----------
    at : Linearization
        The linearisation with J.
    q : array (N,)
        The residual, or what stands for it.
    h : array (P,) or None
        L theta; None for zero.
    A : LinearPart
        L + S, so that the operator A of (1) is inverted by ``A.solve_shifted(., dt)``.
    dt : float or 0-d array
        Step size, > 0: 1 / damping.
    mass : float or array (P,) or None
        Diagonal of the inner product; None if it is not diagonal or not known, which leaves cg, and gram when A is a number.
    n_parameters : int
        P.
    solver : {"auto", "gram", "parameter", "cg"}
        Which of the three ways.
    tol : float, optional
        For cg, the relative residual to reach; 1e-12 in float64 and 1e-6 in float32 when left out.

    Raises
    ------
    ValueError
        If the solver is unknown, the parameter side is asked for and A or the inner product is not diagonal, or the gram side needs a Jacobian and
        the inner product is not diagonal.
    """
    require_one_of("solver", solver, SOLVERS)
    if solver == "auto":
        solver = choose_solver(
            q.shape[0],
            n_parameters,
            closed_form=A.scalar is not None,
            diagonal=mass is not None and (A.scalar is not None or isinstance(A, Diagonal)),
        )
    if solver == "parameter":
        d = _parameter_side(at, q, h, A, dt, mass)
        return DampedStep(d, at.jvp(d))
    A_h = None if h is None else A.solve_shifted(h, dt)
    J_h = None if A_h is None else -dt * at.jvp(A_h)
    b = q if J_h is None else q + J_h
    K = None
    if solver == "cg":
        q_tilde = _conjugate_gradients(at, b, A, dt, tol)
    else:
        K = _shifted_gram(at, A, dt, mass)
        q_tilde = _solve_identity_plus(K, b)
    d = -dt * A.solve_shifted(at.vjp(q_tilde), dt)  # (3)
    d = d if A_h is None else d - dt * A_h
    if K is not None and float(array_namespace(K).linalg.trace(K)) <= GRAM_PRODUCT_LIMIT:
        J_d = -(K @ q_tilde)
        return DampedStep(d, J_d if J_h is None else J_d + J_h)
    return DampedStep(d, at.jvp(d))


def _shifted_gram(at: Linearization, A: LinearPart, dt: Scalar, mass: Array | float | None) -> Array:
    """Return K = dt J A^{-1} J^*, (N, N)."""
    if A.scalar is not None:
        return (dt / (1 + dt * A.scalar)) * at.gram()
    if mass is None:
        raise ValueError("the gram solver with this linear part needs a problem with `mass`; use solver='cg'")
    J = at.jacobian()
    K = J @ A.solve_shifted(J / mass, dt).T  # `solve_shifted` acts along the last axis
    return dt * (K + K.T) / 2


def _parameter_side(
    at: Linearization, q: Array, h: Array | None, A: LinearPart, dt: Scalar, mass: Array | float | None
) -> Array:
    """Equation (2)."""
    diagonal = A.diagonal if isinstance(A, Diagonal) else A.scalar
    if diagonal is None or mass is None:
        raise ValueError(
            "the parameter-side solver needs a diagonal linear part and a problem with `mass`; use solver='gram' or 'cg'"
        )
    J = at.jacobian()
    xp = array_namespace(J)
    root = xp.sqrt(xp.ones(J.shape[1], dtype=J.dtype) * mass * (1 / dt + diagonal))
    B = J / root
    right = B.T @ q
    if h is not None:
        right = right + mass * h / root
    return -_solve_identity_plus(B.T @ B, right) / root


def _solve_identity_plus(K: Array, b: Array) -> Array:
    """Return (I + K)^{-1} b for a symmetric positive semi-definite K."""
    xp = array_namespace(K, b)
    M = K + xp.eye(K.shape[0], dtype=K.dtype)
    x = _cholesky_solve(xp, M, b)
    if x is not None and bool(xp.all(xp.isfinite(x))):
        return x
    if not bool(xp.all(xp.isfinite(K)) & xp.all(xp.isfinite(b))):
        return b + xp.sum(K) * 0  # non-finite data: hand it on, `solve` reports it
    values, vectors = xp.linalg.eigh((K + K.T) / 2)
    values = xp.where(values > 0, values, 0 * values)
    return vectors @ ((vectors.T @ b) / (1 + values))


def _cholesky_solve(xp: Namespace, M: Array, b: Array) -> Array | None:
    """Return M^{-1} b, or None if M is not numerically positive definite."""
    if is_numpy(M):
        return cholesky_solve(M, b)
    try:
        factor = xp.linalg.cholesky(M)
    except Exception:  # every library has its own LinAlgError
        return None
    return xp.linalg.solve(factor.T, xp.linalg.solve(factor, b))


def _conjugate_gradients(at: Linearization, b: Array, A: LinearPart, dt: Scalar, tol: float | None) -> Array:
    """Hestenes-Stiefel on equation (3).

    Stops when ``J^* r``, the residual of (1), has fallen by `tol`: the residual r itself keeps what is orthogonal to the range
    of J, and its norm is not monotone. Gives up after 2 N + 50 products, or `PATIENCE` without progress, or when rounding
    has taken over, and then returns the iterate with the smallest ``J^* r``; the line search of the scheme that called makes
    its energy fall however far that is from the solution.
    """
    xp = array_namespace(b)
    tol = tol if tol is not None else (1e-6 if xp.finfo(b.dtype).bits == 32 else 1e-12)
    x, r, rho = 0 * b, b, b @ b
    u = at.vjp(r)
    p, J_p = r, u
    best, least, waited = x, float(u @ u), 0
    target, limit = tol**2 * least, float(rho) / float(xp.finfo(b.dtype).eps) ** 2
    for _ in range(2 * b.shape[0] + 50):
        if not (least > target and 0 < float(rho) < limit and waited < PATIENCE):
            break
        A_p = p + dt * at.jvp(A.solve_shifted(J_p, dt))
        alpha = rho / (p @ A_p)
        x, r = x + alpha * p, r - alpha * A_p
        rho, rho_old = r @ r, rho
        u = at.vjp(r)
        size = float(u @ u)
        best, least, waited = (x, size, 0) if size < least else (best, least, waited + 1)
        p, J_p = r + (rho / rho_old) * p, u + (rho / rho_old) * J_p
    return best
