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
# # Reported numbers
#
# Counts, costs and moments that the source documents state or that their results must obey, computed exactly. What a run did cannot be
# checked here; whether its reported result is *possible*, and what it is to be compared with, can.

# %%
import inspect
import math
import tracemalloc

import numpy as np
import sympy as sp

from gradflow import IEQ, SAV, Adam, AdaptiveIEQ, ExpSAV, GradientDescent, TwoLayerNet
from gradflow.curvature.damped_step import choose_solver
from gradflow.datasets import gaussian, quadratic, sin_cos
from gradflow.linear import Shift
from gradflow.models.losses import CrossEntropy
from gradflow.proofs import check, follows
from gradflow.schemes.adam import adam_update
from gradflow.schemes.adaptive_ieq import adaptive_ieq_update
from gradflow.schemes.exp_sav import exp_sav_update
from gradflow.schemes.gradient_descent import gradient_descent_update
from gradflow.schemes.ieq import ieq_update
from gradflow.schemes.sav import sav_update
from gradflow.symbolic import Space, is_zero

dt = sp.Symbol("dt", positive=True)
REGRESSION = TwoLayerNet(40, 1000, scaling="standard")
MNIST = TwoLayerNet(784, 100, 10, scaling="standard")

# %% [markdown]
# ## The network and the two baselines
#
# $f(x) = a^T s(W^T[x; 1])$ has $(D + 1)m + mk$ parameters; the outputs have no bias.


# %%
@check("arithmetic", "the networks of the two documents, and D, m, k up to 3")
def parameter_counts():
    """(D + 1) m + m k without an output bias: 42000 for (40, 1000, 1), 79500 for (784, 100, 10); 41100 is 41 * 1000 + 100."""
    assert REGRESSION.n_parameters == 41 * 1000 + 1000 * 1 == 42000
    assert MNIST.n_parameters == 785 * 100 + 100 * 10 == 79500
    assert 41 * 1000 + 100 == 41100 != REGRESSION.n_parameters
    assert MNIST.n_parameters + MNIST.n_outputs == 79510  # with an output bias
    for D in (1, 2, 3):
        for m in (1, 2, 3):
            for k in (1, 2, 3):
                net = TwoLayerNet(D, m, k)
                assert net.n_parameters == (D + 1) * m + m * k == net.init(0).size
    W, a = MNIST.unpack(MNIST.init(0))
    assert (W.shape, a.shape) == ((785, 100), (100, 10))  # two layers of weights
    assert TwoLayerNet(1, 100).n_parameters == 300  # the network of the other README, y = exp(-x^2) + noise


@check("arithmetic", "integer weights, where floating point is exact")
def network_formula():
    """f(x) = a^T relu(W^T [x; 1]) by integers: the network returns the written-out sum, and 0 for a = 0 whatever W is."""
    net = TwoLayerNet(2, 2, 2, scaling="standard", kernels="reference")
    W, a = [[1, -2], [3, 1], [-4, 5]], [[2, 1], [-1, 3]]
    theta = np.array([*np.ravel(W), *np.ravel(a)], dtype=float)
    for x in ([1, 2], [-3, 1], [0, 0], [2, -5]):
        z = [W[0][j] * x[0] + W[1][j] * x[1] + W[2][j] for j in (0, 1)]
        expected = [sum(a[j][k] * max(z[j], 0) for j in (0, 1)) for k in (0, 1)]
        assert net(theta, np.array([x], dtype=float)).tolist() == [expected]
    theta[6:] = 0
    assert not net(theta, np.array([[1.0, 2.0]])).any()


@check("identity", "one generic coordinate, three steps")
def baselines_are_the_printed_ones():
    """SGD is w - eta g, and Adam the printed recursion of m, v, their corrections and the quotient, for three steps from 0."""
    w, eta, b1, b2, eps = sp.symbols("w eta beta1 beta2 epsilon", positive=True)
    gs = sp.symbols("g1 g2 g3", positive=True)
    assert is_zero(gradient_descent_update(w, gs[0], dt=eta, solve=lambda u: u) - (w - eta * gs[0]))
    theta, m, v = w, sp.Integer(0), sp.Integer(0)
    for n, g in enumerate(gs, 1):
        old = theta
        m_old, v_old = m, v
        theta, m, v = adam_update(theta, m, v, g, n, dt=eta, beta1=b1, beta2=b2, eps=eps)
        assert is_zero(m - b1 * m_old - (1 - b1) * g)
        assert is_zero(v - b2 * v_old - (1 - b2) * g**2)
        expected = (m / (1 - b1**n)) / (sp.sqrt(v / (1 - b2**n)) + eps)
        assert is_zero(theta - old + eta * expected)


@check("arithmetic", "the schemes of this library")
def four_of_the_six_methods_have_an_energy():
    """Of SGD, Adam, SAV, ExpSAV, IEQ and adaptive IEQ four have a modified energy: six methods, four variants of SAV and IEQ."""
    six = (GradientDescent, Adam, SAV, ExpSAV, IEQ, AdaptiveIEQ)
    assert [callable(getattr(scheme, "modified_energy", None)) for scheme in six] == [False] * 2 + [True] * 4


# %% [markdown]
# ## Costs
#
# Let P be the number of parameters, N the number of residuals in a batch. With a scalar stabilization $\lambda I$ the schemes SAV, ExpSAV
# and adaptive IEQ handle vectors of length P only. IEQ with a Jacobian needs $NP$ numbers for it, $N^2P$ multiplications for
# $G = JJ^T$ and $N^3/3$ for its factorisation: $O(N^2P + N^3)$, dominated by the first term as long as $N < P$.


# %%
def calls_of(update):
    """Return how often an update calls `inner` and `solve`, on abstract vectors, for which P is unknown."""
    V = Space()
    theta, g = V.vectors("theta g")
    calls = {"inner": 0, "solve": 0}

    def inner(u, v):
        calls["inner"] += 1
        return V.inner(u, v)

    def solve(u):
        calls["solve"] += 1
        return u / (1 + dt)

    update(theta, g, inner, solve)
    return calls["inner"], calls["solve"]


@check("arithmetic", "calls of the production updates; P = 42000")
def scalar_schemes_cost_one_pass():
    """SAV and ExpSAV: one inner product, one division by 1 + dt lambda; adaptive IEQ: one inner product. All O(P), no P x P matrix."""
    r, F, C, s = sp.symbols("r F C s", positive=True)
    sav = calls_of(lambda t, g, inner, solve: sav_update(t, r, g, F, dt=dt, C=C, inner=inner, solve=solve))
    exp_sav = calls_of(
        lambda t, g, inner, solve: exp_sav_update(t, s, g, dt=dt, kappa=1, form="implicit", inner=inner, solve=solve)
    )
    adaptive = calls_of(lambda t, g, inner, solve: adaptive_ieq_update(t, r, g, F, dt=dt, eps=C, inner=inner))
    assert (sav, exp_sav, adaptive) == ((1, 1), (1, 1), (1, 0))
    # the solve is a division
    assert Shift(4).solve_shifted(np.array([5.0, -7.0]), 0.25).tolist() == [2.5, -3.5]
    # a dense operator would hold 7.06 GB in float32 for P = 42000, and its product with a vector 42000 times as many operations
    assert REGRESSION.n_parameters**2 * 4 == 7_056_000_000


@check("run", "P = 42000, float32")
def scalar_schemes_need_a_few_vectors():
    """One step of SAV and of ExpSAV with lambda = 4 at P = 42000 in float32 allocates less than 8 vectors, 1.4 MB and not 7 GB."""
    P = REGRESSION.n_parameters
    theta, g = np.ones(P, dtype="float32"), np.full(P, 1e-3, dtype="float32")
    A, inner = Shift(4), lambda u, v: u @ v
    solve = lambda u: A.solve_shifted(u, 0.1)  # noqa: E731
    one = np.float32(1)
    runs = (
        lambda: sav_update(theta, one, g, one, dt=0.1, C=1.0, inner=inner, solve=solve),
        lambda: exp_sav_update(theta, one, g, dt=0.1, kappa=1.0, form="implicit", inner=inner, solve=solve),
    )
    for run in runs:
        tracemalloc.start()
        new, _ = run()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert new.shape == (P,)
        assert peak < 8 * 4 * P < 1.4e6


@check("arithmetic", "N = 64, P = 42000 and 41100, float32")
def jacobian_costs():
    """N = 64: J takes 10.5 to 10.8 MB, G 16 kB; forming G costs N^2 P = 1.7e8 products, P/N = 656 times N^3 = 2.6e5."""
    N = 64
    assert N * 41100 * 4 == 10_521_600
    assert N * 42000 * 4 == 10_752_000
    assert N * N * 4 == 16_384  # O(batch^2), without J
    assert N**3 == 262_144
    assert N**2 * 41100 == 168_345_600
    assert sp.Rational(N**2 * 42000, N**3) == sp.Rational(42000, 64) > 656
    # P^3 operations at each step would be 7.4e13, and 3.5 times the cost of SGD is at most a few times 64 * 6 * 42000
    assert 42000**3 == 74_088_000_000_000
    # the system has the size of the residual, whatever P is: one unknown for one sample
    V = Space()
    theta, g = V.vectors("theta g")
    one = np.array([sp.Symbol("q", real=True)], dtype=object)
    _, q_new = ieq_update(
        theta, one, inner=V.inner, damping=lambda d: V.inner(d, d) / dt,
        direction=lambda q, h: (-dt * q[0] / (1 + dt * V.inner(g, g)) * g,
                                np.array([-dt * q[0] / (1 + dt * V.inner(g, g)) * V.inner(g, g)], dtype=object)),
    )  # fmt: skip
    assert q_new.shape == (1,)
    # SGD costs one pass over the batch, N times the work of one sample
    assert 64 * 42000 == 2_688_000


@check("arithmetic", "N = 256 to 4096, P = 42000")
def larger_batches_are_feasible():
    """N = 4096: G takes 67 MB and N^3/3 = 2.3e10 operations, J 0.69 GB; from 3001 residuals on conjugate gradients need neither."""
    N, P = 4096, 42000
    assert N * N * 4 == 67_108_864
    assert abs(N**3 / 3 - 2.3e10) < 1e9
    assert N * P * 4 == 688_128_000
    assert [choose_solver(n, P, closed_form=True) for n in (256, 2560, 4096)] == ["gram", "gram", "cg"]
    assert 256 * 10 == 2560  # classification has one residual for each sample and class


@check("arithmetic", "the reported relative times")
def reported_times():
    """3.5 / 1.5 = 7/3 and 5.2 / 1.8 = 26/9: the times of IEQ over those of SAV in the other document are 2.33 and 2.89, not 2."""
    assert sp.Rational(35, 15) == sp.Rational(7, 3)
    assert sp.Rational(52, 18) == sp.Rational(26, 9)
    assert 2 < sp.Rational(7, 3) < sp.Rational(26, 9)


# %% [markdown]
# ## The losses of the three regressions in proportion
#
# *Example 2*, $y = \sum_i c_i x_i^2$, $x_i \sim U(0, 5)$: $\operatorname{Var} x^2 = 125 - (25/3)^2 = 500/9$. *Example 3*,
# $y = e^{-10|x|^2}$, $x_i \sim N(0, s^2)$, $s^2 = 1/25$: from $E e^{-t x^2} = (1 + 2ts^2)^{-1/2}$, $E y = 1.8^{-20}$ and
# $E y^2 = 2.6^{-20}$.
#
# A network of piecewise linear functions reproduces the interpolant of each $x_i^2$ on cells of length h, whose error $t(h - t)$ has the
# mean $h^2/6$ and the variance $h^4/180$, cell by cell. The inputs are independent, so that the variances add up to $\sum c_i^2 h^4/180$.


# %%
@check("arithmetic", "Example 2, D = 40, c normal or uniform in (0, 1)")
def scale_of_the_quadratic_target():
    """Var y = sum c^2 500/9: on average 2222 for c ~ N(0, 1), 741 for c ~ U(0, 1); an MSE of 10 to 100 leaves 0.45 to 4.5 % of 2222."""
    x, b = sp.symbols("x b", positive=True)
    mean = lambda f: sp.integrate(f, (x, 0, 5)) / 5  # noqa: E731
    variance = mean(x**4) - mean(x**2) ** 2
    assert variance == sp.Rational(500, 9)
    normal = 40 * variance  # E c^2 = 1
    uniform = 40 * variance * sp.integrate(b**2, (b, 0, 1))
    assert (normal, uniform) == (sp.Rational(20000, 9), sp.Rational(20000, 27))
    assert [10 / normal, 100 / normal] == [sp.Rational(9, 2000), sp.Rational(9, 200)]
    assert [10 / uniform, 100 / uniform] == [sp.Rational(27, 2000), sp.Rational(27, 200)]
    assert sp.Rational(1, 10**4) / normal == sp.Rational(45, 10**9)  # the target 1e-4 asks for 4.5e-8 of the variance
    assert inspect.signature(quadratic).parameters["n_inputs"].default == 40


@check("arithmetic", "Example 2, D = 40, 1000 neurons; the network itself at the nodes")
def relu_networks_fit_the_quadratic_target():
    """962 neurons interpolate sum c x^2 on cells of h = 1/5; less the mean error, the MSE is sum c^2 h^4/180 = 3.6e-4 for c ~ N(0, 1)."""
    t, h = sp.symbols("t h", positive=True)
    error = t * (h - t)  # interpolant less x^2 on a cell, whatever the cell
    x0 = sp.Symbol("x0", real=True)
    chord = x0**2 + t * (2 * x0 + h)
    assert is_zero(chord - (x0 + t) ** 2 - error)
    mean = sp.integrate(error, (t, 0, h)) / h
    variance = sp.integrate(error**2, (t, 0, h)) / h - mean**2
    assert is_zero(variance - h**4 / 180)
    cell = variance.subs(h, sp.Rational(1, 5))
    assert 40 * cell == sp.Rational(16, 45000) < sp.Rational(36, 10**5)  # E c^2 = 1
    assert 40 * cell / 3 < sp.Rational(12, 10**5)  # E c^2 = 1/3
    # the network: 24 kinks for each of 40 inputs, and two neurons that never sleep on (0, 5)^40 for the affine part
    net, D, c = TwoLayerNet(40, 1000, scaling="standard", kernels="reference"), 40, np.arange(40.0) % 7 - 3
    W, a = np.zeros((D + 1, 1000)), np.zeros((1000, 1))
    for i in range(D):
        for k in range(1, 25):
            W[i, 24 * i + k - 1], W[D, 24 * i + k - 1], a[24 * i + k - 1] = 1, -k / 5, c[i] * 2 / 5
    offset = 1 + np.abs(c).sum()
    W[:D, 960], W[D, 960], a[960] = c / 5, offset, 1  # sum c_i x_i / 5 + offset > 0
    W[D, 961], a[961] = 1, -offset - c.sum() / 150  # the constant, h^2/6 = 1/150 for each input
    j = np.arange(26)[:, None]
    at_nodes = (j + 3 * np.arange(D)[None, :]) % 26 / 5
    values = net(np.concatenate([W.ravel(), a.ravel()]), at_nodes)[:, 0]
    assert np.abs(values - (at_nodes**2 - 1 / 150) @ c).max() < 1e-10
    assert REGRESSION.width >= 40 * 24 + 2


@check("arithmetic", "Example 3, D = 40")
def scale_of_the_gaussian_target():
    """E y = 1.8^-20 = 7.8e-6 and E y^2 = 2.6^-20 = 5.0e-9: the network f = 0 has an MSE far below the target 1e-4."""
    x, s, t = sp.symbols("x s t", positive=True)
    density = sp.exp(-(x**2) / (2 * s**2)) / (s * sp.sqrt(2 * sp.pi))
    moment = 2 * sp.integrate(sp.exp(-t * x**2) * density, (x, 0, sp.oo), conds="none")
    assert is_zero(moment**2 - 1 / (1 + 2 * t * s**2))
    each = lambda t_value: 1 + 2 * t_value * sp.Rational(1, 25)  # noqa: E731
    assert (each(10), each(20)) == (sp.Rational(9, 5), sp.Rational(13, 5))
    Ey, Eyy = each(10) ** -20, each(20) ** -20
    assert abs(Ey - sp.Rational(78, 10**7)) < sp.Rational(1, 10**7)
    assert abs(Eyy - sp.Rational(5, 10**9)) < sp.Rational(1, 10**10)
    assert Eyy * 19000 < sp.Rational(1, 10**4)  # f = 0 beats the target by more than 10^4
    zero = np.zeros(REGRESSION.n_parameters)
    assert not REGRESSION(zero, np.full((3, 40), 0.2)).any()
    defaults = inspect.signature(gaussian).parameters
    assert (defaults["n_inputs"].default, defaults["std"].default) == (40, 0.2)


@check("arithmetic", "the three regressions")
def regressions_have_forty_inputs():
    """All three regressions have D = 40 inputs, as in `gradflow.datasets`: none is low-dimensional."""
    for make in (sin_cos, quadratic, gaussian):
        assert inspect.signature(make).parameters["n_inputs"].default == 40
    assert sin_cos(n_samples=10, seed=0).x_train.shape[1] == 40


@check("identity", "every predictor f and target f* + noise")
def noise_is_a_floor():
    """With y = f* + e, E e = 0, E e^2 = sigma^2 and e independent of x, E (f - y)^2 = E (f - f*)^2 + sigma^2 >= sigma^2."""
    delta, sigma, e = sp.symbols("delta sigma e", real=True)
    square = sp.Poly((delta - e) ** 2, e)
    moments = {0: 1, 1: 0, 2: sigma**2}
    expected = sum(c * moments[k] for (k,), c in square.terms())
    assert is_zero(expected - delta**2 - sigma**2)
    assert follows(expected >= sigma**2)


# %% [markdown]
# ## Accuracy and cross-entropy
#
# A sample that is misclassified has another class of at least the probability p of its label, so $2p \le 1$ and its loss $-\log p$ is at
# least $\log 2$; all others have a loss of at least 0. So
#
# $$\text{mean loss} \ge (1 - \text{accuracy})\log 2.$$
#
# If a softmax has been applied already and cross-entropy applies another, the "logits" are probabilities $p_j$ and the loss is
# $\log(1 + \sum_{j \ne l} e^{p_j - p_l}) \ge \log(1 + 9\,e^{(1 - p_l)/9 - p_l})$ by the inequality of the arithmetic and geometric mean.
# It falls with $p_l$, so it is at least $\log(1 + 9/e) = 1.461$.


# %%
@check("argument", "every classifier; the energy of the library at a tie")
def accuracy_bounds_cross_entropy():
    """Mean cross-entropy >= (1 - accuracy) log 2: an accuracy of 90 % excludes a loss below 0.069, one of 92.5 % a loss below 0.051."""
    p, p_max, rest = sp.symbols("p p_max rest", nonnegative=True)
    assert follows(p <= sp.Rational(1, 2), [sp.Eq(p + p_max + rest, 1), p_max >= p])
    assert is_zero(-sp.log(sp.Rational(1, 2)) - sp.log(2))
    assert sp.log(2) / 10 > sp.Rational(69, 1000)
    assert sp.log(2) * sp.Rational(75, 1000) > sp.Rational(51, 1000)
    assert sp.log(2) * sp.Rational(7, 100) < sp.Rational(5, 100)  # 93 % does allow 0.05
    # the loss that runs: log 2 at a tie of two classes, more for a wrong class that leads
    y = np.array([[1.0, 0.0, 0.0]])
    loss = lambda f: float(CrossEntropy(y, 1.0).energy(np.array([f])))  # noqa: E731
    assert abs(loss([0.0, 0.0, -800.0]) - math.log(2)) < 1e-15
    assert loss([0.0, 1e-3, -800.0]) > math.log(2)
    assert loss([0.0, 0.0, 0.0]) > math.log(2)


@check("argument", "10 classes")
def double_softmax_has_a_floor():
    """Cross-entropy of probabilities instead of logits is at least log(1 + 9/e) = 1.461 for 10 classes: a loss of 0.05 excludes it."""
    p = sp.Symbol("p", nonnegative=True)
    exponent = (1 - p) / 9 - p
    assert sp.diff(exponent, p).is_negative
    assert is_zero(exponent.subs(p, 1) + 1)
    # the geometric mean: with the sum of the others fixed, the sum of exponentials is least when they are equal
    a, b = sp.symbols("a b", positive=True)  # e^(p_j/2), e^(p_k/2)
    assert is_zero(a**2 + b**2 - 2 * a * b - (a - b) ** 2)
    floor = sp.log(1 + 9 / sp.E)
    assert sp.Rational(146, 100) < floor < sp.Rational(1462, 1000)
    y = np.eye(10)[:1]
    assert abs(float(CrossEntropy(y, 1.0).energy(y)) - float(floor)) < 1e-14


# %% [markdown]
# ## A decreasing r and an oscillating loss
#
# The energy law is about r. Two batches with $F_\pm = \tfrac12(\theta \mp 3)^2$ and the total $\tfrac12(F_+ + F_-)$ suffice.


# %%
@check("counterexample", "F = (theta -+ 3)^2 / 2 in turn, dt = 1, C = 0, r restarted and r carried")
def loss_oscillates_while_r_decreases():
    """SAV on two batches in turn: the total loss rises and falls, r falls in every step; so it does when r is carried along."""
    for carried in (False, True):
        theta, r = sp.Integer(0), None
        total = [sp.Rational(9, 2)]
        for n in range(4):
            centre = 3 if n % 2 == 0 else -3
            F, g = (theta - centre) ** 2 / 2, theta - centre
            before = sp.sqrt(F) if r is None else r
            theta, r_new = sav_update(theta, r, g, F, dt=1, C=0, inner=lambda u, v: u * v, solve=lambda u: u)
            assert r_new < before
            r = r_new if carried else None
            total.append((theta**2 + 9) / 2)
        if not carried:
            assert theta == sp.Rational(-15, 16)
        assert total[1] > total[0]
        assert total[2] < total[1]
        assert total[3] > total[2] or carried


# %% [markdown]
# ## A code fragment
#
# The fragment for regression computes $r^0 = C\,e^{L}$ by `math.exp` without importing `math`.


# %%
@check("arithmetic", "the imports and the expression of the fragment")
def fragment_lacks_an_import():
    """With torch, torch.nn and LinearModel imported, `math` is an unknown name; and where it is known, exp overflows at 709.79."""
    names = {"torch": object(), "nn": object(), "LinearModel": object(), "__builtins__": {}}
    unknown = None
    try:
        eval("C * math.exp(L)", {**names, "C": 1.0, "L": 1.0})
    except NameError as error:
        unknown = error.name
    assert unknown == "math"
    assert eval("C * math.exp(L)", {**names, "math": math, "C": 1.0, "L": 1.0}) == math.e
    assert math.isfinite(math.exp(709.78))
    try:
        math.exp(709.79)
    except OverflowError:
        return
    raise AssertionError("no overflow")
