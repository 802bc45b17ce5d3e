"""How verdicts and the numbers of several draws are put in words.

A value of infinity stands for a run that diverged, and is written so; NaN for one that has no such value, of which a dash is
written for all of them: a range without it would look like one of all draws.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import isinf, isnan

import numpy as np

__all__ = ["headline", "median_text", "range_text"]


def headline(verdict: str) -> str:
    """Return the first words of a verdict, up to the reason.

    Parameters
    ----------
    verdict : str
        As in `Outcome`.

    Examples
    --------
    >>> headline("refuted: the train error falls by 3e-2 (paper: 1e-4)")
    'refuted'
    """
    return re.split(r"[(:;,]", verdict, maxsplit=1)[0].strip() or verdict


def range_text(values: Iterable[float], form: str = ".1e", *, infinite: str = "divergence") -> str:
    """Return the range of numbers as text: one number if its ends read the same.

    Parameters
    ----------
    values : iterable of float
        One for each draw; a dash stands for none, and for numbers of which one is NaN.
    form : str
        How one is written, for `format`.
    infinite : str
        How infinity is written.

    Examples
    --------
    >>> range_text([3e-3, 1e-3, 2e-3])
    '1.0e-03 to 3.0e-03'
    >>> range_text([0.981, float("inf")], ".1%")
    '98.1% to divergence'
    """
    numbers = list(values)
    if not numbers or any(isnan(value) for value in numbers):
        return "-"
    low, high = (_text(value, form, infinite) for value in (min(numbers), max(numbers)))
    return low if low == high else f"{low} to {high}"


def median_text(values: Iterable[float], form: str = ".1e", *, infinite: str = "divergence") -> str:
    """Return the median of numbers as text, with their range in brackets unless it is one number.

    Parameters
    ----------
    values : iterable of float
        As for `range_text`.
    form : str
        As there.
    infinite : str
        As there.

    Examples
    --------
    >>> median_text([3e-3, 1e-3, 2e-3])
    '2.0e-03 (1.0e-03 to 3.0e-03)'
    """
    numbers = list(values)
    between = range_text(numbers, form, infinite=infinite)
    if " to " not in between:
        return between
    return f"{_text(float(np.median(numbers)), form, infinite)} ({between})"


def _text(value: float, form: str, infinite: str) -> str:
    return infinite if isinf(value) else format(value, form)
