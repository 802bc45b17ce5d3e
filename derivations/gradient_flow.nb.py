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
# # The gradient flow
#
# The gradient g of E in the inner product $(\cdot,\cdot)_M$ is defined by $\tfrac{d}{ds}E(\theta + s v)|_{s=0} = (g,
# v)_M$ for every v. Along the flow $\theta' = -g$ therefore
#
# $$\frac{dE}{dt} = (g, \theta')_M = -|\theta'|_M^2 = -|g|_M^2. \tag{1}$$
#
# In a diagonal inner product $(u, v)_M = \sum_i m_i u_i v_i$ the gradient is $g_i = \partial_i E/m_i$. The checks take
# E and g from the problem classes of the library.

# %%
from unittest.mock import patch

import numpy as np
import sympy as sp

from gradflow import SAV, DenseLeastSquares, ExpSAV, GradientDescent
from gradflow.energies.dense import DenseLinearization
from gradflow.energies.split import weighted_dot
from gradflow.proofs import check
from gradflow.schemes import exp_sav
from gradflow.schemes.sav import sav_update
from gradflow.schemes.state import FlowState
from gradflow.symbolic import AbstractEnergy, Space, configured, is_small, is_zero, symbols

EVERY = "every dimension, inner product, L and S"
dt, C, r, F, kappa = sp.symbols("dt C r F kappa", positive=True)
s = sp.Symbol("s", real=True)


def sample(P):
    """Return F = |q|^2 / 2 for two quadratic residuals in P parameters with free coefficients, and any diagonal inner product."""
    a, b = symbols("a", 2 * P).reshape(2, P), symbols("b", 2)
    first = np.array([1] + [0] * (P - 1), dtype=object)
    problem = DenseLeastSquares(
        lambda theta: a @ theta + b * theta[0] ** 2 - b, lambda theta: a + 2 * theta[0] * np.outer(b, first)
    )
    problem.mass = symbols("m", P, positive=True)  # symbols, which the constructor would refuse
    return problem


# %% [markdown]
# ## The gradient, and the decay of the energy


# %%
@check("identity", "quadratic residuals in 1 to 3 parameters, every diagonal inner product")
def gradient_by_inner_product():
    """d/ds E(theta + s v) at s = 0 is (g, v)_M for every v, g being the gradient of the least-squares problem."""
    for P in (1, 2, 3):
        problem, theta, v = sample(P), symbols("theta", P), symbols("v", P)
        _, g = problem.nonlinear_energy_and_gradient(theta)
        slope = sp.diff(problem.nonlinear_energy(theta + s * v), s).subs(s, 0)
        assert is_zero(slope - problem.inner(g, v))
        # the gradient is the partial derivative divided by the mass
        F_of = problem.nonlinear_energy(theta)
        assert is_zero(g * problem.mass - np.array([sp.diff(F_of, t) for t in theta], dtype=object))


@check(
    "identity",
    "every dimension, inner product and L, by the definition of g; least squares in 1 to 3 parameters, differentiated",
)
def energy_decays():
    """Along theta' = -grad E, dE/dt = -|theta'|_M^2 <= 0, the energy part (theta, L theta)/2 included."""
    for P in (1, 2, 3):
        problem, theta = sample(P), symbols("theta", P)
        _, g = problem.nonlinear_energy_and_gradient(theta)
        velocity = -g
        rate = sp.diff(problem.nonlinear_energy(theta + s * velocity), s).subs(s, 0)
        assert is_zero(rate + problem.inner(velocity, velocity))
        assert is_zero(rate + sum(m * x**2 for m, x in zip(problem.mass, g, strict=True)))
    V = Space()
    L, theta = V.operator("L"), V.vector("theta")
    problem = AbstractEnergy(V, L)
    _, g = problem.nonlinear_energy_and_gradient(theta)
    _, whole = problem.energy_and_gradient(theta)
    velocity = -whole
    along = theta + s * velocity
    quadratic = sp.diff(sp.expand(V.inner(along, L(along)) / 2), s).subs(s, 0)
    assert is_zero(quadratic + V.inner(g, velocity) + V.inner(velocity, velocity))


@check("identity", "every dimension, inner product and energy", proves=("C001-02",))
def rate_of_the_step():
    """A step of gradient descent is the flow theta' = -grad E up to O(dt^2), the energy part included, and so is its decay (g, d) = -dt |theta'|^2."""
    V = Space()
    L, theta = V.operator("L"), V.vector("theta")
    problem = AbstractEnergy(V, L)
    d = GradientDescent().step(problem, FlowState(theta), dt).theta - theta
    _, whole = problem.energy_and_gradient(theta)
    assert is_small(d + dt * whole, dt, 2)
    assert is_small(V.inner(whole, d) + dt * V.inner(whole, whole), dt, 2)


# %% [markdown]
# ## The mean-field factor
#
# A network $f = \tfrac1m\sum_k \varphi(\theta_k)$ of m neurons has $\partial_{\theta_k}E = \tfrac1m
# E'(f)\,\varphi'(\theta_k)$: in the
# plain inner product a neuron moves m times slower the more neurons there are. In $(u, v)_M = u\cdot v/m$ it moves with
# $\theta_k' = -E'(f)\,\varphi'(\theta_k)$, of order one, and (1) reads $dE/dt = -m\,|\partial E|^2$.


# %%
@check("identity", "1 to 3 neurons, one residual, every number m")
def mean_field_factor():
    """In (u, v)_M = u . v / m the gradient is m times the partial derivative; for f = (1/m) sum phi(theta_k) it is free of m."""
    m, q = sp.symbols("m q", positive=True)
    for n in (1, 2, 3):
        slopes = symbols("phi", n)  # phi'(theta_k)
        J = np.array([slopes / m], dtype=object)
        mass = np.array([1 / m] * n, dtype=object)
        at = DenseLinearization(np.array([q], dtype=object), J, mass)
        partial = DenseLinearization(at.residual, J, 1).vjp(at.residual)
        g = at.vjp(at.residual)
        assert is_zero(g - m * partial)
        assert is_zero(g - q * slopes)
        rate = -weighted_dot(mass, g, g)
        assert is_zero(rate + m * weighted_dot(None, partial, partial))
        # J^* is the adjoint of J in this inner product
        v = symbols("v", n)
        assert is_zero(weighted_dot(mass, g, v) - at.residual @ at.jvp(v))


# %% [markdown]
# ## A stabilization is no part of the flow
#
# $\theta' + S\theta + g - S\theta = 0$ is the flow again. What S changes is the step, where one $S\theta$ is taken at
# $t^{n+1}$ and the other at $t^n$: by $\Delta t^2 S g$ and higher orders.


# %%
@check("identity", EVERY, proves=("C001-35", "C001-73"))
def adding_and_subtracting_is_the_same_flow():
    """theta' + S theta + g - S theta = 0 gives dE/dt = -|g|^2; taken at two times, S changes the step by O(dt^2) only."""
    V = Space()
    S, theta, g = V.operator("S"), V.vector("theta"), V.vector("g")
    velocity = -(S(theta) + g - S(theta))
    assert is_zero(velocity + g)
    assert is_zero(V.inner(g, velocity) + V.inner(g, g))
    problem = AbstractEnergy(V)
    scheme = configured(GradientDescent, stabilization=S)
    d = scheme.step(problem, FlowState(theta), dt).theta - theta
    _, g = problem.energy_and_gradient(theta)
    assert is_zero(d / dt + S(theta + d) + g - S(theta))
    assert is_small(d - dt * velocity, dt, 2)
    assert not is_small(d - dt * velocity, dt, 3)


# %% [markdown]
# ## The flow in terms of r
#
# With $r = \sqrt{F + C}$: $r' = \tfrac1{2r}(g, \theta')$, so $(r^2)' = (g, \theta') = -|g|^2$ along the flow of F.
#
# In the SAV form $\theta' = -L\theta - \tfrac rR g$, $r' = \tfrac1{2R}(g, \theta')$, $R = \sqrt{F + C}$, the law
# $(r^2 + \tfrac12(\theta, L\theta))' = -|\theta'|^2$ holds for *any* r, and $r - R$ is conserved.


# %%
class AlongACurve:
    """Any energy along any curve theta(t): a function of t alone. Its derivative is (g, theta'), by the definition of g."""

    linear = None
    energy_of = staticmethod(sp.Function("E", positive=True))

    def nonlinear_energy(self, t):
        """Return E at theta(t)."""
        return self.energy_of(t)

    energy = nonlinear_energy


@check(
    "identity",
    "every energy along every curve in every inner product; quadratic residuals in 1 to 3 parameters, differentiated",
    proves=("C001-36",),
)
def auxiliary_variable_along_the_flow():
    """For r = sqrt(F + C), r' = (g, theta')/(2 r) along every curve, and (r^2)' = -|g|^2 along the flow."""
    scheme = configured(SAV, C=C)
    at = scheme.auxiliary(AlongACurve(), s)
    F_rate = sp.diff(AlongACurve.energy_of(s), s)  # (g, theta'), and -|g|^2 along the flow
    assert is_zero(sp.diff(at, s) * 2 * at - F_rate)
    assert is_zero(sp.diff(at**2, s) - F_rate)
    for P in (1, 2, 3):
        problem, theta, v = sample(P), symbols("theta", P), symbols("v", P)
        _, g = problem.nonlinear_energy_and_gradient(theta)
        at = scheme.auxiliary(problem, theta)
        for direction in (v, -g):
            rate = sp.diff(scheme.auxiliary(problem, theta + s * direction), s).subs(s, 0)
            assert is_zero(rate * 2 * at - problem.inner(g, direction))
        assert is_zero(rate * 2 * at + problem.inner(g, g))  # the last direction was -g


# %% [markdown]
# ## The flow in terms of an exponential
#
# With $r = C e^{E/\kappa}$, $r' = \tfrac r\kappa (\nabla E, \theta')$ along every curve, and $r' = -\tfrac r\kappa |\nabla
# E|^2$ along the flow. The library keeps $s = \log r = E/\kappa + \log C$.


# %%
@check(
    "identity",
    "every energy along every curve in every inner product; quadratic residuals in 1 to 3 parameters, every kappa and C",
    proves=("C001-42",),
)
def exponential_variable_along_the_flow():
    """For r = C e^E, r' = -r |grad E|^2 along theta' = -grad E; for r = C e^(E/kappa) 1/kappa times that, r = exp(ExpSAV.auxiliary)."""
    with patch.object(exp_sav, "log", sp.log):  # of the symbol C
        for form in ("implicit", "explicit"):
            at = sp.exp(configured(ExpSAV, form=form, scale=kappa, C=C).auxiliary(AlongACurve(), s))
            E_rate = sp.diff(AlongACurve.energy_of(s), s)  # (grad E, theta'), and -|grad E|^2 along the flow
            assert is_zero(sp.diff(at, s) / at * kappa - E_rate)
        for P in (1, 2, 3):
            problem, theta, v = sample(P), symbols("theta", P), symbols("v", P)
            _, g = problem.energy_and_gradient(theta)
            for form in ("implicit", "explicit"):  # the two ways to E; there is no energy part here
                scheme = configured(ExpSAV, form=form, scale=kappa, C=C)
                assert is_zero(scheme.auxiliary(problem, theta) - problem.energy(theta) / kappa - sp.log(C))
                for direction in (v, -g):
                    # r = exp(s), so r'/r = s'
                    rate = sp.diff(scheme.auxiliary(problem, theta + s * direction), s).subs(s, 0)
                    assert is_zero(rate * kappa - problem.inner(g, direction))
                assert is_zero(rate * kappa + problem.inner(g, g))  # the last direction was -g
        # r itself for kappa = 1, differentiated, in one parameter
        problem, theta = sample(1), symbols("theta", 1)
        _, g = problem.energy_and_gradient(theta)
        along = sp.exp(configured(ExpSAV, scale=sp.Integer(1), C=C).auxiliary(problem, theta - s * g))
        ratio = sp.diff(along, s).subs(s, 0) / along.subs(s, 0)
        assert is_zero(ratio + problem.inner(g, g))


@check(
    "identity",
    "every dimension, inner product and S, every r > 0",
    given={"C001-74": "r = sqrt(L + C)"},
    refutes=("C001-74",),
)
def slope_over_r_needs_a_consistent_r():
    """SAV has r_new - r = (g, d)/(2 R), R = sqrt(F + C); (g, d)/(2 r) is that times R/r, the same for (g, d) != 0 where r = R alone."""
    V = Space()
    S, theta, g = V.operator("S"), V.vector("theta"), V.vector("g")
    new, r_new = sav_update(theta, r, g, F, dt=dt, C=C, inner=V.inner, solve=lambda u: S.solve_shifted(u, dt))
    slope, R = V.inner(g, new - theta), sp.sqrt(F + C)
    assert is_zero(r_new - r - slope / (2 * R))
    assert is_zero(slope / (2 * r) - (R / r) * (r_new - r))
    assert not is_zero(slope / (2 * r) - (r_new - r))
    assert sp.solve(R / r - 1, r) == [R]


@check("identity", EVERY)
def sav_form_of_the_flow():
    """For any r the SAV form has (r^2 + (theta, L theta)/2)' = -|theta'|^2, conserves r - R, and is what sav_update tends to."""
    V = Space()
    L, S, theta, g = V.operator("L"), V.operator("S"), V.vector("theta"), V.vector("g")
    A = L + S
    new, r_new = sav_update(theta, r, g, F, L(theta), dt=dt, C=C, inner=V.inner, solve=lambda u: A.solve_shifted(u, dt))
    R = sp.sqrt(F + C)
    velocity = -L(theta) - (r / R) * g
    r_rate = V.inner(g, velocity) / (2 * R)
    assert is_zero(2 * r * r_rate + V.inner(L(theta), velocity) + V.inner(velocity, velocity))
    R_rate = V.inner(g, velocity) / (2 * R)  # R' = F' / (2 R), F' = (g, theta')
    assert is_zero(sp.diff(sp.sqrt(F + C), F) * V.inner(g, velocity) - R_rate)
    assert is_zero(r_rate - R_rate)
    assert is_small(new - theta - dt * velocity, dt, 2)
    assert is_small(r_new - r - dt * r_rate, dt, 2)


# %% [markdown]
# ## What the modified law assumes
#
# Neither smoothness nor convexity of E. The SAV step asks for one number F, with $F + C > 0$, and one vector g, and its
# law holds whatever they are: g need not be a gradient. Convexity does not enter the decay of the *true* energy either;
# a Lipschitz constant of the gradient does (gradient descent, restarted SAV), and without one that decay fails.


# %%
@check(
    "identity", "every dimension, inner product, L and S, every number F > -C and every vector g", refutes=("C001-68",)
)
def modified_law_assumes_nothing_of_the_energy():
    """r^2 + (theta, L theta)/2 falls by |d|^2/dt + (Sd, d) + (Ld, d)/2 + (r_new - r)^2 for any number F and any vector g."""
    V = Space()
    L, S, theta, g = V.operator("L"), V.operator("S"), V.vector("theta"), V.vector("g")
    A = L + S
    number = sp.Symbol("number", real=True)  # F of any sign; the square root is of number + C > 0
    new, r_new = sav_update(
        theta, r, g, number, L(theta), dt=dt, C=C, inner=V.inner, solve=lambda u: A.solve_shifted(u, dt)
    )
    d = new - theta
    change = r_new**2 - r**2 + (V.inner(new, L(new)) - V.inner(theta, L(theta))) / 2
    loss = V.inner(d, d) / dt + V.inner(S(d), d) + V.inner(L(d), d) / 2
    assert is_zero(change + loss + (r_new - r) ** 2)


@check("counterexample", "F = |theta| (convex, not smooth), theta = 1/10, C = 1, dt = 1, r = R, S = 0")
def true_energy_needs_a_lipschitz_gradient():
    """F = |theta| from 1/10, C = 1, dt = 1: restarted SAV goes to -47/80, F rises from 8/80 to 47/80, while r falls."""
    one = sp.Integer(1)
    theta = one / 10
    new, r_new = sav_update(theta, None, one, theta, dt=one, C=one, inner=lambda u, v: u * v, solve=lambda u: u)
    assert new == sp.Rational(-47, 80)
    assert abs(new) > theta
    assert is_zero(r_new**2 - (theta + 1) / (1 + one / (2 * (theta + 1))) ** 2)
    assert (theta + 1 - r_new**2).is_positive
