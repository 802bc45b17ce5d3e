"""The one loop of the library: batches, history, callbacks, checkpoints, status.

A scheme works without it (``state = scheme.step(problem, state, dt)``); what is added here is what a study needs around
the steps. The loop never raises for numerical trouble: a step whose result is not finite is not taken, and the run ends
with a `Status` and the last finite state.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from ..energies.linear import Scalar
from ..energies.protocols import Problem
from ..namespace import Array, array_namespace, blas_threads, quiet
from ..refusals import check_parts, check_theta, total_steps, whole_number
from ..schemes import Restart
from ..schemes.protocols import AuxiliaryScheme, EnergyTerms, Scheme
from .batches import parts, prolong, restrict, steps_per_epoch
from .history import Moment, Record, default_record, resolve
from .identity import configuration, kept_run, require_same
from .solution import Solution, Status
from .steps import step_size

__all__ = ["solve"]

PATIENCE = 10
"""Full-batch steps without a change in any bit after which a run counts as standing still (or an epoch, if longer)."""
CHECKPOINT_SECONDS = 10.0
SMALL_STEP = 6 * 10**6
"""Samples times parameters of a step up to which BLAS is held at one thread (64 x 42 000 is below, 256 x 42 000 above).

Measured on two idle cores, 64 x 42 000: 0.18 ms a gradient step on one thread, 0.15 ms on two; with one core taken by
another process 0.2 ms against 4 to 6 ms, because OpenBLAS threads wait for each other by spinning."""


def solve(
    problem: Problem,
    scheme: Scheme,
    theta0: Array,
    *,
    dt: float | Callable[[int], float],
    steps: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    record: Record | None = None,
    every: int | None = None,
    callback: Callable[[int, Any], object] | None = None,
    progress: bool | str = False,
    checkpoint: str | Path | None = None,
    threads: int | None = None,
) -> Solution:
    """Run a scheme on a problem.

    Parameters
    ----------
    problem : Problem
        With ``batch(indices)`` and ``n_samples`` if `batch_size` is given. One with ``at_step(n)``, such as
        `SmoothedParticles`, changes from step to step: step n is made on ``at_step(n)``, of the batch if there is one.
    scheme : Scheme
        Any scheme of the library, or yours.
    theta0 : array (P,)
        Initial parameters, floating, finite.
    dt : float or callable
        Step size > 0 (a time; the learning rate of first-order methods), or a function of the step number 0, 1, ...
    steps, epochs : int
        How far; exactly one of the two. An epoch is one pass through the data, or one step without `batch_size`.
    batch_size : int, optional
        Mini-batches of this size, drawn without replacement in an order made anew for each epoch from ``(seed, epoch)``.
        Samples left over at the end of an epoch (``n_samples % batch_size`` of them) are dropped from that epoch.
    seed : int, optional
        Seed of the order; drawn and kept in ``config`` when left out.
    record : iterable, optional
        Names from `gradflow.run.history.QUANTITIES`, or pairs ``(name, function of the state)``. Energies are those of the
        full problem. Default: the energy, and the modified energy if there is one.
    every : int, optional
        Steps between records; one epoch when left out. The start and the end are always recorded.
    callback : callable, optional
        Called as ``callback(step, state)`` after each step; a true return value stops the run.
    progress : bool or str
        Show a progress bar (labelled with the string).
    checkpoint : path, optional
        Keep the run in this file as it goes (at records, every 10 s at most), and go on from there if the file exists. A
        file of other settings is refused; functions are compared by what they give at theta0.
    threads : int, optional
        BLAS threads during the run. Left out, one for steps so small (`SMALL_STEP`) that a second thread gains little
        and, on a busy machine, costs a factor of 30 in waiting; otherwise what BLAS is set to.

    Returns
    -------
    Solution
        The last finite state, what was recorded, and how the run ended.

    Raises
    ------
    ValueError
        For anything wrong with the arguments, or with the scheme on this problem at the start.
    """
    check_theta(theta0)
    check_parts(problem, scheme, theta0)
    batches = steps_per_epoch(problem, batch_size)
    total = total_steps(steps, epochs, batches)
    every = batches if every is None else whole_number("every", every, 1)
    threads = None if threads is None else whole_number("threads", threads, 1)
    seed = None if seed is None else whole_number("seed", seed, 0)
    if callback is not None and not callable(callback):
        raise ValueError(f"callback must be a function of (step, state), got {callback!r}")
    quantities = resolve(default_record(scheme) if record is None else record)
    size_of_step = step_size(dt)
    samples = getattr(problem, "n_samples", None) if batch_size is None else batch_size
    if threads is None and samples is not None and samples * theta0.shape[0] <= SMALL_STEP:
        threads = 1
    kept = None if checkpoint is None else kept_run(checkpoint)
    if batch_size is not None and seed is None:
        drawn = int(np.random.SeedSequence().generate_state(1)[0])
        seed = drawn if kept is None else kept.config["seed"]

    done, clock, cpu, elapsed = 0, 0.0, 0.0, 0.0
    rows: list[dict[str, Any]] = []
    with quiet():
        settings = (dt, size_of_step, batch_size, seed, every, tuple(quantities))
        config, slope = configuration(problem, scheme, theta0, *settings)
        state = scheme.init(problem, theta0)
    if kept is not None:
        require_same(kept, config, checkpoint)
        if kept.steps > total:
            raise ValueError(f"{checkpoint} holds a run of {kept.steps} steps, more than the {total} asked for")
        if kept.status not in (Status.DONE, Status.STOPPED):
            return kept
        state, done, clock, cpu = kept.state, kept.steps, kept.wall_time, kept.cpu_time
        rows = [dict(zip(kept.history, row, strict=True)) for row in zip(*kept.history.values(), strict=True)]
        elapsed = float(rows[-1]["time"])
        rows = [row for row in rows if row["step"] % every == 0]  # an end that is none is not recorded

    status, message = Status.DONE, f"all {total} steps taken"
    last_save = time.monotonic()
    still, size = 0, float(state.theta @ state.theta)
    bar = _progress_bar(progress, total, done)

    def note(terms: EnergyTerms | None, energies: tuple[Array, Array] | None, h: Scalar) -> None:
        at = Moment(problem, scheme, state, energies, terms, h)
        row: dict[str, Any] = {"step": done, "epoch": done / batches, "time": elapsed}
        row.update({name: float(quantity(at)) for name, quantity in quantities.items()})
        if rows and rows[-1]["step"] == done:
            rows.pop()
        rows.append(row)
        if bar is not None and "energy" in row:
            bar.set_postfix_str(f"E {row['energy']:.3e}", refresh=False)

    def result() -> Solution:
        history = {k: np.asarray([row[k] for row in rows]) for k in rows[0]}
        return Solution(state.theta, state, history, status, message, config, done, clock, cpu)

    with quiet(), blas_threads(threads):
        if done == 0:
            note(None, None, size_of_step(0))
        try:
            for part in parts(problem, batch_size, seed, done, total):
                h = size_of_step(done)
                t0, c0 = time.perf_counter(), time.process_time()
                before = restrict(scheme, part, state)
                after = scheme.step(part, before, h)
                trouble = _trouble(scheme, part, state.theta, after)
                if trouble is None:
                    if done == 0:
                        _check_first(theta0, after.theta)
                    old, state = state, prolong(scheme, part, state, after)
                clock, cpu = clock + time.perf_counter() - t0, cpu + time.process_time() - c0
                if trouble is not None:
                    status, message = trouble[0], f"step {done + 1}: {trouble[1]}"
                    break
                done, elapsed = done + 1, elapsed + float(h)
                if bar is not None:
                    bar.update(1)
                if done % every == 0 or done == total:
                    note(*_terms(scheme, part, before, after, h), h)
                    if not isfinite(rows[-1].get("energy", 0.0)):
                        status, message = Status.NONFINITE, f"step {done}: the energy is not finite"
                        break
                if callback is not None and callback(done, state):
                    status, message = Status.STOPPED, f"the callback stopped the run after step {done}"
                    break
                size, previous = float(state.theta @ state.theta), size
                still = still + 1 if size == previous and _unchanged(old.theta, state.theta) else 0
                if still >= max(PATIENCE, batches):
                    status, message = _standstill(problem, scheme, state, h, slope, still)
                    break
                due = checkpoint is not None and time.monotonic() - last_save > CHECKPOINT_SECONDS
                if checkpoint is not None and due and rows[-1]["step"] == done:
                    result().save(checkpoint)
                    last_save = time.monotonic()
        except KeyboardInterrupt:
            status, message = Status.STOPPED, f"interrupted after step {done}"
        if not rows or rows[-1]["step"] != done:
            note(None, None, size_of_step(done))
        if status is Status.DONE and not isfinite(float(problem.energy(state.theta))):
            status, message = Status.NONFINITE, f"step {done}: the energy is not finite"
    if bar is not None:
        bar.close()
    solution = result()
    if checkpoint is not None:
        solution.save(checkpoint)
    return solution


def _finite(a: Array) -> bool:
    """Return whether all entries are finite; one pass at BLAS speed in the usual case."""
    xp = array_namespace(a)
    if a.ndim == 1 and isfinite(float(a @ a)):
        return True
    return bool(xp.all(xp.isfinite(a)))


def _trouble(scheme: Scheme, part: Problem, theta: Array, after: Any) -> tuple[Status, str] | None:
    """Return what is wrong with the state after a step, None if nothing."""
    aux = getattr(after, "aux", None)
    if _finite(after.theta) and (aux is None or _finite(aux)):
        return None
    admissible = getattr(scheme, "admissible", None)
    if admissible is not None:
        for at in (theta, after.theta):
            if _finite(at) and isfinite(float(part.energy(at))) and not admissible(part, at):
                return Status.INADMISSIBLE, "E + C is not positive, so the auxiliary variable is not defined"
    return Status.NONFINITE, "the new state is not finite; the last finite state is kept"


def _terms(
    scheme: Scheme, part: Problem, before: Any, after: Any, h: Scalar
) -> tuple[EnergyTerms | None, tuple[Array, Array] | None]:
    """Return the terms of the step's energy identity and the modified energies on both sides of it."""
    if not isinstance(scheme, AuxiliaryScheme):
        return None, None
    terms = scheme.energy_terms(part, before, after, h)
    start = before if getattr(scheme, "carries_auxiliary", True) else before._replace(aux=None)
    return terms, (scheme.modified_energy(part, start), scheme.modified_energy(part, after))


def _check_first(theta0: Array, theta: Array) -> None:
    """Raise ValueError if the first step has changed the dtype or the shape: something in the problem is of another."""
    if theta.dtype != theta0.dtype or theta.shape != theta0.shape:
        raise ValueError(
            f"a step must keep theta's shape {theta0.shape} and dtype {theta0.dtype}, got {theta.shape} and {theta.dtype}: "
            "a function of the problem (inner, hvp) returns another one"
        )


def _standstill(problem: Problem, scheme: Scheme, state: Any, h: float, slope: float, still: int) -> tuple[Status, str]:
    """Tell a stationary point from an iterate that a tiny step or a collapsed auxiliary variable holds fast."""
    admissible = getattr(scheme, "admissible", None)
    if admissible is not None and not admissible(problem, state.theta):
        return Status.INADMISSIBLE, "E + C is not positive, so the auxiliary variable is not defined"
    _, g = problem.energy_and_gradient(state.theta)
    norm = float(problem.inner(g, g)) ** 0.5
    if norm == 0:
        return Status.DONE, f"stationary point: no change in {still} steps and the gradient is zero"
    eps = float(array_namespace(g).finfo(g.dtype).eps)
    fresh = scheme
    if isinstance(scheme, AuxiliaryScheme) and getattr(scheme, "carries_auxiliary", True):
        fresh = Restart(scheme)
    if norm <= eps**0.5 * slope and _unchanged(fresh.step(problem, state, h).theta, state.theta):
        return Status.DONE, f"stationary to rounding: no change in {still} steps, gradient norm {norm:.3g}"
    return Status.STAGNATED, f"no bit of theta changed in {still} steps, yet the gradient has norm {norm:.3g}"


def _unchanged(old: Array, new: Array) -> bool:
    return bool(array_namespace(new).all(old == new))


def _progress_bar(progress: bool | str, total: int, done: int) -> Any:
    if not progress:
        return None
    from tqdm.auto import tqdm

    return tqdm(total=total, initial=done, desc=progress if isinstance(progress, str) else None, mininterval=0.2)
