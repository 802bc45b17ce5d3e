"""The command ``gradflow``: the demonstration, published figures, derivations, what is installed.

Mistakes of the caller end with one line on the error stream and exit code 2; an interrupted run with 130.
"""

from __future__ import annotations

from typing import Annotated

import typer

from ..version import __version__
from . import certificates, experiments, proofs

__all__ = ["app"]

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Energy-stable discretisations of gradient flows: demonstration, published figures, installation.",
)  # fmt: skip
"""The application; ``gradflow --help`` prints its commands."""


@app.callback(invoke_without_command=True)
def main(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    """Take the options that stand before a command."""
    if version:
        typer.echo(f"gradflow {__version__}")
        raise typer.Exit


def info() -> None:
    """Print what is installed and found here.

    Versions, linear algebra, threads, kernels, data sets.
    """
    from ..installation import installation

    lines = list(installation())
    width = max(len(label) for label, _ in lines)
    for label, value in lines:
        typer.echo(f"{label.ljust(width)}  {value}")


for name, command in {**experiments.COMMANDS, "info": info, **proofs.COMMANDS, **certificates.COMMANDS}.items():
    app.command(name)(command)
