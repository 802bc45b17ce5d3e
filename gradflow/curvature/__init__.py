"""Curvatures of a model, the metric and the size of a step, and the solvers of the subproblems."""

from .capped_cg import capped_cg
from .damped_step import SOLVERS, damped_step
from .eigenvalues import extreme_eigenvalues, shifted_power_iteration
from .gauss_newton import GaussNewton
from .globalization import Cubic, FixedDamping, MarquardtDamping, NielsenDamping, TrustRegion
from .hessian import Hessian
from .metric import CurvatureDiagonal, Identity
from .minimising_movement import Increment, minimising_movement
from .stationarity import Stationarity, stationarity

__all__ = [
    "SOLVERS",
    "Cubic",
    "CurvatureDiagonal",
    "FixedDamping",
    "GaussNewton",
    "Hessian",
    "Identity",
    "Increment",
    "MarquardtDamping",
    "NielsenDamping",
    "Stationarity",
    "TrustRegion",
    "capped_cg",
    "damped_step",
    "extreme_eigenvalues",
    "minimising_movement",
    "shifted_power_iteration",
    "stationarity",
]
