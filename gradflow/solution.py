"""What `solve` returns, and how it is kept on disk: one npz file of arrays beside one JSON file, no pickle."""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .namespace import Array, fingerprint, to_numpy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Solution", "Status", "describe"]


class Status(StrEnum):
    """How a run ended."""

    DONE = "done"
    """All steps taken, or a stationary point reached exactly."""
    STOPPED = "stopped"
    """The callback, or the keyboard, asked for it."""
    NONFINITE = "nonfinite"
    """The next state would hold an infinity or a NaN: divergence. The last finite state is kept."""
    INADMISSIBLE = "inadmissible"
    """The energy left the set where the auxiliary variable is defined (E + C <= 0)."""
    STAGNATED = "stagnated"
    """The iterate has stopped changing in any bit although the gradient is not zero."""


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
    message: str
    """The status in a sentence."""
    config: Mapping[str, Any]
    """Problem, scheme, step sizes, seeds, dtype, versions: plain JSON values."""
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
        """Write ``path.npz`` (arrays) and ``path.json`` (all else); return the first. Replaces both at once.

        Parameters
        ----------
        path : str or Path
            With or without the suffix ``.npz``.
        """
        npz = _with_suffix(path)
        npz.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, np.ndarray[Any, Any]] = {f"history/{k}": v for k, v in self.history.items()}
        document = {
            "format": "gradflow solution 1",
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

        Raises
        ------
        ValueError
            If the JSON file is not one that `save` wrote.
        FileNotFoundError
            If one of the two files is missing.
        """
        npz = _with_suffix(path)
        document = json.loads(npz.with_suffix(".json").read_text())
        if document.get("format") != "gradflow solution 1":
            raise ValueError(f"{npz.with_suffix('.json')} must have format 'gradflow solution 1'")
        with np.load(npz, allow_pickle=False) as arrays:
            history = {k.removeprefix("history/"): arrays[k] for k in arrays.files if k.startswith("history/")}
            state = _unflatten(document["state"], arrays)
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
        """Return a figure of the recorded quantities over time; all of them when none is named."""
        from .plotting import plot_solution

        return plot_solution(self, *quantities)


def describe(value: Any) -> Any:
    """Return plain JSON values that identify a scheme, a linear part, an array or a number."""
    if hasattr(value, "describe"):
        return value.describe()
    if is_dataclass(value) and not isinstance(value, type):
        return {
            "type": type(value).__name__,
            **{f.name: describe(getattr(value, f.name)) for f in fields(value)},
        }
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        a = to_numpy(value)
        if a.ndim == 0:
            return a.item()
        return {
            "shape": list(a.shape),
            "dtype": str(a.dtype),
            "sha256": fingerprint(a),
        }
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    if isinstance(value, Mapping):
        return {str(k): describe(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [describe(v) for v in value]
    return getattr(value, "__qualname__", type(value).__name__)


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
    from . import schemes

    known = getattr(schemes, structure["type"], None)
    if known is None or getattr(known, "_fields", None) != tuple(parts):
        known = _tuple_type(structure["type"], tuple(parts))  # a state of somebody else's scheme
    return known(**parts)


def _tuple_type(name: str, fields: tuple[str, ...]) -> Any:
    return namedtuple(name, fields)
