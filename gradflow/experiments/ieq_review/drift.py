r"""The review of IEQ, section 4.2.4: on mini-batches the stored residual of vanilla IEQ drifts, and the method diverges.

Vanilla IEQ stores a residual for every sample. A step changes the entries of its batch, while theta changes the
residuals of all samples. With the full batch the stored q leaves ``q(theta)`` by the Taylor remainder of each step, not
at all for affine f; on batches it leaves it by ``J_i d`` for every sample that is not in the batch, for affine f, too.
The smallest example, run exactly as it is written here: N copies of

.. math:: f_i(\theta) = \theta, \quad y_i = 0, \quad \theta^0 = q_i^0 = 1, \quad\text{batches of one}.            \tag{1}

A visit of sample i keeps ``theta - q_i`` and divides ``q_i`` by ``1 + dt``, so that after k epochs, for every dt and
every order,

.. math:: \theta = 1 - N\,\bigl(1 - (1 + \Delta t)^{-k}\bigr) \to 1 - N, \qquad
   \tfrac12|q|^2 = \tfrac{N}{2}\,(1 + \Delta t)^{-2k} \to 0                                             \tag{2}

while the minimum is at 0. So the word "diverges" has two readings. The loss ends above its start: true, it is
multiplied by ``(N - 1)^2`` in (2). Theta runs to infinity: false, theta comes to rest, at a wrong place, because the
stored energy that moves it is used up. The network of `gradflow.experiments.ieq_review.shared` is trained with the full batch
and with batches of several sizes, vanilla, restarted and relaxed; relaxed, the method keeps its stored residual, as the
literature has it. The review's relaxed form starts each step from ``q(theta)`` instead; that the correction is then
never read (the same theta as restarted, bit for bit) is run as well. Drift is ``|q - q(theta)| / |q(theta)|`` over all
samples; restarted on batches there is nothing to compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...plotting import plot_rows, save_figure
from ...run.batches import steps_per_epoch
from ...run.solution import Solution, Status
from ...schemes import IEQ, Relaxed, Restart, Scheme
from ..experiment import Claim, Context, Experiment, Outcome
from ..words import range_text
from .copies import Copies
from .runs import GridRuns, rows_of_batches, train_grid, train_review
from .shared import OURS, REVIEW, UNDER, ReviewSettings, ReviewTask, numbers, review_task, verdict

__all__ = ["IEQ_REVIEW_DRIFT", "DriftSettings", "judge"]

VANILLA, RESTARTED, RELAXED, FRESH = "vanilla IEQ", "restarted IEQ", "relaxed IEQ", "relaxed IEQ, fresh q"
SCHEMES: dict[str, Scheme] = {
    VANILLA: IEQ(),
    RESTARTED: Restart(IEQ()),
    RELAXED: Relaxed(IEQ()),
    FRESH: Restart(Relaxed(IEQ())),
}
COPIES_DT = 9.0
DRIFTED, USED_UP, RESTING, EXACT = 0.5, 1e-6, 1e-3, 1e-12
"""Drift that counts; stored energy, as a part of its start, that counts as used up; change of |theta| in an epoch that counts
as rest, relative; rounding in (2)."""
HEADER = ("problem", "batch", "dt", "scheme", "loss / start", "stored energy / start", "drift", "status")
NOTE = (
    "Values at the end, ranges over the seeds. Loss: |q(theta)|^2 / 2 of all samples; stored energy: |q|^2 / 2, for restarted schemes of "
    "the last batch. Drift: |q - q(theta)| / |q(theta)|."
)


@dataclass(frozen=True, kw_only=True)
class DriftSettings(ReviewSettings):
    """Settings of the experiment.

    Raises
    ------
    ValueError
        As `ReviewSettings`; if `dts`, `batch_sizes` or `copies` is not a list of numbers in range; or without a batch size of
        0 and one that is none.
    """

    batch_sizes: str = "0 64 16 4"
    """Samples in a batch; 0 is the full batch."""
    dts: str = "0.001 0.1 10"
    """Step sizes."""
    copies: str = "4 16"
    """N in (1)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        numbers("dts", self.dts, float)
        sizes = numbers("batch_sizes", self.batch_sizes, int)
        if 0 not in sizes or not any(0 < size < self.n_samples for size in sizes):
            raise ValueError(f"batch_sizes must have 0 and a size below n_samples, got {self.batch_sizes!r}")
        if min(numbers("copies", self.copies, int)) < 3:
            raise ValueError(f"copies must be numbers >= 3 (of 2 the loss ends at its start), got {self.copies!r}")


def run(settings: DriftSettings, context: Context) -> Outcome:
    """Run copies and networks, draw, judge."""
    sizes, dts = numbers("batch_sizes", settings.batch_sizes, int), numbers("dts", settings.dts, float)
    tasks = [review_task(settings, seed) for seed in range(settings.seeds)]
    for size in sizes:
        steps_per_epoch(tasks[0].problem, size or None)
    context.claim()
    data = context.out / "data"
    copies: dict[tuple[int, int], Solution] = {}
    for N in numbers("copies", settings.copies, int):
        for size in (1, 0):
            copies[N, size] = train_review(
                Copies(N), np.ones(1), IEQ(), dt=COPIES_DT, epochs=settings.epochs, batch_size=size, seed=0, path=data / f"copies-{N}-{size}"
            )  # fmt: skip
    runs = train_grid(tasks, SCHEMES, settings, context, batch_sizes=sizes, dts=dts, each_step=False)
    _draw(runs, tasks, settings, context)
    claims = judge(copies, runs)
    rows = [_row(f"{N} copies", size, COPIES_DT, VANILLA, [r]) for (N, size), r in copies.items()]
    rows += [
        _row("network", size, dt, label, several) for (size, dt), of in runs.items() for label, several in of.items()
    ]
    return Outcome(HEADER, tuple(rows), NOTE, tuple(claims), verdict(claims))


def _ends(runs: Sequence[Solution], name: str) -> list[float]:
    """Return the last record of each run, as a part of the first one for energies; infinity for a run that diverged."""
    return [
        np.inf
        if r.status is Status.NONFINITE
        else float(r.history[name][-1] / (r.history[name][0] if name != "auxiliary_gap" else 1.0))
        for r in runs
    ]


def _row(problem: str, size: int, dt: float, label: str, runs: Sequence[Solution]) -> tuple[str, ...]:
    texts = [range_text(_ends(runs, name)) for name in ("energy", "modified_energy", "auxiliary_gap")]
    status = ", ".join(dict.fromkeys(r.status.value for r in runs))
    return (problem, str(size) if size else "full", f"{dt:g}", label, *texts, status)


def judge(copies: Mapping[tuple[int, int], Solution], runs: GridRuns) -> list[Claim]:
    """Return what the review says of the drift, and what the data say about it.

    Parameters
    ----------
    copies : mapping of (int, int) to Solution
        For N and the batch size the run of (1).
    runs : mapping of (int, float) to mapping of str to sequence of Solution
        For each batch size and dt, and each scheme, a run for each seed.
    """
    batches = {key: of for key, of in runs.items() if key[0]}
    vanilla = [r for of in batches.values() for r in of[VANILLA]]
    drift, loss = _ends(vanilla, "auxiliary_gap"), _ends(vanilla, "energy")
    exact = []
    for (N, size), r in copies.items():
        k = r.history["epoch"]
        if size == 1:
            theta = r.history["theta_size"]  # |theta|; (2) in absolute value
            exact.append(float(np.max(np.abs(theta - np.abs(1 - N * (1 - (1 + COPIES_DT) ** -k)))[k % 1 == 0])) / N)
    whole = [float(np.nanmax(r.history["auxiliary_gap"])) for (_, size), r in copies.items() if not size]
    single = [r for (_, size), r in copies.items() if size == 1]
    largest = max(dt for _, dt in runs)
    most = [r for (_, dt), of in batches.items() if dt == largest for r in of[VANILLA]]
    used, kept = _ends(most, "modified_energy"), _ends(most, "energy")
    moves = [
        np.inf
        if r.status is Status.NONFINITE
        else abs(float(r.history["theta_size"][-2] / r.history["theta_size"][-1] - 1))
        for r in most
    ]
    same = [
        np.array_equal(a.theta, b.theta) and a.steps == b.steps
        for of in runs.values()
        for a, b in zip(of[RESTARTED], of[FRESH], strict=True)
    ]
    restarted = _ends([r for of in batches.values() for r in of[RESTARTED]], "energy")
    relaxed = {
        dt: _ends([r for (_, h), of in batches.items() if h == dt for r in of[RELAXED]], "energy") for _, dt in batches
    }
    return [
        Claim(
            "on mini-batches the q of vanilla IEQ drifts (4.2.4)",
            min(drift) > DRIFTED,
            f"drift at the end {range_text(drift)} over {len(drift)} runs",
        ),
        Claim(
            f"and the method diverges (4.2.4){UNDER}this means a true loss that ends above its start",
            min(loss + _ends(single, "energy")) > 1,
            f"loss / start {range_text(loss)} over {len(loss)} runs of the network, {range_text(_ends(single, 'energy'))} of copies; "
            f"{sum(r.status is Status.NONFINITE for r in vanilla)} runs leave the range of numbers",
        ),
        Claim(
            f"{OURS}it does so for affine f: N copies of f = theta in batches of one follow theta = 1 - N (1 - (1 + dt)^-k)",
            max(exact) <= EXACT,
            f"largest difference {max(exact):.0e} N at the ends of {int(single[0].history['epoch'][-1])} epochs, "
            f"N = {', '.join(str(N) for N, size in copies if size == 1)}; "
            f"ends {', '.join(f'{1 - float(r.theta[0]):.12g} below 1' for r in single)}",
        ),
        Claim(
            f"{OURS}with the full batch and affine f there is no drift",
            max(whole) <= EXACT,
            f"largest drift of the copies {max(whole):.0e}",
        ),
        Claim(
            f"{OURS}the stored energy is used up while the true loss is not (dt = {largest:g})",
            max(used) <= USED_UP and min(kept) > USED_UP**0.5,
            f"stored energy / start {range_text(used)}, true loss / start {range_text(kept)}",
        ),
        Claim(
            f"{OURS}theta does not run to infinity: it comes to rest (dt = {largest:g})",
            max(moves) <= RESTING,
            f"|theta| changes by {range_text(moves)} in the last epoch",
        ),
        Claim(
            f"{OURS}relaxed with a fresh q is restarted, bit for bit",
            all(same),
            f"theta is the same in {sum(same)} of {len(same)} pairs of runs",
        ),
        Claim(
            f"{OURS}restarted there is no such end",
            max(restarted) < 1,
            f"loss / start {range_text(restarted)}; relaxed with the stored q "
            + ", ".join(f"{range_text(values)} (dt = {dt:g})" for dt, values in relaxed.items()),
        ),
    ]


def _draw(runs: GridRuns, tasks: Sequence[ReviewTask], settings: DriftSettings, context: Context) -> None:
    """Draw loss, stored energy and drift, a row for each batch size, at the middle one of the step sizes."""
    dts = numbers("dts", settings.dts, float)
    dt = sorted(dts)[len(dts) // 2]
    figure = plot_rows(
        rows_of_batches(runs, tasks, dt, (VANILLA, RESTARTED, RELAXED)),
        ("error", "stored", "auxiliary_gap"),
        title=f"What IEQ stores and what is true, dt = {dt:g}: N = {settings.n_samples}, D = {settings.n_inputs}, "
        f"width {settings.width}, median and range of {settings.seeds} seeds",
        labels={
            "error": "true loss, relative",
            "stored": "stored energy, relative",
            "auxiliary_gap": r"drift $|q - q(\theta)|\,/\,|q(\theta)|$",
        },
    )
    save_figure(figure, context.out / context.name)


FULL = DriftSettings(epochs=40)

IEQ_REVIEW_DRIFT = Experiment(
    name="ieq-review-drift",
    title="Vanilla IEQ on mini-batches: the stored residual and the true one",
    source=f"{REVIEW}, section 4.2.4",
    problem="N copies of f = theta; Example 1 in 10 dimensions, 200 samples, width 50, full batch and batches of 64, 16 and 4.",
    time="about a minute for 40 epochs and 3 seeds",
    quick_time="about 20 seconds for 8 epochs and 2 seeds",
    full=FULL,
    quick=replace(FULL, epochs=8, seeds=2),
    run=run,
)
"""The experiment ``ieq-review-drift``."""
