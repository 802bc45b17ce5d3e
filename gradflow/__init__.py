"""gradflow: energy-stable discretisations of gradient flows ``theta' = -grad E(theta)``.

>>> import gradflow as gf
>>> gf.Relaxed(gf.SAV(C=1.0))
Relaxed(base=SAV(C=1.0, stabilization=0.0), eta=0.99, orientation='literature', budget='dissipation')

Importing gradflow loads NumPy and little else. SciPy, numba, SymPy, Matplotlib and CuPy load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from . import curvature, datasets
from .curvature.bounds import Bounds
from .curvature.stationarity import stationarity
from .energies.dense import DenseLeastSquares
from .energies.derivative_check import check_derivatives
from .energies.function import FunctionProblem
from .energies.gradient_regularized import GradientRegularized
from .energies.linear import Diagonal, LinearPart, Matrix, Operator, Shift, Zero
from .energies.protocols import LeastSquares, Linearization, Problem
from .energies.robust import Cauchy, Huber, SoftL1
from .energies.split import SplitEnergy
from .energies.terms import SumOfEnergies
from .models import Burgers, Classification, Regression, SmoothedParticles, TwoLayerNet
from .run.solution import Solution, Status
from .run.solve import solve
from .run.steps import ByEnergyRate, ByError, ByGainRatio
from .run.stopping import Tolerance
from .schemes import (
    BFGS,
    IEQ,
    KFAC,
    LBFGS,
    MSAV,
    SAV,
    Adagrad,
    Adam,
    AdaptiveIEQ,
    AdaptiveSAV,
    AuxiliaryScheme,
    CubicRegularization,
    ElementwiseSAV,
    ExpSAV,
    GaussNewton,
    GradientDescent,
    HeavyBall,
    ImplicitEuler,
    LevenbergMarquardt,
    NaturalGradient,
    NegativeCurvatureDescent,
    Nesterov,
    Newton,
    NewtonCG,
    NoisyGradientDescent,
    PerturbedGradientDescent,
    Relaxed,
    Restart,
    RMSProp,
    RungeKutta4,
    SaddleFreeNewton,
    Scheme,
    SecondOrder,
    SourceSAV,
    TrustRegion,
)
from .schemes.relaxation import xi0_linear, xi0_log, xi0_quadratic
from .schemes.state import AuxState, FlowState
from .version import __version__

__all__ = [
    "BFGS",
    "IEQ",
    "KFAC",
    "LBFGS",
    "MSAV",
    "SAV",
    "Adagrad",
    "Adam",
    "AdaptiveIEQ",
    "AdaptiveSAV",
    "AuxState",
    "AuxiliaryScheme",
    "Bounds",
    "Burgers",
    "ByEnergyRate",
    "ByError",
    "ByGainRatio",
    "Cauchy",
    "Classification",
    "CubicRegularization",
    "DenseLeastSquares",
    "Diagonal",
    "ElementwiseSAV",
    "ExpSAV",
    "FlowState",
    "FunctionProblem",
    "GaussNewton",
    "GradientDescent",
    "GradientRegularized",
    "HeavyBall",
    "Huber",
    "ImplicitEuler",
    "LeastSquares",
    "LevenbergMarquardt",
    "LinearPart",
    "Linearization",
    "Matrix",
    "NaturalGradient",
    "NegativeCurvatureDescent",
    "Nesterov",
    "Newton",
    "NewtonCG",
    "NoisyGradientDescent",
    "Operator",
    "PerturbedGradientDescent",
    "Problem",
    "RMSProp",
    "Regression",
    "Relaxed",
    "Restart",
    "RungeKutta4",
    "SaddleFreeNewton",
    "Scheme",
    "SecondOrder",
    "Shift",
    "SmoothedParticles",
    "SoftL1",
    "Solution",
    "SourceSAV",
    "SplitEnergy",
    "Status",
    "SumOfEnergies",
    "Tolerance",
    "TrustRegion",
    "TwoLayerNet",
    "Zero",
    "__version__",
    "certify",
    "check_derivatives",
    "curvature",
    "datasets",
    "solve",
    "stationarity",
    "xi0_linear",
    "xi0_log",
    "xi0_quadratic",
]


def __getattr__(name: str) -> Any:
    if name in ("backward_error", "experiments", "plotting"):  # loaded on first use
        return import_module(f".{name}", __name__)
    if name == "certify":
        return import_module(".certificates", __name__).certify
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
