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
# # SAV with a passive auxiliary variable
#
# From the printed scheme to what it is, on `gradflow.schemes.source_sav.source_sav_update` and the class that runs it.
#
# Write $R = \sqrt{E + C}$, $A = I + \Delta t\,S$, $\Sigma = (g, A^{-1}g)$ and
#
# $$\rho = \frac{1}{1 + \Delta t\,\Sigma/(2R^2)}, \qquad r^{n+1} = \rho\, r^n, \qquad \theta^{n+1} = \theta^n - \Delta t\,\frac{r^{n+1}}{r^n}\,A^{-1}g
#   = \theta^n - \Delta t\,\rho\,A^{-1}g.$$
#
# The scalar auxiliary variable method has $r^{n+1}/R$ in place of $r^{n+1}/r^n$. So r cancels here, and with $d =
# \theta^{n+1} - \theta^n$
#
# $$r^{n+1} - r^n = -\rho\, r^n\,\frac{\Delta t\,\Sigma}{2R^2}, \qquad \Delta t\,\Sigma\,\rho^2 = \frac{|d|^2}{\Delta t} + (Sd, d),$$
#
# because $g = A\,A^{-1}g$. Multiply the first by $2r^{n+1}$: with $2r^{n+1}(r^{n+1} - r^n) = (r^{n+1})^2 - (r^n)^2 +
# (r^{n+1} - r^n)^2$, that is the law below. It weighs the dissipation by $(r^n/R)^2$, which is 1 only as long as r is
# consistent.

# %%
from unittest.mock import patch

import numpy as np
import sympy as sp

from gradflow import SAV, ExpSAV, FunctionProblem, SourceSAV
from gradflow.proofs import check, linear_kinds, reached
from gradflow.schemes import exp_sav
from gradflow.schemes.exp_sav import EXP_SAV_FORMS, exp_sav_explicit_update, exp_sav_update
from gradflow.schemes.ieq import ieq_update
from gradflow.schemes.sav import sav_update
from gradflow.schemes.source_sav import source_sav_update
from gradflow.schemes.state import AuxState
from gradflow.symbolic import AbstractEnergy, Space, branches, configured, is_small, is_zero

EVERY = "every dimension, inner product and S; L counted in E and g"
dt, C, r, E, kappa = sp.symbols("dt C r E kappa", positive=True)


def setting(*, linear=True):
    """Return a fresh problem, scheme and theta on abstract vectors; E, g count L."""
    V = Space()
    S, problem = V.operator("S"), AbstractEnergy(V)
    if linear:
        problem.linear = V.operator("L")  # which the scheme leaves alone
    return V, S, problem, configured(SourceSAV, C=C, stabilization=S), V.vector("theta")


def settings():
    """Yield every kind of S with a fresh problem, scheme and theta; E and g count L."""
    for kind in linear_kinds():
        problem = AbstractEnergy(kind.space)
        problem.linear = kind.L  # which the scheme leaves alone
        yield kind.space, kind.S, problem, configured(SourceSAV, C=C, stabilization=kind.S), kind.theta


# %% [markdown]
# ## The three obligations


# %%
@check("identity", EVERY, given={"C002-02": "the modified energy r^2 is meant"})
def energy_law():
    """r_new^2 - r^2 = -(r^2 / (E + C)) (|d|^2/dt + (Sd, d)) - (r_new - r)^2, for every dt and every r."""
    for V, S, problem, scheme, theta in settings():
        old = AuxState(theta, r)
        new = scheme.step(problem, old, dt)
        d = new.theta - theta
        R2 = problem.energy(theta) + C
        bracket = V.inner(d, d) / dt + V.inner(S.apply(d), d)
        assert is_zero(scheme.dissipation(problem, theta, new.theta, dt) - bracket)
        terms = scheme.energy_terms(problem, old, new, dt)
        assert is_zero(terms.dissipation - r**2 / R2 * bracket)
        assert is_zero(terms.numerical - (new.aux - r) ** 2)
        # whatever the increment, neither is negative
        anywhere = scheme.energy_terms(problem, old, AuxState(theta + V.vector("d"), 2 * r), dt)
        assert anywhere.dissipation.is_nonnegative
        assert anywhere.numerical.is_nonnegative
        change = new.aux**2 - r**2
        assert is_zero(change + terms.dissipation + terms.numerical)
        assert is_zero(scheme.modified_energy(problem, new) - scheme.modified_energy(problem, old) - change)
        # with r consistent, or left out, the weight is 1 and the modified energy is the true one
        consistent = scheme.init(problem, theta)
        assert is_zero(consistent.aux**2 - R2)
        assert is_zero(scheme.auxiliary(problem, theta) - consistent.aux)
        for start in (consistent, AuxState(theta, None)):
            assert is_zero(scheme.modified_energy(problem, start) - problem.energy(theta))
            fresh = scheme.step(problem, start, dt)
            assert is_zero(fresh.aux / consistent.aux - new.aux / r)
            fresh_terms = scheme.energy_terms(problem, start, fresh, dt)
            assert is_zero(fresh_terms.dissipation - bracket)
            assert is_zero(fresh_terms.numerical - (fresh.aux - consistent.aux) ** 2)
            assert is_zero(fresh.theta - new.theta)


@check("identity", EVERY)
def consistency():
    """For any r, theta_new = theta - dt grad E + O(dt^2), and r_new = r + dt r' + O(dt^2) with r'/r = R'/R along that flow."""
    for V, _, problem, scheme, theta in settings():
        E, g = problem.energy_and_gradient(theta)
        new = scheme.step(problem, AuxState(theta, r), dt)
        assert is_small(new.theta - theta + dt * g, dt, 2)
        logarithmic_derivative_of_R = -V.inner(g, g) / (2 * (E + C))  # (grad R, theta') / R
        assert is_small(new.aux - r - dt * r * logarithmic_derivative_of_R, dt, 2)


@check("squares", EVERY, proves=("C001-10",))
def solvability():
    """The one denominator is 1 plus nonnegative terms; r keeps its sign and never grows."""
    for V, _, problem, scheme, theta in settings():
        F, g = problem.energy_and_gradient(theta)
        new = scheme.step(problem, AuxState(theta, r), dt)
        Sigma = V.inner(g, scheme.stabilization.solve_shifted(g, dt))
        assert Sigma.is_nonnegative
        assert is_zero(r / new.aux - 1 - dt * Sigma / (2 * (F + C)))
        assert new.aux.is_positive
    # a sum that is not positive is refused
    below = FunctionProblem(lambda t: t @ t - 3, lambda t: 2 * t)
    at = np.zeros(1)
    for refused in (2.0, 3.0):
        assert SourceSAV(C=refused).undefined(below, at) != ""
        try:
            SourceSAV(C=refused).init(below, at)
        except ValueError:
            continue
        raise AssertionError(f"C = {refused} was accepted for E = -3")
    assert SourceSAV(C=4.0).undefined(below, at) == ""


# %% [markdown]
# ## What the scheme is


# %%
@check("identity", EVERY, proves=("C002-01",), refutes=("C002-01", "C001-72"))
def theta_is_that_of_restarted_sav():
    """For any r, theta_new is the theta of SAV restarted at r = sqrt(E + C)."""
    _, S, problem, scheme, theta = setting(linear=False)
    restarted = configured(SAV, C=C, stabilization=S)
    new = scheme.step(problem, AuxState(theta, r), dt)
    fresh = restarted.step(problem, AuxState(theta, None), dt)
    assert is_zero(new.theta - fresh.theta)
    assert is_zero(new.theta.map_coefficients(lambda c: sp.diff(c, r)))
    # and r falls by the same factor
    assert is_zero(new.aux / r - fresh.aux / scheme.auxiliary(problem, theta))


@check("identity", EVERY, proves=("C001-08",), refutes=("C001-08",))
def agrees_with_sav_only_for_consistent_r():
    """Its theta_new differs from that of SAV by dt rho (r/R - 1) A^-1 g: the two agree for g != 0 exactly where r = sqrt(E + C)."""
    _, S, problem, scheme, theta = setting(linear=False)
    F, g = problem.energy_and_gradient(theta)
    R = sp.sqrt(F + C)
    passive = scheme.step(problem, AuxState(theta, r), dt)
    fed_back = configured(SAV, C=C, stabilization=S).step(problem, AuxState(theta, r), dt)
    assert is_zero(passive.aux - fed_back.aux)
    rho = passive.aux / r
    A_g = S.solve_shifted(g, dt)
    assert is_zero(passive.theta - fed_back.theta - dt * rho * (r / R - 1) * A_g)
    assert rho.is_positive
    assert sp.solve(r / R - 1, r) == [R]


@check(
    "counterexample",
    "E = theta^2 / 2, theta = 1, C = 100, dt = 10; near 0 every dt, lambda and E = k theta^2 / 2",
    refutes=("C001-11",),
)
def true_energy_may_rise():
    """E = theta^2/2 from 1, C = 100, dt = 10: E rises from 0.5 to 36.3 for every r; near a minimum, unstable for dt/(1 + lambda dt) > 2/k."""
    one, lam, k, t = sp.Integer(1), *sp.symbols("lambda k t", positive=True)
    line = {"inner": lambda u, v: u * v}
    new, r_new = source_sav_update(one, r, one, one / 2, dt=10, C=100, solve=lambda u: u, **line)
    assert is_zero(new + sp.Rational(1799, 211))
    assert new**2 / 2 > 36
    assert is_zero(r_new - r * sp.Rational(201, 211))
    # the same through the class
    problem = FunctionProblem(lambda t: t @ t / 2, lambda t: t)
    state = SourceSAV(C=100).step(problem, AuxState(np.array([one], dtype=object), r), 10)
    assert is_zero(state.theta[0] - new)
    assert is_zero(state.aux - r_new)
    # near the minimum of k theta^2 / 2 the factor is that of gradient descent with the step dt / (1 + lambda dt)
    moved, _ = source_sav_update(t, r, k * t, k * t**2 / 2, dt=dt, C=C, solve=lambda u: u / (1 + lam * dt), **line)
    factor = sp.limit(sp.cancel(moved / t), t, 0)
    assert is_zero(factor - (1 - k * dt / (1 + lam * dt)))
    for step, expected in ((1, 0), (2, -1), (3, -2)):  # k = 1, lambda = 0: beyond 2 it moves away, for every r and C
        assert factor.subs({k: 1, lam: 0, dt: step}) == expected


# %% [markdown]
# ## What decays for every time step
#
# Each of the schemes has a modified energy of its own: $r^2$, $\kappa s$, $\kappa r$ or $-\kappa/r$, with $\tfrac12(\theta, L\theta)$ where
# L is implicit. Its change is minus two terms, a form in the increment that is positive and one that is not negative. None of
# this bounds the true energy.


# %%
@check(
    "squares",
    "every dimension, inner product, S, C and kappa; L in SAV and the explicit ExpSAV",
    given={"C001-25": "the modified energies are meant"},
)
def modified_energies_decay():
    """SAV, SourceSAV, all four forms of ExpSAV: the modified energy falls by exactly the terms of its law and never rises, for every dt > 0."""
    x = sp.Symbol("x", real=True)
    cases = [(SAV, None, True), (SAV, None, False), (SourceSAV, None, False)]
    cases += [(ExpSAV, form, False) for form in EXP_SAV_FORMS] + [(ExpSAV, "explicit", True)]
    with patch.object(exp_sav, "log", sp.log):
        for kind, form, energy_part in cases:
            V = Space()
            S, problem = V.operator("S"), AbstractEnergy(V, V.operator("L") if energy_part else None)
            options = {"form": form, "scale": kappa} if form else {}
            scheme, theta = configured(kind, C=C, stabilization=S, **options), V.vector("theta")
            old = AuxState(theta, x if form else r)
            ways = list(
                reached(branches(lambda scheme=scheme, problem=problem, old=old: scheme.step(problem, old, dt)))
            )
            new = ways[0].value
            if len(ways) == 2:  # it asks whether g = 0, where nothing moves
                assert is_zero(ways[1].value.aux - old.aux)
            before, after = scheme.modified_energy(problem, old), scheme.modified_energy(problem, new)
            terms = scheme.energy_terms(problem, old, new, dt)
            assert is_zero(after - before + terms.dissipation + terms.numerical)
            # whatever the increment and the change of the auxiliary, the terms are not negative
            d, change = V.vector("d"), sp.Symbol("c", real=True)
            anywhere = scheme.energy_terms(problem, old, AuxState(theta + d, old.aux + change), dt)
            assert anywhere.dissipation.is_nonnegative
            assert anywhere.dissipation.subs(V.inner(d, d), 1).is_positive
            if (
                form == "implicit"
            ):  # its numerical term is not negative either (notebook on ExpSAV); here the decay itself
                y = dt * V.inner(problem.energy_and_gradient(theta)[1], S.solve_shifted(V.vector("g"), dt)) / kappa
                assert is_zero(after - before + kappa * sp.log(1 + y))
                assert sp.log(1 + y).is_nonnegative
            else:
                assert anywhere.numerical.is_nonnegative


# %%
@check("identity", EVERY)
def squared_increments_are_not_bounded_by_r():
    """|d|^2 does not depend on r, while r_new^2 - r^2 scales with r^2: no bound of sum |d|^2 by dt r_0^2, as SAV has."""
    V, _, problem, scheme, theta = setting()
    new = scheme.step(problem, AuxState(theta, r), dt)
    d = new.theta - theta
    assert is_zero(sp.diff(V.inner(d, d), r))
    assert is_zero(sp.diff((new.aux**2 - r**2) / r**2, r))
    assert not is_zero(V.inner(d, d))


# %% [markdown]
# ## Which schemes can collapse
#
# A collapse is a feedback: r falls by a factor that does not depend on r, and the increment of theta is proportional to
# r, so that a small r freezes theta. Without feedback there is no collapse. A vanilla IEQ with a single residual has
# the same feedback, with q in the place of r.


# %%
@check(
    "identity", "every dimension, inner product and S; one residual for IEQ", proves=("C000-41",), refutes=("C000-41",)
)
def which_auxiliaries_feed_back():
    """The increment is proportional to r in SAV, to r in explicit ExpSAV, to q in IEQ; free of r here and in implicit ExpSAV."""
    V = Space()
    theta, g = V.vectors("theta g")
    S = V.operator("S")
    common = {"dt": dt, "inner": V.inner, "solve": lambda u: S.solve_shifted(u, dt)}
    s = sp.log(r)
    proportional = [
        sav_update(theta, r, g, E, C=C, **common),
        exp_sav_explicit_update(theta, s, g, E / kappa, kappa=kappa, **common),
    ]
    free = [
        source_sav_update(theta, r, g, E, C=C, **common),
        exp_sav_update(theta, s, g, kappa=kappa, form="implicit", **common),
    ]
    for new, _ in proportional:
        assert is_zero((new - theta).map_coefficients(lambda c: sp.diff(c / r, r)))
        assert not is_zero((new - theta).map_coefficients(lambda c: sp.diff(c, r)))
    for new, _ in free:
        assert is_zero((new - theta).map_coefficients(lambda c: sp.diff(c, r)))
    # one residual with the derivative J: d solves (1/dt + J^2) d = -J q
    q, J, t = sp.symbols("q J t", positive=True)
    d = -dt * J * q / (1 + dt * J**2)
    array = lambda x: np.array([x], dtype=object)  # noqa: E731
    new, q_new = ieq_update(
        array(t),
        array(q),
        inner=np.dot,
        damping=lambda v: v @ v / dt,
        direction=lambda q, h: (array(d), array(J * d)),
    )
    assert is_zero(sp.diff((new[0] - t) / q, q))
    assert is_zero(sp.diff(q_new[0] / q, q))
    assert not is_zero(new[0] - t)
    assert not is_zero(q_new[0] - q)
