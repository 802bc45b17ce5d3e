"""Curvatures of a model, the metric and the size of a step, and the solvers of the subproblems."""

from .block_diagonal import BlockDiagonal
from .block_eigenvalues import block_eigenvalues
from .capped_cg import capped_cg
from .damped_step import SOLVERS, damped_step
from .descent import Armijo, StrongWolfe
from .eigenvalues import chebyshev_iteration, extreme_eigenvalues, shifted_power_iteration
from .fisher import Fisher
from .gauss_newton import GaussNewton
from .generalized_gauss_newton import GeneralizedGaussNewton
from .globalization import (
    Control,
    Cubic,
    FixedDamping,
    Globalization,
    MarquardtDamping,
    NielsenDamping,
    TrustRegion,
)
from .gradient_differences import GradientDifferences
from .hessian import Hessian
from .kronecker import KFAC
from .low_rank import LowRank, Nystrom
from .metric import CurvatureDiagonal, Identity, Metric
from .minimising_movement import Increment, minimising_movement
from .mixture import ByConditionNumber, ByGradient, Mixture
from .model import Approximation, Curvature, Model, Remembering, Root
from .moving_average import MovingAverage
from .sketched import Sketched
from .spectral import Floor, Form, Step
from .stationarity import Stationarity, stationarity
from .truncated import steihaug

__all__ = [
    "KFAC",
    "SOLVERS",
    "Approximation",
    "Armijo",
    "BlockDiagonal",
    "ByConditionNumber",
    "ByGradient",
    "Control",
    "Cubic",
    "Curvature",
    "CurvatureDiagonal",
    "Fisher",
    "FixedDamping",
    "Floor",
    "Form",
    "GaussNewton",
    "GeneralizedGaussNewton",
    "Globalization",
    "GradientDifferences",
    "Hessian",
    "Identity",
    "Increment",
    "LowRank",
    "MarquardtDamping",
    "Metric",
    "Mixture",
    "Model",
    "MovingAverage",
    "NielsenDamping",
    "Nystrom",
    "Remembering",
    "Root",
    "Sketched",
    "Stationarity",
    "Step",
    "StrongWolfe",
    "TrustRegion",
    "block_eigenvalues",
    "capped_cg",
    "chebyshev_iteration",
    "damped_step",
    "extreme_eigenvalues",
    "minimising_movement",
    "shifted_power_iteration",
    "stationarity",
    "steihaug",
]
