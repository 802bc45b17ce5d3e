r"""
Figure 2 of Ma, Mao & Shen (2024), in small
===========================================

:cite:t:`Ma2024`, Fig. 2, train a two-layer network on :math:`y = \sin(p \cdot x) + \cos(q \cdot x)` in 40 dimensions (their
Example 1) by the particle method, with explicit Euler and with SAV, dt = 0.2, C = 1. Their two curves lie on one another.

The figure ``ma2024-fig2`` is one value: the task, the curves, the published curves and the claims. The command ::

    gradflow reproduce ma2024-fig2

runs it with 1000 neurons, 1001 epochs and five draws of what the paper does not state. This page has 200 neurons, 101
epochs, a fifth of the samples and two draws. Its numbers are no verdict on the paper.
"""

import tempfile
from pathlib import Path

from gradflow.experiments import REGISTRY
from gradflow.experiments.pictures import picture
from gradflow.experiments.traces import load_curves

fig2 = REGISTRY["ma2024-fig2"]
small = {"epochs": 101, "width": 200, "n_samples": 2000, "draws": 2}
with tempfile.TemporaryDirectory() as folder:
    report = fig2.reproduce(folder, say=lambda line: None, **small)
    curves = load_curves(Path(folder) / "curves.npz")

# %%
# Grey are the published curves, with a dot where they are known. The epochs are logarithmic from 1 on. Look at the two curves of
# SAV that carry the auxiliary variable (lambda = 0 as in the caption of the paper, 4 as in its text), and at what a restart,
# relaxation, or an update of r in a product to which the gradient does not belong makes of them.

drawn = picture(fig2, curves)

# %%
# Each claim is a number for every draw, and the interval in which it should lie. The distance from a published curve is the
# mean of the decimal logarithm of ours over published: 0.3 is a factor of two.

for row in report.claims:
    values = " ".join("-" if value is None else f"{float(value):6.3g}" for value in row["values"])
    print(f"{row['holds']!s:6}{row['claim'][:88]:90}{values}")
print(f"\nChanged: {report.changed}")
