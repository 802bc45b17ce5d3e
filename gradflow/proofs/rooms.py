"""The rooms of the package under mutation: proofs judge first, then the fast tests of the room.

One worker collects the tests of a room once and runs every proof and test unchanged. It notes how long each takes and
which functions each of them calls. A mutant is then judged by those only that call its function, the quickest first,
until one fails. At the end everything runs unchanged once more.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from ..symbolic import Undecided, Undefined
from .mutants import (
    Mutant,
    Timeout,
    all_mutants_of,
    exchanged,
    functions_of,
    inheriting,
    limited,
    no_longer_made,
    read_equivalent,
    read_patterns,
)
from .verify import load

__all__ = ["ROOMS", "Room", "RoomScore", "judged", "merged", "modules_of"]

FAST_SECONDS = 3.0
"""A test or proof that takes longer, in processor time, judges no mutant."""
MUTANT_SECONDS = 60


class Room(NamedTuple):
    """Files that are judged together."""

    files: tuple[str, ...]
    """Files or folders of the package, without ``.py``."""
    topics: tuple[str, ...]
    """Their derivations."""
    tests: tuple[str, ...]
    """Their files of tests, without ``test_`` and ``.py``."""


ROOMS = {
    "relaxation": Room(("schemes/relaxation",), ("relaxation", "relaxed"), ("relaxation",)),
    "linear": Room(("energies/linear",), ("linear_parts",), ("linear_parts", "terms")),
    "energies": Room(
        ("energies",),
        ("linear_parts", "network", "linear_algebra"),
        (
            "terms",
            "third_derivatives",
            "gradient_regularized",
            "problem",
            "linear_parts",
            "contract",
            "shifted_spaces",
            "robust_fits",
            "thresholds",
            "refusals",
        ),
    ),
    "damped_step": Room(
        ("curvature/damped_step",),
        ("linear_algebra",),
        ("damped_solvers", "solver_choice", "inexact_ieq", "curvature", "equivalences"),
    ),
    "curvature": Room(
        ("curvature",),
        ("linear_algebra", "curvature", "bounds", "trust_regions", "truncated"),
        (
            "curvature",
            "damped_solvers",
            "solver_choice",
            "regions",
            "line_search",
            "sketches",
            "fisher_estimators",
            "truncated",
            "bounds",
            "saddles",
            "quasi_newton",
            "inexact_ieq",
            "shifted_spaces",
            "second_order",
        ),
    ),
    "models": Room(
        ("models",),
        ("network", "burgers"),
        (
            "models",
            "models_batches",
            "models_door",
            "activations",
            "burgers",
            "smoothed_particles",
            "contract",
            "third_derivatives",
            "fisher_estimators",
        ),
    ),
    "kernels": Room(("kernels/reference",), ("network", "relaxation"), ("kernels", "relaxation", "array_libraries")),
    "batches": Room(("run/batches",), ("streams",), ("models_batches", "solve")),
    "stability": Room(("backward_error/linear_stability",), ("stability",), ("stability",)),
    "b_series": Room(
        tuple(f"backward_error/{name}" for name in ("trees", "bseries", "exact_numbers", "gradient_criterion")),
        ("b_series",),
        ("trees", "bseries"),
    ),
    "run": Room(
        ("run",),
        ("streams",),
        (
            "run",
            "run_faults",
            "solve",
            "energy_identity",
            "models_batches",
            "fits",
            "fit_reports",
            "robust_fits",
            "storage",
            "saddles",
        ),
    ),
}
"""The rooms besides the schemes."""


@dataclass(frozen=True)
class RoomScore:
    """What became of the mutants of a room."""

    room: str
    """A key of `ROOMS`."""
    proofs: int
    """Mutants that a proof noticed."""
    tests: int
    """Mutants that a test noticed."""
    hung: int
    """Mutants that did not end within a minute of processor time, which count as noticed."""
    equivalent: int
    """Mutants that nothing noticed, listed as equivalent."""
    survivors: tuple[str, ...]
    """The others, with their difference."""
    stale: tuple[str, ...]
    """Mutants listed as equivalent that a proof noticed, or that no edit makes any more."""
    spoiled: tuple[str, ...]
    """Proofs and tests that failed unchanged at the end."""

    @property
    def passed(self) -> bool:
        """Whether nothing survived that is not listed, nothing is listed that was noticed, and all runs as before."""
        return not (self.survivors or self.stale or self.spoiled)

    def __str__(self) -> str:
        killed = self.proofs + self.tests + self.hung
        total = killed + len(self.survivors)
        counts = f"{self.proofs} by proofs, {self.tests} by tests, {self.hung} by time, equivalent {self.equivalent}"
        score = f" ({100 * killed / total:.1f} %)" if total else ""
        return "\n".join(
            [
                f"{self.room:17} room     killed {killed}/{total}{score}: {counts}",
                *(f"    survives: {one}".replace("\n", "\n        ") for one in self.survivors),
                *(f"    listed as equivalent, but killed or no longer there: {one}" for one in self.stale),
                *(f"    fails without any change at the end: {one}" for one in self.spoiled),
            ]
        )


def modules_of(room: Room) -> list[ModuleType]:
    """Return the modules of a room."""
    package = Path(__file__).resolve().parents[1]
    names = []
    for file in room.files:
        paths = sorted((package / file).rglob("*.py")) if (package / file).is_dir() else [package / f"{file}.py"]
        names += [".".join(path.relative_to(package.parent).with_suffix("").parts) for path in paths]
    return [import_module(name.removesuffix(".__init__")) for name in names]


@dataclass
class _Trial:
    """A proof or a test: what may notice a mutant."""

    name: str
    run: Callable[[], bool]
    """Return whether it passes."""
    is_proof: bool
    seconds: float = 0.0
    calls: set[Any] = field(default_factory=set)

    def measure(self) -> bool:
        """Run it, and note its time and the code that it calls."""
        start = time.process_time()  # so that a busy machine chooses the same ones

        def called(frame: Any, event: str, _: Any) -> None:
            if event == "call":
                self.calls.add(frame.f_code)

        sys.setprofile(called)
        try:
            return self.run()
        finally:
            sys.setprofile(None)
            self.seconds = time.process_time() - start


class _Plugin:
    """Runs the items of a session of pytest as often as it is asked."""

    def __init__(self, judge: Callable[[list[_Trial]], None]) -> None:
        self.judge = judge
        self.failed = False
        self.skipped = False

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.failed = self.failed or report.failed
        self.skipped = self.skipped or report.skipped

    def pytest_runtestloop(self, session: Any) -> bool:
        from hypothesis import Phase, settings

        settings.register_profile(
            "mutants", database=None, derandomize=True, deadline=None, phases=[Phase.explicit, Phase.generate]
        )
        settings.load_profile("mutants")
        if session.testsfailed:
            raise session.Interrupted("the tests cannot be collected")
        self.judge([_Trial(item.nodeid, partial(self.run, item), False) for item in session.items])
        return True

    def run(self, item: Any) -> bool:
        self.failed = False
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        item.session.shouldfail = item.session.shouldstop = False
        return not self.failed


def _proof(check: Callable[[], None]) -> Callable[[], bool]:
    def run() -> bool:
        try:
            check()
        except (Exception, SystemExit) as error:
            return isinstance(error, Undecided) and not isinstance(error, Undefined)  # it cannot tell
        return True

    return run


def _chosen(room: Room, sample: int | None, seed: int, shard: int, shards: int) -> Iterator[tuple[ModuleType, Mutant]]:
    found = [(module, mutant) for module in modules_of(room) for mutant in all_mutants_of(module)]
    if sample is not None and sample < len(found):
        found = random.Random(seed).sample(found, sample)
    yield from found[shard::shards]


def judged(arguments: tuple[Path, str, Room, int | None, int, int, int]) -> RoomScore:
    """Return the score of a part of a room's mutants; this exchanges code in this process.

    Parameters
    ----------
    arguments : tuple
        The folder of the derivations, beside which the tests are; the room and its name; the size of the sample or None
        for all mutants, its seed; which part of them and of how many.

    Raises
    ------
    ValueError
        If the tests of the room cannot be collected.
    """
    folder, name, room, sample, seed, shard, shards = arguments
    scores: list[RoomScore] = []

    def judge(tests: list[_Trial]) -> None:
        proofs = [
            _Trial(f"{topic}.{key}", _proof(check), True)
            for topic in room.topics
            for key, check in load(folder, topic).items()
            if check.method != "run"
        ]
        score = _score(folder, name, [*proofs, *tests], list(_chosen(room, sample, seed, shard, shards)))
        gone = no_longer_made(folder, modules_of(room)) if shard == 0 else []
        scores.append(replace(score, stale=(*score.stale, *gone)))

    import pytest  # only who judges by tests needs it

    root = folder.resolve().parent
    files = [str(root / "tests" / f"test_{one}.py") for one in room.tests]
    options = [
        "-c",
        str(root / "pyproject.toml"),
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "--tb=line",
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
    ]
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        pytest.main([*options, *files], plugins=[_Plugin(judge)])
    if not scores:
        raise ValueError(f"the tests of {name} cannot be run: {told.getvalue()[-2000:]}")
    return scores[0]


def _score(folder: Path, room: str, trials: list[_Trial], chosen: list[tuple[ModuleType, Mutant]]) -> RoomScore:
    trials = [one for one in trials if one.measure() and one.seconds < FAST_SECONDS]
    trials.sort(key=lambda one: (not one.is_proof, one.seconds))
    listed, patterns = read_equivalent(folder), read_patterns(folder)
    counts = {"proofs": 0, "tests": 0, "hung": 0}
    equivalent, survivors, stale = 0, [], []
    used: set[str] = set()
    for module, mutant in chosen:
        codes = _codes(module, mutant)
        judges = [one for one in trials if codes & one.calls]
        known = mutant.id in listed or any(pattern.fullmatch(mutant.id) for pattern in patterns)
        how, noticing = _noticed(module, mutant, judges)
        if noticing is not None:  # likely to notice the next one as well
            trials.remove(noticing)
            trials.insert(0 if noticing.is_proof else sum(one.is_proof for one in trials), noticing)
        if how:
            counts[how] += 1
            if mutant.id in listed and how == "proofs":  # tests may notice what is the same in exact arithmetic
                stale.append(mutant.id)
        elif known:
            equivalent += 1
        else:
            word = "" if judges else " (nothing runs this function)"
            survivors.append(f"{mutant.id}{word}\n{mutant.diff}")
        used.update(one.name for one in judges)
    spoiled = tuple(one.name for one in trials if one.name in used and not one.run())
    return RoomScore(
        room, **counts, equivalent=equivalent, survivors=tuple(survivors), stale=tuple(stale), spoiled=spoiled
    )


def _codes(module: ModuleType, mutant: Mutant) -> set[Any]:
    """Return the code that whatever may notice a mutant has to call."""
    name, _, method = mutant.function.rpartition(".")
    if mutant.default is not None and method == "__init__":
        owner = vars(module)[name]
        inside = [function.__code__ for key, function in functions_of(module).items() if key.startswith(f"{name}.")]
        return {inspect.unwrap(kind.__init__).__code__ for kind in inheriting(owner, mutant.default[0])} | set(inside)
    return {functions_of(module)[mutant.function].__code__}


def _noticed(module: ModuleType, mutant: Mutant, judges: list[_Trial]) -> tuple[str, _Trial | None]:
    """Return "proofs", "tests" or "hung", how a mutant is noticed, nothing if it is not; and what noticed it."""
    with exchanged(module, mutant):
        try:
            with limited(MUTANT_SECONDS):
                for one in judges:
                    before = time.process_time()
                    if not one.run():
                        if time.process_time() - before > MUTANT_SECONDS - 5:
                            return "hung", None
                        return ("proofs" if one.is_proof else "tests"), one
        except Timeout:
            return "hung", None
    return "", None


def merged(scores: list[RoomScore]) -> RoomScore:
    """Return the score of a room from those of its parts.

    Parameters
    ----------
    scores : list of RoomScore
        One at least.
    """
    total = scores[0]
    for one in scores[1:]:
        total = replace(
            total,
            proofs=total.proofs + one.proofs,
            tests=total.tests + one.tests,
            hung=total.hung + one.hung,
            equivalent=total.equivalent + one.equivalent,
            survivors=total.survivors + one.survivors,
            stale=total.stale + one.stale,
            spoiled=total.spoiled + one.spoiled,
        )
    return total
