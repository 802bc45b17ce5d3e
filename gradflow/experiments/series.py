"""Several experiments, one after the other: one that is refused does not stop the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from .experiment import Experiment, format_table
from .words import headline

__all__ = ["Ended", "reproduce_all"]


class Ended(NamedTuple):
    """How one experiment of several ended."""

    name: str
    """Of the experiment."""
    verdict: str
    """Its verdict, or why it did not run."""
    seconds: float
    """How long it took."""
    ran: bool
    """Whether there is a verdict."""


def reproduce_all(
    experiments: Iterable[Experiment],
    folder: Path,
    *,
    quick: bool = False,
    say: Callable[[str], object] = print,
    progress: bool = False,
) -> list[Ended]:
    """Run experiments, each into a folder of its own, say each one's verdict, and at the end all of them in a table.

    Parameters
    ----------
    experiments : iterable of Experiment
        What to run, in this order.
    folder : Path
        Results of the experiment NAME go to ``folder / NAME``; what is there is taken up.
    quick : bool
        The quick forms.
    say : callable
        Called with each line for the reader.
    progress : bool
        Show progress bars.

    Returns
    -------
    list of Ended
        One for each experiment; one that raised ValueError or OSError has ``ran`` False, and the message.

    Raises
    ------
    KeyboardInterrupt
        As it came; what was done is kept.
    """
    all_ended = []
    for experiment in experiments:
        say(f"{experiment.name}: {experiment.title}")
        start = time.perf_counter()
        try:
            verdict = experiment.reproduce(folder / experiment.name, quick=quick, say=say, progress=progress).verdict
        except (ValueError, OSError) as error:
            verdict, ran = " ".join(str(error).split()), False
        else:
            ran = True
        all_ended.append(Ended(experiment.name, verdict, time.perf_counter() - start, ran))
        say(f"{'Verdict' if ran else 'Not run'}: {verdict}\n")
    rows = [
        (ended.name, headline(ended.verdict) if ended.ran else "not run", f"{ended.seconds:.0f}") for ended in all_ended
    ]
    for line in format_table(("experiment", "verdict", "seconds"), rows):
        say(line)
    return all_ended
