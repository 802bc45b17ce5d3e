"""The schemes, one file for each: first-order baselines, reference flows, auxiliary variables, wrappers."""

from __future__ import annotations

from ..refusals import lists_arguments
from .adagrad import Adagrad
from .adam import Adam
from .adaptive_ieq import AdaptiveIEQ
from .adaptive_sav import AdaptiveSAV, AdaptiveState
from .elementwise_sav import ElementwiseSAV
from .exp_sav import ExpSAV
from .gradient_descent import GradientDescent
from .heavy_ball import HeavyBall
from .ieq import IEQ
from .implicit_euler import ImplicitEuler, ImplicitEulerState
from .msav import MSAV
from .negative_curvature_descent import CurvatureState, NegativeCurvatureDescent
from .nesterov import Nesterov
from .newton_cg import NewtonCG, NewtonCGState
from .noisy_gradient_descent import NoisyGradientDescent, NoisyState
from .perturbed_gradient_descent import PerturbedGradientDescent, PerturbedState
from .protocols import AuxiliaryScheme, EnergyTerms, Scheme
from .quasi_newton import BFGS, LBFGS, BFGSState, LBFGSState
from .relaxed import Relaxed, RelaxedState
from .restart import Restart, RestartState
from .rmsprop import RMSProp
from .runge_kutta4 import RungeKutta4
from .sav import SAV
from .second_order import SecondOrder, SecondOrderState
from .second_order_methods import (
    KFAC,
    CubicRegularization,
    GaussNewton,
    LevenbergMarquardt,
    NaturalGradient,
    Newton,
    SaddleFreeNewton,
    TrustRegion,
)
from .source_sav import SourceSAV

__all__ = [
    "BFGS",
    "IEQ",
    "KFAC",
    "LBFGS",
    "MSAV",
    "REGISTRY",
    "SAV",
    "Adagrad",
    "Adam",
    "AdaptiveIEQ",
    "AdaptiveSAV",
    "AdaptiveState",
    "AuxiliaryScheme",
    "BFGSState",
    "CubicRegularization",
    "CurvatureState",
    "ElementwiseSAV",
    "EnergyTerms",
    "ExpSAV",
    "GaussNewton",
    "GradientDescent",
    "HeavyBall",
    "ImplicitEuler",
    "ImplicitEulerState",
    "LBFGSState",
    "LevenbergMarquardt",
    "NaturalGradient",
    "NegativeCurvatureDescent",
    "Nesterov",
    "Newton",
    "NewtonCG",
    "NewtonCGState",
    "NoisyGradientDescent",
    "NoisyState",
    "PerturbedGradientDescent",
    "PerturbedState",
    "RMSProp",
    "Relaxed",
    "RelaxedState",
    "Restart",
    "RestartState",
    "RungeKutta4",
    "SaddleFreeNewton",
    "Scheme",
    "SecondOrder",
    "SecondOrderState",
    "SourceSAV",
    "TrustRegion",
]

REGISTRY: dict[str, type] = {
    scheme.__name__: scheme
    for scheme in (
        GradientDescent,
        HeavyBall,
        Nesterov,
        Adagrad,
        RMSProp,
        Adam,
        RungeKutta4,
        ImplicitEuler,
        SAV,
        SourceSAV,
        ExpSAV,
        ElementwiseSAV,
        AdaptiveSAV,
        MSAV,
        IEQ,
        AdaptiveIEQ,
        SecondOrder,
        PerturbedGradientDescent,
        NoisyGradientDescent,
        NegativeCurvatureDescent,
        NewtonCG,
        LBFGS,
        BFGS,
        Restart,
        Relaxed,
    )
}
"""Every scheme and wrapper by name, in teaching order."""

for _scheme in REGISTRY.values():
    lists_arguments(_scheme)
