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
# # Trust regions of other shapes
#
# A region may be measured by the curvature, such as a bound of the Kullback-Leibler divergence, by averages of squared
# gradients, or block by block; and its radius may be tied to the gradient, where the energy is an estimate. Here is what
# these methods of `gradflow.curvature` rest on. That a step of the linear model to the boundary of an ellipsoid is the best
# one is shown with the claims on trust regions.

# %%
from itertools import product

import numpy as np
import sympy as sp

import gradflow as gf
from gradflow.curvature.curvature_region import curvature_region
from gradflow.proofs import check, follows, is_sum_of_squares
from gradflow.schemes.adagrad import adagrad_update
from gradflow.schemes.rmsprop import rmsprop_update
from gradflow.symbolic import Space, is_zero

R = sp.Rational
EVERY = "every dimension and inner product, every self-adjoint G >= 0 and positive D"
nu, lam, t = sp.symbols("nu lambda t", positive=True)


def zero(M):
    """Return whether a matrix vanishes identically."""
    return is_zero(list(M))


# %% [markdown]
# ## The divergence is the remainder of the loss
#
# For a loss $A(f) - y \cdot f$ with $p = A'(f)$ the mean of the labels, the divergence of the model at $f'$ from the one at f
# is
#
# $$\mathrm{KL} = F(f') - F(f) - F'(f) \cdot (f' - f), \tag{1}$$
#
# the same number for every label. Its second derivative at $f' = f$ is the Fisher matrix of the outputs.


# %%
@check("identity", "softmax with 3 classes, every label; a normal variable of 2 outputs")
def divergence_of_a_loss():
    """sum p log(p/p') = F(f') - F(f) - F'(f).(f' - f) for each label; for N(f, s^2 I) both are |f' - f|^2/(2 s^2). The Hessian in f' at f is diag(p) - pp^T."""
    f, f_new = sp.symbols("f0:3", real=True), sp.symbols("F0:3", real=True)
    S, S_new, p0, p1 = sp.symbols("S S' p0 p1", real=True)  # log sum exp of f and of f'; p = exp(f - S)
    p = [p0, p1, 1 - p0 - p1]
    kl = sum(p[i] * ((f[i] - S) - (f_new[i] - S_new)) for i in range(3))
    for label in range(3):
        slope = [p[i] - int(i == label) for i in range(3)]
        rest = (S_new - f_new[label]) - (S - f[label]) - sum(slope[i] * (f_new[i] - f[i]) for i in range(3))
        assert is_zero(rest - kl)
    e = sp.symbols("e0:3", positive=True)  # exp(f), so that d/df_i = e_i d/de_i; the rest of F is linear in f
    p = [x / sum(e) for x in e]
    for i, j in product(range(3), repeat=2):
        assert is_zero(e[i] * sp.diff(sp.log(sum(e)), e[i]) - p[i])
        assert is_zero(e[j] * sp.diff(p[i], e[j]) - (p[i] if i == j else 0) + p[i] * p[j])
    u, v, y = (sp.Matrix(sp.symbols(f"{name}0:2", real=True)) for name in "uvy")
    s, z = sp.symbols("s", positive=True), sp.Matrix(sp.symbols("z0:2", real=True))
    loss = lambda w: ((w - y).T * (w - y))[0] / (2 * s**2)  # noqa: E731
    rest = loss(v) - loss(u) - ((u - y).T * (v - u))[0] / s**2
    assert is_zero(rest - ((v - u).T * (v - u))[0] / (2 * s**2))
    # log N(z; u) - log N(z; v), z = u + s x with x of mean 0
    ratio = (((z - v).T * (z - v))[0] - ((z - u).T * (z - u))[0]) / (2 * s**2)
    x = sp.Matrix(sp.symbols("x0:2", real=True))
    odd = ratio.subs(dict(zip(z, u + s * x, strict=True)), simultaneous=True)
    assert is_zero(odd - ((u - v).T * x)[0] / s - ((v - u).T * (v - u))[0] / (2 * s**2))


# %% [markdown]
# ## Regions that are measured by the curvature
#
# With $A = G + \lambda D$ and $(G + \lambda D)\,n = g$, the linear step is $-t\,n$, a damped natural gradient step of size t. The
# quadratic one solves $(G + \nu A)\,d = -g$:
#
# $$\Bigl(G + \frac{\nu\lambda}{1 + \nu} D\Bigr)(1 + \nu)\,d = -g. \tag{2}$$
#
# The model predicts $t\,(g, n) - \tfrac12 t^2 (n, Gn)$ for the linear step, which is at least $t(1 - \tfrac12 t)(g, n)$.


# %%
@check("squares", EVERY)
def natural_gradient_steps():
    """(G + nu A) d = -g is (2); for lambda = 0 it is d = -n/(1 + nu). The linear step has |tn|_A^2 = t^2 (g, n) and p >= t(1 - t/2)(g, n), equal for lambda = 0: then p < 0 for t > 2."""
    P = Space("P")
    G, D = P.operator("G"), P.operator("D")
    d, n = P.vectors("d n")
    A = lambda u: G(u) + lam * D(u)  # noqa: E731
    scaled = (1 + nu) * d
    assert is_zero(G(scaled) + nu * lam / (1 + nu) * D(scaled) - G(d) - nu * A(d))
    assert is_zero(G(n) - (G(n / (1 + nu)) + nu * G(n / (1 + nu))))
    g = A(n)
    step = -t * n
    assert is_zero(P.inner(step, A(step)) - t**2 * P.inner(g, n))
    predicted = -P.inner(g, step) - P.inner(step, G(step)) / 2
    rest = predicted - t * (1 - t / 2) * P.inner(g, n)
    assert is_zero(rest - lam * t**2 * P.inner(n, D(n)) / 2)
    assert P.inner(n, D(n)).is_nonnegative
    assert follows(t * (1 - t / 2) < 0, [t > 2])


@check("run", "2 eigenvalues, numbers that float64 has")
def the_function_in_an_eigenbasis():
    """gamma = (3, 4), mu = (1, -1), lambda = 0: |n|_A = 5, so that the linear step to 5/2 is half of n, and with |H| the second part of it goes downhill; the quadratic one of (1, 1) is min(t, 1)."""
    gamma, mu = np.array([3.0, 4.0]), np.array([1.0, -1.0])
    new = curvature_region(gamma, mu, np.float64(2.5), 0.0, linear=True)
    assert (new.z.tolist(), float(new.nu), new.boundary) == ([-1.5, -2.0], 2.0, True)
    damped = curvature_region(gamma, mu, np.float64(2.5), 3.0, linear=True)  # a = 4, |n|_A = 5/2
    assert (damped.z.tolist(), float(damped.nu)) == ([-0.75, -1.0], 1.0)
    for radius, share in ((2.5, 0.5), (5.0, 1.0), (50.0, 1.0)):
        new = curvature_region(gamma, abs(mu), np.float64(radius), 0.0, linear=False)
        assert np.allclose(new.z, -share * gamma, rtol=1e-12)
        assert abs(float(new.nu) - (1 / share - 1)) < 1e-12
        assert new.boundary == (share < 1)


# %% [markdown]
# ## Shapes from gradients
#
# $v^n = \beta v^{n-1} + (1-\beta)(g^2 + \varepsilon^2)$ is the diagonal of $\sum_k \beta^{n-k}(1-\beta)(g_k g_k^{\mathsf T} +
# \varepsilon^2 I)$. The memory is $D = v^p$ itself.


# %%
@check("identity", "3 steps of 2 parameters, powers 1/2 and 1; one coordinate for the updates")
def the_memory_of_squares():
    """(D^n)^(1/p) is the diagonal of the weighted sum of g g^T + eps^2 I. For G = 0 and eps = 0 the damped step -g/D with p = 1/2 is that of Adagrad and of RMSProp."""
    beta, eps = sp.symbols("beta epsilon", positive=True)
    gs = [sp.Matrix(sp.symbols(f"g{k}_0:2", positive=True)) for k in range(3)]
    for power, new in product((R(1, 2), 1), (1 - beta, 1)):
        decay = beta if new != 1 else 1
        D, total = sp.zeros(2, 1), sp.zeros(2)
        for g in gs:
            D = D.applyfunc(lambda x, power=power, decay=decay: decay * x ** (1 / sp.sympify(power)))
            D = (D + new * (g.applyfunc(lambda x: x**2) + eps**2 * sp.ones(2, 1))).applyfunc(
                lambda x, power=power: sp.expand(x) ** power
            )
            total = decay * total + new * (g * g.T + eps**2 * sp.eye(2))
        for i in range(2):
            assert is_zero(sp.expand(D[i] ** (1 / sp.sympify(power)) - total[i, i]))
    theta, v, g, dt = sp.symbols("theta v g dt", positive=True)
    for (new, v_new), sum_of in (
        (adagrad_update(theta, v, g, dt=dt, eps=sp.Integer(0)), v + g**2),
        (rmsprop_update(theta, v, g, dt=dt, decay=beta, eps=sp.Integer(0)), beta * v + (1 - beta) * g**2),
    ):
        assert is_zero(v_new - sum_of)
        assert is_zero(new - theta + dt * g / sp.sqrt(sum_of))


@check("identity", "one coordinate, any scale, alpha = 1/2, 1, 2, 3")
def squares_of_gradients_follow_the_scales():
    """With theta = C x: g_x = C g and d = C d_x, so that |g_x|^alpha d_x^2 = c^(alpha - 2) |g|^alpha d^2: lengths are the same for every scale c for alpha = 2 alone."""
    c, g, d = sp.symbols("c g d", positive=True)
    for alpha in (R(1, 2), sp.Integer(1), sp.Integer(2), sp.Integer(3)):
        length = (c * g) ** alpha * (d / c) ** 2
        assert is_zero(length - c ** (alpha - 2) * g**alpha * d**2)
        assert is_zero(length - g**alpha * d**2) == (alpha == 2)


# %% [markdown]
# ## Radii for blocks
#
# A curvature without entries between blocks makes the model a sum, and $|d_l| \le r_l\delta$ are constraints of one block
# each: L problems. The energy is not a sum, and so the ratio is one.


# %%
@check(
    "counterexample",
    "(a + b - 1)^2/2 from 0; 2 blocks of one parameter in symbols",
    given={"C004-77": "fixed ratios of the radii"},
)
def a_ratio_for_each_block_says_nothing():
    """Each block alone has the ratio 1 and reaches the minimum; both together leave E as it is, p = 1: the ratio of the step is 0. Without the entry between them the model is the sum of two."""
    a, b = sp.symbols("a b", real=True)
    E = (a + b - 1) ** 2 / 2
    g, H = sp.Matrix([E]).jacobian([a, b]).subs({a: 0, b: 0}), sp.hessian(E, [a, b])
    drop = lambda da, db: E.subs({a: 0, b: 0}) - E.subs({a: da, b: db})  # noqa: E731
    steps = [-g[i] / H[i, i] for i in range(2)]
    promised = [g[i] ** 2 / (2 * H[i, i]) for i in range(2)]
    assert drop(steps[0], 0) == promised[0] == drop(0, steps[1]) == promised[1] == R(1, 2)
    assert drop(*steps) == 0
    blocks = sp.diag(H[0, 0], H[1, 1])
    d = sp.Matrix([a, b])
    model = lambda B: (g * d + d.T * B * d / 2)[0]  # noqa: E731
    one = model(blocks).subs(b, 0) + model(blocks).subs(a, 0)
    assert is_zero(model(blocks) - one)
    assert not is_zero(model(H) - model(H).subs(b, 0) - model(H).subs(a, 0))


# %% [markdown]
# ## A radius that is tied to the gradient
#
# An accepted step has $\rho \ge \eta_1$ and $|g| \ge \eta_2\delta$; then the radius is multiplied by $\gamma$, and else divided. The
# Cauchy point $-\tau g$, $\tau = \min(1/\kappa, \delta/|g|)$, promises $\tfrac12\tau|g|^2$ at least, so that the estimate falls by
# $c\,\delta^2$, $c = \tfrac12\eta_1\eta_2\min(\eta_2/\kappa, 1)$. Every radius is $\gamma$ or $1/\gamma$ times the one before:
#
# $$(1 - \gamma^{-2})\sum_{n<N}\delta_n^2 \le \delta_0^2 + (\gamma^2 - \gamma^{-2})\sum_{\text{accepted}}\delta_n^2. \tag{3}$$


# %%
@check("squares", "a curvature of at most kappa along g; numbers |g|, delta > 0")
def decrease_of_the_cauchy_point():
    """tau |g|^2 - tau^2 kappa |g|^2/2 >= tau |g|^2/2 for tau kappa <= 1; with |g| >= eta2 delta both values of tau give at least eta2 min(eta2/kappa, 1) delta^2/2."""
    g, kappa, delta, tau, eta2 = sp.symbols("g kappa delta tau eta2", positive=True)
    s = sp.Symbol("s", nonnegative=True)  # 1 - tau kappa
    promised = tau * g**2 - tau * (1 - s) * g**2 / 2
    assert is_sum_of_squares(promised - tau * g**2 / 2, [(tau * s / 2, g)])
    e = sp.Symbol("e", nonnegative=True)  # |g| - eta2 delta
    long = eta2 * delta + e
    # tau = 1/kappa: |g|^2/(2 kappa) - eta2^2 delta^2/(2 kappa); tau = delta/|g|: |g| delta/2 - eta2 delta^2/2
    assert is_zero(
        long**2 / (2 * kappa) - eta2**2 * delta**2 / (2 * kappa) - (2 * eta2 * delta * e + e**2) / (2 * kappa)
    )
    assert is_zero(long * delta / 2 - eta2 * delta**2 / 2 - e * delta / 2)
    assert ((2 * eta2 * delta * e + e**2) / (2 * kappa)).is_nonnegative
    assert (e * delta / 2).is_nonnegative


@check("identity", "all patterns of 5 accepted and rejected steps, in symbols")
def the_squared_radii_have_a_sum():
    """delta_{n+1}^2 = delta_n^2/gamma^2 + [accepted](gamma^2 - 1/gamma^2) delta_n^2 - w_n, with w_n >= 0 where a largest radius cuts: summed, the right side of (3) less the left one is delta_N^2 + sum w_n."""
    gamma, first = sp.symbols("gamma delta0", positive=True)
    cuts = sp.symbols("w0:5", nonnegative=True)
    for pattern in product((True, False), repeat=5):
        squares = [first**2]
        for accepted, cut in zip(pattern, cuts, strict=True):
            squares.append(squares[-1] * gamma**2 - cut if accepted else squares[-1] * gamma**-2)
        taken = sum(s for s, accepted in zip(squares, pattern, strict=False) if accepted)
        left = (1 - gamma**-2) * sum(squares[:-1])
        total_cut = sum(cut for cut, accepted in zip(cuts, pattern, strict=True) if accepted)
        assert is_zero(first**2 + (gamma**2 - gamma**-2) * taken - left - squares[-1] - total_cut)


@check("run", "E = (x^2 + 10 y^2)/2 and the class, without noise")
def the_radius_vanishes_without_noise():
    """A radius that is kept by the ratio alone stays; one with the second test tends to 0 with the gradient."""
    scales = np.array([1.0, 10.0])
    form = gf.FunctionProblem(lambda w: (scales * w) @ w / 2, lambda w: scales * w, hvp=lambda w, v: scales * v)
    start = np.array([3.0, 1.0])
    C = gf.curvature
    for region, vanishes in ((C.TrustRegion(radius=1.0), False), (C.StochasticTrustRegion(1.0, steepness=0.5), True)):
        method = gf.SecondOrder(curvature=C.Hessian(), globalization=region)
        state = method.init(form, start)
        for _ in range(60):
            state = method.step(form, state, 1.0)
        assert np.linalg.norm(state.theta) < 1e-6
        assert (float(state.control.size) < 0.1) is vanishes


# %% [markdown]
# ## A heavy ball has no radius that is small enough
#
# With the term $\mu (d, v)$ the linear part of the model is $h = g + \mu v$. A small region makes d nearly $-\delta h/|h|$,
# whose slope has the sign of $-(g, h)$: it does not depend on the radius.


# %%
@check("counterexample", "E = x, g = 1, v = -2, mu = 1; every dimension and inner product for the slope")
def a_heavy_ball_has_no_radius():
    """d = -delta h/|h| has (g, d) = -delta (g, h)/|h|; for g = 1, mu v = -2 it is +delta: E = x rises by delta for every radius."""
    P = Space("P")
    g, v = P.vectors("g v")
    mu, delta = sp.symbols("mu delta", positive=True)
    h = g + mu * v
    length = sp.sqrt(P.inner(h, h))
    d = -delta / length * h
    assert is_zero(P.inner(g, d) + delta * (P.inner(g, g) + mu * P.inner(g, v)) / length)
    slope, push = sp.Integer(1), sp.Integer(-2)
    assert is_zero(-delta * slope * (slope + push) / sp.Abs(slope + push) - delta)
