"""The loop: the data of a run in progress, and the conditions that end it."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property
from math import inf, isfinite, isnan, nan
from typing import Any

import numpy as np

from ..description import found
from ..energies.gradient_regularized import GradientRegularized
from ..energies.protocols import Problem
from ..energies.terms import SumOfEnergies
from ..namespace import Array, is_array
from ..refusals import real_number
from ..schemes.protocols import AuxiliaryScheme, Chaining, Scheme, begun, scheme_ability
from .batches import prolong, restrict
from .checkpoint import Checkpoint
from .history import QUANTITIES, Moment, Quantity, recorded
from .progress import Bar
from .solution import Best, Snapshot, Solution, Status
from .states import check_state, is_finite, leaves, own_state, read_only_state, same_state, same_vector
from .steps import Attempt, Controller, Schedule, Verdict, hashed
from .stopping import Ending, Tolerance, standstill, unheld

__all__ = ["Run", "terms_of"]

GOOD = (Status.DONE, Status.CONVERGED, Status.STAGNATED)
"""Statuses that a number that is not finite overrides."""
PATIENCE = 10
"""Number of steps without a change in any bit of the state after which a run is tested for a standstill."""
CHECKPOINT_SECONDS = 10.0
"""Seconds between two checkpoints."""
MAX_REJECTED = 50
"""Refusals in a row after which a run ends as STAGNATED."""
SAME_TIME = 1e-6
"""A step that would end this close before a time to be hit, relative to its size, ends there: more than what rounding
adds to the sum of a million sizes."""
RESUMED = ("moved", "still", "held", "sizes", "broken")
"""What a stored run keeps of the data below in `Solution.resume`."""


@dataclass
class Run:
    """The data of a run in progress."""

    problem: Problem
    """The problem of all samples."""
    scheme: Scheme
    """The scheme."""
    theta0: Array
    """Initial parameters, (P,)."""
    controller: Controller
    """Chooses the sizes of the steps."""
    quantities: dict[str, Quantity]
    """The recorded quantities."""
    config: dict[str, Any]
    """What identifies the run."""
    batches: int
    """Steps in an epoch."""
    every: int
    """Steps between records."""
    total: float
    """Total number of steps, infinite if a time ends the run."""
    state: Any
    """The last finite state."""
    control: Any
    """The controller's state."""
    store: Checkpoint
    """The file in which the run is stored."""
    callback: Callable[[int, Any], object] | None = None
    """Called after each step."""
    wanted: tuple[float, ...] = ()
    """Steps or times of the snapshots."""
    stops: tuple[float, ...] = ()
    """Times to hit, in order."""
    stop: Tolerance | None = None
    """Stopping tolerances."""
    t_end: float | None = None
    """The time that ends the run."""
    done: int = 0
    """Steps taken."""
    elapsed: float = 0.0
    """Time, the sum of the sizes."""
    clock: float = 0.0
    """Elapsed seconds in steps."""
    cpu: float = 0.0
    """Processor seconds in steps."""
    rejected: int = 0
    """Number of refused steps."""
    unsolved: int = 0
    """Number of unsolved steps."""
    left: str = ""
    """What the last unsolved step left unsolved."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Records."""
    best: Best | None = None
    """The lowest recorded energy."""
    snapshots: list[Snapshot] = field(default_factory=list)
    """The snapshots so far."""
    moved: bool = False
    """Whether theta has changed since the start."""
    still: int = 0
    """Steps without a change in the state."""
    held: int = 0
    """Steps without a change in theta."""
    proposed: float = 0.0
    """Size that the controller proposed last."""
    sizes: str = ""
    """Hash of the sizes proposed by a function of the step number."""
    known: tuple[int, Any] = (0, None)
    """Number of a step, and the energy of the full problem after it if the step has evaluated it."""
    broken: bool = False
    """Whether the last row has no numbers."""
    good: tuple[Any, int, float, Any] | None = None
    """State, step, time and control of the last record with a finite energy."""
    place: str = ""
    """What of the user was running."""
    shortened: bool = False
    """Whether the last step was shortened to hit a time; it then says nothing about convergence."""
    last: tuple[Problem, Any, Any, float] | None = None
    """Problem, states before and after, and size of the last step."""
    ending: Ending | None = None
    """How the run ends; None while it is in progress."""
    error: BaseException | None = None
    """The exception that broke the run off: an interruption, or what a function of the user raised."""

    @cached_property
    def chained(self) -> Chaining | None:
        """The scheme if it hands the evaluation at the new state to the next step."""
        return self.scheme if isinstance(self.scheme, Chaining) else None

    @cached_property
    def foreign(self) -> bool:
        """Whether scheme, problem or a part of one, however deep, is not the library's, so that it may use arrays again."""
        return not all(kind.__module__.startswith("gradflow.") for kind in _kinds(self.scheme, self.problem))

    def take_up(self, kept: Solution) -> None:
        """Continue from the end of a stored run.

        Parameters
        ----------
        kept : Solution
            The stored run.
        """
        self.state, self.done, self.control = read_only_state(kept.state), kept.steps, kept.control
        self.clock, self.cpu, self.rejected, self.unsolved = kept.wall_time, kept.cpu_time, kept.rejected, kept.unsolved
        self.best, self.snapshots = kept.best, list(kept.snapshots)
        self.rows = [dict(zip(kept.history, row, strict=True)) for row in zip(*kept.history.values(), strict=True)]
        self.elapsed = float(self.rows[-1]["time"])
        if kept.resume.get("broken"):  # there are no numbers where it broke off
            self.rows.pop()
        self.rows = [row for row in self.rows if row["step"] % self.every == 0]  # a continued run has no final record
        self.sizes = kept.resume.get("sizes", "")
        self.moved, self.still, self.held = (kept.resume.get(name, 0) for name in ("moved", "still", "held"))

    def go(self, problems: Iterator[Problem], progress: bool | str) -> None:
        """Make the steps.

        Parameters
        ----------
        problems, progress : iterator of Problem, bool or str
            The problem of each step, and whether a bar is shown, or its label.
        """
        bar = Bar(progress, self.total, self.done)
        try:
            if self.done % self.every == 0 and not self._is_recorded():
                self._record()
            self._keep_snapshots()
            if self.ending is None and not self._at_end():
                self._loop(problems, bar)
            self._finish()
        except BaseException as error:  # sys.exit() too loses no run
            self.error, pressed = error, isinstance(error, KeyboardInterrupt)
            raised = f"{type(error).__name__} after step {self.done}: {error}"
            self.ending = Ending(Status.STOPPED, f"interrupted after step {self.done}" if pressed else raised)
            self._break_off(ask=pressed)
        finally:
            bar.close()

    def _loop(self, problems: Iterator[Problem], bar: Bar) -> None:
        """Take steps until the run ends."""
        handed, previous, last_save = None, None, time.monotonic()
        for part in problems:
            if part is not previous:
                handed, previous = None, part
            t0, c0 = time.perf_counter(), time.process_time()
            before = restrict(self.scheme, part, self.state)
            made = self._attempt(part, before, handed)
            self.clock, self.cpu = self.clock + time.perf_counter() - t0, self.cpu + time.process_time() - c0
            if made is None:
                return
            after, handed, h, end, control = made
            old, new = self.state, prolong(self.scheme, part, self.state, after)
            self.last = (part, before, after, h)
            left = scheme_ability(self.scheme, "unsolved")(new)
            unsolved, left = self.unsolved + bool(left), left or self.left
            rejected = self.rejected + bool(scheme_ability(self.scheme, "rejected")(new))
            sizes = hashed([self.proposed], self.sizes) if isinstance(self.controller, Schedule) else self.sizes
            # in one statement: an interruption never finds the state of one step with the number of another
            self.state, self.done, self.elapsed, self.control, self.sizes = new, self.done + 1, end, control, sizes
            self.unsolved, self.left, self.rejected = unsolved, left, rejected
            self._count(old)
            bar.update(self.rows[-1], Moment(part, self.scheme, self.state, None, None))
            free = not (self.shortened or scheme_ability(self.scheme, "shortened")(new))
            self._keep_snapshots()
            last = self._at_end()
            if self.done % self.every == 0 or last:
                self._record()
                if self.stop is not None and self.ending is None:
                    settled = free and self.controller.propose(self.control, self.done) <= 2 * h
                    met = self.stop.met(self.problem, self.scheme, old, new, h, self.theta0, by_step=settled)
                    self.ending = Ending(Status.CONVERGED, f"step {self.done}: {met}") if met else None
            if self.ending is None and self.callback is not None and self._asked(self.callback):
                self.ending = Ending(Status.STOPPED, f"the callback stopped the run after step {self.done}")
            if self.ending is None:
                self._watch(part, h, last)
            if self.ending is None and self.store.terminated:
                self.ending = Ending(Status.STOPPED, f"terminated after step {self.done}")
            if self.ending is not None or last:
                return
            storable = self.store.file is not None and self._is_recorded()
            if storable and time.monotonic() - last_save > CHECKPOINT_SECONDS:
                self.store.save(self.solution())
                last_save = time.monotonic()

    def _attempt(self, part: Problem, before: Any, handed: Any) -> tuple[Any, Any, float, float, Any] | None:
        """Return the state after an accepted step, its evaluation, size, end time and control; None if the run ends."""
        control, refused = self.control, 0
        for _ in range(MAX_REJECTED):
            proposed = self.controller.propose(control, self.done)
            self.proposed = real_number("the step size of the controller", proposed, 0, open_low=True)
            h, end = self._shorten(self.proposed)
            self.shortened = h < 0.99 * self.proposed
            if not self.elapsed < end < inf:
                status = Status.STAGNATED if end < inf else Status.NONFINITE
                self.ending = Ending(
                    status, f"step {self.done + 1}: the step size {h:.3g} does not change the time {self.elapsed:.3g}"
                )
                return None
            at_new = None
            if self.chained is not None:
                after, at_new = self.chained.step_evaluated(part, before, h, handed)
            else:
                after = self.scheme.step(part, before, h)
            energy = scheme_ability(self.scheme, "known_energy")(at_new) if part is self.problem else None
            self.known = self.done + 1, energy
            check_state(self.theta0, before, after)
            if self.foreign:  # it may use its arrays again
                after, at_new = own_state(after), own_state(at_new) if isinstance(at_new, tuple) else None
            after, trouble = read_only_state(after), self._trouble(part, after)
            attempt = Attempt(part, self.scheme, before, after, h, trouble is None)
            accepted, control = _checked(self.controller.judge(control, attempt))
            if accepted and trouble is not None:
                self.rejected += refused
                self.ending = Ending(trouble.status, f"step {self.done + 1}: {trouble.message}")
                return None
            if accepted:
                self.rejected += refused
                return after, at_new, h, end, control
            refused += 1
        self.rejected += refused
        why = f"the controller refused {MAX_REJECTED} steps in a row, the last of size {h:.3g}"
        self.ending = Ending(Status.STAGNATED, f"step {self.done + 1}: {why}")
        return None

    def _shorten(self, h: float) -> tuple[float, float]:
        """Return the size of a step, about h at most, and the time at its end, exact if it is a time to hit."""
        k = bisect_right(self.stops, self.elapsed)
        if k < len(self.stops) and self.stops[k] - self.elapsed <= h * (1 + SAME_TIME):
            return self.stops[k] - self.elapsed, self.stops[k]
        return h, self.elapsed + h

    def _trouble(self, part: Problem, after: Any) -> Ending | None:
        """Return how the run ends if the state after a step is not finite, otherwise None."""
        if all(map(is_finite, leaves(after))):
            return None
        for at in (self.state.theta, after.theta):
            if is_finite(at) and isfinite(float(part.energy(at))):
                why = scheme_ability(self.scheme, "undefined")(part, at)
                if why:
                    return Ending(Status.INADMISSIBLE, why)
        return Ending(Status.NONFINITE, "the new state is not finite; the last finite state is kept")

    def _count(self, old: Any) -> None:
        """Count the steps without a change, of theta and of the whole state."""
        if self.shortened:
            return
        if not same_vector(old.theta, self.state.theta):
            self.moved, self.still, self.held = True, 0, 0
            return
        self.held += 1
        self.still = self.still + 1 if same_state(self.scheme, old, self.state) else 0

    def _watch(self, part: Problem, h: float, last: bool) -> None:
        """End a run that no longer moves.

        The whole state is compared: a scheme that rejects steps and shrinks a radius still moves. Two more runs end
        here: one in which only the auxiliary variable holds theta, and, at its last step, one in which theta has never
        moved, unless that step was a rejected trial after which the next one is another.
        """
        if self.held == 0 or self.shortened:
            return
        searching = self.still == 0 and bool(scheme_ability(self.scheme, "rejected")(self.state))
        patience = scheme_ability(self.scheme, "patience")
        at_rest = self.still >= max(PATIENCE, self.batches, patience) or (last and not self.moved and not searching)
        if not at_rest and self.held >= patience and (last or self.held % PATIENCE == 0):
            fresh = unheld(self.scheme)
            at_rest = fresh is not self.scheme and not same_vector(
                fresh.step(part, self.state, h).theta, self.state.theta
            )
        if at_rest:
            ending = standstill(self.problem, self.scheme, self.state, h, self.theta0, self.held)
            if not (last and ending.status is Status.DONE and self.still < PATIENCE):
                self.ending = ending

    def _record(self) -> None:
        """Add a row to the history; end the run if a number in it is not finite."""
        terms = energies = None
        if self.last is not None and isinstance(self.scheme, AuxiliaryScheme):
            part, before, after, h = self.last
            terms = self.scheme.energy_terms(part, before, after, h)
            start = begun(self.scheme, before)
            energies = self.scheme.modified_energy(part, start), self.scheme.modified_energy(part, after)
            if all(isnan(float(term)) for term in terms):  # the scheme has no identity here
                terms = None
        known = self.known[1] if self.known[0] == self.done else None
        at, row = Moment(self.problem, self.scheme, self.state, energies, terms, known), self._place_in_time()
        bad = None
        for name, quantity in self.quantities.items():
            value = quantity(at)
            row[name] = recorded(name, value)
            if value is not None and name in QUANTITIES and not isfinite(row[name]):  # a user's own quantity may be NaN
                if self.done == 0 and name == "energy":
                    raise ValueError(f"the energy at theta0 must be finite, got {row[name]}")
                what = "the energy" if name == "energy" else f"the recorded {name}"
                bad = Ending(Status.NONFINITE, f"step {self.done}: {what} is not finite")
        if bad is not None and (self.ending is None or self.ending.status in GOOD):
            self.ending = bad
        if self._is_recorded():
            self.rows.pop()
        if bad is not None and self.good is not None and not isfinite(row.get("energy", 0.0)):
            self._go_back()
            return
        self.good = (self.state, self.done, self.elapsed, self.control)
        self.rows.append(row)
        energy = row.get("energy", inf)
        if energy < (inf if self.best is None else self.best.energy):
            self.best = Best(self.state.theta, energy, self.done)

    def _go_back(self) -> None:
        """Return to the last record with a finite energy."""
        assert self.good is not None
        self.state, self.done, self.elapsed, self.control = self.good
        self.snapshots = [snapshot for snapshot in self.snapshots if snapshot.step <= self.done]
        message = self.ending.message if self.ending else ""
        self.ending = Ending(
            Status.NONFINITE, f"{message}; the last record with a finite energy, step {self.done}, is kept"
        )

    def _asked(self, callback: Callable[[int, Any], object]) -> bool:
        """Return whether the callback asks for the end."""
        self.place = "in the callback "
        answer = callback(self.done, self.state)
        self.place = ""
        if getattr(answer, "shape", ()) != ():
            raise ValueError(f"callback must return a truth value, got {found(answer)}")
        return bool(answer)

    def _break_off(self, *, ask: bool) -> None:
        """Add the end to the history; as NaN, if the problem must not be evaluated or its evaluation fails."""
        if self._is_recorded():
            return
        try:
            if ask:
                self._record()
        except BaseException:
            ask = False
        if not ask:
            self.broken = True
            self.rows.append(self._place_in_time() | dict.fromkeys(self.quantities, nan))

    def _place_in_time(self) -> dict[str, Any]:
        """Return the first entries of a record."""
        return {"step": self.done, "epoch": self.done / self.batches, "time": self.elapsed}

    def _is_recorded(self) -> bool:
        """Return whether the last record is of this step."""
        return bool(self.rows) and bool(self.rows[-1]["step"] == self.done)

    def _keep_snapshots(self) -> None:
        """Keep theta if this step or time is one of the snapshots."""
        here = self.done if self.t_end is None else self.elapsed
        if here in self.wanted and not any(s.step == self.done for s in self.snapshots):
            self.snapshots.append(Snapshot(self.done, self.elapsed, own_state(self.state.theta)))

    def _at_end(self) -> bool:
        """Return whether all steps are taken or the end time is reached."""
        return self.done >= self.total if self.t_end is None else self.elapsed >= self.t_end

    def _finish(self) -> None:
        """Record the end, and set how the run ended if that is still open."""
        if not self._is_recorded():
            self._record()
        if self.ending is None:
            how = f"all {self.done} steps taken"
            if self.t_end is not None:
                how = f"t_end = {self.t_end:g} reached in {self.done} steps"
            self.ending = Ending(Status.DONE, how)
        unseen = self.ending.status in GOOD and self.batches == 1 and "energy" not in self.quantities
        if unseen and self.known[0] == self.done and self.known[1] is not None:
            unseen = not isfinite(float(self.known[1]))
        if unseen and not isfinite(float(self.problem.energy(self.state.theta))):
            self.ending = Ending(Status.NONFINITE, f"step {self.done}: the energy is not finite")

    def _warnings(self) -> tuple[str, ...]:
        """Return what a reader of the result should know."""
        found = []
        if self.unsolved:
            found.append(
                f"{self.unsolved} of {self.done} steps are not solved: {self.left or 'as the stored run says'}"
            )
        if self.best is not None:
            first, last = self.rows[0]["energy"], self.rows[-1]["energy"]
            if first + 1e-12 * abs(first) < last < inf:
                found.append(
                    f"the energy rose from {first:.6g} to {last:.6g}; its lowest was {self.best.energy:.6g} at step {self.best.step}"
                )
        return tuple(found)

    def solution(self) -> Solution:
        """Return the run so far."""
        names = [*self._place_in_time(), *self.quantities]
        history = {name: np.asarray([row[name] for row in self.rows]) for name in names}
        status, message = self.ending or Ending(Status.STOPPED, f"stored after step {self.done}")
        notes = self._warnings()
        state = own_state(self.state)
        resume = {name: getattr(self, name) for name in RESUMED}
        best = None if self.best is None else self.best._replace(theta=own_state(self.best.theta))
        return Solution(
            state.theta, state, history, status, "; ".join([message, *notes]), self.config, self.done, self.clock, self.cpu,
            best, tuple(self.snapshots), notes, self.rejected, self.unsolved, self.control, resume, self.problem,
        )  # fmt: skip


def terms_of(problem: Any) -> Iterator[Any]:
    """Yield a problem and, of a sum, its terms, of a regularized one what it wraps, and so on.

    Parameters
    ----------
    problem : Problem
        The problem.
    """
    yield problem
    if isinstance(problem, SumOfEnergies):
        for term in problem.terms:
            yield from terms_of(term)
    elif isinstance(problem, GradientRegularized):
        yield from terms_of(problem.wrapped)


def _kinds(scheme: Any, problem: Any) -> Iterator[type]:
    """Yield the types of a scheme and a problem, and of their parts: fields of dataclasses, entries of tuples, terms of sums."""
    yield from map(type, terms_of(problem))
    parts = [scheme]
    while parts:
        part = parts.pop()
        if isinstance(part, (tuple, list)):
            parts.extend(part)
        elif is_dataclass(part):
            yield type(part)
            parts.extend(getattr(part, f.name) for f in fields(part))
        elif part is not None and not isinstance(part, (str, int, float)) and not is_array(part):
            yield type(part)


def _checked(verdict: Any) -> Verdict:
    """Return what a controller's ``judge`` returned, or raise ValueError unless it is a truth value and a state."""
    if not isinstance(verdict, tuple) or len(verdict) != 2 or not isinstance(verdict[0], (bool, np.bool)):
        raise ValueError(f"judge of the controller must return a Verdict, got {found(verdict)}")
    return Verdict(bool(verdict[0]), verdict[1])
