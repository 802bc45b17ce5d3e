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
# # Stability on a quadratic, and what lies beyond
#
# The energy is $E = \tfrac12\lambda\theta^2 + e$ in one dimension and $z = \Delta t\,\lambda$. Everything below runs the
# `step` of a scheme on symbols; the derivative at the minimum comes from `gradflow.backward_error.linear_stability`, the same
# function that gives the numbers of `stability(scheme)`.
#
# The auxiliary variable of a scheme is stable for every $z$. This page shows what that says of $\theta$: near the minimum,
# nothing. Restarted SAV has the threshold of gradient descent. Beyond it, it does not diverge, but its energy tends to
# $C(z-2)/(z+2)$; exponential SAV becomes chaotic.

# %%
import numpy as np
import sympy as sp
from mpmath import iv

from gradflow import (
    IEQ,
    SAV,
    Adagrad,
    Adam,
    AdaptiveIEQ,
    ElementwiseSAV,
    ExpSAV,
    GradientDescent,
    HeavyBall,
    ImplicitEuler,
    Nesterov,
    Restart,
    RMSProp,
    RungeKutta4,
    Shift,
    SourceSAV,
)
from gradflow.backward_error.linear_stability import (
    CurvedResidual,
    Quadratic,
    amplification_matrix,
    exact_stability,
    fate,
)
from gradflow.proofs import check, follows
from gradflow.schemes.adam import AdamState
from gradflow.schemes.rmsprop import SquaresState
from gradflow.schemes.state import AuxState
from gradflow.symbolic import Space, configured, is_zero

dt, k, C, e, kappa, lam, r, t, u, z = sp.symbols("dt k C e kappa lambda r t u z", positive=True)
beta = sp.Symbol("beta", nonnegative=True)
ONE = "one dimension, E = lambda theta^2 / 2 + e"


def multiplier(scheme, energy=None):
    """Return d theta_new / d theta at the minimum, of a scheme in which no other variable matters."""
    A, variables = amplification_matrix(scheme, z, energy)
    assert variables == ("theta",)
    return A[0, 0]


def stable_exactly(m, condition, given=()):
    """Assert that |m| < 1 exactly if the condition holds."""
    inside = sp.And(m < 1, m > -1)
    assert follows(condition, [*given, inside])
    assert follows(inside, [*given, condition])


def stepped(scheme, energy, theta, aux, step=dt):
    """Return theta_new, a number, and the auxiliary variable after one step from theta, a number."""
    new = scheme.step(energy, AuxState(np.array([theta], dtype=object), aux), step)
    return new.theta[0], new.aux


# %% [markdown]
# ## Thresholds
#
# **One variable.** Theta is multiplied by a number m(z), and the minimum is asymptotically stable if $|m| < 1$ and unstable if
# $|m| > 1$.


# %%
@check("decision procedure", ONE + ", every C, kappa, e and lambda")
def scalar_auxiliary_variables_have_the_threshold_of_gradient_descent():
    """SAV, ExpSAV, element-wise, passive and adaptive IEQ, restarted or consistent: the multiplier is 1 - z, stable iff z < 2."""
    energy, eps = Quadratic(k, e), sp.Symbol("eps", positive=True)
    bases = [configured(SAV, C=C), configured(ElementwiseSAV, C=C), configured(SourceSAV, C=C)]
    bases += [configured(ExpSAV, scale=kappa, form=form) for form in ("implicit", "explicit", "section_2.2.4")]
    bases += [configured(AdaptiveIEQ, eps=eps)]
    for scheme in (GradientDescent(), *bases, *map(Restart, bases)):
        assert is_zero(multiplier(scheme, energy) - (1 - z))
    stable_exactly(1 - z, z < 2)


class Bowl:
    """E = (theta, H theta) / 2 + e on an abstract space, H of any sign."""

    def __init__(self):
        self.space = Space()
        self.H, self.inner = self.space.operator("H", positive=False), self.space.inner

    def energy(self, theta):
        """Return E."""
        return self.inner(theta, self.H(theta)) / 2 + e

    def energy_and_gradient(self, theta):
        """Return E and H theta."""
        return self.energy(theta), self.H(theta)


@check("identity", "every dimension, inner product and Hessian H")
def in_every_dimension():
    """Restarted SAV and ExpSAV step by -eta H theta with eta -> dt as theta -> 0: the derivative at the minimum is I - dt H."""
    bowl = Bowl()
    theta, size = bowl.space.vector("theta"), sp.Symbol("size", positive=True)
    square, E = bowl.inner(bowl.H(theta), bowl.H(theta)), bowl.energy(theta) - e
    for base, eta in (
        (configured(SAV, C=C), dt / (1 + dt * square / (2 * (E + e + C)))),
        (configured(ExpSAV, scale=kappa), dt / (1 + dt * square / kappa)),
    ):
        new = Restart(base).step(bowl, AuxState(theta, None), dt).theta
        assert is_zero(new - theta + eta * bowl.H(theta))
        near = eta.subs({entry: size**2 * entry for entry in eta.free_symbols - {dt, C, e, kappa}}, simultaneous=True)
        assert is_zero(sp.limit(near, size, 0) - dt)


@check("decision procedure", ONE + ", every C, kappa, e, lambda and s >= 0")
def a_stabilization_moves_the_threshold():
    """With S = s I: multiplier 1 - z / (1 + z s / lambda), stable iff z (1 - 2 s / lambda) < 2, so for every dt iff s >= lambda / 2."""
    s = sp.Symbol("s", nonnegative=True)
    energy = Quadratic(k, e)
    for scheme in (GradientDescent(), SAV(), ExpSAV(), ElementwiseSAV()):
        stabilized = configured(type(scheme), stabilization=Shift(lam))
        assert is_zero(multiplier(stabilized, energy) - (1 - z / (1 + z * lam / k)))
    stable_exactly(1 - z / (1 + z * s / k), z * (1 - 2 * s / k) < 2)
    assert follows(z * (1 - 2 * s / k) < 2, [s >= k / 2])
    # below lambda / 2 some dt is unstable
    assert follows(z * (1 - 2 * s / k) >= 2, [s < k / 2, z >= 2 / (1 - 2 * s / k)])


@check("decision procedure", ONE + ", every kappa, r of any positive value")
def printed_forms_of_exponential_sav():
    """At the minimum with any r, form (3) of ExpSAV multiplies by 1 - z r / r^, form (4) by 1 - z, form (5) by 1 - z / r: stable iff z < 2 r."""
    energy = Quadratic(k, e)
    for form, wanted in (("explicit", r / sp.exp(e / kappa)), ("section_2.2.4", 1), ("theorem_2.2", 1 / r)):
        scheme = configured(ExpSAV, scale=kappa, form=form)
        new, _ = stepped(scheme, energy, t, sp.log(r))
        assert is_zero(sp.limit(new / t, t, 0) - (1 - dt * k * wanted))
    stable_exactly(1 - z / r, z < 2 * r)


@check("decision procedure", ONE + ", r of any positive value")
def a_carried_r_has_a_threshold_of_its_own():
    """Vanilla SAV: (0, r) is a fixed point for every r, and multiplies theta by 1 - z r / R, R = sqrt(e + C): stable iff z r < 2 R."""
    energy, scheme = Quadratic(k, e), configured(SAV, C=C)
    assert stepped(scheme, energy, sp.Integer(0), r) == (0, r)
    new, _ = stepped(scheme, energy, t, r)
    R = sp.sqrt(e + C)
    m = sp.limit(new / t, t, 0)
    assert is_zero(m - (1 - dt * k * r / R))
    x = sp.Symbol("R", positive=True)
    stable_exactly(1 - z * r / x, z * r < 2 * x)


# %% [markdown]
# **Two variables.** With the trace $\tau$ and the determinant $\delta$ of A, both eigenvalues have modulus < 1 exactly when $1 -
# \tau + \delta > 0$, $1 + \tau + \delta > 0$ and $\delta < 1$ (Jury; shown in `heavy_ball`). A leading eigenvalue that is real
# and positive exists exactly when $\tau > 0$ and $\tau^2 \ge 4\delta$.


# %%
def jury(A):
    """Return the condition that both eigenvalues of a 2 x 2 matrix have modulus < 1."""
    tau, delta = sp.cancel(A.trace()), sp.cancel(A.det())
    return sp.And(1 - tau + delta > 0, 1 + tau + delta > 0, delta < 1)


def leads(A):
    """Return the condition that the eigenvalue of largest modulus of a 2 x 2 matrix is real and positive."""
    tau, delta = sp.cancel(A.trace()), sp.cancel(A.det())
    return sp.And(tau > 0, tau**2 - 4 * delta >= 0)


def equivalent(one, other, given):
    """Assert that two conditions hold together."""
    assert follows(one, [*given, other])
    assert follows(other, [*given, one])


@check("decision procedure", "all real 2 x 2 matrices with different moduli of the eigenvalues or a double one")
def the_leading_eigenvalue():
    """The eigenvalue of largest modulus is real and positive iff the trace is positive and its square at least 4 times the determinant."""
    p, q = sp.symbols("p q", real=True)
    # two real roots p, q: p leads and is positive
    assert follows(p + q > 0, [p > 0, p**2 >= q**2, sp.Ne(q, -p)])
    assert follows((p + q) ** 2 >= 4 * p * q)
    assert follows(p > 0, [p + q > 0, p**2 >= q**2])
    # a pair p + i q, p - i q has (trace)^2 < 4 det
    assert follows((2 * p) ** 2 < 4 * (p**2 + q**2), [sp.Ne(q, 0)])


@check("decision procedure", "one dimension, every beta = b^2 in [0, 1)")
def heavy_ball():
    """Heavy ball: stable iff z < 2 (1 + beta); real modified flow iff z <= (1 - sqrt beta)^2 (< for beta = 0)."""
    b = sp.Symbol("b", nonnegative=True)
    A, variables = amplification_matrix(configured(HeavyBall, momentum=b**2), z)
    assert variables == ("theta", "d")
    equivalent(jury(A), z < 2 * (1 + b**2), [b < 1])
    equivalent(leads(A), z <= (1 - b) ** 2, [b > 0, b < 1])
    equivalent(leads(A).subs(b, 0), z < 1, [])
    found = exact_stability(configured(HeavyBall, momentum=beta), at={beta: sp.Rational(1, 4)})
    assert is_zero(found.threshold - 2 * (1 + beta))
    assert is_zero(found.real_flow - (1 - sp.sqrt(beta)) ** 2)


@check("decision procedure", "one dimension, every beta in [0, 1)")
def heavy_ball_with_averaged_gradients():
    """With the step h = dt / (1 - beta) of the averaged form: stable iff h lambda < 2 (1 + beta) / (1 - beta)."""
    h = sp.Symbol("h", positive=True)  # in units of 1 / lambda
    A, _ = amplification_matrix(configured(HeavyBall, momentum=beta), z)
    equivalent(jury(A.subs(z, h * (1 - beta))), h < 2 * (1 + beta) / (1 - beta), [beta < 1])


@check("decision procedure", "one dimension, every beta in [0, 1)")
def nesterov():
    """Nesterov: stable iff z < 2 (1 + beta) / (1 + 2 beta); real modified flow iff z <= ((1 - beta) / (1 + beta))^2 (< for beta = 0)."""
    A, variables = amplification_matrix(configured(Nesterov, momentum=beta), z)
    assert variables == ("theta", "d")
    equivalent(jury(A), z < 2 * (1 + beta) / (1 + 2 * beta), [beta < 1])
    equivalent(leads(A), z <= ((1 - beta) / (1 + beta)) ** 2, [beta > 0, beta < 1])
    equivalent(leads(A).subs(beta, 0), z < 1, [])


@check("decision procedure", "one dimension")
def runge_kutta4():
    """Runge-Kutta: stable iff z < 2.785293563405..., the real root of z^3 - 4 z^2 + 12 z - 24; a real modified flow for every z."""
    m = multiplier(RungeKutta4())
    q = z**3 - 4 * z**2 + 12 * z - 24
    stable_exactly(m, q < 0)
    low, high = sp.Rational(2785293563405, 10**12), sp.Rational(2785293563406, 10**12)
    assert q.subs(z, low) < 0 < q.subs(z, high)
    x, y = sp.symbols("x y", real=True)
    assert follows(q.subs(z, x) < q.subs(z, y), [x < y])
    assert follows(m > 0)
    root = exact_stability(RungeKutta4()).threshold
    assert is_zero(sp.expand(sp.minimal_polynomial(root, z) - q))


@check("decision procedure", "one dimension, every epsilon, every beta_1 in (0, 1), bias corrections ended")
def adam():
    """Adam at the minimum, where v = 0: stable iff dt lambda < 2 epsilon (1 + beta_1) / (1 - beta_1), whatever beta_2 is."""
    eps, b, c = sp.symbols("eps b c", positive=True)
    scheme = configured(Adam, beta1=b, beta2=c, eps=eps)
    theta, m = np.array([t], dtype=object), np.array([r], dtype=object)
    late = sp.Symbol("n", positive=True, integer=True)
    new = scheme.step(Quadratic(k), AdamState(theta, m, 0 * m, late), dt)
    ended = {b ** (late + 1): 0, c ** (late + 1): 0}
    found = [entry[0].subs(ended) for entry in (new.theta, new.m)]
    assert not any(one.has(late) for one in found)
    h = sp.Symbol("h", positive=True)  # sqrt(v) is of the first order in (theta, m), and enters theta in the second
    near = [sp.diff(one.subs({t: h * t, r: h * r}, simultaneous=True), h).subs(h, 0) for one in found]
    A = sp.Matrix([[sp.diff(one, x) for x in (t, r)] for one in near])
    A = A.applyfunc(lambda x: sp.cancel(sp.together(x)))
    assert not A.has(c)
    equivalent(jury(A.subs(dt, z / k)), z < 2 * eps * (1 + b) / (1 - b), [b < 1])
    for other in (configured(Adagrad, eps=eps), configured(RMSProp, eps=eps)):
        assert is_zero(multiplier(other, Quadratic(k)) - (1 - z / eps))


@check(
    "identity, decision procedure", "one dimension, every epsilon, lambda and alpha in (0, 1), dt lambda > 2 epsilon"
)
def rmsprop_ends_in_a_cycle():
    """Beyond its threshold RMSProp has the cycle theta, -theta with theta = dt/2 - epsilon/lambda > 0, stable for every dt; its multipliers have product alpha^2."""
    eps, a, v = sp.symbols("eps a v", positive=True)
    size = 2 * (t + eps / k)  # dt, for a cycle of +-t
    state = SquaresState(np.array([t], dtype=object), np.array([v], dtype=object))
    new = configured(RMSProp, decay=a, eps=eps).step(Quadratic(k), state, dt)
    half = (-new.theta[0], new.v[0])  # the step is odd in theta: two steps are two of this map

    def at_cycle(expression):
        found = expression.subs({v: k**2 * t**2, dt: size}, simultaneous=True)
        return sp.cancel(
            found.replace(lambda x: x.is_Pow and not x.exp.is_Integer, lambda x: sp.expand(x.base) ** x.exp)
        )

    assert is_zero(at_cycle(half[0]) - t)
    assert is_zero(at_cycle(half[1]) - k**2 * t**2)
    M = sp.Matrix([[at_cycle(sp.diff(one, x)) for x in (t, v)] for one in half])
    assert is_zero(M.det() - a)
    assert follows(jury(M), [a < 1])


# %% [markdown]
# **Implicit schemes.** `ImplicitEuler` minimises, so that its step is known by its equation: $\theta^{n+1}(1 + z) = \theta^n$.
# Restarted `IEQ` on a linear residual has the same step. On a curved residual it has not.


# %%
@check("identity, decision procedure, run", ONE)
def implicit_euler_is_stable_for_every_step():
    """Implicit Euler and restarted IEQ on a linear residual multiply by 1 / (1 + z): stable, with a real modified flow, for every z."""
    new, _ = stepped(Restart(IEQ()), Quadratic(k, e), t, None)
    assert is_zero(new - t / (1 + dt * k))
    assert exact_stability(Restart(IEQ())).threshold == sp.oo
    assert follows(sp.And(1 / (1 + z) > 0, 1 / (1 + z) < 1))
    for value in (0.5, 4.0, 64.0):
        A, _ = amplification_matrix(ImplicitEuler(), value)
        assert abs(A[0, 0] - 1 / (1 + value)) < 1e-15
        A, _ = amplification_matrix(Restart(IEQ()), value)
        assert abs(A[0, 0] - 1 / (1 + value)) < 1e-15


@check("decision procedure", "residual (c + kappa theta^2 / 2, sqrt(mu) theta), c kappa + mu > 0")
def restarted_ieq_is_stable_only_where_gauss_newton_is_half_of_the_hessian():
    """Restarted IEQ (Levenberg-Marquardt, damping 1/dt): multiplier 1 - dt (mu + c kappa) / (1 + dt mu), stable iff dt (c kappa - mu) < 2."""
    c, mu = sp.symbols("c mu", positive=True)
    energy = CurvedResidual(c, kappa, mu)
    m = multiplier(Restart(IEQ()), energy).subs(z, dt * (mu + c * kappa))
    assert is_zero(m - (1 - dt * (mu + c * kappa) / (1 + dt * mu)))
    stable_exactly(1 - dt * (mu + c * kappa) / (1 + dt * mu), dt * (c * kappa - mu) < 2)


@check("arithmetic, run", "residual (3 + theta^2 / 2, theta)")
def levenberg_marquardt_leaves_the_minimum_beyond_dt_1():
    """For the residual (3 + theta^2/2, theta) restarted IEQ has the multiplier 1 - 4 dt / (1 + dt): stable for dt < 1, unstable for dt > 1."""
    energy = CurvedResidual(3, 1, 1)
    m = multiplier(Restart(IEQ()), energy).subs(z, 4 * dt)
    assert is_zero(m - (1 - 4 * dt / (1 + dt)))
    assert m.subs(dt, 1) == -1
    stable_exactly(m, dt < 1)
    inside, outside = (fate(Restart(IEQ()), 4 * size, energy) for size in (0.95, 1.05))
    assert inside.kind == "converges"
    assert (outside.kind, outside.period) == ("cycle", 2)


# %% [markdown]
# ## Restarted SAV beyond z = 2
#
# With $u = (E - e)/(C + e)$ one step of restarted SAV is
#
# $$\theta^{n+1} = \theta^n\,\frac{u - (z-1)}{(z+1)\,u + 1}, \qquad u^{n+1} = \varphi(u^n), \quad
#   \varphi(u) = u\,\Bigl(\frac{u - (z-1)}{(z+1)\,u + 1}\Bigr)^2. \tag{1}$$
#
# The energy is a map of the half-line. For $z > 2$ its fixed points are 0, which is unstable, and $u^* = (z-2)/(z+2)$; and it has no
# cycle of two steps. A continuous map of a compact interval into itself without a cycle of two steps takes every orbit to a fixed
# point (Coppel, Proc. Camb. Philos. Soc. 51 (1955) 41). So the energy of *every* start tends to that of the cycle, except of those
# starts that hit the minimum exactly.


# %%
FACTOR = (u - (z - 1)) / ((z + 1) * u + 1)


def phi(v):
    """Return the map (1) of the energy."""
    return v * FACTOR.subs(u, v) ** 2


@check("identity", ONE + ", every C with C + e > 0")
def restarted_sav_as_a_map():
    """A step of restarted SAV multiplies theta by (u - (z - 1)) / ((z + 1) u + 1), u = (E - e) / (C + e)."""
    new, _ = stepped(Restart(configured(SAV, C=C)), Quadratic(k, e), t, None)
    factor = FACTOR.subs({u: k * t**2 / 2 / (C + e), z: dt * k}, simultaneous=True)
    assert is_zero(new - t * factor)


@check("identity, decision procedure", ONE + ", every z > 2")
def the_two_cycle_of_restarted_sav():
    """For z > 2 restarted SAV has the cycle theta*, -theta* with E - e = (C + e)(z - 2)/(z + 2); it is stable, theta_new' = 1 - 8/z^2 there."""
    new, _ = stepped(Restart(configured(SAV, C=C)), Quadratic(k, e), t, None)
    star = sp.sqrt(2 * (C + e) * (z - 2) / (z + 2) / k)
    assert is_zero(sp.cancel(sp.together((new / t).subs(dt, z / k).subs(t, sp.sqrt(u)).subs(u, star**2))) + 1)
    slope = sp.cancel(sp.together(sp.diff(new, t).subs(dt, z / k)))
    assert is_zero(sp.cancel(slope.subs(t, sp.sqrt(u))).subs(u, star**2) - (1 - 8 / z**2))
    stable_exactly(1 - 8 / z**2, z > 2)
    # theta_new is odd in theta: two steps have the derivative (1 - 8/z^2)^2
    assert is_zero(new.subs(t, -t) + new)


@check("argument, decision procedure", ONE + ", every z > 2, every start")
def every_orbit_of_restarted_sav_tends_to_its_cycle():
    """For z > 2, phi(u) = u only at 0 and u* = (z - 2)/(z + 2), phi(phi(u)) = u nowhere else, and 0 is unstable: E tends to that of the cycle."""
    star, given = (z - 2) / (z + 2), [z > 2]
    assert follows(phi(u) > u, [*given, u < star])
    assert follows(phi(u) < u, [*given, u > star])  # so a long enough interval [0, M] is mapped into itself
    assert is_zero(sp.diff(phi(u), u).subs(u, 0) - (z - 1) ** 2)
    top, _ = sp.fraction(sp.factor(sp.together(phi(phi(u)) - u)))
    w = sp.Symbol("w", positive=True)  # z - 2
    A, B = w**2 + 6 * w + 10, w**4 + 8 * w**3 + 23 * w**2 + 28 * w + 18
    rest = A * (u**2 - w * u) ** 2 + (2 * B - A * w**2) * u**2 + 2 * (w + 4) * (w**2 + 2 * w + 2) * u + w**2 + 2 * w + 2
    assert is_zero(sp.expand(top.subs(z, w + 2) + u * (w + 2) * (u + 1) ** 3 * ((w + 4) * u - w) * rest))
    assert follows(2 * B - A * w**2 > 0)  # so the rest is a sum of positive terms, and only u = u* is left
    assert (rest - A * (u**2 - w * u) ** 2 - (2 * B - A * w**2) * u**2).is_positive


@check("counterexample", ONE + ", C = 1, z = 5")
def restart_decreases_r_in_every_step_and_not_the_energy():
    """On the cycle for z = 5, C = 1 (E = 3/7) the modified energy of restarted SAV falls by 6/7 in every step, and E stays where it is."""
    scheme, energy = Restart(configured(SAV, C=sp.Integer(1))), Quadratic(sp.Integer(1))
    theta = sp.sqrt(sp.Rational(6, 7))
    state = AuxState(np.array([theta], dtype=object), None)
    for _ in range(2):
        new = scheme.step(energy, state, sp.Integer(5))
        assert is_zero(new.theta[0] + state.theta[0])
        assert is_zero(energy.energy(new.theta) - sp.Rational(3, 7))
        change = scheme.modified_energy(energy, new) - energy.energy(state.theta)
        assert is_zero(change + sp.Rational(6, 5))
        terms = scheme.energy_terms(energy, state, new, sp.Integer(5))
        assert is_zero(change + terms.dissipation + terms.numerical)
        state = new


@check("identity, decision procedure", ONE + ", every z > 2")
def a_passive_r_tends_to_zero_while_the_energy_does_not():
    """The r of SourceSAV, which no step reads, falls by the factor 2/z in every step of the cycle: it tends to 0, and E stays (C + e)(z - 2)/(z + 2)."""
    scheme, energy = configured(SourceSAV, C=C), Quadratic(k, e)
    new, r_new = stepped(scheme, energy, t, r)
    restarted, _ = stepped(Restart(configured(SAV, C=C)), energy, t, None)
    assert is_zero(new - restarted)
    ratio = sp.cancel((r_new / r).subs(dt, z / k).subs(t, sp.sqrt(u)))
    assert is_zero(ratio.subs(u, 2 * (C + e) * (z - 2) / (z + 2) / k) - 2 / z)
    assert follows(sp.And(2 / z > 0, 2 / z < 1), [z > 2])


# %% [markdown]
# ## A carried r
#
# Vanilla SAV has two lines of fixed points: $\theta = 0$ with any r, and $r = 0$ with any $\theta$. With $x = \tfrac12\lambda\theta^2$
# and $c = C + e$ a step divides r by $1 + z x/(x + c)$ and multiplies $\theta$ by $1 - z\,r^{n+1}/R$.
#
# **Every orbit converges.** r falls, to a limit $\ge 0$. If the limit is positive, the product of the factors $1 + z x/(x + c)$ is
# finite, hence $x \to 0$: the orbit tends to the minimum. If the limit is 0, then $z\,r/R < 1$ from some step on, since $R^2 \ge c$; from
# then on $|\theta|$ falls without a change of sign, and has a limit. Which of the two happens depends on the start.
#
# **A trap.** Let $\lambda = 1$ and $\theta > 0$. As long as $\theta \ge \theta_n/2$, r falls at least by the factor $q = 1/(1 + z
# x_m/(x_m + c))$, $x_m = \theta_n^2/8$, and a step lowers $\theta$ by $z\,r^{k+1}\theta/R \le \sqrt2\,z\,r^{k+1}$. All steps
# together lower it by at most $\sqrt2\,z\,r_n\,q/(1 - q) = \sqrt2\,r_n (1 + 8c/\theta_n^2)$. If this is at most
# $\theta_n/2$, the orbit never falls below $\theta_n/2$.


# %%
@check("argument, decision procedure", ONE + ", every C, z, theta and r > 0")
def every_orbit_of_vanilla_sav_converges():
    """Vanilla SAV divides r by 1 + z x/(x + c) and multiplies theta by 1 - z r_new/R, in (0, 1) once z r < R: every orbit tends to a fixed point."""
    new, r_new = stepped(configured(SAV, C=C), Quadratic(k, e), t, r)
    x, c = k * t**2 / 2, C + e
    assert is_zero(r_new * (1 + dt * k * x / (x + c)) - r)
    R = sp.sqrt(x + c)
    assert is_zero(new - t * (1 - dt * k * r_new / R))
    a, b = sp.symbols("a R", positive=True)
    assert follows(sp.And(1 - z * a / b > 0, 1 - z * a / b < 1), [a < r, z * r < b])
    assert follows(b >= a, [sp.Eq(b**2, u + a**2)])  # R is bounded below by sqrt(c)


@check("argument, decision procedure", "E = theta^2 / 2, every C, z, theta and r > 0")
def a_trap_of_vanilla_sav():
    """If sqrt(2) r (1 + 8 C / theta^2) <= theta / 2, vanilla SAV stays above theta / 2 for ever, whatever z is."""
    scheme, energy = configured(SAV, C=C), Quadratic(sp.Integer(1))
    new, r_new = stepped(scheme, energy, t, r, z)
    x = t**2 / 2
    assert is_zero(r_new * (1 + z * x / (x + C)) - r)
    assert is_zero(t - new - z * r_new * t / sp.sqrt(x + C))
    R = sp.Symbol("R", positive=True)
    assert follows(t / R <= sp.sqrt(2), [sp.Eq(R**2, t**2 / 2 + C)])
    # r falls by the factor q or more from every larger x
    a, b = sp.symbols("a b", positive=True)
    assert follows(1 / (1 + z * a / (a + C)) <= 1 / (1 + z * b / (b + C)), [a >= b])
    xm = t**2 / 8
    q = 1 / (1 + z * xm / (xm + C))
    assert is_zero(z * q / (1 - q) - (1 + 8 * C / t**2))


@check("counterexample", "E = theta^2 / 2, C = 1, theta = 1, z = 30, r consistent at the start")
def vanilla_sav_may_stop_elsewhere():
    """E = theta^2/2, C = 1, z = 30, from theta = 1 with consistent r: after one step theta = -19/11, and |theta| stays above 19/22 for ever."""
    scheme, energy = configured(SAV, C=sp.Integer(1)), Quadratic(sp.Integer(1))
    theta, r_1 = stepped(scheme, energy, sp.Integer(1), None, sp.Integer(30))
    assert theta == sp.Rational(-19, 11)
    assert is_zero(r_1**2 - sp.Rational(3, 2) / 121)
    # the trap of the check before, squared; the energy is even
    assert 2 * r_1**2 * (1 + 8 / theta**2) ** 2 <= theta**2 / 4
    assert fate(SAV(C=1.0), 30.0).kind == "stops"


@check("identity", "E = lambda theta^2 / 2, C = 0")
def without_c_consistency_repels():
    """With C = e = 0, s = r / sqrt(E) of vanilla SAV becomes s / |1 + z - z s|: 1 is a fixed point, and repels with the factor 1 + z."""
    scheme, energy, s = configured(SAV, C=sp.Integer(0)), Quadratic(k), sp.Symbol("s", positive=True)
    new, r_new = stepped(scheme, energy, t, s * sp.sqrt(k * t**2 / 2))
    s_new_squared = sp.cancel(sp.together(r_new**2 / (k * new**2 / 2))).subs(dt, z / k)
    assert is_zero(s_new_squared - (s / (1 + z - z * s)) ** 2)
    assert is_zero(sp.diff(s / (1 + z - z * s), s).subs(s, 1) - (1 + z))


# %% [markdown]
# ## Exponential SAV beyond z = 2
#
# With $w = z\lambda\theta^2/\kappa$ the form (2) of `ExpSAV` is $\theta^{n+1} = \theta^n(1 - z/(1 + w))$, restarted or not. In the unit
# $(\kappa/(z\lambda))^{1/2}$ of length, minus this map is
#
# $$G(x) = x\Bigl(\frac{z}{1 + x^2} - 1\Bigr). \tag{2}$$
#
# Two steps are $G \circ G$, since G is odd.
#
# * $2 < z < 4$: the cycle $\pm x$ with $x^2 = z/2 - 1$ is stable.
# * $4 < z < 5$: it has lost its stability to two cycles $a, -1/a$ with $a + 1/a = \sqrt z$, whose multiplier is $9 - 2z$.
# * $z \ge 5.5$: chaos in the sense of Li & Yorke (Amer. Math. Monthly 82 (1975) 985). It suffices that a continuous map f of the line
#   has $f^3(a) \le a < f(a) < f^2(a)$ for some a, or the same with the signs reversed, for f = G or $f = G \circ G$. For $z \ge
#   4 + 2\sqrt2$ this is shown by hand, below it by intervals. It does not say that most orbits are chaotic: there are windows of
#   stable cycles, one of which begins at z = 8. The Lyapunov exponents are measured.


# %%
def G(x, parameter=z):
    """Return the map (2)."""
    return x * (parameter / (1 + x * x) - 1)


@check("identity", ONE + ", every kappa")
def exponential_sav_as_a_map():
    """A step of ExpSAV, restarted or carried, is -G(x) in the unit sqrt(kappa / (z lambda)) of theta, G(x) = x (z / (1 + x^2) - 1)."""
    base, x = configured(ExpSAV, scale=kappa), sp.Symbol("x", positive=True)
    unit = sp.sqrt(kappa / (dt * k**2))
    for scheme, start in ((Restart(base), None), (base, sp.Symbol("s", real=True))):
        new, _ = stepped(scheme, Quadratic(k, e), x * unit, start)
        assert is_zero(new / unit + G(x, dt * k))


@check("identity, decision procedure", "every z > 2")
def the_two_cycle_of_exponential_sav():
    """The cycle x, -x with x^2 = z/2 - 1 exists for z > 2, with theta_new' = 3 - 8/z there: it is stable iff 2 < z < 4."""
    x = sp.Symbol("x", positive=True)
    square = z / 2 - 1
    assert is_zero(sp.cancel(G(x) / x).subs(x, sp.sqrt(u)).subs(u, square) - 1)  # -G(x) = -x
    slope = -sp.cancel(sp.diff(G(x), x)).subs(x, sp.sqrt(u)).subs(u, square)
    assert is_zero(slope - (3 - 8 / z))
    stable_exactly(3 - 8 / z, z < 4, [z > 2])
    # in the units of the energy, E - e = kappa (z - 2) / (4 z), for the theta of the unit of length
    assert is_zero((k / 2) * square * kappa / (z * k) - kappa * (z - 2) / (4 * z))


@check("identity, decision procedure", "every z > 4")
def two_cycles_take_over_at_4():
    """For z > 4, G exchanges a and 1/a where a + 1/a = sqrt z; two steps have the derivative 9 - 2 z there: stable iff 4 < z < 5."""
    a = sp.Symbol("a", positive=True)
    root = (a + 1 / a) ** 2
    assert is_zero(sp.cancel(G(a, root)) - 1 / a)
    assert is_zero(sp.cancel(G(1 / a, root)) - a)
    assert follows(root > 4, [a > 1])
    x = sp.Symbol("x", positive=True)
    slope = sp.cancel(sp.diff(G(x), x))
    product = slope.subs(x, a) * slope.subs(x, 1 / a)
    assert is_zero(sp.cancel(sp.together(product.subs(z, root) - (9 - 2 * root))))
    stable_exactly(9 - 2 * z, z < 5, [z > 4])
    # and there are no others: G(a) = b, G(b) = a with a, b > 0 means a = b or a b = 1
    b = sp.Symbol("b", positive=True)
    first, second = G(a) - b, G(b) - a
    assert is_zero(
        sp.factor(first * (1 + a**2) * b - second * (1 + b**2) * a) - sp.factor((a - b) * (a + b) * (a * b - 1) * -1)
    )


@check("identity, decision procedure", "every z > 8")
def a_cycle_of_four_steps_arises_at_8():
    """For z > 8, x, a x, -x, -a x is a cycle of G where s = a - 1/a solves s^2 - z s + 2 z = 0. The s below 4 is stable iff s^3 - 3 s^2 + 4 s > 16."""
    x, a, s = sp.symbols("x a s", positive=True)
    at = (a - 1 / a) ** 2 / (a - 1 / a - 2)  # the equation, solved for z; z >= 8 for all s > 2
    assert follows(s**2 >= 8 * (s - 2), [s > 2])
    square = at / (1 + a) - 1
    assert is_zero(sp.cancel(sp.cancel(G(x, at) / x).subs(x, sp.sqrt(u)).subs(u, square) - a))  # G(x) = a x
    assert is_zero(sp.cancel(sp.cancel(G(a * x, at) / x).subs(x, sp.sqrt(u)).subs(u, square) + 1))  # G(a x) = -x
    slope = sp.cancel(sp.diff(G(x), x)).subs(x, sp.sqrt(u))
    half = slope.subs(u, square) * slope.subs(u, a**2 * square)
    product = (32 - 8 * s + 7 * s**2 - 2 * s**3) / s**2
    assert is_zero(sp.cancel(sp.together(half.subs(z, at) - product.subs(s, a - 1 / a))))
    # two steps are x -> -x: the derivative of all four is the square of the product, which leaves (-1, 1) at s = 4, where z = 8,
    # and where z is the real root 8.41666 of 3 z^3 - 31 z^2 + 56 z - 64, as z = s^2 / (s - 2)
    stable_exactly(product, s**3 - 3 * s**2 + 4 * s > 16, [s > 2, s < 4])
    other = (3 * z**3 - 31 * z**2 + 56 * z - 64).subs(z, s**2 / (s - 2)) * (s - 2) ** 3
    assert is_zero(sp.expand(sp.cancel(other) - (s**3 - 3 * s**2 + 4 * s - 16) * (3 * s**3 - 22 * s**2 + 40 * s - 32)))


@check("argument, decision procedure", "every z >= 4 + 2 sqrt 2")
def chaos_beyond_4_plus_the_root_of_8():
    """For z >= 4 + 2 sqrt 2 there are a < b < c with G(a) = b, G(b) = c, G(c) = 0 < a: Li & Yorke's condition for chaos."""
    c = sp.sqrt(z - 1)
    assert is_zero(G(c))
    given = [z >= 4 + 2 * sp.sqrt(2)]
    # G(0) = 0 and G(1) = (z - 2) / 2 >= c: some b in (0, 1] has G(b) = c; and b <= 1 < c
    assert is_zero(G(sp.Integer(1)) - (z - 2) / 2)
    assert follows((z - 2) ** 2 / 4 >= z - 1, given)
    assert follows(z - 1 > 1, given)
    # G(0) = 0 < b < c = G(b): some a in (0, b) has G(a) = b
    assert G(sp.Integer(0)) == 0
    assert follows(4 + 2 * sp.sqrt(2) <= z, given)


def orbit(iterate, start, parameter):
    """Return a, f(a), f(f(a)), f(f(f(a))) for the iterate f of G."""
    points = [start]
    for _ in range(3):
        x = points[-1]
        for _ in range(iterate):
            x = G(x, parameter)
        points.append(x)
    return points


def falls_and_rises_back(iterate, low, high):
    """Return whether intervals show that for all z in [low, high] some a has f^3(a) > a > f(a) > f^2(a) (f = G^2), or all < (f = G)."""
    candidates, sign = np.linspace(0.01, np.sqrt(low), 1500), 1 if iterate == 1 else -1
    a, b, c, d = sign * np.array(orbit(iterate, candidates, (low + high) / 2))
    best = candidates[np.argmax(np.minimum.reduce([a - d, b - a, c - b]))]
    a, b, c, d = (sign * x for x in orbit(iterate, iv.mpf(best), iv.mpf([low, high])))
    if d.b < a.a and a.b < b.a and b.b < c.a:
        return True
    middle = (low + high) / 2
    return high - low > 1e-5 and all(falls_and_rises_back(iterate, *ends) for ends in ((low, middle), (middle, high)))


@check("argument, arithmetic", "every z in [5.5, 6.83], interval arithmetic with outward rounding")
def chaos_from_5_5_on():
    """Li & Yorke's condition, f^3(a) < a < f(a) < f^2(a) or the same with >, holds for f = G(G(.)) if 5.5 <= z <= 6.25 and f = G if 6.25 <= z <= 6.83."""
    assert falls_and_rises_back(2, 5.5, 6.25)
    assert falls_and_rises_back(1, 6.25, 6.83)
    assert 4 + 2 * sp.sqrt(2) < sp.Rational(683, 100)  # from where the check before goes on
    assert not falls_and_rises_back(1, 4.1, 4.2)  # there all orbits are known


@check("run", "ExpSAV with kappa = 1 from theta = 1, 1000 steps after the first 1000")
def lyapunov_exponents():
    """Measured Lyapunov exponents of ExpSAV: between 0.3 and 0.9 per step at z = 6, 7, 12 and 20, negative on the stable cycles."""
    for parameter in (6.0, 7.0, 12.0, 20.0):
        end = fate(Restart(ExpSAV(scale=1.0)), parameter)
        assert end.kind == "chaos"
        assert 0.3 < end.lyapunov < 0.9
    for parameter, wanted in ((3.0, 3 - 8 / 3.0), (3.9, 3 - 8 / 3.9)):
        end = fate(Restart(ExpSAV(scale=1.0)), parameter)
        assert (end.kind, end.period) == ("cycle", 2)
        assert abs(end.multiplier - wanted**2) < 1e-6
    end = fate(Restart(ExpSAV(scale=1.0)), 4.5)
    assert (end.kind, end.period) == ("cycle", 2)
    assert abs(end.multiplier - (9 - 2 * 4.5)) < 1e-6


@check("identity", ONE + ", every kappa in form (3), kappa = C = 1 and e = 0 in form (4)")
def other_forms_are_not_bounded():
    """Restarted, form (3) of ExpSAV is gradient descent, and form (4) tends to it as |theta| grows: both diverge beyond z = 2."""
    base = configured(ExpSAV, scale=kappa, form="explicit")
    new, _ = stepped(Restart(base), Quadratic(k, e), t, None)
    assert is_zero(new - (1 - dt * k) * t)
    base = configured(ExpSAV, scale=sp.Integer(1), form="section_2.2.4")
    new, _ = stepped(Restart(base), Quadratic(sp.Integer(1)), t, None)
    y = dt * t**2 / sp.exp(t**2 / 2)
    assert is_zero(new - t * (1 - dt / (1 + y)))
    assert sp.limit(y, t, sp.oo) == 0
