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
# # Published equations
#
# What the papers print on which schemes of the library rest, on the functions that run. A paper is audited as far as its text could
# be read: Ma, Mao and Shen (2024) in its equations and theorems, from notes of the full text; of Shen, Xu and Yang (2018), Jiang,
# Zhang and Zhao (2022) and Liu and Tian (2020) the abstracts, and of the last also the authors' code. What could not be read has no
# row.

# %%
from unittest.mock import patch

import numpy as np
import sympy as sp

from gradflow import SAV, AdaptiveSAV, ElementwiseSAV, FunctionProblem, Regression, Relaxed, Restart, TwoLayerNet
from gradflow.datasets import gaussian
from gradflow.kernels.activation import Activation
from gradflow.models import SmoothedParticles
from gradflow.models.losses import ScaledResidual
from gradflow.proofs import check, follows, linear_kinds, reached
from gradflow.schemes import relaxation
from gradflow.schemes.adaptive_sav import AdaptiveState
from gradflow.schemes.elementwise_sav import elementwise_sav_update
from gradflow.schemes.relaxation import Blend, relax_quadratic
from gradflow.schemes.relaxed import RelaxedState
from gradflow.schemes.sav import sav_update
from gradflow.schemes.state import AuxState
from gradflow.symbolic import AbstractEnergy, Space, branches, configured, is_small, is_zero, symbols

EVERY = "every dimension and inner product"
dt, C, r, q, F = sp.symbols("dt C r q F", positive=True)
eta, spent, rest = sp.symbols("eta spent rest", nonnegative=True)
r_tilde, r_hat = sp.symbols("r_tilde r_hat", positive=True)
ONE, HALF = sp.Integer(1), sp.Rational(1, 2)


def on_a_line(theta, F, g, step, constant):
    """Return theta and r after one step of SAV from r = R in one dimension, in exact numbers."""
    return sav_update(theta, None, g, F, dt=step, C=constant, inner=lambda u, v: u * v, solve=lambda u: u)


def refuses(scheme, problem, theta):
    """Return whether a scheme refuses to start at theta."""
    try:
        scheme.init(problem, theta)
    except ValueError:
        return True
    return False


# %% [markdown]
# ## Ma, Mao and Shen (2024)
#
# The flow is $\dot\theta + \mathcal L\theta + N(\theta) - \mathcal L\theta = 0$ with N the gradient of the loss I. In the library
# $\mathcal L$ is the stabilization S, and there is no energy part.


# %%
@check(
    "identity",
    "D, m, N in {1, 2}, one output; every activation; I half the mean square of the residuals",
    given={"P-MMS24-01": "the inner product is 1/m times the Euclidean one"},
    refutes=("P-MMS24-01",),
)
def particle_velocity():
    """In the product (1/m) sum u v the output weights move with -mean((f - f*) sigma(w.x)); in the Euclidean one with 1/m of it."""
    values = {}
    value = lambda z: values.setdefault(sp.expand(z), sp.Dummy("sigma", real=True))  # noqa: E731
    any_function = Activation(
        "any", *(np.frompyfunc(f, 1, 1) for f in (value, lambda z: ONE, lambda z: ONE, lambda z: ONE))
    )
    for D, m, N in ((1, 1, 2), (1, 2, 1), (2, 2, 2)):
        net = TwoLayerNet(D, m, 1, activation="tanh", kernels="reference")
        x, y = symbols("x", N * D).reshape(N, D), symbols("y", N)[:, None]
        theta, width = symbols("theta", net.n_parameters), sp.Integer(m)
        W, a = theta[:-m].reshape(D + 1, m), theta[-m:]
        hidden = np.array(
            [[value(sum(w * z for w, z in zip(W[:, k], [*row, 1], strict=True))) for k in range(m)] for row in x]
        )
        residual = hidden @ a / width - y[:, 0]
        velocity = -(residual @ hidden) / N
        for mass, factor in ((1 / width, 1), (ONE, 1 / width)):
            given = {"_s": any_function, "mass": mass, "_scale": 1 / width}
            problem = Regression(net, x, y)._with(**given, _loss=ScaledResidual(y, 1 / sp.sqrt(N)))
            loss, g = problem.nonlinear_energy_and_gradient(theta)
            assert is_zero(loss - residual @ residual / (2 * N))
            assert is_zero(-g[-m:] - factor * velocity)
    assert not is_zero(velocity - velocity / width)


@check("identity", f"{EVERY}, every kind of S", proves=("P-MMS24-02", "P-MMS24-03"))
def theorem_1():
    """The closed formulas solve (17), and r_new^2 - r^2 = -(S d, d) - (r_new - r)^2 - |d|^2/dt, each term of which is <= 0."""
    seen = 0
    for kind in linear_kinds():
        if kind.energy_part:
            continue
        V, S, theta, R = kind.space, kind.S, kind.theta, sp.sqrt(F + C)
        g = V.vector("g")
        solve = lambda u, S=S: S.solve_shifted(u, dt)  # noqa: E731
        new, r_new = sav_update(theta, r, g, F, dt=dt, C=C, inner=V.inner, solve=solve)
        A_g, d = solve(g), new - theta
        assert is_zero(r_new - r / (1 + dt * V.inner(g, A_g) / (2 * (F + C))))
        assert is_zero(d + dt * r_new / R * A_g)
        # (17): theta, with L added at the new and subtracted at the old point, and r
        assert is_zero(d / dt + S.apply(new) - S.apply(theta) + r_new / R * g)
        assert is_zero(r_new - r - V.inner(g, d) / (2 * R))
        law = V.inner(S.apply(d), d) + (r_new - r) ** 2 + V.inner(d, d) / dt
        assert is_zero(r_new**2 - r**2 + law)
        # the sign, for a vector of any kind in the place of d
        u = V.vector("u")
        assert (V.inner(S.apply(u), u) + V.inner(u, u) / dt).is_nonnegative
        seen += 1
    assert seen == 4


@check("identity", f"{EVERY}, every kind of S", proves=("P-MMS24-04",))
def algorithm_3():
    """A step of Restart(SAV), from any r, is the printed step from sqrt(I + C)."""
    for kind in linear_kinds():
        if kind.energy_part:
            continue
        problem, theta = AbstractEnergy(kind.space), kind.theta
        scheme = Restart(SAV())
        object.__setattr__(scheme, "base", configured(SAV, C=C, stabilization=kind.S))
        new = scheme.step(problem, AuxState(theta, r), dt)
        value, g = problem.nonlinear_energy_and_gradient(theta)
        A_g = kind.S.solve_shifted(g, dt)
        start = sp.sqrt(value + C)
        r_new = start / (1 + dt * kind.space.inner(g, A_g) / (2 * (value + C)))
        assert is_zero(new.aux - r_new)
        assert is_zero(new.theta - theta + dt * r_new / start * A_g)


@check("counterexample", "I = theta^2 / 2, theta = 1, C = 100, dt = 10, L = 0", proves=("P-MMS24-05",))
def restart_may_raise_both_energies():
    """For theta^2 / 2 from 1 with C = 100, dt = 10, the loss rises in a restarted step, and the next restart raises r."""
    new, r_new = on_a_line(ONE, HALF, ONE, 10, 100)
    assert new**2 / 2 > HALF
    assert r_new**2 < HALF + 100 < new**2 / 2 + 100


@check("identity", "scalars", proves=("P-MMS24-06",))
def printed_quadratic():
    """(xi r~ + (1 - xi) r^)^2 - r~^2 - eta |d|^2/dt = a xi^2 + b xi + c with the printed a, b, c; the code has the same a and c."""
    xi, tilde, hat = sp.symbols("xi p q", real=True)
    B = eta * spent
    a, b, c = (tilde - hat) ** 2, 2 * hat * (tilde - hat), hat**2 - tilde**2 - B
    assert is_zero((xi * tilde + (1 - xi) * hat) ** 2 - tilde**2 - B - (a * xi**2 + b * xi + c))
    code_a, code_c, _ = relaxation._quadratic_terms(tilde, hat, B)
    assert is_zero(code_a - a)
    assert is_zero(code_c - c)


@check("decision procedure", "positive scalars", given={"P-MMS24-07": "the two values of r differ"})
def printed_root():
    """max{0, (-b - sqrt(b^2 - 4ac)) / 2a} is the code's xi_0 where r~ and r^ differ; where they agree it is 0/0, and xi_0 = 0."""
    x0, x, root = sp.symbols("x_0 x root", real=True)
    B = eta * spent
    a, b, c = (r_tilde - r_hat) ** 2, 2 * r_hat * (r_tilde - r_hat), r_hat**2 - r_tilde**2 - B
    printed = [root >= 0, sp.Eq(root**2, b**2 - 4 * a * c), sp.Eq(2 * a * x, -b - root), sp.Ne(r_tilde, r_hat)]
    largest = sp.Or(sp.And(x >= 0, sp.Eq(x0, x)), sp.And(x < 0, sp.Eq(x0, 0)))
    seen = 0
    for given, (_, factor), _ in reached(branches(lambda: relax_quadratic(r_tilde, r_hat, B)), [*printed, largest]):
        assert follows(sp.Eq(factor, x0), given)
        seen += 1
    assert seen >= 2
    assert ((-b - sp.sqrt(b**2 - 4 * a * c)) / (2 * a)).subs({r_tilde: r_hat, eta: 0}) == sp.nan
    assert relax_quadratic(np.float64(1.0), np.float64(1.0), 0.0).xi0 == 0


# %% [markdown]
# Theorem 2. After a step of Theorem 1, $\tilde r^2 - r^2 = -|d|^2/\Delta t - \text{rest}$ with
# $\text{rest} = (\mathcal L d, d) + (\tilde r - r)^2 \ge 0$. The relaxed variable obeys $r_{new}^2 \le \tilde r^2 + \eta\,|d|^2/\Delta t$.
# Where $\hat r$ itself obeys it strictly, it is taken, and more is lost than the theorem prints.


# %%
@check(
    "decision procedure",
    "positive scalars, every step with the law of Theorem 1",
    proves=("P-MMS24-08",),
    given={
        "P-MMS24-09": "the bound is active, that is, the consistent value violates it",
        "P-JZZ22-02": "a share of at most 1 of the dissipation is spent",
        "P-JZZ22-03": "in one step from the same state",
    },
)
def theorem_2():
    """r_new^2 - r^2 <= -rest - (1 - eta) |d|^2/dt <= 0, with equality where xi_0 > 0; and |r_new - r^| = xi_0 |r~ - r^|."""
    # slack eta |d|^2/dt, as Ma, Mao and Shen print it, or a share of everything that the step lost
    for share, lost in ((spent, rest), (spent + rest, sp.Integer(0))):
        law = [sp.Eq(r_tilde**2 - r**2, -spent - rest), eta <= 1]
        active = 0
        for given, (aux, factor), _ in reached(branches(lambda s=share: relax_quadratic(r_tilde, r_hat, eta * s)), law):
            bound = -lost - (1 - eta) * share
            assert follows(sp.And(aux**2 - r**2 <= bound, bound <= 0), given)
            assert follows(sp.And(factor >= 0, factor <= 1, sp.Eq(aux - r_hat, factor * (r_tilde - r_hat))), given)
            assert follows(sp.Implies(factor > 0, sp.Eq(aux**2 - r**2, bound)), given)
            violated = r_hat**2 > r_tilde**2 + eta * share
            assert follows(sp.Equivalent(violated, factor > 0), given)
            active += follows(factor > 0, given)
        assert active >= 1
    # theta is that of the base, whatever the relaxed variable: nothing else is solved than there
    blend = Blend(sp.Symbol("r_new", real=True), sp.Symbol("xi_0", real=True))
    with patch.object(relaxation, "relax_quadratic", lambda *_, **__: blend):
        for kind in linear_kinds():
            problem, base = AbstractEnergy(kind.space, kind.L), configured(SAV, C=C, stabilization=kind.S)
            scheme, old = Relaxed(SAV()), AuxState(kind.theta, r)
            object.__setattr__(scheme, "base", base)
            new = scheme.step(problem, RelaxedState(kind.theta, r, 0, old), dt)
            assert is_zero(new.theta - base.step(problem, old, dt).theta)
            assert new.aux == blend.aux


@check(
    "counterexample", "I = theta, theta = 3, C = 1, dt = 4, L = 0, r = R; every eta in [0, 1]", refutes=("P-MMS24-09",)
)
def theorem_2_is_no_equality():
    """For I = theta from 3, C = 1, dt = 4: r^2 falls by 8/3, and by the printed equality by 4/9 + 16 (1 - eta)/9 <= 20/9."""
    new, tilde = on_a_line(sp.Integer(3), sp.Integer(3), ONE, 4, 1)
    assert (new, tilde) == (sp.Rational(1, 3), sp.Rational(4, 3))
    hat = sp.sqrt(new + 1)
    by_increment = (new - 3) ** 2 / 4
    for share in (sp.Integer(0), HALF, sp.Rational(99, 100), ONE):
        aux, factor = relax_quadratic(tilde, hat, share * by_increment)
        assert factor == 0
        assert is_zero(aux**2 - 4 + sp.Rational(8, 3))
        assert is_zero(
            (tilde - 2) ** 2 + (1 - share) * by_increment - sp.Rational(4, 9) - (1 - share) * sp.Rational(16, 9)
        )
    # the scheme that runs takes the same step
    problem = FunctionProblem(lambda t: t.sum(), lambda t: 0 * t + 1)
    scheme = Relaxed(SAV(C=1.0), eta=0.99, budget="increment")
    state = scheme.step(problem, scheme.init(problem, np.array([3.0])), 4.0)
    assert state.xi0 == 0
    assert 4 - state.aux**2 > 2.6


@check("identity", f"{EVERY}, S = 0; the first step from any averages", proves=("P-MMS24-10",))
def algorithm_5():
    """With reading "norm", m, v and the step size are the printed ones, v from |N|^2; two components give another v one by one."""
    V = Space()
    problem, (theta, m) = AbstractEnergy(V), V.vectors("theta m")
    v = sp.Symbol("v", positive=True)
    b1, b2, eps = sp.symbols("beta_1 beta_2 epsilon", positive=True)
    scheme = configured(AdaptiveSAV, C=C, stabilization=0, reading="norm", beta1=b1, beta2=b2, eps=eps)
    value, N = problem.energy_and_gradient(theta)
    new = scheme.step(problem, AdaptiveState(theta, r, m, v, 0 * v, 0), dt)
    m_new, v_new = b1 * m + (1 - b1) * N, b2 * v + (1 - b2) * V.inner(N, N)
    m_hat, step = m_new / (1 - b1), dt / (sp.sqrt(v_new / (1 - b2)) + eps)
    assert is_zero(new.m - m_new)
    assert is_zero(new.v - v_new)
    assert is_zero(new.tau - step)
    r_new = r / (1 + step * V.inner(m_hat, m_hat) / (2 * (value + C)))
    assert is_zero(new.aux - r_new)
    assert is_zero(new.theta - theta + step * r_new / sp.sqrt(value + C) * m_hat)
    two = FunctionProblem(lambda t: t @ t / 2, lambda t: t)
    sizes = [
        AdaptiveSAV(reading=way).step(two, AdaptiveSAV(reading=way).init(two, np.array([3.0, 4.0])), 1.0).v
        for way in ("norm", "elementwise")
    ]
    assert np.shape(sizes[0]) == ()
    assert np.shape(sizes[1]) == (2,)


@check("run", "one network, float64, J = 10", proves=("P-MMS24-11",))
def algorithm_1():
    """The smoothed loss is the mean of the losses at theta + h xi_j, ten new draws a step; with h = 0 it is the loss."""
    x = np.linspace(-1.0, 1.0, 7)[:, None]
    net = TwoLayerNet(1, 5, kernels="reference")
    plain = Regression(net, x, np.sin(x))
    theta = net.init(0)
    for n in (0, 3):
        smooth = SmoothedParticles(plain, h=0.25).at_step(n)
        draws = list(smooth._xi(theta))
        assert len(draws) == smooth.draws == 10
        losses = [float(plain.nonlinear_energy(theta + 0.25 * xi)) for xi in draws]
        assert abs(float(smooth.nonlinear_energy(theta)) - sum(losses) / 10) < 1e-14 * sum(losses)
    assert abs(float(SmoothedParticles(plain, h=0.0).energy(theta) / plain.energy(theta)) - 1) < 1e-14


@check("counterexample, run", "one input, float64", refutes=("P-MMS24-12",))
def example_3_is_no_gaussian():
    """The logarithm of a Gaussian function about 0 is a multiple of x^2; that of exp(-10 |x|) is one of |x|."""
    x = sp.Symbol("x", positive=True)
    scaled = lambda f: sp.log(f.subs(x, 2 * x)) / sp.log(f)  # noqa: E731
    assert is_zero(scaled(sp.exp(-10 * x**2)) - 4)
    assert is_zero(scaled(sp.exp(-10 * x)) - 2)
    for squared, power in ((True, 2), (False, 1)):
        data = gaussian(1, 20, seed=0, squared=squared, standardize=False)
        assert np.allclose(np.log(data.y_train), -10 * np.abs(data.x_train) ** power, rtol=1e-12)


# %% [markdown]
# ## Shen, Xu and Yang (2018)
#
# The second-order schemes are steps of `sav_update` as well. The midpoint rule is one with $\Delta t/2$, from which the new values are
# extrapolated: $\theta^{n+1} = 2\theta^{n+1/2} - \theta^n$. BDF2 is one with $2\Delta t/3$ from $(4\theta^n - \theta^{n-1})/3$. Their
# gradient is taken at an extrapolated point. Write $E_L[u] = (u, Lu)$.


# %%
@check(
    "identity",
    f"{EVERY}, every L, every value and gradient of F with F + C > 0",
    given={"P-SXY18-01": "F is bounded below and C > -inf F"},
    refutes=("P-SXY18-01",),
)
def any_nonlinear_part():
    """The law of r^2 + (theta, L theta)/2 uses a number F and a vector g alone; F = -theta^2 is refused for every C where theta^2 >= C."""
    V = Space()
    theta, g = V.vectors("theta g")
    L = V.operator("L")
    solve = lambda u: L.solve_shifted(u, dt)  # noqa: E731
    new, r_new = sav_update(theta, r, g, F, L(theta), dt=dt, C=C, inner=V.inner, solve=solve)
    d = new - theta
    change = r_new**2 - r**2 + (V.inner(new, L(new)) - V.inner(theta, L(theta))) / 2
    assert is_zero(change + V.inner(d, d) / dt + V.inner(L(d), d) / 2 + (r_new - r) ** 2)
    unbounded = FunctionProblem(lambda t: -(t @ t), lambda t: -2 * t)
    for constant in (1.0, 100.0):
        scheme = SAV(C=constant)
        assert refuses(scheme, unbounded, np.array([np.sqrt(constant) + 1]))
        assert not refuses(scheme, unbounded, np.array([np.sqrt(constant) / 2]))


@check("identity", f"{EVERY}, every L; the first-order scheme", proves=("P-SXY18-02",))
def two_equations_with_constant_coefficients():
    """A step solves (1 + dt L) u = g and (1 + dt L) u = L theta, nothing else; what it returns solves the coupled scheme."""
    V = Space()
    theta, g = V.vectors("theta g")
    L = V.operator("L")
    asked = []

    def solve(u):
        asked.append(u)
        return L.solve_shifted(u, dt)

    new, r_new = sav_update(theta, r, g, F, L(theta), dt=dt, C=C, inner=V.inner, solve=solve)
    assert len(asked) == 2
    assert is_zero(asked[0] - g)
    assert is_zero(asked[1] - L(theta))
    d, R = new - theta, sp.sqrt(F + C)
    assert is_zero(d / dt + L(new) + r_new / R * g)
    assert is_zero(r_new - r - V.inner(g, d) / (2 * R))


def midpoint(u, r, g, F, L_of, *, dt, C, inner, solve):
    """Return u and r after a step of the midpoint rule; g and F are those of an extrapolated point."""
    m, r_m = sav_update(u, r, g, F, L_of(u), dt=dt / 2, C=C, inner=inner, solve=lambda w: solve(w, dt / 2))
    return 2 * m - u, 2 * r_m - r


def bdf2(u, v, r, q, g, F, L_of, *, dt, C, inner, solve):
    """Return u and r after a step of BDF2 from u, r and, one step before, v, q."""
    start, step = (4 * u - v) / 3, 2 * dt / 3
    return sav_update(
        start, (4 * r - q) / 3, g, F, L_of(start), dt=step, C=C, inner=inner, solve=lambda w: solve(w, step)
    )


class Line:
    """The flow x' = -l x - F'(x) about x = t, F + C a polynomial of degree 3: higher terms change a step by O(dt^3) alone."""

    def __init__(self):
        self.t, self.h = sp.symbols("t h", real=True)
        self.l = sp.Symbol("l", nonnegative=True)
        self.f = (sp.Symbol("f_0", positive=True), *sp.symbols("f_1:4", real=True))
        x = sp.Symbol("x", real=True)
        field, derivative, self.flow, factor = -self.l * x - self.slope(x), x, 0, ONE
        for k in range(3):  # the solution up to h^2
            self.flow += factor * derivative.subs(x, self.t)
            derivative, factor = sp.diff(derivative, x) * field, factor * self.h / (k + 1)

    def energy(self, x):
        """Return F + C."""
        return sum(c * (x - self.t) ** k / sp.factorial(k) for k, c in enumerate(self.f))

    def slope(self, x):
        """Return F'."""
        return sum(c * (x - self.t) ** (k - 1) / sp.factorial(k - 1) for k, c in enumerate(self.f) if k)

    def at(self, h):
        """Return the solution and its r at time h, up to h^2."""
        root = sp.sqrt(self.energy(self.flow))
        r = sum(sp.diff(root, self.h, k).subs(self.h, 0) * self.h**k / sp.factorial(k) for k in range(3))
        return self.flow.subs(self.h, h), r.subs(self.h, h)


def without_cubes(e):
    """Return a polynomial in dt without the powers from dt^3 on, which change a step by O(dt^4)."""
    return sum(e.expand().coeff(dt, k) * dt**k for k in range(3))


@check(
    "identity",
    f"the laws: {EVERY}, every L, F and g; the order: one dimension, every cubic F",
    proves=("P-SXY18-03",),
)
def second_order_schemes_with_a_law():
    """Midpoint: r^2 + E_L/2 falls by |d|^2/dt. BDF2: its energy by |delta|^2/(4 dt) and squares. Both err by O(dt^3) in a step."""
    V = Space()
    u, v, g = V.vectors("u v g")
    L, R = V.operator("L"), sp.sqrt(F + C)
    settings = {"dt": dt, "C": C, "inner": V.inner, "solve": L.solve_shifted}
    E_L = lambda w: V.inner(w, L(w))  # noqa: E731
    new, r_new = midpoint(u, r, g, F, L, **settings)
    d = new - u
    assert is_zero(d / dt + L(new + u) / 2 + (r_new + r) / (2 * R) * g)
    assert is_zero(r_new - r - V.inner(g, d) / (2 * R))
    assert is_zero(r_new**2 - r**2 + (E_L(new) - E_L(u)) / 2 + V.inner(d, d) / dt)

    V = Space()
    u, v, g = V.vectors("u v g")
    L = V.operator("L")
    settings = {"dt": dt, "C": C, "inner": V.inner, "solve": L.solve_shifted}
    new, r_new = bdf2(u, v, r, q, g, F, L, **settings)
    delta, bend = 3 * new - 4 * u + v, new - 2 * u + v
    assert is_zero(delta / (2 * dt) + L(new) + r_new / R * g)
    assert is_zero(3 * r_new - 4 * r + q - V.inner(g, delta) / (2 * R))
    energy = lambda a, b, s, o: (E_L(a) + E_L(2 * a - b)) / 4 + (s**2 + (2 * s - o) ** 2) / 2  # noqa: E731
    change = energy(new, u, r_new, r) - energy(u, v, r, q)
    lost = V.inner(delta, delta) / (4 * dt) + E_L(bend) / 4 + (r_new - 2 * r + q) ** 2 / 2
    assert is_zero(change + lost)

    line = Line()
    settings = {"dt": dt, "C": 0, "inner": lambda a, b: a * b, "solve": lambda w, step: w / (1 + step * line.l)}
    (x, s), (x_old, s_old), (x_new, s_new) = (line.at(h) for h in (sp.Integer(0), -dt, dt))
    for before, step in (((), midpoint), ((x_old,), bdf2)):
        point = 2 * x - x_old if before else (3 * x - x_old) / 2
        past = (x, x_old, s, s_old) if before else (x, s)
        value, slope = (without_cubes(sp.sympify(e)) for e in (line.energy(point), line.slope(point)))
        found, r_found = step(*past, slope, value, lambda a: line.l * a, **settings)
        assert is_small(found - x_new, dt, 3)
        assert is_small(r_found - s_new, dt, 3)


# %% [markdown]
# ## Jiang, Zhang and Zhao (2022)
#
# That relaxation keeps the law and comes nearer to the definition is shown above, with Theorem 2.


# %%
@check("counterexample", "F = theta^2 / 2, theta = 1, C = 100, dt = 10, r = R", proves=("P-JZZ22-01",))
def sav_keeps_the_modified_law_alone():
    """For theta^2 / 2 from 1 with C = 100, dt = 10, r^2 falls, the energy rises, and r is no longer sqrt(F + C)."""
    new, r_new = on_a_line(ONE, HALF, ONE, 10, 100)
    assert r_new**2 < HALF + 100
    assert new**2 / 2 > HALF
    assert not is_zero(r_new**2 - new**2 / 2 - 100)


# %% [markdown]
# ## Liu and Tian (2020)


# %%
@check(
    "identity",
    "one generic coordinate, every eta > 0; the rise: f = theta^2 / 2, theta = 1, c = 100, eta = 10",
    proves=("P-LT20-01",),
    given={"P-LT20-02": "in the sense of r, not of f"},
    refutes=("P-LT20-02",),
)
def aegd():
    """The update is AEGD's, and r^2 falls by (r_new - r)^2 + d^2/eta in each coordinate; f may rise."""
    t, g, s = sp.symbols("t g s", real=True)
    step = sp.Symbol("eta", positive=True)
    new, r_new = elementwise_sav_update(t, s, g, F, dt=step, C=C, mass=1, solve=lambda u: u)
    v, d = g / (2 * sp.sqrt(F + C)), new - t
    assert is_zero(r_new - s / (1 + 2 * step * v**2))
    assert is_zero(new - t + 2 * step * r_new * v)
    assert is_zero(r_new**2 - s**2 + (r_new - s) ** 2 + d**2 / step)
    problem = FunctionProblem(lambda t: t @ t / 2, lambda t: t)
    assert list(ElementwiseSAV(C=1.0).init(problem, np.array([2.0, 2.0])).aux) == [np.sqrt(5.0), np.sqrt(5.0)]
    moved, _ = elementwise_sav_update(ONE, None, ONE, HALF, dt=10, C=100, mass=1, solve=lambda u: u)
    assert moved**2 / 2 > HALF


@check("counterexample", "f = theta^2 - 3 at theta = 0", given={"P-LT20-03": "c > -inf f"}, refutes=("P-LT20-03",))
def aegd_needs_a_constant():
    """f = theta^2 - 3 is bounded below; the default c = 1 is refused at 0, c = 4 accepted everywhere."""
    below = FunctionProblem(lambda t: t @ t - 3, lambda t: 2 * t)
    assert ElementwiseSAV().C == 1
    assert refuses(ElementwiseSAV(), below, np.zeros(1))
    for at in (0.0, 1.0, -50.0):
        assert not refuses(ElementwiseSAV(C=4.0), below, np.array([at]))
