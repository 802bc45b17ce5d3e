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
# # Adagrad
#
# Coordinate by coordinate, with $s = \sqrt{v + g^2}$,
#
# $$v^{n+1} = v + g^2, \qquad d = \theta^{n+1} - \theta^n = -\Delta t\,\frac{g}{s + \varepsilon}. \tag{1}$$
#
# There is no energy law. What holds is $(g, d)_M \le 0$ in every diagonal inner product, coordinate by coordinate, so
# that
#
# $$E^{n+1} - E^n = -\Delta t \sum_i \frac{m_i g_i^2}{s_i + \varepsilon} + \bigl[E^{n+1} - E^n - (g, d)_M\bigr],
# \tag{2}$$
#
# and $|d_i| \le \Delta t$ whatever g is. The bracket need not be smaller than the sum.
#
# **Time.** With $w = \Delta t^2 v$ and $h = \Delta t^2$, (1) reads $(w^{n+1} - w)/h = g^2$ and $d/h = -g/(\sqrt{w + h
# g^2} + \Delta t\,\varepsilon)$: the step of size h of $w' = g^2$, $\theta' = -g/\sqrt w$.

# %%
import numpy as np
import sympy as sp

from gradflow import Adagrad
from gradflow.proofs import check, follows
from gradflow.schemes.adagrad import adagrad_update
from gradflow.schemes.rmsprop import SquaresState
from gradflow.symbolic import configured, is_small, is_zero, symbols

GENERIC = "one generic coordinate"
dt, eps, w = sp.symbols("dt epsilon w", positive=True)
v = sp.Symbol("v", nonnegative=True)
theta, g = sp.symbols("theta g", real=True)


class Given:
    """A problem whose gradient is given."""

    def __init__(self, gradient):
        self.gradient = gradient

    def energy_and_gradient(self, theta):
        """Return no energy, and the gradient."""
        return None, self.gradient


# %% [markdown]
# ## The three obligations


# %%
@check("squares", "one generic coordinate; arrays of size 1 to 3 in every diagonal inner product")
def energy_law():
    """(g, d)_M = -dt sum of m g^2/(sqrt(v + g^2) + eps), a sum of nonpositive terms: a descent direction; v_new = v + g^2."""
    new, v_new = adagrad_update(theta, v, g, dt=dt, eps=eps)
    assert is_zero(v_new - v - g**2)
    slope = g * (new - theta)
    assert is_zero(slope + dt * g**2 / (sp.sqrt(v + g**2) + eps))
    assert sp.expand_mul(-slope).is_nonnegative
    scheme = configured(Adagrad, eps=eps)
    for n in (1, 2, 3):
        t, G, m = symbols("theta", n), symbols("g", n), symbols("m", n, positive=True)
        V = symbols("v", n, nonnegative=True)
        state = scheme.step(Given(G), SquaresState(t, V), dt)
        assert is_zero(state.v - V - G * G)
        terms = [m[i] * G[i] ** 2 * dt / (sp.sqrt(V[i] + G[i] ** 2) + eps) for i in range(n)]
        assert is_zero(sum(m * G * (state.theta - t)) + sum(terms))
        assert all(term.is_nonnegative for term in terms)


def _cleared(d):
    """Return d with sqrt(w / dt^2 + g^2) written as sqrt(w + dt^2 g^2) / dt, which dt > 0 allows."""
    inner = sp.sqrt(w / dt**2 + g**2)
    return d.subs(inner, sp.sqrt(w + dt**2 * g**2) / dt)


@check("identity", GENERIC)
def consistency():
    """With w = dt^2 v and time t = n dt^2 the step is one of w' = g^2, theta' = -g/sqrt(w), to first order in dt."""
    new, v_new = adagrad_update(theta, w / dt**2, g, dt=dt, eps=eps)
    h = dt**2
    w_new = dt**2 * v_new
    assert is_zero((w_new - w) / h - g**2)
    d = new - theta
    rescaled = -h * g / (sp.sqrt(w + h * g**2) + dt * eps)
    assert is_zero(_cleared(d) - rescaled)
    assert is_small(rescaled + h * g / sp.sqrt(w), dt, 3)
    # the first step, from v = 0, is -dt sign(g), but for eps
    size = sp.Symbol("size", positive=True)
    scheme = configured(Adagrad, eps=eps)
    for sign in (1, -1):
        gradient = np.array([sign * size], dtype=object)
        start = scheme.init(Given(gradient), np.array([theta], dtype=object))
        assert is_zero(start.v)
        assert is_zero(start.theta[0] - theta)
        first = scheme.step(Given(gradient), start, dt)
        assert is_zero(first.theta[0] - theta + sign * dt * size / (size + eps))
        # for a constant gradient w = g^2 t solves (w' = g^2), and theta = theta_0 - 2 sqrt(t) sign(g)
        time = sp.Symbol("t", positive=True)
        assert is_zero(sp.diff(-2 * sp.sqrt(time) * sign, time) + sign * size / sp.sqrt(size**2 * time))


@check("squares", GENERIC)
def solvability():
    """The denominator sqrt(v + g^2) + eps is positive, v stays nonnegative and does not decrease, and eps <= 0 is refused."""
    new, v_new = adagrad_update(theta, v, g, dt=dt, eps=eps)
    denominator = -dt * g / (new - theta)
    assert is_zero(denominator - sp.sqrt(v + g**2) - eps)
    assert denominator.is_positive
    assert v_new.is_nonnegative
    assert sp.expand(v_new - v).is_nonnegative
    for refused in (0.0, -1e-8):
        try:
            Adagrad(eps=refused)
        except ValueError:
            continue
        raise AssertionError(f"eps = {refused} was accepted")


# %% [markdown]
# ## How long the steps are
#
# $|d| \le \Delta t$, and for $\varepsilon \to 0$ the decrease to first order telescopes up to a factor 2: with $r =
# \sqrt v$, $s = \sqrt{v + g^2}$,
#
# $$\frac{g^2}{s} = \frac{s^2 - r^2}{s} = 2(s - r) - \frac{(s - r)^2}{s} \le 2(s - r).$$


# %%
@check("decision procedure", GENERIC)
def steps_are_bounded():
    """|d| < dt for every g, every v >= 0 and every eps > 0."""
    new, _ = adagrad_update(theta, v, g, dt=dt, eps=eps)
    assert follows((new - theta) ** 2 < dt**2)


@check("squares", "one generic coordinate, eps = 0")
def slopes_telescope():
    """For eps = 0, -(g, d)/dt = 2 (sqrt(v_new) - sqrt(v)) - (sqrt(v_new) - sqrt(v))^2/sqrt(v_new): all steps sum to < 2 sqrt(v_N)."""
    r, size = sp.symbols("r g", positive=True)
    new, v_new = adagrad_update(theta, r**2, size, dt=dt, eps=0)
    s = sp.sqrt(v_new)
    gap = 2 * (s - r) + size * (new - theta) / dt
    assert is_zero(gap - (s - r) ** 2 / s)
    assert ((s - r) ** 2 / s).is_nonnegative


@check("identity", "one generic coordinate, every mass m > 0 of a diagonal inner product")
def diagonal_inner_products_cancel():
    """The gradient p/m of a partial derivative p in the mass m, with v/m^2 and eps/m, gives the same step as p, v and eps."""
    m = sp.Symbol("m", positive=True)
    plain, _ = adagrad_update(theta, w, g, dt=dt, eps=eps)
    weighted, _ = adagrad_update(theta, w / m**2, g / m, dt=dt, eps=eps / m)
    root = sp.sqrt(w / m**2 + g**2 / m**2)
    assert is_zero(weighted.subs(root, sp.sqrt(w + g**2) / m) - plain)


@check("counterexample", "E = theta^2 / 2, theta = 1/4, dt = 1, eps = 1/4")
def the_energy_may_rise():
    """E = theta^2/2, first step from 1/4 with dt = 1, eps = 1/4: theta_new = -1/4; with dt = 2, -3/4: E rises ninefold."""
    quarter = sp.Rational(1, 4)
    for learning_rate, wanted in ((1, -quarter), (2, -3 * quarter)):
        new, _ = adagrad_update(quarter, sp.Integer(0), quarter, dt=learning_rate, eps=quarter)
        assert new == wanted
    assert new**2 / 2 == 9 * (quarter**2 / 2)
