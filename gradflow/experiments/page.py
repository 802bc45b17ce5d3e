"""The reproduction page: what was claimed of each published figure, what was measured, and whether it holds.

The page is made of folders of results as `Experiment.reproduce` writes them, in MyST Markdown.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..description import escaped
from .experiment import Experiment
from .words import headline

__all__ = ["Results", "command", "read_results", "reproduction_page"]

HOLDS = {True: "yes", False: "no", None: "not decided"}
NOT_FULL = " Not as in the full form: "
"""With this `Experiment.reproduce` appends to a note what the page tells in a sentence of its own."""


@dataclass(frozen=True)
class Results:
    """What a folder holds."""

    experiment: Experiment
    """The experiment that wrote it."""
    settings: Mapping[str, Any]
    """All settings, by name."""
    versions: Mapping[str, str]
    """The versions that ran."""
    report: Mapping[str, Any]
    """The verdict, the note, the claims and the table, as in ``report.json``."""
    figure: str | None
    """Path of the figure from the place of the page; None if there is none."""
    number: int = 1
    """1 of the results of an experiment that come first, then 2, 3, ..."""


def read_results(folders: Sequence[Path], experiments: Mapping[str, Experiment]) -> list[Results]:
    """Return the results in folders, in the order of the experiments; of one experiment, those nearest to its full form first.

    Parameters
    ----------
    folders : sequence of Path
        Folders of results, or folders of such folders. The page belongs beside the first: paths of figures start there.
    experiments : mapping of str to Experiment
        Every experiment by name.

    Raises
    ------
    ValueError
        If a folder holds no results, unfinished ones, those of an unknown experiment or of other settings than the experiment has,
        or if two folders hold results of one experiment at the same settings.
    """
    base = folders[0].resolve().parent
    found: dict[str, list[tuple[Path, Results]]] = {}
    for folder in folders:
        within = (
            [folder]
            if (folder / "settings.json").exists()
            else sorted(p.parent for p in folder.glob("*/settings.json"))
        )
        if not within:
            raise ValueError(f"{folder} must be a folder of results, or of such folders: it has no settings.json")
        for path in within:
            results = _read_folder(path, base, experiments)
            name = results.experiment.name
            for other, kept in found.setdefault(name, []):
                if kept.settings == results.settings:
                    raise ValueError(
                        f"results of different settings, got two of {name} at the same: {other} and {path}"
                    )
            found[name].append((path, results))
    ordered = []
    for name in (name for name in experiments if name in found):
        several = sorted(
            (results for _, results in found[name]), key=lambda r: len(_changes(r.settings, r.experiment.full))
        )
        ordered += [replace(results, number=number) for number, results in enumerate(several, start=1)]
    return ordered


def _read_folder(folder: Path, base: Path, experiments: Mapping[str, Experiment]) -> Results:
    kept, report = _read_json(folder / "settings.json"), _read_json(folder / "report.json")
    name = str(kept.get("experiment"))
    if name not in experiments or report.get("experiment") != name:
        raise ValueError(
            f"{folder} must hold results of one of {', '.join(experiments)}, "
            f"got {name!r} in settings.json and {report.get('experiment')!r} in report.json"
        )
    experiment = experiments[name]
    settings, known = kept.get("settings", {}), asdict(experiment.full)
    if set(settings) != set(known):
        raise ValueError(f"{name} has the settings {', '.join(known)}; {folder} those of another version: run it again")
    missing = {"verdict", "note", "claims", "table"} - set(report)
    if missing:
        raise ValueError(f"{folder / 'report.json'} must have {', '.join(sorted(missing))}")
    figure = folder / f"{name}.png"
    path = Path(os.path.relpath(figure.resolve(), base)).as_posix() if figure.exists() else None
    return Results(experiment, settings, kept.get("versions", {}), report, path)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing: the experiment has not come to its end") from error
    except ValueError as error:
        raise ValueError(f"{path} must be a JSON file: {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(document).__name__}")
    return document


def command(results: Results) -> str:
    """Return the command that makes results of these settings: the form that is closer to them, and what is changed.

    Parameters
    ----------
    results : Results
        With the settings.
    """
    experiment = results.experiment
    forms = (("", experiment.full), (" --quick", experiment.quick))
    option, changes = min(
        ((option, _changes(results.settings, form)) for option, form in forms), key=lambda form: len(form[1])
    )
    sets = "".join(f" --set {shlex.quote(f'{name}={value}')}" for name, value in changes.items())
    return f"gradflow reproduce {experiment.name}{option}{sets}"


def _changes(settings: Mapping[str, Any], form: Any) -> dict[str, Any]:
    return {name: settings[name] for name, value in asdict(form).items() if settings[name] != value}


def reproduction_page(all_results: Sequence[Results], *folders: str) -> str:
    """Return the page, in MyST Markdown.

    Parameters
    ----------
    all_results : sequence of Results
        One for each section.
    *folders : str
        What the page says it was made of.
    """
    made_of = folders or ("results",)
    lines = [
        "# Reproduction",
        "",
        f"<!-- Generated by `gradflow report` from the reports in {', '.join(made_of)}: run the experiments again, do not edit this page. -->",
        "",
        "Each section tells what one command found, `gradflow reproduce NAME` (`gradflow reproduce all` runs every one in its full form); "
        f"`gradflow report` made this page of what they wrote in {', '.join(f'`{folder}`' for folder in made_of)}.",
        "But for what is said to read it, nothing is typed by hand: every number, verdict and figure is of the run whose settings and versions stand beside it.",
        "",
        *_table(
            ("experiment", "source", "claims that hold", "verdict"),
            (
                (
                    f"[{_cell(_title(r))}](#{_anchor(r)})",
                    _cell(r.experiment.source),
                    f"{sum(claim['holds'] is True for claim in r.report['claims'])} of {len(r.report['claims'])}",
                    _verdict(headline(r.report["verdict"])),
                )
                for r in all_results
            ),
        ),
    ]
    for results in all_results:
        lines += ["", *_section(results)]
    return "\n".join(lines) + "\n"


def _section(results: Results) -> Iterator[str]:
    experiment, report = results.experiment, results.report
    yield from (f"({_anchor(results)})=", f"## {_cell(_title(results))}", "")
    yield from (f"Source: {_cell(experiment.source.rstrip('.'))}.", "", f"Problem: {_cell(experiment.problem)}", "")
    yield from ("```console", f"$ {command(results)}", "```", "")
    changes = _changes(results.settings, experiment.full)
    if changes:
        told = (f"{name} = {value} ({getattr(experiment.full, name)})" for name, value in changes.items())
        yield from (f"Not as in the full form (whose values are in brackets): {_cell(', '.join(told))}.", "")
    first = headline(report["verdict"])
    yield from (f"**Verdict: {_verdict(first)}**{_cell(report['verdict'].removeprefix(first), strip=False)}", "")
    if results.figure is not None:
        alt = json.dumps(f"Figure of {experiment.name}: {experiment.title}", ensure_ascii=False)
        yield from (f"```{{figure}} {results.figure}", f":alt: {alt}", ":width: 100%", "```", "")
    yield from _table(
        ("claimed", "measured", "holds"),
        ((_cell(c["text"]), _cell(c["evidence"]), HOLDS[c["holds"]]) for c in report["claims"]),
    )
    yield ""
    if report["table"]:
        header = tuple(report["table"][0])
        yield from (":::{dropdown} Table of the runs", "")
        rows = (tuple(_cell(row[head]) for head in header) for row in report["table"])
        yield from _table(tuple(map(_cell, header)), rows, numbers=True)
        yield from ("", ":::", "")
    note = report["note"].partition(NOT_FULL)[0]
    if note:
        yield from (f"*To read it:* {_cell(note)}", "")
    yield f"Made with {_cell(', '.join(f'{name} {version}' for name, version in results.versions.items()))}."


def _table(header: Sequence[str], rows: Iterator[tuple[str, ...]], *, numbers: bool = False) -> Iterator[str]:
    """Yield the lines of a table; with `numbers`, all columns but the first to the right."""
    for row in (tuple(header), ("---", *["--:" if numbers else "---"] * (len(header) - 1)), *rows):
        yield f"| {' | '.join(row)} |"


def _anchor(results: Results) -> str:
    return f"reproduction-{results.experiment.name}" + f"-{results.number}" * (results.number > 1)


def _title(results: Results) -> str:
    """Return the title of the experiment; of further results of it also their settings that the full form does not have."""
    if results.number == 1:
        return results.experiment.title
    changes = _changes(results.settings, results.experiment.full)
    return f"{results.experiment.title} ({', '.join(f'{name} = {value}' for name, value in changes.items())})"


def _cell(text: str, *, strip: bool = True) -> str:
    """Return plain text on one line, such that Markdown shows it as it is, in a table too."""
    line = " ".join(text.split()) if strip else re.sub(r"\s+", " ", text)
    return re.sub(r"(?<!\\)\|", r"\\|", escaped(line))  # a bar ends the cell even in code


def _verdict(first_words: str) -> str:
    """Return the first words of a verdict as a span with classes, by which a page colours them."""
    kind = re.sub(r"[^a-z]+", "-", first_words.lower()).strip("-")
    return f"[{_cell(first_words)}]{{.verdict .verdict-{kind}}}" if kind else _cell(first_words)
