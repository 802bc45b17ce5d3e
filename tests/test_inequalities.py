"""`follows`, `impossible` and `reached`: three answers, each of which means something, and no branch that nothing takes."""

import pytest
import sympy as sp

from gradflow.proofs import Contradiction, follows, impossible, is_sum_of_squares, reached
from gradflow.proofs.real_numbers import holds_at
from gradflow.symbolic import Branch, Space, Undecided, Undefined, branches, where

x, y = sp.symbols("x y", real=True)
a, b = sp.symbols("a b", positive=True)
plain = sp.Symbol("plain")
SIGNED = {
    name: sp.Symbol(name, real=True, **{name: True})
    for name in ("positive", "nonnegative", "negative", "nonpositive", "nonzero", "integer", "even", "odd", "rational")
}
cases = sp.Piecewise((sp.sqrt(x), x >= 0), (-x, True))


def named(name):
    return SIGNED[name]


TRUE = [
    (x**2 + y**2 >= 2 * x * y, []),
    (sp.sqrt(a * b) <= (a + b) / 2, []),
    (plain**2 >= 0, []),  # of a symbol without assumptions the real values are meant
    (named("negative") * x < 0, [x > 0]),
    (named("nonpositive") * x <= 0, [x > 0]),
    (named("nonzero") ** 2 > 0, []),
    (named("integer") ** 2 >= named("integer"), []),
    (sp.Or(named("even") >= 2, named("even") <= 0), []),
    (sp.Ne(2 * named("odd"), 3 * x), [sp.Eq(x, sp.Rational(4, 3))]),
    (sp.Abs(x) >= x, []),
    (sp.Max(x, y) + sp.Min(x, y) >= x + y, []),
    (sp.sign(x) * x >= 0, []),
    (named("nonnegative") ** sp.Rational(1, 3) <= 1 + named("nonnegative"), []),
    (cases >= 0, []),
    (sp.Piecewise((1 / x, x > 0), (0, True)) >= 0, []),
    (sp.Implies(x > 1, x**2 > x), []),
    (sp.Equivalent(x**3 > y**3, x > y), []),
    (sp.Xor(x > 0, x <= 0), []),
    (sp.Eq(x + y, 0), [sp.Eq(x, -y)]),
    (sp.And(x < y + 1, y < x + 1), [sp.Eq(x, y)]),
    (1 / (1 + 1 / x) > 0, [x > 0]),
    (x >= 1, [sp.sqrt(x - 1) >= 0]),  # the root is assumed to be defined
    (sp.sqrt(x) < sp.sqrt(y), [x < y, x >= 0]),
    (10 * x > 1, [sp.Eq(x, 0.1)]),  # the float is a little more than 1/10
]
FALSE = [
    (x * y <= (x**2 + y**2) / 3, []),
    (x > 1, [x**2 > 1]),
    (sp.Ne(x**2, 2), []),  # refuted by a root
    (x**2 + y**2 >= 2, [sp.Eq(x**5 - x - 1, y), sp.Eq(y, 0)]),  # by one that has no radicals
    (sp.Eq(named("even"), 8), []),
    (named("negative") < -1, []),
    (sp.sqrt(x - 1) < 0, []),  # at 1 it is defined, and fails
    (sp.Min(x, y) >= x, []),
    (sp.sign(x) ** 2 > 0, []),
    (named("nonnegative") ** sp.Rational(2, 3) <= named("nonnegative"), []),
    (1 / (1 + 1 / x) > 0, [x > -1]),
    (sp.Eq(x > 0, x >= 0), []),
    (sp.false, [x > 1]),
    (sp.sqrt(2) < x, [sp.Eq(x**2, 2)]),
]
UNDECIDED = [
    (sp.Or(x >= 0, sp.sqrt(x) < 0), [], "the radicand x is nonnegative"),
    (sp.Or(x < 0, sp.sqrt(x) >= 0), [], "the radicand x is nonnegative"),
    (sp.sqrt(x) >= 0, [], "the radicand x is nonnegative"),
    (sp.Eq(1 / x**2, 1 / y), [sp.Eq(x, 0), sp.Eq(y, 0)], "the denominator x is not 0"),
    (1 / x**2 > 0, [], "the denominator x is not 0"),
    (sp.Piecewise((sp.sqrt(x), x >= 0)) >= 0, [], "one of the cases applies"),
    (sp.sin(x) <= 1, [], "z3 is given"),
    (sp.Ne(named("rational") ** 2, 2), [], "not confirmed"),  # true, and z3 knows real numbers only
]


@pytest.mark.parametrize(("claim", "given"), TRUE, ids=str)
def test_what_follows(claim, given):
    assert follows(claim, given) is True


@pytest.mark.parametrize(("claim", "given"), FALSE, ids=str)
def test_what_does_not_follow(claim, given):
    assert follows(claim, given) is False


@pytest.mark.parametrize(("claim", "given", "told"), UNDECIDED, ids=str)
def test_what_is_not_decided_is_told(claim, given, told):
    with pytest.raises(Undecided, match=told):
        follows(claim, given)


def test_a_negated_claim_has_the_opposite_answer():
    for claim, given in TRUE:
        assert follows(sp.Not(claim), given) is False


@pytest.mark.parametrize(
    "given",
    [
        [x > 2, x < 0],
        [sp.Eq(x**2, -a)],
        [named("negative") > x, x > 1],
        [sp.sqrt(x) < y, y < 0],
        [sp.sqrt(x - 1) >= 0, x < 0],
        [1 / x > 0, sp.Eq(x, 0)],
        [sp.Eq(named("even"), named("odd"))],
        [sp.false],
    ],
    ids=str,
)
def test_contradictory_assumptions_prove_nothing(given):
    assert impossible(given)
    for claim in (sp.true, sp.false, x > y):
        with pytest.raises(Contradiction, match="nothing satisfies"):
            follows(claim, given)


def test_possible_assumptions():
    for given in ([], [x > 1], [sp.Eq(x**2, 2)], [sp.Eq(x**3, 2), x**2 < a], [sp.sqrt(x) > 2]):
        assert not impossible(given)


def test_wrong_input_is_refused():
    for claim, kind in ((x + 1, TypeError), (x, TypeError), (sp.Eq(sp.Symbol("A", commutative=False), 1), ValueError)):
        with pytest.raises(kind):
            follows(claim)
    with pytest.raises(ValueError, match="must be real numbers"):
        follows(sp.Ne(sp.Symbol("i", imaginary=True) * y, x))


def test_values_at_a_point():
    assert holds_at(sp.sqrt(2) * sp.sqrt(x) > y, {x: sp.Integer(3), y: sp.Integer(2)}) is True
    assert holds_at(sp.Eq(x**2 - 2, 0), {x: sp.sqrt(2)}) is True
    assert holds_at(sp.Eq(sp.sqrt(x + 2 * sp.sqrt(2)), y), {x: sp.Integer(3), y: 1 + sp.sqrt(2)}) is True
    assert holds_at(sp.sqrt(x) > -1, {x: sp.Integer(-1)}) is None
    assert holds_at(1 / (1 + 1 / x) < 1, {x: sp.Integer(0)}) is None
    assert holds_at(cases > 2, {x: sp.Integer(-3)}) is True
    with pytest.raises(Undecided, match="cannot be"):
        holds_at(a > 0, {a: sp.Integer(-1)})


def clamped():
    """Return x between 0 and 1: of the four pairs of answers one is impossible, two more if x <= 1."""
    return where(x > 1, 1, where(x > 0, x, 0))


def test_only_branches_that_are_reached_are_yielded():
    ways = list(reached(branches(clamped), [x <= 1]))
    assert [way.value for way in ways] == [x, 0]
    assert [way.conditions for way in ways] == [(x <= 1, x > 0, x <= 1), (x <= 1, x <= 0, x <= 1)]
    for way in ways:
        assert all(holds_at(condition, way.witness) for condition in way.conditions)
    assert (len(list(branches(clamped))), len(list(reached(branches(clamped))))) == (4, 3)


def test_at_least_one_branch_is_reached():
    with pytest.raises(Contradiction, match="no branch is reached"):
        list(reached(branches(clamped), [x > 1, x < 0]))
    with pytest.raises(Contradiction):
        list(reached([Branch((x > 1, x < 1), 0)]))


def test_conditions_are_rewritten():
    (way,) = reached(branches(lambda: where(sp.log(a) > 0, 1, 2)), [a < 1], lambda c: c.func(sp.exp(c.lhs), 1))
    assert way.value == 2
    with pytest.raises(Undecided, match="z3 is given"):
        next(reached(branches(lambda: where(sp.log(a) > 0, 1, 2))))


def test_a_condition_must_be_defined():
    with pytest.raises(Undecided, match="the denominator x is not 0"):
        list(reached(branches(lambda: where(1 / x > 1, 1, 2))))
    run = lambda: where(1 / x > 1, 1, 2) if where(x > 0, True, False) else 3  # noqa: E731
    assert len(list(reached(branches(run)))) == 3


def test_coefficients_of_squares_must_be_known():
    c = sp.Symbol("c", real=True)
    with pytest.raises(Undecided, match="the sign of c is not known"):
        is_sum_of_squares(c * x**2, [(c, x)])
    assert is_sum_of_squares(x**2 - y**2, [(1, x), (-1, y)]) is False
    assert is_sum_of_squares(0, []) is True
    assert is_sum_of_squares(x, []) is False
    for terms in ([(sp.nan, x)], [(sp.oo, x)], [(1, sp.oo)], [(1, plain)]):
        with pytest.raises(ValueError, match="real number"):
            is_sum_of_squares(x**2, terms)


@pytest.mark.parametrize("coefficients", [(1,), (1, a), (1 / a, b, a * b), (0, sp.sqrt(b))])
def test_a_sum_of_squares_of_abstract_vectors_is_one_in_every_inner_product(coefficients):
    V = Space()
    u, v = V.vectors("u v")
    squares = [u, u + v, u - b * v][: len(coefficients)]
    whole = sum(c * V.inner(one, one) for c, one in zip(coefficients, squares, strict=True))
    assert is_sum_of_squares(whole, zip(coefficients, squares, strict=True))
    assert not is_sum_of_squares(whole + V.inner(u, v), zip(coefficients, squares, strict=True))
    assert not is_sum_of_squares(-whole, [(-c, one) for c, one in zip(coefficients, squares, strict=True)])
    with pytest.raises(Undecided, match="sign of plain"):
        is_sum_of_squares(plain * V.inner(u, u), [(plain, u)])


def test_what_no_numbers_refute_for_want_of_vectors_is_not_refuted():
    V = Space()
    u, v = V.vectors("u v")
    uu, uv, vv = V.inner(u, u), V.inner(u, v), V.inner(v, v)
    for true in (uv**2 <= uu * vv, V.inner(u + v, u + v) >= 0, uv >= -(uu + vv) / 2):
        with pytest.raises(Undecided, match="is_sum_of_squares"):
            follows(true)
    assert follows(V.inner(u + v, u + v) >= 0, [uv >= -(uu + vv) / 2])
    assert follows(2 * uv <= uu + vv, [uv**2 <= uu * vv, uu >= 0, vv >= 0])


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: follows(a > b, "a > b"), "must be a list of relations"),
        (lambda: impossible(a > b), "must be a list of relations"),
        (lambda: list(reached([], a > b)), "must be a list of relations"),
        (lambda: follows(a > b, a > b), "must be a list of relations"),
        (lambda: is_sum_of_squares(a**2, [a]), "must be pairs"),
        (lambda: is_sum_of_squares(a**2, [(1, a, a)]), "must be pairs"),
    ],
)
def test_what_is_no_relation_and_no_pair_is_told(call, told):
    with pytest.raises(TypeError, match=told):
        call()


@pytest.mark.parametrize("name", ["unknown", "unknown#0", "half#n", "a\0b"])
def test_a_name_is_not_that_of_another_unknown(name):
    one, other = sp.Symbol(name, real=True), sp.Symbol(f"{name}\0", real=True)
    assert not follows(sp.Eq(one, sp.sqrt(a)))
    assert not follows(sp.Eq(one, 1 / a))
    assert not follows(sp.Eq(one, other))


@pytest.mark.parametrize("power", [x**10**9, a ** sp.Rational(1, 10**9), a**0.1, x ** (-(10**6))])
def test_a_power_too_large_for_z3_is_refused(power):
    with pytest.raises(Undecided, match="powers and roots up to"):
        follows(sp.Ge(power, y, evaluate=False))


@pytest.mark.parametrize("relation", ["x > 0", None, [x > 0], 1, x])
def test_what_is_no_relation_is_refused(relation):
    for decide in (lambda: follows(relation), lambda: follows(x > 0, [relation]), lambda: impossible([relation])):
        with pytest.raises(TypeError, match="a relation is wanted"):
            decide()


def test_what_is_shown_to_be_undefined_is_told_from_what_is_not_decided():
    for conclusion, assumptions in ((1 / x > 0, [x >= 0]), (sp.sqrt(x) >= 0, [x > -1])):
        with pytest.raises(Undefined, match="it is not shown that"):
            follows(conclusion, assumptions)
    assert issubclass(Undefined, Undecided)
