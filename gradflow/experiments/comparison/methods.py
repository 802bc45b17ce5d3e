r"""What is compared: methods of the library that train networks on batches, on two problems, each for a seed.

Left out are

* vanilla and relaxed IEQ, which store a residual for every sample that batches do not keep up to date: on batches they
  end at a wrong place (`gradflow.experiments.ieq_review.drift`), so that a best dt would say little;
* SourceSAV, restarted SAV with another name for its variable, as far as theta goes: r cancels from its step;
* vanilla and restarted A-SAV: adaptive SAV is published with relaxation, and so it is run;
* RK4 and implicit Euler, which follow the flow for reference: one takes four gradients in a step, the other solves a
  nonlinear system;
* MSAV, whose ends, SAV and restarted IEQ, are compared: the number of its parts would be another constant to search;
* the second-order methods but restarted IEQ, which is damped Gauss-Newton: on batches, a damping or radius that follows
  the decrease of one batch says little about the next;
* the methods that leave saddles, perturbed gradient descent, negative-curvature descent and Newton-CG, which test the
  gradient of the whole problem for being small: that of a batch is not.

The constant is what a method's energy is shifted or divided by: C of the SAV schemes, kappa of the exponential one.
Their other constant, the stabilization lambda, adds nothing to dt. For SAV in its three forms, ExpSAV and element-wise
SAV, where :math:`A = (1 + \lambda\,\Delta t) I`, the scheme with lambda at dt *is* the scheme without it at

.. math:: \Delta t' = \frac{\Delta t}{1 + \lambda\,\Delta t},                                             \tag{1}

so a search over dt covers it, and lambda = 0 throughout. Relaxed, that depends on the budget: "dissipation", the default
of `gradflow.Relaxed` and what is run here, is :math:`|d|_M^2 (1 + \lambda\,\Delta t) / \Delta t = |d|_M^2 / \Delta t'`
with d the increment, the same for both, and so is "numerical", which adds the square of what r loses in the step.
"increment" leaves lambda out, and is not. (In adaptive SAV the step changes, and (1) with it: there it is a choice.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ...datasets import fashion_subset, sin_cos
from ...energies.protocols import Problem
from ...models import Classification, Regression, TwoLayerNet
from ...namespace import Array
from ...schemes import (
    IEQ,
    SAV,
    Adagrad,
    Adam,
    AdaptiveIEQ,
    AdaptiveSAV,
    ElementwiseSAV,
    ExpSAV,
    GradientDescent,
    HeavyBall,
    Nesterov,
    Relaxed,
    Restart,
    RMSProp,
)
from ...schemes.protocols import Scheme

__all__ = [
    "ADAM",
    "EULER",
    "METHODS",
    "RELAXED",
    "RESTARTED",
    "RESTARTED_IEQ",
    "VANILLA",
    "ComparedTask",
    "Method",
    "example_task",
    "image_task",
]

EULER, ADAM, RESTARTED_IEQ = "gradient descent", "Adam", "restarted IEQ"
VANILLA, RESTARTED, RELAXED = "SAV", "restarted SAV", "relaxed SAV"


class Method(NamedTuple):
    """A scheme but for its constant."""

    label: str
    """In tables and legends."""
    family: str
    """Methods of one family share a colour."""
    scheme: Callable[[float], Scheme]
    """Of the constant."""
    has_constant: bool
    """Whether there is one to choose; of no meaning to the scheme otherwise."""

    @property
    def stem(self) -> str:
        """The label as part of a file's name."""
        return self.label.replace(" ", "-").replace(",", "")


METHODS: tuple[Method, ...] = (
    Method(EULER, "gradient", lambda _: GradientDescent(), False),
    Method("heavy ball", "gradient", lambda _: HeavyBall(), False),
    Method("Nesterov", "gradient", lambda _: Nesterov(), False),
    Method("Adagrad", "scaled gradient", lambda _: Adagrad(), False),
    Method("RMSProp", "scaled gradient", lambda _: RMSProp(), False),
    Method(ADAM, "scaled gradient", lambda _: Adam(), False),
    Method(VANILLA, "SAV", lambda c: SAV(C=c), True),
    Method(RESTARTED, "SAV", lambda c: Restart(SAV(C=c)), True),
    Method(RELAXED, "SAV", lambda c: Relaxed(SAV(C=c)), True),
    Method("adaptive SAV, norm", "adaptive SAV", lambda c: Relaxed(AdaptiveSAV(C=c, reading="norm")), True),
    Method("adaptive SAV, entries", "adaptive SAV", lambda c: Relaxed(AdaptiveSAV(C=c, reading="elementwise")), True),
    Method("ExpSAV", "other SAV", lambda c: ExpSAV(scale=c), True),
    Method("element-wise SAV", "other SAV", lambda c: ElementwiseSAV(C=c), True),
    Method("adaptive IEQ", "IEQ", lambda _: AdaptiveIEQ(), False),
    Method(RESTARTED_IEQ, "IEQ", lambda _: Restart(IEQ()), False),
)
"""All that are compared; other constants are the library's: momentum 0.9, Adam's rates 0.9 and 0.999, eta = 0.99."""


@dataclass(frozen=True, eq=False)
class ComparedTask:
    """What all methods get alike for one seed: data, initial parameters, batches."""

    problem: Problem
    """What is trained; its energy is the train error."""
    test_error: Callable[[Any], Any]
    """Of a state; 0-d or a number."""
    theta0: Array
    """Initial parameters, (P,)."""
    batch_size: int
    """Samples in a batch."""
    seed: int
    """Of the order of the batches, and of whatever is random in the above."""


def example_task(seed: int, *, n_inputs: int, width: int, n_samples: int, batch_size: int, dtype: str) -> ComparedTask:
    """Return Example 1 of Ma, Mao & Shen: inputs, coefficients, initial parameters (He's), batches drawn from `seed`.

    Parameters
    ----------
    seed : int
        Of everything.
    n_inputs, width : int
        Inputs D and width m.
    n_samples : int
        The pool, 80 % of it for training.
    batch_size : int
        Samples in a batch.
    dtype : str
        The dtype, "float32" or "float64".

    Raises
    ------
    ValueError
        If a size or the dtype is refused by the data or the network.
    """
    data = sin_cos(n_inputs, n_samples, seed=seed, dtype=dtype, statistics="train")
    net = TwoLayerNet(n_inputs, width)
    problem = Regression(net, data.x_train, data.y_train, loss="relative")
    test = Regression(net, data.x_test, data.y_test, loss="relative")
    theta0 = net.init(seed, dtype=dtype, distribution="he")
    return _compiled(ComparedTask(problem, lambda state: test.energy(state.theta), theta0, batch_size, seed))


def image_task(seed: int, *, width: int, n_images: int, batch_size: int, dtype: str) -> ComparedTask:
    """Return the embedded part of Fashion-MNIST, trained by squares, from He's initial parameters.

    The data are the same for every seed. The test error is the share of the 200 test images that are misclassified.

    Parameters
    ----------
    seed : int
        Of the initial parameters and the batches.
    width : int
        Width m of the network.
    n_images : int
        The first so many of the 1000 training images.
    batch_size : int
        Images in a batch.
    dtype : str
        The dtype, "float32" or "float64".

    Raises
    ------
    ValueError
        If a size or the dtype is refused by the data or the network.
    """
    data = fashion_subset(dtype)
    if not 1 <= n_images <= len(data.x_train):
        raise ValueError(f"n_images must be 1 to {len(data.x_train)}, got {n_images}")
    net = TwoLayerNet(data.x_train.shape[1], width, 10)
    problem = Classification(net, data.x_train[:n_images], data.labels_train[:n_images], loss="squared_onehot")
    test = Classification(net, data.x_test, data.labels_test, loss="squared_onehot")
    theta0 = net.init(seed, dtype=dtype, distribution="he")
    return _compiled(ComparedTask(problem, lambda state: 1 - test.accuracy(state.theta), theta0, batch_size, seed))


def _compiled(task: ComparedTask) -> ComparedTask:
    """Return the task once all that is compiled on first use is: no method shall pay for it."""
    few = task.problem.batch(slice(0, 2))  # type: ignore[attr-defined]  # both problems have batches
    few.energy_and_gradient(task.theta0)
    few.linearize(task.theta0).gram()
    return task
