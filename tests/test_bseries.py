"""B-series: the group of maps, substitution, modified equations and gradients; the package kauri as an oracle."""

import random
import subprocess
import sys
from fractions import Fraction as Q
from itertools import pairwise

import pytest
import sympy as sp
from kauri import RK, Map, Tree

from gradflow.backward_error import trees as listing
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
    order_of,
    runge_kutta,
    scaled,
    substituted,
)
from gradflow.backward_error.gradient_criterion import gradient_violation, is_gradient, loss
from gradflow.backward_error.trees import (
    butcher_product,
    density,
    free_symmetry,
    free_tree,
    free_trees,
    order,
    symmetry,
    text,
    tree,
    trees,
)


@pytest.fixture(autouse=True)
def _nothing_is_known():
    """Each test computes its trees itself, whatever others have computed before."""
    for value in vars(listing).values():
        if hasattr(value, "cache_clear"):
            value.cache_clear()


N = 6
half, third, sixth = Q(1, 2), Q(1, 3), Q(1, 6)
root3, root2 = sp.sqrt(3), sp.sqrt(2)
beta = sp.Symbol("beta")
TABLEAUX = {
    "explicit Euler": ([[0]], [1], 1),
    "implicit Euler": ([[1]], [1], 1),
    "implicit midpoint": ([[half]], [1], 2),
    "trapezoidal": ([[0, 0], [half, half]], [half, half], 2),
    "explicit midpoint": ([[0, 0], [half, 0]], [0, 1], 2),
    "Heun": ([[0, 0], [1, 0]], [half, half], 2),
    "RK2, c2 = 1/3": ([[0, 0], [third, 0]], [-half, Q(3, 2)], 2),
    "RK4": ([[0, 0, 0, 0], [half, 0, 0, 0], [0, half, 0, 0], [0, 0, 1, 0]], [sixth, third, third, sixth], 4),
    "SSPRK3": ([[0, 0, 0], [1, 0, 0], [Q(1, 4), Q(1, 4), 0]], [sixth, sixth, Q(2, 3)], 3),
    "SDIRK2": ([[1 - root2 / 2, 0], [root2 / 2, 1 - root2 / 2]], [root2 / 2, 1 - root2 / 2], 2),
    "Gauss 2": ([[Q(1, 4), Q(1, 4) - root3 / 6], [Q(1, 4) + root3 / 6, Q(1, 4)]], [half, half], 4),
    "Radau IIA": ([[Q(5, 12), Q(-1, 12)], [Q(3, 4), Q(1, 4)]], [Q(3, 4), Q(1, 4)], 3),
    "no method": ([[2, -1], [third, Q(5, 7)]], [Q(2, 9), 3], 0),
}
SYMMETRIC = {"implicit midpoint", "trapezoidal", "Gauss 2"}
every_method = pytest.mark.parametrize("name", TABLEAUX)


def method(name, largest=N):
    A, weights, _ = TABLEAUX[name]
    return runge_kutta(A, weights, largest)


def random_series(seed, empty, largest=5):
    rng = random.Random(seed)
    known = [t for n in range(1, largest + 1) for t in trees(n)]
    return BSeries({t: Q(rng.randint(-9, 9), rng.randint(1, 5)) for t in known}, empty)


three_maps = pytest.mark.parametrize(
    ("a", "b", "c"), [[random_series(3 * k + j, 1) for j in range(3)] for k in range(5)]
)


# the group of maps


@three_maps
def test_maps_are_a_group(a, b, c):
    one = identity_map(5)
    assert composed(composed(a, b), c) == composed(a, composed(b, c))
    assert composed(one, a) == a == composed(a, one)
    assert composed(a, inverse(a)) == one == composed(inverse(a), a)
    assert inverse(composed(a, b)) == composed(inverse(b), inverse(a))


@three_maps
def test_composition_is_linear_in_the_second(a, b, c):
    assert composed(a, b + c) == composed(a, b) + composed(a, c)
    assert composed(a, Q(2, 3) * b - c) == Q(2, 3) * composed(a, b) - composed(a, c)
    assert composed(a, identity_field(5)) == applied(a)
    assert composed(composed(a, b), identity_field(5)) == composed(a, applied(b))


@three_maps
def test_a_scaled_step_is_an_automorphism(a, b, c):
    r, s = Q(2, 3), Q(-5, 4)
    assert scaled(composed(a, b), r) == composed(scaled(a, r), scaled(b, r))
    assert scaled(scaled(c, r), s) == scaled(c, r * s)
    assert adjoint(composed(a, b)) == composed(adjoint(b), adjoint(a))
    assert adjoint(adjoint(c)) == c


@pytest.mark.parametrize(("r", "s"), [(half, half), (Q(1), Q(1)), (Q(1, 3), Q(-5, 7)), (Q(2), Q(-2)), (Q(0), Q(4))])
def test_the_flow_is_a_group_in_time(r, s):
    e = exact_flow(7)
    assert composed(scaled(e, r), scaled(e, s)) == scaled(e, r + s)
    assert composed(scaled(e, s), scaled(e, r)) == scaled(e, r + s)
    assert adjoint(e) == e
    assert inverse(e) == scaled(e, -1)


@pytest.mark.parametrize(("first", "second"), list(pairwise([*TABLEAUX, *list(TABLEAUX)[:1]])))
def test_two_steps_are_those_of_the_tableau_of_both_stages(first, second):
    """With step fractions: the stages of the second method start from the end of the first."""
    (A, v, _), (B, w, _), r, s = TABLEAUX[first], TABLEAUX[second], Q(2, 5), Q(-3, 4)
    rows = [[r * c for c in row] + [0] * len(w) for row in A]
    rows += [[r * c for c in v] + [s * c for c in row] for row in B]
    both = runge_kutta(rows, [r * c for c in v] + [s * c for c in w], 5)
    assert composed(scaled(method(first, 5), r), scaled(method(second, 5), s)) == both


@every_method
def test_the_adjoint_is_that_of_the_tableau(name):
    A, w, _ = TABLEAUX[name]
    stages = range(len(w))
    reflected = runge_kutta([[w[j] - A[i][j] for j in stages] for i in stages], w, N)
    assert adjoint(method(name)) == reflected


def test_the_adjoint_of_explicit_euler_is_implicit_euler():
    assert adjoint(method("explicit Euler")) == method("implicit Euler")
    assert adjoint(method("implicit Euler")) == method("explicit Euler")
    one, other = (scaled(method(name), half) for name in ("explicit Euler", "implicit Euler"))
    assert composed(other, one) == method("implicit midpoint")
    assert composed(one, other) == method("trapezoidal")


# what a method is


@every_method
def test_order_of_a_method(name):
    assert order_of(method(name)) == TABLEAUX[name][2]


def test_order_is_at_least_that_of_the_series():
    assert order_of(exact_flow(7)) == 7
    assert order_of(method("RK4", 3)) == 3


@pytest.mark.parametrize("n", range(1, 8))
def test_explicit_and_implicit_euler(n):
    for t in trees(n):
        assert method("explicit Euler", n)[t] == (n == 1)
        assert method("implicit Euler", n)[t] == 1
        assert exact_flow(n)[t] == Q(1, density(t))


@every_method
def test_on_linear_fields_a_method_is_its_stability_function(name):
    """Only chains are left: R(z) = 1 + z w^T (I - z A)^{-1} 1, and the modified field is log R."""
    A, w, _ = TABLEAUX[name]
    r, stages = [sp.Integer(1)], sp.ones(len(w), 1)
    for _ in range(N):
        r.append(sp.expand((sp.Matrix(w).T * stages)[0]))
        stages = (sp.Matrix(A) * stages).expand()
    logarithm = [0]
    for n in range(1, N + 1):  # n r_n = sum_k k l_k r_{n-k}, from R' = R (log R)'
        logarithm.append(sp.expand(r[n] - sum(sp.Rational(k, n) * logarithm[k] * r[n - k] for k in range(1, n))))
    ours, field = method(name), modified_equation(method(name))
    for n in range(1, N + 1):
        chain = "[" * (n - 1) + "o" + "]" * (n - 1)
        assert sp.expand(r[n] - ours[chain]) == 0
        assert sp.expand(logarithm[n] - field[chain]) == 0


# substitution


three_fields = pytest.mark.parametrize(
    ("a", "b", "c"), [[random_series(90 + 3 * k + j, 0) for j in range(3)] for k in range(5)]
)


@three_fields
def test_substitution_is_associative_with_the_field_f_as_its_unit(a, b, c):
    f = identity_field(5)
    assert substituted(f, a) == a == substituted(a, f)
    assert substituted(substituted(a, b), c) == substituted(a, substituted(b, c))
    assert substituted(a, Q(2, 3) * b - c) == Q(2, 3) * substituted(a, b) - substituted(a, c)


@three_fields
def test_substitution_respects_composition(a, b, c):
    """What holds for all fields holds for the field a: products, inverses, adjoints, evaluation of f."""
    u, v = (random_series(seed, 1) for seed in (b["o"].numerator + 500, c["o"].numerator + 600))
    assert substituted(a, composed(u, v)) == composed(substituted(a, u), substituted(a, v))
    assert substituted(a, composed(u, b)) == composed(substituted(a, u), substituted(a, b))
    assert substituted(a, inverse(u)) == inverse(substituted(a, u))
    assert composed(substituted(a, u), a) == substituted(a, applied(u))
    assert substituted(a, lie_derivative(b, c)) == lie_derivative(substituted(a, b), substituted(a, c))


@three_fields
def test_a_multiple_of_f_is_a_multiple_of_dt(a, b, c):
    for r, series in ((Q(3, 2), a), (Q(-1), b), (Q(0), random_series(7, 1))):
        assert substituted(r * identity_field(5), series) == scaled(series, r)
    assert substituted(scaled(c, half), a) == scaled(substituted(c, scaled(a, 1)), half)


@three_fields
def test_the_flow_is_the_exponential_of_the_lie_derivative(a, b, c):
    """id + a + L_a a / 2 + L_a L_a a / 6 + ...; the flow of -a is the inverse."""
    for field in (a, b, c):
        term, total = field, identity_map(5) + field
        for k in range(2, 6):
            term = Q(1, k) * lie_derivative(field, term)
            total = total + term
        assert flow(field) == total
        assert lie_derivative(field, identity_map(5)) == field
        assert flow(Q(-1) * field) == inverse(flow(field))
        assert composed(flow(Q(1, 3) * field), flow(Q(2, 3) * field)) == flow(field)
        assert modified_equation(flow(field)) == field


@three_fields
def test_the_lie_derivative_is_that_of_a_composition(a, b, c):
    """The product rule, and d/ds of b after the flow of s a at s = 0, from five values of s."""
    assert lie_derivative(a, b + c) == lie_derivative(a, b) + lie_derivative(a, c)
    s = sp.Symbol("s")
    along = composed(flow(s * a), b)
    for t, value in lie_derivative(a, b).values.items():
        assert sp.diff(sp.sympify(along[t]), s).subs(s, 0) == value
    u = random_series(11, 1)
    bracket = lie_derivative(a, lie_derivative(b, u)) - lie_derivative(b, lie_derivative(a, u))
    assert bracket == lie_derivative(lie_derivative(a, b) - lie_derivative(b, a), u)


# modified equations


@every_method
def test_the_flow_of_the_modified_equation_is_the_method(name):
    field = modified_equation(method(name))
    assert field.empty == 0
    assert flow(field) == method(name)
    assert substituted(field, exact_flow(N)) == method(name)


@every_method
def test_the_method_applied_to_the_modifying_integrator_is_the_flow(name):
    field = modifying_integrator(method(name))
    assert field.empty == 0
    assert substituted(field, method(name)) == exact_flow(N)
    # the two are inverse to each other under substitution
    assert substituted(field, modified_equation(method(name))) == identity_field(N)
    assert substituted(modified_equation(method(name)), field) == identity_field(N)


@every_method
def test_the_first_term_of_the_modified_equation_is_the_local_error(name):
    p = TABLEAUX[name][2]
    field = modified_equation(method(name))
    for n in range(1, p + 2):
        for t in trees(n):
            assert field[t] - int(n == 1) == method(name)[t] - Q(1, density(t))


@every_method
def test_the_adjoint_has_the_modified_equation_of_minus_dt(name):
    field, other = modified_equation(method(name)), modified_equation(adjoint(method(name)))
    assert all(other[t] == (-1) ** (order(t) + 1) * b for t, b in field.values.items())


@every_method
def test_symmetric_methods_have_trees_of_odd_order_only(name):
    even = [b for t, b in modified_equation(method(name)).values.items() if order(t) % 2 == 0]
    assert (adjoint(method(name)) == method(name)) == (not any(even)) == (name in SYMMETRIC)
    if name in SYMMETRIC:
        assert order_of(method(name)) % 2 == 0


def test_conjugate_methods():
    """The trapezoidal rule is the implicit midpoint rule between half a step of explicit Euler and the same step back."""
    half_step = scaled(method("explicit Euler"), half)
    assert composed(composed(half_step, method("implicit midpoint")), inverse(half_step)) == method("trapezoidal")


COEFFICIENTS = {  # Hairer, Lubich & Wanner, example IX.7.1 and section IX.9, and the audit of the source document
    "explicit Euler": [1, -half, Q(1, 12), third, 0, Q(-1, 12), Q(-1, 12), Q(-1, 4)],
    "implicit Euler": [1, half, Q(1, 12), third, 0, Q(1, 12), Q(1, 12), Q(1, 4)],
    "explicit midpoint": [1, 0, Q(-1, 24), -sixth],
    "Heun": [1, 0, Q(1, 12), -sixth],
    "RK2, c2 = 1/3": [1, 0, Q(-1, 12), -sixth],
    "implicit midpoint": [1, 0, Q(-1, 24), Q(1, 12), 0, 0, 0, 0],
    "RK4": [1, 0, 0, 0, 0, 0, 0, 0],
}


@pytest.mark.parametrize("name", COEFFICIENTS)
def test_known_modified_equations(name):
    assert list(modified_equation(method(name)).coefficients.values())[: len(COEFFICIENTS[name])] == COEFFICIENTS[name]


def test_the_modified_equation_of_explicit_euler_on_chains_is_the_logarithm():
    field = modified_equation(method("explicit Euler", 9))
    for n in range(1, 9):
        assert field["[" * n + "o" + "]" * n] == Q((-1) ** n, n + 1)


# gradients


def test_gradients_are_lost_where_they_should_be():
    expected = {
        "explicit Euler": 3,
        "implicit Euler": 3,
        "implicit midpoint": 3,
        "trapezoidal": 3,
        "explicit midpoint": 3,
    }
    expected |= {"Heun": 3, "RK2, c2 = 1/3": 4, "RK4": 5, "Gauss 2": 5, "SSPRK3": 4, "Radau IIA": 4, "SDIRK2": 3}
    for name, n in expected.items():
        field = modified_equation(method(name))
        assert is_gradient(field, n - 1)
        assert not is_gradient(field, n)
        assert is_gradient(field.coefficients, n - 1)
        u, v = gradient_violation(field)
        assert order(u) == n
        assert field[u] != field[v]
        assert free_tree(u) == free_tree(v)


@pytest.mark.parametrize("seed", range(5))
def test_a_series_is_a_gradient_iff_it_depends_on_free_trees(seed):
    rng = random.Random(seed)
    by_class = {t: Q(rng.randint(-9, 9), rng.randint(1, 5)) for n in range(1, N + 1) for t in free_trees(n)}
    values = {t: by_class[free_tree(t)] for n in range(1, N + 1) for t in trees(n)}
    field = BSeries(values)
    assert is_gradient(field)
    assert gradient_violation(field.coefficients) is None
    energy = loss(field)
    assert [tree(t) for t in energy] == list(by_class)
    for t, c in energy.items():
        assert c * free_symmetry(t) == (-1) ** (order(t) + 1) * by_class[tree(t)]
    for t in values:
        if len({s for s in trees(order(t)) if free_tree(s) == free_tree(t)}) > 1:
            changed = BSeries({**values, t: values[t] + 1})
            assert not is_gradient(changed)
            pair = [tree(s) for s in gradient_violation(changed)]
            assert t in pair
            assert any(
                [butcher_product(u, v), butcher_product(v, u)] == pair
                for k in range(1, order(t))
                for u in trees(k)
                for v in trees(order(t) - k)
            )
            assert is_gradient(changed, order(t) - 1)
            with pytest.raises(ValueError, match="there is no modified energy up to order"):
                loss(changed)


@pytest.mark.parametrize("seed", range(12))
def test_one_number_is_a_gradient_iff_its_tree_is_alone_in_its_class(seed):
    """For products of large trees: of 4 nodes and more, with several branches each."""
    rng = random.Random(seed)
    u, v = (rng.choice([t for n in (4, 5) for t in trees(n) if len(t) >= least]) for least in (3, rng.choice((1, 3))))
    t, other = butcher_product(u, v), butcher_product(v, u)
    found = gradient_violation({text(t): 1}, order(t))
    assert (found is None) == all(free_tree(s) != free_tree(t) or s == t for s in trees(order(t)))
    if other != t:
        assert text(t) in found
        pair = BSeries({s: Q(s == t) for n in range(1, order(t) + 1) for s in trees(n)})
        assert not is_gradient(pair)
        assert is_gradient(pair, order(t) - 1)


@pytest.mark.parametrize(("u", "v"), [("[o,o,o]", "[o,o,[o]]"), ("[o,o,o]", "[o,o,o,o]"), ("[[o],[o],o]", "[o,o,o]")])
def test_a_product_of_two_bushes_is_compared_with_the_exchanged_one(u, v):
    """Two trees of a class whose other trees agree: only one product of two differs."""
    t, other = butcher_product(tree(u), tree(v)), butcher_product(tree(v), tree(u))
    assert t != other
    values = {s: Q(free_tree(s) == free_tree(t)) for n in range(1, order(t) + 1) for s in trees(n)}
    assert gradient_violation(BSeries(values)) is None
    # the edge between u and v is the only one between two parts of the class: both sides are changed alike
    reached, todo = {t}, [t]
    while todo:
        s = todo.pop()
        for a, b in products(s):
            if {butcher_product(a, b), butcher_product(b, a)} != {t, other}:
                near = butcher_product(b, a)
                if near not in reached:
                    reached.add(near)
                    todo.append(near)
    assert other not in reached
    side = {s: c + (s in reached) for s, c in values.items()}
    assert set(gradient_violation(BSeries(side))) == {text(t), text(other)}


def products(t):
    """Return the pairs u, v of which a tree is the Butcher product."""
    return [(tuple(b for j, b in enumerate(t) if j != k), v) for k, v in enumerate(t)]


def test_the_gradient_criterion_is_kept_by_sums_and_steps():
    """Lie derivatives do not keep it, composition does not: the gradients are no algebra."""
    a, b = (BSeries({t: Q(k) ** order(free_tree(t)) for n in range(1, 6) for t in trees(n)}) for k in (2, 3))
    assert is_gradient(a + b)
    assert is_gradient(scaled(a, Q(-2, 3)))
    assert is_gradient(method("explicit Euler"))  # theta - dt grad E is the gradient of |theta|^2/2 - dt E
    assert not is_gradient(composed(method("explicit Euler"), method("explicit Euler")))


def test_modified_energies():
    assert loss(modified_equation(method("explicit Euler", 2))) == {"o": 1, "[o]": Q(1, 4)}
    assert loss(modified_equation(method("implicit Euler", 2))) == {"o": 1, "[o]": Q(-1, 4)}
    assert loss(modified_equation(method("RK2, c2 = 1/3", 3))) == {"o": 1, "[o]": 0, "[o,o]": Q(-1, 12)}
    assert loss({"o": 1}, order=4) == {"o": 1, "[o]": 0, "[o,o]": 0, "[o,o,o]": 0, "[o,[o]]": 0}


def test_the_family_of_second_order_methods_with_two_stages():
    """The first correction is a gradient only for c2 = 1/3, and vanishes for no c2."""
    c2 = sp.Symbol("c2")
    family = runge_kutta([[0, 0], [c2, 0]], [1 - 1 / (2 * c2), 1 / (2 * c2)], 3)
    assert order_of(family) == 2
    field = modified_equation(family)
    assert sp.solve(sp.sympify(field["[o,o]"] - field["[[o]]"]), c2) == [sp.Rational(1, 3)]
    assert field["[[o]]"] == Q(-1, 6)
    assert gradient_violation(field) == ("[o,o]", "[[o]]")


# momentum


@pytest.mark.parametrize("ahead", [0, beta, Q(1, 3)])
def test_the_underlying_one_step_method_satisfies_the_recursion(ahead):
    """a - 1 = beta (1 - a^{-1}) + dt f(1 + kappa (1 - a^{-1})), so that two steps of it are a step of the method."""
    a, one = momentum(5, beta, ahead), identity_map(5)
    before = one - inverse(a)
    right = beta * before + applied(one + ahead * before)
    assert all(sp.cancel(sp.sympify(a[t] - one[t] - right[t])) == 0 for t in a.values)


@pytest.mark.parametrize("value", [Q(0), Q(9, 10), Q(1, 7), Q(-1, 2), sp.sqrt(2) / 2])
def test_symbols_are_replaced_by_numbers(value):
    for kappa in (0, beta):
        symbolic, number = momentum(4, beta, kappa), momentum(4, value, 0 if kappa == 0 else value)
        for t in number.values:
            assert sp.simplify(sp.sympify(symbolic[t]).subs(beta, value) - number[t]) == 0


def test_without_momentum_it_is_explicit_euler():
    assert momentum(N, 0) == method("explicit Euler")
    assert momentum(N, 0, 0) == momentum(N, Q(0), Q(0))


def test_modified_equations_of_momentum():
    """The coefficients of the audit, B.6; time is dt / (1 - beta) a step."""
    ball = modified_equation(scaled(momentum(3, beta), 1 - beta)).coefficients
    nesterov = modified_equation(scaled(momentum(3, beta, beta), 1 - beta)).coefficients
    expected_ball = {
        "o": 1,
        "[o]": -(1 + beta) / (2 * (1 - beta)),
        "[o,o]": (1 + 10 * beta + beta**2) / (12 * (1 - beta) ** 2),
        "[[o]]": (1 + 4 * beta + beta**2) / (3 * (1 - beta) ** 2),
    }
    expected_nesterov = {
        "o": 1,
        "[o]": -(1 - beta + 2 * beta**2) / (2 * (1 - beta)),
        "[o,o]": (1 + 4 * beta + 7 * beta**2 - 6 * beta**3 + 6 * beta**4) / (12 * (1 - beta) ** 2),
        "[[o]]": (1 - 2 * beta + 7 * beta**2 - 3 * beta**3 + 3 * beta**4) / (3 * (1 - beta) ** 2),
    }
    for found, expected in ((ball, expected_ball), (nesterov, expected_nesterov)):
        assert found.keys() == expected.keys()
        assert all(sp.cancel(sp.sympify(found[t] - expected[t])) == 0 for t in found)


def test_nesterov_has_a_modified_energy_of_second_order_for_one_momentum():
    field = modified_equation(momentum(4, beta, beta))
    assert gradient_violation(field) == ("[o,o]", "[[o]]")
    assert sp.solve(field["[o,o]"] - field["[[o]]"], beta) == [sp.Rational(1, 7)]
    assert is_gradient(modified_equation(momentum(4, Q(1, 7), Q(1, 7))), order=3)
    assert not is_gradient(modified_equation(momentum(4, Q(1, 7), Q(1, 7))), order=4)


@pytest.mark.parametrize("value", [Q(0), Q(1, 2), Q(9, 10), Q(99, 100), Q(-1, 3)])
def test_heavy_ball_has_no_modified_energy_of_second_order(value):
    field = modified_equation(momentum(3, value))
    assert gradient_violation(field) == ("[o,o]", "[[o]]")
    normal = modified_equation(scaled(momentum(3, value), 1 - value))
    assert normal["[[o]]"] - normal["[o,o]"] == Q(1, 6)  # whatever beta is


# arithmetic and doors


def test_the_two_conventions():
    series = random_series(3, 0)
    assert series.order == 5
    assert list(series.coefficients) == [text(t) for n in range(1, 6) for t in trees(n)]
    for t, b in series.values.items():
        assert series.coefficients[text(t)] * symmetry(t) == b == series[t] == series[text(t)]
    assert from_coefficients(series.coefficients) == series
    assert from_coefficients(dict(reversed(series.coefficients.items()))) == series
    assert from_coefficients({"[ o, [o] ]": 2}, 5)["[[o],o]"] == 2
    assert from_coefficients({"[o,o]": 1}, 2) == from_coefficients({}, 2)  # larger trees are left out
    assert from_coefficients({"[o,o]": 1}, 2, empty=1) == identity_map(2)
    assert from_coefficients({}).order == 1
    for one in (series, identity_map(2), applied(exact_flow(2)), half * exact_flow(2)):
        assert all(isinstance(b, Q) for b in (one.empty, *one.values.values()))
    assert (beta * exact_flow(2)).empty == beta
    assert identity_field(3).coefficients == {"o": 1, "[o]": 0, "[o,o]": 0, "[[o]]": 0}


def test_the_smaller_order_is_known_of_two_series():
    a, b, f = method("RK4", 3), method("Heun", 5), modified_equation(method("Heun", 4))
    for result in (composed(a, b), composed(b, a), substituted(f, a), lie_derivative(f, a), a + b, b - a):
        assert result.order == 3
    assert composed(b, a) == composed(method("Heun", 3), a)


def test_numbers_of_sympy_become_fractions():
    x = sp.Symbol("x")
    series = from_coefficients({"o": sp.Rational(2, 3), "[o]": (x + 1) ** 2 - x**2 - 2 * x, "[o,o]": root2**2})
    assert list(series.values.values()) == [Q(2, 3), 1, 4, 0]
    assert all(isinstance(b, Q) for b in series.values.values())
    assert from_coefficients({"o": (x**2 - 1) / (x - 1)}) == from_coefficients({"o": x + 1})
    assert x * identity_field(2) - x * identity_field(2) == from_coefficients({}, 2)
    assert scaled(scaled(exact_flow(4), x), 1 / x) == exact_flow(4)
    assert scaled(scaled(exact_flow(4), root2 - 1), root2 + 1) == exact_flow(4)


def test_exponentials_are_generators():
    c = sp.exp(sp.Symbol("c"))
    method = runge_kutta([[0, 0], [c, 0]], [1 - 1 / (2 * c), 1 / (2 * c)], 3)
    assert order_of(method) == 2
    assert flow(modified_equation(method)) == method


INEXACT = [0.5, float("nan"), True, None, "1", 1j, sp.Float(0.5), sp.Symbol("x") * 0.5, sp.nan, sp.oo, sp.zoo]
INEXACT += [sp.Symbol("A", commutative=False)]


@pytest.mark.parametrize("value", INEXACT, ids=repr)
def test_what_is_no_exact_number_is_refused(value):
    field = identity_field(2)
    for attempt in (
        lambda: BSeries({(): value}),
        lambda: BSeries({(): 1}, value),
        lambda: from_coefficients({"o": value}),
        lambda: runge_kutta([[value]], [1], 2),
        lambda: runge_kutta([[1]], [value], 2),
        lambda: scaled(field, value),
        lambda: value * field,
        lambda: momentum(2, value),
        lambda: momentum(2, 0, value),
        lambda: is_gradient({"o": value}),
        lambda: loss({"o": 1, "[o]": value}),
    ):
        with pytest.raises(ValueError, match=r"must be an (int, a Fraction or a SymPy expression|exact number), got"):
            attempt()


def test_wrong_arguments_are_refused():
    e, f = exact_flow(3), identity_field(3)
    no_map, no_field, no_series = "must be a map, with 1", "must be a vector field, with 0", "must be a BSeries"
    for attempt, message in (
        (lambda: composed(f, e), f"first {no_map}"),
        (lambda: composed(1, e), f"first {no_series}"),
        (lambda: composed(e, {}), f"second {no_series}"),
        (lambda: inverse(f), f"series {no_map}"),
        (lambda: adjoint(f), f"series {no_map}"),
        (lambda: applied(f), f"series {no_map}"),
        (lambda: scaled(2, 1), f"series {no_series}"),
        (lambda: substituted(e, e), f"field {no_field}"),
        (lambda: substituted(f, 1), f"series {no_series}"),
        (lambda: flow(e), f"field {no_field}"),
        (lambda: flow(3), f"field {no_series}"),
        (lambda: substituted(f.coefficients, e), f"field {no_series}"),
        (lambda: lie_derivative(f, 1), f"series {no_series}"),
        (lambda: lie_derivative(e, f), f"field {no_field}"),
        (lambda: modified_equation(f), f"method {no_map}"),
        (lambda: modifying_integrator(f), f"method {no_map}"),
        (lambda: modifying_integrator(identity_map(2)), "method must have a number other than 0 for the leaf"),
        (lambda: order_of(f), f"method {no_map}"),
        (lambda: loss(e), f"coefficients {no_field}"),
        (lambda: loss(3), "coefficients must be a mapping of texts"),
        (lambda: is_gradient(f, 4), "order must be a whole number from 1 to 3, got 4"),
        (lambda: is_gradient(f, 0), "order must be a whole number from 1 to 3, got 0"),
        (lambda: exact_flow(0), "order must be a whole number from 1 to 14, got 0"),
        (lambda: momentum(2.0, 0), "order must be a whole number"),
        (lambda: momentum(2, 1), "beta must not be 1"),
        (lambda: momentum(2, sp.sin(1) ** 2 + sp.cos(1) ** 2), "beta must not be 1"),
        (lambda: e["[[[o]]]"], r"known up to order 3, \[\[\[o\]\]\] has order 4"),
        (lambda: e["x"], "a tree must be written like"),
        (lambda: BSeries({(): 1, ((),): 1, "[[o]]": 1}), r"all trees up to order 3, \[o,o\] is missing"),
        (lambda: BSeries({(): 1, "o": 1}), "values must have each tree once"),
        (lambda: BSeries([1]), "values must be a mapping"),
        (lambda: BSeries({}), "all trees up to order 1, o is missing"),
        (lambda: from_coefficients({"[o,[o]]": 1, "[[o],o]": 1}), "is there twice"),
        (lambda: runge_kutta([[0, 0]], [1], 2), "A must be s x s and weights of length s >= 1"),
        (lambda: runge_kutta([[0, 0]] * 3, [1, 1], 2), "A must be s x s and weights of length s >= 1"),
        (lambda: runge_kutta([], [], 2), "A must be s x s and weights of length s >= 1"),
        (lambda: runge_kutta([[0, 0], [1]], [1, 1], 2), "A must be s x s and weights of length s >= 1"),
    ):
        with pytest.raises(ValueError, match=message):
            attempt()
    for attempt in (lambda: e + 1, lambda: e - "o", lambda: 1 + e):
        with pytest.raises(TypeError):
            attempt()


def test_a_series_cannot_be_changed():
    series = exact_flow(2)
    with pytest.raises(TypeError):
        series.values[()] = 2
    with pytest.raises(AttributeError):
        series.empty = 0


def test_fractions_need_no_sympy():
    program = """
import sys
from fractions import Fraction
from gradflow.backward_error.bseries import *
from gradflow.backward_error.gradient_criterion import *
series = runge_kutta([[0, 0], [Fraction(1, 3), 0]], [Fraction(-1, 2), Fraction(3, 2)], 4)
field = modified_equation(composed(series, adjoint(momentum(4, Fraction(1, 2)))))
assert not is_gradient(field) and loss(modified_equation(series), 3) and modifying_integrator(series)
assert "sympy" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


# against kauri


def planted(t):
    return Tree([planted(branch).list_repr[:-1] for branch in t]) if t else Tree([])


def weights(series):
    """Return a series as a map of kauri; its empty tree and its forests are multiplicative."""
    values = {planted(t).sorted(): float(b) for t, b in series.values.items()}
    values[Tree(None)] = 1.0
    return Map(lambda t: values[t.sorted()])


def listed(largest):
    return [(t, planted(t)) for n in range(1, largest + 1) for t in trees(n)]


def test_kauri_has_the_same_numbers_of_trees():
    for t, other in listed(7):
        assert other.nodes() == order(t)
        assert other.sigma() == symmetry(t)
        assert other.factorial() == density(t)


@every_method
def test_kauri_finds_the_same_series(name):
    A, w, _ = TABLEAUX[name]
    tableau = RK([[float(c) for c in row] for row in A], [float(c) for c in w])
    elementary, other = tableau.elementary_weights_map(), tableau.adjoint().elementary_weights_map()
    modified, inverted = elementary.modified_equation(), elementary.preprocessed_integrator()
    ours = method(name, 5)
    pairs = [(ours, elementary), (adjoint(ours), other), (modified_equation(ours), modified)]
    if order_of(ours) > 0:  # the antipode of kauri takes the number of the leaf to be 1
        pairs.append((modifying_integrator(ours), inverted))
    for series, oracle in pairs:
        for t, at in listed(5):
            assert float(series[t]) == pytest.approx(oracle(at), rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("seed", range(4))
def test_kauri_composes_and_substitutes_alike(seed):
    a, b, field = random_series(seed, 1), random_series(seed + 50, 1), random_series(seed + 99, 0)
    composition = weights(a) * weights(b)
    substitution = weights(field) ^ weights(b)
    for series, oracle in ((composed(a, b), composition), (substituted(field, b), substitution)):
        for t, at in listed(5):
            assert float(series[t]) == pytest.approx(oracle(at), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("order", [0, 15, 10**9, True, 2.0])
def test_orders_out_of_range_are_refused(order):
    for make in (
        identity_map,
        identity_field,
        exact_flow,
        lambda n: momentum(n, half),
        lambda n: runge_kutta([[0]], [1], n),
    ):
        with pytest.raises(ValueError, match="order must be a whole number from 1 to 14"):
            make(order)
