"""Two routes to the modified equation: Lie series in trees on abstract vectors, and in jets on arrays. They agree."""

import random
from itertools import product
from typing import Any, NamedTuple

import pytest
import sympy as sp

from gradflow import (
    IEQ,
    SAV,
    Adam,
    AdaptiveSAV,
    ExpSAV,
    GradientDescent,
    HeavyBall,
    ImplicitEuler,
    Nesterov,
    Relaxed,
    Restart,
    RungeKutta4,
    SourceSAV,
)
from gradflow.backward_error.expansion import ENERGY, invariant_trees
from gradflow.backward_error.lie import jet_field
from gradflow.backward_error.modified import modified_field

C, kappa, beta = sp.symbols("C kappa beta", positive=True)


class Evaluated:
    """The fields of the tree route, in jets."""

    def __init__(self, algebra, n, residuals):
        self.algebra, self.n, self.residuals = algebra, n, residuals

    def derivative(self, arguments, i, name):
        """Return a derivative of a function along vectors, and along the i-th axis unless that is None."""
        a, total = self.algebra, self.algebra.ring.zero
        for along in product(range(self.n), repeat=len(arguments)):
            term = a.jet(*along, *([] if i is None else [i]), name=name)
            for j, u in zip(along, arguments, strict=True):
                term *= u[j]
            total += term
        return total

    def tree(self, tree):
        """Return the elementary differential of a tree, by (1) and (3) of `gradflow.backward_error.expansion`."""
        A, B = [self.tree(t) for t in tree.branches], [self.tree(t) for t in tree.other]
        if not self.residuals:
            return [-self.derivative(A, i, "E") for i in range(self.n)]
        sides = [(A, B)]
        if tree.label == "":  # a derivative of E falls on either factor
            sides = [
                (
                    [u for u, left in zip(A, where, strict=True) if left],
                    [u for u, left in zip(A, where, strict=True) if not left],
                )
                for where in product((True, False), repeat=len(A))
            ]
        names = [f"q{k}" for k in range(self.residuals)]
        return [
            -sum(self.derivative(P, i, q) * self.derivative(R, None, q) for P, R in sides for q in names)
            for i in range(self.n)
        ]

    def number(self, c):
        """Return a coefficient."""
        values = {}
        for symbol in sp.sympify(c).free_symbols:
            if symbol.name.startswith("("):
                u, v = map(self.tree, invariant_trees(symbol))
                values[symbol] = sum(p * q for p, q in zip(u, v, strict=True)).as_expr()
            elif symbol.name == "aux":
                values[symbol] = sp.Symbol("aux", **self.algebra.variables[self.n].assumptions0)
        # 1/(E + C)^2 and not its expanded form; one exponential in each term
        terms = sp.Add.make_args(sp.expand(c)) if sp.sympify(c).has(sp.exp) else [sp.factor(c)]
        return self.algebra.element(sum(sp.powsimp(term).xreplace(values) for term in terms))

    def field(self, field):
        total = [self.algebra.ring.zero] * self.n
        for tree, c in field.items():
            factor = self.number(c)
            total = [t + factor * p for t, p in zip(total, self.tree(tree), strict=True)]
        return total


class Pair(NamedTuple):
    theta: Any
    old: Any


class Nested(NamedTuple):
    theta: Any
    past: tuple


class TwoSteps:
    """theta_new = (4 theta - theta_old - 2 dt g(2 theta - theta_old)) / 3, which depends on theta_old at once."""

    def init(self, problem, theta):
        return Pair(theta, theta)

    def step(self, problem, state, dt):
        g = problem.energy_and_gradient(2 * state.theta - state.old)[1]
        return Pair((4 * state.theta - state.old - 2 * dt * g) / 3, state.theta)


class Past:
    """The same with variable steps, from a state that is nested and longer after the first step."""

    def init(self, problem, theta):
        return Nested(theta, ())

    def step(self, problem, state, dt):
        if not state.past:
            return Nested(state.theta - dt * problem.energy_and_gradient(state.theta)[1], ((state.theta, dt),))
        ((old, size),) = state.past
        ahead = state.theta + dt / size * (state.theta - old)
        new = (4 * state.theta - old - 2 * dt * problem.energy_and_gradient(ahead)[1]) / 3
        return Nested(new, ((state.theta, dt),))


SCHEMES = {  # scheme, symbols, order, sizes
    "gradient descent": (GradientDescent(), {}, 5, (1, 2, 3)),
    "implicit Euler": (ImplicitEuler(), {}, 5, (1, 2)),
    "Runge-Kutta": (RungeKutta4(), {}, 5, (1, 2)),
    "heavy ball": (HeavyBall(), {"momentum": beta}, 3, (2,)),
    "heavy ball, 9/10": (HeavyBall(), {}, 5, (2,)),
    "Nesterov": (Nesterov(), {"momentum": beta}, 3, (2,)),
    "Nesterov, 9/10": (Nesterov(), {}, 5, (2,)),
    "restarted SAV": (Restart(SAV()), {"C": C}, 4, (1, 2)),
    "source SAV": (SourceSAV(), {"C": C}, 3, (2,)),
    "stabilised SAV": (Restart(SAV(stabilization=0.5)), {"C": C}, 3, (2,)),
    "SAV": (SAV(), {"C": C}, 3, (2,)),
    "ExpSAV": (ExpSAV(), {"scale": kappa}, 5, (2,)),
    "explicit ExpSAV": (ExpSAV(form="explicit"), {"scale": 1}, 3, (1, 2)),
    "section 2.2.4": (ExpSAV(form="section_2.2.4"), {}, 3, (2,)),
    "Theorem 2.2": (ExpSAV(form="theorem_2.2"), {}, 3, (2,)),
    "relaxed SAV": (Relaxed(SAV()), {}, 3, (2,)),
    "two steps": (TwoSteps(), {}, 4, (2,)),
    "two steps with a past": (Past(), {}, 4, (1, 2)),
}


@pytest.mark.parametrize("name", SCHEMES)
def test_the_routes_agree(name):
    scheme, symbols, order, sizes = SCHEMES[name]
    trees = modified_field(scheme, order, symbols=symbols)
    for n in sizes:
        jets = jet_field(scheme, order, symbols=symbols, variables=n)
        at = Evaluated(jets.algebra, n, 0)
        for k, (ours, theirs) in enumerate(zip(jets.field, trees.fields, strict=True)):
            assert at.algebra.is_zero(*(p - q for p, q in zip(ours, at.field(theirs), strict=False)))
            if len(ours) > n:  # the auxiliary variable moves alike
                (rate,) = trees.rates[k].values()
                assert at.algebra.is_zero(ours[n] - at.number(rate))


@pytest.mark.parametrize("scheme", [Adam(reading="norm"), AdaptiveSAV(beta2=0.9)], ids=str)
def test_the_routes_agree_in_numbers_where_steps_are_normalised(scheme):
    trees, jets = modified_field(scheme, 2), jet_field(scheme, 2)
    algebra, at = jets.algebra, Evaluated(jets.algebra, 2, 0)
    draw = random.Random(1)
    values = {
        s: sp.Float(sp.Rational(draw.randint(200, 900), 1000), 60)
        for s in (*algebra.variables[2:], *algebra.record.jets)
    }

    def number(c):
        c = sp.sympify(c)
        known = {s: values[s] for s in c.free_symbols if not s.name.startswith("(")}
        for symbol in c.free_symbols - set(known):
            u, v = ([p.as_expr().xreplace(values) for p in at.tree(t)] for t in invariant_trees(symbol))
            known[symbol] = sum(p * q for p, q in zip(u, v, strict=True))
        return c.xreplace(known)

    for ours, theirs in zip(jets.field, trees.fields, strict=True):
        for i in range(2):
            wanted = sum(number(c) * at.tree(tree)[i].as_expr().xreplace(values) for tree, c in theirs.items())
            assert abs(sp.N(algebra.written(ours[i]).xreplace(values) - wanted, 50)) < 1e-40


@pytest.mark.parametrize(("scheme", "n", "residuals"), [(IEQ(), 1, 2), (IEQ(), 2, 1), (IEQ(stabilization=0.5), 1, 1)])
def test_the_routes_agree_for_residuals(scheme, n, residuals):
    order = 2 if scheme.stabilization else 3
    trees = modified_field(Restart(scheme), order)
    jets = jet_field(Restart(scheme), order, variables=n, residuals=residuals)
    at = Evaluated(jets.algebra, n, residuals)
    for ours, theirs in zip(jets.field, trees.fields, strict=True):
        assert at.algebra.is_zero(*(p - q for p, q in zip(ours, at.field(theirs), strict=True)))


def test_gradients_agree():
    """Trees say for all energies whether a term is a gradient; its curl in three variables says the same."""
    for name in ("gradient descent", "implicit Euler", "Runge-Kutta", "ExpSAV", "Nesterov"):
        scheme, symbols, _, _ = SCHEMES[name]
        trees = modified_field(scheme, 3, symbols=symbols)
        jets = jet_field(scheme, 3, symbols=symbols, variables=3)
        whole = True
        for order, field in enumerate(jets.field, 1):
            whole = whole and jets.algebra.is_zero(*jets.algebra.curl(field[:3]))
            assert trees.is_gradient(order) == whole


def test_the_loss_is_the_potential():
    """Minus the gradient of the modified loss is the field."""
    trees = modified_field(GradientDescent(), 2)
    jets = jet_field(GradientDescent(), 2, variables=3)
    at = Evaluated(jets.algebra, 3, 0)
    dt = sp.Symbol("dt", positive=True)
    loss = sp.expand(trees.loss())
    for order, field in enumerate(jets.field):
        part = at.number(loss.coeff(dt, order))
        assert at.algebra.is_zero(*(p + q for p, q in zip(field, at.algebra.gradient(part), strict=True)))
    assert loss.has(ENERGY)
