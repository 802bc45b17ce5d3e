r"""
Figure 2 of Ma, Mao & Shen (2024), in small
===========================================

:cite:t:`Ma2024`, Fig. 2, train a two-layer network on :math:`y = \sin(p \cdot x) + \cos(q \cdot x)` in 40 dimensions (their
Example 1) by the particle method, with explicit Euler and with SAV, dt = 0.2, C = 1. Their curves lie on one another. The
experiment ``ma2024-fig2`` repeats this and judges it, claim by claim. In the figure, look first at the two vanilla SAV curves
(lambda = 0 as in the caption of the paper, 4 as in its text): :math:`r/\sqrt{E + C}` falls to zero within the first epochs, and
with it the step; they stagnate. Then look at what removes this: a restart, relaxation, or an update of r in an inner product
to which the gradient does not belong (the first of equation (2) of ``gradflow/experiments/ma2024/products.py``), which makes SAV
explicit Euler by another name.

This page runs a small version. The command for the figure itself is ::

    gradflow reproduce ma2024-fig2

with 1000 neurons, 1000 epochs (the paper: 10 000) and five draws of what the paper does not give; that takes a quarter of
an hour. Here it is 400 neurons, 60 epochs and one draw. The first claim of the report is about 600 epochs: this version cannot
decide it, so its verdict is no verdict on the paper.
"""

import tempfile
import textwrap
from pathlib import Path

import matplotlib.pyplot as plt

import gradflow as gf
from gradflow.experiments import REGISTRY
from gradflow.experiments.experiment import format_table
from gradflow.plotting import COLOURS, DASHES

# %%
# ``reproduce`` writes the figure, the report and every run into a folder; the runs are read back from there.

labels = (  # the order of the curves
    "explicit Euler",
    r"SAV, $\lambda = 0$ (caption)",
    "restarted SAV",
    "relaxed SAV",
    "SAV, product of the partial derivatives",
    r"SAV, $\lambda = 4$ (text)",
)
with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    outcome = REGISTRY["ma2024-fig2"].reproduce(folder, quick=True, say=lambda line: None, width=400, record_epochs=2)
    runs = {label: gf.Solution.load(folder / "data" / f"particle-{n}-0") for n, label in enumerate(labels)}

# %%
# A cross marks where a run has stagnated: no bit of :math:`\theta` changes any more. The restarted scheme has no auxiliary
# variable of its own: what is shown of it is the ratio after the last batch.

figure, (error, ratio) = plt.subplots(1, 2, figsize=(8, 4.8), layout="constrained")
for (label, run), colour, dashes in zip(runs.items(), COLOURS, DASHES, strict=False):
    h = run.history
    for axes, values in ((error, h["train_error"]), (ratio, h["auxiliary_ratio"])):
        axes.plot(h["epoch"], values, color=colour, linestyle=dashes, label=label)
        if run.status is gf.Status.STAGNATED:
            axes.plot(h["epoch"][-1], values[-1], "x", color=colour, markersize=9)
error.set(yscale="log", xlabel="epoch", ylabel="train relative error")
ratio.set(xlabel="epoch", ylabel=r"$r\,/\sqrt{E + C}$", ylim=(-0.05, 1.5))
figure.legend(*error.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
for axes in (error, ratio):
    axes.grid(alpha=0.25)

print(*format_table(outcome.header, outcome.rows), "", textwrap.fill(outcome.note, 104), sep="\n")

# %%
# The claims, each decided from the runs (``None``: this version cannot tell), and the verdict that follows from them. The
# folder has all of this in ``report.txt``.

for claim in outcome.claims:
    print(textwrap.fill(f"{claim.holds!s:6}{claim.text}", 112, subsequent_indent=6 * " "))
    print(textwrap.fill(claim.evidence, 112, initial_indent=10 * " ", subsequent_indent=10 * " "))
print("\n" + textwrap.fill(f"Verdict: {outcome.verdict}", 112))
