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
# # Linear parts
#
# On `gradflow.energies.linear`. A linear part L is self-adjoint and positive semi-definite, and known by two maps: $u \mapsto Lu$ and
# $(u, \Delta t) \mapsto (I + \Delta t L)^{-1}u$. A shifted solve with a sum is no sum of shifted solves, except for a multiple of the identity:
#
# $$I + \Delta t (L + cI) = (1 + \Delta t\,c)\Bigl(I + \frac{\Delta t}{1 + \Delta t\,c} L\Bigr). \tag{3}$$
#
# So a shifted solve with $L + cI$ is one with L, for another step. The operators below are abstract: the solution of a shifted system is
# known by this system alone.

# %%
import numpy as np
import sympy as sp

from gradflow.energies.linear import Adapted, Diagonal, Matrix, Shift, Shifted, Zero, add, as_linear_part, dissipation
from gradflow.proofs import check
from gradflow.symbolic import Space, is_zero, symbols

EVERY = "every dimension, inner product and self-adjoint L"
SIZES = "sizes 1 to 3, every diagonal"
dt, c, other_c = sp.symbols("dt c c_other", positive=True)


def solves(part, u, step=dt):
    """Return True if the shifted solve of u is x with x + dt L x = u."""
    x = part.solve_shifted(u, step)
    return is_zero(x + step * part.apply(x) - u)


# %% [markdown]
# ## A sum with a multiple of the identity


# %%
@check("identity", EVERY + ", every c and dt")
def shifted_operator():
    """`Shifted`: apply is L u + c u, and solve_shifted the inverse of I + dt (L + c I), by one solve with L."""
    V = Space()
    L, u, w = V.operator("L"), V.vector("u"), V.vector("w")
    part = Shifted(L, c)
    assert part.scalar is None
    assert is_zero(part.apply(u) - L(u) - c * u)
    assert is_zero(V.inner(part.apply(u), w) - V.inner(u, part.apply(w)))
    x = part.solve_shifted(u, dt)
    assert is_zero(x + dt * (L(x) + c * x) - u)
    assert solves(part, u)
    # one solve with L, of u / (1 + dt c) with the step dt / (1 + dt c), which is shorter
    assert is_zero(x - L.solve_shifted(u / (1 + dt * c), dt / (1 + dt * c)))
    assert (dt - dt / (1 + dt * c)).equals(dt**2 * c / (1 + dt * c))


@check("squares", EVERY)
def shifted_operator_is_positive():
    """((L + c I) u, u) = (L u, u) + c |u|^2 >= 0, with equality for c > 0 only if u = 0."""
    V = Space()
    L, u = V.operator("L"), V.vector("u")
    form = V.inner(Shifted(L, c).apply(u), u)
    assert is_zero(form - V.inner(L(u), u) - c * V.inner(u, u))
    assert V.inner(L(u), u).is_nonnegative
    assert (c * V.inner(u, u)).is_nonnegative


@check("identity", EVERY + ", every c and dt")
def sum_of_an_operator_and_a_shift():
    """`add` of an operator and a multiple of the identity, in either order, is `Shifted`; a zero, as a number or Zero, is left out."""
    for first_is_operator in (True, False):
        V = Space()
        L, u = V.operator("L"), V.vector("u")
        pair = (L, Shift(c)) if first_is_operator else (Shift(c), L)
        part = add(*pair)
        assert isinstance(part, Shifted)
        assert part.part is L
        assert part.shift == c
        assert is_zero(part.apply(u) - L(u) - c * u)
        assert solves(part, u)
    for nothing in (Zero(), Shift(0.0), as_linear_part(0, "stabilization"), as_linear_part(0.0, "stabilization")):
        assert add(L, nothing) is L
        assert add(nothing, L) is L


@check("identity", EVERY + ", two operators that need not commute")
def sum_of_shifted_operators():
    """(L + c I) + S and (L + c I) + c' I, in either order, apply and solve as L + S + c I and L + (c + c') I."""
    for swapped in (False, True):
        V = Space()
        L, S, u = V.operator("L"), V.operator("S"), V.vector("u")
        pair = (Shifted(L, c), S)
        part = add(*(pair[::-1] if swapped else pair))
        assert is_zero(part.apply(u) - L(u) - S(u) - c * u)
        assert solves(part, u)
        V = Space()
        L, S, u = V.operator("L"), V.operator("S"), V.vector("u")
        pair = (Shifted(L, c), Shifted(S, other_c))
        part = add(*(pair[::-1] if swapped else pair))
        assert is_zero(part.apply(u) - L(u) - S(u) - (c + other_c) * u)
        assert solves(part, u)
        V = Space()
        L, u = V.operator("L"), V.vector("u")
        pair = (Shifted(L, c), Shift(other_c))
        part = add(*(pair[::-1] if swapped else pair))
        assert is_zero(part.apply(u) - L(u) - (c + other_c) * u)
        assert solves(part, u)


class Own:
    """An operator of a user, without `scalar`, whose kind knows its sums."""

    def __init__(self, operator):
        self.operator = operator
        self.apply, self.solve_shifted = operator.apply, operator.solve_shifted

    def __add__(self, other):
        return type(self)(add(self.operator, other.operator))


class Complete(Own):
    """The same with `scalar`, a linear part as it is."""

    scalar = None


@check("identity", EVERY)
def sum_that_a_kind_knows():
    """Where the kind of an operator has a sum, that is the sum; it gets the missing `scalar`, None, and is left as it is if it has it."""
    for kind in (Own, Complete):
        V = Space()
        L, S, u = V.operator("L"), V.operator("S"), V.vector("u")
        part = add(*(as_linear_part(kind(operator), "stabilization") for operator in (L, S)))
        assert type(part) is (Adapted if kind is Own else Complete)
        assert part.scalar is None
        assert is_zero(part.apply(u) - L(u) - S(u))
        assert solves(part, u)


# %% [markdown]
# ## The kinds that the library brings


# %%
@check("identity", SIZES)
def diagonal_kinds():
    """Zero, Shift and Diagonal: apply, shifted solve, and their sums, which are of these kinds again."""
    number = Shift(0.5)
    for n in (1, 2, 3):
        u, a, b = symbols("u", n), symbols("a", n, nonnegative=True), symbols("b", n, nonnegative=True)
        assert Zero().solve_shifted(u, dt) is u
        assert is_zero(Zero().apply(u))
        for part, image in ((Shift(c), c * u), (Diagonal(a), a * u), (number, u / 2)):
            assert is_zero(part.apply(u) - image)
            assert solves(part, u)
        for part in (add(Diagonal(a), Diagonal(b)), add(Diagonal(a), number), add(number, Diagonal(a))):
            assert isinstance(part, Diagonal)
            assert solves(part, u)
        assert is_zero(add(Diagonal(a), Diagonal(b)).apply(u) - (a + b) * u)
        assert is_zero(add(Diagonal(a), number).apply(u) - a * u - u / 2)
        assert is_zero(add(number, Diagonal(a)).apply(u) - a * u - u / 2)
        both = add(number, Shift(0.25))
        assert (type(both), both.scalar) == (Shift, 0.75)


@check("identity", "every dimension, inner product, L and S, numbers among them; every increment")
def what_a_step_dissipates():
    """`dissipation` is |d|^2/dt + (S d, d) + (L d, d)/2, whether L and S are operators or numbers."""
    V = Space()
    d = V.vector("d")
    for L in (V.operator("L"), Shift(c), Zero()):
        for S in (V.operator("S"), Shift(other_c), Zero()):
            D = dissipation(V.inner, L, S, d, dt)
            expected = V.inner(d, d) / dt + V.inner(S.apply(d), d) + V.inner(L.apply(d), d) / 2
            assert is_zero(D - expected)
            terms = (V.inner(d, d) / dt, V.inner(S.apply(d), d), V.inner(L.apply(d), d) / 2)
            assert all(term.is_nonnegative for term in terms)


@check("counterexample", "L = diag(1, 2), S the matrix of ones, dt = 1, exact")
def no_sum_of_solves():
    """(I + L + S)^-1 is neither the product of the two shifted solves nor their sum less the identity: the kind must know its sum."""
    one = sp.eye(2)
    L, S = sp.diag(1, 2), sp.ones(2, 2)
    exact = (one + L + S).inv()
    first, second = (one + L).inv(), (one + S).inv()
    assert exact != first * second
    assert exact != second * first
    assert exact != first + second - one
    unknown = Space().operator("L"), Diagonal(np.ones(2))
    try:
        add(*unknown)
    except ValueError:
        return
    raise AssertionError("a sum that nobody knows was made")


# %% [markdown]
# ## A dense matrix
#
# `Matrix` works with eigenvalues in floating point. Small matrices of integers show that these are those of $A$, and that a sum is one
# of both terms.


# %%
@check("run", "symmetric positive semi-definite matrices of integers, sizes 1 to 3")
def a_matrix_is_applied_and_inverted():
    """For A, A + B and A + diag(b): apply is the product with the matrix, solve_shifted inverts I + dt A, to rounding."""
    roots = [
        np.array([[2.0]]),
        np.array([[1.0, 2.0], [0.0, 3.0]]),
        np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 0.0], [2.0, 1.0, 5.0]]),
    ]
    for root in roots:
        n = root.shape[0]
        A, B, b = root.T @ root, np.diag(np.arange(n) + 1.0) + np.ones((n, n)), np.arange(n) + 0.5
        u = np.arange(n) - 0.25
        parts = (
            (Matrix(A), A),
            (add(Matrix(A), Matrix(B)), A + B),
            (add(Matrix(A), Diagonal(b)), A + np.diag(b)),
            (add(Diagonal(b), Matrix(A)), A + np.diag(b)),
            (add(Matrix(A), Shift(0.5)), A + np.eye(n) / 2),
        )
        for part, dense in parts:
            assert np.abs(part.apply(u) - dense @ u).max() < 1e-12
            for step in (0.125, 8.0):
                v = part.solve_shifted(u, step)
                assert np.abs(v + step * (dense @ v) - u).max() < 1e-11
