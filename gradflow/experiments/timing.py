"""Durations of steps: all take turns on the clock of the processor, so that what disturbs one disturbs all.

On a machine that does other work the clock of a whole run is off by a third.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import process_time
from typing import Any

import numpy as np

from ..namespace import Array, blas_threads, quiet
from ..schemes.protocols import Scheme
from .figure import Draw

__all__ = ["first_step", "take_turns"]

LEAST = 1e-2
"""Seconds that a turn takes at least; short calls are repeated."""


def first_step(draw: Draw, scheme: Scheme, dt: float) -> Callable[[], Any]:
    """Return the function that makes a scheme's first step, on the first batch of a draw.

    Parameters
    ----------
    draw, scheme, dt : Draw, Scheme, float
        The task, what runs, and the step size.
    """
    size = draw.how.get("batch_size")
    part = draw.problem.batch(np.arange(size)) if size else draw.problem
    return step(scheme, part, draw.theta0, dt)


def step(scheme: Scheme, problem: Any, theta: Array, dt: float) -> Callable[[], Any]:
    """Return the function that makes a scheme's first step."""
    state = scheme.init(problem, theta)
    return lambda: scheme.step(problem, state, dt)


def take_turns(
    functions: Mapping[str, Callable[[], Any]], rounds: int, *, threads: int = 1,
    clock: Callable[[], float] = process_time, least: float = LEAST,
) -> list[dict[str, float]]:  # fmt: skip
    """Return for each round and each function the seconds of a call; each is called before, so that nothing is compiled on the clock.

    Parameters
    ----------
    functions : mapping of str to callable
        What is timed, by name.
    rounds, threads : int
        How often each has its turn, and on how many threads of the BLAS.
    clock, least : callable, float
        The clock, and the seconds that a turn takes at least.
    """
    repeats, found = {}, []
    with quiet(), blas_threads(threads):
        for name, f in functions.items():
            f()
            began = clock()
            f()
            repeats[name] = max(1, int(least / max(clock() - began, 1e-9)))
        for _ in range(rounds):
            seconds = {}
            for name, f in functions.items():
                began = clock()
                for _ in range(repeats[name]):
                    f()
                seconds[name] = (clock() - began) / repeats[name]
            found.append(seconds)
    return found
