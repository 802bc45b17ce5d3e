r"""The review of IEQ, section 2: a restarted step from gradient descent to Gauss-Newton, and where the loss rises on the way.

Published: restarted IEQ is the Levenberg-Marquardt method with mu = 1 / dt (2.3); for dt to 0 it is gradient descent,
for dt to infinity the Gauss-Newton step ``-(J^T J)^{-1} J^T q`` (2.4); every dt is energy stable, and large ones
converge faster (5.4).

One step. Everything follows from the singular values of J and the components of q along them,

.. math::
   d(\Delta t) = -\sum_i \frac{\sigma_i}{\sigma_i^2 + 1/\Delta t}\,(u_i \cdot q)\,v_i, \qquad
   \frac{d}{\Delta t} \to -J^T q, \qquad d \to -J^+ q,                                                  \tag{1}

with relative distances of first order, in dt and in 1 / dt. The library's step, computed from the Gram matrix or by
Cholesky on the side of the parameters, is set beside (1), in three cases: fewer samples than parameters, more samples
than parameters, and more samples with tanh. The inverse printed for the second limit needs P independent columns. A
ReLU neuron has one fewer: scaling its weights by c and its output by 1 / c changes nothing, so ``(w, -a)`` is in the
null space of J, and J never has more than P - m independent columns, however many samples there are. What (1) tends to
is the step of smallest norm.

Whole runs, full batch. With ``R = q(theta + d) - q - J d`` the remainder of the step, ``K = 2 |R| / |d|^2`` is the
smallest K for which this step looks K-Lipschitz, and

.. math:: K\,\Delta t\,|q + J d| \le 2 \iff |R|\,|q + Jd| \le |d|^2 / \Delta t                              \tag{2}

forbids a rise of the true loss (proved in the derivation of IEQ, ``descent_for_moderate_steps``). Both sides are
recorded in every step, so each step with a rise is a test of the bound.

"Energy stable" is ambiguous: of the modified energy it is true, and says little (`ieq_review.energy`). The review's
advice to reduce dt when the energy rises can only mean the loss, and so it is read here. "Converge faster" is taken to be
said of all step sizes of a list, not of its ends: steps to a target must not grow from one dt to the next larger.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...plotting import save_figure
from ...refusals import whole_number
from ...run.solution import Solution
from ...schemes import IEQ, Restart
from ..experiment import Context, Experiment, Outcome
from ..words import range_text
from .bound import seen_in
from .charts import limits_chart
from .limits_judging import NARROW, SMOOTH, WIDE, judge
from .runs import train_review
from .shared import REVIEW, ReviewSettings, numbers, review_task, verdict
from .sweep import SWEEP, sweep

__all__ = ["IEQ_REVIEW_LIMITS", "LimitsSettings"]

HEADER = ("network", "dt", "steps to target", "error at end", "steps with a rise", "largest rise", "K dt |q_new| > 2")
NOTE = (
    "Full batch; errors are sum (f - y)^2 / sum y^2, ranges over the seeds. A rise is one of the true loss from a step to the next while "
    "the relative error is above 1e-20; the last column is the share of steps for which the sufficient bound promises nothing."
)


@dataclass(frozen=True, kw_only=True)
class LimitsSettings(ReviewSettings):
    """Settings of the experiment.

    Raises
    ------
    ValueError
        As `ReviewSettings`, or if `narrow` is below 1, `target` not in (0, 1), or `dts` not a list of numbers > 0.
    """

    narrow: int = 10
    """Neurons of the networks with fewer parameters than samples."""
    dts: str = "0.001 0.01 0.1 1 10 100 1000 1e4 1e6"
    """Step sizes of the runs."""
    target: float = 1e-3
    """Relative error to reach."""

    def __post_init__(self) -> None:
        super().__post_init__()
        numbers("dts", self.dts, float)
        whole_number("narrow", self.narrow, 1)
        if not 0 < self.target < 1:
            raise ValueError(f"target must be in (0, 1), got {self.target}")


def run(settings: LimitsSettings, context: Context) -> Outcome:
    """Make the sweeps and the runs, draw them, and judge."""
    cases = {WIDE: (settings.width, "relu"), NARROW: (settings.narrow, "relu"), SMOOTH: (settings.narrow, "tanh")}
    tasks = {
        case: [review_task(settings, seed, width=width, activation=s) for seed in range(settings.seeds)]
        for case, (width, s) in cases.items()
    }
    for case, several in tasks.items():
        P = several[0].problem.net.n_parameters
        if (settings.n_samples < P) is not (case == WIDE):
            raise ValueError(
                f"n_samples must be below the parameters of width and above those of narrow, got {settings.n_samples} with {P} for {case!r}"
            )
    context.claim()
    sweeps = {case: [sweep(task) for task in several] for case, several in tasks.items()}
    context.say(f"one step, {len(SWEEP)} step sizes, {len(cases)} cases: done")
    runs: dict[str, dict[float, list[Solution]]] = {}
    for case, stem in ((WIDE, "wide"), (NARROW, "narrow")):
        runs[case] = {}
        for dt in numbers("dts", settings.dts, float):
            runs[case][dt] = [
                train_review(
                    *task,
                    Restart(IEQ()),
                    dt=dt,
                    epochs=settings.epochs,
                    seed=seed,
                    path=context.out / "data" / f"{stem}-{dt:g}-{seed}",
                )
                for seed, task in enumerate(tasks[case])
            ]
        context.say(f"runs, {case}: done")
    seen = {
        case: {
            dt: [seen_in(r, t, settings.target) for r, t in zip(several, tasks[case], strict=True)]
            for dt, several in of.items()
        }
        for case, of in runs.items()
    }
    figure = limits_chart(
        sweeps,
        seen,
        epochs=settings.epochs,
        target=settings.target,
        title=f"Restarted IEQ: one step (above) and whole runs (below), N = {settings.n_samples}, D = {settings.n_inputs}, "
        f"width {settings.width} and {settings.narrow}, {settings.seeds} seeds",
    )
    save_figure(figure, context.out / context.name)
    claims = judge(sweeps, seen)
    rows = tuple(
        (
            case if dt == next(iter(of)) else "",
            f"{dt:g}",
            range_text([s.steps for s in several], ".0f", infinite="never"),
            range_text([s.end for s in several]),
            range_text([s.rises / s.counted for s in several], ".0%"),
            range_text([s.largest for s in several], ".3g"),
            range_text([s.silent / s.counted for s in several], ".0%"),
        )
        for case, of in seen.items()
        for dt, several in of.items()
    )
    return Outcome(HEADER, rows, NOTE, tuple(claims), verdict(claims))


FULL = LimitsSettings(epochs=300, seeds=5)

IEQ_REVIEW_LIMITS = Experiment(
    name="ieq-review-limits",
    title="A restarted IEQ step from gradient descent to Gauss-Newton",
    source=f"{REVIEW}, sections 2.3, 2.4, 5.4",
    problem="Example 1 in 10 dimensions, 200 samples in one batch, widths 50 and 10: nine step sizes from 1e-3 to 1e6.",
    time="about a minute for 300 steps and 5 seeds",
    quick_time="about 10 seconds for 60 steps, 6 step sizes and 3 seeds",
    full=FULL,
    quick=replace(FULL, epochs=60, seeds=3, dts="0.01 0.1 1 10 1000 1e6"),
    run=run,
)
"""The experiment ``ieq-review-limits``."""
