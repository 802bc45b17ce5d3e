"""Figure 3 of Ma, Mao & Shen: SAV in its three forms at large steps, where explicit Euler fails.

Example 1 in 40 dimensions, batches of 256, C = 100, lambda = 4, dt = 0.5 and 1. Read off the plots: the three SAV curves lie on
one another and end, after 10 000 epochs, at 3e-6; explicit Euler ends two decades above with dt = 0.5 and does not converge
with dt = 1. Here the particle method runs, 60 epochs: what is judged is the order of the curves, not their end.
"""

from __future__ import annotations

from dataclasses import replace

from ...schemes import GradientDescent
from ..experiment import Claim, Context, Experiment, Outcome
from ..judging import ends_above, together
from .curves import EULER, RELAXED, RESTARTED, VANILLA, Curve, Panel, euler_and_sav
from .panels import PanelRuns, panel_outcome
from .tasks import PAPER, TaskSettings

__all__ = ["MA2024_FIG3"]

SLOW = "explicit Euler, dt = 0.01"
STEPS = {"dt = 0.5": 0.5, "dt = 1": 1.0}
EPOCH = 60
WITHIN, ABOVE = 0.1, 10.0
NOTE = (
    "Errors are sum (f - y)^2 / sum y^2, the range over the draws. The figure has the smoothed particle method "
    "(--set method=smoothed, some 10 times as long), over 10 000 epochs. The initial parameters, which the paper does not give, are He's. "
    "In the product to which the gradient belongs r falls below its definition in spite of C = 100, the likely reason why the SAV curves part. "
    "Updated in that of the partial derivatives (--set product=partial_derivatives) it stays there; what is then left between the curves is "
    "how far nearly equal steps lead apart at such dt. That they agree to 10 % is asked for here; a plot over decades does not show it."
)


def run(settings: TaskSettings, context: Context) -> Outcome:
    """Run all curves for every draw, draw the figure, and judge it."""
    slow = Curve(SLOW, GradientDescent(), 0.01)
    panels = tuple(
        Panel(title, f"dt{dt:g}", (*euler_and_sav(settings, dt), *([slow] if dt == max(STEPS.values()) else [])))
        for title, dt in STEPS.items()
    )
    return panel_outcome(
        panels,
        settings,
        context,
        title="Ma, Mao & Shen (2024), Fig. 3",
        note=NOTE,
        judge=judge,
        paper=replace(FULL, epochs=10_000, n_samples=100_000, method="smoothed"),
    )


def judge(runs: PanelRuns) -> list[Claim]:
    """Return what the paper shows and what the data say about it.

    Parameters
    ----------
    runs : dict
        From `run_panels`.
    """
    claims = []
    for title, curves in runs.items():
        claims.append(
            together(
                f"{title}: the three SAV curves are within {WITHIN:.0%} of one another after {EPOCH} epochs",
                [curves[label] for label in (VANILLA, RESTARTED, RELAXED)],
                "train_error",
                EPOCH,
                WITHIN,
            )
        )
        text = f"{title}: explicit Euler ends at least {ABOVE:g} times as high as SAV, or diverges"
        claims.append(ends_above(text, [curves[EULER]], [curves[VANILLA]], EPOCH, ABOVE))
    return claims


FULL = TaskSettings(
    epochs=60, record_epochs=2, n_samples=100_000, batch_size=256, C=100.0, stabilization=4.0, init="he"
)

MA2024_FIG3 = Experiment(
    name="ma2024-fig3",
    title="SAV at large steps, where explicit Euler fails",
    source=f"{PAPER}, Fig. 3",
    problem="Learn y = sin(p.x) + cos(q.x) in 40 dimensions: width 1000, 80 000 samples, batches of 256, C = 100, lambda = 4.",
    time="about a quarter of an hour for 60 epochs and 5 draws",
    quick_time="about a minute for 10 000 samples and 2 draws",
    full=FULL,
    quick=replace(FULL, n_samples=10_000, draws=2),
    fixed={"dt": [*STEPS.values()], "read at epoch": EPOCH, "within": WITHIN, "above": ABOVE},
    run=run,
)
"""The experiment ``ma2024-fig3``."""
