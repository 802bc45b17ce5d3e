"""Activation functions against 40-digit arithmetic, over the whole range of legal arguments."""

from functools import cache

import mpmath as mp
import numpy as np
import pytest

from gradflow.models.activations import ACTIVATIONS, LEAKY_SLOPE, activation
from network_cases import ACTIVATION_NAMES

EXACT = {
    "tanh": mp.tanh,
    "sigmoid": lambda z: 1 / (1 + mp.exp(-z)),
    "softplus": lambda z: mp.log1p(mp.exp(z)),
    "gelu": lambda z: z * mp.erfc(-z / mp.sqrt(2)) / 2,
    "silu": lambda z: z / (1 + mp.exp(-z)),
    "sin": mp.sin,
    "erf": mp.erf,
}
SECOND = {
    "gelu": lambda z: (2 - z * z) * mp.exp(-z * z / 2) / mp.sqrt(2 * mp.pi),
    "erf": lambda z: -4 * z * mp.exp(-z * z) / mp.sqrt(mp.pi),
}
"""Second derivatives of functions that are constant or linear to all digits, where third differences are noise."""
MAGNITUDES = (1e-8, 1e-3, 0.1, 0.5, 1.0, 1.7, 3.0, 6.0, 9.5, 13.0, 30.0, 87.0, 300.0, 1e4)
ARGUMENTS = np.array([-z for z in reversed(MAGNITUDES)] + [0.0, *MAGNITUDES], dtype="float32").astype(float)


@cache
def exact(name, z, order):
    """Return the derivative of the given order and the next one, by differences in high precision."""
    with mp.workdps(60 + int(min(2 * abs(z), 600))):  # the slope of tanh at 300 is 1e-260
        z, known = mp.mpf(z), 0
        function = EXACT[name]
        if order == 3 and name in SECOND:
            function, known = SECOND[name], 2
        return [mp.diff(function, z, n - known) if n else function(z) for n in (order, order + 1)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize("name", EXACT)
def test_relative_accuracy_over_the_whole_range(name, order, dtype):
    s = ACTIVATIONS[name]
    z = ARGUMENTS.astype(dtype)
    values = (s.value, s.first, s.second, s.third)[order](z)
    assert values.dtype == z.dtype
    eps, tiny = np.finfo(dtype).eps, np.finfo(dtype).tiny
    for zi, value in zip(z, values, strict=True):
        true, slope = exact(name, float(zi), order)
        allowed = (
            8 * eps * (abs(true) + abs(float(zi) * slope)) + tiny + 1e-60 * (zi == 0)
        )  # the argument's own round-off
        assert abs(mp.mpf(float(value)) - true) <= allowed, (float(zi), float(value), mp.nstr(true, 20))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ACTIVATION_NAMES)
def test_finite_and_of_the_same_dtype_up_to_1e4(name, dtype):
    s = ACTIVATIONS[name]
    z = np.concatenate([-np.logspace(4, -30, 500), [0.0], np.logspace(-30, 4, 500)]).astype(dtype)
    for shape in ((-1,), (7, 143)):
        arguments = z.reshape(shape)
        before = arguments.copy()
        for function in (s.value, s.first, s.second, s.third):
            out = function(arguments)
            assert out.dtype == z.dtype
            assert out.shape == arguments.shape
            assert np.all(np.isfinite(out))
        np.testing.assert_array_equal(arguments, before)


@pytest.mark.parametrize("name", ACTIVATION_NAMES)
def test_value_and_first_are_value_and_first(name):
    s = ACTIVATIONS[name]
    value, first = s.value_and_first(ARGUMENTS)
    np.testing.assert_allclose(value, s.value(ARGUMENTS), rtol=4e-16, atol=1e-300)
    np.testing.assert_allclose(first, s.first(ARGUMENTS), rtol=1e-15, atol=1e-300)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_piecewise_linear_functions_are_exact_at_the_kink_and_elsewhere(dtype):
    z = np.array([-2.0, -1e-30, 0.0, 1e-30, 3.0], dtype=dtype)
    leak = np.asarray(LEAKY_SLOPE, dtype=dtype)
    one = np.ones(5, dtype=dtype)
    step = np.array([0, 0, 0, 1, 1], dtype=dtype)
    cases = {
        "relu": (z * step, step),
        "leaky_relu": (np.where(step > 0, z, leak * z), np.where(step > 0, one, leak)),
        "identity": (z, one),
    }
    for name, (value, first) in cases.items():
        s = ACTIVATIONS[name]
        assert s.piecewise_linear
        np.testing.assert_array_equal(s.value(z), value)
        np.testing.assert_array_equal(s.first(z), first)
        np.testing.assert_array_equal(s.second(z), np.zeros(5, dtype=dtype))
        np.testing.assert_array_equal(s.third(z), np.zeros(5, dtype=dtype))
        assert (s.leak == {"relu": 0.0, "leaky_relu": LEAKY_SLOPE}.get(name)) or s.leak is None


@pytest.mark.parametrize("name", ACTIVATION_NAMES)
def test_nan_is_not_hidden(name):
    assert np.isnan(ACTIVATIONS[name].value(np.array([np.nan, 1.0]))[0])


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"one of relu, leaky_relu, tanh.*identity; got 'swish'"):
        activation("swish")
    assert set(ACTIVATIONS) == set(ACTIVATION_NAMES)
