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
# # The network in its inner product
#
# On `gradflow.models` and `gradflow.kernels`. In $(u, v)_M = \mu\,u\cdot v$ the gradient of an energy, the adjoint of a
# Jacobian and the Gram matrix are
#
# $$\nabla_M E = \frac1\mu\,\frac{\partial E}{\partial\theta}, \qquad J^* = \frac1\mu J^T, \qquad
# JJ^* = \frac1\mu JJ^T. \tag{1}$$
#
# Every factor of (1) is shown on the functions that run. The kernels are those of `gradflow.kernels.reference`; the loops that
# are compiled are run as they are written, by `py_func`. The arrays hold symbols: weights, data, directions, the mass $\mu$, the
# factor $\kappa$ of the network and the factor c of the residual. The activation is *any* function with three derivatives:
# $\sigma(z), \sigma'(z), \sigma''(z), \sigma'''(z)$ are independent symbols for each z. Away from its kink a piecewise linear function is one.

# %%
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from itertools import pairwise
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import sympy as sp

from gradflow import (
    Classification,
    Diagonal,
    FunctionProblem,
    GradientRegularized,
    Regression,
    SumOfEnergies,
    TwoLayerNet,
    symbolic,
)
from gradflow.curvature import GaussNewton, Hessian
from gradflow.energies.dense import DenseLeastSquares
from gradflow.energies.linear import Shift, Zero
from gradflow.energies.split import weighted_dot
from gradflow.kernels import reference
from gradflow.kernels.activation import Activation
from gradflow.models.activations import ACTIVATIONS
from gradflow.models.losses import CrossEntropy, ScaledResidual
from gradflow.proofs import check
from gradflow.symbolic import branches, is_zero, symbols

mu, kappa, c, decay = sp.symbols("mu kappa c lambda", positive=True)
SIZES = ((1, 1, 1, 1), (1, 2, 2, 1), (2, 1, 2, 2), (1, 2, 1, 2))
"""Inputs D, neurons m, samples N, outputs k."""
EVERY = "D, m, N, k in {1, 2}; every mass, scale, weight, datum and smooth activation"


class Unknown(sp.Function):
    """A smooth function of which nothing is known, or one of its partial derivatives."""


@cache
def unknown(name, *orders):
    """Return a derivative of the function called `name`, of these orders by its arguments: 0 for the function itself."""

    def fdiff(self, argindex=1):
        return unknown(name, *(n + (i == argindex) for i, n in enumerate(orders, 1)))(*self.args)

    return type(f"{name}{orders}", (Unknown,), {"fdiff": fdiff})


ANY = Activation("any", *(np.frompyfunc(unknown("sigma", n), 1, 1) for n in (0, 1, 2, 3)))


def array(name, *shape):
    """Return an array of symbols."""
    return symbols(name, int(np.prod(shape))).reshape(shape)


def vanishes(*arrays):
    """Return whether all entries are zero, the values of unknown functions being independent symbols."""
    known = {}

    def plain(entry):
        e = sp.sympify(entry)
        return e.xreplace({f: known.setdefault(f, sp.Dummy("f", real=True)) for f in e.atoms(Unknown)})

    return all(is_zero(plain(entry)) for a in arrays for entry in np.ravel(np.asarray(a, dtype=object)))


def along(function, theta, v):
    """Return the derivative of a function along v, entry by entry."""
    eps = sp.Dummy("epsilon", positive=True)  # another one in each derivative of a derivative
    image = np.asarray(function(theta + eps * v), dtype=object)
    return np.frompyfunc(lambda e: sp.diff(e, eps).subs(eps, 0), 1, 1)(image)


def partials(e, theta):
    """Return the partial derivatives of a scalar."""
    return np.array([sp.diff(e, x) for x in theta], dtype=object)


def jacobian_of(entries, theta):
    """Return the matrix of partial derivatives of a vector."""
    return np.array([partials(e, theta) for e in entries], dtype=object)


def shift(number):
    """Return Shift of a symbol, which its constructor would refuse."""
    instance = object.__new__(Shift)
    object.__setattr__(instance, "shift", number)
    return instance


class AnyLoss:
    """A loss that is the sum of an unknown function of the outputs of each sample."""

    def __init__(self, samples, k):
        self.samples, self.k = samples, k

    def rows(self, rows):
        """Return the loss of some samples."""
        return AnyLoss(self.samples[rows], self.k)

    def _each(self, f, *orders):
        return [unknown(f"loss{n}", *orders)(*row) for n, row in zip(self.samples, f, strict=True)]

    def _orders(self, *outputs):
        return tuple(outputs.count(o) for o in range(self.k))

    def energy(self, f):
        """Return the energy."""
        return sum(self._each(f, *self._orders()))

    def energy_and_slope(self, f):
        """Return the energy and its partial derivatives."""
        return self.energy(f), np.array([self._each(f, *self._orders(o)) for o in range(self.k)], dtype=object).T

    def curvature(self, f, v):
        """Return the second derivative along v."""
        each = range(self.k)
        H = np.array([[self._each(f, *self._orders(o, p)) for p in each] for o in each], dtype=object)
        return np.array([H[:, :, n] @ row for n, row in enumerate(v)], dtype=object)

    def third_derivative(self, f, u, v):
        """Return the third derivative along u and v."""
        each = range(self.k)
        T = np.array([[[self._each(f, *self._orders(*o, p)) for p in each] for o in rows] for rows in
                      [[(o, q) for q in each] for o in each]], dtype=object)  # fmt: skip
        return np.array([np.tensordot(T[..., n] @ v[n], u[n], axes=(1, 0)) for n in range(len(f))], dtype=object)


def regression(D, m, N, k, **changes):
    """Return a regression of symbols with the loss c (f - y), and parameters and a direction."""
    net = TwoLayerNet(D, m, k, activation="tanh", kernels="reference")
    x, y = array("x", N, D), array("y", N, k)
    given = {"_s": ANY, "mass": mu, "_scale": kappa, "_loss": ScaledResidual(y, c)}
    problem = Regression(net, x, y)._with(**{**given, **changes})
    return problem, symbols("theta", net.n_parameters), symbols("v", net.n_parameters)


def gradient_of(problem, method="nonlinear_energy_and_gradient"):
    """Return the gradient of F, or of E, as a function."""
    return lambda theta: getattr(problem, method)(theta)[1]


# %% [markdown]
# ## Gradient


# %%
@check("identity", EVERY + "; a least-squares loss of any scale, and a loss that is any function of the outputs")
def gradient_in_the_inner_product():
    """The gradient of F is that in (., .)_M: mu g_j is the partial derivative by theta_j, and (g, v)_M the derivative along v."""
    for D, m, N, k in SIZES:
        for changes in ({}, {"_loss": AnyLoss(range(N), k)}):
            problem, theta, v = regression(D, m, N, k, **changes)
            F, g = problem.nonlinear_energy_and_gradient(theta)
            assert vanishes(F - problem.nonlinear_energy(theta))
            assert vanishes(mu * g - partials(F, theta))
            assert vanishes(problem.inner(g, v) - along(problem.nonlinear_energy, theta, v))


@check("identity", EVERY)
def second_derivatives():
    """`hvp` is the derivative of the gradient along v, and self-adjoint in (., .)_M."""
    for D, m, N, k in SIZES:
        for changes in ({}, {"_loss": AnyLoss(range(N), k)}):
            problem, theta, v = regression(D, m, N, k, **changes)
            H_v = problem.nonlinear_hvp(theta, v)
            assert vanishes(H_v - along(gradient_of(problem), theta, v))
            if k == 2:
                continue
            u = symbols("u", len(v))
            assert vanishes(problem.inner(H_v, u) - problem.inner(v, problem.nonlinear_hvp(theta, u)))


@check("identity", EVERY)
def third_derivatives():
    """`third_derivative` is the derivative of `hvp`, two directions or one: so (D^3 E[u, v], w)_M is symmetric in u, v and w."""
    for D, m, N, k in SIZES:
        for changes in ({}, {"_loss": AnyLoss(range(N), k)}):
            problem, theta, u = regression(D, m, N, k, **changes)
            v = symbols("w", len(u))
            D3 = problem.third_derivative(theta, u, v)
            assert vanishes(D3 - along(lambda t, problem=problem, u=u: problem.nonlinear_hvp(t, u), theta, v))
            assert vanishes(problem.third_derivative(theta, u, u) - problem.third_derivative(theta, u, u + 0 * v))


@check("identity", EVERY + "; L = lambda I and every diagonal L >= 0")
def energy_part_in_the_inner_product():
    """E = (theta, L theta)_M / 2 + F: mu times the gradient g + L theta is the partial derivative; `hvp` gains L v; L is self-adjoint."""
    for D, m, N, k in SIZES[:2]:
        P = (D + 1 + k) * m
        for L in (Zero(), shift(decay), Diagonal(symbols("l", P, nonnegative=True))):
            problem, theta, v = regression(D, m, N, k, linear=L)
            E, g = problem.energy_and_gradient(theta)
            F, g_F = problem.nonlinear_energy_and_gradient(theta)
            assert vanishes(E - F - problem.inner(theta, L.apply(theta)) / 2, g - g_F - L.apply(theta))
            assert vanishes(E - problem.energy(theta))
            assert vanishes(mu * g - partials(E, theta))
            assert vanishes(problem.hvp(theta, v) - problem.nonlinear_hvp(theta, v) - L.apply(v))
            assert vanishes(problem.inner(L.apply(theta), v) - problem.inner(theta, L.apply(v)))


@check("identity", "1 to 3 parameters, every mass, a number or a diagonal")
def inner_product_of_a_mass():
    """(u, v)_M = mu u . v for a network, and sum(mass * u * v) for every mass; without a mass it is u . v."""
    problem, u, v = regression(1, 1, 1, 1)
    assert vanishes(problem.inner(u, v) - mu * sum(a * b for a, b in zip(u, v, strict=True)))
    for P in (1, 2, 3):
        u, v, M = symbols("u", P), symbols("v", P), symbols("m", P, positive=True)
        dot = sum(a * b for a, b in zip(u, v, strict=True))
        for mass, expected in (
            (None, dot),
            (1.0, dot),
            (0.25, dot / 4),
            (mu, mu * dot),
            (M, sum(a * b * w for a, b, w in zip(u, v, M, strict=True))),
        ):
            assert vanishes(weighted_dot(mass, u, v) - expected)


# %% [markdown]
# ## Jacobian, adjoint, Gram matrix


# %%
def adjoint_and_gram(at, q, theta, v, inner, M):
    """Assert that `at` is the linearisation of q at theta in an inner product with the diagonal M."""
    J = jacobian_of(q(theta), theta)
    u = symbols("u", len(J))
    assert vanishes(at.residual - q(theta))
    assert vanishes(at.jacobian() - J)
    assert vanishes(at.jvp(v) - along(q, theta, v), at.jvp(v) - J @ v)
    assert vanishes(M * at.vjp(u) - J.T @ u)
    assert vanishes(inner(at.vjp(u), v) - u @ at.jvp(v))
    K = at.gram()
    assert vanishes(K - (J / M) @ J.T)
    assert vanishes(K @ u - at.jvp(at.vjp(u)))
    if hasattr(at, "gram_trace"):
        assert vanishes(at.gram_trace() - sum(K[i, i] for i in range(len(K))))
    if hasattr(at, "normal_diagonal"):
        assert vanishes(at.normal_diagonal() - np.array([column @ column for column in J.T], dtype=object))


@check("identity", EVERY)
def linearization_of_the_network():
    """`jvp` is the derivative of q, `vjp` its adjoint in (., .)_M, `gram` J J^*, `gram_trace` its trace, `normal_diagonal` that of J^T J; `jacobian` has no mass."""
    for D, m, N, k in SIZES:
        problem, theta, v = regression(D, m, N, k)
        q = lambda t, problem=problem: problem.linearize(t).residual  # noqa: E731
        at = problem.linearize(theta)
        adjoint_and_gram(at, q, theta, v, problem.inner, mu)
        F, g = problem.nonlinear_energy_and_gradient(theta)
        assert vanishes(F - at.residual @ at.residual / 2, g - at.vjp(at.residual))


@check("identity", EVERY)
def linearization_of_the_outputs():
    """`output_blocks`: the same for the outputs f; the rows of `layers`, summed over the samples, are mu times the adjoint."""
    for D, m, N, k in SIZES:
        problem, theta, v = regression(D, m, N, k)
        ((at, loss),) = problem.output_blocks(theta)
        f = lambda t, problem=problem: next(problem.output_blocks(t))[0].outputs.reshape(-1)  # noqa: E731
        adjoint_and_gram(at, f, theta, v, problem.inner, mu)
        E, delta = loss.energy_and_slope(at.outputs)
        F, g = problem.nonlinear_energy_and_gradient(theta)
        assert vanishes(E - F, g - at.vjp(delta.reshape(-1)))
        rows = [layer.inputs.T @ layer.sensitivities[:, 0, :] for layer in at.layers(delta[:, None, :])]
        assert vanishes(mu * g - np.concatenate([part.reshape(-1) for part in rows]))


@check(
    "identity",
    "D = m = N = k = 1, every weight and datum; seven triples of mass, scale and c, powers of 2",
)
def factors_that_are_one():
    """Gradient, `hvp`, adjoint, Gram matrix and inner product have the factors (1) also where some of them are 1, or two of them cancel."""
    half, one, two = 0.5, 1.0, 2.0
    for M, scale, of_q in (
        (one, one, one),
        (half, one, one),
        (half, half, one),
        (two, half, one),
        (4.0, two, one),
        (one, half, two),
        (half, two, half),
    ):
        y = array("y", 1, 1)
        problem, theta, v = regression(1, 1, 1, 1, mass=M, _scale=scale, _loss=ScaledResidual(y, of_q))
        W, a = problem.net.unpack(theta)
        f = scale * (ANY.value(problem._X @ W) @ a)
        q = of_q * (f - y).reshape(-1)
        J, F = jacobian_of(q, theta), q @ q / 2
        at, u = problem.linearize(theta), symbols("u", 1)
        assert vanishes(problem.inner(theta, v) - M * (theta @ v))
        assert vanishes(at.residual - q, at.jvp(v) - J @ v, at.jacobian() - J)
        assert vanishes(M * at.vjp(u) - J.T @ u, M * at.gram() - J @ J.T)
        E, g = problem.nonlinear_energy_and_gradient(theta)
        assert vanishes(E - F, problem.nonlinear_energy(theta) - F, M * g - J.T @ q)
        assert vanishes(M * problem.nonlinear_hvp(theta, v) - jacobian_of(partials(F, theta), theta) @ v)


# %% [markdown]
# ## Blocks of samples, batches


# %%
@check("identity", "3 samples in blocks of 2 and 1; every loss that is a sum over samples")
def blocks_of_samples_add_up():
    """Energy, gradient, `hvp` and the outputs of samples in blocks are those of one block, each sample counted once."""
    losses = (ScaledResidual(array("y", 3, 1), c), AnyLoss(range(3), 1))
    for loss in losses:
        whole, theta, v = regression(1, 2, 3, 1, _loss=loss)
        parts = whole._with(_block=2)
        assert len(list(whole._parts())) == 1
        assert len(list(parts._parts())) == 2
        assert vanishes(whole.nonlinear_energy(theta) - parts.nonlinear_energy(theta))
        for one, other in zip(
            whole.nonlinear_energy_and_gradient(theta), parts.nonlinear_energy_and_gradient(theta), strict=True
        ):
            assert vanishes(one - other)
        assert vanishes(whole.nonlinear_hvp(theta, v) - parts.nonlinear_hvp(theta, v))
        for rows, sizes in ((None, [2, 1]), (1, [1, 1, 1])):
            blocks = list(parts.output_blocks(theta, rows))
            assert [at.outputs.shape[0] for at, _ in blocks] == sizes
            g = sum(at.vjp(part.energy_and_slope(at.outputs)[1].reshape(-1)) for at, part in blocks)
            assert vanishes(g - whole.nonlinear_energy_and_gradient(theta)[1])


def of_numbers(kind, m, N, k, loss, time_scale, **options):
    """Return a problem of the library of N samples, as it is made: its own c, mass and scale; theta and a direction."""
    net = TwoLayerNet(1, m, k, activation="tanh", kernels="reference", **options)
    x = array("x", N, 1)
    if kind is Classification:
        y = np.arange(N) % k
    elif loss == "relative":
        y = np.array(sp.Matrix(N, k, lambda i, j: 2 * (-1) ** i).tolist(), dtype=object)
    else:
        y = array("y", N, k)
    problem = kind(net, x, y, loss, time_scale)._with(_s=ANY)
    return problem, symbols("theta", net.n_parameters), symbols("v", net.n_parameters)


LOSSES = (
    (Regression, "mse"),
    (Regression, "half_sum"),
    (Regression, "relative"),
    (Classification, "squared_onehot"),
)


@check("identity", "N k = 8 and 2, at which c is exact in binary; every output")
def scales_of_the_losses():
    """E is the mean of the squares over all N k entries, half their sum, their sum over that of y^2, or the mean cross-entropy over the N samples."""
    for kind, loss in (*LOSSES, (Classification, "cross_entropy")):
        for N, k in ((4, 2), (1, 2), (2, 4)) if kind is Classification else ((8, 1), (4, 2), (2, 1)):
            problem, *_ = of_numbers(kind, 1, N, k, loss, "mean_field")
            f, y = array("f", N, k), problem._y
            squares = np.sum((f - y) ** 2)
            if loss == "cross_entropy":
                assert vanishes(y - np.array([[int(j == n % k) for j in range(k)] for n in range(N)], dtype=object))
                assert problem.output_loss.weight == 1 / N
                continue
            expected = {"half_sum": squares / 2, "relative": squares / np.sum(y**2)}.get(loss, squares / (N * k))
            assert vanishes(problem.output_loss.energy(f) - expected)
            assert problem.residual_scale == problem.output_loss.c


@check("identity", "D = 1, m = 2 or 4, N k = 2: sizes at which 1/m, kappa and c are exact in binary")
def problems_as_they_are_made():
    """mu is 1/m or 1, kappa 1/m, 1 or m^(-1/2): mu g is the partial derivative, (g, v)_M that along v, J^* the adjoint, J J^* the Gram matrix."""
    for kind, loss in LOSSES:
        for time_scale, m, scaling, scale in (
            ("mean_field", 2, "mean_field", sp.Rational(1, 2)),
            ("autograd", 2, "standard", 1),
            ("mean_field", 4, "ntk", sp.Rational(1, 2)),
        ):
            N, k = (1, 2) if kind is Classification else (2, 1)
            if m == 4 and loss != "mse":
                continue
            problem, theta, v = of_numbers(kind, m, N, k, loss, time_scale, scaling=scaling)
            M = sp.Rational(1, m) if time_scale == "mean_field" else 1
            assert vanishes(problem.inner(theta, v) - M * (theta @ v))
            W, a = problem.net.unpack(theta)
            f = scale * (ANY.value(np.concatenate([problem.x, np.ones((N, 1), dtype=object)], axis=1) @ W) @ a)
            assert vanishes(next(problem.output_blocks(theta))[0].outputs - f)
            F, g = problem.nonlinear_energy_and_gradient(theta)
            assert vanishes(M * g - partials(F, theta))
            at, u = problem.linearize(theta), symbols("u", N * k)
            assert vanishes(at.residual @ at.residual / 2 - F)
            assert vanishes(problem.inner(at.vjp(u), v) - u @ at.jvp(v))
            assert vanishes(at.gram() @ u - at.jvp(at.vjp(u)))


@check(
    "identity", "losses as they are made, N and batches at which every c is exact in binary, every loss over samples"
)
def a_batch_is_its_share():
    """F and its gradient are the sums of those of the batches, times |b| / N, 1, or the share of |y|^2: a batch has the scale of its own samples, and the inner product of all."""
    for kind, loss, N, k, share in (
        (Regression, "mse", 4, 2, sp.Rational(1, 4)),
        (Regression, "half_sum", 3, 1, 1),
        (Regression, "relative", 4, 2, sp.Rational(1, 4)),
        (Classification, "squared_onehot", 4, 2, sp.Rational(1, 4)),
    ):
        whole, theta, v = of_numbers(kind, 1, N, k, loss, "mean_field")
        whole = whole._with(mass=mu)
        parts = [*whole.batches(np.arange(N)[:0:-1].copy(), 1), whole.batch(slice(0, 1))]  # backwards; by a slice
        assert len(parts) == N
        assert all(vanishes(part.inner(theta, v) - whole.inner(theta, v)) for part in parts)
        F, g = zip(*(part.nonlinear_energy_and_gradient(theta) for part in parts), strict=True)
        F_whole, g_whole = whole.nonlinear_energy_and_gradient(theta)
        assert vanishes(F_whole - share * sum(F), g_whole - share * sum(g))
        # residuals that are kept for all samples: those of the batch, in its scale, and back
        q, kept = whole.linearize(theta).residual, symbols("q", N * k)
        for part in parts:
            of_part = part.linearize(theta).residual
            assert vanishes(part.gather(q) - of_part)
            kept = part.scatter(kept, of_part)
        assert vanishes(kept - q)
        assert whole.gather(q) is q
        assert whole.scatter(kept, q) is q


@check("identity", "4 samples of 2 classes, by ones and as a whole")
def a_batch_of_classes_is_its_share():
    """The mean cross-entropy is the sum of those of the batches times |b| / N: each has the weight 1 / |b| of its own samples, and no block of one has another."""
    whole, *_ = of_numbers(Classification, 1, 4, 2, "cross_entropy", "mean_field")
    f = array("f", 4, 2)
    for i in range(4):
        part, block = whole.batch(slice(i, i + 1)), whole.output_loss.rows(slice(i, i + 1))
        assert (whole.output_loss.weight, block.weight, part.output_loss.weight) == (0.25, 0.25, 1.0)
        assert vanishes(part._y - whole._y[i : i + 1], block.y - part._y)
        for branch in branches(
            lambda part=part, block=block, i=i: [of.energy(f[i : i + 1]) for of in (block, part.output_loss)]
        ):
            of_block, of_part = branch.value
            assert vanishes(4 * of_block - of_part)


# %% [markdown]
# ## Losses of the outputs, activations


# %%
def follows_from(loss, f, v, reading):
    """Assert, in every branch, that slope, curvature and third derivative of a loss are the derivatives of energy, slope and curvature."""
    u = array("u", *f.shape)
    along_both = lambda: (loss.curvature(f, v), loss.third_derivative(f, u, v))  # noqa: E731
    for branch in branches(lambda: (loss.energy(f), *loss.energy_and_slope(f), *along_both())):
        E, same, slope, H_v, D3 = branch.value
        assert vanishes(E - same)
        assert vanishes(slope - partials(E, np.ravel(f)).reshape(f.shape))
        H = jacobian_of(np.ravel(slope), np.ravel(f))
        assert vanishes(np.ravel(H_v) - H @ np.ravel(v))
        assert vanishes(np.ravel(D3) - jacobian_of(np.ravel(H_v), np.ravel(f)) @ np.ravel(u))
        reading(E)


@check("identity", "N, k in {1, 2}, k = 3 for one sample; every output, scale and weight")
def slopes_and_curvatures_of_losses():
    """(1) to (4) and (6) of `losses`: E is c^2 |f - y|^2 / 2, or w sum_i log(sum_j exp(f_j) / exp(f_l)); the slope is its derivative, the curvature that of the slope along v, and the third derivative that of the curvature."""
    weight = sp.Symbol("w", positive=True)
    for N, k in ((1, 2), (2, 1), (2, 2)):
        f, y, v = array("f", N, k), array("y", N, k), array("v", N, k)

        def squares(E, f=f, y=y):
            assert vanishes(E - c**2 * np.sum((f - y) ** 2) / 2)

        follows_from(ScaledResidual(y, c), f, v, squares)
    for N, k in ((1, 2), (1, 3), (2, 2)):
        f, v = array("f", N, k), array("v", N, k)
        labels = [k - 1, 0][:N]
        y = np.array([[sp.Integer(j == label) for j in range(k)] for label in labels], dtype=object)

        def likelihood(E, f=f, labels=labels):
            whole = sp.Mul(*(sum(map(sp.exp, row)) / sp.exp(row[label]) for row, label in zip(f, labels, strict=True)))
            assert vanishes(sp.exp(sp.expand(E / weight)) - whole)

        follows_from(CrossEntropy(y, weight), f, v, likelihood)


@check(
    "identity", "every z != 0; z = 0 for the functions with a kink. Without gelu and erf, whose constants are rounded"
)
def derivatives_of_activations():
    """s', s'' and s''' are the derivatives of tanh, sigmoid, softplus, silu, sin and the identity, and of relu and leaky relu away from 0."""
    for z in (sp.Symbol("z", positive=True), sp.Symbol("z", negative=True)):
        at = np.array([z], dtype=object)
        for name, s in ACTIVATIONS.items():
            if name in ("gelu", "erf"):
                continue
            chain = [f(at.copy())[0] for f in (s.value, s.first, s.second, s.third)]
            value, first = chain[:2]
            for found in (sp.diff(before, z) - after for before, after in pairwise(chain)):
                assert found == 0 or vanishes(found)
            assert vanishes(*(a - b for a, b in zip(s.value_and_first(at.copy()), ([value], [first]), strict=True)))
            if s.leak is not None:
                assert vanishes(first - (1 if z.is_positive else s.leak))
    zero = np.array([sp.Integer(0)], dtype=object)
    for name, slope in (("relu", 0), ("leaky_relu", 0.01)):
        assert vanishes(ACTIVATIONS[name].value(zero), ACTIVATIONS[name].first(zero) - slope)


# %% [markdown]
# ## Loops that are compiled


# %%
@contextmanager
def uncompiled():
    """Let the kernels for NumPy arrays run their loops as they are written."""
    module = import_module("gradflow.kernels.numba")
    loops = {name: loop.py_func for name, loop in vars(module).items() if hasattr(loop, "py_func")}
    with patch.multiple(module, **loops):
        yield module


@check("identity", "N, m, k in {1, 2}, two rows of W, every array")
def compiled_loops_are_the_reference():
    """Every kernel for NumPy arrays returns what the reference returns, entry by entry, its loops run as they are written."""
    with uncompiled() as K:
        for N, m, k in ((2, 1, 1), (1, 2, 1), (2, 2, 2)):
            X, W, a = array("x", N, 2), array("w", 2, m), array("a", m, k)
            S, slope, curved = array("s", N, m), array("t", N, m), array("r", N, m)
            delta, delta_dot, b = array("d", N, k), array("e", N, k), array("b", m, k)
            theta, rows = symbols("theta", (2 + k) * m), array("new", 2, k)
            deltas = (delta, delta_dot, array("k", N, k), array("l", N, k))
            for name, arguments in (
                ("unpack", (theta, 2, m, k)),
                ("hidden", (X, W, ANY)),
                ("hidden_and_marks", (X, W, ANY)),
                ("slope_of", (slope, ANY)),
                ("backward", (X, S, slope, delta, a, ANY)),
                ("slope_times", (delta, a, slope)),
                ("gradient", (X, S, slope, delta)),
                ("tangent", (X, W, slope)),
                ("tangent_sensitivity", (delta, delta_dot, a, b, slope, curved)),
                ("tangent_sensitivity", (delta, delta_dot, a, b, slope, None)),
                (
                    "second_tangent_sensitivity",
                    (deltas, (a, b, array("h", m, k)), (slope, curved, S, array("z", N, m))),
                ),
                ("second_tangent_sensitivity", (deltas, (a, b, array("h", m, k)), (slope, None, None, None))),
                ("tangent_gradient", (X, curved, S, slope, delta, delta_dot)),
                ("jacobian", (X, S, slope, a, c)),
                ("gram", (X, S, slope, a, c)),
                ("scatter_rows", (array("full", 3, k), np.array([2, 0]), rows)),
                ("scatter_rows", (array("full", 3, k), np.array([2, 2]), rows)),
            ):
                one, other = getattr(K, name)(*arguments), getattr(reference, name)(*arguments)
                pairs = zip(one, other, strict=True) if isinstance(one, tuple) else [(one, other)]
                assert all(x.shape == y.shape and vanishes(x - y) for x, y in pairs)


def eye(n):
    """Return the unit matrix of integers."""
    return np.array(sp.eye(n).tolist(), dtype=object)


@check("identity", "2 neurons, every sign of two pre-activations each, 1 and 2 outputs")
def loops_that_go_by_the_sign():
    """relu and leaky relu, for NumPy arrays: hidden values, slopes and gradient are those of the reference; the marks are the hidden values."""
    X = eye(2)
    with uncompiled() as K:
        for name in ("relu", "leaky_relu"):
            s = ACTIVATIONS[name]
            Z = np.array(
                [
                    [sp.Symbol(f"z_{i}{j}", **{sign: True}) for j, sign in enumerate(("positive", "negative"))]
                    for i in (0, 1)
                ]
            )
            for k in (1, 2):
                a, delta = array("a", 2, k), array("d", 2, k)
                S, marks = reference.hidden_and_marks(X, Z, s)
                expected = reference.backward(X, S, marks, delta, a, s)
                S_here, marks_here = K.hidden_and_marks(X, Z, s)
                assert vanishes(S_here - S, K.hidden(X, Z, s) - S, K.slope_of(marks_here, s) - marks)
                assert vanishes(K.backward(X, S_here, marks_here, delta, a, s) - expected)


# %% [markdown]
# ## Functions of a user
#
# What a user hands over as a gradient, `FunctionProblem`, is a gradient in the inner product: it is returned as it is. What a
# user hands over as a Jacobian, `DenseLeastSquares`, is the partial derivatives: the mass divides them.


# %%
def unknown_residual(N, P):
    """Return a residual (N,) of P parameters of which nothing is known, and its Jacobian."""
    each = range(P)
    none, one = (0,) * P, [tuple(int(i == j) for i in each) for j in each]
    residual = lambda t: np.array([unknown(f"q{n}", *none)(*t) for n in range(N)], dtype=object)  # noqa: E731
    jacobian = lambda t: np.array([[unknown(f"q{n}", *o)(*t) for o in one] for n in range(N)], dtype=object)  # noqa: E731
    return residual, jacobian


@check(
    "identity",
    "(N, P) = (1, 2), (2, 1), (2, 2); every smooth residual, every mass, a number or a diagonal; weights 4, 0, 1/4",
)
def residual_of_a_user():
    """`DenseLeastSquares`: F = sum w q^2 / 2, its gradient J^* q, J^* = M^-1 J^T, the Gram matrix J M^-1 J^T; `hvp` is the derivative of the gradient if that of J is exact."""
    dense, library = import_module("gradflow.energies.dense"), SimpleNamespace(**{**vars(symbolic), "any": np.any})
    for N, P in ((1, 2), (2, 1), (2, 2)):
        residual, jacobian = unknown_residual(N, P)
        theta, v = symbols("theta", P), symbols("v", P)
        for mass in (mu, 0.25, symbols("m", P, positive=True)):
            for weights in (None, np.array([4.0, 0.0][:N]), np.array([0.25, 4.0][:N])):
                problem = DenseLeastSquares(residual, jacobian, weights=weights)
                problem.mass = mass
                q = lambda t, problem=problem: problem.linearize(t).residual  # noqa: E731
                for at in (problem.linearize(theta), problem.linearize_later(theta)):
                    adjoint_and_gram(at, q, theta, v, problem.inner, mass)
                F, g = problem.nonlinear_energy_and_gradient(theta)
                w = np.ones(N, dtype=int) if weights is None else weights
                assert vanishes(F - np.sum(w * residual(theta) ** 2) / 2, F - problem.nonlinear_energy(theta))
                assert vanishes(mass * g - partials(F, theta), problem.inner(g, v) - along(problem.energy, theta, v))
                with (
                    patch.object(dense, "differences", along),
                    patch.object(dense, "array_namespace", lambda *a: library),
                ):
                    H_v = problem.nonlinear_hvp(theta, v)
                assert vanishes(H_v - along(gradient_of(problem), theta, v))


def functions(name, back):
    """Return an energy of 2 parameters of which nothing is known, its gradient, `back` of the partial derivatives, and `hvp`."""
    F = lambda t: unknown(name, 0, 0)(*t)  # noqa: E731
    gradient = lambda t: back(np.array([unknown(name, *o)(*t) for o in ((1, 0), (0, 1))], dtype=object))  # noqa: E731
    return F, gradient, lambda t, v: along(gradient, t, v)


@check(
    "identity",
    "2 parameters, every smooth energy; every diagonal mass, and every inner product that a matrix gives; every diagonal L",
)
def gradient_of_a_user():
    """`FunctionProblem` returns the gradient and `hvp` as they are given, gradients in (., .)_M, and adds L theta and L v: (g, v)_M is the derivative of E."""
    theta, v, M = symbols("theta", 2), symbols("v", 2), symbols("m", 2, positive=True)
    a, b, d = symbols("a", 3)
    A = np.array([[a, b], [b, d]], dtype=object)
    inverse = np.array([[d, -b], [-b, a]], dtype=object) / (a * d - b**2)
    for options, back in (
        ({"mass": M}, lambda s: s / M),
        ({"mass": 0.25}, lambda s: s * 4),
        ({"inner": lambda u, w: u @ (A @ w)}, lambda s: inverse @ s),
    ):
        F, gradient, hvp = functions("F", back)
        for L in (Zero(), shift(decay), Diagonal(symbols("l", 2, nonnegative=True))):
            if "inner" in options and isinstance(L, Diagonal):
                continue  # not self-adjoint there
            problem = FunctionProblem(F, gradient, hvp, linear=L, **options)
            E, g = problem.energy_and_gradient(theta)
            assert vanishes(E - problem.energy(theta), E - F(theta) - problem.inner(theta, L.apply(theta)) / 2)
            assert vanishes(problem.inner(g, v) - along(problem.energy, theta, v))
            assert vanishes(problem.hvp(theta, v) - along(gradient_of(problem, "energy_and_gradient"), theta, v))


@check(
    "identity",
    "two smooth energies of 2 parameters, weights 2 and 1/4, a mass, energy parts that are zero, numbers or diagonal",
)
def sum_of_energies():
    """`SumOfEnergies`: E is the sum of w_i E_i with one inner product; gradient, `hvp`, terms and energy part follow."""
    theta, v, mass = symbols("theta", 2), symbols("v", 2), 0.5
    terms, weights = [], (2.0, 0.25)
    parts = ((Zero(), Zero()), (Shift(0.5), Diagonal(symbols("l", 2, nonnegative=True))), (Shift(0.5), Shift(4.0)))
    for pair in parts:
        terms = []
        for name, L in zip("FG", pair, strict=True):
            terms.append(FunctionProblem(*functions(name, lambda s: s / mass), linear=L, mass=mass))
        total = SumOfEnergies(terms, weights)
        E, g = total.energy_and_gradient(theta)
        assert vanishes(E - sum(w * term.energy(theta) for w, term in zip(weights, terms, strict=True)))
        assert vanishes(E - total.energy(theta), mass * g - partials(E, theta))
        assert vanishes(total.inner(g, v) - along(total.energy, theta, v))
        assert vanishes(total.hvp(theta, v) - along(gradient_of(total, "energy_and_gradient"), theta, v))
        F_i, g_i = total.term_energies_and_gradients(theta)
        assert vanishes(F_i - total.term_energies(theta), np.sum(F_i) - total.nonlinear_energy(theta))
        assert vanishes(*(mass * g_i[i] - partials(F_i[i], theta) for i in (0, 1)))


@check(
    "identity",
    "smooth energies of 2 parameters, a mass and every inner product that a matrix gives; L zero, a number, diagonal; mu = 1/4, -2",
)
def gradient_regularization():
    """`GradientRegularized`: E + mu |g|_M^2 of the whole gradient, its gradient g + 2 mu H g in (., .)_M, and `hvp`; sums have the third derivative of E."""
    theta, v, u = symbols("theta", 2), symbols("v", 2), symbols("u", 2)
    a, b, d = symbols("a", 3)
    A, inverse = np.array([[a, b], [b, d]]), np.array([[d, -b], [-b, a]]) / (a * d - b**2)
    for options, back in (
        ({"mass": 0.25}, lambda s: s * 4),
        ({"mass": symbols("m", 2, positive=True)}, lambda s: s / symbols("m", 2, positive=True)),
        ({"inner": lambda u, w: u @ (A @ w)}, lambda s: inverse @ s),
    ):
        F, gradient, hvp = functions("F", back)
        third = lambda t, u, v, hvp=hvp: along(lambda x: hvp(x, u), t, v)  # noqa: E731
        for L in (Zero(), Shift(0.5), Diagonal(symbols("l", 2, nonnegative=True))):
            if "inner" in options and isinstance(L, Diagonal):
                continue  # not self-adjoint there
            E = FunctionProblem(F, gradient, hvp, third_derivative=third, linear=L, **options)
            D3 = along(lambda t, E=E: E.hvp(t, u), theta, v)
            assert vanishes(E.third_derivative(theta, u, v) - D3)
            if isinstance(E.mass, float):
                twice = SumOfEnergies([E, E], [2.0, 0.25])
                assert vanishes(twice.third_derivative(theta, u, v) - sp.Rational(9, 4) * D3)
            for times in (0.25, -2.0):
                problem, factor = GradientRegularized(E, times), sp.Rational(times)
                energy, g = E.energy_and_gradient(theta)
                total, slope = problem.energy_and_gradient(theta)
                assert vanishes(problem.energy(theta) - total, total - energy - factor * problem.inner(g, g))
                assert vanishes(problem.inner(slope, v) - along(problem.energy, theta, v))
                if "inner" not in options:
                    assert vanishes(
                        problem.hvp(theta, v) - along(gradient_of(problem, "energy_and_gradient"), theta, v)
                    )


# %% [markdown]
# ## Curvature and damped steps
#
# A damped step solves $(J^*J + L + \tfrac1{\Delta t})\,d = -J^* q - h$. In the parameters the matrix is $M(J^*J + L + \tfrac1{\Delta t}) =
# J^TJ + M(\ldots)$; in the residuals it is $I + \Delta t\,J A^{-1} J^*$.


# %%
def models():
    """Yield Gauss-Newton models of networks and of a user's residual with their J, mass, diagonal of L, and vectors."""
    for D, m, N, k in SIZES[:2]:
        P = (D + 1 + k) * m
        for L, diagonal in (
            (Zero(), 0),
            (shift(decay), decay),
            (Diagonal(symbols("l", P, nonnegative=True)), symbols("l", P)),
        ):
            if L.scalar is None and m == 2:
                continue
            problem, theta, v = regression(D, m, N, k, linear=L)
            yield problem, theta, v, mu, getattr(L, "diagonal", diagonal)
    M = symbols("m", 2, positive=True)
    for L in (Zero(), Diagonal(symbols("l", 2, nonnegative=True))):
        problem = DenseLeastSquares(*unknown_residual(2, 2), linear=L, mass=M)
        yield problem, symbols("theta", 2), symbols("v", 2), M, getattr(L, "diagonal", 0)


@check(
    "identity", EVERY + "; every residual of 2 parameters with a diagonal mass; every L >= 0, a number or a diagonal"
)
def gauss_newton_in_the_inner_product():
    """G = J^* J + L: `apply`, `matrix` = M G, `diagonal`, `blocks`, `root` (R^T R = M G, R^T r = M g), `gram`, `from_rows`, gradient and energy."""
    for problem, theta, v, M, L in models():
        model, P = GaussNewton().at(problem, theta), len(theta)
        J = jacobian_of(model.residual, theta)
        B = J.T @ J + np.diag(M * L + 0 * theta)
        E, g = problem.energy_and_gradient(theta)
        assert vanishes(model.energy - E, model.gradient - g)
        assert vanishes(M * model.apply(v) - B @ v)
        assert vanishes(model.matrix() - B, M * model.diagonal() - np.diag(B))
        assert vanishes(model @ np.stack([v, theta], axis=1) - np.stack([model.apply(v), model.apply(theta)], axis=1))
        assert vanishes(model.rmatvec(v) - M * model.apply(v / M))
        groups = [np.array([[0, P - 1], [P - 1, 1]])] + (
            problem.parameter_blocks("neuron") if hasattr(problem, "net") else []
        )
        for group, blocks in zip(groups, model.blocks(groups), strict=True):
            assert vanishes(blocks - np.array([B[np.ix_(s, s)] for s in group], dtype=object))
        root = model.root()
        assert vanishes(root.R.T @ root.R - B, root.R.T @ root.r - M * g)
        u = symbols("u", len(J))
        assert vanishes(model.gram() - (J / M) @ J.T, M * model.from_rows(u) - J.T @ u)


@check("identity", EVERY + "; every loss of the outputs; every L >= 0, a number")
def matrix_of_the_hessian():
    """M H, column by column from `hvp`, is the matrix of second partial derivatives of E; its diagonal over M is that of H."""
    for D, m, N, k in ((1, 1, 1, 1), (1, 1, 2, 2)):
        problem, theta, _ = regression(D, m, N, k, linear=shift(decay), _loss=AnyLoss(range(N), k))
        model = Hessian().at(problem, theta)
        second = jacobian_of(partials(problem.energy(theta), theta), theta)
        assert vanishes(model.matrix() - second, mu * model.diagonal() - np.diag(second))


@contextmanager
def exact_systems():
    """Let `damped_step` solve its system with I + K exactly, and find J d by a product."""
    module = import_module("gradflow.curvature.damped_step")

    def solve(K, b):
        matrix = sp.Matrix(eye(len(b)) + K)
        return np.array(list(matrix.adjugate() * sp.Matrix(list(b)) / matrix.det()), dtype=object)

    library = SimpleNamespace(sqrt=symbolic.sqrt, ones=symbolic.ones, linalg=SimpleNamespace(trace=lambda K: sp.oo))
    with patch.multiple(module, solve_identity_plus=solve, array_namespace=lambda *arrays: library):
        yield module.damped_step


@check(
    "identity", "D = m = N = k = 1, every mass, scale, weight and datum; A a number or a diagonal, with and without h"
)
def damped_steps_of_the_network():
    """`damped_step` of a network, by the residuals and by the parameters, is the d with (1/dt + A) d + J^* (J d + q) + h = 0: one d, since the operator is positive definite."""
    problem, theta, _ = regression(1, 1, 1, 1)
    at, dt = problem.linearize(theta), sp.Symbol("dt", positive=True)
    q, h = symbols("q", 1), symbols("h", 3)
    for A, given in ((Zero(), None), (shift(decay), h), (Diagonal(symbols("l", 3, nonnegative=True)), h)):
        for solver in ("gram", "parameter"):
            with exact_systems() as damped_step:
                d, J_d = damped_step(at, q, given, A, dt, mass=mu, n_parameters=3, solver=solver)
            rest = d / dt + A.apply(d) + at.vjp(at.jvp(d) + q) + (0 if given is None else given)
            assert vanishes(rest, J_d - at.jvp(d))
