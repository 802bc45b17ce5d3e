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
# # Noisy gradient descent
#
# $$\theta^{n+1} = \theta^n - \Delta t\,(g + \zeta), \qquad \mathbb{E}\,\zeta = 0, \quad |\zeta|_M = \sigma. \tag{1}$$
#
# If the gradient has the Lipschitz constant K, then $E(\theta + d) \le E + (g, d) + \tfrac12K|d|^2$. The expectation is a linear
# functional with $\mathbb{E}\,(\zeta, u) = 0$ and $\mathbb{E}\,|\zeta|^2 = \sigma^2$: it is taken of polynomials in $\zeta$, term by
# term. What is random is tested: the distribution, and that runs leave a saddle as the variance says.

# %%
import numpy as np
import sympy as sp

import gradflow as gf
from gradflow.proofs import check, follows
from gradflow.schemes.noisy_gradient_descent import NoisyState, noisy_gradient_descent_update
from gradflow.symbolic import Space, is_small, is_zero

EVERY = "every dimension and inner product"
dt, K, sigma = sp.symbols("dt K sigma", positive=True)


# %% [markdown]
# ## The three obligations


# %%
@check("identity", EVERY + ", every E with a K-Lipschitz gradient")
def energy_law():
    """The bound is -dt (1 - K dt/2) |g|^2 - dt (1 - K dt) (g, zeta) + K dt^2 sigma^2/2; its mean has no middle term."""
    V = Space()
    theta, g, zeta = V.vectors("theta g zeta")
    d = noisy_gradient_descent_update(theta, g, zeta, dt=dt) - theta
    taylor = V.inner(g, d) + K * V.inner(d, d) / 2
    square, cross, noise = V.inner(g, g), V.inner(g, zeta), V.inner(zeta, zeta)
    assert is_zero(taylor + dt * (1 - K * dt / 2) * square + dt * (1 - K * dt) * cross - K * dt**2 * noise / 2)
    # the mean is negative where the gradient is not small
    G = sp.Symbol("G", positive=True)
    mean = -dt * (1 - K * dt / 2) * G + K * dt**2 * sigma**2 / 2
    assert follows(mean < 0, [K * dt < 2, G * (2 - K * dt) > K * dt * sigma**2])


@check("identity", EVERY)
def consistency():
    """The mean step is explicit Euler, and the step differs from it by -dt zeta: the mean square of that is dt^2 sigma^2."""
    V = Space()
    theta, g, zeta = V.vectors("theta g zeta")
    mean = noisy_gradient_descent_update(
        theta, g, V.zero, dt=dt
    )  # the step is affine in zeta, and the mean of zeta is 0
    assert is_zero(mean - theta + dt * g)
    rest = noisy_gradient_descent_update(theta, g, zeta, dt=dt) - mean
    assert is_zero(rest + dt * zeta)
    assert is_zero(V.inner(rest, rest) - dt**2 * V.inner(zeta, zeta))
    assert is_small(mean - theta, dt, 1)


@check("identity", EVERY)
def solvability():
    """The step is explicit, nothing is divided by; numbers out of their range are refused."""
    V = Space()
    theta, g, zeta = V.vectors("theta g zeta")
    assert is_zero(noisy_gradient_descent_update(theta, g, zeta, dt=dt) - theta + dt * g + dt * zeta)
    for changes in ({"sigma": 0.0}, {"sigma": -1.0}, {"seed": -1}):
        try:
            gf.NoisyGradientDescent(**changes)
        except ValueError:
            continue
        raise AssertionError(f"{changes} was accepted")


# %% [markdown]
# ## The variance along an eigenvector
#
# With $q = 1 - \Delta t\lambda$ the recursion $V^{n+1} = q^2V^n + \Delta t^2\sigma^2/P$, $V^0 = 0$, has the solution (4).


# %%
@check("identity", "every dt, lambda and n")
def the_variance_is_a_geometric_sum():
    """(4) solves the recursion of the update; it tends to dt sigma^2/(P lambda (2 - dt lambda)) for |q| < 1."""
    P = sp.Symbol("P", positive=True, integer=True)
    lam, y, z = sp.symbols("lambda y z", real=True)
    q = 1 - dt * lam
    # one step along the eigenvector: g = lambda y, and zeta has the component z of mean square sigma^2/P
    new = sp.expand(noisy_gradient_descent_update(y, lam * y, z, dt=dt))
    assert is_zero(new - q * y + dt * z)

    def variance(power):  # with q^(2 n) for n steps
        return dt**2 * sigma**2 / P * (power - 1) / (q**2 - 1)

    Q = sp.Symbol("Q", positive=True)  # q^(2 n)
    assert is_zero(variance(1))  # n = 0
    assert is_zero(variance(q**2 * Q) - q**2 * variance(Q) - dt**2 * sigma**2 / P)
    assert is_zero(variance(0) - dt * sigma**2 / (P * lam * (2 - dt * lam)))  # Q -> 0 for |q| < 1


# %% [markdown]
# ## What runs


# %%
@check("identity, run", "E = (x^2 - y^2)/2 in float64, in numbers that it has to rounding")
def the_state_says_what_happened():
    """A step adds the noise of its number to the gradient in the inner product; it counts."""
    saddle = gf.FunctionProblem(
        lambda t: (t[0] ** 2 - t[1] ** 2) / 2, lambda t: t * np.array([0.25, -0.25]), mass=4.0
    )  # the gradient in the inner product 4 u.v
    method = gf.NoisyGradientDescent(sigma=0.125, seed=3)
    start = method.init(saddle, np.array([1.0, 0.5]))
    assert start == NoisyState(start.theta, 0)
    zeta = method.draw(saddle, start.theta, 0)
    assert np.isclose(float(saddle.inner(zeta, zeta)) ** 0.5, 0.125, rtol=1e-15)
    one = method.step(saddle, start, 0.5)
    assert one.n == 1
    assert np.array_equal(one.theta, start.theta - 0.5 * (np.array([0.25, -0.125]) + zeta))
    assert not np.array_equal(method.draw(saddle, start.theta, 1), zeta)
    assert not np.array_equal(gf.NoisyGradientDescent(sigma=0.125, seed=4).draw(saddle, start.theta, 0), zeta)


@check("run", "20000 draws in 3 dimensions with the inner product of the diagonal (1, 4, 9)")
def the_noise_is_isotropic():
    """M^(1/2) zeta has the mean 0, the length sigma and the second moments sigma^2/P I; P = 3: a coordinate is uniform."""
    mass = np.array([1.0, 4.0, 9.0])
    problem = gf.FunctionProblem(lambda t: t @ t / 2, lambda t: t / mass, mass=mass)
    method = gf.NoisyGradientDescent(sigma=2.0)
    zeta = np.sqrt(mass) * np.array([method.draw(problem, np.zeros(3), n) for n in range(20000)])
    assert np.allclose(np.linalg.norm(zeta, axis=1), 2, rtol=1e-14)
    assert np.max(np.abs(zeta.mean(axis=0))) < 4 * np.sqrt(4 / 3 / 20000)
    assert np.max(np.abs(zeta.T @ zeta / 20000 - 4 / 3 * np.eye(3))) < 0.04
    for i in range(3):  # Archimedes
        share = np.sort((zeta[:, i] + 2) / 4)
        assert np.max(np.abs(share - (np.arange(20000) + 0.5) / 20000)) < 0.0125  # Kolmogorov, a probability of 4e-3
