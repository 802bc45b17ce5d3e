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
# # Curvatures that remember
#
# A sketch of a stream of rows, factored damping, the secant approximation of the second-order term of least squares, weights that
# follow from earlier steps, and estimators of a Fisher matrix. Formulas that run are evaluated on symbols; what remains is
# stated with symbols of its own.

# %%
from itertools import product

import numpy as np
import sympy as sp

from gradflow.curvature import adaptive_mixture, fisher_estimators, kronecker
from gradflow.curvature.structured_secant import structured_secant_update
from gradflow.proofs import check, follows, reached
from gradflow.symbolic import Space, branches, is_zero, symbols

R = sp.Rational


def symmetric(name, n):
    """Return a symmetric array of symbols."""
    return np.array([[sp.Symbol(f"{name}_{min(i, j)}{max(i, j)}", real=True) for j in range(n)] for i in range(n)])


def dense(n):
    """Return M S, s, y, y# and M of symbols."""
    return symmetric("S", n), *(symbols(name, n) for name in ("s", "y", "z")), symbols("m", n, positive=True)


def any_sizes(e):
    """Return an expression with a symbol for each absolute value: sigma is then any number."""
    return e.xreplace(
        {size: sp.Symbol(f"size{i}", positive=True) for i, size in enumerate(sorted(e.atoms(sp.Abs), key=str))}
    )


# %% [markdown]
# ## The secant equation of the second-order term
#
# $S_+ = \sigma S + (w y^* + y w^*)/(y, s) - (w, s)\, y y^*/(y, s)^2$ with $w = y^\# - \sigma S s$.


# %%
@check("identity", "sizes 1 and 2, every diagonal inner product, S and pair")
def secant_equation():
    """S_+ s = y# and S_+ is self-adjoint, with either value of sigma; a pair without (y, s) > 0 leaves S as it is."""
    for n in (1, 2):
        S, s, y, y_sharp, mass = dense(n)
        seen = []
        for branch in reached(
            branches(lambda S=S, s=s, y=y, z=y_sharp, m=mass: structured_secant_update(S, s, y, z, mass=m))
        ):
            taken = any(not isinstance(c, sp.Not) and c.has(y[0]) for c in branch.conditions if not c.has(y_sharp[0]))
            seen.append(taken)
            new = np.asarray(sp.Matrix(branch.value).applyfunc(any_sizes))
            if taken:
                assert is_zero(list(sp.Matrix(new) * sp.Matrix(s) - sp.Matrix(mass * y_sharp)))
                assert is_zero(list(np.ravel(new - new.T)))
            else:
                assert is_zero(list(np.ravel(new - S)))
        assert set(seen) == {True, False}


@check("identity", "P = 2, every positive definite W with W s = y, every self-adjoint D with D s = 0")
def least_change():
    """tr(W^{-1} (S_+ - sigma S) W^{-1} D) = 0: S_+ is the nearest of all operators with its secant equation."""
    W, s, w = sp.Matrix(symmetric("W", 2)), sp.Matrix(symbols("s", 2)), sp.Matrix(symbols("w", 2))
    y = W * s
    ys = (y.T * s)[0]
    change = (w * y.T + y * w.T) / ys - (w.T * s)[0] * y * y.T / ys**2
    across = sp.Matrix([-s[1], s[0]])
    D = across * across.T
    assert is_zero(list(D * s))
    assert is_zero((W.inv() * change * W.inv() * D).trace())
    assert is_zero(list(change * s - w))


@check("identity", "2 residuals that are quadratic in 2 parameters")
def what_the_pair_measures():
    """(J - J_-)^T q = sum q_i A_i s for quadratic residuals: the second-order term at theta, along s."""
    A = [sp.Matrix(symmetric(name, 2)) for name in "AB"]
    b, c = [sp.Matrix(symbols(name, 2)) for name in "bd"], symbols("c", 2)
    theta, s = sp.Matrix(symbols("t", 2)), sp.Matrix(symbols("s", 2))
    rows = lambda at: sp.Matrix.hstack(*(b[i] + A[i] * at for i in (0, 1)))  # noqa: E731  J^T
    q = sp.Matrix([c[i] + (b[i].T * theta)[0] + (theta.T * A[i] * theta)[0] / 2 for i in (0, 1)])
    assert is_zero(list((rows(theta) - rows(theta - s)) * q - (q[0] * A[0] + q[1] * A[1]) * s))


# %% [markdown]
# ## Factored damping
#
# In the eigenbasis of both factors, the eigenvalues are $(\alpha + \pi\sqrt\lambda)(\beta + \sqrt\lambda/\pi)$.


# %%
@check("identity, run", "factors of size 2 by 2 in their eigenbases, every lambda > 0")
def factored_damping():
    """It exceeds A (x) B + lambda by sqrt(lambda) (pi I (x) B + A (x) I / pi) >= 0, whose trace is least for the class's pi."""
    alpha, beta, (lam, pi) = (
        symbols("alpha", 2, positive=True),
        symbols("beta", 2, positive=True),
        symbols("l", 2, positive=True),
    )
    root = sp.sqrt(lam)
    extra = [(a + pi * root) * (b + root / pi) - a * b - lam for a, b in product(alpha, beta)]
    wanted = [root * (pi * b + a / pi) for a, b in product(alpha, beta)]
    assert is_zero([e - w for e, w in zip(extra, wanted, strict=True)])
    assert all(w.is_positive for w in wanted)
    trace = sum(extra)
    for numbers in ((1, 3, 2, 5), (2, 7, 1, 1)):
        A, B = np.diag(numbers[:2]).astype(float), np.diag(numbers[2:]).astype(float)
        at = dict(zip((*alpha, *beta), numbers, strict=True))
        best = sp.sqrt(R(sum(numbers[:2]), sum(numbers[2:])))
        assert is_zero(sp.diff(trace.subs(at), pi).subs(pi, best))
        assert abs(float(kronecker.trace_ratio(A, B)) - float(best)) < 1e-15 * float(best) * 4
    assert sp.expand(sp.diff(trace, pi, 2)).is_positive


# %% [markdown]
# ## Frequent directions
#
# A reduction replaces the squares $s_1 \ge s_2 \ge \dots$ by $\max(s_i - \delta, 0)$ with $\delta = s_{l+1}$.


# %%
@check("decision procedure", "l = 1 and 3 singular values, every size; the sums with symbols for the traces")
def frequent_directions():
    """0 <= s_i - max(s_i - delta, 0) <= delta, their sum is at least (l + 1) delta; with the traces along k vectors, (l + 1 - k) Delta <= |A - A_k|^2."""
    s1, s2, s3 = sp.symbols("s1 s2 s3", real=True)
    ordered = [s1 >= s2, s2 >= s3, s3 >= 0]
    loss = [s2, s2, s3]  # of s1 - max(s1 - s2, 0), and of those that become 0, delta = s2
    assert all(follows(x >= 0, ordered) and follows(x <= s2, ordered) for x in loss)
    assert follows(sum(loss) >= 2 * s2, ordered)
    # traces: of A, of B, of A along its first k vectors, of B along them; the tail is that of A less that along k vectors
    total, kept, along, below, Delta, k, l = sp.symbols("total kept along below Delta k l", real=True)
    given = [(l + 1) * Delta <= total - kept, kept >= below, along - below <= k * Delta]
    assert follows((l + 1) * Delta - k * Delta <= total - along, given)


# %% [markdown]
# ## Weights


# %%
@check("identity", "every dimension, inner product and self-adjoint H")
def agreement_of_a_quadratic_energy():
    """E(theta - s) - E(theta) = (s, H s)/2 - (g, s), so that the ratio is 1 for G_1 = H."""
    P = Space("P")
    H = P.operator("H")
    theta, s = P.vectors("theta s")
    E = lambda at: P.inner(at, H(at)) / 2  # noqa: E731
    g = H(theta)
    assert is_zero(E(theta - s) - E(theta) - P.inner(s, H(s)) / 2 + P.inner(g, s))


@check("identity, run", "2 and 3 parts, every loss and rate, with the logarithms of the weights as symbols")
def hedge_is_follow_the_regularised_leader():
    """(q, L) + sum q log q / eta exceeds its value at the class's weights by KL(q, alpha)/eta >= 0: they are its minimiser."""
    eta = sp.Symbol("eta", positive=True)
    for n in (2, 3):
        log_q, log_Z = symbols("u", n), sp.Symbol("Z", real=True)
        L = symbols("L", n)
        q = [sp.Symbol(f"q{i}", positive=True) for i in range(n - 1)]
        q.append(1 - sum(q))
        log_alpha = [-eta * x - log_Z for x in L]  # Z: the logarithm of the sum of exponentials
        value = sum(w * x + w * u / eta for w, x, u in zip(q, L, log_q, strict=True))
        least = -log_Z / eta  # sum alpha (L + log(alpha)/eta)
        divergence = sum(w * (u - v) for w, u, v in zip(q, log_q, log_alpha, strict=True)) / eta
        assert is_zero(value - least - divergence)
    found = adaptive_mixture.hedge_weights(np.array([0.0, 1.0]), float(np.log(3)))
    assert np.allclose(found, [0.75, 0.25], rtol=1e-15)


# %% [markdown]
# ## Estimators from draws


# %%
@check("identity", "N = 2 and 3 numbers F_i in the place of matrices, n = 1 and 2 draws, every p")
def variance_of_importance_sampling():
    """Enumerated: the mean of the estimate is F, and its variance (sum F_i^2/p_i/N^2 - F^2)/n."""
    for N, n in ((2, 1), (2, 2), (3, 1), (3, 2)):
        x, p = symbols("x", N), list(symbols("p", N, positive=True))
        p[-1] = 1 - sum(p[:-1])
        F, mean, square = sum(x) / N, 0, 0
        for draws in product(range(N), repeat=n):
            chance = sp.prod([p[i] for i in draws])
            estimate = sum(x[i] / p[i] for i in draws) / (n * N)
            mean, square = mean + chance * estimate, square + chance * estimate**2
        assert is_zero(mean - F)
        assert is_zero(square - F**2 - (sum(a**2 / b for a, b in zip(x, p, strict=True)) / N**2 - F**2) / n)


@check("arithmetic", "N = 3 samples, all draws of 1 and 2, exact probabilities; strata of 2 and 1 samples")
def weights_have_the_mean_one():
    """E w_i = 1 for the class's weights, by enumeration."""
    p = np.array([0.5, 0.25, 0.25])
    for n in (1, 2):
        draws = list(product(range(3), repeat=n))
        total = sum(np.prod(p[list(d)]) * fisher_estimators.importance_weights(np.array(d), p) for d in draws)
        assert np.array_equal(total, np.ones(3))
    strata = np.array([0, 1, 0])
    total = sum(fisher_estimators.stratified_weights(np.array([i, 1]), strata) for i in (0, 2)) / 2
    assert np.array_equal(total, np.ones(3))


@check("identity", "one number F(theta) = a + b theta + c theta^2 for each of 2 samples, one uniform draw")
def variance_with_a_snapshot():
    """F_i(theta) + F(t) - F_i(t) has the mean F(theta), and a variance of order (theta - t)^2; without the control it has a part of order 0."""
    coefficients = [symbols(name, 3) for name in "ab"]
    theta, t = sp.symbols("theta t", real=True)
    F_i = [lambda at, c=c: c[0] + c[1] * at + c[2] * at**2 for c in coefficients]
    F = lambda at: (F_i[0](at) + F_i[1](at)) / 2  # noqa: E731
    for control, order in ((1, 2), (0, 0)):
        values = [f(theta) + control * (F(t) - f(t)) for f in F_i]
        assert is_zero(sum(values) / 2 - F(theta))
        variance = sp.expand(sum(v**2 for v in values) / 2 - F(theta) ** 2)
        assert is_zero(sp.rem(variance, (theta - t) ** order, theta))
        assert (order == 2) == is_zero(variance.subs(theta, t))
