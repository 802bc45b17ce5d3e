r"""Examples 1 to 3 of Ma, Mao & Shen, with everything that they leave unstated as a setting.

The tasks are :math:`y = \sin(p \cdot x) + \cos(q \cdot x)`, :math:`y = \sum_i c_i x_i^2` and :math:`y = e^{-10 |x|}`, learned by a
two-layer ReLU network. p, q and c, the initial parameters, the seeds and the scaling of inputs and targets are unpublished.
Each draw of the first three is a task of its own, and a published curve is one more draw.

The auxiliary variable is updated in an inner product. In mean-field time a network of m neurons moves by -m times the partial
derivatives of E, the gradient with respect to

.. math:: (u, v)_M = \tfrac1m\, u \cdot v, \qquad \frac{dE}{dt} = -(g, g)_M, \quad g = m\,\partial E.            \tag{1}

The update of r needs dE/dt, hence this product. A code that takes the norm of what automatic differentiation returns has
:math:`\tfrac1{m^2}\, u \cdot v` instead.

Source: Z. Ma, Z. Mao, J. Shen, J. Comput. Phys. 505 (2024) 112911, Examples 1 to 3, equation (9).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..datasets import Dataset, gaussian, quadratic, sin_cos
from ..models import Regression, SmoothedParticles, TwoLayerNet
from ..models.losses import REGRESSION_LOSSES
from ..models.network_problem import TIME_SCALES
from ..models.two_layer import DISTRIBUTIONS, SCALINGS
from ..namespace import Array
from ..run.batches import steps_per_epoch
from ..schemes import Restart
from ..schemes.protocols import AuxiliaryScheme, Scheme, scheme_ability
from .figure import Draw, check_settings, compiled

__all__ = ["PAPER", "UNSTATED", "Example", "InconsistentProduct", "NetworkTask", "Training"]

PAPER = "Z. Ma, Z. Mao, J. Shen, J. Comput. Phys. 505 (2024) 112911"
"""The citation."""
UNSTATED = ("record_epochs", "draws", "init", "coefficients", "product", "restart", "seed", "dtype")
"""Settings of which the paper says nothing."""
TARGETS: dict[str, Callable[..., Dataset]] = {
    "sin_cos": sin_cos,
    "quadratic": quadratic,
    "exponential": partial(gaussian, squared=False),
    "gaussian": gaussian,
}
SCALED: dict[str, Callable[[Array], tuple[float, float]]] = {
    "raw": lambda y: (0.0, 1.0),
    "min_max": lambda y: (float(y.min()), float(y.max() - y.min())),
    "max": lambda y: (0.0, float(abs(y).max())),
}
"""For each scaling of the targets what is subtracted, and what then is divided by."""
PRODUCTS = ("consistent", "partial_derivatives")
"""The product of equation (1), and that of the text below it."""
WORDS: dict[str, Collection[str]] = {
    "targets": SCALED,
    "restart": ("never", "epoch"),
    "method": ("particle", "smoothed"),
    "product": PRODUCTS,
    "coefficients": ("uniform", "normal"),
    "init": DISTRIBUTIONS,
    "scaling": SCALINGS,
    "time_scale": TIME_SCALES,
    "dtype": ("float32", "float64"),
}
"""For each setting that is a word those that are known."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """What every training has for settings. All values are dimensionless.

    Raises
    ------
    ValueError
        If a count is below 1 (the batch size or the seed below 0), a number not finite or not positive, or a name unknown.
    """

    epochs: int
    """Passes through the training part."""
    share: float = 1.0
    """Part of the epochs that is run, in (0, 1]."""
    record_epochs: int = 1
    """Epochs between two records."""
    width: int = 1000
    """m."""
    batch_size: int = 64
    """0, or more than there are samples, for the full batch."""
    draws: int = 5
    """Draws of all that is random: data, initial parameters, batches; draw n has the seed ``seed + n``."""
    seed: int = 0
    """Of the first draw."""
    dtype: str = "float32"
    """The dtype of data and parameters, "float32" or "float64"."""

    def _how(self, problem: Any, seed: int, *record: Any) -> dict[str, Any]:
        """Return the arguments of `gradflow.solve`."""
        batch = min(self.batch_size, problem.n_samples) or None
        return {
            "epochs": max(1, round(self.share * self.epochs)),
            "batch_size": batch,
            "seed": seed,
            "every": self.record_epochs * steps_per_epoch(problem, batch),
            "record": record,
        }


@dataclass(frozen=True, kw_only=True)
class NetworkTask(Training):
    """What every training of a two-layer network on data has for settings. All values are dimensionless.

    Raises
    ------
    ValueError
        As `Training`.
    """

    scaling: str = "mean_field"
    """Factor of the network, of `gradflow.TwoLayerNet`."""
    time_scale: str = "mean_field"
    """Inner product, of `gradflow.Regression`: equation (9) of the paper, or "autograd"."""
    init: str = "normal"
    """Law of the initial parameters, of `gradflow.TwoLayerNet.init`."""
    method: str = "particle"
    """"particle", or "smoothed" for the smoothed particle method, whose step costs `displacements` times as much."""
    smoothing: float = 1e-4
    """h of the smoothed particle method."""
    displacements: int = 10
    """J of the smoothed particle method."""

    def _drawn(self, problem: Any, seed: int, record: tuple[Any, ...], test: Any) -> Draw:
        """Return the task of a draw: a problem, what is recorded beside the auxiliary variable, and what is tested."""
        if self.method == "smoothed":
            problem = SmoothedParticles(problem, h=self.smoothing, draws=self.displacements, seed=seed)
        how = self._how(problem, seed, "auxiliary_ratio", *record)
        return compiled(Draw(problem, test.net.init(seed, dtype=self.dtype, distribution=self.init), how, test=test))


@dataclass(frozen=True, kw_only=True)
class Example(NetworkTask):
    """Sizes, constants, conventions and seeds of a regression. All values are dimensionless.

    Raises
    ------
    ValueError
        As `NetworkTask`.
    """

    target: str = "sin_cos"
    """"sin_cos", "quadratic" or "exponential": Example 1, 2 or 3; or "gaussian", Example 3 with the square of the norm."""
    n_inputs: int = 40
    """D."""
    n_samples: int = 10_000
    """The pool: 80 % of it for training, 20 % for testing."""
    loss: str = "relative"
    """What is trained, a loss of `gradflow.Regression`; drawn, too, but for "half_sum" the mean square is."""
    targets: str = "raw"
    """"raw", "min_max" (scaled to [0, 1]) or "max" (divided by the largest modulus)."""
    inputs: float = 0.0
    """Factor of the inputs; 0 z-scores them."""
    coefficients: str = "uniform"
    """Law of p, q and c, "uniform" in (0, 1) or "normal"; of no effect on the third and the fourth target."""
    product: str = "consistent"
    """"consistent" or "partial_derivatives": the inner product in which r is updated."""
    restart: str = "never"
    """"never", or "epoch" to set r anew at the start of each epoch; the paper does not say."""

    def __post_init__(self) -> None:
        check_settings(self, ("batch_size", "inputs", "seed"), WORDS | {"target": TARGETS, "loss": REGRESSION_LOSSES})

    def draw(self, n: int) -> Draw:
        """Return the task of a draw.

        Parameters
        ----------
        n : int
            Its number, 0, 1, ...

        Returns
        -------
        Draw
            With ``train_error`` and ``test_error``, the drawn loss on either part, and ``auxiliary_ratio``, r / sqrt(E + C), among
            what is recorded.
        """
        seed, net = self.seed + n, TwoLayerNet(self.n_inputs, self.width, scaling=self.scaling)
        law = {} if self.target in ("exponential", "gaussian") else {"coefficients": self.coefficients}
        data = TARGETS[self.target](
            self.n_inputs, self.n_samples, seed=seed, dtype=self.dtype, standardize=not self.inputs, **law
        )
        shift, scale = SCALED[self.targets](np.concatenate([data.y_train, data.y_test]))
        factor = np.asarray(self.inputs or 1, dtype=self.dtype)

        def part(x: Array, y: Array, loss: str) -> Regression:
            scaled = ((y - shift) / scale).astype(self.dtype)
            return Regression(net, x * factor, scaled, loss=loss, time_scale=self.time_scale)

        drawn = "mse" if self.loss == "half_sum" else self.loss
        train, test = part(data.x_train, data.y_train, drawn), part(data.x_test, data.y_test, drawn)
        problem: Any = train if drawn == self.loss else part(data.x_train, data.y_train, self.loss)
        if self.product != "consistent":
            problem = InconsistentProduct(problem)
        record = (
            ("train_error", lambda state: train.energy(state.theta)),
            ("test_error", lambda state: test.energy(state.theta)),
        )
        draw = self._drawn(problem, seed, record, test)
        steps = steps_per_epoch(draw.problem, draw.how["batch_size"])

        def adapted(scheme: Scheme) -> Scheme:
            if isinstance(scheme, AuxiliaryScheme) and scheme_ability(scheme, "carries_auxiliary"):
                return Restart(scheme, every=steps)
            return scheme

        return draw._replace(adapted=adapted) if self.restart == "epoch" else draw


class InconsistentProduct(Regression):
    """A regression whose inner product is not that of its gradient, but that of the partial derivatives, below equation (1).

    Parameters
    ----------
    problem : Regression
        What to copy.
    """

    def __init__(self, problem: Regression) -> None:
        super().__init__(problem.net, problem.x, problem.y, loss=problem.loss, time_scale=problem.time_scale)

    def inner(self, u: Array, v: Array) -> Array:
        """Return (u, v), 0-d."""
        return (u @ v) * float(self.mass) ** 2

    def describe(self) -> dict[str, Any]:
        """Return what identifies this problem in a stored result."""
        return {**super().describe(), "inner": "of the partial derivatives, inconsistent with the gradient"}
