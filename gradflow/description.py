"""Descriptions of values: plain JSON for a stored result, a few characters for a message; text as Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sized
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from .namespace import fingerprint, is_array, to_numpy

__all__ = ["as_call", "describe", "escaped", "found"]

LONGEST = 60
"""The length up to which a message shows a value."""
UNPRINTABLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
"""Control characters, halves of surrogate pairs, marks of direction."""
MARKS = re.compile(r"[\\`*_{}\[\]<>$|~&#]|^\^")
"""What has a meaning within a line of MyST Markdown. A role, a directive, a substitution and attributes need a brace; a
caret makes a footnote behind the bracket of a link."""
BLOCK = re.compile(r"^(?:(\d{1,9})(?=[.)](?: |$))|(?=[-+=:%]|\([^)]*\)=))")
"""What begins a block (a list, a rule, a fence, a field, a comment, a target) and is not among `MARKS`."""
PAIRS = {"`": r"(?<!`)`[^`]+`(?!`)", "$": r"\$(?!\s)(?:[^$`\\]|\\[^$`])+(?<!\s)\$"}
"""Code and formulas, by the mark that encloses them."""


def describe(value: Any) -> Any:
    """Return JSON values for a scheme, a linear part, an array, a number or a mapping of them.

    Arrays become a shape, a dtype and a hash; functions become their name. An object with a method ``describe`` is
    described by it.

    Parameters
    ----------
    value : object
        The value.
    """
    if hasattr(value, "describe") and not isinstance(value, type):
        return value.describe()
    if is_dataclass(value) and not isinstance(value, type):
        named = {f.name: describe(getattr(value, f.name)) for f in fields(value) if f.init}
        return {"type": type(value).__name__, **named}
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        a = to_numpy(value)
        if a.ndim == 0:
            return a.item()
        return {"shape": list(a.shape), "dtype": str(a.dtype), "sha256": fingerprint(a)}
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    if isinstance(value, Mapping):
        return {str(k): describe(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [describe(v) for v in value]
    return getattr(value, "__qualname__", type(value).__name__)


def as_call(value: Any) -> str:
    """Return the result of `describe` in one line, such as ``SAV(C=1.0, stabilization=0.0)``.

    Parameters
    ----------
    value : object
        JSON values.
    """
    if isinstance(value, Mapping):
        if set(value) == {"shape", "dtype", "sha256"}:
            return f"array {tuple(value['shape'])}"
        name = value.get("type", value.get("problem", ""))
        named = ((k, v) for k, v in value.items() if k not in ("type", "problem") or v is not name)
        return f"{name}({', '.join(f'{k}={as_call(v)}' for k, v in named)})"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(as_call, value))}]"
    return str(value)


def found(value: object) -> str:
    """Return a value in words for a message: a short number or text itself, the shape of an array, otherwise the type.

    Parameters
    ----------
    value : object
        The given value.
    """
    if isinstance(value, type) and value.__module__.startswith("gradflow."):
        return f"the class {value.__name__}, not an instance"
    if value is None or isinstance(value, (int, float, complex, str, type, np.generic, np.dtype)):
        try:
            text = repr(value)
        except ValueError:  # an int of thousands of digits
            text = ""
        if text and len(text) <= LONGEST:
            return text
    kind, shape = type(value).__name__, getattr(value, "shape", None)
    if isinstance(shape, tuple) and not isinstance(value, type):
        return repr(shape) if is_array(value) else f"{kind} of shape {shape}"
    return f"{kind} of length {len(value)}" if isinstance(value, Sized) else f"an object of type {kind}"


def escaped(text: str, *, keep: str = "", inside: bool = False) -> str:
    r"""Return one line of MyST Markdown that shows a text as it is, whatever the text holds.

    Whitespace of any kind becomes one space. A character that cannot be printed, or that reverses the direction of the
    line, becomes the replacement character.

    Parameters
    ----------
    text : str
        Of a statement, a scope, a report.
    keep : str
        Marks whose pairs keep their meaning: a backtick for code, a dollar sign for formulas. Neither by default.
    inside : bool
        Whether the result follows other text on its line, where no block can begin.

    Examples
    --------
    >>> print(escaped("{download}`x` costs $5, [see](y)"))
    \{download\}\`x\` costs \$5, \[see\](y)
    >>> print(escaped("1. `a_b` is a_b", keep="`"))
    1\. `a_b` is a\_b
    """
    line = UNPRINTABLE.sub("\ufffd", " ".join(text.split()))
    kept = "|".join(pattern for mark, pattern in PAIRS.items() if mark in keep)
    parts = re.split(f"({kept})", line) if kept else [line]
    shown = "".join(part if n % 2 else MARKS.sub(r"\\\g<0>", part) for n, part in enumerate(parts))
    return shown if inside else BLOCK.sub(r"\1\\", shown)
