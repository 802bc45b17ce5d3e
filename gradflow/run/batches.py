"""Mini-batches: the samples of each step, and their entries of a per-sample auxiliary variable."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from math import inf
from typing import Any

import numpy as np

from ..energies.protocols import Problem, batches, problem_ability
from ..refusals import whole_number
from ..schemes.protocols import Scheme, scheme_ability

__all__ = ["parts", "prolong", "restrict", "steps_per_epoch"]


def steps_per_epoch(problem: Problem, batch_size: int | None) -> int:
    """Return the number of whole batches in an epoch, 1 for the full batch, or raise ValueError if there is none.

    Parameters
    ----------
    problem : Problem
        With ``n_samples`` and ``batch``, if `batch_size` is given.
    batch_size : int or None
        Samples in a batch, from 1 to ``n_samples``; None for the full batch.
    """
    if batch_size is None:
        return 1
    n = problem_ability(problem, "n_samples")
    if n is None or not callable(problem_ability(problem, "batch")):
        raise ValueError(f"batch_size needs a problem with n_samples and batch, got {type(problem).__name__}")
    return int(n // whole_number("batch_size", batch_size, 1, n))


def parts(problem: Any, batch_size: int | None, seed: int | None, start: int, total: float) -> Iterator[Problem]:
    """Yield the problem of each step from `start` on.

    The order depends on (seed, epoch) only, so that an interrupted run continues with the same batches. A problem that
    changes from step to step has a method ``at_step(n)``, which returns the problem of step n = 0, 1, ...; it is called
    on the problem of the batch, or on the full problem.

    Parameters
    ----------
    problem : Problem
        The problem of all samples.
    batch_size : int or None
        Samples in a batch; None for the full batch.
    seed : int or None
        Seed of the order; None means 0.
    start, total : int
        Steps done, and the total number of steps, which may be infinite.
    """
    steps = count(start) if total == inf else range(start, int(total))
    if batch_size is None:
        for n in steps:
            yield _at_step(problem, n)
        return
    in_epoch = problem.n_samples // batch_size
    epoch: Iterator[Problem] = iter(())
    for n in steps:
        number, i = divmod(n, in_epoch)
        if i == 0 or n == start:
            order = np.random.default_rng([seed or 0, number]).permutation(problem.n_samples)
            epoch = batches(problem, order[i * batch_size :], batch_size)
        yield _at_step(next(epoch), n)


def _at_step(part: Any, n: int) -> Any:
    """Return the problem of step n: `part` itself unless it changes from step to step."""
    at_step = problem_ability(part, "at_step")
    return part if at_step is None else at_step(n)


def restrict(scheme: Scheme, part: Any, state: Any) -> Any:
    """Return the state with the batch's entries of a per-sample auxiliary variable.

    Parameters
    ----------
    scheme, part : Scheme, Problem
        The scheme, and the problem of a batch.
    state : NamedTuple
        The state for all samples.
    """
    gather = problem_ability(part, "gather")
    if not scheme_ability(scheme, "per_sample_auxiliary") or gather is None or state.aux is None:
        return state
    return state._replace(aux=gather(state.aux))


def prolong(scheme: Scheme, part: Any, state: Any, after: Any) -> Any:
    """Return `after` with the other samples' entries of a per-sample auxiliary variable taken from `state`.

    Parameters
    ----------
    scheme, part : Scheme, Problem
        The scheme, and the problem of a batch.
    state, after : NamedTuple
        The state for all samples before the step, and that for the batch after it.
    """
    scatter = problem_ability(part, "scatter")
    if not scheme_ability(scheme, "per_sample_auxiliary") or scatter is None:
        return after
    return after._replace(aux=scatter(state.aux, after.aux))
