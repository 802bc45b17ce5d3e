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
from math import inf
from pathlib import Path
from typing import Any

from ..description import escaped, found
from .experiment import Experiment
from .words import headline

__all__ = ["Results", "command", "read_results", "reproduction_page"]

HOLDS = {True: "yes", False: "no", None: "not decided"}
WORDS: dict[type, str] = {dict: "a mapping", list: "a list", str: "text"}
"""What JSON's types are called in messages."""
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
        If a folder holds no results, unfinished or damaged ones, those of an unknown experiment or of other settings than the
        experiment has; if a file is a link out of the folder that was given; or if two folders hold results of one
        experiment at the same settings.
    """
    base = folders[0].resolve().parent
    kept_by_name: dict[str, list[tuple[Path, Results]]] = {}
    for folder in folders:
        within = (
            [folder]
            if (folder / "settings.json").exists()
            else sorted(p.parent for p in folder.glob("*/settings.json"))
        )
        if not within:
            raise ValueError(f"{folder} must be a folder of results, or of such folders: it has no settings.json")
        for path in within:
            results = _read_folder(path, folder, base, experiments)
            name = results.experiment.name
            for other, kept in kept_by_name.setdefault(name, []):
                if kept.settings == results.settings:
                    raise ValueError(
                        f"results of different settings, got two of {name} at the same: {other} and {path}"
                    )
            kept_by_name[name].append((path, results))
    ordered = []
    for name in (name for name in experiments if name in kept_by_name):
        several = sorted(
            (results for _, results in kept_by_name[name]), key=lambda r: len(_changes(r.settings, r.experiment.full))
        )
        ordered += [replace(results, number=number) for number, results in enumerate(several, start=1)]
    return ordered


def _read_folder(folder: Path, top: Path, base: Path, experiments: Mapping[str, Experiment]) -> Results:
    """Return what a folder within `top`, itself or below, holds; paths of figures start at `base`."""
    kept, report = _read_json(folder / "settings.json", top), _read_json(folder / "report.json", top)
    name = kept.get("experiment")
    if not isinstance(name, str) or name not in experiments or report.get("experiment") != name:
        raise ValueError(
            f"{folder} must hold results of one of {', '.join(experiments)}, "
            f"got {found(name)} in settings.json and {found(report.get('experiment'))} in report.json"
        )
    experiment, known = experiments[name], asdict(experiments[name].full)
    settings, versions = (_part(kept, folder / "settings.json", part, dict) for part in ("settings", "versions"))
    if set(settings) != set(known):
        raise ValueError(f"{name} has the settings {', '.join(known)}; {folder} those of another version: run it again")
    for key, value in settings.items():
        _require(_is_setting(value, known[key]), folder / "settings.json", key, type(known[key]).__name__, value)
    for key, value in versions.items():
        _require(isinstance(value, str), folder / "settings.json", f"the version of {key}", "text", value)
    _check_report(report, folder / "report.json")
    return Results(experiment, settings, versions, report, _figure(folder / f"{name}.png", top, base))


def _read_json(path: Path, top: Path) -> dict[str, Any]:
    try:
        if not path.exists():
            raise FileNotFoundError
        _require_within(path, top)
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing: the experiment has not come to its end") from error
    except OSError as error:
        raise ValueError(f"{path} must be a file that can be read, got: {error.strerror}") from error
    try:
        document = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} must be a JSON file: {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(document).__name__}")
    return document


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number of JSON")


def _require_within(path: Path, top: Path) -> None:
    """Raise ValueError unless a path is a regular file, and below `top` when links are followed."""
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{path} must be a file, got a link to nothing") from error
    if not real.is_relative_to(top.resolve()):
        raise ValueError(f"{path} must be a file within {top}, got a link out of it")
    if not real.is_file():
        raise ValueError(f"{path} must be a file")


def _require(good: bool, path: Path, name: str, wanted: str, value: object) -> None:
    if not good:
        raise ValueError(f"{path}: {name} must be {wanted}, got {found(value)}")


def _part(document: Mapping[str, Any], path: Path, name: str, kind: type) -> Any:
    """Return a part of a document, of the type that is wanted."""
    if name not in document:
        raise ValueError(f"{path} must have {name}")
    _require(isinstance(document[name], kind), path, name, WORDS[kind], document[name])
    return document[name]


def _is_setting(value: object, known: object) -> bool:
    """Return whether a value read from JSON is one of the type of a setting; text is printable and on one line."""
    if isinstance(known, str):
        return isinstance(value, str) and value.isprintable()
    if isinstance(known, float):
        return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < inf
    return type(value) is type(known)


def _check_report(report: Mapping[str, Any], path: Path) -> None:
    """Raise ValueError unless a report has the parts, of the types, that `Experiment.reproduce` writes."""
    missing = {"verdict", "note", "claims", "table"} - set(report)
    if missing:
        raise ValueError(f"{path} must have {', '.join(sorted(missing))}")
    verdict, _ = (_part(report, path, name, str) for name in ("verdict", "note"))
    _require(bool(verdict.strip()), path, "verdict", "text", verdict)
    for n, claim in enumerate(_part(report, path, "claims", list), start=1):
        _require(isinstance(claim, dict), path, f"claim {n}", "a mapping", claim)
        for name in ("text", "evidence"):
            _require(isinstance(claim.get(name), str), path, f"{name} of claim {n}", "text", claim.get(name))
        holds = claim.get("holds", "nothing")
        _require(holds is None or isinstance(holds, bool), path, f"holds of claim {n}", "true, false or null", holds)
    table = _part(report, path, "table", list)
    for n, row in enumerate(table, start=1):
        _require(isinstance(row, dict) and bool(row), path, f"row {n}", "a mapping with entries", row)
        _require(list(row) == list(table[0]), path, f"row {n}", f"of the columns {', '.join(table[0])}", list(row))
        for head, value in row.items():
            _require(isinstance(value, str), path, f"{head} of row {n}", "text", value)


def _figure(path: Path, top: Path, base: Path) -> str | None:
    """Return the path of a figure relative to `base`, or None if the study has no figure."""
    if not path.exists() and not path.is_symlink():
        return None
    _require_within(path, top)
    relative = Path(os.path.relpath(path.resolve(), base)).as_posix()
    if not re.fullmatch(r"(\.\./)*[\w.+-]+(/[\w.+-]+)*", relative):
        raise ValueError(f"{path} must be a path of letters, digits, '.', '_', '+' and '-', so that a page can show it")
    return relative


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
    made_of = ", ".join(map(_named, folders or ("results",)))
    lines = [
        "# Reproduction",
        "",
        "<!-- Generated by `gradflow report`: run the experiments again, do not edit this page. -->",
        "",
        "Each section tells what one command found, `gradflow reproduce NAME` (`gradflow reproduce all` runs every one in its full form); "
        f"`gradflow report` made this page of what they wrote in {made_of}.",
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
        relative = (f"{name} = {value} ({getattr(experiment.full, name)})" for name, value in changes.items())
        yield from (f"Not as in the full form (whose values are in brackets): {_cell(', '.join(relative))}.", "")
    first = headline(report["verdict"])
    reason = report["verdict"].strip().removeprefix(first)
    yield from (f"**Verdict: {_verdict(first)}**{' ' * reason[:1].isspace()}{_cell(reason)}", "")
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


def _cell(text: str) -> str:
    """Return plain text on one line, such that Markdown shows it as it is, in a table too."""
    return escaped(text, inside=True)


def _named(folder: str) -> str:
    """Return the name of a folder as code, or as plain text if it has other characters than names usually have."""
    return f"`{folder}`" if re.fullmatch(r"[\w.+-]+", folder) else _cell(folder)


def _verdict(first_words: str) -> str:
    """Return the first words of a verdict as a span with classes, by which a page colours them."""
    kind = re.sub(r"[^a-z]+", "-", first_words.lower()).strip("-")
    return f"[{_cell(first_words)}]{{.verdict .verdict-{kind}}}" if kind else _cell(first_words)
