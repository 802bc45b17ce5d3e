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
# # Element-wise SAV
#
# From the scalar method to one auxiliary variable a coordinate, on
# `gradflow.schemes.elementwise_sav.elementwise_sav_update`.
#
# Give every coordinate its own $r_i$ with $r_i(0) = R = \sqrt{E + C}$. In a diagonal inner product $(u, v)_M = \sum_i
# m_i u_i v_i$,
#
# $$\theta_i' = -\frac{r_i}{R}\,g_i, \qquad r_i' = \frac{m_i g_i}{2R}\,\theta_i'
#   \quad\Longrightarrow\quad \frac{d}{dt}\, r_i^2 = \frac{r_i m_i g_i}{R}\,\theta_i' = -m_i\,(\theta_i')^2.$$
#
# The law holds coordinate by coordinate. The linearly implicit step keeps that: with $d_i = \theta_i^{n+1} -
# \theta_i^n$ and a diagonal S, $d_i = -\Delta t\,(r_i^{n+1}/R)(A^{-1}g)_i$ and $r_i^{n+1} - r_i^n = m_i g_i d_i/(2R)$,
# so
#
# $$2 r_i^{n+1}(r_i^{n+1} - r_i^n) = -m_i\Bigl(\frac1{\Delta t} + s_i\Bigr) d_i^2.$$
#
# Each $r_i$ falls by its own factor. So vanilla $r_i/R$ differ between coordinates after one step, and the limit flow
# is the one above, not the gradient flow. The update acts coordinate by coordinate with the shared E: one generic
# coordinate (scalars) proves it for all. The class, with its means over coordinates, runs on object arrays of size 1 to
# 3.

# %%
import numpy as np
import sympy as sp

from gradflow import ElementwiseSAV, FunctionProblem, Restart
from gradflow.energies.linear import Diagonal, Shift, Zero
from gradflow.proofs import check
from gradflow.schemes.elementwise_sav import elementwise_sav_update
from gradflow.schemes.sav import sav_update
from gradflow.schemes.state import AuxState
from gradflow.symbolic import configured, is_small, is_zero, symbols

ONE = "one generic coordinate, every mass and diagonal S"
SIZES = "sizes 1 to 3, every mass and diagonal S; the update in one generic coordinate"
dt, C, E, m, lam, eta = sp.symbols("dt C E m lambda eta", positive=True)
t, r, g = sp.symbols("t r g", real=True)


class Anywhere:
    """An energy of which E and g are known at one theta, in a diagonal inner product."""

    def __init__(self, n):
        self.mass, self.g = symbols("m", n, positive=True), symbols("g", n)

    def inner(self, u, v):
        """Return sum(mass * u * v)."""
        return (self.mass * u) @ v

    def energy(self, theta):
        """Return E."""
        return E

    def energy_and_gradient(self, theta):
        """Return E and g."""
        return E, self.g


def settings():
    """Yield n, problem, scheme, theta and r in n coordinates, S diagonal, a number or zero."""
    for n in (1, 2, 3):
        for S in (Diagonal(symbols("s", n, nonnegative=True)), *((Shift(lam), Zero()) if n == 1 else ())):
            scheme = configured(ElementwiseSAV, C=C, stabilization=S)
            yield n, Anywhere(n), scheme, symbols("t", n), symbols("r", n)


def one(r, **changed):
    """Return theta_new and r_new of one generic coordinate."""
    values = {"dt": dt, "C": C, "mass": m, "solve": lambda u: u / (1 + dt * lam)}
    return elementwise_sav_update(t, r, g, E, **{**values, **changed})


# %% [markdown]
# ## The three obligations


# %%
@check("identity", SIZES)
def energy_law():
    """m (d^2/dt + s d^2) + (r_new - r)^2 = r^2 - r_new^2 in every coordinate, and the mean of it over the coordinates."""
    new, r_new = one(r)
    d = new - t
    assert is_zero(r_new**2 - r**2 + m * (d**2 / dt + lam * d**2) + (r_new - r) ** 2)
    for n, problem, scheme, theta, r_any in settings():
        s = scheme.stabilization.apply(np.array([sp.Integer(1)] * n, dtype=object))
        R = sp.sqrt(E + C)
        consistent = scheme.init(problem, theta)
        assert is_zero(consistent.aux - R)
        assert is_zero(scheme.auxiliary(problem, theta) - R)
        for old in (AuxState(theta, r_any), consistent, AuxState(theta, None)):
            before = consistent.aux if old.aux is None else old.aux
            new = scheme.step(problem, old, dt)
            d, change = new.theta - theta, new.aux - before
            assert is_zero(change - problem.mass * problem.g * d / (2 * R))
            assert is_zero(new.aux**2 - before**2 + problem.mass * (d**2 / dt + s * d**2) + change**2)
            # the mean of this is the law: what the class reports, for any new state
            new = AuxState(symbols("u", n), symbols("q", n))
            d, change = new.theta - theta, new.aux - before
            terms = scheme.energy_terms(problem, old, new, dt)
            D = sum(problem.mass * (d**2 / dt + s * d**2)) / n
            assert is_zero(terms.dissipation - D)
            assert is_zero(scheme.dissipation(problem, theta, new.theta, dt) - D)
            assert is_zero(terms.numerical - sum(change**2) / n)
            fall = scheme.modified_energy(problem, new) - scheme.modified_energy(problem, old)
            assert is_zero(fall - sum(new.aux**2 - before**2) / n)
            if old.aux is not r_any:
                assert is_zero(scheme.modified_energy(problem, old) - E)


@check("identity", SIZES)
def consistency():
    """theta_i' = -(r_i/R) g_i, r_i' = -m_i g_i^2 r_i / (2 R^2) to first order; with r left out or restarted, theta' = -g."""
    R = sp.sqrt(E + C)
    for start in (r, None):
        at = R if start is None else start
        new, r_new = one(start)
        assert is_small(new - t + dt * at / R * g, dt, 2)
        assert is_small(r_new - at + dt * m * g**2 * at / (2 * R**2), dt, 2)
    for _, problem, scheme, theta, r_any in settings():
        new = scheme.step(problem, AuxState(theta, r_any), dt)
        assert is_small(new.theta - theta + dt * r_any / R * problem.g, dt, 2)
        assert is_small(new.aux - r_any + dt * problem.mass * problem.g**2 * r_any / (2 * R**2), dt, 2)
        restart = Restart(scheme)
        state = restart.step(problem, restart.init(problem, theta), dt)
        assert is_small(state.theta - theta + dt * problem.g, dt, 2)


@check("squares", SIZES)
def solvability():
    """The denominators are 1 + dt m_i g_i^2 / ((1 + dt s_i) 2 (E + C)) >= 1: every r_i keeps its sign and never grows."""
    _, r_new = one(r)
    rest = dt * m * g**2 / ((1 + dt * lam) * 2 * (E + C))
    assert rest.is_nonnegative
    assert is_zero(r / r_new - 1 - rest)
    for n, problem, scheme, theta, _ in settings():
        positive = symbols("r", n, positive=True)
        new = scheme.step(problem, AuxState(theta, positive), dt)
        assert all(entry.is_positive for entry in new.aux)
        assert scheme.undefined(problem, theta) == ""
    plain = FunctionProblem(lambda t: t @ t - 3, lambda t: 2 * t)
    skew = FunctionProblem(lambda t: t @ t, lambda t: 2 * t, inner=lambda u, v: u @ v)
    at = np.zeros(1)
    for problem, constant in ((plain, 3.0), (plain, 2.0), (skew, 1.0)):
        scheme = ElementwiseSAV(C=constant)
        assert (scheme.undefined(problem, at) == "") == (problem is skew)
        try:
            scheme.init(problem, at)
        except ValueError:
            continue
        raise AssertionError("a sum that is not positive, or an inner product without coordinates, was accepted")


# %% [markdown]
# ## What the scheme is


# %%
@check("identity", "one generic coordinate")
def is_aegd():
    """With m = 1, S = 0, dt = eta and v = g / (2 R): r_new = r / (1 + 2 eta v^2), theta_new = theta - 2 eta r_new v."""
    new, r_new = one(r, dt=eta, mass=1, solve=lambda u: u)
    v = g / (2 * sp.sqrt(E + C))
    assert is_zero(r_new - r / (1 + 2 * eta * v**2))
    assert is_zero(new - (t - 2 * eta * r_new * v))


@check("identity", ONE)
def is_sav_in_one_coordinate():
    """One coordinate moves as the scalar method does in one dimension, with its own r and mass."""
    for start in (r, None):
        solve = lambda u: u / (1 + dt * lam)  # noqa: E731
        scalar = sav_update(t, start, g, E, dt=dt, C=C, inner=lambda u, v: m * u * v, solve=solve)
        assert is_zero([a - b for a, b in zip(one(start), scalar, strict=True)])


@check("counterexample", "two coordinates, g = (1, 2), E + C = 1, r = (1, 1), dt = 2")
def coordinates_drift_apart():
    """From equal r the coordinates fall behind, each by its own gradient: g = (1, 2), E + C = 1, dt = 2 give r_new = (1/2, 1/5)."""
    number = sp.Integer(1)
    theta, gradient = np.array([0 * number, 0 * number]), np.array([number, 2 * number])
    new, r_new = elementwise_sav_update(
        theta, np.array([number, number]), gradient, number, dt=2, C=0, mass=1, solve=lambda u: u
    )
    assert list(r_new) == [sp.Rational(1, 2), sp.Rational(1, 5)]
    # the increment (-1, -4/5) is no multiple of the gradient
    assert list(new) == [-1, sp.Rational(-4, 5)]
    assert new[0] * gradient[1] != new[1] * gradient[0]


@check("counterexample", "E = theta^2 / 2, theta = 1, C = 100, dt = 10, r = R")
def true_energy_may_rise():
    """E = theta^2 / 2 from theta = 1 with C = 100, dt = 10: E rises from 0.5 to 36.3 while every r_i falls."""
    number = sp.Integer(1)
    new, r_new = elementwise_sav_update(number, None, number, number / 2, dt=10, C=100, mass=1, solve=lambda u: u)
    assert new == sp.Rational(-1799, 211)
    assert new**2 / 2 > 36
    assert is_zero(r_new**2 - (number / 2 + 100) * sp.Rational(201, 211) ** 2)
