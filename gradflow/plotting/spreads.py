"""Several runs of one kind as one curve: their median and range, with runs that diverged or stagnated.

A run that diverged is infinite from its end on, one that came to rest keeps its last value. The band between the
extremes then leaves the panel where a run diverged; the curve of the median ends where half of the runs have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["BETWEEN_0_AND_1", "SIGNED", "Recorded", "drawn_values", "finite_median", "spread_table"]


@runtime_checkable
class Recorded(Protocol):
    """What is drawn of a run; a `gradflow.Solution` has it."""

    @property
    def history(self) -> Mapping[str, NDArray[Any]]:
        """Recorded quantities by name, each of shape (number of records,)."""

    @property
    def status(self) -> str:
        """How the run ended: a `gradflow.Status`, or its value."""

    @property
    def message(self) -> str:
        """The status in a sentence."""

    @property
    def config(self) -> Mapping[str, Any]:
        """Settings: ``scheme`` and ``batch_size`` are read."""

    @property
    def steps(self) -> int:
        """Steps taken."""


BETWEEN_0_AND_1 = ("auxiliary_ratio", "xi0")
"""Quantities whose distance from 1 matters more than their decades: always on a linear scale."""
SIGNED = ("identity_residual",)
"""Quantities of either sign, drawn by their size."""


def drawn_values(run: Recorded, name: str) -> NDArray[np.float64]:
    """Return a quantity as it is drawn, shape (number of records,): its size if of either sign, NaN for infinities.

    Parameters
    ----------
    run, name : Recorded, str
        A run, and a recorded quantity.
    """
    values = np.asarray(run.history[name], dtype=np.float64)
    values = np.abs(values) if name in SIGNED else values
    return np.where(np.isfinite(values), values, np.nan)


def spread_table(runs: Sequence[Recorded], x: str, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where runs were recorded, and a quantity of all of them there.

    Parameters
    ----------
    runs : sequence of Recorded
        Runs of one kind. Between its records a run is interpolated where another one has a record.
    x, name : {"epoch", "step", "time"}, str
        Where, and a recorded quantity.

    Returns
    -------
    at : array (n,)
        Places at which at least one run has a finite value.
    table : array (R, n)
        From its last finite value on a run that diverged is infinite (an accuracy minus infinity, a ratio between 0 and
        1 NaN), and one that came to rest stays where it is. NaN where nothing is known.
    """
    lost = -np.inf if name.endswith("accuracy") else np.nan if name in BETWEEN_0_AND_1 else np.inf
    places = [np.asarray(run.history[x], dtype=np.float64) for run in runs]
    at = np.unique(np.concatenate(places))
    table = np.full((len(runs), len(at)), np.nan)
    for row, run, here in zip(table, runs, places, strict=True):
        values = drawn_values(run, name)
        row[:] = np.interp(at, here, values, left=np.nan, right=np.nan)
        finite = np.flatnonzero(np.isfinite(values))
        if run.status == "nonfinite" and finite.size:  # else the scheme does not have the quantity
            row[at > here[finite[-1]]] = lost
        elif run.status in ("stagnated", "converged") or run.message.startswith("stationary"):
            row[at > here[-1]] = values[-1]
    known = np.isfinite(table).any(axis=0)
    return at[known], table[:, known]


def finite_median(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of the runs of a table, shape (n,): NaN where it is infinite, so that its curve ends there.

    Parameters
    ----------
    table : array (R, n)
        From `spread_table`, a row for each of R runs.
    """
    middle = np.asarray(np.nanmedian(table, axis=0))
    middle[np.isinf(middle)] = np.nan
    return middle
