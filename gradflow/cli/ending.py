"""How a command ends after a mistake of the caller: one line on the error stream, and an exit code."""

from __future__ import annotations

from typing import NoReturn

import typer

__all__ = ["fail"]


def fail(message: str) -> NoReturn:
    """Raise ``typer.Exit`` with exit code 2 after one line on the error stream, for a mistake of the caller.

    Parameters
    ----------
    message : str
        What was wanted, and what came. Line breaks become spaces.
    """
    typer.echo(f"gradflow: {' '.join(message.split())}", err=True)
    raise typer.Exit(2)
