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
# # Truncated solvers and models along a ball
#
# `gradflow.curvature.truncated` solves the problem of a trust region approximately, `gradflow.curvature.cholesky` modifies a
# factorisation. Their iterations run in floating point and are tested; here is what they rest on, in exact numbers or for
# every inner product.

# %%
import numpy as np
import sympy as sp

import gradflow as gf
from gradflow.curvature.cholesky import modified_cholesky
from gradflow.curvature.truncated import steihaug
from gradflow.proofs import check, follows
from gradflow.symbolic import Space, is_zero

EVERY = "every dimension and inner product"


# %% [markdown]
# ## The iterates of conjugate gradients grow
#
# With $d_{k+1} = d_k + \alpha p_k$, $p_{k+1} = -z_{k+1} + \beta p_k$, and $(d_{k+1}, z_{k+1}) = 0$, as $d_{k+1}$ is a combination
# of earlier directions and the residual is orthogonal to all of them,
#
# $$(d_{k+1}, p_{k+1}) = \beta\,\bigl[(d_k, p_k) + \alpha\,|p_k|^2\bigr], \qquad
#   |d_{k+1}|^2 = |d_k|^2 + 2\alpha\,(d_k, p_k) + \alpha^2 |p_k|^2. \tag{1}$$
#
# From $d_0 = 0$ both grow. So the sphere is crossed once, and the iteration may end there.


# %%
@check("identity", EVERY + ", from the orthogonality of conjugate gradients")
def the_iterates_grow():
    """(d_new, p_new) = beta [(d, p) + alpha |p|^2] and |d_new|^2 = |d|^2 + 2 alpha (d, p) + alpha^2 |p|^2: by induction both increase."""
    V = Space()
    d, p, z = V.vectors("d p z")
    alpha, beta = sp.symbols("alpha beta", positive=True)
    d_new = d + alpha * p
    p_new = -z + beta * p
    rest = V.inner(d_new, p_new) - beta * (V.inner(d, p) + alpha * V.inner(p, p))
    assert is_zero(rest + V.inner(d_new, z))  # the last product vanishes
    assert is_zero(V.inner(d_new, d_new) - V.inner(d, d) - 2 * alpha * V.inner(d, p) - alpha**2 * V.inner(p, p))
    dd, dp, pp = sp.symbols("dd dp pp", nonnegative=True)
    assert follows(beta * (dp + alpha * pp) >= 0)
    assert follows(dd + 2 * alpha * dp + alpha**2 * pp >= dd)


@check("identity", "all a > 0, b and c <= 0")
def the_way_to_the_boundary():
    """Both forms are the same root of a t^2 + 2 b t + c: -c / (b + r) = (r - b) / a for r^2 = b^2 - a c, and it is not negative."""
    a, r = sp.symbols("a r", positive=True)
    b = sp.Symbol("b", real=True)
    c = (b**2 - r**2) / a
    for t in (-c / (b + r), -(b - r) / a):
        assert is_zero(a * t**2 + 2 * b * t + c)
    assert follows((r - b) / a >= 0, [c <= 0])


@check("decision procedure", "every slope and radius, every curvature along -g of at most K |g|^2")
def the_cauchy_point_decreases_enough():
    """The decrease on -t g, t <= delta/|g|, is at least |g| min(delta, |g|/K)/2 for a curvature k |g|^2 with k <= K of either sign."""
    g, delta, K = sp.symbols("g delta K", positive=True)
    k = sp.Symbol("k", real=True)
    inside, boundary = g**2 / (2 * k), g * delta - k * delta**2 / 2
    bound = lambda value: sp.Or(value >= g * delta / 2, value >= g**2 / (2 * K))  # noqa: E731
    assert follows(bound(inside), [k > 0, k <= K, g <= k * delta])
    assert follows(bound(boundary), [k <= K, sp.Or(k <= 0, g >= k * delta)])


@check("counterexample, run", "diag(-1, 2, 3), g = (0, 1, 1), radius 5, exact numbers")
def the_hard_case_is_not_seen():
    """Two iterations end inside at m = -5/12; the minimum in the ball is -307/24, and no share of it is guaranteed."""
    H, g = sp.diag(-1, 2, 3), sp.Matrix([0, 1, 1])
    m = lambda d: (g.T * d)[0] + (d.T * H * d)[0] / 2  # noqa: E731
    inside = sp.Matrix([0, -sp.Rational(1, 2), -sp.Rational(1, 3)])
    assert m(inside) == -sp.Rational(5, 12)
    nu, rest = 1, sp.Matrix([0, -sp.Rational(1, 3), -sp.Rational(1, 4)])
    best = rest + sp.Matrix([sp.sqrt(25 - (rest.T * rest)[0]), 0, 0])
    assert is_zero(list((H + nu * sp.eye(3)) * best + g))
    assert is_zero((best.T * best)[0] - 25)
    assert is_zero(m(best) + sp.Rational(307, 24))
    A = np.array(H.tolist(), dtype=float)
    problem = gf.FunctionProblem(
        lambda t: t[1] + t[2] + t @ A @ t / 2, lambda t: np.array([0.0, 1, 1]) + A @ t, lambda t, v: A @ v
    )
    step = steihaug(gf.curvature.Hessian().at(problem, np.zeros(3)), None, 5.0)
    assert not step.boundary
    assert np.allclose(step.d, np.array(inside.tolist(), dtype=float).ravel(), rtol=1e-12)


# %% [markdown]
# ## Rates
#
# The Gauss-Newton method converges linearly if the residual at the minimum is not zero.


# %%
@check("identity", "all kappa > 0")
def the_rate_of_conjugate_gradients():
    """1 - 2/(sqrt(kappa) + 1) = (sqrt(kappa) - 1)/(sqrt(kappa) + 1): the printed rate is exact, as the base of a bound in the energy norm."""
    kappa = sp.Symbol("kappa", positive=True)
    root = sp.sqrt(kappa)
    assert is_zero(1 - 2 / (root + 1) - (root - 1) / (root + 1))


@check("identity", "one parameter, residuals (q1, q2) with any two derivatives")
def the_rate_of_gauss_newton():
    """At a stationary point the derivative of the Gauss-Newton map is -(q . q'')/(q' . q'): linear, quadratic only if q . q'' = 0."""
    q1, q2, a1, a2, b1, b2, h = sp.symbols("q1 q2 a1 a2 b1 b2 h", real=True)
    q = [q1 + a1 * h + b1 * h**2 / 2, q2 + a2 * h + b2 * h**2 / 2]
    slope = [sp.diff(e, h) for e in q]
    step = h - (q[0] * slope[0] + q[1] * slope[1]) / (slope[0] ** 2 + slope[1] ** 2)
    rate = sp.diff(step, h).subs(h, 0).subs(q1, -q2 * a2 / a1)  # q . q' = 0
    assert is_zero(rate + ((-q2 * a2 / a1) * b1 + q2 * b2) / (a1**2 + a2**2))


# %% [markdown]
# ## Other balls
#
# In the ball $\tfrac12(d, F d) \le \delta$ the linear model is least at a multiple of the natural gradient. A term
# $\mu\,(d, v)$ in a proximal model is momentum if $v$ is a sum of gradients, and its opposite if $v$ is the last step.


# %%
@check("identity", EVERY + ", every self-adjoint positive F")
def the_natural_gradient_on_its_ball():
    """d = -sqrt(2 delta/(g, F^{-1} g)) F^{-1} g has (d, F d)/2 = delta, and F d is a multiple of -g."""
    V = Space()
    F = V.operator("F")
    n = V.vector("n")  # F^{-1} g, so that g = F n
    g = F(n)
    delta = sp.Symbol("delta", positive=True)
    scale = sp.sqrt(2 * delta / V.inner(g, n))
    d = -scale * n
    assert is_zero(V.inner(d, F(d)) / 2 - delta)
    assert is_zero(F(d) + scale * g)


@check("identity", EVERY)
def the_sign_of_momentum_in_a_proximal_model():
    """(g, d) + mu (v, d) + |d|^2/(2 eta) is least at -eta (g + mu v): with the last step for v it is momentum for mu < 0 only."""
    V = Space()
    g, v, e = V.vectors("g v e")
    eta = sp.Symbol("eta", positive=True)
    mu, beta = sp.symbols("mu beta", real=True)
    model = lambda d: V.inner(g, d) + mu * V.inner(v, d) + V.inner(d, d) / (2 * eta)  # noqa: E731
    d = -eta * (g + mu * v)
    assert is_zero(model(d + e) - model(d) - V.inner(e, e) / (2 * eta))
    heavy = d - (-eta * g + beta * v)  # heavy ball with the last step v
    assert all(is_zero(sp.sympify(c).subs(mu, -beta / eta)) for c in heavy.terms.values())


@check("counterexample", "the shift 0, and diag(-1, 1), exact numbers")
def a_shift_that_is_multiplied():
    """Ten times the shift 0 is 0: such a loop does not end. From 1e-8 it goes to 10 where any number above 1 is enough."""
    assert 10 * sp.Integer(0) == 0
    shift = sp.Rational(1, 10**8)
    while not (sp.diag(-1, 1) + shift * sp.eye(2)).is_positive_definite:
        shift = 10 * shift
    assert shift == 10
    _, tau, trials = modified_cholesky(np.diag([-1.0, 1.0]), np.ones(2), beta=1e-8)
    assert 1 < tau < 1.01
    assert trials < 40
