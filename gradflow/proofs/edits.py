"""Edits of a syntax tree: what is written wrongly most easily, one kind a function."""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Iterator

__all__ = ["double_edits", "edits", "further_edits", "other_constants", "positions", "put", "sign_edits"]

Way = tuple[tuple[str, int | None], ...]
TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.Gt: ast.Lt, ast.Lt: ast.Gt, ast.GtE: ast.LtE, ast.LtE: ast.GtE}
OTHER: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
EXTREMES = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum"}
PAIRS = 20


def positions(node: ast.AST, path: Way = ()) -> Iterator[tuple[Way, ast.AST]]:
    """Yield all below a node with the way to it; annotations and messages are passed over.

    Parameters
    ----------
    node : ast.AST
        The root.
    path : tuple
        The way to the root: field and index, or None, of each step.
    """
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns") or isinstance(node, (ast.Raise, ast.JoinedStr)):
            continue
        children = enumerate(value) if isinstance(value, list) else [(None, value)]
        for index, child in children:
            if isinstance(child, ast.AST):
                here = (*path, (field, index))
                yield here, child
                yield from positions(child, here)


def put(root: ast.AST, path: Way, new: ast.AST) -> None:
    """Replace what is at the end of the way.

    Parameters
    ----------
    root : ast.AST
        The tree, which is changed.
    path : tuple
        The way, as from `positions`.
    new : ast.AST
        What is put there.
    """
    for field, index in path[:-1]:
        root = getattr(root, field) if index is None else getattr(root, field)[index]
    field, index = path[-1]
    if index is None:
        setattr(root, field, new)
    else:
        getattr(root, field)[index] = new


def _at(root: ast.AST, path: Way) -> ast.AST:
    for field, index in path:
        root = getattr(root, field) if index is None else getattr(root, field)[index]
    return root


def sign_edits(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what a node becomes if one sign is changed or dropped."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
        other = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        yield ast.BinOp(node.left, other, node.right)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield node.operand


def edits(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what a formula becomes: signs, terms, factors, exchanged operands, roots, turned comparisons, powers.

    Parameters
    ----------
    node : ast.AST
        Where the edit is made; no node is changed.
    """
    yield from sign_edits(node)
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
    if isinstance(node, ast.Compare) and type(node.ops[0]) in TURNED:
        yield ast.Compare(node.left, [TURNED[type(node.ops[0])](), *node.ops[1:]], node.comparators)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr == "sqrt":
            yield node.args[0]
            yield ast.Call(node.func, [ast.BinOp(ast.Constant(2), ast.Mult(), node.args[0])], [])
        if node.func.attr == "where":
            yield ast.Call(node.func, [node.args[0], node.args[2], node.args[1]], [])


def further_edits(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what else may be wrong: numbers, connectives, ties, extremes, arguments, bounds of slices, statements.

    Parameters
    ----------
    node : ast.AST
        Where the edit is made; no node is changed.
    """
    if isinstance(node, ast.Constant):
        yield from other_constants(node)
    if isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        for i in range(len(node.values)):
            rest = node.values[:i] + node.values[i + 1 :]
            yield rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
    if isinstance(node, ast.Compare):
        yield ast.Compare(node.left, [OTHER[type(node.ops[0])](), *node.ops[1:]], node.comparators)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr in EXTREMES:
            other: ast.expr = ast.Attribute(node.func.value, EXTREMES[node.func.attr], ast.Load())
            yield ast.Call(other, node.args, node.keywords)
        if isinstance(node.func, ast.Name) and node.func.id in EXTREMES:
            yield ast.Call(ast.Name(EXTREMES[node.func.id], ast.Load()), node.args, node.keywords)
        if len(node.args) == 2 and not any(isinstance(argument, ast.Starred) for argument in node.args):
            yield ast.Call(node.func, node.args[::-1], node.keywords)
        for i in range(len(node.keywords)):
            yield ast.Call(node.func, node.args, node.keywords[:i] + node.keywords[i + 1 :])
    if isinstance(node, ast.Slice):
        if node.lower is not None:
            yield ast.Slice(None, node.upper, node.step)
        if node.upper is not None:
            yield ast.Slice(node.lower, None, node.step)
    if isinstance(node, ast.AugAssign) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        yield ast.Pass()


def other_constants(node: ast.Constant) -> Iterator[ast.Constant]:
    """Yield other numbers in the place of a number, and the other truth value.

    Parameters
    ----------
    node : ast.Constant
        A constant; others than numbers and truth values have none.
    """
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, (int, float)):
        for other in (1,) if value == 0 else (0, 2) if value == 1 else (value + 1, 2 * value):
            yield ast.Constant(type(value)(other))


def double_edits(
    definition: ast.FunctionDef, *, pairs: int = PAIRS, seed: int = 0
) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield the function with edits that belong together, and what they are.

    First every name, and every value of a function that is passed in, is doubled, turned or, if nothing is divided by
    it, put to zero at all its places; then come pairs of edits of one kind at two places, a sample of them.

    Parameters
    ----------
    definition : ast.FunctionDef
        An update.
    pairs : int
        Size of the sample of pairs.
    seed : int
        Which sample.
    """
    tree = ast.Module(list(definition.body), [])
    found = list(positions(tree))
    called = {node.func.id for _, node in found if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    asked = {  # left out or not: no value
        (*way, ("left", None))
        for way, node in found
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.Is, ast.IsNot))
    }
    modules = {  # xp of xp.sqrt is no number
        node.value.id for _, node in found if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    divided_by = {
        one.id
        for _, node in found
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
        for one in ast.walk(node.right)
        if isinstance(one, ast.Name)
    }
    names = dict.fromkeys(node.id for _, node in found if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load))
    for name in names:
        if name in modules:
            continue
        places = [way for way, node in found if way not in asked and _name_of(node) == (name, name in called)]
        if len(places) < 2:
            continue
        shown = f"{name}(...)" if name in called else name
        for text, make in (
            (f"2 * {shown}", lambda node: ast.BinOp(ast.Constant(2), ast.Mult(), node)),
            (f"-{shown}", lambda node: ast.UnaryOp(ast.USub(), node)),
            (f"0 * {shown}", lambda node: ast.BinOp(ast.Constant(0), ast.Mult(), node)),
        ):
            if text.startswith("0") and name in divided_by:
                continue
            changed = copy.deepcopy(tree)
            for way in reversed(places):  # the inner ones first
                put(changed, way, make(_at(changed, way)))
            yield f"every {shown} -> {text}", _with_body(definition, changed)
    kinds: dict[tuple[type, type, int], list[tuple[Way, ast.AST, ast.AST]]] = {}
    for way, node in found:
        for number, new in enumerate(edits(node)):
            kind = (type(node), type(getattr(node, "op", None)), number)
            kinds.setdefault(kind, []).append((way, node, new))
    couples = [
        (first, second)
        for group in kinds.values()
        for i, first in enumerate(group)
        for second in group[i + 1 :]
        if second[0][: len(first[0])] != first[0]
    ]
    for (way, old, new), (way_2, old_2, new_2) in (
        couples if len(couples) <= pairs else random.Random(seed).sample(couples, pairs)
    ):
        text = f"both {ast.unparse(old)} -> {ast.unparse(new)}; {ast.unparse(old_2)} -> {ast.unparse(new_2)}"
        changed = copy.deepcopy(tree)
        put(changed, way, copy.deepcopy(new))
        put(changed, way_2, copy.deepcopy(new_2))
        yield text, _with_body(definition, changed)


def _name_of(node: ast.AST) -> tuple[str, bool]:
    """Return the name that is read or called at a node, and whether it is called; none for any other node."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id, True
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        return node.id, False
    return "", False


def _with_body(definition: ast.FunctionDef, tree: ast.Module) -> ast.FunctionDef:
    changed = copy.copy(definition)
    changed.body, changed.decorator_list = tree.body, []
    return changed
