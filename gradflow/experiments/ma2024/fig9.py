"""Figure 9 of Ma, Mao & Shen: the adaptive forms on a sum of squares.

Example 2 in 40 dimensions, width 100, 8000 samples, batches of 64, C = 1, lambda = 4, dt = 0.1 and 1 (the caption
prints 0.1 twice), the smoothed particle method. Read off the plots, train and test error after 10 000 epochs: with dt
= 0.1 adaptive Euler 4e-4 and 1e-3, the adaptive SAV curves 9e-5 and 3e-4; with dt = 1, in training, adaptive Euler
2e-2, adaptive SAV 1.2e-4, relaxed 1.7e-4, restarted 2.5e-4; Adam with its usual rate 8e-5 and 3e-4.

Here the particle method runs, 100 epochs, on the mean squared error in the time of automatic differentiation, in which
explicit Euler diverges with dt = 1, see Fig. 8. What is judged is the order of the curves with dt = 1; levels are judged only in a run of 10 000 epochs.
There adaptive SAV loses r, vanilla and relaxed, as SAV does in Fig. 8; restarted it does not. With the relative error in mean-field time, as
printed (``--set loss=relative --set time_scale=mean_field --set epochs=150 --set draws=1``), it does not, but all adaptive SAV curves stay
at a train error of 1.5e-3 from epoch 30 to 150 with either step, above adaptive Euler: the order of the figure is not to be seen there.
"""

from __future__ import annotations

from dataclasses import replace

from ..experiment import Claim, Context, Experiment, Outcome
from ..judging import ends_above
from .adaptive_judging import levels, verdict_by_reading
from .adaptive_panels import (
    ADAPTIVE_EULER,
    ADAPTIVE_RELAXED,
    ADAPTIVE_RESTARTED,
    ADAPTIVE_SAV,
    ADAPTIVE_SAVS,
    adaptive_panels,
    by_reading,
)
from .panels import PanelRuns, panel_outcome
from .tasks import PAPER, TaskSettings

__all__ = ["MA2024_FIG9"]

SMALL, LARGE = 0.1, 1.0
EPOCH, PAPER_EPOCH, ABOVE = 100, 10_000, 5.0
LEVELS = {ADAPTIVE_EULER: (4e-4, 1e-3), **dict.fromkeys(ADAPTIVE_SAVS, (9e-5, 3e-4))}
"""With dt = 0.1."""
TRAIN_LEVELS = {ADAPTIVE_EULER: 2e-2, ADAPTIVE_SAV: 1.2e-4, ADAPTIVE_RESTARTED: 2.5e-4, ADAPTIVE_RELAXED: 1.7e-4}
"""With dt = 1."""
NOTE = (
    "Errors are sum (f - y)^2 / sum y^2, the range over the draws. The average v is read in both ways: of the "
    "squared norm of the gradient, as printed, and element by element, as in Adam. The figure has the smoothed "
    "particle method (--set method=smoothed, some 10 times as long), over 10 000 epochs. The mean squared error "
    "is trained, in the time of automatic differentiation. The caption prints dt = 0.1 twice; 1 is taken for the second. The initial "
    "parameters, which the paper does not give, are He's."
)


def run(settings: TaskSettings, context: Context) -> Outcome:
    """Run all curves for every draw, draw the figure, and judge it."""
    return panel_outcome(
        adaptive_panels(settings, (SMALL, LARGE)),
        settings,
        context,
        title="Ma, Mao & Shen (2024), Fig. 9",
        note=NOTE,
        judge=judge,
        paper=replace(FULL, epochs=PAPER_EPOCH, loss="relative", time_scale="mean_field", method="smoothed"),
        verdict=verdict_by_reading,
        changes=(
            "dt = 1 for the second 0.1 of the caption",
            "" if settings.epochs >= PAPER_EPOCH else f"dt = {SMALL:g} not judged",
        ),
    )


def judge(runs: PanelRuns) -> list[Claim]:
    """Return for each reading of v what the paper shows and what the data say about it.

    Parameters
    ----------
    runs : dict
        From `run_panels`.
    """
    claims: list[Claim] = []
    for panels in by_reading(runs, LARGE).values():
        claims += [
            ends_above(
                f"{title}: adaptive Euler ends at least {ABOVE:g} times as high as {label} after {EPOCH} epochs (paper: "
                f"{TRAIN_LEVELS[ADAPTIVE_EULER] / TRAIN_LEVELS[label]:.0f} times after {PAPER_EPOCH})",
                [curves[ADAPTIVE_EULER]],
                [curves[label]],
                EPOCH,
                ABOVE,
            )
            for title, curves in panels.items()
            for label in ADAPTIVE_SAVS
        ]
        for title, curves in panels.items():
            claims += levels(title, curves, PAPER_EPOCH, {k: (v,) for k, v in TRAIN_LEVELS.items()})
    for panels in by_reading(runs, SMALL).values():
        for title, curves in panels.items():
            claims += levels(title, curves, PAPER_EPOCH, LEVELS)
    return claims


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

MA2024_FIG9 = Experiment(
    name="ma2024-fig9",
    title="Adaptive SAV on a sum of squares",
    source=f"{PAPER}, Fig. 9",
    problem="Learn y = sum c_i x_i^2 in 40 dimensions: width 100, 8000 samples, batches of 64, C = 1, lambda = 4, "
    "dt = 0.1 and 1.",
    time="about a minute for 100 epochs and 5 draws",
    quick_time="about 20 seconds for 15 epochs and 1 draw",
    full=FULL,
    quick=replace(FULL, epochs=15, record_epochs=1, draws=1),
    fixed={"dt": [SMALL, LARGE], "read at epoch": EPOCH, "above": ABOVE},
    run=run,
)
"""The experiment ``ma2024-fig9``."""
