"""The score of a scheme's proofs: how many mutants of its file they notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from ..schemes import REGISTRY
from .mutants import Mutant, mutants_of, read_equivalent, sign_mutants_of, survives
from .verify import OBLIGATIONS, load, notebook_of

__all__ = ["Score", "score", "scored"]


@dataclass(frozen=True)
class Score:
    """Mutants of one scheme's file and what became of them."""

    scheme: str
    file: str
    """The file of the module that was tested."""
    kind: str
    """``updates``: every edit of the updates, against the three obligations. ``signs``: every sign of the file, against all checks."""
    killed: int
    equivalent: int
    survivors: tuple[str, ...]
    stale: tuple[str, ...]
    """Mutants listed as equivalent that were killed."""

    @property
    def passed(self) -> bool:
        """Whether nothing survived that is not listed, and nothing is listed that was killed."""
        return not self.survivors and not self.stale

    def __str__(self) -> str:
        ratio = f"{self.killed}/{self.killed + len(self.survivors)}"
        text = f"{self.scheme:17} {self.kind:8} killed {ratio:>9}, equivalent {self.equivalent:2}   {self.file}"
        faults = [f"    survives: {edit}" for edit in self.survivors]
        return "\n".join([text, *faults, *(f"    killed, though listed as equivalent: {edit}" for edit in self.stale)])


def score(folder: Path, name: str, kind: str) -> Score:
    """Return the score of one scheme of the registry; it runs in this process and exchanges the code of its functions."""
    scheme = REGISTRY[name]
    module = import_module(scheme.__module__)
    checks = load(folder, notebook_of(scheme))
    if kind == "updates":
        wanted: list[Callable[[], None]] = [checks[o] for o in OBLIGATIONS]
        mutants: Iterator[Mutant] = mutants_of(module)
    else:
        wanted = [one for one in checks.values() if one.method != "run"]
        mutants = sign_mutants_of(module)
    for one in wanted:
        one()  # a check that does not hold would kill every mutant
    listed = read_equivalent(folder)
    killed, equivalent, survivors, stale = 0, 0, [], []
    for mutant in mutants:
        try:
            survived = survives(module, mutant, wanted)
        except TimeoutError as error:
            survivors.append(f"{mutant.id} ({error})")
            continue
        if survived and mutant.id in listed:
            equivalent += 1
        elif survived:
            survivors.append(mutant.id)
        else:
            killed += 1
            if mutant.id in listed:
                stale.append(mutant.id)
    return Score(name, str(module.__file__), kind, killed, equivalent, tuple(survivors), tuple(stale))


def scored(arguments: tuple[Path, str, str]) -> Score:
    """Return `score` of its arguments, for a pool of processes."""
    return score(*arguments)
