r"""
Exercise 1.6: Gauss-Newton is not natural gradient
==================================================

Claim: for overparametrised networks with a suitable initialisation, the step of Gauss-Newton approaches that of the natural gradient:
as the width grows, both matrices converge to the same kernel, in classification too.

For a squared loss the two are the same matrix at every width (:doc:`/theory/curvature`): no limit is needed. For softmax the
claim is false, and the difference has a closed form. Let J, of full row rank, be the Jacobian of all outputs, p the probabilities and
y the label. To first order, a step without damping changes the outputs z of a sample by

.. math:: \Delta z = e_y - p \quad\text{(}J^TJ\text{)}, \qquad
   \Delta z = \frac{1}{p_y}\,e_y \quad\text{(Fisher, up to a constant for all outputs)}:

the former is :math:`-\partial\ell/\partial z`; the latter solves
:math:`(\operatorname{diag} p - pp^T)\,\Delta z = -\partial\ell/\partial z`. No width appears. The former moves a sample by at most
:math:`\sqrt 2`; the latter moves the sample that fits worst the most, without a bound. The two are parallel if all outputs of each
sample are equal: at an initialisation with zero outputs the claim is true, for every width. With outputs of order one, which the
usual initialisation has at every width, it is not. The other exercises are listed in :doc:`/guide/second_order_exercises`.
"""

# sphinx_gallery_thumbnail_number = 1
import matplotlib.pyplot as plt
import numpy as np

import gradflow as gf
from gradflow.plotting import COLOURS, DASHES

N, D, K = 12, 2, 3
rng = np.random.default_rng(0)
x, labels = rng.standard_normal((N, D)), rng.integers(0, K, N)
onehot = np.eye(K)[labels]


def steps_of(net, theta):
    """Return J, p and the steps of Gauss-Newton and of the natural gradient, both without damping."""
    problem = gf.Classification(net, x, labels, time_scale="autograd")
    outputs = net(theta, x)
    e = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    # the squared loss has the residual c (f - y): its Jacobian is c J
    squared = gf.Regression(net, x, onehot, time_scale="autograd").linearize(theta)
    J = squared.jacobian() * (np.linalg.norm(outputs - onehot) / np.linalg.norm(squared.residual))
    gauss_newton = np.linalg.lstsq(J, (onehot - p).ravel())[0]
    method = gf.NaturalGradient(damping=0.0)
    natural = method.step(problem, method.init(problem, theta), 1.0).theta - theta
    return J, p, gauss_newton, natural


def cosine(u, v):
    """Return the cosine of the angle."""
    return float(u @ v / np.linalg.norm(u) / np.linalg.norm(v))


def centred(z):
    """Return outputs less their mean: a constant changes no probability."""
    return z - z.mean(axis=1, keepdims=True)


# %%
# The change of the outputs
# -------------------------

net = gf.TwoLayerNet(n_inputs=D, width=256, n_outputs=K, activation="tanh", scaling="ntk")
theta = 2 * net.init(0)
J, p, gauss_newton, natural = steps_of(net, theta)
print(f"rank of J: {np.linalg.matrix_rank(J)} of {N * K} rows, {theta.size} parameters")
assert np.linalg.matrix_rank(J) == N * K
dz, dz_natural = (J @ gauss_newton).reshape(N, K), (J @ natural).reshape(N, K)
p_y = p[np.arange(N), labels]
errors = np.abs(dz - (onehot - p)).max(), np.abs(centred(dz_natural) - centred(onehot / p_y[:, None])).max()
print(f"errors of the two formulas: {errors[0]:.0e}, {errors[1]:.0e}")
assert max(errors) < 1e-10
length = np.linalg.norm(natural) / np.linalg.norm(gauss_newton)
print(f"cosine of the two steps {cosine(gauss_newton, natural):.2f}, ratio of their lengths {length:.1f}")

# %%
# The width
# ---------
# Medians over six initialisations, with their extremes. In each, a is multiplied by 0, 1 or 4, which multiplies the outputs. The cosine
# depends on how different the probabilities of the samples are; it has no limit 1 for wide networks.

widths, seeds = (16, 64, 256, 1024), range(6)
states, factors = {f"a times {factor}": [] for factor in (0, 1, 4)}, (0.0, 1.0, 4.0)
for width in widths:
    net = gf.TwoLayerNet(n_inputs=D, width=width, n_outputs=K, activation="tanh", scaling="ntk")
    found = {name: [] for name in states}
    for seed in seeds:
        theta = net.init(seed)
        for name, factor in zip(states, factors, strict=True):
            point = np.where(np.arange(theta.size) < (D + 1) * width, theta, factor * theta)
            _, _, gauss_newton, natural = steps_of(net, point)
            found[name].append(cosine(gauss_newton, natural))
    for name, cosines in found.items():
        states[name].append((min(cosines), np.median(cosines), max(cosines)))
    print(f"width {width:5}: " + ", ".join(f"{name} {np.median(cosines):.3f}" for name, cosines in found.items()))

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
line = np.logspace(np.log10(p_y.min()), 0, 50)
rise, rise_natural = (
    change[np.arange(N), labels] - (change.sum(axis=1) - change[np.arange(N), labels]) / (K - 1)
    for change in (dz, dz_natural)
)
left.loglog(p_y, rise_natural, "s", color=COLOURS[1], markerfacecolor="none", label="natural gradient")
left.loglog(line, 1 / line, color=COLOURS[1], linestyle=DASHES[1], label=r"$1/p_y$")
left.loglog(p_y, rise, "o", color=COLOURS[0], markerfacecolor="none", label="Gauss-Newton")
left.loglog(line, np.maximum((1 - line) * K / (K - 1), 1e-3), color=COLOURS[0], label=r"$(1 - p_y)\,k/(k - 1)$")
left.set(
    xlabel="probability of the label", ylabel="change of its output over the mean of the others", ylim=(1e-2, None)
)
for i, (name, triples) in enumerate(states.items()):
    low, middle, high = np.array(triples).T
    right.semilogx(
        widths, middle, color=COLOURS[i], linestyle=DASHES[i], marker="os^"[i], markerfacecolor="none", label=name
    )
    right.fill_between(widths, low, high, color=COLOURS[i], alpha=0.15)
right.set(xlabel="width", ylabel="cosine of the two steps")
for axes in (left, right):
    axes.grid(alpha=0.25)
    axes.legend()
assert np.abs(np.array(states["a times 0"]) - 1).max() < 1e-10
assert max(middle for _, middle, _ in states["a times 4"]) < 0.8
assert states["a times 1"][-1][1] < 0.99

# %%
# Squared loss
# ------------
# The same two curvatures, one matrix, at the smallest width.

net = gf.TwoLayerNet(n_inputs=D, width=2, n_outputs=K, activation="tanh", scaling="ntk")
regression = gf.Regression(net, x, onehot)
fisher, gn = (c.at(regression, net.init(0)).matrix() for c in (gf.curvature.Fisher(), gf.curvature.GaussNewton()))
difference = np.abs(fisher - gn).max() / np.abs(gn).max()
print(f"width 2, squared loss: relative difference {difference:.0e}")
assert difference < 1e-13
