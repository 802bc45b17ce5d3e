r"""
Gradients in half precision
===========================

A number of float16 has 11 bits, the smallest is :math:`2^{-24}`, and whatever is at most :math:`2^{-25} \approx 3\cdot10^{-8}`
becomes zero. A number of bfloat16 has 8 bits, and goes down to :math:`2^{-133}`. A network is trained by gradient descent on the full
batch, once with the partial derivatives in full precision and once for each format with the derivatives rounded to it
before they are used; the parameters stay in float64, so that only the gradient is rounded.

Look at the float16 curve on the left: the derivatives of a mean over a wide network are small, and towards the end some percent
of them become zero. Multiplied by 4096 before they are rounded, and divided afterwards, none does; in bfloat16 none does
at any scale. These curves lie on one another. Then look at the sign of the change of :math:`|g|^2` in the table. Components that become zero take
away next to nothing of the sum; the rounding of all others, in either direction, decides whether it is larger or smaller. The
energies on the right differ by about as little.
"""

import matplotlib.pyplot as plt
import numpy as np

import gradflow as gf
from gradflow.plotting import COLOURS, DASHES

x = np.linspace(-1, 1, 32)[:, None]
net = gf.TwoLayerNet(n_inputs=1, width=1000, activation="tanh")
problem = gf.Regression(net, x, np.sin(3 * x[:, 0]), loss="mse")
theta0 = net.init(0)


def float16(v):
    """Round to float16, to nearest."""
    return v.astype(np.float16).astype(float)


def bfloat16(v):
    """Round to bfloat16, the upper half of a float32, to nearest."""
    bits = v.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 << 16).view(np.float32).astype(float)


formats = {
    "float64": lambda v: v,
    "float16": float16,
    "float16, scaled by 4096": lambda v: float16(4096 * v) / 4096,
    "bfloat16": bfloat16,
}


def rounded_to(rounding):
    """Return the problem with partial derivatives that are rounded, for gradient descent."""
    return gf.FunctionProblem(
        problem.energy, lambda theta: rounding(problem.energy_and_gradient(theta)[1] * problem.mass) / problem.mass
    )


# %%
# What is lost
# ------------

energies, lost, changes = {}, {}, {}
checkpoints = np.unique(np.geomspace(1, 800, 30).astype(int))
for name, rounding in formats.items():
    run = gf.solve(rounded_to(rounding), gf.GradientDescent(), theta0, dt=0.3, steps=800, snapshots=checkpoints)
    points = [snapshot.theta for snapshot in run.snapshots]
    partial = [problem.energy_and_gradient(theta)[1] * problem.mass for theta in points]
    energies[name] = [problem.energy(theta) for theta in points]
    lost[name] = [np.mean((p != 0) & (rounding(p) == 0)) for p in partial]
    changes[name] = [np.sum(rounding(p) ** 2) / np.sum(p**2) - 1 for p in partial]

print(f"{'':26} {'become zero':>12} {'--- change of |g|^2 ---':^27} {'energy at':>11}")
print(f"{'format':26} {'at the end':>12} {'smallest':>13} {'largest':>13} {'the end':>11}")
for name, change in changes.items():
    print(f"{name:26} {100 * lost[name][-1]:11.1f}% {min(change):13.1e} {max(change):13.1e} {energies[name][-1]:11.4e}")

figure, panels = plt.subplots(1, 2, figsize=(8.5, 3.6), layout="constrained")
for k, name in enumerate(formats):
    style = {"color": COLOURS[k], "linestyle": DASHES[k], "label": name, "linewidth": 3.0 - 0.6 * k}
    panels[0].semilogx(checkpoints, 100 * np.array(lost[name]), **style)
    if name != "float64":
        panels[1].loglog(checkpoints, np.abs(np.array(energies[name]) / energies["float64"] - 1), **style)
panels[0].set(xlabel="step", ylabel="partial derivatives\nthat become zero, %")
panels[1].set(xlabel="step", ylabel="energy, relative difference\nfrom float64")
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)

# %%
# Where the threshold is
# ----------------------
# The threshold that the essay of :doc:`/theory/implicit_regularization` prints, 1e-8, keeps 2e-8, which float16 does not.

print(f"\n{'number':>9} {'float16':>10} {'bfloat16':>10}")
for number in (1.0, 1e-4, 3e-5, 1e-7, 3e-8, 2.0**-25, 2e-8, 1e-8, 1e-38):
    v = np.array([number])
    print(f"{number:9.2e} {float16(v)[0]:10.3e} {bfloat16(v)[0]:10.3e}")
