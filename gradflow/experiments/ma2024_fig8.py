"""Figure 8 of Ma, Mao & Shen: SAV at large steps on a sum of squares.

Example 2 in 40 dimensions, width 100, batches of 64, C = 1, lambda = 4, dt = 0.4 and 1. Read off the plots: explicit Euler is stuck at
1.8e-2 with dt = 0.4 and between 1 and 100 with dt = 1; the SAV forms end, after 10 000 epochs, at 5e-4 and 1e-3 (train). Here the
particle method runs, 300 epochs, on the mean squared error in the time of automatic differentiation, which Fig. 7 needs.
"""

from __future__ import annotations

from dataclasses import replace

from .example1 import PAPER
from .experiment import Claim, Context, Experiment, Outcome
from .judging import at_epoch, overall
from .panels import (
    EULER,
    PANEL_TABLE,
    RELAXED,
    RESTARTED,
    VANILLA,
    Panel,
    PanelRuns,
    draw_panels,
    euler_and_sav,
    panel_rows,
    run_panels,
)
from .tasks import TaskSettings

__all__ = ["MA2024_FIG8"]

STEPS = {"dt = 0.4": 0.4, "dt = 1": 1.0}
EPOCH, ABOVE = 300, 5.0
NOTE = (
    "Errors are sum (f - y)^2 / sum y^2, the range over the draws of c. The figure has the smoothed particle method "
    "(--set smoothing=1e-4), over 10 000 epochs; the text says M = 1000, the caption 10 000. The initial parameters, which the paper does "
    "not give, are He's."
)


def run(settings: TaskSettings, context: Context) -> Outcome:
    """Run all curves for every draw of c, draw the figure, and judge it."""
    panels = tuple(Panel(title, f"dt{dt:g}", euler_and_sav(settings, dt)) for title, dt in STEPS.items())
    runs = run_panels(panels, settings, context)
    draw_panels(runs, settings, context, "Ma, Mao & Shen (2024), Fig. 8")
    claims = judge(runs)
    method = "" if settings.smoothing else " of the particle method without smoothing"
    return Outcome(PANEL_TABLE, panel_rows(runs), NOTE, tuple(claims), overall(claims, f"{EPOCH} epochs{method}"))


def judge(runs: PanelRuns) -> list[Claim]:
    """Return what the paper shows and what the data say about it.

    Parameters
    ----------
    runs : dict
        From `run_panels`.
    """
    claims = []
    for title, curves in runs.items():
        for label in (VANILLA, RESTARTED, RELAXED):
            text = f"{title}: {label} ends at most at 1 / {ABOVE:g} of explicit Euler's train error"
            pairs = [
                (at_epoch(euler, "train_error", EPOCH), at_epoch(run, "train_error", EPOCH))
                for euler, run in zip(curves[EULER], curves[label], strict=True)
            ]
            known = [(a, b) for a, b in pairs if a is not None and b is not None]
            if len(known) < len(pairs):
                claims.append(Claim(text, None, f"the runs end before epoch {EPOCH}"))
                continue
            shares = [b / a if a != float("inf") else 0.0 for a, b in known]
            told = f"{min(shares):.1g} to {max(shares):.1g} of it (0: explicit Euler diverges)"
            claims.append(Claim(text, max(shares) <= 1 / ABOVE, told))
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

MA2024_FIG8 = Experiment(
    name="ma2024-fig8",
    title="SAV at large steps on a sum of squares",
    source=f"{PAPER}, Fig. 8 (run with the particle method)",
    problem="Learn y = sum c_i x_i^2 in 40 dimensions: width 100, 8000 samples, batches of 64, lambda = 4, dt = 0.4 and 1.",
    time="about a minute for 300 epochs and 5 draws",
    quick_time="about 15 seconds for 1 draw",
    full=FULL,
    quick=replace(FULL, draws=1),
    run=run,
)
"""The experiment ``ma2024-fig8``."""
