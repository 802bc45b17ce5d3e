"""Figure 12 of Ma, Mao & Shen on a network of two layers: the task, and what can be said of the schemes beforehand."""

import numpy as np
import pytest

import gradflow as gf
from gradflow.experiments.burgers import BurgersTask, initial_fronts

TINY = {"n_x": 8, "n_t": 5, "n_initial": 5, "n_walls": 3, "width": 6, "batch_size": 8}


def task(**changes):
    return BurgersTask(**{"epochs": 1, "dtype": "float64", **TINY, **changes})


def error(drawn, theta):
    """Return the relative error that a run records."""
    ((name, of),) = drawn.how["record"]
    assert name == "relative_error"
    return of(gf.FlowState(theta))


def test_the_points_fill_the_domain_and_the_error_is_that_of_the_solution():
    drawn = task(n_x=4, n_t=2, n_initial=3, n_walls=2).draw(0)
    X = drawn.problem._points.X
    assert sorted(set(X[:8, 0])) == [0.5, 1.0]
    assert sorted(set(X[:8, 1])) == [-0.75, -0.25, 0.25, 0.75]
    np.testing.assert_allclose(drawn.problem._points.y[8:11], [0, 0, 0], atol=1e-15)  # -sin(pi x) at -1, 0, 1
    assert error(drawn, 0 * drawn.theta0) == 1.0


def test_the_first_fronts_cross_the_domain_and_draws_differ_in_them_alone():
    net = gf.TwoLayerNet(2, 400, activation="tanh", scaling="standard")
    W, a = net.unpack(initial_fronts(net, 0, 15.0, "float64"))
    assert (np.min(np.abs(W[1])) >= 1, np.max(np.abs(W[1])) <= 15) == (True, True)
    assert np.median(np.abs(W[1])) == pytest.approx(np.sqrt(15), rel=0.2)  # log-uniform
    corners = np.array([[t, x, 1] for t in (0, 1) for x in (-1, 1)]) @ W
    assert np.all((corners.min(axis=0) <= 0) & (corners.max(axis=0) >= 0))
    assert np.std(a) == pytest.approx(1 / np.sqrt(800), rel=0.15)
    one, other = task().draw(0), task().draw(1)
    assert one.problem.describe() == other.problem.describe()
    assert not np.array_equal(one.theta0, other.theta0)


@pytest.mark.parametrize("dt", [0.01, 0.001])
def test_element_by_element_and_with_a_large_constant_it_is_adam_with_another_epsilon(dt):
    """Equation (2): epsilon + lambda dt in the place of epsilon; restarted, relaxed or neither."""
    drawn = task().draw(0)
    adam = gf.solve(drawn.problem, gf.Adam(eps=1e-8 + 4.0 * dt), drawn.theta0, dt=dt, steps=30)
    sav = gf.AdaptiveSAV(C=1e12, stabilization=4.0, reading="elementwise")
    for scheme in (sav, gf.Restart(sav), gf.Relaxed(sav)):
        run = gf.solve(drawn.problem, scheme, drawn.theta0, dt=dt, steps=30)
        assert np.linalg.norm(run.theta - adam.theta) < 1e-8 * np.linalg.norm(adam.theta - drawn.theta0)


def test_levenberg_marquardt_gets_near_the_solution():
    """Equation, conditions and solution are of one problem: at a large viscosity a small network is enough."""
    sizes = {"n_x": 30, "n_t": 30, "n_initial": 40, "n_walls": 20, "width": 30}
    drawn = task(nu=0.3, steepest=4.0, **sizes).draw(0)
    run = gf.solve(drawn.problem, gf.Restart(gf.IEQ()), drawn.theta0, dt=lambda n: 30.0 * 1.1**n, steps=40)
    assert error(drawn, drawn.theta0) > 0.5
    assert error(drawn, run.theta) < 0.02
