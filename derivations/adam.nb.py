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
# # Adam
#
# Coordinate by coordinate, from $m = v = 0$, n counting the steps from 1,
#
# $$m^n = \beta_1 m^{n-1} + (1 - \beta_1)g, \quad v^n = \beta_2 v^{n-1} + (1 - \beta_2)g^2, \quad
#   d = -\Delta t\,\frac{m^n/(1 - \beta_1^n)}{\sqrt{v^n/(1 - \beta_2^n)} + \varepsilon}. \tag{1}$$
#
# There is no energy law, and not even a descent direction: by (1) the sign of $(g, d)$ is that of $-g\,m^n$, and the
# average m may still point where the gradient was. For $n = 1$, or $\beta_1 = 0$, or $g\,m^{n-1} \ge 0$ the direction
# is one of descent.
#
# **Time.** $m^n - g = \beta_1(m^{n-1} - g)$ and $v^n - g^2 = \beta_2(v^{n-1} - g^2)$. On a constant gradient, from
# zero, $m^n = (1 - \beta_1^n)g$ and $v^n = (1 - \beta_2^n)g^2$: the corrected averages are g and $g^2$ at every n, and
# each step is $-\Delta t\,g/(|g| + \varepsilon)$, the Euler step of $\theta' = -g/(|g| + \varepsilon)$.

# %%
import numpy as np
import sympy as sp

from gradflow import Adam
from gradflow.proofs import check, follows
from gradflow.schemes.adam import AdamState, adam_update
from gradflow.symbolic import configured, is_small, is_zero, symbols

GENERIC = "one generic coordinate"
dt, eps, size = sp.symbols("dt epsilon size", positive=True)
beta1, beta2, v = sp.symbols("beta1 beta2 v", nonnegative=True)
theta, m, g = sp.symbols("theta m g", real=True)
scheme = configured(Adam, beta1=beta1, beta2=beta2, eps=eps)


class Given:
    """A problem whose gradient is given."""

    def __init__(self, gradient):
        self.gradient = gradient

    def energy_and_gradient(self, theta):
        """Return no energy, and the gradient."""
        return None, self.gradient


def formula(theta, m, v, g, n):
    """Return equation (1), written out: theta_new, m_new, v_new."""
    m_new, v_new = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
    return theta - dt * m_new / (1 - beta1**n) / (sp.sqrt(v_new / (1 - beta2**n)) + eps), m_new, v_new


# %% [markdown]
# ## The three obligations


# %%
@check("identity", "one generic coordinate, steps n = 1 to 4; arrays of size 1 to 3 in every diagonal inner product")
def energy_law():
    """(g, d)_M = -dt sum of m_i g_i m^n_i/((1 - beta1^n)(sqrt(v_hat_i) + eps)): a descent direction for n = 1, for later n if g m >= 0."""
    for n in (1, 2, 3, 4):
        new, m_new, v_new = adam_update(theta, m, v, g, n, dt=dt, beta1=beta1, beta2=beta2, eps=eps)
        wanted, m_wanted, v_wanted = formula(theta, m, v, g, n)
        assert is_zero(m_new - m_wanted)
        assert is_zero(v_new - v_wanted)
        assert is_zero(g * (new - theta) - g * (wanted - theta))
    # signs: g m_new >= 0 where g m >= 0, and v_new >= 0
    assert follows(g * m_new >= 0, [g * m >= 0, beta1 < 1])
    assert follows(v_new >= 0, [beta2 < 1])
    # the first step, for either sign of g
    for sign in (1, -1):
        first, _, _ = adam_update(theta, 0 * m, 0 * v, sign * size, 1, dt=dt, beta1=beta1, beta2=beta2, eps=eps)
        slope = sign * size * (first - theta)
        assert is_zero(slope + dt * size**2 / (size + eps))
        assert (dt * size**2 / (size + eps)).is_positive
    for count in (1, 2, 3):
        t, M, G = symbols("theta", count), symbols("m", count), symbols("g", count)
        V, mass = symbols("v", count, nonnegative=True), symbols("mass", count, positive=True)
        for taken in (0, 1, 4):
            state = scheme.step(Given(G), AdamState(t, M, V, taken), dt)
            assert state.n == taken + 1
            rows = [formula(*row, taken + 1) for row in zip(t, M, V, G, strict=True)]
            slope = sum(mass[i] * G[i] * (rows[i][0] - t[i]) for i in range(count))
            assert is_zero(sum(mass * G * (state.theta - t)) - slope)
            assert is_zero(state.m - np.array([row[1] for row in rows], dtype=object))
            assert is_zero(state.v - np.array([row[2] for row in rows], dtype=object))


@check("identity", GENERIC)
def consistency():
    """On a constant gradient the corrected averages are g and g^2 at every n: each step is -dt g/(|g| + eps), the first included."""
    new, m_new, v_new = adam_update(theta, m, v, g, 1, dt=dt, beta1=beta1, beta2=beta2, eps=eps)
    assert is_zero(m_new - g - beta1 * (m - g))
    assert is_zero(v_new - g**2 - beta2 * (v - g**2))
    for sign in (1, -1):
        gradient = np.array([sign * size], dtype=object)
        state = scheme.init(Given(gradient), np.array([theta], dtype=object))
        assert state.n == 0
        assert is_zero(state.m)
        assert is_zero(state.v)
        assert is_zero(state.theta[0] - theta)
        flow = -dt * sign * size / (size + eps)
        state = scheme.step(Given(gradient), state, dt)
        assert state.n == 1
        assert is_zero(state.theta[0] - theta - flow)
        # every later step, by induction on n: B1 and B2 are beta1^(n-1) and beta2^(n-1)
        B1, B2 = sp.symbols("B1 B2", nonnegative=True)
        taken = sp.Symbol("n", positive=True, integer=True)  # n - 1
        old = AdamState(
            np.array([theta], dtype=object),
            np.array([(1 - B1) * sign * size], dtype=object),
            np.array([(1 - B2) * size**2], dtype=object),
            taken,
        )
        state = scheme.step(Given(gradient), old, dt)
        assert state.n == taken + 1
        named = {beta1 ** (taken + 1): beta1 * B1, beta2 ** (taken + 1): beta2 * B2}
        assert is_zero(state.m[0] - (1 - beta1 * B1) * sign * size)
        assert is_zero(state.v[0] - (1 - beta2 * B2) * size**2)
        d = (state.theta[0] - theta).subs(named)
        d = d.replace(
            lambda x: isinstance(x, sp.Pow) and x.exp == sp.Rational(1, 2), lambda x: sp.sqrt(sp.cancel(x.base))
        )
        assert is_zero(d - flow)
    # averages that are off by O(dt) change the step by O(dt^2), for n so large that beta^n is gone
    M, N = sp.symbols("M N", real=True)
    new, _, _ = adam_update(
        theta,
        size + dt * M,
        size**2 + dt * N,
        size,
        sp.oo,
        dt=dt,
        beta1=sp.Rational(9, 10),
        beta2=sp.Rational(99, 100),
        eps=eps,
    )
    assert is_small(new - theta + dt * size / (size + eps), dt, 2)


@check("decision procedure", GENERIC)
def solvability():
    """1 - beta1^n, 1 - beta2^n and sqrt(v_hat) + eps are positive for n >= 1, v stays nonnegative; rates of 1 and eps <= 0 are refused."""
    # the roots are real: a bias correction of the wrong sign would not make them so
    numbers = [sp.Rational(k, 10) for k in (3, 2, 7, 5, 9, 8, 1)]
    names = (theta, m, v, g, beta1, beta2, eps)
    new, _, _ = adam_update(theta, m, v, g, 2, dt=dt, beta1=beta1, beta2=beta2, eps=eps)
    assert (new - theta).subs(dict(zip(names, numbers, strict=True))).subs(dt, 1).is_negative
    for n in (1, 2, 3):
        new, m_new, v_new = adam_update(theta, m, v, g, n, dt=dt, beta1=beta1, beta2=beta2, eps=eps)
        assert follows(v_new >= 0, [beta2 < 1])
        assert is_zero(m_new / (1 - beta1**n) + (new - theta) / dt * (sp.sqrt(v_new / (1 - beta2**n)) + eps))
    # beta^n < 1 for every n, by induction
    power = sp.Symbol("power", nonnegative=True)
    for beta in (beta1, beta2):
        assert follows(beta * power < 1, [beta < 1, power <= 1])
    # the denominator itself, with v_hat as a symbol of known sign
    average = sp.Symbol("average", nonnegative=True)
    new, m_new, v_new = adam_update(theta, m, v, g, 2, dt=dt, beta1=beta1, beta2=beta2, eps=eps)
    denominator = (-dt * m_new / (1 - beta1**2) / (new - theta)).subs(v_new / (1 - beta2**2), average)
    assert denominator.is_positive
    for refused in ({"eps": 0.0}, {"beta1": 1.0}, {"beta2": 1.0}, {"beta1": -0.1}, {"beta2": -0.1}):
        try:
            Adam(**refused)
        except ValueError:
            continue
        raise AssertionError(f"{refused} was accepted")


# %% [markdown]
# ## No descent direction
#
# E = theta^2/2 from theta = 1: the first step overshoots, and the average still points the old way in the second.


# %%
class Square:
    """E = theta^2 / 2."""

    def energy_and_gradient(self, theta):
        """Return E and theta."""
        return theta**2 / 2, theta


@check("counterexample", "E = theta^2 / 2, theta = 1, dt = 2, eps = 1/2, beta1 = 9/10, beta2 = 999/1000, second step")
def not_a_descent_direction():
    """E = theta^2/2 from 1, dt = 2, eps = 1/2: theta_1 = -1/3, and the second step goes up the gradient: (g, d) > 0, E rises."""
    exact = configured(Adam, beta1=sp.Rational(9, 10), beta2=sp.Rational(999, 1000), eps=sp.Rational(1, 2))
    problem = Square()
    first = exact.step(problem, exact.init(problem, sp.Integer(1)), sp.Integer(2))
    assert first.theta == -sp.Rational(1, 3)
    second = exact.step(problem, first, sp.Integer(2))
    d = second.theta - first.theta
    assert second.m == sp.Rational(17, 300)  # still positive, with g = -1/3
    assert (first.theta * d).is_positive
    assert (second.theta**2 - first.theta**2).is_positive


@check("counterexample", "E = theta^2 / 2, theta = 1, dt = 3/2, eps = 1/2, beta1 = 9/10, beta2 = 999/1000, second step")
def leaves_a_minimum():
    """E = theta^2/2 from 1, dt = 3/2, eps = 1/2: theta_1 = 0, the minimum, and the second step leaves it."""
    exact = configured(Adam, beta1=sp.Rational(9, 10), beta2=sp.Rational(999, 1000), eps=sp.Rational(1, 2))
    problem = Square()
    first = exact.step(problem, exact.init(problem, sp.Integer(1)), sp.Rational(3, 2))
    assert first.theta == 0
    assert exact.step(problem, first, sp.Rational(3, 2)).theta.is_negative


# %% [markdown]
# ## The averages
#
# From zero, $m^n = (1 - \beta_1)\sum_i \beta_1^{n-i} g_i$; the weights sum to $1 - \beta_1^n$, which the correction
# divides out.


# %%
@check("identity", "one generic coordinate, the first three steps")
def corrected_averages_are_weighted_means():
    """m_hat and v_hat are means of the g_i and g_i^2 with weights proportional to beta^(n-i), for the first three steps."""
    gradients = sp.symbols("g1:4", real=True)
    problem = Given(None)
    state = scheme.init(problem, np.array([theta], dtype=object))
    for n in (1, 2, 3):
        problem.gradient = np.array([gradients[n - 1]], dtype=object)
        old, state = state, scheme.step(problem, state, dt)
        mean = {}
        for power, beta in ((1, beta1), (2, beta2)):
            weights = [beta ** (n - i) for i in range(1, n + 1)]
            mean[power] = sum(w * x**power for w, x in zip(weights, gradients, strict=False)) / sum(weights)
        assert is_zero(state.m[0] - (1 - beta1**n) * mean[1])
        assert is_zero(state.v[0] - (1 - beta2**n) * mean[2])
        # the step is -dt m_hat/(sqrt(v_hat) + eps)
        root = -dt * mean[1] / (state.theta[0] - old.theta[0]) - eps
        assert is_zero(root**2 - state.v[0] / (1 - beta2**n))


@check("decision procedure", "one generic coordinate, n = 1 and beta1 = 0")
def steps_are_bounded_at_first_and_without_momentum():
    """|d| < dt in the first step, and for beta1 = 0 |d| < dt sqrt((1 - beta2^n)/(1 - beta2)) in every one."""
    for n in (1, 2, 3):
        new, _, _ = adam_update(theta, 0 * m, v, g, n, dt=dt, beta1=0, beta2=beta2, eps=eps)
        square = (new - theta) ** 2
        assert follows(square * (1 - beta2) < dt**2 * (1 - beta2**n), [beta2 < 1])
