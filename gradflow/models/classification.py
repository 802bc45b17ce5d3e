"""Classification with a two-layer network."""

from __future__ import annotations

from typing import Any, Self

from ..energies.linear import LinearPart
from ..namespace import Array, array_namespace
from ..refusals import integer_array, one_of
from .losses import CLASSIFICATION_LOSSES, CrossEntropy, Loss, ScaledResidual, onehot, residual_scale
from .network_problem import NetworkLeastSquares, NetworkProblem
from .two_layer import TwoLayerNet

__all__ = ["Classification"]


class Classification(NetworkProblem):
    """Assign one of k classes to each sample.

    With the loss "squared_onehot" the object is a `gradflow.energies.protocols.LeastSquares`; with "cross_entropy" it
    is not, and has no `linearize`.

    Parameters
    ----------
    net : TwoLayerNet
        The network, with one output for each class, k >= 2.
    x : array (N, D)
        Inputs, float32 or float64, finite. Copied.
    labels : int array (N,)
        The classes, in [0, k).
    loss : {"cross_entropy", "squared_onehot"}
        Mean over the samples of log-sum-exp of the outputs minus that of the label; or the mean over all N k entries of
        (f - indicator of the label)^2.
    time_scale : {"mean_field", "autograd"}
        The inner product (u, v)_M = u . v / m, or u . v; the gradient is m times, or once, the partial derivatives.
    weight_decay : float or LinearPart
        The lambda >= 0 in ``E = lambda (theta, theta)_M / 2 + F(theta)``; it is `linear`, the part that
        `GradientDescent`, `SAV`, explicit `ExpSAV`, `IEQ` treat implicitly.

    Raises
    ------
    ValueError
        If an argument has the wrong shape, dtype or name, data are not finite, or a label is not one of the k classes.
    """

    _kind = "Classification"

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Choose the kind of problem that the loss makes it."""
        loss = kwargs.get("loss", args[3] if len(args) > 3 else None)
        return object.__new__(_SquaredClassification if isinstance(loss, str) and loss == "squared_onehot" else cls)  # type: ignore[return-value]

    def __init__(
        self,
        net: TwoLayerNet,
        x: Array,
        labels: Array,
        loss: str = "cross_entropy",
        time_scale: str = "mean_field",
        weight_decay: float | LinearPart = 0.0,
    ) -> None:
        self.loss = one_of("loss", loss, CLASSIFICATION_LOSSES)
        super().__init__(net, x, time_scale, weight_decay)
        if net.n_outputs < 2:
            raise ValueError(f"net must have one output for each class, n_outputs >= 2; got {net.n_outputs}")
        labels = integer_array("labels", labels, {"N": x.shape[0]}, net.n_outputs, x)
        self._set_targets(onehot(labels, net.n_outputs, x))

    @property
    def labels(self) -> Array:
        """The classes, shape (N,), int64."""
        return array_namespace(self._y).argmax(self._y, axis=1)

    def accuracy(self, theta: Array) -> float:
        """Return the share of samples whose largest output at theta (P,) is that of their label.

        Of equal outputs the first counts.

        Raises
        ------
        ValueError
            If theta does not have shape (P,) and the dtype of the data.
        """
        xp = array_namespace(self._X)
        right = xp.argmax(self.net(theta, self.x), axis=1) == self.labels
        return int(xp.sum(xp.astype(right, xp.int64))) / self.n_samples

    def _loss_of(self, y: Array) -> Loss:
        if self.loss == "cross_entropy":
            return CrossEntropy(y, 1 / y.shape[0])
        return ScaledResidual(y, residual_scale(self.loss, y))


class _SquaredClassification(NetworkLeastSquares, Classification):
    """`Classification` with the loss "squared_onehot"."""
