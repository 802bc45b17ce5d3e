"""The one loop of the library: batches, history, callbacks, checkpoints, status.

A scheme works without it (``state = scheme.step(problem, state, dt)``); what is added here is what a study needs around
the steps. The loop never raises for numerical trouble: a step whose result is not finite is not taken, and the run ends
with a `Status` and the last finite state.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from .batches import parts, prolong, restrict, steps_per_epoch
from .history import Moment, Record, default_record, resolve
from .linear import Scalar
from .namespace import Array, array_namespace, blas_threads, quiet
from .problem import Problem
from .schemes.protocols import AuxiliaryScheme, EnergyTerms, Scheme
from .solution import Solution, Status, describe

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
        With ``batch(indices)`` and ``n_samples`` if `batch_size` is given.
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
        Names from `gradflow.history.QUANTITIES`, or pairs ``(name, function of the state)``. Energies are those of the
        full problem. Default: the energy, and the modified energy if there is one.
    every : int, optional
        Steps between records; one epoch when left out. The start and the end are always recorded.
    callback : callable, optional
        Called as ``callback(step, state)`` after each step; a true return value stops the run.
    progress : bool or str
        Show a progress bar (labelled with the string).
    checkpoint : path, optional
        Keep the run in this file as it goes, and go on from there if the file exists. A file of other settings is refused.
    threads : int, optional
        BLAS threads during the run. Left out, one for steps so small (`SMALL_STEP`) that a second thread gains little
        and, on a busy machine, costs a factor of 30 in waiting; otherwise what BLAS is set to.

    Returns
    -------
    Solution

    Raises
    ------
    ValueError
        For anything wrong with the arguments, or with the scheme on this problem at the start.
    """
    _check_theta(theta0)
    batches = steps_per_epoch(problem, batch_size)
    total = _total_steps(steps, epochs, batches)
    if every is not None and (not isinstance(every, int) or every < 1):
        raise ValueError(f"every must be a whole number >= 1, got {every!r}")
    record = tuple(default_record(scheme) if record is None else record)
    quantities = resolve(record)
    every = batches if every is None else every
    step_size = _step_size(dt)
    if batch_size is not None and seed is None:
        seed = int(np.random.SeedSequence().generate_state(1)[0])
    config = _config(problem, scheme, theta0, dt, batch_size, seed, every, tuple(quantities))

    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise ValueError(f"threads must be a whole number >= 1, got {threads!r}")
    samples = getattr(problem, "n_samples", None) if batch_size is None else batch_size
    if threads is None and samples is not None and samples * theta0.shape[0] <= SMALL_STEP:
        threads = 1
    state = scheme.init(problem, theta0)
    done, clock, cpu, elapsed = 0, 0.0, 0.0, 0.0
    rows: list[dict[str, Any]] = []
    if checkpoint is not None and (kept := _resume(checkpoint, config)) is not None:
        if kept.steps > total:
            raise ValueError(f"{checkpoint} holds a run of {kept.steps} steps, more than the {total} asked for")
        state, done, clock, cpu = kept.state, kept.steps, kept.wall_time, kept.cpu_time
        rows = [dict(zip(kept.history, row, strict=True)) for row in zip(*kept.history.values(), strict=True)]
        elapsed = float(rows[-1]["time"])
        if kept.status not in (Status.DONE, Status.STOPPED):
            return kept

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
        if not rows:
            note(None, None, step_size(0))
        try:
            for part in parts(problem, batch_size, seed, done, total):
                h = step_size(done)
                t0, c0 = time.perf_counter(), time.process_time()
                before = restrict(scheme, part, state)
                after = scheme.step(part, before, h)
                trouble = _trouble(scheme, part, state.theta, after)
                if trouble is None:
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
                if callback is not None and callback(done, state):
                    status, message = Status.STOPPED, f"the callback stopped the run after step {done}"
                    break
                size, previous = float(state.theta @ state.theta), size
                still = still + 1 if size == previous and _unchanged(old.theta, state.theta) else 0
                if still >= max(PATIENCE, batches):
                    status, message = _standstill(problem, state, still)
                    break
                due = checkpoint is not None and time.monotonic() - last_save > CHECKPOINT_SECONDS
                if checkpoint is not None and due and rows[-1]["step"] == done:
                    result().save(checkpoint)
                    last_save = time.monotonic()
        except KeyboardInterrupt:
            status, message = Status.STOPPED, f"interrupted after step {done}"
        if rows[-1]["step"] != done:
            note(None, None, step_size(done))
    if bar is not None:
        bar.close()
    solution = result()
    if checkpoint is not None:
        solution.save(checkpoint)
    return solution


def _check_theta(theta: Array) -> None:
    if getattr(theta, "ndim", None) != 1 or theta.shape[0] == 0:
        raise ValueError(f"theta0 must have shape (P,), got {getattr(theta, 'shape', theta)!r}")
    xp = array_namespace(theta)
    if not xp.isdtype(theta.dtype, "real floating"):
        raise ValueError(f"theta0 must have a real floating dtype, got {theta.dtype}")
    if not bool(xp.all(xp.isfinite(theta))):
        raise ValueError("theta0 must be finite, got NaN or infinite entries")


def _total_steps(steps: int | None, epochs: int | None, batches: int) -> int:
    if (steps is None) == (epochs is None):
        raise ValueError(f"give steps or epochs, exactly one of the two; got steps={steps!r}, epochs={epochs!r}")
    name, count = ("steps", steps) if steps is not None else ("epochs", epochs)
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise ValueError(f"{name} must be a whole number >= 0, got {count!r}")
    return count if steps is not None else count * batches


def _step_size(dt: float | Callable[[int], float]) -> Callable[[int], float]:
    def checked(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float, np.floating)) or not 0 < value < float("inf"):
            raise ValueError(f"dt must be a finite number > 0, got {value!r}")
        return float(value)  # a NumPy double would promote a float32 state

    if callable(dt):
        return lambda n: checked(dt(n))
    fixed = checked(dt)
    return lambda n: fixed


def _config(
    problem: Problem,
    scheme: Scheme,
    theta0: Array,
    dt: float | Callable[[int], float],
    batch_size: int | None,
    seed: int | None,
    every: int,
    quantities: tuple[str, ...],
) -> dict[str, Any]:
    """Return all that a reader needs to repeat the run, as JSON values."""
    from . import __version__

    problem_config = describe(problem)
    return {
        "problem": problem_config if isinstance(problem_config, dict) else {"problem": problem_config},
        "scheme": describe(scheme),
        "theta0": describe(theta0),
        "dt": describe(dt) if callable(dt) else float(dt),
        "batch_size": batch_size,
        "seed": seed,
        "every": every,
        "record": list(quantities),
        "versions": {"gradflow": __version__, "numpy": np.__version__, "python": platform.python_version()},
    }


def _resume(path: str | Path, config: dict[str, Any]) -> Solution | None:
    try:
        kept = Solution.load(path)
    except FileNotFoundError:
        return None
    differing = [k for k in config if k != "versions" and kept.config.get(k) != config[k]]
    if differing:
        raise ValueError(f"{path} holds a run of other settings ({', '.join(differing)} differ): choose another file")
    return kept


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


def _unchanged(old: Array, new: Array) -> bool:
    return bool(array_namespace(new).all(old == new))


def _standstill(problem: Problem, state: Any, still: int) -> tuple[Status, str]:
    """Tell a stationary point from an iterate that rounding, or a collapsed auxiliary variable, holds fast."""
    _, g = problem.energy_and_gradient(state.theta)
    norm = float(problem.inner(g, g)) ** 0.5
    if norm == 0:
        return Status.DONE, f"stationary point: no change in {still} steps and the gradient is zero"
    return Status.STAGNATED, f"no bit of theta changed in {still} steps, yet the gradient has norm {norm:.3g}"


def _progress_bar(progress: bool | str, total: int, done: int) -> Any:
    if not progress:
        return None
    from tqdm.auto import tqdm

    return tqdm(total=total, initial=done, desc=progress if isinstance(progress, str) else None, mininterval=0.2)
