"""Figure 8 of Ma, Mao & Shen: SAV at large steps on a sum of squares.

Example 2 in 40 dimensions, width 100, batches of 64, C = 1, lambda = 4, dt = 0.4 and 1. Read off the plots: explicit Euler is stuck at
1.8e-2 with dt = 0.4 and between 1 and 100 with dt = 1; the SAV forms end, after 10 000 epochs, at 5e-4 and 1e-3 (train). Here the
particle method runs, 300 epochs, on the mean squared error in the time of automatic differentiation: with the relative error in
mean-field time, as printed, explicit Euler does not fail (``--set loss=relative --set time_scale=mean_field --set init=normal``; after
300 epochs, five draws, it is at 5.8e-4 to 7.2e-4 with dt = 0.4 and at 2.6e-4 to 3.7e-4 with dt = 1, below all SAV curves, which lie on
one another at 8e-4 to 1e-3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...run.solution import Solution, Status
from ..experiment import Claim, Context, Experiment, Outcome
from ..judging import ends_above, over_draws
from ..verdicts import too_short
from ..words import range_text
from .curves import EULER, RELAXED, RESTARTED, VANILLA, Panel, euler_and_sav
from .panels import PanelRuns, panel_outcome
from .tasks import PAPER, TaskSettings

__all__ = ["MA2024_FIG8"]

STEPS = {"dt = 0.4": 0.4, "dt = 1": 1.0}
EPOCH, ABOVE = 300, 5.0
SAVS = (VANILLA, RESTARTED, RELAXED)
NOTE = (
    "Errors are sum (f - y)^2 / sum y^2, the range over the draws. The figure has the smoothed particle method "
    "(--set method=smoothed, some 10 times as long), over 10 000 epochs; the text says M = 1000, the caption 10 000. The mean squared error is trained, in "
    "the time of automatic differentiation, in which E starts far above C = 1: that is how vanilla and relaxed SAV lose r. The initial parameters, which the paper does not give, are He's."
)


def run(settings: TaskSettings, context: Context) -> Outcome:
    """Run all curves for every draw, draw the figure, and judge it."""
    panels = tuple(Panel(title, f"dt{dt:g}", euler_and_sav(settings, dt)) for title, dt in STEPS.items())
    return panel_outcome(
        panels,
        settings,
        context,
        title="Ma, Mao & Shen (2024), Fig. 8",
        note=NOTE,
        judge=judge,
        paper=replace(FULL, epochs=10_000, loss="relative", time_scale="mean_field", method="smoothed"),
    )


def judge(runs: PanelRuns) -> list[Claim]:
    """Return what the paper shows and what the data say about it.

    Parameters
    ----------
    runs : dict
        From `run_panels`.
    """
    above = [
        ends_above(
            f"{title}: explicit Euler ends at least {ABOVE:g} times as high as {label}, or diverges",
            [curves[EULER]],
            [curves[label]],
            EPOCH,
            ABOVE,
        )
        for title, curves in runs.items()
        for label in SAVS
    ]
    goes_on = [
        _goes_on(f"{title}: {label} does not come to a standstill", curves[label])
        for title, curves in runs.items()
        for label in SAVS
    ]
    return [*above, *goes_on]


def _goes_on(text: str, runs: Sequence[Solution]) -> Claim:
    """Return the claim that a curve goes on: the paper's do to the end, while a run that has lost its r stands where it is."""
    if any(run.status is Status.DONE and run.history["epoch"][-1] < EPOCH for run in runs):
        return Claim(text, None, too_short(EPOCH))
    shown = [run.status is Status.DONE for run in runs]
    ends = ", ".join(
        f"{run.status.value} at epoch {run.history['epoch'][-1]:.0f}" for run in runs if run.status is not Status.DONE
    )
    ratios = range_text(float(run.history["auxiliary_ratio"][-1]) for run in runs)
    return Claim(text, over_draws(shown), f"{ends or 'all go on'}; r / sqrt(E + C) ends at {ratios}")


FULL = TaskSettings(
    target="quadratic",
    epochs=EPOCH,
    record_epochs=2,
    width=100,
    stabilization=4.0,
    loss="mse",
    time_scale="autograd",
    init="he",
)

MA2024_FIG8 = Experiment(
    name="ma2024-fig8",
    title="SAV at large steps on a sum of squares",
    source=f"{PAPER}, Fig. 8",
    problem="Learn y = sum c_i x_i^2 in 40 dimensions: width 100, 8000 samples, batches of 64, lambda = 4, dt = 0.4 and 1.",
    time="about a minute for 300 epochs and 5 draws",
    quick_time="about 15 seconds for 1 draw",
    full=FULL,
    quick=replace(FULL, draws=1),
    fixed={"dt": [*STEPS.values()], "read at epoch": EPOCH, "above": ABOVE},
    run=run,
)
"""The experiment ``ma2024-fig8``."""
