"""The one loop of the library: batches, step sizes, history, callbacks, checkpoints, status.

A scheme works without it: ``state = scheme.step(problem, state, dt)``. The loop adds what a study needs around the
steps. It never raises for numerical trouble: a step whose result is not finite is not taken, and the run ends with a
`Status` and the last finite state. States are passed out read-only, so that no user function can change one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from math import inf
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np

from ..description import describe, found
from ..energies.dense import DenseLeastSquares
from ..energies.linear import Diagonal, LinearPart, as_linear_part
from ..energies.probes import check_inner, check_operator
from ..energies.protocols import Problem, linear_part, problem_ability
from ..namespace import Array, blas_threads, quiet
from ..refusals import instance, one_of, real_array, real_number, whole_number
from ..schemes.protocols import Scheme, scheme_ability
from .archive import pack
from .batches import parts, steps_per_epoch
from .checkpoint import Checkpoint
from .history import Record, resolve
from .identity import configuration, continued, probe
from .loop import Run
from .solution import Solution, Status
from .states import check_state, own_state, read_only_state
from .steps import Controller, Fixed, Schedule
from .stopping import STATIONARY, Tolerance

__all__ = ["solve"]

SMALL_STEP = 6 * 10**6
"""Samples times parameters up to which a step uses one BLAS thread (64 x 42 000 is below, 256 x 42 000 above).

Measured on two idle cores, 64 x 42 000: a gradient step takes 0.18 ms on one thread and 0.15 ms on two. When another
process uses one core, it takes 0.2 ms against 4 to 6 ms, because OpenBLAS threads wait for each other by spinning."""


def solve(
    problem: Problem,
    scheme: Scheme,
    theta0: Array,
    *,
    dt: float | Callable[[int], float] | Controller | None = None,
    steps: int | None = None,
    epochs: int | None = None,
    t_end: float | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    record: Record | None = None,
    every: int | None = None,
    snapshots: Sequence[float] = (),
    stop: Tolerance | None = None,
    callback: Callable[[int, Any], object] | None = None,
    progress: bool | str = False,
    checkpoint: str | Path | None = None,
    on_interrupt: str = "raise",
    threads: int | None = None,
) -> Solution:
    """Run a scheme on a problem.

    Parameters
    ----------
    problem : Problem
        The energy. It has ``batch(indices)`` and ``n_samples`` if `batch_size` is given. A problem with ``at_step(n)``,
        such as `SmoothedParticles`, changes from step to step: step n is made on ``at_step(n)`` of the problem or of
        the batch.
    scheme : Scheme
        Any scheme of the library, or yours.
    theta0 : array (P,)
        Initial parameters, floating, finite. Copied.
    dt : float, callable or controller, optional
        Step size > 0 (a time; the learning rate of first-order methods), a function of the step number 0, 1, ..., or a
        controller such as `ByError`. It may be left out if the scheme has a usual one: 1, the full step, for second-order
        methods.
    steps, epochs, t_end : int, int, float
        Length of the run; give exactly one of the three. An epoch is one pass through the data, or one step without
        `batch_size`. The time `t_end` is hit exactly: the last step is shortened.
    batch_size : int, optional
        Size of the mini-batches, drawn without replacement in an order that ``(seed, epoch)`` determines. The last
        ``n_samples % batch_size`` samples of each epoch are dropped.
    seed : int, optional
        Seed of the order. By default it is drawn, and kept in ``config``.
    record : iterable, optional
        Names from `gradflow.run.history.QUANTITIES`, names that the scheme declares as ``records``, or pairs ``(name,
        function)``, where the function maps the state to a number. Energies are those of the full problem. Default: the
        energy, and the modified energy if there is one.
    every : int, optional
        Steps between records; one epoch by default. The start and the end are always recorded.
    snapshots : sequence of float, optional
        When to keep theta in ``Solution.snapshots``: numbers of steps or, with `t_end`, times, which are hit exactly.
    stop : Tolerance, optional
        Tolerances, tested at every record; the run ends ``CONVERGED`` when one is met.
    callback : callable, optional
        Called as ``callback(step, state)`` after each step; a true return value stops the run.
    progress : bool or str
        Show a progress bar, labelled with the string if one is given. It shows the energy and the ``auxiliary_ratio``.
    checkpoint : path, optional
        Store the run in this file (at records, every 10 s at most), and continue from the file if it exists. A file of
        other settings, or one that another run is using, is refused. Functions are compared by their values at theta0
        and at a point near it. SIGTERM then ends the run in good order, and the program with exit status 143. A result
        that cannot be stored is returned with a warning.
    on_interrupt : {"raise", "return"}
        What Ctrl-C does once the checkpoint is written: raise ``KeyboardInterrupt``, so that a sweep ends, or return
        the run as ``STOPPED``. The attribute ``solution`` of the exception holds the run.
    threads : int, optional
        BLAS threads during the run. By default one for small steps (`SMALL_STEP`), where a second thread gains little
        and on a busy machine costs a factor of 30 in waiting; otherwise the setting of BLAS is kept.

    Returns
    -------
    Solution
        The last finite state, the recorded quantities, and how the run ended.

    Raises
    ------
    ValueError
        If an argument is invalid, a function of the problem returns a wrong value, or the scheme cannot run on the
        problem.
    Exception
        Whatever a user function raises, with a note that names the step, and with the attribute ``solution``, the run
        up to the step before.
    """
    real_array("theta0", theta0, {"P": None}, low=-inf)
    linear = _linear_parts(problem, scheme, theta0)
    batches = steps_per_epoch(problem, batch_size)
    if sum(way is not None for way in (steps, epochs, t_end)) != 1:
        given = f"steps={steps!r}, epochs={epochs!r}, t_end={t_end!r}"
        raise ValueError(f"give steps, epochs or t_end, exactly one of the three; got {given}")
    if t_end is not None:
        t_end, total = real_number("t_end", t_end, 0, open_low=True), inf
    else:
        total = whole_number("steps", steps) if epochs is None else whole_number("epochs", epochs) * batches
    every = batches if every is None else whole_number("every", every, 1)
    threads = None if threads is None else whole_number("threads", threads, 1)
    seed = None if seed is None else whole_number("seed", seed, 0)
    instance("callback", callback, (Callable, NoneType), "a function of (step, state)")
    instance("stop", stop, (Tolerance, NoneType), "a Tolerance")
    instance("progress", progress, (bool, str), "True, False or a text")
    one_of("on_interrupt", on_interrupt, ("raise", "return"))
    quantities = resolve(record, scheme)
    dt = scheme_ability(scheme, "usual_dt") if dt is None else dt
    if dt is None:
        raise ValueError(f"dt must be given: {type(scheme).__name__} has no usual step size")
    controller = _controller(dt)
    wanted = _snapshot_places(snapshots, t_end, total)
    samples = problem_ability(problem, "n_samples") if batch_size is None else batch_size
    if threads is None and samples is not None and samples * theta0.shape[0] <= SMALL_STEP:
        threads = 1
    with Checkpoint(checkpoint) as store:
        kept = store.kept()
        if batch_size is not None and seed is None:
            drawn = int(np.random.SeedSequence().generate_state(1)[0])
            seed = drawn if kept is None else kept.config.get("seed")
        start = read_only_state(own_state(theta0))
        settings = {
            "dt": _described(controller),
            "t_end": t_end,
            "batch_size": batch_size,
            "seed": seed,
            "every": every,
            "record": list(quantities),
            "snapshots": list(wanted),
            "stop": describe(stop),
        }
        config = configuration(problem, scheme, start, settings)
        with quiet():
            try:
                state = scheme.init(problem, start)
            except ValueError as error:
                explained = _explained(error, problem, start)
                if explained is error:
                    raise
                raise explained from error
            check_inner(problem.inner, start)
            for name, part in linear:
                check_operator(name, part, problem.inner, start, controller.propose(controller.init(), 0))
            check_state(start, None, state)
            run = Run(
                problem, scheme, start, controller, quantities, config, batches, every, total,
                read_only_state(own_state(state)), controller.init(), store, callback,
                wanted=wanted, stops=() if t_end is None else tuple(sorted({*wanted, t_end})), stop=stop, t_end=t_end,
            )  # fmt: skip
            if store.file is not None:
                pack({}, {"state": state})  # a state that cannot be stored is refused before the run starts
                config["probe"] = probe(run, linear)
        if kept is not None:
            kept = continued(run, kept, checkpoint)
            if kept.status is Status.DONE and (kept.steps == total or kept.history["time"][-1] == t_end):
                return kept
            if kept.status not in (Status.DONE, Status.STOPPED) or kept.message.startswith(STATIONARY):
                return replace(kept, message=f"{kept.message} (stored in {store.file}; no step was taken)")
            run.take_up(kept)
        with quiet(), blas_threads(threads):
            run.go(parts(problem, batch_size, seed, run.done, total), progress)
        solution = run.solution()
        failure = None
        if run.done or run.error is None or isinstance(run.error, KeyboardInterrupt):
            try:
                failure = store.save(solution)
            except KeyboardInterrupt as press:
                run.error, failure = press if run.error is None else run.error, store.save(solution)
        if failure is not None:
            solution = replace(solution, warnings=(*solution.warnings, failure))
        returned = on_interrupt == "return" and isinstance(run.error, KeyboardInterrupt)
        if run.error is not None and not returned:
            if run.done == 0:
                run.error = _explained(run.error, problem, start)
            _annotate(run.error, run, solution, failure)
            raise run.error
        if failure is not None:
            try:
                warnings.warn(failure, RuntimeWarning, stacklevel=2)
            except RuntimeWarning as warning:  # where warnings are errors, the result is in the error
                warning.solution = solution  # type: ignore[attr-defined]
                raise
        return solution


def _snapshot_places(snapshots: Any, t_end: float | None, total: float) -> tuple[float, ...]:
    """Return the numbers of steps, or the times, at which theta is kept."""
    if isinstance(snapshots, np.ndarray) and snapshots.ndim == 1:
        snapshots = snapshots.tolist()
    places = tuple(instance("snapshots", snapshots, (list, tuple, range), "a sequence of steps or times"))
    if t_end is None:
        return tuple(whole_number("snapshots", place, 0, int(total)) for place in places)
    return tuple(real_number("snapshots", place, 0, t_end) for place in places)


def _controller(dt: Any) -> Controller:
    """Return the controller for a step size, a function of the step number, or a controller."""
    if isinstance(dt, Controller) and not isinstance(dt, type):
        return dt
    return Schedule(dt) if callable(dt) and not isinstance(dt, type) else Fixed(dt)


def _described(controller: Controller) -> Any:
    """Return the step size as JSON values: a number, that it is a function, or the fields of a controller."""
    if isinstance(controller, Fixed):
        return controller.dt
    return "a function of the step number" if isinstance(controller, Schedule) else describe(controller)


def _linear_parts(problem: Any, scheme: Any, theta: Array) -> list[tuple[str, LinearPart]]:
    """Return the linear parts of a run by their names.

    Raise ValueError unless problem and scheme have their methods, and arrays of the shape and dtype of theta.

    A mass, an energy part or a stabilization of another dtype would promote the state. One of another length would be
    broadcast.
    """
    methods = ("energy", "energy_and_gradient", "inner"), ("init", "step")
    for name, value, wanted in zip(("problem", "scheme"), (problem, scheme), methods, strict=True):
        if isinstance(value, type) or not all(callable(getattr(value, method, None)) for method in wanted):
            raise ValueError(f"{name} must be an instance with the methods {', '.join(wanted)}, got {found(value)}")
    linear = [("linear", linear_part(problem))]
    while scheme is not None:
        linear.append(("stabilization", as_linear_part(scheme_ability(scheme, "stabilization"), "stabilization")))
        scheme = scheme_ability(scheme, "base")
    for name, value in [("mass", problem_ability(problem, "mass")), *linear]:
        array: Any = value.diagonal if isinstance(value, Diagonal) else value
        if getattr(array, "ndim", 0) and (array.shape != theta.shape or str(array.dtype) != str(theta.dtype)):
            wanted_form = f"theta's shape {theta.shape} and dtype {theta.dtype}"
            raise ValueError(f"{name} must have {wanted_form}, got {array.shape} and {array.dtype}")
    return linear


def _explained(error: BaseException, problem: Problem, theta0: Array) -> BaseException:
    """Return the refusal of a start, with the rows in which the residual is not finite there, if there are any."""
    why = ""
    if isinstance(error, ValueError) and isinstance(problem, DenseLeastSquares):
        with suppress(Exception):
            why = problem.why_not_finite(theta0)
    if not why:
        return error
    explained = ValueError(f"{error}: {why}")
    explained.__cause__ = error
    return explained


def _annotate(error: BaseException, run: Run, solution: Solution, failure: str | None) -> None:
    """Say when the run broke off, and keep it up to there."""
    where = f"in step {run.done + 1} of gradflow.solve, or at the records of the step before"
    if run.place:
        where = f"{run.place}after step {run.done} of gradflow.solve"
    with suppress(Exception):
        error.add_note(f"raised {where}; the run up to step {run.done} is in `solution` of this exception")
    if failure is not None:
        with suppress(Exception):
            error.add_note(failure)
    with suppress(Exception):
        error.solution = solution  # type: ignore[attr-defined]
