"""Every scheme runs on the array API standard alone: array-api-strict in, array-api-strict out, NumPy's numbers."""

from functools import partial

import array_api_strict as strict
import numpy as np
import pytest

from gradflow.curvature import (
    PCG,
    Armijo,
    BlockSweep,
    Bounds,
    ColumnSketch,
    Cubic,
    CurvatureDiagonal,
    CurvatureRegion,
    FixedDamping,
    GaussNewton,
    GradientDifferences,
    GradientPower,
    GradientSquares,
    Hessian,
    MarquardtDamping,
    NystromPreconditioner,
    RowSketch,
    StochasticTrustRegion,
    StrongWolfe,
    TrustRegion,
)
from gradflow.energies import linear
from gradflow.energies.function import FunctionProblem
from gradflow.energies.linear import Diagonal, Shift, Zero
from gradflow.schemes import (
    BFGS,
    IEQ,
    LBFGS,
    MSAV,
    REGISTRY,
    SAV,
    Adagrad,
    Adam,
    AdaptiveIEQ,
    AdaptiveSAV,
    ElementwiseSAV,
    ExpSAV,
    GradientDescent,
    HeavyBall,
    ImplicitEuler,
    NegativeCurvatureDescent,
    Nesterov,
    NewtonCG,
    NoisyGradientDescent,
    PerturbedGradientDescent,
    Relaxed,
    Restart,
    RMSProp,
    RungeKutta4,
    SecondOrder,
    SourceSAV,
)
from gradflow.schemes.exp_sav import EXP_SAV_FORMS
from gradflow.schemes.relaxation import relax_log, relax_quadratic, xi0_linear, xi0_log, xi0_quadratic
from smooth_problems import SPLITS, as_function_problem, smooth_problem

DTYPES = ["float64", "float32"]

FLOWS = {
    "GradientDescent": GradientDescent(),
    "GradientDescent-stabilized": GradientDescent(stabilization=2.0),
    "HeavyBall": HeavyBall(),
    "Nesterov": Nesterov(),
    "Adagrad": Adagrad(),
    "RMSProp": RMSProp(),
    "Adam": Adam(),
    "Adam-norm": Adam(reading="norm"),
    "RungeKutta4": RungeKutta4(),
    "ImplicitEuler": ImplicitEuler(),
    **{f"SecondOrder-{solver}": SecondOrder(solver=solver) for solver in ("auto", "svd", "eigh", "lanczos")},
    "SecondOrder-TrustRegion": SecondOrder(globalization=TrustRegion(radius=0.1), metric=CurvatureDiagonal()),
    "SecondOrder-Cubic": SecondOrder(curvature=Hessian(), globalization=Cubic(weight=5.0)),
    "PerturbedGradientDescent": PerturbedGradientDescent(gradient_tol=10.0, radius=0.5, wait=2),
    "NoisyGradientDescent": NoisyGradientDescent(sigma=0.5),
    "NegativeCurvatureDescent": NegativeCurvatureDescent(gradient_tol=0.01, rho=0.1),
    "NegativeCurvatureDescent-always": NegativeCurvatureDescent(gradient_tol=10.0, rho=1e-3),
    "NegativeCurvatureDescent-differences": NegativeCurvatureDescent(
        gradient_tol=10.0, rho=1e-3, curvature=GradientDifferences(1e-4)
    ),
    "NegativeCurvatureDescent-alternating": NegativeCurvatureDescent(gradient_tol=1e-6, rho=1.0, alternating=True),
    "NewtonCG": NewtonCG(),
    "NewtonCG-curvature": NewtonCG(gradient_tol=10.0, curvature_tol=0.01),
    "SecondOrder-absolute": SecondOrder(curvature=Hessian(), globalization=MarquardtDamping(), spectrum="absolute"),
    "SecondOrder-Armijo": SecondOrder(curvature=Hessian(), globalization=Armijo()),
    "SecondOrder-StrongWolfe": SecondOrder(curvature=Hessian(), globalization=StrongWolfe(), solver="cholesky"),
    **{f"SecondOrder-{solver}": SecondOrder(solver=solver) for solver in ("cholesky", "qr", "pcg")},
    "SecondOrder-Nystrom": SecondOrder(solver=PCG(NystromPreconditioner(3))),
    "SecondOrder-positive": SecondOrder(curvature=Hessian(), globalization=FixedDamping(50.0)),
    "SecondOrder-steihaug": SecondOrder(curvature=Hessian(), globalization=TrustRegion(radius=0.5), solver="steihaug"),
    "SecondOrder-CurvatureRegion": SecondOrder(globalization=CurvatureRegion(0.1)),
    "SecondOrder-linear": SecondOrder(
        curvature=Hessian(),
        metric=GradientSquares(),
        globalization=CurvatureRegion(0.1, objective="linear", adaptive=False),
        solver="eigh",
    ),
    "SecondOrder-Stochastic": SecondOrder(metric=GradientPower(), globalization=StochasticTrustRegion(0.1)),
    "SecondOrder-bounds": SecondOrder(globalization=TrustRegion(radius=0.5), bounds=Bounds(-3.0, 2.0)),
    "LBFGS": LBFGS(memory=2),
    "LBFGS-Armijo": LBFGS(search=Armijo()),
    "BFGS": BFGS(),
}
AUXILIARY = {
    "SAV": SAV(C=1.0),
    "SAV-stabilized": SAV(C=1.0, stabilization=2.0),
    "SourceSAV": SourceSAV(C=1.0, stabilization=2.0),
    "ElementwiseSAV": ElementwiseSAV(C=1.0, stabilization=2.0),
    "AdaptiveSAV": AdaptiveSAV(C=1.0, stabilization=2.0),
    "AdaptiveSAV-elementwise": AdaptiveSAV(C=1.0, stabilization=2.0, reading="elementwise"),
    "MSAV": MSAV(parts=3, C=1.0, stabilization=2.0),
    "MSAV-one": MSAV(parts=1, C=1.0),
    "MSAV-parts": MSAV(parts=(0, 1, 0, 2, 1, 1), C=0.5),
    "AdaptiveIEQ": AdaptiveIEQ(),
    "AdaptiveIEQ-printed": AdaptiveIEQ(form="printed"),
    **{f"ExpSAV-{form}": ExpSAV(form=form, scale=2.0, stabilization=2.0) for form in EXP_SAV_FORMS},
    **{f"IEQ-{solver}": IEQ(solver=solver, stabilization=2.0) for solver in ("auto", "gram", "parameter", "cg")},
    "IEQ-sweep": IEQ(solver=BlockSweep(((3, 0), (1, 2))), stabilization=2.0),
    "IEQ-columns": IEQ(solver=ColumnSketch(2, fresh=False)),
    "IEQ-rows": IEQ(solver=RowSketch(3, fresh=False)),
}
WRAPPED = {
    **{f"Restart-{name}": Restart(scheme) for name, scheme in AUXILIARY.items()},
    **{f"Relaxed-{name}": Relaxed(scheme) for name, scheme in AUXILIARY.items()},
    **{
        f"RelaxedNumerical-{name}": Relaxed(scheme, budget="numerical")
        for name, scheme in AUXILIARY.items()
        if name.partition("-")[0] != "ExpSAV" or scheme.form == "explicit"
    },
    **{f"RelaxedSwapped-{name}": Relaxed(scheme, orientation="swapped") for name, scheme in AUXILIARY.items()},
}
SCHEMES = {**FLOWS, **AUXILIARY, **WRAPPED}


STRICT_ARRAY = type(strict.asarray(1.0))


def numbers(x):
    """Return an array of either library as NumPy's."""
    return np.from_dlpack(x) if isinstance(x, STRICT_ARRAY) else np.asarray(x)


def flatten(values):
    for x in values:
        if isinstance(x, tuple):
            yield from flatten(x)
        else:
            yield x


def assert_same(found, wanted, *, tolerance):
    """Compare entry by entry: strict arrays on the left, NumPy's on the right, of the same dtype, shape and value."""
    for a, b in zip(flatten(found), flatten(wanted), strict=True):
        if isinstance(b, (bool, int, float)) and not isinstance(b, np.generic):
            assert type(a) is type(b)
            continue
        assert isinstance(a, STRICT_ARRAY), type(a)
        assert str(a.dtype).endswith(str(b.dtype))
        assert a.shape == np.shape(b)
        assert np.all(np.isfinite(b))
        np.testing.assert_allclose(numbers(a), b, rtol=0, atol=tolerance * (1 + np.max(np.abs(b))))


def path(scheme, problem, theta, dt, n):
    states = [scheme.init(problem, theta)]
    for _ in range(n):
        states.append(scheme.step(problem, states[-1], dt))
    return states


def test_every_scheme_of_the_registry_is_here():
    here = {type(scheme).__name__ for scheme in SCHEMES.values()}
    assert set(REGISTRY) <= here


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", SCHEMES)
def test_a_scheme_on_strict_arrays_gives_numpys_numbers(name, split, dtype):
    scheme = SCHEMES[name]
    tolerance = 1e-11 if dtype == "float64" else 1e-4
    runs = [path(scheme, *smooth_problem(split, xp=xp, dtype=dtype), 0.3, 3) for xp in (strict, np)]
    for found, wanted in zip(*runs, strict=True):
        assert type(found) is type(wanted)
        assert_same(found, wanted, tolerance=tolerance)


@pytest.mark.parametrize("split", ["plain", "energy-part-and-mass"])
@pytest.mark.parametrize("name", {**AUXILIARY, **WRAPPED})
def test_energy_terms_on_strict_arrays_give_numpys_numbers(name, split):
    scheme = SCHEMES[name]
    results = []
    for xp in (strict, np):
        problem, theta = smooth_problem(split, xp=xp)
        *_, old, new = path(scheme, problem, theta, 0.3, 2)
        terms = scheme.energy_terms(problem, old, new, 0.3)
        energies = (scheme.modified_energy(problem, old), scheme.modified_energy(problem, new))
        results.append((*terms, *energies, scheme.auxiliary(problem, new.theta)))
    assert_same(*results, tolerance=1e-10)


@pytest.mark.parametrize(
    "name",
    [
        k
        for k, v in SCHEMES.items()
        if not {"IEQ", "MSAV"} & set(k.split("-")) and getattr(v, "curvature", None) != GaussNewton()
    ],
)
def test_a_function_problem_on_strict_arrays_gives_numpys_numbers(name):
    runs = []
    for xp in (strict, np):
        problem, theta = smooth_problem("energy-part-and-mass", xp=xp)
        runs.append(path(SCHEMES[name], as_function_problem(problem), theta, 0.3, 2))
    for found, wanted in zip(*runs, strict=True):
        assert_same(found, wanted, tolerance=1e-11)


@pytest.mark.parametrize("name", ["GradientDescent", "SAV", "ExpSAV-explicit", "ImplicitEuler", "Adam", "Adam-norm"])
def test_an_inner_product_may_be_a_function(name):
    ends = []
    for xp in (strict, np):
        plain, theta = smooth_problem("scalars", xp=xp)
        problem = FunctionProblem(
            plain.nonlinear_energy,
            lambda t, plain=plain: plain.nonlinear_energy_and_gradient(t)[1],
            plain.nonlinear_hvp,
            inner=lambda u, v: 0.5 * (u @ v),
            linear=plain.linear,
        )
        ends.append(path(SCHEMES[name], problem, theta, 0.3, 2)[-1])
    assert_same(ends[0], path(SCHEMES[name], plain, theta, 0.3, 2)[-1], tolerance=1e-12)
    assert_same(*ends, tolerance=1e-12)


@pytest.mark.parametrize("xp", [strict, np])
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_energy_may_be_a_python_number(dtype, xp):
    problem = FunctionProblem(lambda t: float(t @ t) / 2, lambda t: 1.0 * t, lambda t, v: v)
    theta = xp.asarray([1.0, 2.0], dtype=getattr(xp, dtype))
    for name in ("GradientDescent", "SAV", "ExpSAV-implicit", "ImplicitEuler", "Relaxed-SAV"):
        state = path(SCHEMES[name], problem, theta, 0.3, 2)[-1]
        for x in flatten(state):
            assert isinstance(x, (bool, int, float)) or str(x.dtype).endswith(dtype)


@pytest.mark.parametrize("xp", [strict, np])
@pytest.mark.parametrize("name", [name for name in SCHEMES if not name.startswith("Relaxed")])
def test_the_step_size_may_be_a_0d_array(name, xp):
    problem, theta = smooth_problem("energy-part-and-mass", xp=xp)
    scheme = SCHEMES[name]
    state = scheme.init(problem, theta)
    a = scheme.step(problem, state, 0.25)
    b = scheme.step(problem, state, xp.asarray(0.25))
    for x, y in zip(flatten(a), flatten(b), strict=True):
        np.testing.assert_allclose(numbers(x), numbers(y), rtol=0, atol=1e-13)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (2,), (5,), (8,)])
def test_relaxation_on_strict_arrays_gives_numpys_numbers(shape, dtype):
    rng = np.random.default_rng(0)
    tolerance = 1e-13 if dtype == "float64" else 1e-5
    functions = [xi0_quadratic, relax_quadratic, partial(relax_quadratic, orientation="swapped")]
    if shape == ():
        functions += [xi0_linear, xi0_log, relax_log, partial(relax_log, orientation="swapped")]
    for _ in range(10):
        pair = [np.asarray(rng.standard_normal(shape), dtype=dtype) for _ in range(2)]
        for slack in (0.0, 0.1, 100.0):
            for f in functions:
                wanted = f(*pair, slack)
                for B in (slack, strict.asarray(slack, dtype=getattr(strict, dtype))):
                    found = f(*map(strict.asarray, pair), B)
                    assert_same((found,), (wanted,), tolerance=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_linear_parts_on_strict_arrays_give_numpys_numbers(dtype):
    rng = np.random.default_rng(1)
    u, d = rng.standard_normal(5).astype(dtype), rng.uniform(0, 2, 5).astype(dtype)
    diagonals = {strict: Diagonal(strict.asarray(d)), np: Diagonal(d)}
    parts = {xp: [Zero(), Shift(1.5), diagonals[xp]] for xp in (strict, np)}
    vectors = {strict: strict.asarray(u), np: u}
    results = {strict: [], np: []}
    for xp in (strict, np):
        for first in parts[xp]:
            for second in parts[xp]:
                both = linear.add(first, second)
                v = vectors[xp]
                results[xp] += [both.apply(v), both.solve_shifted(v, 0.3)]
                results[xp].append(linear.dissipation(lambda a, b: a @ b, first, second, v, 0.3))
    assert_same(results[strict], results[np], tolerance=1e-14 if dtype == "float64" else 1e-6)
    with pytest.raises(ValueError, match="diagonal must have finite entries >= 0"):
        Diagonal(strict.asarray([1.0, -1.0]))
    with pytest.raises(ValueError, match="mass must have finite entries > 0"):
        FunctionProblem(lambda t: t @ t, lambda t: t, mass=strict.asarray([1.0, 0.0]))
