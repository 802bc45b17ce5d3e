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
# # Exponential SAV
#
# Four schemes go by this name. `form="auto"` is one of two of them, by the energy. Here: what each is, on `gradflow.schemes.exp_sav.exp_sav_update`,
# `exp_sav_explicit_update` and the class.
#
# With $r = C e^{E/\kappa}$ the flow $\theta' = -g$ gives $r' = r\,(g, \theta')/\kappa = -r\,|g|^2/\kappa$, that is
# $s' = -|g|^2/\kappa$ for $s = \log r$. With $A = I + \Delta t\,S$, $\Sigma = (g, A^{-1}g)$, $y = \Delta t\,\Sigma/\kappa$
# and $\rho = r^{n+1}/r^n$:
#
# | form | $\rho$ | $-d = \theta^n - \theta^{n+1}$ | limit of $\theta$ | limit of r |
# |---|---|---|---|---|
# | implicit | $1/(1+y)$ | $\Delta t\,\rho\,A^{-1}g$ | $\theta' = -g$ | $s' = -\lvert g\rvert^2/\kappa$ |
# | explicit | $e^{-\xi^2 y}$ | $\Delta t\,\xi\,A^{-1}g$ | $\theta' = -\xi g$ | $s' = -\xi^2\lvert g\rvert^2/\kappa$ |
# | section_2.2.4 | $1/(1+y/r)$ | $\Delta t\,\rho\,A^{-1}g$ | $\theta' = -g$ | $r' = -\lvert g\rvert^2/\kappa$ |
# | theorem_2.2 | $1/(1+y/r)$ | $(\Delta t/r)\,\rho\,A^{-1}g$ | $\theta' = -g/r$ | $s' = -\lvert g\rvert^2/(\kappa r)$ |
#
# Only in the first two lines (with $\xi = 1$) do both limits belong to the gradient flow. In the third,
# $r' = (E/\kappa)'$. In the last, s follows $E/\kappa + \log C$, but along a flow that is slower by the factor r.
#
# For the energy laws use $\Delta t\,\Sigma = \bigl(|u|^2 + \Delta t\,(Su, u)\bigr)\Delta t$ with $u = A^{-1}g$, so that
# $D = |d|^2/\Delta t + (Sd, d)$ is $c^2\,\Delta t\,\Sigma = c^2\kappa y$ for $d = -c\,\Delta t\,u$. The implicit form:
# $D = \kappa\rho^2 y = \kappa\rho(1 - \rho)$, and $\kappa(s^{n+1} - s^n) = \kappa x$ with $x = \log\rho$, so that what
# is lost beyond D is $\kappa[\rho(\rho - 1) - x]$. It is not negative: $f(x) = e^{2x} - e^x - x$ has $f(0) = 0$ and
# $f'(x) = (2e^x + 1)(e^x - 1)$, negative before 0 and positive after it.

# %%
import math
import struct
from fractions import Fraction
from unittest.mock import patch

import numpy as np
import sympy as sp

from gradflow import SAV, ExpSAV
from gradflow.energies.linear import Diagonal, Shift, Zero
from gradflow.proofs import check, follows, linear_kinds, reached
from gradflow.schemes import exp_sav
from gradflow.schemes.exp_sav import EXP_SAV_FORMS, exp_sav_explicit_update, exp_sav_update
from gradflow.schemes.relaxation import BUDGETS, relax
from gradflow.schemes.sav import sav_update
from gradflow.schemes.state import AuxState
from gradflow.symbolic import AbstractEnergy, Space, branches, configured, is_small, is_zero

EVERY = "every dimension, inner product, S, kappa and C; L in the explicit form"
PLAIN = "every dimension, inner product, S, kappa and C"
IMPLICIT = ("implicit", "section_2.2.4", "theorem_2.2")
dt, C, r, kappa, c, e = sp.symbols("dt C r kappa c e", positive=True)
s = sp.Symbol("s", real=True)


def symbolic_log():
    """Let the class take the logarithm of a symbol C."""
    return patch.object(exp_sav, "log", sp.log)


class Counted(AbstractEnergy):
    """An energy with an energy part that is counted in E and g."""

    def __init__(self, space):
        super().__init__(space)
        self.linear = space.operator("L")


def setting(form, *, energy_part=False):
    """Return a fresh problem, scheme and theta on abstract vectors; energy_part is for the explicit form, the others count it."""
    V = Space()
    L, S = V.operator("L"), V.operator("S")
    problem = AbstractEnergy(V, L if energy_part else None) if form == "explicit" else Counted(V)
    return V, L, S, problem, configured(ExpSAV, form=form, scale=kappa, C=C, stabilization=S), V.vector("theta")


def settings():
    """Yield the form, whether L is implicit, and a `setting` for all forms and kinds of L and S."""
    for form in EXP_SAV_FORMS:
        for kind in linear_kinds():
            if form != "explicit" and kind.names[0] not in ("none", "operator"):
                continue  # these forms do not look at L
            problem = AbstractEnergy(kind.space, kind.L if form == "explicit" else None)
            problem.linear = kind.L  # counted in E and g unless the form is explicit
            scheme = configured(ExpSAV, form=form, scale=kappa, C=C, stabilization=kind.S)
            implicit = form == "explicit" and kind.energy_part
            yield form, implicit, (kind.space, kind.L, kind.S, problem, scheme, kind.theta)


def moving(scheme, problem, state):
    """Return the new state where g is not 0, after showing that where the update asks for it, g = 0 is its other answer."""
    ways = list(reached(branches(lambda: scheme.step(problem, state, dt))))
    if len(ways) == 1:
        return ways[0].value
    (asked,), (answered_no,) = ways[0].conditions, ways[1].conditions
    V, (_, g) = problem.space, problem.energy_and_gradient(state.theta)
    y = dt * V.inner(g, scheme.stabilization.solve_shifted(g, dt)) / kappa
    assert isinstance(asked, sp.Gt)
    assert is_zero(asked.lhs - asked.rhs - y)
    # y <= 0 means u = A^-1 g = 0, and then nothing moves
    u = scheme.stabilization.solve_shifted(g, dt)
    assert follows(sp.Eq(V.inner(u, u), 0), [answered_no])
    at_rest = ways[1].value
    left = {atom: k for atom, k in at_rest.theta.terms.items() if atom not in u.terms}
    assert is_zero(V.combine(left) - state.theta)
    before = scheme.auxiliary(problem, state.theta) if state.aux is None else state.aux
    assert is_zero(at_rest.aux - before)
    return ways[0].value


# %% [markdown]
# ## The three obligations


# %%
@check("identity", EVERY)
def energy_law():
    """The identities of all four forms, for every dt and s: the modified energy falls by exactly D plus a nonnegative term."""
    with symbolic_log():
        for form, energy_part, (V, L, S, problem, scheme, theta) in settings():
            consistent = scheme.init(problem, theta)
            assert is_zero(consistent.aux - scheme.auxiliary(problem, theta))
            assert is_zero(consistent.aux - problem.nonlinear_energy(theta) / kappa - sp.log(C))
            for old in (AuxState(theta, s),) if energy_part else (AuxState(theta, s), AuxState(theta, None)):
                before = consistent.aux if old.aux is None else old.aux
                new = moving(scheme, problem, old)
                d = new.theta - theta
                D = V.inner(d, d) / dt + V.inner(S.apply(d), d) + (V.inner(L.apply(d), d) / 2 if energy_part else 0)
                terms = scheme.energy_terms(problem, old, new, dt)
                assert is_zero(terms.dissipation - D)
                change = scheme.modified_energy(problem, new) - scheme.modified_energy(problem, old)
                assert is_zero(change + D + terms.numerical)
                x = new.aux - before
                rho, r_old = sp.exp(x), sp.exp(before)
                expected = {
                    "implicit": (kappa * x, kappa * (rho * (rho - 1) - x)),
                    "explicit": (kappa * x, 0),
                    "section_2.2.4": (kappa * (rho - 1) * r_old, kappa * r_old * (rho - 1) ** 2),
                    "theorem_2.2": (
                        -kappa * (1 / rho - 1) / r_old,
                        kappa * (rho - 1) ** 2 * (1 + rho) / (rho * r_old),
                    ),
                }[form]
                quadratic = (
                    (V.inner(new.theta, L.apply(new.theta)) - V.inner(theta, L.apply(theta))) / 2 if energy_part else 0
                )
                assert is_zero(change - expected[0] - quadratic)
                assert is_zero(terms.numerical - expected[1])
                if form in ("implicit", "explicit") and old.aux is not s:
                    assert is_zero(scheme.modified_energy(problem, old) - problem.energy(theta))


@check("identity", EVERY)
def consistency():
    """To first order: implicit and explicit follow theta' = -g with s = E/kappa + log C; section_2.2.4 and theorem_2.2 as in the table."""
    with symbolic_log():
        for form, energy_part, (V, L, _, problem, scheme, theta) in settings():
            _, g = problem.nonlinear_energy_and_gradient(theta)
            defined = scheme.auxiliary(problem, theta)
            for start in (s,) if energy_part else (s, None):
                at = defined if start is None else start
                new = moving(scheme, problem, AuxState(theta, start))
                xi = sp.exp(at - defined) if form == "explicit" else 1
                speed = {"explicit": xi, "theorem_2.2": sp.exp(-at)}.get(form, 1)
                velocity = -(speed * g) - (L.apply(theta) if energy_part else V.zero)
                assert is_small(new.theta - theta - dt * velocity, dt, 2)
                slope = V.inner(g, velocity) / kappa  # of s, where its definition is followed
                if form == "section_2.2.4":
                    slope = slope * sp.exp(-at)  # r' = (g, theta') / kappa
                assert is_small(new.aux - at - dt * xi * slope, dt, 2)
                assert not is_small(new.aux - at, dt, 2)


@check("squares", EVERY, given={"C001-54": "the update of Theorem 2.3"})
def solvability():
    """Every denominator is 1 plus a nonnegative term, so all forms are defined for every dt; at g = 0 nothing moves and nothing is asked."""
    with symbolic_log():
        for form, energy_part, (V, _, S, problem, scheme, theta) in settings():
            new = moving(scheme, problem, AuxState(theta, s))
            _, g = problem.nonlinear_energy_and_gradient(theta)
            if energy_part:
                continue  # no quotient at all
            y = dt * V.inner(g, S.solve_shifted(g, dt)) / kappa
            assert y.is_nonnegative
            if form == "explicit":
                xi = sp.exp(s - scheme.auxiliary(problem, theta))
                assert is_zero(s - new.aux - xi**2 * y)
            else:
                over_r = 1 if form == "implicit" else sp.exp(-s)
                assert is_zero(sp.exp(s - new.aux) - 1 - y * over_r)
    zero = np.zeros(2)
    for form in IMPLICIT:
        with np.errstate(divide="raise", invalid="raise", over="raise"):
            theta, s_new = exp_sav_update(
                zero, np.float64(800.0), zero, dt=0.1, kappa=1.0, form=form, inner=np.dot, solve=lambda u: u
            )
        assert not any(theta)
        assert s_new == 800.0


# %% [markdown]
# ## What holds of r, and what does not hold of E
#
# $\Sigma \ge 0$, so $\rho \le 1$ in every form (the explicit form with an energy part apart, where the law is for the
# sum). None lowers the true energy for every $\Delta t$: on $E = 5\theta^2$ from $\theta = 1/10$ the gradient is 1 and
# a step longer than 1/5 is one uphill.


# %%
def on_a_line(form, E, g, theta, step):
    """Return theta_new and s_new for kappa = C = 1, S = 0 in one dimension, s consistent, g > 0."""
    given = {"dt": step, "kappa": sp.Integer(1), "inner": lambda u, v: u * v, "solve": lambda u: u}
    if form == "explicit":
        return exp_sav_explicit_update(theta, None, g, E, **given)
    return exp_sav_update(theta, E, g, form=form, **given)


@check("argument", PLAIN)
def numerical_terms_are_not_negative():
    """What each form loses beyond D is >= 0 and vanishes only for rho = 1: kappa f(x), f' = (2 e^x + 1)(e^x - 1), or a square."""
    x = sp.Symbol("x", real=True)
    lost = {}
    for form in EXP_SAV_FORMS:
        _, _, _, problem, scheme, theta = setting(form)
        lost[form] = scheme.energy_terms(problem, AuxState(theta, s), AuxState(theta, s + x), dt).numerical / kappa
    f = lost["implicit"]
    assert is_zero(f.subs(x, 0))
    assert is_zero(sp.diff(f, x) - (2 * sp.exp(x) + 1) * (sp.exp(x) - 1))
    assert is_zero(lost["explicit"])
    square = (sp.exp(x) - 1) ** 2
    assert is_zero(lost["section_2.2.4"] - sp.exp(s) * square)
    assert is_zero(lost["theorem_2.2"] - square * (1 + sp.exp(x)) / sp.exp(s + x))
    assert (sp.exp(s) * square).is_nonnegative
    assert (square * (1 + sp.exp(x)) / sp.exp(s + x)).is_nonnegative


@check("squares", PLAIN, proves=("C002-08", "C001-14"))
def r_never_increases():
    """r_new / r = 1 / (1 + y), exp(-xi^2 y), 1 / (1 + y / r) with y >= 0: r falls in every form, strictly unless g = 0."""
    with symbolic_log():
        for form in EXP_SAV_FORMS:
            V, _, S, problem, scheme, theta = setting(form)
            new = moving(scheme, problem, AuxState(theta, s))
            u = S.solve_shifted(problem.energy_and_gradient(theta)[1], dt)
            square = V.inner(u, u)
            fall = s - new.aux if form == "explicit" else sp.expand(sp.exp(s - new.aux) - 1)
            per_square = fall.subs(V.inner(S(u), u), 0)
            assert fall.is_nonnegative
            assert (per_square / square).is_positive  # |u|^2 > 0 makes it positive


@check("counterexample", "E = 5 theta^2, theta = 1/10, kappa = C = dt = 1, S = 0")
def true_energy_may_rise():
    """E = 5 theta^2 from theta = 1/10 with dt = 1: E rises from 0.05 to 0.8 in the implicit form, to 4.05, > 0.8, > 0.7 in the others."""
    theta, E = sp.Rational(1, 10), sp.Rational(1, 20)
    after = {}
    for form in EXP_SAV_FORMS:
        new, s_new = on_a_line(form, E, sp.Integer(1), theta, 1)
        assert s_new < E  # while r falls
        after[form] = 5 * new**2
    assert after["implicit"] == sp.Rational(4, 5)
    assert after["explicit"] == sp.Rational(81, 20)
    assert after["section_2.2.4"] > sp.Rational(4, 5)
    assert after["theorem_2.2"] > sp.Rational(7, 10)


# %% [markdown]
# ## The implicit form is restarted SAV with another constant
#
# $\rho = 1/(1 + \Delta t\,\Sigma/\kappa)$ has $\kappa$ where restarted SAV has $2(F + C)$, and there is no r in $d$.
# With $U = |u|^2$ and $y = \Delta t\,(U + \Delta t\,(Su, u))/\kappa$,
#
# $$\frac{\kappa\,\Delta t}{4} - |d|^2 = \frac{\kappa\,\Delta t}{4(1 + y)^2}\Bigl[(1 - y)^2 + \frac{4\Delta t^2}{\kappa}(Su, u)\Bigr] \ge 0.$$


# %%
@check(
    "identity",
    PLAIN,
    proves=("C002-05", "C001-46"),
    refutes=("C002-09",),
    given={"C002-06": "after cancelling", "C001-47": "the gradient does not vanish"},
)
def implicit_form_is_restarted_sav():
    """r_new = r/(1 + dt Sigma/kappa), step dt r_new/r: SAV with r = R and 2 (F + C) = kappa; r cancels, so that its start and C change nothing."""
    V = Space()
    theta, g = V.vectors("theta g")
    S = V.operator("S")
    solve = lambda u: S.solve_shifted(u, dt)  # noqa: E731
    new, s_new = exp_sav_update(theta, s, g, dt=dt, kappa=kappa, form="implicit", inner=V.inner, solve=solve)
    restarted, R_new = sav_update(theta, None, g, kappa / 2, dt=dt, C=0, inner=V.inner, solve=solve)
    assert is_zero(new - restarted)
    assert is_zero(sp.exp(s_new - s) - R_new / sp.sqrt(kappa / 2))
    assert is_zero(new.map_coefficients(lambda k: sp.diff(k, s)))
    # in closed form: r and the effective step dt r_new / r, in (0, dt]
    y = dt * V.inner(g, solve(g)) / kappa
    assert y.is_nonnegative
    eta = dt * sp.exp(s_new - s)
    assert is_zero(sp.exp(s_new) - sp.exp(s) / (1 + y))
    assert is_zero(eta - dt / (1 + y))
    assert is_zero(new - theta + eta * solve(g))
    # so the class, from its own r = C exp(E / kappa) and from any other
    with symbolic_log():
        V, _, S, problem, scheme, theta = setting("implicit")
        E, g = problem.energy_and_gradient(theta)
        consistent = scheme.init(problem, theta)
        assert is_zero(sp.exp(consistent.aux) - C * sp.exp(E / kappa))
        for old in (AuxState(theta, s), consistent):
            new = scheme.step(problem, old, dt)
            y = dt * V.inner(g, S.solve_shifted(g, dt)) / kappa
            assert is_zero(sp.exp(new.aux - old.aux) - 1 / (1 + y))
            assert is_zero(new.theta - theta + dt / (1 + y) * S.solve_shifted(g, dt))
            assert C not in new.theta.free_symbols


@check("squares", PLAIN)
def step_bound():
    """In the implicit form |d| <= sqrt(kappa dt) / 2, however large g is, by a certificate of squares."""
    V = Space()
    theta, g = V.vectors("theta g")
    S = V.operator("S")
    solve = lambda u: S.solve_shifted(u, dt)  # noqa: E731
    new, _ = exp_sav_update(theta, s, g, dt=dt, kappa=kappa, form="implicit", inner=V.inner, solve=solve)
    d, u = new - theta, solve(g)
    y = dt * V.inner(g, u) / kappa
    rest = 4 * dt**2 / kappa * V.inner(S(u), u)
    assert rest.is_nonnegative
    assert is_zero(kappa * dt / 4 - V.inner(d, d) - kappa * dt / (4 * (1 + y) ** 2) * ((1 - y) ** 2 + rest))


@check("identity", PLAIN, given={"C001-16": "a form other than that of Theorem 2.3"})
def start_of_r_matters_in_the_other_forms():
    """In the explicit form, section_2.2.4 and theorem_2.2 the increment does depend on s."""
    with symbolic_log():
        for form in EXP_SAV_FORMS:
            _, _, _, problem, scheme, theta = setting(form)
            new = moving(scheme, problem, AuxState(theta, s))
            slope = new.theta.map_coefficients(lambda k: sp.diff(k, s))
            assert is_zero(slope) == (form == "implicit")


class Multiple(AbstractEnergy):
    """An energy times a factor."""

    def __init__(self, space, factor):
        super().__init__(space)
        self.factor = factor

    def nonlinear_energy(self, theta):
        """Return the factor times F."""
        return self.factor * super().nonlinear_energy(theta)

    def nonlinear_energy_and_gradient(self, theta):
        """Return both, times the factor."""
        return self.nonlinear_energy(theta), self.factor * self.space.vector("g")


@check("identity", "every dimension and inner product, S = 0, every form and r", refutes=("C002-07", "C001-15"))
def scaling_the_energy():
    """Energy times c and dt over c: theta_new stays if kappa is multiplied by c and not if it is fixed; so it is with SAV and its C."""
    V = Space()
    theta = V.vector("theta")

    def theta_new(factor, scheme, drift=0):
        problem = Multiple(V, factor)
        state = AuxState(theta, scheme.auxiliary(problem, theta) + drift)
        ways = reached(branches(lambda: scheme.step(problem, state, dt / factor)))
        return next(iter(ways)).value.theta  # where g is not 0

    with symbolic_log():
        for form in EXP_SAV_FORMS:
            fixed, scaled = (configured(ExpSAV, form=form, scale=units * kappa, C=C) for units in (1, c))
            # kappa (s - E / kappa - log C) has the units of the energy: its drift is kappa s here
            assert is_zero(theta_new(1, fixed, s) - theta_new(c, scaled, s))
            assert not is_zero(theta_new(1, fixed, s) - theta_new(c, fixed, c * s))
    fixed, scaled = (configured(SAV, C=units * C) for units in (1, c))
    assert is_zero(theta_new(1, fixed) - theta_new(c, scaled))
    assert not is_zero(theta_new(1, fixed) - theta_new(c, fixed))


# %% [markdown]
# ## The two forms that are printed beside it


# %%
@check("identity", PLAIN, refutes=("C001-13",))
def section_2_2_4_tracks_the_energy_plus_a_constant():
    """r_new - r = -dt (g, A^-1 g) rho / kappa: to first order that of E / kappa, not of C exp(E / kappa), unless r = 1."""
    with symbolic_log():
        V, _, _, problem, scheme, theta = setting("section_2.2.4")
        new = moving(scheme, problem, AuxState(theta, s))
        _, g = problem.energy_and_gradient(theta)
        d = new.theta - theta
        change = sp.exp(new.aux) - sp.exp(s)
        assert is_zero(change - V.inner(g, d) / kappa)
        gg = V.inner(g, g)
        assert is_small(change + dt * gg / kappa, dt, 2)
        missing = change + dt * sp.exp(s) * gg / kappa  # what C exp(E / kappa) would do
        assert not is_small(missing, dt, 2)
        assert is_small(missing.subs(s, 0), dt, 2)


@check("identity", PLAIN, refutes=("C001-43",), given={"C001-44": "the direction is divided by r"})
def theorem_2_2_solves_a_rescaled_flow():
    """theta' = -g / r: at most the step dt A^-1 g / r, which is dt exp(-E / kappa) / C for consistent r."""
    with symbolic_log():
        V, _, S, problem, scheme, theta = setting("theorem_2.2")
        new = moving(scheme, problem, scheme.init(problem, theta))
        E, g = problem.energy_and_gradient(theta)
        A_g = S.solve_shifted(g, dt)
        bound = dt * sp.exp(-E / kappa) / C
        y_over_r = dt * V.inner(g, A_g) / (kappa * C * sp.exp(E / kappa))
        assert is_zero(new.theta - theta + bound / (1 + y_over_r) * A_g)
        assert y_over_r.is_nonnegative
        assert not is_small(new.theta - theta + dt * g, dt, 2)
        # its r: r^2 / (r + dt Sigma / kappa)
        new = moving(scheme, problem, AuxState(theta, s))
        r_old = sp.exp(s)
        assert is_zero(sp.exp(new.aux) * (r_old + dt * V.inner(g, A_g) / kappa) - r_old**2)


@check(
    "arithmetic",
    "E = 30 and E = 10, kappa = C = 1, dt = 1/10, every gradient in one dimension, consistent r",
    proves=("C001-48",),
)
def theorem_2_2_is_frozen():
    """From E = 30 (10) with dt = 0.1 the step of theorem_2.2 is at most 9.4e-15 (4.6e-6) of the gradient, the others' are free of that."""
    g, step = sp.Symbol("g", positive=True), sp.Rational(1, 10)
    for E, bound in ((30, sp.Rational(94, 10**16)), (10, sp.Rational(46, 10**7))):
        eta = {form: -on_a_line(form, sp.Integer(E), g, sp.Integer(0), step)[0] / g for form in EXP_SAV_FORMS}
        over_r = sp.exp(-E)
        y = step * g**2
        assert is_zero(eta["theorem_2.2"] - step * over_r / (1 + y * over_r))
        assert 0 < step * over_r < bound
        # the three others are not held by the size of E
        assert is_zero(eta["implicit"] - step / (1 + y))
        assert is_zero(eta["explicit"] - step)
        assert is_zero(eta["section_2.2.4"] - step / (1 + y * over_r))
        for form in ("implicit", "explicit", "section_2.2.4"):
            assert eta[form].subs(g, 1) > sp.Rational(9, 10) * step


@check("counterexample", "r = 10, dt Sigma = 1, kappa = 1", refutes=("C001-45",))
def printed_denominator_is_not_larger():
    """r_new = r^2 / (r + dt Sigma) with r = 10, dt Sigma = 1: the numerator is 100, the denominator 11; r_new < r all the same."""
    r_old, g, step = sp.Integer(10), sp.Integer(1), sp.Integer(1)
    inner, solve = (lambda u, v: u * v), (lambda u: u)
    _, s_new = exp_sav_update(
        sp.Integer(0), sp.log(r_old), g, dt=step, kappa=sp.Integer(1), form="theorem_2.2", inner=inner, solve=solve
    )
    r_new = sp.exp(s_new)
    numerator, denominator = r_old**2, r_old + step * inner(g, solve(g))  # as printed
    assert is_zero(r_new * denominator - numerator)
    assert (numerator, denominator) == (100, 11)
    assert numerator > denominator
    assert r_new < r_old


# %% [markdown]
# ## Logarithms


# %%
@check("identity", "every energy", proves=("C001-03",))
def two_definitions_agree():
    """C exp(E / kappa) = exp(E / kappa + epsilon) exactly for C = e^epsilon; the class keeps the logarithm of it."""
    epsilon = sp.Symbol("epsilon", real=True)
    with symbolic_log():
        for form in EXP_SAV_FORMS:
            _, _, _, problem, scheme, theta = setting(form)
            kept, E = scheme.init(problem, theta).aux, problem.energy(theta)
            assert is_zero(sp.exp(kept) - C * sp.exp(E / kappa))
            assert is_zero(sp.exp(kept).subs(C, sp.exp(epsilon)) - sp.exp(E / kappa + epsilon))


@check(
    "arithmetic", "kappa = C = 1, float64 and float32", given={"C002-11": "L <= 709.78 in float64, 88.72 in float32"}
)
def exponential_overflows_where_the_logarithm_does_not():
    """e^E exceeds the largest float64 from E = 709.79 on, the largest float32 from E = 88.73 on; s = E stays an ordinary number."""
    largest = {
        64: Fraction(struct.unpack(">d", bytes.fromhex("7fefffffffffffff"))[0]),
        32: Fraction(struct.unpack(">f", bytes.fromhex("7f7fffff"))[0]),
    }
    for bits, below, above in ((64, "709.78", "709.79"), (32, "88.72", "88.73")):
        top = sp.Rational(largest[bits].numerator, largest[bits].denominator)
        assert sp.exp(sp.Rational(below)) < top < sp.exp(sp.Rational(above))
    try:
        math.exp(709.79)
    except OverflowError:
        pass
    else:
        raise AssertionError("exp(709.79) did not overflow")
    # E = 1000: y / r would be 1 / e^1000
    for form in EXP_SAV_FORMS:
        new, s_new = on_a_line(form, sp.Integer(1000), sp.Integer(1), sp.Integer(0), sp.Rational(1, 10))
        assert new < 0
        assert 999 < sp.N(s_new, 30) <= 1000


# %% [markdown]
# ## The form that runs
#
# The default, `form="auto"`, is (3) for an energy whose linear part is an operator, since of the four only (3) treats L implicitly, and
# (2) otherwise. A multiple of the identity, such as weight decay, is not stiff.


# %%
@check("identity", "every dimension, inner product, S, kappa and C; every kind of linear part")
def automatic_form():
    """`auto` is the explicit form where L is an operator, the implicit one where it is a number: s, step, modified energy, identity and law are those of that form."""
    V = Space()
    kinds = ((Zero(), "implicit"), (0.0, "implicit"), (Shift(0.0), "implicit"), (Shift(0.5), "implicit"))
    kinds += ((2.0, "implicit"), (Diagonal(np.ones(3)), "explicit"), (V.operator("L"), "explicit"))
    for linear, expected in kinds:
        problem = AbstractEnergy(V)
        problem.linear = linear
        assert configured(ExpSAV).form == "auto"
        assert configured(ExpSAV).form_on(problem) == expected
        for form in EXP_SAV_FORMS:  # a form that is named is the one that runs
            assert configured(ExpSAV, form=form).form_on(problem) == form
    assert ExpSAV().form_on(AbstractEnergy(V)) == "implicit"  # a problem that declares no linear part
    for energy_part in (False, True):
        expected = "explicit" if energy_part else "implicit"
        V = Space()
        L, S, theta = V.operator("L"), V.operator("S"), V.vector("theta")
        problem = AbstractEnergy(V, L if energy_part else None)
        auto, named = (configured(ExpSAV, form=f, scale=kappa, C=C, stabilization=S) for f in ("auto", expected))
        with symbolic_log():
            assert is_zero(auto.auxiliary(problem, theta) - named.auxiliary(problem, theta))
            for start in (s, None):
                old = AuxState(theta, start)
                one, two = (scheme.step(problem, old, dt) for scheme in (auto, named))
                assert is_zero(one.theta - two.theta)
                assert is_zero(one.aux - two.aux)
                for state in (old, one):
                    energies = [scheme.modified_energy(problem, state) for scheme in (auto, named)]
                    assert is_zero(energies[0] - energies[1])
                for x, y in zip(*(scheme.energy_terms(problem, old, one, dt) for scheme in (auto, named)), strict=True):
                    assert is_zero(x - y)
            assert auto.law(problem, one) == named.law(problem, one)
            assert auto.law(problem, one).own_loss == (not energy_part)
    assert ExpSAV().budgets == ("dissipation",)  # asked for before the energy is known: what either form allows


# %% [markdown]
# ## Relaxation
#
# With r, $\tilde r$, $\hat r$ and so on for the exponentials of s, the relaxed value is proved to be
#
# $$r^{n+1} = \min\{\hat r, \tilde r + B\} \quad\text{(literature)}, \qquad \min\{\tilde r, \hat r + B\} \quad\text{(swapped)},$$
#
# $B = \eta(r^n - \tilde r)$, or in the explicit form $B = \tilde r(e^{\text{slack}/\kappa} - 1)$. Every branch of the
# code that some values take is followed; those with $\xi_0 > 1$ are impossible, since only rounding makes $\xi_0$ larger
# than 1. The conditions compare logarithms; $a > b$ is handed on as $e^{a-b} > 1$. Where $x < 30$ is asked, the number e
# becomes a symbol $e > 2$: the answer decides between two expressions for the budget that differ in rounding only.


# %%
def rational(condition):
    """Return a condition between logarithms as one between what they are of; e is a symbol, as in `r_n/r~ < e^30`."""
    if isinstance(condition, (sp.And, sp.Or, sp.Not)):
        return condition.func(*map(rational, condition.args))
    if condition.has(sp.log):
        return condition.func(sp.exp(condition.lhs - condition.rhs).subs(sp.E, e), 1)
    return condition


@check("decision procedure", "all values, eta in [0, 1], every branch")
def relaxation_spends_its_budget():
    """Relaxed r is min(r^, r~ + eta (r - r~)), swapped min(r~, r^ + eta (r - r~)); explicit with kappa s_new <= kappa s~ + slack."""
    loss, before, after, other, eta = sp.symbols("b r_n r~ r^ eta", positive=True)
    for form in EXP_SAV_FORMS:
        scheme = configured(ExpSAV, form=form, scale=kappa, C=C)
        law = scheme.law(AbstractEnergy(Space()), None)
        assert is_zero(law.scale - kappa)
        assert law.own_loss == (form != "explicit")
        assert scheme.budgets == (BUDGETS if form == "explicit" else ("dissipation",))
        for orientation in ("literature", "swapped"):
            for share in (eta,) if form == "explicit" else (eta, 0):
                ways = branches(
                    lambda law=law, share=share, orientation=orientation: relax(
                        law,
                        sp.log(before),
                        sp.log(after),
                        sp.log(other),
                        lambda: kappa * sp.log(loss),
                        eta=share,
                        orientation=orientation,
                    )
                )
                B = after * (loss - 1) if form == "explicit" else share * (before - after)
                kept, bound = (other, after + B) if orientation == "literature" else (after, other + B)
                known = [eta <= 1, before >= after, loss >= 1, e > 2]
                for given, blend, _ in reached(ways, known, rational):
                    assert not any(x.has(sp.exp, sp.E) for x in given)  # nothing else is compared with a number
                    value = sp.exp(blend.aux)
                    least = sp.And(value <= kept, value <= bound, sp.Or(sp.Eq(value, kept), sp.Eq(value, bound)))
                    assert follows(least, given)
