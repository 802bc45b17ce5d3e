"""Curvatures of a model, the metric and the size of a step, and the solvers of the subproblems."""

from .damped_step import SOLVERS, damped_step
from .descent import Armijo, StrongWolfe
from .gauss_newton import GaussNewton
from .globalization import Cubic, FixedDamping, MarquardtDamping, NielsenDamping, TrustRegion
from .hessian import Hessian
from .metric import CurvatureDiagonal, Identity
from .minimising_movement import Increment, minimising_movement

__all__ = [
    "SOLVERS",
    "Armijo",
    "Cubic",
    "CurvatureDiagonal",
    "FixedDamping",
    "GaussNewton",
    "Hessian",
    "Identity",
    "Increment",
    "MarquardtDamping",
    "NielsenDamping",
    "StrongWolfe",
    "TrustRegion",
    "damped_step",
    "minimising_movement",
]
