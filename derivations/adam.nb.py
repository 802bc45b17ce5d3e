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
#
# **By the norm.** The other reading averages the one number $|g|_M^2$ in the place of $g^2$, so that v is a number as well. Its laws
# are those of a vector: $(g, d)_M = -\Delta t\,(g, \hat m)_M/(\sqrt{\hat v} + \varepsilon)$, the first step has the length
# $|d|_M = \Delta t\,|g|_M/(|g|_M + \varepsilon)$, and it is what adaptive SAV without a stabilization becomes when C grows.

# %%
import numpy as np
import sympy as sp

from gradflow import Adam, AdaptiveSAV
from gradflow.proofs import check, follows
from gradflow.schemes.adam import AdamState, adam_update
from gradflow.schemes.adaptive_sav import AdaptiveState
from gradflow.symbolic import AbstractEnergy, Space, configured, is_small, is_zero, symbols

GENERIC = "one generic coordinate"
EVERY = "every dimension and inner product"
dt, eps, size = sp.symbols("dt epsilon size", positive=True)
beta1, beta2, v = sp.symbols("beta1 beta2 v", nonnegative=True)
theta, m, g = sp.symbols("theta m g", real=True)
scheme = configured(Adam, beta1=beta1, beta2=beta2, eps=eps)
by_norm = configured(Adam, reading="norm", beta1=beta1, beta2=beta2, eps=eps)


class Given:
    """A problem whose gradient is given."""

    def __init__(self, gradient):
        self.gradient = gradient

    def energy_and_gradient(self, theta):
        """Return no energy, and the gradient."""
        return None, self.gradient


class Valued(Given):
    """A problem of one coordinate whose energy and gradient are given, in any inner product."""

    mass, E = sp.symbols("mass E", positive=True)

    def energy(self, theta):
        """Return E."""
        return self.E

    def energy_and_gradient(self, theta):
        """Return E and the gradient."""
        return self.E, self.gradient

    def inner(self, u, v):
        """Return mass u v."""
        return self.mass * (u @ v)


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
    for refused in (
        {"eps": 0.0},
        {"beta1": 1.0},
        {"beta2": 1.0},
        {"beta1": -0.1},
        {"beta2": -0.1},
        {"reading": "scalar"},
    ):
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


# %% [markdown]
# ## By the norm
#
# Nothing is coordinate by coordinate any more: abstract vectors prove the laws in every dimension and inner product.


# %%
@check("identity", EVERY + ", steps n = 1 to 4")
def by_the_norm_one_number_serves_all_coordinates():
    """v is the average of |g|_M^2, d = -dt m_hat/(sqrt(v_hat) + eps), and (g, d)_M = -dt (g, m_hat)_M/(sqrt(v_hat) + eps)."""
    V = Space()
    problem = AbstractEnergy(V)
    at, average = V.vectors("theta m")
    gradient = problem.energy_and_gradient(at)[1]
    for taken in (0, 1, 2, 3):
        state = by_norm.step(problem, AdamState(at, average, v, taken), dt)
        n, d = taken + 1, state.theta - at
        assert state.n == n
        assert is_zero(state.m - (beta1 * average + (1 - beta1) * gradient))
        assert is_zero(state.v - (beta2 * v + (1 - beta2) * V.inner(gradient, gradient)))
        denominator = sp.sqrt(state.v / (1 - beta2**n)) + eps
        assert is_zero(denominator * d + dt / (1 - beta1**n) * state.m)
        assert is_zero(denominator * V.inner(gradient, d) + dt / (1 - beta1**n) * V.inner(gradient, state.m))


@check("identity", EVERY)
def the_first_step_by_the_norm_has_the_length_dt():
    """From empty averages m_hat = g and v_hat = |g|_M^2: d = -dt g/(|g|_M + eps), so that |d|_M = dt |g|_M/(|g|_M + eps) < dt."""
    V = Space()
    problem = AbstractEnergy(V)
    at = V.vector("theta")
    gradient = problem.energy_and_gradient(at)[1]
    start = by_norm.init(problem, at)
    assert start.n == 0
    assert is_zero(start.m)
    assert is_zero(start.v)
    state = by_norm.step(problem, start, dt)
    length, d = sp.sqrt(V.inner(gradient, gradient)), state.theta - at
    assert is_zero((length + eps) * d + dt * gradient)
    assert is_zero((length + eps) ** 2 * V.inner(d, d) - (dt * length) ** 2)
    assert follows((dt * size / (size + eps)) < dt)


@check("identity", "norm: every dimension and inner product; element by element: one coordinate; S = 0")
def adaptive_sav_tends_to_it_as_its_constant_grows():
    """From the same averages, with r consistent and S = 0, the step of AdaptiveSAV tends to that of Adam in the same reading as C grows."""
    C = sp.Symbol("C", positive=True)
    V = Space()
    at, average = V.vectors("theta m")
    one = np.array([theta], dtype=object)
    cases = (
        ("norm", AbstractEnergy(V), at, average, v),
        (
            "elementwise",
            Valued(np.array([g], dtype=object)),
            one,
            np.array([m], dtype=object),
            np.array([v], dtype=object),
        ),
    )
    for reading, problem, where, mean, square in cases:
        for taken in (0, 1, 3):
            adam = configured(Adam, reading=reading, beta1=beta1, beta2=beta2, eps=eps)
            sav = configured(AdaptiveSAV, C=C, stabilization=0.0, reading=reading, beta1=beta1, beta2=beta2, eps=eps)
            plain = adam.step(problem, AdamState(where, mean, square, taken), dt)
            new = sav.step(problem, AdaptiveState(where, None, mean, square, 0 * square, taken), dt)
            assert is_zero(new.m - plain.m)
            assert is_zero(new.v - plain.v)
            # d of SAV is that of Adam times r_new / R, where R / r_new - 1 = (m_hat, tau m_hat) / (2 (E + C))
            R = sav.auxiliary(problem, where)
            factor = new.aux / R
            assert is_zero(new.theta - where - factor * (plain.theta - where))
            rest = (1 / factor - 1) * 2 * (problem.energy(where) + C)
            assert C not in sp.sympify(sp.cancel(rest)).free_symbols
