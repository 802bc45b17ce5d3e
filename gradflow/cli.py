"""The command ``gradflow``: the demonstration, published figures, derivations, what is installed.

Mistakes of the caller end with one line on the error stream and exit code 2; an interrupted run with 130.
"""

from __future__ import annotations

import os
import platform
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module, metadata
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from . import __version__
from .experiments import REGISTRY, Experiment
from .experiments.experiment import report_lines

__all__ = ["app"]

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Energy-stable discretisations of gradient flows: demonstration, published figures, installation.",
)  # fmt: skip
"""The application; ``gradflow --help`` prints its commands."""

Out = Annotated[
    Path | None,
    typer.Option(help="Folder of the results. Default: gradflow-NAME, or gradflow-NAME-quick with --quick."),
]
Quick = Annotated[bool, typer.Option("--quick", help="The short form.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Change a setting, e.g. epochs=20. May be repeated."),
]


@app.callback(invoke_without_command=True)
def main(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    """Take the options that stand before a command."""
    if version:
        typer.echo(f"gradflow {__version__}")
        raise typer.Exit


@app.command()
def demo(out: Out = None, quick: Quick = False, changes: Changes = None) -> None:
    """Train one network with five schemes (about a minute).

    Prints a table and draws a figure.
    """
    run(REGISTRY["demo"], out, quick, changes)


@app.command("list")
def list_experiments() -> None:
    """Print what `reproduce` knows."""
    for experiment in REGISTRY.values():
        typer.echo(f"{experiment.name}: {experiment.title}")
        for label, text in {
            "source": experiment.source,
            "problem": experiment.problem,
            "time": f"{experiment.time}; --quick: {experiment.quick_time}",
        }.items():
            typer.echo(textwrap.fill(text, 100, initial_indent=f"    {label:9}", subsequent_indent=13 * " "))


@app.command()
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
    if name not in REGISTRY:
        fail(f"no experiment is called {name!r}; there are {', '.join(REGISTRY)}")
    run(REGISTRY[name], out, quick, changes)


@app.command()
def report(
    folders: Annotated[list[Path], typer.Argument(help="Folders of results, or folders of such folders.")],
) -> None:
    """Print the page that results make, in MyST Markdown.

    What was claimed, what was measured, whether it holds. The page belongs beside the first folder:
    paths of figures start there.
    """
    from .experiments.page import read_results, reproduction_page

    try:
        page = reproduction_page(read_results(folders, REGISTRY), folders[0].resolve().name)
    except (ValueError, OSError) as error:
        fail(str(error))
    typer.echo(page, nl=False)


@app.command()
def info() -> None:
    """Print what is installed and found here.

    Versions, linear algebra, threads, kernels, data sets.
    """
    lines = list(installation())
    width = max(len(label) for label, _ in lines)
    for label, value in lines:
        typer.echo(f"{label.ljust(width)}  {value}")


Jobs = Annotated[int | None, typer.Option(min=1, help="Processes. Default: one for each processor.")]


@app.command()
def verify(
    topic: Annotated[list[str] | None, typer.Argument(help="Derivations, e.g. sav. Default: all.")] = None,
    jobs: Jobs = None,
) -> None:
    """Run the derivations: one line for each claim, then the tally.

    Exit code 1 if anything does not hold.
    """
    proofs = _proofs()
    failed: list[str] = []
    tally: Counter[str] = Counter()
    start = time.perf_counter()
    try:
        for line in proofs.verify.verify(proofs.verify.default_folder(), topic or [], jobs or os.cpu_count() or 1):
            typer.echo(proofs.verify.report(line))
            tally[line.verdict.partition(" (")[0]] += not line.failure
            if line.failure:
                failed.append(line.id)
    except ValueError as error:
        fail(str(error))
    kinds = ", ".join(f"{n} {kind}" for kind, n in tally.most_common() if n)
    typer.echo(f"\n{tally.total()} settled ({kinds}), {len(failed)} fail; {time.perf_counter() - start:.0f} s")
    if failed:
        typer.echo(f"gradflow: no longer settled: {', '.join(failed)}", err=True)
        raise typer.Exit(1)


@app.command()
def mutants(
    scheme: Annotated[list[str] | None, typer.Argument(help="Schemes, e.g. SAV. Default: all.")] = None,
    jobs: Jobs = None,
) -> None:
    """Change the running updates by one edit at a time, and see whether their proofs notice.

    Exit code 1 if a mutant survives that is not known to be equivalent.
    """
    from .schemes import REGISTRY as schemes

    proofs = _proofs()
    for name in scheme or []:
        if name not in schemes:
            fail(f"no scheme is called {name!r}; there are {', '.join(schemes)}")
    folder = proofs.verify.default_folder()
    work = [(folder, name, kind) for name in scheme or schemes for kind in ("updates", "signs")]
    failed = False
    with ProcessPoolExecutor(jobs or os.cpu_count() or 1, mp_context=get_context("spawn")) as pool:
        for score in pool.map(proofs.harness.scored, work):
            typer.echo(str(score))
            failed = failed or not score.passed
    if failed:
        raise typer.Exit(1)


@app.command()
def claims(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Claims, e.g. C001-39. Default: all.")
    ] = None,
    page: Annotated[bool, typer.Option("--page", help="The whole claims page, in Markdown.")] = False,
) -> None:
    """Print what the source documents claim, as printed, and what became of it."""
    proofs = _proofs()
    try:
        folder = proofs.verify.default_folder()
        known = proofs.ledger.read_claims(folder / "claims")
        if page and ids:
            raise ValueError("--page is the page of all claims: leave the ids out")
        if page:
            typer.echo(proofs.page.claims_page(known, folder), nl=False)
            return
        by_id = {claim.id: claim for claim in known}
        for name in ids or by_id:
            if name not in by_id:
                raise ValueError(f"no claim is called {name!r}; there are {known[0].id} to {known[-1].id}")
            claim = by_id[name]
            typer.echo(f"{claim.id}  {claim.source}, {claim.place}")
            typer.echo(textwrap.indent("\n".join(proofs.page.claim_text(claim, folder)), "    ") + "\n")
    except ValueError as error:
        fail(str(error))


def _proofs() -> Any:
    """Return the package `gradflow.proofs`, or say what it needs."""
    try:
        import_module("z3")
        from . import proofs
        from .proofs import harness, ledger, page, verify  # noqa: F401
    except ImportError as error:
        fail(f"the derivations need {error.name}: pip install -e '.[proofs]'")
    return proofs


def run(experiment: Experiment, out: Path | None, quick: bool, changes: list[str] | None) -> None:
    """Run an experiment, print its report and where the results are."""
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
        interrupted(folder)
    typer.echo("")
    for line in report_lines(outcome):
        typer.echo(line)
    typer.echo(f"\nFigure: {folder / experiment.name}.png. Data, settings and report: {folder}.")
    typer.echo(f"{time.perf_counter() - start:.0f} s")


def run_all(out: Path | None, quick: bool, changes: list[str] | None) -> None:
    """Run every published experiment, print their verdicts; exit code 1 if one did not run."""
    from .experiments.series import reproduce_all

    if changes:
        fail(f"--set changes one experiment, got {changes[0]!r} for all: leave it out, or name the experiment")
    folder = Path("gradflow-results" + "-quick" * quick) if out is None else out
    published = [experiment for name, experiment in REGISTRY.items() if name != "demo"]
    try:
        ended = reproduce_all(published, folder, quick=quick, say=typer.echo, progress=sys.stderr.isatty())
    except KeyboardInterrupt:
        interrupted(folder)
    typer.echo(f"\nFigures, data, settings and reports: {folder}.")
    if not all(one.ran for one in ended):
        typer.echo(f"gradflow: not run: {', '.join(one.name for one in ended if not one.ran)}", err=True)
        raise typer.Exit(1)


def interrupted(folder: Path) -> NoReturn:
    """End with exit code 130 and say how to go on."""
    typer.echo(f"\ngradflow: interrupted; the same command goes on from what {folder} holds", err=True)
    raise typer.Exit(130) from None


def parsed(change: str) -> tuple[str, str]:
    """Return the name and the value of ``name=value``."""
    name, sign, value = change.partition("=")
    if not sign:
        raise ValueError(f"--set takes NAME=VALUE, got {change!r}")
    return name.strip(), value.strip()


def fail(message: str) -> NoReturn:
    """End with one line on the error stream and exit code 2."""
    typer.echo(f"gradflow: {' '.join(message.split())}", err=True)
    raise typer.Exit(2)


def installation() -> Iterator[tuple[str, str]]:
    """Yield what `info` prints, as pairs of a label and a value."""
    from .kernels import KERNELS, kernel_name, select

    yield "gradflow", __version__
    yield "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    for package in ("numpy", "scipy", "numba", "matplotlib", "sympy", "z3-solver", "cupy"):
        yield package, _version(package)
    yield "BLAS", _blas()
    yield "processors", f"{os.cpu_count()}"
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        if variable in os.environ:
            yield variable, os.environ[variable]
    yield "kernels", f"{kernel_name(select())} for NumPy arrays"
    for name in KERNELS[1:]:
        try:
            select(name)
            yield f"kernels {name}", "can be had"
        except ValueError as error:
            yield f"kernels {name}", str(error).partition("; ")[0]
    yield "CUDA devices", _devices()
    yield from _data_sets()


def _version(package: str) -> str:
    """Return the installed version of a package without importing it."""
    for name in (package, f"{package}-cuda13x", f"{package}-cuda12x"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "not installed"


def _blas() -> str:
    import numpy as np

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{blas['name']} {blas['version']}"


def _devices() -> str:
    try:
        import cupy

        return str(cupy.cuda.runtime.getDeviceCount())
    except Exception as error:  # cupy raises what its driver raises
        return f"none ({type(error).__name__})"


def _data_sets() -> Iterator[tuple[str, str]]:
    from .datasets.image_files import FASHION_MNIST, MNIST, locate

    yield "GRADFLOW_DATA_DIR", os.environ.get("GRADFLOW_DATA_DIR") or "not set"
    for image_set in (MNIST, FASHION_MNIST):
        try:
            yield image_set.title, str(locate(image_set))
        except FileNotFoundError:
            yield image_set.title, "not found (gradflow.datasets fetches it with download=True)"
