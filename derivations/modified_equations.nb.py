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
# # Modified equations
#
# A step of size $\Delta t$ is, as a formal series, the exact flow of a *modified field* $\tilde f = f_1 + \Delta t f_2 + \Delta t^2
# f_3 + \dots$ What follows is derived by running the `step` of the schemes on *jets*, `gradflow.backward_error.lie`: the partial
# derivatives of the energy at one point are independent symbols, so that an identity holds for every smooth energy of that many
# variables. Where it says "every dimension and inner product", the step has run on abstract vectors instead.
#
# Notation: $g = \nabla E$, $H = \nabla^2 E$, $T[u, v] = D^3E[u, v]$, all at one point. Gradient descent has
#
# $$\tilde f = -g - \tfrac{\Delta t}2 Hg - \Delta t^2\bigl(\tfrac13 H^2 g + \tfrac1{12} T[g, g]\bigr) + O(\Delta t^3).$$
#
# Its first two terms are $-\nabla(E + \tfrac{\Delta t}4|g|^2)$, the *implicit regularization* of Barrett & Dherin (2021). The third is
# no gradient. The document "Why the learning rate should not be too small" prints other terms from the second order on; they are
# refuted here.

# %%
from math import factorial

import numpy as np
import sympy as sp

from gradflow import (
    IEQ,
    SAV,
    ElementwiseSAV,
    ExpSAV,
    GradientDescent,
    HeavyBall,
    Nesterov,
    Restart,
    RungeKutta4,
    SourceSAV,
)
from gradflow.backward_error.lie import bernoulli_field, jet_field
from gradflow.proofs import check
from gradflow.schemes.adam import adam_update
from gradflow.schemes.adaptive_ieq import adaptive_ieq_update
from gradflow.schemes.gradient_descent import gradient_descent_update
from gradflow.schemes.state import AuxState, FlowState
from gradflow.symbolic import Space, configured, is_small, is_zero
from gradflow.symbolic.taylor import SmoothEnergy

EVERY = "every dimension, inner product and energy with four continuous derivatives"
TWO = "every smooth energy of two variables"
dt, C, kappa, beta, z = sp.symbols("dt C kappa beta z", positive=True)
Q = sp.QQ


class At:
    """g, H and T of an energy at a point, as elements of the algebra of a modified field."""

    def __init__(self, algebra, n=2):
        self.algebra, self.n = algebra, n
        self.g = [algebra.jet(i) for i in range(n)]

    def H(self, u):
        """Return H u."""
        return [self.algebra.lie(self.over(u), p) for p in self.g]

    def T(self, u, v):
        """Return D^3E[u, v]."""
        a, n = self.algebra, range(self.n)
        return [sum((a.jet(i, j, k) * u[j] * v[k] for j in n for k in n), a.ring.zero) for i in n]

    def over(self, u):
        """Return the field u, which leaves the memory of the scheme alone."""
        return [*u, *[self.algebra.ring.zero] * (len(self.algebra.variables) - self.n)]

    def dot(self, u, v):
        """Return the sum of products."""
        return sum((x * y for x, y in zip(u, v, strict=True)), self.algebra.ring.zero)

    def sum(self, *terms):
        """Return the sum of c u over the pairs c, u."""
        c = [self.algebra.element(c) for c, _ in terms]
        return [
            sum((a * p for a, p in zip(c, column, strict=True)), self.algebra.ring.zero)
            for column in zip(*(u for _, u in terms), strict=True)
        ]

    def same(self, u, v):
        """Return whether two fields are equal."""
        return self.algebra.is_zero(*(p - q for p, q in zip(u, v, strict=True)))

    def parallel(self, u, v):
        """Return whether one field is a multiple of the other."""
        pairs = [(i, j) for i in range(self.n) for j in range(i)]
        return self.algebra.is_zero(*(u[i] * v[j] - u[j] * v[i] for i, j in pairs))


def found(scheme, order, n=2, **more):
    """Return the fields of a scheme, restricted to theta, and g, H, T."""
    field = jet_field(scheme, order, variables=n, **more)
    return [f[:n] for f in field.field], At(field.algebra, n), field


def without_third(algebra, p):
    """Return an element at a point where the third and higher derivatives vanish."""
    kept = [k for k, s in enumerate(algebra.ring.symbols) if sum(algebra.record.jets.get(s, ("", (0,)))[1]) > 2]
    return algebra.ring.from_dict({e: c for e, c in p.terms() if not any(e[k] for k in kept)})


def degrees(algebra, f):
    """Return the degrees of the terms of a field in the energy and in derivatives."""
    weights = [sum(algebra.record.jets[s][1]) if s in algebra.record.jets else None for s in algebra.ring.symbols]
    result = set()
    for p in f:
        for exponents, _ in p.terms():
            used = [(k, w) for k, w in zip(exponents, weights, strict=True) if k]
            result.add((sum(k for k, _ in used), sum(k * w for k, w in used)))
    return result


half, third, twelfth = sp.Rational(1, 2), sp.Rational(1, 3), sp.Rational(1, 12)

# %% [markdown]
# ## Gradient descent


# %%
@check("identity", "every smooth energy of one to three variables; " + EVERY, proves=("C003-12",))
def gradient_descent_to_first_order():
    """f_2 = -Hg/2 = -grad |g|^2 / 4: to first order gradient descent follows the flow of E + dt |g|^2 / 4."""
    for n in (1, 2, 3):
        (f1, f2), at, _ = found(GradientDescent(), 2, n)
        assert at.same(f1, at.sum((-1, at.g)))
        assert at.same(f2, at.sum((-half, at.H(at.g))))
        assert at.same(f2, at.sum((-sp.Rational(1, 4), at.algebra.gradient(at.dot(at.g, at.g)))))
        assert not at.same(f2, at.sum((half, at.H(at.g))))  # the sign printed in (2.15)
    # on abstract vectors: theta + dt f_1 + dt^2 (f_2 + f_1' f_1 / 2), f_1' f_1 = Hg
    V = Space()
    theta, v = V.vectors("theta v")
    problem = SmoothEnergy(V, theta, dt, 3)
    g, H = problem.g, problem.hessian
    new = GradientDescent().step(problem, FlowState(theta), dt).theta
    assert is_small(new - problem.flow() + dt**2 / 2 * H(g), dt, 3)
    assert not is_small(new - problem.flow(), dt, 3)
    there = problem.energy_and_gradient(theta + dt * v)[1]
    slope = V.inner(there, there) - V.inner(g, g)
    assert is_small(slope - dt * V.inner(2 * H(g), v), dt, 2)  # grad |g|^2 = 2 Hg


def second_derivatives(problem, u, v):
    """Return D^3F[u, v], from the Taylor polynomials of the gradient in the directions u + v and u - v."""
    parts = [
        problem.series(problem.energy_and_gradient(problem.theta + problem.dt * w)[1], 2)[2] for w in (u + v, u - v)
    ]
    return (parts[0] - parts[1]) / 2


@check("identity", "every smooth energy of one to three variables; " + EVERY)
def gradient_descent_to_second_order():
    """f_3 = -(H^2 g / 3 + D^3E[g, g] / 12); by (4) of the recursion D^2 g is +T + H^2 g along the flow."""
    for n in (1, 2, 3):
        (f1, _, f3), at, _ = found(GradientDescent(), 3, n)
        HHg, T = at.H(at.H(at.g)), at.T(at.g, at.g)
        assert at.same(f3, at.sum((-third, HHg), (-twelfth, T)))
        twice = [at.algebra.lie(f1, at.algebra.lie(f1, p)) for p in at.g]
        assert at.same(twice, at.sum((1, T), (1, HHg)))
    V = Space()
    theta = V.vector("theta")
    problem = SmoothEnergy(V, theta, dt, 4)
    g, H = problem.g, problem.hessian
    T = second_derivatives(problem, g, g)
    new = GradientDescent().step(problem, FlowState(theta), dt).theta
    f2, f3 = -H(g) / 2, -H(H(g)) / 3 - T / 12
    # derivatives of f_1 = -g along u are -Hu, of Hg they are T[u, g] + HHu
    f1_f1, f1_f2, f2_f1, f1_f1_f1 = H(g), H(H(g)) / 2, (T + H(H(g))) / 2, -(T + H(H(g)))
    series = theta - dt * g + dt**2 * (f2 + f1_f1 / 2) + dt**3 * (f3 + (f1_f2 + f2_f1) / 2 + f1_f1_f1 / 6)
    assert is_small(new - series, dt, 4)
    assert not is_small(new - series + dt**3 * H(H(g)) / 12, dt, 4)


@check(
    "counterexample",
    "every smooth energy of two variables, where a printed identity is general; n = 2",
    refutes=("C003-18", "C003-19", "C003-20", "C003-21", "C003-22", "C003-23"),
)
def printed_second_order_fails():
    """(2.14), (2.15), (2.16), (2.17b), (2.18) as printed: none is the second order, none of the identities holds."""
    (f1, f2, f3), at, _ = found(GradientDescent(), 3)
    a, g = at.algebra, at.g
    Hg, HHg, T = at.H(g), at.H(at.H(g)), at.T(g, g)
    twice = [a.lie(f1, a.lie(f1, p)) for p in g]
    assert not at.same(twice, at.sum((-1, T), (1, HHg)))  # (2.14)
    printed = at.sum((-twelfth, T), (twelfth, HHg))
    assert not at.same(f2, at.sum((half, Hg)))  # (2.15), first order
    assert not at.same(f3, printed)  # (2.15), second order
    loss = at.dot(g, HHg)
    assert not at.same(f3, at.sum((-sp.Rational(1, 24), a.gradient(loss))))  # (2.16)
    assert not at.same(a.gradient(loss), at.sum((2, T), (2, HHg)))  # (2.17b)
    assert at.same(a.gradient(loss), at.sum((2, at.H(HHg)), (2, at.T(g, Hg))))
    assert at.same(a.gradient(at.dot(g, Hg)), at.sum((2, HHg), (1, T)))
    # (2.18): 2Au + (dA)[u, u] for u = g, A = H leaves out the derivative of u, which is H
    assert not at.same(a.gradient(at.dot(g, Hg)), at.sum((2, Hg), (1, T)))
    # (2.17b), without third derivatives, and (2.15) differ from each other
    flat = lambda v: [without_third(a, p) for p in v]  # noqa: E731
    assert not at.same(flat(at.sum((-twelfth, HHg))), flat(printed))
    assert not at.same(flat(f3), flat(printed))


@check("identity", TWO)
def terms_of_a_loss_have_its_units():
    """Each term of f_n is of degree n in the energy and of degree 2n - 1 in d/dtheta; grad (g, H^2 g) has degrees 4 and 7, f_3 has 3 and 5."""
    fields, at, _ = found(GradientDescent(), 5)
    for n, f in enumerate(fields, 1):
        assert degrees(at.algebra, f) == {(n, 2 * n - 1)}
    wrong = at.algebra.gradient(at.dot(at.g, at.H(at.H(at.g))))
    assert degrees(at.algebra, wrong) == {(4, 7)}


@check(
    "counterexample", "E = x^2/2 + y^2 + x^2 y/2 at (1, 1); every smooth energy of two variables", refutes=("C003-14",)
)
def gradient_descent_has_no_loss_at_second_order():
    """The curl of f_3 is -5/12 at (1, 1) for E = x^2/2 + y^2 + x^2 y/2; f_3 = -grad (g, Hg)/12 - H^2 g/6 in general."""
    x, y = sp.symbols("x y")
    (_, f2, f3), at, _ = found(GradientDescent(), 3)
    a, g = at.algebra, at.g
    assert a.is_zero(*a.curl(f2))
    (curl,) = a.curl(f3)
    value = a.at(curl, x**2 / 2 + y**2 + x**2 * y / 2, (x, y))
    assert is_zero(value + x * (x**2 - 2 * y**2 + 4 * y + 2) / 12)
    assert value.subs({x: 1, y: 1}) == -sp.Rational(5, 12)
    assert at.same(f3, at.sum((-twelfth, a.gradient(at.dot(g, at.H(g)))), (-third / 2, at.H(at.H(g)))))
    # separable energies and quadratics have one
    assert is_zero(a.at(curl, x**4 + sp.exp(y), (x, y)))
    assert is_zero(a.at(curl, x**2 + 3 * x * y - y**2, (x, y)))


# %% [markdown]
# ## Bernoulli's numbers
#
# $e^{\Delta t D} - I = \Delta t f$ gives, for explicit Euler, $\tilde f = \sum_k \frac{B_k}{k!} (\Delta t D)^k f$ with the
# derivative D along the modified flow. D contains $\tilde f$: the formula must be iterated.


# %%
@check("identity", "every smooth energy of two variables to sixth order, of three to fifth")
def bernoulli_numbers_give_the_modified_field():
    """The recursion with x / (e^x - 1) = sum B_k x^k / k!, B_1 = -1/2, gives the field of the Lie series."""
    for n, order in ((1, 6), (2, 6), (3, 5)):
        fields, at, field = found(GradientDescent(), order, n)
        assert bernoulli_field(at.algebra, field.field[0], order) == field.field
        assert len(fields) == order


@check("identity", "formal power series, to order 9", proves=("C003-04",), refutes=("C003-05", "C003-06"))
def bernoulli_generating_function():
    """z / (e^z - 1) has the coefficients 1, -1/2, 1/12, 0, -1/720, ...; D / (e^(dt D) - I), as in (2.9), has them divided by dt."""
    series = sp.series(z / (sp.exp(z) - 1), z, 0, 10).removeO()
    numbers = [series.coeff(z, k) * factorial(k) for k in range(10)]
    assert numbers[:5] == [1, -half, sp.Rational(1, 6), 0, -sp.Rational(1, 30)]
    assert all(numbers[k] == 0 for k in (3, 5, 7, 9))
    assert numbers[2:] == [sp.bernoulli(k) for k in range(2, 10)]
    left = z / (sp.exp(dt * z) - 1)
    printed = 1 - dt * z / 2 + dt**2 * z**2 / 12  # (2.10)
    assert not is_zero(sp.limit(left - printed, z, 0))
    assert is_zero(sp.limit(left - printed / dt, z, 0))
    assert is_zero(sp.series(left - printed / dt + dt**3 * z**4 / 720, z, 0, 6).removeO())


@check("identity", TWO)
def one_iteration_is_not_enough():
    """D g = -Hg to leading order only: with D g = -Hg, D^2 g = T + H^2 g in (6) the second order lacks -H^2 g / 4."""
    (f1, f2, f3), at, _ = found(GradientDescent(), 3)
    HHg, T = at.H(at.H(at.g)), at.T(at.g, at.g)
    D = lambda f: [at.algebra.lie(f, p) for p in at.g]  # noqa: E731
    assert at.same(D(f1), at.sum((-1, at.H(at.g))))
    assert at.same(D(f2), at.sum((-half, HHg)))
    once = at.sum((-twelfth, T), (-twelfth, HHg))  # from D^2/12 alone
    assert at.same(f3, at.sum((1, once), (-sp.Rational(1, 4), HHg)))


# %% [markdown]
# ## Critical points and quadratics
#
# Where $g = 0$, a step is linearised by $I - \Delta t H$, and the modified field by the logarithm of it.


# %%
@check(
    "identity",
    "every smooth energy of two variables, to sixth order; GradientDescent on E = k theta^2/2, dt k < 1",
    proves=("C003-25",),
)
def hessian_of_the_loss_at_a_critical_point():
    """At g = 0 the derivative of f_n is -H^n/n: the modified Hessian is -log(I - dt H)/dt = H + dt H^2/2 + dt^2 H^3/3 + ..."""
    fields, at, _ = found(GradientDescent(), 6)
    a, rows = at.algebra, range(2)
    H = sp.Matrix(2, 2, lambda i, j: a.jet(i, j).as_expr())
    for n, f in enumerate(fields, 1):
        for i in rows:
            for j in rows:
                p = a.derivative(f[i], j)
                for first in at.g:
                    p = p.subs(first, 0)
                assert is_zero(p.as_expr() + (H**n)[i, j] / n)
    assert is_small(sp.log(1 - z) + sum(z**n / n for n in range(1, 7)), z, 7)


@check("identity", "quadratics of any dimension, in coordinates in which H is diagonal, dt k < 1 in each")
def quadratics_exactly():
    """theta' = log(1 - dt k)/dt theta takes theta to (1 - dt k) theta in the time dt, exactly; with dt k = 1 one step ends at 0, where the logarithm is infinite, and for dt k > 1 it is not real."""
    k, t, s = sp.symbols("k theta s", positive=True)
    small = sp.Symbol("s", positive=True)
    new = gradient_descent_update(t, k * t, dt=dt, solve=lambda u: u)
    slope = sp.log(1 - dt * k) / dt
    solution = t * sp.exp(slope * small)
    assert is_zero(sp.diff(solution, small) - slope * solution)
    assert is_zero(solution.subs(small, dt) - new)
    assert is_zero(new.subs(k, 1 / dt))
    assert sp.limit(-sp.log(1 - s), s, 1, "-") == sp.oo
    assert sp.im(sp.log(1 - sp.Rational(3, 2))) == sp.pi
    # the second order of the loss is dt^2 (g, Hg)/6, not the printed (g, H^2 g)/24
    (_, _, f3), at, _ = found(GradientDescent(), 3)
    flat = [without_third(at.algebra, p) for p in f3]
    loss = at.algebra.gradient(at.dot(at.g, at.H(at.g)))
    assert at.same(flat, [without_third(at.algebra, p) for p in at.sum((-third / 2, loss))])
    x = sp.symbols("x y")
    one = at.algebra.at(f3[0], k * x[0] ** 2 / 2, x)
    assert is_zero(one + sp.diff(k**3 * x[0] ** 2 / 6, x[0]))
    assert not is_zero(one + sp.diff(k**4 * x[0] ** 2 / 24, x[0]))


@check("arithmetic", "E = k theta^2/2 and the printed k (1 + dt k/2); 60 digits")
def truncation_against_the_exact_eigenvalue():
    """Printed over exact: -0.3 % at dt k = 0.1, -9.8 % at 0.5, -43 % at 0.9, -68 % at 0.99; 150 against infinity at 1; for k = -300, dt = 0.01 the sign is wrong."""
    printed = lambda k: k * (1 + z * k / 2)  # noqa: E731
    exact = lambda k: -sp.log(1 - z * k) / z  # noqa: E731
    errors = [
        (printed(k) / exact(k) - 1).subs(z, 1).evalf(20) for k in map(sp.Rational, ("1/10", "1/2", "9/10", "99/100"))
    ]
    assert [round(float(100 * e), 1) for e in errors] == [-0.3, -9.8, -43.3, -67.9]
    step = sp.Rational(1, 100)
    assert printed(100).subs(z, step) == 150
    assert exact(100).subs(z, step) == sp.zoo
    assert abs(exact(1).subs(z, step) - sp.Rational("1.0050336")) < sp.Rational(1, 10**7)
    assert printed(-300).subs(z, step) > 0 > exact(-300).subs(z, step)
    assert printed(-100).subs(z, step) < 0  # up to dt |k| = 2 the sign is right


# %% [markdown]
# ## Scalar auxiliary variables
#
# A scheme with $\theta^{n+1} = \theta^n - \Delta t\,\rho\,g$ and a number $\rho = 1 + O(\Delta t)$ has the orbits of gradient descent to
# second order, whatever $\rho$ is: only the clock is another one.


# %%
def adaptive_ieq(problem, theta, step):
    """Return theta after a step of adaptive IEQ, the invariant form, with epsilon = 2C."""
    E, g = problem.energy_and_gradient(theta)
    return adaptive_ieq_update(theta, 1, g, 2 * E, dt=step, eps=2 * C, inner=problem.inner)[0]


PHI = {  # phi(E): the scheme is late by the change of phi along the flow, in steps
    "restarted SAV": (Restart(configured(SAV, C=C)), lambda E: -sp.log(E + C) / 2),
    "source SAV": (configured(SourceSAV, C=C), lambda E: -sp.log(E + C) / 2),
    "adaptive IEQ": (adaptive_ieq, lambda E: -sp.log(E + C) / 2),
    "ExpSAV": (configured(ExpSAV, scale=kappa), lambda E: -E / kappa),
    "restarted ExpSAV": (Restart(configured(ExpSAV, scale=kappa)), lambda E: -E / kappa),
    "section 2.2.4, restarted": (
        Restart(configured(ExpSAV, scale=kappa, form="section_2.2.4")),
        lambda E: sp.exp(-E / kappa),
    ),
}
"""Schemes whose auxiliary variable is restarted, or does not enter theta, with phi."""


@check("identity", "every smooth energy of two and three variables, every C and kappa")
def scalar_auxiliary_variables_change_the_clock_only():
    """f_2 = -Hg/2 + s g with a number s: the field is (1 - dt s) times -grad(E + dt |g|^2/4), up to O(dt^2); it is no gradient."""
    for n in (2, 3):
        for scheme, _ in PHI.values():
            (f1, f2), at, _ = found(scheme, 2, n)
            a, Hg = at.algebra, at.H(at.g)
            assert at.same(f1, at.sum((-1, at.g)))
            assert at.parallel(at.sum((1, f2), (half, Hg)), at.g)
            assert not at.parallel(f2, at.g)
            assert not at.parallel(at.sum((1, f2), (-half, Hg)), at.g)
            assert not at.parallel(at.sum((1, f2), (1, Hg)), at.g)
            assert not a.is_zero(*a.curl(f2))


@check("identity", EVERY)
def scalar_auxiliary_variables_in_every_dimension():
    """On abstract vectors, restarted: theta_new = theta - dt g + dt^2 s g + O(dt^3), s = |g|^2/(2(E + C)) for SAV, |g|^2/kappa for ExpSAV."""
    for scheme, weight in (
        (Restart(configured(SAV, C=C)), lambda E: 1 / (2 * (E + C))),
        (Restart(configured(ExpSAV, scale=kappa)), lambda E: 1 / kappa),
        (Restart(configured(ExpSAV, scale=kappa, form="explicit")), lambda E: 0),
    ):
        V = Space()
        theta = V.vector("theta")
        problem = SmoothEnergy(V, theta, dt, 3)
        g, E = problem.g, problem.F
        new = scheme.step(problem, AuxState(theta, None), dt).theta
        late = dt**2 * V.inner(g, g) * weight(E) * g
        assert is_small(new - theta + dt * g - late, dt, 3)
        # f_2 = d_2 - Hg/2, with the flow of E to second order
        assert is_small(new - problem.flow() + dt**2 / 2 * problem.hessian(g) - late, dt, 3)
        assert not is_small(new - problem.flow() - dt**2 / 2 * problem.hessian(g) - late, dt, 3)


@check("identity", "every smooth energy of two variables, every C, kappa, r and s")
def persistent_auxiliary_variables_change_the_clock_only():
    """With rho = r/R at dt = 0, f_1 = -rho g and f_2 + rho^2 Hg/2 is a multiple of g: the orbits of E + rho dt |g|^2/4."""
    for scheme in (
        configured(SAV, C=C),
        configured(ExpSAV, scale=kappa, form="explicit"),
        configured(ExpSAV, scale=kappa, form="section_2.2.4"),
        configured(ExpSAV, scale=kappa, form="theorem_2.2"),
    ):
        (f1, f2), at, field = found(scheme, 2)
        assert field.variables == ("theta_0", "theta_1", "aux")
        assert at.parallel(f1, at.g)
        a = at.algebra
        # f_2 + rho^2 Hg/2 is parallel to g; times g_0^2, rho^2 = (f_1)_0^2 / g_0^2
        scaled = [f1[0] ** 2 * p / 2 + at.g[0] ** 2 * q for p, q in zip(at.H(at.g), f2, strict=True)]
        assert at.parallel(scaled, at.g)
        assert not at.parallel([f1[0] ** 2 * p + at.g[0] ** 2 * q for p, q in zip(at.H(at.g), f2, strict=True)], at.g)
        assert not a.is_zero(*f2)


@check("identity", "every smooth energy of two variables, every C and kappa")
def consistency_is_kept_to_leading_order():
    """Along f_1, log rho has the derivative (rho - 1) |g|^2/(2(E + C)) for SAV, (rho - rho^2) |g|^2/kappa for explicit ExpSAV: 0 for rho = 1."""
    for scheme, form in ((configured(SAV, C=C), "SAV"), (configured(ExpSAV, scale=kappa, form="explicit"), "explicit")):
        _, at, field = found(scheme, 1)
        a, f1 = at.algebra, field.field[0]
        aux, E = a.generators[a.variables[2]], a.jet()
        square, kinetic = at.dot(at.g, at.g), a.element(kappa if form == "explicit" else C)
        rho_g = [-p for p in f1[:2]]
        if form == "SAV":  # rho^2 = r^2/(E + C): (E + C) D(r^2) - r^2 D(E + C) = (E + C)^2 D rho^2
            U = E + kinetic
            D = U * a.lie(f1, aux**2) - aux**2 * a.lie(f1, U)
            # D rho^2 = 2 rho^2 (rho - 1) |g|^2 / (2 U), and rho g_0 = -(f_1)_0
            assert a.is_zero(D * at.g[0] - aux**2 * square * (rho_g[0] - at.g[0]))
        else:  # log rho = s - E/kappa - log C
            D = kinetic * a.lie(f1, aux) - a.lie(f1, E)
            assert a.is_zero(D * at.g[0] ** 2 - square * (rho_g[0] * at.g[0] - rho_g[0] ** 2))


@check("identity, argument", "every smooth energy of two and three variables, every C and kappa, restarted")
def the_lag_theorem():
    """f_2 of the scheme less f_2 of gradient descent is -(D phi) f_1, D along the flow: the scheme is gradient descent that is late by phi(E_n) - phi(E_0) steps.

    Argument. Let x be the solution of the modified equation of gradient descent and y(t) = x(t - dt (phi(y(t)) - phi(x(0)))). Then y' =
    (1 - dt D phi) f(y) + O(dt^2), which is the modified equation of the scheme up to O(dt^2), and y(0) = x(0). So on a fixed
    interval theta_n = x(t_n - dt (phi(theta_n) - phi(theta_0))) + O(dt^2): with restarted SAV, phi = -log(E + C)/2, half the logarithm of
    the ratio of the energies; with ExpSAV, phi = -E/kappa, their difference. The lemma is the identity of the fields.
    """
    E = sp.Symbol("E", positive=True)
    for n in (2, 3):
        for scheme, phi in PHI.values():
            (f1, f2), at, _ = found(scheme, 2, n)
            (_, plain_f2), plain, _ = found(GradientDescent(), 2, n)
            assert plain.same(plain_f2, plain.sum((-half, plain.H(plain.g))))
            slope = at.algebra.element(sp.diff(phi(E), E))  # phi'(E)
            D_phi = slope * at.algebra.lie(f1, at.algebra.jet())
            difference = at.sum((1, f2), (half, at.H(at.g)))
            assert at.same(difference, [-D_phi * p for p in f1])
            assert not at.same(difference, [-2 * D_phi * p for p in f1])
            assert not at.same(difference, [D_phi * p for p in f1])
    # phi does not decrease along the flow: these schemes are late, never early
    for _, phi in PHI.values():
        assert (-sp.diff(phi(E), E)).is_positive


@check("counterexample", TWO)
def an_auxiliary_variable_for_each_coordinate_changes_the_orbit():
    """Element-wise SAV has f_2 = -Hg/2 + (g_i^2/(2(E + C))) g_i: not a multiple of g, and the orbit is another one."""
    (_, f2), at, _ = found(Restart(configured(ElementwiseSAV, C=C)), 2)
    a = at.algebra
    U = a.jet() + a.element(C)
    rest = at.sum((1, f2), (half, at.H(at.g)))
    assert at.same([2 * U * p for p in rest], [g**3 for g in at.g])
    assert not at.parallel(rest, at.g)


# %% [markdown]
# ## Invariant energy quadratization
#
# Restarted IEQ is Levenberg-Marquardt, $\theta^{n+1} = \theta^n - \Delta t\,(I + \Delta t\,G)^{-1} g$ with $G = J^T J$. With the
# curvature $R = \sum_i q_i \nabla^2 q_i = H - G$ of the residuals, $d_2 = Gg$ instead of 0, and $f_2 = \tfrac12(G - R)g$.


# %%
def least_squares(a, n, residuals):
    """Return g, Hg, Gg of half the sum of squares of residuals."""
    q = [a.jet(name=f"q{k}") for k in range(residuals)]
    E = sum((p * p for p in q), a.ring.zero) / 2
    g = list(a.gradient(E))
    J = [a.gradient(p) for p in q]
    Jg = [sum((x * y for x, y in zip(row, g, strict=True)), a.ring.zero) for row in J]
    Gg = [sum((row[i] * c for row, c in zip(J, Jg, strict=True)), a.ring.zero) for i in range(n)]
    Hg = [a.lie(g, p) for p in g]
    return g, Hg, Gg


def straight(algebra, p):
    """Return an element where the second and higher derivatives of the residuals vanish."""
    bent = [k for k, s in enumerate(algebra.ring.symbols) if sum(algebra.record.jets.get(s, ("", (0,)))[1]) > 1]
    return algebra.ring.from_dict({e: c for e, c in p.terms() if not any(e[k] for k in bent)})


@check("identity", "every smooth residual, (variables, residuals) = (1, 1), (2, 1), (2, 2), (2, 3), (3, 2)")
def ieq_reverses_the_regularization():
    """f_2 = (G - R) g/2: with R = 0 it is +Hg/2, and the loss is E - dt |g|^2/4; in general -(I + dt G)^-1 grad(E + dt |g|^2/4)."""
    for n, residuals in ((1, 1), (2, 1), (2, 2), (2, 3), (3, 2)):
        field = jet_field(Restart(IEQ()), 2, variables=n, residuals=residuals)
        (f1, f2), a = field.field, field.algebra
        g, Hg, Gg = least_squares(a, n, residuals)
        same = lambda u, v, a=a: a.is_zero(*(p - q for p, q in zip(u, v, strict=True)))  # noqa: E731
        assert same(f1, [-p for p in g])
        assert same(f2, [p - q / 2 for p, q in zip(Gg, Hg, strict=True)])  # R = H - G
        # residuals without curvature: H = G
        flat = [straight(a, p) for p in f2]
        square = sum((p * p for p in g), a.ring.zero)
        assert same(flat, [straight(a, p) / 4 for p in a.gradient(square)])
        assert not same(flat, [-straight(a, p) / 4 for p in a.gradient(square)])
        # P = (I + dt G)^-1 = I - dt G: P grad(E + dt |g|^2/4) = g + dt (grad |g|^2/4 - Gg)
        assert same(f2, [-(p / 4 - q) for p, q in zip(a.gradient(square), Gg, strict=True)])
        if n > 1 and residuals > 1:
            assert not a.is_zero(*a.curl(f2))  # no loss in the Euclidean product


# %% [markdown]
# ## Momentum
#
# After a transient the increment d is a function of theta. In the time $t = n\,\Delta t$, the fields are those of the step on this
# slow manifold; in the time $n h$, $h = \Delta t/(1 - \beta)$, in which both methods follow $\theta' = -g$, divide $f_n$ by
# $(1 - \beta)^{-n}$.

# %%
B = sp.Symbol("beta", positive=True)


def in_slow_time(fields):
    """Return the coefficients of h^0, h^1, ... of theta' in the time n h, h = dt / (1 - beta)."""
    return [(1 - B) ** k for k in range(1, len(fields) + 1)]


@check("identity", "every smooth energy of one to three variables, every beta")
def momentum_changes_the_first_order():
    """In h = dt/(1 - beta): E + h (1 + beta)/(4 (1 - beta)) |g|^2 for the heavy ball, h (1 - beta + 2 beta^2)/(4 (1 - beta)) for Nesterov."""
    for n in (1, 2, 3):
        for method, factor in ((HeavyBall, 1 + B), (Nesterov, 1 - B + 2 * B**2)):
            (f1, f2), at, _ = found(configured(method, momentum=B), 2, n)
            one, two = in_slow_time((f1, f2))
            assert at.same(at.sum((one, f1)), at.sum((-1, at.g)))
            c = factor / (4 * (1 - B))
            square = at.algebra.gradient(at.dot(at.g, at.g))
            assert at.same(at.sum((two, f2)), at.sum((-c, square)))
            assert not at.same(
                at.sum((two, f2)), at.sum((-sp.Rational(1, 4), square))
            )  # (5.11): dt |g|^2/4 as without momentum
            assert not at.same(at.sum((two, f2)), at.sum((-1 / (2 * (1 - B)), at.H(at.g))))  # from the corrected (5.10)


@check("identity", "every smooth energy of two variables, every beta")
def momentum_to_second_order():
    """f_3 in h: heavy ball -(1 + 4b + b^2)/(3 (1 - b)^2) H^2 g - (1 + 10b + b^2)/(12 (1 - b)^2) T; Nesterov 1 - 2b + 7b^2 - 3b^3 + 3b^4, 1 + 4b + 7b^2 - 6b^3 + 6b^4."""
    for method, p, q in (
        (HeavyBall, 1 + 4 * B + B**2, 1 + 10 * B + B**2),
        (Nesterov, 1 - 2 * B + 7 * B**2 - 3 * B**3 + 3 * B**4, 1 + 4 * B + 7 * B**2 - 6 * B**3 + 6 * B**4),
    ):
        fields, at, _ = found(configured(method, momentum=B), 3)
        a, three = at.algebra, in_slow_time(fields)[2]
        p, q = -p / (3 * (1 - B) ** 2), -q / (12 * (1 - B) ** 2)
        HHg, T = at.H(at.H(at.g)), at.T(at.g, at.g)
        assert at.same(at.sum((three, fields[2])), at.sum((p, HHg), (q, T)))
        # grad (g, Hg) = 2 H^2 g + T: what is left over is (p - 2q) H^2 g
        rest = -third / 2 if method is HeavyBall else (7 * B - 1) / (6 * (1 - B))
        assert is_zero(p - 2 * q - rest)
        loss = a.gradient(at.dot(at.g, at.H(at.g)))
        assert at.same(at.sum((three, fields[2])), at.sum((q, loss), (rest, HHg)))
        assert not a.is_zero(*a.curl(HHg))
    # Nesterov has a loss at second order exactly for beta = 1/7
    assert sp.solve((7 * B - 1) / (6 * (1 - B)), B) == [sp.Rational(1, 7)]
    (_, _, f3), at, _ = found(configured(Nesterov, momentum=sp.Rational(1, 7)), 3)
    assert at.algebra.is_zero(*at.algebra.curl(f3))
    (_, _, f3), at, _ = found(configured(Nesterov, momentum=sp.Rational(1, 8)), 3)
    assert not at.algebra.is_zero(*at.algebra.curl(f3))


@check("identity", "E = k theta^2/2, every dt k and beta, to third order")
def slow_root_of_a_quadratic():
    """The fields are the logarithm of the root that is 1 at dt = 0, of x^2 - (1 + beta - z) x + beta and of x^2 - (1 + beta)(1 - z) x + beta (1 - z)."""
    x, k = sp.symbols("x k")
    for method, p, q in ((HeavyBall, 1 + B - z, B), (Nesterov, (1 + B) * (1 - z), B * (1 - z))):
        fields, at, _ = found(configured(method, momentum=B), 3, 1)
        exponent = sum(
            z ** (n + 1) * at.algebra.at(f[0], k * x**2 / 2, [x]) / (x * k ** (n + 1)) for n, f in enumerate(fields)
        )
        root = sp.exp(exponent)
        assert is_small(root**2 - p * root + q, z, 4)
        assert not is_small(root**2 - p * root + q, z, 5)


@check("counterexample", "E = theta^2/2, beta = 9/10, h = 1/500", refutes=("C003-69",))
def printed_momentum_loss_fails():
    """Modified eigenvalue for beta = 9/10, h = 1/500, k = 1: the slow root has 1.019757, the first order 1.019, the printed (5.11) 1.001."""
    b, h = sp.Rational(9, 10), sp.Rational(1, 500)
    p = 1 + b - (1 - b) * h
    root = (p + sp.sqrt(p**2 - 4 * b)) / 2
    exact = (-sp.log(root) / h).evalf(20)
    assert abs(exact - sp.Rational("1.019757")) < sp.Rational(1, 10**6)
    assert 1 + h * (1 + b) / (2 * (1 - b)) == sp.Rational("1.019")
    assert sp.Rational("1.001") < 1 + h / 2 + b * h**2 / 4 < sp.Rational("1.0011")


@check("identity", "E = k theta^2/2, every k, h and beta", refutes=("C003-68",))
def printed_momentum_equation_fails():
    """(5.10), theta'' + a theta' + k theta = 0 with a = (1 - beta)/h, has the slow rate k/a, which vanishes with h; with a (theta' + k theta) in (5.9) the rate is k, and its first order is 1/(1 - beta), not (1 + beta)/(2 (1 - beta))."""
    s, k, h = sp.symbols("s k h", positive=True)
    a = (1 - B) / h
    # slow roots as series in h: insert and solve for the coefficients
    rate = -k + h * sp.Symbol("c")
    left = sp.expand((rate**2 + a * (rate + k)) * h)
    assert is_zero(left.coeff(h, 0))
    (c,) = sp.solve(left.coeff(h, 1), sp.Symbol("c"))
    assert is_zero(c + k**2 / (1 - B))
    true = -(1 + B) * k**2 / (2 * (1 - B))
    assert is_zero(c - true + k**2 / 2)  # off by h/2 Hg for every beta
    printed = sp.expand((s**2 + a * s + k).subs(s, -k * h / (1 - B)) * (1 - B) ** 2)
    assert is_zero(printed.coeff(h, 0))  # the slow root is -k h/(1 - beta) + O(h^2)
    assert not is_zero(sp.expand((s**2 + a * s + k).subs(s, -k) * h).coeff(h, 0))


# %% [markdown]
# ## Other metrics
#
# Preconditioning by a constant positive M is gradient descent in the inner product of M: the first checks hold in every inner
# product. In Euclidean coordinates, with $P = M^{-1}$, the flow is $\theta' = -P\,\nabla(E + \tfrac{\Delta t}4 (g, Pg))$. If P depends on theta,
# there is a term more.


# %%
def preconditioned(P):
    """Return the step theta - dt P grad E, P a matrix of numbers or a function of theta."""

    def step(problem, theta, step):
        _, g = problem.energy_and_gradient(theta)
        return gradient_descent_update(theta, g, dt=step, solve=lambda u: P @ u)

    return step


@check("identity", "every smooth energy of two variables, every symmetric P")
def constant_preconditioner():
    """f_2 = -P H P g/2 = -P grad (g, Pg)/4: the flow of E + dt (g, Pg)/4 in the metric of M = P^-1, which is no Euclidean gradient."""
    a, b, c = sp.symbols("a b c", real=True)
    P = np.array([[a, b], [b, c]], dtype=object)
    (f1, f2), at, _ = found(preconditioned(P), 2)
    algebra = at.algebra
    apply = lambda u: [sum((algebra.element(P[i, j]) * u[j] for j in (0, 1)), algebra.ring.zero) for i in (0, 1)]  # noqa: E731
    Pg = apply(at.g)
    assert at.same(f1, [-p for p in Pg])
    assert at.same(f2, [-p / 2 for p in apply(at.H(Pg))])
    assert at.same(f2, [-p / 4 for p in apply(algebra.gradient(at.dot(at.g, Pg)))])
    assert not at.same(f2, [-p / 4 for p in algebra.gradient(at.dot(at.g, Pg))])  # (5.3) as a Euclidean gradient
    assert not algebra.is_zero(*algebra.curl(f2))


def adam_without_memory(problem, theta, step):
    """Return the step of Adam with both averages off and epsilon under the root."""
    _, g = problem.energy_and_gradient(theta)
    square = g * g + np.array([C] * len(g), dtype=object)
    return adam_update(theta, 0 * g, 0 * g, g, 1, dt=step, beta1=0, beta2=0, eps=0, square=square)[0]


@check(
    "counterexample",
    "every smooth energy of two variables; g/sqrt(g^2 + C), entry by entry, every C > 0",
    refutes=("C003-59",),
)
def a_preconditioner_that_depends_on_theta_adds_a_term():
    """With P = diag (g_i^2 + C)^(-1/2), f_2 = -PHPg/2 - (dP[Pg]) g/2; the printed dt (g, Pg)/4 lacks the last term and fails."""
    for n in (1, 2):
        (f1, f2), at, field = found(adam_without_memory, 2, n)
        a = at.algebra
        P = [a.power(g**2 + a.element(C), -half) for g in at.g]
        Pg = [p * g for p, g in zip(P, at.g, strict=True)]
        assert at.same(f1, [-p for p in Pg])
        PHPg = [p * h for p, h in zip(P, at.H(Pg), strict=True)]
        more = [a.lie(Pg, p) * g for p, g in zip(P, at.g, strict=True)]
        assert at.same(f2, [-(p + q) / 2 for p, q in zip(PHPg, more, strict=True)])
        assert not at.same(f2, [-p / 2 for p in PHPg])
        if n == 1:  # f_2 = -C g E''/(2 (g^2 + C)^2), which tends to 0 with C: sign descent
            assert a.is_zero(2 * f2[0] + a.element(C) * at.g[0] * a.jet(0, 0) * P[0] ** 4)
        assert field.variables == tuple(f"theta_{i}" for i in range(n))


# %% [markdown]
# ## Steps that vary, and the term added by hand


# %%
class Scheduled:
    """Gradient descent with the step dt c(s), c = c_0 + c_1 s, in the time s: the first two terms of any smooth schedule."""

    c0, c1 = sp.symbols("c_0 c_1", positive=True)

    def init(self, problem, theta):
        """Return theta and s."""
        return AuxState(theta, sp.Integer(0))

    def step(self, problem, state, step):
        """Return theta and s after a step."""
        taken = step * (self.c0 + self.c1 * state.aux)
        return AuxState(descent(problem, state.theta, taken), state.aux + taken)


def descent(problem, theta, step):
    """Return theta after a step of gradient descent."""
    return GradientDescent().step(problem, FlowState(theta), step).theta


@check(
    "identity", "every smooth energy of two variables, every smooth schedule dt c(s) in the time s = sum of the steps"
)
def slowly_varying_steps():
    """In the time s the field is -grad(E + dt c(s) |g|^2/4); per step a term +dt^2 c c' g/2 is added to f_2."""
    (f1, f2), at, field = found(Scheduled(), 2)
    a = at.algebra
    s = a.generators[a.variables[2]]
    c = a.element(Scheduled.c0) + a.element(Scheduled.c1) * s
    slope = a.element(Scheduled.c1)
    clock = [f[2] for f in field.field]
    assert at.same(f1, [-c * g for g in at.g])
    assert clock[0] == c
    assert at.same(f2, [c * (slope * g - c * h) / 2 for g, h in zip(at.g, at.H(at.g), strict=True)])
    # d theta / ds = (f_1 + dt f_2)/(c + dt clock_1) = -g - dt c Hg/2 + O(dt^2)
    rest = [c * q - clock[1] * p for p, q in zip(f1, f2, strict=True)]  # times c^-2
    assert at.same(rest, [-(c**3) * h / 2 for h in at.H(at.g)])


@check("identity", "every smooth energy of two variables, every ratio of the two steps")
def explicit_regularization():
    """Gradient descent with dt on E + mu |g|^2 follows that with dt' on E for mu = (dt' - dt)/4; for mu = dt/16, as in the printed code, 5/4 dt."""
    ratio = sp.Symbol("a", positive=True)  # dt'/dt

    def regularized(factor):
        def step(problem, theta, step):
            _, g = problem.energy_and_gradient(theta)
            mu = factor * step
            return gradient_descent_update(theta, g + 2 * mu * problem.hvp(theta, g), dt=step, solve=lambda u: u)

        return step

    for factor, total in (((ratio - 1) / 4, ratio), (sp.Rational(1, 16), sp.Rational(5, 4)), (0, 1)):
        (f1, f2), at, _ = found(regularized(factor), 2)
        assert at.same(f1, at.sum((-1, at.g)))
        assert at.same(f2, at.sum((-total / sp.Integer(2), at.H(at.g))))
    # dt = 0.001 in the place of 0.1: mu = 0.02475, the code has dt/16, 396 times less
    step, wanted = sp.Rational(1, 1000), sp.Rational(1, 10)
    mu = (wanted - step) / 4
    assert mu == sp.Rational("0.02475")
    assert mu / (step / 16) == 396


# %% [markdown]
# ## Methods of higher order
#
# A method of order p has $f_2 = \dots = f_p = 0$. The term $\tfrac{\Delta t}4|g|^2$ belongs to explicit Euler; implicit Euler has the
# other sign.


# %%
def two_stages(c, b):
    """Return the explicit two-stage method with the weights 1 - b and b, the second stage at c."""

    def step(problem, theta, step):
        k1 = -problem.energy_and_gradient(theta)[1]
        k2 = -problem.energy_and_gradient(theta + c * step * k1)[1]
        return theta + step * ((1 - b) * k1 + b * k2)

    return step


def implicit_euler(problem, theta, step):
    """Return the solution of theta_new = theta - dt grad E(theta_new), modulo dt^4."""
    new = theta
    for _ in range(3):
        new = theta - step * problem.energy_and_gradient(new)[1]
    return new


@check("identity", "every smooth energy of two variables; all two-stage methods of order two")
def runge_kutta_has_no_first_order_regularization():
    """f_2 = 0 for every explicit two-stage method of order two, with the node c and the weight 1/(2c); f_2 = f_3 = f_4 = 0 for the classical one."""
    c = sp.Symbol("c", positive=True)
    (_, f2, f3), at, _ = found(two_stages(c, 1 / (2 * c)), 3)
    HHg, T = at.H(at.H(at.g)), at.T(at.g, at.g)
    assert at.algebra.is_zero(*f2)
    assert at.same(f3, at.sum((third / 2, HHg), (third / 2 - c / 4, T)))
    # grad (g, Hg) = 2 H^2 g + T: a loss exactly for c = 1/3
    (curl,) = at.algebra.curl(f3)
    assert not at.algebra.is_zero(curl)
    (_, _, f3), at, _ = found(two_stages(third, sp.Rational(3, 2)), 3)
    assert at.algebra.is_zero(*at.algebra.curl(f3))
    fields, at, _ = found(RungeKutta4(), 5)
    assert at.algebra.is_zero(*(p for f in fields[1:4] for p in f))
    assert not at.algebra.is_zero(*fields[4])


@check("identity", "every smooth energy of one to three variables, the equation of implicit Euler")
def implicit_euler_has_the_other_sign():
    """Implicit Euler has f_2 = +Hg/2, the loss E - dt |g|^2/4, and the f_3 of explicit Euler."""
    for n in (1, 2, 3):
        (f1, f2, f3), at, _ = found(implicit_euler, 3, n)
        explicit, other, _ = found(GradientDescent(), 3, n)
        assert at.same(f1, at.sum((-1, at.g)))
        assert at.same(f2, at.sum((sp.Rational(1, 4), at.algebra.gradient(at.dot(at.g, at.g)))))
        assert at.same(f3, at.sum((-third, at.H(at.H(at.g))), (-twelfth, at.T(at.g, at.g))))
        assert [p.as_expr() for p in f3] == [p.as_expr() for p in explicit[2]]
        assert other.n == n
