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
# # Perturbed gradient descent
#
# $$\tilde\theta = \theta + \xi, \qquad \theta^{n+1} = \tilde\theta - \Delta t\,g(\tilde\theta), \qquad
#   \xi = r\,u^{1/P} z/|z|. \tag{1}$$
#
# If the gradient has the Lipschitz constant K, then $E(\theta + \xi) \le E + |g||\xi| + \tfrac12K|\xi|^2$ and
# $E(\tilde\theta - \Delta t\,\tilde g) \le E(\tilde\theta) - \Delta t\,(1 - \tfrac12K\Delta t)\,|\tilde g|^2$. What is random is tested: the
# distribution, and that a run leaves a saddle.

# %%
import numpy as np
import sympy as sp

import gradflow as gf
from gradflow.proofs import check, follows
from gradflow.schemes.perturbed_gradient_descent import (
    PerturbedState,
    perturbation,
    perturbed_gradient_descent_update,
)
from gradflow.symbolic import Space, is_small, is_zero, symbols

EVERY = "every dimension and inner product"
dt, K, r, length = sp.symbols("dt K r length", positive=True)
u = sp.Symbol("u", nonnegative=True)


# %% [markdown]
# ## The three obligations


# %%
@check("decision procedure", EVERY + ", every E with a K-Lipschitz gradient")
def energy_law():
    """E_new - E <= -dt (1 - K dt/2) |g~|^2 + |g| |xi| + K |xi|^2/2: a step without xi lowers E for dt < 2/K."""
    V = Space()
    theta, xi, g = V.vectors("theta xi g")  # g is the gradient at theta + xi
    d = perturbed_gradient_descent_update(theta, xi, g, dt=dt) - theta - xi
    taylor = V.inner(g, d) + K * V.inner(d, d) / 2
    assert is_zero(taylor + dt * (1 - K * dt / 2) * V.inner(g, g))
    G = sp.Symbol("G", positive=True)
    assert follows(-dt * (1 - K * dt / 2) * G < 0, [K * dt < 2])
    # a displacement of length x <= r from a point with |g| <= eps raises E by eps r + K r^2/2 at most
    x, a, eps = sp.symbols("x a eps", nonnegative=True)
    assert follows(a * x + K * x**2 / 2 <= eps * r + K * r**2 / 2, [x <= r, a <= eps])


@check("identity", EVERY)
def consistency():
    """Without a perturbation the step is explicit Euler; with one it is explicit Euler from theta + xi."""
    V = Space()
    theta, xi, g = V.vectors("theta xi g")
    assert is_zero(perturbed_gradient_descent_update(theta, V.zero, g, dt=dt) - theta + dt * g)
    assert is_zero(perturbed_gradient_descent_update(theta, xi, g, dt=dt) - theta - xi + dt * g)
    assert is_small(perturbed_gradient_descent_update(theta, V.zero, g, dt=dt) - theta, dt, 1)


@check("identity", "P = 1, 2, 3; nothing is divided by but |z|")
def solvability():
    """The step is explicit; |xi| = r u^(1/P), so that the share of the ball within |xi| <= x is (x/r)^P."""
    for P in (1, 2, 3):
        z = symbols("z", P)
        xi = perturbation(z, length, u, radius=r)
        for i in range(P):
            assert is_zero(xi[i] - r * u ** (1 / P) * z[i] / length)
        x = r * u ** sp.Rational(1, P)
        assert is_zero((x / r) ** P - u)
    V = Space()
    theta, moved, g = V.vectors("theta xi g")
    assert is_zero(perturbed_gradient_descent_update(theta, moved, g, dt=dt) - theta - moved + dt * g)
    for changes in ({"gradient_tol": 0.0}, {"radius": 0.0}, {"wait": 0}, {"seed": -1}):
        try:
            gf.PerturbedGradientDescent(**changes)
        except ValueError:
            continue
        raise AssertionError(f"{changes} was accepted")


# %% [markdown]
# ## When a perturbation is made


# %%
@check("identity", "E = (x^2 - y^2)/2 in float64, in numbers that it has to rounding")
def the_state_says_what_happened():
    """A perturbation is made where the gradient is small and the last one long enough ago; the gradient is that of the new point."""
    saddle = gf.FunctionProblem(
        lambda t: (t[0] ** 2 - t[1] ** 2) / 2, lambda t: t * np.array([0.25, -0.25]), mass=4.0
    )  # the gradient in the inner product 4 u.v
    method = gf.PerturbedGradientDescent(gradient_tol=0.5, radius=0.125, wait=2)
    start = method.init(saddle, np.zeros(2))
    assert start[1:] == (0, 2, 0)
    one = method.step(saddle, start, 0.5)
    assert one[1:] == (1, 1, 1)
    xi = method.draw(saddle, np.zeros(2), 0)
    assert 0 < float(saddle.inner(xi, xi)) ** 0.5 <= 0.125
    assert np.array_equal(one.theta, xi - 0.5 * (xi * np.array([0.25, -0.25])))
    two = method.step(saddle, one, 0.5)
    assert two[1:] == (2, 2, 1)
    assert np.array_equal(two.theta, one.theta - 0.5 * (one.theta * np.array([0.25, -0.25])))
    three = method.step(saddle, two, 0.5)
    assert three[1:] == (3, 1, 2)
    assert not np.array_equal(method.draw(saddle, np.zeros(2), 2), xi)
    # |g|_M = 2 |t|/4 = 1/2 at |t| = 1 is small enough, beyond that none is made
    for size, made in ((1.0, 1), (1.25, 0)):
        new = method.step(saddle, PerturbedState(np.array([size, 0.0]), 7, 2, 0), 0.5)
        assert new.perturbed == made
        assert (new.n, new.since) == (8, 1 if made else 2)


@check("run", "20000 draws in 3 dimensions with the inner product of the diagonal (1, 4, 9)")
def the_ball_is_filled_uniformly():
    """(|xi|/r)^P is uniform in [0, 1], and each coordinate of M^(1/2) xi has mean 0 and mean square r^2/(P + 2)."""
    mass = np.array([1.0, 4.0, 9.0])
    problem = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t / mass, mass=mass)
    method = gf.PerturbedGradientDescent(radius=2.0)
    xi = np.sqrt(mass) * np.array([method.draw(problem, np.zeros(3), n) for n in range(20000)])
    share = np.sort((np.linalg.norm(xi, axis=1) / 2) ** 3)
    assert np.max(np.abs(share - (np.arange(20000) + 0.5) / 20000)) < 0.0125  # Kolmogorov, a probability of 4e-3
    assert np.max(np.abs(xi.mean(axis=0))) < 4 * np.sqrt(0.8 / 20000)
    assert np.max(np.abs((xi**2).mean(axis=0) - 0.8)) < 0.03
    assert np.max(np.abs((xi.T @ xi / 20000) - 0.8 * np.eye(3))) < 0.03
