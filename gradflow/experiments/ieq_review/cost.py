r"""The review of IEQ, sections 4.2.2 and 4.2.3: what a step costs, in time and memory.

Published, for batches of m = 64 and d = 41100 parameters: the Jacobian takes 10 MB, a step ``O(md) + O(m^3)``; an epoch
of IEQ takes about twice the time of one of SAV, and sharply more for larger batches; batches of 256 to 4096 are
infeasible (the review's GPU had 4 GB). With a stored Jacobian a step has four parts,

.. math::
   J:\ O(md), \qquad G = JJ^T:\ O(m^2 d), \qquad (I + \Delta t\,G)\,\tilde q = q:\ O(m^3), \qquad J^T\tilde q:\ O(md),   \tag{1}

of which the printed order leaves out the second, the largest for every m up to d. But J need not be stored. The
two-layer network has G in closed form from the hidden values, ``O(m^2 (D + width))`` and arrays of m by width and m by
m; and conjugate gradients need products with J and its transpose only, no matrix at all, at ``O(md)`` for each
iteration.

Here: Example 1 in D = 40 dimensions, one step of SAV and of restarted IEQ (closed form, stored Jacobian, conjugate
gradients), and the first three parts of (1) apart, on one BLAS thread, in processor time, so that other processes count
only through the caches they share. The functions take turns, round by round; what is told is the median over the rounds
and the range. The ratio to SAV is taken round by round, too. Both methods make the same number of steps in an epoch, so
the ratio of the steps is that of the epochs. Memory is counted from the sizes, and traced: the most that NumPy holds at
a time during a step, beyond what there was before. Powers of m are fitted.

``epochs`` is the number of rounds; more rounds add to those that are kept. What a step allocates does not depend on the
machine and can refute; times on a machine other than the review's, and with this library's kernels, cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...plotting import save_figure
from ..experiment import Claim, Context, Experiment, Outcome
from ..judging import READING
from ..words import median_text, range_text
from .charts import cost_chart
from .shared import OURS, REVIEW, numbers, verdict
from .timing import (
    CLOSED,
    FREE,
    JACOBIAN,
    PARTS,
    PRODUCT,
    SOLVE,
    STEP_SAV,
    STORED,
    Cell,
    CostSettings,
    exponent,
    measure,
    widest,
)

__all__ = ["IEQ_REVIEW_COST", "judge", "judge_times"]

SAMPLES = 8000
"""Samples of an epoch, of the companion study ("Empirical evaluation", Example 1)."""
GPU, EPOCH = 4e9, 60.0
"""Bytes of the review's GPU, and seconds of an epoch, above which a batch counts as infeasible."""
PRINTED_RATIO, PRINTED_BYTES, BATCH = 2.0, 64 * 41100 * 4, 64
FIT, POINTS = 128, 3
"""Batch size from which on powers are fitted, and how many sizes that takes."""
POWER = 0.4
"""How far a fitted power may be from 2: BLAS is faster on larger matrices."""
CHANGED = "times of this machine's CPU, one thread, in place of the review's GPU, with this library's kernels"
HEADER = ("width", "batch", "what", "CPU ms, median", "range", "over SAV", "MB traced", "MB counted")
NOTE = (
    "Medians and ranges over the rounds, float32 or as set; the ratio to SAV is taken round by round. MB counted: of a stored Jacobian J, "
    "of G for the closed form; MB traced: the most that a step allocates at a time."
)


def run(settings: CostSettings, context: Context) -> Outcome:
    """Measure all sizes, draw, judge."""
    context.claim()
    cells = []
    for width in numbers("widths", settings.widths, int):
        for batch in numbers("batch_sizes", settings.batch_sizes, int):
            cells.append(measure(width, batch, settings, context.out / "data" / f"{width}-{batch}"))
        context.say(f"width {width}: done")
    wide = widest(cells)
    figure = cost_chart(
        wide,
        printed=PRINTED_RATIO,
        title=f"A step of IEQ: D = {settings.n_inputs}, width {wide[0].width}, d = {wide[0].n_parameters}, {settings.dtype}, one "
        f"thread, median and range of {settings.epochs} rounds",
    )
    save_figure(figure, context.out / context.name)
    free, timed = judge(cells), judge_times(cells)
    found = verdict(free)  # that times are not as expected does not put what was allocated in doubt
    if not found.startswith("refuted"):
        found = verdict([*free, *timed], CHANGED)
    rows = tuple(row for cell in cells for row in _rows(cell))
    return Outcome(HEADER, rows, NOTE, (*free, *timed), found)


def _rows(cell: Cell) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    counted = {STORED: cell.batch * cell.n_parameters, JACOBIAN: cell.batch * cell.n_parameters, CLOSED: cell.batch**2}
    for name, seconds in cell.seconds.items():
        rows.append(
            (
                str(cell.width),
                str(cell.batch),
                name,
                f"{1e3 * np.median(seconds):.2f}",
                range_text(1e3 * seconds, ".2f"),
                median_text(_ratios(cell, name), ".1f"),
                f"{1e-6 * cell.traced[name]:.1f}" if name in cell.traced else "-",
                f"{1e-6 * cell.itemsize * counted[name]:.1f}" if name in counted else "-",
            )
        )
    return rows


def _ratios(cell: Cell, name: str) -> NDArray[np.float64]:
    """Return for each round the time over that of SAV in the same round."""
    return np.asarray(cell.seconds[name] / cell.seconds[STEP_SAV])


def _over(cell: Cell, name: str) -> float:
    """Return the median over the rounds of the time over that of SAV."""
    return float(np.median(_ratios(cell, name)))


def judge(cells: Sequence[Cell]) -> list[Claim]:
    """Return what the review says of memory and operations, and what the data say about it, for the widest network.

    Parameters
    ----------
    cells : sequence of Cell
        All that was measured.
    """
    wide = widest(cells)
    large = [cell for cell in wide if cell.batch >= 256]
    claims = []
    text = "batches of 256 to 4096 are completely infeasible (4.2.3): a step does not fit into 4 GB"
    if large:
        most = max(large, key=lambda cell: cell.traced[CLOSED])
        J = most.itemsize * most.batch * most.n_parameters
        claims.append(
            Claim(
                text,
                most.traced[CLOSED] > GPU,
                f"a step at m = {most.batch} allocates {1e-6 * most.traced[CLOSED]:.0f} MB with the closed form of G; "
                f"even a stored J would take {1e-6 * J:.0f} MB (counted)",
            )
        )
    else:
        claims.append(Claim(text, None, "no batch of 256 or more was run"))
    text = "the Jacobian of 64 samples takes about 10 MB (4.2.2), if it is stored"
    at = next((cell for cell in wide if cell.batch == BATCH and JACOBIAN in cell.traced), None)
    if at is None or at.n_parameters != 42_000:
        claims.append(Claim(text, None, "not run with 64 samples and 42 000 parameters"))
    else:
        size = at.traced[JACOBIAN] / at.itemsize * 4
        claims.append(
            Claim(
                text,
                abs(size / PRINTED_BYTES - 1) < 0.1,
                f"{1e-6 * size:.2f} MB in float32, d = {at.n_parameters} (printed: d = 41100, {1e-6 * PRINTED_BYTES:.2f} MB); a step in "
                f"closed form allocates {1e-6 * at.traced[CLOSED]:.2f} MB at a time",
            )
        )
    return claims


def judge_times(cells: Sequence[Cell]) -> list[Claim]:
    """Return what the review says of times, with a check of this library, and what the data say, for the widest network.

    Parameters
    ----------
    cells : sequence of Cell
        All that was measured.
    """
    wide = widest(cells)
    stored = [cell for cell in wide if STORED in cell.seconds]
    at = next((cell for cell in stored if cell.batch == BATCH), None)
    beyond = [cell for cell in stored if cell.batch > BATCH]
    claims = []
    text = f"an epoch of IEQ takes about twice the time of SAV at m = {BATCH} (4.2.2)"
    if at is None:
        claims.append(Claim(text, None, f"no batch of {BATCH} was run with a stored Jacobian"))
    else:
        ratio = _over(at, STORED)
        ratios = "; ".join(f"{name} {median_text(_ratios(at, name), '.1f')}" for name in (STORED, CLOSED, FREE))
        claims.append(
            Claim(text, PRINTED_RATIO / READING <= ratio <= PRINTED_RATIO * READING, f"times that of SAV: {ratios}")
        )
    text = "for larger batches the ratio grows sharply (4.2.2)"
    if at is None or not beyond:
        claims.append(Claim(text, None, f"batches of {BATCH} and more are needed"))
    else:
        growth = {name: _over(beyond[-1], name) / _over(at, name) for name in (STORED, CLOSED)}
        factors = ", ".join(f"{name} {value:.1f} times" for name, value in growth.items())
        claims.append(
            Claim(text, growth[STORED] > 2, f"from m = {BATCH} to {beyond[-1].batch} the ratio grows: {factors}")
        )
    text = "a step is O(md) + O(m^3) (4.2.2): forming G takes less time than J and the solve"
    if not stored:
        claims.append(Claim(text, None, "no Jacobian was stored"))
    else:
        parts = {c.batch: [float(np.median(c.seconds[name])) for name in PARTS] for c in stored}
        times = ", ".join(f"m = {m}: {1e3 * j:.2g}, {1e3 * g:.2g}, {1e3 * s:.2g} ms" for m, (j, g, s) in parts.items())
        claims.append(Claim(text, all(g < j + s for j, g, s in parts.values()), f"J, G, solve at {times}"))
    fit = [cell for cell in stored if cell.batch >= FIT]
    text = f"{OURS}forming G from J takes a time of order m^2 (fitted)"
    if len(fit) < POINTS:
        claims.append(Claim(text, None, f"{POINTS} batch sizes of {FIT} or more are needed"))
    else:
        powers = {
            name: exponent([c.batch for c in fit], [float(np.median(c.seconds[name])) for c in fit])
            for name in (PRODUCT, SOLVE, STORED, CLOSED, STEP_SAV)
        }
        fitted = ", ".join(f"{name} {power:.2f}" for name, power in powers.items())
        claims.append(
            Claim(
                text, abs(powers[PRODUCT] - 2) <= POWER, f"powers of m from {fit[0].batch} to {fit[-1].batch}: {fitted}"
            )
        )
    large = [cell for cell in wide if cell.batch >= 256]
    text = (
        f"batches of 256 to 4096 are completely infeasible (4.2.3): an epoch of {SAMPLES} samples takes over a minute"
    )
    if not large:
        claims.append(Claim(text, None, "no batch of 256 or more was run"))
    else:
        epochs = {c.batch: SAMPLES / c.batch * float(np.median(c.seconds[CLOSED])) for c in large}
        seconds = ", ".join(f"m = {m}: {duration:.2g} s" for m, duration in epochs.items())
        claims.append(Claim(text, min(epochs.values()) > EPOCH, f"an epoch with the closed form at {seconds}"))
    return claims


FULL = CostSettings(epochs=9)

IEQ_REVIEW_COST = Experiment(
    name="ieq-review-cost",
    title="Time and memory of an IEQ step beside a SAV step",
    source=f"{REVIEW}, sections 4.2.2, 4.2.3",
    problem="Example 1 in 40 dimensions, widths 250 and 1000, batches of 16 to 4096, one step each, timed in turns.",
    time="about a minute for 9 rounds",
    quick_time="about 10 seconds for 3 rounds, width 1000 and batches up to 1024",
    full=FULL,
    quick=replace(FULL, epochs=3, widths="1000", batch_sizes="16 64 128 256 1024", largest_stored=256),
    run=run,
)
"""The experiment ``ieq-review-cost``."""
