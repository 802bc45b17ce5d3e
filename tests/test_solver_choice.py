"""Which solver IEQ takes by itself: the bound on the iterations, the trace it comes from, and what the choice leaves unchanged."""

from math import ceil, inf, log, sqrt

import array_api_strict as strict
import numpy as np
import pytest

from cases import MASSES, residual_case
from gradflow.curvature.damped_step import _identity_plus, damped_step
from gradflow.curvature.iteration_bound import iteration_bound
from gradflow.curvature.lapack import plus_identity
from gradflow.energies.dense import DenseLeastSquares, DenseLinearization
from gradflow.energies.linear import Diagonal, Shift, Zero
from gradflow.energies.protocols import estimates
from gradflow.kernels import reference, select
from gradflow.models import Regression, TwoLayerNet
from gradflow.models.two_layer import block_rows
from gradflow.schemes import IEQ, Restart
from network_cases import network_case

SPECTRA = {
    "equal": np.ones(200),
    "one": np.array([200.0] + [0.0] * 199),
    "harmonic": 1 / np.arange(1, 201),
    "geometric": 0.9 ** np.arange(200),
    "two clusters": np.repeat([50.0, 0.01], [20, 180]),
}


def right_hand_side(trace, k, j):
    """Return (1), as printed."""
    root = sqrt(1 + trace / (j + 1))
    return (trace / (trace + j)) ** j * 2 * ((root - 1) / (root + 1)) ** (k - j)


def errors(spectrum, steps):
    """Return the errors of conjugate gradients for I + diag(spectrum) in its own norm, relative to the start."""
    A, b = 1 + spectrum, np.random.default_rng(0).standard_normal(len(spectrum))
    x, r = 0 * b, b
    p, out = r, []
    for _ in range(steps):
        alpha = (r @ r) / (p @ (A * p)) if r @ r > 0 else 0.0
        x, r, old = x + alpha * p, r - alpha * A * p, r
        p = r + ((r @ r) / (old @ old) if old @ old > 0 else 0.0) * p
        out.append(sqrt(((b / A - x) @ (A * (b / A - x))) / ((b / A) @ b)))
    return out


@pytest.mark.parametrize("tol", [1e-2, 1e-6, 1e-12])
@pytest.mark.parametrize("trace", [1e-6, 0.3, 8.0, 100.0, 3e3])
def test_the_bound_is_the_least_that_the_inequality_allows(trace, tol):
    k = iteration_bound(trace, tol)
    assert k == ceil(k) >= 1
    assert min(right_hand_side(trace, k, j) for j in range(k + 1)) <= tol * (1 + 1e-12)
    if k > 1:
        assert min(right_hand_side(trace, k - 1, j) for j in range(k)) > tol
    root = sqrt(1 + trace)
    assert k <= max(1, ceil(log(2 / tol) / (2 * log(1 + root) - log(trace))))  # the classical bound
    assert iteration_bound(trace, tol, k) == k
    assert iteration_bound(trace, tol, k - 1) == inf


@pytest.mark.parametrize("trace", [1e-3, 1.0, 40.0, 1e3])
@pytest.mark.parametrize("name", SPECTRA)
def test_conjugate_gradients_keep_the_bound(name, trace):
    spectrum = SPECTRA[name] * trace / SPECTRA[name].sum()
    for tol in (1e-2, 1e-6, 1e-10):
        assert errors(spectrum, int(iteration_bound(trace, tol)))[-1] <= 1.01 * tol


def test_the_bound_of_nothing_and_of_what_is_no_number():
    assert iteration_bound(0.0, 1e-12) == 1
    assert iteration_bound(np.nan, 1e-12) == iteration_bound(inf, 1e-12) == inf
    assert iteration_bound(1e300, 1e-12, 50) == inf
    assert iteration_bound(1e-320, 1e-12) == 1


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("activation", ["relu", "tanh", "identity"])
def test_the_trace_of_a_network(activation, k):
    for dtype, tol in (("float64", 1e-13), ("float32", 1e-5)):
        for kernels in ("numba", "reference"):
            case = network_case(activation, k, "relative", N=7, dtype=dtype, kernels=kernels)
            at = case.problem.linearize(case.theta)
            assert at.gram_trace() == pytest.approx(np.trace(at.gram()), rel=tol)
            assert at.gram_trace().dtype == dtype


@pytest.mark.parametrize("mass", MASSES)
def test_the_trace_of_an_explicit_jacobian(mass):
    case = residual_case(0, 5, 8, mass=mass)
    at = case.problem.linearize(case.theta)
    assert at.gram_trace() == pytest.approx(np.trace(at.gram()), rel=1e-13)
    assert at.work.gram == 8 * 8 * 5 / 2


def test_a_linearisation_need_not_declare_anything():
    class Bare:
        residual = np.ones(3)

    assert estimates(Bare()) is None
    at = DenseLinearization(np.ones(2), np.ones((2, 3)))
    assert estimates(at) is at


class Watched(DenseLinearization):
    """Counts the Gram matrices, Jacobians and products that are asked for."""

    def __init__(self, *args):
        super().__init__(*args)
        self.calls = {"gram": 0, "jacobian": 0, "jvp": 0, "gram_trace": 0}

    def gram(self):
        self.calls["gram"] += 1
        return super().gram()

    def jacobian(self):
        self.calls["jacobian"] += 1
        return super().jacobian()

    def jvp(self, d):
        self.calls["jvp"] += 1
        return super().jvp(d)

    def gram_trace(self):
        self.calls["gram_trace"] += 1
        return super().gram_trace()


def watched(N, P, dtype="float64"):
    rng = np.random.default_rng(0)
    J = (rng.standard_normal((N, P)) / np.sqrt(P)).astype(dtype)
    return Watched(rng.standard_normal(N).astype(dtype), J, 1.0)


def step(at, dt, A=None, solver="auto", tol=None):
    A = Zero() if A is None else A
    P = at.jacobian().shape[1]
    for name in at.calls:
        at.calls[name] = 0
    return damped_step(at, at.residual, None, A, dt, mass=1.0, n_parameters=P, solver=solver, tol=tol)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("N", "P", "dense"), [(300, 400, "gram"), (1500, 150, "jacobian")])
def test_small_steps_take_products_and_large_ones_the_matrix(N, P, dense, dtype):
    at, tol = watched(N, P, dtype), 1e-10 if dtype == "float64" else 1e-4
    for dt, by_products in ((1e-5, True), (1e4, False)):
        found = step(at, dt)
        assert at.calls["gram_trace"] == 1
        assert (at.calls[dense] == 0) == by_products
        wanted = step(at, dt, solver="gram" if dense == "gram" else "parameter")
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=tol * np.abs(b).max())
            assert a.dtype == dtype


@pytest.mark.parametrize(("N", "P"), [(70, 1000), (150, 150)])
def test_cheap_matrices_are_not_even_estimated(N, P):
    """The matrix is chosen where conjugate gradients save no products, or where the overhead of an iteration exceeds the saving."""
    at = watched(N, P)
    step(at, 1e-3)
    assert at.calls == {"gram": 1, "jacobian": 0, "jvp": 0, "gram_trace": 0}


def test_the_linear_part_and_the_tolerance_enter_the_choice():
    at = watched(300, 400)
    steps = [dt for dt in np.logspace(-3, 3, 61) if step(at, dt) and at.calls["gram"] == 0]
    largest = max(steps)
    assert step(at, 10 * largest)
    assert at.calls["gram"] == 1
    step(at, 10 * largest, Shift(1 / largest))  # dt / (1 + dt c) is what counts
    assert at.calls["gram"] == 0
    step(at, 10 * largest, tol=1e-3)
    assert at.calls["gram"] == 0
    step(at, largest, Diagonal(np.ones(400)))  # its matrix costs more: a stored Jacobian and twice the product
    assert (at.calls["gram"], at.calls["jacobian"]) == (0, 0)


def test_where_the_trace_is_not_finite_the_matrix_is_taken():
    at = watched(300, 400, "float32")
    at._J[0, 0] = np.inf
    with np.errstate(invalid="ignore"):
        found = step(at, 1e-3)
    assert at.calls["gram"] == 1
    assert not np.all(np.isfinite(found.d))


def test_the_energy_identity_holds_whichever_solver_is_taken():
    rng = np.random.default_rng(0)
    J, b = rng.standard_normal((300, 400)) / 20, rng.standard_normal(300)
    problem = DenseLeastSquares(lambda t: np.sin(J @ t) - b, lambda t: np.cos(J @ t)[:, None] * J, linear=0.3)
    for scheme in (IEQ(), Restart(IEQ())):
        state = scheme.init(problem, rng.standard_normal(400))
        for dt in (1e-3, 1e-1, 1e1, 1e4):
            new = scheme.step(problem, state, dt)
            before = scheme.modified_energy(problem, state if isinstance(scheme, IEQ) else state._replace(aux=None))
            drop = sum(scheme.energy_terms(problem, state, new, dt))
            assert scheme.modified_energy(problem, new) - before == pytest.approx(-drop, abs=1e-13 * before)
            state = new


def test_a_network_takes_products_by_itself():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (400, 1))
    net = TwoLayerNet(1, 150)
    problem, theta = Regression(net, x, np.sin(3 * x)), net.init(0)
    at = problem.linearize(theta)
    at.gram = None  # not to be called
    settings = {"mass": problem.mass, "n_parameters": 450}
    found = damped_step(at, at.residual, None, Zero(), 0.01, **settings)
    wanted = damped_step(
        problem.linearize(theta), at.residual, None, Zero(), 0.01, solver="gram", mass=problem.mass, n_parameters=450
    )
    np.testing.assert_allclose(found.d, wanted.d, rtol=0, atol=1e-10 * np.abs(wanted.d).max())


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_identity_plus_a_matrix(order, dtype):
    K = np.asarray(np.random.default_rng(0).standard_normal((5, 5)), dtype=dtype, order=order)
    K.flags.writeable = False
    for found in (plus_identity(K), _identity_plus(strict, strict.asarray(K))):
        np.testing.assert_array_equal(np.asarray(found), np.eye(5, dtype=dtype) + K)
        assert str(found.dtype).endswith(dtype)
    assert plus_identity(K).flags.c_contiguous


def test_blocks_have_64_samples_at_least():
    assert block_rows(reference, 16000, "float32") == 64
    assert block_rows(select("numba"), 10**6, "float64") == 64
    assert block_rows(reference, 1000, "float32") == 262
    assert block_rows(reference, 1000, "float64") == 131
