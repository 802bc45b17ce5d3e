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
# # The relaxation factor
#
# On the functions of `gradflow.schemes.relaxation`: `xi0_quadratic`, `xi0_linear`, `xi0_log`, `relax_quadratic`, `relax_log`, and
# `relax`, which picks one of them by the law that a scheme states.
#
# After a step an auxiliary variable has an intermediate value $\tilde q$, which carries the energy law, and a consistent one
# $\hat q$. On the segment $q(\xi) = \xi\tilde q + (1 - \xi)\hat q$ the constraint $|q(\xi)|^2 \le |\tilde q|^2 + B$, $B \ge 0$, is
#
# $$Q(\xi) = a\xi^2 + b\xi + c \le 0, \qquad a = |\delta|^2, \quad c = |\hat q|^2 - |\tilde q|^2 - B, \quad
# b = 2(\hat q, \delta) = -(a + B + c), \quad \delta = \tilde q - \hat q .$$
#
# Q is convex and $Q(1) = -B \le 0$. So the admissible set in $[0, 1]$ is an interval that ends at 1, and $\xi_0$ is 0 for
# $c = Q(0) \le 0$ and the smaller root otherwise. Its discriminant is a sum of squares,
# $b^2/4 - ac = (\tilde q, \delta)^2 + B|\delta|^2$.
#
# Every `where`, maximum and minimum of the code is followed both ways. The code computes in twice the working precision; the
# errors that it adds up vanish in exact arithmetic.

# %%
from unittest.mock import patch

import numpy as np
import sympy as sp

from gradflow import SAV, ExpSAV
from gradflow.proofs import check, follows, impossible, is_sum_of_squares, reached
from gradflow.schemes import relaxation
from gradflow.schemes.exp_sav import exp_sav_update
from gradflow.schemes.relaxation import (
    Logarithmic,
    Quadratic,
    relax,
    relax_log,
    relax_quadratic,
    xi0_linear,
    xi0_log,
    xi0_quadratic,
)
from gradflow.schemes.sav import sav_update
from gradflow.schemes.state import AuxState
from gradflow.symbolic import AbstractEnergy, Space, Vector, branches, configured, is_zero, symbols

EVERY = "every dimension and inner product"
B = sp.Symbol("B", nonnegative=True)
xi, y = sp.symbols("xi y", real=True)
r_tilde, r_hat = sp.symbols("r_tilde r_hat", positive=True)
v_tilde, v_hat, m, e = sp.symbols("v_tilde v_hat m e", positive=True)


def xi0_of(a, c, slack):
    """Return what `xi0_quadratic` makes of the three numbers a, c and B."""
    with patch.object(relaxation, "_quadratic_terms", lambda *_: (a, c, slack)):
        return xi0_quadratic(None, None, None)


def pairs():
    """Yield q~ and q^ as scalars and as object arrays of sizes 1 to 3, with their squared length."""
    yield *sp.symbols("p q", real=True), lambda u: u**2
    for n in (1, 2, 3):
        yield symbols("p", n), symbols("q", n), lambda u: u @ u


# %% [markdown]
# ## The quadratic constraint
#
# The code compares $\xi_0$ with 1 and with 0, since rounding may move it there. In exact arithmetic some answers are impossible:
# $\xi_0 \le 0$ where the quadratic constraint is active, $c > 0$; $\xi_0 > 1$ for the linear and the logarithmic constraint.
# `reached` leaves these branches out and shows of every other one that some values take it.


# %%
@check("identity", "scalars and sizes 1 to 3")
def coefficients():
    """The code's a, c and B are |q~ - q^|^2, |q^|^2 - |q~|^2 - B and B: the compensating sums vanish in exact arithmetic."""
    for tilde, hat, square in pairs():
        a, c, slack = relaxation._quadratic_terms(tilde, hat, B)
        assert is_zero(a - square(tilde - hat))
        assert is_zero(c - (square(hat) - square(tilde) - B))
        assert is_zero(slack - B)
        point = xi * tilde + (1 - xi) * hat
        assert is_zero(square(point) - square(tilde) - B - (a * xi**2 - (a + B + c) * xi + c))


@check("identity", EVERY)
def constraint_is_the_quadratic():
    """|xi q~ + (1 - xi) q^|^2 - |q~|^2 - B = a xi^2 - (a + B + c) xi + c, and this is -B at xi = 1."""
    V = Space()
    tilde, hat = V.vectors("p q")
    delta = tilde - hat
    a, c = delta @ delta, hat @ hat - tilde @ tilde - B
    point = xi * tilde + (1 - xi) * hat
    Q = a * xi**2 - (a + B + c) * xi + c
    assert is_zero(point @ point - tilde @ tilde - B - Q)
    assert is_zero(Q.subs(xi, 1) + B)
    assert is_zero(2 * (hat @ delta) + (a + B + c))


@check("squares", EVERY)
def discriminant_is_a_sum_of_squares():
    """b^2/4 - a c = (q~, q~ - q^)^2 + B |q~ - q^|^2 = ((a - B - c)^2 + 4 a B) / 4: it is never negative, in either orientation."""
    V = Space()
    tilde, hat = V.vectors("p q")
    for first, second in ((tilde, hat), (hat, tilde)):
        delta = first - second
        a, c = delta @ delta, second @ second - first @ first - B
        half_b = second @ delta
        length = sp.Symbol("length", nonnegative=True)  # |delta|^2
        discriminant = half_b**2 - length * c
        assert is_zero((discriminant - (first @ delta) ** 2 - B * length).subs(length, a))
        assert is_sum_of_squares(
            (first @ delta) ** 2 + B * length, [(sp.Integer(1), first @ delta), (B * length, sp.Integer(1))]
        )
        assert is_zero(4 * (half_b**2 - a * c) - (a - B - c) ** 2 - 4 * a * B)


@check("decision procedure", EVERY)
def xi0_is_the_smallest_admissible():
    """xi_0 lies in [0, 1], satisfies the constraint (with equality if xi_0 > 0), and no smaller xi in [0, 1] does."""
    a, c = sp.Symbol("a", nonnegative=True), sp.Symbol("c", real=True)
    Q = lambda x: a * x**2 - (a + B + c) * x + c  # noqa: E731
    active = []
    for branch in reached(branches(lambda: xi0_of(a, c, B))):
        x = branch.value
        assert follows(sp.And(x >= 0, x <= 1), branch.conditions)
        assert follows(Q(x) <= 0, branch.conditions)
        assert follows(sp.Or(sp.Eq(Q(x), 0), sp.Eq(x, 0)), branch.conditions)
        assert follows(sp.Implies(sp.And(y >= 0, y < x), Q(y) > 0), branch.conditions)
        assert follows(sp.Implies(c <= 0, sp.Eq(x, 0)), branch.conditions)
        assert follows(sp.Implies(c > 0, x > 0), branch.conditions)
        active.append(x)
    assert sum(x == 0 for x in active) == 1
    assert len(active) == 3


@check("identity", EVERY)
def relaxed_vector_lies_on_the_bound():
    """For c > 0, |xi_0 q~ + (1 - xi_0) q^|^2 = |q~|^2 + B with the xi_0 of the code."""
    V = Space()
    tilde, hat = V.vectors("p q")
    delta = tilde - hat
    a, c = delta @ delta, hat @ hat - tilde @ tilde - B
    first = next(reached(branches(lambda: xi0_of(a, c, B)), [(tilde @ hat) ** 2 <= (tilde @ tilde) * (hat @ hat)]))
    assert is_zero(first.conditions[1].lhs - c)
    new = hat + first.value * delta
    assert is_zero(new @ new - tilde @ tilde - B)
    # (2) of the module in the form c / (-b/2 + sqrt(discriminant))
    other = c / (-(hat @ delta) + sp.sqrt((tilde @ delta) ** 2 + B * a))
    assert is_zero(a * other**2 + 2 * (hat @ delta) * other + c)


def exact(aux, *_):
    """Return the vector itself: without rounding it lies on the bound, as is proved wherever this stands for `_within_bound`."""
    return aux


@check("identity", "every vector and dimension, every slack and xi_0")
def rounding_is_scaled_away():
    """`_within_bound` changes the length alone, to the bound, and only if xi_0 > 0 and the square of the length is above it."""
    V = Space()
    aux, base = V.vectors("aux p")
    x = sp.Symbol("xi", real=True)
    square, bound = aux @ aux, base @ base + B
    outside, inside = reached(branches(lambda: relaxation._within_bound(aux, base, B, x)))
    asked = sp.And(x > 0, square > bound)
    assert outside.conditions == (asked,)
    assert inside.conditions == (sp.Not(asked),)
    assert is_zero(outside.value - sp.sqrt(bound / square) * aux)
    assert is_zero(outside.value @ outside.value - bound)
    assert is_zero(inside.value - aux)


@check("identity", "sizes 1 to 3")
def relaxed_array_lies_on_the_bound():
    """`relax_quadratic` of arrays returns q^ + xi_0 (q~ - q^), on the bound if xi_0 > 0 and q^ itself otherwise; swapped likewise."""
    for n in (1, 2, 3):
        tilde, hat = (symbols(name, n, real=None) for name in "pq")  # without a sign, so that no root turns into |p|
        for orientation, base, other in (("literature", tilde, hat), ("swapped", hat, tilde)):
            with patch.object(relaxation, "_within_bound", exact):
                # identities on every branch, reached or not: in n coordinates z3 does not decide which are
                ways = list(branches(lambda a=tilde, b=hat, o=orientation: relax_quadratic(a, b, B, orientation=o)))
            kept, bound = 0, 0
            for conditions, (aux, factor) in ways:
                assert is_zero(aux - other - factor * (base - other))
                c = other @ other - base @ base - B
                if len(conditions) == 1:
                    assert isinstance(conditions[0], sp.LessThan)
                    assert is_zero(conditions[0].lhs - conditions[0].rhs - c)
                    assert is_zero(aux - other)
                    kept += 1
                else:
                    assert isinstance(conditions[0], sp.StrictGreaterThan)
                    assert is_zero(conditions[0].lhs - conditions[0].rhs - c)
                    if factor != 1:
                        assert is_zero(aux @ aux - base @ base - B)
                        bound += 1
            assert (kept, bound) == (1, 1)


@check("decision procedure", "scalars, either sign")
def relaxed_scalar_is_the_blend():
    """For scalars of any sign, `relax_quadratic` returns xi_0 q~ + (1 - xi_0) q^, though it forms the bound itself."""
    p, q = sp.symbols("p q", real=True)
    for orientation, base, other in (("literature", p, q), ("swapped", q, p)):
        seen = 0
        for conditions, (aux, factor), _ in reached(
            branches(lambda o=orientation: relax_quadratic(p, q, B, orientation=o))
        ):
            assert follows(sp.Eq(aux, factor * base + (1 - factor) * other), conditions)
            assert follows(aux**2 <= base**2 + B, conditions)
            seen += 1
        assert seen >= 3


# %% [markdown]
# ## What it is for a positive scalar
#
# In one dimension, with both values positive, the segment reaches the bound at $\sqrt{\tilde r^2 + B}$, so that the relaxed value is
# $\min(\hat r, \sqrt{\tilde r^2 + B})$. Exchanging the roles of the two values everywhere, as is printed in "Empirical evaluation of
# energy-stable gradient-flow methods in deep learning", section 2.4, gives $\min(\tilde r, \sqrt{\hat r^2 + B})$: for
# $\tilde r \le \hat r$ this is $\tilde r$, no correction at all.


# %%
def is_the_smaller(branch, one, other):
    """Return True if the aux of a branch is min(one, other)."""
    aux = branch.value.aux
    smaller = sp.Or(sp.And(sp.Eq(aux, one), one <= other), sp.And(sp.Eq(aux, other), other <= one))
    return follows(smaller, branch.conditions)


@check("decision procedure", "positive scalars")
def closed_form_of_the_literature():
    """In the orientation of the literature the relaxed value is min(r^, sqrt(r~^2 + B)), and xi_0 = 0 exactly if r^ is within."""
    bound = sp.sqrt(r_tilde**2 + B)
    ways = list(reached(branches(lambda: relax_quadratic(r_tilde, r_hat, B))))
    assert len(ways) >= 2
    for branch in ways:
        assert is_the_smaller(branch, r_hat, bound)
        assert follows(sp.Or(branch.value.xi0 > 0, r_hat <= bound), branch.conditions)
        gap = (bound + r_tilde) * (r_hat - r_tilde)
        assert follows(sp.Implies(r_hat > bound, sp.Eq(branch.value.xi0 * gap, gap - B)), branch.conditions)


@check("decision procedure", "positive scalars", refutes=("C001-27",), given={"C001-31": "v~^2 > v^^2 + B"})
def closed_form_of_the_swapped_orientation():
    """Swapped, the relaxed value is min(r~, sqrt(r^^2 + B)): an r~ below r^ is left alone with xi_0 = 0, whatever B is."""
    bound = sp.sqrt(r_hat**2 + B)
    ways = list(reached(branches(lambda: relax_quadratic(r_tilde, r_hat, B, orientation="swapped"))))
    assert len(ways) >= 2
    for branch in ways:
        assert is_the_smaller(branch, r_tilde, bound)
        left_alone = sp.And(sp.Eq(branch.value.aux, r_tilde), sp.Eq(branch.value.xi0, 0))
        assert follows(sp.Implies(r_tilde <= r_hat, left_alone), branch.conditions)
        # and then all of it is within the law r <= r~
        assert follows(branch.value.aux <= r_tilde, branch.conditions)


@check("counterexample", "r~ = 1/10, r^ = 1, B = 1/5", refutes=("C001-31",))
def swapped_orientation_corrects_no_collapse():
    """For r~ = 0.1, r^ = 1, B = 0.2 the swapped orientation leaves r = 0.1; that of the literature moves it to sqrt(0.21) = 0.458."""
    tilde, hat, slack = sp.Rational(1, 10), sp.Integer(1), sp.Rational(1, 5)
    swapped = relax_quadratic(tilde, hat, slack, orientation="swapped")
    assert (swapped.aux, swapped.xi0) == (tilde, 0)
    relaxed = relax_quadratic(tilde, hat, slack)
    assert is_zero(relaxed.aux**2 - sp.Rational(21, 100))
    assert 0.601 < relaxed.xi0 < 0.602
    assert 0.458 < relaxed.aux < 0.459


# %% [markdown]
# ## The printed solution of the quadratic
#
# The swapped problem has $a = (\hat v - \tilde v)^2$, $b = 2\tilde v(\hat v - \tilde v)$, $c = \tilde v^2 - \hat v^2 - B$, as is printed,
# and the printed $\xi_0 = \max\{0, (-b - \sqrt{b^2 - 4ac})/2a\}$ is its smallest admissible point wherever $a \ne 0$.


# %%
@check("identity", "scalars", proves=("C001-29",))
def printed_coefficients():
    """The printed a, b, c are those of the swapped problem, v^2 - v^^2 <= B on xi v^ + (1 - xi) v~; the code has the same."""
    tilde, hat = sp.symbols("p q", real=True)
    a, b, c = (hat - tilde) ** 2, 2 * tilde * (hat - tilde), tilde**2 - hat**2 - B
    point = xi * hat + (1 - xi) * tilde
    assert is_zero(point**2 - hat**2 - B - (a * xi**2 + b * xi + c))
    code_a, code_c, _ = relaxation._quadratic_terms(hat, tilde, B)  # swapped: the arguments exchanged
    assert is_zero(code_a - a)
    assert is_zero(code_c - c)
    assert is_zero(b + (code_a + B + code_c))
    assert is_zero(b**2 - 4 * a * c - 4 * (hat - tilde) ** 2 * (hat**2 + B))


@check("decision procedure", EVERY, given={"C001-30": "a != 0", "C001-52": "a != 0"})
def textbook_root():
    """max{0, (-b - sqrt(b^2 - 4 a c)) / 2 a} is the code's xi_0 for every a > 0; for a = 0 it is a division by zero."""
    a, c = sp.Symbol("a", positive=True), sp.Symbol("c", real=True)
    b = -(a + B + c)
    root, x0, x = sp.symbols("root x_0 x", real=True)
    textbook = [root >= 0, sp.Eq(root**2, b**2 - 4 * a * c), sp.Eq(2 * a * x, -b - root)]
    largest = sp.Or(sp.And(x >= 0, sp.Eq(x0, x)), sp.And(x < 0, sp.Eq(x0, 0)))
    for branch in reached(branches(lambda: xi0_of(a, c, B))):
        assert not impossible([*branch.conditions, *textbook, largest])
        assert follows(sp.Eq(branch.value, x0), [*branch.conditions, *textbook, largest])
    at_zero = (-b - sp.sqrt(b**2 - 4 * a * c)) / (2 * a)
    assert at_zero.subs({a: 0, c: -B}) == sp.nan


@check("identity", "scalars and sizes 1 to 3, B > 0; in float64 also B = 0")
def equal_values_are_left_alone():
    """If q~ = q^ then xi_0 = 0 and the value stays: a = 0 needs no case of its own."""
    slack = sp.Symbol("B", positive=True)
    for tilde, _, _ in pairs():
        for orientation in relaxation.ORIENTATIONS:
            aux, factor = relax_quadratic(tilde, tilde, slack, orientation=orientation)
            assert is_zero(factor)
            assert is_zero(aux - tilde)
    for value in (np.float64(3.0), np.array([3.0, -1.0])):
        for slack in (0.0, 2.0):
            aux, factor = relax_quadratic(value, value, slack)
            assert factor == 0
            assert np.all(aux == value)


# %% [markdown]
# ## Linear constraints
#
# For an energy that is linear in v the constraint is $\xi\tilde v + (1 - \xi)\hat v \le \tilde v + B$, whence
# $\xi_0 = \max\{0, 1 - B/(\hat v - \tilde v)\}$ and the relaxed value $\min(\hat v, \tilde v + B)$. A positive variable that is kept as
# $s = \log v$, with $B = \tilde v(e^\ell - 1)$, becomes $\min(\hat s, \tilde s + \ell)$. The exponential is increasing, so that a relation
# between logarithms is one between their exponentials: this is how the conditions are handed to the decision procedure.


# %%
def without_logarithms(e):
    """Return an equivalent condition: the exponentials of the two sides of each relation between logarithms."""
    if isinstance(e, (sp.And, sp.Or, sp.Not)):
        return e.func(*map(without_logarithms, e.args))
    return e.func(sp.exp(e.lhs - e.rhs), 1) if e.has(sp.log) else e


def without_exponentials(condition):
    """Return the condition with the number e as a symbol: r / r~ < e^30 is asked, and the answers differ in rounding only."""
    return without_logarithms(condition).subs(sp.E, e)


@check(
    "decision procedure",
    "scalars, either sign",
    proves=("C001-53",),
    given={"C001-32": "v~ > v^, and xi_0 = 0 otherwise"},
)
def linear_factor():
    """xi_0 is the smallest admissible, max{0, 1 - B/(v^ - v~)} if v^ > v~ and else 0, and gives min(v^, v~ + B)."""
    p, q = sp.symbols("p q", real=True)
    for orientation in relaxation.ORIENTATIONS:
        base, other = (p, q) if orientation == "literature" else (q, p)
        seen = 0
        for conditions, x, _ in reached(branches(lambda a=base, b=other: xi0_linear(a, b, B))):
            value = x * base + (1 - x) * other
            assert follows(sp.And(x >= 0, x <= 1), conditions)
            assert follows(value <= base + B, conditions)
            too_far = y * base + (1 - y) * other > base + B
            assert follows(sp.Implies(sp.And(y >= 0, y < x), too_far), conditions)
            smaller = sp.Or(
                sp.And(sp.Eq(value, other), other <= base + B), sp.And(sp.Eq(value, base + B), base + B <= other)
            )
            assert follows(smaller, conditions)
            assert follows(value <= other, conditions)  # swapped: never above v~, whatever B is
            assert follows(sp.Implies(other <= base, sp.Eq(x, 0)), conditions)
            formula = sp.Eq(x * (other - base), other - base - B)
            assert follows(sp.Implies(other > base + B, formula), conditions)
            seen += 1
        assert seen >= 2


@check("decision procedure", "positive scalars")
def logarithmic_factor():
    """xi_0 for s = log v is the linear one for v with B = v~ (e^l - 1): in [0, 1], smallest admissible; s_new = min(s^, s~ + l)."""
    slack = v_tilde * (m - 1)
    s_tilde, s_hat, ell = sp.log(v_tilde), sp.log(v_hat), sp.log(m)
    seen = 0
    for given, x, _ in reached(branches(lambda: xi0_log(s_tilde, s_hat, ell)), [m >= 1], without_logarithms):
        value = x * v_tilde + (1 - x) * v_hat
        assert follows(sp.And(x >= 0, x <= 1), given)
        assert follows(value <= v_tilde + slack, given)
        too_far = y * v_tilde + (1 - y) * v_hat > v_tilde + slack
        assert follows(sp.Implies(sp.And(y >= 0, y < x), too_far), given)
        seen += 1
    assert seen >= 2
    for given, (aux, x), _ in reached(branches(lambda: relax_log(s_tilde, s_hat, ell)), [m >= 1], without_logarithms):
        new = sp.exp(aux)
        assert follows(sp.Eq(new, x * v_tilde + (1 - x) * v_hat), given)
        assert follows(sp.Or(sp.And(sp.Eq(new, v_hat), v_hat <= v_tilde * m), sp.Eq(new, v_tilde * m)), given)
        assert follows(new <= v_hat, given)


@check("decision procedure", "positive scalars")
def logarithmic_factor_swapped():
    """Swapped, with the same B, the logarithm becomes that of min(v~, v^ + B): v~ <= v^ is left alone with xi_0 = 0."""
    slack = v_tilde * (m - 1)
    ways = branches(lambda: relax_log(sp.log(v_tilde), sp.log(v_hat), sp.log(m), orientation="swapped"))
    seen = 0
    for given, (aux, x), _ in reached(ways, [m >= 1], without_logarithms):
        new = sp.exp(aux)
        assert follows(sp.Eq(new, x * v_hat + (1 - x) * v_tilde), given)
        least = sp.Or(sp.Eq(new, v_tilde), sp.Eq(new, v_hat + slack))
        assert follows(sp.And(least, new <= v_tilde, new <= v_hat + slack), given)
        assert follows(sp.Implies(v_tilde <= v_hat, sp.And(sp.Eq(x, 0), sp.Eq(new, v_tilde))), given)
        seen += 1
    assert seen >= 2


# %% [markdown]
# ## Budgets
#
# Let $\tilde r^2 - r^2 = -D - (\tilde r - r)^2$, the law of SAV. Relaxation adds at most B:
#
# * $B = \eta D$ leaves $r_{new}^2 - r^2 \le -(1 - \eta)D - (\tilde r - r)^2$;
# * $B = \eta\min(|d|^2/\Delta t, D)$ is smaller;
# * $B = \eta D + (\tilde r - r)^2$ leaves $-(1 - \eta)D$;
# * without an energy part, the largest with $r_{new} \le r$ for every $\hat r$ is $B = D + (\tilde r - r)^2$, since then $\tilde r^2 + B = r^2$.
#
# All this is about the roles of the literature, in which the bound refers to $\tilde r$. With the roles exchanged, as is printed, the bound
# refers to $\hat r$ and the relaxed value is a minimum of $\tilde r$ and something else: no budget, of whatever size and unit, takes it
# above $\tilde r$, and so none breaks the law. With the printed weights and the bound of the law, $\xi = 0$ is always admissible, and
# nothing is relaxed at all.


# %%
@check("identity", "every dimension, inner product, L and S")
def largest_budget():
    """r~^2 + D + (r~ - r)^2 is r^2 (less the change of the linear energy): B = D + (r~ - r)^2 is the largest with decay for every r^."""
    dt, C, r = sp.symbols("dt C r", positive=True)
    for energy_part in (False, True):
        V = Space()
        L = V.operator("L")
        problem = AbstractEnergy(V, L if energy_part else None)
        scheme = configured(SAV, C=C, stabilization=V.operator("S"))
        old = AuxState(V.vector("theta"), r)
        new = scheme.step(problem, old, dt)
        terms = scheme.energy_terms(problem, old, new, dt)
        full = scheme.modified_energy(problem, new) + terms.dissipation + terms.numerical
        assert is_zero(full - scheme.modified_energy(problem, old))
    # in scalars: with B the bound is reached for r^ large, and it is r
    D, n = sp.symbols("D n", nonnegative=True)
    law = [sp.Eq(r_tilde**2 - r**2, -D - n)]
    for branch in reached(branches(lambda: relax_quadratic(r_tilde, r_hat, D + n)), law):
        assert follows(branch.value.aux <= r, branch.conditions)
        assert follows(sp.Implies(r_hat > r, sp.Eq(branch.value.aux, r)), branch.conditions)


@check("decision procedure", "scalars, every D >= 0 and numerical dissipation >= 0")
def decay_with_every_budget():
    """With eta in [0, 1] the law keeps (1 - eta) D + (r~ - r)^2 with budget eta D, and (1 - eta) D with eta D + (r~ - r)^2."""
    D, n, eta, r = sp.symbols("D n eta r", nonnegative=True)
    law = [sp.Eq(r_tilde**2 - r**2, -D - n), eta <= 1]
    for slack, left in ((eta * D, (1 - eta) * D + n), (eta * D + n, (1 - eta) * D)):
        for orientation in relaxation.ORIENTATIONS:
            ways = branches(lambda b=slack, o=orientation: relax_quadratic(r_tilde, r_hat, b, orientation=o))
            for branch in reached(ways, law):
                assert follows(branch.value.aux**2 - r**2 <= -left, branch.conditions)


def rising_step():
    """Return theta, r, theta_new, r~, r^ and D of the SAV step for F = theta^2 / 2 at theta = 1, C = 100, dt = 10, r = R."""
    one, C, dt = sp.Integer(1), sp.Integer(100), sp.Integer(10)
    r = sp.sqrt(one / 2 + C)
    theta, tilde = sav_update(one, None, one, one / 2, dt=dt, C=C, inner=lambda u, v: u * v, solve=lambda u: u)
    D = (theta - one) ** 2 / dt
    assert is_zero(tilde**2 - r**2 + D + (tilde - r) ** 2)
    return one, r, theta, tilde, sp.sqrt(theta**2 / 2 + C), D


@check(
    "counterexample",
    "F = theta^2 / 2 at theta = 1, C = 100, dt = 10, r = R, eta = 2",
    proves=("C001-33",),
    refutes=("C001-33",),
)
def eta_above_one_breaks_the_law():
    """With the roles of the literature eta = 2 lets r rise above its old value and eta = 1 does not; swapped, no eta moves r above r~."""
    _, r, _, tilde, hat, D = rising_step()
    assert hat > r
    assert relax_quadratic(tilde, hat, D).aux < r
    risen = relax_quadratic(tilde, hat, 2 * D)
    assert risen.xi0 > 0
    assert is_zero(risen.aux**2 - tilde**2 - 2 * D)
    assert risen.aux > r
    for share in (0, sp.Rational(1, 2), 1, 2, 1000):
        swapped = relax_quadratic(tilde, hat, share * D, orientation="swapped")
        assert swapped.xi0 == 0
        assert is_zero(swapped.aux - tilde)
    # for every share: the smaller of r~ and what a budget of any size allows
    for branch in reached(branches(lambda: relax_quadratic(r_tilde, r_hat, B, orientation="swapped"))):
        assert follows(branch.value.aux <= r_tilde, branch.conditions)


@check(
    "counterexample",
    "F = theta^2 / 2 at theta = 1, C = 100, dt = 10, r = R, eta = 99/100",
    refutes=("C001-28",),
)
def bound_by_the_definition_is_no_law():
    """Every xi meets the printed r_new^2 - r^^2 <= B here, xi = 1 too: r_new = r^, and r^2 rises by 35.8. The law's bound refuses it."""
    _, r, _, tilde, hat, D = rising_step()
    slack = sp.Rational(99, 100) * D
    a, c, same = relaxation._quadratic_terms(hat, tilde, slack)  # the printed problem: the arguments exchanged
    Q = lambda x: a * x**2 - (a + same + c) * x + c  # noqa: E731
    for x in (0, sp.Rational(1, 2), 1):
        point = x * hat + (1 - x) * tilde
        assert is_zero(Q(x) - (point**2 - hat**2 - slack))
        assert Q(x) < 0  # Q is convex: so for all in between
    assert is_zero(hat**2 - r**2 - (rising_step()[2] ** 2 - 1) / 2)
    assert hat**2 - r**2 > 35
    _, c, _ = relaxation._quadratic_terms(tilde, hat, slack)  # the constraint of the law
    assert c > 0
    assert relax_quadratic(tilde, hat, slack).aux < r
    # the printed scheme decays only because the smallest xi returns r~ itself
    relaxed = relax_quadratic(tilde, hat, slack, orientation="swapped")
    assert relaxed.xi0 == 0
    assert is_zero(relaxed.aux - tilde)


@check(
    "decision procedure",
    "scalars, either sign; the swapped value for positive scalars",
    proves=("C002-18",),
    refutes=("C002-18",),
)
def printed_weights_with_the_bound_of_the_law():
    """xi v^ + (1 - xi) v~ under the law's v^2 <= v~^2 + B has xi_0 = 0, v = v~ for all v~, v^, B; only a bound by v^ moves anything."""
    p, q, x0 = sp.symbols("p q x_0", real=True)
    within = lambda x: (x * q + (1 - x) * p) ** 2 <= p**2 + B  # noqa: E731
    smallest = [x0 >= 0, x0 <= 1, within(x0), sp.Or(sp.Not(within(sp.Integer(0))), x0 <= 0)]
    assert not impossible(smallest)
    assert follows(sp.And(sp.Eq(x0, 0), sp.Eq(x0 * q + (1 - x0) * p, p)), smallest)
    moved = 0
    for conditions, (aux, factor), _ in reached(
        branches(lambda: relax_quadratic(r_tilde, r_hat, B, orientation="swapped"))
    ):
        above = r_tilde**2 > r_hat**2 + B
        assert follows(sp.Implies(above, sp.And(aux < r_tilde, factor > 0)), conditions)
        moved += not impossible([*conditions, above])
    assert moved >= 1


@check("counterexample", "E = theta / 1000 + 500000 theta^2 at theta = 0, r = kappa = dt = 1, eta = 99/100")
def unsquared_budget_breaks_the_law():
    """With the roles of the literature the budget eta |d| / dt (not squared) lets r rise from 1 to 1.00099; swapped, r stays at r~."""
    g, r, dt, eta = sp.Rational(1, 1000), sp.Integer(1), sp.Integer(1), sp.Rational(99, 100)
    theta, s = exp_sav_update(
        sp.Integer(0), sp.log(r), g, dt=dt, kappa=1, form="section_2.2.4", inner=lambda u, v: u * v, solve=lambda u: u
    )
    tilde, hat = sp.exp(s), sp.exp(g * theta + 500000 * theta**2)  # r~, and the definition at the new theta
    assert is_zero(tilde - 1 / (1 + dt * g**2))
    assert hat > sp.Rational(3, 2)
    printed = eta * sp.Abs(theta) / dt
    x = xi0_linear(tilde, hat, printed)
    relaxed = x * tilde + (1 - x) * hat
    assert is_zero(relaxed - tilde - printed)
    assert sp.Rational(100098, 100000) < relaxed < sp.Rational(100100, 100000)
    # a share of what r itself has lost keeps r from rising
    x = xi0_linear(tilde, hat, eta * (r - tilde))
    assert x * tilde + (1 - x) * hat < r
    squared = eta * theta**2 / dt
    x = xi0_linear(tilde, hat, squared)
    assert x * tilde + (1 - x) * hat < r
    # as printed, that is, with the arguments exchanged, nothing moves; `linear_factor` has this for every budget
    x = xi0_linear(hat, tilde, printed)
    assert x == 0
    assert is_zero(x * hat + (1 - x) * tilde - tilde)


def not_asked():
    """Stand for the slack of a law with a budget of its own."""
    raise AssertionError("the slack was asked for")


@check("decision procedure", "positive scalars")
def share_of_the_own_loss():
    """The forms of ExpSAV whose law is linear in r get min(r^, r~ + eta (r - r~)): r does not rise for any eta in [0, 1]."""
    eta, r = sp.symbols("eta r", positive=True)
    for form in ("implicit", "section_2.2.4", "theorem_2.2"):
        law = configured(ExpSAV, form=form).law(AbstractEnergy(Space()), None)
        values = sp.log(r), sp.log(v_tilde), sp.log(v_hat)
        seen = 0
        ways = branches(lambda law=law, v=values: relax(law, *v, not_asked, eta=eta))
        for given, (aux, _), _ in reached(ways, [eta <= 1, v_tilde <= r, e > 2], without_exponentials):
            new, bound = sp.exp(aux), v_tilde + eta * (r - v_tilde)
            smaller = sp.Or(sp.And(sp.Eq(new, v_hat), v_hat <= bound), sp.And(sp.Eq(new, bound), bound <= v_hat))
            assert follows(smaller, given)
            assert follows(new <= r, given)
            seen += 1
        assert seen >= 2


# %% [markdown]
# ## The law as data
#
# A scheme states how its auxiliary variable q enters its modified energy, and `relax` does the rest. For `Quadratic(weight, centre)`
# the modified energy holds $w\,|q - c|^2$, and the relaxed variable is the point of the segment, nearest to the consistent value, with
#
# $$w\,|q - c|^2 \le w\,|\tilde q - c|^2 + \text{slack}.$$
#
# Every $\tilde q$ is $c + p$ with some p, and every slack is $wB$ with some B, so that nothing is lost by writing them so.
#
# A two-step scheme needs the centre. The modified energy of BDF2 holds
#
# $$\tfrac12\bigl(r^2 + (2r - r_-)^2\bigr) = \tfrac52\bigl(r - \tfrac25 r_-\bigr)^2 + \tfrac1{10} r_-^2,$$
#
# $r_-$ the value one step earlier. It is the square of the length of the pair $(r, 2r - r_-)/\sqrt2$, and relaxing the pair is the same.


# %%
def slack_of(value):
    """Return a slack to be called."""
    return lambda: value


@check("decision procedure", "scalars of either sign, every weight, centre and slack")
def quadratic_law():
    """`relax` under Quadratic(w, c): the smallest xi in [0, 1] with w (q - c)^2 <= w (q~ - c)^2 + slack, and the q that it weighs."""
    p, q, centre = sp.symbols("p q c", real=True)
    weight = sp.Symbol("w", positive=True)
    for orientation in relaxation.ORIENTATIONS:
        base, other = (p, q) if orientation == "literature" else (q, p)
        seen, whole = 0, 0
        run = lambda o=orientation: relax(  # noqa: E731
            Quadratic(weight, centre), None, p + centre, q + centre, slack_of(weight * B), eta=None, orientation=o
        )
        for conditions, (aux, x), _ in reached(branches(run)):
            assert is_zero(sp.diff(aux, centre) - 1)  # what follows is about aux - c, in which c does not occur
            assert is_zero(sp.diff(x, centre))
            moved = sp.expand(aux - centre)
            assert follows(sp.Eq(moved, x * base + (1 - x) * other), conditions)
            assert follows(sp.And(x >= 0, x <= 1), conditions)
            assert follows(moved**2 <= base**2 + B, conditions)
            assert follows(sp.Or(sp.Eq(moved**2, base**2 + B), sp.Eq(x, 0)), conditions)
            too_far = (y * base + (1 - y) * other) ** 2 > base**2 + B
            assert follows(sp.Implies(sp.And(y >= 0, y < x), too_far), conditions)
            seen += 1
            whole += x == 0
        assert seen >= 3
        assert whole >= 1


@check("identity", "scalars of either sign, every weight and slack, the centres 0, 2 and -1/2")
def centre_that_is_a_number():
    """A number in the place of the centre c, 0 among them, is no case of its own: `relax` of q + c is c + `relax_quadratic` of q."""
    p, q = sp.symbols("p q", real=True)
    weight = sp.Symbol("w", positive=True)
    plain = {b.conditions: b.value for b in reached(branches(lambda: relax_quadratic(p, q, B)))}
    for number in (0, 2, -0.5):
        law = Quadratic(weight, number)
        for given, (aux, x), _ in reached(
            branches(lambda c=number, law=law: relax(law, None, p + c, q + c, slack_of(weight * B), eta=None))
        ):
            assert is_zero(aux - number - plain[given].aux)
            assert is_zero(x - plain[given].xi0)


def products(tilde, hat, slack):
    """Return the a, c and B of abstract vectors."""
    return (tilde - hat) @ (tilde - hat), hat @ hat - tilde @ tilde - slack, slack


@check(
    "identity",
    EVERY + ", every weight, centre and slack; the constraint is decided in `xi0_is_the_smallest_admissible`",
)
def quadratic_law_of_vectors():
    """Vectors: `relax` under Quadratic(w, c) returns q^ + xi_0 (q~ - q^), with w |q - c|^2 = w |q~ - c|^2 + slack where xi_0 > 0."""
    weight = sp.Symbol("w", positive=True)
    for orientation in relaxation.ORIENTATIONS:
        for centred in (True, False):
            V = Space()
            tilde, hat, c = V.vectors("p q c")
            law = Quadratic(weight, c) if centred else Quadratic(weight)
            centre = c if centred else V.zero
            base, other = (tilde, hat) if orientation == "literature" else (hat, tilde)
            excess = weight * ((other - centre) @ (other - centre) - (base - centre) @ (base - centre) - B)
            kept, bound = 0, 0
            run = lambda law=law, t=tilde, h=hat, o=orientation: relax(  # noqa: E731
                law, None, t, h, slack_of(weight * B), eta=None, orientation=o
            )
            with (
                patch.object(relaxation, "_quadratic_terms", products),
                patch.object(relaxation, "_within_bound", exact),
            ):
                ways = list(branches(run))
            for conditions, (aux, x) in ways:
                assert isinstance(aux, Vector)
                assert is_zero(aux - other - x * (base - other))
                asked = conditions[0]
                assert is_zero(weight * (asked.lhs - asked.rhs) - excess)
                if isinstance(asked, sp.LessThan):  # the definition itself is within the slack
                    assert x == 0
                    kept += 1
                elif x != 1:
                    assert isinstance(asked, sp.StrictGreaterThan)
                    spent = weight * ((aux - centre) @ (aux - centre) - (base - centre) @ (base - centre))
                    assert is_zero(spent - weight * B)
                    bound += 1
            assert (kept, bound) == (1, 1)


@check("decision procedure", "scalars of either sign, every slack")
def two_step_law():
    """BDF2: (r^2 + (2r - r_-)^2)/2 = (5/2)(r - 2 r_-/5)^2 + r_-^2/10, and `relax` with that weight and centre spends at most the slack."""
    r, old, p, q = sp.symbols("r r_old p q", real=True)
    law = Quadratic(sp.Rational(5, 2), 2 * old / 5)
    held = lambda r: (r**2 + (2 * r - old) ** 2) / 2  # noqa: E731
    assert is_zero(held(r) - law.weight * (r - law.centre) ** 2 - old**2 / 10)
    # as data, the law says what the modified energy says
    a, b = sp.symbols("a b", real=True)
    assert is_zero(held(a) - held(b) - law.weight * ((a - law.centre) ** 2 - (b - law.centre) ** 2))
    tilde, hat = p + law.centre, q + law.centre
    slack = law.weight * B
    spent = []
    for conditions, (aux, x), _ in reached(branches(lambda: relax(law, None, tilde, hat, slack_of(slack), eta=None))):
        rise = sp.expand(held(aux) - held(tilde))
        assert follows(rise <= slack, conditions)
        assert follows(sp.Or(sp.Eq(rise, slack), sp.Eq(x, 0)), conditions)
        spent.append(not impossible([*conditions, x > 0, x < 1]))
    assert any(spent)
    # relaxing the pair (r, 2r - r_-)/sqrt 2 is the same: a, c and B are those of the centred scalar, all times the weight
    pair = lambda r: np.array([r, 2 * r - old], dtype=object) / sp.sqrt(2)  # noqa: E731
    of_pair = relaxation._quadratic_terms(pair(tilde), pair(hat), slack)
    of_scalar = relaxation._quadratic_terms(tilde - law.centre, hat - law.centre, slack / law.weight)
    for one, two in zip(of_pair, of_scalar, strict=True):
        assert is_zero(one - law.weight * two)
    length, c, factor = sp.Symbol("a", nonnegative=True), sp.Symbol("c", real=True), sp.Symbol("f", positive=True)
    met = 0
    for one in reached(branches(lambda: xi0_of(length, c, B))):
        for two in reached(branches(lambda: xi0_of(factor * length, factor * c, factor * B)), one.conditions):
            assert follows(sp.Eq(one.value, two.value), two.conditions)
            met += 1
    assert met >= 2


@check("decision procedure", "positive scalars")
def logarithmic_law():
    """`relax` under Logarithmic(kappa): kappa s_new <= kappa s~ + slack; with a budget of its own, r_new <= r~ + eta (r - r~), swapped by r^."""
    kappa, r, eta = sp.symbols("kappa r eta", positive=True)
    tilde, hat = sp.log(v_tilde), sp.log(v_hat)
    for orientation in relaxation.ORIENTATIONS:
        kept, near = (v_hat, v_tilde) if orientation == "literature" else (v_tilde, v_hat)
        run = lambda o=orientation: relax(  # noqa: E731
            Logarithmic(kappa), None, tilde, hat, slack_of(kappa * sp.log(m)), eta=None, orientation=o
        )
        own, none = (
            lambda share=share, o=orientation: relax(
                Logarithmic(kappa, own_loss=True), sp.log(r), tilde, hat, not_asked, eta=share, orientation=o
            )
            for share in (eta, 0)
        )
        ways = [(run, v_tilde * (m - 1)), (own, eta * (r - v_tilde)), (none, 0)]
        for way, budget in ways:
            seen = 0
            known = [m >= 1, eta <= 1, v_tilde <= r, e > 2]
            for given, (aux, x), _ in reached(branches(way), known, without_exponentials):
                new, bound = sp.exp(aux), near + budget
                least = sp.Or(sp.And(sp.Eq(new, kept), kept <= bound), sp.And(sp.Eq(new, bound), bound <= kept))
                assert follows(least, given)
                assert follows(sp.Eq(new, x * near + (1 - x) * kept), given)
                assert follows(sp.And(x >= 0, x <= 1), given)
                seen += 1
            assert seen >= 2


@check("arithmetic", "v~ = 1, 2 and 5, v^ = 2 and 5, exact logarithms")
def logarithms_by_numbers():
    """Slacks of factor 2, 3 and 6/5: log 1 to log 5 becomes log 2; swapped, log 5 to log 2 becomes log 3; xi_0 = 0 where v^ is within."""
    one, two, five = sp.Integer(0), sp.log(2), sp.log(5)
    moved = relax(Logarithmic(3), None, one, five, slack_of(3 * sp.log(2)), eta=None)
    assert is_zero(moved.aux - two)
    assert is_zero(moved.xi0 - sp.Rational(3, 4))  # 2 = 3/4 * 1 + 1/4 * 5
    swapped = relax_log(five, two, sp.log(sp.Rational(6, 5)), orientation="swapped")
    assert is_zero(sp.exp(swapped.aux) - 3)  # v^ + B with B = 5 (6/5 - 1) = 1
    assert is_zero(swapped.xi0 - sp.Rational(2, 3))
    assert is_zero(xi0_log(one, five, two) - sp.Rational(3, 4))
    for tilde, hat, slack in ((five, two, 0), (five, two, two), (one, two, sp.log(3)), (two, two, 0)):
        assert is_zero(xi0_log(tilde, hat, slack))
    half = sp.Rational(1, 2)  # of what r has lost, from 2 to 1 and from 4 to 1
    assert is_zero(sp.exp(relaxation._own_loss(sp.log(2), half)) - sp.Rational(3, 2))
    assert is_zero(sp.exp(relaxation._own_loss(sp.log(4), half)) - sp.Rational(5, 2))


@check("identity", "every x = log(r / r~), every eta")
def own_loss_is_a_share():
    """log(1 - eta + eta e^x) by either of the code's expressions, eta = 0 included: r~ e^l - r~ = eta (r - r~)."""
    x, eta = sp.Symbol("x", real=True), sp.Symbol("eta", positive=True)
    ways = list(reached(branches(lambda: relaxation._own_loss(x, eta))))
    assert {branch.conditions for branch in ways} == {(x < 30,), (x >= 30,)}
    for branch in ways:
        assert is_zero(sp.exp(branch.value) - (1 - eta + eta * sp.exp(x)))
    assert relaxation._own_loss(x, 0) == 0
