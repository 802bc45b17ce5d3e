"""The four experiments of "Empirical evaluation of energy-stable gradient-flow methods in deep learning"."""

from __future__ import annotations

from ..experiment import Experiment
from .exp1 import EMPIRICAL_EXP1
from .exp2 import EMPIRICAL_EXP2
from .exp3 import EMPIRICAL_EXP3
from .exp4 import EMPIRICAL_EXP4

__all__ = ["EMPIRICAL"]

EMPIRICAL: tuple[Experiment, ...] = (EMPIRICAL_EXP1, EMPIRICAL_EXP2, EMPIRICAL_EXP3, EMPIRICAL_EXP4)
"""In the order of the source."""
