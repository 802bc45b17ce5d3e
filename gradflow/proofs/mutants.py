"""Mutants: is a proof about the function that runs, and would it notice if that were another?

Every single edit of a kind below is made in the syntax tree of a function of a scheme's file, the code of the *running*
function is exchanged for it, and the checks are run. A mutant is killed if one of them raises. A survivor is either
equivalent, and then listed with the reason in ``derivations/equivalent_mutants.toml``, or a hole in the proofs.

Edits of a formula: a sign changed or dropped; a term dropped; a factor dropped (dt among them) or doubled; the operands
of a difference, a quotient or a choice exchanged; a square root removed or its argument doubled; a comparison turned; a
power raised by one. Further edits: another number or truth value; ``and`` and ``or`` exchanged, an operand of them or a
``not`` dropped; a comparison with or without its tie; minimum and maximum, or two arguments, exchanged; a keyword or a
bound of a slice dropped; a call or an augmented assignment left out; another default of an argument or of a field.
Double edits: a name replaced at all its places, or one edit made at two.

A compiled function of Numba cannot be exchanged; its reference in `gradflow.kernels.reference` can, and tests compare the
two.
"""

from __future__ import annotations

import ast
import copy
import difflib
import inspect
import re
import signal
import sys
import tomllib
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass
from functools import cached_property
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, cast

from ..symbolic import Undecided, Undefined
from .edits import double_edits, edits, further_edits, other_constants, positions, put, sign_edits

__all__ = [
    "Mutant",
    "Timeout",
    "all_mutants_of",
    "double_mutants_of",
    "exchanged",
    "functions_of",
    "inheriting",
    "limited",
    "mutants_of",
    "no_longer_made",
    "read_equivalent",
    "read_patterns",
    "sign_mutants_of",
    "survives",
]

MUTANT_SECONDS = 60


@dataclass(frozen=True)
class Mutant:
    """One edit of one function."""

    function: str
    """Name within the module, as in ``SAV.step``."""
    edit: str
    """The expression before and after, the occurrence if there are several."""
    code: CodeType | None
    """The function with the edit; None if a default is changed."""
    diff: str = ""
    """File, line, and the source before and after."""
    default: tuple[str, Any] | None = None
    """Argument and its other default."""

    @property
    def id(self) -> str:
        """Function and edit."""
        return f"{self.function}: {self.edit}"


def functions_of(module: ModuleType) -> dict[str, FunctionType]:
    """Return the functions of a module, such as a scheme's file, and the methods and properties of its classes."""
    found: dict[str, FunctionType] = {}
    for name, value in vars(module).items():
        if isinstance(value, FunctionType) and value.__module__ == module.__name__:
            found[name] = inspect.unwrap(value)
        elif isinstance(value, type) and value.__module__ == module.__name__:
            for key, member in vars(value).items():
                function = _function_of(member)
                if function is not None and function.__module__ == module.__name__:
                    found[f"{name}.{key}"] = function
    return found


def _function_of(member: Any) -> FunctionType | None:
    """Return the function of a method, a property, a cached property, a class method or a static method."""
    if isinstance(member, property):
        member = member.fget
    elif isinstance(member, cached_property):
        member = member.func
    elif isinstance(member, (classmethod, staticmethod)):
        member = member.__func__
    member = inspect.unwrap(member) if isinstance(member, FunctionType) else None
    return member if isinstance(member, FunctionType) else None


def _definitions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for member in node.body:
                if isinstance(member, ast.FunctionDef):
                    yield f"{node.name}.{member.name}", member


def mutants_of(module: ModuleType, functions: tuple[str, ...] = ()) -> Iterator[Mutant]:
    """Yield every mutant of every ``*_update`` of a module; if it has no update, of all its functions.

    Parameters
    ----------
    module : module
        A scheme's file.
    functions : tuple of str
        The functions and methods that are changed instead, by the names of `functions_of`.
    """
    has_update = any(name.endswith("_update") for name in functions_of(module))
    by_name = (
        (lambda name: name in functions) if functions else (lambda name: name.endswith("_update") or not has_update)
    )
    yield from _mutants(module, by_name, edits)


def sign_mutants_of(module: ModuleType) -> Iterator[Mutant]:
    """Yield every change of one sign anywhere in the module, the updates included."""
    yield from _mutants(module, lambda name: True, sign_edits)


def all_mutants_of(module: ModuleType) -> Iterator[Mutant]:
    """Yield every edit of every function of a module, and other defaults of its arguments and fields."""
    yield from _mutants(module, lambda name: True, lambda node: (*edits(node), *further_edits(node)))
    yield from _default_mutants(module)


def double_mutants_of(module: ModuleType) -> Iterator[Mutant]:
    """Yield, of every ``*_update`` of a module, the edits at several places of `double_edits`."""
    running = functions_of(module)
    for name, definition in _definitions(ast.parse(inspect.getsource(module))):
        if name.endswith("_update") and name in running:
            definition.body = [statement for statement in definition.body if not _is_text(statement)]
            seen: dict[str, int] = {}
            for edit, changed in double_edits(definition):
                seen[edit] = seen.get(edit, 0) + 1
                told = edit if seen[edit] == 1 else f"{edit} [{seen[edit]}]"
                old, new = ast.unparse(definition), ast.unparse(ast.fix_missing_locations(changed))
                lines = difflib.unified_diff(
                    old.splitlines(), new.splitlines(), f"{module.__file__}:{definition.lineno}", told, "", "", 0, ""
                )
                yield Mutant(name, told, _compiled(changed, module, running[name]), "\n".join(lines))


def _mutants(
    module: ModuleType, wanted: Callable[[str], bool], edits: Callable[[ast.AST], Iterable[ast.AST]]
) -> Iterator[Mutant]:
    source = inspect.getsource(module)
    running = functions_of(module)
    seen: dict[str, int] = {}
    for name, definition in _definitions(ast.parse(source)):
        if not wanted(name) or name not in running:
            continue
        body = [statement for statement in definition.body if not _is_text(statement)]
        tree = ast.Module(list(body), [])
        for path, node in positions(tree):
            for new in edits(node):
                edit = f"{ast.unparse(node)} -> {ast.unparse(new)}"
                if ast.unparse(node) == ast.unparse(new):  # 1 / x without its factor 1
                    continue
                seen[name + edit] = seen.get(name + edit, 0) + 1
                if seen[name + edit] > 1:
                    edit += f" [{seen[name + edit]}]"
                changed = copy.copy(definition)
                changed.decorator_list = []
                changed.body = copy.deepcopy(body)
                put(changed, (("body", path[0][1]), *path[1:]), new)
                diff = _difference(module, source, node, new)
                yield Mutant(name, edit, _compiled(changed, module, running[name]), diff)


def _difference(module: ModuleType, source: str, node: ast.AST, new: ast.AST) -> str:
    """Return the lines of a node before and after, with the file and the number of the line."""
    place = cast(ast.expr, node)
    lines = source.encode().splitlines()[place.lineno - 1 : place.end_lineno]
    text = ast.unparse(new)
    if isinstance(new, (ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp)):
        text = f"({text})"
    after = (lines[0][: place.col_offset] + text.encode() + lines[-1][place.end_col_offset :]).splitlines()
    head = f"{module.__file__}:{place.lineno}"
    return "\n".join([head, *(f"-{one.decode()}" for one in lines), *(f"+{one.decode()}" for one in after)])


def _default_mutants(module: ModuleType) -> Iterator[Mutant]:
    """Yield other values of the numbers and truth values that arguments and fields of dataclasses have by default."""
    running = functions_of(module)
    text = inspect.getsource(module).splitlines()
    for name, definition in _definitions(ast.parse(inspect.getsource(module))):
        arguments = definition.args
        positional = [*arguments.posonlyargs, *arguments.args][-len(arguments.defaults) or len(text) :]
        both = [
            *zip(positional, arguments.defaults, strict=True),
            *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
        ]
        for argument, default in both:
            if name in running and isinstance(default, ast.Constant):
                for other in other_constants(default):
                    yield _default_mutant(module, name, argument.arg, default, other, text)
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ClassDef) and is_dataclass(vars(module).get(node.name)):
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.value, ast.Constant):
                    for other in other_constants(field.value):
                        yield _default_mutant(
                            module, f"{node.name}.__init__", ast.unparse(field.target), field.value, other, text
                        )


def _default_mutant(
    module: ModuleType, name: str, argument: str, old: ast.Constant, new: ast.Constant, text: list[str]
) -> Mutant:
    line = text[old.lineno - 1]
    after = line[: old.col_offset] + repr(new.value) + line[old.end_col_offset :]
    diff = f"{module.__file__}:{old.lineno}\n-{line}\n+{after}"
    return Mutant(name, f"default {argument}={old.value!r} -> {new.value!r}", None, diff, (argument, new.value))


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _compiled(definition: ast.FunctionDef, module: ModuleType, running: FunctionType) -> CodeType:
    """Return the code of a definition; in a class, so that `super()` finds its own as in the running function."""
    future = ast.parse("from __future__ import annotations").body
    inside: list[ast.stmt] = [definition]
    if running.__code__.co_freevars == ("__class__",):
        inside = ast.parse("class _: pass").body
        whole = copy.copy(definition)
        whole.body = [*definition.body, *ast.parse("__class__").body]  # it stays a cell where super() is dropped
        cast(ast.ClassDef, inside[0]).body = [whole]
    tree = ast.fix_missing_locations(ast.Module([*future, *inside], []))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # 1[:, None] is an error when it runs
        code = compile(tree, str(module.__file__), "exec")
    for _ in inside if inside[0] is definition else (*inside, definition):
        code = next(one for one in code.co_consts if isinstance(one, CodeType))
    return code


@contextmanager
def exchanged(module: ModuleType, mutant: Mutant) -> Iterator[None]:
    """Run what is inside with the mutant in the place of the running function, or of its default.

    Parameters
    ----------
    module : module
        Where the function is defined.
    mutant : Mutant
        The edit.

    Yields
    ------
    None
        The function is as it was when this ends.
    """
    name, _, method = mutant.function.rpartition(".")
    owner = vars(module)[name] if method == "__init__" and is_dataclass(vars(module)[name]) else None
    if mutant.default is None:
        function = functions_of(module)[mutant.function]
        original = function.__code__
        function.__code__ = cast(CodeType, mutant.code)
        try:
            yield
        finally:
            function.__code__ = original
        return
    argument, value = mutant.default
    classes = [] if owner is None else inheriting(owner, argument)
    functions: list[Any] = [inspect.unwrap(kind.__init__) for kind in classes] or [
        functions_of(module)[mutant.function]
    ]
    before = [(one, one.__defaults__, one.__kwdefaults__) for one in functions]
    attributes = [(kind, vars(kind)[argument]) for kind in classes if argument in vars(kind)]
    try:
        for one in functions:
            parameters = inspect.signature(one).parameters
            bound = {key: p.default for key, p in parameters.items() if p.default is not p.empty} | {argument: value}
            one.__defaults__ = tuple(
                bound[key] for key, p in parameters.items() if key in bound and p.kind is not p.KEYWORD_ONLY
            )
            one.__kwdefaults__ = {
                key: bound[key] for key, p in parameters.items() if key in bound and p.kind is p.KEYWORD_ONLY
            }
        for owning, _ in attributes:
            setattr(owning, argument, value)
        yield
    finally:
        for changed, defaults, keywords in before:
            changed.__defaults__, changed.__kwdefaults__ = defaults, keywords
        for owning, old in attributes:
            setattr(owning, argument, old)


def inheriting(owner: type, field: str) -> list[Any]:
    """Return a dataclass and the classes below it that have its field.

    Parameters
    ----------
    owner : type
        The dataclass.
    field : str
        Name of the field.
    """
    found: list[Any] = [owner]
    subclasses: list[type] = owner.__subclasses__()
    for below in subclasses:
        if field not in vars(below).get("__annotations__", {}) and "__dataclass_fields__" in vars(below):
            found += inheriting(below, field)
    return found


def survives(module: ModuleType, mutant: Mutant, checks: list[Callable[[], None]]) -> bool:
    """Return True if no check raises with the mutant in the place of the running function.

    A check that becomes `Undefined` notices the mutant: what it speaks of is defined for the function as it is.

    Parameters
    ----------
    module : module
        A scheme's file.
    mutant : Mutant
        The edit.
    checks : list of callable
        What may notice it. The check that does comes first afterwards.

    Raises
    ------
    Undecided
        If a check is undecided, and no other one raises; or (not on Windows) the checks do not end within a minute
        of processor time.
    """
    undecided: Undecided | None = None
    with exchanged(module, mutant), limited(MUTANT_SECONDS):
        for one in checks:
            try:
                one()
            except Timeout as error:
                raise Undecided(str(error)) from error
            except (Exception, SystemExit) as error:  # a mutant that cannot be computed with is noticed as well
                if isinstance(error, Undecided) and not isinstance(error, Undefined):  # it cannot tell
                    undecided = error
                    continue
                checks.remove(one)  # what noticed this mutant is likely to notice the next
                checks.insert(0, one)
                return False
    if undecided is not None:
        raise undecided
    return True


class Timeout(BaseException):
    """A mutant takes too long; not an Exception, so that no check can catch it."""


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raise `Timeout` if what is inside takes more than the seconds of processor time, and again if that is caught.

    On Windows there is no limit.

    Parameters
    ----------
    seconds : int
        The limit.

    Yields
    ------
    None
        The time runs until this ends.

    Raises
    ------
    Timeout
        When the time is over.
    """
    if sys.platform == "win32":
        yield
        return

    def stop(*_: Any) -> None:
        raise Timeout(f"not done after {seconds} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(
        signal.ITIMER_PROF, seconds, 1
    )  # processor time, so that a busy machine decides as much as an idle one
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def read_equivalent(folder: Path) -> dict[str, str]:
    """Return the reasons of the mutants listed as equivalent in the folder of the derivations, by `Mutant.id`."""
    path = folder / "equivalent_mutants.toml"
    if not path.exists():
        return {}
    rows = tomllib.loads(path.read_text(encoding="utf-8")).get("mutant", [])
    return {f"{row['function']}: {row['edit']}": row["reason"] for row in rows}


def no_longer_made(folder: Path, modules: list[ModuleType], functions: tuple[str, ...] = ()) -> list[str]:
    """Return the mutants listed as equivalent that no edit makes any more.

    Parameters
    ----------
    folder : Path
        The derivations.
    modules : list of module
        Where the functions of the mutants are defined; others are passed over.
    functions : tuple of str
        The functions that are looked at, by the names of `functions_of`. Default: all.
    """
    kinds = (mutants_of, sign_mutants_of, double_mutants_of, all_mutants_of)
    here = {name for module in modules for name in functions_of(module)}
    here &= set(functions) or here
    listed = [one for one in read_equivalent(folder) if one.partition(": ")[0] in here]
    made = {mutant.id for module in modules for kind in kinds for mutant in kind(module)} if listed else set()
    return [one for one in listed if one not in made]


def read_patterns(folder: Path) -> dict[re.Pattern[str], str]:
    """Return the reasons of the kinds of mutants listed as equivalent, by the pattern of their `Mutant.id`.

    Parameters
    ----------
    folder : Path
        The derivations.
    """
    path = folder / "equivalent_mutants.toml"
    if not path.exists():
        return {}
    rows = tomllib.loads(path.read_text(encoding="utf-8")).get("pattern", [])
    return {re.compile(row["id"]): row["reason"] for row in rows}
