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
# # Negative-curvature descent
#
# Let the Hessian of E have the Lipschitz constant $\rho$, and $|v| = 1$, $\lambda = (v, Hv) < 0$. By Taylor's theorem,
#
# $$E(\theta + tv) \le E + t\,(g, v) + \tfrac12 t^2\lambda + \tfrac16\rho\,|t|^3. \tag{1}$$
#
# For $|t| = 2|\lambda|/\rho$, with the sign for which $t\,(g, v) \le 0$, the last two terms are
# $-2|\lambda|^3/(3\rho^2)$. `negative_curvature_update` returns the point and minus the right-hand side of (1), less E.

# %%
import numpy as np
import sympy as sp

import gradflow as gf
from gradflow.proofs import agree, check, follows, in_both, reached
from gradflow.schemes.negative_curvature_descent import CurvatureState, negative_curvature_update
from gradflow.symbolic import Space, branches, entries, is_zero

EVERY = "every dimension and inner product, every unit vector v with (v, Hv) = -l < 0"
l, rho, t = sp.symbols("l rho t", positive=True)  # l = |lambda|
s = sp.Symbol("s", real=True)  # (g, v)


def bound(step, slope):
    """Return the right-hand side of (1) less E, for a step of this sign and length."""
    return step * slope - step**2 * l / 2 + rho * sp.Abs(step) ** 3 / 6


def ways():
    """Yield conditions, the step along v and the decrease, for each sign of the slope; the step is shown to be along v."""
    V = Space()
    theta, v = V.vectors("theta v")
    found = list(reached(branches(lambda: negative_curvature_update(theta, v, -l, s, rho=rho))))
    assert len(found) == 2
    for conditions, (new, promised), _ in found:
        (step,) = entries(new - theta)
        assert is_zero(new - theta - step * v)
        yield conditions, step, promised


# %% [markdown]
# ## The three obligations


# %%
@check("decision procedure", EVERY)
def energy_law():
    """The promised decrease is minus the bound (1), and 2 l^3/(3 rho^2) + (2 l/rho) |(g, v)| > 0."""
    for conditions, step, promised in ways():
        assert is_zero(promised + bound(step, s))
        size = -s if sp.Not(s > 0) in conditions else s
        assert is_zero(promised - 2 * l**3 / (3 * rho**2) - 2 * l / rho * size)
        assert follows(promised > 0, conditions)


@check("decision procedure", EVERY)
def consistency():
    """The length is 2 l/rho against the slope; without a slope no other length has a smaller bound (1)."""
    for conditions, step, _ in ways():
        assert is_zero(sp.Abs(step) - 2 * l / rho)
        assert follows(step * s <= 0, conditions)
    best = bound(2 * l / rho, 0)
    assert follows(bound(t, 0) >= best, [])
    assert is_zero(sp.diff(bound(t, 0), t).subs(t, 2 * l / rho))


@check("identity", EVERY)
def solvability():
    """The step is explicit, without a denominator but rho; two signs are possible for every slope, zero among them."""
    V = Space()
    theta, v = V.vectors("theta v")
    new, promised = negative_curvature_update(theta, v, -l, sp.Integer(0), rho=rho)
    assert is_zero(new - theta - (2 * l / rho) * v)
    assert is_zero(promised - 2 * l**3 / (3 * rho**2))
    for changes in ({"rho": 0.0}, {"gradient_tol": 0.0}, {"most": 0}, {"seed": -1}):
        try:
            gf.NegativeCurvatureDescent(**changes)
        except ValueError:
            continue
        raise AssertionError(f"{changes} was accepted")


# %% [markdown]
# ## The bound is attained
#
# For $E(t) = -l t^2/2 + \rho |t|^3/6$ at $t = 0$, (1) is an equality: no larger
# decrease can be promised from $\lambda$ and $\rho$ alone. The class is run on it.


# %%
@check("identity, run", "E = -t^2/2 + |t|^3/6 at single points, in numbers that float64 has to rounding")
def the_state_says_what_happened():
    """The class takes (2) below the threshold, with the promised decrease, and the gradient step elsewhere."""
    cubic = gf.FunctionProblem(
        lambda u: -(u[0] ** 2) / 2 + abs(u[0]) ** 3 / 6,
        lambda u: -u + u * abs(u) / 2,
        hvp=lambda u, w: (abs(u) - 1) * w,
    )
    method = gf.NegativeCurvatureDescent(rho=1.0, gradient_tol=0.25, most=5)
    old = method.init(cubic, np.zeros(1))
    assert old[1:] == (0, 0.0, 0.0, 0)
    new = method.step(cubic, old, 0.5)
    assert abs(new.theta[0]) == 2.0
    assert np.isclose(cubic.energy(new.theta), -2 / 3, rtol=1e-14)
    assert np.allclose(new[2:4], [-1.0, 2 / 3], rtol=1e-14)
    assert (new.n, new.products) == (1, 1)
    # from there the gradient is zero and the curvature 1
    again = method.step(cubic, new, 0.5)
    assert again == CurvatureState(again.theta, 2, 1.0, 0.0, 1)
    assert again.theta[0] == new.theta[0]
    # against the slope, whatever the sign of the vector that Lanczos returns
    for y in (0.125, -0.125):
        start = np.array([y])
        g = float(cubic.energy_and_gradient(start)[1][0])
        new = method.step(cubic, method.init(cubic, start), 0.5)
        step = float(new.theta[0]) - y
        assert np.isclose(step, 2 * (1 - abs(y)) * -np.sign(g), rtol=1e-14)
        assert np.isclose(new.promised, 2 * (1 - abs(y)) ** 3 / 3 + abs(step * g), rtol=1e-14)
    # a gradient above its bound, and a curvature above -sqrt(rho eps): a gradient step of size dt
    far = method.step(cubic, method.init(cubic, np.array([0.5])), 0.25)
    assert far == CurvatureState(far.theta, 1, 0.0, 0.0, 0)
    assert far.theta[0] == 0.5 + 0.25 * 0.375
    flat = gf.NegativeCurvatureDescent(rho=4.0, gradient_tol=0.25)  # the threshold is -1
    new = flat.step(cubic, flat.init(cubic, np.array([0.125])), 0.5)
    assert (new.smallest, new.promised) == (-0.875, 0.0)
    assert new.theta[0] == 0.125 + 0.5 * (0.125 - 0.125**2 / 2)


# %% [markdown]
# ## Gradients only, and both steps in one
#
# On $E(t) = -t^2/2 + |t|^3/6$, $\rho = 1$, the difference quotient of radius r at $|t| \le r$ is exact to (2) of
# `gradflow.curvature.gradient_differences`, and that bound is attained at 0: $A = -1 + r/2$. The error $\rho r/2$ is added once more,
# so that the promise holds whatever the sign of the error of the quotient.


# %%
@check("identity, run", "E = -t^2/2 + |t|^3/6 at single points, in numbers that float64 has to rounding")
def with_gradients_only_the_error_is_added():
    """lambda is the quotient plus rho r/2, and one more product is counted; the promise is kept."""
    cubic = gf.FunctionProblem(lambda u: -(u[0] ** 2) / 2 + abs(u[0]) ** 3 / 6, lambda u: -u + u * abs(u) / 2)
    method = gf.NegativeCurvatureDescent(rho=1.0, gradient_tol=0.25, curvature=gf.curvature.GradientDifferences(0.125))
    new = method.step(cubic, method.init(cubic, np.zeros(1)), 0.5)
    lam = -1 + 0.0625 + 0.0625
    assert np.isclose(float(new.smallest), lam, rtol=1e-14)
    assert new.products == 2
    assert np.isclose(abs(float(new.theta[0])), -2 * lam, rtol=1e-14)
    assert np.isclose(float(new.promised), -2 * lam**3 / 3, rtol=1e-14)
    assert cubic.energy(new.theta) <= -new.promised


@check("identity, run", "the same energy; the sum of the bounds by arithmetic")
def the_alternating_method_takes_both():
    """(5): a gradient step from where (2) ends, an eigenvalue wherever the gradient is, and (4) alone where lambda is not negative."""
    cubic = gf.FunctionProblem(
        lambda u: -(u[0] ** 2) / 2 + abs(u[0]) ** 3 / 6,
        lambda u: -u + u * abs(u) / 2,
        hvp=lambda u, w: (abs(u) - 1) * w,
    )
    method = gf.NegativeCurvatureDescent(rho=1.0, gradient_tol=0.0625, alternating=True)
    old = method.init(cubic, np.array([0.5]))  # the gradient is -3/8, the curvature -1/2
    new = method.step(cubic, old, 0.25)
    hat = 0.5 + 2 * 0.5
    assert np.isclose(float(new.theta[0]), hat - 0.25 * (-hat + hat**2 / 2), rtol=1e-14)
    assert np.allclose([float(new.smallest), float(new.promised)], [-0.5, 2 * 0.125 / 3 + 1.0 * 0.375], rtol=1e-14)
    assert (new.n, new.products) == (1, 1)
    E, between = float(cubic.energy(old.theta)), float(cubic.energy(np.array([hat])))
    assert E - between >= float(new.promised) - 1e-15  # attained: the cubic is the bound itself
    assert np.isclose(E - between, float(new.promised), rtol=1e-14)
    assert cubic.energy(new.theta) < between
    convex = method.step(cubic, method.init(cubic, np.array([1.5])), 0.25)
    assert (float(convex.smallest), float(convex.promised), convex.products) == (0.5, 0.0, 1)
    assert float(convex.theta[0]) == 1.5 + 0.25 * (1.5 - 1.5**2 / 2)


# % [markdown]
# ## The inner product
#
# In the coordinates $y = M^{1/2}\theta$ the inner product of diagonal M is the dot product. The steps are the same.


# %
@check("identity, run", "one energy of three parameters, M = diag(4, 1/4, 1), six starts; float64")
def steps_are_the_same_in_other_coordinates():
    """Steps along negative curvature and along the gradient, and the promised decrease, in the inner product of M and in y."""
    for alternating, tol in ((False, 10.0), (False, 1.0), (False, 0.5), (True, 1e-3)):
        agree(gf.NegativeCurvatureDescent(rho=4.0, gradient_tol=tol, alternating=alternating), in_both())
    differences = gf.NegativeCurvatureDescent(
        rho=4.0, gradient_tol=10.0, curvature=gf.curvature.GradientDifferences(1e-3)
    )
    agree(differences, in_both())
