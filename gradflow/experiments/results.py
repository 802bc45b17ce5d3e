"""Folders of results as they are read again: settings, versions and curves are believed, no verdict is.

Only ``claims.json`` and ``curves.npz`` are read. The curves are judged again, and claims that differ are refused.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from ..description import found
from .figure import Figure
from .judging import Report, judge
from .traces import Panels, load_curves

__all__ = ["Results", "read_results"]

LARGEST = 2**22
"""Bytes of a file of claims at most."""


class Results(NamedTuple):
    """What a folder holds."""

    figure: Figure
    """The figure whose results they are."""
    report: Report
    """Settings, versions, duration and claims."""
    panels: Panels
    """The curves."""
    picture: str
    """Path of the picture from the place of the page."""


def read_results(folders: Sequence[Path], figures: Mapping[str, Figure], *, again: bool = False) -> list[Results]:
    """Return the results in folders, in the order of the figures.

    Parameters
    ----------
    folders : sequence of Path
        Folders of results, or folders of such folders. The page belongs beside the first: paths of pictures start there.
    figures : mapping of str to Figure
        Every figure by name.
    again : bool
        Write claims that do not follow from the curves anew, in the place of refusing them: a claim may have changed since.

    Raises
    ------
    ValueError
        If a folder holds no results, or unfinished or damaged ones; those of an unknown figure or of other settings than it
        has; claims that do not follow from the curves; a link out of the folder that was given; or if two folders hold
        results of one figure.
    """
    base, kept = folders[0].resolve().parent, dict[str, Results]()
    for top in folders:
        within = [top] if (top / "claims.json").exists() else sorted(p.parent for p in top.glob("*/claims.json"))
        if not within:
            raise ValueError(f"{top} must be a folder of results, or of such folders: it has no claims.json")
        for folder in within:
            results = _read_folder(folder, top, base, figures, again)
            if results.figure.name in kept:
                raise ValueError(
                    f"a page has one result of a figure, got another one of {results.figure.name}: {folder}"
                )
            kept[results.figure.name] = results
    return [kept[name] for name in figures if name in kept]


def _read_folder(folder: Path, top: Path, base: Path, figures: Mapping[str, Figure], again: bool) -> Results:
    paths = [folder / "claims.json", folder / "curves.npz"]
    for path in paths:
        if not path.is_file() or not path.resolve().is_relative_to(top.resolve()):
            raise ValueError(f"{path} must be a file within {top}")
    document = _read_json(paths[0])
    if set(document) != set(Report._fields):
        raise ValueError(f"{paths[0]} must have {', '.join(Report._fields)}; it has {found(sorted(document))}")
    report = Report(**document)
    if not isinstance(report.figure, str) or report.figure not in figures:
        raise ValueError(f"{paths[0]} must be of one of {', '.join(figures)}; it is of {found(report.figure)}")
    figure = figures[report.figure]
    try:
        known = asdict(figure.settings(**report.settings))
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{paths[0]} holds settings that {figure.name} has not: {error}") from error
    same = known == report.settings and all(type(v) is type(report.settings[k]) for k, v in known.items())
    if not same or not all(v.isprintable() for v in known.values() if isinstance(v, str)):
        raise ValueError(f"{paths[0]} must hold the settings {', '.join(known)} of {figure.name}: run it again")
    if not (isinstance(report.versions, dict) and all(isinstance(v, str) for v in report.versions.values())):
        raise ValueError(f"{paths[0]}: versions must be a mapping of texts to texts, got {found(report.versions)}")
    if type(report.seconds) not in (int, float) or not 0 <= report.seconds < 1e300:
        raise ValueError(f"{paths[0]}: seconds must be a finite number >= 0, got {found(report.seconds)}")
    panels = load_curves(paths[1])
    known_curves = {title: set(curves) for title, curves in figure.panels.items()}
    if known_curves and {title: set(curves) for title, curves in panels.items()} != known_curves:
        raise ValueError(f"{paths[1]} must hold the curves of {figure.name}: run it again")
    if any(
        not {*figure.keep} <= {*trace.history} for of in panels.values() for traces in of.values() for trace in traces
    ):
        raise ValueError(f"{paths[1]} must hold {', '.join(figure.keep)} of each curve: run it again")
    if any(len(traces) != known.get("draws", len(traces)) for curves in panels.values() for traces in curves.values()):
        raise ValueError(f"{paths[1]} must hold {known['draws']} draws of each curve, as the settings say")
    report = report._replace(changed=figure.changed(report.settings))  # for the verdict: it is not believed
    try:
        claims = json.loads(json.dumps(judge(figure, panels)))
    except ValueError as error:
        raise ValueError(f"{paths[1]} must hold curves that can be judged: {error}") from error
    if claims != report.claims:
        if not again:
            raise ValueError(
                f"{paths[0]} must hold the claims that follow from {paths[1].name}; `gradflow report --again` writes them"
            )
        report = report._replace(claims=claims)
        report.write(paths[0])
    picture = Path(os.path.relpath(folder.resolve() / f"{figure.name}.png", base)).as_posix()
    if not re.fullmatch(r"(\.\./)*[\w.+-]+(/[\w.+-]+)*", picture):
        raise ValueError(
            f"{folder} must be a path of letters, digits, '.', '_', '+' and '-', so that a page can show it"
        )
    return Results(figure, report, panels, picture)


def _read_json(path: Path) -> dict[str, Any]:
    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is not a number of JSON")

    try:
        if path.stat().st_size > LARGEST:
            raise ValueError("it is too large")
        document = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} must be a JSON file that can be read: {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(document).__name__}")
    return document
