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
# # Heavy ball
#
# $$d^{n+1} = \beta d^n - \Delta t\,g, \qquad \theta^{n+1} = \theta^n + d^{n+1}, \qquad
#   g = \nabla E(\theta^n). \tag{1}$$
#
# **Balance.** By (1), $\Delta t\,(g, d^{n+1}) = \beta(d^n, d^{n+1}) - |d^{n+1}|^2$, and
# $2(d^n, d^{n+1}) = |d^n|^2 + |d^{n+1}|^2 - |d^{n+1} - d^n|^2$. So the energy with the kinetic term
# $\beta|d|^2/(2\Delta t)$ obeys
#
# $$\Bigl[E + \frac{\beta|d|^2}{2\Delta t}\Bigr]^{n+1}_n = -\frac{1-\beta}{\Delta t}|d^{n+1}|^2
#   - \frac{\beta}{2\Delta t}|d^{n+1} - d^n|^2 + \rho, \qquad \rho = E^{n+1} - E^n - (g, d^{n+1}). \tag{2}$$
#
# **Time.** The point $z = \theta + \frac{\beta}{1-\beta}d$ moves by $z^{n+1} - z^n = -\frac{\Delta t}{1-\beta}\,g$,
# exactly: it makes the steps of explicit Euler for $\theta' = -\nabla E/(1-\beta)$, with the gradient at $\theta = z -
# \frac{\beta}{1-\beta}d$. From rest, $|d| \le \Delta t \max|g|/(1-\beta)$ by induction, so z and $\theta$ are $O(\Delta
# t)$ apart and both follow this flow to first order.

# %%
import sympy as sp

from gradflow import HeavyBall
from gradflow.proofs import check, follows
from gradflow.schemes.heavy_ball import MomentumState, heavy_ball_update
from gradflow.symbolic import AbstractEnergy, Space, configured, is_small, is_zero, symbols

EVERY = "every dimension, inner product and energy"
dt, K, h, a = sp.symbols("dt K h a", positive=True)
beta = sp.Symbol("beta", nonnegative=True)
BETA = [beta < 1]


def setting(*, energy_part):
    """Return space, problem, scheme, theta and d on abstract vectors."""
    V = Space()
    problem = AbstractEnergy(V, V.operator("L") if energy_part else None)
    return V, problem, configured(HeavyBall, momentum=beta), V.vector("theta"), V.vector("d")


def kinetic(V, u):
    """Return beta |u|^2/(2 dt)."""
    return beta * V.inner(u, u) / (2 * dt)


# %% [markdown]
# ## The three obligations


# %%
@check("identity", EVERY)
def energy_law():
    """E + beta |d|^2/(2 dt) changes by -(1 - beta)|d_new|^2/dt - beta |d_new - d|^2/(2 dt) + [E_new - E - (g, d_new)], exactly."""
    for energy_part in (False, True):
        V, problem, scheme, theta, d = setting(energy_part=energy_part)
        new = scheme.step(problem, MomentumState(theta, d), dt)
        E, g = problem.energy_and_gradient(theta)
        E_new = problem.energy(new.theta)
        remainder = E_new - E - V.inner(g, new.d)
        loss = (1 - beta) * V.inner(new.d, new.d) / dt + kinetic(V, new.d - d)
        assert is_zero(E_new + kinetic(V, new.d) - E - kinetic(V, d) + loss - remainder)


@check("identity", EVERY)
def consistency():
    """z = theta + beta d/(1 - beta) moves by -dt g/(1 - beta) exactly; on a constant gradient d tends to that increment."""
    for energy_part in (False, True):
        _V, problem, scheme, theta, d = setting(energy_part=energy_part)
        _, g = problem.energy_and_gradient(theta)
        z = lambda state: state.theta + (beta / (1 - beta)) * state.d  # noqa: E731
        old = MomentumState(theta, d)
        new = scheme.step(problem, old, dt)
        assert is_zero(z(new) - z(old) + (dt / (1 - beta)) * g)
        # the increment of the flow is the fixed point of d, approached at the rate beta
        assert is_zero(scheme.speed - 1 / (1 - beta))
        limit = (-dt / (1 - beta)) * g
        assert is_zero(new.d - limit - beta * (d - limit))
        steady = scheme.step(problem, MomentumState(theta, limit), dt)
        assert is_zero(steady.d - limit)
        assert is_zero(steady.theta - theta - limit)
        # from rest, the first step is that of gradient descent
        start = scheme.init(problem, theta)
        assert is_zero(start.theta - theta)
        assert is_zero(start.d)
        assert is_small(scheme.step(problem, start, dt).theta - theta + dt * g, dt, 3)


@check("identity", EVERY)
def solvability():
    """The step is explicit, without any denominator: theta_new = theta - dt g + beta d and d_new = theta_new - theta."""
    _V, problem, scheme, theta, d = setting(energy_part=True)
    new = scheme.step(problem, MomentumState(theta, d), dt)
    _, g = problem.energy_and_gradient(theta)
    assert is_zero(new.theta - (theta - dt * g + beta * d))
    assert is_zero(new.d - (new.theta - theta))
    for n in (1, 2, 3):
        u, v, w = symbols("theta", n), symbols("d", n), symbols("g", n)
        u_new, v_new = heavy_ball_update(u, v, w, dt=dt, beta=beta)
        assert is_zero(u_new - (u - dt * w + beta * v))
        assert is_zero(v_new - (u_new - u))
    HeavyBall(momentum=0.0)
    for outside in (1.0, -0.1):
        try:
            HeavyBall(momentum=outside)
        except ValueError:
            continue
        raise AssertionError(f"momentum {outside} was accepted")


# %% [markdown]
# ## Decay
#
# If the gradient of E has the Lipschitz constant K, $\rho \le K|d^{n+1}|^2/2$ in (2).


# %%
@check("decision procedure", "every dimension and inner product, every E with a K-Lipschitz gradient")
def decay():
    """If E is K-smooth and dt K <= 2 (1 - beta), then E + beta |d|^2/(2 dt) does not rise."""
    V, problem, scheme, theta, d = setting(energy_part=False)
    new = scheme.step(problem, MomentumState(theta, d), dt)
    _, g = problem.energy_and_gradient(theta)
    x, y = V.inner(new.d, new.d), V.inner(new.d - d, new.d - d)
    bound = V.inner(g, new.d) + K * x / 2 + beta * (x - V.inner(d, d)) / (2 * dt)
    assert is_zero(bound + ((1 - beta) / dt - K / 2) * x + beta * y / (2 * dt))
    X, Y = sp.symbols("X Y", nonnegative=True)  # |d_new|^2 and |d_new - d|^2
    value = -((1 - beta) / dt - K / 2) * X - beta * Y / (2 * dt)
    assert follows(value <= 0, [*BETA, dt * K <= 2 * (1 - beta)])


@check("squares", "every dimension and inner product, one step")
def increments_stay_small():
    """If |d| and dt |g|/(1 - beta) are at most D, so is |d_new|: D^2 - |d_new|^2 is a sum of nonnegative terms."""
    V, problem, scheme, theta, d = setting(energy_part=False)
    new = scheme.step(problem, MomentumState(theta, d), dt)
    _, g = problem.energy_and_gradient(theta)
    limit = (-dt / (1 - beta)) * g
    D2 = sp.Symbol("D2", positive=True)  # D^2
    # |d_new|^2 = beta |d|^2 + (1 - beta)|limit|^2 - beta (1 - beta)|d - limit|^2
    first, second = beta * (D2 - V.inner(d, d)), (1 - beta) * (D2 - V.inner(limit, limit))
    third = beta * (1 - beta) * V.inner(d - limit, d - limit)
    assert is_zero(D2 - V.inner(new.d, new.d) - first - second - third)
    a, b, c = sp.symbols("a b c", nonnegative=True)  # D^2 - |d|^2, D^2 - |limit|^2, |d - limit|^2
    assert follows(beta * a + (1 - beta) * b + beta * (1 - beta) * c >= 0, BETA)


@check("counterexample", "E = theta^2 / 2, dt = 1, from rest at theta = 1, every beta > 0")
def the_energy_itself_may_rise():
    """E = theta^2/2, dt = 1, from rest at 1: the second step leaves the minimum, E rises from 0 to beta^2/2, for any beta > 0."""
    one = sp.Integer(1)
    theta, d = heavy_ball_update(one, 0 * one, one, dt=1, beta=beta)
    assert (theta, d) == (0, -1)
    theta, d = heavy_ball_update(theta, d, theta, dt=1, beta=beta)
    assert is_zero(theta**2 / 2 - beta**2 / 2)


# %% [markdown]
# ## Quadratics
#
# On an eigenvector with eigenvalue k the state $(\theta, d)$ is multiplied by a matrix with trace $\tau$ and
# determinant $\delta$. Both eigenvalues lie inside the unit circle exactly when $1 - \tau + \delta > 0$, $1 + \tau +
# \delta > 0$ and $\delta < 1$ (Jury).


# %%
@check("decision procedure", "all real 2 x 2 matrices")
def jury():
    """Both roots of x^2 - tau x + delta have modulus < 1 iff 1 - tau + delta > 0, 1 + tau + delta > 0 and delta < 1."""
    r, q = sp.symbols("r q", real=True)

    def conditions(tau, delta):
        return sp.And(1 - tau + delta > 0, 1 + tau + delta > 0, delta < 1)

    # two real roots r, q; then r + i q, r - i q
    inside = sp.And(r < 1, r > -1, q < 1, q > -1)
    for tau, delta, wanted, given in (
        (r + q, r * q, inside, []),
        (2 * r, r**2 + q**2, r**2 + q**2 < 1, [sp.Ne(q, 0)]),
    ):
        jury_conditions = conditions(tau, delta)
        assert follows(wanted, [*given, jury_conditions])
        assert follows(jury_conditions, [*given, wanted])


@check("decision procedure", "E = k theta^2 / 2, every beta in [0, 1), dt and k")
def stability():
    """On a quadratic with eigenvalue k the iteration converges iff 0 < dt k < 2 (1 + beta)."""
    theta, d, slope = sp.symbols("theta d slope", real=True)
    new = heavy_ball_update(theta, d, slope * theta, dt=dt, beta=beta)
    matrix = sp.Matrix([[sp.diff(c, w) for w in (theta, d)] for c in new])
    tau, delta = matrix.trace(), sp.expand(matrix.det())
    conditions = sp.And(1 - tau + delta > 0, 1 + tau + delta > 0, delta < 1)
    claimed = sp.And(dt * slope > 0, dt * slope < 2 * (1 + beta))
    assert follows(claimed, [*BETA, conditions])
    assert follows(conditions, [*BETA, claimed])


# %% [markdown]
# ## Inertia
#
# For fixed $\beta$ there is none in the limit. With $\Delta t = h^2$ and $\beta = 1 - ah$ there is.


# %%
@check("identity", EVERY)
def inertia():
    """For dt = h^2, beta = 1 - a h the step is the difference scheme of theta'' + a theta' = -grad E with step h."""
    V = Space()
    theta, old, g = V.vectors("theta old g")
    new, _ = heavy_ball_update(theta, theta - old, g, dt=h**2, beta=1 - a * h)
    second = (new - 2 * theta + old) / h**2
    first = (theta - old) / h
    assert is_zero(second + a * first + g)
