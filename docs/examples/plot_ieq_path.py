r"""
IEQ from gradient descent to Gauss-Newton
=========================================

One step of restarted invariant energy quadratization, ``Restart(IEQ())``, is equation (3) of :py:obj:`gradflow.IEQ` with
:math:`q^n = q(\theta^n)` and, here, no linear part:

.. math:: \Bigl(\frac{I}{\Delta t} + J^* J\Bigr)\, d = -J^* q .

This is the step of :cite:t:`Levenberg1944` and :cite:t:`Marquardt1963` with damping :math:`1/\Delta t`. For
:math:`\Delta t \to 0` it is gradient descent, :math:`d/\Delta t \to -J^* q = -g`; for :math:`\Delta t \to \infty` it tends to the
Gauss-Newton step, the least-squares solution of :math:`J d = -q` of smallest norm, whether or not J has full rank. The first
figure follows d between the two limits, from one :math:`\theta`. Look at its right panel: both limits are approached at
first order, in :math:`\Delta t` and in :math:`1/\Delta t`. The second figure follows iterates: the larger
:math:`\Delta t`, the fewer the steps; but look at the energy after the first of them. The energy identity, equation (6) of
:py:obj:`gradflow.IEQ`, bounds :math:`|q + Jd|^2/2`, not :math:`E(\theta + d)`.
"""

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np

import gradflow as gf
from gradflow.plotting import COLOURS, DASHES

# %%
# One step, all step sizes
# ------------------------
# A two-layer network with more parameters (160) than residuals (8), so that J has a null space and *smallest norm* means
# something. In this inner product, :math:`(u, v)_M = u \cdot v / m`, the step of smallest norm is the one of smallest
# Euclidean norm, which ``numpy.linalg.lstsq`` returns.

rng = np.random.default_rng(0)
x = rng.uniform(-1, 1, (8, 2))
net = gf.TwoLayerNet(n_inputs=2, width=40, activation="tanh")
problem = gf.Regression(net, x, np.sin(3 * x[:, 0]) * x[:, 1])
theta = net.init(0)

_, g = problem.energy_and_gradient(theta)
at = problem.linearize(theta)
gauss_newton = np.linalg.lstsq(at.jacobian(), -at.residual, rcond=None)[0]
eigenvalues = np.linalg.eigvalsh(at.gram())  # of J J^*


def norm(u):
    """Return the norm of the problem's inner product."""
    return np.sqrt(problem.inner(u, u))


def degrees(u, v):
    """Return the angle of u and v in the problem's inner product."""
    u, v = u / norm(u), v / norm(v)
    return np.degrees(2 * np.arctan2(norm(u - v), norm(u + v)))  # accurate for small angles too


scheme = gf.Restart(gf.IEQ())
start = scheme.init(problem, theta)
dts = np.logspace(-4, 6, 121)
steps = [scheme.step(problem, start, dt).theta - theta for dt in dts]

# %%
# In the basis of the eigenvectors of the Gram matrix :math:`J J^*`, with eigenvalues :math:`\lambda_i`, a step multiplies
# component i of the linearised residual by :math:`1/(1 + \Delta t\,\lambda_i)`. The dotted lines mark
# :math:`1/\lambda_{\max}` and :math:`1/\lambda_{\min}`: well to the left of both, no component moves much; well to the
# right, all are gone after one step. In the table, the angle to :math:`-g` grows with :math:`\Delta t`, as Theorem 3 of
# :cite:t:`Marquardt1963` says.

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
left.loglog(dts, [norm(d) for d in steps], color=COLOURS[0], label=r"$|d|$, one IEQ step")
left.loglog(dts, dts * norm(g), color=COLOURS[1], linestyle=DASHES[1], label=r"$\Delta t\,|g|$, gradient descent")
left.axhline(norm(gauss_newton), color=COLOURS[2], linestyle=DASHES[3], label=r"$|d_{GN}|$, Gauss-Newton")
left.set(ylim=(norm(steps[0]) / 3, 30 * norm(gauss_newton)), ylabel=r"length of the step, $|\cdot|_M$")
right.loglog(
    dts, [norm(d / dt + g) / norm(g) for d, dt in zip(steps, dts, strict=True)],
    color=COLOURS[1], linestyle=DASHES[1], label=r"$|d/\Delta t + g|\,/\,|g|$",
)  # fmt: skip
right.loglog(
    dts, [norm(d - gauss_newton) / norm(gauss_newton) for d in steps],
    color=COLOURS[2], linestyle=DASHES[3], label=r"$|d - d_{GN}|\,/\,|d_{GN}|$",
)  # fmt: skip
right.set(ylabel="relative distance from the limit", ylim=(3e-5, 30))
for axes in (left, right):
    for value in eigenvalues[[0, -1]]:
        axes.axvline(1 / value, color="#8c8c8c", linestyle=":")
    axes.set_xlabel(r"step size $\Delta t$")
    axes.grid(alpha=0.25)
    axes.legend(loc="upper center" if axes is right else "lower right")

print(f"eigenvalues of J J^*: {eigenvalues[0]:.2e} to {eigenvalues[-1]:.2e}\n")
print("      dt    |d|     angle to -g  angle to d_GN   |d/dt + g|/|g|  |d - d_GN|/|d_GN|")
for dt, d in list(zip(dts, steps, strict=True))[::12]:
    print(
        f"{dt:8.0e} {norm(d):9.2e} {degrees(d, -g):9.4f} deg {degrees(d, gauss_newton):9.4f} deg"
        f" {norm(d / dt + g) / norm(g):14.2e} {norm(d - gauss_newton) / norm(gauss_newton):16.2e}"
    )

# %%
# Many steps, five step sizes
# ---------------------------
# The Rosenbrock function, :math:`q = (10(\theta_2 - \theta_1^2),\ 1 - \theta_1)`, from its usual starting point. The
# reference is the gradient flow, by Runge-Kutta with small steps. Left, the iterates over contour lines of E, one for
# each decade; right, E after each step, the dotted line being E at the start.

rosenbrock = gf.DenseLeastSquares(
    lambda t: np.array([10 * (t[1] - t[0] ** 2), 1 - t[0]]),
    lambda t: np.array([[-20 * t[0], 10.0], [-1.0, 0.0]]),
)
theta0 = np.array([-1.2, 1.0])


def path(scheme, dt, most_steps):
    """Return theta and E at the start and after every step, until E < 1e-16."""
    thetas, energies = [theta0], [float(rosenbrock.energy(theta0))]
    state = scheme.init(rosenbrock, theta0)
    while energies[-1] >= 1e-16 and len(thetas) <= most_steps:
        state = scheme.step(rosenbrock, state, dt)
        thetas.append(state.theta)
        energies.append(float(rosenbrock.energy(state.theta)))
    return np.array(thetas), np.array(energies)


flow, _ = path(gf.RungeKutta4(), 1e-3, 20_000)
paths = {dt: path(gf.Restart(gf.IEQ()), dt, 20_000) for dt in (1e-2, 1e-1, 1.0, 1e1, 1e4)}

# %%

figure, (plane, decay) = plt.subplots(1, 2, figsize=(8, 4.8), layout="constrained", width_ratios=(5, 4))
first, second = np.meshgrid(np.linspace(-1.6, 1.4, 300), np.linspace(-4.4, 1.9, 300))
energy = (100 * (second - first**2) ** 2 + (1 - first) ** 2) / 2
plane.contour(first, second, energy, levels=10.0 ** np.arange(-2, 4), colors="#bbbbbb", linewidths=0.8)
plane.plot(*flow.T, color="black", linewidth=5, alpha=0.3, label="gradient flow")
plane.plot(1, 1, marker="*", markersize=13, color="black", linestyle="none", label="minimum")
for (dt, (thetas, energies)), colour, dashes, marker in zip(paths.items(), COLOURS, DASHES, "os^Dv", strict=False):
    style = {"color": colour, "linewidth": 1.4, "marker": marker, "markersize": 5, "markerfacecolor": "none"}
    style["markevery"] = 1 if dt >= 1 else len(thetas)  # small steps: the start only
    plane.plot(*thetas.T, linestyle=dashes, label=rf"$\Delta t = 10^{{{np.log10(dt):.0f}}}$", **style)
    decay.loglog(np.arange(1, len(energies)), energies[1:], linestyle=dashes, **style)
decay.axhline(rosenbrock.energy(theta0), color="#8c8c8c", linestyle=":")
plane.set(xlabel=r"$\theta_1$", ylabel=r"$\theta_2$")
decay.set(xlabel="step", ylabel="energy E", ylim=(1e-20, 1e5))
decay.grid(alpha=0.25)
figure.legend(*plane.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)

print("    dt  steps until E < 1e-16  dt x steps  largest E")
for dt, (thetas, energies) in paths.items():
    print(f"{dt:6.0e} {len(thetas) - 1:22d} {dt * (len(thetas) - 1):11.3g} {energies.max():10.3g}")

# %%
# :math:`\Delta t = 10^{-2}` follows the flow and needs thousands of steps. :math:`10^4` is Gauss-Newton for all practical
# purposes: 4 steps, the first of which takes E from 12.1 to 1170. Nothing in IEQ refuses such a step; a test of the true
# energy that does is part of the Levenberg-Marquardt method, not of IEQ.
