r"""Example 1 of Ma, Mao & Shen: learn :math:`y = \sin(p \cdot x) + \cos(q \cdot x)`, x in the unit cube.

The energy is the relative error :math:`\sum (f - y)^2 / \sum y^2` on the training part, so the recorded
``energy`` *is* the train error of the figures; ``test_error`` is the same quotient on the test part. The
flow runs in mean-field time: the inner product is ``(u, v)_M = u . v / m``, in which equation (9) of the
paper is the gradient flow. The paper leaves unsaid: p and q (here drawn from U(0, 1)), the initial
parameters (here N(0, 1), all of them), and every seed.

Source: Z. Ma, Z. Mao, J. Shen, Efficient and stable SAV-based methods for gradient flows arising from deep
learning, J. Comput. Phys. 505 (2024) 112911, Example 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path
from typing import Any

import numpy as np

from ..batches import steps_per_epoch
from ..datasets import sin_cos
from ..models import Regression, TwoLayerNet
from ..namespace import Array
from ..problem import Problem
from ..schemes.protocols import Scheme
from ..solution import Solution, Status
from ..solve import solve

__all__ = [
    "NOTE",
    "PAPER",
    "TABLE",
    "Example1",
    "Example1Settings",
    "check",
    "example1",
    "final",
    "settled",
    "table_row",
    "train",
]

PAPER = "Z. Ma, Z. Mao, J. Shen, J. Comput. Phys. 505 (2024) 112911"
"""The citation."""
TABLE = ("scheme", "epochs", "train error", "test error", "mod. energy", "r/sqrt(E+C)", "ms/step", "status")
"""Heads of the columns that `table_row` fills."""
NOTE = (
    "Errors are sum (f - y)^2 / sum y^2. The modified energy is what the scheme dissipates: r^2 - C for SAV, "
    "|q|^2 / 2 for IEQ. Restarted schemes keep no auxiliary variable: theirs is that of the last batch. "
    "The table shows the last record, a noisy one; errors named below it are averages over the last tenth of the records."
)
"""What one must know to read the table."""


@dataclass(frozen=True, kw_only=True)
class Example1Settings:
    """Sizes, step size and seeds. All values are dimensionless.

    Raises
    ------
    ValueError
        If a number of epochs is below 1, dt is not finite and > 0, or C is not finite.
    """

    epochs: int
    """Passes through the training part."""
    record_epochs: int = 1
    """Epochs between two points of the curves."""
    n_inputs: int = 40
    """D."""
    width: int = 1000
    """m."""
    n_samples: int = 10_000
    """The pool: 80 % of it for training, 20 % for testing."""
    batch_size: int = 64
    """Samples in a batch."""
    dt: float = 0.2
    """Step size."""
    C: float = 1.0
    """Constant of the SAV schemes."""
    seed: int = 0
    """Of the inputs, the initial parameters and the batches."""
    dtype: str = "float32"
    """Of data and parameters."""

    def __post_init__(self) -> None:
        for name in ("epochs", "record_epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if not 0 < self.dt < inf:
            raise ValueError(f"dt must be a finite number > 0, got {self.dt}")
        if not isfinite(self.C):
            raise ValueError(f"C must be a finite number, got {self.C}")


@dataclass(frozen=True, eq=False)
class Example1:
    """The problem on the training part, the same on the test part, and where to start."""

    train: Regression
    """The training part."""
    test: Regression
    """The test part."""
    theta0: Array
    """Initial parameters, (P,)."""


def example1(settings: Example1Settings, coefficient_seed: int) -> Example1:
    """Return the problem for one draw of p and q, with all that is compiled on first use compiled.

    Parameters
    ----------
    settings : Example1Settings
        Sizes and seeds.
    coefficient_seed : int
        Which p and q.
    """
    data = sin_cos(
        settings.n_inputs,
        settings.n_samples,
        seed=settings.seed,
        coefficient_seed=coefficient_seed,
        dtype=settings.dtype,
    )
    net = TwoLayerNet(settings.n_inputs, settings.width)
    problem = Example1(
        Regression(net, data.x_train, data.y_train, loss="relative"),
        Regression(net, data.x_test, data.y_test, loss="relative"),
        net.init(settings.seed, dtype=settings.dtype),
    )
    few = problem.train.batch(slice(0, 2))
    few.energy_and_gradient(problem.theta0)
    few.linearize(problem.theta0).gram()
    return problem


def check(example: Example1, schemes: Iterable[Scheme], settings: Example1Settings) -> None:
    """Raise the ValueError with which a run would be refused at its start.

    Parameters
    ----------
    example : Example1
        The problem.
    schemes : iterable of Scheme
        What will run on it.
    settings : Example1Settings
        With which settings.
    """
    steps_per_epoch(example.train, settings.batch_size)
    for scheme in schemes:
        scheme.init(example.train, example.theta0)


def train(
    example: Example1,
    scheme: Scheme,
    settings: Example1Settings,
    *,
    path: Path,
    epochs: int | None = None,
    problem: Problem | None = None,
    progress: bool | str = False,
) -> Solution:
    """Run a scheme on Example 1, or take up the run kept at `path`.

    Parameters
    ----------
    example : Example1
        The problem.
    scheme : Scheme
        The scheme.
    settings : Example1Settings
        Step size, batches, seed.
    path : Path
        Of the checkpoint.
    epochs : int, optional
        Instead of the settings'.
    problem : Problem, optional
        Instead of the training part as it is.
    progress : bool or str
        Show a progress bar (labelled with the string).

    Returns
    -------
    Solution
        The run; its history has ``test_error`` beside the energies.

    Raises
    ------
    KeyboardInterrupt
        As it came, once what was done is kept.
    """

    def test_error(state: Any) -> Array:
        return example.test.energy(state.theta)

    problem = example.train if problem is None else problem
    batches = steps_per_epoch(example.train, settings.batch_size)
    run = solve(
        problem,
        scheme,
        example.theta0,
        dt=settings.dt,
        epochs=settings.epochs if epochs is None else epochs,
        batch_size=settings.batch_size,
        seed=settings.seed,
        every=max(1, settings.record_epochs * batches),
        record=("energy", "modified_energy", "auxiliary_ratio", ("test_error", test_error)),
        progress=progress,
        checkpoint=path,
    )
    if run.status is Status.STOPPED:
        raise KeyboardInterrupt
    return run


def final(run: Solution, name: str) -> float:
    """Return the last recorded value of a quantity.

    Parameters
    ----------
    run : Solution
        The run.
    name : str
        A recorded quantity.
    """
    return float(run.history[name][-1])


def settled(run: Solution, name: str) -> float:
    """Return the geometric mean of a positive quantity over the last tenth of its records.

    Mini-batches make a single record noisy.

    Parameters
    ----------
    run : Solution
        The run.
    name : str
        A recorded quantity, positive.
    """
    values = np.maximum(run.history[name].astype(np.float64), np.finfo(np.float64).tiny)
    return float(np.exp(np.mean(np.log(values[-max(1, len(values) // 10) :]))))


def table_row(label: str, run: Solution) -> tuple[str, ...]:
    """Return the row of `TABLE` that tells how a run ended.

    Parameters
    ----------
    label : str
        The first column.
    run : Solution
        The run.
    """
    numbers = (final(run, name) for name in ("energy", "test_error", "modified_energy", "auxiliary_ratio"))
    train_error, test_error, modified, ratio = numbers
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
