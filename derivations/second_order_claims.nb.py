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
# # Curvature and information
#
# Claims of a chapter on second-order optimisation about Newton's method, Gauss-Newton, the natural gradient and the
# estimators of their matrices, each decided in the smallest case that decides it. Notation of the chapter: parameters w,
# loss f with gradient g and Hessian H, residual r with Jacobian J, outputs z, model probabilities p, data q, score
# $s = \nabla_w \log p$, Fisher matrix $F = E_p[ss^T]$.
#
# A family of distributions on three outcomes with symbols for the probabilities and their first two derivatives is any
# smooth family at one point; so is a quadratic residual with symbols for its coefficients.

# %%
from fractions import Fraction
from itertools import product

import numpy as np
import sympy as sp

import gradflow as gf
from gradflow.curvature.subproblem import damped
from gradflow.models.losses import ScaledResidual
from gradflow.proofs import check, is_sum_of_squares
from gradflow.symbolic import Space, is_small, is_zero

R = sp.Rational
t, lam, sigma, mu = sp.symbols("t lambda sigma mu", positive=True)
a, b, c, u, v = sp.symbols("a b c u v", real=True)
p1, p2 = sp.symbols("p1 p2", positive=True)
P3 = (p1, p2, 1 - p1 - p2)
"""Probabilities of three outcomes."""
E3 = [sp.Matrix([int(i == j) for j in range(3)]) for i in range(3)]


def zero(M):
    """Return whether a matrix vanishes identically."""
    return is_zero(list(M))


def symmetric(name, n=2):
    """Return a symmetric matrix of symbols."""
    return sp.Matrix(n, n, lambda i, j: sp.Symbol(f"{name}{min(i, j)}{max(i, j)}", real=True))


def vector(name, n=2):
    """Return a vector of symbols."""
    return sp.Matrix([sp.Symbol(f"{name}{i}", real=True) for i in range(n)])


def gradient(f, w):
    """Return the gradient of an expression, a column."""
    return sp.Matrix([sp.diff(f, x) for x in w])


# %% [markdown]
# ## The quadratic model
#
# With any curvature G the model differs from f by $\tfrac12 \Delta^T(H - G)\Delta + O(|\Delta|^3)$. Its stationary point is
# its minimiser if and only if $G > 0$.


# %%
@check(
    "identity",
    "every residual in 2 parameters that is smooth, one component, along a line; one kink",
    given={"C004-01": "H is the Hessian, and it is Lipschitz"},
)
def error_of_the_model():
    """f(w + td) - m(td) is O(t^3) for H and t^2 d^T(H - J^T J)d/2 + O(t^3) for Gauss-Newton, in general not O(t^3); at a kink it is not O(t^2)."""
    w, d = vector("w"), vector("d")
    A, slope = symmetric("A"), vector("b")
    r = c + (slope.T * w)[0] + (w.T * A * w)[0] / 2
    f = r**2 / 2
    g, H, J = gradient(f, w), sp.hessian(f, list(w)), gradient(r, w)
    moved = f.subs({w[i]: w[i] + t * d[i] for i in (0, 1)}, simultaneous=True)
    for G in (H, J * J.T):
        error = moved - f - t * (g.T * d)[0] - t**2 * (d.T * G * d)[0] / 2
        assert is_small(error - t**2 * (d.T * (H - G) * d)[0] / 2, t, 3)
        assert is_small(error, t, 3) == (G is H)
    # a Lipschitz constant L of the Hessian along d: int_0^1 (1 - s) L s |d|^3 ds = L |d|^3 / 6 bounds the error
    s, lipschitz, length = sp.symbols("s L length", positive=True)
    assert is_zero(sp.integrate((1 - s) * lipschitz * s * length**3, (s, 0, 1)) - lipschitz * length**3 / 6)
    # (relu(w) - 1)^2 / 2 at w = -t, d = 2: the model is the constant 1/2
    assert not is_small((t - 1) ** 2 / 2 - R(1, 2), t, 2)


@check(
    "identity",
    "every dimension, inner product and self-adjoint G; three models in numbers",
    given={"C004-02": "H is regular; for a minimiser, positive definite"},
)
def newton_step_is_stationary():
    """At Gd = -g, m(d + e) - m(d) = (e, Ge)/2, so that d is a minimum for G > 0 only. For G = diag(1, -2) the value -1/4 is not a minimum; with g = (0, 1) the model rises to 1/4."""
    P = Space("P")
    G = P.operator("G")
    d, e = P.vectors("d e")
    g = -G(d)
    model = lambda x: P.inner(g, x) + P.inner(x, G(x)) / 2  # noqa: E731
    assert is_zero(model(d + e) - model(d) - P.inner(e, G(e)) / 2)
    assert is_zero(model(d) + P.inner(d, G(d)) / 2)
    for gamma, value in (((1, 1), -0.25), ((0, 1), 0.25)):
        numbers, bend = np.array(gamma, dtype=float), np.array([1.0, -2.0])
        z = damped(numbers, bend, np.asarray(0.0)).z
        assert numbers @ z + z @ (bend * z) / 2 == value
        far = np.array([0.0, 8.0])
        assert numbers @ far + far @ (bend * far) / 2 < -50  # unbounded below
    assert sp.Matrix([[1, 0], [0, 0]]).det() == 0  # and a singular H has no Newton step


@check(
    "identity",
    "every residual of 2 components in 3 parameters with two derivatives",
    proves=("C004-03",),
    given={"C004-04": "J_ij is the derivative of r_i by w_j"},
)
def hessian_of_least_squares():
    """H = J^T J + sum r_i r_i'' and g = J^T r with J_ij = dr_i/dw_j; with the indices exchanged the product has the size of the residuals."""
    w = vector("w", 3)
    r = sp.Matrix([
        sp.Symbol(f"c{i}") + (vector(f"b{i}", 3).T * w)[0] + (w.T * symmetric(f"A{i}", 3) * w)[0] / 2 for i in (0, 1)
    ])  # fmt: skip
    f, J = (r.T * r)[0] / 2, r.jacobian(list(w))
    assert zero(gradient(f, w) - J.T * r)
    second = sum((r[i] * sp.hessian(r[i], list(w)) for i in (0, 1)), sp.zeros(3))
    assert zero(sp.hessian(f, list(w)) - J.T * J - second)
    assert (J.T * J).shape == (3, 3)
    assert (J * J.T).shape == (2, 2)


# %% [markdown]
# ## Labels of the model, labels of the data
#
# In a conditional model the expectation over x is one over the data, that over y one over the *model*. For softmax with
# logits z it is $\mathrm{diag}(p) - pp^T$, which no y enters.


# %%
def softmax_fisher():
    """Return sum_c p_c (e_c - p)(e_c - p)^T for three classes."""
    p = sp.Matrix(P3)
    return sum((P3[i] * (E3[i] - p) * (E3[i] - p).T for i in range(3)), sp.zeros(3))


@check(
    "identity",
    "one logit and one input; softmax of 3 classes",
    proves=("C004-44",),
    refutes=("C004-44",),
    given={"C004-05": "a model of x"},
)
def fisher_has_labels_of_the_model():
    """E_p[ss^T] of a logit is p(1 - p) x^2 and of softmax J^T(diag p - pp^T)J; with labels y from the data it is (y - p)^2 x^2, another matrix."""
    p, x, q = sp.symbols("p x q", positive=True)
    fisher = p * ((1 - p) * x) ** 2 + (1 - p) * (p * x) ** 2
    assert is_zero(fisher - p * (1 - p) * x**2)
    with_data = q * ((1 - p) * x) ** 2 + (1 - q) * (p * x) ** 2
    assert is_zero(with_data - fisher - (q - p) * (1 - 2 * p) * x**2)
    assert not is_zero(with_data - fisher)
    assert is_zero((with_data - fisher).subs(q, p))
    column = sp.Matrix(P3)
    assert zero(softmax_fisher() - sp.diag(*P3) + column * column.T)


@check("counterexample", "softmax of 3 classes, every p; two independent sigmoids", refutes=("C004-53",))
def softmax_hessian_is_not_diagonal():
    """The Hessian of softmax is diag(p) - pp^T, singular; diag(p(1 - p)) differs by a matrix of trace 0, so is no bound; it is that of sigmoids."""
    z = vector("z", 3)
    total = sum(sp.exp(x) for x in z)
    p = sp.Matrix([sp.exp(x) / total for x in z])
    H = sp.hessian(sp.log(total) - z[0], list(z))
    assert zero(H - sp.diag(*p) + p * p.T)
    assert zero(H * sp.ones(3, 1))
    printed = sp.diag(*(x * (1 - x) for x in p))
    assert is_zero((printed - H).trace())
    half = {p1: R(1, 2), p2: R(1, 4)}
    difference = (sp.Matrix(P3) * sp.Matrix(P3).T - sp.diag(*(x**2 for x in P3))).subs(half)
    assert difference != sp.zeros(3)
    assert difference.trace() == 0  # a symmetric matrix, not zero, without trace: eigenvalues of both signs
    # its error in the norm of Frobenius, relative
    exact = softmax_fisher().subs(half)
    square = sum(x**2 for x in difference) / sum(x**2 for x in exact)
    assert R(3, 10) < square
    sigmoid = lambda x: 1 / (1 + sp.exp(-x))  # noqa: E731
    H = sp.hessian(sum(sp.log(1 + sp.exp(-x)) for x in z[:2]), list(z[:2]))
    assert zero(H - sp.diag(*(sigmoid(x) * (1 - sigmoid(x)) for x in z[:2])))


@check(
    "identity",
    "one active or inactive ReLU unit with one input and a bias; a network in integers",
    given={"C004-06": "F is regular", "C004-07": "F is positive definite"},
)
def relu_fisher_is_singular():
    """f = a relu(wx + b) has J t = 0 along t = (w, b, -a) at every x and every w: J^T J, F and the GGN of h units have h null vectors everywhere."""
    w, bias, weight, x = sp.symbols("w b a x", real=True)
    for f in (weight * (w * x + bias), sp.Integer(0)):  # active, inactive
        along = w * sp.diff(f, w) + bias * sp.diff(f, bias) - weight * sp.diff(f, weight)
        assert is_zero(along)
    net = gf.TwoLayerNet(2, 3, 2, scaling="standard", kernels="reference")
    x = np.array([[1.0, 2], [-3, 1], [2, -5]])
    theta = np.array([1.0, -2, 3, 3, 1, -2, -4, 5, 1, 2, 1, -1, 3, 2, 5])
    at = gf.Regression(net, x, np.ones((3, 2)), loss="half_sum").linearize(theta)
    W, out = net.unpack(theta)
    for j in range(3):
        tangent = np.zeros_like(theta)
        W_t, out_t = net.unpack(tangent)
        W_t[:, j], out_t[j, :] = W[:, j], -out[j, :]
        assert np.any(tangent)
        assert not np.any(at.jvp(np.concatenate([W_t.ravel(), out_t.ravel()])))


# %% [markdown]
# ## Metric and invariance
#
# F is the metric of a family of distributions, not its curvature: the normal family has the Gaussian curvature
# $-\tfrac12$, and $F^{-1} g$ makes no use of it.


# %%
def normal_metric():
    """Return F of N(mu, sigma^2) in (mu, sigma), from E z^2 = 1, E z^4 = 3 for z = (x - mu)/sigma."""
    moment = {0: 1, 1: 0, 2: 1, 3: 0, 4: 3}
    z = sp.Symbol("z")
    score = sp.Matrix([z / sigma, (z**2 - 1) / sigma])
    mean = lambda e: sum(k * moment[n[0]] for n, k in sp.Poly(sp.expand(e), z).terms())  # noqa: E731
    return (score * score.T).applyfunc(mean)


def christoffel(g, w):
    """Return Gamma^k_ij of a metric."""
    inverse, n = g.inv(), len(w)
    d = sp.diff
    return lambda k, i, j: sum(
        inverse[k, m] * (d(g[m, i], w[j]) + d(g[m, j], w[i]) - d(g[i, j], w[m])) / 2 for m in range(n)
    )


@check("identity", "the normal family; the exponential distribution", proves=("C004-08",), refutes=("C004-08",))
def the_metric_is_not_the_curvature():
    """The metric diag(1, 2)/sigma^2 of N(mu, sigma^2) has Gaussian curvature -1/2; that of the exponential distribution, one parameter w, is 1 in log w: flat."""
    g = normal_metric()
    assert zero(g - sp.diag(1, 2) / sigma**2)
    area = sp.sqrt(2) / sigma**2  # sqrt(det g)
    assert is_zero(area**2 - g.det())
    curvature = -sp.diff(sp.diff(g[0, 0], sigma) / area, sigma) / (2 * area)
    assert is_zero(curvature + R(1, 2))
    phi = sp.Symbol("phi", real=True)
    assert is_zero(sp.diff(sp.exp(phi), phi) ** 2 / sp.exp(phi) ** 2 - 1)


@check("identity", "the normal family", refutes=("C004-39",))
def the_hessian_is_not_the_connection():
    """For N(mu, sigma^2) the mean Hessian is F while Gamma is not 0; a Hessian takes a term in the second derivative of the coordinates, its covariant form the term -Gamma g."""
    z = sp.Symbol("z")
    x, m, s = sp.symbols("x m s", positive=True)
    minus_log = sp.log(s) + (x - m) ** 2 / (2 * s**2)
    H = sp.hessian(minus_log, [m, s]).subs(x, m + s * z)
    moment = {0: 1, 1: 0, 2: 1}
    mean = H.applyfunc(lambda e: sum(k * moment[n[0]] for n, k in sp.Poly(sp.expand(e), z).terms()))
    assert zero(mean - normal_metric().subs({mu: m, sigma: s}))
    gamma = christoffel(normal_metric(), [mu, sigma])
    assert is_zero(gamma(0, 0, 1) + 1 / sigma)
    assert is_zero(gamma(1, 0, 0) - 1 / (2 * sigma))
    assert is_zero(gamma(1, 1, 1) + 1 / sigma)
    # f(w) in w = y^2: a term f' w'' that no tensor has
    y = sp.Symbol("y", positive=True)
    f1, f2 = sp.symbols("f1 f2", real=True)
    quadratic = f1 * (y**2 - c) + f2 * (y**2 - c) ** 2 / 2
    bend = sp.diff(quadratic, y, 2).subs(c, y**2)
    assert is_zero(bend - f2 * (2 * y) ** 2 - 2 * f1)


@check("identity", "every metric in 2 coordinates", proves=("C004-40",))
def geodesics():
    """The equations of Euler and Lagrange of g_ij w'_i w'_j / 2 are g (w'' + Gamma w' w') = 0."""
    w, speed, force = vector("w"), vector("w'"), vector("w''")
    entries = [
        [sum(sp.Symbol(f"g{i}{j}{k}") * w[k] for k in (0, 1)) + sp.Symbol(f"g{i}{j}") for j in (0, 1)] for i in (0, 1)
    ]
    g = sp.Matrix([[entries[0][0], entries[0][1]], [entries[0][1], entries[1][1]]])
    energy = (speed.T * g * speed)[0] / 2
    gamma = christoffel(g, list(w))
    for i in (0, 1):
        momentum = sp.diff(energy, speed[i])
        rate = sum(sp.diff(momentum, w[k]) * speed[k] + sp.diff(momentum, speed[k]) * force[k] for k in (0, 1))
        covariant = sum(
            g[i, k] * (force[k] + sum(gamma(k, l, m) * speed[l] * speed[m] for l, m in product((0, 1), repeat=2)))
            for k in (0, 1)
        )
        assert is_zero(rate - sp.diff(energy, w[i]) - covariant)


@check(
    "identity",
    "every smooth family on 3 outcomes along a line; the Bernoulli family to third order",
    proves=("C004-09",),
)
def divergence_is_half_the_metric():
    """KL(p_w, p_{w + td}) = t^2 d^T F d / 2 + O(t^3); the third order of Bernoulli is not 0, and twice as large with the arguments exchanged."""
    d, e = vector("d"), vector("e")
    first, second = [*d, -d[0] - d[1]], [*e, -e[0] - e[1]]
    odds = sp.symbols("o1:4", positive=True)
    P = [o / sum(odds) for o in odds]  # every distribution without a zero
    moved = [P[i] + t * first[i] + t**2 * second[i] for i in range(3)]
    divergence = sum(P[i] * sp.log(P[i] / moved[i]) for i in range(3))
    fisher = sum(first[i] ** 2 / P[i] for i in range(3))  # sum p_i (p_i'/p_i)^2
    assert is_small(divergence - t**2 * fisher / 2, t, 3)
    z = sp.Symbol("z", real=True)
    p, q = 1 / (1 + sp.exp(-z)), 1 / (1 + sp.exp(-z - t))
    kl = lambda x, y: x * sp.log(x / y) + (1 - x) * sp.log((1 - x) / (1 - y))  # noqa: E731
    third = lambda e: sp.diff(e, t, 3).subs(t, 0)  # noqa: E731
    assert is_zero(third(kl(p, q)) - p * (1 - p) * (1 - 2 * p))
    assert is_zero(third(kl(q, p)) - 2 * third(kl(p, q)))


@check(
    "identity",
    "2 parameters; one parameter w = exp(v)",
    given={"C004-10": "of the natural gradient, the direction or the flow is meant"},
)
def invariance_of_steps():
    """Newton's step is invariant to w = Av; F^{-1}g is to the derivative of any map, at one point: a finite step in v = log w differs by a term in its square."""
    A = sp.Matrix(2, 2, sp.symbols("a11 a12 a21 a22", real=True))
    H, g = symmetric("H"), vector("g")
    # the same algebra for H under affine maps and for F under the derivative A of any map
    inverse = H.inv()
    assert zero((A.T * H * A) * (A.inv() * inverse * g) - A.T * g)
    # Newton's curvature under w = w(v) has one more term: f' w''
    y = sp.Symbol("y", real=True)
    f = u * (sp.exp(y) - c) + v * (sp.exp(y) - c) ** 2 / 2
    bend = sp.diff(f, y, 2).subs(c, sp.exp(y))
    assert is_zero(bend - v * sp.exp(2 * y) - u * sp.exp(y))
    # one step of size t along d in w, and along d/w in v = log w
    w, d = sp.symbols("w d", positive=True)
    gap = w * sp.exp(-t * d / w) - (w - t * d)
    assert is_small(gap, t, 2)
    assert not is_small(gap, t, 3)


@check(
    "identity",
    "2 parameters, diagonal rescalings; the counterexample in numbers",
    given={"C004-11": "no damping and a regular matrix"},
)
def invariance_and_damping():
    """Under w = Sv, S diagonal, the steps of B and of B + lambda diag(B) are invariant, that of B + lambda I is not."""
    B, g = symmetric("B"), vector("g")
    s1, s2 = sp.symbols("s1 s2", positive=True)
    S = sp.diag(s1, s2)
    steps = {
        "none": lambda M, h: M.inv() * h,
        "diagonal": lambda M, h: (M + lam * sp.diag(M[0, 0], M[1, 1])).inv() * h,
        "identity": lambda M, h: (M + lam * sp.eye(2)).inv() * h,
    }
    for name, step in steps.items():
        gap = S * step(S * B * S, S * g) - step(B, g)
        if name == "identity":
            assert not is_zero(
                gap.subs({B[0, 0]: 1, B[1, 1]: 1, B[0, 1]: 0, lam: 1, s1: 2, s2: 1, g[0]: 1, g[1]: 1})[0]
            )
        else:
            assert zero(gap)


# %% [markdown]
# ## When Gauss-Newton is the Fisher matrix
#
# For outputs z that are natural parameters, $-\log p = A(z) - z^T T(y)$: its Hessian in z has no y, and the generalised
# Gauss-Newton matrix $J^T A'' J$ *is* F, at every w and for any data. What needs a correct model at its optimum is
# another equality, that of F and the mean Hessian.


# %%
@check(
    "identity",
    "natural parameters on 3 outcomes; N(z, sigma^2); Bernoulli by its mean",
    given={"C004-12": "natural parameters as outputs, or a mean over labels of the model"},
)
def gauss_newton_is_fisher():
    """Natural parameters: A'' = Cov T for every y. N(z, sigma^2): F = J^T J/sigma^2. Bernoulli by its mean z: 1/(1 - z)^2 at y = 0, F = 1/(z(1 - z)) in the mean over y alone."""
    z, statistic = vector("z"), [vector(f"T{i}") for i in range(3)]
    weight = [sp.exp((z.T * T)[0]) for T in statistic]
    total = sum(weight)
    A = sp.hessian(sp.log(total), list(z))
    mean = sum((w * T for w, T in zip(weight, statistic, strict=True)), sp.zeros(2, 1)) / total
    fisher = sum((w * (T - mean) * (T - mean).T for w, T in zip(weight, statistic, strict=True)), sp.zeros(2)) / total
    assert zero(A - fisher)
    x, y = sp.symbols("x y", positive=True)
    assert is_zero(sp.diff((y - x) ** 2 / (2 * sigma**2), x, 2) - 1 / sigma**2)  # while J^T J has 1
    bend = [sp.diff(-sp.log(1 - x), x, 2), sp.diff(-sp.log(x), x, 2)]  # y = 0, y = 1
    fisher = 1 / (x * (1 - x))
    assert is_zero((1 - x) / (1 - x) ** 2 + x / x**2 - fisher)  # E s^2
    assert is_zero(bend[0] - 1 / (1 - x) ** 2)
    assert not is_zero(bend[0] - fisher)
    assert is_zero((1 - x) * bend[0] + x * bend[1] - fisher)


@check(
    "identity",
    "one sample: Bernoulli by its logit, Poisson by its logarithm, normal; Bernoulli by its odds",
    given={"C004-15": "the generalised Gauss-Newton matrix in the linear predictor, dispersion 1"},
)
def canonical_links():
    """Canonical link: the Hessian in z is W = d mu/dz = F for every y, while J^T J with r = mu - y has W^2. Odds as link: the Hessian depends on y and is negative at y = 0."""
    z, y = sp.symbols("z y", real=True)
    for A, variance in (
        (sp.log(1 + sp.exp(z)), sp.exp(z) / (1 + sp.exp(z)) ** 2),
        (sp.exp(z), sp.exp(z)),
        (z**2 / 2, sp.Integer(1)),
    ):
        W = sp.diff(A - z * y, z, 2)
        assert is_zero(W - variance)
        assert is_zero(sp.diff(sp.diff(A, z) - y, z) - W)  # J of the residual mu - y is W itself: J^T J = W^2
    x = sp.Symbol("x", positive=True)  # odds: p = x/(1 + x)
    no, yes = sp.log(1 + x), sp.log(1 + x) - sp.log(x)
    fisher = x / (1 + x) / x**2 / (1 + x) ** 2 + 1 / (1 + x) / (1 + x) ** 2
    assert is_zero(fisher - 1 / (x * (1 + x) ** 2))
    assert sp.diff(no, x, 2).is_negative
    assert not is_zero(sp.diff(yes, x, 2) - fisher)


@check(
    "identity",
    "every smooth family on 3 outcomes, one direction of w; Uniform(0, w)",
    given={
        "C004-37": "integral and derivatives may be exchanged",
        "C004-38": "integral and derivatives may be exchanged",
    },
)
def bartlett_identities():
    """E_p s = 0, E_p s^2 = F = E_p[-(log p)''] at every w, from sum p' = sum p'' = 0 alone. Uniform(0, w), whose support moves: E s = -1/w, F = 1/w^2, E[-(log p)''] = -1/w^2."""
    d, e = vector("d"), vector("e")
    first, second = [*d, -d[0] - d[1]], [*e, -e[0] - e[1]]
    score = [first[i] / P3[i] for i in range(3)]
    hessian = [score[i] ** 2 - second[i] / P3[i] for i in range(3)]  # (-log p)''
    w = sp.Symbol("w")
    for i in range(3):
        path = P3[i] + w * first[i] + w**2 * second[i] / 2
        assert is_zero(sp.diff(-sp.log(path), w, 2).subs(w, 0) - hessian[i])
    assert is_zero(sum(P3[i] * score[i] for i in range(3)))
    assert is_zero(sum(P3[i] * (hessian[i] - score[i] ** 2) for i in range(3)))
    w = sp.Symbol("w", positive=True)
    x = sp.Symbol("x", positive=True)
    mean = lambda e: sp.integrate(e / w, (x, 0, w))  # noqa: E731
    s = sp.diff(-sp.log(w), w)
    assert is_zero(mean(s) + 1 / w)
    assert is_zero(mean(s**2) - 1 / w**2)
    assert is_zero(mean(-sp.diff(s, w)) + 1 / w**2)


@check(
    "identity",
    "every smooth family on 3 outcomes and every q, one direction of w; the exponential distribution of mean w",
    proves=("C004-13",),
)
def mean_hessian_under_the_data():
    """E_q[-(log p)''] - F is a sum of (q_i - p_i) h_i: 0 for data of the model at its w. Exponential distribution: (2 w* - w)/w^3, which is F = 1/w^2 at w = w* and nowhere else."""
    d, e, q = vector("d"), vector("e"), vector("q")
    first, second, data = [*d, -d[0] - d[1]], [*e, -e[0] - e[1]], [*q, 1 - q[0] - q[1]]
    hessian = [(first[i] / P3[i]) ** 2 - second[i] / P3[i] for i in range(3)]
    fisher = sum(first[i] ** 2 / P3[i] for i in range(3))
    gap = sum(data[i] * hessian[i] for i in range(3)) - fisher
    assert is_zero(gap - sum((data[i] - P3[i]) * hessian[i] for i in range(3)))
    w, star, x = sp.symbols("w w_star x", positive=True)
    H = sp.diff(sp.log(w) + x / w, w, 2)
    mean = H.subs(x, star)  # H is affine in x
    assert is_zero(mean - (2 * star - w) / w**3)
    assert is_zero(mean.subs(star, w) - 1 / w**2)
    assert is_zero(mean - 1 / w**2 - 2 * (star - w) / w**3)


@check(
    "counterexample",
    "residuals (w, 1 + c w^2) at their minimum w = 0; a mean over labels of the model",
    refutes=("C004-14",),
)
def neglected_term_at_the_optimum():
    """r = (w, 1 + cw^2) has its minimum at w = 0 with J^T J = 1 and H = 1 + 2c: the neglected term is 2c. Its mean vanishes if that of r does."""
    w = sp.Symbol("w", real=True)
    r = sp.Matrix([w, 1 + c * w**2])
    f, J = (r.T * r)[0] / 2, r.diff(w)
    at = lambda e: e.subs(w, 0)  # noqa: E731
    assert is_zero(at(sp.diff(f, w)))
    assert is_zero(at((J.T * J)[0]) - 1)
    assert is_zero(at(sp.diff(f, w, 2)) - 1 - 2 * c)
    assert r.subs(w, 0) != sp.zeros(2, 1)
    # E_p of sum_i (d loss / dz_i) z_i'' is 0, as the score in z has mean 0 (softmax: e_y - p)
    p = sp.Matrix(P3)
    assert zero(sum((P3[i] * (E3[i] - p) for i in range(3)), sp.zeros(3, 1)))


@check(
    "counterexample",
    "two residuals w - y1, w^2 - y2 with N(0, 1) errors; every smooth mean of a normal family; the three canonical families",
    refutes=("C004-17",),
    given={"C004-17": "a normal family, and data whose mean residual times the second derivative of the mean is not 0"},
)
def misspecified_models():
    """Regression by w and w^2 on means 3 and 0 has its optimum at w = 1 with H = 7, F = 5; for canonical families H = F whatever the data."""
    w = sp.Symbol("w", real=True)
    f = ((w - 3) ** 2 + w**4) / 2
    J = sp.Matrix([1, 2 * w])
    assert sp.diff(f, w).subs(w, 1) == 0
    assert sp.diff(f, w, 2).subs(w, 1) == 7
    assert (J.T * J)[0].subs(w, 1) == 5
    z, y = sp.symbols("z y", real=True)
    for A in (sp.log(1 + sp.exp(z)), sp.exp(z), z**2 / 2):
        assert not sp.diff(A - z * y, z, 2).has(y)
    # a mean f(w) and any data: H - F = E[f - y] f'', which is 0 for data of the right mean and any wrong variance
    f0, f1, f2, mean = sp.symbols("f0 f1 f2 m", real=True)
    path = f0 + w * f1 + w**2 * f2 / 2
    hessian = sp.diff((path - y) ** 2 / 2, w, 2).subs(w, 0).subs(y, mean)  # affine in y
    assert is_zero(hessian - f1**2 - (f0 - mean) * f2)


@check("identity", "every J of 2 residuals and 3 parameters; one sample, widths 1 to 8", refutes=("C004-16",))
def gauss_newton_has_no_kernel_as_limit():
    """J^T J and JJ^T have the same nonzero spectrum, in sizes P and N; with growing width the first grows and its entries vanish, and the output layer alone has half of the kernel."""
    J = sp.Matrix(2, 3, sp.symbols("j0:6", real=True))
    x = sp.Symbol("x")
    big, small = (J.T * J).charpoly(x).as_expr(), (J * J.T).charpoly(x).as_expr()
    assert is_zero(sp.expand(big - x * small))
    # f = h^{-1/2} sum_j a_j w_j x with a_j = w_j = x = 1: ReLU units that are active
    for h in (1, 2, 4, 8):
        w, out = sp.symbols(f"w0:{h}", real=True), sp.symbols(f"a0:{h}", real=True)
        f = sum(x * y for x, y in zip(w, out, strict=True)) / sp.sqrt(h)
        J = sp.Matrix([f]).jacobian([*w, *out]).subs(dict.fromkeys([*w, *out], 1))
        assert sp.Matrix([[2]]) == J * J.T
        assert J[:, h:] * J[:, h:].T == sp.Matrix([[1]])  # the output layer
        assert sp.ones(2 * h, 2 * h) / h == J.T * J


@check(
    "squares",
    "2 and 3 residuals, one direction; N equal residuals",
    given={"C004-20": "L is the Lipschitz constant of J in the operator norm"},
)
def bound_of_the_neglected_term():
    """(sum r_i h_i)^2 <= |r|^2 |h|^2 with h_i = v^T r_i'' v: the constant is that of J in the operator norm. With L = max |r_i''| it fails: r_i = 1 + w^2/2 gives N > sqrt(N)."""
    for n in (2, 3):
        r, h = vector("r", n), vector("h", n)
        gap = (r.T * r)[0] * (h.T * h)[0] - (r.T * h)[0] ** 2
        assert is_sum_of_squares(gap, [(1, r[i] * h[j] - r[j] * h[i]) for i in range(n) for j in range(i)])
    w, N = sp.Symbol("w", real=True), 4
    r = sp.Matrix([1 + w**2 / 2] * N)
    term = (r.T * r.diff(w, 2))[0].subs(w, 0)
    length = sp.sqrt((r.T * r)[0].subs(w, 0))
    assert (term, length) == (4, 2)  # L = max |r_i''| = 1
    assert term == sp.sqrt(N) * length  # J = w (1, ..., 1) has the constant sqrt(N)


# %% [markdown]
# ## Estimators
#
# For N samples an estimate is enumerated: every choice of labels or of a batch, with its probability.


# %%
@check(
    "identity",
    "one logit, n = 1 to 3 labels from the model; labels from any data",
    proves=("C004-108",),
    refutes=("C004-108",),
    given={"C004-19": "labels drawn from the model"},
)
def empirical_fisher_and_its_bias():
    """With labels from the model the mean of s^2 is F and its variance Var(s^2)/n; with labels from q the mean is F + (q - p)(1 - 2p), for every n."""
    p, q = sp.symbols("p q", positive=True)
    square = {0: p**2, 1: (1 - p) ** 2}  # s = y - p
    fisher = p * (1 - p)
    spread = p * square[1] ** 2 + (1 - p) * square[0] ** 2 - fisher**2
    for n in (1, 2, 3):
        for chance in (p, q):
            mean = second = sp.Integer(0)
            for labels in product((0, 1), repeat=n):
                weight = sp.prod([chance if y else 1 - chance for y in labels])
                estimate = sum(square[y] for y in labels) / sp.Integer(n)
                mean, second = mean + weight * estimate, second + weight * estimate**2
            assert is_zero(mean - fisher - (chance - p) * (1 - 2 * p))
            if chance is p:
                assert is_zero(second - mean**2 - spread / n)
    # the mean of the model, and the root of its variance, at p = 1/4: 1/sqrt(n) is attained
    assert not is_zero(spread.subs(p, R(1, 4)))


@check("counterexample", "squared loss, 2 residuals, 2 parameters", refutes=("C004-51",))
def empirical_fisher_scales_with_the_residual():
    """For a squared loss the mean of g_i g_i^T is J^T diag(r^2) J/N: residuals a thousand times smaller shrink it 10^6 times, while F = J^T J/N stays."""
    J, r = sp.Matrix(2, 2, sp.symbols("j0:4", real=True)), vector("r")
    empirical = sum((r[i] ** 2 * J[i, :].T * J[i, :] for i in (0, 1)), sp.zeros(2)) / 2
    assert zero(empirical - J.T * sp.diag(r[0] ** 2, r[1] ** 2) * J / 2)
    smaller = empirical.subs({r[0]: r[0] / 1000, r[1]: r[1] / 1000}, simultaneous=True)
    assert zero(10**6 * smaller - empirical)
    assert not zero(empirical - J.T * J / 2)


@check("identity", "3 samples, 2 parameters", refutes=("C004-50",))
def variants_of_the_empirical_fisher():
    """The centred one is the standard one minus the outer product of the mean; the 'natural' one, with p(y|x) for p(x), is the standard one."""
    g = [vector(f"g{i}") for i in range(3)]
    mean = sum(g, sp.zeros(2, 1)) / 3
    standard = sum((x * x.T for x in g), sp.zeros(2)) / 3
    centred = sum(((x - mean) * (x - mean).T for x in g), sp.zeros(2)) / 3
    assert zero(centred - standard + mean * mean.T)
    natural = sum(((-x) * (-x).T for x in g), sp.zeros(2)) / 3  # gradients of log p(y_i|x_i) = -loss_i
    assert zero(natural - standard)


@check(
    "identity",
    "Bernoulli, N = 1 to 3 samples",
    given={"C004-42": "an unbiased estimate from one sample, in a regular family"},
)
def cramer_rao_of_samples():
    """The mean of N labels is unbiased with variance 1/(N F), below 1/F for N > 1."""
    p = sp.Symbol("p", positive=True)
    fisher = p * (1 / p) ** 2 + (1 - p) * (1 / (1 - p)) ** 2
    for n in (1, 2, 3):
        mean = second = sp.Integer(0)
        for labels in product((0, 1), repeat=n):
            weight = sp.prod([p if y else 1 - p for y in labels])
            mean, second = mean + weight * R(sum(labels), n), second + weight * R(sum(labels), n) ** 2
        assert is_zero(mean - p)
        assert is_zero(second - mean**2 - 1 / (n * fisher))


@check("identity", "every smooth family on 3 outcomes and every q; the loss -p", given={"C004-43": "the loss -log p"})
def weighted_fisher():
    """For -log p the mean Hessian under q is E_q[s^2] - E_q[p''/p], and the last term vanishes for q = p; for the loss -p there is no Fisher term."""
    d, e, q = vector("d"), vector("e"), vector("q")
    first, second, data = [*d, -d[0] - d[1]], [*e, -e[0] - e[1]], [*q, 1 - q[0] - q[1]]
    w = sp.Symbol("w")
    paths = [P3[i] + w * first[i] + w**2 * second[i] / 2 for i in range(3)]
    bend = sum(data[i] * sp.diff(-sp.log(paths[i]), w, 2).subs(w, 0) for i in range(3))
    fisher = sum(data[i] * (first[i] / P3[i]) ** 2 for i in range(3))
    bias = -sum(data[i] * second[i] / P3[i] for i in range(3))
    assert is_zero(bend - fisher - bias)
    assert is_zero(bias.subs({q[0]: p1, q[1]: p2}))
    other = sum(data[i] * sp.diff(-paths[i], w, 2).subs(w, 0) for i in range(3))
    assert is_zero(other + sum(data[i] * second[i] for i in range(3)))  # no square of p'


@check("identity", "the exponential distribution; the variance for 1 to 3 samples of two values", refutes=("C004-45",))
def bias_of_the_sample_hessian():
    """At a fixed w the mean of the sample Hessian does not depend on n: its bias is 0 or a constant; at the estimate of the rate it is 1/(n rate^2). Its variance is Var(H)/n."""
    w, m, x, rate, n = sp.symbols("w m x lambda n", positive=True)
    fixed = sp.diff(sp.log(w) + x / w, w, 2).subs(x, m)  # of the mean of any number of samples: affine in x
    assert is_zero(fixed - 1 / w**2 - 2 * (m - w) / w**3)
    H = sp.diff(-sp.log(rate) + rate * x, rate, 2)  # 1/rate^2, without x
    assert is_zero(H - 1 / rate**2)
    plug_in = m**2 / n + m**2  # E of (sample mean)^2 = 1/(estimate of the rate)^2
    assert is_zero(plug_in.subs(m, 1 / rate) - 1 / rate**2 - 1 / (n * rate**2))
    p, values = sp.Symbol("p", positive=True), sp.symbols("h0 h1", real=True)
    for size in (1, 2, 3):
        chances = [
            (sp.prod([(1 - p, p)[i] for i in which]), sum(values[i] for i in which) / sp.Integer(size))
            for which in product((0, 1), repeat=size)
        ]
        mean = sum(weight * x for weight, x in chances)
        variance = sum(weight * x**2 for weight, x in chances) - mean**2
        assert is_zero(variance - p * (1 - p) * (values[1] - values[0]) ** 2 / size)


@check(
    "identity",
    "linear regression in one parameter, 3 samples, any variance of each",
    refutes=("C004-46",),
    given={"C004-18": "the covariance of the estimate is meant"},
)
def sandwich_of_a_regression():
    """Var w = sum x^2 s^2/(sum x^2)^2 = A^{-1} B A^{-1}/N with B = mean of E g^2; with the Fisher matrix of the model in the middle it is 1/sum x^2, which has no variance in it."""
    x, spread = sp.symbols("x1:4", positive=True), sp.symbols("s1:4", positive=True)
    N = 3
    total = sum(k**2 for k in x)
    variance = sum((k / total) ** 2 * s**2 for k, s in zip(x, spread, strict=True))  # w = sum x y / sum x^2
    A, B = total / N, sum(k**2 * s**2 for k, s in zip(x, spread, strict=True)) / N
    assert is_zero(variance - B / A**2 / N)
    model = A  # F of N(w x, 1) is the mean of x^2
    assert is_zero(model / A**2 / N - 1 / total)
    assert not is_zero(variance - model / A**2 / N)
    assert is_zero((variance - model / A**2 / N).subs(dict.fromkeys(spread, 1)))


@check(
    "counterexample",
    "Poisson regression by a constant, any data",
    given={"C004-47": "F is the mean of g g^T over the data"},
)
def comparing_hessian_and_fisher_sees_nothing():
    """Poisson by its logarithm: H = F = mu for any data, overdispersed or not; the mean of s^2 at the optimum is the variance of the data, and differs from F where it is not mu."""
    z, y, spread, m = sp.symbols("z y V m", positive=True)
    H = sp.diff(sp.exp(z) - z * y, z, 2)
    assert is_zero(H - sp.exp(z))  # F, and no y
    second = m**2 + spread  # E y^2 for mean m and variance V
    squares = second - 2 * m * m + m**2  # E (y - mu)^2 at mu = m
    assert is_zero(squares - spread)


@check("identity", "E_i(w) = a_i + b_i w + c_i w^2/2 on 3 states", proves=("C004-41",), refutes=("C004-41",))
def thermal_hessian():
    """For p = exp(-beta E)/Z: (log Z)'' = beta^2 Var(E') - beta mean(E''), so that the mean Hessian of -log p is the Fisher matrix beta^2 Var(E')."""
    w, beta = sp.Symbol("w", real=True), sp.Symbol("beta", positive=True)
    heights, slopes, bends = vector("a", 3), vector("b", 3), vector("c", 3)
    energy = [heights[i] + slopes[i] * w + bends[i] * w**2 / 2 for i in range(3)]
    weight = [sp.exp(-beta * e) for e in energy]
    Z = sum(weight)
    mean = lambda f: sum(weight[i] * f[i] for i in range(3)) / Z  # noqa: E731
    force = [sp.diff(e, w) for e in energy]
    variance = mean([f**2 for f in force]) - mean(force) ** 2
    second = sp.diff(sp.log(Z), w, 2)
    at = lambda e: e.subs(w, 0)  # noqa: E731  # any w: the coefficients are arbitrary
    assert is_zero(at(second - beta**2 * variance + beta * mean(list(bends))))
    hessian = [beta * bends[i] + second for i in range(3)]
    assert is_zero(at(mean(hessian) - beta**2 * variance))


# %% [markdown]
# ## Making a curvature definite
#
# Clipping, loading and absolute values act on eigenvalues. The published loop around Cholesky's factorization is run as
# printed.


# %%
@check("squares", "2 eigenvalues, every orthonormal basis; equality in numbers", proves=("C004-23", "C004-24"))
def clipped_and_loaded():
    """U max(Lambda, eps) U^T >= eps I and G + lambda I >= (lambda + lambda_min) I, as sums of squares of coefficients; at lambda = -lambda_min it is singular."""
    x, y = vector("z")  # coefficients in the basis
    eps, more = sp.Symbol("eps", positive=True), sp.symbols("m1 m2", nonnegative=True)
    clipped = (eps + more[0]) * x**2 + (eps + more[1]) * y**2  # max(lambda_i, eps) = eps + m_i
    assert is_sum_of_squares(clipped - eps * (x**2 + y**2), [(more[0], x), (more[1], y)])
    least, shift = sp.Symbol("l", real=True), sp.Symbol("s", positive=True)
    loaded = (least + (shift - least)) * x**2 + (least + more[0] + (shift - least)) * y**2  # lambda = s - lambda_min
    assert is_sum_of_squares(loaded, [(shift, x), (shift + more[0], y)])
    assert (sp.diag(-1, 2) + sp.eye(2)).det() == 0


@check("counterexample", "matrices in small integers, exact in float64", refutes=("C004-21",))
def the_cholesky_loop():
    """The printed loop does not end for a shift that starts at 0, overshoots 1 by a factor 10, and takes a matrix that is not symmetric for a good one."""

    def loop(G, diag_shift, most=100):
        for n in range(most):
            try:
                np.linalg.cholesky(G + diag_shift * np.eye(2))
            except np.linalg.LinAlgError:
                diag_shift *= 10
            else:
                return n, diag_shift
        return most, diag_shift

    assert loop(np.diag([1.0, -1.0]), 0.0) == (100, 0.0)  # 10 * 0 = 0: the state repeats
    assert loop(np.diag([1.0, -1.0]), 1.0) == (1, 10.0)  # every number above 1 is enough
    assert loop(np.array([[1.0, 99.0], [0.0, 1.0]]), 0.0) == (0, 0.0)  # the lower triangle alone is read


@check("counterexample", "a residual that does not feel one parameter", given={"C004-22": "the matrices are regular"})
def marquardt_scaling_may_be_singular():
    """J = (1, 0): J^T J + lambda diag(J^T J) is singular for every lambda, J^T J + lambda I is not; so is the running maximum of the diagonal unless an earlier J had a second entry; `CurvatureDiagonal` puts a floor under the diagonal."""
    J = sp.Matrix([[1, 0]])
    B = J.T * J
    assert (B + lam * sp.diag(B[0, 0], B[1, 1])).det() == 0
    assert is_zero((B + lam * sp.eye(2)).det() - lam * (1 + lam))
    # the running maximum of Moré from (1, before): before = 0 for a unit that is dead from the start
    before = sp.Symbol("b", positive=True)
    for least, determinant in ((0, 0), (before, lam * before * (1 + lam))):
        assert is_zero((B + lam * sp.diag(sp.Max(1, B[0, 0]), sp.Max(least, B[1, 1]))).det() - determinant)
    problem = gf.DenseLeastSquares(lambda w: w[:1] - 2, lambda w: np.array([[1.0, 0.0]]))
    model = gf.curvature.GaussNewton().at(problem, np.zeros(2))
    metric = gf.curvature.CurvatureDiagonal(floor=2.0**-20)
    assert metric.running
    assert metric.weights(model, metric.start(model.theta)).tolist() == [1.0, 2.0**-20]  # the floor, not the maximum
    assert metric.weights(model, np.array([1.0, 0.5])).tolist() == [1.0, 0.5]  # felt in an earlier step
    new = gf.solve(problem, gf.LevenbergMarquardt(), np.zeros(2), steps=1).theta
    assert np.all(np.isfinite(new))
    assert new[1] == 0


@check(
    "counterexample",
    "diagonal matrices",
    proves=("C004-54",),
    refutes=("C004-54",),
    given={
        "C004-49": "H is regular, for |H|; alpha small enough, for the combination",
        "C004-66": "semi-definite is meant, 0 <= alpha <= 1",
    },
)
def corrected_hessians():
    """H = diag(1, -1): H^+ is singular and gives no step along the second axis, |H| does; 9/10 H + 1/10 F is indefinite for F = diag(1, 0); alpha = -1/2 makes H = I, F = diag(1, 0) indefinite."""
    H, F = sp.diag(1, -1), sp.diag(1, 0)
    positive, absolute = sp.diag(1, 0), sp.diag(1, 1)
    assert positive.det() == 0
    assert positive.pinv() * sp.Matrix([1, 1]) == sp.Matrix([1, 0])
    assert absolute.inv() * sp.Matrix([1, 1]) == sp.Matrix([1, 1])
    mixed = R(9, 10) * H + R(1, 10) * F
    assert mixed == sp.diag(1, R(-9, 10))
    alpha = R(-1, 2)  # a ratio of actual to predicted decrease may be negative, or exceed 1
    assert alpha * sp.eye(2) + (1 - alpha) * F == sp.diag(1, R(-1, 2))
    alpha = R(3, 2)
    assert alpha * F + (1 - alpha) * sp.eye(2) == sp.diag(1, R(-1, 2))
    # the mixture with H^+ is semi-definite, and singular where both matrices are
    assert (R(1, 2) * F + R(1, 2) * positive).det() == 0
    x, s, k = vector("x"), vector("s"), vector("k")
    share, rest = sp.symbols("alpha beta", positive=True)  # alpha, 1 - alpha
    form = (x.T * (share * s * s.T + rest * mu * k * k.T) * x)[0]  # F = ss^T, H^+ = mu kk^T
    assert is_sum_of_squares(form, [(share, (s.T * x)[0]), (rest * mu, (k.T * x)[0])])


@check("squares", "any number of scores, one direction; one normal sample", proves=("C004-48", "C004-55"))
def fisher_is_a_mean_of_squares():
    """v^T F v = sum p_i (s_i . v)^2 needs scores alone and is never negative; the Hessian of -log N(mu, sigma^2) at x = mu has the entry -1/sigma^2."""
    scores, x = [vector(f"s{i}") for i in range(2)], vector("v")
    p, q = sp.symbols("p q", nonnegative=True)
    F = p * scores[0] * scores[0].T + q * scores[1] * scores[1].T
    along = [(s.T * x)[0] for s in scores]
    assert is_sum_of_squares((x.T * F * x)[0], [(p, along[0]), (q, along[1])])
    y, m = sp.symbols("x m", real=True)
    bend = sp.diff(sp.log(sigma) + (y - m) ** 2 / (2 * sigma**2), sigma, 2).subs(y, m)
    assert is_zero(bend + 1 / sigma**2)


# %% [markdown]
# ## What the model buys
#
# Local rates are multipliers of an error near a minimum; costs are counted.


# %%
@check(
    "identity",
    "one parameter, residuals (w, 1 + c w^2)",
    given={"C004-27": "the error tends to 0 along the steps, for superlinear convergence"},
)
def rate_of_gauss_newton():
    """w - f'/G multiplies the error by 1 - H/G: linearly for a fixed G, superlinearly if and only if G -> H. Gauss-Newton: -2c, so that the minimum repels it for c > 1/2."""
    w, G = sp.Symbol("w", real=True), sp.Symbol("G", positive=True)
    H = sp.Symbol("H", real=True)
    assert is_zero(sp.diff(w - (H * w + v * w**2) / G, w).subs(w, 0) - (1 - H / G))
    f = (w**2 + (1 + c * w**2) ** 2) / 2
    B = 1 + (2 * c * w) ** 2
    rate = sp.diff(w - sp.diff(f, w) / B, w).subs(w, 0)
    assert is_zero(rate + 2 * c)
    assert sp.diff(f, w, 2).subs({w: 0, c: 1}) == 3  # a minimum
    assert rate.subs(c, 1) == -2


@check(
    "counterexample",
    "condition numbers in symbols; 2 eigenvalues",
    refutes=("C004-25",),
    given={"C004-25": "an upper bound for conjugate gradients, times 2, in the energy norm"},
)
def rate_of_conjugate_gradients():
    """1 - 2/(sqrt(k) + 1) = (sqrt(k) - 1)/(sqrt(k) + 1). Conjugate gradients end after 2 steps for 2 eigenvalues of any ratio; steepest descent then has (k - 1)/(k + 1)."""
    k = sp.Symbol("k", positive=True)
    assert is_zero(1 - 2 / (sp.sqrt(k) + 1) - (sp.sqrt(k) - 1) / (sp.sqrt(k) + 1))
    A, rhs = sp.diag(1, k), sp.Matrix([k, 1])
    x, r = sp.zeros(2, 1), rhs
    p = r
    lengths = []
    for _ in range(2):
        step = (r.T * r)[0] / (p.T * A * p)[0]
        x, new = x + step * p, r - step * A * p
        p, r = new + (new.T * new)[0] / (r.T * r)[0] * p, new
        lengths.append(r)
    assert not zero(lengths[0])
    assert zero(lengths[1])
    assert zero(A * x - rhs)
    # the bound: the polynomial T_n(map of [1, k] to [-1, 1]), 1 at 0, is at most 1/T_n((k + 1)/(k - 1)) on [1, k]
    root, x = sp.symbols("q x", positive=True)  # root = sqrt(k)
    rate = (root - 1) / (root + 1)
    for n in (1, 2, 3):
        assert is_zero(sp.chebyshevt(n, x) ** 2 + (1 - x**2) * sp.chebyshevu(n - 1, x) ** 2 - 1)
        value = sp.chebyshevt(n, (root**2 + 1) / (root**2 - 1))
        assert is_zero(value - (rate**n + rate**-n) / 2)  # at least rate^-n / 2
    # exact line search on x^2 + k y^2 from (k, 1): the error is multiplied by (k - 1)/(k + 1)
    g = A * sp.Matrix([k, 1])
    moved = sp.Matrix([k, 1]) - (g.T * g)[0] / (g.T * A * g)[0] * g
    assert zero(moved - (k - 1) / (k + 1) * sp.Matrix([k, -1]))


class Counted:
    """A number that counts multiplications."""

    times = 0

    def __init__(self, value):
        self.value = value

    def __mul__(self, other):
        Counted.times += 1
        return Counted(self.value * other.value)

    def __sub__(self, other):
        return Counted(self.value - other.value)


@check(
    "arithmetic",
    "n = 1 to 6; an energy in 5 parameters",
    refutes=("C004-56",),
    given={"C004-26": "a dense matrix that is there"},
)
def costs_of_a_solve():
    """Cholesky: (n^3 - n)/6 products; a product with a dense matrix n^2; `HessianModel.matrix` takes n products with H; the outer products of N gradients take N n^2."""
    for n in range(1, 7):
        Counted.times = 0
        L = [[Counted(Fraction(1)) for _ in range(n)] for _ in range(n)]
        for j in range(n):
            for i in range(j, n):
                for k in range(j):
                    L[i][j] = L[i][j] - L[i][k] * L[j][k]
        assert Counted.times == (n**3 - n) // 6
        Counted.times = 0
        for i, j in product(range(n), repeat=2):
            L[i][j] * L[j][i]
        assert Counted.times == n**2
    calls = []

    def hvp(w, d):
        calls.append(1)
        return 3 * w**2 * d

    problem = gf.FunctionProblem(lambda w: (w @ w**3) / 4, lambda w: w**3, hvp=hvp)
    model = gf.curvature.Hessian().at(problem, np.arange(5.0))
    assert model.matrix().tolist() == np.diag([0.0, 3, 12, 27, 48]).tolist()
    assert len(calls) == 5
    # the empirical Fisher matrix of N samples: N gradients and N n^2 products for the outer products
    gradients = [[Counted(Fraction(i + j)) for j in range(5)] for i in range(3)]
    Counted.times = 0
    for g in gradients:
        for i, j in product(range(5), repeat=2):
            g[i] * g[j]
    assert Counted.times == 3 * 5**2


# %% [markdown]
# ## Kronecker factors


# %%
@check("arithmetic", "every layer; three networks in numbers", refutes=("C004-28",))
def storage_of_kronecker_factors():
    """A layer of m by k weights has mk parameters and factors of m^2 + k^2 = 2mk + (m - k)^2 numbers: never fewer, and of their order for square layers alone."""
    m, k = sp.symbols("m k", positive=True)
    assert is_sum_of_squares(m**2 + k**2 - 2 * m * k, [(1, m - k)])
    assert (785 * 100, 785**2 + 100**2) == (78500, 626225)
    assert (50 * 1, 50**2 + 1**2) == (50, 2501)
    assert (100 * 100, 100**2 + 100**2) == (10**4, 2 * 10**4)


@check("identity", "factors of 2 by 2; damping in diagonal factors", proves=("C004-29",))
def inverse_of_a_kronecker_product():
    """(A x B)^{-1} = A^{-1} x B^{-1}; with lambda I added the inverse is exact in the eigenbases, with a_i b_j + lambda, which (a_i + s)(b_j + s), s^2 = lambda, is not."""
    A, B = sp.Matrix(2, 2, sp.symbols("a0:4")), sp.Matrix(2, 2, sp.symbols("b0:4"))
    kron = sp.kronecker_product
    assert zero(kron(A, B) * kron(A.inv(), B.inv()) - sp.eye(4))
    x, y, s = sp.symbols("x y s", positive=True)
    assert is_zero((x + s) * (y + s) - (x * y + s**2) - s * (x + y))
    eigen = kron(sp.diag(x, 1), sp.diag(y, 1)) + lam * sp.eye(4)
    assert zero(eigen - sp.diag(x * y + lam, x + lam, y + lam, 1 + lam))


@check(
    "counterexample",
    "one hidden unit with one input and two samples; one sample and linear units in symbols",
    given={"C004-30": "one layer, and one sample or equal derivatives by its outputs"},
)
def kronecker_factors_are_exact_sometimes():
    """E[(d d^T) x (x x^T)] = E[d d^T] x E[x x^T] for one sample, or d the same for all (linear units, squared loss); with ReLU and x = 2, -1 the two are 2 and 5/4."""
    d, x = vector("d"), [vector("x"), vector("y")]
    kron = sp.kronecker_product
    assert zero(kron(d, x[0]) * kron(d, x[0]).T - kron(d * d.T, x[0] * x[0].T))
    whole = sum((kron(d, y) * kron(d, y).T for y in x), sp.zeros(4)) / 2
    assert zero(whole - kron(d * d.T, (x[0] * x[0].T + x[1] * x[1].T) / 2))
    slope = {2: 1, -1: 0}  # of relu(wx), w > 0; a = 1
    exact = sum(R(slope[y] ** 2 * y**2, 2) for y in slope)
    factors = sum(R(slope[y] ** 2, 2) for y in slope) * sum(R(y**2, 2) for y in slope)
    assert (exact, factors) == (2, R(5, 4))


@check("counterexample", "two layers of one unit; three layers of one unit", refutes=("C004-57",))
def fisher_is_dense_across_layers():
    """f = a w x and f = w3 w2 w1 x: every entry of J^T J between two layers differs from 0, the corner of the three layers too: neither block-diagonal nor tridiagonal."""
    w = sp.symbols("w1:4", positive=True)
    x = sp.Symbol("x", positive=True)
    for f, parameters in ((w[0] * w[1] * x, w[:2]), (w[0] * w[1] * w[2] * x, w)):
        J = sp.Matrix([f]).jacobian(list(parameters))
        assert all(entry.is_positive for entry in J.T * J)


# %% [markdown]
# ## Updates, sketches, low rank


# %%
@check("identity", "2 parameters", proves=("C004-31",))
def bfgs_update():
    """The printed matrix is symmetric, maps s to y, and has det B+ = det B (y.s)/(s.Bs), s^T B+ s = y.s: positive if and only if y.s > 0 (B > 0)."""
    B, s, y = symmetric("B"), vector("s"), vector("y")
    curve, length = (y.T * s)[0], (s.T * B * s)[0]
    new = B + y * y.T / curve - B * s * s.T * B / length
    assert zero(new - new.T)
    assert zero(new * s - y)
    assert is_zero(new.det() - B.det() * curve / length)
    assert is_zero((s.T * new * s)[0] - curve)


@check(
    "identity",
    "3 parameters, sketches of 2 columns; expectations by enumeration",
    refutes=("C004-32",),
    given={"C004-33": "the factor that makes E[S S^T] = I"},
)
def sketched_step():
    """S^T H S has the size d of the sketch: the step is -S(S^T H S)^{-1} S^T g, stationary in the range of S, and the same for cS. E[SS^T] = I needs the scaling of each sketch."""
    H = sp.Matrix([[3, 1, 0], [1, 2, 1], [0, 1, 5]])
    S, g = sp.Matrix([[1, a], [b, 1], [2, c]]), vector("g", 3)
    step = lambda T: -T * (T.T * H * T).inv() * T.T * g  # noqa: E731
    assert (S.T * H * S).shape == (2, 2)
    assert zero(S.T * (H * step(S) + g))
    assert zero(step(lam * S) - step(S))
    # one sign in a random column of each of 2 rows
    mean = sp.zeros(2)
    for where, signs in product(product((0, 1), repeat=2), product((1, -1), repeat=2)):
        T = sp.zeros(2)
        for i in (0, 1):
            T[i, where[i]] = signs[i]
        mean += T * T.T / 16
    assert mean == sp.eye(2)
    # entries -1, 0, 1 with probabilities 1/6, 2/3, 1/6: 2 rows, 1 column; E is 1/3, hence the factor sqrt(3)
    chance, mean = {-1: R(1, 6), 0: R(2, 3), 1: R(1, 6)}, sp.zeros(2)
    for x, y in product(chance, repeat=2):
        mean += chance[x] * chance[y] * sp.Matrix([x, y]) * sp.Matrix([[x, y]])
    assert mean == sp.eye(2) / 3
    # one of the n = 2 columns of a signed Hadamard matrix, orthonormal: E is 1/n, hence sqrt(n/d)
    mean = sp.zeros(2)
    for signs, column in product(product((1, -1), repeat=2), (0, 1)):
        column = (sp.diag(*signs) * sp.Matrix([[1, 1], [1, -1]]) / sp.sqrt(2))[:, column]
        mean += column * column.T / 8
    assert mean == sp.eye(2) / 2


@check("identity", "2 dimensions, 2 matrices", proves=("C004-34",), refutes=("C004-34",))
def pool_of_gaussians():
    """The product of N(0, G_i^{-1})^{alpha_i} has the precision sum alpha_i G_i: a pool of densities of a step, not a prior of matrices."""
    G, x = [symmetric("G"), symmetric("K")], vector("x")
    shares = sp.symbols("alpha1 alpha2", positive=True)
    exponent = sum(k * (x.T * M * x)[0] / 2 for k, M in zip(shares, G, strict=True))
    assert zero(sp.hessian(exponent, list(x)) - shares[0] * G[0] - shares[1] * G[1])


@check(
    "counterexample",
    "2 experts: 100 rounds in exact fractions; one round with any weights and losses of 0 or 1",
    refutes=("C004-35",),
    given={"C004-35": "exponential weights are meant, and losses of 0 or 1"},
)
def following_the_leader():
    """Losses (1, 0), (0, 1), ... with the leader followed, ties to the first: regret T/2. Exponential weights of factor 9/10 on the same losses: less than 3/2."""
    T, factor = 100, Fraction(9, 10)
    totals, weights = [0, 0], [Fraction(1), Fraction(1)]
    followed = weighted = Fraction(0)
    for n in range(T):
        loss = ((1, 0), (0, 1))[n % 2]
        followed += loss[0 if totals[0] <= totals[1] else 1]
        weighted += (weights[0] * loss[0] + weights[1] * loss[1]) / sum(weights)
        totals = [x + y for x, y in zip(totals, loss, strict=True)]
        weights = [w * factor**x for w, x in zip(weights, loss, strict=True)]
    best = min(totals)
    assert followed - best == T // 2
    assert 0 < weighted - best < Fraction(3, 2)
    # a round: the sum of the weights is multiplied by 1 - (1 - f) p.loss, so f^best <= K exp(-(1 - f) sum of p.loss)
    w, f = sp.symbols("w1:3", positive=True), sp.Symbol("f", positive=True)
    for loss in product((0, 1), repeat=2):
        suffered = sum(x * y for x, y in zip(w, loss, strict=True)) / sum(w)
        after = sum(x * f**y for x, y in zip(w, loss, strict=True))
        assert is_zero(after - sum(w) * (1 - (1 - f) * suffered))


@check("identity", "2 by 2 with an orthonormal eigenvector", proves=("C004-61",))
def low_rank_and_damping():
    """For orthonormal U: (U S U^T + lambda I)^{-1} = (I - U diag(s/(s + lambda)) U^T)/lambda; without lambda a matrix of lower rank is singular."""
    U = sp.Matrix([R(3, 5), R(4, 5)])
    assert (U.T * U)[0] == 1
    s = sp.Symbol("s", positive=True)
    low = s * U * U.T
    inverse = (sp.eye(2) - s / (s + lam) * U * U.T) / lam
    assert zero((low + lam * sp.eye(2)) * inverse - sp.eye(2))
    assert is_zero(low.det())


@check("identity", "3 parameters, one column; a zero column", given={"C004-62": "a pseudo-inverse of F_SS"})
def nystrom():
    """With one column chosen: exact for rank 1, and F - F_S F_SS^{-1} F_S^T is the Schur complement, not negative for F >= 0. F = diag(0, 1) with the first column has F_SS = 0: a pseudo-inverse, and nothing is captured."""
    g = vector("g", 3)
    F = g * g.T
    assert zero(F[:, 0] * F[0, :] / F[0, 0] - F)
    s = vector("s", 3)
    F = g * g.T + s * s.T
    rest = F - F[:, 0] * F[0, :] / F[0, 0]
    x = vector("x", 3)
    # a square: the residual of rank 1 is w w^T / F_00 with w = g_0 s - s_0 g
    w = g[0] * s - s[0] * g
    assert is_zero((x.T * rest * x)[0] - (x.T * w)[0] ** 2 / (g[0] ** 2 + s[0] ** 2))
    F = sp.diag(0, 1)
    assert F[0, 0] == 0
    assert F[:, 0] * sp.Matrix([[F[0, 0]]]).pinv() * F[0, :] == sp.zeros(2)


# %% [markdown]
# ## Averages and samples


# %%
@check(
    "identity",
    "3 samples, batches of 2 with replacement; three steps of the average",
    proves=("C004-58",),
    refutes=("C004-58",),
)
def moving_averages():
    """The two printed averages are one with beta and 1 - beta exchanged. From 0 a constant is multiplied by 1 - beta^t. The outer product of a batch mean has the mean (EF + (B - 1) gg^T)/B."""
    beta, F, x = sp.symbols("beta F x", positive=True)
    first = beta * F + (1 - beta) * x
    second = (1 - beta) * F + beta * x
    assert is_zero(first.subs(beta, 1 - beta) - second)
    assert not is_zero(first - second)
    value = sp.Integer(0)
    for n in (1, 2, 3):
        value = beta * value + (1 - beta) * x
        assert is_zero(value - (1 - beta**n) * x)
    g = [vector(f"g{i}") for i in range(3)]
    mean = sum(g, sp.zeros(2, 1)) / 3
    empirical = sum((y * y.T for y in g), sp.zeros(2)) / 3
    batches = sum(((y + z) * (y + z).T / 4 for y, z in product(g, repeat=2)), sp.zeros(2)) / 9
    assert zero(batches - (empirical + mean * mean.T) / 2)


@check("identity", "N = 2 and 3 samples, |S| = 1 and 2 draws with replacement", refutes=("C004-59",))
def importance_sampling():
    """The printed sum over |S| draws has the mean |S| F: a factor 1/|S| is missing; with inclusion probabilities it is right. The second moment sum g^4/p_i is least for p_i ~ g_i^2."""
    for N, draws in ((2, 1), (2, 2), (3, 2)):
        square = sp.symbols(f"q0:{N}", positive=True)  # g_i^2
        chance = sp.symbols(f"p0:{N}", positive=True)
        mean = sum(
            sp.prod([chance[i] for i in which]) * sum(square[i] / (N * chance[i]) for i in which)
            for which in product(range(N), repeat=draws)
        )
        last = {chance[-1]: 1 - sum(chance[:-1])}
        assert is_zero((mean - draws * sum(square) / N).subs(last))
    # each sample in S with probability p_i, one or none: unbiased as printed
    x, y, p, q = sp.symbols("x y p q", positive=True)
    included = p * q * (x / (2 * p) + y / (2 * q)) + p * (1 - q) * x / (2 * p) + (1 - p) * q * y / (2 * q)
    assert is_zero(included - (x + y) / 2)
    # (x^2/p + y^2/(1 - p)) - (x + y)^2 = (x(1 - p) - yp)^2 / (p(1 - p)), zero at p = x/(x + y)
    gap = x**2 / p + y**2 / (1 - p) - (x + y) ** 2
    assert is_zero(gap - (x * (1 - p) - y * p) ** 2 / (p * (1 - p)))


@check(
    "identity",
    "strata of 2 and 1 samples; the values 0, 1 and 1/2",
    given={"C004-60": "the weights N_h/N and draws in proportion to N_h"},
)
def stratified_sampling():
    """One draw from each stratum is unbiased with the weights N_h/N, and has no variance where a stratum is constant; the plain mean of the draws is biased. Strata (0, 1) and (1/2): the variance is 1/9, and 1/12 for two uniform draws."""
    x, y, z = sp.symbols("x y z", real=True)
    full = (x + y + z) / 3
    draws = [(R(1, 2), x, z), (R(1, 2), y, z)]
    assert is_zero(sum(w * (R(2, 3) * s + R(1, 3) * l) for w, s, l in draws) - full)
    assert not is_zero(sum(w * (s + l) / 2 for w, s, l in draws) - full)
    assert is_zero((R(2, 3) * x + R(1, 3) * z - full).subs(y, x))
    values = [R(0), R(1), R(1, 2)]
    stratified = [R(2, 3) * values[i] + R(1, 3) * values[2] for i in (0, 1)]
    uniform = [(values[i] + values[j]) / 2 for i, j in product(range(3), repeat=2)]
    spread = lambda found: sum(v**2 for v in found) / len(found) - (sum(found) / len(found)) ** 2  # noqa: E731
    assert spread(stratified) == R(1, 9)
    assert spread(uniform) == R(1, 12)


@check(
    "identity",
    "two outcomes; 2 draws for the estimate and its control",
    given={"C004-63": "labels of the model, and E F_0 known"},
)
def control_variates():
    """The estimate is unbiased with labels of the model; with a control it is if and only if E F0^ = F0, the variance is least at c = Cov/Var, and the result may be negative."""
    p, x, y, m, k = sp.symbols("p x y m k", real=True)
    chance = (p, 1 - p)
    estimate, control = (x, y), (m, k)
    mean = lambda f: sum(w * e for w, e in zip(chance, f, strict=True))  # noqa: E731
    F0 = sp.Symbol("F0")
    corrected = [e + c * (F0 - d) for e, d in zip(estimate, control, strict=True)]
    assert is_zero(mean(corrected) - mean(estimate) - c * (F0 - mean(control)))
    spread = mean([e**2 for e in corrected]) - mean(corrected) ** 2
    slope = sp.diff(spread, c)
    covariance = mean([e * d for e, d in zip(estimate, control, strict=True)]) - mean(estimate) * mean(control)
    variance = mean([d**2 for d in control]) - mean(control) ** 2
    assert is_zero(slope - 2 * (c * variance - covariance))
    # a parabola in c: at the best c the variance is less by Cov^2/Var
    without = mean([e**2 for e in estimate]) - mean(estimate) ** 2
    assert is_zero(sp.expand(spread - without + 2 * c * covariance - c**2 * variance))
    assert is_zero(sp.expand(variance - p * (1 - p) * (m - k) ** 2))
    # c = 1, F0 = 1 the mean of (0, 2): the second value of (0, 1/2) becomes -1/2
    values = {p: R(1, 2), x: 0, y: R(1, 2), m: 0, k: 2, F0: 1, c: 1}
    assert [e.subs(values) for e in corrected] == [1, R(-1, 2)]


@check("identity", "2 nodes with 2 and 1 samples", proves=("C004-64",))
def data_parallel_fisher():
    """F = sum n_j F_j / N with N = sum n_j, if F_j is the mean of node j; of local sums it is not."""
    g = [vector(f"g{i}") for i in range(3)]
    outer = [x * x.T for x in g]
    full = (outer[0] + outer[1] + outer[2]) / 3
    local = [(outer[0] + outer[1]) / 2, outer[2]]
    assert zero((2 * local[0] + local[1]) / 3 - full)
    assert not zero((2 * 2 * local[0] + local[1]) / 3 - full)


@check(
    "identity",
    "the losses of the library, in float64 numbers that are exact; every loss of 2 outputs in symbols",
    proves=("C004-52",),
)
def gauss_newton_of_a_composite():
    """f(w) = l(z(w)): H = J^T l'' J + sum l_i z_i''. For |r|^2/2, l'' = I; for a loss c^2 |r|^2/2 it is c^2 I, for |r|^2 2I."""
    w = vector("w")
    z = sp.Matrix([c * w[0] + w[0] * w[1], w[1] ** 2 + a * w[0]])
    x = vector("x")
    form = symmetric("A")
    loss = (vector("b").T * x)[0] + (x.T * form * x)[0] / 2
    at = dict(zip(x, z, strict=True))
    f, J = loss.subs(at), z.jacobian(list(w))
    slopes = gradient(loss, x).subs(at)
    second = sum((slopes[i] * sp.hessian(z[i], list(w)) for i in (0, 1)), sp.zeros(2))
    assert zero(sp.hessian(f, list(w)) - J.T * form * J - second)
    direction = np.array([[1.0, -2.0]])
    for scale in (1.0, 2.0):
        assert ScaledResidual(np.zeros((1, 2)), scale).curvature(direction, direction).tolist() == [
            [scale**2, -2 * scale**2]
        ]
    assert zero(sp.hessian((x.T * x)[0], list(x)) - 2 * sp.eye(2))
