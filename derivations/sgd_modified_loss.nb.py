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
# # The modified loss of stochastic gradient descent
#
# $E = \frac1m \sum_k E_k$ over m batches, $g_k = \nabla E_k$, $g = \nabla E$. An epoch is m steps $\theta \leftarrow \theta - \Delta t\,g_k$. Its
# *mean* over everything that chance may do is a map, and has a modified field. `gradflow.backward_error.mean_epoch` enumerates all
# orders of the batches; it runs here on jets, `gradflow.backward_error.lie`: identities hold for all smooth energies of two variables.
#
# $$\text{without replacement:}\quad E + \tfrac{\Delta t}{4m}\sum_k |g_k|^2 = E + \tfrac{\Delta t}4|g|^2 + \tfrac{\Delta t}{4m}\sum_k|g_k - g|^2,
# \qquad \text{with replacement:}\quad E + \tfrac{\Delta t}4|g|^2.$$
#
# The first is that of Smith, Dherin, Barrett & De (2021). Averaged over the composition of the batches, B of N samples each, it is
#
# $$E + \tfrac{\Delta t}4|g|^2 + \tfrac{\Delta t}4\,\frac{N - B}{N - 1}\,\frac{\operatorname{Tr}\Sigma}B, \qquad
# \Sigma = \tfrac1N\sum_i(\nabla\ell_i - g)(\nabla\ell_i - g)^T.$$
#
# The document "Why the learning rate should not be too small" has $\frac{\Delta t}{2B}\operatorname{Tr}\Sigma$ in both cases.

# %%
from fractions import Fraction
from itertools import combinations, product
from math import comb

import sympy as sp

from gradflow import GradientDescent
from gradflow.backward_error.epochs import mean_epoch
from gradflow.backward_error.lie import jet_field
from gradflow.proofs import check
from gradflow.symbolic import is_zero

TWO = "every smooth energy of two variables"


def descent(problem, theta, dt):
    """Return theta after a step of gradient descent on one energy."""
    scheme = GradientDescent()
    return scheme.step(problem, scheme.init(problem, theta), dt).theta


def epoch(replacement):
    """Return the mean epoch over given batches as a step."""

    def step(problems, theta, dt):
        return mean_epoch(lambda k, at: descent(problems[k], at, dt), len(problems), theta, replacement=replacement)

    return step


def mean_field(step, m):
    """Return f_1 / m and f_2 / m, so that m dt is the time of an epoch, with their algebra."""
    field = jet_field(step, 2, energies=m)
    return *([p / m for p in f] for f in field.field), field.algebra


def squares(a, names):
    """Return |g|^2 for the mean g of the gradients, and the mean of |g_k - g|^2."""
    g = [[a.jet(i, name=name) for i in (0, 1)] for name in names]
    mean = [sum(column, a.ring.zero) / len(names) for column in zip(*g, strict=True)]
    whole = sum((p * p for p in mean), a.ring.zero)
    spread = sum(((p - q) ** 2 for v in g for p, q in zip(v, mean, strict=True)), a.ring.zero) / len(names)
    return whole, spread


def is_gradient_of(a, f, *terms):
    """Return whether f is minus the gradient of the sum of c p over the pairs c, p."""
    p = sum((a.element(c) * p for c, p in terms), a.ring.zero)
    return a.is_zero(*(x + y for x, y in zip(f, a.gradient(p), strict=True)))


quarter = sp.Rational(1, 4)

# %% [markdown]
# ## One epoch


# %%
@check("identity", TWO + "; 2, 3 and 4 batches, all 2, 6 and 24 orders")
def without_replacement():
    """E + dt |g|^2/4 + dt/(4m) sum |g_k - g|^2: the mean over all orders of the batches, each used once."""
    for m in (2, 3, 4):
        f1, f2, a = mean_field(epoch(replacement=False), m)
        names = [f"E{k}" for k in range(m)]
        E = sum((a.jet(name=name) for name in names), a.ring.zero) / m
        whole, spread = squares(a, names)
        assert is_gradient_of(a, f1, (1, E))
        assert is_gradient_of(a, f2, (quarter, whole), (quarter, spread))
        assert is_gradient_of(a, f2, *((quarter / m, a.jet(i, name=name) ** 2) for name in names for i in (0, 1)))
        assert not is_gradient_of(a, f2, (quarter, whole))
        assert not is_gradient_of(a, f2, (quarter, whole), (2 * quarter, spread))


@check("identity", TWO + "; 2 and 3 batches, all 4 and 27 sequences", refutes=("C003-43",))
def with_replacement():
    """E + dt |g|^2/4, as without batches: the mean over all sequences of m batches has no term in the variance of the gradients."""
    for m in (2, 3):
        f1, f2, a = mean_field(epoch(replacement=True), m)
        names = [f"E{k}" for k in range(m)]
        E = sum((a.jet(name=name) for name in names), a.ring.zero) / m
        whole, spread = squares(a, names)
        assert is_gradient_of(a, f1, (1, E))
        assert is_gradient_of(a, f2, (quarter, whole))
        for c in (quarter, 2 * quarter):
            assert not is_gradient_of(a, f2, (quarter, whole), (c, spread))


@check("identity", TWO + "; 3 samples one by one, 4 samples two by two, all orders and compositions")
def over_the_composition_of_the_batches():
    """E + dt |g|^2/4 + (dt/4) (N - B)/(N - 1) Tr Sigma/B: the mean over the orders of the batches and over which samples they hold."""
    for N, size in ((3, 1), (4, 2), (4, 4)):
        m = N // size

        def step(problems, theta, dt, N=N, size=size):
            def batch(chosen, at):
                gradients = [problems[i].energy_and_gradient(at)[1] for i in chosen]
                return at - dt * sum(gradients) / size

            def mean(at, left):
                ways = list(combinations(sorted(left), size))
                return sum(mean(batch(chosen, at), left - {*chosen}) for chosen in ways) / len(ways) if left else at

            return mean(theta, frozenset(range(N)))

        field = jet_field(step, 2, energies=N)
        a, f2 = field.algebra, [p / m for p in field.field[1]]
        whole, trace = squares(a, [f"E{k}" for k in range(N)])
        c = sp.Rational(N - size, (N - 1) * size) / 4
        assert is_gradient_of(a, f2, (quarter, whole), (c, trace))
        printed = sp.Rational(1, 2 * size)
        assert not is_gradient_of(a, f2, (quarter, whole), (printed, trace))


@check(
    "counterexample",
    "N = 4 samples, batches of B = 2, dt = 1/10, l_i = h_i (theta - c_i)^2/2 at theta = 1",
    refutes=("C003-43",),
)
def printed_coefficient_in_numbers():
    """N = 4, B = 2, one epoch: the mean of theta differs from gradient descent with E + dt |g|^2/4 by what dt/12 Tr Sigma makes; the printed dt/4 is 3 times as much."""
    h, c, size = [Fraction(1), Fraction(2), Fraction(3), Fraction(5)], [Fraction(n) for n in (0, 1, -1, 2)], 2
    theta = Fraction(1)
    g = [a * (theta - b) for a, b in zip(h, c, strict=True)]
    mean, slope = sum(g) / 4, sum(h) / 4
    # grad Tr Sigma and grad |g|^2, in one dimension
    trace = sum(2 * (u - mean) * (a - slope) for u, a in zip(g, h, strict=True)) / 4
    square = 2 * mean * slope

    def after(dt):
        def step(chosen, at):
            return at - dt * sum(h[i] * (at - c[i]) for i in chosen) / size

        results = []
        for first in combinations(range(4), 2):
            second = tuple(set(range(4)) - set(first))
            results.append(step(second, step(first, theta)))
        return sum(results) / len(results)

    # coefficient of dt^2: f_2 of the epoch, plus half of f_1' f_1
    values = {dt: after(Fraction(dt)) for dt in (1, -1)}
    second = (values[1] + values[-1]) / 2 - theta
    f2 = second - Fraction(1, 2) * 4 * slope * mean
    assert f2 == -2 * (square / 4 + trace / 12)
    assert trace != 0
    printed = -2 * (square / 4 + trace / 4)
    assert f2 != printed
    assert (printed + square / 2) / (f2 + square / 2) == 3


# %% [markdown]
# ## The covariance of a batch gradient


# %%
def covariance(u, v):
    """Return the mean of the products of deviations from the mean."""
    n = len(u)
    one = sp.Integer(1) if isinstance(u[0], sp.Basic) else Fraction(1)
    p, q = sum(u) * one / n, sum(v) * one / n
    return sum((a - p) * (b - q) for a, b in zip(u, v, strict=True)) * one / n


@check("identity", "one coordinate pair; N = 2 to 5 samples of symbols, every batch size; Fractions for N to 7")
def covariance_of_a_batch():
    """Over all batches of B of N samples without replacement, the covariance of the mean is (N - B)/(N - 1) Sigma/B; with replacement Sigma/B."""
    for N in range(2, 6):
        u, v = sp.symbols(f"u:{N}", real=True), sp.symbols(f"v:{N}", real=True)
        Sigma = covariance(u, v)
        for size in range(1, N + 1):
            batches = list(combinations(range(N), size))
            found = covariance(*([sum(w[i] for i in chosen) / sp.Integer(size) for chosen in batches] for w in (u, v)))
            assert is_zero(found - sp.Rational(N - size, (N - 1) * size) * Sigma)
            if N**size <= 27:
                draws = list(product(range(N), repeat=size))
                found = covariance(
                    *([sum(w[i] for i in chosen) / sp.Integer(size) for chosen in draws] for w in (u, v))
                )
                assert is_zero(found - Sigma / size)
                assert size == 1 or not is_zero(found - sp.Rational(N - size, (N - 1) * size) * Sigma)
    for N in (6, 7):
        u = [Fraction(i * i - 3 * i, i + 2) for i in range(N)]
        for size in range(1, N + 1):
            means = [sum(u[i] for i in chosen) / size for chosen in combinations(range(N), size)]
            assert len(means) == comb(N, size)
            assert covariance(means, means) == Fraction(N - size, (N - 1) * size) * covariance(u, u)


# %% [markdown]
# ## Many steps with replacement
#
# Over $O(1/\Delta t)$ steps the distribution spreads, and its stationary state is not that of a modified loss.


# %%
@check("identity", "E = k theta^2/2, noise of variance s in the gradient, 0 < dt k < 2")
def stationary_variance_of_a_quadratic():
    """The variance tends to dt s/(k (2 - dt k)), the mean energy to dt s/4 for dt -> 0: a quarter, of which no gradient is taken."""
    dt, k, s, v = sp.symbols("dt k s v", positive=True)
    # the noise is +-sqrt(s), independent of theta: the second moment of theta - dt (k theta + noise)
    root = sp.sqrt(v)
    after = [(sign * root * (1 - dt * k) - dt * noise * sp.sqrt(s)) ** 2 for sign in (1, -1) for noise in (1, -1)]
    moved = sum(after) / 4
    fixed = dt * s / (k * (2 - dt * k))
    assert is_zero(moved.subs(v, fixed) - fixed)
    assert is_zero(sp.diff(moved, v) - (1 - dt * k) ** 2)  # contracts for 0 < dt k < 2
    energy = k * fixed / 2
    assert is_zero(sp.limit(energy / dt, dt, 0) - s / 4)
    ornstein_uhlenbeck = dt * s / (2 * k)
    assert fixed.subs({dt: sp.Rational(1, 10), k: 2, s: 1}) == sp.Rational(1, 36)
    assert ornstein_uhlenbeck.subs({dt: sp.Rational(1, 10), k: 2, s: 1}) == sp.Rational(1, 40)


@check("identity", "the Fokker-Planck equation in the time n dt, isotropic covariance c(theta) I in every dimension d")
def stationary_density_of_the_diffusion():
    """Without current, grad log p = -2 grad(E + dt c/2)/(dt c): the modes are those of E + dt Tr C/(2d), and with d = 1 only of the printed form."""
    dt, c, d = sp.symbols("dt c d", positive=True)
    E_v, c_v = sp.symbols("E_v c_v", real=True)  # derivatives along one coordinate
    slope = -(2 * E_v + dt * c_v) / (dt * c)
    # the current over p is -E_v - (dt/2) (c p)_v / p, and (c p)_v / p = c_v + c (log p)_v
    assert is_zero(-E_v - dt / 2 * (c_v + c * slope))
    mode = lambda factor: -2 * (E_v + dt * factor * d * c_v) / (dt * c)  # noqa: E731  # Tr C = d c
    assert is_zero(slope - mode(1 / (2 * d)))
    assert is_zero((slope - mode(sp.Rational(1, 2))).subs(d, 1))
    for more in (2, 3):
        assert not is_zero((slope - mode(sp.Rational(1, 2))).subs(d, more))


@check("arithmetic", "the numbers of the source", refutes=("C003-46", "C003-47"))
def numbers_of_the_source():
    """0.1/32 is 160 times 0.01/512, not 16 times; gamma sigma^2 d/(2B) is 1.5625 and with the coefficient 1/4 0.78125; a constant has no gradient."""
    assert (Fraction(1, 10) / 32) / (Fraction(1, 100) / 512) == 160
    step, variance, d, size = Fraction(1, 10), Fraction(1), 1000, 32
    assert step * variance * d / (2 * size) == Fraction("1.5625")
    assert step * variance * d / (4 * size) == Fraction("0.78125")
    x, y = sp.symbols("x y")
    constant = sp.Rational(25, 16)
    assert all(sp.diff(x**2 + y**2 + constant - x**2 - y**2, v) == 0 for v in (x, y))
