"""What stands for the linear system of IEQ: sweeps over blocks of parameters, and sketched systems."""

from importlib import import_module
from itertools import product

import numpy as np
import pytest

import gradflow as gf
from cases import DTYPES, LINEAR_PARTS, MASSES, affine_case, residual_case
from gradflow.curvature import block_sweep
from gradflow.curvature.sketched import SKETCHES, draw_at
from gradflow.energies.linear import Matrix, Zero
from gradflow.schemes.state import AuxState
from network_cases import network_case

C = gf.curvature
damped_step = import_module("gradflow.curvature.damped_step")
P, N = 8, 16
BLOCKS = ((5, 0, 2), (7,), (1, 3, 4, 6))
SOLVERS = {
    **{f"{sweep}": C.BlockSweep(BLOCKS, sweep) for sweep in block_sweep.SWEEPS},
    **{f"columns-{kind}": C.ColumnSketch(3, kind) for kind in SKETCHES},
    **{f"rows-{kind}": C.RowSketch(5, kind) for kind in SKETCHES},
    "rows-sketched-gradient": C.RowSketch(5, full_gradient=False),
}
CASES = list(product(LINEAR_PARTS, MASSES))


def system(case, theta, q, S, dt):
    """Return, of the system of IEQ in coordinates: its matrix (P, P), that without J, minus its right-hand side, J and M."""
    problem, J = case.problem, case.problem.linearize(theta).jacobian()
    M = (1.0 if problem.mass is None else problem.mass) * np.ones(len(theta))
    L = problem.linear.apply(np.ones(len(theta)))
    A = np.diag(M * (1 / dt + L + S))
    return A + J.T @ J, A, J.T @ q + M * L * theta, J, M


def multiple(B, g, d):
    """Return the best multiple of a direction."""
    return -(g @ d) / (d @ B @ d)


def step_of(solver, case, dt, S=0.0, q=None):
    scheme = gf.IEQ(solver=solver, stabilization=S)
    q = case.problem.linearize(case.theta).residual if q is None else q
    return scheme.step(case.problem, AuxState(case.theta, q), dt)


# -- The law ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SOLVERS)
def test_the_law_of_ieq_is_exact_for_the_full_residual(name, dtype):
    """For any carried q, dt and S, and after a restart: to 6 eps of the magnitudes, as for the exact solution."""
    rng, eps = np.random.default_rng(5), np.finfo(dtype).eps
    for trial, (linear, mass) in enumerate(CASES):
        case = residual_case(trial, P, N, dtype=dtype, linear=linear, mass=mass, scale=10 ** rng.uniform(-1, 0.5))
        problem = case.problem
        for base in (gf.IEQ(solver=SOLVERS[name], stabilization=4.0 * (trial % 2)),):
            for scheme in (base, gf.Restart(base), gf.Relaxed(base)):
                dt = float(10 ** rng.uniform(-8, 8))
                state = scheme.init(problem, case.theta)
                for _ in range(3):
                    new = scheme.step(problem, state, dt)
                    assert new.theta.dtype == new.aux.dtype == dtype
                    terms = scheme.energy_terms(problem, state, new, dt)
                    start = state._replace(aux=None) if isinstance(scheme, gf.Restart) else state
                    before, after = scheme.modified_energy(problem, start), scheme.modified_energy(problem, new)
                    moved = np.abs(new.theta - state.theta) / dt
                    size = abs(before) + abs(after) + terms.dissipation + abs(terms.numerical)
                    size = size + problem.inner(np.abs(new.theta), moved)
                    if not isinstance(scheme, gf.Relaxed):  # which spends a part of the drop
                        assert abs(after - before + terms.dissipation + terms.numerical) <= 6 * eps * size
                    assert after - before <= 6 * eps * size
                    assert terms.dissipation >= 0
                    state = new


# -- Sweeps -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("linear", "mass"), CASES)
@pytest.mark.parametrize("dt", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("sweep", block_sweep.SWEEPS)
def test_a_sweep_is_one_iteration_of_its_method(sweep, dt, linear, mass):
    """Against a dense solve with the block triangle, or the diagonal blocks; tau obeys its bounds and formulas."""
    case, S = residual_case(2, P, N, linear=linear, mass=mass), 0.7
    q = np.random.default_rng(1).standard_normal(N)
    B, _, g, J, _ = system(case, case.theta, q, S, dt)
    number = np.array([next(b for b, block in enumerate(BLOCKS) if i in block) for i in range(P)])
    D = np.where(number[:, None] == number, B, 0)
    triangle = np.where(number[:, None] >= number, B, 0)
    d = np.linalg.solve(triangle if sweep == "gauss-seidel" else D, -g)
    tau = multiple(B, g, d)
    share = (d @ D @ d) / (d @ B @ d)
    assert tau == pytest.approx((1 + share) / 2 if sweep == "gauss-seidel" else share, rel=1e-9)
    assert share >= 1 / len(BLOCKS)
    new = step_of(C.BlockSweep(BLOCKS, sweep), case, dt, S, q)
    scale = np.abs(tau * d).max()
    np.testing.assert_allclose(new.theta - case.theta, tau * d, rtol=0, atol=1e-10 * scale + 1e-15)
    np.testing.assert_allclose(new.aux, q + tau * (J @ d), rtol=1e-9, atol=1e-11)


def test_tau_of_jacobi_attains_its_least_value():
    """q = theta_1 + ... + theta_l, dt large: each block removes q, and 1 / l of their sum is right."""
    for count in (2, 3, 5):
        line = gf.DenseLeastSquares(lambda t: np.array([t.sum()]), lambda t: np.ones((1, len(t))))
        blocks = tuple((i,) for i in range(count))
        scheme = gf.IEQ(solver=C.BlockSweep(blocks, "jacobi"))
        new = scheme.step(line, scheme.init(line, np.ones(count)), 1e12)
        np.testing.assert_allclose(new.theta, np.zeros(count), atol=1e-10)


@pytest.mark.parametrize("sweep", block_sweep.SWEEPS)
@pytest.mark.parametrize(("linear", "mass"), CASES)
def test_one_block_is_ieq(linear, mass, sweep):
    case = residual_case(3, P, N, linear=linear, mass=mass)
    new, wanted = (step_of(solver, case, 2.0) for solver in (C.BlockSweep((range(P),), sweep), "parameter"))
    np.testing.assert_allclose(new.theta, wanted.theta, rtol=1e-11)
    np.testing.assert_allclose(new.aux, wanted.aux, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", ["layer", "neuron"])
@pytest.mark.parametrize("time_scale", ["mean_field", "autograd"])
def test_blocks_of_a_network_are_those_of_its_curvature(time_scale, kind):
    """A Jacobi sweep has the direction of the damped block-diagonal Gauss-Newton step."""
    case = network_case("tanh", 2, "mse", "ntk", time_scale, weight_decay=0.3)
    problem, theta, dt = case.problem, case.theta, 3.0
    blocks = C.BlockDiagonal(C.GaussNewton(), kind)
    method = gf.SecondOrder(curvature=blocks, globalization=C.FixedDamping(1 / dt))
    wanted = method.step(problem, method.init(problem, theta), 1.0).theta - theta
    found = step_of(C.BlockSweep(kind, "jacobi"), case, dt).theta - theta
    np.testing.assert_allclose(found / np.linalg.norm(found), wanted / np.linalg.norm(wanted), atol=1e-10)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize(("linear", "mass"), CASES[::2])
def test_products_replace_a_jacobian_that_is_too_large(linear, mass, name, monkeypatch):
    case = residual_case(4, P, N, linear=linear, mass=mass)
    wanted = step_of(SOLVERS[name], case, 0.7)
    monkeypatch.setattr(damped_step, "JACOBIAN_LIMIT", 0)
    new = step_of(SOLVERS[name], case, 0.7)
    np.testing.assert_allclose(new.theta, wanted.theta, rtol=1e-9)


def test_a_block_from_products_has_the_matrices_of_its_maps():
    case = residual_case(4, P, N)
    at = block_sweep.BlockLinearization(
        case.problem.linearize(case.theta), lambda v: v[:3], lambda d: np.r_[d, 0 * d, 0, 0]
    )
    J = at.jacobian()
    assert J.shape == (N, 3)
    np.testing.assert_allclose(at.gram() @ at.residual, at.jvp(at.vjp(at.residual)), rtol=1e-12)
    np.testing.assert_allclose(J @ np.arange(3.0), at.jvp(np.arange(3.0)), rtol=1e-12)


@pytest.mark.parametrize("name", [*block_sweep.SWEEPS, "rows-gaussian", "rows-srht"])
def test_a_small_step_is_one_of_the_flow(name):
    """The error of a step is of second order in dt, for every draw."""
    case = residual_case(6, P, N, linear="diagonal", mass="diagonal")
    _, g = case.problem.energy_and_gradient(case.theta)
    sizes = (1e-3, 5e-4, 2.5e-4)
    errors = [np.abs(step_of(SOLVERS[name], case, dt).theta - case.theta + dt * g).max() for dt in sizes]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.all(np.abs(orders - 2) < 0.15)


# -- Sketches -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SKETCHES)
@pytest.mark.parametrize(("linear", "mass"), CASES)
def test_a_column_sketch_is_the_step_in_its_subspace(linear, mass, kind):
    """Against a dense solve in the range of S, whatever its basis; tau = 1."""
    case, S, dt = residual_case(7, P, N, linear=linear, mass=mass), 0.2, 5.0
    q = np.random.default_rng(2).standard_normal(N)
    B, _, g, J, M = system(case, case.theta, q, S, dt)
    T = draw_at(case.theta, P, kind, 4, 9) / np.sqrt(M)[:, None]
    T = T[:, np.any(T != 0, axis=0)]
    d = -T @ np.linalg.solve(T.T @ B @ T, T.T @ g)
    new = step_of(C.ColumnSketch(4, kind, 9), case, dt, S, q)
    np.testing.assert_allclose(new.theta - case.theta, d, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(new.aux, q + J @ d, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("name", [name for name in SOLVERS if not name.startswith("rows")])
def test_a_direction_goes_downhill_by_its_own_length(name, scale):
    """Before the scaling by IEQ, which would turn a direction of the wrong sign: tau > 1/2, = 1 in a subspace, = s for Jacobi."""
    case = residual_case(17, P, N, scale=0.5, mass="mean_field")
    q, dt = scale * np.random.default_rng(3).standard_normal(N), 2.0
    at = case.problem.linearize(case.theta)
    B, _, _, J, _ = system(case, case.theta, q, 0.0, dt)
    found = SOLVERS[name].direction(damped_step.DampedSystem(case.problem, case.theta, at, q, None, Zero(), dt, None))
    np.testing.assert_allclose(found.J_d, J @ found.d, rtol=1e-11, atol=1e-13 * scale)
    tau = multiple(B, J.T @ q, found.d)
    least = {"gauss-seidel": 0.5, "jacobi": 1 / len(BLOCKS)}.get(name, 1 - 1e-12)
    assert tau >= least
    assert tau == pytest.approx(1.0, rel=1e-12) or name in block_sweep.SWEEPS


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("kind", SKETCHES)
@pytest.mark.parametrize(("linear", "mass"), CASES)
def test_a_row_sketch_is_the_multiple_of_its_own_solution(linear, mass, kind, full):
    case, S, dt = residual_case(8, P, N, linear=linear, mass=mass), 0.2, 5.0
    q = np.random.default_rng(2).standard_normal(N)
    B, A, g, J, _ = system(case, case.theta, q, S, dt)
    W = draw_at(case.theta, N, kind, 5, 9).T
    right = g if full else g - J.T @ q + J.T @ W.T @ W @ q
    d = -np.linalg.solve(A + J.T @ W.T @ W @ J, right)
    tau = multiple(B, g, d)
    assert not full or tau > 0
    new = step_of(C.RowSketch(5, kind, 9, full_gradient=full), case, dt, S, q)
    np.testing.assert_allclose(new.theta - case.theta, tau * d, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(new.aux, q + tau * (J @ d), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    "solver", [C.ColumnSketch(99), C.RowSketch(99, "srht"), C.RowSketch(99, "srht", full_gradient=False)]
)
@pytest.mark.parametrize(("linear", "mass"), CASES)
def test_a_sketch_of_all_is_ieq(linear, mass, solver):
    """All P columns span everything; all N = 16 rows of the Hadamard sketch are orthonormal."""
    case = residual_case(9, P, N, linear=linear, mass=mass)
    new, wanted = (step_of(s, case, 2.0) for s in (solver, "parameter"))
    np.testing.assert_allclose(new.theta, wanted.theta, rtol=1e-10)
    np.testing.assert_allclose(new.aux, wanted.aux, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("mass", MASSES)
def test_a_restarted_column_sketch_is_the_sketched_damped_method(mass):
    """Step by step along a run: the draws agree as well."""
    case, dt = residual_case(10, P, N, linear="shift", mass=mass), 2.0
    damped = gf.SecondOrder(curvature=C.Sketched(C.GaussNewton(), 3, seed=4), globalization=C.FixedDamping(1 / dt))
    ieq, theta = gf.Restart(gf.IEQ(solver=C.ColumnSketch(3, seed=4))), case.theta
    for _ in range(6):
        wanted = damped.step(case.problem, damped.init(case.problem, theta), 1.0).theta
        new = ieq.step(case.problem, ieq.init(case.problem, theta), dt).theta
        np.testing.assert_allclose(new, wanted, rtol=1e-10, atol=1e-12)
        theta = new


def test_a_draw_that_is_not_fresh_keeps_a_run_in_its_subspace():
    case = residual_case(14, P, N)
    T = draw_at(case.theta, P, "gaussian", 3, 0, fresh=False)
    for fresh in (True, False):
        run = gf.solve(case.problem, gf.IEQ(solver=C.ColumnSketch(3, fresh=fresh)), case.theta, dt=1.0, steps=5)
        d = run.theta - case.theta
        outside = d - T @ np.linalg.lstsq(T, d, rcond=None)[0]
        assert (np.linalg.norm(outside) < 1e-12) == (not fresh)


@pytest.mark.parametrize("mass", MASSES)
def test_a_small_step_in_a_random_subspace_is_k_over_P_of_that_of_the_flow(mass):
    """In the mean over Gaussian draws; the deviation of one is below 0.22, so that of the mean of 400 below 0.011."""
    case, dt = residual_case(16, P, N, linear="diagonal", mass=mass), 1e-7
    problem, (_, g) = case.problem, case.problem.energy_and_gradient(case.theta)
    shares = [
        -problem.inner(g, step_of(C.ColumnSketch(3, seed=seed), case, dt).theta - case.theta)
        / (dt * problem.inner(g, g))
        for seed in range(400)
    ]
    assert np.std(shares) > 0.1
    assert abs(np.mean(shares) - 3 / P) < 0.04


def test_row_sketches_with_the_full_gradient_reach_the_minimum():
    """Residuals do not vanish there: linear convergence, where a sketched gradient is mostly noise."""
    case = affine_case(11, 8, 400)
    least = case.problem.energy(np.linalg.lstsq(case.J, case.b, rcond=None)[0])
    ends = []
    for full in (True, False):
        scheme = gf.Restart(gf.IEQ(solver=C.RowSketch(80, full_gradient=full)))
        energy = gf.solve(case.problem, scheme, case.theta, dt=1e3, steps=12).history["energy"] - least
        assert np.all(np.diff(energy) <= 1e-12 * energy[0])
        ends.append(energy[-1] / energy[0])
    assert ends[0] < 1e-8
    assert ends[1] > 1e-6


def test_a_sketched_gradient_may_point_uphill():
    """The law holds nevertheless, with a negative multiple."""
    signs = []
    for seed in range(40):
        case = residual_case(12, P, N)
        W = draw_at(case.theta, N, "gaussian", 1, seed).T
        q = case.problem.linearize(case.theta).residual
        B, A, g, J, _ = system(case, case.theta, q, 0.0, 1.0)
        d = -np.linalg.solve(A + J.T @ W.T @ W @ J, J.T @ W.T @ W @ q)
        signs.append(np.sign(multiple(B, g, d)))
        new = step_of(C.RowSketch(1, seed=seed, full_gradient=False), case, 1.0)
        assert new.aux @ new.aux <= q @ q
    assert set(signs) == {-1.0, 1.0}


# -- Runs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOLVERS)
def test_runs_repeat_and_go_on_from_a_checkpoint(name, tmp_path):
    """A draw depends on the seed and on theta alone."""
    case = residual_case(13, P, N)
    run = lambda steps, **more: gf.solve(  # noqa: E731
        case.problem, gf.IEQ(solver=more.pop("solver", SOLVERS[name])), case.theta, dt=0.5, steps=steps, **more
    )
    whole = run(20)
    np.testing.assert_array_equal(run(20).theta, whole.theta)
    file = str(tmp_path / "run.npz")
    run(7, checkpoint=file)
    again = run(20, checkpoint=file)
    np.testing.assert_array_equal(again.theta, whole.theta)
    np.testing.assert_array_equal(again.state.aux, whole.state.aux)
    if "-" in name and name != "gauss-seidel":
        other = type(SOLVERS[name])(SOLVERS[name].size, SOLVERS[name].kind, seed=1)
        assert not np.array_equal(run(20, solver=other).theta, whole.theta)


@pytest.mark.parametrize("name", SOLVERS)
def test_with_the_test_of_the_true_energy_it_never_rises(name):
    case = residual_case(15, P, N, scale=3.0)
    control = gf.ByGainRatio(dt_init=1e4)
    run = gf.solve(case.problem, gf.Restart(gf.IEQ(solver=SOLVERS[name])), case.theta, dt=control, steps=15)
    assert np.all(np.diff(run.history["energy"]) <= 0)
    assert run.history["energy"][-1] < 0.9 * run.history["energy"][0]


@pytest.mark.parametrize(
    "solver", [C.BlockSweep(), C.BlockSweep("neuron", "jacobi"), C.ColumnSketch(20), C.RowSketch(6)], ids=repr
)
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_networks_in_mini_batches(solver, activation):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((48, 3)).astype(np.float32)
    net = gf.TwoLayerNet(3, 12, activation=activation, scaling="ntk")
    problem = gf.Regression(net, X, np.sin(X[:, 0]))
    theta = net.init(0, dtype=np.float32)
    run = gf.solve(problem, gf.Restart(gf.IEQ(solver=solver)), theta, dt=1.0, epochs=10, batch_size=16, seed=1)
    assert run.status is gf.Status.DONE
    assert run.theta.dtype == np.float32
    assert run.history["energy"][-1] < 0.5 * run.history["energy"][0]


# -- Refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: C.BlockSweep("layers"), "blocks must be one of"),
        (lambda: C.BlockSweep(()), "blocks must be one of"),
        (lambda: C.BlockSweep(((0,), ())), "blocks must not be empty"),
        (lambda: C.BlockSweep(((0, 1), (1,))), "must have each index once"),
        (lambda: C.BlockSweep((0, 1)), "sequences of whole numbers, got 0"),
        (lambda: C.BlockSweep(((0, 1.5),)), "blocks must be a whole number"),
        (lambda: C.BlockSweep(((0, -1),)), "blocks must be a whole number >= 0"),
        (lambda: C.BlockSweep("layer", "sor"), "sweep must be one of"),
        (lambda: C.ColumnSketch(0), "size must be"),
        (lambda: C.RowSketch(2, "fourier"), "kind must be"),
        (lambda: C.RowSketch(2, seed=-1), "seed must be"),
        (lambda: C.RowSketch(2, full_gradient=1), "full_gradient must be"),
        (lambda: C.ColumnSketch(2, fresh=0), "fresh must be"),
        (lambda: gf.IEQ(solver=C.BlockSweep), "solver must be one of"),
        (lambda: gf.IEQ(solver=C.GaussNewton()), "solver must be one of"),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_does_not_suit_the_problem_is_refused():
    case = residual_case(0, P, N)
    for blocks in (((0, 1),), ((0, 1, 2, 3, 4, 5, 6, 8),), (range(9),)):
        with pytest.raises(ValueError, match="blocks must have each of the 8 parameters once"):
            step_of(C.BlockSweep(blocks), case, 1.0)
    with pytest.raises(
        ValueError, match="needs a problem with parameter_blocks, which DenseLeastSquares does not have"
    ):
        step_of(C.BlockSweep("neuron"), case, 1.0)
    coupled = gf.DenseLeastSquares(lambda t: case.J @ t, lambda t: case.J, linear=Matrix(np.eye(P) + 1.0))
    for solver in (C.BlockSweep(BLOCKS), C.ColumnSketch(2)):
        with pytest.raises(ValueError, match="needs a diagonal linear part"):
            gf.IEQ(solver=solver).step(coupled, AuxState(case.theta, None), 1.0)


def test_blocks_of_any_kind_are_kept_as_numbers():
    kinds = (list, tuple, np.array)
    solvers = [C.BlockSweep([kind([0, 2]), kind([1, 3])]) for kind in kinds] + [C.BlockSweep((range(0, 3, 2), [1, 3]))]
    assert len({hash(gf.IEQ(solver=solver)) for solver in solvers}) == 1
    assert all(solver == solvers[0] for solver in solvers)
