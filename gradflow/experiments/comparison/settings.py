"""Settings of the comparison: sizes of both problems, the search for dt, and seeds."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from ...refusals import whole_number

__all__ = ["ComparisonSettings"]


@dataclass(frozen=True, kw_only=True)
class ComparisonSettings:
    """Sizes, the search, and seeds. All values are dimensionless.

    Raises
    ------
    ValueError
        If a count is below 1 (`extensions` below 0), `points` even, or `constants` not a list of numbers > 0.
    """

    epochs: int
    """Of the runs that are reported."""
    tuning_epochs: int
    """Of the runs of the search."""
    tuning_seeds: int = 2
    """Seeds of the search, from 0 on."""
    seeds: int = 5
    """Reported seeds, from `tuning_seeds` on."""
    per_decade: int = 2
    """Values of dt a decade."""
    points: int = 5
    """First values of dt, odd."""
    extensions: int = 6
    """Further values of dt at most, for each method and constant."""
    rounds: int = 50
    """How often each method has its turn in the measurement of costs."""
    constants: str = "1 100 10000"
    """Values of C or kappa that are tried."""
    n_inputs: int = 20
    """D of Example 1."""
    width: int = 200
    """m of Example 1."""
    n_samples: int = 4000
    """The pool of Example 1: 80 % of it for training."""
    batch_size: int = 64
    """Of Example 1."""
    n_images: int = 1000
    """Training images."""
    image_width: int = 30
    """m for the images."""
    image_batch_size: int = 50
    """Images in a batch."""
    dtype: str = "float32"
    """The dtype of data and parameters, "float32" or "float64"."""

    def __post_init__(self) -> None:
        for name in ("epochs", "tuning_epochs", "tuning_seeds", "seeds", "per_decade", "points", "rounds"):
            whole_number(name, getattr(self, name), 1)
        if self.points % 2 == 0:
            raise ValueError(f"points must be odd, got {self.points}")
        whole_number("extensions", self.extensions)
        self.constant_values()

    def constant_values(self) -> tuple[float, ...]:
        """Return the values of C or kappa.

        Raises
        ------
        ValueError
            If there is none, or one is not a finite number > 0, or one is given twice.
        """
        try:
            values = tuple(float(word) for word in self.constants.split())
        except ValueError:
            values = ()
        if not values or not all(0 < value < inf for value in values) or len(set(values)) < len(values):
            raise ValueError(f"constants must be different numbers > 0 with spaces between, got {self.constants!r}")
        return values
