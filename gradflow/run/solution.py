"""What `solve` returns, and how it is stored: in one npz file, see `gradflow.run.archive`."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from io import StringIO
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..description import as_call
from ..energies.dense import DenseLeastSquares
from ..namespace import Array, is_array, is_number, quiet, to_numpy
from ..refusals import instance, one_of, real_array, whole_number
from ..schemes import REGISTRY
from ..schemes.protocols import scheme_ability
from ..schemes.usual_names import usual_name
from .archive import pack, unpack
from .fit import Covariance, covariance
from .report import table
from .states import is_finite, leaves
from .storage import previous_file, solution_file, write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

__all__ = ["Best", "Snapshot", "Solution", "Status"]

PLAIN = ("status", "message", "config", "steps", "wall_time", "cpu_time", "warnings", "rejected", "unsolved", "resume")
TREES = ("history", "theta", "state", "best", "snapshots", "control")


class Status(StrEnum):
    """How a run ended."""

    DONE = "done"
    """All steps were taken, or a stationary point was reached: exactly, or to the rounding of theta."""
    CONVERGED = "converged"
    """A stopping tolerance was met."""
    STOPPED = "stopped"
    """The callback or the user stopped the run."""
    NONFINITE = "nonfinite"
    """Divergence: the next state or its energy is not finite. The last finite state with a finite recorded energy is kept."""
    INADMISSIBLE = "inadmissible"
    """The energy left the set where the auxiliary variable is defined (E + C <= 0)."""
    STAGNATED = "stagnated"
    """No bit of the iterate changes any more, although a gradient step of this size would change it."""


class Best(NamedTuple):
    """The point of the lowest recorded energy."""

    theta: Array
    """The parameters there, (P,)."""
    energy: float
    """The energy there."""
    step: int
    """Number of steps up to that point."""


class Snapshot(NamedTuple):
    """The parameters at one moment of a run."""

    step: int
    """Number of steps up to that moment."""
    time: float
    """The time, the sum of dt."""
    theta: Array
    """The parameters there, (P,)."""


@dataclass(frozen=True, eq=False, repr=False)
class Solution:
    """The end of a run, with everything needed to repeat or judge it."""

    theta: Array
    """The last finite parameters, (P,)."""
    state: Any
    """The last finite state, a NamedTuple; `theta` is its first field."""
    history: Mapping[str, np.ndarray[Any, Any]]
    """Recorded quantities, each (number of records,), with ``step``, ``epoch`` and ``time``, the sum of dt."""
    status: Status
    """How the run ended."""
    message: str
    """The status in a sentence."""
    config: Mapping[str, Any]
    """Problem, scheme, step sizes, seeds, dtype and versions as plain JSON values. An array is described by its shape
    and a hash, a function by its name. A run with a checkpoint also has the energy and the gradient's norm at theta0
    and near it."""
    steps: int
    """Steps taken."""
    wall_time: float
    """Elapsed seconds in the steps, without recording and callbacks."""
    cpu_time: float
    """Processor seconds in the steps, all threads together."""
    best: Best | None = None
    """The point of the lowest recorded energy; None if the energy was not recorded."""
    snapshots: tuple[Snapshot, ...] = ()
    """The parameters at the requested steps or times."""
    warnings: tuple[str, ...] = ()
    """What a reader of the result should know, one sentence each."""
    rejected: int = 0
    """Steps that the step control refused."""
    unsolved: int = 0
    """Steps whose equations were not solved to the scheme's tolerance."""
    control: Any = None
    """The state of the step control, a NamedTuple of numbers; None without one."""
    resume: Mapping[str, Any] = field(default_factory=dict)
    """What the loop must know besides to go on: counters, as JSON values."""
    problem: Any = field(default=None, compare=False)
    """The problem that was solved; None in a run that was loaded, or sent to another process."""

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"problem": None}

    def check(self) -> Solution:
        """Return the solution itself; raise ``RuntimeError`` unless it is DONE, CONVERGED or STOPPED."""
        if self.status not in (Status.DONE, Status.CONVERGED, Status.STOPPED):
            raise RuntimeError(f"{self.status.value} after {self.steps} steps: {self.message}")
        return self

    def save(self, path: str | Path) -> Path:
        """Write the run to one file and return its path.

        An interrupted write leaves the old file whole. The old file is kept next to the new one, as
        ``run.npz.previous``.

        Parameters
        ----------
        path : str or Path
            With or without the suffix ``.npz``.

        Returns
        -------
        Path
            The npz file.

        Raises
        ------
        ValueError
            If the path does not name a file, or the run holds something that cannot be stored.
        OSError
            If the file cannot be written.
        """
        file = solution_file(path)
        values = {name: getattr(self, name) for name in (*PLAIN, *TREES)}
        values |= {"status": str(self.status), "warnings": list(self.warnings)}
        values |= {name: int(values[name]) for name in ("steps", "rejected", "unsolved")}
        values |= {name: float(values[name]) for name in ("wall_time", "cpu_time")}
        _require_sound(values)
        values |= {"config": dict(self.config), "resume": dict(self.resume)}
        data = pack({name: values[name] for name in PLAIN}, {name: values[name] for name in TREES})
        write_whole(file, data, keep=True)
        return file

    @classmethod
    def load(cls, path: str | Path) -> Solution:
        """Read what `save` wrote.

        Parameters
        ----------
        path : str or Path
            With or without the suffix ``.npz``.

        Returns
        -------
        Solution
            The saved run, with NumPy arrays. The state of a scheme from outside the library becomes a NamedTuple with
            the same name and fields.

        Raises
        ------
        ValueError
            If the file is damaged, has another format, or was not written by `save`.
        FileNotFoundError
            If there is no such file.
        """
        file = solution_file(path)
        if file.exists() and not file.is_file():  # reading a pipe or a device might not end
            raise ValueError(f"{file} must be a regular file")
        data = file.read_bytes()
        try:
            values = unpack(data, PLAIN, TREES)
            _require_sound(values)
        except ValueError as error:
            kept = previous_file(file)
            advice = f" The file before it is {kept.name}." if kept.exists() else ""
            raise ValueError(f"{file} must be a file that Solution.save wrote: {error}.{advice}") from error
        values |= {"status": Status(values["status"]), "warnings": tuple(values["warnings"])}
        return cls(**values)

    def __repr__(self) -> str:
        state = f"{type(self.state).__name__}, theta {self.theta.dtype} {tuple(self.theta.shape)}"
        return (
            f"<Solution: {self.status} after {self.steps} steps, {self.message}\n"
            f" {state}\n"
            f" {self._records} records of {', '.join(self.history)}>"
        )

    def summary(self, *, problem: Any = None) -> str:
        """Return a summary of the run: a few lines of plain text; of a fit, with the parameters and their standard errors.

        Parameters
        ----------
        problem : LeastSquares, optional
            The problem, for a run that was loaded or sent to another process; a summary has no standard errors without it.
        """
        problem = self.problem if problem is None else problem
        described = self.config.get("problem", "unknown")
        usual = self._has_usual_dt
        lines = {
            "scheme": usual_name(self.config.get("scheme", "unknown"))[1],
            "problem": as_call(described),
            "status": f"{self.status}: {self.message}",
            "trials" if "accepted" in getattr(self.state, "_fields", ()) else "steps": self._steps(usual),
            "time": f"{self.history['time'][-1]:.6g}" if "time" in self.history and self._records else "unknown",
            "energy": self._energies(),
            "seconds": f"{self.wall_time:.3g} on the clock, {self.cpu_time:.3g} of processor time",
        }
        text = [f"{name:8} {value}" for name, value in lines.items() if name != "time" or not usual]
        fit = isinstance(problem, DenseLeastSquares)
        if fit:
            counts = ", ".join(f"{n} of the {name}" for name, n in problem.calls.items())
            words = [f"derivative: {problem.derivative}"]
            if problem.second_derivative != "not used":
                words.append(f"second derivatives: {problem.second_derivative}")
            text.append(f"{'calls':8} {'; '.join([counts, *words])}")
        stored = isinstance(described, Mapping) and described.get("problem") == "DenseLeastSquares"
        if fit or (stored and problem is None):
            names = described.get("names") if stored else None
            text += table(problem, self.theta, active=self.active, names=None if names is None else tuple(names))
        return "\n".join([*text, *(f"warning  {warning}" for warning in self.warnings)])

    @property
    def _has_usual_dt(self) -> bool:
        """Whether the step size is the usual one of the scheme: the time is then a count of the steps."""
        scheme = self.config.get("scheme")
        kind = REGISTRY.get(scheme.get("type", "")) if isinstance(scheme, Mapping) else None
        dt = self.config.get("dt")
        return kind is not None and isinstance(dt, (int, float)) and dt == scheme_ability(kind, "usual_dt")

    def _steps(self, usual: bool) -> str:
        """Return number, size, unless it is the usual one, and batches of the steps in words."""
        dt, size = self.config.get("dt"), self.config.get("batch_size")
        words = [f"{self.steps}"] + [f"{self.rejected} rejected"] * bool(self.rejected)
        if dt is not None and not usual:
            words.append(f"dt = {dt:g}" if isinstance(dt, (int, float)) else f"dt: {as_call(dt)}")
        words += [f"batches of {size}, seed {self.config.get('seed')}"] * (size is not None)
        return ", ".join(words)

    @property
    def _records(self) -> int:
        return max(map(len, self.history.values()), default=0)

    def covariance(self, kind: str = "gauss-newton", *, problem: Any = None) -> Covariance:
        """Return the covariance of fitted parameters, with their standard errors; see `gradflow.run.fit`.

        A parameter at a bound counts as fixed: it has the standard error 0, and the others have that which they would have if it
        were known.

        Parameters
        ----------
        kind : {"gauss-newton", "sandwich"}
            For errors of one variance, which is estimated, or of any variances.
        problem : LeastSquares, optional
            The problem. It must be given for a run that was loaded or sent to another process.

        Raises
        ------
        ValueError
            If the problem is not at hand, is not one of least squares, or does not determine all parameters.
        """
        problem = self.problem if problem is None else problem
        if problem is None:
            raise ValueError("a stored run does not hold its problem: call covariance(problem=...)")
        active = self.active
        return covariance(problem, self.theta, kind, None if active is None else active != 0)

    @property
    def active(self) -> Array | None:
        """-1 for a parameter at its lower bound, 1 at its upper one, else 0, (P,); None for a run without bounds."""
        active: Any = getattr(self.state, "active", None)
        return active if is_array(active) and active.shape == self.theta.shape else None

    def _energies(self) -> str:
        """Return the first, the last and the lowest recorded energy in words."""
        energy = np.asarray(self.history.get("energy", ()), dtype=np.float64)
        finite = np.flatnonzero(np.isfinite(energy))
        words = [f"first {energy[0]:.6g}", f"last {energy[-1]:.6g}"] if energy.size else ["not recorded"]
        if self.best is not None:
            words.append(f"lowest {self.best.energy:.6g} after step {self.best.step}")
        elif finite.size:
            n = finite[np.argmin(energy[finite])]
            step = f" after step {self.history['step'][n]}" if "step" in self.history else ""
            words.append(f"lowest {energy[n]:.6g}{step}")
        return ", ".join(words)

    def to_csv(self, path: str | Path) -> Path:
        """Write the recorded quantities as a table and return its path.

        Parameters
        ----------
        path : str or Path
            The file, as given. Its folder is created if necessary.

        Returns
        -------
        Path
            Path of the file: a first line of names, then one line for each record. Floats have all their digits.

        Raises
        ------
        ValueError
            If the path names no file.
        """
        file = solution_file(path, suffix="")
        out = StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.history)
        writer.writerows(zip(*(np.asarray(column).tolist() for column in self.history.values()), strict=True))
        write_whole(file, out.getvalue().encode())
        return file

    def to_pandas(self) -> Any:
        """Return the recorded quantities as a ``pandas.DataFrame`` with the index ``step``.

        Returns
        -------
        pandas.DataFrame
            One column for each quantity.

        Raises
        ------
        ValueError
            If pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ValueError("to_pandas needs pandas: pip install pandas") from error
        return pandas.DataFrame(dict(self.history)).set_index("step")

    def plot(self, *quantities: str) -> Picture:
        """Return a figure of the recorded quantities over time.

        Parameters
        ----------
        *quantities : str
            Names in ``history``; by default all.

        Raises
        ------
        ValueError
            If a quantity was not recorded.
        """
        from ..plotting import plot_solution

        return plot_solution(self, *quantities)


def _require_sound(values: Mapping[str, Any]) -> None:
    """Raise ValueError unless the parts of a solution are of the types and shapes that it promises, and fit each other."""
    theta, state, control = values["theta"], values["state"], values["control"]
    one_of("status", values["status"], tuple(Status))
    instance("message", values["message"], str, "text")
    for name in ("config", "resume"):
        instance(name, values[name], Mapping, "a mapping")
    for name in ("steps", "rejected", "unsolved"):
        whole_number(name, values[name])
    for name in ("wall_time", "cpu_time"):
        _require(is_number(values[name]), f"{name} must be a number")
    for text in instance("warnings", values["warnings"], list, "a list of texts"):
        instance("each of warnings", text, str, "a text")
    _require(_is_named(state) and hasattr(state, "theta"), "state must be a NamedTuple with theta")
    numbers = control is None or (_is_named(control) and all(map(_is_scalar, control)))
    _require(numbers, "control must be None or a NamedTuple of numbers")
    steps = values["steps"]
    _require_finite(theta, state, steps)
    _require_history(values["history"], steps)
    best = instance("best", values["best"], (Best, NoneType), "a Best or None")
    kept: list[tuple[str, Any, Any, Any]] = [] if best is None else [("best", best.step, best.energy, best.theta)]
    for shot in instance("snapshots", values["snapshots"], tuple, "a tuple of Snapshot"):
        kept.append(("each of snapshots", *instance("each of snapshots", shot, Snapshot, "a Snapshot")))
    for name, step, number, a in kept:
        whole_number(f"the step of {name}", step, 0, steps)
        _require(is_number(number) and number == number, f"{name} must have a real energy or time")
        real_array(f"the theta of {name}", a, {"P": theta.shape[0]}, theta.dtype, of="theta")


def _require_finite(theta: Any, state: Any, steps: int) -> None:
    """Raise ValueError unless theta is a finite vector, the state's own, and the state after a step is finite."""
    vector = is_array(theta) and len(theta.shape) == 1 and theta.shape[0] > 0 and to_numpy(theta).dtype.kind == "f"
    _require(vector, "theta must be a floating array (P,)")
    both = [to_numpy(a) for a in (theta, state.theta) if is_array(a)]
    same = len(both) == 2 and len({(a.dtype, a.shape, a.tobytes()) for a in both}) == 1
    _require(same, "theta must be the theta of the state, in every bit")
    leaves_of_state = leaves(state) if steps else [theta]  # a scheme may start from a number that is still missing
    with quiet():  # a square may overflow although the number does not
        _require(all(map(is_finite, leaves_of_state)), "state must be finite")


def _require_history(history: Any, steps: int) -> None:
    """Raise ValueError unless the history is of real vectors of one length, its steps and times in order."""
    vectors = isinstance(history, Mapping) and all(is_array(a) and a.dtype.kind in "iuf" for a in history.values())
    shapes = {a.shape for a in history.values()} if vectors else set()
    sound = len(shapes) == 1 and all(len(shape) == 1 and shape[0] > 0 for shape in shapes)
    _require(sound, "history must be real arrays (number of records,), at least one record")
    _require({"step", "epoch", "time"} <= set(history), "history must have step, epoch and time")
    step = history["step"]
    increasing = step.dtype.kind in "iu" and step[0] >= 0 and step[-1] == steps and bool(np.all(step[1:] > step[:-1]))
    _require(increasing, f"history must have increasing whole numbers >= 0 as step, to {steps}")
    for a in (history["epoch"], history["time"]):
        rising = bool(np.all(np.isfinite(a)) and np.all(a[1:] >= a[:-1]) and a[0] >= 0)
        _require(rising, "history must have finite numbers that do not fall as epoch and time")


def _require(met: bool, wanted: str) -> None:
    if not met:
        raise ValueError(wanted)


def _is_named(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_fields")


def _is_scalar(value: Any) -> bool:
    """Return whether this is a real number or a truth value, of Python or NumPy, or a 0-d array of one."""
    if isinstance(value, (bool, np.bool)) or is_number(value):
        return True
    return is_array(value) and value.shape == () and to_numpy(value).dtype.kind in "biuf"
