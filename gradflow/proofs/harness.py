"""The score of a scheme's proofs: how many mutants of its file they notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from ..schemes import REGISTRY
from ..symbolic import Undecided
from .mutants import Mutant, functions_of, mutants_of, read_equivalent, sign_mutants_of, survives
from .verify import OBLIGATIONS, load, notebook_of

__all__ = ["Score", "score", "scored"]


@dataclass(frozen=True)
class Score:
    """Mutants of one scheme's file and what became of them."""

    scheme: str
    """Name in the registry."""
    file: str
    """The file of the module that was tested."""
    kind: str
    """``updates``: every edit of the updates, against the three obligations; of all functions of a wrapper, which has no update,
    against all checks. ``signs``: every sign of the file, against all checks."""
    killed: int
    """Mutants that a check noticed."""
    equivalent: int
    """Mutants that survived and are listed as equivalent."""
    survivors: tuple[str, ...]
    """Mutants that survived and are not."""
    stale: tuple[str, ...]
    """Mutants listed as equivalent that were killed, or that no edit makes any more."""

    @property
    def passed(self) -> bool:
        """Whether nothing survived that is not listed, and nothing is listed that was killed."""
        return not self.survivors and not self.stale

    def __str__(self) -> str:
        ratio = f"{self.killed}/{self.killed + len(self.survivors)}"
        told = (
            f"killed {ratio:>9}, equivalent {self.equivalent:2}"
            if self.killed + self.equivalent
            else "nothing to change"
        )
        text = f"{self.scheme:17} {self.kind:8} {told:32} {self.file}"
        faults = [f"    survives: {edit}" for edit in self.survivors]
        return "\n".join(
            [
                text,
                *faults,
                *(f"    listed as equivalent, but killed or no longer there: {edit}" for edit in self.stale),
            ]
        )


def score(folder: Path, name: str, kind: str) -> Score:
    """Return the score of one scheme of the registry; it runs in this process and exchanges the code of its functions.

    Parameters
    ----------
    folder : Path
        The derivations.
    name : str
        A scheme of the registry.
    kind : {"updates", "signs"}
        Which mutants, as in `Score`.
    """
    scheme = REGISTRY[name]
    module = import_module(scheme.__module__)
    checks = load(folder, notebook_of(scheme))
    wanted: list[Callable[[], None]] = [one for one in checks.values() if one.method != "run"]
    if kind == "updates" and any(name.endswith("_update") for name in functions_of(module)):
        wanted = [checks[o] for o in OBLIGATIONS]
    mutants: Iterator[Mutant] = mutants_of(module) if kind == "updates" else sign_mutants_of(module)
    for one in wanted:
        one()  # a check that does not hold would kill every mutant
    listed = read_equivalent(folder)
    killed, equivalent, survivors, stale = 0, 0, [], []
    for mutant in mutants:
        try:
            survived = survives(module, mutant, wanted)
        except Undecided as error:
            survivors.append(f"{mutant.id} (undecided: {error})")
            continue
        if survived and mutant.id in listed:
            equivalent += 1
        elif survived:
            survivors.append(mutant.id)
        else:
            killed += 1
            if mutant.id in listed:
                stale.append(mutant.id)
    made = {mutant.id for mutant in (*mutants_of(module), *sign_mutants_of(module))}
    here = tuple(f"{function}: " for function in functions_of(module))
    stale += [one for one in listed if one.startswith(here) and one not in made]
    return Score(name, str(module.__file__), kind, killed, equivalent, tuple(survivors), tuple(stale))


def scored(arguments: tuple[Path, str, str]) -> Score:
    """Return `score` of its arguments, for a pool of processes.

    Parameters
    ----------
    arguments : tuple
        The three of `score`.
    """
    return score(*arguments)
