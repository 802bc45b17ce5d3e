"""A published figure as one value: the task, its panels of curves, the published curves, and the claims.

`Figure.reproduce` runs every curve for every draw of what the publication leaves unstated. A folder holds the results of one
figure at one choice of settings::

    settings.json   all settings, and the versions that ran
    data/           every run as `gradflow.Solution.save` writes it; an interrupted series goes on from there
    curves.npz      what is drawn and judged, see `gradflow.experiments.traces`
    claims.json     settings, versions, every claim with its interval and its number for each draw

Results of other settings are never overwritten. Only ``epochs`` may grow: the runs then go on from where they ended.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..description import found as told
from ..namespace import Array
from ..refusals import one_of, real_number, whole_number
from ..run.solution import Solution, Status
from ..run.solve import solve
from ..run.storage import write_whole
from ..schemes.protocols import Scheme
from ..version import __version__
from .claims import ALL, Claim
from .judging import Report, judge
from .published import Published
from .traces import DERIVED, Panels, load_curves, save_curves, thinned

__all__ = ["Curve", "Draw", "Figure", "Series", "run_curves"]

OLD = ", of runs taken up"


class Curve(NamedTuple):
    """A scheme with its step size."""

    scheme: Scheme
    """What runs."""
    dt: float
    """Step size > 0, dimensionless."""
    changes: Mapping[str, Any] = {}  # read only
    """Settings of the task that this curve changes: a batch size, a loss, an inner product."""


class Draw(NamedTuple):
    """A task with everything drawn that a publication leaves unstated."""

    problem: Any
    """What is trained."""
    theta0: Array
    """Initial parameters, shape (P,)."""
    how: Mapping[str, Any]
    """Arguments of `gradflow.solve`: epochs, batch size, seed, what is recorded."""
    adapted: Callable[[Scheme], Scheme] = lambda scheme: scheme
    """What runs in the place of a scheme under the settings of the task."""
    test: Any = None
    """What the test error is that of."""


def compiled(draw: Draw) -> Draw:
    """Return the draw, once all that a scheme calls has run on two samples: no run's time shall contain the compilation."""
    few = draw.problem.batch(slice(0, 2))
    few.energy_and_gradient(draw.theta0)
    if hasattr(few, "linearize"):
        few.linearize(draw.theta0).gram()
    return draw


class Series(NamedTuple):
    """Where the runs of a figure are kept, and how they speak."""

    data: Path
    """The folder of the runs."""
    say: Callable[[str], object]
    """Takes a line for the reader."""
    progress: bool
    """Whether to show progress bars."""
    wanted: Callable[[str, str], Sequence[float]]
    """The epochs at which a panel's curve is published."""

    def kept(self, name: str, measure: Callable[[], Any], like: Callable[[Any], bool]) -> Any:
        """Return what was measured, from the file of this name if it is there.

        Parameters
        ----------
        name : str
            Name of the file, with ``.json``.
        measure : callable
            Measures what JSON can hold.
        like : callable
            Whether something is a result of that.

        Raises
        ------
        ValueError
            If the file holds something else, or what was measured cannot be used.
        """
        path = self.data / name
        if not path.exists():
            found = json.loads(json.dumps(measure(), allow_nan=False, default=float))
            if not like(found):
                raise ValueError(f"{name}: what was measured just now cannot be used: {told(found)}")
            write_whole(path, json.dumps(found).encode())
            self.say(f"{name} measured")
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if like(found):
                return found
        except (OSError, ValueError, RecursionError, TypeError, AttributeError, LookupError):
            pass
        raise ValueError(f"{path} must hold what was measured before; remove it, and it is measured again")

    def train(self, draw: Draw, curve: Curve, stem: str) -> Any:
        """Run a curve for a draw, or take up what is kept; a user's interruption ends the series.

        Parameters
        ----------
        draw : Draw
            The task.
        curve : Curve
            Scheme and step size.
        stem : str
            Name of the file.

        Returns
        -------
        Solution
            A run that ended by itself.

        Raises
        ------
        KeyboardInterrupt
            As it came, once what was done is kept.
        """
        progress = self.progress and stem
        run = solve(
            draw.problem, draw.adapted(curve.scheme), draw.theta0, dt=curve.dt, checkpoint=self.data / stem, progress=progress, **draw.how
        )  # fmt: skip
        if run.status is Status.STOPPED:
            raise KeyboardInterrupt
        return run


def run_curves(figure: Figure, task: Any, series: Series) -> Panels:
    """Return the traces of every curve for every draw: the way in which most figures run.

    Parameters
    ----------
    figure : Figure
        The figure.
    task : dataclass instance
        Its settings, with ``draws`` and the method ``draw(n)``.
    series : Series
        Where the runs are kept.
    """
    panels: Panels = {title: {label: [] for label in curves} for title, curves in figure.panels.items()}
    for n in range(task.draws):
        drawn: dict[Any, Draw] = {}
        runs: dict[Any, Solution] = {}  # curves that several panels have run once
        for p, (title, curves) in enumerate(figure.panels.items()):
            for c, (label, curve) in enumerate(curves.items()):
                changed = replace(task, **curve.changes)
                if changed not in drawn:
                    drawn[changed] = _recording(changed.draw(n), figure.keep)
                key = (curve.scheme, curve.dt, changed)
                if key not in runs:
                    runs[key] = series.train(drawn[changed], curve, f"{p}-{c}-{n}")
                panels[title][label].append(thinned(runs[key], figure.keep, series.wanted(title, label), figure.points))
        series.say(f"{figure.name}: draw {n + 1} of {task.draws} done")
    return panels


def _recording(draw: Draw, keep: Sequence[str]) -> Draw:
    """Return a draw that records all that is kept: what it does not name has a name of `gradflow.solve`."""
    record = draw.how.get("record", ())
    named = {name if isinstance(name, str) else name[0] for name in record} | set(DERIVED)
    more = [name for name in keep if record and name not in named]
    return draw._replace(how={**draw.how, "record": (*record, *more)}) if more else draw


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What `gradflow reproduce NAME` runs.

    Raises
    ------
    ValueError
        If the name cannot be that of a folder; if two curves have one name; or if a claim, a published curve, a shown quantity or
        a setting names what the figure does not have.
    """

    name: str
    """What the command takes."""
    title: str
    """A line for lists."""
    source: str
    """Citation."""
    problem: str
    """The problem in a sentence."""
    task: Any
    """Settings of the full form: a frozen dataclass with the number of ``draws`` and ``draw(n)``, the `Draw` of number n."""
    quick: Mapping[str, Any]
    """Settings of the quick form, where they are others."""
    panels: Mapping[str, Mapping[str, Curve]] = field(default_factory=dict)
    """For each panel's title and each label a curve; empty where the runs are not curves."""
    claims: Sequence[Claim] = ()
    """Of every panel that has their curves. A label ``panel | curve`` names a curve of one panel; a claim without labels is about
    what was published."""
    published: Mapping[str, Mapping[str, Mapping[str, Published]]] = field(default_factory=dict)
    """For panel, label and quantity the published curve; each is a claim, and drawn behind ours."""
    follow: bool = True
    """Whether each published curve is a claim by itself."""
    paper: Mapping[str, Any] = field(default_factory=dict)
    """Published settings, where they are not those of ``task``."""
    unstated: Sequence[str] = ()
    """Settings of which the publication says nothing."""
    show: Sequence[str] = ("train_error", "test_error")
    """Quantities that are drawn; without any there is no picture."""
    keep: Sequence[str] = ("train_error", "test_error", "auxiliary_ratio")
    """Quantities that are stored: recorded by the draw, or known to `gradflow.solve` by their names."""
    axis: str = "epoch"
    """What the traces have under the name ``epoch``."""
    points: int = 64
    """Records that are stored of each run, beside those of published epochs."""
    alternatives: Sequence[str] = ()
    """Words in titles and labels that stand for what the publication leaves open: of claims that differ in them alone the best counts.
    Of several curves that stand for a published one the best counts in any case."""
    least: int = 0
    """Of the claims whose texts are the same behind the last colon, how many the page shows, those of the least means; 0 for all."""
    note: str = ""
    """What the authors of gradflow conclude, at most two sentences."""
    run: Callable[[Figure, Any, Series], Panels] = field(default=run_curves, repr=False)
    """Runs the figure."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w.+-]*", self.name):
            raise ValueError(f"a figure's name must have letters, digits, '_', '.', '+' and '-', got {self.name!r}")
        every = {title + ALL + label for title, curves in self.panels.items() for label in curves}
        if len(every) < sum(map(len, self.panels.values())):
            raise ValueError(f"{self.name}: titles and labels must differ, {ALL!r} stands between them")
        for claim in self.claims if self.panels else ():
            if not any(set(claim.labels) <= set(curves) for curves in (every, *self.panels.values())):
                raise ValueError(
                    f"{self.name}: a claim must be about curves of the figure, got {', '.join(claim.labels)}"
                )
        theirs = {title + ALL + label: q for title, curves in self.published.items() for label, q in curves.items()}
        unknown = {*theirs} - every
        unknown |= {*self.quick, *self.paper, *self.unstated} - {f.name for f in fields(self.task)}
        unknown |= {*self.show, *(of for q in theirs.values() for of in q)} - {*self.keep}
        if unknown:
            raise ValueError(f"{self.name} has no curve, kept quantity or setting {', '.join(sorted(unknown))}")

    def settings(self, *, quick: bool = False, **changes: Any) -> Any:
        """Return the settings of the full or quick form with some of them changed.

        Parameters
        ----------
        quick : bool
            Which of the two forms.
        **changes : object
            New values by name; text is read as the type of the setting.

        Raises
        ------
        ValueError
            If a name is unknown, a value of the wrong type or out of range, or JSON does not bring the settings back.
        """
        known = {f.name: type(getattr(self.task, f.name)) for f in fields(self.task)}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"{self.name} has the settings {', '.join(known)}; got {name!r}")
            changes[name] = _typed(name, value, known[name])
        task = replace(self.task, **{**(self.quick if quick else {}), **changes})
        whole_number("draws", getattr(task, "draws", 1), 1)
        try:
            kept = json.loads(json.dumps(asdict(task), allow_nan=False)) == asdict(task)
        except (TypeError, ValueError):
            kept = False
        if not kept:
            raise ValueError(f"{self.name}: settings must be finite numbers, texts, True or False, got {asdict(task)}")
        return task

    def changed(self, settings: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Return for each setting that is not the published one [ours, published].

        Parameters
        ----------
        settings : mapping of str to object
            All settings.
        """
        printed = {**asdict(self.task), **self.paper}
        return {k: [v, printed[k]] for k, v in settings.items() if v != printed[k] and k not in self.unstated}

    def wanted(self, panel: str, label: str) -> list[float]:
        """Return the epochs at which a curve is published.

        Parameters
        ----------
        panel, label : str
            Which curve.
        """
        curves = self.published.get(panel, {}).get(label, {}).values()
        return sorted({float(epoch) for curve in curves for epoch in curve.epochs})

    def reproduce(
        self, out: str | Path, *, quick: bool = False, say: Callable[[str], object] = print, progress: bool = False,
        **changes: Any,
    ) -> Report:  # fmt: skip
        """Run every curve of every draw, or take up what is kept; write the curves and the claims.

        Parameters
        ----------
        out : path
            Folder of the results, made if it is not there.
        quick : bool
            The quick form.
        say : callable
            Called with each line for the reader.
        progress : bool
            Show progress bars.
        **changes
            Settings to change.

        Returns
        -------
        Report
            Settings, and every claim with its numbers.

        Raises
        ------
        ValueError
            If a setting is unknown or out of range, a published curve cannot be read, a claim cannot be judged, or the folder
            cannot be written or holds results of other settings. Of what is recorded it knows the names: a function that has
            changed under its name needs a folder of its own.
        KeyboardInterrupt
            As it came; what was done is kept.
        """
        task, folder = self.settings(quick=quick, **changes), Path(out)
        settings = asdict(task)
        for title, curves in self.published.items():
            for label in curves:
                self.wanted(title, label)  # they can be read
        versions = _claim_folder(folder, self.name, settings)
        panels = self.run(self, task, Series(folder / "data", say, progress, self.wanted))
        judge(self, panels)  # a claim that cannot be judged changes nothing
        (folder / "claims.json").unlink(missing_ok=True)  # curves never stand beside claims of others
        save_curves(folder / "curves.npz", panels)
        panels = load_curves(folder / "curves.npz")  # what is judged is what is stored
        every = (trace for curves in panels.values() for traces in curves.values() for trace in traces)
        seconds = sum({trace.seconds for trace in every})  # one run may be in two panels
        report = Report(self.name, settings, self.changed(settings), versions, round(seconds, 1), judge(self, panels))
        report.write(folder / "claims.json")
        return report


def _claim_folder(folder: Path, name: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """Write ``settings.json`` and return the versions; raise ValueError if the folder holds something else."""
    path = folder / "settings.json"
    versions = {"gradflow": __version__, "numpy": np.__version__, "python": platform.python_version()}
    if folder.exists() and (not folder.is_dir() or (any(map(_foreign, folder.iterdir())) and not path.exists())):
        raise ValueError(f"{folder} must be a folder of results, an empty one or a new one; it holds something else")
    if path.exists():
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            kept_name, kept_settings, kept_versions = kept["figure"], dict(kept["settings"]), dict(kept["versions"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{path} is not a settings file of a figure: choose another folder") from error
        if any((folder / "data").glob("*")) or (folder / "claims.json").exists():
            differing = (
                [f"{kept_name}, not {name}"]
                if kept_name != name
                else [
                    f"{key} {was!r}, not {value!r}"
                    for key, value in settings.items()
                    for was in [kept_settings.get(key, "unknown")]
                    if not (was == value or (key == "epochs" and type(was) is int and was < value))
                ]
            )
            if differing:
                raise ValueError(f"{folder} holds results of other settings ({'; '.join(differing)}): choose another folder")  # fmt: skip
            if kept_versions != versions:  # of the runs that are taken up, beside those that go on and judge
                versions |= {key.removesuffix(OLD) + OLD: value for key, value in kept_versions.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        document = {"figure": name, "settings": settings, "versions": versions}
        write_whole(path, json.dumps(document, indent=1).encode())
    except OSError as error:
        raise ValueError(f"{folder} must be a folder that can be made and written, got: {error.strerror}") from error
    return versions


def _foreign(path: Path) -> bool:
    """Return whether a file is not the rest of a first write that was cut short."""
    return not (path.name.startswith("settings.json.") and path.suffix == ".part")


def check_settings(task: Any, zero: Collection[str] = (), words: Mapping[str, Collection[str]] = {}) -> None:
    """Raise ValueError unless every whole number of a task is at least 1, every real one > 0, every text a known word."""
    for one in fields(task):
        value, least = getattr(task, one.name), int(one.name not in zero)
        if one.type == "int":
            whole_number(one.name, value, least)
        elif one.type == "float":
            real_number(one.name, value, 0, 1 if one.name == "share" else inf, open_low=bool(least))
        elif one.name in words:
            one_of(one.name, value, words[one.name])


def _typed(name: str, value: Any, kind: type) -> Any:
    """Return `value` as the type of the setting, from text if need be."""
    if isinstance(value, str) and kind is not str:
        try:
            value = {"True": True, "False": False}[value] if kind is bool else kind(value)
        except (ValueError, KeyError) as error:
            raise ValueError(f"{name} must be of type {kind.__name__}, got {value!r}") from error
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        raise ValueError(f"{name} must be of type {kind.__name__}, got {value!r}")
    return value
