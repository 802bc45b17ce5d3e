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
# # Trust regions and saddles
#
# Claims of a chapter on second-order optimisation about trust regions, saddles, the spectra of networks, its exercises and
# its list of errors, each decided in the smallest case that decides it. That the conditions of a trust-region and of a
# cubic subproblem are sufficient, and that Newton's method is attracted by a saddle, is shown in the derivation of the
# second-order methods.

# %%
import math
from itertools import pairwise, product

import numpy as np
import sympy as sp

import gradflow as gf
from gradflow.curvature.model import decrease
from gradflow.curvature.subproblem import trust_region
from gradflow.proofs import check, follows, is_sum_of_squares
from gradflow.schemes.adam import adam_update
from gradflow.symbolic import Space, is_zero

R = sp.Rational
lam, rho, eta = sp.symbols("lambda rho eta", positive=True)


def zero(M):
    """Return whether a matrix vanishes identically."""
    return is_zero(list(M))


def vector(name, n=2):
    """Return a vector of symbols."""
    return sp.Matrix([sp.Symbol(f"{name}{i}", real=True) for i in range(n)])


def inertia(M):
    """Return the numbers of negative, zero and positive eigenvalues of a symmetric matrix of numbers, by its characteristic polynomial."""
    x = sp.Symbol("x")
    coefficients = M.charpoly(x).all_coeffs()
    zeros = next(i for i, k in enumerate(reversed(coefficients)) if k != 0)
    signs = [sp.sign(k) for k in coefficients if k != 0]
    positive = sum(s != t for s, t in pairwise(signs))  # Descartes: exact, as all roots are real
    return M.rows - zeros - positive, zeros, positive


# %% [markdown]
# ## Regions
#
# In a metric $D = L L^T$ the region $d^T D d \le \delta^2$ is a ball of $z = L^T d$. For a linear model the step to its
# boundary is $-\delta\, D^{-1} g / \sqrt{g^T D^{-1} g}$: with D = F the natural gradient, with D = |H| the saddle-free step.


# %%
@check("identity", "2 parameters", proves=("C004-74",))
def an_ellipsoid_is_a_ball():
    """With d = L^{-T} z the model with g, B in |d|_D, D = LL^T, is the one with L^{-1} g, L^{-1} B L^{-T} in |z|."""
    l1, l2 = sp.symbols("l1 l2", positive=True)
    L = sp.Matrix([[l1, 0], [sp.Symbol("l21", real=True), l2]])
    g, z = vector("g"), vector("z")
    B = sp.Matrix(2, 2, lambda i, j: sp.Symbol(f"B{min(i, j)}{max(i, j)}", real=True))
    d = L.T.inv() * z
    assert is_zero((d.T * L * L.T * d - z.T * z)[0])
    model = (g.T * d + d.T * B * d / 2)[0]
    moved = ((L.inv() * g).T * z + z.T * (L.inv() * B * L.T.inv()) * z / 2)[0]
    assert is_zero(model - moved)


@check(
    "squares",
    "every dimension and inner product, every positive D",
    proves=("C004-75",),
    given={"C004-69": "saddle-free Newton is meant, H regular"},
)
def linear_model_in_an_ellipsoid():
    """With D n = g the step d = -delta n/|n|_D has (d, Dd) = delta^2, and (g, e) >= (g, d) for every e in the region: the Cauchy-Schwarz gap is |(n, Dn) e - (e, Dn) n|_D^2."""
    P = Space("P")
    D = P.operator("D")
    n, e = P.vectors("n e")
    g = D(n)
    square, delta = P.inner(n, D(n)), sp.Symbol("delta", positive=True)
    d = -delta / sp.sqrt(square) * n
    assert is_zero(P.inner(d, D(d)) - delta**2)
    assert is_zero(P.inner(g, d) + delta * sp.sqrt(square))
    gap = square * e - P.inner(e, D(n)) * n
    assert is_zero(P.inner(gap, D(gap)) - square * (square * P.inner(e, D(e)) - P.inner(g, e) ** 2))
    any_vector = P.vector("h")
    assert P.inner(any_vector, D(any_vector)).is_nonnegative


@check("counterexample", "2 parameters, exact numbers", given={"C004-72": "M is positive definite"})
def singular_shapes_do_not_bound():
    """diag(|g|^alpha) with an entry g_i = 0, and a sum of one outer product, let the step grow without bound; a sum of t outer products has rank t at most; (H + lambda I)^{1/2} takes H + lambda I >= 0."""
    g, H = sp.Matrix([1, 0]), sp.diag(1, -1)
    far = sp.Matrix([0, 1000])
    for M in (sp.diag(1, 0), g * g.T):
        assert (far.T * M * far)[0] == 0
    assert (g.T * far + far.T * H * far / 2)[0] == -500000
    past = [sp.Matrix([1, 2, 3]), sp.Matrix([4, 5, 7])]
    total = sum((R(1, 2) ** n * x * x.T for n, x in enumerate(past)), sp.zeros(3))
    assert total.rank() == 2
    assert sp.sqrt((H + sp.eye(2) / 2)[1, 1]).is_real is False


@check("counterexample, run", "f = w with the estimate -1 of its slope", refutes=("C004-70",))
def a_bound_of_the_length_is_no_guarantee():
    """A step of length delta from an estimated slope -1 satisfies |d| <= delta for certain, and increases f = w: the printed probability says nothing of the model."""
    delta = sp.Symbol("delta", positive=True)
    estimate = np.array([-1.0])
    for radius in (0.5, 1.0, 4.0):
        z = trust_region(estimate, np.array([0.0]), radius).z
        assert abs(float(z[0]) - radius) <= 1e-12 * radius
    d = delta  # -delta * sign(-1)
    assert follows(d <= delta)
    assert follows(d > 0)  # f(w + d) - f(w) = d


@check(
    "counterexample, run",
    "steps delta g/|g| in float64; intervals of the ratio in symbols",
    given={"C004-71": "eta_2 <= eta_1, and a test of acceptance"},
)
def radius_rule_needs_more():
    """For eta2 > eta1 both branches hold at once; |d| == delta fails in float64 for steps that end at the boundary; NaN takes the branch that keeps the radius."""
    low, high, ratio = sp.symbols("eta1 eta2 ratio", real=True)
    assert not follows(sp.Not(sp.And(ratio > low, ratio < high)), [low < high])
    assert follows(sp.Not(sp.And(ratio > low, ratio < high)), [high <= low])
    missed = 0
    for i, j in product(range(1, 20), repeat=2):
        length = math.sqrt(i * i + j * j)
        step = (0.1 * i / length, 0.1 * j / length)
        missed += math.sqrt(step[0] * step[0] + step[1] * step[1]) != 0.1
    assert missed > 30  # of 361
    rule = lambda r, at_boundary: "grow" if r > 0.75 and at_boundary else "shrink" if r < 0.25 else "keep"  # noqa: E731
    assert rule(math.nan, True) == "keep"
    # the library: the flag of the solver, and the ratio -1 of an energy that is not finite
    control = gf.curvature.TrustRegion(radius=1.0)
    well = gf.FunctionProblem(
        lambda w: w[0] if w[0] > -0.5 else np.float64(math.nan), lambda w: np.ones(1), hvp=lambda w, v: 0 * v
    )
    method = gf.SecondOrder(curvature=gf.curvature.Hessian(), globalization=control)
    new = method.step(well, method.init(well, np.zeros(1)), 1.0)
    assert (float(new.accepted), float(new.boundary), float(new.ratio)) == (0, 1, -1)
    assert abs(float(new.control.size) - 0.25) < 1e-12


@check("identity", "one coordinate", proves=("C004-73",), refutes=("C004-73",))
def heavy_ball_in_a_region():
    """The minimiser of gd + d^2/(2 eta) + mu v d is -eta(g + mu v): momentum for v a sum of gradients; for v the last displacement it is -mu eta v, against the motion unless mu = -beta/eta."""
    g, v, mu, d, beta = sp.symbols("g v mu d beta", real=True)
    model = g * d + d**2 / (2 * eta) + mu * v * d
    best = -eta * (g + mu * v)
    assert is_zero(sp.diff(model, d).subs(d, best))
    assert is_zero(sp.diff(model, d, 2) - 1 / eta)
    assert is_zero(best.subs(mu, -beta / eta) - (-eta * g + beta * v))


@check(
    "arithmetic, squares",
    "beta1 = 9/10, beta2 = 999/1000: one gradient after n - 1 zeros; the bound for the first 3 steps, every gradient",
    proves=("C004-76",),
    refutes=("C004-76",),
)
def steps_of_adam():
    """One gradient after many zeros moves Adam by sqrt(10) dt, so dt is no bound of a step; that dt (sum w_i^2/u_i)^(1/2), w and u the weights of the two averages, is one holds by Cauchy and Schwarz."""
    b1, b2, g, size = sp.symbols("beta1 beta2 g dt", positive=True)
    n = sp.Symbol("n", integer=True, positive=True)
    nothing = sp.Integer(0)
    new, _, _ = adam_update(nothing, nothing, nothing, g, n, dt=size, beta1=b1, beta2=b2, eps=nothing)
    late = new.xreplace({b1**n: 0, b2**n: 0})  # n to infinity
    assert not late.has(n)
    assert is_zero((late / size).subs({b1: R(9, 10), b2: R(999, 1000)}) ** 2 - 10)
    # m = sum w_i g_i and v = sum u_i g_i^2 give m^2 <= v sum w_i^2/u_i, whatever the gradients are
    b1, b2 = R(9, 10), R(999, 1000)
    for steps in (1, 2, 3):
        gradients = sp.symbols(f"g1:{steps + 1}", real=True)
        w = [(1 - b1) * b1 ** (steps - 1 - i) / (1 - b1**steps) for i in range(steps)]
        u = [(1 - b2) * b2 ** (steps - 1 - i) / (1 - b2**steps) for i in range(steps)]
        theta = mean = square = nothing
        for k, gradient in enumerate(gradients, start=1):
            before = theta
            theta, mean, square = adam_update(
                before, mean, square, gradient, sp.Integer(k), dt=size, beta1=b1, beta2=b2, eps=nothing
            )
        unbiased = square / (1 - b2**steps)
        assert is_zero((theta - before) + size * (mean / (1 - b1**steps)) / sp.sqrt(unbiased))
        bound = sum(x**2 / y for x, y in zip(w, u, strict=True))
        gap = bound * unbiased - (mean / (1 - b1**steps)) ** 2
        pairs = [
            (u[i] * u[j], gradients[i] * w[j] / u[j] - gradients[j] * w[i] / u[i])
            for j in range(steps)
            for i in range(j)
        ]
        assert is_sum_of_squares(gap, pairs)


@check("identity", "every dimension and inner product, every operator K; 3 vectors of the basis", proves=("C004-78",))
def one_krylov_space_for_all_radii():
    """With K = G D^{-1}: K + nu maps a vector of the Krylov space of K and g into the next one, for every nu: one basis serves every multiplier, hence every radius."""
    P = Space("P")
    K = P.operator("K")
    g = P.vector("g")
    nu, c0, c1, c2 = sp.symbols("nu c0 c1 c2", real=True)
    x = c0 * g + c1 * K(g) + c2 * K(K(g))
    image = K(x) + nu * x
    in_basis = nu * c0 * g + (c0 + nu * c1) * K(g) + (c1 + nu * c2) * K(K(g)) + c2 * K(K(K(g)))
    assert is_zero(image - in_basis)


# %% [markdown]
# ## Saddles


# %%
@check(
    "counterexample",
    "linear networks of one unit a layer, 2 and 3 layers; polynomials",
    given={"C004-79": "strict means lambda_min < 0"},
)
def strict_and_other_saddles():
    """At 0, (ab - y)^2/2 has the eigenvalues y, -y, while (abc - y)^2/2 has H = 0: a saddle that is not strict. g = 0 with lambda_min = 0 decides nothing: x^2 + w^4, x^2 - w^4."""
    a, b, c, y = sp.symbols("a b c y", positive=True)
    two, three = (a * b - y) ** 2 / 2, (a * b * c - y) ** 2 / 2
    H = sp.hessian(two, [a, b]).subs({a: 0, b: 0})
    assert zero(H - sp.Matrix([[0, -y], [-y, 0]]))
    assert H.eigenvals() == {y: 1, -y: 1}
    assert zero(sp.hessian(three, [a, b, c]).subs({a: 0, b: 0, c: 0}))
    t = sp.Symbol("t", positive=True)
    at = three.subs({a: t, b: t, c: t}) - three.subs({a: 0, b: 0, c: 0})
    assert is_zero(at - t**3 * (t**3 - 2 * y) / 2)  # lower for small t: no minimum
    x, w = sp.symbols("x w", real=True)
    for sign in (1, -1):
        f = x**2 + sign * w**4
        assert sp.hessian(f, [x, w]).subs({x: 0, w: 0}) == sp.diag(2, 0)
        assert sp.sign(f.subs({x: 0, w: R(1, 10)})) == sign


@check("counterexample", "x^2 - w^2; |w|", given={"C004-107": "lambda_min != 0"})
def a_small_gradient_is_no_minimum():
    """x^2 - w^2 has the gradient 2 eps at (0, eps) for every eps > 0, and lambda_min = -2; at the kink of |w| neither is defined, and close to it |g| = 1."""
    x, w = sp.symbols("x w", real=True)
    eps = sp.Symbol("epsilon", positive=True)
    f = x**2 - w**2
    g = sp.Matrix([sp.diff(f, x), sp.diff(f, w)]).subs({x: 0, w: eps})
    assert is_zero((g.T * g)[0] - 4 * eps**2)
    assert sp.hessian(f, [x, w]) == sp.diag(2, -2)
    assert [sp.diff(sp.Abs(w), w).subs(w, k) for k in (R(-1, 1000), R(1, 1000))] == [-1, 1]


@check("squares", "a cubic bound along one direction", proves=("C004-82",))
def negative_curvature_descent():
    """If f(w + tv) <= f + t g.v - |lambda| t^2/2 + rho t^3/6 and g.v <= 0, then t = 2|lambda|/rho gives a decrease of 2|lambda|^3/(3 rho^2) at least."""
    s = sp.Symbol("s", nonnegative=True)  # -g.v
    t = 2 * lam / rho
    bound = -t * s - lam * t**2 / 2 + rho * t**3 / 6
    assert is_sum_of_squares(-bound - R(2, 3) * lam**3 / rho**2, [(2 * s / rho, sp.sqrt(lam))])


@check(
    "counterexample, decision procedure",
    "f = w - w^2/2 at 0; the quadratic model in every dimension",
    refutes=("C004-92",),
    given={"C004-92": "the sign of v with g.v >= 0, and a step alpha along v that is small"},
)
def sign_of_the_direction():
    """w - alpha v with g.v < 0 goes uphill: f = w - w^2/2 at 0 with v = -1 rises for 0 < alpha < 2; v = 1 falls by alpha + alpha^2/2."""
    alpha = sp.Symbol("alpha", positive=True)
    f = lambda w: w - w**2 / 2  # noqa: E731
    assert follows(f(alpha) > 0, [alpha < 2])
    assert is_zero(f(-alpha) + alpha + alpha**2 / 2)
    # with g.v >= 0 and v.Hv < 0 the quadratic model falls, for every alpha
    slope, bend = sp.Symbol("s", nonnegative=True), sp.Symbol("b", negative=True)
    assert follows(-alpha * slope + alpha**2 * bend / 2 < 0)


@check("counterexample", "diagonal matrices, exact fractions", refutes=("C004-90",))
def power_iteration_misses_negative_curvature():
    """From (1, 1) the printed iteration on diag(-1, 10) never reports: its quotients are (10^(2k+1) - 1)/(10^(2k) + 1) > 0. H = diag(0, -1), v = (1, 0) divides by 0. On 10 I - H it converges."""

    def quotients(H, start, steps=30):
        v = sp.Matrix(start)
        for _ in range(steps):
            image = H * v
            yield (v.T * image)[0] / (v.T * v)[0]
            if image == sp.zeros(2, 1):
                raise ZeroDivisionError
            v = image  # not normalised: the quotient does not depend on it

    H = sp.diag(-1, 10)
    for k, value in enumerate(quotients(H, [1, 1])):
        assert value == R(10 ** (2 * k + 1) - 1, 10 ** (2 * k) + 1)
        assert value > 0
    shifted = [10 - value for value in quotients(10 * sp.eye(2) - H, [1, 1])]
    assert shifted[-1] == -1
    assert shifted[0] > 0
    missed = quotients(sp.diag(0, -1), [1, 0])
    assert next(missed) == 0
    try:
        next(missed)
    except ZeroDivisionError:
        return
    raise AssertionError("the division by zero is not there")


@check(
    "counterexample, squares",
    "diag(-1, 1, 2) with a start that has no first component; the bound for 2 to 5 products and every n",
    refutes=("C004-94",),
    given={"C004-94": "a start that is not orthogonal to the eigenvector, and a gap above its eigenvalue"},
)
def krylov_spaces_and_their_start():
    """A Krylov space from v has no part of an eigenvector orthogonal to v: diag(-1, 1, 2) from (0, 1, 1) shows 1 and 2 alone; from (1, 1, 1) it is whole. With a part of it, the Chebyshev polynomial T_k leaves an error that falls as 1/T_k^2, for every n."""
    H = sp.diag(-1, 1, 2)
    for start, rank in (((0, 1, 1), 2), ((1, 1, 1), 3)):
        v = sp.Matrix(start)
        K = sp.Matrix.hstack(v, H * v, H * H * v)
        assert K.rank() == rank
        assert (K[0, :] == sp.zeros(1, 3)) == (rank == 2)
    # p = T_k on the rest of the spectrum, mapped to [-1, 1]: p^2 <= 1 there, as T^2 + (1 - x^2) U^2 = 1. So x = p(H)v has
    # (x, Hx) - lambda_1 |x|^2 = sum (lambda_i - lambda_1) p(lambda_i)^2 v_i^2 <= (lambda_n - lambda_1) |v|^2, |x|^2 >= p(lambda_1)^2 v_1^2
    x, gap = sp.Symbol("x", real=True), sp.Symbol("gap", positive=True)
    for k in (2, 3, 4, 5):
        T, U = sp.chebyshevt(k, x), sp.chebyshevu(k - 1, x)
        assert is_zero(T**2 + (1 - x**2) * U**2 - 1)
        # and at lambda_1, a relative gap below: |T_k| >= (1 + sqrt(2 gap))^k / 2, as the other root has the same sign
        s = 1 + gap + sp.sqrt(gap * (2 + gap))
        assert is_zero(T.subs(x, 1 + gap) - (s**k + s**-k) / 2)
    assert follows(1 + gap + sp.sqrt(gap * (2 + gap)) > 1 + sp.sqrt(2 * gap))


# %% [markdown]
# ## Symmetries and spectra of networks
#
# A symmetry that is discrete copies a point. The rescaling of a ReLU unit is continuous and leaves f: its orbit through a
# critical point consists of critical points. On a region where no unit changes sign, $f = a^T \mathrm{relu}(W^T x)$ is linear in W
# and linear in a, so that $\sum_i u_i z_i''$ has no block of one layer, and each layer's block of H is that of the
# Gauss-Newton matrix.


# %%
def odd(z):
    """Return z/(1 + z^2), an odd activation that is not homogeneous."""
    return z / (1 + z**2)


@check(
    "counterexample",
    "1 and 2 units with the odd activation z/(1 + z^2), as many samples as parameters",
    refutes=("C004-85",),
)
def discrete_symmetries_leave_no_null_vector():
    """At an exact fit the Hessian is J^T J, regular for these units although signs flip and units can be exchanged: the symmetry copies the minimum, and gives H no null vector."""
    for h, xs in ((1, (1, 2)), (2, (1, 2, 3, 4))):
        w, a = sp.symbols(f"w0:{h}", real=True), sp.symbols(f"a0:{h}", real=True)
        f = lambda x, w=w, a=a: sum(k * odd(s * x) for k, s in zip(a, w, strict=True))  # noqa: E731
        here = {s: i + 1 for i, s in enumerate(w)} | dict.fromkeys(a, 1)
        J = sp.Matrix([f(x) for x in xs]).jacobian([*w, *a]).subs(here)
        assert J.det() != 0
        flipped = {w[0]: -w[0], a[0]: -a[0]}
        assert is_zero(f(3).subs(flipped, simultaneous=True) - f(3))
        if h == 2:
            exchanged = {w[0]: w[1], w[1]: w[0], a[0]: a[1], a[1]: a[0]}
            assert is_zero(f(3).subs(exchanged, simultaneous=True) - f(3))


@check(
    "identity",
    "one ReLU unit with a bias, active; the odd activation z/(1 + z^2); both signs of the factor",
    given={"C004-86": "alpha > 0 and positively homogeneous activations"},
)
def rescaling_of_a_unit():
    """a alpha relu((wx + b)/alpha) = a relu(wx + b) for alpha > 0, the bias scaled too; not for alpha < 0, nor for z/(1 + z^2). (w, b).g = a g_a: the flow keeps |w|^2 + b^2 - a^2."""
    w, b, a, x, slope = sp.symbols("w b a x l", real=True)
    alpha = sp.Symbol("alpha", positive=True)
    relu = lambda z: (z + sp.Abs(z)) / 2  # noqa: E731
    f = lambda k: a * k * relu((w * x + b) / k)  # noqa: E731
    for sign in (1, -1):  # active, inactive
        values = {w: sign, x: 2, b: 0, a: 3}
        assert is_zero((f(alpha) - f(1)).subs(values))
        assert not is_zero((f(-alpha) - f(1)).subs(values))
        assert not is_zero((a * alpha * odd((w * x + b) / alpha) - a * odd(w * x + b)).subs(values))
    # dL/dtheta = l df/dtheta, active
    z = a * (w * x + b)
    g = {p: slope * sp.diff(z, p) for p in (w, b, a)}
    assert is_zero(w * g[w] + b * g[b] - a * g[a])


def relu_hessian(w, a, samples):
    """Return Hessian and Jacobian of sum (f - y)^2/2 with f = sum_j a_j relu(w_j . x), no sample at a kink, by symbols that become numbers."""
    h, D = len(a), len(w[0])
    W = [[sp.Symbol(f"w{j}_{i}", real=True) for i in range(D)] for j in range(h)]
    A = [sp.Symbol(f"a{j}", real=True) for j in range(h)]
    parameters = [s for row in W for s in row] + A
    here = dict(zip(parameters, [s for row in w for s in row] + list(a), strict=True))
    f = []
    for x, _ in samples:
        z = [sum(k * s for k, s in zip(row, x, strict=True)) for row in W]
        active = [sp.sign(e.subs(here)) for e in z]
        assert all(s != 0 for s in active)
        f.append(sum(A[j] * z[j] for j in range(h) if active[j] > 0))
    loss = sum((e - y) ** 2 for e, (_, y) in zip(f, samples, strict=True)) / 2
    J = sp.Matrix(f).jacobian(parameters).subs(here)
    return sp.hessian(loss, parameters).subs(here), J


@check(
    "counterexample",
    "one sample, 2 to 6 active ReLU units of one input; 2 and 3 samples in numbers",
    refutes=("C004-87",),
)
def negative_eigenvalues_grow_with_the_width():
    """h units and one sample, residual not 0: H has h - 1 negative eigenvalues at least, of n = 2h: not O(sqrt n). At most h: H is not negative on the output weights, and neither on the others."""
    for h in range(2, 7):
        H, _ = relu_hessian([[j + 1] for j in range(h)], [1] * h, [((1,), 100)])
        negative, _, _ = inertia(H)
        assert h - 1 <= negative <= h
        # a subspace of dimension h - 1 on which H is negative: (e, e) with (a + w).e = 0
        w, e = range(1, h + 1), []
        for j in range(1, h):
            row = [0] * h
            row[0], row[j] = -(1 + w[j]), 1 + w[0]
            e.append(sp.Matrix([*row, *row]))
        E = sp.Matrix.hstack(*e)
        assert inertia(E.T * H * E)[0] == h - 1
    for samples in ([((1, 2), 9), ((2, -1), 4)], [((1, 2), 9), ((2, -1), -4), ((-1, 1), 3)]):
        H, _ = relu_hessian([[1, 3], [2, 1], [3, -2]], [1, -2, 1], samples)
        assert inertia(H)[0] <= 3


@check(
    "identity",
    "2 and 3 samples, 2 and 3 units of 2 inputs in numbers; one unit and any convex loss in symbols",
    refutes=("C004-91",),
)
def layer_blocks_see_no_negative_curvature():
    """ReLU, convex loss, no unit at its kink: both layers' blocks of H are J^T l'' J >= 0 whatever the residual, while H has a negative eigenvalue, which the block of one unit (w_j, a_j) shows."""
    a, u, bend = sp.symbols("a u m", real=True)
    w = sp.Matrix(sp.symbols("w0 w1", real=True))
    y = sp.Matrix(sp.symbols("x0 x1", real=True))
    f = a * (w.T * y)[0]
    z = sp.Symbol("z", real=True)
    loss = (u * (z - sp.Symbol("z0")) + bend * (z - sp.Symbol("z0")) ** 2 / 2).subs(z, f)
    H = sp.hessian(loss, [*w, a]).subs(sp.Symbol("z0"), f)
    J = sp.Matrix([f]).jacobian([*w, a])
    assert zero(H[:2, :2] - bend * J[:, :2].T * J[:, :2])
    assert is_zero(H[2, 2] - bend * J[2] ** 2)
    assert zero(H[:2, 2] - bend * J[:, :2].T * J[2] - u * y)
    for samples in ([((1, 2), 9), ((2, -1), 4)], [((1, 2), 9), ((2, -1), -4), ((-1, 1), 3)]):
        H, J = relu_hessian([[1, 3], [2, 1]], [1, -2], samples)
        B = J.T * J
        assert zero(H[:4, :4] - B[:4, :4])
        assert zero(H[4:, 4:] - B[4:, 4:])
        assert inertia(H[:4, :4])[0] == inertia(H[4:, 4:])[0] == 0
        assert inertia(H)[0] > 0
        units = [[0, 1, 4], [2, 3, 5]]
        assert max(inertia(H.extract(rows, rows))[0] for rows in units) > 0


@check("counterexample", "one sample, 2 to 6 active ReLU units of one input", refutes=("C004-89",))
def spectrum_of_a_wide_network():
    """One sample with the residual u: the eigenvalues are ux and -ux, h - 1 times each, and two more: all but two of 2h at two points, at every width, where a semicircle has a density. The trace is positive."""
    x = sp.Symbol("x")
    for h in range(2, 7):
        H, J = relu_hessian([[j + 1] for j in range(h)], [1] * h, [((1,), 100)])
        u = h * (h + 1) // 2 - 100
        _, rest = sp.div(H.charpoly(x).as_expr(), (x**2 - u**2) ** (h - 1), x)
        assert rest == 0
        # the trace is that of J^T J, positive: the spectrum is not symmetric either
        assert H.trace() == (J * J.T).trace() > 0
    radius = sp.Symbol("sigma", positive=True)
    phi = sp.Symbol("phi")  # s = 2 sigma sin(phi) in the printed density: its total is 1
    density = (2 * radius * sp.cos(phi)) ** 2 / (2 * sp.pi * radius**2)
    assert sp.integrate(density, (phi, -sp.pi / 2, sp.pi / 2)) == 1


@check(
    "identity",
    "3 parameters and one sample; 2 orthonormal samples of 2 parameters",
    given={"C004-88": "more parameters than residuals"},
)
def zero_eigenvalues_and_samples():
    """J^T J has rank N at most, hence P - N zero eigenvalues; with N >= P there need be none: orthonormal rows of a linear regression give H = I."""
    J = sp.Matrix([sp.symbols("j0:3", real=True)])
    x = sp.Symbol("x")
    assert is_zero((J.T * J).charpoly(x).as_expr() - x**2 * (x - (J * J.T)[0]))
    X = sp.Matrix([[R(3, 5), R(4, 5)], [R(4, 5), R(-3, 5)]])
    assert sp.eye(2) == X.T * X


@check(
    "counterexample", "linear networks of one unit a layer, 3 and 4 layers", proves=("C004-84",), refutes=("C004-84",)
)
def saddles_of_a_chain():
    """The critical points of (w1...wL - y)^2/2 that are no minima are those with two zeros at least: L(L - 1)/2 planes that all meet at 0, one connected set. With exactly two zeros: one negative eigenvalue."""
    y = sp.Symbol("y", positive=True)
    for L in (3, 4):
        w = sp.symbols(f"w1:{L + 1}", real=True)
        f = (sp.prod(w) - y) ** 2 / 2
        g = [sp.diff(f, s) for s in w]
        for i in range(L):  # g_i = (product - y) product of the others: with one zero alone it is not 0
            one = {w[i]: 0}
            assert is_zero(g[i].subs(one) + y * sp.prod([s for s in w if s != w[i]]))
            for j in range(i):
                assert zero(sp.Matrix(g).subs({w[i]: 0, w[j]: 0}))
        values = {s: 0 if n < 2 else n for n, s in enumerate(w)} | {y: 1}
        H = sp.hessian(f, list(w)).subs(values)
        assert inertia(H) == (1, L - 2, 1)


# %% [markdown]
# ## The exercises


# %%
@check(
    "identity",
    "every X of 3 rows and 2 columns, full rank; one number for damping; rank 1",
    given={"C004-96": "X of full column rank, no damping, the whole step"},
)
def one_step_of_linear_regression():
    """w - (X^T X)^{-1} X^T(Xw - y) has gradient 0 for full column rank; damped by lambda it has not; for X of rank 1 the matrix is singular, and the pseudo-inverse gives the minimum nearest to w."""
    X, w, y = sp.Matrix(3, 2, sp.symbols("x0:6", real=True)), vector("w"), vector("y", 3)
    gradient = lambda s: X.T * (X * s - y)  # noqa: E731
    new = w - (X.T * X).inv() * gradient(w)
    assert zero(gradient(new))
    numbers = {s: n**2 + 1 for n, s in enumerate([*X, *w, *y])}
    damped = w - (X.T * X + sp.eye(2)).inv() * gradient(w)
    assert gradient(damped).subs(numbers) != sp.zeros(2, 1)
    X1, target = sp.Matrix([[1, 1]]), sp.Symbol("z", real=True)
    assert (X1.T * X1).det() == 0
    moved = w - X1.pinv() * (X1 * w - sp.Matrix([target]))
    assert zero(X1 * moved - sp.Matrix([target]))
    assert is_zero((moved - w)[0] - (moved - w)[1])  # orthogonal to the null vector (1, -1)


@check("identity", "3 classes, 2 inputs, one sample", proves=("C004-97",))
def fisher_of_softmax_regression():
    """Enumerated labels: F = (diag p - pp^T) x xx^T, blocks p_i(1 - p_i) xx^T and -p_i p_j xx^T; equal rows for all classes are null vectors."""
    p1, p2 = sp.symbols("p1 p2", positive=True)
    p, x = sp.Matrix([p1, p2, 1 - p1 - p2]), vector("x")
    F = sp.zeros(6)
    for label in range(3):
        score = sp.kronecker_product(sp.Matrix([int(i == label) for i in range(3)]) - p, x)
        F += p[label] * score * score.T
    for i, j in product(range(3), repeat=2):
        factor = p[i] * (1 - p[i]) if i == j else -p[i] * p[j]
        assert zero(F[2 * i : 2 * i + 2, 2 * j : 2 * j + 2] - factor * x * x.T)
    assert zero(F * sp.kronecker_product(sp.ones(3, 1), vector("u")))


def steihaug(H, g, radius):
    """Return the end of truncated conjugate gradients, and the squared lengths on the way, in exact arithmetic."""
    d, r = sp.zeros(len(g), 1), sp.Matrix(g)
    p, lengths = -r, []
    for _ in range(len(g)):
        bend = (p.T * H * p)[0]
        step = (r.T * r)[0] / bend if bend > 0 else None
        if step is None or ((d + step * p).T * (d + step * p))[0] >= radius**2:
            pp, dp, dd = (p.T * p)[0], (d.T * p)[0], (d.T * d)[0]
            tau = (-dp + sp.sqrt(dp**2 + pp * (radius**2 - dd))) / pp
            return d + tau * p, lengths
        d, new = d + step * p, r + step * H * p
        lengths.append((d.T * d)[0])
        if new == sp.zeros(len(g), 1):
            return d, lengths
        p, r = -new + (new.T * new)[0] / (r.T * r)[0] * p, new
    return d, lengths


@check(
    "counterexample, run",
    "three models in exact numbers",
    given={"C004-98": "no hard case, for the exits to reach the solution"},
)
def truncated_conjugate_gradients():
    """Interior: the minimiser, with growing lengths; boundary and negative curvature: |d| = radius. In the hard case it is blind: diag(-1, 2, 3), g = (0, 1, 1), radius 5 gives -5/12, the minimum is below -12."""
    model = lambda H, g, d: (sp.Matrix(g).T * d + d.T * H * d / 2)[0]  # noqa: E731
    H, g = sp.diag(1, 2, 5), [1, 1, 1]
    d, lengths = steihaug(H, g, 10)
    assert d == -H.inv() * sp.Matrix(g)
    assert all(x < y for x, y in pairwise(lengths))
    for matrix in (H, sp.diag(1, -2, 5)):
        d, _ = steihaug(matrix, g, R(1, 2))
        assert is_zero((d.T * d)[0] - R(1, 4))
        cauchy = model(matrix, g, -R(1, 2) / sp.sqrt(3) * sp.Matrix(g))
        assert sp.N(model(matrix, g, d) - cauchy) <= 0
    H, g = sp.diag(-1, 2, 3), [0, 1, 1]
    d, _ = steihaug(H, g, 5)
    assert d == sp.Matrix([0, R(-1, 2), R(-1, 3)])
    assert model(H, g, d) == R(-5, 12)
    best = trust_region(np.array([0.0, 1, 1]), np.array([-1.0, 2, 3]), 5.0)
    assert float(best.nu) == 1.0
    rest = sp.Matrix([0, R(-1, 3), R(-1, 4)])
    exact = model(H, g, rest) - (25 - (rest.T * rest)[0]) / 2
    assert exact == R(-307, 24)
    assert abs(model(sp.diag(-1, 2, 3), g, sp.Matrix(list(map(float, best.z)))) - exact) < 1e-12


@check(
    "counterexample, run",
    "(x^2 + k y^2)/2 with k = 1 to 10^6, from (1024, 1)",
    proves=("C004-100",),
    refutes=("C004-100",),
)
def ill_conditioning_is_no_case_for_trust_regions():
    """On a quadratic form of any condition number Newton's unit step ends at the minimum, one evaluation; a trust region of radius 1 that doubles needs 11 steps: lengths 1 + 2 + ... + 2^9 < 1024."""
    for k in (1.0, 2.0**10, 2.0**20):
        scales = np.array([1.0, k])
        form = gf.FunctionProblem(
            lambda w, s=scales: (s * w) @ w / 2, lambda w, s=scales: s * w, hvp=lambda w, v, s=scales: s * v
        )
        start = np.array([1024.0, 1.0])
        assert gf.solve(form, gf.Newton(), start, steps=1).theta.tolist() == [0.0, 0.0]
        method = gf.SecondOrder(curvature=gf.curvature.Hessian(), globalization=gf.curvature.TrustRegion(radius=1.0))
        assert np.linalg.norm(gf.solve(form, method, start, steps=10).theta) >= 1.0
        assert np.linalg.norm(gf.solve(form, method, start, steps=11).theta) < 1e-6
    assert sum(2**n for n in range(10)) < 1024
    assert sum(2**n for n in range(11)) >= 1024


@check("counterexample", "3 classes, one sample, a Jacobian of full row rank", refutes=("C004-101",))
def gauss_newton_is_no_natural_gradient_for_softmax():
    """Where the outputs are free, the natural gradient moves them by e_y/p_y less its mean, Gauss-Newton with J^T J by e_y - p: not parallel at p = (1/2, 1/3, 1/6). For a squared loss the two matrices are one at every width."""
    p = sp.Matrix([R(1, 2), R(1, 3), R(1, 6)])
    e = sp.Matrix([1, 0, 0])
    H, u = sp.diag(*p) - p * p.T, p - e
    natural = e / p[0] - sp.ones(3, 1) * R(2, 3)
    assert H * natural == -u
    assert sum(natural) == 0  # of least length: H has the null vector (1, 1, 1)
    assert sp.Matrix.hstack(natural, -u).rank() == 2
    cosine = (natural.T * -u)[0] ** 2 / ((natural.T * natural)[0] * (u.T * u)[0])
    assert cosine < 1
    J = sp.Matrix(2, 3, sp.symbols("j0:6", real=True))
    errors = [sp.Matrix(signs) for signs in product((1, -1), repeat=2)]  # of unit variance, as N(0, I) has
    fisher = sum((J.T * y * (J.T * y).T for y in errors), sp.zeros(3)) / 4  # E of the scores J^T(y - f)
    assert zero(fisher - J.T * J)


# %% [markdown]
# ## The list of errors


# %%
@check(
    "counterexample, run",
    "J = ((1, 1), (e, 0), (0, e)) in symbols and for e = 2^-27 in float64",
    given={"C004-104": "no normal equations, for least squares"},
)
def normal_equations_square_the_condition():
    """kappa(J^T J) = (2 + e^2)/e^2 = kappa(J)^2: for e = 2^-27 the float64 matrix is singular, so that neither Cholesky nor elimination solves; the singular values of J do."""
    e = sp.Symbol("e", positive=True)
    J = sp.Matrix([[1, 1], [e, 0], [0, e]])
    assert set((J.T * J).eigenvals()) == {e**2, e**2 + 2}
    small = 2.0**-27
    A = np.array([[1.0, 1.0], [small, 0.0], [0.0, small]])
    B = A.T @ A
    assert B.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    b = A @ np.array([1.0, 2.0])
    problem = gf.DenseLeastSquares(lambda w: A @ w - b, lambda w: A)
    assert np.max(np.abs(gf.solve(problem, gf.GaussNewton(), np.zeros(2), steps=1).theta - [1, 2])) < 1e-6


@check("counterexample, run", "f = sqrt(1 + w^2) from w = 2; the class", proves=("C004-106",))
def a_fixed_radius_fails():
    """The Newton step on sqrt(1 + w^2) from 2 is -10 and f rises: with a radius of 16 that stays the same trial is rejected for ever; with a radius that follows the ratio the minimum is reached."""
    w = sp.Symbol("w", real=True)
    f = sp.sqrt(1 + w**2)
    step = -sp.diff(f, w) / sp.diff(f, w, 2)
    assert step.subs(w, 2) == -10
    assert f.subs(w, -8) > f.subs(w, 2)
    problem = gf.FunctionProblem(
        lambda t: np.sqrt(1 + t @ t), lambda t: t / np.sqrt(1 + t @ t), hvp=lambda t, v: v / (1 + t @ t) ** 1.5
    )
    method = gf.SecondOrder(curvature=gf.curvature.Hessian(), globalization=gf.curvature.TrustRegion(radius=16.0))
    first = method.step(problem, method.init(problem, np.array([2.0])), 1.0)
    assert not first.accepted
    fixed = method.step(problem, first._replace(control=first.control._replace(size=first.size)), 1.0)
    assert (float(fixed.theta[0]), float(fixed.ratio)) == (2.0, float(first.ratio))
    assert abs(gf.solve(problem, method, np.array([2.0]), steps=30).theta[0]) < 1e-6


@check(
    "counterexample",
    "1 + x^2/2 in float32 and float64; the same as a residual (1, x)",
    given={"C004-110": "not for the ratio of decreases"},
)
def the_ratio_loses_its_digits():
    """At x = 2^-12 in float32 and 2^-27 in float64, f = 1 + x^2/2 rounds to 1: the difference of energies is 0 where x^2/2 is predicted. Half of (r - r')(r + r') keeps it."""
    for kind, x in ((np.float32, 2.0**-12), (np.float64, 2.0**-27)):
        one, point = kind(1), kind(x)
        assert one + point * point / 2 == one
        problem = gf.DenseLeastSquares(
            lambda w, one=one: np.stack([one + 0 * w[0], w[0]]), lambda w: np.array([[0.0], [1.0]], dtype=w.dtype)
        )
        curvature = gf.curvature.GaussNewton()
        old, new = (curvature.at(problem, np.array([v], dtype=kind)) for v in (point, 0))
        assert float(decrease(old, new)) == x**2 / 2


@check("identity", "2 residuals, 5 parameters", given={"C004-105": "products are the bottleneck, and few"})
def matrices_that_are_worth_forming():
    """With N = 2 residuals a step takes JJ^T, 2 by 2: J^T(JJ^T + lambda I)^{-1} u solves (J^T J + lambda I) d = J^T u, and no product with H is iterated."""
    J = np.array([[1.0, 2, 3, 4, 5], [5, 4, 3, 2, 1]])
    problem = gf.DenseLeastSquares(lambda w: J @ w - 1, lambda w: J)
    model = gf.curvature.GaussNewton().at(problem, np.zeros(5))
    assert model.at.gram().tolist() == [[55.0, 35.0], [35.0, 55.0]]
    K, u = sp.Matrix(J.astype(int)), vector("u")
    assert zero((K.T * K + lam * sp.eye(5)) * K.T * (K * K.T + lam * sp.eye(2)).inv() * u - K.T * u)
