"""What a fit reports: confidence intervals and bands by the exact law of linear models, correlations, names, sparse covariances."""

import numpy as np
import pytest
import scipy.sparse
import scipy.stats

import gradflow as gf
from gradflow.description import describe
from gradflow.run import fit as fits
from gradflow.run import report, sparse_fit
from gradflow.run.fit import KINDS, covariance
from gradflow.schemes import second_order_methods
from gradflow.schemes.usual_names import usual_name

X = np.linspace(0, 4, 30)
NAMES = ("amplitude", "rate", "background")
STOP = gf.Tolerance(step_relative=1e-9)
Y = 2 * np.exp(-1.3 * X) + 0.5 + 0.05 * np.random.default_rng(3).standard_normal(30)


def decay(**options):
    return gf.DenseLeastSquares(lambda p: p[0] * np.exp(-p[1] * X) + p[2] - Y, **options)


def fitted(problem=None, **options):
    start = np.array([1.0, 0.5, 0.0])
    method = gf.LevenbergMarquardt(**options)
    return gf.solve(decay() if problem is None else problem, method, start, steps=200, stop=STOP)


def line(y, x, **options):
    A = np.stack([np.ones_like(x), x], axis=1)
    return gf.DenseLeastSquares(lambda p: A @ p - y, lambda p: A, **options), np.linalg.lstsq(A, y, rcond=None)[0]


# -- Intervals and bands ----------------------------------------------------------------------------------------------


def test_intervals_and_bands_have_their_level_in_a_linear_model():
    """Of 2000 data sets of normal errors, a level of 0.8 holds in 0.8, to 4 standard deviations; 5 degrees of freedom.

    Scheffe's band holds at all points together: the largest ratio of error and width over all linear functions is that of
    the ellipsoid, ``(e^T Cov^{-1} e)^{1/2}``.
    """
    rng, true, x, at = np.random.default_rng(0), np.array([1.0, -2.0]), np.linspace(0, 1, 7), np.linspace(-1, 2, 5)
    draws, level = 2000, 0.8
    held, inside, observed, together = np.zeros(2), np.zeros(5), np.zeros(5), 0

    def curve(p):
        return p[0] + p[1] * at

    for _ in range(draws):
        problem, theta = line(true[0] + true[1] * x + 0.3 * rng.standard_normal(7), x)
        cov = covariance(problem, theta)
        low, high = cov.interval(level).T
        held += (low < true) & (true < high)
        band = cov.band(curve, level)
        inside += (band.lower < curve(true)) & (curve(true) < band.upper)
        t = (band.upper - band.value) / band.standard_errors
        new = curve(true) + 0.3 * rng.standard_normal(5)
        observed += np.abs(new - band.value) < t * (band.standard_errors**2 + cov.dispersion) ** 0.5
        wide = cov.band(lambda p: p[:1], level, simultaneous=True)
        error = theta - true
        together += (error @ np.linalg.solve(cov.matrix, error)) ** 0.5 < (
            (wide.upper - wide.value) / wide.standard_errors
        )[0]
    for share in (held / draws, inside / draws, observed / draws, together / draws):
        assert np.all(np.abs(share - level) < 4 * (level * (1 - level) / draws) ** 0.5)


@pytest.mark.parametrize("simultaneous", [False, True])
def test_the_band_is_that_of_the_delta_method(simultaneous):
    cov, at = fitted().covariance(), np.linspace(0, 5, 7)
    a, b, _ = cov.theta
    e = np.exp(-b * at)
    J = np.stack([e, -a * at * e, np.ones(7)], axis=1)
    band = cov.band(lambda p: p[0] * np.exp(-p[1] * at) + p[2], 0.9, simultaneous=simultaneous)
    t = scipy.stats.t.ppf(0.95, 27)
    if simultaneous:
        t = (3 * scipy.stats.f.ppf(0.9, 3, 27)) ** 0.5
    np.testing.assert_allclose(band.standard_errors, np.sqrt(np.diag(J @ cov.matrix @ J.T)), rtol=1e-10)
    np.testing.assert_allclose(band.upper - band.value, t * band.standard_errors, rtol=1e-10)
    np.testing.assert_allclose(band.value - band.lower, t * band.standard_errors, rtol=1e-10)


def test_a_band_of_a_curve_without_complex_arguments():
    cov = fitted().covariance()
    band = cov.band(lambda p: np.abs(p))
    np.testing.assert_allclose(band.standard_errors, cov.standard_errors, rtol=1e-7)


def test_intervals_are_those_of_student():
    cov = fitted().covariance()
    t = scipy.stats.t.ppf(0.995, 27)
    wanted = np.stack([cov.theta - t * cov.standard_errors, cov.theta + t * cov.standard_errors], axis=1)
    np.testing.assert_allclose(cov.interval(0.99), wanted, rtol=1e-12)


def test_a_covariance_of_another_array_library():
    xp = pytest.importorskip("array_api_strict")
    A = np.random.default_rng(1).standard_normal((9, 4))
    plain = covariance(gf.DenseLeastSquares(lambda t: A @ t - 1, lambda t: A), np.zeros(4), fixed=np.arange(4) == 2)
    A_of = xp.asarray(A)
    problem = gf.DenseLeastSquares(lambda t: A_of @ t - 1.0, lambda t: A_of)
    found = covariance(problem, xp.zeros(4), fixed=xp.arange(4) == 2)
    rows = np.random.default_rng(2).standard_normal((2, 4))
    for name, value in (
        ("matrix", found.matrix),
        ("correlation", found.correlation),
        ("standard_errors", found.standard_errors),
        ("interval", found.interval()),
        ("errors_of", found.errors_of(xp.asarray(rows))),
    ):
        wanted = getattr(plain, name)
        wanted = wanted(rows) if name == "errors_of" else wanted() if callable(wanted) else wanted
        np.testing.assert_allclose(np.asarray(value), wanted, rtol=1e-12, atol=1e-15)
    band, rows_of = found.band(lambda t: xp.asarray(rows) @ t), plain.errors_of(rows)
    np.testing.assert_allclose(np.asarray(band.standard_errors), rows_of, rtol=1e-7)


@pytest.mark.parametrize("level", [0.0, 1.0, 95, "0.95", np.nan])
def test_a_level_is_a_probability(level):
    cov = fitted().covariance()
    for call in (cov.interval, lambda value: cov.band(lambda p: p, value)):
        with pytest.raises(ValueError, match=r"level must lie in \(0, 1\)"):
            call(level)


def test_what_is_no_curve_is_refused():
    cov = fitted().covariance()
    with pytest.raises(ValueError, match=r"curve\(theta\) must"):
        cov.band(lambda p: p[0])
    with pytest.raises(ValueError, match="X must have shape"):
        cov.errors_of(np.eye(2))


# -- Correlations, names, bounds --------------------------------------------------------------------------------------


def test_the_correlation_is_the_scaled_covariance():
    cov = fitted().covariance()
    root = np.diag(1 / cov.standard_errors)
    np.testing.assert_allclose(cov.correlation, root @ cov.matrix @ root, rtol=1e-12)
    np.testing.assert_allclose(np.diag(cov.correlation), 1, rtol=1e-14)


def test_the_summary_names_parameters_and_correlations():
    end = fitted(decay(names=NAMES))
    said, C = end.summary(), end.covariance().correlation
    for name, value, error in zip(NAMES, end.theta, end.covariance().standard_errors, strict=True):
        row = next(row for row in said.splitlines() if row.startswith(f"{name} "))
        assert f"{value:.9g}" in row
        assert f"{error:.4g}" in row
        assert f"({100 * error / value:.2g} %)" in row
    assert "dispersion (reduced chi-square)" in said
    pairs = said.splitlines()[-1]
    assert pairs.startswith("correlations beyond 0.1: ")
    for i in range(3):
        for j in range(i + 1, 3):
            named = f"({NAMES[i]}, {NAMES[j]}) {C[i, j]:+.3f}"
            assert (named in pairs) == (abs(C[i, j]) > 0.1)


def test_uncorrelated_parameters_have_no_line_of_correlations():
    problem, theta = line(np.array([0.0, 1.0, 0.5, 1.5]), np.array([-2.0, -1.0, 1.0, 2.0]))
    assert "correlations" not in gf.solve(problem, gf.GaussNewton(), theta, steps=1).summary()


def test_a_reduced_chi_square_is_not_said_of_a_robust_loss():
    said = fitted(decay(loss=gf.Huber(0.05))).summary()
    assert "dispersion" in said
    assert "chi-square" not in said


def test_fixed_parameters_have_no_width_and_no_correlation():
    bounds = gf.Bounds(lower=[0, 0, -np.inf], upper=[1.8, np.inf, np.inf])
    cov = fitted(decay(names=NAMES), bounds=bounds).covariance()
    assert cov.interval()[0].tolist() == [1.8, 1.8]
    assert np.all(cov.correlation[0] == 0)
    assert np.all(cov.correlation[:, 0] == 0)
    np.testing.assert_allclose(np.diag(cov.correlation)[1:], 1, rtol=1e-14)
    band = cov.band(lambda p: p + 0.0)
    np.testing.assert_allclose(band.standard_errors, cov.standard_errors, rtol=1e-9)
    rest = cov.matrix[1:, 1:]
    np.testing.assert_allclose(cov.correlation[1, 2], rest[0, 1] / (rest[0, 0] * rest[1, 1]) ** 0.5, rtol=1e-12)


def test_parameters_that_are_not_determined_are_named():
    problem = gf.DenseLeastSquares(lambda p: (p[0] + p[1]) * X + p[2] - Y, names=("slope", "other slope", "level"))
    with pytest.raises(ValueError, match=r"rank 2, P = 3; not determined: slope, other slope$"):
        covariance(problem, np.ones(3))


@pytest.mark.parametrize(
    ("names", "words"),
    [("abc", "sequence of texts"), (["a", 1, "c"], "each of names must be a text"), (["a", "a", "c"], "different")],
)
def test_names_are_different_texts(names, words):
    with pytest.raises(ValueError, match=words):
        decay(names=names)


def test_there_is_a_name_for_each_parameter():
    with pytest.raises(ValueError, match="names must be one for each of the 3 parameters, got 2"):
        fitted(decay(names=("a", "b")))


def test_a_loaded_run_says_why_it_has_no_errors(tmp_path):
    problem = decay(names=NAMES)
    end = fitted(problem)
    loaded = gf.Solution.load(end.save(tmp_path / "run"))
    said = loaded.summary()
    assert (
        "errors   none: a stored run does not hold its problem; call summary(problem=...) or covariance(problem" in said
    )
    assert f"{'rate':10} {end.theta[1]:16.9g}" in said
    rows = [row for row in end.summary().splitlines() if row.startswith(NAMES)]
    assert [row for row in loaded.summary(problem=problem).splitlines() if row.startswith(NAMES)] == rows


# -- The names of methods ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", second_order_methods.__all__)
def test_a_method_is_called_by_its_name(name):
    assert usual_name(describe(getattr(second_order_methods, name)())) == (name, f"{name}()")


@pytest.mark.parametrize(
    ("method", "call"),
    [
        (gf.Newton(damping=0.5), "Newton(damping=0.5)"),
        (gf.TrustRegion(radius=2.0), "TrustRegion(radius=2.0)"),
        (gf.LevenbergMarquardt(solver="svd"), "LevenbergMarquardt(solver=svd)"),
        (gf.LevenbergMarquardt(metric=gf.curvature.Identity()), "LevenbergMarquardt(metric=Identity())"),
        (gf.CubicRegularization(weight=3.0), "CubicRegularization(weight=3.0)"),
        (gf.SaddleFreeNewton(escape=None), "SaddleFreeNewton(escape=None)"),
        (gf.HeavyBall(), "HeavyBall(momentum=0.9)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_method_with_arguments_is_called_with_them(method, call):
    assert usual_name(describe(method))[1] == call


def test_what_no_named_method_makes_is_spelled_out():
    parts = gf.SecondOrder(curvature=gf.curvature.Fisher(), globalization=gf.curvature.FixedDamping(1.0), tol=1e-3)
    name, call = usual_name(describe(parts))
    assert name == "SecondOrder"
    assert call.startswith("SecondOrder(curvature=")


def test_the_summary_of_a_fit_has_no_time():
    end = fitted()
    said = end.summary()
    assert said.startswith("scheme   LevenbergMarquardt()\n")
    assert f"trials   {end.steps}" in said
    assert "dt =" not in said
    assert "\ntime" not in said
    slower = gf.solve(decay(), gf.LevenbergMarquardt(), np.ones(3), dt=0.5, steps=2).summary()
    assert "trials   2, dt = 0.5" in slower
    assert "\ntime     1\n" in slower
    assert "steps    2, dt = 0.1" in gf.solve(decay(), gf.GradientDescent(), np.ones(3), dt=0.1, steps=2).summary()


# -- Sparse covariances -----------------------------------------------------------------------------------------------


def sparse_case(loss=None, linear=0.0, weights=None, P=40):
    """Return a sparse problem, the same with a dense Jacobian, and a point; a few outliers for the loss."""
    rng = np.random.default_rng(5)
    J = scipy.sparse.vstack(
        [
            scipy.sparse.diags_array([rng.uniform(1, 2, P), rng.uniform(-0.5, 0.5, P - 1)], offsets=[0, -1]),
            scipy.sparse.diags_array([rng.uniform(1, 2, P), rng.uniform(-0.5, 0.5, P - 3)], offsets=[0, 3]),
        ],
        format="csr",
    )
    y = rng.standard_normal(2 * P)
    options = {"loss": loss, "linear": linear, "weights": weights}
    sparse = gf.DenseLeastSquares(lambda t: J @ t - y, lambda t: J, **options)
    dense = gf.DenseLeastSquares(lambda t: J @ t - y, lambda t: J.toarray(), **options)
    end = gf.solve(dense, gf.LevenbergMarquardt(), np.zeros(P), steps=100, stop=gf.Tolerance(gradient=1e-12))
    return sparse, dense, end.theta


CASES = {
    "plain": {},
    "weights": {"weights": np.linspace(0, 2, 80)},
    "linear part": {"linear": gf.Diagonal(np.linspace(0.1, 1, 40))},
    "Huber": {"loss": gf.Huber(1.0)},
    "Cauchy": {"loss": gf.Cauchy(3.0), "linear": 0.2},
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("held", [(), (0, 7, 39)])
def test_a_sparse_factorisation_gives_the_covariance_of_singular_values(name, kind, held, monkeypatch):
    sparse, dense, theta = sparse_case(**CASES[name])
    fixed = np.isin(np.arange(40), held) if held else None
    exact = covariance(dense, theta, kind, fixed)
    monkeypatch.setattr(fits, "SPARSE_LIMIT", 1)
    monkeypatch.setattr(fits, "SPARSE_SHARE", 1)
    found = covariance(sparse, theta, kind, fixed)
    assert (found.method, exact.method) == ("a sparse factorisation of J^T J", "singular values of the Jacobian")
    assert (found.degrees_of_freedom, found.dispersion) == (
        exact.degrees_of_freedom,
        pytest.approx(exact.dispersion, 1e-13),
    )
    np.testing.assert_allclose(found.standard_errors, exact.standard_errors, rtol=1e-11)
    np.testing.assert_allclose(found.matrix, exact.matrix, rtol=1e-10, atol=1e-12 * np.max(exact.matrix))
    rows = np.random.default_rng(1).standard_normal((33, 40))
    np.testing.assert_allclose(found.errors_of(rows), exact.errors_of(rows), rtol=1e-11)
    assert np.array_equal(found.matrix, found.matrix.T)


def test_a_sparse_covariance_in_float32(monkeypatch):
    sparse, _, theta = sparse_case()
    J = sparse.linearize(theta).sparse.astype(np.float32)
    y = (J @ theta.astype(np.float32)) - sparse.linearize(theta).residual.astype(np.float32)
    single = gf.DenseLeastSquares(lambda t: J @ t - y, lambda t: J)
    exact = covariance(sparse, theta).standard_errors
    monkeypatch.setattr(fits, "SPARSE_LIMIT", 1)
    monkeypatch.setattr(fits, "SPARSE_SHARE", 1)
    found = covariance(single, theta.astype(np.float32)).standard_errors
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact, rtol=1e-5)


def chain(P, dtype=np.float64):
    """Return a sparse least-squares problem of springs, its Jacobian and a point."""
    J = scipy.sparse.diags_array([np.ones(P), -0.5 * np.ones(P)], offsets=[0, -1], shape=(P + 1, P), format="csr")
    b = np.random.default_rng(0).standard_normal(P + 1)
    return gf.DenseLeastSquares(lambda p: J @ p - b, lambda p: J), J, np.zeros(P)


def test_a_large_sparse_fit_has_standard_errors():
    """Against the closed inverse of a tridiagonal Toeplitz matrix, but for its corner, by its eigenvectors (P = 3000)."""
    P = 3000
    problem, J, theta = chain(P)
    cov = covariance(problem, theta)
    k = np.arange(1, P + 1)
    B = (J.T @ J).tocsc()
    assert np.allclose(B.diagonal(), 1.25)
    values = 1.25 - np.cos(np.pi * k / (P + 1))
    for j in (0, 17, 1499, 2999):
        v = np.sqrt(2 / (P + 1)) * np.sin(np.pi * k * (j + 1) / (P + 1))
        assert abs(cov.standard_errors[j] ** 2 / (cov.dispersion * np.sum(v**2 / values)) - 1) < 1e-11
    said = gf.solve(problem, gf.LevenbergMarquardt(), theta, steps=3).summary()
    assert "errors   by a sparse factorisation of J^T J" in said
    assert "and 2980 more" in said


def test_the_summary_of_a_large_sparse_fit_has_the_errors_that_it_shows(monkeypatch):
    problem, _, theta = chain(600)
    whole = gf.solve(problem, gf.LevenbergMarquardt(), theta, steps=3).summary()
    monkeypatch.setattr(report, "QUICK", 1)
    monkeypatch.setattr(sparse_fit, "MOST_WORK", 1)
    few = gf.solve(problem, gf.LevenbergMarquardt(), theta, steps=3).summary()
    assert whole.split("parameter  ")[1] == few.split("parameter  ")[1]


def test_what_is_too_large_is_refused_with_advice(monkeypatch):
    problem, _, theta = chain(600)
    monkeypatch.setattr(sparse_fit, "MOST_WORK", 1000)
    monkeypatch.setattr(sparse_fit, "DENSE_ENTRIES", 1000)
    cov = covariance(problem, theta)
    with pytest.raises(ValueError, match=r"all 600 parameters are too much work.*errors_of\(X\)"):
        cov.standard_errors  # noqa: B018
    with pytest.raises(ValueError, match=r"covariance of 600 parameters is too large.*standard_errors"):
        cov.matrix  # noqa: B018
    assert cov.errors_of(np.eye(3, 600)).shape == (3,)
    monkeypatch.setattr(fits, "SPARSE_SHARE", 0)
    monkeypatch.setattr(fits, "DENSE_WORK", 1000)
    with pytest.raises(ValueError, match=r"600 parameters from 601 residuals is too large: rows with many entries"):
        covariance(problem, theta)
    monkeypatch.setattr(fits, "NORMAL_ENTRIES", 0)
    monkeypatch.setattr(fits, "SPARSE_SHARE", 1)
    with pytest.raises(ValueError, match="is too large: rows with many entries"):
        covariance(problem, theta)


@pytest.mark.parametrize("share", [1e-1, 1e-3, 1e-5])
def test_a_sparse_factorisation_squares_the_condition_number_and_no_more(share, monkeypatch):
    """Two columns at the angle `share`: the errors are at most eps / share^2, and those of singular values eps / share."""
    rng = np.random.default_rng(2)
    A = rng.standard_normal((30, 4))
    A = np.column_stack([A, A[:, 3] + share * rng.standard_normal(30)])
    J = scipy.sparse.csr_array(A)
    y = rng.standard_normal(30)
    exact = covariance(gf.DenseLeastSquares(lambda t: A @ t - y, lambda t: A), np.zeros(5))
    monkeypatch.setattr(fits, "SPARSE_LIMIT", 1)
    monkeypatch.setattr(fits, "SPARSE_SHARE", 1)
    found = covariance(gf.DenseLeastSquares(lambda t: J @ t - y, lambda t: J), np.zeros(5))
    eps = np.finfo(float).eps
    np.testing.assert_allclose(found.standard_errors, exact.standard_errors, rtol=20 * eps / share**2)


@pytest.mark.parametrize("share", [0.0, 1e-7])
def test_sparse_parameters_that_are_hardly_determined_are_refused(share):
    """Two columns that are equal, or nearly so; and one of zeros."""
    P = 600
    _, J, _ = chain(P)
    J = scipy.sparse.hstack([J, J[:, [0]] + share * J[:, [1]]], format="csr")
    J = scipy.sparse.vstack([J, J], format="csr")
    problem = gf.DenseLeastSquares(lambda p: J @ p - 1, lambda p: J)
    with pytest.raises(ValueError, match="determine all parameters"):
        covariance(problem, np.zeros(P + 1))
    empty = scipy.sparse.hstack([J[:, :P], 0 * J[:, [0]]], format="csr")
    with pytest.raises(ValueError, match=r"all parameters: not \[600\]"):
        covariance(gf.DenseLeastSquares(lambda p: empty @ p - 1, lambda p: empty), np.zeros(P + 1))


def test_a_sparse_point_that_is_no_minimum_has_no_sandwich():
    """A tenth of the residuals is beyond the scale of the loss, and the curvature of these parameters is negative."""
    P = 600
    J = scipy.sparse.vstack([scipy.sparse.eye_array(P)] * 2, format="csr")
    q = np.where(np.arange(2 * P) % P < P // 10, 9.0, 0.5)
    far = gf.DenseLeastSquares(lambda p: J @ p - q, lambda p: J, loss=gf.Cauchy(1.0), linear=0.01)
    with pytest.raises(ValueError, match="theta is no minimum of positive curvature"):
        covariance(far, np.zeros(P), "sandwich")
    assert np.all(covariance(far, np.zeros(P)).standard_errors > 0)


def test_a_sparse_saddle_has_no_sandwich():
    """Each pair of parameters has a positive curvature in each, and a negative one in their sum."""
    each, pairs = [[1.0, -1.0], [1.0, -1.0], [1.0, 1.0]], 300
    J = scipy.sparse.kron(scipy.sparse.eye_array(pairs), np.array(each), format="csr")
    q = np.tile([0.2, 0.2, 9.0], pairs)
    far = gf.DenseLeastSquares(lambda p: J @ p - q, lambda p: J, loss=gf.Cauchy(1.0))
    with pytest.raises(ValueError, match="theta is no minimum of positive curvature"):
        covariance(far, np.zeros(2 * pairs), "sandwich")


def test_a_sparse_factorisation_without_digits_is_refused():
    """Two columns at the angle 1e-6: the condition number is about 4e12."""
    each, pairs = [[1.0, 1.0], [1.0, 1.0 + 1e-6], [1.0, 1.0]], 300
    J = scipy.sparse.kron(scipy.sparse.eye_array(pairs), np.array(each), format="csr")
    problem = gf.DenseLeastSquares(lambda p: J @ p - np.arange(3.0 * pairs), lambda p: J)
    with pytest.raises(
        ValueError, match=r"condition number of about \de\+1[23], and a sparse factorisation leaves no digits"
    ):
        covariance(problem, np.zeros(2 * pairs))


# -- The door ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "dt"),
    [(gf.LevenbergMarquardt(), None), (gf.LBFGS(), None), (gf.IEQ(), 0.1), (gf.GradientDescent(), 0.1)],
)
def test_missing_data_are_pointed_out(method, dt):
    y = Y.copy()
    y[[4, 7]] = np.nan
    problem = gf.DenseLeastSquares(lambda p: p[0] * np.exp(-p[1] * X) + p[2] - y)
    words = (
        r"finite, got nan: the residual is not finite in 2 of 30 rows, the first is row 4; .* weights=~np.isnan\(y\)"
    )
    with pytest.raises(ValueError, match=words):
        gf.solve(problem, method, np.ones(3), steps=3, dt=dt)


def test_a_start_where_the_model_fails_everywhere_is_not_called_missing_data():
    problem = gf.DenseLeastSquares(lambda p: np.log(p[0]) * X - Y)
    with pytest.raises(ValueError, match=r"not finite in 30 of 30 rows, the first is row 0$"):
        gf.solve(problem, gf.LevenbergMarquardt(), -np.ones(1), steps=3)


@pytest.mark.parametrize("theta0", [[1.0, 0.5, 0.0], (1, 1, 0)])
def test_a_list_is_refused_with_its_conversion(theta0):
    with pytest.raises(
        ValueError, match=r"theta0 must be an array .* np.asarray\(..., dtype=float\) makes an array of it"
    ):
        gf.solve(decay(), gf.LevenbergMarquardt(), theta0, steps=1)


def test_integers_are_refused_with_their_conversion():
    with pytest.raises(ValueError, match=r"got int64: np.asarray\(theta0, dtype=float\) is so"):
        gf.solve(decay(), gf.LevenbergMarquardt(), np.array([1, 1, 0]), steps=1)


def test_a_list_of_residuals_is_refused_with_its_conversion():
    problem = gf.DenseLeastSquares(lambda p: list(p[0] * X - Y))
    with pytest.raises(ValueError, match=r"residual\(theta\) must be an array .* np.asarray"):
        gf.solve(problem, gf.LevenbergMarquardt(), np.ones(1), steps=1)


def test_a_record_of_another_scheme_is_answered_with_those_of_this_one():
    with pytest.raises(ValueError, match=r"LBFGS records .* of its own; got 'damping'"):
        gf.solve(decay(), gf.LBFGS(), np.ones(3), steps=1, record=["energy", "damping"])
    with pytest.raises(ValueError, match="GradientDescent records nothing of its own; got 'damping'"):
        gf.solve(decay(), gf.GradientDescent(), np.ones(3), dt=0.1, steps=1, record=["damping"])


def test_a_zero_has_no_place_on_a_logarithmic_axis():
    end = gf.solve(decay(), gf.LevenbergMarquardt(), np.array([1.0, 0.5, 0.0]), steps=9, record=["size"])
    assert end.history["size"][0] == 0
    figure = end.plot("size")
    (axes,) = figure.axes
    assert axes.get_yscale() == "log"
    (curve,) = axes.get_lines()
    drawn = axes.transData.transform(curve.get_xydata())  # in pixels
    assert not np.isfinite(drawn[0, 1])
    assert np.all(np.isfinite(drawn[1:]))
    assert "LevenbergMarquardt: done after 9 steps" in figure.get_suptitle()
