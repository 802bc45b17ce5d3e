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
# # The size of the learning rate
#
# Claims of an essay on implicit gradient regularization, each decided in the smallest case that decides it. Notation of
# the essay: loss L with gradient g and Hessian H, learning rate $\gamma$, and $T = D^3L[g, g]$. Gradient descent is
# $\theta \mapsto \theta - \gamma g$; its *modified field* $\tilde f$ is the formal series in $\gamma$ whose flow
# interpolates the iterates at the times $n\gamma$.
#
# A polynomial with symbols for coefficients, of one degree more than there are derivatives in a formula, is any smooth
# loss near a point: an identity that holds for it at the origin holds for every such loss everywhere. These polynomials
# are elements of a polynomial ring, in which equality is decided.

# %%
import itertools
import math
from fractions import Fraction

import numpy as np
import sympy as sp

import gradflow as gf
from gradflow.proofs import check, follows, is_sum_of_squares
from gradflow.schemes.adam import adam_update
from gradflow.schemes.gradient_descent import gradient_descent_update
from gradflow.schemes.heavy_ball import heavy_ball_update
from gradflow.symbolic import is_small, is_zero

Q = sp.QQ
R = sp.Rational
gamma, lam, eps = sp.symbols("gamma lambda epsilon", positive=True)
t, x, y, z = sp.symbols("t x y z", real=True)


# %%
def generic(degree, *, variables=2, losses=1, more=()):
    """Return the position, the step h, further symbols, and generic losses without constant term."""
    powers = [p for p in itertools.product(range(degree + 1), repeat=variables) if 0 < sum(p) <= degree]
    names = [f"a{k}_{''.join(map(str, p))}" for k in range(losses) for p in powers]
    _, *symbols = sp.ring([*(f"x{i}" for i in range(variables)), "h", *more, *names], Q)
    position, h = np.array(symbols[:variables], dtype=object), symbols[variables]
    rest = symbols[variables + 1 :]
    further, coefficients = rest[: len(more)], iter(rest[len(more) :])
    made = [sum(next(coefficients) * math.prod(map(pow, position, p)) for p in powers) for _ in range(losses)]
    return position, h, further, made


def gradient(loss, position):
    """Return the gradient of a loss, an object array."""
    return np.array([loss.diff(c) for c in position], dtype=object)


def along(v, w, position):
    """Return Dw v, the derivative of the field w along the field v."""
    return np.array([sum(v[j] * part.diff(position[j]) for j in range(len(v))) for part in w], dtype=object)


def shifted(w, d, position, order):
    """Return the Taylor expansion of w(position + d) to an order in d."""
    total = w
    for k in range(1, order + 1):
        for places in itertools.product(range(len(d)), repeat=k):
            part = w
            for j in places:
                part = np.array([p.diff(position[j]) for p in part], dtype=object)
            total = total + part * (math.prod(d[j] for j in places) * Q(1, math.factorial(k)))
    return total


def near(v, position, degree, order):
    """Return a vector without the terms beyond a degree in the position and beyond h^order."""
    n = len(position)
    return np.array([
        part.ring.from_dict({p: c for p, c in part.items() if sum(p[:n]) <= degree and p[n] <= order}) for part in v
    ], dtype=object)  # fmt: skip


def flow(field, position, h, order):
    """Return the displacement of the flow of a field after the time h, at the origin and to h^order."""
    field = near(field, position, order - 1, order - 1)  # order - 1 derivatives are taken of it
    total, term = 0 * field, field
    for k in range(1, order + 1):
        total = total + near(term, position, 0, order - k) * (h**k * Q(1, math.factorial(k)))
        term = near(along(field, term, position), position, order - k - 1, order - k)
    return total


def kept(v, position, order):
    """Return what a vector or a loss has at the origin, to h^order."""
    n = len(position)
    return [
        {powers: c for powers, c in part.items() if not any(powers[:n]) and powers[n] <= order} for part in np.ravel(v)
    ]


def agree(u, v, position, order):
    """Return whether two vectors agree at the origin, and so at every point, to h^order."""
    return not any(kept(u - v, position, order))


def square(v):
    """Return |v|^2."""
    return sum(part * part for part in v)


def fields(loss, position):
    """Return g, H g, H^2 g and T = D^3 L[g, g]."""
    g = gradient(loss, position)
    Hg = along(g, g, position)
    HHg = along(Hg, g, position)
    return g, Hg, HHg, along(g, Hg, position) - HHg


def step_of(g, position, h):
    """Return the displacement of gradient descent, from the update that runs."""
    return gradient_descent_update(position, g, dt=np.asarray(h, dtype=object), solve=lambda u: u) - position


# %% [markdown]
# ## Operators
#
# On $e^{\mu t}$ the operator D is the number $\mu$, and on all of these together it is a symbol.


# %%
@check(
    "identity, counterexample",
    "every polynomial of degree 6; f = 1/(1 - t)",
    given={"C003-01": "the Taylor series of f converges to f over the step"},
    refutes=("C003-01",),
)
def shift_is_an_exponential():
    """f(t + gamma) = sum gamma^k f^(k)/k! for polynomials; for f = 1/(1 - t) at t = 0, gamma = 2 the partial sums are 2^{n+1} - 1 while f(2) = -1."""
    f = sum(c * t**k for k, c in enumerate(sp.symbols("c0:7", real=True)))
    series = sum(gamma**k * sp.diff(f, t, k) / sp.factorial(k) for k in range(7))
    assert is_zero(f.subs(t, t + gamma) - series)
    other = 1 / (1 - t)
    for n in range(8):
        partial = sum(2**k * sp.diff(other, t, k).subs(t, 0) / sp.factorial(k) for k in range(n + 1))
        assert partial == 2 ** (n + 1) - 1
    assert other.subs(t, 2) == -1


@check("identity", "every L of degree 4 in 2 parameters, every path of degree 3", proves=("C003-02", "C003-17"))
def chain_rule():
    """D grad L = H theta' and D^2 grad L = (sum_i d_i H theta_i') theta' + H theta'' along every path."""
    coordinates = sp.symbols("u v", real=True)
    L = sum(
        sp.Symbol(f"a{i}{j}") * coordinates[0] ** i * coordinates[1] ** j
        for i, j in itertools.product(range(5), repeat=2)
        if 0 < i + j <= 4
    )
    path = [sum(sp.Symbol(f"p{k}{i}") * t**i for i in range(4)) for k in (0, 1)]
    on_path = dict(zip(coordinates, path, strict=True))
    g, H = sp.Matrix([sp.diff(L, c) for c in coordinates]), sp.hessian(L, coordinates)
    speed = sp.Matrix(path).diff(t)
    assert is_zero(list(g.subs(on_path).diff(t) - H.subs(on_path) * speed))
    turned = sum((sp.diff(H, coordinates[i]).subs(on_path) * speed[i] for i in (0, 1)), sp.zeros(2))
    printed = turned * speed + H.subs(on_path) * speed.diff(t)
    assert is_zero(list(g.subs(on_path).diff(t, 2) - printed))


@check("identity", "all orders for the odd numbers, to order 7 for the series", proves=("C003-04",))
def bernoulli_numbers():
    """x/(e^x - 1) = 1 - x/2 + x^2/12 - x^4/720 + O(x^6): B_1 = -1/2; and x/(e^x - 1) + x/2 is even, so that the others of odd index vanish."""
    e = sp.Symbol("e", positive=True)  # e^x
    assert is_zero((x / (e - 1) + x / 2) - (-x / (1 / e - 1) - x / 2))
    B = [1, R(-1, 2), R(1, 6), 0, R(-1, 30), 0]
    series = sum(b * x**k / sp.factorial(k) for k, b in enumerate(B))
    # (e^x - 1) times the series is x + O(x^7), with e^x by its Taylor polynomial
    exponential = sum(x**k / sp.factorial(k) for k in range(1, 8))
    product = sp.Poly(sp.expand(exponential * series), x)
    assert [product.coeff_monomial(x**k) for k in range(7)] == [0, 1, 0, 0, 0, 0, 0]


@check("identity", "the symbol of the operator; its action on constants", refutes=("C003-05", "C003-06"))
def bernoulli_operator_has_a_factor():
    """D/(e^{gamma D} - I) is 1/gamma times the printed series: on constants it is the inverse of the integral over a step, 1/gamma and not 1."""
    e = sp.Symbol("e", positive=True)  # e^{gamma D}
    D = sp.Symbol("D", positive=True)
    operator, printed = D / (e - 1), gamma * D / (e - 1)
    assert is_zero(gamma * operator - printed)
    assert not is_zero(operator - printed)
    # (e^{gamma D} - I)/D is the integral of e^{s D} over 0 < s < gamma, which takes 1 to gamma
    s = sp.Symbol("s", positive=True)
    assert is_zero(sp.integrate(sp.exp(s * D), (s, 0, gamma)) - (sp.exp(gamma * D) - 1) / D)
    assert is_zero(sp.integrate(sp.Integer(1), (s, 0, gamma)) - gamma)
    # (2.10) with the factor: 1/gamma - D/2 + gamma D^2/12 - gamma^3 D^4/720
    right = 1 / gamma - D / 2 + gamma * D**2 / 12 - gamma**3 * D**4 / 720
    exponential = sum((gamma * D) ** k / sp.factorial(k) for k in range(1, 6))
    assert is_small(sp.expand(exponential * right) - D, gamma, 5)


@check(
    "argument",
    "the singularities of x/(e^x - 1); B_2 to B_16 for the growth; f = 1/(1 - at)",
    given={"C003-07": "D is bounded on the functions that are meant, as on finitely many modes exp(mu t)"},
    refutes=("C003-07",),
)
def radius_of_convergence():
    """x/(e^x - 1) has its nearest poles at +-2 pi i. As |B_2k| > 2 (2k)!/(2 pi)^2k, the series on 1/(1 - at), whose k-th derivative at 0 is k! a^k, has terms that grow, for every gamma."""
    for pole in (2 * sp.pi * sp.I, -2 * sp.pi * sp.I):
        assert sp.exp(pole) == 1
        assert sp.limit((x - pole) * x / (sp.exp(x) - 1), x, pole) == pole  # a simple pole, not removable
    for k in range(1, 9):
        size = abs(sp.bernoulli(2 * k)) * (2 * sp.pi) ** (2 * k) / (2 * sp.factorial(2 * k))
        assert is_zero(size - sp.zeta(2 * k))  # = 1 + 2^{-2k} + ... > 1
        assert sp.diff(1 / (1 - lam * t), t, k).subs(t, 0) == sp.factorial(k) * lam**k
    # terms B_2k (gamma a)^2k: beyond 2k > 2 pi/(gamma a) each is larger than the bound of the one before
    # of a mode of gradient descent the number is gamma mu = log(1 - gamma lambda): |.| < 2 pi iff gamma lambda < 1 - e^{-2 pi}
    assert is_zero(sp.log(1 - (1 - sp.exp(-2 * sp.pi))) + 2 * sp.pi)


@check(
    "identity",
    "one mode, gamma lambda < 1; formal series in gamma",
    proves=("C003-09",),
    given={"C003-08": "theta(t) interpolates the iterates and E_gamma = exp(gamma D) holds on it, C003-01"},
)
def operator_form_of_the_step():
    """For g = lambda theta, theta = (1 - gamma lambda)^{t/gamma} satisfies (3) and, with mu = log(1 - gamma lambda)/gamma for D, mu = -gamma mu/(e^{gamma mu} - 1) lambda, which is (4)."""
    p = sp.Symbol("p", positive=True)  # 1 - gamma lambda
    mu = sp.log(p) / gamma
    theta = sp.exp(mu * t)
    step = theta.subs(t, t + gamma) - theta
    assert is_zero(sp.powsimp(sp.expand(step / theta)) - (p - 1))  # -gamma lambda
    assert is_zero(mu + gamma * mu / (p - 1) * (1 - p) / gamma)
    # (4) is (3) under the operator whose product with e^{gamma D} - I is D, as formal series
    D = sp.Symbol("D", positive=True)
    e = sp.Symbol("e", positive=True)
    assert is_zero(D / (e - 1) * (e - 1) - D)


# %% [markdown]
# ## The modified field of gradient descent
#
# With D along the modified flow itself, (6) is a recursion. Its first three terms are
#
# $$\tilde f = -\Bigl[g + \tfrac{\gamma}{2}Hg + \gamma^2\bigl(\tfrac13 H^2 g + \tfrac1{12}T\bigr)\Bigr] + O(\gamma^3).$$


# %%
def bernoulli(f, g, position, h, order):
    """Return -(I - hD/2 + h^2 D^2/12) g to h^order, D the derivative along the field f."""
    once = near(along(f, g, position), position, order, order)
    new = -g + once * (Q(1, 2) * h) - along(f, once, position) * (Q(1, 12) * h**2)
    return near(new, position, order, order)  # a derivative for each power of h


@check("identity", "every smooth loss of 2 parameters; of 1 parameter to h^4", proves=("C003-10", "C003-15"))
def bernoulli_recursion():
    """f = -(I - hD/2 + h^2 D^2/12) g with D along f itself gives -[g + hHg/2 + h^2(H^2 g/3 + T/12)], whose flow takes the step to h^3; in one parameter it does to h^4, as there is no h^3 D^3."""
    position, h, _, (L,) = generic(3)
    g, Hg, HHg, T = fields(L, position)
    f = -g
    for _ in range(2):  # each round gains an order
        f = bernoulli(f, g, position, h, 2)
    closed = -g - Hg * (Q(1, 2) * h) - (HHg * Q(1, 3) + T * Q(1, 12)) * h**2
    assert agree(f, closed, position, 2)
    assert agree(flow(closed, position, h, 3), step_of(g, position, h), position, 3)
    # one parameter, one order more: three rounds, and the flow to h^4
    position, h, _, (L,) = generic(4, variables=1)
    g = gradient(L, position)
    f = -g
    for _ in range(3):
        f = bernoulli(f, g, position, h, 3)
    assert agree(flow(f, position, h, 4), step_of(g, position, h), position, 4)


@check(
    "identity",
    "every smooth loss of 2 and of 3 parameters",
    proves=("C003-11", "C003-12", "C003-16"),
)
def first_order():
    """Dg = -Hg - hH^2 g/2 + O(h^2) along the modified flow, and the flow of -(g + hHg/2) takes the step to h^2, that of -(g - hHg/2) does not."""
    for variables in (2, 3):
        position, h, _, (L,) = generic(3, variables=variables)
        g, Hg, HHg, _ = fields(L, position)
        f = -g - Hg * (Q(1, 2) * h)
        assert agree(along(f, g, position), -Hg - HHg * (Q(1, 2) * h), position, 2)
        assert not agree(along(f, g, position), -Hg, position, 1)
        assert agree(flow(f, position, h, 2), step_of(g, position, h), position, 2)
        assert not agree(flow(-g + Hg * (Q(1, 2) * h), position, h, 2), step_of(g, position, h), position, 2)


def curved_loss():
    """Return a loss of two parameters that is not quadratic, and its modification to first order, as problems."""
    u, v, h = sp.symbols("u v h", real=True)
    L = (1 - u) ** 2 / 4 + (v - u**2 / 2) ** 2 / 2 + sp.cos(u + v) / 5
    g = [sp.diff(L, c) for c in (u, v)]
    modified = L + h / 4 * sum(part**2 for part in g)
    values = sp.lambdify((u, v), L, "numpy"), sp.lambdify((u, v), g, "numpy")
    field = sp.lambdify((u, v, h), [-sp.diff(modified, c) for c in (u, v)], "numpy")
    problem = gf.FunctionProblem(
        lambda w: float(values[0](*w)),
        lambda w: np.array(values[1](*w), dtype=float),
    )
    return problem, lambda w, h: np.array(field(*w, h), dtype=float)


def integrated(field, w, time, steps=400):
    """Return w after a time along a field, by the classical Runge-Kutta method of order 4."""
    d = time / steps
    for _ in range(steps):
        k1 = field(w)
        k2 = field(w + d / 2 * k1)
        k3 = field(w + d / 2 * k2)
        k4 = field(w + d * k3)
        w = w + d / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return w


@check(
    "identity, run",
    "every smooth loss of 2 and of 3 parameters; orders on one loss of 2 parameters",
    given={
        "C003-13": "a fixed interval of time and L three times continuously differentiable; the remainder O(gamma^2) is one of the field, in general no gradient"
    },
)
def modified_loss():
    """grad |g|^2 = 2Hg: the step is the flow of -grad(L + h|g|^2/4) to h^2. On a fixed interval iterates have distance O(h) from the flow of L, O(h^2) from that of the modified loss."""
    for variables in (2, 3):
        position, h, _, (L,) = generic(3, variables=variables)
        g, Hg, _, _ = fields(L, position)
        modified = gradient(L + Q(1, 4) * h * square(g), position)
        assert agree(gradient(square(g), position), 2 * Hg, position, 2)
        assert agree(modified, g + Hg * (Q(1, 2) * h), position, 2)  # the field of `first_order`
    problem, field = curved_loss()
    start, time = np.array([-0.6, 0.8]), 1.6
    errors = {0: [], 1: []}
    for steps in (64, 128, 256):
        h = time / steps
        end = gf.solve(problem, gf.GradientDescent(), start, dt=h, steps=steps).theta
        for k, own in errors.items():
            own.append(np.linalg.norm(end - integrated(lambda w, h=h, k=k: field(w, k * h), start, time)))
    for k, own in errors.items():
        orders = [math.log2(a / b) for a, b in itertools.pairwise(own)]
        assert all(abs(order - k - 1) < 0.05 for order in orders), orders


@check(
    "identity, run",
    "a quadratic of 3 modes; every smooth loss of 2 parameters; 2x^2(1 + y) + y^2/2 from (2, 1) in the run",
)
def gradient_at_equal_loss():
    """Where L is the same, d|g|^2/dgamma = -t(|Hg|^2 - (g, Hg)^2/|g|^2) <= 0 at gamma = 0: on a quadratic at all times, in general to first order in t. Later it may be positive."""
    modes, start = sp.symbols("l:3", positive=True), sp.symbols("c:3", real=True)
    pairs = list(zip(modes, start, strict=True))
    steps = [gradient_descent_update(c, k * c, dt=gamma, solve=lambda u: u) for k, c in pairs]
    rates = [
        sp.series(sp.log(sp.cancel(w / c)) / gamma, gamma, 0, 2).removeO()
        for w, (_, c) in zip(steps, pairs, strict=True)
    ]
    path = [
        c * sp.exp(rate * t) for rate, (_, c) in zip(rates, pairs, strict=True)
    ]  # at t = n gamma, to first order in gamma
    loss, squared = (sum(k**p * w**2 for k, w in zip(modes, path, strict=True)) for p in (1, 2))
    (L_t, L_gamma), (S_t, S_gamma) = ([sp.diff(f, v).subs(gamma, 0) for v in (t, gamma)] for f in (loss / 2, squared))
    g = [k * c * sp.exp(-k * t) for k, c in pairs]
    gg, gHg, HgHg = (sum(k**p * part**2 for k, part in zip(modes, g, strict=True)) for p in (0, 1, 2))
    assert is_zero(sp.expand(L_t + gg))
    assert is_zero(sp.expand(S_gamma * L_t - S_t * L_gamma - t * (HgHg * gg - gHg**2)))  # the derivative times L_t
    differences = [(1, (modes[i] - modes[j]) * g[i] * g[j]) for i, j in itertools.combinations(range(3), 2)]
    assert is_sum_of_squares(sp.expand(HgHg * gg - gHg**2), differences)

    position, h, (m,), (L,) = generic(3, more=("m",))  # m for gamma, h for t
    g, Hg, _, _ = fields(L, position)
    moved = flow(-g - Hg * (Q(1, 2) * m), position, h, 1)
    values = [shifted(np.array([f], dtype=object), moved, position, 1)[0] for f in (L, square(g))]
    (L_t, L_m), (S_t, S_m) = ([f.diff(v) for v in (h, m)] for f in values)
    known = h * (square(Hg) * square(g) - (g @ Hg) ** 2)
    assert agree(S_m * L_t - S_t * L_m, known, position, 1)

    problem = gf.FunctionProblem(
        lambda w: 2 * w[0] ** 2 * (1 + w[1]) + w[1] ** 2 / 2,
        lambda w: np.array([4 * w[0] * (1 + w[1]), 2 * w[0] ** 2 + w[1]]),
    )
    norms = []
    for gamma_ in (0.005, 0.01, 0.02):
        run = gf.solve(
            problem,
            gf.GradientDescent(),
            np.array([2.0, 1.0]),
            dt=gamma_,
            steps=200,
            record=("energy", "gradient_norm"),
        )
        E, norm = run.history["energy"], run.history["gradient_norm"]
        norms.append(float(np.interp(-0.014, -E, norm)))
    assert norms[0] < norms[1] < norms[2], norms


@check("counterexample", "L = x^2/2 + y^2 + x^2 y/2 at (1, 1); L = x^2/2 with gamma > 1", refutes=("C003-14",))
def no_modified_loss_at_second_order():
    """The field's h^2 term for L = x^2/2 + y^2 + x^2 y/2 has the curl -5/12 at (1, 1): no gradient. For L = x^2/2, gamma > 1 the step changes the sign of x, which no autonomous flow on a line does."""
    _, p, q = sp.ring("p q", Q)
    position = np.array([p, q], dtype=object)
    L = Q(1, 2) * p**2 + q**2 + Q(1, 2) * p**2 * q
    _, _, HHg, T = fields(L, position)
    f3 = -Q(1, 3) * HHg - Q(1, 12) * T
    curl = f3[1].diff(p) - f3[0].diff(q)
    assert curl == -Q(1, 12) * p * (p**2 - 2 * q**2 + 4 * q + 2)
    assert curl.evaluate([(p, 1), (q, 1)]) == Q(-5, 12)
    # x = 0 is a rest point: a flow keeps the sign of x; the step multiplies it by 1 - gamma
    assert follows((1 - gamma) * x * x < 0, [gamma > 1, x > 0])
    assert gradient_descent_update(x, x, dt=sp.Integer(1), solve=lambda u: u) == 0  # and no flow reaches it in time 1


# %% [markdown]
# ## The second-order term as printed


# %%
@check("identity", "every smooth loss of 2 parameters", refutes=("C003-18", "C003-19"))
def printed_second_order_field():
    """D^2 g = +T + H^2 g for theta' = -g, not -T + H^2 g. The field (2.15), -g + hHg/2 - h^2(T - H^2 g)/12, misses the step at h^2, as does the flow of L itself: no order is gained."""
    position, h, _, (L,) = generic(3)
    g, Hg, HHg, T = fields(L, position)
    twice = along(-g, along(-g, g, position), position)
    assert agree(twice, T + HHg, position, 0)
    assert not agree(twice, -T + HHg, position, 0)
    printed = -g + Hg * (Q(1, 2) * h) - (T - HHg) * (Q(1, 12) * h**2)
    step = step_of(g, position, h)
    assert not agree(flow(printed, position, h, 2), step, position, 2)
    # its own error at h^2 is h^2 Hg, twice that of the flow of L
    own = flow(printed, position, h, 2) - step
    assert agree(own, 2 * (flow(-g, position, h, 2) - step), position, 2)
    assert agree(own, Hg * h**2, position, 2)


@check("identity, counterexample", "every smooth loss of 2 parameters; L = lambda x^2/2", refutes=("C003-20",))
def printed_second_order_loss():
    """Under L -> cL, theta -> s theta, gamma -> gamma s^2/c the loss is multiplied by c, the printed term gamma^2 (g, H^2 g) by c^2/s^2. On a quadratic the term is gamma^2 (g, Hg)/6, of gamma^2 lambda^3 x^2/6 and not gamma^2 lambda^4 x^2/24."""
    c, s = sp.symbols("c s", positive=True)
    # L has the unit c, g has c/s, H has c/s^2
    g, H, step = c / s, c / s**2, s**2 / c
    assert is_zero(step * g * g - c)  # gamma |g|^2
    assert is_zero(step**2 * g * H * g - c)  # gamma^2 (g, Hg)
    assert is_zero(step**2 * g * H * H * g - c**2 / s**2)  # as printed
    # the exact loss of a quadratic is -log(1 - gamma lambda) x^2/(2 gamma)
    exact = -sp.log(1 - gamma * lam) / (2 * gamma)
    right = lam / 2 + gamma * lam**2 / 4 + gamma**2 * lam**3 / 6
    printed = lam / 2 + gamma * lam**2 / 4 + gamma**2 * lam**4 / 24
    assert is_small(exact - right, gamma, 3)
    assert is_small(exact - printed, gamma, 2)
    assert not is_small(exact - printed, gamma, 3)
    # no loss exists in general: the field has 1/3 H^2 g + 1/12 T, a gradient would need the ratio 2 of grad (g, Hg)
    position, _, _, (L,) = generic(4)
    own, Hg, HHg, T = fields(L, position)
    assert agree(gradient(sum(own * Hg), position), 2 * HHg + T, position, 0)
    field = -Q(1, 3) * HHg - Q(1, 12) * T
    assert agree(field + gradient(Q(1, 12) * sum(own * Hg), position), -Q(1, 6) * HHg, position, 0)


@check("identity", "every smooth loss of 2 parameters; u = grad L, A = H", refutes=("C003-21", "C003-22", "C003-23"))
def printed_gradient_of_the_loss():
    """grad (g, H^2 g) = 2H^3 g + 2D^3 L[g, Hg], not 2(T + H^2 g); grad (u, Au) has 2(Du)^T Au, so 2Au needs Du = I; and (2.17b), (2.15) and the field have +Hg/2, -Hg/2 and different multiples of H^2 g."""
    position, h, _, (L,) = generic(4)
    g, Hg, HHg, T = fields(L, position)
    third = along(Hg, Hg, position) - along(along(Hg, g, position), g, position)  # D^3 L[Hg, g]
    exact = gradient(square(Hg), position)
    assert agree(exact, 2 * along(HHg, g, position) + 2 * third, position, 0)
    assert not agree(exact, 2 * (T + HHg), position, 0)
    # u = g, A = H: grad (g, Hg) = 2H(Hg) + T, and 2Au + (DA)[u, u] = 2Hg + T
    pairing = gradient(sum(g * Hg), position)
    assert agree(pairing, 2 * HHg + T, position, 0)
    assert not agree(pairing, 2 * Hg + T, position, 0)
    # u = theta: Du = I, and the printed rule holds, here not at the origin only, where theta = 0
    Hu = along(position, g, position)
    turned = along(position, Hu, position) - Hu  # D^3 L[theta, theta]
    assert not any(gradient(sum(position * Hu), position) - 2 * Hu - turned)
    loss_field = -g - Hg * (Q(1, 2) * h) - (T + HHg) * (Q(1, 12) * h**2)  # (2.17b)
    printed = -g + Hg * (Q(1, 2) * h) - (T - HHg) * (Q(1, 12) * h**2)  # (2.15)
    apart = Hg * h + HHg * (Q(1, 6) * h**2)
    assert agree(printed - loss_field, apart, position, 2)  # without any third derivative
    assert not agree(apart, 0 * apart, position, 1)
    exact = -g - Hg * (Q(1, 2) * h) - (HHg * Q(1, 3) + T * Q(1, 12)) * h**2
    assert agree(loss_field - exact, HHg * (Q(1, 4) * h**2), position, 2)


@check("identity, counterexample", "2 parameters; L = (zx^2 + y^2)/2 at z = 1/2", refutes=("C003-24",))
def no_drive_to_isotropic_minima():
    """(g, H^2 g) = sum lambda_i^2 g_i^2 holds, but its gradient 2H^3 g + ... vanishes at every minimum. For L = (zx^2 + y^2)/2 it lowers z < 1 along y = 0: away from equal eigenvalues z and 1."""
    l1, l2, c, s = sp.symbols("l1 l2 c s", real=True)
    g = sp.Matrix(sp.symbols("g1 g2", real=True))
    turn = sp.Matrix([[c, -s], [s, c]])
    H = turn * sp.diag(l1, l2) * turn.T
    own = turn.T * g
    gap = (g.T * H * H * g)[0] - l1**2 * own[0] ** 2 - l2**2 * own[1] ** 2
    assert is_zero(sp.expand(gap.subs(s, sp.sqrt(1 - c**2))))  # a rotation
    L = (z * x**2 + y**2) / 2
    w = (x, y, z)
    gradient_of, H = sp.Matrix([sp.diff(L, v) for v in w]), sp.hessian(L, w)
    term = (gradient_of.T * H * H * gradient_of)[0]
    force = -sp.diff(term, z).subs({y: 0, z: R(1, 2)})
    assert follows(force < 0, [x > 0, x < 1])  # z falls below 1/2
    for v in w:  # at the minima x = y = 0, for every z, there is no force
        assert is_zero(sp.diff(term, v).subs({x: 0, y: 0}))


# %% [markdown]
# ## Critical points, thresholds, saddles
#
# At a critical point the linearised step is $I - \gamma H$, and the linearised modified field its logarithm: the modified
# Hessian is $-\log(I - \gamma H)/\gamma$ exactly, for every eigenvalue on its own.


# %%
@check("identity", "every smooth loss of 2 parameters at a critical point; one mode to gamma^5", proves=("C003-25",))
def modified_hessian():
    """At g = 0 the Hessian of L + gamma|g|^2/4 is H + gamma H^2/2; exactly it is -log(1 - gamma lambda)/gamma = sum gamma^{k-1} lambda^k/k."""
    position, h, _, (L,) = generic(3)
    ring = L.ring
    flat = ring.from_dict({k: c for k, c in L.items() if sum(k[:2]) != 1})  # no linear term
    g = gradient(flat, position)
    modified = flat + Q(1, 4) * h * square(g)
    for i, j in itertools.product((0, 1), repeat=2):
        H = lambda r, s: flat.diff(position[r]).diff(position[s])  # noqa: E731
        squared = sum(H(i, k) * H(k, j) for k in (0, 1))
        own = modified.diff(position[i]).diff(position[j])
        assert not any(kept(own - H(i, j) - Q(1, 2) * h * squared, position, 2))
    series = sum(gamma ** (k - 1) * lam**k / k for k in range(1, 6))
    assert is_small(-sp.log(1 - gamma * lam) / gamma - series, gamma, 5)


@check(
    "identity, run",
    "one mode, 0 < z = gamma lambda < 1; four values",
    given={
        "C003-26": "gamma lambda << 1, to first order",
        "C003-28": "gamma lambda >> 1 for the steep direction, where gradient descent diverges",
    },
    refutes=("C003-26", "C003-28"),
)
def amplification_of_a_curvature():
    """-log(1 - z)/z exceeds 1 + z/2 for 0 < z < 1, by 0.3, 10.9, 76 and 211 % at z = .1, .5, .9, .99; while gradient descent is stable, z < 2, the printed factor is below 2."""
    gap = -sp.log(1 - z) - z - z**2 / 2
    assert is_zero(gap.subs(z, 0))
    assert is_zero(sp.diff(gap, z) - z**2 / (1 - z))
    assert follows(z**2 / (1 - z) > 0, [z > 0, z < 1])
    table = {0.1: -0.34, 0.5: -9.8, 0.9: -43.3, 0.99: -67.9}
    for value, percent in table.items():
        exact, printed = -math.log1p(-value) / value, 1 + value / 2
        assert abs(100 * (printed / exact - 1) - percent) < 0.06
    assert [round(100 * (-math.log1p(-v) / v / (1 + v / 2) - 1), 1) for v in table] == [0.3, 10.9, 76.4, 211.1]
    assert follows(1 + z / 2 < 2, [z > 0, z < 2])


@check("identity", "every smooth loss of 2 parameters at a critical point; L = 50x^2", refutes=("C003-27",))
def sharp_minima_are_not_avoided():
    """L + gamma|g|^2/4 has the value of L at every critical point and is larger elsewhere: the wall of 50x^2 gets the curvature 100 + 5000 gamma. A minimum of L stays one, and attracts faster."""
    L = 50 * x**2
    modified = L + gamma / 4 * sp.diff(L, x) ** 2
    assert is_zero(sp.diff(modified, x, 2) - 100 - 5000 * gamma)
    assert is_zero(modified.subs(x, 0) - L.subs(x, 0))
    assert follows(modified - L > 0, [x > 0])
    # for every positive H the modified H + gamma H^2/2 is larger: (v, H^2 v) = |Hv|^2
    a, b, c, u, v = sp.symbols("a b c u v", real=True)
    H, w = sp.Matrix([[a, b], [b, c]]), sp.Matrix([u, v])
    form = (w.T * H * H * w)[0]
    assert is_sum_of_squares(form, [(1, a * u + b * v), (1, b * u + c * v)])


@check("identity, run", "L = zx^2/2, whose minima are the axis x = 0 with the curvature z; from (0.8, 1) in the run")
def the_end_of_a_valley():
    """On zx^2/2 the flow ends at Z = sqrt(z_0^2 - x_0^2/2), that of L + gamma|g|^2/4 at Z - gamma Z(z_0 - Z)/2 + O(gamma^2): flatter, by O(gamma). Gradient descent ends there to second order."""
    a, r = sp.symbols("a r", positive=True)  # a = Z^2
    L = r * x**2 / 2
    modified = L + gamma / 4 * (sp.diff(L, x) ** 2 + sp.diff(L, r) ** 2)
    slope = sp.diff(modified, r) / sp.diff(modified, x)  # dz/dx on an orbit
    first = sp.diff(slope, gamma).subs(gamma, 0)
    assert is_zero(slope.subs(gamma, 0) - x / (2 * r))  # z^2 - x^2/2 is constant
    path = sp.sqrt(a + x**2 / 2)  # from Z at x = 0
    # d(z^2)/dx = 2z dz/dx, on the unperturbed orbit Z^2 dz/dx more
    assert is_zero((2 * r * first).subs(r, path) - a * sp.diff(path, x))
    start, flow_end = np.array([0.8, 1.0]), math.sqrt(1 - 0.8**2 / 2)
    problem = gf.FunctionProblem(
        lambda w: float(w[1] * w[0] ** 2 / 2), lambda w: np.array([w[0] * w[1], w[0] ** 2 / 2])
    )
    errors = {"flow": [], "modified": []}
    for h in (0.04, 0.02, 0.01):
        end = gf.solve(problem, gf.GradientDescent(), start, dt=h, steps=round(60 / h)).theta[1]
        errors["flow"].append(abs(end - flow_end))
        errors["modified"].append(abs(end - flow_end + h * flow_end * (1 - flow_end) / 2))
    for (name, own), order in zip(errors.items(), (1, 2), strict=True):
        measured = [math.log2(p / q) for p, q in itertools.pairwise(own)]
        assert all(abs(found - order) < 0.05 for found in measured), (name, measured)


@check(
    "decision procedure",
    "one mode; sqrt(1 + theta^2) with gamma = 10/3 for the condition",
    proves=("C003-29", "C003-31"),
)
def thresholds_of_a_mode():
    """lambda(1 + gamma lambda/2) > 0 for lambda > 0; |1 - gamma lambda| < 1 iff gamma lambda < 2, so that diag(100, 1) needs gamma < 1/50, and x = 1 stays bounded iff gamma <= 1/50."""
    assert follows(lam * (1 + gamma * lam / 2) > 0)
    new = gradient_descent_update(x, lam * x, dt=gamma, solve=lambda u: u)
    falls = sp.Equivalent(new**2 < x**2, gamma * lam < 2).to_nnf()
    assert follows(falls, [x > 0])
    both = sp.And((1 - 100 * gamma) ** 2 < 1, (1 - gamma) ** 2 < 1)
    assert follows(sp.Equivalent(both, gamma < R(1, 50)).to_nnf())


@check(
    "counterexample, run",
    "L = sqrt(1 + theta^2), whose Hessian is at most 1, gamma = 10/3",
    given={"C003-30": "L is quadratic, or theta starts near the minimum and its local stability is meant"},
    refutes=("C003-30",),
)
def beyond_the_threshold_without_divergence():
    """gamma = 10/3 > 2/lambda_max on sqrt(1 + theta^2): theta = 4/3 is thrown to -4/3 and back, and with the multiplier 7/25 at either point this cycle attracts; nothing diverges. For a quadratic |1 - gamma lambda| > 1 does."""
    L = sp.sqrt(1 + x**2)
    g, H = sp.diff(L, x), sp.diff(L, x, 2)
    assert is_zero(H.subs(x, 0) - 1)
    assert is_zero(H - (1 + x**2) ** R(-3, 2))  # at most 1
    step = R(10, 3)
    for point in (R(4, 3), R(-4, 3)):
        assert gradient_descent_update(point, g.subs(x, point), dt=step, solve=lambda u: u) == -point
        assert 1 - step * H.subs(x, point) == R(7, 25)
    problem = gf.FunctionProblem(lambda w: float(np.sqrt(1 + w @ w)), lambda w: w / np.sqrt(1 + w @ w))
    end = gf.solve(problem, gf.GradientDescent(), np.array([0.1]), dt=10 / 3, steps=60).theta
    assert abs(abs(end[0]) - 4 / 3) < 1e-12
    new = gradient_descent_update(x, lam * x, dt=gamma, solve=lambda u: u)
    assert follows(new**2 > x**2, [gamma * lam > 2, x > 0])


@check(
    "argument",
    "any loss along its own flow; sqrt(1 + theta^2) with gamma = 10/3",
    proves=("C003-03",),
    refutes=("C003-03",),
)
def what_a_stable_method_must_lower():
    """Along theta' = -grad W the loss W falls by |grad W|^2; the attracting cycle of `beyond_the_threshold_without_divergence` returns after two steps, so no function of theta falls in every step."""
    u, v = sp.symbols("u v", real=True)  # grad W
    assert is_sum_of_squares(u * u + v * v, [(1, u), (1, v)])  # -dW/dt = (grad W, grad W)
    L = sp.sqrt(1 + x**2)
    once = lambda w: w - R(10, 3) * sp.diff(L, x).subs(x, w)  # noqa: E731
    assert once(R(4, 3)) != R(4, 3)
    assert once(once(R(4, 3))) == R(4, 3)  # W(theta^0) > W(theta^1) > W(theta^2) = W(theta^0) is impossible


@check(
    "arithmetic, run",
    "L = (100x^2 + y^2)/2 from (1, 1), 100 steps",
    given={
        "C003-32": "with .01 the steep direction is done in one step, with .019 x changes its sign in every step, and the start has x != 0"
    },
    refutes=("C003-33",),
)
def trajectories_of_the_quadratic():
    """The multipliers of x are .9, 0, -.9, -1.1 for gamma = .001, .01, .019, .021, the losses after 100 steps .4093, .06699, .01078, 9.5e9. At .01 x is 0 after one step: its modified curvature is infinite, not 150; that of y is 1.00503."""
    A = np.array([100.0, 1.0])
    problem = gf.FunctionProblem(lambda w: float(w @ (A * w) / 2), lambda w: A * w)
    found = {}
    for step in ("0.001", "0.01", "0.019", "0.021"):
        factors = [1 - Fraction(step) * k for k in (100, 1)]
        exact = (100 * factors[0] ** 200 + factors[1] ** 200) / 2
        end = gf.solve(problem, gf.GradientDescent(), np.ones(2), dt=float(step), steps=100).theta
        assert abs(problem.energy(end) / float(exact) - 1) < 1e-11
        found[step] = factors[0], float(exact)
    assert [factor for factor, _ in found.values()] == [Fraction(9, 10), 0, Fraction(-9, 10), Fraction(-11, 10)]
    assert [f"{value:.4g}" for _, value in found.values()] == ["0.4093", "0.06699", "0.01078", "9.495e+09"]
    # (2.26): 100 (1 + 1/2) = 150 and 1.005; e^{-gamma mu} = 1 - gamma lambda has no finite solution mu at 1
    printed = [k * (1 + Fraction(1, 100) * k / 2) for k in (100, 1)]
    assert printed == [150, Fraction(1005, 1000)]
    assert gradient_descent_update(sp.Integer(1), sp.Integer(100), dt=R(1, 100), solve=lambda u: u) == 0
    assert follows(sp.exp(-R(3, 2)) > 0)  # what the curvature 150 would leave of x
    assert abs(-100 * math.log(0.99) - 1.0050336) < 5e-8


@check(
    "argument",
    "every order n of the truncation, as each of its terms is positive; shown to 6",
    refutes=("C003-50", "C003-74"),
)
def no_truncated_loss_has_a_threshold():
    """On lambda x^2/2 every truncation sum_{k<=n} gamma^{k-1} lambda^k/k of the modified curvature is positive for all gamma > 0: convex at gamma = 2/lambda and beyond. The whole series has no real value from gamma lambda = 1 on."""
    for n in range(1, 7):
        truncated = sum(gamma ** (k - 1) * lam**k / k for k in range(1, n + 1))
        assert truncated.is_positive
        assert truncated.subs(gamma, 2 / lam).is_positive
    assert sp.log(sp.Integer(1) - 1) == sp.zoo
    assert sp.im(sp.log(1 - sp.Integer(2))) == sp.pi  # at the threshold itself, gamma lambda = 2


@check(
    "identity, counterexample",
    "one mode of curvature -lambda; L = cos x with gamma = 4",
    given={"C003-51": "the force is compared with that of the gradient flow"},
)
def saddles_and_truncation():
    """Along -lambda gradient descent grows by 1 + gamma lambda, at the rate log(1 + gamma lambda)/gamma < lambda: slower than the flow, never reversed. The truncation -lambda(1 - gamma lambda/2) is positive for gamma lambda > 2, and L + gamma|g|^2/4 has critical points that L has not."""
    new = gradient_descent_update(x, -lam * x, dt=gamma, solve=lambda u: u)
    assert is_zero(new - (1 + gamma * lam) * x)
    p = sp.Symbol("p", positive=True)
    gap = p - sp.log(1 + p)  # positive: 0 at 0, and its derivative is p/(1 + p)
    assert is_zero(gap.subs(p, 0))
    assert is_zero(sp.diff(gap, p) - p / (1 + p))
    assert (p / (1 + p)).is_positive
    assert follows(-lam * (1 - gamma * lam / 2) > 0, [gamma * lam > 2])  # attracts to the saddle
    assert R(3, 2) == -3 * (1 - R(3, 2))  # gamma = 1, lambda = 3, where the exact value is -log 4
    L = sp.cos(x)
    modified = L + sp.diff(L, x) ** 2  # gamma = 4
    at = {x: sp.pi / 3}
    assert is_zero(sp.diff(modified, x).subs(at))
    assert not is_zero(sp.diff(L, x).subs(at))


# %% [markdown]
# ## Analogies


# %%
@check("identity", "L = a cos kx + b cos wx, every a, b, k, w", refutes=("C003-34",))
def no_frequency_filter():
    """For L = a cos kx the modified loss is a cos kx + gamma a^2 k^2 (1 - cos 2kx)/8: the amplitude at k is unchanged, that at 2k is new, and no factor 1 + gamma k^2/4, which would amplify. Two waves have a product term."""
    a, b, k, w = sp.symbols("a b k w", positive=True)
    L = a * sp.cos(k * x)
    modified = L + gamma / 4 * sp.diff(L, x) ** 2
    exact = L + gamma * a**2 * k**2 / 8 * (1 - sp.cos(2 * k * x))
    assert is_zero(sp.expand((modified - exact).subs(sp.cos(2 * k * x), 1 - 2 * sp.sin(k * x) ** 2)))
    printed = (1 + gamma * k**2 / 4) * L
    assert not is_zero(modified - printed)
    assert follows(1 + gamma * k**2 / 4 > 1)  # a high frequency would be amplified, not suppressed
    part = lambda c: c + gamma / 4 * sp.diff(c, x) ** 2  # noqa: E731
    other = b * sp.cos(w * x)
    assert is_zero(part(L + other) - part(L) - part(other) - gamma / 2 * a * b * k * w * sp.sin(k * x) * sp.sin(w * x))
    assert is_zero(modified.subs(gamma, 0) - L)  # gamma -> 0: every frequency passes, none is removed


@check(
    "identity",
    "a quadratic with modes lambda, noise of variance s per step; one mode for the finite step",
    given={"C003-36": "SGD with constant isotropic noise of variance sigma^2/B and gamma -> 0; T = gamma sigma^2/(2B)"},
    refutes=("C003-36",),
)
def temperature_of_sgd():
    """The variance of a mode tends to gamma s/(lambda(2 - gamma lambda)), that is T/lambda with T = gamma s/2 as gamma -> 0; without noise it is 0; and noise of unequal variances has no one T."""
    s = sp.Symbol("s", nonnegative=True)
    stationary = gamma * s / (lam * (2 - gamma * lam))
    recursion = (1 - gamma * lam) ** 2 * stationary + gamma**2 * s
    assert is_zero(recursion - stationary)
    temperature = gamma * s / 2
    assert is_small(stationary - temperature / lam, gamma, 2)  # the Gaussian exp(-L/T) has the variance T/lambda
    assert not is_zero(stationary - temperature / lam)
    assert stationary.subs(s, 0) == 0  # deterministic
    # variances s1, s2 of two modes: T = gamma s1/2 and gamma s2/2
    s1, s2 = sp.symbols("s1 s2", positive=True)
    assert not is_zero(gamma * s1 / 2 - gamma * s2 / 2)


@check("identity", "two states of energies 0 and 1, every T", refutes=("C003-37",))
def sign_of_the_entropy():
    """E - TS is convex in the probability p of the upper state, with its minimum at the Boltzmann distribution; E + TS, as printed, is concave: its minimum is at p = 0, without entropy."""
    p = sp.Symbol("p", positive=True)
    T = sp.Symbol("T", positive=True)
    S = -p * sp.log(p) - (1 - p) * sp.log(1 - p)
    F, printed = p - T * S, p + T * S
    assert is_zero(sp.diff(S, p, 2) + 1 / (p * (1 - p)))  # S is concave on (0, 1)
    boltzmann = 1 / (1 + sp.exp(1 / T))
    assert is_zero(sp.diff(F, p) - 1 - T * (sp.log(p) - sp.log(1 - p)))
    odds = sp.exp(-1 / T)  # p/(1 - p)
    assert is_zero(boltzmann / (1 - boltzmann) - odds)
    assert is_zero(1 + T * sp.log(odds))
    # a concave function on [0, 1] is smallest at an end: 0 at p = 0 and 1 at p = 1
    assert [sp.limit(printed, p, end) for end in (0, 1)] == [0, 1]


@check(
    "counterexample",
    "L = xy; every L in 2 parameters",
    given={"C003-38": "H is positive definite in the region"},
    refutes=("C003-38",),
)
def hessian_as_a_metric():
    """H of L = xy has (v, Hv) = -2 for v = (1, -1), so is no metric on the plane; a metric is what a positive definite, symmetric H is."""
    v = sp.Matrix([1, -1])
    H = sp.hessian(x * y, (x, y))
    assert (v.T * H * v)[0] == -2
    a, b, c = sp.symbols("a b c", real=True)
    # positive definite, by Sylvester: a > 0 and ac > b^2 make the form positive
    assert follows(a * x**2 + 2 * b * x * y + c * y**2 > 0, [a > 0, a * c > b**2, x**2 + y**2 > 0])


@check("counterexample", "L = x^2/2 + y^4/12, where y > 0", refutes=("C003-40",))
def newton_flow_is_no_geodesic():
    """theta' = -H^{-1}g, which is Newton's flow and not the natural gradient, takes x to x e^{-t} and y to y e^{-t/3}: in the flat coordinates (x, y^2/2) of the metric H = diag(1, y^2) no straight line, so no geodesic."""
    L = x**2 / 2 + y**4 / 12
    H = sp.hessian(L, (x, y))
    assert sp.diag(1, y**2) == H
    a, b = sp.symbols("a b", positive=True)
    path = {x: a * sp.exp(-t), y: b * sp.exp(-t / 3)}
    g = sp.Matrix([sp.diff(L, v) for v in (x, y)])
    newton = -H.inv() * g
    assert is_zero(list(newton.subs(path) - sp.Matrix([path[x], path[y]]).diff(t)))
    flat = sp.Matrix([x, y**2 / 2])  # its Jacobian J has J^T J = H
    J = flat.jacobian([x, y])
    assert J.T * J == H
    curve = flat.subs(path)
    speed, bend = curve.diff(t), curve.diff(t, 2)
    assert not is_zero(speed[0] * bend[1] - speed[1] * bend[0])
    assert is_zero(sp.expand((speed[0] * bend[1] - speed[1] * bend[0]) * sp.exp(R(5, 3) * t)) - a * b**2 / 9)


@check("identity, counterexample", "the graph of every L of 2 parameters; three losses", refutes=("C003-41",))
def gaussian_curvature():
    """The graph of L has K = det H/(1 + |g|^2)^2, which falls as |g| grows; a linear loss has |g| > 0 and K = 0, a minimum |g| = 0 and K > 0; and the constant metric H = diag(100, 1) is flat, with det H = 100."""
    L = sum(
        sp.Symbol(f"a{i}{j}", real=True) * x**i * y**j
        for i, j in itertools.product(range(3), repeat=2)
        if 0 < i + j <= 2
    )
    surface = sp.Matrix([x, y, L])
    tangents = [surface.diff(v) for v in (x, y)]
    normal = tangents[0].cross(tangents[1])
    first = sp.Matrix(2, 2, lambda i, j: tangents[i].dot(tangents[j]))
    # second form over the length of the normal, whose square is det of the first
    second = sp.Matrix(2, 2, lambda i, j: surface.diff((x, y)[i]).diff((x, y)[j]).dot(normal))
    K = second.det() / first.det() ** 2
    g2 = sp.diff(L, x) ** 2 + sp.diff(L, y) ** 2
    det = sp.hessian(L, (x, y)).det()
    assert is_zero(K - det / (1 + g2) ** 2)
    numbers = dict.fromkeys(L.free_symbols - {x, y}, 0)
    linear = {**numbers, sp.Symbol("a10", real=True): 1}
    bowl = {**numbers, sp.Symbol("a20", real=True): R(1, 2), sp.Symbol("a02", real=True): R(1, 2)}
    assert (g2.subs(linear), K.subs(linear)) == (1, 0)
    origin = {x: 0, y: 0}
    assert (g2.subs(bowl).subs(origin), K.subs(bowl).subs(origin)) == (0, 1)
    # a constant metric has vanishing Christoffel symbols and so K = 0
    metric = sp.hessian(50 * x**2 + y**2 / 2, (x, y))
    assert metric.det() == 100
    assert all(sp.diff(entry, v) == 0 for entry in metric for v in (x, y))


# %% [markdown]
# ## Mini-batches


# %%
@check(
    "identity",
    "2 to 5 gradients in one parameter, every size of a batch",
    given={"C003-42": "the samples are drawn with replacement"},
    refutes=("C003-42",),
)
def covariance_of_a_batch():
    """The mean of B of N gradients has the expectation g, and the variance Sigma/B with replacement, (N - B)/(N - 1) Sigma/B without: 0 for B = N."""
    for N in range(2, 6):
        g = sp.symbols(f"g0:{N}", real=True)
        mean = sum(g) / sp.Integer(N)
        sigma = sum((one - mean) ** 2 for one in g) / N
        for B in range(1, N + 1):
            ways = [("without", itertools.combinations(range(N), B), R(N - B, N - 1))]
            if N**B <= 64:
                ways.append(("with", itertools.product(range(N), repeat=B), 1))
            for _, batches, factor in ways:
                drawn = [sum(g[i] for i in batch) / sp.Integer(B) for batch in batches]
                assert is_zero(sum(drawn) / len(drawn) - mean)
                spread = sum((one - mean) ** 2 for one in drawn) / len(drawn)
                assert is_zero(spread - factor * sigma / B)
    assert R(4 - 2, 4 - 1) != 1  # N = 4, B = 2


@check(
    "identity, counterexample",
    "2 and 3 batches with smooth losses of 2 parameters; x^2/2 and 3x^2/2",
    refutes=("C003-43",),
)
def modified_loss_of_sgd():
    """For m batches with gradients g_k, V the mean of |g_k - g|^2: over all orders of an epoch the mean step is the flow of L + h(|g|^2 + V)/4 to h^2; over all draws of m with replacement, of L + h|g|^2/4; with h(|g|^2 + 2V)/4, as printed, it is neither."""
    # averaged over the batches as well, V is (N - B)/(N - 1) Tr Sigma/B, by `covariance_of_a_batch`
    for m in (2, 3):
        position, h, _, losses = generic(3, losses=m)
        g = [gradient(one, position) for one in losses]
        mean = sum(g) * Q(1, m)
        V = sum(square(one - mean) for one in g) * Q(1, m)
        assert square(mean) + V == sum(square(one) for one in g) * Q(1, m)

        def epoch(orders, g=g, position=position, h=h):
            """Return the mean displacement of an epoch, to h^2."""
            total, orders = 0 * g[0], [*orders]
            for order in orders:
                d = 0 * g[0]
                for k in order:
                    d = near(d - (g[k] + along(d, g[k], position)) * h, position, 1, 2)
                total = total + d
            return total * Q(1, len(orders))

        def flow_of(extra, losses=losses, mean=mean, position=position, h=h, m=m):
            """Return the displacement of the flow of L + h(|grad L|^2 + extra)/4 over the time mh, to h^2."""
            f = -gradient(sum(losses) * Q(1, m) + Q(1, 4) * h * (square(mean) + extra), position)
            f = near(f, position, 1, 1)
            return f * (m * h) + along(f, f, position) * (Q(m * m, 2) * h**2)

        shuffled = epoch(itertools.permutations(range(m)))
        drawn = epoch(itertools.product(range(m), repeat=m))
        assert agree(shuffled, flow_of(V), position, 2)
        assert agree(drawn, flow_of(0 * V), position, 2)
        for own in (shuffled, drawn):
            assert not agree(own, flow_of(2 * V), position, 2)
    # x^2/2 and 3x^2/2: two steps are (1 - h)(1 - 3h) x = x - 4hx + 3h^2 x in either order; g = 2x, V = x^2
    u, own = sp.symbols("u h", positive=True)
    end = sp.expand((1 - own) * (1 - 3 * own))
    rates = {}
    for name, factor in (("right", 1), ("printed", 2)):
        rate = sp.diff(u**2 + own / 4 * ((2 * u) ** 2 + factor * u**2), u) / u
        rates[name] = is_small(end - (1 - 2 * own * rate + 2 * own**2 * rate**2), own, 3)
    assert rates == {"right": True, "printed": False}


@check(
    "identity",
    "one parameter, L = lambda x^2/2 with noise of variance s; every noise c(x) in one parameter",
    refutes=("C003-44",),
)
def units_of_the_fokker_planck_equation():
    """Drift -lambda x and diffusion gamma^2 s/2 give the variance gamma^2 s/(2 lambda), that of SGD tends to gamma s/(2 lambda): the diffusion of drift -grad L is gamma s/2. Constant noise then leaves exp(-2L/(gamma s)), and no Tr Sigma is added to L."""
    s = sp.Symbol("s", positive=True)
    variance = lambda drift, diffusion: diffusion / drift  # 0 = -2 drift V + 2 diffusion  # noqa: E731
    exact = gamma * s / (lam * (2 - gamma * lam))
    assert not is_small(exact - variance(lam, gamma**2 * s / 2), gamma, 2)
    assert is_small(exact - variance(lam, gamma * s / 2), gamma, 2)
    assert is_zero(variance(gamma * lam, gamma**2 * s / 2) - variance(lam, gamma * s / 2))  # a time per step
    # zero current L' p + (gamma/2)(c p)' = 0: p'/p = -(2/gamma c)(L + gamma c/2)', an added gamma c/2 in one parameter
    L, c, p = sp.Function("L")(x), sp.Function("c")(x), sp.Function("p")(x)
    slope = sp.solve(sp.diff(L, x) * p + gamma / 2 * sp.diff(c * p, x), sp.diff(p, x))[0]
    assert is_zero(sp.expand(slope / p + 2 / (gamma * c) * sp.diff(L + gamma * c / 2, x)))
    assert is_zero(sp.diff(gamma * s / 2, x))  # for constant c the force of the added term is 0


@check(
    "identity",
    "every smooth loss; gamma and B doubled",
    given={"C003-45": "B << N, and only the term of the variance is meant"},
    refutes=("C003-45", "C003-52"),
)
def scaling_with_the_batch():
    """Of gamma|g|^2/4 + gamma(N - B)/(4B(N - 1)) Tr Sigma the second part depends on gamma/B alone as N grows; the first has no B: doubling both doubles it, and a large B leaves it as it is."""
    B, N, trace, g2 = sp.symbols("B N s g2", positive=True)
    first, second = gamma * g2 / 4, gamma * (N - B) / (4 * B * (N - 1)) * trace
    doubled = {gamma: 2 * gamma, B: 2 * B}
    limit = sp.limit(second, N, sp.oo)
    assert is_zero(limit.subs(doubled, simultaneous=True) - limit)
    assert not is_zero(second.subs(doubled, simultaneous=True) - second)
    assert is_zero(first.subs(doubled, simultaneous=True) - 2 * first)
    assert is_zero(sp.diff(first, B))


@check("arithmetic", "the printed numbers", refutes=("C003-46", "C003-47"))
def printed_numbers_of_sgd():
    """gamma sigma^2 d/(2B) = 1.5625, and half of it, .78125, with the coefficient of sampling without replacement; a constant has no gradient; (.1/32)/(.01/512) = 160, not 16."""
    step, size = Fraction(1, 10), 32
    assert step * 1000 / (2 * size) == Fraction(15625, 10000)
    assert step * 1000 / (4 * size) == Fraction(78125, 100000)
    offset = sp.Symbol("offset", real=True)
    L = (100 * x**2 + y**2) / 2
    assert [sp.diff(L + offset, v) - sp.diff(L, v) for v in (x, y)] == [0, 0]
    assert Fraction(1, 10) / 32 / (Fraction(1, 100) / 512) == 160
    assert 512 // 32 == 16  # the ratio of the sizes of the batches


# %% [markdown]
# ## Control


# %%
@check("identity", "every symmetric H of 2 parameters, along an eigenvector", proves=("C003-48",))
def linear_error_equation():
    """e = v e^{-gamma lambda t} solves e' = -gamma H e for Hv = lambda v, and falls to 1/e in the time 1/(gamma lambda)."""
    a, b = sp.symbols("a b", real=True)
    v = sp.Matrix([b, lam - a])  # (H - lambda) v = 0 with H = [[a, b], [b, c]], c from the characteristic equation
    c = lam - b**2 / (lam - a)
    H = sp.Matrix([[a, b], [b, c]])
    e = v * sp.exp(-gamma * lam * t)
    assert is_zero(list(e.diff(t) + gamma * H * e))
    assert is_zero(sp.exp(-gamma * lam / (gamma * lam)) - sp.exp(-1))


@check("decision procedure", "one mode of the printed system, and of the iteration; diag(100, 1)", refutes=("C003-49",))
def damping_of_the_printed_system():
    """e' = -gamma lambda e has one real, negative exponent for every gamma > 0: no oscillation, no divergence. The iteration 1 - gamma lambda has all of them; the best fixed gamma for diag(100, 1) is 2/101."""
    exponent = -gamma * lam
    assert follows(exponent < 0)
    assert follows(1 - z > 0, [z < 1])  # monotone
    assert follows(sp.And(1 - z < 0, z - 1 < 1), [z > 1, z < 2])  # the sign alternates, the size falls
    assert follows(z - 1 > 1, [z > 2])  # the sign alternates, the size grows
    best, rate = R(2, 101), R(99, 101)
    assert [abs(1 - best * k) for k in (100, 1)] == [rate, rate]
    assert follows(sp.Or(*((1 - gamma * k) ** 2 >= rate**2 for k in (100, 1))))  # for every gamma


# %% [markdown]
# ## Explicit regularization and other optimisers


# %%
@check(
    "identity",
    "every smooth loss of 2 parameters",
    given={"C003-53": "the maximum is that of the linear model and rho is small"},
)
def sharpness_aware_step():
    """In |e| <= rho the linear model of L is largest at rho g/|g|, with the value L + rho|g|; its gradient there is g + rho Hg/|g| + O(rho^2): two gradients for a step."""
    u, v, a, b = sp.symbols("u v a b", real=True)
    gap = (u * u + v * v) * (a * a + b * b) - (u * a + v * b) ** 2  # (g, e)^2 <= |g|^2 |e|^2
    assert is_sum_of_squares(gap, [(1, u * b - v * a)])
    position, h, (k,), (L,) = generic(3, more=("k",))  # k = 1/|g|, h = rho
    g, Hg, _, _ = fields(L, position)
    moved = shifted(g, g * (h * k), position, 1)
    assert agree(moved, g + Hg * (h * k), position, 1)


@check(
    "identity",
    "every smooth loss of 2 parameters, every ratio m of the two learning rates",
    given={"C003-54": "mu = (gamma' - gamma)/4 is the coefficient of |g|^2, for the effect of gamma' with gamma"},
)
def explicit_regularization():
    """Gradient descent with gamma = h on L + mu|g|^2, mu = (m - 1)h/4, is to h^2 the flow of L + mh|g|^2/4, which is the modified loss of the learning rate mh."""
    position, h, (m,), (L,) = generic(3, more=("m",))
    g, _, _, _ = fields(L, position)
    penalised = gradient(L + Q(1, 4) * (m - 1) * h * square(g), position)
    wanted = -gradient(L + Q(1, 4) * m * h * square(g), position)
    assert agree(flow(wanted, position, h, 2), step_of(penalised, position, h), position, 2)
    full = gradient(L + Q(1, 4) * m * h * square(g), position)  # the whole gamma'/4 counts gamma/4 twice
    assert not agree(flow(wanted, position, h, 2), step_of(full, position, h), position, 2)


@check("arithmetic", "the printed default alpha and learning rate", refutes=("C003-55",))
def printed_coefficient_of_the_penalty():
    """alpha lr/4 with alpha = 1/4 is lr/16: lr = .001 gets 6.25e-5, .1 in its place needs (.1 - .001)/4 = .02475, 396 times as much; in all 5 lr/16 and not lr'/4."""
    lr, wanted = Fraction(1, 1000), Fraction(1, 10)
    code = Fraction(1, 4) * lr / 4
    assert code == lr / 16 == Fraction(625, 10**7)
    assert (wanted - lr) / 4 == Fraction(2475, 10**5)
    assert (wanted - lr) / 4 / code == 396
    assert lr / 4 + code == 5 * lr / 16


@check("counterexample", "the loop of the function as printed, with the names only", refutes=("C003-56",))
def printed_training_loop_does_not_run():
    """`train_with_egr` reads `epochs`, `train_loader` and `batch_idx`, which neither it nor a line outside the functions binds: a call raises NameError."""
    loop = (
        "def train_with_egr(model, egr_loss, optimizer):\n"
        "    for epoch in range(epochs):\n"
        "        for inputs, targets in train_loader:\n"
        "            total, base, term = egr_loss(model, inputs, targets)\n"
        "            if batch_idx % 100 == 0:\n"
        "                print(base, term)\n"
    )
    names = {}
    exec(compile(loop, "printed", "exec"), names)
    function = names["train_with_egr"]
    assert {"epochs", "train_loader", "batch_idx"} == set(function.__code__.co_names) - {"range", "print"}
    try:
        function(None, None, None)
    except NameError:
        return
    raise AssertionError("it ran")


@check(
    "identity",
    "every smooth loss and constant symmetric P of 2 parameters",
    given={"C003-58": "M is constant, symmetric and positive definite, and the flow is theta' = -M^{-1} grad"},
    refutes=("C003-58",),
)
def constant_preconditioner():
    """theta - hPg is to h^2 the flow of -P grad(L + h(g, Pg)/4); that of -grad(L + h(g, Pg)/4) differs at h already."""
    position, h, (a, b, c), (L,) = generic(3, more=("a", "b", "c"))
    g = gradient(L, position)
    P = lambda v: np.array([a * v[0] + b * v[1], b * v[0] + c * v[1]], dtype=object)  # noqa: E731
    step = gradient_descent_update(position, g, dt=np.asarray(h, dtype=object), solve=P) - position
    modified = gradient(L + Q(1, 4) * h * sum(g * P(g)), position)
    assert agree(flow(-P(modified), position, h, 2), step, position, 2)
    assert not agree(flow(-modified, position, h, 1), step, position, 1)


@check(
    "identity",
    "one parameter with g > 0, every smooth loss; epsilon outside the root as in the update",
    refutes=("C003-59",),
)
def adam_has_another_correction():
    """With averages Adam's field is -u - gamma[(b1/(1-b1) - b2/(1-b2) g/(g+e)) + e/(2(g+e))] u g'/(g+e), u = g/(g+e); the printed loss has g/(2(g+e)) for the bracket. Without averages the ratio is g/e, so that it vanishes for e -> 0 and the printed term does not."""
    theta, g0, g1 = sp.symbols("theta g0 g1", positive=True)
    b1, b2, n = sp.symbols("b1 b2 n", positive=True)
    g = lambda w: g0 + g1 * w  # a gradient to first order, at theta = 0  # noqa: E731
    u = g0 / (g0 + eps)
    # averages that are functions of the last point: m_n = m(theta_{n-1}), theta_{n-2} = theta_{n-1} + gamma u
    M = lambda w: g(w) + gamma * b1 / (1 - b1) * g1 * u  # noqa: E731
    V = lambda w: g(w) ** 2 + gamma * b2 / (1 - b2) * 2 * g(w) * g1 * u  # noqa: E731
    before = gamma * u
    new, m, v = adam_update(
        np.asarray(theta, dtype=object),
        np.asarray(M(before), dtype=object),
        np.asarray(V(before), dtype=object),
        np.asarray(g(0), dtype=object),
        n,
        dt=gamma, beta1=b1, beta2=b2, eps=eps,
    )  # fmt: skip
    kept_order = lambda e: sp.diff(e, gamma).subs(gamma, 0)  # noqa: E731
    over = {b1**n: 0, b2**n: 0}  # the corrections of the start
    m, v, d = (sp.sympify(np.asarray(part)[()]).subs(over) for part in (m, v, new - theta))
    assert is_zero((m - M(0)).subs(gamma, 0))
    assert is_zero(kept_order(m - M(0)))  # the averages reproduce themselves to first order
    assert is_zero(kept_order(v - V(0)))
    rate = sp.cancel(-d / gamma)
    assert is_zero(rate.subs(gamma, 0) - u)
    first = kept_order(rate) + u * sp.diff(u, g0) * g1 / 2  # of the map, and half of u u' from the flow
    closed = (b1 / (1 - b1) - b2 / (1 - b2) * g0 / (g0 + eps) + eps / (2 * (g0 + eps))) * u * g1 / (g0 + eps)
    assert is_zero(first - closed)
    printed = g0 / (2 * (g0 + eps)) * g1  # -M^{-1} grad(g^2/(4M)), M = g + eps held constant
    printed = printed / (g0 + eps)
    bare = closed.subs({b1: 0, b2: 0})
    assert is_zero(printed / bare - (g0 + eps) / eps)
    assert is_zero(bare.subs(eps, 0))
    assert not is_zero(printed.subs(eps, 0))


@check("identity", "3 parameters", proves=("C003-60",), refutes=("C003-61",))
def preconditioned_norm():
    """(g, M^{-1} g) = sum g_i^2/v_i for M = diag(v); with v_i = c|g_i| a term is |g_i|/c, which is not constant; it is for v_i = c g_i^2."""
    g, v = sp.Matrix(sp.symbols("g0:3", positive=True)), sp.symbols("v0:3", positive=True)
    assert is_zero((g.T * sp.diag(*v).inv() * g)[0] - sum(a**2 / b for a, b in zip(g, v, strict=True)))
    c = sp.Symbol("c", positive=True)
    term = g[0] ** 2 / (c * g[0])
    assert is_zero(term - g[0] / c)
    assert not is_zero(sp.diff(term, g[0]))
    assert is_zero(sp.diff(g[0] ** 2 / (c * g[0] ** 2), g[0]))


# %% [markdown]
# ## Half precision


# %%
def bfloat16(value):
    """Return a number rounded to bfloat16, the upper half of a float32, to nearest and to even, as a float."""
    bits = int(np.float32(value).view(np.uint32))
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 << 16
    return float(np.uint32(rounded).view(np.float32))


@check(
    "counterexample, run",
    "float16 of NumPy; bfloat16 by its definition",
    given={"C003-64": "the model (5.6), with a component that is not zero below its threshold"},
    refutes=("C003-63", "C003-64"),
)
def half_precision():
    """float16 takes g to 0 for |g| <= 2^-25 = 2.98e-8, so 2e-8 > 1e-8 too; bfloat16 keeps 1e-8 and 1e-38. Above, it rounds: 1/3 becomes smaller by 2^-12/3, and 1 + 7/2^13 larger, so that |g|^2 may rise."""
    flush = 2.0**-25
    assert float(np.float16(flush)) == 0
    assert float(np.float16(np.nextafter(flush, 1))) == 2.0**-24
    assert float(np.float16(2e-8)) == 0  # kept by (5.6) with the threshold 1e-8
    assert float(np.float16(3e-8)) == 2.0**-24
    assert float(np.finfo(np.float16).smallest_normal) == 2.0**-14
    for value in (1e-8, 1e-38):
        assert abs(bfloat16(value) / value - 1) < 2.0**-8
    assert bfloat16(2.0**-133) == 2.0**-133  # the smallest of bfloat16
    assert bfloat16(2.0**-134) == 0
    assert Fraction(float(np.float16(1 / 3))) == Fraction(1, 3) - Fraction(1, 3 * 2**12)
    larger = 1 + 7 / 2.0**13
    assert float(np.float16(larger)) ** 2 > larger**2
    # in the model itself the sum loses squares only: <=, and < if and only if one that is not 0 is lost
    kept_part, lost = sp.Symbol("k", nonnegative=True), sp.Symbol("l", positive=True)
    assert follows(kept_part < kept_part + lost)
    # what 10^9 components can lose in all
    assert Fraction(10**9, 2**50) < Fraction(9, 10**7)


# %% [markdown]
# ## Momentum


# %%
@check("identity", "every dimension, by coordinates", proves=("C003-66",))
def averaged_momentum_is_the_heavy_ball():
    """m_new = beta m + (1 - beta) g, theta_new = theta - gamma m_new is the heavy ball with the step gamma(1 - beta) and d = -gamma m."""
    beta, theta, m, g = sp.symbols("beta theta m g", real=True)
    m_new = beta * m + (1 - beta) * g
    theta_new, d_new = heavy_ball_update(theta, -gamma * m, g, dt=gamma * (1 - beta), beta=beta)
    assert is_zero(theta_new - (theta - gamma * m_new))
    assert is_zero(d_new + gamma * m_new)


@check(
    "identity",
    "a constant gradient; every smooth gradient for (5.10)",
    given={"C003-67": "beta near 1, to leading order"},
    refutes=("C003-67", "C003-68"),
)
def momentum_as_an_ode():
    """For constant g, m - g falls by beta a step: the rate is -log(beta)/gamma, (1 - beta)/gamma to first order in 1 - beta. With theta' = -m, (5.9) gives theta'' + (1 - beta)/gamma (theta' + grad L) = 0, in which grad L has the factor that (5.10) lacks."""
    beta = sp.Symbol("beta", positive=True)
    m, g, b = sp.symbols("m g b", real=True)
    assert is_zero(beta * m + (1 - beta) * g - g - beta * (m - g))
    small = sp.Symbol("small", positive=True)  # 1 - beta
    assert is_small(-sp.log(1 - small) - small, small, 2)
    assert not is_small(-sp.log(1 - small) - small, small, 3)
    rate = (1 - beta) / gamma
    speed, force = sp.symbols("v f", real=True)  # theta', grad L
    m_rate = -rate * (m - force)  # (5.9)
    acceleration = -m_rate.subs(m, -speed)
    assert is_zero(acceleration + rate * (speed + force))
    assert not is_zero(acceleration + rate * speed + force)
    # on lambda x^2/2 the slow rate of (5.10) is gamma lambda/(1 - beta) + ..., which tends to 0 with gamma; the flow has lambda
    r = sp.Symbol("r", positive=True)  # e^{-rt}: r^2 - rate r + lambda = 0
    slow = gamma * lam / (1 - b)
    assert is_small(slow**2 - (1 - b) / gamma * slow + lam, gamma, 2)
    corrected = (r**2 - (1 - b) / gamma * r + (1 - b) / gamma * lam).subs(r, lam)
    assert is_zero(corrected - lam**2)  # of order gamma^0, where its other terms are of order 1/gamma


@check(
    "identity, run",
    "every smooth loss of 2 parameters to first order; one mode for the numbers",
    refutes=("C003-69",),
)
def momentum_changes_the_first_order():
    """On the slow manifold m = g + gamma b Hg/(1 - b) + ... and the field is -g - gamma(1 + b)/(2(1 - b)) Hg: L + gamma(1 + b)/(4(1 - b))|g|^2, 19 times the term of gradient descent for b = .9. For lambda = 1, gamma = .002, b = .9 the exact curvature is 1.01976, this loss has 1.0190, the printed one 1.0010."""
    position, h, (c,), (L,) = generic(3, more=("c",))  # c = b/(1 - b), b = c/(1 + c), 1 - b = 1/(1 + c)
    g, Hg, _, _ = fields(L, position)
    N = g + Hg * (h * c)  # the average after a step, as a function of the point before it
    after = shifted(N, -N * h, position, 1), shifted(g, -N * h, position, 1)
    assert agree(after[0] * (1 + c), N * c + after[1], position, 1)  # m_new = b m + (1 - b) g
    modified = -gradient(L + Q(1, 4) * (2 * c + 1) * h * square(g), position)  # (1 + b)/(1 - b) = 1 + 2c
    assert agree(flow(modified, position, h, 2), -N * h, position, 2)
    assert not agree(flow(-gradient(L + Q(1, 4) * h * square(g), position), position, h, 2), -N * h, position, 2)
    # one mode: theta_new = (1 + b - gamma(1 - b) lambda) theta - b theta_old
    numbers = {"gamma": 0.002, "b": 0.9}
    middle = 1 + numbers["b"] - numbers["gamma"] * (1 - numbers["b"])
    root = (middle + math.sqrt(middle**2 - 4 * numbers["b"])) / 2
    assert abs(-math.log(root) / numbers["gamma"] - 1.019757) < 1e-6
    exact = {"gamma": R(1, 500), "b": R(9, 10)}
    own = 1 + exact["gamma"] * (1 + exact["b"]) / (2 * (1 - exact["b"]))
    printed = 1 + exact["gamma"] / 2 + exact["b"] * exact["gamma"] ** 2 / 4
    assert own == R(1019, 1000)
    assert abs(printed - R(10010009, 10**7)) == 0


# %% [markdown]
# ## Schedules and layers


# %%
@check(
    "identity",
    "every smooth loss of 2 parameters; a learning rate that varies with the time, to first order",
    given={
        "C003-70": "t is the sum of the learning rates, and gamma varies slowly: its derivative in t is of its own size"
    },
)
def schedule():
    """With gamma = h phi(s), phi(s + tau) = p + q tau, the step is to h^2 the flow of L + gamma(s)|g|^2/4 over the time gamma."""
    position, h, (p, q), (L,) = generic(3, more=("p", "q"))
    g, Hg, _, _ = fields(L, position)
    # theta(tau) = tau d1 + tau^2 d2: d1 = f(0, 0), 2 d2 = df/dtau + Df f, with f = -g - h(p + q tau) Hg/2
    f0 = -g - Hg * (Q(1, 2) * h * p)
    d2 = (along(f0, f0, position) - Hg * (Q(1, 2) * h * q)) * Q(1, 2)
    own = h * p
    step = step_of(g, position, own)
    assert agree(f0 * own + d2 * own**2, step, position, 2)
    without = along(-g, -g, position) * (Q(1, 2) * own**2) - g * own
    assert not agree(without, step, position, 2)


@check(
    "counterexample",
    "gamma_0 cos(pi t/(2T)) and gamma_0 (1 + cos(pi t/T))/2",
    proves=("C003-71",),
    refutes=("C003-71",),
)
def two_cosine_schedules():
    """Both fall from gamma_0 to 0 by a cosine; at T/2 the printed one is at .7071 gamma_0, the one that usually has the name at .5 gamma_0."""
    T = sp.Symbol("T", positive=True)
    printed = lambda s: sp.cos(sp.pi * s / (2 * T))  # noqa: E731
    usual = lambda s: (1 + sp.cos(sp.pi * s / T)) / 2  # noqa: E731
    for one in (printed, usual):
        assert (one(0), one(T)) == (1, 0)
    assert printed(T / 2) == sp.sqrt(2) / 2
    assert usual(T / 2) == R(1, 2)


@check("identity", "every loss; every schedule along the flow of a step count, to leading order", refutes=("C003-72",))
def the_integral_of_the_penalty():
    """Along dtheta/dn = -gamma(n) g the integral of gamma|g|^2 over n is L_0 - L_T, whatever the schedule. Along theta' = -g the largest gamma(t)|g|^2 at every t has the largest integral, so a constant, not a decay, is best."""
    a, b, step = sp.symbols("a b gamma", real=True)  # grad L, gamma at one n
    speed = [-step * a, -step * b]
    fall = a * speed[0] + b * speed[1]  # dL/dn
    assert is_zero(fall + step * (a**2 + b**2))
    top, weight = sp.symbols("top weight", positive=True)
    assert follows(step * weight <= top * weight, [step <= top])


@check(
    "identity, counterexample",
    "2 parameters as two layers; L = x^2 y^2/2",
    given={"C003-73": "the value of the penalty is meant, not its force"},
    refutes=("C003-73",),
)
def layers_share_the_penalty():
    """|g|^2 is the sum over layers; its gradient 2Hg has a block between layers: for L = x^2 y^2/2 the penalty of x alone, x^2 y^4, has the derivative 4x^2 y^3 by y."""
    L = x**2 * y**2 / 2
    parts = [sp.diff(L, v) ** 2 for v in (x, y)]
    assert is_zero(parts[0] - x**2 * y**4)
    assert is_zero(sp.diff(parts[0], y) - 4 * x**2 * y**3)
    H, g = sp.hessian(L, (x, y)), sp.Matrix([sp.diff(L, v) for v in (x, y)])
    assert is_zero(list(sp.Matrix([sp.diff(sum(parts), v) for v in (x, y)]) - 2 * H * g))
    assert not is_zero(H[0, 1])
