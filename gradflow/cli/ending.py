"""How a command ends that does not come to its end: one line on the error stream, and an exit code."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import typer

__all__ = ["fail", "interrupted"]


def fail(message: str) -> NoReturn:
    """End with one line on the error stream and exit code 2, for a mistake of the caller.

    Parameters
    ----------
    message : str
        What was wanted, and what came. Line breaks become spaces.

    Raises
    ------
    typer.Exit
        Always.
    """
    typer.echo(f"gradflow: {' '.join(message.split())}", err=True)
    raise typer.Exit(2)


def interrupted(folder: Path) -> NoReturn:
    """End with exit code 130 and print how to continue.

    Parameters
    ----------
    folder : Path
        Which holds what was done.

    Raises
    ------
    typer.Exit
        Always.
    """
    typer.echo(f"\ngradflow: interrupted; the same command goes on from what {folder} holds", err=True)
    raise typer.Exit(130) from None
