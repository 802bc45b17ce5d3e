r"""
What a learning rate does on a quadratic, and at the end of a valley
====================================================================

Gradient descent on :math:`E = \tfrac12(100x^2 + y^2)` multiplies x by :math:`1 - 100\,\Delta t` in every step. Read as a
gradient flow, it moves in the modified loss :math:`E + \tfrac{\Delta t}4|g|^2`, to first order; the exact modified curvature of a
mode is :math:`-\log(1 - \Delta t\,\lambda)/\Delta t`. See :doc:`/theory/implicit_regularization`.

In the first figure look at .019: x changes its sign in every step, and its size is that of the run with .001, while y is 19
times as fast. In the second look at the left of zero, at a saddle: there the truncation changes its sign, and the exact
curve does not. The third is the part that a quadratic cannot show: in a valley of varying curvature the step decides
where the run ends.
"""

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np

import gradflow as gf
from gradflow.plotting import COLOURS, DASHES

# %%
# Trajectories
# ------------

A = np.array([100.0, 1.0])
problem = gf.FunctionProblem(lambda w: w @ (A * w) / 2, lambda w: A * w)
first, second = np.meshgrid(np.linspace(-1.3, 1.3, 121), np.linspace(-0.1, 1.15, 121))
level = (100 * first**2 + second**2) / 2

figure, panels = plt.subplots(1, 4, figsize=(9, 3), sharey=True, layout="constrained")
print(f"{'dt':>6} {'factor of x':>12} {'E after 100 steps':>18} {'closed form':>12}")
for axes, dt in zip(panels, (0.001, 0.01, 0.019, 0.021), strict=True):
    run = gf.solve(problem, gf.GradientDescent(), np.ones(2), dt=dt, steps=100, snapshots=range(101))
    path = np.array([snapshot.theta for snapshot in run.snapshots])
    axes.contour(first, second, level, levels=np.geomspace(0.05, 80, 9), colors="#bbbbbb", linewidths=0.7)
    shown = path if dt < 0.02 else path[:10]
    axes.plot(*shown.T, color=COLOURS[0], marker="o", markersize=2.5, linewidth=0.7)
    axes.set(title=f"dt = {dt}", xlabel="x", xlim=(-1.3, 1.3), ylim=(-0.1, 1.15))
    factors = 1 - dt * A
    closed = (A @ factors**200) / 2
    print(f"{dt:6} {factors[0]:12.3f} {problem.energy(run.theta):18.4e} {closed:12.4e}")
panels[0].set_ylabel("y")

# %%
# Of the four, .019 has the smallest energy after 100 steps, and .01, with which x is 0 after the first step, is second: what
# is left is y. With .021 the path leaves the panel; its first nine steps are drawn.
#
# Modified curvatures
# -------------------
# For a mode of curvature :math:`\lambda`, with :math:`z = \Delta t\,\lambda`: the exact value of :math:`\Delta t\,\tilde\lambda` is
# :math:`-\log(1 - z)`, and its truncations are :math:`z + z^2/2` and :math:`z + z^2/2 + z^3/3`. The exact one has the sign of z, ends
# at z = 1, and is the only one that knows of it. For z between 1 and 2 gradient descent converges and has no real modified
# equation.

z = np.linspace(-3.4, 2.2, 400)
inside = z[z < 0.999]
figure, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
axes.axhline(0, color="#bbbbbb", linewidth=0.8)
axes.axvspan(1, 2, color="#eeeeee")
axes.text(1.5, -3.2, "converges,\nno real flow", ha="center", fontsize="small")
axes.plot(inside, -np.log1p(-inside), color=COLOURS[0], linewidth=2.2, label=r"exact: $-\log(1 - z)$")
for k, terms in enumerate((1, 2, 3), start=1):
    truncated = sum(z**n / n for n in range(1, terms + 1))
    axes.plot(z, truncated, color=COLOURS[k], linestyle=DASHES[k], label=f"{terms} term{'s' * (terms > 1)}")
axes.set(xlabel=r"$z = \Delta t\,\lambda$", ylabel=r"$\Delta t\,\tilde\lambda$", ylim=(-4, 6))
axes.legend(frameon=False)

print(f"\n{'z':>6} {'exact/z':>9} {'1 + z/2':>9} {'error':>8}")
for value in (-3.0, -1.0, 0.1, 0.5, 0.9, 0.99):
    exact, truncated = -np.log1p(-value) / value, 1 + value / 2
    print(f"{value:6} {exact:9.4f} {truncated:9.4f} {100 * (truncated / exact - 1):7.1f}%")

# %%
# The end of a valley
# -------------------
# :math:`E = \tfrac12zx^2` has the minima x = 0, where z is the curvature. The flow ends at
# :math:`Z = \sqrt{z_0^2 - x_0^2/2}`, gradient descent at :math:`Z - \tfrac{\Delta t}2Z(z_0 - Z) + O(\Delta t^2)`: flatter. With
# larger steps the expansion fails, but not its sign.

valley = gf.FunctionProblem(lambda w: w[1] * w[0] ** 2 / 2, lambda w: np.array([w[0] * w[1], w[0] ** 2 / 2]))
start = np.array([0.8, 1.0])
Z = np.sqrt(start[1] ** 2 - start[0] ** 2 / 2)
steps = np.geomspace(0.02, 1.5, 12)
ends = np.array(
    [gf.solve(valley, gf.GradientDescent(), start, dt=dt, steps=round(60 / dt)).theta[1] for dt in steps]
)  # fmt: skip
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
left.plot(steps, ends, "o", color=COLOURS[0], label="gradient descent")
left.plot(steps, Z - steps / 2 * Z * (start[1] - Z), color=COLOURS[1], linestyle=DASHES[1], label="first order")
left.axhline(Z, color=COLOURS[6], linewidth=0.8, label="gradient flow")
left.set(xlabel="dt", ylabel="curvature z at the end")
left.legend(frameon=False)
error = np.abs(ends - (Z - steps / 2 * Z * (start[1] - Z)))
right.loglog(steps, Z - ends, "s", color=COLOURS[0], label="distance from the flow's end")
right.loglog(steps, error, "^", color=COLOURS[1], label="from the first order")
for power, data in ((1, Z - ends), (2, error)):
    right.loglog(steps, data[0] * (steps / steps[0]) ** power, color="#bbbbbb", linewidth=0.8)
right.set(xlabel="dt")
right.legend(frameon=False)
print(f"\nend of the flow {Z:.6f}")
print(f"{'dt':>7} {'end':>9} {'first order':>12}")
for dt, end in zip(steps[::3], ends[::3], strict=True):
    print(f"{dt:7.4f} {end:9.6f} {Z - dt / 2 * Z * (start[1] - Z):12.6f}")
