"""Figure 5 of Ma, Mao & Shen: how much stabilization SAV needs.

Example 1 in 40 dimensions, batches of 256, dt = 0.5, C = 100, lambda = 0, 1, 4, 10. Read off the plot: after 10 000 epochs the train
error is 7e-5, 2e-5, 2.5e-6 and 8e-6, so that lambda = 4 is best of the four. Here the particle method runs, 60 epochs.
"""

from __future__ import annotations

from dataclasses import replace

from ...schemes import SAV
from ..experiment import Claim, Context, Experiment, Outcome
from ..judging import READING, ends_above
from .curves import Curve, Panel
from .panels import PanelRuns, panel_outcome
from .tasks import PAPER, TaskSettings

__all__ = ["MA2024_FIG5"]

DT, EPOCH = 0.5, 60
LAMBDAS = (0.0, 1.0, 4.0, 10.0)
BEST = 4.0
PANEL = "SAV, dt = 0.5"
NOTE = (
    "Errors are sum (f - y)^2 / sum y^2, the range over the draws. The figure has the smoothed particle method "
    "(--set method=smoothed, some 10 times as long), over 10 000 epochs. The initial parameters, which the paper does not give, are He's."
)


def run(settings: TaskSettings, context: Context) -> Outcome:
    """Run SAV with every lambda for every draw, draw the figure, and judge it."""
    curves = tuple(Curve(label(value), SAV(C=settings.C, stabilization=value), DT) for value in LAMBDAS)
    return panel_outcome(
        (Panel(PANEL, "sav", curves),),
        settings,
        context,
        title="Ma, Mao & Shen (2024), Fig. 5",
        note=NOTE,
        judge=judge,
        paper=replace(FULL, epochs=10_000, n_samples=100_000, method="smoothed"),
    )


def label(value: float) -> str:
    """Return the legend's entry for a lambda.

    Parameters
    ----------
    value : float
        The stabilization.
    """
    return rf"$\lambda = {value:g}$"


def judge(runs: PanelRuns) -> list[Claim]:
    """Return what the paper shows and what the data say about it.

    Parameters
    ----------
    runs : dict
        From `run_panels`.
    """
    return [
        ends_above(
            f"{title}: lambda = {BEST:g} ends below the other three after {EPOCH} epochs",
            [curves[label(value)] for value in LAMBDAS if value != BEST],
            [curves[label(BEST)]],
            EPOCH,
        )
        for title, curves in runs.items()
    ]


FULL = TaskSettings(epochs=EPOCH, record_epochs=2, n_samples=100_000, batch_size=256, C=100.0, init="he")

MA2024_FIG5 = Experiment(
    name="ma2024-fig5",
    title="How much stabilization SAV needs",
    source=f"{PAPER}, Fig. 5",
    problem="Learn y = sin(p.x) + cos(q.x) in 40 dimensions: width 1000, 80 000 samples, batches of 256, dt = 0.5, C = 100.",
    time="about 5 minutes for 60 epochs and 5 draws",
    quick_time="about 20 seconds for 10 000 samples and 2 draws",
    full=FULL,
    quick=replace(FULL, n_samples=10_000, draws=2),
    fixed={"dt": DT, "lambda": [*LAMBDAS], "read at epoch": EPOCH, "above": READING},
    run=run,
)
"""The experiment ``ma2024-fig5``."""
