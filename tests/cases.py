"""Collections that the tests share: least-squares problems of random shape, and every auxiliary scheme."""

from typing import NamedTuple

import numpy as np

from gradflow.energies.dense import DenseLeastSquares
from gradflow.energies.linear import Diagonal
from gradflow.schemes import (
    IEQ,
    MSAV,
    SAV,
    AdaptiveIEQ,
    AdaptiveSAV,
    ElementwiseSAV,
    ExpSAV,
    Relaxed,
    Restart,
    SourceSAV,
)
from gradflow.schemes.exp_sav import EXP_SAV_FORMS

DTYPES = (np.float64, np.float32)
LINEAR_PARTS = ("none", "shift", "diagonal")
MASSES = ("euclidean", "mean_field", "diagonal")


class Case(NamedTuple):
    problem: DenseLeastSquares
    theta: np.ndarray
    J: np.ndarray
    b: np.ndarray


def residual_case(seed, P, N, *, dtype=np.float64, linear="none", mass="euclidean", scale=1.0):
    """Return q(theta) = sin(J theta) - b, bounded and far from quadratic, with random J and b."""
    rng = np.random.default_rng(seed)
    J = (scale * rng.standard_normal((N, P))).astype(dtype)
    b = rng.standard_normal(N).astype(dtype)
    L = {"none": 0.0, "shift": 1.5, "diagonal": Diagonal(rng.uniform(0, 2, P).astype(dtype))}[linear]
    M = {"euclidean": None, "mean_field": 0.01, "diagonal": rng.uniform(0.1, 2, P).astype(dtype)}[mass]
    problem = DenseLeastSquares(lambda t: np.sin(J @ t) - b, lambda t: np.cos(J @ t)[:, None] * J, linear=L, mass=M)
    return Case(problem, rng.standard_normal(P).astype(dtype), J, b)


def affine_case(seed, P, N, *, dtype=np.float64, linear="none", mass="euclidean", scale=1.0):
    """Return q(theta) = J theta - b."""
    case = residual_case(seed, P, N, dtype=dtype, linear=linear, mass=mass, scale=scale)
    J, b = case.J, case.b
    problem = DenseLeastSquares(lambda t: J @ t - b, lambda t: J, linear=case.problem.linear, mass=case.problem.mass)
    return Case(problem, case.theta, J, b)


def vanilla_schemes(stabilization=0.0):
    """Return name -> every scheme with an auxiliary variable, vanilla."""
    S = stabilization
    return {
        "SAV": SAV(C=1.0, stabilization=S),
        "SourceSAV": SourceSAV(C=1.0, stabilization=S),
        "ElementwiseSAV": ElementwiseSAV(C=1.0, stabilization=S),
        "AdaptiveSAV": AdaptiveSAV(C=1.0, stabilization=S),
        "AdaptiveSAV-elementwise": AdaptiveSAV(C=1.0, stabilization=S, reading="elementwise"),
        "MSAV-1": MSAV(parts=1, C=1.0, stabilization=S),
        "MSAV": MSAV(parts=2, C=1.0, stabilization=S),
        "AdaptiveIEQ": AdaptiveIEQ(),
        "AdaptiveIEQ-printed": AdaptiveIEQ(form="printed"),
        **{f"ExpSAV-{form}": ExpSAV(form=form, scale=100.0, stabilization=S) for form in EXP_SAV_FORMS},
        **{f"IEQ-{solver}": IEQ(stabilization=S, solver=solver) for solver in ("gram", "parameter", "cg")},
    }


def auxiliary_schemes(stabilization=0.0):
    """Return name -> every scheme with an auxiliary variable: vanilla, restarted in each and in every other step, relaxed in each budget."""
    vanilla = vanilla_schemes(stabilization)
    own_loss = [f"ExpSAV-{form}" for form in EXP_SAV_FORMS if form != "explicit"]
    budgeted = {name: scheme for name, scheme in vanilla.items() if name not in own_loss}
    return {
        **vanilla,
        **{f"Restart-{name}": Restart(scheme) for name, scheme in vanilla.items()},
        **{f"RestartEvery2-{name}": Restart(scheme, every=2) for name, scheme in vanilla.items()},
        **{f"Relaxed-{name}": Relaxed(scheme) for name, scheme in vanilla.items()},
        **{f"RelaxedNumerical-{name}": Relaxed(scheme, budget="numerical") for name, scheme in budgeted.items()},
        **{f"RelaxedIncrement-{name}": Relaxed(scheme, budget="increment") for name, scheme in budgeted.items()},
        **{f"RelaxedSwapped-{name}": Relaxed(scheme, orientation="swapped") for name, scheme in vanilla.items()},
    }
