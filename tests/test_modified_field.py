"""Modified fields of schemes: what is known of them, and laws that hold for all."""

import subprocess
import sys
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
import sympy as sp

from gradflow import (
    IEQ,
    MSAV,
    SAV,
    Adam,
    AdaptiveIEQ,
    ElementwiseSAV,
    ExpSAV,
    FunctionProblem,
    GradientDescent,
    HeavyBall,
    ImplicitEuler,
    Nesterov,
    Relaxed,
    Restart,
    RungeKutta4,
    SourceSAV,
)
from gradflow.backward_error import expansion, order_table
from gradflow.backward_error.expansion import (
    ENERGY,
    Node,
    derivative,
    in_latex,
    invariant,
    joined,
    latex_of,
    leaf,
    node,
    residual_node,
    rooted,
    written,
)
from gradflow.backward_error.modified import ModifiedField, modified_field
from gradflow.backward_error.symbolic_steps import DT
from gradflow.schemes.state import AuxState
from gradflow.symbolic import where

beta, C = sp.symbols("beta C", positive=True)
half = sp.Rational(1, 2)


def gradient(problem, theta):
    return problem.energy_and_gradient(theta)[1]


def midpoint(problem, theta, dt):
    return theta - dt * gradient(problem, theta - dt / 2 * gradient(problem, theta))


def heun(problem, theta, dt):
    g = gradient(problem, theta)
    return theta - dt / 2 * (g + gradient(problem, theta - dt * g))


def third(problem, theta, dt):
    """Of second order with c2 = 1/3."""
    g = gradient(problem, theta)
    return theta + dt / 2 * g - 3 * dt / 2 * gradient(problem, theta - dt / 3 * g)


class Pair(NamedTuple):
    theta: Any
    old: Any


class AdamsBashforth:
    """theta_new = theta - dt (3 g - g_old) / 2."""

    def init(self, problem, theta):
        return Pair(theta, gradient(problem, theta))

    def step(self, problem, state, dt):
        g = gradient(problem, state.theta)
        return Pair(state.theta - dt * (3 * g - state.old) / 2, g)


class ExplicitBDF2:
    """Two steps of theta, the gradient extrapolated."""

    def init(self, problem, theta):
        return Pair(theta, theta)

    def step(self, problem, state, dt):
        g = gradient(problem, 2 * state.theta - state.old)
        return Pair((4 * state.theta - state.old - 2 * dt * g) / 3, state.theta)


class Leapfrog:
    """theta_new = theta_old - 2 dt g."""

    def init(self, problem, theta):
        return Pair(theta, theta)

    def step(self, problem, state, dt):
        return Pair(state.old - 2 * dt * gradient(problem, state.theta), state.theta)


class Flip:
    """A memory that changes its sign with every step."""

    def init(self, problem, theta):
        return Pair(theta, 0 * theta)

    def step(self, problem, state, dt):
        return Pair(state.theta - dt * (gradient(problem, state.theta) + state.old), -state.old)


class Toggle:
    """Steps of dt and 3 dt in turn."""

    def init(self, problem, theta):
        return Pair(theta, False)

    def step(self, problem, state, dt):
        return Pair(state.theta - (3 * dt if state.old else dt) * gradient(problem, state.theta), not state.old)


class MidpointFirst:
    """One step of the midpoint rule, then explicit Euler."""

    def init(self, problem, theta):
        return Pair(theta, False)

    def step(self, problem, state, dt):
        euler = state.theta - dt * gradient(problem, state.theta)
        return Pair(euler if state.old else midpoint(problem, state.theta, dt), True)


class Average:
    """Gradient descent along an exponential average."""

    beta = half

    def init(self, problem, theta):
        return Pair(theta, 0 * theta)

    def step(self, problem, state, dt):
        m = self.beta * state.old + (1 - self.beta) * gradient(problem, state.theta)
        return Pair(state.theta - dt * m, m)


ONE_STEP = [
    GradientDescent(),
    ImplicitEuler(),
    RungeKutta4(),
    midpoint,
    heun,
    third,
    Restart(SAV()),
    Restart(ExpSAV()),
    Restart(IEQ()),
    SourceSAV(),
    Restart(AdaptiveIEQ(eps=0.5)),
]


def named(scheme):
    """Return the name of a scheme or a step, the same in every process."""
    return getattr(scheme, "__name__", str(scheme))


def rational(found):
    return {tree: Fraction(int(c.p), int(c.q)) for tree, c in found.items()}


@pytest.mark.parametrize(
    ("scheme", "order", "wanted"),
    [
        # Hairer, Lubich & Wanner, section IX.1
        (GradientDescent(), 4, {"[o]": "-1/2", "[[o]]": "1/3", "[o,o]": "1/12", "[[[o]]]": "-1/4", "[[o,o]]": "-1/12", "[o,[o]]": "-1/12"}),
        (ImplicitEuler(), 4, {"[o]": "1/2", "[[o]]": "1/3", "[o,o]": "1/12", "[[[o]]]": "1/4", "[[o,o]]": "1/12", "[o,[o]]": "1/12"}),
        (midpoint, 3, {"[[o]]": "-1/6", "[o,o]": "-1/24"}),
        (heun, 3, {"[[o]]": "-1/6", "[o,o]": "1/12"}),
        (third, 3, {"[[o]]": "-1/6", "[o,o]": "-1/12"}),
        # the error constants of y''' = f''(f, f) + f'f'f
        (AdamsBashforth(), 3, {"[[o]]": "-5/12", "[o,o]": "-5/12"}),
        (RungeKutta4(), 4, {}),
    ],
)  # fmt: skip
def test_known_fields(scheme, order, wanted):
    found = rational(modified_field(scheme, order).coefficients)
    assert found == {"o": 1, **{tree: Fraction(c) for tree, c in wanted.items()}}


class Twice:
    """Two steps of half the size."""

    def __init__(self, scheme):
        self.scheme = scheme

    def init(self, problem, theta):
        return self.scheme.init(problem, theta)

    def step(self, problem, state, dt):
        return self.scheme.step(problem, self.scheme.step(problem, state, dt / 2), dt / 2)


@pytest.mark.parametrize(
    "scheme",
    [GradientDescent(), RungeKutta4(), HeavyBall(momentum=0.5), Nesterov(momentum=0.5), AdamsBashforth(), ExplicitBDF2(), Average()],
    ids=lambda s: type(s).__name__,
)  # fmt: skip
def test_two_half_steps_follow_the_same_flow(scheme):
    whole, halves = modified_field(scheme, 4), modified_field(Twice(scheme), 4)
    for n, (one, two) in enumerate(zip(whole.fields, halves.fields, strict=True)):
        assert {tree: c / 2**n for tree, c in one.items()} == two


@pytest.mark.parametrize("scheme", ONE_STEP, ids=named)
def test_the_field_of_the_limit_is_that_of_the_flow(scheme):
    assert modified_field(scheme, 1).coefficients == {"o": 1}


@pytest.mark.parametrize("scheme", [SAV(), SAV(C=2.0)], ids=str)
def test_a_carried_root_is_a_further_unknown(scheme):
    found = modified_field(scheme, 2)
    (r,) = found.rates[0]
    R = sp.sqrt(ENERGY + sp.Rational(str(scheme.C)))
    square = invariant(leaf, leaf)
    assert sp.simplify(found.fields[0][leaf] - r / R) == 0
    assert sp.simplify(found.rates[0][r] + r * square / (2 * R**2)) == 0
    # with s = |g|^2 / (2 (E + C)) and sigma = r / R: theta' = -sigma (1 - dt s) g + ..., along the flow of (theta, r) itself
    consistent = {r: R}
    assert sp.simplify(found.fields[1][node(leaf)].subs(consistent) + half) == 0
    assert sp.simplify(found.fields[1][leaf].subs(consistent) + square / (2 * R**2)) == 0


class Shared(NamedTuple):
    theta: Any
    shares: tuple[Any, ...]


@dataclass(frozen=True)
class SharedSAV:
    """SAV whose r is kept as the sum of several numbers, which move by weights of their own."""

    parts: int
    base: SAV = field(default_factory=SAV)

    @property
    def weights(self):
        return [sp.Rational(2 * k + 1, self.parts**2) for k in range(self.parts)]

    def init(self, problem, theta):
        r = self.base.init(problem, theta).aux
        return Shared(theta, tuple(w * r for w in self.weights))

    def step(self, problem, state, dt):
        r = sum(state.shares)
        new = self.base.step(problem, AuxState(state.theta, r), dt)
        return Shared(new.theta, tuple(a + w * (new.aux - r) for a, w in zip(state.shares, self.weights, strict=True)))


@pytest.mark.parametrize("parts", [2, 3])
def test_the_field_is_the_same_however_many_numbers_a_root_is_kept_in(parts):
    found, wanted = modified_field(SharedSAV(parts), 2), modified_field(SAV(), 2)
    (r,), numbers = wanted.rates[0], list(found.rates[0])
    assert len(numbers) == parts
    assert found.manifold == {}
    for mine, part in zip(found.fields, wanted.fields, strict=True):
        assert set(mine) == set(part)
        for tree, c in part.items():
            assert sp.simplify(mine[tree] - c.subs(r, sum(numbers))) == 0
    for mine, rates in zip(found.rates, wanted.rates, strict=True):
        assert sp.simplify(sum(mine.values()) - rates[r].subs(r, sum(numbers))) == 0


class Remembered(NamedTuple):
    theta: Any
    old: Any
    dt: Any


class VariableAdamsBashforth:
    """Adams-Bashforth for steps of any size: the state remembers the last one."""

    def init(self, problem, theta):
        return Remembered(theta, gradient(problem, theta), 1.0)

    def step(self, problem, state, dt):
        g = gradient(problem, state.theta)
        ratio = dt / state.dt
        return Remembered(state.theta - dt * (g + ratio / 2 * (g - state.old)), g, dt)


def test_a_truth_value_is_taken_as_it_is_after_the_start():
    assert modified_field(MidpointFirst(), 3).coefficients == modified_field(GradientDescent(), 3).coefficients


def test_a_step_size_that_the_state_remembers():
    for order in (1, 2, 3):
        assert (
            modified_field(VariableAdamsBashforth(), order).coefficients
            == modified_field(AdamsBashforth(), order).coefficients
        )


def normalized(problem, theta, dt):
    g = gradient(problem, theta)
    return theta - dt * g / problem.inner(g, g) ** half


def polyak(problem, theta, dt):
    E, g = problem.energy_and_gradient(theta)
    return theta - dt * E / problem.inner(g, g) * g


def by_energy(problem, theta, dt):
    E, g = problem.energy_and_gradient(theta)
    return theta - dt * E * g


def test_a_factor_that_varies_with_the_gradient_is_no_coefficient():
    """E + c dt |g|^2 with c = 1 / (4 |g|) has the gradient of E + dt |g| / 4, and the orbits are those of E + dt |g| / 2."""
    for step in (normalized, polyak):
        found = modified_field(step, 2)
        assert -found.fields[1][node(leaf)] / (2 * found.fields[0][leaf]) != 0
        assert found.regularization is None
    assert sp.simplify(modified_field(by_energy, 2).regularization - ENERGY / 4) == 0


def test_momentum():
    """M8 of the audited claims, and the value 1/7 at which Nesterov's third term becomes a gradient."""
    ball = modified_field(HeavyBall(), 3, symbols={"momentum": beta})
    assert sp.simplify(ball.regularization - (1 + beta) / (4 * (1 - beta) ** 2)) == 0
    assert sp.simplify(ball.fields[0][leaf] - 1 / (1 - beta)) == 0
    nesterov = modified_field(Nesterov(), 3, symbols={"momentum": beta})
    assert sp.simplify(nesterov.regularization - (1 - beta + 2 * beta**2) / (4 * (1 - beta) ** 2)) == 0
    chain, bushy = nesterov.fields[2][node(node(leaf))], nesterov.fields[2][node(leaf, leaf)]
    assert sp.solve(chain - 2 * bushy, beta) == [sp.Rational(1, 7)]
    assert [nesterov.is_gradient(order=k) for k in (1, 2, 3)] == [True, True, False]
    assert modified_field(Nesterov(), 3, symbols={"momentum": sp.Rational(1, 7)}).is_gradient(order=3)
    # an average is the heavy ball with the step dt (1 - beta)
    average = modified_field(Average(), 3).fields
    ball = modified_field(HeavyBall(momentum=0.5), 3).fields
    for n, (one, two) in enumerate(zip(average, ball, strict=True), 1):
        assert one == {tree: c * half**n for tree, c in two.items()}


def test_least_squares():
    """Restarted IEQ follows E - dt |g|^2 / 4 where the residual has no curvature, E + dt |g|^2 / 4 where J is zero in it."""
    found = modified_field(Restart(IEQ()), 2)
    assert found.coefficients == {"o": 1, "[o|]": -half, "[|o]": half}
    assert not found.is_gradient(order=2)
    assert found.regularization is None
    # the metric (I + dt J^* J)^-1: f_2 of gradient descent plus J^* J g
    difference = dict(found.fields[1])
    for tree in ("[o|]", "[|o]"):
        one = next(t for t in difference if written(t) == tree)
        difference[one] += half
    assert {written(t): c for t, c in difference.items() if c} == {"[|o]": 1}


@pytest.mark.parametrize(
    ("scheme", "order"), [(GradientDescent(), 2), (third, 3), (Nesterov(), 3), (RungeKutta4(), 4)], ids=named
)
def test_a_modified_loss_has_the_field_as_its_gradient(scheme, order):
    symbols = {"momentum": sp.Rational(1, 7)} if isinstance(scheme, Nesterov) else {}
    found = modified_field(scheme, order, symbols=symbols)
    loss, u = found.loss(), Node("u")
    field = sum(
        DT ** (n - 1) * c * invariant(tree, u) for n, part in enumerate(found.fields, 1) for tree, c in part.items()
    )
    assert sp.expand(derivative(loss, {u: 1}, {}) + field) == 0


square = invariant(leaf, leaf)
F_C = ENERGY + 1


@pytest.mark.parametrize(
    ("scheme", "clock", "chain"),
    [
        (GradientDescent(stabilization=2.0), -2, -half),
        (ImplicitEuler(), 0, half),
        (Restart(SAV()), -square / (2 * F_C), -half),
        (Restart(SAV(stabilization=2.0)), -2 - square / (2 * F_C), -half),
        (Relaxed(SAV()), -square / (2 * F_C), -half),
        (SourceSAV(), -square / (2 * F_C), -half),
        (ExpSAV(form="implicit"), -square, -half),
        (Restart(ExpSAV(form="explicit")), 0, -half),
        (Relaxed(ExpSAV(form="explicit")), 0, -half),
        (Restart(ExpSAV(form="section_2.2.4")), -square * sp.exp(-ENERGY), -half),
        (Restart(AdaptiveIEQ(eps=0.5)), -square / (2 * ENERGY + half), -half),
    ],
    ids=str,
)
def test_first_order(scheme, clock, chain):
    """What the modules of the schemes state: f_1 = f, f_2 = clock f + chain f'f."""
    found = modified_field(scheme, 2)
    assert found.fields[0] == {leaf: 1}
    second = dict(found.fields[1])
    assert sp.simplify(second.pop(leaf, 0) - clock) == 0
    assert second == {node(leaf): chain}
    assert found.regularization == -chain / 2


def test_no_modified_loss():
    with pytest.raises(ValueError, match="f_3 is no gradient"):
        modified_field(GradientDescent(), 3).loss()
    assert [modified_field(Restart(SAV()), 2, symbols={"C": C}).is_gradient(order=k) for k in (1, 2)] == [True, False]
    for order in (0, 4, 1.5):
        with pytest.raises(ValueError, match="order"):
            modified_field(GradientDescent(), 3).is_gradient(order)


def entrywise(problem, theta, dt):
    return theta - dt * gradient(problem, theta) * gradient(problem, theta)


def elsewhere(problem, theta, dt):
    return theta - dt * gradient(problem, 2 * theta)


def inconsistent(problem, theta, dt):
    return theta - gradient(problem, theta)


def uses_theta(problem, theta, dt):
    return theta - dt * gradient(problem, theta) * problem.inner(theta, theta)


@pytest.mark.parametrize(
    ("scheme", "message"),
    [
        (Adam(), "entrywise|abstract vectors"),
        (ElementwiseSAV(), "inner product"),
        (MSAV(), "abstract vectors"),
        (IEQ(), "a vector of residuals, aux"),
        (entrywise, "entrywise"),
        (elsewhere, "known near"),
        (inconsistent, "does not tend to theta"),
        (Leapfrog(), "does not forget old"),
        (Flip(), "does not forget old"),
        (Toggle(), "old of the state still changes after 5 steps"),
        (uses_theta, "theta itself"),
    ],
)
def test_refused(scheme, message):
    with pytest.raises(ValueError, match=message):
        modified_field(scheme, 2)


@pytest.mark.parametrize(
    ("scheme", "order", "symbols", "wanted"),
    [
        (
            GradientDescent(),
            3,
            {},
            r"f - \frac{\Delta t}{2} f'f + \frac{\Delta t^{2}}{12} f''(f, f) + \frac{\Delta t^{2}}{3} f'f'f",
        ),
        (
            HeavyBall(),
            2,
            {"momentum": beta},
            r"- \frac{1}{\beta - 1} f + \frac{\Delta t \left(\beta + 1\right)}{2 \left(\beta - 1\right)^{3}} f'f",
        ),
        (
            Restart(SAV()),
            2,
            {"C": C},
            r"\left(- \frac{|f|_M^2 \Delta t}{2 \left(C + E\right)} + 1\right) f - \frac{\Delta t}{2} f'f",
        ),
        (Restart(IEQ()), 2, {}, r"f + \frac{\Delta t}{2} q''(f, \cdot)^*q - \frac{\Delta t}{2} J^*J f"),
        (lambda problem, theta, dt: theta, 2, {}, "0"),
        (lambda problem, theta, dt: theta + dt * gradient(problem, theta), 2, {}, r"- f - \frac{\Delta t}{2} f'f"),
    ],
)
def test_fields_in_latex(scheme, order, symbols, wanted):
    assert modified_field(scheme, order, symbols=symbols).latex() == rf"\tilde f = {wanted}"


def test_each_tree_has_a_text_of_its_own():
    all_trees = [tree for n in range(1, 7) for tree in trees(n)]
    assert len({latex_of(tree) for tree in all_trees}) == len(all_trees)
    sided = [residual_node((a,), (b,)) for a in all_trees[:8] for b in all_trees[:8]]
    sided += [residual_node((), (a,)) for a in sided] + [residual_node((a,), ()) for a in sided]
    assert len({latex_of(tree) for tree in sided}) == len(sided)


def test_losses_in_latex():
    assert in_latex(modified_field(GradientDescent(), 2).loss()) == r"\frac{|f|_M^2 \Delta t}{4} + E"
    twice = residual_node((), (leaf,))  # -J^*J f
    for u, v, wanted in (
        (leaf, twice, r"- (f, J^*J f)_M"),
        (twice, twice, "(f, J^*J J^*J f)_M"),
        (node(leaf), node(leaf, leaf), "(f, f'f''(f, f))_M"),
    ):
        assert in_latex(invariant(u, v)) == wanted


@pytest.mark.parametrize(
    ("scheme", "message"),
    [
        (None, "scheme must be an object with the methods init and step, or a function"),
        ("euler", "scheme must be an object"),
        (SAV, "scheme must be an object"),
        (lambda p, t: t, r"scheme must be a function \(problem, theta, dt\) -> theta"),
        (lambda p, t, dt: None, "a step must return the new theta, a vector, first in its state; got None"),
        (lambda p, t, dt: "x", "a step must return the new theta"),
        (lambda p, t, dt: p.energy(t), "a step must return the new theta"),
    ],
)
def test_what_is_no_step_is_refused(scheme, message):
    with pytest.raises(ValueError, match=message):
        modified_field(scheme, 2)


def test_without_sympy_the_extra_is_named():
    code = (
        "import sys; sys.modules['sympy'] = None; import gradflow as gf\n"
        "print(gf.backward_error.stability(gf.GradientDescent(), steps=64).threshold)\n"
        "from gradflow.backward_error.linear_stability import exact_stability, stability\n"
        "for call in (lambda: stability(gf.GradientDescent(), exact=True), lambda: exact_stability(gf.GradientDescent())):\n"
        "    try: call()\n"
        "    except ImportError as error: print(error)\n"
        "for name in set(gf.backward_error.__all__) - {'stability', 'edge_of_stability', 'Stability', 'mean_epoch'}:\n"
        "    try: getattr(gf.backward_error, name)\n"
        "    except ImportError as error: print(name, error)"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.splitlines()
    assert out[0] == "2.0"
    assert out.pop(1) == "stability(exact=True) needs sympy: pip install 'gradflow[proofs]'"
    assert out.pop(1) == "exact_stability needs sympy: pip install 'gradflow[proofs]'"
    assert len(out) == 7
    assert all(
        line.endswith(f"backward_error.{line.split()[0]} needs sympy: pip install 'gradflow[proofs]'")
        for line in out[1:]
    )


def test_unknown_settings_are_refused():
    for symbols, message in (
        ({"D": C}, "no part of Restart has a field called D; there are base, C"),
        (["C"], "symbols must be a mapping"),
        ({"C": "C"}, "symbols must give a number or a SymPy expression for C, got 'C'"),
        ({"C": None}, "symbols must give a number"),
        ({"C": float("nan")}, "symbols must give a number"),
    ):
        with pytest.raises(ValueError, match=message):
            modified_field(Restart(SAV()), 2, symbols=symbols)
    for order in (0, 9, 10**9):
        with pytest.raises(ValueError, match="order must be a whole number from 1 to 8"):
            modified_field(SAV(), order)


def trees(n):
    """Return the rooted trees with n nodes."""
    if n == 1:
        return [leaf]
    found = set()
    for smaller in trees(n - 1):
        found |= {made for made, _ in expansion.grafted(smaller, leaf)}
    return sorted(found, key=written)


def test_trees():
    assert [len(trees(n)) for n in range(1, 8)] == [1, 1, 2, 4, 9, 20, 48]
    for n in range(2, 7):  # each tree without a root once, whatever edge it is cut at
        cuts = {joined(u, v) for k in range(1, n) for u in trees(k) for v in trees(n - k)}
        assert len(cuts) == [1, 1, 2, 3, 6][n - 2]
        for u, v in cuts:
            assert sum(rooted(u, v).values()) == n
    # a derivative does not depend on the order of its arguments, so neither do second derivatives along constant vectors
    a, b = Node("a"), Node("b")
    for tree in trees(5):
        once = expansion.field_derivative(expansion.field_derivative({tree: 1}, {a: 1}, {}), {b: 1}, {})
        assert once == expansion.field_derivative(expansion.field_derivative({tree: 1}, {b: 1}, {}), {a: 1}, {})


def test_residual_nodes_add_up_to_those_of_the_energy():
    """Splitting commutes with differentiation."""
    for tree in trees(4):
        for branch in trees(2):
            direct: dict = {}
            for made, times in expansion.grafted(tree, branch):
                for one, more in expansion.split(made):
                    direct[one] = direct.get(one, 0) + times * more
            split: dict = {}
            for part, times in expansion.split(tree):
                for other, more in expansion.split(branch):
                    for made, count in expansion.grafted(part, other):
                        for one, last in expansion.split(made):
                            split[one] = split.get(one, 0) + times * more * count * last
            assert split == direct


def of_residuals(problem, theta, dt):
    q = problem.linearize(theta).residual
    return theta - dt * (q @ q) * gradient(problem, theta)


def of_energies(problem, theta, dt):
    E, g = problem.energy_and_gradient(theta)
    return theta - 2 * dt * E * g


def by_curvature(problem, theta, dt):
    g = gradient(problem, theta)
    c = problem.inner(g, problem.hvp(theta, g))
    return theta - where(c > 0, dt, 2 * dt) * g


def test_the_square_of_a_residual_is_twice_the_energy():
    assert modified_field(of_residuals, 2).fields == modified_field(of_energies, 2).fields


def test_a_step_that_chooses_by_the_sign_of_a_curvature_is_refused():
    with pytest.raises(ValueError, match="it chooses by"):
        modified_field(by_curvature, 2)


def minus_gradient(number, n):
    """Return the field -grad of a number in E and invariants of n nodes."""
    u = Node("u")
    change = derivative(number, {u: sp.Integer(1)}, {})
    slopes = {tree: -sp.diff(change, invariant(tree, u)) for tree in {leaf, *trees(n)}}
    assert sp.expand(change + sum(c * invariant(tree, u) for tree, c in slopes.items())) == 0
    return {tree: c for tree, c in slopes.items() if c != 0}


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_a_gradient_is_recognised_and_its_loss_found(n):
    for u, v in {joined(u, v) for k in range(1, n) for u in trees(k) for v in trees(n - k)}:
        number = invariant(u, v)
        field = minus_gradient(number, n)
        found = ModifiedField(1, (field,))
        assert found.is_gradient(1)
        assert sp.expand(found.loss() - number) == 0
        late = ModifiedField(n, (*({},) * (n - 1), field))  # a term of the modified equation with dt^(n-1)
        assert late.is_gradient(n)
        assert sp.expand(late.loss() - DT ** (n - 1) * number) == 0
        factored = ModifiedField(1, (minus_gradient(ENERGY * number, n),))
        assert factored.is_gradient(1)
        tree = next(iter(field))
        assert not ModifiedField(1, ({**field, tree: ENERGY * field[tree]},)).is_gradient(1)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_numbers_are_split_as_fields_are(n):
    """The split of a derivative is the derivative of the split."""
    a = Node("a")
    for u in trees(n):
        number = invariant(u, leaf)
        direct = expansion.split_number(derivative(number, {a: sp.Integer(1)}, {}))
        split = derivative(expansion.split_number(number), {a: sp.Integer(1)}, {})
        assert sp.expand(direct - expansion.split_number(split)) == 0


@pytest.mark.parametrize(
    ("scheme", "wanted"),
    [
        (GradientDescent(), lambda aux: ENERGY),
        (of_energies, lambda aux: ENERGY**2),
        (SAV(), lambda aux: 2 * aux * sp.sqrt(ENERGY + 1)),
    ],
    ids=["gradient descent", "2 E f", "SAV"],
)
def test_the_loss_of_a_factor_that_depends_on_the_energy(scheme, wanted):
    """Of psi(E) f it is the integral of psi, and minus its derivative along u is (psi(E) f, u)."""
    found, u = modified_field(scheme, 1), Node("u")
    aux = next(iter(found.rates[0]), None) if found.rates else None
    loss = found.loss()
    assert sp.simplify(sp.diff(loss - wanted(aux), ENERGY)) == 0
    assert sp.simplify(derivative(loss, {u: 1}, {}) + found.fields[0][leaf] * invariant(leaf, u)) == 0


def test_the_loss_of_other_factors_is_refused():
    number = invariant(leaf, leaf)
    with pytest.raises(ValueError, match="depend on theta"):
        ModifiedField(1, (minus_gradient(ENERGY * number, 2),)).loss()


class Parity:
    """Steps of dt and 3 dt in turn, told by the number of the step."""

    def init(self, problem, theta):
        return Pair(theta, 0)

    def step(self, problem, state, dt):
        times = 3 if state.old % 2 else 1
        return Pair(state.theta - times * dt * gradient(problem, state.theta), state.old + 1)


class Ahead:
    """The gradient ahead of theta, stored and used in the next step."""

    def init(self, problem, theta):
        return Pair(theta, gradient(problem, theta))

    def step(self, problem, state, dt):
        ahead = gradient(problem, state.theta - dt * state.old)
        return Pair(state.theta - dt * state.old, ahead)


def newton_like(problem, theta, dt):
    g = gradient(problem, theta)
    return theta - dt * g - dt * (problem.hvp(theta - dt * g, g) - problem.hvp(theta, g))


def too_far(problem, theta, dt):
    g = gradient(problem, theta)
    return theta - dt * g - (problem.hvp(theta - dt * g, g) - problem.hvp(theta, g))


def test_a_count_of_which_a_remainder_is_taken_is_refused():
    with pytest.raises(ValueError, match="old of the state still changes"):
        modified_field(Parity(), 2)


class Steps:
    """A step of the size dt times a function of a number of steps."""

    def __init__(self, factor, after=lambda k: k + 1, first=0):
        self.factor, self.after, self.first = factor, after, first

    def init(self, problem, theta):
        return Pair(theta, self.first)

    def step(self, problem, state, dt):
        factor = self.factor(state.old)
        return Pair(state.theta - factor * dt * gradient(problem, state.theta), self.after(state.old))


@pytest.mark.parametrize(
    ("scheme", "message"),
    [
        (Steps(lambda k: 2 if k == 5000 else 1), "compares old of the state, which counts steps, with 5000"),
        (Steps(lambda k: 1 if k != 5000 else 2), "with 5000"),
        (Steps(lambda k: 2 if k in (3, 5000) else 1), "with 5000"),
        (Steps(lambda k: 2 if k > 5000 else 1), "with 5000"),
        (Steps(lambda k: min(k, 5000)), "with 5000"),
        (Steps(lambda k: {5000: 2}.get(k, 1)), "looks something up"),
        (Steps(lambda k: [1, 2][k // 5000]), "computes with old"),
        (Steps(lambda k: 1 / k, first=1), "computes with old"),
        (Steps(lambda k: (k - 1) * half), "adds something|multiplies by"),
        (Steps(lambda k: 2**k), "raises 2 to the power"),
        (Steps(lambda k: 1, lambda k: (k + 1) % 7), "old of the state still changes"),
        (Steps(lambda k: 2 if k == 0 else 1, lambda k: (k + 1) % 3), "old of the state still changes"),
        (Steps(lambda k: 2 if k == 0 else 1, lambda k: 0 if k == 9 else k + 1), "counts steps, with 9"),
        (Steps(lambda k: 1, lambda k: min(k + 1, 5)), "counts steps at first, and is 5 later"),
        (Steps(lambda k: 1 + k, lambda k: -k, first=1), "old of the state still changes after 5 steps"),
    ],
)
def test_steps_that_differ_from_one_to_the_next_are_refused(scheme, message):
    with pytest.raises(ValueError, match=message):
        modified_field(scheme, 2)


@pytest.mark.parametrize(
    "scheme",
    [
        Steps(lambda k: 1 if k else 7),
        Steps(lambda k: 7 if k == 0 else 1),
        Steps(lambda k: 7 if k < 2 else 1),
        Steps(lambda k: 1 if 2 * k + 1 >= 3 else 7),
        Steps(lambda k: 1 / (1 - half ** (k + 1))),
        Steps(lambda k: 1 + sp.Rational(-9, 10) ** (2 * k), first=0.0, after=lambda k: k + 1.0),
        Steps(lambda k: 1, lambda k: k + 3),
    ],
)
def test_what_is_over_after_some_steps_is_no_part_of_the_field(scheme):
    assert modified_field(scheme, 3).coefficients == modified_field(GradientDescent(), 3).coefficients


class MidpointUntilKept:
    """The midpoint rule as long as the state keeps nothing, then Adams-Bashforth."""

    def init(self, problem, theta):
        return Pair(theta, None)

    def step(self, problem, state, dt):
        g = gradient(problem, state.theta)
        if state.old is None:
            return Pair(midpoint(problem, state.theta, dt), g)
        return Pair(state.theta - dt * (3 * g - state.old) / 2, g)


def test_a_value_that_is_missing_at_the_start():
    assert modified_field(MidpointUntilKept(), 3).coefficients == modified_field(AdamsBashforth(), 3).coefficients


class Fading:
    """A number that forgets by a factor of its own at each theta."""

    def __init__(self, factor):
        self.factor = factor

    def init(self, problem, theta):
        return Pair(theta, 1.0)

    def step(self, problem, state, dt):
        E, g = problem.energy_and_gradient(state.theta)
        v = self.factor(E) * state.old + problem.inner(g, g)
        return Pair(state.theta - dt * v * g, v)


def test_a_memory_whose_factor_varies_with_theta():
    """The recursion ends, and the iterates follow the field with order 1, 2, 3 as terms are added."""
    scheme = Fading(lambda E: E / (1 + 2 * E))
    found = modified_field(scheme, 3)
    square = invariant(leaf, leaf)
    assert sp.simplify(found.fields[0][leaf] - square * (1 + 2 * ENERGY) / (1 + ENERGY)) == 0
    problem = FunctionProblem(
        lambda t: 1 + (t[0] ** 2 + 2 * t[1] ** 2) / 4 + t[0] ** 2 * t[1] / 8,
        lambda t: np.array([t[0] / 2 + t[0] * t[1] / 4, t[1] + t[0] ** 2 / 8]),
        lambda t, v: np.array([v[0] / 2 + (v[0] * t[1] + t[0] * v[1]) / 4, v[1] + t[0] * v[0] / 4]),
        third_derivative=lambda t, u, v: np.array([(u[0] * v[1] + u[1] * v[0]) / 4, u[0] * v[0] / 4]),
    )
    table = order_table(problem, scheme, np.array([1.0, -0.6]), [0.8 / n for n in (40, 80)], 0.8, field=found)
    np.testing.assert_allclose(table.orders[:, 0], (1, 2, 3), atol=0.15)


@pytest.mark.parametrize("factor", [lambda E: E, lambda E: -E / (1 + E / 2), lambda E: 1 / E])
def test_a_memory_that_some_energies_keep_is_refused(factor):
    with pytest.raises(ValueError, match="does not forget old for every energy"):
        modified_field(Fading(factor), 2)


@pytest.mark.parametrize("scheme", [MSAV(parts=3), Restart(MSAV(parts=3)), MSAV(parts=(0, 1))], ids=str)
def test_what_depends_on_the_number_of_residuals_is_told(scheme):
    with pytest.raises(ValueError, match=r"number|N of residuals") as caught:
        modified_field(scheme, 2)
    assert "truth value" not in str(caught.value)


def test_what_the_energy_is_not_known_to_is_no_term_of_a_field():
    """A memory of a gradient ahead needs one derivative less than there are; a step that needs more is refused."""
    for order in (1, 2, 3):
        known = modified_field(Ahead(), order)
        assert known.coefficients["o"] == 1
        assert all(not written(tree).startswith("rest") for part in known.fields for tree in part)
        assert all("rest" not in written(tree) for part in known.manifold["old"] for tree in part)
    # theta - dt g + dt^2 D^3E[g, g] + O(dt^3): its f_2 is that of gradient descent with -f''(f, f), a tree of three nodes
    second = modified_field(newton_like, 2).fields[1]
    assert second == {node(leaf): -half, node(leaf, leaf): -1}
    with pytest.raises(ValueError, match="needs derivatives of the energy of a higher order"):
        modified_field(too_far, 2)
