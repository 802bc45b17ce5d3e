"""What `solve` returns, and how it is kept on disk: one npz file of arrays beside one JSON file, no pickle."""

from __future__ import annotations

import json
import zipfile
from collections import namedtuple
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from .. import schemes
from ..namespace import Array, to_numpy
from ..schemes import state

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Solution", "Status"]


FORMAT = "gradflow solution 1"


class Status(StrEnum):
    """How a run ended."""

    DONE = "done"
    """All steps taken, or a stationary point reached: exactly, or to the rounding of theta."""
    STOPPED = "stopped"
    """The callback, or the keyboard, asked for it."""
    NONFINITE = "nonfinite"
    """The next state, or the energy of the last one, would hold an infinity or a NaN: divergence. The last finite state
    is kept."""
    INADMISSIBLE = "inadmissible"
    """The energy left the set where the auxiliary variable is defined (E + C <= 0)."""
    STAGNATED = "stagnated"
    """The iterate has stopped changing in any bit although a gradient step of the same size would change it."""


@dataclass(frozen=True, eq=False)
class Solution:
    """The end of a run, with everything needed to repeat or judge it."""

    theta: Array
    """The last finite parameters, (P,)."""
    state: Any
    """The last finite state, a NamedTuple; `theta` is its first field."""
    history: Mapping[str, np.ndarray[Any, Any]]
    """Recorded quantities, each of shape (number of records,), with ``step``, ``epoch`` and ``time`` (the sum of dt)."""
    status: Status
    """How the run ended."""
    message: str
    """The status in a sentence."""
    config: Mapping[str, Any]
    """Problem, scheme, step sizes, seeds, dtype, versions: plain JSON values. Arrays and data stand there as a shape and
    a hash, functions as a name and what they return at theta0."""
    steps: int
    """Steps taken."""
    wall_time: float
    """Seconds on the clock in steps alone, recording and callbacks left out."""
    cpu_time: float
    """Seconds of processor time, likewise, all threads together."""

    def check(self) -> Solution:
        """Return the solution itself, or raise ``RuntimeError`` with the message unless it is DONE or STOPPED."""
        if self.status not in (Status.DONE, Status.STOPPED):
            raise RuntimeError(f"{self.status.value} after {self.steps} steps: {self.message}")
        return self

    def save(self, path: str | Path) -> Path:
        """Write ``path.npz`` (arrays) and ``path.json`` (all else); return the first.

        Both are written beside their places first and then moved there; `load` refuses a pair that a power cut between
        the two moves has torn.

        Parameters
        ----------
        path : str or Path
            With or without the suffix ``.npz``.

        Returns
        -------
        Path
            Of the npz file.
        """
        npz = _with_suffix(path)
        npz.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, np.ndarray[Any, Any]] = {f"history/{k}": v for k, v in self.history.items()}
        token = uuid4().hex  # the two files belong together
        arrays["token"] = np.array(token)
        document = {
            "format": FORMAT,
            "token": token,
            "state": _flatten(self.state, "state", arrays),
            "status": self.status.value,
            "message": self.message,
            "config": self.config,
            "steps": self.steps,
            "wall_time": self.wall_time,
            "cpu_time": self.cpu_time,
        }
        part, part_json = npz.with_suffix(".part.npz"), npz.with_suffix(".part.json")
        np.savez_compressed(part, **arrays)  # type: ignore[arg-type]  # its stub names a keyword
        part_json.write_text(json.dumps(document, indent=1, allow_nan=True))
        part_json.replace(npz.with_suffix(".json"))
        part.replace(npz)
        return npz

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
            As it was saved, with arrays of NumPy; a state of a scheme that is not the library's comes back as a NamedTuple of
            the same name and fields.

        Raises
        ------
        ValueError
            If the two files are damaged, or not a pair that `save` wrote.
        FileNotFoundError
            If one of the two files is missing.
        """
        npz = _with_suffix(path)
        try:
            document = json.loads(npz.with_suffix(".json").read_text())
            with npz.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                if document["format"] != FORMAT or document["token"] != str(arrays["token"]):
                    raise ValueError("the two files do not belong together")
                history = {k.removeprefix("history/"): arrays[k] for k in arrays.files if k.startswith("history/")}
                state = _unflatten(document["state"], arrays)
        except (ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as e:
            raise ValueError(
                f"{npz} and its .json must be a pair that Solution.save wrote in format {FORMAT!r}: {e}"
            ) from e
        return cls(
            theta=state.theta,
            state=state,
            history=history,
            status=Status(document["status"]),
            message=document["message"],
            config=document["config"],
            steps=document["steps"],
            wall_time=document["wall_time"],
            cpu_time=document["cpu_time"],
        )

    def plot(self, *quantities: str) -> Figure:
        """Return a figure of the recorded quantities over time; all of them when none is named.

        Parameters
        ----------
        *quantities : str
            Names in ``history``; all that were recorded when none is given.

        Raises
        ------
        ValueError
            If a quantity was not recorded.
        """
        from ..plotting import plot_solution

        return plot_solution(self, *quantities)


def _with_suffix(path: str | Path) -> Path:
    path = Path(path)
    return path if path.suffix == ".npz" else path.with_name(path.name + ".npz")


def _flatten(value: Any, key: str, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    """Put the arrays of nested NamedTuples into `arrays`; return their structure."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        parts = {f: _flatten(getattr(value, f), f"{key}/{f}", arrays) for f in value._fields}
        return {"type": type(value).__name__, "fields": parts}
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        arrays[key] = to_numpy(value)
        return {"array": key}
    return {"value": value}


def _unflatten(structure: dict[str, Any], arrays: Mapping[str, np.ndarray[Any, Any]]) -> Any:
    if "array" in structure:
        a = arrays[structure["array"]]
        return a if a.ndim else a[()]
    if "value" in structure:
        return structure["value"]
    parts = {f: _unflatten(s, arrays) for f, s in structure["fields"].items()}

    known = getattr(schemes, structure["type"], getattr(state, structure["type"], None))
    if known is None or getattr(known, "_fields", None) != tuple(parts):
        known = _tuple_type(structure["type"], tuple(parts))  # a state of somebody else's scheme
    return known(**parts)


def _tuple_type(name: str, fields: tuple[str, ...]) -> Any:
    return namedtuple(name, fields)
