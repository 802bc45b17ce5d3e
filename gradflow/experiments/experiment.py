"""What an experiment is: a published figure, or a demonstration, as a function of its settings.

A folder holds the results of one experiment at one choice of settings::

    settings.json   all settings, what is fixed beside them, and the versions that ran
    data/           every run as `gradflow.Solution.save` writes it; also what an interrupted run goes on from
    NAME.png, .svg  the figure
    report.json     the verdict, what it rests on, and the table
    report.txt      the same for people

Results of other settings are never overwritten. Only ``epochs`` may grow: the runs then go on from where they
ended.
"""

from __future__ import annotations

import json
import platform
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..run.storage import write_whole

__all__ = ["Claim", "Context", "Experiment", "Outcome", "format_table"]


class Claim(NamedTuple):
    """Something that can turn out true or false, decided from the data of the run."""

    text: str
    """What is claimed."""
    holds: bool | None
    """None: this run cannot tell."""
    evidence: str
    """What that rests on."""
    regardless: bool = False
    """Whether a failure refutes what was published although other things were changed: a bound that none of them touches, or
    something that was to take longer, and did not."""


class Outcome(NamedTuple):
    """What an experiment comes to."""

    header: tuple[str, ...]
    """Heads of the table's columns."""
    rows: tuple[tuple[str, ...], ...]
    """The table, as printed."""
    note: str
    """What one must know to read the table."""
    claims: tuple[Claim, ...]
    """What was to be seen, and whether it was."""
    verdict: str
    """One line; of a published figure: reproduced (in part, or with a stated change), refuted or not decided, and why."""


class Context(NamedTuple):
    """Where an experiment leaves its results, and how it speaks while it runs."""

    name: str
    """Of the experiment."""
    out: Path
    """The folder."""
    say: Callable[[str], object]
    """Takes a line for the reader."""
    progress: bool
    """Whether to show progress bars."""
    claim: Callable[[], None]
    """To be called once all settings are found good and before anything is written; raises ValueError if the folder
    holds results of other settings."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A figure or demonstration that can be repeated by its name."""

    name: str
    """What `gradflow reproduce` takes."""
    title: str
    """A line for lists."""
    source: str
    """Citation."""
    problem: str
    """The problem in a sentence."""
    time: str
    """How long the full form takes."""
    quick_time: str
    """How long the quick form takes."""
    full: Any
    """Settings of the full form, a frozen dataclass of numbers and strings."""
    quick: Any
    """Settings of the quick form, of the same class."""
    run: Callable[[Any, Context], Outcome] = field(repr=False)
    """Checks the settings, claims the folder, and only then runs."""
    fixed: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What no setting changes, by name: printed step sizes, when curves are read, what the claims ask for. Told in
    ``settings.json``."""

    def settings(self, *, quick: bool = False, **changes: Any) -> Any:
        """Return the settings of the full or quick form with some of them changed.

        Parameters
        ----------
        quick : bool
            Which of the two forms.
        **changes : object
            New values by the name of the setting.

        Raises
        ------
        ValueError
            If a name is unknown or a value of the wrong type; text is read as the type of the setting.
        """
        base = self.quick if quick else self.full
        known = {f.name: type(getattr(base, f.name)) for f in fields(base)}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"{self.name} has the settings {', '.join(known)}; got {name!r}")
            changes[name] = _read(name, value, known[name])
        return replace(base, **changes)

    def reproduce(
        self,
        out: str | Path,
        *,
        quick: bool = False,
        say: Callable[[str], object] = print,
        progress: bool = False,
        **changes: Any,
    ) -> Outcome:
        """Run the experiment, write its results, and return what it comes to.

        Parameters
        ----------
        out : path
            Folder of the results, made if it is not there. Results of the same settings in it are taken up.
        quick : bool
            The quick form.
        say : callable
            Called with each line for the reader.
        progress : bool
            Show progress bars.
        **changes
            Settings to change; see ``full`` and ``quick`` for what there is.

        Returns
        -------
        Outcome
            The table, the claims and the verdict.

        Raises
        ------
        ValueError
            If a setting is unknown or out of range, or the folder cannot be written or holds results of other settings.
        KeyboardInterrupt
            As it came; what was done is kept.
        """
        settings = self.settings(quick=quick, **changes)
        folder = Path(out)

        def claim() -> None:
            claim_folder(folder, self.name, asdict(settings), self.fixed)

        outcome = self.run(settings, Context(self.name, folder, say, progress, claim))
        changed = {k: v for k, v in asdict(settings).items() if v != getattr(self.full, k)}
        if changed:
            note = f"Not as in the full form: {', '.join(f'{k} = {v}' for k, v in changed.items())}."
            outcome = outcome._replace(note=f"{outcome.note} {note}")
        text = "\n".join([self.title, self.source, "", *report_lines(outcome), ""])
        write_whole(folder / "report.txt", text.encode())
        document = {
            "experiment": self.name,
            "verdict": outcome.verdict,
            "note": outcome.note,
            "claims": [claim._asdict() for claim in outcome.claims],
            "table": [dict(zip(outcome.header, row, strict=True)) for row in outcome.rows],
        }
        write_whole(folder / "report.json", json.dumps(document, indent=1).encode())
        return outcome


def claim_folder(folder: Path, name: str, settings: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
    """Write ``settings.json``, or raise ValueError if the folder cannot be written, or holds other results or something else.

    What is fixed is not compared: each run kept in the folder knows its own step size, and refuses another one; how the runs
    are judged may change, and the report then is made anew.
    """
    from ..version import __version__

    path = folder / "settings.json"
    versions = {"gradflow": __version__, "numpy": np.__version__, "python": platform.python_version()}
    document = {"experiment": name, "settings": dict(settings), "fixed": dict(fixed), "versions": versions}
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not path.exists())):
        raise ValueError(f"{folder} must be a folder of results, an empty one or a new one; it holds something else")
    if path.exists():
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            kept_name, kept_settings = kept["experiment"], dict(kept["settings"])
            kept_versions = dict(kept.get("versions", versions))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a settings file of an experiment: choose another folder") from error
        if any((folder / "data").glob("*.npz")) or (folder / "report.json").exists():
            differing = [] if kept_name == name else [f"experiment {kept_name}, not {name}"]
            if not differing:
                differing = [
                    f"{key} {kept_settings.get(key)!r}, not {value!r}"
                    for key, value in settings.items()
                    if key not in kept_settings or not _continues(key, kept_settings[key], value)
                ]
            if differing:
                raise ValueError(
                    f"{folder} holds results of other settings ({'; '.join(differing)}): choose another folder"
                )
            if kept_versions != versions:  # of the runs that are taken up, beside those that go on and judge
                document |= {"versions": kept_versions, "taken up with": versions}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for stale in ("report.json", "report.txt"):  # of an earlier run: nobody shall read it beside the new settings
            (folder / stale).unlink(missing_ok=True)
        write_whole(path, json.dumps(document, indent=1).encode())
    except OSError as error:
        raise ValueError(f"{folder} must be a folder that can be made and written, got: {error.strerror}") from error


def report_lines(outcome: Outcome) -> list[str]:
    """Return the table, the claims and the verdict as lines of plain text."""
    lines = [*format_table(outcome.header, outcome.rows), "", *textwrap.wrap(outcome.note, 100)]
    for claim in outcome.claims:
        lines += ["", f"{_word(claim.holds)}: {claim.text}"]
        lines += textwrap.wrap(claim.evidence, 96, initial_indent="    ", subsequent_indent="    ")
    return [*lines, "", f"Verdict: {outcome.verdict}"]


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a plain-text table: the first column to the left, the others to the right.

    Parameters
    ----------
    header : sequence of str
        Heads of the columns.
    rows : sequence of sequence of str
        The cells.
    """
    table = [tuple(header), *map(tuple, rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in table
    ]
    return [lines[0].rstrip(), "-" * len(lines[0]), *(line.rstrip() for line in lines[1:])]


def _word(holds: bool | None) -> str:
    return {True: "holds", False: "fails", None: "not decided"}[holds]


def _continues(key: str, kept: Any, new: Any) -> bool:
    """Return whether results with the value `kept` may be taken up by a run with the value `new`."""
    return bool(kept == new or (key == "epochs" and isinstance(kept, int) and kept < new))


def _read(name: str, value: Any, kind: type) -> Any:
    """Return `value` as the type of the setting, from text if need be."""
    if isinstance(value, str) and kind is not str:
        try:
            value = kind(value)
        except ValueError as error:
            raise ValueError(f"{name} must be of type {kind.__name__}, got {value!r}") from error
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        raise ValueError(f"{name} must be of type {kind.__name__}, got {value!r}")
    return value
