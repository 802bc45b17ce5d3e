r"""
Every scheme over six decades of dt
===================================

All schemes and wrappers of ``gradflow.schemes.REGISTRY`` on one small problem: 40 samples, width 20, full batch, 100 steps.

The first figure shows the true energy after these 100 steps against the step size. With a short step none has gone far, whatever
its properties. Look at the right half: which runs diverge or leave the scale (crosses, drawn at 1e4), which stand still, no
bit of theta changing although the gradient is not zero (circles; at the upper edge, above it), and which go on. The law of vanilla SAV keeps theta within
:math:`|\theta^n - \theta^0|_M \le \sqrt{n\,\Delta t\,(E(\theta^0) + C)}`, since the sum of all
:math:`|\theta^{n+1} - \theta^n|_M^2/\Delta t` cannot exceed the first :math:`r^2`. That leaves no room for overflow; it does not
exclude the circles.

dt is a time for the schemes that discretise the gradient flow and a learning rate, in the units of theta, for Adagrad, RMSProp,
Adam and :py:obj:`gradflow.AdaptiveSAV`; the heavy ball and Nesterov's method run 1 / (1 - momentum) times as fast. So curves
in different units can be compared in shape, not by where they lie.

The second figure is a work-precision diagram for those schemes whose limit for dt -> 0 is the gradient flow: error of theta at
a fixed time against the number of steps.
"""

import matplotlib.pyplot as plt
import numpy as np

import gradflow as gf
from gradflow.plotting import COLOURS, DASHES
from gradflow.schemes import REGISTRY
from gradflow.schemes.protocols import scheme_ability

x = np.linspace(-1, 1, 40)[:, None]
y = np.sin(3 * x)
net = gf.TwoLayerNet(n_inputs=1, width=20, activation="tanh")
problem = gf.Regression(net, x, y, loss="mse")
theta0 = net.init(0)
start = float(problem.energy(theta0))

groups = {
    "no auxiliary variable": {
        "gradient descent": gf.GradientDescent(),
        "heavy ball": gf.HeavyBall(),
        "Nesterov": gf.Nesterov(),
        "Adagrad": gf.Adagrad(),
        "RMSProp": gf.RMSProp(),
        "Adam": gf.Adam(),
        "Runge-Kutta 4": gf.RungeKutta4(),
    },
    "one number: SAV, ExpSAV": {
        "SAV": gf.SAV(),
        "SAV, restarted": gf.Restart(gf.SAV()),
        "SAV, relaxed": gf.Relaxed(gf.SAV()),
        "SourceSAV": gf.SourceSAV(),
        "ExpSAV, implicit": gf.ExpSAV(form="implicit"),
        "ExpSAV, explicit": gf.ExpSAV(form="explicit"),
    },
    "element-wise and adaptive SAV": {
        "element-wise SAV": gf.ElementwiseSAV(),
        "element-wise, restarted": gf.Restart(gf.ElementwiseSAV()),
        "element-wise, relaxed": gf.Relaxed(gf.ElementwiseSAV()),
        "A-SAV": gf.AdaptiveSAV(),
        "A-SAV, restarted": gf.Restart(gf.AdaptiveSAV()),
    },
    "IEQ and implicit Euler": {
        "IEQ": gf.IEQ(),
        "IEQ, restarted": gf.Restart(gf.IEQ()),
        "IEQ, relaxed": gf.Relaxed(gf.IEQ()),
        "MSAV, restarted": gf.Restart(gf.MSAV(parts=16)),
        "adaptive IEQ": gf.AdaptiveIEQ(),
        "implicit Euler": gf.ImplicitEuler(tol=1e-3, max_newton=10, max_cg=40),
    },
}
schemes = {name: scheme for group in groups.values() for name, scheme in group.items()}
parts = [part for scheme in schemes.values() for part in (scheme, getattr(scheme, "base", scheme))]
timed = {name for name, kind in REGISTRY.items() if scheme_ability(kind, "usual_dt") is None}  # dt is a time
timed -= {
    "PerturbedGradientDescent",
    "NoisyGradientDescent",
    "NegativeCurvatureDescent",
}  # gradient descent away from a saddle
assert timed == {type(part).__name__ for part in parts}

# %%
# A hundred steps
# ---------------

step_sizes = 10.0 ** np.arange(-2, 4.1, 0.5)
ends = {}
for name, scheme in schemes.items():
    for dt in step_sizes:
        ends[name, dt] = gf.solve(problem, scheme, theta0, dt=dt, steps=100, every=100, record=["energy"])

low, high = 1e-11, 1e4
fate = {gf.Status.NONFINITE: "inf", gf.Status.STAGNATED: "still"}

fig, panels = plt.subplots(2, 2, figsize=(8, 7.6), sharex=True, sharey=True, layout="constrained")
for axes, (group, members) in zip(panels.flat, groups.items(), strict=True):
    for number, name in enumerate(members):
        runs = [ends[name, dt] for dt in step_sizes]
        fates = np.array([fate.get(run.status, "goes on") for run in runs])
        energies = np.array([run.history["energy"][-1] for run in runs])
        shown = np.where(fates == "inf", high, np.clip(energies, low, high))
        colour = COLOURS[number]
        axes.loglog(step_sizes, shown, color=colour, ls=DASHES[number], lw=1.5, label=name)
        still = fates == "still"
        off = (shown >= high) & ~still
        axes.plot(step_sizes[off], shown[off], "x", ms=5, color=colour)
        axes.plot(step_sizes[still], shown[still], "o", ms=5, mfc="white", color=colour)
    axes.axhline(start, color="#595959", ls=":", lw=1)
    axes.set_title(group, fontsize=10)
    axes.legend(loc="lower left", fontsize=9, frameon=False, handlelength=2.8, labelspacing=0.25)
axes.set(ylim=(low, 10 * high))
for axes in panels[1]:
    axes.set_xlabel(r"$\Delta t$ (time, or learning rate)")
for axes in panels[:, 0]:
    axes.set_ylabel("true energy after 100 steps")
plt.show()

# %%
# The dotted line is the energy at the start. The same as a table: "inf" for a run that ended because its numbers overflowed, a
# star for one that stands still.

some = [0.01, 1.0, 10.0, 100.0, 1000.0, 10000.0]
print(f"start {start:.2e}", f"\n{'dt':24}" + "".join(f"{dt:>10g} " for dt in some), sep="")
for name in schemes:
    row = f"{name:24}"
    for run in (ends[name, dt] for dt in some):
        energy = "inf" if run.status is gf.Status.NONFINITE else f"{run.history['energy'][-1]:.1e}"
        row += f"{energy:>10}{'*' if run.status is gf.Status.STAGNATED else ' '}"
    print(row)

# %%
# * Gradient descent, momentum and Runge-Kutta diverge somewhere between dt = 1 and dt = 10.
# * Vanilla and relaxed SAV stay bounded, and for the longest steps stand still above the energy that they started from: r has
#   collapsed. Restarts prevent the standstill, not the rise: a step is at most :math:`\sqrt{\Delta t\,(E + C)/2}` long, but
#   nothing makes it a descent step. SourceSAV moves theta exactly as restarted SAV does.
# * The explicit ExpSAV has an exact energy law too, but for the logarithm of r, which has no lower bound: the true energy
#   rises by orders of magnitude before theta stands still.
# * Restarted element-wise SAV diverges. For long steps SAV gives a step with :math:`(g, d)_M = -2(E + C)`; here each of the P
#   coordinates contributes as much, and the resets have given up the law.
# * Among the IEQ schemes, the restarted one, which is the Levenberg-Marquardt method with damping 1/dt, reaches the lowest
#   energies. It is not monotone in dt, and need not lower the true energy in a step.
# * Implicit Euler is the only scheme here that is known to lower the true energy for every dt; its steps cost many
#   gradients (and were solved to three digits only).
#
# Work and precision
# ------------------
#
# The reference is Runge-Kutta 4 with 1000 steps, up to time 20. The schemes of first order approach one another like straight
# lines of slope -1. To tell them apart, the right panel has the error over dt, which tends to a constant.

time, numbers = 20.0, 2 ** np.arange(3, 8)
reference = gf.solve(problem, gf.RungeKutta4(), theta0, dt=time / 1000, steps=1000, record=[]).theta


def error(scheme, steps):
    """The distance from the reference at the end, in the problem's inner product."""
    d = gf.solve(problem, scheme, theta0, dt=time / steps, steps=int(steps), record=[]).check().theta - reference
    return float(problem.inner(d, d)) ** 0.5


chosen = ["gradient descent", "SAV", "SAV, relaxed", "ExpSAV, explicit", "IEQ", "IEQ, restarted", "implicit Euler"]
accurate = {**schemes, "implicit Euler": gf.ImplicitEuler()}
errors = {name: np.array([error(accurate[name], n) for n in numbers]) for name in chosen}
fourth = np.array([error(gf.RungeKutta4(), n) for n in numbers])

fig, (left, panel) = plt.subplots(1, 2, figsize=(8, 4.6), layout="constrained")
for number, (name, values) in enumerate(errors.items()):
    style = {"color": COLOURS[number], "ls": DASHES[number], "lw": 1.5}
    left.loglog(numbers, values, **style, label=name)
    panel.loglog(numbers, values * numbers / time, **style)
left.loglog(numbers, fourth, color="black", marker="o", ms=3, lw=1, label="Runge-Kutta 4")
left.set(xlabel="steps", ylabel=r"$|\theta(T) - \theta_\mathrm{ref}|_M$")
for axes in (left, panel):
    axes.set_xticks(numbers, labels=numbers)
    axes.minorticks_off()
panel.set(xlabel="steps", ylabel=r"$|\theta(T) - \theta_\mathrm{ref}|_M\,/\,\Delta t$")
fig.legend(loc="outside lower center", ncols=3, frameon=False)
plt.show()

few, many = (f"error, {n} steps" for n in (numbers[0], numbers[-1]))
print(f"{'':20}{few:>16}{many:>20}{'order':>8}{'error/dt':>10}")
for name, values in {**errors, "Runge-Kutta 4": fourth}.items():
    order, constant = np.log2(values[-2] / values[-1]), values[-1] * numbers[-1] / time
    last = f"{constant:10.3f}" if name != "Runge-Kutta 4" else f"{'-':>10}"
    print(f"{name:20}{values[0]:16.2e}{values[-1]:20.2e}{order:8.2f}{last}")
print(f"element-wise SAV, for comparison: {error(gf.ElementwiseSAV(), numbers[-1]):.2f} after {numbers[-1]} steps")

# %%
# With few steps implicit Euler and IEQ are ahead. With many, all schemes of first order are within a factor of 1.5 of gradient
# descent, the cheapest of them, and Runge-Kutta 4, at four gradients a step, is more accurate by three decades: an energy law is no
# order of accuracy. (Vanilla element-wise SAV is in the table as a counterexample: its coordinates keep different r, its limit is
# not the gradient flow, and its error does not tend to zero.)
