r"""
The edge of stability, and beyond
=================================

A small network, all data in every step. Under gradient descent the largest eigenvalue of the Hessian rises until it reaches
:math:`2/\Delta t`, where the step is linearly unstable, and then stays there, while the energy falls, not monotonically. Restarted SAV
takes the step :math:`\eta = \Delta t / (1 + \Delta t |g|_M^2/(2(E + C)))` along the gradient, so that its limit is :math:`2/\eta`. With a
:math:`\Delta t` for which gradient descent diverges, its curvature stays near this limit, above it more often than below, and the energy
does not tend to zero: the auxiliary variable prevents divergence, and nothing more.

On a quadratic one sees what stops the growth. Beyond :math:`z = \Delta t\,\lambda = 2` the energy of restarted SAV tends to that of a
cycle of two steps, :math:`C(z - 2)/(z + 2)`; exponential SAV has a stable cycle up to 4, two up to 5, and is chaotic from 5.5 on. In both,
r is stable in every step. See :doc:`/theory/stability`.
"""

# sphinx_gallery_thumbnail_number = 3
import matplotlib.pyplot as plt
import numpy as np

import gradflow as gf
from gradflow.backward_error import edge_of_stability, stability
from gradflow.backward_error.linear_stability import Quadratic, fate
from gradflow.plotting import COLOURS
from gradflow.plotting.edges import plot_edge_of_stability

# %%
# Along a run
# -----------

x = np.linspace(-1, 1, 20)[:, None]
net = gf.TwoLayerNet(n_inputs=1, width=20, activation="tanh")
problem = gf.Regression(net, x, np.cos(4 * np.arccos(x[:, 0])))


def trained(scheme, dt):
    """Return a run with what the figure needs."""
    record = ("energy", *edge_of_stability(problem, scheme, dt))
    return gf.solve(problem, scheme, net.init(0), dt=dt, steps=3000, every=10, record=record)


runs = {
    "gradient descent, dt = 1": trained(gf.GradientDescent(), 1.0),
    "restarted SAV, C = 0.1, dt = 3": trained(gf.Restart(gf.SAV(C=0.1)), 3.0),
}
print(f"{'run':32} {'curvature / limit: start':>25} {'median':>7} {'last energy':>12}")
for name, run in runs.items():
    ratio = run.history["largest_eigenvalue"] / run.history["stability_limit"]
    print(f"{name:32} {ratio[0]:25.2f} {np.median(ratio):7.2f} {run.history['energy'][-1]:12.2e}")
status = trained(gf.GradientDescent(), 3.0).status
print(f"gradient descent with dt = 3 ends {status}")

# %%
first = plot_edge_of_stability(runs["gradient descent, dt = 1"], title="gradient descent, dt = 1")

# %%
second = plot_edge_of_stability(runs["restarted SAV, C = 0.1, dt = 3"], title="restarted SAV, C = 0.1, dt = 3")

# %%
# Beyond the threshold
# --------------------
#
# The energies on the last steps of an orbit, over z. Measured exponents and multipliers are in the table.

figure, panels = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained", sharex=True)
cases = {"restarted SAV, C = 1": gf.Restart(gf.SAV(C=1.0)), "exponential SAV, kappa = 1": gf.ExpSAV(scale=1.0)}
print(f"{'scheme':28} {'z':>5}  {'orbit':10} {'E':>9} {'multiplier':>11} {'Lyapunov exponent':>18}")
for axes, colour, (name, scheme) in zip(panels, COLOURS, cases.items(), strict=False):
    for z in np.linspace(1.5, 12.0, 300):
        energy, ends = Quadratic(), []
        state = scheme.init(energy, np.array([1.0]))
        for n in range(460):
            state = scheme.step(energy, state, z)
            if n >= 400:
                ends.append(float(energy.energy(state.theta)))
        axes.plot(np.full(len(ends), z), ends, ".", color=colour, markersize=1.5, markeredgewidth=0, rasterized=True)
    axes.set_title(name, fontsize="medium")
    axes.set_xlabel(r"$z = \Delta t\,\lambda$")
    axes.set_ylabel(r"energy $E$ after 400 steps")
    axes.grid(color="#8c8c8c", alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    for z in (1.9, 3.0, 4.5, 6.0, 12.0):
        end = fate(scheme, z)
        multiplier, exponent = (
            "" if np.isnan(x) else f"{x:.4f}".replace("-0.0000", "0.0000") for x in (end.multiplier, end.lyapunov)
        )
        print(f"{name:28} {z:5.1f}  {end.kind:10} {end.energy:9.4f} {multiplier:>11} {exponent:>18}")
print(stability(gf.Restart(gf.SAV(C=1.0))))
