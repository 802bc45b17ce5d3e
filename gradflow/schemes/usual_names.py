"""The usual name of a composed scheme: `SecondOrder` from the parts of a named method is called by the name of that method.

The description of a scheme (`gradflow.description.describe`) is compared with those of the named methods, each with its default
arguments. It is an instance of a method if every part in which the two differ belongs to an argument of the method, by its
name. Of several methods, the one with the fewest such arguments is taken; of those the one that differs in the last part, the
curvature being the first one, and in the smaller piece of it; and of those the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from inspect import signature
from typing import Any

from ..description import as_call, describe
from . import second_order_methods

__all__ = ["usual_name"]


def usual_name(description: Any) -> tuple[str, str]:
    """Return the name of a scheme, and the call that makes it, such as ``LevenbergMarquardt(bounds=...)``.

    Parameters
    ----------
    description : object
        The JSON values that `gradflow.description.describe` returns for the scheme.

    Examples
    --------
    >>> import gradflow as gf
    >>> from gradflow.description import describe
    >>> parts = gf.SecondOrder(curvature=gf.curvature.Hessian(), globalization=gf.curvature.FixedDamping(0.5))
    >>> usual_name(describe(parts))
    ('Newton', 'Newton(damping=0.5)')
    """
    if not isinstance(description, Mapping):
        return str(description), str(description)
    calls = []
    for order, (name, (plain, arguments)) in enumerate(_methods().items()):
        paths = [_argument(path, arguments) for path in _differences(plain, description)]
        if () not in paths:
            ends, parts = dict.fromkeys(paths), list(plain)
            places = [(-parts.index(end[0]), -len(end)) for end in ends]
            call = as_call({"type": name, **{end[-1]: _at(description, end) for end in ends}})
            calls.append((len(ends), places, order, name, call))
    if not calls:
        return str(description.get("type", "unknown")), as_call(description)
    *_, name, call = min(calls)
    return name, call


def _argument(path: tuple[str, ...], arguments: frozenset[str]) -> tuple[str, ...]:
    """Return the beginning of a path that ends in an argument; the empty one if there is none."""
    depth = next((n for n in reversed(range(len(path))) if path[n] in arguments), -1)
    return path[: depth + 1]


def _at(description: Any, path: tuple[str, ...]) -> Any:
    """Return what a description has at a path."""
    for key in path:
        description = description[key]
    return description


@cache
def _methods() -> dict[str, tuple[Any, frozenset[str]]]:
    """Return the description of each named method, with its default arguments, and the names of the arguments."""
    methods = {name: getattr(second_order_methods, name) for name in second_order_methods.__all__}
    return {name: (describe(method()), frozenset(signature(method).parameters)) for name, method in methods.items()}


def _differences(one: Any, other: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the paths at which two descriptions differ; those of two types differ as a whole."""
    if (
        isinstance(one, Mapping)
        and isinstance(other, Mapping)
        and [*one, one.get("type")] == [*other, other.get("type")]
    ):
        for key in one:
            yield from _differences(one[key], other[key], (*path, key))
    elif one != other:
        yield path
