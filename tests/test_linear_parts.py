"""Linear parts: what apply, shifted solves and sums must satisfy, and what is refused."""

import array_api_strict as strict
import numpy as np
import pytest
import sympy as sp

import gradflow as gf
from gradflow.energies.linear import Shifted, Zero, add, as_linear_part
from gradflow.energies.probes import check_operator

DTYPES = ("float64", "float32")
P = 6


def array(xp, values, dtype):
    return xp.asarray(np.asarray(values, dtype=dtype))


def numbers(x):
    return np.from_dlpack(x) if hasattr(x, "__array_namespace__") and not isinstance(x, np.ndarray) else np.asarray(x)


def matrix(seed, rank=P):
    """Return a symmetric positive semi-definite matrix."""
    J = np.random.default_rng(seed).standard_normal((rank, P))
    return (A := J.T @ J / P) / 2 + A.T / 2


def fourier(symbol):
    """Return the operator of NumPy arrays that multiplies the real Fourier coefficients."""
    return gf.Operator(
        lambda u: np.fft.irfft(symbol * np.fft.rfft(u), n=u.shape[-1]).astype(u.dtype),
        lambda u, dt: np.fft.irfft(np.fft.rfft(u) / (1 + dt * symbol), n=u.shape[-1]).astype(u.dtype),
    )


class Doubling:
    """Twice the identity, as a class of one's own without `scalar`."""

    def apply(self, u):
        return 2 * u

    def solve_shifted(self, u, dt):
        return u / (1 + 2 * dt)


def wrapped(xp, A):
    """Return a matrix as an operator from two functions, the solve by elimination."""

    def solve_shifted(u, dt):
        shifted = xp.eye(P, dtype=A.dtype) + dt * A
        return xp.linalg.solve(shifted, u) if u.ndim == 1 else xp.linalg.solve(shifted, u.T).T

    return gf.Operator(lambda u: u @ A, solve_shifted)


def parts(xp, dtype):
    """Return name -> operator in a library."""
    full, singular = (array(xp, matrix(seed, rank), dtype) for seed, rank in ((0, P), (1, 2)))
    diagonal = array(xp, np.random.default_rng(2).uniform(0, 3, P), dtype)
    return {
        "zero": Zero(),
        "shift": gf.Shift(0.7),
        "diagonal": gf.Diagonal(diagonal),
        "matrix": gf.Matrix(full),
        "singular matrix": gf.Matrix(singular),
        "operator": wrapped(xp, full),
        "shifted matrix": Shifted(gf.Matrix(full), 0.3),
        "shifted operator": Shifted(wrapped(xp, singular), 2.0),
        "matrix + matrix": add(gf.Matrix(full), gf.Matrix(singular)),
        "matrix + diagonal": add(gf.Matrix(full), gf.Diagonal(diagonal)),
        "matrix + shift": add(gf.Matrix(full), gf.Shift(1.5)),
        "shift + operator": add(gf.Shift(1.5), wrapped(xp, full)),
        "shifted matrix + matrix": add(Shifted(gf.Matrix(full), 0.3), gf.Matrix(singular)),
        "diagonal + shifted matrix": add(gf.Diagonal(diagonal), Shifted(gf.Matrix(full), 0.3)),
    }


NAMES = tuple(parts(np, "float64"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("xp", [np, strict], ids=["numpy", "strict"])
@pytest.mark.parametrize("name", NAMES)
def test_a_shifted_solve_inverts_the_identity_and_dt_times_the_operator(name, xp, dtype):
    part, rng = parts(xp, dtype)[name], np.random.default_rng(5)
    eps = np.finfo(dtype).eps
    for shape in ((P,), (3, P)):
        u = array(xp, rng.standard_normal(shape), dtype)
        for dt in (1e-6, 0.3, 50.0):
            x = part.solve_shifted(u, dt)
            image = part.apply(x)
            assert (x.shape, x.dtype, image.shape, image.dtype) == (u.shape, u.dtype, u.shape, u.dtype)
            rest = numbers(x) + dt * numbers(image) - numbers(u)
            assert np.max(np.abs(rest)) <= 100 * eps * (1 + dt) * np.max(np.abs(numbers(u)))


@pytest.mark.parametrize("name", NAMES)
def test_operators_are_self_adjoint_and_positive_semi_definite(name):
    part = parts(np, "float64")[name]
    dense = part.apply(np.eye(P))
    assert np.max(np.abs(dense - dense.T)) <= 1e-14
    assert np.min(np.linalg.eigvalsh(dense)) >= -1e-13
    assert part.scalar is None or np.array_equal(dense, part.scalar * np.eye(P))


@pytest.mark.parametrize("second", [name for name in NAMES if "operator" not in name])
@pytest.mark.parametrize("first", [name for name in NAMES if "operator" not in name])
def test_sums_are_sums_in_either_order(first, second):
    known = parts(np, "float64")
    one, two = known[first], known[second]
    u, expected = np.random.default_rng(6).standard_normal(P), one.apply(np.eye(P)) + two.apply(np.eye(P))
    for total in (add(one, two), add(two, one)):
        np.testing.assert_allclose(total.apply(np.eye(P)), expected, atol=1e-13)
        solved = np.linalg.solve(np.eye(P) + 0.4 * expected, u)
        np.testing.assert_allclose(total.solve_shifted(u, 0.4), solved, atol=1e-13)


def test_kinds_of_sums():
    L = gf.Matrix(matrix(0))
    assert add(L, Zero()) is L
    assert add(gf.Shift(0.0), L) is L
    assert isinstance(add(L, gf.Matrix(matrix(1))), gf.Matrix)
    assert isinstance(add(gf.Diagonal(np.ones(P)), L), gf.Matrix)
    assert isinstance(add(gf.Shift(2.0), L), Shifted)
    assert add(gf.Shift(2.0), gf.Shift(1.0)).scalar == 3.0
    other = gf.Matrix(matrix(1))
    assert add(L, other) is add(L, other)  # not decomposed anew in every step


class Counting:
    """A kind that knows its own sums and no others, and does not say so by NotImplemented."""

    scalar = None

    def __init__(self, symbol):
        self.symbol = symbol

    def apply(self, u):
        return self.symbol * u

    def solve_shifted(self, u, dt):
        return u / (1 + dt * self.symbol)

    def __add__(self, other):
        return Counting(self.symbol + other.symbol)


def test_a_multiple_of_the_identity_is_never_handed_to_a_sum_of_ones_own():
    one, u = Counting(np.arange(1.0, P + 1)), np.ones(P)
    assert isinstance(add(one, Counting(np.ones(P))), Counting)
    for total in (add(one, gf.Shift(0.5)), add(gf.Shift(0.5), one)):
        np.testing.assert_allclose(total.solve_shifted(u, 0.2), u / (1 + 0.2 * (one.symbol + 0.5)))


def test_a_sum_of_ones_own_that_is_no_operator_is_refused():
    class Own:
        scalar = None

        def apply(self, u):
            return u

        def solve_shifted(self, u, dt):
            return u / (1 + dt)

        def __add__(self, other):
            return "their sum"

    with pytest.raises(
        ValueError, match=r"the sum of .* must be a finite number >= 0 or a LinearPart, got 'their sum'"
    ):
        add(Own(), gf.Diagonal(np.ones(2)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_largest_number_is_an_eigenvalue(dtype):
    largest = np.finfo(dtype).max
    L = gf.Matrix(np.array([[largest]]))
    assert L.apply(np.ones(1, dtype)) == largest


def test_sums_that_nobody_knows_are_refused_with_both_ways_out():
    k2 = np.arange(P // 2 + 1.0) ** 2
    for one, two in (
        (fourier(k2), gf.Matrix(matrix(0))),
        (gf.Diagonal(np.ones(P)), fourier(k2)),
        (fourier(k2), fourier(k2)),
        (Shifted(fourier(k2), 1.0), gf.Matrix(matrix(0))),
    ):
        for pair in ((one, two), (two, one)):
            with pytest.raises(ValueError, match=r"__add__.*gradflow\.Operator"):
                add(*pair)


def test_what_as_linear_part_takes():
    assert as_linear_part(0, "linear") == Zero()
    assert as_linear_part(np.float32(0.5), "linear") == gf.Shift(0.5)
    own = as_linear_part(Doubling(), "linear")
    assert isinstance(own, gf.Operator)
    np.testing.assert_array_equal(own.apply(np.ones(2)), [2.0, 2.0])
    np.testing.assert_array_equal(own.solve_shifted(np.ones(2), 0.5), [0.5, 0.5])
    kept = Counting(np.ones(P))
    assert as_linear_part(kept, "linear") is kept


class OnlyApply:
    def apply(self, u):
        return u


class OnlySolve:
    def solve_shifted(self, u, dt):
        return u


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (OnlyApply(), "which has no solve_shifted"),
        (OnlySolve(), "which has no apply"),
        (-1.0, "finite number >= 0"),
        (float("nan"), "finite number >= 0"),
        (float("inf"), "finite number >= 0"),
        (10**400, "finite number >= 0"),
        (True, "finite number >= 0 or a LinearPart"),
        ("1", "finite number >= 0 or a LinearPart"),
        (gf.Diagonal, "finite number >= 0 or a LinearPart"),
        (np.ones((2, 2)), "finite number >= 0 or a LinearPart"),
    ],
)
def test_what_it_refuses(value, message):
    with pytest.raises(ValueError, match=f"linear must be .*{message}|linear must be a {message}"):
        as_linear_part(value, "linear")
    with pytest.raises(ValueError, match="stabilization must be"):
        gf.SAV(stabilization=value)


@pytest.mark.parametrize(
    ("A", "message"),
    [
        (np.ones(3), "A must have shape"),
        (np.ones((2, 3)), r"A must have shape \(P, P\), P >= 1; got \(2, 3\)"),
        (np.full((2, 2), 1.2e308), "A must have finite eigenvalues"),
        (np.full((2, 2), 3e38, np.float32), "A must have finite eigenvalues"),
        (1e308 * np.array([[1.0, -1.7], [1.7, 1.0]]), "symmetric, got an entry that differs by inf"),
        (np.zeros((0, 0)), "A must have shape"),
        ([[1.0, 0.0], [0.0, 1.0]], "A must be an array of shape"),
        (np.eye(2, dtype=int), "A must be float32 or float64"),
        (np.array([[np.nan, 0.0], [0.0, 1.0]]), "A must have finite entries"),
        (np.array([[1.0, 2.0], [0.0, 1.0]]), "symmetric, got an entry that differs by 2"),
        (np.array([[1.0, 2.0], [2.0, 1.0]]), "positive semi-definite, got the eigenvalue -1"),
        (-np.eye(2), "positive semi-definite, got the eigenvalue -1"),
    ],
)
def test_a_matrix_is_symmetric_and_positive_semi_definite(A, message):
    with pytest.raises(ValueError, match=message):
        gf.Matrix(A)


@pytest.mark.parametrize("largest", [1.0, 1.5, 1.9, 3e-300])
@pytest.mark.parametrize("n", [2, 3])
def test_the_rounding_of_a_matrix_is_four_units_of_its_largest_entry_for_each_row(n, largest):
    rounding = 4 * n * np.finfo(float).eps * largest
    skew, indefinite = largest * np.eye(n), largest * np.eye(n)
    skew[1, 0], indefinite[1, 1] = 0.99 * rounding, -0.99 * rounding
    for A in (skew, indefinite):
        u = gf.Matrix(A).solve_shifted(np.eye(n), 1.0)
        np.testing.assert_allclose(u @ (np.eye(n) + A), np.eye(n), atol=1e-14)
    skew[1, 0], indefinite[1, 1] = 1.01 * rounding, -1.01 * rounding
    for A, message in ((skew, "symmetric"), (indefinite, "positive semi-definite")):
        with pytest.raises(ValueError, match=message):
            gf.Matrix(A)


def test_a_matrix_is_copied_and_its_negative_zeros_are_zero():
    A = matrix(1, rank=1)
    L = gf.Matrix(A)
    before = L.apply(np.ones(P)).copy()
    A[:] = 0
    np.testing.assert_array_equal(L.apply(np.ones(P)), before)
    u = np.random.default_rng(0).standard_normal(P)
    assert np.all(np.isfinite(L.solve_shifted(u, 1e30)))  # no eigenvalue is -eps
    np.testing.assert_array_equal(gf.Matrix(np.diag([1.0, -1e-16])).apply(np.ones(2)), [1.0, 0.0])
    assert gf.Matrix(np.zeros((2, 2))).solve_shifted(np.ones(2), 1.0) == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("arguments", [(1.0, lambda u, dt: u), (lambda u: u, None)])
def test_an_operator_is_two_functions(arguments):
    with pytest.raises(ValueError, match="must be a function"):
        gf.Operator(*arguments)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), "1", sp.Symbol("c", real=True), sp.Symbol("c")])
def test_a_shift_is_a_finite_number_that_is_not_negative(value):
    with pytest.raises(ValueError, match="shift must"):
        gf.Shift(value)


def test_a_shift_may_be_a_symbol_that_is_not_negative():
    c = sp.Symbol("c", nonnegative=True)
    assert gf.Shift(c).scalar is c
    assert gf.Shift(np.float64(0.5)).scalar == 0.5
    assert gf.Shift(0.0).scalar == 0.0


@pytest.mark.parametrize("value", [np.array([1.0, -1.0]), np.array([np.nan, 1.0]), np.eye(2), 1.0, [1.0, 2.0]])
def test_a_diagonal_is_a_vector_of_finite_numbers_that_are_not_negative(value):
    with pytest.raises(ValueError, match="diagonal must"):
        gf.Diagonal(value)


def test_a_diagonal_is_copied():
    values = np.array([0.0, 2.0])
    L = gf.Diagonal(values)
    values[:] = 7.0
    np.testing.assert_array_equal(L.apply(np.ones(2)), [0.0, 2.0])


def weighted(u, v):
    return np.sum(np.arange(1.0, P + 1) * u * v)


def euclidean(u, v):
    return u @ v


@pytest.mark.parametrize("dt", [1e-6, 0.1, 100.0, 1e8])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("xp", [np, strict], ids=["numpy", "strict"])
@pytest.mark.parametrize("name", NAMES)
def test_right_operators_pass(name, xp, dtype, dt):
    check_operator("L", parts(xp, dtype)[name], euclidean, array(xp, np.zeros(P), dtype), dt)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dt", [1e-6, 0.1, 100.0, 1e8])
def test_a_stiff_laplacian_passes(dt, dtype):
    n = 512
    symbol = ((2 * np.pi * np.arange(n // 2 + 1)) ** 2).astype(dtype)
    check_operator("L", fourier(symbol), lambda u, v: np.mean(u * v), np.zeros(n, dtype=dtype), dt)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dt", [0.1, 100.0])
@pytest.mark.parametrize(
    ("wrong", "inner", "message"),
    [
        (gf.Operator(lambda u: u @ np.triu(np.ones((P, P), u.dtype)), lambda u, dt: u), euclidean, "self-adjoint"),
        (gf.Matrix(matrix(0)), weighted, "self-adjoint"),
        (gf.Operator(lambda u: -u, lambda u, dt: u / (1 + dt)), euclidean, "positive semi-definite"),
        (gf.Operator(lambda u: 2 * u, lambda u, dt: u / (1 + dt)), euclidean, r"must invert I \+ dt L"),
        (gf.Operator(lambda u: 2 * u, lambda u, dt: u), euclidean, r"must invert I \+ dt L"),
        (gf.Operator(lambda u: 2 * u, lambda u, dt: u / (1 + 2 * 0.3)), euclidean, r"must invert I \+ dt L"),
        (gf.Operator(lambda u: u, lambda u, dt: u * np.nan), euclidean, r"must invert I \+ dt L"),
        (gf.Operator(lambda u: u * np.nan, lambda u, dt: u), euclidean, "self-adjoint"),
        (gf.Operator(lambda u: u[:-1], lambda u, dt: u), euclidean, r"L\.apply must keep the shape"),
        (gf.Operator(lambda u: u, lambda u, dt: u.astype(np.complex128)), euclidean, r"solve_shifted must keep the shape"),
        (gf.Operator(lambda u: 1.0, lambda u, dt: u), euclidean, r"L\.apply must keep the shape"),
    ],
)  # fmt: skip
def test_wrong_operators_are_told(wrong, inner, message, dt, dtype):
    if isinstance(wrong, gf.Matrix):
        wrong = gf.Matrix(wrong.A.astype(dtype))
    with pytest.raises(ValueError, match=message):
        check_operator("L", wrong, inner, np.zeros(P, dtype=dtype), dt)


def test_a_solve_that_leaves_a_null_space_wrong_is_told_at_a_large_step():
    """The mean is in the null space, so that x does not get small with dt."""
    k2 = (2 * np.pi * np.arange(65.0)) ** 2
    right = fourier(k2)
    wrong = gf.Operator(right.apply, lambda u, dt: right.solve_shifted(u, dt) + 0.1 * np.mean(u))
    right_at, wrong_at = ((part, lambda u, v: np.mean(u * v), np.zeros(128), 100.0) for part in (right, wrong))
    check_operator("L", *right_at)
    with pytest.raises(ValueError, match="must invert"):
        check_operator("L", *wrong_at)


@pytest.mark.parametrize("scheme", [gf.SAV(stabilization=0.5), gf.IEQ(stabilization=0.5), gf.Relaxed(gf.ExpSAV())])
def test_schemes_run_with_an_operator_and_a_number(scheme):
    k2 = np.arange(5.0) ** 2
    problem = gf.DenseLeastSquares(lambda t: t**2 - 1, lambda t: np.diag(2 * t), linear=fourier(k2))
    run = gf.solve(
        problem, scheme, np.linspace(-1, 1, 8), dt=0.1, steps=30, record=["identity_residual", "energy"], every=1
    )
    assert run.status is gf.Status.DONE
    assert np.max(np.abs(run.history["identity_residual"][1:])) < 1e-13
    assert run.history["energy"][-1] < run.history["energy"][0]


@pytest.mark.parametrize("size", [1e308, 1.0, 1e-308, 5e-324])
def test_a_matrix_of_any_size_is_decomposed(size):
    L = gf.Matrix(size * np.array([[1.0, 0.0], [0.0, 0.0]]))
    u = L.solve_shifted(np.ones(2), 1 / size if size > 1e-300 else 1.0)
    np.testing.assert_allclose(u, [0.5 if size > 1e-300 else 1.0, 1.0])


@pytest.mark.parametrize(("array", "kind"), [(np.eye(2), "Matrix"), (np.ones(2), "Diagonal")])
def test_an_array_as_linear_part_is_told_what_to_be(array, kind):
    with pytest.raises(ValueError, match=rf"linear must be .*: wrap it in gradflow\.{kind}$"):
        gf.FunctionProblem(lambda t: t @ t, lambda t: 2 * t, linear=array)


@pytest.mark.parametrize("wrong", [np.eye(3), np.eye(2, dtype=np.float32)])
def test_a_matrix_that_does_not_go_with_theta_is_named(wrong):
    problem = gf.FunctionProblem(lambda t: t @ t, lambda t: 2 * t)
    with pytest.raises(ValueError, match=r"stabilization must have the shape \(2, 2\) and dtype float64 of theta, got"):
        gf.solve(problem, gf.SAV(stabilization=gf.Matrix(wrong)), np.ones(2), dt=0.1, steps=1)


class OwnSymbol:
    """An operator of somebody else: it has no ``scalar``, and knows its sums with its own kind and with `Diagonal`."""

    def __init__(self, symbol):
        self.symbol = symbol

    def apply(self, u):
        return self.symbol * u

    def solve_shifted(self, u, dt):
        return u / (1 + dt * self.symbol)

    def __add__(self, other):
        if not isinstance(other, (OwnSymbol, gf.Diagonal)):
            return NotImplemented
        return OwnSymbol(self.symbol + (other.symbol if isinstance(other, OwnSymbol) else other.diagonal))


@pytest.mark.parametrize("other", [OwnSymbol(np.arange(3.0)), gf.Diagonal(np.arange(3.0))], ids=["own", "Diagonal"])
def test_the_sum_of_an_own_operator_is_used_in_both_orders(other):
    own, other, u = as_linear_part(OwnSymbol(np.ones(3)), "L"), as_linear_part(other, "S"), np.array([1.0, -2.0, 3.0])
    for total in (add(own, other), add(other, own)):
        np.testing.assert_allclose(total.apply(u), (1 + np.arange(3.0)) * u)
        np.testing.assert_allclose(total.solve_shifted(u, 0.5), u / (1 + 0.5 * (1 + np.arange(3.0))))
        again = add(total, own)  # the sum is a linear part too
        np.testing.assert_allclose(again.apply(u), (2 + np.arange(3.0)) * u)
    with pytest.raises(ValueError, match="no shifted solve is known"):
        add(own, gf.Operator(lambda u: u, lambda u, dt: u / (1 + dt)))


@pytest.mark.parametrize("order", [1, -1])
def test_a_run_uses_the_sum_of_an_own_operator(order):
    first, second = (OwnSymbol(np.ones(3)), gf.Diagonal(np.arange(3.0)))[::order]
    plain = (gf.Diagonal(np.ones(3)), gf.Diagonal(np.arange(3.0)))[::order]

    def end(linear, stabilization):
        problem = gf.FunctionProblem(lambda t: np.sum(t**4), lambda t: 4 * t**3, linear=linear)
        return gf.solve(problem, gf.SAV(stabilization=stabilization), np.ones(3), dt=0.1, steps=5).theta

    np.testing.assert_allclose(end(first, second), end(*plain), rtol=1e-13)
