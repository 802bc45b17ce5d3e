"""The demonstration: one problem, five schemes, and what becomes of their auxiliary variables.

The problem is Example 1 of Ma, Mao & Shen as `gradflow.experiments.ma2024.tasks` has it, for one draw of p and q. What is trained is
the relative error, so that the modified energy can be set beside the train error. All runs share the data, the initial
parameters (N(0, 1), all of them), the batches and the step size. With C = 1 and no stabilization the vanilla scheme collapses
within an epoch, which is worth seeing: its modified energy decays as the identity promises, and the network has stopped
learning.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..plotting import plot_histories, save_figure
from ..refusals import real_number
from ..run.batches import steps_per_epoch
from ..run.solution import Solution, Status
from ..schemes import IEQ, SAV, GradientDescent, Relaxed, Restart, Scheme
from .experiment import Claim, Context, Experiment, Outcome
from .ma2024.tasks import PAPER, TARGETS, Task, TaskSettings, regression_task, train_task

__all__ = ["DEMO", "DemoSettings"]

TABLE = ("scheme", "epochs", "train error", "test error", "mod. energy", "r/sqrt(E+C)", "ms/step", "status")
NOTE = (
    "Errors are sum (f - y)^2 / sum y^2. The modified energy is what the scheme dissipates: r^2 - C for SAV, "
    "|q|^2 / 2 for IEQ. Restarted schemes keep no auxiliary variable: theirs is that of the last batch. "
    "The table shows the last record, a noisy one; errors named below it are averages over the last tenth of the records."
)


@dataclass(frozen=True, kw_only=True)
class DemoSettings(TaskSettings):
    """Settings of the demonstration. All values are dimensionless.

    Raises
    ------
    ValueError
        As `TaskSettings`; if dt is not finite and > 0; if there is another number of draws than one, or another method than the
        particle method, which all five schemes have.
    """

    epochs: int = 200
    """As in `TaskSettings`."""
    record_epochs: int = 2
    """As there."""
    draws: int = 1
    """One: that of the seed."""
    dt: float = 0.2
    """Step size."""

    def __post_init__(self) -> None:
        super().__post_init__()
        real_number("dt", self.dt, 0, open_low=True)
        if self.draws != 1:
            raise ValueError(f"draws must be 1 (the demonstration draws p and q once, by its seed), got {self.draws}")
        if self.method != "particle":
            raise ValueError(f"method must be 'particle' (IEQ has no smoothed form), got {self.method!r}")
        if self.product != "consistent":
            raise ValueError(f"product must be 'consistent' (IEQ's equations are in no other), got {self.product!r}")


def run(settings: DemoSettings, context: Context) -> Outcome:
    """Train with five schemes, draw their curves, and say what was seen."""
    sav = SAV(C=settings.C, stabilization=settings.stabilization)
    schemes: dict[str, Scheme] = {
        "explicit Euler": GradientDescent(),
        "vanilla SAV": sav,
        "restarted SAV": Restart(sav),
        "relaxed SAV": Relaxed(sav),
        "restarted IEQ": Restart(IEQ(stabilization=settings.stabilization)),
    }
    batches = f"batches of {settings.batch_size}" if settings.batch_size else "one batch"
    context.say(
        f"Example {list(TARGETS).index(settings.target) + 1} of Ma, Mao & Shen (2024): {settings.n_inputs} inputs, "
        f"width {settings.width}, {settings.n_samples} samples (80 % for training),\n{batches}, dt = {settings.dt:g}, "
        f"C = {settings.C:g}, {settings.epochs} epochs. The first run on a machine compiles for some seconds."
    )
    task = regression_task(settings, 0)
    steps_per_epoch(task.problem, settings.batch_size or None)
    for scheme in schemes.values():
        scheme.init(task.problem, task.theta0)
    context.claim()
    _compile(task)
    runs: dict[str, Solution] = {}
    for label, scheme in schemes.items():
        path = context.out / "data" / label.replace(" ", "-")
        progress = context.progress and f"{label:14}"
        runs[label] = train_task(task, scheme, settings, dt=settings.dt, path=path, progress=progress)
    figure = plot_histories(
        runs,
        ("train_error", "test_error", "auxiliary_ratio"),
        title=f"One problem, five schemes: {settings.n_inputs} inputs, width {settings.width}, "
        f"dt = {settings.dt:g}, C = {settings.C:g}",
        labels={"train_error": "train relative error", "test_error": "test relative error"},
    )
    save_figure(figure, context.out / context.name)
    claims = judge(runs)
    failed = [claim.text for claim in claims if not claim.holds]
    verdict = "as expected" if not failed else f"not as expected: {'; '.join(failed)}"
    rows = tuple(_row(label, r) for label, r in runs.items())
    return Outcome(TABLE, rows, NOTE, tuple(claims), verdict)


def judge(runs: dict[str, Solution]) -> list[Claim]:
    """Return what the demonstration is to show, with what the data say about it."""
    error = {label: _settled(r, "train_error") for label, r in runs.items()}
    euler, vanilla = error["explicit Euler"], runs["vanilla SAV"]
    ratio = float(vanilla.history["auxiliary_ratio"][-1])
    others = {label: error[label] for label in ("restarted SAV", "relaxed SAV", "restarted IEQ")}
    return [
        Claim(
            "the auxiliary variable of vanilla SAV collapses, and the network stops learning",
            ratio < 0.01 and error["vanilla SAV"] > 10 * min(others.values()),
            f"r / sqrt(E + C) = {ratio:.0e}; train error {error['vanilla SAV']:.2e}, {vanilla.message}",
        ),
        Claim(
            "restarted and relaxed, the schemes learn as explicit Euler does (within a factor 3) or better",
            all(value < 3 * euler for value in others.values()),
            ", ".join(f"{label} {value:.2e}" for label, value in error.items()),
        ),
        Claim(
            "no run diverges",
            all(r.status in (Status.DONE, Status.STAGNATED) for r in runs.values()),
            ", ".join(f"{label}: {r.status.value}" for label, r in runs.items()),
        ),
    ]


def _compile(task: Task) -> None:
    """Run on two samples what the schemes run: the ms/step of the first one are not to count the compiling."""
    few = task.problem.batch(slice(0, 2))
    few.energy_and_gradient(task.theta0)
    few.linearize(task.theta0).gram()


def _settled(run: Solution, name: str) -> float:
    """Return the geometric mean of a positive quantity over the last tenth of its records: a single one is noisy."""
    values = np.maximum(run.history[name].astype(np.float64), np.finfo(np.float64).tiny)
    return float(np.exp(np.mean(np.log(values[-max(1, len(values) // 10) :]))))


def _row(label: str, run: Solution) -> tuple[str, ...]:
    """Return the row of `TABLE` that tells how a run ended."""
    names = ("train_error", "test_error", "modified_energy", "auxiliary_ratio")
    train_error, test_error, modified, ratio = (float(run.history[name][-1]) for name in names)
    return (
        label,
        f"{run.history['epoch'][-1]:.0f}",
        f"{train_error:.2e}",
        f"{test_error:.2e}",
        "-" if modified != modified else f"{modified:.2e}",
        "-" if ratio != ratio else f"{ratio:.3f}" if ratio > 1e-3 else f"{ratio:.0e}",
        f"{1e3 * run.wall_time / max(1, run.steps):.2f}",
        run.status.value,
    )


DEMO = Experiment(
    name="demo",
    title="Five schemes on the 40-dimensional Example 1",
    source=f"{PAPER}, Example 1",
    problem="Learn y = sin(p.x) + cos(q.x) in 40 dimensions with a two-layer ReLU network of width 1000.",
    time="about a minute on 2 cores",
    quick_time="a few seconds",
    full=DemoSettings(),
    quick=DemoSettings(epochs=10, record_epochs=1),
    run=run,
)
"""The experiment ``demo``."""
