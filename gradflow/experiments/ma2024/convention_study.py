"""The convention study of Ma, Mao & Shen's Figures 1, 2, 3 and 7: which of 32 conventions show what is plotted.

`gradflow.experiments.ma2024.conventions` has the grid and how it is run. Here are the criteria, figure by figure. They are ours, from
what can be read off the plots at the epochs that the study runs, and each is computed from all draws:

* Fig. 1, full batch: gradient descent stays finite and oscillates (its train error rises by more than 5 % in some epoch); SAV does not;
  SAV's level at 200 epochs, 2e-2, lies in the spread.
* Fig. 2: explicit Euler has fallen below 1e-2 by 200 epochs (in the paper it falls by 13 decades in 10 000); SAV is within a factor 2 of it;
  the level of the test error, 1.7e-3, lies in the spread of explicit Euler's.
* Fig. 3, dt = 1: explicit Euler diverges or is ten times as high as SAV; SAV and restarted SAV are within 10 % of one another; SAV has
  fallen below 1e-2 (4e-6 after 10 000 epochs). With 10 000 samples instead of 100 000.
* Fig. 7: explicit Euler's level at 300 epochs, 1e-3, lies in the spread; SAV is within a factor 2 of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import numpy as np

from ...plotting import save_figure
from ...solution import Solution, Status
from ..experiment import Claim, Context, Experiment, Outcome
from ..judging import READING, at_epoch, oscillates
from ..words import range_text
from .convention_chart import convention_chart
from .conventions import CONVENTIONS, Convention, run_conventions
from .curves import EULER, RESTARTED, VANILLA
from .tasks import PAPER, TaskSettings

__all__ = ["MA2024_CONVENTIONS", "STUDIES", "Criterion", "Curves", "Study", "misses"]

Curves: TypeAlias = Mapping[str, Sequence[Solution]]
"""For each label the runs, one for each draw."""


class Criterion(NamedTuple):
    """Something that a figure shows."""

    text: str
    """In a few words."""
    missed_by: Callable[[Curves, float], float]
    """From the curves of a convention and the epoch at which they are read: the factor by which a value of the worst draw would
    have to change; 1 or less if the criterion is met, infinity where a draw diverges that should not, or there is no value."""


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


def _levels(runs: Sequence[Solution], name: str, epoch: float) -> np.ndarray:
    """Return a quantity of each draw at an epoch, (draws,): infinity where the run diverged, NaN where it was too short."""
    return np.asarray([at_epoch(run, name, epoch) for run in runs], dtype=np.float64)


def _falls(label: str, below: float) -> Criterion:
    return Criterion(f"{label} below {below:g}", lambda c, n: float(_levels(c[label], "train_error", n).max() / below))


def _together(one: str, other: str, factor: float) -> Criterion:
    def missed_by(c: Curves, n: float) -> float:
        a, b = (_levels(c[label], "train_error", n) for label in (one, other))
        if not np.isfinite([a, b]).all():
            return np.inf
        return float(np.maximum(a / b, b / a).max() / factor)

    return Criterion(f"{one}, {other} within {factor:g}", missed_by)


def _level(label: str, name: str, published: float) -> Criterion:
    """Return the criterion that a published level lies in the spread of the draws, widened by the reading error."""

    def missed_by(c: Curves, n: float) -> float:
        values = _levels(c[label], name, n)
        if not np.isfinite(values).all():
            return np.inf
        return float(max(values.min() / READING / published, published / (values.max() * READING)))

    return Criterion(f"{name.replace('_error', '')} level {published:g} of {label}", missed_by)


def _yes(shown: bool) -> float:
    """Return by how much something is missed that is so or not."""
    return 1.0 if shown else np.inf


def _rises(run: Solution, epoch: float) -> bool:
    return oscillates(run, "train_error", epoch, 0.05) > 0


def _oscillates(c: Curves, n: float) -> float:
    return _yes(all(run.status is not Status.NONFINITE and _rises(run, n) for run in c[EULER]))


def _smooth(c: Curves, n: float) -> float:
    return _yes(not any(run.status is Status.NONFINITE or _rises(run, n) for run in c[VANILLA]))


def _fails(c: Curves, n: float) -> float:
    a, b = _levels(c[EULER], "train_error", n), _levels(c[VANILLA], "train_error", n)
    return float((10 * b / a).max()) if np.isfinite(b).all() else np.inf


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
            Criterion("Euler oscillates", _oscillates),
            Criterion("SAV is smooth", _smooth),
            _level(VANILLA, "train_error", 2e-2),
        ),
    ),
    Study(
        number=2,
        dt=0.2,
        settings=_FIG2,
        criteria=(_falls(EULER, 1e-2), _together(VANILLA, EULER, 2.0), _level(EULER, "test_error", 1.7e-3)),
    ),
    Study(
        number=3,
        dt=1.0,
        settings=_FIG3,
        criteria=(
            Criterion("Euler 10 times SAV, or diverges", _fails),
            _together(VANILLA, RESTARTED, 1.1),
            _falls(VANILLA, 1e-2),
        ),
        restarted=True,
    ),
    Study(
        number=7,
        dt=0.01,
        settings=_FIG7,
        criteria=(_level(EULER, "train_error", 1e-3), _together(VANILLA, EULER, 2.0)),
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
    for name in ("loss", "time_scale", "init", "method"):
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
            None if short else bool(matching),
            f"matching: {named}; most criteria met: {most} of {len(texts)}, most nearly by {nearest_told}",
        ),
        Claim(
            "one of them has mean-field time and the product to which the gradient belongs",
            None if short else any(c[:2] == ("mean_field", "consistent") for c in matching),
            f"with those, most criteria met: {max(sum(m) for c, m in met.items() if c[:2] == ('mean_field', 'consistent'))}",
        ),
        *(
            Claim(
                f"{text}: some convention meets it",
                None if short else any(marks[n] for marks in met.values()),
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
    return ", ".join(f"{text}: {_mark(f)}" for text, f in zip(texts, factors, strict=True) if f > 1) or "all met"


def _mark(factor: float) -> str:
    return "yes" if factor <= 1 else "no" if np.isinf(factor) else f"by {factor:.2g}"


def _row(convention: Convention, curves: Curves, factors: Sequence[float], epoch: float) -> tuple[str, ...]:
    ends = [float(run.history["auxiliary_ratio"][-1]) for run in curves[VANILLA]]
    return (
        str(convention),
        *(range_text(_levels(curves[label], "train_error", epoch)) for label in (EULER, VANILLA)),
        range_text(ends),
        *map(_mark, factors),
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


TIMES = {1: "about 15 minutes", 2: "about 35 minutes", 3: "about 25 minutes", 7: "about 10 minutes"}
QUICK_TIMES = {1: "about 30 seconds", 2: "about a minute", 3: "about 30 seconds", 7: "about 15 seconds"}
MA2024_CONVENTIONS = tuple(_experiment(study, TIMES[study.number], QUICK_TIMES[study.number]) for study in STUDIES)
"""The experiments ``ma2024-conventions-fig1``, ``-fig2``, ``-fig3``, ``-fig7``."""
