"""Reader of IDX files, the format of MNIST and Fashion-MNIST.

========== ====================================================================
bytes      content (all numbers big-endian)
========== ====================================================================
0, 1       zero
2          element type: 08 uint8, 09 int8, 0B int16, 0C int32, 0D float32, 0E float64
3          n, the number of dimensions
4 to 4n+3  the n dimensions, uint32 each
then       the elements, last index fastest, and nothing after them
========== ====================================================================

Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", section "File formats".
"""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..refusals import instance

ELEMENT_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP_MAGIC = b"\x1f\x8b"  # cannot be mistaken for IDX, which begins with two zeros

__all__ = ["read_idx"]


def read_idx(path: str | PathLike[str], expected_sha256: str | None = None) -> NDArray[Any]:
    """Return the array in an IDX file, plain or compressed by gzip; the content decides, not the name.

    Parameters
    ----------
    path : path-like
        The file.
    expected_sha256 : str, optional
        SHA-256 of the file as it lies on the disk, so of the compressed bytes if it is compressed;
        hexadecimal. If given, a file with another one is refused before anything is read from it.

    Returns
    -------
    ndarray
        Of the file's shape and element type, in native byte order; writeable.

    Raises
    ------
    ValueError
        If the hash differs, the header is not an IDX header, or the length is not what the header says. The
        message names the file, the hash it has and the one it should have.
    OSError
        If the file cannot be opened.
    """
    if expected_sha256 is not None:
        instance("expected_sha256", expected_sha256, str, "a text or None")
    raw = Path(instance("path", path, (str, PathLike), "a path")).read_bytes()
    if expected_sha256 is not None and hashlib.sha256(raw).hexdigest() != expected_sha256.lower():
        raise _refusal(path, "not the file that was expected", raw, expected_sha256)
    try:
        return _parse(gzip.decompress(raw) if raw.startswith(GZIP_MAGIC) else raw)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _refusal(path, f"damaged gzip data ({error})", raw, expected_sha256) from error
    except ValueError as error:
        raise _refusal(path, str(error), raw, expected_sha256) from error


def _parse(content: bytes) -> NDArray[Any]:
    """Return the array in the uncompressed bytes of an IDX file."""
    if len(content) < 4 or content[:2] != b"\0\0":
        raise ValueError(f"not an IDX file: it must begin with two zero bytes, got {content[:4]!r}")
    code, ndim = content[2], content[3]
    if code not in ELEMENT_TYPES:
        known = ", ".join(f"{c:#04x}" for c in ELEMENT_TYPES)
        raise ValueError(f"the element type must be one of {known}, got {code:#04x}")
    start = 4 + 4 * ndim
    if ndim == 0 or len(content) < start:
        raise ValueError(
            f"the header must hold 1 or more dimensions of 4 bytes each; "
            f"it says {ndim}, and {len(content) - 4} bytes follow"
        )
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", count=ndim, offset=4))
    stored = np.dtype(ELEMENT_TYPES[code])
    wanted = start + math.prod(shape) * stored.itemsize
    if len(content) != wanted:
        kind = "truncated" if len(content) < wanted else "too long"
        raise ValueError(f"{kind}: shape {shape} of {stored.name} takes {wanted} bytes, got {len(content)}")
    return np.frombuffer(content, stored, offset=start).reshape(shape).astype(stored.newbyteorder("="))


def _refusal(path: str | PathLike[str], reason: str, raw: bytes, expected: str | None) -> ValueError:
    """Return the error that says which file was refused, why, and both hashes."""
    return ValueError(
        f"{Path(path)}: {reason}; its SHA-256 is {hashlib.sha256(raw).hexdigest()}, "
        f"expected {'(none was given)' if expected is None else expected}"
    )
