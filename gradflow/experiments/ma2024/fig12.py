r"""Figure 12 of Ma, Mao & Shen: adaptive SAV on Burgers' equation. Only the order of the optimisers is compared.

The paper trains a network of five hidden layers of 32 tanh units on Burgers' equation with nu = 0.01 / pi at 200 x 60 points, with
C = 1e4 and lambda = 4, over 200 epochs. Read off the plots, relative errors: for dt = 0.01 A-SAV and A-RelSAV 1.5e-4 to 2e-4, Adam
3e-3, A-ResSAV 1e-2; for dt = 0.001 A-SAV and A-RelSAV from 1.5e-4, Adam 3e-4, A-ResSAV 6e-4; RMSProp and Adagrad at least 1e-2.

A deep network is outside this library. Here a two-layer network is trained, with nu = 0.1 / pi: in trials with nu = 0.01 / pi (width 50
and 100, several initial parameters, weights and grids, some thousand steps) no optimiser, Levenberg-Marquardt included, came below a
relative error of 0.25, because the shock did not form, and there was no order to be seen. So the levels of the paper are out of reach;
what is judged is who ends above whom, by more than a plot can be read (a factor 1.3), and whether this is so for every draw of the
initial parameters. An epoch is 46 steps on batches of 256 of the points inside, 9200 steps in all; the paper's batches are not known.
The average v of A-SAV is read in both ways, as printed (by the norm) and as in Adam (element by element). RMSProp has the rate 0.99.

What can be said beforehand. Read element by element, with :math:`S = \lambda I`, the step of A-SAV is

.. math:: \frac{\hat\tau \hat m}{1 + \lambda\hat\tau} = \Delta t\, \frac{\hat m}{\sqrt{\hat v} + \varepsilon + \lambda\Delta t} \tag{1}

times :math:`r^{n+1} / \sqrt{F + C}`: that of Adam with 0.04 (dt = 0.01) in the place of its epsilon of 1e-8. And while F is small
beside C = 1e4, that factor is 1 to a part in a thousand, restarted, relaxed or neither. So a gap of more than a decade between
A-ResSAV and A-SAV is no property of the schemes with this C; it has to come from something else.

Levenberg-Marquardt, ``Restart(IEQ())``, is a curve that the paper has not: one step an epoch, on all points. Its damping 1 / dt = 0.01 is
the best of three that were tried (0.33, 0.033, 0.01), and so are the weights and the spread of the initial fronts, by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isclose, isinf, pi
from typing import NamedTuple

import numpy as np

from ...batches import steps_per_epoch
from ...plotting import plot_rows, save_figure
from ...schemes import IEQ, Adagrad, Adam, AdaptiveSAV, Restart, RMSProp
from ...schemes.protocols import Scheme
from ...solution import Solution
from ..experiment import Claim, Context, Experiment, Outcome
from ..judging import ENOUGH, READING, at_epoch, overall
from ..panels import PanelRuns, relaxed
from ..tasks import PAPER
from .burgers_task import BurgersSettings, burgers_task, train_burgers

__all__ = ["MA2024_FIG12"]

A_SAV, A_RESSAV, A_RELSAV = "A-SAV", "A-ResSAV", "A-RelSAV"
ADAM, RMSPROP, ADAGRAD, LM = "Adam", "RMSProp", "Adagrad", "Levenberg-Marquardt"
STEPS = (0.01, 0.001)
PRINTED = "norm"
READINGS = {PRINTED: "v by the norm", "elementwise": "v element by element"}
"""For each reading of v what a row says of it."""
PAPER_NU = 0.01 / pi
EPOCH = 200
"""Where the curves are read."""
DRAWS = 3
"""Draws of the initial parameters from which on the data count against a claim."""
TABLE = ("curve", "epochs", "relative error", "loss", "r/sqrt(E+C)", "status")
NOTE = (
    "Relative errors are (sum (f - u)^2 / sum u^2)^(1/2) on a grid of 41 x 201 points; the loss is the weighted sum of three mean squares; the "
    "median over the draws, and the range. Adam, RMSProp and Adagrad do not depend on how A-SAV is read, Levenberg-Marquardt not on dt."
)


class Job(NamedTuple):
    """A curve: what is run, and in which rows of the figure it is drawn."""

    stem: str
    """Of the names of the files."""
    label: str
    """The legend's entry."""
    name: str
    """In the table."""
    scheme: Scheme
    """What runs."""
    dt: float
    """Step size > 0."""
    batch_size: int | None
    """Points inside in a batch; None for all of them."""
    rows: tuple[str, ...]
    """Their titles."""


def row_title(reading: str, dt: float) -> str:
    """Return the text above a row."""
    return f"{READINGS[reading]}, dt = {dt:g}"


def jobs(settings: BurgersSettings) -> list[Job]:
    """Return all curves, in the order of the legend."""
    made = []
    for dt in STEPS:
        for reading in READINGS:
            sav, title = (
                AdaptiveSAV(C=settings.C, stabilization=settings.stabilization, reading=reading),
                row_title(reading, dt),
            )
            forms: dict[str, Scheme] = {A_SAV: sav, A_RESSAV: Restart(sav), A_RELSAV: relaxed(sav)}
            for label, form in forms.items():
                stem = f"{label}-{reading}-dt{dt:g}"
                made.append(Job(stem, label, f"{label}, {title}", form, dt, settings.batch_size, (title,)))
    for dt in STEPS:
        both = tuple(row_title(reading, dt) for reading in READINGS)
        baselines: dict[str, Scheme] = {ADAM: Adam(), RMSPROP: RMSProp(decay=0.99), ADAGRAD: Adagrad()}
        for label, plain in baselines.items():
            made.append(Job(f"{label}-dt{dt:g}", label, f"{label}, dt = {dt:g}", plain, dt, settings.batch_size, both))
    made.append(
        Job(
            LM,
            LM,
            LM,
            Restart(IEQ()),
            1 / settings.damping,
            None,
            tuple(row_title(r, dt) for dt in STEPS for r in READINGS),
        )
    )
    return made


def in_rows(everything: Sequence[Job], kept: Mapping[str, list[Solution]]) -> PanelRuns:
    """Return for each row's title and each curve's label the runs, given those of each stem."""
    runs: PanelRuns = {row_title(reading, dt): {} for reading in READINGS for dt in STEPS}
    for job in everything:
        for row in job.rows:
            runs[row][job.label] = kept[job.stem]
    return runs


def run(settings: BurgersSettings, context: Context) -> Outcome:
    """Run all curves for every draw of the initial parameters, draw the figure, and judge it."""
    tasks = [burgers_task(settings, draw) for draw in range(settings.draws)]
    everything = jobs(settings)
    steps_per_epoch(tasks[0].problem, settings.batch_size)  # refuses a batch that is too large
    for job in everything:
        job.scheme.init(tasks[0].problem, tasks[0].theta0)
    context.claim()
    kept: dict[str, list[Solution]] = {job.stem: [] for job in everything}
    for draw, task in enumerate(tasks):
        for job in everything:
            done = train_burgers(
                task,
                job.scheme,
                settings,
                dt=job.dt,
                path=context.out / "data" / f"{job.stem}-{draw}",
                batch_size=job.batch_size,
                progress=context.progress and f"{job.stem} {draw + 1}/{settings.draws}",
            )
            kept[job.stem].append(done)
        context.say(f"draw {draw + 1} of {settings.draws}: done")
    runs = in_rows(everything, kept)
    figure = plot_rows(
        runs,
        ("relative_error", "energy"),
        title=f"After Ma, Mao & Shen (2024), Fig. 12: Burgers' equation, nu = {settings.nu:.4g}, a two-layer network of width "
        f"{settings.width},\nC = {settings.C:g}, lambda = {settings.stabilization:g}, batches of {settings.batch_size}, "
        f"{settings.draws} draw{'s' if settings.draws > 1 else ''} of the initial parameters",
        labels={"relative_error": "relative error", "energy": "loss"},
    )
    save_figure(figure, context.out / context.name)
    claims = judge(runs)
    listed = dict.fromkeys(claim for several in claims.values() for claim in several)
    rows = tuple(_row(job, kept[job.stem]) for job in everything)
    return Outcome(TABLE, rows, NOTE, tuple(listed), verdict(claims, settings))


def verdict(claims: Mapping[str, Sequence[Claim]], settings: BurgersSettings) -> str:
    """Return that of the reading under which most claims hold, the printed one if it is a tie: either may be what was run."""
    best = max(READINGS, key=lambda reading: sum(claim.holds is True for claim in claims[reading]))
    changes = [
        f"a two-layer network of width {settings.width}, its initial parameters, weights and the damping chosen here"
    ]
    if settings.draws < ENOUGH:
        changes.append(f"{settings.draws} draws")
    if not isclose(settings.nu, PAPER_NU, rel_tol=1e-3):
        changes.append(f"nu = {settings.nu:.3g} for {PAPER_NU:.3g}")
    if best != PRINTED:
        changes.append("v element by element")
    return overall(claims[best], ", ".join(changes))


def judge(runs: PanelRuns) -> dict[str, list[Claim]]:
    """Return for each reading of v what the paper shows and what the data say about it.

    Parameters
    ----------
    runs : dict
        For each row's title and each curve's label the runs, one for each draw.
    """
    claims: dict[str, list[Claim]] = {}
    for reading in READINGS:
        claims[reading] = []
        for dt in STEPS:
            title = row_title(reading, dt)
            curves = runs[title]
            sav, relaxed, adam = curves[A_SAV], curves[A_RELSAV], curves[ADAM]
            claims[reading] += [
                above(f"{title}: A-SAV and A-RelSAV end below Adam", [adam], [sav, relaxed]),
                above(f"{title}: A-ResSAV ends above A-SAV", [curves[A_RESSAV]], [sav]),
                above(f"dt = {dt:g}: RMSProp and Adagrad end above Adam", [curves[RMSPROP], curves[ADAGRAD]], [adam]),
            ]
    return claims


def above(text: str, higher: Sequence[Sequence[Solution]], lower: Sequence[Sequence[Solution]]) -> Claim:
    """Return the claim that the lowest of some curves ends above the highest of others, by the factor READING, for every draw."""
    quotients = []
    for of_draw in zip(zip(*higher, strict=True), zip(*lower, strict=True), strict=True):
        ends = [[at_epoch(run, "relative_error", EPOCH) for run in group] for group in of_draw]
        known = [[end for end in group if end is not None] for group in ends]
        if any(None in group for group in ends):
            return Claim(text, None, f"the runs end before epoch {EPOCH}")
        low, high = min(known[0]), max(known[1])
        quotients.append(0.0 if isinf(high) else low / high)  # what has diverged is not below anything
    holds: bool | None = min(quotients) >= READING
    if not holds and (max(quotients) >= READING or len(quotients) < DRAWS):
        holds = None  # the draws disagree, or are too few
    spread, n = " to ".join(dict.fromkeys(f"{q:.2g}" for q in (min(quotients), max(quotients)))), len(quotients)
    told_of = f"quotient of the errors at epoch {EPOCH}: {spread}, over {n} draw{'s' if n > 1 else ''}"
    return Claim(text, holds, f"{told_of}; at least {READING:g} was asked for")


def _row(job: Job, runs: Sequence[Solution]) -> tuple[str, ...]:
    """Return the row of `TABLE`: the median and the range over the draws."""
    epochs = f"{min(float(run.history['epoch'][-1]) for run in runs):.0f}"
    status = ", ".join(dict.fromkeys(run.status.value for run in runs))
    return job.name, epochs, *(_spread(runs, name) for name in ("relative_error", "energy", "auxiliary_ratio")), status


def _spread(runs: Sequence[Solution], name: str) -> str:
    ends = np.sort([float(run.history[name][-1]) for run in runs])
    if np.isnan(ends).any():
        return "-"
    form = "{:.4f}" if name == "auxiliary_ratio" else "{:.1e}"
    low, median, high = (form.format(end) for end in (ends[0], np.median(ends), ends[-1]))
    return low if low == high else f"{median} ({low} to {high})"


FULL = BurgersSettings(epochs=EPOCH)

MA2024_FIG12 = Experiment(
    name="ma2024-fig12",
    title="Adaptive SAV on Burgers' equation",
    source=f"{PAPER}, Fig. 12 (run with a two-layer network, at ten times the viscosity)",
    problem="Solve u_t + u u_x = nu u_xx, nu = 0.1 / pi, by a tanh network of width 50: 200 x 60 points, batches of 256, C = 1e4, lambda = 4.",
    time="about 9 minutes for 200 epochs and 3 draws",
    quick_time="about half a minute for 20 epochs and 1 draw",
    full=FULL,
    quick=replace(FULL, epochs=20, record_epochs=2, draws=1),
    run=run,
)
"""The experiment ``ma2024-fig12``."""
