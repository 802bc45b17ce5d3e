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
# # Scalar auxiliary variable
#
# From the flow to the discrete law, on `gradflow.schemes.sav.sav_update`, the function that runs.
#
# The flow of $E(\theta) = \tfrac12(\theta, L\theta)_M + F(\theta)$ is $\theta' = -L\theta - g$ with $g$ the gradient of $F$ in the inner
# product $(\cdot,\cdot)_M$. With $r = \sqrt{F + C}$ it can be written as
#
# $$\theta' = -L\theta - \frac{r}{\sqrt{F + C}}\,g, \qquad r' = \frac{1}{2\sqrt{F + C}}\,(g, \theta')_M,$$
#
# and in this form $\tfrac{d}{dt}\bigl[r^2 + \tfrac12(\theta, L\theta)\bigr] = -|\theta'|^2$ holds for *any* r: that is what survives
# discretisation. The proofs below run the update on abstract vectors, so they hold in every dimension and every inner product,
# for every self-adjoint energy part L and stabilization S, which need not commute.

# %%
import numpy as np
import sympy as sp

from gradflow import SAV, FunctionProblem, Restart, SourceSAV
from gradflow.energies.linear import add
from gradflow.proofs import check, follows, linear_kinds
from gradflow.schemes.sav import sav_update
from gradflow.schemes.state import AuxState
from gradflow.symbolic import AbstractEnergy, Space, configured, is_small, is_zero

EVERY = "every dimension, inner product, L and S"
dt, C, r, F, K, lam, x = sp.symbols("dt C r F K lambda x", positive=True)


def settings():
    """Yield the kind of L and S, a fresh problem, scheme and theta on abstract vectors."""
    for kind in linear_kinds():
        problem, scheme = AbstractEnergy(kind.space, kind.L), configured(SAV, C=C, stabilization=kind.S)
        yield kind, problem, scheme, kind.theta


# %% [markdown]
# ## The three obligations


# %%
@check("identity", EVERY)
def energy_law():
    """r^2 + (theta, L theta)/2 falls by exactly |d|^2/dt + (Sd, d) + (Ld, d)/2 + (r_new - r)^2, for every dt and every r."""
    for (_, V, L, S), problem, scheme, theta in settings():
        old = AuxState(theta, r)
        new = scheme.step(problem, old, dt)
        d = new.theta - theta
        terms = scheme.energy_terms(problem, old, new, dt)
        L_term = V.inner(L.apply(d), d) / 2
        assert is_zero(terms.dissipation - V.inner(d, d) / dt - V.inner(S.apply(d), d) - L_term)
        assert is_zero(terms.numerical - (new.aux - r) ** 2)
        change = new.aux**2 - r**2
        change += (V.inner(new.theta, L.apply(new.theta)) - V.inner(theta, L.apply(theta))) / 2
        assert is_zero(change + terms.dissipation + terms.numerical)
        assert is_zero(scheme.modified_energy(problem, new) - scheme.modified_energy(problem, old) - change)
        # the modified energy is the true one when r is consistent
        consistent = AuxState(theta, scheme.auxiliary(problem, theta))
        assert is_zero(scheme.modified_energy(problem, consistent) - problem.energy(theta))
        assert is_zero(scheme.modified_energy(problem, AuxState(theta, None)) - problem.energy(theta))
        assert is_zero(scheme.init(problem, theta).aux - consistent.aux)
        # r left out is r consistent
        fresh, same = scheme.step(problem, AuxState(theta, None), dt), scheme.step(problem, consistent, dt)
        assert is_zero(fresh.theta - same.theta)
        assert is_zero(fresh.aux - same.aux)
        fresh_terms = scheme.energy_terms(problem, AuxState(theta, None), fresh, dt)
        assert is_zero(fresh_terms.numerical - (fresh.aux - consistent.aux) ** 2)


@check("identity", EVERY)
def consistency():
    """With r consistent, theta_new = theta + dt theta' + O(dt^2) and r_new = r + dt r' + O(dt^2) for the flow theta' = -L theta - g."""
    for (_, V, L, _), problem, scheme, theta in settings():
        R = scheme.auxiliary(problem, theta)
        assert is_zero(R**2 - problem.nonlinear_energy(theta) - C)
        new = scheme.step(problem, AuxState(theta, R), dt)
        _, g = problem.nonlinear_energy_and_gradient(theta)
        velocity = -(g + L.apply(theta))
        assert is_small(new.theta - theta - dt * velocity, dt, 2)
        assert is_small(new.aux - R - dt * V.inner(g, velocity) / (2 * R), dt, 2)


@check("squares", EVERY)
def solvability():
    """The one denominator is 1 plus nonnegative terms; with L = 0, r keeps its sign and 0 < r_new <= r."""
    for kind, problem, scheme, theta in settings():
        V = kind.space
        new = scheme.step(problem, AuxState(theta, r), dt)
        F, g = problem.nonlinear_energy_and_gradient(theta)
        A = add(kind.L, kind.S)
        Sigma = V.inner(g, A.solve_shifted(g, dt))
        assert Sigma.is_nonnegative
        denominator = 1 / sp.diff(new.aux, r)
        assert is_zero(denominator - 1 - dt * Sigma / (2 * (F + C)))
        assert (1 + dt * Sigma / (2 * (F + C))).is_positive
        if not kind.energy_part:
            assert new.aux.is_positive
            assert is_zero((r - new.aux) / new.aux - dt * Sigma / (2 * (F + C)))
    # the root needs F + C > 0; here F = -3
    below = FunctionProblem(lambda t: t @ t - 3, lambda t: 2 * t)
    for constant in (2.0, 3.0, 4.0):
        assert (SAV(C=constant).undefined(below, np.zeros(1)) == "") == (constant > 3)


@check("identity", EVERY)
def evaluations():
    """A step is `step_at` with F and g of `evaluate`, and the auxiliary variable `auxiliary_at`: nothing else is asked of the problem."""
    for kind, problem, scheme, theta in settings():
        V, L = kind.space, kind.L
        at = scheme.evaluate(problem, theta)
        F, g = problem.nonlinear_energy_and_gradient(theta)
        assert is_zero(at[0] - F)
        assert is_zero(at[1] - g)
        assert is_zero(scheme.auxiliary_at(at) - scheme.auxiliary(problem, theta))
        for start in (r, None):
            old = AuxState(theta, start)
            new, same = scheme.step(problem, old, dt), scheme.step_at(problem, old, dt, at)
            assert is_zero(new.theta - same.theta)
            assert is_zero(new.aux - same.aux)
        # any other numbers in the place of F and g are those of the step
        other, h = sp.Symbol("F_other", positive=True), V.vector("h")
        A = add(L, kind.S)
        told = scheme.step_at(problem, AuxState(theta, r), dt, (other, h))
        expected = sav_update(
            theta, r, h, other, L.apply(theta) if kind.energy_part else None,
            dt=dt, C=C, inner=V.inner, solve=lambda u, A=A: A.solve_shifted(u, dt),
        )  # fmt: skip
        assert is_zero(told.theta - expected[0])
        assert is_zero(told.aux - expected[1])
        assert is_zero(scheme.auxiliary_at((other, h)) - sp.sqrt(other + C))


# %% [markdown]
# ## What the update is
#
# With $L = 0$ the step is one along $-g$, of a length that has a closed form when $S = \lambda I$.


# %%
def with_shift(*, consistent=False):
    """Return the space, theta, g, theta_new and r_new for S = lambda I, L = 0 and any r, or r = R."""
    V = Space()
    theta, g = V.vectors("theta g")
    solve = lambda u: u / (1 + dt * lam)  # noqa: E731
    start = None if consistent else r
    new, r_new = sav_update(theta, start, g, F, dt=dt, C=C, inner=V.inner, solve=solve)
    return V, theta, g, new, r_new


def consistent_step(square):
    """Return eta of theta_new - theta = -eta g as the update returns it, for S = lambda I, r = R and |g|^2 = square."""
    V, theta, g, new, _ = with_shift(consistent=True)
    ((atom, coefficient),) = (new - theta).terms.items()
    assert {atom} == set(g.terms)
    return -coefficient.subs(V.inner(g, g), square)


@check("identity", EVERY, proves=("C001-40",))
def r_update_in_closed_form():
    """r_new = r / (1 + dt (g, A^-1 g) / (2 (F + C))) for any r, consistent or not."""
    V = Space()
    theta, g = V.vectors("theta g")
    S = V.operator("S")
    _, r_new = sav_update(theta, r, g, F, dt=dt, C=C, inner=V.inner, solve=lambda u: S.solve_shifted(u, dt))
    assert is_zero(r_new * (1 + dt * V.inner(g, S.solve_shifted(g, dt)) / (2 * (F + C))) - r)


@check("identity", "every dimension and inner product, S = lambda I, L = 0", proves=("C000-40",))
def effective_step():
    """theta_new - theta = -eta g with eta = (r/R) / (1/dt + lambda + |g|^2 / (2 (F + C))): gradient descent with a bounded step."""
    V, theta, g, new, _ = with_shift()
    gg = V.inner(g, g)
    eta = (r / sp.sqrt(F + C)) / (1 / dt + lam + gg / (2 * (F + C)))
    assert is_zero(new - theta + eta * g)
    # dt -> infinity with r = R and lambda = 0: twice Polyak's step for the lower bound -C
    G = sp.Symbol("G", positive=True)
    consistent = eta.subs(r, sp.sqrt(F + C)).subs(lam, 0).subs(gg, G)
    assert is_zero(sp.limit(consistent, dt, sp.oo) - 2 * (F + C) / G)


@check("decision procedure", "every dimension and inner product, S = lambda I, L = 0, r = R")
def step_bounds():
    """With r = R: eta < dt, eta < 1 / lambda and eta < 2 (F + C) / |g|^2."""
    G = sp.Symbol("G", positive=True)
    eta = consistent_step(G)
    assert eta.is_positive
    for bound in (dt, 1 / lam, 2 * (F + C) / G):
        assert follows(eta < bound)


@check("identity", EVERY)
def r_drifts_by_the_taylor_remainder():
    """r_new - R(theta_new) = r - R(theta) less the Taylor remainder of R, exactly: the flow conserves r - R, each step loses it."""
    V = Space()
    theta, g = V.vectors("theta g")
    S = V.operator("S")
    new, r_new = sav_update(theta, r, g, F, dt=dt, C=C, inner=V.inner, solve=lambda u: S.solve_shifted(u, dt))
    R, R_new = sp.sqrt(F + C), sp.Symbol("R_new", positive=True)
    slope = V.inner(g, new - theta) / (2 * R)  # (grad R, d)
    assert is_zero((r_new - R_new) - (r - R) + (R_new - R - slope))


@check("identity", EVERY)
def increments_are_square_summable():
    """With L = 0, |d|^2 <= dt (r^2 - r_new^2): the sum over all steps is at most dt r_0^2, wherever the iteration comes to rest."""
    V = Space()
    theta, g = V.vectors("theta g")
    S = V.operator("S")
    new, r_new = sav_update(theta, r, g, F, dt=dt, C=C, inner=V.inner, solve=lambda u: S.solve_shifted(u, dt))
    d = new - theta
    left = dt * (r**2 - r_new**2) - V.inner(d, d)
    assert is_zero(left - dt * V.inner(S(d), d) - dt * (r_new - r) ** 2)
    u = S.solve_shifted(g, dt)
    assert V.inner(S(u), u).is_nonnegative  # d is a multiple of u


@check("identity", "one dimension, C = 0, r = R, F = k theta^2 / 2")
def restarted_on_a_square_is_implicit_euler():
    """For F = k theta^2 / 2, C = 0 and r = R, theta_new = theta / (1 + dt k)."""
    k, t = sp.symbols("k t", positive=True)
    new, _ = sav_update(t, None, k * t, k * t**2 / 2, dt=dt, C=0, inner=lambda u, v: u * v, solve=lambda u: u)
    assert is_zero(new - t / (1 + dt * k))


@check("identity", "every dimension and inner product, S = lambda I")
def local_step_limit_is_that_of_gradient_descent():
    """As g -> 0 with r = R, eta -> dt / (1 + lambda dt): near a minimum the step limit is that of stabilised gradient descent."""
    G = sp.Symbol("G", nonnegative=True)
    assert is_zero(sp.limit(consistent_step(G), G, 0) - dt / (1 + lam * dt))


# %% [markdown]
# ## The true energy
#
# The modified energy decays whatever happens; the true one does not follow. But with enough stabilization it does.


# %%
@check("counterexample", "E = theta^2 / 2, theta = 1, C = 100, dt = 10, r = R", refutes=("C001-34",))
def true_energy_may_rise():
    """E = theta^2 / 2 from theta = 1 with C = 100, dt = 10: theta_new = -1799/211, E rises from 0.5 to 36.3 while r decreases."""
    half = sp.Rational(1, 2)
    one = sp.Integer(1)
    new, r_new = sav_update(one, None, one, half, dt=10, C=100, inner=lambda u, v: u * v, solve=lambda u: u)
    assert is_zero(new + sp.Rational(1799, 211))
    assert new**2 / 2 > 36
    assert is_zero(r_new**2 - (half + 100) * sp.Rational(201, 211) ** 2)
    assert r_new**2 < half + 100


@check(
    "squares",
    "every dimension and inner product, L and S with ((L + 2 S) v, v) >= K |v|^2, r = R",
    given={"C002-10": "lambda >= K/2 and r restarted, in the sense of descent"},
)
def descent_theorem():
    """If F is K-smooth and S + L/2 >= K/2, restarted SAV lowers the true energy for every dt > 0."""
    for (_, V, L, S), problem, scheme, theta in settings():
        R = scheme.auxiliary(problem, theta)
        new = scheme.step(problem, AuxState(theta, R), dt)
        d = new.theta - theta
        _, g = problem.nonlinear_energy_and_gradient(theta)
        # F_new - F <= (g, d) + K |d|^2 / 2 for a K-smooth F, and (g, d) is known exactly:
        assert is_zero(V.inner(g, d) - 2 * R * (new.aux - R))
        bound = V.inner(g, d) + K * V.inner(d, d) / 2
        bound += (V.inner(new.theta, L.apply(new.theta)) - V.inner(theta, L.apply(theta))) / 2
        half_L = V.inner(L.apply(d), d) / 2
        # so E_new - E <= -|d|^2 / dt - 2 (r_new - R)^2 - [(Sd, d) + (Ld, d) / 2 - K |d|^2 / 2]
        gap = V.inner(S.apply(d), d) + half_L - K * V.inner(d, d) / 2
        assert is_zero(bound + V.inner(d, d) / dt + 2 * (new.aux - R) ** 2 + gap)
        assert (2 * (new.aux - R) ** 2).is_nonnegative  # r_new and R are real


@check("identity", "every dimension and inner product, S = lambda I, L = 0, r = R")
def descent_for_a_shift():
    """For S = lambda I the bound of the descent theorem is F_new <= F - (1/dt + lambda - K/2 + |g|^2 / (2 (F + C))) |d|^2."""
    V, theta, g, new, _ = with_shift()
    d = (new - theta).map_coefficients(lambda c: c.subs(r, sp.sqrt(F + C)))
    bound = V.inner(g, d) + K * V.inner(d, d) / 2
    assert is_zero(bound + (1 / dt + lam - K / 2 + V.inner(g, g) / (2 * (F + C))) * V.inner(d, d))


# %% [markdown]
# ## Weight decay
#
# A weight decay belongs to the energy: $L = \omega I$. It moves the minimiser; a stabilization does not. Here r may change its sign.


# %%
@check("identity", "every dimension and inner product, L = omega I")
def weight_decay():
    """With L = omega I, S = 0: r_new = (r - alpha omega (mu, theta)/2) / (1 + alpha |mu|^2/2), alpha = dt/(1 + omega dt), mu = g/R."""
    V = Space()
    theta, g = V.vectors("theta g")
    omega = sp.Symbol("omega", positive=True)
    new, r_new = sav_update(
        theta, r, g, F, omega * theta, dt=dt, C=C, inner=V.inner, solve=lambda u: u / (1 + dt * omega)
    )
    mu, alpha = g / sp.sqrt(F + C), dt / (1 + omega * dt)
    closed = (r - alpha * omega * V.inner(mu, theta) / 2) / (1 + alpha * V.inner(mu, mu) / 2)
    assert is_zero(r_new - closed)
    assert is_zero(new - (theta - dt * r_new * mu) / (1 + omega * dt))
    d = new - theta
    energy = lambda a, b: a**2 + omega * V.inner(b, b) / 2  # noqa: E731
    law = (1 / dt + omega / 2) * V.inner(d, d) + (r_new - r) ** 2
    assert is_zero(energy(r_new, new) - energy(r, theta) + law)


@check("counterexample", "one dimension, mu = 1, theta = 10, r = 1, omega = dt = 1")
def weight_decay_may_turn_r():
    """With a weight decay r can become negative: mu = 1, theta = 10, r = 1, omega = dt = 1 give r_new = -6/5."""
    one = sp.Integer(1)
    _, r_new = sav_update(10 * one, one, one, one, 10 * one, dt=1, C=0, inner=lambda u, v: u * v, solve=lambda u: u / 2)
    assert r_new == sp.Rational(-6, 5)


@check("identity", "one dimension")
def stabilization_leaves_the_minimiser():
    """A stabilization leaves the fixed points where they are (g = 0); a weight decay moves them to L theta + g = 0."""
    V = Space()
    theta = V.vector("theta")
    L, S = V.operator("L"), V.operator("S")
    A = L + S
    # the gradient of F is -L theta, so theta is a stationary point of E; r = R
    new, r_new = sav_update(
        theta, None, -L(theta), F, L(theta), dt=dt, C=C, inner=V.inner, solve=lambda u: A.solve_shifted(u, dt)
    )
    R = sp.sqrt(F + C)
    assert is_zero(new - theta)
    assert is_zero(r_new - R)


# %% [markdown]
# ## Which constant, and what collapses
#
# $C > 0$ is enough for $F \ge 0$; otherwise $C > -\inf F$ is what is needed. The energy is recovered as $r^2 - C$, a difference of
# two numbers near C: its error is of the size of the spacing of floating-point numbers there, whatever E is.


# %%
@check("identity", EVERY)
def ratio_of_r_does_not_depend_on_r():
    """With L = 0, r_new / r does not depend on r while the increment is proportional to it: a collapsed r freezes theta."""
    V = Space()
    theta, g = V.vectors("theta g")
    S = V.operator("S")
    new, r_new = sav_update(theta, r, g, F, dt=dt, C=C, inner=V.inner, solve=lambda u: S.solve_shifted(u, dt))
    assert is_zero(sp.diff(r_new / r, r))
    assert is_zero((new - theta).map_coefficients(lambda c: sp.diff(c / r, r)))


@check("run", "one quadratic, float64")
def r_collapses_on_a_stiff_quadratic():
    """diag(1, 3, 10, 30, 100), dt = 0.8, C = 1, 3000 steps: r falls below 1e-100 while E stays above 10; restarted, E ends near 1."""
    k = np.array([1.0, 3.0, 10.0, 30.0, 100.0])
    problem = FunctionProblem(lambda t: (k * t) @ t / 2, lambda t: k * t)
    ends = {}
    for scheme in (SAV(C=1.0), Restart(SAV(C=1.0))):
        state = scheme.init(problem, np.ones(5))
        for _ in range(3000):
            state = scheme.step(problem, state, 0.8)
        ends[type(scheme).__name__] = (float(problem.energy(state.theta)), float(state.aux))
    assert ends["SAV"][0] > 10
    assert ends["SAV"][1] < 1e-100
    assert ends["Restart"][0] < 2


class Bounded(AbstractEnergy):
    """An energy of which nothing is known but its sign, or not even that."""

    def __init__(self, space, **known):
        super().__init__(space)
        self.value = sp.Symbol("F", **known)

    def nonlinear_energy(self, theta):
        """Return F."""
        return self.value


@check(
    "counterexample",
    "symbols F >= 0 and C > 0; F = theta^2 - 3, theta^2 and theta^2 + 1 at theta = 0",
    refutes=("C002-03",),
    given={"C002-03": "L takes its infimum, and it is 0", "C001-09": "L >= 0"},
)
def constant_below_the_energy_is_refused():
    """For F >= 0 every C > 0 is accepted; for F = -3, C = 1, 2, 3 are refused and 4 is not; for F = 0, C = 0 is; for F = 1, C = -3/4 is accepted."""
    V, at = Space(), np.zeros(1)
    for scheme in (SAV, SourceSAV):
        symbolic = configured(scheme, C=C)
        problem = Bounded(V, nonnegative=True)
        assert is_zero(symbolic.init(problem, V.vector("theta")).aux ** 2 - problem.value - C)
        try:
            symbolic.init(Bounded(V, real=True), V.vector("theta"))
        except TypeError:
            pass  # the sign of F + C cannot be told
        else:
            raise AssertionError("F + C > 0 was taken for granted")
        below = FunctionProblem(lambda t: t @ t - 3, lambda t: 2 * t)
        for too_small in (1.0, 2.0, 3.0):
            try:
                scheme(C=too_small).init(below, at)
            except ValueError:
                continue
            raise AssertionError(f"C = {too_small} was accepted for F = -3")
        assert scheme(C=4.0).init(below, at).aux == 1
        zero = FunctionProblem(lambda t: t @ t, lambda t: 2 * t)
        for constant in (-1.0, 0.0, 2.0**-1000):
            try:
                scheme(C=constant).init(zero, at)
            except ValueError:
                assert constant <= 0
            else:
                assert constant > 0
        above = FunctionProblem(lambda t: t @ t + 1, lambda t: 2 * t)
        assert scheme(C=-0.75).init(above, at).aux == 0.5


@check(
    "run",
    "E = theta^2 / 2 with E <= 1e-3; float32 and float64, C = 100 and C = 0",
    given={"C002-04": "L is recovered as r^2 - C, or C = 0", "C001-12": "L is recovered as r^2 - C"},
)
def recovering_the_energy_loses_digits():
    """In float32 with C = 100, r^2 - C is 0 for E = 1e-6 and off by up to 2e-5; the update stays regular; C = 0 is refused at E = 0."""
    problem = FunctionProblem(lambda t: t @ t / 2, lambda t: t)
    spacing = float(np.spacing(np.float32(100.0)))
    assert spacing == 2.0**-17  # 7.6e-6
    for kind in (SAV, SourceSAV):
        scheme, worst = kind(C=100.0), 0.0
        for E in (0.0, 1e-6, *np.linspace(1e-5, 1e-3, 100)):
            for precision in (np.float32, np.float64):
                theta = np.array([np.sqrt(2 * E)], dtype=precision)
                state = scheme.init(problem, theta)
                assert state.aux.dtype == precision
                assert state.aux == scheme.auxiliary(problem, theta)
                recovered = scheme.modified_energy(problem, state)
                error = abs(float(recovered) - float(problem.energy(theta)))
                if precision == np.float64:
                    assert error < 1e-13
                else:
                    worst = max(worst, error)
                    assert recovered == 0 or spacing < 2 * E
        assert spacing < worst < 2.5 * spacing
        # at E = 0 the step is regular for C > 0, and C = 0 is refused
        at_rest = np.zeros(1, dtype=np.float32)
        with np.errstate(all="raise"):
            new = scheme.step(problem, scheme.init(problem, at_rest), 1.0)
        assert (float(new.theta[0]), float(new.aux)) == (0.0, 10.0)
        assert kind(C=0.0).undefined(problem, at_rest) != ""
        try:
            kind(C=0.0).init(problem, at_rest)
        except ValueError:
            continue
        raise AssertionError("C = 0 was accepted at E = 0")


# %% [markdown]
# ## Two intermediate formulas of the source documents
#
# "Empirical evaluation of energy-stable gradient-flow methods in deep learning", section 2.5.1, reaches the right formula for r
# through two wrong ones.


# %%
@check("identity", EVERY, proves=("C001-37",), refutes=("C001-38",))
def increment_carries_the_factor():
    """The increment is -dt (r_new/R) A^-1 g; without the factor r_new/R it is gradient descent, and the law fails."""
    V = Space()
    theta, g = V.vectors("theta g")
    S = V.operator("S")
    solve = lambda u: S.solve_shifted(u, dt)  # noqa: E731
    new, r_new = sav_update(theta, r, g, F, dt=dt, C=C, inner=V.inner, solve=solve)
    assert is_zero(new - theta + (dt * r_new / sp.sqrt(F + C)) * solve(g))
    wrong = -dt * solve(g)
    D = V.inner(wrong, wrong) / dt + V.inner(S(wrong), wrong)
    assert not is_zero(r_new**2 - r**2 + (r_new - r) ** 2 + D)


@check("identity", EVERY, refutes=("C001-39",))
def printed_r_increment_is_of_second_order():
    """The printed r_new - r = -(dt^2 / (2 r R)) (g, A^-1 g) is O(dt^2); the right one is -dt r_new (g, A^-1 g) / (2 (F + C))."""
    V = Space()
    theta, g = V.vectors("theta g")
    S = V.operator("S")
    solve = lambda u: S.solve_shifted(u, dt)  # noqa: E731
    _, r_new = sav_update(theta, r, g, F, dt=dt, C=C, inner=V.inner, solve=solve)
    Sigma = V.inner(g, solve(g))
    assert is_zero(r_new - r + dt * r_new * Sigma / (2 * (F + C)))
    printed = -(dt**2) * Sigma / (2 * r * sp.sqrt(F + C))
    assert is_small(printed, dt, 2)
    assert not is_small(r_new - r, dt, 2)


@check(
    "squares",
    "every dimension, inner product and S, L = 0",
    given={"C001-41": "r > 0 and a gradient that does not vanish"},
)
def r_decreases_strictly_unless_the_gradient_vanishes():
    """For r > 0 and L = 0, r_new <= r, with equality exactly for g = 0: r/r_new - 1 is a multiple of |u|^2 + dt (Su, u), u = A^-1 g."""
    V = Space()
    theta, g = V.vectors("theta g")
    S = V.operator("S")
    _, r_new = sav_update(theta, r, g, F, dt=dt, C=C, inner=V.inner, solve=lambda u: S.solve_shifted(u, dt))
    u = S.solve_shifted(g, dt)
    fall = sp.expand((r / r_new - 1) * 2 * (F + C) / dt)
    assert is_zero(fall - V.inner(u, u) - dt * V.inner(S(u), u))
    assert fall.is_nonnegative
    # u = 0 exactly where g = A u = 0; elsewhere |u|^2 > 0 makes the fall positive
    assert is_zero(g - u - dt * S(u))
    square = sp.Symbol("U", positive=True)
    assert fall.subs(V.inner(u, u), square).is_positive
    assert is_zero(fall.subs({V.inner(u, u): 0, V.inner(S(u), u): 0}))
