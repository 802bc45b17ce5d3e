r"""
The relaxation factor along a run
=================================

After a step, relaxation replaces the auxiliary variable :math:`\tilde r` by the admissible point of the segment from
:math:`\tilde r` to its definition :math:`\hat r = \sqrt{E(\theta^{n+1}) + C}` that is nearest to the latter,

.. math:: r^{n+1} = \xi_0\,\tilde r + (1 - \xi_0)\,\hat r, \qquad
   \xi_0 = \min\{\xi \in [0, 1] : |\xi\tilde r + (1 - \xi)\hat r|^2 \le \tilde r^2 + B\},

with a budget B: :cite:t:`Jiang2022`; :cite:t:`Ma2024`, equations (22) to (24). :math:`\xi_0 = 0` means that r has been restored
to its definition, :math:`\xi_0 = 1` that nothing could be done. The budget of the paper is
:math:`B = \eta\,|\theta^{n+1} - \theta^n|_M^2/\Delta t`; that of the code of :cite:t:`LiuShenZhang2023` also spends the numerical
dissipation :math:`(\tilde r - r^n)^2`. With either, the modified energy
decays. (They are ``budget="increment"``, the same as the default ``"dissipation"`` where there are no linear parts, and
``budget="numerical"``.)

Look at how :math:`\xi_0` rises towards 1 with the budget of the paper. A step spends :math:`|d|^2_M/\Delta t` and
:math:`(\tilde r - r^n)^2` of :math:`r^2`, and only a share of the former may be given back. So r falls behind, and with
the gradient the budget fades.
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
record = ["energy", "modified_energy", "auxiliary_ratio", "xi0"]


def runs_of(schemes):
    """Run each scheme for 300 full-batch steps of size 5."""
    return {name: gf.solve(problem, s, theta0, dt=5.0, steps=300, record=record).check() for name, s in schemes.items()}


def draw(runs, quantities):
    """Draw one panel for each quantity, one line for each run."""
    fig, panels = plt.subplots(1, len(quantities), figsize=(8, 4), layout="constrained")
    for axes, (quantity, label) in zip(panels, quantities.items(), strict=True):
        for number, (name, run) in enumerate(runs.items()):
            h = run.history
            if not np.isnan(h[quantity][1:]).all():  # only relaxed schemes have a xi_0
                axes.plot(h["step"][1:], h[quantity][1:], color=COLOURS[number], ls=DASHES[number], label=name)
        axes.set(xscale="log", xlabel="step", ylabel=label)
        if quantity == "energy":
            axes.set_yscale("log")
        else:
            axes.set_ylim(-0.04, 1.04)
    handles, labels = panels[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=2 if len(runs) == 4 else 3, frameon=False)


def table(runs):
    """Print where each run ended, and how often its energies rose."""
    print(f"{'':24}{'--------- at the end ---------':^30}{'steps with':>12}{'-- rises of --':^16}")
    print(f"{'':24}{'energy':>9}{'r/sqrt(E+C)':>13}{'xi_0':>8}{'xi_0 = 0':>12}{'modified':>10}{'true':>6}")
    for name, run in runs.items():
        h = run.history
        restored = (h["xi0"][1:] == 0).sum()
        rises, true_rises = ((np.diff(h[energy]) > 0).sum() for energy in ("modified_energy", "energy"))
        ends = f"{h['energy'][-1]:9.5f}{h['auxiliary_ratio'][-1]:13.5f}{h['xi0'][-1]:8.3f}"
        print(f"{name.replace('$', '').replace(chr(92), ''):24}{ends}{restored:12}{rises:10}{true_rises:6}")


# %%
# Vanilla, restarted, relaxed
# ---------------------------
#
# The step is long enough (5) for the true energy to rise in the first steps. Vanilla: r is spent, theta stands still far from
# the minimum. Relaxed: r does not follow the energy either, but it does not vanish. With the numerical dissipation in the
# budget it stays nearer, and the true energy oscillates: the factor :math:`r/\sqrt{E + C}` shortens the step of theta, and this
# step is too long without it. Restarted: the curve is r at the end of each step, which the next step discards; nothing is
# carried over, and the modified energy has no law from step to step: it rises in about half of them.

sav = gf.SAV(C=0.1)
schemes = {
    "vanilla": sav,
    "restarted": gf.Restart(sav),
    r"relaxed, $\eta = 0.99$": gf.Relaxed(sav, eta=0.99),
    "relaxed, numerical too": gf.Relaxed(sav, eta=0.99, budget="numerical"),
}
runs = runs_of(schemes)
draw(runs, {"energy": "energy $E$", "auxiliary_ratio": r"$r\,/\sqrt{E + C}$", "xi0": r"$\xi_0$"})
plt.show()
table(runs)

# %%
# The share eta
# -------------
#
# :math:`\eta = 0` is the vanilla scheme, in which r vanishes; :math:`\eta = 0.1` delays that only. From 0.5 on, the choice makes
# little difference here.

runs = runs_of({rf"$\eta$ = {eta}": gf.Relaxed(sav, eta=eta) for eta in (0.0, 0.1, 0.5, 0.9, 0.99)})
draw(runs, {"energy": "energy $E$", "auxiliary_ratio": r"$r\,/\sqrt{E + C}$", "xi0": r"$\xi_0$"})
plt.show()
table(runs)

# %%
# One run, one step size: which budget is the better one depends on both. What holds for every run is the column of rises of the
# modified energy: zero for the vanilla and the relaxed schemes.
