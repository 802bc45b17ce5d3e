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
# # Quasi-Newton methods
#
# With $s = \theta^{n+1} - \theta^n$, $y = g^{n+1} - g^n$ and $1/\rho = (s, y)$, BFGS replaces the approximation $H$ of the
# inverse Hessian by
#
# $$H^+ = (I - \rho\, s\, y^*)\, H\, (I - \rho\, y\, s^*) + \rho\, s\, s^*. \tag{1}$$
#
# `direction_update` computes $d = -Hg$ for the last pairs by two passes, without a matrix; `bfgs_update` keeps the
# symmetric matrix $K$ with $H = KM$. The proofs run both: the first on abstract vectors, for every dimension and inner
# product; the second on arrays of symbols of sizes 1 and 2, with a diagonal inner product.

# %%
import numpy as np
import sympy as sp

import gradflow as gf
from gradflow.proofs import agree, check, follows, in_both, reached
from gradflow.schemes.quasi_newton import bfgs_update, direction_update, memory_update
from gradflow.symbolic import Space, branches, is_zero, symbols

EVERY = "every dimension and inner product, memories of 1 to 3 pairs"
SIZES = "sizes 1 and 2, every diagonal inner product and symmetric K"
scale = sp.Symbol("scale", positive=True)


class Rows:
    """Vectors as the rows of an array."""

    def __init__(self, rows):
        self.rows = rows

    def __getitem__(self, key):
        return self.rows[key[0]]


def memory(m, *, positive=False):
    """Return space, pairs, rho and a gradient; rho is 1 / (s, y), or a positive symbol for it."""
    V = Space()
    s, y = ([V.vector(f"{name}{i}") for i in range(m)] for name in "sy")
    rho = [
        sp.Symbol(f"rho{i}", positive=True) if positive else 1 / V.inner(a, b)
        for i, (a, b) in enumerate(zip(s, y, strict=True))
    ]
    return V, s, y, np.array(rho, dtype=object), V.vector("g")


def direction(V, s, y, rho, g):
    """Return -H g of the class."""
    return direction_update(g, Rows(s), Rows(y), rho, scale, inner=V.inner)


def product_form(V, s, y, rho, u):
    """Return H u by (1), from the newest pair inwards."""
    if not s:
        return scale * u
    inside = product_form(V, s[:-1], y[:-1], rho[:-1], u - rho[-1] * V.inner(s[-1], u) * y[-1])
    return inside - rho[-1] * V.inner(y[-1], inside) * s[-1] + rho[-1] * V.inner(s[-1], u) * s[-1]


def dense(n):
    """Return a symmetric K, s, y and a mass of symbols."""
    K = np.array([[sp.Symbol(f"K_{min(i, j)}{max(i, j)}", real=True) for j in range(n)] for i in range(n)])
    return K, symbols("s", n), symbols("y", n), symbols("m", n, positive=True)


def assumed(branch):
    """Return the one condition of a branch, with exact zeros."""
    (condition,) = branch.conditions
    return condition.xreplace({x: sp.Rational(x) for x in condition.atoms(sp.Float)})


def updated(K, s, y, mass, fresh=0):
    """Return the new K and flag of the class where the pair is taken, and where it is left out."""
    taken, left_out = reached(branches(lambda: bfgs_update(K, sp.Integer(fresh), s, y, mass=mass)))
    assert assumed(taken) == sp.And(s @ (mass * y) > 0, y @ (mass * y) > 0)
    return taken.value, left_out.value


# %% [markdown]
# ## The three obligations
#
# **The law.** With $q_m = g - \rho_m (s_m, g)\, y_m$, $q_{i-1} = q_i - \rho_{i-1}(s_{i-1}, q_i)\,y_{i-1}$,
#
# $$-(g, d) = (g, Hg) = \gamma\,|q_1|^2 + \sum_i \rho_i\, (s_i, q_{i+1})^2 > 0, \tag{2}$$
#
# where $H_0 = \gamma I$. If alpha satisfies the condition of Armijo, E falls by at least $c_1\alpha\,(g, Hg)$; if it
# satisfies both of Wolfe's, $(s, y) > 0$ and the next H is positive definite.


# %%
@check("squares", EVERY + "; BFGS: " + SIZES)
def energy_law():
    """(g, H g) is a sum of squares (2), so that an accepted alpha decreases E by c_1 alpha (g, H g); Wolfe implies (s, y) > 0."""
    for m in (1, 2, 3):
        V, s, y, rho, g = memory(m, positive=True)
        q, squares = g, sp.Integer(0)
        for i in reversed(range(m)):
            squares = squares + rho[i] * V.inner(s[i], q) ** 2
            q = q - rho[i] * V.inner(s[i], q) * y[i]
        assert (scale * V.inner(q, q)).is_nonnegative or V.inner(q, q).is_Add
        assert is_zero(-V.inner(g, direction(V, s, y, rho, g)) - squares - scale * V.inner(q, q))
    for n in (1, 2):  # (v, H_new v) = (u, H u) + rho (s, v)^2 with u = v - rho (s, v) y
        K, s, y, mass = dense(n)
        v = symbols("v", n)
        rho, s_v = 1 / (s @ (mass * y)), s @ (mass * v)
        u = v - rho * s_v * y
        form = (mass * v) @ updated(K, s, y, mass)[0][0] @ (mass * v)
        assert is_zero(form - (mass * u) @ K @ (mass * u) - rho * s_v**2)
    change, slope, new, alpha, c1, c2 = sp.symbols("change slope new alpha c1 c2", real=True)
    conditions = [slope < 0, alpha > 0, c1 > 0, c1 < c2, c2 < 1]
    assert follows(change < 0, [*conditions, change <= c1 * alpha * slope])
    assert follows(
        alpha * (new - slope) > 0, [*conditions, new >= c2 * slope]
    )  # (s, y) = alpha (phi'(alpha) - phi'(0))


@check("identity", EVERY + "; BFGS: " + SIZES)
def consistency():
    """Without pairs d = -g; the two passes are (1), pair by pair; H y = s for the newest pair; K is (1) too, and begins with (s, y)/(y, y)."""
    V, _, _, _, g = memory(1)
    assert is_zero(direction_update(g, Rows([]), Rows([]), np.array([], dtype=object), 1, inner=V.inner) + g)
    for m in (1, 2, 3):
        V, s, y, rho, g = memory(m, positive=True)
        assert is_zero(direction(V, s, y, rho, g) + product_form(V, s, y, list(rho), g))
        empty = direction(V, s, y, 0 * rho, g)  # rows without a pair do nothing
        assert is_zero(empty + scale * g)
    for m in (1, 2):
        V, s, y, rho, _ = memory(m)
        assert is_zero(direction(V, s, y, rho, y[-1]) + s[-1])
    for n in (1, 2):
        K, s, y, mass = dense(n)
        rho = 1 / (s @ (mass * y))
        (new, fresh), _ = updated(K, s, y, mass)
        assert is_zero(new @ (mass * y) - s)
        assert is_zero(new - new.T)
        assert fresh == 0
        left = np.array([[sp.Integer(i == j) - rho * s[i] * mass[j] * y[j] for j in range(n)] for i in range(n)])
        right = np.array([[sp.Integer(i == j) - rho * mass[i] * y[i] * s[j] for j in range(n)] for i in range(n)])
        assert is_zero(new - left @ K @ right - rho * s[:, None] * s[None, :])
        first, fresh = updated(K, s, y, mass, fresh=1)[0]
        factor = (s @ (mass * y)) / (y @ (mass * y))
        assert is_zero(first - left @ (factor * K) @ right - rho * s[:, None] * s[None, :])
        assert fresh == 0


@check("identity", "memories of 1 to 3 pairs, sizes 1 and 2; " + SIZES)
def solvability():
    """The updates divide by (s, y) > 0 and (y, y) only, and leave out a pair without that; det H_new (s, y) = det H (s, H^{-1} s), and H_new^{-1} is the form for B."""
    numbers = lambda rows: np.array(rows, dtype=object) + sp.Integer(0)  # noqa: E731
    K, s, y, mass = (numbers(a) for a in ([[2, 1], [1, 3]], [1, 2], [3, 1], [1, 2]))  # (s, y) = 7, (y, y) = 11
    for fresh, new in ((0, [[55, -44], [-44, 143]]), (1, [[39, -20], [-20, 107]])):
        found = bfgs_update(K, sp.Integer(fresh), s, y, mass=mass)[0]
        assert np.array_equal(found, numbers(new) / sp.Integer(77))
    # a pair is left out if (s, y) <= eps |s| |y|: here |s| = 4, |y| = 1 and (s, y) = 8 c
    eps = np.finfo(float).eps
    for c, taken in ((0.51 * eps, True), (0.49 * eps, False)):
        s, y, mass = np.array([2.0, 0.0]), np.array([c, 1.0]), np.array([4.0, 1.0])
        assert (bfgs_update(np.eye(2), np.float64(1.0), s, y, mass=mass)[1] == 0) == taken
        zeros = np.zeros((1, 2))
        kept = memory_update(
            zeros,
            zeros,
            zeros[0, :1],
            np.float64(1.0),
            s,
            y,
            inner=lambda a, b: a @ (mass * b),  # noqa: B023
        )
        assert (kept[2][0] != 0) == taken
    for m, n in ((1, 1), (2, 2), (3, 1)):
        s, y = (np.array([symbols(f"{name}{i}", n) for i in range(m)]) for name in "sy")
        rho, old_scale = symbols("rho", m, positive=True), sp.Symbol("gamma", positive=True)
        s_new, y_new, mass = symbols("u", n), symbols("v", n), symbols("m", n, positive=True)
        inner = lambda a, b: a @ (mass * b)  # noqa: B023, E731
        taken, left_out = reached(branches(lambda: memory_update(s, y, rho, old_scale, s_new, y_new, inner=inner)))  # noqa: B023
        sy, yy = inner(s_new, y_new), inner(y_new, y_new)
        assert assumed(taken) == sp.And(sy > 0, yy > 0)
        for found, kept, newest in zip(taken.value[:3], (s, y, rho), (s_new, y_new, 1 / sy), strict=True):
            assert m == 1 or is_zero(found[:-1] - kept[1:])
            assert is_zero(found[-1] - newest)
        assert is_zero(taken.value[3] - sy / yy)
        for found, kept in zip(left_out.value, (s, y, rho, old_scale), strict=True):
            assert is_zero(found - kept)
    for n in (1, 2):
        K, s, y, mass = dense(n)
        (new, _), (kept, fresh) = updated(K, s, y, mass)
        assert is_zero(kept - K)
        assert fresh == 0
        assert updated(K, s, y, mass, fresh=1)[1][1] == 1
        sy = s @ (mass * y)
        determinant, adjugate = sp.Matrix(K).det(), np.array(sp.Matrix(K).adjugate())
        assert is_zero(sp.Matrix(new).det() * sy - s @ adjugate @ s)
        B, Y = adjugate / determinant, mass * y
        B_s = B @ s
        B_new = B - B_s[:, None] * B_s[None, :] / (s @ B_s) + Y[:, None] * Y[None, :] / sy
        assert is_zero(new @ B_new - np.array(sp.eye(n)))


# %% [markdown]
# ## The inner product
#
# With $\theta = M^{-1/2} z$, the gradient in $(\cdot,\cdot)_M$ is $M^{-1/2}$ times that for $z$, and so are $s$ and $y$.
# The direction is then $M^{-1/2}$ times that for $z$: the method is the same for every $M$.


# %%
@check("identity", "memories of 1 and 2 pairs, size 2, every diagonal inner product")
def the_method_is_the_same_in_every_inner_product():
    """d for M, from M^{-1/2} times pairs and gradient, is M^{-1/2} times d for the plain inner product; K is M^{-1/2} K M^{-1/2}."""
    root = symbols("r", 2, positive=True)
    for m in (1, 2):
        s, y = (np.array([symbols(f"{name}{i}", 2) for i in range(m)]) for name in "sy")
        g, rho = symbols("g", 2), symbols("rho", m, positive=True)
        plain = direction_update(g, s, y, rho, scale, inner=lambda a, b: a @ b)
        over = direction_update(g / root, s / root, y / root, rho, scale, inner=lambda a, b: a @ (root**2 * b))
        assert is_zero(over - plain / root)
    K, s, y, _ = dense(2)
    plain = updated(K, s, y, np.array([sp.Integer(1), sp.Integer(1)]))[0][0]
    new = next(
        reached(
            branches(lambda: bfgs_update(K / root / root[:, None], sp.Integer(0), s / root, y / root, mass=root**2))
        )
    ).value[0]
    assert is_zero(new - plain / root / root[:, None])


# %% [markdown]
# ## Conjugate gradients
#
# With one pair, $H_0 = I$ and an exact line search, $(s, g) = 0$, the direction is that of Hestenes and Stiefel.


# %%
@check("identity", "every dimension and inner product")
def one_pair_is_a_conjugate_gradient():
    """With one pair, scale 1 and (s, g) = 0: d = -g + (y, g)/(y, s) s."""
    V, s, y, rho, g = memory(1)
    d = direction_update(g, Rows(s), Rows(y), rho, 1, inner=V.inner)
    rest = d + g - V.inner(y[0], g) / V.inner(y[0], s[0]) * s[0]
    assert all(is_zero(sp.sympify(c).subs(V.inner(s[0], g), 0)) for c in rest.terms.values())


@check("counterexample", "K = I, s = (1, 0), y = (-1, 1), exact numbers")
def without_curvature_the_formula_loses_definiteness():
    """For (s, y) = -1 the formula gives a matrix with a negative eigenvalue; the update leaves the pair out."""
    s, y = np.array([1, 0], dtype=object), np.array([-1, 1], dtype=object)
    rho = sp.Rational(1, int(s @ y))
    left = sp.eye(2) - rho * sp.Matrix(s) * sp.Matrix(y).T
    formula = left * left.T + rho * sp.Matrix(s) * sp.Matrix(s).T
    assert min(formula.eigenvals()) < 0
    K, fresh = bfgs_update(np.eye(2), np.float64(0.0), s.astype(float), y.astype(float), mass=1.0)
    assert np.array_equal(K, np.eye(2))
    assert fresh == 0


# %% [markdown]
# ## What the state says of a step
#
# On $E = k t^2/2$ from $t = 1$ every number of a search is known: with $k = 2$ and $\Delta t = 2$ the first trial, $\alpha =
# \Delta t/|g| = 1$, leads to $-1$, where E is the same, and the cubic through both points has its minimum at half of it.


# %%
@check("identity", "E = k t^2 / 2 from t = 1, numbers that float64 has")
def the_state_says_what_happened():
    """Length, evaluations, pair and matrix of a step, of one that lengthens, and of one from the minimum are those of the closed form."""
    start = np.array([1.0])

    def parabola(k, mass=None):
        over = 1.0 if mass is None else mass
        return gf.FunctionProblem(lambda t: k * (t @ t) / 2, lambda t: k * t / over, mass=mass)

    problem, uphill = parabola(2.0), gf.FunctionProblem(lambda t: -(t @ t) / 2, lambda t: t)
    for method in (gf.LBFGS(memory=2), gf.BFGS()):
        first = method.init(problem, start)
        assert (first.theta[0], first.size, first.accepted, first.evaluations) == (1.0, 0.0, 0.0, 0.0)
        new = method.step(problem, first, 1.0)  # from dt / |g| = 1/2
        assert (new.theta[0], new.size, new.accepted, new.evaluations) == (0.0, 0.5, 1.0, 1.0)
        new = method.step(problem, first, 2.0)
        assert (new.theta[0], new.size, new.accepted, new.evaluations) == (0.0, 0.5, 1.0, 2.0)
        assert not method.rejected(new)
        if isinstance(method, gf.LBFGS):
            assert (first.scale, new.scale) == (1.0, 0.5)
            assert np.array_equal(new.s, [[0.0], [-1.0]])
            assert np.array_equal(new.y, [[0.0], [-2.0]])
            assert np.array_equal(new.rho, [0.0, 0.5])
        else:
            assert (first.K[0, 0], first.fresh, new.K[0, 0], new.fresh) == (1.0, 1.0, 0.5, 0.0)
        ended = method.step(problem, new, 1.0)
        assert (ended.theta[0], ended.size, ended.accepted, ended.evaluations) == (0.0, 0.0, 0.0, 0.0)
        assert method.rejected(ended)
        assert method.shortened(ended)
        fields = ("s", "y", "rho", "scale") if isinstance(method, gf.LBFGS) else ("K", "fresh")
        assert all(np.array_equal(getattr(ended, name), getattr(first, name)) for name in fields)
        failed = method.step(uphill, first, 1.0)  # the gradient has the wrong sign
        assert failed.theta[0] == 1.0
        assert failed.accepted == 0
        assert failed.evaluations > 10
        # a step that the search lengthens, and one in another inner product: d = -g = -k/m
        longer = method.step(problem, first, 3 / 32)
        assert (longer.theta[0], longer.size, longer.evaluations) == (0.0, 0.5, 2.0)
        heavy = parabola(2.0, mass=4.0)
        new = method.step(heavy, method.init(heavy, start), 1.0)
        assert (new.theta[0], new.size) == (0.5, 1.0)
        new = method.step(heavy, new, 1.0)
        assert (new.theta[0], new.size, new.evaluations) == (0.0, 1.0, 1.0)


# % [markdown]
# ## The inner product
#
# In the coordinates $y = M^{1/2}\theta$ the inner product of diagonal M is the dot product. The steps are the same.


# %
@check("identity, run", "one energy of three parameters, M = diag(4, 1/4, 1), six starts; float64")
def steps_are_the_same_in_other_coordinates():
    """The line searches of both methods, with the slope in the inner product, in that of M and in y."""
    for method in (gf.LBFGS(memory=2), gf.BFGS(), gf.LBFGS(search=gf.curvature.Armijo())):
        agree(method, in_both(), steps=4)
