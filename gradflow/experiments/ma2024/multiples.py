r"""Figures 7 and 8 of Ma, Mao & Shen under multiples of the loss: is there one that shows both?

Both figures are of Example 2, a sum of squares. Figure 7 has a small step, and its curves lie on one another; Figure 8 has large ones,
with which explicit Euler fails and SAV does not. By which factor the squared error is divided is not said of the code behind the plots:
a mean or a sum over a batch, with or without the sum of y^2, differ by powers of ten. So here the loss is a multiple,

.. math:: \kappa\,\frac{\sum (f - y)^2}{\sum y^2},                                                               \tag{1}

in mean-field time and the product to which the gradient belongs. It needs no code of its own: SAV on (1) with dt, C, lambda takes
the steps of SAV on the relative error with :math:`\kappa\,\Delta t`, :math:`C / \kappa`, :math:`\lambda / \kappa`
(`gradflow.experiments.ma2024.conventions.multiplied`). For explicit Euler, though not for SAV, whose C does not know of time, the mean
squared error in the time of automatic differentiation is among these multiples: :math:`\kappa = \sum y^2 / (N m)`, some 290 with
coefficients from U(0, 1).

A multiple matches if all draws show the criteria: of Figure 7 explicit Euler's level after 300 epochs, and SAV within a factor 2 of it; of
Figure 8, with either step, explicit Euler at least 5 times as high as SAV and as restarted SAV, or divergent.

Source of the curves: Z. Ma, Z. Mao, J. Shen, J. Comput. Phys. 505 (2024) 112911, Figs. 7 and 8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...plotting import save_figure
from ...run.batches import steps_per_epoch
from ...run.solution import Solution
from ...schemes import SAV, GradientDescent, Restart
from ...schemes.protocols import Scheme
from ..experiment import Claim, Context, Experiment, Outcome
from ..words import range_text
from .conventions import multiplied
from .criteria import Criterion, at_level, draw_levels, far_above, found_or_open, miss_text, on_one_another
from .curves import EULER, RESTARTED, VANILLA
from .multiples_chart import CASES, INITS, MULTIPLES, STEPS, Case, MultipleRuns, multiples_chart
from .tasks import PAPER, TaskSettings, regression_task, train_task

__all__ = ["MA2024_MULTIPLES", "judge", "misses"]

FIG7, *FIG8 = STEPS
EPOCH = 300
CRITERIA: dict[str, tuple[Criterion, ...]] = {
    FIG7: (at_level(EULER, "train_error", 1e-3), on_one_another(VANILLA, EULER, 2.0)),
    **dict.fromkeys(FIG8, (far_above(EULER, VANILLA, 5.0), far_above(EULER, RESTARTED, 5.0))),
}
"""For each panel what it shows."""


def run(settings: TaskSettings, context: Context) -> Outcome:
    """Run explicit Euler, SAV and restarted SAV for every multiple, step and draw, draw the figure, and judge it."""
    for name in ("target", "loss", "time_scale", "product", "init", "method", "stabilization"):
        if getattr(settings, name) != getattr(FULL, name):
            raise ValueError(f"{name} is fixed here and cannot be set, got {getattr(settings, name)!r}")
    first = regression_task(settings, 0)
    steps_per_epoch(first.problem, settings.batch_size or None)
    for case in CASES:
        for dt, stabilization in STEPS.values():
            _, C, scaled = multiplied(case.multiple, dt, settings.C, stabilization)
            SAV(C=C, stabilization=scaled).init(first.problem, first.theta0)
    context.claim()
    runs: MultipleRuns = {}
    for case in CASES:
        runs[case] = {panel: _run_panel(settings, context, case, panel) for panel in STEPS}
        context.say(f"{case}: done")
    epoch = float(min(EPOCH, settings.epochs))
    save_figure(multiples_chart(runs, settings, epoch), context.out / context.name)
    claims = judge(runs, epoch)
    matching = [str(case) for case, panels in runs.items() if max(misses(panels, epoch)) <= 1]
    short = settings.epochs < EPOCH
    found = (
        "not decided: the runs are too short"
        if short
        else f"measured: {len(matching)} of {len(runs)} show both figures"
    )
    return Outcome(
        (
            "loss, initial parameters",
            *(f"{panel}: {name}" for panel in STEPS for name in ("Euler", "SAV", "restarted")),
            *_heads(),
        ),
        tuple(_row(case, panels, epoch) for case, panels in runs.items()),
        f"Train errors sum (f - y)^2 / sum y^2 after {epoch:g} epochs, the range over the draws. A criterion is met (yes) or missed by a "
        "factor, in the worst draw; no: there is no such factor, or SAV diverges.",
        tuple(claims),
        f"{found} ({'; '.join(matching) or 'none'})",
    )


def _run_panel(settings: TaskSettings, context: Context, case: Case, panel: str) -> dict[str, list[Solution]]:
    """Return the runs of a panel for a case, or take up what is kept."""
    dt, stabilization = STEPS[panel]
    h, C, scaled = multiplied(case.multiple, dt, settings.C, stabilization)
    sav = SAV(C=C, stabilization=scaled)
    schemes: dict[str, Scheme] = {EULER: GradientDescent(), VANILLA: sav, RESTARTED: Restart(sav)}
    chosen = replace(settings, init=case.init)
    return {
        label: [
            train_task(
                regression_task(chosen, draw),
                scheme,
                chosen,
                dt=h,
                path=context.out / "data" / f"{case.init}-{case.multiple:g}-dt{dt:g}-{number}-{draw}",
                progress=context.progress and f"{case} dt {dt:g} {label} {draw + 1}",
            )
            for draw in range(settings.draws)
        ]
        for number, (label, scheme) in enumerate(schemes.items())
    }


def misses(panels: Mapping[str, Mapping[str, Sequence[Solution]]], epoch: float) -> tuple[float, ...]:
    """Return by which factor the curves of a case miss each criterion; 1 or less where it is met.

    Parameters
    ----------
    panels : mapping of str to mapping of str to sequence of Solution
        For each panel and each curve's label the runs, one for each draw.
    epoch : float
        At which the curves are read.
    """
    return tuple(criterion.missed_by(panels[panel], epoch) for panel in STEPS for criterion in CRITERIA[panel])


def judge(runs: MultipleRuns, epoch: float) -> list[Claim]:
    """Return whether some multiple shows Figure 7, Figure 8, and both.

    Parameters
    ----------
    runs : dict
        For each case, panel and curve the runs.
    epoch : float
        At which the curves are read; before that of the figures nothing is decided.
    """
    small = len(CRITERIA[FIG7])
    missed = {case: misses(panels, epoch) for case, panels in runs.items()}
    draws = min(len(several) for panels in runs.values() for of in panels.values() for several in of.values())
    parts = {
        "Figure 7 (small step)": slice(0, small),
        "Figure 8 (large steps)": slice(small, None),
        "both figures": slice(None),
    }
    claims = []
    for what, part in parts.items():
        worst = {case: max(factors[part]) for case, factors in missed.items()}
        cases = [str(case) for case, factor in worst.items() if factor <= 1]
        claims.append(
            Claim(
                f"some multiple of the relative error shows {what}",
                None if epoch < EPOCH else found_or_open(worst.values(), draws),
                f"{len(cases)} of {len(runs)}: {'; '.join(cases) or 'none'}; draws: {draws}",
            )
        )
    return claims


def _heads() -> tuple[str, ...]:
    return tuple(f"{panel}: {criterion.text}" for panel in STEPS for criterion in CRITERIA[panel])


def _row(case: Case, panels: Mapping[str, Mapping[str, Sequence[Solution]]], epoch: float) -> tuple[str, ...]:
    errors = (
        range_text(draw_levels(panels[panel][label], "train_error", epoch))
        for panel in STEPS
        for label in (EULER, VANILLA, RESTARTED)
    )
    return (str(case), *errors, *map(miss_text, misses(panels, epoch)))


FULL = TaskSettings(target="quadratic", epochs=EPOCH, record_epochs=10, width=100, draws=3)

MA2024_MULTIPLES = Experiment(
    name="ma2024-multiples",
    title="Is there a multiple of the loss that shows Figures 7 and 8",
    source=f"{PAPER}, Figs. 7 and 8",
    problem="Learn y = sum c_i x_i^2 in 40 dimensions, training 1 to 300 times the relative error: width 100, batches of 64, dt = 0.01, 0.4, 1.",
    time="about 10 minutes for 300 epochs and 3 draws",
    quick_time="about half a minute for 5 epochs and 1 draw",
    full=FULL,
    quick=replace(FULL, epochs=5, record_epochs=1, draws=1),
    run=run,
    fixed={
        "dt and lambda": [[*pair] for pair in STEPS.values()],
        "multiples": [*MULTIPLES],
        "initial parameters": [*INITS],
        "read at epoch": EPOCH,
        "criteria": [*_heads()],
    },
)
"""The experiment ``ma2024-multiples``."""
