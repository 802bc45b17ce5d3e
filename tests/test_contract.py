"""What every scheme of the registry owes: it is frozen and compares by value, its steps are pure, its numbers promote nothing."""

import math
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from importlib import import_module
from inspect import isfunction, signature
from pkgutil import iter_modules

import numpy as np
import pytest

import gradflow
from gradflow.curvature import GaussNewton, Hessian, Identity, NielsenDamping, StrongWolfe
from gradflow.energies.function import FunctionProblem
from gradflow.energies.linear import Shift
from gradflow.schemes import REGISTRY, SAV, ImplicitEuler
from smooth_problems import run, smooth_problem

WRAPPERS = ("Restart", "Relaxed")
NUMBERS = {  # what has None for its default, or a default at which the step does not see it
    ("ImplicitEuler", "tol"): 1e-6,
    ("IEQ", "tol"): 1e-6,
    ("SecondOrder", "tol"): 1e-6,
    ("NewtonCG", "curvature_tol"): 0.01,
    **{(name, "stabilization"): 0.25 for name in REGISTRY},
}


def make(name, **changes):
    """Return a scheme of the registry; wrappers are around SAV."""
    return REGISTRY[name](*([SAV(C=2.0)] if name in WRAPPERS else []), **changes)


def numbers_of(name):
    """Return field -> value for the numbers that a scheme takes."""
    scheme = make(name)
    given = {f.name: NUMBERS.get((name, f.name), getattr(scheme, f.name)) for f in fields(scheme)}
    return {key: value for key, value in given.items() if isinstance(value, (int, float)) and value is not False}


NUMERIC = [(name, field) for name in REGISTRY for field in numbers_of(name)]


def path(scheme, dtype="float32", n=3):
    problem, theta = smooth_problem("scalars", dtype=dtype)
    states = [scheme.init(problem, theta)]
    for _ in range(n):
        states.append(scheme.step(problem, states[-1], 0.25))
    return states


def entries(state):
    """Yield the arrays and numbers of a state, those of states within it too."""
    for x in state:
        if isinstance(x, tuple):
            yield from entries(x)
        else:
            yield x


def assert_same_bits(found, wanted):
    for a, b in zip(entries(found), entries(wanted), strict=True):
        assert type(a) is type(b)
        assert getattr(a, "dtype", None) == getattr(b, "dtype", None)
        np.testing.assert_array_equal(a, b)


def test_the_schemes_have_numbers():
    assert {name for name in REGISTRY if not numbers_of(name)} == {"BFGS", "RungeKutta4"}


@pytest.mark.parametrize("name", REGISTRY)
def test_a_scheme_is_frozen_and_compares_by_value(name):
    scheme, same = make(name), make(name)
    for field in [f.name for f in fields(scheme)] or ["anything"]:
        with pytest.raises(FrozenInstanceError):
            setattr(scheme, field, None)
        if field != "anything":
            with pytest.raises(FrozenInstanceError):
                delattr(scheme, field)
    assert scheme == same
    assert hash(scheme) == hash(same)
    assert replace(scheme) == scheme
    for field, value in numbers_of(name).items():
        other = make(name, **{field: value / 2 if isinstance(value, float) else value + 1})
        assert other != scheme or value in (0, None), field


def classes_of(*rooms):
    """Yield every class that a module of these packages defines."""
    for room in rooms:
        package = import_module(f"gradflow.{room}")
        for info in iter_modules(package.__path__, f"gradflow.{room}."):
            if not info.name.endswith((".numba", ".cupy")):
                for value in vars(import_module(info.name)).values():
                    if isinstance(value, type) and value.__module__ == info.name:
                        yield value


@pytest.mark.parametrize(
    "cls",
    [c for c in classes_of("schemes", "curvature", "energies", "models", "kernels") if is_dataclass(c)],
    ids=lambda c: c.__name__,
)
def test_every_dataclass_that_a_step_may_see_is_frozen(cls):
    assert cls.__dataclass_params__.frozen


@pytest.mark.parametrize("name", REGISTRY)
def test_parameters_are_named(name):
    """All but the scheme that a wrapper wraps: what 0.5 is would depend on the order of the fields."""
    with pytest.raises(ValueError if name in WRAPPERS else TypeError):
        REGISTRY[name](0.5)


DEFAULTS = {
    "GradientDescent": {"stabilization": 0.0},
    "HeavyBall": {"momentum": 0.9},
    "Nesterov": {"momentum": 0.9},
    "Adagrad": {"eps": 1e-10},
    "RMSProp": {"decay": 0.9, "eps": 1e-8},
    "Adam": {"reading": "elementwise", "beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
    "RungeKutta4": {},
    "ImplicitEuler": {"tol": None, "max_newton": 100, "max_cg": 200},
    "SAV": {"C": 1.0, "stabilization": 0.0},
    "SourceSAV": {"C": 1.0, "stabilization": 0.0},
    "ExpSAV": {"form": "auto", "scale": 1.0, "C": 1.0, "stabilization": 0.0},
    "ElementwiseSAV": {"C": 1.0, "stabilization": 0.0},
    "AdaptiveSAV": {"C": 1.0, "stabilization": 0.0, "reading": "norm", "beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
    "IEQ": {"stabilization": 0.0, "solver": "auto", "tol": None},
    "MSAV": {"parts": 2, "C": 1.0, "stabilization": 0.0},
    "AdaptiveIEQ": {"eps": 1e-8, "form": "invariant"},
    "SecondOrder": {
        "curvature": GaussNewton(),
        "metric": Identity(),
        "globalization": NielsenDamping(),
        "solver": "auto",
        "spectrum": "exact",
        "tol": None,
        "bounds": None,
        "escape": None,
    },
    "PerturbedGradientDescent": {"gradient_tol": 1e-3, "radius": 1e-3, "wait": 100, "seed": 0},
    "NoisyGradientDescent": {"sigma": 1e-3, "seed": 0},
    "NegativeCurvatureDescent": {
        "rho": 1.0,
        "gradient_tol": 1e-3,
        "most": 300,
        "seed": 0,
        "alternating": False,
        "curvature": Hessian(),
    },
    "NewtonCG": {"gradient_tol": 1e-5, "curvature_tol": None, "eta": 0.1, "most": 300, "seed": 0},
    "LBFGS": {"memory": 10, "search": StrongWolfe()},
    "BFGS": {"search": StrongWolfe()},
    "Restart": {"every": 1},
    "Relaxed": {"eta": 0.99, "orientation": "literature", "budget": "dissipation"},
}
"""Another default changes the numbers of every program that left it out."""


@pytest.mark.parametrize("name", REGISTRY)
def test_the_defaults_are_kept(name):
    scheme = make(name)
    assert {f.name: getattr(scheme, f.name) for f in fields(scheme) if f.name != "base"} == DEFAULTS[name]


def shown(value):
    """Return a value as text; of a dataclass, what differs from its defaults."""
    if not is_dataclass(value) or isinstance(value, type):
        return repr(value)
    rest = [f"{f.name}={shown(getattr(value, f.name))}" for f in fields(value) if getattr(value, f.name) != f.default]
    return f"{type(value).__name__}({', '.join(rest)})"


def defaults_of(call):
    parameters = signature(call).parameters.values()
    return ", ".join(f"{p.name}={shown(p.default)}" for p in parameters if p.default is not p.empty)


COMPOSED = [
    name
    for name in gradflow.__all__
    if isfunction(call := getattr(gradflow, name)) and signature(call).return_annotation == "SecondOrder"
]
PARTS = [
    name
    for name in gradflow.curvature.__all__
    if callable(part := getattr(gradflow.curvature, name))
    and not getattr(part, "_is_protocol", False)
    and defaults_of(part)
]
DEFAULT_ARGUMENTS = {
    "gf.KFAC": "damping=None, globalization=None, fisher=Fisher(), corrected=False, solver='auto'",
    "gf.CubicRegularization": "weight=1.0, curvature=Hessian(), solver='auto'",
    "gf.GaussNewton": "damping=0.0, solver='auto'",
    "gf.LevenbergMarquardt": "globalization=TrustRegion(), metric=CurvatureDiagonal(), solver='auto', bounds=None",
    "gf.NaturalGradient": "damping=None, globalization=None, fisher=Fisher(), solver='auto'",
    "gf.Newton": "damping=0.0, globalization=None, solver='auto'",
    "gf.SaddleFreeNewton": "damping=0.001, solver='auto', escape=0.001",
    "gf.TrustRegion": "radius=None, curvature=Hessian(), metric=Identity(), solver='auto', bounds=None",
    "curvature.KFAC": "fisher=Fisher(), corrected=False, factored=0.0",
    "curvature.PCG": "preconditioner=Jacobi(), tol=None",
    "curvature.Armijo": "c1=0.0001, beta=0.001",
    "curvature.BlockDiagonal": "of=GeneralizedGaussNewton(), blocks='layer'",
    "curvature.BlockSweep": "blocks='layer', sweep='gauss-seidel'",
    "curvature.BlockTrustRegion": "ratios=None, radius=None, most=None, accept=0.0001",
    "curvature.Bounds": "lower=-inf, upper=inf",
    "curvature.ByConditionNumber": "most=1000000.0",
    "curvature.BySecondOrderTerm": "share=0.1",
    "curvature.ColumnSketch": "kind='gaussian', seed=0, fresh=True",
    "curvature.Cubic": "weight=1.0, accept=0.0001",
    "curvature.CurvatureDiagonal": "running=True, floor=1e-12",
    "curvature.CurvatureRegion": "most=None, damping=0.001, objective='quadratic', adaptive=True, most_divergence=None, accept=0.0001",
    "curvature.Fisher": "kind='true', samples=1, seed=0, weights=None, normalized=True",
    "curvature.FixedDamping": "damping=0.0",
    "curvature.Floor": "relative=0.0",
    "curvature.Form": "blocks=None",
    "curvature.Step": "residual=0.0",
    "curvature.FrequentDirections": "beta=1.0",
    "curvature.GradientDifferences": "radius=None",
    "curvature.GradientPower": "power=1.0, floor=1e-06",
    "curvature.GradientSquares": "decay=0.9, power=0.5, eps=1e-08",
    "curvature.Hedge": "rate=1.0",
    "curvature.LowRank": "spectrum='exact'",
    "curvature.MarquardtDamping": "start_relative=0.001, factor=10.0, accept=0.0",
    "curvature.MovingAverage": "beta=0.95, form='dense', rank=None, root=False",
    "curvature.NielsenDamping": "start_relative=0.001, accept=0.0",
    "curvature.Nystrom": "seed=0",
    "curvature.NystromPreconditioner": "rank=20, seed=0",
    "curvature.RowSketch": "kind='gaussian', seed=0, fresh=True, full_gradient=True",
    "curvature.Sketched": "kind='gaussian', seed=0, fresh=True",
    "curvature.SnapshotFisher": "fisher=Fisher(), draws=32, every=10, coefficient=1.0, seed=0",
    "curvature.StochasticTrustRegion": "most=None, accept=0.1, steepness=0.001, factor=2.0",
    "curvature.StrongWolfe": "c1=0.0001, c2=0.9, beta=0.001",
    "curvature.StructuredSecant": "share=0.2",
    "curvature.TrustRegion": "radius=None, most=None, accept=0.0001",
    "curvature.block_eigenvalues": "blocks='neuron'",
    "curvature.capped_cg": "accuracy=0.5, most=300",
    "curvature.chebyshev_iteration": "failure=1e-06, seed=0",
    "curvature.damped_step": "solver='auto', tol=None",
    "curvature.extreme_eigenvalues": "ends='both', tol=None, most=300, seed=0",
    "curvature.shifted_power_iteration": "seed=0",
    "curvature.stationarity": "gradient_tol=1e-06, rho=1.0, failure=1e-06, most=300, seed=0, blocks=None",
    "curvature.steihaug": "tol=None",
}
COMPOSITIONS = {
    "KFAC": "SecondOrder(curvature=KFAC(), globalization=TrustRegion())",
    "CubicRegularization": "SecondOrder(curvature=Hessian(), globalization=Cubic())",
    "GaussNewton": "SecondOrder(globalization=FixedDamping())",
    "LevenbergMarquardt": "SecondOrder(metric=CurvatureDiagonal(), globalization=TrustRegion())",
    "NaturalGradient": "SecondOrder(curvature=Fisher(), globalization=TrustRegion())",
    "Newton": "SecondOrder(curvature=Hessian(), globalization=FixedDamping())",
    "SaddleFreeNewton": "SecondOrder(curvature=Hessian(), globalization=FixedDamping(damping=0.001), spectrum='absolute', escape=0.001)",
    "TrustRegion": "SecondOrder(curvature=Hessian(), globalization=TrustRegion())",
}


@pytest.mark.parametrize("name", [*(f"gf.{name}" for name in COMPOSED), *(f"curvature.{name}" for name in PARTS)])
def test_the_defaults_outside_of_the_registry_are_kept(name):
    module, _, own = name.partition(".")
    assert defaults_of(getattr(gradflow if module == "gf" else gradflow.curvature, own)) == DEFAULT_ARGUMENTS[name]


@pytest.mark.parametrize("name", COMPOSED)
def test_a_named_composition_is_made_of_these_parts(name):
    assert shown(getattr(gradflow, name)()) == COMPOSITIONS[name]


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64])
@pytest.mark.parametrize(("name", "field"), NUMERIC)
def test_numpy_numbers_are_taken_as_pythons(name, field, kind):
    value = numbers_of(name)[field]
    if isinstance(value, int) != (kind is np.int64):
        return
    plain = int(value) if kind is np.int64 else float(kind(value))
    scheme, wanted = make(name, **{field: kind(value)}), make(name, **{field: plain})
    found = getattr(scheme, field)
    assert type(found.shift if isinstance(found, Shift) else found) is type(plain)
    assert scheme == wanted
    assert hash(scheme) == hash(wanted)
    for a, b in zip(path(scheme), path(wanted), strict=True):
        assert_same_bits(a, b)


BAD = {
    "stabilization": (-1.0, math.nan, math.inf, "x"),
    **dict.fromkeys(
        ("eps", "tol", "scale", "gradient_tol", "curvature_tol", "radius", "rho", "sigma"),
        (0.0, -1.0, math.nan, math.inf, "x"),
    ),
    **dict.fromkeys(("momentum", "decay", "beta1", "beta2"), (-0.1, 1.0, math.nan, "x")),
    "eta": (-0.1, 1.1, math.nan, "x"),
    **dict.fromkeys(("max_newton", "max_cg", "most", "wait", "every"), (0, -1, 1.5, math.nan, "x")),
    "seed": (-1, 1.5, math.nan, "x"),
    **dict.fromkeys(("max_newton", "max_cg", "memory"), (0, -1, 1.5, math.nan, "x")),
    **dict.fromkeys(("max_newton", "max_cg", "parts"), (0, -1, 1.5, math.nan, "x")),
    "C": (math.nan, math.inf, -math.inf, "x"),
}
"""Values outside of what a parameter of this name may be, in every scheme that has one."""


@pytest.mark.parametrize(("name", "field"), NUMERIC)
def test_a_number_out_of_range_is_refused_at_the_door(name, field):
    for value in BAD[field] + ((0.0, -1.0) if (name, field) == ("ExpSAV", "C") else ()):
        with pytest.raises(ValueError, match=rf"\b{field}\b"):
            make(name, **{field: value})


WORDS = [(n, f.name) for n in REGISTRY for f in fields(make(n)) if isinstance(getattr(make(n), f.name), str)]


@pytest.mark.parametrize(("name", "field"), WORDS)
def test_an_unknown_word_is_refused_at_the_door(name, field):
    with pytest.raises(ValueError, match=f"{field}.* must be one of .*; got 'bogus'"):
        make(name, **{field: "bogus"})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", REGISTRY)
def test_every_array_of_a_state_has_the_dtype_of_theta_and_its_shape_for_good(name, dtype):
    words = [f.name for f in fields(make(name)) if f.name == "reading"]
    for scheme in [
        make(name),
        *(make(name, **{word: "elementwise"}) for word in words),
        *(make(name, **{word: "norm"}) for word in words),
    ]:
        states = path(scheme, dtype)
        for state in states:
            assert state._fields[0] == "theta"
            assert [np.shape(x) for x in entries(state)] == [np.shape(x) for x in entries(states[0])]
            for x in entries(state):
                assert not hasattr(x, "dtype") or x.dtype == dtype, name


@pytest.mark.parametrize("name", REGISTRY)
def test_a_step_writes_nothing_and_repeats_to_the_last_bit(name):
    scheme = make(name)
    problem, theta = smooth_problem("energy-part-and-mass")
    kept = theta.copy()
    first = scheme.init(problem, theta)
    state = scheme.step(problem, first, 0.25)
    before = [np.array(x, copy=True) for x in entries(state)]
    once, twice = scheme.step(problem, state, 0.25), scheme.step(problem, state, 0.25)
    assert_same_bits(once, twice)
    for a, b in zip(entries(state), before, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(theta, kept)
    assert_same_bits(scheme.step(problem, scheme.init(problem, theta), 0.25), state)
    assert not np.array_equal(once.theta, state.theta)


@pytest.mark.parametrize("name", REGISTRY)
def test_a_run_may_start_at_zero(name):
    """Zeros among the parameters are numbers as others are: nothing divides by theta."""
    problem, theta = smooth_problem("energy-part-and-mass")
    for start in (0 * theta, theta * np.array([1.0, 0.0, 1.0, 0.0])):
        for state in (make(name).init(problem, start), run(make(name), problem, start, 0.25, 3)):
            assert all(np.all(np.isfinite(x)) for x in entries(state))


@pytest.mark.parametrize(
    "name", [n for n in REGISTRY if hasattr(make(n), "undefined") and n not in (*WRAPPERS, "MSAV")]
)
def test_a_scheme_is_defined_where_what_it_takes_the_root_of_is_positive(name):
    """At E + C = 0 exactly there is no direction to divide by; the least bit above it there is."""
    scheme = make(name)
    C = getattr(getattr(scheme, "base", scheme), "C", 0.0)
    level = FunctionProblem(lambda t: t[0], lambda t: np.ones_like(t))
    if "IEQ" in name:  # eps keeps its quotient finite at E = 0
        assert not scheme.undefined(level, np.zeros(1))
    else:
        assert scheme.undefined(level, np.array([-C]))
        with pytest.raises(ValueError, match="C must satisfy"):
            scheme.init(level, np.array([-C]))
    assert not scheme.undefined(level, np.array([np.nextafter(-C, 1.0)]))
    assert scheme.undefined(level, np.array([np.nextafter(-C, -np.inf)]))


@pytest.mark.parametrize(("dtype", "tol"), [("float32", 1e-5), ("float64", 1e-10)])
def test_the_tolerance_of_implicit_euler_belongs_to_the_precision(dtype, tol):
    """Left out, it is 1e-5 in float32 and 1e-10 in float64: of gradients that are right to 3e-6 the first asks no more."""
    problem = FunctionProblem(
        lambda t: 1 + np.sum(np.cosh(t)),
        lambda t: np.sinh(t) + t.dtype.type(3e-6) * np.sin(t.dtype.type(1e13) * t),
        lambda t, v: np.cosh(t) * v,
    )
    converged = {1e-5: [], 1e-10: []}
    for seed in range(10):
        theta = np.random.default_rng(seed).standard_normal(3).astype(dtype)
        named = {given: run(ImplicitEuler(tol=given), problem, theta, 1.0, 1) for given in converged}
        assert_same_bits(run(ImplicitEuler(), problem, theta, 1.0, 1), named[tol])
        for given, state in named.items():
            converged[given].append(state.converged)
    assert all(converged[1e-5])
    assert not all(converged[1e-10])
