r"""Times and memory of single steps: functions that take turns, rounds that add up, and what a step allocates.

Times are processor times of this process with one BLAS thread. The rounds of one width and batch size are kept as a
`gradflow.Solution`, one record a round with a column for each function, so that more rounds add to those that are
there. See `gradflow.experiments.ieq_review.cost`.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

import numpy as np

from ...curvature.lapack import cholesky_solve
from ...datasets import sin_cos
from ...energies.dense import DenseLeastSquares
from ...energies.protocols import Problem
from ...models import Regression, TwoLayerNet
from ...namespace import Array, blas_threads
from ...refusals import one_of, whole_number
from ...run.solution import Solution, Status
from ...schemes import IEQ, SAV, Restart, Scheme
from ...schemes.state import FlowState
from .shared import numbers

__all__ = [
    "CLOSED",
    "FREE",
    "JACOBIAN",
    "PARTS",
    "PRODUCT",
    "SOLVE",
    "STEPS",
    "STEP_SAV",
    "STORED",
    "Cell",
    "CostSettings",
    "exponent",
    "measure",
    "peak",
    "take_turns",
    "widest",
]

STEP_SAV, CLOSED, STORED, FREE = "SAV", "IEQ, closed form of G", "IEQ, stored Jacobian", "IEQ, conjugate gradients"
JACOBIAN, PRODUCT, SOLVE = "forming J", "G = J J^T", "solving"
STEPS, PARTS = (STEP_SAV, CLOSED, STORED, FREE), (JACOBIAN, PRODUCT, SOLVE)
"""Whole steps, and parts of the one with a stored Jacobian."""
DT = 0.1
"""Step size of the companion study ("Empirical evaluation", Example 1); only conjugate gradients depend on it."""
LEAST = 1e-2
"""Seconds that one timing takes at least; short steps are repeated."""


@dataclass(frozen=True, kw_only=True)
class CostSettings:
    """Settings of the experiment.

    Raises
    ------
    ValueError
        If a count is below 1, a list is no list of numbers >= 1, or the dtype is unknown.
    """

    epochs: int
    """Rounds of timing."""
    n_inputs: int = 40
    """D."""
    widths: str = "250 1000"
    """Neurons."""
    batch_sizes: str = "16 32 64 128 256 512 1024 4096"
    """m."""
    largest_stored: int = 1024
    """The largest m for which the Jacobian is stored and conjugate gradients run."""
    dtype: str = "float32"
    """Of data and parameters; the review counts 4 bytes."""
    seed: int = 0
    """Of data and parameters."""

    def __post_init__(self) -> None:
        for name in ("epochs", "n_inputs", "largest_stored"):
            whole_number(name, getattr(self, name), 1)
        for name in ("widths", "batch_sizes"):
            if min(numbers(name, getattr(self, name), int)) < 1:
                raise ValueError(f"{name} must list numbers >= 1, got {getattr(self, name)!r}")
        one_of("dtype", self.dtype, ("float32", "float64"))


class Cell(NamedTuple):
    """What was measured for one width and batch size."""

    width: int
    """Neurons."""
    batch: int
    """m."""
    n_parameters: int
    """d."""
    seconds: Mapping[str, np.ndarray[Any, Any]]
    """For each function the seconds of a call, shape (rounds,)."""
    traced: Mapping[str, int]
    """For each kind of step the most bytes allocated at a time; for "forming J" those of J itself."""
    itemsize: int
    """Bytes of a number."""


def take_turns(
    functions: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float], least: float
) -> dict[str, list[float]]:
    """Return for each function the seconds of a call in each round; in a round they are called one after the other.

    Parameters
    ----------
    functions : mapping of str to callable
        What to time; each is called once before, so that nothing is compiled while the clock runs.
    rounds : int
        How often.
    clock : callable
        Returns the time in seconds.
    least : float
        Seconds; a function that takes less is called several times in its turn.
    """
    repeats = {}
    for name, f in functions.items():
        f()
        began = clock()
        f()
        repeats[name] = max(1, int(least / max(clock() - began, 1e-9)))
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, f in functions.items():
            began = clock()
            for _ in range(repeats[name]):
                f()
            seconds[name].append((clock() - began) / repeats[name])
    return seconds


def peak(f: Callable[[], object]) -> int:
    """Return the most bytes that a call of `f` allocates at a time.

    Parameters
    ----------
    f : callable
        Called once before, and once.
    """
    f()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        f()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return p of the fit values = c sizes^p, by least squares in logarithms; NaN for fewer than two sizes.

    Parameters
    ----------
    sizes, values : sequence of float
        Positive.
    """
    if len(sizes) < 2:
        return float("nan")
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def _functions(problem: Regression, theta: Array, *, stored: bool) -> dict[str, Callable[[], Any]]:
    """Return what is timed, by name."""

    def step(scheme: Scheme, of: Problem) -> Callable[[], Any]:
        state = scheme.init(of, theta)
        return lambda: scheme.step(of, state, DT)

    closed = Restart(IEQ(solver="gram"))
    functions = {STEP_SAV: step(SAV(C=1.0), problem), CLOSED: step(closed, problem)}
    if not stored:
        return functions
    dense = DenseLeastSquares(
        lambda t: problem.linearize(t).residual, lambda t: problem.linearize(t).jacobian(), mass=problem.mass
    )
    at = problem.linearize(theta)
    J, q = at.jacobian(), at.residual
    M = np.eye(len(q), dtype=q.dtype) + DT * (J @ J.T)
    functions[STORED] = step(closed, dense)
    functions[FREE] = step(Restart(IEQ(solver="cg")), problem)
    functions[JACOBIAN] = at.jacobian
    functions[PRODUCT] = lambda: J @ J.T
    functions[SOLVE] = lambda: cholesky_solve(M.copy(), q)
    return functions


def measure(width: int, batch: int, settings: CostSettings, path: Path) -> Cell:
    """Return the times of one width and batch size, measured for as many rounds as are missing at `path`, and kept there.

    Parameters
    ----------
    width, batch : int
        The sizes.
    settings : CostSettings
        Rounds and all else.
    path : Path
        Where the times are kept.
    """
    data = sin_cos(settings.n_inputs, batch * 5 // 4 + 2, seed=settings.seed, dtype=settings.dtype)
    net = TwoLayerNet(settings.n_inputs, width, scaling="standard")
    theta = net.init(settings.seed, dtype=settings.dtype, distribution="he")
    problem = Regression(net, data.x_train[:batch], data.y_train[:batch], loss="half_sum", time_scale="autograd")
    stored = batch <= settings.largest_stored
    kept = Solution.load(path) if path.with_name(f"{path.name}.npz").exists() else None
    done = 0 if kept is None else kept.steps
    if kept is None or done < settings.epochs:
        functions = _functions(problem, theta, stored=stored)
        with blas_threads(1):
            new = take_turns(functions, settings.epochs - done, process_time, LEAST)
        if kept is None:
            traced = {name: peak(functions[name]) for name in STEPS if name in functions}
            if stored:
                traced[JACOBIAN] = int(functions[JACOBIAN]().nbytes)
            config: dict[str, Any] = {"width": width, "batch": batch, "traced": traced}
            history = {name: np.array(values) for name, values in new.items()}
        else:
            config = dict(kept.config)
            history = {name: np.concatenate([kept.history[name], values]) for name, values in new.items()}
        n, total = np.arange(1, settings.epochs + 1), float(sum(values.sum() for values in history.values()))
        history |= {"step": n, "epoch": n, "time": n * DT}
        message = f"{settings.epochs} rounds"
        kept = Solution(theta, FlowState(theta), history, Status.DONE, message, config, settings.epochs, total, total)
        kept.save(path)
    seconds = {name: kept.history[name] for name in (*STEPS, *PARTS) if name in kept.history}
    return Cell(width, batch, net.n_parameters, seconds, kept.config["traced"], theta.dtype.itemsize)


def widest(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells of the widest network, by batch size.

    Parameters
    ----------
    cells : sequence of Cell
        There must be one.
    """
    most = max(cell.width for cell in cells)
    return sorted((cell for cell in cells if cell.width == most), key=lambda cell: cell.batch)
