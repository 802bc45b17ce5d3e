"""How soon a run is as good as wanted: the epochs to a threshold, over several draws.

A run that never gets there counts as infinitely slow, so that a median over the draws stays a median: it is "never" as soon
as half of the draws never get there. Epochs are those of the records, no finer.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, isnan

import numpy as np

from ...run.solution import Solution
from ..words import median_text

__all__ = ["epochs_to", "spread_text"]


def epochs_to(run: Solution, name: str, level: float, *, above: bool = False) -> float:
    """Return the first recorded epoch at which a quantity has reached a level; infinity if it never has.

    Parameters
    ----------
    run : Solution
        A run, however it ended.
    name : str
        A recorded quantity.
    level : float
        The threshold, in the units of the quantity.
    above : bool
        Whether the quantity is to rise to the level (``>=``) instead of to fall to it (``<=``).

    Raises
    ------
    ValueError
        If the quantity was not recorded, or the level is NaN.
    """
    if name not in run.history:
        raise ValueError(f"name must be one of {', '.join(run.history)}; got {name!r}")
    if isnan(level):
        raise ValueError(f"level must be a number, got {level}")
    values = np.asarray(run.history[name], dtype=np.float64)
    reached = values >= level if above else values <= level
    return float(run.history["epoch"][np.argmax(reached)]) if reached.any() else inf


def spread_text(values: Iterable[float]) -> str:
    """Return the median and the range of epochs to a threshold, and how many of how many draws reach it.

    Parameters
    ----------
    values : iterable of float
        For each draw the epochs, infinity for never.

    Raises
    ------
    ValueError
        If there is no value, or one is NaN.

    Examples
    --------
    >>> spread_text([12, 10, 15])
    '12 (10 to 15), 3 of 3 reach it'
    >>> spread_text([float("inf"), 10, 15])
    '15 (10 to never), 2 of 3 reach it'
    """
    epochs = [float(value) for value in values]
    if not epochs or any(isnan(value) for value in epochs):
        raise ValueError(f"values must be numbers, at least one, none NaN; got {epochs}")
    reach = sum(value < inf for value in epochs)
    return f"{median_text(epochs, 'g', infinite='never')}, {reach} of {len(epochs)} reach it"
