"""Curves of the literature as data: what a figure shows, read from its vector paths, by figure, panel and column.

The files are those of ``gradflow/experiments/published_curves``; its README tells how they were read and to what error (0.04 to 3 per
cent, far less than the width of a line). A CSV file of your own has the column ``epoch`` first and a column for each curve; a cell
is a number > 0, empty or nan. A file is read once in a process.

>>> from gradflow.experiments.published import Published
>>> curve = Published("fig07a", "PM-Euler_train")
>>> curve.epochs[:3].tolist(), curve.values[:2].tolist()
([1.0, 101.0, 201.0], [0.042294, 0.00169])
"""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Published"]

Values = NDArray[np.float64]
SPACING = 100
"""Epochs between two records of Figures 2 to 10: their axis counts records, and record k is that of epoch 100 (k - 1) + 1."""


class Published(NamedTuple):
    """A curve of a published figure.

    Raises
    ------
    ValueError
        On reading, if the file or the column does not exist, or holds something else.
    """

    file: str
    """Figure and panel, ``fig02a``; or the path of a file of your own, which ends with ``.csv``."""
    column: str
    """Of the file, ``PM-Euler_train``; ``_misclassified`` is 100 less ``_accuracy``, in per cent, on which decades tell something."""
    shift: float = 0.0
    """Added to the epochs: -1 where a record was taken before the epoch that it is named after."""

    @property
    def epochs(self) -> Values:
        """Where the curve is known, shape (n,): the epochs of its records."""
        return self._read()[0]

    @property
    def values(self) -> Values:
        """What is published there, shape (n,); finite."""
        return self._read()[1]

    def _read(self) -> tuple[Values, Values]:
        names, table = _table(str(self.file))
        if self.column not in names[1:]:
            raise ValueError(f"{self.file} has the columns {', '.join(names[1:])}; got {self.column!r}")
        values = table[:, names.index(self.column)]
        known = np.isfinite(values)
        at = table[known, 0]
        epochs = (at if names[0] == "epoch" else SPACING * (at - 1) + 1) + self.shift
        if not at.size or (values[known] <= 0).any():
            raise ValueError(f"{self.file}, {self.column} must have values, all of them > 0")
        return epochs, values[known]


@cache
def _table(file: str) -> tuple[list[str], Values]:
    own = file.endswith(".csv")
    path = Path(file) if own else files(__package__).joinpath("published_curves", f"{file}.csv")
    if not path.is_file() or not (own or file.isidentifier()):
        raise ValueError(
            f"{file!r} must be a published figure of this package, or the path of a file that ends with .csv"
        )
    try:
        names, *lines = csv.reader(path.read_text(encoding="utf-8-sig").splitlines(), strict=True)
        table = np.array([[float(cell or "nan") for cell in line] for line in lines if line])
        if np.isinf(table).any():
            raise ValueError("a cell must be a finite number, or empty")
        known = names[0] == "epoch" or (names[0] == "x" and not own)
        at = table[:, 0]
        if not known or table.shape[1:] != (len(set(names)),) or not ((at >= 0).all() and (np.diff(at) > 0).all()):
            raise ValueError(f"names must differ, and epochs >= 0 rise; it has {', '.join(names)}")
    except (OSError, ValueError, IndexError, csv.Error) as error:
        raise ValueError(f"{file} must have a head, epoch first, and below it rows of numbers: {error}") from error
    accurate = [name for name in names if name.endswith("_accuracy")]
    wrong = 100 - table[:, [names.index(name) for name in accurate]]
    wrong[wrong == 100] = np.nan  # a stored accuracy of 0 is that of outputs that are no numbers
    return [*names, *(name.replace("_accuracy", "_misclassified") for name in accurate)], np.hstack([table, wrong])
