"""Curvatures of a model, the metric and the size of a step, and the solvers of the subproblems."""

from .block_diagonal import BlockDiagonal
from .block_region import BlockTrustRegion
from .bounds import Bounds
from .capped_cg import capped_cg
from .curvature_region import CurvatureRegion
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
from .metric import CurvatureDiagonal, GradientPower, GradientSquares, Identity
from .minimising_movement import Increment, minimising_movement
from .mixture import ByConditionNumber, ByGradient, Mixture
from .moving_average import MovingAverage
from .pcg import PCG
from .preconditioners import Jacobi, NystromPreconditioner
from .sketched import Sketched
from .spectral import Floor
from .stationarity import Stationarity, stationarity
from .stochastic_region import StochasticTrustRegion

__all__ = [
    "KFAC",
    "PCG",
    "SOLVERS",
    "Armijo",
    "BlockDiagonal",
    "BlockTrustRegion",
    "Bounds",
    "ByConditionNumber",
    "ByGradient",
    "Cubic",
    "CurvatureDiagonal",
    "CurvatureRegion",
    "Fisher",
    "FixedDamping",
    "Floor",
    "GaussNewton",
    "GeneralizedGaussNewton",
    "GradientPower",
    "GradientSquares",
    "Hessian",
    "Identity",
    "Increment",
    "Jacobi",
    "LowRank",
    "MarquardtDamping",
    "Mixture",
    "MovingAverage",
    "NielsenDamping",
    "Nystrom",
    "NystromPreconditioner",
    "Sketched",
    "Stationarity",
    "StochasticTrustRegion",
    "StrongWolfe",
    "TrustRegion",
    "capped_cg",
    "damped_step",
    "extreme_eigenvalues",
    "minimising_movement",
    "shifted_power_iteration",
    "stationarity",
]
