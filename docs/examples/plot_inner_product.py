r"""
The inner product decides whether r follows the energy
======================================================

In the mean-field scaling of a two-layer network of width m, the velocity of the gradient flow is m times the vector of
partial derivatives: :cite:t:`Ma2024`, equation (9). That is the gradient in the inner product
:math:`(u, v)_M = \frac1m u\cdot v`, and in no other. The update of the auxiliary variable of SAV,

.. math:: r^{n+1} - r^n = \frac{1}{2\sqrt{E + C}}\,(g, \theta^{n+1} - \theta^n)_M,

is the chain rule for :math:`\sqrt{E + C}` only if g is the gradient in the product that stands here. With the plain dot
product, :math:`r^2` is charged m times the dissipation. The paper leaves the product unstated.

The first figure shows a small version of Example 1 of :cite:t:`Ma2024` (5 inputs, width 300, mini-batches) with either
product: look at r, which collapses in a few steps with the plain one, and at the error, which then stays where it is. The
second shows r after one step against the width.
"""

import matplotlib.pyplot as plt
import numpy as np

import gradflow as gf
from gradflow.plotting import COLOURS, DASHES

data = gf.datasets.sin_cos(n_inputs=5, n_samples=2500, seed=0)


class PlainDotProduct(gf.Regression):
    """The gradient of one inner product and the dot product of another (for comparison only)."""

    def inner(self, u, v):
        """Return the plain dot product."""
        return u @ v


def problem_of(kind, width):
    """Return the regression problem for a network of this width."""
    return kind(gf.TwoLayerNet(5, width), data.x_train, data.y_train, loss="relative")


sav = gf.SAV(C=100.0, stabilization=4.0)
right, plain = r"$(u, v)_M = u \cdot v\,/\,m$", r"plain $u \cdot v$"
cases = {
    f"vanilla, {right}": (gf.Regression, sav),
    f"vanilla, {plain}": (PlainDotProduct, sav),
    f"relaxed, {plain}": (PlainDotProduct, gf.Relaxed(sav)),
}
record = ["energy", "auxiliary_ratio", "identity_residual"]
runs = {}
for name, (kind, scheme) in cases.items():
    problem = problem_of(kind, 300)
    theta0 = problem.net.init(0)
    runs[name] = gf.solve(problem, scheme, theta0, dt=1.0, epochs=10, batch_size=50, seed=0, record=record, every=4)

# %%
# With the right product, r stays near :math:`\sqrt{E + C}` (the table has the last quotient). With the plain one it loses a large factor in
# every step, and the step of theta, which carries the factor :math:`r/\sqrt{E + C}`, with it: the error stops falling within
# the first epoch, in the end no bit of theta changes any more, and ``solve`` ends the run as stagnated (cross). Relaxation
# keeps r from collapsing, but not at :math:`\sqrt{E + C}`.

fig, (left, panel) = plt.subplots(1, 2, figsize=(8, 4.2), layout="constrained")
for number, (name, run) in enumerate(runs.items()):
    h = run.history
    style = {"color": COLOURS[number], "ls": DASHES[number], "lw": 1.6}
    left.semilogy(h["epoch"], h["energy"], **style, label=name)
    panel.semilogy(h["epoch"], h["auxiliary_ratio"], **style)
    if run.status is gf.Status.STAGNATED:
        left.plot(h["epoch"][-1], h["energy"][-1], "x", color=COLOURS[number])
        panel.plot(h["epoch"][-1], h["auxiliary_ratio"][-1], "x", color=COLOURS[number])
left.set(xlabel="epoch", ylabel="relative error (training)")
panel.set(xlabel="epoch", ylabel=r"$r\,/\sqrt{E + C}$")
fig.legend(loc="outside lower center", ncols=3, frameon=False)
plt.show()

print(f"{'':32}{'error':>10}{'r/sqrt(E+C)':>14}{'identity':>10}  status")
for name, run in runs.items():
    h = run.history
    residual = np.nanmax(abs(h["identity_residual"]))
    label = name.replace(right, "(u, v)_M = u.v/m").replace(plain, "plain u.v")
    ends = f"{h['energy'][-1]:10.2e}{h['auxiliary_ratio'][-1]:14.4g}{residual:10.0e}"
    print(f"{label:32}{ends}  {run.status} ({run.steps} steps)")

# %%
# The energy identity cannot tell the two apart. It is an identity in :math:`r^2` that holds for any vector g and any inner
# product, and its residual (third column) is round-off in all three runs. What is lost is the consistency of r with the
# energy.
#
# One step from consistent r, without mini-batches: :math:`r^1/r^0 = 1/(1 + \Delta t\,(g, A^{-1}g)/(2(E + C)))`, where
# :math:`A = 1 + 4\,\Delta t`. In the right product that does not depend on the width, up to the random start. In the
# plain one the fraction is m times as large, and :math:`r^1/r^0` falls like 1/m once it is small.

widths = np.array([30, 100, 300, 1000, 3000])
drop = {name: [] for name in (right, plain)}
for width in widths:
    for name, kind in ((right, gf.Regression), (plain, PlainDotProduct)):
        problem = problem_of(kind, int(width))
        state = sav.init(problem, problem.net.init(0))
        drop[name].append(float(sav.step(problem, state, 1.0).aux / state.aux))

fig, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
for number, (name, values) in enumerate(drop.items()):
    axes.loglog(widths, values, color=COLOURS[number], ls=DASHES[number], marker="o", ms=4, label=name)
axes.set(xlabel="width m", ylabel=r"$r^1 / r^0$", xlim=(20, 4000))
axes.legend(frameon=False, loc="center left")
plt.show()

print(f"{'width':>8}{'u.v/m':>10}{'plain u.v':>12}")
for row in zip(widths, *drop.values(), strict=True):
    print("{:8d}{:10.4f}{:12.4f}".format(*row))

# %%
# The full-size run, width 1000 and 40 inputs, is ``python benchmarks/example1.py product``.
