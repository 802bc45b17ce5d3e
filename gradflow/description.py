"""Values in words: plain JSON for a stored result, a few characters for a message; text as Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sized
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from .namespace import fingerprint, to_numpy

__all__ = ["describe", "escaped", "found"]

LONGEST = 60
"""Characters up to which a message shows a value."""


def describe(value: Any) -> Any:
    """Return JSON values for a scheme, a linear part, an array, a number or a mapping of them.

    Arrays become a shape, a dtype and a hash; functions their name; anything with a method ``describe`` what that says.

    Parameters
    ----------
    value : object
        The value.
    """
    if hasattr(value, "describe") and not isinstance(value, type):
        return value.describe()
    if is_dataclass(value) and not isinstance(value, type):
        named = {f.name: describe(getattr(value, f.name)) for f in fields(value)}
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


def found(value: object) -> str:
    """Return what a message says came: a short number or text itself, the shape of an array, of all else the type.

    Parameters
    ----------
    value : object
        What was given.
    """
    if value is None or isinstance(value, (int, float, complex, str, type, np.generic, np.dtype)):
        try:
            text = repr(value)
        except ValueError:  # an int of thousands of digits
            text = ""
        if text and len(text) <= LONGEST:
            return text
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return repr(shape)
    kind = type(value).__name__
    return f"{kind} of length {len(value)}" if isinstance(value, Sized) else f"an object of type {kind}"


def escaped(text: str) -> str:
    """Return plain text such that Markdown shows it as it is, but for code in backticks.

    Parameters
    ----------
    text : str
        Of a statement, a scope, a report.

    Returns
    -------
    str
        Markdown.
    """
    parts = re.split("(`[^`]*`)", text)
    return "".join(part if n % 2 else re.sub(r"([\\`*_|<>\[\]$])", r"\\\1", part) for n, part in enumerate(parts))
