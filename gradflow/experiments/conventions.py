r"""Which unstated conventions give the published curves: a search, scored by the distance to the curves in decades.

Ma, Mao & Shen do not say how inputs and targets are scaled, nor the law of the initial parameters. A convention is one choice of
them all. Each is a panel, run at the printed sizes over the first published epochs, which cost little. They need not decide.
The distance of a draw is

.. math:: \frac1n \sum_{i=1}^n \Bigl|\log_{10} \frac{\text{ours}_i}{\text{published}_i}\Bigr|                     \tag{1}

over all n published values of all curves. The coefficients of the targets are unpublished and move the curves, too,
so the convention that is nearest in the first half of the draws is chosen there and reported for the second half, `held_out`.

Figure 2 and Figure 3 are compared at epoch 1, Figure 1 over 12 epochs, Figure 7 over 101. How far a convention follows the curves
later is told by the figures themselves, which run with `gradflow.experiments.ma2024.CONVENTION`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from .claims import Claim, Curves, Values, distance
from .figure import ALL, Figure
from .ma2024 import FIG1, FIG2, FIG3, FIG7

__all__ = ["CONVENTIONS", "MA2024_CONVENTIONS", "held_out"]

SCALINGS: dict[str, dict[str, Any]] = {
    "relative error": {"loss": "relative", "targets": "raw"},
    "relative error, y / max |y|": {"loss": "relative", "targets": "max"},
    "mean square, y in [0, 1]": {"loss": "mse", "targets": "min_max"},
    "mean square, y / max |y|": {"loss": "mse", "targets": "max"},
}
INPUTS = {"z-scored x": 0.0, "x": 1.0, "0.5 x": 0.5, "0.3 x": 0.3, "0.2 x": 0.2}
INITS = {"N(0, 1)": "normal", "U(-1, 1)": "uniform", "He": "he"}
CONVENTIONS: dict[str, dict[str, Any]] = {
    f"{scaling}; {inputs}; {init}": {**SCALINGS[scaling], "inputs": INPUTS[inputs], "init": INITS[init]}
    for scaling, inputs, init in product(SCALINGS, INPUTS, INITS)
}
"""For each convention the settings of `gradflow.experiments.tasks.Example`."""
NEAR = 0.1
"""Distance (1) within which a convention is said to show a figure: a factor 1.26 in the mean."""


def held_out(claims: Sequence[Claim], panels: Sequence[str]) -> Claim:
    """Return the claim on the convention that is nearest in the first half of the draws: its distance in the second half.

    Parameters
    ----------
    claims : sequence of Claim
        Of the distance (1), one for each panel.
    panels : sequence of str
        Titles of the panels.
    """

    def value(curves: Curves) -> Values:
        found = np.array([claim.value(curves) for claim in claims])
        half = (found.shape[1] + 1) // 2
        if half == found.shape[1]:
            return np.array([np.nan])
        return np.asarray(found[np.argmin(found[:, :half].mean(axis=1)), half:])

    labels = tuple(dict.fromkeys(label for claim in claims for label in claim.labels))
    return Claim(f"nearest of {len(panels)} conventions, draws held out: distance, decades", labels, value, 0.0, NEAR)


def search(figure: Figure, *, labels: Sequence[str] = (), **settings: Any) -> Figure:
    """Return a figure with a panel for each convention and panel of another figure."""
    task = replace(figure.task, draws=4, **settings)
    panels, published, claims = {}, {}, []
    for name, changes in CONVENTIONS.items():
        named: dict[str, Mapping[str, Any]] = {}
        for title, curves in figure.panels.items():
            known = figure.published.get(title, {})
            chosen = [label for label in curves if label in known and (not labels or label in labels)]
            panel = f"{name}; {title}"
            panels[panel] = {
                label: curves[label]._replace(changes={**curves[label].changes, **changes}) for label in chosen
            }
            published[panel] = {label: known[label] for label in chosen}
            named |= {f"{panel}{ALL}{label}": known[label] for label in chosen}
        claims.append(distance(name, named, high=NEAR))
    return replace(
        figure,
        name=figure.name.replace("fig", "conventions-fig"),
        title=f"Which conventions show Figure {figure.name.removeprefix('ma2024-fig')}",
        task=task,
        quick={"draws": 1, "width": 50, "n_samples": 1000, "epochs": min(2, task.epochs)},
        panels=panels,
        published=published,
        claims=[*claims, held_out(claims, list(panels))],
        follow=False,
        show=(),  # a row for each of sixty panels is no picture
        keep=figure.show,
        points=2,
    )


MA2024_CONVENTIONS = (
    search(FIG1, labels=("explicit Euler", "SAV"), epochs=12),
    search(FIG2, labels=("explicit Euler",), epochs=1),
    search(FIG3, labels=("explicit Euler", "SAV", "explicit Euler, dt = 0.01"), epochs=1),
    search(FIG7, labels=("explicit Euler",), epochs=101, record_epochs=1),
)
"""For Figures 1, 2, 3 and 7."""
