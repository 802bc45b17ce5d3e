"""Statements of the IEQ review, "Assessment of the research value of the IEQ method", as experiments."""

from __future__ import annotations

from ..experiment import Experiment
from .cost import IEQ_REVIEW_COST
from .drift import IEQ_REVIEW_DRIFT
from .energy import IEQ_REVIEW_ENERGY
from .limits import IEQ_REVIEW_LIMITS

__all__ = ["IEQ_REVIEW"]

IEQ_REVIEW: tuple[Experiment, ...] = (IEQ_REVIEW_LIMITS, IEQ_REVIEW_DRIFT, IEQ_REVIEW_ENERGY, IEQ_REVIEW_COST)
"""From what a step is to what it costs."""
