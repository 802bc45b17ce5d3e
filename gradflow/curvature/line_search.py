r"""Line searches: Armijo's backtracking, and the strong Wolfe conditions by bracketing and zoom.

Along a direction of descent d, ``phi(alpha) = E(theta + alpha d)`` has ``phi'(0) = (g, d)_M < 0``. A length alpha is wanted
with

.. math:: \varphi(\alpha) - \varphi(0) \le c_1\,\alpha\,\varphi'(0),                                     \tag{1}

the condition of Armijo, and for `strong_wolfe` also with

.. math:: |\varphi'(\alpha)| \le c_2\,|\varphi'(0)|, \qquad 0 < c_1 < c_2 < 1.                            \tag{2}

From (2), ``(s, y)_M = alpha (phi'(alpha) - phi'(0)) > 0`` for the change s of theta and y of the gradient.

`armijo` shortens alpha to the minimiser of the parabola through ``phi(0)``, ``phi'(0)`` and ``phi(alpha)``, kept within
``[alpha / 10, alpha / 2]``. `strong_wolfe` first lengthens alpha until an interval contains lengths with (1) and (2), and
then shrinks that interval. In both stages the trial is the minimiser of the cubic through two values and two slopes, kept
away from the ends of the interval by a tenth of its length. A trial at which phi or its slope is not finite is too long;
the next one is ten times closer.

Rounding. A difference of two values of phi that is at most their `noise` has no digits. If the slopes also predict no more
than twice that, it is replaced by the trapezoidal rule,

.. math:: \varphi(\beta) - \varphi(\alpha) \approx \tfrac12(\beta - \alpha)\bigl(\varphi'(\alpha) + \varphi'(\beta)\bigr), \tag{3}

which is exact for a quadratic and has the digits of the gradient. With (3), (1) is the approximate condition of Hager and
Zhang, ``phi'(alpha) <= (2 c_1 - 1) phi'(0)``. As they do, a length that satisfies (1) only so must flatten the slope,
``phi'(alpha) >= c_2 phi'(0)``, in `armijo` with ``c_2 = 9/10``: otherwise a length near 0 would be accepted for every phi.

==============  ============  ======
symbol          code          shape
==============  ============  ======
alpha           alpha         number
phi             phi           map
phi'            slope         number
c_1, c_2        c1, c2        number
==============  ============  ======

Source: Nocedal & Wright, Numerical Optimization (2006), Algorithms 3.1, 3.5 and 3.6, and equation (3.59); Hager & Zhang,
SIAM J. Optim. 16 (2005) 170, equation (4.1), for (3).
"""

from __future__ import annotations

from collections.abc import Callable
from math import copysign, inf, isfinite, sqrt
from typing import Any, NamedTuple, TypeAlias

__all__ = ["EXITS", "Found", "Phi", "Trial", "armijo", "cubic_minimiser", "difference", "strong_wolfe"]

EXITS = ("sufficient", "wolfe", "largest", "no descent", "too short", "evaluations")
"""How a search ends, as listed in `Found`."""
MOST = 60  # evaluations: more halvings than a float64 has digits
NEAREST = 0.1  # distance of a trial to the ends of its interval, relative to the interval
FLATTENED = 0.9  # c_2 of a length that satisfies (1) to rounding only, in `armijo`
FARTHEST = 10.0  # of the next trial beyond the last one, relative to the last interval


class Trial(NamedTuple):
    """One length, with phi there."""

    alpha: float
    """The length, >= 0."""
    change: float
    """phi(alpha) - phi(0)."""
    slope: Callable[[], float]
    """Returns phi'(alpha); called only where it is needed."""
    noise: float = 0.0
    """Rounding error of `change`."""
    at: Any = None
    """What the caller keeps of the evaluation."""


Phi: TypeAlias = Callable[[float], Trial]
"""Maps a length to its `Trial`."""


class Found(NamedTuple):
    """The result of a search."""

    trial: Trial | None
    """The accepted trial; None if there is none."""
    exit: str
    """``sufficient``: (1) holds; of `strong_wolfe`: it holds, (2) does not, and the interval or the evaluations came to
    their end. ``wolfe``: (1) and (2) hold. ``largest``: (1) holds at the largest length, and phi still falls. Without a
    trial, ``no descent``: phi'(0) is not negative or not finite; ``too short``: no length that changes theta satisfies
    (1); ``evaluations``: their number came to its end."""
    evaluations: int
    """Number of lengths at which phi was evaluated."""


def difference(trial: Trial, other: Trial) -> float:
    """Return phi(trial) - phi(other), by (3) where it is at most the noise of one of them.

    Parameters
    ----------
    trial, other : Trial
        Two lengths.
    """
    change, noise = trial.change - other.change, max(trial.noise, other.noise)
    if noise > 0 and abs(change) <= noise:
        length, a, b = trial.alpha - other.alpha, trial.slope(), other.slope()
        if abs(length) * max(abs(a), abs(b)) <= 2 * noise:  # of a quadratic, twice the decrease to the minimum
            return length * (a + b) / 2  # (3)
    return change


def cubic_minimiser(a: float, slope_a: float, b: float, slope_b: float, rise: float) -> float | None:
    """Return the minimiser of the cubic with given slopes at a and b that rises by `rise` from a to b; None if there is none.

    Parameters
    ----------
    a, slope_a, b, slope_b : float
        Two lengths, different, and the slopes there.
    rise : float
        Value at b less that at a.
    """
    largest = max(abs(slope_a), abs(slope_b), abs(rise / (b - a)))
    if not 0 < largest < inf:
        return None
    p, q, r = slope_a / largest, slope_b / largest, rise / (b - a) / largest
    d1 = p + q - 3 * r
    square = d1 * d1 - p * q
    if square < 0:
        return None
    d2 = copysign(sqrt(square), b - a)
    below = q - p + 2 * d2
    found = b - (b - a) * (q + d2 - d1) / below if below != 0 else inf
    return found if isfinite(found) else None


def armijo(
    phi: Phi,
    slope0: float,
    *,
    start: float = 1.0,
    c1: float = 1e-4,
    shortest: float = 0.0,
    most: int = MOST,
) -> Found:
    """Return the first length of a backtracking that satisfies (1).

    Parameters
    ----------
    phi : callable
        Maps a length to its `Trial`.
    slope0 : float
        The slope phi'(0).
    start : float
        First length, > 0.
    c1 : float
        The number c_1, in (0, 1); less than 1/2 for Newton directions.
    shortest : float
        Length that no longer changes theta, >= 0.
    most : int
        Most evaluations.
    """
    if not -inf < slope0 < 0:
        return Found(None, "no descent", 0)
    origin, alpha = Trial(0.0, 0.0, lambda: slope0), start
    for n in range(1, most + 1):
        trial = phi(alpha)
        usable = isfinite(trial.change)
        enough = usable and difference(trial, origin) <= c1 * alpha * slope0  # (1)
        if enough and (_is_seen(trial) or trial.slope() >= FLATTENED * slope0):
            return Found(trial, "sufficient", n)
        excess = trial.change - alpha * slope0
        parabola = -slope0 * alpha / (2 * excess) if usable and excess > 0 else 0.1
        alpha *= min(0.5, max(0.1, parabola))
        if not alpha > shortest:
            return Found(None, "too short", n)
    return Found(None, "evaluations", most)


def strong_wolfe(
    phi: Phi,
    slope0: float,
    *,
    start: float = 1.0,
    c1: float = 1e-4,
    c2: float = 0.9,
    shortest: float = 0.0,
    largest: float = 1e20,
    most: int = MOST,
) -> Found:
    """Return a length with (1) and (2), or what of them was reached.

    Parameters
    ----------
    phi, slope0, start, c1 : callable, float, float, float
        As in `armijo`.
    c2 : float
        The number c_2, in (c_1, 1).
    shortest : float
        As in `armijo`.
    largest : float
        Largest length.
    most : int
        Most evaluations.
    """
    if not -inf < slope0 < 0:
        return Found(None, "no descent", 0)
    origin = Trial(0.0, 0.0, lambda: slope0)

    def enough(trial: Trial, low: Trial) -> bool:
        """Return whether a trial satisfies (1) and is below the best length so far."""
        if not (isfinite(trial.change) and isfinite(trial.slope())):
            return False
        return difference(trial, origin) <= c1 * trial.alpha * slope0 and difference(trial, low) < 0

    def flat(trial: Trial) -> bool:
        return abs(trial.slope()) <= -c2 * slope0  # (2)

    low, high, alpha, n = origin, None, min(start, largest), 0
    while high is None:  # lengthen until the interval from low to high has a solution
        trial, n = phi(alpha), n + 1
        if not enough(trial, low):
            high = trial
        elif flat(trial):
            return Found(trial, "wolfe", n)
        elif trial.slope() >= 0:
            low, high = trial, low
        elif alpha >= largest or n == most:
            return Found(trial, "largest" if alpha >= largest else "sufficient", n)
        else:
            width = alpha - low.alpha
            wanted = _interpolated(low, trial)
            reach = FARTHEST * width if wanted is None else wanted - alpha
            if reach < 0:  # the cubic has its minimum behind: it falls ever faster
                reach = FARTHEST * width
            low, alpha = trial, min(largest, alpha + min(max(reach, NEAREST * width), FARTHEST * width))
    while n < most:  # zoom
        width = high.alpha - low.alpha
        alpha = low.alpha + width * _share(low, high)
        if not abs(width) > shortest or alpha in (low.alpha, high.alpha):
            break
        trial, n = phi(alpha), n + 1
        if not enough(trial, low):
            high = trial
            continue
        if flat(trial):
            return Found(trial, "wolfe", n)
        if trial.slope() * width >= 0:
            high = low
        low = trial
    if low.alpha > 0 and _is_seen(low):
        return Found(low, "sufficient", n)
    return Found(None, "evaluations" if n == most else "too short", n)


def _is_seen(trial: Trial) -> bool:
    """Return whether phi falls by more than rounding errors."""
    return trial.change < -trial.noise or trial.noise == 0


def _interpolated(a: Trial, b: Trial) -> float | None:
    """Return the minimiser of the cubic through two trials, None if there is none."""
    return cubic_minimiser(a.alpha, a.slope(), b.alpha, b.slope(), difference(b, a))


def _share(low: Trial, high: Trial) -> float:
    """Return where the next trial of an interval lies, 0 at low and 1 at high."""
    if not (isfinite(high.change) and isfinite(high.slope())):
        return NEAREST
    wanted = _interpolated(low, high)
    if wanted is None:
        return 0.5
    return min(max((wanted - low.alpha) / (high.alpha - low.alpha), NEAREST), 1 - NEAREST)
