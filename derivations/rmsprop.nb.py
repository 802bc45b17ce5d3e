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
# # RMSProp
#
# Coordinate by coordinate, with the decay $\alpha$ of the average,
#
# $$v^{n+1} = \alpha v + (1 - \alpha) g^2, \qquad d = -\Delta t\,\frac{g}{\sqrt{v^{n+1}} + \varepsilon}. \tag{1}$$
#
# There is no energy law. In every diagonal inner product $(g, d)_M \le 0$, coordinate by coordinate, and since $v^{n+1}
# \ge (1-\alpha)g^2$, $|d_i| \le \Delta t/\sqrt{1 - \alpha}$.
#
# **Time.** $v^{n+1} - g^2 = \alpha(v - g^2)$: for fixed $\alpha$ the average forgets its past at a geometric rate while
# $\theta$, and with it g, moves by $O(\Delta t)$. So $v = g^2 + O(\Delta t)$ after the first steps, and the iterates
# follow $\theta' = -g/(|g| + \varepsilon)$.

# %%
import numpy as np
import sympy as sp

from gradflow import RMSProp
from gradflow.proofs import check, follows
from gradflow.schemes.adam import adam_update
from gradflow.schemes.rmsprop import SquaresState, rmsprop_update
from gradflow.symbolic import configured, is_small, is_zero, symbols

GENERIC = "one generic coordinate"
dt, eps, size = sp.symbols("dt epsilon size", positive=True)
v, alpha = sp.symbols("v alpha", nonnegative=True)
theta, g = sp.symbols("theta g", real=True)
lost = sp.Symbol("lost", positive=True)  # 1 - alpha
scheme = configured(RMSProp, decay=alpha, eps=eps)


class Given:
    """A problem whose gradient is given."""

    def __init__(self, gradient):
        self.gradient = gradient

    def energy_and_gradient(self, theta):
        """Return no energy, and the gradient."""
        return None, self.gradient


def mean(v, g):
    """Return the average of equation (1)."""
    return alpha * v + (1 - alpha) * g**2


# %% [markdown]
# ## The three obligations


# %%
@check("squares", "one generic coordinate; arrays of size 1 to 3 in every diagonal inner product")
def energy_law():
    """(g, d)_M = -dt sum of m g^2/(sqrt(v_new) + eps), a sum of nonpositive terms: a descent direction; v_new is the average."""
    new, v_new = rmsprop_update(theta, v, g, dt=dt, decay=alpha, eps=eps)
    assert is_zero(v_new - mean(v, g))
    slope = g * (new - theta)
    assert is_zero(slope + dt * g**2 / (sp.sqrt(mean(v, g)) + eps))
    # the same terms, with the average as a symbol of known sign
    average = sp.Symbol("average", nonnegative=True)
    assert follows(v_new >= 0, [alpha < 1])
    assert (-slope).subs(v_new, average).is_nonnegative
    for n in (1, 2, 3):
        t, G, m = symbols("theta", n), symbols("g", n), symbols("m", n, positive=True)
        V = symbols("v", n, nonnegative=True)
        state = scheme.step(Given(G), SquaresState(t, V), dt)
        assert is_zero(state.v - mean(V, G))
        terms = [m[i] * G[i] ** 2 * dt / (sp.sqrt(mean(V[i], G[i])) + eps) for i in range(n)]
        assert is_zero(sum(m * G * (state.theta - t)) + sum(terms))


def _at_average(d, average, value):
    """Return d with the average, the radicand, replaced by the value that it has been shown to have."""
    assert is_zero(average - value)
    return d.replace(
        lambda x: isinstance(x, sp.Pow) and x.exp.is_Rational and x.exp.q == 2,
        lambda x: sp.sqrt(sp.factor(x.base)) ** (2 * x.exp),
    )


@check("identity", GENERIC)
def consistency():
    """The average forgets at the rate alpha, v_new - g^2 = alpha (v - g^2), and with v = g^2 the step is -dt g/(|g| + eps)."""
    _, v_new = rmsprop_update(theta, v, g, dt=dt, decay=alpha, eps=eps)
    assert is_zero(v_new - g**2 - alpha * (v - g**2))
    error = sp.Symbol("e", real=True)
    for sign in (1, -1):
        new, v_new = rmsprop_update(theta, size**2, sign * size, dt=dt, decay=alpha, eps=eps)
        assert is_zero(v_new - size**2)
        d = _at_average(new - theta, v_new, size**2)
        assert is_zero(d + dt * sign * size / (size + eps))
        # an average that is off by O(dt) changes the step by O(dt^2)
        new, _ = rmsprop_update(theta, size**2 + dt * error, sign * size, dt=dt, decay=alpha, eps=eps)
        change = sp.diff(new - theta, dt).subs(dt, 0)
        assert is_zero(_at_average(change, mean(size**2, size), size**2) + sign * size / (size + eps))
        assert is_small(new - theta, dt, 1)
        # the first step, from v = 0, is -dt sign(g)/sqrt(1 - alpha), but for eps
        gradient = np.array([sign * size], dtype=object)
        start = scheme.init(Given(gradient), np.array([theta], dtype=object))
        assert is_zero(start.v)
        assert is_zero(start.theta[0] - theta)
        first = scheme.step(Given(gradient), start, dt)
        assert is_zero(first.theta[0] - theta + sign * dt * size / (sp.sqrt((1 - alpha) * size**2) + eps))


@check("decision procedure", GENERIC)
def solvability():
    """The denominator sqrt(v_new) + eps is at least eps > 0, v stays nonnegative, and a decay of 1 or an eps <= 0 is refused."""
    new, v_new = rmsprop_update(theta, v, g, dt=dt, decay=alpha, eps=eps)
    assert follows(v_new >= 0, [alpha < 1])
    denominator = -dt * g / (new - theta)
    assert is_zero(denominator - sp.sqrt(v_new) - eps)
    average = sp.Symbol("average", nonnegative=True)
    assert denominator.subs(v_new, average).is_positive
    for refused in ({"eps": 0.0}, {"eps": -1e-8}, {"decay": 1.0}, {"decay": -0.1}):
        try:
            RMSProp(**refused)
        except ValueError:
            continue
        raise AssertionError(f"{refused} was accepted")


# %% [markdown]
# ## How long the steps are


# %%
@check("decision procedure", GENERIC)
def steps_are_bounded():
    """|d| < dt/sqrt(1 - alpha) for every g and every v >= 0."""
    new, _ = rmsprop_update(theta, v, g, dt=dt, decay=alpha, eps=eps)
    assert follows((1 - alpha) * (new - theta) ** 2 < dt**2, [alpha < 1])


@check("identity", "one generic coordinate, v = 0")
def bound_is_sharp():
    """From v = 0, d/dt = -g/(sqrt(1 - alpha)|g| + eps), which tends to the bound as eps/|g| tends to 0."""
    new, v_new = rmsprop_update(theta, sp.Integer(0), size, dt=dt, decay=1 - lost, eps=eps)
    assert is_zero(v_new - lost * size**2)
    d = new - theta
    assert is_zero(d + dt * size / (sp.sqrt(lost) * size + eps))
    assert is_zero(sp.limit(d, eps, 0) + dt / sp.sqrt(lost))


@check("identity", "one generic coordinate, the first three steps")
def adam_corrects_the_start():
    """Adam with beta1 = 0, beta2 = alpha has the same v and divides it by 1 - alpha^n; its first step is -dt g/(|g| + eps)."""
    gradients = sp.symbols("g1:4", positive=True)
    u, s, m = sp.Integer(0), sp.Integer(0), sp.Integer(0)
    a = 1 - lost
    for n, gradient in enumerate(gradients, start=1):
        new, u = rmsprop_update(theta, u, gradient, dt=dt, decay=a, eps=eps)
        corrected, m, s = adam_update(theta, m, s, gradient, n, dt=dt, beta1=0, beta2=a, eps=eps)
        assert is_zero(u - s)
        root = -dt * gradient / (new - theta) - eps
        corrected_root = -dt * gradient / (corrected - theta) - eps
        assert is_zero(corrected_root**2 * (1 - a**n) - root**2)
        if n == 1:
            assert is_zero(corrected_root**2 - gradient**2)


@check("counterexample", "E = theta^2 / 2, alpha = 3/4, theta = 1/4, dt = 1, eps = 1/8")
def the_energy_may_rise():
    """E = theta^2/2, alpha = 3/4, first step from 1/4 with dt = 1, eps = 1/8: theta_new = -3/4, E rises ninefold."""
    quarter = sp.Rational(1, 4)
    new, _ = rmsprop_update(quarter, sp.Integer(0), quarter, dt=1, decay=3 * quarter, eps=quarter / 2)
    assert new == -3 * quarter
    assert new**2 / 2 == 9 * (quarter**2 / 2)
