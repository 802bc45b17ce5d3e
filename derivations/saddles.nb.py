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
# # Saddles
#
# How a saddle is recognised, what the Hessian of a ReLU network is, and what its symmetry conserves. The methods that leave
# saddles have derivations of their own: negative-curvature descent, perturbed gradient descent, second-order methods.

# %%
from itertools import pairwise

import numpy as np
import sympy as sp

import gradflow as gf
from gradflow.kernels import reference
from gradflow.proofs import check, follows
from gradflow.schemes.gradient_descent import gradient_descent_update
from gradflow.symbolic import is_zero, symbols

# %% [markdown]
# ## The smallest eigenvalue
#
# The source's method is power iteration with H itself: from a random v, test $\mu = v^T H v < -\varepsilon$, replace v by
# $Hv/|Hv|$. With components $z_i$ of the start along the eigenvectors,
#
# $$\mu_n = \frac{\sum_i \lambda_i^{2n+1} z_i^2}{\sum_i \lambda_i^{2n} z_i^2}.$$
#
# On $\mathrm{diag}(-1, 0, 1, \dots, 10)$ the numerator is at least $10^{2n+1} z_{10}^2 - z_{-1}^2$. It is negative only if
# $|z_{-1}| > 10^{n+1/2}\,|z_{10}|$, for n = 0 already a rare event. The shifted iteration, with $sI - H$ and $s = 10$, has the
# factors 11 and at most 10, and the Lanczos process is invariant under shifts.


# %%
def from_the_source(d, z, iterations, tolerance=0):
    """Return whether the source's iteration reports a negative curvature of diag(d) from the start z."""
    for _ in range(iterations):
        Hz = [a * b for a, b in zip(d, z, strict=True)]
        if sum(a * b for a, b in zip(z, Hz, strict=True)) < -tolerance * sum(a * a for a in z):
            return True
        z = Hz
    return False


@check("counterexample", "diag(-1, 0, ..., 10) and diag(-1, 1), exact numbers")
def power_iteration_does_not_find_a_negative_eigenvalue():
    """C004-90: from a start with equal components the source's iteration never reports -1; on diag(-1, 1) it is at 0 for ever."""
    d = [-1, *range(11)]
    assert not from_the_source(d, [sp.Integer(1)] * 12, 50)
    assert not from_the_source([-1, 1], [sp.Integer(1)] * 2, 50)
    n = sp.Symbol("n", integer=True, nonnegative=True)
    a, b, c = sp.symbols("a b c", nonnegative=True)  # squares of the components at -1, at 10, and the rest of the sum
    # the numerator -a + 10^(2n+1) b + c is negative only if a > 10 b, for every n
    q = sp.Symbol("q", positive=True)  # 10^(2n)
    assert follows(-a + 10 * q * b + c >= 0, [q >= 1, a <= 10 * b])
    assert (10 ** (2 * n)).is_positive
    # of the shifted operator 10 I - H, the eigenvalue of -1 is the largest in absolute value
    assert max((abs(10 - x), x == -1) for x in d) == (11, True)


@check("run", "diag(-1, 0, ..., 10), 200 random starts, at most 400 iterations")
def shifted_power_and_lanczos_find_it():
    """C004-90: the source's iteration finds -1 from 0 of 200 random starts, shifted by 10 from 200, Lanczos from 200."""
    d = np.array([-1.0, *range(11)])
    quadratic = gf.FunctionProblem(lambda t: t @ (d * t) / 2, lambda t: d * t, lambda t, v: d * v)
    model = gf.curvature.Hessian().at(quadratic, np.ones(12))
    starts = [np.random.default_rng(seed).standard_normal(12) for seed in range(200)]
    assert sum(from_the_source(d, z / np.linalg.norm(z), 100, 1e-3) for z in starts) == 0
    pairs = [gf.curvature.shifted_power_iteration(model, 10.0, 200, seed=seed) for seed in range(200)]
    assert all(abs(pair.value + 1) < 1e-3 for pair in pairs)
    unshifted = [gf.curvature.shifted_power_iteration(model, 0.0, 400, seed=seed) for seed in range(200)]
    assert all(abs(pair.value - 10) < 1e-3 for pair in unshifted)
    found = [gf.curvature.extreme_eigenvalues(model, "smallest", seed=seed) for seed in range(200)]
    assert all(abs(one.smallest.value + 1) < 1e-9 for one in found)


@check("decision procedure", "all real numbers")
def the_bound_follows_from_the_theorem():
    """If the estimates are eps of the spread away from both ends, then (3) of the module; 1/(k (k + 1)) sums to 1."""
    low, high, first, last = sp.symbols("low high first last", real=True)
    eps = sp.Symbol("eps", positive=True)
    assumed = [eps < sp.Rational(1, 2), first <= low + eps * (high - low), last >= high - eps * (high - low)]
    assumed += [low <= first, first <= last, last <= high]
    assert follows((low - first) * (1 - 2 * eps) >= -eps * (last - first), assumed)
    k = sp.Symbol("k", integer=True, positive=True)
    assert sp.summation(1 / (k * (k + 1)), (k, 1, sp.oo)) == 1
    x, n, delta = sp.symbols("x n delta", positive=True)  # x = (2k - 1) sqrt(eps), n = k (k + 1) sqrt(P)
    solved = sp.solve(sp.Eq(sp.Rational(1648, 1000) * n * sp.exp(-x), delta / 2), x)
    assert is_zero(solved[0] - sp.log(sp.Rational(3296, 1000) * n / delta))


# %% [markdown]
# ## The Chebyshev iteration
#
# `chebyshev_iteration` makes $y_k = T_k(x(G))z$ with $x(\lambda) = (K - \delta' - 2\lambda)/(K + \delta')$, $\delta' = 3\delta/4$.
# Let $W'$ be the share of $|y_k|^2$, in units of $|z|^2$, of the eigenvalues in $[-\delta', K]$, and $W''$ that of those below. Then
# $W' \le 1$ and $W'' \ge \gamma$, and the quotient is at most $(KW' - \delta'W'')/(W' + W'')$.


# %%
@check("decision procedure", "all real numbers; the recursion on a symbol in place of the operator, six terms")
def the_chebyshev_bound():
    """(5) and (6): the quotient is at most (K - delta' gamma)/(1 + gamma), and that is at most -delta/2 for gamma >= (4 K + 2 delta)/delta."""
    K, delta, gamma = sp.symbols("K delta gamma", positive=True)
    inside, below, quotient = sp.symbols("W1 W2 q", real=True)
    assumed = [
        inside >= 0,
        inside <= 1,
        below >= gamma,
        quotient * (inside + below) <= K * inside - 3 * delta / 4 * below,
    ]
    assert follows(quotient * (1 + gamma) <= K - 3 * delta / 4 * gamma, assumed)
    enough = [gamma * delta >= 4 * K + 2 * delta, quotient * (1 + gamma) <= K - 3 * delta / 4 * gamma]
    assert follows(quotient <= -delta / 2, enough)
    x, lam = sp.Symbol("x"), sp.Symbol("lambda", real=True)
    of = (K - 3 * delta / 4 - 2 * lam) / (K + 3 * delta / 4)
    assert is_zero(of.subs(lam, -3 * delta / 4) - 1)
    assert is_zero(of.subs(lam, K) + 1)
    assert is_zero(
        of.subs(lam, -delta) - 1 - delta / 2 / (K + 3 * delta / 4)
    )  # the number of iterations has this increment
    terms = [sp.Integer(1), x]
    for _ in range(4):
        terms.append(sp.expand(2 * x * terms[-1] - terms[-2]))
    assert all(is_zero(term - sp.chebyshevt(k, x)) for k, term in enumerate(terms))
    # a uniform point of the sphere of 3 dimensions: Pr{z_1^2 < s^2} = s <= s (6/pi)^(1/2); of 2: 2 asin(s)/pi <= s, as asin is convex
    assert sp.sqrt(6 / sp.pi) > 1
    assert sp.sqrt(4 / sp.pi) > 1


@check("run", "diag(-1, 0, ..., 10): the quotients that the iteration sees, against Chebyshev polynomials")
def the_chebyshev_iteration_runs_the_recursion():
    """The vectors that are multiplied are multiples of T_k(x(d)) z, in order, and the last of them is returned."""
    d, seen = np.array([-1.0, *range(11)]), []
    quadratic = gf.FunctionProblem(
        lambda t: t @ (d * t) / 2, lambda t: d * t, lambda t, v: seen.append(v.copy()) or d * v
    )
    model = gf.curvature.Hessian().at(quadratic, np.ones(12))
    pair = gf.curvature.chebyshev_iteration(model, 10.0, 1.0, seed=2)
    assert pair.value <= -0.5
    assert len(seen) > 3
    x = (10 - 0.75 - 2 * d) / 10.75
    for k, y in enumerate(seen):
        wanted = np.polynomial.chebyshev.Chebyshev.basis(k)(x) * seen[0]
        assert np.allclose(y, wanted / np.linalg.norm(wanted), atol=1e-12)
        assert (y @ (d * y) <= -0.5) == (k == len(seen) - 1)
    assert np.allclose(pair.vector, seen[-1])


# %% [markdown]
# ## Differences of gradients
#
# $Av = (|v|/r)\,(g(\theta + rv/|v|) - g(\theta))$. Along the segment, $g(\theta + ru) - g = \int_0^r H(\theta + su)u\,ds$ for a unit
# vector u, and $|H(\theta + su)u - Hu| \le \rho s$: the error is at most $\int_0^r \rho s\,ds/r = \rho r/2$.


# %%
@check("identity", "the integral; a cubic energy on which the bound is attained, with the class that runs")
def the_error_of_a_difference():
    """(2): rho r/2, attained for E = rho theta^3/6 at 0; on a quadratic there is no error."""
    s, r, rho = sp.symbols("s r rho", positive=True)
    assert is_zero(sp.integrate(rho * s, (s, 0, r)) / r - rho * r / 2)
    cubic = gf.FunctionProblem(lambda t: t[0] ** 3 / 6, lambda t: t * t / 2, lambda t, v: t * v)
    for radius in (0.5, 0.25):
        model = gf.curvature.GradientDifferences(radius).at(cubic, np.zeros(1))
        assert float(model.apply(np.ones(1))[0]) == model.error(1.0) == radius / 2
    flat = gf.FunctionProblem(lambda t: -t @ t / 2, lambda t: -t)
    assert np.array_equal(
        gf.curvature.GradientDifferences(0.5).at(flat, np.zeros(2)).apply(np.array([0.0, 4.0])), [0, -4]
    )


@check(
    "argument", "every k; the matrix inequality |F| <= 2^(1/2) |L| for symmetric F with the lower triangle of L, k = 3"
)
def the_eigenvalues_from_differences():
    """(3): T - V^* H V has the entries (v_i, e_j) of the errors on and below the diagonal, |e_j| <= rho r/2: its norm is at most (k/2)^(1/2) rho r."""
    E = sp.Matrix(3, 3, lambda i, j: sp.Symbol(f"e{i}{j}", real=True))
    F = sp.Matrix(3, 3, lambda i, j: E[max(i, j), min(i, j)])
    frobenius = sum(x**2 for x in F)
    lower = sum(E[i, j] ** 2 for i in range(3) for j in range(i + 1))
    assert is_zero(2 * lower - frobenius - sum(E[i, i] ** 2 for i in range(3)))
    k, rho, r = sp.symbols("k rho r", positive=True)
    assert is_zero(sp.sqrt(2 * k * (rho * r / 2) ** 2) - sp.sqrt(k / 2) * rho * r)


# %% [markdown]
# ## The Hessian of a ReLU network
#
# Almost everywhere the slopes $s_{ij} \in \{0, 1\}$ of the activation are locally constant, and the outputs
# $f_i = \sum_j s_{ij}\,(w_j \cdot x_i)\, a_j$ are bilinear in $w_j$, which includes the bias, and $a_j$. Let $\delta_i$ be the
# derivative of the loss by $f_i$ and $\Lambda_i = R_i^T R_i \ge 0$ its second derivative, for a convex loss. Along $(V, b)$,
#
# $$D^2E = \sum_i |R_i \dot f_i|^2 + 2\sum_j v_j^T C_j b_j, \qquad C_j = \sum_i s_{ij}\, x_i\, \delta_i^T. \tag{1}$$
#
# The functions that run, `gradflow.kernels.reference`, give $D^2E$ here, for any constants $s_{ij}$: leaky ReLU is included.


# %%
def network(N=2, D=1, m=2, k=2):
    """Return X, W, a, slopes, delta, R as arrays of symbols."""

    def make(name, *shape):
        return symbols(name, int(np.prod(shape))).reshape(shape)

    return (
        make("x", N, D + 1),
        make("w", D + 1, m),
        make("a", m, k),
        make("s", N, m),
        make("delta", N, k),
        make("r", N, k, k),
    )


def products(X, W, a, slope, delta, R, V, b):
    """Return f_dot, (N, k), and the parts of the Hessian along (V, b), by the kernels."""
    S = slope * (X @ W)
    S_dot = reference.tangent(X, V, slope)
    f_dot = S_dot @ a + S @ b
    delta_dot = np.stack([R[i].T @ (R[i] @ f_dot[i]) for i in range(len(X))])
    G_dot = reference.tangent_sensitivity(delta, delta_dot, a, b, slope, None)
    H = reference.tangent_gradient(X, G_dot, S, S_dot, delta, delta_dot)
    return f_dot, *reference.unpack(H, W.shape[0], W.shape[1], a.shape[1])


def of_neurons(X, slope, delta):
    """Return the matrices C_j of (1)."""
    return [X.T @ (slope[:, j : j + 1] * delta) for j in range(slope.shape[1])]


def square(R, f_dot):
    """Return the first sum of (1)."""
    return sum((R[i] @ f_dot[i]) @ (R[i] @ f_dot[i]) for i in range(len(R)))


SIZES = "2 samples, 1 input and bias, 2 neurons, 2 outputs, every slope, weight and convex loss"


@check("squares", SIZES)
def layer_blocks_are_semidefinite():
    """C004-91: along (V, 0) and along (0, b) the second derivative is a sum of squares: both layer blocks are semi-definite."""
    X, W, a, slope, delta, R = network()
    V, b = symbols("v", W.size).reshape(W.shape), symbols("b", a.size).reshape(a.shape)
    f_dot, H_V, _ = products(X, W, a, slope, delta, R, V, 0 * b)
    assert is_zero(np.sum(V * H_V) - square(R, f_dot))
    f_dot, _, H_b = products(X, W, a, slope, delta, R, 0 * V, b)
    assert is_zero(np.sum(b * H_b) - square(R, f_dot))


@check("identity", SIZES)
def the_rest_couples_the_layers_of_each_neuron():
    """(1): the second derivative is the Gauss-Newton part and 2 sum_j v_j^T C_j b_j."""
    X, W, a, slope, delta, R = network()
    V, b = symbols("v", W.size).reshape(W.shape), symbols("b", a.size).reshape(a.shape)
    f_dot, H_V, H_b = products(X, W, a, slope, delta, R, V, b)
    rest = sum(V[:, j] @ C @ b[j] for j, C in enumerate(of_neurons(X, slope, delta)))
    assert is_zero(np.sum(V * H_V) + np.sum(b * H_b) - square(R, f_dot) - 2 * rest)


def negative(H):
    """Return the number of negative eigenvalues of a symmetric matrix: by Descartes' rule, exact as all roots are real."""
    x = sp.Symbol("x")
    flipped = [c for c in sp.Poly(H.charpoly(x).as_expr().subs(x, -x), x).all_coeffs() if c != 0]
    return sum(bool(one * other < 0) for one, other in pairwise(flipped))


@check("argument", "every matrix C_j; the eigenvalues of S by an example, in exact numbers")
def number_of_negative_eigenvalues():
    """C004-87: H >= S, and S has the eigenvalues +- sigma of each C_j: by Courant and Fischer, at most sum_j rank C_j <= m min(D + 1, k) are negative."""
    # [[0, C], [C^T, 0]] maps (u, +-v) to +-sigma (u, +-v) for a singular triple C v = sigma u, C^T u = sigma v, and vanishes
    # on the rest: there are rank C negative eigenvalues, and H - S is a sum of squares by (1).
    C = sp.Matrix([[3, 0], [4, 5]])
    S = sp.Matrix(sp.BlockMatrix([[sp.zeros(2), C], [C.T, sp.zeros(2)]]))
    values = sorted(S.eigenvals(multiple=True))
    wanted = sorted(sign * sigma for sigma in C.singular_values() for sign in (1, -1))
    assert all(is_zero(x - y) for x, y in zip(values, wanted, strict=True))
    assert negative(S) == C.rank() == 2


# %% [markdown]
# ## At a stationary point
#
# The gradient of neuron j is $g_{w_j} = C_j a_j$, $g_{a_j} = C_j^T w_j$. With one output, $C_j$ is a vector and $a_j$ a number: at a
# stationary point $C_j = 0$ unless $a_j = 0$. **With one output, every smooth stationary point with a negative eigenvalue has it in
# the block of one neuron**, one with $a_j = 0$ and $C_j \ne 0$. With more outputs this is false: two equal neurons may move
# against each other, so that no output changes to first order, which neither can do alone.


# %%
def integers(X, W, a, delta):
    """Return slopes, the gradient and the Hessian of half the sum of squares, by the kernels, as exact matrices."""
    X, W, a, delta = (np.array(u, dtype=object) for u in (X, W, a, delta))
    Z = X @ W
    assert all(z != 0 for z in Z.flat)
    slope = np.where(Z > 0, sp.Integer(1), sp.Integer(0)).astype(object)
    R = np.stack([np.array(sp.eye(a.shape[1]).tolist(), dtype=object)] * len(X))
    rows = []
    for i in range(W.size + a.size):
        e = np.array([sp.Integer(int(j == i)) for j in range(W.size + a.size)], dtype=object)
        V, b = reference.unpack(e, *W.shape, a.shape[1])
        _, H_V, H_b = products(X, W, a, slope, delta, R, V, b)
        rows.append([*H_V.reshape(-1), *H_b.reshape(-1)])
    G = reference.slope_times(delta, a, slope)
    return slope, reference.gradient(X, G, slope * Z, delta), sp.Matrix(rows)


def blocks(H, m, D, k):
    """Return the blocks of the two layers and those of the neurons."""
    first = (D + 1) * m
    layers = H[:first, :first], H[first:, first:]
    rows = [[*range(j, first, m), *range(first + j * k, first + (j + 1) * k)] for j in range(m)]
    return layers, [H.extract(r, r) for r in rows]


@check("arithmetic", "3 samples on a line, 2 neurons that are constant on them, one output")
def a_saddle_of_a_relu_network():
    """A saddle with 2 = m negative eigenvalues: the layer blocks are semi-definite, the neuron blocks are not."""
    X = [[-1, 1], [0, 1], [1, 1]]
    W, a = [[0, 0], [1, 2]], [[0], [0]]
    delta = [[1], [0], [-1]]  # f = 0, the targets are -1, 0, 1
    _, g, H = integers(X, W, a, delta)
    assert all(x == 0 for x in g)
    layers, neurons = blocks(H, 2, 1, 1)
    assert negative(H) == 2
    assert [negative(block) for block in layers] == [0, 0]
    assert [negative(block) for block in neurons] == [1, 1]


@check("identity", "one output, every loss; z3 for the block of a neuron")
def with_one_output_a_neuron_shows_it():
    """At a stationary point with one output, C_j a_j = 0; if a_j = 0 and C_j != 0, the block of neuron j is indefinite."""
    X, W, a, slope, delta, R = network(N=2, D=1, m=1, k=1)
    (C,) = of_neurons(X, slope, delta)
    S = slope * (X @ W)
    g = reference.gradient(X, reference.slope_times(delta, a, slope), S, delta)
    g_w, g_a = reference.unpack(g, 2, 1, 1)
    assert is_zero(np.sum((g_w - C @ a[0][:, None]) ** 2))
    assert is_zero(g_a[0, 0] - (C.T @ W)[0, 0])
    # for a = 0, along (-t C, b): 2 v^T C b + |S b|^2 q = -2 t b |C|^2 + b^2 q, negative for large t
    V, b, t = C, np.array([[sp.Symbol("b")]]), sp.Symbol("t", positive=True)
    f_dot, H_V, H_b = products(X, W, 0 * a, slope, delta, R, -t * V, b)
    form = np.sum(-t * V * H_V) + np.sum(b * H_b)
    assert is_zero(form - square(R, f_dot) + 2 * t * b[0, 0] * np.sum(C * C))
    assert is_zero(sp.diff(square(R, f_dot), t))


@check("counterexample", "3 samples on a line, two equal neurons, two outputs, exact numbers")
def with_two_outputs_no_neuron_need_show_it():
    """C004-91: a stationary point with a negative eigenvalue at which all layer blocks and all neuron blocks are semi-definite."""
    eps = sp.Rational(1, 4)
    X = [[-1, 1], [0, 1], [1, 1]]
    W, a = [[0, 0], [1, 1]], [[1, 0], [1, 0]]
    delta = [[0, -eps], [0, 0], [0, eps]]
    _, g, H = integers(X, W, a, delta)
    assert all(x == 0 for x in g)
    layers, neurons = blocks(H, 2, 1, 2)
    assert negative(H) > 0
    assert [negative(block) for block in (*layers, *neurons)] == [0, 0, 0, 0]


# %% [markdown]
# ## The symmetry
#
# $(w_j, a_j) \to (\alpha w_j, a_j/\alpha)$, $\alpha > 0$, changes no output. With $t_j = (w_j, -a_j)$:


# %%
@check("identity", SIZES)
def gauge_vectors():
    """C004-85, -86: J t_j = 0, (t_j, g) = 0 and H t_j = (-g_w, g_a) of neuron j: null vectors of J everywhere, of H where g = 0."""
    X, W, a, slope, delta, R = network()
    S = slope * (X @ W)
    g = reference.gradient(X, reference.slope_times(delta, a, slope), S, delta)
    g_W, g_a = reference.unpack(g, *W.shape, a.shape[1])
    for j in range(2):
        V, b = 0 * W, 0 * a
        V[:, j], b[j] = W[:, j], -a[j]
        f_dot, H_V, H_b = products(X, W, a, slope, delta, R, V, b)
        assert all(is_zero(x) for x in f_dot.flat)
        assert is_zero(W[:, j] @ g_W[:, j] - a[j] @ g_a[j])
        wanted_V, wanted_b = 0 * W, 0 * a
        wanted_V[:, j], wanted_b[j] = -g_W[:, j], g_a[j]
        assert all(is_zero(x) for x in (H_V - wanted_V).flat)
        assert all(is_zero(x) for x in (H_b - wanted_b).flat)


@check("identity", SIZES + "; M a multiple of the identity")
def the_flow_conserves_the_difference_of_squares():
    """C004-86: |w_j|^2 - |a_j|^2 is conserved by the flow; a step of explicit Euler adds dt^2 (|g_w|^2 - |g_a|^2) to it, exactly."""
    dt = sp.Symbol("dt", positive=True)
    X, W, a, slope, delta, _ = network()
    S = slope * (X @ W)
    g = reference.gradient(X, reference.slope_times(delta, a, slope), S, delta)
    theta = np.concatenate([W.reshape(-1), a.reshape(-1)])
    new = gradient_descent_update(theta, g, dt=dt, solve=lambda u: u)
    g_W, g_a = reference.unpack(g, *W.shape, a.shape[1])
    W_new, a_new = reference.unpack(new, *W.shape, a.shape[1])
    for j in range(2):
        assert is_zero(-2 * (W[:, j] @ g_W[:, j] - a[j] @ g_a[j]))  # the derivative along the flow
        change = W_new[:, j] @ W_new[:, j] - a_new[j] @ a_new[j] - W[:, j] @ W[:, j] + a[j] @ a[j]
        assert is_zero(change - dt**2 * (g_W[:, j] @ g_W[:, j] - g_a[j] @ g_a[j]))


@check("identity", "every increment d")
def an_increment_in_the_range_of_the_adjoint():
    """If (t_j, d) = 0, as for d = J^* u, the change is |d_w|^2 - |d_a|^2: for every step of SAV, IEQ, Gauss-Newton with D = I."""
    w, a, v, b = (symbols(name, 2) for name in ("w", "a", "v", "b"))
    change = (w + v) @ (w + v) - (a + b) @ (a + b) - w @ w + a @ a
    t_d = w @ v - a @ b
    assert is_zero(change - 2 * t_d - v @ v + b @ b)


# %% [markdown]
# Signs are discrete and give no null vectors: $(w_j, a_j) \to (-w_j, -a_j)$ of an odd activation maps a point to another. Equal or
# dead neurons do. For a saddle at which H vanishes no test of second order decides: a linear network of two layers has a strict
# saddle at zero, one of three layers has not.


# %%
@check("counterexample", "E = (a b - 1)^2/2 and (a b c - 1)^2/2 at zero, exact numbers")
def linear_networks_at_zero():
    """C004-79: at zero, the Hessian of two linear layers has the eigenvalues +-1; that of three vanishes."""
    a, b, c = sp.symbols("a b c", real=True)
    two, three = (a * b - 1) ** 2 / 2, (a * b * c - 1) ** 2 / 2
    at_zero = {a: 0, b: 0, c: 0}
    assert sorted(sp.hessian(two, (a, b)).subs(at_zero).eigenvals(multiple=True)) == [-1, 1]
    assert sp.hessian(three, (a, b, c)).subs(at_zero) == sp.zeros(3)
