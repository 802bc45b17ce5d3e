"""Mutants: is a proof about the function that runs, and would it notice if that were another?

Every single edit of a kind below is made in the syntax tree of a function of a scheme's file, the code of the *running*
function is exchanged for it, and the checks are run. A mutant is killed if one of them raises. A survivor is either
equivalent, and then listed with the reason in ``derivations/equivalent_mutants.toml``, or a hole in the proofs.

Edits: a sign changed or dropped; a term dropped; a factor dropped (dt among them) or doubled; the operands of a
difference, a quotient or a choice exchanged; a square root removed or its argument doubled; a comparison turned; a
power raised by one.
"""

from __future__ import annotations

import ast
import copy
import inspect
import signal
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from ..symbolic import Undecided

__all__ = ["Mutant", "functions_of", "mutants_of", "read_equivalent", "sign_mutants_of", "survives"]

MUTANT_SECONDS = 60


@dataclass(frozen=True)
class Mutant:
    """One edit of one function."""

    function: str
    """Name within the module, as in ``SAV.step``."""
    edit: str
    """The expression before and after, the occurrence if there are several."""
    code: CodeType
    """The function with the edit."""

    @property
    def id(self) -> str:
        """Function and edit."""
        return f"{self.function}: {self.edit}"


def functions_of(module: ModuleType) -> dict[str, FunctionType]:
    """Return the functions of a module, such as a scheme's file, and the methods and properties of its classes."""
    found: dict[str, FunctionType] = {}
    for name, value in vars(module).items():
        if isinstance(value, FunctionType) and value.__module__ == module.__name__:
            found[name] = value
        elif isinstance(value, type) and value.__module__ == module.__name__:
            for key, member in vars(value).items():
                function = member.fget if isinstance(member, property) else member
                if isinstance(function, FunctionType) and function.__module__ == module.__name__:
                    found[f"{name}.{key}"] = function
    return found


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
    yield from _mutants(module, by_name, _edits)


def sign_mutants_of(module: ModuleType) -> Iterator[Mutant]:
    """Yield every change of one sign anywhere in the module, the updates included."""
    yield from _mutants(module, lambda name: True, _sign_edits)


def _mutants(
    module: ModuleType, wanted: Callable[[str], bool], edits: Callable[[ast.expr], Iterator[ast.expr]]
) -> Iterator[Mutant]:
    source = inspect.getsource(module)
    running = functions_of(module)
    seen: dict[str, int] = {}
    for name, definition in _definitions(ast.parse(source)):
        if not wanted(name) or name not in running:
            continue
        body = [statement for statement in definition.body if not _is_text(statement)]
        for statement in body:
            for path, node in _expressions(statement):
                for new in edits(node):
                    edit = f"{ast.unparse(node)} -> {ast.unparse(new)}"
                    if ast.unparse(node) == ast.unparse(new):  # 1 / x without its factor 1
                        continue
                    seen[name + edit] = seen.get(name + edit, 0) + 1
                    if seen[name + edit] > 1:
                        edit += f" [{seen[name + edit]}]"
                    changed = copy.deepcopy(definition)
                    changed.decorator_list = []
                    index = definition.body.index(statement)
                    _put(changed.body[index], path, new)
                    yield Mutant(name, edit, _compiled(changed, module))


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


Way = tuple[tuple[str, int | None], ...]


def _expressions(node: ast.AST, path: Way = ()) -> Iterator[tuple[Way, ast.expr]]:
    """Yield every expression below a node with the way to it; annotations and messages are passed over."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns") or isinstance(node, (ast.Raise, ast.JoinedStr)):
            continue
        children = enumerate(value) if isinstance(value, list) else [(None, value)]
        for index, child in children:
            if isinstance(child, ast.AST):
                here = (*path, (field, index))
                if isinstance(child, ast.expr):
                    yield here, child
                yield from _expressions(child, here)


def _put(root: ast.AST, path: Way, new: ast.expr) -> None:
    for field, index in path[:-1]:
        root = getattr(root, field) if index is None else getattr(root, field)[index]
    field, index = path[-1]
    if index is None:
        setattr(root, field, new)
    else:
        getattr(root, field)[index] = new


def _compiled(definition: ast.FunctionDef, module: ModuleType) -> CodeType:
    future = ast.parse("from __future__ import annotations").body
    tree = ast.fix_missing_locations(ast.Module([*future, definition], []))
    made: dict[str, Any] = dict(vars(module))
    exec(compile(tree, str(module.__file__), "exec"), made)
    code: CodeType = made[definition.name].__code__
    return code


def _sign_edits(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
        other = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        yield ast.BinOp(node.left, other, node.right)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield node.operand


def _edits(node: ast.expr) -> Iterator[ast.expr]:
    yield from _sign_edits(node)
    if isinstance(node, ast.BinOp):
        left, op, right = node.left, node.op, node.right
        if isinstance(op, (ast.Add, ast.Sub)):
            yield left
            yield right if isinstance(op, ast.Add) else ast.UnaryOp(ast.USub(), right)
        if isinstance(op, (ast.Mult, ast.Div)):
            yield left
            yield right if isinstance(op, ast.Mult) else ast.BinOp(ast.Constant(1), op, right)
            yield ast.BinOp(ast.Constant(2), ast.Mult(), node)
        if isinstance(op, (ast.Sub, ast.Div)):
            yield ast.BinOp(right, op, left)
        if isinstance(op, ast.Pow):
            yield left
            yield ast.BinOp(left, op, ast.BinOp(right, ast.Add(), ast.Constant(1)))
    if isinstance(node, ast.IfExp):
        yield ast.IfExp(node.test, node.orelse, node.body)
    if isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.Gt, ast.Lt, ast.GtE, ast.LtE)):
        turned = {ast.Gt: ast.Lt, ast.Lt: ast.Gt, ast.GtE: ast.LtE, ast.LtE: ast.GtE}[type(node.ops[0])]
        yield ast.Compare(node.left, [turned(), *node.ops[1:]], node.comparators)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr == "sqrt":
            yield node.args[0]
            yield ast.Call(node.func, [ast.BinOp(ast.Constant(2), ast.Mult(), node.args[0])], [])
        if node.func.attr == "where":
            yield ast.Call(node.func, [node.args[0], node.args[2], node.args[1]], [])


@contextmanager
def _exchanged(function: FunctionType, code: CodeType) -> Iterator[None]:
    original = function.__code__
    function.__code__ = code
    try:
        yield
    finally:
        function.__code__ = original


def survives(module: ModuleType, mutant: Mutant, checks: list[Callable[[], None]]) -> bool:
    """Return True if no check raises with the mutant in the place of the running function.

    Parameters
    ----------
    module : module
        A scheme's file.
    mutant : Mutant
        The edit.
    checks : list of callable
        What may notice it.

    Raises
    ------
    Undecided
        If a check can tell nothing, and no other one raises; or (not on Windows) the checks do not end within a minute
        of processor time.
    """
    undecided: Undecided | None = None
    with _exchanged(functions_of(module)[mutant.function], mutant.code), _limit(MUTANT_SECONDS):
        for one in checks:
            try:
                one()
            except _Timeout as error:
                raise Undecided(str(error)) from error
            except Undecided as error:
                undecided = error
            except Exception:  # a mutant that cannot be computed with is noticed as well
                return False
    if undecided is not None:
        raise undecided
    return True


class _Timeout(BaseException):
    """Not an Exception, so that no check can catch it."""


@contextmanager
def _limit(seconds: int) -> Iterator[None]:
    if sys.platform == "win32":
        yield
        return

    def stop(*_: Any) -> None:
        raise _Timeout(f"not done after {seconds} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(
        signal.ITIMER_PROF, seconds
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
