"""Figure 1 of Ma, Mao & Shen: gradient descent and SAV with the full batch.

Example 1 in 20 dimensions, dt = 0.6, C = 1, lambda = 10. Read off the plot (to some 30 %): gradient descent oscillates at
first; SAV and relaxed SAV lie on one another, smooth, near 2e-2 after 250 epochs. The paper follows them to 8000 epochs
(1e-3); lambda is a stabilization, added implicitly and subtracted explicitly. Public code that takes it for a weight decay
sees a relative error of 1 and a divergent gradient descent instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...run.solution import Solution, Status
from ...schemes import SAV, GradientDescent
from ..experiment import Claim, Context, Experiment, Outcome
from ..judging import OFTEN, at_epoch, in_spread, oscillates, over_draws, together
from ..words import range_text
from .curves import Curve, Panel, relaxed
from .panels import PanelRuns, panel_outcome
from .tasks import PAPER, TaskSettings

__all__ = ["MA2024_FIG1"]

DT = 0.6
PANEL = "full batch"
EULER, VANILLA, RELAXED = "gradient descent", "SAV", "relaxed SAV"
EPOCH, LEVEL = 250, 2e-2
"""Where the curves are read, and what the paper shows there."""
RISE, WITHIN = 0.05, 0.1
"""What counts as a rise of the train error from one epoch to the next; how near curves are that lie on one another."""
NOTE = (
    "Errors are sum (f - y)^2 / sum y^2, full batch, the range over the draws. The initial parameters, which the paper "
    "does not give, are He's; from N(0, 1) (--set init=normal) gradient descent diverges for the first draw. What the paper "
    "shows after epoch 250, up to 8000, is not judged."
)


def run(settings: TaskSettings, context: Context) -> Outcome:
    """Run the three curves for every draw, draw the figure, and judge it."""
    sav = SAV(C=settings.C, stabilization=settings.stabilization)
    curves = (Curve(EULER, GradientDescent(), DT), Curve(VANILLA, sav, DT), Curve(RELAXED, relaxed(sav), DT))
    epochs = (
        settings.epochs if settings.epochs >= EPOCH else 8000
    )  # all is read at `EPOCH`: what comes after changes nothing
    return panel_outcome(
        (Panel(PANEL, "full", curves),),
        settings,
        context,
        title=f"Ma, Mao & Shen (2024), Fig. 1, dt = {DT:g}",
        note=NOTE,
        judge=judge,
        paper=replace(FULL, epochs=epochs, method="both"),
    )


def judge(runs: PanelRuns) -> list[Claim]:
    """Return what the paper shows and what the data say about it, for each panel.

    Parameters
    ----------
    runs : dict
        From `gradflow.experiments.ma2024.panels.run_panels`.
    """
    return [claim for title, curves in runs.items() for claim in _judge_panel(curves, title.removeprefix(PANEL))]


def _judge_panel(runs: Mapping[str, Sequence[Solution]], method: str) -> list[Claim]:
    """Return the claims of a panel, from the runs of each of its curves."""
    shares = {
        label: [oscillates(run, "train_error", EPOCH, RISE) for run in several] for label, several in runs.items()
    }
    lost = {label: [run.status is Status.NONFINITE for run in several] for label, several in runs.items()}
    reached = all(at_epoch(run, "train_error", EPOCH) is not None for several in runs.values() for run in several)
    shown = [
        not any(lost[label][draw] for label in runs)
        and shares[EULER][draw] > OFTEN
        and not any(shares[label][draw] for label in (VANILLA, RELAXED))
        for draw in range(len(runs[EULER]))
    ]
    found = ", ".join(
        f"{label} {range_text(shares[label], '.0%')}" + f" ({sum(lost[label])} diverge)" * any(lost[label])
        for label in runs
    )
    return [
        Claim(
            f"gradient descent oscillates without diverging, SAV and relaxed SAV are smooth{method}",
            over_draws(shown) if reached else None,
            f"epochs up to {EPOCH} at which the train error rises by more than {RISE:.0%}: {found}; "
            f"more than {OFTEN:.0%} for an oscillation, none for smooth: {sum(shown)} of {len(shown)} draws",
        ),
        in_spread(f"SAV is near {LEVEL:g} after {EPOCH} epochs{method}", runs[VANILLA], "train_error", EPOCH, LEVEL),
        together(
            f"SAV and relaxed SAV lie on one another (within {WITHIN:.0%}){method}",
            (runs[VANILLA], runs[RELAXED]),
            "train_error",
            EPOCH,
            WITHIN,
        ),
    ]


FULL = TaskSettings(epochs=300, n_inputs=20, batch_size=0, stabilization=10.0, init="he")

MA2024_FIG1 = Experiment(
    name="ma2024-fig1",
    title="Gradient descent and SAV, full batch",
    source=f"{PAPER}, Fig. 1",
    problem="Learn y = sin(p.x) + cos(q.x) in 20 dimensions: width 1000, 8000 samples in one batch, dt = 0.6, lambda = 10.",
    time="about a minute for 300 epochs and 5 draws",
    quick_time="about 20 seconds for 250 epochs and 1 draw",
    full=FULL,
    quick=replace(FULL, epochs=250, draws=1),
    fixed={
        "dt": DT,
        "read at epoch": EPOCH,
        "published level": LEVEL,
        "rise": RISE,
        "oscillates from this share of epochs": OFTEN,
        "within": WITHIN,
    },
    run=run,
)
"""The experiment ``ma2024-fig1``."""
