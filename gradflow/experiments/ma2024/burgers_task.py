r"""Burgers' equation for a two-layer network: the points, the initial parameters, how far a run is from the solution.

The equation is :math:`u_t + u u_x = \nu u_{xx}` on (0, 1] x (-1, 1) with :math:`u(0, x) = -\sin \pi x` and u = 0 at both walls;
`gradflow.models.burgers` makes a least-squares problem of it. The points inside are a grid, in x the midpoints of equal cells, in t
the right ends of equal steps. The error of a network f is

.. math:: \Bigl(\sum (f - u)^2 / \sum u^2\Bigr)^{1/2}                                                               \tag{1}

over another grid, with u by `burgers_solution`.

A hidden unit of a two-layer network is a wave front. The initial parameters put the front of unit k through a point drawn uniformly
from the domain, with a slope in x that is ``log-uniform`` between 1 and a steepest one, of either sign, and a speed from
N(0, 1/4): with plain random weights there are no steep fronts, and the training has to make the shock out of gentle ones. The
output weights are from N(0, 1 / (2 m)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, pi
from pathlib import Path
from typing import Any

import numpy as np

from ...models import Burgers, TwoLayerNet
from ...namespace import Array
from ...refusals import one_of, real_number, whole_number
from ...run.batches import steps_per_epoch
from ...run.solution import Solution
from ...schemes.protocols import Scheme
from ..training import train
from .burgers_reference import burgers_solution

__all__ = ["BurgersSettings", "BurgersTask", "burgers_task", "initial_parameters", "train_burgers"]

TIMES, PLACES = 41, 201
"""The grid on which the error is measured, ends included."""


@dataclass(frozen=True, kw_only=True)
class BurgersSettings:
    """Sizes, constants and seeds. All values are dimensionless.

    Raises
    ------
    ValueError
        If a count is below 1, a constant out of its range, or the dtype unknown.
    """

    epochs: int
    """Passes through the points inside."""
    record_epochs: int = 5
    """Epochs between two points of the curves."""
    n_x: int = 200
    """Points inside, in x."""
    n_t: int = 60
    """Points inside, in t."""
    n_initial: int = 100
    """Points at t = 0."""
    n_walls: int = 25
    """Times at each wall."""
    nu: float = 0.1 / pi
    """Viscosity."""
    condition_weight: float = 10.0
    """Weight of the initial values and of the walls, that of the equation being 1."""
    width: int = 50
    """m."""
    steepest: float = 15.0
    """Of the slopes of the initial fronts, > 1."""
    batch_size: int = 256
    """Points inside in a batch."""
    C: float = 1e4
    """Constant of the SAV schemes."""
    stabilization: float = 4.0
    """The paper's lambda."""
    damping: float = 0.01
    """Of Levenberg-Marquardt, 1 / dt."""
    draws: int = 3
    """How many draws of the initial parameters."""
    seed: int = 0
    """Of the batches, and of the first draw."""
    dtype: str = "float32"
    """Of points and parameters, "float32" or "float64"."""

    def __post_init__(self) -> None:
        counts = ("epochs", "record_epochs", "n_x", "n_t", "n_initial", "n_walls", "width", "batch_size", "draws")
        for name in counts:
            whole_number(name, getattr(self, name), 1)
        for name in ("nu", "condition_weight", "damping"):
            real_number(name, getattr(self, name), 0, open_low=True)
        if not 1 < self.steepest < inf:
            raise ValueError(f"steepest must be a finite number > 1, got {self.steepest}")
        real_number("C", self.C)
        for name in ("stabilization", "seed"):
            real_number(name, getattr(self, name), 0)
        one_of("dtype", self.dtype, ("float32", "float64"))


@dataclass(frozen=True, eq=False)
class BurgersTask:
    """What is trained, where to start, how far it is."""

    problem: Burgers
    """The equation, its initial values and walls."""
    theta0: Array
    """Initial parameters, shape (P,)."""
    error: Callable[[Any], float]
    """The relative error (1) of a state."""


def initial_parameters(net: TwoLayerNet, seed: int, steepest: float, dtype: str) -> Array:
    """Return fronts spread over the domain, as this module says, shape (P,).

    Parameters
    ----------
    net : TwoLayerNet
        With the inputs t and x and one output.
    seed : int
        Which draw, >= 0.
    steepest : float
        Largest slope in x, > 1.
    dtype : str
        "float32" or "float64".
    """
    rng, m = np.random.default_rng(seed), net.width
    slope = np.exp(rng.uniform(0, np.log(steepest), m)) * rng.choice([-1.0, 1.0], m)
    W_t = slope * rng.normal(0, 0.5, m)
    t, x = rng.uniform(0, 1, m), rng.uniform(-1, 1, m)
    a = rng.normal(0, 1, m) / (net.scale * np.sqrt(2 * m))
    return np.concatenate([W_t, slope, -(W_t * t + slope * x), a]).astype(dtype)


def burgers_task(settings: BurgersSettings, draw: int) -> BurgersTask:
    """Return the task for one draw of the initial parameters.

    Parameters
    ----------
    settings : BurgersSettings
        Sizes and seeds.
    draw : int
        0, 1, ...
    """
    dtype = settings.dtype
    x = (2 * np.arange(settings.n_x) + 1) / settings.n_x - 1
    t = (np.arange(settings.n_t) + 1) / settings.n_t
    at_0 = np.linspace(-1, 1, settings.n_initial)
    net = TwoLayerNet(2, settings.width, activation="tanh", scaling="standard")
    problem = Burgers(
        net,
        _grid(t, x).astype(dtype),
        np.stack([at_0, -np.sin(pi * at_0)], axis=1).astype(dtype),
        np.linspace(0, 1, settings.n_walls).astype(dtype),
        nu=settings.nu,
        weights=(1.0, settings.condition_weight, settings.condition_weight),
    )
    points = _grid(np.linspace(0, 1, TIMES), np.linspace(-1, 1, PLACES))
    u = burgers_solution(points[:, 0], points[:, 1], settings.nu)
    points = points.astype(dtype)

    def error(state: Any) -> float:
        f = net(state.theta, points)[:, 0].astype(np.float64)
        return float(np.sqrt(np.sum((f - u) ** 2) / np.sum(u**2)))  # (1)

    return BurgersTask(problem, initial_parameters(net, settings.seed + draw, settings.steepest, dtype), error)


def train_burgers(
    task: BurgersTask,
    scheme: Scheme,
    settings: BurgersSettings,
    *,
    dt: float,
    path: Path,
    batch_size: int | None,
    progress: bool | str = False,
) -> Solution:
    """Run a scheme on a task, or take up the run kept at `path`.

    Parameters
    ----------
    task : BurgersTask
        The task.
    scheme : Scheme
        The scheme.
    settings : BurgersSettings
        Epochs and seeds.
    dt : float
        Step size > 0.
    path : Path
        Where the run is kept.
    batch_size : int or None
        Points inside in a batch; None for all of them.
    progress : bool or str
        Whether to show a progress bar, or its label.

    Returns
    -------
    Solution
        With the quantities ``energy``, ``relative_error`` and ``auxiliary_ratio``.

    Raises
    ------
    KeyboardInterrupt
        As it came, once what was done is kept.
    """
    return train(
        task.problem,
        scheme,
        task.theta0,
        path=path,
        dt=dt,
        epochs=settings.epochs,
        batch_size=batch_size,
        seed=settings.seed,
        every=settings.record_epochs * steps_per_epoch(task.problem, batch_size),
        record=("energy", "auxiliary_ratio", ("relative_error", task.error)),
        progress=progress,
    )


def _grid(t: np.ndarray[Any, Any], x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return all points (t, x), shape (n_t n_x, 2)."""
    return np.stack([axis.ravel() for axis in np.meshgrid(t, x, indexing="ij")], axis=1)
