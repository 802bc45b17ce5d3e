"""The commands for the figures: run one or all, list them, make a page of their results."""

from __future__ import annotations

import re
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from ..experiments import REGISTRY, Figure
from ..experiments.judging import Report, shown
from .ending import fail

__all__ = ["COMMANDS"]

PLACE = re.compile(r", (?=(?:fig|table|example|section|experiment|algorithm)[a-z]*\.? \d)", re.IGNORECASE)
"""Behind the citation, before the place in what is cited."""

Out = Annotated[
    Path | None,
    typer.Option(help="Folder of the results. Default: gradflow-NAME, or gradflow-NAME-quick with --quick."),
]
Quick = Annotated[bool, typer.Option("--quick", help="The short form.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Change a setting, e.g. epochs=20. May be repeated."),
]


def demo(out: Out = None, quick: Quick = False, changes: Changes = None) -> None:
    """Train one network with five schemes (about a minute).

    Prints what was measured and draws a figure.
    """
    run_one(REGISTRY["demo"], out, quick, changes)


def list_figures(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Print all about these.")] = None,
    long: Annotated[bool, typer.Option("--long", help="Print all about every figure.")] = False,
) -> None:
    """Print what `reproduce` knows.

    The name, title and problem of each figure; with NAME or --long also source, settings and what differs from the paper.
    """
    for name in names or []:
        _figure(name)
    if names or long:
        lines = [line for name in names or REGISTRY for line in details(REGISTRY[name])]
    else:
        lines = [
            *overview(REGISTRY.values()),
            "",
            "All about one: gradflow list NAME; about all: gradflow list --long.",
        ]
    for line in lines:
        typer.echo(line)


def reproduce(
    name: Annotated[str, typer.Argument(help="A name that `gradflow list` prints; all: one after the other.")],
    out: Out = None,
    quick: Quick = False,
    changes: Changes = None,
) -> None:
    """Repeat a published figure, or all of them, and judge what came out.

    Writes the picture, the curves, the data of every run, the settings and the claims; with all, into folders of
    gradflow-results (gradflow-results-quick). Say it again to take up an interrupted run.
    """
    if name == "all":
        return run_all(out, quick, changes)
    run_one(_figure(name), out, quick, changes)


def report(
    folders: Annotated[list[Path], typer.Argument(help="Folders of results, or folders of such folders.")],
    every: Annotated[bool, typer.Option("--all", help="Name the figures without results, too.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Judge curves again whose claims have changed since.")] = False,
) -> None:
    """Print a page about results, in MyST Markdown.

    The page says what was claimed, what was measured, and whether it holds. Write it next to the first folder:
    the paths of pictures start there.
    """
    from ..experiments.page import reproduction_page
    from ..experiments.results import read_results

    try:
        results = read_results(folders, REGISTRY, again=again)
        found = {one.figure.name for one in results}
        missing = [figure for figure in published() if every and figure.name not in found]
        page = reproduction_page(results, missing)
    except (ValueError, OSError) as error:
        fail(str(error))
    typer.echo(page, nl=False)


def published() -> list[Figure]:
    """Return what `reproduce all` runs: every figure but the demonstration."""
    return [figure for name, figure in REGISTRY.items() if name != "demo"]


def run_one(figure: Figure, out: Path | None, quick: bool, changes: list[str] | None) -> None:
    """Run a figure, and print its claims and the place of the results."""
    folder = Path(f"gradflow-{figure.name}" + "-quick" * quick) if out is None else out
    start = time.perf_counter()
    try:
        found = run(figure, folder, quick, dict(map(parsed, changes or ())))
    except (ValueError, OSError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        _interrupted(folder)
    for line in [*(ends(figure, folder) if figure.show else ()), *report_lines(found)]:
        typer.echo(line)
    typer.echo(
        f"\n{f'Picture: {folder / figure.name}.png. ' if figure.show else ''}Curves, data, settings and claims: {folder}."
    )
    typer.echo(f"{time.perf_counter() - start:.0f} s")


def run_all(out: Path | None, quick: bool, changes: list[str] | None) -> None:
    """Run every published figure, print their verdicts; exit code 1 if one did not run."""
    if changes:
        fail(f"--set changes one figure, got {changes[0]!r} for all: leave it out, or name the figure")
    folder = Path("gradflow-results" + "-quick" * quick) if out is None else out
    try:
        folder.mkdir(parents=True, exist_ok=True)  # else every figure would be refused
    except OSError as error:
        fail(f"{folder} must be a folder that can be made, got: {error.strerror}")
    rows, refused = [], []
    for figure in published():
        typer.echo(f"{figure.name}: {figure.title}")
        start = time.perf_counter()
        try:
            told = run(figure, folder / figure.name, quick, {}).headline
            typer.echo(f"Verdict: {told}\n")
        except KeyboardInterrupt:
            _interrupted(folder)
        except Exception as error:  # a figure's own functions may raise anything: the others run
            told = "not run"
            refused.append(figure.name)
            kind = "" if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: "
            typer.echo(f"Not run: {kind}{' '.join(str(error).split())}\n")
        words, _, counts = told.partition(": ")
        rows.append((figure.name, words, counts, f"{time.perf_counter() - start:.0f}"))
    for line in table_lines(("figure", "verdict", "claims", "seconds"), rows):
        typer.echo(line)
    typer.echo(f"\nPictures, curves, data, settings and claims: {folder}.")
    if refused:
        typer.echo(f"gradflow: not run: {', '.join(refused)}", err=True)
        raise typer.Exit(1)


def run(figure: Figure, folder: Path, quick: bool, changes: Mapping[str, Any]) -> Report:
    """Run a figure into a folder, draw it there, and return what it comes to."""
    from ..experiments.pictures import draw

    found = figure.reproduce(folder, quick=quick, say=typer.echo, progress=sys.stderr.isatty(), **changes)
    draw(figure, folder / "curves.npz", folder / figure.name)
    return found


def report_lines(found: Report) -> Iterator[str]:
    """Yield the claims and the verdict as lines of plain text."""
    words = {True: "holds", False: "fails", None: "open"}
    panel = None
    for row in shown(found.claims, REGISTRY[found.figure].least if found.figure in REGISTRY else 0):
        if row["panel"] != panel:
            panel = row["panel"]
            yield from ("", panel) if panel else ("",)
        values = " ".join("-" if value is None else f"{float(value):.3g}" for value in row["values"])
        yield f"{words[row['holds']]:6}{row['claim']}: {values} (from {float(row['low']):.3g} to {float(row['high']):.3g})"
    if found.changed:
        told = ", ".join(f"{name} = {ours} ({theirs})" for name, (ours, theirs) in found.changed.items())
        yield from ("", *textwrap.wrap(f"Not as published (whose values are in brackets): {told}.", 100))
    yield from ("", f"Verdict: {found.headline}")


def ends(figure: Figure, folder: Path) -> list[str]:
    """Return a table of how the runs ended: medians over the draws of the last records, in the order of the panels."""
    import numpy as np

    from ..experiments.traces import load_curves

    rows, panels = [], load_curves(folder / "curves.npz")
    for title, curves in panels.items():
        for label, traces in curves.items():
            last = [np.median([float(t.history[name][-1]) for t in traces]) for name in (*figure.keep,)]
            quantities = ["-" if np.isnan(value) else f"{value:.2e}" for value in last]
            speed = np.median([1e3 * t.seconds / max(1, t.steps) for t in traces])
            end = np.median([float(t.history["epoch"][-1]) for t in traces])
            status = ", ".join(dict.fromkeys(t.status for t in traces))
            name = f"{title}: {label}" if len(panels) > 1 else label
            rows.append((name, f"{end:g}", *quantities, f"{speed:.2f}", status))
    quantities = [name.replace("_", " ") for name in figure.keep]
    return ["", *table_lines(("curve", figure.axis, *quantities, "ms/step", "status"), rows)]


def overview(figures: Iterable[Figure]) -> Iterator[str]:
    """Yield the lines of a list: for each source a heading, below it for each figure its name, title and problem."""
    groups: dict[str, list[Figure]] = {}
    for figure in figures:
        groups.setdefault(PLACE.split(figure.source, maxsplit=1)[0], []).append(figure)
    width = max((len(figure.name) for group in groups.values() for figure in group), default=0)
    for n, (citation, group) in enumerate(groups.items()):
        yield from ([""] if n else [])
        yield citation
        for figure in group:
            yield f"    {figure.name:{width}}  {figure.title}"
            yield from textwrap.wrap(figure.problem, 112, initial_indent=8 * " ", subsequent_indent=8 * " ")


def details(figure: Figure) -> Iterator[str]:
    """Yield the lines that tell all about a figure but its results."""
    from dataclasses import asdict

    full = asdict(figure.task)
    curves = sum(len(of) for panel in figure.published.values() for of in panel.values()) * figure.follow

    def told(settings: Mapping[str, Any]) -> str:
        return ", ".join(f"{name} = {value}" for name, value in settings.items()) or "nothing else"

    yield f"{figure.name}: {figure.title}"
    for label, text in {
        "source": figure.source,
        "problem": figure.problem,
        "settings": told(full),
        "--quick": told(figure.quick),
        "paper": told({name: theirs for name, (_, theirs) in figure.changed(full).items()}),
        "claims": f"{len(figure.claims)}{f', and two for each of {curves} published curves' * (curves > 0)}",
    }.items():
        yield from textwrap.wrap(
            text, 100, initial_indent=f"    {label:9}", subsequent_indent=13 * " ", break_on_hyphens=False
        )


def table_lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a plain-text table."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in (header, *rows)]
    return [lines[0], "-" * (sum(widths) + 2 * len(widths) - 2), *lines[1:]]


def parsed(change: str) -> tuple[str, str]:
    """Return the name and the value of ``name=value``."""
    name, sign, value = change.partition("=")
    if not sign:
        raise ValueError(f"--set takes NAME=VALUE, got {change!r}")
    return name.strip(), value.strip()


def _interrupted(folder: Path) -> NoReturn:
    """End with exit code 130, and say how to continue from what the folder holds."""
    typer.echo(f"\ngradflow: interrupted; the same command goes on from what {folder} holds", err=True)
    raise typer.Exit(130) from None


def _figure(name: str) -> Figure:
    """Return the figure of this name, or say which there are."""
    if name not in REGISTRY:
        fail(f"no figure is called {name!r}; there are {', '.join(REGISTRY)}")
    return REGISTRY[name]


COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo,
    "list": list_figures,
    "reproduce": reproduce,
    "report": report,
}
"""The commands by name."""
