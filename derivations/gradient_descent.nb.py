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
# # Gradient descent
#
# The flow of $E = \tfrac12(\theta, L\theta)_M + F$ is $\theta' = -L\theta - g$, g the gradient of F. Treat L and a
# stabilization S implicitly, and g explicitly: with $d = \theta^{n+1} - \theta^n$,
#
# $$\frac{d}{\Delta t} + L\theta^{n+1} + S d + g = 0. \tag{1}$$
#
# The inner product of (1) with d, and $(L\theta^{n+1}, d) = \tfrac12(\theta^{n+1}, L\theta^{n+1}) - \tfrac12(\theta^n,
# L\theta^n) + \tfrac12(Ld, d)$, give the balance
#
# $$E^{n+1} - E^n = -\frac{|d|^2}{\Delta t} - (Sd, d) - \tfrac12(Ld, d) + \bigl[F^{n+1} - F^n - (g, d)\bigr]. \tag{2}$$
#
# Nothing is known of the bracket but that it is the remainder of a Taylor expansion: at most $K|d|^2/2$ if the gradient
# of F has the Lipschitz constant K. That, and no convexity, is what a guarantee costs.

# %%
import sympy as sp

from gradflow import GradientDescent
from gradflow.energies.linear import add
from gradflow.proofs import check, follows, linear_kinds
from gradflow.schemes.gradient_descent import gradient_descent_update
from gradflow.schemes.state import FlowState
from gradflow.symbolic import AbstractEnergy, Space, configured, is_small, is_zero

EVERY = "every dimension, inner product, L and S"
dt, K, k, s, t, x = sp.symbols("dt K k s t x", positive=True)


def settings():
    """Yield the kind of L and S, a fresh problem, scheme and theta on abstract vectors."""
    for kind in linear_kinds():
        problem, scheme = AbstractEnergy(kind.space, kind.L), configured(GradientDescent, stabilization=kind.S)
        yield kind, problem, scheme, kind.theta


# %% [markdown]
# ## The three obligations


# %%
@check("identity", EVERY)
def energy_law():
    """E_new - E = -|d|^2/dt - (Sd, d) - (Ld, d)/2 + [F_new - F - (g, d)] exactly, for every dt."""
    for (_, V, L, S), problem, scheme, theta in settings():
        start = scheme.init(problem, theta)
        assert is_zero(start.theta - theta)
        new = scheme.step(problem, start, dt).theta
        d = new - theta
        F, g = problem.nonlinear_energy_and_gradient(theta)
        bracket = problem.nonlinear_energy(new) - F - V.inner(g, d)
        loss = V.inner(d, d) / dt + V.inner(S.apply(d), d) + V.inner(L.apply(d), d) / 2
        assert is_zero(problem.energy(new) - problem.energy(theta) + loss - bracket)


@check("identity", EVERY)
def consistency():
    """theta_new = theta + dt theta' + O(dt^2) for theta' = -L theta - g; S enters at dt^2 and moves no fixed point."""
    for _, problem, scheme, theta in settings():
        new = scheme.step(problem, FlowState(theta), dt).theta
        _, gradient = problem.energy_and_gradient(theta)
        assert is_small(new - theta + dt * gradient, dt, 2)
    # where L theta + g = 0 the step stays
    for kind in linear_kinds():
        theta, A = kind.theta, add(kind.L, kind.S)
        image = kind.L.apply(theta)
        stay = gradient_descent_update(theta, -image, image, dt=dt, solve=lambda u, A=A: A.solve_shifted(u, dt))
        assert is_zero(stay - theta)


@check("squares", EVERY)
def solvability():
    """The step solves d/dt + L theta_new + S d + g = 0, whose matrix has (Au, u) = |u|^2 + dt (Lu, u) + dt (Su, u) >= |u|^2."""
    for (_, _, L, S), problem, scheme, theta in settings():
        new = scheme.step(problem, FlowState(theta), dt).theta
        d = new - theta
        _, g = problem.nonlinear_energy_and_gradient(theta)
        assert is_zero(d / dt + S.apply(d) + g + L.apply(new))
    for _, W, L, S in linear_kinds():
        f, part = W.vector("f"), add(L, S)
        u = (-1 / dt) * gradient_descent_update(
            W.zero, f, dt=dt, solve=lambda v, part=part: part.solve_shifted(v, dt)
        )  # u = A^-1 f
        Auu = W.inner(f, u)
        assert is_zero(Auu - W.inner(u, u) - dt * W.inner(part.apply(u), u))
        assert sp.expand(W.inner(part.apply(u), u)).is_nonnegative
    try:
        GradientDescent(stabilization=-1.0)
    except ValueError:
        return
    raise AssertionError("a negative stabilization was accepted")


# %% [markdown]
# ## When the energy falls
#
# Let F have a K-Lipschitz gradient. With the bracket of (2) at most $K|d|^2/2$,
#
# $$E^{n+1} - E^n \le -\Bigl(\frac1{\Delta t} - \frac K2\Bigr)|d|^2 - (Sd, d) - \tfrac12(Ld, d)
#   = -\frac{|d|^2}{\Delta t} - \Bigl[(Sd, d) - \frac K2|d|^2\Bigr] - \tfrac12(Ld, d).$$
#
# To have $|d|^2$ and $(Ld, d)$ as single symbols of known sign, $f = L\theta + g$ is named, and g written as $f -
# L\theta$.


# %%
def upper_bound(*, energy_part, S_in_use=True):
    """Return space, L, S, d and the bound of E_new - E with the bracket replaced by K |d|^2 / 2."""
    V = Space()
    L, S, theta, f = V.operator("L"), V.operator("S"), V.vector("theta"), V.vector("f")
    problem = AbstractEnergy(V, L if energy_part else None)
    if energy_part:
        V.relate(V.vector("g"), f - L(theta))
    scheme = configured(GradientDescent, stabilization=S if S_in_use else 0.0)
    new = scheme.step(problem, FlowState(theta), dt).theta
    d = new - theta
    F, g = problem.nonlinear_energy_and_gradient(theta)
    F_bound = F + V.inner(g, d) + K * V.inner(d, d) / 2
    bound = problem.energy(new) - problem.nonlinear_energy(new) + F_bound - problem.energy(theta)
    return V, L, S, d, bound


@check("squares", "every dimension and inner product, every L, every S with (Sv, v) >= K |v|^2 / 2")
def falls_for_every_dt_with_enough_stabilization():
    """If F is K-smooth and S >= K/2, the energy falls for every dt > 0: by |d|^2/dt and more."""
    for energy_part in (False, True):
        V, L, S, d, bound = upper_bound(energy_part=energy_part)
        assumed = V.inner(S(d), d) - K * V.inner(d, d) / 2  # nonnegative by S >= K/2
        rest = V.inner(d, d) / dt
        if energy_part:
            rest += V.inner(L(d), d) / 2
        assert is_zero(bound + assumed + rest)
        assert sp.expand(rest).is_nonnegative


@check("decision procedure", "every dimension, inner product and L; S = 0")
def falls_for_small_dt_without():
    """If F is K-smooth and dt <= 2/K, the energy falls by (1/dt - K/2) |d|^2 or more, so it does not rise."""
    for energy_part in (False, True):
        V, L, _, d, bound = upper_bound(energy_part=energy_part, S_in_use=False)
        dd, Ldd = sp.symbols("dd Ldd", nonnegative=True)
        value = -(1 / dt - K / 2) * V.inner(d, d) - (V.inner(L(d), d) / 2 if energy_part else 0)
        assert is_zero(bound - value)
        assert sp.expand(V.inner(d, d)).is_nonnegative
        assert sp.expand(V.inner(L(d), d)).is_nonnegative
        assert follows(-(1 / dt - K / 2) * dd - Ldd / 2 <= 0, [dt <= 2 / K])


@check("decision procedure", "E = k theta^2 / 2, every theta, dt and s")
def both_conditions_are_sharp():
    """On k theta^2/2 with S = s the energy falls iff dt (k - 2 s) < 2: without S iff dt < 2/k, for every dt iff s >= k/2."""
    new = gradient_descent_update(t, k * t, dt=dt, solve=lambda u: u / (1 + dt * s))
    falls = new**2 < t**2
    assert follows(sp.Equivalent(falls, dt * (k - 2 * s) < 2).to_nnf())
    new = gradient_descent_update(t, k * t, dt=dt, solve=lambda u: u)
    assert follows(sp.Equivalent(new**2 < t**2, dt < 2 / k).to_nnf())


@check("counterexample", "E = theta^2 / 2, theta = 1, every dt > 2")
def rises_beyond_the_limit():
    """E = theta^2/2 from theta = 1 with dt = 2 + x rises by x + x^2/2 for every x > 0; for x = 1/10 from 1/2 to 121/200."""
    new = gradient_descent_update(sp.Integer(1), sp.Integer(1), dt=2 + x, solve=lambda u: u)
    rise = sp.expand(new**2 / 2 - sp.Rational(1, 2))
    assert is_zero(rise - x - x**2 / 2)
    assert rise.is_positive
    assert is_zero((new**2 / 2).subs(x, sp.Rational(1, 10)) - sp.Rational(121, 200))


# %% [markdown]
# ## What the implicit part costs in accuracy
#
# S is added and subtracted, so the flow is the same; the step differs from that without S by $\Delta t^2 S g$
# and higher orders.


# %%
@check("identity", "every dimension, inner product and S; L = 0")
def stabilization_delays():
    """The step with S is that without, less its own delay: d = -dt g - dt S d, that is -dt g + dt^2 S g + O(dt^3)."""
    V = Space()
    S, theta, problem = V.operator("S"), V.vector("theta"), AbstractEnergy(V)
    scheme = configured(GradientDescent, stabilization=S)
    d = scheme.step(problem, FlowState(theta), dt).theta - theta
    _, g = problem.energy_and_gradient(theta)
    assert is_zero(d + dt * g + dt * S(d))
    assert is_small(d + dt * g - dt**2 * S(g), dt, 3)
    assert not is_small(d + dt * g, dt, 3)
