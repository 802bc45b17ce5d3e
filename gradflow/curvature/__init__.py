"""Curvatures of a model, the metric and the size of a step, and the solvers of the subproblems."""

from .block_diagonal import BlockDiagonal
from .damped_step import SOLVERS, damped_step
from .fisher import Fisher
from .gauss_newton import GaussNewton
from .generalized_gauss_newton import GeneralizedGaussNewton
from .globalization import Cubic, FixedDamping, MarquardtDamping, NielsenDamping, TrustRegion
from .hessian import Hessian
from .kronecker import KFAC
from .metric import CurvatureDiagonal, Identity
from .minimising_movement import Increment, minimising_movement
from .spectral import Floor

__all__ = [
    "KFAC",
    "SOLVERS",
    "BlockDiagonal",
    "Cubic",
    "CurvatureDiagonal",
    "Fisher",
    "FixedDamping",
    "Floor",
    "GaussNewton",
    "GeneralizedGaussNewton",
    "Hessian",
    "Identity",
    "Increment",
    "MarquardtDamping",
    "NielsenDamping",
    "TrustRegion",
    "damped_step",
    "minimising_movement",
]
