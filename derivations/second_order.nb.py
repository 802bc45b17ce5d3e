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
# # Second-order methods
#
# Near $\theta$, an energy is replaced by its model with a self-adjoint curvature G,
#
# $$m(d) = E + (g, d) + \tfrac12 (d, Gd).$$
#
# With a metric D, positive and self-adjoint, every method of `gradflow.SecondOrder` takes a multiple of a solution of
#
# $$(G + \nu D)\, d = -g. \tag{1}$$
#
# The proofs run `second_order_update` on abstract vectors: they hold in every dimension and inner product, for every G
# of either sign where nothing else is said. The solvers of (1) are iterations in floating point. What they return is
# tested against (1) and the conditions of optimality; that these conditions are sufficient is proved here.

# %%
import numpy as np
import sympy as sp

import gradflow as gf
from gradflow import IEQ, Restart
from gradflow.proofs import agree, check, follows, in_both, reached
from gradflow.schemes.ieq import ieq_update
from gradflow.schemes.second_order import second_order_update
from gradflow.symbolic import Map, Space, branches, is_small, is_zero

EVERY = "every dimension and inner product, every self-adjoint G and positive D"
dt, nu, tau, sigma = sp.symbols("dt nu tau sigma", positive=True)


def setting():
    """Return space, G, D, theta and an increment d; g is what (1) makes it."""
    P = Space("P")
    G, D = P.operator("G"), P.operator("D")
    theta, d = P.vectors("theta d")
    g = -(G(d) + nu * D(d))
    return P, G, D, theta, d, g


def stepped(P, G, theta, d, g, size=dt):
    """Return theta_new and the predicted decrease of the update."""
    return second_order_update(theta, d, P.inner(g, d), P.inner(d, G(d)), dt=size)


# %% [markdown]
# ## The three obligations
#
# **The law.** The predicted decrease is that of the model, for every d; for a solution of (1) it is
#
# $$p = \Delta t\,(1 - \tfrac12\Delta t)\,(d, (G + \nu D) d) + \tfrac12\Delta t^2\,\nu\,|d|_D^2, \tag{2}$$
#
# which is nonnegative for $\Delta t \le 2$ if $G + \nu D \ge 0$. A trial is accepted if the true decrease exceeds
# $\rho_0\, p$. For a quadratic energy with $G = H$ the two are equal.


# %%
@check("squares", EVERY)
def energy_law():
    """The predicted decrease is m(0) - m(dt d) for every d, and for a solution of (1) it is (2); quadratic energies fall by it."""
    P, G, D, theta, d, g = setting()
    _, predicted = stepped(P, G, theta, d, g)
    model = lambda u, gradient: P.inner(gradient, u) + P.inner(u, G(u)) / 2  # noqa: E731
    assert is_zero(predicted + model(dt * d, g))
    any_g = P.vector("g")
    assert is_zero(stepped(P, G, theta, d, any_g)[1] + model(dt * d, any_g))
    form = P.inner(d, G(d) + nu * D(d))
    length = P.inner(d, D(d))
    assert is_zero(predicted - dt * (1 - dt / 2) * form - dt**2 * nu * length / 2)
    # 0 < dt <= 2, with s = 2 - dt >= 0: a sum of nonnegative terms where G is nonnegative
    s = sp.Symbol("s", nonnegative=True)
    assert is_zero(predicted - (dt * s * form / 2 + dt**2 * nu * length / 2) - dt * (2 - dt - s) * form / 2)
    assert form.is_nonnegative
    assert length.is_nonnegative
    # a quadratic energy (theta, H theta)/2 - (b, theta), G = H: the decrease is the predicted one
    b = P.vector("b")
    energy = lambda u: P.inner(u, G(u)) / 2 - P.inner(b, u)  # noqa: E731
    new, predicted = stepped(P, G, theta, d, G(theta) - b)
    assert is_zero(energy(theta) - energy(new) - predicted)


@check("identity", EVERY)
def consistency():
    """theta_new = theta + dt d, explicit Euler for theta' = d; the damped step of nu = 1/tau, D = I, dt = 1 is -tau g + O(tau^2)."""
    P, G, _, theta, d, g = setting()
    new, predicted = stepped(P, G, theta, d, g)
    assert is_zero(new - theta - dt * d)
    assert is_small(predicted + dt * P.inner(g, d), dt, 2)
    assert not is_small(predicted, dt, 2)
    # (G + 1/tau) d = -g is d = -tau (I + tau G)^{-1} g
    h = P.vector("h")
    damped = -tau * G.solve_shifted(h, tau)
    assert is_zero(G(damped) + damped / tau + h)
    new, _ = second_order_update(theta, damped, P.inner(h, damped), P.inner(damped, G(damped)), dt=sp.Integer(1))
    assert is_small(new - theta + tau * h, tau, 2)
    assert not is_small(new - theta, tau, 2)


@check("squares", EVERY)
def solvability():
    """G + nu D is positive for G >= 0 and nu > 0, so that (1) has one solution; the update divides by nothing."""
    P, G, D, theta, d, g = setting()
    v = P.vector("v")
    form = P.inner(v, G(v)) + nu * P.inner(v, D(v))
    assert form.is_nonnegative
    assert follows(sp.Eq(sp.Symbol("x", nonnegative=True), 0), [sp.Eq(sp.Symbol("x", nonnegative=True) * nu, 0)])
    ways = list(reached(branches(lambda: stepped(P, G, theta, d, g))))
    assert len(ways) == 1
    new, predicted = stepped(P, G, theta, 0 * d, 0 * g)
    assert is_zero(new - theta)
    assert is_zero(predicted)


# %% [markdown]
# ## Which point a subproblem finds
#
# For every e, a solution d of (1) has
#
# $$m(e) - m(d) = \tfrac12 (e - d, (G + \nu D)(e - d)) + \tfrac{\nu}{2}\bigl(|d|_D^2 - |e|_D^2\bigr). \tag{3}$$
#
# If $G + \nu D \ge 0$ and $\nu \ge 0$, d minimises the model among all e that are not longer: the conditions of Moré and
# Sorensen are sufficient. With $\nu = \sigma |d|_D$ and the cubic term, the last term of (3) becomes
# $\tfrac{\sigma}{6}(|e| - |d|)^2 (2|e| + |d|)$: d is a global minimum.


# %%
@check("identity", EVERY, proves=("C004-67", "C004-109"), given={"C004-83": "cubic regularisation is meant"})
def conditions_of_optimality_are_sufficient():
    """(3) holds for every e; with nu = sigma |d| and the cubic term, the rest is sigma/6 (|e| - |d|)^2 (2|e| + |d|) >= 0."""
    P, G, D, _, d, g = setting()
    e = P.vector("e")
    model = lambda u: P.inner(g, u) + P.inner(u, G(u)) / 2  # noqa: E731
    gap = e - d
    rest = model(e) - model(d) - P.inner(gap, G(gap) + nu * D(gap)) / 2
    assert is_zero(rest - nu * (P.inner(d, D(d)) - P.inner(e, D(e))) / 2)
    a, b = sp.symbols("a b", nonnegative=True)  # |e|_D, |d|_D
    with_term = sigma * b * (b**2 - a**2) / 2 + sigma * (a**3 - b**3) / 3
    assert is_zero(with_term - sigma * (a - b) ** 2 * (2 * a + b) / 6)


@check("identity", EVERY)
def decrease_of_the_cubic_model():
    """For nu = sigma |d| the cubic model decreases by c = p - sigma |d|^3/3, and 3 c - p = (d, (G + nu D) d) >= 0: c is at least a third of p."""
    P, G, D, theta, d, g = setting()
    _, p = stepped(P, G, theta, d, g, size=1)
    c = p - nu * P.inner(d, D(d)) / 3  # sigma |d|^3 = nu |d|^2
    assert is_zero(3 * c - p - P.inner(d, G(d) + nu * D(d)))
    assert not is_zero(3 * c - p)  # it is a third only on the boundary of definiteness


@check("identity", EVERY + "; d differentiable in nu")
def length_falls_with_the_multiplier():
    """(G + nu D) d' = -D d for the derivative d' in nu, so that (|d|_D^2)' = -2 (d', (G + nu D) d') <= 0: radius and damping are one to one."""
    P, G, D, *_ = setting()
    d_dot = P.vector("d'")
    # the derivative of (1) in nu: G d' + D d + nu D d' = 0
    D_d = -(G(d_dot) + nu * D(d_dot))
    assert is_zero(2 * P.inner(d_dot, D_d) + 2 * P.inner(d_dot, G(d_dot)) + 2 * nu * P.inner(d_dot, D(d_dot)))
    assert P.inner(d_dot, G(d_dot)).is_nonnegative
    assert P.inner(d_dot, D(d_dot)).is_nonnegative


# %% [markdown]
# ## Restarted IEQ is a member
#
# With $G = J^*J$, $D = I$, $\nu = 1/\tau$ and $\Delta t = 1$, (1) is the equation of an IEQ step of size $\tau$ from the
# residual itself, and p is the decrease that IEQ guarantees for its modified energy.


# %%
@check("identity", "every dimension and inner product, L = S = 0")
def restarted_ieq_is_damped_gauss_newton():
    """One step of IEQ of size tau from q = residual moves theta as the update with nu = 1/tau, dt = 1; p = |d|^2/tau + |Jd|^2/2."""
    P, N = Space("P"), Space("N")
    J = Map.between("J", P, N)
    theta, d = P.vectors("theta d")
    q = N.vector("q")
    P.relate(J.adjoint(q), -d / tau - J.adjoint(J(d)))
    g = J.adjoint(q)
    new, predicted = second_order_update(theta, d, P.inner(g, d), J(d) @ J(d), dt=sp.Integer(1))
    ways = reached(
        branches(
            lambda: ieq_update(
                theta, q, inner=P.inner, damping=lambda u: P.inner(u, u) / tau, direction=lambda r, h: (d, J(d))
            )
        )
    )
    theta_ieq, q_new = next(iter(ways)).value
    assert is_zero(new - theta_ieq)
    assert is_zero(predicted - P.inner(d, d) / tau - J(d) @ J(d) / 2)
    guaranteed = q @ q / 2 - q_new @ q_new / 2
    assert is_zero(predicted - guaranteed)


@check("run", "a least-squares problem of 3 parameters and 5 residuals, float64")
def the_classes_agree():
    """`GaussNewton(damping=1/tau)` with dt = 1 makes the steps of `Restart(IEQ())` with step size tau."""
    rng = np.random.default_rng(0)
    A, b = rng.standard_normal((5, 3)), rng.standard_normal(5)
    problem = gf.DenseLeastSquares(lambda t: np.sin(A @ t) - b, lambda t: np.cos(A @ t)[:, None] * A)
    for size in (0.1, 1.0, 10.0):
        one = gf.solve(problem, gf.GaussNewton(damping=1 / size), np.ones(3), steps=5).theta
        other = gf.solve(problem, Restart(IEQ()), np.ones(3), dt=size, steps=5).theta
        assert np.max(np.abs(one - other)) < 1e-12


# %% [markdown]
# ## What the state says of a trial
#
# The class is run on a parabola in one parameter, $E = k t^2/2$ from $t = 1$, whose every number is known: $d$ solves
# $(k + \nu) d = -k$, the decrease is the predicted one, and a model with another curvature is rejected or accepted by
# its ratio.


# %%
class Bent:
    """The curvature `factor` times the second derivative of E = k t^2 / 2."""

    def __init__(self, factor):
        self.factor = factor

    def at(self, problem, theta):
        """Return the model with another curvature."""
        model = gf.curvature.Hessian().at(problem, theta)
        exact = model.apply
        model.apply = lambda v: self.factor * exact(v)
        return model


def parabola(k):
    return gf.FunctionProblem(lambda t: k * (t @ t) / 2, lambda t: k * t, hvp=lambda t, v: k * v)


@check(
    "identity, run",
    "E = k t^2/2, log t and 1 + t^2/2 at single points; numbers that float64 has, to the secular equation of a trust region",
)
def the_state_says_what_happened():
    """Multiplier, length, decreases, ratio, share and flags of a trial are those of the closed form, for each globalisation."""
    C = gf.curvature
    start = np.array([1.0])

    def trial(curvature, globalization, k=2.0, **more):
        problem, method = parabola(k), gf.SecondOrder(curvature=curvature, globalization=globalization, **more)
        return method, method.step(problem, method.init(problem, start), 1.0)

    # damping 2 and k = 2: d = -1/2, p = 3/4 of the 1 there is, all of it true
    method, new = trial(C.Hessian(), C.FixedDamping(2.0))
    assert np.allclose(new[3:10], [2.0, 2.0, 0.5, 0.75, 0.75, 0.75, 1.0], rtol=1e-14)
    assert (new.exhausted, new.accepted, new.boundary, new.negative_curvature, new.products) == (0, 1, 0, 0, 0)
    assert new.theta[0] == 0.5
    assert not method.rejected(new)
    assert not method.shortened(new)
    # a trust region of 1/8: nu = 14, p = 1/8 * 2 - 1/64
    method, new = trial(C.Hessian(), C.TrustRegion(radius=0.125), solver="lanczos")
    assert np.allclose(new[3:10], [0.125, 14.0, 0.125, 15 / 64, 15 / 64, 15 / 64, 1.0], rtol=1e-12)
    assert (new.exhausted, new.accepted, new.boundary, new.negative_curvature, new.products) == (0, 1, 1, 0, 1)
    assert new.control.size == 0.25
    assert method.shortened(new)
    # a quarter of the curvature: d = -4 where -1 is right, E rises by 8, the model promises 4
    method, new = trial(Bent(0.25), C.TrustRegion(radius=100.0))
    assert np.allclose(new[4:10], [0.0, 4.0, 4.0, 1.0, -8.0, -2.0], rtol=1e-14)
    assert (new.accepted, new.boundary, new.theta[0], new.control.size) == (0, 0, 1.0, 1.0)
    assert method.rejected(new)
    assert method.shortened(new)
    # a test of its own: |g| = 2 is too short for a radius of 1, and the ratio 1 stays in the state
    method, new = trial(C.Hessian(), C.StochasticTrustRegion(1.0, steepness=3.0))
    assert np.allclose(new[3:10], [1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0], rtol=1e-12)
    assert (new.accepted, new.theta[0], new.control.size) == (0, 1.0, 0.5)
    _, new = trial(C.Hessian(), C.StochasticTrustRegion(1.0, steepness=1.0))
    assert (new.accepted, new.control.size) == (1, 2.0)
    # negative curvature: the model has no minimum, the share is 0
    _, new = trial(C.Hessian(), C.TrustRegion(radius=0.5), k=-2.0)
    assert np.allclose(new[3:10], [0.5, 6.0, 0.5, 1.25, 0.0, 1.25, 1.0], rtol=1e-12)
    assert (new.accepted, new.boundary, new.negative_curvature) == (1, 1, 1)
    # an energy that is not finite, and a minimum to rounding
    hole = gf.FunctionProblem(lambda t: np.log(t[0]), lambda t: 1 / t, hvp=lambda t, v: v / t**2)
    method = gf.SecondOrder(curvature=C.Hessian(), globalization=C.TrustRegion(radius=2.0))
    with np.errstate(invalid="ignore"):
        new = method.step(hole, method.init(hole, start), 2.0)
    assert (new.actual, new.ratio, new.accepted, new.theta[0]) == (0.0, -1.0, 0.0, 1.0)
    near = gf.FunctionProblem(lambda t: 1 + t @ t / 2, lambda t: t, hvp=lambda t, v: v)
    method = gf.SecondOrder(curvature=C.Hessian(), globalization=C.TrustRegion(radius=1.0))
    tiny = np.array([1e-9])
    new = method.step(near, method.init(near, tiny), 1.0)
    assert (new.exhausted, new.accepted, new.actual, new.ratio, new.theta[0]) == (1, 1, 0.0, 1.0, 0.0)
    assert not method.shortened(new)
    # a Jacobian of the wrong sign: the trial is rejected, and as it promised next to nothing the rounding errors are measured
    calls = []
    squares = gf.DenseLeastSquares(
        lambda t: calls.append(1) or np.array([1 + t[0] / 2**33, t[0]]), lambda t: np.array([[-(2.0**-33)], [1.0]])
    )
    squared = gf.SecondOrder(globalization=C.TrustRegion(radius=1.0))
    state = squared.init(squares, np.array([0.0]))
    calls.clear()
    new = squared.step(squares, state, 1.0)
    assert (new.accepted, new.theta[0]) == (0.0, 0.0)
    assert len(calls) == new.evaluations + 1 == 9  # the first one makes the model
    # where nothing is predicted nothing is gained
    flat = parabola(0.0)
    new = method.step(flat, method.init(flat, start), 1.0)
    assert (new.ratio, new.accepted, new.share) == (-1.0, 0.0, 0.0)


@check("identity, run", "E = k t^2/2 at single points, numbers that float64 has")
def the_state_of_a_line_search():
    """The length that a search finds is that of the state, with its decreases and evaluations; without a length, theta stays."""
    C = gf.curvature
    start = np.array([1.0])
    for search in (C.Armijo(), C.StrongWolfe()):
        for solver in ("eigh", "cholesky"):
            # half of the curvature: the full step -2 leads to -1, where E is the same, and half of it to the minimum
            method = gf.SecondOrder(curvature=Bent(0.5), globalization=search, solver=solver)
            problem = parabola(2.0)
            new = method.step(problem, method.init(problem, start), 1.0)
            assert np.allclose(new[3:10], [0.5, 0.0, 2.0, 1.5, 0.75, 1.0, 2 / 3], rtol=1e-14)
            assert (new.theta[0], new.accepted, new.evaluations) == (0.0, 1, 2)
            assert not method.rejected(new)
            ended = method.step(problem, new, 1.0)
            assert (ended.theta[0], ended.size, ended.accepted, ended.evaluations, ended.ratio) == (
                0.0,
                0.0,
                0,
                0,
                -1.0,
            )
            assert method.rejected(ended)
            # the gradient has the wrong sign: E rises along d
            uphill = gf.FunctionProblem(lambda t: -(t @ t) / 2, lambda t: t, hvp=lambda t, v: v)
            failed = method.step(uphill, method.init(uphill, start), 1.0)
            assert (failed.theta[0], failed.size, failed.accepted, failed.ratio) == (1.0, 0.0, 0, -1.0)
            assert failed.evaluations > 10
    # a quarter of the way: the slope is still 3/4 of the first, which c_2 = 1/2 refuses
    method = gf.SecondOrder(curvature=C.Hessian(), globalization=C.StrongWolfe(c2=0.5))
    new = method.step(problem, method.init(problem, start), 0.25)
    assert max(abs(new.theta[0]), abs(new.size - 1)) < 1e-12  # the factor of the Hessian is a square root
    assert new.evaluations == 2


# %% [markdown]
# ## What Newton's method does not do
#
# A Newton step is attracted by every stationary point at which the Hessian is not singular. The double well $x^2/2 + y^4/4
# - y^2/2$ has a saddle at the origin; from $(1, 3/10)$ Newton's method goes there, and with the absolute eigenvalues it
# goes away.


# %%
@check(
    "counterexample, run",
    "x^2/2 + y^4/4 - y^2/2 from (1, 3/10), exact numbers",
    proves=("C004-65",),
    refutes=("C004-65", "C004-80"),
)
def newton_is_attracted_by_a_saddle():
    """Newton's map on y is 2y^3/(3y^2 - 1), which contracts |y| <= 3/10 to the saddle; with |H| the step leaves it."""
    x, y = sp.symbols("x y", real=True)
    energy = x**2 / 2 + y**4 / 4 - y**2 / 2
    slope, bend = sp.diff(energy, y), sp.diff(energy, y, 2)
    newton = y - slope / bend
    assert is_zero(newton - 2 * y**3 / (3 * y**2 - 1))
    t = sp.Symbol("t", positive=True)
    ratio = 2 * t**2 / (1 - 3 * t**2)  # |newton(y)| / |y| for |y| = t < 1/sqrt(3)
    assert is_zero(newton.subs(y, t) + t * ratio)
    assert follows(ratio < 1, [t <= sp.Rational(3, 10)])
    # the class, with H and with |H|
    well = gf.FunctionProblem(
        lambda t: t[0] ** 2 / 2 + t[1] ** 4 / 4 - t[1] ** 2 / 2,
        lambda t: np.array([t[0], t[1] ** 3 - t[1]]),
        hvp=lambda t, v: np.array([v[0], (3 * t[1] ** 2 - 1) * v[1]]),
    )
    start = np.array([1.0, 0.3])
    assert np.max(np.abs(gf.solve(well, gf.Newton(), start, steps=30).theta)) < 1e-12
    for method in (gf.SaddleFreeNewton(), gf.TrustRegion(), gf.CubicRegularization()):
        end = gf.solve(well, method, start, steps=60).theta
        assert np.max(np.abs(end - np.array([0.0, 1.0]))) < 1e-6


# % [markdown]
# ## The inner product
#
# In the coordinates $y = M^{1/2}\theta$ the inner product of diagonal M is the dot product. The steps are the same.


# %
@check(
    "identity, run",
    "one energy of three parameters, also as a sum of squares, M = diag(4, 1/4, 1), six starts; float64",
)
def steps_are_the_same_in_other_coordinates():
    """Damped steps, trust regions and searches, with the numbers of the state, in the inner product of M and in y."""
    squares = in_both(least_squares=True)
    for method in (gf.LevenbergMarquardt(), gf.GaussNewton(damping=0.5)):
        agree(method, squares, starts=2)
    agree(gf.TrustRegion(), in_both(), starts=2)
