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
# # Implicit Euler
#
# $$\theta^{n+1} = \theta^n - \Delta t\,\nabla E(\theta^{n+1}) \tag{1}$$
#
# With the increment $d = \theta^{n+1} - \theta^n$ and the residual $R = \nabla E(\theta^n + d) + d/\Delta t$, equation
# (1) is $R = 0$, and R is the gradient of
#
# $$\varphi(d) = E(\theta^n + d) + \frac{|d|_M^2}{2\,\Delta t}. \tag{2}$$
#
# Two different properties make the step stable, and they must be kept apart:
#
# * **descent**, $\varphi(d) \le \varphi(0)$, is what `gradflow.curvature.minimising_movement` guarantees. It needs no
#   convexity, no exact solution of (1), and no limit on $\Delta t$;
# * **stationarity**, $R = 0$, is equation (1). It gives more where E is convex, and nothing where it is not: a solution
#   of (1) can even raise the energy.
#
# The proofs run `implicit_euler_update`, and `residual` of the solver, on abstract vectors: they hold in every
# dimension and every inner product. The solver itself is an iteration in floating point; it is run at the end, against
# exact rational numbers.

# %%
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import sympy as sp

from gradflow import FunctionProblem, ImplicitEuler
from gradflow.curvature import Increment, minimising_movement
from gradflow.curvature.minimising_movement import Movement, Point, backtrack, residual
from gradflow.energies.linear import Diagonal, Matrix, Shift, Shifted, Zero
from gradflow.proofs import agree, check, follows, in_both, is_sum_of_squares
from gradflow.schemes.implicit_euler import implicit_euler_update
from gradflow.symbolic import AbstractEnergy, Space, is_small, is_zero

EVERY = "every dimension and inner product"
EPS = Fraction(1, 2**52)
dt, k, mu, K = sp.symbols("dt k mu K", positive=True)


def moved(theta, d):
    """Return theta_new of the update for the increment d."""
    new = implicit_euler_update(theta, movement=lambda at: Increment(d, 0.25, 3, False))
    assert new[1:] == (0.25, 3, False)  # the account is handed on
    return new.theta


def quadratic():
    """Return space, theta, H, b and theta_new for E = (theta, H theta)/2 - (b, theta), H of any sign."""
    V = Space()
    theta, b = V.vectors("theta b")
    H = V.operator("H", positive=False)

    def movement(at):
        return Increment(-dt * H.solve_shifted(H(at) - b, dt), 0.0, 1, True)

    return V, theta, H, b, implicit_euler_update(theta, movement=movement).theta


# %% [markdown]
# ## The energy law
#
# **Every d.** $\varphi(0) - \varphi(d) = E(\theta^n) - E(\theta^{n+1}) - |d|^2/(2\Delta t)$. So descent on $\varphi$ is
# the law
#
# $$E(\theta^{n+1}) + \frac{|d|_M^2}{2\,\Delta t} \le E(\theta^n). \tag{3}$$
#
# The difference of $\varphi$ is the one by which the solver decides (`Movement.difference`), and the solver returns no
# increment without descent, to the rounding of E: `backtrack` refuses an iterate that descends from the one before but lies
# above the start. It is asked here on a parabola and on a hat; `every_accepted_iterate_has_the_law` runs the whole.
#
# **Convex E.** Let $D = E(\theta^n) - E(\theta^{n+1}) - (\nabla E(\theta^{n+1}), \theta^n - \theta^{n+1})$, which the
# gradient inequality says is nonnegative. Inserting $\nabla E(\theta^{n+1}) = R - d/\Delta t$,
#
# $$E(\theta^{n+1}) - E(\theta^n) = -\frac{|d|_M^2}{\Delta t} - D + (R, d)_M, \tag{4}$$
#
# and for a solution, $R = 0$, this is the law without the factor 2. For a quadratic energy $D = \tfrac12 (Hd, d)$, of
# either sign.


# %%
def standing(V, E, R, d, theta):
    """Return the solver's point for symbols: theta + d with its energy and |d|/dt."""
    return Point(d, theta + d, E, R=R, size_R=0, size_g=0, size_theta=0, speed=sp.sqrt(V.inner(d, d)) / dt)


def line(energy, slope, step):
    """Return phi of the solver about theta = 0 in one parameter."""
    return Movement(np.zeros(1), step, lambda t: (energy(float(t[0])), np.array([slope(float(t[0]))])), np.dot)


@check(
    "squares",
    "every dimension and inner product, any increment with descent (the solver returns no other: backtrack on two "
    "energies, the class on one, float64; see every_accepted_iterate_has_the_law)",
)
def energy_law():
    """phi(d) <= phi(0) is E_new + |d|^2/(2 dt) <= E for any E, d, dt, and the guard of the solver; for R = 0 and E convex, E_new + |d|^2/dt <= E."""
    V = Space()
    problem = AbstractEnergy(V)
    theta, d = V.vectors("theta d")
    new = moved(theta, d)
    E, (E_new, g_new) = problem.energy(theta), problem.energy_and_gradient(new)
    # the law is descent on phi as the solver sees it, d and theta_new belonging together
    phi = Movement(theta, dt, problem.energy_and_gradient, V.inner)
    change = phi.difference(standing(V, E_new, g_new, d, theta), standing(V, E, g_new, 0 * d, theta))
    assert is_zero(E - E_new - V.inner(d, d) / (2 * dt) + change)
    # (4) for every d; R = 0 is equation (1)
    R = residual(g_new, d, dt=dt)
    assert is_zero(new - theta + dt * g_new - dt * R)
    gap = E - E_new - V.inner(g_new, theta - new)  # >= 0 if E is convex
    assert is_zero(E_new - E + V.inner(d, d) / dt + gap - V.inner(R, d))
    assert V.inner(d, d).is_nonnegative
    # quadratic energies: the gap is (Hd, d)/2
    V, theta, H, b, new = quadratic()
    d = new - theta
    energy = lambda u: V.inner(u, H(u)) / 2 - V.inner(b, u)  # noqa: E731
    assert is_zero(residual(H(new) - b, d, dt=dt))
    assert is_zero(energy(new) - energy(theta) + V.inner(d, d) / dt + V.inner(H(d), d) / 2)
    # the solver: E = t^2/2 with dt = 1 has phi = d^2, so that from d = 1 the step p = -1 descends and is taken
    phi = line(lambda t: t * t / 2, lambda t: t, 1.0)
    start, now = phi.at(np.array([0.0])), phi.at(np.array([1.0]))
    taken = backtrack(phi, start, now, np.array([-1.0]), 1.0, bent=False, smallest=1e-2)
    assert taken.d[0] == 0
    assert backtrack(phi, start, start, np.array([1.0]), 1.0, bent=False, smallest=1e-2) is None  # no descent
    # the hat E = |t|: from d = 4 the step p = -1 descends on phi, but every 4 - s lies above the start: refused
    phi = line(abs, lambda t: 1.0 if t > 0 else -1.0, 1.0)
    start, now = phi.at(np.array([0.0])), phi.at(np.array([4.0]))
    assert phi.difference(phi.at(np.array([3.0])), now) < 0 < phi.difference(phi.at(np.array([3.0])), start)
    assert backtrack(phi, start, now, np.array([-1.0]), 1.0, bent=False, smallest=1e-2) is None
    # the same step is taken if the start is the point itself
    assert backtrack(phi, now, now, np.array([-1.0]), 1.0, bent=False, smallest=1e-2).d[0] == 3
    # the class: (3) in exact arithmetic at the numbers that it returns, E = (t^2 - 1)^2/4 from 1/8, where dt mu > 1
    t, step = Fraction(1, 8), 4
    well = FunctionProblem(lambda x: (x @ x - 1) ** 2 / 4, lambda x: (x @ x - 1) * x, lambda x, v: (3 * x @ x - 1) * v)
    moved_to = ImplicitEuler().step(well, ImplicitEuler().init(well, np.array([0.125])), step)
    t_new = Fraction(float(moved_to.theta[0]))
    assert t_new != t
    assert (t_new**2 - 1) ** 2 / 4 + (t_new - t) ** 2 / (2 * step) <= (t**2 - 1) ** 2 / 4


# %% [markdown]
# ## Consistency
#
# For $E = \tfrac12(\theta, H\theta) - (b, \theta)$ the step is the resolvent, $d = -\Delta t\,(I + \Delta t H)^{-1} g$
# with $g = H\theta^n - b$, and expands as
#
# $$\theta^{n+1} = \theta^n - \Delta t\,g + \Delta t^2 H g + O(\Delta t^3),$$
#
# where the flow has $\tfrac12 \Delta t^2 H g$: first order, with the local error
# $\tfrac12 \Delta t^2 H g + O(\Delta t^3)$.
#
# For any energy whose gradient has the Lipschitz constant K, $d = -\Delta t\,g^{n+1}$ gives
# $d + \Delta t\,g^n = -\Delta t\,(g^{n+1} - g^n)$, of norm at most $\Delta t\,K|d|$, and
# $|d| \le \Delta t\,(|g^n| + K|d|)$. So $|d + \Delta t\,g^n| \le \Delta t^2 K |g^n| / (1 - \Delta t\,K)$ once
# $\Delta t\,K < 1$.


# %%
@check("identity", "quadratic energies in every dimension and inner product, every self-adjoint H, I + dt H regular")
def consistency():
    """For quadratics the step is the resolvent: theta_new = theta - dt g + dt^2 H g + O(dt^3), a first-order method."""
    _, theta, H, b, new = quadratic()
    g = H(theta) - b
    # (I + dt H) theta_new = theta + dt b
    assert is_zero(new + dt * H(new) - theta - dt * b)
    problem = SimpleNamespace(energy_and_gradient=lambda at: (None, H(at) - b))
    assert is_zero(ImplicitEuler().equation(problem, theta, new, dt))
    assert is_small(new - theta + dt * g, dt, 2)
    assert not is_small(new - theta + dt * g, dt, 3)
    assert is_small(new - theta + dt * g - dt**2 * H(g), dt, 3)
    # one coordinate, against the exact solution of the flow
    t, c = sp.symbols("t b", real=True)
    step = moved(t, -dt * (k * t - c) / (1 + dt * k))
    flow = c / k + (t - c / k) * sp.exp(-k * dt)
    assert is_small(step - flow, dt, 2)
    assert is_small(step - flow - dt**2 / 2 * k * (k * t - c), dt, 3)


@check("decision procedure", "every dimension and inner product, every E with a K-Lipschitz gradient, dt K < 1")
def first_order_for_lipschitz_gradients():
    """If grad E is K-Lipschitz and dt K < 1, |theta_new - theta + dt g| <= dt^2 K |g| / (1 - dt K)."""
    V = Space()
    problem = AbstractEnergy(V)
    theta, d = V.vectors("theta d")
    new = moved(theta, d)
    (_, g), (_, g_new) = problem.energy_and_gradient(theta), problem.energy_and_gradient(new)
    R = residual(g_new, d, dt=dt)
    assert is_zero(new - theta + dt * g_new - dt * R)
    assert is_zero(new - theta + dt * g + dt * (g_new - g) - dt * R)
    # with R = 0: sizes of d, g, g_new, and of g_new - g
    length, G, G_new, change, error = sp.symbols("d g g_new change error", nonnegative=True)
    facts = [
        sp.Eq(length, dt * G_new),
        sp.Eq(error, dt * change),
        sp.Le(change, K * length),
        sp.Le(G_new, G + change),
        sp.Lt(dt * K, 1),
    ]
    assert follows(length * (1 - dt * K) <= dt * G, facts)
    assert follows(error * (1 - dt * K) <= dt**2 * K * G, facts)
    assert not follows(error * (1 - dt * K) <= dt**2 * K * G / 2, facts)


# %% [markdown]
# ## Solvability
#
# Let $-\mu$ be a lower bound of the curvature: $(\nabla E(x) - \nabla E(y), x - y) \ge -\mu |x - y|^2$, that is,
# $H + \mu I$ is positive semi-definite. The matrix of Newton's method is $B = H + I/\Delta t$, and
#
# $$(Bu, u) = ((H + \mu I)u, u) + \Bigl(\frac{1}{\Delta t} - \mu\Bigr)|u|^2,$$
#
# positive for $\Delta t\,\mu < 1$. Then $\varphi$ is strongly convex, so a continuous one has exactly one stationary
# point, its minimum; convex energies ($\mu = 0$) allow every $\Delta t$, with $|e| \le \Delta t\,|R_1|$ below. Two
# points with residuals $R_1$, $R_2$ satisfy
#
# $$(R_1 - R_2, e) = (g_1 - g_2, e) + \frac{|e|^2}{\Delta t}, \qquad e = \theta_1 - \theta_2,$$
#
# from which uniqueness ($R_1 = R_2 = 0$) and the bound $|e| \le |R_1| / (1/\Delta t - \mu)$ of the error by the
# residual ($R_2 = 0$) follow.


# %%
@check("squares", EVERY)
def solvability():
    """If the curvature is at least -mu and dt mu < 1, B > 0, (1) has one solution, |error| <= |R| / (1/dt - mu)."""
    V = Space()
    theta, u, d1, d2 = V.vectors("theta u d1 d2")
    # B positive: H = N - mu I with N positive semi-definite, 1/dt = mu + margin
    N, margin = V.operator("N"), sp.Symbol("margin", positive=True)
    H_u = N(u) - mu * u
    B_u = residual(H_u, u, dt=1 / (mu + margin))
    assert is_zero(V.inner(B_u, u) - V.inner(N(u), u) - margin * V.inner(u, u))
    assert V.inner(N(u), u).is_nonnegative
    assert (margin * V.inner(u, u)).is_nonnegative
    # two points
    problem = AbstractEnergy(V)
    new1, new2 = moved(theta, d1), moved(theta, d2)
    (_, g1), (_, g2) = problem.energy_and_gradient(new1), problem.energy_and_gradient(new2)
    R1, R2 = residual(g1, d1, dt=dt), residual(g2, d2, dt=dt)
    e = new1 - new2
    ee, monotone = V.inner(e, e), V.inner(g1 - g2, e)
    assert is_zero(new1 - theta + dt * g1 - dt * R1)
    assert is_zero(V.inner(R1 - R2, e) - (monotone + mu * ee) - (1 / dt - mu) * ee)
    # so (R1 - R2, e) >= (1/dt - mu) |e|^2: unique for R1 = R2, and by Cauchy-Schwarz the bound for R2 = 0
    size, R_size, product = sp.symbols("size R_size product", real=True)
    facts = [sp.Lt(dt * mu, 1), size >= 0, R_size >= 0, product <= R_size * size, product >= (1 / dt - mu) * size**2]
    assert follows(sp.Eq(size, 0), [*facts, sp.Eq(product, 0)])
    assert follows(size * (1 / dt - mu) <= R_size, facts)
    convex = [size >= 0, R_size >= 0, product <= R_size * size, product >= size**2 / dt]
    assert follows(size <= dt * R_size, convex)


@check("squares", "every dimension and inner product, convex E, every dt")
def resolvent_is_firmly_nonexpansive():
    """For convex E, |Tx - Ty|^2 <= (Tx - Ty, x - y): distances contract, by 1/(1 + mu dt) if H >= mu I."""
    V = Space()
    problem = AbstractEnergy(V)
    x, y, d1, d2 = V.vectors("x y d1 d2")
    Tx, Ty = moved(x, d1), moved(y, d2)
    (_, g1), (_, g2) = problem.energy_and_gradient(Tx), problem.energy_and_gradient(Ty)
    R1, R2 = residual(g1, d1, dt=dt), residual(g2, d2, dt=dt)  # both 0 for a solution
    e = Tx - Ty
    monotone = V.inner(g1 - g2, e)  # >= mu |e|^2
    assert is_zero(V.inner(e, x - y) - V.inner(e, e) - dt * monotone + dt * V.inner(R1 - R2, e))
    size, distance, product = sp.symbols("size distance product", nonnegative=True)
    facts = [sp.Le(product, size * distance), sp.Ge(product, (1 + mu * dt) * size**2)]
    assert follows(size * (1 + mu * dt) <= distance, facts)


@check("squares", "every dimension and inner product, convex E, every dt")
def gradients_do_not_grow():
    """For convex E, |grad E(theta_new)| <= |grad E(theta)|: |g|^2 - |g_new|^2 = |g - g_new|^2 + 2 (g_new - g, d)/dt."""
    V = Space()
    problem = AbstractEnergy(V)
    theta, d = V.vectors("theta d")
    new = moved(theta, d)
    (_, g), (_, g_new) = problem.energy_and_gradient(theta), problem.energy_and_gradient(new)
    V.relate(g, g_new + V.vector("c"))
    R = residual(g_new, d, dt=dt)
    change, monotone = g - g_new, V.inner(g_new - g, new - theta)  # monotone >= 0 if E is convex
    left = V.inner(g, g) - V.inner(g_new, g_new)
    assert is_zero(left - V.inner(change, change) - 2 * monotone / dt - 2 * V.inner(R, change))
    assert V.inner(change, change).is_nonnegative


# %% [markdown]
# ## Without convexity
#
# Beyond $\Delta t\,\mu = 1$ each guarantee that came from stationarity fails, and the one from descent remains. The
# double well $E = (\theta^2 - 1)^2 / 4$ has the curvature $3\theta^2 - 1 \ge -1$, so $\mu = 1$.


# %%
def double_well(t):
    """Return E and its gradient."""
    return (t**2 - 1) ** 2 / 4, t**3 - t


def solves(theta, new, step):
    """Return True if the production update with d = new - theta solves equation (1)."""
    found = moved(theta, new - theta)
    return is_zero(found - new) and is_zero(residual(double_well(found)[1], found - theta, dt=step))


@check("counterexample", "E = (theta^2 - 1)^2 / 4, theta = 0, dt = 4/3")
def several_stationary_points():
    """Double well, dt = 4/3 > 1, theta = 0: (1) has the solutions -1/2, 0 and 1/2; for every dt < 1 it has one."""
    step, t = sp.Rational(4, 3), sp.Symbol("t", real=True)
    solutions = sp.real_roots(sp.Poly(t + step * (t**3 - t), t))
    assert solutions == [-sp.Rational(1, 2), 0, sp.Rational(1, 2)]
    assert all(solves(sp.Integer(0), new, step) for new in solutions)
    assert not solves(sp.Integer(0), sp.Rational(1, 3), step)
    # dt < 1: (1) read at two points gives the same theta only if the points agree
    a, b = sp.symbols("a b", real=True)
    same = sp.Eq(a + dt * (a**3 - a), b + dt * (b**3 - b))
    assert follows(sp.Eq(a, b), [same, dt < 1])
    assert not follows(sp.Eq(a, b), [same])


@check("counterexample", "E = (theta^2 - 1)^2 / 4, theta = -125/512, dt = 3")
def a_solution_may_raise_the_energy():
    """Double well, dt = 3, theta = -125/512: theta_new = 1/8 solves (1) and E rises; descent on phi excludes it."""
    theta, new, step = -sp.Rational(125, 512), sp.Rational(1, 8), sp.Integer(3)
    assert solves(theta, new, step)
    assert double_well(new)[0] > double_well(theta)[0]
    # the other two solutions of the same equation lower phi
    t = sp.Symbol("t", real=True)
    others = [x for x in sp.real_roots(sp.Poly(t + step * (t**3 - t) - theta, t)) if x != new]
    assert len(others) == 2
    phi = lambda x: double_well(x)[0] + (x - theta) ** 2 / (2 * step)  # noqa: E731
    assert all(phi(x) < phi(theta) < phi(new) for x in others)


@check("counterexample", "E = (theta^2 - 1)^2 / 4, theta = 0, dt = 4/3, and E = -k theta^2 / 2, dt k < 1")
def the_factor_two_is_needed():
    """Without convexity E_new + |d|^2/dt <= E fails at a minimum of phi; no constant above 1/2 will do for all E."""
    theta, new, step = sp.Integer(0), sp.Rational(1, 2), sp.Rational(4, 3)
    assert solves(theta, new, step)
    t = sp.Symbol("t", real=True)
    phi = double_well(t)[0] + (t - theta) ** 2 / (2 * step)
    # phi - phi(1/2) is a square: 1/2 is a global minimum
    assert is_sum_of_squares(phi - phi.subs(t, new), [(sp.Rational(1, 4), t**2 - new**2)])
    drop, square = double_well(theta)[0] - double_well(new)[0], (new - theta) ** 2
    assert square / step > drop > square / (2 * step)
    # E = -k theta^2 / 2: (E - E_new) dt / d^2 = 1 - dt k / 2, which tends to 1/2 with dt k -> 1
    found = moved(t, dt * k * t / (1 - dt * k))
    assert is_zero(residual(-k * found, found - t, dt=dt))
    share = (k * found**2 - k * t**2) / 2 * dt / (found - t) ** 2
    assert is_zero(share - 1 + dt * k / 2)
    assert sp.limit(1 - dt * k / 2, dt, 1 / k) == sp.Rational(1, 2)


# %% [markdown]
# ## No step limit
#
# On a quadratic mode of curvature k the step is $\theta^{n+1} = \theta^n / (1 + \Delta t\,k)$, a factor between 0 and 1
# for every $\Delta t$; it tends to 0 with $\Delta t \to \infty$: the scheme is L-stable and never oscillates.


# %%
@check("identity", "one quadratic mode")
def modes_decay_without_a_step_limit():
    """For E = k theta^2 / 2 the factor of a step is 1 / (1 + dt k), in (0, 1) for every dt, to 0 as dt grows."""
    t = sp.Symbol("t", positive=True)
    factor = moved(t, -dt * k * t / (1 + dt * k)) / t
    assert is_zero(residual(k * factor * t, factor * t - t, dt=dt))
    assert is_zero(factor - 1 / (1 + dt * k))
    assert follows(sp.And(1 / (1 + dt * k) > 0, 1 / (1 + dt * k) < 1))
    assert sp.limit(1 / (1 + dt * k), dt, sp.oo) == 0


# %% [markdown]
# ## The guard of the law
#
# Each iterate of the solver is accepted only where $\varphi(d) - \varphi(0)$, computed from the energies and from
# $|d|/\Delta t$, is not above rounding. The function that computes it is run on symbols.


# %%
@check("identity", EVERY)
def guard_compares_phi():
    """What the solver compares with rounding is phi(d2) - phi(d1) = E2 - E1 + (|d2|^2 - |d1|^2) / (2 dt)."""
    V = Space()
    theta, d1, d2 = V.vectors("theta d1 d2")
    E1, E2 = sp.symbols("E1 E2", real=True)
    phi = Movement(theta, dt, lambda at: (E1, at), V.inner)
    here, there = standing(V, E1, theta, d1, theta), standing(V, E2, theta, d2, theta)
    wanted = E2 - E1 + (V.inner(d2, d2) - V.inner(d1, d1)) / (2 * dt)
    assert is_zero(phi.difference(there, here) - wanted)


# %% [markdown]
# ## The solver, run
#
# In floating point the solver is compared with exact rational numbers: the resolvent of quadratics, and the law (3)
# evaluated in rational arithmetic at the floating-point numbers that it returns.

# %%
QUADRATICS = {
    "one mode": ([[3]], [2], [1]),
    "indefinite, dt mu < 1": ([[2, 1], [1, -1]], [1, -2], [3, 1]),
    "three modes, stiff": ([[1000, 1, 0], [1, 2, -1], [0, -1, 1]], [1, 0, -1], [1, -2, 3]),
    "singular": ([[1, 1, 0], [1, 1, 0], [0, 0, 0]], [0, 1, 1], [1, 1, 1]),
}


def float_problem(H, b):
    """Return the quadratic energy in float64."""
    H, b = np.array(H, dtype=float), np.array(b, dtype=float)
    return FunctionProblem(lambda t: t @ (H @ t) / 2 - b @ t, lambda t: H @ t - b, lambda t, v: H @ v)


@check("run", "four quadratics of sizes 1 to 3, dt = 1/64, 1/4 and, where H is positive semi-definite, 64; float64")
def solver_agrees_with_the_exact_resolvent():
    """minimising_movement and the scheme's step are the rational solution of (I + dt H) d = -dt g to rounding."""
    for H, b, start in QUADRATICS.values():
        exact_H, g = sp.Matrix(H), sp.Matrix(H) * sp.Matrix(start) - sp.Matrix(b)
        steps = [sp.Rational(1, 64), sp.Rational(1, 4)]
        steps += [sp.Integer(64)] if exact_H.is_positive_semidefinite else []
        problem, theta = float_problem(H, b), np.array(start, dtype=float)
        for step in steps:
            B = sp.eye(len(b)) / step + exact_H
            wanted = B.LUsolve(-g)
            found = minimising_movement(
                theta,
                dt=float(step),
                energy_and_gradient=problem.energy_and_gradient,
                hvp=problem.hvp,
                inner=problem.inner,
                precondition=lambda u: u,
                tol=1e-14,
                max_newton=50,
                max_cg=50,
            )
            state = ImplicitEuler(tol=1e-14).step(problem, ImplicitEuler().init(problem, theta), step)
            assert found.converged
            assert state.converged
            # rounding of R, in the norm of B^{-1} <= 1 / (1/dt - mu) <= 2 dt, mu <= 2: a hundred units of eps
            size = sum(map(abs, start)) + sum(map(abs, b)) + max(map(abs, wanted))
            largest = 1 / step + max(sum(map(abs, row)) for row in H)
            bound = 100 * EPS * largest * size * 2 * step
            for i, x in enumerate(wanted):
                x = Fraction(int(x.p), int(x.q))
                assert abs(Fraction(float(found.d[i])) - x) <= bound
                assert abs(Fraction(float(state.theta[i])) - start[i] - x) <= bound


def rosenbrock(x, y):
    """Return E and its gradient."""
    return 100 * (y - x * x) ** 2 + (1 - x) ** 2, (-400 * x * (y - x * x) - 2 * (1 - x), 200 * (y - x * x))


def two_wells(x, y):
    """Return E and its gradient."""
    return ((x * x - 1) ** 2 + 10 * (y * y - 1) ** 2 + x * y) / 4, (x**3 - x + y / 4, 10 * (y**3 - y) + x / 4)


HESSIANS = {
    rosenbrock: lambda x, y: np.array([[1200 * x * x - 400 * y + 2, -400 * x], [-400 * x, 200.0]]),
    two_wells: lambda x, y: np.array([[3 * x * x - 1, 0.25], [0.25, 30 * y * y - 10]]),
}


@check("run", "Rosenbrock's function and a double well in two dimensions, three starts, dt = 1e-3 to 1e3, float64")
def every_accepted_iterate_has_the_law():
    """Stopped after any number of Newton iterations, the step has (3), and R is what its state reports."""
    for energy, hessian in HESSIANS.items():
        problem = FunctionProblem(
            lambda t, energy=energy: energy(*t)[0],
            lambda t, energy=energy: np.array(energy(*t)[1]),
            lambda t, v, hessian=hessian: hessian(*t) @ v,
        )
        for theta in (np.array([-1.5, 2.0]), np.array([0.125, -0.0625]), np.array([1e-9, -1e-9])):
            old = [Fraction(float(x)) for x in theta]
            E, g = energy(*old)
            for step in (Fraction(1, 1000), Fraction(1), Fraction(1000)):
                converged, newton = False, 0
                for limit in range(1, 60):
                    scheme = ImplicitEuler(max_newton=limit)
                    state = scheme.step(problem, scheme.init(problem, theta), step)
                    new = [Fraction(float(x)) for x in state.theta]
                    d = [b - a for a, b in zip(old, new, strict=True)]
                    E_new, g_new = energy(*new)
                    law = E_new + sum(x * x for x in d) / (2 * step) - E
                    assert law <= 40 * EPS * (
                        abs(E) + abs(E_new) + sum(abs(a * b) for a, b in zip(old, g, strict=True))
                    )
                    R = residual(np.array(g_new), np.array(d), dt=step)
                    size = max(abs(x) for x in g)
                    tiny = 10 * float(EPS * (1 + max(map(abs, new))) * (1 / step + 1500) / size)
                    assert abs(float(R @ R) ** 0.5 / float(sum(x * x for x in g)) ** 0.5 - state.residual) <= tiny
                    converged, newton = state.converged, state.newton
                    if converged:
                        break
                    assert newton == limit
                assert converged


# % [markdown]
# ## The inner product
#
# In the coordinates $y = M^{1/2}\theta$ the inner product of diagonal M is the dot product. The steps are the same.


# %
@check("identity, run", "one energy of three parameters, M = diag(4, 1/4, 1), six starts; float64")
def steps_are_the_same_in_other_coordinates():
    """The increment, its residual and the iterations, in the inner product of M and in y."""
    agree(ImplicitEuler(), in_both())


@check("identity, run", "E = (theta, L theta) / 2: L a number, a diagonal, a matrix and its sum with a number; float64")
def preconditioner_inverts_the_linear_part():
    """With F = 0 the system is I + dt L, the preconditioner its inverse, and one product with H an iteration solves it."""
    start = np.array([1.0, -2.0, 0.5])
    matrix = Matrix(np.array([[2.0, -1.0, 0.0], [-1.0, 2.0, 0.5], [0.0, 0.5, 8.0]]))
    for L in (Zero(), Shift(3.0), Diagonal(np.array([0.5, 4.0, 64.0])), matrix, Shifted(matrix, 3.0)):
        problem = FunctionProblem(lambda t: 0 * t[0], lambda t: 0 * t, hvp=lambda t, v: 0 * v, linear=L)
        scheme = ImplicitEuler(max_cg=1, max_newton=3)
        new = scheme.step(problem, scheme.init(problem, start), 0.75)
        assert new.converged
        assert np.allclose(new.theta + 0.75 * L.apply(new.theta), start, rtol=1e-12)
