r"""The regression tasks of Ma, Mao & Shen, with everything that they leave unsaid as a setting.

Examples 1 to 3 learn :math:`y = \sin(p \cdot x) + \cos(q \cdot x)`, :math:`y = \sum_i c_i x_i^2` and :math:`y = e^{-10 |x|}` by a
two-layer ReLU network. The paper's curves are relative errors, :math:`\sum (f - y)^2 / \sum y^2`, on the training and the test
part; what is *trained* may be another loss, in another time. p, q and c, the initial parameters and all seeds are
unpublished: each draw of them all is a task of its own, and a published curve is judged by whether it lies in the spread.

Source: Z. Ma, Z. Mao, J. Shen, J. Comput. Phys. 505 (2024) 112911, Examples 1 to 3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ...datasets import Dataset, gaussian, quadratic, sin_cos
from ...models import Regression, SmoothedParticles, TwoLayerNet
from ...namespace import Array
from ...refusals import one_of, real_number, whole_number
from ...run.batches import steps_per_epoch
from ...run.solution import Solution
from ...schemes.protocols import Scheme
from ..judging import ENOUGH
from ..training import train
from ..verdicts import differences, told
from .products import PRODUCTS, InconsistentProduct

__all__ = [
    "METHODS",
    "PAPER",
    "TARGETS",
    "UNPRINTED",
    "Task",
    "TaskSettings",
    "regression_task",
    "stated_changes",
    "train_task",
    "unsaid",
]

PAPER = "Z. Ma, Z. Mao, J. Shen, J. Comput. Phys. 505 (2024) 112911"
"""The citation."""
METHODS = ("particle", "smoothed", "both")
"""Which of the paper's two methods a figure shows: the particle method, the smoothed one, or both."""
UNPRINTED = ("record_epochs", "draws", "init", "coefficients", "product", "seed", "dtype")
"""Settings of which the paper says nothing."""

TARGETS: dict[str, Callable[..., Dataset]] = {
    "sin_cos": sin_cos,
    "quadratic": quadratic,
    "exponential": partial(gaussian, squared=False),
}
"""Examples 1 to 3."""


@dataclass(frozen=True, kw_only=True)
class TaskSettings:
    """Sizes, constants and seeds of a figure. All values are dimensionless.

    Raises
    ------
    ValueError
        If a count is below 1 (the batch size below 0), or a constant is not finite.
    """

    target: str = "sin_cos"
    """A key of `TARGETS`."""
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
    """0 for the full batch."""
    C: float = 1.0
    """Constant of the SAV schemes."""
    stabilization: float = 0.0
    """The paper's lambda: added implicitly, subtracted explicitly."""
    loss: str = "relative"
    """What is trained: a loss of `gradflow.Regression`."""
    time_scale: str = "mean_field"
    """Equation (9) of the paper, or "autograd"."""
    product: str = "consistent"
    """The inner product in which r is updated, of `gradflow.experiments.ma2024.products.PRODUCTS`; the paper does not say which."""
    method: str = "particle"
    """One of `METHODS`."""
    smoothing: float = 1e-4
    """h of the smoothed particle method."""
    displacements: int = 10
    """J of the smoothed particle method: the displacements of a step, whose cost is J times that of the particle method."""
    draws: int = 5
    """How many draws of the coefficients, inputs, initial parameters and batches; draw n has the seed ``seed + n``."""
    init: str = "normal"
    """Distribution of the initial parameters, of `gradflow.TwoLayerNet.init`."""
    coefficients: str = "uniform"
    """Law of p, q and c, "uniform" in (0, 1) or "normal"; of no effect in Example 3. The inputs are z-scored, as in the paper."""
    seed: int = 0
    """Of the first draw."""
    dtype: str = "float32"
    """The dtype of data and parameters, "float32" or "float64"."""

    def __post_init__(self) -> None:
        for name in ("epochs", "record_epochs", "n_inputs", "width", "n_samples", "displacements", "draws"):
            whole_number(name, getattr(self, name), 1)
        one_of("target", self.target, tuple(TARGETS))
        one_of("method", self.method, METHODS)
        one_of("product", self.product, PRODUCTS)
        one_of("coefficients", self.coefficients, ("uniform", "normal"))
        real_number("C", self.C)
        for name in ("batch_size", "stabilization", "smoothing"):
            real_number(name, getattr(self, name), 0)


@dataclass(frozen=True, eq=False)
class Task:
    """What is trained, how both errors are measured, and where to start."""

    problem: Any
    """What is trained: a `Regression`, an `InconsistentProduct`, or `SmoothedParticles` of one."""
    train: Regression
    """The relative error on the training part."""
    test: Regression
    """The relative error on the test part."""
    theta0: Array
    """Initial parameters, shape (P,)."""
    seed: int
    """Of the batches."""


def stated_changes(settings: TaskSettings, paper: TaskSettings) -> str:
    """Return what a run does not do as the paper, as one text; what the paper leaves unsaid is told by `unsaid`.

    Parameters
    ----------
    settings : TaskSettings
        Of the run.
    paper : TaskSettings
        What the paper has, of the same class; of `UNPRINTED` any value.

    Returns
    -------
    str
        For each setting that differs what is run and what the paper has.
    """
    smoothed = () if settings.method != "particle" else ("smoothing", "displacements")
    changes = differences(settings, paper, unprinted=(*UNPRINTED, "method", *smoothed))
    if settings.method != paper.method:
        methods = {"particle": "the particle method alone", "smoothed": "the smoothed particle method alone"}
        changes.append(methods.get(settings.method, "both methods"))
    return ", ".join(changes).replace("n samples", "pool of samples")


def unsaid(settings: TaskSettings) -> str:
    """Return what the paper leaves unsaid and a run chooses, as one text, with the number of draws if it is too small to judge by.

    Parameters
    ----------
    settings : TaskSettings
        Of the run.
    """
    few = f"{settings.draws} draw{'s' if settings.draws > 1 else ''}" if settings.draws < ENOUGH else ""
    product = (
        ""
        if settings.product == "consistent"
        else f"r updated in the product of the {settings.product.replace('_', ' ')}"
    )
    coefficients = "" if settings.target == "exponential" else f"{settings.coefficients} coefficients"
    return told(f"initial parameters of the law {settings.init!r}", coefficients, product, few)


def regression_task(settings: TaskSettings, draw: int, *, smoothed: bool = False, product: str | None = None) -> Task:
    """Return the task of one draw.

    Parameters
    ----------
    settings : TaskSettings
        Sizes and seeds.
    draw : int
        Its number, 0, 1, ...
    smoothed : bool
        Train by the smoothed particle method.
    product : str, optional
        One of `gradflow.experiments.ma2024.products.PRODUCTS`; by default that of the settings.

    Returns
    -------
    Task
        With x of shape (N, D) and y of shape (N, 1).
    """
    seed = settings.seed + draw
    law = {} if settings.target == "exponential" else {"coefficients": settings.coefficients}
    data = TARGETS[settings.target](settings.n_inputs, settings.n_samples, seed=seed, dtype=settings.dtype, **law)
    net = TwoLayerNet(settings.n_inputs, settings.width)
    problem: Any = Regression(net, data.x_train, data.y_train, loss=settings.loss, time_scale=settings.time_scale)
    chosen = settings.product if product is None else product
    if chosen != "consistent":
        problem = InconsistentProduct(problem, chosen)
    if smoothed:
        problem = SmoothedParticles(problem, h=settings.smoothing, draws=settings.displacements, seed=seed)
    return Task(
        problem,
        Regression(net, data.x_train, data.y_train, loss="relative"),
        Regression(net, data.x_test, data.y_test, loss="relative"),
        net.init(seed, dtype=settings.dtype, distribution=settings.init),
        seed,
    )


def train_task(
    task: Task, scheme: Scheme, settings: TaskSettings, *, dt: float, path: Path, progress: bool | str = False
) -> Solution:
    """Run a scheme on a task, or take up the run kept at `path`.

    Parameters
    ----------
    task : Task
        The task.
    scheme : Scheme
        The scheme.
    settings : TaskSettings
        Epochs, batches, seeds.
    dt : float
        Step size > 0.
    path : Path
        Where the run is kept.
    progress : bool or str
        Whether to show a progress bar, or its label.

    Returns
    -------
    Solution
        With the quantities ``energy``, ``modified_energy``, ``auxiliary_ratio``, ``train_error``, ``test_error``.

    Raises
    ------
    KeyboardInterrupt
        As it came, once what was done is kept.
    """

    def train_error(state: Any) -> Array:
        return task.train.energy(state.theta)

    def test_error(state: Any) -> Array:
        return task.test.energy(state.theta)

    batch_size = settings.batch_size or None
    return train(
        task.problem,
        scheme,
        task.theta0,
        path=path,
        dt=dt,
        epochs=settings.epochs,
        batch_size=batch_size,
        seed=task.seed,
        every=settings.record_epochs * steps_per_epoch(task.problem, batch_size),
        record=(
            "modified_energy",
            "auxiliary_ratio",
            ("train_error", train_error),
            ("test_error", test_error),
        ),
        progress=progress,
    )
