r"""
Exercise 1.2: the Fisher matrix of softmax regression
=====================================================

Claim: for the logits :math:`w_k^Tx`, the blocks of the Fisher matrix are :math:`\mathbb E[p_i(1 - p_i)\,xx^T]` on the diagonal and
:math:`-\mathbb E[p_ip_j\,xx^T]` beside it.

True. Three things belong to it.

* The expectation is over x alone: the labels have been summed over, with the probabilities of the model. No label of the data
  is left, and the matrix is the Hessian.
* It is singular: :math:`F = \mathbb E[(\operatorname{diag} p - pp^T) \otimes xx^T]` vanishes on :math:`(u, \dots, u)`, which adds
  one number to all logits. The rank is :math:`(K - 1)\operatorname{rank}\mathbb E[xx^T]`. A method without damping has to
  take the shortest solution, as gradflow does; then :math:`\sum_k w_k` never changes.
* The off-diagonal blocks are not small. Without them, F is the matrix of K independent sigmoids, and Newton's method loses
  its quadratic convergence.

See :doc:`/theory/curvature`, and :doc:`/guide/second_order_exercises` for the other exercises.
"""

# sphinx_gallery_thumbnail_number = 2
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np

import gradflow as gf
from gradflow.curvature.model import Model
from gradflow.plotting import COLOURS, DASHES

rng = np.random.default_rng(1)
N, D, K = 60, 3, 4
x = rng.standard_normal((N, D))
labels = np.where(rng.random(N) < 0.6, np.argmax(x @ rng.standard_normal((D, K)), axis=1), rng.integers(0, K, N))
onehot = np.eye(K)[labels]


def probabilities(theta):
    """Return p, (N, K); theta holds w_1, ..., w_K one after the other."""
    z = x @ theta.reshape(K, D).T
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def hvp(theta, v):
    """Return the Hessian times v."""
    p, dz = probabilities(theta), x @ v.reshape(K, D).T
    return (p * (dz - (p * dz).sum(axis=1, keepdims=True))).T.reshape(K, N) @ x / N


problem = gf.FunctionProblem(
    lambda t: -np.log(probabilities(t)[np.arange(N), labels]).mean(),
    lambda t: ((probabilities(t) - onehot).T @ x / N).ravel(),
    hvp=lambda t, v: hvp(t, v).ravel(),
)

# %%
# Three ways to one matrix
# ------------------------
# By the blocks of the claim, by the definition with enumerated labels, and as the Hessian of the problem.

theta = rng.standard_normal(K * D)
p = probabilities(theta)
blocks = np.block([[
    sum((p[n, i] * ((i == j) - p[n, j])) * np.outer(x[n], x[n]) for n in range(N)) / N for j in range(K)] for i in range(K)
])  # fmt: skip
enumerated = np.zeros((K * D, K * D))
for n in range(N):
    for label in range(K):
        score = np.kron(np.eye(K)[label] - p[n], x[n])
        enumerated += p[n, label] * np.outer(score, score) / N
hessian = gf.curvature.Hessian().at(problem, theta).matrix()
for name, matrix in {"enumerated labels": enumerated, "Hessian": hessian}.items():
    error = np.abs(matrix - blocks).max()
    print(f"{name}: distance to the blocks {error:.1e}")
    assert error < 1e-15

# %%
# The library's own Fisher matrix is that of a network. With the identity as activation and as first layer, its second layer is
# softmax regression; a holds the numbers of :math:`w_1, \dots, w_K` in another order.

net = gf.TwoLayerNet(n_inputs=D, width=D + 1, n_outputs=K, activation="identity", scaling="standard")
a = np.vstack([theta.reshape(K, D).T, np.zeros(K)])  # the last row is that of the constant input
whole = np.concatenate([np.eye(D + 1).ravel(), a.ravel()])
network = gf.Classification(net, x, labels, time_scale="autograd")
F = gf.curvature.Fisher().at(network, whole).matrix()
second = (D + 1) ** 2 + np.array([d * K + k for k in range(K) for d in range(D)])
error = np.abs(F[np.ix_(second, second)] - blocks).max()
print(f"gf.curvature.Fisher: distance to the blocks {error:.1e}")
assert error < 1e-15

# %%
# Singular
# --------

mu = np.linalg.eigvalsh(blocks)
rank = int((mu > 1e-12 * mu[-1]).sum())
u = rng.standard_normal(D)
null = np.abs(blocks @ np.tile(u, K)).max()
print(f"rank {rank} of {K * D}; F (u, ..., u) = {null:.0e}")
assert rank == (K - 1) * D
assert null < 1e-15

sigmoids = np.where(np.kron(np.eye(K), np.ones((D, D))) > 0, blocks, 0.0)
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.8), layout="constrained")
image = left.imshow(blocks, cmap="RdBu", vmin=-np.abs(blocks).max(), vmax=np.abs(blocks).max())
for k in range(1, K):
    left.axhline(k * D - 0.5, color="#333333", linewidth=0.8)
    left.axvline(k * D - 0.5, color="#333333", linewidth=0.8)
left.set(xlabel="parameter", ylabel="parameter", title="F")
figure.colorbar(image, ax=left, shrink=0.8)
number = np.arange(1, K * D + 1)
right.semilogy(number, np.maximum(mu, 1e-18)[::-1], "o", color=COLOURS[0], label="F")
right.semilogy(
    number, np.linalg.eigvalsh(sigmoids)[::-1], "^", color=COLOURS[1], markerfacecolor="none", label="sigmoids"
)
right.set(xlabel="number", ylabel="eigenvalue")
right.grid(alpha=0.25)
right.legend()

# %%
# What the off-diagonal blocks are worth
# ---------------------------------------------
# A curvature is an object with a method `at`. This one keeps the diagonal blocks of the Hessian only.


@dataclass(frozen=True)
class Sigmoids:
    """The matrix of K independent sigmoids."""

    def at(self, problem, theta):
        """Return the model."""
        p = probabilities(theta)

        class Diagonal(Model):
            definite = True

            def apply(self, v):
                return ((p * (1 - p) * (x @ v.reshape(K, D).T)).T @ x / N).ravel()

        return Diagonal(problem, theta)


undamped = gf.curvature.FixedDamping()
methods = {
    "Newton, all blocks": gf.Newton(),
    "diagonal blocks": gf.SecondOrder(curvature=Sigmoids(), globalization=undamped),
    "gradient descent": gf.GradientDescent(),
}
start = np.zeros(K * D)
best = float(problem.energy(gf.solve(problem, gf.Newton(), start, steps=30).theta))
figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
count = {}
for i, (name, method) in enumerate(methods.items()):
    dt = 1.0 if i < 2 else 2.0
    run = gf.solve(problem, method, start, dt=dt, steps=40, record=["energy", "gradient_norm"])
    size = run.history["gradient_norm"]
    count[name] = int(np.argmax(size < 1e-10)) if (size < 1e-10).any() else None
    print(f"{name}: gradient {size[-1]:.0e} after 40 steps, first below 1e-10 after {count[name]}")
    axes.semilogy(size, color=COLOURS[i], linestyle=DASHES[i], label=name)
    if i == 0:
        drift = np.abs(run.theta.reshape(K, D).sum(axis=0)).max()
        print(f"sum of the w_k after Newton's method: {drift:.0e}")
        assert drift < 1e-12
axes.set(xlabel="step", ylabel=r"$|\nabla E|$")
axes.grid(alpha=0.25)
axes.legend()
assert count["Newton, all blocks"] <= 7
assert count["diagonal blocks"] is None or count["diagonal blocks"] >= 20
