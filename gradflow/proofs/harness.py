"""The score of the proofs of a scheme, or of a part that schemes share: how many mutants of its file they notice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from ..schemes import REGISTRY
from ..symbolic import Undecided
from .checks import Check
from .mutants import (
    Mutant,
    double_mutants_of,
    functions_of,
    mutants_of,
    no_longer_made,
    read_equivalent,
    sign_mutants_of,
    survives,
)
from .verify import OBLIGATIONS, load, module_of, notebook_of

__all__ = ["KINDS", "PARTS", "Part", "Score", "score", "score_own", "scored"]

KINDS = ("updates", "doubles", "signs")
"""The kinds of mutants of a scheme, as in `Score`."""


class Part(NamedTuple):
    """Functions that schemes share, with a derivation of their own."""

    module: str
    """The module that defines them."""
    topic: str
    """Their derivation."""
    functions: tuple[str, ...]
    """Their names in the module."""


PARTS = {
    "relaxation": Part(
        "gradflow.schemes.relaxation",
        "relaxation",
        ("relax", "_own_loss", "relax_quadratic", "relax_log"),
    ),
    "xi0": Part("gradflow.schemes.relaxation", "relaxation", ("xi0_quadratic", "xi0_linear", "xi0_log")),
    "protocols": Part("gradflow.schemes.protocols", "relaxed", ("SchemeAbilities.increment",)),
    "linear_parts": Part(
        "gradflow.energies.linear",
        "linear_parts",
        (
            "add",
            "dissipation",
            "Shifted.apply",
            "Shifted.solve_shifted",
            "Shifted.__add__",
            "Shift.apply",
            "Shift.solve_shifted",
            "Diagonal.apply",
            "Diagonal.solve_shifted",
        ),
    ),
}
"""What is mutated besides the schemes. The sums in twice the working precision are not mutated: in exact arithmetic
they vanish, and ``tests/test_relaxation.py`` compares them with 60 digits."""


@dataclass(frozen=True)
class Score:
    """The mutants of one scheme's file, and which of them survived."""

    scheme: str
    """Name in the registry, or in `PARTS`."""
    file: str
    """The file of the module that was tested."""
    kind: str
    """``updates``: every edit of the updates, against the three obligations; of all functions of a wrapper, which has
    no update, against all checks; of the named functions of a part, likewise. ``doubles``: edits at several places of an
    update that keep its energy law, against the other obligations. ``signs``: every sign of the file,
    against all checks."""
    killed: int
    """Mutants that a check noticed."""
    equivalent: int
    """Mutants that survived and are listed as equivalent."""
    survivors: tuple[str, ...]
    """Mutants that survived and are not."""
    stale: tuple[str, ...]
    """Mutants listed as equivalent that were killed, or that no edit makes any more."""
    unlawful: int = 0
    """Double edits that break the energy law, which are not counted as killed."""

    @property
    def passed(self) -> bool:
        """Whether nothing survived that is not listed, and nothing is listed that was killed."""
        return not self.survivors and not self.stale

    def __str__(self) -> str:
        ratio = f"{self.killed}/{self.killed + len(self.survivors)}"
        counts = (
            f"killed {ratio:>9}, equivalent {self.equivalent:2}"
            if self.killed + self.equivalent
            else "nothing to change"
        )
        if self.kind == "doubles":
            counts += f" of those that keep the law ({self.unlawful} do not)"
        text = f"{self.scheme:17} {self.kind:8} {counts:32} {self.file}"
        faults = [f"    survives: {edit}".replace("\n", "\n        ") for edit in self.survivors]
        return "\n".join(
            [
                text,
                *faults,
                *(f"    listed as equivalent, but killed or no longer there: {edit}" for edit in self.stale),
            ]
        )


def score(folder: Path, name: str, kind: str) -> Score:
    """Return the score of one scheme of the registry, or of a part; this exchanges code in this process.

    Parameters
    ----------
    folder : Path
        The derivations.
    name : str
        A scheme of the registry, or one of `PARTS`.
    kind : {"updates", "doubles", "signs"}
        Which mutants, as in `Score`.
    """
    part = PARTS[name] if name in PARTS else Part(REGISTRY[name].__module__, notebook_of(REGISTRY[name]), ())
    return _score(folder, import_module(part.module), part, name, kind)


def score_own(folder: Path, topic: str, kind: str) -> Score:
    """Return the score of the module that a derivation of one's own is about; this exchanges code in this process.

    Parameters
    ----------
    folder : Path
        The derivations.
    topic : str
        Which of them; it imports the scheme from a module of this name.
    kind : {"updates", "doubles", "signs"}
        Which mutants, as in `Score`.

    Raises
    ------
    ValueError
        If the module is not found, or the derivation lacks an obligation, or a check does not hold.
    """
    module = module_of(folder, topic)
    if missing := [one for one in OBLIGATIONS if one not in load(folder, topic)]:
        raise ValueError(f"{topic}.nb.py must have the check {missing[0]}: {', '.join(OBLIGATIONS)} are required")
    return _score(folder, module, Part(module.__name__, topic, ()), topic, kind)


def _score(folder: Path, module: ModuleType, part: Part, name: str, kind: str) -> Score:
    checks = load(folder, part.topic)
    wanted: list[Check] = [one for one in checks.values() if one.method != "run"]
    if kind == "updates" and any(name.endswith("_update") for name in functions_of(module)):
        wanted = [checks[o] for o in OBLIGATIONS]
    mutants: Iterator[Mutant] = mutants_of(module, part.functions) if kind == "updates" else sign_mutants_of(module)
    law = checks["energy_law"] if kind == "doubles" else None
    if law is not None:
        mutants = double_mutants_of(module)
        wanted = [checks[o] for o in OBLIGATIONS if o != "energy_law"]
        law()
    seconds: dict[int, float] = {}
    for one in wanted:
        start = time.perf_counter()
        try:
            one()  # a check that does not hold would kill every mutant
        except Exception as error:
            raise ValueError(
                f"{part.topic}.{one.name} must hold before it can judge a mutant: run gradflow verify"
            ) from error
        seconds[id(one)] = time.perf_counter() - start
    wanted.sort(key=lambda one: seconds[id(one)])  # most mutants are noticed by a quick one
    listed = read_equivalent(folder)
    killed, equivalent, unlawful, survivors, stale = 0, 0, 0, [], []
    for mutant in mutants:
        try:
            if law is not None and not survives(module, mutant, [law]):
                unlawful += 1
                continue
            survived = survives(module, mutant, [*wanted])
        except Undecided as error:
            survivors.append(f"{mutant.id} (undecided: {error})")
            continue
        if survived and mutant.id in listed:
            equivalent += 1
        elif survived:
            survivors.append(f"{mutant.id}\n{mutant.diff}")
        else:
            killed += 1
            if mutant.id in listed:
                stale.append(mutant.id)
    stale += no_longer_made(folder, [module], part.functions)
    return Score(name, str(module.__file__), kind, killed, equivalent, tuple(survivors), tuple(stale), unlawful)


def scored(arguments: tuple[Path, str, str]) -> Score:
    """Return `score` of its three arguments, or `score_own` of a path, for a pool of processes."""
    folder, name, kind = arguments
    return score(folder, name, kind) if name in REGISTRY or name in PARTS else score_own(folder, name, kind)
