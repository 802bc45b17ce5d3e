"""MSAV: the roots of parts, and the family whose ends are SAV and restarted IEQ."""

import numpy as np
import pytest

import gradflow as gf
from cases import DTYPES, LINEAR_PARTS, MASSES, residual_case
from gradflow.energies.parts import PartsLinearization, part_of_each

BLOCKS = (1, 2, 7, 9, (0, 1, 0, 2, 1, 1, 0, 2, 3))


def path(scheme, problem, theta, dt, n=5):
    states = [scheme.init(problem, theta)]
    for _ in range(n):
        states.append(scheme.step(problem, states[-1], dt))
    return states


# -- The roots of the parts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", BLOCKS)
@pytest.mark.parametrize("mass", MASSES)
def test_the_linearisation_of_the_roots(mass, parts):
    """Q_i^2 = 2 (F_i + C); `jvp` is its derivative, `vjp` the adjoint, and the matrices are those of the maps."""
    case, C = residual_case(1, 6, 9, mass=mass), 0.3
    problem, theta = case.problem, case.theta
    roots = lambda t: PartsLinearization(problem.linearize(t), parts, C, problem.mass)  # noqa: E731
    at, q, labels = roots(theta), problem.linearize(theta).residual, np.array(part_of_each(parts, 9))
    m = labels.max() + 1
    F = np.array([np.sum(q[labels == i] ** 2) / 2 for i in range(m)])
    np.testing.assert_allclose(at.residual, np.sqrt(2 * (F + C)), rtol=1e-14)
    assert at.residual @ at.residual / 2 == pytest.approx(problem.energy(theta) + m * C, rel=1e-14)
    rng = np.random.default_rng(0)
    d, u, h = rng.standard_normal(6), rng.standard_normal(m), 1e-6
    np.testing.assert_allclose(
        at.jvp(d), (roots(theta + h * d).residual - roots(theta - h * d).residual) / (2 * h), rtol=1e-7, atol=1e-8
    )
    assert problem.inner(at.vjp(u), d) == pytest.approx(u @ at.jvp(d), rel=1e-12)
    np.testing.assert_allclose(at.gram() @ u, at.jvp(at.vjp(u)), rtol=1e-11, atol=1e-12)
    np.testing.assert_array_equal(at.gram(), at.gram().T)
    np.testing.assert_allclose(at.jacobian() @ d, at.jvp(d), rtol=1e-11, atol=1e-12)


class Silent:
    """A linearisation that declares no costs, and has no Gram matrix."""

    def __init__(self, at):
        self.residual, self.jvp, self.vjp = at.residual, at.jvp, at.vjp


class Declared(Silent):
    """One that declares them, and has a Gram matrix but no products."""

    def __init__(self, at):
        super().__init__(at)
        self.gram, self.work, self.gram_trace, self.jvp = at.gram, at.work, at.gram_trace, None


def test_the_matrix_from_products_is_that_from_the_gram_matrix():
    """Of many parts from the Gram matrix, which costs less; of one from products."""
    net = gf.TwoLayerNet(3, 8, activation="tanh")
    X = np.random.default_rng(0).standard_normal((40, 3))
    at = gf.Regression(net, X, X[:, 0]).linearize(net.init(0))
    many, products = PartsLinearization(Declared(at), 40, 0.1), PartsLinearization(Silent(at), 40, 0.1)
    np.testing.assert_allclose(many.gram(), products.gram(), rtol=1e-10, atol=1e-12)
    with pytest.raises(TypeError):  # it has no products
        PartsLinearization(Declared(at), 1, 0.1).gram()


def test_blocks_are_consecutive_and_even():
    for N in range(1, 12):
        for m in range(1, N + 1):
            sizes = np.bincount(part_of_each(m, N))
            assert list(part_of_each(m, N)) == sorted(part_of_each(m, N))
            assert len(sizes) == m
            assert sizes.max() - sizes.min() <= 1


# -- The ends of the family, and the scheme between them ----------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mass", MASSES)
@pytest.mark.parametrize("linear", LINEAR_PARTS)
def test_one_part_is_sav(linear, mass, dtype):
    """Vanilla, the carried r included; so are its wrapped forms."""
    case = residual_case(1, 6, 9, linear=linear, mass=mass, dtype=dtype)
    tol = 2e4 * np.finfo(dtype).eps
    for dt in (1e-3, 1.0, 1e3):
        one, sav = gf.MSAV(parts=1, C=0.5, stabilization=0.3), gf.SAV(C=0.5, stabilization=0.3)
        for wrap in (lambda s: s, gf.Restart, gf.Relaxed):
            for a, b in zip(
                path(wrap(one), case.problem, case.theta, dt),
                path(wrap(sav), case.problem, case.theta, dt),
                strict=True,
            ):
                assert a.aux.shape == (1,)
                np.testing.assert_allclose(a.theta, b.theta, rtol=tol, atol=tol)
                np.testing.assert_allclose(a.aux[0], b.aux, rtol=tol, atol=tol)


@pytest.mark.parametrize("mass", MASSES)
@pytest.mark.parametrize("linear", LINEAR_PARTS)
def test_one_residual_in_each_part_is_restarted_ieq(linear, mass):
    """C = 0, whatever the signs of the residuals and in whatever order the parts are numbered."""
    case = residual_case(1, 6, 9, linear=linear, mass=mass)
    signs = np.sign([case.problem.linearize(s.theta).residual for s in path(gf.IEQ(), case.problem, case.theta, 1.0)])
    assert np.any(signs != signs[0])
    for parts in (9, (3, 1, 4, 0, 5, 8, 2, 6, 7)):
        for dt in (1e-3, 1.0, 1e3):
            a = path(gf.Restart(gf.MSAV(parts=parts, C=0.0)), case.problem, case.theta, dt)
            b = path(gf.Restart(gf.IEQ()), case.problem, case.theta, dt)
            for x, y in zip(a, b, strict=True):
                np.testing.assert_allclose(x.theta, y.theta, rtol=1e-8, atol=1e-9)


def test_without_a_restart_it_is_ieq_until_a_residual_changes_its_sign():
    """q = (t - 1, t - 10) from 0 with dt = 1: 11/3 for both, and then 44/9 (IEQ) or 20/3 (MSAV); the law holds for both."""
    line = gf.DenseLeastSquares(lambda t: np.array([t[0] - 1, t[0] - 10]), lambda t: np.ones((2, 1)))
    ieq = path(gf.IEQ(), line, np.zeros(1), 1.0, 2)
    scheme = gf.MSAV(parts=2, C=0.0)
    msav = path(scheme, line, np.zeros(1), 1.0, 2)
    assert [s.theta[0] for s in ieq[1:]] == pytest.approx([11 / 3, 44 / 9])
    assert [s.theta[0] for s in msav[1:]] == pytest.approx([11 / 3, 20 / 3])
    assert msav[1].aux[0] < 0
    assert scheme.modified_energy(line, msav[2]) < scheme.modified_energy(line, msav[1])


@pytest.mark.parametrize("linear", LINEAR_PARTS)
def test_the_step_solves_the_m_equations(linear):
    """Equations (2) and (3), with gradients of the parts formed by hand, for an arbitrary carried r."""
    case, C, S, dt, labels = (
        residual_case(3, 6, 9, linear=linear, mass="diagonal"),
        0.7,
        0.4,
        0.8,
        np.repeat([0, 1, 2], 3),
    )
    problem, theta, L = case.problem, case.theta, case.problem.linear
    q, J = problem.linearize(theta).residual, problem.linearize(theta).jacobian()
    g = [J[labels == i].T @ q[labels == i] / problem.mass for i in range(3)]
    R = np.sqrt([q[labels == i] @ q[labels == i] / 2 + C for i in range(3)])
    r = np.array([0.3, -1.0, 2.0])
    new = gf.MSAV(parts=3, C=C, stabilization=S).step(problem, gf.schemes.state.AuxState(theta, r), dt)
    d = new.theta - theta
    np.testing.assert_allclose(new.aux - r, [problem.inner(g[i], d) / (2 * R[i]) for i in range(3)], atol=1e-12)
    drift = L.apply(new.theta) + S * d + sum(new.aux[i] / R[i] * g[i] for i in range(3))
    np.testing.assert_allclose(d / dt, -drift, atol=1e-11)


def test_more_parts_see_more_of_the_curvature():
    """An affine residual with stiff and soft blocks: a step with a block each is Gauss-Newton's, SAV's is a gradient step."""
    J, theta = np.diag([1.0, 30.0, 900.0]), np.array([1.6, 1.3, 1.1])
    problem = gf.DenseLeastSquares(lambda t: J @ t, lambda t: J)
    ends = {m: gf.solve(problem, gf.Restart(gf.MSAV(parts=m, C=0.0)), theta, dt=1e6, steps=3) for m in (1, 2, 3)}
    energies = {m: run.history["energy"][-1] / run.history["energy"][0] for m, run in ends.items()}
    assert energies[3] < 1e-6
    assert energies[3] < energies[2] < energies[1]


# -- Batches, statuses and refusals -------------------------------------------------------------------------------


def test_a_number_of_parts_suits_every_batch():
    """The variable has one entry a part, not one a residual: a run in mini-batches needs no gather."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((24, 3)), rng.standard_normal(24)
    net = gf.TwoLayerNet(3, 8, activation="tanh")
    problem = gf.Regression(net, X, y)
    for scheme in (gf.MSAV(parts=4), gf.Restart(gf.MSAV(parts=4)), gf.Relaxed(gf.MSAV(parts=4))):
        run = gf.solve(problem, scheme, net.init(0), dt=0.5, epochs=20, batch_size=8, seed=1)
        assert run.status is gf.Status.DONE
        assert run.history["energy"][-1] < run.history["energy"][0]
    with pytest.raises(ValueError, match="one number for each of the 8 residuals, got 24"):
        gf.solve(
            problem, gf.MSAV(parts=[k % 3 for k in range(24)]), net.init(0), dt=0.5, epochs=1, batch_size=8, seed=1
        )


def test_a_part_without_an_energy_is_not_admissible():
    exact = gf.DenseLeastSquares(lambda t: np.array([0 * t[0], t[0], t[1], t[2]]), lambda t: np.eye(4, 3, -1))
    solution = np.array([1.0, 2.0, 3.0])
    for parts, refused in ((4, True), (1, False)):
        scheme = gf.MSAV(parts=parts, C=0.0)
        if refused:
            with pytest.raises(ValueError, match="C must satisfy F_i"):
                scheme.init(exact, solution)
            assert "not defined" in scheme.undefined(exact, solution)
        else:
            assert scheme.undefined(exact, solution) == ""
            assert scheme.init(exact, solution).aux.shape == (1,)
    run = gf.solve(exact, gf.MSAV(parts=4, C=1.0), solution, dt=0.1, steps=5)
    assert run.status is gf.Status.DONE
    nowhere = gf.DenseLeastSquares(lambda t: t * np.nan, lambda t: np.eye(3))
    with pytest.raises(ValueError, match="the energy at theta0 must be finite, got nan"):
        gf.MSAV().init(nowhere, solution)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (0, "parts must be a whole number >= 1, got 0"),
        (2.0, "parts must be a whole number"),
        (True, "parts must be a whole number"),
        ([], "parts must contain every number"),
        ([0, 2], "parts must contain every number"),
        ([1, 2], "parts must contain every number"),
        ([0, -1], "parts must be a whole number >= 0, got -1"),
        (np.array([0.0, 1.0]), "parts must be a whole number"),
        ("two", "parts must be a whole number"),
    ],
    ids=repr,
)
def test_wrong_parts_are_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        gf.MSAV(parts=parts)


def test_parts_that_do_not_fit_the_problem_are_refused():
    case = residual_case(0, 3, 4)
    for parts, message in (
        (5, "at most the number of residuals, 4, got 5"),
        ((0, 1), "each of the 4 residuals, got 2"),
    ):
        with pytest.raises(ValueError, match=message):
            gf.MSAV(parts=parts).init(case.problem, case.theta)
    with pytest.raises(ValueError, match="MSAV needs a least-squares problem"):
        gf.MSAV().init(gf.FunctionProblem(lambda t: t @ t, lambda t: 2 * t), np.ones(2))
    without = PartsLinearization(case.problem.linearize(case.theta), 2, 1.0)
    with pytest.raises(ValueError, match="`mass`"):
        without.jacobian()


def test_labels_of_any_kind_are_kept_as_numbers():
    schemes = [gf.MSAV(parts=kind([0, 1, 1, 0])) for kind in (list, tuple, np.array)]
    assert len({hash(scheme) for scheme in schemes}) == 1
    assert schemes[0] == schemes[1] == schemes[2]
    assert schemes[2].parts == (0, 1, 1, 0)
