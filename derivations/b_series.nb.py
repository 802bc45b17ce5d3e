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
# # B-series
#
# On the functions of `gradflow.backward_error.trees`, `gradflow.backward_error.bseries` and, for (8) and (9),
# `gradflow.backward_error.gradient_criterion`, with the equation numbers of the last two. A B-series has a number b(t) for each rooted tree t and is the formal series
#
# $$B(b)(\theta) = b(\emptyset)\,\theta + \sum_t \frac{\Delta t^{|t|}}{\sigma(t)}\, b(t)\, F(t)(\theta).$$
#
# Three things are shown: which series the schemes of the library are, that the algebra is what it claims to be for all
# series up to four nodes, and when a modified field is a gradient.

# %%
import random
from collections import Counter
from fractions import Fraction
from functools import cache
from itertools import permutations, product
from math import prod

import numpy as np
import sympy as sp

from gradflow import GradientDescent, HeavyBall, ImplicitEuler, Nesterov, RungeKutta4
from gradflow.backward_error import modified_field
from gradflow.backward_error.bseries import (
    BSeries,
    adjoint,
    applied,
    composed,
    exact_flow,
    flow,
    from_coefficients,
    identity_field,
    identity_map,
    inverse,
    lie_derivative,
    modified_equation,
    modifying_integrator,
    momentum,
    runge_kutta,
    scaled,
    substituted,
)
from gradflow.backward_error.expansion import ENERGY, invariant, leaf, node
from gradflow.backward_error.gradient_criterion import gradient_violation, is_gradient, loss
from gradflow.backward_error.symbolic_steps import DT
from gradflow.backward_error.trees import (
    free_symmetry,
    free_tree,
    free_trees,
    order,
    rootings,
    symmetry,
    tree,
    trees,
)
from gradflow.proofs import check
from gradflow.schemes.heavy_ball import MomentumState
from gradflow.schemes.state import FlowState
from gradflow.symbolic import configured, is_zero

beta = sp.Symbol("beta")
half, third, sixth = Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)
RK4 = [[0, 0, 0, 0], [half, 0, 0, 0], [0, half, 0, 0], [0, 0, 1, 0]], [sixth, third, third, sixth]
EULER = [[0]], [1]
C2_IS_A_THIRD = [[0, 0], [third, 0]], [-half, Fraction(3, 2)]


def up_to(n):
    """Return all trees with at most n nodes."""
    return [t for k in range(1, n + 1) for t in trees(k)]


# %% [markdown]
# ## Which series a scheme is
#
# A step that combines values of f linearly is a B-series. Its numbers can be read off one system of equations
# (Butcher): $y_t' = y_{t_1} \cdots y_{t_m}$ for $t = [t_1, \dots, t_m]$, one component for each tree. At $y = 0$ all
# derivatives of $f_t$ vanish but that along its branches, which is the product of the factorials of their
# multiplicities; so the component t of F(s) is $\sigma(t)$ for s = t and 0 for s other than t, and a step of length 1
# from 0 leaves b(t) in the component t. The numbers of a scheme are what one call of its `step` returns.


# %%
class Trees:
    """What a step asks of a problem, for the system of all trees with at most n nodes."""

    def __init__(self, n):
        self.trees = up_to(n)
        self.at = {t: k for k, t in enumerate(self.trees)}

    def energy_and_gradient(self, y):
        """Return no energy, and minus the velocity."""
        return None, -np.array([prod((y[self.at[branch]] for branch in t), start=sp.Integer(1)) for t in self.trees])

    def vector(self, series):
        """Return the numbers of a series."""
        return np.array([sp.sympify(series[t]) for t in self.trees], dtype=object)


@check("identity", "all trees with at most six nodes; every smooth vector field")
def one_step_schemes_are_these_series():
    """A step of GradientDescent is the series of explicit Euler, one of RungeKutta4 that of its tableau; their fields follow from (6)."""
    problem = Trees(6)
    start = np.array([sp.Integer(0)] * len(problem.trees), dtype=object)
    for scheme, tableau in ((GradientDescent(), EULER), (RungeKutta4(), RK4)):
        new = scheme.step(problem, FlowState(start), sp.Integer(1)).theta
        assert is_zero(new - problem.vector(runge_kutta(*tableau, order=6)))
    field = modified_equation(runge_kutta(*EULER, order=4)).coefficients
    expected = {"o": 1, "[o]": -half, "[o,o]": Fraction(1, 12), "[[o]]": third}
    expected |= {"[o,o,o]": 0, "[o,[o]]": Fraction(-1, 12), "[[o,o]]": Fraction(-1, 12), "[[[o]]]": Fraction(-1, 4)}
    assert field == expected
    field = modified_equation(runge_kutta(*RK4, order=5))
    assert all(field[t] == (t == ()) for t in up_to(4))
    assert any(field[t] != 0 for t in trees(5))


@check("identity", "all trees with at most four nodes; every smooth vector field and every beta other than 1")
def methods_with_momentum_have_an_underlying_one_step_method():
    """The momentum d^n = 1 - a^{-1} at theta^n is kept by a step of HeavyBall or Nesterov, and theta moves by a = `momentum`."""
    problem = Trees(4)
    start = np.array([sp.Integer(0)] * len(problem.trees), dtype=object)
    for scheme, ahead in ((HeavyBall, 0), (Nesterov, beta)):
        a, one = momentum(4, beta, ahead), identity_map(4)
        d = one - inverse(a)  # as a function of theta
        state = MomentumState(start, problem.vector(d))
        new = configured(scheme, momentum=beta).step(problem, state, sp.Integer(1))
        assert is_zero(new.theta - problem.vector(a))
        assert is_zero(new.d - problem.vector(composed(a, d)))
        assert is_zero(new.d - problem.vector(a - one))


@check(
    "identity",
    "the schemes that are B-series, up to five nodes; with momentum up to three, for every beta other than 1",
)
def two_routes_to_the_modified_equation_agree():
    """Substitution (6) in the series gives the field that `modified_field` finds by running the step and by Lie derivatives."""
    positive = sp.Symbol("beta", positive=True)
    symbols = {"momentum": positive}
    for scheme, series, given in (
        (GradientDescent(), runge_kutta(*EULER, order=5), None),
        (ImplicitEuler(), adjoint(runge_kutta(*EULER, order=5)), None),
        (RungeKutta4(), runge_kutta(*RK4, order=5), None),
        (HeavyBall(), momentum(3, positive), symbols),
        (Nesterov(), momentum(3, positive, positive), symbols),
    ):
        n = series.order
        found, field = modified_field(scheme, n, symbols=given), modified_equation(series)
        assert from_coefficients(found.coefficients, n) == field
        assert [found.is_gradient(k) for k in range(1, n + 1)] == [is_gradient(field, k) for k in range(1, n + 1)]

    def c2_is_a_third(problem, theta, dt):
        _, g = problem.energy_and_gradient(theta)
        _, ahead = problem.energy_and_gradient(theta - dt * g / 3)
        return theta + dt * g / 2 - 3 * dt * ahead / 2

    found, field = modified_field(c2_is_a_third, 4), modified_equation(runge_kutta(*C2_IS_A_THIRD, order=4))
    assert from_coefficients(found.coefficients, 4) == field
    # (9): E([o,o]) = (g, Hg) = -(f, f'f)
    assert is_zero(found.loss(3) - ENERGY + loss(field, 3)["[o,o]"] * DT**2 * invariant(leaf, node(leaf)))


# %% [markdown]
# ## The algebra
#
# For series whose numbers are independent symbols: what holds for them holds for all.


# %%
def generic(name, empty, n=4):
    """Return a series of symbols."""
    return BSeries({t: sp.Symbol(f"{name}_{k}") for k, t in enumerate(up_to(n))}, empty)


@check("identity", "all series, up to four nodes")
def maps_are_a_group():
    """(4) is associative, with a unit and the inverse of `inverse`; the adjoint reverses products and is its own inverse."""
    a, b, c, one = generic("a", 1), generic("b", 1), generic("c", 1), identity_map(4)
    assert composed(composed(a, b), c) == composed(a, composed(b, c))
    assert composed(a, one) == a == composed(one, a)
    assert composed(a, inverse(a)) == one == composed(inverse(a), a)
    assert adjoint(composed(a, b)) == composed(adjoint(b), adjoint(a))
    assert adjoint(adjoint(a)) == a


@check("identity", "all series, up to four nodes (up to three for the product of three)")
def substitution_is_what_it_says():
    """(5) is associative with the unit f, commutes with composition and with evaluating f, and turns dt f into its Lie series."""
    a, u, v, f = generic("a", 0), generic("u", 1), generic("v", 1), identity_field(4)
    assert substituted(f, u) == u
    assert substituted(a, f) == a
    assert substituted(a, composed(u, v)) == composed(substituted(a, u), substituted(a, v))
    assert composed(substituted(a, u), a) == substituted(a, applied(u))
    a, b, c = generic("a", 0, 3), generic("b", 0, 3), generic("c", 0, 3)
    assert substituted(substituted(a, b), c) == substituted(a, substituted(b, c))


@check("identity", "all series, up to four nodes")
def modified_equations_are_unique():
    """The flow of `modified_equation(a)` is a and that of a field has this field; `modifying_integrator` is its inverse under (5)."""
    a, field = generic("a", 1), generic("b", 0)
    assert flow(modified_equation(a)) == a
    assert modified_equation(flow(field)) == field
    total = term = field  # id + L + L^2/2 + ...: the flow by Taylor's formula
    for k in range(2, 5):
        term = Fraction(1, k) * lie_derivative(field, term)
        total = total + term
    assert flow(field) == identity_map(4) + total
    assert substituted(modifying_integrator(a), a) == exact_flow(4)
    assert substituted(modifying_integrator(a), modified_equation(a)) == identity_field(4)


# %% [markdown]
# ## When is a B-series a gradient?
#
# Let $f = -\nabla E$. **Theorem.** The terms with n nodes of a B-series form a gradient for every E, in every dimension,
# if and only if b(t) is the same for all rooted trees with n nodes of one free tree; equivalently (8),
# $b(u \circ v) = b(v \circ u)$ whenever $|u| + |v| = n$.
#
# The two conditions are equivalent: exchanging u and v moves the root along an edge, and any node can be reached.
#
# *Sufficient.* For a free tree $\tau$ let $E(\tau)$ be the contraction that has the k-th derivative of E in each node
# with k edges. By the product rule its gradient has one term for each node v, in which v gets the free slot: this is the
# elementary differential, with g in the place of f, of $\tau$ rooted at v. A rooted tree t arises for
# $\sigma(\tau)/\sigma(t)$ nodes (orbit and stabiliser). Hence
#
# $$\nabla\,\frac{E(\tau)}{\sigma(\tau)} = \sum_{t \text{ rooted in } \tau} \frac{1}{\sigma(t)}\, F_g(t), \qquad
#   F(t) = (-1)^{|t|} F_g(t),$$
#
# and (9) follows: with b constant on each class the series is $-\nabla \tilde E$.
#
# *Necessary.* The derivative of F(t) has one term for each node q, where the direction enters; the root p is where the
# result leaves. Collecting equal terms,
#
# $$\sum_{|t| = n} \frac{b(t)}{\sigma(t)}\, DF(t) = (-1)^n \sum_{(\tau, p, q)} \frac{b(\tau_p)}{\sigma(\tau, p, q)}\, M(\tau, p, q),$$
#
# the sum over free trees with n nodes and two marked nodes, which may coincide, up to isomorphism; $\tau_p$ is $\tau$
# rooted at p, and $\sigma(\tau, p, q)$ counts the symmetries that fix both. Since $M(\tau, p, q)^* = M(\tau, q, p)$, the
# matrix is symmetric if and only if $\sum (b(\tau_p) - b(\tau_q))\, M(\tau, p, q) / \sigma(\tau, p, q) = 0$. So it
# suffices that the $M(\tau, p, q)$ are linearly independent. Take one coordinate $x_e$ for each edge of $\tau$, two more
# coordinates y and z, one weight $c_v$ for each node, and
#
# $$E = \sum_v c_v \Bigl(\prod_{e \ni v} x_e\Bigr)\, y^{[v = p]} z^{[v = q]} .$$
#
# At the origin a derivative of E does not vanish only if its directions are exactly the factors of one of the terms.
# Consider the entry (y, z) of $M(\tau', p', q')$, a polynomial in c, and its monomial $\prod_v c_v$. It comes from
# labellings of the edges of $\tau'$ by coordinates in which each node v of $\tau$ is used for one node of $\tau'$. A
# coordinate $x_e$ then occurs at two nodes only, so that one edge of $\tau'$ has this label and joins the two nodes of
# e; y occurs only at p and z at q. So the labelling is an isomorphism of $(\tau', p', q')$ and $(\tau, p, q)$. The monomial has
# the coefficient $\sigma(\tau, p, q)$ if the two are isomorphic, and 0 otherwise: the $M$ are independent. $\square$
#
# The checks compute this. The derivatives of a polynomial E at the origin act on vectors by
# $D^m(c\,x_{i_1} \cdots x_{i_m})[u_1, \dots, u_m] = c \sum_\pi \prod_j u_{\pi(j), i_j}$.


# %%
class Jet:
    """The derivatives at the origin of a polynomial, given as monomials (tuples of coordinates) with their coefficients."""

    def __init__(self, monomials, size):
        self.size, self.by_degree = size, {}
        for monomial, c in monomials.items():
            self.by_degree.setdefault(len(monomial), []).append((monomial, c))
        self.known = {}

    def unit(self, i):
        """Return a unit vector, as coordinate -> value."""
        return {i: 1}

    def form(self, vectors):
        """Return D^m E[u_1, ..., u_m]."""
        total = 0
        for monomial, c in self.by_degree.get(len(vectors), ()):
            for arranged in permutations(vectors):
                term = prod((u.get(i, 0) for u, i in zip(arranged, monomial, strict=True)), start=c)
                total = total + term
        return total

    def gradient(self, vectors):
        """Return the vector D^(m+1) E[u_1, ..., u_m, .], without its zeros."""
        entries = {i: self.form([*vectors, self.unit(i)]) for i in range(self.size)}
        return {i: value for i, value in entries.items() if value != 0}

    def differential(self, t):
        """Return F_g(t), the elementary differential of the gradient."""
        if t not in self.known:
            self.known[t] = self.gradient([self.differential(branch) for branch in t])
        return self.known[t]

    def derivative(self, t, i):
        """Return the derivative of F_g(t) along the coordinate i."""
        if (t, i) not in self.known:
            branches = [self.differential(branch) for branch in t]
            total = Counter(self.gradient([*branches, self.unit(i)]))
            for k, branch in enumerate(t):
                inner = self.derivative(branch, i)
                if inner:
                    for j, value in self.gradient([*branches[:k], inner, *branches[k + 1 :]]).items():
                        total[j] = total[j] + value
            self.known[t, i] = {j: value for j, value in total.items() if value != 0}
        return self.known[t, i]


def random_energy(seed, degree, size=3):
    """Return all derivatives up to a degree of a random polynomial with integer coefficients."""
    rng = random.Random(seed)
    monomials = {}
    for m in range(1, degree + 1):
        for monomial in product(range(size), repeat=m):
            if list(monomial) == sorted(monomial):
                monomials[monomial] = rng.randint(-3, 3)
    return Jet(monomials, size)


@check("identity, run", "two to five nodes, random polynomial energies in three variables")
def curl_equations_have_as_many_solutions_as_free_trees():
    """The numbers b(t) for which the terms with n nodes have no curl form a space of dimension 1, 1, 2, 3 for n = 2, ..., 5, given by (8)."""
    assert [len(trees(n)) for n in range(2, 6)] == [1, 2, 4, 9]
    for n, dimension in zip(range(2, 6), (1, 1, 2, 3), strict=True):
        assert len(free_trees(n)) == dimension
        rows = []
        for seed in range(4):
            jet = random_energy(seed, n + 1)
            D = [[jet.derivative(t, i) for i in range(3)] for t in trees(n)]
            for i, j in ((0, 1), (0, 2), (1, 2)):
                curl = [columns[i].get(j, 0) - columns[j].get(i, 0) for columns in D]
                rows.append([sp.Rational(c, symmetry(t)) for c, t in zip(curl, trees(n), strict=True)])
        equations = sp.Matrix(rows)
        assert equations.shape[1] - equations.rank() == dimension
        for tau in free_trees(n):
            solution = sp.Matrix([int(free_tree(t) == tau) for t in trees(n)])
            assert (equations * solution).is_zero_matrix


def marked(n):
    """Yield each free tree with two marked nodes: rooted at the first, with the number of the second."""
    for t in trees(n):
        for second in range(n):
            yield t, second


def nodes(t):
    """Return the lower neighbour of each node, in the order root, first branch, ...; None for the root."""
    lower = []

    def visit(branches, below):
        lower.append(below)
        here = len(lower) - 1
        for branch in branches:
            visit(branch, here)

    visit(t, None)
    return lower


def rerooted(t, q):
    """Return a tree with its node q as the root."""
    lower = nodes(t)

    def grow(v, origin):
        around = [w for w in range(len(lower)) if w != origin and (lower[w] == v or lower[v] == w)]
        return tuple(grow(w, v) for w in around)

    return tree(grow(q, None))


@check("argument, identity", "two to five nodes; the argument above: any number")
def the_criterion_is_necessary():
    """For the energy of the proof, (y, z) less (z, y) of the derivative of the series has b(tau_p) - b(tau_q) at the product of all c_v."""
    for n in range(2, 6):
        ring, *c = sp.ring([f"c{v}" for v in range(n)], sp.QQ)
        for tau, q in marked(n):
            lower, y, z, terms = nodes(tau), n - 1, n, Counter()
            for v in range(n):
                factors = [e - 1 for e in range(1, n) if v in (e, lower[e])]  # an edge is numbered by its upper node
                terms[tuple(sorted(factors + [y] * (v == 0) + [z] * (v == q)))] += c[v]
            jet, found = Jet(terms, n + 1), {}
            for t in trees(n):
                entry = ring(jet.derivative(t, z).get(y, 0)) - ring(jet.derivative(t, y).get(z, 0))
                found[t] = Fraction(int(entry.coeff(prod(c))), symmetry(t))
            expected = Counter({tau: 1})
            expected[rerooted(tau, q)] -= 1
            assert {t: times for t, times in found.items() if times} == {t: k for t, k in expected.items() if k}


# %% [markdown]
# ## Modified energies


# %%
plane, *variables = sp.ring("x y", sp.QQ)


def elementary_differentials(E):
    """Return F_g and E(tau) of a polynomial E in the plane, as functions of a tree."""

    @cache
    def derivative(indices):
        return derivative(indices[:-1]).diff(variables[indices[-1]]) if indices else E

    def contracted(vectors, *free):
        total = plane.zero
        for indices in product(range(2), repeat=len(vectors)):
            factor = prod((u[i] for u, i in zip(vectors, indices, strict=True)), start=plane.one)
            total += derivative(tuple(sorted((*indices, *free)))) * factor
        return total

    @cache
    def differential(t):
        branches = [differential(branch) for branch in t]
        return [contracted(branches, i) for i in range(2)]

    return differential, lambda tau: contracted([differential(branch) for branch in tau])


def random_polynomial(seed, degree):
    """Return a polynomial in the plane with integer coefficients."""
    rng, (x, y) = random.Random(seed), variables
    return sum(rng.randint(-3, 3) * x**i * y**j for i in range(degree + 1) for j in range(degree + 1 - i))


@check("identity, run", "free trees with up to five nodes; a random polynomial in two variables")
def gradient_of_a_free_tree():
    """The gradient of E(tau) is the sum of F_g over its rootings, each sigma(tau)/sigma(t) times: (8) is sufficient."""
    differential, scalar = elementary_differentials(random_polynomial(1, 5))
    for tau in [tau for n in range(1, 6) for tau in free_trees(n)]:
        assert sum(rootings(tau).values()) == order(tau)
        assert all(times * symmetry(t) == free_symmetry(tau) for t, times in rootings(tau).items())
        for i, x in enumerate(variables):
            assert scalar(tau).diff(x) == sum(times * differential(t)[i] for t, times in rootings(tau).items())


@check("identity, run", "all fields that depend on free trees, up to five nodes; a random polynomial in two variables")
def the_energy_of_loss():
    """`loss` returns the energy of which the field is minus the gradient, (9); both are linear in the numbers of the free trees."""
    differential, scalar = elementary_differentials(random_polynomial(2, 5))
    for tau in [tau for n in range(1, 6) for tau in free_trees(n)]:
        field = BSeries({t: int(free_tree(t) == tau) for t in up_to(5)})
        (potential,) = [c * scalar(tree(name)) for name, c in loss(field).items() if c]
        assert scalar(tau) != 0
        for i, x in enumerate(variables):
            velocity = sum((-1) ** order(t) * c * differential(tree(t))[i] for t, c in field.coefficients.items())
            assert velocity == -potential.diff(x)


@check("counterexample", "E = x^2/2 + y^2 + x^2 y/2")
def explicit_euler_has_no_modified_energy_of_second_order():
    """The dt^2 term of the modified field of explicit Euler has the curl -x(x^2 - 2y^2 + 4y + 2)/12, which is -5/12 at (1, 1)."""
    x, y = variables
    differential, _ = elementary_differentials(x**2 / 2 + y**2 + x**2 * y / 2)
    field = modified_equation(runge_kutta(*EULER, order=3)).coefficients
    u, v = (sum(-field[t] * differential(tree(t))[i] for t in ("[o,o]", "[[o]]")) for i in range(2))
    curl = v.diff(x) - u.diff(y)
    assert curl == -x * (x**2 - 2 * y**2 + 4 * y + 2) / 12
    assert curl(1, 1) == sp.QQ(-5, 12)
    assert gradient_violation(field) == ("[o,o]", "[[o]]")
    # the first correction is -dt/2 H g, minus the gradient of dt/4 (g, g)
    assert loss(field, order=2) == {"o": 1, "[o]": Fraction(1, 4)}


@check("identity", "all trees with three nodes, every c2 other than 0")
def two_stages_of_second_order():
    """Among the explicit methods of order 2 with two stages, only c2 = 1/3 has a modified energy of second order; none is of order 3."""
    c2 = sp.Symbol("c2")
    field = modified_equation(runge_kutta([[0, 0], [c2, 0]], [1 - 1 / (2 * c2), 1 / (2 * c2)], 4))
    assert field["[o]"] == 0
    assert field["[[o]]"] == Fraction(-1, 6)
    assert is_zero(field["[o,o]"] - field["[[o]]"] - (c2 - sp.Rational(1, 3)) / 2)
    at_a_third = modified_equation(runge_kutta(*C2_IS_A_THIRD, order=4))
    assert loss(at_a_third, order=3) == {"o": 1, "[o]": 0, "[o,o]": Fraction(-1, 12)}
    assert gradient_violation(at_a_third) == ("[o,o,o]", "[[o,o]]")


@check("identity", "all trees with three nodes, every momentum other than 1")
def modified_energies_with_momentum():
    """First order: (1 + beta)/(4 (1 - beta)) for the heavy ball, (1 - beta + 2 beta^2)/(4 (1 - beta)) for Nesterov. Second: beta = 1/7 only."""
    for ahead, factor in ((0, 1 + beta), (beta, 1 - beta + 2 * beta**2)):
        a = momentum(3, beta, ahead)
        field = modified_equation(scaled(a, 1 - beta))  # in the time of the limit flow
        assert field["o"] == 1
        assert is_zero(loss(field, order=2)["[o]"] - factor / (4 * (1 - beta)))
        gap = field["[o,o]"] - field["[[o]]"]
        assert is_zero(gap + sp.Rational(1, 6) if ahead == 0 else gap - (7 * beta - 1) / (6 * (1 - beta)))
    seventh = Fraction(1, 7)
    field = modified_equation(momentum(4, seventh, seventh))
    assert is_gradient(field, order=3)
    assert gradient_violation(field) == ("[o,o,o]", "[[o,o]]")
