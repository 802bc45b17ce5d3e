"""Run derivations and tell what became of every claim.

A derivation is a percent-format notebook ``derivations/<topic>.nb.py``. That of a scheme is named as its file in
`gradflow.schemes` and has three obligations, found by name: `energy_law`, `consistency`, `solvability`. A folder of
derivations of one's own need not have a ledger; its modules are found as those beside a script are.
"""

from __future__ import annotations

import ast
import linecache
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType

from ..schemes import REGISTRY
from .checks import Check
from .ledger import Decision, decide, read_claims
from .linear_kinds import PAIRS, LinearKind

__all__ = [
    "OBLIGATIONS",
    "Line",
    "decisions",
    "default_folder",
    "load",
    "module_of",
    "notebook_of",
    "report",
    "topics",
    "verify",
]

OBLIGATIONS = ("energy_law", "consistency", "solvability")
"""What the derivation of every scheme has to show."""


def default_folder() -> Path:
    """Return the folder ``derivations`` of the checkout that this package was installed from.

    Raises
    ------
    ValueError
        If it does not exist: an installed wheel has no derivations.
    """
    folder = Path(__file__).resolve().parents[2] / "derivations"
    if not folder.is_dir():
        raise ValueError("the derivations come with the source: install gradflow from a checkout, pip install -e .")
    return folder


def topics(folder: Path) -> list[str]:
    """Return the topics that have a derivation in the folder."""
    return sorted(path.name.removesuffix(".nb.py") for path in folder.glob("*.nb.py"))


def load(folder: Path, topic: str) -> dict[str, Check]:
    """Return the checks of a derivation by name, in the order of the file; loading it runs none of them.

    Modules in the folder can be imported from then on.

    Parameters
    ----------
    folder : Path
        The derivations.
    topic : str
        Which of them.

    Raises
    ------
    ValueError
        If there is no such file in the folder, two functions in it have one name, of which the first would never run,
        or a check is not a function at the top of the file with a name of its own: it would not run either, or for
        another one.
    """
    path = folder.resolve() / f"{topic}.nb.py"
    if not path.is_file() or path.resolve().parent != path.parent:
        raise ValueError(f"{topic} must be a derivation in {folder}, got no file {path.name} there")
    name = f"gradflow derivation {path}"
    if name not in sys.modules:
        spec = spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ValueError(f"{topic} cannot be loaded from {folder}")
        tree = ast.parse(path.read_text("utf-8"))
        names = [node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
        if len(names) > len(set(names)):
            raise ValueError(f"{path.name} defines a name twice: {max(names, key=names.count)}")
        module = module_from_spec(spec)
        if str(path.parent) not in sys.path:
            sys.path.append(str(path.parent))
        spec.loader.exec_module(module)
        made = {key: value.name for key, value in vars(module).items() if isinstance(value, Check)}
        marked = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and _is_check(node)]
        if lost := [node.name for node in marked if node not in tree.body or node.name not in made]:
            raise ValueError(f"{path.name} must define {lost[0]} at its top, and keep its name: it would not run")
        if renamed := [key for key, one in made.items() if key != one]:
            raise ValueError(f"{path.name} must define every check under its own name, got {renamed[0]}")
        sys.modules[name] = module
    return {key: value for key, value in vars(sys.modules[name]).items() if isinstance(value, Check)}


def module_of(folder: Path, topic: str) -> ModuleType:
    """Return the module that a derivation of one's own is about: named as the derivation, and imported by it.

    Parameters
    ----------
    folder : Path
        The derivations.
    topic : str
        Which of them.

    Raises
    ------
    ValueError
        If the derivation cannot be loaded, or imports nothing from a module of this name.
    """
    try:
        load(folder, topic)
    except (Exception, SystemExit) as error:
        raise ValueError(f"{topic}.nb.py cannot be loaded: {_message_of(error)}") from error
    for value in vars(sys.modules[f"gradflow derivation {folder.resolve() / topic}.nb.py"]).values():
        name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if isinstance(name, str) and name.rpartition(".")[2] == topic and name in sys.modules:
            return sys.modules[name]
    raise ValueError(f"{topic}.nb.py must import the scheme from a module {topic}, the file {topic}.py")


def _is_check(node: ast.FunctionDef) -> bool:
    """Return True for a function with the decorator ``@check(...)``."""
    calls = [one.func for one in node.decorator_list if isinstance(one, ast.Call)]
    return any((one.attr if isinstance(one, ast.Attribute) else getattr(one, "id", "")) == "check" for one in calls)


def decisions(folder: Path) -> list[Decision]:
    """Return what became of every claim of the ledger; no check runs.

    Parameters
    ----------
    folder : Path
        The derivations, with the ledger in ``claims``.

    Raises
    ------
    ValueError
        If the ledger has a row that is not well formed, or a derivation cannot be loaded.
    """
    claims = read_claims(folder / "claims")
    checks = {}
    for topic in topics(folder):
        try:
            checks[topic] = load(folder, topic)
        except (Exception, SystemExit) as error:
            raise ValueError(f"{topic}.nb.py cannot be loaded: {_message_of(error)}") from error
    return decide(claims, checks)


def notebook_of(scheme: type) -> str:
    """Return the topic of the derivation of a scheme, a class of the registry: the name of its file."""
    return scheme.__module__.rpartition(".")[2]


@dataclass(frozen=True)
class Line:
    """What became of one claim, obligation or further law."""

    id: str
    """Of the claim, or scheme and obligation, or topic and check."""
    statement: str
    """What is claimed or proved."""
    verdict: str
    """One of the ledger's; "holds" for what is no claim."""
    method: str
    """How it is settled."""
    seconds: float
    """What the check took; 0 for its second and later claims."""
    failure: str
    """What went wrong; empty if the check holds."""


@dataclass(frozen=True)
class Outcome:
    """What became of one check."""

    method: str
    statement: str
    seconds: float
    failure: str


def run_topic(folder: Path, topic: str) -> dict[str, Outcome]:
    """Run all checks of one derivation."""
    try:
        checks = load(folder, topic)
    except (Exception, SystemExit) as error:
        return {"": Outcome("-", f"{topic}.nb.py loads", 0.0, _message_of(error))}
    return {name: run_check(one) for name, one in checks.items()}


def run_check(one: Check) -> Outcome:
    """Run one check."""
    start, failure = time.perf_counter(), ""
    try:
        one()
    except (Exception, SystemExit) as error:  # a check that cannot be run does not hold
        failure = _message_of(error)
    return Outcome(one.method, one.statement, time.perf_counter() - start, failure)


def _message_of(error: BaseException) -> str:
    """Return what an error says, and the line of the derivation where it was raised, with the kind of L and S."""
    text = " ".join(str(error).split())
    said = f"{type(error).__name__}{': ' + text[:200] if text else ''}"
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        path = Path(frame.f_code.co_filename)
        if path.name.endswith(".nb.py"):
            source = linecache.getline(str(path), line).strip()
            tuples = [value for value in frame.f_locals.values() if isinstance(value, tuple)]
            kinds = [value.names if isinstance(value, LinearKind) else value for value in tuples]
            texts = [kind for kind in kinds if all(isinstance(name, str) for name in kind)]
            pair = next((f", L and S: {' and '.join(kind)}" for kind in texts if kind in PAIRS), "")
            place = f", {path.name}:{line}{pair}: {source}"
    return said + place


def verify(folder: Path, chosen: list[str], jobs: int) -> Iterator[Line]:
    """Yield a line for every claim, obligation and further law of the chosen topics, then of what is chosen alone.

    Parameters
    ----------
    folder : Path
        The derivations. In a folder without a folder ``claims``, no check may name a claim.
    chosen : list of str
        Topics, ids of claims, or single checks by the name that their line has; all topics if empty.
    jobs : int
        Processes.

    Raises
    ------
    ValueError
        If nothing has a chosen name, or the ledger has a row that is not well formed.
    """
    known = topics(folder)
    everything = not chosen
    single = [name for name in chosen if name not in known]
    chosen = [topic for topic in known if topic in chosen] or ([] if single else known)
    claims = read_claims(folder / "claims") if (folder / "claims").is_dir() else []
    checks = {}
    for topic in known if claims or single else chosen:
        with suppress(Exception, SystemExit):  # `run_topic` tells of a derivation that does not load
            checks[topic] = load(folder, topic)
    ledger = decide(claims, checks)
    named = [(name, *_checks_of(name, checks, ledger, known)) for name in single]
    done: dict[tuple[str, str], Outcome] = {}
    if jobs > 1 and len(chosen) > 1:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            for topic, outcomes in zip(chosen, pool.map(run_topic, [folder] * len(chosen), chosen), strict=True):
                yield from lines(topic, outcomes, ledger, chosen, done)
    else:
        for topic in chosen:
            yield from lines(topic, run_topic(folder, topic), ledger, chosen, done)
    for name, decision, some in named:
        ran = [run_check(one) for one in some]
        failure = next((o.failure for o in ran if o.failure), decision.fault if decision else "")
        seconds = sum(o.seconds for o in ran)
        if decision is None:
            yield Line(name, some[0].statement, "holds", some[0].method, seconds, failure)
        elif some:
            yield _claim_line(decision, seconds, failure)
        else:
            yield _unchecked_line(decision)
    if everything:
        for one in ledger:
            if not one.checks:
                yield _unchecked_line(one)
    known_ids = {claim.id for claim in claims}
    for topic in set(chosen) & set(checks):
        for check in checks[topic].values():
            if unknown := [n for n in (*check.proves, *check.refutes, *dict(check.given)) if n not in known_ids]:
                failure = f"the ledger has no row {', '.join(unknown)}"
                yield Line(f"{topic}.{check.name}", check.statement, "holds", check.method, 0.0, failure)


def _checks_of(
    name: str, checks: Mapping[str, Mapping[str, Check]], ledger: list[Decision], known: list[str]
) -> tuple[Decision | None, list[Check]]:
    """Return the claim of this id with its checks, or the one check that `gradflow verify` prints under this name."""
    for decision in ledger:
        if decision.claim.id == name:
            return decision, [check for _, check in decision.checks]
    head, _, tail = name.partition(".")
    topic = notebook_of(REGISTRY[head]) if head in REGISTRY else head
    if tail in checks.get(topic, {}):
        return None, [checks[topic][tail]]
    if topic in checks and tail:
        raise ValueError(f"{topic}.nb.py has no check {tail!r}; it has {', '.join(checks[topic])}")
    raise ValueError(
        f"no derivation, check or claim is called {name!r}; a check is named as sav.step_bounds, a claim as C001-39, a "
        f"derivation of your own as a file, my/scheme.nb.py; there are {', '.join(known)}"
    )


def _claim_line(one: Decision, seconds: float, failure: str) -> Line:
    statement = "; given ".join((one.claim.statement, *one.conditions))
    return Line(one.claim.id, statement, one.verdict, one.checks[-1][1].method, seconds, failure)


def _unchecked_line(one: Decision) -> Line:
    return Line(one.claim.id, one.claim.statement, f"unchecked ({one.claim.reason})", "-", 0.0, one.fault)


def lines(
    topic: str,
    outcomes: dict[str, Outcome],
    ledger: list[Decision],
    chosen: list[str],
    done: dict[tuple[str, str], Outcome],
) -> Iterator[Line]:
    """Yield the lines of one topic: its obligations, the claims that it settles last, and what else it proves.

    A claim has one line, with the last of its checks that run; `done` are the outcomes of the topics before.
    """
    wanted = dict.fromkeys(outcomes)
    done |= {(topic, name): outcome for name, outcome in outcomes.items()}
    absent = f"{topic}.nb.py does not load: {outcomes[''].failure}" if "" in outcomes else ""
    for scheme in REGISTRY.values():
        if notebook_of(scheme) == topic:
            for name in OBLIGATIONS:
                wanted.pop(name, None)
                if name in outcomes:
                    o = outcomes[name]
                    yield Line(f"{scheme.__name__}.{name}", o.statement, "holds", o.method, o.seconds, o.failure)
                else:
                    yield Line(
                        f"{scheme.__name__}.{name}", "", "holds", "-", 0.0, absent or f"{topic}.nb.py has no {name}"
                    )
    for one in ledger:
        own = [(t, check.name) for t, check in one.checks if t in chosen]
        if not own or own[-1][0] != topic:
            continue
        seconds = sum(done[key].seconds for key in own if key[0] == topic and wanted.pop(key[1], "") is None)
        failure = next((done[key].failure for key in own if done[key].failure), one.fault)
        yield _claim_line(one, seconds, failure)
    for name in wanted:
        o = outcomes[name]
        yield Line(f"{topic}.{name}".rstrip("."), o.statement, "holds", o.method, o.seconds, o.failure)


def report(line: Line) -> str:
    """Return the line as `gradflow verify` prints it."""
    word = "FAILS" if line.failure else line.verdict
    text = f"{line.id:48} {word:21} {line.method:18} {line.seconds:5.1f} s  {line.statement}"
    return f"{text}\n{'':48} {line.failure}" if line.failure else text
