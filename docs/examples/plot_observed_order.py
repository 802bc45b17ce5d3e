r"""
Observed order of the schemes
=============================

The error at a fixed time, T = 1, against the gradient flow :math:`\theta' = -\nabla_M E(\theta)`, as :math:`\Delta t \to 0`.
The energy is that of a small tanh network on 20 samples; the reference is the classical Runge-Kutta method with 2000 steps
(:cite:p:`Butcher2016`, section 235). In the first figure, top left, look at the slopes: the schemes follow the gradient
flow with order 1, Runge-Kutta with order 4. The other panels show error / :math:`\Delta t`: flat is order 1, and the height
is the error constant. The second figure has the schemes whose limit is *another* flow: their error against the gradient
flow does not go to zero, however small the step; against the flow that they do follow it does, with order 1.
"""

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np
from scipy.integrate import solve_ivp

import gradflow as gf
from gradflow.plotting import COLOURS, DASHES

rng = np.random.default_rng(1)
x = rng.uniform(-1, 1, (20, 2))
net = gf.TwoLayerNet(n_inputs=2, width=5, activation="tanh")
problem = gf.Regression(net, x, np.sin(3 * x[:, 0]) + x[:, 1])
theta0 = net.init(1)
T = 1.0


def end(scheme, n):
    """Return theta after n steps of size T / n."""
    state = scheme.init(problem, theta0)
    for _ in range(n):
        state = scheme.step(problem, state, T / n)
    return state.theta


def errors(scheme, counts, reference):
    """Return the error at time T for every number of steps."""
    return np.array([np.linalg.norm(end(scheme, n) - reference) for n in counts])


def order(counts, error):
    """Return the slope of the straight line through the last four points."""
    return np.polyfit(np.log(T / counts[-4:]), np.log(error[-4:]), 1)[0]


# %%
# The schemes that follow the gradient flow
# -----------------------------------------
# Some curves coincide. ``SourceSAV`` moves :math:`\theta` as ``Restart(SAV())`` does for every step size, and so do
# ``Relaxed(SAV())`` and ``Relaxed(IEQ())`` with their restarted forms as long as relaxation can pull the auxiliary variable
# back all the way. Explicit and implicit Euler have leading error terms of equal size and opposite sign.

flow = end(gf.RungeKutta4(), 2000)
groups = [
    {
        "GradientDescent": gf.GradientDescent(),
        "ImplicitEuler": gf.ImplicitEuler(),
        "ExpSAV, implicit": gf.ExpSAV(form="implicit"),
        "ExpSAV, explicit": gf.ExpSAV(form="explicit"),
        "ExpSAV, section_2.2.4": gf.ExpSAV(form="section_2.2.4"),
    },
    {
        "SAV": gf.SAV(),
        "Restart(SAV)": gf.Restart(gf.SAV()),
        "Relaxed(SAV)": gf.Relaxed(gf.SAV()),
        "SourceSAV": gf.SourceSAV(),
        "Restart(ElementwiseSAV)": gf.Restart(gf.ElementwiseSAV()),
    },
    {
        "IEQ": gf.IEQ(),
        "Restart(IEQ)": gf.Restart(gf.IEQ()),
        "Relaxed(IEQ)": gf.Relaxed(gf.IEQ()),
        "AdaptiveIEQ, invariant": gf.AdaptiveIEQ(form="invariant"),
        "AdaptiveIEQ, printed": gf.AdaptiveIEQ(form="printed"),
    },
]
counts, few = np.array([10, 20, 40, 80, 160, 320]), np.array([2, 4, 8, 16, 32])
found = {name: errors(scheme, counts, flow) for group in groups for name, scheme in group.items()}
fourth = errors(gf.RungeKutta4(), few, flow)

# %%

figure, panels = plt.subplots(2, 2, figsize=(8, 7), layout="constrained")
first, *others = panels.ravel()
for i, name in enumerate(("GradientDescent", "SAV", "ExpSAV, section_2.2.4", "IEQ")):
    first.loglog(T / counts, found[name], color=COLOURS[i], linestyle=DASHES[i], label=name)
first.loglog(T / few, fourth, color=COLOURS[4], marker="s", markersize=4)
first.annotate("RungeKutta4", (T / 16, fourth[3]), (-78, -3), textcoords="offset points", color="#333333")
for steps, constant, slope in ((counts, 0.04, 1), (few, fourth[-1] * few[-1] ** 4 / 10, 4)):
    line = constant * (T / steps) ** slope
    first.loglog(T / steps, line, color="#8c8c8c", linewidth=1)
    first.annotate(f"slope {slope}", (T / steps[2], line[2]), (2, -15), textcoords="offset points", color="#666666")
first.set(ylabel="error at T = 1", ylim=(1e-14, 1))
for axes, group in zip(others, groups, strict=True):
    for name, colour, dashes, marker in zip(group, COLOURS, DASHES, "os^Dv", strict=False):
        axes.semilogx(
            T / counts, found[name] * counts / T, color=colour, linestyle=dashes, marker=marker, markersize=5,
            markerfacecolor="none", label=name,
        )  # fmt: skip
    axes.set(ylabel=r"error / $\Delta t$", ylim=(0, 0.85))
for axes in (first, *others):
    axes.set_xlabel(r"$\Delta t$")
    axes.grid(alpha=0.25)
    axes.legend(loc="lower left" if axes is first else "upper left", fontsize=9)

print("scheme                   fitted order  error / dt")
for name, error in found.items():
    print(f"{name:25}{order(counts, error):12.3f}{error[-1] * counts[-1] / T:12.4f}")
print(f"{'RungeKutta4':25}{order(few, fourth):12.3f}")

# %%
# The schemes with a limit flow of their own
# ------------------------------------------
# Each velocity is written here from the scheme's documentation, as a function of :math:`(\theta, r)` where r belongs to the
# limit: heavy ball and Nesterov run :math:`1/(1 - \beta)` times as fast (equation (3) of :py:obj:`gradflow.HeavyBall`); Adam
# and RMSProp follow the flow of :math:`g/(|g| + \varepsilon)` (equation (4) of :py:obj:`gradflow.Adam`), A-SAV that of
# :math:`g/(|g|_M + \varepsilon)`; form ``theorem_2.2`` solves :math:`\theta' = -g/r`, equation (5) of
# :py:obj:`gradflow.ExpSAV`; and in vanilla element-wise SAV each :math:`r_i` falls with its own :math:`g_i`. A large
# :math:`\varepsilon` keeps the limits smooth where a component of g changes sign. Not shown: ``Adagrad``, whose own time is
# :math:`n\,\Delta t^2`.

P, eps = theta0.size, 0.3


def velocity_of_normalised_gradients(y):
    """Return theta', element by element."""
    g = problem.energy_and_gradient(y)[1]
    return -g / (np.abs(g) + eps)


def velocity_of_adaptive_sav(y):
    """Return theta'; the gradient over its norm. Along it r = sqrt(E + C)."""
    g = problem.energy_and_gradient(y)[1]
    return -g / (np.sqrt(problem.inner(g, g)) + eps)


def velocity_of_theorem_2_2(y):
    """Return theta' for r = C exp(E / kappa), C = kappa = 1."""
    E, g = problem.energy_and_gradient(y)
    return -g / np.exp(E)


def velocity_of_elementwise_sav(y):
    """Return (theta, r)' for C = 1."""
    E, g = problem.energy_and_gradient(y[:P])
    return np.concatenate([-y[P:] / np.sqrt(E + 1) * g, -problem.mass * g * g * y[P:] / (2 * (E + 1))])


def twice_as_fast(y):
    """Return theta' of momentum 1/2."""
    return -2 * problem.energy_and_gradient(y)[1]


own = {
    "HeavyBall, 0.5": (gf.HeavyBall(momentum=0.5), twice_as_fast),
    "Nesterov, 0.5": (gf.Nesterov(momentum=0.5), twice_as_fast),
    "Adam": (gf.Adam(beta1=0.5, beta2=0.5, eps=eps), velocity_of_normalised_gradients),
    "RMSProp": (gf.RMSProp(decay=0.5, eps=eps), velocity_of_normalised_gradients),
    "AdaptiveSAV": (gf.AdaptiveSAV(beta1=0.5, beta2=0.5, eps=eps), velocity_of_adaptive_sav),
    "ExpSAV, theorem_2.2": (gf.ExpSAV(form="theorem_2.2"), velocity_of_theorem_2_2),
    "ElementwiseSAV": (gf.ElementwiseSAV(), velocity_of_elementwise_sav),
}
counts = np.array([40, 80, 160, 320, 640])

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 4.6), layout="constrained", sharey=True)
print("scheme                 distance of the flows  order against its own")
for (name, (scheme, velocity)), colour, dashes, marker in zip(own.items(), COLOURS, DASHES, "os^Dvx+", strict=True):
    start = np.append(theta0, np.full(P, np.sqrt(problem.energy(theta0) + 1))) if name == "ElementwiseSAV" else theta0
    solved = solve_ivp(lambda t, y, f=velocity: f(y), (0, T), start, method="DOP853", rtol=1e-12, atol=1e-14)
    limit = solved.y[:P, -1]
    for axes, reference in ((left, flow), (right, limit)):
        axes.loglog(
            T / counts, errors(scheme, counts, reference), color=colour, linestyle=dashes, marker=marker, markersize=5,
            markerfacecolor="none", label=name,
        )  # fmt: skip
    print(f"{name:25}{np.linalg.norm(limit - flow):18.4f}{order(counts, errors(scheme, counts, limit)):18.3f}")
right.loglog(T / counts, 0.05 * T / counts, color="#8c8c8c", linewidth=1, label="slope 1")
left.set(title="against the gradient flow", ylabel="error at T = 1", xlabel=r"$\Delta t$")
right.set(title="against its own limit flow", xlabel=r"$\Delta t$")
figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
for axes in (left, right):
    axes.xaxis.set_minor_formatter("")
    axes.grid(alpha=0.25)
