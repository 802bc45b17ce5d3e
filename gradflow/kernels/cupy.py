"""CuPy arrays on a GPU: the reference kernels, with what the array API standard has no words for.

CuPy's own operators are what runs here; no kernel is written by hand because none has been measured.
"""

# mypy: disable-error-code="no-redef"
# The star import brings every name of the reference; the definitions below replace some of them on purpose.

from __future__ import annotations

import cupy

from ..namespace import Array
from .reference import *

BLOCK_BYTES = 1 << 28
"""A GPU has no cache to stay in: blocks only bound the memory, and large ones keep the device busy."""


def scatter_rows(full: Array, indices: Array, rows: Array) -> Array:
    """Return a copy of `full` (N, k) with `rows` at `indices`: one launch for all of them."""
    out = cupy.array(full, copy=True)
    out[indices, :] = rows
    return out
