r"""
Do auxiliary variables strengthen implicit regularization?
==========================================================

To first order, the iterates of each of these schemes with the step h lie on an orbit of the gradient flow of
:math:`E + c\,h\,|\nabla E|^2`. Explicit Euler has :math:`c = \tfrac14`. The sign of c says whether small gradients are preferred, and its size how much. Here c is measured from
four steps of each scheme, and compared with what :doc:`/theory/implicit_regularization` proves. The step h is counted in the
time of the limit flow :math:`\theta' = -\nabla E`: it is :math:`\Delta t/(1 - \beta)` for a momentum :math:`\beta`, and
:math:`\rho\,\Delta t` for vanilla SAV with :math:`r = \rho\sqrt{E + C}`.

One scalar auxiliary variable leaves c as it is: restarted and vanilla SAV and exponential SAV have that of explicit Euler. Momentum
enlarges it. Restarted IEQ, a Levenberg-Marquardt step, has the sign of implicit Euler if the residual is linear. With another
residual it can have that of explicit Euler, as the squares of the first figure and the second figure show.
"""

import matplotlib.pyplot as plt
import numpy as np

import gradflow as gf
from gradflow.plotting import COLOURS, DASHES

# %%
# The coefficient
# ---------------
# Two problems of two parameters. The first has a linear residual. The second is the valley :math:`E = \tfrac12zx^2` with the
# one residual :math:`\sqrt z\,x`: its minima are x = 0, where z is the curvature.
#
# The modified field is the logarithm of the shift, :math:`\tilde f = (\Delta - \tfrac12\Delta^2 + \tfrac13\Delta^3 - \dots)\,\theta^n/
# \Delta t`. Up to the speed v it is :math:`-(g + 2c\,h\,Hg)`, with :math:`h = v\,\Delta t`, so that its part that is orthogonal to the
# gradient g has the coefficient c. Momentum methods take 60 steps before, after which they have forgotten their start.

root = np.diag([1.0, 2.0])
linear = gf.DenseLeastSquares(lambda w: root @ w, lambda w: root, hvp=lambda w, v: root @ root @ v)
valley = gf.DenseLeastSquares(
    lambda w: np.array([np.sqrt(w[1]) * w[0]]),
    lambda w: np.array([[np.sqrt(w[1]), w[0] / (2 * np.sqrt(w[1]))]]),
    hvp=lambda w, v: np.array([w[1] * v[0] + w[0] * v[1], w[0] * v[0]]),
)
start = np.array([0.8, 1.0])
beta, rho = 0.5, 0.5
schemes = {  # and the proved c for the linear residual
    "gradient descent": (gf.GradientDescent(), 1 / 4),
    "SAV, restarted": (gf.Restart(gf.SAV(C=1.0)), 1 / 4),
    "SAV, vanilla, r halved": (gf.SAV(C=1.0), 1 / 4),
    "exponential SAV": (gf.ExpSAV(scale=1.0), 1 / 4),
    "heavy ball, beta = 1/2": (gf.HeavyBall(momentum=beta), (1 + beta) / (4 * (1 - beta))),
    "Nesterov, beta = 1/2": (gf.Nesterov(momentum=beta), (1 - beta + 2 * beta**2) / (4 * (1 - beta))),
    "Runge-Kutta, order 4": (gf.RungeKutta4(), 0.0),
    "implicit Euler": (gf.ImplicitEuler(), -1 / 4),
    "IEQ, restarted": (gf.Restart(gf.IEQ()), -1 / 4),
}


def measured(problem, name, dt=1e-4):
    """Return c, dimensionless, from steps of a scheme."""
    scheme = schemes[name][0]
    state = scheme.init(problem, start)
    if "halved" in name:
        state = state._replace(aux=rho * state.aux)
    for _ in range(60):
        state = scheme.step(problem, state, dt)
    path = [state.theta]
    for _ in range(4):
        state = scheme.step(problem, state, dt)
        path.append(state.theta)
    field = sum((-1) ** (k + 1) / k * np.diff(path, k, axis=0)[0] for k in range(1, 5)) / dt
    g = problem.energy_and_gradient(path[0])[1]
    across = np.array([-g[1], g[0]])
    speed = -(field @ g) / (g @ g)
    c = -(field @ across) / (2 * speed**2 * dt * (problem.hvp(path[0], g) @ across))
    return round(c, 4) + 0.0


figure, axes = plt.subplots(figsize=(7, 3.8), layout="constrained")
print(f"{'scheme':36} {'proved':>8} {'measured: linear residual':>26} {'valley':>9}")
for k, (name, (_, proved)) in enumerate(schemes.items()):
    first, second = measured(linear, name), measured(valley, name)
    print(f"{name:36} {proved:8.4f} {first:26.4f} {second:9.4f}")
    label = (
        ("proved (IEQ: linear residual)", "measured, linear residual", "measured, valley") if k == 0 else ("", "", "")
    )
    axes.plot(proved, k, "|", color="#595959", markersize=18, markeredgewidth=1.5, label=label[0])
    axes.plot(first, k, "o", color=COLOURS[0], markersize=6, label=label[1])
    axes.plot(second, k, "s", color=COLOURS[1], markersize=10, markerfacecolor="none", label=label[2])
axes.axvline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
axes.set_yticks(range(len(schemes)), schemes)
axes.invert_yaxis()
axes.set_xlabel(r"c, the coefficient of $h\,|\nabla E|^2$ in the modified loss")
figure.legend(loc="outside lower center", ncols=3, frameon=False)
axes.spines[["top", "right"]].set_visible(False)

# %%
# Flatter or sharper
# ------------------
# In the valley the gradient flow ends at the curvature :math:`Z = \sqrt{z_0^2 - x_0^2/2}`, and an orbit with the coefficient c ends at
# :math:`Z - 2c\,h\,Z\,(z_0 - Z) + O(h^2)`. On the left, below zero is flatter than the flow's end. Restarted IEQ is on the side of gradient descent here:
# with one residual q and its gradient J, a step is one of gradient descent with :math:`\Delta t/(1 + \Delta t\,|J|^2)` for
# :math:`\Delta t`. Its sign for linear residuals selects no minimum, since the minima of a linear residual all have the same curvature.
#
# On the right each end is divided by its first-order term, so that the points tend to c as h tends to 0.

Z = np.sqrt(start[1] ** 2 - start[0] ** 2 / 2)
steps = np.geomspace(0.02, 0.6, 8)
shown = {
    "gradient descent": "o",
    "SAV, restarted": "s",
    "exponential SAV": "^",
    "heavy ball, beta = 1/2": "D",
    "implicit Euler": "v",
    "IEQ, restarted": "x",
}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.4), layout="constrained")
unit = 2 * Z * (start[1] - Z)  # of c h
for c, dashes in ((0.75, DASHES[1]), (0.25, DASHES[2]), (-0.25, DASHES[3])):
    left.plot(
        (0, steps[-1]), (0, -c * steps[-1] * unit), color="#8c8c8c", linestyle=dashes, label=f"first order, c = {c}"
    )
    right.axhline(c, color="#8c8c8c", linestyle=dashes)
print(f"\nend - {Z:.6f}\n{'h':24}" + "".join(f"{h:10.4f}" for h in steps[::2]))
for colour, (name, marker) in zip(COLOURS, shown.items(), strict=False):
    scheme = schemes[name][0]
    speed = 1 / (1 - beta) if "heavy" in name else 1.0
    ends = np.array([gf.solve(valley, scheme, start, dt=h / speed, steps=round(80 / h)).theta[1] for h in steps])
    print(f"{name:24}" + "".join(f"{end - Z:10.5f}" for end in ends[::2]))
    left.plot(steps, ends - Z, marker, color=colour, markerfacecolor="none", label=name)
    right.plot(steps, (Z - ends) / (steps * unit), marker, color=colour, markerfacecolor="none")
left.axhline(0, color=COLOURS[6], linewidth=0.8, label="gradient flow")
left.set(xlabel="step h", ylabel="curvature at the end, minus the flow's")
right.set(xlabel="step h", ylabel="the same, divided by $-2hZ(z_0 - Z)$")
figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize="small")
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)
