"""gradflow: energy-stable discretisations of gradient flows ``theta' = -grad E(theta)``.

>>> import gradflow as gf
>>> gf.Relaxed(gf.SAV(C=1.0))
Relaxed(base=SAV(C=1.0, stabilization=0.0), eta=0.99, orientation='literature', budget='dissipation')

Importing this costs NumPy and little else; SciPy, numba, SymPy, Matplotlib, CuPy load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

from . import datasets
from .dense_least_squares import DenseLeastSquares
from .function_problem import FunctionProblem
from .linear import Diagonal, LinearPart, Shift, Zero
from .models import Burgers, Classification, Regression, SmoothedParticles, TwoLayerNet
from .problem import LeastSquares, Linearization, Problem, SplitEnergy
from .relaxation import xi0_linear, xi0_log, xi0_quadratic
from .schemes import (
    IEQ,
    SAV,
    Adagrad,
    Adam,
    AdaptiveIEQ,
    AdaptiveSAV,
    AuxiliaryScheme,
    ElementwiseSAV,
    ExpSAV,
    GradientDescent,
    HeavyBall,
    ImplicitEuler,
    Nesterov,
    Relaxed,
    Restart,
    RMSProp,
    RungeKutta4,
    Scheme,
    SourceSAV,
)
from .solution import Solution, Status
from .solve import solve
from .state import AuxState, FlowState

__all__ = [
    "IEQ",
    "SAV",
    "Adagrad",
    "Adam",
    "AdaptiveIEQ",
    "AdaptiveSAV",
    "AuxState",
    "AuxiliaryScheme",
    "Burgers",
    "Classification",
    "DenseLeastSquares",
    "Diagonal",
    "ElementwiseSAV",
    "ExpSAV",
    "FlowState",
    "FunctionProblem",
    "GradientDescent",
    "HeavyBall",
    "ImplicitEuler",
    "LeastSquares",
    "LinearPart",
    "Linearization",
    "Nesterov",
    "Problem",
    "RMSProp",
    "Regression",
    "Relaxed",
    "Restart",
    "RungeKutta4",
    "Scheme",
    "Shift",
    "SmoothedParticles",
    "Solution",
    "SourceSAV",
    "SplitEnergy",
    "Status",
    "TwoLayerNet",
    "Zero",
    "__version__",
    "datasets",
    "solve",
    "xi0_linear",
    "xi0_log",
    "xi0_quadratic",
]


def __getattr__(name: str) -> Any:
    if name in ("experiments", "plotting"):  # the rooms above the library; they load when they are asked for
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
