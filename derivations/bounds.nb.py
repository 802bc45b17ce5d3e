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
# # Bounds
#
# The projection to a box and the reduced gradient act entry by entry, in every diagonal inner product. The proofs are for one
# entry: $l \le \theta \le u$, with the functions that run. Sums over entries, with weights $M_i D_i > 0$, follow.

# %%
import numpy as np
import sympy as sp

import gradflow as gf
from gradflow.curvature.bounds import bounded_step, free_gradient, projected, reduced_gradient
from gradflow.curvature.spectral import minimise
from gradflow.curvature.subproblem import trust_region
from gradflow.proofs import check, follows, reached
from gradflow.symbolic import branches

EVERY = "every entry, every diagonal inner product and metric"
theta, l, u, g, y, x = sp.symbols("theta l u g y x", real=True)
alpha, K, m = sp.symbols("alpha K m", positive=True)
BOX = [l <= theta, theta <= u]


def ways(function, assumptions=()):
    """Yield assumptions with conditions, and value, of each branch of a function of scalars that some scalars take."""
    found = list(branches(function))
    assert len(found) > 1
    yield from ((given, value) for given, value, _ in reached(found, assumptions))


# %% [markdown]
# ## What a step owes
#
# With $w = s(\alpha)$ of the first Cauchy stage, $w = \Pi(\theta - \alpha g) - \theta$ in each entry, $D = 1$,
#
# $$(g, w) \le -|w|^2/\alpha. \tag{1}$$
#
# If $(v, Gv) \le K|v|^2$, the model satisfies $m(w) - m(0) \le (g, w) + K|w|^2/2 \le \mu\,(g, w)$ for $\alpha \le 2(1 - \mu)/K$: the
# test ends, and an accepted step lowers the model, hence the energy by the ratio of `gradflow.SecondOrder`.


# %%
@check("decision procedure", EVERY)
def energy_law():
    """(1) holds for every alpha; for alpha K <= 2 (1 - mu) the decrease of the model is at least mu |(g, w)|."""
    for given, value in ways(lambda: projected(theta - alpha * g, l, u), BOX):
        w = value - theta
        assert follows(alpha * g * w <= -(w**2), given)
    a, b = sp.symbols("a b", nonnegative=True)  # -(g, w), |w|^2
    mu = sp.Symbol("mu", positive=True)
    t = sp.Symbol("t", positive=True)  # alpha K
    # times alpha: a >= b by (1), and K alpha = t <= 2 (1 - mu)
    assert follows(-a + t * b / 2 <= -mu * a, [a >= b, t <= 2 * (1 - mu), mu < 1])


@check("decision procedure", EVERY)
def consistency():
    """Without bounds near, the projection is the identity and the reduced gradient is g; it is theta - Pi(theta - g) always."""
    for given, value in ways(lambda: projected(x, l, u), [l < x, x < u]):
        assert follows(sp.Eq(value, x), given)
    for given, value in ways(lambda: reduced_gradient(theta, g, l, u), [theta - u < g, g < theta - l]):
        assert follows(sp.Eq(value, g), given)
    for given, value in ways(lambda: reduced_gradient(theta, g, l, u), BOX):
        for both, point in ways(lambda: projected(theta - g, l, u), given):
            assert follows(sp.Eq(value, theta - point), both)


@check("decision procedure", EVERY)
def solvability():
    """The projection is the nearest point of the box; a zero reduced gradient is stationarity."""
    for given, value in ways(lambda: projected(x, l, u), [l <= u]):
        assert follows(l <= value, given)
        assert follows(value <= u, given)
        # (x - Pi x)(y - Pi x) <= 0 for every y of the box, which is that no y is nearer
        assert follows((x - value) * (y - value) <= 0, [l <= y, y <= u, *given])
    for given, value in ways(lambda: reduced_gradient(theta, g, l, u), BOX):
        # zero: no feasible direction y - theta descends
        assert follows(g * (y - theta) >= 0, [l <= y, y <= u, sp.Eq(value, 0), *given])
        # not zero: the direction of minus the reduced gradient is feasible and descends
        assert follows(g * value >= value**2, given)
        assert follows(l <= theta - value, given)
        assert follows(theta - value <= u, given)


# %% [markdown]
# ## What a run is measured by
#
# The reduced gradient characterises stationarity, and is no measure of it: $|\theta - \Pi(\theta - g)| \le u - l$ whatever g is. The
# free gradient f, which is g without the entries that a bound holds, vanishes at the same points and is never smaller.


# %%
@check("decision procedure", EVERY)
def the_free_gradient_vanishes_where_the_reduced_one_does():
    """f = 0 if and only if the reduced gradient is 0, which is at most |f|, of its sign, and at most the width of the box."""
    for given, f in ways(lambda: free_gradient(theta, g, l, u), BOX):
        assert f in (0, g)
        for known, value in ways(lambda: reduced_gradient(theta, g, l, u), given):
            assert follows(sp.Equivalent(sp.Eq(f, 0), sp.Eq(value, 0)), known)
            assert follows(value**2 <= f**2, known)
            assert follows(f * value >= 0, known)
            assert follows(value <= u - l, known)
            assert follows(l - u <= value, known)


# %% [markdown]
# ## The step
#
# The two stages are an iteration in floating point, and are tested. Two cases have numbers that float64 represents.


# %%
@check("identity, run", "quadratics in two parameters, numbers that float64 has to rounding")
def the_step_is_the_minimiser_in_the_box():
    """A coupled quadratic whose free minimiser is outside of the box: the other parameter moves to the minimiser of its face."""
    A, b = np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([4.0, -1.0])  # the minimiser is (3, -2)
    quadratic = gf.FunctionProblem(lambda t: t @ A @ t / 2 - b @ t, lambda t: A @ t - b, hvp=lambda t, v: A @ v)
    model = gf.curvature.Hessian().at(quadratic, np.zeros(2))
    step = bounded_step(model, None, gf.Bounds(upper=[1.0, np.inf]), 100.0)
    assert np.allclose(step.d, [1.0, -1.0], rtol=1e-14)  # t_2 = (-1 - t_1)/2
    assert step.d[0] == 1.0
    assert np.allclose((step.slope, step.bend), (-5.0, 2.0), rtol=1e-14)
    assert not step.boundary
    free = minimise(model, None, lambda form: trust_region(form.gamma, form.mu, 1.5))
    within = bounded_step(model, None, gf.Bounds(), 1.5)
    assert np.allclose(within.d, free.d, rtol=1e-14)
    assert within.boundary
    # both at a bound, held by the gradient: nothing moves
    model = gf.curvature.Hessian().at(quadratic, np.array([1.0, -0.5]))
    step = bounded_step(model, None, gf.Bounds([0.0, -0.5], [1.0, 2.0]), 100.0)
    assert np.array_equal(step.d, np.zeros(2))
    assert step.most == 0.0
