"""The commands for the derivations: run them, change what they prove, print what the sources claim."""

from __future__ import annotations

import os
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from typing import Annotated, Any

import typer

from .ending import fail

__all__ = ["COMMANDS"]

Jobs = Annotated[int | None, typer.Option(min=1, help="Processes. Default: one for each processor.")]


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


def mutants(
    scheme: Annotated[
        list[str] | None, typer.Argument(help="Schemes, e.g. SAV, or parts, e.g. relaxation. Default: all.")
    ] = None,
    jobs: Jobs = None,
) -> None:
    """Change the running updates by one edit at a time, and see whether their proofs notice.

    Exit code 1 if a mutant survives that is not known to be equivalent.
    """
    from ..schemes import REGISTRY as schemes

    proofs = _proofs()
    parts = proofs.harness.PARTS
    for name in scheme or []:
        if name not in schemes and name not in parts:
            fail(f"no scheme or part is called {name!r}; there are {', '.join([*schemes, *parts])}")
    folder = proofs.verify.default_folder()
    chosen = scheme or [*schemes, *parts]
    work = [(folder, name, kind) for name in chosen for kind in ("updates", "signs")[: 1 if name in parts else 2]]
    failed = False
    with ProcessPoolExecutor(jobs or os.cpu_count() or 1, mp_context=get_context("spawn")) as pool:
        for score in pool.map(proofs.harness.scored, work):
            typer.echo(str(score))
            failed = failed or not score.passed
    if failed:
        raise typer.Exit(1)


def claims(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Claims, e.g. C001-39. Default: all.")] = None,
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
        for name in ids or by_id:
            if name not in by_id:
                raise ValueError(f"no claim is called {name!r}; there are {known[0].claim.id} to {known[-1].claim.id}")
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
        from ..proofs import harness, ledger, page, verify  # noqa: F401
    except ImportError as error:
        fail(f"the derivations need {error.name}: pip install -e '.[proofs]'")
    return proofs


COMMANDS: dict[str, Callable[..., None]] = {"verify": verify, "mutants": mutants, "claims": claims}
"""The commands by name."""
