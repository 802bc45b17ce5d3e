"""The commands for the experiments: run one or all, list them, make a page of their results."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from ..experiments import REGISTRY, Experiment
from ..experiments.experiment import report_lines
from ..experiments.listing import details, overview
from .ending import fail

__all__ = ["COMMANDS"]

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

    Prints a table and draws a figure.
    """
    run(REGISTRY["demo"], out, quick, changes)


def list_experiments(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Print all about these.")] = None,
    long: Annotated[bool, typer.Option("--long", help="Print all about every experiment.")] = False,
) -> None:
    """Print what `reproduce` knows.

    A line for each: name, time, title; with NAME or --long also source, problem and the time of both forms.
    """
    for name in names or []:
        _experiment(name)
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

    Writes the figure, the data of every run, the settings and a report; with all, into folders of
    gradflow-results (gradflow-results-quick). Say it again to take up an interrupted run.
    """
    if name == "all":
        return run_all(out, quick, changes)
    run(_experiment(name), out, quick, changes)


def report(
    folders: Annotated[list[Path], typer.Argument(help="Folders of results, or folders of such folders.")],
) -> None:
    """Print a page about results, in MyST Markdown.

    The page says what was claimed, what was measured, and whether it holds. Write it next to the first folder:
    the paths of figures start there.
    """
    from ..experiments.page import read_results, reproduction_page

    try:
        page = reproduction_page(read_results(folders, REGISTRY), *(folder.resolve().name for folder in folders))
    except (ValueError, OSError) as error:
        fail(str(error))
    typer.echo(page, nl=False)


def run(experiment: Experiment, out: Path | None, quick: bool, changes: list[str] | None) -> None:
    """Run an experiment, and print its report and the place of the results."""
    folder = Path(f"gradflow-{experiment.name}" + "-quick" * quick) if out is None else out
    start = time.perf_counter()
    try:
        outcome = experiment.reproduce(
            folder,
            quick=quick,
            say=typer.echo,
            progress=sys.stderr.isatty(),
            **dict(map(parsed, changes or ())),
        )
    except (ValueError, OSError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        _interrupted(folder)
    typer.echo("")
    for line in report_lines(outcome):
        typer.echo(line)
    typer.echo(f"\nFigure: {folder / experiment.name}.png. Data, settings and report: {folder}.")
    typer.echo(f"{time.perf_counter() - start:.0f} s")


def run_all(out: Path | None, quick: bool, changes: list[str] | None) -> None:
    """Run every published experiment, print their verdicts; exit code 1 if one did not run."""
    from ..experiments.series import reproduce_all

    if changes:
        fail(f"--set changes one experiment, got {changes[0]!r} for all: leave it out, or name the experiment")
    folder = Path("gradflow-results" + "-quick" * quick) if out is None else out
    try:
        folder.mkdir(parents=True, exist_ok=True)  # else every experiment would be refused
    except OSError as error:
        fail(f"{folder} must be a folder that can be made, got: {error.strerror}")
    published = [experiment for name, experiment in REGISTRY.items() if name != "demo"]
    try:
        ended = reproduce_all(published, folder, quick=quick, say=typer.echo, progress=sys.stderr.isatty())
    except KeyboardInterrupt:
        _interrupted(folder)
    typer.echo(f"\nFigures, data, settings and reports: {folder}.")
    if not all(one.ran for one in ended):
        typer.echo(f"gradflow: not run: {', '.join(one.name for one in ended if not one.ran)}", err=True)
        raise typer.Exit(1)


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


def _experiment(name: str) -> Experiment:
    """Return the experiment of this name, or say which there are."""
    if name not in REGISTRY:
        fail(f"no experiment is called {name!r}; there are {', '.join(REGISTRY)}")
    return REGISTRY[name]


COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo,
    "list": list_experiments,
    "reproduce": reproduce,
    "report": report,
}
"""The commands by name."""
