"""Weights, robust losses and sparse Jacobians of least squares: identities, SciPy's conventions, and covariances by simulation."""

import dataclasses
import warnings

import array_api_strict
import mpmath
import numpy as np
import pytest
import scipy.sparse
from scipy.optimize import least_squares

import gradflow as gf
from gradflow.curvature import Identity
from gradflow.curvature.gauss_newton import GaussNewton
from gradflow.curvature.spectral import choose_form, minimise
from gradflow.curvature.subproblem import cubic, damped, trust_region
from gradflow.energies import sparse
from gradflow.energies.dense import DenseLinearization
from gradflow.run import report
from gradflow.run.fit import covariance

EPS = np.finfo(np.float64).eps
LOSSES = {"huber": gf.Huber, "soft_l1": gf.SoftL1, "cauchy": gf.Cauchy}  # by the names of SciPy
CLOSE = gf.Tolerance(step_relative=1e-10)
each_loss = pytest.mark.parametrize("name", LOSSES)


def rho(name, z):
    """Return the loss (1) as a number of many digits."""
    if name == "huber":
        return z if z <= 1 else 2 * mpmath.sqrt(z) - 1
    return 2 * (mpmath.sqrt(1 + z) - 1) if name == "soft_l1" else mpmath.log(1 + z)


SIZES = [
    1e-300,
    1e-200,
    1e-20,
    1e-8,
    1e-4,
    0.01,
    0.3,
    0.7,
    0.99999,
    1.00001,
    1.5,
    3.0,
    40.0,
    1e4,
    1e8,
    1e20,
    1e200,
    1e300,
]


@each_loss
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_scalings_by_many_digits(name, dtype):
    """s, t and psi' of the definition in 400 digits, for residuals of every size."""
    x = np.array(SIZES, dtype=np.float64)
    x = x.astype(dtype) if dtype == np.float64 else x[(x > 1e-37) & (x < 1e37)].astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = LOSSES[name](1.0).at(x)
    eps, tiny = float(np.finfo(dtype).eps), float(np.finfo(dtype).smallest_normal)
    with mpmath.workdps(1000):
        for i, size in enumerate(x):
            q = mpmath.mpf(float(size))

            def energy(u):
                return rho(name, u**2) / 2

            psi, bend = (mpmath.diff(energy, q, n, h=q * mpmath.mpf(10) ** -200) for n in (1, 2))
            s = mpmath.sqrt(2 * energy(q)) / q
            t = psi / (s * q)
            assert found.s[i] == pytest.approx(float(s), rel=8 * eps)
            assert found.t[i] == pytest.approx(float(t), rel=8 * eps, abs=tiny)
            # 1 - x^2 has a zero: its error is relative to the terms
            assert (
                abs(found.bend[i] - float(bend)) <= 8 * eps * max(abs(float(bend)), float(1 / (1 + q**2) ** 2)) + tiny
            )
            assert found.bend[i] <= found.t[i] ** 2 * (1 + 8 * eps) + tiny
        assert np.all((found.s > 0) & (found.s <= 1 + eps) & (found.t >= 0) & (found.t <= 1 + eps))


@each_loss
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_zero_residual_is_not_scaled(name, dtype):
    found = LOSSES[name](0.3).at(np.array([0.0, -0.0], dtype=dtype))
    for values in found:
        assert values.dtype == dtype
        assert np.array_equal(values, np.ones(2, dtype=dtype))


def test_huber_leaves_small_residuals_to_the_last_bit():
    q = np.array([0.3, -0.5, 0.123, 2.0])
    found = gf.Huber(0.5).at(q)
    assert np.array_equal((found.s * q)[:3], q[:3])


# The problem with weights and a loss

X = np.linspace(0, 3, 24)
RNG = np.random.default_rng(11)
Y = 2.0 * np.exp(-1.3 * X) + 0.4 + 0.03 * RNG.standard_normal(24)
Y[[3, 11, 20]] += [0.9, -0.6, 1.4]
WEIGHTS = RNG.uniform(0.2, 3.0, 24)
WEIGHTS[[5, 15]] = 0.0
POINT = np.array([1.5, 0.8, 0.2])


def residual(b, y=Y, x=X):
    return b[0] * np.exp(-b[1] * x) + b[2] - y


def jacobian(b, x=X):
    return np.stack([np.exp(-b[1] * x), -b[0] * x * np.exp(-b[1] * x), 1 + 0 * x], axis=1)


def real_residual(b):
    """The same, for real arguments only."""
    return residual(np.asarray(b, dtype=np.float64))


DERIVATIVES = {
    "given": (residual, jacobian, 1e-13),
    "complex step": (residual, None, 1e-13),
    "differences": (lambda b: residual(b.real), None, 1e-8),
}


@each_loss
@pytest.mark.parametrize("weights", [None, WEIGHTS, WEIGHTS > 0], ids=["none", "weights", "mask"])
@pytest.mark.parametrize("derivative", DERIVATIVES)
def test_energy_and_gradient_by_their_definition(name, weights, derivative):
    q, J, error = DERIVATIVES[derivative]
    scale = 0.2
    problem = gf.DenseLeastSquares(q, J, weights=weights, loss=LOSSES[name](scale), mass=np.array([1.0, 2.0, 0.5]))
    w = np.ones(24) if weights is None else weights.astype(float)
    f = np.sqrt(w) * residual(POINT)
    exact = scale**2 / 2 * sum(float(rho(name, mpmath.mpf(u / scale) ** 2)) for u in f)
    at = problem.linearize(POINT)
    assert problem.energy(POINT) == at.residual @ at.residual / 2  # to the last bit
    assert problem.energy(POINT) == pytest.approx(exact, rel=1e-14)
    z = (f / scale) ** 2
    slope = {"huber": 1 / np.sqrt(np.maximum(z, 1)), "soft_l1": 1 / np.sqrt(1 + z), "cauchy": 1 / (1 + z)}[name]
    gradient = jacobian(POINT).T @ (np.sqrt(w) * slope * f) / problem.mass
    E, g = problem.energy_and_gradient(POINT)
    assert problem.derivative == derivative
    assert problem.energy(POINT) == E
    assert np.max(np.abs(g - gradient)) <= error * np.max(np.abs(gradient))
    assert np.max(np.abs(at.vjp(at.residual) - gradient)) <= error * np.max(np.abs(gradient))
    assert at.residual.shape == (24 if weights is None else 22,)
    assert gf.check_derivatives(problem, POINT)


def test_weights_are_factors_of_the_squares():
    problem = gf.DenseLeastSquares(residual, jacobian, weights=WEIGHTS)
    assert problem.energy(POINT) == pytest.approx(np.sum(WEIGHTS * residual(POINT) ** 2) / 2, rel=4 * EPS)
    at = problem.linearize(POINT)
    rows = WEIGHTS > 0
    np.testing.assert_allclose(at.jacobian(), np.sqrt(WEIGHTS[rows])[:, None] * jacobian(POINT)[rows], rtol=4 * EPS)


@pytest.mark.parametrize("loss", [None, gf.Huber(0.1), gf.SoftL1(0.1), gf.Cauchy(0.1)])
@pytest.mark.parametrize("derivative", DERIVATIVES)
@pytest.mark.parametrize("mask", [WEIGHTS > 0, (WEIGHTS > 0).astype(float)], ids=["mask", "weights"])
def test_missing_data_are_left_out_to_the_last_bit(loss, derivative, mask):
    """Rows of weight 0 may be NaN, and everything is as if they had not been given."""
    missing, rows = np.where(WEIGHTS > 0, Y, np.nan), WEIGHTS > 0
    q, J, _ = DERIVATIVES[derivative]
    holes = gf.DenseLeastSquares(
        lambda b: q(b) + (Y - missing),
        None if J is None else lambda b: np.where(rows[:, None], J(b), np.nan),
        weights=mask,
        loss=loss,
    )
    rest = gf.DenseLeastSquares(
        lambda b: q(b)[rows] + 0 * Y[rows], None if J is None else lambda b: J(b)[rows], loss=loss
    )
    for problem in (holes, rest):
        problem.energy(POINT)
    assert np.array_equal(holes.linearize(POINT).jacobian(), rest.linearize(POINT).jacobian())
    assert np.array_equal(holes.linearize(POINT).residual, rest.linearize(POINT).residual)
    ends = [gf.solve(p, gf.LevenbergMarquardt(), POINT, steps=200, stop=CLOSE) for p in (holes, rest)]
    assert ends[0].status is gf.Status.CONVERGED
    assert np.array_equal(ends[0].theta, ends[1].theta)
    assert holes.calls == rest.calls
    assert holes.derivative == derivative
    fits = [end.covariance() for end in ends]
    assert np.array_equal(fits[0].matrix, fits[1].matrix)
    assert fits[0].degrees_of_freedom == 22 - 3


@each_loss
@pytest.mark.parametrize("scale", [0.02, 0.1, 10.0])
def test_fits_are_those_of_scipy(name, scale):
    roots = np.sqrt(WEIGHTS)
    other = least_squares(
        lambda b: roots * residual(b), POINT, lambda b: roots[:, None] * jacobian(b), loss=name, f_scale=scale,
        xtol=1e-14, ftol=1e-15, gtol=1e-14, max_nfev=10_000,
    )  # fmt: skip
    problem = gf.DenseLeastSquares(residual, jacobian, weights=WEIGHTS, loss=LOSSES[name](scale))
    lost = EPS * scale**2 * len(X)  # SciPy's formula of the soft L1 loss subtracts 1
    assert problem.energy(other.x) == pytest.approx(other.cost, rel=1e-13, abs=lost)  # one convention
    solution = gf.solve(problem, gf.LevenbergMarquardt(), POINT, steps=1000, stop=CLOSE)
    assert solution.status is gf.Status.CONVERGED
    np.testing.assert_allclose(solution.theta, other.x, rtol=2e-6)
    energy = solution.history["energy"]
    assert np.all(np.diff(energy) <= 68 * EPS * energy[:-1])


@each_loss
def test_an_outlier_moves_a_robust_fit_less(name):
    """A single residual of 1e200, whose square is not a number, has no more than a bounded influence."""
    y = 1 + 2 * X
    ends = []
    for size in (0.0, 1e6, 1e200):
        data = y + size * (np.arange(24) == 7)
        problem = gf.DenseLeastSquares(
            lambda b, data=data: b[0] + b[1] * X - data,
            lambda b: np.stack([1 + 0 * X, X], axis=1),
            loss=LOSSES[name](0.1),
        )
        start = np.array([1.0, 2.0])
        ends.append(gf.solve(problem, gf.LevenbergMarquardt(), start, steps=300, stop=gf.Tolerance(step_relative=1e-8)))
    for end in ends[1:]:
        assert end.status is gf.Status.CONVERGED
        assert np.all(np.isfinite(end.theta))
        assert np.max(np.abs(end.theta - ends[0].theta)) <= 0.05


@each_loss
@pytest.mark.parametrize(
    "scheme", [gf.IEQ(), gf.Restart(gf.IEQ()), gf.Relaxed(gf.IEQ())], ids=["IEQ", "restarted", "relaxed"]
)
@pytest.mark.parametrize("dt", [1e-2, 1.0, 1e3])
def test_the_law_of_ieq_holds_for_the_robust_energy(name, scheme, dt):
    """The energy is half a square of the scaled residual to the last bit: so the identity of each step is one of it."""
    problem = gf.DenseLeastSquares(residual, jacobian, weights=WEIGHTS, loss=LOSSES[name](0.1))
    run = gf.solve(problem, scheme, POINT, dt=dt, steps=20, record=["energy", "modified_energy", "identity_residual"])
    assert run.history["modified_energy"][0] == run.history["energy"][0]
    largest = np.max(run.history["energy"])  # a restarted step may raise it
    assert np.max(np.abs(run.history["identity_residual"][1:])) <= 50 * EPS * largest


@each_loss
def test_losses_of_another_array_library(name):
    x = array_api_strict.asarray([0.0, 0.2, 1.0, 7.0, 1e200])
    for own, plain in zip(LOSSES[name](0.5).at(x), LOSSES[name](0.5).at(np.asarray(x)), strict=True):
        assert type(own) is type(x)
        np.testing.assert_allclose(np.asarray(own), plain, rtol=4 * EPS)


@each_loss
def test_weights_and_losses_of_problems_in_another_array_library(name):
    xp = array_api_strict
    A, y = RNG.standard_normal((6, 2)), RNG.standard_normal(6)
    weights = np.array([1.0, 0.0, 2.0, 0.5, 1.0, 3.0])
    loss = LOSSES[name](0.4)
    plain = gf.DenseLeastSquares(lambda b: A @ b - y, lambda b: A, weights=weights, loss=loss)
    J, data = xp.asarray(A), xp.asarray(y)
    strict = gf.DenseLeastSquares(lambda b: J @ b - data, lambda b: J, weights=xp.asarray(weights), loss=loss)
    theta = np.array([0.3, -0.7])
    for own, other in zip(strict.energy_and_gradient(xp.asarray(theta)), plain.energy_and_gradient(theta), strict=True):
        np.testing.assert_allclose(np.asarray(own), other, rtol=1e-13)
    np.testing.assert_allclose(np.asarray(strict.linearize(xp.asarray(theta)).gram()), plain.linearize(theta).gram())


def test_a_loss_of_ones_own():
    """Any object with `at` is a loss: here the square itself."""

    @dataclasses.dataclass(frozen=True)
    class Square:
        def at(self, q):
            return gf.energies.robust.Scaling(1 + 0 * q, 1 + 0 * q, 1 + 0 * q)

    own, plain = (gf.DenseLeastSquares(residual, jacobian, loss=loss) for loss in (Square(), None))
    assert own.energy(POINT) == plain.energy(POINT)
    for kind in ("gauss-newton", "sandwich"):
        np.testing.assert_allclose(
            covariance(own, POINT, kind).matrix, covariance(plain, POINT, kind).matrix, rtol=1e-12
        )


def test_a_description_names_weights_and_loss():
    plain = gf.DenseLeastSquares(residual).describe()
    assert set(plain) == {"problem", "residual", "mass", "linear"}
    full = gf.DenseLeastSquares(residual, weights=WEIGHTS, loss=gf.Huber(0.5)).describe()
    assert full["loss"] == {"type": "Huber", "scale": 0.5}
    assert full["weights"]["shape"] == [24]


def test_weights_are_copied():
    weights = np.ones(24)
    problem = gf.DenseLeastSquares(residual, weights=weights)
    before = problem.energy(POINT)
    weights[:] = 2
    assert problem.energy(POINT) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": np.zeros(24)}, "weights must not all be zero"),
        ({"weights": np.zeros(24, dtype=bool)}, "weights must not all be zero"),
        ({"weights": -np.ones(24)}, "weights must have finite entries >= 0"),
        ({"weights": np.ones(24, dtype=int)}, "weights must be float32 or float64"),
        ({"weights": np.ones((24, 1), dtype=bool)}, "weights must have shape"),
        ({"weights": np.ones(0, dtype=bool)}, "weights must have shape"),
        ({"loss": gf.Huber}, "loss must be gradflow.Huber"),
        ({"loss": "huber"}, "loss must be gradflow.Huber"),
    ],
)
def test_wrong_weights_and_losses_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        gf.DenseLeastSquares(residual, **arguments)


@pytest.mark.parametrize("given", [None, jacobian])
def test_a_residual_must_have_as_many_entries_as_weights(given):
    problem = gf.DenseLeastSquares(residual, given, weights=np.ones(23))
    with pytest.raises(ValueError, match=r"residual\(theta\) must have shape \(N,\), N = 23"):
        problem.energy(POINT)


# Covariances


def closed_covariance(name, J, f, scale, kind):
    """Return the M-estimator's covariance from psi and psi' of the books: H1 of Huber, or the sandwich."""
    N, P = J.shape
    z = (f / scale) ** 2
    psi = f * {"huber": 1 / np.sqrt(np.maximum(z, 1)), "soft_l1": (1 + z) ** -0.5, "cauchy": 1 / (1 + z)}[name]
    bend = {"huber": (z <= 1).astype(float), "soft_l1": (1 + z) ** -1.5, "cauchy": (1 - z) / (1 + z) ** 2}[name]
    m = np.mean(bend)
    k = 1 + P / N * np.var(bend) / m**2
    dispersion = k**2 * np.sum(psi**2) / (N - P) / m**2
    if kind == "gauss-newton":
        return dispersion * np.linalg.inv(J.T @ J), dispersion
    A = np.linalg.inv(J.T @ (bend[:, None] * J))
    return N / (N - P) * A @ (J.T @ (psi[:, None] ** 2 * J)) @ A, dispersion


@each_loss
@pytest.mark.parametrize("kind", ["gauss-newton", "sandwich"])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["none", "weights"])
def test_covariance_by_closed_formulas(name, kind, weights):
    scale = 0.15
    problem = gf.DenseLeastSquares(residual, jacobian, weights=weights, loss=LOSSES[name](scale))
    end = gf.solve(problem, gf.LevenbergMarquardt(), POINT, steps=500, stop=CLOSE).theta
    w = np.ones(24) if weights is None else weights
    rows = w > 0
    root = np.sqrt(w[rows])
    exact, dispersion = closed_covariance(
        name, root[:, None] * jacobian(end)[rows], root * residual(end)[rows], scale, kind
    )
    found = covariance(problem, end, kind)
    sizes = np.sqrt(np.outer(np.diag(exact), np.diag(exact)))
    assert np.max(np.abs(found.matrix - exact) / sizes) <= 1e-11
    assert np.array_equal(found.matrix, found.matrix.T)
    assert found.dispersion == pytest.approx(dispersion, rel=1e-12)
    assert found.degrees_of_freedom == np.sum(rows) - 3


@pytest.mark.parametrize("kind", ["gauss-newton", "sandwich"])
def test_covariance_with_a_linear_part(kind):
    """The energy part is in the bread, undamped by the loss."""
    A, y, mass, scale = RNG.standard_normal((30, 3)), RNG.standard_t(3, 30), np.array([1.0, 2.0, 0.5]), 0.8
    problem = gf.DenseLeastSquares(lambda b: A @ b - y, lambda b: A, loss=gf.SoftL1(scale), linear=0.7, mass=mass)
    end = gf.solve(problem, gf.LevenbergMarquardt(), np.zeros(3), steps=500, stop=CLOSE).theta
    f = A @ end - y
    h = np.sqrt(1 + (f / scale) ** 2)
    psi, bend = f / h, h**-3.0
    m, k = np.mean(bend), 1 + 3 / 30 * np.var(bend) / np.mean(bend) ** 2
    if kind == "gauss-newton":
        bread, meat = m * A.T @ A, k**2 * psi @ psi / 27 * A.T @ A
    else:
        bread, meat = A.T @ (bend[:, None] * A), 30 / 27 * A.T @ (psi[:, None] ** 2 * A)
    inverse = np.linalg.inv(bread + 0.7 * np.diag(mass))
    np.testing.assert_allclose(covariance(problem, end, kind).matrix, inverse @ meat @ inverse, rtol=1e-10)


@pytest.mark.parametrize("loss", [None, "huber", "soft_l1", "cauchy"])
@pytest.mark.parametrize("kind", ["gauss-newton", "sandwich"])
def test_weights_are_relative(loss, kind):
    """A common factor of the weights, with the scale in the same units, leaves fit and covariance."""
    found = []
    for factor in (1.0, 64.0):
        problem = gf.DenseLeastSquares(
            residual,
            jacobian,
            weights=factor * WEIGHTS,
            loss=None if loss is None else LOSSES[loss](0.15 * factor**0.5),
        )
        end = gf.solve(problem, gf.LevenbergMarquardt(), POINT, steps=500, stop=CLOSE).theta
        found.append((end, covariance(problem, end, kind)))
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-12)
    np.testing.assert_allclose(found[1][1].matrix, found[0][1].matrix, rtol=1e-12)
    assert found[1][1].dispersion == pytest.approx(64 * found[0][1].dispersion, rel=1e-12)


def test_weighted_covariance_is_that_of_the_textbook():
    """Weighted least squares: s^2 (J^T W J)^{-1}, and the sandwich with w^2 q^2."""
    problem = gf.DenseLeastSquares(residual, jacobian, weights=WEIGHTS)
    end = gf.solve(problem, gf.LevenbergMarquardt(), POINT, steps=200, stop=CLOSE).theta
    J, q = jacobian(end), residual(end)
    inverse = np.linalg.inv(J.T @ (WEIGHTS[:, None] * J))
    np.testing.assert_allclose(covariance(problem, end).matrix, WEIGHTS @ q**2 / 19 * inverse, rtol=1e-10)
    meat = 22 / 19 * J.T @ ((WEIGHTS * q)[:, None] ** 2 * J)
    np.testing.assert_allclose(covariance(problem, end, "sandwich").matrix, inverse @ meat @ inverse, rtol=1e-10)


def m_estimates(name, A, y, scale):
    """Return the fits of many draws of data, (D, P), by reweighting, without gradflow."""
    b = np.linalg.lstsq(A, y.T)[0].T
    for _ in range(200):
        z = ((b @ A.T - y) / scale) ** 2
        w = {"huber": 1 / np.sqrt(np.maximum(z, 1)), "soft_l1": (1 + z) ** -0.5, "cauchy": 1 / (1 + z)}[name]
        new = np.linalg.solve(np.einsum("dn,ni,nj->dij", w, A, A, optimize=True), ((w * y) @ A)[..., None])[..., 0]
        moved, b = np.max(np.abs(new - b)), new
        if moved <= 1e-7:
            break
    return b


@each_loss
@pytest.mark.parametrize("kind", ["gauss-newton", "sandwich"])
def test_covariance_by_simulation(name, kind):
    """The mean covariance of 200 fits is the covariance of 2000 fits.

    The tolerance is four standard errors of both, from the draws, and the order P / N of what the theory neglects. The
    errors have heavy tails; for the sandwich, their size grows with x.
    """
    draws, shown, N, P, scale = 2000, 200, 100, 2, 1.5
    rng = np.random.default_rng(2)
    x = np.linspace(-1, 1, N)
    A = np.stack([1 + 0 * x, x], axis=1)
    spread = 1.0 if kind == "gauss-newton" else 0.4 + 1.2 * np.abs(x)
    y = spread * rng.standard_t(3, (draws, N))
    fits = m_estimates(name, A, y, scale)
    squares = (fits - fits.mean(axis=0)) ** 2
    variance, error = squares.mean(axis=0), squares.std(axis=0) / draws**0.5
    claimed = []
    for b, data in zip(fits[:shown], y[:shown], strict=True):
        problem = gf.DenseLeastSquares(lambda b, data=data: A @ b - data, lambda b: A, loss=LOSSES[name](scale))
        claimed.append(np.diag(covariance(problem, b, kind).matrix))
    claimed = np.array(claimed)
    tolerance = 4 * np.hypot(error, claimed.std(axis=0) / shown**0.5) + P / N * variance
    assert np.all(np.abs(claimed.mean(axis=0) - variance) <= tolerance)
    assert np.all(tolerance <= 0.3 * variance)


def test_the_curvature_of_the_scaled_residual_is_no_bread():
    """With t^2 in place of psi', the sandwich of Huber's loss would be too small by a factor that simulation excludes."""
    rng = np.random.default_rng(2)
    A, f = rng.standard_normal((400, 2)), rng.standard_t(3, 400)
    at = gf.Huber(0.5).at(f)
    assert np.mean(at.t**2) > 1.5 * np.mean(at.bend)
    exact, _ = closed_covariance("huber", A, f, 0.5, "sandwich")
    wrong = np.linalg.inv(A.T @ (at.t[:, None] ** 2 * A))
    wrong = wrong @ (A.T @ ((at.t * at.s * f)[:, None] ** 2 * A)) @ wrong
    assert np.all(np.diag(wrong) < 0.5 * np.diag(exact))


@pytest.mark.parametrize("kind", ["gauss-newton", "sandwich"])
def test_covariance_refuses_a_loss_without_curvature(kind):
    A = RNG.standard_normal((20, 2))
    y = 100 * np.sign(np.arange(20) - 9.5)
    problem = gf.DenseLeastSquares(lambda b: A @ b - y, lambda b: A, loss=gf.Cauchy(0.1))
    with pytest.raises(ValueError, match="no positive curvature here"):
        covariance(problem, np.zeros(2), kind)


def test_covariance_refuses_a_point_that_is_no_minimum():
    """Between two groups of data the energy of Cauchy's loss is concave along the shift that only they feel."""
    A = np.zeros((30, 2))
    A[:20, 0], A[20:, 1] = 1, 1
    y = np.concatenate([0.01 * RNG.standard_normal(20), np.repeat([-1.0, 1.0], 5)])
    problem = gf.DenseLeastSquares(lambda b: A @ b - y, lambda b: A, loss=gf.Cauchy(0.3))
    assert np.all(np.isfinite(covariance(problem, np.zeros(2)).matrix))
    with pytest.raises(ValueError, match="no minimum of positive curvature"):
        covariance(problem, np.zeros(2), "sandwich")


# Sparse Jacobians

FORMATS = ["bsr", "coo", "csc", "csr", "dia", "dok", "lil"]


def banded(n, form="csr", kind=scipy.sparse.coo_array, **more):
    """Return a well-conditioned fit of n parameters to n + 1 data with two entries in each row of J, and a start."""
    y = np.sin(np.arange(n + 1.0))

    def q(u):
        z = np.concatenate([[0.0 * u[0]], u, [0.0 * u[0]]])
        return z[1:] + z.real.dtype.type(0.3) * np.tanh(z[:-1]) - y.astype(z.real.dtype)

    def J(u):
        rows, columns = np.concatenate([np.arange(n), np.arange(n) + 1]), np.concatenate([np.arange(n)] * 2)
        values = np.concatenate([np.ones(n, u.dtype), (0.3 / np.cosh(u) ** 2).astype(u.dtype)])
        a = kind((values, (rows, columns)), shape=(n + 1, n))
        return a.toarray() if form == "dense" else a.asformat(form)

    return gf.DenseLeastSquares(q, J, **more), 0.1 * np.cos(np.arange(1.0 * n))


WAYS = {
    "plain": {},
    "mass": {"mass": np.linspace(0.5, 2, 7)},
    "weights and loss": {"weights": np.array([1, 0, 2, 0.5, 1, 1, 1, 3.0]), "loss": gf.SoftL1(0.2)},
    "linear": {"linear": gf.Diagonal(np.linspace(0, 1, 7)), "loss": gf.Huber(0.2), "mass": 2.0},
}


@pytest.mark.parametrize("kind", [scipy.sparse.coo_array, scipy.sparse.coo_matrix])
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("way", WAYS)
def test_a_sparse_jacobian_is_the_dense_one(kind, form, way):
    (own, theta), (plain, _) = banded(7, form, kind, **WAYS[way]), banded(7, "dense", **WAYS[way])
    at, other = own.linearize(theta), plain.linearize(theta)
    d, u = RNG.standard_normal(7), RNG.standard_normal(at.residual.shape[0])
    pairs = [
        (at.residual, other.residual),
        (at.jvp(d), other.jvp(d)),
        (at.vjp(u), other.vjp(u)),
        (at.gram(), other.gram()),
        (at.gram_trace(), other.gram_trace()),
        (at.jacobian(), other.jacobian()),
        (own.energy_and_gradient(theta)[1], plain.energy_and_gradient(theta)[1]),
        (own.linearize_later(theta).jvp(d), other.jvp(d)),
    ]
    models = [GaussNewton().at(problem, theta) for problem in (own, plain)]
    pairs += [[getattr(model, name)() for model in models] for name in ("matrix", "diagonal")]
    pairs += [[model.apply(d) for model in models], [model.root().R for model in models]]
    for found, exact in pairs:
        assert type(found) is type(exact)
        np.testing.assert_allclose(found, exact, rtol=1e-14, atol=1e-15)
    assert np.array_equal(at.gram(), at.gram().T)
    assert at.sparse.format == "csr"
    assert other.sparse is None
    assert gf.check_derivatives(own, theta)


@pytest.mark.parametrize("solver", ["auto", "svd", "eigh", "lanczos", "sparse"])
@pytest.mark.parametrize("loss", [None, gf.Huber(0.3)])
def test_fits_with_sparse_jacobians(solver, loss):
    found = []
    for form in ("csr", "dense"):
        problem, theta = banded(40, form, loss=loss)
        method = gf.LevenbergMarquardt(solver="auto" if form == "dense" else solver)
        end = gf.solve(problem, method, theta, steps=200, stop=CLOSE)
        assert end.status is gf.Status.CONVERGED
        found.append((end.theta, covariance(problem, end.theta, "gauss-newton").matrix if loss is None else 0.0))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("solver", ["gram", "parameter", "cg", "auto"])
def test_steps_of_ieq_with_sparse_jacobians(solver):
    states = []
    for form in ("csc", "dense"):
        problem, theta = banded(12, form, mass=np.linspace(1, 2, 12))
        scheme = gf.Restart(gf.IEQ(solver=solver))
        states.append(scheme.step(problem, scheme.init(problem, theta), 3.0).theta)
    np.testing.assert_allclose(states[0], states[1], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("method", "solver"),
    [
        (gf.LevenbergMarquardt(), "auto"),
        (gf.LevenbergMarquardt(), "lanczos"),
        (gf.LevenbergMarquardt(metric=Identity()), "auto"),
        (gf.GaussNewton(damping=0.1), "auto"),
        (gf.Restart(gf.IEQ()), "auto"),
    ],
    ids=["Levenberg-Marquardt", "by products", "Levenberg", "Gauss-Newton", "IEQ"],
)
def test_a_large_sparse_problem_is_solved_without_a_dense_matrix(method, solver, monkeypatch):
    problem, theta = banded(5000)
    if solver != "auto":
        method = dataclasses.replace(method, solver=solver)

    def refuse(*args, **more):
        raise AssertionError("a dense matrix was made")

    for kind in (scipy.sparse.csr_array, scipy.sparse.csc_array):
        monkeypatch.setattr(kind, "toarray", refuse)
    assert choose_form(GaussNewton().at(problem, theta), None) == "sparse"
    end = gf.solve(problem, method, theta, dt=1e3 if isinstance(method, gf.Restart) else 1.0, steps=8)
    energy = end.history["energy"]
    assert end.status is gf.Status.DONE, end.message
    q = problem.linearize(end.theta)
    assert np.linalg.norm(q.vjp(q.residual)) <= 1e-6 * np.linalg.norm(problem.energy_and_gradient(theta)[1])
    assert energy[-1] < energy[0]


SUBPROBLEMS = {
    "full step": lambda form: damped(form.gamma, form.mu, 0 * form.mu[0], form.tiny),
    "damped": lambda form: damped(form.gamma, form.mu, 0 * form.mu[0] + 0.3, form.tiny),
    "wide region": lambda form: trust_region(form.gamma, form.mu, 0.5),
    "narrow region": lambda form: trust_region(form.gamma, form.mu, 1e-3),
    "cubic": lambda form: cubic(form.gamma, form.mu, 2.0),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", SUBPROBLEMS)
@pytest.mark.parametrize("way", ["plain", "linear", "rank-deficient"])
@pytest.mark.parametrize("weights", [None, np.linspace(0.5, 3, 7)], ids=["identity", "diagonal"])
def test_sparse_factorisations_give_the_step_of_the_singular_values(name, way, weights, dtype):
    if way == "rank-deficient":
        A = np.diag([1.0, 2.0, 0.0, 0.5, 1.0, 3.0, 0.0]).astype(dtype)
        A[1, 2] = 1.0
        J = scipy.sparse.csr_array(A)
        problem = gf.DenseLeastSquares(lambda u: J @ u - 1, lambda u: J)
        theta = 0.1 * np.cos(np.arange(7.0))
    else:
        problem, theta = banded(7, **(WAYS[way] if dtype == np.float64 else {}))
    theta = theta.astype(dtype)
    weights = None if weights is None else weights.astype(dtype)
    steps = [
        minimise(GaussNewton().at(problem, theta), weights, SUBPROBLEMS[name], solver) for solver in ("sparse", "svd")
    ]
    tolerance = 1e-7 if dtype == np.float64 else 1e-3
    assert steps[0].d.dtype == dtype
    unique = (name, way) != ("full step", "rank-deficient")  # else the minimiser of the model is not unique
    for part in ("nu", "slope", "bend", *(["length"] if unique else [])):
        assert getattr(steps[0], part) == pytest.approx(float(getattr(steps[1], part)), rel=tolerance, abs=tolerance)
    if unique:
        assert np.max(np.abs(steps[0].d - steps[1].d)) <= tolerance * np.max(np.abs(steps[1].d))


def boundary_value_problem(n):
    """Return the discrete u'' = (u + t + 1)^3 / 2 of More, Garbow and Hillstrom: the Jacobian has the condition number n^2 / 3."""
    h, t = 1 / (n + 1), np.arange(1, n + 1) / (n + 1)

    def q(u):
        z = np.concatenate([[0.0], u, [0.0]])
        return 2 * u - z[:-2] - z[2:] + h**2 * (u + t + 1) ** 3 / 2

    def J(u):
        side = -np.ones(n - 1)
        return scipy.sparse.diags_array(
            [side, 2 + 1.5 * h**2 * (u + t + 1) ** 2, side], offsets=[-1, 0, 1], format="csr"
        )

    return gf.DenseLeastSquares(q, J), t * (t - 1)


def test_a_sparse_problem_of_large_condition_number():
    """The curvature has the condition number 1e12: Krylov spaces of 200 products are far too small."""
    problem, start = boundary_value_problem(1000)
    fit = gf.solve(problem, gf.LevenbergMarquardt(), start, steps=30, stop=gf.Tolerance(step_relative=1e-9))
    assert fit.status is gf.Status.CONVERGED
    assert fit.history["energy"][4] <= 1e-28  # what follows is rounding: 1e-28 is (1e-16)^2 for each of 10^4 residuals


def test_the_summary_of_a_large_dense_fit_makes_no_covariance(monkeypatch):
    monkeypatch.setattr(report, "SVD_LIMIT", 10)
    A = np.vander(np.linspace(-1, 1, 5), 3)
    problem = gf.DenseLeastSquares(lambda t: A @ t - 1, lambda t: A)
    fit = gf.solve(problem, gf.LevenbergMarquardt(), np.zeros(3), steps=2)
    assert "errors   not computed, for 5 residuals and 3 parameters: call covariance()" in fit.summary()


def test_a_dense_row_is_not_squared():
    """J^T J would be full: products are taken."""
    n = 2000
    J = scipy.sparse.vstack([scipy.sparse.eye_array(n), np.ones((1, n)) / n], format="csr")
    problem = gf.DenseLeastSquares(lambda u: J @ u - 1, lambda u: J)
    model = GaussNewton().at(problem, np.zeros(n))
    assert choose_form(model, None) == "lanczos"
    assert sparse.normal_entries(J) == n + n**2
    fit = gf.solve(problem, gf.LevenbergMarquardt(), np.zeros(n), steps=10, stop=CLOSE)
    assert np.linalg.norm(J.T @ (J @ fit.theta - 1)) <= 1e-8 * np.linalg.norm(J.T @ np.ones(n + 1))


@pytest.mark.parametrize(
    "problem",
    [banded(7, "dense")[0], banded(7, linear=gf.Matrix(np.diag(np.arange(1.0, 8.0))))[0]],
    ids=["dense Jacobian", "full linear part"],
)
def test_sparse_factorisations_refuse_what_is_not_sparse(problem):
    with pytest.raises(ValueError, match="solver='sparse' needs"):
        gf.solve(problem, gf.LevenbergMarquardt(solver="sparse"), np.ones(7), steps=1)


def test_a_singular_matrix_has_no_solution():
    B = scipy.sparse.csc_array(np.diag([1.0, 0.0]))
    assert np.all(np.isnan(sparse.shifted_solve(B, 0.0, np.ones(2))))
    np.testing.assert_allclose(sparse.shifted_solve(B, 0.5, np.ones(2)), [2 / 3, 2])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (scipy.sparse.eye_array(8, 6, format="csr"), r"must have shape \(N, P\), N = 8 and P = 7"),
        (scipy.sparse.eye_array(8, 7, format="csr", dtype=np.float32), "dtype of theta, float64; got float32"),
        (scipy.sparse.eye_array(8, 7, format="csr", dtype=np.int64), "dtype of theta, float64; got int64"),
        (scipy.sparse.eye_array(8, 7, format="csr", dtype=np.complex128), "dtype of theta, float64; got complex128"),
    ],
)
def test_wrong_sparse_jacobians_are_refused(value, message):
    problem = gf.DenseLeastSquares(lambda u: np.zeros(8), lambda u: value)
    with pytest.raises(ValueError, match=rf"jacobian\(theta\) must have .*{message}|jacobian\(theta\) {message}"):
        problem.linearize(np.zeros(7))


def test_a_sparse_residual_is_refused():
    problem = gf.DenseLeastSquares(lambda u: scipy.sparse.coo_array(np.ones(8)))
    with pytest.raises(ValueError, match=r"residual\(theta\) must be an array"):
        problem.energy(np.zeros(7))


def test_a_sparse_jacobian_goes_with_numpy_only():
    problem = gf.DenseLeastSquares(
        lambda u: array_api_strict.ones(8, dtype=array_api_strict.float64), lambda u: scipy.sparse.eye_array(8, 7)
    )
    with pytest.raises(ValueError, match=r"jacobian\(theta\) must be an array of the library of theta"):
        problem.linearize(array_api_strict.zeros(7, dtype=array_api_strict.float64))


def test_a_function_may_reuse_its_sparse_array():
    J = scipy.sparse.eye_array(8, 7, format="csr")
    problem = gf.DenseLeastSquares(lambda u: np.ones(8), lambda u: J)
    at = problem.linearize(np.zeros(7))
    J.data[:] = 5
    assert np.array_equal(at.jacobian(), np.eye(8, 7))


def test_entries_given_twice_are_added():
    J = scipy.sparse.csr_array(
        (np.array([1.0, 2.0, 5.0, 4.0]), np.array([1, 1, 1, 0]), np.array([0, 2, 4])), shape=(2, 2)
    )
    problem = gf.DenseLeastSquares(lambda u: np.ones(2), lambda u: J, mass=2.0)
    at, exact = problem.linearize(np.zeros(2)), np.array([[0.0, 3.0], [4.0, 5.0]])
    assert np.array_equal(at.jacobian(), exact)
    assert at.gram_trace() == np.sum(exact**2) / 2
    assert np.array_equal(at.gram(), exact @ exact.T / 2)
    assert J.nnz == 4  # as it was given


def test_a_matrix_too_large_to_be_dense_is_refused(monkeypatch):
    monkeypatch.setattr(sparse, "DENSE_ENTRIES", 50)
    problem, theta = banded(7)
    for solver, wanted in (("svd", r"\(8, 7\)"), ("gram", r"\(8, 8\)")):
        method = gf.GaussNewton(solver=solver)
        with pytest.raises(ValueError, match=rf"shape {wanted} is too large to be stored as a dense one"):
            gf.solve(problem, method, theta, steps=1)
    with pytest.raises(ValueError, match="too large to be stored as a dense one"):
        covariance(problem, theta)


def test_a_linearization_of_its_own_may_be_sparse():
    J = scipy.sparse.csr_array(np.array([[1.0, 0.0], [2.0, 3.0], [0.0, 4.0]]))
    at = DenseLinearization(np.ones(3), J)
    assert np.array_equal(at.vjp(np.ones(3)), [3.0, 7.0])
    assert at.work.products == 12 * 4
