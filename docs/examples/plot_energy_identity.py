r"""
The energy identity, term by term
=================================

A step of a scheme with an auxiliary variable satisfies

.. math:: \tilde E^{n+1} - \tilde E^n = -D_n - N_n,

where :math:`\tilde E` is the *modified* energy, :math:`D_n` the dissipation and :math:`N_n` the numerical dissipation. For
:py:obj:`gradflow.SAV` of :cite:t:`Shen2018` without linear parts, :math:`\tilde E = r^2 - C`, :math:`D_n = |d|_M^2/\Delta t`
with :math:`d = \theta^{n+1} - \theta^n`, and :math:`N_n = (r^{n+1} - r^n)^2`: equation (5) of
:py:obj:`gradflow.schemes.sav`. It is an equality, for every step size. ``solve`` records each of its terms, and what is
left over when they are added up (``identity_residual``).

The first figure shows the terms along a run of the vanilla, the restarted and the relaxed scheme
(:cite:t:`Ma2024`, Algorithms 2 to 4): look at which energy the identity is about. The second shows what is left over, for
step sizes over 16 decades: look at the distance from the two dotted lines.
"""

import matplotlib.pyplot as plt
import numpy as np

import gradflow as gf
from gradflow.plotting import COLOURS, DASHES

x = np.random.default_rng(0).uniform(-1, 1, (60, 2))
y = np.sin(3 * x[:, 0]) * x[:, 1]
net = gf.TwoLayerNet(n_inputs=2, width=20, activation="tanh")
problem = gf.Regression(net, x, y, loss="mse")
theta0 = net.init(0)

sav = gf.SAV(C=0.1)
schemes = {"vanilla": sav, "restarted": gf.Restart(sav), "relaxed": gf.Relaxed(sav, eta=0.99)}
record = ["energy", "modified_energy", "dissipation", "numerical_dissipation", "identity_residual"]
runs = {name: gf.solve(problem, s, theta0, dt=5.0, steps=100, record=record).check() for name, s in schemes.items()}

# %%
# Above, the true energy and the modified one. Below, the terms of each step's identity.
#
# * Vanilla: the modified energy falls in every step and leaves the true one behind. When it has come down to -C, r is spent
#   and theta stands still.
# * Restarted: each step starts from the true energy, so the identity runs from the true energy at n to the modified one at
#   n + 1, which is the lower curve; the true energy may rise, and does.
# * Relaxed: the modified energy takes back up to 99 % of the dissipation of each step, as far as that brings it nearer to
#   the true energy. What is plotted as dissipation is what is left of it.

fig, panels = plt.subplots(2, 3, figsize=(8, 5), sharex=True, sharey="row", layout="constrained")
for (upper, lower), (name, run) in zip(panels.T, runs.items(), strict=True):
    h = run.history
    upper.plot(h["step"], h["energy"], color=COLOURS[0], ls=DASHES[0], label=r"true energy $E$")
    upper.plot(h["step"], h["modified_energy"], color=COLOURS[1], ls=DASHES[1], label=r"modified energy $\tilde E$")
    lower.semilogy(h["step"], h["dissipation"], color=COLOURS[2], ls=DASHES[0], label="dissipation $D_n$")
    lower.semilogy(
        h["step"], h["numerical_dissipation"], color=COLOURS[3], ls=DASHES[2], label="numerical dissipation $N_n$"
    )
    upper.set_title(name, fontsize=10)
    lower.set_xlabel("step n")
panels[0, 0].set_ylabel("energy")
panels[1, 0].set_ylabel("drop in a step")
handles = [line for axes in panels[:, 0] for line in axes.get_lines()]
fig.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
plt.show()

# %%
# For the vanilla and the relaxed scheme the identity telescopes: over the whole run, the modified energy has fallen by the
# sum of all the terms. (The first record is the start, which no step has led to: its terms are NaN.) For the restarted
# scheme each step begins at another energy, and the sum says nothing about the fall of either energy.

print(
    f"{'':12}{'fall of the':>16}{'sum of':>16}{'sum of numerical':>18}{'largest':>12}{'rises of':>10}{'rises of':>10}"
)
print(
    f"{'':12}{'modified energy':>16}{'dissipation':>16}{'dissipation':>18}{'residual':>12}{'modified':>10}{'true':>10}"
)
for name, run in runs.items():
    h = run.history
    fall = h["modified_energy"][0] - h["modified_energy"][-1]
    total, numerical = h["dissipation"][1:].sum(), h["numerical_dissipation"][1:].sum()
    rises = [int((np.diff(h[energy]) > 0).sum()) for energy in ("modified_energy", "energy")]
    residual = abs(h["identity_residual"][1:]).max()
    print(f"{name:12}{fall:16.12f}{total:16.12f}{numerical:18.12f}{residual:12.1e}{rises[0]:10}{rises[1]:10}")

# %%
# Now the residual, for step sizes from 1e-8 to 1e8, in single and in double precision: the largest of 20 steps, relative to
# :math:`E(\theta^0) + C` (:math:`E(\theta^0)` for IEQ of :cite:t:`Yang2016`, which has no C). It is round-off: it follows the
# precision and not the step size, also where the step is far too long for the iteration to be of any use. (A residual of
# exactly zero is drawn at 1e-18. In float32 a step of 1e-8 changes no bit of theta.)

step_sizes = 10.0 ** np.arange(-8, 9)
more = {**{f"{name} SAV": scheme for name, scheme in schemes.items()}, "IEQ": gf.IEQ()}
largest = {}
for dtype in ("float32", "float64"):
    cast = gf.Regression(net, x.astype(dtype), y.astype(dtype), loss="mse")
    for name, scheme in more.items():
        size = float(cast.energy(theta0.astype(dtype))) + getattr(sav if "SAV" in name else scheme, "C", 0.0)
        for dt in step_sizes:
            run = gf.solve(cast, scheme, theta0.astype(dtype), dt=dt, steps=20, every=1, record=["identity_residual"])
            largest[dtype, name, dt] = np.nanmax(abs(run.history["identity_residual"])) / size

floor = 1e-18
fig, axes = plt.subplots(figsize=(8, 4), layout="constrained")
for dtype, marker in (("float32", "o"), ("float64", "s")):
    for number, name in enumerate(more):
        values = [max(largest[dtype, name, dt], floor) for dt in step_sizes]
        label = name if dtype == "float32" else None
        axes.loglog(
            step_sizes, values, color=COLOURS[number], ls=DASHES[number], marker=marker, ms=3.5, lw=1.2, label=label
        )
    eps = np.finfo(dtype).eps
    axes.axhline(eps, color="#595959", ls=":", lw=1)
    axes.text(1e8, 60 * eps, f"{dtype}: machine epsilon {eps:.1e} (dotted)", fontsize=9, color="#595959", ha="right")
axes.set(xlabel=r"step size $\Delta t$", ylabel="residual of the identity (relative)", ylim=(0.4 * floor, 1e-3))
axes.legend(ncols=4, loc="upper center", frameon=False, fontsize=9)
plt.show()

# %%
# The largest value of each curve, in units of the machine epsilon of its precision:

for dtype in ("float32", "float64"):
    for name in more:
        worst = max(largest[dtype, name, dt] for dt in step_sizes) / np.finfo(dtype).eps
        print(f"{dtype}  {name:14} {worst:5.1f}")

# %%
# All are a few units. The restarted scheme has the largest, since its true energy rises above the one that the residual is
# compared with. The tests of gradflow bound the residual for every scheme by 6 epsilon times the sum of the magnitudes that
# are added up (``tests/test_energy_identity.py``).
