"""Curvatures of a model, the metric and the size of a step, and the solvers of the subproblems."""

from .adaptive_mixture import AdaptiveMixture, ByAgreement, Hedge, Switching
from .block_diagonal import BlockDiagonal
from .block_eigenvalues import block_eigenvalues
from .block_region import BlockTrustRegion
from .block_sweep import BlockSweep
from .bounds import Bounds
from .capped_cg import capped_cg
from .curvature_region import CurvatureRegion
from .damped_step import SOLVERS, damped_step
from .descent import Armijo, StrongWolfe
from .eigenbasis import Form
from .eigenvalues import chebyshev_iteration, extreme_eigenvalues, shifted_power_iteration
from .fisher import Fisher
from .fisher_estimators import SnapshotFisher
from .frequent_directions import FrequentDirections
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
from .gradient_square import GradientSquare
from .hessian import Hessian
from .kronecker import KFAC
from .low_rank import LowRank, Nystrom
from .metric import CurvatureDiagonal, GradientPower, GradientSquares, Identity, Metric
from .minimising_movement import Increment, minimising_movement
from .mixture import ByConditionNumber, ByGradient, ByNoise, BySecondOrderTerm, Mixture
from .model import Approximation, Curvature, Model, Remembering, Root
from .moving_average import MovingAverage
from .pcg import PCG
from .preconditioners import Jacobi, NystromPreconditioner
from .sketched import Sketched
from .sketched_step import ColumnSketch, RowSketch
from .spectral import Floor, Step
from .stationarity import Stationarity, stationarity
from .stochastic_region import StochasticTrustRegion
from .structured_secant import StructuredSecant
from .truncated import steihaug

__all__ = [
    "KFAC",
    "PCG",
    "SOLVERS",
    "AdaptiveMixture",
    "Approximation",
    "Armijo",
    "BlockDiagonal",
    "BlockSweep",
    "BlockTrustRegion",
    "Bounds",
    "ByAgreement",
    "ByConditionNumber",
    "ByGradient",
    "ByNoise",
    "BySecondOrderTerm",
    "ColumnSketch",
    "Control",
    "Cubic",
    "Curvature",
    "CurvatureDiagonal",
    "CurvatureRegion",
    "Fisher",
    "FixedDamping",
    "Floor",
    "Form",
    "FrequentDirections",
    "GaussNewton",
    "GeneralizedGaussNewton",
    "Globalization",
    "GradientDifferences",
    "GradientPower",
    "GradientSquare",
    "GradientSquares",
    "Hedge",
    "Hessian",
    "Identity",
    "Increment",
    "Jacobi",
    "LowRank",
    "MarquardtDamping",
    "Metric",
    "Mixture",
    "Model",
    "MovingAverage",
    "NielsenDamping",
    "Nystrom",
    "NystromPreconditioner",
    "Remembering",
    "Root",
    "RowSketch",
    "Sketched",
    "SnapshotFisher",
    "Stationarity",
    "Step",
    "StochasticTrustRegion",
    "StrongWolfe",
    "StructuredSecant",
    "Switching",
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
