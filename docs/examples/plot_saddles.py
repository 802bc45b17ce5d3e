r"""
Saddles: which methods leave them
=================================

Two saddles. The first is that of the double well :math:`E = x^2/2 + y^4/4 - y^2/2` at the origin; methods start at (1, 0.3), or
at (1, 0), from where the gradient flow ends there. The second is one of a ReLU network in whose neighbourhood E is smooth.
All neurons are constant on the data, the outputs are zero, and the targets are orthogonal to constants: the gradient vanishes and,
for each neuron, the Hessian has a negative eigenvalue. See :doc:`/theory/saddles`.

Look at Newton's method in both figures: it converges to the saddle, and fast. Gradient descent does not move from a point
where the gradient is exactly zero. Saddle-free Newton leaves the second saddle, but refuses no step: the energy rises on the way. Perturbed
gradient descent needs gradients only; at the minimum it goes on perturbing, which raises the energy each time by what its
theory allows. Noise in every gradient does the same without a test, and never comes to rest. In the right panel of the second figure, the smallest eigenvalue says where a run is.
"""

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np

import gradflow as gf
from gradflow.plotting import COLOURS, DASHES

PALETTE = (*COLOURS, "#8c8c8c", "#7a5230")
MARKERS = "os^Dv<>PX"
WIDTHS = (2.2, 4.0, *7 * (1.3,))  # gradient descent and Newton's method lie under other curves

# %%
# A double well
# -------------

well = gf.FunctionProblem(
    lambda t: t[0] ** 2 / 2 + t[1] ** 4 / 4 - t[1] ** 2 / 2,
    lambda t: np.array([t[0], t[1] ** 3 - t[1]]),
    hvp=lambda t, v: np.array([v[0], (3 * t[1] ** 2 - 1) * v[1]]),
)
near, on_axis = np.array([1.0, 0.3]), np.array([1.0, 0.0])
runs = {
    "Newton": (gf.Newton(), near, 1.0),
    "gradient descent": (gf.GradientDescent(), on_axis, 0.2),
    "perturbed gradient descent": (gf.PerturbedGradientDescent(gradient_tol=0.05, radius=0.05), on_axis, 0.2),
    "noisy gradient descent": (gf.NoisyGradientDescent(sigma=0.05), on_axis, 0.2),
    "negative-curvature descent": (gf.NegativeCurvatureDescent(rho=6.0, gradient_tol=0.05), on_axis, 0.2),
    "Newton-CG": (gf.NewtonCG(), near, 1.0),
    "saddle-free Newton": (gf.SaddleFreeNewton(), near, 1.0),
    "trust region": (gf.TrustRegion(radius=0.5), near, 1.0),
    "cubic regularisation": (gf.CubicRegularization(), near, 1.0),
}

figure, axes = plt.subplots(figsize=(7, 4.6), layout="constrained")
first, second = np.meshgrid(np.linspace(-0.4, 1.15, 200), np.linspace(-1.3, 1.8, 200))
level = first**2 / 2 + second**4 / 4 - second**2 / 2
axes.contour(first, second, level, levels=np.linspace(-0.24, 0.6, 12), colors="#bbbbbb", linewidths=0.8)
print(f"{'method':28} {'end':>18} {'energy':>9}  what it is")
for i, (name, (scheme, start, dt)) in enumerate(runs.items()):
    solution = gf.solve(well, scheme, start, dt=dt, steps=120, snapshots=range(121))
    path = np.array([snapshot.theta for snapshot in solution.snapshots])
    axes.plot(*path.T, color=PALETTE[i], linestyle=DASHES[i % len(DASHES)], marker=MARKERS[i], markersize=9 if i == 1 else 4,
              markerfacecolor="none", linewidth=WIDTHS[i], label=name)  # fmt: skip
    x, y = solution.theta
    kind = gf.stationarity(well, solution.theta, gradient_tol=0.1).kind
    print(f"{name:28} ({x:7.4f}, {y:7.4f}) {well.energy(solution.theta):9.4f}  {kind}")
axes.set(xlabel="x", ylabel="y")
figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)

# %%
# A ReLU network
# --------------
# Three neurons :math:`a_j \max(w_j x + b_j, 0)` on the points -1, 0, 1 with the targets -1, 0, 1. At
# :math:`w = 0, b = (1, 1.5, 2), a = 0` every neuron is active on all points. The minimum, E = 0, can be reached without leaving
# this piece. The methods of steps of size dt start at the saddle itself, the others at a distance of about 0.03 from it.

x = np.array([[-1.0], [0.0], [1.0]])
net = gf.TwoLayerNet(n_inputs=1, width=3, activation="relu", scaling="standard")
problem = gf.Regression(net, x, x[:, 0])
saddle = np.array([0, 0, 0, 1.0, 1.5, 2.0, 0, 0, 0])
nearby = saddle + 1e-2 * np.random.default_rng(1).standard_normal(9)
H = gf.curvature.Hessian().at(problem, saddle).matrix() / problem.mass  # M is a multiple of the identity
print("eigenvalues at the saddle:", np.round(np.linalg.eigvalsh(H), 3))
print(gf.stationarity(problem, saddle, gradient_tol=1e-12))

blocks = {"first layer": range(6), "second layer": range(6, 9)} | {
    f"neuron {j + 1}": (j, 3 + j, 6 + j) for j in range(3)
}
print("\nsmallest eigenvalue of a block")
for name, rows in blocks.items():
    print(f"{name:14} {np.linalg.eigvalsh(H[np.ix_(rows, rows)])[0]:8.3f}")

# %%
# Both layer blocks are semi-definite, so that curvature by layers cannot see this saddle. The block of a neuron can.

runs = {
    "Newton": (gf.Newton(damping=1e-4), nearby, 1.0, 40),
    "gradient descent": (gf.GradientDescent(), saddle, 0.02, 1000),
    "perturbed gradient descent": (gf.PerturbedGradientDescent(), saddle, 0.02, 1000),
    "noisy gradient descent": (gf.NoisyGradientDescent(), saddle, 0.02, 1000),
    "negative-curvature descent": (gf.NegativeCurvatureDescent(rho=20.0), saddle, 0.02, 1000),
    "Newton-CG": (gf.NewtonCG(curvature_tol=0.1), saddle, 1.0, 100),
    "saddle-free Newton": (gf.SaddleFreeNewton(damping=0.1), nearby, 1.0, 40),
    "trust region": (gf.TrustRegion(), nearby, 1.0, 40),
    "cubic regularisation": (gf.CubicRegularization(), nearby, 1.0, 40),
}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.4), layout="constrained")
print(f"\n{'method':28} {'energy':>9} {'gradient':>9} {'smallest eigenvalue':>20}  what it is")
for i, (name, (scheme, start, dt, steps)) in enumerate(runs.items()):
    solution = gf.solve(
        problem, scheme, start, dt=dt, steps=steps, every=max(1, steps // 50),
        record=["energy", "smallest_eigenvalue"],
    )  # fmt: skip
    h = solution.history
    marks = np.unique(np.geomspace(1 + 0.25 * i, len(h["step"]), 6).astype(int) - 1)  # equidistant in the logarithm
    style = {
        "color": PALETTE[i], "linestyle": DASHES[i % len(DASHES)], "linewidth": WIDTHS[i], "marker": MARKERS[i],
        "markevery": marks.tolist(), "markersize": 9 if i == 1 else 5, "markerfacecolor": "none",
    }  # fmt: skip
    left.semilogy(1 + h["step"], np.maximum(h["energy"], 1e-16), label=name, **style)
    right.plot(1 + h["step"], h["smallest_eigenvalue"], **style)
    found = gf.stationarity(problem, solution.theta, gradient_tol=1e-2)
    print(
        f"{name:28} {problem.energy(solution.theta):9.2e} {found.gradient_norm:9.1e} {found.eigenvalue:20.2e}  {found.kind}"
    )
for axes in (left, right):
    axes.set(xscale="log", xlabel="1 + step")
    axes.grid(alpha=0.25)
left.set_ylabel("energy")
right.set_ylabel("smallest eigenvalue of the Hessian")
figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
