"""xi_0 against 60-digit arithmetic, and the laws that make it the smallest admissible factor."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest

from cases import residual_case, vanilla_schemes
from gradflow.schemes import SAV, Relaxed, Restart
from gradflow.schemes.relaxation import _two_product, relax_log, relax_quadratic, xi0_linear, xi0_log, xi0_quadratic

SHAPES = [(), (1,), (7,), (64,)]


def near_degenerate(rng, shape):
    """Return q~ and q^ that agree in up to 17 digits, and a slack close to (or far from) their difference of squares."""
    consistent = np.asarray(rng.standard_normal(shape)) * 10 ** rng.uniform(-5, 5)
    closeness = 10 ** rng.uniform(-17, 0)
    intermediate = consistent * (1 - closeness * np.asarray(rng.uniform(-0.5, 1, shape)))
    gap = abs(np.sum((consistent - intermediate) * (consistent + intermediate)))
    slack = [0.0, gap * (1 - 10 ** rng.uniform(-16, 0)), gap * rng.uniform(0, 2), 10 ** rng.uniform(-20, 1)]
    return intermediate[()], consistent[()], float(slack[rng.integers(4)])


def exact_quadratic(intermediate, consistent, slack):
    q = [mpmath.mpf(float(v)) for v in np.atleast_1d(intermediate)]
    p = [mpmath.mpf(float(v)) for v in np.atleast_1d(consistent)]
    a = sum((x - y) ** 2 for x, y in zip(q, p, strict=True))
    half_b = sum(y * (x - y) for x, y in zip(q, p, strict=True))
    c = sum(y * y - x * x for x, y in zip(q, p, strict=True)) - mpmath.mpf(slack)
    return mpmath.mpf(0) if c <= 0 else (-half_b - mpmath.sqrt(half_b**2 - a * c)) / a


@pytest.mark.parametrize("shape", SHAPES)
def test_quadratic_against_sixty_digits(shape):
    rng = np.random.default_rng(0)
    with mpmath.workdps(60):
        for _ in range(500):
            args = near_degenerate(rng, shape)
            xi0, exact = xi0_quadratic(*args), exact_quadratic(*args)
            assert 0 <= xi0 <= 1
            assert abs(mpmath.mpf(float(xi0)) - exact) <= 1e-14 * exact


def test_linear_and_log_against_sixty_digits():
    rng = np.random.default_rng(1)
    with mpmath.workdps(60):
        for _ in range(500):
            v, w, B = near_degenerate(rng, ())
            gap = mpmath.mpf(float(w)) - mpmath.mpf(float(v))
            exact = max(mpmath.mpf(0), 1 - mpmath.mpf(B) / gap) if gap > 0 else mpmath.mpf(0)
            xi0 = xi0_linear(v, w, B)
            assert 0 <= xi0 <= 1
            assert abs(mpmath.mpf(float(xi0)) - exact) <= 1e-14 * exact
            gap_log = mpmath.mpf(float(w)) - mpmath.mpf(float(v))
            active = gap_log > B
            exact = mpmath.expm1(B - gap_log) / mpmath.expm1(-gap_log) if active else mpmath.mpf(0)
            xi0 = xi0_log(v, w, B)
            assert 0 <= xi0 <= 1
            assert abs(mpmath.mpf(float(xi0)) - exact) <= 1e-14 * exact


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_last_bit_is_all_that_is_cut(dtype):
    """Without slack and with q~ inside the ball of q^ on the same ray, xi_0 is 1: rounding may pass it by 4 eps only."""
    rng = np.random.default_rng(2)
    for _ in range(300):
        consistent = rng.standard_normal(5).astype(dtype)
        intermediate = (consistent * dtype(rng.uniform(0, 1))).astype(dtype)
        xi0 = xi0_quadratic(intermediate, consistent, 0.0)
        assert xi0.dtype == dtype
        assert 1 - 8 * np.finfo(dtype).eps <= xi0 <= 1 or np.all(intermediate == consistent)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_result_is_feasible_and_no_smaller_factor_is(shape):
    rng = np.random.default_rng(3)
    for _ in range(200):
        intermediate, consistent = (np.asarray(rng.standard_normal(shape))[()] for _ in range(2))
        slack = float(rng.exponential())
        q, xi0 = relax_quadratic(intermediate, consistent, slack)
        bound = np.sum(intermediate**2) + slack
        assert np.sum(q**2) <= bound * (1 + 1e-14)
        np.testing.assert_allclose(q, consistent + xi0 * (intermediate - consistent), rtol=1e-12, atol=1e-13)
        if xi0 > 0:
            np.testing.assert_allclose(np.sum(q**2), bound, rtol=1e-13)
            less = consistent + 0.99 * xi0 * (intermediate - consistent)
            assert np.sum(less**2) > bound
        else:
            assert np.all(q == consistent)


def test_scalar_closed_form_and_the_ledgers_numbers():
    r_tilde, r_hat, B = np.float64(0.1), np.float64(1.0), 0.2
    r, xi0 = relax_quadratic(r_tilde, r_hat, B)
    np.testing.assert_allclose(r, min(r_hat, np.sqrt(r_tilde**2 + B)), rtol=1e-15)
    np.testing.assert_allclose(xi0, (1 - np.sqrt(0.21)) / 0.9, rtol=1e-15)
    swapped, _ = relax_quadratic(r_tilde, r_hat, B, orientation="swapped")
    assert swapped == r_tilde  # no correction in the case that relaxation exists for


def test_logarithm_form_is_the_minimum_and_does_not_overflow():
    for s_tilde, s_hat, slack in [
        (1.0, 2.0, 0.3),
        (1.0, 1.2, 0.3),
        (2.0, 1.0, 0.0),
        (1e4, 2e4, 5.0),
        (-1e300, 1e300, 1.0),
    ]:
        s, xi0 = relax_log(np.float64(s_tilde), np.float64(s_hat), slack)
        np.testing.assert_allclose(s, min(s_hat, s_tilde + slack), rtol=1e-15)
        assert 0 <= xi0 <= 1


def test_python_numbers_are_welcome():
    assert xi0_quadratic(0.1, 1.0, 0.2) == xi0_quadratic(np.float64(0.1), np.float64(1.0), 0.2)
    assert xi0_linear(0.1, 1.0, 0.2) == pytest.approx(1 - 0.2 / 0.9)
    assert xi0_quadratic(np.array([0.1, 0.2]), np.ones(2), 0.2) > 0


def test_doors():
    with pytest.raises(ValueError, match="slack must be >= 0, got -1"):
        xi0_quadratic(np.ones(2), np.ones(2), -1.0)
    with pytest.raises(ValueError, match="differ in shape"):
        xi0_quadratic(np.ones(2), np.ones(3), 1.0)
    # the value of an array decides nothing at a door: min(1, 7/4 / (1 + sqrt(1/8)))
    assert xi0_quadratic(np.ones(2), 2 * np.ones(2), np.asarray(-1.0)) == 1
    for relax in (relax_quadratic, relax_log):
        with pytest.raises(ValueError, match="orientation must be one of literature, swapped; got 'bogus'"):
            relax(np.float64(1.0), np.float64(2.0), 0.5, orientation="bogus")


@pytest.mark.parametrize(
    "name", [n for n in vanilla_schemes() if n not in ("ExpSAV-section_2.2.4", "ExpSAV-theorem_2.2")]
)
def test_relaxation_with_a_restart_on_top_is_never_used(name):
    """Restarting a relaxed scheme discards what relaxation did: theta follows the restarted scheme to the last bit."""
    case = residual_case(0, 12, 9)
    base = vanilla_schemes()[name]
    one, two = Restart(base), Restart(Relaxed(base))
    a, b = one.init(case.problem, case.theta), two.init(case.problem, case.theta)
    for _ in range(10):
        a, b = one.step(case.problem, a, 0.3), two.step(case.problem, b, 0.3)
        assert np.array_equal(a.theta, b.theta)


def drifted(name, dt=0.3):
    """Return problem, scheme, and a state whose auxiliary variable lags behind its definition, so that relaxation acts."""
    case = residual_case(1, 12, 9, linear="none", mass="mean_field")
    base = vanilla_schemes(stabilization=2.0)[name]
    state = base.init(case.problem, case.theta)
    aux = state.aux + np.log(0.3) if name.startswith("ExpSAV") else 0.3 * state.aux
    return case.problem, base, state._replace(aux=aux), dt


def relax_one_step(scheme, problem, old, dt):
    return scheme.step(problem, scheme.init(problem, old.theta)._replace(aux=old.aux), dt)


BUDGETED = [n for n in vanilla_schemes() if not n.startswith("ExpSAV") or n == "ExpSAV-explicit"]


@pytest.mark.parametrize("eta", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("budget", ["dissipation", "increment", "numerical"])
@pytest.mark.parametrize("name", BUDGETED)
def test_an_active_relaxation_spends_its_budget_exactly(name, budget, eta):
    """xi_0 in (0, 1]: the modified energy is the intermediate one plus the slack, to round-off; else aux is consistent."""
    problem, base, old, dt = drifted(name)
    new = base.step(problem, old, dt)
    scheme = Relaxed(base, eta=eta, budget=budget)
    relaxed = relax_one_step(scheme, problem, old, dt)
    terms = base.energy_terms(problem, old, new, dt)
    d = new.theta - old.theta
    slack = {
        "dissipation": eta * terms.dissipation,
        "increment": eta * min(problem.inner(d, d / getattr(new, "tau", dt)), terms.dissipation),
        "numerical": eta * terms.dissipation + terms.numerical,
    }[budget]
    assert relaxed.xi0 > 0
    before, after = base.modified_energy(problem, new), scheme.modified_energy(problem, relaxed)
    scale = abs(before) + abs(after) + slack + getattr(base, "scale", 1.0)
    assert abs(after - before - slack) <= 1e-13 * scale
    if slack > 1e-12 * scale:
        assert relaxed.xi0 < 1
    if budget == "increment" and eta > 0 and name.startswith(("SAV", "IEQ", "ExpSAV", "AdaptiveSAV")):
        assert slack < eta * terms.dissipation  # the stabilization's part is not given back


@pytest.mark.parametrize("form", ["implicit", "section_2.2.4", "theorem_2.2"])
@pytest.mark.parametrize("eta", [0.0, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("dt", [0.3, 1e9])
def test_exponential_forms_give_back_a_share_of_the_loss_of_r(form, eta, dt):
    problem, base, old, _ = drifted(f"ExpSAV-{form}")
    new = base.step(problem, old, dt)
    relaxed = relax_one_step(Relaxed(base, eta=eta), problem, old, dt)
    r = np.exp(new.aux - old.aux)  # in units of the old r
    wanted = min(r + eta * (1 - r), np.exp(base.auxiliary(problem, new.theta) - old.aux))
    assert np.exp(relaxed.aux - old.aux) == pytest.approx(wanted, rel=1e-12)
    with pytest.raises(ValueError, match="within its own loss of r"):
        Relaxed(base, budget="numerical")


def test_swapped_orientation_exchanges_the_roles():
    q, p, B = np.array([2.0, 1.0]), np.array([0.5, 0.2]), 0.3
    swapped, xi0 = relax_quadratic(q, p, B, orientation="swapped")
    literature, other = relax_quadratic(p, q, B)
    assert np.array_equal(swapped, literature)
    assert xi0 == other
    s, _ = relax_log(np.log(5.0), np.log(2.0), np.log1p(1.0 / 5.0), orientation="swapped")
    assert np.exp(s) == pytest.approx(3.0)  # min(v~, v^ + B) with v~ = 5, v^ = 2, B = 1
    for big in (800.0, 5e4):
        assert np.isfinite(relax_log(np.float64(5.0), np.float64(2.0), big, orientation="swapped").aux)


def test_a_collapsed_scalar_is_relaxed_to_full_relative_accuracy():
    for tiny in (1e-12, 1e-16, 1e-100):
        r, _ = relax_quadratic(np.float64(tiny), np.float64(1.0), 0.0)
        assert r == pytest.approx(tiny, rel=1e-15)


def test_wrapping_doors():
    from gradflow.schemes import GradientDescent

    for wrapper in (Restart, Relaxed):
        with pytest.raises(ValueError, match="auxiliary variable"):
            wrapper(GradientDescent())
    with pytest.raises(ValueError, match="vanilla"):
        Relaxed(Restart(SAV()))
    with pytest.raises(ValueError, match=r"eta must lie in \[0, 1\], got 1.5"):
        Relaxed(SAV(), eta=1.5)
    with pytest.raises(ValueError, match="orientation must be one of"):
        Relaxed(SAV(), orientation="upwards")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_no_weight_is_plus_zero(dtype):
    short, long = np.asarray([0.5, 2.0], dtype=dtype)
    factor = xi0_quadratic(long, short, short)  # the consistent value is admissible, strictly
    assert factor == 0
    assert not np.signbit(factor)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_product_is_split_without_error(dtype):
    """p + e = a b exactly, in rational arithmetic."""
    rng = np.random.default_rng(5)
    a, b = (
        rng.standard_normal(2000).astype(dtype) * dtype(2) ** rng.integers(-20, 20, 2000).astype(dtype) for _ in "ab"
    )
    p, e = _two_product(np, a, b)
    assert p.dtype == e.dtype == dtype
    for x, y, high, low in zip(a, b, p, e, strict=True):
        assert Fraction(float(high)) + Fraction(float(low)) == Fraction(float(x)) * Fraction(float(y))


def test_a_linear_gap_that_is_no_float_keeps_its_digits():
    """v^ - v~ is rounded, and next to the slack its rounding is all that is left."""
    rng = np.random.default_rng(6)
    for _ in range(500):
        v, w = -rng.uniform(0, 1e-3), rng.uniform(1, 2)
        slack = float(w - v) * (1 - 10 ** rng.uniform(-15, -8))
        gap = Fraction(w) - Fraction(v)
        exact = float(1 - Fraction(slack) / gap)
        assert abs(float(xi0_linear(v, w, slack)) - exact) <= 1e-13 * exact


@pytest.mark.parametrize("orientation", ["literature", "swapped"])
@pytest.mark.parametrize(
    ("intermediate", "consistent"), [(0.0, 0.5), (0.0, -0.5), (-0.5, 0.0), (0.25, 0.25), (0.0, 0.0)]
)
def test_the_logarithmic_form_knows_ratios_only(intermediate, consistent, orientation):
    """Both logarithms moved by c, the relaxed one moves by c, and xi_0 stays; 0 is a logarithm as others are."""
    for slack in (0.0, 0.1, 2.0):
        value, xi0 = relax_log(np.float64(intermediate), np.float64(consistent), slack, orientation=orientation)
        assert np.isfinite(value)
        for c in (1.0, -3.0, 8.0):
            moved, same = relax_log(
                np.float64(intermediate + c), np.float64(consistent + c), slack, orientation=orientation
            )
            np.testing.assert_allclose(moved, value + c, rtol=0, atol=1e-14)
            np.testing.assert_allclose(same, xi0, rtol=0, atol=1e-14)


@pytest.mark.parametrize("shape", SHAPES)
def test_where_nothing_is_to_be_relaxed_the_weight_is_plus_zero(shape):
    """Equal arguments, a slack or none, down to the smallest numbers: xi_0 = 0 and not -0, which 1 / xi_0 would tell."""
    for size in (1.0, 0.0, 1e-160, 1e-308, 5e-324):
        v = np.full(shape, size)[()]
        for slack in (0.0, 1.0, 1e-320):
            xi0 = xi0_quadratic(v, v, slack)
            assert xi0 == 0
            assert not np.signbit(xi0)


@pytest.mark.parametrize("ulps", [0, -1, -2])
def test_a_gap_that_is_the_slack_up_to_rounding_keeps_its_digits(ulps):
    """What is left of the gap is then its own rounding error, or a few units of it."""
    rng, met = np.random.default_rng(11), 0
    for v, w in rng.uniform(0.1, 1.0, (200, 2)) + np.array([0.0, 1.0]):
        B = w - v
        for _ in range(-ulps):
            B = np.nextafter(B, 0.0)
        excess = Fraction(w) - Fraction(v) - Fraction(B)
        exact = max(excess / (Fraction(w) - Fraction(v)), Fraction(0))
        log_exact = max(float(excess), 0.0) / -np.expm1(v - w)  # expm1(-x) = -x to many digits for these x
        for found, wanted in ((xi0_linear(v, w, B), float(exact)), (xi0_log(v, w, B), log_exact)):
            assert found == pytest.approx(wanted, rel=1e-14, abs=0)
        met += exact > 0
    assert met >= 20
