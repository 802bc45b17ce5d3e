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
# # Nesterov's method with constant momentum
#
# $$y = \theta^n + \beta d^n, \qquad d^{n+1} = \beta d^n - \Delta t\,g, \qquad
#   \theta^{n+1} = \theta^n + d^{n+1}, \qquad g = \nabla E(y). \tag{1}$$
#
# The increments obey the law of the heavy ball, so $\Delta t\,(g, d^{n+1}) = \beta(d^n, d^{n+1}) - |d^{n+1}|^2$. The
# energies are now expanded about y. With
#
# $$\rho_+ = E(\theta^{n+1}) - E(y) - (g, \theta^{n+1} - y), \qquad \rho_- = E(\theta^n) - E(y) - (g, \theta^n - y),$$
#
# and $(\theta^{n+1} - y) - (\theta^n - y) = d^{n+1}$,
#
# $$\Bigl[E + \frac{\beta|d|^2}{2\Delta t}\Bigr]^{n+1}_n = -\frac{1-\beta}{\Delta t}|d^{n+1}|^2
#   - \frac{\beta}{2\Delta t}|d^{n+1} - d^n|^2 + \rho_+ - \rho_-. \tag{2}$$
#
# For convex E, $\rho_- \ge 0$: a remainder that the heavy ball does not have helps. For K-Lipschitz gradients $\rho_+
# \le K|\theta^{n+1} - y|^2/2$ and $\rho_- \ge -K|\theta^n - y|^2/2 = -K\beta^2|d^n|^2/2$.

# %%
import sympy as sp

from gradflow import Nesterov
from gradflow.proofs import check, follows
from gradflow.schemes.heavy_ball import MomentumState
from gradflow.schemes.nesterov import nesterov_point, nesterov_update
from gradflow.symbolic import AbstractEnergy, Space, configured, is_small, is_zero, symbols

EVERY = "every dimension, inner product and energy"
dt, K = sp.symbols("dt K", positive=True)
beta = sp.Symbol("beta", nonnegative=True)
BETA = [beta < 1]


def setting(*, energy_part):
    """Return space, problem, scheme, theta, d and the point y of equation (1), on abstract vectors."""
    V = Space()
    problem = AbstractEnergy(V, V.operator("L") if energy_part else None)
    theta, d = V.vectors("theta d")
    return V, problem, configured(Nesterov, momentum=beta), theta, d, theta + beta * d


def kinetic(V, u):
    """Return beta |u|^2/(2 dt)."""
    return beta * V.inner(u, u) / (2 * dt)


# %% [markdown]
# ## The three obligations


# %%
@check("identity", EVERY)
def energy_law():
    """E + beta |d|^2/(2 dt) changes as for the heavy ball, with the difference of two Taylor remainders about y, exactly."""
    for energy_part in (False, True):
        V, problem, scheme, theta, d, y = setting(energy_part=energy_part)
        new = scheme.step(problem, MomentumState(theta, d), dt)
        E_y, g = problem.energy_and_gradient(y)
        ahead = problem.energy(new.theta) - E_y - V.inner(g, new.theta - y)
        behind = problem.energy(theta) - E_y - V.inner(g, theta - y)
        loss = (1 - beta) * V.inner(new.d, new.d) / dt + kinetic(V, new.d - d)
        change = problem.energy(new.theta) - problem.energy(theta)
        assert is_zero(change + kinetic(V, new.d) - kinetic(V, d) + loss - (ahead - behind))


@check("identity", EVERY)
def consistency():
    """z = theta + beta d/(1 - beta) moves by -dt grad E(y)/(1 - beta) exactly; on a constant gradient d tends to that increment."""
    for energy_part in (False, True):
        _, problem, scheme, theta, d, y = setting(energy_part=energy_part)
        assert is_zero(nesterov_point(theta, d, beta=beta) - y)
        _, g = problem.energy_and_gradient(y)
        z = lambda state: state.theta + (beta / (1 - beta)) * state.d  # noqa: E731
        old = MomentumState(theta, d)
        new = scheme.step(problem, old, dt)
        assert is_zero(z(new) - z(old) + (dt / (1 - beta)) * g)
        assert is_zero(scheme.speed - 1 / (1 - beta))
        limit = (-dt / (1 - beta)) * g
        assert is_zero(new.d - limit - beta * (d - limit))
        # from rest, y = theta and the first step is that of gradient descent
        _, problem, scheme, theta, _, _ = setting(energy_part=energy_part)
        start = scheme.init(problem, theta)
        assert is_zero(start.theta - theta)
        assert is_zero(start.d)
        _, g = problem.energy_and_gradient(theta)
        assert is_small(scheme.step(problem, start, dt).theta - theta + dt * g, dt, 3)


@check("identity", EVERY)
def solvability():
    """The step is explicit, without any denominator: theta_new = y - dt grad E(y) and d_new = theta_new - theta."""
    _, problem, scheme, theta, d, y = setting(energy_part=True)
    new = scheme.step(problem, MomentumState(theta, d), dt)
    _, g = problem.energy_and_gradient(y)
    assert is_zero(new.theta - (y - dt * g))
    assert is_zero(new.d - (new.theta - theta))
    for n in (1, 2, 3):
        u, v, w = symbols("theta", n), symbols("d", n), symbols("g", n)
        assert is_zero(nesterov_point(u, v, beta=beta) - u - beta * v)
        u_new, v_new = nesterov_update(u, v, w, dt=dt, beta=beta)
        assert is_zero(u_new - (u + beta * v - dt * w))
        assert is_zero(v_new - (u_new - u))
    Nesterov(momentum=0.0)
    for outside in (1.0, -0.1):
        try:
            Nesterov(momentum=outside)
        except ValueError:
            continue
        raise AssertionError(f"momentum {outside} was accepted")


# %% [markdown]
# ## Decay
#
# $\theta^{n+1} - y = d^{n+1} - \beta d^n = (1 - \beta)d^{n+1} + \beta(d^{n+1} - d^n)$, whose square is
#
# $$|d^{n+1} - \beta d^n|^2 = (1-\beta)|d^{n+1}|^2 + \beta|d^{n+1} - d^n|^2 - \beta(1-\beta)|d^n|^2. \tag{3}$$
#
# With it the right-hand side of (2) is at most
#
# $$-(1-\beta)\Bigl(\frac1{\Delta t} - \frac K2\Bigr)|d^{n+1}|^2 - \frac\beta2\Bigl(\frac1{\Delta t} - K\Bigr)
#   |d^{n+1} - d^n|^2 - \frac K2\beta(1-\beta)|d^n|^2 - \rho_-,$$
#
# and the last two terms are nonpositive for convex E, and together at most $\tfrac K2\beta(2\beta - 1)|d^n|^2$ for any
# E.


# %%
def bounded(convex):
    """Return the bound of the change of E + beta |d|^2/(2 dt), and |d_new|^2, |d_new - d|^2, |d|^2."""
    V, problem, scheme, theta, d, y = setting(energy_part=False)
    new = scheme.step(problem, MomentumState(theta, d), dt)
    _, g = problem.energy_and_gradient(y)
    ahead = K * V.inner(new.theta - y, new.theta - y) / 2
    behind = 0 if convex else -K * V.inner(theta - y, theta - y) / 2
    first_order = V.inner(g, new.theta - y) - V.inner(g, theta - y)
    kinetic = beta * (V.inner(new.d, new.d) - V.inner(d, d)) / (2 * dt)
    return first_order + ahead - behind + kinetic, V.inner(new.d, new.d), V.inner(new.d - d, new.d - d), V.inner(d, d)


X, Y, Z = sp.symbols("X Y Z", nonnegative=True)  # |d_new|^2, |d_new - d|^2, |d|^2


@check(
    "decision procedure",
    "every dimension and inner product, every convex E with a K-Lipschitz gradient, every beta in [0, 1)",
)
def decay_for_convex_energies():
    """If E is convex and K-smooth and dt K <= 1, then E + beta |d|^2/(2 dt) does not rise, for any beta."""
    bound, x, y, z = bounded(convex=True)
    value = lambda x, y, z: (  # noqa: E731
        -(1 - beta) * (1 / dt - K / 2) * x - beta * (1 / dt - K) * y / 2 - K * beta * (1 - beta) * z / 2
    )
    assert is_zero(bound - value(x, y, z))
    assert follows(value(X, Y, Z) <= 0, [*BETA, dt * K <= 1])


@check("decision procedure", "every dimension and inner product, every E with a K-Lipschitz gradient, beta <= 1/2")
def decay_without_convexity():
    """If E is K-smooth, convex or not, beta <= 1/2 and dt K <= 1, then E + beta |d|^2/(2 dt) does not rise."""
    bound, x, y, z = bounded(convex=False)
    value = lambda x, y, z: (  # noqa: E731
        -(1 - beta) * (1 / dt - K / 2) * x - beta * (1 / dt - K) * y / 2 + K * beta * (2 * beta - 1) * z / 2
    )
    assert is_zero(bound - value(x, y, z))
    assert follows(value(X, Y, Z) <= 0, [2 * beta <= 1, dt * K <= 1])


@check("counterexample", "E = theta^2 / 2, dt = 1/2, every beta > 0")
def the_energy_itself_may_rise():
    """E = theta^2/2, dt = 1/2, at theta = 0 with d = 1: theta_new = beta/2, E rises from 0 to beta^2/8."""
    zero, one = sp.Integer(0), sp.Integer(1)
    y = nesterov_point(zero, one, beta=beta)
    theta, d = nesterov_update(zero, one, y, dt=sp.Rational(1, 2), beta=beta)
    assert is_zero(theta**2 / 2 - beta**2 / 8)
    assert is_zero(d - theta)


# %% [markdown]
# ## Quadratics
#
# The matrix of the step on an eigenvector, with the conditions of Jury (proved in the derivation of the heavy ball).


# %%
def jury_of_the_step(slope):
    """Return Jury's conditions for the matrix of one step on E = slope theta^2 / 2."""
    theta, d = sp.symbols("theta d", real=True)
    new = nesterov_update(theta, d, slope * nesterov_point(theta, d, beta=beta), dt=dt, beta=beta)
    matrix = sp.Matrix([[sp.diff(c, w) for w in (theta, d)] for c in new])
    tau, delta = matrix.trace(), sp.expand(matrix.det())
    return sp.And(1 - tau + delta > 0, 1 + tau + delta > 0, delta < 1)


@check("decision procedure", "E = k theta^2 / 2, every beta in [0, 1), dt and k")
def stability():
    """On a quadratic with eigenvalue k the iteration converges iff 0 < dt k < (2 + 2 beta)/(1 + 2 beta)."""
    slope = sp.Symbol("slope", real=True)
    conditions = jury_of_the_step(slope)
    claimed = sp.And(dt * slope > 0, dt * slope * (1 + 2 * beta) < 2 + 2 * beta)
    assert follows(claimed, [*BETA, conditions])
    assert follows(conditions, [*BETA, claimed])
    # for beta > 0 there is less room than gradient descent has, dt k < 2
    assert follows((2 + 2 * beta) / (1 + 2 * beta) < 2, [beta > 0])
