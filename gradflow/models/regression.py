"""Least-squares regression with a two-layer network."""

from __future__ import annotations

from math import inf

from ..energies.linear import LinearPart
from ..namespace import Array, array_namespace, copied
from ..refusals import one_of, real_array
from .losses import REGRESSION_LOSSES, ScaledResidual, residual_scale
from .network_problem import NetworkLeastSquares
from .two_layer import TwoLayerNet

__all__ = ["Regression"]


class Regression(NetworkLeastSquares):
    """Fit y by the network: a `LeastSquares` problem with the residual ``q = c (f(x) - y)``, ``E = |q|^2 / 2``.

    Parameters
    ----------
    net : TwoLayerNet
        The network.
    x : array (N, D)
        Inputs, float32 or float64, finite. Copied.
    y : array (N, k), or (N,) if k = 1
        Targets, of the dtype of x, finite. Copied.
    loss : {"mse", "half_sum", "relative"}
        Mean of (f - y)^2 over all N k entries; half their sum; their sum over that of y^2. On a batch all three refer
        to the samples of the batch.
    time_scale : {"mean_field", "autograd"}
        The inner product (u, v)_M = u . v / m, or u . v; the gradient is m times, or once, the partial derivatives.
    weight_decay : float or LinearPart
        The lambda >= 0 in ``E = lambda (theta, theta)_M / 2 + F(theta)``; it is `linear`, the part that
        `GradientDescent`, `SAV`, explicit `ExpSAV`, `IEQ` treat implicitly.

    Raises
    ------
    ValueError
        If an argument has the wrong shape, dtype or name, data are not finite, or all targets of the relative loss
        vanish.

    Examples
    --------
    >>> import numpy as np
    >>> from gradflow.models import Regression, TwoLayerNet
    >>> x = np.linspace(-1, 1, 20)[:, None]
    >>> problem = Regression(TwoLayerNet(1, 50), x, np.sin(x))
    >>> E, g = problem.energy_and_gradient(problem.net.init(0))
    >>> g.shape
    (150,)
    """

    _kind = "Regression"

    def __init__(
        self,
        net: TwoLayerNet,
        x: Array,
        y: Array,
        loss: str = "mse",
        time_scale: str = "mean_field",
        weight_decay: float | LinearPart = 0.0,
    ) -> None:
        self.loss = one_of("loss", loss, REGRESSION_LOSSES)
        super().__init__(net, x, time_scale, weight_decay)
        N, k = x.shape[0], net.n_outputs
        shape: dict[str, int | None] = {"N": N} if k == 1 and getattr(y, "ndim", 2) == 1 else {"N": N, "k": k}
        y = copied(real_array("y", y, shape, x.dtype, of="x", low=-inf))
        self._set_targets(array_namespace(x, y).reshape(y, (N, k)))

    @property
    def y(self) -> Array:
        """The targets, shape (N, k)."""
        return self._y

    def _loss_of(self, y: Array) -> ScaledResidual:
        return ScaledResidual(y, residual_scale(self.loss, y))
