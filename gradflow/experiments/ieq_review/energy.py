r"""The review of IEQ, section 4.1: what falls, the modified energy or the true one.

Published: vanilla and restarted IEQ keep

.. math:: \tfrac12|q^{n+1}|^2 + \tfrac\lambda2|\theta^{n+1}|^2 \le \tfrac12|q^n|^2 + \tfrac\lambda2|\theta^n|^2     \tag{1}

(4.1.1); the energy curves of Restart and Relax fall monotonically (4.1.3). The identity behind (1) holds in every step
of every form. It adds up for vanilla and relaxed IEQ, which carry q. After a restart ``q^n`` is ``q(theta^n)`` and no
longer the last ``q^{n+1}``: the identity then starts from the true loss and ends at another quantity. So what a *curve*
may be: the stored energy, or the true loss ``|q(theta)|^2 / 2``.

Two runs of one step with dt = 100, where restarted and relaxed are the same; exact rational arithmetic is set beside
floating point:

* ``f = theta^2``, y = 1, theta = 1/10: theta becomes 203/50, the true loss 0.490 becomes 119.87, the modified one 0.0196;
* the network ``f = a relu(b)`` (one neuron, input 0), y = 1, a = b = 1/10: both become 17/5, the true loss 0.490 becomes 55.76.

Then Example 1 on a network with fewer parameters than samples, full batch and mini-batches, every step looked at. The
residual of the identity is measured in units of the rounding of what enters it: the energy before the step, and ``|d|^2
/ dt`` with d the difference of two rounded theta.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ...plotting import plot_rows, save_figure
from ...run.batches import steps_per_epoch
from ...run.solution import Solution
from ...schemes import IEQ, Relaxed, Restart, Scheme
from ..experiment import Claim, Context, Experiment, Outcome
from ..words import range_text
from .laws import RELAXED, RESTARTED, VANILLA, excess_after_restart, identity_error, loss_rises, stored_rises
from .one_step import LARGE, one_steps
from .runs import GridRuns, rows_of_batches, train_grid, train_review
from .shared import OURS, REVIEW, UNDER, ReviewSettings, ReviewTask, numbers, review_task, verdict

__all__ = ["IEQ_REVIEW_ENERGY", "EnergySettings", "judge"]

SCHEMES: dict[str, Scheme] = {VANILLA: IEQ(), RESTARTED: Restart(IEQ()), RELAXED: Relaxed(IEQ())}
UNITS, EXACT = 100.0, 1e-12
"""Rounding that counts as such: of the identity, in units of eps; of the one step, relative."""
HEADER = (
    "problem",
    "batch",
    "dt",
    "scheme",
    "loss rises, steps",
    "loss rises, epochs",
    "stored rises",
    "loss at end",
    "identity, eps",
)
NOTE = (
    "Ranges over the seeds. Rises: share of steps (epochs) after which the true loss of all samples is larger than before; stored: number "
    "of steps after which |q|^2 / 2 is, which means nothing after a restart. The last column is the largest residual of the energy identity."
)


@dataclass(frozen=True, kw_only=True)
class EnergySettings(ReviewSettings):
    """Settings of the experiment.

    Raises
    ------
    ValueError
        As `ReviewSettings`, or if `dts` or `batch_sizes` is not a list of numbers in range.
    """

    batch_sizes: str = "0 64 16"
    """Samples in a batch; 0 is the full batch."""
    dts: str = "0.1 10 1000"
    """Step sizes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        numbers("dts", self.dts, float)
        numbers("batch_sizes", self.batch_sizes, int)


def run(settings: EnergySettings, context: Context) -> Outcome:
    """Run the counterexamples and the network, draw, judge."""
    sizes, dts = numbers("batch_sizes", settings.batch_sizes, int), numbers("dts", settings.dts, float)
    tasks = [review_task(settings, seed) for seed in range(settings.seeds)]
    for size in sizes:
        steps_per_epoch(tasks[0].problem, size or None)
    context.claim()
    data = context.out / "data"
    single = {
        name: {
            label: train_review(
                case.problem, case.theta0, SCHEMES[label], dt=LARGE, epochs=1, seed=0, path=data / f"one-{number}-{i}"
            )
            for i, label in enumerate((RESTARTED, RELAXED))
        }
        for number, (name, case) in enumerate(one_steps().items())
    }
    runs = train_grid(tasks, SCHEMES, settings, context, batch_sizes=sizes, dts=dts, each_step=True)
    _draw(runs, tasks, settings, context)
    claims = judge(single, runs)
    rows = [_row(name, 0, LARGE, label, [r]) for name, of in single.items() for label, r in of.items()]
    rows += [_row("network", *key, label, several) for key, of in runs.items() for label, several in of.items()]
    return Outcome(HEADER, tuple(rows), NOTE, tuple(claims), verdict(claims))


def _row(problem: str, size: int, dt: float, label: str, runs: Sequence[Solution]) -> tuple[str, ...]:
    return (
        problem,
        str(size) if size else "full",
        f"{dt:g}",
        label,
        range_text([loss_rises(r) for r in runs], ".0%"),
        range_text([loss_rises(r, epochs=True) for r in runs], ".0%"),
        range_text([stored_rises(r) for r in runs], "d"),
        range_text([float(r.history["energy"][-1]) for r in runs]),
        range_text([identity_error(r, label) for r in runs], ".1f"),
    )


def judge(single: Mapping[str, Mapping[str, Solution]], runs: GridRuns) -> list[Claim]:
    """Return what the review says of the energies, and what the data say about it.

    Parameters
    ----------
    single : mapping of str to mapping of str to Solution
        For each counterexample the one step, restarted and relaxed.
    runs : mapping of (int, float) to mapping of str to sequence of Solution
        For each batch size and dt, and each scheme, a run for each seed.
    """
    cases = one_steps()
    off, exactly, rising = [], [], []
    for name, of in single.items():
        exact = [float(x) for x in cases[name].losses]
        for label, r in of.items():
            h = r.history
            seen = [float(h["energy"][0]), float(h["modified_energy"][-1]), float(h["energy"][-1])]
            if label == RELAXED:
                seen[1] = exact[1]  # relaxation has changed it since
            moved = zip([float(x) for x in r.theta[-len(cases[name].theta) :]], cases[name].theta, strict=True)
            off += [abs(x - y) / y for x, y in zip(seen, exact, strict=True)]
            off += [abs(x - float(y)) / abs(float(y)) for x, y in moved]
            rising.append(seen[2] > seen[0])
        exactly.append(f"{name}: {exact[0]:.4g}, modified {exact[1]:.3g}, true {exact[2]:.5g}")
    carried = [(key, label, r) for key, of in runs.items() for label in (VANILLA, RELAXED) for r in of[label]]
    stored = sum(stored_rises(r) for *_, r in carried)
    after_restart = excess_after_restart([r for of in runs.values() for r in of[RESTARTED]]) - EXACT
    losses: dict[str, list[tuple[tuple[int, float], float]]] = {
        label: [(key, loss_rises(r)) for key, of in runs.items() for r in of[label]] for label in (RESTARTED, RELAXED)
    }
    network = "; ".join(
        f"{label}: {sum(share > 0 for (size, _), share in of if not size)} of {sum(not size for (size, _), _ in of)} runs rise with the "
        f"full batch, {sum(share > 0 for (size, _), share in of if size)} of {sum(size > 0 for (size, _), _ in of)} on batches"
        for label, of in losses.items()
    )
    errors = [identity_error(r, label) for of in runs.values() for label, several in of.items() for r in several]
    errors += [identity_error(r, label) for of in single.values() for label, r in of.items()]
    return [
        Claim(
            f"{OURS}the energy identity of every step holds to rounding, whatever dt, batch and form",
            max(errors) <= UNITS,
            f"largest residual {max(errors):.1f} eps of what enters it, over {len(errors)} runs",
        ),
        Claim(
            "the stored energy of vanilla and relaxed IEQ never rises (4.1.1)",
            stored == 0,
            f"{stored} rises above rounding in {sum(r.steps for *_, r in carried)} steps",
        ),
        Claim(
            "restarted, the stored energy is below the true loss that the step started from (4.1.1, one step)",
            after_restart <= 0,
            f"excess at most {after_restart:.1e} of that loss, over {sum(r.steps for of in runs.values() for r in of[RESTARTED])} steps",
        ),
        Claim(
            f"{OURS}the two counterexamples are as computed in rational numbers",
            max(off) <= EXACT,
            f"largest relative difference {max(off):.0e}; {'; '.join(exactly)}",
        ),
        Claim(
            f"the energy curves of Restart and Relax fall monotonically (4.1.3){UNDER}the energy is the loss",
            not any(rising) and not any(share > 0 for of in losses.values() for _, share in of),
            f"{sum(rising)} of {len(rising)} steps of the counterexamples rise; {network}",
        ),
    ]


def _draw(runs: GridRuns, tasks: Sequence[ReviewTask], settings: EnergySettings, context: Context) -> None:
    """Draw true loss and stored energy, a row for each batch size, at the largest dt."""
    dt = max(numbers("dts", settings.dts, float))
    figure = plot_rows(
        rows_of_batches(runs, tasks, dt, SCHEMES),
        ("error", "stored"),
        title=f"True and stored energy, every step, dt = {dt:g}: N = {settings.n_samples}, D = {settings.n_inputs}, "
        f"width {settings.width}, median and range of {settings.seeds} seeds",
        labels={"error": "true loss, relative", "stored": "stored energy, relative"},
    )
    save_figure(figure, context.out / context.name)


FULL = EnergySettings(epochs=100, width=10)

IEQ_REVIEW_ENERGY = Experiment(
    name="ieq-review-energy",
    title="Modified and true energy of vanilla, restarted and relaxed IEQ",
    source=f"{REVIEW}, sections 4.1.1, 4.1.3",
    problem="Two counterexamples of one step; Example 1 in 10 dimensions, 200 samples, width 10, full batch and batches of 64 and 16.",
    time="about a minute for 100 epochs and 3 seeds",
    quick_time="about 15 seconds for 15 epochs and 3 seeds",
    full=FULL,
    quick=replace(FULL, epochs=15),
    run=run,
)
"""The experiment ``ieq-review-energy``."""
