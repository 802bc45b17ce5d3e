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
# # Relaxed auxiliary variables
#
# On `gradflow.schemes.relaxed.Relaxed`, around SAV (with an energy part and a stabilization), its variant with a passive variable,
# exponential SAV and IEQ. The factor itself is treated in the derivation of `gradflow.schemes.relaxation`.
#
# Let a base scheme have the law $\tilde{\mathcal E} - \mathcal E = -D - N$ of its modified energy, with $D, N \ge 0$. Relaxation
# replaces the intermediate variable by a point on the way to its definition whose modified energy is at most
# $\tilde{\mathcal E} + \text{slack}$. So, with the budgets
#
# * `dissipation`, slack $\eta D$: $\mathcal E^{n+1} - \mathcal E^n \le -(1 - \eta)D - N$;
# * `increment`, slack $\eta\min(|d|^2/\Delta t, D)$: at least as much;
# * `numerical`, slack $\eta D + N$: $\mathcal E^{n+1} - \mathcal E^n \le -(1 - \eta)D$.
#
# Three things are needed. The relaxed variable obeys its bound: z3 shows this on every branch of the production functions. A scheme
# hands over $\tilde r$, $\hat r$ and the slack of its budget: this is read off runs on abstract vectors. The law that a scheme states
# is that of its modified energy: this is shown for every scheme of the registry. For a
# base scheme without an energy part the decay is that of r itself, and is then shown through Relaxed for *any* law that is quadratic
# (or linear in a logarithm).

# %%
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
import sympy as sp

from gradflow import (
    IEQ,
    MSAV,
    SAV,
    AdaptiveIEQ,
    AdaptiveSAV,
    ElementwiseSAV,
    ExpSAV,
    FunctionProblem,
    Relaxed,
    Restart,
    SourceSAV,
)
from gradflow.curvature.damped_step import DampedStep
from gradflow.proofs import check, follows, reached
from gradflow.schemes import REGISTRY, ieq, relaxation
from gradflow.schemes.adaptive_sav import AdaptiveState
from gradflow.schemes.exp_sav import EXP_SAV_FORMS
from gradflow.schemes.protocols import EnergyTerms
from gradflow.schemes.relaxation import (
    BUDGETS,
    ORIENTATIONS,
    Blend,
    Logarithmic,
    Quadratic,
    relax_log,
    relax_quadratic,
)
from gradflow.schemes.relaxed import RelaxedState
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

dt, C, r, kappa = sp.symbols("dt C r kappa", positive=True)
eta, D, N, increment, share = sp.symbols("eta D N increment share", nonnegative=True)
B = sp.Symbol("B", nonnegative=True)
r_tilde, r_hat, last = sp.symbols("r_tilde r_hat xi_last", positive=True)
v, v_tilde, v_hat, m = sp.symbols("v v_tilde v_hat m", positive=True)


def relaxed(base, orientation="literature", budget="dissipation", share=eta):
    """Return Relaxed(base), with a symbol for eta."""
    scheme = Relaxed(SAV(), orientation=orientation, budget=budget)
    object.__setattr__(scheme, "base", base)
    object.__setattr__(scheme, "eta", share)
    return scheme


def options():
    """Yield every orientation with every budget."""
    yield from ((orientation, budget) for orientation in ORIENTATIONS for budget in BUDGETS)


# %% [markdown]
# ## Any base scheme with a quadratic law
#
# Of the step nothing else is known than its law, $\tilde r^2 - r^2 = -D - N$: the problem has no energy part, L = 0. With one, the law
# is of $r^2 + \tfrac12(\theta, L\theta)$, and r alone may grow.


# %%
class AnyQuadraticBase:
    """A scheme of which only the law is known: from r to r~ it loses D and N, moving theta by d with |d|^2 / dt = increment."""

    def __init__(self, V):
        self.V = V
        self.theta, self.d = V.vector("theta"), V.vector("d")

    def init(self, problem, theta):
        """Return a consistent state."""
        return AuxState(theta, self.auxiliary(problem, theta))

    def step(self, problem, state, dt):
        """Return theta + d and r~."""
        assert is_zero(state.theta - self.theta)
        return AuxState(state.theta + self.d, r_tilde)

    def auxiliary(self, problem, theta):
        """Return r at theta and r^ elsewhere."""
        return r if is_zero(theta - self.theta) else r_hat

    def modified_energy(self, problem, state):
        """Return r^2."""
        return state.aux**2

    def energy_terms(self, problem, old, new, dt):
        """Return D and N."""
        assert is_zero(new.theta - old.theta - self.d)
        return EnergyTerms(D, N)

    def law(self, problem, state):
        """Return the law: the modified energy is r^2."""
        assert is_zero(state.aux - r_tilde)
        return Quadratic(1)


def abstract_step(orientation, budget):
    """Yield conditions (with the base's law among them), r_new, xi_0 and the terms of a step of Relaxed on any quadratic base."""
    V = Space()
    base = AnyQuadraticBase(V)
    scheme, problem = relaxed(base, orientation, budget), AbstractEnergy(V)
    old = RelaxedState(base.theta, r, last, AuxState(base.theta, r))
    dd = V.inner(base.d, base.d)
    law = [sp.Eq(r_tilde**2 - r**2, -D - N), eta <= 1]
    rewrite = lambda c: c.subs(dd, dt * increment)  # noqa: E731
    for given, new, _ in reached(branches(lambda: scheme.step(problem, old, dt)), law, rewrite):
        aux, factor = (sp.sympify(x).subs(dd, dt * increment) for x in (new.aux, new.xi0))
        terms = scheme.energy_terms(problem, old, new, dt)
        yield given, aux, factor, EnergyTerms(*(sp.sympify(x).subs(dd, dt * increment) for x in terms))


@check(
    "decision procedure",
    "every base scheme whose law is quadratic in a positive r; L = 0",
    given={"C002-26": "eta in [0, 1]"},
)
def every_quadratic_base_keeps_the_decay():
    """For every base with the law r~^2 - r^2 = -D - N, relaxation leaves -(1 - eta) D - N, and -(1 - eta) D with budget numerical."""
    for orientation, budget in options():
        seen = 0
        for given, aux, _, terms in abstract_step(orientation, budget):
            left = (1 - eta) * D if budget == "numerical" else (1 - eta) * D + N
            assert follows(aux**2 - r**2 <= -left, given)
            if budget == "increment":
                assert follows(aux**2 - r**2 <= -(D - eta * increment) - N, given)
            # so do the terms that the scheme reports
            assert follows(sp.Eq(aux**2 - r**2, -terms.dissipation - terms.numerical), given)
            assert is_zero(terms.numerical - N)
            assert follows(terms.dissipation + terms.numerical >= left, given)
            if budget != "numerical":
                assert follows(terms.dissipation >= (1 - eta) * D, given)
            seen += 1
        assert seen >= 2


@check(
    "decision procedure",
    "every base scheme whose law is quadratic in a positive r; L = 0",
)
def collapse_is_not_undone():
    """L = 0: r_new <= r for every orientation, budget and eta <= 1: relaxation slows a collapse of r and can never undo it."""
    for orientation, budget in options():
        for given, aux, _, _ in abstract_step(orientation, budget):
            assert follows(aux <= r, given)
            if orientation == "literature":  # between r~ and r^, and nearer to r^: it may move up
                assert follows(sp.Or(sp.Eq(aux, r_hat), sp.And(r_tilde <= aux, aux <= r_hat)), given)
            else:  # never up: below r^ it is r~ itself
                assert follows(aux <= r_tilde, given)
                assert follows(sp.Implies(r_tilde <= r_hat, sp.Eq(aux, r_tilde)), given)


class WithoutLaw(AnyQuadraticBase):
    """A scheme with a step that no law links, such as one of a two-step scheme after a change of dt."""

    def energy_terms(self, problem, old, new, dt):
        """Return NaN."""
        return EnergyTerms(sp.nan, sp.nan)


@check("decision procedure", "every base scheme whose modified energy is quadratic in a positive r")
def nothing_is_spent_without_a_law():
    """Where the terms of the identity are NaN the slack is 0: r_new^2 <= r~^2, r_new = min(r^, r~) in either orientation."""
    for orientation, budget in options():
        V = Space()
        base = WithoutLaw(V)
        scheme, problem = relaxed(base, orientation, budget), AbstractEnergy(V)
        old = RelaxedState(base.theta, r, last, AuxState(base.theta, r))
        seen = 0
        for conditions, new, _ in reached(branches(lambda s=scheme, p=problem, o=old: s.step(p, o, dt))):
            least = sp.Or(sp.Eq(new.aux, r_hat), sp.Eq(new.aux, r_tilde))
            assert follows(sp.And(least, new.aux <= r_hat, new.aux <= r_tilde), conditions)
            seen += 1
        assert seen >= 2


# %% [markdown]
# ## The schemes of the library
#
# On abstract vectors. What a scheme hands to `relax_quadratic` or `relax_log` is recorded, and a new symbol given back in place of the
# relaxed variable; the slack is formed here from the increment. The bound itself is shown for the functions that are called.


# %%
def setting(kind):
    """Return a fresh problem, base scheme, theta and the old auxiliary variable; every branch of a step gets its own."""
    V = Space()
    L, S = V.operator("L"), V.operator("S")
    theta = V.vector("theta")
    problem = AbstractEnergy(V, L if kind.endswith("L") else None)
    if kind.startswith("SAV"):
        return problem, configured(SAV, C=C, stabilization=S), theta, r
    if kind.startswith("SourceSAV"):
        return problem, configured(SourceSAV, C=C, stabilization=S), theta, r
    if kind.startswith("ExpSAV"):
        scheme = configured(ExpSAV, form="explicit", scale=kappa, stabilization=S)
        return problem, scheme, theta, sp.Symbol("s", real=True)
    W = Space("N")
    problem = AbstractLeastSquares(V, W, L if kind.endswith("L") else None)
    return problem, configured(IEQ, stabilization=S), theta, W.vector("q_old")


UNITS = {"SAV": 1, "SourceSAV": 1, "ExpSAV": 1 / kappa, "IEQ": sp.Integer(2)}  # of the slack, per energy


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
    with (
        patch.object(ieq, "damped_step", any_direction),
        patch.object(relaxation, "_quadratic_terms", products),
        patch.object(relaxation, "_within_bound", lambda aux, *_: aux),  # without rounding it is on the bound
    ):
        yield


def steps(kind, orientation, budget):
    """Yield the conditions of a branch, and problem, scheme, old and new state of a step of Relaxed in it."""

    def run():
        problem, base, theta, aux = setting(kind)
        scheme = relaxed(base, orientation, budget)
        old = RelaxedState(theta, aux, last, AuxState(theta, None))
        return problem, scheme, old, scheme.step(problem, old, dt)

    with abstract_arrays():
        for conditions, value in branches(run):  # an identity, shown on impossible branches as well
            if any(isinstance(c, sp.LessThan) and c.rhs == 0 and "(d, d)" in str(c) for c in conditions[:1]):
                continue  # IEQ at rest: the direction vanishes
            yield (conditions, *value)


@contextmanager
def recorded():
    """Record the arguments of the relaxation of a scheme, and answer with new symbols."""
    calls = []

    def record(intermediate, consistent, slack, *, orientation="literature"):
        vector = isinstance(intermediate, Vector)
        new = intermediate.space.vector("q_new") if vector else sp.Symbol("r_new", real=True)
        calls.append((intermediate, consistent, slack, orientation, new))
        return Blend(new, share)

    with patch.object(relaxation, "relax_quadratic", record), patch.object(relaxation, "relax_log", record):
        yield calls


def slacks_of(budget, terms, d, problem):
    """Return the slacks that a budget may amount to, the second one for the case that D is the smaller."""
    if budget == "increment":
        return [eta * problem.inner(d, d) / dt, eta * terms.dissipation]
    return [eta * terms.dissipation + (terms.numerical if budget == "numerical" else 0)]


def base_law_and_identity(problem, scheme, old, new):
    """Return D and N of the base; assert its law, and that Relaxed reports D less what a relaxed variable adds, and N itself."""
    base, start = scheme.base, AuxState(old.theta, old.aux)
    terms = base.energy_terms(problem, start, new.base, dt)
    change = base.modified_energy(problem, new.base) - base.modified_energy(problem, start)
    assert is_zero(change + terms.dissipation + terms.numerical)
    reported = scheme.energy_terms(problem, old, new, dt)
    assert is_zero(reported.numerical - terms.numerical)
    given_back = base.modified_energy(problem, AuxState(new.theta, new.aux)) - base.modified_energy(problem, new.base)
    assert is_zero(reported.dissipation - terms.dissipation + given_back)
    change = scheme.modified_energy(problem, new) - scheme.modified_energy(problem, old)
    assert is_zero(change + reported.dissipation + reported.numerical)
    return terms


def chosen(conditions, on):
    """Return True if the smaller one of |d|^2/dt and D was taken, by the answer to the question which it is."""
    asked = [c for c in conditions if isinstance(c, (sp.StrictLessThan, sp.GreaterThan))]
    return not asked or len(on) == 2 or isinstance(asked[0], sp.StrictLessThan) == (on[0] == 0)


def without_logarithms(e):
    """Return an equivalent condition: the exponentials of the two sides of each relation between logarithms."""
    if isinstance(e, (sp.And, sp.Or, sp.Not)):
        return e.func(*map(without_logarithms, e.args))
    return e.func(sp.exp(e.lhs - e.rhs), 1) if e.has(sp.log) else e


def between(x, one, other):
    """Return the condition that x is in the segment from one to other."""
    return sp.Or(sp.And(one <= x, x <= other), sp.And(other <= x, x <= one))


def assert_bounds(orientation):
    """Assert that what `relax_quadratic` and `relax_log` return is on the segment, of weight xi_0, and obeys its bound."""
    near, far = (r_tilde, r_hat) if orientation == "literature" else (r_hat, r_tilde)
    seen = 0
    for given, (aux, factor), _ in reached(
        branches(lambda: relax_quadratic(r_tilde, r_hat, B, orientation=orientation))
    ):
        assert follows(aux**2 <= near**2 + B, given)
        assert follows(sp.Eq(aux, factor * near + (1 - factor) * far), given)
        assert follows(sp.And(factor >= 0, factor <= 1), given)
        assert follows(sp.Or(sp.Eq(aux, far), sp.Eq(aux**2, near**2 + B)), given)
        seen += 1
    assert seen >= 2
    near, far = (v_tilde, v_hat) if orientation == "literature" else (v_hat, v_tilde)
    slack = v_tilde * (m - 1)
    seen = 0
    ways = branches(lambda: relax_log(sp.log(v_tilde), sp.log(v_hat), sp.log(m), orientation=orientation))
    for given, (aux, factor), _ in reached(ways, [m >= 1], without_logarithms):
        value = sp.exp(aux)
        assert follows(value <= near + slack, given)
        assert follows(sp.Eq(value, factor * near + (1 - factor) * far), given)
        assert follows(sp.And(factor >= 0, factor <= 1), given)
        assert follows(sp.Or(sp.Eq(value, far), sp.Eq(value, near + slack)), given)
        seen += 1
    assert seen >= 2


@check(
    "decision procedure",
    "every dimension, inner product, L and S; SAV, its passive variant, explicit ExpSAV, IEQ with any direction of the step",
)
def energy_law():
    """Relaxed hands over r~, r^ and the slack of its budget; the relaxed variable, of weight xi_0, spends no more on any branch."""
    for orientation in ORIENTATIONS:
        assert_bounds(orientation)
    for orientation, budget in options():
        for kind in ("SAV", "SAV L", "SourceSAV", "ExpSAV", "ExpSAV L", "IEQ", "IEQ L"):
            found = set()
            with recorded() as calls:
                for conditions, problem, scheme, old, new in steps(kind, orientation, budget):
                    tilde, hat, slack, way, back = calls[-1]
                    if (orientation, budget) == (ORIENTATIONS[0], BUDGETS[0]):  # the same for all
                        base_law_and_identity(problem, scheme, old, new)
                    terms = scheme.base.energy_terms(problem, AuxState(old.theta, old.aux), new.base, dt)
                    assert is_zero(new.theta - new.base.theta)
                    assert is_zero(tilde - new.base.aux)
                    assert is_zero(hat - scheme.base.auxiliary(problem, new.theta))
                    assert way == orientation
                    assert new.xi0 == share
                    assert is_zero(new.aux - back)
                    slacks = slacks_of(budget, terms, new.theta - old.theta, problem)
                    on = [k for k, s in enumerate(slacks) if is_zero(slack - UNITS[kind.split()[0]] * s)]
                    assert on
                    assert chosen(conditions, on)
                    found.update(on)
            assert 0 in found


@check(
    "identity",
    "every dimension, inner product and S; orientation literature, budget dissipation; any direction of the step",
)
def ieq_law():
    """IEQ: q_new is q^ where |q^|^2 <= |q~|^2 + 2 eta D, and else |q_new|^2 = |q~|^2 + 2 eta D; always q^ + xi_0 (q~ - q^)."""
    found = set()
    for conditions, problem, scheme, old, new in steps("IEQ", "literature", "dissipation"):
        terms = base_law_and_identity(problem, scheme, old, new)
        tilde, hat = new.base.aux, scheme.auxiliary(problem, new.theta)
        bound = tilde @ tilde + 2 * eta * terms.dissipation
        assert is_zero(new.aux - hat - new.xi0 * (tilde - hat))
        if new.xi0 == 0:
            within = [c for c in conditions if isinstance(c, sp.LessThan)]
            assert is_zero(within[0].lhs - within[0].rhs - hat @ hat + bound)
            assert is_zero(new.aux - hat)
            found.add("kept")
        elif new.xi0 == 1:  # q~ itself, and the slack is nonnegative
            assert follows(terms.dissipation >= 0, conditions[:1])
            assert is_zero(new.aux - tilde)
        else:
            assert is_zero(new.aux @ new.aux - bound)
            found.add("bound")
    assert found == {"kept", "bound"}


@check("decision procedure", "every base scheme whose law is kappa (s~ - s) = -D; L = 0")
def exponential_decay():
    """With s~ - s = -D / kappa and budget eta D, s_new <= s - (1 - eta) D / kappa in either orientation."""
    decay = sp.Symbol("decay", positive=True)  # exp(-(1 - eta) D / kappa), and m = exp(eta D / kappa)
    law = [sp.Eq(v_tilde * m, v * decay), m >= 1, decay <= 1]
    for orientation in ORIENTATIONS:
        ways = branches(lambda o=orientation: relax_log(sp.log(v_tilde), sp.log(v_hat), sp.log(m), orientation=o))
        for given, (aux, _), _ in reached(ways, law, without_logarithms):
            assert follows(sp.exp(aux) <= v * decay, given)


@check("decision procedure", "every dimension and inner product, S = 0, form implicit")
def own_loss_law():
    """Implicit ExpSAV spends a share of r's own loss: through Relaxed, r_new <= r~ + eta (r - r~) <= r on every branch."""
    V = Space()
    y, e = sp.symbols("y e", positive=True)
    theta = V.vector("theta")
    problem = AbstractEnergy(V)
    base = configured(ExpSAV, form="implicit", scale=kappa)
    scheme = relaxed(base)
    old = RelaxedState(theta, sp.log(v), last, AuxState(theta, None))
    _, g = problem.energy_and_gradient(theta)
    names = {V.inner(g, g): y * kappa / dt, problem.nonlinear_energy(V.vector("other")): kappa * sp.log(v_hat)}
    problem = AbstractEnergy(V)  # the second theta that it sees is theta_new
    seen = 0
    rewrite = lambda c: without_logarithms(c.subs(names)).subs(sp.E, e)  # noqa: E731
    for given, new, _ in reached(branches(lambda: scheme.step(problem, old, dt)), [e > 2, eta <= 1], rewrite):
        value = sp.exp(sp.sympify(new.aux).subs(names))
        tilde = v / (1 + y)
        assert is_zero(sp.exp(new.base.aux.subs(names)) - tilde)
        assert follows(value <= tilde + eta * (v - tilde), given)
        assert follows(value <= v, given)
        seen += 1
    assert seen >= 2


@check("decision procedure", "every dimension, inner product, L and S; the interval for every quadratic law with L = 0")
def consistency():
    """From a consistent r one step follows the flow to O(dt^2), r~ as well; no budget moves r out of [r~, r^]; aux None is aux consistent."""
    for orientation, budget in options():
        for given, aux, _, _ in abstract_step(orientation, budget):
            assert follows(between(aux, r_tilde, r_hat), given)
            assert follows(sp.Implies(sp.Eq(r_tilde, r_hat), sp.Eq(aux, r_tilde)), given)
    for kind in ("SAV", "SAV L", "SourceSAV"):
        problem, base, theta, _ = setting(kind)
        scheme = relaxed(base)
        start = scheme.init(problem, theta)
        r0 = base.auxiliary(problem, theta)
        assert is_zero(start.aux - r0)
        assert is_zero(start.xi0)
        assert is_zero(start.theta - theta)
        assert is_zero(scheme.modified_energy(problem, start) - problem.energy(theta))
        unset = RelaxedState(theta, None, last, start.base)
        assert is_zero(scheme.modified_energy(problem, unset) - problem.energy(theta))
        before = scheme._before(problem, unset)
        assert is_zero(before.aux - r0)
        assert is_zero(before.theta - theta)
        _, gradient = problem.energy_and_gradient(theta)
        _, g = problem.nonlinear_energy_and_gradient(theta)
        new = next(iter(branches(lambda s=scheme, p=problem, o=unset: s.step(p, o, dt)))).value
        assert is_small(new.theta - theta + dt * gradient, dt, 2)
        slope = problem.inner(g, -1 * gradient) / (2 * r0)
        assert is_small(new.base.aux - r0 - dt * slope, dt, 2)
        other = RelaxedState(new.theta, sp.Symbol("r_new", real=True), last, new.base)
        for one, two in zip(*(scheme.energy_terms(problem, o, other, dt) for o in (unset, start)), strict=True):
            assert is_zero(one - two)


@check("decision procedure", "every dimension, inner product, L and S; the factor for every quadratic law with L = 0")
def solvability():
    """No condition on dt beyond the base's: the slack is eta times a sum of squares, so a factor in [0, 1] exists and makes r_new."""
    for orientation, budget in options():
        near, far = (r_tilde, r_hat) if orientation == "literature" else (r_hat, r_tilde)
        for given, aux, factor, _ in abstract_step(orientation, budget):
            assert follows(sp.And(factor >= 0, factor <= 1), given)
            assert follows(sp.Eq(aux, factor * near + (1 - factor) * far), given)
    for budget in BUDGETS:
        for kind in ("SAV", "SAV L", "SourceSAV"):
            problem, base, theta, _ = setting(kind)
            scheme = relaxed(base, budget=budget)
            V = problem.space
            old, new = AuxState(theta, r), AuxState(theta + V.vector("v"), r_tilde)
            terms = base.energy_terms(problem, old, new, dt)
            assert terms.dissipation.is_nonnegative
            assert terms.numerical.subs(r_tilde, r + sp.Symbol("change", real=True)).is_nonnegative
            found = 0
            for conditions, slack, _ in reached(
                branches(lambda s=scheme, p=problem, o=old, n=new: s._slack(p, o, n, dt))
            ):
                expected = slacks_of(budget, terms, new.theta - theta, problem)
                on = [k for k, e in enumerate(expected) if is_zero(slack - e)]
                assert on
                assert chosen(conditions, on)
                found += 1
            assert found >= 1
    half_square = FunctionProblem(lambda t: t @ t / 2, lambda t: t)
    for constant, defined in ((-1.0, False), (-0.5, False), (-0.25, True), (1.0, True)):  # F = 1/2
        assert (Relaxed(SAV(C=constant)).undefined(half_square, np.ones(1)) == "") is defined
    assert Relaxed(ExpSAV(form="explicit")).undefined(half_square, np.ones(1)) == ""


# %% [markdown]
# ## The law as data
#
# A scheme states how its auxiliary variable enters its modified energy, `Quadratic(weight, centre)` or `Logarithmic(scale)`, and
# `relax` believes it. For two values a and b of the auxiliary variable of one state the modified energies therefore differ by
# $w\,(|a - c|^2 - |b - c|^2)$, or by $\kappa(a - b)$. The forms of `ExpSAV` that are relaxed within their own loss promise less: their
# modified energy increases with s.


# %%
def stated():
    """Yield the name, problem, scheme, a function that makes a state of an auxiliary variable, and two values of that."""
    pair = sp.symbols("a b", real=True)
    for kind in ("SAV", "SAV L", "SourceSAV", "ExpSAV", "ExpSAV L", "IEQ", "IEQ L"):
        problem, scheme, theta, _ = setting(kind)
        values = problem.residuals.vectors("a b") if kind.startswith("IEQ") else pair
        make = lambda x, theta=theta: AuxState(theta, x)  # noqa: E731
        yield kind.split()[0], problem, scheme, make, values
        restarted = object.__new__(Restart)
        object.__setattr__(restarted, "base", scheme)
        yield "Restart", problem, restarted, make, values
        wrapped = lambda x, theta=theta: RelaxedState(theta, x, last, AuxState(theta, None))  # noqa: E731
        yield "Relaxed", problem, relaxed(scheme), wrapped, values
    V, W = Space(), Space()
    theta, m = V.vectors("theta m")
    for linear in (None, V.operator("L")):  # counted in E by the schemes below, but for "auto"
        problem = AbstractEnergy(V)
        if linear is not None:
            problem.linear = linear
        make = lambda x: AuxState(theta, x)  # noqa: E731
        for form in (*EXP_SAV_FORMS, "auto"):
            yield "ExpSAV", problem, configured(ExpSAV, form=form, scale=kappa), make, pair
        yield (
            "ElementwiseSAV",
            problem,
            configured(ElementwiseSAV, C=C),
            make,
            W.vectors("a b"),
        )  # the dimension is a symbol
        yield "MSAV", problem, configured(MSAV, C=C), make, W.vectors("a b")
        state = lambda x: AdaptiveState(theta, x, m, last, last, 3)  # noqa: E731
        for reading in ("norm", "elementwise"):
            yield "AdaptiveSAV", problem, configured(AdaptiveSAV, C=C, reading=reading), state, pair
        for form in ("invariant", "printed"):
            yield "AdaptiveIEQ", problem, configured(AdaptiveIEQ, form=form), make, pair


@check("identity", "every scheme of the registry, every dimension, inner product and L")
def laws_are_those_of_the_modified_energies():
    """Modified energies of one state with aux a and b differ by w (|a - c|^2 - |b - c|^2), or kappa (a - b), of the `law` of the scheme."""
    square = lambda x: x @ x if isinstance(x, Vector) else x**2  # noqa: E731
    seen = {}
    for name, problem, scheme, make, (a, b) in stated():
        first, second = make(a), make(b)
        law = scheme.law(problem, first)
        assert law == scheme.law(problem, second)  # it does not depend on the auxiliary variable
        rise = scheme.modified_energy(problem, first) - scheme.modified_energy(problem, second)
        if isinstance(law, Quadratic):
            assert law.weight > 0
            centre = law.centre if law.centre else 0 * a
            assert is_zero(rise - law.weight * (square(a - centre) - square(b - centre)))
        elif law.own_loss:
            assert is_zero(law.scale - kappa)
            assert sp.diff(rise, a).is_positive
        else:
            assert is_zero(rise - law.scale * (a - b))
        seen.setdefault(name, set()).add(type(law))
    assert set(seen) == {name for name, scheme in REGISTRY.items() if hasattr(scheme, "law")}
    assert seen["Relaxed"] == {Quadratic, Logarithmic}


# %% [markdown]
# ## One evaluation a step
#
# A scheme that says `evaluates` needs at the new $\theta$ nothing but what the next step needs there. `Relaxed.step_evaluated` hands it on.


# %%
class Asked:
    """A problem that notes which of its methods are called."""

    def __init__(self, problem):
        self._problem, self.calls = problem, []

    def __getattr__(self, name):
        member = getattr(self._problem, name)
        if not callable(member) or name in ("inner", "linear"):
            return member

        def noted(*arguments):
            self.calls.append(name)
            return member(*arguments)

        return noted


def same_states(one, two):
    """Return True if two states of Relaxed are the same."""
    pairs = ((one.theta, two.theta), (one.aux, two.aux), (one.xi0, two.xi0), (one.base.aux, two.base.aux))
    return all(is_zero(x - y) for x, y in (*pairs, (one.base.theta, two.base.theta)))


def without_evaluation():
    """Return a step of relaxed ExpSAV by both methods."""
    problem, base, theta, aux = setting("ExpSAV L")
    scheme, old = relaxed(base), RelaxedState(theta, aux, last, AuxState(theta, None))
    return scheme.step(problem, old, dt), scheme.step_evaluated(problem, old, dt, None)


@check("identity", "every dimension, inner product, L and S; SAV, IEQ with any direction of the step; every branch")
def one_evaluation_a_step():
    """`step_evaluated` returns the state of `step` and the evaluation at the new theta; given one at the old theta, it makes no other."""
    once = {"SAV": ["nonlinear_energy_and_gradient"], "IEQ": ["linearize"]}
    for kind in ("SAV", "SAV L", "IEQ", "IEQ L"):

        def run(kind=kind):
            problem, base, theta, aux = setting(kind)
            scheme = relaxed(base)
            asked = Asked(problem)
            old = RelaxedState(theta, aux, last, AuxState(theta, None))
            plain = scheme.step(problem, old, dt)
            fresh, at_new = scheme.step_evaluated(problem, old, dt, None)
            given, _ = scheme.step_evaluated(asked, old, dt, base.evaluate(problem, theta))
            return problem, base, plain, fresh, given, at_new, asked.calls

        with abstract_arrays():
            for _, (problem, base, plain, fresh, given, at_new, calls) in branches(run):
                assert same_states(plain, fresh)
                assert same_states(plain, given)
                assert calls == once[kind.split()[0]]
                again = base.evaluate(problem, plain.theta)
                assert is_zero(base.auxiliary_at(at_new) - base.auxiliary(problem, plain.theta))
                if kind.startswith("SAV"):
                    assert is_zero(at_new[0] - again[0])
                    assert is_zero(at_new[1] - again[1])
                else:
                    assert is_zero(at_new.residual - again.residual)
                    assert at_new.J is again.J
    # a scheme that evaluates nothing takes its step
    for _, (plain, (new, at_new)) in branches(without_evaluation):
        assert same_states(plain, new)
        assert at_new is None


# %% [markdown]
# ## What the documents say of it
#
# A relaxation in the swapped orientation follows the vanilla scheme exactly as long as $\tilde r \le \hat r$; and a relaxed variable that
# is computed afresh at every step is not used by any step.


# %%
@check("counterexample", "F = theta^2 / 2 at theta = 1, C = 1, dt = 10, exact")
def swapped_step_is_the_vanilla_step():
    """When r lags behind its definition the swapped step returns the vanilla r: it corrects no collapse; the literature's raises r."""
    problem = FunctionProblem(lambda t: t @ t / 2, lambda t: t)
    base = SAV(C=1.0)
    theta = np.array([sp.Integer(1)], dtype=object)
    lagging = sp.Rational(1, 10)
    ends = {}
    for orientation in ORIENTATIONS:
        scheme = relaxed(base, orientation, share=sp.Rational(99, 100))
        state = RelaxedState(theta, lagging, last, AuxState(theta, lagging))
        ends[orientation] = scheme.step(problem, state, sp.Integer(10))
    vanilla = base.step(problem, AuxState(theta, lagging), sp.Integer(10))
    assert ends["swapped"].xi0 == 0
    assert sp.nsimplify(ends["swapped"].aux - vanilla.aux, rational=True) == 0
    assert vanilla.aux < ends["literature"].aux
    assert ends["literature"].aux < lagging
