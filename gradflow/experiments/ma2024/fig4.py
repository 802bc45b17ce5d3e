"""Figure 4 of Ma, Mao & Shen: the adaptive forms at a small and at a large step.

Example 1 in 40 dimensions, width 1000, 80 000 samples, batches of 256, C = 100, lambda = 4, dt = 0.01 and 1, the
smoothed particle method. Read off the plots, train and test error after 10 000 epochs: with dt = 0.01 adaptive Euler
2e-5 and 3e-5, the three adaptive SAV curves, on one another, 4e-6 and 1e-5; with dt = 1 adaptive Euler is stuck at
3e-2, while the adaptive SAV curves end where they did with dt = 0.01; Adam with its usual rate 6e-6 and 1.2e-5.

The separation takes long to show: at the printed width and with 16 000 samples, all curves with dt = 1 are between
2e-3 and 7e-3 after 60 epochs (``--set width=1000 --set n_samples=20000 --set epochs=60 --set draws=1``). So width and
pool are smaller here, in favour of epochs, and the particle method runs. (``--set width=1000 --set draws=1`` goes the
same way: after 400 epochs adaptive SAV is at 2.6e-4, adaptive Euler between 2.4e-3 and 4.3e-3.)

What is judged is what the adaptive forms are for: at the large step the adaptive SAV curves agree and keep falling, where adaptive Euler, whose
steps do not shrink with the gradient, no longer does. Levels are judged only in a run of 10 000 epochs. In the time
of automatic differentiation, with the same lambda, nothing of this can be seen: adaptive SAV with dt = 1 was at 0.92
after 10 epochs, since its step is at most 1 / lambda of a time that runs 1000 times as slowly.
"""

from __future__ import annotations

from dataclasses import replace

from ..experiment import Claim, Context, Experiment, Outcome
from ..judging import ends_above, together
from .adaptive_judging import falls, levels, verdict_by_reading
from .adaptive_panels import (
    ADAPTIVE_EULER,
    ADAPTIVE_SAV,
    ADAPTIVE_SAVS,
    adaptive_panels,
    by_reading,
)
from .panels import PanelRuns, panel_outcome
from .tasks import PAPER, TaskSettings

__all__ = ["MA2024_FIG4"]

SMALL, LARGE = 0.01, 1.0
EPOCH, PAPER_EPOCH = 400, 10_000
WITHIN, ABOVE, FALLS = 0.1, 3.0, 1.5
LEVELS = {
    SMALL: {ADAPTIVE_EULER: (2e-5, 3e-5), **dict.fromkeys(ADAPTIVE_SAVS, (4e-6, 1e-5))},
    LARGE: {ADAPTIVE_EULER: (3e-2, 3e-2), **dict.fromkeys(ADAPTIVE_SAVS, (4e-6, 1e-5))},
}
PAPER_QUOTIENT = LEVELS[LARGE][ADAPTIVE_EULER][0] / LEVELS[LARGE][ADAPTIVE_SAV][0]
NOTE = (
    "Errors are sum (f - y)^2 / sum y^2, the range over the draws. The average v is read in both ways: "
    "of the squared norm of the gradient, as printed, and element by element, as in Adam. The figure has the "
    "smoothed particle method (--set method=smoothed, some 10 times as long), width 1000 and 80 000 samples, over "
    "10 000 epochs. The initial parameters, which the paper does not give, are He's."
)


def run(settings: TaskSettings, context: Context) -> Outcome:
    """Run all curves for every draw, draw the figure, and judge it."""
    return panel_outcome(
        adaptive_panels(settings, (SMALL, LARGE)),
        settings,
        context,
        title="Ma, Mao & Shen (2024), Fig. 4",
        note=NOTE,
        judge=judge,
        paper=replace(FULL, epochs=PAPER_EPOCH, width=1000, n_samples=100_000, method="smoothed"),
        verdict=verdict_by_reading,
        changes=("" if settings.epochs >= PAPER_EPOCH else f"dt = {SMALL:g} not judged",),
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
        for title, curves in panels.items():
            claims += [
                ends_above(
                    f"{title}: adaptive Euler ends at least {ABOVE:g} times as high as adaptive SAV after {EPOCH} epochs "
                    f"(paper: {PAPER_QUOTIENT:.0f} times after {PAPER_EPOCH})",
                    [curves[ADAPTIVE_EULER]],
                    [curves[ADAPTIVE_SAV]],
                    EPOCH,
                    ABOVE,
                ),
                falls(
                    f"{title}: adaptive SAV falls by at least a factor {FALLS:g} in the second half of {EPOCH} epochs",
                    curves[ADAPTIVE_SAV],
                    EPOCH / 2,
                    EPOCH,
                    FALLS,
                ),
                falls(
                    f"{title}: adaptive Euler does not, in the median of the draws",
                    curves[ADAPTIVE_EULER],
                    EPOCH / 2,
                    EPOCH,
                    FALLS,
                    at_all=False,
                ),
                together(
                    f"{title}: the three adaptive SAV curves are within {WITHIN:.0%} of one another after {EPOCH} epochs",
                    [curves[label] for label in ADAPTIVE_SAVS],
                    "train_error",
                    EPOCH,
                    WITHIN,
                ),
            ]
    for dt, published in LEVELS.items():
        for panels in by_reading(runs, dt).values():
            for title, curves in panels.items():
                claims += levels(title, curves, PAPER_EPOCH, published)
    return claims


FULL = TaskSettings(
    epochs=EPOCH,
    record_epochs=5,
    width=200,
    batch_size=256,
    C=100.0,
    stabilization=4.0,
    init="he",
)

MA2024_FIG4 = Experiment(
    name="ma2024-fig4",
    title="Adaptive SAV at a small and a large step, where adaptive Euler stalls",
    source=f"{PAPER}, Fig. 4",
    problem="Learn y = sin(p.x) + cos(q.x) in 40 dimensions: width 200, 8000 samples, batches of 256, C = 100, "
    "lambda = 4, dt = 0.01 and 1.",
    time="about 5 minutes for 400 epochs and 5 draws",
    quick_time="about half a minute for 60 epochs and 1 draw",
    full=FULL,
    quick=replace(FULL, epochs=60, draws=1),
    fixed={"dt": [SMALL, LARGE], "read at epoch": EPOCH, "within": WITHIN, "above": ABOVE, "falls": FALLS},
    run=run,
)
"""The experiment ``ma2024-fig4``."""
