r"""The least-squares problems of Moré, Garbow and Hillstrom, with their starts and minima.

Each residual takes real or complex x, (n,), and returns q, (m,). A sum of squares here is ``|q|^2``, without the half.

The minima of a problem are the norms ``|q|`` of its minimisers, as MINPACK prints them: eight digits. Some are reached only
as parameters go to infinity, where a fit loses terms:

====================  ================  ============================================
problem               norm              minimiser
====================  ================  ============================================
Bard                  4.1747687         x2, x3 to infinity: the constant fit
Kowalik and Osborne   3.2052193e-2      x1, x3, x4 to infinity: one parameter less
====================  ================  ============================================

Brown's almost-linear function has the further minimum 1 at (0, ..., 0, n + 1). Chebyquad with n = 1 starts at the middle
of the interval, from which the functions look alike on both sides: the gradient is zero there.

MINPACK's starts are multiples of the standard one. Watson's standard start is zero, and the multiples are constant vectors.

Source: Moré, Garbow & Hillstrom, ACM Trans. Math. Softw. 7 (1981) 17; the norms, MINPACK's test driver for lmder, double
precision.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np


class TestProblem(NamedTuple):
    """A problem of the collection."""

    __test__ = False

    name: str
    residual: Callable
    """Maps x (n,) to q (m,)."""
    n: int
    m: int
    standard: tuple[float, ...]
    """The standard start, (n,)."""
    minima: tuple[float, ...]
    """Norms at the minimisers, the global one first."""

    def start(self, factor=1):
        """Return a multiple of the standard start; a constant vector where that is zero."""
        x = np.array(self.standard)
        if factor == 1:
            return x
        return factor * x if np.any(x) else np.full(self.n, float(factor))


def linear_full_rank(x, m):
    q = np.full(m, -2 / m) * np.sum(x) - 1
    q[: x.size] += x
    return q


def linear_rank_one(x, m):
    j = np.arange(1, x.size + 1)
    return np.arange(1, m + 1) * (j @ x) - 1


def linear_rank_one_with_zeros(x, m):
    weights = np.arange(1, x.size + 1) * 1.0
    weights[[0, -1]] = 0
    rows = np.arange(m) * 1.0
    rows[-1] = 0
    return rows * (weights @ x) - 1


def rosenbrock(x):
    return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def helical_valley(x):
    """The angle is that of (x1, x2) in turns, from -1/4 to 3/4; it is analytic where x1 is not zero."""
    if x[0] == 0:
        turns = math.copysign(0.25, x[1].real)
    else:
        turns = np.arctan(x[1] / x[0]) / (2 * np.pi) + (0.5 if x[0].real < 0 else 0.0)
    return np.array([10 * (x[2] - 10 * turns), 10 * (np.sqrt(x[0] ** 2 + x[1] ** 2) - 1), x[2]])


def powell_singular(x):
    return np.array([x[0] + 10 * x[1], 5**0.5 * (x[2] - x[3]), (x[1] - 2 * x[2]) ** 2, 10**0.5 * (x[0] - x[3]) ** 2])


def freudenstein_roth(x):
    y = x[1]
    return np.array([-13 + x[0] - 2 * y + 5 * y**2 - y**3, -29 + x[0] - 14 * y + y**2 + y**3])


BARD = np.array([0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39])


def bard(x):
    u = np.arange(1, 16)
    v = 16 - u
    return BARD - x[0] - u / (v * x[1] + np.minimum(u, v) * x[2])


KOWALIK_U = np.array([4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625])
KOWALIK_Y = np.array([0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246])


def kowalik_osborne(x):
    u = KOWALIK_U
    return KOWALIK_Y - x[0] * (u**2 + u * x[1]) / (u**2 + u * x[2] + x[3])


MEYER = np.array(
    [34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872]
)


def meyer(x):
    t = 45 + 5 * np.arange(1, 17)
    return x[0] * np.exp(x[1] / (t + x[2])) - MEYER


def watson(x):
    t = np.arange(1, 30)[:, None] / 29
    j = np.arange(x.size)
    slope = (j[1:] * t ** (j[1:] - 1)) @ x[1:]
    return np.concatenate([slope - (t**j @ x) ** 2 - 1, [x[0], x[1] - x[0] ** 2 - 1]])


def box(x, m):
    t = np.arange(1, m + 1) / 10
    return np.exp(-t * x[0]) - np.exp(-t * x[1]) - x[2] * (np.exp(-t) - np.exp(-10 * t))


def jennrich_sampson(x, m):
    i = np.arange(1, m + 1)
    return 2 + 2 * i - np.exp(i * x[0]) - np.exp(i * x[1])


def brown_dennis(x, m):
    t = np.arange(1, m + 1) / 5
    return (x[0] + t * x[1] - np.exp(t)) ** 2 + (x[2] + x[3] * np.sin(t) - np.cos(t)) ** 2


def chebyquad(x, m):
    """The i-th residual is the mean over x of the i-th Chebyshev polynomial of [0, 1], minus its integral."""
    before, now = 1 + 0 * x, 2 * x - 1
    q = []
    for i in range(1, m + 1):
        q.append(np.mean(now) - (0 if i % 2 else -1 / (i**2 - 1)))
        before, now = now, 2 * (2 * x - 1) * now - before
    return np.array(q)


def brown_almost_linear(x):
    return np.concatenate([x[:-1] + np.sum(x) - (x.size + 1), [np.prod(x) - 1]])


OSBORNE_1 = np.array(
    [
        [0.844, 0.908, 0.932, 0.936, 0.925, 0.908, 0.881, 0.850, 0.818, 0.784, 0.751],
        [0.718, 0.685, 0.658, 0.628, 0.603, 0.580, 0.558, 0.538, 0.522, 0.506, 0.490],
        [0.478, 0.467, 0.457, 0.448, 0.438, 0.431, 0.424, 0.420, 0.414, 0.411, 0.406],
    ]
).ravel()


def osborne_1(x):
    t = 10 * np.arange(33)
    return OSBORNE_1 - x[0] - x[1] * np.exp(-t * x[3]) - x[2] * np.exp(-t * x[4])


OSBORNE_2 = np.array(
    [
        [1.366, 1.191, 1.112, 1.013, 0.991, 0.885, 0.831, 0.847, 0.786, 0.725, 0.746, 0.679, 0.608],
        [0.655, 0.616, 0.606, 0.602, 0.626, 0.651, 0.724, 0.649, 0.649, 0.694, 0.644, 0.624, 0.661],
        [0.612, 0.558, 0.533, 0.495, 0.500, 0.423, 0.395, 0.375, 0.372, 0.391, 0.396, 0.405, 0.428],
        [0.429, 0.523, 0.562, 0.607, 0.653, 0.672, 0.708, 0.633, 0.668, 0.645, 0.632, 0.591, 0.559],
        [0.597, 0.625, 0.739, 0.710, 0.729, 0.720, 0.636, 0.581, 0.428, 0.292, 0.162, 0.098, 0.054],
    ]
).ravel()


def osborne_2(x):
    t = np.arange(65) / 10
    peaks = sum(x[k] * np.exp(-((t - x[k + 7]) ** 2) * x[k + 4]) for k in (1, 2, 3))
    return OSBORNE_2 - x[0] * np.exp(-t * x[4]) - peaks


def problems():
    """Return the problems with the sizes that MINPACK tests, in the order of the paper's least-squares list."""

    def fixed(name, residual, m, standard, *minima):
        return TestProblem(name, residual, len(standard), m, tuple(map(float, standard)), minima)

    def sized(name, residual, m, standard, *minima):
        return fixed(f"{name} {len(standard)} {m}", partial(residual, m=m), m, standard, *minima)

    ones = (1.0,) * 5
    found = []
    for m in (10, 50):
        found += [sized("linear", linear_full_rank, m, ones, math.sqrt(m - 5))]
    for m in (10, 50):
        found += [sized("rank one", linear_rank_one, m, ones, math.sqrt(m * (m - 1) / (2 * (2 * m + 1))))]
    for m in (10, 50):
        least = math.sqrt((m**2 + 3 * m - 6) / (2 * (2 * m - 3)))
        found += [sized("rank one with zeros", linear_rank_one_with_zeros, m, ones, least)]
    found += [
        fixed("Rosenbrock", rosenbrock, 2, (-1.2, 1), 0.0),
        fixed("helical valley", helical_valley, 3, (-1, 0, 0), 0.0),
        fixed("Powell singular", powell_singular, 4, (3, -1, 0, 1), 0.0),
        fixed("Freudenstein and Roth", freudenstein_roth, 2, (0.5, -2), 0.0, 6.9988752),
        fixed("Bard", bard, 15, (1, 1, 1), 9.0635960e-2, 4.1747687),
        fixed("Kowalik and Osborne", kowalik_osborne, 11, (0.25, 0.39, 0.415, 0.39), 1.7535838e-2, 3.2052193e-2),
        fixed("Meyer", meyer, 16, (0.02, 4000, 250), 9.3779451),
    ]
    for n, least in ((6, 4.7829594e-2), (9, 1.1831146e-3), (12, 2.1731040e-5)):
        found += [fixed(f"Watson {n}", watson, 31, (0,) * n, least)]
    found += [
        fixed("box", partial(box, m=10), 10, (0, 10, 20), 0.0),
        fixed("Jennrich and Sampson", partial(jennrich_sampson, m=10), 10, (0.3, 0.4), 11.151779),
        fixed("Brown and Dennis", partial(brown_dennis, m=20), 20, (25, 5, -5, -1), 292.95427),
    ]
    for n, m, minima in (
        (1, 8, (1.8842482, 1.8862380)),
        (8, 8, (5.9303236e-2,)),
        (9, 9, (0.0,)),
        (10, 10, (8.0647100e-2,)),
    ):
        found += [sized("Chebyquad", chebyquad, m, [j / (n + 1) for j in range(1, n + 1)], *minima)]
    for n in (10, 30, 40):
        found += [fixed(f"Brown almost-linear {n}", brown_almost_linear, n, (0.5,) * n, 0.0, 1.0)]
    found += [
        fixed("Osborne 1", osborne_1, 33, (0.5, 1.5, -1, 0.01, 0.02), 7.3924926e-3),
        fixed("Osborne 2", osborne_2, 65, (1.3, 0.65, 0.65, 0.7, 0.6, 3, 5, 7, 2, 4.5, 5.5), 0.20034404),
    ]
    return {problem.name: problem for problem in found}


PROBLEMS = problems()
