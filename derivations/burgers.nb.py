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
# # Burgers' equation at a network
#
# `gradflow.models.burgers_fields` writes the residual of
#
# $$u_t + u u_x = \nu u_{xx} \tag{1}$$
#
# at $f(t, x) = \kappa \sum_k a_k\, s(W_{tk} t + W_{xk} x + b_k)$ as products, and its derivatives by W and a as sums of products.
# The functions that run are evaluated here on symbols, for *any* smooth activation: `Jet(j, z)` stands for its derivative of order j
# at z, and SymPy knows of it only that the derivative of `Jet(j, z)` by z is `Jet(j + 1, z)`. What comes out is compared with what
# SymPy differentiates by itself. Each comparison is a polynomial identity in the parameters and the values of the jets.

# %%
import numpy as np
import sympy as sp

from gradflow.models.burgers_fields import (
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
from gradflow.models.burgers_points import Points
from gradflow.proofs import check
from gradflow.symbolic import is_zero, symbols

SIZES = "every smooth activation, 1 and 2 hidden units, a point of the equation and one of the conditions"
ONE_POINT = "every smooth activation, 1 to 3 hidden units, one generic point"
nu, kappa = sp.symbols("nu kappa", positive=True)
t, x, eps = sp.symbols("t x epsilon", real=True)


class Jet(sp.Function):
    """Jet(j, z): the derivative of order j of an activation, at z."""

    nargs = 2

    def fdiff(self, argindex=2):
        """Return the derivative by z."""
        assert argindex == 2
        return Jet(self.args[0] + 1, self.args[1])


def plain(expressions):
    """Return expressions with a symbol for each jet, the same for all of them."""
    array = np.ravel(np.asarray(expressions, dtype=object))
    jets = sorted(set().union(*(sp.sympify(e).atoms(Jet) for e in array)), key=sp.default_sort_key)
    names = {jet: sp.Symbol(f"S_{n}", real=True) for n, jet in enumerate(jets)}
    return np.array([sp.sympify(e).xreplace(names) for e in array], dtype=object)


def same(left, right):
    """Return True if both are the same for every activation."""
    return is_zero(plain(np.ravel(left) - np.ravel(right)))


def jets(Z, order):
    """Return S_0 to S_order at Z."""
    return tuple(np.frompyfunc(lambda z, j=j: Jet(sp.Integer(j), z), 1, 1)(Z) for j in range(order + 1))


def network(W, a, t, x):
    """Return f(t, x), written out."""
    return kappa * sum(a[k] * Jet(0, W[0, k] * t + W[1, k] * x + W[2, k]) for k in range(len(a)))


def parameters(m, name="w"):
    """Return W (3, m), a (m,) and all of them as one list in the order of theta."""
    W, a = symbols(name, 3 * m).reshape(3, m), symbols(f"{name}_a", m)
    return W, a, [*W.ravel(), *a]


def two_points():
    """Return a point of the equation and one of the conditions, symbols all of them."""
    place = symbols("p", 4).reshape(2, 2)
    X = np.concatenate([place, np.array([[sp.Integer(1)]] * 2, dtype=object)], axis=1)
    chi = np.array([sp.Integer(1), sp.Integer(0)], dtype=object)
    y = np.array([sp.Integer(0), sp.Symbol("y", real=True)], dtype=object)
    return Points(X, chi, y, symbols("c", 2, positive=True), nu)


def production(W, a, at, order=3):
    """Return what the code makes of the points: jets, powers, fields, e, slopes."""
    S, w = jets(at.X @ W, order), powers(W)
    F = fields(S, w, a, kappa)
    return S, w, F, mismatch(F, at), slopes(F, at)


def written_out(W, a, at):
    """Return e at the points, differentiated by SymPy."""
    f = network(W, a, t, x)
    equation = sp.diff(f, t) + f * sp.diff(f, x) - nu * sp.diff(f, x, 2)
    found = [
        (equation if chi == 1 else f - y).subs({t: place[0], x: place[1]}, simultaneous=True)
        for place, chi, y in zip(at.X, at.chi, at.y, strict=True)
    ]
    return np.array(found, dtype=object)


# %% [markdown]
# ## The residual


# %%
@check("identity", ONE_POINT)
def the_fields_are_the_derivatives():
    """`fields` gives f, f_t, f_x, f_xx."""
    for m in (1, 2, 3):
        W, a, _ = parameters(m)
        S = jets(np.array([[t, x, sp.Integer(1)]], dtype=object) @ W, 2)
        f = network(W, a, t, x)
        wanted = [f, sp.diff(f, t), sp.diff(f, x), sp.diff(f, x, 2)]
        assert same([field[0] for field in fields(S, powers(W), a, kappa)], wanted)


@check("identity", SIZES)
def the_residual_is_that_of_the_equation():
    """`mismatch` is f_t + f f_x - nu f_xx at the points of the equation, f - y at those of the conditions."""
    at = two_points()
    for m in (1, 2):
        W, a, _ = parameters(m)
        assert same(production(W, a, at)[3], written_out(W, a, at))


@check("arithmetic", "tanh, every z")
def the_derivatives_of_tanh():
    """`tanh_derivatives` of S = tanh z and S_1 = 1 - S^2 gives the derivatives of order 0 to 4, by d/dz = (1 - S^2) d/dS."""
    S = sp.Symbol("S", real=True)
    found = tanh_derivatives(S, 1 - S**2, 4)
    assert len(found) == 5
    wanted = S
    for j, derivative in enumerate(found):
        assert is_zero(derivative - wanted), j
        wanted = sp.expand(sp.diff(wanted, S) * (1 - S**2))


# %% [markdown]
# ## First derivatives
#
# The Jacobian entry by entry; then the sums that the gradient consists of, which make no matrix.


# %%
@check("identity", SIZES)
def the_jacobian():
    """`jacobian_rows` has the derivatives of e by W, row by row, and by a."""
    at = two_points()
    for m in (1, 2):
        W, a, theta = parameters(m)
        S, w, _, e, of_e = production(W, a, at)
        J = jacobian_rows(at.X, of_e, S, w, a, kappa)
        assert J.shape == (2, 4 * m)
        assert same(J, [[sp.diff(row, p) for p in theta] for row in e])


@check("identity", SIZES)
def the_sums_of_the_gradient():
    """kappa (a Q, p) of `brackets` with delta_j = u e_j is the derivative of sum u e by (W, a)."""
    at, u = two_points(), symbols("u", 2)
    for m in (1, 2):
        W, a, theta = parameters(m)
        S, w, _, e, of_e = production(W, a, at)
        Q, p = brackets(at.X, tuple(u * column for column in of_e), S, w)
        found = [*(kappa * a * Q).ravel(), *(kappa * p)]
        assert same(found, [sp.diff(u @ e, q) for q in theta])


# %% [markdown]
# ## Along a direction
#
# Everything is linear in the jets, in the powers of the weights and in the output weights, so a derivative along (V, b) is a sum of
# three terms. `BurgersLinearization` adds them up; here each is made of the functions that it calls.


# %%
@check("identity", SIZES)
def the_change_along_a_direction():
    """The three terms of the fields' change, and the slopes, give the derivative of e along (V, b)."""
    at = two_points()
    for m in (1, 2):
        (W, a, theta), (V, b, direction) = parameters(m), parameters(m, "v")
        S, w, _, e, of_e = production(W, a, at)
        S_dot = tuple(S_next * (at.X @ V) for S_next in S[1:])
        terms = (fields(S_dot, w, a, kappa), fields(S, powers_along(W, V), a, kappa), fields(S, w, b, kappa))
        F_dot = [sum(column) for column in zip(*terms, strict=True)]
        found = sum(slope * change for slope, change in zip(of_e, F_dot, strict=True))
        wanted = [sum(sp.diff(row, p) * v for p, v in zip(theta, direction, strict=True)) for row in e]
        assert same(found, wanted)
        changed = slopes_along(tuple(F_dot), at)
        for slope, change in zip(of_e, changed, strict=True):
            rows = [sum(sp.diff(s, p) * v for p, v in zip(theta, direction, strict=True)) for s in slope]
            assert same(change, rows)


@check(
    "identity",
    "every smooth activation, one hidden unit (columns of Q do not meet), a point of the equation and one of the conditions",
)
def the_change_of_the_sums():
    """For fixed delta, Q and p change along (V, b) by `brackets` of the changed jets and of the changed powers."""
    at = two_points()
    delta = tuple(symbols(f"d{j}", 2) for j in range(4))
    (W, _, theta), (V, _, direction) = parameters(1), parameters(1, "v")
    S, w = jets(at.X @ W, 4), powers(W)
    S_dot = tuple(S_next * (at.X @ V) for S_next in S[1:])
    parts = [brackets(at.X, delta, S_dot, w), brackets(at.X, delta, S, powers_along(W, V))]
    for found, base in zip(zip(*parts, strict=True), brackets(at.X, delta, S, w), strict=True):
        by_W = zip(theta[:3], direction[:3], strict=True)
        assert same(sum(found), sum(np.array([sp.diff(e, p) for e in base.ravel()]) * v for p, v in by_W))


# %% [markdown]
# ## A solution that is a network
#
# $u = s - A \tanh\bigl(A (x - s t) / (2\nu)\bigr)$ solves (1), and two hidden units make it, one of them for the constant s. At it the
# residual of the code vanishes for all points at once. With another viscosity it does not.


# %%
@check("identity", "every amplitude, speed and viscosity, every point")
def a_travelling_shock_has_no_residual():
    """The residual of the code vanishes at the travelling shock, and not at one of another viscosity."""
    A, speed, other, T = sp.symbols("A s mu T", positive=True)  # T is the value of the unit that makes the constant
    S, one = sp.Symbol("S", real=True), sp.Integer(1)
    W = np.array([[-A * speed / (2 * nu), 0], [A / (2 * nu), 0], [0, 0]], dtype=object)
    a = np.array([-A, speed / T], dtype=object)
    values = np.array([[S, T]], dtype=object)
    tanh = tanh_derivatives(values, 1 - values**2, 2)
    chi, zero = np.array([one], dtype=object), np.array([sp.Integer(0)], dtype=object)
    F = fields(tanh, powers(W), a, one)
    at = Points(np.array([[t, x, one]], dtype=object), chi, zero, chi, nu)
    assert is_zero(mismatch(F, at))
    assert not is_zero(mismatch(F, at._replace(nu=other)))
