"""A run of an experiment: `gradflow.solve` with a file from which it is taken up, which an interruption ends at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..namespace import Array
from ..run.solution import Solution, Status
from ..run.solve import solve
from ..schemes.protocols import Scheme

__all__ = ["train"]


def train(problem: Any, scheme: Scheme, theta0: Array, *, path: Path, **how: Any) -> Solution:
    """Run a scheme, or take up the run kept at `path`.

    `gradflow.solve` ends a run that the user interrupts in good order, as it should for one run. Of an experiment it is
    the whole series of runs that is interrupted.

    Parameters
    ----------
    problem : Problem
        What is trained.
    scheme : Scheme
        The scheme.
    theta0 : array (P,)
        Initial parameters.
    path : Path
        Where the run is kept.
    **how
        Whatever else `gradflow.solve` takes.

    Returns
    -------
    Solution
        That ended by itself.

    Raises
    ------
    ValueError
        As `gradflow.solve`.
    KeyboardInterrupt
        As it came, once what was done is kept.
    """
    run = solve(problem, scheme, theta0, checkpoint=path, **how)
    if run.status is Status.STOPPED:
        raise KeyboardInterrupt
    return run
