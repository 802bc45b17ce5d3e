"""The mean of an epoch of a stochastic step, over everything that chance may do, exactly."""

from __future__ import annotations

from collections.abc import Callable

from ..description import found
from ..namespace import Array, copied, is_array
from ..refusals import real_array, whole_number

__all__ = ["mean_epoch"]


def mean_epoch(step: Callable[[int, Array], Array], batches: int, theta: Array, *, replacement: bool = False) -> Array:
    """Return the mean of theta after one epoch, with the shape of theta, over all orders of the batches.

    An epoch has as many steps as there are batches. Without replacement the mean is over the m! orders, with replacement
    over the m^m sequences, all of equal probability. They are enumerated, and common beginnings are computed once: the
    cost is about ``e m!`` or ``m^m`` steps.

    Parameters
    ----------
    step : callable
        Maps the number of a batch, 0 to m - 1, and theta (P,) to the theta after a step on that batch, (P,), of the same
        dtype. It may write into its argument, which is a copy.
    batches : int
        The number m of batches, 1 to 8; with replacement to 6.
    theta : array (P,)
        Parameters at the start of the epoch: floats, or an object array of fractions or symbols, of which the mean is exact.
    replacement : bool, optional
        Whether a batch may be drawn again within an epoch.

    Raises
    ------
    ValueError
        If the number of batches is not in these ranges, theta is no such array, or the step no function or one that returns
        another shape or dtype.

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
    if not callable(step):
        raise ValueError(f"step must be a function of the number of a batch and of theta, got {found(step)}")
    exact = _is_object(theta)
    if not (exact and theta.ndim == 1 and theta.size):
        real_array("theta", theta, {"P": None})
    P, kind = theta.shape[0], theta.dtype
    every = tuple(range(batches))

    def moved(k: int, at: Array) -> Array:
        new = step(k, copied(at))  # a step may work in place, and may return one array again and again
        if not (exact and _is_object(new) and new.shape == (P,)):
            real_array("step(k, theta)", new, {"P": P}, kind, of="theta")
        return copied(new)

    def mean(theta: Array, left: tuple[int, ...], steps: int) -> Array:
        if steps == 0:
            return theta
        total = 0 * theta
        for k in left:
            rest = left if replacement else tuple(j for j in left if j != k)
            total = total + mean(moved(k, theta), rest, steps - 1)
        return total / len(left)

    return mean(theta, every, batches)


def _is_object(a: Array) -> bool:
    return is_array(a) and getattr(a.dtype, "kind", "") == "O"
