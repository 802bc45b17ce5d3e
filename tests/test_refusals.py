"""Wrong arguments: every public callable, every argument of it, every value of a catalogue that is wrong for the argument.

A wrong call must end in a `ValueError` of the library that names the argument and says what was wanted. None may end in an error
from inside NumPy, and none may be accepted. Beside each argument stands what is right for it.
"""

import inspect
import io
import re
import warnings
from dataclasses import fields
from decimal import Decimal
from math import inf, nan
from typing import Any, NamedTuple

import array_api_strict
import numpy as np
import pytest
import scipy.sparse

import gradflow as gf
from gradflow import datasets, kernels, plotting
from gradflow.energies.protocols import problem_ability
from gradflow.refusals import evaluate


class Series:
    """Has the attributes of an array, as a pandas Series does, and is not one."""

    def __init__(self, a):
        self.values, self.shape, self.ndim, self.dtype = a, a.shape, a.ndim, a.dtype

    def __len__(self):
        return len(self.values)


SCALARS = {
    "None": None, "True": True, "False": False, "NumPy's True": np.True_, "nan": nan, "inf": inf, "-inf": -inf, "-1": -1, "0": 0,
    "2": 2, "-0.5": -0.5, "0.5": 0.5, "1.5": 1.5, "10^400": 10**400, "-10^400": -(10**400), "1j": 1j, "NumPy's 1j": np.complex128(1j),
    "Decimal": Decimal("0.5"), "'1'": "1", "''": "", "b'1'": b"1", "'int64'": "int64", "'float16'": "float16", "'>f8'": ">f8",
    "a long double": np.longdouble, "[]": [], "[0.5]": [0.5], "(1, 2)": (1, 2), "['a', None]": ["a", None],
    "[[1], [1, 2]]": [[1], [1, 2]], "{}": {}, "{1: 2}": {1: 2}, "{1}": {1}, "object": object(), "type": int, "Ellipsis": ...,
    "slice": slice(None), "slice of floats": slice(0.5, 1.5), "lambda": lambda *a: None, "NaT": np.datetime64("NaT"),
    "0-d array": np.array(0.5), "(1,) array": np.array([0.5]), "0-d masked": np.ma.masked, "0-d complex": np.array(1j),
}  # fmt: skip


def arrays_like(a):
    """Yield arrays of the shape of `a` that are wrong by kind, dtype or value, and some of another shape."""
    yield "complex", a.astype(complex)
    yield "truth values", a.astype(bool)
    yield "half precision", a.astype(np.float16)
    yield "long doubles", a.astype(np.longdouble)
    yield "byte-swapped", a.astype(a.dtype.newbyteorder())
    yield "objects", a.astype(object)
    yield "texts", a.astype(str)
    yield "times", a.astype(int).astype("m8[s]")
    yield "structured", np.zeros(a.shape, dtype=[("a", float)])
    yield "masked", np.ma.masked_array(a, mask=np.zeros(a.shape, bool))
    yield "a series", Series(a)
    yield "its list", a.tolist()
    yield "another axis", a[..., None]
    yield "longer", np.concatenate([a, a[:1]])
    yield "shorter", a[:-1]
    yield "empty", a[:0]
    yield "other precision", a.astype("f4" if a.dtype == "f8" else "f8")
    floats = a.dtype.kind == "f"
    if floats:
        yield "integers", np.ones(a.shape, int)
    for value in (nan, inf) if floats else (-1, 10**6):
        wrong = a.copy()
        wrong[(0,) * a.ndim] = value
        yield str(value), wrong
    yield "sparse", scipy.sparse.coo_array(a)
    if a.ndim == 2:
        yield "a matrix", a.view(np.matrix)
        yield "transposed", a.T


NONE, OBJECT, ZERO = {"None"}, set(), {"0"}
POSITIVE, COUNT, TRUTH, TEXT, CALLABLE, MAPPING = (
    {"2", "0.5", "1.5"}, {"2"}, {"True", "False", "NumPy's True"}, {"'1'", "''", "'int64'", "'float16'", "'>f8'"},
    {"lambda", "type", "a long double"}, {"{}"},
)  # fmt: skip
NONNEGATIVE, WHOLE, BELOW_1 = POSITIVE | ZERO, COUNT | ZERO, {"0", "0.5"}
FINITE, SEED = NONNEGATIVE | {"-1", "-0.5"}, WHOLE | {"10^400"}
ANY = {"nan", "inf"}
FREE = {"longer", "shorter", "(1,) array"}
DOUBLES = {"other precision"}
NUMBER = FINITE | ANY | {"-inf", "0-d array"}


class Call(NamedTuple):
    """A callable, good arguments, and for each argument that is tried the values of the catalogue that are right for it."""

    function: Any
    good: dict
    right: dict


NET, CLASSES, TANH = gf.TwoLayerNet(3, 3), gf.TwoLayerNet(3, 2, 3), gf.TwoLayerNet(2, 3, activation="tanh")
RNG = np.random.default_rng(0)
X, Y, LABELS = RNG.standard_normal((6, 3)), RNG.standard_normal((6, 1)), np.array([0, 1, 2, 0, 1, 2])
POINTS = {"interior": RNG.random((5, 2)), "initial": RNG.random((4, 2)), "walls": RNG.random(3)}
T3, MATRIX = np.array([1.0, 2.0, 3.0]), np.diag([1.0, 2.0, 3.0])


def own(**changes):
    functions = {
        "energy": lambda t: t @ t / 2,
        "gradient": lambda t: 1 * t,
        "hvp": lambda t, v: 1 * v,
        "third_derivative": lambda t, u, v: 0 * v,
        "inner": lambda u, v: u @ v,
    }
    return gf.FunctionProblem(**functions | changes)


def dense(**changes):
    return gf.DenseLeastSquares(**{"residual": lambda t: MATRIX @ t, "jacobian": lambda t: MATRIX} | changes)


REGRESSION = gf.Regression(NET, X, Y)
PROBLEMS = {
    "Regression": (REGRESSION, NET.init(0)),
    "cross-entropy": (gf.Classification(CLASSES, X, LABELS), CLASSES.init(0)),
    "squared_onehot": (gf.Classification(CLASSES, X, LABELS, loss="squared_onehot"), CLASSES.init(0)),
    "Burgers": (gf.Burgers(TANH, **POINTS), TANH.init(0)),
    "SmoothedParticles": (gf.SmoothedParticles(REGRESSION), NET.init(0)),
    "FunctionProblem": (own(), T3),
    "DenseLeastSquares": (dense(), T3),
}


def solve(problem=REGRESSION, scheme=gf.SAV(), theta0=NET.init(0), *, dt=0.1, **more):  # noqa: B008
    if more.get("epochs") is None:
        more = {"steps": 1} | more
    return gf.solve(problem, scheme, theta0, dt=dt, **more)


def of_constructors():
    sizes = {"n_inputs": COUNT, "width": COUNT, "n_outputs": COUNT}
    names = {"activation": OBJECT, "scaling": OBJECT, "kernels": OBJECT}
    yield "TwoLayerNet", gf.TwoLayerNet, {"n_inputs": 2, "width": 3}, sizes | names
    network = {"net": OBJECT, "loss": OBJECT, "time_scale": OBJECT, "weight_decay": NONNEGATIVE}
    yield "Regression", gf.Regression, {"net": NET, "x": X, "y": Y}, network | {"x": OBJECT, "y": OBJECT}
    labelled = {"net": CLASSES, "x": X, "labels": LABELS}
    yield "Classification", gf.Classification, labelled, network | {"x": DOUBLES, "labels": OBJECT}
    points = {"interior": FREE, "initial": FREE | {"empty"}, "walls": FREE | {"empty"}}
    rest = {"net": OBJECT, "nu": NONNEGATIVE, "weights": OBJECT, "time_scale": OBJECT}
    yield "Burgers", gf.Burgers, {"net": TANH, **POINTS}, points | rest
    particles = {"problem": OBJECT, "h": NONNEGATIVE, "draws": COUNT, "seed": WHOLE}
    yield "SmoothedParticles", gf.SmoothedParticles, {"problem": REGRESSION}, particles
    functions = {"energy": CALLABLE, "gradient": CALLABLE}
    functions |= dict.fromkeys(("hvp", "third_derivative", "inner"), CALLABLE | NONE)
    yield "FunctionProblem", own, {}, functions | {"linear": NONNEGATIVE}
    mass = {"mass": FREE | DOUBLES | POSITIVE | NONE}
    yield "FunctionProblem, mass", lambda mass: own(inner=None, mass=mass), {"mass": T3}, mass
    functions = {"residual": CALLABLE, "linear": NONNEGATIVE}
    functions |= dict.fromkeys(("jacobian", "hvp", "third_derivative"), CALLABLE | NONE)
    yield "DenseLeastSquares", dense, {"mass": T3}, functions | mass
    weighted = {"weights": FREE | DOUBLES | NONE | {"truth values"}, "loss": NONE, "names": NONE}
    yield "DenseLeastSquares, weights", dense, {"weights": T3}, weighted
    yield "SumOfEnergies", gf.SumOfEnergies, {"terms": [own()]}, {"terms": OBJECT, "weights": NONE | {"[0.5]"}}
    yield (
        "GradientRegularized",
        gf.GradientRegularized,
        {"problem": own(), "mu": 1.0},
        {"problem": OBJECT, "mu": FINITE},
    )
    for loss in (gf.Cauchy, gf.Huber, gf.SoftL1):
        yield loss.__name__, loss, {"scale": 1.0}, {"scale": POSITIVE}
    yield "Diagonal", gf.Diagonal, {"diagonal": T3}, {"diagonal": FREE | DOUBLES}
    yield "Shift", gf.Shift, {"shift": 1.0}, {"shift": NONNEGATIVE}
    yield "Matrix", gf.Matrix, {"A": MATRIX}, {"A": DOUBLES | {"transposed"}}
    solves = {"apply": lambda u: 2 * u, "solve_shifted": lambda u, dt: u / (1 + 2 * dt)}
    yield "Operator", gf.Operator, solves, {"apply": CALLABLE, "solve_shifted": CALLABLE}
    steps = {
        "dt_init": POSITIVE | NONE,
        "dt_min": NONNEGATIVE,
        "dt_max": POSITIVE | {"inf"},
        "rtol": NONNEGATIVE,
        "atol": NONNEGATIVE,
    }
    steps |= {"order": COUNT, "shrink": {"0.5"}, "grow": {"2", "1.5"}}
    yield "ByError", gf.ByError, {"dt_max": 2.0}, steps
    rate = {"dt_min": POSITIVE, "dt_max": POSITIVE, "alpha": NONNEGATIVE}
    yield "ByEnergyRate", gf.ByEnergyRate, {"dt_min": 0.5, "dt_max": 2.0}, rate
    yield "ByGainRatio", gf.ByGainRatio, {"dt_init": 2.0}, {"dt_init": POSITIVE, "accept": BELOW_1}
    bounds = {f.name: POSITIVE | NONE for f in fields(gf.Tolerance)}
    yield (
        "Tolerance",
        lambda **given: gf.Tolerance(**{"step": 1.0} | given),
        {"gradient": 1.0},
        bounds,
    )


def of_schemes():
    S, C, eps, beta = (
        {"stabilization": NONNEGATIVE},
        {"C": FINITE},
        {"eps": POSITIVE},
        {"beta1": BELOW_1, "beta2": BELOW_1},
    )
    for scheme, right in {
        gf.GradientDescent: S,
        gf.HeavyBall: {"momentum": BELOW_1},
        gf.Nesterov: {"momentum": BELOW_1},
        gf.Adagrad: eps,
        gf.RMSProp: {"decay": BELOW_1} | eps,
        gf.Adam: {"reading": OBJECT} | beta | eps,
        gf.RungeKutta4: {},
        gf.ImplicitEuler: {"tol": POSITIVE | NONE, "max_newton": COUNT, "max_cg": COUNT},
        gf.SAV: C | S,
        gf.SourceSAV: C | S,
        gf.ExpSAV: {"form": OBJECT, "scale": POSITIVE, "C": POSITIVE} | S,
        gf.ElementwiseSAV: C | S,
        gf.AdaptiveSAV: C | S | {"reading": OBJECT} | beta | eps,
        gf.IEQ: {"solver": OBJECT, "tol": POSITIVE | NONE} | S,
        gf.MSAV: {"parts": COUNT} | C | S,
        gf.AdaptiveIEQ: {"form": OBJECT} | eps,
        gf.PerturbedGradientDescent: {"gradient_tol": POSITIVE, "radius": POSITIVE, "wait": COUNT, "seed": SEED},
        gf.NoisyGradientDescent: {"sigma": POSITIVE, "seed": SEED},
        gf.NegativeCurvatureDescent: {
            "rho": POSITIVE,
            "gradient_tol": POSITIVE,
            "most": COUNT,
            "seed": WHOLE,
            "alternating": {"True", "False"},
            "curvature": OBJECT,
        },
    }.items():
        yield scheme.__name__, scheme, {}, right
    parts = {"curvature": OBJECT, "metric": OBJECT, "globalization": OBJECT}
    solver = {"solver": OBJECT}
    yield (
        "SecondOrder",
        gf.SecondOrder,
        {},
        parts | solver | {"spectrum": OBJECT, "tol": POSITIVE | NONE, "bounds": NONE, "escape": POSITIVE | NONE},
    )
    yield (
        "LevenbergMarquardt",
        gf.LevenbergMarquardt,
        {},
        {"globalization": OBJECT, "metric": OBJECT, "bounds": NONE} | solver,
    )
    yield "Newton, globalization", gf.Newton, {}, {"globalization": NONE}
    for method in (gf.Newton, gf.GaussNewton):
        yield method.__name__, method, {}, {"damping": NONNEGATIVE} | solver
    free = {"damping": NONNEGATIVE, "escape": POSITIVE | NONE}
    yield "SaddleFreeNewton", gf.SaddleFreeNewton, {}, free | solver
    controlled = {"damping": NONNEGATIVE | NONE, "globalization": NONE, "fisher": OBJECT} | solver
    yield "NaturalGradient", gf.NaturalGradient, {}, controlled
    factored = controlled | {"corrected": {"True", "False"}}
    yield "KFAC", gf.KFAC, {}, factored
    region = {"radius": POSITIVE | NONE, "curvature": OBJECT, "metric": OBJECT, "bounds": NONE} | solver
    yield "TrustRegion", gf.TrustRegion, {}, region
    cubic = {"weight": POSITIVE, "curvature": OBJECT} | solver
    yield "CubicRegularization", gf.CubicRegularization, {}, cubic
    yield "LBFGS", gf.LBFGS, {}, {"memory": COUNT, "search": OBJECT}
    yield "BFGS", gf.BFGS, {}, {"search": OBJECT}
    damping = {"start_relative": POSITIVE, "accept": BELOW_1}
    for name, right in {
        "FixedDamping": {"damping": NONNEGATIVE},
        "MarquardtDamping": damping | {"factor": {"2", "1.5"}},
        "NielsenDamping": damping,
        "TrustRegion": {"radius": POSITIVE | NONE, "most": POSITIVE | NONE, "accept": ZERO},
        "Cubic": {"weight": POSITIVE, "accept": ZERO},
        "BlockTrustRegion": {
            "ratios": {"(1, 2)"} | NONE,
            "radius": POSITIVE | NONE,
            "most": POSITIVE | NONE,
            "accept": ZERO,
        },
        "GradientPower": {"power": POSITIVE, "floor": {"0.5"}},
        "GradientSquares": {"decay": {"0", "1", "0.5"}, "power": {"0.5"}, "eps": POSITIVE},
        "Armijo": {"c1": set(), "beta": {"0.5"}},
        "StrongWolfe": {"c1": set(), "c2": {"0.5"}, "beta": {"0.5"}},
        "CurvatureDiagonal": {"running": {"True", "False"}, "floor": {"0.5"}},
        "Floor": {"relative": {"0", "1", "0.5"}},
        "GradientDifferences": {"radius": POSITIVE | NONE},
        "BlockDiagonal": {"of": OBJECT, "blocks": OBJECT},
        "KFAC": {"fisher": OBJECT, "corrected": {"True", "False"}, "factored": NONNEGATIVE},
        "ByConditionNumber": {"most": {"2", "1.5"}},
        "ByGradient": {"threshold": POSITIVE},
        "BySecondOrderTerm": {"share": NONNEGATIVE},
        "ByNoise": {},
        "ByAgreement": {},
        "Hedge": {"rate": POSITIVE},
        "StructuredSecant": {"share": {"0", "1", "0.5"}},
        "Fisher": {
            "kind": OBJECT,
            "samples": COUNT,
            "seed": WHOLE,
            "weights": FREE | DOUBLES | NONE,
            "normalized": {"True", "False"},
        },
    }.items():
        yield f"curvature.{name}", getattr(gf.curvature, name), {}, right
    region = {"radius": POSITIVE, "most": POSITIVE | NONE, "accept": ZERO, "damping": NONNEGATIVE}
    switches = {"objective": OBJECT, "adaptive": {"True", "False"}, "most_divergence": POSITIVE | NONE}
    yield "CurvatureRegion", gf.curvature.CurvatureRegion, {"radius": 1.0}, region | switches
    stochastic = {"radius": POSITIVE, "most": POSITIVE | NONE, "accept": {"0.5"}, "steepness": POSITIVE}
    factor = {"factor": {"2", "1.5"}}
    yield "StochasticTrustRegion", gf.curvature.StochasticTrustRegion, {"radius": 1.0}, stochastic | factor
    of = {"of": gf.curvature.GaussNewton()}
    truncated = {"of": OBJECT, "rank": COUNT}
    yield "LowRank", gf.curvature.LowRank, of | {"rank": 2}, truncated | {"spectrum": OBJECT}
    yield "Nystrom", gf.curvature.Nystrom, of | {"rank": 2}, truncated | {"seed": WHOLE}
    sketch = {"of": OBJECT, "size": COUNT, "kind": OBJECT, "seed": WHOLE, "fresh": {"True", "False"}}
    yield "Sketched", gf.curvature.Sketched, of | {"size": 2}, sketch
    average = {"of": OBJECT, "beta": BELOW_1, "form": OBJECT, "rank": COUNT, "root": {"True", "False"}}
    step = {"size": COUNT, "kind": OBJECT, "seed": WHOLE, "fresh": {"True", "False"}}
    yield "ColumnSketch", gf.curvature.ColumnSketch, {"size": 2}, step
    yield "RowSketch", gf.curvature.RowSketch, {"size": 2}, step | {"full_gradient": {"True", "False"}}
    yield "BlockSweep", gf.curvature.BlockSweep, {}, {"blocks": OBJECT, "sweep": OBJECT}
    average = {"of": OBJECT, "beta": BELOW_1, "form": OBJECT, "rank": COUNT}
    yield "MovingAverage", gf.curvature.MovingAverage, of | {"form": "low_rank", "rank": 2}, average
    snapshot = {"fisher": OBJECT, "draws": COUNT, "every": COUNT, "coefficient": FINITE, "seed": WHOLE}
    yield "SnapshotFisher", gf.curvature.SnapshotFisher, {}, snapshot
    stream = {"of": OBJECT, "size": COUNT, "beta": {"0", "1", "0.5"}}
    yield "FrequentDirections", gf.curvature.FrequentDirections, of | {"size": 2}, stream
    switch = {"enter": POSITIVE, "leave": {"2", "1.5"}}
    yield "Switching", gf.curvature.Switching, {"enter": 0.7, "leave": 2.5}, switch
    adaptive = {"parts": (of["of"],) * 2, "policy": gf.curvature.Hedge()}
    yield "AdaptiveMixture", gf.curvature.AdaptiveMixture, adaptive, {"parts": OBJECT, "policy": OBJECT}
    mixture = {"parts": (of["of"],), "weights": (1.0,)}
    yield "Mixture", gf.curvature.Mixture, mixture, {"parts": OBJECT, "weights": OBJECT}
    quick = {"scheme": gf.SAV(), "proofs": False, "quick": True}
    said = {"None", "type", "lambda", "a long double"}
    certified = {"scheme": OBJECT, "proofs": TRUTH, "quick": TRUTH, "problems": NONE, "progress": said}
    yield "certify", gf.certify, quick, certified
    yield (
        "check_derivatives",
        gf.check_derivatives,
        {"problem": own(), "theta": T3},
        {"problem": OBJECT, "theta": FREE | DOUBLES},
    )
    tols = {"gradient_tol": POSITIVE, "curvature_tol": POSITIVE | NONE, "eta": {"0.5"}}
    yield "NewtonCG", gf.NewtonCG, {}, tols | {"most": COUNT, "seed": SEED}
    model = {"model": gf.curvature.Hessian().at(own(), T3)}
    lanczos = {"model": OBJECT, "ends": OBJECT, "tol": POSITIVE | NONE, "most": COUNT, "seed": SEED}
    yield "extreme_eigenvalues", gf.curvature.extreme_eigenvalues, model, lanczos
    power = {"model": OBJECT, "shift": FINITE, "iterations": WHOLE, "seed": SEED}
    yield "power", gf.curvature.shifted_power_iteration, model | {"shift": 9.0, "iterations": 2}, power
    chebyshev = {"model": OBJECT, "largest": POSITIVE, "threshold": POSITIVE, "failure": {"0.5"}, "seed": SEED}
    yield "chebyshev", gf.curvature.chebyshev_iteration, model | {"largest": 9.0, "threshold": 1.0}, chebyshev
    cg = {"model": OBJECT, "eps": POSITIVE, "accuracy": {"0.5"}, "most": COUNT}
    yield "capped_cg", gf.curvature.capped_cg, model | {"eps": 1.0}, cg
    point = {"problem": own(), "theta": T3}
    bounds = {
        "gradient_tol": POSITIVE,
        "rho": POSITIVE,
        "failure": {"0.5"},
        "most": COUNT,
        "seed": SEED,
        "blocks": NONE,
    }
    yield "stationarity", gf.stationarity, point, bounds | {"problem": OBJECT, "theta": FREE | DOUBLES}
    vectors, lists = {"(1, 2)", "[0.5]", "(1,) array"}, {"its list", "integers"} | DOUBLES
    yield "Bounds", gf.Bounds, {}, {"lower": FINITE | vectors | {"-inf"}, "upper": FINITE | vectors | ANY - {"nan"}}
    yield (
        "Bounds of arrays",
        gf.Bounds,
        {"lower": -T3, "upper": T3},
        {"lower": lists | {"-inf", "-1", "-0.5", "0", "0.5"}, "upper": lists | FINITE | {"inf", "inf itself"}},
    )
    yield "Restart", gf.Restart, {"base": gf.SAV(), "every": 2}, {"base": OBJECT, "every": COUNT}
    relaxed = {"base": OBJECT, "eta": BELOW_1, "orientation": OBJECT, "budget": OBJECT}
    yield "Relaxed", gf.Relaxed, {"base": gf.SAV()}, relaxed
    for name, slack in {"quadratic": "slack", "linear": "slack", "log": "log_slack"}.items():
        good = {"intermediate": np.float64(1.0), "consistent": np.float64(2.0), slack: 0.5}
        right = {"intermediate": NUMBER, "consistent": NUMBER, slack: NONNEGATIVE | ANY | {"0-d array"}}
        yield f"xi0_{name}", getattr(gf, f"xi0_{name}"), good, right
    good, right = {"intermediate": T3, "consistent": 2 * T3, "slack": 0.5}, {"intermediate": ANY, "consistent": ANY}
    yield "xi0_quadratic of vectors", gf.xi0_quadratic, good, right


def of_solve():
    right = {
        "problem": OBJECT,
        "scheme": OBJECT,
        "theta0": OBJECT,
        "dt": POSITIVE,
        "steps": WHOLE,
        "epochs": WHOLE | NONE,
    }
    right |= {"batch_size": COUNT | NONE, "seed": WHOLE | NONE, "every": COUNT | NONE, "threads": COUNT | NONE}
    right |= {"record": NONE | {"[]", "{}"}, "callback": CALLABLE | NONE, "checkpoint": TEXT - {"''"} | NONE}
    right |= {"progress": TRUTH - {"NumPy's True"} | TEXT, "stop": NONE, "on_interrupt": OBJECT}
    right |= {"snapshots": {"[]"}}
    yield "solve", solve, {"theta0": NET.init(0)}, right
    until = lambda t_end: gf.solve(REGRESSION, gf.SAV(), NET.init(0), dt=0.1, t_end=t_end)  # noqa: E731
    yield "solve, t_end", until, {"t_end": 1.0}, {"t_end": POSITIVE}


def of_datasets():
    samples = {"n_inputs": COUNT, "n_samples": COUNT, "seed": SEED, "dtype": OBJECT, "standardize": TRUTH}
    samples |= {"statistics": OBJECT, "test_fraction": {"0.5"}}
    few, chosen = {"n_inputs": 3, "n_samples": 20, "seed": 0}, {"coefficients": OBJECT, "coefficient_seed": SEED | NONE}
    yield "sin_cos", datasets.sin_cos, few, samples | chosen
    yield "quadratic", datasets.quadratic, few, samples | chosen
    right = {"coefficients": DOUBLES | {"integers", "its list"}}
    yield (
        "quadratic, c",
        lambda coefficients: datasets.quadratic(**few, coefficients=coefficients),
        {"coefficients": T3},
        right,
    )
    yield "gaussian", datasets.gaussian, few, samples | {"squared": TRUTH, "std": POSITIVE}
    images = {"directory": TEXT | NONE, "n_train": COUNT | NONE, "n_test": COUNT | NONE, "seed": SEED | NONE}
    images |= {"dtype": OBJECT, "download": TRUTH}
    yield "mnist", datasets.mnist, {"directory": "absent"}, images
    yield "fashion_mnist", datasets.fashion_mnist, {"directory": "absent"}, images
    yield (
        "fashion_subset",
        datasets.fashion_subset,
        {},
        {"dtype": OBJECT, "n_train": COUNT | NONE, "n_test": COUNT | NONE},
    )
    yield "read_idx", datasets.read_idx, {"path": "absent"}, {"path": TEXT, "expected_sha256": TEXT | NONE}


def of_plots_and_kernels():
    done = solve(record=["energy"])
    right = {
        "quantity": OBJECT,
        "x": OBJECT,
        "title": TEXT,
        "labels": MAPPING | NONE,
        "levels": MAPPING | NONE,
        "legend": TRUTH,
    }
    good = {"quantity": "energy"}
    yield "plot_solution", plotting.plot_solution, {"solution": done}, {"solution": OBJECT}
    yield (
        "plot_solution, a quantity",
        lambda quantity: plotting.plot_solution(done, quantity),
        good,
        {"quantity": OBJECT},
    )
    yield "plot_histories", plotting.plot_histories, good | {"solutions": {"a": done}}, right | {"solutions": OBJECT}
    runs = lambda solutions: plotting.plot_histories({"a": solutions}, "energy")  # noqa: E731
    yield "plot_histories, runs", runs, {"solutions": done}, {"solutions": OBJECT}
    in_rows = {"rows": OBJECT, "behind": MAPPING | NONE}
    yield "plot_rows", plotting.plot_rows, good | {"rows": {"": {"a": done}}}, right | in_rows
    figure = plotting.plot_solution(done)
    yield "save_figure", plotting.save_figure, {"figure": figure, "path": "f"}, {"figure": OBJECT, "path": TEXT}
    plain = {name for name, value in (SCALARS | dict(arrays_like(X))).items() if type(value) is np.ndarray}
    yield "select", kernels.select, {"name": "auto", "array": X}, {"name": OBJECT, "array": NONE | plain}


def of_methods():
    yield "init", NET.init, {"seed": 0}, {"seed": SEED, "dtype": OBJECT, "distribution": OBJECT}
    yield "call", NET, {"theta": NET.init(0), "x": X}, {"theta": ANY, "x": ANY | FREE - {"(1,) array"}}
    yield "unpack", NET.unpack, {"theta": NET.init(0)}, {"theta": ANY | DOUBLES}
    yield "at_step", PROBLEMS["SmoothedParticles"][0].at_step, {"n": 1}, {"n": WHOLE}
    for name, (problem, theta) in PROBLEMS.items():
        free = {"FunctionProblem": FREE | DOUBLES, "DenseLeastSquares": FREE}.get(
            name, OBJECT
        )  # P is what its functions take
        for method in ("energy", "energy_and_gradient", "linearize", "accuracy"):
            if hasattr(problem, method):
                yield f"{method} of {name}", getattr(problem, method), {"theta": theta}, {"theta": ANY | free}
        if name != "DenseLeastSquares":
            yield f"hvp of {name}", problem.hvp, {"theta": theta, "v": theta}, {"theta": ANY, "v": ANY}
        if problem_ability(problem, "has_third_derivative"):
            three, right = {"theta": theta, "u": theta, "v": 2 * theta}, {"theta": ANY, "u": ANY, "v": ANY}
            yield f"third_derivative of {name}", problem.third_derivative, three, right
        yield f"inner of {name}", problem.inner, {"u": theta, "v": 2 * theta}, {"u": ANY, "v": ANY}
        rows = np.array([0, 2, 1])
        if hasattr(problem, "batch"):
            right = {"indices": FREE - {"(1,) array"} | {"slice", "its list"}}
            yield f"batch of {name}", problem.batch, {"indices": rows}, right
        if hasattr(problem, "linearize"):
            at = problem.linearize(theta)
            yield f"jvp of {name}", at.jvp, {"d": theta}, {"d": ANY}
            yield f"vjp of {name}", at.vjp, {"u": at.residual}, {"u": ANY}
        if hasattr(problem, "gather"):
            part = problem.batch(rows)
            full, few = {"q_full": at.residual}, {"q_batch": part.linearize(theta).residual}
            yield f"gather of {name}", part.gather, full, {"q_full": ANY}
            yield f"scatter of {name}", part.scatter, full | few, {"q_full": ANY, "q_batch": ANY}


ROOMS = (of_constructors, of_schemes, of_solve, of_datasets, of_plots_and_kernels, of_methods)
CALLS = {name: Call(*rest) for room in ROOMS for name, *rest in room()}
RETURNED = {
    "energy": Call(lambda value: own(energy=lambda t: value).energy(T3), {}, NUMBER),
    "gradient": Call(lambda value: own(gradient=lambda t: value).energy_and_gradient(T3), T3, ANY),
    "hvp": Call(lambda value: own(hvp=lambda t, v: value).hvp(T3, T3), T3, ANY),
    "third_derivative": Call(
        lambda value: own(third_derivative=lambda t, u, v: value).third_derivative(T3, T3, T3), T3, ANY
    ),
    "inner": Call(lambda value: own(inner=lambda u, v: value).inner(T3, T3), {}, POSITIVE | ANY | {"0-d array"}),
    "residual": Call(lambda value: dense(residual=lambda t: value).linearize(T3), T3, ANY),
    "jacobian": Call(
        lambda value: dense(jacobian=lambda t: value).linearize(T3), MATRIX, ANY | {"transposed", "sparse"}
    ),
}
"""Functions of the user, what they should return if that is an array, and which values of the catalogue are right."""
NAMES = {
    "name": "kernels",  # as a model calls it
    "theta0": "theta0?",
    "theta": "theta|u|v",  # of two vectors that do not fit the message names one
    "u": "u|v",
    "x": "x|y|labels",
    "residual": "residual|jacobian",
}
"""What a message calls an argument, where that is not its name alone."""


def outcome(argument, function):
    """Return "refused" for a ValueError that names the argument and says what was wanted, or what came instead."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            function()
    except ValueError as error:
        named = re.search(rf"\b({NAMES.get(argument, argument)})\b", str(error))
        return "refused" if named and re.search(r"\b(must|give)\b", str(error)) else f"ValueError: {error}"
    except FileNotFoundError:
        return "accepted"  # the files are looked for after the arguments are checked
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "accepted"


def wrong_values(good, right):
    """Return the values of the catalogue that are wrong, by name."""
    values = SCALARS
    if isinstance(good, np.ndarray) and good.ndim:
        values = {f"{name} itself" if name in ANY else name: value for name, value in SCALARS.items()}
        values |= dict(arrays_like(good))
    return {name: value for name, value in values.items() if name not in right}


def not_refused(function, argument, good, right):
    wrong = {n: outcome(argument, lambda value=v: function(value)) for n, v in wrong_values(good, right).items()}
    return {name: what for name, what in wrong.items() if what != "refused"}


EACH = [(name, argument) for name, call in CALLS.items() for argument in call.right]


@pytest.mark.parametrize(("name", "argument"), EACH)
def test_a_wrong_argument_is_refused(name, argument, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function, good, right = CALLS[name]
    call = lambda value: function(**good | {argument: value})  # noqa: E731
    assert not_refused(call, argument, good.get(argument), right[argument]) == {}


@pytest.mark.parametrize("name", RETURNED)
def test_a_wrong_value_of_a_function_is_refused(name):
    function, good, right = RETURNED[name]
    assert not_refused(function, name, good, right) == {}


def test_the_catalogue_is_complete():
    """Every argument of every public callable is tried, except for containers and protocols."""
    containers = {"AuxState", "FlowState", "Solution", "Status", "Dataset", "LabelledImages", "Recorded"}
    containers |= {"AuxiliaryScheme", "LeastSquares", "LinearPart", "Linearization", "Problem", "Scheme", "SplitEnergy"}
    untried = set()
    for room in (gf, datasets, plotting):
        for name in set(room.__all__) - containers:
            function = getattr(room, name)
            if inspect.isclass(function) or inspect.isfunction(function):
                tried = set().union(*(call.right for key, call in CALLS.items() if key.partition(",")[0] == name))
                takes = inspect.signature(function.__init__ if inspect.isclass(function) else function).parameters
                untried |= {(name, argument) for argument in takes if argument not in tried | {"self"}}
    assert untried == {("plot_solution", "quantities")}  # tried one by one
    n_calls = [len(wrong_values(CALLS[name].good.get(a), CALLS[name].right[a])) for name, a in EACH]
    assert sum(n_calls) > 10_000


def test_right_arrays_are_accepted(tmp_path):
    """Memory maps and the arrays of another library that follows the standard are arrays."""
    theta = np.memmap(tmp_path / "theta", dtype=float, mode="w+", shape=3)
    theta[:] = T3
    assert np.array_equal(
        gf.solve(own(), gf.SAV(), theta, dt=0.1, steps=2).theta, gf.solve(own(), gf.SAV(), T3, dt=0.1, steps=2).theta
    )
    strict = array_api_strict.asarray(T3)
    problem = own(inner=None, mass=strict, linear=gf.Diagonal(strict))
    E, g = problem.energy_and_gradient(strict)
    assert float(E) == 7 + (1 + 16 + 81) / 2
    assert g.dtype == array_api_strict.float64


def test_a_scheme_lists_its_arguments():
    with pytest.raises(TypeError, match=r"SAV: .*unexpected keyword argument 'c'; its arguments are C, stabilization$"):
        gf.SAV(c=1.0)
    with pytest.raises(
        TypeError, match="Relaxed: missing a required argument: 'base'; its arguments are base, eta, orientation"
    ):
        gf.Relaxed()
    assert list(inspect.signature(gf.SAV).parameters) == ["C", "stabilization"]


WRITES = [lambda t: t.__isub__(1), lambda t: t.sort(), lambda t: t.fill(0), lambda t: np.negative(t, out=t)]
WRITES += [
    lambda t: np.copyto(t, 1),
    lambda t: np.random.default_rng(0).standard_normal(out=t),
    lambda t: memoryview(t).__setitem__(0, 1.0),
    lambda t: np.put(t, 0, 1.0),
    lambda t: t.partition(1),
    lambda t: t.flat.__setitem__(0, 1.0),
    lambda t: t.byteswap(inplace=True),
    lambda t: np.einsum("i->i", T3, out=t),
    lambda t: np.random.default_rng(0).shuffle(t),
    lambda t: np.cumsum(T3, out=t),
    lambda t: np.putmask(t, t > 0, 0.0),
    lambda t: t.take([0, 1, 2], out=t),
]


@pytest.mark.parametrize("write", WRITES)
def test_a_function_that_writes_into_its_argument_is_named(write):
    before = T3.copy()
    with pytest.raises(ValueError, match="gradient must not write into its arguments"):
        evaluate("gradient", write, before)
    assert np.array_equal(before, T3)


def test_each_function_of_the_user_has_its_arguments_for_reading():
    u = T3.copy()
    for name in ("energy", "gradient", "hvp", "inner"):
        problem = own(**{name: lambda *v: v[-1].__imul__(2)})
        evaluations = {"energy": problem.energy, "gradient": problem.energy_and_gradient}
        with pytest.raises(ValueError, match=f"{name} must not write"):
            evaluations.get(name, lambda t, p=problem, n=name: getattr(p, n)(t, t))(u)
    for name in ("residual", "jacobian"):
        with pytest.raises(ValueError, match=f"{name} must not write"):
            dense(**{name: lambda t: t.__imul__(2)}).linearize(u)
    assert np.array_equal(u, T3)


def test_an_error_of_the_function_itself_passes():
    with pytest.raises(ZeroDivisionError):
        own(energy=lambda t: 1 / 0).energy(T3)


@pytest.mark.parametrize(
    "error",
    [
        io.UnsupportedOperation("not writable"),
        PermissionError(13, "the file is read-only"),
        ValueError("the table is read-only"),
        ValueError("File not open for writing: readonly"),
        RuntimeError("assignment destination is read-only"),
    ],
    ids=repr,
)
def test_an_error_of_the_function_itself_passes_also_if_it_speaks_of_writing(error):
    def fail(t):
        raise error

    with pytest.raises(type(error)) as caught:
        own(gradient=fail).energy_and_gradient(T3)
    assert caught.value is error


@pytest.mark.parametrize(
    ("second", "wanted"),
    [
        (1j, "inner.* must be a real number"),
        ("a", "inner.* must be a real number"),
        (0.0, "positive"),
        (-1.0, "positive"),
    ],
)
def test_an_inner_product_that_vanishes_is_asked_again(second, wanted):
    problem = own(inner=lambda u, v: second if np.max(np.abs(u)) == 1 else 0.0)
    u = T3 / 4
    with pytest.raises(ValueError, match=wanted):
        problem.inner(u, u)


@pytest.mark.parametrize("value", [inf, nan])
def test_an_inner_product_that_overflows_is_a_status(value):
    seen = []

    def inner(u, v):
        seen.append(u)
        return u @ v if len(seen) < 12 else value

    for scheme in (gf.SAV(), gf.Relaxed(gf.SAV()), gf.ExpSAV()):
        seen.clear()
        assert own(inner=inner).inner(T3, T3) == T3 @ T3
        assert isinstance(gf.solve(own(inner=inner), scheme, T3, dt=0.1, steps=20).status, gf.Status)


def test_a_reused_array_corrupts_nothing():
    out, square = np.empty(3), np.empty((3, 3))

    def fill(buffer, value):
        buffer[...] = value
        return buffer

    problem = dense(residual=lambda t: fill(out, MATRIX @ t), jacobian=lambda t: fill(square, t[0] * MATRIX))
    first = problem.linearize(T3)
    kept = first.residual.copy(), first.jacobian().copy()
    problem.linearize(2 * T3)
    assert np.array_equal(first.residual, kept[0])
    assert np.array_equal(first.jacobian(), kept[1])

    def differences(t):  # calls the residual, and so writes into its array, before the energy is taken
        fill(out, 0.0)
        return MATRIX

    E, g = dense(residual=lambda t: fill(out, MATRIX @ t), jacobian=differences).energy_and_gradient(T3)
    assert np.sum((MATRIX @ T3) ** 2) / 2 == E
    assert np.array_equal(g, MATRIX.T @ MATRIX @ T3)
    zero_d = np.empty(())
    problem = own(energy=lambda t: fill(zero_d, t @ t), gradient=lambda t: fill(out, t), hvp=lambda t, v: fill(out, v))
    E, g = problem.energy_and_gradient(T3)
    H_v = problem.hvp(T3, 3 * T3)
    problem.energy_and_gradient(0 * T3)
    assert E == 14
    assert np.array_equal(g, T3)
    assert np.array_equal(H_v, 3 * T3)


def test_a_residual_keeps_its_length():
    lengths = iter([3, 3, 2])
    problem = dense(residual=lambda t: t[: next(lengths)])
    for _ in range(2):
        problem.energy(T3)
    with pytest.raises(ValueError, match=r"residual\(theta\) must have shape \(N,\), N = 3; got \(2,\)"):
        problem.energy(T3)


def test_arrays_of_the_caller_are_copied():
    mass, diagonal, x, y, labels = T3.copy(), T3.copy(), X.copy(), Y.copy(), LABELS.copy()
    points = {name: value.copy() for name, value in POINTS.items()}
    problems = [
        (own(inner=None, mass=mass, linear=gf.Diagonal(diagonal)), T3),
        (dense(mass=mass), T3),
        (gf.Regression(NET, x, y), NET.init(0)),
        (gf.Classification(CLASSES, x, labels), CLASSES.init(0)),
        (gf.Burgers(TANH, **points), TANH.init(0)),
    ]
    before = [problem.energy_and_gradient(theta) for problem, theta in problems]
    for array in (mass, diagonal, x, y, labels, *points.values()):
        array[...] = 1
    for (problem, theta), (E, g) in zip(problems, before, strict=True):
        assert problem.energy_and_gradient(theta)[0] == E
        assert np.array_equal(problem.energy_and_gradient(theta)[1], g)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e150])
def test_an_inner_product_must_be_positive(scale):
    u = scale * np.array([1.0, -1.0])
    for inner in (lambda u, v: -(u @ v), lambda u, v: 0.0, lambda u, v: u[0] * v[1]):
        with pytest.raises(ValueError, match=r"inner\(u, v\) must be positive"):
            own(inner=inner).inner(u, u)
    assert own().inner(u, u) == u @ u  # for 1e-200 it underflows to 0
    assert own().inner(0 * u, 0 * u) == 0
    assert np.isnan(own().inner(nan * u, nan * u))
