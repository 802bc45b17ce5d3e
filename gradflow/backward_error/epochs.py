"""The mean of an epoch of a stochastic step, over everything that chance may do, exactly."""

from __future__ import annotations

from collections.abc import Callable

from ..namespace import Array
from ..refusals import whole_number

__all__ = ["mean_epoch"]


def mean_epoch(step: Callable[[int, Array], Array], batches: int, theta: Array, *, replacement: bool = False) -> Array:
    """Return the mean of theta after one epoch, with the shape of theta, over all orders of the batches.

    An epoch has as many steps as there are batches. Without replacement the mean is over the m! orders, with replacement
    over the m^m sequences, all of equal probability. They are enumerated, and common beginnings are computed once: the
    cost is about ``e m!`` or ``m^m`` steps.

    Parameters
    ----------
    step : callable
        Maps the number of a batch, 0 to m - 1, and theta (P,) to the theta after a step on that batch, (P,).
    batches : int
        The number m of batches, 1 to 8; with replacement to 6.
    theta : array (P,)
        Parameters at the start of the epoch; of symbols too.
    replacement : bool, optional
        Whether a batch may be drawn again within an epoch.

    Raises
    ------
    ValueError
        If the number of batches is not in these ranges.

    Examples
    --------
    >>> import numpy as np
    >>> slopes = [1.0, 3.0]
    >>> mean_epoch(lambda k, theta: theta - 0.5 * slopes[k] * theta, 2, np.ones(1))
    array([-0.25])
    >>> mean_epoch(lambda k, theta: theta - 0.5 * slopes[k] * theta, 2, np.ones(1), replacement=True)
    array([0.])
    """
    whole_number("batches", batches, 1, 6 if replacement else 8)
    every = tuple(range(batches))

    def mean(theta: Array, left: tuple[int, ...], steps: int) -> Array:
        if steps == 0:
            return theta
        total = 0 * theta
        for k in left:
            rest = left if replacement else tuple(j for j in left if j != k)
            total = total + mean(step(k, theta), rest, steps - 1)
        return total / len(left)

    return mean(theta, every, batches)
