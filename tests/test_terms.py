"""Sums of energies, and MSAV on their terms: between SAV, with one term, and IEQ, with one for each residual."""

from itertools import pairwise

import array_api_strict as strict
import numpy as np
import pytest

import gradflow as gf
from cases import DTYPES, LINEAR_PARTS, MASSES, residual_case
from gradflow.energies.linear import Diagonal, Matrix
from gradflow.energies.parts import TermsLinearization
from network_cases import network_case
from smooth_problems import as_function_problem, double_well, smooth_problem


def path(scheme, problem, theta, dt, n=5):
    states = [scheme.init(problem, theta)]
    for _ in range(n):
        states.append(scheme.step(problem, states[-1], dt))
    return states


def groups_of_samples(dtype="float64", weight_decay=0.3, time_scale="mean_field"):
    """Return a classification problem, the same as a sum over three groups of its samples, and theta."""
    case = network_case("tanh", 3, "cross_entropy", "ntk", time_scale, N=12, weight_decay=weight_decay, dtype=dtype)
    rows = [np.arange(2), np.arange(2, 7), np.arange(7, 12)]
    return (
        case.problem,
        gf.SumOfEnergies([case.problem.batch(r) for r in rows], [len(r) / 12 for r in rows]),
        case.theta,
    )


def residual_terms(case):
    """Return the terms q_k^2 / 2 of a least-squares problem; the first has its energy part."""
    q = lambda t: case.problem.linearize(t).residual  # noqa: E731
    J = lambda t: case.problem.linearize(t).jacobian()  # noqa: E731
    mass = case.problem.mass
    M = 1.0 if mass is None else mass
    return [
        gf.FunctionProblem(
            lambda t, k=k: q(t)[k] ** 2 / 2,
            lambda t, k=k: q(t)[k] * J(t)[k] / M,
            mass=mass,
            linear=case.problem.linear if k == 0 else 0.0,
        )
        for k in range(len(q(case.theta)))
    ]


@pytest.mark.parametrize("decay", [0.0, 0.3, Diagonal(np.linspace(0, 1, 24))], ids=("none", "shift", "diagonal"))
@pytest.mark.parametrize("time_scale", ["mean_field", "autograd"])
def test_groups_of_samples_add_up_to_the_whole(time_scale, decay):
    whole, parts, theta = groups_of_samples(weight_decay=decay, time_scale=time_scale)
    v = np.random.default_rng(0).standard_normal(len(theta))
    assert parts.energy(theta) == pytest.approx(whole.energy(theta), rel=1e-13)
    assert parts.nonlinear_energy(theta) == pytest.approx(whole.nonlinear_energy(theta), rel=1e-13)
    for found, wanted in (
        (parts.energy_and_gradient(theta)[1], whole.energy_and_gradient(theta)[1]),
        (parts.hvp(theta, v), whole.hvp(theta, v)),
        (parts.linear.apply(v), whole.linear.apply(v)),
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-13)
    assert parts.inner(theta, v) == whole.inner(theta, v)
    F, g = parts.term_energies_and_gradients(theta)
    np.testing.assert_array_equal(F, parts.term_energies(theta))
    assert (F.shape, g.shape) == ((3,), (3, len(theta)))


def test_the_linearisation_of_the_roots_of_terms():
    _, parts, theta = groups_of_samples()
    at_point = lambda t: TermsLinearization(  # noqa: E731
        *parts.term_energies_and_gradients(t), 0.4, parts.inner, parts.mass
    )
    at, rng, h = at_point(theta), np.random.default_rng(1), 1e-6
    d, u = rng.standard_normal(len(theta)), rng.standard_normal(3)
    difference = (at_point(theta + h * d).residual - at_point(theta - h * d).residual) / (2 * h)
    np.testing.assert_allclose(at.jvp(d), difference, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(at.residual**2 / 2, parts.term_energies(theta) + 0.4, rtol=1e-13)
    assert parts.inner(at.vjp(u), d) == pytest.approx(u @ at.jvp(d), rel=1e-11)
    np.testing.assert_allclose(at.gram() @ u, at.jvp(at.vjp(u)), rtol=1e-11)
    np.testing.assert_array_equal(at.gram(), at.gram().T)
    np.testing.assert_allclose(at.jacobian() @ d, at.jvp(d), rtol=1e-11)
    with pytest.raises(ValueError, match="`mass`"):
        TermsLinearization(*parts.term_energies_and_gradients(theta), 0.4, parts.inner).jacobian()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("wrap", [lambda s: s, gf.Restart, gf.Relaxed], ids=("vanilla", "restart", "relaxed"))
def test_the_law_of_terms_of_any_kind(wrap, dtype):
    """|r|^2 + (theta, L theta)/2 falls by the terms of the identity, to 6 eps, for every dt."""
    _, parts, theta = groups_of_samples(dtype)
    eps = np.finfo(dtype).eps
    for dt in (1e-6, 1e-2, 1.0, 1e3, 1e7):
        scheme = wrap(gf.MSAV(parts="terms", C=0.7, stabilization=0.4))
        for old, new in pairwise(path(scheme, parts, theta, dt)):
            terms = scheme.energy_terms(parts, old, new, dt)
            start = old._replace(aux=None) if isinstance(scheme, gf.Restart) else old
            before, after = scheme.modified_energy(parts, start), scheme.modified_energy(parts, new)
            size = abs(before) + abs(after) + terms.dissipation + terms.numerical + 3 * 2 * 0.7
            size = size + parts.inner(np.abs(new.theta), np.abs(new.theta - old.theta) / dt)
            assert new.aux.dtype == new.theta.dtype == dtype
            assert after - before <= 6 * eps * size
            if not isinstance(scheme, gf.Relaxed):  # which spends a part of the drop
                assert abs(after - before + terms.dissipation + terms.numerical) <= 6 * eps * size


@pytest.mark.parametrize("mass", [None, 0.3, np.array([0.5, 1.0, 2.0])], ids=("euclidean", "number", "diagonal"))
def test_one_term_is_sav(mass):
    """For an energy that is no sum of squares, with the carried r and in its wrapped forms."""
    well, theta = double_well(mass=mass), np.array([0.3, -0.8, 1.7])
    one = gf.SumOfEnergies([well])
    for dt in (1e-2, 1.0, 1e2):
        for wrap in (lambda s: s, gf.Restart, gf.Relaxed):
            a = path(wrap(gf.MSAV(parts="terms", C=0.5)), one, theta, dt)
            b = path(wrap(gf.SAV(C=0.5)), well, theta, dt)
            for x, y in zip(a, b, strict=True):
                np.testing.assert_allclose(x.theta, y.theta, rtol=1e-11, atol=1e-12)
                np.testing.assert_allclose(x.aux[0], y.aux, rtol=1e-11)


@pytest.mark.parametrize("mass", MASSES)
@pytest.mark.parametrize("linear", LINEAR_PARTS)
def test_a_term_for_each_residual_is_restarted_ieq(linear, mass):
    """C = 0; and with any C the terms are the parts of the least-squares problem."""
    case = residual_case(1, 4, 6, linear=linear, mass=mass)
    parts = gf.SumOfEnergies(residual_terms(case))
    for dt in (1e-2, 1.0, 1e2):
        pairs = [
            (gf.Restart(gf.MSAV(parts="terms", C=0.0)), gf.Restart(gf.IEQ())),
            (gf.MSAV(parts="terms", C=0.3), gf.MSAV(parts=6, C=0.3)),
        ]
        for mine, wanted in pairs:
            a, b = path(mine, parts, case.theta, dt), path(wanted, case.problem, case.theta, dt)
            for x, y in zip(a, b, strict=True):
                np.testing.assert_allclose(x.theta, y.theta, rtol=1e-8, atol=1e-9)


def test_strict_arrays_give_numpys_numbers():
    ends = []
    for xp in (strict, np):
        problem, theta = smooth_problem("energy-part-and-mass", xp=xp)
        parts = gf.SumOfEnergies([as_function_problem(problem), as_function_problem(problem)], [0.25, 2.0])
        ends.append(path(gf.MSAV(parts="terms"), parts, theta, 0.3, 3)[-1])
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(np.from_dlpack(a), b, rtol=1e-12)


def test_a_run_is_stored_and_described(tmp_path):
    _, parts, theta = groups_of_samples()
    how = {"dt": 0.5, "checkpoint": tmp_path / "run"}
    gf.solve(parts, gf.MSAV(parts="terms"), theta, steps=4, **how)
    again = gf.solve(parts, gf.MSAV(parts="terms"), theta, steps=9, **how)
    whole = gf.solve(parts, gf.MSAV(parts="terms"), theta, dt=0.5, steps=9)
    np.testing.assert_array_equal(again.theta, whole.theta)
    other = gf.SumOfEnergies(parts.terms, [1.0, 1.0, 1.0])
    assert other.describe() != parts.describe()


def test_a_term_that_is_not_admissible_ends_a_run():
    falling = gf.FunctionProblem(lambda t: t[0], lambda t: np.ones(1))
    parts = gf.SumOfEnergies([falling, gf.FunctionProblem(lambda t: t @ t / 2, lambda t: 1.0 * t)])
    scheme = gf.MSAV(parts="terms", C=1.0)
    assert scheme.undefined(parts, np.array([-0.9])) == ""
    assert "not defined" in scheme.undefined(parts, np.array([-1.1]))
    with pytest.raises(ValueError, match="C must satisfy F_i"):
        scheme.init(parts, np.array([-2.0]))
    run = gf.solve(gf.SumOfEnergies([falling]), gf.Restart(scheme), np.zeros(1), dt=0.9, steps=20)
    assert run.status is gf.Status.INADMISSIBLE


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gf.SumOfEnergies([]), "terms must be a list or tuple of problems"),
        (lambda: gf.SumOfEnergies(double_well()), "terms must be a list or tuple of problems"),
        (lambda: gf.SumOfEnergies([np.sum]), "terms must be problems"),
        (lambda: gf.SumOfEnergies([double_well()], [1.0, 2.0]), "one number for each of the 1 terms"),
        (lambda: gf.SumOfEnergies([double_well()], [0.0]), "weights must be"),
        (lambda: gf.SumOfEnergies([double_well(), double_well(mass=0.5)]), "one inner product"),
        (lambda: gf.SumOfEnergies([double_well(mass=np.ones(2)), double_well(mass=0.5)]), "one inner product"),
        (lambda: gf.SumOfEnergies([double_well(mass=np.ones(2)), double_well(mass=1.0)]), "one inner product"),
        (
            lambda: gf.SumOfEnergies([double_well(mass=m) for m in np.array([[1.0, 2.0], [1.0, 3.0]])]),
            "one inner product",
        ),
        (
            lambda: gf.SumOfEnergies(
                [gf.FunctionProblem(lambda t: t @ t, lambda t: 2 * t, linear=Matrix(np.eye(2) + 1))]
            ),
            "numbers or diagonal",
        ),
    ],
)
def test_wrong_terms_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_terms_of_two_inner_products_are_refused():
    """Functions without a known diagonal are compared on two vectors at the first gradient, in both dtypes."""

    def bowl(scale=1.0, more=0.0):
        return gf.FunctionProblem(
            lambda t: t @ t / 2,
            lambda t: t / scale,
            inner=lambda u, v: scale * (u @ v) + more * (u[0] * v[1] + u[1] * v[0]),
        )

    for dtype in DTYPES:
        theta = np.ones(2, dtype=dtype)
        for one in (bowl(2.0), bowl(1.0, 0.5), bowl(1 + 1e-2)):
            with pytest.raises(ValueError, match="terms must have one inner product"):
                gf.solve(gf.SumOfEnergies([bowl(), bowl(), one]), gf.GradientDescent(), theta, dt=0.1, steps=1)
        run = gf.solve(gf.SumOfEnergies([bowl(), bowl()]), gf.GradientDescent(), theta, dt=0.1, steps=2)
        np.testing.assert_allclose(run.theta, 0.64 * theta, rtol=1e-6)


def test_what_does_not_suit_the_scheme_is_refused():
    with pytest.raises(ValueError, match=r"needs a gradflow\.SumOfEnergies, got FunctionProblem"):
        gf.MSAV(parts="terms").init(double_well(), np.ones(2))
    with pytest.raises(ValueError, match="MSAV needs a least-squares problem"):
        gf.MSAV(parts=2).init(gf.SumOfEnergies([double_well()] * 2), np.ones(2))
    wrong = gf.SumOfEnergies([double_well(), Short()])
    with pytest.raises(ValueError, match="the gradient of a term must have shape"):
        gf.MSAV(parts="terms").init(wrong, np.ones(2))


class Short:
    """A problem of one's own whose gradient has a wrong shape."""

    mass = 1.0

    def inner(self, u, v):
        return u @ v

    def energy(self, theta):
        return 1.0

    def energy_and_gradient(self, theta):
        return 1.0, theta[:1]
