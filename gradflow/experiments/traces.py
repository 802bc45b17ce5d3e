"""What is kept of the runs of a figure: recorded quantities at some of the records, in one file.

A run of ten thousand epochs fits a plot at a hundred of them. The kept records are dense at the start, where curves differ
most, and contain every epoch at which a published curve is known. A figure is drawn and judged from this file alone.

``curves.npz`` holds an array for each curve and quantity, float32, its draws one after the other, and the text ``index``, JSON: for
each panel and each label a list with the status, the message, the steps, the seconds, the config and the number of records of every
draw. The name of an array is ``panel/curve/quantity``, the first two by number.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from ..run.solution import Solution
from ..run.storage import write_whole

__all__ = ["Panels", "Trace", "load_curves", "save_curves", "thinned"]

FAILED = ("nonfinite", "inadmissible")
"""How a run ends in numerical trouble."""
POINTS = 64
"""Records that are kept of a run, beside those that are asked for."""
DERIVED: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "auxiliary_deficit": lambda history: abs(1 - history["auxiliary_ratio"]),
}
"""Quantities that follow from recorded ones."""
LARGEST = 64 * 2**20
"""Bytes of a file of curves at most, unpacked."""


@dataclass(frozen=True, eq=False)
class Trace:
    """A run as it is drawn and judged; a `gradflow.plotting.spreads.Recorded`."""

    history: Mapping[str, NDArray[np.float32]]
    """Quantities by name, each of shape (records,); ``epoch`` among them, or what the figure has on its axis."""
    status: str
    """The value of a `gradflow.Status`."""
    message: str = ""
    """The status in a sentence."""
    steps: int = 0
    """Steps taken."""
    seconds: float = 0.0
    """Duration of the run, s."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """What was chosen for this run alone, a step size that a search found, as JSON has it; the settings stand beside the curves."""

    @property
    def rests(self) -> bool:
        """Whether the run came to rest, so that it stays where it ended."""
        return self.status in ("stagnated", "converged") or self.message.startswith("stationary")


TOLD: dict[str, Callable[[Any], Any]] = {"status": str, "message": str, "steps": int, "seconds": float, "config": dict}
"""Members of a trace that the index stores, with their types."""
RECORDS = "records"
"""Name of the number of records in the index."""
Panels: TypeAlias = dict[str, dict[str, list[Trace]]]
"""For each panel's title and each curve's label a trace for every draw."""


def thinned(run: Solution, quantities: Collection[str], wanted: Sequence[float] = (), points: int = POINTS) -> Trace:
    """Return some records of a run.

    Parameters
    ----------
    run : Solution
        A run with ``epoch`` in its history.
    quantities : collection of str
        What is kept.
    wanted : sequence of float
        Epochs whose records are kept in any case.
    points : int
        Records that are kept beside them: all, or of more the first ones, then in a geometric sequence, and the last.

    Returns
    -------
    Trace
        Float32. Values beyond the range of float32 are infinite.
    """
    epoch = np.asarray(run.history["epoch"], dtype=np.float64)
    many = len(epoch) > points
    places = np.geomspace(1, len(epoch), max(2, points)).round().astype(int) - 1 if many else np.arange(len(epoch))
    near = np.searchsorted(epoch, np.asarray(wanted, dtype=np.float64) - 1e-9)
    kept = np.unique([*places, *near[near < len(epoch)], len(epoch) - 1])
    with np.errstate(over="ignore"):
        history = {
            name: np.asarray(DERIVED[name](run.history) if name in DERIVED else run.history[name])[kept].astype(
                np.float32
            )
            for name in ("epoch", *quantities)
        }
    return Trace(history, run.status.value, run.message, run.steps, float(run.wall_time))


def save_curves(path: Path, panels: Panels) -> None:
    """Write the traces of a figure to one file.

    Parameters
    ----------
    path : Path
        The file, ``curves.npz``.
    panels : dict
        The traces.

    Raises
    ------
    ValueError
        If the draws of a curve differ in their quantities.
    """
    arrays: dict[str, Any] = {}
    index: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for p, (title, curves) in enumerate(panels.items()):
        index[title] = {
            label: [{k: getattr(t, k) for k in TOLD} | {RECORDS: len(t.history["epoch"])} for t in traces]
            for label, traces in curves.items()
        }
        for c, traces in enumerate(curves.values()):
            even = all(len(v) == len(t.history["epoch"]) for t in traces for v in t.history.values())
            if not even or len({tuple(t.history) for t in traces}) > 1:
                raise ValueError(f"the draws of a curve must have the same quantities, each at all epochs: {title}")
            for name in traces[0].history if traces else ():
                arrays[f"{p}/{c}/{name}"] = np.concatenate([trace.history[name] for trace in traces])
    content = io.BytesIO()
    np.savez_compressed(content, index=np.array(json.dumps(index, default=float)), **arrays)
    write_whole(path, content.getvalue())


def load_curves(path: Path) -> Panels:
    """Return the traces of a figure as `save_curves` wrote them.

    Parameters
    ----------
    path : Path
        The file, ``curves.npz``.

    Raises
    ------
    ValueError
        If the file cannot be read, or is none of curves.
    """
    try:
        with ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > LARGEST:
                raise ValueError("it is too large")
        with np.load(path, allow_pickle=False) as file:
            index, held = json.loads(str(file["index"])), {name: file[name] for name in file.files if name != "index"}
        panels: Panels = {title: {label: [] for label in curves} for title, curves in index.items()}
        for p, (title, curves) in enumerate(index.items()):
            for c, (label, draws) in enumerate(curves.items()):
                ends = np.cumsum([int(of[RECORDS]) for of in draws])
                own = [name for name in held if name.startswith(f"{p}/{c}/")]
                parts = {name: np.split(_vector(name, held.pop(name), ends), ends[:-1]) for name in own}
                if draws and f"{p}/{c}/epoch" not in parts:
                    raise ValueError(f"it has no epochs of {label}")
                for n, of in enumerate(draws):
                    history = {name.split("/", 2)[2]: values[n] for name, values in parts.items()}
                    panels[title][label].append(Trace(history, *(kind(of[name]) for name, kind in TOLD.items())))
        if held:
            raise ValueError(f"it has no curve {', '.join(held)}")
        return panels
    except Exception as error:  # a damaged archive raises whatever its parts do
        raise ValueError(f"{path} must be a file of curves that can be read: {error}") from error


def _vector(name: str, values: NDArray[Any], ends: NDArray[Any]) -> NDArray[Any]:
    if (
        values.ndim != 1
        or values.dtype != np.float32
        or len(values) != ends[-1]
        or (np.diff(ends, prepend=0) < 1).any()
    ):
        raise ValueError(f"{name} must be a vector of {ends[-1]} float32, got {values.dtype} of shape {values.shape}")
    return values
