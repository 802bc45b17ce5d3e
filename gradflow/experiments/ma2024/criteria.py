"""What a figure shows, as criteria on the curves of a convention: by which factor each is missed in the worst draw."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from ...run.solution import Solution, Status
from ..judging import ENOUGH, OFTEN, READING, at_epoch, oscillates
from .curves import EULER, VANILLA

__all__ = [
    "EULER_OSCILLATES",
    "SAV_IS_SMOOTH",
    "Criterion",
    "Curves",
    "at_level",
    "draw_levels",
    "falls_below",
    "far_above",
    "found_or_open",
    "miss_text",
    "on_one_another",
]

Curves: TypeAlias = Mapping[str, Sequence[Solution]]
"""For each label the runs, one for each draw."""


class Criterion(NamedTuple):
    """Something that a figure shows."""

    text: str
    """In a few words."""
    missed_by: Callable[[Curves, float], float]
    """From the curves of a convention and the epoch at which they are read: the factor by which a value of the worst draw would
    have to change; 1 or less if the criterion is met, infinity where a draw diverges that should not, or there is no value."""


def draw_levels(runs: Sequence[Solution], name: str, epoch: float) -> np.ndarray:
    """Return a quantity of each draw at an epoch, shape (draws,), float64: infinity if the run diverged, NaN if it was too short.

    Parameters
    ----------
    runs : sequence of Solution
        One for each draw.
    name : str
        A positive quantity that was recorded.
    epoch : float
        When.
    """
    return np.asarray([at_epoch(run, name, epoch) for run in runs], dtype=np.float64)


def falls_below(label: str, below: float) -> Criterion:
    """Return the criterion that the train error of a curve has fallen below a level.

    Parameters
    ----------
    label : str
        Of the curve.
    below : float
        The level, > 0.
    """

    def missed_by(c: Curves, n: float) -> float:
        levels = draw_levels(c[label], "train_error", n)
        return np.inf if np.isnan(levels).any() else float(levels.max() / below)

    return Criterion(f"{label} below {below:g}", missed_by)


def on_one_another(one: str, other: str, factor: float) -> Criterion:
    """Return the criterion that the train errors of two curves are within a factor.

    Parameters
    ----------
    one, other : str
        Their labels.
    factor : float
        The largest quotient, > 1.
    """

    def missed_by(c: Curves, n: float) -> float:
        a, b = (draw_levels(c[label], "train_error", n) for label in (one, other))
        if not np.isfinite([a, b]).all():
            return np.inf
        return float(np.maximum(a / b, b / a).max() / factor)

    return Criterion(f"{one}, {other} within {factor:g}", missed_by)


def at_level(label: str, name: str, published: float) -> Criterion:
    """Return the criterion that a published level lies in the spread of the draws, widened by the reading error.

    Parameters
    ----------
    label : str
        Of the curve.
    name : str
        A recorded error.
    published : float
        What the paper shows, > 0.
    """

    def missed_by(c: Curves, n: float) -> float:
        values = draw_levels(c[label], name, n)
        if not np.isfinite(values).all():
            return np.inf
        return float(max(values.min() / READING / published, published / (values.max() * READING)))

    return Criterion(f"{name.replace('_error', '')} level {published:g} of {label}", missed_by)


def _yes(shown: bool) -> float:
    """Return by how much something is missed that is so or not."""
    return 1.0 if shown else np.inf


def _rises(run: Solution, epoch: float) -> float:
    return oscillates(run, "train_error", epoch, 0.05)


def _oscillates(c: Curves, n: float) -> float:
    return _yes(all(run.status is not Status.NONFINITE and _rises(run, n) > OFTEN for run in c[EULER]))


def _smooth(c: Curves, n: float) -> float:
    return _yes(not any(run.status is Status.NONFINITE or _rises(run, n) > 0 for run in c[VANILLA]))


def far_above(high: str, low: str, factor: float) -> Criterion:
    """Return the criterion that one curve diverges or is at least a factor above another, which does not diverge.

    Parameters
    ----------
    high, low : str
        Their labels.
    factor : float
        The least quotient of the train errors.
    """

    def missed_by(c: Curves, n: float) -> float:
        a, b = (draw_levels(c[label], "train_error", n) for label in (high, low))
        return float((factor * b / a).max()) if np.isfinite(b).all() and not np.isnan(a).any() else np.inf

    return Criterion(f"{high} {factor:g} times {low}, or diverges", missed_by)


EULER_OSCILLATES = Criterion("Euler oscillates", _oscillates)
"""In every draw the train error rises by more than 5 % in more than 5 % of the epochs, and the run stays finite."""
SAV_IS_SMOOTH = Criterion("SAV is smooth", _smooth)
"""In no draw does it so in any epoch, and none diverges."""


def found_or_open(misses: Iterable[float], draws: int) -> bool | None:
    """Return whether something meets its criteria: open where the nearest is missed by little, over too few draws to tell.

    Parameters
    ----------
    misses : iterable of float
        For each candidate the factor by which its worst criterion is missed.
    draws : int
        How many draws there are.

    Examples
    --------
    >>> found_or_open([3.0, 0.9], 1), found_or_open([1.2, 9.0], 3), found_or_open([1.2, 9.0], 5), found_or_open([9.0], 3)
    (True, None, False, False)
    """
    nearest = min(misses)
    return True if nearest <= 1 else None if draws < ENOUGH and nearest <= READING**2 else False


def miss_text(factor: float) -> str:
    """Return for a table by which factor a criterion is missed.

    Parameters
    ----------
    factor : float
        From `Criterion.missed_by`.

    Examples
    --------
    >>> miss_text(0.5), miss_text(1.31), miss_text(float("inf"))
    ('yes', 'by 1.31', 'no')
    """
    return "yes" if factor <= 1 else "no" if np.isinf(factor) else f"by {factor:.3g}"
