r"""The damped Gauss-Newton step of a linearisation, by the smaller of two linear systems.

The increment of IEQ, and of Levenberg-Marquardt, is the d with

.. math:: \Bigl(\frac{A}{\Delta t} + J^* J\Bigr)\, d = -(J^* q + h), \qquad A = I + \Delta t\,(L + S),          \tag{1}

with J the (N, P) Jacobian, ``J^*`` its adjoint in the inner product of diagonal M, and ``h = L theta``. There are three
solvers:

* **parameter**: (1) itself, made symmetric and scaled. With the diagonal ``D = M A / dt`` and ``B = J D^{-1/2}``,

  .. math:: (I + B^T B)\, D^{1/2} d = -(B^T q + D^{-1/2} M h).                                           \tag{2}

* **gram**: push-through to the side of the residuals,

  .. math::
     (I + \Delta t\, J A^{-1} J^*)\,\tilde q = q - \Delta t\, J A^{-1} h, \qquad
     d = -\Delta t\, A^{-1}(J^*\tilde q + h).                                                           \tag{3}

  If A is a number, ``J J^*`` has a closed form and no Jacobian is stored.
* **cg**: conjugate gradients on (3), from products with J and ``J^*`` only.

All eigenvalues of the matrices in (2) and (3) are at least 1. A Cholesky factorisation of one whose largest eigenvalue
exceeds 1 / eps may nevertheless fail, or return NaN. Then the symmetric eigenvalue decomposition is used; negative
eigenvalues are rounding errors and are set to zero. The result is never NaN for finite data whose products do not
overflow.

The choice of ``auto``. It takes the side with the smaller matrix, if that can be factorised (`choose_solver`), or
conjugate gradients if they are expected to cost less. The estimate needs two quantities that a linearisation may
declare (`gradflow.energies.protocols.Estimated`): the trace of ``J J^*``, which is computed without forming a matrix,
and the cost of products and of the Gram matrix. Let c be the number of which ``L + S`` is a multiple of the identity,
or 0. Then the trace of K in (3), and of ``B^T B`` in (2), is at most

.. math:: t = \frac{\Delta t}{1 + \Delta t\,c}\, \operatorname{tr} J J^*.                                    \tag{4}

From t and the tolerance, `gradflow.curvature.iteration_bound` bounds the number of iterations that reduce the error. An
iteration is a pair of products, one with J and one with ``J^*``. The number of iterations was at most the bound in all
measured runs, and mostly 0.2 to 0.5 of it. ``auto`` therefore takes conjugate gradients if *half the bound* costs less
than the matrix and its factorisation. If the bound is attained, the step takes up to twice as long as with the matrix.
The tolerance is that of ``cg``.

Example 1 of Ma, Mao & Shen (2024), D = 40, width 1000, one core: the time of a step with cg over that with gram. A star
marks the cases in which ``auto`` takes cg. ``dense`` is the declared cost of the matrix and its factorisation, in pairs
of products.

=======  ====  =====  =======  =======  =======  =======
dtype    N     dense  t = 0.8  t = 8    t = 40   t = 400
=======  ====  =====  =======  =======  =======  =======
float32  512   5.6    0.61 *   0.76     1.21     2.75
float32  1024  12     0.21 *   0.40 *   0.58 *   1.35
float32  2048  27     0.14 *   0.20 *   0.34 *   0.64 *
float64  512   5.6    1.05     1.63     2.80     5.17
float64  1024  12     0.64 *   0.83 *   1.41     3.44
float64  2048  27     0.26 *   0.42 *   0.67 *   1.08
=======  ====  =====  =======  =======  =======  =======

(``python benchmarks/choices.py solvers``.) With N = 256 the matrix costs less than three pairs, and no estimate is
made. An iteration takes 30 microseconds in addition to its products, so small systems are factorised. At large dt the
matrix is used.

The result includes ``J d``. On the gram side (with h = 0) it is ``-K q~`` for the matrix K in (3). This costs only a
small matrix times a vector, but has an error of eps times the largest eigenvalue of K. If that bound is not small, J is
applied to d.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

from ..description import found
from ..energies.linear import Diagonal, LinearPart, Scalar
from ..energies.protocols import Linearization, Problem, Solving, estimates, problem_ability
from ..namespace import Array, Namespace, array_namespace, is_numpy
from ..refusals import one_of
from .iteration_bound import iteration_bound
from .lapack import cholesky_solve, eigh, plus_identity

__all__ = [
    "SOLVERS",
    "DampedStep",
    "DampedSystem",
    "InexactSolver",
    "choose_solver",
    "damped_step",
    "solve_identity_plus",
]

SOLVERS = ("auto", "gram", "parameter", "cg")
"""The solvers of (1), and ``auto``, which chooses one."""
DENSE_LIMIT = 3000  # side of the largest matrix that `auto` factorises: 72 MB and about 1 s in float64 on two cores
JACOBIAN_LIMIT = 2 * 10**7  # entries of the largest Jacobian that `auto` stores: 160 MB in float64
BOUND_OVER_COUNT = 2.0  # of `iteration_bound` over the iterations that `auto` expects
ITERATION_OVERHEAD = (
    5e5  # multiply-adds in the time that an iteration takes whatever the sizes are, some 30 microseconds
)
FEWEST_PAIRS = 3.0  # pairs of products for which `auto` looks at the trace: below, no bound is small enough

PATIENCE = 200  # products of conjugate gradients without progress; its residual has plateaus
GRAM_PRODUCT_LIMIT = 100.0  # trace of K up to which J d = -K q~ keeps all but two digits


class DampedStep(NamedTuple):
    """The step, and the change of the linearised residual."""

    d: Array
    """Solution of equation (1), (P,)."""
    J_d: Array
    """J d, (N,)."""


class DampedSystem(NamedTuple):
    """The system (1) of one step, and where it comes from."""

    problem: Problem
    """The energy, with its inner product."""
    theta: Array
    """Where J is taken, (P,)."""
    at: Linearization
    """The linearisation with J."""
    q: Array
    """The residual, or the auxiliary variable in its place, (N,)."""
    h: Array | None
    """L theta, (P,); None for zero."""
    A: LinearPart
    """L + S."""
    dt: Scalar
    """Step size."""
    tol: float | None
    """Tolerance of conjugate gradients; None for the usual one."""

    def jacobian(self) -> Array | None:
        """Return J, (N, P), or None if it has too many entries to be stored."""
        few = self.q.shape[0] * self.theta.shape[0] <= JACOBIAN_LIMIT
        return self.at.jacobian() if few else None

    def mass_for(self, what: str) -> Array | float:
        """Return the diagonal of the inner product, a number or (P,).

        Parameters
        ----------
        what : str
            What needs it, for the message.

        Raises
        ------
        ValueError
            If it is not diagonal or not known.
        """
        mass: Array | float | None = problem_ability(self.problem, "mass")
        if mass is None:
            raise ValueError(f"{what} needs a problem with a diagonal inner product, declared as `mass`")
        return mass

    def diagonal_for(self, what: str) -> Array | float:
        """Return the diagonal of L + S, a number or (P,).

        Parameters
        ----------
        what : str
            What needs it, for the message.

        Raises
        ------
        ValueError
            If L + S is neither a number nor a `Diagonal`.
        """
        diagonal = self.A.diagonal if isinstance(self.A, Diagonal) else self.A.scalar
        if diagonal is None:
            raise ValueError(f"{what} needs a diagonal linear part, got {found(self.A)}")
        return diagonal


@runtime_checkable
class InexactSolver(Protocol):
    """An approximate solver of (1) for `gradflow.IEQ`, whose scaling tau makes its law exact for every direction.

    The library has `gradflow.curvature.BlockSweep`, `gradflow.curvature.ColumnSketch` and `gradflow.curvature.RowSketch`.
    """

    def direction(self, system: DampedSystem) -> DampedStep:
        """Return an approximate solution d of (1), and J d.

        Parameters
        ----------
        system : DampedSystem
            The system of a step.

        Raises
        ------
        ValueError
            If the solver does not suit the problem.
        """


def choose_solver(n_residuals: int, n_parameters: int, *, closed_form: bool, diagonal: bool = True) -> str:
    """Return the solver that `auto` chooses by the sizes alone.

    Parameters
    ----------
    n_residuals, n_parameters : int
        N and P.
    closed_form : bool
        Whether the Gram matrix needs no Jacobian (A is a number).
    diagonal : bool
        Whether A is diagonal, as the parameter side requires.
    """
    jacobian_fits = n_residuals * n_parameters <= JACOBIAN_LIMIT
    if diagonal and n_parameters < n_residuals and n_parameters <= DENSE_LIMIT and jacobian_fits:
        return "parameter"
    if n_residuals <= DENSE_LIMIT and (closed_form or (jacobian_fits and diagonal)):
        return "gram"
    return "cg"


@runtime_checkable
class _InOneInnerProduct(Protocol):
    """A linearization that is solved with in the inner product of its problem only: one on symbols."""

    def require_mass(self, mass: Any) -> None: ...


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
        The residual, or the auxiliary variable in its place.
    h : array (P,) or None
        L theta; None for zero.
    A : LinearPart
        L + S, so that the operator A of (1) is inverted by ``A.solve_shifted(., dt)``.
    dt : float or 0-d array
        Step size, > 0: 1 / damping.
    mass : float or array (P,) or None
        Diagonal of the inner product; None if it is not diagonal or not known. Then only cg is possible, and gram if A
        is a number.
    n_parameters : int
        P.
    solver : {"auto", "gram", "parameter", "cg"}
        The solver.
    tol : float, optional
        For cg, the relative residual to reach; by default 1e-12 in float64 and 1e-6 in float32.

    Raises
    ------
    ValueError
        If the solver is unknown; if the linearisation tells the mass of its problem, and it is another one; if the parameter side is given and A or the inner product is not diagonal; or if the
        gram side needs a Jacobian and the inner product is not diagonal.
    """
    one_of("solver", solver, SOLVERS)
    if isinstance(at, _InOneInnerProduct):
        at.require_mass(mass)
    if isinstance(at, Solving):
        d = at.solve_damped(q, h, A, dt)
        return DampedStep(d, at.jvp(d))
    of_symbols = getattr(array_namespace(q), "solve_damped", None)
    if of_symbols is not None and (d := of_symbols(at, q, h, A, dt)) is not None:
        return DampedStep(d, at.jvp(d))
    if solver == "auto":
        solver = choose_solver(
            q.shape[0],
            n_parameters,
            closed_form=A.scalar is not None,
            diagonal=mass is not None and (A.scalar is not None or isinstance(A, Diagonal)),
        )
        if solver != "cg" and _products_pay(at, solver, q, n_parameters, A, dt, tol):
            solver = "cg"
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
        q_tilde = solve_identity_plus(K, b)
    d = -dt * A.solve_shifted(at.vjp(q_tilde), dt)  # (3)
    d = d if A_h is None else d - dt * A_h
    if K is not None and float(array_namespace(K).linalg.trace(K)) <= GRAM_PRODUCT_LIMIT:
        J_d = -(K @ q_tilde)
        return DampedStep(d, J_d if J_h is None else J_d + J_h)
    return DampedStep(d, at.jvp(d))


def _products_pay(
    at: Linearization, side: str, q: Array, n_parameters: int, A: LinearPart, dt: Scalar, tol: float | None
) -> bool:
    """Return whether conjugate gradients are expected to cost less than the matrix of a side and its factorisation."""
    known = estimates(at)
    if known is None:
        return False
    N, P = q.shape[0], n_parameters
    if side == "parameter":
        dense = N * P**2 / 2 + P**3 / 6
    else:
        dense = (known.work.gram if A.scalar is not None else N**2 * P) + N**3 / 6
    pairs = dense / (known.work.products + ITERATION_OVERHEAD)
    if pairs < FEWEST_PAIRS:
        return False
    t = float((dt / (1 + dt * (A.scalar or 0.0))) * known.gram_trace())
    most = BOUND_OVER_COUNT * pairs
    return bool(iteration_bound(t, _tolerance(q, tol), most) <= most)


def _tolerance(b: Array, tol: float | None) -> float:
    """Return the tolerance of conjugate gradients, by default that of the dtype."""
    if tol is not None:
        return tol
    return 1e-6 if array_namespace(b).finfo(b.dtype).bits == 32 else 1e-12


def _shifted_gram(at: Linearization, A: LinearPart, dt: Scalar, mass: Array | float | None) -> Array:
    """Return K = dt J A^{-1} J^*, (N, N)."""
    if A.scalar is not None:
        return (dt / (1 + dt * A.scalar)) * at.gram()
    if mass is None:
        raise ValueError("the gram solver with this linear part needs a problem with `mass`; use solver='cg'")
    J = at.jacobian()
    K = J @ A.solve_shifted(J / mass, dt).T  # `solve_shifted` acts along the last axis
    K = K + K.T
    K *= dt / 2
    return K


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
    K, right = B.T @ B, B.T @ q
    del B  # as large as J, and not needed any more
    if h is not None:
        right = right + mass * h / root
    return -solve_identity_plus(K, right) / root


def solve_identity_plus(K: Array, b: Array) -> Array:
    """Return (I + K)^{-1} b, (N,), for a symmetric positive semi-definite K; NaN for data that are not finite.

    Parameters
    ----------
    K : array (N, N)
        The matrix.
    b : array (N,)
        The right-hand side.
    """
    xp = array_namespace(K, b)
    x = _cholesky_solve(xp, _identity_plus(xp, K), b)
    if x is not None and bool(xp.all(xp.isfinite(x))):
        return x
    if not bool(xp.all(xp.isfinite(K)) & xp.all(xp.isfinite(b))):
        return b + xp.sum(K) * 0  # non-finite data: pass it on, `solve` reports it
    values, vectors = eigh((K + K.T) / 2)
    values = xp.where(values > 0, values, 0 * values)
    return vectors @ ((vectors.T @ b) / (1 + values))


def _identity_plus(xp: Namespace, K: Array) -> Array:
    """Return I + K, a new array (N, N); no identity matrix is formed."""
    if is_numpy(K):
        return plus_identity(K)
    i = xp.arange(K.shape[0])
    return xp.where(i[:, None] == i[None, :], (xp.linalg.diagonal(K) + 1)[:, None], K)


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

    The iteration stops when ``J^* r``, the residual of (1), has fallen by `tol`. (The norm of r itself is not monotone,
    and its part orthogonal to the range of J does not fall.) It also stops after 2 N + 50 products, after `PATIENCE`
    products without progress, or when rounding dominates, and then returns the iterate with the smallest ``J^* r``. The
    line search of the calling scheme makes its energy fall for any such iterate.
    """
    xp = array_namespace(b)
    tol = _tolerance(b, tol)
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
