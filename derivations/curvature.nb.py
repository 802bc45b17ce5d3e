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
# # Curvatures of networks
#
# A curvature of a network with outputs $f_i$, partial derivatives $J_i$ and a loss is a sum of outer products,
#
# $$B = \sum_{i,j} \rho_{ij}\rho_{ij}^T, \qquad \rho_{ij} = J_i^T Q_{ij}, \tag{1}$$
#
# and what the rows $Q_{ij}$ are makes it a generalised Gauss-Newton matrix, a Fisher matrix, an empirical one. The classes
# that run are evaluated here on arrays of symbols. Probabilities are symbols with the sum 1; their formula from logits, which is
# written for accuracy and not for reading, is a check of its own.

# %%
from contextlib import contextmanager
from importlib import import_module
from itertools import combinations, product
from types import SimpleNamespace

import numpy as np
import sympy as sp

import gradflow as gf
from gradflow.energies.linear import Zero
from gradflow.energies.protocols import Layer
from gradflow.kernels import reference
from gradflow.models.linearization import NetworkOutputs
from gradflow.models.losses import CrossEntropy, ScaledResidual
from gradflow.models.two_layer import Forward
from gradflow.proofs import check
from gradflow.symbolic import is_zero, symbols

MODULES = [
    import_module(f"gradflow.{name}")
    for name in (
        "models.losses",
        "models.linearization",
        "curvature.outer_products",
        "curvature.fisher",
        "curvature.block_diagonal",
        "curvature.kronecker",
        "curvature.model",
        "curvature.low_rank",
        "curvature.mixture",
        "curvature.sketched",
    )
]


class Standard:
    """NumPy's functions on object arrays, and a root of symbols."""

    sqrt = staticmethod(np.frompyfunc(sp.sqrt, 1, 1))
    exp = staticmethod(np.frompyfunc(sp.exp, 1, 1))

    def __getattr__(self, name):
        """Return NumPy's function."""
        return getattr(np, name)

    @staticmethod
    def eye(n, dtype=None):
        """Return the unit matrix of integers that do not round."""
        return np.array(sp.eye(n).tolist(), dtype=object)

    @staticmethod
    def finfo(dtype):
        """Return a number format without rounding errors."""
        return SimpleNamespace(eps=0)

    linalg = SimpleNamespace(
        qr=lambda A: (A, Standard.eye(A.shape[1])), eigh=lambda A: (np.diag(A), Standard.eye(len(A)))
    )
    """Decompositions of a matrix with orthonormal columns, and of a diagonal one: they are known."""

    @staticmethod
    def max(a):
        """Return a bound that is not needed without rounding errors."""
        return 1


@contextmanager
def on_symbols():
    """Have the modules of the curvatures use `Standard`, and its decompositions."""
    own = {"array_namespace": lambda *arrays: Standard(), "eigh": Standard.linalg.eigh}
    before = [(module, name, getattr(module, name)) for module in MODULES for name in own if hasattr(module, name)]
    try:
        for module, name, _ in before:
            setattr(module, name, own[name])
        yield
    finally:
        for module, name, function in before:
            setattr(module, name, function)


def zero(array):
    """Return whether all entries vanish."""
    return all(is_zero(sp.sympify(entry)) for entry in np.ravel(np.asarray(array, dtype=object)))


def matrix(name, *shape):
    """Return an array of real symbols."""
    return symbols(name, int(np.prod(shape))).reshape(shape)


class Probable(CrossEntropy):
    """Cross-entropy whose probabilities are given."""

    def _probabilities(self, f):
        return f


def softmax(k, N=1):
    """Return probabilities (N, k) with the sums 1, and the loss of weight w with the first label for each sample."""
    p = np.array([[sp.Symbol(f"p_{i}{j}", positive=True) for j in range(k - 1)] for i in range(N)], dtype=object)
    p = np.concatenate([p, 1 - p.sum(axis=1, keepdims=True)], axis=1)
    return p, Probable(np.array([[1] + [0] * (k - 1)] * N, dtype=object), sp.Symbol("w", positive=True))


exact = np.frompyfunc(lambda e: sp.nsimplify(sp.expand(e), rational=True), 1, 1)  # 2.0 is 2


def squares(rows):
    """Return the sum of the outer products of rows (j, k)."""
    return rows.T @ rows


w = sp.Symbol("w", positive=True)
SMALL = "softmax with 2, 3 and 4 classes, all probabilities"

# %% [markdown]
# ## Softmax: Hessian, root, scores
#
# The negative log-likelihood of label l is $\log\sum_j e^{f_j} - f_l$. Its second derivative $\mathrm{diag}(p) - pp^T$ has the
# root $Q = \mathrm{diag}(\sqrt p)(I - \mathbf 1 p^T)$, whose row y is $\sqrt{p_y}(e_y - p)$: the score of the label y, weighted by
# the root of its probability. The sum of their squares is the expectation over labels that the model draws.


# %%
@check("identity", "softmax with 2 and 3 classes, every label, all logits")
def softmax_hessian():
    """The second derivative of log sum exp f - f_l is diag(p) - p p^T for every label l; the score of a label is e_l - p."""
    for k in (2, 3):
        f = matrix("f", k)
        total = sum(sp.exp(x) for x in f)
        p = np.array([sp.exp(x) / total for x in f], dtype=object)
        for label in range(k):
            loss = sp.log(total) - f[label]
            assert zero([sp.diff(loss, f[i]) - (p[i] - int(i == label)) for i in range(k)])
            hessian = [[sp.diff(loss, f[i], f[j]) for j in range(k)] for i in range(k)]
            assert zero(np.array(hessian, dtype=object) - (np.diag(p) - np.outer(p, p)))


@check("identity", "softmax with 2 and 3 classes, logits in every order")
def probabilities_from_logits():
    """The probabilities that the loss computes, from logits relative to that of the label and to the largest, are e^f / sum e^f."""
    for k in (2, 3):
        f = matrix("f", k)
        p = np.array([sp.exp(x) / sum(sp.exp(y) for y in f) for x in f], dtype=object)
        for label, first in product(range(k), range(k)):
            y = np.array([[int(j == label) for j in range(k)]], dtype=object)
            g = f - f[label]
            M = g[first]
            e = np.array([[sp.exp(x - M) for x in g]], dtype=object) * (1 - y)
            loss = CrossEntropy(y, w)
            object.__setattr__(loss, "_parts", lambda f, M=M, e=e: (np.array([[M]]), e, e.sum(axis=1, keepdims=True)))
            with on_symbols():
                assert zero(loss._probabilities(f[None, :])[0] - p)


@check("identity", SMALL)
def softmax_root():
    """Q^T Q = w (diag(p) - p p^T), the product of the loss with a direction, and the expectation of squared scores, whose mean is zero."""
    for k in (2, 3, 4):
        p, loss = softmax(k)
        hessian = w * (np.diag(p[0]) - np.outer(p[0], p[0]))
        with on_symbols():
            Q = loss.root(p)[0]
            scores = loss._scores(p)[1][0]
            assert zero(squares(Q) - hessian)
            products = [loss.curvature(p, Standard.eye(k)[None, j])[0] for j in range(k)]
        assert zero(np.array(products) - hessian)
        assert zero(w * sum(p[0, y] * np.outer(scores[y], scores[y]) for y in range(k)) - hessian)
        assert zero(p[0] @ scores)
        assert zero(hessian @ np.ones(k, dtype=int))  # rank k - 1 at most


@check(
    "arithmetic", "p = (1/4, 1/4, 1/2) and (1/2, 3/16, 5/16), in dyadic numbers, which floating point does not round"
)
def drawn_labels_have_the_probabilities_of_the_model():
    """The class, with draws in the middle of equal intervals: each label is drawn with its share, and the squares are diag(p) - p p^T."""
    for p, S in (([1, 1, 2], 4), ([8, 3, 5], 16)):
        p, draws = np.array([p]) / S, (np.arange(4 * S) + 0.5)[None, :] / (4 * S)
        Q = Probable(np.eye(3)[[0]], 1.0).sampled_root(p, draws)[0]
        assert np.array_equal(squares(Q), np.diag(p[0]) - np.outer(p[0], p[0]))


@check("counterexample", "3 classes with equal probabilities; 2 and 3 classes for the trace")
def sigmoids_are_not_softmax():
    """diag(p (1 - p)) differs from diag(p) - p p^T by a traceless matrix with eigenvalues of both signs: it bounds in no direction."""
    for k in (2, 3):
        p, _ = softmax(k)
        error = np.outer(p[0], p[0]) - np.diag(p[0] ** 2)
        assert zero(np.diag(p[0] * (1 - p[0])) - (np.diag(p[0]) - np.outer(p[0], p[0])) - error)
        assert is_zero(np.trace(error))
    third = sp.ones(3, 3) / 9 - sp.eye(3) / 9
    assert third.eigenvals() == {sp.Rational(2, 9): 1, sp.Rational(-1, 9): 2}


# %% [markdown]
# ## Squared losses
#
# A squared loss $\tfrac{c^2}{2}|f - y|^2$ is, divided by $1/N$, the negative log-likelihood of
# $y \sim N(f, \sigma^2 I)$ with $\sigma^2 = 1/(Nc^2)$. The expectation of squares of $c\,\varepsilon$ is $c^2 I$. The empirical matrix
# has the residual in its place.


# %%
@check(
    "identity", "1 to 3 outputs, 1 and 4 draws; second moments of the normal distribution as the only property of it"
)
def gaussian_scores():
    """The expectation of the squares of drawn rows is c^2 I = I / (N sigma^2), the Hessian of the loss, and its root is c I."""
    c, N = sp.symbols("c N", positive=True)
    for k, S in product((1, 2, 3), (1, 4)):
        loss, f, eps = ScaledResidual(matrix("y", 1, k), c), matrix("f", 1, k), matrix("epsilon", 1, S, k)
        with on_symbols():
            Q, rows = loss.root(f)[0], exact(loss.sampled_root(f, eps)[0])
        energy = loss.energy_and_slope(f)[0]
        hessian = np.array([[sp.diff(energy, a, b) for a in f[0]] for b in f[0]], dtype=object)
        assert zero(squares(Q) - hessian)
        assert zero(hessian - Standard.eye(k) / (N * (1 / (N * c**2))))
        moments = {a * b: int(a is b) for a, b in product(eps.ravel(), repeat=2)}
        mean = np.frompyfunc(lambda e, m=moments: sp.expand(e).subs(m, simultaneous=True), 1, 1)(squares(rows))
        assert zero(mean - hessian)
        # scores (y - f) / sigma^2 with y = f + sigma eps, weighted by 1/N
        sigma = 1 / sp.sqrt(N * c**2)
        assert zero(rows * sp.sqrt(S) - sp.sqrt(1 / N) * eps[0] / sigma)


@check("identity", "2 samples, 2 outputs, every residual and every factor")
def empirical_scales_with_the_residual():
    """Where the residual is multiplied by t, the rows of the empirical matrix are, and the matrix by t^2; the Hessian stays."""
    c, t = sp.symbols("c t", positive=True)
    f, r = matrix("f", 2, 2), matrix("r", 2, 2)
    one, other = (ScaledResidual(f - scale * r, c).energy_and_slope(1 * f)[1] for scale in (1, t))
    assert zero(other - t * one)
    assert zero(squares(other) - t**2 * squares(one))


@check("counterexample", "one sample, 2 classes, p = (1/4, 3/4)")
def the_empirical_matrix_is_no_estimate_of_the_fisher_matrix():
    """With the label of the data it is 9/16 or 1/16 where the Fisher matrix is 3/16, for any number of samples alike; drawn labels have that mean."""
    p = np.array([[sp.Rational(1, 4), sp.Rational(3, 4)]], dtype=object)
    found = []
    for label in (0, 1):
        slope = p[0] - np.array([int(label == 0), int(label == 1)])
        found.append(np.outer(slope, slope)[0, 0])
    true = p[0, 0] * (1 - p[0, 0])
    assert found == [sp.Rational(9, 16), sp.Rational(1, 16)]
    assert true == sp.Rational(3, 16)
    assert p[0, 0] * found[0] + p[0, 1] * found[1] == true


@check("identity", "Bernoulli with its mean as the parameter")
def other_parameters_have_the_fisher_matrix_as_a_mean_only():
    """For the output m with p = m, the second derivative y/m^2 + (1 - y)/(1 - m)^2 depends on the label; its mean is 1/(m (1 - m))."""
    m, y = sp.symbols("m y", positive=True)
    loss = -y * sp.log(m) - (1 - y) * sp.log(1 - m)
    bend, score = sp.diff(loss, m, 2), -sp.diff(loss, m)
    fisher = sum(q * score.subs(y, label) ** 2 for label, q in ((1, m), (0, 1 - m)))
    assert is_zero(fisher - 1 / (m * (1 - m)))
    assert is_zero(m * bend.subs(y, 1) + (1 - m) * bend.subs(y, 0) - fisher)
    assert bend.subs({y: 0, m: sp.Rational(1, 4)}) == sp.Rational(16, 9)
    assert fisher.subs(m, sp.Rational(1, 4)) == sp.Rational(16, 3)


# %% [markdown]
# ## Sums over samples
#
# The class is run on samples whose layers are symbols: inputs $x_i$, sensitivities $d_{ij}$, $\rho_{ij} = x_i \otimes d_{ij}$.


# %%
class Samples:
    """A problem of one layer with symbols for inputs (N, p) and derivative (q, k) of the layer's output."""

    linear, mass = Zero(), sp.Symbol("mu", positive=True)

    def __init__(self, N, p, q, loss, f, back=None):
        self.n_samples, self.n_outputs, self.output_loss = N, f.shape[1], loss
        self.x, self.f = matrix("x", N, p), f
        self.back = matrix("b", N, q, f.shape[1]) if back is None else back

    def output_blocks(self, theta, rows=None):
        """Return one block."""
        return iter([(self, self.output_loss)])

    def parameter_blocks(self, kind):
        """Return the one layer."""
        return [np.arange(self.x.shape[1] * self.back.shape[1])[None, :]]

    @property
    def outputs(self):
        """The outputs."""
        return self.f

    def layers(self, u):
        """Return x and the rows u times the derivative."""
        return [Layer(self.x, np.einsum("ijk,iqk->ijq", u, self.back))]

    def jacobian(self):
        """Return J (N, k, P)."""
        J = np.einsum("ia,iqk->ikaq", self.x, self.back)
        return J.reshape(len(self.x), self.n_outputs, -1)

    def vjp(self, u):
        """Return J^* u, (P,), in the inner product mu u . v."""
        J = self.jacobian()
        return u @ J.reshape(-1, J.shape[2]) / self.mass

    def theta(self):
        """Return parameters, which no formula contains."""
        return matrix("theta", self.x.shape[1] * self.back.shape[1])


def classes(N, p=1, q=2, k=2):
    """Return `Samples` with softmax probabilities and weight 1/N."""
    P, loss = softmax(k, N)
    return Samples(N, p, q, Probable(loss.y, sp.Rational(1, N)), P)


@check("identity", "2 samples with 2 classes, 1 with 3, 2 parameters, any derivative of the outputs")
def true_fisher_is_the_generalised_gauss_newton_matrix():
    """Both models are sum_i J_i^T (diag(p) - p p^T) J_i / N, which is the mean over samples of the expectation of squared scores."""
    for k, N in ((2, 2), (3, 1)):
        problem = classes(N, k=k)
        J, p = problem.jacobian(), problem.f
        with on_symbols():
            found = [
                curvature.at(problem, problem.theta()).matrix()
                for curvature in (gf.curvature.Fisher(), gf.curvature.GeneralizedGaussNewton())
            ]
        by_hessian = sum(J[i].T @ (np.diag(p[i]) - np.outer(p[i], p[i])) @ J[i] for i in range(N)) / sp.Integer(N)
        scores = [[J[i].T @ (Standard.eye(k)[y] - p[i]) for y in range(k)] for i in range(N)]
        enumerated = sum(
            p[i, y] * np.outer(scores[i][y], scores[i][y]) for i in range(N) for y in range(k)
        ) / sp.Integer(N)
        for B in (*found, enumerated):
            assert zero(B - by_hessian)


@check("identity", "3 samples, 2 parameters, any weights of sum 1, any slopes")
def centred_matrix():
    """sum_i w_i (s_i - s)(s_i - s)^T = sum_i w_i s_i s_i^T - s s^T for sum w_i = 1: the rows of the class, with 1/N, and any weights."""
    s, weights = matrix("s", 3, 2), symbols("v", 2)
    weights = np.array([*weights, 1 - sum(weights)], dtype=object)
    mean = weights @ s
    centred = sum(v * np.outer(row - mean, row - mean) for v, row in zip(weights, s, strict=True))
    assert zero(centred - sum(v * np.outer(row, row) for v, row in zip(weights, s, strict=True)) + np.outer(mean, mean))
    # the class, on slopes that are symbols
    slopes = matrix("delta", 4, 1)
    problem = Samples(4, 2, 1, SimpleNamespace(energy_and_slope=lambda f: (0, slopes)), matrix("f", 4, 1))
    per_sample = 4 * np.einsum("ikp,ik->ip", problem.jacobian(), slopes)
    with on_symbols():
        empirical, found = (
            exact(gf.curvature.Fisher(kind).at(problem, problem.theta()).matrix()) for kind in ("empirical", "centred")
        )
    mean = per_sample.sum(axis=0) / sp.Integer(4)
    assert zero(empirical - per_sample.T @ per_sample / sp.Integer(4))
    assert zero(found - empirical + np.outer(mean, mean))


@check("identity", "3 samples, batches of 2 with repeats, one parameter")
def the_square_of_a_batch_gradient_is_not_the_empirical_matrix():
    """Over all batches of B samples with repeats, E[g_B g_B^T] = (EF + (B - 1) g g^T) / B: the averages of Adam tend to another matrix."""
    s = symbols("s", 3)
    g, empirical = sum(s) / 3, sum(x**2 for x in s) / 3
    squares_of_batches = [((s[i] + s[j]) / 2) ** 2 for i, j in product(range(3), repeat=2)]
    assert is_zero(sum(squares_of_batches) / 9 - (empirical + g**2) / 2)


@check("identity", "3 samples, 2 draws with repeats, any probabilities; strata of 1 and 2 samples")
def estimates_from_some_samples():
    """With draws from probabilities q_i the terms s_i^2 / (N q_i) have EF as the mean of their average, twice EF as that of their sum; strata need N_h / N."""
    s = symbols("s", 3)
    q = np.array([*sp.symbols("q1 q2", positive=True), 0], dtype=object)
    q[2] = 1 - q[0] - q[1]
    empirical = sum(x**2 for x in s) / 3
    term = [s[i] ** 2 / (3 * q[i]) for i in range(3)]
    mean = sum(q[i] * q[j] * (term[i] + term[j]) / 2 for i, j in product(range(3), repeat=2))
    assert is_zero(mean - empirical)
    # one draw from the stratum of sample 0, one from that of samples 1 and 2
    by_strata = sum(s[0] ** 2 * sp.Rational(1, 3) + s[j] ** 2 * sp.Rational(2, 3) for j in (1, 2)) / 2
    assert is_zero(by_strata - empirical)
    unweighted = sum((s[0] ** 2 + s[j] ** 2) / 2 for j in (1, 2)) / 2
    assert not is_zero(unweighted - empirical)


# %% [markdown]
# ## ReLU units may be rescaled
#
# For a ReLU unit, $s(z) = s'(z)\,z$. Scaling $W_j$ up and $a_j$ down leaves the outputs: $t_j = (W_j, -a_j)$ has $J t_j = 0$, and
# so $B t_j = 0$ for every matrix (1). The block of a neuron contains $t_j$; those of the layers do not.


# %%
@check("identity", "2 samples, 1 input and the bias, 2 units, 2 outputs, 2 rows, every slope")
def relu_gauge():
    """J t_j = 0 for t_j = (W_j, -a_j), in the network's own rows; the W part alone is no kernel vector."""
    X = np.concatenate([matrix("x", 2, 1), np.array([[sp.Integer(1)]] * 2, dtype=object)], axis=1)
    W, a, slope, U = matrix("W", 2, 2), matrix("a", 2, 2), matrix("m", 2, 2), matrix("u", 2, 2, 2)
    S = slope * (X @ W)
    at = NetworkOutputs(
        reference, None, X, a, Forward(S, slope, S @ a), (S @ a).ravel(), sp.Symbol("kappa", positive=True), 1
    )
    with on_symbols():
        rows = MODULES[2].gradient_rows(at.layers(U))
    for j in (0, 1):
        mask = np.array([int(j == 0), int(j == 1)])
        of_W, of_a = (W * mask).ravel(), (a * mask[:, None]).ravel()
        assert zero(rows @ np.concatenate([of_W, -of_a]))
        assert not zero(rows @ np.concatenate([of_W, 0 * of_a]))


# %% [markdown]
# ## Kronecker factors
#
# K-FAC replaces the mean of products by the product of means, $A \otimes B$. The damped system is diagonal in the product of the
# eigenbases.


# %%
def kronecker(problem, corrected=False):
    """Return the class on symbols."""
    fisher = gf.curvature.Fisher()
    return MODULES[5].KroneckerModel(
        fisher.at(problem, problem.theta()), problem.parameter_blocks("layer"), corrected=corrected
    )


def factored(problem):
    """Return A (x) B of the class, and the block, both (P, P)."""
    model = kronecker(problem)
    ((A, B),) = model.factors
    return np.kron(A, B), model.whole.matrix()


@check("identity", "2 inputs, 2 sensitivities, 2 classes")
def kronecker_factors_are_exact_for_one_sample():
    """A (x) B is the block of the Fisher matrix for one sample, and for two whose scores have the same second moment."""
    with on_symbols():
        AB, block = factored(classes(1, p=2))
        assert zero(AB - block)
        c = sp.Symbol("c", positive=True)
        back = np.stack([matrix("b", 2, 2)] * 2)
        linear = Samples(2, 2, 2, ScaledResidual(matrix("y", 2, 2), c), matrix("f", 2, 2), back)
        AB, block = factored(linear)
        assert zero(AB - block)


@check("counterexample", "2 samples, one input, a squared loss, integers")
def kronecker_factors_are_not_exact():
    """With inputs 1, 2 and derivatives 1, 3 the block is 37, and A (x) B is 25."""
    back = np.array([[[1]], [[3]]], dtype=object)
    problem = Samples(2, 1, 1, ScaledResidual(matrix("y", 2, 1), sp.Integer(1)), matrix("f", 2, 1), back)
    problem.x = np.array([[1], [2]], dtype=object)
    with on_symbols():
        AB, block = factored(problem)
    assert exact(block)[0, 0] == 37
    assert exact(AB)[0, 0] == 25


@check("identity", "factors of size 2, two rational rotations as eigenvectors, every eigenvalue, gradient and damping")
def damped_kronecker_solve():
    """The class's eigenbasis diagonalises A (x) B, and lift(-gamma / (mu + lambda)) solves (A (x) B / m + lambda) d = -g; the factored form does not."""
    lam, m = sp.symbols("lambda m", positive=True)
    turns = []
    for cos, sin in ((sp.Rational(3, 5), sp.Rational(4, 5)), (sp.Rational(5, 13), sp.Rational(12, 13))):
        turns.append(np.array([[cos, -sin], [sin, cos]], dtype=object))
    alpha, beta = (np.array(sp.symbols(f"{n}1 {n}2", positive=True), dtype=object) for n in ("alpha", "beta"))
    U, V = turns
    A, B = (T @ np.diag(e) @ T.T for T, e in ((U, alpha), (V, beta)))
    g = matrix("g", 4)
    whole = SimpleNamespace(
        problem=SimpleNamespace(mass=m, linear=Zero()),
        theta=g,
        definite=True,
        residual=None,
        gradient=g,
        unconfined=lambda what: None,
    )
    model = MODULES[5].KroneckerModel(whole, [np.arange(4)[None, :]], False)
    model.eigen = [MODULES[5].KroneckerFactors(U, V, np.outer(alpha, beta))]
    with on_symbols():
        assert zero(model.apply(g) - np.kron(A, B) @ g / m)
        assert zero(model.diagonal() - np.diag(np.kron(A, B)) / m)
        form = model.own_form(None)
        d = form.lift(-form.gamma / (form.mu + lam))
    d = exact(d)  # square roots of m are powers of 0.5 in the code
    assert zero(np.kron(A, B) @ d / m + lam * d + g)
    root = sp.sqrt(lam)
    eye = Standard.eye(2)
    difference = np.kron(A + root * eye, B + root * eye) - np.kron(A, B) - lam * Standard.eye(4)
    assert zero(difference - root * (np.kron(A, eye) + np.kron(eye, B)))
    assert not zero(difference)


@check(
    "identity", "2 samples, 2 inputs, 2 sensitivities, 2 rows, any two bases; the Frobenius norm for a basis of size 2"
)
def corrected_eigenvalues():
    """EKFAC's numbers are the diagonal of the block in the basis U (x) V; of all diagonals in an orthonormal basis it is the nearest."""
    problem = classes(2, p=2)
    model = kronecker(problem, corrected=True)
    U, V = matrix("U", 2, 2), matrix("V", 2, 2)
    with on_symbols():
        rho = MODULES[2].gradient_rows(
            [layer for block in model.whole.blocks_of_samples() for layer in block.at.layers(block.Q)]
        )
        (layers, _), *_ = model._layers()
        x, d = layers[0]
        mu = ((x @ U) ** 2).T @ np.sum((d @ V) ** 2, axis=1)
    basis = np.kron(U, V)
    assert zero(np.sum((rho @ basis) ** 2, axis=0) - mu.ravel())
    # |F - T diag(m) T^T|^2 = |off-diagonal part of T^T F T|^2 + sum (diagonal - m)^2
    a, b, c, m1, m2 = sp.symbols("a b c m1 m2", real=True)
    F = sp.Matrix([[a, b], [b, c]]) - sp.diag(m1, m2)
    assert is_zero((F * F).trace() - 2 * b**2 - (a - m1) ** 2 - (c - m2) ** 2)


# %% [markdown]
# ## Low rank and damping
#
# Where U has orthonormal columns, its complement is one more eigenspace. The class brings the damped system to a diagonal
# one with $k + 1$ entries: those of U, and the length of what U leaves of g.


# %%
@check(
    "identity", "P = 3, k = 2 rational orthonormal vectors, every eigenvalue, gradient, L, damping, and inner product"
)
def damped_step_of_low_rank():
    """lift(-gamma / (mu + nu)) of the class solves (U diag(mu) U^* + lambda + nu) d = -g; so does the formula of Woodbury."""
    low_rank = MODULES[7]
    m, lam, nu = sp.symbols("m lambda nu", positive=True)
    mu, g, third = np.array(sp.symbols("mu1 mu2", real=True), dtype=object), matrix("g", 3), sp.Rational(1, 3)
    V = third * np.array([[2, -2], [1, 2], [2, 1]], dtype=object)
    assert zero(V.T @ V - Standard.eye(2))
    problem = SimpleNamespace(mass=m, linear=Zero())
    whole = SimpleNamespace(
        problem=problem, theta=g, definite=False, residual=None, gradient=g, unconfined=lambda what: None
    )
    root = sp.sqrt(m)
    U = V / root  # orthonormal in the inner product
    model = low_rank.LowRankModel(whole, lambda model: (U, mu), False)
    model.linear = SimpleNamespace(scalar=lam, apply=lambda u: lam * u)

    def beside(g, without, square):
        rest = without(g)
        return rest / sp.sqrt(square(rest)), sp.sqrt(square(rest))

    before, low_rank.beside = low_rank.beside, beside
    try:
        with on_symbols():
            B = model.matrix()
            form = model.own_form(None)
            d = form.lift(-form.gamma / (form.mu + nu))
            assert zero(exact(model.apply(g) * m - B @ g))
            assert zero(exact(model.diagonal() * m - np.diag(B)))
    finally:
        low_rank.beside = before
    assert zero(exact(B) - m * (V * mu) @ V.T - m * lam * Standard.eye(3))
    c = V.T @ g
    by_woodbury = -(g - V @ c) / (lam + nu) - V @ (c / (mu + lam + nu))
    assert zero(B @ by_woodbury + nu * m * by_woodbury + m * g)
    assert zero(exact(d) - by_woodbury)


# %% [markdown]
# ## Mixtures


# %%
@check("identity", "two parts with a root of 2 rows and an energy part, P = 2, every weight in [0, 1]")
def root_of_a_mixture():
    """R^T R is alpha B_1 + (1 - alpha) B_2, R^T r is M g, with the rows of the energy part once: the class on symbols."""
    alpha = sp.Symbol("alpha", positive=True)
    L_root, L_r, q = matrix("l", 2, 2), matrix("lr", 2), matrix("q", 2, 2)
    J = [matrix("J", 2, 2), None]
    # the second part has the same gradient: J_2^T q_2 = J_1^T q_1, solved for the last row of J_2
    first_row = matrix("k", 1, 2)
    J[1] = np.concatenate([first_row, ((J[0].T @ q[0] - first_row[0] * q[1, 0]) / q[1, 1])[None, :]])
    parts = []
    for rows, r in zip(J, q, strict=True):
        R = np.concatenate([rows, L_root])
        parts.append(
            SimpleNamespace(
                problem=None, theta=q[0], definite=True, in_range=True, residual=None, rows=2, unconfined=lambda what: None,
                matrix=lambda R=R: R.T @ R, apply=lambda v, R=R: R.T @ (R @ v), diagonal=lambda R=R: np.diag(R.T @ R),
                root=lambda R=R, r=r: MODULES[6].Root(R, np.concatenate([r, L_r])),
            )
        )  # fmt: skip
    model = MODULES[8].MixtureModel(parts, (0.5, 0.5))
    model.used = list(zip((alpha, 1 - alpha), parts, strict=True))
    with on_symbols():
        R, r = model.root()
        B = model.matrix()
        assert zero(model.apply(q[1]) - B @ q[1])
        assert zero(model.diagonal() - np.diag(B))
    assert R.shape == (6, 2)
    assert zero(exact(R.T @ R) - B)
    assert zero(B - alpha * parts[0].matrix() - (1 - alpha) * parts[1].matrix())
    assert zero(exact(R.T @ r) - J[0].T @ q[0] - L_root.T @ L_r)


@check("counterexample", "diagonal matrices of size 2")
def the_kernel_of_a_mixture():
    """A sum is singular exactly along the common kernel; a weight outside of [0, 1] makes two semi-definite parts indefinite."""
    F, H, alpha = sp.diag(1, 0), sp.diag(0, 1), sp.Symbol("alpha", positive=True)
    assert (alpha * F + (1 - alpha) * H).eigenvals() == {alpha: 1, 1 - alpha: 1}
    assert (alpha * F + (1 - alpha) * F).eigenvals() == {1: 1, 0: 1}
    assert (alpha * F + (1 - alpha) * H).subs(alpha, sp.Rational(3, 2)).eigenvals() == {
        sp.Rational(3, 2): 1,
        -sp.Rational(1, 2): 1,
    }


# %% [markdown]
# ## Sketches
#
# The random choices are few, and may all be enumerated. The Gaussian sketch has $E[T_{ij}T_{kl}] = \delta_{ik}\delta_{jl}/d$ by
# definition, and so the mean I.


# %%
@check("arithmetic", "all signs and columns for P = 3, d = 2 and for P = 2, d = 3")
def mean_of_the_sparse_sketch():
    """E[T T^T] = I over all draws of the class's matrix, and the diagonal is 1 in each of them."""
    for P, d in ((3, 2), (2, 3)):
        squares_of_draws = []
        for signs, columns in product(product((1.0, -1.0), repeat=P), product(range(d), repeat=P)):
            T = MODULES[9].signs_in_columns(np.array(signs), np.array(columns), d)
            squares_of_draws.append(T @ T.T)
            assert np.array_equal(np.diag(T @ T.T), np.ones(P))
        assert np.array_equal(sum(squares_of_draws), len(squares_of_draws) * np.eye(P))


@check(
    "arithmetic", "all signs and all sets of d columns for P = 3 of n = 4 rows, d = 1 to 4; n = 1 to 32 for the matrix"
)
def mean_of_the_hadamard_sketch():
    """E[T T^T] = I over all draws of the class's matrix; for given signs already the mean over columns is I; H H^T = n I."""
    for d in (1, 2, 3, 4):
        for signs in product((1.0, -1.0), repeat=3):
            total, sets = np.zeros((3, 3)), list(combinations(range(4), d))
            for columns in sets:
                H = MODULES[9].hadamard_columns(np.array(signs), np.array(columns))
                total = total + H @ H.T
                assert np.array_equal(np.diag(H @ H.T), d * np.ones(3))
            assert np.array_equal(total, d * len(sets) * np.eye(3))
    for n in (1, 2, 4, 8, 16, 32):
        H = MODULES[9].hadamard_columns(np.ones(n), np.arange(n))
        assert np.array_equal(H @ H.T, n * np.eye(n))
