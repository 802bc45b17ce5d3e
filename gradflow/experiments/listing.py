"""What there is to repeat: a line for each experiment, grouped by what they are taken from, or all about one."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator

from .experiment import Experiment

__all__ = ["details", "overview"]

PLACE = re.compile(r", (?=(?:fig|table|example|section|experiment|algorithm)[a-z]*\.? \d)", re.IGNORECASE)
"""Behind the citation, before the place in what is cited."""
MORE = re.compile(r"[(;:,]| for | on | with ")
"""Behind how long it takes, before the circumstances."""


def overview(experiments: Iterable[Experiment]) -> Iterator[str]:
    """Yield the lines of a list: for each source a heading, below it for each experiment its name, time, title and problem.

    Parameters
    ----------
    experiments : iterable of Experiment
        In their order; the sources are in that of their first ones.
    """
    groups: dict[str, list[tuple[str, str, str, str]]] = {}
    for one in experiments:
        citation, time = PLACE.split(one.source, maxsplit=1)[0], MORE.split(one.time, maxsplit=1)[0].strip()
        groups.setdefault(citation, []).append((one.name, time, one.title, one.problem))
    rows = [row for group in groups.values() for row in group]
    name_width, time_width = (max((len(row[k]) for row in rows), default=0) for k in (0, 1))
    for n, (citation, group) in enumerate(groups.items()):
        yield from ([""] if n else [])
        yield citation
        for name, time, title, problem in group:
            yield f"    {name:{name_width}}  {time:{time_width}}  {title}"
            yield from textwrap.wrap(problem, 112, initial_indent=8 * " ", subsequent_indent=8 * " ")


def details(experiment: Experiment) -> Iterator[str]:
    """Yield the lines that tell all about an experiment but its results: name, title, source, problem, times.

    Parameters
    ----------
    experiment : Experiment
        The experiment.
    """
    yield f"{experiment.name}: {experiment.title}"
    for label, text in {
        "source": experiment.source,
        "problem": experiment.problem,
        "time": f"{experiment.time}; --quick: {experiment.quick_time}",
    }.items():
        yield from textwrap.wrap(
            text, 100, initial_indent=f"    {label:9}", subsequent_indent=13 * " ", break_on_hyphens=False
        )
