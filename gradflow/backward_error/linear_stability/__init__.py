"""Linear stability of a scheme at a minimum, and what lies beyond it, from the scheme's own `step`.

`quadratics` has the energies (1), `linearization` the derivative A of a step (2) and the condition (3) on its eigenvalues,
`thresholds` the step sizes at which the condition ends, in numbers and exactly, `orbits` what the iterates do on both sides,
`edge` the effective step (4) and what `gradflow.solve` records along a run. `stability` of `report` puts them together.
"""

from __future__ import annotations

from .edge import edge_of_stability, effective_step
from .linearization import amplification, amplification_matrix
from .orbits import Fate, fate
from .quadratics import CurvedResidual, Quadratic
from .report import Stability, stability
from .thresholds import ExactStability, exact_stability

__all__ = [
    "CurvedResidual",
    "ExactStability",
    "Fate",
    "Quadratic",
    "Stability",
    "amplification",
    "amplification_matrix",
    "edge_of_stability",
    "effective_step",
    "exact_stability",
    "fate",
    "stability",
]
