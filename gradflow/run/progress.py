"""The progress bar of a run."""

from __future__ import annotations

import time
from math import inf
from typing import Any

from ..schemes.protocols import scheme_ability
from .history import QUANTITIES, Moment

__all__ = ["Bar"]

BAR_SECONDS = 0.5
"""Seconds between evaluations of the auxiliary variable for the bar; each costs one energy (of the batch)."""


class Bar:
    """A bar with the steps taken, the energy, and the ratio of the auxiliary variable to its definition.

    Parameters
    ----------
    progress : bool or str
        Whether to show a bar, or its label.
    total, done : float, int
        Total number of steps, infinite if not known, and steps already taken.
    """

    def __init__(self, progress: bool | str, total: float, done: int) -> None:
        self._bar: Any = None
        self._last = -inf
        if progress:
            from tqdm.auto import tqdm

            label = progress if isinstance(progress, str) else None
            self._bar = tqdm(total=None if total == inf else total, initial=done, desc=label, mininterval=0.2)

    def update(self, row: dict[str, Any], at: Moment) -> None:
        """Count a step; every half second, show the last record's energy and the ``auxiliary_ratio``.

        Parameters
        ----------
        row, at : dict, Moment
            The last record, and the moment at which the ratio is evaluated.
        """
        if self._bar is None:
            return
        self._bar.update(1)
        if time.monotonic() - self._last < BAR_SECONDS:
            return
        self._last = time.monotonic()
        shown = [f"E {row['energy']:.3e}"] if "energy" in row else []
        ratio = QUANTITIES["auxiliary_ratio"](at) if scheme_ability(at.scheme, "carries_auxiliary") else None
        if ratio is not None:
            shown.append(f"r/R {ratio:.3g}")
        self._bar.set_postfix_str(", ".join(shown), refresh=False)

    def close(self) -> None:
        """Close the bar, which stays on the screen."""
        if self._bar is not None:
            self._bar.close()
