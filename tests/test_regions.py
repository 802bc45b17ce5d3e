"""Trust regions of other shapes: measured by the curvature, by gradients, by blocks; and those of estimated energies."""

import array_api_strict as strict
import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats

import gradflow as gf
from gradflow.curvature.curvature_region import curvature_region
from gradflow.curvature.eigenbasis import Form
from gradflow.curvature.fisher import divergence
from gradflow.curvature.globalization import Control
from gradflow.curvature.model import Model
from gradflow.curvature.spectral import Step, minimise
from smooth_problems import SPLITS, double_well, smooth_problem

C = gf.curvature
LINEAR = {"linear": True, "quadratic": False}


def classes(seed=0, N=12, loss="cross_entropy"):
    """Return a classification of 3 classes by a small network and a theta."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((N, 2))
    net = gf.TwoLayerNet(2, 3, 3, activation="tanh", scaling="ntk")
    return gf.Classification(net, x, rng.integers(0, 3, N), loss=loss), net.init(seed)


def curve(loss="mse", k=2, N=12):
    """Return a regression by a small network and a theta."""
    x = np.linspace(-1, 1, N)[:, None]
    net = gf.TwoLayerNet(1, 3, k, activation="tanh", scaling="ntk")
    return gf.Regression(net, x, np.hstack([np.sin(3 * x), x**2])[:, :k], loss=loss), net.init(0)


def first(problem, theta, dt=1.0, **parts):
    """Return the first trial of a method, an accepted one, and its state."""
    scheme = gf.SecondOrder(**parts)
    state = scheme.step(problem, scheme.init(problem, theta), dt)
    assert state.accepted
    return state.theta - theta, state


def measured_by(model, damping, D=1.0):
    """Return the matrix of A = |G| + damping D in coordinates, by the dense eigenvalue problem B v = mu M D v."""
    B = model.matrix()
    S = np.sqrt(model.mass * D * np.ones(len(B)))
    mu, V = np.linalg.eigh(B / S / S[:, None])
    return ((V * (abs(mu) + damping)) @ V.T) * S * S[:, None]


def trial(*, length=1.0, bend=1.0, boundary=True):
    """Return a step with these numbers."""
    one = np.float64(1.0)
    return Step(np.ones(2), one, length * one, -one, bend * one, one, boundary, False, 0)


def lowest(g, B, balls):
    """Return the minimum of g.d + d.B.d/2 over ``d.A.d <= radius^2`` for each pair of `balls`, by SLSQP from three starts."""
    constraints = [
        {"type": "ineq", "fun": lambda d, A=A, r=r: 1 - d @ A @ d / r**2, "jac": lambda d, A=A, r=r: -2 * A @ d / r**2}
        for A, r in balls
    ]
    found = []
    for seed in range(3):
        start = 0.01 * np.random.default_rng(seed).standard_normal(len(g))
        found.append(
            scipy.optimize.minimize(
                lambda d: g @ d + d @ B @ d / 2,
                start,
                jac=lambda d: g + B @ d,
                constraints=constraints,
                method="SLSQP",
                options={"ftol": 1e-13, "maxiter": 300},
            )
        )
    return min(one.fun for one in found if one.success)


# -- Measured by the curvature ------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", LINEAR)
@pytest.mark.parametrize("radius", [0.05, 0.5, 20.0])
@pytest.mark.parametrize("curvature", [C.GaussNewton(), C.Hessian()], ids=["GaussNewton", "Hessian"])
@pytest.mark.parametrize("split", SPLITS)
def test_the_step_is_the_minimum_in_the_ellipsoid(split, curvature, radius, objective):
    """Against SLSQP, in a metric D of its own; with the Hessian the region is that of |H|."""
    problem, theta = smooth_problem(split)
    model, D, damping = curvature.at(problem, theta), np.array([1.0, 2.0, 0.5, 1.0]), 0.1
    A, g = measured_by(model, damping, D), model.mass * model.gradient
    B = 0 * A if LINEAR[objective] else model.matrix()

    def subproblem(form):
        return curvature_region(form.gamma, form.mu, np.float64(radius), damping, linear=LINEAR[objective])

    step = minimise(model, D, subproblem, "eigh")
    value, oracle = g @ step.d + step.d @ B @ step.d / 2, lowest(g, B, [(A, radius)])
    np.testing.assert_allclose(value, oracle, rtol=1e-6)
    # the conditions of optimality, (G + nu A) d = -g
    assert np.abs((B + float(step.nu) * A) @ step.d + g).max() < 1e-11 * np.abs(g).max()
    assert step.d @ A @ step.d <= radius**2 * (1 + 1e-11)
    assert step.boundary == (step.nu > 0)
    if step.boundary:
        np.testing.assert_allclose(step.d @ A @ step.d, radius**2, rtol=1e-11)


@pytest.mark.parametrize("damping", [1e-3, 1.0])
@pytest.mark.parametrize("make", [classes, curve])
def test_the_step_is_a_damped_natural_gradient_step(make, damping):
    """Linear: of the damping lambda and dt = t. Quadratic: of the damping nu lambda/(1 + nu) and dt = 1/(1 + nu)."""
    problem, theta = make()
    for objective, linear in LINEAR.items():
        region = C.CurvatureRegion(0.1, damping=damping, objective=objective)
        d, state = first(problem, theta, curvature=C.Fisher(), globalization=region)
        nu = float(state.damping)
        t, lam = (1 / nu, damping) if linear else (1 / (1 + nu), damping * nu / (1 + nu))
        natural = gf.NaturalGradient(damping=lam)
        other = natural.step(problem, natural.init(problem, theta), t).theta - theta
        np.testing.assert_allclose(d, other, rtol=1e-9, atol=1e-12)
        assert state.boundary
        # the length that was asked for
        A = measured_by(C.Fisher().at(problem, theta), damping)
        np.testing.assert_allclose(d @ A @ d, 0.1**2, rtol=1e-10)


def test_the_solvers_agree_and_kronecker_factors_serve():
    problem, theta = classes()
    for objective in LINEAR:
        region = C.CurvatureRegion(0.2, damping=0.01, objective=objective)
        steps = [
            first(problem, theta, curvature=C.Fisher(), globalization=region, solver=solver, tol=1e-12)[0]
            for solver in ("svd", "gram", "eigh", "lanczos")
        ]
        for d in steps[1:]:
            np.testing.assert_allclose(d, steps[0], atol=1e-9)
        curvature = C.KFAC()
        d, _ = first(problem, theta, curvature=curvature, globalization=region, solver="own")
        dense, _ = first(problem, theta, curvature=curvature, globalization=region, solver="eigh")
        np.testing.assert_allclose(d, dense, atol=1e-9)
        A = measured_by(curvature.at(problem, theta), 0.01)
        np.testing.assert_allclose(d @ A @ d, 0.2**2, rtol=1e-9)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_onehot"])
def test_the_divergence_of_classes_is_its_definition(loss):
    """Mean of sum_y p_y log(p_y/p'_y), by SciPy; for a squared loss with y ~ N(f, 1/(N c^2)), c^2 = 2/(N k)."""
    problem, theta = classes(loss=loss)
    other = theta + 0.3 * np.random.default_rng(1).standard_normal(theta.shape)
    f, f_new = (problem.net(t, problem.x) for t in (theta, other))
    if loss == "cross_entropy":
        p, p_new = scipy.special.softmax(f, axis=1), scipy.special.softmax(f_new, axis=1)
        expected = np.mean(np.sum(scipy.special.rel_entr(p, p_new), axis=1))
    else:
        variance = f.shape[1] / 2
        expected = np.mean(np.sum((f_new - f) ** 2, axis=1)) / (2 * variance)
    np.testing.assert_allclose(divergence(problem, theta, other), expected, rtol=1e-12)
    assert abs(divergence(problem, theta, theta)) <= 1e-15


@pytest.mark.parametrize("make", [classes, curve])
def test_the_fisher_matrix_is_the_second_derivative_of_the_divergence(make):
    problem, theta = make()
    F = C.Fisher().at(problem, theta).matrix()
    d = np.random.default_rng(2).standard_normal(theta.shape)
    errors = [abs(divergence(problem, theta, theta + h * d) / (h * h * d @ F @ d / 2) - 1) for h in (2e-2, 1e-2)]
    assert 0.8 < np.log2(errors[0] / errors[1]) < 1.2


@pytest.mark.parametrize("adaptive", [True, False])
@pytest.mark.parametrize("objective", LINEAR)
def test_no_accepted_step_exceeds_the_largest_divergence(objective, adaptive):
    problem, theta = classes(N=30)
    region = C.CurvatureRegion(1.0, objective=objective, adaptive=adaptive, most_divergence=0.005)
    without = C.CurvatureRegion(1.0, objective=objective, adaptive=adaptive)
    exceeded = 0
    for globalization in (region, without):
        scheme = gf.SecondOrder(curvature=C.Fisher(), globalization=globalization)
        state, accepted = scheme.init(problem, theta), 0
        for _ in range(40):
            new = scheme.step(problem, state, 1.0)
            if new.accepted:
                accepted += 1
                found = float(divergence(problem, state.theta, new.theta))
                assert problem.energy(new.theta) < problem.energy(state.theta)
                if globalization is region:
                    assert found <= 0.005 * (1 + 1e-12)
                exceeded += found > 0.005
                assert adaptive or new.control.size == 1.0
            else:
                assert new.theta is state.theta
                assert new.control.size < new.size
            state = new
        assert accepted >= 4
    assert exceeded > 0  # without a limit some do


def test_a_divergence_needs_outputs():
    problem, theta = smooth_problem()
    scheme = gf.SecondOrder(curvature=C.GaussNewton(), globalization=C.CurvatureRegion(0.01, most_divergence=1.0))
    with pytest.raises(ValueError, match="divergence needs a problem with outputs"):
        scheme.step(problem, scheme.init(problem, theta), 1.0)


def test_a_linear_step_beyond_twice_the_minimum_is_rejected_and_shortened():
    """t > 2 predicts an increase for lambda = 0; the run goes on with shorter ones, and the quadratic step is the minimum."""
    A, b = np.diag([1.0, 3.0]), np.array([1.0, 1.0])
    affine = gf.DenseLeastSquares(lambda w: A @ w - b, lambda w: A)
    start = np.zeros(2)
    parts = {"curvature": C.GaussNewton()}
    length = np.sqrt(2.0)  # |A^{-1} g|_A, so that t = radius / sqrt(2)
    for t, accepted in ((0.5, 1), (1.9, 1), (2.1, 0)):
        scheme = gf.SecondOrder(**parts, globalization=C.CurvatureRegion(t * length, damping=0.0, objective="linear"))
        state = scheme.step(affine, scheme.init(affine, start), 1.0)
        assert state.accepted == accepted
        np.testing.assert_allclose(state.predicted, t * 2 - t * t, rtol=1e-12)
        if not accepted:
            assert state.ratio == -1
            np.testing.assert_allclose(state.control.size, t * length / 4)
    for t in (1.0, 2.1):
        d, _ = first(affine, start, **parts, globalization=C.CurvatureRegion(t * length, damping=0.0))
        np.testing.assert_allclose(d, b / np.diag(A), rtol=1e-12)


@pytest.mark.parametrize("damping", [0.0, 0.1, 2.0])
def test_a_linear_step_predicts_a_decrease_up_to_its_limit(damping):
    """Equation (4): the limit of t is 2 without damping, and longer with it."""
    A, b = np.diag([1.0, 3.0]), np.array([1.0, 1.0])
    affine = gf.DenseLeastSquares(lambda w: A @ w - b, lambda w: A)
    G, g = np.diag(A) ** 2, -np.diag(A) * b
    y = g / (G + damping)
    length = np.sqrt(y @ ((G + damping) * y))
    limit = 2 * length**2 / (y @ (G * y))
    assert limit > 2 if damping else abs(limit - 2) < 1e-14
    for share, accepted in ((0.999, 1), (1.001, 0)):
        region = C.CurvatureRegion(share * limit * length, damping=damping, objective="linear")
        scheme = gf.SecondOrder(curvature=C.GaussNewton(), globalization=region)
        state = scheme.step(affine, scheme.init(affine, np.zeros(2)), 1.0)
        assert state.accepted == accepted
        assert (state.predicted > 0) == accepted


def test_the_length_is_the_divergence_the_energy_part_and_the_damping():
    """To second order: the remainder is of third order in d."""
    net = gf.TwoLayerNet(2, 4, 2, activation="tanh", scaling="ntk")
    x = np.random.default_rng(3).standard_normal((12, 2))
    problem = gf.Classification(net, x, (x[:, 0] > 0).astype(int), weight_decay=0.3)
    theta, lam = net.init(0), 0.7
    u = np.sin(np.arange(theta.size) + 1.0)
    B, rest = C.Fisher().at(problem, theta).matrix(), []
    for h in (1e-2, 1e-3):
        d = h * u
        bound = (d @ B @ d + lam * problem.inner(d, d)) / 2
        more = (problem.inner(d, problem.linear.apply(d)) + lam * problem.inner(d, d)) / 2
        true = divergence(problem, theta, theta + d)
        assert true < bound
        rest.append(abs(bound - more - true) / h**2)
    assert rest[1] < 0.2 * rest[0]


@pytest.mark.parametrize("adaptive", [True, False])
def test_no_radius_exceeds_the_largest(adaptive):
    problem, theta = classes()
    region = C.CurvatureRegion(1.0, most=0.3, adaptive=adaptive)
    scheme = gf.SecondOrder(curvature=C.Fisher(), globalization=region)
    state, accepted = scheme.init(problem, theta), 0
    for _ in range(4):
        state = scheme.step(problem, state, 1.0)
        accepted += bool(state.accepted)
        assert max(state.size, state.control.size) <= 0.3
        if state.accepted and not adaptive:
            assert state.control.size == 0.3
    assert accepted >= 2


def test_the_radius_follows_the_length_in_the_metric_of_the_curvature():
    """At the boundary |d|_A is the radius; inside it is (bend + damping length^2)^(1/2), of which a quarter of the radius is kept."""
    one = np.float64(1.0)
    for damping, length, bend, boundary, ratio, new in (
        (1.0, 5.0, 7.0, True, 0.9, 4.0),
        (1.0, 5.0, 7.0, True, 0.5, 2.0),
        (1.0, 5.0, 7.0, True, 0.2, 0.5),
        (0.5, 1.0, 0.5, False, 0.9, 2.0),
        (0.5, 1.0, 0.5, False, 0.2, 0.25),  # |d|_A = 1
        (0.0, 1.0, 2.25, False, 0.2, 0.375),
        (0.0, 1.0, 0.01, False, -1.0, 0.125),
        (0.0, 1.0, 9.0, False, -1.0, 0.5),
    ):
        region = C.CurvatureRegion(1.0, damping=damping)
        step = trial(length=length, bend=bend, boundary=boundary)
        assert region.after(Control(2 * one, one), step, ratio * one).size == new
    for ratio, new in ((0.2, 1.0), (-1.0, 0.5)):
        region = C.CurvatureRegion(1.0, adaptive=False)
        assert region.after(Control(2 * one, one), trial(), ratio * one).size == new


def test_where_nothing_bends_a_step_is_left_out_or_damped():
    """A singular G: without damping, the null vector is not moved along; with it, by at most radius / sqrt(damping)."""
    gamma, mu = np.array([1.0, 1.0]), np.array([2.0, 0.0])
    for linear in (True, False):
        z = curvature_region(gamma, mu, np.float64(1.0), 0.0, linear=linear, tiny=1e-14).z
        assert z[1] == 0
        assert z[0] < 0
        z = curvature_region(gamma, mu, np.float64(1.0), 0.01, linear=linear, tiny=1e-14).z
        assert -10.0 <= z[1] < 0
        still = curvature_region(0 * gamma, abs(mu), np.float64(1.0), 0.01, linear=linear, tiny=1e-14)
        np.testing.assert_array_equal(still.z, 0)
        assert not still.boundary


@pytest.mark.parametrize("objective", LINEAR)
def test_the_region_of_the_absolute_hessian_leaves_a_saddle(objective):
    """From beside a saddle at 0 of the double well to a minimum, where Newton's method goes to the saddle."""
    problem, start = double_well(), np.array([0.1, 0.05])
    assert np.abs(gf.solve(problem, gf.Newton(), start, steps=20).theta).max() < 1e-12
    method = gf.SecondOrder(
        curvature=C.Hessian(), globalization=C.CurvatureRegion(0.2, damping=0.0, objective=objective)
    )
    end = gf.solve(problem, method, start, steps=80).theta
    np.testing.assert_allclose(end, [1, 1], atol=1e-6)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_regions_run_in_the_array_api_standard(loss):
    """With the numbers of NumPy: the divergence, and the steps in the bases of a Fisher matrix and of blocks."""
    rng = np.random.default_rng(0)
    x, labels, y = rng.standard_normal((5, 2)), np.array([0, 1, 2, 0, 1]), rng.standard_normal((5, 3))
    found = []
    for xp in (np, strict):
        net = gf.TwoLayerNet(2, 3, 3, activation="tanh", scaling="ntk", kernels="reference")
        problem = (
            gf.Regression(net, xp.asarray(x), xp.asarray(y))
            if loss == "mse"
            else gf.Classification(net, xp.asarray(x), xp.asarray(labels))
        )
        theta = xp.asarray(net.init(0))
        rows = [divergence(problem, theta, 1.1 * theta)]
        for curvature, region in (
            (C.Fisher(), C.CurvatureRegion(0.2, most_divergence=1.0)),
            (C.Fisher(), C.CurvatureRegion(0.2, objective="linear", adaptive=False)),
            (C.BlockDiagonal(), C.BlockTrustRegion((1.0, 0.5), radius=0.2)),
            (C.BlockDiagonal(blocks="neuron"), C.BlockTrustRegion(radius=0.2)),
            (C.GeneralizedGaussNewton(), C.StochasticTrustRegion(0.2)),
        ):
            rows.append(
                gf.solve(problem, gf.SecondOrder(curvature=curvature, globalization=region), theta, steps=3).theta
            )
        found.append([np.asarray(row) for row in rows])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


# -- Measured by gradients ----------------------------------------------------------------------------------------


class Flat:
    """The curvature 0: the model is linear."""

    def at(self, problem, theta):
        model = Model(problem, theta)
        model.apply = lambda v: 0 * v
        return model


@pytest.mark.parametrize("split", ["plain", "energy-part-and-mass"])
@pytest.mark.parametrize(
    ("decay", "scheme", "dt"), [(1.0, gf.Adagrad(eps=1e-14), 0.1), (0.9, gf.RMSProp(decay=0.9, eps=1e-14), 0.01)]
)
def test_with_a_linear_model_the_average_of_squares_is_adagrad_and_rmsprop(decay, scheme, dt, split):
    problem, theta = smooth_problem(split)
    method = gf.SecondOrder(
        curvature=Flat(),
        metric=C.GradientSquares(decay=decay, eps=1e-14),
        globalization=C.FixedDamping(1.0),
        solver="eigh",
    )
    one = gf.solve(problem, method, theta, dt=dt, steps=12).theta
    other = gf.solve(problem, scheme, theta, dt=dt, steps=12).theta
    np.testing.assert_allclose(one, other, rtol=1e-10)


@pytest.mark.parametrize("decay", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("power", [0.5, 1.0])
def test_the_memory_is_the_diagonal_of_the_sum_of_outer_products(power, decay):
    """D^(1/p) = sum_k c_k (g_k g_k^T + eps^2 I), on the diagonal; rejected trials add nothing."""
    problem, theta = smooth_problem(scale=2.0)
    scheme = gf.SecondOrder(
        curvature=C.GaussNewton(),
        metric=C.GradientSquares(decay=decay, power=power, eps=1e-3),
        globalization=C.TrustRegion(radius=3.0),
    )
    state, total, fresh, rejected = scheme.init(problem, theta), 0.0, True, 0
    for _ in range(12):
        g = problem.energy_and_gradient(state.theta)[1]
        new = scheme.step(problem, state, 1.0)
        if fresh:
            total = decay * total + (1 - decay if decay < 1 else 1.0) * (np.outer(g, g) + 1e-6 * np.eye(4))
        np.testing.assert_allclose(new.weights, np.diag(total) ** power, rtol=1e-12)
        rejected, fresh, state = rejected + 1 - int(new.accepted), bool(new.accepted), new
    assert rejected > 0


@pytest.mark.parametrize(
    "metric",
    [C.GradientPower(), C.GradientPower(0.5), C.GradientSquares(), C.GradientSquares(decay=1.0, power=1.0)],
    ids=repr,
)
def test_a_region_of_gradients_is_an_ellipsoid(metric):
    """Against SLSQP: the step of an indefinite model in D, and D by its definition."""
    problem, theta = smooth_problem("mass")
    model = C.Hessian().at(problem, theta)
    D = metric.weights(model, metric.start(theta))
    g = model.gradient
    if isinstance(metric, C.GradientPower):
        np.testing.assert_allclose(D, abs(g) ** metric.power, rtol=1e-13)
    else:
        first_weight = 1 - metric.decay if metric.decay < 1 else 1
        np.testing.assert_allclose(D, (first_weight * (g**2 + metric.eps**2)) ** metric.power, rtol=1e-13)
    radius = 0.3
    d, _ = first(problem, theta, curvature=C.Hessian(), metric=metric, globalization=C.TrustRegion(radius=radius))
    g, B = model.mass * g, model.matrix()
    np.testing.assert_allclose(g @ d + d @ B @ d / 2, lowest(g, B, [(np.diag(model.mass * D), radius)]), rtol=1e-6)


def test_squares_of_gradients_make_a_method_invariant_to_scales():
    """theta_i -> c_i theta_i: |g|^2 and the sum of squares with p = 1 scale as the diagonal of the curvature does, |g| does not."""
    problem, theta = smooth_problem()
    scales = np.array([0.1, 1.0, 10.0, 3.0])
    scaled = gf.FunctionProblem(
        lambda t: problem.energy(scales * t),
        lambda t: scales * problem.energy_and_gradient(scales * t)[1],
        hvp=lambda t, v: scales * problem.hvp(scales * t, scales * v),
    )
    for metric, same in (
        (C.GradientPower(2.0, floor=1e-300), True),
        (C.GradientSquares(power=1.0, eps=1e-100), True),
        (C.GradientPower(1.0), False),
        (C.GradientSquares(power=0.5), False),
    ):
        method = gf.TrustRegion(radius=0.3, metric=metric)
        one = gf.solve(problem, method, theta, steps=4).theta
        other = scales * gf.solve(scaled, method, theta / scales, steps=4).theta
        assert np.allclose(one, other, rtol=1e-7) is same


def test_a_gradient_of_zero_is_a_metric_of_ones():
    problem = double_well()
    model = C.Hessian().at(problem, np.array([1.0, -1.0]))
    for metric, D in ((C.GradientPower(), [1, 1]), (C.GradientSquares(eps=0.5, decay=1.0), [0.5, 0.5])):
        np.testing.assert_array_equal(metric.weights(model, metric.start(model.theta)), D)
    # entries that vanish are bounded below
    model = C.Hessian().at(problem, np.array([0.5, -1.0]))
    np.testing.assert_allclose(C.GradientPower(floor=0.1).weights(model, None), 0.375 * np.array([1, 0.1]), rtol=1e-14)


# -- By blocks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("curvature", [C.GeneralizedGaussNewton(), C.Hessian()], ids=["GGN", "Hessian"])
@pytest.mark.parametrize("blocks", ["layer", "neuron"])
def test_each_block_is_a_trust_region_of_its_own(blocks, curvature):
    """Against SLSQP with all balls at once, and against one problem for each block."""
    problem, theta = curve(k=1)
    parts = C.BlockDiagonal(curvature, blocks)
    groups = [rows for group in problem.parameter_blocks(blocks) for rows in group]
    ratios = tuple(0.5 + i for i in range(len(groups)))
    model = parts.at(problem, theta)
    B, mass, delta = model.matrix(), model.mass * np.ones(len(theta)), 0.05
    region = C.BlockTrustRegion(ratios, radius=delta)
    d, state = first(problem, theta, curvature=parts, globalization=region)
    g, balls, total, most = mass * model.gradient, [], 0.0, 0.0
    for rows, r in zip(groups, ratios, strict=True):
        inside = np.isin(np.arange(len(theta)), rows)
        balls.append((np.diag(mass * inside), r * delta))
        part = d * inside
        assert part @ (mass * part) <= (r * delta) ** 2 * (1 + 1e-10)
        one = np.ix_(inside, inside)
        total += lowest(g[inside], B[one], [(np.diag(mass[inside]), r * delta)])
        # the conditions of optimality of the block, with the multiplier that its length gives
        image = (B @ part + g)[inside]
        nu = -(image @ d[inside]) / (part @ (mass * part))
        assert np.abs(image + nu * mass[inside] * d[inside]).max() < 1e-9 * np.abs(g).max()
        assert nu > -1e-10
        assert np.linalg.eigvalsh(B[one] + nu * np.diag(mass[inside])).min() > -1e-10
        most = max(most, nu)
    value = g @ d + d @ B @ d / 2
    np.testing.assert_allclose(value, total, rtol=1e-6)
    np.testing.assert_allclose(value, lowest(g, B, balls), rtol=1e-5)
    np.testing.assert_allclose(state.damping, most, rtol=1e-8)
    np.testing.assert_allclose(state.predicted, -value, rtol=1e-12)


def test_one_block_is_the_trust_region_and_long_radii_are_the_minimum():
    problem, theta = curve(k=1)

    class Whole:
        """The curvature of one block."""

        def at(self, problem, theta):
            group = np.arange(len(theta))[None, :]
            return C.block_diagonal.BlockDiagonalModel(C.Hessian().at(problem, theta), [group])

    one, _ = first(problem, theta, curvature=Whole(), globalization=C.BlockTrustRegion(radius=0.1))
    other, _ = first(problem, theta, curvature=C.Hessian(), globalization=C.TrustRegion(radius=0.1))
    np.testing.assert_allclose(one, other, atol=1e-12)


def test_a_run_with_radii_of_layers_decreases_the_energy():
    """The ratio is that of the whole step; a radius that bounds one layer bounds it in every step."""
    problem, theta = curve(k=1)
    W = problem.parameter_blocks("layer")[0][0]
    scheme = gf.SecondOrder(
        curvature=C.BlockDiagonal(), globalization=C.BlockTrustRegion((1e-3, 1.0), radius=1.0, most=1.0)
    )
    state = scheme.init(problem, theta)
    for _ in range(20):
        new = scheme.step(problem, state, 1.0)
        d = (new.theta - state.theta)[W]
        assert problem.inner(new.theta - state.theta, new.theta - state.theta) <= (1 + 1e-3**2) * new.size**2 * (
            1 + 1e-9
        )
        assert np.sqrt(problem.mass) * np.linalg.norm(d) <= 1e-3 * new.size * (1 + 1e-9)
        if new.accepted:
            assert new.actual >= 1e-4 * new.predicted > 0
        state = new
    assert problem.energy(state.theta) < 0.5 * problem.energy(theta)


def test_the_radius_of_blocks_follows_a_bound_of_the_norm():
    """max |d_l|/r_l is at most the radius, and |d| over the least ratio; one block at its boundary is enough to grow."""
    one = np.float64(1.0)
    for ratios, length, ratio, new in (
        ((0.5, 2.0), 0.25, 0.2, 0.125),
        ((0.5, 2.0), 7.0, 0.2, 0.5),
        ((0.5, 2.0), 7.0, 0.9, 4.0),
        (None, 1.0, 0.2, 0.25),
    ):
        region = C.BlockTrustRegion(ratios)
        assert region.after(Control(2 * one, one), trial(length=length), ratio * one).size == new
    gamma, mu, blocks = np.array([1.0, 1.0]), np.array([1.0, 100.0]), np.array([0, 1])
    z, nu, boundary = C.BlockTrustRegion().solve(Form(gamma, mu, lambda z: z, 0.0, blocks), 0.5 * one)
    np.testing.assert_allclose(z, [-0.5, -0.01], rtol=1e-12)
    assert (abs(nu - 1) < 1e-12, boundary) == (True, True)


def test_a_region_of_blocks_needs_blocks():
    problem, theta = curve(k=1)
    for curvature, solver, ratios, words in (
        (C.GeneralizedGaussNewton(), "auto", None, "needs curvature=BlockDiagonal"),
        (C.BlockDiagonal(), "eigh", None, "needs curvature=BlockDiagonal"),
        (C.BlockDiagonal(), "own", (1.0, 2.0, 3.0), "one number for each of 2 blocks, got 3"),
    ):
        scheme = gf.SecondOrder(curvature=curvature, globalization=C.BlockTrustRegion(ratios), solver=solver)
        with pytest.raises(ValueError, match=words):
            scheme.step(problem, scheme.init(problem, theta), 1.0)


# -- Estimated energies -------------------------------------------------------------------------------------------


def test_the_radius_follows_the_two_tests():
    region = C.StochasticTrustRegion(1.0, most=3.0, accept=0.2, steepness=0.5, factor=2.0)
    problem = double_well()
    model = C.Hessian().at(problem, np.array([0.5, 1.0]))  # |g| = 0.375
    one = np.float64(1.0)
    for size, ratio, weights, accepted in (
        (0.7, 0.2, None, True),
        (0.7, 0.19, None, False),
        (0.8, 0.9, None, False),  # the gradient is too short for the radius
        (0.8, 0.9, np.array([0.25, 1.0]), True),  # but not in this metric
        (2.0, 0.9, np.array([0.25, 1.0]), False),
        (0.1, -1.0, None, False),
    ):
        assert region.accepts(model, model, weights, size * one, ratio * one) is accepted
    step = trial()
    for size, ratio, new in ((1.0, 0.2, 2.0), (1.0, 0.19, 0.5), (2.0, 1.0, 3.0), (2.0, -1.0, 1.0)):
        assert region.after(Control(size * one, one), step, ratio * one).size == new


@pytest.mark.parametrize("curvature", [C.GaussNewton(), C.Hessian()], ids=["GaussNewton", "Hessian"])
@pytest.mark.parametrize("metric", [C.Identity(), C.CurvatureDiagonal()], ids=["identity", "diagonal"])
@pytest.mark.parametrize(("steepness", "dt"), [(0.1, 1.0), (0.5, 1.0), (0.5, 0.4)])
def test_without_noise_the_sum_of_the_squared_radii_is_bounded(steepness, dt, metric, curvature):
    """(2) for each accepted step, (3) for the run, with dt^2 c for c: the radius tends to 0, and theta converges."""
    problem, theta = smooth_problem("energy-part-and-mass")
    eta, gamma = 0.1, 2.0
    region = C.StochasticTrustRegion(2.0, accept=eta, steepness=steepness, factor=gamma)
    scheme = gf.SecondOrder(curvature=curvature, metric=metric, globalization=region)
    state = scheme.init(problem, theta)
    squares, bound, refused = 0.0, 0.0, 0
    for n in range(120):
        new = scheme.step(problem, state, dt)
        if new.exhausted:  # what is left of the energy is rounding
            break
        delta, g = float(new.size), problem.energy_and_gradient(state.theta)[1]
        slope = np.sqrt(problem.inner(g, g / new.weights))
        if n == 0:
            bound = delta**2
        squares += delta**2
        if new.accepted:
            S = np.sqrt(problem.mass * new.weights * np.ones(4))
            kappa = max(np.linalg.eigvalsh(curvature.at(problem, state.theta).matrix() / S / S[:, None])[-1], 0)
            drop = float(problem.energy(state.theta) - problem.energy(new.theta))
            c = dt**2 * eta * steepness * min(steepness / kappa if kappa > 0 else 1, 1) / 2
            noise = 64 * np.finfo(float).eps * problem.energy(state.theta)
            assert slope >= steepness * delta * (1 - 1e-12)
            assert drop >= c * delta**2 - noise
            bound += (gamma**2 - gamma**-2) * (drop + noise) / c
            assert new.control.size == gamma * delta
        else:
            refused += bool(new.ratio >= eta)
            assert new.theta is state.theta
            np.testing.assert_allclose(new.control.size, delta / gamma)
        assert (1 - gamma**-2) * squares <= bound * (1 + 1e-12)
        state = new
    assert refused > 0  # by the second test alone
    assert state.control.size < 1e-2
    assert np.linalg.norm(problem.energy_and_gradient(state.theta)[1]) < 1e-3


@pytest.mark.parametrize(("start", "offset"), [(0.0, 0.0), (0.0, 1.0), (10.0, 0.0)], ids=["zero", "minimum", "far"])
def test_at_the_minimum_the_radius_tends_to_zero_too(start, offset):
    """(3) with trials that round to theta: its second test fails there, and the state is no standstill."""
    A, eta, gamma = np.array([1.0, 3.0]), 0.5, 2.0
    bowl = gf.FunctionProblem(lambda t: t @ (A * t) / 2 + offset, lambda t: A * t, lambda t, v: A * v)
    region = C.StochasticTrustRegion(0.5, accept=eta, steepness=1.0, factor=gamma)
    scheme = gf.SecondOrder(curvature=C.Hessian(), globalization=region)
    theta = np.full(2, start)
    state, squares = scheme.init(bowl, theta), 0.0
    for _ in range(60):
        state = scheme.step(bowl, state, 1.0)
        squares += float(state.size) ** 2
    c = eta * min(1 / 3, 1) / 2
    wanted = 0.25 + (gamma**2 - gamma**-2) * float(bowl.energy(theta) - offset) / c
    assert (1 - gamma**-2) * squares <= wanted * (1 + 1e-12)
    assert 0 < state.control.size < 1e-9
    # a region of another kind learns nothing from a step of length 0
    other = gf.SecondOrder(curvature=C.Hessian(), globalization=C.CurvatureRegion(0.5))
    state = other.init(bowl, np.zeros(2))
    for _ in range(3):
        state = other.step(bowl, state, 1.0)
        assert state.control.size == 0.5


def test_a_batch_is_judged_by_its_own_energies():
    """Model and both energies are those of the batch of the step."""
    problem, theta = curve(k=1, N=24)
    scheme = gf.SecondOrder(curvature=C.GaussNewton(), globalization=C.StochasticTrustRegion(1.0, steepness=0.01))
    state, rng = scheme.init(problem, theta), np.random.default_rng(0)
    seen = set()
    for _ in range(30):
        batch = problem.batch(np.sort(rng.choice(24, 6, replace=False)))
        new = scheme.step(batch, state, 1.0)
        g = batch.energy_and_gradient(state.theta)[1]
        long_enough = np.sqrt(batch.inner(g, g)) >= 0.01 * new.size
        assert bool(new.accepted) == (new.ratio >= 0.1 and long_enough)
        if new.accepted:
            np.testing.assert_allclose(
                batch.energy(state.theta) - batch.energy(new.theta), new.ratio * new.predicted, rtol=1e-9
            )
        seen.add((bool(new.accepted), bool(new.ratio >= 0.1)))
        state = new
    assert (True, True) in seen
    run = gf.solve(problem, scheme, theta, epochs=30, batch_size=12, seed=0)
    assert run.history["energy"][-1] < 0.1 * run.history["energy"][0]
