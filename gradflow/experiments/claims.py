r"""A claim: a number for every draw, and the interval in which it should lie.

What is read from a plot of training curves is a number: the level of a curve, the quotient of two curves, the share of records at
which an error rises. These numbers are stored. Whether the claim holds, and its row on the page, follow from them.

A statement about one figure's curves holds if every draw shows it, fails if none of at least `ENOUGH` does, and is open
otherwise. A published *value* is one more draw of what the publication leaves unstated. A claim about it (``spread``) holds
if the interval meets the range of the draws, and is open if that range is too wide to tell anything (``widest``). It fails if the
interval misses the range in which 95 per cent of further draws are expected. For this range the values are taken as normal, those of
a ``positive`` quantity as lognormal,

.. math:: \bar x \pm t_{n-1,\,0.975}\; s\, \sqrt{1 + 1/n},                                                   \tag{1}

with mean and standard deviation of n draws; between it is open. The level is that of one claim: a publication that is one more draw
misses some of the tens of claims of a figure by chance. A run that ended before the epoch in question decides nothing, unless it
diverged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import inf, log10
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .published import Published
from .traces import FAILED, Trace

__all__ = [
    "ENOUGH",
    "Claim",
    "Curves",
    "above",
    "below",
    "follows",
    "of_draws",
    "of_published",
    "read",
    "rises",
    "settled",
    "together",
]

Values: TypeAlias = NDArray[np.float64]
Curves: TypeAlias = Mapping[str, Sequence[Trace]]
"""For each label a trace for each draw."""

ALL = " | "
"""Between the title of a panel and a label, in claims about several panels."""
ENOUGH = 5
"""Draws from which on a claim fails that none of them shows."""
VISIBLE = 1.3
"""What is above in a logarithmic plot, as a factor."""
HIGHER = 1.01
"""What is above in numbers, as a factor: not what is the same."""
LEVEL = log10(1.25)
"""How far the mean of a curve may be from the published one, in decades, and count as on it."""
SHAPE = log10(2.0)
"""How far a curve may leave the published one, once shifted onto it, root mean square in decades."""
WIDEST = 1.0
"""Range of the draws, in decades, from which on they do not tell whether a published curve is among them."""
FEW = 3
"""Epochs from which on a curve has a shape."""
LAST = 0.9
"""Part of the epochs from which on a run counts as settled."""
TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Claim:
    """``low <= value <= high``: in every draw, or for a published value somewhere in their spread.

    Parameters
    ----------
    text : str
        What is claimed, without the interval.
    labels : tuple of str
        The curves that it reads.
    value : callable
        From the curves the value of every draw, shape (draws,): infinite where a run diverged, NaN where it ended too early.
    low, high : float
        The interval.
    spread : bool
        Whether the draws stand for what the publication leaves unstated.
    enough : int
        Draws from which on the claim fails that none of them shows.
    positive : bool
        Whether the values are positive: of further draws their logarithms are then expected to be normal.
    widest : float
        Range of the values from which on a published one is not shown by lying among them; of positive ones in decades.
    regardless : bool
        Whether a failure refutes what was published although other settings were changed, as that of a claim without labels does.
    ours : bool
        Whether it is a statement of this library, which decides nothing about a publication.

    Raises
    ------
    ValueError
        If the interval is empty.
    """

    text: str
    labels: tuple[str, ...]
    value: Callable[[Curves], Values]
    low: float = -inf
    high: float = inf
    spread: bool = False
    enough: int = ENOUGH
    positive: bool = False
    widest: float = inf
    regardless: bool = False
    ours: bool = False

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"the interval of a claim must not be empty, got {self.low} to {self.high}: {self.text}")

    def row(self, curves: Curves, panel: str = "") -> dict[str, Any]:
        """Return the claim as it is stored: text, interval, values and whether it holds.

        Parameters
        ----------
        curves : mapping of str to sequence of Trace
            Every curve of ``labels``.
        panel : str
            Title of the panel.

        Raises
        ------
        ValueError
            If the value is not a real number for each draw.
        """
        values = np.asarray(self.value(curves))
        draws = max((len(curves[label]) for label in self.labels), default=values.size)
        if values.ndim != 1 or values.dtype.kind not in "fiub" or len(values) > draws:
            raise ValueError(f"must be a real number for each draw, got {values.dtype} of shape {values.shape}")
        values = values.astype(np.float64)
        return {
            "panel": panel,
            "claim": self.text,
            "low": _stored(self.low),
            "high": _stored(self.high),
            "spread": self.spread,
            "regardless": self.regardless or not self.labels,
            "ours": self.ours,
            "values": [_stored(float(f"{v:.5g}")) for v in values],
            "holds": self.holds(values),
        }

    def holds(self, values: Values) -> bool | None:
        """Return whether the values show the claim; None if they cannot tell.

        Parameters
        ----------
        values : array (draws,)
            From ``value``.
        """
        if len(values) == 0 or np.isnan(values).any():
            return None
        if not self.spread:
            shown = (values >= self.low) & (values <= self.high)
            return True if shown.all() else None if shown.any() or len(values) < self.enough else False
        ends = np.array([self.low, self.high])
        if self.positive:
            values, ends = (np.log10(np.maximum(x, TINY)) for x in (values, ends))
        if np.isfinite(values).all() and values.min() <= ends[1] and values.max() >= ends[0]:
            return True if np.ptp(values) <= self.widest else None
        if len(values) < self.enough:
            return None
        if not np.isfinite(values).all():
            return False
        low, high = further_draws(values)
        return None if low <= ends[1] and high >= ends[0] else False


def _stored(value: float) -> float | str | None:
    """Return a number as JSON has it: NaN as null, infinity as text."""
    return None if np.isnan(value) else str(value) if np.isinf(value) else value


def further_draws(values: Sequence[float] | Values) -> tuple[float, float]:
    """Return the interval (1) in which 95 per cent of further draws are expected.

    Parameters
    ----------
    values : sequence of float
        Of at least two draws.

    Examples
    --------
    >>> low, high = further_draws([-1.0, 0.0, 1.0])
    >>> f"{low:.2f} to {high:.2f}"
    '-4.97 to 4.97'
    """
    from scipy.special import stdtrit  # here, so that a list of the experiments does not wait for SciPy

    n = len(values)
    half = float(stdtrit(n - 1, 0.975) * np.std(values, ddof=1) * np.sqrt(1 + 1 / n))
    return float(np.mean(values)) - half, float(np.mean(values)) + half


def read(trace: Trace, of: str, at: float) -> float:
    """Return a positive quantity near an epoch: the geometric mean of the records within 5 per cent of it.

    Parameters
    ----------
    trace : Trace
        A run.
    of : str
        The quantity.
    at : float
        The epoch.

    Returns
    -------
    float
        Infinity if the run had diverged, NaN if it had ended; the last record of a run that came to rest.
    """
    epochs, values = trace.history["epoch"].astype(np.float64), trace.history[of].astype(np.float64)
    if epochs[-1] < at:
        if trace.status in FAILED:
            return inf
        return float(values[-1]) if trace.rests else np.nan
    near = values[np.abs(epochs - at) <= 0.05 * at]
    if not near.size:
        return float(np.exp(np.interp(at, epochs, np.log(np.maximum(values, TINY)))))
    return float(np.exp(np.mean(np.log(np.maximum(near, TINY)))))


def settled(trace: Trace, of: str) -> float:
    """Return a positive quantity at the end of a run, whose single records are noisy.

    Parameters
    ----------
    trace : Trace
        A run.
    of : str
        The quantity.

    Returns
    -------
    float
        The geometric mean over the records of the last tenth of its epochs, infinite if the run diverged.
    """
    if trace.status in FAILED:
        return inf
    epochs, values = trace.history["epoch"].astype(np.float64), trace.history[of].astype(np.float64)
    return float(np.exp(np.mean(np.log(np.maximum(values[epochs >= LAST * epochs[-1]], TINY)))))


def of_draws(
    text: str, labels: Sequence[str], number: Callable[..., float], low: float = -inf, high: float = inf, **how: Any
) -> Claim:
    """Return the claim on a number that follows, for each draw by itself, from the traces of some curves.

    Parameters
    ----------
    text : str
        What is claimed.
    labels : sequence of str
        Of the curves.
    number : callable
        From a `Trace` of each of them the number: infinite if a run diverged, NaN if it ended too early.
    low, high : float
        The interval.
    **how : bool or int
        Other members of `Claim`.
    """

    def each(c: Curves) -> Values:
        return np.array([float(number(*traces)) for traces in zip(*(c[label] for label in labels), strict=True)])

    return Claim(text, tuple(labels), each, low, high, **how)


def of_published(text: str, number: Callable[[], Any], low: float = -inf, high: float = inf, **how: bool) -> Claim:
    """Return the claim on a number that follows from what was published alone.

    Parameters
    ----------
    text : str
        What is claimed.
    number : callable
        The number, or one for each panel.
    low, high : float
        The interval: what is stated, to the error with which curves are read.
    **how : bool
        Other members of `Claim`: ``ours`` is a finding of this library, which the publication does not state.
    """
    return Claim(text, (), lambda _: np.atleast_1d(np.asarray(number(), dtype=float)), low, high, enough=1, **how)


@cache
def averaged(published: Published) -> Values:
    """Return the published curve at its epochs, averaged as `read` averages ours, shape (n,)."""
    curve = Trace({"epoch": published.epochs, "": published.values}, "done")  # type: ignore[dict-item]
    return np.array([read(curve, "", epoch) for epoch in published.epochs])


def decades(trace: Trace, published: Published, of: str, until: float = inf) -> Values:
    """Return the decimal logarithm of ours over published at all epochs that both have: an infinity if the run diverged before that.

    A run that came to rest stays where it ended, up to the epoch `until`.
    """
    epochs = trace.history["epoch"].astype(np.float64)
    at, wanted = published.epochs, averaged(published)
    if trace.status in FAILED and epochs[-1] < at[-1]:
        return np.array([inf])
    end = max(until, epochs[-1]) if trace.rests else epochs[-1]
    ours = np.array([read(trace, of, epoch) for epoch in at[at <= end]])
    return np.asarray(np.log10(np.maximum(ours, TINY) / wanted[: len(ours)]))


def follows(label: str, published: Published, *, of: str = "train_error") -> tuple[Claim, Claim]:
    """Return the claims that a curve has the level and the shape of the published one, over all epochs that both have.

    With x from ``decades``, the level is the mean of x, and the shape the root mean square of x about it.

    Parameters
    ----------
    label : str
        Of the curve.
    published : Published
        The published curve.
    of : str
        The quantity.
    """

    def number(value: Callable[[Values], Any], least: int) -> Callable[[Curves], Values]:
        def each(c: Curves) -> Values:
            found = [decades(trace, published, of, longest(c)) for trace in c[label]]
            return np.array(
                [inf if np.isinf(x).any() else np.nan if x.size < least else float(value(x)) for x in found]
            )

        return each

    start, end = f"{label}, {_words(of)}: ", " from the published curve, decades"
    return (
        Claim(f"{start}mean distance{end}", (label,), number(np.mean, 1), -LEVEL, LEVEL, spread=True, widest=WIDEST),
        Claim(
            f"{start}difference in shape{end}", (label,), number(np.std, FEW), 0.0, SHAPE, spread=True, widest=WIDEST
        ),
    )


def longest(curves: Curves) -> float:
    """Return the last epoch of the runs of a panel that did not come to rest, or of all if all did: they are compared up to there."""
    ends = [(t.rests or t.status in FAILED, float(t.history["epoch"][-1])) for of in curves.values() for t in of]
    return max((end for rests, end in ends if not rests), default=max(end for _, end in ends))


def _words(of: str) -> str:
    return of.replace("_", " ")


def together(labels: Sequence[str], *, at: float, within: float, of: str = "train_error", **how: Any) -> Claim:
    """Return the claim that curves agree to a factor at an epoch. A divergent run agrees with none.

    Parameters
    ----------
    labels : sequence of str
        Of the curves.
    at, within : float
        The epoch, and the largest quotient of two of them.
    of : str
        The quantity.
    **how : bool or int
        As in `of_draws`.
    """

    def apart(*traces: Trace) -> float:
        v = [read(trace, of, at) for trace in traces]
        return inf if inf in v else float(np.max(v) / np.min(v))

    return of_draws(f"{', '.join(labels)}: largest quotient at epoch {at:g}", labels, apart, 1.0, within, **how)


def above(
    high: str | Sequence[str], low: str | Sequence[str], *, at: float, by: float = VISIBLE, of: str = "train_error", **how: Any
) -> Claim:  # fmt: skip
    """Return the claim that the lowest of some curves is a factor above the highest of others at an epoch, or diverges.

    Parameters
    ----------
    high, low : str or sequence of str
        Labels.
    at, by : float
        The epoch, and the least quotient.
    of : str
        The quantity.
    **how : bool or int
        As in `of_draws`.
    """
    upper, lower = ([one] if isinstance(one, str) else list(one) for one in (high, low))

    def quotient(*traces: Trace) -> float:
        v = [read(trace, of, at) for trace in traces]
        a, b = np.min(v[: len(upper)]), np.max(v[len(upper) :])
        return 0.0 if b == inf else float(a / b)

    text = f"{' and '.join(upper)} over {' and '.join(lower)} at epoch {at:g}"
    return of_draws(text + f", {_words(of)}" * (of != "train_error"), (*upper, *lower), quotient, by, **how)


def below(label: str, level: float, *, at: float, of: str = "train_error", **how: Any) -> Claim:
    """Return the claim that a curve is below a level at an epoch.

    Parameters
    ----------
    label : str
        Of the curve.
    level, at : float
        The level and the epoch.
    of : str
        The quantity.
    **how : bool or int
        As in `of_draws`.
    """
    return of_draws(f"{label}: {_words(of)} at epoch {at:g}", [label], lambda t: read(t, of, at), high=level, **how)


def rises(
    label: str, *, until: float, by: float = 0.05, of: str = "train_error", low: float = 0.0, high: float = 1.0
) -> Claim:
    """Return the claim on the share of kept records, up to an epoch, at which a curve has risen by more than a fraction.

    Parameters
    ----------
    label : str
        Of the curve.
    until, by : float
        The epoch, and what counts as a rise.
    of : str
        The quantity.
    low, high : float
        The interval of the share: ``high=0`` asks for a smooth curve, ``low=0.05`` for one that oscillates.
    """

    def share(trace: Trace) -> float:
        values = trace.history[of][trace.history["epoch"] <= until].astype(np.float64)
        if trace.status in FAILED and trace.history["epoch"][-1] < until:
            return inf
        short = len(values) < 2 or np.isnan(values).any() or np.isnan(read(trace, of, until))
        return np.nan if short else float(np.mean(values[1:] > (1 + by) * values[:-1]))

    return of_draws(f"{label}: share of kept records up to epoch {until:g} that rise by over {100 * by:g} %", [label], share, low, high)  # fmt: skip
