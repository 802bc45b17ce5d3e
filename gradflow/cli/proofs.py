"""The commands for the derivations: run them, change what they prove, print what the sources claim."""

from __future__ import annotations

import os
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import typer

from .ending import fail

__all__ = ["COMMANDS"]

Jobs = Annotated[int | None, typer.Option(min=1, help="Processes. Default: one for each processor.")]


def verify(
    topic: Annotated[
        list[str] | None,
        typer.Argument(
            help="Derivations, e.g. sav, claims, e.g. C001-39, checks, e.g. sav.step_bounds, or files of your own, "
            "e.g. my/scheme.nb.py. Default: all."
        ),
    ] = None,
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
        for line in _lines(proofs.verify, topic or [], jobs or os.cpu_count() or 1):
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


def _lines(verify: Any, chosen: list[str], jobs: int) -> Iterator[Any]:
    """Yield the lines of the library's derivations, then of those that are given as files."""
    own = [_own(name) for name in chosen if _is_file(name)]
    topics = [name for name in chosen if not _is_file(name)]
    if topics or not own:
        yield from verify.verify(verify.default_folder(), topics, jobs)
    for folder, topic in own:
        yield from verify.verify(folder, [topic], jobs)


def _is_file(name: str) -> bool:
    return name.endswith(".py")


def _own(name: str) -> tuple[Path, str]:
    """Return the folder and the topic of a derivation that is given as a file."""
    path = Path(name)
    if not path.name.endswith(".nb.py"):
        raise ValueError(f"the name of a derivation ends with .nb.py, got {name}")
    if not path.is_file():
        raise ValueError(f"there is no file {name}")
    return path.parent, path.name.removesuffix(".nb.py")


def mutants(
    scheme: Annotated[
        list[str] | None,
        typer.Argument(
            help="Schemes, e.g. SAV, parts, e.g. protocols, or derivations of your own, e.g. my/scheme.nb.py. "
            "Default: all, or none with --room."
        ),
    ] = None,
    jobs: Jobs = None,
    room: Annotated[
        list[str] | None, typer.Option(help="A room, e.g. models, judged by its proofs and then its tests.")
    ] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="So many mutants of each room. Default: all.")] = None,
    seed: Annotated[int, typer.Option(help="Which sample.")] = 0,
    doubles: Annotated[
        bool, typer.Option("--doubles", help="Also edits of an update at several places that keep its energy law.")
    ] = False,
) -> None:
    """Change the running code by one edit at a time, and see whether its proofs and tests notice.

    Exit code 1 if a mutant survives that is not known to be equivalent.
    """
    from ..schemes import REGISTRY as schemes

    proofs = _proofs()
    parts, rooms = proofs.harness.PARTS, proofs.rooms.ROOMS
    for name in scheme or []:
        if name not in schemes and name not in parts and not _is_file(name):
            fail(
                f"no scheme or part is called {name!r}; there are {', '.join([*schemes, *parts])}; "
                "for a scheme of your own, give its derivation, my/scheme.nb.py"
            )
    for name in room or []:
        if name not in rooms:
            fail(f"no room is called {name!r}; there are {', '.join(rooms)}")
    folder = proofs.verify.default_folder()
    chosen = scheme or ([] if room else [*schemes, *parts])
    kinds = proofs.harness.KINDS if doubles else ("updates", "signs")
    try:
        places = [_own(name) if _is_file(name) else (folder, name) for name in chosen]
    except ValueError as error:
        fail(str(error))
    work = [(*place, kind) for place in places for kind in (("updates",) if place[1] in parts else kinds)]
    processes = jobs or os.cpu_count() or 1
    failed = False
    tally: Counter[str] = Counter()
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        try:
            for score in pool.map(proofs.harness.scored, work):
                typer.echo(str(score))
                failed = failed or not score.passed
                if score.scheme in schemes:
                    tally += Counter(killed=score.killed, equivalent=score.equivalent, survive=len(score.survivors))
        except ValueError as error:  # a check that does not hold can judge no mutant
            fail(str(error))
        if tally:
            killed, left = tally["killed"], tally["survive"]
            typer.echo(f"{'schemes':17} room     killed {killed}/{killed + left}, equivalent {tally['equivalent']}")
        for name in room or []:
            pieces = [(folder, name, rooms[name], sample, seed, shard, processes) for shard in range(processes)]
            total = proofs.rooms.merged(list(pool.map(proofs.rooms.judged, pieces)))
            typer.echo(str(total))
            failed = failed or not total.passed
    if failed:
        raise typer.Exit(1)


def claims(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="Claims, e.g. C001-39, or a verdict, e.g. false. Default: all."),
    ] = None,
    page: Annotated[bool, typer.Option("--page", help="The whole claims page, in Markdown.")] = False,
) -> None:
    """Print what the source documents claim, as printed, and what became of it."""
    proofs = _proofs()
    try:
        known = proofs.verify.decisions(proofs.verify.default_folder())
        if page and ids:
            raise ValueError("--page is the page of all claims: leave the ids out")
        if page:
            typer.echo(proofs.page.claims_page(known), nl=False)
            return
        by_id = {one.claim.id: one for one in known}
        chosen: list[str] = []
        for name in ids or by_id:
            if name not in by_id and name not in proofs.ledger.VERDICTS:
                raise ValueError(
                    f"no claim is called {name!r}; there are {known[0].claim.id} to {known[-1].claim.id}, and the verdicts "
                    f"{', '.join(proofs.ledger.VERDICTS)}"
                )
            chosen += [name] if name in by_id else [key for key, one in by_id.items() if one.verdict == name]
        for name in chosen:
            claim = by_id[name].claim
            typer.echo(f"{claim.id}  {claim.source}, {claim.place}")
            typer.echo(textwrap.indent("\n".join(proofs.page.claim_text(by_id[name])), "    ") + "\n")
    except ValueError as error:
        fail(str(error))


def _proofs() -> Any:
    """Return the package `gradflow.proofs`, or say what it needs."""
    try:
        import_module("z3")
        from .. import proofs
        from ..proofs import harness, ledger, page, rooms, verify  # noqa: F401
    except ImportError as error:
        fail(f"the derivations need {error.name}: pip install -e '.[proofs]'")
    return proofs


COMMANDS: dict[str, Callable[..., None]] = {"verify": verify, "mutants": mutants, "claims": claims}
"""The commands by name."""
