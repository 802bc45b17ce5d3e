"""Mini-batches: which samples each step sees, and what of a per-sample auxiliary variable goes with them."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np

from ..energies.protocols import Problem
from ..schemes.protocols import Scheme

__all__ = ["parts", "prolong", "restrict", "steps_per_epoch"]


def steps_per_epoch(problem: Problem, batch_size: int | None) -> int:
    """Return how many whole batches there are, 1 for the full batch.

    Parameters
    ----------
    problem : Problem
        With ``n_samples`` and ``batch``, if `batch_size` is given.
    batch_size : int or None
        Samples in a batch; None for the full batch.

    Raises
    ------
    ValueError
        If the problem has no batches, or fewer samples than one takes.
    """
    if batch_size is None:
        return 1
    n = getattr(problem, "n_samples", None)
    if n is None or not callable(getattr(problem, "batch", None)):
        raise ValueError(f"batch_size needs a problem with n_samples and batch, got {type(problem).__name__}")
    if isinstance(batch_size, bool) or not isinstance(batch_size, Integral) or not 1 <= batch_size <= n:
        raise ValueError(f"batch_size must be a whole number from 1 to n_samples = {n}, got {batch_size!r}")
    return int(n // batch_size)


def parts(problem: Any, batch_size: int | None, seed: int | None, start: int, total: int) -> Iterator[Problem]:
    """Yield the problem of each step from `start` on.

    The order is a function of (seed, epoch) alone, so that an interrupted run goes on with the same batches. A problem that
    changes from step to step says so by a method ``at_step(n)``, which returns the problem of step n = 0, 1, ...; it is asked
    after the batch is taken, on the full batch too.

    Parameters
    ----------
    problem : Problem
        The problem of all samples.
    batch_size : int or None
        Samples in a batch; None for the full batch.
    seed : int or None
        Seed of the order; None is 0.
    start, total : int
        Steps done, and steps in all.
    """
    if batch_size is None:
        for n in range(start, total):
            yield _at_step(problem, n)
        return
    batches = problem.n_samples // batch_size
    order = np.empty(0, dtype=np.int64)
    for n in range(start, total):
        epoch, i = divmod(n, batches)
        if i == 0 or n == start:
            order = np.random.default_rng([seed or 0, epoch]).permutation(problem.n_samples)
        yield _at_step(problem.batch(order[i * batch_size : (i + 1) * batch_size]), n)


def _at_step(part: Any, n: int) -> Any:
    """Return the problem of step n, which for most problems is the problem."""
    return part.at_step(n) if hasattr(part, "at_step") else part


def restrict(scheme: Scheme, part: Any, state: Any) -> Any:
    """Return the state with only the batch's entries of a per-sample auxiliary variable.

    Parameters
    ----------
    scheme : Scheme
        The scheme.
    part : Problem
        The problem of a batch.
    state : NamedTuple
        The state for all samples.
    """
    if getattr(scheme, "per_sample_auxiliary", False) and hasattr(part, "gather") and state.aux is not None:
        return state._replace(aux=part.gather(state.aux))
    return state


def prolong(scheme: Scheme, part: Any, state: Any, after: Any) -> Any:
    """Return `after` with the entries of the other samples put back from `state`.

    Parameters
    ----------
    scheme : Scheme
        The scheme.
    part : Problem
        The problem of a batch.
    state : NamedTuple
        The state for all samples, before the step.
    after : NamedTuple
        The state for the batch, after the step.
    """
    if getattr(scheme, "per_sample_auxiliary", False) and hasattr(part, "scatter"):
        return after._replace(aux=part.scatter(state.aux, after.aux))
    return after
