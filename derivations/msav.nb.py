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
# # Multiple scalar auxiliary variables
#
# On `gradflow.schemes.msav.msav_update` and the class that runs it. The energy $\tfrac12(\theta, L\theta) + F_1 + \dots + F_m$ has a
# variable $r_i = \sqrt{F_i + C}$ for each part. With $R_i$ its value at $\theta^n$ and $g_i$ the gradient of $F_i$,
#
# $$\frac{d}{\Delta t} = -L\theta^{n+1} - Sd - \sum_i \frac{r_i^{n+1}}{R_i}\, g_i, \qquad
# r_i^{n+1} - r_i^n = \frac{1}{2R_i}(g_i, d). \tag{1}$$
#
# Tested with d, the first equation reads $(L\theta^{n+1}, d) + \sum_i 2 r_i^{n+1}(r_i^{n+1} - r_i^n) = -|d|^2/\Delta t - (Sd, d)$: the
# law of each part is that of one, and they add up. With $J$ the map of rows $(g_i, \cdot)/(\sqrt2 R_i)$ and $q = \sqrt2\, r$, (1) is
# invariant energy quadratization for m residuals, and the update is that of `ieq_update`, with its scaling of d.

# %%
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import sympy as sp

from gradflow import MSAV, DenseLeastSquares, Restart, SumOfEnergies
from gradflow.curvature.damped_step import DampedStep
from gradflow.energies.linear import add
from gradflow.proofs import agree, check, follows, in_both, linear_kinds, reached
from gradflow.schemes import msav
from gradflow.schemes.ieq import ieq_update
from gradflow.schemes.msav import msav_update
from gradflow.schemes.sav import sav_update
from gradflow.schemes.state import AuxState
from gradflow.symbolic import AbstractEnergy, Space, branches, configured, is_small, is_zero, symbols

EVERY = "1 and 2 parts; every dimension, inner product, L and S"
dt, C = sp.symbols("dt C", positive=True)


class Roots:
    """The roots of parts F_i with gradients g_i, and their derivative, in the space V."""

    def __init__(self, V, F, g, C):
        self.V, self.energies, self.g = V, F, g
        self.residual = np.array([sp.sqrt(2) * sp.sqrt(f + C) for f in F], dtype=object)

    def jvp(self, d):
        """Return the derivatives of the roots along d."""
        return np.array([self.V.inner(g, d) / Q for g, Q in zip(self.g, self.residual, strict=True)], dtype=object)

    def vjp(self, u):
        """Return the sum of u_i times the gradient of the root i."""
        found = self.V.zero
        for weight, g, Q in zip(u, self.g, self.residual, strict=True):
            found = found + (weight / Q) * g
        return found


class AbstractParts(AbstractEnergy):
    """Any sum of m energies: at every theta new symbols F_i and new vectors g_i."""

    def __init__(self, space, m, linear=None):
        super().__init__(space, linear)
        self.m = m

    def linearize(self, theta):
        """Return F_i and g_i at theta, of which `Roots` makes the linearisation."""
        name = self._name(theta)
        F = symbols(f"F{name}_", self.m, positive=True)
        return self.space, F, [self.space.vector(f"g{name}_{i}") for i in range(self.m)]

    def nonlinear_energy(self, theta):
        """Return the sum of the parts."""
        return sum(self.linearize(theta)[1])

    def nonlinear_energy_and_gradient(self, theta):
        """Return the sum of the parts, and its gradient."""
        _, F, g = self.linearize(theta)
        return sum(F), Roots(self.space, F, g, 0).vjp(np.array([sp.sqrt(2 * f) for f in F], dtype=object))


@contextmanager
def solving(solution: Any) -> Iterator[None]:
    """Let MSAV take the roots of symbols, and solve its linear system by `solution`."""
    of_symbols = lambda at, parts, C, mass: Roots(*at, C)  # noqa: E731
    with patch.object(msav, "PartsLinearization", of_symbols), patch.object(msav, "damped_step", solution):
        yield


def anything(at, q, h, A, dt, **options):
    """Return an arbitrary direction."""
    d = at.V.vector("d")
    return DampedStep(d, at.jvp(d))


def exact(at, q, h, A, dt, **options):
    """Return the solution: (I + dt J A^-1 J^*) q_new = q - dt J A^-1 h, d = -dt A^-1 (J^* q_new + h)."""
    solve = lambda u: A.solve_shifted(u, dt)  # noqa: E731
    m = len(q)
    unit = np.eye(m, dtype=int).astype(object)
    A_h = None if h is None else solve(h)
    pushed = [solve(at.vjp(unit[j])) for j in range(m)]  # all of them, before products with them are named
    columns = [at.jvp(u) for u in pushed]
    matrix = sp.Matrix(m, m, lambda i, j: sp.Integer(int(i == j)) + dt * columns[j][i])
    right = sp.Matrix(q if h is None else q - dt * at.jvp(A_h))
    q_new = np.array(list(matrix.adjugate() * right / matrix.det()), dtype=object)
    pull = at.vjp(q_new) if h is None else at.vjp(q_new) + h
    d = -dt * solve(pull)
    return DampedStep(d, at.jvp(d))


def with_result(q_new):
    """Return the solver whose solution has these new residuals: d = -dt A^-1 (J^* q_new + h)."""

    def solution(at, q, h, A, dt, **options):
        pull = at.vjp(q_new) if h is None else at.vjp(q_new) + h
        d = -dt * A.solve_shifted(pull, dt)
        return DampedStep(d, at.jvp(d))

    return solution


def setting(m, *, energy_part):
    """Return a fresh problem with m parts, scheme, theta, L, S and carried variables."""
    V = Space()
    L, S = V.operator("L"), V.operator("S")
    problem = AbstractParts(V, m, L if energy_part else None)
    return V, L, S, problem, configured(MSAV, C=C, stabilization=S), V.vector("theta"), symbols("r", m)


def settings():
    """Yield every kind of L and S for one part, two of them for two, with a fresh problem, scheme, theta and variables."""
    for m in (1, 2):
        for kind in linear_kinds():
            if m == 2 and kind.names not in (("operator", "operator"), ("none", "operator")):
                continue  # the code asks for the kinds before it looks at the parts
            problem = AbstractParts(kind.space, m, kind.L)
            yield m, kind, problem, configured(MSAV, C=C, stabilization=kind.S), kind.theta, symbols("r", m)


def moving(run):
    """Return the result where something moves."""
    return next(iter(branches(run))).value


def stepped(scheme, problem, state):
    """Return the state one step later, where something moves."""
    return moving(lambda: scheme.step(problem, state, dt))


# %% [markdown]
# ## The three obligations


# %%
@check("identity", EVERY + ", every direction d of the step")
def energy_law():
    """For every direction d, |r|^2 + (theta, L theta)/2 falls by exactly |td|^2/dt + t^2((Sd,d) + (Ld,d)/2) + |r_new - r|^2."""
    for _, (_, V, L, S), problem, scheme, theta, r in settings():
        old = AuxState(theta, r)
        with solving(anything):
            new = stepped(scheme, problem, old)
            terms = scheme.energy_terms(problem, old, new, dt)
            consistent = AuxState(theta, scheme.auxiliary(problem, theta))
            fresh_terms = scheme.energy_terms(problem, AuxState(theta, None), new, dt)
        d = new.theta - theta
        L_term = V.inner(L.apply(d), d) / 2
        assert is_zero(terms.dissipation - V.inner(d, d) / dt - V.inner(S.apply(d), d) - L_term)
        moved = new.aux - r
        assert is_zero(terms.numerical - moved @ moved)
        assert is_zero(fresh_terms.numerical - (new.aux - consistent.aux) @ (new.aux - consistent.aux))
        for i, (F, g) in enumerate(zip(*problem.linearize(theta)[1:], strict=True)):
            assert is_zero(moved[i] - V.inner(g, d) / (2 * sp.sqrt(F + C)))
        change = new.aux @ new.aux - r @ r
        change += (V.inner(new.theta, L.apply(new.theta)) - V.inner(theta, L.apply(theta))) / 2
        assert is_zero(change + terms.dissipation + terms.numerical)
        assert is_zero(scheme.modified_energy(problem, new) - scheme.modified_energy(problem, old) - change)
        assert is_zero(scheme.modified_energy(problem, consistent) - problem.energy(theta))
        assert is_zero(scheme.modified_energy(problem, AuxState(theta, None)) - problem.energy(theta))


@check("identity", EVERY)
def consistency():
    """The solution is taken whole and satisfies (1), for any new r; with r consistent, d = dt theta' + O(dt^2), r_new - r = dt r' + O(dt^2)."""
    root = sp.sqrt(2)
    for m, (_, V, L, S), problem, scheme, theta, p in settings():
        _, F, g = problem.linearize(theta)
        R, at = np.array([sp.sqrt(f + C) for f in F], dtype=object), Roots(V, F, g, C)
        A, h = add(L, S), None if L.scalar == 0 else L.apply(theta)
        d, J_d = with_result(root * p)(at, None, h, A, dt)
        with solving(with_result(root * p)):
            assert is_zero(scheme.auxiliary(problem, theta) - R)
            new = stepped(scheme, problem, AuxState(theta, p - J_d / root))
        assert is_zero(new.theta - theta - d)
        assert is_zero(new.aux - p)
        residual = d / dt + S.apply(d) + L.apply(new.theta)
        for i in range(m):
            residual = residual + (p[i] / R[i]) * g[i]
            assert is_zero(J_d[i] / root - V.inner(g[i], d) / (2 * R[i]))
        assert is_zero(residual)
        # from r = R the new values are R + O(dt), as d = O(dt) for every p
        d, J_d = with_result(root * (R + dt * p))(at, None, h, A, dt)
        _, slope = problem.energy_and_gradient(theta)
        assert is_small(d + dt * slope, dt, 2)
        for i in range(m):
            assert is_small(J_d[i] / root + dt * V.inner(g[i], slope) / (2 * R[i]), dt, 2)


@check("squares", EVERY)
def solvability():
    """The matrix of the m equations is I plus a nonnegative one; the denominator of the scaling is |d|^2/dt plus nonnegative terms."""
    for m, (_, V, L, S), problem, scheme, theta, r in settings():
        with solving(anything):
            old = AuxState(theta, r)
            ways = list(reached(branches(lambda p=problem, s=scheme, o=old: s.step(p, o, dt))))
        d, at = V.vector("d"), Roots(*problem.linearize(theta), C)
        J_d = at.jvp(d)
        A = add(L, S)
        (asked,), (answered_no,) = ways[0].conditions, ways[1].conditions
        curvature = asked.lhs - asked.rhs
        assert is_zero(curvature - V.inner(d, d) / dt - V.inner(A.apply(d), d) - J_d @ J_d)
        assert follows(sp.Eq(V.inner(d, d), 0), [answered_no])
        u = symbols("u", m)
        w = at.vjp(u)
        push = A.solve_shifted(w, dt)  # (u, (I + dt J A^-1 J^*) u) = |u|^2 + dt (w, A^-1 w)
        assert is_zero(u @ at.jvp(push) - V.inner(w, push))
        assert is_zero(V.inner(w, push) - V.inner(push + dt * A.apply(push), push))
        assert V.inner(V.vector("x") + dt * A.apply(V.vector("x")), V.vector("x")).is_nonnegative
    # the roots need F_i + C > 0 for every part
    problem, theta = DenseLeastSquares(lambda t: t - 1, lambda t: np.eye(2)), np.array([1.0, 3.0])  # F = (0, 2)
    assert MSAV(C=0.0).undefined(problem, theta) != ""
    assert MSAV(C=0.0, parts=1).undefined(problem, theta) == ""
    assert MSAV(C=1e-3).undefined(problem, theta) == ""
    assert MSAV(C=1e-3, parts=(1, 0)).init(problem, theta).aux.shape == (2,)


# %% [markdown]
# ## One part, and one residual in each part
#
# With $F_k = \tfrac12 e_k^2$ and $C = 0$, the root $\sqrt2 R_k$ is $|e_k|$, and its derivative is that of $e_k$ up to the sign
# $\sigma_k$ of $e_k$. The signs cancel from the step if the carried variable has them too: $\sqrt2\, r_k = \sigma_k q_k$. This holds at
# the start, hence for `Restart` always. Without a restart it holds until a residual changes its sign: then $\sigma_k$ changes at
# $\theta^n$, and the carried $r_k$ does not.


# %%
@check("identity", "every dimension, inner product, L and S, every carried r")
def one_part_is_sav():
    """With m = 1: the theta_new and the r_new of `sav_update`."""
    for energy_part in (False, True):
        V, L, S, problem, scheme, theta, r = setting(1, energy_part=energy_part)
        with solving(exact):
            new = stepped(scheme, problem, AuxState(theta, r))
        _, (F,), (g,) = problem.linearize(theta)
        A = L + S if energy_part else S
        theta_sav, r_sav = sav_update(
            theta, r[0], g, F, L(theta) if energy_part else None,
            dt=dt, C=C, inner=V.inner, solve=lambda u, A=A: A.solve_shifted(u, dt),
        )  # fmt: skip
        assert is_zero(new.theta - theta_sav)
        assert is_zero(new.aux[0] - r_sav)


def of_residuals(V, e, h):
    """Return the linearisation of residuals e_k with gradients h_k."""
    at = Roots(V, e, h, 0)
    at.residual = np.array([sp.Integer(1)] * len(h), dtype=object)  # J has the rows (h_k, .)
    return at


@check("identity", "2 residuals of either sign, every dimension, inner product and S")
def one_residual_each_is_ieq():
    """With C = 0, a residual in each part and r_k = sign(e_k) q_k / sqrt(2): the theta_new of IEQ, and r_new = sign(e) q_new / sqrt(2)."""
    for signs in ((1, -1),):
        V = Space()
        theta, S, h = V.vector("theta"), V.operator("S"), V.vectors("h0 h1")
        sizes, q = symbols("e", 2, positive=True), symbols("q", 2)
        e, sign = np.array(signs) * sizes, np.array(signs, dtype=object)
        roots = Roots(V, sizes**2 / 2, [e[k] * h[k] for k in range(2)], 0)
        found = []
        for at, update, start in ((of_residuals(V, e, h), ieq_update, q), (roots, msav_update, sign * q / sp.sqrt(2))):
            damping = lambda u, V=V, S=S: V.inner(u, u) / dt + V.inner(S(u), u)  # noqa: E731
            direction = lambda q, L_theta, at=at, S=S: exact(at, q, L_theta, S, dt)  # noqa: E731
            run = lambda u=update, s=start, c=damping, w=direction, V=V, t=theta: u(  # noqa: E731
                t, s, inner=V.inner, damping=c, direction=w
            )
            found.append(moving(run))
        (theta_ieq, q_new), (theta_msav, r_new) = found
        assert is_zero(theta_msav - theta_ieq)
        assert is_zero(r_new - sign * q_new / sp.sqrt(2))


def on_a_line(update, theta, aux, signs):
    """Return theta_new and aux_new, dt = 1, for the derivative `signs` of two residuals of one parameter; exact numbers."""
    aux, signs = np.array(aux, dtype=object), np.array(signs, dtype=object)
    size = signs @ signs + 1

    def direction(q, h):
        d = np.array([-(signs @ q) / size], dtype=object)
        return d, signs * d[0]

    theta_new, aux_new = moving(
        lambda: update(
            np.array([theta], dtype=object), aux, inner=lambda u, v: u @ v, damping=lambda d: d @ d, direction=direction
        )
    )
    return sp.nsimplify(theta_new[0]), aux_new


@check("counterexample", "q = (theta - 1, theta - 10), theta = 0, C = 0, dt = 1, two steps")
def vanilla_departs_from_ieq_where_a_residual_changes_its_sign():
    """q = (theta - 1, theta - 10) from 0, dt = 1: one step of both ends at 11/3, where q_1 > 0; the next at 44/9 (IEQ), 20/3 (MSAV)."""
    root, one = sp.sqrt(2), sp.Integer(1)
    theta, q = on_a_line(ieq_update, 0 * one, [-one, -10 * one], [one, one])
    same, r = on_a_line(msav_update, 0 * one, [one / root, 10 / root], [-one, -one])  # r = |q| / sqrt(2)
    assert theta == same == sp.Rational(11, 3)
    assert is_zero(root * r + q)
    assert list(q) == [sp.Rational(8, 3), sp.Rational(-19, 3)]  # the first has changed its sign
    assert on_a_line(ieq_update, theta, q, [one, one])[0] == sp.Rational(44, 9)
    assert on_a_line(msav_update, theta, r, [one, -one])[0] == sp.Rational(20, 3)
    restarted = np.array([abs(x) for x in q], dtype=object) / root
    assert on_a_line(msav_update, theta, restarted, [one, -one])[0] == sp.Rational(44, 9)


# %% [markdown]
# ## The true energy
#
# A restarted step knows $(g, d) = \sum_i (g_i, d)$, and the theorem of the restarted schemes holds for every number of parts.


# %%
@check("squares", EVERY + ", every direction d of the step")
def true_energy_falls_with_half_the_lipschitz_constant():
    """Restarted: E_new - E = -D - 2 N + T, T the Taylor remainder of F; with T <= K |d|^2/2, S + L/2 >= K/2 makes E fall for every dt."""
    for m in (1, 2):
        for energy_part in (False, True):
            V, _, _, problem, scheme, theta, r = setting(m, energy_part=energy_part)
            restarted = object.__new__(Restart)
            object.__setattr__(restarted, "base", scheme)
            old = AuxState(theta, r)  # whatever r was
            with solving(anything):
                new = stepped(restarted, problem, old)
                terms = restarted.energy_terms(problem, old, new, dt)
            F, g = problem.nonlinear_energy_and_gradient(theta)
            T = problem.nonlinear_energy(new.theta) - F - V.inner(g, new.theta - theta)
            rise = problem.energy(new.theta) - problem.energy(theta)
            assert is_zero(rise + terms.dissipation + 2 * terms.numerical - T)


# %% [markdown]
# ## The solver
#
# Above, roots of symbols and a solution take the places of the linearisation and the solver. What these are handed is kept here.


# %%
@check("identity", EVERY)
def what_the_solver_is_asked():
    """The linearisation is made with the parts, C and the mass of the problem; the solver has its mass and the number of parameters."""
    for _, _, problem, scheme, theta, r in settings():
        problem.mass, asked, made = sp.Symbol("mass", positive=True), [], []

        def solution(at, q, h, A, dt, asked=asked, **options):
            asked.append(options)
            return anything(at, q, h, A, dt)

        def of_symbols(at, *options, made=made):
            made.append(options)
            return Roots(*at, C)

        with solving(solution), patch.object(msav, "PartsLinearization", of_symbols):
            stepped(scheme, problem, AuxState(theta, r))
        assert asked
        assert made
        assert all(options == {"mass": problem.mass, "n_parameters": theta.shape[0]} for options in asked)
        assert all(options == (scheme.parts, C, problem.mass) for options in made)


# % [markdown]
# ## The inner product
#
# In the coordinates $y = M^{1/2}\theta$ the inner product of diagonal M is the dot product. The steps are the same.


# %
@check(
    "identity, run",
    "one energy of three parameters, as squares in two parts and as a sum of two terms, M = diag(4, 1/4, 1), six starts; float64",
)
def steps_are_the_same_in_other_coordinates():
    """The parts of sums of squares, and terms with gradients of their own, in the inner product of M and in y."""
    agree(MSAV(parts=2), in_both(least_squares=True))
    terms = zip(in_both(), in_both(least_squares=True), strict=True)
    agree(MSAV(parts="terms"), [SumOfEnergies(list(pair), [1.0, 0.5]) for pair in terms])
