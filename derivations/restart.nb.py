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
# # Restarted auxiliary variables
#
# On `gradflow.schemes.restart.Restart`. The auxiliary variable is reset to its definition before every step, so that a step starts
# from the *true* energy. Its law reads
#
# $$\mathcal E(\theta^{n+1}, \tilde r^{n+1}) - E(\theta^n) = -D - N,$$
#
# with the modified energy on the left and the true one on the right. It does not telescope: the next step starts from
# $E(\theta^{n+1})$, which is not $\mathcal E(\theta^{n+1}, \tilde r^{n+1})$ (the counterexample below), and the true energy may rise.

# %%
import itertools
from contextlib import contextmanager
from unittest.mock import patch

import sympy as sp

from gradflow import IEQ, SAV, ExpSAV, Relaxed, Restart, SourceSAV
from gradflow.curvature.damped_step import DampedStep
from gradflow.proofs import check, reached
from gradflow.schemes import ieq, relaxation
from gradflow.schemes.relaxed import RelaxedState
from gradflow.schemes.sav import sav_update
from gradflow.schemes.state import AuxState
from gradflow.symbolic import (
    AbstractEnergy,
    AbstractLeastSquares,
    Space,
    Vector,
    branches,
    configured,
    is_small,
    is_zero,
)

EVERY = "every dimension, inner product, L and S; SAV, its passive variant and explicit ExpSAV"
dt, C, r, other_r, kappa = sp.symbols("dt C r other_r kappa", positive=True)
KINDS = ("SAV", "SAV L", "SourceSAV", "ExpSAV", "ExpSAV L")


def configured_restart(base):
    """Return Restart(base) for a base with symbols."""
    scheme = object.__new__(Restart)
    object.__setattr__(scheme, "base", base)
    return scheme


def setting(kind):
    """Return a fresh problem, a base scheme, the restarted scheme and theta."""
    V = Space()
    L, S = V.operator("L"), V.operator("S")
    problem = AbstractEnergy(V, L if kind.endswith("L") else None)
    if kind.startswith("SAV"):
        base = configured(SAV, C=C, stabilization=S)
    elif kind == "SourceSAV":
        base = configured(SourceSAV, C=C, stabilization=S)
    else:
        base = configured(ExpSAV, form="explicit", scale=kappa, stabilization=S)
    return problem, base, configured_restart(base), V.vector("theta")


# %% [markdown]
# ## The three obligations


# %%
def _dissipation_of(kind, problem, base, theta, theta_new):
    """Return |d|^2 / dt + (S d, d) + (L d, d) / 2."""
    d = theta_new - theta
    D = problem.inner(d, d) / dt + problem.inner(base.stabilization(d), d)
    return D + problem.inner(problem.linear(d), d) / 2 if kind.endswith("L") else D


@check("identity", EVERY)
def energy_law():
    """From any r, one step takes the true energy E(theta) to the modified one of (theta_new, r~) with the loss of the base's law."""
    for kind in KINDS:
        problem, base, scheme, theta = setting(kind)
        old = AuxState(theta, r)
        new = scheme.step(problem, old, dt)
        terms = scheme.energy_terms(problem, old, new, dt)
        energy = scheme.modified_energy(problem, new)
        assert is_zero(energy - problem.energy(theta) + terms.dissipation + terms.numerical)
        assert is_zero(terms.dissipation - _dissipation_of(kind, problem, base, theta, new.theta))
        if kind.startswith("ExpSAV"):
            assert is_zero(terms.numerical)
        else:
            assert is_zero(terms.numerical - (new.aux - scheme.auxiliary(problem, theta)) ** 2)


@check("identity", EVERY)
def consistency():
    """One step is theta + dt theta' + O(dt^2) for the flow theta' = -grad E whatever r was, and does not depend on r at all."""
    for kind in KINDS:
        problem, _, scheme, theta = setting(kind)
        new = scheme.step(problem, AuxState(theta, r), dt)
        _, gradient = problem.energy_and_gradient(theta)
        assert is_small(new.theta - theta + dt * gradient, dt, 2)
        assert not any(r in sp.sympify(c).free_symbols for c in new.theta.terms.values())
        assert r not in new.aux.free_symbols
        definition = scheme.auxiliary(problem, theta)
        _, g = problem.nonlinear_energy_and_gradient(theta)
        slope = problem.inner(g, -1 * gradient) / (kappa if kind.startswith("ExpSAV") else 2 * definition)
        assert is_small(new.aux - definition - dt * slope, dt, 2)
        start = scheme.init(problem, theta)
        assert is_zero(start.theta - theta)
        assert is_zero(start.aux - definition)
        assert is_zero(scheme.modified_energy(problem, start) - problem.energy(theta))


@check("identity", EVERY + "; k = 2 and 3, every count")
def restarts_every_kth_step():
    """Where k divides the count, a step is the base's from the definition; elsewhere it is the base's, with its law. The count goes round."""
    for kind, k in itertools.product(KINDS, (2, 3)):
        problem, base, scheme, theta = setting(kind)
        object.__setattr__(scheme, "every", k)
        assert scheme.carries_auxiliary
        for n in range(k):
            state = scheme.init(problem, theta)._replace(n=n, aux=r)
            assert is_zero(state.theta - theta)
            old = AuxState(theta, None if n == 0 else r)
            new, wanted = scheme.step(problem, state, dt), base.step(problem, old, dt)
            assert new.n == (n + 1) % k
            assert is_zero(new.theta - wanted.theta)
            assert is_zero(new.aux - wanted.aux)
            for a, b in zip(
                scheme.energy_terms(problem, state, new, dt), base.energy_terms(problem, old, wanted, dt), strict=True
            ):
                assert is_zero(a - b)
            assert is_zero(scheme.modified_energy(problem, new) - base.modified_energy(problem, wanted))
            assert scheme.begins(state).aux == (None if n == 0 else r)
    assert not setting("SAV")[2].carries_auxiliary
    for k in (1, 2):  # the residuals of a batch go with a carried variable only
        assert Restart(IEQ(), every=k).per_sample_auxiliary == (k == 2)
        assert not Restart(SAV(), every=k).per_sample_auxiliary


class HalfSquare:
    """E = theta^2 / 2 in one dimension, in exact numbers."""

    def energy(self, theta):
        """Return E."""
        return theta**2 / 2

    def energy_and_gradient(self, theta):
        """Return E and its gradient."""
        return theta**2 / 2, theta

    def inner(self, u, v):
        """Return u v."""
        return u * v


@check("squares", EVERY)
def solvability():
    """A step exists for every dt > 0 where the base is defined: F + C > 0, and else it is refused. D is a sum of squares."""
    for kind in KINDS:
        problem, _, scheme, theta = setting(kind)
        v = problem.space.vector("v")
        anywhere = scheme.energy_terms(problem, AuxState(theta, None), AuxState(theta + v, r), dt)
        assert anywhere.dissipation.is_nonnegative
        new = scheme.step(problem, AuxState(theta, None), dt)
        F, g = problem.nonlinear_energy_and_gradient(theta)
        S = scheme.base.stabilization
        A = problem.linear + S if kind.endswith("L") else S
        A_g = A.solve_shifted(g, dt)
        L_theta = problem.linear(theta) if kind.endswith("L") else 0 * theta
        R = 1 if kind.startswith("ExpSAV") else sp.sqrt(F + C)
        factor = 1 if kind.startswith("ExpSAV") else new.aux / R
        A_L = (theta - new.theta) / dt - factor * A_g
        assert is_zero(A_L + dt * A(A_L) - L_theta)  # A is I + dt (L + S), which has an inverse
        assert is_zero(A_g + dt * A(A_g) - g)
        pull = problem.inner(g, A_L)
        if kind.startswith("ExpSAV"):  # nothing is divided by but kappa, and log r is defined for every F
            assert is_zero(kappa * new.aux - F + dt * (problem.inner(g, A_g) + pull))
            assert scheme.undefined(problem, theta) == ""
        else:
            denominator = 1 + dt * problem.inner(g, A_g) / (2 * (F + C))
            assert denominator.is_positive
            assert is_zero(new.aux * denominator - R + dt * pull / (2 * R))
    for base in (SAV, SourceSAV):  # F = 1/2 in numbers
        for constant, defined in ((-1, False), (-sp.Rational(1, 2), False), (-sp.Rational(1, 4), True), (1, True)):
            scheme = Restart(configured(base, C=sp.sympify(constant)))
            assert (scheme.undefined(HalfSquare(), sp.Integer(1)) == "") is defined
    assert Restart(ExpSAV(form="explicit")).undefined(HalfSquare(), sp.Integer(1)) == ""


# %% [markdown]
# ## The true energy
#
# Restarting alone makes no promise for it; with enough stabilization it falls, as the last section shows.


# %%
@check("counterexample", "E = theta^2 / 2, theta = 1, C = 100, dt = 10")
def true_energy_may_rise():
    """Restarted SAV, E = theta^2 / 2, theta = 1, C = 100, dt = 10: E rises from 0.5 to 36.3, the modified energy falls to -8.8."""
    problem, scheme = HalfSquare(), Restart(configured(SAV, C=sp.Integer(100)))
    old = AuxState(sp.Integer(1), sp.Integer(7))
    new = scheme.step(problem, old, sp.Integer(10))
    assert is_zero(new.theta + sp.Rational(1799, 211))
    assert problem.energy(new.theta) > 36
    assert problem.energy(old.theta) == sp.Rational(1, 2)
    modified = new.aux**2 - 100
    R = sp.sqrt(sp.Rational(201, 2))
    assert is_zero(modified - sp.Rational(1, 2) + (new.theta - 1) ** 2 / 10 + (new.aux - R) ** 2)
    assert modified < -8
    assert modified < sp.Rational(1, 2)
    assert is_zero(scheme.modified_energy(problem, new) - modified)
    assert scheme.modified_energy(problem, new) < problem.energy(new.theta)  # the next step starts from another energy


# %% [markdown]
# ## Relaxation before a restart is dead code
#
# $\theta^{n+1}$ depends on $\theta^n$ and the variable with which the step starts. If that is computed afresh at every step, what a
# relaxation wrote into it is never read. So a relaxed scheme that starts each step from the definition has the same iterates as the
# restarted one, for every factor.


# %%
@contextmanager
def abstract_arrays():
    """Let IEQ run on abstract vectors, with any direction d whatever the linear solver, and a and c from inner products."""

    def any_direction(at, q, h, A, dt, **_):
        d = at.J.source.vector("d")
        return DampedStep(d, at.jvp(d))

    def products(tilde, hat, slack):
        if not isinstance(tilde, Vector):
            return terms_of_scalars(tilde, hat, slack)
        return (tilde - hat) @ (tilde - hat), hat @ hat - tilde @ tilde - slack, slack

    terms_of_scalars = relaxation._quadratic_terms
    with patch.object(ieq, "damped_step", any_direction), patch.object(relaxation, "_quadratic_terms", products):
        yield


def least_squares(kind):
    """Return a fresh least-squares problem, IEQ, the restarted scheme and theta."""
    V, W = Space(), Space("N")
    problem = AbstractLeastSquares(V, W, V.operator("L") if kind.endswith("L") else None)
    base = configured(IEQ, stabilization=V.operator("S"))
    return problem, base, configured_restart(base), V.vector("theta")


@check(
    "identity",
    "every dimension, inner product, L and S; SAV, its passive variant, explicit ExpSAV, IEQ with any direction; every branch",
    given={"C000-31": "the iterates theta are meant"},
)
def relaxing_a_fresh_variable_is_dead_code():
    """Restart(Relaxed(base)) has the theta of Restart(base), from any relaxed variable: the relaxation is never used."""
    for kind in (*KINDS, "IEQ", "IEQ L"):
        for orientation in relaxation.ORIENTATIONS:

            def run(kind=kind, orientation=orientation):
                problem, base, restarted, theta = (least_squares if kind.startswith("IEQ") else setting)(kind)
                some, other = problem.residuals.vectors("some other") if kind.startswith("IEQ") else (r, other_r)
                relaxed = Relaxed(SAV(), orientation=orientation)
                object.__setattr__(relaxed, "base", base)
                object.__setattr__(relaxed, "eta", sp.Symbol("eta", positive=True))
                both = configured_restart(relaxed)
                plain = restarted.step(problem, AuxState(theta, None), dt)
                return plain, both.step(problem, RelaxedState(theta, other, r, AuxState(theta, some)), dt)

            seen = set()
            with abstract_arrays():
                for _, (plain, new) in branches(run):
                    assert is_zero(new.theta - plain.theta)
                    assert is_zero(new.base.aux - plain.aux)  # the intermediate variable; the relaxed one is discarded
                    seen.add(str(new.aux))
            assert len(seen) >= 2  # and there is more than one


@check("identity", EVERY)
def law_is_that_of_the_base():
    """What Restart hands on: the law is the base's, and the terms are those of a step from the definition."""
    for kind in KINDS:
        problem, base, scheme, theta = setting(kind)
        state = AuxState(theta, other_r)
        assert scheme.law(problem, state) == base.law(problem, state)
    problem, base, scheme, theta = setting("SAV")
    slack = sp.Symbol("B", positive=True)
    call = lambda s: relaxation.relax(  # noqa: E731
        s.law(problem, AuxState(theta, other_r)), r, other_r, 2 * other_r, lambda: slack, eta=1
    )
    ways = zip(reached(branches(lambda: call(scheme))), reached(branches(lambda: call(base))), strict=True)
    for one, two in ways:
        assert one.conditions == two.conditions
        assert is_zero(one.value.aux - two.value.aux)
    new = AuxState(theta + problem.space.vector("d"), other_r)
    stale = scheme.energy_terms(problem, AuxState(theta, r), new, dt)
    fresh = base.energy_terms(problem, AuxState(theta, None), new, dt)
    assert is_zero(stale.numerical - fresh.numerical)
    assert is_zero(stale.dissipation - fresh.dissipation)


# %% [markdown]
# ## The true energy with a stabilization
#
# With enough stabilization the true energy falls. A restarted step knows $(g, d)$ exactly, since its law does: with N the numerical part of
# the dissipation and $T = F(\theta^{n+1}) - F(\theta^n) - (g, d)$ the Taylor remainder of the energy,
#
# $$E(\theta^{n+1}) - E(\theta^n) = -\frac{|d|^2}{\Delta t} - (Sd, d) - \tfrac12(Ld, d) - 2N + T \tag{2}$$
#
# for every energy. Only T needs an assumption: if the gradient of F is K-Lipschitz in the inner product of the problem, then
# $T \le \tfrac K2|d|^2$ (the mean of $(g(\theta + sd) - g, d) \le sK|d|^2$ over s in [0, 1]), and
#
# $$E(\theta^{n+1}) - E(\theta^n) \le -\frac{|d|^2}{\Delta t} - \Bigl(\bigl(S + \tfrac12L - \tfrac K2\bigr)d, d\Bigr) - 2N. \tag{3}$$


# %%
@check(
    "squares",
    "every dimension, inner product, L and S; SAV, its passive variant, explicit ExpSAV, IEQ with any direction",
)
def true_energy_falls_with_half_the_lipschitz_constant():
    """Restarted: E_new - E is the Taylor remainder T of F less D + 2 N, exactly; T <= K |d|^2/2 and S + L/2 >= K/2 make it <= 0, for every dt."""
    K = sp.Symbol("K", positive=True)
    for kind in (*KINDS, "IEQ", "IEQ L"):
        problem, base, scheme, theta = (least_squares if kind.startswith("IEQ") else setting)(kind)
        start = None if kind.startswith("IEQ") else r
        with abstract_arrays():
            new = next(
                iter(reached(branches(lambda p=problem, m=scheme, t=theta, a=start: m.step(p, AuxState(t, a), dt))))
            ).value
        d, inner = new.theta - theta, problem.inner
        terms = scheme.energy_terms(problem, AuxState(theta, start), new, dt)
        F, g = problem.nonlinear_energy_and_gradient(theta)
        T = problem.nonlinear_energy(new.theta) - F - inner(g, d)
        assert is_zero(problem.energy(new.theta) - problem.energy(theta) + terms.dissipation + 2 * terms.numerical - T)
        if kind.startswith("IEQ"):  # N is a sum of squares
            moved = new.aux - scheme.auxiliary(problem, theta)
            assert is_zero(terms.numerical - moved @ moved / 2)
        else:
            assert sp.sympify(terms.numerical).is_nonnegative
        # with K |d|^2 / 2 for T, (3): nothing positive is left where the gap is not negative
        gap = inner(base.stabilization(d), d) - K * inner(d, d) / 2
        gap += inner(problem.linear(d), d) / 2 if kind.endswith("L") else 0
        bound = -terms.dissipation - 2 * terms.numerical + K * inner(d, d) / 2
        assert is_zero(bound + inner(d, d) / dt + gap + 2 * terms.numerical)


@check("counterexample", "F = K theta^2 / 2, every S = lambda I; in numbers K = theta = 1, S = 49/100, C = dt = 1000")
def half_the_lipschitz_constant_is_sharp():
    """For F = K theta^2/2, restarted SAV raises E if and only if 1/dt + S + K F/(F + C) < K/2: for each S < K/2 some dt and C do."""
    K, lam, t = sp.symbols("K lambda t", positive=True)
    F = K * t**2 / 2
    new, _ = sav_update(t, None, K * t, F, dt=dt, C=C, inner=lambda u, v: u * v, solve=lambda u: u / (1 + dt * lam))
    damping = 1 / dt + lam + K * F / (F + C)
    assert is_zero(new - t + K * t / damping)
    assert is_zero(
        K * new**2 / 2 - F - F * (K / damping**2) * 2 * (K / 2 - damping)
    )  # the sign is that of K/2 - damping
    for S, rises in ((sp.Rational(49, 100), True), (sp.Rational(1, 2), False)):
        moved = new.subs({K: 1, lam: S, t: 1, C: 1000, dt: 1000})
        assert (moved**2 > 1) == rises
