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
# # Two-step schemes
#
# Two examples for a scheme of your own. Both are `sav_update` with other arguments. With $\bar\theta = \theta(t_{n+1})
# + O(\Delta t^2)$ or $\theta(t_{n+1/2}) + O(\Delta t^2)$ extrapolated from two states, $\bar g$ and $\bar R = \sqrt{F +
# C}$ there, and a stabilization S that multiplies a second difference:
#
# **BDF2.** With $w = 3\theta^{n+1} - 4\theta^n + \theta^{n-1}$ and $\delta^2\theta = \theta^{n+1} - 2\theta^n +
# \theta^{n-1}$,
#
# $$\frac{w}{2\Delta t} = -L\theta^{n+1} - S\,\delta^2\theta - \frac{r^{n+1}}{\bar R}\,\bar g, \qquad
#   3r^{n+1} - 4r^n + r^{n-1} = \frac{(\bar g, w)}{2\bar R}, \qquad \bar\theta = 2\theta^n - \theta^{n-1}. \tag{1}$$
#
# **Crank-Nicolson.** With $d = \theta^{n+1} - \theta^n$ and $d_-$ the increment before,
#
# $$\frac{d}{\Delta t} = -L\,\frac{\theta^n + \theta^{n+1}}2 - S(d - d_-) - \frac{r^n + r^{n+1}}{2\bar R}\,\bar g, \qquad
#   r^{n+1} - r^n = \frac{(\bar g, d)}{2\bar R}, \qquad \bar\theta = \theta^n + \tfrac12 d_-. \tag{2}$$
#
# (Shen, Xu & Yang, The scalar auxiliary variable approach for gradient flows, J. Comput. Phys. 353 (2018), has both
# without a stabilization.) Steps of another size and the first step are in the classes.

# %%
from dataclasses import dataclass
from math import inf

import sympy as sp

from gradflow.energies.linear import LinearPart, add, as_linear_part
from gradflow.energies.protocols import linear_part, nonlinear_energy, nonlinear_energy_and_gradient
from gradflow.namespace import array_namespace
from gradflow.proofs import check
from gradflow.proofs.linear_kinds import linear_kinds
from gradflow.schemes.protocols import EnergyTerms
from gradflow.schemes.relaxation import Quadratic
from gradflow.schemes.sav import SAV, sav_update
from gradflow.schemes.state import AuxState, MultiStepState, Past
from gradflow.symbolic import AbstractEnergy, Space, configured, is_small, is_zero
from gradflow.symbolic.taylor import SmoothEnergy

EVERY = "every dimension, inner product, L and S; steps of one size"
dt, C, r, r_before = sp.symbols("dt C r r_before", positive=True)
r_new = sp.Symbol("r_new", real=True)


# %%
@dataclass(frozen=True, kw_only=True)
class TwoStepSAV:
    """What the two schemes share: the auxiliary variable, and the step before."""

    C: float = 1.0
    stabilization: float | LinearPart = 0.0

    def init(self, problem, theta):
        """Return the state of a start, without a past."""
        return MultiStepState(theta, self.auxiliary(problem, theta))

    def auxiliary(self, problem, theta):
        """Return R."""
        return array_namespace(theta).sqrt(nonlinear_energy(problem, theta) + self.C)

    def history(self, problem, state):
        """Return theta, r and the step before; without one it is an infinitely long step that moved nothing."""
        r = self.auxiliary(problem, state.theta) if state.aux is None else state.aux
        return state.theta, r, state.past[0] if state.past else Past(state.theta, r, inf)

    def operators(self, problem):
        """Return L and S."""
        return linear_part(problem), as_linear_part(self.stabilization, "stabilization")


class BDF2SAV(TwoStepSAV):
    """SAV by the second backward differentiation formula: `sav_update` from shifted arguments. The first step is one of SAV."""

    def step(self, problem, state, dt):
        """Return the state one step later."""
        theta, r, before = self.history(problem, state)
        q = dt / before.dt
        a0, a1, a2 = (1 + 2 * q) / (1 + q), 1 + q, q**2 / (1 + q)
        start, r_start = (a1 * theta - a2 * before.theta) / a0, (a1 * r - a2 * before.aux) / a0
        ahead = (1 + q) * theta - q * before.theta
        F, g = nonlinear_energy_and_gradient(problem, ahead)
        L, S = self.operators(problem)
        known = None if L.scalar == 0 else L.apply(start)
        if S.scalar != 0:
            known = S.apply(start - ahead) if known is None else known + S.apply(start - ahead)
        solve = lambda u: add(L, S).solve_shifted(u, dt / a0)  # noqa: E731
        new = sav_update(start, r_start, g, F, known, dt=dt / a0, C=self.C, inner=problem.inner, solve=solve)
        return MultiStepState(*new, (Past(theta, r, dt),))

    def modified_energy(self, problem, state):
        """Return (|theta|_L^2 + |2 theta - theta_before|_L^2) / 4 + (r^2 + (2 r - r_before)^2) / 2 - C, and S."""
        theta, r, before = self.history(problem, state)
        (L, S), d = self.operators(problem), theta - before.theta
        quadratic = problem.inner(theta, L.apply(theta)) + problem.inner(theta + d, L.apply(theta + d))
        quadratic = quadratic / 4 + problem.inner(d, S.apply(d)) / 2
        return quadratic + (r**2 + (2 * r - before.aux) ** 2) / 2 - self.C

    def law(self, problem, state):
        """Return how r stands in it."""
        return Quadratic(2.5, 0.4 * state.past[0].aux) if state.past else Quadratic(1.0)

    def energy_terms(self, problem, state, new, dt):
        """Return both terms of the identity; nan after a step of another size."""
        theta, r, before = self.history(problem, state)
        d, (L, S) = new.theta - theta, self.operators(problem)
        second, second_r = d - (theta - before.theta), (new.aux - r) - (r - before.aux)
        w = 2 * d + second  # 3 theta_new - 4 theta + theta_before
        if before.dt not in (dt, inf):
            return EnergyTerms(float("nan") * second_r, float("nan") * second_r)
        D = problem.inner(w, w) / (4 * dt) if before.dt == dt else 3 * problem.inner(d, d) / (2 * dt)
        D = D + problem.inner(second, L.apply(second)) / 4 + problem.inner(second, S.apply(second))
        return EnergyTerms(D, second_r**2 / 2)


class CrankNicolsonSAV(TwoStepSAV):
    """SAV by the Crank-Nicolson rule: `sav_update` with half the step, reflected. The first gradient is that at theta."""

    def step(self, problem, state, dt):
        """Return the state one step later."""
        theta, r, before = self.history(problem, state)
        expected = dt / before.dt * (theta - before.theta)
        F, g = nonlinear_energy_and_gradient(problem, theta + expected / 2)
        L, S = self.operators(problem)
        known = None if L.scalar == 0 else L.apply(theta)
        if S.scalar != 0:
            known = -S.apply(expected) if known is None else known - S.apply(expected)
        solve = lambda u: add(L, add(S, S)).solve_shifted(u, dt / 2)  # noqa: E731
        middle, r_middle = sav_update(theta, r, g, F, known, dt=dt / 2, C=self.C, inner=problem.inner, solve=solve)
        return MultiStepState(2 * middle - theta, 2 * r_middle - r, (Past(theta, r, dt),))

    def modified_energy(self, problem, state):
        """Return r^2 + |theta|_L^2 / 2 + |theta - theta_before|_S^2 / 2 - C."""
        theta, r, before = self.history(problem, state)
        (L, S), d = self.operators(problem), theta - before.theta
        return r**2 + (problem.inner(theta, L.apply(theta)) + problem.inner(d, S.apply(d))) / 2 - self.C

    def law(self, problem, state):
        """Return how r stands in it."""
        return Quadratic(1.0)

    def energy_terms(self, problem, state, new, dt):
        """Return both terms of the identity; with a stabilization nan after a step of another size."""
        theta, _, before = self.history(problem, state)
        d, (_, S) = new.theta - theta, self.operators(problem)
        second, D = d - (theta - before.theta), problem.inner(d, d) / dt
        if S.scalar != 0 and before.dt not in (dt, inf):
            return EnergyTerms(float("nan") * D, 0 * D)
        return EnergyTerms(D + problem.inner(second, S.apply(second)) / 2, 0 * D)


# %% [markdown]
# ## The identity behind the law of BDF2
#
# What is called G-stability (Dahlquist): the form on the right is a difference of one quadratic form at two times, plus
# a square.


# %%
@check("identity", "every dimension and inner product")
def bdf2_is_g_stable():
    """(w/2, u2) = [|u2|^2 + |2 u2 - u1|^2 - |u1|^2 - |2 u1 - u0|^2 + |u2 - 2 u1 + u0|^2]/4, w = 3 u2 - 4 u1 + u0; also with L between."""
    V = Space()
    u0, u1, u2 = V.vectors("u0 u1 u2")
    L = V.operator("L", positive=False)
    for form in (V.inner, lambda u, v: V.inner(L(u), v)):
        size = lambda u, form=form: form(u, u)  # noqa: E731
        G_new, G = size(u2) + size(2 * u2 - u1), size(u1) + size(2 * u1 - u0)
        w = 3 * u2 - 4 * u1 + u0
        assert is_zero(form(w, u2) / 2 - (G_new - G + size(u2 - 2 * u1 + u0)) / 4)
    # G is positive definite: |u|^2 + |2 u - v|^2 = 0 only for u = v = 0
    assert is_zero(
        V.inner(u1, u1)
        + V.inner(2 * u1 - u0, 2 * u1 - u0)
        - (5 * V.inner(u1 - 2 * u0 / 5, u1 - 2 * u0 / 5) + V.inner(u0, u0) / 5)
    )


# %% [markdown]
# ## The laws
#
# Write $e_\theta$ for the left-hand side less the right-hand side of the first equation of (1) or (2), and $e_r$ for
# that of the second; of the second of (1) a third. The laws are shown with the work of these residuals, for any
# $\theta^{n+1}$ and $r^{n+1}$ whatever: $(e_\theta, w)/2 + r^{n+1} e_r$ for BDF2 and $(e_\theta, d) + (r^n + r^{n+1})
# e_r$ for Crank-Nicolson. A step has no residuals, which is shown last.


# %%
def settings(scheme, *, past=True):
    """Yield space, L, S, problem, scheme and a state for every kind of L and S, with or without a step before."""
    for kind in linear_kinds():
        if "shifted" in kind.names:
            continue  # its relation is for one theta, here are two
        if scheme is CrankNicolsonSAV and kind.names == ("diagonal", "diagonal"):
            continue  # abstract entries have no quotient by 1 + dt (a + 2 b)
        V, (theta, before) = kind.space, kind.space.vectors("theta theta_before")
        problem = AbstractEnergy(V, kind.L)
        state = MultiStepState(theta, r, (Past(before, r_before, dt),) if past else ())
        yield V, kind.L, kind.S, problem, configured(scheme, C=C, stabilization=kind.S), state


def slope(problem, scheme, theta):
    """Return the gradient divided by R."""
    F, g = problem.nonlinear_energy_and_gradient(theta)
    return g / sp.sqrt(F + scheme.C)


def residuals(scheme, problem, state, new):
    """Return e_theta and e_r, and what they are multiplied with in the law."""
    theta, r, before = scheme.history(problem, state)
    (L, S), d, d_before = scheme.operators(problem), new.theta - theta, theta - before.theta
    if isinstance(scheme, CrankNicolsonSAV):
        mu = slope(problem, scheme, theta + d_before / 2)
        e = d / dt + L.apply(theta + d / 2) + S.apply(d - d_before) + (r + new.aux) / 2 * mu
        return (e, d), (new.aux - r - problem.inner(mu, d) / 2, r + new.aux)
    mu, w, w_r = slope(problem, scheme, theta + d_before), 3 * d - d_before, 3 * (new.aux - r) - (r - before.aux)
    e = (w / (2 * dt) if state.past else d / dt) + L.apply(new.theta) + S.apply(d - d_before) + new.aux * mu
    return (e, w / 2), (w_r - problem.inner(mu, w) / 2, new.aux)


def law_holds(scheme, problem, state):
    """Assert the law for any new state, with the work of its residuals; return that state and the terms."""
    new = MultiStepState(problem.space.vector("theta_new"), r_new, (Past(state.theta, r, dt),))
    terms = scheme.energy_terms(problem, state, new, dt)
    change = scheme.modified_energy(problem, new) - scheme.modified_energy(problem, state)
    (e, along), (e_r, factor) = residuals(scheme, problem, state, new)
    assert is_zero(change + terms.dissipation + terms.numerical - problem.inner(e, along) - factor * e_r)
    return new, terms


@check("identity", EVERY)
def bdf2_law():
    """(|theta|_L^2 + |2 theta - theta_-|_L^2)/4 + (r^2 + (2r - r_-)^2)/2 + |theta - theta_-|_S^2/2 falls by |w|^2/(4 dt) + |d2|_L^2/4 + |d2|_S^2 + (d2 r)^2/2."""
    for V, L, S, problem, scheme, state in settings(BDF2SAV):
        new, terms = law_holds(scheme, problem, state)
        w = 3 * new.theta - 4 * state.theta + state.past[0].theta
        second = new.theta - 2 * state.theta + state.past[0].theta
        D = V.inner(w, w) / (4 * dt) + V.inner(L.apply(second), second) / 4 + V.inner(S.apply(second), second)
        assert is_zero(terms.dissipation - D)
        assert is_zero(terms.numerical - (new.aux - 2 * r + r_before) ** 2 / 2)


@check("identity", EVERY)
def bdf2_law_of_the_first_step():
    """From E, with theta_- = theta and r_- = r, the first step (one of SAV) lets it fall by 3|d|^2/(2 dt) + |d|_L^2/4 + |d|_S^2 + (r_new - r)^2/2."""
    for V, L, S, problem, scheme, state in settings(BDF2SAV, past=False):
        new, terms = law_holds(scheme, problem, state)
        d = new.theta - state.theta
        D = 3 * V.inner(d, d) / (2 * dt) + V.inner(L.apply(d), d) / 4 + V.inner(S.apply(d), d)
        assert is_zero(terms.dissipation - D)
        assert is_zero(terms.numerical - (new.aux - r) ** 2 / 2)


@check("identity", EVERY)
def crank_nicolson_law():
    """r^2 + |theta|_L^2/2 + |d_-|_S^2/2 falls by exactly |d|^2/dt + |d - d_-|_S^2/2: nothing but the flow's own dissipation for S = 0."""
    for past in (True, False):
        for V, _, S, problem, scheme, state in settings(CrankNicolsonSAV, past=past):
            new, terms = law_holds(scheme, problem, state)
            d = new.theta - state.theta
            second = d - (state.theta - state.past[0].theta) if past else d
            assert is_zero(terms.dissipation - V.inner(d, d) / dt - V.inner(S.apply(second), second) / 2)
            assert terms.numerical == 0


# %% [markdown]
# ## Solvability and consistency


# %%
@check("identity", EVERY + "; not of an operator with a number other than 0")
def steps_solve_their_equations():
    """theta_new and r_new of the steps have no residuals, with and without a step before, and a start has the modified energy E."""
    for kind in (BDF2SAV, CrankNicolsonSAV):
        for past in (True, False):
            for _, L, S, problem, scheme, state in settings(kind, past=past):
                if {L.scalar is None, S.scalar is None} == {True, False} and 0 not in (L.scalar, S.scalar):
                    continue  # of L + c the resolvents of two vectors theta and L theta would have to be told to be dependent
                (e, _), (e_r, _) = residuals(scheme, problem, state, scheme.step(problem, state, dt))
                assert is_zero(e)
                assert is_zero(e_r)
                start = scheme.init(problem, state.theta)
                assert is_zero(scheme.modified_energy(problem, start) - problem.energy(state.theta))


@check("squares", "every dimension, inner product, L and S, every dt > 0")
def steps_are_defined():
    """The one number that a step divides by is 1 + h (g, A^-1 g)/(2 (F + C)), h = 2 dt/3 and dt/2, at least 1: (g, A^-1 g) = |u|^2 + h (Bu, u)."""
    for factor, twice in ((sp.Rational(2, 3), False), (sp.Rational(1, 2), True)):
        V, h = Space(), factor * dt
        g, L, S = V.vector("g"), V.operator("L"), V.operator("S")
        u = (L + S + S if twice else L + S).solve_shifted(g, h)
        work = V.inner(g, u)
        assert is_zero(work - V.inner(u, u) - h * (V.inner(L(u), u) + (1 + twice) * V.inner(S(u), u)))
        assert work.is_nonnegative


@check(
    "identity",
    "every dimension, inner product and energy with three derivatives, L = S = 0; a step before that is exact",
)
def local_error_is_of_third_order():
    """From exact values theta_new and r_new are exact modulo dt^3, those of SAV modulo dt^2 only: the orders are 2, 2 and 1."""
    for kind, order in ((BDF2SAV, 2), (CrankNicolsonSAV, 2), (SAV, 1)):
        V, scheme = Space(), configured(kind, C=C)
        theta = V.vector("theta")
        problem = SmoothEnergy(V, theta, dt, order=2)
        before, R = problem.flow(-1), scheme.auxiliary(problem, theta)
        past = (Past(before, scheme.auxiliary(problem, before), dt),)
        new = scheme.step(problem, AuxState(theta, R) if kind is SAV else MultiStepState(theta, R, past), dt)
        exact = problem.flow()
        error, error_of_r = new.theta - exact, new.aux - scheme.auxiliary(problem, exact)
        for e in (error, error_of_r * V.vector("v")):  # as a coefficient: it need not be defined for every dt
            assert is_small(e, dt, order + 1)
            assert order == 2 or not is_small(e, dt, order + 2)
