"""The convention study of Ma, Mao & Shen's Figures 1, 2, 3 and 7: which of 32 conventions show what is plotted.

`gradflow.experiments.ma2024.conventions` has the grid and how it is run. Here are the criteria, figure by figure. They are ours, from
what can be read off the plots at the epochs that the study runs, and each is computed from all draws:

* Fig. 1, full batch: gradient descent stays finite and oscillates (its train error rises by more than 5 % in more than 5 % of the epochs); SAV does not;
  SAV's level at 200 epochs, 2e-2, lies in the spread.
* Fig. 2: explicit Euler has fallen below 1e-2 by 200 epochs (in the paper it falls by 13 decades in 10 000); SAV is within a factor 2 of it;
  the level of the test error, 1.7e-3, lies in the spread of explicit Euler's.
* Fig. 3, dt = 1: explicit Euler diverges or is ten times as high as SAV; SAV and restarted SAV are within 10 % of one another; SAV has
  fallen below 1e-2 (4e-6 after 10 000 epochs). With 10 000 samples instead of 100 000.
* Fig. 7: explicit Euler's level at 300 epochs, 1e-3, lies in the spread; SAV is within a factor 2 of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...plotting import save_figure
from ..experiment import Claim, Context, Experiment, Outcome
from ..words import range_text
from .convention_chart import convention_chart
from .conventions import CONVENTIONS, Convention, run_conventions
from .criteria import (
    EULER_OSCILLATES,
    SAV_IS_SMOOTH,
    Criterion,
    Curves,
    at_level,
    draw_levels,
    falls_below,
    far_above,
    found_or_open,
    miss_text,
    on_one_another,
)
from .curves import EULER, RESTARTED, VANILLA
from .tasks import PAPER, TaskSettings

__all__ = ["MA2024_CONVENTIONS", "STUDIES", "Study", "misses"]


@dataclass(frozen=True, kw_only=True)
class Study:
    """A figure as the study sees it."""

    number: int
    """Of the figure."""
    dt: float
    """Step size."""
    settings: TaskSettings
    """Sizes and constants; the epochs are those at which the curves are read."""
    criteria: tuple[Criterion, ...]
    """What it shows."""
    restarted: bool = False
    """Whether the criteria need restarted SAV, too."""


_FIG1 = TaskSettings(epochs=200, n_inputs=20, batch_size=0, stabilization=10.0, draws=3)
_FIG2 = TaskSettings(epochs=200, record_epochs=20, draws=3)
_FIG3 = TaskSettings(epochs=200, record_epochs=20, batch_size=256, C=100.0, stabilization=4.0, draws=3)
_FIG7 = TaskSettings(target="quadratic", epochs=300, record_epochs=20, width=100, draws=3)

STUDIES = (
    Study(
        number=1,
        dt=0.6,
        settings=_FIG1,
        criteria=(
            EULER_OSCILLATES,
            SAV_IS_SMOOTH,
            at_level(VANILLA, "train_error", 2e-2),
        ),
    ),
    Study(
        number=2,
        dt=0.2,
        settings=_FIG2,
        criteria=(falls_below(EULER, 1e-2), on_one_another(VANILLA, EULER, 2.0), at_level(EULER, "test_error", 1.7e-3)),
    ),
    Study(
        number=3,
        dt=1.0,
        settings=_FIG3,
        criteria=(
            far_above(EULER, VANILLA, 10.0),
            on_one_another(VANILLA, RESTARTED, 1.1),
            falls_below(VANILLA, 1e-2),
        ),
        restarted=True,
    ),
    Study(
        number=7,
        dt=0.01,
        settings=_FIG7,
        criteria=(at_level(EULER, "train_error", 1e-3), on_one_another(VANILLA, EULER, 2.0)),
    ),
)
"""The four figures."""


def misses(study: Study, curves: Curves, epoch: float) -> tuple[float, ...]:
    """Return by which factor the curves of a convention miss each criterion of a study; 1 or less where it is met.

    Parameters
    ----------
    study : Study
        With the criteria.
    curves : mapping of str to sequence of Solution
        For each label the runs, one for each draw.
    epoch : float
        At which the curves are read.
    """
    return tuple(criterion.missed_by(curves, epoch) for criterion in study.criteria)


def _run(study: Study, settings: TaskSettings, context: Context) -> Outcome:
    """Run all conventions, chart which criteria they meet, and say which match."""
    for name in ("loss", "time_scale", "product", "init", "method"):
        if getattr(settings, name) != getattr(study.settings, name):
            raise ValueError(f"{name} is a part of the conventions and cannot be set, got {getattr(settings, name)!r}")
    runs = run_conventions(settings, study.dt, context, restarted=study.restarted)
    short = settings.epochs < study.settings.epochs
    epoch = float(min(study.settings.epochs, settings.epochs))
    missed = {convention: misses(study, curves, epoch) for convention, curves in runs.items()}
    met = {convention: tuple(factor <= 1 for factor in factors) for convention, factors in missed.items()}
    texts = [criterion.text for criterion in study.criteria]
    title = f"Ma, Mao & Shen (2024), Fig. {study.number}, dt = {study.dt:g}: {len(met)} conventions"
    save_figure(convention_chart(title, texts, runs, met, epoch), context.out / context.name)
    matching = [convention for convention, marks in met.items() if all(marks)]
    named = "; ".join(map(str, matching)) or "none"
    most = max(sum(marks) for marks in met.values())
    nearest = min((max(missed[c]), n) for n, c in enumerate(met) if sum(met[c]) == most)[1]
    nearest_told = f"{[*met][nearest]} ({_worst(texts, missed[[*met][nearest]])})"
    claims = [
        Claim(
            f"some convention shows all that Figure {study.number} shows",
            None if short else found_or_open(map(max, missed.values()), settings.draws),
            f"matching: {named}; most criteria met: {most} of {len(texts)}, most nearly by {nearest_told}",
        ),
        Claim(
            "one of them has mean-field time and the product to which the gradient belongs",
            None
            if short
            else found_or_open(
                (max(f) for c, f in missed.items() if c[:2] == ("mean_field", "consistent")), settings.draws
            ),
            f"with those, most criteria met: {max(sum(m) for c, m in met.items() if c[:2] == ('mean_field', 'consistent'))}",
        ),
        *(
            Claim(
                f"{text}: some convention meets it",
                None if short else found_or_open((factors[n] for factors in missed.values()), settings.draws),
                f"{sum(marks[n] for marks in met.values())} of {len(met)}",
            )
            for n, text in enumerate(texts)
        ),
    ]
    head = (
        "not decided: the runs are too short" if short else f"measured: {len(matching)} of {len(met)} conventions match"
    )
    return Outcome(
        ("convention", "Euler", "SAV", "r/sqrt(E+C)", *texts),
        tuple(_row(convention, runs[convention], missed[convention], epoch) for convention in runs),
        f"Train errors sum (f - y)^2 / sum y^2 after {epoch:g} epochs, the range over {settings.draws} draws. Conventions: time, inner product of r, "
        "loss, initial parameters. A criterion is met (yes) or missed by a factor, in the worst draw; no: there is no such factor, "
        "or a draw diverges.",
        tuple(claims),
        f"{head} ({named})",
    )


def _worst(texts: Sequence[str], factors: Sequence[float]) -> str:
    """Return which criteria are missed and by how much."""
    return ", ".join(f"{text}: {miss_text(f)}" for text, f in zip(texts, factors, strict=True) if f > 1) or "all met"


def _row(convention: Convention, curves: Curves, factors: Sequence[float], epoch: float) -> tuple[str, ...]:
    ends = [float(run.history["auxiliary_ratio"][-1]) for run in curves[VANILLA]]
    return (
        str(convention),
        *(range_text(draw_levels(curves[label], "train_error", epoch)) for label in (EULER, VANILLA)),
        range_text(ends),
        *map(miss_text, factors),
    )


def _experiment(study: Study, time: str, quick_time: str) -> Experiment:
    def run(settings: TaskSettings, context: Context) -> Outcome:
        return _run(study, settings, context)

    few = replace(study.settings, epochs=min(20, study.settings.epochs), draws=1, record_epochs=2)
    return Experiment(
        name=f"ma2024-conventions-fig{study.number}",
        title=f"Which conventions show Figure {study.number}",
        source=f"{PAPER}, Fig. {study.number}",
        problem=f"The problem of Figure {study.number} under {len(CONVENTIONS)} conventions: time, inner product, loss, initial parameters, factor 1/2.",
        time=time,
        quick_time=quick_time,
        full=study.settings,
        quick=few,
        run=run,
        fixed={
            "dt": study.dt,
            "read at epoch": study.settings.epochs,
            "criteria": [criterion.text for criterion in study.criteria],
        },
    )


TIMES = {1: "about 7 minutes", 2: "about 8 minutes", 3: "about 12 minutes", 7: "about 3 minutes"}
QUICK_TIMES = {1: "about 30 seconds", 2: "about a minute", 3: "about 30 seconds", 7: "about 15 seconds"}
MA2024_CONVENTIONS = tuple(_experiment(study, TIMES[study.number], QUICK_TIMES[study.number]) for study in STUDIES)
"""The experiments ``ma2024-conventions-fig1``, ``-fig2``, ``-fig3``, ``-fig7``."""
