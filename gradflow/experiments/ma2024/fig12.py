r"""Figure 12 of Ma, Mao & Shen: adaptive SAV on Burgers' equation. Only the order of the optimisers is compared.

The paper trains a network of five hidden layers of 32 tanh units on Burgers' equation with nu = 0.01 / pi at 200 x 60 points, with
C = 1e4 and lambda = 4, over 200 epochs. Read off the plots, relative errors: for dt = 0.01 A-SAV and A-RelSAV 1.5e-4 to 2e-4, Adam
3e-3, A-ResSAV 1e-2; for dt = 0.001 A-SAV and A-RelSAV from 1.5e-4, Adam 3e-4, A-ResSAV 6e-4; RMSProp and Adagrad at least 1e-2.

A deep network is outside this library. Here a two-layer network is trained, with nu = 0.1 / pi: with the paper's 0.01 / pi (``--set
nu=0.003183 --set draws=1``) no optimiser, Levenberg-Marquardt included, comes below a relative error of 0.25, because the shock does not
form, and there is no order to be seen. So the levels of the paper are out of reach;
what is judged is who ends above whom, by more than a plot can be read (a factor 1.3), and whether this is so for every draw of the
initial parameters; three draws, of which none shows it, are taken to deny it.

An epoch is 46 steps on batches of 256 of the points inside, 9200 steps in all; the paper's batches are not known.
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
from math import isclose, pi
from typing import NamedTuple

from ...plotting import plot_rows, save_figure
from ...run.batches import steps_per_epoch
from ...run.solution import Solution
from ...schemes import IEQ, Adagrad, Adam, AdaptiveSAV, Restart, RMSProp
from ...schemes.protocols import Scheme
from ..experiment import Claim, Context, Experiment, Outcome
from ..judging import ENOUGH, READING, ends_above
from ..verdicts import differences, told
from ..words import median_text
from .adaptive_judging import verdict_by_reading
from .adaptive_panels import READINGS
from .burgers_task import BurgersSettings, burgers_task, train_burgers
from .curves import relaxed
from .panels import PanelRuns
from .tasks import PAPER

__all__ = ["MA2024_FIG12"]

A_SAV, A_RESSAV, A_RELSAV = "A-SAV", "A-ResSAV", "A-RelSAV"
ADAM, RMSPROP, ADAGRAD, LM = "Adam", "RMSProp", "Adagrad", "Levenberg-Marquardt"
STEPS = (0.01, 0.001)
PAPER_NU = 0.01 / pi
EPOCH = 200
"""Where the curves are read."""
DRAWS = 3
"""Draws of the initial parameters from which on the data count against a claim."""
CHOSEN = ("nu", "width", "draws", "record_epochs", "n_initial", "n_walls", "condition_weight", "steepest", "damping", "batch_size",
          "seed", "dtype")  # fmt: skip
"""Settings of which the paper says nothing here, or that the verdict tells otherwise."""
TABLE = ("curve", "epochs", "relative error", "loss", "r/sqrt(E+C)", "status")
NOTE = (
    "Relative errors are (sum (f - u)^2 / sum u^2)^(1/2) on a grid of 41 x 201 points; the loss is the weighted sum of three mean squares; the "
    "median over the draws, and the range. Adam, RMSProp and Adagrad do not depend on how A-SAV is read, Levenberg-Marquardt not on dt."
)


class BurgersCurve(NamedTuple):
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


def burgers_curves(settings: BurgersSettings) -> list[BurgersCurve]:
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
                made.append(BurgersCurve(stem, label, f"{label}, {title}", form, dt, settings.batch_size, (title,)))
    for dt in STEPS:
        both = tuple(row_title(reading, dt) for reading in READINGS)
        baselines: dict[str, Scheme] = {ADAM: Adam(), RMSPROP: RMSProp(decay=0.99), ADAGRAD: Adagrad()}
        for label, plain in baselines.items():
            made.append(
                BurgersCurve(f"{label}-dt{dt:g}", label, f"{label}, dt = {dt:g}", plain, dt, settings.batch_size, both)
            )
    made.append(
        BurgersCurve(
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


def in_rows(everything: Sequence[BurgersCurve], kept: Mapping[str, list[Solution]]) -> PanelRuns:
    """Return for each row's title and each curve's label the runs, given those of each stem."""
    runs: PanelRuns = {row_title(reading, dt): {} for reading in READINGS for dt in STEPS}
    for curve in everything:
        for row in curve.rows:
            runs[row][curve.label] = kept[curve.stem]
    return runs


def run(settings: BurgersSettings, context: Context) -> Outcome:
    """Run all curves for every draw of the initial parameters, draw the figure, and judge it."""
    tasks = [burgers_task(settings, draw) for draw in range(settings.draws)]
    everything = burgers_curves(settings)
    steps_per_epoch(tasks[0].problem, settings.batch_size)  # refuses a batch that is too large
    for curve in everything:
        curve.scheme.init(tasks[0].problem, tasks[0].theta0)
    context.claim()
    kept: dict[str, list[Solution]] = {curve.stem: [] for curve in everything}
    for draw, task in enumerate(tasks):
        for curve in everything:
            done = train_burgers(
                task,
                curve.scheme,
                settings,
                dt=curve.dt,
                path=context.out / "data" / f"{curve.stem}-{draw}",
                batch_size=curve.batch_size,
                progress=context.progress and f"{curve.stem} {draw + 1}/{settings.draws}",
            )
            kept[curve.stem].append(done)
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
    rows = tuple(_row(curve, kept[curve.stem]) for curve in everything)
    return Outcome(TABLE, rows, NOTE, tuple(claims), verdict_by_reading(claims, stated(settings)))


def stated(settings: BurgersSettings) -> str:
    """Return what is not done as in the paper, and what is chosen here."""
    few = f"{settings.draws} draw{'s' if settings.draws > 1 else ''}" if settings.draws < ENOUGH else ""
    nu = "" if isclose(settings.nu, PAPER_NU, rel_tol=1e-3) else f"nu {settings.nu:.3g} (paper: {PAPER_NU:.3g})"
    return told(
        f"a two-layer network of width {settings.width}, its initial parameters, weights and the damping chosen here",
        nu,
        few,
        *differences(settings, FULL, unprinted=CHOSEN),
    )


def judge(runs: PanelRuns) -> list[Claim]:
    """Return for each reading of v what the paper shows and what the data say about it.

    Parameters
    ----------
    runs : dict
        For each row's title and each curve's label the runs, one for each draw.
    """
    claims: list[Claim] = []
    for dt in STEPS:
        for reading in READINGS:
            title = row_title(reading, dt)
            curves = runs[title]
            sav, relaxed, adam = curves[A_SAV], curves[A_RELSAV], curves[ADAM]
            claims += [
                _above(f"{title}: A-SAV and A-RelSAV end below Adam", [adam], [sav, relaxed]),
                _above(f"{title}: A-ResSAV ends above A-SAV", [curves[A_RESSAV]], [sav]),
            ]
        claims.append(
            _above(f"dt = {dt:g}: RMSProp and Adagrad end above Adam", [curves[RMSPROP], curves[ADAGRAD]], [adam])
        )
    return claims


def _above(text: str, higher: Sequence[Sequence[Solution]], lower: Sequence[Sequence[Solution]]) -> Claim:
    return ends_above(text, higher, lower, EPOCH, name="relative_error", enough=DRAWS)


def _row(curve: BurgersCurve, runs: Sequence[Solution]) -> tuple[str, ...]:
    """Return the row of `TABLE`: the median and the range over the draws."""
    epochs = f"{min(float(run.history['epoch'][-1]) for run in runs):.0f}"
    status = ", ".join(dict.fromkeys(run.status.value for run in runs))
    forms = {"relative_error": ".1e", "energy": ".1e", "auxiliary_ratio": ".4f"}
    numbers = (median_text([float(run.history[name][-1]) for run in runs], form) for name, form in forms.items())
    return curve.name, epochs, *numbers, status


FULL = BurgersSettings(epochs=EPOCH)

MA2024_FIG12 = Experiment(
    name="ma2024-fig12",
    title="Adaptive SAV on Burgers' equation",
    source=f"{PAPER}, Fig. 12 (run with a two-layer network, at ten times the viscosity)",
    problem="Solve u_t + u u_x = nu u_xx, nu = 0.1 / pi, by a tanh network of width 50: 200 x 60 points, batches of 256, C = 1e4, lambda = 4.",
    time="about 2 minutes for 200 epochs and 3 draws",
    quick_time="about half a minute for 20 epochs and 1 draw",
    full=FULL,
    quick=replace(FULL, epochs=20, record_epochs=2, draws=1),
    fixed={"dt": [*STEPS], "read at epoch": EPOCH, "above": READING},
    run=run,
)
"""The experiment ``ma2024-fig12``."""
