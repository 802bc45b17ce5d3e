# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Linear algebra of the damped step
#
# `gradflow.curvature.damped_step` solves
#
# $$\Bigl(\frac{A}{\Delta t} + J^*J\Bigr) d = -(J^*q + h), \qquad A = I + \Delta t\,(L + S), \tag{1}$$
#
# on the side of the parameters, or on that of the residuals. The two agree by the push-through identity
# $(I + AB)^{-1}A = A(I + BA)^{-1}$, a corollary of Woodbury's. All identities are shown in the free algebra: the
# letters do not
# commute, have no size, and satisfy only the relations that are written down, so that the result holds for maps
# between any
# spaces for which the products make sense. An identity that needs relations $r_i = 0$ is shown by a certificate
#
# $$\text{left} - \text{right} = \sum_i u_i\, r_i\, v_i,$$
#
# in which the expansion of both sides is compared word by word.

# %%
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import sympy as sp

from gradflow.energies.dense import DenseLinearization
from gradflow.energies.linear import Diagonal, Matrix, Operator, Shift, Shifted, Zero
from gradflow.energies.protocols import Work
from gradflow.proofs import check
from gradflow.symbolic import Map, Space, is_zero, symbols

module = import_module("gradflow.curvature.damped_step")
ANY = "free algebra: every size, every maps between any spaces"
dt = sp.Symbol("dt", positive=True)


def letters(names):
    """Return letters that do not commute."""
    return sp.symbols(names, commutative=False)


def same(left, right):
    """Return True if two elements of the free algebra have the same expansion."""
    return sp.expand(left - right) == 0


def product(X, Y):
    """Return the product of two block matrices over the free algebra."""
    return [
        [sum((x * y for x, y in zip(row, column, strict=True)), sp.Integer(0)) for column in zip(*Y, strict=True)]
        for row in X
    ]


def all_same(X, Y):
    """Return True if two block matrices are the same."""
    return all(same(x, y) for row, other in zip(X, Y, strict=True) for x, y in zip(row, other, strict=True))


# %% [markdown]
# ## Push-through and Woodbury
#
# $A(I + BA) = A + ABA = (I + AB)A$. If $I + AB$ has the inverse X, then $I + BA$ has the inverse $I - BXA$, and
# $XA = A(I - BXA)$.


# %%
@check("identity", ANY, proves=("C000-03",))
def push_through():
    """A (I + BA) = (I + AB) A; if X = (I + AB)^-1 then Y = I - B X A is (I + BA)^-1, and X A = A Y."""
    A, B, X, Y = letters("A B X Y")
    assert same(A * (1 + B * A), (1 + A * B) * A)
    assert not same(A * (1 + A * B), (1 + A * B) * B)
    right, left = (1 + A * B) * X - 1, X * (1 + A * B) - 1  # both are 0
    made = 1 - B * X * A
    assert same((1 + B * A) * made - 1, -B * right * A)
    assert same(made * (1 + B * A) - 1, -B * left * A)
    # X A = A Y for any right inverse Y of I + BA
    of_Y = (1 + B * A) * Y - 1
    assert same(X * A - A * Y, -X * A * of_Y + left * A * Y)


@check("identity", ANY, proves=("C000-04",))
def push_through_of_the_step():
    """dt J^* (I + dt J J^*)^-1 = (I + dt J^* J)^-1 dt J^*, so -dt J^* q_new of one side is the d of the other."""
    J, T, X, Y, q = letters("J T X Y q")  # T = J^*
    X_relation = (1 + dt * J * T) * X - 1
    Y_relation = Y * (1 + dt * T * J) - 1
    assert same(dt * T * X - Y * dt * T, -Y_relation * dt * T * X + Y * dt * T * X_relation)
    # d = -dt T X q satisfies (1/dt + T J) d = -T q
    d = -dt * T * X * q
    assert same(d / dt + T * J * d + T * q, -T * X_relation * q)


@check("identity", ANY)
def woodbury():
    """(A + U C V)^-1 = A^-1 - A^-1 U (C^-1 + V A^-1 U)^-1 V A^-1, as a right and as a left inverse."""
    A, a, C, k, U, V, M = letters("A a C k U V M")  # a = A^-1, k = C^-1, M = (k + V a U)^-1
    inverse = a - a * U * M * V * a
    right = (A + U * C * V) * inverse - 1
    certificate = (
        (A * a - 1) * (1 - U * M * V * a) + U * C * (1 - (k + V * a * U) * M) * V * a + U * (C * k - 1) * M * V * a
    )
    assert same(right, certificate)
    left = inverse * (A + U * C * V) - 1
    certificate = (
        (1 - a * U * M * V) * (a * A - 1) + a * U * (1 - M * (k + V * a * U)) * C * V + a * U * M * (k * C - 1) * V
    )
    assert same(left, certificate)
    # A = C = 1: the inverse that push-through gives
    B = letters("B")
    assert same(inverse.subs({a: 1, U: B}, simultaneous=True), 1 - B * M * V)


# %% [markdown]
# ## Sylvester's determinant
#
# The block matrix $\begin{pmatrix} I & -B \\ A & I \end{pmatrix}$ has two factorisations into unit triangular and
# block diagonal
# factors. The determinant of a unit triangular matrix is 1, whatever the sizes of the blocks, so
#
# $$\det(I + AB) = \det\begin{pmatrix} I & -B \\ A & I \end{pmatrix} = \det(I + BA).$$
#
# With $A = \Delta t\,J$ and $B = J^*$: all eigenvalues of $I + \Delta t\,JJ^*$ are at least 1, so the determinant is
# at least 1, and both systems have
# one solution.


# %%
@check("argument", ANY)
def sylvester_determinant():
    """det(I + AB) = det(I + BA): the lower-diagonal-upper and upper-diagonal-lower factorisations of [[I, -B], [A, I]]."""
    A, B = letters("A B")
    whole = [[1, -B], [A, 1]]
    lower, upper = [[1, 0], [A, 1]], [[1, -B], [0, 1]]
    assert all_same(product(product(lower, [[1, 0], [0, 1 + A * B]]), upper), whole)
    assert all_same(product(product(upper, [[1 + B * A, 0], [0, 1]]), lower), whole)
    assert not all_same(product(product(lower, [[1 + B * A, 0], [0, 1]]), upper), whole)


@check("identity", "symbolic sizes N and P for the shapes; sizes up to 2 x 3 for the determinants")
def sizes_match():
    """With J of size N x P the products have the sizes claimed, and det(I + dt J J^T) = det(I + dt J^T J) for N, P up to 2, 3."""
    N, P = sp.symbols("N P", integer=True, positive=True)
    J = sp.MatrixSymbol("J", N, P)
    gram, normal = sp.Identity(N) + J * J.T, sp.Identity(P) + J.T * J
    assert gram.shape == (N, N)
    assert normal.shape == (P, P)
    assert (J.T * gram).shape == (normal * J.T).shape == (P, N)
    assert (J.T * gram).expand() == (normal * J.T).expand()
    for n, p in ((1, 1), (1, 2), (2, 1), (2, 2), (2, 3)):
        matrix = sp.Matrix(n, p, list(symbols("j", n * p)))
        left = (sp.eye(n) + dt * matrix * matrix.T).det()
        assert is_zero(left - (sp.eye(p) + dt * matrix.T * matrix).det())
        # a sum of 1 and squares of minors (Cauchy-Binet)
        minors = [dt * x**2 for x in matrix]
        if n == 2:
            minors += [dt**2 * matrix.extract([0, 1], [i, j]).det() ** 2 for i in range(p) for j in range(i + 1, p)]
        assert is_zero(left - 1 - sum(minors))
        assert all(x.is_nonnegative for x in minors)


@check("squares", "every dimension and inner product, every L and S")
def systems_are_positive_definite():
    """(u, (A/dt + J^* J) u) = |u|^2/dt + ((L + S)u, u) + |Ju|^2 and (v, (I + dt J A^-1 J^*) v) = |v|^2 + dt ((A^-1 J^* v), J^* v)."""
    P, N = Space("P"), Space("N")
    J, L, S = Map.between("J", P, N), P.operator("L"), P.operator("S")
    u, v = P.vector("u"), N.vector("v")
    form = P.inner(u, u / dt + L(u) + S(u) + J.adjoint(J(u)))
    assert is_zero(form - P.inner(u, u) / dt - P.inner(L(u) + S(u), u) - J(u) @ J(u))
    assert (form - P.inner(u, u) / dt).is_nonnegative
    w = (L + S).solve_shifted(J.adjoint(v), dt)  # A w = J^* v
    form = v @ (v + dt * J(w))
    assert is_zero(form - v @ v - dt * P.inner(w, w) - dt**2 * P.inner(w, L(w) + S(w)))
    assert (form - v @ v).is_nonnegative


# %% [markdown]
# ## The two sides of the damped step
#
# With $W = A^{-1}$, $(I + \Delta t\,JWJ^*)\tilde q = q - \Delta t\,JWh$ and $d = -\Delta t\,W(J^*\tilde q + h)$:
#
# $$\Bigl(\frac{A}{\Delta t} + J^*J\Bigr)d = -J^*\tilde q - h - \Delta t\,J^*JW(J^*\tilde q + h)
#   = -J^*\bigl[(I + \Delta t\,JWJ^*)\tilde q + \Delta t\,JWh\bigr] - h = -(J^*q + h).$$
#
# Nothing is used but $AW = I$: A may be $I + \Delta t\,(L + S)$ with L and S that do not commute.


# %%
@check("identity", ANY + ", A = I + dt (L + S)")
def gram_side_solves_the_parameter_side():
    """d = -dt A^-1 (J^* q~ + h) with (I + dt J A^-1 J^*) q~ = q - dt J A^-1 h solves (1), and J d = -K q~ - dt J A^-1 h."""
    J, T, W, L, S, q, h, x = letters("J T W L S q h x")  # T = J^*, W = A^-1, x = q~
    A = 1 + dt * (L + S)
    A_relation = A * W - 1
    x_relation = (1 + dt * J * W * T) * x - (q - dt * J * W * h)
    d = -dt * W * (T * x + h)
    equation = A * d / dt + T * J * d + T * q + h
    assert same(equation, -A_relation * (T * x + h) - T * x_relation)
    assert same(J * d, -dt * J * W * T * x - dt * J * W * h)
    # and the other way round: x = q + J d belongs to the solution of (1)
    d = letters("d")
    W_relation = W * A - 1
    equation = A * d / dt + T * J * d + T * q + h
    x = q + J * d
    assert same((1 + dt * J * W * T) * x - (q - dt * J * W * h) - dt * J * W * equation, -J * W_relation * d)


@check("identity", "every dimension and inner product, every L and S")
def both_sides_on_abstract_vectors():
    """The same in the inner products of the two spaces, J^* being the adjoint and A^-1 known by its equation only."""
    P, N = Space("P"), Space("N")
    J, L, S = Map.between("J", P, N), P.operator("L"), P.operator("S")
    x, h = N.vector("x"), P.vector("h")
    u, a = (L + S).solve_shifted(J.adjoint(x), dt), (L + S).solve_shifted(h, dt)
    q = x + dt * J(u) + dt * J(a)  # the gram side, read as a definition of q
    d = -dt * (u + a)
    assert is_zero(d / dt + L(d) + S(d) + J.adjoint(J(d)) + J.adjoint(q) + h)
    assert is_zero(q + J(d) - x)  # so q~ is the new residual


# %% [markdown]
# ## The code
#
# `damped_step` runs on arrays of numbers. Below it runs on symbols: what it asks of an array library (a unit matrix,
# a trace, a
# solver) is handed to it in exact form.


# %%
@contextmanager
def exact_arithmetic(trace: int) -> Iterator[None]:
    """Let `damped_step` work on object arrays, its linear systems solved exactly; `trace` picks how it finds J d."""
    eye = lambda n, dtype=None: np.array(sp.eye(n).tolist(), dtype=object)  # noqa: E731
    library = SimpleNamespace(
        sqrt=np.frompyfunc(lambda x: sp.sqrt(sp.cancel(x)), 1, 1),
        ones=lambda n, dtype=None: np.array([sp.Integer(1)] * n, dtype=object),
        eye=eye,
        linalg=SimpleNamespace(trace=lambda K: trace),
        finfo=lambda dtype: SimpleNamespace(bits=64, eps=2.0**-52),
    )

    def solve(K, b):
        matrix = sp.Matrix(K + eye(len(b)))
        return np.array([sp.cancel(x) for x in matrix.adjugate() * sp.Matrix(list(b)) / matrix.det()], dtype=object)

    before = module.array_namespace, module.solve_identity_plus
    module.array_namespace, module.solve_identity_plus = lambda *arrays: library, solve
    try:
        yield
    finally:
        module.array_namespace, module.solve_identity_plus = before


class Explicit:
    """A linearisation with the Jacobian J, in the inner product of diagonal mass."""

    def __init__(self, J, mass):
        self.J, self.mass = J, mass

    def jacobian(self):
        """Return J."""
        return self.J

    def gram(self):
        """Return J J^*."""
        return (self.J / self.mass) @ self.J.T

    def jvp(self, d):
        """Return J d."""
        return self.J @ d

    def vjp(self, u):
        """Return J^* u."""
        return (self.J.T @ u) / self.mass


class Multiple:
    """The operator L + S = scalar I, with an exact number."""

    def __init__(self, scalar):
        self.scalar = scalar

    def apply(self, u):
        """Return scalar u."""
        return self.scalar * u

    def solve_shifted(self, u, step):
        """Return u / (1 + step scalar)."""
        return u / (1 + step * self.scalar)


def solves(at, q, h, A, step, found):
    """Return True if d solves (1) and J_d is J d."""
    d, J_d = found
    residual = d / step + A.apply(d) + at.vjp(at.jvp(d)) + at.vjp(q) + (0 if h is None else h)
    return is_zero(residual) and is_zero(J_d - at.jvp(d))


@check("identity", "(N, P) = (1, 2) and (2, 1), symbolic J, q, h, mass, diagonal A and dt; both ways to J d")
def code_of_both_sides():
    """`damped_step` by "gram" and by "parameter" returns the solution of (1) and J d, with and without h."""
    for n, p in ((1, 2), (2, 1)):
        J, q, h = symbols("j", n * p).reshape(n, p), symbols("q", n), symbols("h", p)
        mass, root = symbols("m", p, positive=True), symbols("w", p, positive=True)
        diagonal = root**2 / mass - 1 / dt  # w is the root that the parameter side takes
        at = Explicit(J, mass)
        A = Diagonal(diagonal)
        for solver, trace in (("gram", 0), ("gram", 1000), ("parameter", 0)):
            for shift in (None, h):
                with exact_arithmetic(trace):
                    found = module.damped_step(at, q, shift, A, dt, mass=mass, n_parameters=p, solver=solver)
                assert solves(at, q, shift, A, dt, found)


@check("identity", "(N, P) = (2, 3) and (3, 2), exact numbers, A a number or diagonal")
def code_of_all_solvers():
    """On exact numbers "gram", "parameter" and "auto" solve (1) exactly, and so does "cg", after at most N products."""
    R = sp.Rational
    J = np.array([[R(1), R(2), R(-1, 2)], [R(3), R(-1), R(1, 3)]], dtype=object)
    three, two = np.array([R(2), R(-1), R(1, 5)], dtype=object), np.array([R(1), R(1, 3)], dtype=object)
    for matrix, q, h in ((J, two, three), (J.T, three, two)):
        p = len(h)
        mass = np.array([R(k + 1, 2) for k in range(p)], dtype=object)
        at = Explicit(matrix, mass)
        diagonal = Diagonal(np.array([R(1, k + 2) for k in range(p)], dtype=object))
        for A in (Multiple(R(0)), Multiple(R(1, 2)), diagonal):
            for solver in ("gram", "parameter", "auto", "cg"):
                for shift in (None, h):
                    with exact_arithmetic(0):
                        found = module.damped_step(
                            at, q, shift, A, R(3), mass=mass, n_parameters=p, solver=solver, tol=1e-12
                        )
                    assert solves(at, q, shift, A, R(3), found)


class Costly(Explicit):
    """A linearisation that declares the trace of its Gram matrix and the cost of its products."""

    def __init__(self, J, mass, trace, work):
        super().__init__(J, mass)
        self.trace, self.work = trace, work

    def gram_trace(self):
        """Return the trace of J J^*."""
        return self.trace


@check(
    "run", "3 residuals and 2 parameters, and the reverse; L + S a number, a diagonal, a matrix and their sums; float64"
)
def code_for_every_kind_of_linear_part():
    """All solvers solve (1) for each kind of L + S that they take, with `mass` or without; they refuse the others."""
    rng = np.random.default_rng(0)
    for n, p in ((3, 2), (2, 3)):
        q, h, mass = rng.standard_normal(n), rng.standard_normal(p), rng.uniform(0.5, 2.0, p)
        at, matrix = Explicit(rng.standard_normal((n, p)), mass), Matrix(np.diag(mass) + 0.25)
        scale = 1 / mass  # M^-1 times a symmetric matrix is self-adjoint in the inner product of M
        general = Operator(
            lambda u, K=matrix, s=scale: s * K.apply(u),
            lambda u, t, K=matrix, s=scale: np.linalg.solve(np.eye(len(s)) + t * s[:, None] * K.A, u.T).T,
        )
        numbers, diagonal = (Zero(), Shift(1.5)), Diagonal(rng.uniform(0.0, 2.0, p))
        for A in (*numbers, diagonal, general, Shifted(general, 0.5)):
            for solver in module.SOLVERS:
                for known in (mass, None):
                    takes = {
                        "parameter": known is not None and (A in numbers or A is diagonal),
                        "gram": known is not None or A in numbers,
                    }.get(solver, True)
                    try:
                        found = module.damped_step(at, q, h, A, 0.75, mass=known, n_parameters=p, solver=solver)
                    except ValueError:
                        assert not takes
                        continue
                    assert takes
                    d, J_d = found
                    rest = d / 0.75 + A.apply(d) + at.vjp(at.jvp(d)) + at.vjp(q) + h
                    assert np.allclose(rest, 0, atol=1e-10)
                    assert np.allclose(J_d, at.jvp(d), atol=1e-12)


@check("run", "systems of up to 300 residuals with a declared cost")
def code_of_the_choice():
    """`auto` asks whether A is a number, whether it is diagonal, and whether half the bound of (4) costs less than the matrix."""
    one, mass = np.ones(2), np.ones(2)
    at = Explicit(np.ones((2, 2)), mass)
    diagonal, matrix = Diagonal(one), Matrix(np.eye(2))
    for A, number, on_axes in (
        (Shift(2.0), True, True),
        (Zero(), True, True),
        (diagonal, False, True),
        (matrix, False, False),
    ):
        for known in (mass, None):
            with patch.object(module, "choose_solver", return_value="cg") as asked:
                module.damped_step(at, one, None, A, 1.0, mass=known, n_parameters=2)
            asked.assert_called_once_with(2, 2, closed_form=number, diagonal=on_axes and known is not None)
        system = module.DampedSystem(SimpleNamespace(mass=3.0), one, at, one, None, A, 1.0, None)
        assert system.mass_for("it") == 3.0
        try:
            found = system.diagonal_for("it")
            assert found is (A.diagonal if A is diagonal else A.scalar)
        except ValueError:
            assert not on_axes
        else:
            assert on_axes
    pays, q = module._products_pay, np.ones(300)
    costly = lambda products, gram, trace=1e-9: Costly(at.J, mass, trace, Work(products, gram))  # noqa: E731
    wide = Diagonal(np.ones(1000))
    assert not pays(at, "gram", q, 1000, wide, 1.0, None)  # nothing is declared
    # a number has the Gram matrix for the declared cost: N^3/6 is 1.8 pairs of products, with 1e9 it is 400
    assert not pays(costly(2e6, 0.0), "gram", q, 1000, Shift(1.0), 1.0, None)
    assert pays(costly(2e6, 1e9), "gram", q, 1000, Shift(1.0), 1.0, None)
    # otherwise it takes N^2 P more
    assert pays(costly(2e6, 0.0), "gram", q, 1000, wide, 1.0, None)
    # N P^2/2 + P^3/6 on the side of the parameters: 2.1, 2.8 and 3.3 pairs with their overhead; from 3 on the bound is asked
    for products, more in ((3e5, False), (1e5, False), (0.0, True)):
        assert pays(costly(products, 0.0), "parameter", q, 100, wide, 1.0, None) == more
    # the trace of (4) falls with the number c
    for c, dt_, less in ((0.0, 1.0, False), (1e9, 1.0, True), (0.0, 1e-12, True)):
        assert pays(costly(2e6, 1e9, trace=1e9), "gram", q, 1000, Shift(c), dt_, None) == less
    # the tolerance given, or that of the dtype
    for dtype, tol, expected in ((np.float64, None, 1e-12), (np.float32, None, 1e-6), (np.float64, 0.5, 0.5)):
        assert module._tolerance(np.ones(1, dtype=dtype), tol) == expected


@check("run", "K = diag(-3, 3): an eigenvalue that is negative; data that are not finite")
def code_without_a_factorisation():
    """Where I + K cannot be factorised, negative eigenvalues of K are set to 0; data that are not finite give NaN."""
    assert np.allclose(module.solve_identity_plus(np.diag([-3.0, 3.0]), np.ones(2)), [1.0, 0.25], rtol=1e-14)
    assert np.allclose(module.solve_identity_plus(np.array([[1.0, 1.0], [1.0, 1.0]]), np.ones(2)), 1 / 3, rtol=1e-14)
    assert np.isnan(module.solve_identity_plus(np.full((2, 2), np.nan), np.ones(2))).all()


# %% [markdown]
# ## A stored Jacobian
#
# In the inner product $(u, v)_M = \sum_j m_j u_j v_j$ the adjoint of J is $M^{-1}J^T$.


# %%
@check("identity", "2 residuals, 2 parameters, every mass")
def stored_jacobian():
    """(J d, u) = (d, J^* u)_M, the Gram matrix is J J^*, and the trace is its own, for a mass that is a number or a diagonal."""
    J = symbols("J", 4).reshape(2, 2)
    u, d = symbols("u", 2), symbols("d", 2)
    for mass in (sp.Symbol("m", positive=True), symbols("m", 2, positive=True)):
        at = DenseLinearization(symbols("q", 2), J, mass)
        assert is_zero(at.jvp(d) - J @ d)
        assert is_zero(at.jvp(d) @ u - (mass * d) @ at.vjp(u))
        assert is_zero(at.gram() @ u - at.jvp(at.vjp(u)))
        assert is_zero(at.gram_trace() - np.trace(at.gram()))
