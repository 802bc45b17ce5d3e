"""A stored run as bytes: one npz whose every byte of content is accounted for. No pickle.

====================  ===========================================================================================
member                content
====================  ===========================================================================================
``document``          JSON in UTF-8: the format, plain values, and the structure of the trees
``history/energy``    the arrays of the trees, named by their place in them: ``state/theta``, ``state/base/aux``
``sha256``            the hash of the names and bytes of all other members
====================  ===========================================================================================

Members are not compressed, so that none can be larger than the file. A header is read by `HEADER` alone, and
what it promises must be what the member holds before anything is made of it. A tree is made of NamedTuples, tuples,
lists, dictionaries, arrays, numbers, text and None, and comes back with its types: the NamedTuples of this library as
themselves, any other as one of the same name and fields. One array at two places of the trees is stored once.

The bytes are a function of the values alone: equal runs have equal files.
"""

from __future__ import annotations

import json
import re
from collections import namedtuple
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from hashlib import sha256
from importlib import import_module
from io import BytesIO
from math import prod
from pkgutil import iter_modules
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from ..namespace import to_numpy

__all__ = ["FORMAT", "pack", "unpack"]

FORMAT = "gradflow solution 2"
MAGIC = b"\x93NUMPY\x01\x00"
HEADER = re.compile(
    rb"\{'descr': '([<>|][biufc]\d{1,2})', 'fortran_order': (True|False), 'shape': \(((?:\d{1,19}, ?)*(?:\d{1,19})?)\), \} *\n"
)
"""A header of the npy format 1.0 as `_member` writes it: numbers only, so that no object can be made from it."""
PLACE = re.compile(r"[\w/ .()-]{1,200}")
"""Names of members that no zip library changes. An array at any other place is numbered."""
ROOMS = ("gradflow.schemes", "gradflow.curvature", "gradflow.run")
"""Where the library defines NamedTuples that a run may hold."""


def pack(plain: Mapping[str, Any], trees: Mapping[str, Any]) -> bytes:
    """Return plain values and trees as the bytes of an npz file, or raise ValueError if one cannot be stored.

    Parameters
    ----------
    plain : mapping of str to object
        JSON values by name.
    trees : mapping of str to object
        Trees by name; no name may be in `plain` too.
    """
    arrays: dict[str, Any] = {}
    places: dict[int, str] = {}
    document = {"format": FORMAT, **plain}
    try:
        document |= {name: _node(tree, name, arrays, places) for name, tree in trees.items()}
    except RecursionError as error:
        raise ValueError(f"{', '.join(trees)} must not hold themselves") from error
    try:
        text = json.dumps(document, indent=1)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{', '.join(plain)} must hold JSON values only: {error}") from error
    members = {"document": _member(np.frombuffer(text.encode(), np.uint8), "document")}
    members |= {place: _member(to_numpy(a), place) for place, a in arrays.items()}
    members = {f"{name}.npy": data for name, data in members.items()}
    members["sha256.npy"] = _member(np.frombuffer(_digest(members), np.uint8), "sha256")
    out = BytesIO()
    with ZipFile(out, "w", ZIP_STORED) as file:
        for name, data in members.items():
            file.writestr(ZipInfo(name), data)
    return out.getvalue()


def unpack(data: bytes, plain: Iterable[str], trees: Iterable[str]) -> dict[str, Any]:
    """Return what `pack` was given, by name, with NumPy arrays, or raise ValueError for bytes of another origin.

    Parameters
    ----------
    data : bytes
        From `pack`, or anything.
    plain, trees : iterable of str
        The names that `pack` was given.
    """
    try:
        members = _members(data)
        arrays = {name.removesuffix(".npy"): _array(member, name) for name, member in members.items()}
        document = json.loads(arrays.pop("document").tobytes())
        if document["format"] != FORMAT:
            raise ValueError(f"it has the format {document['format']!r}, and this version reads {FORMAT!r}")
        values = {name: document[name] for name in plain}
        return values | {name: _tree(document[name], arrays) for name in trees}
    except Exception as error:  # whatever is wrong with the bytes, they are not what was stored
        reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__} {error}"
        raise ValueError(f"not a whole file of the format {FORMAT!r}: {reason}") from error


def _members(data: bytes) -> dict[str, bytes]:
    """Return the members of an npz by name, once their sizes and their hash are found right."""
    with ZipFile(BytesIO(data)) as file:
        entries = file.infolist()
        names = [entry.filename for entry in entries]
        if "token.npy" in names and "document.npy" not in names:
            raise ValueError("it is half of a pair of the format 'gradflow solution 1', which is not read any more")
        if "document.npy" not in names or "sha256.npy" not in names or len(set(names)) < len(names):
            raise ValueError("it must have the members document and sha256, and each name once")
        if any(entry.compress_type != ZIP_STORED or entry.compress_size != entry.file_size for entry in entries):
            raise ValueError("its members must be stored without compression")
        if sum(entry.file_size for entry in entries) > len(data):
            raise ValueError("its members promise more bytes than the file has")
        members = {entry.filename: file.read(entry) for entry in entries}
    if _array(members.pop("sha256.npy"), "sha256").tobytes() != _digest(members):
        raise ValueError("its content differs from its hash")
    return members


def _digest(members: Mapping[str, bytes]) -> bytes:
    digest = sha256()
    for name in sorted(members):
        digest.update(f"{len(name)} {name} {len(members[name])} ".encode())
        digest.update(members[name])
    return digest.digest()


def _member(a: np.ndarray[Any, Any], name: str) -> bytes:
    """Return an array in the npy format 1.0, in its own order if that is C or Fortran."""
    if a.dtype.kind not in "biufc":
        raise ValueError(f"{name} must hold numbers to be stored, got the dtype {a.dtype}")
    fortran = a.flags.f_contiguous and not a.flags.c_contiguous
    text = f"{{'descr': {a.dtype.str!r}, 'fortran_order': {fortran}, 'shape': {a.shape!r}, }}".encode()
    text += b" " * (-(len(MAGIC) + 2 + len(text) + 1) % 64) + b"\n"
    return MAGIC + len(text).to_bytes(2, "little") + text + a.tobytes("F" if fortran else "C")


def _array(data: bytes, name: str) -> np.ndarray[Any, Any]:
    """Return the array of a member, after a check that the header agrees with the size of the member."""
    start = len(MAGIC) + 2
    end = start + int.from_bytes(data[len(MAGIC) : start], "little")
    header = HEADER.fullmatch(data[start:end])
    if header is None or not data.startswith(MAGIC):
        raise ValueError(f"{name} must be an array of numbers")
    dtype, shape = np.dtype(header[1].decode()), tuple(map(int, re.findall(rb"\d+", header[3])))
    if prod(shape) * dtype.itemsize != len(data) - end:
        raise ValueError(f"{name} promises {dtype} of shape {shape} and holds {len(data) - end} bytes")
    order: Any = "F" if header[2] == b"True" else "C"
    return np.ndarray(shape, dtype, data, end, order=order).copy("K")


def _node(value: Any, place: str, arrays: dict[str, Any], places: dict[int, str]) -> Any:
    """Return a tree as JSON, its arrays put into `arrays` under their places."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is complex:
        return {"complex": [value.real, value.imag]}
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        if id(value) not in places or isinstance(value, np.generic):  # scalars come back as one object each
            place = place if PLACE.fullmatch(place) and place not in arrays else f"array {len(arrays)}"
            places[id(value)], arrays[place] = place, value  # kept in `arrays`, so that its id stays its own
        return {"scalar" if isinstance(value, np.generic) else "array": places[id(value)]}

    def node(part: Any, name: object) -> Any:
        return _node(part, f"{place}/{name}", arrays, places)

    if isinstance(value, tuple) and hasattr(value, "_fields"):
        fields = {f: node(v, f) for f, v in zip(value._fields, value, strict=True)}
        ours = type(value).__module__.startswith("gradflow.")
        return {"type": type(value).__name__, "of": "gradflow" if ours else "elsewhere", "fields": fields}
    if type(value) in (tuple, list):
        return {type(value).__name__: [node(v, n) for n, v in enumerate(value)]}
    if isinstance(value, Mapping) and all(type(key) is str for key in value):
        return {"dict": {key: node(v, key) for key, v in value.items()}}
    raise ValueError(
        f"{place} must be an array, a number, text or a tuple of them to be stored, got {type(value).__name__}"
    )


def _tree(node: Any, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Any:
    """Return the tree of what `_node` returned."""
    if not isinstance(node, dict):
        if node is None or isinstance(node, (bool, int, float, str)):
            return node
        raise ValueError(f"a tree cannot hold {type(node).__name__}")
    if "type" in node:
        name, fields = node["type"], tuple(node["fields"])
        known = _library_types().get((name, fields)) if node["of"] == "gradflow" else None
        kind: Any = known or _foreign_type(name, fields)
        return kind._make(_tree(part, arrays) for part in node["fields"].values())
    ((tag, content),) = node.items()
    match tag:
        case "array":
            return arrays[content]
        case "scalar":
            return arrays[content][()]
        case "complex":
            return complex(*content)
        case "tuple":
            return tuple(_tree(part, arrays) for part in content)
        case "list":
            return [_tree(part, arrays) for part in content]
        case "dict":
            return {key: _tree(part, arrays) for key, part in content.items()}
    raise ValueError(f"a tree cannot hold {tag!r}")


@cache
def _library_types() -> dict[tuple[str, tuple[str, ...]], type]:
    """Return the NamedTuples of the library by name and fields, so that a file outlives a move between modules."""
    found = {}
    for room in map(import_module, ROOMS):
        for entry in iter_modules(room.__path__, f"{room.__name__}."):
            for value in vars(import_module(entry.name)).values():
                if isinstance(value, type) and issubclass(value, tuple) and value.__module__ == entry.name:
                    found[value.__name__, tuple(getattr(value, "_fields", ()))] = value
    return found


@lru_cache
def _foreign_type(name: str, fields: tuple[str, ...]) -> Any:
    """Return a NamedTuple type for a state from outside the library; another process rebuilds it."""
    if not isinstance(name, str):
        raise ValueError("the name of a type must be text")
    own = {"__slots__": (), "__module__": __name__, "__reduce__": lambda self: (_foreign, (name, fields, tuple(self)))}
    return type(name, (namedtuple(name, fields),), own)


def _foreign(name: str, fields: tuple[str, ...], values: tuple[Any, ...]) -> Any:
    return _foreign_type(name, fields)._make(values)
