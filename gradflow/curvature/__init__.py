"""Curvatures of a model, the metric and the size of a step, and the solvers of the subproblems."""

from .block_diagonal import BlockDiagonal
from .block_sweep import BlockSweep
from .capped_cg import capped_cg
from .damped_step import SOLVERS, damped_step
from .descent import Armijo, StrongWolfe
from .eigenvalues import extreme_eigenvalues, shifted_power_iteration
from .fisher import Fisher
from .gauss_newton import GaussNewton
from .generalized_gauss_newton import GeneralizedGaussNewton
from .globalization import Cubic, FixedDamping, MarquardtDamping, NielsenDamping, TrustRegion
from .hessian import Hessian
from .kronecker import KFAC
from .low_rank import LowRank, Nystrom
from .metric import CurvatureDiagonal, Identity
from .minimising_movement import Increment, minimising_movement
from .mixture import ByConditionNumber, ByGradient, Mixture
from .moving_average import MovingAverage
from .sketched import Sketched
from .sketched_step import ColumnSketch, RowSketch
from .spectral import Floor
from .stationarity import Stationarity, stationarity

__all__ = [
    "KFAC",
    "SOLVERS",
    "Armijo",
    "BlockDiagonal",
    "BlockSweep",
    "ByConditionNumber",
    "ByGradient",
    "ColumnSketch",
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
    "LowRank",
    "MarquardtDamping",
    "Mixture",
    "MovingAverage",
    "NielsenDamping",
    "Nystrom",
    "RowSketch",
    "Sketched",
    "Stationarity",
    "StrongWolfe",
    "TrustRegion",
    "capped_cg",
    "damped_step",
    "extreme_eigenvalues",
    "minimising_movement",
    "shifted_power_iteration",
    "stationarity",
]
